/* SPDX-License-Identifier: Apache-2.0
 *
 * store_compare.h - what was drawn is run by the engine and by its oracle, and every answer is
 * compared: verdicts, records with all their fields, what is due next, dead letters, documents,
 * counters.
 *
 * A burst of operations is given to both at once, so that an engine that batches runs them in one
 * step.  Between bursts the engine is sometimes restarted.  WEIR_SEED=N replays one seed; a failure
 * prints the seed and the burst.
 */
#pragma once

#include "tests/model/store_twins.h"

/* ---- comparison -------------------------------------------------------------------------------
 */

static void hold(struct model *model, struct store_ref oracle, struct store_ref engine)
{
    const size_t place =
        model->held_count < HELD_MAX ? model->held_count++ : (size_t)draw(HELD_MAX);

    model->held[place].refs[0] = oracle;
    model->held[place].refs[1] = engine;
}

static void compare_deliveries(struct model *model, const struct store_entry *a,
                               const struct store_entry *b)
{
    for (size_t k = 0; k < a->delivery_count; k++) {
        const struct store_delivery *left = &a->deliveries[k];
        const struct store_delivery *right = &b->deliveries[k];

        assert_int_equal(left->claim, right->claim);
        if (left->claim || draw(4) == 0) {
            char lane[STORE_LANE_CHARS_MAX + 1] = {0};

            memcpy(lane, left->lane.data, left->lane.len);
            hold(model, desk_ref(a->seq, (uint32_t)k, lane, left->claim_no),
                 desk_ref(b->seq, (uint32_t)k, lane, right->claim_no));
        }
    }
}

static void compare_commit(struct model *model, struct twin *twin)
{
    if (twin->sides[0].u.op.err != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < twin->sides[0].u.commit.entry_count; i++) {
        const struct store_entry *a = &twin->sides[0].entries[i];
        const struct store_entry *b = &twin->sides[1].entries[i];

        assert_int_equal(a->verdict, b->verdict);
        assert_int_equal(a->conflict, b->conflict);
        assert_string_equal(a->duplicate_of, b->duplicate_of);
        assert_true(!model->engine->keeps_counts || a->stands_for == b->stands_for);
        assert_int_equal(a->seq == 0, b->seq == 0);
        if (a->seq != 0) {
            pair_numbers(&model->seqs, a->seq, b->seq);
        }
        compare_deliveries(model, a, b);
        for (size_t k = 0; k < a->archiving_count; k++) {
            assert_int_equal(a->archivings[k].is_full, b->archivings[k].is_full);
        }
    }
}

static void compare_records(struct model *model, const struct store_record *a,
                            const struct store_record *b)
{
    pair_numbers(&model->seqs, a->ref.seq, b->ref.seq);
    assert_int_equal(a->ref.ordinal, b->ref.ordinal);
    assert_string_equal(a->ref.lane, b->ref.lane);
    assert_int_equal(a->accepted_ms, b->accepted_ms);
    assert_int_equal(a->budget_from_ms, b->budget_from_ms);
    assert_int_equal(a->attempt_count, b->attempt_count);
    assert_int_equal(a->past_attempt_count, b->past_attempt_count);
    assert_int_equal(a->last_err, b->last_err);
    assert_int_equal(a->due_ms, b->due_ms);
    assert_true(slice_eq(a->account, b->account));
    assert_true(slice_eq(a->event_id, b->event_id));
    assert_true(slice_eq(a->bus, b->bus));
    assert_true(slice_eq(a->rule, b->rule));
    assert_true(slice_eq(a->target_id, b->target_id));
    assert_true(slice_eq(a->body, b->body));
    assert_true(slice_eq(a->state, b->state));
}

static void compare_claim(struct model *model, struct twin *twin)
{
    struct store_claim *a = &twin->sides[0].u.claim;
    struct store_claim *b = &twin->sides[1].u.claim;

    assert_int_equal(a->has_more, b->has_more);
    assert_int_equal(a->next_due_ms, b->next_due_ms);
    while (!list_is_empty(&a->records) && !list_is_empty(&b->records)) {
        struct store_record *left =
            CONTAINER_OF(list_take_first(&a->records), struct store_record, node);
        struct store_record *right =
            CONTAINER_OF(list_take_first(&b->records), struct store_record, node);

        compare_records(model, left, right);
        hold(model, left->ref, right->ref);
        store_record_free(left);
        store_record_free(right);
    }
    assert_true(list_is_empty(&a->records));
    assert_true(list_is_empty(&b->records));
}

static void compare_lanes(const struct twin *twin)
{
    const struct store_lanes *a = &twin->sides[0].u.lanes;
    const struct store_lanes *b = &twin->sides[1].u.lanes;

    assert_int_equal(a->count, b->count);
    assert_int_equal(a->has_more, b->has_more);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->lanes[i], b->lanes[i]);
    }
}

