/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - the life of a connection: handshake, bytes both ways, goodbye.
 *
 * The happy path:
 *
 *     HANDSHAKE ──on_open──> OPEN ──stream_close()──> CLOSING ──all sent──> LINGERING ──> DEAD
 *         └─────────────────────┴──── any failure, stream_abort() ─┴────────────┴───────────┘
 *
 * One that we open is CONNECTING first (stream_connect.c), and then goes the same way.
 *
 * LINGERING has no owner any more (on_close was called): it only reads and forgets, because
 * closing a socket with unread bytes sends a reset that can destroy our last answer on its way.
 *
 * Work is put off to the end of the loop turn.  Whoever wants something (write, read what TLS
 * already holds, tell the owner of the end) puts the stream on the loop's work list; an ev_prepare
 * runs the list once before the loop sleeps, and an ev_idle keeps it from sleeping while something
 * is left.  So a turn costs at most one write per connection however many answers became ready, and
 * no handler runs inside a stream_* call.
 *
 * Invariant: a DEAD stream is on the work list and nowhere else, and is freed there.
 * Memory:    the stream owns descriptor, TLS connection and unsent bytes; the rooms are the loop's.
 */
#include "core/stream_internal.h"

#include <signal.h>
#include <openssl/ssl.h>

#include "core/check.h"
#include "core/tls.h"

void stream_count(const struct stream *stream, enum stats_counter counter)
{
    if (stream->loop->options.stats != NULL) {
        stats_count(stream->loop->options.stats, counter, 1);
    }
}

/* ---- the work list and the watcher ---- */

void stream_put_to_work(struct stream *stream)
{
    struct stream_loop *loop = stream->loop;

    if (!list_is_linked(&stream->work_node)) {
        list_append(&loop->work, &stream->work_node);
        ev_idle_start(loop->options.loop, &loop->idle);
    }
}

bool stream_is_reading(const struct stream *stream)
{
    return stream->state != DEAD && !stream->is_peer_ended && !stream->is_paused;
}

void stream_watch(struct stream *stream)
{
    struct ev_loop *loop = stream->loop->options.loop;
    const int wanted =
        (stream_is_reading(stream) ? EV_READ : 0) | (stream->is_blocked ? EV_WRITE : 0);

    if (ev_is_active(&stream->io) && (stream->io.events & (EV_READ | EV_WRITE)) == wanted) {
        return;
    }
    ev_io_stop(loop, &stream->io);
    if (wanted != 0 && stream->state != DEAD) {
        ev_io_set(&stream->io, stream->wire.fd, wanted);
        ev_io_start(loop, &stream->io);
    }
}

void stream_begin_closing(struct stream *stream, enum stream_reason reason)
{
    const struct stream_loop *loop = stream->loop;

    stream->state = CLOSING;
    stream->reason = reason;
    stream->is_paused = false;
    stream->deadline_tick =
        loop->tick + CLOSING_STALLS * stream_ticks(loop, loop->options.stall_timeout_ms);
    stream->wants_write = true;
    stream_plan_check(stream);
    stream_put_to_work(stream);
    stream_watch(stream);
}

void stream_end(struct stream *stream, enum stream_reason reason)
{
    if (stream->state == DEAD) {
        return;
    }
    if (stream->state == HANDSHAKE && stream->tls != NULL) {
        stream_count(stream, STATS_HANDSHAKES_FAILED);
    }
    stream_dial_end(stream);
    stream->state = DEAD;
    stream->reason = reason;
    stream->is_blocked = false;
    stream_watch(stream);
    list_remove(&stream->wheel_node);
    stream_put_to_work(stream);
}

void stream_tell_close(struct stream *stream)
{
    if (stream->is_owned) {
        stream->is_owned = false;
        stream->handlers->on_close(stream, stream->reason);
    }
}

static void release(struct stream *stream)
{
    struct stream_loop *loop = stream->loop;

    CHECK(stream->state == DEAD);
    stream_tell_close(stream);
    stream_count(stream, STATS_CONNECTIONS_CLOSED);
    list_remove(&stream->work_node); /* on_close may have asked for something */
    wire_clean_up(&stream->wire);
    tls_context_release(stream->tls);
    buf_clean_up(&stream->unsent);
    stream->magic = 0;
    free(stream);
    if (--loop->count == 0) {
        ev_timer_stop(loop->options.loop, &loop->tick_timer);
    }
}

