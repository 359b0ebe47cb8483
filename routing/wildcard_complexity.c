/* SPDX-License-Identifier: Apache-2.0
 *
 * wildcard_complexity.c - how many states some text can keep alive at once.
 *
 * The entries of one path make one automaton.  Its states are the prefixes of their patterns, read
 * as tokens: the opening quote, bytes, stars, the closing quote.  A text is in a set of states:
 *
 *     "*a*"      tokens  " * a * "       after the text `"xa`: in  "*   and  "*a
 *
 * From a state, a byte leads to the next token if it is that byte; a star may be entered by any
 * byte, left at once (it takes no byte), and stays.  Entries of their own (`wildcard`) keep states
 * of their own; the patterns of one anything-but list share what they have in common and count
 * together, because their states lead to one and the same entry.
 *
 * The complexity is the largest set reachable by any text, with one state more for each star that
 * could be entered next and is not in the set.  The sets are walked breadth first, one byte of the
 * patterns at a time and one byte that stands for all others.
 *
 * Bounded: a set larger than the limit ends the walk, so sets are small; a spent
 * budget of sets ends it, too, with the same answer: too complex to tell is too complex.
 *
 * Memory: an arena per call.
 */
#include "core/check.h"
#include "core/map.h"
#include "routing/wildcard.h"

enum {
    LIMIT_MAX = 15,
    TOKEN_STAR = 256,
    TOKEN_OTHER = 257, /* a byte that no pattern names */
};

struct state {
    unsigned token; /* the last one of the prefix */
    struct state *first_child, *next_sibling;
    struct state *star; /* the child whose token is a star, or NULL */
    uint32_t id;
};

/* Sorted by id, so that equal sets are equal bytes. */
struct state_set {
    const struct state *states[LIMIT_MAX + 1];
    size_t count;
    struct state_set *next; /* in the queue */
};

struct walk {
    struct arena arena;
    unsigned limit;
    size_t sets_left;
    uint32_t state_count;
    struct state *start; /* before the opening quote; its children are one per entry */
    struct map seen;
    struct state_set *first, **last;
    unsigned largest;
};

/* ---- the automaton ------------------------------------------------------------------------- */

static struct state *add_state(struct walk *walk, struct state *parent, unsigned token)
{
    struct state *state = ARENA_NEW(&walk->arena, struct state);

    state->token = token;
    state->id = walk->state_count++;
    state->next_sibling = parent->first_child;
    parent->first_child = state;
    if (token == TOKEN_STAR) {
        parent->star = state;
    }
    return state;
}

static struct state *find_child(const struct state *parent, unsigned token)
{
    struct state *child = parent->first_child;

    while (child != NULL && child->token != token) {
        child = child->next_sibling;
    }
    return child;
}

static struct state *follow(struct walk *walk, struct state *state, unsigned token)
{
    struct state *child = find_child(state, token);

    return child != NULL ? child : add_state(walk, state, token);
}

/* Put one pattern behind `quote`, its opening quote. */
static void add_pattern(struct walk *walk, struct state *quote, const struct wildcard *wildcard)
{
    struct state *state = quote;

    for (size_t i = 0; i < wildcard->part_count; i++) {
        const struct slice part = wildcard->parts[i];

        if (i > 0) {
            state = follow(walk, state, TOKEN_STAR);
        }
        for (size_t j = 0; j < part.len; j++) {
            state = follow(walk, state, (unsigned char)part.data[j]);
        }
    }
    (void)follow(walk, state, '"');
}

static bool wildcard_eq(const struct wildcard *a, const struct wildcard *b)
{
    if (a->part_count != b->part_count) {
        return false;
    }
    for (size_t i = 0; i < a->part_count; i++) {
        if (!slice_eq(a->parts[i], b->parts[i])) {
            return false;
        }
    }
    return true;
}

static bool group_eq(const struct wildcard_group *a, const struct wildcard_group *b)
{
    if (a->count != b->count || a->is_negative != b->is_negative) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!wildcard_eq(a->wildcards[i], b->wildcards[i])) {
            return false;
        }
    }
    return true;
}

static void build(struct walk *walk, const struct wildcard_group *groups, size_t group_count)
{
    walk->start = ARENA_NEW(&walk->arena, struct state);
    for (size_t i = 0; i < group_count; i++) {
        struct state *quote;
        size_t earlier = 0;

        while (earlier < i && !group_eq(&groups[earlier], &groups[i])) {
            earlier++;
        }
        if (earlier < i) {
            continue; /* the same entry again */
        }
        quote = add_state(walk, walk->start, '"');
        for (size_t j = 0; j < groups[i].count; j++) {
            add_pattern(walk, quote, groups[i].wildcards[j]);
        }
    }
}

