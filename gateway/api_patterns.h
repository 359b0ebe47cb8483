/* SPDX-License-Identifier: Apache-2.0
 *
 * api_patterns.h - TestEventPattern.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html
 */
#pragma once

#include "gateway/api_call.h"

extern const struct api_action api_test_pattern;
