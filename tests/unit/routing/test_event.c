/* SPDX-License-Identifier: Apache-2.0
 *
 * test_event.c - envelopes keep every byte they came with, gaps are filled in front, and what is
 * wrong is refused with its name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "core/check.h"
#include "routing/event.h"

#define ACCOUNT "111122223333"

static const struct event_defaults defaults = {
    .id = SLICE_INIT("7bf73129-1428-4cd3-a780-95db273d1602"),
    .account = SLICE_INIT(ACCOUNT),
    .region = SLICE_INIT("eu-west-1"),
    .now_ms = 1767225600000, /* 2026-01-01T00:00:00Z */
};

static const char whole[] =
    "{\"version\":\"0\",\"id\":\"i-1\",\"detail-type\":\"t\",\"source\":\"s\",\"account\":"
    "\"" ACCOUNT
    "\",\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"us-east-1\",\"resources\":[\"a\"],"
    "\"detail\":{\"k\":1.0}}";

/* Complete `text` as POST /events does. */
static struct event *read_whole(const char *text, struct arena *arena)
{
    struct event_draft draft;
    struct err_why why = {.text = ""};

    if (event_read_envelope(slice_of(text), arena, &draft, &why) != ERR_OK) {
        fail_msg("%s: %s", text, why.text);
    }
    return event_complete(&draft, &defaults);
}

static void assert_slice(struct slice slice, const char *expected)
{
    if (!slice_eq(slice, slice_of(expected))) {
        fail_msg("got      %.*s\nexpected %s", SLICE_ARG(slice), expected);
    }
}

/* Goal:   an envelope posted whole is delivered byte for byte.
 * Method: odd spacing, escapes, key orders, unknown members, repeated keys in detail. */
static void test_a_complete_envelope_keeps_every_byte(void **state)
{
    static const char *const texts[] = {
        whole,
        "  \t\r\n{ \"detail\" : { \"b\" :1 , \"a\":[ 1.0 , 1e3 ,-0 ] , \"b\":2 } "
        ",\n\t\"source\":\"s\","
        "\"detail-type\":\"t\",\"version\":\"0\",\"id\":\"i\",\"account\":\"" ACCOUNT
        "\",\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"r\",\"resources\":[ ]}\n",
        "{\"detail\":{\"x\":\"\\u0041\\/\\ud83d\\ude00 \xc3\xa9\"},\"\\u0073ource\":\"\\u0061ws\","
        "\"detail-type\":\"\xe2\x82\xac\",\"version\":\"0\",\"id\":\"i\",\"account\":\"" ACCOUNT
        "\",\"time\":\"2026-02-03T04:05:06.123Z\",\"region\":\"r\",\"resources\":[],"
        "\"replay-name\":\"n\",\"other\":{\"source\":[null]}}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena arena = {0};
        struct event *event = read_whole(texts[i], &arena);

        assert_slice(event->bytes, texts[i]);
        event_release(event);
        arena_clean_up(&arena);
    }
}

static void test_the_slices_of_an_event_are_unescaped(void **state)
{
    struct arena arena = {0};
    struct event *event = read_whole(
        "{\"\\u0073ource\":\"\\u0061ws.x\",\"detail-type\":\"a\\/b\",\"id\":\"i\\u00e9\","
        "\"account\":\"" ACCOUNT "\",\"time\":\"2026-02-03T04:05:06Z\",\"region\":\"r\","
        "\"detail\":{}}",
        &arena);

    (void)state;
    arena_clean_up(&arena); /* the event borrows nothing */
    assert_slice(event->source, "aws.x");
    assert_slice(event->detail_type, "a/b");
    assert_slice(event->id, "i\xc3\xa9");
    assert_slice(event->account, ACCOUNT);
    assert_slice(event->time, "2026-02-03T04:05:06Z");
    assert_slice(event->region, "r");
    assert_int_equal(event->accepted_ms, defaults.now_ms);
    event_release(event);
}

static void test_gaps_are_filled_behind_the_opening_brace(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{}}",
         "{\"version\":\"0\",\"id\":\"7bf73129-1428-4cd3-a780-95db273d1602\",\"account\":\"" ACCOUNT
         "\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"eu-west-1\",\"resources\":[],"
         "\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{}}"},
        {" { \"source\":\"s\", \"id\":\"mine\", \"resources\":[ \"a\" ],\"detail-type\":\"t\","
         "\"detail\":{ \"a\" : 1 } } ",
         " {\"version\":\"0\",\"account\":\"" ACCOUNT
         "\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"eu-west-1\","
         " \"source\":\"s\", \"id\":\"mine\", \"resources\":[ \"a\" ],\"detail-type\":\"t\","
         "\"detail\":{ \"a\" : 1 } } "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena = {0};
        struct event *event = read_whole(rows[i].text, &arena);

        assert_slice(event->bytes, rows[i].expected);
        event_release(event);
        arena_clean_up(&arena);
    }
}

