/* SPDX-License-Identifier: Apache-2.0
 *
 * model_pattern.c - the evaluator against a twin that tries everything.
 *
 * Random small events and patterns, with arrays in arrays, repeated keys, dots in keys, $or and
 * exists:false.  The twin shares no code with the evaluator: it invents values, prints them as JSON
 * for the evaluator, and keeps its own list of leaves, each with the array elements on its way
 * down; then it tries every combination of one leaf per path.
 *
 * WEIR_SEED replays a run; a disagreement prints its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/moment.h"
#include "routing/pattern.h"

enum {
    ROUNDS = 40000,
    LEAVES_MAX = 48,
    CHAIN_MAX = 8,
    DEPTH_MAX = 5,
    VALUES = 3,
    CONDITIONS_MAX = 4,
    ALTERNATIVES_MAX = 3,
    TEXT_BYTES_MAX = 16384,
};

static const char *const paths[] = {"a", "a.a", "a.b", "a.b.a", "b", "b.a", "b.b", "a.a.b"};

static uint64_t random_state;

/* SplitMix64: any seed is a good one. */
static unsigned random_below(unsigned bound)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

static void put(struct buf *text, const char *piece)
{
    CHECK(buf_append(text, slice_of(piece)) == ERR_OK);
}

static void put_number(struct buf *text, unsigned number)
{
    CHECK(buf_printf(text, "%u", number) == ERR_OK);
}

/* ---- the twin's event ---------------------------------------------------------------------- */

struct link {
    unsigned array;
    unsigned element;
};

struct twin_leaf {
    char path[64];
    unsigned value;
    struct link chain[CHAIN_MAX];
    size_t chain_len;
};

struct twin_event {
    struct twin_leaf leaves[LEAVES_MAX];
    size_t leaf_count;
    unsigned array_count;
    struct buf text;
};

/* Where the twin stands while it invents an event. */
struct spot {
    char path[64];
    struct link chain[CHAIN_MAX];
    size_t chain_len;
    unsigned depth;
};

static void invent_object(struct twin_event *event, const struct spot *spot);
static void invent_array(struct twin_event *event, const struct spot *spot);

static void invent_scalar(struct twin_event *event, const struct spot *spot)
{
    struct twin_leaf *leaf = &event->leaves[event->leaf_count];
    const unsigned value = random_below(VALUES);

    put_number(&event->text, value);
    CHECK(event->leaf_count < LEAVES_MAX);
    event->leaf_count++;
    leaf->value = value;
    memcpy(leaf->path, spot->path, sizeof(leaf->path));
    memcpy(leaf->chain, spot->chain, sizeof(leaf->chain));
    leaf->chain_len = spot->chain_len;
}

/* A value at `spot`; `around` is its place in an array, or NULL.  Only containers lie in one. */
static void invent_value(struct twin_event *event, const struct spot *spot,
                         const struct link *around)
{
    const bool is_full = spot->depth == DEPTH_MAX || event->leaf_count > LEAVES_MAX / 2;
    struct spot inner = *spot;

    inner.depth++;
    if (is_full || random_below(5) < 2) {
        if (event->leaf_count < LEAVES_MAX) {
            invent_scalar(event, &inner);
        } else {
            put(&event->text, "{}");
        }
        return;
    }
    if (around != NULL) {
        CHECK(inner.chain_len < CHAIN_MAX);
        inner.chain[inner.chain_len++] = *around;
    }
    if (random_below(2) == 0) {
        invent_object(event, &inner);
    } else {
        invent_array(event, &inner);
    }
}

static void invent_object(struct twin_event *event, const struct spot *spot)
{
    static const char *const keys[] = {"a", "b", "a.b", "b.a", "a"};
    const unsigned count = random_below(4);
    bool is_first = true;

    put(&event->text, "{");
    for (unsigned i = 0; i < count; i++) {
        const char *key = keys[random_below(ARRAY_LEN(keys))];
        const size_t len = strlen(spot->path);
        struct spot inner = *spot;

        (void)snprintf(inner.path + len, sizeof(inner.path) - len, "%s%s", len > 0 ? "." : "", key);
        put(&event->text, is_first ? "\"" : ",\"");
        put(&event->text, key);
        put(&event->text, "\":");
        invent_value(event, &inner, NULL);
        is_first = false;
    }
    put(&event->text, "}");
}

