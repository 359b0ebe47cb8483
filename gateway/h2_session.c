/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_session.c - what nghttp2 tells about one connection, and the answers it is given.
 *
 * A stream becomes an exchange when its HEADERS begin.  The handler starts only after the complete
 * body: a peer that opens and resets streams makes us parse, never work.  An answer may come before
 * the body has ended (a refusal, a timeout).  What still arrives is then dropped, up to
 * unwanted_max_bytes, and only past that the stream is closed with NO_ERROR: clients that meet a
 * reset while they send (curl, several SDKs) tell their user of a broken stream instead of the
 * answer.
 *
 * Flow control.  Bytes are consumed as they arrive, because what bounds memory is the quota of
 * exchange.c, not the window: to hold back the window of a connection whose streams are all
 * unfinished would wait for bytes that the window keeps out.  So the windows can be large.
 *
 * A reset that the peer provokes from us is a glitch; enough of them end the connection (h2.c).
 *
 * Invariant: on_stream_close never fails, because nghttp2 leaks the stream if it does.
 * Memory:    header values of an answer are not copied: they live in the exchange, which lives
 * until its stream has closed.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/h2_internal.h"

enum { GLITCHES_FORGIVEN_PER_S = 10, ANSWER_FIELDS_MAX = 4 };

static const char drain_ping[] = "weirstop"; /* eight bytes, as a PING has */

static struct h2 *h2_of(void *user_data)
{
    struct h2 *h2 = user_data;

    CHECK_MAGIC(h2, H2_MAGIC);
    return h2;
}

static struct exchange *find_exchange(struct h2 *h2, int32_t stream_id)
{
    if (h2->current == NULL || h2->current->stream_id != stream_id) {
        h2->current = nghttp2_session_get_stream_user_data(h2->session, stream_id);
    }
    return h2->current;
}

static const struct http_limits *limits_of(const struct h2 *h2)
{
    return &h2->connection->host->limits;
}

/* ---- answers ---- */

static nghttp2_nv field(struct slice name, struct slice value, uint8_t flags)
{
    /* nghttp2 takes the bytes without const and never writes them. */
    return (nghttp2_nv){
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the way around -Wcast-qual */
        .name = (uint8_t *)(uintptr_t)name.data,
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the same */
        .value = (uint8_t *)(uintptr_t)value.data,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = flags,
    };
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *room,
                         size_t room_len, uint32_t *data_flags, nghttp2_data_source *source,
                         void *user_data)
{
    struct exchange *exchange = source->ptr;
    const struct slice left =
        slice_first(slice_from(exchange->request.response.body, exchange->sent_bytes), room_len);

    (void)session;
    CHECK(exchange->stream_id == stream_id);
    memcpy(room, left.data, left.len);
    exchange->sent_bytes += left.len;
    exchange->moved_ms = h2_of(user_data)->now_ms;
    if (exchange->sent_bytes == exchange->request.response.body.len) {
        *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)left.len;
}

/* Fill `fields`, which has room for four and the extra ones; returns how many. */
static size_t compose_fields(struct h2 *h2, struct exchange *exchange, nghttp2_nv *fields)
{
    const uint8_t borrowed = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    const struct response *response = &exchange->request.response;
    struct arena *arena = &exchange->request.arena;
    size_t count = 0;

    fields[count++] = field(SLICE(":status"), arena_u64(arena, response->status), borrowed);
    fields[count++] = field(SLICE("date"), connection_date(h2->connection->host), borrowed);
    if (response->content_type.len > 0) {
        fields[count++] = field(SLICE("content-type"), response->content_type, borrowed);
    }
    if (response->status != 204 && response->status != 304) {
        fields[count++] =
            field(SLICE("content-length"), arena_u64(arena, response->body.len), borrowed);
    }
    for (size_t i = 0; i < response->header_count; i++) {
        /* Names are copied, which makes them lower case; values such as ids are not worth an
         * entry of the peer's table. */
        fields[count++] = field(response->headers[i].name, response->headers[i].value,
                                NGHTTP2_NV_FLAG_NO_COPY_VALUE | NGHTTP2_NV_FLAG_NO_INDEX);
    }
    return count;
}

void h2_session_answer(struct h2 *h2, struct exchange *exchange)
{
    struct response *response = &exchange->request.response;
    nghttp2_nv fields[ANSWER_FIELDS_MAX + ARRAY_LEN(response->headers)];
    nghttp2_data_provider provider = {.source = {.ptr = exchange}, .read_callback = read_body};
    size_t count;

    CHECK(exchange->state != EXCHANGE_SENDING);
    exchange->state = EXCHANGE_SENDING;
    exchange->moved_ms = h2->now_ms;
    list_remove(&exchange->node);
    list_append(&h2->sending, &exchange->node);
    count = compose_fields(h2, exchange, fields);
    if (exchange->is_head_method || response->status == 204 || response->status == 304) {
        response->body = (struct slice){NULL, 0};
    }
    /* Without a body there must be no provider, or the stream would stay open. */
    if (nghttp2_submit_response(h2->session, exchange->stream_id, fields, count,
                                response->body.len > 0 ? &provider : NULL) != 0) {
        (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream_id,
                                        NGHTTP2_INTERNAL_ERROR);
    }
    if (response->close) {
        h2_begin_drain(h2);
    }
    stream_want_write(h2->connection->stream);
}

