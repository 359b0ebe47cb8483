/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.c - who we are on the wire, which ciphers we speak, and session tickets without a session
 * store.
 *
 * A full handshake costs the server half a millisecond of CPU, and callers that open a connection
 * per event are common, so resumption matters.  Tickets are stateless: their keys are derived from
 * the seal key and the number of the 12-hour epoch,
 *
 *     key(use, epoch) = HMAC-SHA256(seal key, "weir session ticket " use epoch)
 *
 * for use = name, cipher, mac.  Any process with the seal key therefore opens any other's tickets,
 * nothing is stored or rotated by a timer, and a ticket of the epoch before the last is forgotten
 * by arithmetic.
 *
 * Threads: a context never changes after tls_context_new(); the count is atomic.  OpenSSL locks
 *          what it counts in an SSL_CTX.
 * Memory:  a connection must not outlive the context it came from: acquire it.
 */
#include "core/tls_internal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/moment.h"
#include "core/random.h"

enum {
    CLIENT_CHAIN_MAX_BYTES = 16384,
    READ_BUFFER_BYTES = 65536,
    EPOCH_S = 12 * 60 * 60,
    TICKET_NAME_BYTES = 16,
    TICKET_IV_BYTES = 16,
};

/* ---- tickets ---- */

static void derive(const struct tls_context *context, char use, uint64_t epoch, struct digest *key)
{
    char label[] = "weir session ticket ?epochnum";
    const size_t number_at = sizeof(label) - 1 - sizeof(epoch);

    label[number_at - 1] = use;
    for (size_t i = 0; i < sizeof(epoch); i++) {
        label[number_at + i] = (char)(uint8_t)(epoch >> (56 - 8 * i));
    }
    digest_hmac_sha256((struct slice){(const char *)context->seal_key, SEAL_KEY_BYTES},
                       (struct slice){label, sizeof(label) - 1}, key);
}

static bool is_ticket_of(const struct tls_context *context, uint64_t epoch, const uint8_t *name)
{
    struct digest expected;

    derive(context, 'n', epoch, &expected);
    return CRYPTO_memcmp(expected.bytes, name, TICKET_NAME_BYTES) == 0;
}

static bool set_ticket_keys(const struct tls_context *context, uint64_t epoch, const uint8_t *iv,
                            EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    struct digest cipher_key;
    struct digest mac_key;
    char digest_name[] = "SHA256";
    bool is_set;

    derive(context, 'c', epoch, &cipher_key);
    derive(context, 'm', epoch, &mac_key);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key.bytes, DIGEST_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest_name, 0),
        OSSL_PARAM_construct_end(),
    };
    is_set = EVP_CipherInit_ex2(cipher, context->ticket_cipher, cipher_key.bytes, iv, is_sealing,
                                NULL) == 1 &&
             EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(&cipher_key, sizeof(cipher_key));
    OPENSSL_cleanse(&mac_key, sizeof(mac_key));
    return is_set;
}

/* OpenSSL's contract: -1 failed, 0 not ours (a full handshake follows), 1 resume, 2 resume and give
 * a new ticket.  TLS 1.3 clients use a ticket once, so they always get another. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_sealing)
{
    const struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    uint64_t epoch = context->now_ms() / 1000 / EPOCH_S;
    struct digest own_name;
    bool is_current;

    if (is_sealing != 0) {
        derive(context, 'n', epoch, &own_name);
        memcpy(name, own_name.bytes, TICKET_NAME_BYTES);
        random_bytes(iv, TICKET_IV_BYTES);
        return set_ticket_keys(context, epoch, iv, cipher, mac, 1) ? 1 : -1;
    }
    is_current = is_ticket_of(context, epoch, name);
    if (!is_current) {
        if (epoch == 0 || !is_ticket_of(context, --epoch, name)) {
            return 0;
        }
    }
    if (!set_ticket_keys(context, epoch, iv, cipher, mac, 0)) {
        return -1;
    }
    return is_current && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

/* ---- protocols ---- */

/* h2 if the client has it, else http/1.1, else the handshake ends with an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *offered, unsigned offered_len, void *argument)
{
    static const struct slice wanted[] = {SLICE_INIT("h2"), SLICE_INIT("http/1.1")};

    (void)ssl;
    (void)argument;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        for (unsigned at = 0; at < offered_len; at += offered[at] + 1U) {
            const struct slice name = {(const char *)offered + at + 1, offered[at]};

            if (slice_eq(name, wanted[i])) {
                *out = offered + at + 1;
                *out_len = offered[at];
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_protocol(struct tls_context *context)
{
    SSL_CTX *ssl = context->ssl;
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro wants it writable */

    CHECK(SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1); /* TLS 1.2 */
    CHECK(SSL_CTX_set1_groups_list(ssl, groups) == 1);
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       /* HTTP tells its own ends, a missing goodbye harms nobody */
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    CHECK(SSL_CTX_set_max_early_data(ssl, 0) == 1);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, NULL);
    (void)SSL_CTX_set_max_cert_list(ssl, CLIENT_CHAIN_MAX_BYTES);

    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    CHECK(SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"weir", 4) == 1);
    (void)SSL_CTX_set_timeout(ssl, EPOCH_S);
    CHECK(SSL_CTX_set_num_tickets(ssl, 1) == 1);
    CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1);

    tls_set_io(ssl);
}