static void test_an_entry_becomes_an_envelope_in_canonical_order(void **state)
{
    const struct event_draft draft = {
        .source = SLICE("my.app"),
        .detail_type = SLICE("say \"hi\""),
        .resources = SLICE("[ \"arn:1\" , \"arn:2\" ]"),
        .detail = SLICE(" { \"a\" : 1.0 , \"b\" : [ \"x y\" , \"\\u0041\" ] ,\n\"a\":-0 } "),
    };
    struct event *event = event_complete(&draft, &defaults);

    (void)state;
    assert_slice(event->bytes,
                 "{\"version\":\"0\",\"id\":\"7bf73129-1428-4cd3-a780-95db273d1602\","
                 "\"detail-type\":\"say \\\"hi\\\"\",\"source\":\"my.app\",\"account\":\"" ACCOUNT
                 "\",\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"eu-west-1\","
                 "\"resources\":[\"arn:1\",\"arn:2\"],"
                 "\"detail\":{\"a\":1.0,\"b\":[\"x y\",\"\\u0041\"],\"a\":-0}}");
    event_release(event);
}

static void test_an_entry_keeps_the_time_it_names(void **state)
{
    const struct event_draft draft = {
        .source = SLICE("s"),
        .detail_type = SLICE("t"),
        .time = SLICE("2020-01-01T00:00:00Z"),
        .detail = SLICE("{}"),
    };
    struct event *event = event_complete(&draft, &defaults);

    (void)state;
    assert_slice(event->time, "2020-01-01T00:00:00Z");
    assert_true(slice_has_suffix(event->bytes,
                                 SLICE("\"time\":\"2020-01-01T00:00:00Z\",\"region\":\"eu-west-1\","
                                       "\"resources\":[],\"detail\":{}}")));
    event_release(event);
}

static void test_an_event_lives_until_the_last_release(void **state)
{
    struct arena arena = {0};
    struct event *event = read_whole(whole, &arena);

    (void)state;
    arena_clean_up(&arena);
    assert_ptr_equal(event_acquire(event), event);
    event_release(event);
    assert_slice(event->source, "s");
    event_release(event);
    event_release(NULL);
}

/* Goal:   a wrong envelope is refused, and the reason names what is wrong.
 * Method: one row per fault; the reason must hold the given words. */
