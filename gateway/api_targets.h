/* SPDX-License-Identifier: Apache-2.0
 *
 * api_targets.h - targets of a rule, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html and its
 * neighbours.
 */
#pragma once

#include "gateway/api_call.h"

extern const struct api_action api_put_targets;
extern const struct api_action api_remove_targets;
extern const struct api_action api_list_targets;
extern const struct api_action api_list_rules_of_target;
