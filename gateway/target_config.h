/* SPDX-License-Identifier: Apache-2.0
 *
 * target_config.h - a target's document read into what the routing floor knows.
 */
#pragma once

#include <jansson.h>

#include "core/arena.h"
#include "routing/rule.h"

/* A whole target of a rule. */
MUST_USE enum err target_config_read(const json_t *document, struct arena *arena,
                                     struct rule_target *target, struct err_why *why);
/* What is called, as whom and with what: the part that a step's target has, too. */
MUST_USE enum err target_config_read_call(const json_t *document, struct arena *arena,
                                          struct rule_target *target, struct err_why *why);
/* Its retry budget; NULL: the usual one. */
void target_config_read_retry(const json_t *retry, struct rule_target *target);
