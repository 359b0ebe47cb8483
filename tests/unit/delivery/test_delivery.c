/* SPDX-License-Identifier: Apache-2.0
 *
 * test_delivery.c - the engine against the memory store and queues that misbehave.
 *
 * Each test tells one story and looks at its end: what arrived, what is dead and why, what the
 * store still owes.
 */
#include "tests/unit/delivery/delivery_world.h"

#include "core/log.h"

#define ACCOUNT "111122223333"
#define OTHER   "444455556666"
#define ROLE    "arn:aws:iam::111122223333:role/dispatch"
#define ARN(q)  "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":" q

static struct world world;

/* One worker, one account with a role, one queue behind target 1. */
static int set_up(void **state)
{
    (void)state;
    world_init(&world, 1, 7);
    (void)world_add_queue(&world, "findings");
    (void)world_add_target(&world, 1, ARN("findings"));
    (void)world_add_account(&world, ACCOUNT, ROLE);
    world_publish(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clean_up(&world);
    return 0;
}

static void expect_store(uint64_t delivered, uint64_t dead, uint64_t live)
{
    const struct store_tally_row tally = world_tally(&world);

    if (tally.delivered != delivered || tally.dead != dead || tally.live != live) {
        fail_msg("delivered %lu, dead %lu, live %lu; expected %lu, %lu, %lu",
                 (unsigned long)tally.delivered, (unsigned long)tally.dead,
                 (unsigned long)tally.live, (unsigned long)delivered, (unsigned long)dead,
                 (unsigned long)live);
    }
}

static void on_nothing(struct store_op *op)
{
    (void)op;
}

static struct world_event *send_one(const char *text)
{
    return world_send(&world, 0, ACCOUNT, 1, 0, text);
}

/* Goal: one event reaches its queue, signed as the account's role, and is settled and counted. */
static void test_the_good_path(void **state)
{
    struct world_event *event = send_one("hello");
    struct delivery_gauges gauges;

    (void)state;
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 1);
    assert_true(event->arrived_ms - event->committed_ms < 100);
    expect_store(1, 0, 0);
    assert_int_equal(world.facts[DELIVERY_FACT_DELIVERED], 1);
    assert_string_equal(world.last_target, ARN("findings"));
    assert_string_equal(world.last_rule, "central/rule0");
    assert_string_equal(world.story, "csD");
    assert_string_equal(world.queues[0].last_access_key, "dispatch:" ACCOUNT);
    delivery_read_gauges(world.engines[0], &gauges);
    assert_int_equal(gauges.held, 0);
    assert_int_equal(gauges.bytes_held, 0);
    assert_int_equal(gauges.calls, 0);
}

/* Goal: what comes together goes together, and credentials are asked for once. */
static void test_a_burst_is_batched(void **state)
{
    (void)state;
    for (size_t i = 0; i < 60; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 2000);
    expect_store(60, 0, 0);
    assert_int_equal(world.queues[0].messages, 60);
    assert_int_equal(world.queues[0].batch_max, 10);
    assert_in_range(world.queues[0].calls, 6, 10);
    assert_int_equal(world.asks, 1);
}

/* Goal: more than a window: the store keeps the backlog, and all of it arrives once. */
static void test_a_backlog_comes_from_the_store(void **state)
{
    struct delivery_gauges gauges;

    (void)state;
    world.queues[0].latency_ms = 200;
    for (size_t i = 0; i < 500; i++) {
        (void)send_one("x");
        delivery_read_gauges(world.engines[0], &gauges);
        assert_true(gauges.held <= STORE_CLAIM_MAX);
    }
    world_pass(&world, 20 * 1000);
    expect_store(500, 0, 0);
    for (size_t i = 0; i < world.event_count; i++) {
        assert_int_equal(world.events[i].arrivals, 1);
    }
}

