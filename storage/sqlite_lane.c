/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite_lane.c - lanes and claims of the embedded engine, in memory beside the table `delivery`.
 *
 * A lane keeps how many deliveries it has, when the first unclaimed one is due, and until when it
 * is parked; so "which lanes have work" and "may this commit claim" cost no look at the disk.  A
 * claim is one small struct, at most STORE_CLAIM_MAX per lane.  Nothing else is kept per delivery:
 * a backlog of millions lies in the table and is read from the front of its lane.
 *
 * Invariant: next_due_ms is exact: the least due of the lane's rows without a claim.
 *            A claim is in `claims` and on its lane, or it has ended and awaits the flush.
 * Memory:    a lane lives while it owes, holds claims or is parked; ended claims are freed by keep,
 *            so that undo can bring them back.
 */
#include "storage/sqlite_internal.h"

#include "core/check.h"
#include "core/log.h"

/* ---- lanes --------------------------------------------------------------------------------- */

struct sqlite_lane *sqlite_lane_get(struct sqlite_store *store, struct slice name)
{
    struct sqlite_lane *lane = map_get(&store->lanes, name);

    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        store_name_copy(lane->name, sizeof(lane->name), name);
        lane->next_due_ms = UINT64_MAX;
        list_init(&lane->claims);
        list_init(&lane->touched_node);
        (void)map_put(&store->lanes, slice_of(lane->name), lane);
    }
    return lane;
}

/* Remember how it was; call before each change. */
static void touch(struct sqlite_store *store, struct sqlite_lane *lane)
{
    if (!list_is_linked(&lane->touched_node)) {
        lane->kept_live_count = lane->live_count;
        lane->kept_next_due_ms = lane->next_due_ms;
        list_append(&store->touched_lanes, &lane->touched_node);
    }
}

void sqlite_lane_owes(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t due_ms)
{
    touch(store, lane);
    lane->next_due_ms = MIN_OF(lane->next_due_ms, due_ms);
}

void sqlite_lane_join(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t due_ms,
                      bool is_claimed)
{
    touch(store, lane);
    lane->live_count++;
    if (!is_claimed) {
        sqlite_lane_owes(store, lane, due_ms);
    }
}

static sqlite3_stmt *walk_start(struct sqlite_store *store, const struct sqlite_lane *lane)
{
    sqlite3_stmt *walk = sqlite_sql_start(store, SQL_LANE_WALK);

    sqlite_bind_text(walk, 1, slice_of(lane->name));
    return walk;
}

/* Ask the table for the first unclaimed row. */
static enum err find_next_due(struct sqlite_store *store, struct sqlite_lane *lane)
{
    sqlite3_stmt *walk = walk_start(store, lane);
    bool has_row;

    lane->next_due_ms = UINT64_MAX;
    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        if (sqlite_claim_find(store, sqlite_column_u64(walk, 1),
                              (uint32_t)sqlite_column_u64(walk, 2)) == NULL) {
            lane->next_due_ms = sqlite_column_u64(walk, 0);
            (void)sqlite3_reset(walk);
            break;
        }
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return ERR_OK;
}

enum err sqlite_lane_leave(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t due_ms,
                           bool was_claimed)
{
    touch(store, lane);
    CHECK(lane->live_count > 0);
    lane->live_count--;
    if (was_claimed || due_ms > lane->next_due_ms) {
        return ERR_OK;
    }
    return find_next_due(store, lane);
}

static bool is_parked(const struct sqlite_lane *lane, uint64_t now_ms)
{
    return lane->parked_until_ms > now_ms;
}

/* ---- claims -------------------------------------------------------------------------------- */

static struct slice key_slice(const struct sqlite_claim_key *key)
{
    return (struct slice){(const char *)key, sizeof(*key)};
}

struct sqlite_claim *sqlite_claim_find(struct sqlite_store *store, uint64_t seq, uint32_t ordinal)
{
    const struct sqlite_claim_key key = {.seq = seq, .ordinal = ordinal};

