/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_sqs.c - requests to queues, and what their replies mean.
 */
#include "delivery/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/digest.h"

#define QUEUE "arn:aws:sqs:eu-west-1:111122223333:findings"
#define MD5_A "0cc175b9c0f1b6a831c399e269772661" /* of "a" */
#define MD5_B "92eb5ffee6ae2fec3ad71c777531578f" /* of "b" */

struct fixture {
    struct arena arena;
    struct buf body;
    struct target *target;
    struct target_request request;
    struct target_verdict verdicts[TARGET_BATCH_MAX];
};

static void open_queue(struct fixture *f, struct slice arn, struct slice endpoint)
{
    const struct target_endpoint any = {.url = endpoint};
    const struct target_options options = {
        .endpoints = &any, .endpoint_count = 1, .sqs_batch_bytes_max = 1024};
    struct err_why why = {""};

    *f = (struct fixture){0};
    digest_init();
    buf_init(&f->body, 1 << 16);
    f->request.body = &f->body;
    if (target_sqs.open(&options, arn, &f->target, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
}

static void close_queue(struct fixture *f)
{
    target_sqs.close(f->target);
    buf_clean_up(&f->body);
    arena_clean_up(&f->arena);
}

static struct target_item item_of(const char *body)
{
    return (struct target_item){.body = slice_of(body),
                                .event = slice_of(body),
                                .event_id = SLICE("6f1c0a52"),
                                .account = SLICE("111122223333"),
                                .rule = SLICE("central/high"),
                                .target_id = SLICE("soar")};
}

static const char *body_text(struct fixture *f)
{
    return arena_cstr(&f->arena, buf_slice(&f->body));
}

/* Goal:   only an ARN of a queue opens a queue.
 * Method: near misses. */
static void test_only_queues_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn",
        "arn:aws:sns:eu-west-1:111122223333:findings",
        "arn:aws:sqs::111122223333:findings",
        "arn:aws:sqs:eu-west-1:1111:findings",
        "arn:aws:sqs:eu-west-1:111122223333:",
        "arn:aws:sqs:eu-west-1:111122223333:a:b",
        "urn:aws:sqs:eu-west-1:111122223333:findings",
    };
    const struct target_options options = {.sqs_batch_bytes_max = 1024};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct target *target = NULL;
        struct err_why why;

        if (target_sqs.open(&options, slice_of(refused[i]), &target, &why) != ERR_BAD_VALUE) {
            fail_msg("\"%s\" was opened", refused[i]);
        }
    }
    assert_ptr_equal(target_find(SLICE(QUEUE)), &target_sqs);
    assert_null(target_find(SLICE("arn:aws:nosuch:eu-west-1:111122223333:x")));
    assert_null(target_find(SLICE("nonsense")));
}

/* Goal: against AWS the queue's URL follows from its ARN, without a lookup. */
static void test_urls_follow_from_the_arn(void **state)
{
    static const struct {
        const char *arn;
        const char *url;
        const char *host;
        const char *queue;
    } rows[] = {
        {QUEUE, "https://sqs.eu-west-1.amazonaws.com/", "sqs.eu-west-1.amazonaws.com",
         "https://sqs.eu-west-1.amazonaws.com/111122223333/findings"},
        {"arn:aws-cn:sqs:cn-north-1:111122223333:q", "https://sqs.cn-north-1.amazonaws.com.cn/",
         "sqs.cn-north-1.amazonaws.com.cn",
         "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = item_of("{\"a\":\"b\"}");
        struct fixture f;

        open_queue(&f, slice_of(rows[i].arn), (struct slice){NULL, 0});
        assert_false(target_sqs.needs_lookup(f.target, 0));
        assert_int_equal(target_sqs.build(f.target, &item, 1, &f.arena, &f.request), ERR_OK);
        assert_string_equal(f.request.url, rows[i].url);
        assert_string_equal(arena_cstr(&f.arena, f.request.host), rows[i].host);
        assert_string_equal(arena_cstr(&f.arena, f.request.path), "/");
        assert_string_equal(body_text(&f), arena_printf(&f.arena,
                                                        "{\"QueueUrl\":\"%s\",\"MessageBody\":"
                                                        "\"{\\\"a\\\":\\\"b\\\"}\"}",
                                                        rows[i].queue)
                                               .data);
        close_queue(&f);
    }
}

/* Goal: what becomes part of a host's name cannot be another host, a port or a path. */
static void test_a_region_is_no_host(void **state)
{
    static const char *const arns[] = {
        "arn:aws:sqs:evil.example/:111122223333:q", "arn:aws:sqs:evil.example#:111122223333:q",
        "arn:aws:sqs:a@evil:111122223333:q",        "arn:aws:sqs:EU-WEST-1:111122223333:q",
        "arn:aws:sqs:eu west:111122223333:q",       "arn:aws.evil:sqs:eu-west-1:111122223333:q",
    };
    const struct target_options options = {.sqs_batch_bytes_max = 1 << 20};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(arns); i++) {
        struct target *target = NULL;
        struct err_why why;

        assert_null(target_find(slice_of(arns[i])));
        assert_int_equal(target_sqs.open(&options, slice_of(arns[i]), &target, &why),
                         ERR_BAD_VALUE);
    }
}

