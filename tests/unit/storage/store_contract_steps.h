/* SPDX-License-Identifier: Apache-2.0
 *
 * store_contract_steps.h - what every engine must do with deliveries of several steps:
 * STORE_ADVANCE and the state that goes along.  Part of store_contract.h.
 */
#pragma once

#define STEP_1 LANE_A ".one"
#define STEP_2 LANE_A ".two"

/* Claim the one delivery of the lane and look at it. */
static struct store_record *claim_step(struct desk *desk, const char *lane, uint64_t now_ms)
{
    struct store_claim claim;
    struct store_record *record;

    desk_claim_start(&claim, lane, now_ms, 1);
    assert_int_equal(desk_run(desk, &claim.op, STORE_CLAIM), ERR_OK);
    assert_false(list_is_empty(&claim.records));
    record = CONTAINER_OF(list_take_first(&claim.records), struct store_record, node);
    assert_true(list_is_empty(&claim.records));
    assert_string_equal(record->ref.lane, lane);
    return record;
}

/* Commit one and take it to `lane` with `state`. */
static void bring_to(struct desk *desk, const char *lane, struct slice state)
{
    struct store_ref ref;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_advance(desk, ref, lane, T0 + 5, state), ERR_OK);
}

static void s4_advance_moves_the_delivery_and_what_it_has_kept(void **state)
{
    struct desk *desk = *state;
    struct store_record *record;
    struct store_ref refs[2];

    bring_to(desk, STEP_1, SLICE("{\"a\":1}"));
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 5000, 2, refs), 0); /* not there any more */
    assert_int_equal(desk_claim(desk, STEP_1, T0 + 4, 2, refs), 0);    /* not due before */
    record = claim_step(desk, STEP_1, T0 + 5);
    assert_true(slice_eq(record->state, SLICE("{\"a\":1}")));
    assert_true(slice_eq(record->body, SLICE("{\"n\":1}")));
    assert_int_equal(record->accepted_ms, T0);
    assert_int_equal(record->budget_from_ms, T0 + 5);
    assert_int_equal(record->due_ms, T0 + 5);
    assert_int_equal(record->attempt_count, 0);
    assert_int_equal(record->past_attempt_count, 2);
    assert_int_equal(desk_advance(desk, record->ref, STEP_2, T0 + 9, SLICE("{\"b\":2}")), ERR_OK);
    store_record_free(record);
    record = claim_step(desk, STEP_2, T0 + 9);
    assert_true(slice_eq(record->state, SLICE("{\"b\":2}"))); /* the later in the earlier's place */
    assert_int_equal(record->past_attempt_count, 4);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 1);
    assert_int_equal(desk_settle(desk, &record->ref, 1), ERR_OK);
    store_record_free(record);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).delivered, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 0);
}

static void s4_advance_acts_only_while_the_claim_is_ours(void **state)
{
    struct desk *desk = *state;
    struct store_ref first;
    struct store_ref second;
    struct store_record *record;

    assert_int_equal(desk_commit(desk, T0, &plain, NULL), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &first), 1);
    assert_int_equal(desk_claim(desk, LANE_A, T0 + 1000, 1, &second), 1);
    assert_int_equal(desk_advance(desk, first, STEP_1, T0 + 1, SLICE("late")), ERR_CLAIM_LOST);
    assert_int_equal(desk_advance(desk, second, STEP_1, T0 + 1001, SLICE("mine")), ERR_OK);
    /* Whoever is a step behind changes nothing: no second time, no end, no burial. */
    assert_int_equal(desk_advance(desk, second, STEP_2, T0 + 1002, SLICE("more")), ERR_CLAIM_LOST);
    assert_int_equal(desk_settle(desk, &second, 1), ERR_OK);
    assert_int_equal(desk_retry(desk, second, T0 + 1, 1), ERR_CLAIM_LOST);
    assert_int_equal(desk_bury(desk, second, T0 + 1, "late"), ERR_CLAIM_LOST);
    record = claim_step(desk, STEP_1, T0 + 1001);
    assert_true(slice_eq(record->state, SLICE("mine")));
    store_record_free(record);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 1);
}

