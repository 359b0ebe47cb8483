/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest.c - coordinator of the way in.
 *
 * For each entry, in this order and no other:
 *   bind      whose event is it, and may this caller send it
 *   admit     does the account of the event have a token left
 *   complete  the envelope, immutable from here on
 *   match     the rules of its bus and of the central bus
 *   remember  dedup mark, guard against replay (gateway/dedup.c), one delivery per matched target
 *             and one copy per archive, in one durable step
 * and only then the answer.  Entries of one request share one commit.  An entry that matches
 * nothing and is not archived is counted and not stored.  Matching stands before the commit so that
 * a copy sent after a rule was added is not taken for a duplicate; admission stands before both so
 * that an abuser spends his own tokens and not our flushes.
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

#include "accounts/policy.h"
#include "accounts/sigv4_verify.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "delivery/delivery.h"
#include "gateway/catalog_watch.h"
#include "gateway/config.h"
#include "gateway/dedup.h"
#include "gateway/ingest_internal.h"

enum {
    ANSWER_DEADLINE_MS = 4000,
    SPARE_BATCHES_MAX = 64,
};

/* ---- the life of an ingest ----------------------------------------------------------------- */

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
    ruleset_scratch_clean_up(&ingest->scratch);
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

static bool is_full(const struct ingest *ingest)
{
    return store_trouble(ingest->options.store) == ERR_STORE_FULL;
}

