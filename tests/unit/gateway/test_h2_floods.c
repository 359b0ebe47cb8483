/* SPDX-License-Identifier: Apache-2.0
 *
 * test_h2_floods.c - HTTP/2 in bad faith: what each attack reaches, and how it ends.
 *
 * Asserted is the work done for the attacker (requests that reach the handler, bytes held) and the
 * way out (GOAWAY code, closed), not mere survival.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/h2.h"
#include "tests/unit/gateway/door.h"
#include "tests/unit/gateway/frames.h"

enum { CODE_PROTOCOL = 1, CODE_CANCEL = 8, CODE_CALM = 11 };

enum { FLOOD_ROUNDS = 20000, WORK_MAX = 500 };

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

static struct heard say(struct door *door, struct buf *out)
{
    (void)door_send(door, buf_slice(out));
    buf_clear(out);
    door_pump(door);
    return hear(door_received(door));
}

/* One round of an attack: frames for stream `stream_id` and the next ones. */
typedef void (*round_fn)(struct buf *out, uint32_t stream_id);

static void get_and_reset(struct buf *out, uint32_t stream_id)
{
    add_get(out, stream_id);
    add_u32_frame(out, RST_STREAM, stream_id, CODE_CANCEL);
}

static void post_and_reset(struct buf *out, uint32_t stream_id)
{
    add_post(out, stream_id);
    add_u32_frame(out, RST_STREAM, stream_id, CODE_CANCEL);
}

static void overflow_the_window(struct buf *out, uint32_t stream_id)
{
    add_post(out, stream_id);
    add_u32_frame(out, WINDOW_UPDATE, stream_id, 0x7fffffff);
}

static void break_the_length(struct buf *out, uint32_t stream_id)
{
    struct buf block;

    buf_init(&block, 256);
    add_bytes(&block, post_block());
    add_field(&block, SLICE("content-length"), SLICE("1"));
    add_frame(out, HEADERS, END_HEADERS, stream_id, buf_slice(&block));
    add_frame(out, DATA, 0, stream_id, SLICE("too long"));
    buf_clean_up(&block);
}

static void name_in_upper_case(struct buf *out, uint32_t stream_id)
{
    struct buf block;

    buf_init(&block, 256);
    add_bytes(&block, get_block());
    add_field(&block, SLICE("X"), SLICE("1"));
    add_frame(out, HEADERS, END_HEADERS | END_STREAM, stream_id, buf_slice(&block));
    buf_clean_up(&block);
}

static void open_without_end(struct buf *out, uint32_t stream_id)
{
    add_post(out, stream_id);
}

static void update_by_zero(struct buf *out, uint32_t stream_id)
{
    add_post(out, stream_id);
    add_u32_frame(out, WINDOW_UPDATE, stream_id, 0);
}

static void depend_on_itself(struct buf *out, uint32_t stream_id)
{
    char payload[5] = {0, 0, 0, (char)stream_id, 0};

    payload[2] = (char)(stream_id >> 8);
    payload[1] = (char)(stream_id >> 16);
    add_frame(out, PRIORITY, 0, stream_id, (struct slice){payload, 5});
}

static void data_after_the_end(struct buf *out, uint32_t stream_id)
{
    add_get(out, stream_id);
    add_frame(out, DATA, 0, stream_id, SLICE("late"));
}

static void ping(struct buf *out, uint32_t stream_id)
{
    (void)stream_id;
    add_frame(out, PING, 0, 0, SLICE("12345678"));
}

static void settings(struct buf *out, uint32_t stream_id)
{
    (void)stream_id;
    add_frame(out, SETTINGS, 0, 0, SLICE(""));
}

static void priority(struct buf *out, uint32_t stream_id)
{
    add_frame(out, PRIORITY, 0, stream_id, SLICE("\0\0\0\0\x10"));
}

static void unknown_type(struct buf *out, uint32_t stream_id)
{
    (void)stream_id;
    add_frame(out, 0x42, 0, 0, SLICE("grease"));
}

static void empty_data(struct buf *out, uint32_t stream_id)
{
    if (stream_id == 1) {
        add_post(out, 1);
    }
    add_frame(out, DATA, 0, 1, SLICE(""));
}

static void padding_only(struct buf *out, uint32_t stream_id)
{
    if (stream_id == 1) {
        add_post(out, 1);
    }
    add_frame(out, DATA, PADDED, 1, SLICE("\3\0\0\0"));
}

static void small_continuations(struct buf *out, uint32_t stream_id)
{
    add_frame(out, stream_id == 1 ? HEADERS : CONTINUATION, 0, 1, SLICE("\x82"));
}

