/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_dead.c - dead letters of the embedded engine: bury, list, redrive, drop, expire.
 *
 * A dead letter is a row of its own that refers to the event, which stays where it is; burying and
 * redriving move the row between two tables in one transaction.  Its id grows with each burial, so
 * a walk by id sees the dead letters of its beginning and no others.
 *
 * A walk over many goes in steps of bounded size, each in the transaction of its batch, so that
 * commits pass in between; the operation comes back to the queue until its walk is finished.
 * `walk.kept_id` is what earlier steps have done durably, `walk.step_id` what this one did.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

enum { STEP_ROWS_MAX = 4096, STEP_EDITS_MAX = 256 };

/* A row of `dead`; the slices are good until the walk moves on. */
struct dead_row {
    uint64_t id;
    uint64_t seq;
    uint64_t due_ms;
    uint64_t budget_from_ms;
    uint64_t buried_ms;
    uint32_t ordinal;
    uint32_t attempt_count;
    uint32_t past_attempt_count;
    uint32_t last_err;
    struct slice lane;
    struct slice account;
    struct slice bus;
    struct slice rule;
    struct slice target_id;
    struct slice reason;
    struct slice message;
};

static uint32_t crc_of(const struct sqlite_store *store, const struct dead_row *row)
{
    const struct slice columns[] = {row->lane,      row->account, row->bus,    row->rule,
                                    row->target_id, row->reason,  row->message};

    return record_row_crc(&store->uuid, "dead", row->id, columns, ARRAY_LEN(columns));
}

/* ---- bury ---------------------------------------------------------------------------------- */

static enum err insert(struct sqlite_store *store, const struct dead_row *row)
{
    sqlite3_stmt *add = sqlite_sql_start(store, SQL_DEAD_ADD);

    sqlite_bind_u64(add, 1, row->id);
    sqlite_bind_u64(add, 2, row->seq);
    sqlite_bind_u64(add, 3, row->ordinal);
    sqlite_bind_text(add, 4, row->lane);
    sqlite_bind_u64(add, 5, row->due_ms);
    sqlite_bind_u64(add, 6, row->attempt_count);
    sqlite_bind_u64(add, 7, row->past_attempt_count);
    sqlite_bind_u64(add, 8, row->last_err);
    sqlite_bind_u64(add, 9, row->budget_from_ms);
    sqlite_bind_u64(add, 10, row->buried_ms);
    sqlite_bind_text(add, 11, row->account);
    sqlite_bind_text(add, 12, row->bus);
    sqlite_bind_text(add, 13, row->rule);
    sqlite_bind_text(add, 14, row->target_id);
    sqlite_bind_text(add, 15, row->reason);
    sqlite_bind_text(add, 16, row->message);
    sqlite_bind_u64(add, 17, crc_of(store, row));
    return sqlite_sql_run(store, add);
}

/* What the delivery's row knows and the claim does not. */
static enum err read_history(struct sqlite_store *store, const struct store_ref *ref,
                             struct dead_row *row)
{
    sqlite3_stmt *read = sqlite_sql_start(store, SQL_DELIVERY_READ);
    bool has_row;

    sqlite_bind_text(read, 1, row->lane);
    sqlite_bind_u64(read, 2, row->due_ms);
    sqlite_bind_u64(read, 3, ref->seq);
    sqlite_bind_u64(read, 4, ref->ordinal);
    TRY(sqlite_sql_next(store, read, &has_row));
    if (!has_row) {
        return sqlite_sql_failed(store, SQLITE_CORRUPT);
    }
    row->past_attempt_count = (uint32_t)sqlite_column_u64(read, 1);
    row->last_err = (uint32_t)sqlite_column_u64(read, 2);
    row->budget_from_ms = sqlite_column_u64(read, 3);
    (void)sqlite3_reset(read);
    return ERR_OK;
}

/* Bus, rule and target, from the event.  One that is damaged is buried all the same, nameless. */
static enum err name_row(struct sqlite_store *store, struct dead_row *row)
{
    struct record event;
    struct record_delivery delivery;
    enum err err = sqlite_event_read(store, row->seq, &event);

