/* SPDX-License-Identifier: Apache-2.0
 *
 * store_contract.h - what every engine must do, rule by rule.
 *
 * The program that includes this file defines engine_open() and engine_close() and runs
 * CONTRACT_TESTS.  Test names begin with the rule of store.h that they prove.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/lib/store_desk.h"

/* Whether `bytes_used` is of this store's events and marks alone. */
#ifndef ENGINE_COUNTS_BYTES
#define ENGINE_COUNTS_BYTES true
#endif

static struct store *engine_open(uint64_t bytes_max);
/* After the store is destroyed: remove what it left. */
static void engine_close(void);

#define ACCOUNT_A "111122223333"
#define ACCOUNT_B "444455556666"
#define LANE_A    ACCOUNT_A "/t1"
#define LANE_A2   ACCOUNT_A "/t2"
#define LANE_B    ACCOUNT_B "/t1"

enum { T0 = 1000000 };

static const struct desk_event plain = {
    .account = ACCOUNT_A, .id = "e-plain", .body = "{\"n\":1}", .lanes = {LANE_A}};
static const struct desk_event marked = {.account = ACCOUNT_A,
                                         .id = "e-marked",
                                         .key = "k",
                                         .content = "c",
                                         .ttl_ms = 300000,
                                         .lanes = {LANE_A}};

static int contract_setup(void **state)
{
    struct desk *desk = xcalloc(1, sizeof(*desk));

    desk_open(desk, engine_open(0));
    *state = desk;
    return 0;
}

static int contract_setup_small(void **state)
{
    struct desk *desk = xcalloc(1, sizeof(*desk));

    desk_open(desk, engine_open(4096));
    *state = desk;
    return 0;
}

static int contract_teardown(void **state)
{
    desk_close(*state);
    xfree(*state);
    engine_close();
    return 0;
}

/* ---- S1: commit answers per entry ---------------------------------------------------------- */