/* Goal: of a batch that fails in part, only the failed entries go again. */
static void test_a_partial_failure_retries_only_what_failed(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_PARTIAL;
    world.queues[0].mode_count = 1;
    for (size_t i = 0; i < 10; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 10 * 1000);
    expect_store(10, 0, 0);
    assert_int_equal(world.queues[0].messages, 10);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 5);
    assert_int_equal(world.facts[DELIVERY_FACT_DELIVERED], 10);
}

/* Goal:   whatever time may heal is tried again and then delivered.
 * Method: one row per trouble that lasts two calls. */
static void test_troubles_that_heal(void **state)
{
    static const enum world_mode modes[] = {WORLD_FAIL, WORLD_THROTTLE, WORLD_HANG, WORLD_PAUSE};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct world_event *event;

        world.queues[0].mode = modes[i];
        world.queues[0].mode_count = 2;
        event = send_one("x");
        world_pass(&world, 120 * 1000);
        if (event->arrivals != 1) {
            fail_msg("mode %d: %zu arrivals", modes[i], event->arrivals);
        }
        expect_store(i + 1, 0, 0);
        assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 2 * (i + 1));
        assert_int_equal(world.last_attempt_count, 3);
    }
}

/* Goal: who follows a delivery hears of each attempt, and until when it waits. */
static void test_steps_tell_the_whole_way(void **state)
{
    const uint64_t start_ms = world.now_ms;

    (void)state;
    world.queues[0].mode = WORLD_FAIL;
    world.queues[0].mode_count = 2;
    (void)send_one("x");
    world_pass(&world, 120 * 1000);
    expect_store(1, 0, 0);
    assert_string_equal(world.story, "csrcsrcsD");
    assert_in_range(world.last_until_ms, start_ms + 1, world.now_ms);
}

/* Goal: what a lane holds when it is parked is told to wait, and comes back by a claim. */
static void test_steps_tell_of_a_park(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_FAIL;
    for (size_t i = 0; i < 40; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 60 * 1000);
    assert_true(world.steps[DELIVERY_FACT_PARKED] > 0);
    assert_true(world.last_until_ms > 0);
    world.queues[0].mode = WORLD_OK;
    world_pass(&world, 3600 * 1000);
    expect_store(40, 0, 0);
    assert_int_equal(world.steps[DELIVERY_FACT_DELIVERED], 40);
    assert_true(world.steps[DELIVERY_FACT_CLAIMED] > 40);
    assert_true(world.steps[DELIVERY_FACT_SENT] >=
                world.steps[DELIVERY_FACT_DELIVERED] + world.steps[DELIVERY_FACT_RETRIED]);
}

/* Goal: Retry-After holds the whole destination back. */
static void test_retry_after_pauses_the_destination(void **state)
{
    uint64_t paused_ms;

    (void)state;
    world.queues[0].mode = WORLD_PAUSE;
    world.queues[0].mode_count = 1;
    (void)send_one("x");
    world_pass(&world, 100);
    paused_ms = world.queues[0].last_call_ms;
    for (size_t i = 0; i < 29; i++) {
        (void)send_one("y");
        world_pass(&world, 1000);
        assert_int_equal(world.queues[0].last_call_ms, paused_ms);
    }
    world_pass(&world, 60 * 1000);
    expect_store(30, 0, 0);
}

static void count_park(void *context, const struct delivery_park *park)
{
    size_t *count = context;

    assert_true(park->until_ms > world.now_ms);
    assert_true(park->target.len > 0);
    (*count)++;
}

static size_t look_at_parks(const struct delivery_park_filter *filter, bool lifts)
{
    size_t count = 0;

    for (unsigned i = 0; i < world.worker_count; i++) {
        delivery_parks(world.engines[i], filter, lifts, count_park, &count);
    }
    return count;
}

/* Goal: a park that is lifted lets at once go what waited, although the target asked for a pause;
 *       what failed itself waits for its own turn. */
