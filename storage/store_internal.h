/* SPDX-License-Identifier: Apache-2.0
 *
 * store_internal.h - what the engines share: how an operation goes home, what a batch costs, and
 * how records are built for the caller.
 */
#pragma once

#include <pthread.h>

#include "storage/store.h"
#include "storage/store_archive.h"

enum {
    STORE_DELIVERY_COST = 256, /* bytes that one delivery's rows take, roughly */
    STORE_MARK_COST = 192,     /* and one mark */
    STORE_MARK_PURGE_BASE = 16,
    STORE_MARK_PURGE_PER_ENTRY = 4, /* two of them new: a mark and a guard */
    STORE_ACCOUNT_CHARS = 12,
};

/* Start an engine's thread, which no signal disturbs.  0, or an errno. */
MUST_USE int store_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument);

/* Send the operation home; it is the caller's from here on. */
void store_answer(struct store_op *op, enum err err);
/* The operation whose mail this is. */
struct store_op *store_op_of(struct mail *mail);

/* Does every part of the batch fit the limits of store.h?  ERR_TOO_LARGE if not. */
MUST_USE enum err store_commit_check(const struct store_commit *commit);
/* The entry as an archive keeps it: event alone, owed to nobody. */
struct store_entry store_entry_bare(const struct store_entry *entry);
/* What a bare entry's record of that length adds to its archive, and to `bytes_used`. */
uint64_t store_archived_cost(size_t record_len);
/* What of `total` this archiving may fill, others' copies included. */
uint64_t store_archives_share(uint64_t total, const struct store_archiving *archiving);
/* What one entry adds to `bytes_used` until its event ends, without its mark. */
uint64_t store_event_cost(size_t record_len, size_t delivery_count);
/* What the whole batch would add at most. */
uint64_t store_commit_cost(const struct store_commit *commit);
/* How many expired marks a batch may purge: more than it adds, so that they cannot pile up. */
size_t store_purge_max(const struct store_commit *commit);

/* Of a live guard that ends at `expires_ms`: is it so old that this entry is a repeat? */
bool store_guard_is_past_grace(const struct store_entry *entry, uint64_t expires_ms,
                               uint64_t now_ms);

/* A moment that one replica acts on is a mark: its name is the key, its due time the content. */
void store_once_mark(const struct store_once *once, struct digest *key, struct digest *content);

/* The account at the front of a lane's name. */
struct slice store_lane_account(struct slice lane);
/* May a delivery that was committed to `first` be in `lane`: there, or in a lane of its steps? */
bool store_lane_is_of(struct slice lane, struct slice first);
/* Is it a lane of a step, whose deliveries have a state? */
bool store_lane_has_state(struct slice lane);
/* Ends the process if the operation breaks its contract. */
void store_advance_check(const struct store_advance *advance);
/* Copy a name of at most `size - 1` bytes with its NUL. */
void store_name_copy(char *out, size_t size, struct slice name);

/* What a new record is filled from; all borrowed. */
struct store_record_parts {
    struct slice account;
    struct slice event_id;
    struct slice bus;
    struct slice rule;
    struct slice target_id;
    struct slice body;
    struct slice state;
};

/* One block of memory with copies of all parts, the rest zero. */
struct store_record *store_record_new(const struct store_record_parts *parts);
struct store_dead *store_dead_new(struct slice reason, struct slice message);

/* Is a dead letter with these properties meant by the filter? */
struct store_dead_facts {
    uint64_t id;
    uint64_t buried_ms;
    struct slice account;
    struct slice bus;
    struct slice rule;
    struct slice target_id;
    struct slice reason;
};
bool store_dead_matches(const struct store_dead_filter *filter,
                        const struct store_dead_facts *facts);

/* May a dead letter with such a body still go on the page?  Counts it if so. */
bool store_dead_page_takes(struct store_dead_list *list, size_t body_len);

/* One block of memory with copies of what the record holds. */
struct record;
struct store_archived *store_archived_new(const struct record *record, struct store_place place);
/* Is `a` before `b`? */
bool store_place_before(const struct store_place *a, const struct store_place *b);

/* Free what a half-done operation has put out, as before it began. */
void store_records_free(struct list *records);
void store_dead_all_free(struct list *dead);
