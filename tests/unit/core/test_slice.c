/* SPDX-License-Identifier: Apache-2.0
 *
 * test_slice.c - borrowed bytes compared, cut and read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/slice.h"

#define ASSERT_SLICE(actual, wanted) assert_true(slice_eq((actual), slice_of(wanted)))

static void test_equality(void **state)
{
    static const struct {
        struct slice a;
        struct slice b;
        bool is_same;
        bool is_same_ignoring_case;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT(""), true, true},
        {SLICE_INIT(""), {NULL, 0}, true, true},
        {{NULL, 0}, {NULL, 0}, true, true},
        {SLICE_INIT("a"), SLICE_INIT(""), false, false},
        {SLICE_INIT("Host"), SLICE_INIT("host"), false, true},
        {SLICE_INIT("Host"), SLICE_INIT("hosT"), false, true},
        {SLICE_INIT("host"), SLICE_INIT("hos"), false, false},
        {SLICE_INIT("@"), SLICE_INIT("`"), false, false},
        {SLICE_INIT("\xC9"), SLICE_INIT("\xE9"), false, false},
        {SLICE_INIT("a\0b"), SLICE_INIT("a\0c"), false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(slice_eq(rows[i].a, rows[i].b), rows[i].is_same);
        assert_int_equal(slice_eq_ignore_case(rows[i].a, rows[i].b), rows[i].is_same_ignoring_case);
    }
}

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

static void test_order(void **state)
{
    static const struct {
        struct slice a;
        struct slice b;
        int order;
    } rows[] = {
        {SLICE_INIT(""), {NULL, 0}, 0},          {SLICE_INIT(""), SLICE_INIT("a"), -1},
        {SLICE_INIT("a"), SLICE_INIT("b"), -1},  {SLICE_INIT("ab"), SLICE_INIT("a"), 1},
        {SLICE_INIT("b"), SLICE_INIT("ab"), 1},  {SLICE_INIT("\x80"), SLICE_INIT("a"), 1},
        {SLICE_INIT("ab"), SLICE_INIT("ab"), 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(sign(slice_compare(rows[i].a, rows[i].b)), rows[i].order);
        assert_int_equal(sign(slice_compare(rows[i].b, rows[i].a)), -rows[i].order);
    }
}

static void test_prefix_and_suffix(void **state)
{
    const struct slice text = SLICE("aws.guardduty");

    (void)state;
    assert_true(slice_has_prefix(text, SLICE("aws.")));
    assert_true(slice_has_prefix(text, SLICE("")));
    assert_true(slice_has_prefix(text, text));
    assert_false(slice_has_prefix(text, SLICE("aws.guardduty2")));
    assert_false(slice_has_prefix(text, SLICE("Aws")));
    assert_true(slice_has_suffix(text, SLICE("duty")));
    assert_true(slice_has_suffix(text, SLICE("")));
    assert_true(slice_has_suffix(text, text));
    assert_false(slice_has_suffix(text, SLICE("xaws.guardduty")));
    assert_false(slice_has_suffix(text, SLICE("Duty")));
    assert_true(slice_has_prefix((struct slice){NULL, 0}, (struct slice){NULL, 0}));
}

static void test_cutting(void **state)
{
    const struct slice text = SLICE("abc");
    struct slice rest = SLICE("a,,b");

    (void)state;
    ASSERT_SLICE(slice_from(text, 0), "abc");
    ASSERT_SLICE(slice_from(text, 2), "c");
    ASSERT_SLICE(slice_from(text, 3), "");
    ASSERT_SLICE(slice_from(text, 9), "");
    assert_null(slice_from((struct slice){NULL, 0}, 1).data);
    ASSERT_SLICE(slice_first(text, 0), "");
    ASSERT_SLICE(slice_first(text, 2), "ab");
    ASSERT_SLICE(slice_first(text, 9), "abc");
    ASSERT_SLICE(slice_trim(SLICE(" \t a b\t ")), "a b");
    ASSERT_SLICE(slice_trim(SLICE(" \t ")), "");
    ASSERT_SLICE(slice_trim(SLICE("\na\n")), "\na\n");
    assert_int_equal(slice_find(text, 'c'), 2);
    assert_int_equal(slice_find(text, 'x'), 3);
    assert_int_equal(slice_find((struct slice){NULL, 0}, 'x'), 0);

    ASSERT_SLICE(slice_cut(&rest, ','), "a");
    ASSERT_SLICE(slice_cut(&rest, ','), "");
    ASSERT_SLICE(slice_cut(&rest, ','), "b");
    assert_null(rest.data);
    assert_int_equal(rest.len, 0);
    ASSERT_SLICE(slice_cut(&rest, ','), "");
    rest = SLICE("a,");
    ASSERT_SLICE(slice_cut(&rest, ','), "a");
    assert_non_null(rest.data); /* an empty part follows: not the end yet */
    assert_int_equal(rest.len, 0);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"+1", false, 0},
        {"-1", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
        {"1/", false, 0},
        {"1:", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 0;

        if (slice_to_u64(slice_of(rows[i].text), &value) != rows[i].is_good ||
            (rows[i].is_good && value != rows[i].value)) {
            fail_msg("\"%s\" gave %" PRIu64, rows[i].text, value);
        }
    }
}

static void test_strings_of_the_c_library(void **state)
{
    (void)state;
    assert_int_equal(slice_of(NULL).len, 0);
    assert_int_equal(slice_of("").len, 0);
    assert_int_equal(slice_of("ab").len, 2);
    assert_int_equal(SLICE("a\0b").len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality),          cmocka_unit_test(test_order),
        cmocka_unit_test(test_prefix_and_suffix), cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_numbers),           cmocka_unit_test(test_strings_of_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
