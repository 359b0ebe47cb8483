/* SPDX-License-Identifier: Apache-2.0
 *
 * lane.h - one account's deliveries to one target: what is held of them, and whether they may go.
 *
 * A lane is the unit of fairness and of storage.  It holds a window of claimed deliveries and knows
 * whether the store has more.  One that keeps failing is parked whole: its window goes back to the
 * store, and when the park ends a single delivery probes while the others wait for its verdict.
 *
 *     OPEN ──3 failures in a row──> PARKING ──calls ended──> PARKED ──time──> PROBING
 *      ^                               │                                      │    │
 *      └───────── success ─────────────┴──────────────────────────────────────┘    └─failure─>
 * PARKING
 */
#pragma once

#include "core/arena.h"
#include "core/heap.h"
#include "core/list.h"
#include "core/slice.h"
#include "delivery/delivery_state.h"

struct account;
struct destination;
struct rule;
struct rule_step;
struct rule_target;

enum {
    LANE_WINDOW_MAX = STORE_CLAIM_MAX,
    LANE_REFILL_UNDER = LANE_WINDOW_MAX / 2,
    LANE_PARK_AFTER = 3, /* failed calls in a row */
};

enum lane_mode { LANE_OPEN, LANE_PARKING, LANE_PARKED, LANE_PROBING };

struct lane {
    uint32_t magic;
    char name_chars[STORE_LANE_CHARS_MAX + 1];
    struct slice name; /* of name_chars */

    /* what is held */
    struct heap window;   /* QUEUED, by due time */
    size_t out_count;     /* READY or IN_FLIGHT */
    size_t mail_count;    /* outcome on its way to the store */
    size_t copy_count;    /* among them: the copy is, and the burial needs the claim after it */
    bool has_backlog;     /* the store has more, as far as we know */
    bool is_claiming;     /* a claim is under way */
    bool noted_meanwhile; /* more was announced while it was */
    bool is_choked;       /* nothing to be had although there is more: all claims are taken */

    /* how it goes */
    enum lane_mode mode;
    uint32_t failure_count; /* in a row */
    uint64_t parked_until_ms;
    uint64_t deficit_bytes; /* what it may send in its turn */
    uint64_t judged_call;   /* the last call that counted for or against it */

    /* where it stands: owned by the coordinator */
    struct list known;     /* among all lanes, oldest first */
    struct heap_node wake; /* in the engine's heap */
    struct list turn;      /* among the lanes that may send */
    struct list hunger;    /* among the lanes that want a claim */
    struct list idle;      /* among the lanes that hold nothing */

    /* what it resolves to, under the snapshot in use: owned by the coordinator */
    struct arena names; /* holds label, arn and role_arn */
    const struct rule *rule;
    const struct rule_target *whole;  /* as configured */
    const struct rule_target *target; /* what is called: that of a step, in a sequence */
    const struct rule_step *step;     /* or NULL */
    const struct account *account;
    struct destination *destination; /* a counted reference, or NULL */
    struct slice label;
    struct slice arn;
    bool is_dlq;       /* it carries copies of dead letters to their target's queue */
    const char *doom;  /* why all of it must be buried, or NULL */
    bool was_resolved; /* some snapshot knew it */
    bool is_held;      /* unresolved or suspended: nothing moves */
    unsigned owner;    /* which worker it belongs to */
    uint64_t unknown_since_ms;
};

struct lane *lane_new(struct slice name);
/* Frees what its window holds. It must stand on no list. NULL is fine. */
void lane_destroy(struct lane *lane);

/* The budget of its deliveries: of its target, or the whole one for copies of dead letters. */
uint32_t lane_attempts_max(const struct lane *lane);
uint64_t lane_age_max_ms(const struct lane *lane);

/* Is it a step that the next must not wait for? */
bool lane_is_impatient(const struct lane *lane);

/* Everything held, in whichever state. */
size_t lane_held_count(const struct lane *lane);
/* Nothing held, nothing known to come, nothing to remember. */
bool lane_is_idle(const struct lane *lane);

/* Put a QUEUED delivery into the window: a new one, or one that comes back from a call. */
void lane_queue(struct lane *lane, struct delivery *delivery);
void lane_put_back(struct lane *lane, struct delivery *delivery);
/* The delivery whose turn it is, or NULL; take moves it to READY. */
struct delivery *lane_peek(const struct lane *lane);
struct delivery *lane_take(struct lane *lane);
/* Out of the window without a call, into `state` (WAITING or DEAD). NULL if empty. */
struct delivery *lane_pull(struct lane *lane, enum delivery_state state);
void lane_remove(struct lane *lane, struct delivery *delivery, enum delivery_state state);
/* A delivery leaves its call for store mail in `state`; later its mail is answered. */
void lane_finish(struct lane *lane, struct delivery *delivery, enum delivery_state state);

/* Has it something that may be sent now?  While probing one delivery at a time. */
bool lane_may_send(const struct lane *lane);
/* How many to claim now; 0: none. */
size_t lane_claim_count(const struct lane *lane);

/* A call with deliveries of this lane went well, or failed in a way that will be retried.  The
 * latter returns true when the lane begins to park: then let its calls end and park it. */
void lane_note_success(struct lane *lane);
bool lane_note_failure(struct lane *lane);
/* Begin to park for a reason of its destination's. */
void lane_begin_park(struct lane *lane);
/* Its calls have ended and its window is empty: parked until then. */
void lane_park(struct lane *lane, uint64_t until_ms);
/* The park is over: the next delivery probes. */
void lane_unpark(struct lane *lane);
/* Forget how it went, because it now leads elsewhere or nowhere. */
void lane_reset(struct lane *lane);