static void respond(struct request *request)
{
    struct exchange *exchange = exchange_of(request);
    struct h2 *h2;

    CHECK(exchange->state == EXCHANGE_HANDLED);
    if (exchange->connection == NULL) {
        exchange_free(exchange);
        return;
    }
    h2 = h2_of(exchange->connection->protocol);
    h2_session_answer(h2, exchange);
}

static const struct request_ops request_ops = {.respond = respond};

/* ---- requests ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    struct exchange *exchange;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    exchange = connection_begin_exchange(h2->connection, &request_ops);
    exchange->stream_id = frame->hd.stream_id;
    exchange->begun_ms = h2->now_ms;
    exchange->request.is_http2 = true;
    list_append(&h2->reading, &exchange->node);
    h2->current = exchange;
    h2_resets_note_opened(&h2->resets, limits_of(h2), h2->now_ms);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, exchange);
}

static void add_pseudo_field(struct h2 *h2, struct exchange *exchange, struct slice name,
                             struct slice value)
{
    struct arena *arena = &exchange->request.arena;

    if (slice_eq(name, SLICE(":path"))) {
        if (value.len > limits_of(h2)->target_max_bytes) {
            exchange_refuse_head(exchange, 414, "the request target is too long");
        } else if (!exchange_set_target(exchange, arena_copy(arena, value))) {
            exchange_refuse_head(exchange, 400, "the request target is not a path");
        }
    } else if (slice_eq(name, SLICE(":method"))) {
        exchange->request.method = arena_copy(arena, value);
    } else if (slice_eq(name, SLICE(":authority")) && !exchange_set_authority(exchange, value)) {
        exchange_refuse_head(exchange, 400, "the authority is not a host name");
    }
}

static void note_field(struct exchange *exchange, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE("content-length"))) { /* the length first: cheap for all others */
        exchange->has_content_length = slice_to_u64(value, &exchange->content_length);
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    struct exchange *exchange = find_exchange(h2, frame->hd.stream_id);
    const struct http_limits *limits = limits_of(h2);
    const struct slice key = {(const char *)name, name_len};
    const struct slice text = {(const char *)value, value_len};

    (void)flags;
    if (exchange == NULL || exchange->state != EXCHANGE_READING) {
        return 0;
    }
    if (exchange->head_bytes + name_len + value_len > limits->head_max_bytes) {
        /* A few bytes of references can expand to megabytes: stop at once. */
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_ENHANCE_YOUR_CALM);
        exchange->head_bytes = limits->head_max_bytes;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) { /* trailers are counted and ignored */
        exchange->head_bytes += name_len + value_len;
        return 0;
    }
    if (name_len > 0 && name[0] == ':') {
        exchange->head_bytes += name_len + value_len;
        add_pseudo_field(h2, exchange, key, text);
        return 0;
    }
    exchange_add_field(exchange, limits, arena_copy(&exchange->request.arena, key),
                       arena_copy(&exchange->request.arena, text));
    note_field(exchange, key, text);
    return 0;
}

/* nghttp2 would drop such a field and go on; a request that we read otherwise than it was sent is
 * refused instead. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags,
                             void *user_data)
{
    struct exchange *exchange = find_exchange(h2_of(user_data), frame->hd.stream_id);

    (void)session;
    (void)name;
    (void)value;
    (void)flags;
    if (exchange != NULL) {
        exchange_refuse_head(exchange, 400, "a header field holds bytes that are not allowed");
    }
    return 0;
}

/* The authority may come as a Host field only (proxies), and as both if they agree. */
static void settle_authority(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    const struct slice host = header_value(request->headers, request->header_count, SLICE("host"));

    if (host.len == 0) {
        return;
    }
    if (request->authority.len == 0) {
        if (!exchange_set_authority(exchange, host)) {
            exchange_refuse_head(exchange, 400, "the host is not a host name");
        }
    } else if (!slice_eq_ignore_case(request->authority, host)) {
        exchange_refuse_head(exchange, 400, "the host is not the authority");
    }
}

static void end_body(struct h2 *h2, struct exchange *exchange)
{
    exchange_end_body(exchange);
    list_remove(&exchange->node);
    list_append(&h2->handled, &exchange->node);
    connection_handle(exchange);
}

static void send_continue(struct h2 *h2, const struct exchange *exchange)
{
    const nghttp2_nv status = field(SLICE(":status"), SLICE("100"),
                                    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);

    (void)nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, exchange->stream_id, NULL, &status,
                                 1, NULL);
}

