/* SPDX-License-Identifier: Apache-2.0
 *
 * test_h2.c - HTTP/2 in good faith: requests, bodies, answers, flow control, deadlines, the end.
 *
 * The attacks are in test_h2_floods.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/gateway/door.h"
#include "tests/unit/gateway/frames.h"

enum { CODE_NONE = 0, CODE_CANCEL = 8 };

static void open_both(struct door *door, struct buf *out)
{
    door_open(door);
    buf_init(out, FRAMES_MAX);
    add_greeting(out);
}

static void close_both(struct door *door, struct buf *out)
{
    door_close(door);
    buf_clean_up(out);
}

/* Send what was gathered, let everything happen, and read what came back. */
static struct heard say(struct door *door, struct buf *out)
{
    (void)door_send(door, buf_slice(out));
    buf_clear(out);
    door_pump(door);
    return hear(door_received(door));
}

static void test_get_and_post_reach_the_handler(void **state)
{
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    add_get(&out, 1);
    heard = say(&door, &out);
    assert_int_equal(heard.count[SETTINGS], 2); /* ours, and the ACK of theirs */
    assert_int_equal(heard.settings_acks, 1);
    assert_int_equal(heard.statuses[0], 200);
    assert_int_equal(heard.data_bytes, 5);
    assert_int_equal(heard.ended_count, 1);
    assert_string_equal(door.method, "GET");
    assert_string_equal(door.path, "/");
    assert_string_equal(door.authority, "weir");

    add_post(&out, 3);
    add_frame(&out, DATA, 0, 3, SLICE("hello "));
    heard = say(&door, &out);
    assert_int_equal(door.request_count, 1); /* not before the body is complete */
    add_frame(&out, DATA, END_STREAM, 3, SLICE("world"));
    heard = say(&door, &out);
    assert_int_equal(door.request_count, 2);
    assert_int_equal(door.body_len, 11);
    assert_int_equal(heard.status_count, 2);
    assert_false(door.is_closed);
    close_both(&door, &out);
}

static void test_one_byte_at_a_time(void **state)
{
    struct door door;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    add_post(&out, 1);
    add_frame(&out, DATA, END_STREAM, 1, SLICE("hello"));
    for (size_t i = 0; i < out.len; i++) {
        assert_true(door_send(&door, (struct slice){out.data + i, 1}));
        (void)ev_run(door.loop, EVRUN_NOWAIT);
    }
    door_pump(&door);
    assert_int_equal(door.request_count, 1);
    assert_int_equal(door.body_len, 5);
    assert_int_equal(hear(door_received(&door)).statuses[0], 200);
    close_both(&door, &out);
}

static void test_interleaved_bodies_stay_apart(void **state)
{
    enum { STREAMS = 100, PIECES = 40, PIECE = 1000 };
    char piece[PIECE];
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    for (uint32_t s = 0; s < STREAMS; s++) {
        add_post(&out, s * 2 + 1);
    }
    (void)say(&door, &out);
    for (unsigned p = 0; p < PIECES; p++) {
        for (uint32_t s = 0; s < STREAMS; s++) {
            memset(piece, 'a' + (int)(s % 26), sizeof(piece));
            add_frame(&out, DATA, p == PIECES - 1 ? END_STREAM : 0, s * 2 + 1,
                      (struct slice){piece, sizeof(piece)});
        }
        (void)say(&door, &out); /* 4 MB in all: only if windows are opened again */
    }
    heard = hear(door_received(&door));
    assert_int_equal(door.request_count, STREAMS);
    assert_int_equal(door.body_len, PIECES * PIECE);
    assert_int_equal(heard.status_count, STREAMS);
    assert_true(heard.count[WINDOW_UPDATE] > 1);
    assert_int_equal(heard.count[RST_STREAM], 0);
    assert_int_equal(listener_in_flight_bytes(door.listener), 0);
    close_both(&door, &out);
}

