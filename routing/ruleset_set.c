/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_set.c - lifetime of a set of rules, and finding one in it.
 */
#include "routing/ruleset_set.h"

#include "core/check.h"

struct ruleset_set *ruleset_set_new(struct rule *const *rules, size_t count,
                                    struct matcher_pool *pool)
{
    struct ruleset_set *set;

    if (count == 0) {
        return NULL;
    }
    set = xcalloc(1, sizeof(*set));
    atomic_init(&set->references, 1);
    set->count = count;
    set->rules = xcalloc(count, sizeof(struct rule *));
    for (size_t i = 0; i < count; i++) {
        set->rules[i] = rule_acquire(rules[i]);
    }
    set->matcher =
        pool != NULL ? matcher_pool_get(pool, rules, count) : matcher_pool_compile(rules, count);
    return set;
}

struct ruleset_set *ruleset_set_acquire(struct ruleset_set *set)
{
    if (set != NULL) {
        CHECK(atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed) > 0);
    }
    return set;
}

void ruleset_set_release(struct ruleset_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    matcher_release(set->matcher);
    for (size_t i = 0; i < set->count; i++) {
        rule_release(set->rules[i]);
    }
    xfree(set->rules);
    xfree(set);
}

size_t ruleset_set_find(const struct ruleset_set *set, struct slice name)
{
    size_t low = 0;
    size_t high = set != NULL ? set->count : 0;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = slice_compare(set->rules[middle]->name, name);

        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return SIZE_MAX;
}
