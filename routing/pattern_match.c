/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_match.c - does an event match a pattern?  The plain answer, one pattern at a time.
 *
 * A branch matches if for each of its conditions one leaf can be picked that satisfies it, and all
 * picks agree about arrays: no array with two different elements.  Picks are made in the order of
 * the paths, which matters to one operator: {"exists": false} holds if no leaf of its path agrees
 * with the elements that the picks *before* it have fixed.
 *
 * First every condition is tried alone, which settles most events.  What is left is a search with
 * undo.  Two things keep it from exploding:
 *
 *   - A state that failed is not tried again.  What may still go differently depends only on which
 *     condition is next and on the fixed arrays that some leaf of a later condition lies in, so
 *     that is the key of a table of failed states.  For an event without repeated keys the number
 *     of states is bounded by the number of array elements.
 *   - A budget of steps.  Picking elements is as hard as satisfiability when an event repeats keys
 *     (each copy of an array offers other picks), so the search ends after PATTERN_STEPS_MAX and
 *     says so; the caller takes it for no match.  Nothing is ever delivered on a guess.
 *
 * Leaves of an element of an array are a run in the order of the text, so the leaves of elements
 * that are ruled out are jumped over, not walked.
 *
 * Invariant: whatever holds an element of an array fixed holds the elements around it, too.
 * Memory:    an arena per evaluation.
 */
#include "routing/pattern_internal.h"

#include "core/map.h"
#include "routing/fold.h"
#include "routing/number.h"
#include "routing/partner_list.h"

/* ---- one leaf, one entry ------------------------------------------------------------------- */

static bool accepts_text(const struct predicate *predicate, struct slice text,
                         const struct partner_lists *lists)
{
    struct ip_address address;

    switch (predicate->kind) {
    case PREDICATE_TEXT:
        return slice_eq(text, predicate->text);
    case PREDICATE_PREFIX:
        return slice_has_prefix(text, predicate->text);
    case PREDICATE_SUFFIX:
        return slice_has_suffix(text, predicate->text);
    case PREDICATE_IGNORE_CASE:
        return fold_matches(predicate->text, text);
    case PREDICATE_PREFIX_IGNORE_CASE:
        return fold_matches_prefix(predicate->text, text);
    case PREDICATE_SUFFIX_IGNORE_CASE:
        return fold_matches_suffix(predicate->text, text);
    case PREDICATE_WILDCARD:
        return wildcard_matches(&predicate->wildcard, text);
    case PREDICATE_ADDRESS:
        return ip_parse(text, &address) == IP_OK && ip_eq(&address, &predicate->address);
    case PREDICATE_BLOCK:
        return ip_parse(text, &address) == IP_OK &&
               ip_in_block(&address, &predicate->address, predicate->bits);
    case PREDICATE_IN_LIST:
        return partner_lists_hold(lists, predicate->text, text);
    case PREDICATE_NUMBER:
    case PREDICATE_TRUE:
    case PREDICATE_FALSE:
    case PREDICATE_NULL:
    case PREDICATE_RANGE:
    case PREDICATE_PRESENT:
    case PREDICATE_ABSENT:
    case PREDICATE_NOT:
        break;
    }
    return false;
}

static bool is_in_range(const struct predicate *predicate, double value)
{
    return (predicate->is_low_open ? value > predicate->low : value >= predicate->low) &&
           (predicate->is_high_open ? value < predicate->high : value <= predicate->high);
}

static bool accepts_number(const struct predicate *predicate, struct slice text)
{
    double value;

    if (predicate->kind == PREDICATE_RANGE) {
        return number_read(text, &value) && is_in_range(predicate, value);
    }
    if (predicate->kind != PREDICATE_NUMBER) {
        return false;
    }
    if (slice_eq(text, predicate->text)) {
        return true;
    }
    return predicate->is_comparable && number_read(text, &value) && value == predicate->low;
}

static bool is_accepted_by_none(const struct predicate *operands, const struct event_leaf *leaf,
                                const struct partner_lists *lists)
{
    for (; operands != NULL; operands = operands->next) {
        if (predicate_accepts(operands, leaf, lists)) {
            return false;
        }
    }
    return true;
}

bool predicate_accepts(const struct predicate *predicate, const struct event_leaf *leaf,
                       const struct partner_lists *lists)
{
    if (predicate->kind == PREDICATE_PRESENT) {
        return true;
    }
    if (predicate->kind == PREDICATE_NOT) {
        return is_accepted_by_none(predicate->operands, leaf, lists);
    }
    switch (leaf->type) {
    case LEAF_STRING:
        return accepts_text(predicate, leaf->text, lists);
    case LEAF_NUMBER:
        return accepts_number(predicate, leaf->text);
    case LEAF_TRUE:
        return predicate->kind == PREDICATE_TRUE;
    case LEAF_FALSE:
        return predicate->kind == PREDICATE_FALSE;
    case LEAF_NULL:
        return predicate->kind == PREDICATE_NULL;
    }
    return false;
}

