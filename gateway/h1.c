/* SPDX-License-Identifier: Apache-2.0
 *
 * h1.c - HTTP/1.1 on one connection: one request at a time.
 *
 * The good story: a head arrives whole, weir's own check reads it (h1_head.c), llhttp reads the
 * same bytes and agrees, the handler says yes, the body follows, the handler answers, the answer
 * leaves with the next write of the stream, and the next head may come.  Most callers send one
 * request with "Connection: close" over a fresh TLS connection.
 *
 * Any doubt ends it: an answer, a close, and nothing that came after is looked at.  A client may
 * send the next requests early; they wait here, and past `read_ahead_max_bytes` in the kernel.
 *
 *     HEAD --> BODY --> WAITING --> SENDING --> HEAD | CLOSING
 *       `--------`---------------------^           refusals
 *
 * Invariant: an exchange exists exactly in BODY, WAITING and SENDING.
 * Memory:    the head is copied into the exchange's arena before it is read, so that slices last.
 *            Bytes that wait are bounded by a head or the read-ahead, plus one read of the stream.
 * Time:      the steady clock, once per event of the stream.
 */
#include "gateway/h1.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/h1_answer.h"
#include "gateway/h1_head.h"
#include "gateway/h1_second.h"

enum { H1_MAGIC = 0x48310000, BODY_CHECK_MS = 1000 };

enum h1_state {
    H1_STATE_HEAD,
    H1_STATE_BODY,
    H1_STATE_WAITING,
    H1_STATE_SENDING,
    H1_STATE_CLOSING
};

struct h1 {
    uint32_t magic;
    enum h1_state state;
    struct connection *connection;
    struct exchange *exchange;
    uint64_t now_ms; /* of the current event */

    struct buf held;        /* what came and is not consumed ... */
    size_t held_from;       /* ... from here on */
    size_t scanned;         /* how far the head in it was looked at */
    uint64_t head_begun_ms; /* 0: no byte of the next head has come */
    uint64_t body_check_ms;

    struct h1_head head;
    uint64_t body_left;
    struct h1_chunks chunks;
    struct h1_second second; /* the other reading of the same bytes */

    struct slice answer_head;
    bool is_last; /* no further request is taken from this connection */
    bool is_draining;
    bool is_paused;
    bool owes_continue; /* the client waits for "100 Continue" */
    bool peer_ended;
};

static struct h1 *h1_of(struct stream *stream)
{
    struct h1 *h1 = connection_of(stream)->protocol;

    CHECK_MAGIC(h1, H1_MAGIC);
    return h1;
}

static const struct http_limits *limits_of(const struct h1 *h1)
{
    return &h1->connection->host->limits;
}

/* ---- the answer ---- */

/* exchange->request.response is filled in: have it sent. */
static void begin_answer(struct h1 *h1)
{
    struct exchange *exchange = h1->exchange;
    struct response *response = &exchange->request.response;

    CHECK(h1->state != H1_STATE_SENDING);
    if (response->close || h1->is_draining) {
        h1->is_last = true;
    }
    h1->answer_head = h1_answer_head(&exchange->request.arena, response,
                                     connection_date(h1->connection->host), h1->is_last);
    if (exchange->is_head_method || response->status == 204 || response->status == 304) {
        response->body = (struct slice){NULL, 0};
    }
    exchange->state = EXCHANGE_SENDING;
    h1->state = H1_STATE_SENDING;
    stream_want_write(h1->connection->stream);
}

static void respond(struct request *request)
{
    struct exchange *exchange = exchange_of(request);

    CHECK(exchange->state == EXCHANGE_HANDLED);
    if (exchange->connection == NULL) {
        exchange_free(exchange);
        return;
    }
    begin_answer(exchange->connection->protocol);
}

static const struct request_ops request_ops = {.respond = respond};

static void start_exchange(struct h1 *h1)
{
    CHECK(h1->exchange == NULL);
    h1->exchange = connection_begin_exchange(h1->connection, &request_ops);
    h1->exchange->begun_ms = h1->now_ms;
}