/* Goal: behind an override the URL is asked for once, and what was answered is used. */
static void test_an_override_asks_for_the_url(void **state)
{
    const struct target_item item = item_of("a");
    const struct target_reply reply = {
        .status = 200, .body = SLICE("{\"QueueUrl\":\"http:\\/\\/localhost:9/000/findings\"}")};
    struct target_verdict verdict;
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), SLICE("http://127.0.0.1:4566/"));
    assert_true(target_sqs.needs_lookup(f.target, 0));
    assert_int_equal(target_sqs.build_lookup(f.target, &f.arena, &f.request), ERR_OK);
    assert_string_equal(f.request.url, "http://127.0.0.1:4566/");
    assert_string_equal(arena_cstr(&f.arena, f.request.host), "127.0.0.1:4566");
    assert_string_equal(body_text(&f),
                        "{\"QueueName\":\"findings\",\"QueueOwnerAWSAccountId\":\"111122223333\"}");
    assert_string_equal(
        header_value(f.request.headers, f.request.header_count, SLICE("x-amz-target")).data,
        "AmazonSQS.GetQueueUrl");

    assert_true(target_sqs.read_lookup(f.target, &reply, &f.arena, &verdict));
    assert_false(target_sqs.needs_lookup(f.target, 0));
    buf_clear(&f.body);
    assert_int_equal(target_sqs.build(f.target, &item, 1, &f.arena, &f.request), ERR_OK);
    assert_string_equal(body_text(&f), "{\"QueueUrl\":\"http://localhost:9/000/findings\","
                                       "\"MessageBody\":\"a\"}");
    close_queue(&f);
}

static void test_a_failed_lookup_gives_a_verdict(void **state)
{
    static const struct {
        struct target_reply reply;
        enum target_action action;
        enum err err;
    } rows[] = {
        {{.err = ERR_REMOTE_TIMEOUT}, TARGET_RETRY, ERR_REMOTE_TIMEOUT},
        {{.status = 400,
          .body = SLICE_INIT("{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\"}")},
         TARGET_BURY,
         ERR_REMOTE_MISSING},
        {{.status = 200, .body = SLICE_INIT("{}")}, TARGET_RETRY, ERR_REMOTE_FAILED},
        {{.status = 200, .body = SLICE_INIT("<html>")}, TARGET_RETRY, ERR_REMOTE_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct target_verdict verdict;
        struct fixture f;

        open_queue(&f, SLICE(QUEUE), SLICE("http://127.0.0.1:4566"));
        assert_false(target_sqs.read_lookup(f.target, &rows[i].reply, &f.arena, &verdict));
        assert_int_equal(verdict.action, rows[i].action);
        assert_int_equal(verdict.err, rows[i].err);
        assert_true(target_sqs.needs_lookup(f.target, 0));
        close_queue(&f);
    }
}

/* Goal:   a FIFO queue gets a group and a deduplication id; every attempt the same, every event and
 *         target another.
 * Method: compare whole bodies of repeated builds. */
static void test_fifo_messages_carry_group_and_deduplication_id(void **state)
{
    struct target_item item = item_of("a");
    const char *first;
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE ".fifo"), (struct slice){NULL, 0});
    assert_int_equal(target_sqs.build(f.target, &item, 1, &f.arena, &f.request), ERR_OK);
    first = body_text(&f);
    assert_non_null(strstr(first, "\"MessageGroupId\":\"111122223333\""));
    assert_non_null(strstr(first, "\"MessageDeduplicationId\":\""));

    buf_clear(&f.body);
    assert_int_equal(target_sqs.build(f.target, &item, 1, &f.arena, &f.request), ERR_OK);
    assert_string_equal(body_text(&f), first);

    /* an id that another account chose, or another event of the same id, is not a repetition */
    for (unsigned i = 0; i < 2; i++) {
        struct target_item other = item;

        other.account = i == 0 ? SLICE("444455556666") : item.account;
        other.event = i == 1 ? SLICE("{\"b\":2}") : item.event;
        buf_clear(&f.body);
        assert_int_equal(target_sqs.build(f.target, &other, 1, &f.arena, &f.request), ERR_OK);
        assert_null(strstr(body_text(&f), strstr(first, "\"MessageDeduplicationId\"")));
    }

    buf_clear(&f.body);
    item.event_id = SLICE("another");
    item.message_group_id = SLICE("mine");
    assert_int_equal(target_sqs.build(f.target, &item, 1, &f.arena, &f.request), ERR_OK);
    assert_non_null(strstr(body_text(&f), "\"MessageGroupId\":\"mine\""));
    assert_null(strstr(body_text(&f), strstr(first, "\"MessageDeduplicationId\"")));
    close_queue(&f);
}

