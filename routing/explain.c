/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.c - the first condition of a pattern that an event fails, in the evaluator's own words.
 *
 * There is no second definition of matching here: every question is put to pattern_evaluate(),
 * about a pattern that is a part of the one to explain.
 *
 *     one condition alone        does it fail whatever the others say?
 *     the first k of a branch    the least k that does not match ends with the culprit
 *
 * Conditions are judged in the order of their paths, and what the first k cannot agree about the
 * first k + 1 cannot either, so the least such k is found by halving.  A pattern with `$or` has
 * several branches; the one that fails least is what its author most likely meant.
 *
 * Memory: an arena per explanation, for what is known of each condition.
 */
#include "routing/explain.h"

#include "core/json.h"
#include "core/utf8.h"
#include "routing/pattern_internal.h"

struct inquiry {
    const struct pattern *pattern;
    const struct event_tree *tree;
    size_t *steps_left;
    int8_t *fails; /* by condition: 0 not known, 1 yes, -1 no */
};

/* ---- parts of a pattern -------------------------------------------------------------------- */

static enum pattern_verdict judge(const struct inquiry *inquiry,
                                  struct pattern_condition **conditions, size_t count)
{
    struct pattern_branch branch = {.conditions = conditions, .condition_count = count};
    const struct pattern part = {.branches = &branch,
                                 .branch_count = 1,
                                 .condition_count = inquiry->pattern->condition_count};

    return pattern_evaluate(&part, inquiry->tree, inquiry->steps_left);
}

/* Absent, if others fix the right elements? */
static bool may_become_absent(const struct inquiry *inquiry,
                              const struct pattern_condition *condition)
{
    const struct event_path *path = event_tree_find(inquiry->tree, condition->path);

    for (size_t i = 0; condition->may_be_absent && path != NULL && i < path->leaf_count; i++) {
        if (path->leaves[i]->element != NULL) {
            return true;
        }
    }
    return false;
}

static bool fails_alone(struct inquiry *inquiry, struct pattern_condition *condition)
{
    int8_t *known = &inquiry->fails[condition->id];

    if (*known == 0) {
        const bool fails = judge(inquiry, &condition, 1) != PATTERN_MATCH &&
                           !may_become_absent(inquiry, condition);

        *known = fails ? 1 : -1;
    }
    return *known == 1;
}

static size_t count_failed(struct inquiry *inquiry, const struct pattern_branch *branch)
{
    size_t count = 0;

    for (size_t i = 0; i < branch->condition_count; i++) {
        count += fails_alone(inquiry, branch->conditions[i]) ? 1 : 0;
    }
    return count;
}

/* ---- the culprit --------------------------------------------------------------------------- */

static const struct pattern_branch *find_nearest(struct inquiry *inquiry, size_t *failed_count)
{
    const struct pattern_branch *nearest = NULL;

    for (size_t i = 0; i < inquiry->pattern->branch_count; i++) {
        const struct pattern_branch *branch = &inquiry->pattern->branches[i];
        const size_t count = count_failed(inquiry, branch);

        if (nearest == NULL || count < *failed_count) {
            nearest = branch;
            *failed_count = count;
        }
    }
    CHECK(nearest != NULL);
    return nearest;
}