    return map_get(&store->claims, key_slice(&key));
}

static void link_claim(struct sqlite_store *store, struct sqlite_claim *claim)
{
    CHECK(map_put(&store->claims, key_slice(&claim->key), claim) == NULL);
    list_append(&claim->lane->claims, &claim->node);
    claim->lane->claimed_count++;
}

static void unlink_claim(struct sqlite_store *store, struct sqlite_claim *claim)
{
    CHECK(map_remove(&store->claims, key_slice(&claim->key)) == claim);
    list_remove(&claim->node);
    CHECK(claim->lane->claimed_count > 0);
    claim->lane->claimed_count--;
}

static void claim_begin(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t seq,
                        uint32_t ordinal, uint64_t due_ms, uint64_t until_ms)
{
    struct sqlite_claim *claim = xcalloc(1, sizeof(*claim));

    touch(store, lane);
    claim->lane = lane;
    claim->key = (struct sqlite_claim_key){.seq = seq, .ordinal = ordinal};
    claim->no = ++store->last_claim;
    claim->due_ms = due_ms;
    claim->until_ms = until_ms;
    claim->is_begun = true;
    list_init(&claim->node);
    list_init(&claim->batch_node);
    list_append(&store->batch_claims, &claim->batch_node);
    link_claim(store, claim);
}

void sqlite_claim_end(struct sqlite_store *store, struct sqlite_claim *claim)
{
    CHECK(!claim->is_ended);
    touch(store, claim->lane);
    unlink_claim(store, claim);
    claim->is_ended = true;
    if (!list_is_linked(&claim->batch_node)) {
        list_append(&store->batch_claims, &claim->batch_node);
    }
}

static void expire(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t now_ms)
{
    store->latest_ms = MAX_OF(store->latest_ms, now_ms);
    LIST_FOREACH (node, &lane->claims) {
        struct sqlite_claim *claim = CONTAINER_OF(node, struct sqlite_claim, node);

        if (claim->until_ms <= now_ms) {
            sqlite_claim_end(store, claim);
            sqlite_lane_owes(store, lane, claim->due_ms);
        }
    }
}

uint64_t sqlite_claim_new(struct sqlite_store *store, struct sqlite_lane *lane, uint64_t seq,
                          uint32_t ordinal, uint64_t now_ms, uint64_t until_ms)
{
    expire(store, lane, now_ms);
    if (is_parked(lane, now_ms) || lane->claimed_count >= STORE_CLAIM_MAX ||
        lane->next_due_ms <= now_ms) {
        return 0;
    }
    claim_begin(store, lane, seq, ordinal, now_ms, until_ms);
    return store->last_claim;
}

/* ---- STORE_CLAIM --------------------------------------------------------------------------- */

/* The record of the row on which `walk` stands. */
static struct store_record *record_of(const struct sqlite_lane *lane, sqlite3_stmt *walk,
                                      const struct record *event,
                                      const struct record_delivery *delivery, struct slice state)
{
    const struct store_record_parts parts = {.account = event->account,
                                             .event_id = event->event_id,
                                             .bus = delivery->bus,
                                             .rule = delivery->rule,
                                             .target_id = delivery->target_id,
                                             .body = event->body,
                                             .state = state};
    struct store_record *record = store_record_new(&parts);

    record->ref.seq = sqlite_column_u64(walk, 1);
    record->ref.ordinal = (uint32_t)sqlite_column_u64(walk, 2);
    store_name_copy(record->ref.lane, sizeof(record->ref.lane), slice_of(lane->name));
    record->accepted_ms = event->accepted_ms;
    record->due_ms = sqlite_column_u64(walk, 0);
    record->attempt_count = (uint32_t)sqlite_column_u64(walk, 3);
    record->past_attempt_count = (uint32_t)sqlite_column_u64(walk, 4);
    record->last_err = (uint32_t)sqlite_column_u64(walk, 5);
    record->budget_from_ms = sqlite_column_u64(walk, 6);
    return record;
}

