/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_pool.c - compiled sets by the text of their patterns.
 *
 * Accounts that were set up from one template have equal patterns, and get equal changes: ten
 * thousand of them share one set.  The pool holds a reference to each set that it gave out and to
 * the patterns that it was made of; a set that only the pool still holds is dropped at the next
 * sweep, which comes when what the pool holds has doubled, so that sweeping costs each newcomer
 * little.
 */
#include "routing/matcher_pool.h"

#include "core/check.h"
#include "core/map.h"

enum { SWEEP_MIN = 4096, ENTRY_WEIGHT = 64 /* of one, however few its patterns */ };

struct entry {
    uint64_t hash;
    struct pattern **patterns; /* by number; NULL: no event can match it */
    size_t count;
    struct matcher *matcher;
    struct entry *next; /* of the same hash */
};

struct matcher_pool {
    _Atomic uint32_t references;
    struct map entries;  /* hash, 8 bytes -> struct entry, the first of a chain */
    size_t weight;       /* of all entries: what they hold, in patterns */
    size_t sweep_weight; /* time to sweep */
};

/* What an event can match of a rule, or NULL. */
static struct pattern *live_pattern(const struct rule *rule)
{
    return rule->is_enabled ? rule->pattern : NULL;
}

static struct slice live_text(const struct pattern *pattern)
{
    return pattern != NULL ? pattern_text(pattern) : (struct slice){NULL, 0};
}

static bool is_any_live(struct rule *const *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (live_pattern(rules[i]) != NULL) {
            return true;
        }
    }
    return false;
}

struct matcher *matcher_pool_compile(struct rule *const *rules, size_t count)
{
    struct matcher_builder *builder;

    if (!is_any_live(rules, count)) {
        return NULL;
    }
    builder = matcher_begin();
    for (size_t i = 0; i < count; i++) {
        matcher_add(builder, live_pattern(rules[i]));
    }
    return matcher_finish(builder);
}

/* ---- entries ------------------------------------------------------------------------------- */

static uint64_t hash_patterns(struct rule *const *rules, size_t count)
{
    uint64_t hash = count;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ map_hash(live_text(live_pattern(rules[i])))) * 0x9e3779b97f4a7c15u;
    }
    return hash;
}

static bool is_for(const struct entry *entry, struct rule *const *rules, size_t count)
{
    if (entry->count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct pattern *pattern = live_pattern(rules[i]);

        if (pattern != entry->patterns[i] &&
            !slice_eq(live_text(pattern), live_text(entry->patterns[i]))) {
            return false;
        }
    }
    return true;
}

static struct entry *entry_new(uint64_t hash, struct rule *const *rules, size_t count)
{
    struct entry *entry = xcalloc(1, sizeof(*entry));

    entry->hash = hash;
    entry->count = count;
    entry->patterns = xcalloc(count, sizeof(struct pattern *));
    for (size_t i = 0; i < count; i++) {
        struct pattern *pattern = live_pattern(rules[i]);

        entry->patterns[i] = pattern != NULL ? pattern_acquire(pattern) : NULL;
    }
    entry->matcher = matcher_pool_compile(rules, count);
    return entry;
}

static void entry_free(struct entry *entry)
{
    for (size_t i = 0; i < entry->count; i++) {
        pattern_release(entry->patterns[i]);
    }
    xfree(entry->patterns);
    matcher_release(entry->matcher);
    xfree(entry);
}

static struct slice key_of(const struct entry *entry)
{
    return (struct slice){(const char *)&entry->hash, sizeof(entry->hash)};
}

static size_t weight_of(const struct entry *entry)
{
    return ENTRY_WEIGHT + entry->count;
}

static void add(struct matcher_pool *pool, struct entry *entry)
{
    entry->next = map_remove(&pool->entries, key_of(entry)); /* the key moves to the newcomer */
    (void)map_put(&pool->entries, key_of(entry), entry);
    pool->weight += weight_of(entry);
}

static void sweep(struct matcher_pool *pool)
{
    struct map old = pool->entries;
    struct entry *first;
    size_t cursor = 0;

    map_init(&pool->entries);
    pool->weight = 0;
    while ((first = map_next(&old, &cursor)) != NULL) {
        while (first != NULL) {
            struct entry *next = first->next;

            if (matcher_is_shared(first->matcher)) {
                add(pool, first);
            } else {
                entry_free(first);
            }
            first = next;
        }
    }
    map_clean_up(&old);
    pool->sweep_weight = 2 * MAX_OF(pool->weight, (size_t)SWEEP_MIN);
}

/* ---- the pool ------------------------------------------------------------------------------ */

struct matcher_pool *matcher_pool_new(void)
{
    struct matcher_pool *pool = xcalloc(1, sizeof(*pool));

    atomic_init(&pool->references, 1);
    pool->sweep_weight = SWEEP_MIN;
    return pool;
}

struct matcher_pool *matcher_pool_acquire(struct matcher_pool *pool)
{
    CHECK(atomic_fetch_add_explicit(&pool->references, 1, memory_order_relaxed) > 0);
    return pool;
}

void matcher_pool_release(struct matcher_pool *pool)
{
    struct entry *entry;
    size_t cursor = 0;

    if (pool == NULL || atomic_fetch_sub_explicit(&pool->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    while ((entry = map_next(&pool->entries, &cursor)) != NULL) {
        while (entry != NULL) {
            struct entry *next = entry->next;

            entry_free(entry);
            entry = next;
        }
    }
    map_clean_up(&pool->entries);
    xfree(pool);
}

struct matcher *matcher_pool_get(struct matcher_pool *pool, struct rule *const *rules, size_t count)
{
    struct entry *entry;
    uint64_t hash;

    if (!is_any_live(rules, count)) {
        return NULL;
    }
    hash = hash_patterns(rules, count);
    entry = map_get(&pool->entries, (struct slice){(const char *)&hash, sizeof(hash)});
    while (entry != NULL && !is_for(entry, rules, count)) {
        entry = entry->next;
    }
    if (entry == NULL) {
        if (pool->weight >= pool->sweep_weight) {
            sweep(pool);
        }
        entry = entry_new(hash, rules, count);
        add(pool, entry);
    }
    return matcher_acquire(entry->matcher);
}
