/* SPDX-License-Identifier: Apache-2.0
 *
 * test_resolve.c - what a lane's name stands for, and which lanes may share a call.
 */
#include "core/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "delivery/resolve.h"
#include "tests/lib/rulesets.h"

#define CENTRAL "999999999999"
#define MEMBER  "111122223333"
#define OTHER   "444455556666"

static struct directory *directory;
static struct ruleset *ruleset;
static struct arena arena;

static void add_account(const char *id, const char *role_arn)
{
    static struct limiter unlimited;
    struct account *account = ARENA_NEW(&directory->arena, struct account);

    account->id = slice_of(id);
    account->dispatch_role_arn = slice_of(role_arn);
    account->external_id = arena_printf(&directory->arena, "external-%s", id);
    account->limiter = &unlimited;
    directory_add_account(directory, account);
}

static void share_with_member(void)
{
    static const struct slice shared[] = {SLICE_INIT("arn:aws:sqs:r:" CENTRAL ":shared-*")};
    struct account *account = map_get(&directory->accounts, SLICE(MEMBER));

    account->shared_targets = shared;
    account->shared_target_count = ARRAY_LEN(shared);
}

static struct rule *rule_of(uint64_t uid, bool is_operator_owned, const char *arn,
                            const char *role_arn)
{
    struct rule *rule = rule_new();

    rule->bus_account = SLICE(CENTRAL);
    rule->bus_name = SLICE("central");
    rule->is_central = true;
    rule->is_operator_owned = is_operator_owned;
    rule->name = arena_printf(&rule->arena, "rule%" PRIu64, uid);
    rule->label = SLICE("central/rule");
    rule->is_enabled = true;
    rule->target_count = 1;
    rule->targets[0] = (struct rule_target){
        .uid = uid, .id = SLICE("t"), .arn = slice_of(arn), .role_arn = slice_of(role_arn)};
    rule->targets[0].dlq_arn = slice_of(uid == 1 || uid == 4 ? "arn:aws:sqs:r:" CENTRAL ":dlq"
                                        : uid == 3           ? "arn:aws:sqs:r:{account}:dlq"
                                                             : "");
    return rule;
}

/* Made on OTHER's bus by the member, with that bus's policy; or by the bus's owner's operators. */
static struct rule *guest_of(uint64_t uid, bool is_member_owned, const char *arn)
{
    struct rule *rule = rule_of(uid, false, arn, "");

    rule->bus_account = SLICE(OTHER);
    rule->bus_name = SLICE("team");
    rule->is_central = false;
    rule->owner_account = SLICE(MEMBER);
    rule->is_member_owned = is_member_owned;
    return rule;
}

