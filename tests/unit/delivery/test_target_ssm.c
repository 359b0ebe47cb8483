/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_ssm.c - runbooks, what an input becomes, and what Systems Manager answers.
 */
#include "target_bench.h"

#define RUNBOOK "arn:aws:ssm:eu-west-1:111122223333:automation-definition/Weir-Isolate"
#define SHARED  "arn:aws:ssm:eu-west-1:999999999999:document/Weir-Isolate"

static void test_only_runbooks_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn:aws:ssm:eu-west-1:111122223333:parameter/x",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition/",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition/ab",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition/a b c",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition/abc:",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition/abc:1:2",
        "arn:aws:ssm:eu-west-1:111122223333:automation-definition:abc",
        "arn:aws:ssm::111122223333:automation-definition/abc",
        "arn:aws:ssm:eu-west-1::document/AWS-StopEC2Instance",
    };

    (void)state;
    bench_refuses(&target_ssm, refused, ARRAY_LEN(refused));
}

/* An item whose input was made, unlike bench_item()'s, which is the event itself. */
static struct target_item made(const char *input)
{
    struct target_item item = bench_item(input);

    item.event = SLICE("{\"the\":\"event\"}");
    return item;
}

static void test_documents_and_versions(void **state)
{
    static const struct {
        const char *arn;
        const char *document;
    } rows[] = {
        {RUNBOOK, "{\"DocumentName\":\"Weir-Isolate\",\"ClientToken\""},
        {RUNBOOK ":$LATEST", "{\"DocumentName\":\"Weir-Isolate\",\"DocumentVersion\":\"$LATEST\","},
        {RUNBOOK ":7", "{\"DocumentName\":\"Weir-Isolate\",\"DocumentVersion\":\"7\",\"Client"},
        {SHARED, "{\"DocumentName\":\"" SHARED "\",\"ClientToken\""},
        {SHARED ":$DEFAULT", "{\"DocumentName\":\"" SHARED "\",\"DocumentVersion\":\"$DEFAULT\","},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = bench_item("{}");
        struct bench b;

        bench_open(&b, rows[i].arn, NULL);
        assert_true(
            slice_has_prefix(slice_of(bench_build(&b, &item, 1)), slice_of(rows[i].document)));
        assert_string_equal(bench_header(&b, "x-amz-target"), "AmazonSSM.StartAutomationExecution");
        assert_string_equal(bench_header(&b, "content-type"), "application/x-amz-json-1.1");
        assert_string_equal(b.request.url, "https://ssm.eu-west-1.amazonaws.com/");
        bench_close(&b);
    }
}

/* What stands behind the client token, or why the input cannot be. */
static const char *input_of(struct bench *b, const struct target_item *item)
{
    struct target_verdict verdict;
    const char *body;

    if (!b->target->ops->check(b->target, item, &verdict)) {
        assert_int_equal(verdict.action, TARGET_BURY);
        return verdict.reason;
    }
    body = bench_build(b, item, 1);
    body = strstr(body, "\"ClientToken\":\"");
    assert_non_null(body);
    return body + strlen("\"ClientToken\":\"") + 36 + 1;
}

/* Goal:   an input becomes parameters, or members of the request.
 * Method: a row per form; what cannot be one is a dead letter before any call. */
