/* SPDX-License-Identifier: Apache-2.0
 *
 * test_percent.c - what AWS leaves as it is, and everything else in upper-case hex.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/percent.h"

static void test_only_the_unreserved_stay(void **state)
{
    static const struct {
        struct slice text;
        const char *encoded;
    } rows[] = {
        {SLICE_INIT(""), ""},
        {SLICE_INIT("AZaz09-_.~"), "AZaz09-_.~"},
        {SLICE_INIT("a b"), "a%20b"},
        {SLICE_INIT("/:@[`{"), "%2F%3A%40%5B%60%7B"},
        {SLICE_INIT("%41+*'()!"), "%2541%2B%2A%27%28%29%21"},
        {SLICE_INIT("\0\n\x7F\xC3\xA9"), "%00%0A%7F%C3%A9"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;

        buf_init(&out, 64);
        assert_int_equal(percent_encode(rows[i].text, &out), ERR_OK);
        if (!slice_eq(buf_slice(&out), slice_of(rows[i].encoded))) {
            fail_msg("row %zu gave %.*s", i, SLICE_ARG(buf_slice(&out)));
        }
        buf_clean_up(&out);
    }
}

static void test_the_maximum_holds(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_int_equal(percent_encode(SLICE("a/"), &out), ERR_OK);
    assert_int_equal(percent_encode(SLICE("b"), &out), ERR_TOO_LARGE);
    buf_clean_up(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_unreserved_stay),
        cmocka_unit_test(test_the_maximum_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
