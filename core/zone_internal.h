/* SPDX-License-Identifier: Apache-2.0
 *
 * zone_internal.h - the rule at the end of a zone file, which holds for all time after its table.
 */
#pragma once

#include "core/zone.h"

enum zone_edge_kind {
    ZONE_EDGE_MONTH,  /* Mm.w.d: weekday d of week w, 5 the last, of month m */
    ZONE_EDGE_JULIAN, /* Jn: day 1..365, February 29 is never counted */
    ZONE_EDGE_DAY,    /* n: day 0..365, February 29 is */
};

/* When clocks change in a year. */
struct zone_edge {
    enum zone_edge_kind kind;
    unsigned month, week, day;
    int32_t time_s; /* on the wall, from the midnight that begins the day; may be negative */
};

struct zone_rule {
    int32_t standard_s, summer_s; /* offsets */
    bool has_summer;
    struct zone_edge start, end;
};

/* "CET-1CEST,M3.5.0,M10.5.0/3" */
MUST_USE enum err zone_rule_parse(struct slice text, struct zone_rule *rule);
int32_t zone_rule_offset_at(const struct zone_rule *rule, int64_t utc_s);
/* The first change after `utc_s`, or INT64_MAX. */
int64_t zone_rule_next_change(const struct zone_rule *rule, int64_t utc_s);