/* ---- what the loop calls ---- */

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    struct stream *stream = CONTAINER_OF(io, struct stream, io);

    (void)ev;
    if (stream->state == HANDSHAKE) {
        if (stream->tls != NULL) {
            stream_shake_hands(stream);
        }
        return; /* cleartext opens from the work list, before it reads */
    }
    if ((events & EV_WRITE) != 0) {
        stream->is_blocked = false;
        stream->wants_write = true;
        stream->wants_read = wire_has_more(&stream->wire); /* TLS may have waited to answer */
        stream_watch(stream);
        stream_put_to_work(stream);
    }
    if ((events & EV_READ) != 0 && stream_is_reading(stream)) {
        if (stream->state == OPEN) {
            stream_read_some(stream);
        } else {
            stream_drop(stream);
        }
    }
}

static bool take(bool *wish)
{
    const bool was = *wish;

    *wish = false;
    return was;
}

/* Reading comes first, so that what a request asks to be written leaves in the same turn. */
static void work_on(struct stream *stream)
{
    if (stream->state == HANDSHAKE && stream->tls == NULL) {
        stream_open_up(stream);
    }
    if (take(&stream->wants_read) && stream->state == OPEN && stream_is_reading(stream)) {
        stream_read_some(stream);
    }
    if (take(&stream->wants_write) && !stream->is_blocked &&
        (stream->state == OPEN || stream->state == CLOSING)) {
        stream_flush(stream);
    }
    if (stream->state == DEAD) {
        release(stream);
    } else if (!stream->wants_read && !stream->wants_write) {
        list_remove(&stream->work_node); /* asked for in here, and done in here */
    }
}

static void run_work(struct stream_loop *loop)
{
    struct list work;
    struct list *node;

    list_init(&work);
    list_splice(&work, &loop->work); /* what is added meanwhile waits for the next turn */
    while ((node = list_take_first(&work)) != NULL) {
        work_on(CONTAINER_OF(node, struct stream, work_node));
    }
}

static void on_prepare(struct ev_loop *ev, ev_prepare *prepare, int events)
{
    struct stream_loop *loop = CONTAINER_OF(prepare, struct stream_loop, prepare);

    (void)events;
    run_work(loop);
    if (list_is_empty(&loop->work)) {
        ev_idle_stop(ev, &loop->idle);
    }
}

static void on_idle(struct ev_loop *ev, ev_idle *idle, int events)
{
    (void)ev;
    (void)idle;
    (void)events; /* it is enough that the loop did not sleep */
}

/* ---- for the owner ---- */

struct stream *stream_new(struct stream_loop *loop, enum stream_state state,
                          struct tls_context *tls, const struct stream_handlers *handlers,
                          void *context)
{
    struct stream *stream = xcalloc(1, sizeof(*stream));

    CHECK(handlers->on_read != NULL);
    CHECK(handlers->on_close != NULL);
    *stream = (struct stream){
        .magic = STREAM_MAGIC,
        .state = state,
        .loop = loop,
        .handlers = handlers,
        .context = context,
        .wire = {.fd = -1},
        .begin_tick = loop->tick,
        .touched_tick = loop->tick,
        .is_owned = true,
    };
    if (tls != NULL) {
        stream->tls = tls_context_acquire(tls);
    }
    buf_init(&stream->unsent, loop->options.unsent_max + STREAM_WRITE_BYTES);
    list_init(&stream->work_node);
    list_init(&stream->wheel_node);
    ev_io_init(&stream->io, on_io, -1, EV_READ);
    if (loop->count++ == 0) {
        ev_timer_again(loop->options.loop, &loop->tick_timer);
    }
    stream_plan_check(stream);
    return stream;
}

void stream_begin(struct stream *stream, int fd, SSL *ssl)
{
    stream->state = HANDSHAKE;
    wire_init(&stream->wire, fd, ssl);
    ev_io_set(&stream->io, fd, EV_READ);
    stream_watch(stream);
    if (ssl == NULL) {
        stream_put_to_work(stream);
    }
}

struct stream *stream_accept(struct stream_loop *loop, int fd, struct tls_context *tls,
                             const struct stream_handlers *handlers, void *context)
{
    struct stream *stream = stream_new(loop, HANDSHAKE, tls, handlers, context);

    stream_begin(stream, fd, tls != NULL ? tls_session_new(tls) : NULL);
    return stream;
}

void *stream_context(const struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream->context;
}

void stream_set_context(struct stream *stream, void *context)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    stream->context = context;
}

void stream_set_handlers(struct stream *stream, const struct stream_handlers *handlers)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    CHECK(handlers->on_read != NULL);
    CHECK(handlers->on_close != NULL);
    stream->handlers = handlers;
}

void stream_want_write(struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state == OPEN || stream->state == CLOSING) {
        stream->wants_write = true;
        if (!stream->is_blocked) {
            stream_put_to_work(stream);
        }
    }
}

