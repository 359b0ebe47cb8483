/* SPDX-License-Identifier: Apache-2.0
 *
 * test_http.c - the client against a server of threads that behaves, misbehaves or says nothing,
 * as the path of the request tells it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/http.h"
#include "tests/lib/certificate.h"

/* ---- the server ---- */

enum { CONNECTIONS_MAX = 512, REQUEST_MAX = 65536 };

static struct {
    int fd;
    unsigned port;
    pthread_t acceptor;
    pthread_t threads[CONNECTIONS_MAX];
    int fds[CONNECTIONS_MAX];
    atomic_uint connection_count;
    atomic_uint request_count;
} server;

static void say(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        const ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

        if (sent <= 0) {
            return;
        }
        text += sent;
        left -= (size_t)sent;
    }
}

/* Read one request; false when the client is gone.  `request` holds head and body. */
static bool hear(int fd, char request[static REQUEST_MAX])
{
    size_t len = 0;
    size_t wanted = SIZE_MAX;

    while (len < wanted) {
        const ssize_t got = recv(fd, request + len, REQUEST_MAX - 1 - len, 0);
        const char *end;

        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
        request[len] = '\0';
        end = strstr(request, "\r\n\r\n");
        if (end != NULL && wanted == SIZE_MAX) {
            const char *length = strcasestr(request, "\r\ncontent-length:");

            wanted = (size_t)(end + 4 - request);
            wanted += length != NULL ? strtoul(length + 17, NULL, 10) : 0;
        }
    }
    return true;
}

static void break_off(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void echo(int fd, const char *request)
{
    char head[128];

    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   strlen(request));
    say(fd, head);
    say(fd, request);
}

static void say_many(int fd, const char *before, const char *again, unsigned count)
{
    say(fd, before);
    while (count-- > 0) {
        say(fd, again);
    }
    say(fd, "\r\n");
}

/* false: close the connection. */
static bool answer(int fd, const char *request)
{
    static const struct {
        const char *path;
        const char *reply;
        bool keeps_open;
    } plain[] = {
        {" /ok ", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kind:  Good day \r\n\r\nhello", true},
        {" /fail ", "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\noops", true},
        {" /continue ",
         "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 204 No\r\nX-Late: 2\r\n\r\n", true},
        {" /moved ", "HTTP/1.1 302 Go\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", true},
        {" /chunked ",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n"
         "X-Trailer: no\r\n\r\n",
         true},
        {" /rubbish ", "this is not HTTP at all\r\n\r\n", false},
        {" /announced ", "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\nabc", false},
        {" /empty ", "", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (strstr(request, plain[i].path) != NULL) {
            say(fd, plain[i].reply);
            return plain[i].keeps_open;
        }
    }
    if (strstr(request, " /echo ") != NULL) {
        echo(fd, request);
        return true;
    }
    if (strstr(request, " /reset ") != NULL) {
        break_off(fd);
    } else if (strstr(request, " /endless ") != NULL) {
        say_many(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\n12345678\r\n",
                 4000);
    } else if (strstr(request, " /headers ") != NULL) {
        say_many(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "X-Padding: 0123456789abcdef\r\n",
                 2000);
    } else if (strstr(request, " /continues ") != NULL) {
        say_many(fd, "", "HTTP/1.1 100 Continue\r\nX-Padding: 0123456789abcdef\r\n\r\n", 4000);
    } else { /* "/hang": wait until the client goes */
        char byte;

        (void)recv(fd, &byte, 1, 0);
    }
    return false;
}

static void *serve_connection(void *argument)
{
    const int *fd = argument;
    char *request = xmalloc(REQUEST_MAX);

    do {
        if (!hear(*fd, request)) {
            break;
        }
        atomic_fetch_add(&server.request_count, 1);
    } while (answer(*fd, request));
    (void)close(*fd);
    xfree(request);
    return NULL;
}

static void *serve(void *argument)
{
    (void)argument;
    for (;;) {
        const int fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC);
        const unsigned i = atomic_load(&server.connection_count);

        if (fd < 0) {
            return NULL;
        }
        CHECK(i < CONNECTIONS_MAX);
        server.fds[i] = fd;
        CHECK(pthread_create(&server.threads[i], NULL, serve_connection, &server.fds[i]) == 0);
        atomic_fetch_add(&server.connection_count, 1);
    }
}

static void listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    memset(&server, 0, sizeof(server));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server.fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(server.fd, 256) == 0);
    CHECK(getsockname(server.fd, (struct sockaddr *)&address, &len) == 0);
    server.port = ntohs(address.sin_port);
}