static void invent_array(struct twin_event *event, const struct spot *spot)
{
    const unsigned array = event->array_count++;
    const unsigned count = random_below(4);

    put(&event->text, "[");
    for (unsigned i = 0; i < count; i++) {
        put(&event->text, i > 0 ? "," : "");
        invent_value(event, spot, &(struct link){array, i});
    }
    put(&event->text, "]");
}

/* ---- the twin's pattern -------------------------------------------------------------------- */

struct twin_condition {
    const char *path;
    bool accepts[VALUES];
    bool may_be_absent;
};

/* A set of conditions, at most one per path. */
struct twin_branch {
    struct twin_condition conditions[2 * CONDITIONS_MAX];
    size_t count;
};

static void twin_put(struct twin_branch *branch, const struct twin_condition *condition)
{
    size_t i = 0;

    while (i < branch->count && strcmp(branch->conditions[i].path, condition->path) != 0) {
        i++;
    }
    CHECK(i < ARRAY_LEN(branch->conditions));
    branch->conditions[i] = *condition;
    branch->count = MAX_OF(branch->count, i + 1);
}

/* A condition, printed as a member of the pattern. */
static struct twin_condition invent_condition(struct buf *text)
{
    struct twin_condition condition = {.path = paths[random_below(ARRAY_LEN(paths))]};
    const unsigned value = random_below(VALUES);

    put(text, "\"");
    put(text, condition.path);
    put(text, "\":[");
    switch (random_below(5)) {
    case 0:
        condition.may_be_absent = true;
        put(text, "{\"exists\":false}");
        break;
    case 1:
        condition.may_be_absent = true;
        condition.accepts[value] = true;
        put(text, "{\"exists\":false},");
        put_number(text, value);
        break;
    case 2:
        for (unsigned i = 0; i < VALUES; i++) {
            condition.accepts[i] = i != value;
        }
        put(text, "{\"anything-but\":");
        put_number(text, value);
        put(text, "}");
        break;
    default:
        condition.accepts[value] = true;
        put_number(text, value);
        break;
    }
    put(text, "]");
    return condition;
}

/* Up to CONDITIONS_MAX conditions into every branch; at least one. */
static void invent_conditions(struct buf *text, struct twin_branch *branches, size_t branch_count)
{
    const unsigned count = 1 + random_below(CONDITIONS_MAX);

    for (unsigned i = 0; i < count; i++) {
        struct twin_condition condition;

        put(text, i > 0 ? "," : "");
        condition = invent_condition(text);
        for (size_t j = 0; j < branch_count; j++) {
            twin_put(&branches[j], &condition);
        }
    }
}

/* A pattern as text, and its branches.  Conditions stand before the $or, so alternatives override
 * them. */
static size_t invent_pattern(struct buf *text, struct twin_branch branches[static ALTERNATIVES_MAX])
{
    size_t branch_count = 1;

    branches[0].count = 0;
    put(text, "{");
    invent_conditions(text, branches, 1);
    if (random_below(3) == 0) {
        branch_count = 2 + random_below(ALTERNATIVES_MAX - 1);
        put(text, ",\"$or\":[");
        for (size_t i = branch_count; i-- > 0;) {
            branches[i] = branches[0]; /* the first is filled last: it is the copy's origin */
        }
        for (size_t i = 0; i < branch_count; i++) {
            put(text, i > 0 ? ",{" : "{");
            invent_conditions(text, &branches[i], 1);
            put(text, "}");
        }
        put(text, "]");
    }
    put(text, "}");
    return branch_count;
}

/* ---- the twin's answer --------------------------------------------------------------------- */

static int compare_conditions(const void *a, const void *b)
{
    return strcmp(((const struct twin_condition *)a)->path,
                  ((const struct twin_condition *)b)->path);
}

/* What has been picked so far. */
struct picks {
    struct link links[CONDITIONS_MAX * 2 * CHAIN_MAX];
    size_t count;
};

