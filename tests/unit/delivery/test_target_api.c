/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_api.c - API destinations: requests, tokens, and what every answer means.
 */
#include "accounts/oauth.h"
#include "core/check.h"
#include "target_bench.h"

#define ARN "arn:aws:events:us-east-1:999999999999:api-destination/soar"

enum { NOW_MS = 1000000 };

static struct api_destination *make_destination(const char *method, const char *endpoint,
                                                enum api_authorization authorization)
{
    static const struct api_parameter bodies[] = {{SLICE_INIT("a"), SLICE_INIT("new \"a\""), true},
                                                  {SLICE_INIT("z"), SLICE_INIT("9"), false}};
    struct api_destination *destination = api_destination_new();

    destination->arn = SLICE(ARN "/6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10");
    destination->name_arn = SLICE(ARN);
    destination->method = api_method(slice_of(method));
    destination->endpoint = slice_of(endpoint);
    destination->calls_per_second = 300;
    destination->authorization = authorization;
    if (authorization == API_HEADER) {
        destination->header =
            (struct api_parameter){SLICE("x-api-key"), SLICE("the whole key"), true};
        destination->invocation.bodies = (struct api_parameter_list){bodies, ARRAY_LEN(bodies)};
    } else {
        destination->oauth = (struct api_oauth){.endpoint = SLICE("https://id.example/token?a=b"),
                                                .method = api_method(SLICE("POST")),
                                                .client_id = SLICE("c & 1"),
                                                .client_secret = SLICE("s/3cret")};
    }
    return destination;
}

static void open_it(struct bench *b, struct api_destination *destination)
{
    const struct target_options options = {.api_destination = destination};
    struct err_why why = {""};

    *b = (struct bench){0};
    digest_init();
    buf_init(&b->body, 4 << 20);
    b->request.body = &b->body;
    assert_ptr_equal(target_find(SLICE(ARN)), &target_api);
    assert_int_equal(target_api.open(&options, SLICE(ARN), &b->target, &why), ERR_OK);
    api_destination_release(destination);
}

static const char *plain_header(struct bench *b, const char *name)
{
    return bench_text(b, header_value(b->request.plain, b->request.plain_count, slice_of(name)));
}

/* ---- requests ----------------------------------------------------------------------------- */

static void test_arns(void **state)
{
    static const char *const wrong[] = {
        "arn:aws:events:us-east-1:999999999999:api-destination/",
        "arn:aws:events:us-east-1:999999999999:api-destination/a/b",
        "arn:aws:events:us-east-1:999999999999:api-destination/a b",
        "arn:aws:events:us-east-1:99999999999:api-destination/soar",
        "arn:aws:events::999999999999:api-destination/soar",
    };
    struct err_why why;

    bench_refuses(&target_api, wrong, ARRAY_LEN(wrong));
    assert_int_equal(target_check_arn(SLICE(ARN), &why), ERR_OK);
    assert_int_equal(target_check_arn(SLICE(ARN "/6f1c0a52-8f0e-4d7b-9a43-2f6f5f1f7b10"), &why),
                     ERR_OK);
    assert_ptr_equal(target_find(SLICE("arn:aws:events:us-east-1:999999999999:event-bus/a")),
                     &target_events);
    (void)state;
}

