/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_verify.h - is this request signed with a key that weir issued?
 */
#pragma once

#include "accounts/principal.h"
#include "accounts/sigv4.h"

/* Signing keys derived lately, per thread: one HMAC and two hashes a request instead of six. */
struct sigv4_key_cache;
struct sigv4_key_cache *sigv4_key_cache_new(void);
/* Wipes the keys. NULL is fine. */
void sigv4_key_cache_destroy(struct sigv4_key_cache *cache);

struct sigv4_verify_options {
    const struct directory *directory;
    struct sigv4_key_cache *keys;
    struct slice region;
    struct slice service; /* "events" */
    uint64_t now_ms;
    uint64_t skew_max_ms; /* 5 minutes by default */
    /* NULL, or told what cannot be read; never why a credential was refused */
    struct err_why *why;
};

/* Before the body arrived: is there one readable Authorization header, in scope, in time, with
 * every header signed that must be?  The key may still be unknown: that is not told apart. */
MUST_USE enum err sigv4_check_head(const struct sigv4_verify_options *options,
                                   const struct sigv4_request *request);
/* With the digest of the whole body; checks the head too.  ERR_MISSING_TOKEN,
 * ERR_INCOMPLETE_SIGNATURE, or ERR_BAD_SIGNATURE for everything else: unknown key, wrong signature,
 * wrong date, revoked, suspended.  An unknown key costs the same work as a wrong signature.
 * `principal` borrows from the directory and the request, and is set only on ERR_OK. */
MUST_USE enum err sigv4_verify(const struct sigv4_verify_options *options,
                               const struct sigv4_request *request, struct principal *principal);