static void s1_a_second_entry_of_the_same_key_is_a_duplicate(void **state)
{
    struct desk *desk = *state;
    struct desk_event second = marked;
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
    assert_true(out.entry.seq > 0);
    second.id = "e-second";
    second.claim = true;
    assert_int_equal(desk_commit(desk, T0 + 1, &second, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_string_equal(out.entry.duplicate_of, "e-marked");
    assert_false(out.deliveries[0].claim);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created, 1);
}

static void s1_a_batch_sees_its_own_earlier_entries(void **state)
{
    struct desk *desk = *state;
    struct store_delivery deliveries[3][DESK_LANES_MAX];
    struct store_entry entries[3];
    struct store_commit commit = {.now_ms = T0, .entries = entries, .entry_count = 3};

    entries[0] = desk_entry(&marked, deliveries[0]);
    entries[1] = desk_entry(&marked, deliveries[1]);
    entries[2] = desk_entry(&plain, deliveries[2]);
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    assert_int_equal(entries[0].verdict, STORE_COMMITTED);
    assert_int_equal(entries[1].verdict, STORE_DUPLICATE);
    assert_string_equal(entries[1].duplicate_of, "e-marked");
    assert_int_equal(entries[2].verdict, STORE_COMMITTED);
    assert_true(entries[2].seq > entries[0].seq);
}

static void s1_an_answer_says_how_many_entries_the_event_stands_for(void **state)
{
    struct desk *desk = *state;
    struct desk_event other = marked;
    struct desk_entry out;

    for (uint64_t count = 1; count <= 3; count++) {
        assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
        assert_int_equal(out.entry.stands_for, count);
    }
    other.id = "e-other";
    other.content = "d";
    assert_int_equal(desk_commit(desk, T0, &other, &out), ERR_OK);
    assert_int_equal(out.entry.stands_for, 1);
    assert_int_equal(desk_commit(desk, T0 + 300000, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.stands_for, 1); /* the window is over */
}

static void s1_a_mark_lasts_exactly_its_window(void **state)
{
    struct desk *desk = *state;
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_int_equal(desk_commit(desk, T0 + 299999, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_int_equal(desk_commit(desk, T0 + 300000, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
    assert_false(out.entry.conflict);
    assert_int_equal(desk_commit(desk, T0 + 300001, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
}

static void s1_a_known_key_with_other_content_is_committed_and_said(void **state)
{
    struct desk *desk = *state;
    struct desk_event other = marked;
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_false(out.entry.conflict);
    other.id = "e-other";
    other.content = "d";
    assert_int_equal(desk_commit(desk, T0, &other, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
    assert_true(out.entry.conflict);
    /* Both contents are known from now on, each by its own id. */
    assert_int_equal(desk_commit(desk, T0, &other, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_string_equal(out.entry.duplicate_of, "e-other");
    assert_false(out.entry.conflict);
    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_string_equal(out.entry.duplicate_of, "e-marked");
}

static void s1_an_entry_without_deliveries_is_a_mark_only(void **state)
{
    struct desk *desk = *state;
    struct desk_event mark_only = marked;
    struct desk_entry out;

    mark_only.lanes[0] = NULL;
    assert_int_equal(desk_commit(desk, T0, &mark_only, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created, 0);
    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
}

static void s1_marks_past_their_window_leave_the_store(void **state)
{
    struct desk *desk = *state;
    uint64_t bytes_before;
    uint64_t bytes_after;

    for (int i = 0; i < 200; i++) {
        char key[8];
        const struct desk_event event = {
            .account = ACCOUNT_A, .id = "e", .key = key, .ttl_ms = 1000};

        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
    }
    (void)desk_tally(desk, ACCOUNT_A, &bytes_before);
    for (int i = 0; i < 20; i++) {
        const struct desk_event event = {.account = ACCOUNT_A, .id = "e", .lanes = {NULL}};

        assert_int_equal(desk_commit(desk, T0 + 1000, &event, NULL), ERR_OK);
    }
    (void)desk_tally(desk, ACCOUNT_A, &bytes_after);
    assert_true(bytes_before > 0);
    assert_int_equal(bytes_after, 0);
}

/* ---- S2: together or not at all ------------------------------------------------------------ */

static void s2_a_refused_batch_leaves_nothing(void **state)
{
    struct desk *desk = *state; /* small */
    char large[8192];
    struct desk_event too_much = marked;
    struct desk_entry out;
    struct store_ref refs[4];
    uint64_t bytes_used;

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    too_much.body = large;
    assert_int_equal(desk_commit(desk, T0, &too_much, NULL), ERR_STORE_FULL);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 4, refs), 0);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, &bytes_used).created, 0);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == 0);
    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
}

static void s2_an_entry_past_a_limit_refuses_the_batch(void **state)
{
    struct desk *desk = *state;
    char id[STORE_EVENT_ID_CHARS_MAX + 2];
    struct store_delivery deliveries[2][DESK_LANES_MAX];
    struct store_entry entries[2];
    struct store_commit commit = {.now_ms = T0, .entries = entries, .entry_count = 2};

    memset(id, 'i', sizeof(id));
    entries[0] = desk_entry(&plain, deliveries[0]);
    entries[1] = desk_entry(&plain, deliveries[1]);
    entries[1].event_id = (struct slice){id, sizeof(id) - 1};
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_TOO_LARGE);
    entries[1] = desk_entry(&plain, deliveries[1]);
    entries[1].body.len = STORE_ENTRY_BODY_BYTES_MAX + 1;
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_TOO_LARGE);
    entries[1] = desk_entry(&plain, deliveries[1]);
    entries[1].delivery_count = STORE_ENTRY_DELIVERIES_MAX + 1;
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_TOO_LARGE);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created, 0);
}

static void s2_what_is_committed_comes_back_whole(void **state)
{
    struct desk *desk = *state;
    const struct desk_event event = {.account = ACCOUNT_A,
                                     .id = "e-1",
                                     .body = "{\"a\":\"\\u00e9\"}",
                                     .lanes = {LANE_A, LANE_A2}};
    struct store_claim claim;
    struct store_record *record;
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    desk_claim_start(&claim, LANE_A2, T0 + 5, 8);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    record = CONTAINER_OF(list_take_first(&claim.records), struct store_record, node);
    assert_true(list_is_empty(&claim.records));
    assert_int_equal(record->ref.seq, out.entry.seq);
    assert_int_equal(record->ref.ordinal, 1);
    assert_true(record->ref.claim != 0);
    assert_string_equal(record->ref.lane, LANE_A2);
    assert_int_equal(record->accepted_ms, T0);
    assert_int_equal(record->budget_from_ms, T0);
    assert_int_equal(record->due_ms, T0);
    assert_int_equal(record->attempt_count, 0);
    assert_int_equal(record->last_err, 0);
    assert_true(slice_eq(record->account, SLICE(ACCOUNT_A)));
    assert_true(slice_eq(record->event_id, SLICE("e-1")));
    assert_true(slice_eq(record->bus, SLICE("central")));
    assert_true(slice_eq(record->rule, SLICE("rule")));
    assert_true(slice_eq(record->target_id, SLICE("target")));
    assert_true(slice_eq(record->body, SLICE("{\"a\":\"\\u00e9\"}")));
    store_record_free(record);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 2);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).oldest_due_ms, T0);
}

/* ---- S3: a body lives until its last delivery has ended ---------------------------------------
 */

static void s3_a_body_lives_until_its_last_delivery_has_ended(void **state)
{
    struct desk *desk = *state;
    const struct desk_event event = {
        .account = ACCOUNT_A, .id = "e-1", .body = "{\"x\":1}", .lanes = {LANE_A, LANE_A2}};
    struct store_dead_edit drop = {.edit = STORE_DEAD_DROP, .now_ms = T0};
    struct store_ref ref;
    struct store_claim claim;
    uint64_t bytes_full;
    uint64_t bytes_used;

    assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
    (void)desk_tally(desk, ACCOUNT_A, &bytes_full);
    assert_true(bytes_full > 0);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    (void)desk_tally(desk, ACCOUNT_A, &bytes_used);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == bytes_full);

    desk_claim_start(&claim, LANE_A2, T0, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_true(slice_eq(CONTAINER_OF(claim.records.next, struct store_record, node)->body,
                         SLICE("{\"x\":1}")));
    assert_int_equal(desk_take_refs(&claim.records, &ref, 1), 1);
    assert_int_equal(desk_bury(desk, ref, T0, "given-up"), ERR_OK);
    (void)desk_tally(desk, ACCOUNT_A, &bytes_used);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == bytes_full);

    assert_int_equal(desk_run(desk, &drop.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(drop.count, 1);
    (void)desk_tally(desk, ACCOUNT_A, &bytes_used);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == 0);
}

/* ---- S4: outcomes and claims ------------------------------------------------------------------
 */

static void s4_settle_twice_counts_once(void **state)
{
    struct desk *desk = *state;
    struct store_ref refs[2];

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, refs), 1);
    refs[1] = refs[0];
    assert_int_equal(desk_settle(desk, refs, 2), ERR_OK);
    assert_int_equal(desk_settle(desk, refs, 1), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).delivered, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 0);
}

static void s4_retry_moves_the_due_time_and_ends_the_claim(void **state)
{
    struct desk *desk = *state;
    struct store_ref ref;
    struct store_claim claim;
    const struct store_record *record;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_retry(desk, ref, T0 + 500, 3), ERR_OK);
    assert_int_equal(desk_retry(desk, ref, T0 + 100, 4), ERR_CLAIM_LOST);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 499, 1, &ref), 0);
    desk_claim_start(&claim, LANE_A, T0 + 500, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    record = CONTAINER_OF(claim.records.next, struct store_record, node);
    assert_int_equal(record->attempt_count, 3);
    assert_int_equal(record->last_err, ERR_REMOTE_FAILED);
    assert_int_equal(record->due_ms, T0 + 500);
    assert_int_equal(record->accepted_ms, T0);
    assert_int_equal(desk_take_refs(&claim.records, &ref, 1), 1);
}

static void s4_the_outcome_of_a_lost_claim_does_nothing(void **state)
{
    struct desk *desk = *state;
    struct store_ref first;
    struct store_ref second;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &first), 1);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 999, 1, &second), 0);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 1000, 1, &second), 1);
    assert_true(first.claim != second.claim);
    assert_int_equal(desk_retry(desk, first, T0 + 1, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_bury(desk, first, T0 + 1, "late"), ERR_CLAIM_LOST);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).dead, 0);
    assert_int_equal(desk_bury(desk, second, T0 + 1, "given-up"), ERR_OK);
    assert_int_equal(desk_bury(desk, second, T0 + 1, "given-up"), ERR_CLAIM_LOST);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).dead, 1);
    assert_int_equal(desk_settle(desk, &second, 1), ERR_OK); /* a dead letter is not live */
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).dead, 1);
}

