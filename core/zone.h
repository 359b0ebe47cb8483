/* SPDX-License-Identifier: Apache-2.0
 *
 * zone.h - a time zone of the IANA database: what clocks on the wall show, and when.
 *
 * Seconds are counted since 1970; "local" ones are what a wall clock in the zone shows, counted as
 * if it were UTC.  A zone is immutable and counted.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

enum { ZONE_NAME_CHARS_MAX = 64, ZONE_FILE_BYTES_MAX = 64 * 1024 };

struct zone;

/* From the bytes of a compiled zone file (RFC 8536, version 2 or later).  ERR_BAD_VALUE with a
 * reason for anything else. */
MUST_USE enum err zone_parse(struct slice bytes, struct zone **zone, struct err_why *why);
/* The zone of that name, such as "Europe/Berlin", from the system's database.  ERR_BAD_VALUE if it
 * is no name or there is no such zone. */
MUST_USE enum err zone_load(struct slice name, struct zone **zone, struct err_why *why);
struct zone *zone_acquire(struct zone *zone);
/* NULL is fine. */
void zone_release(struct zone *zone);

/* Seconds east of UTC in force at that moment. NULL is UTC. */
int32_t zone_offset_at(const struct zone *zone, int64_t utc_s);
/* The first moment at which wall clocks show `local_s`; false if they skip it. */
bool zone_to_utc(const struct zone *zone, int64_t local_s, int64_t *utc_s);