static void test_a_park_lifted_by_hand(void **state)
{
    struct delivery_park_filter filter = {.account = SLICE("000000000000")};
    struct delivery_gauges gauges;
    struct world_event *event;
    uint64_t lifted = 0;

    (void)state;
    world.queues[0].mode = WORLD_PAUSE;
    world.queues[0].mode_count = 1;
    (void)send_one("x");
    world_pass(&world, 100);
    event = send_one("y");
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 0);
    assert_int_equal(look_at_parks(&filter, true), 0);
    filter.account = (struct slice){NULL, 0};
    assert_int_equal(look_at_parks(&filter, false), 1);
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 0); /* looking lifts nothing */
    assert_int_equal(look_at_parks(&filter, true), 1);
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 1);
    expect_store(1, 0, 1);
    for (unsigned i = 0; i < world.worker_count; i++) {
        delivery_read_gauges(world.engines[i], &gauges);
        lifted += gauges.parks_lifted;
        assert_int_equal(gauges.lanes_parked, 0);
    }
    assert_int_equal(lifted, 1);
    world_pass(&world, 60 * 1000);
    expect_store(2, 0, 0);
}

/* Goal: messages that a queue took without answering arrive again: at least once, never lost. */
static void test_a_swallowed_message_is_repeated(void **state)
{
    struct world_event *event;

    (void)state;
    world.queues[0].mode = WORLD_SWALLOW;
    world.queues[0].mode_count = 1;
    event = send_one("x");
    world_pass(&world, 30 * 1000);
    assert_int_equal(event->arrivals, 2);
    expect_store(1, 0, 0);
}

/* Goal:   a permanent fault makes a dead letter with its reason, after one call. */
static void test_permanent_faults_bury(void **state)
{
    static const struct {
        enum world_mode mode;
        const char *text;
        const char *reason;
        enum err err;
    } rows[] = {
        {WORLD_DENY, "x", "NO_PERMISSIONS", ERR_REMOTE_DENIED},
        {WORLD_MISSING, "x", "NO_RESOURCE", ERR_REMOTE_MISSING},
        {WORLD_REJECT, "poison", "SDK_CLIENT_ERROR", ERR_REMOTE_REJECTED},
        {WORLD_OK, "\xEF\xBF\xBF", "invalid-message", ERR_REMOTE_REJECTED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world_event *event;

        world.queues[0].mode = rows[i].mode;
        event = send_one(rows[i].text);
        world_pass(&world, 5000);
        assert_int_equal(event->arrivals, 0);
        assert_int_equal(event->deaths, 1);
        assert_string_equal(world.last_reason, rows[i].reason);
        assert_int_equal(world.last_err, rows[i].err);
        expect_store(0, i + 1, 0);
    }
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 0);
}

/* Goal: an entry that makes the queue refuse the whole batch takes no other with it. */
static void test_a_poisoned_batch_is_split(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_REJECT;
    for (size_t i = 0; i < 10; i++) {
        (void)send_one(i == 4 ? "poison" : "x");
    }
    world_pass(&world, 5000);
    expect_store(9, 1, 0);
    assert_int_equal(world.events[4].deaths, 1);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 0); /* no attempt was spent */
}

/* Goal: expired credentials are renewed once, and the delivery goes on without losing an attempt.
 */
static void test_expired_credentials_are_renewed(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_EXPIRED;
    world.queues[0].mode_count = 1;
    (void)send_one("x");
    world_pass(&world, 5000);
    expect_store(1, 0, 0);
    assert_int_equal(world.asks, 2);
    assert_int_equal(world.renewals, 1);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 0);

    /* a service that goes on saying so is a failure like any other */
    world.queues[0].mode = WORLD_EXPIRED;
    world.queues[0].mode_count = 4;
    (void)send_one("y");
    world_pass(&world, 60 * 1000);
    expect_store(2, 0, 0);
    assert_true(world.facts[DELIVERY_FACT_RETRIED] > 0);
}

/* Goal: credentials are asked for again before they expire. */
static void test_credentials_are_fetched_again_before_they_expire(void **state)
{
    (void)state;
    world.lifetime_ms = 600 * 1000;
    (void)send_one("x");
    world_pass(&world, 1000);
    (void)send_one("x");
    world_pass(&world, 545 * 1000);
    assert_int_equal(world.asks, 1);
    (void)send_one("x");
    world_pass(&world, 1000);
    assert_int_equal(world.asks, 2);
    expect_store(3, 0, 0);
}

