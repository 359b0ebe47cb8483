/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_arrays.c - do the leaves of a branch agree about array elements?
 *
 * The search of pattern_match.c on the leaves that a walk has noted, step for step and with the
 * same budget, so that even what is given up is the same.  What differs is what one event shares:
 * which leaves a condition accepts is found out once, whichever branches ask.
 *
 * Most often all leaves lie in the elements of arrays that lie in no other.  Then a branch matches
 * if for each array there is an element in which all its conditions there accept a leaf, and a
 * bitmap of elements per condition tells, whatever the number of branches.
 *
 * Leaves of an element of an array are a run in the order of the text, so the leaves of elements
 * that are ruled out are jumped over, not walked.
 *
 * Invariant: whatever holds an element of an array fixed holds the elements around it, too.
 * Memory:    grows to the largest event and is kept, except for the states that failed.
 */
#include "core/map.h"
#include "routing/matcher_internal.h"

struct matcher_search {
    struct matcher_scratch *scratch;
    struct matcher_side *side;
    struct arena arena;                      /* keys of failed states */
    struct map failed;                       /* states that led nowhere */
    uint32_t constrained[PATTERN_PATHS_MAX]; /* conditions of the branch that are not free */
    size_t constrained_count;
    uint32_t *fixed;    /* by array id: the element picked, or NONE */
    uint32_t *last_use; /* by array id: 1 + the last condition with a leaf in the array */
    uint32_t *trail;    /* what was fixed, in order */
    size_t array_max;
    size_t trail_len;
    size_t steps_left;
};

static enum pattern_verdict search_from(struct matcher_search *search, size_t index);

static const struct matcher_element *element_of(const struct matcher_search *search,
                                                uint32_t number)
{
    return &search->scratch->elements[number];
}

static uint32_t array_id(const struct matcher_search *search, uint32_t element)
{
    return search->scratch->arrays[search->scratch->elements[element].array].id;
}

/* Count steps; false when the budget is spent. */
static bool spend(struct matcher_search *search, size_t steps)
{
    if (search->steps_left <= steps) {
        search->steps_left = 0;
        return false;
    }
    search->steps_left -= steps;
    return true;
}

/* ---- the leaves of a path ------------------------------------------------------------------ */

struct listing {
    const uint32_t *leaves; /* in the order of the text */
    size_t count;
};

static struct listing list_leaves(struct matcher_side *side, uint32_t path)
{
    struct matcher_finding *finding = &side->findings[path];

    if (finding->listed == MATCHER_NONE) {
        finding->listed = (uint32_t)side->listed.count;
        for (uint32_t leaf = finding->first; leaf != MATCHER_NONE; leaf = side->leaves[leaf].next) {
            matcher_numbers_append(&side->listed, leaf);
        }
    }
    return (struct listing){side->listed.items + finding->listed, finding->leaf_count};
}

static struct listing leaves_of(const struct matcher_search *search, uint32_t condition)
{
    return list_leaves(search->side, search->side->matcher->conditions[condition].path);
}

/* For each leaf of its path, does the condition accept it? Where that is noted. */
static size_t note_accepted(struct matcher_scratch *scratch, struct matcher_side *side,
                            uint32_t number)
{
    const struct matcher_condition *condition = &side->matcher->conditions[number];
    const struct listing leaves = list_leaves(side, condition->path);
    uint64_t *noted = &side->condition_accepts[number];

    if (*noted >> 32 != scratch->epoch) {
        *noted = (uint64_t)scratch->epoch << 32 | side->accepts.count;
        for (size_t i = 0; i < leaves.count; i++) {
            matcher_numbers_append(
                &side->accepts,
                matcher_condition_accepts(side, condition, &side->leaves[leaves.leaves[i]]) ? 1
                                                                                            : 0);
        }
    }
    return (uint32_t)*noted;
}

/* ---- the search ---------------------------------------------------------------------------- */