/* Answer with `status`, then close; nothing that follows is read. */
static void refuse(struct h1 *h1, unsigned status, const char *reason)
{
    struct connection_host *host = h1->connection->host;

    if (h1->exchange == NULL) {
        start_exchange(h1);
    }
    if (status == 408) {
        host->counts.timeouts++;
    } else {
        host->counts.bad_heads++;
    }
    log_debug("h1.refuse", LOG_SLICE("peer", h1->exchange->request.peer), LOG_U64("status", status),
              LOG_TEXT("reason", reason));
    exchange_fill_refusal(h1->exchange, status, reason);
    h1->is_last = true;
    begin_answer(h1);
}

static void close_now(struct h1 *h1)
{
    h1->state = H1_STATE_CLOSING;
    stream_close(h1->connection->stream);
}

/* ---- the request ---- */

static void end_request(struct h1 *h1)
{
    struct exchange *exchange = h1->exchange;

    exchange_end_body(exchange);
    h1->state = H1_STATE_WAITING;
    connection_handle(exchange);
}

/* Hand what our own check found to the version-independent one. False: refused. */
static bool accept_head(struct h1 *h1)
{
    const struct http_limits *limits = limits_of(h1);
    struct exchange *exchange = h1->exchange;
    struct request *request = &exchange->request;
    const struct h1_head *head = &h1->head;

    request->method = head->method;
    request->headers = head->headers;
    request->header_count = head->header_count;
    request->arrived_us = moment_steady_us();
    exchange->has_content_length = head->framing == H1_LENGTH;
    exchange->content_length = head->content_length;
    if (!exchange_set_target(exchange, head->target)) {
        exchange_refuse_head(exchange, slice_eq(head->method, SLICE("CONNECT")) ? 405 : 400,
                             "the request target is not a path");
    }
    if (!exchange_set_authority(exchange, head->host)) {
        exchange_refuse_head(exchange, 400, "the host is not a host name");
    }
    h1->is_last = head->wants_close;
    if (exchange_accept_head(exchange, &h1->connection->host->handler, limits)) {
        return true;
    }
    /* After a refusal only a request without a body leaves the connection in a known state. */
    if (exchange->refusal_status != 0) {
        h1->connection->host->counts.bad_heads++;
        h1->is_last = true;
    }
    h1->is_last = h1->is_last || head->framing != H1_NO_BODY;
    begin_answer(h1);
    return false;
}

static void begin_body(struct h1 *h1, bool is_more_here)
{
    const struct h1_head *head = &h1->head;

    if (head->framing == H1_NO_BODY) {
        end_request(h1);
        return;
    }
    h1->state = H1_STATE_BODY;
    h1->owes_continue = false;
    h1->body_left = head->content_length;
    h1->chunks = (struct h1_chunks){0};
    h1->body_check_ms = h1->now_ms + limits_of(h1)->body_grace_ms;
    if (head->expects_continue && !is_more_here) {
        h1->owes_continue = true;
        stream_want_write(h1->connection->stream);
    }
}

/* False: more bytes are needed. */
static bool consume_head(struct h1 *h1, struct slice *bytes)
{
    const struct http_limits *limits = limits_of(h1);
    struct h1_refusal refusal;
    enum h1_result result;
    struct header *fields;
    struct slice copy;
    size_t head_len;

    result = h1_head_find(*bytes, limits, &h1->scanned, &head_len, &refusal);
    if (result == H1_MORE) {
        return false;
    }
    h1->scanned = 0;
    if (result == H1_BAD) {
        refuse(h1, refusal.status, refusal.reason);
        return true;
    }
    start_exchange(h1);
    copy = arena_copy(&h1->exchange->request.arena, slice_first(*bytes, head_len));
    *bytes = slice_from(*bytes, head_len);
    fields = arena_alloc(&h1->exchange->request.arena, limits->field_count_max * sizeof(*fields));
    if (h1_head_parse(copy, limits, fields, &h1->head, &refusal) == H1_BAD) {
        refuse(h1, refusal.status, refusal.reason);
    } else if (!h1_second_agrees_on_head(&h1->second, &h1->head, copy)) {
        refuse(h1, 400, "the head of the request can be read in two ways");
    } else if (accept_head(h1)) {
        begin_body(h1, bytes->len > 0);
    }
    return true;
}

