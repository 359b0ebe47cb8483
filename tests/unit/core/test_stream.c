/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream.c - each story of a connection, told three times: cleartext, TLS 1.2 and TLS 1.3.
 *
 * The server side runs on a loop in this thread, the client is a script in another.  A story is
 * over when the script has returned and the stream is gone.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/stats.h"
#include "core/stream.h"
#include "core/tls.h"
#include "tests/lib/certificate.h"
#include "tests/lib/peer.h"

enum { TICK_MS = 5, SOON_MS = 50, BIG = 1500000 };

enum kind { CLEAR, TLS12, TLS13, KIND_COUNT };
static const char *const kind_names[KIND_COUNT] = {"cleartext", "TLS 1.2", "TLS 1.3"};

typedef void (*script_fn)(struct peer *peer);

/* What the server side saw and what it is to do. */
struct story {
    struct ev_loop *ev;
    struct stream_loop *loop;
    ev_async script_over;
    ev_timer too_long;
    struct stream *stream;
    struct peer peer;
    script_fn script;

    unsigned open_count;
    size_t read_bytes;
    size_t to_write; /* by on_write */
    unsigned write_calls;
    unsigned end_count;
    unsigned drained_count;
    unsigned timeout_count;
    enum stream_reason timeout_reason;
    unsigned close_count;
    enum stream_reason reason;
    size_t unsent_seen;
    struct stats *stats;
    uint64_t full_count;
    uint64_t failed_count;
    bool is_script_over;
};

static struct certificate certificate;
static struct tls_context *tls;
static SSL_CTX *client_tls;
static char big[BIG];

static struct story *story_of(struct stream *stream)
{
    return stream_context(stream);
}

static void stop_when_told(struct story *story)
{
    if (story->is_script_over && story->close_count > 0 && stream_loop_count(story->loop) == 0) {
        ev_break(story->ev, EVBREAK_ALL);
    }
}

/* ---- handlers ---- */

static void note_open(struct stream *stream, struct slice alpn)
{
    (void)alpn;
    story_of(stream)->open_count++;
}

static void count_bytes(struct stream *stream, struct slice bytes)
{
    story_of(stream)->read_bytes += bytes.len;
}

static void note_close(struct stream *stream, enum stream_reason reason)
{
    struct story *story = story_of(stream);

    story->close_count++;
    story->reason = reason;
}

static void note_timeout(struct stream *stream, enum stream_reason reason)
{
    story_of(stream)->timeout_count++;
    story_of(stream)->timeout_reason = reason;
    stream_close(stream);
}

static void echo(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    assert_int_equal(stream_write(stream, bytes), ERR_OK);
}

static void answer_and_close(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    assert_int_equal(stream_write(stream, SLICE("HTTP/1.1 413 Too Large\r\n\r\n")), ERR_OK);
    stream_close(stream);
}

static void answer_at_end(struct stream *stream)
{
    story_of(stream)->end_count++;
    assert_int_equal(stream_write(stream, SLICE("goodbye")), ERR_OK);
    stream_close(stream);
}

static size_t pour(struct stream *stream, char *room, size_t room_len)
{
    struct story *story = story_of(stream);
    const size_t len = MIN_OF(room_len, story->to_write);

    assert_true(room_len <= STREAM_WRITE_BYTES);
    memset(room, 'p', len);
    story->to_write -= len;
    story->write_calls++;
    return len;
}

static void pour_much(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    story_of(stream)->to_write = BIG;
    stream_want_write(stream);
    stream_want_write(stream);
    assert_int_equal(story_of(stream)->write_calls, 0); /* later, never in here */
}

static void close_when_drained(struct stream *stream)
{
    struct story *story = story_of(stream);

    story->drained_count++;
    story->unsent_seen = stream_unsent(stream);
    stream_close(stream);
}

/* Queue until the limit says no; then wait for the stall. */
static void write_to_the_limit(struct stream *stream, struct slice bytes)
{
    const struct slice piece = {big, 10000};

    count_bytes(stream, bytes);
    while (stream_write(stream, piece) == ERR_OK) {
        continue;
    }
    story_of(stream)->unsent_seen = stream_unsent(stream);
}

