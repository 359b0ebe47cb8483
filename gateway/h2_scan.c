/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_scan.c - a look at each HTTP/2 frame before nghttp2 gets it.
 *
 * nghttp2 keeps the protocol; it does not keep count.  Frames that cost their sender nothing and us
 * something (PING, SETTINGS, PRIORITY, frames without effect, endless CONTINUATION) are counted
 * here against buckets, and a header block is bounded before a byte of it is decompressed.  nghttp2
 * is also fed at most one frame per call, so that after each frame we can look whether it still
 * wants to read: a frame behind the one that ended the session must never reach it.
 *
 * One rule of the protocol is repaired on the way: a new stream closes all lower ones that were
 * never opened, and HEADERS on such a stream is a connection error that nghttp2 1.52 lets pass.
 *
 *= https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1
 *
 * Memory: none; pieces point into the caller's bytes or into the scanner.
 * Time:   only the `now_ms` argument.
 */
#include "gateway/h2_scan.h"

#include "core/check.h"

enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_PRIORITY = 2,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
    FRAME_PRIORITY_UPDATE = 16,
};

enum frame_flag {
    FLAG_ACK = 0x1,
    FLAG_END_STREAM = 0x1,
    FLAG_END_HEADERS = 0x4,
    FLAG_PADDED = 0x8,
};

enum { PREFACE_BYTES = 24, SETTINGS_ENTRY_BYTES = 6, MILLI = 1000 };

struct frame {
    uint32_t len;
    uint8_t type;
    uint8_t flags;
    uint32_t stream_id;
};

bool h2_bucket_take(struct h2_bucket *bucket, unsigned burst, unsigned per_s, uint64_t now_ms)
{
    const uint64_t refill_milli = (now_ms - bucket->last_ms) * per_s;

    CHECK(now_ms >= bucket->last_ms);
    bucket->spent_milli -= MIN_OF(bucket->spent_milli, refill_milli);
    bucket->last_ms = now_ms;
    if (bucket->spent_milli + MILLI > (uint64_t)burst * MILLI) {
        return false;
    }
    bucket->spent_milli += MILLI;
    return true;
}

unsigned h2_bucket_left(const struct h2_bucket *bucket, unsigned burst)
{
    return burst - (unsigned)MIN_OF((uint64_t)burst, (bucket->spent_milli + MILLI - 1) / MILLI);
}

static void turn_window(struct h2_resets *resets, const struct http_limits *limits, uint64_t now_ms)
{
    if (now_ms - resets->window_ms >= limits->reset_window_ms) {
        *resets = (struct h2_resets){.window_ms = now_ms};
    }
}

void h2_resets_note_opened(struct h2_resets *resets, const struct http_limits *limits,
                           uint64_t now_ms)
{
    turn_window(resets, limits, now_ms);
    resets->opened_count++;
}

bool h2_resets_note_reset(struct h2_resets *resets, const struct http_limits *limits,
                          uint64_t now_ms)
{
    uint64_t allowed;

    turn_window(resets, limits, now_ms);
    resets->reset_count++;
    allowed = (uint64_t)resets->opened_count * limits->reset_percent / 100;
    return resets->reset_count <= MAX_OF(allowed, (uint64_t)limits->reset_min);
}

void h2_scan_init(struct h2_scan *scan)
{
    *scan = (struct h2_scan){.preface_left = PREFACE_BYTES};
}

static enum h2_verdict flood(struct h2_scan *scan, const char *reason)
{
    scan->reason = reason;
    return H2_FLOOD;
}

/* A header block begins or goes on: bound its frames and its bytes. */
static enum h2_verdict judge_block(struct h2_scan *scan, const struct http_limits *limits,
                                   const struct frame *frame)
{
    if (frame->type == FRAME_HEADERS) {
        scan->in_block = true;
        scan->continuation_count = 0;
        scan->block_bytes = 0;
    } else if (++scan->continuation_count > limits->continuation_max) {
        return flood(scan, "too many CONTINUATION frames");
    }
    scan->block_bytes += frame->len;
    if (scan->block_bytes > limits->head_max_bytes) {
        return flood(scan, "a header block is too long");
    }
    if ((frame->flags & FLAG_END_HEADERS) != 0) {
        scan->in_block = false;
    }
    return H2_FINE;
}

/* Stream ids only grow; one that was passed over is closed for good. */
static enum h2_verdict judge_stream_id(struct h2_scan *scan, uint32_t id)
{
    if (id > scan->last_stream_id) {
        if (id - scan->last_stream_id > 2) {
            scan->skipped[scan->skipped_next].from = scan->last_stream_id + 1;
            scan->skipped[scan->skipped_next].to = id - 1;
            scan->skipped_next = (scan->skipped_next + 1) % H2_SKIPPED_MAX;
        }
        scan->last_stream_id = id;
        return H2_FINE;
    }
    for (size_t i = 0; i < H2_SKIPPED_MAX; i++) {
        if (id >= scan->skipped[i].from && id <= scan->skipped[i].to) {
            scan->reason = "HEADERS on a stream that a later one has closed";
            return H2_VIOLATION;
        }
    }
    return H2_FINE;
}

static enum h2_verdict judge_settings(struct h2_scan *scan, const struct http_limits *limits,
                                      const struct frame *frame, uint64_t now_ms)
{
    if (frame->len > limits->settings_max * SETTINGS_ENTRY_BYTES) {
        return flood(scan, "a SETTINGS frame has too many entries");
    }
    if (!h2_bucket_take(&scan->settings, limits->settings_per_s, limits->settings_per_s, now_ms)) {
        return flood(scan, "too many SETTINGS frames");
    }
    return H2_FINE;
}

