/* SPDX-License-Identifier: Apache-2.0
 *
 * target_states.c - a Step Functions state machine: one event starts one execution.
 *
 * The execution's name is the identity of the delivery, so a repeated attempt cannot start a second
 * one: a STANDARD machine answers "ExecutionAlreadyExists", or the first answer again while that
 * execution runs, and both mean that the event has been taken.  Names stay taken for 90 days.  An
 * EXPRESS machine does not look at names: there an attempt whose answer was lost starts another
 * execution, and nothing in the ARN tells which type it is.
 *
 * The ARN may name a version or an alias behind the machine's name.  The input must be JSON.
 *
 *= https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "delivery/target_wire.h"

enum {
    STATES_INPUT_BYTES_MAX = 262144,
    STATES_NAME_CHARS_MAX = 80,
};

struct machine {
    struct target target;
    struct arena arena;
    struct slice arn;
    struct target_place place;
};

static const struct machine *machine_of(const struct target *target)
{
    CHECK(target->ops == &target_states);
    return (const struct machine *)(const void *)target;
}

/* "stateMachine:NAME" or "stateMachine:NAME:VERSION-OR-ALIAS". */
static bool is_machine(struct slice resource)
{
    struct slice rest = resource;
    struct slice name;

    if (!slice_eq(slice_cut(&rest, ':'), SLICE("stateMachine"))) {
        return false;
    }
    name = slice_cut(&rest, ':');
    return target_name_is(name, STATES_NAME_CHARS_MAX, ".") &&
           (rest.data == NULL || target_name_is(rest, STATES_NAME_CHARS_MAX, "."));
}

static enum err open_machine(const struct target_options *options, struct slice arn,
                             struct target **target, struct err_why *why)
{
    struct arn parts;
    struct machine *machine;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_states.service) ||
        !is_machine(parts.resource)) {
        return err_because(ERR_BAD_VALUE, why,
                           "a Step Functions ARN is arn:aws:states:REGION:ACCOUNT:stateMachine:"
                           "NAME, perhaps with :VERSION or :ALIAS behind");
    }
    machine = xcalloc(1, sizeof(*machine));
    machine->target.ops = &target_states;
    machine->arn = arena_copy(&machine->arena, arn);
    (void)arn_split(machine->arn, &parts);
    target_place_open(&machine->place, options, &parts, &machine->arena);
    *target = &machine->target;
    return ERR_OK;
}

static void close_machine(struct target *target)
{
    struct machine *machine = (struct machine *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_states);
    arena_clean_up(&machine->arena);
    xfree(machine);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return STATES_INPUT_BYTES_MAX;
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    (void)machine_of(target);
    if (item->body.len > STATES_INPUT_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large",
                             SLICE("InvalidExecutionInput"),
                             SLICE("the input is over the 256 KiB of Step Functions"));
    }
    return true;
}

static enum err build_start(const struct target *target, const struct target_item *items,
                            size_t count, struct arena *arena, struct target_request *request)
{
    const struct machine *machine = machine_of(target);
    struct json_writer writer;
    struct digest digest;
    char name[5 + DIGEST_HEX_CHARS] = "weir-";

    (void)arena;
    CHECK(count == 1);
    target_identity(&items[0], &digest);
    digest_hex(&digest, name + 5);
    target_begin_json(&machine->place, "1.0", SLICE("AWSStepFunctions.StartExecution"), request);
    json_write_begin(&writer, request->body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("stateMachineArn"), machine->arn);
    json_write_key_string(&writer, SLICE("name"), (struct slice){name, sizeof(name)});
    json_write_key_string(&writer, SLICE("input"), items[0].body);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

static const struct target_error own_errors[] = {
    {SLICE_INIT("ExecutionAlreadyExists"), TARGET_SETTLE, ERR_OK, NULL},
    TARGET_BURIED("StateMachineDoesNotExist", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("StateMachineDeleting", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidArn", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidName", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("InvalidExecutionInput", ERR_REMOTE_REJECTED, "invalid-message"),
    TARGET_BURIED("ValidationException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_RETRIED("ExecutionLimitExceeded", ERR_REMOTE_THROTTLED),
    TARGET_RETRIED("KmsThrottlingException", ERR_REMOTE_THROTTLED),
    TARGET_BURIED("KmsAccessDeniedException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("KmsInvalidStateException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
};

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    (void)machine_of(target);
    (void)items;
    if (!target_reply_is_good(reply)) {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    } else if (target_reply_text(reply, SLICE("executionArn"), arena).len > 0) {
        target_settle(&verdicts[0]);
    } else {
        target_bad_reply(&verdicts[0], SLICE("the reply names no execution"));
    }
}

const struct target_ops target_states = {
    .service = SLICE_INIT("states"),
    .batch_count_max = 1,
    .open = open_machine,
    .close = close_machine,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_start,
    .classify = classify,
};
