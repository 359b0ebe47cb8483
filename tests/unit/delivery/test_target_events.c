/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_events.c - events sent on to other buses, once, and what PutEvents answers.
 */
#include "target_bench.h"

#define BUS "arn:aws:events:eu-west-1:444455556666:event-bus/central"
#define ENVELOPE(source, resources)                                                                \
    "{\"version\":\"0\",\"id\":\"6f1c0a52\",\"detail-type\":\"Ping\",\"source\":\"" source         \
    "\",\"account\":\"111122223333\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"eu-west-1\","  \
    "\"resources\":[" resources "],\"detail\":{\"a\":\"\xC3\xA9\"}}"
#define MARK "weir:sent-on:central/high/soar"

static void test_only_buses_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn:aws:events:eu-west-1:111122223333:rule/x",
        "arn:aws:events:eu-west-1:111122223333:event-bus/",
        "arn:aws:events:eu-west-1:111122223333:event-bus",
        "arn:aws:events:eu-west-1:111122223333:event-bus/a b",
        "arn:aws:events::111122223333:event-bus/a",
        "arn:aws:events:eu-west-1:1:event-bus/a",
    };

    (void)state;
    bench_refuses(&target_events, refused, ARRAY_LEN(refused));
}

static void test_an_event_is_sent_on_with_a_mark(void **state)
{
    const struct target_item item = bench_item(ENVELOPE("com.example", "\"arn:x\",\"a\\u0062\""));
    struct bench b;

    (void)state;
    bench_open(&b, BUS, NULL);
    assert_string_equal(bench_build(&b, &item, 1),
                        "{\"Entries\":[{\"Time\":1767225600,\"Source\":\"com.example\","
                        "\"DetailType\":\"Ping\",\"Detail\":\"{\\\"a\\\":\\\"\xC3\xA9\\\"}\","
                        "\"Resources\":[\"arn:x\",\"ab\",\"" MARK "\"],"
                        "\"EventBusName\":\"" BUS "\"}]}");
    assert_string_equal(b.request.url, "https://events.eu-west-1.amazonaws.com/");
    assert_string_equal(bench_header(&b, "x-amz-target"), "AWSEvents.PutEvents");
    assert_string_equal(bench_header(&b, "content-type"), "application/x-amz-json-1.1");
    bench_close(&b);
}

/* Goal: PutEvents refuses sources of AWS, so such an event travels whole inside the detail. */
static void test_an_event_of_aws_travels_inside_the_detail(void **state)
{
    const struct target_item item = bench_item(ENVELOPE("aws.guardduty", ""));
    struct bench b;
    const char *body;

    (void)state;
    bench_open(&b, BUS, NULL);
    body = bench_build(&b, &item, 1);
    assert_non_null(strstr(body, "\"Source\":\"weir.aws.guardduty\",\"DetailType\":\"Ping\","
                                 "\"Detail\":\"{\\\"original\\\":{\\\"version\\\":\\\"0\\\","));
    assert_non_null(strstr(body, "\\\"source\\\":\\\"aws.guardduty\\\""));
    assert_non_null(strstr(body, "\\\"detail\\\":{\\\"a\\\":\\\"\xC3\xA9\\\"}}}\","
                                 "\"Resources\":[\"" MARK "\"]"));
    bench_close(&b);
}

static void test_several_go_in_one_call(void **state)
{
    const struct target_item items[] = {bench_item(ENVELOPE("one", "")),
                                        bench_item(ENVELOPE("two", ""))};
    struct bench b;
    const char *body;

    (void)state;
    bench_open(&b, BUS, NULL);
    body = bench_build(&b, items, 2);
    assert_non_null(strstr(body, "\"Source\":\"one\""));
    assert_non_null(strstr(strstr(body, "\"Source\":\"one\""), "},{\"Time\":1767225600,\"Source\":"
                                                               "\"two\""));
    bench_close(&b);
}

/* Goal:   what a target sent on is not sent on by it again, nor by anyone without end.
 * Method: events that carry marks. */
static void test_what_came_back_is_not_sent_again(void **state)
{
#define OTHER(n) "\"weir:sent-on:central/r" n "/t\""
    static const struct {
        const char *event;
        bool may;
    } rows[] = {
        {ENVELOPE("s", ""), true},
        {ENVELOPE("s", "\"" MARK "x\""), true},
        {ENVELOPE("s", "\"x" MARK "\""), true},
        {ENVELOPE("s", OTHER("1") "," OTHER("2") "," OTHER("3") "," OTHER("4")), true},
        {ENVELOPE("s", "\"" MARK "\""), false},
        {ENVELOPE("s", "\"arn:x\"," OTHER("1") ",\"" MARK "\""), false},
        {ENVELOPE("s", "\"weir:sent-on\\u003acentral/high/soar\""), false},
        {ENVELOPE("s", OTHER("1") "," OTHER("2") "," OTHER("3") "," OTHER("4") "," OTHER("5")),
         false},
    };
    struct target_verdict verdict;
    struct bench b;

    (void)state;
    bench_open(&b, BUS, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = bench_item(rows[i].event);

        if (b.target->ops->check(b.target, &item, &verdict) != rows[i].may) {
            fail_msg("%s: %s", rows[i].event, rows[i].may ? "refused" : "sent on");
        }
        if (!rows[i].may) {
            assert_int_equal(verdict.action, TARGET_BURY);
            assert_string_equal(verdict.reason, "loop");
        }
    }
    bench_close(&b);
}

