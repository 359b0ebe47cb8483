/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_universal.c - calls of the AWS API by name, each protocol as it travels.
 */
#include "target_bench.h"

#define ARN(call) "arn:aws:scheduler:::aws-sdk:" call
#define EVENT                                                                                      \
    "{\"id\":\"i\",\"detail-type\":\"t\",\"source\":\"s\",\"region\":\"eu-west-1\",\"detail\":{}}"

static struct target_item made(const char *input)
{
    struct target_item item = bench_item(input);

    item.event = SLICE(EVENT);
    return item;
}

static void test_only_known_calls_open(void **state)
{
    static const struct {
        const char *arn;
        const char *why;
    } rows[] = {
        {"arn:aws:scheduler:::aws-sdk", "no service is called \"\""},
        {"arn:aws:scheduler:::other:ec2:describeInstances", "an ARN of an AWS call is"},
        {"arn:aws:scheduler:eu-west-1:111122223333:aws-sdk:ec2:describeInstances",
         "an ARN of an AWS call is"},
        {ARN("nosuch:describeInstances"), "no service is called \"nosuch\""},
        {ARN("ec2:describeNothing"), "ec2 has no call \"describeNothing\""},
        {ARN("ec2:DESCRIBEINSTANCES"), "ec2 has no call"},
        {ARN("ec2:"), "ec2 has no call \"\""},
        {ARN("ec2"), "ec2 has no call \"\""},
        {ARN("ssm:getParameter:x"), "ssm has no call \"getParameter:x\""},
        {"arn:aws-cn:scheduler:::aws-sdk:iam:getRole", "in partition aws only"},
    };
    static const char *const known[] = {
        ARN("securityhub:batchUpdateFindings"),
        ARN("securityhub:batchImportFindings"),
        ARN("iam:putRolePolicy"),
        ARN("iam:getInstanceProfile"),
        ARN("ec2:describeInstances"),
        ARN("s3:getPublicAccessBlock"),
        ARN("s3:getBucketPolicyStatus"),
        ARN("s3:getBucketReplication"),
        ARN("cloudtrail:lookupEvents"),
        ARN("ssm:getParameter"),
        ARN("ssm:GetParametersByPath"),
        ARN("sfn:startExecution"),
        ARN("lambda:invoke"),
        ARN("sns:publish"),
        ARN("dynamodb:putItem"),
        "arn:aws:scheduler:eu-west-1::aws-sdk:kms:disableKey",
    };
    struct err_why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (target_check_arn(slice_of(rows[i].arn), &why) != ERR_BAD_VALUE ||
            strstr(why.text, rows[i].why) == NULL) {
            fail_msg("%s: %s", rows[i].arn, why.text);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (target_check_arn(slice_of(known[i]), &why) != ERR_OK) {
            fail_msg("%s: %s", known[i], why.text);
        }
    }
}

/* Goal:   each protocol's request is what its service documents.
 * Method: one row per way that a member can travel. */
