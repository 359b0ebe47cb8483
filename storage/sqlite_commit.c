/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_commit.c - an event enters, and its deliveries leave: commit, settle, retry.
 *
 * The good path of an event with one target: a mark row, an event row, a delivery row, all in the
 * transaction of the batch; after the call, the delivery row is deleted by its claim's key and the
 * event row with it.  A delivery without a claim (the process restarted, the lane was parked) is
 * found by the index on (seq, ordinal) instead.  A guard costs one more mark row, of a new
 * signature even when its entry is a repeat.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

/* ---- rows of `delivery` and `event` -------------------------------------------------------- */

static sqlite3_stmt *start_at(struct sqlite_store *store, enum sqlite_statement statement,
                              const struct store_ref *ref, uint64_t due_ms)
{
    sqlite3_stmt *started = sqlite_sql_start(store, statement);

    sqlite_bind_text(started, 1, slice_of(ref->lane));
    sqlite_bind_u64(started, 2, due_ms);
    sqlite_bind_u64(started, 3, ref->seq);
    sqlite_bind_u64(started, 4, ref->ordinal);
    return started;
}

/* The row was there a moment ago; if it is not, index and table tell different stories. */
static enum err expect_one_row(struct sqlite_store *store)
{
    return sqlite3_changes(store->db) == 1 ? ERR_OK : sqlite_sql_failed(store, SQLITE_CORRUPT);
}

enum err sqlite_delivery_insert(struct sqlite_store *store, const struct store_record *record)
{
    sqlite3_stmt *add = start_at(store, SQL_DELIVERY_ADD, &record->ref, record->due_ms);

    sqlite_bind_u64(add, 5, record->attempt_count);
    sqlite_bind_u64(add, 6, record->past_attempt_count);
    sqlite_bind_u64(add, 7, record->last_err);
    sqlite_bind_u64(add, 8, record->budget_from_ms);
    return sqlite_sql_run(store, add);
}

static enum err find_row(struct sqlite_store *store, const struct store_ref *ref,
                         struct sqlite_place *place)
{
    sqlite3_stmt *find = sqlite_sql_start(store, SQL_DELIVERY_FIND);
    bool has_row;

    sqlite_bind_u64(find, 1, ref->seq);
    sqlite_bind_u64(find, 2, ref->ordinal);
    TRY(sqlite_sql_next(store, find, &has_row));
    if (has_row && slice_eq(sqlite_column_slice(find, 0), slice_of(ref->lane))) {
        place->lane = sqlite_lane_get(store, slice_of(ref->lane));
        place->due_ms = sqlite_column_u64(find, 1);
    }
    (void)sqlite3_reset(find);
    return ERR_OK;
}

enum err sqlite_delivery_find(struct sqlite_store *store, const struct store_ref *ref,
                              struct sqlite_place *place, struct sqlite_claim **claim)
{
    *place = (struct sqlite_place){.lane = NULL};
    *claim = sqlite_claim_find(store, ref->seq, ref->ordinal);
    if (*claim == NULL) {
        return find_row(store, ref, place);
    }
    if (strcmp((*claim)->lane->name, ref->lane) == 0) {
        *place = (struct sqlite_place){.lane = (*claim)->lane, .due_ms = (*claim)->due_ms};
    } else {
        *claim = NULL;
    }
    return ERR_OK;
}

enum err sqlite_delivery_delete(struct sqlite_store *store, const struct store_ref *ref,
                                const struct sqlite_place *place, struct sqlite_claim *claim)
{
    TRY(sqlite_sql_run(store, start_at(store, SQL_DELIVERY_DELETE, ref, place->due_ms)));
    TRY(expect_one_row(store));
    if (claim != NULL) {
        sqlite_claim_end(store, claim);
    }
    return sqlite_lane_leave(store, place->lane, place->due_ms, claim != NULL);
}

static enum err read_number(struct sqlite_store *store, enum sqlite_statement statement,
                            uint64_t seq, uint64_t *value)
{
    sqlite3_stmt *read = sqlite_sql_start(store, statement);
    bool has_row;

    *value = 0;
    sqlite_bind_u64(read, 1, seq);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (has_row) {
        *value = sqlite_column_u64(read, 0);
        (void)sqlite3_reset(read);
    }
    return ERR_OK;
}

