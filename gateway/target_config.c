/* SPDX-License-Identifier: Apache-2.0
 *
 * target_config.c - the members of a target, each where it belongs.
 *
 * Read from documents that were checked when they were put (catalog_check_target.c), so what fails
 * here is damage.
 */
#include "gateway/target_config.h"

#include "gateway/catalog.h"
#include "gateway/input_config.h"
#include "gateway/snapshot_api.h"
#include "gateway/step_config.h"

enum { ATTEMPTS_USUAL = 185, AGE_USUAL_MS = 86400000 };

void target_config_read_retry(const json_t *retry, struct rule_target *target)
{
    const json_t *attempts = json_object_get(retry, "maximum_retry_attempts");
    const json_t *age = json_object_get(retry, "maximum_event_age_in_seconds");

    target->attempts_max =
        attempts != NULL ? (uint32_t)json_integer_value(attempts) : ATTEMPTS_USUAL;
    target->age_max_ms = age != NULL ? (uint64_t)json_integer_value(age) * 1000 : AGE_USUAL_MS;
}

enum err target_config_read_call(const json_t *document, struct arena *arena,
                                 struct rule_target *target, struct err_why *why)
{
    const json_t *sqs = json_object_get(document, "sqs_parameters");
    const json_t *fifo = sqs != NULL ? sqs : json_object_get(document, "sns_parameters");
    const struct slice group = json_member_text(fifo, "message_group_id");

    target->arn = arena_copy(arena, json_member_text(document, "arn"));
    target->role_arn = arena_copy(arena, json_member_text(document, "role_arn"));
    TRY(http_config_read(json_object_get(document, "http_parameters"), arena, &target->http, why));
    TRY(input_config_read(document, arena, &target->transform, why));
    return path_parameter_compile(arena_copy(arena, group), arena, &target->message_group_id, why);
}

enum err target_config_read(const json_t *document, struct arena *arena, struct rule_target *target,
                            struct err_why *why)
{
    const json_t *queue = json_object_get(document, "dead_letter_config");

    target->uid = (uint64_t)json_integer_value(json_object_get(document, "uid"));
    target->id = arena_copy(arena, json_member_text(document, "id"));
    target->dlq_arn = arena_copy(arena, json_member_text(queue, "arn"));
    target_config_read_retry(json_object_get(document, "retry_policy"), target);
    TRY(target_config_read_call(document, arena, target, why));
    return step_config_read(document, arena, target, why);
}
