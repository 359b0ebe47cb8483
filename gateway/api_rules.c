/* SPDX-License-Identifier: Apache-2.0
 *
 * api_rules.c - PutRule and what belongs to it.
 *
 * A rule and its targets are one document, so PutRule carries the targets over and replaces all the
 * rest, as the service does: what an input leaves out is gone afterwards.  What the catalog's own
 * check does not like is a ValidationException that names the member.
 */
#include "gateway/api_rules.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/api_patterns.h"
#include "gateway/api_tags.h"
#include "gateway/catalog_document.h"
#include "gateway/catalog_since.h"
#include "gateway/catalog_uid.h"
#include "gateway/config.h"
#include "gateway/input_config.h"
#include "routing/pattern.h"
#include "routing/schedule.h"
#include "routing/transform.h"

static const struct api_member put_members[] = {
    {"Name", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    {"EventPattern", API_TEXT, false, 0, 4096, API_ANY_CHARS, NULL},
    {"ScheduleExpression", API_TEXT, false, 0, 256, API_ANY_CHARS, NULL},
    {"State", API_TEXT, false, 0, 64, API_RULE_STATE, NULL},
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"RoleArn", API_TEXT, false, 1, 1600, API_ANY_CHARS, NULL},
    {"Tags", API_OBJECTS, false, 0, 50, API_ANY_CHARS, api_tag_members},
    API_BUS_MEMBER,
    API_MEMBERS_END,
};
static const struct api_member name_members[] = {
    {"Name", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    {"Force", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_BUS_MEMBER,
    API_MEMBERS_END,
};
static const struct api_member list_members[] = {
    {"NamePrefix", API_TEXT, false, 1, 64, API_NAME_CHARS, NULL},
    API_BUS_MEMBER,
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- putting ------------------------------------------------------------------------------ */

/* The Id of the target that "targets[N]…" leads to. */
static struct slice target_id(const json_t *document, struct slice path)
{
    uint64_t index = 0;

    (void)slice_cut(&path, '[');
    (void)slice_to_u64(slice_cut(&path, ']'), &index);
    return json_member_text(json_array_get(json_object_get(document, "targets"), (size_t)index),
                            "id");
}

/* In the service's own words, where they are known. */
static enum err refuse_mistake(struct api_call *call, const json_t *document, const json_t *mistake)
{
    const struct slice path = json_member_text(mistake, "path");
    const struct slice message = json_member_text(mistake, "message");

    if (slice_eq(path, SLICE("pattern"))) {
        return api_fail(call, "InvalidEventPatternException", "%.*s", SLICE_ARG(message));
    }
    if (slice_eq(message, SLICE(INPUT_CONFIG_ONLY_ONE))) {
        return api_fail(call, "ValidationException",
                        "Only one of Input, InputPath, or InputTransformer must be provided for "
                        "target %.*s.",
                        SLICE_ARG(target_id(document, path)));
    }
    if (slice_has_prefix(message, SLICE(TRANSFORM_BAD_PLACEHOLDER))) {
        return api_fail(call, "ValidationException", "InputTemplate for target %.*s %.*s.",
                        SLICE_ARG(target_id(document, path)), SLICE_ARG(message));
    }
    return api_fail(call, "ValidationException", "Parameter %.*s is not valid. Reason: %.*s",
                    SLICE_ARG(path), SLICE_ARG(message));
}

enum err api_rule_put(struct api_call *call, const struct catalog *catalog,
                      const struct api_bus *bus, json_t *document, struct catalog_edit *edit)
{
    const struct slice document_name = api_rule_document(call, bus, bus->rule);
    const struct catalog_document *old = catalog_get(catalog, document_name);
    struct catalog_uid uid = {.catalog = catalog};
    json_t *mistakes;
    enum err err = ERR_OK;

    if (old == NULL) { /* whose it is, it stays, whoever may change it */
        json_object_set_new(document, "manager", json_string(call->caller.manager));
    } else {
        json_object_set(document, "manager", json_object_get(old->value, "manager"));
    }
    catalog_since_give(document, old != NULL ? old->value : NULL, moment_now_ms());
    catalog_uid_give(&uid, document, old != NULL ? old->value : NULL);
    mistakes = catalog_document_mistakes("rules", document);
    if (json_array_size(mistakes) > 0) {
        err = refuse_mistake(call, document, json_array_get(mistakes, 0));
    }
    json_decref(mistakes);
    if (err == ERR_OK && (old == NULL || !json_equal(old->value, document))) {
        catalog_edit_put(edit, catalog, document_name, document);
        catalog_uid_put(&uid, edit);
    }
    return err;
}

/* The rule as the input says it, with the targets and tags of the one that is. */
static json_t *document_of(const struct api_call *call, const struct api_bus *bus,
                           const json_t *old)
{
    const struct slice state = api_text(call, "State");
    json_t *document = json_object();
    json_t *targets = json_object_get(old, "targets");
    json_t *tags = old != NULL ? json_incref(json_object_get(old, "tags"))
                               : api_tags_put(json_object(), json_object_get(call->input, "Tags"));

    api_put_text(document, "bus", bus->key);
    api_put_text(document, "name", bus->rule);
    api_put_text(document, "pattern", api_text(call, "EventPattern"));
    api_put_text(document, "schedule_expression", api_text(call, "ScheduleExpression"));
    api_put_text(document, "state", state.len > 0 ? state : SLICE("ENABLED"));
    api_put_text(document, "description", api_text(call, "Description"));
    api_put_text(document, "role_arn", api_text(call, "RoleArn"));
    json_object_set_new(document, "targets",
                        targets != NULL ? json_deep_copy(targets) : json_array());
    if (json_object_size(tags) > 0) {
        json_object_set(document, "tags", tags);
    }
    json_decref(tags);
    return document;
}

enum err api_check_pattern(struct api_call *call, const struct catalog *catalog)
{
    struct pattern *pattern = NULL;

    if (api_text(call, "EventPattern").len == 0) {
        return ERR_OK;
    }
    TRY(api_compile_pattern(call, catalog, api_text(call, "EventPattern"), &pattern));
    pattern_release(pattern);
    return ERR_OK;
}

static enum err check_schedule(struct api_call *call, const struct api_bus *bus)
{
    const struct slice expression = api_text(call, "ScheduleExpression");
    struct schedule schedule;

    if (expression.len == 0) {
        return ERR_OK;
    }
    if (!slice_eq(bus->name, SLICE("default"))) {
        return api_fail(call, "ValidationException",
                        "ScheduleExpression is supported only on the default event bus.");
    }
    if (schedule_parse(expression, &schedule, NULL) != ERR_OK || schedule.kind == SCHEDULE_AT) {
        return api_fail(call, "ValidationException", "Parameter ScheduleExpression is not valid.");
    }
    return ERR_OK;
}

static enum err check_put(struct api_call *call, const struct catalog *catalog,
                          const struct api_bus *bus)
{
    TRY(check_schedule(call, bus));
    if (api_text(call, "EventPattern").len == 0 && api_text(call, "ScheduleExpression").len == 0) {
        return api_fail(call, "ValidationException",
                        "Parameter(s) EventPattern or ScheduleExpression must be specified.");
    }
    return api_check_pattern(call, catalog);
}

static enum err check_room(struct api_call *call, const struct catalog *catalog,
                           const struct api_bus *bus)
{
    size_t count;

    (void)api_rules_of(call, catalog, bus, &count);
    return count < call->config->bus_rules_max
               ? ERR_OK
               : api_fail(call, "LimitExceededException",
                          "The requested resource exceeds the maximum number allowed.");
}

static enum err put_rule(struct api_call *call, const struct catalog *catalog,
                         struct catalog_edit *edit)
{
    const struct catalog_document *old;
    struct api_bus bus;
    json_t *document;
    enum err err;

    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Name"), &bus));
    TRY(check_put(call, catalog, &bus));
    old = catalog_get(catalog, api_rule_document(call, &bus, bus.rule));
    if (old != NULL) {
        TRY(api_rule_check_manager(call, old->value, bus.rule, false));
    } else {
        TRY(check_room(call, catalog, &bus));
    }
    document = document_of(call, &bus, old != NULL ? old->value : NULL);
    err = api_rule_put(call, catalog, &bus, document, edit);
    json_decref(document);
    call->output = json_object();
    api_put_text(call->output, "RuleArn", api_rule_arn(call, &bus, bus.rule));
    return err;
}

static enum err set_state(struct api_call *call, const struct catalog *catalog,
                          struct catalog_edit *edit, const char *state)
{
    const struct catalog_document *rule;
    struct api_bus bus;
    json_t *document;
    enum err err;

    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Name"), &bus));
    TRY(api_rule_find(call, catalog, &bus, &rule));
    TRY(api_rule_check_manager(call, rule->value, bus.rule, false));
    document = json_deep_copy(rule->value);
    json_object_set_new(document, "state", json_string(state));
    err = api_rule_put(call, catalog, &bus, document, edit);
    json_decref(document);
    return err;
}

static enum err enable_rule(struct api_call *call, const struct catalog *catalog,
                            struct catalog_edit *edit)
{
    return set_state(call, catalog, edit, "ENABLED");
}

static enum err disable_rule(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    return set_state(call, catalog, edit, "DISABLED");
}

static enum err delete_rule(struct api_call *call, const struct catalog *catalog,
                            struct catalog_edit *edit)
{
    const struct catalog_document *rule;
    struct api_bus bus;

    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Name"), &bus));
    rule = catalog_get(catalog, api_rule_document(call, &bus, bus.rule));
    if (rule == NULL) {
        return ERR_OK;
    }
    TRY(api_rule_check_manager(call, rule->value, bus.rule, api_flag(call, "Force")));
    if (json_array_size(json_object_get(rule->value, "targets")) > 0) {
        return api_fail(call, "ValidationException", "Rule can't be deleted since it has targets.");
    }
    catalog_edit_put(edit, catalog, slice_of(rule->name), NULL);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static json_t *describe(struct api_call *call, const struct api_bus *bus, const json_t *rule)
{
    const struct slice name = json_member_text(rule, "name");
    const struct slice manager = json_member_text(rule, "manager");
    const struct slice state = json_member_text(rule, "state");
    json_t *shown = json_object();

    api_put_text(shown, "Name", name);
    api_put_text(shown, "Arn", api_rule_arn(call, bus, name));
    api_put_text(shown, "EventPattern", json_member_text(rule, "pattern"));
    api_put_text(shown, "ScheduleExpression", json_member_text(rule, "schedule_expression"));
    api_put_text(shown, "State", state.len > 0 ? state : SLICE("ENABLED"));
    api_put_text(shown, "Description", json_member_text(rule, "description"));
    api_put_text(shown, "RoleArn", json_member_text(rule, "role_arn"));
    if (!slice_eq(manager, slice_of(call->caller.manager))) {
        api_put_text(shown, "ManagedBy", manager);
    }
    api_put_text(shown, "EventBusName", bus->name);
    return shown;
}

static enum err describe_rule(struct api_call *call, const struct catalog *catalog,
                              struct catalog_edit *edit)
{
    const struct catalog_document *rule;
    struct api_bus bus;

    (void)edit;
    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Name"), &bus));
    TRY(api_rule_find(call, catalog, &bus, &rule));
    call->output = describe(call, &bus, rule->value);
    api_put_text(call->output, "CreatedBy", bus.account);
    return ERR_OK;
}

const struct catalog_document **api_rules_of(struct api_call *call, const struct catalog *catalog,
                                             const struct api_bus *bus, size_t *count)
{
    const struct slice prefix = api_rule_document(call, bus, (struct slice){"", 0});

    return catalog_with_prefix(catalog, prefix, &call->arena, count);
}

static enum err list_rules(struct api_call *call, const struct catalog *catalog,
                           struct catalog_edit *edit)
{
    const struct slice prefix = api_text(call, "NamePrefix");
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    const struct catalog_document **rules;
    struct api_page page;
    struct api_bus bus;
    size_t count;

    (void)edit;
    call->output = json_pack("{s:o}", "Rules", list);
    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), API_NO_RULE, &bus));
    TRY(api_page_read(call, &page));
    rules = api_rules_of(call, catalog, &bus, &count);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = json_member_text(rules[i]->value, "name");

        if (!slice_has_prefix(name, prefix) || !api_page_begins(&page, name)) {
            continue;
        }
        if (json_array_size(list) == page.limit) {
            api_page_end(call, last);
            break;
        }
        json_array_append_new(list, describe(call, &bus, rules[i]->value));
        last = name;
    }
    return ERR_OK;
}

const struct api_action api_put_rule = {SLICE_INIT("PutRule"), put_members, put_rule, API_CHANGES};
const struct api_action api_delete_rule = {SLICE_INIT("DeleteRule"), name_members, delete_rule,
                                           API_CHANGES};
const struct api_action api_describe_rule = {SLICE_INIT("DescribeRule"), name_members,
                                             describe_rule, API_READS};
const struct api_action api_list_rules = {SLICE_INIT("ListRules"), list_members, list_rules,
                                          API_READS};
const struct api_action api_enable_rule = {SLICE_INIT("EnableRule"), name_members, enable_rule,
                                           API_CHANGES};
const struct api_action api_disable_rule = {SLICE_INIT("DisableRule"), name_members, disable_rule,
                                            API_CHANGES};
