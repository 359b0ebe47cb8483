/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_post.c - through which predicate a branch is reached.
 *
 * A branch can match only if each of its conditions holds, so it is enough to look at it when one
 * of them does.  That one is its access: the condition whose predicates are rarest among all
 * branches, weighed by how much a predicate of its kind usually lets through.  The branch waits at
 * each predicate of its access, and beside it stands its guard, the next rarest condition: most
 * branches that are reached in vain are dismissed by the guard without being looked at.
 *
 * Branches that wait at one predicate are sorted by guard and numbered in that order: a guard is
 * asked once for all of them, and what is read about them lies side by side.
 *
 * A condition that an absent leaf may satisfy, or that asks for what a leaf is not, is never an
 * access by its predicates; if it needs some leaf, the presence of its path is.  What is left waits
 * in `always`.
 */
#include "routing/matcher_internal.h"

/* How many values a predicate of each kind lets through, next to one that asks for equality. */
static const uint16_t weights[MATCHER_KIND_COUNT] = {
    [MATCHER_TEXT] = 1,
    [MATCHER_FOLDED] = 1,
    [MATCHER_NUMBER] = 1,
    [MATCHER_SPELLING] = 1,
    [MATCHER_ADDRESS] = 1,
    [MATCHER_TRUE] = 8,
    [MATCHER_FALSE] = 8,
    [MATCHER_NULL] = 8,
    [MATCHER_PRESENT] = 64,
    [MATCHER_ANY_STRING] = 64,
    [MATCHER_PREFIX] = 2,
    [MATCHER_SUFFIX] = 2,
    [MATCHER_FOLDED_PREFIX] = 2,
    [MATCHER_FOLDED_SUFFIX] = 2,
    [MATCHER_RANGE] = 16,
    [MATCHER_BLOCK] = 4,
    [MATCHER_WILDCARD] = 3,
    [MATCHER_FOLDED_OTHER] = 1,
    [MATCHER_FOLDED_PREFIX_OTHER] = 2,
    [MATCHER_FOLDED_SUFFIX_OTHER] = 2,
    [MATCHER_IN_LIST] = 16,
};

struct choice {
    uint32_t access; /* condition, or NONE */
    uint32_t guard;
    bool is_by_presence;
};

struct posting_plan {
    struct matcher *matcher;
    uint32_t *uses;   /* by predicate: in how many branches */
    uint64_t *scores; /* by condition; low is rare */
    struct choice *choices;
};

static bool is_by_presence(const struct matcher_condition *condition)
{
    return condition->negation_count > 0;
}

static void count_uses(struct posting_plan *plan)
{
    const struct matcher *matcher = plan->matcher;
    uint32_t *condition_uses = xcalloc(matcher->condition_count + 1, sizeof(*condition_uses));

    for (size_t i = 0; i < matcher->branch_condition_count; i++) {
        condition_uses[matcher->branch_conditions[i]]++;
    }
    for (size_t i = 0; i < matcher->condition_count; i++) {
        const struct matcher_condition *condition = &matcher->conditions[i];

        for (uint32_t j = 0; j < condition->positive_count; j++) {
            plan->uses[matcher->members[condition->start + j]] += condition_uses[i];
        }
    }
    for (size_t i = 0; i < matcher->condition_count; i++) {
        const struct matcher_condition *condition = &matcher->conditions[i];
        uint64_t score = 0;

        for (uint32_t j = 0; j < condition->positive_count; j++) {
            const uint32_t predicate = matcher->members[condition->start + j];

            score += (uint64_t)plan->uses[predicate] * weights[matcher->predicates[predicate].kind];
        }
        if (is_by_presence(condition)) {
            score += (uint64_t)condition_uses[i] * 64 + ((uint64_t)1 << 40);
        }
        plan->scores[i] = condition->may_be_absent ? UINT64_MAX : score;
    }
    xfree(condition_uses);
}

/* A condition that asks for one predicate and nothing else is that predicate. */
static void note_sole_predicates(struct matcher *matcher)
{
    matcher->sole_predicates = xmalloc(sizeof(uint32_t) * MAX_OF(matcher->condition_count, 1));
    for (size_t i = 0; i < matcher->condition_count; i++) {
        const struct matcher_condition *condition = &matcher->conditions[i];
        const bool is_sole = condition->positive_count == 1 && condition->negation_count == 0 &&
                             !condition->may_be_absent;

        matcher->sole_predicates[i] = is_sole ? matcher->members[condition->start] : MATCHER_NONE;
    }
}

