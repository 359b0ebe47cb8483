/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_store.h - what the files of the Redis engine share: the store, its operations under way,
 * and the script calls that carry them.
 *
 * Everything but the mailbox belongs to the store's thread.
 */
#pragma once

#include <ev.h>
#include <hiredis/hiredis.h>
#include <pthread.h>

#include "core/arena.h"
#include "storage/record.h"
#include "storage/redis_check.h"
#include "storage/redis_link.h"
#include "storage/redis_reply.h"
#include "storage/store_internal.h"

enum {
    REDIS_PARTITIONS = 64, /* for the life of a store: keys are named by it */
    REDIS_CLAIMERS = 1024, /* the number of a claim is its end * 1024 + its claimer */
    REDIS_NAME_CHARS = 32,
    REDIS_REF_BYTES = 10,
    REDIS_KEY_CHARS = 24, /* of a partition's own keys: "c:{63}" */
};

enum redis_script_kind {
    REDIS_ADVANCE,
    REDIS_ARCHIVE_FIND,
    REDIS_ARCHIVE_READ,
    REDIS_ARCHIVE_SIZES,
    REDIS_ARCHIVE_TRIM,
    REDIS_BEAT,
    REDIS_BURY,
    REDIS_CATALOG_PUT,
    REDIS_CATALOG_READ,
    REDIS_CLAIM,
    REDIS_COMMIT,
    REDIS_DEAD_EDIT,
    REDIS_DEAD_FIND,
    REDIS_DEAD_READ,
    REDIS_DUES,
    REDIS_LANES,
    REDIS_LEASE,
    REDIS_OPEN,
    REDIS_PARK,
    REDIS_RELEASE,
    REDIS_RETRY,
    REDIS_SETTLE,
    REDIS_TALLY,
    REDIS_SCRIPTS,
};

struct redis_store {
    struct store store;
    uint32_t magic;
    struct mailbox box; /* any thread sends */
    pthread_t thread;

    struct ev_loop *loop;
    struct redis_link *link;
    struct redis_check *check;
    struct tls_context *tls;
    uint64_t wait_replicas;
    struct digest mac_key; /* of catalog documents */

    struct store_uuid uuid;
    uint32_t claimer; /* 1 to 1023: whose claims they are */
    char name[REDIS_NAME_CHARS + 1];
    uint64_t replicas;
    uint64_t catalog_rev; /* as seen last */
    uint64_t commits;
    uint64_t commit_entries;

    struct redis_batch *open[REDIS_PARTITIONS]; /* still taking rows in this turn */
    size_t open_count;
    struct list again;   /* struct redis_batch: outcomes to be told once more */
    struct list waits;   /* struct redis_wait */
    struct list moments; /* struct moment: asked for, and not known whether it was given */
    size_t moment_count;
    uint64_t last_token;
    size_t job_count;
    bool is_stopping;

    struct redis_call open_call;
    struct redis_call beat_call;
    struct redis_call same_call;
    bool is_beating;
    bool is_asking_same;
    bool is_another; /* the store in Redis is not the one that was opened */
    ev_prepare turn;
    ev_timer beat;
    ev_timer retell;
    struct redis_opening *opening; /* while store_redis_open() waits */
};

/* An operation under way: it goes home when its last part has been answered. */
struct redis_job {
    struct redis_store *store;
    struct store_op *op; /* NULL: nobody waits for it, or it was answered before its time */
    size_t part_count;   /* not answered yet */
    enum err err;
    /* When the parts are answered, well or not: finish, or begin more parts.  May be NULL. */
    void (*on_parts)(struct redis_job *job);
    void *state;         /* of on_parts */
    uint64_t connection; /* that the last answer of redis_job_call() came by */
    struct arena memory; /* for the job's life */
};

/* Whom redis_wait.c tells whether replicas have what was executed. */
struct redis_waiter {
    struct list node;
    /* ERR_STORE_BUSY: too few, so far; another: it cannot be known any more. */
    void (*on_waited)(struct redis_waiter *waiter, enum err err);
};

/* One script call on one partition, with rows of one or many jobs. */
struct redis_batch {
    struct redis_call call;
    struct redis_store *store;
    struct list node; /* on `again` */
    struct redis_waiter waiter;
    enum redis_script_kind kind;
    unsigned partition;
    struct arena memory;
    struct slice *args;
    size_t arg_count;
    size_t arg_room;
    size_t bytes;
    size_t steps;
    struct redis_row *rows;
    size_t row_count;
    size_t row_room;
    enum err err;
    ev_tstamp give_up_at;
};

/* What one part of a job has in a batch. */
struct redis_row {
    struct redis_job *job;
    void *item;
};

/* redis_batch.c */
/* Once in a process; calling again is harmless. */
void redis_scripts_init(void);
/* All of them, to teach to a new connection. */
const struct redis_script *const *redis_scripts(void);
unsigned redis_partition_of(struct slice account);
/* "c:{P}", and keys like it. */
struct slice redis_key(struct arena *arena, const char *kind, unsigned partition);
struct redis_job *redis_job_new(struct redis_store *store, struct store_op *op);
/* One part is answered; the job may be gone afterwards. */
void redis_job_part_done(struct redis_job *job, enum err err);
/* A batch of this kind that takes a row of so many bytes: the partition's open one, if nothing else
 * was asked of the partition since. */
