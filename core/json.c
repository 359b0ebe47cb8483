/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - the strict JSON reader, one token per call (RFC 8259).
 *
 * Every event passes here, so a token costs one table lookup for its first byte, and the insides of
 * strings are run over sixteen bytes at a time.  The grammar is a small machine: `state` says what
 * may come next, and one bit per open container says whether it is an object.
 *
 *     VALUE          scalar -> AFTER_VALUE, '[' -> FIRST_ELEMENT, '{' -> FIRST_KEY
 *     FIRST_ELEMENT  ']' -> AFTER_VALUE, else as VALUE
 *     FIRST_KEY      '}' -> AFTER_VALUE, else a key -> COLON
 *     COLON          ':', then as VALUE
 *     AFTER_VALUE    ',' then a key -> COLON (in an object) or as VALUE (in an array),
 *                    '}' or ']' -> AFTER_VALUE, nothing left at depth 0 -> END
 *
 * Invariant: `position` never passes the end of the text, and no byte before it is read again.
 * Memory:    none; tokens borrow the text.
 */
#include "core/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/check.h"
#include "core/json_internal.h"
#include "core/utf8.h"

enum state {
    STATE_VALUE,
    STATE_FIRST_ELEMENT,
    STATE_FIRST_KEY,
    STATE_COLON,
    STATE_AFTER_VALUE,
    STATE_END,
    STATE_FAULT,
};

/* What a byte can begin outside a string. */
enum byte_class {
    CLASS_OTHER,
    CLASS_BLANK,
    CLASS_QUOTE,
    CLASS_DIGIT,
    CLASS_MINUS,
    CLASS_LITERAL,
    CLASS_OBJECT_BEGIN,
    CLASS_OBJECT_END,
    CLASS_ARRAY_BEGIN,
    CLASS_ARRAY_END,
    CLASS_COMMA,
    CLASS_COLON,
};

static const uint8_t classes[256] = {
    [' '] = CLASS_BLANK,       ['\t'] = CLASS_BLANK,       ['\n'] = CLASS_BLANK,
    ['\r'] = CLASS_BLANK,      ['"'] = CLASS_QUOTE,        ['0'] = CLASS_DIGIT,
    ['1'] = CLASS_DIGIT,       ['2'] = CLASS_DIGIT,        ['3'] = CLASS_DIGIT,
    ['4'] = CLASS_DIGIT,       ['5'] = CLASS_DIGIT,        ['6'] = CLASS_DIGIT,
    ['7'] = CLASS_DIGIT,       ['8'] = CLASS_DIGIT,        ['9'] = CLASS_DIGIT,
    ['-'] = CLASS_MINUS,       ['t'] = CLASS_LITERAL,      ['f'] = CLASS_LITERAL,
    ['n'] = CLASS_LITERAL,     ['{'] = CLASS_OBJECT_BEGIN, ['}'] = CLASS_OBJECT_END,
    ['['] = CLASS_ARRAY_BEGIN, [']'] = CLASS_ARRAY_END,    [','] = CLASS_COMMA,
    [':'] = CLASS_COLON,
};

static enum json_type read_token(struct json_reader *reader, struct json_token *token);

void json_reader_init(struct json_reader *reader, struct slice text, unsigned depth_max)
{
    CHECK(depth_max <= JSON_DEPTH_MAX);
    CHECK(text.data != NULL || text.len == 0);
    *reader = (struct json_reader){.text = text, .depth_max = depth_max, .state = STATE_VALUE};
}

enum json_type json_next(struct json_reader *reader, struct json_token *token)
{
    *token = (struct json_token){.type = JSON_TYPE_ERROR};
    token->type = read_token(reader, token);
    return token->type;
}

static bool is_at_end(const struct json_reader *reader)
{
    return reader->position >= reader->text.len;
}

static enum json_type fault(struct json_reader *reader, const char *text)
{
    reader->fault_text = is_at_end(reader) ? "the text ends too early" : text;
    reader->state = STATE_FAULT;
    return JSON_TYPE_ERROR;
}

/* Skip blanks and say what the next byte can begin; CLASS_OTHER at the end. */
static enum byte_class peek(struct json_reader *reader)
{
    const uint8_t *bytes = (const uint8_t *)reader->text.data;