static void test_a_long_answer_keeps_to_the_peers_window(void **state)
{
    enum { LEN = 200 * 1000, WINDOW = 65535 };
    char *body = xcalloc(1, LEN);
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    door.answer = (struct slice){body, LEN};
    add_get(&out, 1);
    heard = say(&door, &out);
    assert_int_equal(heard.data_bytes, WINDOW);
    assert_int_equal(heard.ended_count, 0);
    add_u32_frame(&out, WINDOW_UPDATE, 0, LEN);
    add_u32_frame(&out, WINDOW_UPDATE, 1, LEN);
    heard = say(&door, &out);
    assert_int_equal(heard.data_bytes, LEN);
    assert_int_equal(heard.ended_count, 1);
    close_both(&door, &out);
    xfree(body);
}

/* One row: fields after :scheme https, as "name: value" lines; what comes of them. */
struct head_row {
    const char *lines;
    unsigned status; /* 0: the stream is reset */
};

static void add_lines(struct buf *block, const char *lines)
{
    struct slice rest = slice_of(lines);

    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');
        const size_t name_len = 1 + slice_find(slice_from(line, 1), '=');

        add_field(block, slice_first(line, name_len), slice_from(line, name_len + 1));
    }
}

static void test_each_head_has_its_outcome(void **state)
{
#define PSEUDO ":method=GET\n:path=/\n:scheme=https\n:authority=weir\n"
    static const struct head_row rows[] = {
        {PSEUDO, 200},
        {PSEUDO "host=weir", 200},
        {PSEUDO "host=WEIR", 200},
        {":method=GET\n:path=/a?b\n:scheme=http\nhost=weir", 200},
        {PSEUDO "te=trailers", 200},
        {PSEUDO "content-encoding=identity", 200},
        {PSEUDO "x=caf\xc3\xa9", 200},
        {PSEUDO "host=other", 400},
        {":method=GET\n:path=/\n:scheme=https", 0},
        {":method=GET\n:path=/\n:scheme=https\n:authority=a b", 0},
        {":method=GET\n:path=/\n:scheme=https\n:authority=user@weir", 400},
        {":method=GET\n:path=/\n:scheme=https\n:authority=a\nhost=a\nhost=a", 0},
        {":method=GET\n:path=/#a\n:scheme=https\n:authority=weir", 400},
        {":method=GET\n:path=/caf\xc3\xa9\n:scheme=https\n:authority=weir", 400},
        {":method=OPTIONS\n:path=*\n:scheme=https\n:authority=weir", 400},
        {":method=GET\n:path=a\n:scheme=https\n:authority=weir", 0},
        {":method=GET\n:path=\n:scheme=https\n:authority=weir", 0},
        {":method=GET\n:scheme=https\n:authority=weir", 0},
        {":path=/\n:scheme=https\n:authority=weir", 0},
        {":method=GET\n:method=GET\n:path=/\n:scheme=https\n:authority=weir", 0},
        {":method=GET\n:path=/\nx=a\n:scheme=https\n:authority=weir", 0},
        {PSEUDO ":status=200", 0},
        {PSEUDO ":protocol=websocket", 0},
        {":method=CONNECT\n:authority=weir:443", 400},
        {":method=TRACE\n:path=/\n:scheme=https\n:authority=weir", 405},
        {PSEUDO "connection=close", 0},
        {PSEUDO "transfer-encoding=chunked", 0},
        {PSEUDO "upgrade=h2c", 0},
        {PSEUDO "keep-alive=1", 0},
        {PSEUDO "proxy-connection=close", 0},
        {PSEUDO "te=gzip", 0},
        {PSEUDO "X-Upper=a", 0},
        {PSEUDO "x y=a", 400},
        {PSEUDO "x=a\x01", 400},
        {PSEUDO "x=a\rb", 400},
        {PSEUDO "x= a", 400},
        {PSEUDO "content-encoding=gzip", 415},
        {PSEUDO "content-length=1", 0},
        {PSEUDO "content-length=-1", 0},
        {PSEUDO "content-length=1\ncontent-length=1", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf block;
        struct door door;
        struct heard heard;
        struct buf out;

        open_both(&door, &out);
        buf_init(&block, 4096);
        add_lines(&block, rows[i].lines);
        add_frame(&out, HEADERS, END_HEADERS | END_STREAM, 1, buf_slice(&block));
        add_get(&out, 3); /* the connection has to live on */
        heard = say(&door, &out);
        if (door.request_count != (rows[i].status == 200 ? 2U : 1U) || door.is_closed ||
            heard.count[RST_STREAM] != (rows[i].status == 0 ? 1U : 0U) ||
            (rows[i].status != 0 && heard.statuses[0] != rows[i].status)) {
            fail_msg("%s\nwants %u, gave %u, %u resets, %u requests, %s", rows[i].lines,
                     rows[i].status, heard.statuses[0], heard.count[RST_STREAM], door.request_count,
                     door.is_closed ? "closed" : "open");
        }
        buf_clean_up(&block);
        close_both(&door, &out);
    }
#undef PSEUDO
}

static void test_what_is_refused_early_may_send_its_body_out(void **state)
{
    static const struct {
        enum err err;
        size_t body_max;
        unsigned status;
    } rows[] = {{ERR_BAD_CREDENTIAL, 0, 403}, {ERR_OK, 3, 413}};
    static const char zeros[16384];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_limits limits = HTTP_LIMITS_DEFAULT;
        struct door door;
        struct heard heard;
        struct buf out;

        limits.unwanted_max_bytes = 100 * 1000;
        door_open_with(&door, &limits, 1000);
        buf_init(&out, FRAMES_MAX);
        add_greeting(&out);
        door.head_err = rows[i].err;
        door.body_max = rows[i].body_max;
        for (uint32_t stream_id = 1; stream_id <= 3; stream_id += 2) {
            add_post(&out, stream_id);
            add_frame(&out, DATA, 0, stream_id, SLICE("hello"));
        }
        heard = say(&door, &out);
        assert_int_equal(heard.status_count, 2);
        assert_int_equal(heard.statuses[0], rows[i].status);
        assert_int_equal(heard.ended_count, 2);
        assert_int_equal(listener_in_flight_bytes(door.listener), 0);

        add_frame(&out, DATA, END_STREAM, 1, SLICE("the rest"));
        for (unsigned k = 0; k < 5; k++) {
            add_frame(&out, DATA, 0, 3, (struct slice){zeros, sizeof(zeros)});
        }
        heard = say(&door, &out);
        assert_int_equal(heard.count[RST_STREAM], 0);
        for (unsigned k = 0; k < 5; k++) { /* that is too much */
            add_frame(&out, DATA, 0, 3, (struct slice){zeros, sizeof(zeros)});
        }
        door.head_err = ERR_OK;
        door.body_max = 0;
        add_get(&out, 5);
        heard = say(&door, &out);
        assert_int_equal(heard.count[RST_STREAM], 1);
        assert_int_equal(heard.reset_stream, 3);
        assert_int_equal(heard.reset_code, CODE_NONE);
        assert_int_equal(door.request_count, 1);
        assert_int_equal(heard.statuses[2], 200);
        assert_int_equal(heard.count[GOAWAY], 0);
        close_both(&door, &out);
    }
}

