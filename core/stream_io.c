/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_io.c - a stream's bytes: the handshake, what arrives, what leaves, the last word.
 *
 * Writing: what is queued and what on_write gives are gathered in one room of the loop and leave in
 * one write.  What the socket does not take is kept in `unsent`, EV_WRITE is armed, and nothing is
 * gathered until it fires.  TLS wants a refused write repeated with the same bytes in front; they
 * are, because they went to the front of `unsent`.
 *
 * Every step may call a handler, and a handler may end the stream.  An ended stream stays in memory
 * until the end of the turn, so a step only has to look at the state after it called one.
 */
#include "core/stream_internal.h"

#include <openssl/ssl.h>

#include "core/check.h"

/* Wait for the socket to take more. */
static void block(struct stream *stream)
{
    stream->is_blocked = true;
    stream_plan_check(stream);
    stream_watch(stream);
}

/* ---- the beginning ---- */

void stream_open_up(struct stream *stream)
{
    struct slice alpn = {NULL, 0};

    if (stream->wire.ssl != NULL) {
        const unsigned char *name = NULL;
        unsigned len = 0;

        SSL_get0_alpn_selected(stream->wire.ssl, &name, &len);
        alpn = (struct slice){(const char *)name, len};
        stream_count(stream, SSL_session_reused(stream->wire.ssl) == 1 ? STATS_HANDSHAKES_RESUMED
                                                                       : STATS_HANDSHAKES_FULL);
    }
    stream->state = OPEN;
    stream->is_blocked = false;
    stream_touch(stream);
    if (stream->handlers->on_open != NULL) {
        stream->handlers->on_open(stream, alpn);
    }
    if (wire_has_more(&stream->wire)) { /* the first request came with the last handshake message */
        stream->wants_read = true;
        stream_put_to_work(stream);
    }
    stream_watch(stream);
}

void stream_shake_hands(struct stream *stream)
{
    switch (wire_handshake(&stream->wire)) {
    case WIRE_OK:
        stream_open_up(stream);
        break;
    case WIRE_WANT_READ:
        stream->is_blocked = false;
        stream_watch(stream);
        break;
    case WIRE_WANT_WRITE:
        block(stream);
        break;
    case WIRE_END:
    case WIRE_GONE:
    case WIRE_BROKEN:
        stream_end(stream, STREAM_HANDSHAKE_FAILED);
        break;
    }
}

/* ---- reading ---- */

static void hear_end(struct stream *stream)
{
    stream->is_peer_ended = true;
    stream_watch(stream);
    if (stream->state == LINGERING) {
        stream_end(stream, STREAM_CLOSED);
    } else if (stream->state == OPEN) {
        if (stream->handlers->on_end != NULL) {
            stream->handlers->on_end(stream);
        } else {
            stream_begin_closing(stream, STREAM_PEER_GONE);
        }
    }
}

/* After our last word nothing is listened to, but it is taken from the socket.  Twice, because the
 * peer's goodbye and its end usually come together. */
void stream_drop(struct stream *stream)
{
    enum wire_outcome outcome = WIRE_OK;

    for (unsigned i = 0; i < 2 && outcome == WIRE_OK; i++) {
        size_t len;

        outcome = wire_drop(&stream->wire, stream->loop->read_room, STREAM_READ_BYTES, &len);
        stream->dropped_bytes += len;
    }
    if (outcome == WIRE_END) {
        hear_end(stream);
    } else if (outcome == WIRE_GONE) {
        stream_end(stream, STREAM_PEER_GONE);
    } else if (stream->dropped_bytes > LINGER_MAX_BYTES) {
        stream_end(stream, STREAM_ABORTED);
    }
}

void stream_read_some(struct stream *stream)
{
    char *room = stream->loop->read_room;
    size_t len;

    switch (wire_read(&stream->wire, room, STREAM_READ_BYTES, &len)) {
    case WIRE_OK:
        stream_touch(stream);
        stream->handlers->on_read(stream, (struct slice){room, len});
        if (stream_is_reading(stream) && wire_has_more(&stream->wire)) {
            stream->wants_read = true;
            stream_put_to_work(stream);
        }
        break;
    case WIRE_WANT_READ:
        break;
    case WIRE_WANT_WRITE: /* TLS has to answer something itself */
        block(stream);
        break;
    case WIRE_END:
        hear_end(stream);
        break;
    case WIRE_GONE:
        stream_end(stream, STREAM_PEER_GONE);
        break;
    case WIRE_BROKEN:
        stream_end(stream, STREAM_BROKEN);
        break;
    }
}

