/* SPDX-License-Identifier: Apache-2.0
 *
 * test_role_watch.c - when roles are asked about, and what their state is then.
 *
 * Virtual time; the credentials provider is the test.
 */
#include "accounts/role_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"

enum { HOUR_MS = 3600 * 1000, START_MS = 1000 * 1000, ASKS_MAX = 16, RATE = 10 };

struct world {
    struct role_watch *watch;
    struct mailbox mailbox;
    uint64_t now_ms;
    struct credentials_ask *asks[ASKS_MAX]; /* under way, in the order asked */
    size_t ask_count;
    size_t asked_in_all;
};

static void fake_ask(void *context, struct credentials_ask *ask)
{
    struct world *world = context;

    assert_true(world->ask_count < ASKS_MAX);
    assert_true(ask->is_check);
    world->asks[world->ask_count++] = ask;
    world->asked_in_all++;
}

static uint64_t fake_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static void make_watch(struct world *world, uint64_t every_ms)
{
    const struct role_watch_options options = {.mailbox = &world->mailbox,
                                               .every_ms = every_ms,
                                               .checks_per_second = RATE,
                                               .ask = fake_ask,
                                               .now_ms = fake_now_ms,
                                               .context = world};

    world->watch = role_watch_new(&options);
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    log_set_level(LOG_ERROR + 1);
    mailbox_init(&world->mailbox, NULL);
    world->now_ms = START_MS;
    make_watch(world, HOUR_MS);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->ask_count, 0);
    role_watch_destroy(world->watch);
    mailbox_clean_up(&world->mailbox);
    xfree(world);
    return 0;
}

/* Accounts "100000000000" and so on; the roles of all end in `role`. */
static void use(struct world *world, size_t count, const char *role)
{
    static struct limiter unlimited;
    struct directory *directory = directory_new();

    for (size_t i = 0; i < count; i++) {
        struct account *account = ARENA_NEW(&directory->arena, struct account);

        account->id = arena_printf(&directory->arena, "%012zu", 100000000000 + i);
        account->external_id = SLICE("x-1");
        account->limiter = &unlimited;
        if (role != NULL) {
            account->dispatch_role_arn = arena_printf(
                &directory->arena, "arn:aws:iam::%.*s:role/%s", SLICE_ARG(account->id), role);
        }
        directory_add_account(directory, account);
    }
    role_watch_use(world->watch, directory);
    directory_release(directory);
}

/* What the provider does: tell the outcome, then answer. */
static void note(struct world *world, const struct credentials_ask *ask, enum err err,
                 const char *message)
{
    role_watch_note(world->watch, &(struct credentials_outcome){.role_arn = ask->role_arn,
                                                                .external_id = ask->external_id,
                                                                .account = ask->account,
                                                                .err = err,
                                                                .message = message});
}

static void answer_first(struct world *world, enum err err)
{
    struct credentials_ask *ask = world->asks[0];

    assert_true(world->ask_count > 0);
    world->ask_count--;
    memmove(world->asks, world->asks + 1, world->ask_count * sizeof(world->asks[0]));
    ask->err = err;
    (void)snprintf(ask->message, sizeof(ask->message), "%s",
                   err != ERR_OK ? "AccessDenied: no" : "");
    ask->on_answer(ask);
}

static void sts_says(struct world *world, enum err err)
{
    assert_true(world->ask_count > 0);
    note(world, world->asks[0], err, "AccessDenied: n\xc3\xa9");
    answer_first(world, err);
}

static struct role_health health_of(const struct world *world, const char *account)
{
    struct role_health health;

    assert_true(role_watch_read(world->watch, slice_of(account), &health));
    return health;
}

static void expect_state(const struct world *world, enum role_state state, uint64_t checked_ms)
{
    const struct role_health health = health_of(world, "100000000000");

    assert_string_equal(role_state_name(health.state), role_state_name(state));
    assert_int_equal(health.checked_ms, checked_ms);
}

/* To the moment that the watch wants to be called again, and call it. */
static uint64_t step(struct world *world)
{
    const uint64_t from_ms = world->now_ms;
    const uint64_t next_ms = role_watch_run(world->watch);

    if (next_ms == UINT64_MAX) {
        return 0;
    }
    world->now_ms = MAX_OF(next_ms, world->now_ms);
    (void)role_watch_run(world->watch);
    return world->now_ms - from_ms;
}

static void test_a_new_role_is_asked_about_at_once(void **state)
{
    struct world *world = *state;

    use(world, 1, "r");
    expect_state(world, ROLE_UNCHECKED, 0);
    assert_int_equal(step(world), 0);
    assert_int_equal(world->ask_count, 1);
    assert_true(slice_eq(world->asks[0]->role_arn, SLICE("arn:aws:iam::100000000000:role/r")));
    assert_true(slice_eq(world->asks[0]->external_id, SLICE("x-1")));
    assert_true(slice_eq(world->asks[0]->account, SLICE("100000000000")));
    assert_int_equal(role_watch_run(world->watch), UINT64_MAX); /* not twice */
    sts_says(world, ERR_OK);
    expect_state(world, ROLE_HEALTHY, START_MS);
    use(world, 1, "r"); /* the same catalog again changes nothing */
    expect_state(world, ROLE_HEALTHY, START_MS);
}

