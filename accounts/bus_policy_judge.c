/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policy_judge.c - what does a policy say of one use of its bus?
 *
 * A statement speaks of a call when principal, action, resource and every condition fit.  One that
 * denies settles it; else one that allows does; else the policy is silent, and whoever asked
 * decides what silence means (yes to the owner, no to everybody else).
 *
 * Several values of one key are alternatives; several keys and operators must all hold.  A key that
 * the call does not have fails a positive test and passes a negated one, as in the service;
 * "IfExists" passes both.
 *
 * Pure: reads policy and call, keeps nothing.
 */
#include "accounts/bus_policy_internal.h"

/* ---- patterns ----------------------------------------------------------------------------- */

/* `*` any characters, `?` one.  The last star is the only one that is ever gone back to. */
static bool matches(struct slice pattern, struct slice text, bool ignores_case)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX;
    size_t resume = 0;

    while (t < text.len) {
        const struct slice wanted = slice_first(slice_from(pattern, p), 1);
        const struct slice seen = {text.data + t, 1};

        if (wanted.len > 0 && wanted.data[0] == '*') {
            star = p++;
            resume = t;
        } else if (wanted.len > 0 &&
                   (wanted.data[0] == '?' ||
                    (ignores_case ? slice_eq_ignore_case(wanted, seen) : slice_eq(wanted, seen)))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.len;
}

/* Each of the six parts of an ARN for itself: a star does not reach over a colon before the
 * resource. */
static bool arn_matches(struct slice pattern, struct slice arn)
{
    for (unsigned i = 0; i < 5; i++) {
        if (!matches(slice_cut(&pattern, ':'), slice_cut(&arn, ':'), false)) {
            return false;
        }
    }
    return pattern.data != NULL && arn.data != NULL && matches(pattern, arn, false);
}

/* ---- conditions --------------------------------------------------------------------------- */

/* What the call has under a key; `room` holds what must be put together. */
static struct slice value_of(const struct bus_policy_call *call, enum bus_policy_key key,
                             char room[static 1100])
{
    struct slice path = call->org_path;

    switch (key) {
    case KEY_PRINCIPAL_ORG_ID:
        return slice_cut(&path, '/');
    case KEY_PRINCIPAL_ORG_PATHS:
        if (path.len == 0 || path.len > 1024) {
            return (struct slice){NULL, 0};
        }
        memcpy(room, path.data, path.len);
        room[path.len] = '/';
        return (struct slice){room, path.len + (slice_has_suffix(path, SLICE("/")) ? 0 : 1)};
    case KEY_PRINCIPAL_ACCOUNT:
    case KEY_SOURCE_ACCOUNT:
        return call->account;
    case KEY_SOURCE_ARN:
        return call->source_arn;
    case KEY_EVENT_SOURCE:
        return call->source;
    case KEY_DETAIL_TYPE:
        return call->detail_type;
    case KEY_CREATOR_ACCOUNT:
        return call->creator_account;
    case KEY_BUS_INVOCATION:
        return call->is_sent_by_rule ? SLICE("true") : SLICE("false");
    case KEY_COUNT:
    default:
        return (struct slice){NULL, 0};
    }
}

static bool fits(enum bus_policy_test test, struct slice wanted, struct slice seen)
{
    switch (test) {
    case TEST_STRING_EQUALS:
        return slice_eq(wanted, seen);
    case TEST_STRING_EQUALS_IGNORE_CASE:
    case TEST_BOOL:
        return slice_eq_ignore_case(wanted, seen);
    case TEST_STRING_LIKE:
        return matches(wanted, seen, false);
    case TEST_ARN_LIKE:
        return arn_matches(wanted, seen);
    case TEST_NULL:
    default:
        return false;
    }
}

static bool condition_holds(const struct bus_policy_condition *condition,
                            const struct bus_policy_call *call)
{
    char room[1100];
    const struct slice seen = value_of(call, condition->key, room);
    bool is_hit = false;

    if (condition->test == TEST_NULL) {
        return slice_eq_ignore_case(condition->values.items[0], SLICE("true")) == (seen.len == 0);
    }
    if (seen.len == 0) {
        return condition->is_if_exists || condition->quantifier == QUANTIFIER_ALL ||
               (condition->is_negated && condition->quantifier == QUANTIFIER_NONE);
    }
    for (size_t i = 0; i < condition->values.count && !is_hit; i++) {
        struct slice wanted = condition->values.items[i];

        if (slice_eq_ignore_case(wanted, SLICE("${aws:PrincipalAccount}"))) {
            wanted = call->account;
        }
        is_hit = fits(condition->test, wanted, seen);
    }
    return is_hit != condition->is_negated;
}

/* ---- statements --------------------------------------------------------------------------- */

static bool names_caller(const struct bus_policy_statement *statement, struct slice account)
{
    for (size_t i = 0; i < statement->principals.count; i++) {
        if (slice_eq(statement->principals.items[i], account)) {
            return true;
        }
    }
    return statement->is_anyone;
}

static bool names_one(const struct bus_policy_texts *patterns, struct slice text, bool ignores_case)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (matches(patterns->items[i], text, ignores_case)) {
            return true;
        }
    }
    return false;
}

static bool speaks_of(const struct bus_policy_statement *statement,
                      const struct bus_policy_call *call)
{
    if (!names_caller(statement, call->account) ||
        !names_one(&statement->actions, call->action, true) ||
        !names_one(&statement->resources, call->resource, false)) {
        return false;
    }
    for (size_t i = 0; i < statement->condition_count; i++) {
        if (!condition_holds(&statement->conditions[i], call)) {
            return false;
        }
    }
    return true;
}

enum bus_policy_verdict bus_policy_judge(const struct bus_policy *policy,
                                         const struct bus_policy_call *call)
{
    enum bus_policy_verdict verdict = BUS_POLICY_SILENT;

    for (size_t i = 0; policy != NULL && i < policy->statement_count; i++) {
        if (!speaks_of(&policy->statements[i], call)) {
            continue;
        }
        if (policy->statements[i].denies) {
            return BUS_POLICY_DENIES;
        }
        verdict = BUS_POLICY_ALLOWS;
    }
    return verdict;
}