/* A piece of the body as the sender framed it, and the data in it. False: refused. */
static bool take_piece(struct h1 *h1, struct slice raw, struct slice data)
{
    enum err err;

    if (!h1_second_agrees_on_body(&h1->second, raw)) {
        refuse(h1, 400, "the body of the request can be read in two ways");
        return false;
    }
    err = exchange_add_body(h1->exchange, data);
    if (err != ERR_OK) {
        exchange_fill_error(h1->exchange, err);
        h1->is_last = true;
        begin_answer(h1);
        return false;
    }
    return true;
}

static void consume_chunks(struct h1 *h1, struct slice *bytes)
{
    enum h1_result result = H1_MORE;

    while (bytes->len > 0 && result == H1_MORE) {
        const char *begin = bytes->data;
        struct h1_refusal refusal;
        struct slice data;

        result = h1_chunks_next(&h1->chunks, bytes, &data, &refusal);
        if (result == H1_BAD) {
            refuse(h1, refusal.status, refusal.reason);
            return;
        }
        if (!take_piece(h1, (struct slice){begin, (size_t)(bytes->data - begin)}, data)) {
            return;
        }
        if (h1->second.saw_end != (result == H1_DONE)) {
            refuse(h1, 400, "the body of the request can be read in two ways");
            return;
        }
    }
    if (result == H1_DONE) {
        end_request(h1);
    }
}

static void consume_length(struct h1 *h1, struct slice *bytes)
{
    const struct slice data = slice_first(*bytes, MIN_OF(bytes->len, h1->body_left));

    *bytes = slice_from(*bytes, data.len);
    h1->body_left -= data.len;
    if (!take_piece(h1, data, data)) {
        return;
    }
    if (h1->second.saw_end != (h1->body_left == 0)) {
        refuse(h1, 400, "the body of the request can be read in two ways");
    } else if (h1->body_left == 0) {
        end_request(h1);
    }
}

/* Take requests off the front of `bytes`; what is left waits for its turn. */
static struct slice consume(struct h1 *h1, struct slice bytes)
{
    while (bytes.len > 0) {
        if (h1->state == H1_STATE_HEAD) {
            if (!consume_head(h1, &bytes)) {
                break;
            }
        } else if (h1->state != H1_STATE_BODY) {
            break;
        } else if (h1->head.framing == H1_CHUNKED) {
            consume_chunks(h1, &bytes);
        } else {
            consume_length(h1, &bytes);
        }
    }
    return h1->is_last && h1->state != H1_STATE_BODY ? (struct slice){NULL, 0} : bytes;
}

/* ---- what waits ---- */

static struct slice held_bytes(const struct h1 *h1)
{
    return slice_from(buf_slice(&h1->held), h1->held_from);
}

static void hold(struct h1 *h1, struct slice bytes)
{
    enum err err;

    if (h1->held_from > 0) {
        buf_consume(&h1->held, h1->held_from);
        h1->held_from = 0;
    }
    err = buf_append(&h1->held, bytes);
    CHECK(err == ERR_OK); /* paused, or refused, before it could overflow */
}

static void consume_held(struct h1 *h1)
{
    const struct slice left = consume(h1, held_bytes(h1));

    if (left.len == 0) {
        buf_clean_up(&h1->held);
        h1->held_from = 0;
    } else {
        h1->held_from = h1->held.len - left.len;
    }
}