enum err stream_write(struct stream *stream, struct slice bytes)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state != OPEN) {
        return ERR_OK;
    }
    if (bytes.len > stream->loop->options.unsent_max ||
        stream->unsent.len > stream->loop->options.unsent_max - bytes.len) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_append(&stream->unsent, bytes));
    stream_want_write(stream);
    return ERR_OK;
}

size_t stream_unsent(const struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream->unsent.len;
}

void stream_pause(struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state == OPEN) {
        stream->is_paused = true;
        stream_watch(stream);
    }
}

void stream_resume(struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state != OPEN || !stream->is_paused) {
        return;
    }
    stream->is_paused = false;
    stream_watch(stream);
    if (wire_has_more(&stream->wire)) {
        stream->wants_read = true;
        stream_put_to_work(stream);
    }
}

void stream_set_deadline(struct stream *stream, unsigned timeout_ms)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state != OPEN) {
        return;
    }
    stream->deadline_tick =
        timeout_ms != 0 ? stream->loop->tick + stream_ticks(stream->loop, timeout_ms) : 0;
    if (timeout_ms != 0) {
        stream_plan_check(stream);
    }
}

void stream_close(struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state == CONNECTING || stream->state == HANDSHAKE) {
        stream_end(stream, STREAM_ABORTED);
    } else if (stream->state == OPEN) {
        stream_begin_closing(stream, STREAM_CLOSED);
    }
}

void stream_abort(struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    if (stream->state != LINGERING) {
        stream_end(stream, STREAM_ABORTED);
    }
}

bool stream_is_resumed(const struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream->wire.ssl != NULL && SSL_session_reused(stream->wire.ssl) == 1;
}

bool stream_is_tls(const struct stream *stream)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream->wire.ssl != NULL;
}

bool stream_caller(const struct stream *stream, struct tls_caller *caller)
{
    CHECK_MAGIC(stream, STREAM_MAGIC);
    return stream->wire.ssl != NULL && tls_caller_of(stream->wire.ssl, caller);
}

const char *stream_reason_name(enum stream_reason reason)
{
    static const char *const names[STREAM_REASON_COUNT] = {
        [STREAM_CLOSED] = "closed",
        [STREAM_ABORTED] = "aborted",
        [STREAM_PEER_GONE] = "peer_gone",
        [STREAM_UNREACHABLE] = "unreachable",
        [STREAM_HANDSHAKE_FAILED] = "handshake_failed",
        [STREAM_HANDSHAKE_TIMEOUT] = "handshake_timeout",
        [STREAM_STALLED] = "stalled",
        [STREAM_IDLE] = "idle",
        [STREAM_DEADLINE] = "deadline",
        [STREAM_BROKEN] = "broken",
        [STREAM_STOPPED] = "stopped",
    };

    CHECK((unsigned)reason < STREAM_REASON_COUNT);
    return names[reason];
}

/* ---- the loop ---- */

struct stream_loop_options stream_loop_defaults(struct ev_loop *loop)
{
    return (struct stream_loop_options){
        .loop = loop,
        .unsent_max = 262144,
        .handshake_timeout_ms = 5000,
        .stall_timeout_ms = 10000,
        .idle_timeout_ms = 60000,
        .linger_timeout_ms = 2000,
        .tick_ms = 1000,
    };
}

struct stream_loop *stream_loop_new(const struct stream_loop_options *options)
{
    struct stream_loop *loop = xcalloc(1, sizeof(*loop));

    CHECK(options->loop != NULL);
    CHECK(options->tick_ms > 0);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* OpenSSL writes without MSG_NOSIGNAL */
    loop->options = *options;
    list_init(&loop->work);
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&loop->wheel[i]);
    }
    ev_prepare_init(&loop->prepare, on_prepare);
    ev_idle_init(&loop->idle, on_idle);
    ev_timer_init(&loop->tick_timer, stream_on_tick, 0, options->tick_ms / 1000.0);
    ev_prepare_start(options->loop, &loop->prepare);
    ev_unref(options->loop); /* it alone keeps no loop alive */
    return loop;
}

void stream_loop_destroy(struct stream_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        LIST_FOREACH (node, &loop->wheel[i]) {
            stream_end(CONTAINER_OF(node, struct stream, wheel_node), STREAM_STOPPED);
        }
    }
    run_work(loop);
    CHECK(loop->count == 0);
    ev_ref(loop->options.loop);
    ev_prepare_stop(loop->options.loop, &loop->prepare);
    ev_idle_stop(loop->options.loop, &loop->idle);
    ev_timer_stop(loop->options.loop, &loop->tick_timer);
    free(loop);
}

size_t stream_loop_count(const struct stream_loop *loop)
{
    return loop->count;
}
