/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_syntax.c - a JSON reader that stands where Jackson stands, and fails in its words.
 *
 * The column of a refusal says what Jackson had taken, and that depends on how lazy it is, so
 * `position` moves exactly as Jackson's does (as of 2.15, the reader over characters): a string
 * token is taken up to its opening quote until someone asks for its text or for the next token; a
 * key is taken together with the first token of its value.
 *
 * Two habits are not kept: bytes that are not UTF-8 are refused (Java never sees any), and so is
 * text behind the pattern, by the compiler above.
 *
 * Memory: strings without escapes borrow the text, others live in the arena.
 */
#include "routing/pattern_syntax.h"

#include "core/check.h"
#include "core/json.h"

enum { BAD_TOKEN_CHARS_MAX = 256 };

static const char value_kinds[] =
    "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/* ---- characters ---------------------------------------------------------------------------- */

static bool is_at_end(const struct pattern_syntax *syntax)
{
    return syntax->position >= syntax->text.len;
}

static char peek(const struct pattern_syntax *syntax)
{
    if (is_at_end(syntax)) {
        return '\0';
    }
    return syntax->text.data[syntax->position];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Could the character continue an identifier in Java? Every non-ASCII one is taken for a letter. */
static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

/* The character at the position is taken and was not wanted. */
static enum err refuse_character(struct pattern_syntax *syntax, const char *wish)
{
    const size_t at = syntax->position;
    char character[PATTERN_CHARACTER_BYTES];

    pattern_describe_character(syntax->text, at, character);
    syntax->position += pattern_character_len(syntax->text, at);
    return pattern_refuse(syntax, "Unexpected character (%s): %s", character, wish);
}

static enum err refuse_end(struct pattern_syntax *syntax, const char *place)
{
    syntax->position = syntax->text.len;
    return pattern_refuse(syntax, "Unexpected end-of-input%s", place);
}

static enum err refuse_end_between(struct pattern_syntax *syntax)
{
    return refuse_end(syntax, syntax->frames[syntax->depth - 1].is_object
                                  ? " within/between Object entries"
                                  : " within/between Array entries");
}

/* A word that is no token, from `start` to where it ends. */
static enum err refuse_word(struct pattern_syntax *syntax, size_t start)
{
    size_t len;

    while (!is_at_end(syntax) && is_word(peek(syntax)) &&
           syntax->position - start < BAD_TOKEN_CHARS_MAX) {
        syntax->position += pattern_character_len(syntax->text, syntax->position);
    }
    len = syntax->position - start;
    return pattern_refuse(syntax, "Unrecognized token '%.*s%s': was expecting %s", (int)len,
                          syntax->text.data + start, len >= BAD_TOKEN_CHARS_MAX ? "..." : "",
                          value_kinds);
}

static enum err skip_blanks(struct pattern_syntax *syntax)
{
    for (; !is_at_end(syntax); syntax->position++) {
        const char c = peek(syntax);

        if (c == '/') {
            return refuse_character(syntax, "maybe a (non-standard) comment? (not recognized as "
                                            "one since Feature 'ALLOW_COMMENTS' not enabled for "
                                            "parser)");
        }
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            continue;
        }
        if ((unsigned char)c < 0x20) {
            syntax->position++;
            return pattern_refuse(syntax,
                                  "Illegal character ((CTRL-CHAR, code %d)): only regular white "
                                  "space (\\r, \\n, \\t) is allowed between tokens",
                                  c);
        }
        return ERR_OK;
    }
    return ERR_OK;
}

/* ---- strings ------------------------------------------------------------------------------- */

static enum err scan_escape(struct pattern_syntax *syntax)
{
    char character[PATTERN_CHARACTER_BYTES];