static void test_bodies_over_the_quota_are_told_to_come_again(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    limits.in_flight_max_bytes = 15;
    door_open_with(&door, &limits, 1000);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    door.holds = true;
    add_post(&out, 1);
    add_frame(&out, DATA, END_STREAM, 1, SLICE("0123456789"));
    add_post(&out, 3);
    add_frame(&out, DATA, END_STREAM, 3, SLICE("0123456789"));
    heard = say(&door, &out);
    assert_int_equal(door.request_count, 1);
    assert_int_equal(heard.status_count, 1);
    assert_int_equal(heard.statuses[0], 503);
    door_answer(&door, door.held[0]);
    door.held_count = 0;
    add_post(&out, 5);
    add_frame(&out, DATA, END_STREAM, 5, SLICE("0123456789"));
    (void)say(&door, &out);
    assert_int_equal(door.request_count, 2);
    close_both(&door, &out);
}

static void test_late_answers_find_their_stream_or_nothing(void **state)
{
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    door.holds = true;
    for (uint32_t s = 0; s < 4; s++) {
        add_get(&out, s * 2 + 1);
    }
    add_u32_frame(&out, RST_STREAM, 3, CODE_CANCEL);
    heard = say(&door, &out);
    assert_int_equal(door.held_count, 4);
    for (size_t i = 4; i > 2; i--) { /* in any order */
        door_answer(&door, door.held[i - 1]);
    }
    door_answer(&door, door.held[1]); /* its stream was reset */
    door.held_count = 1;              /* the first is answered after the connection */
    heard = say(&door, &out);
    assert_int_equal(heard.status_count, 2);
    close_both(&door, &out);
}

