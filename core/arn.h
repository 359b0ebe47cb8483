/* SPDX-License-Identifier: Apache-2.0
 *
 * arn.h - the name of an AWS resource, and what it says of it.
 *
 *= https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
 */
#pragma once

#include <stdbool.h>

#include "core/slice.h"

/* "arn:partition:service:region:account:resource"; region and account may be empty, the resource
 * may hold more colons. */
struct arn {
    struct slice partition;
    struct slice service;
    struct slice region;
    struct slice account;
    struct slice resource;
};

/* Split `text`; the parts borrow from it.  False unless it has these parts, the partition and the
 * region of a-z 0-9 and '-' alone (they become part of host names). */
bool arn_split(struct slice text, struct arn *arn);
