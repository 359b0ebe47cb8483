/* SPDX-License-Identifier: Apache-2.0
 *
 * delivery.h - pays what is owed: takes committed deliveries, calls their targets, records the end.
 *
 * One engine per worker thread, no locks.  A destination (endpoint + credential) belongs to exactly
 * one engine of the process, so its concurrency, breaker and batches need no agreement; work for it
 * travels there by mail.  The store is the truth: an engine holds at most STORE_CLAIM_MAX claimed
 * deliveries of a lane, under one byte cap, and everything else waits in the store.
 *
 * Who calls what:
 *   ingest   commits each delivery with `claim` if delivery_may_claim().  Those that the store
 *            claimed go to delivery_offer(), the others to delivery_note_backlog().
 *   control  at start and every few seconds: STORE_LANES, then delivery_note_backlog() per lane.
 *            This is what finds work left by a crash, a park or a hand-over, so it must go on.
 *   worker   on a new snapshot delivery_use(); to stop delivery_drain().
 */
#pragma once

#include "core/err.h"
#include "core/mailbox.h"
#include "core/slice.h"
#include "storage/store.h"

struct credentials_ask;
struct credentials_provider;
struct directory;
struct ev_loop;
struct event;
struct http_call;
struct http_client;
struct ruleset;
struct target_endpoint;

struct delivery_engine;

enum {
    DELIVERY_CLAIM_MS = 90 * 1000, /* how long a claim holds, unless told otherwise */
};

enum delivery_fact_kind {
    DELIVERY_FACT_DELIVERED,   /* the target took it */
    DELIVERY_FACT_RETRIED,     /* an attempt failed, another will follow */
    DELIVERY_FACT_DEAD,        /* buried, durably */
    DELIVERY_FACT_CLAIM_LOST,  /* its outcome came after the claim had ended */
    DELIVERY_FACT_STEP_DONE,   /* a step of it is done, the next follows; durable */
    DELIVERY_FACT_STEP_FAILED, /* a step failed, and is gone on from */
    DELIVERY_FACT_STEP_PASSED, /* a step was not to run */
    /* for on_step alone: where it is on its way */
    DELIVERY_FACT_CLAIMED, /* this engine holds it, and will send it */
    DELIVERY_FACT_SENT,    /* a call begins */
    DELIVERY_FACT_PARKED,  /* its lane is parked; it waits in the store */
};

/* What happened to one delivery. Slices are valid during the call only. */
struct delivery_fact {
    enum delivery_fact_kind kind;
    bool is_dlq;          /* of the copy of a dead letter for a queue, not of a delivery proper */
    struct slice account; /* of the event */
    struct slice rule;    /* its label; empty if the rule is gone and was never known here */
    struct slice target;  /* resolved ARN; empty likewise */
    struct slice event_id;
    struct slice step;      /* of a sequence, else empty */
    uint32_t attempt_count; /* calls made so far, this one included */
    enum err err;           /* RETRIED, DEAD: of the last failure */
    const char *reason;     /* DEAD, STEP_FAILED: a constant such as "target-removed" */
    uint64_t until_ms;      /* RETRIED, PARKED: nothing happens before */
    uint64_t queue_us;      /* DELIVERED: committed to call */
    uint64_t call_us;       /* DELIVERED, RETRIED: the call itself; 0 if none was made */
    uint64_t end_to_end_us; /* DELIVERED: accepted to answered */
};

/* How the gateway counts and follows; each may be NULL. Called on the engine's thread. */
struct delivery_hooks {
    void *context;
    void (*on_fact)(void *context, const struct delivery_fact *fact);
    /* The same, and the steps between: who wants to follow a delivery. */
    void (*on_step)(void *context, const struct delivery_fact *fact);
    /* A question for credentials was answered after `elapsed_us`. */
    void (*on_credentials)(void *context, enum err err, uint64_t elapsed_us);
};

/* The world as tests replace it.  Production leaves delivery_options.io NULL. */
struct delivery_io {
    void *context;
    void (*start_call)(void *context, struct http_call *call);
    void (*ask_credentials)(void *context, struct credentials_ask *ask);
    uint64_t (*now_ms)(void *context);
};