static void test_expect_continue(void **state)
{
    struct door door;
    struct heard heard;
    struct buf block;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    buf_init(&block, 4096);
    add_bytes(&block, post_block());
    add_field(&block, SLICE("expect"), SLICE("100-continue"));
    add_frame(&out, HEADERS, END_HEADERS, 1, buf_slice(&block));
    heard = say(&door, &out);
    assert_int_equal(heard.statuses[0], 100);
    add_frame(&out, DATA, END_STREAM, 1, SLICE("{}"));
    heard = say(&door, &out);
    assert_int_equal(heard.statuses[1], 200);
    buf_clean_up(&block);
    close_both(&door, &out);
}

static void test_trailers_padding_and_a_half_closed_peer(void **state)
{
    struct door door;
    struct heard heard;
    struct buf block;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    buf_init(&block, 4096);
    add_field(&block, SLICE("x-checksum"), SLICE("1"));
    add_post(&out, 1);
    add_frame(&out, DATA, PADDED, 1, SLICE("\3{}\0\0\0"));
    add_frame(&out, HEADERS, END_HEADERS | END_STREAM, 1, buf_slice(&block));
    (void)door_send(&door, buf_slice(&out));
    assert_int_equal(shutdown(door.fd, SHUT_WR), 0);
    buf_clear(&out);
    heard = say(&door, &out);
    assert_int_equal(door.request_count, 1);
    assert_int_equal(door.body_len, 2);
    assert_int_equal(heard.statuses[0], 200);
    assert_true(door.is_closed);
    buf_clean_up(&block);
    close_both(&door, &out);
}

static void test_a_peer_that_says_goodbye_gets_its_answers(void **state)
{
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    door.holds = true;
    add_get(&out, 1);
    add_frame(&out, GOAWAY, 0, 0, SLICE("\0\0\0\0\0\0\0\0"));
    (void)say(&door, &out);
    assert_false(door.is_closed);
    door_answer(&door, door.held[0]);
    door.held_count = 0;
    heard = say(&door, &out);
    assert_int_equal(heard.statuses[0], 200);
    assert_true(door.is_closed);
    close_both(&door, &out);
}

static void note_drained(void *context)
{
    struct door *door = context;

    door->drained_count++;
}