static void s4_the_first_settle_ends_the_delivery(void **state)
{
    struct desk *desk = *state;
    struct store_ref first;
    struct store_ref second;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &first), 1);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 1000, 1, &second), 1);
    assert_int_equal(desk_settle(desk, &first, 1), ERR_OK);
    assert_int_equal(desk_retry(desk, second, T0 + 9, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).delivered, 1);
}

static void s4_without_a_claim_only_settle_counts(void **state)
{
    struct desk *desk = *state;
    struct desk_entry out;
    struct store_ref ref;

    assert_int_equal(desk_commit(desk, T0, &plain, &out), ERR_OK);
    ref = desk_ref(out.entry.seq, 0, LANE_A, 0);
    assert_int_equal(desk_retry(desk, ref, T0, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_bury(desk, ref, T0, "no-claim"), ERR_CLAIM_LOST);
    ref.claim = 12345;
    assert_int_equal(desk_retry(desk, ref, T0, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).delivered, 1);
}

static void s4_a_park_ends_claims_and_hides_the_lane(void **state)
{
    struct desk *desk = *state;
    struct store_ref ref;
    struct store_claim claim;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_park(desk, LANE_A, T0 + 700), ERR_OK);
    assert_int_equal(desk_retry(desk, ref, T0, 1), ERR_CLAIM_LOST);
    desk_claim_start(&claim, LANE_A, T0 + 699, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_true(list_is_empty(&claim.records));
    assert_false(claim.has_more);
    assert_int_equal(claim.next_due_ms, T0 + 700);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 700, 1, &ref), 1);
    assert_int_equal(desk_park(desk, LANE_A, T0 + 9000), ERR_OK);
    assert_int_equal(desk_park(desk, LANE_A, 0), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 701, 1, &ref), 1);
}

/* ---- claims in order ----------------------------------------------------------------------------
 */

static void commit_many(struct desk *desk, uint64_t now_ms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(desk_commit(desk, now_ms + i, &plain, NULL), ERR_OK);
    }
}

static void claim_gives_the_oldest_due_first_and_says_what_remains(void **state)
{
    struct desk *desk = *state;
    struct store_claim claim;
    struct store_ref refs[8];

    commit_many(desk, T0, 5); /* due at T0 .. T0 + 4 */
    desk_claim_start(&claim, LANE_A, T0 + 3, 2);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_true(claim.has_more);
    assert_int_equal(claim.next_due_ms, T0 + 3);
    assert_int_equal(desk_take_refs(&claim.records, refs, 8), 2);
    assert_true(refs[0].seq < refs[1].seq);
    desk_claim_start(&claim, LANE_A, T0 + 3, 8);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(claim.has_more);
    assert_int_equal(claim.next_due_ms, T0 + 4);
    assert_int_equal(desk_take_refs(&claim.records, refs + 2, 6), 2);
    assert_true(refs[1].seq < refs[2].seq);
    assert_int_equal(desk_retry(desk, refs[3], T0 + 1, 1), ERR_OK);
    assert_int_equal(desk_retry(desk, refs[2], T0 + 2, 1), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 9, 8, refs + 5), 3);
    assert_int_equal(refs[5].seq, refs[3].seq);
    assert_int_equal(refs[6].seq, refs[2].seq);
    desk_claim_start(&claim, LANE_A, T0 + 9, 8);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_int_equal(claim.next_due_ms, T0 + 1003); /* the first claim to end */
    desk_claim_start(&claim, ACCOUNT_A "/none", T0, 8);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_int_equal(claim.next_due_ms, UINT64_MAX);
}

static void claims_of_one_lane_are_bounded(void **state)
{
    struct desk *desk = *state;
    struct store_ref refs[STORE_CLAIM_MAX];
    struct store_ref more[STORE_CLAIM_MAX];
    struct store_claim claim;

    commit_many(desk, T0, STORE_CLAIM_MAX + 4);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 100, 40, refs), 40);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 100, 40, refs + 40), STORE_CLAIM_MAX - 40);
    desk_claim_start(&claim, LANE_A, T0 + 100, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_true(list_is_empty(&claim.records));
    assert_true(claim.has_more);
    assert_int_equal(desk_settle(desk, refs, 3), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 100, STORE_CLAIM_MAX, more), 3);
}

static void commit_claims_while_nothing_else_is_due(void **state)
{
    struct desk *desk = *state;
    struct desk_event event = plain;
    struct desk_entry out;
    struct store_ref ref;
    struct store_ref refs[4];

    event.claim = true;
    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    assert_true(out.deliveries[0].claim);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 4, refs), 0);
    ref = desk_ref(out.entry.seq, 0, LANE_A, out.deliveries[0].claim_no);
    assert_int_equal(desk_retry(desk, ref, T0 + 10, 1), ERR_OK);
    assert_int_equal(desk_commit(desk, T0 + 5, &event, &out), ERR_OK);
    assert_true(out.deliveries[0].claim); /* the retry is not due yet */
    assert_int_equal(desk_commit(desk, T0 + 10, &event, &out), ERR_OK);
    assert_false(out.deliveries[0].claim); /* now it is: first things first */
    assert_int_equal(out.deliveries[0].claim_no, 0);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 10, 4, refs), 2);
    assert_int_equal(desk_park(desk, LANE_A, T0 + 50), ERR_OK);
    assert_int_equal(desk_commit(desk, T0 + 20, &event, &out), ERR_OK);
    assert_false(out.deliveries[0].claim);
}

static void commit_claims_no_more_than_a_lane_may_hold(void **state)
{
    struct desk *desk = *state;
    struct desk_event event = plain;
    struct desk_entry out;

    event.claim = true;
    for (int i = 0; i < STORE_CLAIM_MAX; i++) {
        assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
        assert_true(out.deliveries[0].claim);
    }
    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    assert_false(out.deliveries[0].claim);
}

static void an_event_may_owe_one_lane_twice(void **state)
{
    struct desk *desk = *state;
    const struct desk_event event = {
        .account = ACCOUNT_A, .id = "e", .lanes = {LANE_A, LANE_A}, .claim = true};
    struct desk_entry out;
    struct store_ref refs[4];

    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    assert_true(out.deliveries[0].claim);
    assert_true(out.deliveries[1].claim);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 1000, 4, refs), 2);
    assert_int_equal(desk_settle(desk, refs, 2), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).delivered, 2);
}

