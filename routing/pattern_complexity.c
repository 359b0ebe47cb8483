/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_complexity.c - which wildcards of a pattern are tried on one value together.
 *
 * EventBridge refuses a rule whose wildcards could keep too many states alive at once.  It asks
 * that of every automaton that it would build for the rule alone.  The branches of a `$or` make one
 * automaton as long as they ask the same: those that agree on their first conditions have their
 * next condition in common, if it is of the same path.  So the branches are walked as a tree of
 * shared beginnings, and at each node the wildcards of one path are judged together.
 *
 *     {"a": W1, "$or": [{"b": W2}, {"b": W3}]}         a: W1 alone         b: W2 and W3
 *
 * Memory: an arena per call.
 */
#include "core/map.h"
#include "routing/pattern_internal.h"

struct judging {
    struct arena arena;
    struct pattern_branch *branches; /* a copy, sorted so that shared beginnings are neighbours */
    struct map judged;               /* ids of conditions judged together -> struct verdict */
    size_t sets_left;                /* budget of the whole pattern */
    unsigned limit;
    unsigned largest;
};

struct verdict {
    unsigned complexity;
};

/* Sets of states looked at per pattern, before it is taken for too complex. */
enum { SETS_MAX = 100000 };

/* The conditions that some branches have at one depth, each once. */
struct choices {
    const struct pattern_condition **conditions;
    size_t count;
};

static int compare_branches(const void *a, const void *b)
{
    const struct pattern_branch *left = a;
    const struct pattern_branch *right = b;
    const size_t shared = MIN_OF(left->condition_count, right->condition_count);

    for (size_t i = 0; i < shared; i++) {
        const uint32_t left_id = left->conditions[i]->id;
        const uint32_t right_id = right->conditions[i]->id;

        if (left_id != right_id) {
            return left_id < right_id ? -1 : 1;
        }
    }
    return (left->condition_count > right->condition_count) -
           (left->condition_count < right->condition_count);
}

static size_t count_entries(const struct pattern_condition *condition)
{
    size_t count = 0;

    for (const struct predicate *entry = condition->predicates; entry != NULL;
         entry = entry->next) {
        count++;
    }
    return count;
}

/* The wildcards of one operator anything-but, if it has any. */
static struct wildcard_group negative_group(struct judging *judging, const struct predicate *entry)
{
    const struct wildcard **wildcards;
    size_t count = 0;

    for (const struct predicate *operand = entry->operands; operand != NULL;
         operand = operand->next) {
        count += operand->kind == PREDICATE_WILDCARD ? 1 : 0;
    }
    wildcards = ARENA_ARRAY(&judging->arena, const struct wildcard *, count);
    count = 0;
    for (const struct predicate *operand = entry->operands; operand != NULL;
         operand = operand->next) {
        if (operand->kind == PREDICATE_WILDCARD) {
            wildcards[count++] = &operand->wildcard;
        }
    }
    return (struct wildcard_group){wildcards, count, true};
}

static struct wildcard_group positive_group(struct judging *judging, const struct predicate *entry)
{
    const struct wildcard **wildcards = ARENA_ARRAY(&judging->arena, const struct wildcard *, 1);

    wildcards[0] = &entry->wildcard;
    return (struct wildcard_group){wildcards, 1, false};
}

/* Append the groups of one condition; returns how many there are now. */
static size_t add_groups(struct judging *judging, const struct pattern_condition *condition,
                         struct wildcard_group *groups, size_t count)
{
    for (const struct predicate *entry = condition->predicates; entry != NULL;
         entry = entry->next) {
        if (entry->kind == PREDICATE_WILDCARD) {
            groups[count++] = positive_group(judging, entry);
        } else if (entry->kind == PREDICATE_NOT) {
            groups[count] = negative_group(judging, entry);
            count += groups[count].count > 0 ? 1 : 0;
        }
    }
    return count;
}

/* The conditions among the choices that have the path of choice `first`; none if an earlier choice
 * has it, too. */
static struct choices of_same_path(struct judging *judging, const struct choices *all, size_t first)
{
    struct choices same = {.count = 0};

    same.conditions = ARENA_ARRAY(&judging->arena, const struct pattern_condition *, all->count);
    for (size_t i = 0; i < all->count; i++) {
        if (slice_eq(all->conditions[i]->path, all->conditions[first]->path)) {
            if (i < first) {
                return (struct choices){.count = 0};
            }
            same.conditions[same.count++] = all->conditions[i];
        }
    }
    return same;
}

static unsigned measure(struct judging *judging, const struct choices *same)
{
    struct wildcard_group *groups;
    size_t group_max = 0;
    size_t group_count = 0;

    for (size_t i = 0; i < same->count; i++) {
        group_max += count_entries(same->conditions[i]);
    }
    groups = ARENA_ARRAY(&judging->arena, struct wildcard_group, group_max);
    for (size_t i = 0; i < same->count; i++) {
        group_count = add_groups(judging, same->conditions[i], groups, group_count);
    }
    return wildcard_complexity(groups, group_count, judging->limit, &judging->sets_left);
}

/* Judge conditions of one path together; the same ones are measured once. */
static void judge_together(struct judging *judging, const struct choices *same)
{
    uint32_t *ids = ARENA_ARRAY(&judging->arena, uint32_t, same->count);
    const struct slice key = {(const char *)ids, sizeof(*ids) * same->count};
    struct verdict *verdict;

    for (size_t i = 0; i < same->count; i++) {
        ids[i] = same->conditions[i]->id;
    }
    verdict = map_get(&judging->judged, key);
    if (verdict == NULL) {
        verdict = ARENA_NEW(&judging->arena, struct verdict);
        verdict->complexity = measure(judging, same);
        (void)map_put(&judging->judged, key, verdict);
    }
    judging->largest = MAX_OF(judging->largest, verdict->complexity);
}

/* The branches from `begin` to before `end` agree on their first `depth` conditions. */
static void judge(struct judging *judging, size_t begin, size_t end, size_t depth)
{
    struct choices choices = {.count = 0};

    while (begin < end && judging->branches[begin].condition_count == depth) {
        begin++; /* ends here */
    }
    choices.conditions =
        ARENA_ARRAY(&judging->arena, const struct pattern_condition *, end - begin);
    while (begin < end && judging->largest <= judging->limit) {
        const struct pattern_condition *condition = judging->branches[begin].conditions[depth];
        size_t next = begin;

        while (next < end && judging->branches[next].conditions[depth] == condition) {
            next++;
        }
        choices.conditions[choices.count++] = condition;
        judge(judging, begin, next, depth + 1);
        begin = next;
    }
    for (size_t i = 0; i < choices.count && judging->largest <= judging->limit; i++) {
        const struct choices same = of_same_path(judging, &choices, i);

        if (same.count > 0) {
            judge_together(judging, &same);
        }
    }
}

unsigned pattern_complexity(const struct pattern *pattern, unsigned limit)
{
    struct judging judging = {.limit = limit, .sets_left = SETS_MAX};
    const size_t count = pattern->branch_count;

    judging.branches = ARENA_ARRAY(&judging.arena, struct pattern_branch, count);
    memcpy(judging.branches, pattern->branches, sizeof(*judging.branches) * count);
    qsort(judging.branches, count, sizeof(*judging.branches), compare_branches);
    judge(&judging, 0, count, 0);
    map_clean_up(&judging.judged);
    arena_clean_up(&judging.arena);
    return judging.largest;
}
