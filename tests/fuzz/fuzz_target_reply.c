/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: classify of every kind of target, target_fault_read, aws_xml_walk
 *
 * Whatever a service answers, each item gets a verdict that is whole: a reason exactly when it is
 * buried, no error exactly when it is settled, a message that ends.  The first byte is the status,
 * the second says how many items were sent.
 */
#include "delivery/target.h"

#include "core/check.h"
#include "core/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const arns[] = {
    "arn:aws:lambda:eu-west-1:111122223333:function:f",
    "arn:aws:states:eu-west-1:111122223333:stateMachine:m",
    "arn:aws:ssm:eu-west-1:111122223333:automation-definition/abc",
    "arn:aws:sns:eu-west-1:111122223333:t",
    "arn:aws:sqs:eu-west-1:111122223333:q",
    "arn:aws:events:eu-west-1:111122223333:event-bus/b",
    "arn:aws:scheduler:::aws-sdk:securityhub:batchUpdateFindings",
};

static void judge(const char *arn, unsigned status, size_t count, struct slice body)
{
    const struct target_options options = {.sqs_batch_bytes_max = 1 << 20};
    const struct target_reply reply = {.status = status, .headers = body, .body = body};
    const struct target_ops *ops = target_find(slice_of(arn));
    struct target_item items[TARGET_BATCH_MAX] = {0};
    struct target_verdict verdicts[TARGET_BATCH_MAX];
    struct arena arena = {0};
    struct target *target;
    struct err_why why;

    CHECK(ops != NULL);
    CHECK(ops->open(&options, slice_of(arn), &target, &why) == ERR_OK);
    count = MIN_OF(count, ops->batch_count_max);
    memset(verdicts, 0xA5, sizeof(verdicts));
    ops->classify(target, items, count, &reply, &arena, verdicts);
    for (size_t i = 0; i < count; i++) {
        CHECK(verdicts[i].action <= TARGET_BURY);
        CHECK((verdicts[i].action == TARGET_BURY) == (verdicts[i].reason != NULL));
        CHECK((verdicts[i].action == TARGET_SETTLE) == (verdicts[i].err == ERR_OK));
        CHECK(verdicts[i].action != TARGET_SPLIT || count > 1);
        CHECK(memchr(verdicts[i].message, '\0', sizeof(verdicts[i].message)) != NULL);
    }
    ops->close(target);
    arena_clean_up(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned statuses[] = {200, 202, 400, 401, 403, 404, 409, 429, 500, 503};

    if (size < 2) {
        return 0;
    }
    digest_init();
    for (size_t i = 0; i < ARRAY_LEN(arns); i++) {
        judge(arns[i], statuses[data[0] % ARRAY_LEN(statuses)], 1 + data[1] % TARGET_BATCH_MAX,
              (struct slice){(const char *)data + 2, size - 2});
    }
    return 0;
}