/* ---- sets ---------------------------------------------------------------------------------- */

static bool set_holds(const struct state_set *set, const struct state *state)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->states[i] == state) {
            return true;
        }
    }
    return false;
}

/* False if the set is larger than the limit already. */
static bool set_add(const struct walk *walk, struct state_set *set, const struct state *state)
{
    size_t at = set->count;

    if (set_holds(set, state)) {
        return true;
    }
    if (set->count == walk->limit) {
        return false;
    }
    for (; at > 0 && set->states[at - 1]->id > state->id; at--) {
        set->states[at] = set->states[at - 1];
    }
    set->states[at] = state;
    set->count++;
    return true;
}

/* Stars that the next byte could enter and that are not in the set. */
static size_t count_pending(const struct state_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct state *star = set->states[i]->star;

        count += star != NULL && !set_holds(set, star) ? 1 : 0;
    }
    return count;
}

/* Where `token` leads from one state. */
static bool step_state(const struct walk *walk, const struct state *state, unsigned token,
                       struct state_set *to)
{
    const struct state *next = find_child(state, token);

    if (next != NULL && !set_add(walk, to, next)) {
        return false;
    }
    if (state->token == TOKEN_STAR && !set_add(walk, to, state)) {
        return false;
    }
    if (state->star == NULL) {
        return true;
    }
    next = find_child(state->star, token);
    return set_add(walk, to, state->star) && (next == NULL || set_add(walk, to, next));
}

/* Count a set, and queue it if it is new.  False if something is over its limit. */
static bool reach(struct walk *walk, struct state_set *to)
{
    const struct slice key = {(const char *)to->states, sizeof(to->states)};

    walk->largest = (unsigned)MAX_OF(walk->largest, to->count + count_pending(to));
    if (walk->largest > walk->limit) {
        return false;
    }
    if (to->count > 0 && map_get(&walk->seen, key) == NULL) {
        (void)map_put(&walk->seen, key, to);
        *walk->last = to;
        walk->last = &to->next;
        walk->sets_left--;
    }
    return walk->sets_left > 0;
}

/* Where `token` leads from a set. */
static bool step_set(struct walk *walk, const struct state_set *from, unsigned token)
{
    struct state_set *to = ARENA_NEW(&walk->arena, struct state_set);

    for (size_t i = 0; i < from->count; i++) {
        if (!step_state(walk, from->states[i], token, to)) {
            return false;
        }
    }
    return reach(walk, to);
}

/* The set behind the opening quote, which all entries begin with. */
static bool begin(struct walk *walk)
{
    struct state_set *first = ARENA_NEW(&walk->arena, struct state_set);

    for (const struct state *quote = walk->start->first_child; quote != NULL;
         quote = quote->next_sibling) {
        if (!set_add(walk, first, quote)) {
            return false;
        }
    }
    return reach(walk, first);
}

/* Every byte that some child of the states expects; each is tried once. */
static bool step_children(struct walk *walk, const struct state_set *set,
                          const struct state *parent, bool tried[static 256])
{
    for (const struct state *child = parent->first_child; child != NULL;
         child = child->next_sibling) {
        if (child->token >= TOKEN_STAR || tried[child->token]) {
            continue;
        }
        tried[child->token] = true;
        if (!step_set(walk, set, child->token)) {
            return false;
        }
    }
    return true;
}

static bool expand(struct walk *walk, const struct state_set *set)
{
    bool tried[256] = {false};

    for (size_t i = 0; i < set->count; i++) {
        const struct state *state = set->states[i];

        if (!step_children(walk, set, state, tried) ||
            (state->star != NULL && !step_children(walk, set, state->star, tried))) {
            return false;
        }
    }
    return step_set(walk, set, TOKEN_OTHER);
}

unsigned wildcard_complexity(const struct wildcard_group *groups, size_t group_count,
                             unsigned limit, size_t *sets_left)
{
    struct walk walk = {.limit = limit, .sets_left = *sets_left};
    bool is_within;

    CHECK(limit > 0 && limit <= LIMIT_MAX);
    if (group_count == 0) {
        return 0;
    }
    if (*sets_left == 0) {
        return limit + 1;
    }
    build(&walk, groups, group_count);
    walk.last = &walk.first;
    is_within = begin(&walk);
    for (struct state_set *set = walk.first; is_within && set != NULL; set = set->next) {
        is_within = expand(&walk, set);
    }
    *sets_left = walk.sets_left;
    map_clean_up(&walk.seen);
    arena_clean_up(&walk.arena);
    return is_within ? walk.largest : limit + 1;
}
