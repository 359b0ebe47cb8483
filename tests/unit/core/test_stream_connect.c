/* SPDX-License-Identifier: Apache-2.0
 *
 * test_stream_connect.c - connections that we open: names, addresses, refusals, and whom TLS
 * trusts.
 *
 * The server is a script in a thread that accepts once; our side runs on a loop in this one.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/moment.h"
#include "core/stream.h"
#include "core/tls.h"
#include "tests/lib/certificate.h"
#include "tests/lib/peer.h"

enum { TICK_MS = 5, TIMEOUT_MS = 2000 };

static struct certificate certificate; /* of the server, for "localhost" */
static struct certificate other;       /* of somebody else */
static struct ev_loop *ev;

/* ---- the server: accept once, greet, echo until the end ---- */

struct server {
    int listener;
    uint16_t port;
    SSL_CTX *tls; /* NULL: cleartext */
    bool had_client_certificate;
    pthread_t thread;
};

static void *serve(void *argument)
{
    struct server *server = argument;
    struct peer peer = {.fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)};
    char room[256];
    ssize_t count;

    if (peer.fd < 0) {
        return NULL; /* nobody came */
    }
    if (server->tls != NULL) {
        peer.ssl = SSL_new(server->tls);
        CHECK(SSL_set_fd(peer.ssl, peer.fd) == 1);
        ERR_clear_error();
        if (SSL_accept(peer.ssl) != 1) {
            peer_close(&peer);
            return NULL;
        }
        X509 *from = SSL_get1_peer_certificate(peer.ssl);
        server->had_client_certificate = from != NULL;
        X509_free(from);
    }
    while ((count = peer_receive(&peer, room, sizeof(room))) > 0) {
        (void)peer_send(&peer, (struct slice){room, (size_t)count});
    }
    peer_end(&peer);
    peer_close(&peer);
    return NULL;
}

static SSL_CTX *server_tls(const struct certificate *of, const struct certificate *client)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

    CHECK(SSL_CTX_use_certificate_file(tls, of->certificate_path, SSL_FILETYPE_PEM) == 1);
    CHECK(SSL_CTX_use_PrivateKey_file(tls, of->key_path, SSL_FILETYPE_PEM) == 1);
    if (client != NULL) {
        CHECK(SSL_CTX_load_verify_file(tls, client->certificate_path) == 1);
        SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return tls;
}

static void server_start(struct server *server, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    *server = (struct server){.tls = tls};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(server->listener, 4) == 0);
    CHECK(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
}

static void server_stop(struct server *server)
{
    (void)shutdown(server->listener, SHUT_RDWR);
    CHECK(pthread_join(server->thread, NULL) == 0);
    CHECK(close(server->listener) == 0);
    SSL_CTX_free(server->tls);
}

/* ---- our side: say hello, hear it back, close ---- */

struct caller {
    bool is_open;
    bool is_closed;
    size_t read_bytes;
    enum stream_reason reason;
};

static void on_open(struct stream *stream, struct slice alpn)
{
    struct caller *caller = stream_context(stream);

    assert_int_equal(alpn.len, 0);
    caller->is_open = true;
    assert_int_equal(stream_write(stream, SLICE("hello")), ERR_OK);
}

static void on_read(struct stream *stream, struct slice bytes)
{
    struct caller *caller = stream_context(stream);

    caller->read_bytes += bytes.len;
    if (caller->read_bytes == 5) {
        stream_close(stream);
    }
}

static void on_close(struct stream *stream, enum stream_reason reason)
{
    struct caller *caller = stream_context(stream);

    assert_false(caller->is_closed);
    caller->is_closed = true;
    caller->reason = reason;
}

static const struct stream_handlers handlers = {
    .on_open = on_open, .on_read = on_read, .on_close = on_close};

static struct stream_loop *new_streams(unsigned timeout_ms)
{
    struct stream_loop_options options = stream_loop_defaults(ev);

    options.tick_ms = TICK_MS;
    options.handshake_timeout_ms = timeout_ms;
    return stream_loop_new(&options);
}

static struct caller call(const char *host, uint16_t port, struct tls_context *tls,
                          unsigned timeout_ms)
{
    struct stream_loop *streams = new_streams(timeout_ms);
    const struct stream_target target = {.host = slice_of(host), .port = port, .tls = tls};
    struct caller caller = {.is_open = false};

    (void)stream_connect(streams, &target, &handlers, &caller);
    assert_false(caller.is_closed); /* later, never in here */
    while (!caller.is_closed) {
        (void)ev_run(ev, EVRUN_ONCE);
    }
    stream_loop_destroy(streams);
    return caller;
}

static int set_up(void **state)
{
    (void)state;
    ev = ev_loop_new(EVFLAG_AUTO);
    certificate_make(&certificate);
    certificate_make(&other);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certificate_remove(&certificate);
    certificate_remove(&other);
    ev_loop_destroy(ev);
    return 0;
}

/* ---- reaching somebody ---- */

/* Goal: a literal address and a name both lead there; "localhost" may have an address at which
 * nobody listens, and the next is tried. */