/* Goal: a role that may not be assumed buries at once; an STS that fails is waited for. */
static void test_a_role_that_cannot_be_assumed(void **state)
{
    (void)state;
    world.ask_err = ERR_REMOTE_DENIED;
    world.ask_err_count = 1;
    (void)send_one("x");
    world_pass(&world, 5000);
    expect_store(0, 1, 0);
    assert_string_equal(world.last_reason, "NO_PERMISSIONS");
    assert_int_equal(world.queues[0].calls, 0);

    world.ask_err = ERR_REMOTE_TIMEOUT;
    world.ask_err_count = 5;
    (void)send_one("x");
    world_pass(&world, 120 * 1000);
    expect_store(1, 1, 0);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 5);
}

/* Goal: that weir has no credentials of its own is no delivery's fault. */
static void test_own_credentials_are_waited_for(void **state)
{
    (void)state;
    world.ask_err = ERR_NO_CREDENTIALS;
    world.ask_err_count = 5;
    (void)send_one("x");
    world_pass(&world, 120 * 1000);
    expect_store(1, 0, 0);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 5);
}

/* Goal:   as whom a call is made.
 * Method: targets and accounts of every kind; the access key tells the role and the account. */
static void test_who_signs(void **state)
{
    static const struct {
        const char *what;
        const char *account;
        const char *arn;
        const char *role_arn;
        bool is_member_rule;
        const char *access_key; /* NULL: nobody, NO_PERMISSIONS */
    } rows[] = {
        {"the account's dispatch role", ACCOUNT, ARN("findings"), "", false, "dispatch:" ACCOUNT},
        {"the target's own role", ACCOUNT, ARN("findings"), "arn:aws:iam::{account}:role/mine",
         false, "mine:" ACCOUNT},
        {"weir itself, for a central target", OTHER, ARN("findings"), "", false, "own:" OTHER},
        {"nobody, for a member's rule", OTHER, ARN("findings"), "", true, NULL},
        {"nobody, for a target elsewhere", OTHER, "arn:aws:sqs:us-east-1:" OTHER ":findings", "",
         false, NULL},
    };

    (void)state;
    (void)world_add_account(&world, OTHER, "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world_target *target = world_add_target(&world, 10 + i, rows[i].arn);

        target->role_arn = rows[i].role_arn;
        target->is_member_rule = rows[i].is_member_rule;
    }
    world_publish(&world);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world_event *event = world_send(&world, 0, rows[i].account, 10 + i, 0, "x");

        world_pass(&world, 1000);
        if ((rows[i].access_key != NULL) != (event->arrivals == 1)) {
            fail_msg("%s: %zu arrivals", rows[i].what, event->arrivals);
        }
        if (rows[i].access_key != NULL) {
            assert_string_equal(world.queues[0].last_access_key, rows[i].access_key);
        } else {
            assert_int_equal(event->deaths, 1);
            assert_string_equal(world.last_reason, "NO_PERMISSIONS");
        }
    }
}

/* Goal: two accounts under one role at one queue: each call is signed for the account of all its
 *       messages, so none mixes them. */
static void test_accounts_never_share_a_call(void **state)
{
    struct world_target *target = world_add_target(&world, 2, ARN("findings"));

    (void)state;
    target->role_arn = "arn:aws:iam::" WORLD_CENTRAL ":role/shared";
    (void)world_add_account(&world, OTHER, "");
    world_publish(&world);
    for (size_t i = 0; i < 40; i++) {
        (void)world_send(&world, 0, i % 2 == 0 ? ACCOUNT : OTHER, 2, 0, "x");
    }
    world_pass(&world, 5000);
    expect_store(40, 0, 0);
    assert_int_equal(world.asks, 2);
    assert_int_equal(world.mixed_calls, 0);
}

