/* SPDX-License-Identifier: Apache-2.0
 *
 * number.c - does a decimal number survive the trip through a double?
 *
 * Both the text and the shortest print of its double are brought to one form, an integer without
 * zeros at its end and the power of ten behind it, and compared.  Up to fifteen digits of moderate
 * size always survive, so most numbers never reach the printing loop.  Of those with sixteen or
 * seventeen, two questions in exact arithmetic decide: does one digit less do, and is it the
 * nearest of its length?
 *
 * The double itself comes from an integer of at most seventeen digits and an exact power of ten, in
 * one operation: in double where both are exact there, else in the wider format of x86, whose
 * eleven more bits decide the rounding unless they stand exactly half-way.  What is left goes to
 * strtod().
 *
 * "Shortest" is meant as Java's Double.toString means it: never fewer than two digits, which only
 * shows at the smallest doubles (4.9e-324 is comparable, 5e-324 is not).
 *
 * Memory: none; a number longer than NUMBER_DIGITS_MAX significant digits is not comparable.
 */
#include "routing/number.h"

#include <float.h>
#include <math.h>

#include "core/check.h"

enum {
    NUMBER_DIGITS_MAX = 17, /* no double needs more */
    DIGITS_ALWAYS_EXACT = 15,
    EXPONENT_ALWAYS_EXACT = 280,
    EXPONENT_CAP = 1000000,
};

/* value = integer * 10^tens; the integer ends in no zero, unless it is 0 */
struct decimal {
    uint64_t integer;
    long tens;
    int digit_count; /* of the integer; 0: zero */
    bool is_negative;
};

/* "e+07": the number behind the letter, capped. */
static long read_exponent(struct slice text)
{
    bool is_negative = false;
    long value = 0;

    if (text.len > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        is_negative = text.data[0] == '-';
        text = slice_from(text, 1);
    }
    for (size_t i = 0; i < text.len && value < EXPONENT_CAP; i++) {
        value = value * 10 + (text.data[i] - '0');
    }
    return is_negative ? -value : value;
}

static const uint64_t integer_tens[NUMBER_DIGITS_MAX + 2] = {
    1u,
    10u,
    100u,
    1000u,
    10000u,
    100000u,
    1000000u,
    10000000u,
    100000000u,
    1000000000u,
    10000000000u,
    100000000000u,
    1000000000000u,
    10000000000000u,
    100000000000000u,
    1000000000000000u,
    10000000000000000u,
    100000000000000000u,
    1000000000000000000u,
};

/* Read a number; false if it has more significant digits than any double.  `zeros` holds back
 * zeros that count only when another digit follows. */
static bool read_decimal(struct slice text, struct decimal *out)
{
    struct decimal decimal = {.is_negative = text.len > 0 && text.data[0] == '-'};
    size_t i = decimal.is_negative ? 1 : 0;
    bool is_past_point = false;
    long zeros = 0;

    for (; i < text.len; i++) {
        const char byte = text.data[i];

        if (byte == '.') {
            is_past_point = true;
        } else if (byte == '0') {
            zeros += decimal.digit_count > 0 ? 1 : 0;
            decimal.tens -= is_past_point ? 1 : 0;
        } else if (byte >= '1' && byte <= '9') {
            decimal.digit_count += (int)MIN_OF(zeros, NUMBER_DIGITS_MAX) + 1;
            if (decimal.digit_count > NUMBER_DIGITS_MAX) {
                return false;
            }
            decimal.integer = decimal.integer * integer_tens[zeros + 1] + (uint64_t)(byte - '0');
            zeros = 0;
            decimal.tens -= is_past_point ? 1 : 0;
        } else {
            break; /* an exponent */
        }
    }
    if (decimal.digit_count == 0) {
        *out = (struct decimal){.digit_count = 0};
        return true;
    }
    decimal.tens += zeros;
    if (i < text.len) {
        decimal.tens += read_exponent(slice_from(text, i + 1));
    }
    *out = decimal;
    return true;
}

static bool decimal_eq(const struct decimal *a, const struct decimal *b)
{
    return a->integer == b->integer && a->tens == b->tens && a->is_negative == b->is_negative;
}

/* ---- to a double --------------------------------------------------------------------------- */

static double to_double_slowly(const struct decimal *decimal)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%s%" PRIu64 "e%ld", decimal->is_negative ? "-" : "",
                   decimal->integer, decimal->tens);
    return strtod(text, NULL);
}

enum { WIDE_TENS_MAX = 27 }; /* 10^n is exact up to this in the wider format */

#if LDBL_MANT_DIG == 64
/* The integer times or over a power of ten, rounded once.  False if rounding to the wider format
 * first could have decided it. */