static int start_server(void **state)
{
    (void)state;
    listen_on_loopback();
    CHECK(pthread_create(&server.acceptor, NULL, serve, NULL) == 0);
    return 0;
}

/* Every client is destroyed by now, so the connections end by themselves. */
static int stop_server(void **state)
{
    (void)state;
    (void)shutdown(server.fd, SHUT_RDWR);
    CHECK(pthread_join(server.acceptor, NULL) == 0);
    for (unsigned i = 0; i < atomic_load(&server.connection_count); i++) {
        CHECK(pthread_join(server.threads[i], NULL) == 0);
    }
    (void)close(server.fd);
    return 0;
}

/* ---- the client ---- */

struct errand {
    struct http_call call;
    char url[128];
    unsigned done_count;
    unsigned *left; /* the last one home stops the loop */
    struct ev_loop *loop;
};

static void on_done(struct http_call *call)
{
    struct errand *errand = CONTAINER_OF(call, struct errand, call);

    errand->done_count++;
    if (--*errand->left == 0) {
        ev_break(errand->loop, EVBREAK_ALL);
    }
}

static void prepare(struct errand *errand, const char *path, struct ev_loop *loop, unsigned *left)
{
    *errand = (struct errand){.loop = loop, .left = left};
    (void)snprintf(errand->url, sizeof(errand->url), "http://127.0.0.1:%u%s", server.port, path);
    errand->call = (struct http_call){
        .method = "GET",
        .url = errand->url,
        .timeout_ms = 10000,
        .response_max = 4096,
        .on_done = on_done,
    };
}

static struct http_client *new_client(struct ev_loop *loop)
{
    const struct http_client_options options = {
        .loop = loop,
        .connections_max = 64,
        .host_connections_max = 16,
    };

    return http_client_new(&options);
}

/* Run one call to its end; on_done must come later than http_start and exactly once. */
static void run_with(struct http_client *client, struct errand *errand)
{
    unsigned left = 1;

    errand->left = &left;
    http_start(client, &errand->call);
    assert_int_equal(errand->done_count, 0);
    ev_run(errand->loop, 0);
    assert_int_equal(errand->done_count, 1);
}

/* Goal: each behaviour of a server has its own outcome, and the client survives them all in turn.
 */