    if (err == ERR_OK) {
        err = record_delivery(&event, row->ordinal, &delivery);
    }
    if (err == ERR_OK) {
        row->bus = delivery.bus;
        row->rule = delivery.rule;
        row->target_id = delivery.target_id;
    }
    return err == ERR_STORE_CORRUPT ? ERR_OK : err;
}

enum err sqlite_bury_run(struct sqlite_store *store, const struct store_bury *bury)
{
    const struct store_ref *ref = &bury->ref;
    struct dead_row row = {.seq = ref->seq,
                           .ordinal = ref->ordinal,
                           .buried_ms = bury->now_ms,
                           .attempt_count = bury->attempt_count,
                           .lane = slice_of(ref->lane),
                           .account = store_lane_account(slice_of(ref->lane)),
                           .reason = slice_of(bury->reason),
                           .message = slice_of(bury->message)};
    struct sqlite_place place;
    struct sqlite_claim *claim;
    struct store_tally_row *tally;

    TRY(sqlite_delivery_find(store, ref, &place, &claim));
    if (place.lane == NULL || claim == NULL || claim->no != ref->claim) {
        return ERR_CLAIM_LOST;
    }
    TRY(sqlite_write_begin(store));
    row.id = ++store->header.last_dead_id;
    row.due_ms = place.due_ms;
    TRY(read_history(store, ref, &row));
    TRY(name_row(store, &row));
    TRY(insert(store, &row));
    (void)sqlite3_reset(store->statements[SQL_EVENT_READ]);
    TRY(sqlite_delivery_delete(store, ref, &place, claim));
    tally = sqlite_tally_touch(store, row.account);
    tally->live--;
    tally->dead++;
    return ERR_OK;
}

/* ---- walking ------------------------------------------------------------------------------- */

static void walk_begin(const struct sqlite_store *store, struct store_walk *walk,
                       const struct store_dead_filter *filter, uint64_t after_id)
{
    if (!walk->is_begun) {
        *walk = (struct store_walk){
            .is_begun = true, .kept_id = after_id, .last_id = store->header.last_dead_id};
        if (filter->id != 0) {
            walk->kept_id = MAX_OF(walk->kept_id, filter->id - 1);
            walk->last_id = MIN_OF(walk->last_id, filter->id);
        }
    }
    walk->step_id = walk->kept_id;
    walk->step_count = 0;
    walk->is_finished = false;
}

static sqlite3_stmt *rows_start(struct sqlite_store *store, const struct store_walk *walk,
                                const struct store_dead_filter *filter)
{
    const bool is_by_account = filter->account.len > 0;
    sqlite3_stmt *rows =
        sqlite_sql_start(store, is_by_account ? SQL_DEAD_WALK_ACCOUNT : SQL_DEAD_WALK);

    sqlite_bind_u64(rows, 1, MIN_OF(walk->kept_id, (uint64_t)INT64_MAX));
    sqlite_bind_u64(rows, 2, walk->last_id);
    if (is_by_account) {
        sqlite_bind_text(rows, 3, filter->account);
    }
    return rows;
}

/* False, and said, if the row is damaged. */
static bool row_read(const struct sqlite_store *store, sqlite3_stmt *rows, struct dead_row *row)
{
    *row = (struct dead_row){
        .id = sqlite_column_u64(rows, 0),
        .seq = sqlite_column_u64(rows, 1),
        .ordinal = (uint32_t)sqlite_column_u64(rows, 2),
        .lane = sqlite_column_slice(rows, 3),
        .due_ms = sqlite_column_u64(rows, 4),
        .attempt_count = (uint32_t)sqlite_column_u64(rows, 5),
        .past_attempt_count = (uint32_t)sqlite_column_u64(rows, 6),
        .last_err = (uint32_t)sqlite_column_u64(rows, 7),
        .budget_from_ms = sqlite_column_u64(rows, 8),
        .buried_ms = sqlite_column_u64(rows, 9),
        .account = sqlite_column_slice(rows, 10),
        .bus = sqlite_column_slice(rows, 11),
        .rule = sqlite_column_slice(rows, 12),
        .target_id = sqlite_column_slice(rows, 13),
        .reason = sqlite_column_slice(rows, 14),
        .message = sqlite_column_slice(rows, 15),
    };
    if (sqlite_column_u64(rows, 16) != crc_of(store, row) || row->lane.len > STORE_LANE_CHARS_MAX) {
        log_error("store.dead_letter_damaged", LOG_U64("id", row->id));
        return false;
    }
    return true;
}

