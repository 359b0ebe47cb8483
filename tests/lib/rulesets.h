/* SPDX-License-Identifier: Apache-2.0
 *
 * rulesets.h - a ruleset of rules that say themselves on which bus they are.
 */
#pragma once

#include "core/arena.h"
#include "routing/ruleset.h"

static inline struct slice ruleset_key_of(const struct rule *rule, struct arena *arena)
{
    return rule->is_central ? SLICE("central")
                            : arena_printf(arena, "%.*s/%.*s", SLICE_ARG(rule->bus_account),
                                           SLICE_ARG(rule->bus_name));
}

static inline struct ruleset *ruleset_of(struct rule *const *rules, size_t count)
{
    struct arena arena = {0};
    struct ruleset_edit edit = {.changes = ARENA_ARRAY(&arena, struct ruleset_change, count + 1)};
    struct ruleset *empty = ruleset_new();
    struct ruleset *ruleset;

    for (size_t i = 0; i < count; i++) {
        edit.changes[edit.change_count++] = (struct ruleset_change){
            .bus = ruleset_key_of(rules[i], &arena), .name = rules[i]->name, .rule = rules[i]};
    }
    ruleset = ruleset_change(empty, &edit);
    ruleset_release(empty);
    arena_clean_up(&arena);
    return ruleset;
}
