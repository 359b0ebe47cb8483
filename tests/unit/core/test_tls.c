/* SPDX-License-Identifier: Apache-2.0
 *
 * test_tls.c - whom the server side talks to, how, and whose tickets it takes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/tls.h"
#include "tests/lib/certificate.h"
#include "tests/lib/peer.h"

static const uint64_t EPOCH_MS = 12 * 3600 * 1000ULL;

static struct certificate certificate;
static struct certificate other_certificate;
static atomic_uint_fast64_t now_ms;

static uint64_t read_clock(void)
{
    return atomic_load(&now_ms);
}

static struct tls_context *new_context(uint8_t key)
{
    const struct tls_options options = {
        .certificate_path = certificate.certificate_path,
        .key_path = certificate.key_path,
        .seal_key = {key},
        .now_ms = read_clock,
    };
    struct tls_context *context;
    struct err_why why;

    if (tls_context_new(&options, &context, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return context;
}

/* ---- one handshake, the server's side in a thread ---- */

struct server {
    struct tls_context *context;
    int fd;
    bool is_up;
    bool is_resumed;
};

static void *serve(void *argument)
{
    struct server *server = argument;
    struct peer peer = {.fd = server->fd, .ssl = tls_session_new(server->context)};

    CHECK(SSL_set_fd(peer.ssl, peer.fd) == 1);
    ERR_clear_error();
    server->is_up = SSL_accept(peer.ssl) == 1;
    if (server->is_up) {
        server->is_resumed = SSL_session_reused(peer.ssl) == 1;
        (void)peer_send(&peer, SLICE("x"));
        (void)peer_receive_all(&peer);
        peer_end(&peer);
    }
    peer_close(&peer);
    tls_context_release(server->context);
    return NULL;
}

struct client_wishes {
    int version; /* 0: any */
    const char *ciphers;
    const char *groups;
    struct slice alpn; /* as on the wire */
    SSL_SESSION *session;
};

struct outcome {
    bool is_up;
    bool is_resumed;
    char alpn[16];
    SSL_SESSION *session; /* the caller's */
};

static SSL *new_client(SSL_CTX *ssl, const struct client_wishes *wishes, int fd)
{
    SSL *client = SSL_new(ssl);
    char groups[64];

    SSL_set_security_level(client, 0); /* it is the server who has to say no */
    if (wishes->version != 0) {
        CHECK(SSL_set_min_proto_version(client, wishes->version) == 1);
        CHECK(SSL_set_max_proto_version(client, wishes->version) == 1);
    }
    if (wishes->ciphers != NULL) {
        CHECK(SSL_set_cipher_list(client, wishes->ciphers) == 1);
    }
    if (wishes->groups != NULL) {
        (void)snprintf(groups, sizeof(groups), "%s", wishes->groups);
        CHECK(SSL_set1_groups_list(client, groups) == 1);
    }
    if (wishes->alpn.len > 0) {
        CHECK(SSL_set_alpn_protos(client, (const unsigned char *)wishes->alpn.data,
                                  (unsigned)wishes->alpn.len) == 0);
    }
    if (wishes->session != NULL) {
        CHECK(SSL_set_session(client, wishes->session) == 1);
    }
    CHECK(SSL_set_fd(client, fd) == 1);
    return client;
}

static struct outcome meet(struct tls_context *context, const struct client_wishes *wishes)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_client_method());
    struct server server = {.context = tls_context_acquire(context)};
    struct outcome outcome = {0};
    struct peer peer = {0};
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    pthread_t thread;
    char byte;

    server.fd = peer_pair(&peer.fd);
    peer.ssl = new_client(ssl, wishes, peer.fd);
    CHECK(pthread_create(&thread, NULL, serve, &server) == 0);
    /* In TLS 1.3 the tickets come after the handshake, before the byte. */
    outcome.is_up = peer_shake_hands(&peer) && peer_receive(&peer, &byte, 1) == 1;
    if (outcome.is_up) {
        SSL_get0_alpn_selected(peer.ssl, &alpn, &alpn_len);
        (void)snprintf(outcome.alpn, sizeof(outcome.alpn), "%.*s", (int)alpn_len,
                       alpn_len > 0 ? (const char *)alpn : "");
        outcome.is_resumed = SSL_session_reused(peer.ssl) == 1;
        outcome.session = SSL_get1_session(peer.ssl);
        peer_end(&peer);
        (void)peer_receive_all(&peer);
    }
    peer_close(&peer);
    CHECK(pthread_join(thread, NULL) == 0);
    SSL_CTX_free(ssl);
    assert_int_equal(server.is_up, outcome.is_up);
    assert_int_equal(server.is_resumed, outcome.is_resumed);
    return outcome;
}

