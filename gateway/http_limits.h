/* SPDX-License-Identifier: Apache-2.0
 *
 * http_limits.h - every bound of the front door, with its default, in one struct.
 *
 * What a stranger may make weir hold or do is decided here and nowhere else.  Times of the socket
 * itself (handshake, stall, idle) belong to `struct stream_loop_options`.
 */
#pragma once

#include "core/base.h"

struct http_limits {
    /* sizes, of one request */
    size_t head_max_bytes;   /* the head decoded; its compressed block on HTTP/2 too */
    size_t target_max_bytes; /* path and query */
    size_t field_count_max;
    size_t value_max_bytes; /* of one field */
    size_t body_max_bytes;
    size_t unwanted_max_bytes;   /* of a body that goes on after its answer; then it is reset */
    size_t read_ahead_max_bytes; /* HTTP/1.1: more than this waits in the kernel */

    /* sizes, of one listener */
    size_t connection_max;
    size_t in_flight_max_bytes; /* bodies held at once */

    /* times */
    unsigned head_timeout_ms;
    unsigned body_timeout_ms;
    unsigned body_grace_ms;         /* after this ... */
    unsigned body_min_bytes_per_s;  /* ... at least so fast */
    unsigned answer_stall_ms;       /* the peer keeps the window of an answer shut */
    unsigned connection_age_max_ms; /* then it is drained, plus up to a tenth of jitter */
    unsigned drain_grace_ms;        /* between the two steps of a drain */
    unsigned drain_timeout_ms;      /* for the whole of it */

    /* HTTP/2 */
    unsigned stream_max;       /* concurrent, per connection */
    unsigned window_bytes;     /* of the connection and of each stream */
    unsigned continuation_max; /* frames of one header block */
    unsigned settings_max;     /* entries of one SETTINGS frame */
    unsigned outbound_max;     /* frames waiting to be sent */
    unsigned reset_window_ms;  /* resets are counted over so long ... */
    unsigned reset_min;        /* ... and may reach this ... */
    unsigned reset_percent;    /* ... or this share of the streams opened, if it is more */
    unsigned ping_per_s;
    unsigned settings_per_s;
    unsigned priority_per_s;
    unsigned empty_per_s; /* frames without effect: empty DATA, unknown types */
    unsigned glitch_max;  /* resets that a peer provokes from us; forgiven one per 100 ms */
};

#define HTTP_KIB(count) ((size_t)(count)*1024)

#define HTTP_LIMITS_DEFAULT                                                                        \
    ((struct http_limits){                                                                         \
        .head_max_bytes = HTTP_KIB(32),                                                            \
        .target_max_bytes = HTTP_KIB(8),                                                           \
        .field_count_max = 64,                                                                     \
        .value_max_bytes = HTTP_KIB(16),                                                           \
        .body_max_bytes = HTTP_KIB(1024 + 64),                                                     \
        .unwanted_max_bytes = HTTP_KIB(1024),                                                      \
        .read_ahead_max_bytes = HTTP_KIB(4),                                                       \
        .connection_max = 10000,                                                                   \
        .in_flight_max_bytes = HTTP_KIB(64 * 1024),                                                \
        .head_timeout_ms = 10000,                                                                  \
        .body_timeout_ms = 20000,                                                                  \
        .body_grace_ms = 5000,                                                                     \
        .body_min_bytes_per_s = 1024,                                                              \
        .answer_stall_ms = 10000,                                                                  \
        .connection_age_max_ms = 3600 * 1000,                                                      \
        .drain_grace_ms = 1000,                                                                    \
        .drain_timeout_ms = 30000,                                                                 \
        .stream_max = 128,                                                                         \
        .window_bytes = 1024 * 1024,                                                               \
        .continuation_max = 8,                                                                     \
        .settings_max = 32,                                                                        \
        .outbound_max = 1000,                                                                      \
        .reset_window_ms = 10000,                                                                  \
        .reset_min = 50,                                                                           \
        .reset_percent = 20,                                                                       \
        .ping_per_s = 10,                                                                          \
        .settings_per_s = 10,                                                                      \
        .priority_per_s = 100,                                                                     \
        .empty_per_s = 100,                                                                        \
        .glitch_max = 100,                                                                         \
    })
