/* SPDX-License-Identifier: Apache-2.0
 *
 * test_map.c - the hash against CPython's, the table against an array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/map.h"
#include "core/map_internal.h"

/* Goal:   the hash is SipHash-1-3.
 * Method: CPython 3.11 hashes bytes with it, under a zero key when PYTHONHASHSEED=0:
 *         hash(bytes(range(1, n + 1))) & (2**64 - 1). */
static void test_the_hash_is_siphash_1_3(void **state)
{
    static const uint64_t wanted[] = {
        0x44bc103b1f8540ed, 0x1d6b299344bab347, 0x60ec29c17db287a3, 0xe7b1a066360ba9d4,
        0xde682ee70fbebc3f, 0x12bad75bbd13f182, 0xb1cd85cc334196fa, 0x884ccc87cb0e5fb0,
        0x027ed508fe95acb3, 0xcb7e0c6c167ecd44, 0x170597e73eb4d0e9, 0xb6258cdf4b014d08,
        0x7d687c47a4c316a7, 0x7376b86f4e098b22, 0x75e46d4257851550, 0xe05d12a0a4b2d063,
        0x85e152444239b234,
    };
    char bytes[ARRAY_LEN(wanted)];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        bytes[i] = (char)(i + 1);
        assert_int_equal(map_siphash(0, 0, (struct slice){bytes, i + 1}), wanted[i]);
    }
    assert_int_not_equal(map_siphash(1, 0, (struct slice){bytes, 1}), wanted[0]);
    assert_int_not_equal(map_siphash(0, 1, (struct slice){bytes, 1}), wanted[0]);
}

static void test_the_hash_is_one_value_per_process(void **state)
{
    (void)state;
    assert_int_equal(map_hash(SLICE("key")), map_hash(SLICE("key")));
    assert_int_not_equal(map_hash(SLICE("key")), map_hash(SLICE("kex")));
    assert_int_not_equal(map_hash(SLICE("key")), map_siphash(0, 0, SLICE("key")));
}

static void test_an_empty_map_answers(void **state)
{
    struct map map = {0};
    size_t cursor = 0;

    (void)state;
    assert_null(map_get(&map, SLICE("a")));
    assert_null(map_remove(&map, SLICE("a")));
    assert_null(map_next(&map, &cursor));
    map_clean_up(&map);
    map_clean_up(&map);
}

static void test_put_replaces_value_and_key(void **state)
{
    struct map map;
    char first_key[] = "key";
    int first = 1;
    int second = 2;

    (void)state;
    map_init(&map);
    assert_null(map_put(&map, slice_of(first_key), &first));
    assert_ptr_equal(map_put(&map, SLICE("key"), &second), &first);
    first_key[0] = 'x'; /* the first key may go with the first value */
    assert_ptr_equal(map_get(&map, SLICE("key")), &second);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_remove(&map, SLICE("key")), &second);
    assert_int_equal(map.count, 0);
    map_clean_up(&map);
}

static void test_keys_are_bytes(void **state)
{
    const struct slice keys[] = {SLICE_INIT(""),  SLICE_INIT("\0"),  SLICE_INIT("\0\0"),
                                 SLICE_INIT("a"), SLICE_INIT("a\0"), {NULL, 0}};
    int values[ARRAY_LEN(keys)];
    struct map map = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys) - 1; i++) {
        assert_null(map_put(&map, keys[i], &values[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(keys) - 1; i++) {
        assert_ptr_equal(map_get(&map, keys[i]), &values[i]);
    }
    assert_ptr_equal(map_get(&map, keys[ARRAY_LEN(keys) - 1]), &values[0]);
    map_clean_up(&map);
}

/* --- a thousand keys, beside an array that knows which are in --- */

enum { KEYS = 1000 };

struct twin {
    struct map map;
    char keys[KEYS][8];
    bool is_in[KEYS];
    size_t count;
};

static struct slice key_of(const struct twin *twin, size_t i)
{
    return slice_of(twin->keys[i]);
}

static struct twin *twin_new(void)
{
    struct twin *twin = xcalloc(1, sizeof(*twin));

    for (size_t i = 0; i < KEYS; i++) {
        (void)snprintf(twin->keys[i], sizeof(twin->keys[i]), "k%zu", i);
    }
    return twin;
}

static void twin_toggle(struct twin *twin, size_t i)
{
    void *value = twin->keys[i];

    if (twin->is_in[i]) {
        assert_ptr_equal(map_remove(&twin->map, key_of(twin, i)), value);
        twin->count--;
    } else {
        assert_null(map_put(&twin->map, key_of(twin, i), value));
        twin->count++;
    }
    twin->is_in[i] = !twin->is_in[i];
}

static void twin_compare(const struct twin *twin)
{
    assert_int_equal(twin->map.count, twin->count);
    for (size_t i = 0; i < KEYS; i++) {
        const void *wanted = twin->is_in[i] ? twin->keys[i] : NULL;

        assert_ptr_equal(map_get(&twin->map, key_of(twin, i)), wanted);
    }
}

static size_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*seed >> 33);
}

static void test_random_changes_agree_with_an_array(void **state)
{
    struct twin *twin = twin_new();
    uint64_t seed = 7;

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        /* few keys at first: removals in a small, crowded table */
        twin_toggle(twin, next_random(&seed) % (i < 25000 ? 24 : KEYS));
        if (i % 1000 == 0) {
            twin_compare(twin);
        }
    }
    twin_compare(twin);
    map_clean_up(&twin->map);
    xfree(twin);
}

/* Goal:   a walk shows each value once, although some are removed as they are shown.
 * Method: many small maps of random content; remove a random half while walking. */
static void test_a_walk_may_remove_what_it_shows(void **state)
{
    struct twin *twin = twin_new();
    uint64_t seed = 11;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        bool was_in[KEYS];
        const size_t span = 1 + next_random(&seed) % 48;
        size_t cursor = 0;
        size_t seen = 0;
        void *value;

        for (size_t i = 0; i < span; i++) {
            if (next_random(&seed) % 2 == 0) {
                twin_toggle(twin, next_random(&seed) % span);
            }
        }
        memcpy(was_in, twin->is_in, sizeof(was_in));
        const size_t count = twin->count;

        while ((value = map_next(&twin->map, &cursor)) != NULL) {
            const size_t i = (size_t)((char(*)[8])value - twin->keys);

            assert_true(was_in[i]);
            was_in[i] = false;
            seen++;
            if (next_random(&seed) % 2 == 0) {
                twin_toggle(twin, i);
            }
        }
        assert_int_equal(seen, count);
        twin_compare(twin);
    }
    map_clean_up(&twin->map);
    xfree(twin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_siphash_1_3),
        cmocka_unit_test(test_the_hash_is_one_value_per_process),
        cmocka_unit_test(test_an_empty_map_answers),
        cmocka_unit_test(test_put_replaces_value_and_key),
        cmocka_unit_test(test_keys_are_bytes),
        cmocka_unit_test(test_random_changes_agree_with_an_array),
        cmocka_unit_test(test_a_walk_may_remove_what_it_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
