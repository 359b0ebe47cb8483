/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_tally.c - the counters of all accounts, and since when each is owed something.
 *
 * A partition may have thousands of accounts and lanes, and a script that looks at all of them
 * would hold up the commits of everybody.  So both are walked a page at a time, and a lane's claims
 * are looked at in calls of a few lanes each (lua/tally.lua, lua/dues.lua): commits go in between.
 *
 * The counters of one account are of one moment, so they balance; those of two accounts are not,
 * nor is the due beside them: an account that owes nothing by now shows none.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/map.h"

enum {
    PAGE_FIELDS = 256,
    ROW_BYTES = 256,
    PARTITIONS_AT_ONCE = 8, /* so that a commit has few calls of ours before it */
};

struct tally_state {
    struct map index; /* account -> place + 1 */
    size_t room;
    unsigned next_partition;
};

/* One partition's walk; in the job's arena. */
struct walk {
    unsigned partition;
    const char *what;
    struct slice cursor;
};

/* ---- rows ---------------------------------------------------------------------------------- */

/* The account's row, made at need; it moves when another is made. */
static struct store_tally_row *row_of(struct redis_job *job, struct slice account)
{
    struct store_tally *tally = (struct store_tally *)job->op;
    struct tally_state *state = job->state;
    size_t place = (size_t)(uintptr_t)map_get(&state->index, account);
    struct store_tally_row *row;

    if (place == 0) {
        if (tally->row_count == state->room) {
            state->room = MAX_OF(state->room * 2, (size_t)64);
            tally->rows = xrealloc(tally->rows, state->room * sizeof(tally->rows[0]));
        }
        place = ++tally->row_count;
        row = &tally->rows[place - 1];
        *row = (struct store_tally_row){.created = 0};
        store_name_copy(row->account, sizeof(row->account), account);
        (void)map_put(&state->index, arena_copy(&job->memory, account), (void *)(uintptr_t)place);
    }
    return &tally->rows[place - 1];
}

static bool read_row(struct redis_job *job, const redisReply *line)
{
    const struct slice account = redis_reply_text(redis_reply_at(line, 0));
    struct store_tally_row *row;
    uint64_t numbers[6];

    if (account.len != STORE_ACCOUNT_CHARS) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!redis_reply_u64(redis_reply_at(line, 1 + i), &numbers[i])) {
            return false;
        }
    }
    row = row_of(job, account);
    row->created = numbers[0];
    row->delivered = numbers[1];
    row->dropped = numbers[2];
    row->expired = numbers[3];
    row->redriven = numbers[4];
    row->dead = numbers[5];
    row->live = row->created - row->delivered - row->dropped - row->expired - row->dead;
    return true;
}

/* ---- pages --------------------------------------------------------------------------------- */

static void ask_page(struct redis_job *job, struct walk *walk)
{
    struct redis_batch *batch =
        redis_batch_for(job->store, REDIS_TALLY, walk->partition, ROW_BYTES);

    redis_batch_arg(batch, slice_of(walk->what));
    redis_batch_arg(batch, walk->cursor);
    redis_batch_arg_u64(batch, PAGE_FIELDS);
    redis_batch_add_row(batch, job, walk);
}

static void ask_due(struct redis_job *job, unsigned partition, struct slice lane)
{
    struct redis_batch *batch = redis_batch_for(job->store, REDIS_DUES, partition, ROW_BYTES);
    const struct slice name = arena_copy(&batch->memory, lane);

    redis_batch_arg(batch, name);
    redis_batch_add_row(batch, job, NULL);
}

void redis_tally_read(struct redis_batch *batch, const redisReply *reply)
{
    struct redis_job *job = batch->rows[0].job;
    struct walk *walk = batch->rows[0].item;
    const struct slice cursor = redis_reply_text(redis_reply_at(reply, 0));

    if (cursor.len == 0) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    for (size_t i = 1; i < redis_reply_count(reply) && job->err == ERR_OK; i++) {
        const redisReply *one = redis_reply_at(reply, i);

        if (walk->what[0] == 'l') {
            ask_due(job, walk->partition, redis_reply_text(one));
        } else if (!read_row(job, one)) {
            batch->err = ERR_REMOTE_FAILED;
            return;
        }
    }
    if (!slice_eq(cursor, SLICE("0")) && job->err == ERR_OK) {
        walk->cursor = arena_copy(&job->memory, cursor);
        ask_page(job, walk);
    }
}

void redis_dues_read(struct redis_batch *batch, const redisReply *reply)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct slice account = store_lane_account(batch->args[i]);
        struct store_tally_row *row;
        uint64_t due_ms;

        if (!redis_reply_u64(redis_reply_at(reply, i), &due_ms) ||
            account.len != STORE_ACCOUNT_CHARS) {
            batch->err = ERR_REMOTE_FAILED;
            return;
        }
        row = row_of(batch->rows[i].job, account);
        if (due_ms != 0 && (row->oldest_due_ms == 0 || due_ms < row->oldest_due_ms)) {
            row->oldest_due_ms = due_ms;
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct store_tally_row *)a)->account,
                  ((const struct store_tally_row *)b)->account);
}

/* A lane's account that came to be between two pages has no counters yet: it is not shown. */
static void tidy_rows(struct store_tally *tally)
{
    size_t count = 0;

    for (size_t i = 0; i < tally->row_count; i++) {
        struct store_tally_row *row = &tally->rows[i];

        if (row->live == 0) {
            row->oldest_due_ms = 0;
        }
        if (row->created > 0) {
            tally->rows[count++] = *row;
        }
    }
    tally->row_count = count;
    if (count > 0) {
        qsort(tally->rows, count, sizeof(tally->rows[0]), compare_rows);
    }
}

static void tally_finish(struct redis_job *job)
{
    struct store_tally *tally = (struct store_tally *)job->op;
    struct tally_state *state = job->state;

    map_clean_up(&state->index);
    if (job->err != ERR_OK) {
        store_tally_clean_up(tally);
        return;
    }
    tidy_rows(tally);
    tally->bytes_used = redis_check_verdict(job->store->check)->used_bytes;
    tally->commits = job->store->commits;
    tally->commit_entries = job->store->commit_entries;
}

static void begin_walk(struct redis_job *job, unsigned partition, const char *what)
{
    struct walk *walk = ARENA_NEW(&job->memory, struct walk);

    *walk = (struct walk){.partition = partition, .what = what, .cursor = SLICE("0")};
    ask_page(job, walk);
}

static void on_partitions(struct redis_job *job)
{
    struct tally_state *state = job->state;

    if (job->err != ERR_OK || state->next_partition == REDIS_PARTITIONS) {
        tally_finish(job);
        return;
    }
    for (unsigned i = 0; i < PARTITIONS_AT_ONCE; i++) {
        begin_walk(job, state->next_partition, "c");
        begin_walk(job, state->next_partition, "l");
        state->next_partition++;
    }
}

void redis_tally_begin(struct redis_store *store, struct store_tally *tally)
{
    struct redis_job *job = redis_job_new(store, &tally->op);

    _Static_assert(REDIS_PARTITIONS % PARTITIONS_AT_ONCE == 0, "whole groups of partitions");
    tally->rows = NULL;
    tally->row_count = 0;
    job->state = ARENA_NEW(&job->memory, struct tally_state);
    job->on_parts = on_partitions;
    on_partitions(job);
}
