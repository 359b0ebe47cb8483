/* SPDX-License-Identifier: Apache-2.0
 *
 * moment.c - reading clocks, and the texts of time.
 *
 * Time: this file alone reads clocks; everybody else is told.
 */
#include "core/moment.h"

#include "core/calendar.h"
#include "core/check.h"

#define MS_PER_SECOND UINT64_C(1000)
#define MS_PER_MINUTE (60 * MS_PER_SECOND)
#define MS_PER_HOUR   (60 * MS_PER_MINUTE)
#define MS_PER_DAY    (24 * MS_PER_HOUR)

#define LAST_DAY       2932896u /* 9999-12-31 */
#define LAST_MOMENT_MS (LAST_DAY * MS_PER_DAY + MS_PER_DAY - 1)

struct civil {
    unsigned year, month, day, hour, minute, second;
};

/* --- clocks --- */

static uint64_t read_clock(clockid_t clock, uint64_t units_per_second)
{
    struct timespec now;

    CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * units_per_second +
           (uint64_t)now.tv_nsec / (1000000000u / units_per_second);
}

uint64_t moment_now_ms(void)
{
    return read_clock(CLOCK_REALTIME, 1000);
}

uint64_t moment_steady_ms(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000);
}

uint64_t moment_steady_us(void)
{
    return read_clock(CLOCK_MONOTONIC, 1000000);
}

/* --- the calendar --- */

static struct civil civil_of(uint64_t ms)
{
    const struct calendar_date date = calendar_date_of(ms / MS_PER_DAY);
    const unsigned second_of_day = (unsigned)(ms % MS_PER_DAY / MS_PER_SECOND);

    return (struct civil){
        .year = date.year,
        .month = date.month,
        .day = date.day,
        .hour = second_of_day / 3600,
        .minute = second_of_day / 60 % 60,
        .second = second_of_day % 60,
    };
}

static bool exists(const struct civil *civil)
{
    return civil->day >= 1 && civil->day <= calendar_month_days(civil->year, civil->month) &&
           civil->hour <= 23 && civil->minute <= 59 && civil->second <= 59;
}

/* --- texts --- */