static void test_a_request(void **state)
{
    static const struct slice values[] = {SLICE_INIT("a/b"), SLICE_INIT("100%")};
    static const struct header headers[] = {{SLICE_INIT("X-API-KEY"), SLICE_INIT("stolen")},
                                            {SLICE_INIT("If-Match"), SLICE_INIT("x")},
                                            {SLICE_INIT("x-team"), SLICE_INIT("sec")}};
    static const struct header queries[] = {{SLICE_INIT("q"), SLICE_INIT("a b&c")}};
    const struct target_http http = {.path_values = values,
                                     .path_value_count = 2,
                                     .headers = headers,
                                     .header_count = 3,
                                     .queries = queries,
                                     .query_count = 1};
    struct target_item item = bench_item("{\"a\":1, \"b\":{\"a\":2}, \"\\u0061\":3}");
    struct target_verdict verdict;
    struct bench b;

    open_it(&b, make_destination("PUT", "https://h.example/x/*/y*?z=*", API_HEADER));
    item.http = &http;
    assert_true(target_api.check(b.target, &item, &verdict));
    assert_string_equal(bench_build(&b, &item, 1),
                        "{\"b\":{\"a\":2},\"a\":\"new \\\"a\\\"\",\"z\":\"9\"}");
    assert_string_equal(b.request.url, "https://h.example/x/a%2Fb/y100%25?z=*&q=a%20b%26c");
    assert_string_equal(b.request.method, "PUT");
    assert_string_equal(plain_header(&b, "x-api-key"), "the whole key");
    assert_string_equal(plain_header(&b, "x-team"), "sec");
    assert_string_equal(plain_header(&b, "user-agent"), "Amazon/EventBridge/ApiDestinations");
    assert_string_equal(plain_header(&b, "content-type"), "application/json; charset=utf-8");
    assert_string_equal(plain_header(&b, "if-match"), "");
    assert_string_equal(plain_header(&b, "authorization"), "");
    bench_close(&b);
    (void)state;
}

static void test_get_and_head_carry_nothing(void **state)
{
    static const char *const methods[] = {"GET", "HEAD"};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct target_item item = bench_item("[1]");
        struct target_verdict verdict;
        struct bench b;

        open_it(&b, make_destination(methods[i], "https://h.example", API_HEADER));
        assert_true(target_api.check(b.target, &item, &verdict));
        assert_string_equal(bench_build(&b, &item, 1), "");
        assert_string_equal(plain_header(&b, "content-type"), "");
        bench_close(&b);
    }
    (void)state;
}

static void expect_refused(const char *endpoint, const char *body, const struct target_http *http)
{
    struct target_item item = bench_item(body);
    struct target_verdict verdict = {0};
    struct bench b;

    open_it(&b, make_destination("POST", endpoint, API_HEADER));
    item.http = http;
    if (target_api.check(b.target, &item, &verdict) || verdict.action != TARGET_BURY ||
        verdict.message[0] == '\0') {
        fail_msg("%s with %s may be sent", endpoint, body);
    }
    bench_close(&b);
}