/* ---- which lanes have work ----------------------------------------------------------------------
 */

static size_t lanes_of(struct desk *desk, uint64_t now_ms, const char *after, size_t count_max,
                       char (*names)[STORE_LANE_CHARS_MAX + 1], bool *has_more)
{
    struct store_lanes lanes = {.now_ms = now_ms, .count_max = count_max, .lanes = names};

    memcpy(lanes.after, after, strlen(after));
    assert_int_equal(desk_run(desk, &lanes.op, STORE_LANES), ERR_OK);
    *has_more = lanes.has_more;
    return lanes.count;
}

static void lanes_are_named_in_order_while_they_have_work(void **state)
{
    struct desk *desk = *state;
    const struct desk_event a = {.account = ACCOUNT_A, .id = "e-a", .lanes = {LANE_A2, LANE_A}};
    const struct desk_event b = {.account = ACCOUNT_B, .id = "e-b", .lanes = {LANE_B}};
    char names[4][STORE_LANE_CHARS_MAX + 1];
    struct store_ref ref;
    bool has_more;

    assert_int_equal(lanes_of(desk, T0, "", 4, names, &has_more), 0);
    assert_int_equal(desk_commit(desk, T0, &b, NULL), ERR_OK);
    assert_int_equal(desk_commit(desk, T0, &a, NULL), ERR_OK);
    assert_int_equal(lanes_of(desk, T0 - 1, "", 4, names, &has_more), 0);
    assert_int_equal(lanes_of(desk, T0, "", 2, names, &has_more), 2);
    assert_true(has_more);
    assert_string_equal(names[0], LANE_A);
    assert_string_equal(names[1], LANE_A2);
    assert_int_equal(lanes_of(desk, T0, LANE_A2, 2, names, &has_more), 1);
    assert_false(has_more);
    assert_string_equal(names[0], LANE_B);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_park(desk, LANE_B, T0 + 10), ERR_OK);
    assert_int_equal(lanes_of(desk, T0, "", 4, names, &has_more), 1);
    assert_string_equal(names[0], LANE_A2);
    assert_int_equal(lanes_of(desk, T0 + 1000, "", 4, names, &has_more), 3); /* all ended */
    assert_int_equal(desk_retry(desk, ref, T0 + 5000, 1), ERR_OK);
    assert_int_equal(lanes_of(desk, T0 + 4999, "", 4, names, &has_more), 2);
    assert_int_equal(lanes_of(desk, T0 + 5000, "", 4, names, &has_more), 3);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(lanes_of(desk, T0 + 5000, "", 4, names, &has_more), 2);
}

/* ---- S5, S7: a full store ------------------------------------------------------------------ */

static size_t fill(struct desk *desk)
{
    size_t count = 0;

    while (desk_commit(desk, T0, &plain, NULL) == ERR_OK) {
        count++;
        assert_true(count < 1000);
    }
    assert_true(count >= 3);
    return count;
}

static void s5_a_full_store_refuses_and_trims_nothing(void **state)
{
    struct desk *desk = *state; /* small */
    const size_t count = fill(desk);
    struct store_ref refs[STORE_CLAIM_MAX];

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_STORE_FULL);
    assert_true(store_trouble(desk->store) != ERR_STORE_FAILED);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, count);
    assert_int_equal(desk_claim(desk, LANE_A, T0, STORE_CLAIM_MAX, refs), count);
    assert_int_equal(desk_settle(desk, refs, 1), ERR_OK);
    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_STORE_FULL);
}

static void s7_outcomes_work_when_the_store_is_full(void **state)
{
    struct desk *desk = *state; /* small */
    const size_t count = fill(desk);
    struct store_ref refs[STORE_CLAIM_MAX];
    struct store_tally_row tally;

    assert_int_equal(desk_claim(desk, LANE_A, T0, STORE_CLAIM_MAX, refs), count);
    assert_int_equal(desk_retry(desk, refs[0], T0 + 5, 1), ERR_OK);
    assert_int_equal(desk_bury(desk, refs[1], T0, "given-up"), ERR_OK);
    assert_int_equal(desk_settle(desk, refs + 2, 1), ERR_OK);
    tally = desk_tally(desk, ACCOUNT_A, NULL);
    assert_int_equal(tally.live, count - 2);
    assert_int_equal(tally.dead, 1);
    assert_int_equal(tally.delivered, 1);
}

/* ---- S6: everything is answered ------------------------------------------------------------ */

static void s6_everything_submitted_at_once_is_answered(void **state)
{
    enum { COUNT = 300 };
    struct desk *desk = *state;
    struct desk_entry *entries = xcalloc(COUNT, sizeof(*entries));
    struct store_commit *commits = xcalloc(COUNT, sizeof(*commits));
    struct store_tally tallies[COUNT / 10];
    size_t tally_count = 0;
    uint64_t seq_before = 0;

    for (size_t i = 0; i < COUNT; i++) {
        entries[i].entry = desk_entry(&plain, entries[i].deliveries);
        commits[i] =
            (struct store_commit){.now_ms = T0, .entries = &entries[i].entry, .entry_count = 1};
        desk_submit(desk, &commits[i].op, STORE_COMMIT);
        if (i % 10 == 9) {
            tallies[tally_count] = (struct store_tally){0};
            desk_submit(desk, &tallies[tally_count++].op, STORE_TALLY);
        }
    }
    desk_await(desk, COUNT + tally_count);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(commits[i].op.err, ERR_OK);
        assert_true(entries[i].entry.seq > seq_before); /* in the order of one thread */
        seq_before = entries[i].entry.seq;
    }
    for (size_t i = 0; i < tally_count; i++) {
        assert_int_equal(tallies[i].op.err, ERR_OK);
        assert_int_equal(tallies[i].rows[0].created, (i + 1) * 10);
        store_tally_clean_up(&tallies[i]);
    }
    xfree(commits);
    xfree(entries);
}

static void s6_destroy_answers_what_was_submitted(void **state)
{
    struct desk *desk = *state;
    struct desk_entry entry;
    struct store_commit commit = {.now_ms = T0, .entries = &entry.entry, .entry_count = 1};

    entry.entry = desk_entry(&plain, entry.deliveries);
    desk_submit(desk, &commit.op, STORE_COMMIT);
    store_destroy(desk->store);
    desk->store = NULL;
    desk_await(desk, 1);
    assert_int_equal(commit.op.err, ERR_OK);
}

