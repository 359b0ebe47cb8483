/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_reader.h - RESP2 replies out of bytes, within limits: hiredis's parser on a lead.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

struct redisReply;
struct redis_reader;

enum { REDIS_READER_ELEMENTS_MAX = 262144 /* of all arrays of one reply together */ };

struct redis_reader *redis_reader_new(void);
/* NULL is fine. */
void redis_reader_destroy(struct redis_reader *reader);
/* Add bytes.  ERR_TOO_LARGE: the reply they belong to passes REDIS_REPLY_BYTES_MAX; the reader is
 * of no more use. */
MUST_USE enum err redis_reader_feed(struct redis_reader *reader, struct slice bytes);
/* The next whole reply, to be freed with redis_reply_free(); NULL when more bytes are needed.
 * ERR_BAD_VALUE: what came is no RESP2, or over a limit; the reader is of no more use. */
MUST_USE enum err redis_reader_next(struct redis_reader *reader, struct redisReply **reply);
/* NULL is fine. */
void redis_reply_free(struct redisReply *reply);