static void test_each_behaviour_has_its_outcome(void **state)
{
    static const struct {
        const char *path;
        enum err err;
        unsigned status;
        const char *body;
    } rows[] = {
        {"/ok", ERR_OK, 200, "hello"},
        {"/fail", ERR_OK, 500, "oops"},
        {"/moved", ERR_OK, 302, ""},
        {"/continue", ERR_OK, 204, ""},
        {"/chunked", ERR_OK, 200, "abcdefg"},
        {"/reset", ERR_REMOTE_FAILED, 200, NULL},
        {"/empty", ERR_REMOTE_FAILED, 0, ""},
        {"/rubbish", ERR_REMOTE_FAILED, 0, ""},
        {"/announced", ERR_TOO_LARGE, 200, ""},
        {"/endless", ERR_TOO_LARGE, 200, NULL},
        {"/headers", ERR_TOO_LARGE, 0, ""},
        {"/continues", ERR_TOO_LARGE, 0, ""},
        {"/hang", ERR_REMOTE_TIMEOUT, 0, ""},
        {"/ok", ERR_OK, 200, "hello"},
    };
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errand errand;

        prepare(&errand, rows[i].path, loop, NULL);
        errand.call.timeout_ms = rows[i].err == ERR_REMOTE_TIMEOUT ? 50 : 10000;
        run_with(client, &errand);
        if (errand.call.err != rows[i].err ||
            (rows[i].status != 0 && errand.call.status != rows[i].status)) {
            fail_msg("%s: %s, status %u, %s", rows[i].path, err_name(errand.call.err),
                     errand.call.status, errand.call.error_text);
        }
        assert_int_equal(errand.call.error_text[0] == '\0', rows[i].err == ERR_OK);
        if (rows[i].body != NULL) {
            const struct slice body = buf_slice(&errand.call.response);

            assert_true(slice_eq(slice_first(body, strlen(rows[i].body)), slice_of(rows[i].body)));
        }
        assert_true(errand.call.response.len <= errand.call.response_max);
        http_call_clean_up(&errand.call);
        http_call_clean_up(&errand.call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

/* Goal: reply headers are found by lower-case name, trimmed, from the final reply only. */
static void test_reply_headers(void **state)
{
    static const struct {
        const char *path;
        struct slice name;
        struct slice value;
    } rows[] = {
        {"/ok", SLICE_INIT("x-kind"), SLICE_INIT("Good day")},
        {"/ok", SLICE_INIT("x-kin"), SLICE_INIT("")},
        {"/fail", SLICE_INIT("retry-after"), SLICE_INIT("7")},
        {"/continue", SLICE_INIT("x-early"), SLICE_INIT("")},
        {"/continue", SLICE_INIT("x-late"), SLICE_INIT("2")},
        {"/chunked", SLICE_INIT("x-trailer"), SLICE_INIT("")},
    };
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errand errand;
        struct slice value;

        prepare(&errand, rows[i].path, loop, NULL);
        run_with(client, &errand);
        value = http_response_header(&errand.call, rows[i].name);
        if (!slice_eq(value, rows[i].value)) {
            fail_msg("%s %.*s: '%.*s'", rows[i].path, SLICE_ARG(rows[i].name), SLICE_ARG(value));
        }
        http_call_clean_up(&errand.call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

/* Goal:   what was asked for is sent, and nothing else.
 * Method: the server echoes the request. */
static void test_the_request_is_what_was_asked_for(void **state)
{
    static const struct header headers[] = {
        {SLICE_INIT("X-Amz-Target"), SLICE_INIT("AmazonSQS.SendMessage")},
        {SLICE_INIT("X-Empty"), SLICE_INIT("")},
        {SLICE_INIT("Content-Type"), SLICE_INIT("application/x-amz-json-1.0")},
    };
    static const struct {
        const char *method;
        size_t header_count;
        const char *body;
        const char *start;
        const char *wanted;
        const char *unwanted;
    } rows[] = {
        {"GET", 0, "", "GET /echo HTTP/1.1\r\n", "\r\nHost: 127.0.0.1:", "\r\nAccept:"},
        {"GET", 0, "", "GET /echo HTTP/1.1\r\n", "", "\r\nUser-Agent:"},
        {"POST", 3, "{}", "POST /echo HTTP/1.1\r\n", "\r\n\r\n{}", "\r\nExpect:"},
        {"POST", 3, "{}", "POST ", "\r\nX-Amz-Target: AmazonSQS.SendMessage\r\n", "urlencoded"},
        {"POST", 3, "{}", "POST ", "\r\nX-Empty:\r\n", "\r\nAccept:"},
        {"POST", 0, "", "POST ", "\r\nContent-Length: 0\r\n", "\r\nContent-Type:"},
        {"PUT", 3, "body", "PUT /echo ", "\r\nContent-Length: 4\r\n", "\r\nExpect:"},
        {"DELETE", 0, "", "DELETE /echo ", "\r\n\r\n", "\r\nContent-Type:"},
        {"GET", 0, "", "GET ", "\r\n\r\n", "Content-Length"},
    };
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errand errand;
        const char *seen;

        prepare(&errand, "/echo", loop, NULL);
        errand.call.method = rows[i].method;
        errand.call.headers = headers;
        errand.call.header_count = rows[i].header_count;
        errand.call.body = slice_of(rows[i].body);
        run_with(client, &errand);
        assert_int_equal(errand.call.err, ERR_OK);
        assert_int_equal(buf_append_byte(&errand.call.response, '\0'), ERR_OK);
        seen = errand.call.response.data;
        if (strncmp(seen, rows[i].start, strlen(rows[i].start)) != 0 ||
            strstr(seen, rows[i].wanted) == NULL || strstr(seen, rows[i].unwanted) != NULL) {
            fail_msg("row %zu: wanted '%s' without '%s', the server saw\n%s", i, rows[i].wanted,
                     rows[i].unwanted, seen);
        }
        http_call_clean_up(&errand.call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

/* Goal: a long body is sent at once, without asking first. */
static void test_a_long_body_needs_no_expect(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);
    struct errand errand;
    static char body[30000];

    (void)state;
    memset(body, 'b', sizeof(body));
    prepare(&errand, "/echo", loop, NULL);
    errand.call.method = "POST";
    errand.call.body = (struct slice){body, sizeof(body)};
    errand.call.response_max = REQUEST_MAX;
    run_with(client, &errand);
    assert_int_equal(errand.call.err, ERR_OK);
    assert_true(slice_has_suffix(buf_slice(&errand.call.response), errand.call.body));
    http_call_clean_up(&errand.call);
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

/* Goal: what cannot be sent is refused, later and not in http_start(). */
static void test_bad_requests_are_refused(void **state)
{
    static const struct header bad[] = {
        {SLICE_INIT("X-Split"), SLICE_INIT("a\r\nX-Injected: b")},
        {SLICE_INIT("X Space"), SLICE_INIT("a")},
        {SLICE_INIT(""), SLICE_INIT("a")},
        {SLICE_INIT("X-Nul"), SLICE_INIT("a\0b")},
    };
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://",
                                       "http://user:word@127.0.0.1/", ""};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);
    struct errand errand;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad) + ARRAY_LEN(urls); i++) {
        prepare(&errand, "/ok", loop, NULL);
        if (i < ARRAY_LEN(bad)) {
            errand.call.headers = &bad[i];
            errand.call.header_count = 1;
        } else {
            errand.call.url = urls[i - ARRAY_LEN(bad)];
        }
        run_with(client, &errand);
        if (errand.call.err != ERR_BAD_VALUE) {
            fail_msg("row %zu: %s, %s", i, err_name(errand.call.err), errand.call.error_text);
        }
        http_call_clean_up(&errand.call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
    assert_int_equal(atomic_load(&server.request_count), 0);
}

/* Goal: a port where nobody listens is told apart from a target that failed. */
static void test_refused_connection(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);
    struct errand errand;

    (void)state;
    prepare(&errand, "/", loop, NULL);
    errand.call.url = "http://127.0.0.1:1/";
    run_with(client, &errand);
    assert_int_equal(errand.call.err, ERR_REMOTE_UNREACHABLE);
    http_call_clean_up(&errand.call);
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

static bool refuse_loopback(void *context, const char *url, const struct sockaddr *address)
{
    unsigned *asked = context;
    const struct sockaddr_in *v4 = (const void *)address;

    assert_int_equal(strncmp(url, "http://", 7), 0);
    ++*asked;
    return address->sa_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 != 127;
}

/* Goal: the address being dialled decides, whatever name led to it, and no connection is made. */
static void test_may_connect_sees_the_dialled_address(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    unsigned asked = 0;
    const struct http_client_options options = {
        .loop = loop,
        .connections_max = 4,
        .host_connections_max = 4,
        .may_connect = refuse_loopback,
        .context = &asked,
    };
    struct http_client *client = http_client_new(&options);
    struct errand errand;

    (void)state;
    prepare(&errand, "/ok", loop, NULL);
    run_with(client, &errand);
    assert_int_equal(errand.call.err, ERR_ACCESS_DENIED);
    assert_string_equal(errand.call.error_text, "the address 127.0.0.1 may not be dialled");
    assert_int_equal(asked, 1);
    http_call_clean_up(&errand.call);

    prepare(&errand, "/ok", loop, NULL);
    (void)snprintf(errand.url, sizeof(errand.url), "http://localhost:%u/ok", server.port);
    run_with(client, &errand);
    assert_int_equal(errand.call.err, ERR_ACCESS_DENIED);
    http_call_clean_up(&errand.call);
    http_client_destroy(client);
    ev_loop_destroy(loop);
    assert_int_equal(atomic_load(&server.connection_count), 0);
}

/* Goal: destroying the client tells every call, running and refused alike. */
static void test_destroy_cancels(void **state)
{
    static const struct header split = {SLICE_INIT("X"), SLICE_INIT("\n")};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);
    struct errand errands[3];
    unsigned left = ARRAY_LEN(errands);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errands); i++) {
        prepare(&errands[i], "/hang", loop, &left);
        if (i == 2) {
            errands[i].call.headers = &split;
            errands[i].call.header_count = 1;
        }
        http_start(client, &errands[i].call);
        if (i == 1) {
            ev_run(loop, EVRUN_NOWAIT);
        }
    }
    http_client_destroy(client);
    for (size_t i = 0; i < ARRAY_LEN(errands); i++) {
        assert_int_equal(errands[i].done_count, 1);
        assert_int_equal(errands[i].call.err, ERR_STOPPING);
        http_call_clean_up(&errands[i].call);
    }
    http_client_destroy(NULL);
    ev_loop_destroy(loop);
}

/* Goal: 200 calls at once share few connections, and each gets its own answer. */
static void test_many_calls_share_connections(void **state)
{
    enum { CALLS = 200 };
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);
    struct errand *errands = xcalloc(CALLS, sizeof(*errands));
    char(*bodies)[32] = xcalloc(CALLS, sizeof(*bodies));
    unsigned left = CALLS;

    (void)state;
    for (unsigned i = 0; i < CALLS; i++) {
        prepare(&errands[i], "/echo", loop, &left);
        (void)snprintf(bodies[i], sizeof(bodies[i]), "<call %u>", i);
        errands[i].call.method = "POST";
        errands[i].call.body = slice_of(bodies[i]);
        http_start(client, &errands[i].call);
    }
    ev_run(loop, 0);
    assert_int_equal(left, 0);
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(errands[i].done_count, 1);
        assert_int_equal(errands[i].call.err, ERR_OK);
        assert_true(slice_has_suffix(buf_slice(&errands[i].call.response), slice_of(bodies[i])));
        http_call_clean_up(&errands[i].call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
    xfree(errands);
    xfree(bodies);
    assert_int_equal(atomic_load(&server.request_count), CALLS);
    assert_true(atomic_load(&server.connection_count) <= 16);
}

/* Goal: calls in a row reuse one connection, unless a fresh one is asked for. */
static void test_fresh_connection_when_asked(void **state)
{
    static const bool fresh[] = {false, false, true, false};
    static const unsigned connections[] = {1, 1, 2, 2};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct http_client *client = new_client(loop);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fresh); i++) {
        struct errand errand;

        prepare(&errand, "/ok", loop, NULL);
        errand.call.fresh_connection = fresh[i];
        run_with(client, &errand);
        assert_int_equal(errand.call.err, ERR_OK);
        assert_int_equal(atomic_load(&server.connection_count), connections[i]);
        http_call_clean_up(&errand.call);
    }
    http_client_destroy(client);
    ev_loop_destroy(loop);
}