/* `payload`: as much of it as is at hand. */
static bool is_empty_data(const struct frame *frame, struct slice payload)
{
    if ((frame->flags & FLAG_END_STREAM) != 0) {
        return false;
    }
    if ((frame->flags & FLAG_PADDED) != 0 && frame->len > 0 && payload.len > 0) {
        return (uint8_t)payload.data[0] + 1U >= frame->len; /* nothing but padding */
    }
    return frame->len == 0;
}

static enum h2_verdict judge(struct h2_scan *scan, const struct http_limits *limits,
                             const struct frame *frame, struct slice payload, uint64_t now_ms)
{
    bool is_idle = false;

    switch (frame->type) {
    case FRAME_DATA:
        is_idle = is_empty_data(frame, payload);
        break;
    case FRAME_HEADERS:
        if (judge_stream_id(scan, frame->stream_id) != H2_FINE) {
            return H2_VIOLATION;
        }
        return judge_block(scan, limits, frame);
    case FRAME_CONTINUATION:
        return judge_block(scan, limits, frame);
    case FRAME_PRIORITY:
    case FRAME_PRIORITY_UPDATE:
        return h2_bucket_take(&scan->priorities, limits->priority_per_s, limits->priority_per_s,
                              now_ms)
                   ? H2_FINE
                   : flood(scan, "too many PRIORITY frames");
    case FRAME_SETTINGS:
        return judge_settings(scan, limits, frame, now_ms);
    case FRAME_PING:
        return (frame->flags & FLAG_ACK) != 0 ||
                       h2_bucket_take(&scan->pings, limits->ping_per_s, limits->ping_per_s, now_ms)
                   ? H2_FINE
                   : flood(scan, "too many PING frames");
    case FRAME_RST_STREAM: /* counted where it is known whether the stream was open */
    case FRAME_WINDOW_UPDATE:
        break;
    case FRAME_GOAWAY:
    default: /* unknown types are to be ignored, which costs us and not them */
        is_idle = true;
        break;
    }
    if (is_idle &&
        !h2_bucket_take(&scan->empties, limits->empty_per_s, limits->empty_per_s, now_ms)) {
        return flood(scan, "too many frames without effect");
    }
    return H2_FINE;
}

static struct frame read_header(const char *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes;

    return (struct frame){
        .len = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2],
        .type = at[3],
        .flags = at[4],
        .stream_id =
            ((uint32_t)at[5] << 24 | (uint32_t)at[6] << 16 | (uint32_t)at[7] << 8 | at[8]) &
            0x7fffffffU,
    };
}

static struct slice take(struct slice *bytes, size_t len)
{
    const struct slice taken = slice_first(*bytes, len);

    *bytes = slice_from(*bytes, taken.len);
    return taken;
}

/* A frame header is complete in `header`; `payload` is what follows it at hand. */
static enum h2_verdict begin_frame(struct h2_scan *scan, const struct http_limits *limits,
                                   uint64_t now_ms, const char *header, struct slice payload)
{
    const struct frame frame = read_header(header);
    const bool is_continued = scan->in_block;

    scan->type = frame.type;
    scan->payload_left = frame.len;
    if (!is_continued && scan->header_len == 0) {
        scan->begun_ms = now_ms;
    }
    return judge(scan, limits, &frame, payload, now_ms);
}

/* The header of a frame comes in pieces: gather it. */
static enum h2_verdict gather_header(struct h2_scan *scan, const struct http_limits *limits,
                                     uint64_t now_ms, struct slice *bytes, struct slice *piece)
{
    const struct slice more = take(bytes, H2_FRAME_HEADER_BYTES - scan->header_len);
    enum h2_verdict verdict;

    if (scan->header_len == 0 && !scan->in_block) {
        scan->begun_ms = now_ms;
    }
    memcpy(scan->header + scan->header_len, more.data, more.len);
    scan->header_len += (unsigned)more.len;
    *piece = (struct slice){NULL, 0};
    if (scan->header_len < H2_FRAME_HEADER_BYTES) {
        return H2_FINE;
    }
    *piece = (struct slice){(const char *)scan->header, H2_FRAME_HEADER_BYTES};
    verdict = begin_frame(scan, limits, now_ms, piece->data, *bytes);
    scan->header_len = 0;
    return verdict;
}

enum h2_verdict h2_scan_next(struct h2_scan *scan, const struct http_limits *limits,
                             uint64_t now_ms, struct slice *bytes, struct slice *piece)
{
    enum h2_verdict verdict = H2_FINE;

    CHECK(bytes->len > 0);
    if (scan->preface_left > 0) {
        *piece = take(bytes, scan->preface_left);
        scan->preface_left -= (unsigned)piece->len;
        return H2_FINE;
    }
    if (scan->payload_left > 0) {
        *piece = take(bytes, scan->payload_left);
        scan->payload_left -= (uint32_t)piece->len;
        return H2_FINE;
    }
    if (scan->header_len > 0 || bytes->len < H2_FRAME_HEADER_BYTES) {
        return gather_header(scan, limits, now_ms, bytes, piece);
    }
    verdict =
        begin_frame(scan, limits, now_ms, bytes->data, slice_from(*bytes, H2_FRAME_HEADER_BYTES));
    *piece = take(bytes, H2_FRAME_HEADER_BYTES + (size_t)scan->payload_left);
    scan->payload_left -= (uint32_t)(piece->len - H2_FRAME_HEADER_BYTES);
    return verdict;
}

uint64_t h2_scan_waits_since_ms(const struct h2_scan *scan)
{
    const bool is_inside = scan->payload_left > 0 && scan->type != FRAME_DATA;

    return scan->in_block || scan->header_len > 0 || is_inside ? scan->begun_ms : 0;
}
