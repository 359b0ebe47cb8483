/* SPDX-License-Identifier: Apache-2.0
 *
 * control.h - the thread that changes things: catalog, snapshots, credentials, start and stop.
 */
#pragma once

#include "core/stats.h"
#include "gateway/audit.h"
#include "gateway/catalog.h"
#include "gateway/catalog_watch.h"
#include "gateway/config.h"
#include "gateway/snapshot.h"

struct control;
struct role_watch;
struct store;
struct park_answer;
struct trace_answer;

/* Run the gateway until SIGTERM or SIGINT has been obeyed.  Everything is opened before the data
 * listener is; an error names what could not be. */
MUST_USE enum err control_run(const struct config *config, struct err_why *why);

const struct config *control_config(const struct control *control);
const struct catalog *control_catalog(const struct control *control);
/* What the workers use, or are about to. Borrowed: until control returns to its loop. */
const struct snapshot *control_snapshot(const struct control *control);
/* NULL for what comes home when the store has closed. */
struct store *control_store(struct control *control);
struct mailbox *control_mailbox(struct control *control);
const uint8_t *control_seal_key(const struct control *control);
/* Other replicas may have changed the catalog, and it was not read for too long to know. */
bool control_is_catalog_stale(struct control *control);

/* Is it ready to take events? If not, `reasons` (room for CONTROL_REASONS_MAX) says why. */
enum { CONTROL_REASONS_MAX = 4, CONTROL_REPLICA_CHARS_MAX = 48 };
size_t control_unready_reasons(struct control *control,
                               const char *reasons[static CONTROL_REASONS_MAX]);

/* This process among those that share its store. */
struct control_description {
    struct slice replica;     /* its name; the control's */
    uint64_t replica_count;   /* alive, this one included, as far as is known */
    uint64_t catalog_rev;     /* of the snapshot in force */
    size_t refused_documents; /* the last good value of each is in force */
    bool is_refusing;         /* the catalog does not compile: an older snapshot is in force */
    const struct role_watch *roles;
    uint64_t sts_calls;             /* since the start */
    const char *credentials_source; /* of weir's own; "" before it needed any */
};
void control_describe(const struct control *control, struct control_description *description);

/* One change of the catalog.  Changes run one after the other: `plan` sees the catalog as the one
 * before left it and fills `edit` (again, with a fresh one, when another replica was faster); then
 * the store takes the edit, every worker uses the new snapshot, and `on_done` runs: possibly before
 * control_submit() returns, when there was nothing to store. */
struct control_change {
    struct list node;
    enum err (*plan)(struct control_change *change, const struct catalog *catalog,
                     struct catalog_edit *edit);
    void (*on_done)(struct control_change *change, enum err err);
    void *context;
    struct err_why why;     /* of an error */
    uint64_t rev;           /* of the catalog afterwards */
    struct audit_note note; /* the act, if it is to be recorded with what it changes */
    bool is_recorded;       /* it was */
    /* private */
    struct control *control;
    struct catalog_look look;
    unsigned attempt_count;
    struct catalog_edit edit;
    struct store_catalog_put put;
};
void control_submit(struct control *control, struct control_change *change);
/* Have the catalog be what the store holds now, all of it. */
void control_look_whole(struct control *control, struct catalog_look *look);
/* Record an act that changed nothing of the catalog, and what came of it; `on_done`, which may be
 * NULL, runs when that is durable, or cannot be.  An act without an action is passed over. */
void control_record(struct control *control, const struct audit_note *note, enum err result,
                    const char *message, void (*on_done)(void *context, enum err err),
                    void *context);

/* Sum every worker's counters: `on_done` gets the sum, which goes with the call. */
void control_collect(struct control *control,
                     void (*on_done)(void *context, const struct stats *sum), void *context);
/* Ask every worker what it knows of an event: `on_done` gets the answer, which goes with the call.
 */
void control_trace(struct control *control, struct slice event_id,
                   void (*on_done)(void *context, struct trace_answer *answer), void *context);
/* Ask every worker what it has parked, and lift that if so told: `on_done` when all have been
 * asked. The answer is the caller's, and stays valid until then. */
void control_parks(struct control *control, struct park_answer *answer,
                   void (*on_done)(void *context), void *context);
/* Deliveries that became due by an operator's hand: look for them now. */
void control_look_for_backlog(struct control *control);
