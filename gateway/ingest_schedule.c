/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_schedule.c - the event that a schedule makes when it comes due.
 *
 * It goes to the targets of its own rule and is matched against nothing else.  Every replica acts
 * on every moment; the dedup mark, which is committed with the deliveries, names schedule and
 * moment, so the store takes the first and calls the others duplicates.  Asking for the turn first
 * and committing then would lose the moment of a replica that dies in between.  The event's id is
 * made of the same two, so that whoever acts makes the same event.
 */
#include "core/check.h"
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
            struct stats *stats = batch->ingest->options.stats;

            stats_count_account(stats, batch->walks[0].account->id, STATS_SCHEDULED, 1);
            stats_count_part(stats, STATS_RULE, batch->walks[0].labels[0], STATS_SCHEDULED, 1);
        }
    }
    batch->moment->on_done(batch->moment, err);
    ingest_batch_free(batch);
}

/* Digits of the digest as a UUID of version 8: made by a rule of our own. */
static void uuid_of(const struct digest *digest, char out[static 36])
{
    static const size_t dashes[] = {8, 13, 18, 23};
    char hex[DIGEST_HEX_CHARS];
    size_t from = 0;

    digest_hex(digest, hex);
    hex[12] = '8';
    hex[16] = "89ab"[digest->bytes[8] & 3];
    for (size_t at = 0, dash = 0; at < 36; at++) {
        if (dash < ARRAY_LEN(dashes) && at == dashes[dash]) {
            out[at] = '-';
            dash++;
        } else {
            out[at] = hex[from++];
        }
    }
}

static struct event *make_event(struct open_batch *batch, const struct ingest_moment *moment,
                                const struct digest *identity)
{
    const struct rule *rule = moment->rule;
    char id[36];
    char time[MOMENT_ISO_CHARS];
    struct event_draft draft = {
        .source = rule->event_source,
        .detail_type = SLICE("Scheduled Event"),
        .time = {time, sizeof(time)},
        .resources = arena_printf(&batch->arena, "[\"%.*s\"]", SLICE_ARG(rule->arn)),
        .detail = SLICE("{}"),
    };
    const struct event_defaults defaults = {
        .id = {id, sizeof(id)},
        .account = rule->bus_account,
        .region = batch->ingest->options.config->region,
        .now_ms = moment->due_ms,
    };

    uuid_of(identity, id);
    moment_to_iso(moment->due_ms, time);
    return event_complete(&draft, &defaults);
}

static void hit_targets(struct ruleset_scratch *scratch, const struct rule *rule)
{
    for (size_t i = 0; i < rule->target_count; i++) {
        scratch->hits[i] = (struct ruleset_hit){.rule = rule, .target = &rule->targets[i]};
    }
    scratch->hit_count = rule->target_count;
}

void ingest_schedule(struct ingest *ingest, struct ingest_moment *moment)
{
    const struct rule *rule = moment->rule;
    const struct account *account =
        directory_account(ingest->snapshot->directory, rule->bus_account);
    struct open_batch *batch;
    struct walk *walk;
    struct digest identity;

    if (account == NULL || account->is_suspended || rule->target_count == 0) {
        moment->on_done(moment, ERR_OK); /* nothing that anybody is owed */
        return;
    }
    batch = CONTAINER_OF(ingest_batch_new(ingest, NULL, &(struct principal){.account = account}, 1),
                         struct open_batch, public);
    batch->moment = moment;
    batch->is_answered = true; /* nobody waits for it */
    batch->commit.now_ms = moment_now_ms();
    batch->commit.claim_until_ms = batch->commit.now_ms + ingest->options.config->claim_ms;
    digest_fields((const struct slice[]){rule->bus_account,
                                         SLICE("schedule"),
                                         rule->arn,
                                         {(const char *)&moment->due_ms, sizeof(moment->due_ms)}},
                  4, &identity);
    walk = &batch->walks[0];
    walk->account = account;
    walk->event = make_event(batch, moment, &identity);
    hit_targets(&ingest->scratch, rule);
    ingest_plan_deliveries(batch, 0);
    walk->stored->key = identity;
    walk->stored->content = identity;
    walk->stored->mark_ttl_ms = INGEST_MOMENT_MARK_MS;
    walk->stored->has_mark = true;
    batch->commit.op = (struct store_op){
        .kind = STORE_COMMIT, .home = ingest->options.mailbox, .on_done = on_committed};
    store_submit(ingest->options.store, &batch->commit.op);
}
