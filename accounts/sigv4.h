/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4.h - Signature Version 4, stage by stage, for the verifier and the signer alike.
 *
 *= https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#pragma once

#include "core/buf.h"
#include "core/digest.h"
#include "core/err.h"
#include "core/header.h"

enum {
    SIGV4_SIGNED_HEADERS_MAX = 64,
    SIGV4_QUERY_PAIRS_MAX = 64,
    SIGV4_SECRET_CHARS_MAX = 256,
    SIGV4_CANONICAL_BYTES_MAX = 256 * 1024,
};

/* A request as it is signed.  Everything borrowed. */
struct sigv4_request {
    struct slice method;
    struct slice path;      /* as on the wire, still encoded */
    struct slice query;     /* without '?', as on the wire */
    struct slice authority; /* HTTP/2 :authority, or empty */
    bool is_http2;
    const struct header *headers;
    size_t header_count;
    struct digest body_digest;
};

struct sigv4_scope {
    struct slice date; /* YYYYMMDD */
    struct slice region;
    struct slice service;
};

/* Stage 1: append the canonical request to `out`.  `signed_headers` is the list as it stands in the
 * Authorization header, "a;b;c": lower case, sorted, each name once.  A listed header that is
 * absent gives ERR_BAD_SIGNATURE, as does a list or a query that is not well formed.
 * `encode_path_twice`: every service but S3. */
MUST_USE enum err sigv4_canonical_request(const struct sigv4_request *request,
                                          struct slice signed_headers, bool encode_path_twice,
                                          struct buf *out);
/* Stage 2: append the string to sign. */
MUST_USE enum err sigv4_string_to_sign(struct slice canonical_request, struct slice amz_date,
                                       const struct sigv4_scope *scope, struct buf *out);
/* Stage 3: the signing key, good for one date, region and service.  The secret has at most
 * SIGV4_SECRET_CHARS_MAX characters.  The caller wipes `key`. */
void sigv4_signing_key(struct slice secret, const struct sigv4_scope *scope, struct digest *key);
/* Stage 4: lower-case hex, no NUL. */
void sigv4_signature(const struct digest *key, struct slice string_to_sign,
                     char signature[static DIGEST_HEX_CHARS]);

/* "Sun, 06 Nov 1994 08:49:37 GMT" to "19941106T084937Z"; ERR_BAD_VALUE for any other form. */
MUST_USE enum err sigv4_date_from_http(struct slice text, char amz_date[static 16]);
