/* SPDX-License-Identifier: Apache-2.0
 *
 * store_memory.c - the store as plain lists: what the durable engines must agree with.
 *
 * It keeps nothing through a restart and is written to be obviously right: an operation runs when
 * it is submitted, under one lock, over lists in the order in which they are asked for; only the
 * answer travels by mail, as the contract wants.  A delivery keeps its own copy of the event, so
 * there is no sharing to get wrong.  Durations are linear where a database would seek.
 *
 * Invariant: a live delivery is on its lane, a dead one on the store's dead list, an ended one
 *            nowhere; an event exists while one of its deliveries is live or dead.
 * Memory:    owns everything until destroy; what it hands out are copies.
 * Time:      only what operations carry.
 */
#include "storage/memory_internal.h"

#include "core/check.h"

enum { MAGIC = 0x6d656d73 };

/* ---- lanes --------------------------------------------------------------------------------- */

struct memory_lane *memory_lane_get(struct memory_store *store, struct slice name)
{
    struct memory_lane *lane = map_get(&store->lanes, name);

    if (lane == NULL) {
        lane = xcalloc(1, sizeof(*lane));
        list_init(&lane->deliveries);
        store_name_copy(lane->name, sizeof(lane->name), name);
        (void)map_put(&store->lanes, slice_of(lane->name), lane);
    }
    return lane;
}

static struct memory_delivery *delivery_at(struct list *node)
{
    return CONTAINER_OF(node, struct memory_delivery, node);
}

static bool comes_before(const struct memory_delivery *a, const struct memory_delivery *b)
{
    if (a->record->due_ms != b->record->due_ms) {
        return a->record->due_ms < b->record->due_ms;
    }
    if (a->record->ref.seq != b->record->ref.seq) {
        return a->record->ref.seq < b->record->ref.seq;
    }
    return a->record->ref.ordinal < b->record->ref.ordinal;
}

void memory_lane_add(struct memory_delivery *delivery)
{
    struct list *place = &delivery->lane->deliveries;

    CHECK(delivery->state == MEMORY_LIVE);
    CHECK(!list_is_linked(&delivery->node));
    while (place->prev != &delivery->lane->deliveries &&
           comes_before(delivery, delivery_at(place->prev))) {
        place = place->prev;
    }
    list_insert_before(place, &delivery->node);
}

static bool is_parked(const struct memory_lane *lane, uint64_t now_ms)
{
    return lane->parked_until_ms > now_ms;
}

/* ---- claims -------------------------------------------------------------------------------- */

void memory_claim_end(struct memory_delivery *delivery)
{
    if (delivery->claim != 0) {
        CHECK(delivery->lane->claimed_count > 0);
        delivery->lane->claimed_count--;
        delivery->claim = 0;
        delivery->claim_until_ms = 0;
    }
}

void memory_lane_expire(struct memory_lane *lane, uint64_t now_ms)
{
    LIST_FOREACH (node, &lane->deliveries) {
        struct memory_delivery *delivery = delivery_at(node);

        if (delivery->claim != 0 && delivery->claim_until_ms <= now_ms) {
            memory_claim_end(delivery);
        }
    }
}

static bool owes_now(const struct memory_lane *lane, uint64_t now_ms)
{
    LIST_FOREACH (node, &lane->deliveries) {
        const struct memory_delivery *delivery = delivery_at(node);

        if (delivery->claim == 0 && delivery->record->due_ms <= now_ms) {
            return true;
        }
    }
    return false;
}

static void claim_set(struct memory_store *store, struct memory_delivery *delivery,
                      uint64_t until_ms)
{
    CHECK(delivery->claim == 0);
    delivery->claim = ++store->last_claim;
    delivery->claim_until_ms = until_ms;
    delivery->lane->claimed_count++;
    CHECK(delivery->lane->claimed_count <= STORE_CLAIM_MAX);
}

uint64_t memory_claim_new(struct memory_store *store, struct memory_delivery *delivery,
                          uint64_t now_ms, uint64_t until_ms)
{
    struct memory_lane *lane = delivery->lane;

    CHECK(!list_is_linked(&delivery->node)); /* it does not count as owed itself */
    memory_lane_expire(lane, now_ms);
    if (is_parked(lane, now_ms) || lane->claimed_count >= STORE_CLAIM_MAX ||
        owes_now(lane, now_ms)) {
        return 0;
    }
    claim_set(store, delivery, until_ms);
    return delivery->claim;
}

