/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_caller.c - client certificates: whom a server's context asks for one, and what is kept of it.
 *
 * A certificate is asked for, never demanded: callers with another credential bring none.  One that
 * is brought must come from a configured authority, be for clients, be in time and not be on a
 * revocation list that stands in the same file, or the handshake ends.
 *
 * What is kept is the pin: SHA-256 of the public key with its algorithm (SubjectPublicKeyInfo), the
 * same through every renewal that keeps the key.  Names in a certificate are never looked at.
 *
 * A resumed session brings the certificate in its ticket, without a new check.  So tickets are
 * bound to the bytes of the authorities' file: with another file there is a full handshake; and
 * the end of the certificate is kept beside the pin, for whoever believes it later.
 *
 *= https://www.rfc-editor.org/rfc/rfc7469#section-2.4
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/tls_internal.h"

enum { CHAIN_DEPTH_MAX = 4 };

/* Authorities and revocation lists of one file into the context's store. */
enum err tls_use_authorities(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    STACK_OF(X509_INFO) *infos = PEM_X509_INFO_read_bio(pem, NULL, NULL, NULL);
    size_t authorities = 0;
    bool has_list = false;

    for (int i = 0; infos != NULL && i < sk_X509_INFO_num(infos); i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);

        if (info->x509 != NULL) {
            CHECK(X509_STORE_add_cert(store, info->x509) == 1);
            CHECK(SSL_CTX_add_client_CA(ssl, info->x509) == 1);
            authorities++;
        }
        if (info->crl != NULL) {
            CHECK(X509_STORE_add_crl(store, info->crl) == 1);
            has_list = true;
        }
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    if (authorities == 0) {
        return tls_file_error(path, "holds no PEM certificate of an authority", why);
    }
    ERR_clear_error();
    if (has_list) {
        CHECK(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1);
    }
    return ERR_OK;
}

enum err tls_ask_callers(SSL_CTX *ssl, const char *path, struct err_why *why)
{
    struct digest context;
    struct buf file;
    enum err err;

    TRY(tls_load(ssl, path, file_read, tls_use_authorities, why));
    buf_init(&file, TLS_FILE_BYTES_MAX);
    err = file_read(path, &file, why);
    if (err == ERR_OK) {
        digest_sha256(buf_slice(&file), &context);
        CHECK(SSL_CTX_set_session_id_context(ssl, context.bytes, DIGEST_BYTES) == 1);
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_verify_depth(ssl, CHAIN_DEPTH_MAX);
        CHECK(SSL_CTX_set_purpose(ssl, X509_PURPOSE_SSL_CLIENT) == 1);
    }
    buf_clean_up(&file);
    return err;
}

static bool read_end(const X509 *certificate, uint64_t *until_ms)
{
    struct tm end;
    time_t until_s;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
        return false;
    }
    until_s = timegm(&end);
    *until_ms = until_s > 0 ? (uint64_t)until_s * 1000 : 0;
    return true;
}

static bool read_pin(X509 *certificate, struct digest *pin)
{
    unsigned char *der = NULL;
    const int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

    if (len <= 0) {
        return false;
    }
    digest_sha256((struct slice){(const char *)der, (size_t)len}, pin);
    OPENSSL_free(der);
    return true;
}

bool tls_caller_of(SSL *ssl, struct tls_caller *caller)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    bool is_read;

    if (certificate == NULL) {
        return false;
    }
    is_read = SSL_get_verify_result(ssl) == X509_V_OK && read_end(certificate, &caller->until_ms) &&
              read_pin(certificate, &caller->pin);
    X509_free(certificate);
    return is_read;
}

enum err tls_pin_of_file(const char *path, struct digest *pin, struct err_why *why)
{
    struct buf text;
    BIO *pem;
    X509 *certificate;
    enum err err;

    buf_init(&text, TLS_FILE_BYTES_MAX);
    err = file_read(path, &text, why);
    if (err == ERR_OK) {
        pem = BIO_new_mem_buf(text.len > 0 ? text.data : "", (int)text.len);
        CHECK(pem != NULL);
        certificate = PEM_read_bio_X509(pem, NULL, NULL, NULL);
        if (certificate == NULL || !read_pin(certificate, pin)) {
            err = tls_file_error(path, "holds no PEM certificate", why);
        }
        X509_free(certificate);
        (void)BIO_free(pem);
    }
    buf_clean_up(&text);
    return err;
}
