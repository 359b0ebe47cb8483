/* SPDX-License-Identifier: Apache-2.0
 *
 * test_destination.c - the gate of a destination, and the turns of its lanes.
 */
#include "delivery/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "routing/event.h"

enum { LANES = 4 };

/* An event that nothing but its size matters of. */
static struct store_record *record_of(size_t body_len)
{
    struct store_record *record = xcalloc(1, sizeof(*record));

    record->body = (struct slice){NULL, body_len};
    return record;
}

/* What the store's records are freed by here: they own no bytes. */
void store_record_free(struct store_record *record)
{
    xfree(record);
}

/* No event is ever made here. */
void event_release(struct event *event)
{
    assert_null(event);
}

static struct lane *lane_at(struct destination *destination, const char *name)
{
    struct lane *lane = lane_new(slice_of(name));

    lane->destination = destination;
    destination->references++;
    return lane;
}

static void queue(struct lane *lane, size_t count, size_t body_len)
{
    const struct store_ref ref = {0};

    for (size_t i = 0; i < count; i++) {
        lane_queue(lane, delivery_state_new(&ref, NULL, record_of(body_len)));
    }
    destination_enlist(lane->destination, lane);
}

static void free_lane(struct lane *lane)
{
    list_remove(&lane->turn);
    lane->destination->references--;
    lane->destination = NULL;
    lane_destroy(lane);
}

/* End what was picked, as if settled; tells each delivery's bytes to `sent_bytes` by lane. */
static void end_batch(struct list *batch, struct lane *const *lanes, size_t *sent_bytes)
{
    struct list *node;

    while ((node = list_take_first(batch)) != NULL) {
        struct delivery *delivery = CONTAINER_OF(node, struct delivery, node);
        struct lane *lane = delivery->lane;

        for (size_t i = 0; sent_bytes != NULL && i < LANES; i++) {
            sent_bytes[i] += lanes[i] == lane ? delivery->body.len + DESTINATION_COST_BYTES : 0;
        }
        delivery_state_move(delivery, DELIVERY_IN_FLIGHT);
        lane_finish(lane, delivery, DELIVERY_SETTLED);
        delivery_state_free(delivery);
        destination_enlist(lane->destination, lane);
    }
}

/* Goal:   lanes with a backlog send the same number of bytes, however large their events are.
 * Method: four lanes of very different event sizes, kept full, for a thousand calls. */
static void test_lanes_share_by_bytes(void **state)
{
    static const size_t sizes[LANES] = {100, 1000, 20000, 200000};
    static const char *const names[LANES] = {"a/1", "b/1", "c/1", "d/1"};
    struct destination *destination = destination_new(SLICE("key"), 0);
    struct lane *lanes[LANES];
    size_t sent_bytes[LANES] = {0};
    size_t least = SIZE_MAX;
    size_t most = 0;
    struct list batch;

    (void)state;
    list_init(&batch);
    for (size_t i = 0; i < LANES; i++) {
        lanes[i] = lane_at(destination, names[i]);
    }
    for (size_t call = 0; call < 5000; call++) {
        for (size_t i = 0; i < LANES; i++) {
            queue(lanes[i], LANE_WINDOW_MAX - lane_held_count(lanes[i]), sizes[i]);
        }
        assert_in_range(destination_pick(destination, 10, 1 << 18, &batch), 1, 10);
        end_batch(&batch, lanes, sent_bytes);
    }
    for (size_t i = 0; i < LANES; i++) {
        least = MIN_OF(least, sent_bytes[i]);
        most = MAX_OF(most, sent_bytes[i]);
        free_lane(lanes[i]);
    }
    destination_destroy(destination);
    assert_true(most < least + least / 10);
}

/* Goal: one event of a quiet lane waits for at most one turn of a lane with a backlog. */
static void test_a_backlog_does_not_delay_a_quiet_lane(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    struct lane *noisy = lane_at(destination, "a/1");
    struct lane *quiet = lane_at(destination, "b/1");
    struct list batch;
    size_t calls = 0;

    (void)state;
    list_init(&batch);
    queue(noisy, LANE_WINDOW_MAX, 1000);
    queue(quiet, 1, 1000);
    while (quiet->window.count > 0) {
        (void)destination_pick(destination, 1, 1 << 18, &batch);
        end_batch(&batch, NULL, NULL);
        calls++;
    }
    assert_in_range(calls, 1, DESTINATION_QUANTUM_BYTES / (1000 + DESTINATION_COST_BYTES) + 1);
    free_lane(noisy);
    free_lane(quiet);
    destination_destroy(destination);
}

/* Goal: a batch stays under its bytes, but the first delivery always goes. */
static void test_a_batch_stays_under_its_bytes(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    struct lane *lane = lane_at(destination, "a/1");
    struct list batch;

    (void)state;
    list_init(&batch);
    queue(lane, 5, 400);
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 2);
    end_batch(&batch, NULL, NULL);
    assert_int_equal(destination_pick(destination, 10, 399, &batch), 1);
    end_batch(&batch, NULL, NULL);
    assert_int_equal(destination_pick(destination, 10, 100000, &batch), 2);
    end_batch(&batch, NULL, NULL);
    assert_int_equal(destination_pick(destination, 10, 100000, &batch), 0);
    free_lane(lane);
    destination_destroy(destination);
}

