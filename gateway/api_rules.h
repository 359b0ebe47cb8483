/* SPDX-License-Identifier: Apache-2.0
 *
 * api_rules.h - rules of a bus, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html and its neighbours.
 */
#pragma once

#include "gateway/api_call.h"
#include "gateway/api_names.h"

extern const struct api_action api_put_rule;
extern const struct api_action api_delete_rule;
extern const struct api_action api_describe_rule;
extern const struct api_action api_list_rules;
extern const struct api_action api_enable_rule;
extern const struct api_action api_disable_rule;

/* Put `document` (the caller's reference) as bus->rule: the caller's own when it is new, given
 * uids, checked as a catalog file is.  ValidationException with the first mistake. */
MUST_USE enum err api_rule_put(struct api_call *call, const struct catalog *catalog,
                               const struct api_bus *bus, json_t *document,
                               struct catalog_edit *edit);
/* The input's EventPattern, if it has one: InvalidEventPatternException. */
MUST_USE enum err api_check_pattern(struct api_call *call, const struct catalog *catalog);
/* Every rule of the bus, sorted by name; in the call's arena. */
const struct catalog_document **api_rules_of(struct api_call *call, const struct catalog *catalog,
                                             const struct api_bus *bus, size_t *count);
