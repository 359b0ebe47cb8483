/* SPDX-License-Identifier: Apache-2.0
 *
 * json_write.h - JSON text into a buf, commas and escapes taken care of.
 *
 * A writer remembers its first error (ERR_TOO_LARGE) and then writes nothing more, so a caller
 * checks once, at json_write_end().
 */
#pragma once

#include "core/buf.h"

struct json_writer {
    struct buf *out;
    enum err err;
    bool needs_comma;
};

void json_write_begin(struct json_writer *writer, struct buf *out);
MUST_USE enum err json_write_end(struct json_writer *writer);
void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
void json_write_key(struct json_writer *writer, struct slice key);
/* UTF-8 passes as it is; quotes, backslashes and control bytes are escaped; a lone surrogate in its
 * three-byte form becomes its \u escape again; other broken UTF-8 becomes U+FFFD, one per byte.  So
 * the output is always valid JSON, and what json_unescape() gave comes back. */
void json_write_string(struct json_writer *writer, struct slice text);
void json_write_u64(struct json_writer *writer, uint64_t value);
void json_write_i64(struct json_writer *writer, int64_t value);
void json_write_bool(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);
/* One value that is JSON already. */
void json_write_raw(struct json_writer *writer, struct slice json);

/* key and value in one step */
void json_write_key_string(struct json_writer *writer, struct slice key, struct slice text);
void json_write_key_u64(struct json_writer *writer, struct slice key, uint64_t value);
void json_write_key_bool(struct json_writer *writer, struct slice key, bool value);
