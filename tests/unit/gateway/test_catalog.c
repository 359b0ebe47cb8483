/* SPDX-License-Identifier: Apache-2.0
 *
 * test_catalog.c - a catalog file read, checked, planned, absorbed and written again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "gateway/catalog_check.h"
#include "gateway/catalog_file.h"
#include "gateway/catalog_plan.h"

#define QUEUE "arn:aws:sqs:us-east-1:999999999999:findings"

static const char example[] =
    "{\"accounts\":[{\"id\":\"111122223333\",\"name\":\"a\","
    "\"limits\":{\"events_per_second\":5,\"burst\":10}}],"
    "\"rules\":[{\"bus\":\"central\",\"name\":\"high\","
    "\"pattern\":{\"detail\":{\"severity\":[{\"numeric\":[\">=\",0.10]}]}},"
    "\"targets\":[{\"id\":\"soar\",\"arn\":\"" QUEUE "\"}]}]}";

static json_t *read_file(const char *text)
{
    struct err_why why = {.text = ""};
    json_t *file = NULL;

    if (catalog_file_read(slice_of(text), &file, &why) != ERR_OK) {
        fail_msg("%s: %s", text, why.text);
    }
    return file;
}

/* Apply as control does, with the store played by this function. */
static enum err apply_as(struct catalog *catalog, const char *text, const char *manager,
                         bool take_over, size_t *change_count, struct err_why *why)
{
    const struct catalog_plan_options options = {.manager = slice_of(manager),
                                                 .take_over = take_over};
    json_t *file = read_file(text);
    json_t *changes = NULL;
    struct catalog_edit edit;
    enum err err;

    catalog_edit_init(&edit);
    err = catalog_plan(catalog, file, &options, &edit, &changes, why);
    *change_count = json_array_size(changes);
    if (err == ERR_OK) {
        for (size_t i = 0; i < edit.count; i++) {
            edit.documents[i].rev = catalog->rev + 1;
        }
        err = catalog_absorb(catalog, edit.documents, edit.count, catalog->rev + 1, why);
    }
    catalog_edit_clean_up(&edit);
    json_decref(changes);
    json_decref(file);
    return err;
}

static size_t apply(struct catalog *catalog, const char *text)
{
    struct err_why why = {.text = ""};
    size_t count;
    const enum err err = apply_as(catalog, text, "apply:default", false, &count, &why);

    if (err != ERR_OK) {
        fail_msg("%s: %s", text, why.text);
    }
    return count;
}

static json_int_t uid_of(const struct catalog *catalog, const char *rule, size_t index)
{
    const struct catalog_document *document = catalog_get(catalog, slice_of(rule));

    assert_non_null(document);
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(document->value, "targets"), index), "uid"));
}

static void test_applying_twice_changes_nothing(void **state)
{
    struct catalog catalog;

    (void)state;
    catalog_init(&catalog);
    assert_int_equal(apply(&catalog, example), 2);
    assert_int_equal(apply(&catalog, example), 0);
    catalog_clean_up(&catalog);
}

static void test_a_pattern_keeps_its_spelling(void **state)
{
    struct catalog catalog;
    const struct catalog_document *rule;
    struct buf out;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, example);
    rule = catalog_get(&catalog, SLICE("rule/central/high"));
    assert_non_null(rule);
    assert_string_equal(json_string_value(json_object_get(rule->value, "pattern")),
                        "{\"detail\":{\"severity\":[{\"numeric\":[\">=\",0.10]}]}}");
    buf_init(&out, 65536);
    assert_int_equal(catalog_file_write(&catalog, &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, '\0'), ERR_OK);
    assert_non_null(strstr(out.data, "\"pattern\":{\"detail\":{\"severity\":[{\"numeric\":[\">=\","
                                     "0.10]}]}}"));
    assert_null(strstr(out.data, "manager"));
    assert_null(strstr(out.data, "uid"));
    assert_int_equal(apply(&catalog, out.data), 0); /* the round trip is identity */
    buf_clean_up(&out);
    catalog_clean_up(&catalog);
}

#define INPUT_TARGET(id, rest) "{\"id\":\"" id "\",\"arn\":\"" QUEUE "\"," rest "}"
#define INPUT_RULE(targets)                                                                        \
    "{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},"                     \
    "\"targets\":[" targets "]}]}"

