/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher.c - one event against compiled sets.
 *
 *   scan      the whole text is checked, and described by bitmaps (scan.c)
 *   walk      leaves that some path names are noted (matcher_walk.c)
 *   probe     each leaf asks which predicates it satisfies (matcher_field.c)
 *   gather    each satisfied predicate leads to the branches that wait at it
 *   verify    their other conditions, each answered once per event
 *   search    if array elements could disagree (matcher_arrays.c)
 *
 * So a rule costs nothing unless its rarest condition holds, and nothing is looked at twice.
 *
 * What is known of a condition, path or pattern is stamped with the number of the event, so nothing
 * is cleared between events.  Of a predicate one bit is known, so that all of a large set stay
 * near; those that were set are cleared.
 *
 * Memory: a scratch keeps what it has; in the steady state nothing is allocated.
 */
#include "routing/matcher_internal.h"

/* ---- life ---------------------------------------------------------------------------------- */

struct matcher *matcher_acquire(struct matcher *matcher)
{
    CHECK(matcher != NULL);
    CHECK(atomic_fetch_add_explicit(&matcher->references, 1, memory_order_relaxed) > 0);
    return matcher;
}

void matcher_release(struct matcher *matcher)
{
    if (matcher == NULL ||
        atomic_fetch_sub_explicit(&matcher->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < matcher->path_count; i++) {
        xfree(matcher->paths[i].singles);
        if (matcher->paths[i].fields != NULL) {
            matcher_stars_destroy(matcher->paths[i].fields->stars);
        }
    }
    xfree(matcher->nodes);
    xfree(matcher->paths);
    xfree(matcher->predicates);
    xfree(matcher->conditions);
    xfree(matcher->sole_predicates);
    xfree(matcher->members);
    xfree(matcher->branches);
    xfree(matcher->branch_conditions);
    xfree(matcher->branch_tests);
    xfree(matcher->postings);
    xfree(matcher->posting_starts);
    xfree(matcher->always);
    xfree(matcher->edges.slots);
    xfree(matcher->exact.slots);
    arena_clean_up(&matcher->arena);
    xfree(matcher);
}

bool matcher_is_shared(const struct matcher *matcher)
{
    return atomic_load_explicit(&matcher->references, memory_order_acquire) > 1;
}

size_t matcher_memory_bytes(const struct matcher *matcher)
{
    size_t bytes = sizeof(*matcher) + matcher->arena.used_bytes;

    bytes += matcher->node_count * sizeof(*matcher->nodes);
    bytes += matcher->path_count * sizeof(*matcher->paths);
    bytes += matcher->predicate_count * (sizeof(*matcher->predicates) + sizeof(uint32_t));
    bytes += matcher->condition_count * (sizeof(*matcher->conditions) + sizeof(uint32_t));
    bytes += matcher->member_count * sizeof(*matcher->members);
    bytes += matcher->branch_count * sizeof(*matcher->branches);
    bytes += matcher->branch_condition_count *
             (sizeof(*matcher->branch_conditions) + sizeof(*matcher->branch_tests));
    bytes += matcher->posting_starts[matcher->predicate_count] * sizeof(*matcher->postings);
    bytes += matcher->always_count * sizeof(*matcher->always);
    bytes += matcher->edges.slot_count * sizeof(*matcher->edges.slots);
    bytes += matcher->exact.slot_count * sizeof(*matcher->exact.slots);
    for (size_t i = 0; i < matcher->path_count; i++) {
        const struct matcher_path *path = &matcher->paths[i];

        bytes += path->single_count * sizeof(*path->singles);
        if (path->fields != NULL && path->fields->stars != NULL) {
            bytes += matcher_stars_memory_bytes(path->fields->stars);
        }
    }
    return bytes;
}

struct matcher_scratch *matcher_scratch_new(void)
{
    struct matcher_scratch *scratch = xcalloc(1, sizeof(*scratch));

    buf_init(&scratch->text, SIZE_MAX / 2);
    buf_init(&scratch->folded, SIZE_MAX / 2);
    return scratch;
}

void matcher_scratch_destroy(struct matcher_scratch *scratch)
{
    if (scratch == NULL) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(scratch->sides); i++) {
        struct matcher_side *side = &scratch->sides[i];

        xfree(side->predicate_bits);
        xfree(side->condition_states);
        xfree(side->condition_accepts);
        xfree(side->condition_bitmaps);
        xfree(side->pattern_epochs);
        xfree(side->search_epochs);
        xfree(side->findings);
        xfree(side->marks);
        xfree(side->leaves);
        xfree(side->hits.items);
        xfree(side->fired.items);
        xfree(side->candidates.items);
        xfree(side->matches.items);
        xfree(side->exhausted.items);
        xfree(side->listed.items);
        xfree(side->accepts.items);
        xfree(side->bitmaps.items);
    }
    scan_clean_up(&scratch->scan);
    buf_clean_up(&scratch->text);
    buf_clean_up(&scratch->folded);
    xfree(scratch->arrays);
    xfree(scratch->elements);
    matcher_search_destroy(scratch->search);
    xfree(scratch);
}