/* Goal: what must go alone does, and a probing lane risks one delivery. */
static void test_alone_and_probing(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    struct lane *lane = lane_at(destination, "a/1");
    struct lane *other = lane_at(destination, "b/1");
    struct list batch;

    (void)state;
    list_init(&batch);
    queue(lane, 3, 10);
    lane_peek(lane)->is_alone = true;
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 1);
    end_batch(&batch, NULL, NULL);
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 2);
    end_batch(&batch, NULL, NULL);

    lane_begin_park(lane);
    lane_park(lane, 5);
    lane_unpark(lane);
    queue(lane, 3, 10);
    queue(other, 1, 10);
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 1);
    assert_false(lane_may_send(lane)); /* until the probe has its verdict */
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 1);
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 0);
    end_batch(&batch, NULL, NULL);
    lane_note_success(lane);
    destination_enlist(destination, lane);
    assert_int_equal(destination_pick(destination, 10, 1000, &batch), 2);
    end_batch(&batch, NULL, NULL);
    free_lane(lane);
    free_lane(other);
    destination_destroy(destination);
}

/* ---- the gate ----------------------------------------------------------------------------- */

static size_t fill(struct destination *destination, uint64_t now_ms)
{
    size_t count = 0;

    while (destination_may_start(destination, now_ms)) {
        (void)destination_start(destination);
        count++;
    }
    return count;
}

static void empty(struct destination *destination, enum destination_verdict verdict,
                  uint64_t started_ms, uint64_t now_ms)
{
    while (destination->call_count > 0) {
        destination_finish(destination, verdict, false, started_ms, now_ms, 1);
    }
}

/* Goal:   concurrency doubles every ten seconds at most, reaches 64, and halves once per round of
 *         push-back, down to one.
 * Method: rounds of 100 ms in which all that may start does, and ends alike. */
static void test_concurrency_adapts(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    uint64_t now_ms = 0;
    size_t at_most = DESTINATION_CALLS_FIRST;

    (void)state;
    assert_int_equal(fill(destination, now_ms), DESTINATION_CALLS_FIRST);
    empty(destination, DESTINATION_WELL, 0, 0);
    for (; now_ms < 60 * 1000; now_ms += 100) {
        if (now_ms > 0 && now_ms % DESTINATION_RAMP_MS == 0) {
            at_most = MIN_OF(at_most * 2, (size_t)DESTINATION_CALLS_MAX);
        }
        assert_in_range(fill(destination, now_ms), DESTINATION_CALLS_FIRST, at_most);
        empty(destination, DESTINATION_WELL, now_ms, now_ms + 50);
    }
    assert_int_equal(fill(destination, now_ms), DESTINATION_CALLS_MAX);
    empty(destination, DESTINATION_THROTTLED, now_ms, now_ms + 50); /* one round: one cut */
    for (size_t expected = DESTINATION_CALLS_MAX / 2; expected > 1; expected /= 2) {
        now_ms += 100;
        assert_int_equal(fill(destination, now_ms), expected);
        empty(destination, DESTINATION_THROTTLED, now_ms, now_ms + 50);
    }
    for (size_t i = 0; i < 5; i++) {
        now_ms += 100;
        assert_int_equal(fill(destination, now_ms), 1);
        empty(destination, DESTINATION_THROTTLED, now_ms, now_ms + 50);
    }
    assert_int_equal(destination->breaker.state, BREAKER_CLOSED); /* it answers, after all */
    destination_destroy(destination);
}

/* Goal: a dead destination is left alone but for one probe, and comes back slowly. */
static void test_a_dead_destination_is_probed(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    uint64_t now_ms = 100 * 1000; /* the ramp is long done */
    uint64_t shut_ms;

    (void)state;
    for (size_t calls = 0; calls < BREAKER_CALLS_MIN; now_ms += 10) {
        calls += fill(destination, now_ms);
        empty(destination, DESTINATION_FAILED, now_ms, now_ms + 5);
    }
    shut_ms = destination_shut_until_ms(destination, now_ms);
    assert_true(shut_ms > now_ms);
    assert_int_equal(fill(destination, now_ms), 0);
    assert_false(destination_may_claim(destination, now_ms));
    assert_int_equal(destination_shut_until_ms(destination, shut_ms), 0);

    assert_true(destination_may_claim(destination, shut_ms));
    assert_true(destination_may_start(destination, shut_ms));
    assert_true(destination_is_probing(destination));
    assert_true(destination_start(destination));
    assert_false(destination_may_start(destination, shut_ms));
    destination_finish(destination, DESTINATION_WELL, true, shut_ms, shut_ms + 5, 1);
    assert_int_equal(fill(destination, shut_ms + 5), DESTINATION_CALLS_FIRST);
    empty(destination, DESTINATION_WELL, shut_ms + 5, shut_ms + 6);
    destination_destroy(destination);
}

