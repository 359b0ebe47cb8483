/* SPDX-License-Identifier: Apache-2.0
 *
 * caller_identity.h - a caller proves its AWS identity without a secret that we would know.
 *
 * It presigns GetCallerIdentity of STS, with our name among what is signed, and hands over the URL.
 * We send STS the request that this URL must be, made anew, and believe STS what the caller is.
 *
 *= https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 *= https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#pragma once

#include "accounts/principal.h"
#include "accounts/sts.h"
#include "core/arena.h"
#include "core/buf.h"

/* The header that must be signed beside `host`: a proof made for another server is none here. */
#define CALLER_PROOF_SERVER_HEADER "x-weir-server-id"

enum {
    CALLER_PROOF_CHARS_MAX = 12288,
    CALLER_PROOF_EXPIRES_S_MAX = 900,
    CALLER_PROOF_AHEAD_MS = 300000, /* how far the caller's clock may be ahead */
    CALLER_IDENTITY_ID_CHARS = 67,  /* "wi_" and a digest in hex */
};

/* What is asked of a proof. */
struct caller_proof_terms {
    const struct slice *regions; /* whose STS may be asked */
    size_t region_count;
    uint64_t age_ms_max; /* a proof ends then, however long it was presigned for */
    uint64_t now_ms;
};

/* What is taken of a presigned URL; everything else of the request is known beforehand. */
struct caller_proof {
    struct slice region;
    struct slice access_key_id;
    struct slice amz_date;
    struct slice expires; /* seconds */
    struct slice session_token;
    struct slice signature;
};

/* Read a presigned URL.  ERR_TOO_LARGE, or ERR_BAD_VALUE with what is wrong in `why`.  `proof`
 * borrows from `url` and `arena`. */
MUST_USE enum err caller_proof_read(struct slice url, const struct caller_proof_terms *terms,
                                    struct arena *arena, struct caller_proof *proof,
                                    struct err_why *why);
/* "sts.REGION.amazonaws.com", in `arena`, NUL-terminated. */
struct slice caller_proof_host(struct slice region, struct arena *arena);
/* The path and query that STS is to be asked, in `arena`, NUL-terminated behind `endpoint`. */
struct slice caller_proof_url(const struct caller_proof *proof, struct slice endpoint,
                              struct arena *arena);

/* The credential that lets a principal of AWS in is named by the principal, so one principal is let
 * in once.  `principal` is
 *      arn:aws:iam::ACCOUNT:role/PATH/NAME     whoever assumed that role
 *      arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION      one session name of it
 *      arn:aws:iam::ACCOUNT:user/PATH/NAME     that user
 *      arn:aws:iam::ACCOUNT:root               every principal of the account, as in IAM
 * of the account `account`.  False: it is none of these. */
bool caller_identity_id(struct slice principal, struct slice account,
                        char id[static CALLER_IDENTITY_ID_CHARS + 1]);
/* Whom STS named: does a credential of the directory let it in now?  The narrowest counts.
 * ERR_BAD_CREDENTIAL otherwise. */
MUST_USE enum err caller_identity_verify(const struct directory *directory,
                                         const struct sts_caller *caller, uint64_t now_ms,
                                         struct principal *principal);