void matcher_use_lists(struct matcher_scratch *scratch, const struct partner_lists *lists)
{
    scratch->lists = lists;
}

void matcher_numbers_append(struct matcher_numbers *numbers, uint32_t number)
{
    if (numbers->count == numbers->max) {
        numbers->max = 2 * numbers->max + 64;
        numbers->items = xrealloc(numbers->items, sizeof(*numbers->items) * numbers->max);
    }
    numbers->items[numbers->count++] = number;
}

/* ---- conditions ---------------------------------------------------------------------------- */

enum { FEW = 8 };

/* Is the number among these, which ascend? */
static bool is_among(const uint32_t *numbers, size_t count, uint32_t number)
{
    size_t from = 0;

    if (count <= FEW) {
        for (size_t i = 0; i < count; i++) {
            if (numbers[i] == number) {
                return true;
            }
        }
        return false;
    }
    while (from < count) {
        const size_t middle = from + (count - from) / 2;

        if (numbers[middle] == number) {
            return true;
        }
        if (numbers[middle] < number) {
            from = middle + 1;
        } else {
            count = middle;
        }
    }
    return false;
}

static bool is_any_among(const struct matcher_side *side, const struct matcher_leaf *leaf,
                         const uint32_t *numbers, size_t count)
{
    for (uint32_t i = leaf->hit_start; i < leaf->hit_end; i++) {
        if (is_among(numbers, count, side->hits.items[i])) {
            return true;
        }
    }
    return false;
}

bool matcher_condition_accepts(const struct matcher_side *side,
                               const struct matcher_condition *condition,
                               const struct matcher_leaf *leaf)
{
    const uint32_t *members = side->matcher->members + condition->start;

    if (is_any_among(side, leaf, members, condition->positive_count)) {
        return true;
    }
    members += condition->positive_count;
    for (unsigned i = 0; i < condition->negation_count; i++) {
        if (!is_any_among(side, leaf, members + 1, members[0])) {
            return true;
        }
        members += 1 + members[0];
    }
    return false;
}

/* Does any leaf of its path satisfy it? */
static bool is_accepted(const struct matcher_side *side, const struct matcher_condition *condition,
                        const struct matcher_finding *finding)
{
    const uint32_t *members = side->matcher->members + condition->start;

    if (condition->positive_count <= FEW && condition->negation_count == 0) {
        for (uint32_t i = 0; i < condition->positive_count; i++) {
            if (matcher_is_hit(side, members[i])) {
                return true;
            }
        }
        return false;
    }
    for (uint32_t leaf = finding->first; leaf != MATCHER_NONE; leaf = side->leaves[leaf].next) {
        if (matcher_condition_accepts(side, condition, &side->leaves[leaf])) {
            return true;
        }
    }
    return false;
}

enum matcher_state matcher_ask(struct matcher_scratch *scratch, struct matcher_side *side,
                               uint32_t number)
{
    const uint32_t predicate = side->matcher->sole_predicates[number];
    const struct matcher_condition *condition = &side->matcher->conditions[number];
    uint64_t *known = &side->condition_states[number];
    enum matcher_state state = MATCHER_FAILS;
    const struct matcher_finding *finding;

    if (predicate != MATCHER_NONE) {
        return matcher_is_hit(side, predicate) ? MATCHER_HOLDS : MATCHER_FAILS;
    }
    if (*known >> 32 == scratch->epoch) {
        return (enum matcher_state)(uint32_t)*known;
    }
    finding = &side->findings[condition->path];
    if (finding->epoch != scratch->epoch) {
        state = condition->may_be_absent ? MATCHER_HOLDS : MATCHER_FAILS;
    } else if (is_accepted(side, condition, finding)) {
        state = MATCHER_HOLDS;
    } else if (condition->may_be_absent && finding->is_in_element) {
        state = MATCHER_MAY_BE;
    }
    *known = (uint64_t)scratch->epoch << 32 | state;
    return state;
}

/* ---- branches ------------------------------------------------------------------------------ */

