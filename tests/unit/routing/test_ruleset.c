/* SPDX-License-Identifier: Apache-2.0
 *
 * test_ruleset.c - an event reaches the rules of its bus and of the central bus, and no others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "core/check.h"
#include "tests/lib/rulesets.h"

#define MEMBER  "111122223333"
#define OTHER   "444455556666"
#define CENTRAL "999999999999"

struct rule_row {
    const char *account; /* NULL: the central bus */
    const char *bus;
    const char *name;
    const char *pattern; /* NULL: a schedule */
    size_t target_count;
    bool is_disabled;
};

static struct rule *make_rule(const struct rule_row *row, uint64_t first_uid)
{
    struct rule *rule = rule_new();
    struct err_why why;

    rule->is_central = row->account == NULL;
    rule->bus_account = slice_of(rule->is_central ? CENTRAL : row->account);
    rule->bus_name = slice_of(rule->is_central ? "central" : row->bus);
    rule->name = slice_of(row->name);
    rule->is_enabled = !row->is_disabled;
    if (row->pattern != NULL) {
        assert_int_equal(pattern_compile(slice_of(row->pattern), &rule->pattern, &why), ERR_OK);
    }
    rule->target_count = row->target_count;
    for (size_t i = 0; i < row->target_count; i++) {
        rule->targets[i].uid = first_uid + i;
    }
    return rule;
}

static struct ruleset *make_ruleset(const struct rule_row *rows, size_t row_count)
{
    static const struct slice buses[] = {SLICE_INIT(MEMBER "/audit")};
    const struct ruleset_edit edit = {.named = buses, .named_count = ARRAY_LEN(buses)};
    struct rule *rules[16];
    struct ruleset *nameless;
    struct ruleset *ruleset;

    assert_true(row_count <= ARRAY_LEN(rules));
    for (size_t i = 0; i < row_count; i++) {
        rules[i] = make_rule(&rows[i], 10 * (i + 1));
    }
    nameless = ruleset_of(rules, row_count);
    ruleset = ruleset_change(nameless, &edit);
    ruleset_release(nameless);
    for (size_t i = 0; i < row_count; i++) {
        rule_release(rules[i]); /* the set holds its own references */
    }
    return ruleset;
}

static struct event *make_event(const char *source, const char *detail)
{
    const struct event_draft draft = {
        .source = slice_of(source),
        .detail_type = SLICE("t"),
        .detail = slice_of(detail),
    };
    const struct event_defaults defaults = {
        .id = SLICE("i"),
        .account = SLICE(MEMBER),
        .region = SLICE("us-east-1"),
        .now_ms = 0,
    };

    return event_complete(&draft, &defaults);
}

static const struct rule_row rows[] = {
    {MEMBER, "default", "b", "{\"source\":[\"s\"]}", 2, false},
    {MEMBER, "default", "a", "{\"source\":[\"s\"]}", 1, false},
    {NULL, NULL, "z", "{\"account\":[\"" MEMBER "\"]}", 1, false},
    {OTHER, "default", "c", "{\"source\":[\"s\"]}", 1, false},
    {MEMBER, "audit", "d", "{\"detail\":{\"k\":[1]}}", 1, false},
    {MEMBER, "default", "off", "{\"source\":[\"s\"]}", 1, true},
    {MEMBER, "default", "clock", NULL, 1, false},
    {MEMBER, "default", "e", "{\"source\":[\"s\"],\"detail\":{\"k\":[{\"numeric\":[\">\",1]}]}}", 1,
     false},
};