static void write_much_and_close(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    assert_int_equal(stream_write(stream, (struct slice){big, 390000}), ERR_OK);
    stream_close(stream);
    assert_int_equal(stream_write(stream, bytes), ERR_OK); /* too late, and harmless */
}

static size_t abort_instead(struct stream *stream, char *room, size_t room_len)
{
    memset(room, 'a', room_len);
    stream_abort(stream);
    return room_len;
}

static void want_write(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    stream_want_write(stream);
}

static void pour_without_end(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    story_of(stream)->to_write = SIZE_MAX;
    stream_want_write(stream);
}

static void abort_it(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    stream_abort(stream);
    stream_abort(stream);
    assert_int_equal(story_of(stream)->close_count, 0); /* later, never in here */
    assert_int_equal(stream_write(stream, bytes), ERR_OK);
    stream_want_write(stream);
    stream_close(stream);
    stream_pause(stream);
    stream_resume(stream);
    stream_set_deadline(stream, 1);
}

/* Stop reading at the first bytes; the deadline ends the pause. */
static void pause_once(struct stream *stream, struct slice bytes)
{
    struct story *story = story_of(stream);

    assert_true(story->timeout_count > 0 || story->read_bytes == 0);
    count_bytes(stream, bytes);
    if (story->timeout_count == 0) {
        stream_pause(stream);
        stream_set_deadline(stream, 4 * TICK_MS);
    }
}

static void resume(struct stream *stream, enum stream_reason reason)
{
    assert_int_equal(reason, STREAM_DEADLINE);
    story_of(stream)->timeout_count++;
    stream_resume(stream);
}

/* Go quiet for longer than TLS keeps its buffers, then speak. */
static void speak_later(struct stream *stream, struct slice bytes)
{
    count_bytes(stream, bytes);
    stream_set_deadline(stream, 8 * TICK_MS);
}

static void speak(struct stream *stream, enum stream_reason reason)
{
    assert_int_equal(reason, STREAM_DEADLINE);
    story_of(stream)->timeout_count++;
    assert_int_equal(stream_write(stream, SLICE("!")), ERR_OK);
}

static void set_deadline(struct stream *stream, struct slice alpn)
{
    note_open(stream, alpn);
    stream_set_deadline(stream, SOON_MS);
}

static void clear_deadline(struct stream *stream, struct slice alpn)
{
    set_deadline(stream, alpn);
    stream_set_deadline(stream, 0);
}

/* ---- the stage ---- */

static void *run_script(void *argument)
{
    struct story *story = argument;

    story->script(&story->peer);
    if (!story->peer.stays) {
        peer_close(&story->peer);
    }
    ev_async_send(story->ev, &story->script_over);
    return NULL;
}

static void on_script_over(struct ev_loop *ev, ev_async *async, int events)
{
    struct story *story = CONTAINER_OF(async, struct story, script_over);

    (void)ev;
    (void)events;
    story->is_script_over = true;
}

static void on_prepare(struct ev_loop *ev, ev_prepare *prepare, int events)
{
    (void)ev;
    (void)events;
    stop_when_told(prepare->data);
}

static void on_too_long(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
    check_failed("the story ends", __FILE__, __LINE__);
}

static void connect_peer(struct story *story, enum kind kind,
                         const struct stream_handlers *handlers)
{
    const int fd = peer_pair(&story->peer.fd);
    const int small = 16384;

    /* The kernel would take megabytes by itself, and no write would ever have to wait. */
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    story->peer.ssl = NULL;
    if (kind != CLEAR) {
        const int version = kind == TLS12 ? TLS1_2_VERSION : TLS1_3_VERSION;

        story->peer.ssl = SSL_new(client_tls);
        CHECK(SSL_set_min_proto_version(story->peer.ssl, version) == 1);
        CHECK(SSL_set_max_proto_version(story->peer.ssl, version) == 1);
        CHECK(SSL_set_fd(story->peer.ssl, story->peer.fd) == 1);
    }
    story->stream = stream_accept(story->loop, fd, kind != CLEAR ? tls : NULL, handlers, story);
}

static struct stream_loop_options options_for(struct ev_loop *ev)
{
    struct stream_loop_options options = stream_loop_defaults(ev);