/* Of how many conditions do leaves lie in elements? */
static size_t count_constrained(const struct matcher_scratch *scratch,
                                const struct matcher_side *side, const uint32_t *conditions,
                                size_t count)
{
    size_t constrained_count = 0;

    for (size_t i = 0; i < count && scratch->constraining_count > 0; i++) {
        const struct matcher_finding *finding =
            &side->findings[side->matcher->conditions[conditions[i]].path];

        constrained_count += finding->epoch == scratch->epoch && finding->is_in_element ? 1 : 0;
    }
    return constrained_count;
}

static enum matcher_state test(struct matcher_scratch *scratch, struct matcher_side *side,
                               uint32_t asked)
{
    if (asked == MATCHER_NONE) {
        return MATCHER_HOLDS;
    }
    if ((asked & MATCHER_IS_PREDICATE) != 0) {
        return matcher_is_hit(side, asked & ~MATCHER_IS_PREDICATE) ? MATCHER_HOLDS : MATCHER_FAILS;
    }
    return matcher_ask(scratch, side, asked);
}

/* Every condition alone, then together if elements can disagree. */
static enum pattern_verdict verify(struct matcher_scratch *scratch, struct matcher_side *side,
                                   uint32_t number)
{
    const struct matcher_branch *branch = &side->matcher->branches[number];
    const uint32_t *tests = side->matcher->branch_tests + branch->start;
    bool hold_alone = true;

    for (uint32_t i = 0; i < branch->test_count; i++) {
        const enum matcher_state state = test(scratch, side, tests[i]);

        if (state == MATCHER_FAILS) {
            return PATTERN_NO_MATCH;
        }
        hold_alone = hold_alone && state == MATCHER_HOLDS;
    }
    if (count_constrained(scratch, side, side->matcher->branch_conditions + branch->start,
                          branch->condition_count) <= 1) {
        return hold_alone ? PATTERN_MATCH : PATTERN_NO_MATCH; /* nobody to agree with */
    }
    if (side->pattern_epochs[branch->pattern] == scratch->epoch ||
        side->search_epochs[number] == scratch->epoch) {
        return PATTERN_NO_MATCH; /* it was reached before: what came of it is noted */
    }
    side->search_epochs[number] = scratch->epoch;
    return matcher_search(scratch, side, branch);
}

static void note_match(const struct matcher_scratch *scratch, struct matcher_side *side,
                       uint32_t pattern)
{
    if (side->pattern_epochs[pattern] != scratch->epoch) {
        side->pattern_epochs[pattern] = scratch->epoch;
        matcher_numbers_append(&side->matches, pattern);
    }
}

/* The branches among these whose guard lets them pass become candidates. */
static void gather(struct matcher_scratch *scratch, struct matcher_side *side,
                   const struct matcher_posting *postings, size_t count)
{
    uint32_t guard = MATCHER_NONE;
    bool does_pass = true;

    for (size_t i = 0; i < count; i++) {
        const struct matcher_posting posting = postings[i];

        if (posting.guard != guard) {
            guard = posting.guard;
            does_pass = test(scratch, side, guard) != MATCHER_FAILS;
        }
        if (does_pass) {
            matcher_numbers_append(&side->candidates, posting.branch);
            __builtin_prefetch(&side->matcher->branches[posting.branch]);
        }
    }
}

