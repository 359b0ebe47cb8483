/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bus_policy.c - a row for each thing that a policy can say, and for each that it may not.
 */
#include "accounts/bus_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define BUS  "arn:aws:events:us-east-1:222222222222:event-bus/team"
#define RULE "arn:aws:events:us-east-1:222222222222:rule/team/one"
#define ONE(principal, action, more)                                                               \
    "{\"Effect\":\"Allow\",\"Principal\":" principal ",\"Action\":\"" action                       \
    "\",\"Resource\":\"" BUS "\"" more "}"
#define ALLOW(more)     ONE("\"*\"", "events:PutEvents", more)
#define WHEN(condition) ALLOW(",\"Condition\":{" condition "}")
#define DENY                                                                                       \
    "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"events:*\",\"Resource\":\"*\","         \
    "\"Condition\":{\"StringEquals\":{\"events:source\":\"com.example.bad\"}}}"

static const struct bus_policy_call put_events = {
    .account = SLICE_INIT("111111111111"),
    .org_path = SLICE_INIT("o-a1/r-b2/ou-c3"),
    .action = SLICE_INIT("events:PutEvents"),
    .resource = SLICE_INIT(BUS),
    .source = SLICE_INIT("com.example.app"),
    .detail_type = SLICE_INIT("Ping"),
};

static enum err compile(const char *statements, struct arena *arena,
                        const struct bus_policy **policy, struct err_why *why)
{
    char text[4096];

    (void)snprintf(text, sizeof(text), "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}",
                   statements);
    *arena = (struct arena){0};
    *why = (struct err_why){.text = ""};
    return bus_policy_compile(slice_of(text), arena, policy, why);
}

static enum bus_policy_verdict judge(const char *statements, const struct bus_policy_call *call)
{
    const struct bus_policy *policy;
    enum bus_policy_verdict verdict;
    struct err_why why;
    struct arena arena;

    if (compile(statements, &arena, &policy, &why) != ERR_OK) {
        fail_msg("%s\n%s", statements, why.text);
    }
    verdict = bus_policy_judge(policy, call);
    arena_clean_up(&arena);
    return verdict;
}

/* ---- what a policy says ------------------------------------------------------------------- */

static const struct row {
    const char *statements;
    enum bus_policy_verdict verdict;
} rows[] = {
    /* principals */
    {ALLOW(""), BUS_POLICY_ALLOWS},
    {ONE("{\"AWS\":\"*\"}", "events:PutEvents", ""), BUS_POLICY_ALLOWS},
    {ONE("{\"AWS\":\"111111111111\"}", "events:PutEvents", ""), BUS_POLICY_ALLOWS},
    {ONE("{\"AWS\":\"arn:aws:iam::111111111111:root\"}", "events:PutEvents", ""),
     BUS_POLICY_ALLOWS},
    {ONE("{\"AWS\":[\"333333333333\",\"111111111111\"]}", "events:PutEvents", ""),
     BUS_POLICY_ALLOWS},
    {ONE("{\"AWS\":\"333333333333\"}", "events:PutEvents", ""), BUS_POLICY_SILENT},
    /* actions and resources */
    {ONE("\"*\"", "events:*", ""), BUS_POLICY_ALLOWS},
    {ONE("\"*\"", "*", ""), BUS_POLICY_ALLOWS},
    {ONE("\"*\"", "events:putevents", ""), BUS_POLICY_ALLOWS},
    {ONE("\"*\"", "events:Put*s", ""), BUS_POLICY_ALLOWS},
    {ONE("\"*\"", "events:Put?vents", ""), BUS_POLICY_ALLOWS},
    {ONE("\"*\"", "events:PutRule", ""), BUS_POLICY_SILENT},
    {ONE("\"*\"", "events:PutEvent", ""), BUS_POLICY_SILENT},
    {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[\"events:PutRule\","
     "\"events:PutEvents\"],\"Resource\":[\"" RULE "\",\"arn:aws:events:*:*:event-bus/te*\"]}",
     BUS_POLICY_ALLOWS},
    {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"events:PutEvents\",\"Resource\":"
     "\"" BUS "2\"}",
     BUS_POLICY_SILENT},
    /* where the account stands in the organization */
    {WHEN("\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-a1\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringEquals\":{\"AWS:principalorgid\":\"o-a1\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-a\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"aws:PrincipalOrgID\":[\"o-x\",\"o-a1\"]}"), BUS_POLICY_ALLOWS},
    {WHEN("\"ForAnyValue:StringLike\":{\"aws:PrincipalOrgPaths\":\"o-a1/r-b2/*\"}"),
     BUS_POLICY_ALLOWS},
    {WHEN("\"ForAnyValue:StringEquals\":{\"aws:PrincipalOrgPaths\":\"o-a1/r-b2/ou-c3/\"}"),
     BUS_POLICY_ALLOWS},
    {WHEN("\"ForAnyValue:StringLike\":{\"aws:PrincipalOrgPaths\":\"o-a1/r-b2/ou-c/*\"}"),
     BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"aws:SourceAccount\":\"111111111111\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringEquals\":{\"aws:PrincipalAccount\":\"222222222222\"}"), BUS_POLICY_SILENT},
    /* the event */
    {WHEN("\"StringEquals\":{\"events:source\":\"com.example.app\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringEquals\":{\"events:source\":\"com.example.App\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringEqualsIgnoreCase\":{\"events:source\":\"COM.example.App\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringNotEquals\":{\"events:source\":[\"com.example.app\",\"x\"]}"),
     BUS_POLICY_SILENT},
    {WHEN("\"StringNotEquals\":{\"events:source\":[\"y\",\"x\"]}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringLike\":{\"events:source\":\"com.*.app\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringLike\":{\"events:source\":\"com.*.a\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringLike\":{\"events:source\":\"*p*p*\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringLike\":{\"events:source\":\"*p*p*p*p\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringNotLike\":{\"events:source\":\"com.example.*\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"events:source\":\"com.example.*\"}"), BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"events:detail-type\":\"Ping\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"StringEquals\":{\"events:detail-type\":\"Ping\",\"events:source\":\"other\"}"),
     BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"events:detail-type\":\"Ping\"},\"StringLike\":{\"events:source\":"
          "\"com.*\"}"),
     BUS_POLICY_ALLOWS},
    /* what the call does not have */
    {WHEN("\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:events:*:*:*\"}"), BUS_POLICY_SILENT},
    {WHEN("\"ArnLikeIfExists\":{\"aws:SourceArn\":\"arn:aws:events:*:*:*\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"ArnNotLike\":{\"aws:SourceArn\":\"arn:aws:events:*:*:*\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"ForAllValues:StringEquals\":{\"events:creatorAccount\":\"x\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"ForAnyValue:StringNotEquals\":{\"events:creatorAccount\":\"x\"}"), BUS_POLICY_SILENT},
    {WHEN("\"Null\":{\"aws:SourceArn\":\"true\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"Null\":{\"aws:SourceArn\":\"false\"}"), BUS_POLICY_SILENT},
    {WHEN("\"Null\":{\"events:source\":\"false\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"Bool\":{\"events:eventBusInvocation\":\"false\"}"), BUS_POLICY_ALLOWS},
    {WHEN("\"Bool\":{\"events:eventBusInvocation\":true}"), BUS_POLICY_SILENT},
    /* several statements: one that denies settles it, wherever it stands */
    {ALLOW("") "," DENY, BUS_POLICY_ALLOWS},
    {DENY, BUS_POLICY_SILENT},
    {WHEN("\"StringEquals\":{\"events:source\":\"x\"}") "," ALLOW(""), BUS_POLICY_ALLOWS},
};

