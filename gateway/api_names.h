/* SPDX-License-Identifier: Apache-2.0
 *
 * api_names.h - what callers name: buses and rules, by name or ARN, as documents of the catalog;
 * and pages of long lists.
 */
#pragma once

#include "gateway/api_call.h"

#define API_NO_RULE ((struct slice){NULL, 0})

/* A bus that exists and that the caller may manage. In the call's arena or its input. */
struct api_bus {
    struct slice account;
    struct slice name;
    struct slice key; /* as rules name it: "central" or "ACCOUNT/NAME" */
    bool is_central;
    struct slice rule; /* on it, that access was judged for; empty: the bus itself */
    const struct catalog_document *document; /* NULL: it exists without one */
};

/* The bus that `text` names; empty is the caller's default.  `rule` is the name of the one rule on
 * it that the action will read or change (from the member that this action takes it from), or
 * API_NO_RULE: the bus's policy is asked about that rule, and bus->rule keeps it for
 * api_rule_find() and api_rule_put(), so that no other can be meant.  AccessDeniedException for a
 * bus of another account, or the central one, unless an operator calls; ResourceNotFoundException.
 */
MUST_USE enum err api_bus_find(struct api_call *call, const struct catalog *catalog,
                               struct slice text, struct slice rule, struct api_bus *bus);
/* The same without asking whether it exists: sets `exists`. */
MUST_USE enum err api_bus_look(struct api_call *call, const struct catalog *catalog,
                               struct slice text, struct slice rule, struct api_bus *bus,
                               bool *exists);
struct slice api_bus_arn(struct api_call *call, const struct api_bus *bus);

/* "rule/BUS/NAME": the document's name. */
struct slice api_rule_document(struct api_call *call, const struct api_bus *bus, struct slice name);
struct slice api_rule_arn(struct api_call *call, const struct api_bus *bus, struct slice name);
/* The rule bus->rule, or ResourceNotFoundException. */
MUST_USE enum err api_rule_find(struct api_call *call, const struct catalog *catalog,
                                const struct api_bus *bus, const struct catalog_document **rule);
/* May this caller change it?  ManagedRuleException for what somebody else manages, unless an
 * operator says `force`. */
MUST_USE enum err api_rule_check_manager(struct api_call *call, const json_t *rule,
                                         struct slice name, bool force);

/* A page of a sorted list: how many items, after which key. */
struct api_page {
    size_t limit;
    struct slice after; /* empty: from the start */
};

/* Read Limit and NextToken.  InvalidToken for one that was not given by api_page_end(). */
MUST_USE enum err api_page_read(struct api_call *call, struct api_page *page);
/* Is `key` on this page, or later? */
bool api_page_begins(const struct api_page *page, struct slice key);
/* There is more behind `last`: put NextToken into the output. */
void api_page_end(struct api_call *call, struct slice last);
