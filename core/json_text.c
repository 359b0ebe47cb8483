/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text.c - what valid JSON text stands for: strings without escapes, values without blanks.
 *
 * Everything here works on bytes that the reader (json.c) has accepted, so the only error is a full
 * output; a text that is not valid JSON after all is our own mistake and meets a CHECK.
 *
 * Invariant: nothing grows.  An escape is never shorter than its character, and compacting only
 *            leaves out.
 * Memory:    what the caller gives: a buf or an arena.
 */
#include "core/json.h"

#include "core/check.h"
#include "core/json_internal.h"
#include "core/utf8.h"

/* Past the closing quote of the valid string that begins at `at`. */
static const char *skip_valid_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        at = json_skip_plain(at, end);
        if (at < end && *at == '"') {
            break;
        }
        at += at < end && *at == '\\';
    }
    CHECK(at < end);
    return at + 1;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

enum err json_compact(struct slice text, struct buf *out)
{
    const char *at = text.data;
    const char *end = slice_end(text);
    const size_t len_before = out->len;
    enum err err = ERR_OK;

    while (at < end && err == ERR_OK) {
        const char *run = at; /* kept bytes, copied together */

        while (at < end && !is_blank(*at)) {
            at = *at == '"' ? skip_valid_string(at, end) : at + 1;
        }
        err = buf_append(out, (struct slice){run, (size_t)(at - run)});
        at += at < end; /* the blank */
    }
    if (err != ERR_OK) {
        out->len = len_before;
    }
    return err;
}

/* --- what a string stands for --- */

/* The four hex digits at `digits`, which the reader has seen. */
static uint32_t hex4(const char *digits)
{
    uint32_t unit = 0;

    for (unsigned i = 0; i < 4; i++) {
        CHECK(json_hex_digit(digits[i]) >= 0);
        unit = unit << 4 | (uint32_t)json_hex_digit(digits[i]);
    }
    return unit;
}

/* The character of the \u escape at *at; joins a surrogate pair; *at moves past it. */
static uint32_t take_unicode_escape(const char **at, const char *end)
{
    uint32_t point;

    CHECK(end - *at >= 6);
    point = hex4(*at + 2);
    *at += 6;
    if (point >= 0xD800 && point <= 0xDBFF && end - *at >= 6 && (*at)[0] == '\\' &&
        (*at)[1] == 'u') {
        const uint32_t low = hex4(*at + 2);

        if (low >= 0xDC00 && low <= 0xDFFF) {
            *at += 6;
            point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    return point;
}

/* The bytes of the escape at *at into `out`; *at moves past it. Returns how many. */
static size_t take_escape(const char **at, const char *end, char out[static UTF8_MAX_BYTES])
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    CHECK(end - *at >= 2);
    if ((*at)[1] == 'u') {
        return utf8_encode(take_unicode_escape(at, end), out);
    }
    found = memchr(from, (*at)[1], sizeof(from) - 1);
    CHECK(found != NULL);
    *at += 2;
    out[0] = to[found - from];
    return 1;
}

/* Write what `raw` stands for to `out`, or only count it when `out` is NULL. */
static size_t unescape(struct slice raw, char *out)
{
    const char *at = raw.data;
    const char *end = slice_end(raw);
    size_t len = 0;

    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        const size_t run = (size_t)((backslash != NULL ? backslash : end) - at);
        char character[UTF8_MAX_BYTES];
        size_t character_len = 0;

        if (out != NULL) {
            memcpy(out + len, at, run);
        }
        len += run;
        at += run;
        if (at < end) {
            character_len = take_escape(&at, end, character);
        }
        if (out != NULL) {
            memcpy(out + len, character, character_len);
        }
        len += character_len;
    }
    return len;
}

enum err json_unescape(struct slice raw, struct buf *out)
{
    const size_t len = unescape(raw, NULL);
    char *room;

    TRY(buf_reserve(out, len, &room));
    if (len > 0) {
        out->len += unescape(raw, room);
    }
    return ERR_OK;
}

struct slice json_token_text(const struct json_token *token, struct arena *arena)
{
    char *room;

    CHECK(token->type == JSON_TYPE_STRING || token->type == JSON_TYPE_KEY);
    if (!token->has_escapes) {
        return token->raw;
    }
    room = arena_alloc(arena, token->raw.len); /* an escape is never shorter than its character */
    return (struct slice){room, unescape(token->raw, room)};
}
