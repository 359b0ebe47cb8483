/* SPDX-License-Identifier: Apache-2.0
 *
 * step_config.h - the steps of a sequence, as people write them in the catalog.
 *
 *     "steps": [{"name": "context", "target": {"arn": "...", "role_arn": "...", "input": "..."},
 *                "when": {"event": {...}, "steps": {...}},
 *                "keep": "$.path"  or  {"tags": "$.path", "owner": {"path": "$.path", "where":
 *                         {...}, "take": "$.path", "as": "text"}, ...},
 *                "retry": {"maximum_retry_attempts": 3, "maximum_event_age_in_seconds": 5},
 *                "on_failure": "stop" or "continue"}]
 */
#pragma once

#include <jansson.h>

#include "gateway/catalog_check_internal.h"
#include "routing/rule.h"

/* The meaning of steps whose shape is right; each mistake with its path. */
void step_config_check(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                       bool is_central);
/* Fill target->steps, in the rule's arena, from a document that was checked; what is shared (uid,
 * id, queue) is copied from the target. */
MUST_USE enum err step_config_read(const json_t *document, struct arena *arena,
                                   struct rule_target *target, struct err_why *why);
