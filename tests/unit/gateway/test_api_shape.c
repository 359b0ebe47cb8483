/* SPDX-License-Identifier: Apache-2.0
 *
 * test_api_shape.c - inputs against tables: what fits, and the exact words for what does not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/api_shape.h"
#include "gateway/api_target.h"
#include "gateway/bus_name.h"

static const struct api_member item[] = {
    {"Id", API_TEXT, true, 1, 4, API_NAME_CHARS, NULL},
    {"Paths", API_TEXT_MAP, false, 0, 3, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member input[] = {
    {"RuleName", API_TEXT, true, 1, 8, API_NAME_CHARS, NULL},
    {"Limit", API_NUMBER, false, 1, 100, API_ANY_CHARS, NULL},
    {"Force", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    {"State", API_TEXT, false, 0, 64, API_RULE_STATE, NULL},
    {"Items", API_OBJECTS, false, 1, 2, API_ANY_CHARS, item},
    {"Keys", API_TEXTS, false, 1, 2, API_ANY_CHARS, NULL},
    {"One", API_OBJECT, false, 0, 0, API_ANY_CHARS, item},
    API_MEMBERS_END,
};

#define BROKEN "failed to satisfy constraint: Member must "

/* The words for `text`, or NULL when it fits. */
static const char *told(const char *text, enum err wanted)
{
    static struct err_why why;
    json_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);
    enum err err;

    assert_non_null(tree);
    why.text[0] = '\0';
    err = api_shape_check(tree, input, &why);
    json_decref(tree);
    assert_int_equal(err, wanted);
    return err == ERR_OK ? NULL : why.text;
}

static void what_fits_is_taken(void **state)
{
    (void)state;
    assert_null(told("{\"RuleName\":\"a.b-c_9\"}", ERR_OK));
    assert_null(told("{\"RuleName\":\"r\",\"Limit\":null,\"Unknown\":[1],\"Force\":true,"
                     "\"State\":\"ENABLED\",\"Items\":[{\"Id\":\"i\",\"Paths\":{\"a\":\"$.b\"}}],"
                     "\"Keys\":[\"k\"],\"One\":{\"Id\":\"i\"}}",
                     ERR_OK));
}

