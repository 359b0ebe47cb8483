/* SPDX-License-Identifier: Apache-2.0
 *
 * api_buses.h - an account's buses, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html and its
 * neighbours.
 */
#pragma once

#include "gateway/api_call.h"
#include "gateway/api_names.h"

extern const struct api_action api_create_bus;
extern const struct api_action api_update_bus;
extern const struct api_action api_delete_bus;
extern const struct api_action api_describe_bus;
extern const struct api_action api_list_buses;

/* A new document for the bus; the caller's reference. */
json_t *api_bus_document(const struct api_bus *bus);
/* Put `document` (the caller's reference) as that bus, the caller's own when it is new,
 * checked. */
MUST_USE enum err api_bus_put(struct api_call *call, const struct catalog *catalog,
                              const struct api_bus *bus, json_t *document,
                              struct catalog_edit *edit);