    options.tick_ms = TICK_MS;
    return options;
}

/* Play `script` against `handlers`; what happened is in the story that is returned. */
static struct story play(enum kind kind, const struct stream_handlers *handlers, script_fn script,
                         void (*adjust)(struct stream_loop_options *options))
{
    struct story story = {.ev = ev_loop_new(EVFLAG_AUTO), .script = script};
    struct stream_loop_options options = options_for(story.ev);
    ev_prepare prepare;
    pthread_t thread;

    if (adjust != NULL) {
        adjust(&options);
    }
    options.stats = story.stats = stats_new();
    story.loop = stream_loop_new(&options);
    ev_async_init(&story.script_over, on_script_over);
    ev_async_start(story.ev, &story.script_over);
    ev_timer_init(&story.too_long, on_too_long, 60, 0);
    ev_timer_start(story.ev, &story.too_long);
    ev_prepare_init(&prepare, on_prepare);
    prepare.data = &story;
    ev_set_priority(&prepare, EV_MINPRI); /* after the streams' own */
    connect_peer(&story, kind, handlers);
    ev_prepare_start(story.ev, &prepare);
    CHECK(pthread_create(&thread, NULL, run_script, &story) == 0);
    ev_run(story.ev, 0);
    CHECK(pthread_join(thread, NULL) == 0);
    peer_close(&story.peer);

    stream_loop_destroy(story.loop);
    ev_loop_destroy(story.ev);
    assert_int_equal(story.close_count, 1);
    assert_int_equal(story.stats->totals[STATS_CONNECTIONS_CLOSED], 1);
    story.full_count = story.stats->totals[STATS_HANDSHAKES_FULL];
    story.failed_count = story.stats->totals[STATS_HANDSHAKES_FAILED];
    stats_destroy(story.stats);
    return story;
}

static void expect(enum kind kind, const struct story *story, enum stream_reason reason)
{
    if (story->reason != reason) {
        fail_msg("%s: ended as %s, not %s", kind_names[kind], stream_reason_name(story->reason),
                 stream_reason_name(reason));
    }
}

/* ---- scripts and tests ---- */

static void send_and_hear_it_again(struct peer *peer)
{
    static char heard[BIG];
    const size_t piece_len = 50000;
    size_t at = 0;

    CHECK(peer_shake_hands(peer));
    for (size_t sent = 0; sent < BIG; sent += piece_len) {
        CHECK(peer_send(peer, (struct slice){big + sent, piece_len}));
        while (at < sent + piece_len) {
            const ssize_t count = peer_receive(peer, heard + at, BIG - at);

            CHECK(count > 0);
            at += (size_t)count;
        }
    }
    CHECK(memcmp(heard, big, BIG) == 0);
    peer_end(peer);
    CHECK(peer_receive_all(peer) == 0);
}

/* Goal: what is sent comes back in order, and the peer's end is answered by ours. */
static void test_echo(void **state)
{
    static const struct stream_handlers handlers = {
        .on_open = note_open, .on_read = echo, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, send_and_hear_it_again, NULL);

        assert_int_equal(story.open_count, 1);
        assert_int_equal(story.read_bytes, BIG);
        assert_int_equal(story.full_count, kind != CLEAR);
        assert_int_equal(story.failed_count, 0);
        expect(kind, &story, STREAM_PEER_GONE);
    }
}

static void ask_and_hear_all(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("more")));
    CHECK(peer_receive_all(peer) == BIG);
}

/* Goal: on_write is asked for one room a time until it has no more; then on_drained, then a clean
 * end. */
static void test_pulled_bytes_leave_in_rooms(void **state)
{
    static const struct stream_handlers handlers = {.on_read = pour_much,
                                                    .on_write = pour,
                                                    .on_drained = close_when_drained,
                                                    .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, ask_and_hear_all, NULL);

        assert_int_equal(story.drained_count, 1);
        assert_int_equal(story.unsent_seen, 0);
        assert_true(story.write_calls >= BIG / STREAM_WRITE_BYTES);
        expect(kind, &story, STREAM_CLOSED);
    }
}

