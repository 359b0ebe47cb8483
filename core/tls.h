/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h - the server side of TLS: one immutable context per certificate, shared by every thread.
 *
 * A reload makes a new context; connections keep the one they began with.
 */
#pragma once

#include <openssl/types.h>

#include "core/err.h"
#include "core/seal.h"

struct tls_context;

struct tls_options {
    const char *certificate_path; /* PEM, the chain in order, the server's own first */
    const char *key_path;         /* PEM, not readable by others */
    /* Session tickets are sealed under keys derived from this one and the 12-hour epoch, so every
     * process with the same key resumes the sessions of the others. */
    uint8_t seal_key[SEAL_KEY_BYTES];
    uint64_t (*now_ms)(void); /* NULL: moment_now_ms */
};

/* Load certificate and key.  Errors: ERR_BAD_CONFIG with the file and the reason in `why`. */
MUST_USE enum err tls_context_new(const struct tls_options *options, struct tls_context **context,
                                  struct err_why *why);
/* Counted, from any thread.  Releasing NULL is fine. */
struct tls_context *tls_context_acquire(struct tls_context *context);
void tls_context_release(struct tls_context *context);

/* A new server-side connection, the caller's to SSL_free(), before it releases the context. */
SSL *tls_session_new(struct tls_context *context);
