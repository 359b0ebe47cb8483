/* SPDX-License-Identifier: Apache-2.0
 *
 * store_twins.h - random operations, drawn for an engine and for its oracle alike.
 *
 * The oracle (store_memory.c) numbers events and dead letters 1, 2, 3, ...; another engine may
 * number them as it likes.  So pairs are kept of both numbers, and what is drawn by the oracle's
 * number is asked of the engine by its own.
 *
 * The program that includes this file says in `struct model_engine` what is particular to its
 * engine.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"
#include "storage/store_archive.h"
#include "tests/lib/store_desk.h"

enum {
    ENGINES = 2, /* the oracle first */
    ACCOUNTS = 3,
    TARGETS = 3,
    HELD_MAX = 256,
    BURST_MAX = 8,
    ENTRIES_MAX = 3,
    REFS_MAX = 4,
    BODY_MAX = 6000,
    NUMBERS_MAX = 8192,
    ARCHIVES = 2,
    ARCHIVE_BYTES_MAX = 9000,
    TIMES_PER_MS = 1000, /* so that no two events have one time: engines order those as they like */
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

/* The numbers of the engine, by those of the oracle; 0: not known. */
struct numbers {
    uint64_t of[NUMBERS_MAX];
    uint64_t last; /* of the oracle's that are known */
};

struct model;

struct model_engine {
    const char *name;
    uint64_t bytes_max; /* for both */
    uint64_t archive_bytes_max;
    unsigned restart_one_in; /* bursts */
    uint64_t ms_apart_min;   /* between two operations */
    bool is_counting_bytes;  /* and has moments by the time that an operation carries */
    bool keeps_counts;       /* of the entries that a mark stands for, through a restart */
    bool has_steps;          /* catalog and dead letters are waited for alone */
    struct store *(*open)(struct model *model);
    void (*restart)(struct model *model);
    void (*close)(struct model *model); /* after the store is destroyed */
};

struct model {
    const struct model_engine *engine;
    struct desk desks[ENGINES];
    char folder[64]; /* of the engine, if it wants one */
    uint64_t now_ms;
    uint64_t next_id;
    struct numbers seqs;
    struct numbers dead_ids;
    struct held held[HELD_MAX];
    size_t held_count;
    char body[BODY_MAX];
};

/* The engine's number of what is `oracle` to the oracle, and always has been. */
static void pair_numbers(struct numbers *numbers, uint64_t oracle, uint64_t engine)
{
    assert_true(oracle > 0 && oracle < NUMBERS_MAX);
    assert_true(engine > 0);
    if (numbers->of[oracle] == 0) {
        numbers->of[oracle] = engine;
        numbers->last = MAX_OF(numbers->last, oracle);
    }
    assert_int_equal(numbers->of[oracle], engine);
}

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

/* The lane of one of two steps of a target. */
static const char *step_of(const char *lane, size_t step)
{
    static char lanes[2][STORE_LANE_CHARS_MAX + 1];
    const size_t len = strcspn(lane, ".");

    (void)snprintf(lanes[step], sizeof(lanes[0]), "%.*s.s%zu", (int)len, lane, step);
    return lanes[step];
}

static const char *random_lane(void)
{
    const size_t account = draw(ACCOUNTS);
    const char *lane = lane_of(account, draw(TARGETS));

    return draw(3) == 0 ? step_of(lane, draw(2)) : lane;
}

/* ---- one operation, twice ------------------------------------------------------------------ */

struct side {
    struct store_entry entries[ENTRIES_MAX];
    struct store_delivery deliveries[ENTRIES_MAX][DESK_LANES_MAX];
    struct store_archiving archivings[ENTRIES_MAX][ARCHIVES];
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
        struct store_advance advance;
        struct store_park park;
        struct store_once once;
        struct store_dead_list dead_list;
        struct store_dead_edit dead_edit;
        struct store_catalog_put put;
        struct store_catalog_read read;
        struct store_tally tally;
        struct store_archive_read archive_read;
        struct store_archive_trim archive_trim;
        struct store_archive_sizes archive_sizes;
    } u;
};

struct twin {
    enum store_op_kind kind;
    char ids[ENTRIES_MAX][24];
    char keys[ENTRIES_MAX][8];
    char guards[ENTRIES_MAX][8];
    struct side sides[ENGINES];
};

/* Into none, one or all of the archives, at a time of its own. */
static void draw_archivings(const struct model *model, struct twin *twin, size_t index)
{
    const uint64_t time_ms = (model->now_ms - draw(100)) * TIMES_PER_MS + model->next_id;
    const uint64_t into = draw(3) == 0 ? draw(1 << ARCHIVES) : 0;

    for (size_t side = 0; side < ENGINES; side++) {
        struct store_entry *entry = &twin->sides[side].entries[index];

        entry->archivings = twin->sides[side].archivings[index];
        entry->time_ms = time_ms;
        for (uint64_t i = 0; i < ARCHIVES; i++) {
            if ((into >> i & 1) != 0) {
                entry->archivings[entry->archiving_count++] = (struct store_archiving){
                    .archive = 1 + i, .bytes_max = model->engine->archive_bytes_max};
            }
        }
    }
}

