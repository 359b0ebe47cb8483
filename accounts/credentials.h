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

/* Immutable and counted; may be shared between threads; secrets are wiped at the end. */
struct credentials {
    _Atomic uint32_t references;
    struct slice access_key_id;
    struct slice secret_access_key;
    struct slice session_token; /* empty: none */
    uint64_t expires_ms;        /* 0: never */
    struct slice role_arn;      /* empty: weir's own */
};

struct credentials *credentials_new(struct slice access_key_id, struct slice secret_access_key,
                                    struct slice session_token, uint64_t expires_ms,
                                    struct slice role_arn);
struct credentials *credentials_acquire(struct credentials *credentials);
void credentials_release(struct credentials *credentials);

struct credentials_provider;

struct credentials_provider_options {
    struct ev_loop *loop;
    struct http_client *http;
    struct mailbox *mailbox; /* of the provider's thread */
    struct slice region;
    struct slice sts_endpoint; /* "https://sts.REGION.amazonaws.com" or an override */
    struct slice session_name; /* "weir-dispatch" */
    unsigned calls_per_second; /* STS bucket, 50 */
};

struct credentials_provider *
credentials_provider_new(const struct credentials_provider_options *options);
void credentials_provider_destroy(struct credentials_provider *provider);

/* One question, from any thread; the struct and its slices live until on_answer. */
struct credentials_ask {
    struct mail mail;
    /* in */
    struct slice role_arn; /* empty: weir's own credentials */
    struct slice external_id;
    struct slice account; /* session tag weir-account */
    bool renew;           /* the ones held were refused as expired: fetch new ones */
    struct mailbox *home;
    void (*on_answer)(struct credentials_ask *ask); /* on home's thread, always later */
    /* out */
    enum err err; /* OK, NO_CREDENTIALS (permanent), REMOTE_DENIED (permanent), REMOTE_* (retry) */
    char message[256];
    struct credentials *credentials; /* the asker's reference */
    /* private */
    struct credentials_provider *provider;
    struct list node;
};

void credentials_request(struct credentials_provider *provider, struct credentials_ask *ask);
