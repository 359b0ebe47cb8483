/* SPDX-License-Identifier: Apache-2.0
 *
 * test_heap.c - the heap against an array that is searched.
 */
#include "tests/lib/death.h"

#include "core/heap.h"

enum { NODES = 200 };

static struct heap_node *least(struct heap_node *nodes)
{
    struct heap_node *found = NULL;

    for (size_t i = 0; i < NODES; i++) {
        if (heap_is_linked(&nodes[i]) && (found == NULL || nodes[i].key < found->key)) {
            found = &nodes[i];
        }
    }
    return found;
}

static void assert_agrees(const struct heap *heap, struct heap_node *nodes)
{
    const struct heap_node *wanted = least(nodes);
    const struct heap_node *top = heap_peek(heap);

    if (wanted == NULL) {
        assert_null(top);
    } else {
        assert_non_null(top);
        assert_int_equal(top->key, wanted->key); /* equal keys in any order */
    }
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Goal:   after any pushes, pops and removals the least key stands on top.
 * Method: keys from a small range, so that many are equal. */
static void test_random_changes_agree_with_a_search(void **state)
{
    static struct heap_node nodes[NODES];
    struct heap heap = {0};
    uint64_t seed = 3;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct heap_node *node = &nodes[next_random(&seed) % NODES];

        if (!heap_is_linked(node)) {
            heap_push(&heap, node, next_random(&seed) % 50);
        } else if (next_random(&seed) % 2 == 0) {
            heap_remove(&heap, node);
            assert_false(heap_is_linked(node));
        } else {
            const uint64_t key = heap_peek(&heap)->key;

            node = heap_pop(&heap);
            assert_int_equal(node->key, key);
            assert_false(heap_is_linked(node));
        }
        assert_agrees(&heap, nodes);
    }
    heap_clean_up(&heap);
}

static void test_what_is_pushed_comes_out_in_order(void **state)
{
    static struct heap_node nodes[NODES];
    struct heap heap;
    uint64_t last = 0;
    uint64_t seed = 5;

    (void)state;
    heap_init(&heap);
    for (size_t i = 0; i < NODES; i++) {
        heap_push(&heap, &nodes[i], next_random(&seed));
    }
    for (size_t i = 0; i < NODES; i++) {
        const struct heap_node *node = heap_pop(&heap);

        assert_true(node->key >= last);
        last = node->key;
    }
    assert_null(heap_pop(&heap));
    assert_int_equal(heap.count, 0);
    heap_clean_up(&heap);
}

static void test_an_empty_heap_answers(void **state)
{
    struct heap heap = {0};
    struct heap_node node = {0};

    (void)state;
    assert_null(heap_peek(&heap));
    assert_null(heap_pop(&heap));
    heap_remove(&heap, &node);
    heap_push(&heap, &node, UINT64_MAX);
    assert_ptr_equal(heap_peek(&heap), &node);
    heap_clean_up(&heap); /* lets the node go */
    assert_false(heap_is_linked(&node));
    heap_clean_up(&heap);
}

static void push_twice(void)
{
    struct heap heap = {0};
    struct heap_node node = {0};

    heap_push(&heap, &node, 1);
    heap_push(&heap, &node, 2);
}

static void test_a_node_is_in_one_heap_once(void **state)
{
    (void)state;
    assert_dies(push_twice, "node->place == 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes_agree_with_a_search),
        cmocka_unit_test(test_what_is_pushed_comes_out_in_order),
        cmocka_unit_test(test_an_empty_heap_answers),
        cmocka_unit_test(test_a_node_is_in_one_heap_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
