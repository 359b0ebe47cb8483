/* SPDX-License-Identifier: Apache-2.0
 *
 * issue.h - making a credential: what is stored, and what is shown exactly once.
 */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/seal.h"

struct issue_options {
    const uint8_t *seal_key; /* SEAL_KEY_BYTES */
    struct slice account;
    struct slice kind;      /* "sigv4", "api-key", "basic", "oauth", "certificate", "aws-identity",
                               "operator" */
    struct slice pin;       /* of a certificate: SHA-256 of its public key, in hex */
    struct slice principal; /* of an AWS identity: see caller_identity_id() */
    struct slice header;    /* of an api key; empty: x-api-key */
    struct slice role;      /* of an operator's token: see admin_access.h */
    struct slice manager;   /* who issues it: "api:operator" */
    bool is_forwarder;
    bool is_operator;    /* of a SigV4 key: may manage every bus through the EventBridge API */
    uint64_t expires_ms; /* 0: never */
    uint64_t now_ms;
};

/* Make one.  `document` (the caller's reference) is for the catalog under "credential/" + its `id`
 * member; it holds no secret in the clear.  `shown` gets the JSON object for the person who asked:
 * wipe it.  ERR_BAD_REQUEST with the reason in `why`. */
MUST_USE enum err issue_credential(const struct issue_options *options, json_t **document,
                                   struct buf *shown, struct err_why *why);