static void test_a_batch_names_its_entries(void **state)
{
    const struct target_item items[] = {item_of("a"), item_of("b")};
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    assert_int_equal(target_sqs.build(f.target, items, 2, &f.arena, &f.request), ERR_OK);
    assert_string_equal(
        body_text(&f),
        "{\"QueueUrl\":\"https://sqs.eu-west-1.amazonaws.com/111122223333/findings\","
        "\"Entries\":[{\"Id\":\"0\",\"MessageBody\":\"a\"},"
        "{\"Id\":\"1\",\"MessageBody\":\"b\"}]}");
    assert_string_equal(
        header_value(f.request.headers, f.request.header_count, SLICE("x-amz-target")).data,
        "AmazonSQS.SendMessageBatch");
    close_queue(&f);
}

/* Goal:   what SQS would refuse for its characters or its size never leaves.
 * Method: a table of bodies; those accepted are the borders of those refused. */
static void test_what_may_be_sent(void **state)
{
    static const struct {
        const char *body;
        const char *reason; /* NULL: may be sent */
    } rows[] = {
        {"{\"a\":\"\\u0000\"}", NULL}, /* an escape is text */
        {"tab\tnewline\nreturn\r", NULL},
        {"\x7f", NULL},
        {"\xC2\x80", NULL},
        {"\xED\x9F\xBF", NULL},     /* U+D7FF */
        {"\xEE\x80\x80", NULL},     /* U+E000 */
        {"\xEF\xBF\xBD", NULL},     /* U+FFFD */
        {"\xF0\x90\x80\x80", NULL}, /* U+10000 */
        {"\xF4\x8F\xBF\xBF", NULL}, /* U+10FFFF */
        {"", "invalid-message"},
        {"\x01", "invalid-message"},
        {"\x1f", "invalid-message"},
        {"\xEF\xBF\xBE", "invalid-message"},     /* U+FFFE */
        {"\xEF\xBF\xBF", "invalid-message"},     /* U+FFFF */
        {"\xED\xA0\x80", "invalid-message"},     /* a surrogate */
        {"\xC0\x80", "invalid-message"},         /* too long a form */
        {"\xE0\x80\x80", "invalid-message"},     /* too long a form */
        {"\xF4\x90\x80\x80", "invalid-message"}, /* beyond Unicode */
        {"\xF5\x80\x80\x80", "invalid-message"},
        {"\x80", "invalid-message"},
        {"\xC2", "invalid-message"},
        {"\xE2\x82", "invalid-message"},
        {"\xE2(\xA1", "invalid-message"},
    };
    struct target_verdict verdict;
    struct fixture f;
    char large[1026];

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = item_of(rows[i].body);
        const bool may = target_sqs.check(f.target, &item, &verdict);

        if (may != (rows[i].reason == NULL)) {
            fail_msg("row %zu: %s", i, may ? "may be sent" : "may not be sent");
        }
        if (!may) {
            assert_int_equal(verdict.action, TARGET_BURY);
            assert_string_equal(verdict.reason, rows[i].reason);
        }
    }
    memset(large, 'x', sizeof(large));
    large[1025] = '\0';
    assert_false(
        target_sqs.check(f.target, &(struct target_item){.body = slice_of(large)}, &verdict));
    assert_string_equal(verdict.reason, "message-too-large");
    assert_true(target_sqs.check(f.target, &(struct target_item){.body = {large, 1024}}, &verdict));
    close_queue(&f);
}

/* Goal:   one message is judged by code before status, and by what the queue says it got.
 * Method: one row per kind of reply; `batch` is the action when two were sent. */
