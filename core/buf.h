/* SPDX-License-Identifier: Apache-2.0
 *
 * buf.h - growable bytes that know their maximum from birth.
 *
 * A zeroed buf is a valid empty one with maximum 0.  Writers stop at the maximum: the write that
 * would pass it leaves the buf as it was and gives ERR_TOO_LARGE.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
};

void buf_init(struct buf *buf, size_t max);
/* Frees the bytes; safe on a zeroed buf and safe twice.  The maximum stays. */
void buf_clean_up(struct buf *buf);
/* The same, after overwriting the bytes: for secrets. */
void buf_wipe(struct buf *buf);
/* Forget the content, keep the memory. */
void buf_clear(struct buf *buf);

MUST_USE enum err buf_append(struct buf *buf, struct slice bytes);
MUST_USE enum err buf_append_byte(struct buf *buf, char byte);
MUST_USE enum err buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Make room for `len` more bytes and return where they start; `buf->len` is unchanged. */
MUST_USE enum err buf_reserve(struct buf *buf, size_t len, char **room);
/* Drop the first `len` bytes, moving the rest down. */
void buf_consume(struct buf *buf, size_t len);
/* What is in it; valid until the next write. */
struct slice buf_slice(const struct buf *buf);
