/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_step.c - a delivery of several steps goes on: out of one lane, into the next, with what it
 * has kept.
 *
 * The row of `delivery` moves, and the state stands in a table of its own, so that a delivery of
 * one step, which most are, pays nothing for it: a lane whose name has no step in it owns no row
 * there. A state stays through burial and redrive and goes when its delivery ends.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

/* Under the ordinal too, or one delivery's state could pass for another's of the same event. */
static uint32_t crc_of(const struct sqlite_store *store, uint64_t seq, uint32_t ordinal,
                       struct slice state)
{
    const struct slice columns[] = {{(const char *)&ordinal, sizeof(ordinal)}, state};

    return record_row_crc(&store->uuid, "step", seq, columns, ARRAY_LEN(columns));
}

static enum err state_put(struct sqlite_store *store, const struct store_advance *advance)
{
    const struct store_ref *ref = &advance->ref;
    sqlite3_stmt *put = sqlite_sql_start(store, SQL_STATE_PUT);

    sqlite_bind_u64(put, 1, ref->seq);
    sqlite_bind_u64(put, 2, ref->ordinal);
    sqlite_bind_blob(put, 3, advance->state);
    sqlite_bind_u64(put, 4, crc_of(store, ref->seq, ref->ordinal, advance->state));
    return sqlite_sql_run(store, put);
}

enum err sqlite_state_read(struct sqlite_store *store, struct slice lane, uint64_t seq,
                           uint32_t ordinal, struct slice *state)
{
    sqlite3_stmt *read;
    bool has_row;

    *state = (struct slice){NULL, 0};
    if (!store_lane_has_state(lane)) {
        return ERR_OK;
    }
    read = sqlite_sql_start(store, SQL_STATE_READ);
    sqlite_bind_u64(read, 1, seq);
    sqlite_bind_u64(read, 2, ordinal);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (has_row) {
        *state = sqlite_column_slice(read, 0);
    }
    if (!has_row || sqlite_column_u64(read, 1) != crc_of(store, seq, ordinal, *state)) {
        log_error("store.state_damaged", LOG_U64("seq", seq));
        return ERR_STORE_CORRUPT;
    }
    return ERR_OK;
}

enum err sqlite_state_delete(struct sqlite_store *store, struct slice lane, uint64_t seq,
                             uint32_t ordinal)
{
    sqlite3_stmt *delete;

    if (!store_lane_has_state(lane)) {
        return ERR_OK;
    }
    delete = sqlite_sql_start(store, SQL_STATE_DELETE);
    sqlite_bind_u64(delete, 1, seq);
    sqlite_bind_u64(delete, 2, ordinal);
    return sqlite_sql_run(store, delete);
}

static enum err read_past_attempts(struct sqlite_store *store, const struct store_ref *ref,
                                   uint64_t due_ms, uint32_t *count)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_DELIVERY_READ);
    bool has_row;

    sqlite_bind_text(read, 1, slice_of(ref->lane));
    sqlite_bind_u64(read, 2, due_ms);
    sqlite_bind_u64(read, 3, ref->seq);
    sqlite_bind_u64(read, 4, ref->ordinal);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (!has_row) {
        return sqlite_sql_failed(store, SQLITE_CORRUPT);
    }
    *count = (uint32_t)sqlite_column_u64(read, 1);
    (void)sqlite3_reset(read);
    return ERR_OK;
}

enum err sqlite_advance_run(struct sqlite_store *store, const struct store_advance *advance)
{
    struct store_record record = {
        .ref = {.seq = advance->ref.seq, .ordinal = advance->ref.ordinal},
        .due_ms = advance->now_ms,
        .budget_from_ms = advance->now_ms,
        .last_err = (uint32_t)advance->last_err,
    };
    struct sqlite_place place;
    struct sqlite_claim *claim;

    store_advance_check(advance);
    TRY(sqlite_delivery_find(store, &advance->ref, &place, &claim));
    if (place.lane == NULL || claim == NULL || claim->no != advance->ref.claim) {
        return ERR_CLAIM_LOST;
    }
    TRY(sqlite_write_begin(store));
    TRY(read_past_attempts(store, &advance->ref, place.due_ms, &record.past_attempt_count));
    record.past_attempt_count += advance->attempt_count;
    TRY(sqlite_delivery_delete(store, &advance->ref, &place, claim));
    store_name_copy(record.ref.lane, sizeof(record.ref.lane), slice_of(advance->lane));
    TRY(sqlite_delivery_insert(store, &record));
    sqlite_lane_join(store, sqlite_lane_get(store, slice_of(advance->lane)), advance->now_ms,
                     false);
    return state_put(store, advance);
}