    while (!is_at_end(reader)) {
        const enum byte_class class = classes[bytes[reader->position]];

        if (class != CLASS_BLANK) {
            return class;
        }
        reader->position++;
    }
    return CLASS_OTHER;
}

static bool is_in_object(const struct json_reader *reader)
{
    CHECK(reader->depth > 0);
    return (reader->in_object[reader->depth / 8] >> (reader->depth % 8) & 1) != 0;
}

static enum json_type open_container(struct json_reader *reader, struct json_token *token,
                                     enum json_type type)
{
    const bool is_object = type == JSON_TYPE_OBJECT_BEGIN;

    if (reader->depth >= reader->depth_max) {
        return fault(reader, "too many arrays and objects inside each other");
    }
    reader->depth++;
    if (is_object) {
        reader->in_object[reader->depth / 8] |= (uint8_t)(1u << (reader->depth % 8));
    } else {
        reader->in_object[reader->depth / 8] &= (uint8_t) ~(1u << (reader->depth % 8));
    }
    token->raw = (struct slice){reader->text.data + reader->position, 1};
    reader->position++;
    reader->state = is_object ? STATE_FIRST_KEY : STATE_FIRST_ELEMENT;
    return type;
}

static enum json_type close_container(struct json_reader *reader, struct json_token *token,
                                      enum json_type type)
{
    CHECK(is_in_object(reader) == (type == JSON_TYPE_OBJECT_END));
    token->raw = (struct slice){reader->text.data + reader->position, 1};
    reader->position++;
    reader->depth--;
    reader->state = STATE_AFTER_VALUE;
    return type;
}

static bool read_string(struct json_reader *reader, struct json_token *token);
static enum json_type read_number(struct json_reader *reader, struct json_token *token);
static enum json_type read_literal(struct json_reader *reader, struct json_token *token);

static enum json_type read_value(struct json_reader *reader, struct json_token *token)
{
    switch (peek(reader)) {
    case CLASS_QUOTE:
        reader->state = STATE_AFTER_VALUE;
        return read_string(reader, token) ? JSON_TYPE_STRING : JSON_TYPE_ERROR;
    case CLASS_DIGIT:
    case CLASS_MINUS:
        reader->state = STATE_AFTER_VALUE;
        return read_number(reader, token);
    case CLASS_LITERAL:
        reader->state = STATE_AFTER_VALUE;
        return read_literal(reader, token);
    case CLASS_OBJECT_BEGIN:
        return open_container(reader, token, JSON_TYPE_OBJECT_BEGIN);
    case CLASS_ARRAY_BEGIN:
        return open_container(reader, token, JSON_TYPE_ARRAY_BEGIN);
    case CLASS_OTHER:
    case CLASS_BLANK:
    case CLASS_OBJECT_END:
    case CLASS_ARRAY_END:
    case CLASS_COMMA:
    case CLASS_COLON:
        break;
    }
    if (reader->position == 0 && slice_has_prefix(reader->text, SLICE("\xEF\xBB\xBF"))) {
        return fault(reader, "a byte order mark is not allowed");
    }
    return fault(reader, "expected a value");
}

static enum json_type read_key(struct json_reader *reader, struct json_token *token)
{
    if (peek(reader) != CLASS_QUOTE) {
        return fault(reader, "expected a key in quotes");
    }
    reader->state = STATE_COLON;
    return read_string(reader, token) ? JSON_TYPE_KEY : JSON_TYPE_ERROR;
}

static enum json_type read_after_value(struct json_reader *reader, struct json_token *token)
{
    const enum byte_class class = peek(reader);

    if (reader->depth == 0) {
        if (!is_at_end(reader)) {
            return fault(reader, "expected nothing after the value");
        }
        reader->state = STATE_END;
        return JSON_TYPE_END;
    }
    if (is_in_object(reader)) {
        if (class == CLASS_COMMA) {
            reader->position++;
            return read_key(reader, token);
        }
        return class == CLASS_OBJECT_END ? close_container(reader, token, JSON_TYPE_OBJECT_END)
                                         : fault(reader, "expected ',' or '}'");
    }
    if (class == CLASS_COMMA) {
        reader->position++;
        return read_value(reader, token);
    }
    return class == CLASS_ARRAY_END ? close_container(reader, token, JSON_TYPE_ARRAY_END)
                                    : fault(reader, "expected ',' or ']'");
}