static void test_a_drain_goes_in_two_steps(void **state)
{
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    door.holds = true;
    add_get(&out, 1);
    (void)say(&door, &out);
    listener_drain(door.listener, note_drained, &door);
    heard = say(&door, &out);
    assert_int_equal(heard.count[GOAWAY], 1);
    assert_int_equal(heard.goaway_last, 0x7fffffff);
    assert_int_equal(heard.goaway_code, CODE_NONE);
    assert_int_equal(heard.count[PING], 1);

    add_get(&out, 3); /* it was on its way */
    add_frame(&out, PING, ACK, 0, (struct slice){heard.ping, 8});
    heard = say(&door, &out);
    assert_int_equal(heard.count[GOAWAY], 2);
    assert_int_equal(heard.goaway_last, 3);
    assert_int_equal(door.held_count, 2);

    add_get(&out, 5); /* too late */
    (void)say(&door, &out);
    assert_int_equal(door.held_count, 2);
    assert_int_equal(door.drained_count, 0);
    door_answer(&door, door.held[0]);
    door_answer(&door, door.held[1]);
    door.held_count = 0;
    heard = say(&door, &out);
    assert_int_equal(heard.status_count, 2);
    assert_true(door.is_closed);
    assert_int_equal(door.drained_count, 1);
    close_both(&door, &out);
}

static void test_a_drain_does_not_wait_for_the_ping_for_ever(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    limits.drain_grace_ms = 50;
    door_open_with(&door, &limits, 10);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    add_get(&out, 1);
    (void)say(&door, &out);
    listener_drain(door.listener, note_drained, &door);
    door_wait_closed(&door);
    heard = hear(door_received(&door));
    assert_int_equal(heard.count[GOAWAY], 2);
    assert_int_equal(heard.goaway_last, 1);
    door_pump(&door);
    assert_int_equal(door.drained_count, 1);
    close_both(&door, &out);
}

static void test_a_drain_ends_by_cutting_what_is_left(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct buf out;

    (void)state;
    limits.drain_timeout_ms = 50;
    door_open_with(&door, &limits, 10);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    door.holds = true;
    add_get(&out, 1);
    (void)say(&door, &out);
    listener_drain(door.listener, note_drained, &door);
    door_wait_closed(&door);
    door_pump(&door);
    assert_int_equal(door.drained_count, 1);
    assert_int_equal(listener_connection_count(door.listener), 0);
    close_both(&door, &out);
}

static void test_age_drains_a_connection(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    limits.connection_age_max_ms = 60;
    limits.drain_grace_ms = 30;
    door_open_with(&door, &limits, 10);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    add_get(&out, 1);
    (void)say(&door, &out);
    door_wait_closed(&door);
    heard = hear(door_received(&door));
    assert_int_equal(heard.statuses[0], 200);
    assert_int_equal(heard.count[GOAWAY], 2);
    assert_int_equal(heard.goaway_code, CODE_NONE);
    close_both(&door, &out);
}

static void test_slowness_has_its_limits(void **state)
{
    static const struct {
        struct slice after; /* sent after the greeting */
        bool has_greeting;
        unsigned status;
        unsigned goaways;
    } rows[] = {
        {SLICE_INIT(""), false, 0, 1},
        {SLICE_INIT(PREFACE), false, 0, 1},
        {SLICE_INIT("\0\0\x10"), true, 0, 1},                   /* half a header */
        {SLICE_INIT("\0\0\x08\x06\0\0\0\0\0PING"), true, 0, 1}, /* half a frame */
        {SLICE_INIT("\0\0\x09\x01\0\0\0\0\x01\x83\x87\x84\x41\x04weir"), true, 0, 1}, /* no end */
    };
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    (void)state;
    limits.head_timeout_ms = 60;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;
        struct buf out;

        door_open_with(&door, &limits, 10);
        buf_init(&out, FRAMES_MAX);
        if (rows[i].has_greeting) {
            add_greeting(&out);
        }
        add_bytes(&out, rows[i].after);
        (void)say(&door, &out);
        assert_false(door.is_closed);
        door_wait_closed(&door);
        assert_int_equal(listener_counts(door.listener)->timeouts, 1);
        assert_int_equal(door.request_count, 0);
        close_both(&door, &out);
    }
}

