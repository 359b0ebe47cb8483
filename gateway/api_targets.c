/* SPDX-License-Identifier: Apache-2.0
 *
 * api_targets.c - PutTargets and what belongs to it.
 *
 * The same Id updates a target in place, so that what is owed to it stays owed to it.  A member's
 * own rules reach only what is in its own account, by roles of its own account: weir calls with
 * credentials that it assumes, and nobody may point them at somebody else.
 */
#include "gateway/api_targets.h"

#include "accounts/policy.h"
#include "core/arn.h"
#include "core/check.h"
#include "gateway/api_names.h"
#include "gateway/api_rules.h"
#include "gateway/api_spelling.h"
#include "gateway/api_target.h"
#include "routing/rule.h"

static const struct api_member transformer_members[] = {
    {"InputTemplate", API_TEXT, true, 1, 8192, API_ANY_CHARS, NULL},
    {"InputPathsMap", API_TEXT_MAP, false, 0, 256, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member retry_members[] = {
    {"MaximumRetryAttempts", API_NUMBER, false, 0, 185, API_ANY_CHARS, NULL},
    {"MaximumEventAgeInSeconds", API_NUMBER, false, 60, 86400, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member queue_members[] = {
    {"Arn", API_TEXT, false, 1, 1600, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member sqs_members[] = {
    {"MessageGroupId", API_TEXT, false, 0, 100, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member http_members[] = {
    {"PathParameterValues", API_TEXTS, false, 0, 512, API_NOT_BLANK, NULL},
    {"HeaderParameters", API_TEXT_MAP, false, 0, 512, API_HEADER_VALUE, NULL},
    {"QueryStringParameters", API_TEXT_MAP, false, 0, 512, API_PLAIN_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member target_members[] = {
    {"Id", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    {"Arn", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"RoleArn", API_TEXT, false, 1, 1600, API_ANY_CHARS, NULL},
    {"Input", API_TEXT, false, 0, 8192, API_ANY_CHARS, NULL},
    {"InputPath", API_TEXT, false, 0, 256, API_ANY_CHARS, NULL},
    {"InputTransformer", API_OBJECT, false, 0, 0, API_ANY_CHARS, transformer_members},
    {"DeadLetterConfig", API_OBJECT, false, 0, 0, API_ANY_CHARS, queue_members},
    {"RetryPolicy", API_OBJECT, false, 0, 0, API_ANY_CHARS, retry_members},
    {"SqsParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, sqs_members},
    {"HttpParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, http_members},
    API_MEMBERS_END,
};
static const struct api_member put_input[] = {
    {"Rule", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    {"Targets", API_OBJECTS, true, 1, 100, API_ANY_CHARS, target_members},
    API_BUS_MEMBER,
    API_MEMBERS_END,
};
static const struct api_member remove_input[] = {
    {"Rule", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    {"Ids", API_TEXTS, true, 1, 64, API_NAME_CHARS, NULL},
    {"Force", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_BUS_MEMBER,
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"Rule", API_TEXT, true, 1, 64, API_NAME_CHARS, NULL},
    API_BUS_MEMBER,
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};
static const struct api_member by_target_input[] = {
    {"TargetArn", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    API_BUS_MEMBER,
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- whose target ------------------------------------------------------------------------- */

/* What is no ARN at all is left to the catalog's check, which has the words for it. */
static enum err check_own(struct api_call *call, const json_t *target, const char *parameter,
                          struct slice text, const struct slice *shared, size_t shared_count)
{
    const struct slice account = slice_of(call->caller.account);
    struct arn arn;

    if (call->caller.is_operator || !arn_split(text, &arn) ||
        policy_may_target(account, shared, shared_count, text)) {
        return ERR_OK;
    }
    return api_fail(call, "ValidationException",
                    "Parameter %s for target %.*s is not valid. Reason: it must be of account "
                    "%.*s.",
                    parameter, SLICE_ARG(json_member_text(target, "id")), SLICE_ARG(account));
}

/* What the catalog shares with the caller; in the call's arena. */
static const struct slice *shared_with(struct api_call *call, const struct catalog *catalog,
                                       size_t *count)
{
    const struct catalog_document *account =
        catalog_get(catalog, arena_printf(&call->arena, "account/%s", call->caller.account));
    const json_t *list = account != NULL ? json_object_get(account->value, "shared_targets") : NULL;
    struct slice *shared;

    *count = json_array_size(list);
    shared = ARENA_ARRAY(&call->arena, struct slice, MAX_OF(*count, (size_t)1));
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, i);

        shared[i] = (struct slice){json_string_value(item), json_string_length(item)};
    }
    return shared;
}

static enum err check_all_own(struct api_call *call, const struct catalog *catalog,
                              const json_t *target)
{
    const json_t *queue = json_object_get(target, "dead_letter_config");
    size_t count;
    const struct slice *shared = shared_with(call, catalog, &count);

    TRY(check_own(call, target, "Arn", json_member_text(target, "arn"), shared, count));
    TRY(check_own(call, target, "RoleArn", json_member_text(target, "role_arn"), NULL, 0));
    return check_own(call, target, "DeadLetterConfig", json_member_text(queue, "arn"), NULL, 0);
}

/* ---- putting ------------------------------------------------------------------------------ */

static size_t index_of(const json_t *targets, struct slice id)
{
    size_t i = 0;

    while (i < json_array_size(targets) &&
           !slice_eq(json_member_text(json_array_get(targets, i), "id"), id)) {
        i++;
    }
    return i;
}

/* The role of a bus target stays when the same target is put without one. */
static void keep_role(json_t *target, const json_t *old)
{
    const struct slice arn = json_member_text(target, "arn");

    if (json_object_get(target, "role_arn") == NULL &&
        slice_eq(arn, json_member_text(old, "arn")) && json_object_get(old, "role_arn") != NULL &&
        strstr(json_string_value(json_object_get(old, "arn")), ":event-bus/") != NULL) {
        json_object_set(target, "role_arn", json_object_get(old, "role_arn"));
    }
}

static enum err put_one(struct api_call *call, const struct catalog *catalog, json_t *targets,
                        json_t *input)
{
    json_t *target = api_to_catalog(input);
    const size_t place = index_of(targets, json_member_text(target, "id"));
    const enum err err = check_all_own(call, catalog, target);

    if (err != ERR_OK) {
        json_decref(target);
    } else if (place < json_array_size(targets)) {
        keep_role(target, json_array_get(targets, place));
        json_array_set_new(targets, place, target);
    } else {
        json_array_append_new(targets, target);
    }
    return err;
}

static json_t *no_failures(void)
{
    return json_pack("{s:i, s:[]}", "FailedEntryCount", 0, "FailedEntries");
}

/* The rule that is to be changed, as a copy with a list of targets; the caller's reference. */
static enum err begin_change(struct api_call *call, const struct catalog *catalog, bool force,
                             struct api_bus *bus, json_t **document)
{
    const struct catalog_document *rule;

    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Rule"), bus));
    TRY(api_rule_find(call, catalog, bus, &rule));
    TRY(api_rule_check_manager(call, rule->value, bus->rule, force));
    *document = json_deep_copy(rule->value);
    if (json_object_get(*document, "targets") == NULL) {
        json_object_set_new(*document, "targets", json_array());
    }
    call->output = no_failures();
    return ERR_OK;
}

static enum err put_targets(struct api_call *call, const struct catalog *catalog,
                            struct catalog_edit *edit)
{
    const json_t *inputs = json_object_get(call->input, "Targets");
    struct api_bus bus;
    json_t *document;
    json_t *targets;
    enum err err = ERR_OK;

    TRY(begin_change(call, catalog, false, &bus, &document));
    targets = json_object_get(document, "targets");
    for (size_t i = 0; i < json_array_size(inputs) && err == ERR_OK; i++) {
        err = put_one(call, catalog, targets, json_array_get(inputs, i));
    }
    if (err == ERR_OK && json_array_size(targets) > RULE_TARGETS_MAX) {
        err = api_fail(call, "LimitExceededException",
                       "The requested resource exceeds the maximum number allowed.");
    }
    if (err == ERR_OK) {
        err = api_rule_put(call, catalog, &bus, document, edit);
    }
    json_decref(document);
    return err;
}

static enum err remove_targets(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    const json_t *ids = json_object_get(call->input, "Ids");
    struct api_bus bus;
    json_t *document;
    json_t *targets;
    enum err err;

    TRY(begin_change(call, catalog, api_flag(call, "Force"), &bus, &document));
    targets = json_object_get(document, "targets");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        const struct slice text = {json_string_value(id), json_string_length(id)};

        (void)json_array_remove(targets, index_of(targets, text));
    }
    err = api_rule_put(call, catalog, &bus, document, edit);
    json_decref(document);
    return err;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum err list_targets(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    const struct catalog_document *rule;
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    bool begins;
    struct api_page page;
    struct api_bus bus;

    (void)edit;
    call->output = json_pack("{s:o}", "Targets", list);
    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), api_text(call, "Rule"), &bus));
    TRY(api_rule_find(call, catalog, &bus, &rule));
    TRY(api_page_read(call, &page));
    begins = page.after.len == 0;
    for (size_t i = 0; i < json_array_size(json_object_get(rule->value, "targets")); i++) {
        json_t *target = json_array_get(json_object_get(rule->value, "targets"), i);

        if (begins && json_array_size(list) == page.limit) {
            api_page_end(call, last);
            break;
        }
        last = json_member_text(target, "id");
        if (begins) {
            json_array_append_new(list, api_target_from_catalog(target));
        }
        begins = begins || slice_eq(last, page.after);
    }
    return ERR_OK;
}

static bool has_target(const json_t *rule, struct slice arn)
{
    const json_t *targets = json_object_get(rule, "targets");

    for (size_t i = 0; i < json_array_size(targets); i++) {
        if (slice_eq(json_member_text(json_array_get(targets, i), "arn"), arn)) {
            return true;
        }
    }
    return false;
}

static enum err list_rules_of_target(struct api_call *call, const struct catalog *catalog,
                                     struct catalog_edit *edit)
{
    const struct slice arn = api_text(call, "TargetArn");
    json_t *names = json_array();
    struct slice last = {NULL, 0};
    const struct catalog_document **rules;
    struct api_page page;
    struct api_bus bus;
    size_t count;

    (void)edit;
    call->output = json_pack("{s:o}", "RuleNames", names);
    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), API_NO_RULE, &bus));
    TRY(api_page_read(call, &page));
    rules = api_rules_of(call, catalog, &bus, &count);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = json_member_text(rules[i]->value, "name");

        if (!has_target(rules[i]->value, arn) || !api_page_begins(&page, name)) {
            continue;
        }
        if (json_array_size(names) == page.limit) {
            api_page_end(call, last);
            break;
        }
        json_array_append(names, json_object_get(rules[i]->value, "name"));
        last = name;
    }
    return ERR_OK;
}

const struct api_action api_put_targets = {SLICE_INIT("PutTargets"), put_input, put_targets,
                                           API_CHANGES};
const struct api_action api_remove_targets = {SLICE_INIT("RemoveTargets"), remove_input,
                                              remove_targets, API_CHANGES};
const struct api_action api_list_targets = {SLICE_INIT("ListTargetsByRule"), list_input,
                                            list_targets, API_READS};
const struct api_action api_list_rules_of_target = {
    SLICE_INIT("ListRuleNamesByTarget"), by_target_input, list_rules_of_target, API_READS};