static void s4_a_state_stays_through_retry_and_claims_that_end(void **state)
{
    struct desk *desk = *state;
    struct store_record *record;

    bring_to(desk, STEP_1, SLICE("kept"));
    record = claim_step(desk, STEP_1, T0 + 5);
    assert_int_equal(desk_retry(desk, record->ref, T0 + 50, 3), ERR_OK);
    store_record_free(record);
    record = claim_step(desk, STEP_1, T0 + 50);
    assert_true(slice_eq(record->state, SLICE("kept")));
    assert_int_equal(record->attempt_count, 3);
    store_record_free(record);
    record = claim_step(desk, STEP_1, T0 + 2000); /* the claim before has ended */
    assert_true(slice_eq(record->state, SLICE("kept")));
    store_record_free(record);
}

static void redrive_resumes_at_the_step_reached(void **state)
{
    struct desk *desk = *state;
    struct store_dead_edit redrive = {.edit = STORE_DEAD_REDRIVE, .now_ms = T0 + 100};
    struct store_dead_list list = {.count_max = 8};
    struct store_record *record;
    struct store_dead *dead;

    bring_to(desk, STEP_1, SLICE("kept"));
    record = claim_step(desk, STEP_1, T0 + 5);
    assert_int_equal(desk_bury(desk, record->ref, T0 + 6, "given-up"), ERR_OK);
    store_record_free(record);
    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    assert_false(list_is_empty(&list.dead));
    dead = CONTAINER_OF(list_take_first(&list.dead), struct store_dead, node);
    assert_string_equal(dead->record->ref.lane, STEP_1);
    store_dead_free(dead);
    assert_int_equal(desk_run(desk, &redrive.op, STORE_DEAD_EDIT), ERR_OK);
    assert_int_equal(redrive.count, 1);
    record = claim_step(desk, STEP_1, T0 + 100);
    assert_true(slice_eq(record->state, SLICE("kept")));
    assert_int_equal(record->past_attempt_count, 9); /* two before the step, seven at it */
    store_record_free(record);
}

static void the_largest_state_is_kept_and_lanes_of_steps_are_named(void **state)
{
    struct desk *desk = *state;
    static char bytes[STORE_STATE_BYTES_MAX];
    char names[4][STORE_LANE_CHARS_MAX + 1];
    struct store_lanes lanes = {.now_ms = T0 + 5, .count_max = 4, .lanes = names};
    struct store_record *record;

    memset(bytes, 'x', sizeof(bytes));
    bytes[7] = '\0';
    bring_to(desk, STEP_1, (struct slice){bytes, sizeof(bytes)});
    assert_int_equal(desk_run(desk, &lanes.op, STORE_LANES), ERR_OK);
    assert_int_equal(lanes.count, 1);
    assert_string_equal(names[0], STEP_1);
    record = claim_step(desk, STEP_1, T0 + 5);
    assert_true(slice_eq(record->state, (struct slice){bytes, sizeof(bytes)}));
    assert_int_equal(desk_advance(desk, record->ref, STEP_2, T0 + 6, SLICE("")), ERR_OK);
    store_record_free(record);
    record = claim_step(desk, STEP_2, T0 + 6);
    assert_int_equal(record->state.len, 0);
    store_record_free(record);
}

#define CONTRACT_TESTS_STEPS                                                                       \
    CONTRACT_TEST(s4_advance_moves_the_delivery_and_what_it_has_kept),                             \
        CONTRACT_TEST(s4_advance_acts_only_while_the_claim_is_ours),                               \
        CONTRACT_TEST(s4_a_state_stays_through_retry_and_claims_that_end),                         \
        CONTRACT_TEST(redrive_resumes_at_the_step_reached),                                        \
        CONTRACT_TEST(the_largest_state_is_kept_and_lanes_of_steps_are_named)