static void test_a_slow_body_is_answered_408(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard = {0};
    struct buf out;

    (void)state;
    limits.body_timeout_ms = 60;
    limits.body_grace_ms = 60;
    limits.answer_stall_ms = 60;
    door_open_with(&door, &limits, 10);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    add_post(&out, 1);
    add_frame(&out, DATA, 0, 1, SLICE("{"));
    (void)say(&door, &out);
    while (heard.status_count == 0) {
        (void)ev_run(door.loop, EVRUN_ONCE);
        (void)door_listen(&door);
        heard = hear(door_received(&door));
    }
    assert_int_equal(heard.statuses[0], 408);
    while (heard.count[RST_STREAM] == 0) { /* nor is it waited for any longer */
        (void)ev_run(door.loop, EVRUN_ONCE);
        (void)door_listen(&door);
        heard = hear(door_received(&door));
    }
    assert_int_equal(heard.reset_code, CODE_NONE);
    assert_int_equal(listener_counts(door.listener)->timeouts, 1);
    assert_false(door.is_closed);
    close_both(&door, &out);
}

static void test_an_answer_nobody_takes_is_given_up(void **state)
{
    enum { LEN = 200 * 1000 };
    char *body = xcalloc(1, LEN);
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard = {0};
    struct buf out;

    (void)state;
    limits.answer_stall_ms = 60;
    door_open_with(&door, &limits, 10);
    door.answer = (struct slice){body, LEN};
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    add_get(&out, 1);
    (void)say(&door, &out);
    while (heard.count[RST_STREAM] == 0) {
        (void)ev_run(door.loop, EVRUN_ONCE);
        (void)door_listen(&door);
        heard = hear(door_received(&door));
    }
    assert_int_equal(heard.reset_code, CODE_CANCEL);
    assert_int_equal(heard.ended_count, 0);
    close_both(&door, &out);
    xfree(body);
}

static void test_what_is_not_a_preface_is_http1(void **state)
{
    static const struct {
        struct slice bytes;
        unsigned status; /* of an HTTP/1.1 answer */
    } rows[] = {
        {SLICE_INIT("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), 505},
        {SLICE_INIT("PRI * HTTP/1.1\r\nHost: weir\r\n\r\n"), 400},
        {SLICE_INIT("POST / HTTP/1.1\r\nHost: weir\r\n\r\n"), 200},
        {SLICE_INIT("P"), 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;

        door_open(&door);
        for (size_t k = 0; k < rows[i].bytes.len; k++) {
            (void)door_send(&door, slice_first(slice_from(rows[i].bytes, k), 1));
            (void)ev_run(door.loop, EVRUN_NOWAIT);
        }
        door_pump(&door);
        assert_int_equal(door_status_at(&door, 0), rows[i].status);
        door_close(&door);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_post_reach_the_handler),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_interleaved_bodies_stay_apart),
        cmocka_unit_test(test_a_long_answer_keeps_to_the_peers_window),
        cmocka_unit_test(test_each_head_has_its_outcome),
        cmocka_unit_test(test_what_is_refused_early_may_send_its_body_out),
        cmocka_unit_test(test_bodies_over_the_quota_are_told_to_come_again),
        cmocka_unit_test(test_late_answers_find_their_stream_or_nothing),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_trailers_padding_and_a_half_closed_peer),
        cmocka_unit_test(test_a_peer_that_says_goodbye_gets_its_answers),
        cmocka_unit_test(test_a_drain_goes_in_two_steps),
        cmocka_unit_test(test_a_drain_does_not_wait_for_the_ping_for_ever),
        cmocka_unit_test(test_a_drain_ends_by_cutting_what_is_left),
        cmocka_unit_test(test_age_drains_a_connection),
        cmocka_unit_test(test_slowness_has_its_limits),
        cmocka_unit_test(test_a_slow_body_is_answered_408),
        cmocka_unit_test(test_an_answer_nobody_takes_is_given_up),
        cmocka_unit_test(test_what_is_not_a_preface_is_http1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