static void visit(struct matcher_scratch *scratch, struct matcher_side *side, uint32_t number)
{
    const uint32_t pattern = side->matcher->branches[number].pattern;

    switch (verify(scratch, side, number)) {
    case PATTERN_MATCH:
        note_match(scratch, side, pattern);
        break;
    case PATTERN_EXHAUSTED:
        matcher_numbers_append(&side->exhausted, pattern);
        break;
    case PATTERN_NO_MATCH:
        break;
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* How many patterns have no answer: a branch was given up and no other matched. */
static size_t count_exhausted(const struct matcher_scratch *scratch, struct matcher_side *side)
{
    const struct matcher_numbers *exhausted = &side->exhausted;
    size_t count = 0;

    if (exhausted->count > 1) {
        qsort(exhausted->items, exhausted->count, sizeof(uint32_t), compare_numbers);
    }
    for (size_t i = 0; i < exhausted->count; i++) {
        if ((i == 0 || exhausted->items[i] != exhausted->items[i - 1]) &&
            side->pattern_epochs[exhausted->items[i]] != scratch->epoch) {
            count++;
        }
    }
    return count;
}

/* What each step reads is sent for in the step before, of all branches: they lie far apart. */
static void visit_all(struct matcher_scratch *scratch, struct matcher_side *side)
{
    const struct matcher *matcher = side->matcher;
    const struct matcher_numbers *candidates = &side->candidates;

    for (size_t i = 0; i < side->fired.count; i++) {
        const uint32_t predicate = side->fired.items[i];
        const uint32_t start = matcher->posting_starts[predicate];

        gather(scratch, side, matcher->postings + start,
               matcher->posting_starts[predicate + 1] - start);
    }
    gather(scratch, side, matcher->always, matcher->always_count);
    for (size_t i = 0; i < candidates->count; i++) {
        __builtin_prefetch(matcher->branch_tests + matcher->branches[candidates->items[i]].start);
    }
    for (size_t i = 0; i < candidates->count; i++) {
        visit(scratch, side, candidates->items[i]);
    }
    if (side->matches.count > 1) {
        qsort(side->matches.items, side->matches.count, sizeof(uint32_t), compare_numbers);
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* Room for `count` zeroed items. */
static void *make_room(void *items, size_t size, size_t count, size_t *max)
{
    if (count <= *max) {
        return items;
    }
    xfree(items);
    *max = count + count / 4;
    return xcalloc(*max, size);
}

static void begin_side(struct matcher_side *side, const struct matcher *matcher)
{
    size_t accepts_max = side->condition_max;
    size_t bitmaps_max = side->condition_max;

    for (size_t i = 0; i < side->hits.count; i++) { /* of the last event */
        side->predicate_bits[side->hits.items[i] / 64] = 0;
    }
    side->matcher = matcher;
    side->predicate_bits = make_room(side->predicate_bits, sizeof(uint64_t),
                                     matcher->predicate_count / 64 + 1, &side->predicate_word_max);
    side->condition_accepts = make_room(side->condition_accepts, sizeof(uint64_t),
                                        matcher->condition_count, &accepts_max);
    side->condition_bitmaps = make_room(side->condition_bitmaps, sizeof(uint64_t),
                                        matcher->condition_count, &bitmaps_max);
    side->condition_states = make_room(side->condition_states, sizeof(uint64_t),
                                       matcher->condition_count, &side->condition_max);
    side->pattern_epochs = make_room(side->pattern_epochs, sizeof(uint32_t), matcher->pattern_count,
                                     &side->pattern_max);
    side->search_epochs =
        make_room(side->search_epochs, sizeof(uint32_t), matcher->branch_count, &side->branch_max);
    side->findings = make_room(side->findings, sizeof(struct matcher_finding), matcher->path_count,
                               &side->finding_max);
    side->marks = make_room(side->marks, sizeof(uint64_t), matcher->mark_count, &side->mark_max);
    side->leaf_count = 0;
    side->is_spent = false;
    side->hits.count = 0;
    side->fired.count = 0;
    side->candidates.count = 0;
    side->matches.count = 0;
    side->listed.count = 0;
    side->accepts.count = 0;
    side->bitmaps.count = 0;
    side->exhausted.count = 0;
}

/* The next epoch; once in four billion events what is stamped is forgotten. */
static void begin_epoch(struct matcher_scratch *scratch)
{
    if (++scratch->epoch != 0) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(scratch->sides); i++) {
        struct matcher_side *side = &scratch->sides[i];

        side->condition_max = side->pattern_max = 0;
        side->branch_max = side->finding_max = side->mark_max = 0;
    }
    scratch->epoch = 1;
}

enum err matcher_match(const struct matcher *const *sets, size_t set_count, struct slice event,
                       size_t *steps_left, struct matcher_scratch *scratch,
                       struct matcher_answer *answers)
{
    CHECK(set_count <= MATCHER_SETS_MAX);
    if (!scan_run(&scratch->scan, event)) {
        return ERR_BAD_JSON;
    }
    begin_epoch(scratch);
    scratch->side_count = 0;
    scratch->array_count = scratch->element_count = 0;
    scratch->order = 0;
    scratch->constraining_count = 0;
    scratch->steps_left = steps_left;
    buf_clear(&scratch->text);
    if (scratch->scan.has_escapes) {
        char *room;

        CHECK(buf_reserve(&scratch->text, event.len, &room) == ERR_OK);
    }
    for (size_t i = 0; i < set_count; i++) {
        if (sets[i] != NULL) {
            begin_side(&scratch->sides[scratch->side_count++], sets[i]);
        }
    }
    if (scratch->side_count > 0) {
        matcher_walk(scratch);
    }
    for (size_t i = 0, side_index = 0; i < set_count; i++) {
        struct matcher_side *side = &scratch->sides[side_index];

        answers[i] = (struct matcher_answer){.matches = NULL};
        if (sets[i] == NULL) {
            continue;
        }
        side_index++;
        if (side->is_spent) {
            answers[i].exhausted_count = side->matcher->pattern_count;
            continue;
        }
        visit_all(scratch, side);
        answers[i] = (struct matcher_answer){.matches = side->matches.items,
                                             .match_count = side->matches.count,
                                             .exhausted_count = count_exhausted(scratch, side)};
    }
    return ERR_OK;
}
