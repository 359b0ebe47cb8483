/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.h - a request on its way in and its answer on its way out.
 *
 * It is what HTTP/1.1 and HTTP/2 have in common about a request: the body taken in under a quota
 * and hashed as it comes, the checks that do not depend on the version, and who frees it.
 */
#pragma once

#include "core/digest.h"
#include "core/list.h"
#include "gateway/http_limits.h"
#include "gateway/request.h"

struct connection;
struct exchange_pool;

enum exchange_state {
    EXCHANGE_READING, /* head or body still arrive */
    EXCHANGE_HANDLED, /* the handler has it and owes an answer */
    EXCHANGE_SENDING, /* answered; the answer leaves */
};

struct exchange {
    uint32_t magic;
    enum exchange_state state;
    struct request request;
    struct exchange_pool *pool;
    struct connection *connection; /* NULL once that has gone */
    struct list node;              /* of the connection, by state */
    int32_t stream_id;             /* HTTP/2 */

    /* in */
    uint64_t begun_ms; /* steady clock: when the head was complete */
    bool has_content_length;
    uint64_t content_length;
    size_t body_max_bytes;
    size_t hashed_bytes;
    bool is_hashing;
    struct digest_stream hash;
    size_t head_bytes;          /* decoded so far: names, values and 32 a field, as HTTP/2 counts */
    unsigned refusal_status;    /* the head is refused, with this status ... */
    const char *refusal_reason; /* ... and this sentence */
    bool has_path;

    /* out */
    bool is_head_method;
    size_t sent_bytes;
    size_t unwanted_bytes; /* of the body, after the answer was given */
    uint64_t moved_ms;     /* steady clock: last time a byte of the answer left */
};

/* What the exchanges of one listener share: the quota of body bytes and some spare memory. */
struct exchange_pool *exchange_pool_new(const struct http_limits *limits);
/* The owner lets go; the pool lives until its last exchange has ended. NULL is fine. */
void exchange_pool_release(struct exchange_pool *pool);
/* Bytes of bodies held, those of detached requests included. */
size_t exchange_pool_bytes(const struct exchange_pool *pool);
size_t exchange_pool_count(const struct exchange_pool *pool);

struct exchange *exchange_new(struct exchange_pool *pool, const struct request_ops *ops);
/* Frees the request and all it holds. */
void exchange_free(struct exchange *exchange);
struct exchange *exchange_of(struct request *request);

/* Split the target at '?'.  False: not in origin form, or bytes that no URL has. */
MUST_USE bool exchange_set_target(struct exchange *exchange, struct slice target);
/* Lower-case copy. False: empty, or bytes that no host has. */
MUST_USE bool exchange_set_authority(struct exchange *exchange, struct slice authority);
/* Note one field (bytes already in the arena). Beyond a limit the head becomes refused. */
void exchange_add_field(struct exchange *exchange, const struct http_limits *limits,
                        struct slice name, struct slice value);
/* Mark the head as refused; the first reason stays. */
void exchange_refuse_head(struct exchange *exchange, unsigned status, const char *reason);
/* The head is complete: refusals, methods, encodings, the handler's word, the declared length.
 * False: answer exchange->request.response, which is filled in, and do not read the body. */
MUST_USE bool exchange_accept_head(struct exchange *exchange, const struct request_handler *handler,
                                   const struct http_limits *limits);

/* Take in more of the body.  ERR_TOO_LARGE past its maximum, ERR_STORE_BUSY past the quota; the
 * exchange is then unchanged. */
MUST_USE enum err exchange_add_body(struct exchange *exchange, struct slice bytes);
/* The body is complete: finish its digest. */
void exchange_end_body(struct exchange *exchange);
/* Too slow? By the limits of time and rate. */
bool exchange_is_late(const struct exchange *exchange, const struct http_limits *limits,
                      uint64_t now_ms);

/* Fill in an answer of the front door itself. */
void exchange_fill_refusal(struct exchange *exchange, unsigned status, const char *reason);
void exchange_fill_error(struct exchange *exchange, enum err err);