/* Goal:   an interval later, a fifth more or less, it is asked about again. */
static void test_the_interval_is_jittered(void **state)
{
    struct world *world = *state;
    uint64_t least_ms = UINT64_MAX;
    uint64_t most_ms = 0;

    use(world, 1, "r");
    (void)step(world);
    for (int i = 0; i < 200; i++) {
        sts_says(world, ERR_OK);
        const uint64_t waited_ms = step(world);

        assert_int_equal(world->ask_count, 1);
        least_ms = MIN_OF(least_ms, waited_ms);
        most_ms = MAX_OF(most_ms, waited_ms);
    }
    sts_says(world, ERR_OK);
    assert_in_range(least_ms, HOUR_MS / 10 * 8, HOUR_MS / 10 * 9);
    assert_in_range(most_ms, HOUR_MS / 10 * 11, HOUR_MS / 10 * 12);
}

/* Goal:   a thousand new roles: one call a pace, four under way at most, each asked about once. */
static void test_the_pace(void **state)
{
    enum { COUNT = 1000 };
    struct world *world = *state;
    struct role_counts counts;

    use(world, COUNT, "r");
    for (int i = 0; i < 10; i++) {
        (void)step(world);
    }
    assert_int_equal(world->ask_count, 4);
    while (world->asked_in_all < COUNT) {
        sts_says(world, ERR_OK);
        (void)step(world);
    }
    while (world->ask_count > 0) {
        sts_says(world, ERR_OK);
    }
    assert_true(world->now_ms - START_MS >= (COUNT - 1) * 1000 / RATE);
    role_watch_count(world->watch, &counts);
    assert_int_equal(counts.healthy, COUNT);
    assert_int_equal(counts.unchecked, 0);
    assert_int_equal(world->asked_in_all, COUNT);
}

static void test_replicas_share_the_pace(void **state)
{
    struct world *world = *state;

    role_watch_share(world->watch, 3);
    use(world, 3, "r");
    while (world->ask_count < 3) {
        (void)step(world);
    }
    assert_int_equal(world->now_ms - START_MS, 2 * 3 * 1000 / RATE);
    while (world->ask_count > 0) {
        sts_says(world, ERR_OK);
    }
}

/* Goal:   what deliveries learn counts, and a role that is in use costs no check. */
static void test_deliveries_put_the_check_off(void **state)
{
    const struct credentials_ask used = {.role_arn = SLICE("arn:aws:iam::100000000000:role/r"),
                                         .external_id = SLICE("x-1"),
                                         .account = SLICE("100000000000")};
    struct credentials_ask other = used;
    struct world *world = *state;

    use(world, 1, "r");
    (void)step(world);
    sts_says(world, ERR_OK);
    for (int i = 0; i < 20; i++) {
        world->now_ms += HOUR_MS / 2;
        note(world, &used, ERR_OK, "");
        (void)role_watch_run(world->watch);
    }
    assert_int_equal(world->asked_in_all, 1);
    expect_state(world, ROLE_HEALTHY, world->now_ms);

    other.role_arn = SLICE("arn:aws:iam::100000000000:role/of-a-target");
    note(world, &other, ERR_REMOTE_DENIED, "another role of that account");
    other = used;
    other.external_id = SLICE("x-2");
    note(world, &other, ERR_REMOTE_DENIED, "an external id of before");
    other = used;
    other.account = SLICE("999999999999");
    note(world, &other, ERR_REMOTE_DENIED, "an account of no role");
    expect_state(world, ROLE_HEALTHY, world->now_ms);
}

static void test_a_role_breaks_and_heals(void **state)
{
    struct world *world = *state;
    struct role_counts counts;
    uint64_t broken_ms;

    use(world, 1, "r");
    (void)step(world);
    sts_says(world, ERR_OK);
    (void)step(world);
    sts_says(world, ERR_REMOTE_DENIED);
    broken_ms = world->now_ms;
    expect_state(world, ROLE_BROKEN, broken_ms);
    assert_string_equal(health_of(world, "100000000000").message, "AccessDenied: n??");
    assert_int_equal(health_of(world, "100000000000").err, ERR_REMOTE_DENIED);
    for (int i = 0; i < 5; i++) { /* asked about sooner while it is broken */
        assert_in_range(step(world), HOUR_MS / 12 * 8 / 10, HOUR_MS / 12 * 12 / 10);
        sts_says(world, ERR_REMOTE_DENIED);
    }
    assert_int_equal(health_of(world, "100000000000").since_ms, broken_ms);
    role_watch_count(world->watch, &counts);
    assert_int_equal(counts.broken, 1);
    (void)step(world);
    sts_says(world, ERR_OK);
    expect_state(world, ROLE_HEALTHY, world->now_ms);
    assert_int_equal(health_of(world, "100000000000").since_ms, world->now_ms);
    assert_int_equal(health_of(world, "100000000000").err, ERR_OK);
    role_watch_count(world->watch, &counts);
    assert_int_equal(counts.broken, 0);
    assert_int_equal(counts.healthy, 1);
}

