/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.h - why an event does not match a pattern.
 */
#pragma once

#include "core/arena.h"
#include "core/json_write.h"
#include "routing/pattern.h"

struct event_path;

enum explain_reason {
    EXPLAIN_MATCH,
    EXPLAIN_MISSING,   /* the event has no value at the path */
    EXPLAIN_DIFFERS,   /* no value there is wanted; or none is, and there is one */
    EXPLAIN_ELEMENTS,  /* a wanted value is there, but in another element of an array than what the
                        * paths before it want */
    EXPLAIN_EXHAUSTED, /* the budget ended before an answer */
};

/* The first condition, in the order of paths, that cannot hold beside those before it.  Of the ways
 * to match that `$or` makes, of the one of which the fewest conditions fail.  Borrows from the
 * pattern and the tree. */
struct explanation {
    enum explain_reason reason;
    struct slice path;   /* empty if it matches, as all below but the counts */
    struct slice wanted; /* the match list as the pattern has it: JSON, brackets included */
    const struct event_path *seen; /* the values there, or NULL */
    size_t failed_count;           /* conditions of that way that fail even alone */
    size_t condition_count;
};

/* The verdict is pattern_evaluate()'s, and so is the meaning of *steps_left. */
void explain(const struct pattern *pattern, const struct event_tree *tree, size_t *steps_left,
             struct explanation *explanation);

/* "match", "missing", "differs", "elements", "exhausted" */
struct slice explain_reason_name(enum explain_reason reason);
/* Names of the operators in `wanted`, each once, joined by `|`: "equals" for a plain value, else
 * the operator's key.  In the arena. */
struct slice explain_operators(struct slice wanted, struct arena *arena);

enum { EXPLAIN_SEEN_MAX = 16, EXPLAIN_TEXT_MAX = 1024 };
/* The members of an open object: match, path, operator, wanted, seen, reason, failed, conditions.
 * `seen` is the value, an array of the first EXPLAIN_SEEN_MAX where there are several, or null
 * where there is none; texts are cut at EXPLAIN_TEXT_MAX bytes.  Without a failure the first four
 * texts are null. */
void explain_write(const struct explanation *explanation, struct json_writer *writer);
