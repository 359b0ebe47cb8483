/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_deliver.c - an event enters, its deliveries are claimed, and leave: commit, claim, lanes,
 * settle, retry, bury, park.
 *
 * What the scripts keep is told in lua/common.lua.  Here operations are written down as rows of
 * their batches, and replies are read, without trust: a reply of another shape is an error of the
 * batch, never a verdict.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/log.h"

enum {
    CLAIM_BYTES_MAX = 1 << 20, /* of records in one reply; one is always given */
    LANES_PAGE = 64,           /* looked at in one call */
    ROW_BYTES = 256,
};

static unsigned partition_of_lane(const char *lane)
{
    return redis_partition_of(store_lane_account(slice_of(lane)));
}

/* ---- commit -------------------------------------------------------------------------------- */

static struct slice digest_or_nothing(bool is_there, const struct digest *digest)
{
    return is_there ? digest_slice(digest) : SLICE("");
}

static struct slice encode(struct redis_batch *batch, const struct store_commit *commit,
                           const struct store_entry *entry)
{
    const size_t len = record_len(entry);
    char *record = arena_alloc(&batch->memory, len);

    record_encode(&batch->store->uuid, 0, commit->now_ms, entry, record);
    return (struct slice){record, len};
}

static void add_archivings(struct redis_batch *batch, const struct store_commit *commit,
                           const struct store_entry *entry)
{
    const struct store_entry bare = store_entry_bare(entry);

    redis_batch_arg_u64(batch, entry->archiving_count);
    if (entry->archiving_count == 0) {
        return;
    }
    redis_batch_arg(batch, encode(batch, commit, &bare));
    redis_batch_arg_u64(batch, entry->time_ms);
    for (size_t i = 0; i < entry->archiving_count; i++) {
        redis_batch_arg_u64(batch, entry->archivings[i].archive);
        redis_batch_arg_u64(batch, entry->archivings[i].bytes_max);
    }
}

static void add_entry(struct redis_job *job, struct store_commit *commit, struct store_entry *entry)
{
    const size_t copies = entry->archiving_count > 0 ? 2 : 1;
    struct redis_batch *batch = redis_batch_for_steps(
        job->store, REDIS_COMMIT, redis_partition_of(entry->account),
        copies * record_len(entry) + ROW_BYTES + entry->delivery_count * (STORE_LANE_CHARS_MAX + 8),
        MAX_OF(entry->delivery_count + entry->archiving_count, (size_t)1));

    if (batch->row_count == 0) {
        redis_batch_arg_u64(batch, job->store->claimer);
        redis_batch_arg(batch, SLICE("")); /* the count: known when it is sent */
    }
    redis_batch_arg_u64(batch, commit->now_ms);
    redis_batch_arg_u64(batch, commit->claim_until_ms);
    redis_batch_arg(batch, entry->account);
    redis_batch_arg(batch, entry->event_id);
    redis_batch_arg(batch, encode(batch, commit, entry));
    redis_batch_arg(batch, digest_or_nothing(entry->has_mark, &entry->key));
    redis_batch_arg(batch, digest_or_nothing(entry->has_mark, &entry->content));
    redis_batch_arg_u64(batch, entry->has_mark ? entry->mark_ttl_ms : 0);
    redis_batch_arg(batch, digest_or_nothing(entry->has_guard, &entry->guard_key));
    redis_batch_arg_u64(batch, entry->has_guard ? entry->guard_ttl_ms : 0);
    redis_batch_arg_u64(batch, entry->has_guard ? entry->guard_grace_ms : 0);
    redis_batch_arg_u64(batch, entry->delivery_count);
    for (size_t i = 0; i < entry->delivery_count; i++) {
        redis_batch_arg(batch, entry->deliveries[i].lane);
        redis_batch_arg(batch, entry->deliveries[i].claim ? SLICE("1") : SLICE("0"));
    }
    add_archivings(batch, commit, entry);
    redis_batch_add_row(batch, job, entry);
    batch->args[1] = arena_u64(&batch->memory, batch->row_count);
}

