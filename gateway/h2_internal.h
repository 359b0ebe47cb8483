/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_internal.h - one HTTP/2 connection, as h2.c (the stream's events) and h2_session.c (nghttp2's
 * events) see it.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "gateway/connection.h"
#include "gateway/h2_mem.h"
#include "gateway/h2_scan.h"

enum { H2_MAGIC = 0x48320000 };

struct h2_shared {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct h2_mem mem;
};

enum h2_drain {
    H2_RUNNING,
    H2_NOTICE, /* GOAWAY(2^31-1) and a PING are out */
    H2_FINAL,  /* GOAWAY(last stream) is out */
};

struct h2 {
    uint32_t magic;
    struct connection *connection;
    nghttp2_session *session;
    struct h2_scan scan;
    uint64_t now_ms; /* of the current event */
    uint64_t opened_ms;
    bool has_settings; /* the peer's first SETTINGS came */

    /* Exchanges by state. `current` is the latest one touched, to save a search. */
    struct list reading;
    struct list handled;
    struct list sending;
    struct exchange *current;

    struct h2_resets resets;
    struct h2_bucket glitches;
    const char *flood; /* why the peer is to be calmed; NULL: it is calm */

    enum h2_drain drain;
    uint64_t drain_ms; /* when the current step began */
    uint64_t body_check_ms;
    uint64_t stall_check_ms;

    struct slice unsent; /* nghttp2's, until its next mem_send */
    bool is_stopped;     /* nothing more is fed to nghttp2 */
    bool is_closing;     /* stream_close() was called */
    bool peer_ended;
};

/* ---- h2_session.c ---- */

void h2_session_set_callbacks(nghttp2_session_callbacks *callbacks);
/* Our SETTINGS and the connection's window. */
void h2_session_greet(struct h2 *h2);
/* Send exchange->request.response; the body of the request may still be arriving. */
void h2_session_answer(struct h2 *h2, struct exchange *exchange);

/* The first GOAWAY of a graceful end. Harmless when one is under way. */
void h2_begin_drain(struct h2 *h2);
/* The second. */
void h2_finish_drain(struct h2 *h2);