static int set_up(void **state)
{
    struct rule *rules[] = {
        rule_of(1, true, "arn:aws:sqs:r:" CENTRAL ":q", ""),
        rule_of(2, true, "arn:aws:sqs:r:" CENTRAL ":q", "arn:aws:iam::" CENTRAL ":role/shared"),
        rule_of(3, true, "arn:aws:sqs:r:{account}:q", "arn:aws:iam::{account}:role/own"),
        rule_of(4, false, "arn:aws:sqs:r:" CENTRAL ":q", ""),
        rule_of(5, true, "arn:aws:sqs:r:{account}:q", ""),
        rule_of(6, true, "arn:aws:nosuch:r:" CENTRAL ":q", ""),
        rule_of(7, true, "arn:aws:sqs:r:" CENTRAL ":q", "arn:aws:iam::" CENTRAL ":role/shared"),
        guest_of(8, true, "arn:aws:sqs:r:" MEMBER ":q"),
        guest_of(9, true, "arn:aws:sqs:r:" OTHER ":q"),
        guest_of(10, true, "arn:aws:sqs:r:" CENTRAL ":shared-one"),
        guest_of(11, false, "arn:aws:sqs:r:" OTHER ":q"),
    };

    (void)state;
    digest_init();
    arena_init(&arena);
    directory = directory_new();
    directory->central_account = SLICE(CENTRAL);
    add_account(CENTRAL, "");
    add_account(MEMBER, "arn:aws:iam::" MEMBER ":role/dispatch");
    add_account(OTHER, "");
    share_with_member();
    ruleset = ruleset_of(rules, ARRAY_LEN(rules));
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        rule_release(rules[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ruleset_release(ruleset);
    directory_release(directory);
    arena_clean_up(&arena);
    return 0;
}

static struct resolution resolve(const char *lane)
{
    struct resolution resolution;

    resolve_lane(directory, ruleset, slice_of(lane), &arena, &resolution);
    return resolution;
}

static void test_who_and_where(void **state)
{
    static const struct {
        const char *lane;
        const char *unknown;
        const char *refused;
        const char *arn;
        const char *role_arn; /* NULL: not resolved; "": weir's own */
    } rows[] = {
        {MEMBER "/1", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":q",
         "arn:aws:iam::" MEMBER ":role/dispatch"},
        {OTHER "/1", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":q", ""},
        {MEMBER "/2", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":q",
         "arn:aws:iam::" CENTRAL ":role/shared"},
        {MEMBER "/3", NULL, NULL, "arn:aws:sqs:r:" MEMBER ":q", "arn:aws:iam::" MEMBER ":role/own"},
        {OTHER "/3", NULL, NULL, "arn:aws:sqs:r:" OTHER ":q", "arn:aws:iam::" OTHER ":role/own"},
        {OTHER "/4", NULL, "NO_PERMISSIONS", NULL, NULL}, /* a member's rule */
        {OTHER "/5", NULL, "NO_PERMISSIONS", NULL, NULL}, /* not in the central account */
        {CENTRAL "/5", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":q", ""},
        {MEMBER "/6", NULL, "unsupported-target", NULL, NULL},
        /* a bus's rules send with the roles of who made them, whoever's the event is */
        {OTHER "/8", NULL, NULL, "arn:aws:sqs:r:" MEMBER ":q",
         "arn:aws:iam::" MEMBER ":role/dispatch"},
        {OTHER "/9", NULL, "NO_PERMISSIONS", NULL, NULL}, /* not the maker's, not shared */
        {OTHER "/10", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":shared-one",
         "arn:aws:iam::" MEMBER ":role/dispatch"},
        {OTHER "/11", NULL, NULL, "arn:aws:sqs:r:" OTHER ":q",
         "arn:aws:iam::" MEMBER ":role/dispatch"},
        /* dead-letter queues: weir's own, the role of the queue's account, nobody, none */
        {MEMBER "/1/dlq", NULL, NULL, "arn:aws:sqs:r:" CENTRAL ":dlq", ""},
        {MEMBER "/3/dlq", NULL, NULL, "arn:aws:sqs:r:" MEMBER ":dlq",
         "arn:aws:iam::" MEMBER ":role/dispatch"},
        {OTHER "/3/dlq", NULL, "NO_PERMISSIONS", NULL, NULL},
        {MEMBER "/5/dlq", "target-removed", NULL, NULL, NULL},
        {MEMBER "/dlq", NULL, "target-removed", NULL, NULL},
        {MEMBER "/77", "target-removed", NULL, NULL, NULL},
        {"123456789012/1", "account-removed", NULL, NULL, NULL},
        {"nonsense", NULL, "target-removed", NULL, NULL},
        {MEMBER "/x", NULL, "target-removed", NULL, NULL},
        {"/1", NULL, "target-removed", NULL, NULL},
        {"", NULL, "target-removed", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct resolution got = resolve(rows[i].lane);

        if (!slice_eq(slice_of(got.unknown), slice_of(rows[i].unknown)) ||
            !slice_eq(slice_of(got.refused), slice_of(rows[i].refused))) {
            fail_msg("%s: unknown %s, refused %s", rows[i].lane,
                     got.unknown != NULL ? got.unknown : "no",
                     got.refused != NULL ? got.refused : "no");
        }
        if (rows[i].role_arn == NULL) {
            assert_int_equal(got.key.len, 0);
            continue;
        }
        if (!slice_eq(got.arn, slice_of(rows[i].arn)) ||
            !slice_eq(got.role_arn, slice_of(rows[i].role_arn))) {
            fail_msg("%s: %.*s as %.*s", rows[i].lane, SLICE_ARG(got.arn), SLICE_ARG(got.role_arn));
        }
        if (got.role_arn.len > 0) {
            assert_true(slice_has_prefix(got.external_id, SLICE("external-")));
        }
    }
}

/* Goal: lanes share a destination exactly when their calls would be made as the same. */
static void test_which_lanes_share_a_destination(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_shared;
    } rows[] = {
        {OTHER "/1", CENTRAL "/1", true},   /* both as weir itself */
        {MEMBER "/2", MEMBER "/7", true},   /* one role for one account */
        {MEMBER "/2", OTHER "/2", false},   /* one role, but sessions carry the account */
        {MEMBER "/1", OTHER "/1", false},   /* the account's role against weir itself */
        {MEMBER "/1", MEMBER "/2", false},  /* two roles */
        {CENTRAL "/1", CENTRAL "/3", false} /* own against a role */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct resolution a = resolve(rows[i].a);
        const struct resolution b = resolve(rows[i].b);

        assert_true(a.key.len > 0 && b.key.len > 0);
        if (slice_eq(a.key, b.key) != rows[i].is_shared) {
            fail_msg("%s and %s: expected %s", rows[i].a, rows[i].b,
                     rows[i].is_shared ? "one destination" : "two");
        }
        if (rows[i].is_shared) {
            assert_int_equal(resolve_owner(&a, slice_of(rows[i].a), 7),
                             resolve_owner(&b, slice_of(rows[i].b), 7));
        }
    }
}

static void test_nothing_is_known_before_the_first_snapshot(void **state)
{
    struct resolution resolution;

    (void)state;
    resolve_lane(NULL, NULL, SLICE(MEMBER "/1"), &arena, &resolution);
    assert_string_equal(resolution.unknown, "target-removed");
    assert_in_range(resolve_owner(&resolution, SLICE(MEMBER "/1"), 3), 0, 2);
    assert_int_equal(resolve_owner(&resolution, SLICE(MEMBER "/1"), 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_and_where),
        cmocka_unit_test(test_which_lanes_share_a_destination),
        cmocka_unit_test(test_nothing_is_known_before_the_first_snapshot),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
