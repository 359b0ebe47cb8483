/* SPDX-License-Identifier: Apache-2.0
 *
 * test_policy.c - whose event, and which sources: account x credential x source.
 */
#include "accounts/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct limiter limiter;

static struct account *add_account(struct directory *directory, struct slice id, bool is_suspended)
{
    struct account *account = ARENA_NEW(&directory->arena, struct account);

    *account = (struct account){.id = id, .is_suspended = is_suspended, .limiter = &limiter};
    directory_add_account(directory, account);
    return account;
}

/* Goal:   the account of an event is the claimed one only where the caller may forward for it. */
static void test_binding_follows_the_credential(void **state)
{
    static const struct slice listed[] = {SLICE_INIT("222222222222"), SLICE_INIT("999999999999"),
                                          SLICE_INIT("333333333333")};
    static const struct slice any[] = {SLICE_INIT("*")};
    static const struct {
        const char *what;
        const struct slice *forwards;
        size_t forward_count;
        struct slice claimed;
        struct slice bound; /* empty: refused */
    } rows[] = {
        {"no claim", NULL, 0, SLICE_INIT(""), SLICE_INIT("111111111111")},
        {"own claim", NULL, 0, SLICE_INIT("111111111111"), SLICE_INIT("111111111111")},
        {"foreign claim", NULL, 0, SLICE_INIT("222222222222"), SLICE_INIT("")},
        {"listed", listed, 3, SLICE_INIT("222222222222"), SLICE_INIT("222222222222")},
        {"not listed", listed, 3, SLICE_INIT("444444444444"), SLICE_INIT("")},
        {"listed, unknown", listed, 3, SLICE_INIT("999999999999"), SLICE_INIT("")},
        {"listed, suspended", listed, 3, SLICE_INIT("333333333333"), SLICE_INIT("")},
        {"any, known", any, 1, SLICE_INIT("444444444444"), SLICE_INIT("444444444444")},
        {"any, unknown", any, 1, SLICE_INIT("999999999999"), SLICE_INIT("")},
        {"any, a star claimed", any, 1, SLICE_INIT("*"), SLICE_INIT("")},
        {"a prefix is not enough", listed, 3, SLICE_INIT("22222222222"), SLICE_INIT("")},
    };
    struct directory *directory = directory_new();
    struct account *caller = add_account(directory, SLICE("111111111111"), false);
    const struct principal principal = {.account = caller};

    (void)state;
    add_account(directory, SLICE("222222222222"), false);
    add_account(directory, SLICE("333333333333"), true);
    add_account(directory, SLICE("444444444444"), false);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct account *account = NULL;
        enum err err;

        caller->may_forward_for = rows[i].forwards;
        caller->may_forward_for_count = rows[i].forward_count;
        err = policy_bind_account(directory, &principal, rows[i].claimed, &account);
        if (rows[i].bound.len == 0 ? err != ERR_ACCOUNT_DENIED || account != NULL
                                   : err != ERR_OK || !slice_eq(account->id, rows[i].bound)) {
            fail_msg("%s: %s", rows[i].what, err_name(err));
        }
    }
    directory_release(directory);
}

static void test_suspended_caller_binds_nothing(void **state)
{
    struct directory *directory = directory_new();
    const struct principal principal = {.account =
                                            add_account(directory, SLICE("111111111111"), true)};
    const struct account *account = NULL;

    (void)state;
    assert_int_equal(policy_bind_account(directory, &principal, SLICE(""), &account),
                     ERR_ACCOUNT_DENIED);
    directory_release(directory);
}

/* Goal:   sources outside the account's list are refused; aws.* needs list and relay. */
static void test_sources_need_list_and_relay(void **state)
{
    static const struct slice mixed[] = {SLICE_INIT("com.example.*"), SLICE_INIT("exact"),
                                         SLICE_INIT("aws.guardduty")};
    static const struct slice star[] = {SLICE_INIT("*")};
    static const struct {
        const struct slice *sources;
        size_t count;
        bool has_sources;
        bool relays;
        struct slice source;
        bool is_allowed;
    } rows[] = {
        {NULL, 0, false, false, SLICE_INIT("app"), true},
        {NULL, 0, false, true, SLICE_INIT("app"), true},
        {NULL, 0, false, false, SLICE_INIT("aws.guardduty"), false},
        {NULL, 0, false, true, SLICE_INIT("aws.guardduty"), false},
        {NULL, 0, false, true, SLICE_INIT("AWS.guardduty"), false},
        {NULL, 0, false, false, SLICE_INIT("aws"), true},
        {NULL, 0, false, false, SLICE_INIT("awsome.app"), true},
        {NULL, 0, true, true, SLICE_INIT("app"), false},
        {mixed, 3, true, false, SLICE_INIT("com.example.pay"), true},
        {mixed, 3, true, false, SLICE_INIT("com.example."), true},
        {mixed, 3, true, false, SLICE_INIT("com.example"), false},
        {mixed, 3, true, false, SLICE_INIT("exact"), true},
        {mixed, 3, true, false, SLICE_INIT("exactly"), false},
        {mixed, 3, true, false, SLICE_INIT("Exact"), false},
        {mixed, 3, true, false, SLICE_INIT("aws.guardduty"), false},
        {mixed, 3, true, true, SLICE_INIT("aws.guardduty"), true},
        {mixed, 3, true, true, SLICE_INIT("aws.macie"), false},
        {mixed, 3, true, true, SLICE_INIT("AWS.guardduty"), false},
        {star, 1, true, false, SLICE_INIT("anything"), true},
        {star, 1, true, false, SLICE_INIT("aws.macie"), false},
        {star, 1, true, false, SLICE_INIT("Aws.macie"), false},
        {star, 1, true, true, SLICE_INIT("aws.macie"), true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct account account = {.sources = rows[i].sources,
                                        .source_count = rows[i].count,
                                        .has_sources = rows[i].has_sources};
        const struct principal principal = {.account = &account, .relays = rows[i].relays};
        const enum err err = policy_check_source(&principal, &account, rows[i].source);

        if (err != (rows[i].is_allowed ? ERR_OK : ERR_SOURCE_DENIED)) {
            fail_msg("row %zu, source %.*s: %s", i, SLICE_ARG(rows[i].source), err_name(err));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binding_follows_the_credential),
        cmocka_unit_test(test_suspended_caller_binds_nothing),
        cmocka_unit_test(test_sources_need_list_and_relay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
