/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policy.c - from the text of a resource policy to what bus_policy_judge.c reads.
 *
 * A policy grants, so what is not understood is refused when it is put: an unknown member of a
 * statement, a condition key that weir does not fill in, an operator that it does not have, a
 * principal that it cannot prove (a role, a user, a service).  To pass over any of these could only
 * widen what its author meant.
 *
 * Memory: everything is in the caller's arena; the JSON tree is gone when this returns.
 */
#include "accounts/bus_policy_internal.h"

#include <jansson.h>

#include "core/arn.h"
#include "core/check.h"

enum { STATEMENTS_MAX = 100, CONDITIONS_MAX = 64 };

struct reading {
    struct arena *arena;
    struct err_why *why;
    size_t statement; /* counted from 1, for messages */
};

static enum err refuse(const struct reading *reading, struct slice what, const char *text)
{
    const struct slice first = slice_first(what, 64);

    return err_because(ERR_BAD_VALUE, reading->why, "Statement %zu: %.*s %s", reading->statement,
                       SLICE_ARG(first), text);
}

static struct slice text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

/* A text, or a list of at least one. */
static enum err read_texts(const struct reading *reading, const json_t *value, const char *member,
                           struct bus_policy_texts *texts)
{
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    struct slice *items = ARENA_ARRAY(reading->arena, struct slice, MAX_OF(count, (size_t)1));

    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (json_is_boolean(item)) {
            items[i] = json_is_true(item) ? SLICE("true") : SLICE("false");
        } else if (json_is_string(item)) {
            items[i] = arena_copy(reading->arena, text_of(item));
        } else {
            return refuse(reading, slice_of(member), "must be a string or a list of strings");
        }
    }
    if (count == 0) {
        return refuse(reading, slice_of(member), "must not be an empty list");
    }
    *texts = (struct bus_policy_texts){items, count};
    return ERR_OK;
}

/* ---- principals --------------------------------------------------------------------------- */

static bool is_account(struct slice text)
{
    uint64_t number;

    return text.len == 12 && slice_to_u64(text, &number);
}

static enum err read_principals(const struct reading *reading, const json_t *value,
                                struct bus_policy_statement *statement)
{
    struct slice *accounts;
    struct bus_policy_texts texts;
    size_t count = 0;

    if (json_is_string(value) && slice_eq(text_of(value), SLICE("*"))) {
        statement->is_anyone = true;
        return ERR_OK;
    }
    if (!json_is_object(value) || json_object_size(value) != 1 ||
        json_object_get(value, "AWS") == NULL) {
        return refuse(reading, SLICE("Principal"), "must be \"*\" or {\"AWS\": ...}");
    }
    TRY(read_texts(reading, json_object_get(value, "AWS"), "Principal", &texts));
    accounts = ARENA_ARRAY(reading->arena, struct slice, texts.count);
    for (size_t i = 0; i < texts.count; i++) {
        struct arn arn;

        if (slice_eq(texts.items[i], SLICE("*"))) {
            statement->is_anyone = true;
        } else if (is_account(texts.items[i])) {
            accounts[count++] = texts.items[i];
        } else if (arn_split(texts.items[i], &arn) && slice_eq(arn.service, SLICE("iam")) &&
                   slice_eq(arn.resource, SLICE("root")) && is_account(arn.account)) {
            accounts[count++] = arn.account;
        } else {
            return refuse(reading, texts.items[i],
                          "names no account, by its 12 digits or as arn:aws:iam::ACCOUNT:root");
        }
    }
    statement->principals = (struct bus_policy_texts){accounts, count};
    return ERR_OK;
}

/* ---- conditions --------------------------------------------------------------------------- */

static const struct slice key_names[KEY_COUNT] = {
    [KEY_PRINCIPAL_ORG_ID] = SLICE_INIT("aws:PrincipalOrgID"),
    [KEY_PRINCIPAL_ORG_PATHS] = SLICE_INIT("aws:PrincipalOrgPaths"),
    [KEY_PRINCIPAL_ACCOUNT] = SLICE_INIT("aws:PrincipalAccount"),
    [KEY_SOURCE_ACCOUNT] = SLICE_INIT("aws:SourceAccount"),
    [KEY_SOURCE_ARN] = SLICE_INIT("aws:SourceArn"),
    [KEY_EVENT_SOURCE] = SLICE_INIT("events:source"),
    [KEY_DETAIL_TYPE] = SLICE_INIT("events:detail-type"),
    [KEY_CREATOR_ACCOUNT] = SLICE_INIT("events:creatorAccount"),
    [KEY_BUS_INVOCATION] = SLICE_INIT("events:eventBusInvocation"),
};

