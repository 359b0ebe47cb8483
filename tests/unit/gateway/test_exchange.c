/* SPDX-License-Identifier: Apache-2.0
 *
 * test_exchange.c - the version-independent half of a request: targets, authorities, fields, the
 * quota, the digest in steps, lateness, error answers, reuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/check.h"
#include "gateway/exchange.h"

static unsigned responded;

static void respond(struct request *request)
{
    (void)request;
    responded++;
}

static const struct request_ops ops = {.respond = respond};

static struct exchange_pool *new_pool(size_t in_flight_max_bytes)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    digest_init();
    limits.in_flight_max_bytes = in_flight_max_bytes;
    return exchange_pool_new(&limits);
}

static void test_targets_and_authorities(void **state)
{
    static const struct {
        struct slice text;
        bool is_target;
        bool is_authority;
    } rows[] = {
        {SLICE_INIT("/"), true, false},
        {SLICE_INIT("/a?b?c"), true, false},
        {SLICE_INIT(""), false, false},
        {SLICE_INIT("*"), false, false},
        {SLICE_INIT("/a b"), false, false},
        {SLICE_INIT("/a\0b"), false, false},
        {SLICE_INIT("/a\x80"), false, false},
        {SLICE_INIT("/#"), false, false},
        {SLICE_INIT("weir"), false, true},
        {SLICE_INIT("WEIR:1"), false, true},
        {SLICE_INIT("[fe80::1%25en0]:1"), false, true},
        {SLICE_INIT("we ir"), false, false},
        {SLICE_INIT("weir\0"), false, false},
        {SLICE_INIT("we@ir"), false, false},
    };
    struct exchange_pool *pool = new_pool(1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *exchange = exchange_new(pool, &ops);

        assert_int_equal(exchange_set_target(exchange, rows[i].text), rows[i].is_target);
        assert_int_equal(exchange_set_authority(exchange, rows[i].text), rows[i].is_authority);
        exchange_free(exchange);
    }
    exchange_pool_release(pool);
}

static void test_target_and_authority_are_taken_apart(void **state)
{
    struct exchange_pool *pool = new_pool(1000);
    struct exchange *exchange = exchange_new(pool, &ops);

    (void)state;
    assert_true(exchange_set_target(exchange, SLICE("/a?b?c")));
    assert_true(slice_eq(exchange->request.path, SLICE("/a")));
    assert_true(slice_eq(exchange->request.query, SLICE("b?c")));
    assert_true(exchange_set_authority(exchange, SLICE("WEIR.Example:8443")));
    assert_true(slice_eq(exchange->request.authority, SLICE("weir.example:8443")));
    exchange_free(exchange);
    exchange_pool_release(pool);
}

static void open_body(struct exchange *exchange, size_t body_max)
{
    exchange->body_max_bytes = body_max;
    exchange->request.body.max = body_max;
}

static void test_the_quota_counts_what_is_held(void **state)
{
    struct exchange_pool *pool = new_pool(10);
    struct exchange *first = exchange_new(pool, &ops);
    struct exchange *second = exchange_new(pool, &ops);

    (void)state;
    open_body(first, 8);
    open_body(second, 8);
    assert_int_equal(exchange_add_body(first, SLICE("123456789")), ERR_TOO_LARGE);
    assert_int_equal(exchange_add_body(first, SLICE("1234567")), ERR_OK);
    assert_int_equal(exchange_pool_bytes(pool), 7);
    assert_int_equal(exchange_add_body(second, SLICE("1234")), ERR_STORE_BUSY);
    assert_int_equal(exchange_add_body(second, SLICE("123")), ERR_OK);
    assert_int_equal(exchange_add_body(first, SLICE("8")), ERR_STORE_BUSY);
    exchange_free(first);
    assert_int_equal(exchange_pool_bytes(pool), 3);
    assert_int_equal(exchange_add_body(second, SLICE("4567")), ERR_OK);
    exchange_pool_release(pool); /* it lives on for the second */
    exchange_free(second);
}

static void test_the_digest_does_not_depend_on_the_steps(void **state)
{
    enum { LEN = 100 * 1000 };
    static const size_t steps[] = {1, 1000, 16384, 16385, 50000, LEN};
    struct exchange_pool *pool = new_pool(LEN);
    char *body = xcalloc(1, LEN);
    struct digest wanted;

    (void)state;
    for (size_t i = 0; i < LEN; i++) {
        body[i] = (char)(i * 31 % 251);
    }
    digest_sha256((struct slice){body, LEN}, &wanted);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct exchange *exchange = exchange_new(pool, &ops); /* the same one again and again */
        struct slice rest = {body, LEN};

        open_body(exchange, LEN);
        while (rest.len > 0) {
            assert_int_equal(exchange_add_body(exchange, slice_first(rest, steps[i])), ERR_OK);
            rest = slice_from(rest, MIN_OF(steps[i], rest.len));
        }
        exchange_end_body(exchange);
        assert_true(
            digest_equal(digest_slice(&exchange->request.body_digest), digest_slice(&wanted)));
        exchange_free(exchange);
    }
    exchange_pool_release(pool);
    xfree(body);
}