/* Goal: inputs come back as they were written, whatever their variables are called. */
static void test_inputs_survive_the_round_trip(void **state)
{
    static const char text[] =
        INPUT_RULE(INPUT_TARGET("a", "\"input\":\"{\\\"a\\\": 1.50}\"") "," INPUT_TARGET(
            "b",
            "\"input_path\":\"$.detail.uid\"") "," INPUT_TARGET("c",
                                                                "\"input_transformer\":{\"input_"
                                                                "paths_map\":{\"uid\":\"$.id\","
                                                                "\"pattern\":\"$.detail\","
                                                                "\"manager\":\"$.source\","
                                                                "\"is_suspended\":\"$.time\"},"
                                                                "\"input_template\":\"{\\\"m\\\": "
                                                                "<manager>, \\\"u\\\": "
                                                                "\\\"<uid>\\\"}\"}"));
    const struct slice targets = slice_of(strchr(text, 'p')); /* from the pattern on */
    struct catalog catalog;
    struct buf out;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, text);
    buf_init(&out, 65536);
    assert_int_equal(catalog_file_write(&catalog, &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, '\0'), ERR_OK);
    /* Up to the end of the rules: other sections follow. */
    assert_non_null(memmem(out.data, out.len, targets.data, targets.len - 1));
    assert_int_equal(apply(&catalog, out.data), 0);
    buf_clean_up(&out);
    catalog_clean_up(&catalog);
}

static void test_each_mistake_of_an_input_has_its_path(void **state)
{
#define MAP(map, template)                                                                         \
    "\"input_transformer\":{\"input_paths_map\":" map ",\"input_template\":\"" template "\"}"
    static const struct {
        const char *text;
        const char *path; /* below the target */
        const char *message;
    } rows[] = {
        {INPUT_RULE(INPUT_TARGET("t", "\"input\":{}")), ".input", "must be a string"},
        {INPUT_RULE(INPUT_TARGET("t", "\"input\":\"text\"")), ".input", "byte 1"},
        {INPUT_RULE(INPUT_TARGET("t", "\"input_path\":\"detail\"")), ".input_path",
         "a path begins with $"},
        {INPUT_RULE(INPUT_TARGET("t", "\"input\":\"1\",\"input_path\":\"$\"")), "",
         "only one of input, input_path and input_transformer may be given"},
        {INPUT_RULE(INPUT_TARGET("t", "\"input_transformer\":{}")),
         ".input_transformer.input_template", "is required"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{\"a b\":\"$.id\"}", "{}"))),
         ".input_transformer.input_paths_map.a b", "consists of A-Z"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{\"AWS.x\":\"$.id\"}", "{}"))),
         ".input_transformer.input_paths_map.AWS.x", "reserved"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{\"x\":\"$..id\"}", "{}"))),
         ".input_transformer.input_paths_map.x", "at byte 2 of the path"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{\"x\":7}", "{}"))),
         ".input_transformer.input_paths_map.x", "must be a string"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{\"x\":\"$.id\"}", "{\\\"a\\\":<y>}"))),
         ".input_transformer.input_template", "contains invalid placeholder y"},
        {INPUT_RULE(INPUT_TARGET("t", MAP("{}", "plain text"))),
         ".input_transformer.input_template", "byte 0"},
        {INPUT_RULE("{\"id\":\"t\",\"arn\":\"arn:aws:sqs:us-east-1:999999999999:q.fifo\","
                    "\"sqs_parameters\":{\"message_group_id\":\"$.a b\"}}"),
         ".sqs_parameters.message_group_id", "at byte 3 of the path"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *file = read_file(rows[i].text);
        json_t *mistakes = catalog_check(file);
        const json_t *first = json_array_get(mistakes, 0);
        const char *path = json_string_value(json_object_get(first, "path"));
        const char *message = json_string_value(json_object_get(first, "message"));

        if (path == NULL || !slice_has_prefix(slice_of(path), SLICE("rules[0].targets[0]")) ||
            strcmp(path + strlen("rules[0].targets[0]"), rows[i].path) != 0 ||
            strstr(message, rows[i].message) == NULL) {
            fail_msg("%s: got %s: %s", rows[i].text, path != NULL ? path : "nothing",
                     message != NULL ? message : "");
        }
        json_decref(mistakes);
        json_decref(file);
    }
#undef MAP
}