/* ---- tests ---- */

/* Goal: versions, ciphers and groups outside the list are refused. */
static void test_only_modern_terms(void **state)
{
    static const struct {
        struct client_wishes wishes;
        bool is_up;
    } rows[] = {
        {{.version = 0}, true},
        {{.version = TLS1_3_VERSION}, true},
        {{.version = TLS1_2_VERSION}, true},
        {{.version = TLS1_1_VERSION}, false},
        {{.version = TLS1_VERSION}, false},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"}, true},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305"}, true},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-SHA256"}, false},
        {{.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES256-SHA"}, false},
        {{.version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}, false},
        {{.version = TLS1_3_VERSION, .groups = "P-384"}, true},
        {{.version = TLS1_3_VERSION, .groups = "P-521"}, false},
        {{.version = TLS1_2_VERSION, .groups = "P-521"}, false},
    };
    struct tls_context *context = new_context(1);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct outcome outcome = meet(context, &rows[i].wishes);

        if (outcome.is_up != rows[i].is_up) {
            fail_msg("row %zu: %s", i, outcome.is_up ? "accepted" : "refused");
        }
        SSL_SESSION_free(outcome.session);
    }
    tls_context_release(context);
}

/* Goal: h2 before http/1.1, nothing when nothing is offered, an alert when nothing fits. */
static void test_alpn(void **state)
{
    static const struct {
        struct slice offered;
        const char *selected; /* NULL: refused */
    } rows[] = {
        {SLICE_INIT("\2h2\10http/1.1"), "h2"},
        {SLICE_INIT("\10http/1.1\2h2"), "h2"},
        {SLICE_INIT("\10http/1.1"), "http/1.1"},
        {SLICE_INIT("\3foo\10http/1.1"), "http/1.1"},
        {SLICE_INIT(""), ""},
        {SLICE_INIT("\3foo"), NULL},
        {SLICE_INIT("\2h3\10http/1.0"), NULL},
        {SLICE_INIT("\1h"), NULL},
    };
    struct tls_context *context = new_context(1);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct client_wishes wishes = {.alpn = rows[i].offered};
        const struct outcome outcome = meet(context, &wishes);

        if (outcome.is_up != (rows[i].selected != NULL) ||
            (outcome.is_up && strcmp(outcome.alpn, rows[i].selected) != 0)) {
            fail_msg("row %zu: %s '%s'", i, outcome.is_up ? "accepted" : "refused", outcome.alpn);
        }
        SSL_SESSION_free(outcome.session);
    }
    tls_context_release(context);
}

/* Goal:   a ticket is worth something to every process with the seal key, in its epoch and the
 *         next, and is worth nothing elsewhere or later; then a full handshake follows.
 * Method: a second context stands for a second process. */
static void test_tickets(void **state)
{
    static const struct {
        uint8_t second_key; /* 0: the same context */
        uint64_t later_ms;
        bool is_resumed;
    } rows[] = {
        {0, 0, true},
        {1, 0, true},
        {2, 0, false},
        {0, EPOCH_MS, true},
        {1, EPOCH_MS, true},
        {0, 2 * EPOCH_MS, false},
        {1, 2 * EPOCH_MS, false},
        {1, 200 * EPOCH_MS, false},
    };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(versions); i++) {
        const size_t row = i / ARRAY_LEN(versions);
        struct client_wishes wishes = {.version = versions[i % ARRAY_LEN(versions)]};
        struct tls_context *first = new_context(1);
        struct tls_context *second = rows[row].second_key == 0 ? tls_context_acquire(first)
                                                               : new_context(rows[row].second_key);
        struct outcome before;
        struct outcome after;

        atomic_store(&now_ms, 1700000000000ULL / EPOCH_MS * EPOCH_MS);
        before = meet(first, &wishes);
        assert_true(before.is_up);
        assert_false(before.is_resumed);
        atomic_fetch_add(&now_ms, rows[row].later_ms);
        wishes.session = before.session;
        after = meet(second, &wishes);
        assert_true(after.is_up);
        if (after.is_resumed != rows[row].is_resumed) {
            fail_msg("row %zu, %s: %s", row, i % 2 == 0 ? "TLS 1.2" : "TLS 1.3",
                     after.is_resumed ? "resumed" : "not resumed");
        }
        SSL_SESSION_free(before.session);
        SSL_SESSION_free(after.session);
        tls_context_release(first);
        tls_context_release(second);
    }
}

