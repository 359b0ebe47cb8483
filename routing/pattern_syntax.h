/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_syntax.h - the tokens of a pattern, read as lazily as EventBridge reads them.
 *
 * The text and the column of a refusal are part of EventBridge's interface, and its columns say
 * where the Jackson parser stood: past a number or literal, but only past the opening quote of a
 * string nobody has looked into, and at a key already past the first token of its value.  This
 * reader stands in the same places.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum pattern_token {
    PATTERN_TOKEN_END, /* nothing but white space is left */
    PATTERN_TOKEN_OBJECT_BEGIN,
    PATTERN_TOKEN_OBJECT_END,
    PATTERN_TOKEN_ARRAY_BEGIN,
    PATTERN_TOKEN_ARRAY_END,
    PATTERN_TOKEN_KEY,
    PATTERN_TOKEN_STRING,
    PATTERN_TOKEN_NUMBER,
    PATTERN_TOKEN_TRUE,
    PATTERN_TOKEN_FALSE,
    PATTERN_TOKEN_NULL,
};

enum { PATTERN_DEPTH_MAX = 1000 };

/* An object or array that is open. */
struct pattern_frame {
    size_t start; /* of its bracket */
    bool is_object;
    bool has_member;
};

struct pattern_syntax {
    struct slice text;
    struct arena *arena; /* for strings with escapes */
    struct err_why *why;
    size_t position; /* of the next unread byte */
    enum pattern_token token;
    bool is_string_open;  /* the string token has been read up to its opening quote only */
    bool has_value_ready; /* after a key: the first token of its value is read already */
    enum pattern_token ready;
    struct slice key;     /* the characters of the current key */
    struct slice content; /* of the current string (once asked for), number or word */
    bool is_plain;        /* EventBridge's language alone: no in-list */
    bool is_in_but_list;  /* refusals inside a list of anything-but name their place twice */
    struct pattern_frame frames[PATTERN_DEPTH_MAX];
    size_t depth;
};

void pattern_syntax_init(struct pattern_syntax *syntax, struct slice text, struct arena *arena,
                         struct err_why *why);
/* The next token into syntax->token. */
MUST_USE enum err pattern_syntax_next(struct pattern_syntax *syntax);
/* The text of the current token as Jackson gives it: characters of a string or key, spelling of a
 * number, the bracket or word otherwise.  Reads an open string to its end. */
MUST_USE enum err pattern_syntax_text(struct pattern_syntax *syntax, struct slice *text);
/* pattern_refuse.c: refuse the pattern with this sentence and the place where the reader stands.
 * Returns ERR_BAD_PATTERN. */
enum err pattern_refuse(struct pattern_syntax *syntax, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same without the place. */
enum err pattern_refuse_bare(struct pattern_syntax *syntax, const char *format, ...)
    PRINTF_LIKE(2, 3);

enum { PATTERN_CHARACTER_BYTES = 64 };

/* pattern_refuse.c: the bytes of the character at `at`, 1 where there is none. */
size_t pattern_character_len(struct slice text, size_t at);
/* `'x' (code 120)`: the character at `at` as Jackson describes one. */
void pattern_describe_character(struct slice text, size_t at,
                                char out[static PATTERN_CHARACTER_BYTES]);
/* `[Source: (String)"…"; line: 1, column: 7]` of a byte of the text, in the arena. */
struct slice pattern_describe_place(const struct pattern_syntax *syntax, size_t position);