static void test_what_the_file_lacks_is_deleted_only_in_its_sections(void **state)
{
    struct catalog catalog;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, example);
    assert_int_equal(apply(&catalog, "{\"rules\":[]}"), 1);
    assert_null(catalog_get(&catalog, SLICE("rule/central/high")));
    assert_non_null(catalog_get(&catalog, SLICE("account/111122223333")));
    catalog_clean_up(&catalog);
}

static void test_a_target_keeps_its_uid_and_no_uid_comes_back(void **state)
{
    static const char two[] = "{\"rules\":[{\"bus\":\"central\",\"name\":\"high\",\"pattern\":"
                              "{\"source\":[\"a\"]},\"targets\":[{\"id\":\"new\",\"arn\":\"" QUEUE
                              "\"},{\"id\":\"soar\",\"arn\":\"" QUEUE "2\"}]}]}";
    struct catalog catalog;
    json_int_t first;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, example);
    first = uid_of(&catalog, "rule/central/high", 0);
    (void)apply(&catalog, two);
    assert_int_equal(uid_of(&catalog, "rule/central/high", 1), first);
    assert_true(uid_of(&catalog, "rule/central/high", 0) > first);
    (void)apply(&catalog, "{\"rules\":[]}");
    (void)apply(&catalog, example);
    assert_true(uid_of(&catalog, "rule/central/high", 0) > first + 1);
    catalog_clean_up(&catalog);
}

static void test_another_managers_object_is_left_alone_unless_taken_over(void **state)
{
    struct catalog catalog;
    struct err_why why = {.text = ""};
    size_t count;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, example);
    assert_int_equal(apply_as(&catalog, example, "apply:other", false, &count, &why), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "account/111122223333 is managed by apply:default"));
    assert_int_equal(apply_as(&catalog, "{\"rules\":[]}", "apply:other", false, &count, &why),
                     ERR_OK);
    assert_int_equal(count, 0);
    assert_non_null(catalog_get(&catalog, SLICE("rule/central/high")));
    assert_int_equal(apply_as(&catalog, example, "apply:other", true, &count, &why), ERR_OK);
    assert_int_equal(count, 2);
    catalog_clean_up(&catalog);
}

/* As an operator issues one: it belongs to the account and is managed by nobody who applies. */
static void issue(struct catalog *catalog, const char *id, const char *account)
{
    json_t *value = json_pack("{s:s, s:s, s:s}", "id", id, "account", account, "kind", "sigv4");
    struct err_why why = {.text = ""};
    struct catalog_edit edit;
    char name[64];

    (void)snprintf(name, sizeof(name), "credential/%s", id);
    catalog_edit_init(&edit);
    catalog_edit_put(&edit, catalog, slice_of(name), value);
    edit.documents[0].rev = catalog->rev + 1;
    assert_int_equal(catalog_absorb(catalog, edit.documents, 1, catalog->rev + 1, &why), ERR_OK);
    catalog_edit_clean_up(&edit);
    json_decref(value);
}

/* Goal: an account that is deleted takes its credentials with it, so that they do not come back to
 * life with an account of the same id; those of others stay. */
static void test_a_deleted_account_takes_its_credentials_along(void **state)
{
    struct catalog catalog;

    (void)state;
    catalog_init(&catalog);
    (void)apply(&catalog, example);
    (void)apply(&catalog, "{\"accounts\":[{\"id\":\"111122223333\",\"name\":\"a\"},"
                          "{\"id\":\"444455556666\",\"name\":\"b\"}]}");
    issue(&catalog, "AKIDONE", "111122223333");
    issue(&catalog, "AKIDTWO", "111122223333");
    issue(&catalog, "AKIDOTHER", "444455556666");
    assert_int_equal(apply(&catalog, "{\"accounts\":[{\"id\":\"444455556666\",\"name\":\"b\"}]}"),
                     3);
    assert_null(catalog_get(&catalog, SLICE("account/111122223333")));
    assert_null(catalog_get(&catalog, SLICE("credential/AKIDONE")));
    assert_null(catalog_get(&catalog, SLICE("credential/AKIDTWO")));
    assert_non_null(catalog_get(&catalog, SLICE("credential/AKIDOTHER")));
    catalog_clean_up(&catalog);
}