/* Goal: a removed target buries what waits for it, with the reason; what is in flight may finish.
 */
static void test_a_removed_target_buries(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_FAIL;
    (void)send_one("x");
    world_pass(&world, 50); /* it has failed once and waits in the store */
    world.queues[0].mode = WORLD_HANG;
    (void)send_one("y");
    world_pass(&world, 50); /* in flight */
    world.targets[0].is_gone = true;
    world_publish(&world);
    world_pass(&world, 20 * 1000);
    expect_store(0, 2, 0);
    assert_string_equal(world.last_reason, "target-removed");

    /* and what comes later */
    (void)send_one("z");
    world_pass(&world, 1000);
    expect_store(0, 3, 0);
}

/* Goal: a target that only a newer snapshot knows is waited for, not buried; one that nobody ever
 *       hears of is. */
static void test_an_unknown_target_gets_a_grace(void **state)
{
    struct world_event *event = world_send(&world, 0, ACCOUNT, 2, 0, "early");

    (void)state;
    world_pass(&world, 2000);
    assert_int_equal(event->deaths + event->arrivals, 0);
    (void)world_add_target(&world, 2, ARN("findings"));
    world_publish(&world);
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 1);

    event = world_send(&world, 0, ACCOUNT, 77, 0, "never");
    world_pass(&world, 10 * 1000);
    assert_int_equal(event->deaths, 1);
    assert_string_equal(world.last_reason, "target-removed");
}

/* Goal: deliveries of a suspended account wait, and go on when it is resumed. */
static void test_a_suspended_account_waits(void **state)
{
    (void)state;
    world.accounts[0].is_suspended = true;
    world_publish(&world);
    for (size_t i = 0; i < 100; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 600 * 1000);
    assert_int_equal(world.queues[0].calls, 0);
    expect_store(0, 0, 100);
    world.accounts[0].is_suspended = false;
    world_publish(&world);
    world_pass(&world, 120 * 1000);
    expect_store(100, 0, 0);
    for (size_t i = 0; i < world.event_count; i++) {
        assert_int_equal(world.events[i].arrivals, 1);
    }
}

/* Goal: what a process leaves behind, the next one finds by STORE_LANES and finishes. */
static void test_a_restart_takes_over(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_FAIL;
    for (size_t i = 0; i < 200; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 3000);
    world_stop_engines(&world);
    expect_store(0, 0, 200);

    world.queues[0].mode = WORLD_OK;
    world_add_engines(&world, 1, 0);
    world_publish(&world);
    for (size_t i = 0; i < 120 && world_tally(&world).live > 0; i++) {
        (void)world_sweep(&world);
        world_pass(&world, 5000);
    }
    expect_store(200, 0, 0);
    assert_int_equal(world.queues[0].messages, 200);
}

/* Goal: an outcome that comes after the claim has ended changes nothing, and is counted. */
static void test_a_lost_claim_changes_nothing(void **state)
{
    struct store_park park = {.op = {.kind = STORE_PARK, .home = &world.mailboxes[0]},
                              .lane = ACCOUNT "/1"};

    (void)state;
    world.queues[0].mode = WORLD_HANG;
    world.queues[0].mode_count = 1;
    (void)send_one("x");
    world_pass(&world, 100); /* in flight; now somebody ends its claim */
    park.op.on_done = on_nothing;
    world.memory->ops->submit(world.memory, &park.op);
    world_pass(&world, 120 * 1000);
    assert_int_equal(world.facts[DELIVERY_FACT_CLAIM_LOST], 1);
    expect_store(1, 0, 0);
}

/* Goal:   a store that refuses an operation costs time, not a delivery.
 * Method: each kind of operation refused once. */
