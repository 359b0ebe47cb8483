/* SPDX-License-Identifier: Apache-2.0
 *
 * park_answer.h - a question for what is parked, as it goes from worker to worker.
 */
#pragma once

#include "delivery/delivery.h"

struct park_answer {
    struct delivery_park_filter filter;
    bool lifts;
    /* On each worker's thread in its turn; the context is the answer itself. */
    void (*on_park)(void *context, const struct delivery_park *park);
};
