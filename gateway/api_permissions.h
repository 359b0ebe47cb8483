/* SPDX-License-Identifier: Apache-2.0
 *
 * api_permissions.h - PutPermission and RemovePermission: the policy of a bus.
 */
#pragma once

#include "gateway/api_names.h"

extern const struct api_action api_put_permission;
extern const struct api_action api_remove_permission;

/* May the caller do this action on that bus of somebody else (to bus->rule, whose owner is
 * `creator`; both may be empty)?  Asks the bus's policy; without one, no. */
bool api_permits_foreign(struct api_call *call, const struct catalog *catalog,
                         const struct api_bus *bus, struct slice creator);