/* The outermost element around the leaf that contradicts what is fixed, or NONE. */
static uint32_t find_conflict(struct matcher_search *search, uint32_t leaf)
{
    uint32_t conflict = MATCHER_NONE;
    size_t depth = 0;

    for (uint32_t element = search->side->leaves[leaf].element; element != MATCHER_NONE;
         element = element_of(search, element)->outer) {
        const uint32_t fixed = search->fixed[array_id(search, element)];

        if (fixed == element) {
            break; /* those around it are fixed as well */
        }
        if (fixed != MATCHER_NONE) {
            conflict = element;
        }
        depth++;
    }
    (void)spend(search, depth);
    return conflict;
}

/* The first leaf, from `from` on, whose number is `order` or more. */
static size_t find_order(const struct matcher_search *search, struct listing leaves, size_t from,
                         uint32_t order)
{
    size_t end = leaves.count;

    while (from < end) {
        const size_t middle = from + (end - from) / 2;

        if (search->side->leaves[leaves.leaves[middle]].order < order) {
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
static size_t jump(const struct matcher_search *search, struct listing leaves, size_t i,
                   uint32_t conflict)
{
    const struct matcher_element *from = element_of(search, conflict);
    const struct matcher_element *fixed =
        element_of(search, search->fixed[array_id(search, conflict)]);

    return find_order(search, leaves, i + 1,
                      fixed->index > from->index ? fixed->order
                                                 : search->scratch->arrays[from->array].end_order);
}

/* The next leaf from `i` on that agrees with what is fixed; the count if there is none or the
 * budget is spent. */
static size_t next_agreeing(struct matcher_search *search, struct listing leaves, size_t i)
{
    while (i < leaves.count) {
        const uint32_t conflict = find_conflict(search, leaves.leaves[i]);

        if (!spend(search, 1)) {
            return leaves.count;
        }
        if (conflict == MATCHER_NONE) {
            return i;
        }
        i = jump(search, leaves, i, conflict);
    }
    return i;
}

static void fix(struct matcher_search *search, uint32_t leaf)
{
    for (uint32_t element = search->side->leaves[leaf].element; element != MATCHER_NONE;
         element = element_of(search, element)->outer) {
        const uint32_t id = array_id(search, element);

        if (search->fixed[id] != MATCHER_NONE) {
            return; /* those around it are fixed as well */
        }
        search->fixed[id] = element;
        search->trail[search->trail_len++] = element;
    }
}

static void undo(struct matcher_search *search, size_t trail_len)
{
    while (search->trail_len > trail_len) {
        search->fixed[array_id(search, search->trail[--search->trail_len])] = MATCHER_NONE;
    }
}

/* The state in which condition `index` is next: its number, and the fixed elements that matter to
 * it or to later ones. */
static struct slice state_key(struct matcher_search *search, size_t index)
{
    uint32_t *key = arena_alloc(&search->arena, sizeof(*key) * (1 + 2 * search->trail_len));
    size_t len = 0;

    key[len++] = (uint32_t)index;
    for (size_t i = 0; i < search->trail_len; i++) {
        const uint32_t id = array_id(search, search->trail[i]);

        if (search->last_use[id] > index) {
            key[len++] = id;
            key[len++] = element_of(search, search->trail[i])->index;
        }
    }
    return (struct slice){(const char *)key, len * sizeof(*key)};
}

/* Try every agreeing leaf of a condition, then its absence. */
static enum pattern_verdict try_leaves(struct matcher_search *search, size_t index)
{
    const uint32_t number = search->constrained[index];
    const struct listing leaves = leaves_of(search, number);
    const uint32_t *accepts =
        search->side->accepts.items + note_accepted(search->scratch, search->side, number);
    const size_t trail_len = search->trail_len;
    bool is_absent = true;

    for (size_t i = next_agreeing(search, leaves, 0); i < leaves.count;
         i = next_agreeing(search, leaves, i + 1)) {
        enum pattern_verdict verdict;

        is_absent = false;
        if (accepts[i] == 0) {
            continue;
        }
        fix(search, leaves.leaves[i]);
        verdict = search_from(search, index + 1);
        undo(search, trail_len);
        if (verdict != PATTERN_NO_MATCH) {
            return verdict;
        }
    }
    if (search->steps_left == 0) {
        return PATTERN_EXHAUSTED;
    }
    if (is_absent && search->side->matcher->conditions[number].may_be_absent) {
        return search_from(search, index + 1);
    }
    return PATTERN_NO_MATCH;
}

static enum pattern_verdict search_from(struct matcher_search *search, size_t index)
{
    enum pattern_verdict verdict;
    struct slice key;

    if (index == search->constrained_count) {
        return PATTERN_MATCH;
    }
    if (!spend(search, 1 + search->trail_len)) {
        return PATTERN_EXHAUSTED;
    }
    key = state_key(search, index);
    if (map_get(&search->failed, key) != NULL) {
        return PATTERN_NO_MATCH;
    }
    verdict = try_leaves(search, index);
    if (verdict == PATTERN_NO_MATCH) {
        (void)map_put(&search->failed, key, search);
    }
    return verdict;
}

/* ---- a branch ------------------------------------------------------------------------------ */

static void note_uses(struct matcher_search *search, struct listing leaves, uint32_t index)
{
    for (size_t i = 0; i < leaves.count; i++) {
        for (uint32_t element = search->side->leaves[leaves.leaves[i]].element;
             element != MATCHER_NONE; element = element_of(search, element)->outer) {
            uint32_t *last_use = &search->last_use[array_id(search, element)];

            if (*last_use == index + 1) {
                break; /* those around it are noted as well */
            }
            *last_use = index + 1;
        }
    }
}

/* ---- flat arrays --------------------------------------------------------------------------- */

static size_t word_count(const struct matcher_scratch *scratch,
                         const struct matcher_finding *finding)
{
    return scratch->arrays[finding->array].element_count / 32 + 1;
}

/* The elements of its array in which a flat condition accepts a leaf: where their bitmap begins. */
static size_t find_bitmap(struct matcher_scratch *scratch, struct matcher_side *side,
                          uint32_t number)
{
    const struct matcher_condition *condition = &side->matcher->conditions[number];
    const struct matcher_finding *finding = &side->findings[condition->path];
    uint64_t *noted = &side->condition_bitmaps[number];
    uint32_t *bitmap;

    if (*noted >> 32 != scratch->epoch) {
        *noted = (uint64_t)scratch->epoch << 32 | side->bitmaps.count;
        for (size_t i = word_count(scratch, finding); i > 0; i--) {
            matcher_numbers_append(&side->bitmaps, 0);
        }
        bitmap = side->bitmaps.items + (uint32_t)*noted;
        for (uint32_t i = finding->first; i != MATCHER_NONE; i = side->leaves[i].next) {
            const struct matcher_leaf *leaf = &side->leaves[i];
            const uint32_t index = scratch->elements[leaf->element].index;

            if (matcher_condition_accepts(side, condition, leaf)) {
                bitmap[index / 32] |= (uint32_t)1 << (index % 32);
            }
        }
    }
    return (uint32_t)*noted;
}

/* The constrained conditions of the branch into `constrained`.  Are all of them flat, and never
 * satisfied by absence? */
static bool gather_flat(struct matcher_search *search, const struct matcher_branch *branch)
{
    const struct matcher *matcher = search->side->matcher;

    search->constrained_count = 0;
    for (uint32_t i = 0; i < branch->condition_count; i++) {
        const uint32_t number = matcher->branch_conditions[branch->start + i];
        const struct matcher_condition *condition = &matcher->conditions[number];
        const struct matcher_finding *finding = &search->side->findings[condition->path];

        if (finding->epoch != search->scratch->epoch || !finding->is_in_element) {
            continue;
        }
        if (!finding->is_flat || condition->may_be_absent) {
            return false;
        }
        search->constrained[search->constrained_count++] = number;
    }
    return true;
}

static const struct matcher_finding *finding_of(const struct matcher_search *search, size_t index)
{
    const struct matcher_side *side = search->side;

    return &side->findings[side->matcher->conditions[search->constrained[index]].path];
}

/* Is there an element that condition `first` and all later ones of its array accept? */
static bool has_common_element(struct matcher_search *search, size_t first)
{
    const struct matcher_finding *finding = finding_of(search, first);
    const size_t count = word_count(search->scratch, finding);
    size_t starts[PATTERN_PATHS_MAX]; /* of bitmaps, which move while new ones are made */
    size_t start_count = 0;

    for (size_t i = first; i < search->constrained_count; i++) {
        if (finding_of(search, i)->array == finding->array) {
            starts[start_count++] =
                find_bitmap(search->scratch, search->side, search->constrained[i]);
        }
    }
    for (size_t word = 0; word < count; word++) {
        uint32_t common = search->side->bitmaps.items[starts[0] + word];

        for (size_t i = 1; i < start_count && common != 0; i++) {
            common &= search->side->bitmaps.items[starts[i] + word];
        }
        if (common != 0) {
            return true;
        }
    }
    return false;
}

static enum pattern_verdict match_flat(struct matcher_search *search)
{
    for (size_t i = 0; i < search->constrained_count; i++) {
        bool is_done = false; /* with an earlier condition of the same array */

        for (size_t j = 0; j < i && !is_done; j++) {
            is_done = finding_of(search, j)->array == finding_of(search, i)->array;
        }
        if (!is_done && !has_common_element(search, i)) {
            return PATTERN_NO_MATCH;
        }
    }
    return PATTERN_MATCH;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static struct matcher_search *begin(struct matcher_scratch *scratch, struct matcher_side *side)
{
    if (scratch->search == NULL) {
        scratch->search = xcalloc(1, sizeof(*scratch->search));
    }
    scratch->search->scratch = scratch;
    scratch->search->side = side;
    return scratch->search;
}

static void prepare(struct matcher_search *search)
{
    const struct matcher_scratch *scratch = search->scratch;
    const size_t array_count = scratch->constraining_count;

    if (search->array_max < array_count) {
        search->array_max = 2 * array_count;
        search->fixed = xrealloc(search->fixed, sizeof(uint32_t) * search->array_max);
        search->last_use = xrealloc(search->last_use, sizeof(uint32_t) * search->array_max);
        search->trail = xrealloc(search->trail, sizeof(uint32_t) * search->array_max);
    }
    memset(search->fixed, 0xff, sizeof(uint32_t) * array_count);
    memset(search->last_use, 0, sizeof(uint32_t) * array_count);
    search->constrained_count = 0;
    search->trail_len = 0;
    search->steps_left = MIN_OF(*scratch->steps_left, (size_t)PATTERN_STEPS_MAX);
}

static enum pattern_verdict search_branch(struct matcher_search *search,
                                          const struct matcher_branch *branch)
{
    const struct matcher *matcher = search->side->matcher;
    enum pattern_verdict verdict;

    if (!spend(search, search->scratch->constraining_count)) {
        return PATTERN_EXHAUSTED;
    }
    for (uint32_t i = 0; i < branch->condition_count; i++) {
        const uint32_t number = matcher->branch_conditions[branch->start + i];
        const struct matcher_finding *finding =
            &search->side->findings[matcher->conditions[number].path];

        if (finding->epoch == search->scratch->epoch && finding->is_in_element) {
            (void)note_accepted(search->scratch, search->side, number);
            note_uses(search, leaves_of(search, number), (uint32_t)search->constrained_count);
            search->constrained[search->constrained_count++] = number;
        }
    }
    verdict = search_from(search, 0);
    map_clean_up(&search->failed);
    arena_reset(&search->arena);
    return verdict;
}

enum pattern_verdict matcher_search(struct matcher_scratch *scratch, struct matcher_side *side,
                                    const struct matcher_branch *branch)
{
    struct matcher_search *search = begin(scratch, side);
    enum pattern_verdict verdict;
    size_t budget;

    if (gather_flat(search, branch)) {
        return match_flat(search);
    }
    prepare(search);
    budget = search->steps_left;
    verdict = search_branch(search, branch);
    *scratch->steps_left -= budget - search->steps_left;
    return verdict;
}

void matcher_search_destroy(struct matcher_search *search)
{
    if (search == NULL) {
        return;
    }
    map_clean_up(&search->failed);
    arena_clean_up(&search->arena);
    xfree(search->fixed);
    xfree(search->last_use);
    xfree(search->trail);
    xfree(search);
}
