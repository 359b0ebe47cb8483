/* SPDX-License-Identifier: Apache-2.0
 *
 * test_delivery_dlq.c - the copy of a dead letter for its target's queue: once per death, whatever
 * the store or the queue does in between.
 */
#include "tests/unit/delivery/delivery_world.h"

#define ACCOUNT "111122223333"
#define ROLE    "arn:aws:iam::111122223333:role/dispatch"
#define ARN(q)  "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":" q

enum { TARGET, DLQ };

static struct world world;

/* Target 1 is the queue "findings", whose dead letters go to "graves". */
static int set_up(void **state)
{
    (void)state;
    world_init(&world, 1, 11);
    (void)world_add_queue(&world, "findings");
    (void)world_add_queue(&world, "graves");
    world.queues[DLQ].is_dlq = true;
    world_add_target(&world, 1, ARN("findings"))->dlq_arn = ARN("graves");
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

static void send_one(void)
{
    (void)world_send(&world, 0, ACCOUNT, 1, TARGET, "x");
}

static void expect_copies(size_t sent, size_t dead, size_t live)
{
    const struct store_tally_row tally = world_tally(&world);

    if (world.queues[DLQ].messages != sent || tally.dead != dead || tally.live != live) {
        fail_msg("%zu copies, %lu dead, %lu live; expected %zu, %zu, %zu",
                 world.queues[DLQ].messages, (unsigned long)tally.dead, (unsigned long)tally.live,
                 sent, dead, live);
    }
    assert_int_equal(tally.created,
                     tally.delivered + tally.dropped + tally.expired + tally.live + tally.dead);
}

static void expect_told(const char *text)
{
    if (strstr(world.queues[DLQ].last_message, text) == NULL) {
        fail_msg("not told %s: %s", text, world.queues[DLQ].last_message);
    }
}

/* Goal: a permanent fault is buried, and copied as it was with the reason beside it. */
static void test_a_dead_letter_is_copied(void **state)
{
    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    send_one();
    world_pass(&world, 5000);
    expect_copies(1, 1, 0);
    assert_string_equal(world.last_reason, "NO_RESOURCE");
    assert_int_equal(world.copy_facts[DELIVERY_FACT_DELIVERED], 1);
    expect_told("\"MessageBody\":\"{\\\"version\\\":\\\"0\\\",\\\"id\\\":\\\"event-000000\\\"");
    expect_told("\"RULE_ARN\":{\"DataType\":\"String\",\"StringValue\":\"arn\"}");
    expect_told("\"TARGET_ARN\":{\"DataType\":\"String\",\"StringValue\":\"" ARN("findings") "\"}");
    expect_told("\"ERROR_CODE\":{\"DataType\":\"String\",\"StringValue\":\"NO_RESOURCE\"}");
    expect_told("\"ERROR_MESSAGE\":{\"DataType\":\"String\",\"StringValue\":\"QueueDoesNotExist");
    assert_null(strstr(world.queues[DLQ].last_message, "EXHAUSTED_RETRY_CONDITION"));
    /* the queue is the central account's: weir's own credentials, not the event account's role */
    assert_int_equal(strncmp(world.queues[DLQ].last_access_key, "own:", 4), 0);
}

/* Goal: what ended the retries is told. */
static void test_a_spent_budget_is_told(void **state)
{
    (void)state;
    world.targets[0].attempts_max = 2;
    world_publish(&world);
    world.queues[TARGET].mode = WORLD_THROTTLE;
    send_one();
    world_pass(&world, 60 * 1000);
    expect_copies(1, 1, 0);
    expect_told("\"ERROR_CODE\":{\"DataType\":\"String\",\"StringValue\":\"THROTTLING\"}");
    expect_told("\"EXHAUSTED_RETRY_CONDITION\":{\"DataType\":\"String\","
                "\"StringValue\":\"MaximumRetryAttempts\"}");
    expect_told("\"RETRY_ATTEMPTS\":{\"DataType\":\"String\",\"StringValue\":\"2\"}");

    world.targets[0].attempts_max = 185;
    world.targets[0].age_max_ms = 60 * 1000;
    world_publish(&world);
    world.queues[TARGET].mode = WORLD_HANG;
    send_one();
    world_pass(&world, 600 * 1000);
    expect_copies(2, 2, 0);
    expect_told("\"StringValue\":\"TIMEOUT\"");
    expect_told("\"StringValue\":\"MaximumEventAgeInSeconds\"");
}

/* Goal: a role that cannot be assumed is a death like another, and costs its queue nothing. */
static void test_no_permission_to_assume(void **state)
{
    (void)state;
    world.ask_err = ERR_REMOTE_DENIED;
    world.ask_err_count = 1;
    send_one();
    world_pass(&world, 10 * 1000);
    expect_copies(1, 1, 0);
    expect_told("\"ERROR_CODE\":{\"DataType\":\"String\",\"StringValue\":\"NO_PERMISSIONS\"}");
}

/* Goal:   one copy per death, whichever step the store refuses; never a burial without it.
 * Method: the commit of the copy refused, the burial refused, the settle of the copy refused. */
static void test_a_store_that_refuses_costs_no_copy(void **state)
{
    static const enum store_op_kind kinds[] = {STORE_COMMIT, STORE_BURY};

    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        world.refused_kind = kinds[i];
        world.refused_err = ERR_STORE_FULL;
        world.refused_count = 1;
        send_one();
        world_pass(&world, 1000);
        assert_int_equal(world.refused_count, 0);
        assert_int_equal(world_tally(&world).dead, i); /* not yet */
        world_pass(&world, 400 * 1000);
        expect_copies(i + 1, i + 1, 0);
    }
}

