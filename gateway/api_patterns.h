/* SPDX-License-Identifier: Apache-2.0
 *
 * api_patterns.h - TestEventPattern.
 *
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html
 */
#pragma once

#include "gateway/api_call.h"

struct api_call;
struct pattern;

/* Compile a pattern of this call: EventBridge's language, and with the header
 * `x-weir-extensions: in-list` weir's own operator, of lists that `catalog` has (NULL: that are in
 * force).  The caller's reference.  An error comes from api_fail(). */
MUST_USE enum err api_compile_pattern(struct api_call *call, const struct catalog *catalog,
                                      struct slice text, struct pattern **pattern);

extern const struct api_action api_test_pattern;
