/* SPDX-License-Identifier: Apache-2.0
 *
 * rule.c - lifetime of a rule, and the one template that its targets may hold.
 *
 * A rule is filled by whoever reads the catalog, then only read, by every thread whose ruleset
 * holds it and by every delivery that it caused.
 *
 * Memory: the rule lives in its own arena and owns a reference to its pattern and to those of
 *         its targets' steps.
 */
#include "routing/rule.h"

#include "core/check.h"

static const struct slice account_mark = SLICE_INIT("{account}");

struct rule *rule_new(void)
{
    struct arena arena = {0};
    struct rule *rule = ARENA_NEW(&arena, struct rule);

    rule->references = 1;
    rule->arena = arena;
    return rule;
}

static void step_release(const struct rule_step *step)
{
    for (size_t i = 0; i < step->keep_count; i++) {
        pattern_release(step->keeps[i].where);
    }
    pattern_release(step->when);
}

struct rule *rule_acquire(struct rule *rule)
{
    CHECK(rule != NULL);
    CHECK(atomic_fetch_add_explicit(&rule->references, 1, memory_order_relaxed) > 0);
    return rule;
}

void rule_release(struct rule *rule)
{
    struct arena arena;

    if (rule == NULL || atomic_fetch_sub_explicit(&rule->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    pattern_release(rule->pattern);
    for (size_t i = 0; i < rule->target_count; i++) {
        for (size_t k = 0; k < rule->targets[i].step_count; k++) {
            step_release(&rule->targets[i].steps[k]);
        }
    }
    zone_release(rule->frame.zone);
    arena = rule->arena; /* the rule lives in it */
    arena_clean_up(&arena);
}

/* How many bytes of `text` stand before the next mark; text.len if there is none. */
static size_t find_mark(struct slice text)
{
    for (size_t at = 0; at + account_mark.len <= text.len; at++) {
        if (slice_has_prefix(slice_from(text, at), account_mark)) {
            return at;
        }
    }
    return text.len;
}

struct slice rule_fill_account(struct slice template, struct slice account, struct arena *arena)
{
    struct slice filled = {NULL, 0};
    size_t at = find_mark(template);

    if (at == template.len) {
        return template;
    }
    while (at < template.len) {
        filled = arena_printf(arena, "%.*s%.*s%.*s", SLICE_ARG(filled),
                              SLICE_ARG(slice_first(template, at)), SLICE_ARG(account));
        template = slice_from(template, at + account_mark.len);
        at = find_mark(template);
    }
    return arena_printf(arena, "%.*s%.*s", SLICE_ARG(filled), SLICE_ARG(template));
}
