/* SPDX-License-Identifier: Apache-2.0
 *
 * calendar.h - days and dates of the civil calendar, from 1970 on.
 */
#pragma once

#include "core/base.h"

struct calendar_date {
    unsigned year, month, day; /* month 1..12, day 1..31 */
};

/* Days since 1970-01-01 of a date that exists. */
uint64_t calendar_day(struct calendar_date date);
/* The date of that day. */
struct calendar_date calendar_date_of(uint64_t day);
/* 28 to 31; 0 for what is no month. */
unsigned calendar_month_days(unsigned year, unsigned month);
/* 0 Sunday to 6 Saturday. */
unsigned calendar_weekday(uint64_t day);
