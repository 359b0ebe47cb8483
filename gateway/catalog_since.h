/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_since.h - since when a rule or schedule is in force as it is: what it counts from, and
 * before which nothing of it was due.
 */
#pragma once

#include <stdint.h>

#include "gateway/catalog.h"

/* Give `document` its "since_ms" if it has a schedule and is enabled: that of `old` (may be NULL)
 * where both come due at the same moments, else `now_ms`. */
void catalog_since_give(json_t *document, const json_t *old, uint64_t now_ms);
