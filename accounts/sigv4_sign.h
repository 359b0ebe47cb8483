/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_sign.h - sign a request to AWS with credentials of ours.
 */
#pragma once

#include "accounts/credentials.h"
#include "accounts/sigv4.h"
#include "core/arena.h"

enum { SIGV4_ADDED_HEADERS_MAX = 4 };

/* What to add to the request; all in the arena. */
struct sigv4_signed {
    struct header headers[SIGV4_ADDED_HEADERS_MAX]; /* x-amz-date, x-amz-security-token, … */
    size_t header_count;
};

/* `request` must hold a host header and body_digest, and none of the headers that are added here;
 * every header of it is signed.  Wipes nothing of the credentials, logs nothing.
 * ERR_TOO_LARGE past SIGV4_CANONICAL_BYTES_MAX or SIGV4_SIGNED_HEADERS_MAX; ERR_BAD_SIGNATURE when
 * a header name or the query cannot be signed. */
MUST_USE enum err sigv4_sign(const struct sigv4_request *request,
                             const struct credentials *credentials, struct slice region,
                             struct slice service, uint64_t now_ms, struct arena *arena,
                             struct sigv4_signed *out);