/* Claim the row and hand out its record; a damaged one is held back instead. */
static enum err claim_row(struct sqlite_store *store, struct store_claim *claim,
                          struct sqlite_lane *lane, sqlite3_stmt *walk)
{
    const uint64_t seq = sqlite_column_u64(walk, 1);
    const uint32_t ordinal = (uint32_t)sqlite_column_u64(walk, 2);
    struct record event;
    struct record_delivery delivery;
    struct store_record *record;
    struct slice state = {NULL, 0};
    enum err err = sqlite_event_read(store, seq, &event);

    if (err == ERR_OK) {
        err = record_delivery(&event, ordinal, &delivery);
    }
    if (err == ERR_OK && !store_lane_is_of(slice_of(lane->name), delivery.lane)) {
        err = ERR_STORE_CORRUPT;
    }
    if (err == ERR_OK) {
        err = sqlite_state_read(store, slice_of(lane->name), seq, ordinal, &state);
    }
    if (err == ERR_STORE_CORRUPT) {
        log_error("store.delivery_held_back", LOG_TEXT("lane", lane->name), LOG_U64("seq", seq),
                  LOG_ERR(err));
        claim_begin(store, lane, seq, ordinal, sqlite_column_u64(walk, 0), UINT64_MAX);
    } else if (err == ERR_OK) {
        record = record_of(lane, walk, &event, &delivery, state);
        claim_begin(store, lane, seq, ordinal, record->due_ms, claim->claim_until_ms);
        record->ref.claim = store->last_claim;
        list_append(&claim->records, &record->node);
    }
    (void)sqlite3_reset(store->statements[SQL_EVENT_READ]);
    (void)sqlite3_reset(store->statements[SQL_STATE_READ]);
    return err == ERR_STORE_CORRUPT ? ERR_OK : err;
}

/* Walk the lane from its front: claim what is due, stop at the first row that stays unclaimed. */
static enum err claim_walk(struct sqlite_store *store, struct store_claim *claim,
                           struct sqlite_lane *lane)
{
    const size_t room = MIN_OF(claim->count_max, STORE_CLAIM_MAX - lane->claimed_count);
    const size_t claimed_max = lane->claimed_count + room;
    sqlite3_stmt *walk = walk_start(store, lane);
    bool has_row;

    touch(store, lane);
    lane->next_due_ms = UINT64_MAX;
    TRY(sqlite_sql_next(store, walk, &has_row));
    while (has_row) {
        const uint64_t due_ms = sqlite_column_u64(walk, 0);

        if (sqlite_claim_find(store, sqlite_column_u64(walk, 1),
                              (uint32_t)sqlite_column_u64(walk, 2)) == NULL) {
            if (due_ms > claim->now_ms || lane->claimed_count >= claimed_max) {
                claim->has_more = due_ms <= claim->now_ms;
                lane->next_due_ms = due_ms;
                (void)sqlite3_reset(walk);
                return ERR_OK;
            }
            TRY(claim_row(store, claim, lane, walk));
        }
        TRY(sqlite_sql_next(store, walk, &has_row));
    }
    return ERR_OK;
}

enum err sqlite_claim_run(struct sqlite_store *store, struct store_claim *claim)
{
    struct sqlite_lane *lane = map_get(&store->lanes, slice_of(claim->lane));

    CHECK(claim->claim_until_ms > claim->now_ms);
    list_init(&claim->records);
    claim->has_more = false;
    claim->next_due_ms = UINT64_MAX;
    if (lane == NULL || lane->live_count == 0) {
        return ERR_OK;
    }
    if (is_parked(lane, claim->now_ms)) {
        claim->next_due_ms = lane->parked_until_ms;
        return ERR_OK;
    }
    expire(store, lane, claim->now_ms);
    if (lane->next_due_ms <= claim->now_ms) {
        TRY(claim_walk(store, claim, lane));
    }
    claim->next_due_ms = claim->has_more ? claim->now_ms : lane->next_due_ms;
    LIST_FOREACH (node, &lane->claims) {
        const struct sqlite_claim *held = CONTAINER_OF(node, struct sqlite_claim, node);

        claim->next_due_ms = MIN_OF(claim->next_due_ms, held->until_ms);
    }
    return ERR_OK;
}

