/* SPDX-License-Identifier: Apache-2.0
 *
 * number.c - does a decimal number survive the trip through a double?
 *
 * Both the text and the shortest print of its double are brought to one form, digits without zeros
 * at either end and the power of ten behind them, and compared.  Up to fifteen digits of moderate
 * size always survive, so most numbers never reach the printing loop.
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

/* value = 0.DIGITS * 10^exponent; no digits: zero */
struct decimal {
    char digits[NUMBER_DIGITS_MAX];
    size_t digit_count;
    long exponent;
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

/* The mantissa: false if it has more significant digits than any double.  `zeros` holds back zeros
 * that count only when another digit follows. */
static bool read_mantissa(struct slice text, struct decimal *out)
{
    bool is_past_point = false;
    size_t zeros = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.') {
            is_past_point = true;
            continue;
        }
        if (text.data[i] != '0') {
            if (out->digit_count + zeros + 1 > NUMBER_DIGITS_MAX) {
                return false;
            }
            memset(out->digits + out->digit_count, '0', zeros);
            out->digit_count += zeros;
            out->digits[out->digit_count++] = text.data[i];
            zeros = 0;
        } else if (out->digit_count > 0) {
            zeros++;
        }
        if (!is_past_point) {
            out->exponent += out->digit_count > 0 ? 1 : 0;
        } else if (out->digit_count == 0) {
            out->exponent--;
        }
    }
    return true;
}

static bool read_decimal(struct slice text, struct decimal *out)
{
    size_t mantissa_len;

    *out = (struct decimal){.is_negative = text.len > 0 && text.data[0] == '-'};
    if (out->is_negative) {
        text = slice_from(text, 1);
    }
    mantissa_len = MIN_OF(slice_find(text, 'e'), slice_find(text, 'E'));
    if (!read_mantissa(slice_first(text, mantissa_len), out)) {
        return false;
    }
    if (out->digit_count == 0) {
        *out = (struct decimal){.digit_count = 0};
    } else if (mantissa_len < text.len) {
        out->exponent += read_exponent(slice_from(text, mantissa_len + 1));
    }
    return true;
}

static bool decimal_eq(const struct decimal *a, const struct decimal *b)
{
    return a->digit_count == b->digit_count && a->exponent == b->exponent &&
           a->is_negative == b->is_negative && memcmp(a->digits, b->digits, a->digit_count) == 0;
}

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

/* The double nearest to `decimal`; the digits decide, wherever the text had its point. */
static double to_double_slowly(const struct decimal *decimal)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%s0.%.*se%ld", decimal->is_negative ? "-" : "",
                   (int)decimal->digit_count, decimal->digits, decimal->exponent);
    return strtod(text, NULL);
}

enum { DOUBLE_TENS_MAX = 22, WIDE_TENS_MAX = 27 }; /* 10^n is exact up to these */

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

static double to_double(const struct decimal *decimal)
{
    const long tens = decimal->exponent - (long)decimal->digit_count;
    uint64_t integer = 0;
    double value;

    if (tens < -WIDE_TENS_MAX || tens > WIDE_TENS_MAX) {
        return to_double_slowly(decimal);
    }
    for (size_t i = 0; i < decimal->digit_count; i++) {
        integer = integer * 10 + (uint64_t)(decimal->digits[i] - '0');
    }
    if (!scale_widely(integer, tens, &value)) {
        return to_double_slowly(decimal);
    }
    return decimal->is_negative ? -value : value;
}

/* Is `written`, which has more than DIGITS_ALWAYS_EXACT digits, the shortest print of `value`?  So
 * it is if it is the print of its own length, and the print of one digit less is another number:
 * were a print shorter still the same, that one would be, too.  Not for powers of two, to
 * which the doubles below lie nearer than those above. */
static bool is_shortest(const struct decimal *written, double value)
{
    const int precision = (int)written->digit_count - 1;
    struct decimal printed;
    char text[40];
    int len = snprintf(text, sizeof(text), "%.*e", precision, value);

    CHECK(len > 0 && (size_t)len < sizeof(text));
    CHECK(read_decimal((struct slice){text, (size_t)len}, &printed));
    if (!decimal_eq(written, &printed)) {
        return false;
    }
    len = snprintf(text, sizeof(text), "%.*e", precision - 1, value);
    CHECK(len > 0 && (size_t)len < sizeof(text));
    return strtod(text, NULL) != value;
}

enum number_nearness number_nearest(struct slice text, double *value)
{
    struct decimal written;

    if (!read_decimal(text, &written)) {
        return NUMBER_NEVER;
    }
    *value = 0;
    if (written.digit_count == 0) {
        return NUMBER_EQUAL;
    }
    *value = to_double(&written);
    if (written.digit_count <= DIGITS_ALWAYS_EXACT && written.exponent < EXPONENT_ALWAYS_EXACT &&
        written.exponent > -EXPONENT_ALWAYS_EXACT) {
        return NUMBER_EQUAL;
    }
    return isinf(*value) || *value == 0 ? NUMBER_NEVER : NUMBER_NEAR;
}

bool number_read(struct slice text, double *value)
{
    struct decimal written;
    struct decimal shortest;
    const enum number_nearness nearness = number_nearest(text, value);
    int binary;

    if (nearness != NUMBER_NEAR) {
        return nearness == NUMBER_EQUAL;
    }
    CHECK(read_decimal(text, &written));
    if (written.digit_count > DIGITS_ALWAYS_EXACT && fabs(frexp(*value, &binary)) != 0.5) {
        return is_shortest(&written, *value);
    }
    shortest = shortest_decimal(*value);
    return decimal_eq(&written, &shortest);
}
