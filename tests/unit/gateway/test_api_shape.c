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
#include "gateway/api_spelling.h"
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

static const char *told_by(const struct api_member *members, const char *text, enum err wanted);

/* The words for `text`, or NULL when it fits. */
static const char *told(const char *text, enum err wanted)
{
    return told_by(input, text, wanted);
}

static const char *told_by(const struct api_member *members, const char *text, enum err wanted)
{
    static struct err_why why;
    json_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);
    enum err err;

    assert_non_null(tree);
    why.text[0] = '\0';
    err = api_shape_check(tree, members, &why);
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

/* Every set of characters of what authorizes and what is called: what it takes, what it refuses. */
static void texts_are_what_their_sets_say(void **state)
{
    static const struct {
        enum api_charset charset;
        const char *text;
        bool fits;
    } cases[] = {
        {API_NAME_OR_ARN, "a.b-c_9", true},
        {API_NAME_OR_ARN, "a/b", false},
        {API_NAME_OR_ARN, "arn:aws:events:us-east-1:111122223333:connection/a/0", true},
        {API_NAME_OR_ARN, "arn:aws events", false},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:111122223333:connection/a.b/0-f", true},
        {API_CONNECTION_ARN, "arn:aws-cn:events::111122223333:connection/a/0", true},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:111122223333:connection/a", false},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:111122223333:connection/a/0/1", false},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:111122223333:connection//0", false},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:11112222333:connection/a/0", false},
        {API_CONNECTION_ARN, "arn:aws:sqs:us-east-1:111122223333:connection/a/0", false},
        {API_CONNECTION_ARN, "arn:gcp:events:us-east-1:111122223333:connection/a/0", false},
        {API_CONNECTION_ARN, "arn:aws:events:us-east-1:111122223333:rule/a/0", false},
        {API_CONNECTION_ARN, "arn", false},
        {API_CONNECTION_STATE, "DEAUTHORIZED", true},
        {API_CONNECTION_STATE, "authorized", false},
        {API_CONNECTION_STATE, "", false},
        {API_AUTHORIZATION_TYPE, "API_KEY", true},
        {API_AUTHORIZATION_TYPE, "", false},
        {API_HTTP_METHOD, "HEAD", true},
        {API_HTTP_METHOD, "head", false},
        {API_OAUTH_METHOD, "PUT", true},
        {API_OAUTH_METHOD, "PATCH", false},
        {API_URL_CHARS, "https://a.example/*/b?c=%2F&d", true},
        {API_URL_CHARS, "https://a.example/%2", false},
        {API_URL_CHARS, "https://a.example/%zz", false},
        {API_URL_CHARS, "https://a.example/#f", false},
        {API_AUTH_CHARS, " \tp\u00e4ss word", true},
        {API_AUTH_CHARS, "user:password", false},
        {API_AUTH_CHARS, "a\nb", false},
        {API_AUTH_CHARS, "\t", false},
        {API_HEADER_NAME, "x-a_b!", true},
        {API_HEADER_NAME, "x a", false},
        {API_HEADER_VALUE, "a\tb c", true},
        {API_HEADER_VALUE, "\u00e4", false},
        {API_HEADER_VALUE, "a\r", false},
        {API_PLAIN_CHARS, "\u00e4:b", true},
        {API_PLAIN_CHARS, "a\tb", false},
        {API_PLAIN_CHARS, "a\177", false},
        {API_NOT_BLANK, " a ", true},
        {API_NOT_BLANK, " \t", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct api_member table[] = {
            {"T", API_TEXT, true, 0, 64, cases[i].charset, NULL},
            API_MEMBERS_END,
        };
        json_t *given = json_pack("{s:s}", "T", cases[i].text);
        struct err_why why;

        assert_non_null(given);
        if ((api_shape_check(given, table, &why) == ERR_OK) != cases[i].fits) {
            fail_msg("case %zu: %s", i, cases[i].text);
        }
        json_decref(given);
    }
}

/* An ARN may be longer than a name; a secret is said back by no message. */
static void a_name_may_be_an_arn_and_a_secret_stays_one(void **state)
{
    static const struct api_member table[] = {
        {"Name", API_TEXT, true, 1, 8, API_NAME_OR_ARN, NULL},
        {"Secret", API_SECRET, false, 1, 4, API_AUTH_CHARS, NULL},
        API_MEMBERS_END,
    };

    (void)state;
    assert_null(told_by(table, "{\"Name\":\"arn:aws:events:r:1:connection/n\"}", ERR_OK));
    assert_non_null(told_by(table, "{\"Name\":\"ninechars\"}", ERR_BAD_REQUEST));
    assert_string_equal(told_by(table, "{\"Name\":\"n\",\"Secret\":\"hidden\"}", ERR_BAD_REQUEST),
                        "1 validation error detected: Value at 'secret' " BROKEN
                        "have length less than or equal to 4");
    assert_null(
        strstr(told_by(table, "{\"Name\":\"n\",\"Secret\":\"a:b\"}", ERR_BAD_REQUEST), "a:b"));
}

/* What no rule spells; and a connection's parameters are lists, whose items have members. */
static void a_connection_has_two_spellings(void **state)
{
    json_t *aws = json_loads(
        "{\"OAuthParameters\":{\"ClientParameters\":{\"ClientID\":\"c\",\"ClientSecret\":\"s\"},"
        "\"AuthorizationEndpoint\":\"u\",\"OAuthHttpParameters\":{\"HeaderParameters\":"
        "[{\"Key\":\"X\",\"Value\":\"v\",\"IsValueSecret\":true}]}}}",
        0, NULL);
    json_t *catalog = json_loads(
        "{\"oauth_parameters\":{\"client_parameters\":{\"client_id\":\"c\","
        "\"client_secret\":\"s\"},\"authorization_endpoint\":\"u\",\"oauth_http_parameters\":"
        "{\"header_parameters\":[{\"key\":\"X\",\"value\":\"v\",\"is_value_secret\":true}]}}}",
        0, NULL);
    json_t *made = api_to_catalog(aws);
    json_t *back = api_from_catalog(catalog);

    (void)state;
    assert_true(json_equal(made, catalog));
    assert_true(json_equal(back, aws));
    json_decref(aws);
    json_decref(catalog);
    json_decref(made);
    json_decref(back);
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
    json_t *made = api_to_catalog(aws);
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
    json_t *made = api_to_catalog(aws);

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
        cmocka_unit_test(texts_are_what_their_sets_say),
        cmocka_unit_test(a_name_may_be_an_arn_and_a_secret_stays_one),
        cmocka_unit_test(a_target_has_two_spellings),
        cmocka_unit_test(a_connection_has_two_spellings),
        cmocka_unit_test(a_key_of_another_spelling_is_no_member),
        cmocka_unit_test(a_bus_has_two_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
