/* SPDX-License-Identifier: Apache-2.0
 *
 * test_event_identity.c - values at paths, and the identity of each service's findings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/event_identity.h"
#include "routing/event_path.h"

static void test_which_paths_are_paths(void **state)
{
    static const char *const good[] = {"detail.id",   "$.detail.id",           "source",
                                       "$.source",    "detail.findings[0].Id", "resources[2]",
                                       "detail-type", "detail.a-b.c d"};
    static const char *const bad[] = {"",           "detail.",    ".id",      "detail..id",
                                      "$",          "$.",         "id.x",     "other.id",
                                      "[0]",        "detail[",    "detail[]", "detail[x]",
                                      "detail[0]x", "detail.[0]", "detail]",  "detail[1234567]"};
    struct err_why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (event_path_check(slice_of(good[i]), &why) != ERR_OK) {
            fail_msg("%s: %s", good[i], why.text);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (event_path_check(slice_of(bad[i]), &why) != ERR_BAD_VALUE) {
            fail_msg("%s", bad[i]);
        }
    }
}

static void test_values_at_paths(void **state)
{
    const struct event_draft draft = {
        .source = SLICE("s"),
        .resources = SLICE("[\"r0\", \"r1\"]"),
        .detail = SLICE("{\"a\":{\"b\" : 1.0},\"l\":[{\"k\":\"v\"},[2]],\"n\":null,\"e\":\"\","
                        "\"t\":1,\"t\":2,\"\\u0078y\":3}"),
    };
    static const struct {
        const char *path;
        const char *value; /* NULL: none */
    } rows[] = {
        {"source", "s"},
        {"detail.a.b", "1.0"},
        {"$.detail.a.b", "1.0"},
        {"detail.l[0].k", "\"v\""},
        {"detail.l[1][0]", "2"},
        {"detail.l[2]", NULL},
        {"detail.l.k", NULL},
        {"detail.a[0]", NULL},
        {"detail.a.b.c", NULL},
        {"detail.none", NULL},
        {"detail.n", NULL},
        {"detail.e", NULL},
        {"detail.t", "2"},
        {"detail.xy", "3"},
        {"resources[1]", "\"r1\""},
        {"id", NULL},
        {"time", NULL},
        {"detail.l[0]", "{\"k\":\"v\"}"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct event_value value;
        const bool is_found = event_path_find(&draft, slice_of(rows[i].path), &arena, &value);

        if (is_found != (rows[i].value != NULL) ||
            (is_found && !slice_eq(value.text, slice_of(rows[i].value)))) {
            fail_msg("%s", rows[i].path);
        }
    }
    arena_clean_up(&arena);
}

/* ---- findings ------------------------------------------------------------------------------ */

struct row {
    const char *source;
    const char *detail_type;
    const char *detail;
    const char *same;     /* as far as the finding goes */
    const char *other[5]; /* another state, or another finding */
    const char *none[5];  /* what lacks its identity */
};

