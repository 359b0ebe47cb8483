/* SPDX-License-Identifier: Apache-2.0
 *
 * model_store.c - random operations on the embedded engine and on its oracle, compared one by one.
 *
 * A burst of operations is drawn, given to both engines at once (so that the embedded one runs them
 * in one transaction), and every answer is compared: verdicts, records with all their fields, what
 * is due next, dead letters, documents, counters.  Between bursts the embedded store is sometimes
 * destroyed and opened again; then the oracle is made to forget claims and parks, as a restart
 * does.
 *
 * WEIR_SEED=N replays one seed; a failure prints the seed and the burst.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"
#include "tests/lib/store_desk.h"
#include "tests/lib/store_folder.h"

enum {
    ENGINES = 2, /* the oracle first */
    ACCOUNTS = 3,
    TARGETS = 3,
    HELD_MAX = 256,
    BURST_MAX = 8,
    ENTRIES_MAX = 3,
    REFS_MAX = 4,
    BURSTS = 250,
    BODY_MAX = 6000,
    BYTES_MAX = 60000,
};

/* ---- randomness: splitmix64 ---------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15U;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return (z ^ z >> 31) % below;
}

/* ---- the pair ------------------------------------------------------------------------------ */

/* A delivery that somebody claimed once; the numbers may have lost their meaning since. */
struct held {
    struct store_ref refs[ENGINES];
};

struct model {
    struct desk desks[ENGINES];
    char folder[64];
    uint64_t now_ms;
    uint64_t next_id;
    uint64_t last_dead_id;
    struct held held[HELD_MAX];
    size_t held_count;
    char body[BODY_MAX];
};

static const char *account_of(size_t index)
{
    static const char *const accounts[ACCOUNTS] = {"111122223333", "222233334444", "333344445555"};

    return accounts[index];
}

static const char *lane_of(size_t account, size_t target)
{
    static char lanes[ACCOUNTS][TARGETS][STORE_LANE_CHARS_MAX + 1];

    (void)snprintf(lanes[account][target], sizeof(lanes[0][0]), "%s/t%zu", account_of(account),
                   target);
    return lanes[account][target];
}

static const char *random_lane(void)
{
    const size_t account = draw(ACCOUNTS);

    return lane_of(account, draw(TARGETS));
}

static struct store *open_embedded(struct model *model)
{
    const struct store_options options = {.folder = slice_of(model->folder),
                                          .bytes_max = BYTES_MAX};
    struct store *store;
    struct err_why why;