/* ---- S8: an error is never success --------------------------------------------------------- */

static void s8_what_was_refused_can_be_sent_again(void **state)
{
    struct desk *desk = *state; /* small */
    struct desk_entry out;
    struct store_ref refs[STORE_CLAIM_MAX];
    struct desk_event late = marked;
    size_t count;

    count = fill(desk);
    assert_int_equal(desk_commit(desk, T0, &late, NULL), ERR_STORE_FULL);
    assert_int_equal(desk_claim(desk, LANE_A, T0, STORE_CLAIM_MAX, refs), count);
    assert_int_equal(desk_settle(desk, refs, count), ERR_OK);
    assert_int_equal(desk_commit(desk, T0, &late, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_COMMITTED);
}

/* ---- S9: accounts are apart ---------------------------------------------------------------- */

static void s9_a_reference_reaches_only_its_own_lane(void **state)
{
    struct desk *desk = *state;
    struct desk_event event = plain;
    struct desk_entry out;
    struct store_ref ref;

    event.claim = true;
    assert_int_equal(desk_commit(desk, T0, &event, &out), ERR_OK);
    ref = desk_ref(out.entry.seq, 0, LANE_B, out.deliveries[0].claim_no);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_retry(desk, ref, T0, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_bury(desk, ref, T0, "other"), ERR_CLAIM_LOST);
    ref = desk_ref(out.entry.seq, 1, LANE_A, out.deliveries[0].claim_no);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_B, NULL).delivered, 0);
}

/* Two dead letters of A (reasons "r1", "r2", buried at T0 and T0 + 10), one of B ("r1"). */
static void bury_three(struct desk *desk)
{
    static const struct desk_event events[3] = {
        {.account = ACCOUNT_A, .id = "e-1", .body = "[1]", .lanes = {LANE_A}},
        {.account = ACCOUNT_A, .id = "e-2", .body = "[2]", .lanes = {LANE_A}},
        {.account = ACCOUNT_B, .id = "e-3", .body = "[3]", .lanes = {LANE_B}},
    };
    static const char *const reasons[3] = {"r1", "r2", "r1"};

    for (size_t i = 0; i < 3; i++) {
        struct store_ref ref;

        assert_int_equal(desk_commit(desk, T0, &events[i], NULL), ERR_OK);
        assert_int_equal(desk_claim(desk, events[i].lanes[0], T0, 1, &ref), 1);
        assert_int_equal(desk_bury(desk, ref, T0 + i * 10, reasons[i]), ERR_OK);
    }
}

/* The id of the dead letter at that place of the whole list. */
static uint64_t dead_id_at(struct desk *desk, size_t place)
{
    struct store_dead_list list = {.count_max = place + 1};
    uint64_t id = 0;

    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    LIST_FOREACH (node, &list.dead) {
        struct store_dead *dead = CONTAINER_OF(node, struct store_dead, node);

        assert_true(dead->id > id); /* in the order of ids */
        id = dead->id;
        store_dead_free(dead);
    }
    return id;
}

/* Letters of the ids seen, such as "123" for all three. */
static void list_dead(struct desk *desk, struct store_dead_filter filter, uint64_t after_id,
                      size_t count_max, char seen[8], bool *has_more)
{
    struct store_dead_list list = {.filter = filter, .after_id = after_id, .count_max = count_max};
    size_t count = 0;

    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    LIST_FOREACH (node, &list.dead) {
        struct store_dead *dead = CONTAINER_OF(node, struct store_dead, node);

        assert_int_equal(dead->attempt_count, 7);
        assert_int_equal(dead->record->attempt_count, 7);
        assert_true(slice_eq(dead->message, SLICE("the last words")));
        assert_int_equal(dead->record->body.len, 3);
        assert_true(slice_has_prefix(dead->record->event_id, SLICE("e-")));
        seen[count++] = dead->record->body.data[1];
        store_dead_free(dead);
    }
    seen[count] = '\0';
    *has_more = list.has_more;
}

static void s9_dead_letters_are_found_by_what_they_are(void **state)
{
    struct desk *desk = *state;
    static const struct {
        struct store_dead_filter filter;
        const char *seen;
    } rows[] = {
        {{.id = 0}, "123"},
        {{.account = SLICE_INIT(ACCOUNT_A)}, "12"},
        {{.account = SLICE_INIT(ACCOUNT_B)}, "3"},
        {{.account = SLICE_INIT("000000000000")}, ""},
        {{.reason = SLICE_INIT("r1")}, "13"},
        {{.account = SLICE_INIT(ACCOUNT_A), .reason = SLICE_INIT("r1")}, "1"},
        {{.since_ms = T0 + 10}, "23"},
        {{.until_ms = T0 + 10}, "1"},
        {{.since_ms = T0 + 10, .until_ms = T0 + 20}, "2"},
        {{.bus = SLICE_INIT("central"), .rule = SLICE_INIT("rule")}, "123"},
        {{.bus = SLICE_INIT("other")}, ""},
        {{.rule = SLICE_INIT("other")}, ""},
        {{.target_id = SLICE_INIT("target")}, "123"},
        {{.target_id = SLICE_INIT("other")}, ""},
        {{.id = 99}, ""},
    };
    char seen[8];
    bool has_more;

    bury_three(desk);
    list_dead(desk, (struct store_dead_filter){.id = dead_id_at(desk, 1)}, 0, 10, seen, &has_more);
    assert_string_equal(seen, "2");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        list_dead(desk, rows[i].filter, 0, 10, seen, &has_more);
        assert_false(has_more);
        if (strcmp(seen, rows[i].seen) != 0) {
            fail_msg("row %zu: expected \"%s\", saw \"%s\"", i, rows[i].seen, seen);
        }
    }
    list_dead(desk, (struct store_dead_filter){0}, 0, 2, seen, &has_more);
    assert_string_equal(seen, "12");
    assert_true(has_more);
    list_dead(desk, (struct store_dead_filter){0}, dead_id_at(desk, 1), 2, seen, &has_more);
    assert_string_equal(seen, "3");
    assert_false(has_more);
}

