/* SPDX-License-Identifier: Apache-2.0
 *
 * test_trie.c - a table with copies against plain arrays, one per copy.
 */
#include "tests/lib/death.h"

#include "core/trie_internal.h"

enum { KEYS = 300, COPIES = 4, STEPS = 40000 };

struct thing {
    unsigned key;
    int references;
};

static void thing_acquire(void *value)
{
    ((struct thing *)value)->references++;
}

static void thing_release(void *value)
{
    struct thing *thing = value;

    thing->references--;
    assert_true(thing->references >= 0);
    if (thing->references == 0) {
        test_free(thing);
    }
}

static const struct trie_values things = {.acquire = thing_acquire, .release = thing_release};

static struct slice key_of(const unsigned *key)
{
    return (struct slice){(const char *)key, sizeof(*key)};
}

static struct thing *thing_new(unsigned key)
{
    struct thing *thing = test_calloc(1, sizeof(*thing));

    thing->key = key;
    thing->references = 1;
    return thing;
}

/* Hashes that share digits, and whole hashes that are shared: all that real ones nearly never do.
 */
static uint64_t hash_of(unsigned key)
{
    static const uint64_t spread[] = {1, (uint64_t)1 << 20, (uint64_t)1 << 58, (uint64_t)1 << 60};

    return (key % 7) * spread[key % 4] + (key / 28) % 5 * ((uint64_t)1 << 40);
}

static unsigned next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33);
}

static void expect_equal(const struct trie *trie, struct thing *const *twin)
{
    size_t count = 0;

    for (unsigned key = 0; key < KEYS; key++) {
        assert_ptr_equal(trie_get_hashed(trie, hash_of(key), key_of(&key)), twin[key]);
        count += twin[key] != NULL;
    }
    assert_int_equal(trie->count, count);
    assert_true((trie_any(trie) != NULL) == (count > 0));
}

static void change(struct trie *trie, struct thing **twin, unsigned key, bool put)
{
    if (put) {
        struct thing *thing = thing_new(key);

        trie_put_hashed(trie, hash_of(key), key_of(&thing->key), thing);
        thing_release(thing); /* the trie holds its own */
        twin[key] = thing;
    } else {
        assert_true(trie_remove_hashed(trie, hash_of(key), key_of(&key)) == (twin[key] != NULL));
        twin[key] = NULL;
    }
}

/* Goal:   a copy and what it was copied from change apart, and nothing is leaked or freed early.
 * Method: four tries are changed at random and copied over each other, beside arrays that are; the
 *         hashes meet on purpose. Sanitizers and cmocka count what is allocated. */
static void test_copies_agree_with_arrays(void **state)
{
    static struct thing *twins[COPIES][KEYS];
    struct trie tries[COPIES];
    uint64_t seed = 11;

    (void)state;
    for (size_t i = 0; i < COPIES; i++) {
        trie_init(&tries[i], &things);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        const size_t from = next_random(&seed) % COPIES;
        const size_t to = next_random(&seed) % COPIES;
        const bool fills = step / 2000 % 2 == 0;

        change(&tries[from], twins[from], next_random(&seed) % KEYS,
               next_random(&seed) % 4 < (fills ? 3 : 1));
        if (step % 50 == 0 && from != to) {
            trie_clean_up(&tries[to]);
            tries[to] = trie_copy(&tries[from]);
            memcpy(twins[to], twins[from], sizeof(twins[to]));
        }
        if (step % 100 == 0) {
            for (size_t i = 0; i < COPIES; i++) {
                expect_equal(&tries[i], twins[i]);
            }
        }
    }
    for (size_t i = 0; i < COPIES; i++) {
        expect_equal(&tries[i], twins[i]);
        trie_clean_up(&tries[i]);
    }
}

/* Goal:   emptied, it is as new: no node stays. */
static void test_what_is_emptied_has_no_root(void **state)
{
    static struct thing *twin[KEYS];
    struct trie trie;

    (void)state;
    trie_init(&trie, &things);
    for (unsigned key = 0; key < KEYS; key++) {
        change(&trie, twin, key, true);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        change(&trie, twin, key, false);
    }
    assert_int_equal(trie.count, 0);
    assert_null(trie.root);
    assert_null(trie_any(&trie));
}

/* By the hash that it computes itself. */
static void test_keys_of_any_bytes(void **state)
{
    struct trie trie;
    struct thing *thing = thing_new(5);

    (void)state;
    trie_init(&trie, &things);
    assert_null(trie_get(&trie, SLICE("a")));
    assert_false(trie_remove(&trie, SLICE("a")));
    trie_put(&trie, SLICE(""), thing);
    trie_put(&trie, (struct slice){"a\0b", 3}, thing);
    assert_ptr_equal(trie_get(&trie, SLICE("")), thing);
    assert_ptr_equal(trie_get(&trie, (struct slice){"a\0b", 3}), thing);
    assert_null(trie_get(&trie, (struct slice){"a\0c", 3}));
    assert_true(trie_remove(&trie, SLICE("")));
    assert_null(trie_get(&trie, SLICE("")));
    trie_clean_up(&trie);
    thing_release(thing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_agree_with_arrays),
        cmocka_unit_test(test_what_is_emptied_has_no_root),
        cmocka_unit_test(test_keys_of_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