    if (is_at_end(syntax)) {
        return refuse_end(syntax, " in character escape sequence");
    }
    if (strchr("\"\\/bfnrt", peek(syntax)) != NULL && peek(syntax) != '\0') {
        syntax->position++;
        return ERR_OK;
    }
    if (peek(syntax) != 'u') {
        pattern_describe_character(syntax->text, syntax->position, character);
        syntax->position += pattern_character_len(syntax->text, syntax->position);
        return pattern_refuse(syntax, "Unrecognized character escape %s", character);
    }
    syntax->position++;
    for (size_t i = 0; i < 4; i++) {
        if (is_at_end(syntax)) {
            return refuse_end(syntax, " in character escape sequence");
        }
        if (!is_hex_digit(peek(syntax))) {
            return refuse_character(syntax, "expected a hex-digit for character escape sequence");
        }
        syntax->position++;
    }
    return ERR_OK;
}

/* From behind the opening quote to behind the closing one. */
static enum err scan_string(struct pattern_syntax *syntax, bool is_key)
{
    const size_t start = syntax->position;
    bool has_escapes = false;

    while (!is_at_end(syntax) && peek(syntax) != '"') {
        const unsigned char c = (unsigned char)peek(syntax);

        if (c < 0x20) {
            syntax->position++;
            return pattern_refuse(syntax,
                                  "Illegal unquoted character ((CTRL-CHAR, code %u)): has to be "
                                  "escaped using backslash to be included in %s",
                                  c, is_key ? "name" : "string value");
        }
        if (c == '\\') {
            has_escapes = true;
            syntax->position++;
            TRY(scan_escape(syntax));
            continue;
        }
        syntax->position++;
    }
    if (is_at_end(syntax)) {
        return refuse_end(syntax, is_key ? " in field name"
                                         : ": was expecting closing quote for a string value");
    }
    syntax->content = json_token_text(
        &(struct json_token){
            .type = JSON_TYPE_STRING,
            .raw = {syntax->text.data + start, syntax->position - start},
            .has_escapes = has_escapes,
        },
        syntax->arena);
    syntax->position++;
    return ERR_OK;
}

/* ---- numbers and words --------------------------------------------------------------------- */

static enum err refuse_number(struct pattern_syntax *syntax, size_t at, const char *what)
{
    char character[PATTERN_CHARACTER_BYTES];

    if (at >= syntax->text.len) {
        return refuse_end(syntax, " in number");
    }
    pattern_describe_character(syntax->text, at, character);
    syntax->position = at + pattern_character_len(syntax->text, at);
    return pattern_refuse(syntax, "Unexpected character (%s) in numeric value: %s", character,
                          what);
}

static size_t skip_digits(struct slice text, size_t at)
{
    while (at < text.len && is_digit(text.data[at])) {
        at++;
    }
    return at;
}

static enum err scan_number(struct pattern_syntax *syntax)
{
    const struct slice text = syntax->text;
    const size_t start = syntax->position;
    size_t at = start;

    if (text.data[at] == '-') {
        at++;
        if (skip_digits(text, at) == at) {
            return refuse_number(syntax, at,
                                 "expected digit (0-9) to follow minus sign, for valid numeric "
                                 "value");
        }
    }
    if (text.data[at] == '0' && skip_digits(text, at) > at + 1) {
        syntax->position = at + 1;
        return pattern_refuse(syntax, "Invalid numeric value: Leading zeroes not allowed");
    }
    at = skip_digits(text, at);
    if (at < text.len && text.data[at] == '.') {
        at++;
        if (skip_digits(text, at) == at) {
            return refuse_number(syntax, at, "Decimal point not followed by a digit");
        }
        at = skip_digits(text, at);
    }
    if (at < text.len && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        if (at < text.len && (text.data[at] == '+' || text.data[at] == '-')) {
            at++;
        }
        if (skip_digits(text, at) == at) {
            return refuse_number(syntax, at, "Exponent indicator not followed by a digit");
        }
        at = skip_digits(text, at);
    }
    syntax->content = (struct slice){text.data + start, at - start};
    syntax->position = at;
    return ERR_OK;
}

