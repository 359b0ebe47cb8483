/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_internal.h - the embedded engine, as its own files see it.
 *
 * Everything but the mailbox belongs to the store thread.  What an operation changes in memory is
 * either undone or kept together with the transaction it ran in, so each part has three functions:
 * one that changes, `_keep` after the flush and `_undo` after a rollback.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/map.h"
#include "storage/mark_table.h"
#include "storage/record.h"
#include "storage/sqlite_folder.h"
#include "storage/sqlite_sql.h"
#include "storage/store_internal.h"

enum {
    SQLITE_BATCH_RECORDS_MAX = 4096,
    SQLITE_BATCH_BYTES_MAX = 1 << 20,
    SQLITE_SETTLE_IDLE_MS = 5,          /* how long a settle waits for company */
    SQLITE_FULL_LOOK_MS = 1000,         /* how often a full store looks for room */
    SQLITE_CHECKPOINT_PAGES = 1000,     /* when the thread is idle */
    SQLITE_CHECKPOINT_PAGES_MAX = 4000, /* even when it is not: 16 MiB of log */
    SQLITE_LANE_SWEEP_MIN = 1024,
};

/* One lane in memory: never more than this, however many deliveries wait. */
struct sqlite_lane {
    char name[STORE_LANE_CHARS_MAX + 1];
    uint64_t live_count;
    uint64_t next_due_ms; /* least due among the unclaimed, UINT64_MAX if there is none */
    uint64_t parked_until_ms;
    struct list claims;
    size_t claimed_count;

    /* as it was before this transaction */
    struct list touched_node;
    uint64_t kept_live_count;
    uint64_t kept_next_due_ms;
};

struct sqlite_claim_key {
    uint64_t seq;
    uint64_t ordinal;
};

struct sqlite_claim {
    struct list node;       /* on its lane while it lasts */
    struct list batch_node; /* begun or ended in this transaction */
    struct sqlite_lane *lane;
    struct sqlite_claim_key key;
    uint64_t no;
    uint64_t due_ms;
    uint64_t until_ms; /* UINT64_MAX: held because its record is damaged */
    bool is_begun;     /* in this transaction */
    bool is_ended;
};

struct sqlite_tally {
    struct store_tally_row row;
    struct store_tally_row kept; /* as it was before this transaction */
    struct list touched_node;
};

/* Totals that are written with each transaction. */
struct sqlite_header {
    uint64_t batch;
    uint64_t bytes_used;
    uint64_t last_seq;
    uint64_t last_dead_id;
    uint64_t rev;
    uint64_t event_count;   /* rows of `event`, so that no start has to count them */
    uint64_t archive_bytes; /* of `bytes_used`; the sum over `archive`, not written */
};

/* A mark that this transaction added to the tables, or will take out of them. */
struct sqlite_mark_change {
    struct sqlite_mark_change *next;
    uint64_t exact_hash;
    uint64_t key_hash;
    uint64_t seq;
};

struct sqlite_queue {
    struct mail *first;
    struct mail *last;
};

/* store_sqlite.c hands operations to the others one by one and owns the transaction. */

struct sqlite_store {
    struct store store;
    uint32_t magic;

    /* any thread */
    struct mailbox mailbox;
    struct mail stop; /* the last letter */

    /* set before the thread starts */
    pthread_t thread;
    struct store_uuid uuid;
    uint64_t bytes_max;
    uint64_t archive_bytes_max;
    uint64_t reserve_bytes;

    /* the store thread only */
    struct sqlite_folder folder;
    sqlite3 *db;
    sqlite3_stmt *statements[SQLITE_STATEMENT_COUNT];
    struct sqlite_queue queue;      /* arrived, not begun */
    struct sqlite_queue unfinished; /* walks to go on with, before the queue */
    struct sqlite_queue backups;    /* not begun */
    struct sqlite_backup *backup;   /* under way, or NULL */
    size_t urgent_count;            /* in the queue: all that somebody waits for */
    uint64_t lazy_since_ms;         /* steady clock: when the first of the others arrived */
    bool is_stopping;
    bool is_shrinking;
    bool may_shrink; /* pages may have become free since the last look */
    bool has_failed;
    unsigned format; /* of the database as found when it was opened */
    bool is_full;    /* commits are refused: said once in the log */
    bool has_ballast;
    int failure;     /* SQLite's code of what went wrong in this transaction, or 0 */
    bool is_writing; /* a transaction is open */
    int log_pages;   /* in SQLite's write-ahead log */
    uint64_t commits;
    uint64_t commit_entries;
    uint64_t batch_commits; /* of the transaction under way */
    uint64_t batch_entries;
    uint64_t last_claim;
    uint64_t latest_ms; /* the latest now_ms that any operation carried */

