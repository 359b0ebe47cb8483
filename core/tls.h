/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h - TLS as a server and as a client: one immutable context per certificate, shared by every
 * thread.
 *
 * A reload makes a new context; connections keep the one they began with.
 */
#pragma once

#include <openssl/types.h>

#include "core/digest.h"
#include "core/err.h"
#include "core/seal.h"

struct tls_context;

struct tls_options {
    const char *certificate_path; /* PEM, the chain in order, the server's own first */
    const char *key_path;         /* PEM, not readable by others */
    /* PEM, whose client certificates are taken, with revocation lists if there are any; NULL: none
     * is asked for. */
    const char *client_ca_path;
    /* Session tickets are sealed under keys derived from this one and the 12-hour epoch, so every
     * process with the same key resumes the sessions of the others. */
    uint8_t seal_key[SEAL_KEY_BYTES];
    uint64_t (*now_ms)(void); /* NULL: moment_now_ms */
};

/* Load certificate and key.  Errors: ERR_BAD_CONFIG with the file and the reason in `why`. */
MUST_USE enum err tls_context_new(const struct tls_options *options, struct tls_context **context,
                                  struct err_why *why);

struct tls_client_options {
    const char *ca_path;          /* PEM, whom we trust; NULL: the system's authorities */
    const char *certificate_path; /* PEM, who we are; NULL: nobody */
    const char *key_path;         /* PEM, of the certificate, not readable by others */
};

/* A context for connections that we open: TLS 1.2 or later, the server's chain is verified and its
 * certificate has to name the host that was asked for.  Errors as tls_context_new(). */
MUST_USE enum err tls_client_context_new(const struct tls_client_options *options,
                                         struct tls_context **context, struct err_why *why);

/* Counted, from any thread.  Releasing NULL is fine. */
struct tls_context *tls_context_acquire(struct tls_context *context);
void tls_context_release(struct tls_context *context);

/* Who showed us a certificate that was good when the session began. */
struct tls_caller {
    struct digest pin; /* SHA-256 of the public key (SubjectPublicKeyInfo) */
    uint64_t until_ms; /* the certificate's end: believe it no longer */
};
/* After the handshake: false without a certificate. */
bool tls_caller_of(SSL *ssl, struct tls_caller *caller);
/* The pin of the first certificate of a PEM file.  Errors: file and reason in `why`. */
MUST_USE enum err tls_pin_of_file(const char *path, struct digest *pin, struct err_why *why);

/* A new server-side connection, the caller's to SSL_free(), before it releases the context. */
SSL *tls_session_new(struct tls_context *context);
/* A new connection to `host`, a name or a literal address; of a client's context. */
SSL *tls_client_session_new(struct tls_context *context, const char *host);