/* `word` begins at the position; its first letter is right. */
static enum err scan_word(struct pattern_syntax *syntax, struct slice word)
{
    const size_t start = syntax->position;

    for (size_t i = 0; i < word.len; i++) {
        if (peek(syntax) != word.data[i]) {
            return refuse_word(syntax, start);
        }
        syntax->position++;
    }
    if (!is_at_end(syntax) && is_word(peek(syntax))) {
        return refuse_word(syntax, start);
    }
    syntax->content = word;
    return ERR_OK;
}

/* ---- tokens -------------------------------------------------------------------------------- */

static enum err open_frame(struct pattern_syntax *syntax, bool is_object)
{
    if (syntax->depth == PATTERN_DEPTH_MAX) {
        return pattern_refuse_bare(syntax,
                                   "Document nesting depth (%d) exceeds the maximum allowed",
                                   PATTERN_DEPTH_MAX + 1);
    }
    syntax->frames[syntax->depth++] =
        (struct pattern_frame){.start = syntax->position, .is_object = is_object};
    syntax->position++;
    return ERR_OK;
}

/* The first token of a value into *token; a string is taken up to its quote. */
static enum err scan_value(struct pattern_syntax *syntax, enum pattern_token *token)
{
    const char c = peek(syntax);

    if (is_at_end(syntax)) {
        return refuse_end_between(syntax);
    }
    if (c == '"') {
        *token = PATTERN_TOKEN_STRING;
        syntax->position++;
        syntax->is_string_open = true;
        return ERR_OK;
    }
    if (c == '{' || c == '[') {
        *token = c == '{' ? PATTERN_TOKEN_OBJECT_BEGIN : PATTERN_TOKEN_ARRAY_BEGIN;
        return open_frame(syntax, c == '{');
    }
    if (is_digit(c) || c == '-') {
        *token = PATTERN_TOKEN_NUMBER;
        return scan_number(syntax);
    }
    if (c == 't') {
        *token = PATTERN_TOKEN_TRUE;
        return scan_word(syntax, SLICE("true"));
    }
    if (c == 'f') {
        *token = PATTERN_TOKEN_FALSE;
        return scan_word(syntax, SLICE("false"));
    }
    if (c == 'n') {
        *token = PATTERN_TOKEN_NULL;
        return scan_word(syntax, SLICE("null"));
    }
    if (is_word(c)) {
        return refuse_word(syntax, syntax->position);
    }
    return refuse_character(
        syntax, "expected a valid value (JSON String, Number, Array, Object or token 'null', "
                "'true' or 'false')");
}

static enum err close_frame(struct pattern_syntax *syntax, char c)
{
    const struct pattern_frame *frame =
        syntax->depth > 0 ? &syntax->frames[syntax->depth - 1] : NULL;

    syntax->position++;
    if (frame == NULL) {
        return pattern_refuse(syntax, "Unexpected close marker '%c': no open Object or Array", c);
    }
    if (frame->is_object != (c == '}')) {
        return pattern_refuse(
            syntax, "Unexpected close marker '%c': expected '%c' (for %s starting at %.*s)", c,
            frame->is_object ? '}' : ']', frame->is_object ? "Object" : "Array",
            SLICE_ARG(pattern_describe_place(syntax, frame->start)));
    }
    syntax->depth--;
    syntax->token = c == '}' ? PATTERN_TOKEN_OBJECT_END : PATTERN_TOKEN_ARRAY_END;
    return ERR_OK;
}

/* A key, its colon, and the first token of its value. */
static enum err scan_key(struct pattern_syntax *syntax)
{
    struct slice key;

