/* SPDX-License-Identifier: Apache-2.0
 *
 * api_target.h - a target of the catalog as the EventBridge API shows it.
 */
#pragma once

#include <jansson.h>

/* In the API's spelling (api_spelling.h), without what weir keeps beside the owner's members.  The
 * caller's reference. */
json_t *api_target_from_catalog(json_t *target);
