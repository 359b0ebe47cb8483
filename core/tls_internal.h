/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_internal.h - what tls.c (contexts, the server) and tls_client.c share.
 */
#pragma once

#include <stdatomic.h>
#include <openssl/types.h>

#include "core/buf.h"
#include "core/tls.h"

enum { TLS_MAGIC = 0x746c7363, TLS_FILE_BYTES_MAX = 262144 };

struct tls_context {
    uint32_t magic;
    atomic_uint count;
    SSL_CTX *ssl;
    bool is_client;

    /* a server's */
    EVP_CIPHER *ticket_cipher;
    uint8_t seal_key[SEAL_KEY_BYTES];
    uint64_t (*now_ms)(void);
};

typedef enum err (*tls_read_fn)(const char *path, struct buf *out, struct err_why *why);
typedef enum err (*tls_use_fn)(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why);

/* Read the file at `path` and have `use` take what it holds. */
MUST_USE enum err tls_load(SSL_CTX *ssl, const char *path, tls_read_fn read_file, tls_use_fn use,
                           struct err_why *why);
/* tls_use_fn: a certificate and its issuers; its private key. */
enum err tls_use_chain(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why);
enum err tls_use_key(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why);
enum err tls_use_authorities(SSL_CTX *ssl, BIO *pem, const char *path, struct err_why *why);
/* Take client certificates of these authorities. */
MUST_USE enum err tls_ask_callers(SSL_CTX *ssl, const char *path, struct err_why *why);
/* ERR_BAD_CONFIG with OpenSSL's reason. */
enum err tls_file_error(const char *path, const char *what, struct err_why *why);
/* How bytes are moved, on both sides. */
void tls_set_io(SSL_CTX *ssl);