    if (store_sqlite_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void restart(struct model *model)
{
    store_destroy(model->desks[1].store);
    model->desks[1].store = open_embedded(model);
    for (size_t a = 0; a < ACCOUNTS; a++) {
        for (size_t t = 0; t < TARGETS; t++) {
            assert_int_equal(desk_park(&model->desks[0], lane_of(a, t), 0), ERR_OK);
        }
    }
    for (size_t i = 0; i < model->held_count; i++) {
        model->held[i].refs[0].claim = 0;
        model->held[i].refs[1].claim = 0;
    }
}

/* ---- one operation, twice ------------------------------------------------------------------ */

struct side {
    struct store_entry entries[ENTRIES_MAX];
    struct store_delivery deliveries[ENTRIES_MAX][DESK_LANES_MAX];
    struct store_ref refs[REFS_MAX];
    char lanes[4][STORE_LANE_CHARS_MAX + 1];
    struct store_document documents[2];
    union {
        struct store_op op;
        struct store_commit commit;
        struct store_claim claim;
        struct store_lanes lanes;
        struct store_settle settle;
        struct store_retry retry;
        struct store_bury bury;
        struct store_park park;
        struct store_once once;
        struct store_dead_list dead_list;
        struct store_dead_edit dead_edit;
        struct store_catalog_put put;
        struct store_catalog_read read;
        struct store_tally tally;
    } u;
};

struct twin {
    enum store_op_kind kind;
    char ids[ENTRIES_MAX][24];
    struct side sides[ENGINES];
};

static void draw_entry(struct model *model, struct twin *twin, size_t index)
{
    static const char *const keys[] = {"k1", "k2", "k3", "k4", "k5"};
    static const char *const contents[] = {"c1", "c2", "c3"};
    static const char *const guards[] = {"g1", "g2", "g3"};
    static const uint64_t windows_ms[] = {40, 400, 4000};
    const size_t account = draw(ACCOUNTS);
    struct desk_event event = {.account = account_of(account), .id = twin->ids[index]};
    const size_t delivery_count = draw(4);
    const size_t body_len = draw(10) == 0 ? draw(BODY_MAX) : draw(300);
    const uint64_t claims = draw(8);

    (void)snprintf(twin->ids[index], sizeof(twin->ids[index]), "e-%" PRIu64, model->next_id++);
    if (draw(3) > 0) {
        event.key = keys[draw(ARRAY_LEN(keys))];
        event.content = contents[draw(ARRAY_LEN(contents))];
        event.ttl_ms = windows_ms[draw(ARRAY_LEN(windows_ms))];
    }
    if (draw(3) == 0) {
        event.guard = guards[draw(ARRAY_LEN(guards))];
        event.guard_ttl_ms = 600;
        event.grace_ms = 60;
    }
    for (size_t i = 0; i < delivery_count; i++) {
        event.lanes[i] = lane_of(account, draw(TARGETS));
    }
    for (size_t side = 0; side < ENGINES; side++) {
        struct store_entry *entry = &twin->sides[side].entries[index];

        *entry = desk_entry(&event, twin->sides[side].deliveries[index]);
        entry->body = (struct slice){model->body, body_len};
        for (size_t i = 0; i < delivery_count; i++) {
            entry->deliveries[i].claim = (claims >> i & 1) != 0;
        }
    }
}

static void draw_commit(struct model *model, struct twin *twin)
{
    const size_t count = 1 + draw(ENTRIES_MAX);

    twin->kind = STORE_COMMIT;
    for (size_t i = 0; i < count; i++) {
        draw_entry(model, twin, i);
    }
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.commit = (struct store_commit){.now_ms = model->now_ms,
                                                           .claim_until_ms = model->now_ms + 100,
                                                           .entries = twin->sides[side].entries,
                                                           .entry_count = count};
    }
}

static void draw_claim(struct model *model, struct twin *twin)
{
    const char *lane = random_lane();
    const size_t count_max = 1 + draw(6);

    twin->kind = STORE_CLAIM;
    for (size_t side = 0; side < ENGINES; side++) {
        desk_claim_start(&twin->sides[side].u.claim, lane, model->now_ms, count_max);
        twin->sides[side].u.claim.claim_until_ms = model->now_ms + 100;
    }
}

static void draw_lanes(struct model *model, struct twin *twin)
{
    const char *after = draw(2) == 0 ? "" : random_lane();
    const size_t count_max = 1 + draw(4);

    twin->kind = STORE_LANES;
    for (size_t side = 0; side < ENGINES; side++) {
        struct store_lanes *lanes = &twin->sides[side].u.lanes;

        *lanes = (struct store_lanes){
            .now_ms = model->now_ms, .count_max = count_max, .lanes = twin->sides[side].lanes};
        memcpy(lanes->after, after, strlen(after));
    }
}

static void draw_settle(struct model *model, struct twin *twin)
{
    const size_t count = 1 + draw(REFS_MAX);

    twin->kind = STORE_SETTLE;
    for (size_t i = 0; i < count; i++) {
        const struct held *held = &model->held[draw(model->held_count)];

        twin->sides[0].refs[i] = held->refs[0];
        twin->sides[1].refs[i] = held->refs[1];
    }
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.settle =
            (struct store_settle){.refs = twin->sides[side].refs, .ref_count = count};
    }
}

static void draw_outcome(struct model *model, struct twin *twin)
{
    const struct held *held = &model->held[draw(model->held_count)];
    const uint64_t due_ms = model->now_ms + draw(300);
    const uint32_t attempt_count = (uint32_t)draw(5);
    const bool is_bury = draw(2) == 0;

    twin->kind = is_bury ? STORE_BURY : STORE_RETRY;
    for (size_t side = 0; side < ENGINES; side++) {
        if (is_bury) {
            twin->sides[side].u.bury = (struct store_bury){.ref = held->refs[side],
                                                           .now_ms = model->now_ms,
                                                           .attempt_count = attempt_count,
                                                           .reason = "?-given-up",
                                                           .message = "m"};
            twin->sides[side].u.bury.reason[0] = (char)('a' + attempt_count);
        } else {
            twin->sides[side].u.retry = (struct store_retry){.ref = held->refs[side],
                                                             .due_ms = due_ms,
                                                             .attempt_count = attempt_count,
                                                             .last_err = ERR_REMOTE_TIMEOUT};
        }
    }
}

static void draw_park(struct model *model, struct twin *twin)
{
    const char *lane = random_lane();
    const uint64_t until_ms = draw(3) == 0 ? 0 : model->now_ms + draw(200);

    twin->kind = STORE_PARK;
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.park = (struct store_park){.until_ms = until_ms};
        memcpy(twin->sides[side].u.park.lane, lane, strlen(lane) + 1);
    }
}