    struct sqlite_header header;
    struct sqlite_header kept_header;
    struct map lanes;  /* by name */
    struct map claims; /* by sequence and ordinal */
    struct list touched_lanes;
    struct list batch_claims;
    size_t lane_sweep_at;
    struct map tallies; /* by account */
    struct list touched_tallies;
    struct mark_table marks;         /* hash of key and content -> sequence */
    struct mark_table mark_keys;     /* hash of key -> how many marks */
    uint64_t oldest_mark_expires_ms; /* 0: not known; UINT64_MAX: there is none */
    struct sqlite_mark_change *marks_added;
    struct sqlite_mark_change *marks_purged;
    struct arena batch_arena;
    struct buf scratch;
};

/* store_sqlite.c: open a transaction if none is; every write calls it first. */
MUST_USE enum err sqlite_write_begin(struct sqlite_store *store);

/* sqlite_upkeep.c: what the thread does between batches */
/* Is the disk too full for new events? Logged when it changes. */
bool sqlite_upkeep_is_full(struct sqlite_store *store);
/* A transaction did not fit on the disk: give up the ballast; false if there was none. */
bool sqlite_upkeep_make_room(struct sqlite_store *store);
/* Write the log back into the database when it is long; with `is_idle` sooner. False when there was
 * nothing to do.  A failure is noted in the store. */
bool sqlite_upkeep_checkpoint(struct sqlite_store *store, bool is_idle);
/* Give free pages back to the disk, a few at a time; false when there is nothing to give. */
bool sqlite_upkeep_shrink(struct sqlite_store *store);
void sqlite_upkeep_open(struct sqlite_store *store);
/* At a clean end: the whole log into the database. */
void sqlite_upkeep_close(struct sqlite_store *store);

/* sqlite_backup.c: outside of transactions */
/* A step of the copy under way, or else begin `next` (NULL: none).  False when there is nothing to
 * do.  What is done, or cannot be, is answered. */
bool sqlite_backup_go_on(struct sqlite_store *store, struct store_backup *next);
/* End the copy under way, if there is one, without a copy. */
void sqlite_backup_give_up(struct sqlite_store *store, const char *reason);

/* sqlite_schema.c */
MUST_USE enum err sqlite_schema_open(struct sqlite_store *store, struct err_why *why);
void sqlite_schema_close(struct sqlite_store *store);
MUST_USE enum err sqlite_header_write(struct sqlite_store *store);

/* sqlite_lane.c: lanes, claims, parks */
struct sqlite_lane *sqlite_lane_get(struct sqlite_store *store, struct slice name);
/* A delivery joined the lane. */
void sqlite_lane_join(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t due_ms,
                      bool is_claimed);
/* A delivery left the lane, and its row is gone already. */
MUST_USE enum err sqlite_lane_leave(struct sqlite_store *store, struct sqlite_lane *lane,
                                    uint64_t due_ms, bool was_claimed);
/* One of its deliveries is unclaimed from now on. */
void sqlite_lane_owes(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t due_ms);
struct sqlite_claim *sqlite_claim_find(struct sqlite_store *store, uint64_t seq, uint32_t ordinal);
/* End it; its delivery is unclaimed again only if the caller says so by sqlite_lane_owes(). */
void sqlite_claim_end(struct sqlite_store *store, struct sqlite_claim *claim);
/* For a commit: the number of a new claim, or 0 if the lane does not allow one. */
uint64_t sqlite_claim_new(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t seq,
                          uint32_t ordinal, uint64_t now_ms, uint64_t until_ms);
MUST_USE enum err sqlite_claim_run(struct sqlite_store *store, struct store_claim *claim);
MUST_USE enum err sqlite_lanes_run(struct sqlite_store *store, struct store_lanes *lanes);
MUST_USE enum err sqlite_park_run(struct sqlite_store *store, const struct store_park *park);
void sqlite_lanes_keep(struct sqlite_store *store);
void sqlite_lanes_undo(struct sqlite_store *store);
MUST_USE enum err sqlite_lanes_load(struct sqlite_store *store);
void sqlite_lanes_free(struct sqlite_store *store);

/* sqlite_mark.c: dedup marks */
enum sqlite_mark_answer { SQLITE_MARK_NEW, SQLITE_MARK_CONFLICT, SQLITE_MARK_DUPLICATE };
MUST_USE enum err sqlite_mark_find(struct sqlite_store *store, struct store_entry *entry,
                                   uint64_t now_ms, enum sqlite_mark_answer *answer);
/* With `duplicate_of` filled unless the mark has done so, when the answer is REPEATED. */
enum sqlite_guard_answer { SQLITE_GUARD_NEW, SQLITE_GUARD_IN_GRACE, SQLITE_GUARD_REPEATED };
MUST_USE enum err sqlite_guard_find(struct sqlite_store *store, struct store_entry *entry,
                                    uint64_t now_ms, enum sqlite_guard_answer *answer);
