/* SPDX-License-Identifier: Apache-2.0
 *
 * test_target_lambda.c - asynchronous invocations, and what Lambda's answers mean.
 */
#include "target_bench.h"

#define FUNCTION "arn:aws:lambda:eu-west-1:111122223333:function:triage"
#define ENCODED  "arn%3Aaws%3Alambda%3Aeu-west-1%3A111122223333%3Afunction%3Atriage"

static void test_only_functions_open(void **state)
{
    static const char *const refused[] = {
        "",
        "arn:aws:lambda:eu-west-1:111122223333:triage",
        "arn:aws:lambda:eu-west-1:111122223333:function:",
        "arn:aws:lambda:eu-west-1:111122223333:function:a b",
        "arn:aws:lambda:eu-west-1:111122223333:function:a:",
        "arn:aws:lambda:eu-west-1:111122223333:function:a:b:c",
        "arn:aws:lambda:eu-west-1:111122223333:function:a/../b",
        "arn:aws:lambda:eu-west-1:111122223333:layer:a:1",
        "arn:aws:lambda::111122223333:function:a",
        "arn:aws:lambda:eu-west-1:1111:function:a",
        "arn:aws:lambda:eu-west-1:11112222333a:function:a",
        "arn:aws:lambda:eu.west:111122223333:function:a",
    };
    struct err_why why;

    (void)state;
    bench_refuses(&target_lambda, refused, ARRAY_LEN(refused));
    assert_int_equal(target_check_arn(SLICE(FUNCTION ":$LATEST"), &why), ERR_OK);
}

/* Goal:   the path carries the whole ARN encoded, the query a version or alias.
 * Method: against AWS and behind an override with a path of its own. */