/* ---- STORE_LANES, STORE_PARK --------------------------------------------------------------- */

static bool has_work(const struct sqlite_lane *lane, uint64_t now_ms)
{
    if (is_parked(lane, now_ms)) {
        return false;
    }
    if (lane->next_due_ms <= now_ms) {
        return true;
    }
    LIST_FOREACH (node, &lane->claims) {
        if (CONTAINER_OF(node, struct sqlite_claim, node)->until_ms <= now_ms) {
            return true;
        }
    }
    return false;
}

static int compare_lanes(const void *a, const void *b)
{
    const struct sqlite_lane *const *left = a;
    const struct sqlite_lane *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

/* The first lanes by name among those that were added.  It holds up to twice what it keeps, so that
 * a page costs no sort of everything that is due. */
struct page {
    struct sqlite_lane **lanes;
    size_t count;
    size_t count_max;
    bool has_more; /* some were left out; none of them comes before the last that is kept */
};

/* Keep the first `count_max`, in order. */
static void page_trim(struct page *page)
{
    if (page->count > 0) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what is sorted */
        qsort(page->lanes, page->count, sizeof(page->lanes[0]), compare_lanes);
    }
    if (page->count > page->count_max) {
        page->count = page->count_max;
        page->has_more = true;
    }
}

static void page_add(struct page *page, struct sqlite_lane *lane)
{
    /* Once something was left out, the first `count_max` are sorted. */
    if (page->has_more && strcmp(lane->name, page->lanes[page->count_max - 1]->name) > 0) {
        return;
    }
    page->lanes[page->count++] = lane;
    if (page->count == page->count_max * 2) {
        page_trim(page);
    }
}

/* Control asks every few seconds, page by page, however many lanes there are: one walk over them
 * and a sort of two pages at a time. */
enum err sqlite_lanes_run(struct sqlite_store *store, struct store_lanes *lanes)
{
    struct page page = {.count_max = lanes->count_max};
    size_t cursor = 0;
    struct sqlite_lane *lane;

    CHECK(lanes->count_max > 0);
    CHECK(lanes->count_max <= STORE_LANES_MAX);
    page.lanes = xcalloc(page.count_max * 2, sizeof(struct sqlite_lane *));
    store->latest_ms = MAX_OF(store->latest_ms, lanes->now_ms);
    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        if (strcmp(lane->name, lanes->after) > 0 && has_work(lane, lanes->now_ms)) {
            page_add(&page, lane);
        }
    }
    page_trim(&page);
    lanes->count = page.count;
    lanes->has_more = page.has_more;
    for (size_t i = 0; i < page.count; i++) {
        store_name_copy(lanes->lanes[i], sizeof(lanes->lanes[i]), slice_of(page.lanes[i]->name));
    }
    xfree(page.lanes);
    return ERR_OK;
}

enum err sqlite_park_run(struct sqlite_store *store, const struct store_park *park)
{
    struct sqlite_lane *lane = sqlite_lane_get(store, slice_of(park->lane));

    touch(store, lane);
    lane->parked_until_ms = park->until_ms;
    LIST_FOREACH (node, &lane->claims) {
        struct sqlite_claim *claim = CONTAINER_OF(node, struct sqlite_claim, node);

        if (claim->until_ms != UINT64_MAX) {
            sqlite_claim_end(store, claim);
            sqlite_lane_owes(store, lane, claim->due_ms);
        }
    }
    return ERR_OK;
}

/* ---- after the transaction ----------------------------------------------------------------- */

static bool is_idle(const struct sqlite_store *store, const struct sqlite_lane *lane)
{
    return lane->live_count == 0 && list_is_empty(&lane->claims) &&
           !is_parked(lane, store->latest_ms);
}