void tls_set_io(SSL_CTX *ssl)
{
    (void)SSL_CTX_set_mode(ssl,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_default_read_buffer_len(ssl, READ_BUFFER_BYTES);
}

/* ---- files ---- */

enum err tls_file_error(const char *path, const char *what, struct err_why *why)
{
    const unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_because(ERR_BAD_CONFIG, why, "%s: %s (%s)", path, what,
                       reason != NULL ? reason : "no detail");
}

/* A key with a passphrase is refused; nobody is asked for one. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int on_passphrase(char *out, int out_len, int is_writing, void *argument)
{
    (void)out;
    (void)out_len;
    (void)is_writing;
    (void)argument;
    return -1;
}

enum err tls_use_chain(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why)
{
    X509 *certificate = PEM_read_bio_X509(pem, NULL, on_passphrase, NULL);
    int is_used;

    if (certificate == NULL) {
        return tls_file_error(path, "holds no PEM certificate", why);
    }
    is_used = SSL_CTX_use_certificate(ssl, certificate);
    X509_free(certificate);
    if (is_used != 1) {
        return tls_file_error(path, "the certificate cannot be used", why);
    }
    while ((certificate = PEM_read_bio_X509(pem, NULL, on_passphrase, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ssl, certificate) != 1) {
            X509_free(certificate);
            return tls_file_error(path, "an issuer's certificate cannot be used", why);
        }
    }
    ERR_clear_error(); /* the end of the file is an error to PEM_read_bio_X509 */
    return ERR_OK;
}

enum err tls_use_key(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, on_passphrase, NULL);
    int is_used;

    if (key == NULL) {
        return tls_file_error(path, "holds no PEM private key without a passphrase", why);
    }
    is_used = SSL_CTX_use_PrivateKey(ssl, key);
    EVP_PKEY_free(key);
    return is_used == 1 ? ERR_OK : tls_file_error(path, "does not fit the certificate", why);
}

enum err tls_load(SSL_CTX *ssl, const char *path, tls_read_fn read_file, tls_use_fn use,
                  struct err_why *why)
{
    struct buf text;
    enum err err;

    buf_init(&text, TLS_FILE_BYTES_MAX);
    ERR_clear_error();
    err = read_file(path, &text, why) == ERR_OK ? ERR_OK : ERR_BAD_CONFIG;
    if (err == ERR_OK) {
        BIO *pem = BIO_new_mem_buf(text.len > 0 ? text.data : "", (int)text.len);

        CHECK(pem != NULL);
        err = use(ssl, pem, path, why);
        (void)BIO_free(pem);
    }
    buf_wipe(&text);
    return err;
}

/* ---- contexts ---- */

enum err tls_context_new(const struct tls_options *options, struct tls_context **context,
                         struct err_why *why)
{
    struct tls_context *made = xcalloc(1, sizeof(*made));
    enum err err;

    CHECK(options->certificate_path != NULL);
    CHECK(options->key_path != NULL);
    *context = NULL;
    made->magic = TLS_MAGIC;
    atomic_init(&made->count, 1);
    made->now_ms = options->now_ms != NULL ? options->now_ms : moment_now_ms;
    memcpy(made->seal_key, options->seal_key, sizeof(made->seal_key));
    made->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    CHECK(made->ticket_cipher != NULL);
    made->ssl = SSL_CTX_new(TLS_server_method());
    CHECK(made->ssl != NULL);
    CHECK(SSL_CTX_set_app_data(made->ssl, made) == 1);
    set_protocol(made);

    err = tls_load(made->ssl, options->certificate_path, file_read, tls_use_chain, why);
    if (err == ERR_OK) {
        err = tls_load(made->ssl, options->key_path, file_read_secret, tls_use_key, why);
    }
    if (err == ERR_OK && options->client_ca_path != NULL) {
        err = tls_ask_callers(made->ssl, options->client_ca_path, why);
    }
    if (err != ERR_OK) {
        tls_context_release(made);
        return err;
    }
    *context = made;
    return ERR_OK;
}

struct tls_context *tls_context_acquire(struct tls_context *context)
{
    CHECK_MAGIC(context, TLS_MAGIC);
    (void)atomic_fetch_add_explicit(&context->count, 1, memory_order_relaxed);
    return context;
}

void tls_context_release(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    CHECK_MAGIC(context, TLS_MAGIC);
    if (atomic_fetch_sub_explicit(&context->count, 1, memory_order_acq_rel) == 1) {
        SSL_CTX_free(context->ssl);
        EVP_CIPHER_free(context->ticket_cipher);
        OPENSSL_cleanse(context, sizeof(*context));
        free(context);
    }
}

SSL *tls_session_new(struct tls_context *context)
{
    SSL *ssl;

    CHECK_MAGIC(context, TLS_MAGIC);
    CHECK(!context->is_client);
    ssl = SSL_new(context->ssl);
    CHECK(ssl != NULL);
    SSL_set_accept_state(ssl);
    return ssl;
}