/* ---- writing ---- */

/* Everything was sent: say goodbye, let the owner go, and wait for the peer to end its side. */
static void begin_lingering(struct stream *stream)
{
    wire_say_end(&stream->wire);
    stream->state = LINGERING;
    stream->begin_tick = stream->loop->tick;
    stream->deadline_tick = 0;
    stream_tell_close(stream);
    if (stream->is_peer_ended) {
        stream_end(stream, STREAM_CLOSED);
        return;
    }
    stream_plan_check(stream);
    stream_watch(stream);
}

/* Put up to a room's worth into the loop's room: first what is queued, then what the owner gives.
 * *has_more: the room was too small to tell that this is all. */
static size_t gather(struct stream *stream, size_t *queued_len, bool *has_more)
{
    char *room = stream->loop->write_room;
    const size_t waiting = stream->unsent.len;
    const size_t queued = MIN_OF(waiting, (size_t)STREAM_WRITE_BYTES);
    size_t pulled = 0;

    if (queued > 0) {
        memcpy(room, stream->unsent.data, queued);
    }
    if (queued < STREAM_WRITE_BYTES && stream->handlers->on_write != NULL) {
        const size_t left = STREAM_WRITE_BYTES - queued;

        pulled = stream->handlers->on_write(stream, room + queued, left);
        CHECK(pulled <= left);
        CHECK(stream->unsent.len == waiting); /* on_write must not stream_write() */
    }
    *queued_len = queued;
    *has_more = queued + pulled == STREAM_WRITE_BYTES;
    return queued + pulled;
}

/* Keep what was gathered and not sent. */
static void settle(struct stream *stream, size_t queued_len, size_t gathered_len, size_t sent_len)
{
    struct buf *unsent = &stream->unsent;
    const size_t from = MAX_OF(sent_len, queued_len);

    buf_consume(unsent, MIN_OF(sent_len, queued_len));
    if (from < gathered_len) {
        const struct slice rest = {stream->loop->write_room + from, gathered_len - from};

        CHECK(buf_append(unsent, rest) == ERR_OK); /* its maximum leaves space for one room */
    }
    if (unsent->len == 0) {
        buf_clean_up(unsent); /* most connections wait; let them be small */
    }
}

static void tell_drained(struct stream *stream)
{
    if (stream->state == CLOSING) {
        begin_lingering(stream);
    } else if (stream->has_fed) {
        stream->has_fed = false;
        if (stream->handlers->on_drained != NULL) {
            stream->handlers->on_drained(stream);
        }
    }
}

/* One write. */
void stream_flush(struct stream *stream)
{
    size_t queued_len;
    size_t sent_len = 0;
    bool has_more;
    enum wire_outcome outcome;
    const size_t gathered_len = gather(stream, &queued_len, &has_more);

    if (stream->state == DEAD) { /* on_write aborted it */
        return;
    }
    if (gathered_len == 0) {
        tell_drained(stream);
        return;
    }
    outcome = wire_write(&stream->wire, (struct slice){stream->loop->write_room, gathered_len},
                         &sent_len);
    settle(stream, queued_len, gathered_len, sent_len);
    if (outcome == WIRE_OK) {
        stream_touch(stream);
        stream->has_fed = true;
    }
    stream->progress_tick = stream->loop->tick;

    if (outcome == WIRE_GONE || outcome == WIRE_END) {
        stream_end(stream, STREAM_PEER_GONE);
    } else if (outcome == WIRE_BROKEN) {
        stream_end(stream, STREAM_BROKEN);
    } else if (outcome != WIRE_OK || sent_len < gathered_len) {
        block(stream);
    } else if (has_more) {
        stream->wants_write = true;
        stream_put_to_work(stream);
    } else {
        tell_drained(stream);
    }
}
