/* SPDX-License-Identifier: Apache-2.0
 *
 * role_watch.h - can the dispatch role of each account be assumed?  Known before an event needs it.
 *
 * Learns from every answer of STS, also those that deliveries cause, and asks by itself about a
 * role of which nothing was heard for a while: soon after it appears in the catalog, then once an
 * interval.  On the thread of the credentials provider only.
 */
#pragma once

#include "accounts/credentials.h"
#include "accounts/directory.h"

struct role_watch;

struct role_watch_options {
    struct ev_loop *loop; /* NULL: the caller calls role_watch_run() itself */
    struct mailbox *mailbox;
    uint64_t every_ms;          /* 0: never ask, only learn */
    unsigned checks_per_second; /* at most, in this process; at least 1 */
    /* Put one question to the credentials provider. */
    void (*ask)(void *context, struct credentials_ask *ask);
    uint64_t (*now_ms)(void *context);
    void *context;
};

enum role_state {
    ROLE_UNCHECKED, /* STS has said nothing of it yet */
    ROLE_HEALTHY,   /* assumed when last asked */
    ROLE_BROKEN,    /* refused when last asked */
};

/* What is known of one account's dispatch role; the texts are valid until the watch is used again.
 */
struct role_health {
    enum role_state state;
    uint64_t checked_ms;  /* when STS last said yes or no; 0: never */
    uint64_t since_ms;    /* in this state since then */
    enum err err;         /* of the last attempt; not ERR_OK beside HEALTHY: STS gave no answer */
    const char *message;  /* "" with ERR_OK */
    uint64_t asked_count; /* answers of STS about it, and failures to get one */
};

struct role_counts {
    uint64_t healthy;
    uint64_t broken;
    uint64_t unchecked;
};

struct role_watch *role_watch_new(const struct role_watch_options *options);
/* NULL is fine; checks under way are answered into the void, before the mailbox ends. */
void role_watch_destroy(struct role_watch *watch);
/* From now on these accounts: what is new, or has another role or external id, is asked about soon.
 * The directory is not kept. */
void role_watch_use(struct role_watch *watch, const struct directory *directory);
/* What a call to STS came to (credentials_provider_options.on_outcome). */
void role_watch_note(struct role_watch *watch, const struct credentials_outcome *outcome);
/* As many replicas check the same roles: each asks that much slower. */
void role_watch_share(struct role_watch *watch, uint64_t replica_count);
/* False if the account is unknown or has no dispatch role. */
bool role_watch_read(const struct role_watch *watch, struct slice account,
                     struct role_health *health);
void role_watch_count(const struct role_watch *watch, struct role_counts *counts);
const char *role_state_name(enum role_state state);
/* Ask what is due now; returns when to be called again at the latest, UINT64_MAX for never. */
uint64_t role_watch_run(struct role_watch *watch);
