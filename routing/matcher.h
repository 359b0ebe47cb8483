/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher.h - many patterns compiled into one set, which answers for an event: which of them match?
 *
 * The answers are those of pattern_evaluate(), the definition of the language.  The cost depends on
 * the event and on what matches, hardly on how many patterns there are.
 *
 * A set never changes and may be shared between threads.  One scan of an event serves up to
 * MATCHER_SETS_MAX sets.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

struct partner_lists;
struct pattern;
struct matcher;         /* immutable and counted */
struct matcher_builder; /* a set that is still growing */
struct matcher_scratch; /* what matching needs between events; one per thread */

enum { MATCHER_SETS_MAX = 6 };

/* Compile the patterns; number i of the answer is patterns[i].  A NULL never matches.  Nothing of
 * them is kept: they may be released. */
struct matcher *matcher_new(const struct pattern *const *patterns, size_t count);
/* The same one by one: the n-th pattern that is added, from 0, has number n.  Finishing frees the
 * builder. */
struct matcher_builder *matcher_begin(void);
void matcher_add(struct matcher_builder *builder, const struct pattern *pattern);
struct matcher *matcher_finish(struct matcher_builder *builder);
struct matcher *matcher_acquire(struct matcher *matcher);
/* The last release frees. NULL is fine. */
void matcher_release(struct matcher *matcher);
/* Has anybody else a reference? A set that has none gets no more. */
bool matcher_is_shared(const struct matcher *matcher);
/* What it occupies. */
size_t matcher_memory_bytes(const struct matcher *matcher);

/* Memory grows to what the largest event and set need, and is kept. */
struct matcher_scratch *matcher_scratch_new(void);
void matcher_scratch_destroy(struct matcher_scratch *scratch);
/* What in-list asks, from the next match on: borrowed.  NULL, as at first: there are no lists. */
void matcher_use_lists(struct matcher_scratch *scratch, const struct partner_lists *lists);

/* What one set says of an event. */
struct matcher_answer {
    const uint32_t *matches; /* numbers of patterns, ascending; valid until the next match */
    size_t match_count;
    size_t exhausted_count; /* patterns whose search was given up: no match, but not for certain */
};

/* Match one event, strict over its whole text, against `set_count` sets, each of which may be NULL.
 * `answers` has an entry per set.  Searches take at most PATTERN_STEPS_MAX each of *steps_left,
 * which is counted down.
 * Errors: ERR_BAD_JSON if the text is not a JSON object; event_tree_read() says what is wrong. */
MUST_USE enum err matcher_match(const struct matcher *const *sets, size_t set_count,
                                struct slice event, size_t *steps_left,
                                struct matcher_scratch *scratch, struct matcher_answer *answers);
