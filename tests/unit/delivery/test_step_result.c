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
        const struct slice json = step_result(slice_of(cases[i].body), SLICE(""), &arena);

        assert_int_equal(json_check(json, 128, NULL), ERR_OK);
        if (!slice_eq(json, slice_of(cases[i].json))) {
            fail_msg("%s became %.*s", cases[i].body, SLICE_ARG(json));
        }
    }
    arena_clean_up(&arena);
}

/* Goal: what the model calls a list is an array with none, one and many elements. */
static void lists_of_a_model_are_arrays(void **state)
{
    static const struct {
        const char *lists;
        const char *body;
        const char *json;
    } cases[] = {
        {"G/Grant", "<r><G><Grant>a</Grant></G></r>", "{\"G\":[\"a\"]}"},
        {"G/Grant", "<r><G><Grant>a</Grant><Grant>b</Grant></G></r>", "{\"G\":[\"a\",\"b\"]}"},
        {"G/Grant ", "<r><G/></r>", "{\"G\":[]}"},
        {"G/Grant", "<r><G>text</G></r>", "{\"G\":\"text\"}"},
        {"G/Grant", "<r><G><Other>a</Other></G></r>", "{\"G\":{\"Other\":\"a\"}}"},
        {"G/Grant", "<r><G><Grant>a</Grant><Other/></G></r>",
         "{\"G\":{\"Grant\":\"a\",\"Other\":\"\"}}"},
        {"A/B Rule", "<r><Rule>a</Rule><x/></r>", "{\"Rule\":[\"a\"],\"x\":\"\"}"},
        {"Rule A/B", "<r><Rule>a</Rule><Rule>b</Rule></r>", "{\"Rule\":[\"a\",\"b\"]}"},
        {"Rul Rules", "<r><Rule>a</Rule></r>", "{\"Rule\":\"a\"}"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct slice json =
            step_result(slice_of(cases[i].body), slice_of(cases[i].lists), &arena);

        if (!slice_eq(json, slice_of(cases[i].json))) {
            fail_msg("%s became %.*s", cases[i].body, SLICE_ARG(json));
        }
    }
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reply_becomes_one_json_value),
        cmocka_unit_test(lists_of_a_model_are_arrays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