static bool is_meant(const struct store_dead_filter *filter, const struct dead_row *row)
{
    const struct store_dead_facts facts = {.id = row->id,
                                           .buried_ms = row->buried_ms,
                                           .account = row->account,
                                           .bus = row->bus,
                                           .rule = row->rule,
                                           .target_id = row->target_id,
                                           .reason = row->reason};

    return store_dead_matches(filter, &facts);
}

/* Looks at one row that is meant; clears `goes_on` when it cannot take it any more. */
typedef enum err (*visit_fn)(struct sqlite_store *store, void *context, const struct dead_row *row,
                             bool *goes_on);

/* Goes on from `walk->kept_id` until `visit` has had enough, the rows end, or the step is long
 * enough. */
static enum err walk_step(struct sqlite_store *store, struct store_walk *walk,
                          const struct store_dead_filter *filter, visit_fn visit, void *context)
{
    sqlite3_stmt *rows = rows_start(store, walk, filter);
    enum err err = ERR_OK;
    bool goes_on = true;

    for (size_t i = 0; i < STEP_ROWS_MAX; i++) {
        struct dead_row row;
        bool has_row;

        TRY(sqlite_sql_next(store, rows, &has_row));
        if (!has_row) {
            walk->is_finished = true;
            return ERR_OK;
        }
        if (row_read(store, rows, &row) && is_meant(filter, &row)) {
            err = visit(store, context, &row, &goes_on);
        }
        if (err != ERR_OK || !goes_on) {
            break;
        }
        walk->step_id = sqlite_column_u64(rows, 0);
    }
    (void)sqlite3_reset(rows);
    return err;
}

/* ---- list ---------------------------------------------------------------------------------- */

static struct store_dead *dead_of(const struct dead_row *row, const struct record *event)
{
    const struct store_record_parts parts = {.account = row->account,
                                             .event_id = event->event_id,
                                             .bus = row->bus,
                                             .rule = row->rule,
                                             .target_id = row->target_id,
                                             .body = event->body};
    struct store_dead *dead = store_dead_new(row->reason, row->message);
    struct store_record *record = store_record_new(&parts);

    record->ref.seq = row->seq;
    record->ref.ordinal = row->ordinal;
    store_name_copy(record->ref.lane, sizeof(record->ref.lane), row->lane);
    record->accepted_ms = event->accepted_ms;
    record->budget_from_ms = row->budget_from_ms;
    record->attempt_count = row->attempt_count;
    record->past_attempt_count = row->past_attempt_count;
    record->last_err = row->last_err;
    record->due_ms = row->due_ms;
    dead->id = row->id;
    dead->buried_ms = row->buried_ms;
    dead->attempt_count = row->attempt_count;
    dead->record = record;
    return dead;
}

/* There is more than goes on this page.  Returns that the walk is over. */
static bool end_page(struct store_dead_list *list)
{
    list->has_more = true;
    list->walk.is_finished = true;
    return false;
}

static enum err visit_to_list(struct sqlite_store *store, void *context, const struct dead_row *row,
                              bool *goes_on)
{
    struct store_dead_list *list = context;
    struct record event = {.accepted_ms = 0};
    enum err err;

    if (list->walk.step_count == list->count_max) {
        *goes_on = end_page(list);
        return ERR_OK;
    }
    err = sqlite_event_read(store, row->seq, &event);
    if (err == ERR_STORE_CORRUPT) {
        event = (struct record){.accepted_ms = 0};
        err = ERR_OK;
    }
    if (err == ERR_OK && !store_dead_page_takes(list, event.body.len)) {
        *goes_on = end_page(list);
    } else if (err == ERR_OK) {
        list_append(&list->dead, &dead_of(row, &event)->node);
        list->walk.step_count++;
    }
    (void)sqlite3_reset(store->statements[SQL_EVENT_READ]);
    return err;
}