static void large_continuations(struct buf *out, uint32_t stream_id)
{
    static const char zeros[16384];

    add_frame(out, stream_id == 1 ? HEADERS : CONTINUATION, 0, 1,
              (struct slice){zeros, stream_id == 1 ? 0 : sizeof(zeros)});
}

static void test_each_flood_ends_early(void **state)
{
    static const struct {
        const char *name;
        round_fn add_round;
        uint32_t code;
        unsigned work_max;   /* requests that may reach the handler */
        unsigned rounds_max; /* it must be over by then */
    } rows[] = {
        {"rapid reset of complete requests", get_and_reset, CODE_CALM, 60, 2000},
        {"rapid reset of unfinished requests", post_and_reset, CODE_CALM, 0, 2000},
        {"provoked: window overflow", overflow_the_window, CODE_CALM, 0, 2000},
        {"provoked: more than content-length", break_the_length, CODE_CALM, 0, 2000},
        {"provoked: malformed heads", name_in_upper_case, CODE_CALM, 0, 2000},
        {"provoked: too many streams", open_without_end, CODE_CALM, 0, 2000},
        {"WINDOW_UPDATE by zero", update_by_zero, CODE_PROTOCOL, 0, 2000},
        {"a stream that depends on itself", depend_on_itself, CODE_CALM, 0, 2000},
        {"DATA after the end", data_after_the_end, 5, 300, 2000},
        {"PING", ping, CODE_CALM, 0, 2000},
        {"SETTINGS", settings, CODE_CALM, 0, 2000},
        {"PRIORITY", priority, CODE_CALM, 0, 2000},
        {"unknown types", unknown_type, CODE_CALM, 0, 2000},
        {"empty DATA", empty_data, CODE_CALM, 0, 2000},
        {"DATA of padding", padding_only, CODE_CALM, 0, 2000},
        {"small CONTINUATION", small_continuations, CODE_CALM, 0, 2000},
        {"large CONTINUATION", large_continuations, CODE_CALM, 0, 2000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;
        struct heard heard;
        struct buf out;
        unsigned rounds = 0;

        open_both(&door, &out);
        while (rounds < FLOOD_ROUNDS && !door.is_closed) {
            for (unsigned k = 0; k < 100; k++) {
                rows[i].add_round(&out, rounds * 2 + 1);
                rounds++;
            }
            (void)door_send(&door, buf_slice(&out));
            buf_clear(&out);
            door_pump(&door);
        }
        heard = hear(door_received(&door));
        if (!door.is_closed || rounds > rows[i].rounds_max || heard.goaway_code != rows[i].code ||
            door.request_count > rows[i].work_max || heard.count[GOAWAY] == 0) {
            fail_msg("%s: %s after %u rounds, %u requests reached the handler, %u GOAWAY, code %u",
                     rows[i].name, door.is_closed ? "closed" : "open", rounds, door.request_count,
                     heard.count[GOAWAY], heard.goaway_code);
        }
        close_both(&door, &out);
    }
}

static void test_a_few_of_each_are_nobodys_flood(void **state)
{
    static const round_fn rounds[] = {get_and_reset, post_and_reset, name_in_upper_case,
                                      ping,          settings,       priority,
                                      unknown_type,  empty_data,     padding_only};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rounds); i++) {
        struct door door;
        struct heard heard;
        struct buf out;

        open_both(&door, &out);
        for (uint32_t k = 0; k < 9; k++) {
            rounds[i](&out, k * 2 + 1);
        }
        add_get(&out, 101);
        heard = say(&door, &out);
        assert_int_equal(heard.count[GOAWAY], 0);
        assert_true(door.request_count >= 1);
        assert_int_equal(heard.statuses[heard.status_count - 1], 200);
        assert_false(door.is_closed);
        close_both(&door, &out);
    }
}

static void test_a_client_that_resets_a_tenth_goes_on(void **state)
{
    struct door door;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    for (uint32_t k = 0; k < 600; k++) {
        if (k % 10 == 0) {
            post_and_reset(&out, k * 2 + 1);
        } else {
            add_get(&out, k * 2 + 1);
        }
        if (k % 50 == 49) {
            (void)door_send(&door, buf_slice(&out));
            buf_clear(&out);
            door_pump(&door);
        }
    }
    assert_int_equal(door.request_count, 540);
    assert_false(door.is_closed);
    close_both(&door, &out);
}

static void test_glitches_first_drain_then_close(void **state)
{
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    open_both(&door, &out);
    for (uint32_t k = 0; k < 80; k++) {
        name_in_upper_case(&out, k * 2 + 1);
    }
    heard = say(&door, &out);
    assert_int_equal(heard.count[GOAWAY], 1);
    assert_int_equal(heard.goaway_code, 0);
    assert_int_equal(heard.goaway_last, 0x7fffffff);
    assert_false(door.is_closed);
    for (uint32_t k = 80; k < 140; k++) {
        name_in_upper_case(&out, k * 2 + 1);
    }
    heard = say(&door, &out);
    assert_int_equal(heard.goaway_code, CODE_CALM);
    assert_true(door.is_closed);
    assert_int_equal(listener_counts(door.listener)->floods, 1);
    close_both(&door, &out);
}

