/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_scan.h - a look at each HTTP/2 frame before nghttp2 gets it, and budgets for the cheap ones.
 *
 * Pure: bytes and `now_ms` in, a verdict out.
 */
#pragma once

#include "core/slice.h"
#include "gateway/http_limits.h"

/* A bucket of events: `burst` at once, refilled at `per_s`. A zeroed one is full at first use. */
struct h2_bucket {
    uint64_t spent_milli; /* thousandths of events not refilled yet */
    uint64_t last_ms;
};

/* Take one. False: there was none left. */
MUST_USE bool h2_bucket_take(struct h2_bucket *bucket, unsigned burst, unsigned per_s,
                             uint64_t now_ms);
/* Events that could be taken now, as of the last take. */
unsigned h2_bucket_left(const struct h2_bucket *bucket, unsigned burst);

/* Streams opened and reset by the peer, over the current window. */
struct h2_resets {
    uint64_t window_ms; /* when it began */
    unsigned opened_count;
    unsigned reset_count;
};

void h2_resets_note_opened(struct h2_resets *resets, const struct http_limits *limits,
                           uint64_t now_ms);
/* False: more resets than a client in good faith has. */
MUST_USE bool h2_resets_note_reset(struct h2_resets *resets, const struct http_limits *limits,
                                   uint64_t now_ms);

enum h2_verdict {
    H2_FINE,
    H2_FLOOD,     /* too many or too large: ENHANCE_YOUR_CALM */
    H2_VIOLATION, /* PROTOCOL_ERROR */
};

enum { H2_FRAME_HEADER_BYTES = 9, H2_SKIPPED_MAX = 8 };

struct h2_scan {
    unsigned preface_left;
    uint8_t header[H2_FRAME_HEADER_BYTES]; /* of a frame whose header came in pieces */
    unsigned header_len;
    uint32_t payload_left;
    uint8_t type; /* of the current frame */

    /* the header block in progress */
    bool in_block;
    unsigned continuation_count;
    size_t block_bytes;
    uint64_t begun_ms; /* when the current frame or block began */

    /* Stream ids that the peer passed over and thereby closed, the latest few ranges. */
    uint32_t last_stream_id;
    struct {
        uint32_t from;
        uint32_t to;
    } skipped[H2_SKIPPED_MAX];
    unsigned skipped_next;

    struct h2_bucket pings;
    struct h2_bucket settings;
    struct h2_bucket priorities;
    struct h2_bucket empties;

    const char *reason; /* of the last verdict that was not H2_FINE; a constant */
};

/* Before the first byte of a connection. */
void h2_scan_init(struct h2_scan *scan);

/* Cut from the front of `*bytes` the next piece to feed: never more than the rest of one frame.
 * `piece` may be empty when a frame header is still incomplete; it is valid until the next call. */
enum h2_verdict h2_scan_next(struct h2_scan *scan, const struct http_limits *limits,
                             uint64_t now_ms, struct slice *bytes, struct slice *piece);

/* When the frame or header block that is still incomplete began; 0 if there is none, or if it is
 * DATA, whose pace is judged with the body. */
uint64_t h2_scan_waits_since_ms(const struct h2_scan *scan);
