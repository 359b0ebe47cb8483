/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_internal.h - what the four files of a stream share: stream.c (its owner's calls and the
 * loop), stream_connect.c (how one comes to be from our side), stream_io.c (bytes), stream_time.c
 * (timeouts).
 */
#pragma once

#include "core/list.h"
#include "core/stats.h"
#include "core/stream.h"
#include "core/wire.h"

enum {
    STREAM_MAGIC = 0x73747265,
    WHEEL_SLOTS = 64,
    QUIET_TICKS = 2,            /* then TLS gives its buffers back */
    CLOSING_STALLS = 3,         /* a goodbye may take so many stall timeouts in all */
    LINGER_MAX_BYTES = 1 << 20, /* dropped at most after our last word */
};

/* stream.c draws the arrows. */
enum stream_state { CONNECTING, HANDSHAKE, OPEN, CLOSING, LINGERING, DEAD };

struct stream_dial;

struct stream_loop {
    struct stream_loop_options options;
    ev_prepare prepare;
    ev_idle idle;
    ev_timer tick_timer;
    uint64_t tick;
    size_t count;
    struct list work;
    struct list wheel[WHEEL_SLOTS];
    char read_room[STREAM_READ_BYTES];
    char write_room[STREAM_WRITE_BYTES];
};

struct stream {
    uint32_t magic;
    enum stream_state state;
    enum stream_reason reason; /* once CLOSING or DEAD */
    struct stream_loop *loop;
    const struct stream_handlers *handlers;
    void *context;
    struct tls_context *tls;
    struct stream_dial *dial; /* while CONNECTING; else NULL */
    struct wire wire;         /* its fd is -1 while CONNECTING */
    ev_io io;
    struct buf unsent;
    struct list work_node;
    struct list wheel_node;

    /* ticks; 0: none */
    uint64_t check_tick; /* when the wheel looks */
    uint64_t begin_tick; /* of the handshake, of lingering */
    uint64_t touched_tick;
    uint64_t progress_tick; /* the socket last took something, or began to take nothing */
    uint64_t deadline_tick;

    size_t dropped_bytes;
    bool is_paused;
    bool is_peer_ended;
    bool is_blocked;  /* EV_WRITE is armed */
    bool is_owned;    /* on_close is still to come */
    bool has_fed;     /* something was sent since on_drained */
    bool has_buffers; /* TLS may hold some */
    bool wants_write; /* on the work list, for these */
    bool wants_read;
};

/* stream.c */

/* A stream in `state` without a descriptor yet, counted and on the wheel. */
struct stream *stream_new(struct stream_loop *loop, enum stream_state state,
                          struct tls_context *tls, const struct stream_handlers *handlers,
                          void *context);
/* Its descriptor, and the TLS on it or NULL: the handshake begins. */
void stream_begin(struct stream *stream, int fd, SSL *ssl);
void stream_count(const struct stream *stream, enum stats_counter counter);
/* Come back to this stream at the end of the loop turn. */
void stream_put_to_work(struct stream *stream);
bool stream_is_reading(const struct stream *stream);
/* Make the watcher wait for what the stream needs now. */
void stream_watch(struct stream *stream);
/* Send what waits, then linger; on_close will say `reason`. */
void stream_begin_closing(struct stream *stream, enum stream_reason reason);
/* DEAD, to be freed from the work list. */
void stream_end(struct stream *stream, enum stream_reason reason);
/* on_close, once. */
void stream_tell_close(struct stream *stream);

/* stream_connect.c: stop trying, and forget what was tried.  Harmless when nothing is. */
void stream_dial_end(struct stream *stream);

/* stream_io.c: each takes one step and may end the stream, which stays valid until the end of the
 * turn. */

void stream_open_up(struct stream *stream);
void stream_shake_hands(struct stream *stream);
void stream_read_some(struct stream *stream);
void stream_drop(struct stream *stream);
void stream_flush(struct stream *stream);

/* stream_time.c */

/* A timeout in ticks, rounded so that it never comes early. */
uint64_t stream_ticks(const struct stream_loop *loop, unsigned timeout_ms);
/* Something moved. */
void stream_touch(struct stream *stream);
/* Let the wheel look no later than the earliest timeout. */
void stream_plan_check(struct stream *stream);
/* The tick_timer's callback. */
void stream_on_tick(struct ev_loop *ev, ev_timer *timer, int events);
