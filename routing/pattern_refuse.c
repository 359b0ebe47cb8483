/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_refuse.c - the message of a refused pattern, and the place it names.
 *
 * EventBridge's refusals are Jackson exceptions:
 *
 *     Event pattern is not valid. Reason: SENTENCE
 *      at [Source: (String)"PATTERN"; line: L, column: C]
 *
 * L and C point behind the last character that Jackson took, C counted from 1 in UTF-16 units.
 * Long patterns are quoted up to 500 units, control characters but line ends are escaped.  Inside a
 * list of anything-but one exception wraps another, and the place is named twice.
 *
 * Memory: places are described in the arena of the syntax.
 */
#include "routing/pattern_syntax.h"

#include <stdarg.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/utf8.h"

enum {
    QUOTED_UNITS_MAX = 500,
    SENTENCE_BYTES_MAX = 3072,
    PLACE_BYTES_MAX = 2048,
};

size_t pattern_character_len(struct slice text, size_t at)
{
    const size_t len = utf8_len(text.data + at, text.data + text.len);

    return len > 0 ? len : 1;
}

/* UTF-16 units of a character of `len` bytes. */
static size_t unit_count(size_t len)
{
    return len == 4 ? 2 : 1;
}

struct place {
    size_t line;
    size_t column;
};

static struct place place_of(struct slice text, size_t position)
{
    struct place place = {1, 1};
    size_t at = 0;

    while (at < position) {
        const char c = text.data[at];
        const size_t len = pattern_character_len(text, at);

        place.column += unit_count(len);
        at += len;
        if (c == '\n' || (c == '\r' && (at >= position || text.data[at] != '\n'))) {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

/* The pattern as Jackson quotes it: its first 500 units, control characters escaped. */
static void quote_text(struct slice text, struct buf *out)
{
    size_t units = 0;
    size_t at = 0;
    bool is_whole;

    while (at < text.len) {
        const size_t len = pattern_character_len(text, at);
        const unsigned char c = (unsigned char)text.data[at];

        if (units + unit_count(len) > QUOTED_UNITS_MAX) {
            break;
        }
        if ((c < 0x20 && c != '\n' && c != '\r') || c == 0x7f) {
            CHECK(buf_printf(out, "\\u%04X", c) == ERR_OK);
        } else {
            CHECK(buf_append(out, slice_first(slice_from(text, at), len)) == ERR_OK);
        }
        units += unit_count(len);
        at += len;
    }
    is_whole = at == text.len;
    CHECK(buf_append_byte(out, '"') == ERR_OK);
    if (!is_whole) {
        size_t left = 0;

        for (; at < text.len; at += pattern_character_len(text, at)) {
            left += unit_count(pattern_character_len(text, at));
        }
        CHECK(buf_printf(out, "[truncated %zu chars]", left) == ERR_OK);
    }
}

/* `[Source: (String)"…"; line: 1, column: 7]` for a position in the text. */
struct slice pattern_describe_place(const struct pattern_syntax *syntax, size_t position)
{
    const struct place place = place_of(syntax->text, position);
    struct buf out;
    struct slice description;

    buf_init(&out, 6 * QUOTED_UNITS_MAX + PLACE_BYTES_MAX);
    CHECK(buf_printf(&out, "[Source: (String)\"") == ERR_OK);
    quote_text(syntax->text, &out);
    CHECK(buf_printf(&out, "; line: %zu, column: %zu]", place.line, place.column) == ERR_OK);
    description = arena_copy(syntax->arena, buf_slice(&out));
    buf_clean_up(&out);
    return description;
}

static enum err refuse_at(struct pattern_syntax *syntax, size_t position, const char *sentence)
{
    const struct slice place = pattern_describe_place(syntax, position);
    const struct slice again = syntax->is_in_but_list ? place : (struct slice){NULL, 0};

    return err_because(ERR_BAD_PATTERN, syntax->why,
                       "Event pattern is not valid. Reason: %s\n at %.*s%s%.*s", sentence,
                       SLICE_ARG(place), again.len > 0 ? "\n at " : "", SLICE_ARG(again));
}

enum err pattern_refuse(struct pattern_syntax *syntax, const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return refuse_at(syntax, syntax->position, sentence);
}

enum err pattern_refuse_bare(struct pattern_syntax *syntax, const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return err_because(ERR_BAD_PATTERN, syntax->why, "Event pattern is not valid. Reason: %s",
                       sentence);
}

static uint32_t point_at(struct slice text, size_t at)
{
    const uint8_t *bytes = (const uint8_t *)text.data + at;

    switch (pattern_character_len(text, at)) {
    case 2:
        return (uint32_t)(bytes[0] & 0x1f) << 6 | (bytes[1] & 0x3f);
    case 3:
        return (uint32_t)(bytes[0] & 0x0f) << 12 | (uint32_t)(bytes[1] & 0x3f) << 6 |
               (bytes[2] & 0x3f);
    case 4: /* Java sees the first half of the pair */
        return 0xd800 + ((((uint32_t)(bytes[0] & 0x07) << 18 | (uint32_t)(bytes[1] & 0x3f) << 12 |
                           (uint32_t)(bytes[2] & 0x3f) << 6 | (bytes[3] & 0x3f)) -
                          0x10000) >>
                         10);
    default:
        return bytes[0];
    }
}

/* `'x' (code 120)`: the character at `at`, as Jackson describes one. */
void pattern_describe_character(struct slice text, size_t at,
                                char out[static PATTERN_CHARACTER_BYTES])
{
    const uint32_t point = point_at(text, at);
    const int len = (int)pattern_character_len(text, at);

    if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
        (void)snprintf(out, PATTERN_CHARACTER_BYTES, "(CTRL-CHAR, code %u)", point);
    } else if (point > 255) {
        (void)snprintf(out, PATTERN_CHARACTER_BYTES, "'%.*s' (code %u / 0x%x)", len, text.data + at,
                       point, point);
    } else {
        (void)snprintf(out, PATTERN_CHARACTER_BYTES, "'%.*s' (code %u)", len, text.data + at,
                       point);
    }
}
