/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_states.c - executions that are started once, and what Step Functions answers.
 */
#include "target_bench.h"

#define MACHINE "arn:aws:states:eu-west-1:111122223333:stateMachine:Contain"

static void test_only_machines_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn:aws:states:eu-west-1:111122223333:Contain",
        "arn:aws:states:eu-west-1:111122223333:stateMachine:",
        "arn:aws:states:eu-west-1:111122223333:stateMachine:a b",
        "arn:aws:states:eu-west-1:111122223333:stateMachine:a:b:c",
        "arn:aws:states:eu-west-1:111122223333:stateMachine:a:",
        "arn:aws:states:eu-west-1:111122223333:execution:a:b",
        "arn:aws:states::111122223333:stateMachine:a",
        "arn:aws:states:eu-west-1:11112222333:stateMachine:a",
    };
    struct err_why why;

    (void)state;
    bench_refuses(&target_states, refused, ARRAY_LEN(refused));
    assert_int_equal(target_check_arn(SLICE(MACHINE ":live"), &why), ERR_OK);
}

static void test_an_execution_is_started(void **state)
{
    const struct target_item item = bench_item("{\"a\":\"b\"}");
    struct bench b;
    const char *body;

    (void)state;
    bench_open(&b, MACHINE ":live", NULL);
    body = bench_build(&b, &item, 1);
    assert_non_null(strstr(body, "{\"stateMachineArn\":\"" MACHINE ":live\",\"name\":\"weir-"));
    assert_non_null(strstr(body, "\",\"input\":\"{\\\"a\\\":\\\"b\\\"}\"}"));
    assert_string_equal(b.request.url, "https://states.eu-west-1.amazonaws.com/");
    assert_string_equal(bench_header(&b, "x-amz-target"), "AWSStepFunctions.StartExecution");
    assert_string_equal(bench_header(&b, "content-type"), "application/x-amz-json-1.0");
    assert_string_equal(bench_text(&b, b.request.service), "states");
    bench_close(&b);
}

/* The name alone, out of a request's body. */
static const char *name_of(struct bench *b, const struct target_item *item)
{
    char *name = strstr(bench_build(b, item, 1), "\"name\":\"");
    char *end;

    assert_non_null(name);
    name += strlen("\"name\":\"");
    end = strchr(name, '"');
    assert_non_null(end);
    *end = '\0';
    assert_int_equal(strlen(name), 69);
    assert_true(strlen(name) <= 80);
    return name;
}

/* Goal:   the name is the same for every attempt, also after the input's template was changed, and
 *         different for everything that is another delivery.
 * Method: change one field at a time. */
static void test_the_name_is_the_deliverys_identity(void **state)
{
    const struct target_item item = bench_item("{\"a\":1}");
    struct target_item others[6];
    struct target_item same = item;
    struct bench b;
    const char *name;

    (void)state;
    bench_open(&b, MACHINE, NULL);
    name = name_of(&b, &item);
    same.body = SLICE("{\"made\":\"otherwise\"}");
    assert_string_equal(name_of(&b, &same), name);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = item;
    }
    others[0].event = SLICE("{\"a\":2}");
    others[1].event_id = SLICE("another");
    others[2].account = SLICE("444455556666");
    others[3].rule = SLICE("central/low");
    others[4].target_id = SLICE("soar2");
    others[5].step = SLICE("contain");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (strcmp(name_of(&b, &others[i]), name) == 0) {
            fail_msg("row %zu has the same name", i);
        }
    }
    /* fields that only together read alike */
    same = item;
    same.rule = SLICE("central/highs");
    same.target_id = SLICE("oar");
    assert_string_not_equal(name_of(&b, &same), name);
    bench_close(&b);
}

static void test_what_may_be_sent(void **state)
{
    struct target_item item = bench_item("{}");
    struct target_verdict verdict;
    struct bench b;
    char *large = malloc(262145);

    (void)state;
    assert_non_null(large);
    memset(large, ' ', 262145);
    bench_open(&b, MACHINE, NULL);
    item.body = (struct slice){large, 262144};
    assert_true(b.target->ops->check(b.target, &item, &verdict));
    item.body.len++;
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    assert_string_equal(verdict.reason, "message-too-large");
    bench_close(&b);
    free(large);
}

#define FAULT(name) "{\"__type\":\"com.amazonaws.states#" name "\",\"message\":\"m\"}"

static void test_how_replies_are_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(200, "{\"executionArn\":\"arn:aws:states:e\",\"startDate\":1767225600.123}"),
        BENCH_SETTLED(200, "{\"startDate\":1.5,\"more\":[{}],\"executionArn\":\"a\"}"),
        BENCH_SETTLED(400, FAULT("ExecutionAlreadyExists")),
        BENCH_RETRIED(200, "{}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "{\"executionArn\":", ERR_REMOTE_FAILED),
        BENCH_RETRIED(400, FAULT("ExecutionLimitExceeded"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(400, FAULT("KmsThrottlingException"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(400, FAULT("ThrottlingException"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(500, "", ERR_REMOTE_FAILED),
        BENCH_BURIED(400, FAULT("StateMachineDoesNotExist"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("StateMachineDeleting"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("InvalidArn"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("KmsInvalidStateException"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("KmsAccessDeniedException"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(400, FAULT("AccessDeniedException"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_REJECTED(400, FAULT("InvalidExecutionInput"), "invalid-message"),
        BENCH_REJECTED(400, FAULT("InvalidName"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(400, FAULT("ValidationException"), "SDK_CLIENT_ERROR"),
        BENCH_RENEWED(400, FAULT("ExpiredTokenException")),
        BENCH_RENEWED(400, FAULT("UnrecognizedClientException")),
    };
    struct bench b;

    (void)state;
    bench_open(&b, MACHINE, NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_machines_open),
        cmocka_unit_test(test_an_execution_is_started),
        cmocka_unit_test(test_the_name_is_the_deliverys_identity),
        cmocka_unit_test(test_what_may_be_sent),
        cmocka_unit_test(test_how_replies_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