struct delivery_options {
    struct ev_loop *loop; /* NULL: the caller calls delivery_run() itself */
    struct mailbox *mailbox;
    struct store *store;
    struct http_client *http;
    struct credentials_provider *credentials;
    unsigned worker_index;
    unsigned worker_count;
    /* The engine of each worker, by index; complete before the threads start, borrowed. */
    struct delivery_engine *const *engines;
    /* Where calls go instead of to AWS; see target.h. Borrowed for the engine's life. */
    const struct target_endpoint *endpoints;
    size_t endpoint_count;
    size_t memory_bytes_max;    /* event bytes held at once; 0: 64 MiB */
    size_t event_bytes_max;     /* of one event, for reservations; 0: 1 MiB */
    size_t calls_max;           /* calls open at once; 0: 256 */
    unsigned call_timeout_ms;   /* 0: 5000 */
    uint64_t claim_ms;          /* how long a claim holds, as for commits; 0: DELIVERY_CLAIM_MS */
    size_t sqs_batch_bytes_max; /* sum of bodies in one call; 0: 1 MiB */
    size_t input_bytes_max;     /* of what a transform makes; 0: 256 KiB */
    uint64_t unknown_target_ms; /* wait this long for a snapshot that knows a target; 0: 5000 */
    uint64_t seed;              /* of the jitter; 0: random */
    struct delivery_hooks hooks;
    const struct delivery_io *io;
};

/* The options are copied, what they point to is borrowed. Nothing is sent before delivery_use(). */
struct delivery_engine *delivery_new(const struct delivery_options *options);
/* No call and no store operation may be under way: drain all engines first, then clean up their
 * mailboxes, through which they still talk, then destroy them. NULL is fine. */
void delivery_destroy(struct delivery_engine *engine);

/* From now on resolve by these; both stay valid until the next call.  Everything that waits is
 * resolved anew: what lost its target is buried ("target-removed"), what belongs to a suspended
 * account waits, what now belongs to another worker goes there. */
void delivery_use(struct delivery_engine *engine, const struct directory *directory,
                  const struct ruleset *ruleset);

/* Should a commit claim its deliveries?  False while this engine stops or some engine of the
 * process has no memory left for events: then commit them unclaimed, so that the backlog waits in
 * the store.  `engine` is the caller's own. */
bool delivery_may_claim(const struct delivery_engine *engine, struct slice lane);

/* A delivery that was just committed with `claim`. Everything is copied or acquired. */
struct delivery_offer {
    struct store_ref ref;
    struct event *event; /* a reference is taken */
    uint64_t claim_until_ms;
    uint64_t arrived_us; /* steady clock, when its request arrived; 0: unknown */
};

/* Hand it to whoever owns its destination. `engine` is the caller's own. */
void delivery_offer(struct delivery_engine *engine, const struct delivery_offer *offer);

/* The store holds unclaimed deliveries of this lane.  Any thread, any engine: it is passed on to
 * the owner.  Too much is harmless. */
void delivery_note_backlog(struct delivery_engine *engine, struct slice lane);

/* Start nothing any more; once no call and no store operation is under way, run on_idle, always
 * later.  Do not destroy the engine inside it.  Claims that are not served end by themselves. */
void delivery_drain(struct delivery_engine *engine, void (*on_idle)(void *context), void *context);

/* Which worker owns the destination of this lane, under this snapshot. */
unsigned delivery_owner(const struct directory *directory, const struct ruleset *ruleset,
                        struct slice lane, unsigned worker_count);

/* Do what is due at the time of the engine's clock; returns when to be called again at the latest,
 * UINT64_MAX for never.  With a loop the engine calls it itself, once per turn with news. */
uint64_t delivery_run(struct delivery_engine *engine);

/* A lane that is parked: nothing of it is tried before that moment. */
struct delivery_park {
    struct slice account;
    struct slice rule;   /* as statistics name it */
    struct slice target; /* the resolved ARN */
    struct slice step;   /* of a sequence; else empty */
    uint64_t until_ms;
    uint32_t failure_count; /* calls in a row; 0: what stands in the way is its destination */
};
struct delivery_park_filter { /* each empty: any */
    struct slice account;
    struct slice rule;
    struct slice target;
};
/* Tell of each parked lane that fits.  With `lifts` its park ends, here and in the store, and its
 * destination may be called at once, whatever its breaker or a Retry-After said; a delivery that
 * failed before still waits for its own turn.  Its own thread only. */
void delivery_parks(struct delivery_engine *engine, const struct delivery_park_filter *filter,
                    bool lifts, void (*on_park)(void *context, const struct delivery_park *park),
                    void *context);

/* What an engine holds now. Its own thread only. */
struct delivery_gauges {
    size_t lanes;
    size_t lanes_parked;
    uint64_t parks;        /* begun so far */
    uint64_t parks_lifted; /* among them, by hand */
    size_t destinations;
    size_t destinations_open; /* breakers that are not closed */
    size_t calls;
    size_t held;       /* deliveries in memory, store mail included */
    size_t bytes_held; /* of their events */
};
void delivery_read_gauges(const struct delivery_engine *engine, struct delivery_gauges *gauges);
