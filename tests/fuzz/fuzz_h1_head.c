/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: h1_head_find, h1_head_parse, h1_chunks_next
 *
 * What our own reading accepts as a whole request, llhttp accepts too, with the same body and the
 * same end; and a head found in pieces is the head found at once. */
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "core/buf.h"
#include "core/check.h"
#include "gateway/h1_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX_BYTES = 1 << 20 };

struct other {
    struct buf body;
    unsigned end_count;
};

static int on_headers(llhttp_t *parser)
{
    parser->upgrade = 0;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct other *other = parser->data;

    CHECK(buf_append(&other->body, (struct slice){at, len}) == ERR_OK);
    return 0;
}

static int on_end(llhttp_t *parser)
{
    struct other *other = parser->data;

    other->end_count++;
    return 0;
}

/* The other reading of bytes that are one whole message to us. False: it refuses them. */
static bool read_otherwise(struct slice message, struct other *other)
{
    static llhttp_settings_t settings = {
        .on_headers_complete = on_headers, .on_body = on_body, .on_message_complete = on_end};
    llhttp_t parser;

    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = other;
    return llhttp_execute(&parser, message.data, message.len) == HPE_OK;
}

/* Our reading of the body that follows `head`. False: refused or incomplete. */
static bool read_body(const struct h1_head *head, struct slice *rest, struct buf *body)
{
    struct h1_chunks chunks = {0};
    enum h1_result result = H1_MORE;
    struct h1_refusal refusal;

    if (head->framing != H1_CHUNKED) {
        const size_t len = head->framing == H1_LENGTH ? head->content_length : 0;

        if (len > rest->len) {
            return false;
        }
        CHECK(buf_append(body, slice_first(*rest, len)) == ERR_OK);
        *rest = slice_from(*rest, len);
        return true;
    }
    while (rest->len > 0 && result == H1_MORE) {
        struct slice piece;

        result = h1_chunks_next(&chunks, rest, &piece, &refusal);
        CHECK(buf_append(body, piece) == ERR_OK);
    }
    return result == H1_DONE;
}

static void check_pieces(struct slice bytes, const struct http_limits *limits,
                         enum h1_result wanted, size_t wanted_len)
{
    enum h1_result result = H1_MORE;
    struct h1_refusal refusal;
    size_t head_len = 0;
    size_t scanned = 0;

    for (size_t len = 1; len <= bytes.len && result == H1_MORE; len++) {
        result = h1_head_find(slice_first(bytes, len), limits, &scanned, &head_len, &refusal);
    }
    CHECK(result == wanted || bytes.len == 0);
    CHECK(result != H1_DONE || head_len == wanted_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    const struct slice bytes = {(const char *)data, size};
    struct header fields[64];
    struct other other = {0};
    struct h1_refusal refusal;
    struct h1_head head;
    struct slice rest;
    struct buf body;
    size_t head_len = 0;
    size_t scanned = 0;
    enum h1_result result;

    if (size > BODY_MAX_BYTES) {
        return 0;
    }
    result = h1_head_find(bytes, &limits, &scanned, &head_len, &refusal);
    check_pieces(slice_first(bytes, 4096), &limits, size <= 4096 ? result : H1_MORE, head_len);
    if (result != H1_DONE ||
        h1_head_parse(slice_first(bytes, head_len), &limits, fields, &head, &refusal) != H1_DONE) {
        return 0;
    }
    buf_init(&body, BODY_MAX_BYTES);
    buf_init(&other.body, BODY_MAX_BYTES);
    rest = slice_from(bytes, head_len);
    if (read_body(&head, &rest, &body) &&
        read_otherwise(slice_first(bytes, size - rest.len), &other)) {
        CHECK(other.end_count == 1);
        CHECK(slice_eq(buf_slice(&other.body), buf_slice(&body)));
    }
    buf_clean_up(&other.body);
    buf_clean_up(&body);
    return 0;
}
