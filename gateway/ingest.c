/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest.c - coordinator of the way in.
 *
 * For each entry, in this order and no other:
 *   bind      whose event is it, and may this caller send it
 *   admit     does the account of the event have a token left
 *   complete  the envelope, immutable from here on
 *   match     the rules of its bus and of the central bus
 *   remember  dedup mark, guard against replay (gateway/dedup.c) and one delivery per matched
 *             target, in one durable step
 * and only then the answer.  Entries of one request share one commit.  An entry that matches
 * nothing is counted and not stored.  Matching stands before the commit so that a copy sent after a
 * rule was added is not taken for a duplicate; admission stands before both so that an abuser
 * spends his own tokens and not our flushes.
 *
 * The store may be slow.  Past ANSWER_DEADLINE_MS the caller gets a retryable error, and the batch
 * waits on alone for its outcome: what was committed is delivered, and the caller's retry meets the
 * mark.  While such a batch is out, nothing more is handed to the store: a late batch is no longer
 * covered by the quota of its request, so a store that hangs must not gather them.
 *
 * Invariant: every entry ends in exactly one of refused, throttled, failed, duplicate, unmatched,
 *            committed, counted at the moment its answer is given.
 * Memory:    a batch owns an arena and the events that the store reads, never the request's bytes,
 *            so it may outlive the request.
 */
#include "gateway/ingest.h"

#include "accounts/api_key.h"
#include "accounts/policy.h"
#include "accounts/sigv4_verify.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "delivery/delivery.h"
#include "gateway/config.h"
#include "gateway/dedup.h"

enum {
    ANSWER_DEADLINE_MS = 4000,
    SPARE_BATCHES_MAX = 64,
};

enum outcome {
    OUTCOME_OPEN,
    OUTCOME_REFUSED,
    OUTCOME_THROTTLED,
    OUTCOME_FAILED,
    OUTCOME_DUPLICATE,
    OUTCOME_UNMATCHED,
    OUTCOME_COMMITTED,
};

/* What ingest keeps of an entry beside what the caller sees. */
struct walk {
    const struct account *account; /* of the event */
    struct event *event;
    struct store_entry *stored; /* NULL: nothing to store */
    struct slice *labels;       /* of the rule of each delivery */
    enum outcome outcome;
};

struct open_batch {
    struct ingest_batch public; /* first: on_done gets its address */
    struct ingest *ingest;
    struct list node;
    struct arena arena;
    struct snapshot *snapshot;
    struct walk *walks;
    struct store_commit commit;
    struct slice explicit_id;
    uint64_t started_ms; /* steady */
    uint64_t commit_us;  /* steady, when the commit was handed over */
    bool is_answered;
};

struct ingest {
    struct ingest_options options;
    struct snapshot *snapshot;
    struct sigv4_key_cache *keys;
    struct ruleset_scratch scratch;
    struct list open;  /* struct open_batch, oldest first */
    struct list spare; /* struct open_batch, to be used again */
    size_t open_count;
    size_t late_count; /* of the open: answered, but their commit has not come back */
    size_t spare_count;
    ev_timer deadline;
};

/* ---- the life of an ingest ----------------------------------------------------------------------
 */

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events);

struct ingest *ingest_new(const struct ingest_options *options)
{
    struct ingest *ingest = xcalloc(1, sizeof(*ingest));

    ingest->options = *options;
    ingest->keys = sigv4_key_cache_new();
    list_init(&ingest->open);
    list_init(&ingest->spare);
    ev_timer_init(&ingest->deadline, on_deadline, 0.25, 0.25);
    ingest->deadline.data = ingest;
    ev_timer_start(options->loop, &ingest->deadline);
    return ingest;
}

void ingest_destroy(struct ingest *ingest)
{
    struct list *node;

    if (ingest == NULL) {
        return;
    }
    while ((node = list_take_first(&ingest->spare)) != NULL) {
        struct open_batch *batch = CONTAINER_OF(node, struct open_batch, node);

        arena_clean_up(&batch->arena);
        xfree(batch);
    }
    CHECK(ingest->open_count == 0);
    ev_timer_stop(ingest->options.loop, &ingest->deadline);
    sigv4_key_cache_destroy(ingest->keys);
    snapshot_release(ingest->snapshot);
    arena_clean_up(&ingest->scratch.arena);
    xfree(ingest);
}