static void test_an_event_reaches_its_bus_and_the_central_one(void **state)
{
    static const struct {
        const char *account;
        const char *bus;
        const char *source;
        const char *detail;
        const char *names; /* of the hits, in order */
        size_t rule_count;
    } cases[] = {
        {MEMBER, "default", "s", "{\"k\":1}", "z a b b ", 3},
        {MEMBER, "default", "s", "{\"k\":2}", "z a b b e ", 4},
        {MEMBER, "default", "x", "{\"k\":2}", "z ", 1},
        {MEMBER, "audit", "s", "{\"k\":1}", "z d ", 2},
        {MEMBER, "audit", "s", "{\"k\":2}", "z ", 1},
        {MEMBER, "unknown", "s", "{\"k\":1}", "z ", 1},
        {OTHER, "default", "s", "{}", "z c ", 2},
        {MEMBER, "central", "s", "{}", "z ", 1},
    };
    struct ruleset *ruleset = make_ruleset(rows, ARRAY_LEN(rows));
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct event *event = make_event(cases[i].source, cases[i].detail);
        char names[64] = "";
        size_t len = 0;

        assert_int_equal(ruleset_match(ruleset, slice_of(cases[i].account), slice_of(cases[i].bus),
                                       event, scratch),
                         ERR_OK);
        for (size_t j = 0; j < scratch->hit_count; j++) {
            len += (size_t)snprintf(names + len, sizeof(names) - len, "%.*s ",
                                    SLICE_ARG(scratch->hits[j].rule->name));
        }
        assert_string_equal(names, cases[i].names);
        assert_int_equal(scratch->rule_count, cases[i].rule_count);
        assert_int_equal(scratch->exhausted_count, 0);
        event_release(event);
    }
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
    ruleset_release(ruleset);
}

static void test_targets_are_found_by_uid(void **state)
{
    struct ruleset *ruleset = make_ruleset(rows, ARRAY_LEN(rows));
    const struct rule *rule = NULL;
    const struct rule_target *target = ruleset_target(ruleset, 11, &rule);

    (void)state;
    assert_non_null(target);
    assert_int_equal(target->uid, 11);
    assert_true(slice_eq(rule->name, SLICE("b")));
    assert_ptr_equal(target, &rule->targets[1]);
    assert_null(ruleset_target(ruleset, 12, &rule));
    ruleset_release(ruleset);
}

static void test_known_buses(void **state)
{
    struct ruleset *ruleset = make_ruleset(rows, ARRAY_LEN(rows));

    (void)state;
    assert_true(ruleset_has_bus(ruleset, SLICE(MEMBER), SLICE("default")));
    assert_true(ruleset_has_bus(ruleset, SLICE("000000000000"), SLICE("default")));
    assert_true(ruleset_has_bus(ruleset, SLICE(MEMBER), SLICE("audit")));
    assert_false(ruleset_has_bus(ruleset, SLICE(OTHER), SLICE("audit")));
    assert_false(ruleset_has_bus(ruleset, SLICE(MEMBER), SLICE("central")));
    ruleset_release(ruleset);
}

/* Goal:   too many hits are an error, never a cut list.
 * Method: 201 rules of five targets. */
static void test_too_many_hits_are_refused(void **state)
{
    char names[RULESET_HITS_MAX / 5 + 1][8];
    struct rule *rules[RULESET_HITS_MAX / 5 + 1];
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct event *event = make_event("s", "{}");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule_row row = {NULL, NULL, names[i], "{\"source\":[\"s\"]}", 5, false};

        (void)snprintf(names[i], sizeof(names[i]), "r%03zu", i);
        rules[i] = make_rule(&row, 5 * i + 1);
    }
    for (size_t count = ARRAY_LEN(rules) - 1; count <= ARRAY_LEN(rules); count++) {
        struct ruleset *ruleset = ruleset_of(rules, count);

        assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                         count < ARRAY_LEN(rules) ? ERR_OK : ERR_TOO_LARGE);
        ruleset_release(ruleset);
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        rule_release(rules[i]);
    }
    event_release(event);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
}

/* Goal:   archives too many are left out and counted, and refuse no event: the central bus is owed
 * it all the same. Method: a member's 70 archives of everything, one central rule.
 */