static enum json_type read_token(struct json_reader *reader, struct json_token *token)
{
    switch ((enum state)reader->state) {
    case STATE_VALUE:
        return read_value(reader, token);
    case STATE_FIRST_ELEMENT:
        return peek(reader) == CLASS_ARRAY_END ? close_container(reader, token, JSON_TYPE_ARRAY_END)
                                               : read_value(reader, token);
    case STATE_FIRST_KEY:
        return peek(reader) == CLASS_OBJECT_END
                   ? close_container(reader, token, JSON_TYPE_OBJECT_END)
                   : read_key(reader, token);
    case STATE_COLON:
        if (peek(reader) != CLASS_COLON) {
            return fault(reader, "expected ':' after a key");
        }
        reader->position++;
        return read_value(reader, token);
    case STATE_AFTER_VALUE:
        return read_after_value(reader, token);
    case STATE_END:
        return JSON_TYPE_END;
    case STATE_FAULT:
        break;
    }
    return JSON_TYPE_ERROR;
}

/* --- strings --- */

#if defined(__SSE2__)
enum { STRIDE_BYTES = 16 };

/* One bit per byte at `at` that is not plain, the lowest bit for the first byte. */
static unsigned find_special(const char *at)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    /* signed: bytes of 0x80 and up are negative, so one comparison finds them and the controls */
    const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash)));
}
#endif

static bool is_plain(char byte)
{
    return (uint8_t)byte >= 0x20 && (uint8_t)byte < 0x80 && byte != '"' && byte != '\\';
}

const char *json_skip_plain(const char *at, const char *end)
{
#if defined(__SSE2__)
    while (end - at >= STRIDE_BYTES) {
        const unsigned special = find_special(at);

        if (special != 0) {
            return at + __builtin_ctz(special);
        }
        at += STRIDE_BYTES;
    }
#endif
    while (at < end && is_plain(*at)) {
        at++;
    }
    return at;
}

int json_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20; /* to lower case */
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Past the escape that begins at `at` (a backslash), or NULL with the fault set. */
static const char *skip_escape(struct json_reader *reader, const char *at)
{
    const char *end = reader->text.data + reader->text.len;
    const char *next = at + 1;
    bool is_good = next < end && strchr("\"\\/bfnrtu", *next) != NULL && *next != '\0';

    if (is_good && *next == 'u') {
        for (unsigned i = 0; i < 4 && is_good; i++) {
            next++;
            is_good = next < end && json_hex_digit(*next) >= 0;
        }
    }
    if (!is_good) {
        reader->position = (size_t)(next - reader->text.data);
        (void)fault(reader, "unknown escape in a string");
        return NULL;
    }
    return next + 1;
}

/* Read the string whose opening quote is next. False with the fault set. */
static bool read_string(struct json_reader *reader, struct json_token *token)
{
    const char *end = reader->text.data + reader->text.len;
    const char *begin = reader->text.data + reader->position + 1;
    const char *at = json_skip_plain(begin, end);

    while (at < end && *at != '"') {
        if (*at == '\\') {
            token->has_escapes = true;
            at = skip_escape(reader, at);
            if (at == NULL) {
                return false;
            }
        } else {
            const size_t len = (uint8_t)*at < 0x20 ? 0 : utf8_len(at, end);

            if (len == 0) {
                reader->position = (size_t)(at - reader->text.data);
                (void)fault(reader, (uint8_t)*at < 0x20 ? "unescaped control byte in a string"
                                                        : "broken UTF-8 in a string");
                return false;
            }
            at += len;
        }
        at = json_skip_plain(at, end);
    }
    reader->position = (size_t)(at - reader->text.data);
    if (at == end) {
        (void)fault(reader, "");
        return false;
    }
    reader->position++;
    token->raw = (struct slice){begin, (size_t)(at - begin)};
    return true;
}

/* --- numbers and literals --- */

static bool is_digit_at(const struct json_reader *reader)
{
    return !is_at_end(reader) &&
           classes[(uint8_t)reader->text.data[reader->position]] == CLASS_DIGIT;
}