static void draw_once(struct model *model, struct twin *twin)
{
    const char *name = draw(2) == 0 ? "schedule/nightly" : "schedule/hourly";
    const uint64_t due_ms = model->now_ms / 100 * 100 + draw(3) * 100;
    const uint64_t keep_ms = draw(400);

    twin->kind = STORE_ONCE;
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.once =
            (struct store_once){.now_ms = model->now_ms, .due_ms = due_ms, .keep_ms = keep_ms};
        memcpy(twin->sides[side].u.once.name, name, strlen(name) + 1);
    }
}

static struct store_dead_filter draw_filter(const struct model *model)
{
    struct store_dead_filter filter = {.id = 0};

    if (draw(2) == 0) {
        filter.account = slice_of(account_of(draw(ACCOUNTS)));
    }
    if (draw(3) == 0) {
        filter.reason = SLICE("b-given-up");
    }
    if (draw(4) == 0) {
        filter.until_ms = model->now_ms - draw(200);
    }
    if (draw(4) == 0) {
        filter.id = 1 + draw(model->last_dead_id + 2);
    }
    return filter;
}

static void draw_dead(struct model *model, struct twin *twin)
{
    const struct store_dead_filter filter = draw_filter(model);
    const uint64_t after_id = draw(2) == 0 ? 0 : draw(model->last_dead_id + 1);
    const size_t count_max = 1 + draw(5);
    const enum store_dead_edit_kind edit = (enum store_dead_edit_kind)draw(3);
    const bool dry_run = draw(4) == 0;

    twin->kind = draw(2) == 0 ? STORE_DEAD_LIST : STORE_DEAD_EDIT;
    for (size_t side = 0; side < ENGINES; side++) {
        if (twin->kind == STORE_DEAD_LIST) {
            twin->sides[side].u.dead_list = (struct store_dead_list){
                .filter = filter, .after_id = after_id, .count_max = count_max};
        } else {
            twin->sides[side].u.dead_edit = (struct store_dead_edit){
                .edit = edit, .filter = filter, .now_ms = model->now_ms, .dry_run = dry_run};
        }
    }
}

static void draw_put(struct twin *twin)
{
    static const struct slice names[] = {SLICE_INIT("rule/a"), SLICE_INIT("rule/b"),
                                         SLICE_INIT("list/c"), SLICE_INIT("list/d")};
    static const struct slice values[] = {SLICE_INIT(""), SLICE_INIT("{}"), SLICE_INIT("[1,2]")};
    const size_t count = 1 + draw(2);

    twin->kind = STORE_CATALOG_PUT;
    for (size_t i = 0; i < count; i++) {
        const struct slice name = names[draw(ARRAY_LEN(names))];
        const struct slice value = values[draw(ARRAY_LEN(values))];
        const uint64_t rev = draw(2) == 0 ? 0 : draw(40);

        for (size_t side = 0; side < ENGINES; side++) {
            twin->sides[side].documents[i] =
                (struct store_document){.name = name, .value = value, .rev = rev};
        }
    }
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.put = (struct store_catalog_put){
            .documents = twin->sides[side].documents, .document_count = count};
    }
}

static void draw_read(struct twin *twin)
{
    const uint64_t since = draw(2) == 0 ? 0 : draw(40);

    twin->kind = STORE_CATALOG_READ;
    for (size_t side = 0; side < ENGINES; side++) {
        twin->sides[side].u.read = (struct store_catalog_read){.since = since};
    }
}

static void draw_twin(struct model *model, struct twin *twin)
{
    const uint64_t choice = draw(100);

    if (choice < 30) {
        draw_commit(model, twin);
    } else if (choice < 55 || model->held_count == 0) {
        draw_claim(model, twin);
    } else if (choice < 68) {
        draw_settle(model, twin);
    } else if (choice < 80) {
        draw_outcome(model, twin);
    } else if (choice < 84) {
        draw_lanes(model, twin);
    } else if (choice < 87) {
        draw_park(model, twin);
    } else if (choice < 93) {
        draw_dead(model, twin);
    } else if (choice < 96) {
        draw_put(twin);
    } else if (choice < 97) {
        draw_read(twin);
    } else if (choice < 98) {
        draw_once(model, twin);
    } else {
        twin->kind = STORE_TALLY;
    }
}

/* ---- comparison -------------------------------------------------------------------------------
 */

static void hold(struct model *model, struct store_ref oracle, struct store_ref embedded)
{
    const size_t place =
        model->held_count < HELD_MAX ? model->held_count++ : (size_t)draw(HELD_MAX);

    model->held[place].refs[0] = oracle;
    model->held[place].refs[1] = embedded;
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
        assert_int_equal(a->seq, b->seq);
        compare_deliveries(model, a, b);
    }
}

