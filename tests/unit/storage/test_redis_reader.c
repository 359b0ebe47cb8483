/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_reader.c - replies out of bytes in any pieces, limits, what garbage does to a link,
 * and the URL.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/redis_reader.h"
#include "storage/redis_url.h"
#include "tests/lib/peer.h"
#include "tests/lib/redis_asker.h"

/* ---- bytes to replies ---- */

/* Goal: however the bytes are cut, the same replies come out. */
static void test_pieces(void **state)
{
    static const struct slice bytes = SLICE_INIT(
        "+OK\r\n:42\r\n$5\r\nbel\r\n\r\n$-1\r\n*2\r\n*1\r\n:1\r\n$0\r\n\r\n-OOM no\r\n*-1\r\n");

    (void)state;
    for (size_t step = 1; step <= bytes.len; step++) {
        struct redis_reader *reader = redis_reader_new();
        struct redisReply *replies[8] = {NULL};
        size_t count = 0;
        uint64_t number = 0;

        for (size_t at = 0; at < bytes.len; at += step) {
            struct redisReply *reply;

            assert_int_equal(redis_reader_feed(reader, slice_first(slice_from(bytes, at), step)),
                             ERR_OK);
            do {
                assert_int_equal(redis_reader_next(reader, &reply), ERR_OK);
                assert_true(reply == NULL || count < ARRAY_LEN(replies));
                replies[count] = reply;
                count += reply != NULL ? 1 : 0;
            } while (reply != NULL);
        }
        assert_int_equal(count, 7);
        assert_true(slice_eq(redis_reply_text(replies[0]), SLICE("OK")));
        assert_false(redis_reply_is_string(replies[0]));
        assert_true(redis_reply_u64(replies[1], &number));
        assert_int_equal(number, 42);
        assert_true(slice_eq(redis_reply_text(replies[2]), SLICE("bel\r\n")));
        assert_true(redis_reply_is_string(replies[2]));
        assert_false(redis_reply_u64(replies[2], &number));
        assert_true(redis_reply_is_nil(replies[3]));
        assert_int_equal(redis_reply_count(replies[4]), 2);
        assert_int_equal(redis_reply_count(redis_reply_at(replies[4], 0)), 1);
        assert_null(redis_reply_at(replies[4], 2));
        assert_null(redis_reply_at(replies[1], 0));
        assert_int_equal(redis_reply_err(replies[5]), ERR_STORE_FULL);
        assert_int_equal(redis_reply_err(replies[4]), ERR_OK);
        assert_true(redis_reply_is_nil(replies[6]));
        for (size_t i = 0; i < count; i++) {
            redis_reply_free(replies[i]);
        }
        redis_reader_destroy(reader);
    }
}

static const char *const garbage[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n", /* somebody else's port */
    "*65537\r\n",
    "*2147483648\r\n",
    "*-2\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    "$-2\r\n",
    "%1\r\n+a\r\n+b\r\n", /* RESP3 */
    "*2\r\n:1\r\n!\r\n",
    "$33554433\r\n", /* more than may come: known before it comes */
    "$999999999999\r\nx",
    "*3\r\n:1\r\n$33554430\r\n",
};

static void test_garbage_and_limits(void **state)
{
    struct redisReply *reply;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        struct redis_reader *reader = redis_reader_new();

        assert_int_equal(redis_reader_feed(reader, slice_of(garbage[i])), ERR_OK);
        if (redis_reader_next(reader, &reply) != ERR_BAD_VALUE) {
            fail_msg("%s was taken", garbage[i]);
        }
        assert_null(reply);
        redis_reader_destroy(reader);
    }
}

/* Goal: the count of bytes begins anew with each reply, and is kept before a byte is stored. */
static void test_bytes_are_counted_per_reply(void **state)
{
    const size_t len = 1 << 20;
    char *piece = xmalloc(len);
    struct redis_reader *reader = redis_reader_new();
    struct redisReply *reply;
    size_t total = 0;
    enum err err = ERR_OK;

    (void)state;
    memset(piece, 'x', len);
    for (unsigned i = 0; i < 100; i++) { /* 100 MiB in small replies */
        memcpy(piece, "$1048564\r\n", 10);
        memcpy(piece + len - 2, "\r\n", 2);
        assert_int_equal(redis_reader_feed(reader, (struct slice){piece, len}), ERR_OK);
        assert_int_equal(redis_reader_next(reader, &reply), ERR_OK);
        assert_int_equal(redis_reply_text(reply).len, len - 12);
        redis_reply_free(reply);
    }
    assert_int_equal(redis_reader_feed(reader, SLICE("*2\r\n$33554410\r\n")), ERR_OK);
    while (err == ERR_OK) {
        assert_int_equal(redis_reader_next(reader, &reply), ERR_OK);
        assert_null(reply);
        err = redis_reader_feed(reader, (struct slice){piece, len});
        total += len;
    }
    assert_int_equal(err, ERR_TOO_LARGE);
    assert_int_equal(total, REDIS_REPLY_BYTES_MAX);
    redis_reader_destroy(reader);
    xfree(piece);
}