static void end_head(struct h2 *h2, struct exchange *exchange, bool is_end)
{
    struct connection_host *host = h2->connection->host;
    struct request *request = &exchange->request;

    request->arrived_us = moment_steady_us();
    exchange->begun_ms = h2->now_ms;
    settle_authority(exchange);
    if (!exchange_accept_head(exchange, &host->handler, limits_of(h2))) {
        host->counts.bad_heads += exchange->refusal_status != 0 ? 1 : 0;
        h2_session_answer(h2, exchange);
    } else if (is_end) {
        end_body(h2, exchange);
    } else if (slice_eq_ignore_case(request_header(request, SLICE("expect")),
                                    SLICE("100-continue"))) {
        send_continue(h2, exchange);
    }
}

/* The body goes on although the answer was given: not for ever. */
static void drop_unwanted(struct h2 *h2, struct exchange *exchange, size_t len)
{
    const size_t max = limits_of(h2)->unwanted_max_bytes;
    const bool was_within = exchange->unwanted_bytes <= max;

    exchange->unwanted_bytes += len;
    if (was_within && exchange->unwanted_bytes > max) {
        (void)nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream_id,
                                        NGHTTP2_NO_ERROR);
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    struct exchange *exchange = find_exchange(h2, stream_id);

    (void)flags;
    if (exchange != NULL && exchange->state == EXCHANGE_SENDING) {
        drop_unwanted(h2, exchange, len);
    }
    if (exchange != NULL && exchange->state == EXCHANGE_READING) {
        const enum err err = exchange_add_body(exchange, (struct slice){(const char *)data, len});

        if (err != ERR_OK) {
            exchange_fill_error(exchange, err);
            h2_session_answer(h2, exchange);
        }
    }
    return nghttp2_session_consume(session, stream_id, len);
}

static void note_reset(struct h2 *h2, int32_t stream_id)
{
    /* A stream whose answer has left is closed by now: to reset it then is nobody's flood. */
    if (find_exchange(h2, stream_id) != NULL &&
        !h2_resets_note_reset(&h2->resets, limits_of(h2), h2->now_ms)) {
        h2->flood = "too many streams were reset";
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    const bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct exchange *exchange;

    (void)session;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        exchange = find_exchange(h2, frame->hd.stream_id);
        if (exchange == NULL || exchange->state != EXCHANGE_READING) {
            break;
        }
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            end_head(h2, exchange, is_end);
        } else if (is_end) {
            end_body(h2, exchange);
        }
        break;
    case NGHTTP2_RST_STREAM:
        note_reset(h2, frame->hd.stream_id);
        break;
    case NGHTTP2_SETTINGS:
        h2->has_settings = true;
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 && h2->drain == H2_NOTICE &&
            slice_eq((struct slice){(const char *)frame->ping.opaque_data, 8},
                     slice_of(drain_ping))) {
            h2_finish_drain(h2);
        }
        break;
    default:
        break;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    struct exchange *exchange = nghttp2_session_get_stream_user_data(session, stream_id);

    (void)error_code;
    h2->current = NULL;
    if (exchange == NULL) {
        return 0;
    }
    if (exchange->state == EXCHANGE_HANDLED) {
        connection_detach_exchange(exchange);
    } else {
        connection_end_exchange(exchange);
    }
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct h2 *h2 = h2_of(user_data);
    const unsigned glitch_max = limits_of(h2)->glitch_max;

    (void)session;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        if (frame->rst_stream.error_code == NGHTTP2_NO_ERROR) {
            return 0;
        }
        if (!h2_bucket_take(&h2->glitches, glitch_max, GLITCHES_FORGIVEN_PER_S, h2->now_ms)) {
            h2->flood = "too many streams had to be reset";
        } else if (h2_bucket_left(&h2->glitches, glitch_max) < glitch_max / 4) {
            h2_begin_drain(h2);
        }
    }
    return 0;
}

void h2_session_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

void h2_session_greet(struct h2 *h2)
{
    const struct http_limits *limits = limits_of(h2);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->stream_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->window_bytes},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->head_max_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    CHECK(nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ==
          0);
    CHECK(nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                (int32_t)limits->window_bytes) == 0);
}

void h2_begin_drain(struct h2 *h2)
{
    if (h2->drain != H2_RUNNING || h2->is_stopped) {
        return;
    }
    h2->drain = H2_NOTICE;
    h2->drain_ms = h2->now_ms;
    h2->connection->retire_ms = CONNECTION_NEVER;
    (void)nghttp2_submit_shutdown_notice(h2->session);
    (void)nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, (const uint8_t *)drain_ping);
    stream_want_write(h2->connection->stream);
}

void h2_finish_drain(struct h2 *h2)
{
    CHECK(h2->drain == H2_NOTICE);
    h2->drain = H2_FINAL;
    (void)nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(h2->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    stream_want_write(h2->connection->stream);
}
