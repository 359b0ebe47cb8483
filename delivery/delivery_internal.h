/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery_internal.h - the engine as its seven files see it.
 *
 *   delivery.c          the story: what may go next, and what wakes when
 *   delivery_lanes.c    lanes and destinations under the snapshot in use; work between workers
 *   delivery_call.c     one call: credentials, lookup, signature, request, reply
 *   delivery_item.c     what the target gets of one delivery
 *   delivery_outcome.c  verdicts: settle, retry, bury
 *   delivery_steps.c    sequences: what comes next, and what is taken along
 *   delivery_store.c    all mail to the store, and what it answers
 *   delivery_dlq.c      a dead letter's copy for the queue that its target names
 */
#pragma once

#include <ev.h>
#include <stdatomic.h>

#include "accounts/credentials.h"
#include "core/http.h"
#include "core/map.h"
#include "delivery/delivery.h"
#include "delivery/destination.h"
#include "delivery/lane.h"
#include "delivery/target.h"

enum {
    DELIVERY_LANES_MAX = 65536,     /* in memory; more are found again later */
    DELIVERY_IDLE_LANES_MAX = 1024, /* kept although they hold nothing */
    DELIVERY_SPARE_CALLS_MAX = 64,
    DELIVERY_CLAIMS_MAX = 64,             /* claims under way */
    DELIVERY_HOPS_MAX = 2,                /* between workers whose snapshots differ */
    DELIVERY_HOLD_MS = 5 * 1000,          /* a gate shut for longer parks the lanes behind it */
    DELIVERY_CLAIM_SLACK_MS = 1000,       /* a claim must outlast the call by this */
    DELIVERY_CLOCK_STEP_MS = 2000,        /* a wall clock this far behind is believed */
    DELIVERY_EXPIRY_SLACK_MS = 60 * 1000, /* credentials: renew this early */
    DELIVERY_BODY_MAX = 16 << 20,         /* of a request */
    DELIVERY_RESPONSE_MAX = 64 << 10,
};

enum call_stage {
    CALL_CREDENTIALS, /* deliveries READY: who are we? */
    CALL_LOOKUP,      /* deliveries READY: where exactly is it? */
    CALL_SEND,        /* deliveries IN_FLIGHT */
};

/* A batch on its way to one destination. */
struct call {
    struct delivery_engine *engine;
    struct list node; /* in use, or spare */
    struct destination *destination;
    struct list deliveries;
    enum call_stage stage;
    bool is_probe;
    bool was_prepared; /* it did the asking of its destination */
    uint64_t id;       /* never 0 */
    uint64_t begun_ms;
    uint64_t sent_us; /* steady */
    uint64_t asked_us;
    uint64_t mark;                   /* of the request that was sent last */
    struct credentials *credentials; /* its own reference */
    struct credentials_ask ask;
    struct http_call http;
    struct arena arena;
    struct buf body;
    struct buf input; /* of the item that is being shaped */
    /* in the order sent; items and batch from each screening on */
    size_t count;
    struct delivery *batch[TARGET_BATCH_MAX];
    struct target_item items[TARGET_BATCH_MAX];
    struct target_verdict verdicts[TARGET_BATCH_MAX];
};

struct delivery_engine {
    /* set before the threads start, then read by all */
    uint32_t magic;
    struct delivery_options options;

    /* any thread */
    _Atomic bool is_full; /* no room for more events */

