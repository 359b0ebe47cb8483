/* SPDX-License-Identifier: Apache-2.0
 *
 * target_lambda.c - a Lambda function, invoked asynchronously.
 *
 * One event, one call: POST /2015-03-31/functions/ARN/invocations with the invocation type Event.
 * 202 means that Lambda has the event and will run the function, retry it, and keep or drop what
 * it cannot run, by the function's own settings; weir hears nothing of that.  Any other answer
 * would be one of a function that ran while we waited, so only 202 is success.  A step of a
 *sequence that keeps something of the reply does wait (RequestResponse): then a function that
 *failed is tried again.
 *
 * The ARN may end in a version or an alias, which travels as ?Qualifier=.  Lambda has no token that
 * makes a repeat harmless: a function must bear an event twice, and finds its id in the event.
 *
 *= https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
 */
#include "core/check.h"
#include "core/percent.h"
#include "delivery/target_wire.h"

enum {
    LAMBDA_PAYLOAD_BYTES_MAX = 1 << 20, /* of an asynchronous call */
    LAMBDA_NAME_CHARS_MAX = 140,
    LAMBDA_QUALIFIER_CHARS_MAX = 128,
    LAMBDA_PATH_BYTES_MAX = 8192,
    LAMBDA_ACCEPTED = 202,
};

struct function {
    struct target target;
    struct arena arena;
    struct target_place place;
    const char *url;
    struct slice path;
    struct slice query;
};

static const struct function *function_of(const struct target *target)
{
    CHECK(target->ops == &target_lambda);
    return (const struct function *)(const void *)target;
}

/* "function:NAME" or "function:NAME:QUALIFIER". */
static bool split_resource(struct slice resource, struct slice *name, struct slice *qualifier)
{
    struct slice rest = resource;

    if (!slice_eq(slice_cut(&rest, ':'), SLICE("function"))) {
        return false;
    }
    *name = slice_cut(&rest, ':');
    *qualifier = rest;
    return target_name_is(*name, LAMBDA_NAME_CHARS_MAX, "") &&
           (rest.data == NULL || target_name_is(rest, LAMBDA_QUALIFIER_CHARS_MAX, "$"));
}

static struct slice encoded(struct arena *arena, struct slice text)
{
    struct slice copy;
    struct buf out;

    buf_init(&out, LAMBDA_PATH_BYTES_MAX);
    CHECK(percent_encode(text, &out) == ERR_OK); /* its parts have their maxima */
    copy = arena_copy(arena, buf_slice(&out));
    buf_clean_up(&out);
    return copy;
}

static void write_url(struct function *function, struct slice arn, struct slice qualifier)
{
    struct arena *arena = &function->arena;
    const struct target_place *place = &function->place;
    const struct slice bare =
        qualifier.len > 0 ? slice_first(arn, arn.len - qualifier.len - 1) : arn;
    const struct slice call = arena_printf(arena, "2015-03-31/functions/%.*s/invocations",
                                           SLICE_ARG(encoded(arena, bare)));

    function->path = arena_printf(arena, "%.*s%.*s", SLICE_ARG(place->path), SLICE_ARG(call));
    function->url = arena_printf(arena, "%s%.*s", place->url, SLICE_ARG(call)).data;
    if (qualifier.len > 0) {
        function->query =
            arena_printf(arena, "Qualifier=%.*s", SLICE_ARG(encoded(arena, qualifier)));
        function->url =
            arena_printf(arena, "%s?%.*s", function->url, SLICE_ARG(function->query)).data;
    }
}

static enum err open_function(const struct target_options *options, struct slice arn,
                              struct target **target, struct err_why *why)
{
    struct arn parts;
    struct function *function;
    struct slice qualifier;
    struct slice name;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_lambda.service) ||
        !split_resource(parts.resource, &name, &qualifier)) {
        return err_because(ERR_BAD_VALUE, why,
                           "a Lambda ARN is arn:aws:lambda:REGION:ACCOUNT:function:NAME, "
                           "perhaps with :VERSION or :ALIAS behind");
    }
    function = xcalloc(1, sizeof(*function));
    function->target.ops = &target_lambda;
    arn = arena_copy(&function->arena, arn);
    (void)arn_split(arn, &parts);
    target_place_open(&function->place, options, &parts, &function->arena);
    write_url(function, arn, qualifier);
    *target = &function->target;
    return ERR_OK;
}

static void close_function(struct target *target)
{
    struct function *function = (struct function *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_lambda);
    arena_clean_up(&function->arena);
    xfree(function);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return LAMBDA_PAYLOAD_BYTES_MAX;
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    (void)function_of(target);
    if (item->body.len > LAMBDA_PAYLOAD_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large",
                             SLICE("RequestTooLargeException"),
                             SLICE("the input is over Lambda's 1 MiB for asynchronous calls"));
    }
    return true;
}

static enum err build_invoke(const struct target *target, const struct target_item *items,
                             size_t count, struct arena *arena, struct target_request *request)
{
    const struct function *function = function_of(target);

    (void)arena;
    CHECK(count == 1);
    target_begin_post(&function->place, SLICE("application/json"), request);
    request->url = function->url;
    request->path = function->path;
    request->query = function->query;
    request->headers[request->header_count++] =
        (struct header){SLICE("x-amz-invocation-type"),
                        items[0].wants_reply ? SLICE("RequestResponse") : SLICE("Event")};
    return buf_append(request->body, items[0].body);
}

/* Faults of the function's surroundings come with 502 and are retried by status, save those that
 * only its owner can mend. */
static const struct target_error own_errors[] = {
    TARGET_BURIED("ResourceNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("RequestTooLargeException", ERR_REMOTE_REJECTED, "message-too-large"),
    TARGET_BURIED("InvalidRequestContentException", ERR_REMOTE_REJECTED, "invalid-message"),
    TARGET_BURIED("UnsupportedMediaTypeException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("InvalidParameterValueException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("RecursiveInvocationException", ERR_REMOTE_REJECTED, "loop"),
    TARGET_BURIED("KMSAccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KMSDisabledException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KMSInvalidStateException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("KMSNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("EC2AccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("InvalidRuntimeException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("InvalidSecurityGroupIDException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidSubnetIDException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidZipFileException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_RETRIED("ResourceConflictException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ResourceNotReadyException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ServiceException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("EC2UnexpectedException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("ENILimitReachedException", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("SubnetIPAddressLimitReachedException", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("EFSIOException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("EFSMountConnectivityException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("EFSMountFailureException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("EFSMountTimeoutException", ERR_REMOTE_TIMEOUT),
    TARGET_RETRIED("SnapStartException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("SnapStartNotReadyException", ERR_REMOTE_FAILED),
    TARGET_RETRIED("SnapStartTimeoutException", ERR_REMOTE_TIMEOUT),
};

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    const bool is_function_fault =
        target_reply_header(reply, SLICE("x-amz-function-error")).len > 0;

    (void)function_of(target);
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (items[0].wants_reply && is_function_fault) {
        target_bad_reply(&verdicts[0], target_reply_text(reply, SLICE("errorMessage"), arena));
    } else if (reply->status == LAMBDA_ACCEPTED || items[0].wants_reply) {
        target_settle(&verdicts[0]);
    } else {
        target_bad_reply(&verdicts[0], SLICE("an asynchronous call is answered with 202"));
    }
}

const struct target_ops target_lambda = {
    .service = SLICE_INIT("lambda"),
    .batch_count_max = 1,
    .open = open_function,
    .close = close_function,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_invoke,
    .classify = classify,
};