static void each_broken_constraint_is_named_by_its_path(void **state)
{
    static const char *const cases[][2] = {
        {"{}", "1 validation error detected: Value null at 'ruleName' " BROKEN "not be null"},
        {"{\"RuleName\":\"\"}", "1 validation error detected: Value '' at 'ruleName' " BROKEN
                                "have length greater than or equal to 1"},
        {"{\"RuleName\":\"123456789\"}",
         "1 validation error detected: Value '123456789' at 'ruleName' " BROKEN
         "have length less than or equal to 8"},
        {"{\"RuleName\":\"a b\"}", "1 validation error detected: Value 'a b' at 'ruleName' " BROKEN
                                   "satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"},
        {"{\"RuleName\":\"r\",\"Limit\":0}",
         "1 validation error detected: Value '0' at 'limit' " BROKEN
         "have value greater than or equal to 1"},
        {"{\"RuleName\":\"r\",\"Limit\":101}",
         "1 validation error detected: Value '101' at 'limit' " BROKEN
         "have value less than or equal to 100"},
        {"{\"RuleName\":\"r\",\"Items\":[]}",
         "1 validation error detected: Value '[]' at 'items' " BROKEN
         "have length greater than or equal to 1"},
        {"{\"RuleName\":\"r\",\"Items\":[{\"Id\":\"i\"},{\"Id\":\"+\"}]}",
         "1 validation error detected: Value '+' at 'items.2.member.id' " BROKEN
         "satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"},
        {"{\"RuleName\":\"r\",\"Items\":[{\"Id\":\"i\",\"Paths\":{\"key\":\"long\"}}]}",
         "1 validation error detected: Value 'long' at 'items.1.member.paths.key' " BROKEN
         "have length less than or equal to 3"},
        {"{\"RuleName\":\"+\",\"Keys\":[\"\"]}",
         "2 validation errors detected: Value '+' at 'ruleName' " BROKEN
         "satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+; Value '' at "
         "'keys.1.member' " BROKEN "have length greater than or equal to 1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(told(cases[i][0], ERR_BAD_REQUEST), cases[i][1]);
    }
}

static void another_type_is_not_json_of_this_input(void **state)
{
    (void)state;
    assert_string_equal(told("[]", ERR_BAD_JSON), "the input must be a JSON object");
    assert_string_equal(told("{\"RuleName\":1}", ERR_BAD_JSON), "ruleName must be a string");
    assert_string_equal(told("{\"RuleName\":\"+\",\"Force\":1}", ERR_BAD_JSON),
                        "force must be true or false");
    assert_string_equal(told("{\"RuleName\":\"r\",\"Items\":[1]}", ERR_BAD_JSON),
                        "items.1.member must be an object");
    assert_string_equal(told("{\"RuleName\":\"r\",\"Limit\":1.5}", ERR_BAD_JSON),
                        "limit must be a whole number");
    assert_string_equal(
        told("{\"RuleName\":\"r\",\"One\":{\"Id\":\"i\",\"Paths\":[]}}", ERR_BAD_JSON),
        "one.paths must be an object of strings");
}

static void a_target_has_two_spellings(void **state)
{
    json_t *aws = json_loads(
        "{\"Id\":\"t\",\"Arn\":\"a\",\"Input\":null,"
        "\"RetryPolicy\":{\"MaximumEventAgeInSeconds\":60},"
        "\"InputTransformer\":{\"InputPathsMap\":{\"theName\":\"$.x\"},\"InputTemplate\":\"T\"}}",
        0, NULL);
    json_t *catalog = json_loads(
        "{\"id\":\"t\",\"arn\":\"a\",\"retry_policy\":{\"maximum_event_age_in_seconds\":60},"
        "\"input_transformer\":{\"input_paths_map\":{\"theName\":\"$.x\"},"
        "\"input_template\":\"T\"}}",
        0, NULL);
    json_t *made = api_target_to_catalog(aws);
    json_t *back;

    (void)state;
    assert_true(json_equal(made, catalog));
    json_object_set_new(made, "uid", json_integer(7));
    back = api_target_from_catalog(made);
    json_object_del(aws, "Input");
    assert_true(json_equal(back, aws));
    json_decref(aws);
    json_decref(catalog);
    json_decref(made);
    json_decref(back);
}

/* Two keys that became one could be checked as one thing and stored as another. */
static void a_key_of_another_spelling_is_no_member(void **state)
{
    json_t *aws = json_loads("{\"Id\":\"t\",\"id\":\"u\",\"Retry_Policy\":{},\"\":1,\"A b\":1,"
                             "\"InputTransformer\":{\"input_template\":\"x\"}}",
                             0, NULL);
    json_t *catalog = json_loads("{\"id\":\"t\",\"input_transformer\":{}}", 0, NULL);
    json_t *made = api_target_to_catalog(aws);

    (void)state;
    assert_true(json_equal(made, catalog));
    json_decref(aws);
    json_decref(catalog);
    json_decref(made);
}

static void a_bus_has_two_names(void **state)
{
    static const char *const bad[] = {
        "arn:",
        "arn:aws:events:us-east-1:111122223333:event-bus/",
        "arn:aws:events:us-east-1:111122223333:rule/x",
        "arn:aws:events:us-east-1:11112222333:event-bus/x",
        "arn:aws:sqs:us-east-1:111122223333:event-bus/x",
    };
    struct bus_name name;

    (void)state;
    assert_true(bus_name_read(SLICE("team"), &name));
    assert_true(slice_eq(name.name, SLICE("team")) && name.account.len == 0);
    assert_true(bus_name_read((struct slice){NULL, 0}, &name));
    assert_true(slice_eq(name.name, SLICE("default")) && name.account.len == 0);
    assert_true(bus_name_read(SLICE("arn:aws:events:us-east-1:111122223333:event-bus/a/b"), &name));
    assert_true(slice_eq(name.name, SLICE("a/b")));
    assert_true(slice_eq(name.account, SLICE("111122223333")));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(bus_name_read(slice_of(bad[i]), &name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_taken),
        cmocka_unit_test(each_broken_constraint_is_named_by_its_path),
        cmocka_unit_test(another_type_is_not_json_of_this_input),
        cmocka_unit_test(a_target_has_two_spellings),
        cmocka_unit_test(a_key_of_another_spelling_is_no_member),
        cmocka_unit_test(a_bus_has_two_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
