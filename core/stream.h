/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.h - connections, accepted or opened: TCP with or without TLS, one surface for all.
 *
 * A stream belongs to the loop that accepted or opened it; nothing here is called from another
 * thread. Reading pushes: on_read gets what arrived and has consumed it when it returns.  Writing
 * pulls: once per loop turn on_write is asked to fill a room of at most 16 KiB, which leaves in one
 * write, and it is not asked again before the socket has taken that.  stream_write() may be used
 * instead or beside it.
 *
 * Handlers always run from the loop, never inside a stream_* call.  on_close is the last one, it
 * comes exactly once for every stream, and the stream is invalid when it returns.
 * Timeouts are kept in ticks (a second, usually): they come up to a tick late, never early.
 */
#pragma once

#include <ev.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

struct stream;
struct stream_loop;
struct tls_caller;
struct tls_context;
struct stats;

enum {
    STREAM_READ_BYTES = 65536,  /* on_read gets at most so much at once */
    STREAM_WRITE_BYTES = 16384, /* on_write is asked for at most so much at once */
};

/* Why a stream ended; stream_reason_name() gives these in lower case. */
enum stream_reason {
    STREAM_CLOSED,            /* stream_close(), and everything was handed to the kernel */
    STREAM_ABORTED,           /* stream_abort() */
    STREAM_PEER_GONE,         /* the peer ended or reset the connection */
    STREAM_UNREACHABLE,       /* stream_connect(): no such name, or nobody answers there */
    STREAM_HANDSHAKE_FAILED,  /* no TLS, no common version or protocol, a bad message, a
                               * certificate that is not trusted */
    STREAM_HANDSHAKE_TIMEOUT, /* connecting and the handshake took too long */
    STREAM_STALLED,           /* the peer took nothing of what waited for it */
    STREAM_IDLE,              /* nothing moved in either direction */
    STREAM_DEADLINE,          /* the time of stream_set_deadline() has come */
    STREAM_BROKEN,            /* a TLS or socket error */
    STREAM_STOPPED,           /* stream_loop_destroy() */
    STREAM_REASON_COUNT
};

struct stream_handlers {
    /* Ready to read and write.  `alpn`: "h2", "http/1.1", or empty when the client named none or
     * there is no TLS. */
    void (*on_open)(struct stream *stream, struct slice alpn);
    /* Bytes in order; they are the loop's, and gone when this returns. */
    void (*on_read)(struct stream *stream, struct slice bytes);
    /* Put up to `room_len` bytes into `room` and return how many.  A full room means "there may be
     * more": this is asked again next turn.  Less means "that was all": say stream_want_write()
     * when there is more.  Not the place to stream_write().  NULL: only stream_write() is used. */
    size_t (*on_write)(struct stream *stream, char *room, size_t room_len);
    /* Everything given to stream_write() and on_write has left for the kernel.  May be NULL. */
    void (*on_drained)(struct stream *stream);
    /* The peer will send no more, but may still read.  NULL: as stream_close(), with
     * STREAM_PEER_GONE for on_close. */
    void (*on_end)(struct stream *stream);
    /* STREAM_IDLE or STREAM_DEADLINE has come: say goodbye and stream_close().  If this does
     * nothing the stream goes on, without the deadline, or with the idle time beginning anew. NULL:
     * as stream_close(), with that reason for on_close. */
    void (*on_timeout)(struct stream *stream, enum stream_reason reason);
    /* The end; not NULL. */
    void (*on_close)(struct stream *stream, enum stream_reason reason);
};

struct stream_loop_options {
    struct ev_loop *loop;
    struct stats *stats;           /* of the thread that runs `loop`; NULL: nothing is counted */
    size_t unsent_max;             /* bytes that may wait in stream_write(), for one stream */
    unsigned handshake_timeout_ms; /* from accept, or from stream_connect(), to on_open */
    unsigned stall_timeout_ms;     /* something waits and the peer takes nothing */
    unsigned idle_timeout_ms;      /* nothing moves */
    unsigned linger_timeout_ms;    /* after our last byte, until the peer ends its side */
    unsigned tick_ms;              /* granularity of all timeouts */
};

/* 256 KiB, 5 s, 10 s, 60 s, 2 s, 1 s; nothing is counted. */
struct stream_loop_options stream_loop_defaults(struct ev_loop *loop);

/* What the streams of one loop share: buffers, the list of those with work, the tick.  Makes the
 * process ignore SIGPIPE. */
struct stream_loop *stream_loop_new(const struct stream_loop_options *options);
/* Ends every stream (STREAM_STOPPED, without a goodbye) and frees.  NULL is fine.  Not from a
 * handler. */
void stream_loop_destroy(struct stream_loop *loop);
/* Connections that hold a descriptor, those that linger after on_close included. */
size_t stream_loop_count(const struct stream_loop *loop);

/* Take over an accepted descriptor (any mode; it becomes non-blocking).  `tls` NULL: cleartext. The
 * TLS context is acquired.  `handlers` must outlive the stream. */
struct stream *stream_accept(struct stream_loop *loop, int fd, struct tls_context *tls,
                             const struct stream_handlers *handlers, void *context);

/* Where a connection goes.  Everything is copied. */
struct stream_target {
    struct slice host; /* a name or a literal address, without brackets */
    uint16_t port;
    struct tls_context *tls; /* of tls_client_context_new(); NULL: cleartext.  Acquired */
};

/* Open a connection.  Names are looked up on a thread of their own, and each address that a name
 * has is tried in turn.  on_open comes when it stands, else on_close, both within
 * `handshake_timeout_ms`.  `handlers` must outlive the stream. */
struct stream *stream_connect(struct stream_loop *loop, const struct stream_target *target,
                              const struct stream_handlers *handlers, void *context);

void *stream_context(const struct stream *stream);
void stream_set_context(struct stream *stream, void *context);
/* Change who handles it, for instance once the first bytes told the protocol.  on_open does not
 * come again. */
void stream_set_handlers(struct stream *stream, const struct stream_handlers *handlers);

/* Have on_write asked at the end of this loop turn; any number of calls make one. */
void stream_want_write(struct stream *stream);
/* Queue bytes in front of what on_write will give.  ERR_TOO_LARGE past `unsent_max`: then nothing
 * of them is queued, and the peer reads too slowly to be kept.  Harmless after close or abort. */
MUST_USE enum err stream_write(struct stream *stream, struct slice bytes);
/* Bytes taken from the caller that the kernel has not taken yet. */
size_t stream_unsent(const struct stream *stream);

/* Back-pressure: no on_read and no on_end until resumed; the peer's window fills up. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* on_timeout(STREAM_DEADLINE) in `timeout_ms` unless moved before; 0: none.  Costs a store. */
void stream_set_deadline(struct stream *stream, unsigned timeout_ms);

/* Send what waits (on_write is asked until it leaves room), say goodbye, end.  What still arrives
 * is read and dropped, so that the peer gets our last words instead of a reset. */
void stream_close(struct stream *stream);
/* End now; what waits is dropped.  Harmless when already ending. */
void stream_abort(struct stream *stream);

/* Did TLS resume an earlier session? false for cleartext. */
bool stream_is_resumed(const struct stream *stream);
bool stream_is_tls(const struct stream *stream);
/* Whose certificate came with the handshake?  False: none did. */
bool stream_caller(const struct stream *stream, struct tls_caller *caller);
/* A constant such as "handshake_timeout". */
const char *stream_reason_name(enum stream_reason reason);
