/* SPDX-License-Identifier: Apache-2.0
 *
 * calendar.c - two formulas instead of the C library's calendar.
 *
 * gmtime() shares one buffer between threads, timegm() reads the environment, and neither says
 * where a bad text is bad.  The formulas count years from March, so that the leap day is the last
 * of its year and the lengths of the months before it follow a straight line.
 */
#include "core/calendar.h"

#define DAYS_PER_ERA 146097u /* 400 years, after which the calendar repeats */
#define DAYS_TO_1970 719468u /* from 0000-03-01 to 1970-01-01 */

uint64_t calendar_day(struct calendar_date date)
{
    const unsigned march_year = date.month > 2 ? date.year : date.year - 1;
    const unsigned month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    const unsigned era = march_year / 400;
    const unsigned year_of_era = march_year % 400;
    const unsigned day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    const unsigned day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return (uint64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

struct calendar_date calendar_date_of(uint64_t day)
{
    const unsigned days = (unsigned)day + DAYS_TO_1970;
    const unsigned day_of_era = days % DAYS_PER_ERA;
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned month_from_march = (5 * day_of_year + 2) / 153;
    const unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

    return (struct calendar_date){
        .year = days / DAYS_PER_ERA * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
}

unsigned calendar_month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month < 1 || month > 12) {
        return 0;
    }
    return days[month - 1] + (month == 2 && is_leap ? 1u : 0u);
}

unsigned calendar_weekday(uint64_t day)
{
    return (unsigned)((day + 4) % 7); /* 1970 began on a Thursday */
}
