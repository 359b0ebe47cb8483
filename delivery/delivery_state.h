/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_state.h - one delivery in memory, and the states it may pass through.
 *
 *     QUEUED ──> READY ──> IN_FLIGHT ──> SETTLED
 *       │ ^        │            │
 *       │ └────────┴────────────┤   split, or credentials renewed
 *       │                       │
 *       └──> WAITING  <─────────┤   the store has it: retry, park, claim given up
 *       └──> DEAD     <─────────┘   buried
 *
 * In each state it stands in exactly one place: QUEUED in its lane's window; READY and IN_FLIGHT on
 * the list of a call; SETTLED, WAITING and DEAD in mail to the store, or nowhere any more.
 */
#pragma once

#include "core/heap.h"
#include "core/list.h"
#include "core/mailbox.h"
#include "core/slice.h"
#include "core/sm.h"
#include "storage/store.h"

struct delivery_engine;
struct event;
struct lane;

enum delivery_state {
    DELIVERY_QUEUED,    /* claimed, waits for its turn */
    DELIVERY_READY,     /* in a call that is being prepared */
    DELIVERY_IN_FLIGHT, /* its target may have it already */
    DELIVERY_SETTLED,   /* end: the target took it */
    DELIVERY_WAITING,   /* end in memory: due again later, by way of the store */
    DELIVERY_DEAD,      /* end: a dead letter */
};

struct delivery {
    uint32_t magic;
    struct sm sm;         /* enum delivery_state */
    struct heap_node due; /* in the lane's window, by due time */
    struct list node;     /* on a call, or in store mail */
    struct lane *lane;    /* NULL while it travels between workers */
    struct store_ref ref;
    /* one of the two holds the bytes */
    struct event *event;
    struct store_record *record;
    struct slice event_id;
    struct slice body;
    struct slice state; /* of a sequence; empty before its first step is done */
    uint64_t accepted_ms;
    uint64_t budget_from_ms;
    uint64_t due_ms;
    uint64_t claim_until_ms;
    uint64_t arrived_us; /* steady clock: its request arrived; 0: came from the store */
    uint64_t offered_us; /* steady clock: its commit was done; likewise */
    uint32_t attempt_count;
    bool is_alone;    /* goes in a call of its own */
    bool has_renewed; /* credentials were renewed for it once */
    /* between workers */
    struct mail mail;
    struct delivery_engine *receiver;
    unsigned hop_count;
};

/* A delivery just claimed: QUEUED. Takes over the reference or the record; one of them is NULL. */
struct delivery *delivery_state_new(const struct store_ref *ref, struct event *event,
                                    struct store_record *record);
/* Frees it and what it holds. It must stand nowhere any more. */
void delivery_state_free(struct delivery *delivery);
/* Take an arrow; no such arrow, or the delivery in the wrong place for it, ends the process. */
void delivery_state_move(struct delivery *delivery, enum delivery_state next);