    if (peek(syntax) != '"') {
        return refuse_character(syntax, "was expecting double-quote to start field name");
    }
    syntax->position++;
    TRY(scan_string(syntax, true));
    key = syntax->content;
    TRY(skip_blanks(syntax));
    if (is_at_end(syntax)) {
        return refuse_end_between(syntax);
    }
    if (peek(syntax) != ':') {
        return refuse_character(syntax, "was expecting a colon to separate field name and value");
    }
    syntax->position++;
    TRY(skip_blanks(syntax));
    TRY(scan_value(syntax, &syntax->ready));
    syntax->has_value_ready = true;
    syntax->token = PATTERN_TOKEN_KEY;
    syntax->key = key;
    return ERR_OK;
}

static enum err refuse_open_end(struct pattern_syntax *syntax)
{
    const struct pattern_frame *frame = &syntax->frames[syntax->depth - 1];

    syntax->position = syntax->text.len;
    return pattern_refuse(syntax,
                          "Unexpected end-of-input: expected close marker for %s (start marker at "
                          "%.*s)",
                          frame->is_object ? "Object" : "Array",
                          SLICE_ARG(pattern_describe_place(syntax, frame->start)));
}

enum err pattern_syntax_next(struct pattern_syntax *syntax)
{
    struct pattern_frame *frame;

    if (syntax->has_value_ready) {
        syntax->has_value_ready = false;
        syntax->token = syntax->ready;
        return ERR_OK;
    }
    if (syntax->is_string_open) {
        syntax->is_string_open = false;
        TRY(scan_string(syntax, false));
    }
    TRY(skip_blanks(syntax));
    frame = syntax->depth > 0 ? &syntax->frames[syntax->depth - 1] : NULL;
    if (is_at_end(syntax)) {
        syntax->token = PATTERN_TOKEN_END;
        return frame == NULL ? ERR_OK : refuse_open_end(syntax);
    }
    if (peek(syntax) == '}' || peek(syntax) == ']') {
        return close_frame(syntax, peek(syntax));
    }
    if (frame != NULL && frame->has_member) {
        if (peek(syntax) != ',') {
            return refuse_character(syntax, frame->is_object
                                                ? "was expecting comma to separate Object entries"
                                                : "was expecting comma to separate Array entries");
        }
        syntax->position++;
        TRY(skip_blanks(syntax));
        if (is_at_end(syntax)) {
            return refuse_end_between(syntax);
        }
    }
    if (frame != NULL) {
        frame->has_member = true;
    }
    if (frame != NULL && frame->is_object) {
        return scan_key(syntax);
    }
    return scan_value(syntax, &syntax->token);
}

enum err pattern_syntax_text(struct pattern_syntax *syntax, struct slice *text)
{
    switch (syntax->token) {
    case PATTERN_TOKEN_KEY:
        *text = syntax->key;
        return ERR_OK;
    case PATTERN_TOKEN_STRING:
        if (syntax->is_string_open) {
            syntax->is_string_open = false;
            TRY(scan_string(syntax, false));
        }
        *text = syntax->content;
        return ERR_OK;
    case PATTERN_TOKEN_OBJECT_BEGIN:
        *text = SLICE("{");
        return ERR_OK;
    case PATTERN_TOKEN_OBJECT_END:
        *text = SLICE("}");
        return ERR_OK;
    case PATTERN_TOKEN_ARRAY_BEGIN:
        *text = SLICE("[");
        return ERR_OK;
    case PATTERN_TOKEN_ARRAY_END:
        *text = SLICE("]");
        return ERR_OK;
    case PATTERN_TOKEN_NUMBER:
    case PATTERN_TOKEN_TRUE:
    case PATTERN_TOKEN_FALSE:
    case PATTERN_TOKEN_NULL:
    case PATTERN_TOKEN_END:
        break;
    }
    *text = syntax->content;
    return ERR_OK;
}

void pattern_syntax_init(struct pattern_syntax *syntax, struct slice text, struct arena *arena,
                         struct err_why *why)
{
    memset(syntax, 0, sizeof(*syntax));
    syntax->text = text;
    syntax->arena = arena;
    syntax->why = why;
}
