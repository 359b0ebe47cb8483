/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_reader.c - hiredis parses, we say how much: bytes, elements and depth of a reply.
 *
 * The parser of hiredis keeps what it cannot finish and allocates an array as soon as it has read
 * its length, so whoever sits at the other end could make it hold any amount.  Bytes are therefore
 * counted before they are fed, per reply, and arrays pass our own function first, which refuses
 * long and deep ones and counts all elements of a reply: a reply of 32 MiB of empty arrays within
 * arrays would otherwise grow a hundredfold.
 *
 * A string that announces more than may come is refused at its head, not when the bytes have come;
 * and so is a line without an end, which the parser would search from its start at every piece.
 */
#include "storage/redis_reader.h"

#include <hiredis/hiredis.h>

#include "core/check.h"
#include "storage/redis_link.h"

enum { LINE_BYTES_MAX = 64 << 10 }; /* a status, an error, a number; the head of the rest */

struct redis_reader {
    redisReader *parser;
    redisReplyObjectFunctions functions; /* the parser's, with our array */
    void *(*make_array)(const redisReadTask *task, int count);
    size_t byte_count; /* fed since the last whole reply */
    size_t element_count;
};

/* NULL makes the parser give up. */
static void *make_bounded_array(const redisReadTask *task, int count)
{
    struct redis_reader *reader = task->privdata;
    unsigned depth = 1;

    for (const redisReadTask *above = task->parent; above != NULL; above = above->parent) {
        depth++;
    }
    if (depth > REDIS_REPLY_DEPTH_MAX || count < 0 || count > REDIS_REPLY_ELEMENTS_MAX) {
        return NULL;
    }
    reader->element_count += (size_t)count;
    if (reader->element_count > REDIS_READER_ELEMENTS_MAX) {
        return NULL;
    }
    return reader->make_array(task, count);
}

struct redis_reader *redis_reader_new(void)
{
    struct redis_reader *reader = xcalloc(1, sizeof(*reader));

    reader->parser = redisReaderCreate();
    CHECK(reader->parser != NULL);
    reader->functions = *reader->parser->fn;
    reader->make_array = reader->functions.createArray;
    reader->functions.createArray = make_bounded_array;
    reader->parser->fn = &reader->functions;
    reader->parser->privdata = reader;
    return reader;
}

void redis_reader_destroy(struct redis_reader *reader)
{
    if (reader != NULL) {
        redisReaderFree(reader->parser);
        xfree(reader);
    }
}

enum err redis_reader_feed(struct redis_reader *reader, struct slice bytes)
{
    if (bytes.len > REDIS_REPLY_BYTES_MAX ||
        reader->byte_count > REDIS_REPLY_BYTES_MAX - bytes.len) {
        return ERR_TOO_LARGE;
    }
    if (bytes.len > 0) {
        reader->byte_count += bytes.len;
        CHECK(redisReaderFeed(reader->parser, bytes.data, bytes.len) == REDIS_OK);
    }
    return ERR_OK;
}

/* Can what has come so far never become a reply within its limits? */
static bool is_hopeless(const struct redis_reader *reader)
{
    const redisReader *parser = reader->parser;
    const struct slice rest = {parser->buf + parser->pos, parser->len - parser->pos};
    const char *end = rest.len > 0 ? memchr(rest.data, '\r', rest.len) : NULL;
    const bool is_string =
        parser->ridx >= 0 && parser->rstack[parser->ridx].type == REDIS_REPLY_STRING;
    uint64_t announced;

    if (end == NULL) {
        return rest.len > LINE_BYTES_MAX;
    }
    return is_string && slice_to_u64(slice_first(rest, (size_t)(end - rest.data)), &announced) &&
           announced > REDIS_REPLY_BYTES_MAX - (reader->byte_count - rest.len);
}

enum err redis_reader_next(struct redis_reader *reader, struct redisReply **reply)
{
    void *made = NULL;

    *reply = NULL;
    if (redisReaderGetReply(reader->parser, &made) != REDIS_OK) {
        return ERR_BAD_VALUE;
    }
    if (made != NULL) {
        reader->byte_count = reader->parser->len - reader->parser->pos;
        reader->element_count = 0;
        *reply = made;
    } else if (is_hopeless(reader)) {
        return ERR_BAD_VALUE;
    }
    return ERR_OK;
}

void redis_reply_free(struct redisReply *reply)
{
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}