static void free_lane(struct sqlite_store *store, struct sqlite_lane *lane)
{
    CHECK(map_remove(&store->lanes, slice_of(lane->name)) == lane);
    xfree(lane);
}

/* Parks of empty lanes end without anybody touching the lane, so look for them now and then. */
static void sweep(struct sqlite_store *store)
{
    size_t cursor = 0;
    struct sqlite_lane *lane;

    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        if (is_idle(store, lane)) {
            free_lane(store, lane);
        }
    }
    store->lane_sweep_at = MAX_OF(SQLITE_LANE_SWEEP_MIN, store->lanes.count * 2);
}

void sqlite_lanes_keep(struct sqlite_store *store)
{
    LIST_FOREACH (node, &store->batch_claims) {
        struct sqlite_claim *claim = CONTAINER_OF(node, struct sqlite_claim, batch_node);

        list_remove(node);
        claim->is_begun = false;
        if (claim->is_ended) {
            xfree(claim);
        }
    }
    LIST_FOREACH (node, &store->touched_lanes) {
        struct sqlite_lane *lane = CONTAINER_OF(node, struct sqlite_lane, touched_node);

        list_remove(node);
        if (is_idle(store, lane)) {
            free_lane(store, lane);
        }
    }
    if (store->lanes.count > store->lane_sweep_at) {
        sweep(store);
    }
}

static void free_begun_claims(struct sqlite_store *store)
{
    LIST_FOREACH (node, &store->batch_claims) {
        struct sqlite_claim *claim = CONTAINER_OF(node, struct sqlite_claim, batch_node);

        if (claim->is_begun) {
            list_remove(node);
            if (!claim->is_ended) {
                unlink_claim(store, claim);
            }
            xfree(claim);
        }
    }
}

void sqlite_lanes_undo(struct sqlite_store *store)
{
    free_begun_claims(store); /* first: one of them may stand where an ended one returns */
    LIST_FOREACH (node, &store->batch_claims) {
        struct sqlite_claim *claim = CONTAINER_OF(node, struct sqlite_claim, batch_node);

        list_remove(node);
        claim->is_ended = false;
        link_claim(store, claim);
    }
    LIST_FOREACH (node, &store->touched_lanes) {
        struct sqlite_lane *lane = CONTAINER_OF(node, struct sqlite_lane, touched_node);

        list_remove(node);
        lane->live_count = lane->kept_live_count;
        lane->next_due_ms = lane->kept_next_due_ms;
    }
}

enum err sqlite_lanes_load(struct sqlite_store *store)
{
    sqlite3_stmt *rows = sqlite_sql_start(store, SQL_LANE_LOAD);
    bool has_row;

    store->lane_sweep_at = SQLITE_LANE_SWEEP_MIN;
    TRY(sqlite_sql_next(store, rows, &has_row));
    while (has_row) {
        const struct slice name = sqlite_column_slice(rows, 0);
        struct sqlite_lane *lane;

        if (name.len > STORE_LANE_CHARS_MAX || store_lane_account(name).len > STORE_ACCOUNT_CHARS) {
            return sqlite_sql_failed(store, SQLITE_CORRUPT);
        }
        lane = sqlite_lane_get(store, name);
        lane->live_count = sqlite_column_u64(rows, 1);
        store->store.recovery.delivery_count += lane->live_count;
        lane->next_due_ms = sqlite_column_u64(rows, 2);
        TRY(sqlite_sql_next(store, rows, &has_row));
    }
    return ERR_OK;
}

void sqlite_lanes_free(struct sqlite_store *store)
{
    size_t cursor = 0;
    struct sqlite_claim *claim;
    struct sqlite_lane *lane;

    for (claim = map_next(&store->claims, &cursor); claim != NULL;
         claim = map_next(&store->claims, &cursor)) {
        xfree(claim);
    }
    map_clean_up(&store->claims);
    cursor = 0;
    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        xfree(lane);
    }
    map_clean_up(&store->lanes);
}
