/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_bus.h - one bus of a ruleset: its rules, and the compiled sets that answer for them.
 */
#pragma once

#include "routing/ruleset_set.h"

enum { RULESET_LEVELS = 3 };

/* The largest first. */
struct ruleset_level {
    struct ruleset_set *set; /* NULL: none */
    uint64_t *gone; /* a bit per rule of the set: it is not of this bus any more; or NULL */
    size_t gone_count;
};

/* Immutable and counted. */
struct ruleset_bus {
    _Atomic uint32_t references;
    bool is_named;     /* it exists without rules too */
    size_t rule_count; /* those that are gone are not among them */
    struct ruleset_level levels[RULESET_LEVELS];
    struct slice key; /* "ACCOUNT/NAME", of the central bus "central" */
    char key_bytes[];
};

/* A rule comes (in place of one of that name, if there is one) or goes. */
struct ruleset_change {
    struct slice bus; /* its key */
    struct slice name;
    struct rule *rule; /* NULL: it goes */
};

struct ruleset_bus *ruleset_bus_new(struct slice key);
struct ruleset_bus *ruleset_bus_acquire(struct ruleset_bus *bus);
/* The last release frees, from any thread. NULL is fine. */
void ruleset_bus_release(struct ruleset_bus *bus);
/* The bus after `changes` to it, sorted by name, each name once: another one, the caller's.  What
 * it costs goes with how much changes, not with how many rules there are. */
struct ruleset_bus *ruleset_bus_edit(const struct ruleset_bus *bus,
                                     const struct ruleset_change *changes, size_t count,
                                     struct matcher_pool *pool);
/* The same bus, existing on its own account or not. */
struct ruleset_bus *ruleset_bus_with_name(const struct ruleset_bus *bus, bool is_named);
/* The rule of that name, or NULL. */
struct rule *ruleset_bus_find(const struct ruleset_bus *bus, struct slice name);
/* All rules, by name: rule_count in `rules`, borrowed. */
void ruleset_bus_list(const struct ruleset_bus *bus, struct rule **rules);
/* Put into `rules` those that the answers, one per level, name, by name; there is room for all.
 * How many. */
size_t ruleset_bus_merge(const struct ruleset_bus *bus, const struct matcher_answer *answers,
                         const struct rule **rules);

/* Should its two largest levels be made one? */
bool ruleset_bus_wants_fold(const struct ruleset_bus *bus);
/* The set that is to take their place: the long work, to be done on any thread. */
struct ruleset_set *ruleset_bus_fold(const struct ruleset_bus *bus);
/* The bus with `folded`, which was made of the bus as it was `then`; NULL if it was made all anew
 * since, and the fold is of no use. */
struct ruleset_bus *ruleset_bus_take_fold(const struct ruleset_bus *bus,
                                          const struct ruleset_bus *then,
                                          struct ruleset_set *folded);