/* What to ask about a condition. */
static uint32_t test_of(const struct matcher *matcher, uint32_t condition)
{
    if (condition == MATCHER_NONE || matcher->sole_predicates[condition] == MATCHER_NONE) {
        return condition;
    }
    return matcher->sole_predicates[condition] | MATCHER_IS_PREDICATE;
}

static struct choice choose(const struct posting_plan *plan, const struct matcher_branch *branch)
{
    const uint32_t *conditions = plan->matcher->branch_conditions + branch->start;
    struct choice choice = {.access = MATCHER_NONE, .guard = MATCHER_NONE};
    uint64_t best = UINT64_MAX;
    uint64_t second = UINT64_MAX;

    for (uint32_t i = 0; i < branch->condition_count; i++) {
        const uint64_t score = plan->scores[conditions[i]];

        if (score < best) {
            choice.guard = choice.access;
            second = best;
            choice.access = conditions[i];
            best = score;
        } else if (score < second) {
            choice.guard = conditions[i];
            second = score;
        }
    }
    choice.is_by_presence =
        choice.access != MATCHER_NONE && is_by_presence(&plan->matcher->conditions[choice.access]);
    return choice;
}

/* Call `visit` for every predicate at which a branch waits. */
static void for_each_place(struct posting_plan *plan, size_t branch,
                           void (*visit)(struct posting_plan *plan, uint32_t predicate,
                                         struct matcher_posting posting))
{
    const struct matcher *matcher = plan->matcher;
    const struct choice *choice = &plan->choices[branch];
    const struct matcher_condition *condition = &matcher->conditions[choice->access];
    const struct matcher_posting posting = {(uint32_t)branch, test_of(matcher, choice->guard)};

    if (choice->is_by_presence) {
        visit(plan, matcher->paths[condition->path].is_present, posting);
        return;
    }
    for (uint32_t i = 0; i < condition->positive_count; i++) {
        visit(plan, matcher->members[condition->start + i], posting);
    }
}

static void count_place(struct posting_plan *plan, uint32_t predicate,
                        struct matcher_posting posting)
{
    (void)posting;
    plan->matcher->posting_starts[predicate + 1]++;
}

static void fill_place(struct posting_plan *plan, uint32_t predicate,
                       struct matcher_posting posting)
{
    /* the starts were moved up by one: filling moves each to where it belongs */
    plan->matcher->postings[plan->matcher->posting_starts[predicate + 1]++] = posting;
}

static void fill_postings(struct posting_plan *plan)
{
    struct matcher *matcher = plan->matcher;
    uint32_t *starts = xcalloc(matcher->predicate_count + 2, sizeof(*starts));
    uint32_t total = 0;

    matcher->posting_starts = starts;
    for (size_t i = 0; i < matcher->branch_count; i++) {
        if (plan->choices[i].access != MATCHER_NONE) {
            for_each_place(plan, i, count_place);
        } else {
            matcher->always_count++;
        }
    }
    for (size_t i = 0; i <= matcher->predicate_count; i++) {
        const uint32_t count = starts[i + 1];

        starts[i + 1] = total;
        total += count;
    }
    matcher->postings = xmalloc(sizeof(*matcher->postings) * MAX_OF(total, 1U));
    matcher->always = xmalloc(sizeof(*matcher->always) * MAX_OF(matcher->always_count, 1U));
    matcher->always_count = 0;
    for (size_t i = 0; i < matcher->branch_count; i++) {
        if (plan->choices[i].access != MATCHER_NONE) {
            for_each_place(plan, i, fill_place);
        } else {
            matcher->always[matcher->always_count++] =
                (struct matcher_posting){(uint32_t)i, MATCHER_NONE};
        }
    }
}

/* ---- order --------------------------------------------------------------------------------- */

static int compare_guards(const void *a, const void *b)
{
    const struct matcher_posting *left = a;
    const struct matcher_posting *right = b;

    if (left->guard != right->guard) {
        return left->guard < right->guard ? -1 : 1;
    }
    return left->branch < right->branch ? -1 : left->branch > right->branch;
}

/* Those of one predicate by guard, so that each guard is asked once. */
static void sort_postings(struct matcher *matcher)
{
    for (size_t i = 0; i < matcher->predicate_count; i++) {
        const uint32_t start = matcher->posting_starts[i];
        const uint32_t count = matcher->posting_starts[i + 1] - start;

        if (count > 1) {
            qsort(matcher->postings + start, count, sizeof(*matcher->postings), compare_guards);
        }
    }
}

