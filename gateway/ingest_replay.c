/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_replay.c - an archived event goes to the rules of its bus once more.
 *
 * It is the event that it was, with `replay-name` added, under its own id, and is matched against
 * the rules of today; only those of the archive's bus count, and of them only the ones that the
 * replay names, if it names any.  No archive keeps it again.  It spends none of its account's rate,
 * and the marks of the original say nothing about it.
 *
 * Its own mark names replay and place, so a page that is read again after a crash, by whichever
 * replica, makes no second delivery while the mark lives.
 */
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/config.h"
#include "gateway/ingest_internal.h"

static void on_committed(struct store_op *op)
{
    struct open_batch *batch = CONTAINER_OF(op, struct open_batch, commit.op);
    const enum err err = op->err;

    if (err == ERR_OK) {
        ingest_settle_entry(batch, 0);
        if (batch->walks[0].stored->verdict == STORE_COMMITTED) {
            stats_count_account(batch->ingest->options.stats, batch->walks[0].account->id,
                                STATS_REPLAYED, 1);
        }
    }
    batch->replay->on_done(batch->replay, err);
    ingest_batch_free(batch);
}

static bool is_wanted(const struct ingest_replay_order *order, const struct rule *rule)
{
    if (rule->is_central != order->is_central) {
        return false;
    }
    for (size_t i = 0; i < order->rule_count; i++) {
        if (slice_eq(order->rules[i], rule->arn)) {
            return true;
        }
    }
    return order->rule_count == 0;
}

static void keep_wanted(struct ruleset_scratch *scratch, const struct ingest_replay_order *order)
{
    size_t count = 0;

    for (size_t i = 0; i < scratch->hit_count; i++) {
        if (is_wanted(order, scratch->hits[i].rule)) {
            scratch->hits[count++] = scratch->hits[i];
        }
    }
    scratch->hit_count = count;
    scratch->archive_count = 0;
}

/* The event again, and the targets that it is owed to in the scratch. */
static enum err bring_back(struct ingest *ingest, const struct ingest_replay *replay,
                           const struct account *account, struct event **event)
{
    const struct ingest_replay_order *order = replay->order;
    const struct event_defaults defaults = {
        .id = replay->archived->event_id,
        .account = account->id,
        .region = ingest->options.config->region,
        .now_ms = moment_now_ms(),
    };
    enum err err;

    TRY(event_replay(replay->archived->body, order->name, &defaults, event));
    err = ruleset_match(ingest->snapshot->ruleset, order->bus_account, order->bus_name, *event,
                        &ingest->scratch);
    if (err != ERR_OK) {
        event_release(*event);
        *event = NULL;
        return err;
    }
    keep_wanted(&ingest->scratch, order);
    return ERR_OK;
}

static void mark(struct open_batch *batch, const struct ingest_replay *replay)
{
    const struct store_place *place = &replay->archived->place;
    const uint64_t numbers[] = {place->time_ms, place->seq, place->part};
    struct store_entry *stored = batch->walks[0].stored;
    struct digest identity;

    digest_fields((const struct slice[]){batch->walks[0].account->id,
                                         SLICE("replay"),
                                         replay->order->run,
                                         {(const char *)numbers, sizeof(numbers)}},
                  4, &identity);
    stored->key = identity;
    stored->content = identity;
    stored->mark_ttl_ms = INGEST_REPLAY_MARK_MS;
    stored->has_mark = true;
}

static void commit(struct ingest *ingest, struct ingest_replay *replay,
                   const struct account *account, struct event *event)
{
    struct open_batch *batch =
        CONTAINER_OF(ingest_batch_new(ingest, NULL, &(struct principal){.account = account}, 1),
                     struct open_batch, public);

    batch->replay = replay;
    batch->is_answered = true; /* nobody waits for it */
    batch->commit.now_ms = moment_now_ms();
    batch->commit.claim_until_ms = batch->commit.now_ms + ingest->options.config->claim_ms;
    batch->walks[0].account = account;
    batch->walks[0].event = event;
    ingest_plan_deliveries(batch, 0);
    mark(batch, replay);
    batch->commit.op = (struct store_op){
        .kind = STORE_COMMIT, .home = ingest->options.mailbox, .on_done = on_committed};
    store_submit(ingest->options.store, &batch->commit.op);
}

void ingest_replay(struct ingest *ingest, struct ingest_replay *replay)
{
    const struct account *account =
        directory_account(ingest->snapshot->directory, replay->archived->account);
    struct event *event = NULL;
    enum err err;

    if (account == NULL || account->is_suspended) {
        replay->on_done(replay, ERR_OK); /* nothing that anybody is owed */
        return;
    }
    if (ingest->late_count > 0) {
        replay->on_done(replay, ERR_STORE_BUSY);
        return;
    }
    if (store_trouble(ingest->options.store) ==
        ERR_STORE_FULL) { /* the room that is left is not ours */
        replay->on_done(replay, ERR_STORE_FULL);
        return;
    }
    err = bring_back(ingest, replay, account, &event);
    if (err != ERR_OK) { /* today's rules are too many for it: another try would not help */
        log_error("replay.passed_over", LOG_SLICE("replay", replay->order->name),
                  LOG_SLICE("event", replay->archived->event_id), LOG_ERR(err));
    }
    if (err != ERR_OK || ingest->scratch.hit_count == 0) {
        event_release(event);
        replay->on_done(replay, ERR_OK);
        return;
    }
    commit(ingest, replay, account, event);
}