static void test_how_calls_travel(void **state)
{
    static const struct {
        const char *call;
        const char *input;
        const char *method;
        const char *url;
        const char *header; /* one that tells */
        const char *value;
        const char *body;
    } rows[] = {
        /* JSON: as it stands */
        {"cloudtrail:lookupEvents", "{\"MaxResults\": 5}", "POST",
         "https://cloudtrail.eu-west-1.amazonaws.com/", "x-amz-target",
         "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
         "{\"MaxResults\": 5}"},
        {"sfn:startExecution", "{}", "POST", "https://states.eu-west-1.amazonaws.com/",
         "content-type", "application/x-amz-json-1.0", "{}"},
        /* query: texts, lists, structures, maps */
        {"iam:putRolePolicy",
         "{\"RoleName\":\"app\",\"PolicyName\":\"Deny\",\"PolicyDocument\":\"{\\\"a\\\": 1}\"}",
         "POST", "https://iam.amazonaws.com/", "content-type",
         "application/x-www-form-urlencoded; charset=utf-8",
         "Action=PutRolePolicy&Version=2010-05-08&RoleName=app&PolicyName=Deny"
         "&PolicyDocument=%7B%22a%22%3A%201%7D"},
        {"iam:tagRole", "{\"RoleName\":\"app\",\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}", "POST",
         "https://iam.amazonaws.com/", "x-none", "",
         "Action=TagRole&Version=2010-05-08&RoleName=app&Tags.member.1.Key=k&Tags.member.1.Value="
         "v"},
        {"sns:publish",
         "{\"TopicArn\":\"t\",\"Message\":\"m\",\"MessageAttributes\":{\"a\":{\"DataType\":"
         "\"String\",\"StringValue\":\"x\"}}}",
         "POST", "https://sns.eu-west-1.amazonaws.com/", "x-none", "",
         "Action=Publish&Version=2010-03-31&TopicArn=t&Message=m&MessageAttributes.entry.1.Name=a"
         "&MessageAttributes.entry.1.Value.DataType=String"
         "&MessageAttributes.entry.1.Value.StringValue=x"},
        {"sts:getCallerIdentity", "{}", "POST", "https://sts.eu-west-1.amazonaws.com/", "x-none",
         "", "Action=GetCallerIdentity&Version=2011-06-15"},
        /* EC2: lists without names, and names of its own */
        {"ec2:describeInstances",
         "{\"InstanceIds\":[\"i-1\",\"i-2\"],\"Filters\":[{\"Name\":\"n\",\"Values\":[\"a\",\"b\"]}"
         "],"
         "\"DryRun\":false,\"MaxResults\":7,\"NextToken\":null}",
         "POST", "https://ec2.eu-west-1.amazonaws.com/", "x-none", "",
         "Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-2"
         "&Filter.1.Name=n&Filter.1.Value.1=a&Filter.1.Value.2=b&DryRun=false&MaxResults=7"},
        /* REST-JSON */
        {"securityhub:batchUpdateFindings",
         "{\"FindingIdentifiers\":[{\"Id\":\"i\",\"ProductArn\":\"p\"}],\"Workflow\":{\"Status\":"
         "\"NOTIFIED\"}}",
         "PATCH", "https://securityhub.eu-west-1.amazonaws.com/findings/batchupdate",
         "content-type", "application/json",
         "{\"FindingIdentifiers\":[{\"Id\":\"i\",\"ProductArn\":\"p\"}],\"Workflow\":{\"Status\":"
         "\"NOTIFIED\"}}"},
        {"guardduty:archiveFindings", "{\"DetectorId\":\"d/1\",\"FindingIds\":[\"f\"]}", "POST",
         "https://guardduty.eu-west-1.amazonaws.com/detector/d%2F1/findings/archive", "x-none", "",
         "{\"findingIds\":[\"f\"]}"},
        {"lambda:invoke",
         "{\"FunctionName\":\"f:a\",\"InvocationType\":\"Event\",\"Qualifier\":\"live\","
         "\"Payload\":"
         "{\"x\": 1}}",
         "POST",
         "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/f%3Aa/invocations?"
         "Qualifier=live",
         "X-Amz-Invocation-Type", "Event", "{\"x\": 1}"},
        {"lambda:invoke", "{\"FunctionName\":\"f\",\"Payload\":\"{\\\"x\\\":1}\"}", "POST",
         "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/f/invocations", "x-none", "",
         "{\"x\":1}"},
        /* REST-XML, without a body */
        {"s3:getPublicAccessBlock",
         "{\"Bucket\":\"data\",\"ExpectedBucketOwner\":\"111122223333\"}", "GET",
         "https://s3.eu-west-1.amazonaws.com/data?publicAccessBlock", "x-amz-expected-bucket-owner",
         "111122223333", ""},
        {"s3:getObjectTagging", "{\"Bucket\":\"b\",\"Key\":\"in/a b.csv\",\"VersionId\":\"v&1\"}",
         "GET", "https://s3.eu-west-1.amazonaws.com/b/in/a%20b.csv?tagging&versionId=v%261",
         "x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = made(rows[i].input);
        struct target_verdict verdict;
        const char *body;
        struct bench b;
        char arn[128];

        (void)snprintf(arn, sizeof(arn), ARN("%s"), rows[i].call);
        bench_open(&b, arn, NULL);
        if (!b.target->ops->check(b.target, &item, &verdict)) {
            fail_msg("%s: %s", rows[i].call, verdict.message);
        }
        body = bench_build(&b, &item, 1);
        assert_string_equal(b.request.method, rows[i].method);
        assert_string_equal(b.request.url, rows[i].url);
        assert_string_equal(bench_header(&b, rows[i].header), rows[i].value);
        assert_string_equal(body, rows[i].body);
        assert_true(slice_has_prefix(b.request.path, SLICE("/")));
        bench_close(&b);
    }
}

/* Goal: the Region is the ARN's, else the event's, and nothing that is no Region. */
static void test_which_region_is_called(void **state)
{
    static const struct {
        const char *arn;
        const char *region; /* of the event */
        const char *host;   /* NULL: refused */
        const char *signs;
    } rows[] = {
        {ARN("ec2:describeInstances"), "eu-west-1", "ec2.eu-west-1.amazonaws.com", "eu-west-1"},
        {"arn:aws:scheduler:us-east-2::aws-sdk:ec2:describeInstances", "eu-west-1",
         "ec2.us-east-2.amazonaws.com", "us-east-2"},
        {"arn:aws-cn:scheduler:::aws-sdk:ec2:describeInstances", "cn-north-1",
         "ec2.cn-north-1.amazonaws.com.cn", "cn-north-1"},
        {ARN("iam:getRole"), "eu-west-1", "iam.amazonaws.com", "us-east-1"},
        {ARN("ec2:describeInstances"), "evil.example/", NULL, NULL},
        {ARN("ec2:describeInstances"), "a_b", NULL, NULL},
        {ARN("ec2:describeInstances"), "127.0.0.1:80/#", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct target_item item = made("{}");
        struct target_verdict verdict;
        char event[256];
        struct bench b;

        (void)snprintf(event, sizeof(event),
                       "{\"id\":\"i\",\"detail-type\":\"t\",\"source\":\"s\",\"region\":\"%s\","
                       "\"detail\":{}}",
                       rows[i].region);
        item.event = slice_of(event);
        item.body = strstr(rows[i].arn, "iam") != NULL ? SLICE("{\"RoleName\":\"r\"}") : item.body;
        bench_open(&b, rows[i].arn, NULL);
        assert_int_equal(b.target->ops->check(b.target, &item, &verdict), rows[i].host != NULL);
        if (rows[i].host != NULL) {
            (void)bench_build(&b, &item, 1);
            assert_string_equal(bench_text(&b, b.request.host), rows[i].host);
            assert_string_equal(bench_text(&b, b.request.region), rows[i].signs);
        }
        bench_close(&b);
    }
}

/* Goal: an input that the call cannot have dies before anything is sent, with what is wrong. */
static void test_inputs_that_a_call_cannot_have(void **state)
{
    static const struct {
        const char *call;
        const char *input;
        const char *why;
    } rows[] = {
        {"cloudtrail:lookupEvents", "[]", "the input must be an object"},
        {"cloudtrail:lookupEvents", "{\"a\":", ""},
        {"iam:putRolePolicy", "{\"Role\":\"x\"}", "PutRolePolicy has no member Role here"},
        {"iam:putRolePolicy", "{\"RoleName\":{}}", "RoleName must be a string"},
        {"iam:tagRole", "{\"Tags\":{}}", "Tags must be a list"},
        {"iam:tagRole", "{\"Tags\":[\"x\"]}", "Tags.member.1 must be an object"},
        {"ec2:describeInstances", "{\"Filters\":[{\"Nope\":1}]}", "no member Nope here"},
        {"guardduty:archiveFindings", "{\"FindingIds\":[]}", "detectorId is required"},
        {"guardduty:archiveFindings", "{\"DetectorId\":\"..\"}", "only dots"},
        {"guardduty:archiveFindings", "{\"DetectorId\":\"d\",\"X\":1}", "no member X here"},
        {"s3:getObjectTagging", "{\"Bucket\":\"b\",\"Key\":\"a/../c\"}", "only dots"},
        {"s3:getPublicAccessBlock", "{\"Bucket\":\"b\",\"ExpectedBucketOwner\":\"1\\r\\nx: y\"}",
         "control characters"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = made(rows[i].input);
        struct target_verdict verdict;
        struct bench b;
        char arn[128];

        (void)snprintf(arn, sizeof(arn), ARN("%s"), rows[i].call);
        bench_open(&b, arn, NULL);
        if (b.target->ops->check(b.target, &item, &verdict) ||
            strcmp(verdict.reason, "invalid-input") != 0 ||
            strstr(verdict.message, rows[i].why) == NULL) {
            fail_msg("%s %s: %s", rows[i].call, rows[i].input, verdict.message);
        }
        bench_close(&b);
    }
}

/* Goal: a member that makes a repeat harmless is filled in, unless the input has it. */
static void test_a_token_is_filled_in(void **state)
{
    struct target_item item = made("{}");
    struct bench b;
    char first[64];

    (void)state;
    bench_open(&b, ARN("secretsmanager:rotateSecret"), NULL);
    (void)snprintf(first, sizeof(first), "%s", bench_build(&b, &item, 1));
    assert_true(slice_has_prefix(slice_of(first), SLICE("{\"ClientRequestToken\":\"")));
    assert_int_equal(strlen(first), strlen("{\"ClientRequestToken\":\"\"}") + 36);
    assert_string_equal(bench_build(&b, &item, 1), first);
    item.body = SLICE(" {\n \"SecretId\":\"s\"}");
    assert_non_null(strstr(bench_build(&b, &item, 1), "\",\n \"SecretId\":\"s\"}"));
    item.body = SLICE("{\"ClientRequestToken\":\"mine\"}");
    assert_string_equal(bench_build(&b, &item, 1), "{\"ClientRequestToken\":\"mine\"}");
    bench_close(&b);
}

#define XML(code)  "<ErrorResponse><Error><Code>" code "</Code></Error></ErrorResponse>"
#define EC2(code)  "<Response><Errors><Error><Code>" code "</Code></Error></Errors></Response>"
#define S3(code)   "<Error><Code>" code "</Code><Message>m</Message></Error>"
#define JSON(code) "{\"__type\":\"x#" code "\",\"message\":\"m\"}"
#define HUB(code)                                                                                  \
    "{\"ProcessedFindings\":[],\"UnprocessedFindings\":[{\"FindingIdentifier\":{\"Id\":\"i\","     \
    "\"ProductArn\":\"p\"},\"ErrorCode\":\"" code "\",\"ErrorMessage\":\"m\"}]}"

static void test_how_replies_are_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(200, "{\"ProcessedFindings\":[],\"UnprocessedFindings\":[]}"),
        BENCH_SETTLED(204, ""),
        BENCH_SETTLED(404, S3("NoSuchPublicAccessBlockConfiguration")),
        BENCH_SETTLED(404, S3("NoSuchBucketPolicy")),
        BENCH_SETTLED(404, S3("ReplicationConfigurationNotFoundError")),
        BENCH_SETTLED(400, JSON("ExecutionAlreadyExists")),
        BENCH_RETRIED(200, HUB("ConcurrentUpdateError"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(200, HUB("InternalFailure"), ERR_REMOTE_FAILED),
        BENCH_BURIED(200, HUB("FindingNotFound"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(200, HUB("InvalidInput"), ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        BENCH_BURIED(401, JSON("InvalidAccessException"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_RETRIED(429, JSON("LimitExceededException"), ERR_REMOTE_THROTTLED),
        BENCH_RETRIED(503, EC2("RequestLimitExceeded"), ERR_REMOTE_THROTTLED),
        BENCH_BURIED(403, EC2("UnauthorizedOperation"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_BURIED(400, EC2("InvalidInstanceID.NotFound"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(404, XML("NoSuchEntity"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_RETRIED(500, XML("ServiceFailure"), ERR_REMOTE_FAILED),
        BENCH_RETRIED(409, XML("ConcurrentModification"), ERR_REMOTE_FAILED),
        BENCH_REJECTED(400, XML("MalformedPolicyDocument"), "SDK_CLIENT_ERROR"),
        BENCH_BURIED(404, S3("NoSuchBucket"), ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(403, S3("AccessDenied"), ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        BENCH_RETRIED(503, S3("SlowDown"), ERR_REMOTE_THROTTLED),
        BENCH_RENEWED(403, XML("ExpiredToken")),
    };
    struct bench b;

    (void)state;
    bench_open(&b, ARN("securityhub:batchUpdateFindings"), NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

/* Goal: what a call did not do of many things is a failure, whatever its status says. */
static void test_what_was_not_done_is_a_failure(void **state)
{
    static const struct {
        const char *call;
        struct bench_row row;
    } rows[] = {
        {"securityhub:batchImportFindings",
         BENCH_SETTLED(200, "{\"FailedCount\":0,\"SuccessCount\":1,\"FailedFindings\":[]}")},
        {"securityhub:batchImportFindings",
         BENCH_BURIED(200,
                      "{\"FailedFindings\":[{\"Id\":\"i\",\"ErrorCode\":\"InvalidInput\","
                      "\"ErrorMessage\":\"m\"}],\"FailedCount\":1,\"SuccessCount\":0}",
                      ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR")},
        {"securityhub:batchImportFindings",
         BENCH_RETRIED(200,
                       "{\"FailedFindings\":[{\"Id\":\"i\",\"ErrorCode\":\"InternalFailure\","
                       "\"ErrorMessage\":\"m\"}]}",
                       ERR_REMOTE_FAILED)},
        {"kinesis:putRecords", BENCH_SETTLED(200, "{\"FailedRecordCount\":0,\"Records\":[{"
                                                  "\"ErrorCode\":null,\"ShardId\":\"s\"}]}")},
        {"kinesis:putRecords",
         BENCH_RETRIED(200,
                       "{\"Records\":[{\"ErrorCode\":null},{\"ErrorCode\":"
                       "\"ProvisionedThroughputExceededException\",\"ErrorMessage\":\"m\"}]}",
                       ERR_REMOTE_THROTTLED)},
        {"firehose:putRecordBatch",
         BENCH_RETRIED(200, "{\"RequestResponses\":[{\"ErrorCode\":\"InternalFailure\"}]}",
                       ERR_REMOTE_FAILED)},
        {"dynamodb:batchWriteItem", BENCH_SETTLED(200, "{\"UnprocessedItems\":{}}")},
        {"dynamodb:batchWriteItem",
         BENCH_RETRIED(200, "{\"UnprocessedItems\":{\"t\":[]}}", ERR_REMOTE_THROTTLED)},
        {"ecs:runTask", BENCH_SETTLED(200, "{\"failures\":[],\"tasks\":[{}]}")},
        {"ecs:runTask",
         BENCH_RETRIED(200, "{\"failures\":[{\"arn\":\"a\",\"reason\":\"RESOURCE:CPU\"}]}",
                       ERR_REMOTE_THROTTLED)},
        {"ecs:runTask", BENCH_BURIED(200, "{\"failures\":[{\"reason\":\"MISSING\"}]}",
                                     ERR_REMOTE_MISSING, "NO_RESOURCE")},
        {"configservice:startRemediationExecution",
         BENCH_BURIED(200, "{\"FailureMessage\":\"m\",\"FailedItems\":[{\"resourceId\":\"r\"}]}",
                      ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR")},
        {"eventbridge:putEvents",
         BENCH_RETRIED(200,
                       "{\"FailedEntryCount\":1,\"Entries\":[{\"EventId\":\"e\"},{"
                       "\"ErrorCode\":\"InternalFailure\"}]}",
                       ERR_REMOTE_FAILED)},
        {"sns:publishBatch",
         BENCH_SETTLED(200, "<PublishBatchResponse><PublishBatchResult><Failed/><Successful>"
                            "<member><Id>1</Id></member></Successful></PublishBatchResult>"
                            "</PublishBatchResponse>")},
        {"sns:publishBatch",
         BENCH_RETRIED(200,
                       "<PublishBatchResponse><PublishBatchResult><Failed><member><Id>1</Id>"
                       "<Code>InternalFailure</Code></member></Failed></PublishBatchResult>"
                       "</PublishBatchResponse>",
                       ERR_REMOTE_FAILED)},
        {"ssm:sendCommand", BENCH_SETTLED(200, "{\"FailedFindings\":[{\"ErrorCode\":\"x\"}]}")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench b;
        char arn[128];

        (void)snprintf(arn, sizeof(arn), ARN("%s"), rows[i].call);
        bench_open(&b, arn, NULL);
        bench_expect_rows(&b, &rows[i].row, 1);
        bench_close(&b);
    }
}

/* Goal: a constant input is judged before anything is to be sent, by each kind of target. */
static void test_a_constant_input_is_judged_when_it_is_put(void **state)
{
    static const struct {
        const char *arn;
        const char *input;
        const char *why; /* NULL: it may be */
    } rows[] = {
        {ARN("securityhub:batchUpdateFindings"),
         "{\"FindingIdentifiers\":[{\"Id\":\"i\",\"ProductArn\":\"p\"}]}", NULL},
        {ARN("iam:putRolePolicy"), "{\"Role\":\"web\"}", "Role"},
        {ARN("s3:getBucketPolicyStatus"), "{}", "Bucket"},
        {ARN("iam:getRole"), "\"web\"", ""},
        {"arn:aws:ssm:us-east-1:111122223333:automation-definition/Stop", "{\"Id\":[\"i-1\"]}",
         NULL},
        {"arn:aws:ssm:us-east-1:111122223333:automation-definition/Stop", "[1]", ""},
        {"arn:aws:sqs:us-east-1:111122223333:q.fifo", "{}", NULL},
        {"arn:aws:lambda:us-east-1:111122223333:function:f", "7", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err_why why = {.text = ""};
        const enum err err =
            target_check_input(slice_of(rows[i].arn), slice_of(rows[i].input), &why);

        if (rows[i].why == NULL ? err != ERR_OK
                                : err != ERR_BAD_VALUE || why.text[0] == '\0' ||
                                      strstr(why.text, rows[i].why) == NULL) {
            fail_msg("%s %s: %s", rows[i].arn, rows[i].input, why.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_known_calls_open),
        cmocka_unit_test(test_how_calls_travel),
        cmocka_unit_test(test_which_region_is_called),
        cmocka_unit_test(test_inputs_that_a_call_cannot_have),
        cmocka_unit_test(test_a_token_is_filled_in),
        cmocka_unit_test(test_what_was_not_done_is_a_failure),
        cmocka_unit_test(test_a_constant_input_is_judged_when_it_is_put),
        cmocka_unit_test(test_how_replies_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
