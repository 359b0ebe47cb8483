/* SPDX-License-Identifier: Apache-2.0
 *
 * test_listener.c - addresses, accepting, the cap, running out of descriptors, TLS and ALPN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/lib/certificate.h"
#include "tests/lib/peer.h"
#include "tests/unit/gateway/door.h"
#include "tests/unit/gateway/frames.h"

#define GET "GET / HTTP/1.1\r\nHost: weir\r\n\r\n"

/* A second listener beside the door's own, on a real address. */
static enum err listen_on(struct door *door, const char *address, struct tls_context *tls,
                          struct listener **listener, struct err_why *why)
{
    return listener_open(
        &(struct listener_options){
            .loop = door->loop,
            .streams = door->streams,
            .address = slice_of(address),
            .is_shared = true,
            .tls = tls,
            .handler = {.on_head = door_on_head, .on_request = door_on_request, .context = door},
        },
        listener, why);
}

static int dial(struct slice address)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t port;

    (void)slice_cut(&address, ':');
    assert_true(slice_to_u64(address, &port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* Let the door's client be this descriptor from now on. */
static void become(struct door *door, int fd)
{
    (void)close(door->fd);
    door->fd = fd;
    door->is_closed = false;
    buf_clear(&door->received);
}

/* Over real sockets and timers: turn the loop until the answer is here. */
static void wait_for_answer(struct door *door)
{
    const uint64_t give_up_ms = moment_steady_ms() + DOOR_PATIENCE_MS;

    while (door_status_at(door, 0) != 200) {
        assert_true(moment_steady_ms() < give_up_ms);
        (void)ev_run(door->loop, EVRUN_NOWAIT);
        (void)door_listen(door);
    }
}

static void close_all(struct door *door, struct listener *listener)
{
    (void)close(door->fd);
    door->fd = -1;
    stream_loop_destroy(door->streams);
    door->streams = NULL;
    listener_destroy(listener);
    door_close(door);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } rows[] = {
        {"127.0.0.1:0", true},      {"[::1]:0", true},      {"0.0.0.0:0", true},
        {"127.0.0.1", false},       {"127.0.0.1:", false},  {"127.0.0.1:x", false},
        {"127.0.0.1:70000", false}, {"localhost:0", false}, {"::1:0", false},
        {"[::1:0", false},          {"[]:0", false},        {":0", false},
        {"unix:", false},           {"256.0.0.1:0", false}, {"127.0.0.1:-1", false},
    };
    struct door door;

    (void)state;
    door_open(&door);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct listener *listener;
        struct err_why why = {{0}};
        const enum err err = listen_on(&door, rows[i].text, NULL, &listener, &why);

        if ((err == ERR_OK) != rows[i].is_good) {
            fail_msg("%s: %s %s", rows[i].text, err_name(err), why.text);
        }
        assert_true(rows[i].is_good || strstr(why.text, rows[i].text) != NULL);
        assert_true((listener != NULL) == rows[i].is_good);
        listener_destroy(listener);
    }
    door_close(&door);
}

static void test_a_taken_address_is_an_error_that_names_it(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct listener *listener;
    struct err_why why = {{0}};
    struct door door;
    char text[32];

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    door_open(&door);
    assert_int_equal(listen_on(&door, text, NULL, &listener, &why), ERR_SYSTEM);
    assert_non_null(strstr(why.text, text));
    assert_non_null(strstr(why.text, "in use"));
    door_close(&door);
    assert_int_equal(close(fd), 0);
}

static void test_workers_share_a_port(void **state)
{
    struct listener *first;
    struct listener *second;
    struct err_why why = {{0}};
    struct door door;

    (void)state;
    door_open(&door);
    assert_int_equal(listen_on(&door, "127.0.0.1:0", NULL, &first, &why), ERR_OK);
    assert_int_equal(listen_on(&door, listener_address(first).data, NULL, &second, &why), ERR_OK);
    assert_true(slice_eq(listener_address(first), listener_address(second)));
    for (unsigned i = 0; i < 20; i++) {
        become(&door, dial(listener_address(first)));
        assert_true(door_send(&door, SLICE(GET)));
        wait_for_answer(&door);
    }
    assert_int_equal(door.request_count, 20);
    assert_int_equal(listener_counts(first)->accepted + listener_counts(second)->accepted, 20);
    (void)close(door.fd);
    door.fd = -1;
    stream_loop_destroy(door.streams);
    door.streams = NULL;
    listener_destroy(second);
    listener_destroy(first);
    door_close(&door);
}