static bool condition_accepts(const struct pattern_condition *condition,
                              const struct event_leaf *leaf, const struct partner_lists *lists)
{
    for (const struct predicate *entry = condition->predicates; entry != NULL;
         entry = entry->next) {
        if (predicate_accepts(entry, leaf, lists)) {
            return true;
        }
    }
    return false;
}

/* ---- conditions alone ---------------------------------------------------------------------- */

/* What is known of one condition and this event; branches share conditions. */
struct finding {
    bool is_known;
    bool holds_alone; /* if no other condition stood beside it */
    bool may_hold;    /* beside others, which may fix elements that make its leaves absent */
    bool is_free;     /* no leaf of its path lies in an element: nothing constrains it */
    const struct event_path *path; /* NULL: no leaf */
    bool *accepts;                 /* per leaf; NULL until the search asks */
};

struct evaluation {
    struct arena arena;
    const struct event_tree *tree;
    struct finding *findings; /* by the id of the condition */

    /* the search; arrays are indexed by the id of an event_array */
    const struct pattern_condition **conditions; /* of the branch, those that are not free */
    size_t condition_count;
    const struct event_element **fixed; /* the element picked, or NULL */
    const struct event_element **trail; /* what was fixed, in order */
    size_t trail_len;
    uint32_t *last_use; /* 1 + the last condition with a leaf in the array */
    struct map failed;  /* states that led nowhere */
    size_t steps_left;
};

static void find_out(struct evaluation *evaluation, const struct pattern_condition *condition,
                     struct finding *finding)
{
    const struct event_path *path = event_tree_find(evaluation->tree, condition->path);

    *finding = (struct finding){.is_known = true, .is_free = true, .path = path};
    finding->holds_alone = path == NULL && condition->may_be_absent;
    for (size_t i = 0; path != NULL && i < path->leaf_count; i++) {
        finding->is_free = finding->is_free && path->leaves[i]->element == NULL;
        finding->holds_alone = finding->holds_alone || condition_accepts(condition, path->leaves[i],
                                                                         evaluation->tree->lists);
    }
    finding->may_hold = finding->holds_alone || (condition->may_be_absent && !finding->is_free);
}

static struct finding *look_at(struct evaluation *evaluation,
                               const struct pattern_condition *condition)
{
    struct finding *finding = &evaluation->findings[condition->id];

    if (!finding->is_known) {
        find_out(evaluation, condition, finding);
    }
    return finding;
}

/* ---- the search ---------------------------------------------------------------------------- */

static enum pattern_verdict search_from(struct evaluation *evaluation, size_t index);

/* Count steps; false when the budget is spent. */
static bool spend(struct evaluation *evaluation, size_t steps)
{
    if (evaluation->steps_left <= steps) {
        evaluation->steps_left = 0;
        return false;
    }
    evaluation->steps_left -= steps;
    return true;
}

/* The outermost element around the leaf that contradicts what is fixed, or NULL. */
static const struct event_element *find_conflict(struct evaluation *evaluation,
                                                 const struct event_leaf *leaf)
{
    const struct event_element *conflict = NULL;
    size_t depth = 0;

    for (const struct event_element *element = leaf->element; element != NULL;
         element = element->outer) {
        const struct event_element *fixed = evaluation->fixed[element->array->id];

        if (fixed == element) {
            break; /* those around it are fixed as well */
        }
        if (fixed != NULL) {
            conflict = element;
        }
        depth++;
    }
    (void)spend(evaluation, depth);
    return conflict;
}

/* The first leaf of the path, from `from` on, whose number is `order` or more. */
static size_t find_order(const struct event_path *path, size_t from, uint32_t order)
{
    size_t end = path->leaf_count;

    while (from < end) {
        const size_t middle = from + (end - from) / 2;

        if (path->leaves[middle]->order < order) {
            from = middle + 1;
        } else {
            end = middle;
        }
    }
    return from;
}

/* Where to go on behind leaf `i`, which lies in the ruled-out element `conflict`.  Between elements
 * of the array stand at most scalars, and those have the path of the array itself: its condition
 * comes before all that could have fixed an element, so no such scalar is ever jumped over. */
static size_t jump(const struct evaluation *evaluation, const struct event_path *path, size_t i,
                   const struct event_element *conflict)
{
    const struct event_element *fixed = evaluation->fixed[conflict->array->id];

    return find_order(path, i + 1,
                      fixed->index > conflict->index ? fixed->order : conflict->array->end_order);
}

