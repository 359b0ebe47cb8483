/* SPDX-License-Identifier: Apache-2.0
 *
 * test_snapshot.c - what a snapshot keeps of the one before, and what it makes anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/seal.h"
#include "gateway/snapshot.h"

#define MEMBER  "111122223333"
#define CENTRAL "999999999999"

struct world {
    struct catalog catalog;
    struct limiter_book limiters;
    struct snapshot *snapshot;
};

static void open_world(struct world *world)
{
    *world = (struct world){.snapshot = NULL};
    catalog_init(&world->catalog);
}

static void close_world(struct world *world)
{
    snapshot_release(world->snapshot);
    limiter_book_clean_up(&world->limiters);
    catalog_clean_up(&world->catalog);
}

/* Put a document under that revision, or take it away (value NULL). */
static void put(struct world *world, const char *name, const char *value, uint64_t rev)
{
    const struct store_document document = {
        .name = slice_of(name),
        .value = value != NULL ? slice_of(value) : (struct slice){NULL, 0},
        .rev = rev,
    };
    struct err_why why = {.text = ""};

    assert_int_equal(catalog_absorb(&world->catalog, &document, 1, rev, &why), ERR_OK);
}

static void put_rule(struct world *world, const char *name, const char *source, uint64_t rev)
{
    char path[64];
    char value[512];

    (void)snprintf(path, sizeof(path), "rule/" MEMBER "/default/%s", name);
    (void)snprintf(value, sizeof(value),
                   "{\"bus\":\"" MEMBER "/default\",\"name\":\"%s\",\"manager\":\"apply:x\","
                   "\"pattern\":\"{\\\"source\\\":[\\\"%s\\\"]}\",\"targets\":[]}",
                   name, source);
    put(world, path, value, rev);
}

/* A new snapshot in the place of the last, as control makes one. */
static enum err renew(struct world *world)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {1};
    const struct snapshot_options options = {
        .region = SLICE("us-east-1"),
        .central_account = SLICE(CENTRAL),
        .seal_key = seal_key,
        .limiters = &world->limiters,
        .previous = world->snapshot,
    };
    struct err_why why = {.text = ""};
    struct snapshot *snapshot = NULL;

    TRY(snapshot_new(&world->catalog, &options, &snapshot, &why));
    snapshot_release(world->snapshot);
    world->snapshot = snapshot;
    catalog_changes_clear(&world->catalog);
    return ERR_OK;
}

/* The rule of that name, or NULL.  The caller's reference keeps the address from being used again.
 */
static struct rule *hold_rule(const struct world *world, const char *name)
{
    struct rule *rule =
        ruleset_rule(world->snapshot->ruleset, SLICE(MEMBER "/default"), slice_of(name));

    return rule != NULL ? rule_acquire(rule) : NULL;
}

/* Is the rule of that name the very one that was held? */
static bool is_same(const struct world *world, const char *name, const struct rule *held)
{
    struct rule *rule = hold_rule(world, name);
    const bool is = rule != NULL && rule == held;

    rule_release(rule);
    return is;
}

