/* SPDX-License-Identifier: Apache-2.0
 *
 * test_base64.c - RFC 4648 there and back, and one text only for each bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base64.h"
#include "core/check.h"

static const struct {
    struct slice bytes;
    const char *text;
} good_rows[] = {
    /* RFC 4648 section 10 */
    {SLICE_INIT(""), ""},
    {SLICE_INIT("f"), "Zg=="},
    {SLICE_INIT("fo"), "Zm8="},
    {SLICE_INIT("foo"), "Zm9v"},
    {SLICE_INIT("foob"), "Zm9vYg=="},
    {SLICE_INIT("fooba"), "Zm9vYmE="},
    {SLICE_INIT("foobar"), "Zm9vYmFy"},
    {SLICE_INIT("\0\0\0"), "AAAA"},
    {SLICE_INIT("\xFF\xFF\xFF"), "////"},
    {SLICE_INIT("\xFB\xEF\xBE"), "++++"},
    {SLICE_INIT("\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61\x96"
                "\x9b\x71\xd7\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c\xb3\xd3"
                "\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf"),
     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"},
};

static void test_bytes_go_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good_rows); i++) {
        struct buf text;
        struct buf bytes;

        buf_init(&text, strlen(good_rows[i].text)); /* exactly as much as is needed */
        buf_init(&bytes, good_rows[i].bytes.len);
        assert_int_equal(base64_encode(good_rows[i].bytes, &text), ERR_OK);
        assert_true(slice_eq(buf_slice(&text), slice_of(good_rows[i].text)));
        assert_int_equal(base64_decode(buf_slice(&text), &bytes), ERR_OK);
        assert_true(slice_eq(buf_slice(&bytes), good_rows[i].bytes));
        buf_clean_up(&text);
        buf_clean_up(&bytes);
    }
}

static void test_any_other_text_is_refused(void **state)
{
    static const char *const rows[] = {
        "Z",        "Zg",       "Zg=",  "Zm9vY",   "=",      "==",   "====",  "Z===",
        "Zg==Zg==", "Zm8=Zm8=", "Zg=v", "=Zg=",    "Zm9v\n", "Zm 9", "Zm9v ", " Zm9",
        "Zm9-",     "Zm9_",     "Zm9.", "Zm9\x80", "Zh==",   "Zk==", "Zm9=",  "Zm+=",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;

        buf_init(&out, 64);
        assert_int_equal(buf_append(&out, SLICE("kept")), ERR_OK);
        if (base64_decode(slice_of(rows[i]), &out) != ERR_BAD_VALUE) {
            fail_msg("\"%s\" was accepted", rows[i]);
        }
        assert_true(slice_eq(buf_slice(&out), SLICE("kept")));
        buf_clean_up(&out);
    }
}

static void test_a_full_buf_is_left_as_it_was(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_int_equal(buf_append(&out, SLICE("ab")), ERR_OK);
    assert_int_equal(base64_encode(SLICE("x"), &out), ERR_TOO_LARGE);
    assert_int_equal(base64_decode(SLICE("Zm9v"), &out), ERR_TOO_LARGE);
    assert_true(slice_eq(buf_slice(&out), SLICE("ab")));
    buf_clean_up(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_go_there_and_back),
        cmocka_unit_test(test_any_other_text_is_refused),
        cmocka_unit_test(test_a_full_buf_is_left_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
