/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - a strict, zero-copy JSON reader that pulls one token at a time.
 *
 * Validation rides along: RFC 8259 grammar, UTF-8, no control bytes in strings, depth up to a
 * maximum, nothing after the value.  Iterative, no recursion, no allocation.  A token's bytes are a
 * slice of the text; strings and keys are the bytes between the quotes, still escaped.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

enum { JSON_DEPTH_MAX = 1000 };

enum json_type {
    JSON_TYPE_END,   /* the whole text was read: exactly one value */
    JSON_TYPE_ERROR, /* see json_reader.fault_text and .position */
    JSON_TYPE_OBJECT_BEGIN,
    JSON_TYPE_OBJECT_END,
    JSON_TYPE_ARRAY_BEGIN,
    JSON_TYPE_ARRAY_END,
    JSON_TYPE_KEY,
    JSON_TYPE_STRING,
    JSON_TYPE_NUMBER,
    JSON_TYPE_TRUE,
    JSON_TYPE_FALSE,
    JSON_TYPE_NULL,
};

struct json_token {
    enum json_type type;
    struct slice raw; /* the token's bytes; strings and keys without their quotes */
    bool has_escapes; /* a backslash stands in a string or key */
};

struct json_reader {
    struct slice text;
    size_t position;        /* of the next unread byte; at an error, of the offending byte */
    const char *fault_text; /* a constant sentence after JSON_TYPE_ERROR, else NULL */
    unsigned depth;
    unsigned depth_max;
    unsigned state;                                  /* private */
    uint8_t in_object[(JSON_DEPTH_MAX + 7) / 8 + 1]; /* private: one bit per open container */
};

/* Read `text`, at most `depth_max` (<= JSON_DEPTH_MAX) containers deep. */
void json_reader_init(struct json_reader *reader, struct slice text, unsigned depth_max);
/* The next token.  After JSON_TYPE_END or JSON_TYPE_ERROR every call answers the same. */
enum json_type json_next(struct json_reader *reader, struct json_token *token);
/* After the first token of a value (`token`, just read), run to the end of that value, and give its
 * whole text, quotes and brackets included.  ERR_BAD_JSON if the text breaks on the way. */
MUST_USE enum err json_read_value(struct json_reader *reader, const struct json_token *token,
                                  struct slice *value);
/* Is `text` exactly one valid JSON value?  On ERR_BAD_JSON `why` (may be NULL) says what and at
 * which byte. */
MUST_USE enum err json_check(struct slice text, unsigned depth_max, struct err_why *why);
/* Put what and where of a reader's JSON_TYPE_ERROR into `why`. Returns ERR_BAD_JSON. */
enum err json_fault(const struct json_reader *reader, struct err_why *why);

/* Append the characters that the raw bytes of a string stand for, as UTF-8.  Surrogate pairs join;
 * a lone surrogate becomes its three-byte (WTF-8) form, so it equals itself only.  The raw bytes
 * must come from a reader.  ERR_TOO_LARGE past the maximum of `out`. */
MUST_USE enum err json_unescape(struct slice raw, struct buf *out);
/* The characters of a string or key token: the raw bytes themselves if nothing is escaped, else
 * unescaped in the arena. */
struct slice json_token_text(const struct json_token *token, struct arena *arena);
/* Append `text` (one valid JSON value) without white space between tokens; every other byte is
 * kept. */
MUST_USE enum err json_compact(struct slice text, struct buf *out);
