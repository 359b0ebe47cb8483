/* SPDX-License-Identifier: Apache-2.0
 *
 * api_spelling.h - members as the EventBridge API spells them, and as the catalog does.
 *
 * The catalog's names are those of the API in snake case, so one is made of the other by rule; the
 * catalog's check decides what an object may have.
 */
#pragma once

#include <jansson.h>

/* `{"Id","Arn","RetryPolicy":{…}}` to `{"id","arn","retry_policy":{…}}`.  Nulls are left out, and
 * what the API would not spell so; keys that a caller chose (of maps) stay as they are.  The
 * caller's reference; NULL for NULL. */
json_t *api_to_catalog(json_t *value);
/* The other way. */
json_t *api_from_catalog(json_t *value);