static void test_a_unix_socket_is_for_its_owner_and_replaces_a_dead_one(void **state)
{
    char folder[] = "weir-test-XXXXXX";
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct listener *listener;
    struct listener *other;
    struct err_why why = {{0}};
    struct stat status;
    struct door door;
    char address[64];
    int dead;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s/socket", folder);
    (void)snprintf(address, sizeof(address), "unix:%s/socket", folder);
    dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(close(dead), 0);

    door_open(&door);
    assert_int_equal(listen_on(&door, address, NULL, &listener, &why), ERR_OK);
    assert_int_equal(stat(to.sun_path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(slice_eq(listener_address(listener), slice_of(address)));
    assert_int_equal(listen_on(&door, address, NULL, &other, &why), ERR_SYSTEM); /* it lives */

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    become(&door, fd);
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);
    assert_int_equal(door_status_at(&door, 0), 200);
    close_all(&door, listener);
    assert_int_equal(access(to.sun_path, F_OK), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void test_at_the_cap_the_longest_idle_makes_room(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    int first;
    int second;

    (void)state;
    limits.connection_max = 2;
    door_open_with(&door, &limits, 1000);
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);
    first = door.fd;
    second = door_connect(&door);
    door.fd = second;
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);

    door.holds = true; /* the first becomes busy */
    door.fd = first;
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);
    assert_int_equal(door.held_count, 1);

    door.fd = door_connect(&door);
    door_pump(&door);
    assert_int_equal(listener_counts(door.listener)->evicted, 1);
    assert_false(door.is_closed);
    (void)close(door.fd);

    door.fd = second; /* it was the one */
    door_pump(&door);
    assert_true(door.is_closed);
    (void)close(second);
    door.fd = first;
    door_close(&door);
}

static void test_at_the_cap_with_none_idle_the_newcomer_is_refused(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;
    int first;

    (void)state;
    limits.connection_max = 1;
    door_open_with(&door, &limits, 1000);
    door.holds = true;
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);
    first = door.fd;
    door.fd = door_connect(&door);
    door_pump(&door);
    assert_true(door.is_closed);
    assert_int_equal(listener_counts(door.listener)->refused, 1);
    (void)close(door.fd);
    door.fd = first;
    door_close(&door);
}

static void test_out_of_descriptors_a_caller_is_refused_and_the_loop_rests(void **state)
{
    struct rlimit before;
    struct rlimit tight;
    struct listener *listener;
    struct err_why why = {{0}};
    struct door door;
    unsigned turns = 0;
    int fd;

    (void)state;
    door_open(&door);
    door_pump(&door);
    (void)close(door.fd);
    door.fd = -1;
    door.is_closed = true;
    door_pump(&door);
    assert_int_equal(listener_connection_count(door.listener), 0);
    assert_int_equal(listen_on(&door, "127.0.0.1:0", NULL, &listener, &why), ERR_OK);
    become(&door, dial(listener_address(listener)));
    fd = dup(door.fd); /* the lowest that is free */
    assert_int_equal(close(fd), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fd;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    while (!door.is_closed && turns < 1000) {
        (void)ev_run(door.loop, EVRUN_NOWAIT);
        (void)door_listen(&door);
        turns++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(listener_counts(listener)->refused, 1);
    assert_true(turns < 1000);

    become(&door, dial(listener_address(listener))); /* and it recovers */
    assert_true(door_send(&door, SLICE(GET)));
    wait_for_answer(&door);
    close_all(&door, listener);
}

/* What a TLS client sends and should get; run beside the loop in small steps. */
struct alpn_row {
    const char *name;
    struct slice offer; /* length-prefixed; empty: no extension */
    struct slice bytes;
    struct slice answer_has;
    bool is_refused; /* the handshake fails */
};

static bool step_tls(struct door *door, SSL *ssl, int outcome)
{
    const int error = SSL_get_error(ssl, outcome);

    (void)ev_run(door->loop, EVRUN_NOWAIT);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* False: the handshake failed. */
static bool shake(struct door *door, SSL *ssl)
{
    int outcome;

    do {
        ERR_clear_error();
        outcome = SSL_do_handshake(ssl);
    } while (outcome != 1 && step_tls(door, ssl, outcome));
    /* TLS 1.3: the server's refusal comes after the client is done. */
    return outcome == 1;
}

static void read_tls(struct door *door, SSL *ssl, struct slice wanted)
{
    const uint64_t give_up_ms = moment_steady_ms() + DOOR_PATIENCE_MS;
    char room[4096];

    while (!door_has_text(door, wanted)) {
        int len;

        assert_true(moment_steady_ms() < give_up_ms);
        ERR_clear_error();
        len = SSL_read(ssl, room, sizeof(room));
        if (len > 0) {
            assert_int_equal(buf_append(&door->received, (struct slice){room, (size_t)len}),
                             ERR_OK);
        } else {
            assert_true(step_tls(door, ssl, len));
        }
    }
}

static void test_alpn_decides_the_protocol(void **state)
{
    static const struct alpn_row rows[] = {
        {"h2", SLICE_INIT("\2h2"), SLICE_INIT(PREFACE "\0\0\0\4\0\0\0\0\0"),
         SLICE_INIT("\0\0\0\4\1\0\0\0\0"), false},
        {"h2 first", SLICE_INIT("\2h2\10http/1.1"), SLICE_INIT(PREFACE "\0\0\0\4\0\0\0\0\0"),
         SLICE_INIT("\0\0\0\4\1\0\0\0\0"), false},
        {"http/1.1", SLICE_INIT("\10http/1.1"), SLICE_INIT(GET), SLICE_INIT("HTTP/1.1 200 OK"),
         false},
        {"none", SLICE_INIT(""), SLICE_INIT(GET), SLICE_INIT("HTTP/1.1 200 OK"), false},
        {"unknown", SLICE_INIT("\3foo"), SLICE_INIT(GET), SLICE_INIT(""), true},
        {"a preface under HTTP/1.1", SLICE_INIT("\10http/1.1"), SLICE_INIT(PREFACE),
         SLICE_INIT("HTTP/1.1 505 "), false},
        {"a preface without ALPN", SLICE_INIT(""), SLICE_INIT(PREFACE), SLICE_INIT("HTTP/1.1 505 "),
         false},
    };
    struct certificate certificate;
    struct tls_context *tls;
    struct err_why why = {{0}};
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());

    (void)state;
    certificate_make(&certificate);
    assert_int_equal(
        tls_context_new(&(struct tls_options){.certificate_path = certificate.certificate_path,
                                              .key_path = certificate.key_path},
                        &tls, &why),
        ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct listener *listener;
        struct door door;
        SSL *ssl = SSL_new(client);

        door_open(&door);
        assert_int_equal(listen_on(&door, "127.0.0.1:0", tls, &listener, &why), ERR_OK);
        become(&door, dial(listener_address(listener)));
        SSL_set_connect_state(ssl);
        assert_int_equal(SSL_set_fd(ssl, door.fd), 1);
        if (rows[i].offer.len > 0) {
            assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)rows[i].offer.data,
                                                 (unsigned)rows[i].offer.len),
                             0);
        }
        if (shake(&door, ssl) == rows[i].is_refused) {
            fail_msg("%s: the handshake was %s", rows[i].name,
                     rows[i].is_refused ? "accepted" : "refused");
        }
        if (!rows[i].is_refused) {
            assert_int_equal(SSL_write(ssl, rows[i].bytes.data, (int)rows[i].bytes.len),
                             rows[i].bytes.len);
            read_tls(&door, ssl, rows[i].answer_has);
        }
        SSL_free(ssl);
        close_all(&door, listener);
    }
    tls_context_release(tls);
    SSL_CTX_free(client);
    certificate_remove(&certificate);
}