static struct store_record *record_copy(const struct memory_delivery *delivery)
{
    const struct store_record *from = delivery->record;
    const struct store_record_parts parts = {.account = from->account,
                                             .event_id = from->event_id,
                                             .bus = from->bus,
                                             .rule = from->rule,
                                             .target_id = from->target_id,
                                             .body = from->body,
                                             .state = from->state};
    struct store_record *copy = store_record_new(&parts);

    copy->ref = from->ref;
    copy->ref.claim = delivery->claim;
    copy->accepted_ms = from->accepted_ms;
    copy->budget_from_ms = from->budget_from_ms;
    copy->attempt_count = from->attempt_count;
    copy->past_attempt_count = from->past_attempt_count;
    copy->last_err = from->last_err;
    copy->due_ms = from->due_ms;
    return copy;
}

static void claim_walk(struct memory_store *store, struct store_claim *claim,
                       struct memory_lane *lane)
{
    size_t taken_count = 0;

    LIST_FOREACH (node, &lane->deliveries) {
        struct memory_delivery *delivery = delivery_at(node);
        const bool is_due = delivery->record->due_ms <= claim->now_ms;

        if (delivery->claim == 0 && is_due && taken_count < claim->count_max &&
            lane->claimed_count < STORE_CLAIM_MAX) {
            claim_set(store, delivery, claim->claim_until_ms);
            list_append(&claim->records, &record_copy(delivery)->node);
            taken_count++;
        } else if (delivery->claim == 0 && is_due) {
            claim->has_more = true;
            claim->next_due_ms = claim->now_ms;
        }
        if (delivery->claim != 0) {
            claim->next_due_ms = MIN_OF(claim->next_due_ms, delivery->claim_until_ms);
        } else if (!is_due) {
            claim->next_due_ms = MIN_OF(claim->next_due_ms, delivery->record->due_ms);
        }
    }
}

static enum err claim_run(struct memory_store *store, struct store_claim *claim)
{
    struct memory_lane *lane = map_get(&store->lanes, slice_of(claim->lane));

    CHECK(claim->claim_until_ms > claim->now_ms);
    list_init(&claim->records);
    claim->has_more = false;
    claim->next_due_ms = UINT64_MAX;
    if (lane == NULL || list_is_empty(&lane->deliveries)) {
        return ERR_OK;
    }
    if (is_parked(lane, claim->now_ms)) {
        claim->next_due_ms = lane->parked_until_ms;
        return ERR_OK;
    }
    memory_lane_expire(lane, claim->now_ms);
    claim_walk(store, claim, lane);
    return ERR_OK;
}

/* ---- which lanes have work ----------------------------------------------------------------- */

static bool has_work(const struct memory_lane *lane, uint64_t now_ms)
{
    if (is_parked(lane, now_ms)) {
        return false;
    }
    LIST_FOREACH (node, &lane->deliveries) {
        const struct memory_delivery *delivery = delivery_at(node);

        if (delivery->record->due_ms <= now_ms &&
            (delivery->claim == 0 || delivery->claim_until_ms <= now_ms)) {
            return true;
        }
    }
    return false;
}

static int compare_lanes(const void *a, const void *b)
{
    const struct memory_lane *const *left = a;
    const struct memory_lane *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

static enum err lanes_run(struct memory_store *store, struct store_lanes *lanes)
{
    struct memory_lane **found = xcalloc(store->lanes.count + 1, sizeof(struct memory_lane *));
    size_t found_count = 0;
    size_t cursor = 0;
    struct memory_lane *lane;

    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        if (strcmp(lane->name, lanes->after) > 0 && has_work(lane, lanes->now_ms)) {
            found[found_count++] = lane;
        }
    }
    if (found_count > 0) {
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are what is sorted */
        qsort(found, found_count, sizeof(found[0]), compare_lanes);
    }
    lanes->count = MIN_OF(found_count, lanes->count_max);
    lanes->has_more = found_count > lanes->count_max;
    for (size_t i = 0; i < lanes->count; i++) {
        store_name_copy(lanes->lanes[i], sizeof(lanes->lanes[i]), slice_of(found[i]->name));
    }
    xfree(found);
    return ERR_OK;
}

/* ---- outcomes ------------------------------------------------------------------------------ */

