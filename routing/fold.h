/* SPDX-License-Identifier: Apache-2.0
 *
 * fold.h - comparison without case, as EventBridge compares: not symmetric.
 *
 * For each character of the *pattern* its lower-case and its upper-case form are accepted, and
 * nothing else: pattern "straße" accepts STRASSE, pattern "STRASSE" does not accept straße.
 * Characters outside the basic plane stand for themselves only.
 */
#pragma once

#include "core/slice.h"

bool fold_matches(struct slice pattern, struct slice text);
bool fold_matches_prefix(struct slice pattern, struct slice text);
bool fold_matches_suffix(struct slice pattern, struct slice text);