/* The next leaf from `i` on that agrees with what is fixed; leaf_count if there is none or the
 * budget is spent. */
static size_t next_agreeing(struct evaluation *evaluation, const struct event_path *path, size_t i)
{
    while (i < path->leaf_count) {
        const struct event_element *conflict = find_conflict(evaluation, path->leaves[i]);

        if (!spend(evaluation, 1)) {
            return path->leaf_count;
        }
        if (conflict == NULL) {
            return i;
        }
        i = jump(evaluation, path, i, conflict);
    }
    return i;
}

static void fix(struct evaluation *evaluation, const struct event_leaf *leaf)
{
    for (const struct event_element *element = leaf->element; element != NULL;
         element = element->outer) {
        if (evaluation->fixed[element->array->id] != NULL) {
            return; /* those around it are fixed as well */
        }
        evaluation->fixed[element->array->id] = element;
        evaluation->trail[evaluation->trail_len++] = element;
    }
}

static void undo(struct evaluation *evaluation, size_t trail_len)
{
    while (evaluation->trail_len > trail_len) {
        evaluation->trail_len--;
        evaluation->fixed[evaluation->trail[evaluation->trail_len]->array->id] = NULL;
    }
}

/* The state in which condition `index` is next: its number, and the fixed elements that matter to
 * it or to later ones. */
static struct slice state_key(struct evaluation *evaluation, size_t index)
{
    uint32_t *key = arena_alloc(&evaluation->arena, sizeof(*key) * (1 + 2 * evaluation->trail_len));
    size_t len = 0;

    key[len++] = (uint32_t)index;
    for (size_t i = 0; i < evaluation->trail_len; i++) {
        const struct event_element *element = evaluation->trail[i];

        if (evaluation->last_use[element->array->id] > index) {
            key[len++] = element->array->id;
            key[len++] = element->index;
        }
    }
    return (struct slice){(const char *)key, len * sizeof(*key)};
}

/* Try every agreeing leaf of a condition, then its absence. */
static enum pattern_verdict try_leaves(struct evaluation *evaluation, size_t index)
{
    const struct pattern_condition *condition = evaluation->conditions[index];
    const struct finding *finding = &evaluation->findings[condition->id];
    const struct event_path *path = finding->path;
    const size_t trail_len = evaluation->trail_len;
    bool is_absent = true;

    for (size_t i = next_agreeing(evaluation, path, 0); i < path->leaf_count;
         i = next_agreeing(evaluation, path, i + 1)) {
        enum pattern_verdict verdict;

        is_absent = false;
        if (!finding->accepts[i]) {
            continue;
        }
        fix(evaluation, path->leaves[i]);
        verdict = search_from(evaluation, index + 1);
        undo(evaluation, trail_len);
        if (verdict != PATTERN_NO_MATCH) {
            return verdict;
        }
    }
    if (evaluation->steps_left == 0) {
        return PATTERN_EXHAUSTED;
    }
    if (is_absent && condition->may_be_absent) {
        return search_from(evaluation, index + 1);
    }
    return PATTERN_NO_MATCH;
}

static enum pattern_verdict search_from(struct evaluation *evaluation, size_t index)
{
    enum pattern_verdict verdict;
    struct slice key;

    if (index == evaluation->condition_count) {
        return PATTERN_MATCH;
    }
    if (!spend(evaluation, 1 + evaluation->trail_len)) {
        return PATTERN_EXHAUSTED;
    }
    key = state_key(evaluation, index);
    if (map_get(&evaluation->failed, key) != NULL) {
        return PATTERN_NO_MATCH;
    }
    verdict = try_leaves(evaluation, index);
    if (verdict == PATTERN_NO_MATCH) {
        (void)map_put(&evaluation->failed, key, evaluation);
    }
    return verdict;
}

/* ---- branches ------------------------------------------------------------------------------ */

static void note_uses(struct evaluation *evaluation, const struct event_path *path, uint32_t index)
{
    for (size_t i = 0; i < path->leaf_count; i++) {
        for (const struct event_element *element = path->leaves[i]->element; element != NULL;
             element = element->outer) {
            uint32_t *last_use = &evaluation->last_use[element->array->id];

            if (*last_use == index + 1) {
                break; /* those around it are noted as well */
            }
            *last_use = index + 1;
        }
    }
}

static void note_accepted(struct evaluation *evaluation, const struct pattern_condition *condition,
                          struct finding *finding)
{
    const struct event_path *path = finding->path;

    if (finding->accepts != NULL) {
        return;
    }
    finding->accepts = ARENA_ARRAY(&evaluation->arena, bool, path->leaf_count);
    for (size_t i = 0; i < path->leaf_count; i++) {
        finding->accepts[i] =
            condition_accepts(condition, path->leaves[i], evaluation->tree->lists);
    }
}

