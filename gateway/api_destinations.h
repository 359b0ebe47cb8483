/* SPDX-License-Identifier: Apache-2.0
 *
 * api_destinations.h - an account's API destinations, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateApiDestination.html and its
 * neighbours.
 */
#pragma once

#include "gateway/api_call.h"

extern const struct api_action api_create_destination;
extern const struct api_action api_update_destination;
extern const struct api_action api_describe_destination;
extern const struct api_action api_delete_destination;
extern const struct api_action api_list_destinations;