static bool take_byte(struct json_reader *reader, char byte)
{
    if (is_at_end(reader) || reader->text.data[reader->position] != byte) {
        return false;
    }
    reader->position++;
    return true;
}

/* At least one digit. */
static bool take_digits(struct json_reader *reader)
{
    if (!is_digit_at(reader)) {
        return false;
    }
    while (is_digit_at(reader)) {
        reader->position++;
    }
    return true;
}

static enum json_type read_number(struct json_reader *reader, struct json_token *token)
{
    const size_t begin = reader->position;

    (void)take_byte(reader, '-');
    if (!take_byte(reader, '0') && !take_digits(reader)) {
        return fault(reader, "expected a digit after '-'");
    }
    if (is_digit_at(reader)) {
        return fault(reader, "a number may not begin with 0");
    }
    if (take_byte(reader, '.') && !take_digits(reader)) {
        return fault(reader, "expected a digit after '.'");
    }
    if (take_byte(reader, 'e') || take_byte(reader, 'E')) {
        if (!take_byte(reader, '-')) {
            (void)take_byte(reader, '+');
        }
        if (!take_digits(reader)) {
            return fault(reader, "expected a digit in the exponent");
        }
    }
    token->raw = (struct slice){reader->text.data + begin, reader->position - begin};
    return JSON_TYPE_NUMBER;
}

static enum json_type read_literal(struct json_reader *reader, struct json_token *token)
{
    static const struct {
        struct slice text;
        enum json_type type;
    } literals[] = {
        {SLICE_INIT("true"), JSON_TYPE_TRUE},
        {SLICE_INIT("false"), JSON_TYPE_FALSE},
        {SLICE_INIT("null"), JSON_TYPE_NULL},
    };
    const size_t begin = reader->position;
    size_t i = 0;

    while (literals[i].text.data[0] != reader->text.data[begin]) {
        i++; /* the byte's class says that one fits */
    }
    for (size_t k = 0; k < literals[i].text.len; k++) {
        if (!take_byte(reader, literals[i].text.data[k])) {
            return fault(reader, "expected true, false or null");
        }
    }
    token->raw = (struct slice){reader->text.data + begin, literals[i].text.len};
    return literals[i].type;
}

/* --- whole values --- */

enum err json_read_value(struct json_reader *reader, const struct json_token *token,
                         struct slice *value)
{
    const bool is_container =
        token->type == JSON_TYPE_OBJECT_BEGIN || token->type == JSON_TYPE_ARRAY_BEGIN;
    const unsigned outside = is_container ? reader->depth - 1 : 0;
    const char *begin = token->raw.data;
    struct json_token skipped;

    CHECK(token->type != JSON_TYPE_END);
    CHECK(token->type != JSON_TYPE_KEY);
    CHECK(token->type != JSON_TYPE_OBJECT_END);
    CHECK(token->type != JSON_TYPE_ARRAY_END);
    if (token->type == JSON_TYPE_ERROR) {
        return ERR_BAD_JSON;
    }
    while (is_container && reader->depth > outside) {
        if (json_next(reader, &skipped) == JSON_TYPE_ERROR) {
            return ERR_BAD_JSON;
        }
    }
    if (token->type == JSON_TYPE_STRING) {
        begin--; /* the opening quote */
    }
    *value = (struct slice){begin, (size_t)(reader->text.data + reader->position - begin)};
    return ERR_OK;
}

enum err json_check(struct slice text, unsigned depth_max, struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, text, depth_max);
    do {
        (void)json_next(&reader, &token);
    } while (token.type != JSON_TYPE_END && token.type != JSON_TYPE_ERROR);
    return token.type == JSON_TYPE_END ? ERR_OK : json_fault(&reader, why);
}

enum err json_fault(const struct json_reader *reader, struct err_why *why)
{
    size_t line = 1;
    size_t column = 1;

    CHECK(reader->fault_text != NULL);
    for (size_t i = 0; i < reader->position; i++) {
        const bool is_break = reader->text.data[i] == '\n';

        line += is_break;
        column = is_break ? 1 : column + 1;
    }
    return err_because(ERR_BAD_JSON, why, "%s, at byte %zu (line %zu, column %zu)",
                       reader->fault_text, reader->position, line, column);
}