static void test_a_store_that_refuses(void **state)
{
    static const enum store_op_kind kinds[] = {STORE_SETTLE, STORE_RETRY, STORE_CLAIM, STORE_BURY,
                                               STORE_PARK};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct world_event *event;

        world.refused_kind = kinds[i];
        world.refused_err = ERR_STORE_FAILED;
        world.refused_count = 1;
        world.queues[0].mode = kinds[i] == STORE_BURY     ? WORLD_MISSING
                               : kinds[i] == STORE_SETTLE ? WORLD_OK
                                                          : WORLD_FAIL;
        world.queues[0].mode_count = 5;
        event = send_one("x");
        world_pass(&world, 400 * 1000);
        assert_int_equal(world.refused_count, 0);
        if (event->arrivals + event->deaths < 1) {
            fail_msg("after a refused operation of kind %d it never ended", kinds[i]);
        }
        assert_int_equal(world_tally(&world).live, 0);
    }
}

/* Goal: when attempts or age end, the delivery is dead with that reason. */
static void test_budgets_end_in_dead_letters(void **state)
{
    (void)state;
    world.targets[0].attempts_max = 2;
    world_publish(&world);
    world.queues[0].mode = WORLD_FAIL;
    (void)send_one("x");
    world_pass(&world, 60 * 1000);
    assert_string_equal(world.last_reason, "attempts-exhausted");
    assert_int_equal(world.last_attempt_count, 3);
    expect_store(0, 1, 0);

    world.targets[0].attempts_max = 185;
    world.targets[0].age_max_ms = 60 * 1000;
    world_publish(&world);
    for (size_t i = 0; i < 100; i++) {
        (void)send_one("y");
    }
    world_pass(&world, 3600 * 1000);
    assert_string_equal(world.last_reason, "age-exhausted");
    expect_store(0, 101, 0);
}

/* Goal: however much is owed, an engine holds no more bytes than it may. */
static void test_memory_is_bounded(void **state)
{
    enum { MEMORY = 16 * 4096 };
    struct delivery_gauges gauges;
    size_t most = 0;

    (void)state;
    world_stop_engines(&world);
    world_add_engines(&world, 1, MEMORY);
    world_publish(&world);
    for (uint64_t uid = 2; uid <= 6; uid++) {
        (void)world_add_target(&world, uid, ARN("findings"));
    }
    world_publish(&world);
    world.queues[0].latency_ms = 500;
    for (size_t i = 0; i < 1000; i++) {
        char text[1001];

        memset(text, 'x', 1000);
        text[1000] = '\0';
        (void)world_send(&world, 0, ACCOUNT, 1 + i % 6, 0, text);
        world_settle(&world);
        delivery_read_gauges(world.engines[0], &gauges);
        most = MAX_OF(most, gauges.bytes_held);
    }
    for (size_t i = 0; i < 600; i++) {
        world_pass(&world, 1000);
        delivery_read_gauges(world.engines[0], &gauges);
        most = MAX_OF(most, gauges.bytes_held);
    }
    expect_store(1000, 0, 0);
    assert_in_range(most, MEMORY / 4, MEMORY + 4096);
}

/* Goal: behind an endpoint override a queue is looked up once, single flight, then used. */
static void test_the_queue_url_is_looked_up_once(void **state)
{
    const struct target_endpoint endpoint = {.url = SLICE_INIT("http://127.0.0.1:4566")};
    struct delivery_options options;

    (void)state;
    delivery_destroy(world.engines[0]);
    options = (struct delivery_options){.mailbox = &world.mailboxes[0],
                                        .store = &world.store,
                                        .endpoints = &endpoint,
                                        .endpoint_count = 1,
                                        .hooks = {.context = &world, .on_fact = world_on_fact},
                                        .io = &world.io};
    world.engines[0] = delivery_new(&options);
    delivery_use(world.engines[0], world.directory, world.ruleset);

    world.queues[0].mode = WORLD_FAIL; /* the lookup fails at first */
    world.queues[0].mode_count = 1;
    for (size_t i = 0; i < 30; i++) {
        (void)send_one("x");
    }
    world_pass(&world, 60 * 1000);
    expect_store(30, 0, 0);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 10); /* whom it was looked up for */
    assert_int_equal(world.queues[0].lookups, 2);
}