static void test_a_pause_is_kept(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);

    (void)state;
    destination_pause(destination, 5000);
    destination_pause(destination, 3000);
    assert_false(destination_may_start(destination, 4999));
    assert_int_equal(destination_shut_until_ms(destination, 4999), 5000);
    assert_true(destination_may_start(destination, 5000));
    destination_destroy(destination);
}

/* Goal: while one call finds out who we are and where it goes, no other starts. */
static void test_preparing_is_single_flight(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);

    (void)state;
    destination->is_preparing = true;
    assert_false(destination_may_start(destination, 0));
    destination->is_preparing = false;
    assert_true(destination_may_start(destination, 0));
    destination_destroy(destination);
}

/* ---- the modes of a lane ------------------------------------------------------------------ */

/* Goal: three failed calls in a row park a lane, a success between does not. */
static void test_a_lane_parks_after_three_failures_in_a_row(void **state)
{
    struct lane *lane = lane_new(SLICE("a/1"));

    (void)state;
    assert_false(lane_note_failure(lane));
    assert_false(lane_note_failure(lane));
    lane_note_success(lane);
    assert_false(lane_note_failure(lane));
    assert_false(lane_note_failure(lane));
    assert_true(lane_note_failure(lane));
    assert_int_equal(lane->mode, LANE_PARKING);
    assert_false(lane_note_failure(lane)); /* one that began before */
    assert_int_equal(lane->failure_count, 3);
    lane_park(lane, 100);
    assert_int_equal(lane_claim_count(lane), 0);
    lane_unpark(lane);
    assert_int_equal(lane_claim_count(lane), LANE_WINDOW_MAX);
    assert_true(lane_note_failure(lane)); /* the probe */
    assert_int_equal(lane->failure_count, 4);
    lane_note_success(lane);
    assert_int_equal(lane->mode, LANE_OPEN);
    assert_int_equal(lane->failure_count, 0);
    lane_destroy(lane);
}

/* Goal: a lane asks for more when half of its window is free, and for no more than fits. */
static void test_a_lane_claims_by_half_windows(void **state)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    struct lane *lane = lane_at(destination, "a/1");

    (void)state;
    assert_int_equal(lane_claim_count(lane), 0);
    lane->has_backlog = true;
    assert_int_equal(lane_claim_count(lane), LANE_WINDOW_MAX);
    queue(lane, LANE_REFILL_UNDER - 1, 1);
    assert_int_equal(lane_claim_count(lane), LANE_WINDOW_MAX - LANE_REFILL_UNDER + 1);
    lane->is_claiming = true;
    assert_int_equal(lane_claim_count(lane), 0);
    lane->is_claiming = false;
    queue(lane, 1, 1);
    assert_int_equal(lane_claim_count(lane), 0);
    free_lane(lane);
    destination_destroy(destination);
}

/* Goal: in any time of T seconds no more calls start than rate x T and a tenth of a second's worth,
 * and no fewer while there is always one to start.
 * Method: a call whenever the gate lets one, at whatever moment it names, for ten seconds. */
static void expect_rate(double rate, size_t least, size_t most)
{
    struct destination *destination = destination_new(SLICE("key"), 0);
    size_t count = 0;

    destination_set_rate(destination, rate, 0);
    for (uint64_t now_ms = 0; now_ms < 10000;) {
        uint64_t until_ms;

        while (destination_may_start(destination, now_ms)) {
            const bool is_probe = destination_start(destination);

            destination_finish(destination, DESTINATION_UNTOUCHED, is_probe, now_ms, now_ms, 0);
            count++;
        }
        until_ms = destination_shut_until_ms(destination, now_ms);
        assert_true(until_ms > now_ms);
        assert_true(until_ms <= now_ms + 1 + (uint64_t)(1000 / rate));
        now_ms = until_ms;
    }
    assert_in_range(count, least, most);
    destination_destroy(destination);
}

static void test_a_rate_is_held(void **state)
{
    (void)state;
    expect_rate(1, 10, 11);
    expect_rate(0.5, 5, 6);
    expect_rate(20, 185, 202);
    expect_rate(300, 1500, 3030); /* a moment is a whole millisecond, and names the next but one */
    expect_rate(5000, 5000, 50500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanes_share_by_bytes),
        cmocka_unit_test(test_a_backlog_does_not_delay_a_quiet_lane),
        cmocka_unit_test(test_a_batch_stays_under_its_bytes),
        cmocka_unit_test(test_alone_and_probing),
        cmocka_unit_test(test_concurrency_adapts),
        cmocka_unit_test(test_a_dead_destination_is_probed),
        cmocka_unit_test(test_a_pause_is_kept),
        cmocka_unit_test(test_preparing_is_single_flight),
        cmocka_unit_test(test_a_lane_parks_after_three_failures_in_a_row),
        cmocka_unit_test(test_a_lane_claims_by_half_windows),
        cmocka_unit_test(test_a_rate_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
