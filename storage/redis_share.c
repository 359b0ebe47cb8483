/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_share.c - what replicas share out among each other: tokens of a rate, and moments at which
 * one of them acts.
 *
 * Tokens are for now: a lease that has no answer after LEASE_MS is given up, while everything else
 * waits for 2 s.  The call itself goes on, since giving it up would cost the connection and all
 * that is under way on it; what it brings then is lost, so that less is admitted, never more.
 *
 * A moment belongs to the token that was set first.  When the answer to a SET is lost, its token is
 * remembered, and who asks again for that moment in this process asks with it: then the moment that
 * was ours is found to be ours, and one that nobody has is taken.
 *
 * Memory: a lease's answers lie with its job, as the operation may be gone before them.
 */
#include "storage/redis_store.h"

#include "core/check.h"

enum {
    LEASE_MS = 250,
    TIMEOUT_MS = 2000,
    ROW_BYTES = 256,
    MOMENTS_MAX = 256, /* remembered */
    TOKEN_CHARS = REDIS_NAME_CHARS + 24,
};

/* ---- leases -------------------------------------------------------------------------------- */

struct lease_state {
    ev_timer timer;
    struct redis_job *job;
    uint64_t *granted;
};

static void on_lease_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct lease_state *state = timer->data;

    (void)loop;
    (void)events;
    store_answer(state->job->op, ERR_STORE_BUSY);
    state->job->op = NULL;
}

static void lease_finish(struct redis_job *job)
{
    struct lease_state *state = job->state;
    struct store_lease *lease = (struct store_lease *)job->op;

    ev_timer_stop(job->store->loop, &state->timer);
    for (size_t i = 0; lease != NULL && job->err == ERR_OK && i < lease->row_count; i++) {
        lease->rows[i].granted = MIN_OF(state->granted[i], lease->rows[i].wanted);
    }
}

void redis_lease_begin(struct redis_store *store, struct store_lease *lease)
{
    struct redis_job *job = redis_job_new(store, &lease->op);
    struct lease_state *state = ARENA_NEW(&job->memory, struct lease_state);

    job->part_count = 1;
    job->state = state;
    job->on_parts = lease_finish;
    state->job = job;
    state->granted = ARENA_ARRAY(&job->memory, uint64_t, lease->row_count + 1);
    ev_timer_init(&state->timer, on_lease_late, LEASE_MS / 1e3, 0);
    state->timer.data = state;
    ev_timer_start(store->loop, &state->timer);
    lease->replicas = MAX_OF(store->replicas, UINT64_C(1));
    for (size_t i = 0; i < lease->row_count; i++) {
        struct store_lease_row *row = &lease->rows[i];
        struct redis_batch *batch = redis_batch_for(
            store, REDIS_LEASE, redis_partition_of(slice_of(row->account)), ROW_BYTES);

        row->granted = 0;
        redis_batch_arg(batch, arena_copy(&batch->memory, slice_of(row->account)));
        redis_batch_arg_u64(batch, row->rate_per_second);
        redis_batch_arg_u64(batch, row->burst);
        redis_batch_arg_u64(batch, row->used);
        redis_batch_arg_u64(batch, row->wanted);
        redis_batch_add_row(batch, job, &state->granted[i]);
    }
    redis_job_part_done(job, ERR_OK);
}

void redis_lease_read(struct redis_batch *batch, const redisReply *reply)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        if (!redis_reply_u64(redis_reply_at(reply, i), batch->rows[i].item)) {
            batch->err = ERR_REMOTE_FAILED;
        }
    }
}

/* ---- moments ------------------------------------------------------------------------------- */

/* One that was asked for, and nobody knows whether it was given. */
struct moment {
    struct list node;
    uint64_t ends_ms;
    char token[TOKEN_CHARS];
    char key[];
};

/* Of one operation. */
struct once_state {
    struct slice key;
    uint64_t ends_ms;
    char token[TOKEN_CHARS];
};

static void moment_forget(struct redis_store *store, struct moment *moment)
{
    list_remove(&moment->node);
    store->moment_count--;
    xfree(moment);
}

void redis_moments_clean_up(struct redis_store *store)
{
    LIST_FOREACH (node, &store->moments) {
        moment_forget(store, CONTAINER_OF(node, struct moment, node));
    }
}

static void moment_remember(struct redis_store *store, const struct once_state *state)
{
    struct moment *moment = xcalloc(1, sizeof(*moment) + state->key.len + 1);

    if (store->moment_count == MOMENTS_MAX) {
        moment_forget(store, CONTAINER_OF(store->moments.next, struct moment, node));
    }
    moment->ends_ms = state->ends_ms;
    memcpy(moment->token, state->token, sizeof(moment->token));
    memcpy(moment->key, state->key.data, state->key.len);
    list_append(&store->moments, &moment->node);
    store->moment_count++;
}

/* The token of the last time, if its answer was lost, or a new one. */
static void choose_token(struct redis_store *store, struct once_state *state, uint64_t now_ms)
{
    (void)snprintf(state->token, sizeof(state->token), "%s:%" PRIu64, store->name,
                   ++store->last_token);
    LIST_FOREACH (node, &store->moments) {
        struct moment *moment = CONTAINER_OF(node, struct moment, node);
        const bool is_it = slice_eq(slice_of(moment->key), state->key);

        if (is_it) {
            memcpy(state->token, moment->token, sizeof(state->token));
        }
        if (is_it || moment->ends_ms <= now_ms) {
            moment_forget(store, moment);
        }
    }
}

static void on_once(struct redis_job *job, const redisReply *reply, void *item)
{
    const struct once_state *state = item;
    struct store_once *once = (struct store_once *)job->op;

    if (reply == NULL) {
        moment_remember(job->store, state);
        return;
    }
    once->is_mine =
        redis_reply_is_nil(reply) || slice_eq(redis_reply_text(reply), slice_of(state->token));
}

void redis_once_begin(struct redis_store *store, struct store_once *once)
{
    struct redis_job *job = redis_job_new(store, &once->op);
    struct once_state *state = ARENA_NEW(&job->memory, struct once_state);

    state->ends_ms = once->due_ms + once->keep_ms;
    state->key = arena_printf(&job->memory, "g:{%u}:once:%s:%" PRIu64,
                              redis_partition_of(slice_of(once->name)), once->name, once->due_ms);
    once->is_mine = false;
    if (state->ends_ms <= once->now_ms) {
        job->part_count = 1;
        redis_job_part_done(job, ERR_OK);
        return;
    }
    choose_token(store, state, once->now_ms);
    {
        const struct slice args[] = {SLICE("SET"),
                                     state->key,
                                     slice_of(state->token),
                                     SLICE("NX"),
                                     SLICE("GET"),
                                     SLICE("PX"),
                                     arena_u64(&job->memory, state->ends_ms - once->now_ms)};
        const struct redis_command command = {.args = args,
                                              .arg_count = ARRAY_LEN(args),
                                              .slot_key = state->key,
                                              .timeout_ms = TIMEOUT_MS};

        redis_job_call(job, &command, on_once, state);
    }
}
