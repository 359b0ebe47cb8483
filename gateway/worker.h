/* SPDX-License-Identifier: Apache-2.0
 *
 * worker.h - one thread that serves connections and pays deliveries: a loop and all that hangs on
 * it.
 */
#pragma once

#include "core/mailbox.h"
#include "core/stats.h"
#include "gateway/ingest.h"
#include "gateway/snapshot.h"

struct catalog_age;
struct config;
struct control;
struct credentials_provider;
struct delivery_engine;
struct store;
struct tls_context;
struct park_answer;
struct trace_answer;
struct worker;

struct worker_options {
    unsigned index;
    unsigned count;
    const struct config *config;
    struct store *store;
    struct credentials_provider *credentials;
    struct tls_context *tls;                /* NULL: cleartext */
    struct catalog_age *catalog_age;        /* of the catalog that snapshots are made of */
    struct delivery_engine *const *engines; /* of all workers, filled before any starts */
    struct control *control;                /* its mailbox is where notices return */
};

/* Everything of a worker but its thread: call for each, then start each. */
MUST_USE enum err worker_new(const struct worker_options *options, struct worker **worker,
                             struct err_why *why);
struct delivery_engine *worker_engine(struct worker *worker);
/* Start the thread with this snapshot in force. */
void worker_start(struct worker *worker, struct snapshot *snapshot);
/* The end has three steps, each for all workers before the next, because their engines write to
 * each other: wait for the thread (after worker_stop's on_stopped; one that never ran is fine),
 * hand out the mail that is left, free. */
void worker_join(struct worker *worker);
void worker_close_mail(struct worker *worker);
void worker_destroy(struct worker *worker);

/* A new snapshot on its way to a worker and back. */
struct worker_notice {
    struct mail mail;
    struct snapshot *snapshot; /* the notice's reference */
    struct worker *worker;
    void (*on_return)(struct worker_notice *notice); /* on control's thread: it is in force */
    void *context;
};
void worker_publish(struct worker *worker, struct worker_notice *notice);

/* A sum of all workers' counters, what they know of an event, or what they have parked, on its way
 * from one to the next and home. */
struct worker_visit {
    struct mail mail;
    struct stats *sum;          /* or NULL */
    struct trace_answer *trace; /* or NULL */
    struct park_answer *parks;  /* or NULL */
    struct worker *const *workers;
    unsigned worker_count;
    unsigned next;
    void (*on_return)(struct worker_visit *visit); /* on control's thread */
    void *context;
};
void worker_collect(struct worker_visit *visit);

/* A moment of a schedule on its way to a worker and back. */
struct worker_moment {
    struct mail mail;
    struct ingest_moment moment; /* `rule` is the sender's reference */
    struct worker *worker;
    enum err err;                                    /* out */
    void (*on_return)(struct worker_moment *moment); /* on control's thread */
    void *context;
};
void worker_schedule(struct worker *worker, struct worker_moment *moment);

/* An archived event on its way to a worker and back. */
struct worker_replay {
    struct mail mail;
    struct ingest_replay replay;
    struct worker *worker;
    enum err err;                                    /* out */
    void (*on_return)(struct worker_replay *replay); /* on control's thread */
    void *context;
};
void worker_bring_back(struct worker *worker, struct worker_replay *replay);

/* The store holds unclaimed deliveries of this lane: pass it to whoever owns them. Any thread. */
void worker_note_backlog(struct worker *worker, struct slice lane);

/* Serve what is open, start nothing new, then end the thread.  `on_stopped` runs on control's
 * thread when the worker touches nothing any more. */
struct worker_stop {
    struct mail mail;
    struct worker *worker;
    void (*on_stopped)(struct worker_stop *stop);
    void *context;
};
void worker_stop(struct worker *worker, struct worker_stop *stop);