void ingest_use(struct ingest *ingest, struct snapshot *snapshot)
{
    snapshot_acquire(snapshot);
    snapshot_release(ingest->snapshot);
    ingest->snapshot = snapshot;
}

const struct snapshot *ingest_snapshot(const struct ingest *ingest)
{
    return ingest->snapshot;
}

enum err ingest_check_store(const struct ingest *ingest)
{
    return store_trouble(ingest->options.store);
}

bool ingest_has_name(const struct ingest *ingest, struct slice authority)
{
    const struct strings *names = &ingest->options.config->data_names;

    for (size_t i = 0; i < names->count; i++) {
        if (slice_eq_ignore_case(authority, names->items[i])) {
            return true;
        }
    }
    return names->count == 0;
}

size_t ingest_entries_total_max(const struct ingest *ingest)
{
    return ingest->options.config->entries_total_max;
}

size_t ingest_entry_count_max(const struct ingest *ingest)
{
    return ingest->options.config->entry_count_max;
}

size_t ingest_open_count(const struct ingest *ingest)
{
    return ingest->open_count;
}

/* ---- who ----------------------------------------------------------------------------------------
 */

static struct sigv4_request signed_view(const struct request *request)
{
    return (struct sigv4_request){
        .method = request->method,
        .path = request->path,
        .query = request->query,
        .authority = request->authority,
        .is_http2 = request->is_http2,
        .headers = request->headers,
        .header_count = request->header_count,
        .body_digest = request->body_digest,
    };
}

static struct sigv4_verify_options verify_options(const struct ingest *ingest, struct err_why *why)
{
    return (struct sigv4_verify_options){
        .directory = ingest->snapshot->directory,
        .keys = ingest->keys,
        .region = ingest->options.config->region,
        .service = SLICE("events"),
        .now_ms = moment_now_ms(),
        .skew_max_ms = DEDUP_SIGNATURE_SKEW_MS,
        .why = why,
    };
}

enum err ingest_check_sigv4(struct ingest *ingest, struct request *request, struct err_why *why)
{
    const struct sigv4_verify_options options = verify_options(ingest, why);
    const struct sigv4_request view = signed_view(request);

    return sigv4_check_head(&options, &view);
}

enum err ingest_prove_sigv4(struct ingest *ingest, struct request *request,
                            struct principal *principal, struct err_why *why)
{
    const struct sigv4_verify_options options = verify_options(ingest, why);
    const struct sigv4_request view = signed_view(request);

    return sigv4_verify(&options, &view, principal);
}

/* A principal proven with the head, and the snapshot that it was proven by. */
struct head_proof {
    struct principal principal;
    uint64_t rev;
};

enum err ingest_check_api_key(struct ingest *ingest, struct request *request)
{
    struct head_proof *proof = ARENA_NEW(&request->arena, struct head_proof);

    TRY(api_key_verify(ingest->snapshot->directory, request->headers, request->header_count,
                       moment_now_ms(), &proof->principal));
    proof->rev = ingest->snapshot->rev;
    request->handler_data = proof;
    return ERR_OK;
}

/* A key needs no body, so what the head proved still holds, unless the catalog changed meanwhile:
 * then a revoked key must not pass. */
enum err ingest_prove_api_key(struct ingest *ingest, struct request *request,
                              struct principal *principal)
{
    const struct head_proof *proof = request->handler_data;

    if (proof != NULL && proof->rev == ingest->snapshot->rev) {
        *principal = proof->principal;
        return ERR_OK;
    }
    return api_key_verify(ingest->snapshot->directory, request->headers, request->header_count,
                          moment_now_ms(), principal);
}

void ingest_note_request(struct ingest *ingest, const struct request *request)
{
    struct stats *stats = ingest->options.stats;

    stats_count(stats, request->is_http2 ? STATS_REQUESTS_H2 : STATS_REQUESTS_H1, 1);
    stats_count(stats, STATS_BYTES_IN, request->body.len);
    stats_time(stats, STATS_STAGE_READ, moment_steady_us() - request->arrived_us);
}

