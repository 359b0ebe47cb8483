/* SPDX-License-Identifier: Apache-2.0
 *
 * request.h - one HTTP request, whichever version brought it, and its answer.
 *
 * A request owns an arena that lives until it was answered.  When its connection dies first, the
 * request lives on, its answer goes nowhere, and everything is freed all the same: whoever holds a
 * request may always answer it exactly once.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/digest.h"
#include "core/err.h"
#include "core/header.h"

struct request;
struct tls_caller;

/* What the protocol below (h1, h2) does for a request. */
struct request_ops {
    void (*respond)(struct request *request);
};

struct response {
    unsigned status;
    struct slice content_type;
    struct slice body;        /* in the request's arena, or constant */
    struct header headers[4]; /* extra ones */
    size_t header_count;
    bool close; /* end the connection after it */
};

struct request {
    struct arena arena;
    /* what came; slices in the arena or in `body` */
    struct slice method;
    struct slice path;
    struct slice query;     /* without '?'; empty if none */
    struct slice authority; /* :authority or Host, lower case */
    bool is_http2;
    struct header *headers;
    size_t header_count;
    struct buf body;
    struct digest body_digest;       /* SHA-256 of the whole body */
    bool skips_body_digest;          /* on_head may set it: nobody will look at the digest */
    const struct tls_caller *caller; /* whose client certificate came with it; NULL: none */
    struct slice peer;               /* "203.0.113.7", for logs */
    uint64_t arrived_us;             /* steady clock, when the head was complete */

    struct response response;

    /* for whoever handles it */
    void *handler_data;

    /* private to the protocol */
    const struct request_ops *ops;
    void *stream;
};

/* Who takes requests. Both run on the loop of the connection. */
struct request_handler {
    /* The head is complete.  ERR_OK: read the body (up to *body_max, which may be lowered) and call
     * on_request.  An error is answered at once and the body is never read: with request->response
     * if the handler filled it in (its status is not 0), else with the error's status and text. */
    enum err (*on_head)(void *context, struct request *request, size_t *body_max);
    /* The whole request is there; the handler owns it until it answers. */
    void (*on_request)(void *context, struct request *request);
    void *context;
};

/* Answer with request->response as filled in. Exactly once; the request is gone afterwards. */
void request_respond(struct request *request);
/* `{"error":{"code","message"}}` with the status of `err`; message NULL: the error's own text. */
void request_respond_error(struct request *request, enum err err, const char *message);
/* A header's value, or empty. */
struct slice request_header(const struct request *request, struct slice name);
/* The body of an error answer, `{"error":{"code","message"}}`, in `arena`. */
struct slice request_error_body(struct arena *arena, const char *code, const char *message);