/* Goal: a stop of the HTTP client costs no attempt; the store still owes the delivery. */
static void test_a_stop_costs_no_attempt(void **state)
{
    (void)state;
    world.queues[0].mode = WORLD_STOP;
    world.queues[0].mode_count = 1;
    (void)send_one("x");
    world_pass(&world, 1000);
    expect_store(0, 0, 1);
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 0);
    world_pass(&world, 120 * 1000);
    expect_store(1, 0, 0);
    assert_int_equal(world.last_attempt_count, 1);
}

/* Goal: while an engine drains, what is in flight ends and nothing else starts. */
static void test_a_drain_ends_what_is_in_flight(void **state)
{
    bool is_idle = false;

    (void)state;
    world.queues[0].latency_ms = 1000;
    (void)send_one("x");
    world_pass(&world, 100);
    delivery_drain(world.engines[0], world_on_idle, &is_idle);
    assert_false(delivery_may_claim(world.engines[0], SLICE(ACCOUNT "/1")));
    (void)send_one("y");
    world_pass(&world, 500);
    assert_false(is_idle);
    world_pass(&world, 1000);
    assert_true(is_idle);
    assert_int_equal(world.queues[0].messages, 1);
    expect_store(1, 0, 1);
}

/* Goal: with several workers every destination is served by one, wherever its events come in. */
static void test_a_destination_belongs_to_one_worker(void **state)
{
    (void)state;
    world_stop_engines(&world);
    world_add_engines(&world, 4, 0);
    (void)world_add_queue(&world, "other");
    (void)world_add_target(&world, 2, ARN("other"));
    (void)world_add_account(&world, OTHER, "arn:aws:iam::" OTHER ":role/dispatch");
    world_publish(&world);
    for (size_t i = 0; i < 400; i++) {
        (void)world_send(&world, i % 4, i % 3 == 0 ? OTHER : ACCOUNT, 1 + i % 2, i % 2, "x");
        world_pass(&world, i % 7 == 0 ? 5 : 0);
    }
    world_pass(&world, 20 * 1000);
    expect_store(400, 0, 0);
    for (unsigned w = 0; w < 4; w++) {
        const struct destination *destination;
        size_t cursor = 0;

        while ((destination = map_next(&world.engines[w]->destinations, &cursor)) != NULL) {
            const char *names[] = {ACCOUNT "/1", ACCOUNT "/2", OTHER "/1", OTHER "/2"};
            bool is_owned = false;

            if (destination->credentials == NULL) {
                continue; /* known here, served elsewhere */
            }
            for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                const struct lane *lane = map_get(&world.engines[w]->lanes, slice_of(names[i]));

                is_owned = is_owned || (lane != NULL && lane->destination == destination &&
                                        delivery_owner(world.directory, world.ruleset,
                                                       slice_of(names[i]), 4) == w);
            }
            assert_true(is_owned);
        }
    }
    assert_int_equal(world.asks, 4); /* one per destination */
}