/* Goal: a call that waits for a free connection is bound by its own time too. */
static void test_waiting_for_a_connection_counts(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    const struct http_client_options options = {
        .loop = loop,
        .connections_max = 1,
        .host_connections_max = 1,
    };
    struct http_client *client = http_client_new(&options);
    struct errand holder;
    struct errand waiter;
    unsigned left = 1;
    unsigned never = 2;

    (void)state;
    prepare(&holder, "/hang", loop, &never);
    http_start(client, &holder.call);
    prepare(&waiter, "/ok", loop, &left);
    waiter.call.timeout_ms = 50;
    http_start(client, &waiter.call);
    ev_run(loop, 0);
    assert_int_equal(waiter.call.err, ERR_REMOTE_TIMEOUT);
    assert_int_equal(holder.done_count, 0);
    http_client_destroy(client);
    assert_int_equal(holder.call.err, ERR_STOPPING);
    http_call_clean_up(&waiter.call);
    http_call_clean_up(&holder.call);
    ev_loop_destroy(loop);
}

/* ---- TLS ---- */

/* One connection after another: the handshake, and "/ok" if it came about. */
static void *serve_tls(void *argument)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    SSL_CTX *tls = argument;
    int fd;

    while ((fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        SSL *ssl = SSL_new(tls);
        char room[4096];

        CHECK(SSL_set_fd(ssl, fd) == 1);
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, room, sizeof(room)) > 0) {
            (void)SSL_write(ssl, reply, sizeof(reply) - 1);
        }
        SSL_free(ssl);
        (void)close(fd);
        ERR_clear_error();
    }
    return NULL;
}