static void test_each_mistake_has_its_path(void **state)
{
    static const struct {
        const char *text;
        const char *path;
        const char *message;
    } rows[] = {
        {"{\"acounts\":[]}", "acounts", "unknown member"},
        {"{\"accounts\":{}}", "accounts", "must be a list"},
        {"{\"accounts\":[{}]}", "accounts[0].id", "is required"},
        {"{\"accounts\":[{\"id\":\"12\"}]}", "accounts[0].id", "12-digit"},
        {"{\"accounts\":[{\"id\":\"111122223333\"},{\"id\":\"111122223333\"}]}", "accounts[1]",
         "a second time"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"limits\":{\"events_per_second\":-1}}]}",
         "accounts[0].limits.events_per_second", "whole number"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"limits\":{\"burst\":1}}]}",
         "accounts[0].limits.burst", "events_per_second"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"sources\":[7]}]}", "accounts[0].sources[0]",
         "must be a string"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"may_forward_for\":[\"x\"]}]}",
         "accounts[0].may_forward_for[0]", "12-digit"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"window\":\"x\"}}]}",
         "accounts[0].dedup.window", "span of time"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"window\":\"25h\"}}]}",
         "accounts[0].dedup.window", "at most 86400s"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"magic\"]}}]}",
         "accounts[0].dedup.by[0]", "explicit, id, invocation"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":\"id\"}}]}",
         "accounts[0].dedup.by", "a list of at most 8"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"id\",\"content\",\"id\"]}}]"
         "}",
         "accounts[0].dedup.by[2]", "twice"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"content\",\"detail.id\"]}}]"
         "}",
         "accounts[0].dedup.by[1]", "a path among layers"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"detail.id\",\"content\"]}}]"
         "}",
         "accounts[0].dedup.by[1]", "no dot"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"detail.id\",\"detail.id\"]}}"
         "]}",
         "accounts[0].dedup.by[1]", "twice"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"other.id\"]}}]}",
         "accounts[0].dedup.by[0]", "member of the envelope"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"detail.\"]}}]}",
         "accounts[0].dedup.by[0]", "names joined by dots"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"detail.a0\",\"detail.a1\","
         "\"detail.a2\",\"detail.a3\",\"detail.a4\",\"detail.a5\",\"detail.a6\",\"detail.a7\","
         "\"detail.a8\"]}}]}",
         "accounts[0].dedup.by", "a list of at most 8"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[\"id\",{\"paths\":[\"detail."
         "a0\",\"detail.a1\",\"detail.a2\",\"detail.a3\",\"detail.a4\",\"detail.a5\",\"detail.a6\","
         "\"detail.a7\",\"detail.a8\"]}]}}]}",
         "accounts[0].dedup.by[1].paths", "1 to 8 paths"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[{\"paths\":[]}]}}]}",
         "accounts[0].dedup.by[0].paths", "1 to 8 paths"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[{\"paths\":[\"detail.x\",7]}]}"
         "}]}",
         "accounts[0].dedup.by[0].paths[1]", "must be a path"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dedup\":{\"by\":[{\"path\":[\"detail.x\"]}]}}]"
         "}",
         "accounts[0].dedup.by[0]", "and no more"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dispatch_role\":{\"arn\":\"role\"}}]}",
         "accounts[0].dispatch_role.arn", "ARN of a role"},
        {"{\"accounts\":[{\"id\":\"111122223333\",\"dispatch_role\":{\"arn\":\"arn:aws:iam::"
         "{account}:role/r\"}}]}",
         "accounts[0].dispatch_role.arn", "ARN of a role"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE
         "\",\"role_arn\":\"arn:aws:sqs:us-east-1:999999999999:q\"}]}]}",
         "rules[0].targets[0].role_arn", "ARN of a role"},
        {"{\"buses\":[{\"account\":\"111122223333\",\"name\":\"a b\"}]}", "buses[0].name",
         "must consist of"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\"}]}", "rules[0]",
         "needs a pattern or a schedule_expression"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[]}}]}",
         "rules[0].pattern", "Empty arrays are not allowed"},
        {"{\"rules\":[{\"bus\":\"x\",\"name\":\"r\",\"pattern\":{\"a\":[1]}}]}", "rules[0].bus",
         "ACCOUNT/NAME"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"state\":\"ON\"}"
         "]}",
         "rules[0].state", "ENABLED or DISABLED"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"arn:aws:nosuch:us-east-1:999999999999:f\"}]}]}",
         "rules[0].targets[0].arn", "targets of service \"nosuch\" are not supported"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"soar\"}]}]}",
         "rules[0].targets[0].arn", "is not an ARN"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"arn:aws:lambda:us-east-1:{account}:f\"}]}]}",
         "rules[0].targets[0].arn", "a Lambda ARN is arn:aws:lambda:"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"arn:aws:sns:us-east-1:{account}:t\",\"sns_parameters\":"
         "{\"message_group_id\":\"g\"}}]}]}",
         "rules[0].targets[0].sns_parameters", "FIFO"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"sns_parameters\":{}}]}]}",
         "rules[0].targets[0].sns_parameters", "is for targets of service sns"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"arn:aws:events:us-east-1:{account}:event-bus/b\","
         "\"input_path\":\"$.detail\"}]}]}",
         "rules[0].targets[0].input_path", "a bus gets the event itself"},
        {"{\"rules\":[{\"bus\":\"111122223333/default\",\"name\":\"r\",\"pattern\":{\"a\":[1]},"
         "\"targets\":[{\"id\":\"t\",\"arn\":\"arn:aws:sqs:us-east-1:{account}:q\"}]}]}",
         "rules[0].targets[0].arn", "central bus"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"dead_letter_config\":{\"arn\":\"" QUEUE
         ".fifo\"}}]}]}",
         "rules[0].targets[0].dead_letter_config.arn", "standard queue"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"dead_letter_config\":{\"arn\":\"arn:aws:sns:r:"
         "999999999999:t\"}}]}]}",
         "rules[0].targets[0].dead_letter_config.arn", "sqs"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"retry_policy\":{"
         "\"maximum_event_age_in_seconds\":59}}]}]}",
         "rules[0].targets[0].retry_policy.maximum_event_age_in_seconds", "at least 60"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"retry_policy\":{"
         "\"maximum_retry_attempts\":186}}]}]}",
         "rules[0].targets[0].retry_policy.maximum_retry_attempts", "0 to 185"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"http_parameters\":{}}]}]}",
         "rules[0].targets[0].http_parameters", "is for API destinations"},
        {"{\"replays\":[]}", "replays", "unknown member"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\"},{\"id\":\"t\",\"arn\":\"" QUEUE "\"}]}]}",
         "rules[0].targets[1]", "target t stands here a second time"},
        {"{\"rules\":[{\"bus\":\"central\",\"name\":\"r\",\"pattern\":{\"a\":[1]},\"targets\":[{"
         "\"id\":\"t\",\"arn\":\"" QUEUE "\",\"sqs_parameters\":{\"message_group_id\":\"g\"}}]}]}",
         "rules[0].targets[0].sqs_parameters", "FIFO"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *file = read_file(rows[i].text);
        json_t *mistakes = catalog_check(file);
        const json_t *first = json_array_get(mistakes, 0);
        const char *path = json_string_value(json_object_get(first, "path"));
        const char *message = json_string_value(json_object_get(first, "message"));

        if (path == NULL || strcmp(path, rows[i].path) != 0 || message == NULL ||
            strstr(message, rows[i].message) == NULL) {
            fail_msg("%s: got %s: %s", rows[i].text, path != NULL ? path : "nothing",
                     message != NULL ? message : "");
        }
        json_decref(mistakes);
        json_decref(file);
    }
}

static void test_broken_text_is_told_with_its_place(void **state)
{
    static const char *const texts[] = {"", "{", "{\"rules\":[{\"pattern\":{\"a\":[1]}",
                                        "{\"accounts\":[],\"accounts\":[]}", "{} x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err_why why = {.text = ""};
        json_t *file = NULL;

        assert_int_equal(catalog_file_read(slice_of(texts[i]), &file, &why), ERR_BAD_CATALOG);
        assert_null(file);
        assert_true(why.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_applying_twice_changes_nothing),
        cmocka_unit_test(test_a_pattern_keeps_its_spelling),
        cmocka_unit_test(test_inputs_survive_the_round_trip),
        cmocka_unit_test(test_each_mistake_of_an_input_has_its_path),
        cmocka_unit_test(test_what_the_file_lacks_is_deleted_only_in_its_sections),
        cmocka_unit_test(test_a_target_keeps_its_uid_and_no_uid_comes_back),
        cmocka_unit_test(test_another_managers_object_is_left_alone_unless_taken_over),
        cmocka_unit_test(test_a_deleted_account_takes_its_credentials_along),
        cmocka_unit_test(test_each_mistake_has_its_path),
        cmocka_unit_test(test_broken_text_is_told_with_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
