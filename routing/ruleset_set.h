/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_set.h - rules of one bus, sorted by name, and the set compiled of their patterns.
 */
#pragma once

#include "routing/matcher_pool.h"

/* Immutable and counted. */
struct ruleset_set {
    _Atomic uint32_t references;
    struct matcher *matcher; /* its number i is of rules[i]; NULL: no event can match any */
    struct rule **rules;     /* by name; a reference to each */
    size_t count;
};

/* Acquires the rules, which are sorted by name.  Without a pool the set is compiled for itself, on
 * any thread.  NULL if there are no rules. */
struct ruleset_set *ruleset_set_new(struct rule *const *rules, size_t count,
                                    struct matcher_pool *pool);
struct ruleset_set *ruleset_set_acquire(struct ruleset_set *set);
/* The last release frees, from any thread. NULL is fine. */
void ruleset_set_release(struct ruleset_set *set);
/* The place of the rule of that name, or SIZE_MAX.  `set` may be NULL. */
size_t ruleset_set_find(const struct ruleset_set *set, struct slice name);