void ingest_count_refused(struct ingest *ingest, enum err err)
{
    stats_count(ingest->options.stats, STATS_REQUESTS_REFUSED, 1);
    stats_count_part(ingest->options.stats, STATS_REASON, slice_of(err_name(err)), STATS_REFUSED,
                     1);
}

/* ---- counting -----------------------------------------------------------------------------------
 */

static enum outcome outcome_of_err(enum err err)
{
    switch (err_class(err)) {
    case ERR_CLASS_BUSY:
        return err == ERR_THROTTLED ? OUTCOME_THROTTLED : OUTCOME_FAILED;
    case ERR_CLASS_CALLER:
        return OUTCOME_REFUSED;
    case ERR_CLASS_NONE:
    case ERR_CLASS_REMOTE:
    case ERR_CLASS_LOCAL:
    default:
        return OUTCOME_FAILED;
    }
}

static void count_entry(struct open_batch *batch, size_t index)
{
    static const enum stats_counter counters[] = {
        [OUTCOME_REFUSED] = STATS_REFUSED,     [OUTCOME_THROTTLED] = STATS_THROTTLED,
        [OUTCOME_FAILED] = STATS_FAILED,       [OUTCOME_DUPLICATE] = STATS_DUPLICATE,
        [OUTCOME_UNMATCHED] = STATS_UNMATCHED, [OUTCOME_COMMITTED] = STATS_COMMITTED,
    };
    const struct ingest_entry *entry = &batch->public.entries[index];
    struct walk *walk = &batch->walks[index];
    const struct account *account =
        walk->account != NULL ? walk->account : batch->public.principal.account;
    struct stats *stats = batch->ingest->options.stats;

    if (walk->outcome == OUTCOME_OPEN) {
        walk->outcome = outcome_of_err(entry->err);
    }
    stats_count_account(stats, account->id, STATS_RECEIVED, 1);
    stats_count_account(stats, account->id, counters[walk->outcome], 1);
    if (walk->outcome == OUTCOME_REFUSED) {
        stats_count_part(stats, STATS_REASON, slice_of(err_name(entry->err)), STATS_REFUSED, 1);
    }
}

/* ---- the end of a batch
 * --------------------------------------------------------------------------- */

static void free_batch(struct open_batch *batch)
{
    struct ingest *ingest = batch->ingest;

    list_remove(&batch->node);
    ingest->open_count--;
    for (size_t i = 0; i < batch->public.entry_count; i++) {
        event_release(batch->walks[i].event);
    }
    snapshot_release(batch->snapshot);
    if (ingest->spare_count < SPARE_BATCHES_MAX) {
        arena_reset(&batch->arena);
        list_prepend(&ingest->spare, &batch->node);
        ingest->spare_count++;
        return;
    }
    arena_clean_up(&batch->arena);
    xfree(batch);
}

static void answer(struct open_batch *batch)
{
    CHECK(!batch->is_answered);
    batch->is_answered = true;
    for (size_t i = 0; i < batch->public.entry_count; i++) {
        count_entry(batch, i);
    }
    batch->public.on_done(&batch->public);
    batch->public.request = NULL;
}

static void fail_open_entries(struct open_batch *batch, enum err err)
{
    for (size_t i = 0; i < batch->public.entry_count; i++) {
        if (batch->walks[i].stored != NULL && batch->public.entries[i].err == ERR_OK) {
            batch->public.entries[i].err = err;
        }
    }
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct ingest *ingest = timer->data;
    const uint64_t now_ms = moment_steady_ms();

    (void)loop;
    (void)events;
    LIST_FOREACH (node, &ingest->open) {
        struct open_batch *batch = CONTAINER_OF(node, struct open_batch, node);

        if (now_ms - batch->started_ms < ANSWER_DEADLINE_MS) {
            break;
        }
        if (!batch->is_answered) {
            log_warn("ingest.late", LOG_U64("entries", batch->public.entry_count));
            fail_open_entries(batch, ERR_STORE_BUSY);
            answer(batch);
            ingest->late_count++;
        }
    }
}

