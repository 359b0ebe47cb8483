/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_store.c - what the store is told of an entry, and what its verdict means.
 *
 * Going: one delivery per matched target, one copy per archive, the dedup mark, the guard.  Coming
 * home: an entry that was known answers with the first one's EventId; a new one's deliveries go to
 * the engines that own their destinations, or stay in the store as backlog when nobody claimed
 * them.
 */
#include "core/check.h"
#include "core/moment.h"
#include "delivery/delivery.h"
#include "gateway/config.h"
#include "gateway/dedup.h"
#include "gateway/ingest_internal.h"

/* ---- going --------------------------------------------------------------------------------- */

/* The deliveries of one event: one for each target that its rules name. */
static void plan_deliveries(struct open_batch *batch, struct walk *walk, struct store_entry *stored)
{
    const struct ruleset_scratch *scratch = &batch->ingest->scratch;
    struct arena *arena = &batch->arena;

    stored->deliveries = ARENA_ARRAY(arena, struct store_delivery, scratch->hit_count);
    stored->delivery_count = scratch->hit_count;
    walk->labels = ARENA_ARRAY(arena, struct slice, scratch->hit_count);
    for (size_t i = 0; i < scratch->hit_count; i++) {
        const struct ruleset_hit *hit = &scratch->hits[i];
        struct store_delivery *delivery = &stored->deliveries[i];

        delivery->lane =
            arena_printf(arena, "%.*s/%" PRIu64, SLICE_ARG(walk->account->id), hit->target->uid);
        delivery->bus = hit->rule->is_central
                            ? hit->rule->bus_name
                            : arena_printf(arena, "%.*s/%.*s", SLICE_ARG(hit->rule->bus_account),
                                           SLICE_ARG(hit->rule->bus_name));
        delivery->rule = hit->rule->name;
        delivery->target_id = hit->target->id;
        walk->labels[i] = hit->rule->label;
        if (i == 0 || hit->rule != scratch->hits[i - 1].rule) {
            stats_count_part(batch->ingest->options.stats, STATS_RULE, hit->rule->label,
                             STATS_MATCHED, 1);
        }
        delivery->claim = delivery_may_claim(batch->ingest->options.engine, delivery->lane);
    }
}

/* By what time an archive keeps it: its own, but none that is still to come, since retention goes
 * by it too. */
static uint64_t archive_time(const struct event *event, uint64_t now_ms)
{
    uint64_t time_ms;

    return moment_from_iso(event->time, &time_ms) == ERR_OK ? MIN_OF(time_ms, now_ms) : now_ms;
}

static void plan_archivings(struct open_batch *batch, const struct walk *walk)
{
    const struct ruleset_scratch *scratch = &batch->ingest->scratch;
    struct store_entry *stored = walk->stored;

    _Static_assert((int)RULESET_ARCHIVES_MAX <= (int)STORE_ENTRY_ARCHIVES_MAX,
                   "all of them can be kept");
    if (scratch->archive_count == 0) {
        return;
    }
    stored->time_ms = archive_time(walk->event, batch->commit.now_ms);
    stored->archivings = ARENA_ARRAY(&batch->arena, struct store_archiving, scratch->archive_count);
    stored->archiving_count = scratch->archive_count;
    for (size_t i = 0; i < scratch->archive_count; i++) {
        stored->archivings[i] = (struct store_archiving){
            .archive = scratch->archives[i]->archive,
            .bytes_max = batch->ingest->options.config->archive_bytes_max,
            .is_central = scratch->archives[i]->is_central,
        };
    }
}

void ingest_plan_deliveries(struct open_batch *batch, size_t index)
{
    struct walk *walk = &batch->walks[index];
    struct store_entry *stored = &batch->commit.entries[batch->commit.entry_count++];

    *stored = (struct store_entry){
        .account = walk->account->id,
        .event_id = walk->event->id,
        .body = walk->event->bytes,
    };
    plan_deliveries(batch, walk, stored);
    walk->stored = stored;
}

