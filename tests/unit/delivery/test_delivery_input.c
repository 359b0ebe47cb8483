/* SPDX-License-Identifier: Apache-2.0
 *
 * test_delivery_input.c - what a target gets when it asked for something else than the event.
 */
#include "tests/unit/delivery/delivery_world.h"

#include "core/log.h"

#define ACCOUNT "111122223333"
#define ROLE    "arn:aws:iam::111122223333:role/dispatch"
#define ARN(q)  "arn:aws:sqs:us-east-1:" WORLD_CENTRAL ":" q

/* The world finds a message's event by these two members. */
#define WHO "\"account\":\"" ACCOUNT "\",\"e\":<aws.events.event>"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_init(&world, 1, 7);
    (void)world_add_queue(&world, "findings");
    (void)world_add_target(&world, 1, ARN("findings"));
    (void)world_add_account(&world, ACCOUNT, ROLE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_clean_up(&world);
    return 0;
}

static void use_template(const char *template)
{
    world.targets[0].template = template;
    world_publish(&world);
}

static void expect_store(uint64_t delivered, uint64_t dead, uint64_t live)
{
    const struct store_tally_row tally = world_tally(&world);

    assert_int_equal(tally.delivered, delivered);
    assert_int_equal(tally.dead, dead);
    assert_int_equal(tally.live, live);
}

static struct world_event *send_one(const char *text)
{
    return world_send(&world, 0, ACCOUNT, 1, 0, text);
}

/* Goal: the message is the rendered input: rule, time of acceptance and values of the event. */
static void test_the_target_gets_the_rendered_input(void **state)
{
    struct world_event *event;

    (void)state;
    use_template("{\"text\":\"said: <v>\",\"rule\":<aws.events.rule-name>,"
                 "\"at\":<aws.events.event.ingestion-time>," WHO "}");
    event = send_one("hi \\\"there\\\"");
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 1);
    expect_store(1, 0, 0);
    assert_string_equal(world.queues[0].last_body,
                        "{\"text\":\"said: hi \\\"there\\\"\",\"rule\":\"rule0\","
                        "\"at\":\"1970-01-01T00:16:40Z\",\"account\":\"" ACCOUNT "\","
                        "\"e\":{\"id\":\"event-000000\",\"account\":\"" ACCOUNT "\","
                        "\"detailType\":\"test\",\"time\":\"1970-01-01T00:16:40Z\","
                        "\"source\":\"test\",\"region\":\"us-east-1\",\"resources\":[],"
                        "\"version\":\"0\"}}");
}

/* Goal: what cannot be rendered is a dead letter at once, and takes no other with it. */
static void test_what_cannot_be_rendered_is_a_dead_letter(void **state)
{
    static const char template[] =
        "{\"id\":\"event-000000\",\"account\":\"" ACCOUNT "\",\"text\":\"<v>\"}";
    struct world_event *event;

    (void)state;
    use_template(template);
    event = send_one("\",\"text\":{\"an\":1},\"x\":\"y"); /* the later member counts */
    world_pass(&world, 1000);
    assert_int_equal(event->arrivals, 0);
    assert_int_equal(event->deaths, 1);
    assert_string_equal(world.last_reason, "invalid-input");
    assert_int_equal(world.last_err, ERR_BAD_VALUE);
    assert_int_equal(world.queues[0].calls, 0);
    expect_store(0, 1, 0);
}

/* Goal: an input over the maximum is a dead letter, one at the maximum arrives. */
static void test_an_input_over_its_maximum_is_a_dead_letter(void **state)
{
    enum { INPUT_MAX = 256 * 1024, COUNT = 8 };
    static const char template[] = "{\"v\":[<v>,<v>,<v>,<v>,<v>,<v>,<v>,<v>],"
                                   "\"id\":\"event-000000\",\"account\":\"" ACCOUNT "\"}";
    /* a value has two quotes in the place of three characters */
    const size_t frame_len = sizeof(template) - 1 - COUNT;
    static char text[INPUT_MAX / COUNT];

    (void)state;
    use_template(template);
    memset(text, 'x', (INPUT_MAX - frame_len) / COUNT);
    (void)send_one(text);
    world_pass(&world, 1000);
    assert_int_equal(world.queues[0].messages, 1);
    assert_in_range(world.queues[0].last_body_len, INPUT_MAX - COUNT + 1, INPUT_MAX);
    text[strlen(text)] = 'x';
    (void)send_one(text);
    world_pass(&world, 1000);
    expect_store(1, 1, 0);
    assert_string_equal(world.last_reason, "input-too-large");
    assert_int_equal(world.last_err, ERR_TOO_LARGE);
}

/* Goal: small events whose inputs are large go in calls that stay within the queue's maximum, and
 *       all of them arrive once. */
static void test_inputs_that_have_grown_share_fewer_calls(void **state)
{
    static char text[30 * 1024];
    static char template[1024];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    (void)snprintf(template, sizeof(template), "{\"v\":[<v>,<v>,<v>,<v>,<v>,<v>,<v>,<v>]," WHO "}");
    use_template(template);
    for (size_t i = 0; i < 10; i++) {
        (void)send_one(text);
    }
    world_pass(&world, 10 * 1000);
    expect_store(10, 0, 0);
    assert_int_equal(world.queues[0].messages, 10);
    assert_in_range(world.queues[0].batch_max, 1, 4); /* of 240 KB each, in 1 MiB */
    assert_int_equal(world.facts[DELIVERY_FACT_RETRIED], 0);
}

/* Goal: a template that is put right holds for what waits, too. */
static void test_a_changed_template_holds_for_what_waits(void **state)
{
    (void)state;
    use_template("{\"was\":1," WHO "}");
    world.queues[0].mode = WORLD_FAIL;
    (void)send_one("x");
    world_pass(&world, 50);
    use_template("{\"is\":2," WHO "}");
    world.queues[0].mode = WORLD_OK;
    world_pass(&world, 60 * 1000);
    expect_store(1, 0, 0);
    assert_non_null(strstr(world.queues[0].last_body, "{\"is\":2,"));
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_the_target_gets_the_rendered_input),
        STORY(test_what_cannot_be_rendered_is_a_dead_letter),
        STORY(test_an_input_over_its_maximum_is_a_dead_letter),
        STORY(test_inputs_that_have_grown_share_fewer_calls),
        STORY(test_a_changed_template_holds_for_what_waits),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