static void redrive_keeps_event_and_history(void **state)
{
    struct desk *desk = *state;
    struct store_dead_edit edit = {.edit = STORE_DEAD_REDRIVE,
                                   .filter = {.account = SLICE_INIT(ACCOUNT_A)},
                                   .now_ms = T0 + 5000,
                                   .dry_run = true};
    struct store_claim claim;
    const struct store_record *record;
    struct store_ref ref;
    struct store_tally_row tally;

    bury_three(desk);
    edit.filter.id = dead_id_at(desk, 1);
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(edit.count, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).dead, 2); /* only asked */
    edit.dry_run = false;
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(edit.count, 1);
    desk_claim_start(&claim, LANE_A, T0 + 5000, 4);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    record = CONTAINER_OF(claim.records.next, struct store_record, node);
    assert_true(slice_eq(record->event_id, SLICE("e-2")));
    assert_true(slice_eq(record->body, SLICE("[2]")));
    assert_int_equal(record->accepted_ms, T0);
    assert_int_equal(record->budget_from_ms, T0 + 5000);
    assert_int_equal(record->attempt_count, 0);
    assert_int_equal(record->past_attempt_count, 7);
    assert_int_equal(desk_take_refs(&claim.records, &ref, 1), 1);

    assert_int_equal(desk_bury(desk, ref, T0 + 5000, "again"), ERR_OK);
    edit.filter = (struct store_dead_filter){.reason = SLICE("again")};
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    desk_claim_start(&claim, LANE_A, T0 + 5000, 4);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    assert_int_equal(
        CONTAINER_OF(claim.records.next, struct store_record, node)->past_attempt_count, 14);
    assert_int_equal(desk_take_refs(&claim.records, &ref, 1), 1);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    tally = desk_tally(desk, ACCOUNT_A, NULL);
    assert_int_equal(tally.redriven, 2);
    assert_int_equal(tally.delivered, 1);
    assert_int_equal(tally.dead, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_B, NULL).dead, 1);
}

static void drop_and_expire_end_dead_letters(void **state)
{
    struct desk *desk = *state;
    struct store_dead_edit edit = {.edit = STORE_DEAD_EXPIRE, .filter = {.until_ms = T0 + 20}};
    uint64_t bytes_used;
    struct store_tally_row tally;

    bury_three(desk);
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(edit.count, 2);
    edit = (struct store_dead_edit){.edit = STORE_DEAD_DROP};
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(edit.count, 1);
    tally = desk_tally(desk, ACCOUNT_A, &bytes_used);
    assert_int_equal(tally.expired, 2);
    assert_int_equal(tally.dropped, 0);
    assert_int_equal(tally.dead, 0);
    assert_int_equal(desk_tally(desk, ACCOUNT_B, NULL).dropped, 1);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == 0);
}

static void many_dead_letters_are_edited_in_one_call(void **state)
{
    enum { COUNT = 300 }; /* more than an engine does in one step */
    struct desk *desk = *state;
    struct store_dead_edit edit = {.edit = STORE_DEAD_REDRIVE, .now_ms = T0 + COUNT};
    struct store_bury *buries = xcalloc(COUNT, sizeof(*buries));
    struct store_tally_row tally;

    for (size_t i = 0; i < COUNT; i++) {
        struct desk_event event = plain;
        struct desk_entry out;

        event.claim = true;
        assert_int_equal(desk_commit(desk, T0 + i, &event, &out), ERR_OK);
        assert_true(out.deliveries[0].claim);
        buries[i] = (struct store_bury){
            .ref = desk_ref(out.entry.seq, 0, LANE_A, out.deliveries[0].claim_no),
            .now_ms = T0,
            .reason = "r"};
        assert_int_equal(desk_run(desk, &buries[i].op, STORE_BURY), ERR_OK);
    }
    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(edit.count, COUNT);
    tally = desk_tally(desk, ACCOUNT_A, NULL);
    assert_int_equal(tally.live, COUNT);
    assert_int_equal(tally.redriven, COUNT);
    xfree(buries);
}

/* ---- catalog ------------------------------------------------------------------------------- */

static enum err put(struct desk *desk, struct store_catalog_put *put, size_t count,
                    const struct store_document documents[])
{
    *put = (struct store_catalog_put){.documents = documents, .document_count = count};
    return desk_run(desk, &put->op, STORE_CATALOG_PUT);
}

static void catalog_documents_are_compared_and_set_together(void **state)
{
    struct desk *desk = *state;
    const struct store_document both[] = {{SLICE_INIT("rule/b"), SLICE_INIT("{\"b\":1}"), 0},
                                          {SLICE_INIT("rule/a"), SLICE_INIT("{\"a\":1}"), 0}};
    struct store_document step[2];
    struct store_catalog_put answer;
    struct store_catalog_read read = {0};
    uint64_t rev;

    assert_int_equal(put(desk, &answer, 2, both), ERR_OK);
    rev = answer.rev;
    assert_true(rev > 0);
    assert_int_equal(put(desk, &answer, 1, both), ERR_CONFLICT); /* it exists by now */
    step[0] = (struct store_document){SLICE("rule/c"), SLICE("{}"), 0};
    step[1] = (struct store_document){SLICE("rule/a"), SLICE("{}"), rev + 7};
    assert_int_equal(put(desk, &answer, 2, step), ERR_CONFLICT);
    assert_int_equal(answer.conflict_index, 1);
    step[1] = step[0]; /* the same name twice */
    assert_int_equal(put(desk, &answer, 2, step), ERR_CONFLICT);
    assert_int_equal(answer.conflict_index, 1);
    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    assert_int_equal(read.rev, rev);
    assert_int_equal(read.document_count, 2);
    assert_true(slice_eq(read.documents[0].name, SLICE("rule/a")));
    assert_true(slice_eq(read.documents[0].value, SLICE("{\"a\":1}")));
    assert_true(slice_eq(read.documents[1].name, SLICE("rule/b")));
    assert_int_equal(read.documents[1].rev, rev);
    store_catalog_read_clean_up(&read);
}

