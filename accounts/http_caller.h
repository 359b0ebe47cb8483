/* SPDX-License-Identifier: Apache-2.0
 *
 * http_caller.h - who sent a request that is not signed: by a key in a header, by Basic, by a
 * Bearer token, or by a client certificate.
 */
#pragma once

#include "accounts/principal.h"
#include "core/buf.h"
#include "core/header.h"
#include "core/tls.h"

struct http_caller_request {
    const struct header *headers;
    size_t header_count;
    const struct tls_caller *certificate; /* NULL: none came */
    uint64_t now_ms;
};

/* Find the one credential and prove it.  ERR_MISSING_TOKEN without any; ERR_BAD_CREDENTIAL for one
 * that is not good, and for two in one request (a certificate counts where no
 * header says who calls); ERR_NO_TOKEN and ERR_EXPIRED_TOKEN for a Bearer
 * token. */
MUST_USE enum err http_caller_verify(const struct directory *directory,
                                     const struct http_caller_request *request,
                                     struct principal *principal);

/* The id of the credential of a certificate with this key: "wc_" and the pin in hex. */
enum { HTTP_CALLER_PIN_ID_CHARS = 3 + DIGEST_HEX_CHARS };
void http_caller_pin_id(const struct digest *pin, char id[static HTTP_CALLER_PIN_ID_CHARS + 1]);

enum { HTTP_CALLER_BASIC_BYTES_MAX = 256 };

/* User and password of "Basic BASE64", in `text`, which has room for HTTP_CALLER_BASIC_BYTES_MAX
 * and which the caller wipes.  ERR_BAD_VALUE when it is something else.
 *
 *= https://www.rfc-editor.org/rfc/rfc7617#section-2
 */
MUST_USE enum err http_caller_read_basic(struct slice authorization, struct buf *text,
                                         struct slice *user, struct slice *password);