/* Goal:   a STS that gives no answer says nothing of the role; neither does a full provider. */
static void test_no_answer_is_no_verdict(void **state)
{
    static const enum err errs[] = {ERR_REMOTE_THROTTLED, ERR_REMOTE_TIMEOUT, ERR_REMOTE_FAILED,
                                    ERR_NO_CREDENTIALS};
    struct world *world = *state;

    use(world, 1, "r");
    (void)step(world);
    answer_first(world, ERR_REMOTE_FAILED); /* it never came as far as STS */
    expect_state(world, ROLE_UNCHECKED, 0);
    assert_int_equal(health_of(world, "100000000000").err, ERR_REMOTE_FAILED);
    assert_true(step(world) < HOUR_MS / 4);
    sts_says(world, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(errs); i++) {
        const uint64_t checked_ms = health_of(world, "100000000000").checked_ms;

        (void)step(world);
        sts_says(world, errs[i]);
        expect_state(world, ROLE_HEALTHY, checked_ms);
        assert_int_equal(health_of(world, "100000000000").err, errs[i]);
    }
    (void)step(world);
    sts_says(world, ERR_STOPPING);
    assert_int_equal(health_of(world, "100000000000").err, errs[ARRAY_LEN(errs) - 1]);
}

/* Goal:   another ARN is another role; an account that goes takes its state with it, also while a
 *         question about it is under way. */
static void test_the_catalog_changes(void **state)
{
    struct world *world = *state;
    struct role_health health;
    struct role_counts counts;

    use(world, 1, "r");
    (void)step(world);
    sts_says(world, ERR_REMOTE_DENIED);
    use(world, 1, "other");
    expect_state(world, ROLE_UNCHECKED, 0);
    world->now_ms += 1000;
    (void)step(world);
    use(world, 1, "third"); /* before the answer */
    sts_says(world, ERR_REMOTE_DENIED);
    expect_state(world, ROLE_UNCHECKED, 0);
    world->now_ms += 1000;
    (void)step(world);
    use(world, 1, NULL);
    assert_false(role_watch_read(world->watch, SLICE("100000000000"), &health));
    sts_says(world, ERR_OK);
    assert_false(role_watch_read(world->watch, SLICE("100000000000"), &health));
    use(world, 0, NULL);
    role_watch_count(world->watch, &counts);
    assert_int_equal(counts.healthy + counts.broken + counts.unchecked, 0);
    assert_int_equal(role_watch_run(world->watch), UINT64_MAX);
}

static void test_without_an_interval_it_only_learns(void **state)
{
    const struct credentials_ask used = {.role_arn = SLICE("arn:aws:iam::100000000000:role/r"),
                                         .external_id = SLICE("x-1"),
                                         .account = SLICE("100000000000")};
    struct world *world = *state;

    role_watch_destroy(world->watch);
    make_watch(world, 0);
    use(world, 1, "r");
    assert_int_equal(role_watch_run(world->watch), UINT64_MAX);
    note(world, &used, ERR_REMOTE_DENIED, "no");
    expect_state(world, ROLE_BROKEN, START_MS);
    world->now_ms += 100 * (uint64_t)HOUR_MS;
    assert_int_equal(role_watch_run(world->watch), UINT64_MAX);
    assert_int_equal(world->asked_in_all, 0);
}

/* Goal:   the wall clock goes back by a day: the pace does not wait for it. */
static void test_a_clock_that_is_put_back(void **state)
{
    struct world *world = *state;

    world->now_ms += 24 * (uint64_t)HOUR_MS;
    use(world, 1, "r");
    (void)step(world);
    sts_says(world, ERR_OK);
    world->now_ms = START_MS;
    use(world, 2, "r");
    (void)role_watch_run(world->watch);
    assert_int_equal(world->ask_count, 1);
    sts_says(world, ERR_OK);
}

static void test_end_with_a_question_under_way(void **state)
{
    struct world *world = *state;

    use(world, 2, "r");
    (void)step(world);
    (void)step(world);
    assert_int_equal(world->ask_count, 2);
    role_watch_destroy(world->watch);
    world->watch = NULL;
    answer_first(world, ERR_STOPPING);
    answer_first(world, ERR_STOPPING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_role_is_asked_about_at_once),
        TEST(test_the_interval_is_jittered),
        TEST(test_the_pace),
        TEST(test_replicas_share_the_pace),
        TEST(test_deliveries_put_the_check_off),
        TEST(test_a_role_breaks_and_heals),
        TEST(test_no_answer_is_no_verdict),
        TEST(test_the_catalog_changes),
        TEST(test_without_an_interval_it_only_learns),
        TEST(test_a_clock_that_is_put_back),
        TEST(test_end_with_a_question_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
