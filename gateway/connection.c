/* SPDX-License-Identifier: Apache-2.0
 *
 * connection.c - one accepted connection, from its first byte to its last.
 *
 * Under TLS, ALPN decides: "h2" is HTTP/2, anything else that was agreed on, or nothing, is
 * HTTP/1.1.  In cleartext the first 24 bytes decide: only the preface of HTTP/2 is HTTP/2.  There
 * is no upgrade from one to the other.
 *
 * Invariant: a connection is on the list of idle ones exactly while it has no exchange and its
 *            protocol is known.
 * Memory:    freed in the stream's on_close.  Exchanges that a handler holds are detached before.
 * Time:      the steady clock, read once per event of the stream; the date of answers is ev_now().
 */
#include "gateway/connection.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/h1.h"
#include "gateway/h2.h"

enum { CONNECTION_MAGIC = 0x434f4e4e };

static const char preface[CONNECTION_PREFACE_BYTES + 1] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct connection *connection_of(struct stream *stream)
{
    struct connection *connection = stream_context(stream);

    CHECK_MAGIC(connection, CONNECTION_MAGIC);
    return connection;
}

static void speak_h1(struct connection *connection)
{
    connection->host->counts.open_h1++;
    list_append(&connection->host->idle, &connection->idle);
    h1_open(connection);
    if (connection->host->is_draining) {
        connection->ops->drain(connection);
    }
}

static void speak_h2(struct connection *connection)
{
    connection->host->counts.open_h2++;
    list_append(&connection->host->idle, &connection->idle);
    h2_open(connection);
    if (connection->host->is_draining) {
        connection->ops->drain(connection);
    }
}

static void on_open(struct stream *stream, struct slice alpn)
{
    struct connection *connection = connection_of(stream);

    connection->has_caller = stream_caller(stream, &connection->caller);
    if (slice_eq(alpn, SLICE("h2"))) {
        speak_h2(connection);
    } else if (stream_is_tls(stream)) {
        speak_h1(connection);
    } else {
        const uint64_t now_ms = moment_steady_ms();

        connection_set_alarm(connection, now_ms + connection->host->limits.head_timeout_ms, now_ms);
    }
}

/* Cleartext: gather bytes until they are the preface or cannot become it. */
static void on_first_bytes(struct stream *stream, struct slice bytes)
{
    struct connection *connection = connection_of(stream);
    const size_t known = connection->first_len;
    const size_t more = MIN_OF(bytes.len, CONNECTION_PREFACE_BYTES - known);
    struct slice first;

    memcpy(connection->first + known, bytes.data, more);
    connection->first_len += more;
    first = (struct slice){connection->first, connection->first_len};
    if (!slice_eq(first, slice_first(slice_of(preface), first.len))) {
        speak_h1(connection);
        if (known > 0) {
            h1_read(connection, slice_first(first, known));
        }
        h1_read(connection, bytes);
    } else if (connection->first_len == CONNECTION_PREFACE_BYTES) {
        speak_h2(connection);
        h2_read(connection, first);
        h2_read(connection, slice_from(bytes, more));
    }
}

static void on_early_timeout(struct stream *stream, enum stream_reason reason)
{
    struct connection *connection = connection_of(stream);

    (void)reason;
    connection->host->counts.timeouts++;
    stream_abort(stream);
}

static void on_early_close(struct stream *stream, enum stream_reason reason)
{
    struct connection *connection = connection_of(stream);

    log_debug("connection.close",
              LOG_SLICE("peer", ((struct slice){connection->peer, connection->peer_len})),
              LOG_TEXT("reason", stream_reason_name(reason)));
    connection_free(connection);
}

static const struct stream_handlers early_handlers = {
    .on_open = on_open,
    .on_read = on_first_bytes,
    .on_timeout = on_early_timeout,
    .on_close = on_early_close,
};

void connection_new(struct connection_host *host, struct stream_loop *streams, int fd,
                    struct tls_context *tls, struct slice peer)
{
    struct connection *connection = xcalloc(1, sizeof(*connection));
    const uint64_t now_ms = moment_steady_ms();
    const unsigned age_ms = host->limits.connection_age_max_ms;