static void shout_before_listening(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    for (unsigned i = 0; i < 20; i++) {
        (void)peer_send(peer, (struct slice){big, 10000});
    }
    CHECK(peer_receive_all(peer) == (ssize_t)strlen("HTTP/1.1 413 Too Large\r\n\r\n"));
}

/* Goal: an early answer arrives although the peer is still sending what nobody reads. */
static void test_close_lets_the_answer_arrive(void **state)
{
    static const struct stream_handlers handlers = {.on_read = answer_and_close,
                                                    .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, shout_before_listening, NULL);

        expect(kind, &story, STREAM_CLOSED);
    }
}

static void end_and_listen(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("last words")));
    peer_end(peer);
    CHECK(peer_receive_all(peer) == (ssize_t)strlen("goodbye"));
}

/* Goal: a peer that ended its side still gets its answer. */
static void test_half_close(void **state)
{
    static const struct stream_handlers handlers = {
        .on_read = count_bytes, .on_end = answer_at_end, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, end_and_listen, NULL);

        assert_int_equal(story.read_bytes, strlen("last words"));
        assert_int_equal(story.end_count, 1);
        expect(kind, &story, STREAM_CLOSED);
    }
}

static void ask_and_never_listen(struct peer *peer)
{
    const int small = 4096;

    CHECK(setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("more")));
    peer->stays = true;
}

static void stall_soon(struct stream_loop_options *options)
{
    options->stall_timeout_ms = SOON_MS;
    options->unsent_max = 400000;
}

/* Goal: what waits for a slow reader is bounded, and one that takes nothing is let go. */
static void test_slow_reader_meets_its_limits(void **state)
{
    static const struct stream_handlers rows[] = {
        {.on_read = write_to_the_limit, .on_close = note_close},
        {.on_read = pour_without_end, .on_write = pour, .on_close = note_close},
        {.on_read = write_much_and_close, .on_close = note_close},
    };

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            const struct story story = play(kind, &rows[i], ask_and_never_listen, stall_soon);

            expect(kind, &story, STREAM_STALLED);
            assert_true(story.unsent_seen <= 400000);
            if (i == 0) {
                assert_true(story.unsent_seen > 400000 - 10000);
            }
        }
    }
}

static void ask_and_be_cut_off(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("x")));
    (void)peer_receive_all(peer);
}

/* Goal: abort ends at once, and whatever is asked of the stream afterwards is harmless. */
static void test_abort(void **state)
{
    static const struct stream_handlers handlers = {.on_read = abort_it, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, ask_and_be_cut_off, NULL);

        assert_int_equal(story.read_bytes, 1);
        expect(kind, &story, STREAM_ABORTED);
    }
}

/* Goal: on_write may abort; what it gave is not sent. */
static void test_abort_while_writing(void **state)
{
    static const struct stream_handlers handlers = {
        .on_read = want_write, .on_write = abort_instead, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, ask_and_be_cut_off, NULL);

        expect(kind, &story, STREAM_ABORTED);
    }
}

static void hear_the_end_and_stay(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("x")));
    CHECK(peer_receive_all(peer) > 0);
    peer->stays = true;
}

static void linger_soon(struct stream_loop_options *options)
{
    options->linger_timeout_ms = SOON_MS;
}

/* Goal:   a peer that never ends its side does not hold the descriptor for ever.
 * Method: the story ends when the loop counts no connection any more. */
static void test_lingering_ends(void **state)
{
    static const struct stream_handlers handlers = {.on_read = answer_and_close,
                                                    .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, hear_the_end_and_stay, linger_soon);

        expect(kind, &story, STREAM_CLOSED);
    }
}

static void break_the_records(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("x")));
    CHECK(send(peer->fd, "this is no TLS record", 21, MSG_NOSIGNAL) == 21);
    (void)peer_receive_all(peer);
}

/* Goal: nonsense after the handshake ends the stream. */
static void test_broken_records(void **state)
{
    static const struct stream_handlers handlers = {.on_read = count_bytes, .on_close = note_close};

    (void)state;
    for (enum kind kind = TLS12; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, break_the_records, NULL);

        assert_int_equal(story.read_bytes, 1);
        expect(kind, &story, STREAM_BROKEN);
    }
}

