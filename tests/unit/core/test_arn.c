/* SPDX-License-Identifier: Apache-2.0
 *
 * test_arn.c - what is an ARN, and what its parts are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/arn.h"

static void an_arn_has_its_parts(void **state)
{
    struct arn arn;

    (void)state;
    assert_true(arn_split(SLICE("arn:aws-cn:states:cn-north-1:111122223333:stateMachine:x"), &arn));
    assert_true(slice_eq(arn.partition, SLICE("aws-cn")));
    assert_true(slice_eq(arn.service, SLICE("states")));
    assert_true(slice_eq(arn.region, SLICE("cn-north-1")));
    assert_true(slice_eq(arn.account, SLICE("111122223333")));
    assert_true(slice_eq(arn.resource, SLICE("stateMachine:x")));
    assert_true(arn_split(SLICE("arn:aws:s3:::bucket"), &arn));
    assert_true(arn.region.len == 0 && arn.account.len == 0);
    assert_true(slice_eq(arn.resource, SLICE("bucket")));
}

static void anything_else_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "arn",
        "arn:aws:sqs:us-east-1:111122223333",
        "arn:aws:sqs:us-east-1:111122223333:",
        "arn::sqs:us-east-1:111122223333:q",
        "arn:aws::us-east-1:111122223333:q",
        "Arn:aws:sqs:us-east-1:111122223333:q",
        "arn:aws:sqs:us-east-1/x:111122223333:q",
        "arn:a.b:sqs:us-east-1:111122223333:q",
        "arn:aws:sqs:US:111122223333:q",
    };
    struct arn arn;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(arn_split(slice_of(bad[i]), &arn));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arn_has_its_parts),
        cmocka_unit_test(anything_else_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
