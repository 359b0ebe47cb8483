/* SPDX-License-Identifier: Apache-2.0
 *
 * wildcard.h - patterns with `*`, and how much work they can cost.
 */
#pragma once

#include "core/arena.h"
#include "core/slice.h"

/* A parsed pattern: literal parts in order, one star between two neighbours, so that N stars make
 * N + 1 parts, the outer ones possibly empty. */
struct wildcard {
    struct slice *parts;
    size_t part_count;
};

enum wildcard_result {
    WILDCARD_OK,
    WILDCARD_DOUBLE_STAR, /* two unescaped stars in a row */
    WILDCARD_BAD_ESCAPE,  /* a backslash before anything but a star or a backslash */
};

/* Parse in the arena.  On a refusal *position is the byte of the fault in the pattern, from 0. */
enum wildcard_result wildcard_parse(struct slice text, struct arena *arena,
                                    struct wildcard *wildcard, size_t *position);
/* Does the pattern cover the whole text? Linear but for repeated partial matches of one part. */
bool wildcard_matches(const struct wildcard *wildcard, struct slice text);

/* One entry of a match list that holds wildcards: `wildcard`, or `anything-but` with its list. */
struct wildcard_group {
    const struct wildcard *const *wildcards;
    size_t count;
    bool is_negative; /* of anything-but */
};

/* The complexity of the entries of one path: the greatest number of (state, entry) pairs that some
 * text can keep alive at once in an automaton of them all; stars that could begin but have not are
 * counted too.  Equal entries count once.  Stops early and returns `limit` + 1 when it is more, or
 * when more than *sets_left sets of states had to be looked at (counted down). */
unsigned wildcard_complexity(const struct wildcard_group *groups, size_t group_count,
                             unsigned limit, size_t *sets_left);
