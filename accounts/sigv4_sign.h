/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_sign.h - sign a request to AWS with credentials of ours.
 */
#pragma once

#include "accounts/credentials.h"
#include "accounts/sigv4.h"
#include "core/arena.h"

/* What to add to the request; all in the arena. */
struct sigv4_signed {
    struct header headers[4]; /* x-amz-date, authorization, x-amz-security-token, … */
    size_t header_count;
};

/* `request` must hold a host header and body_digest; every header of it is signed.  Wipes nothing
 * of the credentials, logs nothing. */
MUST_USE enum err sigv4_sign(const struct sigv4_request *request,
                             const struct credentials *credentials, struct slice region,
                             struct slice service, uint64_t now_ms, struct arena *arena,
                             struct sigv4_signed *out);
