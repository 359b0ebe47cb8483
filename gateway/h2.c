/* SPDX-License-Identifier: Apache-2.0
 *
 * h2.c - HTTP/2 on one connection: the stream's events, floods, deadlines and the graceful end.
 *
 * The good story: bytes come, the scanner cuts them into frames and counts them, nghttp2 gets one
 * frame per call, answers gather in its queue, and once per loop turn they are drained into the
 * stream's room, which leaves in one write.
 *
 * Three ways to end.  Drained: GOAWAY(2^31-1), a round trip or a second, GOAWAY(last stream), then
 * the connection closes when its streams have.  Calmed: GOAWAY(ENHANCE_YOUR_CALM) and the close,
 * for whoever floods.  Cut: no goodbye, when the peer takes nothing of what waits for it.
 *
 * After nghttp2 has wanted no more, nothing is fed to it: a frame behind the end of a session has
 * crashed it before.
 *
 * Memory: exchanges that a handler holds outlive the connection; all others end with it.
 * Time:   the steady clock, once per event of the stream; alarms are absolute, so a peer cannot
 * move them by sending a byte now and then.
 */
#include "gateway/h2.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/h2_internal.h"

enum { CHECK_AGAIN_MS = 1000, DEFLATE_TABLE_BYTES = 4096 };

static struct h2 *h2_of(struct stream *stream)
{
    struct h2 *h2 = connection_of(stream)->protocol;

    CHECK_MAGIC(h2, H2_MAGIC);
    return h2;
}

static const struct http_limits *limits_of(const struct h2 *h2)
{
    return &h2->connection->host->limits;
}

/* ---- ends ---- */

/* GOAWAY with this code, then close; nothing more is read. */
static void terminate(struct h2 *h2, uint32_t code)
{
    if (!h2->is_stopped) {
        (void)nghttp2_session_terminate_session(h2->session, code);
        h2->is_stopped = true;
    }
    stream_want_write(h2->connection->stream);
}

