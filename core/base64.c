/* SPDX-License-Identifier: Apache-2.0
 *
 * base64.c - three bytes to four characters and back.
 *
 * Decoding is strict because two texts for the same bytes are two keys for one credential: white
 * space, missing padding and set bits behind the last byte are refused.
 *
 *= RFC 4648 section 4, and section 3.5 for the unused bits
 */
#include "core/base64.h"

#include "core/check.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* One to three bytes to four characters. */
static void encode_group(const uint8_t *bytes, size_t len, char *out)
{
    const unsigned word = (unsigned)bytes[0] << 16 | (len > 1 ? (unsigned)bytes[1] << 8 : 0) |
                          (len > 2 ? (unsigned)bytes[2] : 0);

    out[0] = alphabet[word >> 18];
    out[1] = alphabet[word >> 12 & 63];
    out[2] = '=';
    out[3] = '=';
    if (len > 1) {
        out[2] = alphabet[word >> 6 & 63];
    }
    if (len > 2) {
        out[3] = alphabet[word & 63];
    }
}

enum err base64_encode(struct slice bytes, struct buf *out)
{
    const size_t groups = bytes.len / 3 + (bytes.len % 3 != 0);
    char *room;

    CHECK(groups <= SIZE_MAX / 4);
    TRY(buf_reserve(out, groups * 4, &room));
    for (size_t i = 0; i < groups; i++) {
        encode_group((const uint8_t *)bytes.data + i * 3, MIN_OF(bytes.len - i * 3, 3),
                     room + i * 4);
    }
    out->len += groups * 4;
    return ERR_OK;
}

/* The six bits of a character, or -1. */
static int value_of(char character)
{
    if (character >= 'A' && character <= 'Z') {
        return character - 'A';
    }
    if (character >= 'a' && character <= 'z') {
        return character - 'a' + 26;
    }
    if (character >= '0' && character <= '9') {
        return character - '0' + 52;
    }
    if (character == '+') {
        return 62;
    }
    return character == '/' ? 63 : -1;
}

/* Four characters, of which `count` are not padding, to `count` - 1 bytes. */
static bool decode_group(const char *text, size_t count, uint8_t *out)
{
    unsigned word = 0;

    for (size_t i = 0; i < 4; i++) {
        const int value = i < count ? value_of(text[i]) : 0;

        if (value < 0) {
            return false;
        }
        word = word << 6 | (unsigned)value;
    }
    for (size_t i = 0; i < count - 1; i++) {
        out[i] = (uint8_t)(word >> (16 - 8 * i));
    }
    /* what stands behind the last byte must be zero */
    return (word & (0xFFFFFFu >> (8 * (count - 1)))) == 0;
}

enum err base64_decode(struct slice text, struct buf *out)
{
    const size_t groups = text.len / 4;
    size_t padding = 0;
    char *room;

    if (text.len % 4 != 0) {
        return ERR_BAD_VALUE;
    }
    if (groups == 0) {
        return ERR_OK;
    }
    if (text.data[text.len - 1] == '=') {
        padding = text.data[text.len - 2] == '=' ? 2 : 1;
    }
    TRY(buf_reserve(out, groups * 3 - padding, &room));
    for (size_t i = 0; i < groups; i++) {
        const size_t count = i == groups - 1 ? 4 - padding : 4;

        if (!decode_group(text.data + i * 4, count, (uint8_t *)room + i * 3)) {
            return ERR_BAD_VALUE;
        }
    }
    out->len += groups * 3 - padding;
    return ERR_OK;
}