/* ---- remember
 * ------------------------------------------------------------------------------------- */

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

static void settle_entry(struct open_batch *batch, size_t index)
{
    struct ingest_entry *entry = &batch->public.entries[index];
    struct walk *walk = &batch->walks[index];

    if (walk->stored == NULL) {
        return;
    }
    if (walk->stored->verdict == STORE_DUPLICATE) {
        walk->outcome = batch->is_answered ? walk->outcome : OUTCOME_DUPLICATE;
        entry->is_duplicate = true;
        memcpy(entry->event_id, walk->stored->duplicate_of, sizeof(entry->event_id));
        return;
    }
    walk->outcome = batch->is_answered ? walk->outcome : OUTCOME_COMMITTED;
    if (walk->stored->conflict) {
        stats_count_account(batch->ingest->options.stats, walk->account->id, STATS_DEDUP_CONFLICT,
                            1);
    }
    count_created(batch->ingest->options.stats, walk);
    offer_deliveries(batch, walk);
}

static void on_committed(struct store_op *op)
{
    struct open_batch *batch = CONTAINER_OF(op, struct open_batch, commit.op);
    struct stats *stats = batch->ingest->options.stats;

    batch->ingest->late_count -= batch->is_answered ? 1 : 0;
    stats_time(stats, STATS_STAGE_COMMIT, moment_steady_us() - batch->commit_us);
    if (op->err == ERR_OK) {
        for (size_t i = 0; i < batch->public.entry_count; i++) {
            settle_entry(batch, i);
        }
    } else {
        log_warn("ingest.commit", LOG_ERR(op->err), LOG_U64("entries", batch->commit.entry_count));
        fail_open_entries(batch, op->err);
    }
    if (!batch->is_answered) {
        answer(batch);
    }
    free_batch(batch);
}

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

static void plan_store(struct open_batch *batch, size_t index)
{
    const struct ingest_entry *entry = &batch->public.entries[index];
    struct walk *walk = &batch->walks[index];
    struct store_entry *stored = &batch->commit.entries[batch->commit.entry_count++];

    *stored = (struct store_entry){
        .account = walk->account->id,
        .event_id = walk->event->id,
        .body = walk->event->bytes,
    };
    plan_deliveries(batch, walk, stored);
    dedup_plan(&(struct dedup_facts){.principal = &batch->public.principal,
                                     .account = walk->account,
                                     .draft = &entry->draft,
                                     .bus_name = entry->bus_name,
                                     .explicit_id = batch->explicit_id,
                                     .index = index},
               stored);
    walk->stored = stored;
}

/* ---- one entry
 * -------------------------------------------------------------------------------------- */

static enum err match_event(struct open_batch *batch, const struct ingest_entry *entry,
                            const struct walk *walk)
{
    struct ingest *ingest = batch->ingest;
    const struct slice bus_account =
        entry->bus_account.len > 0 ? entry->bus_account : walk->account->id;
    const uint64_t start_us = moment_steady_us();
    enum err err;

    if (ingest->options.config->strict_bus &&
        !ruleset_has_bus(batch->snapshot->ruleset, bus_account, entry->bus_name)) {
        return ERR_NOT_FOUND;
    }
    err = ruleset_match(batch->snapshot->ruleset, bus_account, entry->bus_name, walk->event,
                        &ingest->scratch);
    stats_time(ingest->options.stats, STATS_STAGE_MATCH, moment_steady_us() - start_us);
    stats_count(ingest->options.stats, STATS_MATCH_EXHAUSTED, ingest->scratch.exhausted_count);
    return err;
}

static enum err admit(struct open_batch *batch, const struct account *account,
                      struct ingest_entry *entry)
{
    if (limiter_take(account->limiter, 1, moment_steady_us(), &entry->retry_after_ms) == 0) {
        return ERR_THROTTLED;
    }
    if (limiter_is_local(account->limiter)) {
        stats_count(batch->ingest->options.stats, STATS_ADMITTED_LOCALLY, 1);
    }
    return ERR_OK;
}

