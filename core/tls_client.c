/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_client.c - TLS towards servers that we call ourselves: whom we trust, and who we are.
 *
 * There is no way to switch verification off.  The chain must end at one of the authorities given,
 * and the certificate must name the host (or carry the literal address) that was asked for; a
 * common name is not looked at when there are alternative names, and no wildcard stands for a part
 * of a label.  Sessions are not resumed: connections here live for days.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/check.h"
#include "core/file.h"
#include "core/tls_internal.h"

enum { NAME_CHARS_MAX = 255 };

static void set_protocol(SSL_CTX *ssl)
{
    CHECK(SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1); /* TLS 1.2 */
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       /* protocols here tell their own ends */
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    tls_set_io(ssl);
}

static enum err set_trust(SSL_CTX *ssl, const char *ca_path, struct err_why *why)
{
    ERR_clear_error();
    if (ca_path == NULL) {
        CHECK(SSL_CTX_set_default_verify_paths(ssl) == 1);
        return ERR_OK;
    }
    return SSL_CTX_load_verify_file(ssl, ca_path) == 1
               ? ERR_OK
               : tls_file_error(ca_path, "holds no PEM certificates of authorities", why);
}

static enum err set_identity(SSL_CTX *ssl, const struct tls_client_options *options,
                             struct err_why *why)
{
    if (options->certificate_path == NULL) {
        return ERR_OK;
    }
    CHECK(options->key_path != NULL);
    TRY(tls_load(ssl, options->certificate_path, file_read, tls_use_chain, why));
    return tls_load(ssl, options->key_path, file_read_secret, tls_use_key, why);
}

enum err tls_client_context_new(const struct tls_client_options *options,
                                struct tls_context **context, struct err_why *why)
{
    struct tls_context *made = xcalloc(1, sizeof(*made));
    enum err err;

    *context = NULL;
    made->magic = TLS_MAGIC;
    made->is_client = true;
    atomic_init(&made->count, 1);
    made->ssl = SSL_CTX_new(TLS_client_method());
    CHECK(made->ssl != NULL);
    set_protocol(made->ssl);
    err = set_trust(made->ssl, options->ca_path, why);
    if (err == ERR_OK) {
        err = set_identity(made->ssl, options, why);
    }
    if (err != ERR_OK) {
        tls_context_release(made);
        return err;
    }
    *context = made;
    return ERR_OK;
}

SSL *tls_client_session_new(struct tls_context *context, const char *host)
{
    struct in6_addr address;
    char name[NAME_CHARS_MAX + 1]; /* OpenSSL's macro wants it writable */
    SSL *ssl;

    CHECK_MAGIC(context, TLS_MAGIC);
    CHECK(context->is_client);
    ssl = SSL_new(context->ssl);
    CHECK(ssl != NULL);
    SSL_set_connect_state(ssl);
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1) {
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
    } else {
        CHECK(SSL_set1_host(ssl, host) == 1);
        (void)snprintf(name, sizeof(name), "%s", host);
        CHECK(SSL_set_tlsext_host_name(ssl, name) == 1);
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    }
    return ssl;
}
