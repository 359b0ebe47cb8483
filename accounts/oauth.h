/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.h - the client credentials grant: the request for a token, and the token in its reply.
 *
 *= https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
#pragma once

#include "accounts/api_destination.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/header.h"

enum {
    OAUTH_TOKEN_CHARS_MAX = 16384,
    OAUTH_LIFETIME_S = 3600, /* of a token whose reply does not say */
    OAUTH_BODY_BYTES_MAX = 512 * 1024,
};

/* A request for a token. In the arena, the body in the caller's buf: all of it is secret. */
struct oauth_request {
    const char *method;
    const char *url;
    const struct header *headers;
    size_t header_count;
};

/* Write it.  The client's id and secret, `grant_type=client_credentials` unless the connection says
 * otherwise, and the connection's own parameters: in the query of a GET, else as a form.
 * ERR_TOO_LARGE past the maximum of `body`. */
MUST_USE enum err oauth_write_request(const struct api_oauth *oauth, struct arena *arena,
                                      struct buf *body, struct oauth_request *request);

struct oauth_token {
    struct slice authorization; /* the header's value: "Bearer TOKEN"; in the arena */
    uint64_t lifetime_ms;
};

/* Read the body of a 2xx reply.  ERR_BAD_VALUE, with what is wrong and nothing of the token. */
MUST_USE enum err oauth_read_token(struct slice body, struct arena *arena,
                                   struct oauth_token *token, struct err_why *why);