static void change_keys_and_talk(struct peer *peer)
{
    char heard[6];
    size_t len = 0;

    CHECK(peer_shake_hands(peer));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        CHECK(peer_send(peer, SLICE("hi")));
        while (len < 2 * (i + 1)) {
            const ssize_t count = peer_receive(peer, heard + len, sizeof(heard) - len);

            CHECK(count > 0);
            len += (size_t)count;
        }
    }
    CHECK(memcmp(heard, "hihihi", 6) == 0);
    peer_end(peer);
    CHECK(peer_receive_all(peer) == 0);
}

/* Goal: TLS 1.3 peers may change their keys on the way. */
static void test_key_update(void **state)
{
    static const struct stream_handlers handlers = {.on_read = echo, .on_close = note_close};
    const struct story story = play(TLS13, &handlers, change_keys_and_talk, NULL);

    (void)state;
    assert_int_equal(story.read_bytes, 6);
    expect(TLS13, &story, STREAM_PEER_GONE);
}

static void vanish(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, SLICE("x")));
    peer_reset(peer);
}

/* Goal: a reset is told as the peer's going. */
static void test_reset(void **state)
{
    static const struct stream_handlers handlers = {.on_read = count_bytes, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, vanish, NULL);

        expect(kind, &story, STREAM_PEER_GONE);
    }
}

static void send_much_and_end(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_send(peer, (struct slice){big, BIG}));
    peer_end(peer);
    CHECK(peer_receive_all(peer) == 0);
}

/* Goal: nothing is read during a pause, and nothing is lost by it, not even what TLS holds. */
static void test_pause_and_resume(void **state)
{
    static const struct stream_handlers handlers = {
        .on_read = pause_once, .on_timeout = resume, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, send_much_and_end, NULL);

        assert_int_equal(story.timeout_count, 1);
        assert_int_equal(story.read_bytes, BIG);
        expect(kind, &story, STREAM_PEER_GONE);
    }
}

static void talk_with_silences(struct peer *peer)
{
    char byte = 0;

    CHECK(peer_shake_hands(peer));
    for (unsigned i = 0; i < 3; i++) {
        CHECK(peer_send(peer, SLICE("?")));
        CHECK(peer_receive(peer, &byte, 1) == 1);
        CHECK(byte == '!');
    }
    peer_end(peer);
    CHECK(peer_receive_all(peer) == 0);
}

/* Goal: a connection goes on after a silence in which TLS gave its buffers back. */
static void test_buffers_come_back_after_a_silence(void **state)
{
    static const struct stream_handlers handlers = {
        .on_read = speak_later, .on_timeout = speak, .on_close = note_close};

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        const struct story story = play(kind, &handlers, talk_with_silences, NULL);

        assert_int_equal(story.read_bytes, 3);
        assert_int_equal(story.timeout_count, 3);
    }
}

static void shake_hands_and_wait(struct peer *peer)
{
    CHECK(peer_shake_hands(peer));
    CHECK(peer_receive_all(peer) == 0);
}

static void idle_soon(struct stream_loop_options *options)
{
    options->idle_timeout_ms = SOON_MS;
}

/* Goal: idle time and deadline end a stream in order, told to the owner who wants to know. */
static void test_idle_and_deadline(void **state)
{
    static const struct {
        struct stream_handlers handlers;
        void (*adjust)(struct stream_loop_options *options);
        unsigned timeout_count;
        enum stream_reason timeout_reason;
        enum stream_reason reason;
    } rows[] = {
        {{.on_read = count_bytes, .on_close = note_close}, idle_soon, 0, 0, STREAM_IDLE},
        {{.on_read = count_bytes, .on_timeout = note_timeout, .on_close = note_close},
         idle_soon,
         1,
         STREAM_IDLE,
         STREAM_CLOSED},
        {{.on_open = set_deadline, .on_read = count_bytes, .on_close = note_close},
         NULL,
         0,
         0,
         STREAM_DEADLINE},
        {{.on_open = set_deadline,
          .on_read = count_bytes,
          .on_timeout = note_timeout,
          .on_close = note_close},
         NULL,
         1,
         STREAM_DEADLINE,
         STREAM_CLOSED},
        {{.on_open = clear_deadline,
          .on_read = count_bytes,
          .on_timeout = note_timeout,
          .on_close = note_close},
         idle_soon,
         1,
         STREAM_IDLE,
         STREAM_CLOSED},
    };

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            const struct story story =
                play(kind, &rows[i].handlers, shake_hands_and_wait, rows[i].adjust);

            expect(kind, &story, rows[i].reason);
            assert_int_equal(story.timeout_count, rows[i].timeout_count);
            if (rows[i].timeout_count > 0) {
                assert_int_equal(story.timeout_reason, rows[i].timeout_reason);
            }
        }
    }
}