    /* its worker only */
    const struct directory *directory;
    const struct ruleset *ruleset;
    struct map lanes;        /* name -> struct lane */
    struct list known;       /* the same in the order made, so that a seed replays a run */
    struct map destinations; /* key -> struct destination */
    struct heap lane_wakes;
    struct heap destination_wakes;
    struct list active;    /* destinations that may have something to do */
    struct list graveyard; /* doomed lanes that hold or may get something, by `turn` */
    struct list idle;      /* lanes that hold nothing, longest idle first */
    size_t idle_count;
    struct list calls;
    struct list spare_calls;
    size_t call_count;
    size_t spare_count;
    struct list settled; /* deliveries whose settle goes with this turn */
    size_t settled_count;
    size_t op_count;    /* store operations under way */
    size_t claim_count; /* claims among them */
    size_t held_count;
    size_t bytes_held;
    size_t bytes_reserved; /* for claims under way */
    size_t parked_count;
    uint64_t park_count; /* parks begun, ever */
    uint64_t lift_count; /* ended by hand, ever */
    uint64_t call_id;
    uint64_t seed_state;
    uint64_t now_ms; /* of the present turn */
    bool has_news;
    bool is_draining;
    void (*on_idle)(void *context);
    void *on_idle_context;
    struct arena scratch;
    ev_prepare prepare;
    ev_timer timer;
};

/* Read the clock.  It goes backwards only when the wall clock is put back by more than
 * DELIVERY_CLOCK_STEP_MS, and then takes everything that waits in the engine along. */
uint64_t delivery_clock(struct delivery_engine *engine);
/* The next number for jitter. */
uint64_t delivery_seed(struct delivery_engine *engine);
/* After any change to a lane: stand it where it now belongs. */
void delivery_touch(struct delivery_engine *engine, struct lane *lane);
/* The same after a change to a destination. */
void delivery_activate(struct delivery_engine *engine, struct destination *destination);

/* ---- delivery_lanes.c --------------------------------------------------------------------- */

/* The lane of that name, made and resolved if need be; NULL past DELIVERY_LANES_MAX. */
struct lane *delivery_lane(struct delivery_engine *engine, struct slice name);
/* Resolve under the snapshot in use. */
void delivery_lane_resolve(struct delivery_engine *engine, struct lane *lane);
/* Nobody has told of its target for too long: it is gone. */
void delivery_lane_give_up(struct delivery_engine *engine, struct lane *lane);
void delivery_lane_forget(struct delivery_engine *engine, struct lane *lane);
/* Wake it then at the latest. */
void delivery_lane_wake_at(struct delivery_engine *engine, struct lane *lane, uint64_t ms);
void delivery_destination_release(struct delivery_engine *engine, struct destination *destination);
/* Tell the lane's owner that the store has more of it. */
void delivery_forward_backlog(struct delivery_engine *engine, struct lane *lane);

/* ---- delivery_call.c ---------------------------------------------------------------------- */

/* Start one call, or find that what was picked may not go. The gate must allow it. */
void delivery_call_start(struct delivery_engine *engine, struct destination *destination);
void delivery_call_free(struct call *call);

/* ---- delivery_item.c ---------------------------------------------------------------------- */

/* What the target gets, under its present description; in the call's arena, or borrowed from the
 * delivery.  False: it never can, and the verdict says why. */
bool delivery_item_fill(struct call *call, const struct delivery *delivery,
                        struct target_item *item, struct target_verdict *verdict);

/* ---- delivery_outcome.c ------------------------------------------------------------------- */

/* The verdicts of a call whose deliveries stand in batch[0..count). Gives them all up. */
void delivery_judge(struct call *call);
/* One verdict for all that a call holds, although nothing was sent. */
void delivery_judge_unsent(struct call *call, const struct target_verdict *verdict);
/* Fill in who and what, and tell the gateway. */
void delivery_tell(const struct delivery_engine *engine, const struct delivery *delivery,
                   struct delivery_fact *fact);

/* ---- delivery_steps.c --------------------------------------------------------------------- */

enum delivery_step_answer {
    DELIVERY_STEP_RUNS,    /* or it is no sequence */
    DELIVERY_STEP_GOES_ON, /* its step is passed over, a later one is to run */
    DELIVERY_STEP_ENDS,    /* so are all that are left */
};
/* What is to be done with a delivery that could be sent now? */
MUST_USE enum err delivery_step_look(const struct delivery_engine *engine,
                                     struct delivery *delivery, struct arena *arena,
                                     enum delivery_step_answer *answer);