static void test_how_a_whole_reply_is_judged(void **state)
{
#define ERROR_BODY(code) SLICE_INIT("{\"__type\":\"com.amazonaws.sqs#" code "\",\"message\":\"m\"}")
#define SAME(action)     action, action
    static const struct {
        struct target_reply reply;
        enum target_action one;
        enum target_action batch;
        enum err err;
        const char *reason; /* of one */
    } rows[] = {
        /* on the way */
        {{.err = ERR_REMOTE_TIMEOUT}, SAME(TARGET_RETRY), ERR_REMOTE_TIMEOUT, NULL},
        {{.err = ERR_REMOTE_UNREACHABLE}, SAME(TARGET_RETRY), ERR_REMOTE_UNREACHABLE, NULL},
        {{.err = ERR_TOO_LARGE}, SAME(TARGET_RETRY), ERR_REMOTE_FAILED, NULL},
        /* by status */
        {{.status = 302}, SAME(TARGET_RETRY), ERR_REMOTE_FAILED, NULL},
        {{.status = 400}, TARGET_BURY, TARGET_SPLIT, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"},
        {{.status = 401}, SAME(TARGET_RENEW), ERR_REMOTE_EXPIRED, NULL},
        {{.status = 403}, SAME(TARGET_BURY), ERR_REMOTE_DENIED, "NO_PERMISSIONS"},
        {{.status = 404}, SAME(TARGET_BURY), ERR_REMOTE_MISSING, "NO_RESOURCE"},
        {{.status = 408}, SAME(TARGET_RETRY), ERR_REMOTE_TIMEOUT, NULL},
        {{.status = 409}, SAME(TARGET_RETRY), ERR_REMOTE_FAILED, NULL},
        {{.status = 413}, TARGET_BURY, TARGET_SPLIT, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"},
        {{.status = 429}, SAME(TARGET_RETRY), ERR_REMOTE_THROTTLED, NULL},
        {{.status = 500}, SAME(TARGET_RETRY), ERR_REMOTE_FAILED, NULL},
        {{.status = 503, .body = SLICE_INIT("not json")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_FAILED,
         NULL},
        /* by code, whatever the status */
        {{.status = 400, .body = ERROR_BODY("RequestThrottled")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_THROTTLED,
         NULL},
        {{.status = 400, .body = ERROR_BODY("ThrottlingException")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_THROTTLED,
         NULL},
        {{.status = 400, .body = ERROR_BODY("KmsThrottled")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_THROTTLED,
         NULL},
        {{.status = 400, .body = ERROR_BODY("InternalFailure")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_FAILED,
         NULL},
        {{.status = 403, .body = ERROR_BODY("ExpiredToken")},
         SAME(TARGET_RENEW),
         ERR_REMOTE_EXPIRED,
         NULL},
        {{.status = 403, .body = ERROR_BODY("InvalidClientTokenId")},
         SAME(TARGET_RENEW),
         ERR_REMOTE_EXPIRED,
         NULL},
        {{.status = 403, .body = ERROR_BODY("SignatureDoesNotMatch")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_DENIED,
         NULL},
        {{.status = 403, .body = ERROR_BODY("RequestTimeTooSkewed")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_DENIED,
         NULL},
        {{.status = 400, .body = ERROR_BODY("AccessDenied")},
         SAME(TARGET_BURY),
         ERR_REMOTE_DENIED,
         "NO_PERMISSIONS"},
        {{.status = 400, .body = ERROR_BODY("KmsAccessDenied")},
         SAME(TARGET_BURY),
         ERR_REMOTE_DENIED,
         "NO_PERMISSIONS"},
        {{.status = 400, .body = ERROR_BODY("QueueDoesNotExist")},
         SAME(TARGET_BURY),
         ERR_REMOTE_MISSING,
         "NO_RESOURCE"},
        {{.status = 400, .body = ERROR_BODY("KmsDisabled")},
         SAME(TARGET_BURY),
         ERR_REMOTE_MISSING,
         "NO_RESOURCE"},
        {{.status = 400, .body = ERROR_BODY("QueueDeletedRecently")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_FAILED,
         NULL},
        {{.status = 400, .body = ERROR_BODY("InvalidMessageContents")},
         TARGET_BURY,
         TARGET_SPLIT,
         ERR_REMOTE_REJECTED,
         "invalid-message"},
        {{.status = 400, .body = ERROR_BODY("BatchRequestTooLong")},
         TARGET_BURY,
         TARGET_SPLIT,
         ERR_REMOTE_REJECTED,
         "message-too-large"},
        {{.status = 400, .body = ERROR_BODY("SomethingNew")},
         TARGET_BURY,
         TARGET_SPLIT,
         ERR_REMOTE_REJECTED,
         "SDK_CLIENT_ERROR"},
        /* the header wins, and its decoration is dropped */
        {{.status = 400,
          .headers = SLICE_INIT("date: x\nx-amzn-errortype: ThrottlingException:http://e\n"),
          .body = ERROR_BODY("AccessDenied")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_THROTTLED,
         NULL},
        {{.status = 400,
          .body = SLICE_INIT("{\"a\":[{}],\"code\":\"SlowDown\",\"Message\":\"m\"}")},
         SAME(TARGET_RETRY),
         ERR_REMOTE_THROTTLED,
         NULL},
    };
#undef SAME
#undef ERROR_BODY
    const struct target_item items[] = {item_of("a"), item_of("b")};
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_verdict *verdict = &f.verdicts[0];

        target_sqs.classify(f.target, items, 1, &rows[i].reply, &f.arena, f.verdicts);
        if (verdict->action != rows[i].one || verdict->err != rows[i].err) {
            fail_msg("row %zu: action %d, %s", i, verdict->action, err_name(verdict->err));
        }
        if (rows[i].one == TARGET_BURY) {
            assert_string_equal(verdict->reason, rows[i].reason);
        }
        target_sqs.classify(f.target, items, 2, &rows[i].reply, &f.arena, f.verdicts);
        for (size_t k = 0; k < 2; k++) {
            if (f.verdicts[k].action != rows[i].batch) {
                fail_msg("row %zu, batch: action %d", i, f.verdicts[k].action);
            }
        }
    }
    close_queue(&f);
}

static void test_retry_after_is_read_in_seconds(void **state)
{
    static const struct {
        const char *headers;
        uint64_t expected_ms;
    } rows[] = {
        {"", 0},
        {"retry-after: 7\n", 7000},
        {"a: b\nretry-after:  7 \nc: d\n", 7000},
        {"retry-after: 0\n", 0},
        {"retry-after: 99999999999\n", 900000},
        {"retry-after: Wed, 21 Oct 2026 07:28:00 GMT\n", 0},
        {"retry-after: -5\n", 0},
    };
    const struct target_item item = item_of("a");
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_reply reply = {.status = 503, .headers = slice_of(rows[i].headers)};

        target_sqs.classify(f.target, &item, 1, &reply, &f.arena, f.verdicts);
        assert_int_equal(f.verdicts[0].retry_after_ms, rows[i].expected_ms);
    }
    close_queue(&f);
}

/* Goal:   a single message is settled only when the queue says that it got our bytes. */
static void test_an_accepted_message_is_verified(void **state)
{
    static const struct {
        const char *body;
        enum target_action action;
    } rows[] = {
        {"{\"MessageId\":\"1\",\"MD5OfMessageBody\":\"" MD5_A "\"}", TARGET_SETTLE},
        {"{\"MessageId\":\"1\",\"MD5OfMessageBody\":\"0CC175B9C0F1B6A831C399E269772661\"}",
         TARGET_SETTLE},
        {"{\"MessageId\":\"1\"}", TARGET_SETTLE},
        {"{\"MessageId\":\"1\",\"MD5OfMessageBody\":\"" MD5_B "\"}", TARGET_RETRY},
        {"{\"MessageId\":\"1\",\"MD5OfMessageBody\":\"\"}", TARGET_SETTLE},
        {"{}", TARGET_RETRY},
        {"", TARGET_RETRY},
        {"{\"MessageId\":\"1\"", TARGET_RETRY},
        {"[]", TARGET_RETRY},
    };
    const struct target_item item = item_of("a");
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_reply reply = {.status = 200, .body = slice_of(rows[i].body)};

        target_sqs.classify(f.target, &item, 1, &reply, &f.arena, f.verdicts);
        if (f.verdicts[0].action != rows[i].action) {
            fail_msg("%s: action %d", rows[i].body, f.verdicts[0].action);
        }
    }
    close_queue(&f);
}

/* Goal:   of a batch each entry has its own fate; one that is not mentioned has failed.
 * Method: the fates of "a" and "b" as two letters: settled, retried, buried. */
static void test_each_entry_of_a_batch_is_judged(void **state)
{
#define OK_A        "{\"Id\":\"0\",\"MessageId\":\"1\",\"MD5OfMessageBody\":\"" MD5_A "\"}"
#define OK_B        "{\"Id\":\"1\",\"MessageId\":\"2\",\"MD5OfMessageBody\":\"" MD5_B "\"}"
#define BAD_B(c, s) "{\"Id\":\"1\",\"SenderFault\":" s ",\"Code\":\"" c "\",\"Message\":\"m\"}"
    static const struct {
        const char *body;
        const char *fates;
    } rows[] = {
        {"{\"Successful\":[" OK_A "," OK_B "],\"Failed\":[]}", "ss"},
        {"{\"Failed\":[],\"Successful\":[" OK_B "," OK_A "]}", "ss"},
        {"{\"Successful\":[" OK_A "]}", "sr"},
        {"{\"Successful\":[" OK_A "],\"Failed\":[" BAD_B("InternalError", "false") "]}", "sr"},
        {"{\"Successful\":[" OK_A "],\"Failed\":[" BAD_B("Unknown", "false") "]}", "sr"},
        {"{\"Successful\":[" OK_A "],\"Failed\":[" BAD_B("Unknown", "true") "]}", "sb"},
        {"{\"Successful\":[" OK_A "],\"Failed\":[" BAD_B("RequestThrottled", "true") "]}", "sr"},
        {"{\"Successful\":[" OK_A "],\"Failed\":[" BAD_B("InvalidMessageContents", "true") "]}",
         "sb"},
        {"{\"Successful\":[{\"Id\":\"0\",\"MessageId\":\"1\",\"MD5OfMessageBody\":\"" MD5_B
         "\"}," OK_B "]}",
         "rs"},
        {"{\"Successful\":[{\"Id\":\"7\"},{\"Id\":\"-1\"},{\"Id\":\"x\"}," OK_B "]}", "rs"},
        {"{\"Other\":[1,{\"x\":[]}],\"Successful\":[" OK_A "," OK_B "]}", "ss"},
        {"{\"Successful\":[{\"Id\":\"0\",\"MessageId\":\"1\",\"Extra\":{\"a\":[1]}}]}", "sr"},
        {"{\"Successful\":[" OK_A, "sr"},
        {"{\"Successful\":\"none\",\"Failed\":{}}", "rr"},
        {"{}", "rr"},
        {"", "rr"},
        {"null", "rr"},
    };
    const struct target_item items[] = {item_of("a"), item_of("b")};
    struct fixture f;

    (void)state;
    open_queue(&f, SLICE(QUEUE), (struct slice){NULL, 0});
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_reply reply = {.status = 200, .body = slice_of(rows[i].body)};

        target_sqs.classify(f.target, items, 2, &reply, &f.arena, f.verdicts);
        for (size_t k = 0; k < 2; k++) {
            const enum target_action action = f.verdicts[k].action;
            const char fate = action == TARGET_SETTLE  ? 's'
                              : action == TARGET_RETRY ? 'r'
                              : action == TARGET_BURY  ? 'b'
                                                       : '?';

            if (fate != rows[i].fates[k]) {
                fail_msg("%s: entry %zu is %c, expected %c", rows[i].body, k, fate,
                         rows[i].fates[k]);
            }
        }
    }
    close_queue(&f);
}

/* Goal: however long a service talks, a verdict keeps a bounded text. */
static void test_messages_are_cut(void **state)
{
    struct target_verdict verdict;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof(text));
    target_verdict_set(&verdict, TARGET_RETRY, ERR_REMOTE_FAILED, NULL,
                       (struct slice){text, sizeof(text)}, (struct slice){text, sizeof(text)});
    assert_int_equal(strlen(verdict.message), TARGET_MESSAGE_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_queues_open),
        cmocka_unit_test(test_urls_follow_from_the_arn),
        cmocka_unit_test(test_a_region_is_no_host),
        cmocka_unit_test(test_an_override_asks_for_the_url),
        cmocka_unit_test(test_a_failed_lookup_gives_a_verdict),
        cmocka_unit_test(test_fifo_messages_carry_group_and_deduplication_id),
        cmocka_unit_test(test_a_batch_names_its_entries),
        cmocka_unit_test(test_what_may_be_sent),
        cmocka_unit_test(test_how_a_whole_reply_is_judged),
        cmocka_unit_test(test_retry_after_is_read_in_seconds),
        cmocka_unit_test(test_an_accepted_message_is_verified),
        cmocka_unit_test(test_each_entry_of_a_batch_is_judged),
        cmocka_unit_test(test_messages_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