/* After anything has moved: back-pressure, the end of a half-closed peer, and the next alarm. */
static void settle(struct h1 *h1)
{
    const size_t held_len = held_bytes(h1).len;
    const bool is_busy = h1->state == H1_STATE_WAITING || h1->state == H1_STATE_SENDING;
    const bool is_full = is_busy && held_len > limits_of(h1)->read_ahead_max_bytes;
    uint64_t alarm_ms = 0;

    if (is_full != h1->is_paused) {
        h1->is_paused = is_full;
        if (is_full) {
            stream_pause(h1->connection->stream);
        } else {
            stream_resume(h1->connection->stream);
        }
    }
    if (h1->state == H1_STATE_HEAD) {
        if (held_len > 0 && h1->head_begun_ms == 0) {
            h1->head_begun_ms = h1->now_ms;
        }
        if (h1->head_begun_ms != 0) {
            alarm_ms = h1->head_begun_ms + limits_of(h1)->head_timeout_ms;
        } else if (h1->is_draining) {
            alarm_ms = h1->now_ms + limits_of(h1)->drain_grace_ms;
        }
    } else if (h1->state == H1_STATE_BODY) {
        alarm_ms = h1->body_check_ms;
    }
    connection_set_alarm(h1->connection, alarm_ms, h1->now_ms);
}

/* The peer sends no more: what is incomplete stays so. */
static void end_half_closed(struct h1 *h1)
{
    if (h1->state == H1_STATE_BODY || (h1->state == H1_STATE_HEAD && held_bytes(h1).len > 0)) {
        refuse(h1, 400, "the connection was closed before the request was complete");
    } else if (h1->state == H1_STATE_HEAD) {
        close_now(h1);
    }
}

void h1_read(struct connection *connection, struct slice bytes)
{
    struct h1 *h1 = connection->protocol;

    CHECK_MAGIC(h1, H1_MAGIC);
    if (h1->state == H1_STATE_CLOSING || (h1->is_last && h1->state >= H1_STATE_WAITING)) {
        return;
    }
    h1->now_ms = moment_steady_ms();
    if (held_bytes(h1).len > 0) {
        hold(h1, bytes);
        consume_held(h1);
    } else {
        bytes = consume(h1, bytes);
        hold(h1, bytes);
    }
    settle(h1);
}

static void on_read(struct stream *stream, struct slice bytes)
{
    h1_read(connection_of(stream), bytes);
}

/* ---- the stream's other events ---- */

static size_t fill(struct h1 *h1, char *room, size_t room_len)
{
    struct exchange *exchange = h1->exchange;
    const struct slice body = exchange->request.response.body;
    const size_t head_len = h1->answer_head.len;
    const struct slice part = exchange->sent_bytes < head_len
                                  ? slice_from(h1->answer_head, exchange->sent_bytes)
                                  : slice_from(body, exchange->sent_bytes - head_len);
    const size_t len = MIN_OF(part.len, room_len);

    if (len > 0) {
        memcpy(room, part.data, len);
    }
    exchange->sent_bytes += len;
    return len;
}

/* The answer is out of our hands: the next request, or the end. */
static void go_on(struct h1 *h1)
{
    connection_end_exchange(h1->exchange);
    h1->exchange = NULL;
    if (h1->is_last) {
        close_now(h1);
        return;
    }
    h1->state = H1_STATE_HEAD;
    h1->head_begun_ms = 0;
    consume_held(h1);
    if (h1->peer_ended) {
        end_half_closed(h1);
    }
}

/* The interim answer, if it is owed and fits. */
static size_t fill_continue(struct h1 *h1, char *room, size_t room_len)
{
    const struct slice interim = SLICE("HTTP/1.1 100 Continue\r\n\r\n");

    if (h1->state != H1_STATE_BODY || !h1->owes_continue) {
        return 0;
    }
    if (room_len < interim.len) {
        stream_want_write(h1->connection->stream);
        return 0;
    }
    h1->owes_continue = false;
    memcpy(room, interim.data, interim.len);
    return interim.len;
}

static size_t on_write(struct stream *stream, char *room, size_t room_len)
{
    struct h1 *h1 = h1_of(stream);
    size_t used = 0;

    h1->now_ms = moment_steady_ms();
    while (h1->state == H1_STATE_SENDING && used < room_len) {
        const size_t answer_len = h1->answer_head.len + h1->exchange->request.response.body.len;

        used += fill(h1, room + used, room_len - used);
        if (h1->exchange->sent_bytes == answer_len) {
            go_on(h1);
        }
    }
    used += fill_continue(h1, room + used, room_len - used);
    if (h1->state != H1_STATE_CLOSING) {
        settle(h1);
    }
    return used;
}

