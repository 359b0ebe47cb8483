/* SPDX-License-Identifier: Apache-2.0
 *
 * api_connections.h - an account's connections, by the EventBridge API.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateConnection.html and its
 * neighbours.
 */
#pragma once

#include "gateway/api_call.h"

extern const struct api_action api_create_connection;
extern const struct api_action api_update_connection;
extern const struct api_action api_describe_connection;
extern const struct api_action api_delete_connection;
extern const struct api_action api_deauthorize_connection;
extern const struct api_action api_list_connections;