static void test_archives_too_many_are_left_out(void **state)
{
    enum { ARCHIVES = RULESET_ARCHIVES_MAX + 6 };
    static const struct rule_row central = {NULL, NULL, "z", "{\"source\":[\"s\"]}", 1, false};
    struct rule *rules[ARCHIVES + 1];
    char names[ARCHIVES][16];
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct event *event = make_event("s", "{}");
    struct ruleset *ruleset;

    (void)state;
    for (size_t i = 0; i < ARCHIVES; i++) {
        const struct rule_row row = {MEMBER, "default", names[i], "{\"source\":[\"s\"]}", 0, false};

        (void)snprintf(names[i], sizeof(names[i]), "archive:%03zu", i);
        rules[i] = make_rule(&row, 0);
        rules[i]->archive = i + 1;
    }
    rules[ARCHIVES] = make_rule(&central, 1);
    ruleset = ruleset_of(rules, ARRAY_LEN(rules));
    assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                     ERR_OK);
    assert_int_equal(scratch->hit_count, 1);
    assert_int_equal(scratch->archive_count, RULESET_ARCHIVES_MAX);
    assert_int_equal(scratch->archives_left_out, 6);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        rule_release(rules[i]);
    }
    event_release(event);
    ruleset_release(ruleset);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
}

/* Goal:   what one event may ask of one set is bounded; then nothing of that set matches, which is
 *         counted, and the next event is as ever.
 * Method: 40 rules of 150 ranges each, all of which hold of each of 3,000 numbers in an array.
 */
static void test_an_event_that_asks_too_much_matches_nothing(void **state)
{
    enum { RULES = 40, RANGES = 150, NUMBERS = 3000 };
    static char pattern[RULES][RANGES * 32];
    static char detail[NUMBERS * 2 + 16];
    char names[RULES][8];
    struct rule *rules[RULES];
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct ruleset *ruleset;
    struct event *event;
    size_t len;

    (void)state;
    for (size_t i = 0; i < RULES; i++) {
        const struct rule_row row = {MEMBER, "default", names[i], pattern[i], 1, false};

        len = (size_t)snprintf(pattern[i], sizeof(pattern[i]), "{\"detail\":{\"x\":[");
        for (size_t k = 0; k < RANGES; k++) {
            len += (size_t)snprintf(pattern[i] + len, sizeof(pattern[i]) - len,
                                    "%s{\"numeric\":[\"<\",%zu]}", k > 0 ? "," : "",
                                    100 + i * RANGES + k);
        }
        (void)snprintf(pattern[i] + len, sizeof(pattern[i]) - len, "]}}");
        (void)snprintf(names[i], sizeof(names[i]), "r%02zu", i);
        rules[i] = make_rule(&row, i + 1);
    }
    ruleset = ruleset_of(rules, RULES);
    len = (size_t)snprintf(detail, sizeof(detail), "{\"x\":[9");
    for (size_t i = 1; i < NUMBERS; i++) {
        len += (size_t)snprintf(detail + len, sizeof(detail) - len, ",9");
    }
    (void)snprintf(detail + len, sizeof(detail) - len, "]}");
    event = make_event("s", detail);
    assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                     ERR_OK);
    assert_int_equal(scratch->hit_count, 0);
    assert_int_equal(scratch->exhausted_count, RULES);
    event_release(event);
    event = make_event("s", "{\"x\":[9,200]}");
    assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                     ERR_OK);
    assert_int_equal(scratch->hit_count, RULES);
    assert_int_equal(scratch->exhausted_count, 0);
    for (size_t i = 0; i < RULES; i++) {
        rule_release(rules[i]);
    }
    event_release(event);
    ruleset_release(ruleset);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
}

/* Goal:   a pattern whose search did not end is no match, and is counted; six of them together
 *         have a budget for four, and rules that need no search match all the same.
 * Method: twelve pigeons in eleven holes: each copy of a repeated array offers one element. */
