/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_reply.c - questions to a reply, and what Redis's error words mean for who called.
 *
 * Redis says with the first word of an error what kind it is.  Three kinds matter to a caller: try
 * again later, the memory is full, and all others, which no repetition will mend.
 */
#include "storage/redis_reply.h"

#include "storage/redis_link.h"

struct slice redis_reply_text(const struct redisReply *reply)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS &&
                          reply->type != REDIS_REPLY_ERROR)) {
        return (struct slice){NULL, 0};
    }
    return (struct slice){reply->str, reply->len};
}

bool redis_reply_is_string(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_STRING;
}

bool redis_reply_is_nil(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_NIL;
}

bool redis_reply_u64(const struct redisReply *reply, uint64_t *value)
{
    if (reply == NULL) {
        return false;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        *value = (uint64_t)reply->integer;
        return reply->integer >= 0;
    }
    return reply->type == REDIS_REPLY_STRING && slice_to_u64(redis_reply_text(reply), value);
}

size_t redis_reply_count(const struct redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

const struct redisReply *redis_reply_at(const struct redisReply *reply, size_t index)
{
    return index < redis_reply_count(reply) ? reply->element[index] : NULL;
}

enum err redis_reply_err(const struct redisReply *reply)
{
    static const struct {
        struct slice word;
        enum err err;
    } words[] = {
        {SLICE_INIT("OOM"), ERR_STORE_FULL},         {SLICE_INIT("LOADING"), ERR_STORE_BUSY},
        {SLICE_INIT("BUSY"), ERR_STORE_BUSY},        {SLICE_INIT("TRYAGAIN"), ERR_STORE_BUSY},
        {SLICE_INIT("CLUSTERDOWN"), ERR_STORE_BUSY}, {SLICE_INIT("MASTERDOWN"), ERR_STORE_BUSY},
        {SLICE_INIT("READONLY"), ERR_STORE_BUSY},    {SLICE_INIT("MISCONF"), ERR_STORE_BUSY},
        {SLICE_INIT("NOREPLICAS"), ERR_STORE_BUSY},  {SLICE_INIT("MOVED"), ERR_STORE_BUSY},
        {SLICE_INIT("ASK"), ERR_STORE_BUSY},         {SLICE_INIT("UNBLOCKED"), ERR_STORE_BUSY},
    };
    struct slice text = redis_reply_text(reply);
    struct slice word;

    if (reply == NULL || reply->type != REDIS_REPLY_ERROR) {
        return ERR_OK;
    }
    word = slice_cut(&text, ' ');
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_eq(word, words[i].word)) {
            return words[i].err;
        }
    }
    return ERR_STORE_FAILED;
}

bool redis_info_field(struct slice info, struct slice name, struct slice *value)
{
    while (info.len > 0) {
        struct slice line = slice_cut(&info, '\n');

        if (slice_has_prefix(line, name) && line.len > name.len && line.data[name.len] == ':') {
            *value = slice_from(line, name.len + 1);
            if (slice_has_suffix(*value, SLICE("\r"))) {
                value->len--;
            }
            return true;
        }
    }
    return false;
}