    connection->magic = CONNECTION_MAGIC;
    connection->host = host;
    /* Jitter spreads the reconnects of peers that came together; it need not be unpredictable. */
    connection->retire_ms = now_ms + age_ms + host->counts.accepted * 7919 % (age_ms / 10 + 1);
    connection->peer_len = MIN_OF(peer.len, sizeof(connection->peer));
    memcpy(connection->peer, peer.data, connection->peer_len);
    list_init(&connection->idle);
    list_append(&host->all, &connection->all);
    host->count++;
    host->counts.accepted++;
    connection->stream = stream_accept(streams, fd, tls, &early_handlers, connection);
}

void connection_free(struct connection *connection)
{
    struct connection_host *host = connection->host;

    CHECK_MAGIC(connection, CONNECTION_MAGIC);
    CHECK(connection->exchange_count == 0);
    CHECK(host->count > 0);
    list_remove(&connection->all);
    list_remove(&connection->idle);
    host->count--;
    connection->magic = 0;
    xfree(connection);
    if (host->on_gone != NULL) {
        host->on_gone(host);
    }
}

struct exchange *connection_begin_exchange(struct connection *connection,
                                           const struct request_ops *ops)
{
    struct exchange *exchange = exchange_new(connection->host->pool, ops);

    exchange->connection = connection;
    exchange->request.peer = arena_copy(&exchange->request.arena,
                                        (struct slice){connection->peer, connection->peer_len});
    if (connection->has_caller) {
        struct tls_caller *caller = ARENA_NEW(&exchange->request.arena, struct tls_caller);

        *caller = connection->caller;
        exchange->request.caller = caller;
    }
    list_remove(&connection->idle);
    connection->exchange_count++;
    return exchange;
}

static void leave(struct exchange *exchange)
{
    struct connection *connection = exchange->connection;

    CHECK_MAGIC(connection, CONNECTION_MAGIC);
    CHECK(connection->exchange_count > 0);
    list_remove(&exchange->node);
    exchange->connection = NULL;
    if (--connection->exchange_count == 0) {
        list_append(&connection->host->idle, &connection->idle);
    }
}

void connection_end_exchange(struct exchange *exchange)
{
    CHECK(exchange->state != EXCHANGE_HANDLED);
    leave(exchange);
    exchange_free(exchange);
}

void connection_detach_exchange(struct exchange *exchange)
{
    CHECK(exchange->state == EXCHANGE_HANDLED);
    leave(exchange);
}

void connection_handle(struct exchange *exchange)
{
    struct connection_host *host = exchange->connection->host;

    CHECK(exchange->state == EXCHANGE_READING);
    exchange->state = EXCHANGE_HANDLED;
    host->counts.requests++;
    host->handler.on_request(host->handler.context, &exchange->request);
}

void connection_set_alarm(struct connection *connection, uint64_t at_ms, uint64_t now_ms)
{
    if (at_ms == 0 || at_ms > connection->retire_ms) {
        at_ms = connection->retire_ms;
    }
    if (at_ms == connection->alarm_ms) {
        return;
    }
    connection->alarm_ms = at_ms;
    if (at_ms == CONNECTION_NEVER) {
        stream_set_deadline(connection->stream, 0);
    } else {
        stream_set_deadline(connection->stream, at_ms > now_ms ? (unsigned)(at_ms - now_ms) : 1);
    }
}

void connection_clear_alarm(struct connection *connection)
{
    connection->alarm_ms = 0;
}

struct slice connection_date(struct connection_host *host)
{
    const time_t now_s = (time_t)ev_now(host->loop);
    struct tm parts;

    if (now_s != host->date_s) {
        host->date_s = now_s;
        CHECK(gmtime_r(&now_s, &parts) != NULL);
        CHECK(strftime(host->date, sizeof(host->date), "%a, %d %b %Y %H:%M:%S GMT", &parts) == 29);
    }
    return (struct slice){host->date, 29};
}
