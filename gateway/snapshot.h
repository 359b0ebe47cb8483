/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.h - what the workers see of the catalog: one immutable value, swapped between requests.
 *
 * The control thread builds a new one for each change and publishes it by mail.  A worker keeps a
 * reference for as long as a request of its own still looks into it; the last reference frees.
 */
#pragma once

#include <stdatomic.h>

#include "accounts/directory.h"
#include "gateway/bus_policies.h"
#include "gateway/catalog.h"
#include "gateway/list_book.h"
#include "routing/ruleset.h"

struct lease_desk;

/* Every rule that has a schedule, by its label; immutable and counted. */
struct schedule_list {
    _Atomic uint32_t references;
    size_t count;
    struct rule *rules[];
};

struct snapshot {
    _Atomic uint32_t references;
    uint64_t rev;
    struct directory *directory;
    struct trie policies; /* of buses, see bus_policies.h */
    struct list_book *lists;
    struct ruleset *ruleset; /* which asks them */
    struct schedule_list *schedules;
};

/* What lasts longer than any snapshot: the spent part of every account's rate. */
struct limiter_book {
    struct map limiters;     /* account id -> struct lease_page, control thread only */
    struct lease_desk *desk; /* of a shared store, for pages that are made from now on; or NULL */
};

void limiter_book_clean_up(struct limiter_book *book);

struct snapshot_options {
    struct slice region;
    struct slice central_account;
    const uint8_t *seal_key; /* SEAL_KEY_BYTES */
    struct limiter_book *limiters;
    /* Of the same catalog and options, or NULL.  What has not changed since (catalog->changed) is
     * used again. */
    const struct snapshot *previous;
};

/* Compile what has changed of the catalog since the previous snapshot, or all of it.  A document
 * that does not compile (it was checked before it was stored) is ERR_STORE_CORRUPT with its name in
 * `why`. */
MUST_USE enum err snapshot_new(const struct catalog *catalog,
                               const struct snapshot_options *options, struct snapshot **snapshot,
                               struct err_why *why);
/* The same with another ruleset that says the same, whose reference it takes over. */
struct snapshot *snapshot_with_ruleset(const struct snapshot *snapshot, struct ruleset *ruleset);
struct snapshot *snapshot_acquire(struct snapshot *snapshot);
void snapshot_release(struct snapshot *snapshot);

struct schedule_list *schedule_list_acquire(struct schedule_list *list);
/* NULL is fine. */
void schedule_list_release(struct schedule_list *list);
