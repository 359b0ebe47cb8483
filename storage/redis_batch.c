/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_batch.c - how operations become script calls: what is asked of one partition in one turn of
 * the loop, and by the same script, travels as one call.
 *
 * A partition has one open batch.  A row of another kind, or one that would make it too large,
 * sends it first, so a partition sees operations in the order in which they came.  The turn's end
 * sends the rest.  An executed commit waits for replicas where it has to (redis_wait.c).
 *
 * Outcomes (settle, retry, advance, bury, park) whose fate is unknown are told again until Redis
 * has them or a minute has passed: each counts at most once, whoever says it twice, and is told so
 * each time. Nothing else is repeated; a commit of unknown fate is an error, and the mark makes the
 * sender's retry exact.  What such a commit claimed nobody knows of, so it is released.
 *
 * Memory: a job lives until its last part is answered, a batch until its replies are read.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/log.h"
#include "storage/redis_scripts.inc"

enum {
    ROWS_MAX = 100,
    DUES_MAX = 16, /* lanes, of each of which all claims are looked at */
    BYTES_MAX = 1 << 20,
    TIMEOUT_MS = 2000,
    RETELL_SECONDS = 60,
};

static struct redis_script scripts[REDIS_SCRIPTS];
static const struct redis_script *taught[REDIS_SCRIPTS];

/* What is particular to a kind of script. */
static const struct {
    void (*read)(struct redis_batch *batch, const redisReply *reply);
    size_t steps_max;   /* in one call; a row is a step, and an event one for each delivery */
    bool is_outcome;    /* told again while its fate is unknown */
    bool asks_if_again; /* its first argument says whether it is */
} kinds[REDIS_SCRIPTS] = {
    [REDIS_COMMIT] = {redis_commit_read, ROWS_MAX, false, false},
    [REDIS_SETTLE] = {redis_outcome_read, ROWS_MAX, true, false},
    [REDIS_RETRY] = {redis_outcome_read, ROWS_MAX, true, true},
    [REDIS_ADVANCE] = {redis_outcome_read, ROWS_MAX, true, true},
    [REDIS_BURY] = {redis_outcome_read, ROWS_MAX, true, true},
    [REDIS_PARK] = {redis_outcome_read, 1, true, false},
    [REDIS_RELEASE] = {redis_outcome_read, ROWS_MAX, true, false},
    [REDIS_CLAIM] = {redis_claim_read, 1, false, false},
    [REDIS_LANES] = {redis_lanes_read, 1, false, false},
    [REDIS_LEASE] = {redis_lease_read, ROWS_MAX, false, false},
    [REDIS_TALLY] = {redis_tally_read, 1, false, false},
    [REDIS_DUES] = {redis_dues_read, DUES_MAX, false, false},
    [REDIS_DEAD_FIND] = {redis_dead_find_read, 1, false, false},
    [REDIS_DEAD_READ] = {redis_dead_read_read, ROWS_MAX, false, false},
    [REDIS_DEAD_EDIT] = {redis_dead_edit_read, ROWS_MAX, false, false},
    [REDIS_ARCHIVE_FIND] = {redis_archive_find_read, 1, false, false},
    [REDIS_ARCHIVE_READ] = {redis_archive_read_read, ROWS_MAX, false, false},
    [REDIS_ARCHIVE_SIZES] = {redis_archive_sizes_read, 1, false, false},
    [REDIS_ARCHIVE_TRIM] = {redis_archive_trim_read, 1, false, false},
};

static void init_scripts(void)
{
    for (size_t i = 0; i < REDIS_SCRIPTS; i++) {
        redis_script_init(&scripts[i], redis_script_texts[i].name,
                          slice_of(redis_script_texts[i].text));
        taught[i] = &scripts[i];
    }
}

void redis_scripts_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    CHECK(pthread_once(&once, init_scripts) == 0);
}

const struct redis_script *const *redis_scripts(void)
{
    return taught;
}

const struct redis_script *redis_script_of(enum redis_script_kind kind)
{
    return &scripts[kind];
}

unsigned redis_partition_of(struct slice account)
{
    return digest_crc32c(0, account) % REDIS_PARTITIONS;
}

struct slice redis_key(struct arena *arena, const char *kind, unsigned partition)
{
    return arena_printf(arena, "%s:{%u}", kind, partition);
}

enum err redis_store_err(enum err err)
{
    if (err == ERR_OK || err == ERR_STORE_FULL || err == ERR_TOO_LARGE) {
        return err;
    }
    if (err == ERR_STORE_FAILED) {
        log_error("store.redis_refused", LOG_ERR(err));
    }
    return ERR_STORE_BUSY;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

struct redis_job *redis_job_new(struct redis_store *store, struct store_op *op)
{
    struct redis_job *job = xcalloc(1, sizeof(*job));