static void test_what_may_be_sent(void **state)
{
    struct target_item item = bench_item("{\"source\":\"s\"}");
    struct target_verdict verdict;
    char *large = malloc(300000);
    struct bench b;
    int len;

    (void)state;
    assert_non_null(large);
    bench_open(&b, BUS, NULL);
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    assert_string_equal(verdict.reason, "invalid-message");
    for (unsigned i = 0; i < 2; i++) {
        /* source, detail-type and mark are 5 + 1 + 30 characters, Time counts 14 */
        const int padding =
            (i == 0 ? 262143 : 262144) - 5 - 1 - 30 - 14 - (int)strlen("{\"a\":\"\"}");

        len = snprintf(large, 300000,
                       "{\"id\":\"i\",\"detail-type\":\"t\",\"source\":\"s.com\","
                       "\"time\":\"2026-01-01T00:00:00Z\",\"detail\":{\"a\":\"%*s\"}}",
                       padding, "");
        item.event = (struct slice){large, (size_t)len};
        assert_int_equal(b.target->ops->check(b.target, &item, &verdict), i == 0);
    }
    assert_string_equal(verdict.reason, "message-too-large");
    bench_close(&b);
    free(large);
}

#define FAULT(name) "{\"__type\":\"" name "\",\"message\":\"m\"}"
#define ENTRY_FAULT(name)                                                                          \
    "{\"FailedEntryCount\":2,\"Entries\":[{\"ErrorCode\":\"" name "\",\"ErrorMessage\":\"m\"},"    \
    "{\"ErrorCode\":\"" name "\"}]}"

static void test_how_replies_are_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(200, "{\"FailedEntryCount\":0,\"Entries\":[{\"EventId\":\"a\"},"
                           "{\"EventId\":\"b\"}]}"),
        /* nothing of it said */
        BENCH_RETRIED(200, "{}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "{\"Entries\":[{},{\"EventId\":\"\"}]}", ERR_REMOTE_FAILED),
        /* as a whole */
        BENCH_RETRIED(500, FAULT("InternalException"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(400, FAULT("ThrottlingException"), ERR_REMOTE_THROTTLED),
        BENCH_BURIED(400, FAULT("AccessDeniedException"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(400, FAULT("ResourceNotFoundException"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_REJECTED(400, FAULT("ValidationException"), "SDK_CLIENT_ERROR"),
        BENCH_RENEWED(400, FAULT("ExpiredTokenException")),
        /* per entry */
        BENCH_RETRIED(200, ENTRY_FAULT("InternalFailure"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, ENTRY_FAULT("ThrottlingException"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(200, ENTRY_FAULT("SomethingNew"), ERR_REMOTE_FAILED),
        BENCH_BURIED(200, ENTRY_FAULT("AccessDeniedException"), ERR_REMOTE_DENIED,
                     "NO_PERMISSIONS"),
        BENCH_BURIED(200, ENTRY_FAULT("NotAuthorizedForSourceException"), ERR_REMOTE_DENIED,
                     "NO_PERMISSIONS"),
        BENCH_BURIED(200, ENTRY_FAULT("NotAuthorizedForDetailTypeException"), ERR_REMOTE_DENIED,
                     "NO_PERMISSIONS"),
        BENCH_BURIED(200, ENTRY_FAULT("InvalidAccountIdException"), ERR_REMOTE_REJECTED,
                     "SDK_CLIENT_ERROR"),
        BENCH_BURIED(200, ENTRY_FAULT("InvalidArgument"), ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(200, ENTRY_FAULT("MalformedDetail"), ERR_REMOTE_REJECTED, "invalid-message"),
        BENCH_BURIED(200, ENTRY_FAULT("RedactionFailure"), ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    };
    struct bench b;

    (void)state;
    bench_open(&b, BUS, NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

/* Goal: entries are judged by their position, too few as failed, too many not at all. */
static void test_entries_are_judged_by_position(void **state)
{
    const struct target_item items[] = {bench_item("a"), bench_item("b"), bench_item("c")};
    struct bench b;

    (void)state;
    bench_open(&b, BUS, NULL);
    bench_judge(&b, items, 3, 200, NULL,
                "{\"FailedEntryCount\":1,\"Entries\":[{\"EventId\":\"e\"},"
                "{\"ErrorCode\":\"MalformedDetail\",\"ErrorMessage\":\"Detail is malformed.\"}]}");
    assert_int_equal(b.verdicts[0].action, TARGET_SETTLE);
    assert_int_equal(b.verdicts[1].action, TARGET_BURY);
    assert_string_equal(b.verdicts[1].message, "MalformedDetail: Detail is malformed.");
    assert_int_equal(b.verdicts[2].action, TARGET_RETRY);
    bench_judge(&b, items, 1, 200, NULL,
                "{\"Entries\":[{\"EventId\":\"e\"},{\"ErrorCode\":\"InternalFailure\"}]}");
    assert_int_equal(b.verdicts[0].action, TARGET_SETTLE);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_buses_open),
        cmocka_unit_test(test_an_event_is_sent_on_with_a_mark),
        cmocka_unit_test(test_an_event_of_aws_travels_inside_the_detail),
        cmocka_unit_test(test_several_go_in_one_call),
        cmocka_unit_test(test_what_came_back_is_not_sent_again),
        cmocka_unit_test(test_what_may_be_sent),
        cmocka_unit_test(test_how_replies_are_judged),
        cmocka_unit_test(test_entries_are_judged_by_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