static void test_what_can_never_be_sent(void **state)
{
    static const struct slice dots[] = {SLICE_INIT("..")};
    static const struct slice empty[] = {SLICE_INIT("")};
    static const struct header broken[] = {{SLICE_INIT("x-a"), SLICE_INIT("1\r\nx-b: 2")}};
    const struct target_http with_dots = {.path_values = dots, .path_value_count = 1};
    const struct target_http with_empty = {.path_values = empty, .path_value_count = 1};
    const struct target_http with_line = {.headers = broken, .header_count = 1};

    expect_refused("https://h.example/*", "{}", NULL);
    expect_refused("https://h.example/*/*", "{}", &with_dots);
    expect_refused("https://h.example/*", "{}", &with_dots);
    expect_refused("https://h.example/*", "{}", &with_empty);
    expect_refused("https://h.example/", "{}", &with_dots);
    expect_refused("https://h.example/", "{}", &with_line);
    expect_refused("https://h.example/", "[]", NULL); /* takes no body parameters */
    expect_refused("https://h.example/", "{\"a\":", NULL);
    expect_refused("https://h.example/", "{} {}", NULL);
    (void)state;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void test_statuses(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(200, "whatever"),
        BENCH_SETTLED(204, ""),
        BENCH_SETTLED(299, "{\"__type\":\"AccessDenied\"}"),
        BENCH_RETRIED(401, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(407, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(409, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(429, "", ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(500, "{\"__type\":\"AccessDenied\"}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(503, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(599, "", ERR_REMOTE_FAILED),
        BENCH_BURIED(301, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(304, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(400, "{\"__type\":\"ThrottlingException\"}", ERR_REMOTE_REJECTED,
                     "SDK_CLIENT_ERROR"),
        BENCH_BURIED(403, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(404, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(408, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(499, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        {503, "retry-after: -1\n", "", TARGET_BURY, TARGET_BURY, ERR_REMOTE_FAILED,
         "retry-declined"},
        {503, "retry-after: -0\n", "", TARGET_RETRY, TARGET_RETRY, ERR_REMOTE_FAILED, NULL},
        {429, "retry-after: soon\n", "", TARGET_RETRY, TARGET_RETRY, ERR_REMOTE_THROTTLED, NULL},
    };
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_HEADER));
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    (void)state;
    bench_close(&b);
}

static void test_waits_and_words(void **state)
{
    const struct target_item item = bench_item("{}");
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_HEADER));
    bench_judge(&b, &item, 1, 429, "retry-after: 30\n", "later");
    assert_int_equal(b.verdicts[0].retry_after_ms, 30000);
    assert_string_equal(b.verdicts[0].message, "HTTP 429: later");
    bench_judge(&b, &item, 1, 503, "retry-after: 99999\n", "");
    assert_int_equal(b.verdicts[0].retry_after_ms, 15 * 60 * 1000);
    bench_judge(&b, &item, 1, 400, NULL, "you sent: the whole key!");
    assert_null(strstr(b.verdicts[0].message, "whole key"));
    bench_close(&b);
    (void)state;
}

static void test_broken_answers(void **state)
{
    static const struct {
        enum err err;
        unsigned status;
        enum target_action action;
        enum err meant;
    } rows[] = {
        {ERR_TOO_LARGE, 200, TARGET_SETTLE, ERR_OK}, /* taken; its words are not ours to read */
        {ERR_TOO_LARGE, 500, TARGET_RETRY, ERR_REMOTE_FAILED},
        {ERR_REMOTE_FAILED, 200, TARGET_RETRY, ERR_REMOTE_FAILED},
        {ERR_REMOTE_TIMEOUT, 0, TARGET_RETRY, ERR_REMOTE_TIMEOUT},
        {ERR_REMOTE_UNREACHABLE, 0, TARGET_RETRY, ERR_REMOTE_UNREACHABLE},
        {ERR_ACCESS_DENIED, 0, TARGET_RETRY, ERR_REMOTE_FAILED},
    };
    const struct target_item item = bench_item("{}");
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_HEADER));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_reply reply = {.err = rows[i].err, .status = rows[i].status};

        target_api.classify(b.target, &item, 1, &reply, &b.arena, b.verdicts);
        assert_int_equal(b.verdicts[0].action, rows[i].action);
        assert_int_equal(b.verdicts[0].err, rows[i].meant);
    }
    bench_close(&b);
    (void)state;
}

/* ---- tokens ------------------------------------------------------------------------------- */

static bool take_token(struct bench *b, unsigned status, const char *body, uint64_t now_ms)
{
    const struct target_reply reply = {.status = status, .body = slice_of(body), .now_ms = now_ms};

    return target_api.read_lookup(b->target, &reply, &b->arena, &b->verdicts[0]);
}

static void test_the_request_for_a_token(void **state)
{
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_OAUTH));
    assert_true(target_api.needs_lookup(b.target, NOW_MS));
    assert_int_equal(target_api.build_lookup(b.target, &b.arena, &b.request), ERR_OK);
    assert_string_equal(b.request.url, "https://id.example/token?a=b");
    assert_string_equal(arena_cstr(&b.arena, buf_slice(&b.body)),
                        "grant_type=client_credentials&client_id=c%20%26%201&"
                        "client_secret=s%2F3cret");
    assert_string_equal(plain_header(&b, "content-type"), "application/x-www-form-urlencoded");
    bench_close(&b);
    (void)state;
}

static void test_the_life_of_a_token(void **state)
{
    const struct target_item item = bench_item("{}");
    struct target_reply reply = {.status = 401};
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_OAUTH));
    assert_true(take_token(
        &b, 200, "{\"access_token\":\"t1\",\"token_type\":\"bearer\",\"expires_in\":3600}",
        NOW_MS));
    assert_false(target_api.needs_lookup(b.target, NOW_MS + 3539 * 1000));
    assert_true(target_api.needs_lookup(b.target, NOW_MS + 3540 * 1000));
    (void)bench_build(&b, &item, 1);
    assert_string_equal(plain_header(&b, "authorization"), "Bearer t1");
    /* Refused: dropped by the first that carried it, not by one that comes after the next. */
    reply.mark = b.request.mark;
    target_api.classify(b.target, &item, 1, &reply, &b.arena, b.verdicts);
    assert_int_equal(b.verdicts[0].action, TARGET_RENEW);
    assert_true(target_api.needs_lookup(b.target, NOW_MS));
    assert_true(take_token(&b, 200, "{\"access_token\":\"t2\",\"expires_in\":\"20\"}", NOW_MS));
    target_api.classify(b.target, &item, 1, &reply, &b.arena, b.verdicts);
    assert_int_equal(b.verdicts[0].action, TARGET_RENEW);
    assert_false(target_api.needs_lookup(b.target, NOW_MS + 9999));
    assert_true(target_api.needs_lookup(b.target, NOW_MS + 10000)); /* half of a short life */
    (void)bench_build(&b, &item, 1);
    assert_string_equal(plain_header(&b, "authorization"), "Bearer t2");
    bench_close(&b);
    (void)state;
}