/* The live delivery of that name, or NULL. */
static struct memory_delivery *find_live(struct memory_store *store, const struct store_ref *ref)
{
    struct memory_event *event =
        map_get(&store->events, (struct slice){(const char *)&ref->seq, sizeof(ref->seq)});
    struct memory_delivery *delivery;

    if (event == NULL || ref->ordinal >= event->delivery_count) {
        return NULL;
    }
    delivery = &event->deliveries[ref->ordinal];
    if (delivery->state != MEMORY_LIVE || strcmp(delivery->lane->name, ref->lane) != 0) {
        return NULL;
    }
    return delivery;
}

void memory_delivery_end(struct memory_store *store, struct memory_delivery *delivery)
{
    struct memory_event *event = delivery->event;

    CHECK(delivery->state != MEMORY_ENDED);
    memory_claim_end(delivery);
    list_remove(&delivery->node);
    store_record_free(delivery->record);
    delivery->record = NULL;
    delivery->state = MEMORY_ENDED;
    CHECK(event->owed_count > 0);
    if (--event->owed_count == 0) {
        store->bytes_used -= event->cost;
        (void)map_remove(&store->events,
                         (struct slice){(const char *)&event->seq, sizeof(event->seq)});
        xfree(event);
    }
}

static enum err settle_run(struct memory_store *store, const struct store_settle *settle)
{
    for (size_t i = 0; i < settle->ref_count; i++) {
        struct memory_delivery *delivery = find_live(store, &settle->refs[i]);

        if (delivery != NULL) {
            struct store_tally_row *tally = memory_tally_of(store, delivery->record->account);

            tally->delivered++;
            tally->live--;
            memory_delivery_end(store, delivery);
        }
    }
    return ERR_OK;
}

/* The live delivery on which this reference holds the claim, or NULL. */
static struct memory_delivery *find_claimed(struct memory_store *store, const struct store_ref *ref)
{
    struct memory_delivery *delivery = find_live(store, ref);

    if (delivery == NULL || delivery->claim == 0 || delivery->claim != ref->claim) {
        return NULL;
    }
    return delivery;
}

static enum err retry_run(struct memory_store *store, const struct store_retry *retry)
{
    struct memory_delivery *delivery = find_claimed(store, &retry->ref);

    if (delivery == NULL) {
        return ERR_CLAIM_LOST;
    }
    memory_claim_end(delivery);
    list_remove(&delivery->node);
    delivery->record->due_ms = retry->due_ms;
    delivery->record->attempt_count = retry->attempt_count;
    delivery->record->last_err = retry->last_err;
    memory_lane_add(delivery);
    return ERR_OK;
}

/* A record is one block, so that with another state it is another record. */
static void set_state(struct memory_delivery *delivery, struct slice state)
{
    struct store_record *before = delivery->record;

    before->state = state;
    delivery->record = record_copy(delivery);
    store_record_free(before);
}

static enum err advance_run(struct memory_store *store, const struct store_advance *advance)
{
    struct memory_delivery *delivery = find_claimed(store, &advance->ref);
    struct store_record *record;

    store_advance_check(advance);
    if (delivery == NULL) {
        return ERR_CLAIM_LOST;
    }
    memory_claim_end(delivery);
    list_remove(&delivery->node);
    set_state(delivery, advance->state);
    record = delivery->record;
    record->due_ms = advance->now_ms;
    record->budget_from_ms = advance->now_ms;
    record->past_attempt_count += advance->attempt_count;
    record->attempt_count = 0;
    record->last_err = advance->last_err;
    store_name_copy(record->ref.lane, sizeof(record->ref.lane), slice_of(advance->lane));
    delivery->lane = memory_lane_get(store, slice_of(advance->lane));
    memory_lane_add(delivery);
    return ERR_OK;
}

static enum err bury_run(struct memory_store *store, struct store_bury *bury)
{
    struct memory_delivery *delivery = find_claimed(store, &bury->ref);

    return delivery == NULL ? ERR_CLAIM_LOST : memory_bury_run(store, bury, delivery);
}

static enum err park_run(struct memory_store *store, const struct store_park *park)
{
    struct memory_lane *lane = memory_lane_get(store, slice_of(park->lane));

    lane->parked_until_ms = park->until_ms;
    LIST_FOREACH (node, &lane->deliveries) {
        memory_claim_end(delivery_at(node));
    }
    return ERR_OK;
}