static void compare_records(const struct store_record *a, const struct store_record *b)
{
    assert_int_equal(a->ref.seq, b->ref.seq);
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

        compare_records(left, right);
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

        assert_int_equal(left->id, right->id);
        assert_int_equal(left->buried_ms, right->buried_ms);
        assert_int_equal(left->attempt_count, right->attempt_count);
        assert_true(slice_eq(left->reason, right->reason));
        assert_true(slice_eq(left->message, right->message));
        compare_records(left->record, right->record);
        model->last_dead_id = MAX_OF(model->last_dead_id, left->id);
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

static void compare_tallies(struct twin *twin)
{
    struct store_tally *a = &twin->sides[0].u.tally;
    struct store_tally *b = &twin->sides[1].u.tally;

    assert_int_equal(a->bytes_used, b->bytes_used);
    assert_int_equal(a->row_count, b->row_count);
    for (size_t i = 0; i < a->row_count; i++) {
        assert_memory_equal(&a->rows[i], &b->rows[i], sizeof(a->rows[i]));
    }
    store_tally_clean_up(a);
    store_tally_clean_up(b);
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
        compare_tallies(twin);
        break;
    case STORE_ONCE:
        assert_int_equal(twin->sides[0].u.once.is_mine, twin->sides[1].u.once.is_mine);
        break;
    case STORE_SETTLE:
    case STORE_RETRY:
    case STORE_BURY:
    case STORE_PARK:
    case STORE_LEASE:
    case STORE_BACKUP:
        break;
    }
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static void run_twins(struct model *model, struct twin *twins, size_t count)
{
    for (size_t side = 0; side < ENGINES; side++) {
        struct desk *desk = &model->desks[side];
        const size_t done_before = desk->done_count;

        for (size_t i = 0; i < count; i++) {
            desk_submit(desk, &twins[i].sides[side].u.op, twins[i].kind);
        }
        desk_await(desk, done_before + count);
    }
    for (size_t i = 0; i < count; i++) {
        compare(model, &twins[i]);
    }
}

/* Everything there is, compared. */
static void run_audit(struct model *model, struct twin *twins)
{
    memset(twins, 0, 3 * sizeof(*twins));
    twins[0].kind = STORE_TALLY;
    twins[1].kind = STORE_DEAD_LIST;
    twins[2].kind = STORE_CATALOG_READ;
    for (size_t side = 0; side < ENGINES; side++) {
        twins[1].sides[side].u.dead_list.count_max = 1000;
    }
    run_twins(model, twins, 3);
}

static void run_burst(struct model *model, struct twin *twins)
{
    const size_t count = 1 + draw(BURST_MAX);

    memset(twins, 0, BURST_MAX * sizeof(*twins));
    for (size_t i = 0; i < count; i++) {
        model->now_ms += draw(30);
        draw_twin(model, &twins[i]);
    }
    run_twins(model, twins, count);
    if (draw(25) == 0) {
        run_audit(model, twins);
        restart(model);
    }
}

static void run_seed(uint64_t seed)
{
    struct model *model = xcalloc(1, sizeof(*model));
    struct twin *twins = xcalloc(BURST_MAX, sizeof(*twins));
    const struct store_options options = {.bytes_max = BYTES_MAX};

    random_state = seed;
    model->now_ms = 1000000;
    for (size_t i = 0; i < BODY_MAX; i++) {
        model->body[i] = (char)draw(256);
    }
    folder_make(model->folder, sizeof(model->folder));
    desk_open(&model->desks[0], store_memory_new(&options));
    desk_open(&model->desks[1], open_embedded(model));
    for (int burst = 0; burst < BURSTS; burst++) {
        print_message("\rseed %" PRIu64 " burst %d ", seed, burst);
        run_burst(model, twins);
    }
    run_audit(model, twins);
    print_message("\n");
    desk_close(&model->desks[0]);
    desk_close(&model->desks[1]);
    folder_remove(model->folder);
    xfree(twins);
    xfree(model);
}

/* Goal:   the embedded engine answers as the oracle does, through restarts.
 * Method: the same random bursts for both; every answer compared. */
static void the_embedded_store_agrees_with_the_oracle(void **state)
{
    const char *asked = getenv("WEIR_SEED");

    (void)state;
    log_set_level(LOG_ERROR);
    if (asked != NULL) {
        run_seed(strtoull(asked, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_embedded_store_agrees_with_the_oracle),
    };

    return cmocka_run_group_tests_name("model_store", tests, NULL, NULL);
}
