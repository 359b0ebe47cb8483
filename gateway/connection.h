/* SPDX-License-Identifier: Apache-2.0
 *
 * connection.h - one accepted connection, from its first byte to its last, whatever it speaks.
 *
 * It finds out the protocol (ALPN under TLS, the first bytes without) and hands the stream to h1
 * or h2; it keeps what both need: the listener's settings, deadlines, the count of requests, the
 * place among the idle connections.
 */
#pragma once

#include <ev.h>

#include "core/list.h"
#include "core/stream.h"
#include "core/tls.h"
#include "gateway/exchange.h"
#include "gateway/http_limits.h"
#include "gateway/request.h"

struct connection;
struct h2_shared;

/* What happened at the front door, for statistics. */
struct connection_counts {
    uint64_t accepted;
    uint64_t refused; /* over the cap, or out of descriptors */
    uint64_t evicted; /* idle ones closed to make room */
    uint64_t open_h1; /* connections by protocol */
    uint64_t open_h2;
    uint64_t requests;  /* handed to the handler */
    uint64_t bad_heads; /* refused before the handler saw them */
    uint64_t timeouts;  /* head, body or answer too slow */
    uint64_t floods;    /* HTTP/2 connections ended for a flood */
};

/* What the connections of one listener share. */
struct connection_host {
    struct ev_loop *loop;
    struct http_limits limits;
    struct request_handler handler;
    struct exchange_pool *pool;
    struct h2_shared *h2;
    struct list all;  /* every open connection */
    struct list idle; /* those without a request, least recently used first */
    size_t count;
    bool is_draining;
    struct connection_counts counts;
    void (*on_gone)(struct connection_host *host); /* after a connection has ended */

    /* "Thu, 01 Jan 1970 00:00:00 GMT" of the current second */
    time_t date_s;
    char date[32];
};

/* What a protocol does for its connection. */
struct connection_ops {
    /* Finish what runs, take no more, close. */
    void (*drain)(struct connection *connection);
    /* It is idle: say goodbye and close now. */
    void (*evict)(struct connection *connection);
};

enum { CONNECTION_PEER_CHARS = 64, CONNECTION_PREFACE_BYTES = 24 };

#define CONNECTION_NEVER UINT64_MAX

struct connection {
    uint32_t magic;
    struct connection_host *host;
    struct stream *stream;
    const struct connection_ops *ops; /* NULL until the protocol is known */
    void *protocol;                   /* struct h1 or struct h2 */
    struct list all;
    struct list idle;
    size_t exchange_count;
    uint64_t retire_ms; /* steady clock: when it has grown too old; NEVER once it is drained */
    uint64_t alarm_ms;  /* steady clock: what the stream's deadline is set to, 0: not set yet */
    char peer[CONNECTION_PEER_CHARS];
    size_t peer_len;
    bool has_caller; /* came with a client certificate: */
    struct tls_caller caller;
    char first[CONNECTION_PREFACE_BYTES]; /* cleartext: until the protocol is known */
    size_t first_len;
};

/* Take over an accepted descriptor. `peer` is copied. */
void connection_new(struct connection_host *host, struct stream_loop *streams, int fd,
                    struct tls_context *tls, struct slice peer);
/* The protocol calls this last in its on_close. */
void connection_free(struct connection *connection);
struct connection *connection_of(struct stream *stream);

/* A request of this connection begins (its exchange points here) or ends. */
struct exchange *connection_begin_exchange(struct connection *connection,
                                           const struct request_ops *ops);
/* The answer has left or never will: forget the request. */
void connection_end_exchange(struct exchange *exchange);
/* The connection goes while the handler has the request: its answer will go nowhere. */
void connection_detach_exchange(struct exchange *exchange);
/* Give a complete request to the handler. */
void connection_handle(struct exchange *exchange);

/* Have on_timeout(STREAM_DEADLINE) come at `at_ms` or when the connection is too old, whichever is
 * first; 0: only the latter.  Costs nothing when it does not move. */
void connection_set_alarm(struct connection *connection, uint64_t at_ms, uint64_t now_ms);
/* After STREAM_DEADLINE: it is over, set it anew. */
void connection_clear_alarm(struct connection *connection);

/* The Date header of now, valid until the next second. */
struct slice connection_date(struct connection_host *host);
