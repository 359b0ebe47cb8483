/* SPDX-License-Identifier: Apache-2.0
 *
 * api_permissions.c - the policy of a bus: kept as the text that it is, judged where it is used.
 *
 * A policy comes whole, or a statement at a time, which is then added to the text or replaces the
 * one of its id.  Whichever way, the whole is compiled before it is kept, so what is stored can be
 * judged.  Only the owner of a bus (or an operator) changes its policy; no policy grants that.
 *
 * Of the actions only those that EventBridge lets a policy grant are ever looked up.
 */
#include "gateway/api_permissions.h"

#include "accounts/bus_policy.h"
#include "core/check.h"
#include "gateway/api_buses.h"
#include "gateway/api_rules.h"
#include "gateway/config.h"

static const struct api_member condition_members[] = {
    {"Type", API_TEXT, true, 0, 256, API_ANY_CHARS, NULL},
    {"Key", API_TEXT, true, 0, 256, API_ANY_CHARS, NULL},
    {"Value", API_TEXT, true, 0, 1024, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member put_input[] = {
    {"EventBusName", API_TEXT, false, 1, 256, API_BUS_CHARS, NULL},
    {"Action", API_TEXT, false, 1, 64, API_ACTION_CHARS, NULL},
    {"Principal", API_TEXT, false, 1, 12, API_PRINCIPAL_CHARS, NULL},
    {"StatementId", API_TEXT, false, 1, 64, API_STATEMENT_CHARS, NULL},
    {"Condition", API_OBJECT, false, 0, 0, API_ANY_CHARS, condition_members},
    {"Policy", API_TEXT, false, 0, 1000000, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member remove_input[] = {
    {"EventBusName", API_TEXT, false, 1, 256, API_BUS_CHARS, NULL},
    {"StatementId", API_TEXT, false, 1, 64, API_STATEMENT_CHARS, NULL},
    {"RemoveAllPermissions", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};

/* ---- asking a policy ---------------------------------------------------------------------- */

static bool is_grantable(struct slice action)
{
    static const struct slice actions[] = {
        SLICE_INIT("PutRule"),       SLICE_INIT("PutTargets"),          SLICE_INIT("DeleteRule"),
        SLICE_INIT("RemoveTargets"), SLICE_INIT("EnableRule"),          SLICE_INIT("DisableRule"),
        SLICE_INIT("DescribeRule"),  SLICE_INIT("ListTargetsByRule"),   SLICE_INIT("TagResource"),
        SLICE_INIT("UntagResource"), SLICE_INIT("ListTagsForResource"),
    };

    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (slice_eq(action, actions[i])) {
            return true;
        }
    }
    return false;
}

bool api_permits_foreign(struct api_call *call, const struct catalog *catalog,
                         const struct api_bus *bus, struct slice creator)
{
    const struct catalog_document *caller =
        catalog_get(catalog, arena_printf(&call->arena, "account/%s", call->caller.account));
    const struct slice text = bus->document != NULL
                                  ? json_member_text(bus->document->value, "policy")
                                  : (struct slice){NULL, 0};
    const struct bus_policy_call use = {
        .account = slice_of(call->caller.account),
        .org_path =
            caller != NULL ? json_member_text(caller->value, "org_path") : (struct slice){NULL, 0},
        .action = arena_printf(&call->arena, "events:%.*s", SLICE_ARG(call->action)),
        .resource = bus->rule.len > 0 ? api_rule_arn(call, bus, bus->rule) : api_bus_arn(call, bus),
        .creator_account = creator,
    };
    const struct bus_policy *policy;
    struct err_why why;

    return text.len > 0 && is_grantable(call->action) &&
           bus_policy_compile(text, &call->arena, &policy, &why) == ERR_OK &&
           bus_policy_judge(policy, &use) == BUS_POLICY_ALLOWS;
}

/* ---- changing it -------------------------------------------------------------------------- */

static enum err find_own_bus(struct api_call *call, const struct catalog *catalog,
                             struct api_bus *bus)
{
    TRY(api_bus_find(call, catalog, api_text(call, "EventBusName"), API_NO_RULE, bus));
    if (bus->is_central) {
        return api_fail(call, "ValidationException",
                        "Parameter EventBusName is not valid. Reason: the central bus sees every "
                        "event without a policy.");
    }
    return bus->document != NULL
               ? api_rule_check_manager(call, bus->document->value, bus->name, false)
               : ERR_OK;
}

static json_t *document_of(const struct api_bus *bus)
{
    return bus->document != NULL ? json_deep_copy(bus->document->value) : api_bus_document(bus);
}

/* Keep this policy, or none for an empty text. */
static enum err put_policy(struct api_call *call, const struct catalog *catalog,
                           const struct api_bus *bus, struct slice text, struct catalog_edit *edit)
{
    json_t *document;
    const struct bus_policy *policy;
    struct err_why why = {.text = ""};
    enum err err;

    if (text.len > BUS_POLICY_CHARS_MAX) {
        return api_fail(call, "PolicyLengthExceededException",
                        "The policy is over the maximum of %d characters.", BUS_POLICY_CHARS_MAX);
    }
    if (text.len > 0 && bus_policy_compile(text, &call->arena, &policy, &why) != ERR_OK) {
        return api_fail(call, "ValidationException", "Parameter Policy is not valid. Reason: %s",
                        why.text);
    }
    document = document_of(bus);
    json_object_del(document, "policy");
    api_put_text(document, "policy", text);
    err = api_bus_put(call, catalog, bus, document, edit);
    json_decref(document);
    return err;
}

static bool has_id(const json_t *statement, struct slice id)
{
    return slice_eq(json_member_text(statement, "Sid"), id);
}

/* The statements of the policy that is, without the one of that id: { "Version", "Statement" }; the
 * caller's reference.  Sets `is_found`. */
static json_t *policy_without(const struct api_bus *bus, struct slice id, bool *is_found)
{
    const struct slice text = bus->document != NULL
                                  ? json_member_text(bus->document->value, "policy")
                                  : (struct slice){NULL, 0};
    json_t *old = json_loadb(text.len > 0 ? text.data : "", text.len, 0, NULL);
    json_t *list = json_object_get(old, "Statement");
    json_t *kept = json_array();

    *is_found = false;
    for (size_t i = 0; i < MAX_OF(json_array_size(list), (size_t)1) && list != NULL; i++) {
        json_t *statement = json_is_array(list) ? json_array_get(list, i) : list;

        *is_found |= has_id(statement, id);
        if (!has_id(statement, id)) {
            json_array_append(kept, statement);
        }
    }
    json_decref(old);
    return json_pack("{s:s, s:o}", "Version", "2012-10-17", "Statement", kept);
}

/* Takes the reference. */
static enum err put_tree(struct api_call *call, const struct catalog *catalog,
                         const struct api_bus *bus, json_t *policy, struct catalog_edit *edit)
{
    char *text = json_array_size(json_object_get(policy, "Statement")) > 0
                     ? json_dumps(policy, JSON_COMPACT)
                     : NULL;
    const enum err err = put_policy(call, catalog, bus, slice_of(text), edit);

    xfree(text);
    json_decref(policy);
    return err;
}

static enum err check_statement(struct api_call *call)
{
    const json_t *condition = json_object_get(call->input, "Condition");
    const struct slice action = api_text(call, "Action");

    if (api_text(call, "StatementId").len == 0 || action.len == 0 ||
        api_text(call, "Principal").len == 0) {
        return api_fail(call, "ValidationException",
                        "StatementId, Action and Principal must be specified, or Policy.");
    }
    if (!slice_eq(action, SLICE("events:PutEvents")) &&
        !is_grantable(slice_from(action, strlen("events:")))) {
        return api_fail(call, "ValidationException",
                        "Provided value in parameter 'action' is not "
                        "supported.");
    }
    if (json_is_object(condition) &&
        (!slice_eq(json_member_text(condition, "Type"), SLICE("StringEquals")) ||
         !slice_eq(json_member_text(condition, "Key"), SLICE("aws:PrincipalOrgID")))) {
        return api_fail(call, "ValidationException",
                        "Parameter Condition is not valid. Reason: its Type must be StringEquals "
                        "and its Key aws:PrincipalOrgID.");
    }
    return ERR_OK;
}

/* As the service keeps it. */
static json_t *statement_of(struct api_call *call, const struct api_bus *bus)
{
    const struct slice id = api_text(call, "StatementId");
    const struct slice action = api_text(call, "Action");
    const struct slice principal = api_text(call, "Principal");
    const json_t *condition = json_object_get(call->input, "Condition");
    const struct slice is_rule_action = slice_from(action, strlen("events:"));
    struct slice resource = api_bus_arn(call, bus);
    json_t *statement;

    if (is_grantable(is_rule_action)) {
        resource = api_rule_arn(call, bus, SLICE("*"));
    }
    statement = json_pack("{s:s%, s:s}", "Sid", id.data, id.len, "Effect", "Allow");
    if (slice_eq(principal, SLICE("*"))) {
        json_object_set_new(statement, "Principal", json_string("*"));
    } else {
        const struct slice root =
            arena_printf(&call->arena, "arn:aws:iam::%.*s:root", SLICE_ARG(principal));

        json_object_set_new(statement, "Principal",
                            json_pack("{s:s%}", "AWS", root.data, root.len));
    }
    api_put_text(statement, "Action", action);
    api_put_text(statement, "Resource", resource);
    if (json_is_object(condition)) {
        json_object_set_new(statement, "Condition",
                            json_pack("{s:{s:O}}", "StringEquals", "aws:PrincipalOrgID",
                                      json_object_get(condition, "Value")));
    }
    return statement;
}

static enum err put_permission(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    const struct slice text = api_text(call, "Policy");
    struct api_bus bus;
    json_t *policy;
    bool is_found;

    TRY(find_own_bus(call, catalog, &bus));
    if (text.len > 0) {
        if (api_text(call, "StatementId").len > 0 || api_text(call, "Action").len > 0 ||
            api_text(call, "Principal").len > 0) {
            return api_fail(call, "ValidationException",
                            "Policy cannot be specified with StatementId, Action or Principal.");
        }
        return put_policy(call, catalog, &bus, text, edit);
    }
    TRY(check_statement(call));
    policy = policy_without(&bus, api_text(call, "StatementId"), &is_found);
    json_array_append_new(json_object_get(policy, "Statement"), statement_of(call, &bus));
    return put_tree(call, catalog, &bus, policy, edit);
}

static enum err remove_permission(struct api_call *call, const struct catalog *catalog,
                                  struct catalog_edit *edit)
{
    const struct slice id = api_text(call, "StatementId");
    struct api_bus bus;
    json_t *policy;
    bool is_found;

    TRY(find_own_bus(call, catalog, &bus));
    if (api_flag(call, "RemoveAllPermissions")) {
        return bus.document != NULL ? put_policy(call, catalog, &bus, (struct slice){NULL, 0}, edit)
                                    : ERR_OK;
    }
    policy = policy_without(&bus, id, &is_found);
    if (id.len == 0 || !is_found) {
        json_decref(policy);
        return api_fail(call, "ResourceNotFoundException",
                        "Statement with the provided id does not exist.");
    }
    return put_tree(call, catalog, &bus, policy, edit);
}

const struct api_action api_put_permission = {SLICE_INIT("PutPermission"), put_input,
                                              put_permission, API_CHANGES};
const struct api_action api_remove_permission = {SLICE_INIT("RemovePermission"), remove_input,
                                                 remove_permission, API_CHANGES};