    job->store = store;
    job->op = op;
    store->job_count++;
    return job;
}

static void job_end(struct redis_job *job)
{
    struct redis_store *store = job->store;

    CHECK(store->job_count > 0);
    store->job_count--;
    if (job->op != NULL) {
        store_answer(job->op, job->err);
    }
    arena_clean_up(&job->memory);
    xfree(job);
    if (store->is_stopping && store->job_count == 0) {
        ev_break(store->loop, EVBREAK_ALL);
    }
}

void redis_job_part_done(struct redis_job *job, enum err err)
{
    CHECK(job->part_count > 0);
    job->part_count--;
    if (job->err == ERR_OK) {
        job->err = err;
    }
    if (job->part_count > 0) {
        return;
    }
    if (job->on_parts != NULL) {
        job->part_count++; /* keeps the job while it begins more */
        job->on_parts(job);
        job->part_count--;
    }
    if (job->part_count == 0) {
        job_end(job);
    }
}

static void on_single_reply(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_single *single = CONTAINER_OF(call, struct redis_single, call);
    struct redis_job *job = single->job;

    job->connection = call->connection;
    if (single->on_reply != NULL) {
        single->on_reply(job, err == ERR_OK ? reply : NULL, single->item);
    }
    xfree(single);
    redis_job_part_done(job, redis_store_err(err));
}

void redis_job_call(struct redis_job *job, const struct redis_command *command,
                    void (*on_reply)(struct redis_job *job, const redisReply *reply, void *item),
                    void *item)
{
    struct redis_single *single = xcalloc(1, sizeof(*single));

    single->call.on_reply = on_single_reply;
    single->job = job;
    single->on_reply = on_reply;
    single->item = item;
    job->part_count++;
    redis_link_call(job->store->link, &single->call, command);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void batch_end(struct redis_batch *batch)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        redis_job_part_done(batch->rows[i].job, redis_store_err(batch->err));
    }
    arena_clean_up(&batch->memory);
    xfree(batch->args);
    xfree(batch->rows);
    xfree(batch);
}

static bool is_fate_unknown(enum err err)
{
    return err == ERR_REMOTE_UNREACHABLE || err == ERR_REMOTE_TIMEOUT || err == ERR_REMOTE_FAILED ||
           err == ERR_STORE_BUSY;
}

static void count_commit(struct redis_batch *batch)
{
    if (batch->err == ERR_OK) {
        batch->store->commits++;
        batch->store->commit_entries += batch->row_count;
    } else if (is_fate_unknown(batch->err)) {
        redis_release_begin(batch->store, batch);
    }
}

void redis_batch_answered(struct redis_batch *batch, enum err err)
{
    struct redis_store *store = batch->store;

    if (batch->err == ERR_OK) {
        batch->err = err;
    }
    if (kinds[batch->kind].is_outcome && is_fate_unknown(batch->err) &&
        ev_now(store->loop) < batch->give_up_at && !store->is_stopping) {
        list_append(&store->again, &batch->node);
        return;
    }
    if (batch->kind == REDIS_COMMIT) {
        count_commit(batch);
    }
    batch_end(batch);
}

static void on_waited(struct redis_waiter *waiter, enum err err)
{
    redis_batch_answered(CONTAINER_OF(waiter, struct redis_batch, waiter), err);
}

static void on_script_reply(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_batch *batch = CONTAINER_OF(call, struct redis_batch, call);

    if (err == ERR_OK) {
        kinds[batch->kind].read(batch, reply);
        err = batch->err;
    }
    if (err == ERR_OK && batch->kind == REDIS_COMMIT && redis_waits_for_replicas(batch->store)) {
        batch->waiter.on_waited = on_waited;
        redis_wait_add(batch->store, call->connection, &batch->waiter);
    } else {
        redis_batch_answered(batch, err);
    }
}

static void batch_send(struct redis_batch *batch)
{
    struct redis_store *store = batch->store;
    const struct slice key = redis_key(&batch->memory, "c", batch->partition);
    const struct redis_command command = {.args = batch->args,
                                          .arg_count = batch->arg_count,
                                          .script = &scripts[batch->kind],
                                          .keys = &key,
                                          .key_count = 1,
                                          .timeout_ms = TIMEOUT_MS};

    batch->err = ERR_OK;
    redis_link_call(store->link, &batch->call, &command);
}