void redis_commit_begin(struct redis_store *store, struct store_commit *commit)
{
    const enum err err = store_commit_check(commit);
    struct redis_job *job = redis_job_new(store, &commit->op);

    job->part_count = 1;
    if (err == ERR_OK && (!redis_check_verdict(store->check)->may_commit || store->is_another)) {
        redis_job_part_done(job,
                            ERR_STORE_BUSY); /* it could be evicted, or not be read by others */
        return;
    }
    for (size_t i = 0; err == ERR_OK && i < commit->entry_count; i++) {
        add_entry(job, commit, &commit->entries[i]);
    }
    redis_job_part_done(job, err);
}

/* By lane, claim and EventId, since the sequence is what nobody was told. */
void redis_release_begin(struct redis_store *store, const struct redis_batch *commit)
{
    struct redis_job *job = redis_job_new(store, NULL);

    job->part_count = 1;
    for (size_t i = 0; i < commit->row_count; i++) {
        const struct store_entry *entry = commit->rows[i].item;
        const uint64_t until_ms = ((struct store_commit *)commit->rows[i].job->op)->claim_until_ms;

        for (size_t k = 0; k < entry->delivery_count; k++) {
            struct redis_batch *batch;

            if (!entry->deliveries[k].claim) {
                continue;
            }
            batch = redis_batch_for(store, REDIS_RELEASE, commit->partition, ROW_BYTES);
            redis_batch_arg(batch, arena_copy(&batch->memory, entry->deliveries[k].lane));
            redis_batch_arg_u64(batch, until_ms * REDIS_CLAIMERS + store->claimer);
            redis_batch_arg(batch, arena_copy(&batch->memory, entry->event_id));
            redis_batch_add_row(batch, job, NULL);
        }
    }
    redis_job_part_done(job, ERR_OK);
}

static bool read_entry(struct store_entry *entry, const redisReply *row)
{
    uint64_t verdict;
    const struct slice id = redis_reply_text(redis_reply_at(row, 2));

    if (!redis_reply_u64(redis_reply_at(row, 0), &verdict) ||
        !redis_reply_u64(redis_reply_at(row, 1), &entry->seq) ||
        !redis_reply_u64(redis_reply_at(row, 3), &entry->stands_for) ||
        id.len > STORE_EVENT_ID_CHARS_MAX) {
        return false;
    }
    entry->verdict = verdict == 2 ? STORE_DUPLICATE : STORE_COMMITTED;
    entry->conflict = verdict == 1;
    store_name_copy(entry->duplicate_of, sizeof(entry->duplicate_of), id);
    for (size_t i = 0; i < entry->delivery_count; i++) {
        struct store_delivery *delivery = &entry->deliveries[i];

        delivery->claim_no = 0;
        if (verdict != 2 && !redis_reply_u64(redis_reply_at(row, 4 + i), &delivery->claim_no)) {
            return false;
        }
        delivery->claim = delivery->claim_no != 0;
    }
    for (size_t i = 0; i < entry->archiving_count; i++) {
        uint64_t is_full = 0;

        if (verdict != 2 &&
            !redis_reply_u64(redis_reply_at(row, 4 + entry->delivery_count + i), &is_full)) {
            return false;
        }
        entry->archivings[i].is_full = is_full == 1;
    }
    return true;
}

void redis_commit_read(struct redis_batch *batch, const redisReply *reply)
{
    for (size_t i = 0; i < batch->row_count; i++) {
        if (!read_entry(batch->rows[i].item, redis_reply_at(reply, i))) {
            batch->err = ERR_REMOTE_FAILED;
        }
    }
}

/* ---- claim --------------------------------------------------------------------------------- */

void redis_claim_begin(struct redis_store *store, struct store_claim *claim)
{
    struct redis_job *job = redis_job_new(store, &claim->op);
    struct redis_batch *batch =
        redis_batch_for(store, REDIS_CLAIM, partition_of_lane(claim->lane), ROW_BYTES);

    list_init(&claim->records);
    claim->has_more = false;
    claim->next_due_ms = UINT64_MAX;
    redis_batch_arg_u64(batch, store->claimer);
    redis_batch_arg(batch, slice_of(claim->lane));
    redis_batch_arg_u64(batch, claim->now_ms);
    redis_batch_arg_u64(batch, claim->claim_until_ms);
    redis_batch_arg_u64(batch, claim->count_max);
    redis_batch_arg_u64(batch, CLAIM_BYTES_MAX);
    redis_batch_add_row(batch, job, claim);
}

