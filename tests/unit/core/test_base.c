/* SPDX-License-Identifier: Apache-2.0
 *
 * test_base.c - allocation that succeeds or ends the process, checks that name their fact.
 */
#include "tests/lib/death.h"

#include "core/base.h"
#include "core/check.h"

struct pair {
    int first;
    int second;
};

static void test_allocations_give_memory(void **state)
{
    char *bytes = xmalloc(0);
    char *copy = xstrndup("copied and cut", 6);
    unsigned *zeros = xcalloc(100, sizeof(*zeros));

    (void)state;
    bytes = xrealloc(bytes, 8);
    memset(bytes, 'x', 8);
    bytes = xrealloc(bytes, 0);
    assert_string_equal(copy, "copied");
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(zeros[i], 0);
    }
    xfree(bytes);
    xfree(copy);
    xfree(zeros);
    xfree(xcalloc(0, 0));
    xfree(NULL);
}

static void test_macros(void **state)
{
    struct pair pair = {1, 2};
    int row[7];

    (void)state;
    assert_ptr_equal(CONTAINER_OF(&pair.second, struct pair, second), &pair);
    assert_int_equal(ARRAY_LEN(row), 7);
    assert_int_equal(MIN_OF(2, 1), 1);
    assert_int_equal(MAX_OF(2, 1), 2);
}

/* Out of reach of any machine, and hidden from the compiler, which would refuse the constant. */
static volatile size_t too_much = SIZE_MAX / 2;

static void ask_malloc(void)
{
    xfree(xmalloc(too_much));
}

static void ask_calloc(void)
{
    xfree(xcalloc(2, too_much));
}

static void ask_realloc(void)
{
    xfree(xrealloc(NULL, too_much));
}

/* A sanitizer would report the size itself; asked so, it answers NULL as the C library does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_out_of_memory_ends_the_process(void **state)
{
    (void)state;
    assert_dies(ask_malloc, "weir: out of memory asking for ");
    assert_dies(ask_calloc, "weir: out of memory asking for ");
    assert_dies(ask_realloc, "weir: out of memory asking for ");
}

static void state_a_falsehood(void)
{
    CHECK(1 + 1 == 3);
}

static void meet_a_stranger(void)
{
    const struct {
        uint32_t magic;
    } stranger = {7};

    CHECK_MAGIC(&stranger, 8u);
}

static void test_a_failed_check_names_fact_and_place(void **state)
{
    (void)state;
    assert_dies(state_a_falsehood,
                "weir: CHECK failed: 1 + 1 == 3 at tests/unit/core/test_base.c:");
    assert_dies(meet_a_stranger, "magic");
    CHECK(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_give_memory),
        cmocka_unit_test(test_macros),
        cmocka_unit_test(test_out_of_memory_ends_the_process),
        cmocka_unit_test(test_a_failed_check_names_fact_and_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