static void close_open(struct redis_store *store, unsigned partition)
{
    struct redis_batch *batch = store->open[partition];

    if (batch != NULL) {
        store->open[partition] = NULL;
        store->open_count--;
        batch_send(batch);
    }
}

void redis_batches_send(struct redis_store *store)
{
    for (unsigned i = 0; i < REDIS_PARTITIONS && store->open_count > 0; i++) {
        close_open(store, i);
    }
}

void redis_batches_retell(struct redis_store *store, bool is_last_time)
{
    LIST_FOREACH (node, &store->again) {
        struct redis_batch *batch = CONTAINER_OF(node, struct redis_batch, node);

        list_remove(node);
        if (is_last_time) {
            batch_end(batch);
        } else {
            if (kinds[batch->kind].asks_if_again) {
                batch->args[0] = SLICE("1");
            }
            batch_send(batch);
        }
    }
}

void redis_batches_forget_park(struct redis_store *store, const char *lane)
{
    LIST_FOREACH (node, &store->again) {
        struct redis_batch *batch = CONTAINER_OF(node, struct redis_batch, node);

        if (batch->kind == REDIS_PARK && slice_eq(batch->args[1], slice_of(lane))) {
            list_remove(node);
            batch->err = ERR_OK; /* as if it had been executed just before that other one */
            batch_end(batch);
        }
    }
}

struct redis_batch *redis_batch_for(struct redis_store *store, enum redis_script_kind kind,
                                    unsigned partition, size_t bytes)
{
    return redis_batch_for_steps(store, kind, partition, bytes, 1);
}

struct redis_batch *redis_batch_for_steps(struct redis_store *store, enum redis_script_kind kind,
                                          unsigned partition, size_t bytes, size_t steps)
{
    struct redis_batch *batch = store->open[partition];

    if (batch != NULL && (batch->kind != kind || batch->steps + steps > kinds[kind].steps_max ||
                          batch->bytes + bytes > BYTES_MAX)) {
        close_open(store, partition);
        batch = NULL;
    }
    if (batch == NULL) {
        batch = xcalloc(1, sizeof(*batch));
        batch->call.on_reply = on_script_reply;
        batch->store = store;
        batch->kind = kind;
        batch->partition = partition;
        batch->give_up_at = ev_now(store->loop) + RETELL_SECONDS;
        list_init(&batch->node);
        store->open[partition] = batch;
        store->open_count++;
    }
    batch->bytes += bytes;
    batch->steps += steps;
    return batch;
}

void redis_batch_add_row(struct redis_batch *batch, struct redis_job *job, void *item)
{
    if (batch->row_count == batch->row_room) {
        batch->row_room = MAX_OF(batch->row_room * 2, (size_t)4);
        batch->rows = xrealloc(batch->rows, batch->row_room * sizeof(batch->rows[0]));
    }
    batch->rows[batch->row_count++] = (struct redis_row){.job = job, .item = item};
    job->part_count++;
}

void redis_batch_arg(struct redis_batch *batch, struct slice arg)
{
    if (batch->arg_count == batch->arg_room) {
        batch->arg_room = MAX_OF(batch->arg_room * 2, (size_t)16);
        batch->args = xrealloc(batch->args, batch->arg_room * sizeof(batch->args[0]));
    }
    batch->args[batch->arg_count++] = arg;
}

void redis_batch_arg_u64(struct redis_batch *batch, uint64_t value)
{
    redis_batch_arg(batch, arena_u64(&batch->memory, value));
}

/* ---- bytes --------------------------------------------------------------------------------- */

uint64_t redis_get_u64(const char *bytes)
{
    return (uint64_t)redis_get_u32(bytes) << 32 | redis_get_u32(bytes + 4);
}

uint32_t redis_get_u32(const char *bytes)
{
    return (uint32_t)redis_get_u16(bytes) << 16 | redis_get_u16(bytes + 2);
}

uint16_t redis_get_u16(const char *bytes)
{
    return (uint16_t)((unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]);
}

struct slice redis_ref_pack(struct arena *arena, const struct store_ref *ref)
{
    char *bytes = arena_alloc(arena, REDIS_REF_BYTES);

    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (char)(ref->seq >> (56 - 8 * i));
    }
    bytes[8] = (char)(ref->ordinal >> 8);
    bytes[9] = (char)ref->ordinal;
    return (struct slice){bytes, REDIS_REF_BYTES};
}

bool redis_ref_unpack(struct slice bytes, struct store_ref *ref)
{
    if (bytes.len != REDIS_REF_BYTES) {
        return false;
    }
    ref->seq = redis_get_u64(bytes.data);
    ref->ordinal = redis_get_u16(bytes.data + 8);
    return true;
}