static const struct operator
{
    struct slice name;
    enum bus_policy_test test;
    bool is_negated;
}
operators[] = {
    {SLICE_INIT("StringEquals"), TEST_STRING_EQUALS, false},
    {SLICE_INIT("StringNotEquals"), TEST_STRING_EQUALS, true},
    {SLICE_INIT("StringEqualsIgnoreCase"), TEST_STRING_EQUALS_IGNORE_CASE, false},
    {SLICE_INIT("StringNotEqualsIgnoreCase"), TEST_STRING_EQUALS_IGNORE_CASE, true},
    {SLICE_INIT("StringLike"), TEST_STRING_LIKE, false},
    {SLICE_INIT("StringNotLike"), TEST_STRING_LIKE, true},
    {SLICE_INIT("ArnEquals"), TEST_ARN_LIKE, false},
    {SLICE_INIT("ArnLike"), TEST_ARN_LIKE, false},
    {SLICE_INIT("ArnNotEquals"), TEST_ARN_LIKE, true},
    {SLICE_INIT("ArnNotLike"), TEST_ARN_LIKE, true},
    {SLICE_INIT("Bool"), TEST_BOOL, false},
    {SLICE_INIT("Null"), TEST_NULL, false},
};

static bool take_prefix(struct slice *text, struct slice prefix)
{
    if (!slice_eq_ignore_case(slice_first(*text, prefix.len), prefix)) {
        return false;
    }
    *text = slice_from(*text, prefix.len);
    return true;
}

static enum err read_operator(const struct reading *reading, struct slice name,
                              struct bus_policy_condition *condition)
{
    static const struct slice if_exists = SLICE_INIT("IfExists");
    struct slice rest = name;

    if (take_prefix(&rest, SLICE("ForAllValues:"))) {
        condition->quantifier = QUANTIFIER_ALL;
    } else if (take_prefix(&rest, SLICE("ForAnyValue:"))) {
        condition->quantifier = QUANTIFIER_ANY;
    }
    if (rest.len > if_exists.len &&
        slice_eq_ignore_case(slice_from(rest, rest.len - if_exists.len), if_exists)) {
        condition->is_if_exists = true;
        rest.len -= if_exists.len;
    }
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (slice_eq_ignore_case(rest, operators[i].name) &&
            !(condition->is_if_exists && operators[i].test == TEST_NULL)) {
            condition->test = operators[i].test;
            condition->is_negated = operators[i].is_negated;
            return ERR_OK;
        }
    }
    return refuse(reading, name, "is no condition operator that is known");
}

static enum err read_key(const struct reading *reading, struct slice name,
                         struct bus_policy_condition *condition)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (slice_eq_ignore_case(name, key_names[i])) {
            condition->key = (enum bus_policy_key)i;
            return ERR_OK;
        }
    }
    return refuse(reading, name, "is no condition key that is known");
}

/* true and false where they are asked for, and no variable but the one that is filled in. */
static enum err check_values(const struct reading *reading,
                             const struct bus_policy_condition *condition)
{
    for (size_t i = 0; i < condition->values.count; i++) {
        const struct slice value = condition->values.items[i];
        const bool is_variable = memmem(value.data, value.len, "${", 2) != NULL;

        if ((condition->test == TEST_BOOL || condition->test == TEST_NULL) &&
            !slice_eq_ignore_case(value, SLICE("true")) &&
            !slice_eq_ignore_case(value, SLICE("false"))) {
            return refuse(reading, value, "is neither true nor false");
        }
        if (is_variable && !slice_eq_ignore_case(value, SLICE("${aws:PrincipalAccount}"))) {
            return refuse(reading, value, "holds a policy variable that is not known");
        }
    }
    return condition->test == TEST_NULL && condition->values.count != 1
               ? refuse(reading, SLICE("Null"), "takes one value")
               : ERR_OK;
}

static enum err read_conditions(const struct reading *reading, json_t *value,
                                struct bus_policy_statement *statement)
{
    struct bus_policy_condition *conditions =
        ARENA_ARRAY(reading->arena, struct bus_policy_condition, CONDITIONS_MAX);
    const char *name;
    const char *key;
    json_t *keys;
    json_t *values;