static void compare_dead_lists(struct model *model, struct twin *twin)
{
    struct store_dead_list *a = &twin->sides[0].u.dead_list;
    struct store_dead_list *b = &twin->sides[1].u.dead_list;

    assert_int_equal(a->has_more, b->has_more);
    while (!list_is_empty(&a->dead) && !list_is_empty(&b->dead)) {
        struct store_dead *left = CONTAINER_OF(list_take_first(&a->dead), struct store_dead, node);
        struct store_dead *right = CONTAINER_OF(list_take_first(&b->dead), struct store_dead, node);

        pair_numbers(&model->dead_ids, left->id, right->id);
        assert_int_equal(left->buried_ms, right->buried_ms);
        assert_int_equal(left->attempt_count, right->attempt_count);
        assert_true(slice_eq(left->reason, right->reason));
        assert_true(slice_eq(left->message, right->message));
        compare_records(model, left->record, right->record);
        store_dead_free(left);
        store_dead_free(right);
    }
    assert_true(list_is_empty(&a->dead));
    assert_true(list_is_empty(&b->dead));
}

static void compare_documents(struct twin *twin)
{
    struct store_catalog_read *a = &twin->sides[0].u.read;
    struct store_catalog_read *b = &twin->sides[1].u.read;

    assert_int_equal(a->rev, b->rev);
    assert_int_equal(a->document_count, b->document_count);
    for (size_t i = 0; i < a->document_count; i++) {
        assert_true(slice_eq(a->documents[i].name, b->documents[i].name));
        assert_true(slice_eq(a->documents[i].value, b->documents[i].value));
        assert_int_equal(a->documents[i].rev, b->documents[i].rev);
    }
    store_catalog_read_clean_up(a);
    store_catalog_read_clean_up(b);
}

static void compare_tallies(const struct model *model, struct twin *twin)
{
    struct store_tally *a = &twin->sides[0].u.tally;
    struct store_tally *b = &twin->sides[1].u.tally;

    if (model->engine->is_counting_bytes) {
        assert_int_equal(a->bytes_used, b->bytes_used);
    }
    assert_int_equal(a->row_count, b->row_count);
    for (size_t i = 0; i < a->row_count; i++) {
        assert_memory_equal(&a->rows[i], &b->rows[i], sizeof(a->rows[i]));
    }
    store_tally_clean_up(a);
    store_tally_clean_up(b);
}

static void compare_archived(struct twin *twin)
{
    struct store_archive_read *a = &twin->sides[0].u.archive_read;
    struct store_archive_read *b = &twin->sides[1].u.archive_read;

    assert_int_equal(a->has_more, b->has_more);
    assert_int_equal(a->end.time_ms, b->end.time_ms);
    while (!list_is_empty(&a->events) && !list_is_empty(&b->events)) {
        struct store_archived *left =
            CONTAINER_OF(list_take_first(&a->events), struct store_archived, node);
        struct store_archived *right =
            CONTAINER_OF(list_take_first(&b->events), struct store_archived, node);

        assert_int_equal(left->place.time_ms, right->place.time_ms);
        assert_int_equal(left->accepted_ms, right->accepted_ms);
        assert_true(slice_eq(left->account, right->account));
        assert_true(slice_eq(left->event_id, right->event_id));
        assert_true(slice_eq(left->body, right->body));
        store_archived_free(left);
        store_archived_free(right);
    }
    assert_true(list_is_empty(&a->events));
    assert_true(list_is_empty(&b->events));
}

static void compare_archive_sizes(struct twin *twin)
{
    struct store_archive_sizes *a = &twin->sides[0].u.archive_sizes;
    struct store_archive_sizes *b = &twin->sides[1].u.archive_sizes;

    assert_int_equal(a->row_count, b->row_count);
    for (size_t i = 0; i < a->row_count; i++) {
        assert_memory_equal(&a->rows[i], &b->rows[i], sizeof(a->rows[i]));
    }
    store_archive_sizes_clean_up(a);
    store_archive_sizes_clean_up(b);
}

