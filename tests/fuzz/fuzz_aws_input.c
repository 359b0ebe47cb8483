/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: aws_operation_write
 *
 * Any input becomes a request or an error.  A form holds nothing but what a form may hold, a JSON
 * body is JSON, a path does not climb, a header does not end early.  The first byte picks the call.
 */
#include "delivery/aws_call.h"

#include "core/check.h"
#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const calls[][2] = {
    {"cloudtrail", "lookupEvents"},
    {"secretsmanager", "rotateSecret"},
    {"iam", "tagRole"},
    {"sns", "publish"},
    {"cloudwatch", "putMetricData"},
    {"ec2", "describeInstances"},
    {"securityhub", "getFindings"},
    {"guardduty", "archiveFindings"},
    {"guardduty", "getFindings"},
    {"s3", "getObjectTagging"},
    {"s3", "headObject"},
    {"lambda", "invoke"},
};

static bool is_form(struct slice text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-_.~%&=";

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void check_path(struct slice path)
{
    while (path.len > 0) {
        const struct slice segment = slice_cut(&path, '/');

        CHECK(!slice_eq(segment, SLICE("..")));
        CHECK(!slice_eq(segment, SLICE(".")));
        CHECK(slice_find(segment, '?') == segment.len);
        CHECK(slice_find(segment, '#') == segment.len);
    }
}

static void check_written(const struct aws_operation *operation, const struct aws_written *written)
{
    const struct slice body = buf_slice(written->body);

    check_path(written->path);
    CHECK(slice_find(written->query, '#') == written->query.len);
    for (size_t i = 0; i < written->header_count; i++) {
        CHECK(memchr(written->headers[i].value.data, '\n', written->headers[i].value.len) == NULL);
        CHECK(memchr(written->headers[i].value.data, '\r', written->headers[i].value.len) == NULL);
    }
    switch (operation->service->protocol) {
    case AWS_QUERY:
    case AWS_EC2:
        CHECK(is_form(body));
        break;
    case AWS_JSON:
        CHECK(json_check(body, 64, NULL) == ERR_OK);
        break;
    case AWS_REST_JSON:
    case AWS_REST_XML:
    default:
        CHECK(body.len == 0 || operation->call->payload != NULL ||
              json_check(body, 64, NULL) == ERR_OK);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aws_operation operation;
    struct aws_written written = {0};
    struct arena arena = {0};
    struct err_why why;
    const char *const *call;
    struct buf body;
    enum err err;

    if (size < 1) {
        return 0;
    }
    call = calls[data[0] % ARRAY_LEN(calls)];
    CHECK(aws_operation_find(slice_of(call[0]), slice_of(call[1]), &operation, &why) == ERR_OK);
    buf_init(&body, 1 << 20);
    written.body = &body;
    err =
        aws_operation_write(&operation, (struct slice){(const char *)data + 1, size - 1},
                            SLICE("00000000-0000-8000-8000-000000000000"), &arena, &written, &why);
    CHECK(err == ERR_OK || err == ERR_BAD_VALUE || err == ERR_BAD_JSON || err == ERR_TOO_LARGE);
    if (err == ERR_OK) {
        check_written(&operation, &written);
    }
    buf_clean_up(&body);
    arena_clean_up(&arena);
    return 0;
}