static bool scale_widely(uint64_t integer, long tens, double *value)
{
    static const long double powers[WIDE_TENS_MAX + 1] = {
        1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
        1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
        1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L,
    };
    const long double wide =
        tens < 0 ? (long double)integer / powers[-tens] : (long double)integer * powers[tens];
    uint64_t mantissa;

    memcpy(&mantissa, &wide, sizeof(mantissa));
    *value = (double)wide;
    return (mantissa & 0x7ff) != 0x400;
}
#else
static bool scale_widely(uint64_t integer, long tens, double *value)
{
    (void)integer;
    (void)tens;
    (void)value;
    return false;
}
#endif

/* The double nearest to `decimal`. */
static double to_double(const struct decimal *decimal)
{
    double value;

    if (decimal->tens < -WIDE_TENS_MAX || decimal->tens > WIDE_TENS_MAX ||
        !scale_widely(decimal->integer, decimal->tens, &value)) {
        return to_double_slowly(decimal);
    }
    return decimal->is_negative ? -value : value;
}

/* ---- comparable? --------------------------------------------------------------------------- */

/* The shortest decimal that reads back as `value`. */
static struct decimal shortest_decimal(double value)
{
    struct decimal shortest;
    char text[40];

    for (int precision = 1;; precision++) {
        const int len = snprintf(text, sizeof(text), "%.*e", precision, value);

        CHECK(len > 0 && (size_t)len < sizeof(text));
        CHECK(precision < NUMBER_DIGITS_MAX);
        if (strtod(text, NULL) == value) {
            CHECK(read_decimal((struct slice){text, (size_t)len}, &shortest));
            return shortest;
        }
    }
}

/* Is the integer the one nearest to `value` (positive) over 10^tens?  Asked of exact numbers: a
 * double is an integer of 53 bits times a power of two, and times 5^-tens it still fits 128 bits.
 * NUMBER_NEAR: that is not so, or it is a tie; printing must tell. */
static enum number_nearness ask_nearest_integer(const struct decimal *decimal, double value)
{
    int binary;
    uint64_t five = 1;
    const uint64_t mantissa = (uint64_t)ldexp(frexp(value, &binary), 53);
    const long shift = -(binary - 53L - decimal->tens);
    unsigned __int128 product;
    unsigned __int128 half;

    if (decimal->tens > 0 || decimal->tens < -WIDE_TENS_MAX || shift < 1 || shift > 120) {
        return NUMBER_NEAR;
    }
    for (long i = decimal->tens; i < 0; i++) {
        five *= 5;
    }
    product = (unsigned __int128)mantissa * five;
    half = (unsigned __int128)1 << (shift - 1);
    if ((product & ((half << 1) - 1)) == half) {
        return NUMBER_NEAR;
    }
    return (product + half) >> shift == decimal->integer ? NUMBER_EQUAL : NUMBER_NEVER;
}

/* Does some decimal of one digit less read back as `value`?  The two neighbours of `written` are
 * the only ones that could. */
static bool is_too_long(const struct decimal *written, double value)
{
    struct decimal shorter = {.integer = written->integer / 10,
                              .tens = written->tens + 1,
                              .is_negative = written->is_negative};

    if (to_double(&shorter) == value) {
        return true;
    }
    shorter.integer++;
    return to_double(&shorter) == value;
}

enum number_nearness number_nearest(struct slice text, double *value)
{
    struct decimal written;
    long magnitude;

    if (!read_decimal(text, &written)) {
        return NUMBER_NEVER;
    }
    *value = 0;
    if (written.digit_count == 0) {
        return NUMBER_EQUAL;
    }
    *value = to_double(&written);
    magnitude = written.tens + written.digit_count;
    if (written.digit_count <= DIGITS_ALWAYS_EXACT && magnitude < EXPONENT_ALWAYS_EXACT &&
        magnitude > -EXPONENT_ALWAYS_EXACT) {
        return NUMBER_EQUAL;
    }
    return isinf(*value) || *value == 0 ? NUMBER_NEVER : NUMBER_NEAR;
}

bool number_read(struct slice text, double *value)
{
    struct decimal written;
    struct decimal shortest;
    enum number_nearness nearness = number_nearest(text, value);
    int binary;

    if (nearness != NUMBER_NEAR) {
        return nearness == NUMBER_EQUAL;
    }
    CHECK(read_decimal(text, &written));
    /* not for powers of two, to which the doubles below lie nearer than those above */
    if (written.digit_count > DIGITS_ALWAYS_EXACT && fabs(frexp(*value, &binary)) != 0.5) {
        if (is_too_long(&written, *value)) {
            return false;
        }
        nearness = ask_nearest_integer(&written, fabs(*value));
        if (nearness != NUMBER_NEAR) {
            return nearness == NUMBER_EQUAL;
        }
    }
    shortest = shortest_decimal(*value);
    return decimal_eq(&written, &shortest);
}