static void say_nothing(struct peer *peer)
{
    SSL_free(peer->ssl);
    peer->ssl = NULL;
    (void)peer_receive_all(peer);
}

static void talk_nonsense(struct peer *peer)
{
    SSL_free(peer->ssl);
    peer->ssl = NULL;
    CHECK(peer_send(peer, SLICE("GET / HTTP/1.1\r\n\r\n")));
    (void)peer_receive_all(peer);
}

static void hang_up(struct peer *peer)
{
    peer_end(peer);
}

static void shake_hands_soon(struct stream_loop_options *options)
{
    options->handshake_timeout_ms = SOON_MS;
}

/* Goal: a handshake that does not come, or is none, ends the stream, unopened. */
static void test_handshake_failures(void **state)
{
    static const struct stream_handlers handlers = {
        .on_open = note_open, .on_read = count_bytes, .on_close = note_close};
    static const struct {
        script_fn script;
        enum stream_reason reason;
    } rows[] = {
        {say_nothing, STREAM_HANDSHAKE_TIMEOUT},
        {talk_nonsense, STREAM_HANDSHAKE_FAILED},
        {hang_up, STREAM_HANDSHAKE_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct story story = play(TLS13, &handlers, rows[i].script, shake_hands_soon);

        expect(TLS13, &story, rows[i].reason);
        assert_int_equal(story.open_count, 0);
        assert_int_equal(story.full_count, 0);
        assert_int_equal(story.failed_count, 1);
    }
}

/* Goal: destroying the loop tells every stream, opened or not. */
static void test_destroy_ends_every_stream(void **state)
{
    static const struct stream_handlers handlers = {.on_read = count_bytes, .on_close = note_close};
    struct story stories[KIND_COUNT] = {{0}};
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    const struct stream_loop_options options = options_for(ev);
    struct stream_loop *loop = stream_loop_new(&options);

    (void)state;
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        stories[kind].loop = loop;
        connect_peer(&stories[kind], kind, &handlers);
        assert_int_equal(stream_is_tls(stories[kind].stream), kind != CLEAR);
        assert_false(stream_is_resumed(stories[kind].stream));
        ev_run(ev, EVRUN_NOWAIT);
    }
    assert_int_equal(stream_loop_count(loop), KIND_COUNT);
    stream_loop_destroy(loop);
    stream_loop_destroy(NULL);
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        assert_int_equal(stories[kind].close_count, 1);
        expect(kind, &stories[kind], STREAM_STOPPED);
        peer_close(&stories[kind].peer);
    }
    ev_loop_destroy(ev);
}

static int set_up(void **state)
{
    struct tls_options options = {.seal_key = {1}};
    struct err_why why;

    (void)state;
    digest_init();
    certificate_make(&certificate);
    options.certificate_path = certificate.certificate_path;
    options.key_path = certificate.key_path;
    CHECK(tls_context_new(&options, &tls, &why) == ERR_OK);
    client_tls = SSL_CTX_new(TLS_client_method());
    CHECK(client_tls != NULL);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)('a' + i * 7 % 26);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_context_release(tls);
    SSL_CTX_free(client_tls);
    certificate_remove(&certificate);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_pulled_bytes_leave_in_rooms),
        cmocka_unit_test(test_close_lets_the_answer_arrive),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_slow_reader_meets_its_limits),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_abort_while_writing),
        cmocka_unit_test(test_lingering_ends),
        cmocka_unit_test(test_broken_records),
        cmocka_unit_test(test_key_update),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_buffers_come_back_after_a_silence),
        cmocka_unit_test(test_idle_and_deadline),
        cmocka_unit_test(test_handshake_failures),
        cmocka_unit_test(test_destroy_ends_every_stream),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