/* ---- the engine ---------------------------------------------------------------------------- */

static struct memory_store *memory_of(struct store *store)
{
    struct memory_store *memory = CONTAINER_OF(store, struct memory_store, store);

    CHECK_MAGIC(memory, MAGIC);
    return memory;
}

static enum err run(struct memory_store *store, struct store_op *op)
{
    switch (op->kind) {
    case STORE_COMMIT:
        return memory_commit_run(store, (struct store_commit *)op);
    case STORE_CLAIM:
        return claim_run(store, (struct store_claim *)op);
    case STORE_LANES:
        return lanes_run(store, (struct store_lanes *)op);
    case STORE_SETTLE:
        return settle_run(store, (struct store_settle *)op);
    case STORE_RETRY:
        return retry_run(store, (struct store_retry *)op);
    case STORE_ADVANCE:
        return advance_run(store, (struct store_advance *)op);
    case STORE_BURY:
        return bury_run(store, (struct store_bury *)op);
    case STORE_PARK:
        return park_run(store, (struct store_park *)op);
    case STORE_DEAD_LIST:
        return memory_dead_list_run(store, (struct store_dead_list *)op);
    case STORE_DEAD_EDIT:
        return memory_dead_edit_run(store, (struct store_dead_edit *)op);
    case STORE_CATALOG_PUT:
        return memory_catalog_put_run(store, (struct store_catalog_put *)op);
    case STORE_CATALOG_READ:
        return memory_catalog_read_run(store, (struct store_catalog_read *)op);
    case STORE_TALLY:
        return memory_tally_run(store, (struct store_tally *)op);
    case STORE_ONCE:
        return memory_once_run(store, (struct store_once *)op);
    case STORE_ARCHIVE_READ:
        return memory_archive_read_run(store, (struct store_archive_read *)op);
    case STORE_ARCHIVE_TRIM:
        return memory_archive_trim_run(store, (struct store_archive_trim *)op);
    case STORE_ARCHIVE_SIZES:
        return memory_archive_sizes_run(store, (struct store_archive_sizes *)op);
    case STORE_LEASE:
    case STORE_BACKUP:
        return ERR_UNSUPPORTED;
    }
    check_failed("a kind of operation that store.h knows", __FILE__, __LINE__);
}

static void memory_submit(struct store *base, struct store_op *op)
{
    struct memory_store *store = memory_of(base);
    enum err err;

    CHECK(pthread_mutex_lock(&store->lock) == 0);
    err = run(store, op);
    CHECK(pthread_mutex_unlock(&store->lock) == 0);
    store_answer(op, err);
}

static void free_events(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_event *event;

    for (event = map_next(&store->events, &cursor); event != NULL;
         event = map_next(&store->events, &cursor)) {
        for (size_t i = 0; i < event->delivery_count; i++) {
            store_record_free(event->deliveries[i].record);
        }
        xfree(event);
    }
    map_clean_up(&store->events);
}

static void free_lanes(struct memory_store *store)
{
    size_t cursor = 0;
    struct memory_lane *lane;

    for (lane = map_next(&store->lanes, &cursor); lane != NULL;
         lane = map_next(&store->lanes, &cursor)) {
        xfree(lane);
    }
    map_clean_up(&store->lanes);
}

static void memory_destroy(struct store *base)
{
    struct memory_store *store = memory_of(base);

    free_events(store);
    free_lanes(store);
    memory_marks_free(store);
    memory_archives_free(store);
    memory_tallies_free(store);
    memory_catalog_free(store);
    CHECK(pthread_mutex_destroy(&store->lock) == 0);
    store->magic = 0;
    xfree(store);
}

struct store *store_memory_new(const struct store_options *options)
{
    static const struct store_ops ops = {.submit = memory_submit, .destroy = memory_destroy};
    struct memory_store *store = xcalloc(1, sizeof(*store));

    store->store =
        (struct store){.ops = &ops, .kind = "memory", .guarantee = "relaxed: kept in memory only"};
    store->magic = MAGIC;
    store->bytes_max = options->bytes_max;
    store->archive_bytes_max = options->archive_bytes_max;
    CHECK(pthread_mutex_init(&store->lock, NULL) == 0);
    list_init(&store->marks);
    list_init(&store->dead);
    return &store->store;
}