enum err ingest_check_store(const struct ingest *ingest)
{
    if (catalog_age_is_stale(ingest->options.catalog_age, moment_steady_ms())) {
        return ERR_NOT_READY;
    }
    /* A full store is no reason to read nothing: what it need not keep is answered (walk_entry). */
    return is_full(ingest) ? ERR_OK : store_trouble(ingest->options.store);
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

uint64_t ingest_token_ms(const struct ingest *ingest)
{
    return ingest->options.config->token_ms;
}

struct identity_desk *ingest_identity_desk(const struct ingest *ingest)
{
    return ingest->options.identity_desk;
}

struct api_desk *ingest_api_desk(const struct ingest *ingest)
{
    return ingest->options.api_desk;
}

size_t ingest_open_count(const struct ingest *ingest)
{
    return ingest->open_count;
}

/* ---- counting ------------------------------------------------------------------------------ */

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

/* ---- the end of a batch -------------------------------------------------------------------- */

void ingest_batch_free(struct open_batch *batch)
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
        ingest_trace_answered(batch, i);
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

static void on_committed(struct store_op *op)
{
    struct open_batch *batch = CONTAINER_OF(op, struct open_batch, commit.op);
    struct stats *stats = batch->ingest->options.stats;

    batch->ingest->late_count -= batch->is_answered ? 1 : 0;
    stats_time(stats, STATS_STAGE_COMMIT, moment_steady_us() - batch->commit_us);
    if (op->err == ERR_OK) {
        for (size_t i = 0; i < batch->public.entry_count; i++) {
            ingest_settle_entry(batch, i);
        }
    } else {
        log_warn("ingest.commit", LOG_ERR(op->err), LOG_U64("entries", batch->commit.entry_count));
        fail_open_entries(batch, op->err);
    }
    if (!batch->is_answered) {
        answer(batch);
    }
    ingest_batch_free(batch);
}

/* ---- one entry ----------------------------------------------------------------------------- */

static enum err match_event(struct open_batch *batch, struct ingest_entry *entry,
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
    if (ingest->scratch.archives_left_out > 0) {
        stats_count_account(ingest->options.stats, walk->account->id, STATS_ARCHIVE_LEFT_OUT,
                            ingest->scratch.archives_left_out);
    }
    if (err == ERR_TOO_LARGE) {
        (void)snprintf(entry->message, sizeof(entry->message),
                       "The event matches more than %d targets.", RULESET_HITS_MAX);
    }
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

/* May this account put this event on that bus?  On its own unless the bus's policy denies it, on
 * another's only if the policy allows it. */
static enum err check_bus(const struct open_batch *batch, const struct ingest_entry *entry,
                          const struct account *account)
{
    const struct config *config = batch->ingest->options.config;
    const struct slice owner = entry->bus_account.len > 0 ? entry->bus_account : account->id;
    const bool is_own = slice_eq(owner, account->id);
    const struct bus_policy *policy =
        bus_policies_find(&batch->snapshot->policies, owner, entry->bus_name);
    struct bus_policy_call use;
    char arn[512];

    if (policy == NULL) {
        return is_own ? ERR_OK : ERR_ACCESS_DENIED;
    }
    (void)snprintf(arn, sizeof(arn), "arn:aws:events:%.*s:%.*s:event-bus/%.*s",
                   SLICE_ARG(config->region), SLICE_ARG(owner), SLICE_ARG(entry->bus_name));
    use = (struct bus_policy_call){
        .account = account->id,
        .org_path = account->org_path,
        .action = SLICE("events:PutEvents"),
        .resource = slice_of(arn),
        .source = entry->draft.source,
        .detail_type = entry->draft.detail_type,
    };
    switch (bus_policy_judge(policy, &use)) {
    case BUS_POLICY_ALLOWS:
        return ERR_OK;
    case BUS_POLICY_SILENT:
        return is_own ? ERR_OK : ERR_ACCESS_DENIED;
    case BUS_POLICY_DENIES:
    default:
        return ERR_ACCESS_DENIED;
    }
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
    TRY(check_bus(batch, entry, account));
    TRY(admit(batch, account, entry));
    walk->event = complete(batch, entry, account);
    CHECK(walk->event->id.len <= STORE_EVENT_ID_CHARS_MAX);
    memcpy(entry->event_id, walk->event->id.data, walk->event->id.len);
    TRY(match_event(batch, entry, walk));
    if (batch->ingest->scratch.hit_count == 0 && batch->ingest->scratch.archive_count == 0) {
        walk->outcome = OUTCOME_UNMATCHED;
        return ERR_OK;
    }
    if (batch->ingest->late_count > 0) {
        return ERR_STORE_BUSY;
    }
    if (is_full(batch->ingest)) {
        return ERR_STORE_FULL;
    }
    ingest_plan_entry(batch, index);
    return ERR_OK;
}

/* ---- a batch ------------------------------------------------------------------------------- */

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
    if (request != NULL) {
        batch->explicit_id = request_header(request, SLICE("x-weir-deduplication-id"));
    }
    list_append(&ingest->open, &batch->node);
    ingest->open_count++;
    return &batch->public;
}

/* A name that cannot be kept is refused, not cut: the caller relies on it. */
static void check_explicit_id(struct open_batch *batch)
{
    if (batch->explicit_id.data == NULL || dedup_is_explicit_id(batch->explicit_id)) {
        return;
    }
    for (size_t i = 0; i < batch->public.entry_count; i++) {
        struct ingest_entry *entry = &batch->public.entries[i];

        if (entry->err == ERR_OK) {
            entry->err = ERR_BAD_ARGUMENT;
            (void)snprintf(entry->message, sizeof(entry->message),
                           "Header x-weir-deduplication-id is not valid. Reason: It must have 1 to "
                           "%d printable ASCII characters and no space.",
                           DEDUP_EXPLICIT_CHARS_MAX);
        }
    }
}

void ingest_submit(struct ingest_batch *public)
{
    struct open_batch *batch = CONTAINER_OF(public, struct open_batch, public);
    struct store_commit *commit = &batch->commit;

    CHECK(public->on_done != NULL);
    commit->now_ms = moment_now_ms();
    commit->claim_until_ms = commit->now_ms + batch->ingest->options.config->claim_ms;
    check_explicit_id(batch);
    for (size_t i = 0; i < public->entry_count; i++) {
        if (public->entries[i].err == ERR_OK) {
            public->entries[i].err = walk_entry(batch, i);
        }
    }
    if (commit->entry_count == 0) {
        answer(batch);
        ingest_batch_free(batch);
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
