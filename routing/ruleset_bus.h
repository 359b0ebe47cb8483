/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_bus.h - one bus of a ruleset: its rules, and the compiled sets that answer for them.
 */
#pragma once

#include "core/map.h"
#include "routing/matcher.h"
#include "routing/rule.h"

/* A compiled set, and where among the rules of the bus each of its patterns is. */
struct ruleset_part {
    struct matcher *matcher; /* NULL: there is none */
    uint32_t *places; /* by number of the pattern; UINT32_MAX: not of this bus any more.  NULL:
                       * each is at its own number */
    size_t place_count;
};

struct ruleset_bus {
    struct slice key; /* "ACCOUNT/NAME", of the central bus "central" */
    struct rule **rules;
    size_t rule_count;
    bool is_compiled;
    struct ruleset_part base;
    struct ruleset_part delta;           /* what the base does not have */
    struct ruleset_bus *next;            /* of all */
    uint64_t hash;                       /* of its patterns, if it is an owner */
    const struct ruleset_bus *same_hash; /* the next owner of that hash */
};

/* Give the bus its sets from those of the bus of that key in the ruleset before: only what is new
 * is compiled.  False, and nothing done, if little of them is of use.  A bus that has not changed
 * joins `owners` (hash of the patterns -> bus).  The rules are sorted by name. */
bool ruleset_bus_renew(struct ruleset_bus *bus, const struct ruleset_bus *previous,
                       struct map *owners, struct arena *arena);
/* Give the bus the base of an owner with the same patterns, or one of its own. */
void ruleset_bus_compile(struct ruleset_bus *bus, struct map *owners);
void ruleset_bus_clean_up(struct ruleset_bus *bus);
/* Append to `places` the rules that two answers, of base and delta, name, ascending; there is
 * room for all.  How many. */
size_t ruleset_bus_merge(const struct ruleset_bus *bus, const struct matcher_answer answers[2],
                         uint32_t *places);