static bool agrees(const struct picks *picks, const struct twin_leaf *leaf)
{
    for (size_t i = 0; i < leaf->chain_len; i++) {
        for (size_t j = 0; j < picks->count; j++) {
            if (picks->links[j].array == leaf->chain[i].array &&
                picks->links[j].element != leaf->chain[i].element) {
                return false;
            }
        }
    }
    return true;
}

static bool twin_search(const struct twin_event *event, const struct twin_branch *branch,
                        size_t index, const struct picks *picks)
{
    const struct twin_condition *condition = &branch->conditions[index];
    bool is_absent = true;

    if (index == branch->count) {
        return true;
    }
    for (size_t i = 0; i < event->leaf_count; i++) {
        const struct twin_leaf *leaf = &event->leaves[i];
        struct picks more = *picks;

        if (strcmp(leaf->path, condition->path) != 0 || !agrees(picks, leaf)) {
            continue;
        }
        is_absent = false;
        memcpy(more.links + more.count, leaf->chain, sizeof(struct link) * leaf->chain_len);
        more.count += leaf->chain_len;
        if (condition->accepts[leaf->value] && twin_search(event, branch, index + 1, &more)) {
            return true;
        }
    }
    return is_absent && condition->may_be_absent && twin_search(event, branch, index + 1, picks);
}

static bool twin_matches(const struct twin_event *event, struct twin_branch *branches, size_t count)
{
    const struct picks none = {.count = 0};

    for (size_t i = 0; i < count; i++) {
        qsort(branches[i].conditions, branches[i].count, sizeof(branches[i].conditions[0]),
              compare_conditions);
        if (twin_search(event, &branches[i], 0, &none)) {
            return true;
        }
    }
    return false;
}

/* ---- rounds -------------------------------------------------------------------------------- */

static bool evaluator_matches(struct slice pattern_text, struct slice event_text)
{
    struct arena arena = {0};
    struct pattern *pattern;
    struct event_tree *tree;
    struct err_why why = {.text = ""};
    bool matches;

    if (pattern_compile(pattern_text, &pattern, &why) != ERR_OK) {
        fail_msg("%.*s: %s", SLICE_ARG(pattern_text), why.text);
    }
    if (event_tree_read(event_text, &arena, &tree, &why) != ERR_OK) {
        fail_msg("%.*s: %s", SLICE_ARG(event_text), why.text);
    }
    matches = pattern_matches(pattern, tree);
    pattern_release(pattern);
    arena_clean_up(&arena);
    return matches;
}

/* Goal:   the evaluator and the twin agree, whatever arrays are nested or repeated.
 * Method: each round has its own seed, derived from the run's. */
static void test_the_evaluator_agrees_with_the_twin(void **state)
{
    const char *given = getenv("WEIR_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : moment_now_ms();
    static struct twin_event event;
    struct twin_branch branches[ALTERNATIVES_MAX];
    struct buf pattern;
    unsigned match_count = 0;

    (void)state;
    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    buf_init(&pattern, PATTERN_BYTES_MAX);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const struct spot root = {.depth = 0};
        size_t branch_count;
        bool expected;

        random_state = seed + round;
        event.leaf_count = 0;
        event.array_count = 0;
        buf_init(&event.text, TEXT_BYTES_MAX);
        invent_object(&event, &root);
        buf_clear(&pattern);
        branch_count = invent_pattern(&pattern, branches);
        expected = twin_matches(&event, branches, branch_count);
        match_count += expected ? 1 : 0;
        if (evaluator_matches(buf_slice(&pattern), buf_slice(&event.text)) != expected) {
            fail_msg("WEIR_SEED=%" PRIu64 ": %.*s on %.*s: expected %s", seed + round,
                     SLICE_ARG(buf_slice(&pattern)), SLICE_ARG(buf_slice(&event.text)),
                     expected ? "a match" : "no match");
        }
        buf_clean_up(&event.text);
    }
    buf_clean_up(&pattern);
    /* a run that never or always matches proves nothing */
    assert_in_range(match_count, ROUNDS / 20, ROUNDS - ROUNDS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_evaluator_agrees_with_the_twin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