/* Goal:   a process that ends between the two steps leaves either both or what makes both again.
 * Method: engines stopped with the queue hanging; new ones on the same store. */
static void test_a_restart_sends_what_was_kept(void **state)
{
    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    world.queues[DLQ].mode = WORLD_FAIL;
    for (size_t i = 0; i < 20; i++) {
        send_one();
    }
    world_pass(&world, 3000);
    expect_copies(0, 20, 20);
    world_stop_engines(&world);

    world.queues[DLQ].mode = WORLD_OK;
    world_add_engines(&world, 1, 0);
    world_publish(&world);
    for (size_t i = 0; i < 120 && world_tally(&world).live > 0; i++) {
        (void)world_sweep(&world);
        world_pass(&world, 5000);
    }
    expect_copies(20, 20, 0);
}

/* Goal: a queue that refuses is tried again, also where a target would be given up. */
static void test_a_queue_that_refuses_is_tried_again(void **state)
{
    static const enum world_mode modes[] = {WORLD_DENY, WORLD_MISSING,  WORLD_FAIL,
                                            WORLD_HANG, WORLD_THROTTLE, WORLD_EXPIRED};

    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const size_t refused = world.copy_facts[DELIVERY_FACT_RETRIED];

        world.queues[DLQ].mode = modes[i];
        world.queues[DLQ].mode_count = 4;
        send_one();
        world_pass(&world, 3600 * 1000);
        expect_copies(i + 1, i + 1, 0);
        assert_true(world.copy_facts[DELIVERY_FACT_RETRIED] > refused);
    }
    assert_int_equal(world.copy_facts[DELIVERY_FACT_DEAD], 0);
}

/* Goal: a queue that refuses for a day leaves a dead letter of its own, which counts as such. */
static void test_a_queue_that_never_takes_it(void **state)
{
    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    world.queues[DLQ].mode = WORLD_DENY;
    send_one();
    world_pass(&world, 26ULL * 3600 * 1000);
    expect_copies(0, 2, 0);
    assert_int_equal(world.copy_facts[DELIVERY_FACT_DEAD], 1);
    assert_int_equal(world.facts[DELIVERY_FACT_DEAD], 1);
}

/* Goal: no queue, no copy; a queue that nobody may write to gives up at once. */
static void test_without_a_queue_or_a_right_to_it(void **state)
{
    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    world.targets[0].dlq_arn = NULL;
    world_publish(&world);
    send_one();
    world_pass(&world, 5000);
    expect_copies(0, 1, 0);
    assert_int_equal(world_tally(&world).created, 1);

    world.targets[0].dlq_arn = "arn:aws:sqs:us-east-1:444455556666:graves";
    world_publish(&world);
    send_one();
    world_pass(&world, 5000);
    expect_copies(0, 3, 0);
    assert_int_equal(world.copy_facts[DELIVERY_FACT_DEAD], 1);
}

/* Goal: a target that was removed has no queue any more: what it still had to tell is kept. */
static void test_a_removed_target_keeps_its_copies(void **state)
{
    (void)state;
    world.queues[TARGET].mode = WORLD_MISSING;
    world.queues[DLQ].mode = WORLD_FAIL;
    send_one();
    world_pass(&world, 1000);
    expect_copies(0, 1, 1);
    world.targets[0].is_gone = true;
    world_publish(&world);
    world_pass(&world, 3600 * 1000);
    expect_copies(0, 2, 0);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STORY(test_a_dead_letter_is_copied),
        STORY(test_a_spent_budget_is_told),
        STORY(test_no_permission_to_assume),
        STORY(test_a_store_that_refuses_costs_no_copy),
        STORY(test_a_restart_sends_what_was_kept),
        STORY(test_a_queue_that_refuses_is_tried_again),
        STORY(test_a_queue_that_never_takes_it),
        STORY(test_without_a_queue_or_a_right_to_it),
        STORY(test_a_removed_target_keeps_its_copies),
    };
#undef STORY

    return cmocka_run_group_tests(tests, NULL, NULL);
}
