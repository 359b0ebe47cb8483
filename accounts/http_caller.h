/* SPDX-License-Identifier: Apache-2.0
 *
 * http_caller.h - who sent a request that is not signed: by a key in a header, by Basic, by a
 * Bearer token, or by a client certificate.
 */
#pragma once

#include "accounts/principal.h"
#include "core/buf.h"
#include "core/header.h"

struct http_caller_request {
    const struct header *headers;
    size_t header_count;
    uint64_t now_ms;
};

/* Find the one credential and prove it.  ERR_MISSING_TOKEN without any; ERR_BAD_CREDENTIAL for one
 * that is not good, and for two in one request; ERR_NO_TOKEN and ERR_EXPIRED_TOKEN for a Bearer
 * token. */
MUST_USE enum err http_caller_verify(const struct directory *directory,
                                     const struct http_caller_request *request,
                                     struct principal *principal);

enum { HTTP_CALLER_BASIC_BYTES_MAX = 256 };

/* User and password of "Basic BASE64", in `text`, which has room for HTTP_CALLER_BASIC_BYTES_MAX
 * and which the caller wipes.  ERR_BAD_VALUE when it is something else.
 *
 *= https://www.rfc-editor.org/rfc/rfc7617#section-2
 */
MUST_USE enum err http_caller_read_basic(struct slice authorization, struct buf *text,
                                         struct slice *user, struct slice *password);