static void test_an_unfinished_search_is_counted(void **state)
{
    enum { HOLES = 11, PIGEONS = HOLES + 1 };
    char pattern[1024] = "{\"detail\":{\"a\":{";
    char detail[4096] = "{";
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    struct rule_row all[8];
    const struct rule_row easy = {NULL, NULL, "last", "{\"detail\":{\"a\":{\"p0\":[1]}}}",
                                  1,    false};
    const struct rule_row plain = {MEMBER, "default", "plain", "{\"source\":[\"s\"]}", 1, false};
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct ruleset *ruleset;
    struct event *event;
    size_t len = strlen(pattern);

    (void)state;
    for (unsigned pigeon = 0; pigeon < PIGEONS; pigeon++) {
        len += (size_t)snprintf(pattern + len, sizeof(pattern) - len, "%s\"p%u\":[1]",
                                pigeon > 0 ? "," : "", pigeon);
    }
    (void)snprintf(pattern + len, sizeof(pattern) - len, "}}}");
    len = strlen(detail);
    for (unsigned hole = 0; hole < HOLES; hole++) {
        len += (size_t)snprintf(detail + len, sizeof(detail) - len, "%s\"a\":[{}",
                                hole > 0 ? "," : "");
        for (unsigned pigeon = 0; pigeon < PIGEONS; pigeon++) {
            len += (size_t)snprintf(detail + len, sizeof(detail) - len, ",{\"p%u\":1}", pigeon);
        }
        len += (size_t)snprintf(detail + len, sizeof(detail) - len, "]");
    }
    (void)snprintf(detail + len, sizeof(detail) - len, "}");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        all[i] = (struct rule_row){NULL, NULL, names[i], pattern, 1, false};
    }
    all[6] = easy;
    all[7] = plain;
    ruleset = make_ruleset(all, ARRAY_LEN(all));
    event = make_event("s", detail);
    assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                     ERR_OK);
    assert_int_equal(scratch->hit_count, 2);
    assert_true(slice_eq(scratch->hits[0].rule->name, SLICE("last")));
    assert_true(slice_eq(scratch->hits[1].rule->name, SLICE("plain")));
    assert_int_equal(scratch->exhausted_count, 6);
    event_release(event);
    ruleset_release(ruleset);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
}

enum { CHANGES = 1500, NAMES = 400 };

/* A random rule of that number: what it asks for changes with the version. */
static struct rule *invent_rule(unsigned number, unsigned version)
{
    static char names[NAMES][8];
    char pattern[128];
    const struct rule_row row = {
        number % 3 == 0 ? NULL : MEMBER, "default", names[number], pattern, 1, version % 7 == 0};

    (void)snprintf(names[number], sizeof(names[number]), "r%03u", number);
    (void)snprintf(pattern, sizeof(pattern), "{\"detail\":{\"k\":[%u,%u]}}", version % 5,
                   number % 5);
    return make_rule(&row, number + 1);
}

static void expect_same_hits(const struct ruleset *a, const struct ruleset *b,
                             struct ruleset_scratch *scratch, struct ruleset_scratch *other)
{
    for (unsigned value = 0; value < 5; value++) {
        char detail[32];
        struct event *event;

        (void)snprintf(detail, sizeof(detail), "{\"k\":%u}", value);
        event = make_event("s", detail);
        assert_int_equal(ruleset_match(a, SLICE(MEMBER), SLICE("default"), event, scratch), ERR_OK);
        assert_int_equal(ruleset_match(b, SLICE(MEMBER), SLICE("default"), event, other), ERR_OK);
        assert_int_equal(scratch->hit_count, other->hit_count);
        for (size_t i = 0; i < scratch->hit_count; i++) {
            assert_ptr_equal(scratch->hits[i].rule, other->hits[i].rule);
        }
        event_release(event);
    }
}

