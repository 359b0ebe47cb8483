/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange.c - a request on its way in and its answer on its way out, whatever the version.
 *
 * Quota.  What is charged is what a body really holds, as it arrives.  A declared length is only
 * asked about ("would it fit now?"), because charging a mere declaration would let a stranger fill
 * the quota with a few hundred bytes.  So a body may be refused halfway under overload, with a
 * status that says to come again.
 *
 * Digest.  A short body is hashed in one go when it is complete, with everything in cache; a long
 * one is hashed in steps as it arrives, so that its end costs no more than a short one.
 *
 * Memory: an exchange and its arena are one lifetime.  A few stay in the pool for the next request,
 *         unless they have grown.  A pool outlives its listener until the last exchange is
 * answered. Time:   only arguments.
 */
#include "gateway/exchange.h"

#include "core/check.h"

enum {
    EXCHANGE_MAGIC = 0x45584348,
    SPARE_MAX = 64,
    SPARE_ARENA_MAX_BYTES = 16 * 1024,
    SPARE_BODY_MAX_BYTES = 16 * 1024,
    HASH_STEP_BYTES = 16 * 1024,
    RETRY_AFTER_S = 5,
    FIELD_OVERHEAD_BYTES = 32, /* as RFC 7541 section 4.1 counts */
};

struct exchange_pool {
    size_t in_flight_bytes;
    size_t in_flight_max_bytes;
    size_t count;
    bool is_released;
    struct list spare;
    size_t spare_count;
};

struct exchange_pool *exchange_pool_new(const struct http_limits *limits)
{
    struct exchange_pool *pool = xcalloc(1, sizeof(*pool));

    pool->in_flight_max_bytes = limits->in_flight_max_bytes;
    list_init(&pool->spare);
    return pool;
}

static void destroy(struct exchange *exchange)
{
    digest_stream_clean_up(&exchange->hash);
    buf_clean_up(&exchange->request.body);
    arena_clean_up(&exchange->request.arena);
    exchange->magic = 0;
    xfree(exchange);
}

static void free_when_unused(struct exchange_pool *pool)
{
    struct list *node;

    if (!pool->is_released || pool->count > 0) {
        return;
    }
    while ((node = list_take_first(&pool->spare)) != NULL) {
        destroy(CONTAINER_OF(node, struct exchange, node));
    }
    xfree(pool);
}

void exchange_pool_release(struct exchange_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK(!pool->is_released);
    pool->is_released = true;
    free_when_unused(pool);
}

size_t exchange_pool_bytes(const struct exchange_pool *pool)
{
    return pool->in_flight_bytes;
}

size_t exchange_pool_count(const struct exchange_pool *pool)
{
    return pool->count;
}

struct exchange *exchange_new(struct exchange_pool *pool, const struct request_ops *ops)
{
    struct list *node = list_take_first(&pool->spare);
    struct exchange *exchange;

    if (node != NULL) {
        exchange = CONTAINER_OF(node, struct exchange, node);
        pool->spare_count--;
    } else {
        exchange = xcalloc(1, sizeof(*exchange));
        list_init(&exchange->node);
    }
    exchange->magic = EXCHANGE_MAGIC;
    exchange->state = EXCHANGE_READING;
    exchange->pool = pool;
    exchange->request.ops = ops;
    pool->count++;
    return exchange;
}

/* Back to what exchange_new() gives, with the memory kept. */
static void recycle(struct exchange *exchange)
{
    const struct arena arena = exchange->request.arena;
    const struct buf body = exchange->request.body;
    const struct digest_stream hash = exchange->hash;

    *exchange = (struct exchange){.hash = hash};
    exchange->request.arena = arena;
    exchange->request.body = body;
    list_init(&exchange->node);
    arena_reset(&exchange->request.arena);
    buf_clear(&exchange->request.body);
}

void exchange_free(struct exchange *exchange)
{
    struct exchange_pool *pool;

    CHECK_MAGIC(exchange, EXCHANGE_MAGIC);
    pool = exchange->pool;
    CHECK(pool->in_flight_bytes >= exchange->request.body.len);
    CHECK(pool->count > 0);
    CHECK(!list_is_linked(&exchange->node));
    pool->in_flight_bytes -= exchange->request.body.len;
    pool->count--;
    if (pool->is_released || pool->spare_count >= SPARE_MAX ||
        exchange->request.arena.used_bytes > SPARE_ARENA_MAX_BYTES ||
        exchange->request.body.cap > SPARE_BODY_MAX_BYTES) {
        destroy(exchange);
    } else {
        recycle(exchange);
        list_prepend(&pool->spare, &exchange->node);
        pool->spare_count++;
    }
    free_when_unused(pool);
}