static struct event *complete(struct open_batch *batch, struct ingest_entry *entry,
                              const struct account *account)
{
    char id[36];
    struct event_defaults defaults = {
        .id = {id, sizeof(id)},
        .account = account->id,
        .region = batch->ingest->options.config->region,
        .now_ms = batch->commit.now_ms,
    };

    random_uuid(id);
    return event_complete(&entry->draft, &defaults);
}

static enum err walk_entry(struct open_batch *batch, size_t index)
{
    struct ingest_entry *entry = &batch->public.entries[index];
    struct walk *walk = &batch->walks[index];
    const struct principal *principal = &batch->public.principal;
    const struct account *account;

    TRY(policy_bind_account(batch->snapshot->directory, principal, entry->draft.account, &account));
    walk->account = account;
    TRY(policy_check_source(principal, account, entry->draft.source));
    if (entry->bus_account.len > 0 && !slice_eq(entry->bus_account, account->id)) {
        return ERR_ACCESS_DENIED;
    }
    TRY(admit(batch, account, entry));
    walk->event = complete(batch, entry, account);
    CHECK(walk->event->id.len <= STORE_EVENT_ID_CHARS_MAX);
    memcpy(entry->event_id, walk->event->id.data, walk->event->id.len);
    TRY(match_event(batch, entry, walk));
    if (batch->ingest->scratch.hit_count == 0) {
        walk->outcome = OUTCOME_UNMATCHED;
        return ERR_OK;
    }
    if (batch->ingest->late_count > 0) {
        return ERR_STORE_BUSY;
    }
    plan_store(batch, index);
    return ERR_OK;
}

/* ---- a batch
 * ------------------------------------------------------------------------------------------ */

/* A zeroed batch, with an arena that a spare one may already have. */
static struct open_batch *take_batch(struct ingest *ingest)
{
    struct list *node = list_take_first(&ingest->spare);
    struct open_batch *batch;

    if (node == NULL) {
        batch = xcalloc(1, sizeof(*batch));
    } else {
        const struct arena arena = CONTAINER_OF(node, struct open_batch, node)->arena;

        batch = CONTAINER_OF(node, struct open_batch, node);
        *batch = (struct open_batch){.arena = arena};
        ingest->spare_count--;
    }
    batch->ingest = ingest;
    return batch;
}

struct ingest_batch *ingest_batch_new(struct ingest *ingest, struct request *request,
                                      const struct principal *principal, size_t entry_count)
{
    struct open_batch *batch = take_batch(ingest);

    batch->snapshot = snapshot_acquire(ingest->snapshot);
    batch->started_ms = moment_steady_ms();
    batch->walks = ARENA_ARRAY(&batch->arena, struct walk, entry_count);
    batch->commit.entries = ARENA_ARRAY(&batch->arena, struct store_entry, entry_count);
    batch->public = (struct ingest_batch){
        .request = request,
        .principal = *principal,
        .entries = ARENA_ARRAY(&batch->arena, struct ingest_entry, entry_count),
        .entry_count = entry_count,
    };
    batch->explicit_id = request_header(request, SLICE("x-weir-deduplication-id"));
    list_append(&ingest->open, &batch->node);
    ingest->open_count++;
    return &batch->public;
}

void ingest_submit(struct ingest_batch *public)
{
    struct open_batch *batch = CONTAINER_OF(public, struct open_batch, public);
    struct store_commit *commit = &batch->commit;

    CHECK(public->on_done != NULL);
    commit->now_ms = moment_now_ms();
    commit->claim_until_ms = commit->now_ms + DELIVERY_CLAIM_MS;
    for (size_t i = 0; i < public->entry_count; i++) {
        if (public->entries[i].err == ERR_OK) {
            public->entries[i].err = walk_entry(batch, i);
        }
    }
    if (commit->entry_count == 0) {
        answer(batch);
        free_batch(batch);
        return;
    }
    batch->commit_us = moment_steady_us();
    commit->op = (struct store_op){
        .kind = STORE_COMMIT,
        .home = batch->ingest->options.mailbox,
        .on_done = on_committed,
    };
    store_submit(batch->ingest->options.store, &commit->op);
}
