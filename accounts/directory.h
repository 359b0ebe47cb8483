/* SPDX-License-Identifier: Apache-2.0
 *
 * directory.h - every account and every credential that weir knows, as one immutable value.
 *
 * Built by the control thread from the catalog, published with the snapshot, read by the workers
 * without a lock.  Only a limiter, an atomic word per account, changes under it.
 */
#pragma once

#include "accounts/api_destination.h"
#include "accounts/limiter.h"
#include "core/arena.h"
#include "core/digest.h"
#include "core/map.h"
#include "core/seal.h"
#include "core/slice.h"

enum { ACCOUNT_ID_CHARS = 12 };

enum {
    ACCOUNT_DEDUP_LAYERS_MAX = 8,
    ACCOUNT_DEDUP_PATHS_MAX = 8, /* of one layer */
};

enum account_dedup_kind {
    ACCOUNT_DEDUP_EXPLICIT,
    ACCOUNT_DEDUP_ID,
    ACCOUNT_DEDUP_INVOCATION,
    ACCOUNT_DEDUP_SIGNATURE,
    ACCOUNT_DEDUP_CONTENT,
    ACCOUNT_DEDUP_FINDING,
    ACCOUNT_DEDUP_PATHS,
};

/* One layer of dedup. */
struct account_dedup {
    enum account_dedup_kind kind;
    const struct slice *paths; /* PATHS only */
    size_t path_count;
};

struct account {
    struct slice id;
    struct slice name;
    bool is_suspended;
    struct limiter *limiter; /* outlives the directory; never NULL */
    /* exact, or a prefix when it ended in `*`; NULL with count 0: anything but aws.* */
    const struct slice *sources;
    size_t source_count;
    bool has_sources;
    const struct slice *may_forward_for; /* account ids, or "*" */
    size_t may_forward_for_count;
    struct slice org_path; /* "o-a1/r-b2/ou-c3"; empty: not told */
    /* ARNs beyond its own account that its rules may send to; exact, or a prefix ending in `*` */
    const struct slice *shared_targets;
    size_t shared_target_count;
    uint64_t dedup_window_ms;
    const struct account_dedup *dedup; /* the first layer that applies counts */
    size_t dedup_count;
    struct slice dispatch_role_arn; /* empty: none */
    struct slice external_id;       /* empty: none */
};

enum credential_kind {
    CREDENTIAL_SIGV4,
    CREDENTIAL_API_KEY,
    CREDENTIAL_BASIC,
    CREDENTIAL_CERTIFICATE,  /* its id is the pin of the key; it has no secret */
    CREDENTIAL_OAUTH,        /* a client: asks for tokens, which then speak for it */
    CREDENTIAL_AWS_IDENTITY, /* a principal of AWS: proves to be it for a token; no secret */
};

struct credential {
    struct slice id; /* the access key id, the key's public prefix, the user or the client */
    enum credential_kind kind;
    struct slice account_id;
    uint64_t expires_ms;    /* 0: never */
    bool is_operator;       /* sigv4: manages every account's buses and the central one */
    bool is_forwarder;      /* sigv4, aws identity: may relay aws.* sources; all others may */
    struct slice header;    /* api key: lower-case header name, "x-api-key" by default */
    struct digest key_hash; /* api key, basic, oauth: what is stored of the secret */
    struct slice secret;    /* sigv4: the secret access key, unsealed */
};

struct directory {
    _Atomic uint32_t references;
    struct arena arena;
    struct map accounts;                 /* id -> struct account */
    struct map credentials;              /* id -> struct credential */
    struct map api_destinations;         /* ARN without UUID -> struct api_destination */
    const struct slice *api_key_headers; /* every header name that some api key uses, lower case */
    size_t api_key_header_count;
    struct slice central_account;
    uint8_t pepper[SEAL_KEY_BYTES]; /* derived from the seal key: hashes secrets, signs tokens */
    uint64_t generation;            /* tells per-thread caches that keys may have changed */
};

/* The pepper under which api keys are hashed, from the seal key: the same in every process. */
void directory_derive_pepper(const uint8_t seal_key[static SEAL_KEY_BYTES],
                             uint8_t pepper[static SEAL_KEY_BYTES]);
/* An empty directory with one reference, to be filled by the caller before it is published. */
struct directory *directory_new(void);
struct directory *directory_acquire(struct directory *directory);
void directory_release(struct directory *directory);
/* Both must live as long as the directory: usually they are in its arena.  An id may come once. */
void directory_add_account(struct directory *directory, struct account *account);
/* Copies the secret into the arena, where it is wiped at the end; the caller wipes its own.  Keeps
 * api_key_headers up to date; the header name must be in lower case. */
void directory_add_credential(struct directory *directory, struct credential *credential);
/* Takes over the reference. */
void directory_add_api_destination(struct directory *directory,
                                   struct api_destination *destination);
/* By its ARN, with or without the UUID; NULL if there is none, or only one of another UUID. */
struct api_destination *directory_api_destination(const struct directory *directory,
                                                  struct slice arn);
/* NULL if unknown. */
const struct account *directory_account(const struct directory *directory, struct slice id);
const struct credential *directory_credential(const struct directory *directory, struct slice id);
/* Does this credential of this account (NULL: it is unknown) stand for a caller now? */
bool directory_is_live(const struct credential *credential, const struct account *account,
                       uint64_t now_ms);