/* Goal: a line that does not end is given up long before it has the size of a reply. */
static void test_endless_line(void **state)
{
    static const char *const beginnings[] = {"+", "-ERR ", ":1", "$1", "*1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        struct redis_reader *reader = redis_reader_new();
        struct redisReply *reply;
        char piece[1024];
        size_t total = 0;
        enum err err = redis_reader_feed(reader, slice_of(beginnings[i]));

        memset(piece, '1', sizeof(piece));
        while (err == ERR_OK) {
            assert_int_equal(redis_reader_feed(reader, (struct slice){piece, sizeof(piece)}),
                             ERR_OK);
            err = redis_reader_next(reader, &reply);
            total += sizeof(piece);
        }
        assert_int_equal(err, ERR_BAD_VALUE);
        assert_in_range(total, 0, 128 << 10);
        redis_reader_destroy(reader);
    }
}

/* ---- a server that is none ---- */

struct liar {
    int listener;
    uint16_t port;
    pthread_t thread;
};

/* Each connection gets one piece of garbage, or half a reply, and is then ended. */
static void *lie(void *argument)
{
    const struct liar *liar = argument;

    for (size_t i = 0;; i++) {
        struct peer peer = {.fd = accept4(liar->listener, NULL, NULL, SOCK_CLOEXEC)};
        char room[4096];

        if (peer.fd < 0) {
            return NULL;
        }
        (void)peer_receive(&peer, room, sizeof(room)); /* the greeting */
        (void)peer_send(&peer, i < ARRAY_LEN(garbage) ? slice_of(garbage[i]) : SLICE("$10\r\nhal"));
        peer_end(&peer);
        (void)peer_receive_all(&peer);
        peer_close(&peer);
    }
}

/* Goal: garbage at the other end never admits a connection, never answers a call with success, and
 * the link keeps trying. */
static void test_garbage_ends_the_connection(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    struct redis_link_options options = redis_link_defaults(loop);
    struct liar liar = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct redis_link *link;
    struct asked asked;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(liar.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(liar.listener, 8), 0);
    assert_int_equal(getsockname(liar.listener, (struct sockaddr *)&address, &len), 0);
    liar.port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&liar.thread, NULL, lie, &liar), 0);

    options.port = liar.port;
    options.probe_ms = 1;
    options.refused_ms = 1;
    options.breaker_failures = ARRAY_LEN(garbage) + 4;
    link = redis_link_new(&options);
    asker_send(link, &asked, "PING", NULL);
    asker_await(loop, &asked); /* waited through all of them */
    assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    assert_int_equal(redis_link_connect_count(link), 0);
    redis_link_destroy(link);
    (void)shutdown(liar.listener, SHUT_RDWR);
    assert_int_equal(pthread_join(liar.thread, NULL), 0);
    assert_int_equal(close(liar.listener), 0);
    ev_loop_destroy(loop);
}

/* ---- where it is ---- */

static void test_urls(void **state)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
        unsigned db;
        bool is_tls;
    } rows[] = {
        {"redis://cache.example", "cache.example", 6379, 0, false},
        {"redis://cache.example/", "cache.example", 6379, 0, false},
        {"rediss://10.0.0.1:6380/3", "10.0.0.1", 6380, 3, true},
        {"redis://[::1]:7000/1", "::1", 7000, 1, false},
        {"redis://[fe80::1]", "fe80::1", 6379, 0, false},
        {"http://cache.example", NULL, 0, 0, false},
        {"redis://", NULL, 0, 0, false},
        {"redis://:6379", NULL, 0, 0, false},
        {"redis://user:secret@cache.example", NULL, 0, 0, false},
        {"redis://host:0", NULL, 0, 0, false},
        {"redis://host:65536", NULL, 0, 0, false},
        {"redis://host:", NULL, 0, 0, false},
        {"redis://host:6379/x", NULL, 0, 0, false},
        {"redis://host/-1", NULL, 0, 0, false},
        {"redis://host?db=1", NULL, 0, 0, false},
        {"redis://[::1", NULL, 0, 0, false},
        {"redis://[::1]6379", NULL, 0, 0, false},
        {"redis://two hosts", NULL, 0, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct redis_url url;
        struct err_why why = {.text = ""};
        const enum err err = redis_url_parse(slice_of(rows[i].text), &url, &why);

        if ((err == ERR_OK) != (rows[i].host != NULL)) {
            fail_msg("%s: %s %s", rows[i].text, err_name(err), why.text);
        }
        if (err != ERR_OK) {
            assert_int_equal(err, ERR_BAD_CONFIG);
            assert_true(strlen(why.text) > 10);
            assert_null(strstr(why.text, "secret"));
            continue;
        }
        assert_true(slice_eq(url.host, slice_of(rows[i].host)));
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.db, rows[i].db);
        assert_int_equal(url.is_tls, rows[i].is_tls);
    }
}

static void test_info_fields(void **state)
{
    const struct slice info =
        SLICE("# Server\r\nredis_version:7.0.15\r\nredis_mode:\r\nrole:slave");
    struct slice value;

    (void)state;
    assert_true(redis_info_field(info, SLICE("redis_version"), &value));
    assert_true(slice_eq(value, SLICE("7.0.15")));
    assert_true(redis_info_field(info, SLICE("redis_mode"), &value));
    assert_int_equal(value.len, 0);
    assert_true(redis_info_field(info, SLICE("role"), &value));
    assert_true(slice_eq(value, SLICE("slave")));
    assert_false(redis_info_field(info, SLICE("redis"), &value));
    assert_false(redis_info_field(info, SLICE("version"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_garbage_and_limits),
        cmocka_unit_test(test_bytes_are_counted_per_reply),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_garbage_ends_the_connection),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_info_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