static void compare(struct model *model, struct twin *twin)
{
    assert_string_equal(err_name(twin->sides[0].u.op.err), err_name(twin->sides[1].u.op.err));
    switch (twin->kind) {
    case STORE_COMMIT:
        compare_commit(model, twin);
        break;
    case STORE_CLAIM:
        compare_claim(model, twin);
        break;
    case STORE_LANES:
        compare_lanes(twin);
        break;
    case STORE_DEAD_LIST:
        compare_dead_lists(model, twin);
        break;
    case STORE_DEAD_EDIT:
        assert_int_equal(twin->sides[0].u.dead_edit.count, twin->sides[1].u.dead_edit.count);
        break;
    case STORE_CATALOG_PUT:
        assert_int_equal(twin->sides[0].u.put.rev, twin->sides[1].u.put.rev);
        assert_int_equal(twin->sides[0].u.put.conflict_index, twin->sides[1].u.put.conflict_index);
        break;
    case STORE_CATALOG_READ:
        compare_documents(twin);
        break;
    case STORE_TALLY:
        compare_tallies(model, twin);
        break;
    case STORE_ONCE:
        assert_int_equal(twin->sides[0].u.once.is_mine, twin->sides[1].u.once.is_mine);
        break;
    case STORE_ARCHIVE_READ:
        compare_archived(twin);
        break;
    case STORE_ARCHIVE_TRIM:
        assert_int_equal(twin->sides[0].u.archive_trim.count, twin->sides[1].u.archive_trim.count);
        assert_int_equal(twin->sides[0].u.archive_trim.has_more,
                         twin->sides[1].u.archive_trim.has_more);
        break;
    case STORE_ARCHIVE_SIZES:
        compare_archive_sizes(twin);
        break;
    case STORE_SETTLE:
    case STORE_RETRY:
    case STORE_ADVANCE:
    case STORE_BURY:
    case STORE_PARK:
    case STORE_LEASE:
    case STORE_BACKUP:
        break;
    }
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static void await_all(struct model *model, size_t side, size_t count)
{
    desk_await(&model->desks[side], model->desks[side].done_count + count);
}

/* Does the engine do this in steps, so that what is submitted after it may come in between? */
static bool has_steps(const struct model *model, const struct twin *twin)
{
    return model->engine->has_steps &&
           (twin->kind == STORE_DEAD_LIST || twin->kind == STORE_DEAD_EDIT ||
            twin->kind == STORE_CATALOG_PUT || twin->kind == STORE_CATALOG_READ ||
            twin->kind == STORE_TALLY || twin->kind == STORE_ARCHIVE_READ ||
            twin->kind == STORE_ARCHIVE_SIZES);
}

static void run_twins(struct model *model, struct twin *twins, size_t count)
{
    for (size_t side = 0; side < ENGINES; side++) {
        size_t open_count = 0;

        for (size_t i = 0; i < count; i++) {
            if (has_steps(model, &twins[i])) {
                await_all(model, side, open_count);
                open_count = 0;
            }
            desk_submit(&model->desks[side], &twins[i].sides[side].u.op, twins[i].kind);
            open_count++;
            if (has_steps(model, &twins[i])) {
                await_all(model, side, open_count);
                open_count = 0;
            }
        }
        await_all(model, side, open_count);
    }
    for (size_t i = 0; i < count; i++) {
        compare(model, &twins[i]);
    }
}

/* Everything there is, compared. */
static void run_audit(struct model *model, struct twin *twins)
{
    memset(twins, 0, 5 * sizeof(*twins));
    twins[0].kind = STORE_TALLY;
    twins[1].kind = STORE_DEAD_LIST;
    twins[2].kind = STORE_CATALOG_READ;
    twins[3].kind = STORE_ARCHIVE_SIZES;
    twins[4].kind = STORE_ARCHIVE_READ;
    for (size_t side = 0; side < ENGINES; side++) {
        twins[1].sides[side].u.dead_list.count_max = 1000;
        twins[4].sides[side].u.archive_read = (struct store_archive_read){
            .archive = 1, .until_ms = UINT64_MAX, .count_max = STORE_ARCHIVE_PAGE_MAX};
    }
    run_twins(model, twins, 5);
}

static void run_burst(struct model *model, struct twin *twins)
{
    const struct model_engine *engine = model->engine;
    const size_t count = 1 + draw(BURST_MAX);

    memset(twins, 0, BURST_MAX * sizeof(*twins));
    for (size_t i = 0; i < count; i++) {
        model->now_ms += engine->ms_apart_min + draw(30);
        draw_twin(model, &twins[i]);
    }
    run_twins(model, twins, count);
    if (draw(engine->restart_one_in) == 0) {
        run_audit(model, twins);
        engine->restart(model);
    }
}

static void run_seed(const struct model_engine *engine, uint64_t seed, int burst_count)
{
    struct model *model = xcalloc(1, sizeof(*model));
    struct twin *twins = xcalloc(BURST_MAX, sizeof(*twins));
    const struct store_options options = {.bytes_max = engine->bytes_max};

    random_state = seed;
    model->engine = engine;
    model->now_ms = 1000000;
    for (size_t i = 0; i < BODY_MAX; i++) {
        model->body[i] = (char)draw(256);
    }
    desk_open(&model->desks[0], store_memory_new(&options));
    desk_open(&model->desks[1], engine->open(model));
    for (int burst = 0; burst < burst_count; burst++) {
        print_message("\r%s seed %" PRIu64 " burst %d ", engine->name, seed, burst);
        run_burst(model, twins);
    }
    run_audit(model, twins);
    print_message("\n");
    desk_close(&model->desks[0]);
    desk_close(&model->desks[1]);
    engine->close(model);
    xfree(twins);
    xfree(model);
}

/* The seeds 1 to `seed_count`, or the one that WEIR_SEED names. */
static void run_seeds(const struct model_engine *engine, uint64_t seed_count, int burst_count)
{
    const char *asked = getenv("WEIR_SEED");

    log_set_level(LOG_ERROR);
    if (asked != NULL) {
        run_seed(engine, strtoull(asked, NULL, 10), burst_count);
        return;
    }
    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        run_seed(engine, seed, burst_count);
    }
}
