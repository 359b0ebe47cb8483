/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_name.h - how callers of the EventBridge API name a bus: plainly, or by its ARN.
 */
#pragma once

#include <stdbool.h>

#include "core/slice.h"

struct bus_name {
    struct slice account; /* of an ARN; else empty: the caller's own */
    struct slice name;    /* "default" when the text was empty */
};

/* Read "default", a name, or "arn:PARTITION:events:REGION:ACCOUNT:event-bus/NAME"; the slices are
 * parts of `text`.  False: it begins like an ARN and is none of a bus. */
bool bus_name_read(struct slice text, struct bus_name *name);