struct exchange *exchange_of(struct request *request)
{
    struct exchange *exchange = CONTAINER_OF(request, struct exchange, request);

    CHECK_MAGIC(exchange, EXCHANGE_MAGIC);
    return exchange;
}

bool exchange_set_target(struct exchange *exchange, struct slice target)
{
    if (target.len == 0 || target.data[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < target.len; i++) {
        const unsigned char byte = (unsigned char)target.data[i];

        if (byte <= 0x20 || byte >= 0x7f || byte == '#') {
            return false;
        }
    }
    exchange->request.path = slice_cut(&target, '?');
    exchange->request.query = target;
    exchange->has_path = true;
    return true;
}

/* Bytes of a host and port: names, IPv4, bracketed IPv6, percent-encoded. */
static bool is_authority_byte(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
           byte == '-' || byte == '_' || byte == '~' || byte == ':' || byte == '[' || byte == ']' ||
           byte == '%';
}

bool exchange_set_authority(struct exchange *exchange, struct slice authority)
{
    char *lower;

    if (authority.len == 0) {
        return false;
    }
    lower = arena_alloc(&exchange->request.arena, authority.len);
    for (size_t i = 0; i < authority.len; i++) {
        lower[i] = authority.data[i];
        if (lower[i] >= 'A' && lower[i] <= 'Z') {
            lower[i] = (char)(lower[i] - 'A' + 'a');
        }
        if (!is_authority_byte((unsigned char)lower[i])) {
            return false;
        }
    }
    exchange->request.authority = (struct slice){lower, authority.len};
    return true;
}

void exchange_refuse_head(struct exchange *exchange, unsigned status, const char *reason)
{
    if (exchange->refusal_status == 0) {
        exchange->refusal_status = status;
        exchange->refusal_reason = reason;
    }
}

void exchange_add_field(struct exchange *exchange, const struct http_limits *limits,
                        struct slice name, struct slice value)
{
    struct request *request = &exchange->request;

    exchange->head_bytes += name.len + value.len + FIELD_OVERHEAD_BYTES;
    if (request->header_count >= limits->field_count_max) {
        exchange_refuse_head(exchange, 431, "the request has too many header fields");
        return;
    }
    if (value.len > limits->value_max_bytes) {
        exchange_refuse_head(exchange, 431, "a header field is too long");
        return;
    }
    if (request->headers == NULL) {
        request->headers =
            arena_alloc(&request->arena, limits->field_count_max * sizeof(request->headers[0]));
    }
    request->headers[request->header_count++] = (struct header){name, value};
}

static bool is_method(const struct exchange *exchange, struct slice method)
{
    return slice_eq(exchange->request.method, method);
}

/* Checks of a complete head that need no handler. */
static void judge_head(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    const struct header *encoding =
        header_find(request->headers, request->header_count, SLICE("content-encoding"));

    if (!exchange->has_path) {
        exchange_refuse_head(exchange, 400, "the request target is not a path");
    }
    if (request->authority.len == 0) {
        exchange_refuse_head(exchange, 400, "the request names no host");
    }
    if (is_method(exchange, SLICE("CONNECT")) || is_method(exchange, SLICE("TRACE"))) {
        exchange_refuse_head(exchange, 405, "the method is not allowed here");
    }
    if (encoding != NULL && !slice_eq_ignore_case(encoding->value, SLICE("identity"))) {
        exchange_refuse_head(exchange, 415, "a body with a content-encoding is not accepted");
    }
}

bool exchange_accept_head(struct exchange *exchange, const struct request_handler *handler,
                          const struct http_limits *limits)
{
    struct request *request = &exchange->request;
    size_t body_max = limits->body_max_bytes;
    enum err err = ERR_OK;

    judge_head(exchange);
    exchange->is_head_method = is_method(exchange, SLICE("HEAD"));
    if (exchange->refusal_status != 0) {
        exchange_fill_refusal(exchange, exchange->refusal_status, exchange->refusal_reason);
        return false;
    }
    if (handler->on_head != NULL) {
        err = handler->on_head(handler->context, request, &body_max);
        CHECK(body_max <= limits->body_max_bytes);
    }
    if (err == ERR_OK && exchange->has_content_length && exchange->content_length > body_max) {
        err = ERR_TOO_LARGE;
    }
    if (err == ERR_OK && exchange->has_content_length &&
        exchange->content_length >
            exchange->pool->in_flight_max_bytes - exchange->pool->in_flight_bytes) {
        err = ERR_STORE_BUSY;
    }
    if (err != ERR_OK) {
        if (request->response.status == 0) { /* else the handler chose its own words */
            exchange_fill_error(exchange, err);
        }
        return false;
    }
    exchange->body_max_bytes = body_max;
    request->body.max = body_max;
    return true;
}

static void hash_new_bytes(struct exchange *exchange)
{
    if (!exchange->is_hashing) {
        digest_stream_begin(&exchange->hash);
        exchange->is_hashing = true;
    }
    digest_stream_add(&exchange->hash,
                      slice_from(buf_slice(&exchange->request.body), exchange->hashed_bytes));
    exchange->hashed_bytes = exchange->request.body.len;
}

enum err exchange_add_body(struct exchange *exchange, struct slice bytes)
{
    struct exchange_pool *pool = exchange->pool;

    CHECK(exchange->state == EXCHANGE_READING);
    if (bytes.len > exchange->body_max_bytes - exchange->request.body.len) {
        return ERR_TOO_LARGE;
    }
    if (bytes.len > pool->in_flight_max_bytes - pool->in_flight_bytes) {
        return ERR_STORE_BUSY;
    }
    TRY(buf_append(&exchange->request.body, bytes));
    pool->in_flight_bytes += bytes.len;
    if (!exchange->request.skips_body_digest &&
        exchange->request.body.len - exchange->hashed_bytes >= HASH_STEP_BYTES) {
        hash_new_bytes(exchange);
    }
    return ERR_OK;
}

void exchange_end_body(struct exchange *exchange)
{
    struct request *request = &exchange->request;

    CHECK(exchange->state == EXCHANGE_READING);
    if (request->skips_body_digest) {
        return;
    }
    if (!exchange->is_hashing) {
        digest_sha256(buf_slice(&request->body), &request->body_digest);
        return;
    }
    hash_new_bytes(exchange);
    digest_stream_end(&exchange->hash, &request->body_digest);
    exchange->is_hashing = false;
}

bool exchange_is_late(const struct exchange *exchange, const struct http_limits *limits,
                      uint64_t now_ms)
{
    const uint64_t age_ms = now_ms - exchange->begun_ms;
    uint64_t due_bytes;

    CHECK(now_ms >= exchange->begun_ms);
    if (age_ms >= limits->body_timeout_ms) {
        return true;
    }
    if (age_ms <= limits->body_grace_ms) {
        return false;
    }
    due_bytes = (age_ms - limits->body_grace_ms) * limits->body_min_bytes_per_s / 1000;
    return exchange->request.body.len < due_bytes;
}

void exchange_fill_refusal(struct exchange *exchange, unsigned status, const char *reason)
{
    struct request *request = &exchange->request;

    request->response = (struct response){
        .status = status,
        .content_type = SLICE("application/json"),
        .body = request_error_body(&request->arena, "ValidationException", reason),
    };
}

/* When to come again: a few seconds, not the same for all who were refused together. */
static void add_retry_after(struct request *request)
{
    struct response *response = &request->response;

    response->headers[0] = (struct header){
        SLICE("retry-after"), arena_u64(&request->arena, 1 + request->arrived_us % RETRY_AFTER_S)};
    response->header_count = 1;
}

void exchange_fill_error(struct exchange *exchange, enum err err)
{
    struct request *request = &exchange->request;

    request->response.status = err_status(err);
    request->response.content_type = SLICE("application/json");
    request->response.body = request_error_body(&request->arena, err_code(err), err_text(err));
    if (err_class(err) == ERR_CLASS_BUSY && request->response.header_count == 0) {
        add_retry_after(request);
    }
}