static void catalog_tells_what_changed_since(void **state)
{
    struct desk *desk = *state;
    struct store_document document = {SLICE("list/x"), SLICE("[1]"), 0};
    struct store_catalog_put answer;
    struct store_catalog_read read = {0};
    uint64_t first_rev;
    uint64_t second_rev;

    document.value = SLICE("");
    assert_int_equal(put(desk, &answer, 1, &document), ERR_CONFLICT); /* nothing to delete */
    document.value = SLICE("[1]");
    assert_int_equal(put(desk, &answer, 1, &document), ERR_OK);
    first_rev = answer.rev;
    document = (struct store_document){SLICE("list/y"), SLICE("[2]"), 0};
    assert_int_equal(put(desk, &answer, 1, &document), ERR_OK);
    second_rev = answer.rev;
    assert_true(second_rev > first_rev);
    document = (struct store_document){SLICE("list/x"), SLICE(""), first_rev};
    assert_int_equal(put(desk, &answer, 1, &document), ERR_OK);

    read.since = second_rev;
    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    assert_int_equal(read.document_count, 1);
    assert_true(slice_eq(read.documents[0].name, SLICE("list/x")));
    assert_int_equal(read.documents[0].value.len, 0);
    assert_int_equal(read.rev, answer.rev);
    store_catalog_read_clean_up(&read);
    read = (struct store_catalog_read){0};
    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    assert_int_equal(read.document_count, 1); /* all that exist: no tombstones */
    store_catalog_read_clean_up(&read);
    document = (struct store_document){SLICE("list/x"), SLICE("[3]"), 0};
    assert_int_equal(put(desk, &answer, 1, &document), ERR_OK); /* deleted means it is not there */
}

/* ---- S10: a guard is seen once --------------------------------------------------------------- */

static const struct desk_event guarded = {.account = ACCOUNT_A,
                                          .id = "e-first",
                                          .key = "invocation-1",
                                          .ttl_ms = 300000,
                                          .guard = "signature",
                                          .guard_ttl_ms = 660000,
                                          .grace_ms = 2000,
                                          .lanes = {LANE_A}};

/* Commit, and expect a duplicate of `first`, or with NULL a new event. */
static void guard_commit(struct desk *desk, uint64_t now_ms, const struct desk_event *event,
                         const char *first)
{
    const uint64_t created_before = desk_tally(desk, ACCOUNT_A, NULL).created;
    struct desk_entry out;

    assert_int_equal(desk_commit(desk, now_ms, event, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, first != NULL ? STORE_DUPLICATE : STORE_COMMITTED);
    assert_string_equal(out.entry.duplicate_of, first != NULL ? first : "");
    assert_false(out.entry.conflict);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created,
                     created_before + (first != NULL ? 0 : 1));
}

static void s10_past_the_grace_another_mark_does_not_help(void **state)
{
    struct desk *desk = *state;
    struct desk_event other = guarded;

    guard_commit(desk, T0, &guarded, NULL);
    other.id = "e-other";
    other.key = "invocation-2";
    other.claim = true;
    guard_commit(desk, T0 + 2001, &other, "e-first");
    guard_commit(desk, T0 + 659999, &other, "e-first");
    /* A refused replay leaves no mark of its own, and moves nothing. */
    guard_commit(desk, T0 + 660000, &other, NULL);
}

static void s10_within_the_grace_marks_decide(void **state)
{
    struct desk *desk = *state;
    struct desk_event other = guarded;

    guard_commit(desk, T0, &guarded, NULL);
    guard_commit(desk, T0 + 1, &guarded, "e-first");
    other.id = "e-other";
    other.key = "invocation-2";
    guard_commit(desk, T0 + 2000, &other, NULL);
    /* Later each is answered by its own mark; the guard still counts from the first. */
    guard_commit(desk, T0 + 2001, &other, "e-other");
    guard_commit(desk, T0 + 2001, &guarded, "e-first");
    other.key = "invocation-3";
    guard_commit(desk, T0 + 2001, &other, "e-first");
}

static void s10_a_guard_needs_no_mark(void **state)
{
    struct desk *desk = *state;
    struct desk_event bare = guarded;

    bare.key = NULL;
    guard_commit(desk, T0, &bare, NULL);
    bare.id = "e-again";
    guard_commit(desk, T0 + 2000, &bare, NULL);
    guard_commit(desk, T0 + 2001, &bare, "e-first");
    guard_commit(desk, T0 + 2001, &guarded, "e-first"); /* nor does a mark undo it */
}

static void s10_a_repeat_leaves_its_new_guard_known(void **state)
{
    struct desk *desk = *state;
    struct desk_event retry = guarded;

    guard_commit(desk, T0, &guarded, NULL);
    retry.id = "e-retry";
    retry.guard = "signature of the retry";
    guard_commit(desk, T0 + 5000, &retry, "e-first");
    retry.key = "invocation-2";
    guard_commit(desk, T0 + 7001, &retry, "e-first");
}

static void s10_a_clock_set_back_is_within_the_grace(void **state)
{
    struct desk *desk = *state;
    struct desk_event other = guarded;

    guard_commit(desk, T0, &guarded, NULL);
    other.id = "e-other";
    other.key = "invocation-2";
    guard_commit(desk, T0 - 500000, &other, NULL);
}

static void s10_a_batch_sees_its_own_guards(void **state)
{
    struct desk *desk = *state;
    struct store_delivery deliveries[3][DESK_LANES_MAX];
    struct store_entry entries[3];
    struct store_commit commit = {.now_ms = T0, .entries = entries, .entry_count = 3};
    struct desk_event other = guarded;

    other.id = "e-other";
    other.key = "invocation-2";
    entries[0] = desk_entry(&guarded, deliveries[0]);
    entries[1] = desk_entry(&guarded, deliveries[1]);
    entries[2] = desk_entry(&other, deliveries[2]);
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    assert_int_equal(entries[0].verdict, STORE_COMMITTED);
    assert_int_equal(entries[1].verdict, STORE_DUPLICATE);
    assert_string_equal(entries[1].duplicate_of, "e-first");
    assert_int_equal(entries[2].verdict, STORE_COMMITTED); /* no time has passed */
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created, 2);
}

static void s10_guards_past_their_window_leave_the_store(void **state)
{
    struct desk *desk = *state;
    uint64_t bytes_before;
    uint64_t bytes_after;

    for (int i = 0; i < 100; i++) {
        char guard[8];
        struct desk_event event = guarded;

        (void)snprintf(guard, sizeof(guard), "g%d", i);
        event.guard = guard;
        event.ttl_ms = 660000;
        event.lanes[0] = NULL; /* the first is new, the rest repeat its mark */
        assert_int_equal(desk_commit(desk, T0, &event, NULL), ERR_OK);
    }
    (void)desk_tally(desk, ACCOUNT_A, &bytes_before);
    assert_true(bytes_before > 0);
    for (int i = 0; i < 10; i++) {
        const struct desk_event event = {.account = ACCOUNT_A, .id = "e", .lanes = {NULL}};

        assert_int_equal(desk_commit(desk, T0 + 660000, &event, NULL), ERR_OK);
    }
    (void)desk_tally(desk, ACCOUNT_A, &bytes_after);
    assert_int_equal(bytes_after, 0);
}