static void test_an_address_and_a_name(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct server server;
        struct caller caller;

        server_start(&server, NULL);
        caller = call(hosts[i], server.port, NULL, TIMEOUT_MS);
        assert_true(caller.is_open);
        assert_int_equal(caller.read_bytes, 5);
        assert_int_equal(caller.reason, STREAM_CLOSED);
        server_stop(&server);
    }
}

static void test_nobody_there(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "", "a host"};
    struct server server;

    (void)state;
    server_start(&server, NULL);
    server_stop(&server); /* its port is free now */
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        const struct caller caller = call(hosts[i], server.port, NULL, 20000);

        assert_false(caller.is_open);
        if (caller.reason != STREAM_UNREACHABLE) {
            fail_msg("%s: %s", hosts[i], stream_reason_name(caller.reason));
        }
    }
}

/* Goal: somebody who lets us in and says nothing costs the handshake timeout, no more. */
static void test_a_silent_server_costs_the_timeout(void **state)
{
    const struct tls_client_options options = {.ca_path = certificate.certificate_path};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* never accepts */
    const uint64_t begin_ms = moment_steady_ms();
    struct tls_context *tls;
    struct caller caller;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(tls_client_context_new(&options, &tls, NULL), ERR_OK);
    caller = call("127.0.0.1", ntohs(address.sin_port), tls, 100);
    assert_int_equal(caller.reason, STREAM_HANDSHAKE_TIMEOUT);
    assert_in_range(moment_steady_ms() - begin_ms, 100, 1000);
    tls_context_release(tls);
    assert_int_equal(close(listener), 0);
}

/* Goal: whoever lets go early is told once, and nothing is left behind: while a name is looked up,
 * while it connects, or with the whole loop. */
static void test_letting_go_early(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(hosts); i++) {
        struct stream_loop *streams = new_streams(TIMEOUT_MS);
        const struct stream_target target = {.host = slice_of(hosts[i / 2]), .port = 9};
        struct caller caller = {.is_open = false};
        struct stream *stream = stream_connect(streams, &target, &handlers, &caller);

        if (i % 2 == 0) {
            stream_abort(stream);
            while (!caller.is_closed) {
                (void)ev_run(ev, EVRUN_ONCE);
            }
        }
        stream_loop_destroy(streams);
        assert_true(caller.is_closed);
    }
}

/* ---- whom TLS trusts ---- */

/* Goal: only a server with a certificate of our authority, for the very host that was asked for, is
 * spoken to; and it learns who we are when it asks. */
static void test_whom_tls_trusts(void **state)
{
    const struct {
        const char *host;
        const struct certificate *server;
        const char *ca_path;
        const struct certificate *client;
        const struct certificate *client_ca;
        bool is_open;
    } rows[] = {
        {"localhost", &certificate, certificate.certificate_path, NULL, NULL, true},
        {"localhost", &other, certificate.certificate_path, NULL, NULL, false},
        {"localhost", &certificate, NULL, NULL, NULL, false},
        {"127.0.0.1", &certificate, certificate.certificate_path, NULL, NULL, false},
        {"localhost", &certificate, certificate.certificate_path, &other, &other, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_client_options options = {.ca_path = rows[i].ca_path};
        struct tls_context *tls;
        struct server server;
        struct caller caller;
        struct err_why why;

        if (rows[i].client != NULL) {
            options.certificate_path = rows[i].client->certificate_path;
            options.key_path = rows[i].client->key_path;
        }
        if (tls_client_context_new(&options, &tls, &why) != ERR_OK) {
            fail_msg("row %zu: %s", i, why.text);
        }
        server_start(&server, server_tls(rows[i].server, rows[i].client_ca));
        caller = call(rows[i].host, server.port, tls, TIMEOUT_MS);
        server_stop(&server);
        if (caller.is_open != rows[i].is_open ||
            caller.reason != (rows[i].is_open ? STREAM_CLOSED : STREAM_HANDSHAKE_FAILED)) {
            fail_msg("row %zu: %s", i, stream_reason_name(caller.reason));
        }
        assert_int_equal(server.had_client_certificate, rows[i].client != NULL);
        tls_context_release(tls);
    }
}

/* Goal: a client's context is refused with a reason when its files are not what they should be. */
static void test_files_that_are_refused(void **state)
{
    const struct tls_client_options rows[] = {
        {.ca_path = "/no/such/file"},
        {.ca_path = certificate.key_path},
        {.ca_path = certificate.certificate_path,
         .certificate_path = certificate.certificate_path,
         .key_path = other.key_path},
        {.ca_path = certificate.certificate_path,
         .certificate_path = "/no/such/file",
         .key_path = certificate.key_path},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_context *tls;
        struct err_why why = {.text = ""};

        assert_int_equal(tls_client_context_new(&rows[i], &tls, &why), ERR_BAD_CONFIG);
        assert_null(tls);
        assert_true(strlen(why.text) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_and_a_name),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_a_silent_server_costs_the_timeout),
        cmocka_unit_test(test_letting_go_early),
        cmocka_unit_test(test_whom_tls_trusts),
        cmocka_unit_test(test_files_that_are_refused),
    };

    digest_init();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