static void on_end(struct stream *stream)
{
    struct h1 *h1 = h1_of(stream);

    h1->peer_ended = true;
    h1->now_ms = moment_steady_ms();
    end_half_closed(h1);
}

static void drain(struct connection *connection)
{
    struct h1 *h1 = connection->protocol;

    CHECK_MAGIC(h1, H1_MAGIC);
    h1->is_draining = true;
    connection->retire_ms = CONNECTION_NEVER;
    if (h1->state != H1_STATE_CLOSING) {
        h1->now_ms = moment_steady_ms();
        settle(h1);
    }
}

static void evict(struct connection *connection)
{
    struct h1 *h1 = connection->protocol;

    CHECK_MAGIC(h1, H1_MAGIC);
    CHECK(h1->exchange == NULL);
    if (h1->state != H1_STATE_CLOSING) {
        close_now(h1);
    }
}

static void check_time(struct h1 *h1)
{
    const struct http_limits *limits = limits_of(h1);

    if (h1->state == H1_STATE_HEAD && h1->head_begun_ms != 0) {
        if (h1->now_ms < h1->head_begun_ms + limits->head_timeout_ms) {
            return;
        }
        if (held_bytes(h1).len > 0) {
            refuse(h1, 408, "the head of the request took too long");
        } else {
            h1->connection->host->counts.timeouts++;
            close_now(h1);
        }
    } else if (h1->state == H1_STATE_HEAD && h1->is_draining) {
        close_now(h1);
    } else if (h1->state == H1_STATE_BODY && h1->now_ms >= h1->body_check_ms) {
        h1->body_check_ms = h1->now_ms + BODY_CHECK_MS;
        if (exchange_is_late(h1->exchange, limits, h1->now_ms)) {
            refuse(h1, 408, "the body of the request took too long");
        }
    }
}

static void on_timeout(struct stream *stream, enum stream_reason reason)
{
    struct h1 *h1 = h1_of(stream);

    h1->now_ms = moment_steady_ms();
    if (reason == STREAM_IDLE) {
        if (h1->state == H1_STATE_HEAD) {
            close_now(h1);
        }
        return; /* a handler may take its time; a body has an alarm of its own */
    }
    connection_clear_alarm(h1->connection);
    if (h1->now_ms >= h1->connection->retire_ms) {
        drain(h1->connection);
        return;
    }
    check_time(h1);
    if (h1->state != H1_STATE_CLOSING) {
        settle(h1);
    }
}

static void on_close(struct stream *stream, enum stream_reason reason)
{
    struct h1 *h1 = h1_of(stream);
    struct connection *connection = h1->connection;

    log_debug("h1.close",
              LOG_SLICE("peer", ((struct slice){connection->peer, connection->peer_len})),
              LOG_TEXT("reason", stream_reason_name(reason)));
    if (h1->exchange != NULL && h1->exchange->state == EXCHANGE_HANDLED) {
        connection_detach_exchange(h1->exchange);
    } else if (h1->exchange != NULL) {
        connection_end_exchange(h1->exchange);
    }
    connection->host->counts.open_h1--;
    buf_clean_up(&h1->held);
    h1->magic = 0;
    xfree(h1);
    connection_free(connection);
}

void h1_open(struct connection *connection)
{
    static const struct connection_ops ops = {.drain = drain, .evict = evict};
    static const struct stream_handlers handlers = {
        .on_read = on_read,
        .on_write = on_write,
        .on_end = on_end,
        .on_timeout = on_timeout,
        .on_close = on_close,
    };
    const struct http_limits *limits = &connection->host->limits;
    struct h1 *h1 = xcalloc(1, sizeof(*h1));

    h1->magic = H1_MAGIC;
    h1->connection = connection;
    h1->now_ms = moment_steady_ms();
    h1->head_begun_ms = h1->now_ms;
    buf_init(&h1->held,
             MAX_OF(limits->head_max_bytes, limits->read_ahead_max_bytes) + STREAM_READ_BYTES);
    connection->protocol = h1;
    connection->ops = &ops;
    stream_set_handlers(connection->stream, &handlers);
    settle(h1);
}