/* Every way to ask for rules and targets, beside an array of what there should be. */
static void expect_rules(const struct ruleset *ruleset, struct rule *const *rules)
{
    struct arena arena = {0};
    struct rule **listed;
    size_t count = 0;

    for (unsigned i = 0; i < NAMES; i++) {
        const struct rule *rule = NULL;
        const struct rule_target *target = ruleset_target(ruleset, i + 1, &rule);

        assert_ptr_equal(target, rules[i] != NULL ? &rules[i]->targets[0] : NULL);
        assert_ptr_equal(rule, rules[i]);
        if (rules[i] != NULL) {
            assert_ptr_equal(
                ruleset_rule(ruleset, ruleset_key_of(rules[i], &arena), rules[i]->name), rules[i]);
        }
        count += rules[i] != NULL && rules[i]->is_central;
    }
    assert_int_equal(ruleset_rules(ruleset, SLICE("central"), &arena, &listed), count);
    for (unsigned i = 0; i < NAMES; i++) {
        if (rules[i] != NULL && rules[i]->is_central) {
            assert_ptr_equal(*listed++, rules[i]);
        }
    }
    arena_clean_up(&arena);
}

/* Replace `count` random rules, or take them away. */
static struct ruleset *change_some(const struct ruleset *current, struct rule **rules,
                                   unsigned count, uint32_t *random)
{
    struct arena arena = {0};
    struct ruleset_change changes[NAMES];
    struct ruleset_edit edit = {.changes = changes};
    struct ruleset *changed;

    for (unsigned i = 0; i < NAMES && edit.change_count < count; i++) {
        struct rule *rule;
        unsigned number;

        *random = *random * 1664525u + 1013904223u;
        number = count == NAMES ? i : (*random >> 8) % NAMES;
        rule = invent_rule(number, *random >> 24);
        changes[edit.change_count] =
            (struct ruleset_change){.bus = ruleset_key_of(rule, &arena), .name = rule->name};
        for (size_t k = 0; k < edit.change_count; k++) {
            if (slice_eq(changes[k].name, rule->name)) { /* of one name there is one change */
                rule_release(rule);
                rule = NULL;
                break;
            }
        }
        if (rule == NULL) {
            continue;
        }
        if ((*random >> 20) % 4 == 0) {
            rule_release(rule);
            rule = NULL;
        }
        changes[edit.change_count++].rule = rule;
        rule_release(rules[number]);
        rules[number] = rule;
    }
    changed = ruleset_change(current, &edit);
    arena_clean_up(&arena);
    return changed;
}

/* Goal:   a ruleset that shares most of the one before says what one made from nothing says, after
 *         any number of changes, large and small, with folds that began some changes ago.
 * Method: random rules come, go, change and are disabled; each ruleset is held against a new one.
 */
static void test_changed_rulesets_agree_with_new_ones(void **state)
{
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct ruleset_scratch *other = test_calloc(1, sizeof(*other));
    struct rule *rules[NAMES] = {NULL};
    struct ruleset *current = ruleset_new();
    struct ruleset_fold *fold = NULL;
    size_t fold_count = 0;
    uint32_t random = 7;

    (void)state;
    for (unsigned round = 0; round < CHANGES; round++) {
        struct ruleset *changed =
            change_some(current, rules, round % 500 == 0 ? NAMES : 1 + round % 4, &random);
        struct rule *live[NAMES];
        struct ruleset *fresh;
        size_t count = 0;

        ruleset_release(current);
        current = changed;
        if (fold == NULL) {
            fold = ruleset_fold_begin(current);
        } else if (round % 5 == 0) {
            ruleset_fold_run(fold);
            changed = ruleset_fold_end(current, fold);
            ruleset_fold_free(fold);
            fold_count += changed != current;
            ruleset_release(current);
            current = changed;
            fold = NULL;
        }
        for (unsigned i = 0; i < NAMES; i++) {
            if (rules[i] != NULL) {
                live[count++] = rules[i];
            }
        }
        fresh = ruleset_of(live, count);
        expect_same_hits(current, fresh, scratch, other);
        ruleset_release(fresh);
        if (round % 10 == 0) {
            expect_rules(current, rules);
        }
    }
    assert_true(fold_count > 10);
    if (fold != NULL) {
        ruleset_fold_run(fold);
        ruleset_fold_free(fold);
    }
    ruleset_release(current);
    for (unsigned i = 0; i < NAMES; i++) {
        rule_release(rules[i]);
    }
    ruleset_scratch_clean_up(scratch);
    ruleset_scratch_clean_up(other);
    test_free(scratch);
    test_free(other);
}