/* Attempts as the scripts pack them: due, attempts, past attempts, last error, budget from. */
static void read_attempts(struct slice packed, struct store_record *record)
{
    if (packed.len == 28) {
        record->attempt_count = redis_get_u32(packed.data + 8);
        record->past_attempt_count = redis_get_u32(packed.data + 12);
        record->last_err = redis_get_u32(packed.data + 16);
        if (redis_get_u64(packed.data + 20) != 0) {
            record->budget_from_ms = redis_get_u64(packed.data + 20);
        }
    }
}

/* A state lies in Redis behind its checksum. */
static uint32_t state_crc(const struct redis_store *store, const struct store_ref *ref,
                          struct slice state)
{
    const struct slice columns[] = {{(const char *)&ref->ordinal, sizeof(ref->ordinal)}, state};

    return record_row_crc(&store->uuid, "step", ref->seq, columns, ARRAY_LEN(columns));
}

static bool state_open(const struct redis_store *store, const struct store_ref *ref,
                       struct slice stored, struct slice *state)
{
    *state = slice_from(stored, MIN_OF(stored.len, (size_t)4));
    return stored.len == 0 ||
           (stored.len >= 4 && redis_get_u32(stored.data) == state_crc(store, ref, *state));
}

static struct slice state_close(const struct redis_store *store,
                                const struct store_advance *advance, struct arena *arena)
{
    const uint32_t crc = state_crc(store, &advance->ref, advance->state);
    char *stored = arena_alloc(arena, 4 + advance->state.len);

    for (size_t i = 0; i < 4; i++) {
        stored[i] = (char)(crc >> (24 - 8 * i));
    }
    if (advance->state.len > 0) {
        memcpy(stored + 4, advance->state.data, advance->state.len);
    }
    return (struct slice){stored, 4 + advance->state.len};
}

/* NULL when it is damaged: then it stays held until the claim ends, and is logged each time. */
static struct store_record *read_record(struct redis_store *store, const char *lane,
                                        const redisReply *row)
{
    struct store_record *record;
    struct store_ref ref = {.seq = 0};
    struct record parts;
    struct record_delivery delivery;
    struct slice state;
    uint64_t due_ms;

    if (!redis_ref_unpack(redis_reply_text(redis_reply_at(row, 0)), &ref) ||
        !redis_reply_u64(redis_reply_at(row, 1), &ref.claim) ||
        !redis_reply_u64(redis_reply_at(row, 2), &due_ms) ||
        record_decode(&store->uuid, 0, redis_reply_text(redis_reply_at(row, 4)), &parts) !=
            ERR_OK ||
        record_delivery(&parts, ref.ordinal, &delivery) != ERR_OK ||
        !store_lane_is_of(slice_of(lane), delivery.lane) ||
        !state_open(store, &ref, redis_reply_text(redis_reply_at(row, 5)), &state)) {
        log_error("store.record_damaged", LOG_TEXT("lane", lane), LOG_U64("seq", ref.seq));
        return NULL;
    }
    record = store_record_new(&(struct store_record_parts){.account = parts.account,
                                                           .event_id = parts.event_id,
                                                           .bus = delivery.bus,
                                                           .rule = delivery.rule,
                                                           .target_id = delivery.target_id,
                                                           .body = parts.body,
                                                           .state = state});
    record->ref = ref;
    store_name_copy(record->ref.lane, sizeof(record->ref.lane), slice_of(lane));
    record->accepted_ms = parts.accepted_ms;
    record->budget_from_ms = parts.accepted_ms;
    record->due_ms = due_ms;
    read_attempts(redis_reply_text(redis_reply_at(row, 3)), record);
    return record;
}

void redis_claim_read(struct redis_batch *batch, const redisReply *reply)
{
    struct store_claim *claim = batch->rows[0].item;
    const redisReply *next = redis_reply_at(reply, 1);
    uint64_t has_more;

    if (!redis_reply_u64(redis_reply_at(reply, 0), &has_more) || next == NULL) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    claim->has_more = has_more == 1;
    if (!redis_reply_u64(next, &claim->next_due_ms)) {
        claim->next_due_ms = UINT64_MAX; /* -1: it owes nothing */
    }
    for (size_t i = 2; i < redis_reply_count(reply); i++) {
        struct store_record *record =
            read_record(batch->store, claim->lane, redis_reply_at(reply, i));

        if (record != NULL) {
            list_append(&claim->records, &record->node);
        }
    }
}