enum err sqlite_dead_list_run(struct sqlite_store *store, struct store_dead_list *list)
{
    const size_t had_count = list->walk.is_begun ? (size_t)list->walk.step_count : 0;

    if (!list->walk.is_begun) {
        list_init(&list->dead);
        list->has_more = false;
        list->body_bytes = 0;
    }
    walk_begin(store, &list->walk, &list->filter, list->after_id);
    list->walk.step_count = had_count; /* over all steps: nothing here is undone in part */
    return walk_step(store, &list->walk, &list->filter, visit_to_list, list);
}

/* ---- redrive, drop, expire ---------------------------------------------------------------------
 */

/* The dead letters of one step, copied so that their table may change. */
struct edit_step {
    struct store_dead_edit *edit;
    struct dead_row rows[STEP_EDITS_MAX];
    size_t count;
};

static enum err visit_to_edit(struct sqlite_store *store, void *context, const struct dead_row *row,
                              bool *goes_on)
{
    struct edit_step *step = context;
    struct dead_row *kept;

    if (step->edit->dry_run) {
        step->edit->walk.step_count++;
        return ERR_OK;
    }
    if (step->count == STEP_EDITS_MAX) {
        *goes_on = false;
        return ERR_OK;
    }
    kept = &step->rows[step->count++];
    *kept = *row;
    kept->lane = arena_copy(&store->batch_arena, row->lane);
    kept->account = arena_copy(&store->batch_arena, row->account);
    return ERR_OK;
}

static enum err delete_row(struct sqlite_store *store, uint64_t id)
{
    sqlite3_stmt *delete = sqlite_sql_start(store, SQL_DEAD_DELETE);

    sqlite_bind_u64(delete, 1, id);
    return sqlite_sql_run(store, delete);
}

static enum err redrive(struct sqlite_store *store, const struct dead_row *row, uint64_t now_ms)
{
    struct store_tally_row *tally = sqlite_tally_touch(store, row->account);
    struct sqlite_lane *lane = sqlite_lane_get(store, row->lane);
    struct store_record record = {
        .ref = {.seq = row->seq, .ordinal = row->ordinal},
        .due_ms = now_ms,
        .budget_from_ms = now_ms,
        .past_attempt_count = row->past_attempt_count + row->attempt_count,
        .last_err = row->last_err,
    };

    store_name_copy(record.ref.lane, sizeof(record.ref.lane), row->lane);
    TRY(sqlite_delivery_insert(store, &record));
    sqlite_lane_join(store, lane, now_ms, false);
    tally->live++;
    tally->redriven++;
    return ERR_OK;
}

static enum err edit_row(struct sqlite_store *store, const struct store_dead_edit *edit,
                         const struct dead_row *row)
{
    struct store_tally_row *tally = sqlite_tally_touch(store, row->account);

    TRY(delete_row(store, row->id));
    tally->dead--;
    switch (edit->edit) {
    case STORE_DEAD_REDRIVE:
        return redrive(store, row, edit->now_ms);
    case STORE_DEAD_DROP:
        tally->dropped++;
        break;
    case STORE_DEAD_EXPIRE:
        tally->expired++;
        break;
    }
    TRY(sqlite_state_delete(store, row->lane, row->seq, row->ordinal));
    return sqlite_event_release(store, row->seq);
}

enum err sqlite_dead_edit_run(struct sqlite_store *store, struct store_dead_edit *edit)
{
    struct edit_step *step = arena_alloc(&store->batch_arena, sizeof(*step));

    step->edit = edit;
    step->count = 0;
    if (!edit->walk.is_begun) {
        edit->count = 0;
    }
    walk_begin(store, &edit->walk, &edit->filter, 0);
    TRY(walk_step(store, &edit->walk, &edit->filter, visit_to_edit, step));
    if (step->count > 0) {
        TRY(sqlite_write_begin(store));
    }
    for (size_t i = 0; i < step->count; i++) {
        TRY(edit_row(store, edit, &step->rows[i]));
    }
    edit->walk.step_count += step->count;
    return ERR_OK;
}