/* What is left to ask about a branch, the rarest first. */
static uint32_t list_tests(const struct posting_plan *plan, size_t branch, uint32_t *tests)
{
    const struct matcher *matcher = plan->matcher;
    const struct matcher_branch *from = &matcher->branches[branch];
    const struct choice *choice = &plan->choices[branch];
    uint64_t scores[PATTERN_PATHS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < from->condition_count; i++) {
        const uint32_t condition = matcher->branch_conditions[from->start + i];
        const uint64_t score = plan->scores[condition];
        uint32_t at = count;

        if (condition == choice->guard ||
            (condition == choice->access && !choice->is_by_presence)) {
            continue; /* held if the branch is reached */
        }
        for (; at > 0 && scores[at - 1] > score; at--) {
            scores[at] = scores[at - 1];
            tests[at] = tests[at - 1];
        }
        scores[at] = score;
        tests[at] = test_of(matcher, condition);
        count++;
    }
    return count;
}

/* Branches in a new order. */
struct ordering {
    struct posting_plan *plan;
    uint32_t *numbers; /* by old number: the new one, or NONE */
    struct matcher_branch *branches;
    uint32_t *conditions, *tests;
    uint32_t branch_count, condition_count;
};

/* The next branch of the order, if it is not there yet. Its new number. */
static uint32_t place_branch(struct ordering *ordering, uint32_t branch)
{
    const struct matcher *matcher = ordering->plan->matcher;
    struct matcher_branch *to = &ordering->branches[ordering->branch_count];

    if (ordering->numbers[branch] == MATCHER_NONE) {
        *to = matcher->branches[branch];
        to->start = ordering->condition_count;
        memcpy(ordering->conditions + to->start,
               matcher->branch_conditions + matcher->branches[branch].start,
               sizeof(uint32_t) * to->condition_count);
        to->test_count = list_tests(ordering->plan, branch, ordering->tests + to->start);
        ordering->condition_count += to->condition_count;
        ordering->numbers[branch] = ordering->branch_count++;
    }
    return ordering->numbers[branch];
}

/* Branches that are visited together lie together. */
static void order_branches(struct posting_plan *plan)
{
    struct matcher *matcher = plan->matcher;
    const size_t branch_max = MAX_OF(matcher->branch_count, (size_t)1);
    const size_t condition_max = MAX_OF(matcher->branch_condition_count, (size_t)1);
    struct ordering ordering = {
        .plan = plan,
        .numbers = xmalloc(sizeof(uint32_t) * branch_max),
        .branches = xmalloc(sizeof(*ordering.branches) * branch_max),
        .conditions = xmalloc(sizeof(uint32_t) * condition_max),
        .tests = xmalloc(sizeof(uint32_t) * condition_max),
    };

    memset(ordering.numbers, 0xff, sizeof(uint32_t) * branch_max);
    for (uint32_t i = 0; i < matcher->posting_starts[matcher->predicate_count]; i++) {
        matcher->postings[i].branch = place_branch(&ordering, matcher->postings[i].branch);
    }
    for (size_t i = 0; i < matcher->always_count; i++) {
        matcher->always[i].branch = place_branch(&ordering, matcher->always[i].branch);
    }
    CHECK(ordering.branch_count == matcher->branch_count);
    xfree(ordering.numbers);
    xfree(matcher->branches);
    xfree(matcher->branch_conditions);
    matcher->branches = ordering.branches;
    matcher->branch_conditions = ordering.conditions;
    matcher->branch_tests = ordering.tests;
}

void matcher_post_branches(struct matcher *matcher)
{
    struct posting_plan plan = {
        .matcher = matcher,
        .uses = xcalloc(matcher->predicate_count + 1, sizeof(*plan.uses)),
        .scores = xcalloc(matcher->condition_count + 1, sizeof(*plan.scores)),
        .choices = xcalloc(matcher->branch_count + 1, sizeof(*plan.choices)),
    };

    note_sole_predicates(matcher);
    count_uses(&plan);
    for (size_t i = 0; i < matcher->branch_count; i++) {
        plan.choices[i] = choose(&plan, &matcher->branches[i]);
        if (plan.choices[i].is_by_presence) {
            (void)matcher_add_presence(matcher, matcher->conditions[plan.choices[i].access].path);
        }
    }
    fill_postings(&plan);
    sort_postings(matcher);
    order_branches(&plan);
    xfree(plan.uses);
    xfree(plan.scores);
    xfree(plan.choices);
}
