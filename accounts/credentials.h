/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.h - AWS credentials for calls that weir makes: its own, and those of assumed roles.
 *
 * A provider lives on one thread (control) with its own HTTP client; other threads ask by mail.
 * Assumed roles are cached per (role, external id, account), asked for once however many wait
 * (single flight), renewed early with jitter, served until shortly before they expire, and a
 * refusal is remembered briefly.
 */
#pragma once

#include <stdatomic.h>

#include "core/err.h"
#include "core/http.h"
#include "core/mailbox.h"
#include "core/slice.h"

/* Immutable and counted; may be shared between threads; wiped at the end. */
struct credentials {
    _Atomic uint32_t references;
    struct slice access_key_id;
    struct slice secret_access_key;
    struct slice session_token; /* empty: none */
    uint64_t expires_ms;        /* 0: never */
    struct slice role_arn;      /* empty: weir's own */
};

/* Copies the texts; one reference.  The secret has at most SIGV4_SECRET_CHARS_MAX characters. */
struct credentials *credentials_new(struct slice access_key_id, struct slice secret_access_key,
                                    struct slice session_token, uint64_t expires_ms,
                                    struct slice role_arn);
struct credentials *credentials_acquire(struct credentials *credentials);
/* NULL is fine. */
void credentials_release(struct credentials *credentials);

struct credentials_provider;

/* The world as tests replace it.  Production leaves credentials_provider_options.io NULL. */
struct credentials_io {
    void *context;
    void (*start_call)(void *context, struct http_call *call);
    uint64_t (*now_ms)(void *context);
    uint64_t (*steady_us)(void *context);
    const char *(*environment)(void *context, const char *name); /* NULL: not set */
};

/* What one call to STS came to; the texts are valid during the call only. */
struct credentials_outcome {
    struct slice role_arn;
    struct slice external_id;
    struct slice account;
    enum err err;        /* as in credentials_ask */
    const char *message; /* "" with ERR_OK */
};

struct credentials_provider_options {
    struct ev_loop *loop; /* NULL: the caller calls credentials_provider_run() itself */
    struct http_client *http;
    struct mailbox *mailbox; /* of the provider's thread */
    struct slice region;
    struct slice sts_endpoint; /* "https://sts.REGION.amazonaws.com" or an override */
    struct slice session_name; /* "weir-dispatch" */
    unsigned calls_per_second; /* STS bucket; 0: 50 */
    unsigned roles_max;        /* remembered at once; 0: 20,000 */
    /* Told of every call to STS for a role, and of each that could not be made; may be NULL. */
    void (*on_outcome)(void *context, const struct credentials_outcome *outcome);
    void *context;
    const struct credentials_io *io;
};

/* The texts of the options are copied. */
struct credentials_provider *
credentials_provider_new(const struct credentials_provider_options *options);
/* After its HTTP client was destroyed and when nobody asks any more; whoever still waits is
 * answered ERR_STOPPING.  NULL is fine. */
void credentials_provider_destroy(struct credentials_provider *provider);
/* Do what is due now: renewals, calls that waited for the bucket.  The provider's timer does. */
void credentials_provider_run(struct credentials_provider *provider);
/* Calls to STS so far. */
uint64_t credentials_provider_call_count(const struct credentials_provider *provider);
/* Which source gave weir's own credentials; "" if none has yet. */
const char *credentials_provider_source(const struct credentials_provider *provider);

/* One question, from any thread; the struct and its slices live until on_answer.
 *
 * Credentials of a role are given until a minute before they expire.  A refusal is remembered for
 * 30 s, growing to 5 minutes, a failure for 1 s, growing to 30 s; who asks meanwhile is told the
 * same at once.  `renew` is heeded at most every 10 s for one role.
 *
 * A check always calls STS.  It does not count as use: what it brings is kept until it expires and
 * goes first when too many roles are remembered, and its failure is told to nobody else. */
struct credentials_ask {
    struct mail mail;
    /* in */
    struct slice role_arn; /* empty: weir's own credentials */
    struct slice external_id;
    struct slice account; /* session tag weir-account */
    bool renew;           /* the ones held were refused as expired: fetch new ones */
    bool is_check;        /* can the role be assumed?  Not for weir's own */
    struct mailbox *home;
    void (*on_answer)(struct credentials_ask *ask); /* on home's thread, always later */
    /* out */
    /* OK; permanent: NO_CREDENTIALS (weir has none itself), REMOTE_DENIED (STS refused this role);
     * worth a retry: REMOTE_THROTTLED, _FAILED, _TIMEOUT, _EXPIRED; STOPPING */
    enum err err;
    char message[256];
    struct credentials *credentials; /* the asker's reference */
    /* private */
    struct credentials_provider *provider;
    struct list node;
};

void credentials_request(struct credentials_provider *provider, struct credentials_ask *ask);