/* Under a sequence of its own; `event_id` answers its repeats. */
MUST_USE enum err sqlite_guard_add(struct sqlite_store *store, const struct store_entry *entry,
                                   struct slice event_id, uint64_t now_ms);
MUST_USE enum err sqlite_mark_add(struct sqlite_store *store, const struct store_entry *entry,
                                  uint64_t now_ms);
MUST_USE enum err sqlite_once_run(struct sqlite_store *store, struct store_once *once);
MUST_USE enum err sqlite_marks_purge(struct sqlite_store *store, uint64_t now_ms, size_t count_max);
void sqlite_marks_keep(struct sqlite_store *store);
void sqlite_marks_undo(struct sqlite_store *store);
MUST_USE enum err sqlite_marks_load(struct sqlite_store *store);
void sqlite_marks_free(struct sqlite_store *store);

/* sqlite_commit.c: commit, settle, retry */
MUST_USE enum err sqlite_commit_run(struct sqlite_store *store, struct store_commit *commit);
MUST_USE enum err sqlite_settle_run(struct sqlite_store *store, const struct store_settle *settle);
MUST_USE enum err sqlite_retry_run(struct sqlite_store *store, const struct store_retry *retry);
/* Where a live delivery stands. */
struct sqlite_place {
    struct sqlite_lane *lane;
    uint64_t due_ms;
};
/* The live delivery of that name and its claim (NULL: unclaimed); lane is NULL if there is none. */
MUST_USE enum err sqlite_delivery_find(struct sqlite_store *store, const struct store_ref *ref,
                                       struct sqlite_place *place, struct sqlite_claim **claim);
MUST_USE enum err sqlite_delivery_insert(struct sqlite_store *store,
                                         const struct store_record *record);
MUST_USE enum err sqlite_delivery_delete(struct sqlite_store *store, const struct store_ref *ref,
                                         const struct sqlite_place *place,
                                         struct sqlite_claim *claim);
/* Free the event if nothing is owed for it any more. */
MUST_USE enum err sqlite_event_release(struct sqlite_store *store, uint64_t seq);
/* The event, checked; ERR_STORE_CORRUPT is logged and is this record's own trouble, not the
 * store's.  The slices are good until the statement EVENT_READ is reset. */
MUST_USE enum err sqlite_event_read(struct sqlite_store *store, uint64_t seq,
                                    struct record *record);

/* sqlite_step.c: what a delivery takes along from step to step */
MUST_USE enum err sqlite_advance_run(struct sqlite_store *store,
                                     const struct store_advance *advance);
/* Of the delivery in that lane; empty if it has none.  ERR_STORE_CORRUPT is its own trouble.  Good
 * until the statement STATE_READ is reset. */
MUST_USE enum err sqlite_state_read(struct sqlite_store *store, struct slice lane, uint64_t seq,
                                    uint32_t ordinal, struct slice *state);
/* The delivery has ended. */
MUST_USE enum err sqlite_state_delete(struct sqlite_store *store, struct slice lane, uint64_t seq,
                                      uint32_t ordinal);

/* sqlite_archive.c */
/* As part of a commit: copies for the archives that the entry names. */
MUST_USE enum err sqlite_archive_keep(struct sqlite_store *store, const struct store_commit *commit,
                                      struct store_entry *entry);
MUST_USE enum err sqlite_archive_read_run(struct sqlite_store *store,
                                          struct store_archive_read *read);
MUST_USE enum err sqlite_archive_trim_run(struct sqlite_store *store,
                                          struct store_archive_trim *trim);
MUST_USE enum err sqlite_archive_sizes_run(struct sqlite_store *store,
                                           struct store_archive_sizes *sizes);
MUST_USE enum err sqlite_archives_load(struct sqlite_store *store);

/* sqlite_dead.c */
MUST_USE enum err sqlite_bury_run(struct sqlite_store *store, const struct store_bury *bury);
MUST_USE enum err sqlite_dead_list_run(struct sqlite_store *store, struct store_dead_list *list);
MUST_USE enum err sqlite_dead_edit_run(struct sqlite_store *store, struct store_dead_edit *edit);

/* sqlite_catalog.c: documents and counters */
MUST_USE enum err sqlite_catalog_put_run(struct sqlite_store *store, struct store_catalog_put *put);
MUST_USE enum err sqlite_catalog_read_run(struct sqlite_store *store,
                                          struct store_catalog_read *read);
/* The row to change, as part of the transaction under way. */
struct store_tally_row *sqlite_tally_touch(struct sqlite_store *store, struct slice account);
MUST_USE enum err sqlite_tally_run(struct sqlite_store *store, struct store_tally *tally);
MUST_USE enum err sqlite_tallies_write(struct sqlite_store *store);
void sqlite_tallies_keep(struct sqlite_store *store);
void sqlite_tallies_undo(struct sqlite_store *store);
MUST_USE enum err sqlite_tallies_load(struct sqlite_store *store);
void sqlite_tallies_free(struct sqlite_store *store);
