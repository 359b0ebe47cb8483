/* SPDX-License-Identifier: Apache-2.0
 *
 * test_number.c - which numbers compare by value, and by which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/number.h"

static void test_numbers_that_survive_a_double_compare_by_value(void **state)
{
    static const struct {
        const char *text;
        double value;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"-0.0", 0},
        {"0e999999999999999999", 0},
        {"0.000e-5", 0},
        {"300", 300},
        {"300.0", 300},
        {"3e2", 300},
        {"3.0E+2", 300},
        {"30000e-2", 300},
        {"0.3e3", 300},
        {"-1.5", -1.5},
        {"0.1", 0.1},
        {"0.10", 0.1},
        {"0.30000000000000004", 0.1 + 0.2},
        {"123456789012345", 123456789012345},
        {"9007199254740992", 9007199254740992},
        {"9007199254740994", 9007199254740994},
        {"1000000000000000000000000", 1e24},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"-1.7976931348623157e308", -1.7976931348623157e308},
        {"2.2250738585072014E-308", 2.2250738585072014E-308},
        {"4.9e-324", 4.9e-324},
        {"0.000000000000000000000000000000000000000000000000000000000000000000000000001", 1e-75},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double value = -99;

        if (!number_read(slice_of(rows[i].text), &value) || value != rows[i].value) {
            fail_msg("%s: %.17g, expected %.17g", rows[i].text, value, rows[i].value);
        }
    }
}

static void test_numbers_that_a_double_changes_do_not_compare(void **state)
{
    static const char *const rows[] = {
        "9007199254740993",
        "0.1000000000000000055",
        "0.10000000000000001",
        "1e400",
        "-1e400",
        "1e999999999999999999999",
        "1e-400",
        "1e-999999999999999999999",
        "5e-324",
        "3e-324",
        "1.7976931348623158e308",
        "123456789012345678",
        "3.14159265358979323846",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double value;

        if (number_read(slice_of(rows[i]), &value)) {
            fail_msg("%s compares as %.17g", rows[i], value);
        }
    }
}

/* The digits of a print, without point, sign, zeros at the ends and exponent. */
static struct slice digits_of(const char *text, char digits[static 64])
{
    size_t len = 0;

    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text >= '0' && *text <= '9' && (len > 0 || *text != '0')) {
            digits[len++] = *text;
        }
    }
    while (len > 0 && digits[len - 1] == '0') {
        len--;
    }
    return (struct slice){digits, len};
}

/* The definition: the first print, from two digits on, that reads back as the same double. */
static bool is_shortest_print(const char *text)
{
    const double value = strtod(text, NULL);
    char written[64], digits[64], shortest[64];
    int precision = 0;

    do {
        precision++;
        (void)snprintf(shortest, sizeof(shortest), "%.*e", precision, value);
    } while (strtod(shortest, NULL) != value);
    return slice_eq(digits_of(text, written), digits_of(shortest, digits));
}

/* Goal:   short cuts of reading give the definition's answer, and the nearest double.
 * Method: random doubles near each other's places, printed with 1 to 18 digits. */
static void test_short_cuts_agree_with_the_definition(void **state)
{
    uint64_t random = 42;

    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        const int precision = (int)(round % 18);
        char text[64];
        double value, expected;

        random = random * 6364136223846793005u + 1442695040888963407u;
        (void)snprintf(text, sizeof(text), round % 3 == 0 ? "%.*e" : "%.*f", precision,
                       (double)(int64_t)random / (double)(1 << (round % 30)) /
                           (round % 5 == 0 ? 1e9 : 9e12));
        if (round % 7 == 0) {
            (void)snprintf(text, sizeof(text), "%.*e", precision,
                           1.0 / (double)((uint64_t)1 << (random >> 58)));
        }
        expected = strtod(text, NULL);
        if (number_read(slice_of(text), &value) != (expected == 0 || is_shortest_print(text))) {
            fail_msg("%s", text);
        }
        if (number_nearest(slice_of(text), &value) != NUMBER_NEVER && value != expected) {
            fail_msg("%s is %.17g", text, value);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_that_survive_a_double_compare_by_value),
        cmocka_unit_test(test_numbers_that_a_double_changes_do_not_compare),
        cmocka_unit_test(test_short_cuts_agree_with_the_definition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