struct redis_batch *redis_batch_for(struct redis_store *store, enum redis_script_kind kind,
                                    unsigned partition, size_t bytes);
/* The same for a row that is `steps` rows' work: a call takes so many steps as it takes rows, or
 * one row. */
struct redis_batch *redis_batch_for_steps(struct redis_store *store, enum redis_script_kind kind,
                                          unsigned partition, size_t bytes, size_t steps);
void redis_batch_add_row(struct redis_batch *batch, struct redis_job *job, void *item);
void redis_batch_arg(struct redis_batch *batch, struct slice arg);
void redis_batch_arg_u64(struct redis_batch *batch, uint64_t value);
/* Its answer is known: the end of it, or of this attempt. */
void redis_batch_answered(struct redis_batch *batch, enum err err);
/* Send what is open. */
void redis_batches_send(struct redis_store *store);
void redis_batches_retell(struct redis_store *store, bool is_last_time);
/* A park of this lane that is still to be told once more has been overtaken by another. */
void redis_batches_forget_park(struct redis_store *store, const char *lane);
/* Call a script outside of any partition, or a plain command, as one part of the job. */
struct redis_single {
    struct redis_call call;
    struct redis_job *job;
    /* `reply` is NULL after an error, which the job gets anyway. */
    void (*on_reply)(struct redis_job *job, const redisReply *reply, void *item);
    void *item;
};
void redis_job_call(struct redis_job *job, const struct redis_command *command,
                    void (*on_reply)(struct redis_job *job, const redisReply *reply, void *item),
                    void *item);
const struct redis_script *redis_script_of(enum redis_script_kind kind);
/* What an error of the link means to who asked the store: always something that may pass. */
enum err redis_store_err(enum err err);
/* "SSSSSSSSOO": sequence and ordinal, big-endian. */
struct slice redis_ref_pack(struct arena *arena, const struct store_ref *ref);
bool redis_ref_unpack(struct slice bytes, struct store_ref *ref);
uint64_t redis_get_u64(const char *bytes);
uint32_t redis_get_u32(const char *bytes);
uint16_t redis_get_u16(const char *bytes);

/* redis_wait.c */
/* Do commits and changes of the catalog wait for replicas? */
bool redis_waits_for_replicas(const struct redis_store *store);
/* Something was executed on this connection: tell the waiter, with its `on_waited` set, when
 * replicas have it, or have not said so in time. */
void redis_wait_add(struct redis_store *store, uint64_t connection, struct redis_waiter *waiter);
/* Ask, where nothing is asked yet. */
void redis_waits_send(struct redis_store *store);

/* What a batch does with the reply to its script, row by row. */
void redis_commit_read(struct redis_batch *batch, const redisReply *reply);
void redis_claim_read(struct redis_batch *batch, const redisReply *reply);
void redis_lanes_read(struct redis_batch *batch, const redisReply *reply);
void redis_outcome_read(struct redis_batch *batch, const redisReply *reply);
void redis_lease_read(struct redis_batch *batch, const redisReply *reply);
void redis_tally_read(struct redis_batch *batch, const redisReply *reply);
void redis_dues_read(struct redis_batch *batch, const redisReply *reply);
void redis_dead_find_read(struct redis_batch *batch, const redisReply *reply);
void redis_dead_read_read(struct redis_batch *batch, const redisReply *reply);
void redis_dead_edit_read(struct redis_batch *batch, const redisReply *reply);
void redis_archive_find_read(struct redis_batch *batch, const redisReply *reply);
void redis_archive_read_read(struct redis_batch *batch, const redisReply *reply);
void redis_archive_sizes_read(struct redis_batch *batch, const redisReply *reply);
void redis_archive_trim_read(struct redis_batch *batch, const redisReply *reply);

/* What begins an operation. */
void redis_commit_begin(struct redis_store *store, struct store_commit *commit);
void redis_claim_begin(struct redis_store *store, struct store_claim *claim);
void redis_lanes_begin(struct redis_store *store, struct store_lanes *lanes);
void redis_settle_begin(struct redis_store *store, struct store_settle *settle);
void redis_retry_begin(struct redis_store *store, struct store_retry *retry);
void redis_advance_begin(struct redis_store *store, struct store_advance *advance);
void redis_bury_begin(struct redis_store *store, struct store_bury *bury);
void redis_park_begin(struct redis_store *store, struct store_park *park);
void redis_dead_list_begin(struct redis_store *store, struct store_dead_list *list);
void redis_dead_edit_begin(struct redis_store *store, struct store_dead_edit *edit);
void redis_archive_read_begin(struct redis_store *store, struct store_archive_read *read);
void redis_archive_trim_begin(struct redis_store *store, struct store_archive_trim *trim);
void redis_archive_sizes_begin(struct redis_store *store, struct store_archive_sizes *sizes);
void redis_catalog_put_begin(struct redis_store *store, struct store_catalog_put *put);
void redis_catalog_read_begin(struct redis_store *store, struct store_catalog_read *read);
void redis_tally_begin(struct redis_store *store, struct store_tally *tally);
void redis_lease_begin(struct redis_store *store, struct store_lease *lease);
void redis_once_begin(struct redis_store *store, struct store_once *once);
void redis_moments_clean_up(struct redis_store *store);
/* The claims of a commit whose fate is unknown end, if it was executed: nobody knows of them. */
void redis_release_begin(struct redis_store *store, const struct redis_batch *commit);
