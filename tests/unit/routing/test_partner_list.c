/* SPDX-License-Identifier: Apache-2.0
 *
 * test_partner_list.c - which strings a list holds, which entries it takes, and in-list in
 * patterns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/arena.h"
#include "core/check.h"
#include "routing/explain.h"
#include "routing/matcher.h"
#include "routing/partner_list.h"
#include "routing/pattern.h"

static struct partner_list *list_of(enum partner_kind kind, const char *const *entries)
{
    struct partner_list *list = partner_list_new(kind);

    for (; *entries != NULL; entries++) {
        struct err_why why = {.text = ""};

        if (partner_list_add(list, slice_of(*entries), &why) != ERR_OK) {
            fail_msg("%s: %s", *entries, why.text);
        }
    }
    return list;
}

struct row {
    const char *text;
    bool holds;
};

static void check_rows(const struct partner_list *list, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (partner_list_holds(list, slice_of(rows[i].text)) != rows[i].holds) {
            fail_msg("%s: expected %s", rows[i].text, rows[i].holds ? "in" : "out");
        }
    }
}

static void test_accounts(void **state)
{
    static const char *const entries[] = {"111122223333", "arn:aws:iam::444455556666:root",
                                          "000000000001", NULL};
    static const struct row rows[] = {
        {"111122223333", true},
        {"444455556666", true},
        {"000000000001", true},
        {"777788889999", false},
        {"11112222333", false},
        {"1111222233334", false},
        {"", false},
        {" 111122223333", false},
        {"arn:aws:iam::111122223333:root", true},
        {"arn:aws:iam::111122223333:role/x", true},
        {"arn:aws:sts::111122223333:assumed-role/x/y:z", true},
        {"arn:aws-us-gov:iam::444455556666:user/a", true},
        {"arn:aws:sns:us-east-1:111122223333:topic", true},
        {"arn:aws:iam::777788889999:role/111122223333", false},
        {"arn:aws:s3:::111122223333", false},
        {"arn:aws:s3:::bucket/arn:aws:iam::111122223333:root", false},
        {"arn:aws:iam::aws:policy/111122223333", false},
        {"arn:aws:iam::111122223333", false},
        {"arn:aws:iam::111122223333:", false},
        {"arn:other:iam::111122223333:root", false},
        {"arn:AWS:iam::111122223333:root", false},
        {"ARN:aws:iam::111122223333:root", false},
        {"arn:aws::us-east-1:111122223333:x", false},
        {"xarn:aws:iam::111122223333:root", false},
        {"*", false},
    };
    struct partner_list *list = list_of(PARTNER_ACCOUNTS, entries);

    (void)state;
    assert_int_equal(partner_list_count(list), 3);
    check_rows(list, rows, ARRAY_LEN(rows));
    partner_list_release(list);
}

static void test_addresses(void **state)
{
    static const char *const entries[] = {"192.0.2.0/24",  "10.1.2.3",        "10.9.9.9/8",
                                          "2001:db8::/32", "2001:db9::1",     "fe80::/63",
                                          "fd00::/65",     "198.51.100.8/31", NULL};
    static const struct row rows[] = {
        {"192.0.2.0", true},
        {"192.0.2.255", true},
        {"192.0.3.0", false},
        {"10.255.0.0", true},
        {"11.0.0.0", false},
        {"198.51.100.9", true},
        {"198.51.100.10", false},
        {"2001:db8:ffff::1", true},
        {"2001:DB9:0:0:0:0:0:1", true},
        {"2001:db9::2", false},
        {"fe80:0:0:1::", true},
        {"fe80:0:0:2::", false},
        {"fd00::7fff:0:0:1", true},
        {"fd00::8000:0:0:1", false},
        {"::ffff:c000:201", true},
        {"192.0.2.1/32", false},
        {"192.0.2", false},
        {"999.0.2.1", false},
        {"", false},
        {"::", false},
    };
    static const char *const all[] = {"0.0.0.0/0", NULL};
    static const struct row all_rows[] = {{"255.255.255.255", true}, {"::1", false}, {"x", false}};
    struct partner_list *list = list_of(PARTNER_CIDRS, entries);

    (void)state;
    check_rows(list, rows, ARRAY_LEN(rows));
    partner_list_release(list);
    list = list_of(PARTNER_CIDRS, all);
    check_rows(list, all_rows, ARRAY_LEN(all_rows));
    partner_list_release(list);
}

static void test_strings(void **state)
{
    static const char *const entries[] = {"alpha", "Alpha ", "111122223333", NULL};
    static const struct row rows[] = {{"alpha", true},
                                      {"Alpha", false},
                                      {"Alpha ", true},
                                      {"alphas", false},
                                      {"", false},
                                      {"111122223333", true},
                                      {"arn:aws:iam::111122223333:root", false}};
    struct partner_list *list = list_of(PARTNER_STRINGS, entries);

    (void)state;
    check_rows(list, rows, ARRAY_LEN(rows));
    partner_list_release(list);
    partner_list_release(NULL);
}

static void test_what_a_list_does_not_take(void **state)
{
    static const struct {
        enum partner_kind kind;
        const char *entry;
        const char *why;
    } rows[] = {
        {PARTNER_ACCOUNTS, "", "must have 1 to 256 characters"},
        {PARTNER_STRINGS, "", "must have 1 to 256 characters"},
        {PARTNER_ACCOUNTS, "11112222333", "must be a 12-digit account id"},
        {PARTNER_ACCOUNTS, "*", "must be a 12-digit account id"},
        {PARTNER_ACCOUNTS, "arn:aws:iam::111122223333:role/x", "must be a 12-digit account id"},
        {PARTNER_CIDRS, "partner", "must be a CIDR block such as 192.0.2.0/24"},
        {PARTNER_CIDRS, "192.0.2.0/33", "must have from 0 to 32 bits behind its slash"},
        {PARTNER_CIDRS, "192.0.2.0/", "must have from 0 to 32 bits behind its slash"},
        {PARTNER_CIDRS, "192.0.2.0/8/8", "must have from 0 to 32 bits behind its slash"},
        {PARTNER_CIDRS, "::/129", "must have from 0 to 128 bits behind its slash"},
    };
    char longest[PARTNER_ENTRY_CHARS_MAX + 1];
    struct partner_list *list;
    struct err_why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        list = partner_list_new(rows[i].kind);
        assert_int_equal(partner_list_add(list, slice_of(rows[i].entry), &why), ERR_BAD_VALUE);
        assert_string_equal(why.text, rows[i].why);
        assert_int_equal(partner_list_count(list), 0);
        partner_list_release(list);
    }
    list = partner_list_new(PARTNER_STRINGS);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(partner_list_add(list, (struct slice){longest, sizeof(longest)}, &why),
                     ERR_BAD_VALUE);
    assert_int_equal(partner_list_add(list, (struct slice){longest, sizeof(longest) - 1}, &why),
                     ERR_OK);
    partner_list_release(list);
}

/* Goal:   entries and bytes are bounded, and what was in before a refusal stays. */
static void test_bounds(void **state)
{
    struct partner_list *list = partner_list_new(PARTNER_ACCOUNTS);
    char text[PARTNER_ENTRY_CHARS_MAX + 1];
    struct err_why why;
    size_t count = 0;

    (void)state;
    for (unsigned i = 0; i < PARTNER_LIST_ENTRIES_MAX; i++) {
        (void)snprintf(text, sizeof(text), "%012u", i);
        assert_int_equal(partner_list_add(list, slice_of(text), &why), ERR_OK);
    }
    assert_int_equal(partner_list_add(list, slice_of(text), &why), ERR_OK); /* it is there */
    assert_int_equal(partner_list_add(list, SLICE("999999999999"), &why), ERR_TOO_LARGE);
    assert_string_equal(why.text, "the list holds more than 100000 entries");
    assert_int_equal(partner_list_count(list), PARTNER_LIST_ENTRIES_MAX);
    for (unsigned i = 0; i < 2 * PARTNER_LIST_ENTRIES_MAX; i += 997) {
        (void)snprintf(text, sizeof(text), "%012u", i);
        assert_int_equal(partner_list_holds(list, slice_of(text)), i < PARTNER_LIST_ENTRIES_MAX);
    }
    partner_list_release(list);
    list = partner_list_new(PARTNER_STRINGS);
    memset(text, 'x', sizeof(text));
    while (partner_list_add(list, (struct slice){text, PARTNER_ENTRY_CHARS_MAX}, &why) == ERR_OK) {
        (void)snprintf(text, sizeof(text), "%08zu", ++count);
        text[8] = 'x';
    }
    assert_int_equal(count, PARTNER_LIST_BYTES_MAX / PARTNER_ENTRY_CHARS_MAX);
    assert_string_equal(why.text, "the list is longer than 4194304 bytes");
    partner_list_release(list);
}

