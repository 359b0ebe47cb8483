/* SPDX-License-Identifier: Apache-2.0
 *
 * test_h1.c - HTTP/1.1 from the first byte to the answer: what is accepted, and the many ways of
 * saying one thing to a proxy and another to weir.
 *
 * Every vector of the table is followed by a request for /smuggled, which must never reach the
 * handler when the vector is refused; each runs in one piece and byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/gateway/door.h"

#define GET      "GET / HTTP/1.1\r\n"
#define POST     "POST /events HTTP/1.1\r\n"
#define HOST     "Host: weir\r\n"
#define END      "\r\n"
#define CHUNKED  "Transfer-Encoding: chunked\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: weir\r\n\r\n"

struct vector {
    struct slice bytes;
    unsigned status; /* 200: accepted, and the next request too */
};

#define V(status, text)                                                                            \
    {                                                                                              \
        SLICE_INIT(text), (status)                                                                 \
    }

static const struct vector vectors[] = {
    /* what must work */
    V(200, GET HOST END),
    V(200, "GET /a/b?c=d&e=%20 HTTP/1.1\r\n" HOST END),
    V(200, "OPTIONS / HTTP/1.1\r\n" HOST END),
    V(200, GET "host:weir\r\n" END),
    V(200, GET "hOST: \t weir:8443 \t \r\n" END),
    V(200, GET "Host: [::1]:8443\r\n" END),
    V(200, GET HOST "X-Empty:\r\n" END),
    V(200, GET HOST "X-Text: caf\xc3\xa9, and\ta tab\r\n" END),
    V(200, GET HOST "!#$%&'*+-.^_`|~09azAZ: odd but a token\r\n" END),
    V(200, POST HOST "Content-Length: 0\r\n" END),
    V(200, POST HOST "Content-Length: 2\r\n" END "{}"),
    V(200, POST HOST "content-length:2\r\n" END "{}"),
    V(200, POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\r\n"),
    V(200, POST HOST CHUNKED END "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
    V(200, POST HOST CHUNKED END "000A\r\n0123456789\r\n00\r\n\r\n"),
    V(200, POST HOST CHUNKED END "a\r\n0123456789\r\n0\r\n\r\n"),
    V(200, POST HOST CHUNKED END "0\r\n\r\n"),
    V(200, POST HOST "Content-Encoding: identity\r\nContent-Length: 2\r\n" END "{}"),
    V(200, GET HOST "Connection: keep-alive\r\n" END),
    V(200, GET HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    "HTTP2-Settings: AAMAAABkAAQAAP__\r\n" END),
    V(200, GET HOST "Upgrade: websocket\r\nConnection: upgrade\r\n" END),
    V(200, GET HOST "Cookie: a=b\r\nCookie: c=d\r\n" END),

    /* line ends */
    V(400, "GET / HTTP/1.1\nHost: weir\n\n"),
    V(400, GET "Host: weir\n" END),
    V(400, GET HOST "\n"),
    V(400, GET HOST "X: a\rb\r\n" END),
    V(400, GET HOST "X: a\r\r\n" END),
    V(400, GET HOST "X: a\n" END),
    V(400, GET HOST "\rX: a\r\n" END),
    V(400, GET HOST "\r\r\n"),
    V(400, "\r\n" GET HOST END),
    V(400, "\n" GET HOST END),
    V(400, "\r\n\r\n"),
    V(400, "GET / HTTP/1.1\r\r\nHost: weir\r\n" END),
    V(400, "GET / HTTP/1.1\rHost: weir\r\n" END),

    /* the request line */
    V(400, " GET / HTTP/1.1\r\n" HOST END),
    V(400, "GET  / HTTP/1.1\r\n" HOST END),
    V(400, "GET /  HTTP/1.1\r\n" HOST END),
    V(400, "GET / HTTP/1.1 \r\n" HOST END),
    V(400, "GET\t/\tHTTP/1.1\r\n" HOST END),
    V(400, "GET /\x0bHTTP/1.1\r\n" HOST END),
    V(400, "GET /\r\n" HOST END),
    V(400, "GET\r\n" HOST END),
    V(400, "GET / HTTP/1.1 HTTP/1.1\r\n" HOST END),
    V(400, "GET /a b HTTP/1.1\r\n" HOST END),
    V(400, "GET /\x80 HTTP/1.1\r\n" HOST END),
    V(400, "GET /\x7f HTTP/1.1\r\n" HOST END),
    V(400, "GET /\x01 HTTP/1.1\r\n" HOST END),
    V(400, "GET /\0 HTTP/1.1\r\n" HOST END),
    V(400, "GET /#fragment HTTP/1.1\r\n" HOST END),
    V(400, "GET events HTTP/1.1\r\n" HOST END),
    V(400, "GET * HTTP/1.1\r\n" HOST END),
    V(400, "OPTIONS * HTTP/1.1\r\n" HOST END),
    V(400, "GET http://weir/ HTTP/1.1\r\n" HOST END),
    V(400, "GET //weir/ HTTP/1.1\n" HOST END),
    V(400, "GET ?a=b HTTP/1.1\r\n" HOST END),
    V(400, "G@T / HTTP/1.1\r\n" HOST END),
    V(400, "G\0T / HTTP/1.1\r\n" HOST END),
    V(400, "get / HTTP/1.1\r\n" HOST END),
    V(400, "NONSENSE / HTTP/1.1\r\n" HOST END),
    V(400, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST END),
    V(400, "GET / http/1.1\r\n" HOST END),
    V(400, "GET / HTTP/1.1a\r\n" HOST END),
    V(400, "GET / HTTP/11\r\n" HOST END),
    V(400, "GET / HTTP/1.\r\n" HOST END),
    V(400, "GET / HTTP/.1\r\n" HOST END),
    V(400, "GET / HTTP/1,1\r\n" HOST END),
    V(400, "GET / HTTP/01.1\r\n" HOST END),
    V(400, "GET / ICY/1.1\r\n" HOST END),
    V(400, "GET / HTTPS/1.1\r\n" HOST END),
    V(505, "GET / HTTP/1.0\r\n" HOST END),
    V(505, "GET / HTTP/0.9\r\n" HOST END),
    V(505, "GET / HTTP/1.2\r\n" HOST END),
    V(505, "GET / HTTP/2.0\r\n" HOST END),
    V(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"),
    V(405, "CONNECT weir:443 HTTP/1.1\r\n" HOST END),
    V(405, "CONNECT / HTTP/1.1\r\n" HOST END),
    V(405, "TRACE / HTTP/1.1\r\n" HOST END),

    /* names and values */
    V(400, GET HOST "X : a\r\n" END),
    V(400, GET HOST "X\t: a\r\n" END),
    V(400, GET HOST " X: a\r\n" END),
    V(400, GET HOST "X: a\r\n folded\r\n" END),
    V(400, GET HOST "X: a\r\n\tfolded\r\n" END),
    V(400, "GET / HTTP/1.1\r\n Host: weir\r\n" END),
    V(400, GET HOST ": a\r\n" END),
    V(400, GET HOST "X\r\n" END),
    V(400, GET HOST "X;Y: a\r\n" END),
    V(400, GET HOST "X(Y): a\r\n" END),
    V(400, GET HOST "X\x80: a\r\n" END),
    V(400, GET HOST "X\0: a\r\n" END),
    V(400, GET HOST "X: a\0b\r\n" END),
    V(400, GET HOST "X: a\x01\r\n" END),
    V(400, GET HOST "X: a\x7f\r\n" END),
    V(400, GET HOST "X: a\x0b\r\n" END),
    V(400, GET HOST "X: a\x1b[2J\r\n" END),
    V(400, GET HOST "\x00\r\n" END),

    /* the host */
    V(400, GET END),
    V(400, GET "Host: a\r\nHost: b\r\n" END),
    V(400, GET "Host: a\r\nhost: a\r\n" END),
    V(400, GET "Host:\r\n" END),
    V(400, GET "Host: a b\r\n" END),
    V(400, GET "Host: a,b\r\n" END),
    V(400, GET "Host: a/b\r\n" END),
    V(400, GET "Host: user@a\r\n" END),
    V(400, GET "Host: a#b\r\n" END),
    V(400, GET "Host : a\r\n" END),
    V(400, GET "Host: caf\xc3\xa9\r\n" END),

    /* the length */
    V(400, POST HOST "Content-Length: 2\r\nContent-Length: 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2\r\nContent-Length: 3\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 0\r\nContent-Length: 40\r\n" END),
    V(400, POST HOST "Content-Length: 2\r\ncontent-length: 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2, 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: +2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: -2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 0x2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 02\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 00\r\n" END),
    V(400, POST HOST "Content-Length: 2.0\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2e0\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2 \x0b\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 1 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: \"2\"\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2;\r\n" END "{}"),
    V(400, POST HOST "Content-Length:\r\n" END "{}"),
    V(400, POST HOST "Content-Length: two\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 18446744073709551618\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 9223372036854775808\r\n" END "{}"),
    V(400, POST HOST "Content-Length\r\n: 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length : 2\r\n" END "{}"),
    V(400, POST HOST "Content-Length: 2\r\n 3\r\n" END "{}"),
    V(413, POST HOST "Content-Length: 999999999999999\r\n" END "{}"),
    V(413, POST HOST "Content-Length: 1114113\r\n" END "{}"),

    /* the coding */
    V(400, POST HOST CHUNKED "Content-Length: 5\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Content-Length: 5\r\n" CHUNKED END "0\r\n\r\n"),
    V(400, POST HOST CHUNKED "Content-Length: 0\r\n" END "0\r\n\r\n"),
    V(400, POST HOST CHUNKED CHUNKED END "0\r\n\r\n"),
    V(400, POST HOST CHUNKED "transfer-encoding: identity\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: identity\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: gzip, chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunked, gzip\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunked, chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunked,\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: ,chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: xchunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunkedx\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunked;q=1\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: CHUNKED\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: \"chunked\"\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: \x0b"
                     "chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding:\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding:\r\n chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding : chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding\t: chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST " Transfer-Encoding: chunked\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunk\r\n" END "0\r\n\r\n"),
    V(400, POST HOST "Transfer-Encoding: chunked\0\r\n" END "0\r\n\r\n"),

    /* chunks */
    V(400, POST HOST CHUNKED END "2;a=b\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2;\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2 \r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END " 2\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\t\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "0x2\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "+2\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "-2\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2_\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "g\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}XX0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "3\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0\n\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\rX"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0;a\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0\r\nTrailer: a\r\n\r\n"),
    V(400, POST HOST CHUNKED END "2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n"),
    V(400, POST HOST CHUNKED END "000000002\r\n{}\r\n0\r\n\r\n"),
    V(400, POST HOST CHUNKED END "10000000000000002\r\n{}\r\n0\r\n\r\n"),
    V(413, POST HOST CHUNKED END "ffffffff\r\n{}"),

    /* the rest */
    V(415, POST HOST "Content-Encoding: gzip\r\nContent-Length: 2\r\n" END "{}"),
    V(415, POST HOST "Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n" END "{}"),
    V(417, POST HOST "Expect: 200-ok\r\nContent-Length: 2\r\n" END "{}"),
    V(417, POST HOST "Expect: 100-continue, x\r\nContent-Length: 2\r\n" END "{}"),
};

/* A chunk of 4 GiB is refused when its data passes the maximum: give it that much. */
static void send_filler(struct door *door)
{
    char filler[16384];

    memset(filler, 'x', sizeof(filler));
    for (unsigned i = 0; i < 80 && door_send(door, (struct slice){filler, sizeof(filler)}); i++) {
        door_pump(door);
    }
}

static void send_vector(struct door *door, const struct vector *vector, bool in_pieces)
{
    for (size_t i = 0; i < vector->bytes.len;) {
        const size_t len = in_pieces ? 1 : vector->bytes.len;

        (void)door_send(door, slice_first(slice_from(vector->bytes, i), len));
        if (in_pieces) {
            (void)ev_run(door->loop, EVRUN_NOWAIT);
        }
        i += len;
    }
    if (vector->status == 413) {
        send_filler(door);
    }
    (void)door_send(door, SLICE(SMUGGLED));
    door_pump(door);
}

static void check_vector(const struct vector *vector, bool in_pieces)
{
    const unsigned wanted_requests = vector->status == 200 ? 2 : 0;
    struct door door;

    door_open(&door);
    send_vector(&door, vector, in_pieces);
    if (door_status_at(&door, 0) != vector->status || door.request_count != wanted_requests ||
        door.is_closed != (vector->status != 200)) {
        fail_msg("%s of\n%.*s\nwants %u, gave %u; %u requests reached the handler; %s",
                 in_pieces ? "pieces" : "the whole", SLICE_ARG(vector->bytes), vector->status,
                 door_status_at(&door, 0), door.request_count,
                 door.is_closed ? "closed" : "still open");
    }
    if (vector->status != 200) {
        assert_int_equal(door_count_text(&door, SLICE("date: ")), 1);
        assert_true(door_has_text(&door, SLICE("connection: close\r\n")));
    }
    door_close(&door);
}

static void test_each_vector_has_its_outcome(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        check_vector(&vectors[i], false);
        check_vector(&vectors[i], true);
    }
}

static void test_a_request_reaches_the_handler_as_sent(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    assert_true(
        door_send(&door, SLICE("POST /events?bus=a%20b HTTP/1.1\r\nHost: WEIR.example:8443\r\n"
                               "X-Api-Key: k\r\nContent-Length: 11\r\n\r\nhello world")));
    door_pump(&door);
    assert_string_equal(door.method, "POST");
    assert_string_equal(door.path, "/events");
    assert_string_equal(door.query, "bus=a%20b");
    assert_string_equal(door.authority, "weir.example:8443");
    assert_int_equal(door.body_len, 11);
    assert_int_equal(door.header_count, 3);
    assert_true(door_has_text(&door, SLICE("content-length: 5\r\n")));
    assert_true(door_has_text(&door, SLICE("content-type: text/plain\r\n")));
    assert_true(door_has_text(&door, SLICE(" GMT\r\n")));
    assert_true(door_has_text(&door, SLICE("\r\n\r\nhello")));
    assert_false(door.is_closed);
    door_close(&door);
}

static void test_connection_close_is_one_answer_and_the_end(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    assert_true(door_send(
        &door, SLICE(POST HOST "Connection: close\r\nContent-Length: 2\r\n" END "{}" SMUGGLED)));
    door_pump(&door);
    assert_int_equal(door.request_count, 1);
    assert_int_equal(door_status_at(&door, 0), 200);
    assert_true(door_has_text(&door, SLICE("connection: close\r\n")));
    assert_true(door.is_closed);
    door_close(&door);
}

static void test_a_long_body_and_a_long_answer_pass_whole(void **state)
{
    enum { LEN = 1000 * 1000 };
    char *body = xmalloc(LEN);
    struct digest digest;
    struct door door;

    (void)state;
    for (size_t i = 0; i < LEN; i++) {
        body[i] = (char)('a' + i * 7 % 26);
    }
    door_open(&door);
    digest_sha256((struct slice){body, LEN}, &digest);
    door.answer = (struct slice){body, LEN};
    assert_true(door_send(&door, SLICE(POST HOST "Content-Length: 1000000\r\n" END)));
    assert_true(door_send(&door, (struct slice){body, LEN}));
    door_pump(&door);
    assert_int_equal(door.body_len, LEN);
    assert_true(digest_equal(digest_slice(&door.body_digest), digest_slice(&digest)));
    assert_true(slice_has_suffix(door_received(&door), (struct slice){body, LEN}));
    assert_int_equal(listener_in_flight_bytes(door.listener), 0);
    door_close(&door);
    xfree(body);
}

static void test_expect_continue_is_answered_after_the_head_was_accepted(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    assert_true(
        door_send(&door, SLICE(POST HOST "Expect: 100-continue\r\nContent-Length: 2\r\n" END)));
    door_pump(&door);
    assert_int_equal(door.head_count, 1);
    assert_true(slice_eq(door_received(&door), SLICE("HTTP/1.1 100 Continue\r\n\r\n")));
    assert_true(door_send(&door, SLICE("{}")));
    door_pump(&door);
    assert_int_equal(door_status_at(&door, 25), 200);
    door_close(&door);

    door_open(&door);
    door.head_err = ERR_BAD_CREDENTIAL;
    assert_true(
        door_send(&door, SLICE(POST HOST "Expect: 100-continue\r\nContent-Length: 2\r\n" END)));
    door_pump(&door);
    assert_int_equal(door_status_at(&door, 0), 403);
    assert_false(door_has_text(&door, SLICE("100 Continue")));
    assert_true(door.is_closed);
    door_close(&door);
}

static void test_a_pipelined_expectation_is_answered_too(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    door.holds = true;
    assert_true(door_send(
        &door, SLICE(GET HOST END POST HOST "Expect: 100-continue\r\nContent-Length: 2\r\n" END)));
    door_pump(&door);
    assert_int_equal(door.held_count, 1);
    door_answer(&door, door.held[0]);
    door.held[0] = NULL;
    door_pump(&door);
    assert_true(slice_has_suffix(door_received(&door), SLICE("HTTP/1.1 100 Continue\r\n\r\n")));
    door_close(&door);
}

static void test_what_the_handler_refuses_is_not_read(void **state)
{
    static const struct {
        enum err err;
        size_t body_max;
        struct slice request;
        unsigned status;
        bool is_closed;
    } rows[] = {
        {ERR_BAD_CREDENTIAL, 0, SLICE_INIT(POST HOST "Content-Length: 2\r\n" END "{}"), 403, true},
        {ERR_BAD_CREDENTIAL, 0, SLICE_INIT(POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\r\n"), 403,
         true},
        {ERR_NOT_FOUND, 0, SLICE_INIT(GET HOST END), 404, false},
        {ERR_BAD_METHOD, 0, SLICE_INIT(GET HOST END), 405, false},
        {ERR_OK, 1, SLICE_INIT(POST HOST "Content-Length: 2\r\n" END "{}"), 413, true},
        {ERR_OK, 1, SLICE_INIT(POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\r\n"), 413, true},
        {ERR_OK, 2, SLICE_INIT(POST HOST CHUNKED END "2\r\n{}\r\n0\r\n\r\n"), 200, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;

        door_open(&door);
        door.head_err = rows[i].err;
        door.body_max = rows[i].body_max;
        assert_true(door_send(&door, rows[i].request));
        door_pump(&door);
        assert_int_equal(door_status_at(&door, 0), rows[i].status);
        assert_int_equal(door.request_count, rows[i].status == 200 ? 1 : 0);
        assert_int_equal(door.is_closed, rows[i].is_closed);
        door_close(&door);
    }
}

static void test_limits_of_the_head(void **state)
{
    static const struct {
        size_t path_len;
        size_t field_count;
        size_t value_len;
        unsigned status;
    } rows[] = {
        {1, 1, 1, 200},
        {8 * 1024, 1, 1, 200},
        {8 * 1024 + 1, 1, 1, 414},
        {40 * 1024, 1, 1, 414},
        {1, 63, 1, 200},
        {1, 64, 1, 431},
        {1, 1, 16 * 1024, 200},
        {1, 1, 16 * 1024 + 1, 431},
        {1, 3, 11000, 431},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;
        struct buf head;

        buf_init(&head, 256 * 1024);
        assert_int_equal(buf_printf(&head, "GET "), ERR_OK);
        for (size_t k = 0; k < rows[i].path_len; k++) {
            assert_int_equal(buf_append_byte(&head, k == 0 ? '/' : 'p'), ERR_OK);
        }
        assert_int_equal(buf_printf(&head, " HTTP/1.1\r\nHost: weir\r\n"), ERR_OK);
        for (size_t k = 0; k < rows[i].field_count; k++) {
            assert_int_equal(buf_printf(&head, "X-%zu: ", k), ERR_OK);
            for (size_t n = 0; n < rows[i].value_len; n++) {
                assert_int_equal(buf_append_byte(&head, 'v'), ERR_OK);
            }
            assert_int_equal(buf_append(&head, SLICE("\r\n")), ERR_OK);
        }
        assert_int_equal(buf_append(&head, SLICE("\r\n")), ERR_OK);
        door_open(&door);
        (void)door_send(&door, buf_slice(&head));
        door_pump(&door);
        assert_int_equal(door_status_at(&door, 0), rows[i].status);
        assert_int_equal(door.request_count, rows[i].status == 200 ? 1 : 0);
        assert_int_equal(door.is_closed, rows[i].status != 200);
        door_close(&door);
        buf_clean_up(&head);
    }
}

static void test_an_endless_head_is_cut_at_its_maximum(void **state)
{
    struct door door;
    unsigned sent_count = 0;

    (void)state;
    door_open(&door);
    (void)door_send(&door, SLICE(GET HOST));
    while (!door.is_closed && sent_count < 10000) {
        (void)door_send(&door, SLICE("X-Again: and again\r\n"));
        door_pump(&door);
        sent_count++;
    }
    assert_int_equal(door_status_at(&door, 0), 431);
    assert_in_range(sent_count, 1, 32 * 1024 / 20 + 1);
    door_close(&door);
}

static void test_pipelined_requests_are_answered_one_at_a_time(void **state)
{
    enum { COUNT = 10000 };
    const struct slice request = SLICE(GET HOST END);
    struct door door;

    (void)state;
    door_open(&door);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(door_send(&door, request));
    }
    door_pump(&door);
    assert_int_equal(door.request_count, COUNT);
    assert_int_equal(door_count_text(&door, SLICE("HTTP/1.1 200 ")), COUNT);
    door_close(&door);
}

static void test_reading_ahead_stops(void **state)
{
    enum { MORE = 1024 * 1024 };
    struct door door;
    size_t sent = 0;
    char filler[4096];

    (void)state;
    memset(filler, 'x', sizeof(filler));
    door_open(&door);
    door.holds = true;
    assert_true(door_send(&door, SLICE(GET HOST END)));
    door_pump(&door);
    assert_int_equal(door.held_count, 1);
    while (sent < MORE) {
        const ssize_t len = send(door.fd, filler, sizeof(filler), MSG_NOSIGNAL);

        if (len < 0) {
            break; /* the kernel is full: nobody reads */
        }
        sent += (size_t)len;
        door_pump(&door);
    }
    assert_true(sent < MORE);
    assert_int_equal(door.request_count, 1);
    door_close(&door);
}

static void test_an_answer_after_the_connection_has_gone_goes_nowhere(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    door.holds = true;
    assert_true(door_send(&door, SLICE(POST HOST "Content-Length: 2\r\n" END "{}")));
    door_pump(&door);
    assert_int_equal(door.held_count, 1);
    assert_int_equal(listener_in_flight_bytes(door.listener), 2);
    assert_int_equal(close(door.fd), 0);
    door.fd = door_connect(&door);
    door_pump(&door);
    stream_loop_destroy(door.streams);
    door.streams = NULL;
    assert_int_equal(listener_connection_count(door.listener), 0);
    assert_int_equal(listener_in_flight_bytes(door.listener), 2);
    door_answer(&door, door.held[0]);
    door.held[0] = NULL;
    assert_int_equal(listener_in_flight_bytes(door.listener), 0);
    door_close(&door);
}

static void test_a_half_closed_peer_gets_its_answers(void **state)
{
    static const struct {
        struct slice bytes;
        unsigned answers;
        unsigned status;
    } rows[] = {
        {SLICE_INIT(GET HOST END), 1, 200},
        {SLICE_INIT(GET HOST END GET HOST END GET HOST END), 3, 200},
        {SLICE_INIT(GET HOST), 1, 400},
        {SLICE_INIT(POST HOST "Content-Length: 5\r\n" END "{}"), 1, 400},
        {SLICE_INIT(POST HOST CHUNKED END "2\r\n{}\r\n"), 1, 400},
        {SLICE_INIT(""), 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;

        door_open(&door);
        assert_true(door_send(&door, rows[i].bytes));
        assert_int_equal(shutdown(door.fd, SHUT_WR), 0);
        door_pump(&door);
        assert_true(door.is_closed);
        assert_int_equal(door_count_text(&door, SLICE("date: ")), rows[i].answers);
        assert_int_equal(door_status_at(&door, 0), rows[i].status);
        door_close(&door);
    }
}

static void test_slow_heads_and_bodies_are_answered_408(void **state)
{
    static const struct {
        struct slice bytes;
        unsigned status; /* 0: closed without a word */
    } rows[] = {
        {SLICE_INIT(""), 0},
        {SLICE_INIT(GET "Ho"), 408},
        {SLICE_INIT("PRI * HTTP/2.0\r\n"), 0},
        {SLICE_INIT(POST HOST "Content-Length: 5\r\n" END "{}"), 408},
        {SLICE_INIT(POST HOST CHUNKED END "2\r\n{}"), 408},
    };
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    (void)state;
    limits.head_timeout_ms = 60;
    limits.body_timeout_ms = 60;
    limits.body_grace_ms = 60;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct door door;

        door_open_with(&door, &limits, 10);
        assert_true(door_send(&door, rows[i].bytes));
        door_wait_closed(&door);
        assert_int_equal(door_status_at(&door, 0), rows[i].status);
        assert_int_equal(door.request_count, 0);
        assert_int_equal(listener_counts(door.listener)->timeouts, 1);
        door_close(&door);
    }
}

static void test_head_has_no_body_in_its_answer(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    assert_true(door_send(&door, SLICE("HEAD / HTTP/1.1\r\n" HOST END)));
    door_pump(&door);
    assert_true(door_has_text(&door, SLICE("content-length: 5\r\n")));
    assert_true(slice_has_suffix(door_received(&door), SLICE("\r\n\r\n")));
    door_close(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_vector_has_its_outcome),
        cmocka_unit_test(test_a_request_reaches_the_handler_as_sent),
        cmocka_unit_test(test_connection_close_is_one_answer_and_the_end),
        cmocka_unit_test(test_a_long_body_and_a_long_answer_pass_whole),
        cmocka_unit_test(test_expect_continue_is_answered_after_the_head_was_accepted),
        cmocka_unit_test(test_a_pipelined_expectation_is_answered_too),
        cmocka_unit_test(test_what_the_handler_refuses_is_not_read),
        cmocka_unit_test(test_limits_of_the_head),
        cmocka_unit_test(test_an_endless_head_is_cut_at_its_maximum),
        cmocka_unit_test(test_pipelined_requests_are_answered_one_at_a_time),
        cmocka_unit_test(test_reading_ahead_stops),
        cmocka_unit_test(test_an_answer_after_the_connection_has_gone_goes_nowhere),
        cmocka_unit_test(test_a_half_closed_peer_gets_its_answers),
        cmocka_unit_test(test_slow_heads_and_bodies_are_answered_408),
        cmocka_unit_test(test_head_has_no_body_in_its_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