/* After the answer GOES_ON; WAITING. */
void delivery_step_pass_over(struct delivery_engine *engine, struct delivery *delivery,
                             struct arena *arena);
/* Its step was done, with this reply: the state from now on, and what comes next (NULL: nothing).
 * An error says that what is to be kept cannot be. */
MUST_USE enum err delivery_step_result(const struct delivery_engine *engine,
                                       struct delivery *delivery, const struct target *target,
                                       struct slice body, struct arena *arena, struct slice *state,
                                       const struct rule_step **next);
/* WAITING; on with it. */
void delivery_step_done(struct delivery_engine *engine, struct delivery *delivery,
                        struct slice state, const struct rule_step *next, uint64_t call_us);
/* DEAD, on no list: false if that is its end, true if it goes on or was settled. */
bool delivery_step_failed(struct delivery_engine *engine, struct delivery *delivery,
                          const char *reason, const char *message, enum err err);

/* ---- delivery_store.c --------------------------------------------------------------------- */

/* Count a claimed delivery in; free one that the store need not hear of (or has answered for). */
void delivery_hold(struct delivery_engine *engine, struct delivery *delivery);
void delivery_drop(struct delivery_engine *engine, struct delivery *delivery);
/* WAITING, and the store hears nothing: its claim ends by itself, its lane then wakes. */
void delivery_abandon(struct delivery_engine *engine, struct delivery *delivery);
void delivery_abandon_window(struct delivery_engine *engine, struct lane *lane);

/* DEAD, or WAITING until due_ms, or SETTLED; on no list.  Counted in mail_count until the store has
 * answered. */
void delivery_bury(struct delivery_engine *engine, struct delivery *delivery, const char *reason,
                   const char *message, enum err err);
void delivery_retry_at(struct delivery_engine *engine, struct delivery *delivery, uint64_t due_ms,
                       enum err err);
void delivery_settle(struct delivery_engine *engine, struct delivery *delivery);
/* Tell the store of all that was settled in this turn. */
void delivery_flush_settled(struct delivery_engine *engine);
/* The same for the second half alone: its copy for a queue is kept already, or none is due. */
void delivery_bury_now(struct delivery_engine *engine, struct delivery *delivery,
                       const char *reason, const char *message, enum err err);
/* A delivery in an end state waits for the store, and does not any more. */
void delivery_mail_begin(struct delivery *delivery);
void delivery_mail_end(struct delivery *delivery);
/* The store has answered for it, and it is freed. */
void delivery_mail_over(struct delivery_engine *engine, struct delivery *delivery);
/* The store would not: the delivery is given up here, and is due again when its claim ends. */
void delivery_store_refused(struct delivery_engine *engine, struct delivery *delivery,
                            enum err err);
/* What a doomed lane holds becomes dead letters. */
void delivery_bury_window(struct delivery_engine *engine, struct lane *lane);

/* A lane that is PARKING: bury what is too old, and park it once its calls have ended. */
void delivery_finish_park(struct delivery_engine *engine, struct lane *lane);
/* End a park early. */
void delivery_end_park(struct delivery_engine *engine, struct lane *lane);
/* Claim for it, if memory allows; false if not now. */
bool delivery_claim(struct delivery_engine *engine, struct lane *lane, size_t count);

/* ---- delivery_dlq.c ----------------------------------------------------------------------- */

/* Must a copy be kept before this one is buried? */
bool delivery_dlq_is_due(const struct delivery *delivery);
/* Keep it, durably, and then bury: as delivery_bury(). */
void delivery_dlq_keep(struct delivery_engine *engine, struct delivery *delivery,
                       const char *reason, const char *message, enum err err);
/* From the stored bytes of a copy to the message and its attributes, in the arena. */
void delivery_dlq_unwrap(struct slice body, struct arena *arena, struct target_item *item);
/* The verdict of a queue on a copy; of other deliveries nothing changes. */
void delivery_dlq_soften(const struct delivery *delivery, struct target_verdict *verdict);