/* ---- what happens once ---------------------------------------------------------------------- */

static bool once_at(struct desk *desk, const char *name, uint64_t due_ms, uint64_t now_ms)
{
    struct store_once once = {.now_ms = now_ms, .due_ms = due_ms, .keep_ms = 60000};

    memcpy(once.name, name, strlen(name) + 1);
    assert_int_equal(desk_run(desk, &once.op, STORE_ONCE), ERR_OK);
    return once.is_mine;
}

static void a_moment_is_given_to_one_asker(void **state)
{
    struct desk *desk = *state;

    assert_true(once_at(desk, "schedule/nightly", T0, T0));
    assert_false(once_at(desk, "schedule/nightly", T0, T0));
    assert_false(once_at(desk, "schedule/nightly", T0, T0 + 59999));
    assert_true(once_at(desk, "schedule/hourly", T0, T0));
    assert_true(once_at(desk, "schedule/nightly", T0 + 1, T0 + 1));
    /* Too late to know whether somebody had it: then nobody has it. */
    assert_false(once_at(desk, "schedule/nightly", T0, T0 + 60000));
    assert_false(once_at(desk, "schedule/weekly", T0, T0 + 60000));
}

#include "tests/unit/storage/store_contract_archive.h"
#include "tests/unit/storage/store_contract_pages.h"
#include "tests/unit/storage/store_contract_steps.h"

#define CONTRACT_TEST(function)                                                                    \
    cmocka_unit_test_setup_teardown(function, contract_setup, contract_teardown)
#define CONTRACT_TEST_SMALL(function)                                                              \
    cmocka_unit_test_setup_teardown(function, contract_setup_small, contract_teardown)

#define CONTRACT_TESTS                                                                             \
    CONTRACT_TEST(s1_a_second_entry_of_the_same_key_is_a_duplicate),                               \
        CONTRACT_TEST(s1_a_batch_sees_its_own_earlier_entries),                                    \
        CONTRACT_TEST(s1_an_answer_says_how_many_entries_the_event_stands_for),                    \
        CONTRACT_TEST(a_moment_is_given_to_one_asker),                                             \
        CONTRACT_TEST(s1_a_mark_lasts_exactly_its_window),                                         \
        CONTRACT_TEST(s1_a_known_key_with_other_content_is_committed_and_said),                    \
        CONTRACT_TEST(s1_an_entry_without_deliveries_is_a_mark_only),                              \
        CONTRACT_TEST(s2_an_entry_past_a_limit_refuses_the_batch),                                 \
        CONTRACT_TEST(s2_what_is_committed_comes_back_whole),                                      \
        CONTRACT_TEST(s3_a_body_lives_until_its_last_delivery_has_ended),                          \
        CONTRACT_TEST(s4_settle_twice_counts_once),                                                \
        CONTRACT_TEST(s4_retry_moves_the_due_time_and_ends_the_claim),                             \
        CONTRACT_TEST(s4_the_outcome_of_a_lost_claim_does_nothing),                                \
        CONTRACT_TEST(s4_the_first_settle_ends_the_delivery),                                      \
        CONTRACT_TEST(s4_without_a_claim_only_settle_counts),                                      \
        CONTRACT_TEST(s4_a_park_ends_claims_and_hides_the_lane),                                   \
        CONTRACT_TEST(claim_gives_the_oldest_due_first_and_says_what_remains),                     \
        CONTRACT_TEST(claims_of_one_lane_are_bounded),                                             \
        CONTRACT_TEST(commit_claims_while_nothing_else_is_due),                                    \
        CONTRACT_TEST(commit_claims_no_more_than_a_lane_may_hold),                                 \
        CONTRACT_TEST(an_event_may_owe_one_lane_twice),                                            \
        CONTRACT_TEST(lanes_are_named_in_order_while_they_have_work),                              \
        CONTRACT_TEST(s6_everything_submitted_at_once_is_answered),                                \
        CONTRACT_TEST(s6_destroy_answers_what_was_submitted),                                      \
        CONTRACT_TEST(s9_a_reference_reaches_only_its_own_lane),                                   \
        CONTRACT_TEST(s9_dead_letters_are_found_by_what_they_are), CONTRACT_TESTS_STEPS,           \
        CONTRACT_TESTS_PAGES, CONTRACT_TESTS_ARCHIVE,                                              \
        CONTRACT_TEST(redrive_keeps_event_and_history),                                            \
        CONTRACT_TEST(drop_and_expire_end_dead_letters),                                           \
        CONTRACT_TEST(many_dead_letters_are_edited_in_one_call),                                   \
        CONTRACT_TEST(catalog_documents_are_compared_and_set_together),                            \
        CONTRACT_TEST(catalog_tells_what_changed_since),                                           \
        CONTRACT_TEST(s10_past_the_grace_another_mark_does_not_help),                              \
        CONTRACT_TEST(s10_within_the_grace_marks_decide),                                          \
        CONTRACT_TEST(s10_a_guard_needs_no_mark),                                                  \
        CONTRACT_TEST(s10_a_repeat_leaves_its_new_guard_known),                                    \
        CONTRACT_TEST(s10_a_clock_set_back_is_within_the_grace),                                   \
        CONTRACT_TEST(s10_a_batch_sees_its_own_guards)

/* Of an engine that counts its bytes and has a maximum of its own. */
#define CONTRACT_TESTS_SIZED                                                                       \
    CONTRACT_TEST(s10_guards_past_their_window_leave_the_store),                                   \
        CONTRACT_TEST_SMALL(s11_archives_count_towards_the_size_of_the_store),                     \
        CONTRACT_TEST(s1_marks_past_their_window_leave_the_store),                                 \
        CONTRACT_TEST_SMALL(s2_a_refused_batch_leaves_nothing),                                    \
        CONTRACT_TEST_SMALL(s5_a_full_store_refuses_and_trims_nothing),                            \
        CONTRACT_TEST_SMALL(s7_outcomes_work_when_the_store_is_full),                              \
        CONTRACT_TEST_SMALL(s8_what_was_refused_can_be_sent_again)

/* Named here, so that an engine without a size of its own may leave them out. */
static const struct CMUnitTest contract_small[] __attribute__((unused)) = {CONTRACT_TESTS_SIZED};