static void calm(struct h2 *h2, const char *reason)
{
    struct connection *connection = h2->connection;

    h2->flood = NULL;
    if (h2->is_stopped) {
        return;
    }
    connection->host->counts.floods++;
    log_debug("h2.flood",
              LOG_SLICE("peer", ((struct slice){connection->peer, connection->peer_len})),
              LOG_TEXT("reason", reason));
    terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void cut(struct h2 *h2)
{
    h2->is_stopped = true;
    h2->is_closing = true;
    stream_abort(h2->connection->stream);
}

/* ---- alarms ---- */

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

/* When something is due next, 0 for never. */
static uint64_t next_alarm_ms(struct h2 *h2)
{
    const struct http_limits *limits = limits_of(h2);
    const uint64_t waits_since_ms = h2_scan_waits_since_ms(&h2->scan);
    uint64_t at_ms = 0;

    if (list_is_empty(&h2->reading)) {
        h2->body_check_ms = 0;
    } else if (h2->body_check_ms == 0) {
        h2->body_check_ms = h2->now_ms + limits->body_grace_ms;
    }
    if (list_is_empty(&h2->sending)) {
        h2->stall_check_ms = 0;
    } else if (h2->stall_check_ms == 0) {
        h2->stall_check_ms = h2->now_ms + limits->answer_stall_ms;
    }
    at_ms = earlier(h2->body_check_ms, h2->stall_check_ms);
    if (!h2->has_settings) {
        at_ms = earlier(at_ms, h2->opened_ms + limits->head_timeout_ms);
    }
    if (waits_since_ms != 0) {
        at_ms = earlier(at_ms, waits_since_ms + limits->head_timeout_ms);
    }
    if (h2->drain == H2_NOTICE) {
        at_ms = earlier(at_ms, h2->drain_ms + limits->drain_grace_ms);
    }
    return at_ms;
}

static void settle(struct h2 *h2)
{
    if (!h2->is_closing) {
        connection_set_alarm(h2->connection, next_alarm_ms(h2), h2->now_ms);
    }
}

static void check_bodies(struct h2 *h2)
{
    if (h2->body_check_ms == 0 || h2->now_ms < h2->body_check_ms) {
        return;
    }
    h2->body_check_ms = h2->now_ms + CHECK_AGAIN_MS;
    LIST_FOREACH (node, &h2->reading) {
        struct exchange *exchange = CONTAINER_OF(node, struct exchange, node);

        if (exchange_is_late(exchange, limits_of(h2), h2->now_ms)) {
            h2->connection->host->counts.timeouts++;
            exchange_fill_error(exchange, ERR_TIMED_OUT);
            h2_session_answer(h2, exchange);
        }
    }
}

static void check_answers(struct h2 *h2)
{
    if (h2->stall_check_ms == 0 || h2->now_ms < h2->stall_check_ms) {
        return;
    }
    h2->stall_check_ms = h2->now_ms + CHECK_AGAIN_MS;
    LIST_FOREACH (node, &h2->sending) {
        const struct exchange *exchange = CONTAINER_OF(node, struct exchange, node);
        const bool is_sent = exchange->sent_bytes == exchange->request.response.body.len;

        if (h2->now_ms - exchange->moved_ms >= limits_of(h2)->answer_stall_ms) {
            h2->connection->host->counts.timeouts += is_sent ? 0 : 1;
            (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream_id,
                                            is_sent ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
        }
    }
}

static bool is_head_late(const struct h2 *h2)
{
    const unsigned timeout_ms = limits_of(h2)->head_timeout_ms;
    const uint64_t waits_since_ms = h2_scan_waits_since_ms(&h2->scan);

    return (!h2->has_settings && h2->now_ms >= h2->opened_ms + timeout_ms) ||
           (waits_since_ms != 0 && h2->now_ms >= waits_since_ms + timeout_ms);
}

static void on_alarm(struct h2 *h2)
{
    if (is_head_late(h2)) {
        h2->connection->host->counts.timeouts++;
        terminate(h2, NGHTTP2_NO_ERROR);
        return;
    }
    if (h2->now_ms >= h2->connection->retire_ms) {
        h2_begin_drain(h2);
    }
    if (h2->drain == H2_NOTICE && h2->now_ms >= h2->drain_ms + limits_of(h2)->drain_grace_ms) {
        h2_finish_drain(h2);
    }
    check_bodies(h2);
    check_answers(h2);
    stream_want_write(h2->connection->stream);
}

static void on_timeout(struct stream *stream, enum stream_reason reason)
{
    struct h2 *h2 = h2_of(stream);

    h2->now_ms = moment_steady_ms();
    if (reason == STREAM_IDLE) {
        if (h2->connection->exchange_count == 0) {
            terminate(h2, NGHTTP2_NO_ERROR);
        }
        return; /* a handler may take its time */
    }
    connection_clear_alarm(h2->connection);
    on_alarm(h2);
    settle(h2);
}

/* ---- bytes ---- */

/* One frame, or a part of one, to nghttp2. */
static void feed(struct h2 *h2, struct slice piece)
{
    const ssize_t fed =
        nghttp2_session_mem_recv(h2->session, (const uint8_t *)piece.data, piece.len);

    if (fed == NGHTTP2_ERR_FLOODED) {
        calm(h2, "too many acknowledgements are owed");
    } else if (fed < 0) {
        log_debug("h2.broken", LOG_TEXT("reason", nghttp2_strerror((int)fed)));
        cut(h2);
    } else if (h2->flood != NULL) {
        calm(h2, h2->flood);
    } else if (nghttp2_session_want_read(h2->session) == 0) {
        h2->is_stopped = true;
    }
}

void h2_read(struct connection *connection, struct slice bytes)
{
    struct h2 *h2 = connection->protocol;
    const struct http_limits *limits = &connection->host->limits;

    CHECK_MAGIC(h2, H2_MAGIC);
    h2->now_ms = moment_steady_ms();
    while (bytes.len > 0 && !h2->is_stopped) {
        struct slice piece;

        switch (h2_scan_next(&h2->scan, limits, h2->now_ms, &bytes, &piece)) {
        case H2_FINE:
            if (piece.len > 0) {
                feed(h2, piece);
            }
            break;
        case H2_FLOOD:
            calm(h2, h2->scan.reason);
            break;
        case H2_VIOLATION:
            terminate(h2, NGHTTP2_PROTOCOL_ERROR);
            break;
        }
    }
    if (nghttp2_session_get_outbound_queue_size(h2->session) > limits->outbound_max) {
        connection->host->counts.floods++;
        cut(h2);
    }
    stream_want_write(connection->stream);
    settle(h2);
}

static void on_read(struct stream *stream, struct slice bytes)
{
    h2_read(connection_of(stream), bytes);
}

/* Nothing will come and nothing waits? */
static bool is_over(struct h2 *h2)
{
    if (h2->unsent.len > 0 || nghttp2_session_want_write(h2->session) != 0) {
        return false;
    }
    return h2->is_stopped || nghttp2_session_want_read(h2->session) == 0 ||
           (h2->peer_ended && h2->connection->exchange_count == 0);
}

/* Refill `unsent`. False: nghttp2 has nothing to send. */
static bool pull(struct h2 *h2)
{
    const uint8_t *data;
    const ssize_t len = nghttp2_session_mem_send(h2->session, &data);

    if (len < 0) {
        log_debug("h2.broken", LOG_TEXT("reason", nghttp2_strerror((int)len)));
        cut(h2);
        return false;
    }
    h2->unsent = (struct slice){(const char *)data, (size_t)len};
    if (h2->flood != NULL) {
        calm(h2, h2->flood);
    }
    return len > 0;
}

static size_t on_write(struct stream *stream, char *room, size_t room_len)
{
    struct h2 *h2 = h2_of(stream);
    size_t used = 0;

    if (h2->is_closing) {
        return 0;
    }
    h2->now_ms = moment_steady_ms();
    while (used < room_len && (h2->unsent.len > 0 || pull(h2))) {
        const struct slice part = slice_first(h2->unsent, room_len - used);

        memcpy(room + used, part.data, part.len);
        h2->unsent = slice_from(h2->unsent, part.len);
        used += part.len;
    }
    if (used < room_len && !h2->is_closing && is_over(h2)) {
        h2->is_closing = true;
        stream_close(stream);
    }
    settle(h2);
    return used;
}

/* ---- the stream's other events ---- */

static void on_end(struct stream *stream)
{
    struct h2 *h2 = h2_of(stream);

    h2->peer_ended = true;
    stream_want_write(stream);
}

static void drain(struct connection *connection)
{
    struct h2 *h2 = connection->protocol;

    CHECK_MAGIC(h2, H2_MAGIC);
    h2->now_ms = moment_steady_ms();
    h2_begin_drain(h2);
    settle(h2);
}

static void evict(struct connection *connection)
{
    struct h2 *h2 = connection->protocol;

    CHECK_MAGIC(h2, H2_MAGIC);
    terminate(h2, NGHTTP2_NO_ERROR);
}

static void end_exchanges(struct h2 *h2)
{
    struct list *node;

    while ((node = list_take_first(&h2->handled)) != NULL) {
        connection_detach_exchange(CONTAINER_OF(node, struct exchange, node));
    }
    list_splice(&h2->reading, &h2->sending);
    while ((node = list_take_first(&h2->reading)) != NULL) {
        connection_end_exchange(CONTAINER_OF(node, struct exchange, node));
    }
}

static void on_close(struct stream *stream, enum stream_reason reason)
{
    struct h2 *h2 = h2_of(stream);
    struct connection *connection = h2->connection;

    log_debug("h2.close",
              LOG_SLICE("peer", ((struct slice){connection->peer, connection->peer_len})),
              LOG_TEXT("reason", stream_reason_name(reason)));
    end_exchanges(h2);
    nghttp2_session_del(h2->session);
    connection->host->counts.open_h2--;
    h2->magic = 0;
    xfree(h2);
    connection_free(connection);
}

void h2_open(struct connection *connection)
{
    static const struct connection_ops ops = {.drain = drain, .evict = evict};
    static const struct stream_handlers handlers = {
        .on_read = on_read,
        .on_write = on_write,
        .on_end = on_end,
        .on_timeout = on_timeout,
        .on_close = on_close,
    };
    struct h2_shared *shared = connection->host->h2;
    struct h2 *h2 = xcalloc(1, sizeof(*h2));

    h2->magic = H2_MAGIC;
    h2->connection = connection;
    h2->now_ms = moment_steady_ms();
    h2->opened_ms = h2->now_ms;
    list_init(&h2->reading);
    list_init(&h2->handled);
    list_init(&h2->sending);
    h2_scan_init(&h2->scan);
    CHECK(nghttp2_session_server_new3(&h2->session, shared->callbacks, h2, shared->option,
                                      &shared->mem.mem) == 0);
    connection->protocol = h2;
    connection->ops = &ops;
    h2_session_greet(h2);
    stream_set_handlers(connection->stream, &handlers);
    stream_want_write(connection->stream);
    settle(h2);
}

struct h2_shared *h2_shared_new(const struct http_limits *limits)
{
    struct h2_shared *shared = xcalloc(1, sizeof(*shared));

    h2_mem_init(&shared->mem);
    CHECK(nghttp2_session_callbacks_new(&shared->callbacks) == 0);
    CHECK(nghttp2_option_new(&shared->option) == 0);
    h2_session_set_callbacks(shared->callbacks);
    nghttp2_option_set_no_auto_window_update(shared->option, 1);
    nghttp2_option_set_no_closed_streams(shared->option, 1);
    nghttp2_option_set_max_settings(shared->option, limits->settings_max);
    nghttp2_option_set_max_continuations(shared->option, limits->continuation_max);
    nghttp2_option_set_max_outbound_ack(shared->option, limits->outbound_max);
    nghttp2_option_set_max_deflate_dynamic_table_size(shared->option, DEFLATE_TABLE_BYTES);
    return shared;
}

void h2_shared_destroy(struct h2_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_option_del(shared->option);
    h2_mem_clean_up(&shared->mem);
    xfree(shared);
}

size_t h2_shared_bytes(const struct h2_shared *shared)
{
    return shared->mem.used_bytes;
}