static void test_names(void **state)
{
    char longest[PARTNER_LIST_NAME_CHARS_MAX + 1];

    (void)state;
    memset(longest, 'n', sizeof(longest));
    assert_true(partner_list_is_name(SLICE("Partners_1.a-b")));
    assert_true(partner_list_is_name((struct slice){longest, sizeof(longest) - 1}));
    assert_false(partner_list_is_name((struct slice){longest, sizeof(longest)}));
    assert_false(partner_list_is_name(SLICE("")));
    assert_false(partner_list_is_name(SLICE("a/b")));
    assert_false(partner_list_is_name((struct slice){"a\0b", 3}));
}

/* ---- patterns ------------------------------------------------------------------------------ */

static struct partner_lists *world(void)
{
    static const char *const partners[] = {"111122223333", NULL};
    static const char *const office[] = {"192.0.2.0/24", NULL};
    static const char *const words[] = {"alpha", "beta", NULL};
    struct partner_list *lists[3] = {list_of(PARTNER_ACCOUNTS, partners),
                                     list_of(PARTNER_CIDRS, office),
                                     list_of(PARTNER_STRINGS, words)};
    struct partner_lists *all = partner_lists_new();

    partner_lists_put(all, SLICE("partners"), lists[0]);
    partner_lists_put(all, SLICE("office"), lists[1]);
    partner_lists_put(all, SLICE("words"), lists[2]);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        partner_list_release(lists[i]);
    }
    return all;
}

