/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset.h - every bus and its rules, as one immutable value that answers: where does this event
 * go?
 */
#pragma once

#include "routing/event.h"
#include "routing/rule.h"
#include "routing/ruleset_bus.h"

struct partner_lists;
struct ruleset;
struct ruleset_fold;
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
    size_t archives_left_out; /* that would have kept it too, past RULESET_ARCHIVES_MAX */
    size_t rule_count;        /* rules that matched */
    size_t exhausted_count;   /* patterns whose step budget ended: no match, but not for certain */
};

void ruleset_scratch_clean_up(struct ruleset_scratch *scratch);

/* From one ruleset to the next.  The arrays are sorted by this. */
struct ruleset_edit {
    struct ruleset_change *changes; /* of rules; of one bus and name there is one */
    size_t change_count;
    const struct slice *named;   /* keys of buses that exist from now on, beside every account's */
    size_t named_count;          /* `default` and the central bus, with or without rules */
    const struct slice *unnamed; /* that exist no longer, unless they have rules */
    size_t unnamed_count;
};

/* One without rules. */
struct ruleset *ruleset_new(void);
/* Another one, as `before` and the edit say.  Acquires rules.  It costs what changes, and shares
 * the rest; one thread at a time makes rulesets out of each other. */
struct ruleset *ruleset_change(const struct ruleset *before, const struct ruleset_edit *edit);
/* What in-list asks, in the place of what `before` had: acquired.  Before the ruleset is shared. */
void ruleset_use_lists(struct ruleset *ruleset, struct partner_lists *lists);
/* They, or NULL: there are none. */
const struct partner_lists *ruleset_lists(const struct ruleset *ruleset);
struct ruleset *ruleset_acquire(struct ruleset *ruleset);
/* The last release frees, from any thread. NULL is fine. */
void ruleset_release(struct ruleset *ruleset);

/* What should be compiled anew of a bus of many rules that has seen many changes, or NULL.  The
 * long work, ruleset_fold_run(), may be done on any thread while the ruleset is changed further. */
struct ruleset_fold *ruleset_fold_begin(const struct ruleset *ruleset);
void ruleset_fold_run(struct ruleset_fold *fold);
/* A ruleset that uses what was compiled, or another reference to `ruleset` if that is of no use any
 * more.  Either says what `ruleset` says. */
struct ruleset *ruleset_fold_end(struct ruleset *ruleset, const struct ruleset_fold *fold);
/* Frees, when nobody else uses it any more, what the fold took the place of: on any thread. */
void ruleset_fold_free(struct ruleset_fold *fold);

bool ruleset_has_bus(const struct ruleset *ruleset, struct slice account, struct slice name);
/* Fill scratch->hits with the targets of every enabled rule that matches on bus `account/name` and
 * on the central bus, and scratch->archives with the archives whose pattern does.  An unknown bus
 * has no rules; the central bus sees the event all the same. The cost hardly depends on how many
 * rules there are. ERR_TOO_LARGE past RULESET_HITS_MAX; ERR_BAD_JSON if the event is not a JSON
 * object. */
MUST_USE enum err ruleset_match(const struct ruleset *ruleset, struct slice account,
                                struct slice bus_name, const struct event *event,
                                struct ruleset_scratch *scratch);
/* The rules of a bus by its key, sorted by name, in `arena`; disabled ones, schedules and archives
 * are among them.  How many. */
size_t ruleset_rules(const struct ruleset *ruleset, struct slice bus, struct arena *arena,
                     struct rule ***rules);
/* The rule of that name on the bus of that key, or NULL. */
struct rule *ruleset_rule(const struct ruleset *ruleset, struct slice bus, struct slice name);
/* The target of that uid and its rule, or NULL when it was removed. */
const struct rule_target *ruleset_target(const struct ruleset *ruleset, uint64_t uid,
                                         const struct rule **rule);