static bool matches(const struct world *world, const char *source)
{
    const struct event_draft draft = {
        .source = slice_of(source), .detail_type = SLICE("t"), .detail = SLICE("{}")};
    const struct event_defaults defaults = {
        .id = SLICE("i"), .account = SLICE(MEMBER), .region = SLICE("us-east-1"), .now_ms = 0};
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct event *event = event_complete(&draft, &defaults);
    bool is;

    assert_int_equal(
        ruleset_match(world->snapshot->ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
        ERR_OK);
    is = scratch->rule_count == 1;
    event_release(event);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
    return is;
}

/* Goal:   a change makes the changed rule and no other.
 * Method: four rules; one is changed, one removed, one added; compare addresses and matches.
 */
static void test_an_unchanged_rule_is_the_same(void **state)
{
    static const char *const names[] = {"b", "d", "f", "h"};
    struct rule *held[ARRAY_LEN(names)];
    struct world world;

    (void)state;
    open_world(&world);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put_rule(&world, names[i], names[i], i + 1);
    }
    assert_int_equal(renew(&world), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        held[i] = hold_rule(&world, names[i]);
    }

    put_rule(&world, "d", "changed", 5);
    put(&world, "rule/" MEMBER "/default/f", NULL, 6);
    put_rule(&world, "a", "a", 7);
    put(&world, "bus/" MEMBER "/audit", "{\"account\":\"" MEMBER "\",\"name\":\"audit\"}", 8);
    assert_int_equal(renew(&world), ERR_OK);

    assert_true(is_same(&world, "b", held[0]));
    assert_false(is_same(&world, "d", held[1]));
    assert_false(is_same(&world, "f", held[2]));
    assert_true(is_same(&world, "h", held[3]));
    assert_true(ruleset_has_bus(world.snapshot->ruleset, SLICE(MEMBER), SLICE("audit")));
    assert_true(matches(&world, "a"));
    assert_true(matches(&world, "b"));
    assert_true(matches(&world, "changed"));
    assert_true(matches(&world, "h"));
    assert_false(matches(&world, "d"));
    assert_false(matches(&world, "f"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        rule_release(held[i]);
    }
    close_world(&world);
}

/* Goal:   a rule that comes back is made anew, even under the revision it had: a store that lost
 *         writes gives a revision twice.
 * Method: remove, look, add with another pattern and the old revision; then replace it once more
 *         without a snapshot in between.
 */
static void test_a_rule_that_comes_back_is_another(void **state)
{
    struct world world;
    struct rule *first;
    struct rule *second;

    (void)state;
    open_world(&world);
    put_rule(&world, "r", "one", 1);
    assert_int_equal(renew(&world), ERR_OK);
    first = hold_rule(&world, "r");

    put(&world, "rule/" MEMBER "/default/r", NULL, 2);
    put_rule(&world, "r", "two", 1);
    assert_int_equal(renew(&world), ERR_OK);
    second = hold_rule(&world, "r");
    assert_non_null(second);
    assert_ptr_not_equal(second, first);
    assert_true(matches(&world, "two"));
    assert_false(matches(&world, "one"));

    put(&world, "rule/" MEMBER "/default/r", NULL, 2);
    assert_int_equal(renew(&world), ERR_OK);
    assert_false(matches(&world, "two"));
    put_rule(&world, "r", "two", 1);
    assert_int_equal(renew(&world), ERR_OK);
    assert_false(is_same(&world, "r", second));
    assert_true(matches(&world, "two"));
    rule_release(first);
    rule_release(second);
    close_world(&world);
}

/* Goal:   what is made of accounts and credentials stays when a rule changes, and does not when an
 *         account does; the list of schedules stays until a schedule changes; a bus's policy
 *         follows its bus.
 */
static void test_a_change_makes_its_own_part_anew(void **state)
{
    static const char schedule[] =
        "{\"bus\":\"" MEMBER "/default\",\"name\":\"clock\",\"manager\":\"apply:x\","
        "\"schedule_expression\":\"rate(1 hour)\",\"targets\":[]}";
    static const char bus[] =
        "{\"account\":\"" MEMBER "\",\"name\":\"shared\",\"policy\":"
        "\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\","
        "\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":\\\"events:PutEvents\\\","
        "\\\"Resource\\\":\\\"arn:aws:events:us-east-1:" MEMBER ":event-bus/shared\\\"}]}\"}";
    struct schedule_list *schedules;
    const struct directory *directory;
    struct world world;

    (void)state;
    open_world(&world);
    put_rule(&world, "a", "a", 1);
    put(&world, "rule/" MEMBER "/default/clock", schedule, 2);
    put(&world, "bus/" MEMBER "/shared", bus, 3);
    assert_int_equal(renew(&world), ERR_OK);
    assert_int_equal(world.snapshot->schedules->count, 1);
    assert_non_null(bus_policies_find(&world.snapshot->policies, SLICE(MEMBER), SLICE("shared")));
    assert_null(bus_policies_find(&world.snapshot->policies, SLICE(MEMBER), SLICE("default")));
    directory = world.snapshot->directory;
    schedules = world.snapshot->schedules;

    put_rule(&world, "a", "b", 4);
    put(&world, "bus/" MEMBER "/shared", NULL, 5);
    put(&world, "replay/" MEMBER "/r", "{\"name\":\"r\"}",
        5); /* one that runs is saved all the time */
    assert_int_equal(renew(&world), ERR_OK);
    assert_ptr_equal(world.snapshot->directory, directory);
    assert_ptr_equal(world.snapshot->schedules, schedules);
    assert_null(bus_policies_find(&world.snapshot->policies, SLICE(MEMBER), SLICE("shared")));

    put(&world, "rule/" MEMBER "/default/clock", NULL, 6);
    put(&world, "account/" MEMBER, "{\"id\":\"" MEMBER "\",\"limits\":{\"events_per_second\":5}}",
        7);
    assert_int_equal(renew(&world), ERR_OK);
    assert_int_equal(world.snapshot->schedules->count, 0);
    assert_non_null(directory_account(world.snapshot->directory, SLICE(MEMBER)));
    close_world(&world);
}

/* Goal:   an archive that moves to another bus leaves the one it was on, and one that is deleted
 *         leaves none behind: its document's name does not say the bus.
 */
static void test_an_archive_is_on_one_bus(void **state)
{
    static const char document[] = "{\"name\":\"all\",\"bus\":\"" MEMBER "/%s\",\"uid\":7}";
    static const char *const buses[] = {"default", "audit", NULL};
    char value[128];
    struct world world;

    (void)state;
    open_world(&world);
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        (void)snprintf(value, sizeof(value), document, buses[i] != NULL ? buses[i] : "");
        put(&world, "archive/" MEMBER "/all", buses[i] != NULL ? value : NULL, i + 1);
        assert_int_equal(renew(&world), ERR_OK);
        assert_int_equal(ruleset_rule(world.snapshot->ruleset, SLICE(MEMBER "/default"),
                                      SLICE("archive:all")) != NULL,
                         i == 0);
        assert_int_equal(ruleset_rule(world.snapshot->ruleset, SLICE(MEMBER "/audit"),
                                      SLICE("archive:all")) != NULL,
                         i == 1);
    }
    close_world(&world);
}

/* A catalog that does not compile leaves the last snapshot, and what follows is built on that. */
static void test_a_failed_snapshot_leaves_the_last(void **state)
{
    struct world world;
    struct rule *held;

    (void)state;
    open_world(&world);
    put_rule(&world, "a", "a", 1);
    assert_int_equal(renew(&world), ERR_OK);
    held = hold_rule(&world, "a");
    put(&world, "rule/" MEMBER "/default/b",
        "{\"bus\":\"" MEMBER "/default\",\"name\":\"b\",\"pattern\":\"no pattern\"}", 2);
    assert_int_equal(renew(&world), ERR_STORE_CORRUPT);
    assert_true(is_same(&world, "a", held));
    put_rule(&world, "b", "b", 3);
    assert_int_equal(renew(&world), ERR_OK);
    assert_true(is_same(&world, "a", held));
    assert_true(matches(&world, "b"));
    rule_release(held);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unchanged_rule_is_the_same),
        cmocka_unit_test(test_a_rule_that_comes_back_is_another),
        cmocka_unit_test(test_a_change_makes_its_own_part_anew),
        cmocka_unit_test(test_an_archive_is_on_one_bus),
        cmocka_unit_test(test_a_failed_snapshot_leaves_the_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