static bool set_matches(const struct pattern *pattern, struct slice event,
                        const struct partner_lists *lists)
{
    struct matcher_scratch *scratch = matcher_scratch_new();
    struct matcher *matcher = matcher_new(&pattern, 1);
    size_t steps_left = PATTERN_STEPS_MAX;
    struct matcher_answer answer;

    matcher_use_lists(scratch, lists);
    assert_int_equal(matcher_match((const struct matcher *const *)&matcher, 1, event, &steps_left,
                                   scratch, &answer),
                     ERR_OK);
    matcher_release(matcher);
    matcher_scratch_destroy(scratch);
    return answer.match_count == 1;
}

static bool matches(const char *text, const char *event, const struct partner_lists *lists)
{
    struct pattern *pattern = NULL;
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    struct event_tree *tree;
    bool result;

    if (pattern_compile(slice_of(text), &pattern, &why) != ERR_OK) {
        fail_msg("%s: %s", text, why.text);
    }
    assert_int_equal(event_tree_read(slice_of(event), &arena, &tree, NULL), ERR_OK);
    event_tree_use_lists(tree, lists);
    result = pattern_matches(pattern, tree);
    if (set_matches(pattern, slice_of(event), lists) != result) {
        fail_msg("%s on %s: a compiled set says otherwise", text, event);
    }
    pattern_release(pattern);
    arena_clean_up(&arena);
    return result;
}

static void test_patterns(void **state)
{
    static const char in[] = "{\"p\":[{\"in-list\":\"partners\"}]}";
    static const char out[] = "{\"p\":[{\"anything-but\":{\"in-list\":\"partners\"}}]}";
    static const char neither[] =
        "{\"p\":[{\"anything-but\":{\"in-list\":[\"partners\",\"words\"]}}]}";
    static const struct {
        const char *pattern;
        const char *event;
        bool matches;
    } rows[] = {
        {in, "{\"p\":\"111122223333\"}", true},
        {in, "{\"p\":\"arn:aws:iam::111122223333:root\"}", true},
        {in, "{\"p\":\"\\u003111122223333\"}", true},
        {in, "{\"p\":\"222222222222\"}", false},
        {in, "{\"p\":111122223333}", false},
        {in, "{\"p\":[\"222222222222\",\"111122223333\"]}", true},
        {in, "{\"p\":{\"AWS\":\"111122223333\"}}", false},
        {in, "{\"q\":1}", false},
        {out, "{\"p\":\"111122223333\"}", false},
        {out, "{\"p\":\"arn:aws:iam::111122223333:root\"}", false},
        {out, "{\"p\":\"222222222222\"}", true},
        {out, "{\"p\":[\"222222222222\",\"111122223333\"]}", true},
        {out, "{\"p\":111122223333}", true},
        {out, "{\"p\":null}", true},
        {out, "{\"p\":[]}", false},
        {out, "{\"q\":1}", false},
        {neither, "{\"p\":\"alpha\"}", false},
        {neither, "{\"p\":\"111122223333\"}", false},
        {neither, "{\"p\":\"gamma\"}", true},
        {"{\"p\":[{\"in-list\":\"words\"},{\"in-list\":\"office\"}]}", "{\"p\":\"192.0.2.7\"}",
         true},
        {"{\"p\":[{\"in-list\":\"words\"},{\"in-list\":\"office\"}]}", "{\"p\":\"beta\"}", true},
        {"{\"p\":[{\"in-list\":\"words\"},{\"in-list\":\"office\"}]}", "{\"p\":\"gamma\"}", false},
        {"{\"p\":[{\"in-list\":\"nowhere\"}]}", "{\"p\":\"111122223333\"}", false},
        {"{\"p\":[{\"anything-but\":{\"in-list\":\"nowhere\"}}]}", "{\"p\":\"111122223333\"}",
         true},
        {"{\"a\":{\"p\":[{\"in-list\":\"partners\"}],\"k\":[1]}}",
         "{\"a\":[{\"p\":\"111122223333\",\"k\":2},{\"p\":\"x\",\"k\":1}]}", false},
        {"{\"a\":{\"p\":[{\"in-list\":\"partners\"}],\"k\":[1]}}",
         "{\"a\":[{\"p\":\"111122223333\",\"k\":1},{\"p\":\"x\",\"k\":1}]}", true},
    };
    struct partner_lists *lists = world();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (matches(rows[i].pattern, rows[i].event, lists) != rows[i].matches) {
            fail_msg("%s on %s: expected %s", rows[i].pattern, rows[i].event,
                     rows[i].matches ? "a match" : "no match");
        }
    }
    assert_false(matches(in, "{\"p\":\"111122223333\"}", NULL));
    assert_true(matches(out, "{\"p\":\"111122223333\"}", NULL));
    partner_lists_release(partner_lists_acquire(lists));
    partner_lists_release(lists);
    partner_lists_release(NULL);
}