static void test_a_reused_exchange_remembers_nothing(void **state)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct exchange_pool *pool = new_pool(1000);
    struct exchange *exchange = exchange_new(pool, &ops);
    struct exchange *again;

    (void)state;
    assert_true(exchange_set_target(exchange, SLICE("/a")));
    exchange_add_field(exchange, &limits, SLICE("x"), SLICE("y"));
    exchange_refuse_head(exchange, 400, "no");
    open_body(exchange, 10);
    assert_int_equal(exchange_add_body(exchange, SLICE("secret")), ERR_OK);
    exchange->request.handler_data = exchange;
    exchange_free(exchange);
    again = exchange_new(pool, &ops);
    assert_ptr_equal(again, exchange);
    assert_int_equal(again->request.path.len, 0);
    assert_int_equal(again->request.header_count, 0);
    assert_int_equal(again->request.body.len, 0);
    assert_int_equal(again->refusal_status, 0);
    assert_int_equal(again->request.response.status, 0);
    assert_null(again->request.handler_data);
    assert_int_equal(again->state, EXCHANGE_READING);
    exchange_free(again);
    exchange_pool_release(pool);
    exchange_pool_release(NULL);
}

static void test_lateness(void **state)
{
    static const struct {
        uint64_t age_ms;
        size_t body_len;
        bool is_late;
    } rows[] = {
        {0, 0, false},         {5000, 0, false},     {6000, 1023, true},    {6000, 1024, false},
        {15000, 10240, false}, {15000, 10239, true}, {19999, 20000, false}, {20000, 20000, true},
    };
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct exchange exchange = {.begun_ms = 100, .request.body.len = rows[i].body_len};

        assert_int_equal(exchange_is_late(&exchange, &limits, 100 + rows[i].age_ms),
                         rows[i].is_late);
    }
}

static void test_error_answers_are_json_whatever_the_message(void **state)
{
    static const struct {
        enum err err;
        const char *message;
        unsigned status;
        const char *body;
    } rows[] = {
        {ERR_BAD_REQUEST, "say \"what\"\n", 400,
         "{\"error\":{\"code\":\"ValidationException\",\"message\":\"say \\\"what\\\"\\n\"}}"},
        {ERR_THROTTLED, NULL, 429,
         "{\"error\":{\"code\":\"ThrottlingException\","
         "\"message\":\"the account is over its rate limit\"}}"},
    };
    struct exchange_pool *pool = new_pool(1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *exchange = exchange_new(pool, &ops);
        const struct response *response = &exchange->request.response;

        responded = 0;
        request_respond_error(&exchange->request, rows[i].err, rows[i].message);
        assert_int_equal(responded, 1);
        assert_int_equal(response->status, rows[i].status);
        assert_true(slice_eq(response->body, slice_of(rows[i].body)));
        exchange_free(exchange);
    }
    exchange_pool_release(pool);
}

static void test_who_is_refused_for_load_is_told_when_to_come_again(void **state)
{
    static const struct {
        enum err err;
        bool says_when;
    } rows[] = {{ERR_STORE_BUSY, true}, {ERR_STOPPING, true}, {ERR_TOO_LARGE, false}};
    struct exchange_pool *pool = new_pool(1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *exchange = exchange_new(pool, &ops);
        const struct response *response = &exchange->request.response;
        uint64_t seconds = 0;

        exchange_fill_error(exchange, rows[i].err);
        assert_int_equal(response->header_count, rows[i].says_when ? 1 : 0);
        if (rows[i].says_when) {
            assert_true(slice_eq(response->headers[0].name, SLICE("retry-after")));
            assert_true(slice_to_u64(response->headers[0].value, &seconds));
            assert_in_range(seconds, 1, 5);
        }
        exchange_free(exchange);
    }
    exchange_pool_release(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets_and_authorities),
        cmocka_unit_test(test_target_and_authority_are_taken_apart),
        cmocka_unit_test(test_the_quota_counts_what_is_held),
        cmocka_unit_test(test_the_digest_does_not_depend_on_the_steps),
        cmocka_unit_test(test_a_reused_exchange_remembers_nothing),
        cmocka_unit_test(test_lateness),
        cmocka_unit_test(test_error_answers_are_json_whatever_the_message),
        cmocka_unit_test(test_who_is_refused_for_load_is_told_when_to_come_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