static const struct row rows[] = {
    {"aws.guardduty",
     "GuardDuty Finding",
     "{\"id\":\"f\",\"updatedAt\":\"1\",\"severity\":5}",
     "{\"severity\":8,\"updatedAt\":\"1\",\"id\":\"f\"}",
     {"{\"id\":\"g\",\"updatedAt\":\"1\"}", "{\"id\":\"f\",\"updatedAt\":\"2\"}"},
     {"{\"id\":\"f\"}", "{\"updatedAt\":\"1\"}", "{\"id\":null,\"updatedAt\":\"1\"}", "{}"}},
    {"aws.macie",
     "Macie Finding",
     "{\"id\":\"f\",\"updatedAt\":\"1\",\"count\":1}",
     "{\"id\":\"f\",\"updatedAt\":\"1\",\"count\":2}",
     {"{\"id\":\"f\",\"updatedAt\":\"2\"}"},
     {"{\"id\":\"\",\"updatedAt\":\"1\"}"}},
    {"aws.securityhub",
     "Security Hub Findings - Imported",
     "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\",\"Workflow\":{\"Status\":\"NEW\"}}]}",
     "{\"findings\":[{\"UpdatedAt\":\"1\",\"Workflow\":{\"Status\":\"NEW\"},\"Id\":\"f\",\"x\":1}]"
     "}",
     {"{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\",\"Workflow\":{\"Status\":\"NOTIFIED\"}}]}",
      "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\"}]}",
      "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\",\"Workflow\":{\"Status\":\"NEW\"},"
      "\"RecordState\":\"ARCHIVED\"}]}",
      "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\",\"Workflow\":{\"Status\":\"NEW\"},"
      "\"ProductArn\":\"p\"}]}"},
     {"{\"findings\":[]}", "{\"findings\":{\"Id\":\"f\",\"UpdatedAt\":\"1\"}}",
      "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\"},{\"Id\":\"g\",\"UpdatedAt\":\"1\"}]}"}},
    {"aws.access-analyzer",
     "Access Analyzer Finding",
     "{\"id\":\"f\",\"updatedAt\":\"1\",\"status\":\"ACTIVE\",\"isDeleted\":false}",
     "{\"id\":\"f\",\"updatedAt\":\"1\",\"status\":\"ACTIVE\",\"isDeleted\":false,\"error\":\"x\"}",
     {"{\"id\":\"f\",\"updatedAt\":\"1\",\"status\":\"ARCHIVED\",\"isDeleted\":false}",
      "{\"id\":\"f\",\"updatedAt\":\"1\",\"status\":\"ACTIVE\",\"isDeleted\":true}"},
     {"{\"id\":\"f\",\"status\":\"ACTIVE\"}"}},
    {"aws.inspector2",
     "Inspector2 Finding",
     "{\"findingArn\":\"f\",\"updatedAt\":\"1\",\"status\":\"ACTIVE\"}",
     "{\"findingArn\":\"f\",\"updatedAt\":\"1\",\"status\":\"ACTIVE\",\"title\":\"x\"}",
     {"{\"findingArn\":\"f\",\"updatedAt\":\"1\",\"status\":\"CLOSED\"}",
      "{\"findingArn\":\"f\",\"updatedAt\":\"2\",\"status\":\"ACTIVE\"}"},
     {"{\"updatedAt\":\"1\"}"}},
    {"aws.config",
     "Config Rules Compliance Change",
     "{\"configRuleARN\":\"c\",\"resourceType\":\"t\",\"resourceId\":\"i\","
     "\"newEvaluationResult\":{\"resultRecordedTime\":\"1\",\"complianceType\":\"COMPLIANT\"}}",
     "{\"configRuleARN\":\"c\",\"resourceType\":\"t\",\"resourceId\":\"i\",\"recordVersion\":\"1\","
     "\"newEvaluationResult\":{\"complianceType\":\"COMPLIANT\",\"resultRecordedTime\":\"1\"}}",
     {"{\"configRuleARN\":\"c\",\"resourceType\":\"t\",\"resourceId\":\"j\","
      "\"newEvaluationResult\":{\"resultRecordedTime\":\"1\",\"complianceType\":\"COMPLIANT\"}}"},
     {"{\"configRuleARN\":\"c\",\"resourceType\":\"t\",\"resourceId\":\"i\"}"}},
    {"aws.config",
     "Config Configuration Item Change",
     "{\"configurationItem\":{\"resourceType\":\"t\",\"resourceId\":\"i\","
     "\"configurationItemCaptureTime\":\"1\",\"configurationStateId\":7}}",
     "{\"configurationItem\":{\"configurationStateId\":7,\"resourceType\":\"t\","
     "\"resourceId\":\"i\",\"configurationItemCaptureTime\":\"1\"},\"messageType\":\"x\"}",
     {"{\"configurationItem\":{\"resourceType\":\"t\",\"resourceId\":\"i\","
      "\"configurationItemCaptureTime\":\"1\",\"configurationStateId\":8}}"},
     {"{\"configurationItem\":null}"}},
    {"aws.iam",
     "AWS API Call via CloudTrail",
     "{\"eventID\":\"e\",\"eventName\":\"x\"}",
     "{\"eventID\":\"e\"}",
     {"{\"eventID\":\"f\"}"},
     {"{\"eventName\":\"x\"}"}},
};

static bool identify(const struct row *row, const char *detail, struct digest *digest)
{
    const struct event_draft draft = {.source = slice_of(row->source),
                                      .detail_type = slice_of(row->detail_type),
                                      .detail = slice_of(detail)};
    struct arena arena = {0};
    const bool is_known = event_identity_finding(&draft, &arena, digest);

    arena_clean_up(&arena);
    return is_known;
}

static bool same(const struct digest *a, const struct digest *b)
{
    return slice_eq(digest_slice(a), digest_slice(b));
}

static void test_findings_of_each_service(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct digest first;
        struct digest second;

        if (!identify(row, row->detail, &first) || !identify(row, row->same, &second) ||
            !same(&first, &second)) {
            fail_msg("%s: the same finding", row->detail_type);
        }
        for (size_t k = 0; k < ARRAY_LEN(row->other) && row->other[k] != NULL; k++) {
            if (!identify(row, row->other[k], &second) || same(&first, &second)) {
                fail_msg("%s: %s", row->detail_type, row->other[k]);
            }
        }
        for (size_t k = 0; k < ARRAY_LEN(row->none) && row->none[k] != NULL; k++) {
            if (identify(row, row->none[k], &second)) {
                fail_msg("%s: %s", row->detail_type, row->none[k]);
            }
        }
    }
}

static void test_what_is_no_finding(void **state)
{
    static const struct row others[] = {
        {"com.example", "GuardDuty Finding", "{\"id\":\"f\",\"updatedAt\":\"1\"}", NULL, {0}, {0}},
        {"aws.guardduty", "Other", "{\"id\":\"f\",\"updatedAt\":\"1\"}", NULL, {0}, {0}},
        {"aws.macie", "GuardDuty Finding", "{\"id\":\"f\",\"updatedAt\":\"1\"}", NULL, {0}, {0}},
        {"awsome", "AWS API Call via CloudTrail", "{\"eventID\":\"e\"}", NULL, {0}, {0}},
        {"aws.securityhub",
         "Security Hub Findings - Custom Action",
         "{\"findings\":[{\"Id\":\"f\",\"UpdatedAt\":\"1\"}]}",
         NULL,
         {0},
         {0}},
    };
    struct digest digest;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(identify(&others[i], others[i].detail, &digest));
    }
}

/* The values of one service are no other's. */
static void test_findings_of_two_services_differ(void **state)
{
    struct digest guardduty;
    struct digest macie;

    (void)state;
    assert_true(identify(&rows[0], rows[0].detail, &guardduty));
    assert_true(identify(&rows[1], rows[0].detail, &macie));
    assert_false(same(&guardduty, &macie));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_paths_are_paths),
        cmocka_unit_test(test_values_at_paths),
        cmocka_unit_test(test_findings_of_each_service),
        cmocka_unit_test(test_what_is_no_finding),
        cmocka_unit_test(test_findings_of_two_services_differ),
    };

    digest_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