static void test_what_patterns_say(void **state)
{
    static const char text[] = "{\"a\":[{\"in-list\":\"x\"}],\"$or\":["
                               "{\"b\":[{\"anything-but\":{\"in-list\":[\"y\",\"x\"]}}]},"
                               "{\"c\":[1,{\"in-list\":\"z\"}],\"d\":[{\"prefix\":\"q\"}]}]}";
    static const struct {
        const char *pattern;
        const char *why;
    } refusals[] = {
        {"{\"a\":[{\"in-list\":1}]}", "in-list match pattern must be a string"},
        {"{\"a\":[{\"in-list\":[\"x\"]}]}", "in-list match pattern must be a string"},
        {"{\"a\":[{\"in-list\":\"\"}]}", "in-list must be the name of a list"},
        {"{\"a\":[{\"in-list\":\"a b\"}]}", "in-list must be the name of a list"},
        {"{\"a\":[{\"in-list\":\"x\",\"y\":1}]}", "Only one key allowed in match expression"},
        {"{\"a\":[{\"anything-but\":{\"in-list\":[]}}]}", "Empty arrays are not allowed"},
        {"{\"a\":[{\"anything-but\":{\"in-list\":[1]}}]}",
         "in-list match pattern must be a string"},
    };
    struct pattern *pattern = NULL;
    const struct slice *names;
    struct err_why why;
    size_t count;

    (void)state;
    assert_int_equal(pattern_compile(slice_of(text), &pattern, &why), ERR_OK);
    names = pattern_lists(pattern, &count);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(names[i].len, 1);
        assert_non_null(memchr("xyz", names[i].data[0], 3));
        assert_true(i == 0 || names[i].data[0] != names[0].data[0]);
    }
    pattern_release(pattern);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        assert_int_equal(pattern_compile(slice_of(refusals[i].pattern), &pattern, &why),
                         ERR_BAD_PATTERN);
        assert_non_null(strstr(why.text, refusals[i].why));
    }
    assert_int_equal(pattern_compile(SLICE("{\"a\":[1]}"), &pattern, &why), ERR_OK);
    (void)pattern_lists(pattern, &count);
    assert_int_equal(count, 0);
    pattern_release(pattern);
}

/* Goal:   an explanation asks the lists too, and names the operator. */
static void test_explanation(void **state)
{
    struct partner_lists *lists = world();
    size_t steps_left = PATTERN_STEPS_MAX;
    struct explanation explanation;
    struct pattern *pattern = NULL;
    struct arena arena = {0};
    struct event_tree *tree;

    (void)state;
    assert_int_equal(
        pattern_compile(SLICE("{\"a\":[1],\"p\":[{\"in-list\":\"partners\"}]}"), &pattern, NULL),
        ERR_OK);
    assert_int_equal(
        event_tree_read(SLICE("{\"a\":1,\"p\":\"222222222222\"}"), &arena, &tree, NULL), ERR_OK);
    event_tree_use_lists(tree, lists);
    explain(pattern, tree, &steps_left, &explanation);
    assert_int_equal(explanation.reason, EXPLAIN_DIFFERS);
    assert_true(slice_eq(explanation.path, SLICE("p")));
    assert_true(slice_eq(explain_operators(explanation.wanted, &arena), SLICE("in-list")));
    pattern_release(pattern);
    arena_clean_up(&arena);
    partner_lists_release(lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),    cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_strings),     cmocka_unit_test(test_what_a_list_does_not_take),
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_patterns),    cmocka_unit_test(test_what_patterns_say),
        cmocka_unit_test(test_explanation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