static void count_drained(void *context)
{
    struct door *door = context;

    door->drained_count++;
}

static void test_a_drain_of_nothing_still_calls_back_later(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    (void)close(door.fd);
    door.fd = -1;
    door.is_closed = true;
    door_pump(&door);
    assert_int_equal(listener_connection_count(door.listener), 0);
    listener_drain(door.listener, count_drained, &door);
    assert_int_equal(door.drained_count, 0);
    door_pump(&door);
    assert_int_equal(door.drained_count, 1);
    door_close(&door);
}

static void test_a_drained_http1_connection_answers_and_closes(void **state)
{
    struct door door;

    (void)state;
    door_open(&door);
    door.holds = true;
    assert_true(door_send(&door, SLICE(GET GET)));
    door_pump(&door);
    listener_drain(door.listener, count_drained, &door);
    door_pump(&door);
    assert_int_equal(door.drained_count, 0);
    door_answer(&door, door.held[0]);
    door.held_count = 0;
    door_pump(&door);
    assert_int_equal(door_status_at(&door, 0), 200);
    assert_true(door_has_text(&door, SLICE("connection: close\r\n")));
    assert_int_equal(door.request_count, 1);
    assert_true(door.is_closed);
    assert_int_equal(door.drained_count, 1);
    door_close(&door);
}

static void test_a_drained_idle_http1_connection_closes_after_the_grace(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct door door;

    (void)state;
    limits.drain_grace_ms = 40;
    door_open_with(&door, &limits, 10);
    assert_true(door_send(&door, SLICE(GET)));
    door_pump(&door);
    listener_drain(door.listener, count_drained, &door);
    door_wait_closed(&door);
    door_pump(&door);
    assert_int_equal(door.drained_count, 1);
    door_close(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_a_taken_address_is_an_error_that_names_it),
        cmocka_unit_test(test_workers_share_a_port),
        cmocka_unit_test(test_a_unix_socket_is_for_its_owner_and_replaces_a_dead_one),
        cmocka_unit_test(test_at_the_cap_the_longest_idle_makes_room),
        cmocka_unit_test(test_at_the_cap_with_none_idle_the_newcomer_is_refused),
        cmocka_unit_test(test_out_of_descriptors_a_caller_is_refused_and_the_loop_rests),
        cmocka_unit_test(test_alpn_decides_the_protocol),
        cmocka_unit_test(test_a_drain_of_nothing_still_calls_back_later),
        cmocka_unit_test(test_a_drained_http1_connection_answers_and_closes),
        cmocka_unit_test(test_a_drained_idle_http1_connection_closes_after_the_grace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
