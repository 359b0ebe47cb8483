/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: redis_reader_feed, redis_reader_next, redis_reply_*
 *
 * The first byte says in which pieces the rest arrives.  Whatever arrives, the replies that come
 * out are the same as in one piece, none is deeper or longer than the limits, and after garbage
 * nothing comes out any more. */
#include "core/check.h"
#include "storage/redis_link.h"
#include "storage/redis_reader.h"
#include "storage/redis_reply.h"

/* A digest of what was seen, to compare two readings. */
static uint64_t mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t look_at(uint64_t sum, const struct redisReply *reply, unsigned depth)
{
    const struct slice text = redis_reply_text(reply);
    struct slice value;
    uint64_t number = 0;

    CHECK(depth <= REDIS_REPLY_DEPTH_MAX);
    CHECK(redis_reply_count(reply) <= REDIS_REPLY_ELEMENTS_MAX);
    sum = mix(sum, (uint64_t)reply->type);
    for (size_t i = 0; i < text.len; i++) {
        sum = mix(sum, (uint8_t)text.data[i]);
    }
    if (redis_reply_u64(reply, &number)) {
        sum = mix(sum, number);
    }
    (void)redis_info_field(text, SLICE("role"), &value);
    CHECK((redis_reply_err(reply) != ERR_OK) == (reply->type == REDIS_REPLY_ERROR));
    for (size_t i = 0; i < redis_reply_count(reply); i++) {
        sum = look_at(sum, redis_reply_at(reply, i), depth + 1);
    }
    return sum;
}

static uint64_t read_in_pieces(struct slice bytes, size_t step, bool *is_garbage)
{
    struct redis_reader *reader = redis_reader_new();
    struct redisReply *reply = NULL;
    uint64_t sum = 0;

    *is_garbage = false;
    while (bytes.len > 0 && !*is_garbage) {
        CHECK(redis_reader_feed(reader, slice_first(bytes, step)) == ERR_OK);
        bytes = slice_from(bytes, step);
        do {
            *is_garbage = redis_reader_next(reader, &reply) != ERR_OK;
            CHECK(!*is_garbage || reply == NULL);
            sum = reply != NULL ? look_at(sum, reply, 0) : sum;
            redis_reply_free(reply);
        } while (reply != NULL);
    }
    if (*is_garbage) {
        CHECK(redis_reader_next(reader, &reply) != ERR_OK);
        CHECK(reply == NULL);
    }
    redis_reader_destroy(reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool is_garbage;
    bool is_garbage_in_pieces;
    uint64_t sum;

    if (size < 2) {
        return 0;
    }
    const struct slice bytes = {(const char *)data + 1, size - 1};

    sum = read_in_pieces(bytes, bytes.len, &is_garbage);
    CHECK(read_in_pieces(bytes, 1 + data[0] % 32, &is_garbage_in_pieces) == sum);
    CHECK(is_garbage == is_garbage_in_pieces);
    return 0;
}
