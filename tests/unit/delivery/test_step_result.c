/* SPDX-License-Identifier: Apache-2.0
 *
 * test_step_result.c - replies of every protocol as one JSON value.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/json.h"
#include "delivery/step_result.h"

static void each_reply_becomes_one_json_value(void **state)
{
    static const struct {
        const char *body;
        const char *json;
    } cases[] = {
        {"", "null"},
        {"  \n", "null"},
        {" {\"a\": [1]} ", "{\"a\": [1]}"},
        {"7", "7"},
        {"{\"a\":", "\"{\\\"a\\\":\""},
        {"plain", "\"plain\""},
        {"<r/>", "\"\""},
        {"<r>text</r>", "\"text\""},
        {"<r><a>1</a><b/></r>", "{\"a\":\"1\",\"b\":\"\"}"},
        {"<r><set><item><k>x</k></item></set></r>", "{\"set\":[{\"k\":\"x\"}]}"},
        {"<r><l><member>a</member><member>b</member></l></r>", "{\"l\":[\"a\",\"b\"]}"},
        {"<r><a>1</a><b>2</b><a>3</a></r>", "{\"a\":[\"1\",\"3\"],\"b\":\"2\"}"},
        {"<r><a>&quot;&#9;x</a></r>", "{\"a\":\"\\\"\\tx\"}"},
        {"<r><a></r>", "\"<r><a></r>\""},
        {"<!DOCTYPE r [<!ENTITY e \"x\">]><r>&e;</r>",
         "\"<!DOCTYPE r [<!ENTITY e \\\"x\\\">]><r>&e;</r>\""},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct slice json = step_result(slice_of(cases[i].body), &arena);

        assert_int_equal(json_check(json, 128, NULL), ERR_OK);
        if (!slice_eq(json, slice_of(cases[i].json))) {
            fail_msg("%s became %.*s", cases[i].body, SLICE_ARG(json));
        }
    }
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_reply_becomes_one_json_value)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