    statement->conditions = conditions;
    if (!json_is_object(value)) {
        return refuse(reading, SLICE("Condition"), "must be an object");
    }
    json_object_foreach(value, name, keys)
    {
        if (!json_is_object(keys)) {
            return refuse(reading, slice_of(name), "must be an object");
        }
        json_object_foreach(keys, key, values)
        {
            struct bus_policy_condition *condition = &conditions[statement->condition_count];

            if (statement->condition_count++ == CONDITIONS_MAX) {
                return refuse(reading, SLICE("Condition"), "has too many keys");
            }
            TRY(read_operator(reading, slice_of(name), condition));
            TRY(read_key(reading, slice_of(key), condition));
            TRY(read_texts(reading, values, key, &condition->values));
            TRY(check_values(reading, condition));
        }
    }
    return ERR_OK;
}

/* ---- statements --------------------------------------------------------------------------- */

static enum err check_members(const struct reading *reading, json_t *value)
{
    static const char *const known[] = {"Sid",    "Effect",   "Principal",
                                        "Action", "Resource", "Condition"};
    const char *name;
    json_t *member;

    json_object_foreach(value, name, member)
    {
        bool is_known = false;

        for (size_t i = 0; i < ARRAY_LEN(known); i++) {
            is_known |= strcmp(name, known[i]) == 0;
        }
        if (!is_known) {
            return refuse(reading, slice_of(name), "is no member that is known");
        }
    }
    return ERR_OK;
}

static enum err read_actions(const struct reading *reading, const json_t *value,
                             struct bus_policy_texts *actions)
{
    TRY(read_texts(reading, value, "Action", actions));
    for (size_t i = 0; i < actions->count; i++) {
        if (!slice_eq(actions->items[i], SLICE("*")) &&
            !slice_eq_ignore_case(slice_first(actions->items[i], 7), SLICE("events:"))) {
            return refuse(reading, actions->items[i], "is no action of events");
        }
    }
    return ERR_OK;
}

static enum err read_statement(const struct reading *reading, json_t *value,
                               struct bus_policy_statement *statement)
{
    const struct slice effect = text_of(json_object_get(value, "Effect"));
    json_t *condition = json_object_get(value, "Condition");

    if (!json_is_object(value)) {
        return refuse(reading, SLICE("it"), "must be an object");
    }
    TRY(check_members(reading, value));
    if (!slice_eq(effect, SLICE("Allow")) && !slice_eq(effect, SLICE("Deny"))) {
        return refuse(reading, SLICE("Effect"), "must be Allow or Deny");
    }
    statement->denies = slice_eq(effect, SLICE("Deny"));
    TRY(read_principals(reading, json_object_get(value, "Principal"), statement));
    TRY(read_actions(reading, json_object_get(value, "Action"), &statement->actions));
    TRY(read_texts(reading, json_object_get(value, "Resource"), "Resource", &statement->resources));
    return condition != NULL ? read_conditions(reading, condition, statement) : ERR_OK;
}

static enum err read_policy(struct reading *reading, const json_t *tree, struct bus_policy *policy)
{
    json_t *list = json_object_get(tree, "Statement");
    const struct slice version = text_of(json_object_get(tree, "Version"));
    const size_t count = json_is_array(list) ? json_array_size(list) : 1;
    struct bus_policy_statement *statements =
        ARENA_ARRAY(reading->arena, struct bus_policy_statement, MAX_OF(count, (size_t)1));

    if (!json_is_object(tree) || list == NULL) {
        return err_because(ERR_BAD_VALUE, reading->why, "a policy is an object with Statement");
    }
    if (!slice_eq(version, SLICE("2012-10-17"))) {
        return err_because(ERR_BAD_VALUE, reading->why, "Version must be 2012-10-17");
    }
    if (count == 0 || count > STATEMENTS_MAX) {
        return err_because(ERR_BAD_VALUE, reading->why, "Statement must hold 1 to %d statements",
                           STATEMENTS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        reading->statement = i + 1;
        TRY(read_statement(reading, json_is_array(list) ? json_array_get(list, i) : list,
                           &statements[i]));
    }
    *policy = (struct bus_policy){statements, count};
    return ERR_OK;
}

enum err bus_policy_compile(struct slice text, struct arena *arena,
                            const struct bus_policy **policy, struct err_why *why)
{
    struct reading reading = {.arena = arena, .why = why};
    struct bus_policy *made = ARENA_NEW(arena, struct bus_policy);
    json_error_t fault;
    json_t *tree;
    enum err err;

    *policy = made;
    if (text.len > BUS_POLICY_CHARS_MAX) {
        return err_because(ERR_BAD_VALUE, why, "the policy is over %d characters",
                           BUS_POLICY_CHARS_MAX);
    }
    tree = json_loadb(text.len > 0 ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &fault);
    if (tree == NULL) {
        return err_because(ERR_BAD_VALUE, why, "byte %d: %s", fault.position, fault.text);
    }
    err = read_policy(&reading, tree, made);
    json_decref(tree);
    return err;
}
