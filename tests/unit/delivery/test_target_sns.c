/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_sns.c - forms to topics, and what their XML means.
 */
#include "target_bench.h"

#define TOPIC "arn:aws:sns:eu-west-1:111122223333:alerts"
#define FORM  "TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A111122223333%3Aalerts"

static void test_only_topics_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn:aws:sns:eu-west-1:111122223333:",
        "arn:aws:sns:eu-west-1:111122223333:alerts:1b2c",
        "arn:aws:sns:eu-west-1:111122223333:a/b",
        "arn:aws:sns::111122223333:alerts",
        "arn:aws:sns:eu-west-1:1:alerts",
    };

    (void)state;
    bench_refuses(&target_sns, refused, ARRAY_LEN(refused));
}

static void test_one_message_is_published(void **state)
{
    struct target_item item = bench_item("{\"a\":\"b & c=d+\xC3\xA9\"}");
    struct bench b;

    (void)state;
    item.message_group_id = SLICE("unused on a standard topic");
    bench_open(&b, TOPIC, NULL);
    assert_string_equal(bench_build(&b, &item, 1),
                        "Action=Publish&Version=2010-03-31&" FORM
                        "&Message=%7B%22a%22%3A%22b%20%26%20c%3Dd%2B%C3%A9%22%7D");
    assert_string_equal(b.request.url, "https://sns.eu-west-1.amazonaws.com/");
    assert_string_equal(bench_header(&b, "content-type"),
                        "application/x-www-form-urlencoded; charset=utf-8");
    assert_string_equal(bench_text(&b, b.request.service), "sns");
    bench_close(&b);
}

static void test_several_go_in_one_batch(void **state)
{
    const struct target_item items[] = {bench_item("a"), bench_item("b")};
    struct bench b;

    (void)state;
    bench_open(&b, TOPIC, "http://127.0.0.1:4566");
    assert_string_equal(bench_build(&b, items, 2),
                        "Action=PublishBatch&Version=2010-03-31&" FORM
                        "&PublishBatchRequestEntries.member.1.Id=0"
                        "&PublishBatchRequestEntries.member.1.Message=a"
                        "&PublishBatchRequestEntries.member.2.Id=1"
                        "&PublishBatchRequestEntries.member.2.Message=b");
    assert_string_equal(b.request.url, "http://127.0.0.1:4566/");
    bench_close(&b);
}

/* Goal: a FIFO topic gets a group and an id that only the same delivery shares. */
static void test_fifo_topics_get_group_and_identity(void **state)
{
    struct target_item item = bench_item("a");
    struct bench b;
    const char *first;
    const char *id;

    (void)state;
    bench_open(&b, TOPIC ".fifo", NULL);
    first = bench_build(&b, &item, 1);
    assert_non_null(strstr(first, "&MessageGroupId=111122223333&MessageDeduplicationId="));
    id = strstr(first, "&MessageDeduplicationId=");
    assert_int_equal(strlen(id), strlen("&MessageDeduplicationId=") + 64);
    assert_string_equal(bench_build(&b, &item, 1), first);
    item.message_group_id = SLICE("one");
    item.body = SLICE("made by another transformer");
    assert_non_null(strstr(bench_build(&b, &item, 1), "&MessageGroupId=one"));
    assert_non_null(strstr(bench_build(&b, &item, 1), id));
    item.step = SLICE("notify");
    assert_null(strstr(bench_build(&b, &item, 1), id));
    item.step = SLICE("");
    item.event = SLICE("other bytes");
    assert_null(strstr(bench_build(&b, &item, 1), id));
    bench_close(&b);
}

static void test_what_may_be_sent(void **state)
{
    struct target_item item = bench_item("{}");
    struct target_verdict verdict;
    struct bench b;
    char *large = malloc(262145);
    char group[130] = {0};

    (void)state;
    assert_non_null(large);
    memset(large, 'x', 262145);
    memset(group, 'g', 129);
    bench_open(&b, TOPIC, NULL);
    item.body = (struct slice){large, 262144};
    assert_true(b.target->ops->check(b.target, &item, &verdict));
    item.body.len++;
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    assert_string_equal(verdict.reason, "message-too-large");
    item.body = SLICE("");
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    assert_string_equal(verdict.reason, "invalid-message");
    item.body = SLICE("x");
    item.message_group_id = slice_of(group);
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    item.message_group_id.len--;
    assert_true(b.target->ops->check(b.target, &item, &verdict));
    bench_close(&b);
    free(large);
}

#define FAULT(code)                                                                                \
    "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>" \
    "<Code>" code "</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>"