static void draw_entry(struct model *model, struct twin *twin, size_t index)
{
    static const char *const contents[] = {"c1", "c2", "c3"};
    static const uint64_t windows_ms[] = {40, 400, 4000};
    const size_t account = draw(ACCOUNTS);
    struct desk_event event = {.account = account_of(account), .id = twin->ids[index]};
    const size_t delivery_count = draw(4);
    const size_t body_len = draw(10) == 0 ? draw(BODY_MAX) : draw(300);
    const uint64_t claims = draw(8);

    (void)snprintf(twin->ids[index], sizeof(twin->ids[index]), "e-%" PRIu64, model->next_id++);
    if (draw(3) > 0) {
        event.key = twin->keys[index]; /* of the account, as every dedup key */
        (void)snprintf(twin->keys[index], sizeof(twin->keys[index]), "k%zu%" PRIu64, account,
                       draw(4));
        event.content = contents[draw(ARRAY_LEN(contents))];
        event.ttl_ms = windows_ms[draw(ARRAY_LEN(windows_ms))];
    }
    if (draw(3) == 0) {
        event.guard = twin->guards[index];
        (void)snprintf(twin->guards[index], sizeof(twin->guards[index]), "g%zu%" PRIu64, account,
                       draw(2));
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
    draw_archivings(model, twin, index);
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

static void draw_advance(struct model *model, struct twin *twin)
{
    const struct held *held = &model->held[draw(model->held_count)];
    const char *lane = step_of(held->refs[0].lane, draw(2));
    const size_t state_len = draw(6) == 0 ? draw(BODY_MAX) : draw(40);
    const uint32_t attempt_count = (uint32_t)draw(5);

    twin->kind = STORE_ADVANCE;
    for (size_t side = 0; side < ENGINES; side++) {
        struct store_advance *advance = &twin->sides[side].u.advance;

        *advance = (struct store_advance){.ref = held->refs[side],
                                          .now_ms = model->now_ms,
                                          .attempt_count = attempt_count,
                                          .last_err = ERR_REMOTE_FAILED,
                                          .state = {model->body, state_len}};
        memcpy(advance->lane, lane, strlen(lane) + 1);
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

/* A dead letter that was listed once, or one that nobody has. */
static void draw_dead_id(const struct model *model, uint64_t ids[ENGINES])
{
    const uint64_t drawn = 1 + draw(model->dead_ids.last + 1);

    ids[0] = ids[1] = UINT64_C(1) << 50;
    if (drawn <= model->dead_ids.last && model->dead_ids.of[drawn] != 0) {
        ids[0] = drawn;
        ids[1] = model->dead_ids.of[drawn];
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
    return filter;
}

static void draw_dead(struct model *model, struct twin *twin)
{
    struct store_dead_filter filter = draw_filter(model);
    const bool has_id = draw(4) == 0;
    const bool is_rest = draw(2) == 0;
    const size_t count_max = 1 + draw(5);
    const enum store_dead_edit_kind edit = (enum store_dead_edit_kind)draw(3);
    const bool dry_run = draw(4) == 0;
    uint64_t ids[ENGINES];
    uint64_t after_ids[ENGINES];

    draw_dead_id(model, ids);
    draw_dead_id(model, after_ids);
    twin->kind = draw(2) == 0 ? STORE_DEAD_LIST : STORE_DEAD_EDIT;
    for (size_t side = 0; side < ENGINES; side++) {
        filter.id = has_id ? ids[side] : 0;
        if (twin->kind == STORE_DEAD_LIST) {
            twin->sides[side].u.dead_list =
                (struct store_dead_list){.filter = filter,
                                         .after_id = is_rest ? after_ids[side] : 0,
                                         .count_max = count_max};
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

static void draw_archive(struct model *model, struct twin *twin)
{
    const uint64_t archive = 1 + draw(ARCHIVES + 1);
    const uint64_t from_ms = (model->now_ms - draw(200)) * TIMES_PER_MS;
    const uint64_t until_ms = from_ms + draw(150) * TIMES_PER_MS;
    const bool is_all = draw(8) == 0;
    const size_t count_max = 1 + draw(12);

    twin->kind = draw(3) > 0   ? STORE_ARCHIVE_READ
                 : draw(2) > 0 ? STORE_ARCHIVE_TRIM
                               : STORE_ARCHIVE_SIZES;
    for (size_t side = 0; side < ENGINES; side++) {
        if (twin->kind == STORE_ARCHIVE_READ) {
            twin->sides[side].u.archive_read =
                (struct store_archive_read){.archive = archive,
                                            .after = {.time_ms = from_ms},
                                            .until_ms = until_ms,
                                            .count_max = count_max};
        } else if (twin->kind == STORE_ARCHIVE_TRIM) {
            twin->sides[side].u.archive_trim = (struct store_archive_trim){
                .archive = archive,
                .before_ms = is_all ? UINT64_MAX : from_ms,
                .count_max = model->engine->has_steps ? STORE_ARCHIVE_PAGE_MAX : count_max};
        } else {
            twin->sides[side].u.archive_sizes = (struct store_archive_sizes){.rows = NULL};
        }
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
    } else if (choice < 76) {
        draw_outcome(model, twin);
    } else if (choice < 80) {
        draw_advance(model, twin);
    } else if (choice < 84) {
        draw_lanes(model, twin);
    } else if (choice < 86) {
        draw_park(model, twin);
    } else if (choice < 89) {
        draw_archive(model, twin);
    } else if (choice < 93) {
        draw_dead(model, twin);
    } else if (choice < 96) {
        draw_put(twin);
    } else if (choice < 97) {
        draw_read(twin);
    } else if (choice < 98 && model->engine->is_counting_bytes) {
        draw_once(model, twin);
    } else {
        twin->kind = STORE_TALLY;
    }
}