/* Goal: who resumes in time gets a fresh ticket, so a caller that keeps coming keeps resuming. */
static void test_tickets_are_renewed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_context *context = new_context(1);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct client_wishes wishes = {.version = versions[i]};
        struct outcome outcome;

        atomic_store(&now_ms, 1700000000000ULL);
        for (unsigned epoch = 0; epoch < 5; epoch++) {
            outcome = meet(context, &wishes);
            assert_int_equal(outcome.is_resumed, epoch > 0);
            SSL_SESSION_free(wishes.session);
            wishes.session = outcome.session;
            atomic_fetch_add(&now_ms, EPOCH_MS);
        }
        SSL_SESSION_free(wishes.session);
    }
    tls_context_release(context);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK(fclose(file) == 0);
    CHECK(chmod(path, mode) == 0);
}

static void write_locked_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = certificate_open(path);

    CHECK(PEM_write_PrivateKey(file, key, EVP_aes_256_cbc(), NULL, 0, NULL,
                               (void *)(uintptr_t) "word") == 1);
    CHECK(fclose(file) == 0);
    EVP_PKEY_free(key);
}

/* Goal: each mistake in the files is an error that names the file. */
static void test_bad_files_are_named(void **state)
{
    static const char missing[] = "/nonexistent/file.pem";
    char rubbish[96];
    char locked[96];
    char open_to_all[96];
    const struct {
        const char *certificate_path;
        const char *key_path;
        const char *named;
        const char *reason;
    } rows[] = {
        {missing, certificate.key_path, missing, "No such file"},
        {certificate.certificate_path, missing, missing, "No such file"},
        {rubbish, certificate.key_path, rubbish, "holds no PEM certificate"},
        {certificate.certificate_path, rubbish, rubbish, "holds no PEM private key"},
        {certificate.certificate_path, locked, locked, "without a passphrase"},
        {certificate.certificate_path, other_certificate.key_path, other_certificate.key_path,
         "does not fit the certificate"},
        {certificate.certificate_path, open_to_all, open_to_all, ""},
    };

    (void)state;
    (void)snprintf(rubbish, sizeof(rubbish), "%s/rubbish", certificate.folder);
    (void)snprintf(locked, sizeof(locked), "%s/locked", certificate.folder);
    (void)snprintf(open_to_all, sizeof(open_to_all), "%s/open", certificate.folder);
    write_file(rubbish, "-----BEGIN NONSENSE-----\n", 0600);
    write_file(open_to_all, "-----BEGIN NONSENSE-----\n", 0644);
    write_locked_key(locked);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct tls_options options = {
            .certificate_path = rows[i].certificate_path,
            .key_path = rows[i].key_path,
        };
        struct tls_context *context = NULL;
        struct err_why why = {{0}};

        assert_int_equal(tls_context_new(&options, &context, &why), ERR_BAD_CONFIG);
        assert_null(context);
        if (strstr(why.text, rows[i].named) == NULL || strstr(why.text, rows[i].reason) == NULL) {
            fail_msg("row %zu: %s", i, why.text);
        }
    }
    (void)unlink(rubbish);
    (void)unlink(locked);
    (void)unlink(open_to_all);
}

static int set_up(void **state)
{
    (void)state;
    digest_init();
    certificate_make(&certificate);
    certificate_make(&other_certificate);
    atomic_store(&now_ms, 1700000000000ULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    certificate_remove(&certificate);
    certificate_remove(&other_certificate);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_modern_terms),
        cmocka_unit_test(test_alpn),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_tickets_are_renewed),
        cmocka_unit_test(test_bad_files_are_named),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
