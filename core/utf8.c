/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.c - which byte sequences are characters.
 *
 * Table 3-7 of the Unicode standard in one row per lead byte: how long the character is, and the
 * range of its second byte, which alone excludes overlong forms, surrogates and what lies past
 * U+10FFFF.  Every later byte is 80..BF.
 */
#include "core/utf8.h"

#include "core/check.h"

struct lead {
    uint8_t len;
    uint8_t second_min;
    uint8_t second_max;
};

static struct lead lead_of(uint8_t byte)
{
    if (byte < 0x80) {
        return (struct lead){1, 0, 0};
    }
    if (byte < 0xC2 || byte > 0xF4) {
        return (struct lead){0, 0, 0};
    }
    if (byte < 0xE0) {
        return (struct lead){2, 0x80, 0xBF};
    }
    if (byte < 0xF0) {
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    }
    return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
}

size_t utf8_len(const char *at, const char *end)
{
    const uint8_t *bytes = (const uint8_t *)at;
    struct lead lead;

    if (at >= end) {
        return 0;
    }
    lead = lead_of(bytes[0]);
    if (lead.len <= 1) {
        return lead.len;
    }
    if ((size_t)(end - at) < lead.len || bytes[1] < lead.second_min || bytes[1] > lead.second_max) {
        return 0;
    }
    for (size_t i = 2; i < lead.len; i++) {
        if ((bytes[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return lead.len;
}

size_t utf8_encode(uint32_t point, char out[static UTF8_MAX_BYTES])
{
    CHECK(point <= 0x10FFFF);
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

void utf8_mend(char *text)
{
    const char *end = text + strlen(text);

    while (text < end) {
        const size_t len = utf8_len(text, end);

        if (len == 0) {
            *text = '?';
        }
        text += len > 0 ? len : 1;
    }
}
