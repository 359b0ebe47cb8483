/* SPDX-License-Identifier: Apache-2.0
 *
 * api_target.h - a target as the EventBridge API spells it, and as the catalog does.
 *
 * The catalog's names are those of the API in snake case, so one is made of the other by rule; the
 * catalog's check decides what a target may have.
 */
#pragma once

#include <jansson.h>

/* `{"Id","Arn","RetryPolicy":{…}}` to `{"id","arn","retry_policy":{…}}`.  Nulls are left out, and
 * what the API would not spell so; keys that a caller chose (of maps) stay as they are.  The
 * caller's reference. */
json_t *api_target_to_catalog(json_t *target);
/* The other way; what weir keeps beside the owner's members is left out. */
json_t *api_target_from_catalog(json_t *target);
