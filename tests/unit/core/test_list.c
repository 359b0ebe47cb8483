/* SPDX-License-Identifier: Apache-2.0
 *
 * test_list.c - intrusive lists keep their order and know who is on them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/list.h"

struct item {
    char letter;
    struct list node;
};

static struct item items[5] = {
    {.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}, {.letter = 'e'}};

static void assert_letters(const struct list *list, const char *wanted)
{
    char letters[16];
    size_t count = 0;

    for (struct list *node = list->next; node != list; node = node->next) {
        assert_ptr_equal(node->next->prev, node);
        letters[count++] = CONTAINER_OF(node, struct item, node)->letter;
    }
    letters[count] = '\0';
    assert_string_equal(letters, wanted);
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        list_init(&items[i].node);
    }
    return 0;
}

static void test_order_is_kept(void **state)
{
    struct list list;

    (void)state;
    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_take_first(&list));
    list_append(&list, &items[1].node);
    list_append(&list, &items[2].node);
    list_prepend(&list, &items[0].node);
    list_insert_before(&items[2].node, &items[3].node);
    assert_letters(&list, "abdc");
    assert_ptr_equal(list_take_first(&list), &items[0].node);
    assert_letters(&list, "bdc");
    assert_false(list_is_empty(&list));
}

static void test_a_node_knows_whether_it_is_listed(void **state)
{
    struct list list;

    (void)state;
    list_init(&list);
    assert_false(list_is_linked(&items[0].node));
    list_append(&list, &items[0].node);
    assert_true(list_is_linked(&items[0].node));
    list_remove(&items[0].node);
    assert_false(list_is_linked(&items[0].node));
    list_remove(&items[0].node); /* again is harmless */
    assert_true(list_is_empty(&list));
}

static void test_lists_join(void **state)
{
    struct list left;
    struct list right;

    (void)state;
    list_init(&left);
    list_init(&right);
    list_splice(&left, &right);
    assert_letters(&left, "");
    list_append(&right, &items[0].node);
    list_append(&right, &items[1].node);
    list_splice(&left, &right);
    assert_letters(&left, "ab");
    assert_letters(&right, "");
    list_append(&right, &items[2].node);
    list_splice(&left, &right);
    assert_letters(&left, "abc");
    list_splice(&left, &right);
    assert_letters(&left, "abc");
}

static void test_a_walk_may_remove_what_it_shows(void **state)
{
    struct list list;
    unsigned seen = 0;

    (void)state;
    list_init(&list);
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        list_append(&list, &items[i].node);
    }
    LIST_FOREACH (node, &list) {
        if (seen++ % 2 == 0) {
            list_remove(node);
        }
    }
    assert_int_equal(seen, 5);
    assert_letters(&list, "bd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order_is_kept, set_up),
        cmocka_unit_test_setup(test_a_node_knows_whether_it_is_listed, set_up),
        cmocka_unit_test_setup(test_lists_join, set_up),
        cmocka_unit_test_setup(test_a_walk_may_remove_what_it_shows, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