static void test_every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (judge(rows[i].statements, &put_events) != rows[i].verdict) {
            fail_msg("row %zu: %s", i, rows[i].statements);
        }
    }
    assert_int_equal(bus_policy_judge(NULL, &put_events), BUS_POLICY_SILENT);
}

static void test_a_deny_wins(void **state)
{
    struct bus_policy_call call = put_events;

    (void)state;
    call.source = SLICE("com.example.bad");
    assert_int_equal(judge(ALLOW("") "," DENY, &call), BUS_POLICY_DENIES);
    assert_int_equal(judge(DENY "," ALLOW(""), &call), BUS_POLICY_DENIES);
    assert_int_equal(judge(DENY, &call), BUS_POLICY_DENIES);
}

static void test_an_account_outside_of_any_organization(void **state)
{
    struct bus_policy_call call = put_events;

    (void)state;
    call.org_path = (struct slice){NULL, 0};
    assert_int_equal(judge(WHEN("\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-a1\"}"), &call),
                     BUS_POLICY_SILENT);
    assert_int_equal(judge(WHEN("\"StringEquals\":{\"aws:PrincipalOrgID\":\"\"}"), &call),
                     BUS_POLICY_SILENT);
    assert_int_equal(
        judge(WHEN("\"ForAnyValue:StringLike\":{\"aws:PrincipalOrgPaths\":\"*\"}"), &call),
        BUS_POLICY_SILENT);
}

static void test_rules_of_one_creator(void **state)
{
    static const char statement[] =
        "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"events:*Rule\",\"Resource\":"
        "\"arn:aws:events:us-east-1:222222222222:rule/team/*\",\"Condition\":"
        "{\"StringEqualsIfExists\":{\"events:creatorAccount\":\"${aws:PrincipalAccount}\"}}}";
    struct bus_policy_call call = {.account = SLICE("111111111111"),
                                   .action = SLICE("events:PutRule"),
                                   .resource = SLICE(RULE)};

    (void)state;
    assert_int_equal(judge(statement, &call), BUS_POLICY_ALLOWS);
    call.creator_account = SLICE("111111111111");
    assert_int_equal(judge(statement, &call), BUS_POLICY_ALLOWS);
    call.creator_account = SLICE("333333333333");
    assert_int_equal(judge(statement, &call), BUS_POLICY_SILENT);
}