enum err sqlite_event_release(struct sqlite_store *store, uint64_t seq)
{
    sqlite3_stmt *delete;
    uint64_t is_owed;
    uint64_t cost;

    TRY(read_number(store, SQL_EVENT_IS_OWED, seq, &is_owed));
    if (is_owed != 0) {
        return ERR_OK;
    }
    TRY(read_number(store, SQL_EVENT_COST, seq, &cost));
    delete = sqlite_sql_start(store, SQL_EVENT_DELETE);
    sqlite_bind_u64(delete, 1, seq);
    TRY(sqlite_sql_run(store, delete));
    store->header.bytes_used -= MIN_OF(cost, store->header.bytes_used);
    if (sqlite3_changes(store->db) > 0 && store->header.event_count > 0) {
        store->header.event_count--; /* a row that damage has taken was not there to delete */
    }
    return ERR_OK;
}

enum err sqlite_event_read(struct sqlite_store *store, uint64_t seq, struct record *record)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_EVENT_READ);
    enum err err = ERR_STORE_CORRUPT; /* when the row is missing */
    bool has_row;

    sqlite_bind_u64(read, 1, seq);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (has_row) {
        err = record_decode(&store->uuid, seq, sqlite_column_slice(read, 0), record);
    }
    if (err != ERR_OK) {
        log_error("store.record_damaged", LOG_U64("seq", seq), LOG_ERR(err));
    }
    return err;
}

/* ---- commit -------------------------------------------------------------------------------- */

static enum err add_event(struct sqlite_store *store, const struct store_commit *commit,
                          const struct store_entry *entry)
{
    const size_t len = record_len(entry);
    const uint64_t cost = store_event_cost(len, entry->delivery_count);
    sqlite3_stmt *add = sqlite_sql_start(store, SQL_EVENT_ADD);
    char *room;

    buf_clear(&store->scratch);
    CHECK(buf_reserve(&store->scratch, len, &room) == ERR_OK); /* store_commit_check() saw to it */
    record_encode(&store->uuid, entry->seq, commit->now_ms, entry, room);
    sqlite_bind_u64(add, 1, entry->seq);
    sqlite_bind_u64(add, 2, cost);
    sqlite_bind_blob(add, 3, (struct slice){room, len});
    TRY(sqlite_sql_run(store, add));
    store->header.bytes_used += cost;
    store->header.event_count++;
    return ERR_OK;
}

static enum err add_delivery(struct sqlite_store *store, const struct store_commit *commit,
                             const struct store_entry *entry, uint32_t ordinal)
{
    struct store_delivery *delivery = &entry->deliveries[ordinal];
    struct sqlite_lane *lane = sqlite_lane_get(store, delivery->lane);
    struct store_record record = {
        .ref = {.seq = entry->seq, .ordinal = ordinal},
        .due_ms = commit->now_ms,
        .budget_from_ms = commit->now_ms,
    };

    store_name_copy(record.ref.lane, sizeof(record.ref.lane), delivery->lane);
    TRY(sqlite_delivery_insert(store, &record));
    delivery->claim_no = 0;
    if (delivery->claim) {
        delivery->claim_no = sqlite_claim_new(store, lane, entry->seq, ordinal, commit->now_ms,
                                              commit->claim_until_ms);
    }
    delivery->claim = delivery->claim_no != 0;
    sqlite_lane_join(store, lane, commit->now_ms, delivery->claim);
    return ERR_OK;
}

static enum err add_entry(struct sqlite_store *store, const struct store_commit *commit,
                          struct store_entry *entry)
{
    TRY(sqlite_write_begin(store));
    entry->seq = ++store->header.last_seq;
    if (entry->has_mark) {
        TRY(sqlite_mark_add(store, entry, commit->now_ms));
    }
    if (entry->delivery_count > 0) {
        struct store_tally_row *tally = sqlite_tally_touch(store, entry->account);

        TRY(add_event(store, commit, entry));
        for (uint32_t i = 0; i < entry->delivery_count; i++) {
            TRY(add_delivery(store, commit, entry, i));
        }
        tally->created += entry->delivery_count;
        tally->live += entry->delivery_count;
    }
    return sqlite_archive_keep(store, commit, entry);
}