static void test_answers_that_hold_no_token(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
    } rows[] = {
        {401, "{\"error\":\"invalid_client\",\"client\":\"s/3cret\"}"},
        {500, ""},
        {200, ""},
        {200, "[]"},
        {200, "{\"token\":\"t\"}"},
        {200, "{\"access_token\":7}"},
        {200, "{\"access_token\":\"\"}"},
        {200, "{\"access_token\":\"a b\"}"},
        {200, "{\"access_token\":\"a\\r\\nx: y\"}"},
        {200, "{\"access_token\":\"t\",\"token_type\":\"a b\"}"},
        {200, "{\"access_token\":\"t\""},
    };
    uint64_t before_ms = 0;
    struct bench b;

    open_it(&b, make_destination("POST", "https://h.example/", API_OAUTH));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (take_token(&b, rows[i].status, rows[i].body, NOW_MS)) {
            fail_msg("row %zu gave a token", i);
        }
        assert_int_equal(b.verdicts[0].action, TARGET_RETRY);
        assert_null(strstr(b.verdicts[0].message, "s/3cret"));
        assert_true(target_api.needs_lookup(b.target, NOW_MS));
        assert_true(b.verdicts[0].retry_after_ms >= before_ms); /* left alone ever longer */
        before_ms = b.verdicts[0].retry_after_ms;
    }
    assert_int_equal(before_ms, 60000);
    bench_close(&b);
    (void)state;
}

/* ---- URLs --------------------------------------------------------------------------------- */

static void test_endpoints(void **state)
{
    static const char *const good[] = {
        "https://example.com",          "https://example.com/",
        "https://a-b.example:8443/x/*", "https://example.com?a=b&c=%20",
        "https://localhost:1/~x;y=z,w", "https://example.com/a?*",
    };
    static const char *const wrong[] = {
        "",
        "http://example.com/",
        "HTTPS://example.com/",
        "https://",
        "https:///x",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://1.0x1/",
        "https://example.com./",
        "https://example..com/",
        "https://-a.example/",
        "https://a_b.example/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:/",
        "https://example.com:x/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\"",
        "https://example.com\\@evil.example/",
        "https://example.com/\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        const char *fault = api_endpoint_fault(slice_of(good[i]));

        if (fault != NULL) {
            fail_msg("%s %s", good[i], fault);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (api_endpoint_fault(slice_of(wrong[i])) == NULL) {
            fail_msg("\"%s\" is fine", wrong[i]);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arns),
        cmocka_unit_test(test_a_request),
        cmocka_unit_test(test_get_and_head_carry_nothing),
        cmocka_unit_test(test_what_can_never_be_sent),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_waits_and_words),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_the_request_for_a_token),
        cmocka_unit_test(test_the_life_of_a_token),
        cmocka_unit_test(test_answers_that_hold_no_token),
        cmocka_unit_test(test_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
