/* SPDX-License-Identifier: Apache-2.0
 *
 * zone_rule.c - the TZ string of POSIX, as the footer of a zone file carries it.
 *
 *     CET-1CEST,M3.5.0,M10.5.0/3      standard name and offset, summer name [and offset], and the
 *     <+0330>-3:30                    two changes of each year, each on the clock before it
 *
 * POSIX counts offsets west of Greenwich; here they are turned around at once.  Years run from 1970
 * to 2200: nobody asks beyond.
 *
 *= https://www.rfc-editor.org/rfc/rfc8536#section-3.3
 */
#include "core/calendar.h"
#include "core/zone_internal.h"

enum { YEAR_FIRST = 1970, YEAR_LAST = 2200, SECONDS_PER_DAY = 86400 };

/* ---- reading ------------------------------------------------------------------------------ */

static bool take(struct slice *text, char byte)
{
    if (text->len == 0 || text->data[0] != byte) {
        return false;
    }
    *text = slice_from(*text, 1);
    return true;
}

static bool take_number(struct slice *text, unsigned max, unsigned *value)
{
    size_t digits = 0;

    *value = 0;
    while (digits < text->len && digits < 4 && text->data[digits] >= '0' &&
           text->data[digits] <= '9') {
        *value = *value * 10 + (unsigned)(text->data[digits++] - '0');
    }
    *text = slice_from(*text, digits);
    return digits > 0 && *value <= max;
}

/* "<+0330>" or letters. */
static bool take_name(struct slice *text)
{
    size_t len = 0;

    if (take(text, '<')) {
        len = slice_find(*text, '>');
        *text = slice_from(*text, len);
        return take(text, '>');
    }
    while (len < text->len &&
           ((text->data[len] | 0x20) >= 'a' && (text->data[len] | 0x20) <= 'z')) {
        len++;
    }
    *text = slice_from(*text, len);
    return len >= 3;
}

/* "[+-]hh[:mm[:ss]]" in seconds. */
static bool take_time(struct slice *text, int32_t *seconds)
{
    const bool is_negative = take(text, '-');
    unsigned hours;
    unsigned minutes = 0;
    unsigned rest = 0;

    if (!is_negative) {
        (void)take(text, '+');
    }
    if (!take_number(text, 167, &hours) ||
        (take(text, ':') && (!take_number(text, 59, &minutes) ||
                             (take(text, ':') && !take_number(text, 59, &rest))))) {
        return false;
    }
    *seconds = (int32_t)(hours * 3600 + minutes * 60 + rest) * (is_negative ? -1 : 1);
    return true;
}

static bool take_edge(struct slice *text, struct zone_edge *edge)
{
    edge->time_s = 2 * 3600;
    if (take(text, 'M')) {
        edge->kind = ZONE_EDGE_MONTH;
        if (!take_number(text, 12, &edge->month) || edge->month == 0 || !take(text, '.') ||
            !take_number(text, 5, &edge->week) || edge->week == 0 || !take(text, '.') ||
            !take_number(text, 6, &edge->day)) {
            return false;
        }
    } else {
        edge->kind = take(text, 'J') ? ZONE_EDGE_JULIAN : ZONE_EDGE_DAY;
        if (!take_number(text, 365, &edge->day) ||
            (edge->kind == ZONE_EDGE_JULIAN && edge->day == 0)) {
            return false;
        }
    }
    return !take(text, '/') || take_time(text, &edge->time_s);
}

enum err zone_rule_parse(struct slice text, struct zone_rule *rule)
{
    int32_t west_s;

    *rule = (struct zone_rule){.has_summer = false};
    if (!take_name(&text) || !take_time(&text, &west_s)) {
        return ERR_BAD_VALUE;
    }
    rule->standard_s = -west_s;
    if (text.len == 0) {
        return ERR_OK;
    }
    rule->has_summer = true;
    rule->summer_s = rule->standard_s + 3600;
    if (!take_name(&text)) {
        return ERR_BAD_VALUE;
    }
    if (text.len > 0 && text.data[0] != ',') {
        if (!take_time(&text, &west_s)) {
            return ERR_BAD_VALUE;
        }
        rule->summer_s = -west_s;
    }
    return take(&text, ',') && take_edge(&text, &rule->start) && take(&text, ',') &&
                   take_edge(&text, &rule->end) && text.len == 0
               ? ERR_OK
               : ERR_BAD_VALUE;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* Days since 1970 on which the edge lies in that year. */
static int64_t edge_day(const struct zone_edge *edge, unsigned year)
{
    const int64_t first = (int64_t)calendar_day((struct calendar_date){year, 1, 1});
    int64_t month;
    int64_t day;

    if (edge->kind == ZONE_EDGE_DAY) {
        return first + edge->day;
    }
    if (edge->kind == ZONE_EDGE_JULIAN) {
        const bool is_past_february = edge->day >= 60 && calendar_month_days(year, 2) == 29;

        return first + edge->day - 1 + (is_past_february ? 1 : 0);
    }
    month = (int64_t)calendar_day((struct calendar_date){year, edge->month, 1});
    day = month + (edge->day + 7 - calendar_weekday((uint64_t)month)) % 7 + (edge->week - 1) * 7;
    while (day >= month + calendar_month_days(year, edge->month)) {
        day -= 7;
    }
    return day;
}

/* In UTC; `offset_s` is what holds before it. */
static int64_t edge_moment(const struct zone_edge *edge, unsigned year, int32_t offset_s)
{
    return edge_day(edge, year) * SECONDS_PER_DAY + edge->time_s - offset_s;
}

static unsigned year_of(int64_t utc_s)
{
    const int64_t day = utc_s < 0 ? 0 : utc_s / SECONDS_PER_DAY;
    const unsigned year = calendar_date_of((uint64_t)day).year;

    return MIN_OF(year, (unsigned)YEAR_LAST);
}

int64_t zone_rule_next_change(const struct zone_rule *rule, int64_t utc_s)
{
    const unsigned year = year_of(utc_s);
    int64_t next = INT64_MAX;

    if (!rule->has_summer) {
        return next;
    }
    for (unsigned y = MAX_OF(year - 1, (unsigned)YEAR_FIRST); y <= year + 2; y++) {
        const int64_t moments[] = {edge_moment(&rule->start, y, rule->standard_s),
                                   edge_moment(&rule->end, y, rule->summer_s)};

        for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
            if (moments[i] > utc_s && moments[i] < next) {
                next = moments[i];
            }
        }
    }
    return next;
}

int32_t zone_rule_offset_at(const struct zone_rule *rule, int64_t utc_s)
{
    const unsigned year = year_of(utc_s);
    int64_t latest = INT64_MIN;
    bool is_summer = false;

    if (!rule->has_summer) {
        return rule->standard_s;
    }
    for (unsigned y = MAX_OF(year - 1, (unsigned)YEAR_FIRST); y <= year + 1; y++) {
        const int64_t start = edge_moment(&rule->start, y, rule->standard_s);
        const int64_t end = edge_moment(&rule->end, y, rule->summer_s);

        if (start <= utc_s && start > latest) {
            latest = start;
            is_summer = true;
        }
        if (end <= utc_s && end >= latest) {
            latest = end;
            is_summer = false;
        }
    }
    return is_summer ? rule->summer_s : rule->standard_s;
}
