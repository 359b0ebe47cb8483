/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_internal.h - what the files of ingest share: a batch on its way, and who does what with
 * it.
 *
 *   ingest.c        the story: bind, admit, complete, match, remember, answer
 *   ingest_who.c    whose request is it
 *   ingest_trace.c  the decisions, for who asks later
 *   ingest_schedule.c  the event that a schedule makes
 *   ingest_replay.c  the event that a replay brings back
 *   ingest_store.c  what the store is told of an entry, and what its verdict means
 */
#pragma once

#include <ev.h>

#include "core/arena.h"
#include "core/list.h"
#include "gateway/ingest.h"
#include "routing/ruleset.h"

struct sigv4_key_cache;

enum outcome {
    OUTCOME_OPEN,
    OUTCOME_REFUSED,
    OUTCOME_THROTTLED,
    OUTCOME_FAILED,
    OUTCOME_DUPLICATE,
    OUTCOME_UNMATCHED,
    OUTCOME_COMMITTED,
};

/* What ingest keeps of an entry beside what the caller sees. */
struct walk {
    const struct account *account; /* of the event */
    struct event *event;
    struct store_entry *stored; /* NULL: nothing to store */
    struct slice *labels;       /* of the rule of each delivery */
    enum outcome outcome;
};

struct open_batch {
    struct ingest_batch public; /* first: on_done gets its address */
    struct ingest *ingest;
    struct list node;
    struct arena arena;
    struct snapshot *snapshot;
    struct walk *walks;
    struct store_commit commit;
    struct slice explicit_id;
    uint64_t started_ms; /* steady */
    uint64_t commit_us;  /* steady, when the commit was handed over */
    bool is_answered;
    struct ingest_moment *moment; /* of a schedule; NULL: a request's or a replay's */
    struct ingest_replay *replay;
};

struct ingest {
    struct ingest_options options;
    struct snapshot *snapshot;
    struct sigv4_key_cache *keys;
    struct ruleset_scratch scratch;
    struct list open;  /* struct open_batch, oldest first */
    struct list spare; /* struct open_batch, to be used again */
    size_t open_count;
    size_t late_count; /* of the open: answered, but their commit has not come back */
    size_t spare_count;
    ev_timer deadline;
};

/* Give back a batch that nobody needs any more. */
void ingest_batch_free(struct open_batch *batch);
/* Fill the commit's next entry with one delivery per hit of the scratch. */
void ingest_plan_deliveries(struct open_batch *batch, size_t index);
/* Fill the commit's next entry: its deliveries, its mark and its guard. */
void ingest_plan_entry(struct open_batch *batch, size_t index);
/* The commit is home: what became of this entry, and its deliveries to those who pay them. */
void ingest_settle_entry(struct open_batch *batch, size_t index);
/* Note what the store said of an entry. */
void ingest_trace_stored(const struct open_batch *batch, const struct walk *walk);
/* Note what became of an entry without the store; its outcome is known. */
void ingest_trace_answered(const struct open_batch *batch, size_t index);