/* Goal:   a star does not reach over a colon of an ARN. */
static void test_arns_match_part_by_part(void **state)
{
    struct bus_policy_call call = put_events;

    (void)state;
    call.source_arn = SLICE(RULE);
    call.is_sent_by_rule = true;
    assert_int_equal(
        judge(WHEN("\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:events:us-east-1:*:*\"}"), &call),
        BUS_POLICY_ALLOWS);
    assert_int_equal(judge(WHEN("\"ArnEquals\":{\"aws:SourceArn\":\"" RULE "\"}"), &call),
                     BUS_POLICY_ALLOWS);
    assert_int_equal(
        judge(WHEN("\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:*:rule/team/one\"}"), &call),
        BUS_POLICY_SILENT);
    assert_int_equal(judge(WHEN("\"ArnLike\":{\"aws:SourceArn\":\"*\"}"), &call),
                     BUS_POLICY_SILENT);
    assert_int_equal(judge(WHEN("\"Bool\":{\"events:eventBusInvocation\":\"true\"}"), &call),
                     BUS_POLICY_ALLOWS);
}

/* ---- what it may not say ------------------------------------------------------------------ */

static void test_what_is_not_understood_is_refused(void **state)
{
    static const struct {
        const char *statements;
        const char *words;
    } bad[] = {
        {"", "1 to 100"},
        {"1", "must be an object"},
        {"{\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}", "Effect"},
        {"{\"Effect\":\"allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}",
         "Effect"},
        {"{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}", "Principal"},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":\"*\"}", "Action"},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\"}", "Resource"},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[],\"Resource\":\"*\"}", "empty"},
        {"{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":[7],\"Resource\":\"*\"}", "string"},
        {"{\"Effect\":\"Allow\",\"NotPrincipal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}",
         "NotPrincipal"},
        {ONE("{\"AWS\":\"arn:aws:iam::111111111111:role/x\"}", "events:PutEvents", ""),
         "names no account"},
        {ONE("{\"Service\":\"events.amazonaws.com\"}", "events:PutEvents", ""), "Principal"},
        {ONE("{\"AWS\":\"*\",\"Service\":\"x\"}", "events:PutEvents", ""), "Principal"},
        {ONE("\"111111111111\"", "events:PutEvents", ""), "Principal"},
        {ONE("\"*\"", "sqs:SendMessage", ""), "no action of events"},
        {WHEN("\"StringEquals\":{\"aws:userid\":\"x\"}"), "condition key"},
        {WHEN("\"StringMatches\":{\"events:source\":\"x\"}"), "condition operator"},
        {WHEN("\"NullIfExists\":{\"events:source\":\"true\"}"), "condition operator"},
        {WHEN("\"IfExists\":{\"events:source\":\"true\"}"), "condition operator"},
        {WHEN("\"StringEquals\":{\"events:source\":\"${aws:userid}\"}"), "policy variable"},
        {WHEN("\"Bool\":{\"events:eventBusInvocation\":\"yes\"}"), "neither"},
        {WHEN("\"Null\":{\"events:source\":[\"true\",\"false\"]}"), "one value"},
        {WHEN("\"StringEquals\":7"), "must be an object"},
        {ALLOW(",\"Condition\":7"), "Condition"},
    };
    const struct bus_policy *policy;
    struct err_why why;
    struct arena arena;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const enum err err = compile(bad[i].statements, &arena, &policy, &why);

        arena_clean_up(&arena);
        if (err != ERR_BAD_VALUE || strstr(why.text, bad[i].words) == NULL) {
            fail_msg("%s: %s", bad[i].statements, why.text);
        }
    }
}

static void test_what_is_no_policy_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"Version\":\"2012-10-17\"}",
        "{\"Version\":\"2008-10-17\",\"Statement\":[" ALLOW("") "]}",
        "{\"Version\":\"2012-10-17\",\"Statement\":[" ALLOW("") "]",
        "{\"Version\":\"2012-10-17\",\"Version\":\"2012-10-17\",\"Statement\":[" ALLOW("") "]}",
    };
    struct arena arena = {0};
    const struct bus_policy *policy;
    struct err_why why;
    char *long_one = xcalloc(1, BUS_POLICY_CHARS_MAX + 2);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(bus_policy_compile(slice_of(bad[i]), &arena, &policy, &why),
                         ERR_BAD_VALUE);
    }
    memset(long_one, ' ', BUS_POLICY_CHARS_MAX + 1);
    assert_int_equal(bus_policy_compile(slice_of(long_one), &arena, &policy, &why), ERR_BAD_VALUE);
    xfree(long_one);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_a_deny_wins),
        cmocka_unit_test(test_an_account_outside_of_any_organization),
        cmocka_unit_test(test_rules_of_one_creator),
        cmocka_unit_test(test_arns_match_part_by_part),
        cmocka_unit_test(test_what_is_not_understood_is_refused),
        cmocka_unit_test(test_what_is_no_policy_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