/* Goal: a reply counts only from whom the configured CA vouches for, under the name that was asked
 * for. */
static void test_the_server_is_verified(void **state)
{
    static const struct {
        const char *host;
        bool has_ca;
        enum err err;
    } rows[] = {
        {"localhost", true, ERR_OK},
        {"localhost", false, ERR_REMOTE_FAILED},
        {"127.0.0.1", true, ERR_REMOTE_FAILED},
    };
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct certificate certificate;
    pthread_t thread;

    (void)state;
    certificate_make(&certificate);
    CHECK(SSL_CTX_use_certificate_chain_file(tls, certificate.certificate_path) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(tls, certificate.key_path, SSL_FILETYPE_PEM) == 1);
    listen_on_loopback();
    CHECK(pthread_create(&thread, NULL, serve_tls, tls) == 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct http_client_options options = {
            .loop = loop,
            .ca_path = slice_of(rows[i].has_ca ? certificate.certificate_path : NULL),
            .connections_max = 1,
            .host_connections_max = 1,
        };
        struct http_client *client = http_client_new(&options);
        struct errand errand;

        prepare(&errand, "", loop, NULL);
        (void)snprintf(errand.url, sizeof(errand.url), "https://%s:%u/ok", rows[i].host,
                       server.port);
        run_with(client, &errand);
        if (errand.call.err != rows[i].err) {
            fail_msg("%s: %s, %s", rows[i].host, err_name(errand.call.err), errand.call.error_text);
        }
        http_call_clean_up(&errand.call);
        http_client_destroy(client);
    }
    (void)shutdown(server.fd, SHUT_RDWR);
    CHECK(pthread_join(thread, NULL) == 0);
    (void)close(server.fd);
    SSL_CTX_free(tls);
    ev_loop_destroy(loop);
    certificate_remove(&certificate);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_each_behaviour_has_its_outcome),
        WITH_SERVER(test_reply_headers),
        WITH_SERVER(test_the_request_is_what_was_asked_for),
        WITH_SERVER(test_a_long_body_needs_no_expect),
        WITH_SERVER(test_bad_requests_are_refused),
        WITH_SERVER(test_refused_connection),
        WITH_SERVER(test_may_connect_sees_the_dialled_address),
        WITH_SERVER(test_destroy_cancels),
        WITH_SERVER(test_many_calls_share_connections),
        WITH_SERVER(test_fresh_connection_when_asked),
        WITH_SERVER(test_waiting_for_a_connection_counts),
        cmocka_unit_test(test_the_server_is_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