static void answer_duplicate(struct store_entry *entry)
{
    entry->verdict = STORE_DUPLICATE;
    for (size_t i = 0; i < entry->delivery_count; i++) {
        entry->deliveries[i].claim = false;
        entry->deliveries[i].claim_no = 0;
    }
    for (size_t i = 0; i < entry->archiving_count; i++) {
        entry->archivings[i].is_full = false;
    }
}

static enum err run_entry(struct sqlite_store *store, const struct store_commit *commit,
                          struct store_entry *entry)
{
    enum sqlite_mark_answer mark = SQLITE_MARK_NEW;
    enum sqlite_guard_answer guard = SQLITE_GUARD_IN_GRACE;
    bool is_duplicate;

    entry->verdict = STORE_COMMITTED;
    entry->conflict = false;
    entry->duplicate_of[0] = '\0';
    entry->stands_for = 1;
    entry->seq = 0;
    if (entry->has_mark) {
        TRY(sqlite_mark_find(store, entry, commit->now_ms, &mark));
    }
    if (entry->has_guard) {
        TRY(sqlite_guard_find(store, entry, commit->now_ms, &guard));
    }
    is_duplicate = mark == SQLITE_MARK_DUPLICATE || guard == SQLITE_GUARD_REPEATED;
    if (guard == SQLITE_GUARD_NEW) {
        TRY(sqlite_guard_add(store, entry,
                             is_duplicate ? slice_of(entry->duplicate_of) : entry->event_id,
                             commit->now_ms));
    }
    if (is_duplicate) {
        answer_duplicate(entry);
        return ERR_OK;
    }
    entry->conflict = mark == SQLITE_MARK_CONFLICT;
    return add_entry(store, commit, entry);
}

enum err sqlite_commit_run(struct sqlite_store *store, struct store_commit *commit)
{
    TRY(store_commit_check(commit));
    TRY(sqlite_marks_purge(store, commit->now_ms, store_purge_max(commit)));
    if (store->bytes_max != 0 &&
        store->header.bytes_used + store_commit_cost(commit) > store->bytes_max) {
        return ERR_STORE_FULL;
    }
    for (size_t i = 0; i < commit->entry_count; i++) {
        TRY(run_entry(store, commit, &commit->entries[i]));
    }
    store->batch_commits++;
    store->batch_entries += commit->entry_count;
    return ERR_OK;
}

/* ---- settle, retry ----------------------------------------------------------------------------
 */

static enum err settle_one(struct sqlite_store *store, const struct store_ref *ref)
{
    struct sqlite_place place;
    struct sqlite_claim *claim;
    struct store_tally_row *tally;

    TRY(sqlite_delivery_find(store, ref, &place, &claim));
    if (place.lane == NULL) {
        return ERR_OK;
    }
    TRY(sqlite_write_begin(store));
    TRY(sqlite_delivery_delete(store, ref, &place, claim));
    tally = sqlite_tally_touch(store, store_lane_account(slice_of(ref->lane)));
    tally->live--;
    tally->delivered++;
    TRY(sqlite_state_delete(store, slice_of(ref->lane), ref->seq, ref->ordinal));
    return sqlite_event_release(store, ref->seq);
}

enum err sqlite_settle_run(struct sqlite_store *store, const struct store_settle *settle)
{
    for (size_t i = 0; i < settle->ref_count; i++) {
        TRY(settle_one(store, &settle->refs[i]));
    }
    return ERR_OK;
}

enum err sqlite_retry_run(struct sqlite_store *store, const struct store_retry *retry)
{
    struct sqlite_place place;
    struct sqlite_claim *claim;
    sqlite3_stmt *move;

    TRY(sqlite_delivery_find(store, &retry->ref, &place, &claim));
    if (place.lane == NULL || claim == NULL || claim->no != retry->ref.claim) {
        return ERR_CLAIM_LOST;
    }
    TRY(sqlite_write_begin(store));
    move = start_at(store, SQL_DELIVERY_MOVE, &retry->ref, place.due_ms);
    sqlite_bind_u64(move, 5, retry->due_ms);
    sqlite_bind_u64(move, 6, retry->attempt_count);
    sqlite_bind_u64(move, 7, (uint64_t)retry->last_err);
    TRY(sqlite_sql_run(store, move));
    TRY(expect_one_row(store));
    sqlite_claim_end(store, claim);
    sqlite_lane_owes(store, place.lane, retry->due_ms);
    return ERR_OK;
}
