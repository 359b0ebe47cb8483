/* SPDX-License-Identifier: Apache-2.0
 *
 * listener.h - an address on which weir takes HTTP requests: HTTP/1.1 and HTTP/2, TLS or cleartext.
 *
 * One listener per worker and address; with `is_shared` the kernel spreads connections over those
 * of all workers.  Everything runs on the loop of its worker.
 */
#pragma once

#include <ev.h>

#include "core/err.h"
#include "core/stream.h"
#include "core/tls.h"
#include "gateway/connection.h"
#include "gateway/http_limits.h"
#include "gateway/request.h"

struct listener;

struct listener_options {
    struct ev_loop *loop;
    struct stream_loop *streams;
    /* "0.0.0.0:8443", "[::1]:8443", or "unix:PATH" (made with mode 0600; a dead one is replaced).
     * Port 0 is any free port.  Empty: none, only listener_adopt(). */
    struct slice address;
    bool is_shared;                   /* SO_REUSEPORT */
    struct tls_context *tls;          /* acquired; NULL: cleartext */
    const struct http_limits *limits; /* copied; NULL: HTTP_LIMITS_DEFAULT */
    struct request_handler handler;
};

/* Bind, listen and accept from the next loop turn on.
 * Errors: ERR_BAD_CONFIG for an address that cannot be read, ERR_SYSTEM for what the system
 * refuses, each with the address in `why`. */
MUST_USE enum err listener_open(const struct listener_options *options, struct listener **listener,
                                struct err_why *why);
/* Only when no connection is left: after a drain, or after stream_loop_destroy().  Requests that a
 * handler still holds may be answered later.  NULL is fine. */
void listener_destroy(struct listener *listener);

/* The address it is bound to, with the real port; valid as long as the listener. */
struct slice listener_address(const struct listener *listener);
/* Connections accepted from now on use this one. */
void listener_set_tls(struct listener *listener, struct tls_context *tls);
/* Take over a connected descriptor as if it had been accepted. */
void listener_adopt(struct listener *listener, int fd, struct slice peer);

/* Stop accepting and let every connection finish: HTTP/2 gets GOAWAY(2^31-1), a round trip or a
 * second later GOAWAY(last stream); HTTP/1.1 answers say "connection: close".  `on_drained` comes
 * once, from the loop, when no connection is left; after `drain_timeout_ms` they are cut. */
void listener_drain(struct listener *listener, void (*on_drained)(void *context), void *context);

const struct connection_counts *listener_counts(const struct listener *listener);
size_t listener_connection_count(const struct listener *listener);
/* Bytes of request bodies held. */
size_t listener_in_flight_bytes(const struct listener *listener);
