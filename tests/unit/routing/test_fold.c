/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fold.c - case is folded from the pattern's side, character by character.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/fold.h"

static void test_either_case_of_each_character_is_accepted(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"abc", "ABC", true},
        {"ABC", "abc", true},
        {"aBc", "AbC", true},
        {"abc", "abcd", false},
        {"a1-_", "A1-_", true},
        {"[", "{", false},
        {"@", "`", false},
        {"\xc3\xa9", "\xc3\x89", true}, /* é É */
        {"\xc3\x89", "\xc3\xa9", true}, /* É é */
        {"\xe2\x84\xaa", "k", true},    /* Kelvin sign, k */
        {"k", "\xe2\x84\xaa", false},   /* not the reverse */
        {"K", "\xe2\x84\xaa", false},   /* nor so */
        {"stra\xc3\x9f"
         "e",
         "STRASSE", true}, /* straße */
        {"stra\xc3\x9f"
         "e",
         "stra\xc3\x9f"
         "e",
         true},
        {"stra\xc3\x9f"
         "e",
         "strasse", false}, /* ss is no form of ß */
        {"STRASSE",
         "stra\xc3\x9f"
         "e",
         false},
        {"\xc4\xb1", "I", true}, /* dotless i */
        {"I", "\xc4\xb1", false},
        {"\xce\xa3", "\xcf\x83", true},                  /* Σ σ */
        {"\xce\xa3", "\xcf\x82", false},                 /* Σ, final sigma */
        {"\xc7\x85", "\xc7\x86", true},                  /* Dž in title case: its lower case, */
        {"\xc7\x85", "\xc7\x84", true},                  /* its upper case, */
        {"\xc7\x85", "\xc7\x85", false},                 /* but not itself */
        {"\xc4\xb0", "i\xcc\x87", true},                 /* İ lowered is two characters */
        {"\xe1\xba\x9e", "\xc3\x9f", true},              /* ẞ ß */
        {"\xe2\xb1\xa5", "\xc8\xba", true},              /* ⱥ Ⱥ: 3 and 2 bytes */
        {"\xf0\x90\x90\xa8", "\xf0\x90\x90\xa8", true},  /* outside the basic plane: itself */
        {"\xf0\x90\x90\xa8", "\xf0\x90\x90\x80", false}, /* but no case */
        {"\xed\xa0\x80", "\xed\xa0\x80", true},          /* a lone surrogate */
        {"\xe2\x82\xac", "\xe2\x82\xac", true},          /* € has no case */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (fold_matches(slice_of(rows[i].pattern), slice_of(rows[i].text)) != rows[i].matches) {
            fail_msg("row %zu: %s on %s", i, rows[i].pattern, rows[i].text);
        }
    }
}

static void test_the_front_and_the_back_of_a_text(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool is_prefix;
        bool is_suffix;
    } rows[] = {
        {"", "abc", true, true},
        {"AB", "abc", true, false},
        {"BC", "abc", false, true},
        {"abcd", "abc", false, false},
        {"\xc3\x9f", "SSx", true, false},
        {"\xc3\x9f", "xSS", false, true},
        {"\xc3\x9f", "xS", false, false},
        {"\xc3\xa9"
         "a",
         "x\xc3\x89"
         "A",
         false, true},
        {"\xc4\xb0", "i\xcc\x87", true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct slice pattern = slice_of(rows[i].pattern);
        const struct slice text = slice_of(rows[i].text);

        if (fold_matches_prefix(pattern, text) != rows[i].is_prefix ||
            fold_matches_suffix(pattern, text) != rows[i].is_suffix) {
            fail_msg("row %zu: %s on %s", i, rows[i].pattern, rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_either_case_of_each_character_is_accepted),
        cmocka_unit_test(test_the_front_and_the_back_of_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