/* The least number of conditions, from the first on, that do not match together. */
static size_t find_length(const struct inquiry *inquiry, const struct pattern_branch *branch)
{
    size_t good = 0;
    size_t bad = branch->condition_count;

    while (bad - good > 1) {
        const size_t middle = good + (bad - good) / 2;

        if (judge(inquiry, branch->conditions, middle) == PATTERN_MATCH) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    return bad;
}

static void accuse(struct inquiry *inquiry, const struct pattern_branch *branch,
                   enum pattern_verdict verdict, struct explanation *explanation)
{
    const struct pattern_condition *culprit = branch->conditions[find_length(inquiry, branch) - 1];

    explanation->path = culprit->path;
    explanation->wanted =
        (struct slice){inquiry->pattern->text.data + culprit->list_start, culprit->list_len};
    explanation->seen = event_tree_find(inquiry->tree, culprit->path);
    if (verdict == PATTERN_EXHAUSTED) {
        explanation->reason = EXPLAIN_EXHAUSTED;
    } else if (inquiry->fails[culprit->id] == -1) {
        explanation->reason = EXPLAIN_ELEMENTS;
    } else {
        explanation->reason = explanation->seen == NULL ? EXPLAIN_MISSING : EXPLAIN_DIFFERS;
    }
}

void explain(const struct pattern *pattern, const struct event_tree *tree, size_t *steps_left,
             struct explanation *explanation)
{
    const enum pattern_verdict verdict = pattern_evaluate(pattern, tree, steps_left);
    struct inquiry inquiry = {.pattern = pattern, .tree = tree, .steps_left = steps_left};
    struct arena arena = {0};
    const struct pattern_branch *nearest;

    *explanation = (struct explanation){.reason = EXPLAIN_MATCH};
    inquiry.fails = ARENA_ARRAY(&arena, int8_t, pattern->condition_count);
    nearest = find_nearest(&inquiry, &explanation->failed_count);
    explanation->condition_count = nearest->condition_count;
    if (verdict == PATTERN_MATCH) {
        explanation->failed_count = 0;
    } else {
        accuse(&inquiry, nearest, verdict, explanation);
    }
    arena_clean_up(&arena);
}

/* ---- words --------------------------------------------------------------------------------- */

struct slice explain_reason_name(enum explain_reason reason)
{
    static const struct slice names[] = {
        [EXPLAIN_MATCH] = SLICE_INIT("match"),         [EXPLAIN_MISSING] = SLICE_INIT("missing"),
        [EXPLAIN_DIFFERS] = SLICE_INIT("differs"),     [EXPLAIN_ELEMENTS] = SLICE_INIT("elements"),
        [EXPLAIN_EXHAUSTED] = SLICE_INIT("exhausted"),
    };

    return names[reason];
}

/* Is `name` among those that `joined` holds, between bars? */
static bool is_named(struct slice joined, struct slice name)
{
    while (joined.data != NULL) {
        if (slice_eq(slice_cut(&joined, '|'), name)) {
            return true;
        }
    }
    return false;
}

struct slice explain_operators(struct slice wanted, struct arena *arena)
{
    char *joined = arena_alloc(arena, wanted.len + 1 + sizeof("equals"));
    struct json_reader reader;
    struct json_token token;
    struct slice entry;
    size_t len = 0;

    json_reader_init(&reader, wanted, JSON_DEPTH_MAX);
    (void)json_next(&reader, &token);
    while (json_next(&reader, &token) != JSON_TYPE_ARRAY_END && token.type != JSON_TYPE_ERROR) {
        struct slice name = SLICE("equals");

        if (token.type == JSON_TYPE_OBJECT_BEGIN) {
            if (json_next(&reader, &token) != JSON_TYPE_KEY) {
                break;
            }
            name = json_token_text(&token, arena);
            (void)json_next(&reader, &token);
            if (json_read_value(&reader, &token, &entry) != ERR_OK) {
                break;
            }
            (void)json_next(&reader, &token);
        }
        if (len > 0 && is_named((struct slice){joined, len}, name)) {
            continue;
        }
        if (len > 0) {
            joined[len++] = '|';
        }
        memcpy(joined + len, name.data, name.len);
        len += name.len;
    }
    return (struct slice){joined, len};
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* At most EXPLAIN_TEXT_MAX bytes, and no part of a character. */
static struct slice cut_text(struct slice text)
{
    size_t len = MIN_OF(text.len, (size_t)EXPLAIN_TEXT_MAX);

    while (len > 0 && len < text.len && ((uint8_t)text.data[len] & 0xc0) == 0x80) {
        len--;
    }
    return slice_first(text, len);
}

static void write_leaf(const struct event_leaf *leaf, struct json_writer *writer)
{
    switch (leaf->type) {
    case LEAF_STRING:
        json_write_string(writer, cut_text(leaf->text));
        return;
    case LEAF_NUMBER:
        if (leaf->text.len > EXPLAIN_TEXT_MAX) {
            json_write_string(writer, cut_text(leaf->text));
        } else {
            json_write_raw(writer, leaf->text);
        }
        return;
    case LEAF_TRUE:
    case LEAF_FALSE:
        json_write_bool(writer, leaf->type == LEAF_TRUE);
        return;
    case LEAF_NULL:
        json_write_null(writer);
        return;
    }
}

static void write_seen(const struct event_path *seen, struct json_writer *writer)
{
    json_write_key(writer, SLICE("seen"));
    if (seen == NULL) {
        json_write_null(writer);
    } else if (seen->leaf_count == 1) {
        write_leaf(seen->leaves[0], writer);
    } else {
        json_write_array_begin(writer);
        for (size_t i = 0; i < MIN_OF(seen->leaf_count, (size_t)EXPLAIN_SEEN_MAX); i++) {
            write_leaf(seen->leaves[i], writer);
        }
        json_write_array_end(writer);
    }
}

static void write_null(struct json_writer *writer, struct slice key)
{
    json_write_key(writer, key);
    json_write_null(writer);
}

void explain_write(const struct explanation *explanation, struct json_writer *writer)
{
    struct arena arena = {0};

    json_write_key_bool(writer, SLICE("match"), explanation->reason == EXPLAIN_MATCH);
    if (explanation->wanted.len == 0) {
        write_null(writer, SLICE("path"));
        write_null(writer, SLICE("operator"));
        write_null(writer, SLICE("wanted"));
    } else {
        json_write_key_string(writer, SLICE("path"), explanation->path);
        json_write_key_string(writer, SLICE("operator"),
                              explain_operators(explanation->wanted, &arena));
        json_write_key(writer, SLICE("wanted"));
        json_write_raw(writer, explanation->wanted);
    }
    write_seen(explanation->seen, writer);
    json_write_key_string(writer, SLICE("reason"), explain_reason_name(explanation->reason));
    json_write_key_u64(writer, SLICE("failed"), explanation->failed_count);
    json_write_key_u64(writer, SLICE("conditions"), explanation->condition_count);
    arena_clean_up(&arena);
}
