/* SPDX-License-Identifier: Apache-2.0
 *
 * h1_answer.h - the head of an HTTP/1.1 answer.
 */
#pragma once

#include "gateway/request.h"

/* Status line and fields, the empty line included, in `arena`.  `is_last` says "connection: close".
 */
struct slice h1_answer_head(struct arena *arena, const struct response *response, struct slice date,
                            bool is_last);