static void test_a_peer_that_does_not_read_is_cut(void **state)
{
    struct door door;
    struct buf out;
    uint32_t id = 1;

    (void)state;
    open_both(&door, &out);
    (void)say(&door, &out);
    door.is_deaf = true;
    while (listener_connection_count(door.listener) > 0 && id < 400000) {
        for (unsigned k = 0; k < 100; k++) {
            add_get(&out, id);
            id += 2;
        }
        if (send(door.fd, out.data, out.len, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
            break;
        }
        buf_clear(&out);
        door_pump(&door);
    }
    assert_int_equal(listener_connection_count(door.listener), 0);
    assert_true(door.request_count < 10000); /* what fits into the socket, and no more */
    close_both(&door, &out);
}

/* 4 KiB of table, then one byte per copy of it. */
static void test_a_header_bomb_is_reset_at_its_maximum(void **state)
{
    char *value = xcalloc(1, 3900);
    struct door door;
    struct heard heard;
    struct buf block;
    struct buf out;

    (void)state;
    memset(value, 'v', 3900);
    open_both(&door, &out);
    buf_init(&block, 16384);
    add_bytes(&block, get_block());
    add_field_as(&block, 0x40, SLICE("bomb"), (struct slice){value, 3900});
    for (unsigned i = 0; i < 8000; i++) {
        add_bytes(&block, SLICE("\xbe")); /* entry 62 */
    }
    add_frame(&out, HEADERS, END_HEADERS | END_STREAM, 1, buf_slice(&block));
    add_get(&out, 3);
    heard = say(&door, &out);
    assert_int_equal(heard.count[RST_STREAM], 1);
    assert_int_equal(heard.reset_code, CODE_CALM);
    assert_int_equal(heard.reset_stream, 1);
    assert_int_equal(door.request_count, 1); /* the honest one behind it */
    assert_int_equal(door.head_count, 1);
    buf_clean_up(&block);
    xfree(value);
    close_both(&door, &out);
}

static void test_head_limits_are_answered(void **state)
{
    static const struct {
        size_t field_count;
        size_t value_len;
        size_t path_len;
        unsigned status;
    } rows[] = {
        {64, 1, 1, 200},
        {65, 1, 1, 431},
        {1, 16 * 1024 - 200, 1, 200},
        {1, 16 * 1024 + 1, 1, 431},
        {1, 1, 8 * 1024, 200},
        {1, 1, 8 * 1024 + 1, 414},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const size_t room = 64 * 1024;
        char *text = xcalloc(1, room);
        struct door door;
        struct heard heard;
        struct buf block;
        struct buf out;
        size_t at = 0;

        memset(text, 'v', room);
        open_both(&door, &out);
        buf_init(&block, room);
        add_bytes(&block, SLICE("\x82\x87\x41\x04weir"));
        text[0] = '/';
        add_field(&block, SLICE(":path"), (struct slice){text, rows[i].path_len});
        text[0] = 'v';
        for (size_t k = 0; k < rows[i].field_count; k++) {
            add_field(&block, SLICE("x"), (struct slice){text, rows[i].value_len});
        }
        while (at < block.len) { /* in frames of 16 KiB */
            const struct slice part = slice_first(slice_from(buf_slice(&block), at), 16384);

            at += part.len;
            add_frame(
                &out, at == part.len ? HEADERS : CONTINUATION,
                (uint8_t)((at == part.len ? END_STREAM : 0) | (at == block.len ? END_HEADERS : 0)),
                1, part);
        }
        heard = say(&door, &out);
        assert_int_equal(heard.statuses[0], rows[i].status);
        assert_int_equal(door.request_count, rows[i].status == 200 ? 1 : 0);
        buf_clean_up(&block);
        xfree(text);
        close_both(&door, &out);
    }
}

static void test_a_passed_over_stream_is_closed(void **state)
{
    static const struct {
        uint32_t ids[4];
        uint32_t code;
    } rows[] = {
        {{1, 5, 3}, CODE_PROTOCOL}, {{5, 3}, CODE_PROTOCOL}, {{5, 1}, CODE_PROTOCOL},
        {{2}, CODE_PROTOCOL},       {{1, 3, 5, 7}, 0},       {{1, 5, 9}, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;
        struct heard heard;
        struct buf out;

        open_both(&door, &out);
        for (size_t k = 0; k < ARRAY_LEN(rows[i].ids) && rows[i].ids[k] != 0; k++) {
            add_get(&out, rows[i].ids[k]);
        }
        heard = say(&door, &out);
        assert_int_equal(heard.count[GOAWAY], rows[i].code != 0 ? 1 : 0);
        assert_int_equal(heard.goaway_code, rows[i].code);
        assert_int_equal(door.is_closed, rows[i].code != 0);
        close_both(&door, &out);
    }
}

/* Frames behind the one that ended the session have crashed a library before. */
static void test_nothing_behind_the_end_is_looked_at(void **state)
{
    static const struct slice endings[] = {
        SLICE_INIT("\0\0\0\x04\0\0\0\0\x01"),               /* SETTINGS on a stream */
        SLICE_INIT("\0\0\x04\x08\0\0\0\0\0\0\0\0\0"),       /* WINDOW_UPDATE by zero */
        SLICE_INIT("\0\0\x01\x06\0\0\0\0\0x"),              /* a short PING */
        SLICE_INIT("\0\x40\x01\0\0\0\0\0\x01"),             /* over the frame size */
        SLICE_INIT("\0\0\x04\x05\x04\0\0\0\x01\0\0\0\x02"), /* PUSH_PROMISE */
        SLICE_INIT("\0\0\x01\0\0\0\0\0\x01x"),              /* DATA on an idle stream */
        SLICE_INIT("\0\0\x01\x09\x04\0\0\0\x01\x82"),       /* CONTINUATION of nothing */
        SLICE_INIT("\0\0\x01\x01\x05\0\0\0\x01\x80"),       /* an index that does not exist */
    };
    static const struct slice followers[] = {
        SLICE_INIT("\0\0\x02\x0a\0\0\0\0\x01\0\0"), /* ALTSVC */
        SLICE_INIT("\0\0\x04\x0c\0\0\0\0\0\0\x02"
                   "ab"),                                /* ORIGIN */
        SLICE_INIT("\0\0\x05\x10\0\0\0\0\0\0\0\0\x01u"), /* PRIORITY_UPDATE */
        SLICE_INIT("\0\0\x08\x06\0\0\0\0\0"
                   "12345678"),                                           /* PING */
        SLICE_INIT("\0\0\x09\x01\x05\0\0\0\x03\x82\x87\x84\x41\x04weir"), /* a request */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        for (size_t k = 0; k < ARRAY_LEN(followers); k++) {
            struct door door;
            struct heard heard;
            struct buf out;

            open_both(&door, &out);
            add_bytes(&out, endings[i]);
            add_bytes(&out, followers[k]);
            heard = say(&door, &out);
            add_bytes(&out, followers[k]);
            heard = say(&door, &out);
            assert_int_equal(heard.count[GOAWAY], 1);
            assert_int_equal(heard.ping_acks, 0);
            assert_int_equal(door.request_count, 0);
            assert_true(door.is_closed);
            close_both(&door, &out);
        }
    }
}

static void test_unfinished_bodies_stay_within_the_quota(void **state)
{
    enum { QUOTA = 1024 * 1024, STREAMS = 100, PIECE = 16384 };
    static const char zeros[PIECE];
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    struct heard heard;
    struct buf out;

    (void)state;
    limits.in_flight_max_bytes = QUOTA;
    door_open_with(&door, &limits, 1000);
    buf_init(&out, FRAMES_MAX);
    add_greeting(&out);
    for (uint32_t s = 0; s < STREAMS; s++) {
        add_post(&out, s * 2 + 1);
    }
    (void)say(&door, &out);
    for (unsigned p = 0; p < 4; p++) {
        for (uint32_t s = 0; s < STREAMS; s++) {
            add_frame(&out, DATA, 0, s * 2 + 1, (struct slice){zeros, PIECE});
        }
        heard = say(&door, &out);
        assert_true(listener_in_flight_bytes(door.listener) <= QUOTA);
    }
    assert_int_equal(heard.statuses[0], 503);
    assert_int_equal(door.request_count, 0);
    close_both(&door, &out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_flood_ends_early),
        cmocka_unit_test(test_a_few_of_each_are_nobodys_flood),
        cmocka_unit_test(test_a_client_that_resets_a_tenth_goes_on),
        cmocka_unit_test(test_glitches_first_drain_then_close),
        cmocka_unit_test(test_a_peer_that_does_not_read_is_cut),
        cmocka_unit_test(test_a_header_bomb_is_reset_at_its_maximum),
        cmocka_unit_test(test_head_limits_are_answered),
        cmocka_unit_test(test_a_passed_over_stream_is_closed),
        cmocka_unit_test(test_nothing_behind_the_end_is_looked_at),
        cmocka_unit_test(test_unfinished_bodies_stay_within_the_quota),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
