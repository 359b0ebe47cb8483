/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_internal.h - the structs of the memory engine, for its own files only.
 *
 * Everything here is reached under `lock`, by the thread that submitted.
 */
#pragma once

#include <pthread.h>

#include "core/map.h"
#include "storage/store_internal.h"

struct memory_lane {
    char name[STORE_LANE_CHARS_MAX + 1];
    struct list deliveries; /* live ones, by due, then sequence, then ordinal */
    size_t claimed_count;
    uint64_t parked_until_ms;
};

enum memory_state { MEMORY_LIVE, MEMORY_DEAD, MEMORY_ENDED };

struct memory_delivery {
    enum memory_state state;
    struct list node; /* on its lane while live, on the store's dead while dead */
    struct memory_event *event;
    struct memory_lane *lane;
    struct store_record *record; /* what a claim copies, body included */
    uint64_t claim;              /* 0: unclaimed */
    uint64_t claim_until_ms;
    uint64_t dead_id;
    uint64_t buried_ms;
    char reason[STORE_REASON_CHARS_MAX + 1];
    char message[STORE_MESSAGE_BYTES_MAX + 1];
};

struct memory_event {
    uint64_t seq; /* the key in `events` */
    uint64_t cost;
    size_t owed_count; /* deliveries live or dead */
    size_t delivery_count;
    struct memory_delivery deliveries[];
};

struct memory_mark {
    struct list by_age;
    struct list by_key;
    struct memory_mark_key *key;
    struct digest content;
    uint64_t expires_ms;
    uint64_t answered_count;
    char event_id[STORE_EVENT_ID_CHARS_MAX + 1];
};

struct memory_mark_key {
    struct digest key;
    struct list marks;
};

struct memory_archive {
    struct store_archive_size size; /* size.archive is the key */
    struct list events;             /* struct store_archived, in order */
};

struct memory_tally {
    struct store_tally_row row; /* row.account is the key */
};

struct memory_document {
    char *name;
    char *value;
    size_t name_len;
    size_t value_len;
    uint64_t rev;
};

struct memory_store {
    struct store store;
    uint32_t magic;
    uint64_t bytes_max;
    uint64_t archive_bytes_max;

    pthread_mutex_t lock;
    uint64_t last_seq;
    uint64_t last_claim;
    uint64_t last_dead_id;
    uint64_t bytes_used;
    uint64_t archive_bytes; /* of them */
    uint64_t commits;
    uint64_t commit_entries;
    struct map events;    /* by sequence */
    struct map lanes;     /* by name */
    struct map mark_keys; /* by dedup key */
    struct list marks;    /* all, oldest first */
    struct list dead;     /* struct memory_delivery, by dead_id */
    struct map archives;  /* by number, 8 bytes */
    struct map tallies;   /* by account */
    struct map documents; /* by name; deleted ones have no value */
    uint64_t rev;
};

/* store_memory.c */
struct memory_lane *memory_lane_get(struct memory_store *store, struct slice name);
/* Put a live delivery on its lane, at its place. */
void memory_lane_add(struct memory_delivery *delivery);
/* End the claim, if there is one. */
void memory_claim_end(struct memory_delivery *delivery);
/* End the claims of this lane that are past their time. */
void memory_lane_expire(struct memory_lane *lane, uint64_t now_ms);
/* Try to claim for a commit; 0 if the lane does not allow it. */
uint64_t memory_claim_new(struct memory_store *store, struct memory_delivery *delivery,
                          uint64_t now_ms, uint64_t until_ms);
/* The delivery is over: free the event with its last one. */
void memory_delivery_end(struct memory_store *store, struct memory_delivery *delivery);
struct store_tally_row *memory_tally_of(struct memory_store *store, struct slice account);

/* memory_commit.c */
enum err memory_commit_run(struct memory_store *store, struct store_commit *commit);
enum err memory_once_run(struct memory_store *store, struct store_once *once);
void memory_marks_free(struct memory_store *store);

/* memory_dead.c */
enum err memory_bury_run(struct memory_store *store, struct store_bury *bury,
                         struct memory_delivery *delivery);
enum err memory_dead_list_run(struct memory_store *store, struct store_dead_list *list);
enum err memory_dead_edit_run(struct memory_store *store, struct store_dead_edit *edit);

/* memory_archive.c */
void memory_archive_keep(struct memory_store *store, const struct store_commit *commit,
                         struct store_entry *entry);
enum err memory_archive_read_run(struct memory_store *store, struct store_archive_read *read);
enum err memory_archive_trim_run(struct memory_store *store, struct store_archive_trim *trim);
enum err memory_archive_sizes_run(struct memory_store *store, struct store_archive_sizes *sizes);
void memory_archives_free(struct memory_store *store);

/* memory_catalog.c */
enum err memory_catalog_put_run(struct memory_store *store, struct store_catalog_put *put);
enum err memory_catalog_read_run(struct memory_store *store, struct store_catalog_read *read);
void memory_catalog_free(struct memory_store *store);
enum err memory_tally_run(struct memory_store *store, struct store_tally *tally);
void memory_tallies_free(struct memory_store *store);
