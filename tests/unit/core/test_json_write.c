/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_write.c - what the writer writes is JSON, whatever it is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"

static void test_a_document_of_every_kind(void **state)
{
    struct json_writer writer;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("text"), SLICE("a\"b"));
    json_write_key_u64(&writer, SLICE("most"), UINT64_MAX);
    json_write_key_bool(&writer, SLICE("yes"), true);
    json_write_key(&writer, SLICE("list"));
    json_write_array_begin(&writer);
    json_write_i64(&writer, INT64_MIN);
    json_write_null(&writer);
    json_write_bool(&writer, false);
    json_write_raw(&writer, SLICE("{\"raw\":1.50}"));
    json_write_array_begin(&writer);
    json_write_array_end(&writer);
    json_write_object_begin(&writer);
    json_write_object_end(&writer);
    json_write_string(&writer, SLICE(""));
    json_write_array_end(&writer);
    json_write_key(&writer, SLICE("k\n"));
    json_write_u64(&writer, 0);
    json_write_object_end(&writer);
    assert_int_equal(json_write_end(&writer), ERR_OK);
    assert_true(slice_eq(buf_slice(&out),
                         SLICE("{\"text\":\"a\\\"b\",\"most\":18446744073709551615,\"yes\":true,"
                               "\"list\":[-9223372036854775808,null,false,{\"raw\":1.50},[],{},"
                               "\"\"],\"k\\n\":0}")));
    assert_int_equal(json_check(buf_slice(&out), 9, NULL), ERR_OK);
    buf_clean_up(&out);
}

static void test_strings_are_escaped_where_they_must_be(void **state)
{
    static const struct {
        struct slice text;
        const char *written;
    } rows[] = {
        {SLICE_INIT(""), "\"\""},
        {{NULL, 0}, "\"\""},
        {SLICE_INIT("plain / text \x7f"), "\"plain / text \x7f\""},
        {SLICE_INIT("\"\\"), "\"\\\"\\\\\""},
        {SLICE_INIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {SLICE_INIT("\0\x01\x1f"), "\"\\u0000\\u0001\\u001f\""},
        {SLICE_INIT("a quote behind sixteen plain bytes\"x"),
         "\"a quote behind sixteen plain bytes\\\"x\""},
        {SLICE_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x92"),
         "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x92\""},
        {SLICE_INIT("a\xFFz"), "\"a\xEF\xBF\xBDz\""},
        {SLICE_INIT("\xE2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {SLICE_INIT("\xC0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {SLICE_INIT("\xED\xA0\x80\xED\xBF\xBF"), "\"\\ud800\\udfff\""},
        {SLICE_INIT("\xED\xA0"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_writer writer;
        struct buf out;

        buf_init(&out, 4096);
        json_write_begin(&writer, &out);
        json_write_string(&writer, rows[i].text);
        assert_int_equal(json_write_end(&writer), ERR_OK);
        if (!slice_eq(buf_slice(&out), slice_of(rows[i].written))) {
            fail_msg("row %zu became %.*s", i, (int)out.len, out.data);
        }
        assert_int_equal(json_check(buf_slice(&out), 9, NULL), ERR_OK);
        buf_clean_up(&out);
    }
}

/* Goal:   any two bytes in a string give valid JSON, and well-formed text comes back unchanged. */
static void test_any_bytes_give_valid_json(void **state)
{
    struct buf out;
    struct buf back;

    (void)state;
    buf_init(&out, 64);
    buf_init(&back, 64);
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char bytes[] = {(char)(pair >> 8), (char)(pair & 255)};
        const struct slice text = {bytes, 2};
        struct json_writer writer;

        buf_clear(&out);
        buf_clear(&back);
        json_write_begin(&writer, &out);
        json_write_string(&writer, text);
        assert_int_equal(json_write_end(&writer), ERR_OK);
        if (json_check(buf_slice(&out), 9, NULL) != ERR_OK) {
            fail_msg("bytes %04x gave %.*s", pair, (int)out.len, out.data);
        }
        assert_int_equal(json_unescape((struct slice){out.data + 1, out.len - 2}, &back), ERR_OK);
        if ((pair & 0x8080) == 0 && !slice_eq(buf_slice(&back), text)) {
            fail_msg("bytes %04x came back as %.*s", pair, (int)back.len, back.data);
        }
    }
    buf_clean_up(&out);
    buf_clean_up(&back);
}

/* Goal:   the first error is kept and nothing is written after it.
 * Method: one document into every maximum that is too small for it. */
static void test_a_full_buf_is_reported_at_the_end(void **state)
{
    const struct slice whole = SLICE("{\"key\":\"a\\nb\",\"n\":12}");

    (void)state;
    for (size_t max = 0; max <= whole.len; max++) {
        struct json_writer writer;
        struct buf out;

        buf_init(&out, max);
        json_write_begin(&writer, &out);
        json_write_object_begin(&writer);
        json_write_key_string(&writer, SLICE("key"), SLICE("a\nb"));
        json_write_key_u64(&writer, SLICE("n"), 12);
        json_write_object_end(&writer);
        assert_int_equal(json_write_end(&writer), max < whole.len ? ERR_TOO_LARGE : ERR_OK);
        assert_true(slice_has_prefix(whole, buf_slice(&out)));
        buf_clean_up(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_of_every_kind),
        cmocka_unit_test(test_strings_are_escaped_where_they_must_be),
        cmocka_unit_test(test_any_bytes_give_valid_json),
        cmocka_unit_test(test_a_full_buf_is_reported_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