static void test_what_an_input_becomes(void **state)
{
    static const struct {
        const char *input;
        const char *wanted;
    } rows[] = {
        {"{}", ",\"Parameters\":{}}"},
        {"{\"InstanceId\":\"i-1\"}", ",\"Parameters\":{\"InstanceId\":[\"i-1\"]}}"},
        {" { \"A\" : [ \"x\" , \"y\" ] , \"B\" : [ ] } ",
         ",\"Parameters\":{\"A\":[\"x\",\"y\"],\"B\":[]}}"},
        {"{\"n\":5,\"f\":1.5e3,\"t\":true,\"l\":[1,false]}",
         ",\"Parameters\":{\"n\":[\"5\"],\"f\":[\"1.5e3\"],\"t\":[\"true\"],\"l\":[\"1\",\"false\"]"
         "}}"},
        {"{\"a\\u0062\":\"c\\n\\\"\"}", ",\"Parameters\":{\"ab\":[\"c\\n\\\"\"]}}"},
        {"{\"Parameters\":{\"A\":\"x\"},\"TargetLocations\":[{\"Accounts\":[\"1\"]}]}",
         ",\"Parameters\":{\"A\":[\"x\"]},\"TargetLocations\":[{\"Accounts\":[\"1\"]}]}"},
        {"{\"MaxErrors\":\"10%\",\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}",
         ",\"MaxErrors\":\"10%\",\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}"},
        {"{\"A\":null}", "invalid-input"},
        {"{\"A\":{\"b\":1}}", "invalid-input"},
        {"{\"A\":[[\"b\"]]}", "invalid-input"},
        {"{\"Parameters\":{},\"Other\":1}", "invalid-input"},
        {"{\"Other\":1,\"Mode\":\"Auto\"}", "invalid-input"},
        {"{\"Parameters\":[]}", "invalid-input"},
        {"{\"DocumentName\":\"Other\",\"Mode\":\"Auto\"}", "invalid-input"},
        {"{\"ClientToken\":\"x\",\"Mode\":\"Auto\"}", "invalid-input"},
        {"[]", "invalid-input"},
        {"\"text\"", "invalid-input"},
        {"{\"A\":\"x\"", "invalid-input"},
        {"", "invalid-input"},
    };
    struct bench b;

    (void)state;
    bench_open(&b, RUNBOOK, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = made(rows[i].input);
        const char *got = input_of(&b, &item);

        if (strcmp(got, rows[i].wanted) != 0) {
            fail_msg("%s became %s", rows[i].input, got);
        }
    }
    bench_close(&b);
}

/* Goal: where no input was configured, the runbook is started without parameters. */
static void test_the_event_itself_is_no_parameters(void **state)
{
    const struct target_item item = bench_item("{\"detail\":{\"a\":[{}]}}");
    struct bench b;

    (void)state;
    bench_open(&b, RUNBOOK, NULL);
    assert_string_equal(input_of(&b, &item), "}");
    bench_close(&b);
}

static void test_the_token_is_a_uuid_that_stays(void **state)
{
    struct target_item item = made("{\"A\":\"x\"}");
    char first[37];
    struct bench b;
    const char *token;

    (void)state;
    bench_open(&b, RUNBOOK, NULL);
    token = strstr(bench_build(&b, &item, 1), "\"ClientToken\":\"") + strlen("\"ClientToken\":\"");
    memcpy(first, token, 36);
    first[36] = '\0';
    for (size_t i = 0; i < 36; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        assert_true(is_dash ? first[i] == '-' : strchr("0123456789abcdef", first[i]) != NULL);
    }
    assert_int_equal(first[14], '8');
    assert_non_null(strchr("89ab", first[19]));
    item.body = SLICE("{\"A\":\"changed\"}");
    assert_non_null(strstr(bench_build(&b, &item, 1), first));
    item.event_id = SLICE("another");
    assert_null(strstr(bench_build(&b, &item, 1), first));
    bench_close(&b);
}

#define FAULT(name) "{\"__type\":\"" name "\",\"message\":\"m\"}"

static void test_how_replies_are_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(200, "{\"AutomationExecutionId\":\"c0ffee00-1111-2222-3333-444455556666\"}"),
        BENCH_SETTLED(400, FAULT("IdempotentParameterMismatch")),
        BENCH_RETRIED(200, "{}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "[]", ERR_REMOTE_FAILED),
        BENCH_RETRIED(400, FAULT("AutomationExecutionLimitExceededException"),
                      ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(400, FAULT("ThrottlingException"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(500, FAULT("InternalServerError"), ERR_REMOTE_FAILED),
        BENCH_BURIED(400, FAULT("AutomationDefinitionNotFoundException"), ERR_REMOTE_MISSING,
                     "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("AutomationDefinitionVersionNotFoundException"), ERR_REMOTE_MISSING,
                     "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("AccessDeniedException"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_REJECTED(400, FAULT("InvalidAutomationExecutionParametersException"),
                       "invalid-input"),
        BENCH_REJECTED(400, FAULT("InvalidTarget"), "invalid-input"),
        BENCH_REJECTED(400, FAULT("ValidationException"), "SDK_CLIENT_ERROR"),
        BENCH_RENEWED(400, FAULT("ExpiredTokenException")),
    };
    struct bench b;

    (void)state;
    bench_open(&b, RUNBOOK, NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_runbooks_open),
        cmocka_unit_test(test_documents_and_versions),
        cmocka_unit_test(test_what_an_input_becomes),
        cmocka_unit_test(test_the_event_itself_is_no_parameters),
        cmocka_unit_test(test_the_token_is_a_uuid_that_stays),
        cmocka_unit_test(test_how_replies_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