void ingest_plan_entry(struct open_batch *batch, size_t index)
{
    const struct ingest_entry *entry = &batch->public.entries[index];
    const struct walk *walk = &batch->walks[index];

    ingest_plan_deliveries(batch, index);
    plan_archivings(batch, walk);
    dedup_plan(&(struct dedup_facts){.principal = &batch->public.principal,
                                     .account = walk->account,
                                     .draft = &entry->draft,
                                     .bus_account = entry->bus_account,
                                     .bus_name = entry->bus_name,
                                     .explicit_id = batch->explicit_id,
                                     .index = index,
                                     .arena = &batch->arena},
               walk->stored);
}

/* ---- coming home --------------------------------------------------------------------------- */

static void offer_deliveries(struct open_batch *batch, struct walk *walk)
{
    struct delivery_engine *engine = batch->ingest->options.engine;
    const struct store_entry *stored = walk->stored;

    for (size_t i = 0; i < stored->delivery_count; i++) {
        const struct store_delivery *delivery = &stored->deliveries[i];
        struct delivery_offer offer = {
            .ref = {.seq = stored->seq, .claim = delivery->claim_no, .ordinal = (uint32_t)i},
            .event = walk->event,
            .claim_until_ms = batch->commit.claim_until_ms,
            .arrived_us = batch->started_ms * 1000,
        };

        if (!delivery->claim) {
            delivery_note_backlog(engine, delivery->lane);
            continue;
        }
        CHECK(delivery->lane.len <= STORE_LANE_CHARS_MAX);
        memcpy(offer.ref.lane, delivery->lane.data, delivery->lane.len);
        delivery_offer(engine, &offer);
    }
}

/* Deliveries of one event, under its account and under each rule ("BUS/RULE"). */
static void count_created(struct stats *stats, const struct walk *walk)
{
    const struct store_entry *stored = walk->stored;

    stats_count_account(stats, walk->account->id, STATS_CREATED, stored->delivery_count);
    for (size_t i = 0; i < stored->delivery_count; i++) {
        stats_count_part(stats, STATS_RULE, walk->labels[i], STATS_CREATED, 1);
    }
}

static void count_archived(struct stats *stats, const struct walk *walk)
{
    const struct store_entry *stored = walk->stored;
    uint64_t left_out = 0;

    if (stored->archiving_count == 0) {
        return;
    }
    for (size_t i = 0; i < stored->archiving_count; i++) {
        left_out += stored->archivings[i].is_full ? 1 : 0;
    }
    stats_count_account(stats, walk->account->id, STATS_ARCHIVED,
                        stored->archiving_count - left_out);
    if (left_out > 0) {
        stats_count_account(stats, walk->account->id, STATS_ARCHIVE_LEFT_OUT, left_out);
    }
}

/* What the answer to an entry that is new is counted as. */
static enum outcome outcome_of(const struct store_entry *stored)
{
    return stored->delivery_count > 0 ? OUTCOME_COMMITTED : OUTCOME_UNMATCHED;
}

void ingest_settle_entry(struct open_batch *batch, size_t index)
{
    struct ingest_entry *entry = &batch->public.entries[index];
    struct walk *walk = &batch->walks[index];

    if (walk->stored == NULL) {
        return;
    }
    ingest_trace_stored(batch, walk);
    if (walk->stored->verdict == STORE_DUPLICATE) {
        walk->outcome = batch->is_answered ? walk->outcome : OUTCOME_DUPLICATE;
        entry->is_duplicate = true;
        memcpy(entry->event_id, walk->stored->duplicate_of, sizeof(entry->event_id));
        return;
    }
    walk->outcome = batch->is_answered ? walk->outcome : outcome_of(walk->stored);
    if (walk->stored->conflict) {
        stats_count_account(batch->ingest->options.stats, walk->account->id, STATS_DEDUP_CONFLICT,
                            1);
    }
    count_created(batch->ingest->options.stats, walk);
    count_archived(batch->ingest->options.stats, walk);
    offer_deliveries(batch, walk);
}