/* `value` as exactly `width` digits at `out`. */
static void put_digits(char *out, unsigned value, size_t width)
{
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

void moment_to_iso(uint64_t now_ms, char out[static MOMENT_ISO_CHARS])
{
    const struct civil civil = civil_of(now_ms);

    CHECK(now_ms <= LAST_MOMENT_MS);
    memcpy(out, "0000-00-00T00:00:00Z", MOMENT_ISO_CHARS);
    put_digits(out, civil.year, 4);
    put_digits(out + 5, civil.month, 2);
    put_digits(out + 8, civil.day, 2);
    put_digits(out + 11, civil.hour, 2);
    put_digits(out + 14, civil.minute, 2);
    put_digits(out + 17, civil.second, 2);
}

void moment_to_amz(uint64_t now_ms, char out[static MOMENT_AMZ_CHARS])
{
    const struct civil civil = civil_of(now_ms);

    CHECK(now_ms <= LAST_MOMENT_MS);
    memcpy(out, "00000000T000000Z", MOMENT_AMZ_CHARS);
    put_digits(out, civil.year, 4);
    put_digits(out + 4, civil.month, 2);
    put_digits(out + 6, civil.day, 2);
    put_digits(out + 9, civil.hour, 2);
    put_digits(out + 11, civil.minute, 2);
    put_digits(out + 13, civil.second, 2);
}

/* Take exactly `width` digits off the front. */
static bool take_digits(struct slice *text, size_t width, unsigned *value)
{
    uint64_t number;

    if (text->len < width || !slice_to_u64(slice_first(*text, width), &number)) {
        return false;
    }
    *value = (unsigned)number;
    *text = slice_from(*text, width);
    return true;
}

static bool take_byte(struct slice *text, char byte)
{
    if (text->len == 0 || text->data[0] != byte) {
        return false;
    }
    *text = slice_from(*text, 1);
    return true;
}

/* An optional fraction of a second; what is finer than a millisecond is cut off. */
static bool take_fraction(struct slice *text, unsigned *ms)
{
    unsigned weight = 100;
    unsigned digit;

    *ms = 0;
    if (!take_byte(text, '.')) {
        return true;
    }
    if (!take_digits(text, 1, &digit)) {
        return false;
    }
    do {
        *ms += digit * weight;
        weight /= 10;
    } while (take_digits(text, 1, &digit));
    return true;
}

/* Z or an offset, in milliseconds east of UTC. */
static bool take_offset(struct slice *text, int64_t *offset_ms)
{
    const bool is_west = text->len > 0 && text->data[0] == '-';
    unsigned hours;
    unsigned minutes;

    *offset_ms = 0;
    if (take_byte(text, 'Z') || take_byte(text, 'z')) {
        return true;
    }
    if (!take_byte(text, '+') && !take_byte(text, '-')) {
        return false;
    }
    if (!take_digits(text, 2, &hours) || !take_byte(text, ':') || !take_digits(text, 2, &minutes) ||
        hours > 23 || minutes > 59) {
        return false;
    }
    *offset_ms = (int64_t)(hours * MS_PER_HOUR + minutes * MS_PER_MINUTE);
    if (is_west) {
        *offset_ms = -*offset_ms;
    }
    return true;
}

static bool ms_of(const struct civil *civil, unsigned ms_of_second, int64_t offset_ms, uint64_t *ms)
{
    int64_t sum;

    if (civil->year < 1970 || !exists(civil)) {
        return false;
    }
    sum = (int64_t)(calendar_day((struct calendar_date){civil->year, civil->month, civil->day}) *
                        MS_PER_DAY +
                    civil->hour * MS_PER_HOUR + civil->minute * MS_PER_MINUTE +
                    civil->second * MS_PER_SECOND + ms_of_second) -
          offset_ms;
    if (sum < 0 || (uint64_t)sum > LAST_MOMENT_MS) {
        return false;
    }
    *ms = (uint64_t)sum;
    return true;
}

enum err moment_from_iso(struct slice text, uint64_t *ms)
{
    struct civil civil;
    unsigned ms_of_second;
    int64_t offset_ms;
    const bool is_read =
        take_digits(&text, 4, &civil.year) && take_byte(&text, '-') &&
        take_digits(&text, 2, &civil.month) && take_byte(&text, '-') &&
        take_digits(&text, 2, &civil.day) && (take_byte(&text, 'T') || take_byte(&text, 't')) &&
        take_digits(&text, 2, &civil.hour) && take_byte(&text, ':') &&
        take_digits(&text, 2, &civil.minute) && take_byte(&text, ':') &&
        take_digits(&text, 2, &civil.second) && take_fraction(&text, &ms_of_second) &&
        take_offset(&text, &offset_ms) && text.len == 0;

    return is_read && ms_of(&civil, ms_of_second, offset_ms, ms) ? ERR_OK : ERR_BAD_VALUE;
}

enum err moment_from_amz(struct slice text, uint64_t *ms)
{
    struct civil civil;
    const bool is_read =
        take_digits(&text, 4, &civil.year) && take_digits(&text, 2, &civil.month) &&
        take_digits(&text, 2, &civil.day) && take_byte(&text, 'T') &&
        take_digits(&text, 2, &civil.hour) && take_digits(&text, 2, &civil.minute) &&
        take_digits(&text, 2, &civil.second) && take_byte(&text, 'Z') && text.len == 0;

    return is_read && ms_of(&civil, 0, 0, ms) ? ERR_OK : ERR_BAD_VALUE;
}

enum err moment_parse_span(struct slice text, uint64_t *ms)
{
    static const struct {
        struct slice suffix;
        uint64_t ms;
    } units[] = {
        {SLICE_INIT("ms"), 1},
        {SLICE_INIT("s"), MS_PER_SECOND},
        {SLICE_INIT("m"), MS_PER_MINUTE},
        {SLICE_INIT("h"), MS_PER_HOUR},
        {SLICE_INIT("d"), MS_PER_DAY},
    };
    uint64_t count;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_has_suffix(text, units[i].suffix)) {
            text = slice_first(text, text.len - units[i].suffix.len);
            return slice_to_u64(text, &count) && !__builtin_mul_overflow(count, units[i].ms, ms)
                       ? ERR_OK
                       : ERR_BAD_VALUE;
        }
    }
    return ERR_BAD_VALUE;
}
