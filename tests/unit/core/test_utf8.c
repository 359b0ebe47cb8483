/* SPDX-License-Identifier: Apache-2.0
 *
 * test_utf8.c - every character is accepted in its one form, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base.h"
#include "core/utf8.h"

/* Goal:   each of the 1,114,112 numbers is written; all but the surrogates are read back. */
static void test_every_character_has_one_form(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
        const size_t wanted = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        char bytes[UTF8_MAX_BYTES + 1] = {0};
        const size_t len = utf8_encode(point, bytes);

        if (len != wanted || utf8_len(bytes, bytes + len) != (is_surrogate ? 0 : len)) {
            fail_msg("U+%04X has %zu bytes", point, len);
        }
        /* cut short, it is no character */
        if (len > 1 && utf8_len(bytes, bytes + len - 1) != 0) {
            fail_msg("U+%04X is accepted without its end", point);
        }
    }
}

/* Goal:   of all four-byte texts exactly the characters are accepted.
 * Method: all first two bytes with later bytes at the edges of 80..BF; the number of accepted
 *         leads is what the table of the standard counts. */
static void test_nothing_else_is_accepted(void **state)
{
    static const uint8_t edges[] = {0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF};
    unsigned counts[UTF8_MAX_BYTES + 1] = {0};

    (void)state;
    for (unsigned head = 0; head < 65536; head++) {
        for (size_t tail = 0; tail < ARRAY_LEN(edges) * ARRAY_LEN(edges); tail++) {
            const char bytes[] = {(char)(head >> 8), (char)(head & 255),
                                  (char)edges[tail / ARRAY_LEN(edges)],
                                  (char)edges[tail % ARRAY_LEN(edges)]};

            counts[utf8_len(bytes, bytes + 4)]++;
        }
    }
    assert_int_equal(counts[1], 128 * 256 * 36);
    assert_int_equal(counts[2], 30 * 64 * 36);
    /* E0: 32 second bytes, ED: 32, the other fourteen: 64; a third byte of two edges */
    assert_int_equal(counts[3], (32 + 32 + 14 * 64) * 2 * 6);
    /* F0: 48, F1..F3: 64, F4: 16; two more bytes of two edges each */
    assert_int_equal(counts[4], (48 + 3 * 64 + 16) * 4);
}

static void test_no_bytes_are_no_character(void **state)
{
    const char *at = "a";

    (void)state;
    assert_int_equal(utf8_len(at, at), 0);
}

static void a_cut_text_is_mended(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"h\xC3\xA9", "h\xC3\xA9"},
        {"h\xC3", "h?"},
        {"\xE2\x82", "??"},
        {"a\xF0\x9F\x98z\xC3\xA9", "a???z\xC3\xA9"},
        {"\xED\xA0\x80", "???"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "%s", cases[i][0]);
        utf8_mend(text);
        assert_string_equal(text, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_text_is_mended),
        cmocka_unit_test(test_every_character_has_one_form),
        cmocka_unit_test(test_nothing_else_is_accepted),
        cmocka_unit_test(test_no_bytes_are_no_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
