/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials_internal.h - what the cache of roles and the call to STS share.
 */
#pragma once

#include "accounts/credentials.h"
#include "accounts/limiter.h"
#include "accounts/own_credentials.h"
#include "core/arena.h"
#include "core/heap.h"
#include "core/map.h"

enum { CREDENTIALS_PROVIDER_MAGIC = 0x63726564 };

struct role {
    struct credentials_provider *provider;
    struct arena arena; /* the texts */
    struct slice key;
    struct slice arn;
    struct slice external_id;
    struct slice account;

    struct list waiters;    /* struct credentials_ask */
    struct list queue_node; /* waiting for a call */
    struct list unasked;    /* while only checks have asked for it */
    struct heap_node due;   /* renewal, or the end */

    struct credentials *held;
    uint64_t serve_until_ms;
    uint64_t renew_ms;
    uint64_t fetched_ms;
    uint64_t asked_ms;

    enum err err; /* of the last call, remembered until told_until_ms */
    char message[256];
    uint64_t told_until_ms;
    unsigned failure_count;

    bool is_calling;
    bool has_reloaded;  /* own credentials, for this call */
    bool has_corrected; /* the clock, for this call */
    struct credentials *signer;
    struct http_call call;
    struct arena call_arena;
    struct buf body;
};

struct credentials_provider {
    uint32_t magic;
    struct credentials_provider_options options;
    struct credentials_io io;
    struct arena arena;
    struct own_credentials *own;
    struct list own_waiters; /* struct credentials_ask */
    uint64_t own_renewed_ms;
    struct map roles;
    struct heap due;
    struct list queue;
    struct list unasked; /* roles, the oldest first */
    struct limiter bucket;
    uint64_t calls_made;
    unsigned call_count;
    int64_t clock_offset_ms; /* AWS minus us */
    bool is_stopping;        /* the HTTP client is being destroyed */
    ev_timer timer;
};

/* credentials_provider.c: the clock, and what a call came to */
uint64_t credentials_now_ms(const struct credentials_provider *provider);
void credentials_role_fail(struct role *role, enum err err, const char *message);
/* Takes the reference. */
void credentials_role_succeed(struct role *role, struct credentials *credentials);
/* Call again, before all others. */
void credentials_role_repeat(struct role *role);
/* Start what may be started, and wake up for what comes next. */
void credentials_pump(struct credentials_provider *provider);

/* credentials_call.c: ask STS for the role, signed with the credentials that weir holds itself */
void credentials_call_start(struct role *role);
