/* SPDX-License-Identifier: Apache-2.0
 *
 * model_delivery.c - random lives of delivery engines: nothing is lost, nothing is invented, and
 * what is broken harms only itself.
 *
 * Each run draws everything from one seed: how many workers, what comes in where, how each queue
 * behaves from moment to moment, refusals of the store and of STS, suspended accounts, removed
 * targets, new roles, restarts.  At every step the books must balance; in the end everything is
 * healed and every event must have ended once.
 *
 * Reproduce one run with WEIR_SEED=N; WEIR_RUNS=N makes more.
 */
#include "tests/unit/delivery/delivery_world.h"

#include "core/log.h"

enum { QUEUES = 4, ACCOUNTS = 3, STEPS = 400, RUNS = 6 };

static const char *const accounts[ACCOUNTS] = {"111122223333", "444455556666", "777788889999"};
static const char *const roles[2][ACCOUNTS] = {
    {"arn:aws:iam::111122223333:role/a", "", "arn:aws:iam::777788889999:role/a"},
    {"arn:aws:iam::111122223333:role/b", "arn:aws:iam::444455556666:role/b", ""},
};
static const char *const queue_names[QUEUES] = {"one", "two", "three", "four.fifo"};
static const char *const arns[QUEUES] = {"arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":one",
                                         "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":two",
                                         "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":three",
                                         "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":four.fifo"};

static struct world world;

static uint64_t draw(uint64_t *state, uint64_t below)
{
    return retry_seed_next(state) % below;
}

/* ---- what must hold at every moment -------------------------------------------------------- */

/* Every delivery in memory stands in one place, and the counts agree with the places. */
static void check_engine(struct delivery_engine *engine)
{
    const struct lane *lane;
    size_t cursor = 0;
    size_t held = 0;
    size_t out = 0;
    size_t on_calls = 0;
    size_t calls = 0;

    while ((lane = map_next(&engine->lanes, &cursor)) != NULL) {
        held += lane_held_count(lane);
        out += lane->out_count;
        assert_true(lane_held_count(lane) <= LANE_WINDOW_MAX);
        for (size_t i = 0; i < lane->window.count; i++) {
            const struct delivery *delivery =
                CONTAINER_OF(lane->window.nodes[i], struct delivery, due);

            assert_int_equal(delivery->sm.state, DELIVERY_QUEUED);
            assert_ptr_equal(delivery->lane, lane);
        }
        if (lane->mode == LANE_PARKED) {
            assert_int_equal(lane->window.count + lane->out_count, 0);
        }
        if (lane->mode == LANE_PROBING) {
            assert_true(lane->out_count <= 1);
        }
    }
    LIST_FOREACH (node, &engine->calls) {
        const struct call *call = CONTAINER_OF(node, struct call, node);

        calls++;
        assert_true(call->destination->call_count <= DESTINATION_CALLS_MAX);
        LIST_FOREACH (other, &call->deliveries) {
            const struct delivery *delivery = CONTAINER_OF(other, struct delivery, node);

            on_calls++;
            assert_int_equal(delivery->sm.state,
                             call->stage == CALL_SEND ? DELIVERY_IN_FLIGHT : DELIVERY_READY);
        }
    }
    assert_int_equal(held, engine->held_count);
    assert_int_equal(out, on_calls);
    assert_int_equal(calls, engine->call_count);
    assert_true(engine->bytes_held + engine->bytes_reserved <=
                engine->options.memory_bytes_max + engine->options.event_bytes_max);
}

static void check_books(void)
{
    const struct store_tally_row tally = world_tally(&world);

    for (unsigned i = 0; i < world.worker_count; i++) {
        check_engine(world.engines[i]);
    }
    assert_int_equal(tally.created, world.event_count);
    assert_int_equal(tally.created, tally.delivered + tally.live + tally.dead);
    for (size_t i = 0; i < world.event_count; i++) {
        /* what is dead was buried once */
        assert_true(world.events[i].deaths <= 1);
    }
}

/* ---- what happens -------------------------------------------------------------------------- */

static void send_some(uint64_t *seed)
{
    const size_t count = draw(seed, 10) == 0 ? draw(seed, 150) : draw(seed, 4);

    for (size_t i = 0; i < count && world.event_count < WORLD_EVENTS_MAX; i++) {
        const size_t queue = draw(seed, QUEUES);

        (void)world_send(&world, (unsigned)draw(seed, world.worker_count),
                         accounts[draw(seed, ACCOUNTS)], 1 + queue, queue,
                         draw(seed, 50) == 0 ? "poison" : "fine");
    }
}

static void break_something(uint64_t *seed)
{
    static const enum world_mode modes[] = {
        WORLD_OK,      WORLD_OK,      WORLD_FAIL,  WORLD_FAIL,    WORLD_HANG,   WORLD_THROTTLE,
        WORLD_PARTIAL, WORLD_EXPIRED, WORLD_PAUSE, WORLD_SWALLOW, WORLD_REJECT, WORLD_STOP};
    static const enum store_op_kind kinds[] = {STORE_SETTLE, STORE_RETRY, STORE_CLAIM, STORE_BURY,
                                               STORE_PARK};
    static const enum err errs[] = {ERR_STORE_FAILED, ERR_STORE_BUSY};
    struct world_queue *queue = &world.queues[draw(seed, QUEUES)];

    switch (draw(seed, 6)) {
    case 0:
    case 1:
        queue->mode = modes[draw(seed, ARRAY_LEN(modes))];
        queue->mode_count = (unsigned)draw(seed, 60);
        queue->latency_ms = (unsigned)draw(seed, 400);
        break;
    case 2:
        world.refused_kind = kinds[draw(seed, ARRAY_LEN(kinds))];
        world.refused_err = errs[draw(seed, ARRAY_LEN(errs))];
        world.refused_count = (unsigned)draw(seed, 4);
        break;
    case 3:
        world.ask_err = draw(seed, 2) == 0 ? ERR_REMOTE_TIMEOUT : ERR_REMOTE_THROTTLED;
        world.ask_err_count = 1 + (unsigned)draw(seed, 5);
        world.lifetime_ms = draw(seed, 3) * 300 * 1000;
        break;
    case 4:
        world.accounts[draw(seed, ACCOUNTS)].is_suspended = draw(seed, 2) == 0;
        world.accounts[draw(seed, ACCOUNTS)].role_arn = roles[draw(seed, 2)][0];
        world_publish(&world);
        break;
    case 5:
    default: {
        const size_t account = draw(seed, ACCOUNTS);

        world.accounts[account].role_arn = roles[draw(seed, 2)][account];
        world_publish(&world);
        break;
    }
    }
}

static void restart(uint64_t *seed, size_t memory_bytes_max)
{
    world_stop_engines(&world);
    world_add_engines(&world, 1 + (unsigned)draw(seed, WORLD_WORKERS_MAX), memory_bytes_max);
    world_publish(&world);
    (void)world_sweep(&world);
}

static void heal(void)
{
    world.refused_count = 0;
    world.ask_err = ERR_OK;
    world.ask_err_count = 0;
    for (size_t i = 0; i < QUEUES; i++) {
        world.queues[i].mode = WORLD_OK;
        world.queues[i].latency_ms = 5;
    }
    for (size_t i = 0; i < ACCOUNTS; i++) {
        world.accounts[i].is_suspended = false;
    }
    world_publish(&world);
}

static void start(uint64_t *seed, size_t memory_bytes_max)
{
    world_init(&world, 1 + (unsigned)draw(seed, WORLD_WORKERS_MAX), *seed);
    for (size_t i = 0; i < QUEUES; i++) {
        (void)world_add_queue(&world, queue_names[i]);
        (void)world_add_target(&world, 1 + i, arns[i]);
    }
    for (size_t i = 0; i < ACCOUNTS; i++) {
        (void)world_add_account(&world, accounts[i], roles[0][i]);
    }
    world_publish(&world);
    if (memory_bytes_max > 0) {
        restart(seed, memory_bytes_max);
    }
}

/* A life of STEPS random steps, then healing: whatever was accepted has ended, once. */
static void live(uint64_t first_seed)
{
    uint64_t seed = first_seed;
    const size_t memory_bytes_max = draw(&seed, 3) == 0 ? 40 * 4096 : 0;
    size_t repeats = 0;

    start(&seed, memory_bytes_max);
    for (size_t step = 0; step < STEPS; step++) {
        send_some(&seed);
        if (draw(&seed, 8) == 0) {
            break_something(&seed);
        }
        if (draw(&seed, 150) == 0) {
            restart(&seed, memory_bytes_max);
        }
        world_pass(&world, draw(&seed, 10) == 0 ? draw(&seed, 60 * 1000) : draw(&seed, 300));
        check_books();
        if (draw(&seed, 20) == 0) {
            (void)world_sweep(&world);
        }
    }
    heal();
    for (size_t i = 0; i < 800 && world_tally(&world).live > 0; i++) {
        (void)world_sweep(&world);
        world_pass(&world, 5000);
        check_books();
    }
    for (size_t i = 0; i < world.event_count; i++) {
        const struct world_event *event = &world.events[i];

        if (event->arrivals + event->deaths == 0) {
            fail_msg("seed %lu: %s was lost", (unsigned long)first_seed, event->id);
        }
        repeats += event->arrivals > 1 ? event->arrivals - 1 : 0;
    }
    assert_int_equal(world.mixed_calls, 0);
    /* at least once, and more than once only where nobody told us of the first time */
    assert_true(repeats <= world.repeats_due);
    if (world_tally(&world).live > 0) {
        fail_msg("seed %lu: %lu still live", (unsigned long)first_seed,
                 (unsigned long)world_tally(&world).live);
    }
    print_message("seed %lu: %zu events, %zu dead, %zu repeats of %zu\n", (unsigned long)first_seed,
                  world.event_count, world.facts[DELIVERY_FACT_DEAD], repeats, world.repeats_due);
    world_clean_up(&world);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t value;

    return text != NULL && slice_to_u64(slice_of(text), &value) ? value : otherwise;
}

static void test_nothing_is_lost(void **state)
{
    const uint64_t only = from_environment("WEIR_SEED", 0);
    const uint64_t runs = from_environment("WEIR_RUNS", RUNS);

    (void)state;
    if (only != 0) {
        live(only);
        return;
    }
    for (uint64_t seed = 1; seed <= runs; seed++) {
        live(seed);
    }
}

/* Goal:   a queue that swallows every call without answering does not delay another queue, even if
 *         the same worker serves both and the dead one has a large backlog.
 * Method: an hour; a thousand events for the dead queue, one a second for the healthy one. */
static void test_a_black_hole_delays_nobody(void **state)
{
    uint64_t seed = 99;
    uint64_t worst_ms = 0;

    (void)state;
    start(&seed, 0);
    world_stop_engines(&world);
    world_add_engines(&world, 1, 0);
    world_publish(&world);
    world.queues[0].mode = WORLD_HANG;
    for (size_t i = 0; i < 1000; i++) {
        (void)world_send(&world, 0, accounts[i % ACCOUNTS], 1, 0, "x");
    }
    for (size_t i = 0; i < 3600; i++) {
        struct world_event *event = world_send(&world, 0, accounts[i % ACCOUNTS], 2, 1, "x");

        world_pass(&world, 1000);
        assert_int_equal(event->arrivals, 1);
        worst_ms = MAX_OF(worst_ms, event->arrived_ms - event->committed_ms);
    }
    assert_true(worst_ms < 100);
    check_books();
    assert_int_equal(world_tally(&world).live, 1000);
    world_clean_up(&world);
}

/* Goal:   a dead lane costs one call per interval, whatever waits in it, and only those that
 *         probed have spent attempts; when the queue is back everything arrives.
 * Method: 23 hours of outage with 1,000 events waiting. */
static void test_a_parked_lane_costs_one_probe_per_interval(void **state)
{
    uint64_t seed = 5;
    size_t calls;

    (void)state;
    start(&seed, 0);
    world.queues[0].mode = WORLD_FAIL;
    for (size_t i = 0; i < 1000; i++) {
        (void)world_send(&world, 0, accounts[0], 1, 0, "x");
        world_pass(&world, 10);
    }
    /* without the park, the breaker alone would let 20 calls of 10 through */
    assert_true(world.queues[0].calls < BREAKER_CALLS_MIN);
    assert_true(world.facts[DELIVERY_FACT_RETRIED] < BREAKER_CALLS_MIN * 2);
    world_pass(&world, 3600 * 1000);
    calls = world.queues[0].calls;
    for (size_t i = 0; i < 22; i++) {
        world_pass(&world, 3600 * 1000);
    }
    /* full jitter up to 15 minutes: eight an hour on average */
    assert_in_range(world.queues[0].calls - calls, 22 * 4, 22 * 13);
    assert_int_equal(world_tally(&world).live, 1000);
    assert_true(world.facts[DELIVERY_FACT_RETRIED] < 1000);
    heal();
    world_pass(&world, 3600 * 1000);
    assert_int_equal(world_tally(&world).delivered, 1000);
    for (size_t i = 0; i < world.event_count; i++) {
        assert_int_equal(world.events[i].arrivals, 1);
    }
    world_clean_up(&world);
}

/* Goal: accounts behind one destination get through at the same pace, whoever has more waiting. */
static void test_accounts_share_a_destination(void **state)
{
    static const char *const ids[] = {"111111111111", "222222222222"};
    uint64_t last_quiet_ms = 0;
    size_t arrived_noisy = 0;

    (void)state;
    world_init(&world, 1, 3);
    (void)world_add_queue(&world, "shared");
    (void)world_add_target(&world, 1, "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":shared");
    (void)world_add_account(&world, ids[0], "");
    (void)world_add_account(&world, ids[1], "");
    world_publish(&world);
    world.queues[0].latency_ms = 200;
    for (size_t i = 0; i < 3000; i++) {
        (void)world_send(&world, 0, ids[0], 1, 0, "noisy");
    }
    for (size_t i = 0; i < 100; i++) {
        (void)world_send(&world, 0, ids[1], 1, 0, "quiet");
    }
    world_pass(&world, 300 * 1000);
    assert_int_equal(world_tally(&world).delivered, 3100);
    for (size_t i = 3000; i < 3100; i++) {
        last_quiet_ms = MAX_OF(last_quiet_ms, world.events[i].arrived_ms);
    }
    for (size_t i = 0; i < 3000; i++) {
        arrived_noisy += world.events[i].arrived_ms <= last_quiet_ms ? 1 : 0;
    }
    assert_true(arrived_noisy < 400); /* not the 3,000 that came first */
    world_clean_up(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost),
        cmocka_unit_test(test_a_black_hole_delays_nobody),
        cmocka_unit_test(test_a_parked_lane_costs_one_probe_per_interval),
        cmocka_unit_test(test_accounts_share_a_destination),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
