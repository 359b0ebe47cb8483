/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.h - HTTP/2 frames made by hand, and what came back, counted.
 *
 * Made by hand because a client library keeps the protocol, and most scripts here do not.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "core/buf.h"
#include "core/check.h"

enum {
    DATA = 0,
    HEADERS = 1,
    PRIORITY = 2,
    RST_STREAM = 3,
    SETTINGS = 4,
    PUSH_PROMISE = 5,
    PING = 6,
    GOAWAY = 7,
    WINDOW_UPDATE = 8,
    CONTINUATION = 9,
};

enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };

enum { FRAMES_MAX = 4 * 1024 * 1024, STATUS_MAX = 512 };

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void add_bytes(struct buf *out, struct slice bytes)
{
    CHECK(buf_append(out, bytes) == ERR_OK);
}

static inline void add_u32(struct buf *out, uint32_t value)
{
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};

    add_bytes(out, (struct slice){bytes, 4});
}

static inline void add_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream_id,
                             struct slice payload)
{
    const char head[5] = {(char)(payload.len >> 16), (char)(payload.len >> 8), (char)payload.len,
                          (char)type, (char)flags};

    add_bytes(out, (struct slice){head, 5});
    add_u32(out, stream_id);
    add_bytes(out, payload);
}

static inline void add_u32_frame(struct buf *out, uint8_t type, uint32_t stream_id, uint32_t value)
{
    const char bytes[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8),
                           (char)value};

    add_frame(out, type, 0, stream_id, (struct slice){bytes, 4});
}

static inline void add_greeting(struct buf *out)
{
    add_bytes(out, SLICE(PREFACE));
    add_frame(out, SETTINGS, 0, 0, SLICE(""));
}

/* HPACK: a length with a 7-bit prefix and no Huffman bit. */
static inline void add_hpack_len(struct buf *block, size_t len)
{
    if (len < 127) {
        CHECK(buf_append_byte(block, (char)len) == ERR_OK);
        return;
    }
    CHECK(buf_append_byte(block, 127) == ERR_OK);
    for (len -= 127; len >= 128; len /= 128) {
        CHECK(buf_append_byte(block, (char)(len % 128 + 128)) == ERR_OK);
    }
    CHECK(buf_append_byte(block, (char)len) == ERR_OK);
}

/* A literal field; `first` is 0x00 (not indexed) or 0x40 (put into the table). */
static inline void add_field_as(struct buf *block, char first, struct slice name,
                                struct slice value)
{
    CHECK(buf_append_byte(block, first) == ERR_OK);
    add_hpack_len(block, name.len);
    add_bytes(block, name);
    add_hpack_len(block, value.len);
    add_bytes(block, value);
}

static inline void add_field(struct buf *block, struct slice name, struct slice value)
{
    add_field_as(block, 0x00, name, value);
}

/* :method GET or POST, :scheme https, :path /, :authority weir */
static inline struct slice get_block(void)
{
    return SLICE("\x82\x87\x84\x41\x04weir");
}

static inline struct slice post_block(void)
{
    return SLICE("\x83\x87\x84\x41\x04weir");
}

static inline void add_get(struct buf *out, uint32_t stream_id)
{
    add_frame(out, HEADERS, END_HEADERS | END_STREAM, stream_id, get_block());
}

static inline void add_post(struct buf *out, uint32_t stream_id)
{
    add_frame(out, HEADERS, END_HEADERS, stream_id, post_block());
}

/* What a server has said. */
struct heard {
    unsigned count[16];   /* frames by type */
    uint32_t goaway_last; /* of the latest */
    uint32_t goaway_code;
    uint32_t first_goaway_last;
    uint32_t reset_code; /* of the latest */
    uint32_t reset_stream;
    unsigned settings_acks;
    unsigned ping_acks;
    char ping[8]; /* of the latest that was no ACK */
    size_t data_bytes;
    unsigned ended_count;
    unsigned statuses[STATUS_MAX]; /* in order */
    size_t status_count;
};

static inline void hear_block(struct heard *heard, nghttp2_hd_inflater *inflater, const char *block,
                              size_t len)
{
    bool is_done = false;

    while (!is_done) {
        int flags = 0;
        nghttp2_nv field;
        const ssize_t used =
            nghttp2_hd_inflate_hd2(inflater, &field, &flags, (const uint8_t *)block, len, 1);
        uint64_t status;

        CHECK(used >= 0);
        block += used;
        len -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 && field.namelen == 7 &&
            memcmp(field.name, ":status", 7) == 0) {
            CHECK(slice_to_u64((struct slice){(const char *)field.value, field.valuelen}, &status));
            CHECK(heard->status_count < STATUS_MAX);
            heard->statuses[heard->status_count++] = (unsigned)status;
        }
        is_done = (flags & NGHTTP2_HD_INFLATE_FINAL) != 0;
    }
    CHECK(nghttp2_hd_inflate_end_headers(inflater) == 0);
}

static inline uint32_t read_u32(const char *bytes)
{
    const uint8_t *at = (const uint8_t *)bytes;

    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void hear_frame(struct heard *heard, nghttp2_hd_inflater *inflater, uint8_t type,
                              uint8_t flags, uint32_t stream_id, struct slice payload)
{
    CHECK(type < 16);
    heard->count[type]++;
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM) != 0) {
        heard->ended_count++;
    }
    switch (type) {
    case DATA:
        heard->data_bytes += payload.len;
        break;
    case HEADERS:
        CHECK((flags & END_HEADERS) != 0);
        hear_block(heard, inflater, payload.data, payload.len);
        break;
    case RST_STREAM:
        heard->reset_code = read_u32(payload.data);
        heard->reset_stream = stream_id;
        break;
    case SETTINGS:
        heard->settings_acks += (flags & ACK) != 0 ? 1 : 0;
        break;
    case PING:
        if ((flags & ACK) != 0) {
            heard->ping_acks++;
        } else {
            memcpy(heard->ping, payload.data, sizeof(heard->ping));
        }
        break;
    case GOAWAY:
        heard->goaway_last = read_u32(payload.data);
        heard->goaway_code = read_u32(payload.data + 4);
        if (heard->count[GOAWAY] == 1) {
            heard->first_goaway_last = heard->goaway_last;
        }
        break;
    default:
        break;
    }
}

/* Read everything that was received, from the beginning. */
static inline struct heard hear(struct slice bytes)
{
    nghttp2_hd_inflater *inflater;
    struct heard heard = {0};

    CHECK(nghttp2_hd_inflate_new(&inflater) == 0);
    while (bytes.len >= 9) {
        const size_t len = read_u32(bytes.data) >> 8;

        if (bytes.len < 9 + len) {
            break;
        }
        hear_frame(&heard, inflater, (uint8_t)bytes.data[3], (uint8_t)bytes.data[4],
                   read_u32(bytes.data + 5), (struct slice){bytes.data + 9, len});
        bytes = slice_from(bytes, 9 + len);
    }
    nghttp2_hd_inflate_del(inflater);
    return heard;
}
