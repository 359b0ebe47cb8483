/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_policy_internal.h - a policy as it is judged: bus_policy.c makes it, bus_policy_judge.c reads
 * it.
 */
#pragma once

#include "accounts/bus_policy.h"

enum bus_policy_key {
    KEY_PRINCIPAL_ORG_ID,
    KEY_PRINCIPAL_ORG_PATHS,
    KEY_PRINCIPAL_ACCOUNT,
    KEY_SOURCE_ACCOUNT,
    KEY_SOURCE_ARN,
    KEY_EVENT_SOURCE,
    KEY_DETAIL_TYPE,
    KEY_CREATOR_ACCOUNT,
    KEY_BUS_INVOCATION,
    KEY_COUNT
};

enum bus_policy_test {
    TEST_STRING_EQUALS,
    TEST_STRING_EQUALS_IGNORE_CASE,
    TEST_STRING_LIKE,
    TEST_ARN_LIKE,
    TEST_BOOL,
    TEST_NULL,
};

/* Over all values of the key in the call; keys here have one value or none. */
enum bus_policy_quantifier { QUANTIFIER_NONE, QUANTIFIER_ALL, QUANTIFIER_ANY };

struct bus_policy_texts {
    const struct slice *items;
    size_t count;
};

struct bus_policy_condition {
    enum bus_policy_key key;
    enum bus_policy_test test;
    enum bus_policy_quantifier quantifier;
    bool is_negated;
    bool is_if_exists;
    struct bus_policy_texts values;
};

struct bus_policy_statement {
    bool denies;
    bool is_anyone;                     /* Principal "*" */
    struct bus_policy_texts principals; /* account ids */
    struct bus_policy_texts actions;    /* with wildcards */
    struct bus_policy_texts resources;  /* with wildcards */
    const struct bus_policy_condition *conditions;
    size_t condition_count;
};

struct bus_policy {
    const struct bus_policy_statement *statements;
    size_t statement_count;
};