static void test_wrong_envelopes_are_refused_by_name(void **state)
{
#define REST    ",\"source\":\"s\",\"detail-type\":\"t\",\"detail\":{}}"
#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"
    static const struct {
        const char *text;
        enum err err;
        const char *reason;
    } rows[] = {
        {"", ERR_BAD_JSON, "byte 0"},
        {"[]", ERR_BAD_VALUE, "must be a JSON object"},
        {"{}", ERR_BAD_VALUE, "`source` is missing"},
        {"{\"source\":\"s\"}", ERR_BAD_VALUE, "`detail-type` is missing"},
        {"{\"source\":\"s\",\"detail-type\":\"t\"}", ERR_BAD_VALUE, "`detail` is missing"},
        {"{\"source\":1,\"detail-type\":\"t\",\"detail\":{}}", ERR_BAD_VALUE,
         "`source` must be a string"},
        {"{\"source\":\"\",\"detail-type\":\"t\",\"detail\":{}}", ERR_BAD_VALUE,
         "`source` must not be empty"},
        {"{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":\"{}\"}", ERR_BAD_VALUE,
         "`detail` must be an object"},
        {"{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":[]}", ERR_BAD_VALUE,
         "`detail` must be an object"},
        {"{\"source\":\"s\",\"source\":\"s\"" REST, ERR_BAD_VALUE, "`source` is given twice"},
        {"{\"s\\u006furce\":\"x\"" REST, ERR_BAD_VALUE, "`source` is given twice"},
        {"{\"id\":\"a\\u0000b\"" REST, ERR_BAD_VALUE, "`id` must not hold a NUL"},
        {"{\"id\":\"" LONG_64 "x\"" REST, ERR_BAD_VALUE, "`id` has 65 bytes, more than 64"},
        {"{\"id\":null" REST, ERR_BAD_VALUE, "`id` must be a string"},
        {"{\"account\":\"11112222333\"" REST, ERR_BAD_VALUE, "`account` must be 12 digits"},
        {"{\"account\":\"11112222333x\"" REST, ERR_BAD_VALUE, "`account` must be 12 digits"},
        {"{\"account\":111122223333" REST, ERR_BAD_VALUE, "`account` must be a string"},
        {"{\"time\":\"yesterday\"" REST, ERR_BAD_VALUE, "`time` must be a time"},
        {"{\"resources\":\"a\"" REST, ERR_BAD_VALUE, "`resources` must be an array of strings"},
        {"{\"resources\":[\"a\",1]" REST, ERR_BAD_VALUE, "`resources` must be an array of strings"},
        {"{\"resources\":[\"a\\u0000\"]" REST, ERR_BAD_VALUE, "`resources` must not hold a NUL"},
        {"{\"resources\":[\"a\",]" REST, ERR_BAD_JSON, "byte"},
        {"{\"x\":1" REST " x", ERR_BAD_JSON, "byte"},
        {"{\"x\":01" REST, ERR_BAD_JSON, "byte"},
        {"{\"x\":[1,}" REST, ERR_BAD_JSON, "byte"},
        {"{\"detail\":{\"a\":}}", ERR_BAD_JSON, "byte"},
        {"{\"source\":\"s\"", ERR_BAD_JSON, "byte"},
        {"\xef\xbb\xbf{}", ERR_BAD_JSON, "byte 0"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena = {0};
        struct event_draft draft;
        struct err_why why = {.text = ""};
        const enum err err = event_read_envelope(slice_of(rows[i].text), &arena, &draft, &why);

        if (err != rows[i].err || strstr(why.text, rows[i].reason) == NULL) {
            fail_msg("%s: %s \"%s\", expected %s \"…%s…\"", rows[i].text, err_name(err), why.text,
                     err_name(rows[i].err), rows[i].reason);
        }
        arena_clean_up(&arena);
    }
}

static void test_detail_must_be_the_text_of_an_object(void **state)
{
    static const struct {
        const char *text;
        enum err err;
    } rows[] = {
        {"{}", ERR_OK},
        {" { \"a\" : [ { } ] } ", ERR_OK},
        {"", ERR_MALFORMED_DETAIL},
        {"[]", ERR_MALFORMED_DETAIL},
        {"\"{}\"", ERR_MALFORMED_DETAIL},
        {"{}{}", ERR_MALFORMED_DETAIL},
        {"{\"a\":}", ERR_MALFORMED_DETAIL},
        {"{\"a\":1", ERR_MALFORMED_DETAIL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (event_check_detail(slice_of(rows[i].text)) != rows[i].err) {
            fail_msg("%s: expected %s", rows[i].text, err_name(rows[i].err));
        }
    }
}

/* The envelope is one level around the detail, so a detail may be one level less deep. */
static void test_the_deepest_detail_still_fits_its_envelope(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 16];
    struct arena arena = {0};

    (void)state;
    for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
        struct event_draft draft;
        char envelope[sizeof(text) + 64];
        const size_t inner = depth - 1;
        const bool fits = depth < JSON_DEPTH_MAX;

        (void)snprintf(text, sizeof(text), "{\"a\":");
        memset(text + 5, '[', inner);
        memset(text + 5 + inner, ']', inner);
        (void)snprintf(text + 5 + 2 * inner, 2, "}");
        assert_int_equal(event_check_detail(slice_of(text)), fits ? ERR_OK : ERR_MALFORMED_DETAIL);
        (void)snprintf(envelope, sizeof(envelope),
                       "{\"source\":\"s\",\"detail-type\":\"t\",\"detail\":%s}", text);
        assert_int_equal(event_read_envelope(slice_of(envelope), &arena, &draft, NULL),
                         fits ? ERR_OK : ERR_BAD_JSON);
    }
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_complete_envelope_keeps_every_byte),
        cmocka_unit_test(test_the_slices_of_an_event_are_unescaped),
        cmocka_unit_test(test_gaps_are_filled_behind_the_opening_brace),
        cmocka_unit_test(test_an_entry_becomes_an_envelope_in_canonical_order),
        cmocka_unit_test(test_an_entry_keeps_the_time_it_names),
        cmocka_unit_test(test_an_event_lives_until_the_last_release),
        cmocka_unit_test(test_wrong_envelopes_are_refused_by_name),
        cmocka_unit_test(test_detail_must_be_the_text_of_an_object),
        cmocka_unit_test(test_the_deepest_detail_still_fits_its_envelope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