static void prepare_search(struct evaluation *evaluation)
{
    const size_t array_count = evaluation->tree->array_count;

    if (evaluation->fixed == NULL) {
        evaluation->fixed =
            ARENA_ARRAY(&evaluation->arena, const struct event_element *, array_count);
        evaluation->trail =
            ARENA_ARRAY(&evaluation->arena, const struct event_element *, array_count);
        evaluation->last_use = ARENA_ARRAY(&evaluation->arena, uint32_t, array_count);
        evaluation->conditions =
            ARENA_ARRAY(&evaluation->arena, const struct pattern_condition *, PATTERN_PATHS_MAX);
    }
    memset(evaluation->last_use, 0, sizeof(*evaluation->last_use) * array_count);
    evaluation->condition_count = 0;
    map_clean_up(&evaluation->failed);
}

static enum pattern_verdict search_branch(struct evaluation *evaluation,
                                          const struct pattern_branch *branch)
{
    if (!spend(evaluation, evaluation->tree->array_count)) {
        return PATTERN_EXHAUSTED;
    }
    prepare_search(evaluation);
    for (size_t i = 0; i < branch->condition_count; i++) {
        const struct pattern_condition *condition = branch->conditions[i];
        struct finding *finding = look_at(evaluation, condition);

        if (!finding->is_free) {
            note_accepted(evaluation, condition, finding);
            note_uses(evaluation, finding->path, (uint32_t)evaluation->condition_count);
            evaluation->conditions[evaluation->condition_count++] = condition;
        }
    }
    return search_from(evaluation, 0);
}

static enum pattern_verdict match_branch(struct evaluation *evaluation,
                                         const struct pattern_branch *branch)
{
    size_t constrained_count = 0;
    bool hold_alone = true;

    for (size_t i = 0; i < branch->condition_count; i++) {
        const struct finding *finding = look_at(evaluation, branch->conditions[i]);

        if (!finding->may_hold) {
            return PATTERN_NO_MATCH;
        }
        hold_alone = hold_alone && finding->holds_alone;
        constrained_count += finding->is_free ? 0 : 1;
    }
    if (constrained_count <= 1) { /* nobody to agree with */
        return hold_alone ? PATTERN_MATCH : PATTERN_NO_MATCH;
    }
    return search_branch(evaluation, branch);
}

enum pattern_verdict pattern_evaluate(const struct pattern *pattern, const struct event_tree *tree,
                                      size_t *steps_left)
{
    const size_t budget = MIN_OF(*steps_left, (size_t)PATTERN_STEPS_MAX);
    struct evaluation evaluation = {.tree = tree, .steps_left = budget};
    enum pattern_verdict verdict = PATTERN_NO_MATCH;

    evaluation.findings = ARENA_ARRAY(&evaluation.arena, struct finding, pattern->condition_count);
    for (size_t i = 0; i < pattern->branch_count && verdict != PATTERN_MATCH; i++) {
        const enum pattern_verdict one = match_branch(&evaluation, &pattern->branches[i]);

        verdict = one == PATTERN_NO_MATCH ? verdict : one;
    }
    *steps_left -= budget - evaluation.steps_left;
    map_clean_up(&evaluation.failed);
    arena_clean_up(&evaluation.arena);
    return verdict;
}

bool pattern_matches(const struct pattern *pattern, const struct event_tree *tree)
{
    size_t steps_left = PATTERN_STEPS_MAX;

    return pattern_evaluate(pattern, tree, &steps_left) == PATTERN_MATCH;
}

bool pattern_may_match(const struct pattern *pattern, const struct pattern_envelope *envelope)
{
    const struct {
        struct slice path;
        struct slice text;
    } members[] = {
        {SLICE("source"), envelope->source},
        {SLICE("detail-type"), envelope->detail_type},
        {SLICE("account"), envelope->account},
        {SLICE("region"), envelope->region},
    };

    for (size_t i = 0; i < pattern->branch_count; i++) {
        const struct pattern_branch *branch = &pattern->branches[i];
        bool may_match = true;

        for (size_t j = 0; j < branch->condition_count && may_match; j++) {
            const struct pattern_condition *condition = branch->conditions[j];

            for (size_t k = 0; k < ARRAY_LEN(members) && may_match; k++) {
                const struct event_leaf leaf = {.type = LEAF_STRING, .text = members[k].text};

                may_match = condition->asks_lists || !slice_eq(condition->path, members[k].path) ||
                            condition_accepts(condition, &leaf, NULL);
            }
        }
        if (may_match) {
            return true;
        }
    }
    return false;
}
