/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_reply.h - what Redis answered, asked for without trust: a reply of another shape gives
 * false, NULL or nothing.
 */
#pragma once

#include <hiredis/hiredis.h>

#include "core/err.h"
#include "core/slice.h"

/* The bytes of a string, a status or an error; empty otherwise.  Borrowed from the reply. */
struct slice redis_reply_text(const struct redisReply *reply);
/* A string (not a status, not nil)? */
bool redis_reply_is_string(const struct redisReply *reply);
bool redis_reply_is_nil(const struct redisReply *reply);
/* An integer that is not negative, or a string of decimal digits. */
bool redis_reply_u64(const struct redisReply *reply, uint64_t *value);
/* Elements of an array; 0 otherwise. */
size_t redis_reply_count(const struct redisReply *reply);
/* Element `index` of an array, or NULL. */
const struct redisReply *redis_reply_at(const struct redisReply *reply, size_t index);
/* What an error reply means: its first word, as redis_link.h lists them; ERR_OK when it is none. */
enum err redis_reply_err(const struct redisReply *reply);
/* The value of "name:value" in the lines of an INFO text; false when there is no such line. */
bool redis_info_field(struct slice info, struct slice name, struct slice *value);
