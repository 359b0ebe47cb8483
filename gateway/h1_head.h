/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_head.h - weir's own reading of an HTTP/1.1 request head and of chunks, before llhttp's.
 *
 * It accepts less than RFC 9112 allows: whatever two parsers could understand differently is
 * refused.  Pure: bytes in, facts out.
 */
#pragma once

#include "core/header.h"
#include "gateway/http_limits.h"

enum h1_result {
    H1_MORE, /* nothing wrong so far, more bytes are needed */
    H1_DONE,
    H1_BAD, /* see the refusal */
};

/* Why a request is not accepted: a status, and a sentence for a person. */
struct h1_refusal {
    unsigned status;
    const char *reason;
};

enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED };

struct h1_head {
    struct slice method;
    struct slice target;
    struct slice host;
    struct header *headers;
    size_t header_count;
    enum h1_framing framing;
    uint64_t content_length;
    bool wants_close;
    bool expects_continue;

    /* private: how often each was seen */
    unsigned host_count;
    unsigned length_count;
    unsigned coding_count;
};

/* Look for the end of the head in `bytes`, which begins with the request line.  `*scanned` is how
 * far an earlier call looked (0 at first).  H1_DONE sets `*head_len`, the empty line included. */
enum h1_result h1_head_find(struct slice bytes, const struct http_limits *limits, size_t *scanned,
                            size_t *head_len, struct h1_refusal *refusal);

/* Read a head that h1_head_find() delimited.  The slices of `head` point into `bytes`; `headers`
 * must have room for field_count_max fields.  H1_DONE or H1_BAD. */
enum h1_result h1_head_parse(struct slice bytes, const struct http_limits *limits,
                             struct header *headers, struct h1_head *head,
                             struct h1_refusal *refusal);

enum h1_chunk_state {
    H1_CHUNK_SIZE,
    H1_CHUNK_SIZE_LF,
    H1_CHUNK_DATA,
    H1_CHUNK_DATA_CR,
    H1_CHUNK_DATA_LF,
    H1_CHUNK_END_CR,
    H1_CHUNK_END_LF,
    H1_CHUNK_DONE,
};

/* A zeroed one stands before the first chunk. */
struct h1_chunks {
    enum h1_chunk_state state;
    unsigned digits;
    uint64_t left;
};

/* Take from the front of `*bytes` up to the next piece of data, which is set in `data` (empty if
 * there is none yet).  H1_MORE: call again with what is left and with new bytes; H1_DONE: the last
 * chunk has ended, `*bytes` is what follows the body. */
enum h1_result h1_chunks_next(struct h1_chunks *chunks, struct slice *bytes, struct slice *data,
                              struct h1_refusal *refusal);
