/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check_target.c - what a target of a rule may hold, and what its members mean.
 */
#include "accounts/api_destination.h"
#include "core/check.h"
#include "core/json.h"
#include "delivery/target.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check_internal.h"
#include "gateway/input_config.h"
#include "gateway/step_config.h"
#include "routing/path.h"
#include "routing/sequence.h"

enum { EVENT_AGE_LEAST_S = 60 };

static const struct catalog_member transformer_members[] = {
    {"input_paths_map", CATALOG_TEXT_MAP, false, TRANSFORM_VARIABLES_MAX, NULL},
    {"input_template", CATALOG_TEXT, true, TRANSFORM_TEMPLATE_BYTES_MAX, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member sqs_members[] = {
    {"message_group_id", CATALOG_TEXT, false, 100, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member sns_members[] = {
    {"message_group_id", CATALOG_TEXT, false, 128, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member http_members[] = {
    {"path_parameter_values", CATALOG_TEXTS, false, 100, NULL},
    {"header_parameters", CATALOG_LONG_TEXT_MAP, false, 100, NULL},
    {"query_string_parameters", CATALOG_LONG_TEXT_MAP, false, 100, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member dead_letter_members[] = {
    {"arn", CATALOG_TEXT, true, 1600, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member retry_members[] = {
    {"maximum_retry_attempts", CATALOG_COUNT, false, 185, NULL},
    {"maximum_event_age_in_seconds", CATALOG_COUNT, false, 86400, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
/* What a target calls, as whom, and with what. */
#define CALL_MEMBERS(is_arn_required)                                                              \
    {"arn", CATALOG_TEXT, is_arn_required, 1600, NULL},                                            \
        {"role_arn", CATALOG_TEXT, false, 1600, NULL},                                             \
        {"input", CATALOG_TEXT, false, TRANSFORM_INPUT_BYTES_MAX, NULL},                           \
        {"input_path", CATALOG_TEXT, false, JSON_PATH_BYTES_MAX, NULL},                            \
        {"input_transformer", CATALOG_OBJECT, false, 0, transformer_members},                      \
        {"sqs_parameters", CATALOG_OBJECT, false, 0, sqs_members},                                 \
        {"sns_parameters", CATALOG_OBJECT, false, 0, sns_members},                                 \
    {                                                                                              \
        "http_parameters", CATALOG_OBJECT, false, 0, http_members                                  \
    }

static const struct catalog_member step_target_members[] = {
    CALL_MEMBERS(true),
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member step_members[] = {
    {"name", CATALOG_TEXT, true, SEQUENCE_NAME_CHARS_MAX, NULL},
    {"target", CATALOG_OBJECT, true, 0, step_target_members},
    {"when", CATALOG_PATTERN, false, 0, NULL},
    {"keep", CATALOG_ANY, false, 0, NULL},
    {"retry", CATALOG_OBJECT, false, 0, retry_members},
    {"on_failure", CATALOG_TEXT, false, 16, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
const struct catalog_member catalog_target_members[] = {
    {"id", CATALOG_TEXT, true, 64, NULL},
    CALL_MEMBERS(false),
    {"steps", CATALOG_OBJECTS, false, SEQUENCE_STEPS_MAX, step_members},
    {"dead_letter_config", CATALOG_OBJECT, false, 0, dead_letter_members},
    {"retry_policy", CATALOG_OBJECT, false, 0, retry_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};

/* As the kind of target itself sees it, with some account in the place of {account}. */
static void check_arn(json_t *mistakes, const struct catalog_path *path, struct slice arn,
                      bool is_central)
{
    struct arena arena = {0};
    const struct slice filled = rule_fill_account(arn, SLICE("000000000000"), &arena);
    struct err_why why;

    if (target_check_arn(filled, &why) != ERR_OK) {
        catalog_mistake(mistakes, path, "%s", why.text);
    } else if (!slice_eq(filled, arn) && !is_central) {
        catalog_mistake(mistakes, path, "{account} is for rules of the central bus");
    }
    arena_clean_up(&arena);
}

/* "sqs_parameters" and "sns_parameters": each for targets of that service alone, its group a
 * constant or a path. */
static void check_message_group(json_t *mistakes, const struct catalog_path *path,
                                const json_t *target, const char *service, const char *what)
{
    const struct slice arn = json_member_text(target, "arn");
    struct path_parameter parameter;
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    struct catalog_path place;
    struct arn parts;
    struct slice group;
    char key[32];

    (void)snprintf(key, sizeof(key), "%s_parameters", service);
    place = catalog_path_member(path, key);
    if (json_object_get(target, key) == NULL || !arn_split(arn, &parts)) {
        return;
    }
    group = json_member_text(json_object_get(target, key), "message_group_id");
    if (!slice_eq(parts.service, slice_of(service))) {
        catalog_mistake(mistakes, &place, "is for targets of service %s", service);
    } else if (group.len > 0 && !slice_has_suffix(arn, SLICE(".fifo"))) {
        catalog_mistake(mistakes, &place, "message_group_id is for %s, whose names end in .fifo",
                        what);
    }
    if (path_parameter_compile(group, &arena, &parameter, &why) != ERR_OK) {
        place = catalog_path_member(&place, "message_group_id");
        catalog_mistake(mistakes, &place, "%s", why.text);
    }
    arena_clean_up(&arena);
}

static void check_parameter(json_t *mistakes, const struct catalog_path *path, const json_t *value)
{
    struct path_parameter parameter;
    struct err_why why = {.text = ""};
    struct arena arena = {0};

    if (path_parameter_compile(catalog_text_of(value), &arena, &parameter, &why) != ERR_OK) {
        catalog_mistake(mistakes, path, "%s", why.text);
    } else if (!api_header_value_is_good(parameter.text)) {
        catalog_mistake(mistakes, path, "must not hold control characters");
    }
    arena_clean_up(&arena);
}

/* "http_parameters": for API destinations, each value a constant or a path. */
static void check_http(json_t *mistakes, const struct catalog_path *path, const json_t *target)
{
    static const char *const maps[] = {"header_parameters", "query_string_parameters"};
    const struct catalog_path base = catalog_path_member(path, "http_parameters");
    json_t *http = json_object_get(target, "http_parameters");
    json_t *values = json_object_get(http, "path_parameter_values");
    struct catalog_path place = catalog_path_member(&base, "path_parameter_values");
    const char *key;
    json_t *value;

    if (http != NULL && target_find(json_member_text(target, "arn")) != &target_api) {
        catalog_mistake(mistakes, &base, "is for API destinations");
    }
    for (size_t i = 0; i < json_array_size(values); i++) {
        const struct catalog_path item = catalog_path_item(&place, i);

        check_parameter(mistakes, &item, json_array_get(values, i));
    }
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        place = catalog_path_member(&base, maps[i]);
        json_object_foreach(json_object_get(http, maps[i]), key, value)
        {
            const struct catalog_path item = catalog_path_member(&place, key);

            check_parameter(mistakes, &item, value);
            if (i == 0 && !api_header_name_is_good(slice_of(key))) {
                catalog_mistake(mistakes, &item, "is not the name of a header");
            }
        }
    }
}

/* A constant input that can never be taken would make a dead letter of every event. */
static void check_constant(json_t *mistakes, const struct catalog_path *path, const json_t *target)
{
    const struct slice input = json_member_text(target, "input");
    const struct catalog_path member = catalog_path_member(path, "input");
    struct arena arena = {0};
    const struct slice arn =
        rule_fill_account(json_member_text(target, "arn"), SLICE("000000000000"), &arena);
    struct err_why why;

    if (input.len > 0 && json_check(input, JSON_DEPTH_MAX, NULL) == ERR_OK &&
        target_check_arn(arn, NULL) == ERR_OK && target_check_input(arn, input, &why) != ERR_OK) {
        catalog_mistake(mistakes, &member, "%s", why.text);
    }
    arena_clean_up(&arena);
}

/* What it gets instead of the event: nothing else for a bus, something for any call of AWS. */
static void check_input(json_t *mistakes, const struct catalog_path *path, const json_t *target)
{
    static const char *const members[] = {"input", "input_path", "input_transformer"};
    struct catalog_place place = {.mistakes = mistakes, .path = path};
    const struct target_ops *kind = target_find(json_member_text(target, "arn"));
    struct catalog_path member;
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (json_object_get(target, members[i]) == NULL) {
            continue;
        }
        count++;
        if (kind == &target_events) {
            member = catalog_path_member(path, members[i]);
            catalog_mistake(mistakes, &member, "a bus gets the event itself");
        }
    }
    if (kind == &target_universal && count == 0) {
        catalog_mistake(mistakes, path, "an AWS call needs input, input_path or input_transformer");
    }
    input_config_check(target, catalog_inner_mistake, &place);
    check_constant(mistakes, path, target);
}

/* A standard queue; weir's own account or one of the catalog's must be able to write to it. */
static void check_dead_letters(json_t *mistakes, const struct catalog_path *path,
                               const json_t *target, bool is_central)
{
    const struct slice arn = json_member_text(json_object_get(target, "dead_letter_config"), "arn");
    const struct catalog_path place = catalog_path_member(path, "dead_letter_config.arn");

    if (arn.len == 0) {
        return;
    }
    if (slice_has_suffix(arn, SLICE(".fifo"))) {
        catalog_mistake(mistakes, &place, "must be a standard queue, not a FIFO queue");
    } else if (target_find(arn) != &target_sqs) {
        catalog_mistake(mistakes, &place, "must be a queue of service sqs");
    } else {
        check_arn(mistakes, &place, arn, is_central);
    }
}

static void check_retry(json_t *mistakes, const struct catalog_path *path, const json_t *target)
{
    const json_t *age =
        json_object_get(json_object_get(target, "retry_policy"), "maximum_event_age_in_seconds");
    const struct catalog_path place =
        catalog_path_member(path, "retry_policy.maximum_event_age_in_seconds");

    if (json_is_integer(age) && json_integer_value(age) < EVENT_AGE_LEAST_S) {
        catalog_mistake(mistakes, &place, "must be at least %d", EVENT_AGE_LEAST_S);
    }
}

void catalog_check_call(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                        bool is_central)
{
    const struct slice arn = json_member_text(target, "arn");
    const struct slice role = json_member_text(target, "role_arn");
    struct catalog_path place = catalog_path_member(path, "arn");

    if (arn.len > 0) {
        check_arn(mistakes, &place, arn, is_central);
    }
    check_message_group(mistakes, path, target, "sqs", "FIFO queues");
    check_message_group(mistakes, path, target, "sns", "FIFO topics");
    check_http(mistakes, path, target);
    if (role.len > 0) {
        place = catalog_path_member(path, "role_arn");
        catalog_check_role_arn(mistakes, &place, role, is_central);
    }
    check_input(mistakes, path, target);
}

void catalog_check_target(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                          bool is_central)
{
    const struct catalog_path place = catalog_path_member(path, "arn");

    catalog_check_name(mistakes, path, "id", target);
    check_dead_letters(mistakes, path, target, is_central);
    check_retry(mistakes, path, target);
    if (json_is_array(json_object_get(target, "steps"))) {
        step_config_check(mistakes, path, target, is_central);
    } else {
        if (!json_is_string(json_object_get(target, "arn"))) {
            catalog_mistake(mistakes, &place, "is required");
        }
        catalog_check_call(mistakes, path, target, is_central);
    }
}
