/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset.h - every bus and its rules, as one immutable value that answers: where does this event
 * go?
 */
#pragma once

#include "routing/event.h"
#include "routing/rule.h"

struct ruleset;
struct matcher_scratch;

/* One target of one rule that an event has to reach. Borrowed from the ruleset. */
struct ruleset_hit {
    const struct rule *rule;
    const struct rule_target *target;
};

enum {
    RULESET_HITS_MAX = 1000,
    RULESET_ARCHIVES_MAX = 64,
    RULESET_STEPS_MAX = 4 * PATTERN_STEPS_MAX, /* of searching, for one event and all its rules */
};

/* What a match needs between events; one per thread, reused, zeroed before the first. */
struct ruleset_scratch {
    struct arena arena;
    struct matcher_scratch *matcher; /* made by the first match */
    struct ruleset_hit hits[RULESET_HITS_MAX];
    size_t hit_count;
    const struct rule *archives[RULESET_ARCHIVES_MAX]; /* that keep the event */
    size_t archive_count;
    size_t rule_count;      /* rules that matched */
    size_t exhausted_count; /* patterns whose step budget ended: no match, but not for certain */
};

void ruleset_scratch_clean_up(struct ruleset_scratch *scratch);

/* An immutable set over these rules; acquires each. `buses` names the buses that exist beside every
 * account's `default` and the central bus, as "ACCOUNT/NAME". */
struct ruleset *ruleset_new(struct rule *const *rules, size_t rule_count, const struct slice *buses,
                            size_t bus_count);
/* The same, using again what `previous` (may be NULL) has compiled: the cost of compiling goes with
 * what has changed on each bus.  `previous` may be released afterwards. */
struct ruleset *ruleset_renew(const struct ruleset *previous, struct rule *const *rules,
                              size_t rule_count, const struct slice *buses, size_t bus_count);
struct ruleset *ruleset_acquire(struct ruleset *ruleset);
void ruleset_release(struct ruleset *ruleset);

bool ruleset_has_bus(const struct ruleset *ruleset, struct slice account, struct slice name);
/* Fill scratch->hits with the targets of every enabled rule that matches on bus `account/name` and
 * on the central bus, and scratch->archives with the archives whose pattern does.  An unknown bus
 * has no rules; the central bus sees the event all the same. The cost hardly depends on how many
 * rules there are. ERR_TOO_LARGE past RULESET_HITS_MAX or RULESET_ARCHIVES_MAX; ERR_BAD_JSON if the
 * event is not a JSON object. */
MUST_USE enum err ruleset_match(const struct ruleset *ruleset, struct slice account,
                                struct slice bus_name, const struct event *event,
                                struct ruleset_scratch *scratch);
/* The rules of the bus "central" or "ACCOUNT/NAME", sorted by name; disabled ones, schedules and
 * archives are among them.  How many. */
size_t ruleset_rules(const struct ruleset *ruleset, struct slice bus, struct rule *const **rules);
/* The target of that uid and its rule, or NULL when it was removed. */
const struct rule_target *ruleset_target(const struct ruleset *ruleset, uint64_t uid,
                                         const struct rule **rule);
