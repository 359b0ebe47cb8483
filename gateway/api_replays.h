/* SPDX-License-Identifier: Apache-2.0
 *
 * api_replays.h - StartReplay and what belongs to it.
 */
#pragma once

#include "gateway/api_call.h"

extern const struct api_action api_start_replay;
extern const struct api_action api_describe_replay;
extern const struct api_action api_cancel_replay;
extern const struct api_action api_list_replays;