/* ---- lanes --------------------------------------------------------------------------------- */

struct lanes_state {
    char (*names)[STORE_LANE_CHARS_MAX + 1];
    size_t count;
    size_t room;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* In order, each once: a walk through pages may meet a lane twice. */
static void sort_names(struct lanes_state *state)
{
    size_t count = 0;

    if (state->count > 0) {
        qsort(state->names, state->count, sizeof(state->names[0]), compare_names);
    }
    for (size_t i = 0; i < state->count; i++) {
        if (count == 0 || compare_names(state->names[count - 1], state->names[i]) != 0) {
            memmove(state->names[count++], state->names[i], sizeof(state->names[i]));
        }
    }
    state->count = count;
}

static void lanes_finish(struct redis_job *job)
{
    struct lanes_state *state = job->state;
    struct store_lanes *lanes = (struct store_lanes *)job->op;

    sort_names(state);
    lanes->count = MIN_OF(state->count, lanes->count_max);
    lanes->has_more = state->count > lanes->count;
    for (size_t i = 0; i < lanes->count; i++) {
        memcpy(lanes->lanes[i], state->names[i], sizeof(state->names[i]));
    }
    xfree(state->names);
}

static void ask_lanes(struct redis_job *job, unsigned partition, uint64_t score, uint64_t behind)
{
    const struct store_lanes *lanes = (struct store_lanes *)job->op;
    struct redis_batch *batch = redis_batch_for(job->store, REDIS_LANES, partition, ROW_BYTES);

    redis_batch_arg_u64(batch, lanes->now_ms);
    redis_batch_arg_u64(batch, score);
    redis_batch_arg_u64(batch, behind);
    redis_batch_arg_u64(batch, LANES_PAGE);
    redis_batch_add_row(batch, job, job->state);
}

void redis_lanes_begin(struct redis_store *store, struct store_lanes *lanes)
{
    struct redis_job *job = redis_job_new(store, &lanes->op);

    lanes->count = 0;
    lanes->has_more = false;
    job->state = ARENA_NEW(&job->memory, struct lanes_state);
    job->on_parts = lanes_finish;
    for (unsigned i = 0; i < REDIS_PARTITIONS; i++) {
        ask_lanes(job, i, 0, 0);
    }
}

static void keep_lane(struct lanes_state *state, struct slice name)
{
    if (state->count == state->room) {
        state->room = MAX_OF(state->room * 2, (size_t)LANES_PAGE);
        state->names = xrealloc(state->names, state->room * sizeof(state->names[0]));
    }
    store_name_copy(state->names[state->count++], sizeof(state->names[0]), name);
}

void redis_lanes_read(struct redis_batch *batch, const redisReply *reply)
{
    struct redis_job *job = batch->rows[0].job;
    const struct store_lanes *lanes = (struct store_lanes *)job->op;
    uint64_t has_more;
    uint64_t score;
    uint64_t behind;

    if (!redis_reply_u64(redis_reply_at(reply, 0), &has_more) ||
        !redis_reply_u64(redis_reply_at(reply, 1), &score) ||
        !redis_reply_u64(redis_reply_at(reply, 2), &behind)) {
        batch->err = ERR_REMOTE_FAILED;
        return;
    }
    for (size_t i = 3; i < redis_reply_count(reply); i++) {
        const struct slice name = redis_reply_text(redis_reply_at(reply, i));

        if (name.len <= STORE_LANE_CHARS_MAX && slice_compare(name, slice_of(lanes->after)) > 0) {
            keep_lane(job->state, name);
        }
    }
    if (has_more == 1 && job->err == ERR_OK) {
        ask_lanes(job, batch->partition, score, behind);
    }
}

/* ---- outcomes ------------------------------------------------------------------------------ */

void redis_settle_begin(struct redis_store *store, struct store_settle *settle)
{
    struct redis_job *job = redis_job_new(store, &settle->op);

    job->part_count = 1;
    for (size_t i = 0; i < settle->ref_count; i++) {
        const struct store_ref *ref = &settle->refs[i];
        struct redis_batch *batch =
            redis_batch_for(store, REDIS_SETTLE, partition_of_lane(ref->lane), ROW_BYTES);

        redis_batch_arg(batch, slice_of(ref->lane));
        redis_batch_arg(batch, redis_ref_pack(&batch->memory, ref));
        redis_batch_add_row(batch, job, NULL);
    }
    redis_job_part_done(job, ERR_OK);
}

void redis_retry_begin(struct redis_store *store, struct store_retry *retry)
{
    struct redis_job *job = redis_job_new(store, &retry->op);
    struct redis_batch *batch =
        redis_batch_for(store, REDIS_RETRY, partition_of_lane(retry->ref.lane), ROW_BYTES);

    if (batch->row_count == 0) {
        redis_batch_arg(batch, SLICE("0"));
    }
    redis_batch_arg(batch, slice_of(retry->ref.lane));
    redis_batch_arg(batch, redis_ref_pack(&batch->memory, &retry->ref));
    redis_batch_arg_u64(batch, retry->ref.claim);
    redis_batch_arg_u64(batch, retry->due_ms);
    redis_batch_arg_u64(batch, retry->attempt_count);
    redis_batch_arg_u64(batch, retry->last_err);
    redis_batch_add_row(batch, job, retry);
}

void redis_advance_begin(struct redis_store *store, struct store_advance *advance)
{
    struct redis_job *job = redis_job_new(store, &advance->op);
    struct redis_batch *batch = redis_batch_for(
        store, REDIS_ADVANCE, partition_of_lane(advance->ref.lane), ROW_BYTES + advance->state.len);

    store_advance_check(advance);
    if (batch->row_count == 0) {
        redis_batch_arg(batch, SLICE("0"));
    }
    redis_batch_arg(batch, slice_of(advance->ref.lane));
    redis_batch_arg(batch, redis_ref_pack(&batch->memory, &advance->ref));
    redis_batch_arg_u64(batch, advance->ref.claim);
    redis_batch_arg(batch, slice_of(advance->lane));
    redis_batch_arg_u64(batch, advance->now_ms);
    redis_batch_arg_u64(batch, advance->attempt_count);
    redis_batch_arg_u64(batch, advance->last_err);
    redis_batch_arg(batch, state_close(store, advance, &batch->memory));
    redis_batch_add_row(batch, job, advance);
}

void redis_bury_begin(struct redis_store *store, struct store_bury *bury)
{
    struct redis_job *job = redis_job_new(store, &bury->op);
    struct redis_batch *batch = redis_batch_for(
        store, REDIS_BURY, partition_of_lane(bury->ref.lane), ROW_BYTES + sizeof(bury->message));

    if (batch->row_count == 0) {
        redis_batch_arg(batch, SLICE("0"));
    }
    redis_batch_arg(batch, slice_of(bury->ref.lane));
    redis_batch_arg(batch, redis_ref_pack(&batch->memory, &bury->ref));
    redis_batch_arg_u64(batch, bury->ref.claim);
    redis_batch_arg_u64(batch, bury->now_ms);
    redis_batch_arg_u64(batch, bury->attempt_count);
    redis_batch_arg(batch, slice_of(bury->reason));
    redis_batch_arg(batch, slice_of(bury->message));
    redis_batch_add_row(batch, job, bury);
}

void redis_park_begin(struct redis_store *store, struct store_park *park)
{
    struct redis_job *job = redis_job_new(store, &park->op);
    struct redis_batch *batch =
        redis_batch_for(store, REDIS_PARK, partition_of_lane(park->lane), ROW_BYTES);

    redis_batches_forget_park(store, park->lane);
    redis_batch_arg_u64(batch, store->claimer);
    redis_batch_arg(batch, slice_of(park->lane));
    redis_batch_arg_u64(batch, park->until_ms);
    redis_batch_add_row(batch, job, park);
}

/* Retry, advance and bury say of each row whether the claim was still ours; the others only that it
 * is done. */
void redis_outcome_read(struct redis_batch *batch, const redisReply *reply)
{
    if (batch->kind != REDIS_RETRY && batch->kind != REDIS_ADVANCE && batch->kind != REDIS_BURY) {
        return;
    }
    for (size_t i = 0; i < batch->row_count; i++) {
        uint64_t was_ours = 0;

        if (!redis_reply_u64(redis_reply_at(reply, i), &was_ours)) {
            batch->err = ERR_REMOTE_FAILED;
        } else if (was_ours == 0) {
            batch->rows[i].job->err = ERR_CLAIM_LOST;
        }
    }
}
