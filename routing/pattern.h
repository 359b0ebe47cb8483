/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern.h - an event pattern, checked and compiled, and the plain way to ask whether it matches.
 *
 * The plain evaluator is the definition of the language in code: recursive, unhurried, obviously
 * right.  A faster matcher is held against it.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

struct partner_lists;
struct pattern;    /* immutable and counted; may be shared between threads */
struct event_tree; /* an event flattened to (path, value, array positions) */

enum {
    PATTERN_BYTES_MAX = 4096,
    PATTERN_BRANCHES_MAX = 1000, /* product of all $or sizes */
    PATTERN_PATHS_MAX = 256,     /* per branch */
    PATTERN_WILDCARD_COMPLEXITY_MAX = 10,
    PATTERN_STEPS_MAX = 1000000, /* of one search for array elements that agree */
};

enum pattern_verdict {
    PATTERN_NO_MATCH,
    PATTERN_MATCH,
    PATTERN_EXHAUSTED, /* the step budget ended before an answer: to be taken for no match */
};

/* The strings that are known of an event before anything is flattened. */
struct pattern_envelope {
    struct slice source;
    struct slice detail_type;
    struct slice account;
    struct slice region;
};

/* Compile `text`.  On ERR_BAD_PATTERN `why` holds EventBridge's own sentence, beginning
 * "Event pattern is not valid. Reason: ", location suffix included where EventBridge gives one. */
MUST_USE enum err pattern_compile(struct slice text, struct pattern **pattern, struct err_why *why);
/* The same for EventBridge's language alone, without in-list. */
MUST_USE enum err pattern_compile_plain(struct slice text, struct pattern **pattern,
                                        struct err_why *why);
struct pattern *pattern_acquire(struct pattern *pattern);
void pattern_release(struct pattern *pattern);
/* The text it was compiled from. */
struct slice pattern_text(const struct pattern *pattern);
/* The names of the lists that it asks, each once. */
const struct slice *pattern_lists(const struct pattern *pattern, size_t *count);

/* What it occupies, its text included. */
size_t pattern_memory_bytes(const struct pattern *pattern);

/* Flatten an event (any JSON object) in the arena; strict over the whole text, which must outlive
 * the tree. */
MUST_USE enum err event_tree_read(struct slice text, struct arena *arena, struct event_tree **tree,
                                  struct err_why *why);
/* What in-list asks: borrowed by the tree.  NULL, as at first: there are no lists. */
void event_tree_use_lists(struct event_tree *tree, const struct partner_lists *lists);
bool pattern_matches(const struct pattern *pattern, const struct event_tree *tree);
/* The same, but telling a spent budget from a plain no.  The search takes at most PATTERN_STEPS_MAX
 * of *steps_left, which is counted down. */
enum pattern_verdict pattern_evaluate(const struct pattern *pattern, const struct event_tree *tree,
                                      size_t *steps_left);
/* False if no event with this envelope can match; cheap, and true means nothing. */
bool pattern_may_match(const struct pattern *pattern, const struct pattern_envelope *envelope);