static void test_where_a_call_goes(void **state)
{
    static const struct {
        const char *arn;
        const char *endpoint;
        const char *url;
        const char *host;
        const char *path;
        const char *query;
    } rows[] = {
        {FUNCTION, NULL,
         "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/" ENCODED "/invocations",
         "lambda.eu-west-1.amazonaws.com", "/2015-03-31/functions/" ENCODED "/invocations", ""},
        {FUNCTION ":live", NULL,
         "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/" ENCODED
         "/invocations?Qualifier=live",
         "lambda.eu-west-1.amazonaws.com", "/2015-03-31/functions/" ENCODED "/invocations",
         "Qualifier=live"},
        {FUNCTION ":$LATEST", "http://127.0.0.1:9/base/",
         "http://127.0.0.1:9/base/2015-03-31/functions/" ENCODED "/invocations?Qualifier=%24LATEST",
         "127.0.0.1:9", "/base/2015-03-31/functions/" ENCODED "/invocations",
         "Qualifier=%24LATEST"},
        {"arn:aws-cn:lambda:cn-north-1:111122223333:function:f", NULL,
         "https://lambda.cn-north-1.amazonaws.com.cn/2015-03-31/functions/"
         "arn%3Aaws-cn%3Alambda%3Acn-north-1%3A111122223333%3Afunction%3Af/invocations",
         "lambda.cn-north-1.amazonaws.com.cn",
         "/2015-03-31/functions/"
         "arn%3Aaws-cn%3Alambda%3Acn-north-1%3A111122223333%3Afunction%3Af/invocations",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct target_item item = bench_item("{\"a\":\"\xC3\xA9\"}");
        struct bench b;

        bench_open(&b, rows[i].arn, rows[i].endpoint);
        assert_string_equal(bench_build(&b, &item, 1), "{\"a\":\"\xC3\xA9\"}");
        assert_string_equal(b.request.method, "POST");
        assert_string_equal(b.request.url, rows[i].url);
        assert_string_equal(bench_text(&b, b.request.host), rows[i].host);
        assert_string_equal(bench_text(&b, b.request.path), rows[i].path);
        assert_string_equal(bench_text(&b, b.request.query), rows[i].query);
        assert_string_equal(bench_text(&b, b.request.service), "lambda");
        assert_string_equal(bench_header(&b, "x-amz-invocation-type"), "Event");
        assert_string_equal(bench_header(&b, "content-type"), "application/json");
        bench_close(&b);
    }
}

static void test_what_may_be_sent(void **state)
{
    struct target_item item = bench_item("{}");
    struct target_verdict verdict;
    struct bench b;
    char *large = malloc((1 << 20) + 1);

    (void)state;
    assert_non_null(large);
    memset(large, ' ', (1 << 20) + 1);
    bench_open(&b, FUNCTION, NULL);
    assert_true(b.target->ops->check(b.target, &item, &verdict));
    item.body = (struct slice){large, 1 << 20};
    assert_true(b.target->ops->check(b.target, &item, &verdict));
    item.body.len++;
    assert_false(b.target->ops->check(b.target, &item, &verdict));
    assert_string_equal(verdict.reason, "message-too-large");
    bench_close(&b);
    free(large);
}

#define TYPE(name) "x-amzn-errortype: " name "\n"
#define BY_TYPE(status, name, action, err, reason)                                                 \
    {                                                                                              \
        status, TYPE(name), "{\"Message\":\"m\"}", action, action, err, reason                     \
    }
#define AGAIN(status, name, err)         BY_TYPE(status, name, TARGET_RETRY, err, NULL)
#define NEVER(status, name, err, reason) BY_TYPE(status, name, TARGET_BURY, err, reason)

static void test_how_replies_are_judged(void **state)
{
    static const struct bench_row rows[] = {
        BENCH_SETTLED(202, ""),
        /* 2xx, but not of an asynchronous call */
        BENCH_RETRIED(200, "{}", ERR_REMOTE_FAILED),
        BENCH_RETRIED(204, "", ERR_REMOTE_FAILED),
        /* by the error's type, which Lambda tells in a header */
        AGAIN(429, "TooManyRequestsException:http://e", ERR_REMOTE_THROTTLED),
        AGAIN(500, "ServiceException", ERR_REMOTE_FAILED),
        AGAIN(409, "ResourceConflictException", ERR_REMOTE_FAILED),
        AGAIN(502, "ResourceNotReadyException", ERR_REMOTE_FAILED),
        AGAIN(502, "EC2UnexpectedException", ERR_REMOTE_FAILED),
        AGAIN(502, "EC2ThrottledException", ERR_REMOTE_THROTTLED),
        AGAIN(502, "ENILimitReachedException", ERR_REMOTE_THROTTLED),
        AGAIN(502, "SubnetIPAddressLimitReachedException", ERR_REMOTE_THROTTLED),
        AGAIN(403, "EFSMountFailureException", ERR_REMOTE_FAILED),
        AGAIN(408, "EFSMountConnectivityException", ERR_REMOTE_FAILED),
        AGAIN(408, "EFSMountTimeoutException", ERR_REMOTE_TIMEOUT),
        AGAIN(410, "EFSIOException", ERR_REMOTE_FAILED),
        AGAIN(400, "SnapStartException", ERR_REMOTE_FAILED),
        AGAIN(409, "SnapStartNotReadyException", ERR_REMOTE_FAILED),
        AGAIN(408, "SnapStartTimeoutException", ERR_REMOTE_TIMEOUT),
        AGAIN(403, "InvalidSignatureException", ERR_REMOTE_DENIED),
        NEVER(404, "ResourceNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(413, "RequestTooLargeException", ERR_REMOTE_REJECTED, "message-too-large"),
        NEVER(400, "InvalidRequestContentException", ERR_REMOTE_REJECTED, "invalid-message"),
        NEVER(415, "UnsupportedMediaTypeException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        NEVER(400, "InvalidParameterValueException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        NEVER(400, "RecursiveInvocationException", ERR_REMOTE_REJECTED, "loop"),
        NEVER(403, "AccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        NEVER(502, "EC2AccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        NEVER(502, "KMSAccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
        NEVER(502, "KMSDisabledException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(502, "KMSInvalidStateException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(502, "KMSNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(502, "InvalidSecurityGroupIDException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(502, "InvalidSubnetIDException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        NEVER(502, "InvalidRuntimeException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        NEVER(502, "InvalidZipFileException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
        {403, TYPE("ExpiredTokenException"), NULL, TARGET_RENEW, TARGET_RENEW, ERR_REMOTE_EXPIRED,
         NULL},
        {403, TYPE("UnrecognizedClientException"), NULL, TARGET_RENEW, TARGET_RENEW,
         ERR_REMOTE_EXPIRED, NULL},
        /* by status, where nothing is said */
        BENCH_RETRIED(502, "", ERR_REMOTE_FAILED),
        BENCH_RETRIED(504, "<html>", ERR_REMOTE_FAILED),
        BENCH_RETRIED(429, "", ERR_REMOTE_THROTTLED),
        BENCH_BURIED(404, "", ERR_REMOTE_MISSING, "NO_RESOURCE"),
        BENCH_BURIED(418, "", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    };
    struct bench b;

    (void)state;
    bench_open(&b, FUNCTION, NULL);
    bench_expect_rows(&b, rows, ARRAY_LEN(rows));
    bench_close(&b);
}

/* Goal: what Lambda says reaches the operator, and its Retry-After is obeyed. */
static void test_message_and_retry_after(void **state)
{
    const struct target_item item = bench_item("{}");
    struct bench b;

    (void)state;
    bench_open(&b, FUNCTION, NULL);
    bench_judge(&b, &item, 1, 429, TYPE("TooManyRequestsException") "retry-after: 7\n",
                "{\"Type\":\"User\",\"message\":\"Rate Exceeded.\","
                "\"Reason\":\"CallerRateLimitExceeded\"}");
    assert_string_equal(b.verdicts[0].message, "TooManyRequestsException: Rate Exceeded.");
    assert_int_equal(b.verdicts[0].retry_after_ms, 7000);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_functions_open),
        cmocka_unit_test(test_where_a_call_goes),
        cmocka_unit_test(test_what_may_be_sent),
        cmocka_unit_test(test_how_replies_are_judged),
        cmocka_unit_test(test_message_and_retry_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
