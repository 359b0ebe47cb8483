/* SPDX-License-Identifier: Apache-2.0
 *
 * control_internal.h - the control thread as its own files see it: control.c tells the story of a
 * change, control_start.c opens and shuts everything, control_upkeep.c and control_archive.c do
 * what is due now and then, control_replay.c brings archived events back.
 */
#pragma once

#include <ev.h>

#include "core/seal.h"
#include "gateway/catalog_watch.h"
#include "gateway/compiler.h"
#include "gateway/control.h"
#include "gateway/worker.h"
#include "storage/store.h"

struct admin;
struct archive_sweep;
struct authorizer;
struct credentials_provider;
struct delivery_engine;
struct http_client;
struct replay_keeper;
struct role_watch;
struct timetable;
struct tls_context;

enum { WORKERS_MAX = 256, LANES_PER_LOOK = 1024 };

struct control {
    const struct config *config;
    uint8_t seal_key[SEAL_KEY_BYTES];
    struct ev_loop *loop;
    struct mailbox mailbox;
    struct store *store; /* NULL for what comes home when it has closed */
    bool is_shared;      /* it was, or is */
    struct http_client *http;
    struct credentials_provider *credentials;
    struct role_watch *roles;
    struct tls_context *tls;
    struct admin *admin;
    struct authorizer *authorizer;

    struct catalog catalog;
    struct catalog_age age;
    struct catalog_watch *watch;
    struct limiter_book limiters;
    struct snapshot *snapshot;
    struct snapshot *before; /* held until the workers have `snapshot`, to be freed by no worker */
    struct compiler *compiler;
    struct compiler_job folding; /* its fold is NULL: none */
    bool is_fold_published;      /* and not freed yet */
    struct list changes;         /* struct control_change; the first one is running */
    bool is_finishing;           /* the one before tells its asker */
    bool is_refusing; /* what the store holds does not compile: `snapshot` is the last good one */

    struct worker *workers[WORKERS_MAX];
    struct delivery_engine *engines[WORKERS_MAX];
    unsigned worker_count;
    unsigned stopped_count;
    struct worker_stop stops[WORKERS_MAX];

    ev_signal on_term;
    ev_signal on_int;
    ev_timer look;
    struct store_lanes lanes;
    enum err look_err; /* of the last look, and */
    uint64_t look_logged_ms;
    bool is_looking;
    ev_timer sweep;
    struct store_once turn;
    struct store_dead_edit expiry;
    struct timetable *timetable;
    ev_timer timetable_look;
    unsigned moment_count;
    bool is_expiring;
    struct archive_sweep *archives;
    struct replay_keeper *replays;
    struct store_lease census;
    uint64_t replica_count;
    bool is_counting;
    char replica_id[CONTROL_REPLICA_CHARS_MAX + 1];
    bool is_serving;
    bool is_stopping;
    bool has_store_failed;
};

/* The catalog as it is now, as the snapshot to publish.  ERR_STORE_CORRUPT: the last one stays. */
MUST_USE enum err control_compile(struct control *control, struct err_why *why);
/* Put a snapshot that says what the one in force says in its place; takes over the reference. */
void control_publish(struct control *control, struct snapshot *snapshot);
/* Begin to compile anew what many changes have left behind, unless that is under way. */
void control_fold(struct control *control);
/* The workers have the newest snapshot. */
void control_fold_settle(struct control *control);
/* After the compiler has ended and all mail is read. */
void control_fold_shut(struct control *control);
/* Another replica changed the catalog (on_change of the watch). */
void control_on_catalog_change(void *context);
/* Begin to stop; the loop ends when every worker has. */
void control_stop(struct control *control);

/* Open everything, the data listener last.  After an error control_shut() closes what was opened.
 */
MUST_USE enum err control_start(struct control *control, struct arena *arena, struct err_why *why);
void control_shut(struct control *control);

/* Start the timers of what is due every few seconds, and stop them. */
void control_upkeep_start(struct control *control);
void control_upkeep_stop(struct control *control);

/* Begin to trim archives now and then, stop beginning, and free, when the store is closed. */
void control_archive_start(struct control *control);
void control_archive_stop(struct control *control);
void control_archive_destroy(struct control *control);

/* Ask token endpoints for connections that are AUTHORIZING: begin, look at what the catalog has
 * now, end the calls, and free when no change can come home any more. */
void control_authorize_start(struct control *control);
void control_authorize_use(struct control *control);
void control_authorize_stop(struct control *control);
void control_authorize_destroy(struct control *control);

/* Begin to bring archived events back, stop, and free, when the store is closed. */
void control_replay_start(struct control *control);
void control_replay_stop(struct control *control);
void control_replay_destroy(struct control *control);

/* Begin to act on schedules, take over the snapshot's, and end. */
void control_schedule_start(struct control *control);
void control_schedule_use(struct control *control);
void control_schedule_stop(struct control *control);