/* Goal:   a bus exists while it is named or has rules. */
static void test_buses_come_and_go(void **state)
{
    static const struct slice bus[] = {SLICE_INIT(MEMBER "/own")};
    static const struct rule_row row = {MEMBER, "own", "r", "{\"source\":[\"s\"]}", 1, false};
    struct rule *rule = make_rule(&row, 1);
    struct ruleset_change change = {.bus = bus[0], .name = rule->name, .rule = rule};
    const struct ruleset_edit steps[] = {
        {.named = bus, .named_count = 1},
        {.changes = &change, .change_count = 1},
        {.unnamed = bus, .unnamed_count = 1},
        {.changes = &change, .change_count = 1},
    };
    static const bool exists[] = {true, true, true, false};
    struct ruleset *current = ruleset_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct ruleset *changed = ruleset_change(current, &steps[i]);

        assert_true(ruleset_has_bus(changed, SLICE(MEMBER), SLICE("own")) == exists[i]);
        ruleset_release(current);
        current = changed;
        change.rule = i == 1 ? NULL : change.rule; /* it goes last */
    }
    ruleset_release(current);
    rule_release(rule);
}

static void test_an_empty_set_matches_nothing(void **state)
{
    struct ruleset *ruleset = ruleset_new();
    struct ruleset_scratch *scratch = test_calloc(1, sizeof(*scratch));
    struct event *event = make_event("s", "{}");

    (void)state;
    assert_ptr_equal(ruleset_acquire(ruleset), ruleset);
    ruleset_release(ruleset);
    assert_int_equal(ruleset_match(ruleset, SLICE(MEMBER), SLICE("default"), event, scratch),
                     ERR_OK);
    assert_int_equal(scratch->hit_count, 0);
    event_release(event);
    ruleset_scratch_clean_up(scratch);
    test_free(scratch);
    ruleset_release(ruleset);
    ruleset_release(NULL);
}

static void test_the_account_is_filled_into_templates(void **state)
{
    static const struct {
        const char *template;
        const char *expected;
    } templates[] = {
        {"", ""},
        {"arn:aws:sqs:us-east-1:999999999999:q", "arn:aws:sqs:us-east-1:999999999999:q"},
        {"arn:aws:iam::{account}:role/r", "arn:aws:iam::" MEMBER ":role/r"},
        {"{account}", MEMBER},
        {"{account}{account}-{account", MEMBER MEMBER "-{account"},
        {"x{account}y{account}z", "x" MEMBER "y" MEMBER "z"},
    };
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
        const struct slice filled =
            rule_fill_account(slice_of(templates[i].template), SLICE(MEMBER), &arena);

        if (!slice_eq(filled, slice_of(templates[i].expected))) {
            fail_msg("%s became %.*s", templates[i].template, SLICE_ARG(filled));
        }
    }
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_reaches_its_bus_and_the_central_one),
        cmocka_unit_test(test_targets_are_found_by_uid),
        cmocka_unit_test(test_known_buses),
        cmocka_unit_test(test_too_many_hits_are_refused),
        cmocka_unit_test(test_archives_too_many_are_left_out),
        cmocka_unit_test(test_an_event_that_asks_too_much_matches_nothing),
        cmocka_unit_test(test_an_unfinished_search_is_counted),
        cmocka_unit_test(test_changed_rulesets_agree_with_new_ones),
        cmocka_unit_test(test_buses_come_and_go),
        cmocka_unit_test(test_an_empty_set_matches_nothing),
        cmocka_unit_test(test_the_account_is_filled_into_templates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