static void test_how_a_whole_reply_is_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_BURIED(404, FAULT("NotFound"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(403, FAULT("AuthorizationError"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(403, FAULT("AccessDenied"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(400, FAULT("KMSAccessDenied"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(403, FAULT("KMSOptInRequired"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(400, FAULT("KMSDisabled"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("KMSInvalidState"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("KMSNotFound"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("EndpointDisabled"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(400, FAULT("PlatformApplicationDisabled"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_RETRIED(400, FAULT("KMSThrottling"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(400, FAULT("Throttling"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(400, FAULT("Throttled"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(500, FAULT("InternalError"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(503, FAULT("ServiceUnavailable"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(403, FAULT("SignatureDoesNotMatch"), ERR_REMOTE_DENIED),
        BENCH_REJECTED(400, FAULT("InvalidParameter"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(400, FAULT("ParameterValueInvalid"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(403, FAULT("InvalidSecurity"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(400, FAULT("ValidationException"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(400, FAULT("BatchRequestTooLong"), "message-too-large"),
        BENCH_REJECTED(400, FAULT("TooManyEntriesInBatchRequest"), "SDK_CLIENT_ERROR"),
        BENCH_REJECTED(400, FAULT("BatchEntryIdsNotDistinct"), "SDK_CLIENT_ERROR"),
        BENCH_RENEWED(403, FAULT("ExpiredToken")),
        BENCH_RENEWED(403, FAULT("InvalidClientTokenId")),
        /* nothing that can be read: by status */
        BENCH_RETRIED(503, "<html", ERR_REMOTE_FAILED),
        BENCH_REJECTED(400, "<!DOCTYPE x [<!ENTITY e 'NotFound'>]><a>&e;</a>", "SDK_CLIENT_ERROR"),
        /* 200 without what a 200 must hold */
        BENCH_RETRIED(200, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "{}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, "<PublishResponse><PublishResult/></PublishResponse>",
                      ERR_REMOTE_FAILED),
    };
    struct bench b;

    (void)state;
    bench_open(&b, TOPIC, NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

static void test_one_published_message_is_settled(void **state)
{
    const struct target_item item = bench_item("a");
    struct bench b;

    (void)state;
    bench_open(&b, TOPIC, NULL);
    bench_judge(&b, &item, 1, 200, NULL,
                "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\n"
                "  <PublishResult><MessageId>94f20ce6-13c5</MessageId></PublishResult>\n"
                "  <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\n"
                "</PublishResponse>\n");
    assert_int_equal(b.verdicts[0].action, TARGET_SETTLE);
    bench_close(&b);
}

/* Goal:   each entry of a batch has a fate of its own, and silence about one is a failure.
 * Method: five messages: taken, throttled, refused, unmentioned, denied; and ids from nowhere. */
static void test_entries_of_a_batch_are_judged_alone(void **state)
{
    static const char reply[] =
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">"
        "<PublishBatchResult><Failed>"
        "<member><Id>1</Id><Code>KMSThrottling</Code><Message>slow</Message>"
        "<SenderFault>true</SenderFault></member>"
        "<member><Id>2</Id><Code>InvalidParameter</Code><Message>no</Message>"
        "<SenderFault>true</SenderFault></member>"
        "<member><Id>4</Id><Code>AuthorizationError</Code><SenderFault>true</SenderFault></member>"
        "<member><Id>99</Id><Code>X</Code></member><member><Code>Y</Code></member></Failed>"
        "<Successful><member><Id>0</Id><MessageId>m-0</MessageId></member>"
        "<member><Id>3</Id></member><member><Id>-1</Id><MessageId>m</MessageId></member>"
        "</Successful></PublishBatchResult>"
        "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>";
    static const struct {
        enum target_action action;
        enum err err;
        const char *message;
    } wanted[] = {
        {TARGET_SETTLE, ERR_OK, ""},
        {TARGET_RETRY, ERR_REMOTE_THROTTLED, "KMSThrottling: slow"},
        {TARGET_BURY, ERR_REMOTE_REJECTED, "InvalidParameter: no"},
        {TARGET_RETRY, ERR_REMOTE_FAILED, "BadReply: the reply does not mention the message"},
        {TARGET_BURY, ERR_REMOTE_DENIED, "AuthorizationError"},
    };
    const struct target_item items[] = {bench_item("a"), bench_item("b"), bench_item("c"),
                                        bench_item("d"), bench_item("e")};
    struct bench b;

    (void)state;
    bench_open(&b, TOPIC, NULL);
    bench_judge(&b, items, ARRAY_LEN(items), 200, NULL, reply);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_int_equal(b.verdicts[i].action, wanted[i].action);
        assert_int_equal(b.verdicts[i].err, wanted[i].err);
        assert_string_equal(b.verdicts[i].message, wanted[i].message);
    }
    bench_close(&b);
}

/* Goal: a batch's answer that breaks off leaves what it said, and nothing that it did not. */
static void test_a_broken_batch_reply_settles_only_what_it_names(void **state)
{
    const struct target_item items[] = {bench_item("a"), bench_item("b")};
    struct bench b;

    (void)state;
    bench_open(&b, TOPIC, NULL);
    bench_judge(&b, items, 2, 200, NULL,
                "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>0</Id>"
                "<MessageId>m</MessageId></member><member><Id>1</Id><MessageId>m");
    assert_int_equal(b.verdicts[0].action, TARGET_SETTLE);
    assert_int_equal(b.verdicts[1].action, TARGET_RETRY);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_topics_open),
        cmocka_unit_test(test_one_message_is_published),
        cmocka_unit_test(test_several_go_in_one_batch),
        cmocka_unit_test(test_fifo_topics_get_group_and_identity),
        cmocka_unit_test(test_what_may_be_sent),
        cmocka_unit_test(test_how_a_whole_reply_is_judged),
        cmocka_unit_test(test_one_published_message_is_settled),
        cmocka_unit_test(test_entries_of_a_batch_are_judged_alone),
        cmocka_unit_test(test_a_broken_batch_reply_settles_only_what_it_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
