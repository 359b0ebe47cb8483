/* SPDX-License-Identifier: Apache-2.0
 *
 * step_result.h - what a target answered, as one JSON value that a sequence can keep parts of.
 *
 *     JSON          as it came
 *     XML           what the root element holds: an element with text is a string, one with
 *                   elements an object; elements of one name become an array, and so do children
 *                   that are all called `item` or `member`, as AWS writes most lists
 *     else          a string
 *     nothing       null
 */
#pragma once

#include "core/arena.h"
#include "core/slice.h"

/* Always exactly one JSON value, in the arena or the body itself.  `lists` says which elements of
 * XML are lists, be there one, many or none: "Grants/Grant", each Grant of Grants, or "Rule", all
 * Rules side by side, with a space between; it may be empty. */
struct slice step_result(struct slice body, struct slice lists, struct arena *arena);
