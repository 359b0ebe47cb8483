/* SPDX-License-Identifier: Apache-2.0
 *
 * test_arena.c - what an arena gives is aligned, apart from the rest, and gone together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdalign.h>

#include "core/arena.h"

/* Goal:   no two allocations overlap and each is aligned for any type.
 * Method: fill each with its own byte, then look whether all bytes are still there. */
static void test_allocations_are_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {1, 0, 7, 16, 17, 4000, 100, 70000, 3, 65536, 4096, 1000, 1};
    char *given[ARRAY_LEN(sizes) * 20];
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(given); i++) {
        const size_t size = sizes[i % ARRAY_LEN(sizes)];

        given[i] = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)given[i] % alignof(max_align_t), 0);
        memset(given[i], (int)i, size);
    }
    for (size_t i = 0; i < ARRAY_LEN(given); i++) {
        for (size_t k = 0; k < sizes[i % ARRAY_LEN(sizes)]; k++) {
            assert_int_equal(given[i][k], (char)i);
        }
    }
    arena_clean_up(&arena);
    arena_clean_up(&arena);
    assert_int_equal(arena.used_bytes, 0);
}

static void test_zeroed_memory_is_zero_after_reuse(void **state)
{
    struct arena arena;
    uint64_t *words;

    (void)state;
    arena_init(&arena);
    arena_reset(&arena); /* of an empty arena */
    memset(arena_alloc(&arena, 800), 0xFF, 800);
    arena_reset(&arena);
    words = ARENA_ARRAY(&arena, uint64_t, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(words[i], 0);
    }
    assert_int_equal(*ARENA_NEW(&arena, int), 0);
    arena_clean_up(&arena);
}

/* Goal:   a reset keeps one block, so the second request of a connection allocates nothing. */
static void test_a_reset_keeps_the_newest_block(void **state)
{
    struct arena arena = {0};
    size_t kept;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        (void)arena_alloc(&arena, 1000);
    }
    assert_true(arena.used_bytes > 100000);
    arena_reset(&arena);
    kept = arena.used_bytes;
    assert_in_range(kept, 1000, 65536);
    for (unsigned i = 0; i < 10; i++) {
        arena_reset(&arena);
        (void)arena_alloc(&arena, 1000);
    }
    assert_int_equal(arena.used_bytes, kept);
    arena_clean_up(&arena);
}

static void test_copies_end_with_nul(void **state)
{
    struct arena arena = {0};
    const struct slice copy = arena_copy(&arena, slice_first(SLICE("abcdef"), 3));

    (void)state;
    assert_int_equal(copy.len, 3);
    assert_string_equal(copy.data, "abc");
    assert_string_equal(arena_cstr(&arena, (struct slice){NULL, 0}), "");
    assert_string_equal(arena_printf(&arena, "%s/%d", "x", 7).data, "x/7");
    assert_int_equal(arena_printf(&arena, "%5000d", 1).len, 5000);
    assert_string_equal(arena_u64(&arena, 0).data, "0");
    assert_string_equal(arena_u64(&arena, UINT64_MAX).data, "18446744073709551615");
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_aligned_and_apart),
        cmocka_unit_test(test_zeroed_memory_is_zero_after_reuse),
        cmocka_unit_test(test_a_reset_keeps_the_newest_block),
        cmocka_unit_test(test_copies_end_with_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