/* Goal: when a snapshot gives a lane to another worker, what waits goes there and arrives once. */
static void test_a_lane_moves_with_its_destination(void **state)
{
    unsigned before;
    unsigned after;
    char role[64];

    (void)state;
    world_stop_engines(&world);
    world_add_engines(&world, 4, 0);
    world_publish(&world);
    before = delivery_owner(world.directory, world.ruleset, SLICE(ACCOUNT "/1"), 4);
    world.queues[0].latency_ms = 1000;
    for (size_t i = 0; i < 200; i++) {
        (void)world_send(&world, i % 4, ACCOUNT, 1, 0, "x");
    }
    world_pass(&world, 1500);
    for (unsigned i = 0; after = before, i < 64; i++) {
        (void)snprintf(role, sizeof(role), "arn:aws:iam::" ACCOUNT ":role/r%u", i);
        world.accounts[0].role_arn = role;
        world_publish(&world);
        after = delivery_owner(world.directory, world.ruleset, SLICE(ACCOUNT "/1"), 4);
        if (after != before) {
            break;
        }
    }
    assert_int_not_equal(before, after);
    world_pass(&world, 60 * 1000);
    expect_store(200, 0, 0);
    for (size_t i = 0; i < world.event_count; i++) {
        assert_int_equal(world.events[i].arrivals, 1);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Goal:   a wall clock that was a day ahead and is put back costs nothing once it is right.
 * Method: the engine works in the wrong day, so that its time follows; then a fresh event. */
static void test_a_clock_that_was_ahead(void **state)
{
    const uint64_t day_ms = (uint64_t)24 * 3600 * 1000;
    struct world_event *event;

    (void)state;
    world.now_ms += day_ms;
    (void)send_one("in the wrong day");
    world_pass(&world, 1000);
    expect_store(1, 0, 0);
    world.now_ms -= day_ms;
    event = send_one("in the right one");
    world_pass(&world, 1000);
    assert_true(event->arrivals == 1 && event->arrived_ms - event->committed_ms < 100);
    world.queues[0].mode = WORLD_FAIL;
    world.queues[0].mode_count = 1;
    event = send_one("fails once");
    world_pass(&world, 60 * 1000);
    assert_int_equal(event->arrivals, 1);
    expect_store(3, 0, 0);
}

/* Goal:   a breaker that opened and a lane that was parked in the wrong day do not stay so until
 *         that day comes.
 * Method: enough failures to open it; what failed is due in the wrong day and stays in the store,
 *         what comes when the clock is right is delivered within the longest pause. */
static void test_a_pause_begun_with_a_clock_ahead(void **state)
{
    const uint64_t day_ms = (uint64_t)24 * 3600 * 1000;
    struct world_event *event;

    (void)state;
    world.now_ms += day_ms;
    world.queues[0].mode = WORLD_FAIL;
    world.queues[0].mode_count = 0;
    for (size_t i = 0; i < 60; i++) {
        (void)send_one("x");
        world_pass(&world, 200);
    }
    assert_true(world.parks > 0);
    world.queues[0].mode = WORLD_OK;
    world.now_ms -= day_ms;
    event = send_one("in the right day");
    world_pass(&world, 60 * 1000);
    assert_int_equal(event->arrivals, 1);
    assert_int_equal(world_tally(&world).dead, 0);
    world_pass(&world, day_ms + 3600 * 1000);
    expect_store(61, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_the_good_path),
        STORY(test_steps_tell_the_whole_way),
        STORY(test_steps_tell_of_a_park),
        STORY(test_a_burst_is_batched),
        STORY(test_a_backlog_comes_from_the_store),
        STORY(test_a_partial_failure_retries_only_what_failed),
        STORY(test_troubles_that_heal),
        STORY(test_retry_after_pauses_the_destination),
        STORY(test_a_park_lifted_by_hand),
        STORY(test_a_swallowed_message_is_repeated),
        STORY(test_permanent_faults_bury),
        STORY(test_a_poisoned_batch_is_split),
        STORY(test_expired_credentials_are_renewed),
        STORY(test_credentials_are_fetched_again_before_they_expire),
        STORY(test_a_role_that_cannot_be_assumed),
        STORY(test_own_credentials_are_waited_for),
        STORY(test_who_signs),
        STORY(test_accounts_never_share_a_call),
        STORY(test_a_removed_target_buries),
        STORY(test_an_unknown_target_gets_a_grace),
        STORY(test_a_suspended_account_waits),
        STORY(test_a_restart_takes_over),
        STORY(test_a_lost_claim_changes_nothing),
        STORY(test_a_store_that_refuses),
        STORY(test_budgets_end_in_dead_letters),
        STORY(test_memory_is_bounded),
        STORY(test_the_queue_url_is_looked_up_once),
        STORY(test_a_stop_costs_no_attempt),
        STORY(test_a_drain_ends_what_is_in_flight),
        STORY(test_a_destination_belongs_to_one_worker),
        STORY(test_a_lane_moves_with_its_destination),
        STORY(test_a_clock_that_was_ahead),
        STORY(test_a_pause_begun_with_a_clock_ahead),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
