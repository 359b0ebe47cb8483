/* SPDX-License-Identifier: Apache-2.0
 *
 * test_wildcard.c - stars match any run, and their cost is known before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "routing/wildcard.h"

enum { LIMIT = 15 };

static void test_a_star_takes_any_run_of_bytes(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "x", false},
        {"abc", "abc", true},
        {"abc", "abcd", false},
        {"*", "", true},
        {"*", "anything/at\nall \xe2\x82\xac", true},
        {"a*", "a", true},
        {"a*", "abc", true},
        {"a*", "ba", false},
        {"*a", "a", true},
        {"*a", "bca", true},
        {"*a", "ab", false},
        {"a*b", "ab", true},
        {"a*b", "axxb", true},
        {"a*b", "a", false},
        {"a*a", "a", false},
        {"a*a", "aa", true},
        {"*aba*aba", "ababa", false},
        {"*aba*aba", "abaaba", true},
        {"*a*b*c*", "xxaxxbxxcxx", true},
        {"*a*b*c*", "xxaxxcxxbxx", false},
        {"*ab*ab", "abxab", true},
        {"*ab*ab", "ab", false},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"\\\\", "\\", true},
        {"a\\\\*", "a\\bc", true},
        {"*\\**", "a*b", true},
        {"*\\**", "ab", false},
        {"arn:aws:*:us-*-1:*", "arn:aws:s3:us-east-1:", true},
        {"*\xac", "\xe2\x82\xac", true}, /* bytes, not characters */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena = {0};
        struct wildcard wildcard;
        size_t position;

        assert_int_equal(wildcard_parse(slice_of(rows[i].pattern), &arena, &wildcard, &position),
                         WILDCARD_OK);
        if (wildcard_matches(&wildcard, slice_of(rows[i].text)) != rows[i].matches) {
            fail_msg("%s on %s: expected %s", rows[i].pattern, rows[i].text,
                     rows[i].matches ? "a match" : "no match");
        }
        arena_clean_up(&arena);
    }
}

static void test_wrong_patterns_are_refused_where_they_are_wrong(void **state)
{
    static const struct {
        const char *pattern;
        enum wildcard_result result;
        size_t position;
    } rows[] = {
        {"**", WILDCARD_DOUBLE_STAR, 0},    {"a**b", WILDCARD_DOUBLE_STAR, 1},
        {"\\***", WILDCARD_DOUBLE_STAR, 2}, {"\xe2\x82\xac**", WILDCARD_DOUBLE_STAR, 3},
        {"a\\", WILDCARD_BAD_ESCAPE, 1},    {"\\n*", WILDCARD_BAD_ESCAPE, 0},
        {"ab\\x", WILDCARD_BAD_ESCAPE, 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena arena = {0};
        struct wildcard wildcard;
        size_t position = 99;

        assert_int_equal(wildcard_parse(slice_of(rows[i].pattern), &arena, &wildcard, &position),
                         rows[i].result);
        assert_int_equal(position, rows[i].position);
        arena_clean_up(&arena);
    }
}

/* One entry per text, or all texts in one anything-but. */
static unsigned complexity_of(const char *const *texts, bool is_negative, unsigned limit)
{
    struct arena arena = {0};
    const struct wildcard *pointers[32];
    struct wildcard wildcards[32];
    struct wildcard_group groups[32];
    size_t sets_left = 100000;
    size_t position;
    size_t count = 0;
    unsigned complexity;

    for (; texts[count] != NULL; count++) {
        assert_int_equal(
            wildcard_parse(slice_of(texts[count]), &arena, &wildcards[count], &position),
            WILDCARD_OK);
        pointers[count] = &wildcards[count];
        groups[count] = (struct wildcard_group){&pointers[count], 1, false};
    }
    if (is_negative) {
        groups[0] = (struct wildcard_group){pointers, count, true};
        count = 1;
    }
    complexity = wildcard_complexity(groups, count, limit, &sets_left);
    arena_clean_up(&arena);
    return complexity;
}

/* Goal:   the score is the one EventBridge gives.
 * Method: values observed on its library and its service. */
static void test_known_complexities(void **state)
{
    static const struct {
        const char *texts[13];
        bool is_negative;
        unsigned complexity;
    } rows[] = {
        {{NULL}, false, 0},
        {{"*"}, false, 2},
        {{"*a"}, false, 2},
        {{"a*"}, false, 2},
        {{"*a*"}, false, 3},
        {{"*a*b*c*d*e*"}, false, 7},
        {{"aaa*aaa*aaa*aaa"}, false, 12},
        {{"*:*:*:*:*:event-bus/*"}, false, 11},
        {{"/Users/*/dir/dir/dir/dir/dir/doc.txt"}, false, 7},
        {{"*:stack/network/*", "*:stack/database/*", "*:stack/frontend/*"}, false, 9},
        {{"*:stack/network/*", "*:stack/database/*", "*:stack/frontend/*", "*:stack/edge/*"},
         false,
         12},
        {{"*/init/*", "*/dir/*"}, true, 5},
        {{"*a*", "*a*"}, false, 3}, /* the same entry twice */
        {{"abc"}, false, 1},
        {{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "b0", "b1"}, false, 11},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const unsigned complexity = complexity_of(rows[i].texts, rows[i].is_negative, LIMIT);

        if (complexity != rows[i].complexity) {
            fail_msg("row %zu (%s): %u, expected %u", i,
                     rows[i].texts[0] != NULL ? rows[i].texts[0] : "", complexity,
                     rows[i].complexity);
        }
    }
}

static void test_more_than_the_limit_is_one_more(void **state)
{
    static const char *const heavy[] = {"*:*:*:*:*:event-bus/*", NULL};
    static const char *const light[] = {"*a*", NULL};

    (void)state;
    assert_int_equal(complexity_of(heavy, false, 10), 11);
    assert_int_equal(complexity_of(heavy, false, 3), 4);
    assert_int_equal(complexity_of(light, false, 3), 3);
    assert_int_equal(complexity_of(light, false, 2), 3);
}

/* Goal:   a pattern cannot keep the measure busy.
 * Method: five long patterns that overlap in many ways; a budget too small for them. */
static void test_a_spent_budget_counts_as_too_complex(void **state)
{
    struct arena arena = {0};
    struct wildcard wildcard;
    const struct wildcard *pointer = &wildcard;
    const struct wildcard_group group = {&pointer, 1, false};
    size_t sets_left = 3;
    size_t position;

    (void)state;
    assert_int_equal(wildcard_parse(SLICE("*abcabcabd*"), &arena, &wildcard, &position),
                     WILDCARD_OK);
    assert_int_equal(wildcard_complexity(&group, 1, 10, &sets_left), 11);
    assert_int_equal(sets_left, 0);
    assert_int_equal(wildcard_complexity(&group, 1, 10, &sets_left), 11);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_star_takes_any_run_of_bytes),
        cmocka_unit_test(test_wrong_patterns_are_refused_where_they_are_wrong),
        cmocka_unit_test(test_known_complexities),
        cmocka_unit_test(test_more_than_the_limit_is_one_more),
        cmocka_unit_test(test_a_spent_budget_counts_as_too_complex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
