/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_bus.c - the compiled sets of a bus, in levels, so that a change compiles little.
 *
 * A compiled set never changes.  A bus has up to three of them, the largest first:
 *
 *     base      a b c d e f …   nearly all rules; c is gone
 *     middle    c' x y …        what changed since the base was made
 *     delta     z               what changed last
 *
 * A rule that goes is marked as gone in its level; one that comes, or takes another's place, goes
 * into the delta, which is small and compiled anew with each change.  A delta that has grown
 * becomes the middle.  Then base and middle should be folded into a new base; that takes long for a
 * large bus, so whoever owns the bus may do it on a thread of its own while changes go on in the
 * delta, and what of the new base went meanwhile is marked in it.
 *
 * A bus with few rules is compiled as a whole, and so is one of which much changes at once: then it
 * has a base alone.
 *
 * Invariant: a rule that is not gone is in one level only.
 */
#include "routing/ruleset_bus.h"

#include "core/arena.h"
#include "core/check.h"

enum { BASE, MIDDLE, DELTA };

enum {
    SMALL_MAX = 64,  /* rules of a bus that is compiled as a whole */
    DELTA_MAX = 64,  /* rules of a delta that is not moved up */
    GONE_SHARE = 16, /* of the base: enough to fold it */
    BULK_SHARE = 2,  /* of all: enough to compile all anew */
};

/* ---- life ---------------------------------------------------------------------------------- */

struct ruleset_bus *ruleset_bus_new(struct slice key)
{
    struct ruleset_bus *bus = xcalloc(1, sizeof(*bus) + key.len + 1);

    atomic_init(&bus->references, 1);
    memcpy(bus->key_bytes, key.data, key.len);
    bus->key = (struct slice){bus->key_bytes, key.len};
    return bus;
}

struct ruleset_bus *ruleset_bus_acquire(struct ruleset_bus *bus)
{
    CHECK(atomic_fetch_add_explicit(&bus->references, 1, memory_order_relaxed) > 0);
    return bus;
}

static void level_clear(struct ruleset_level *level)
{
    ruleset_set_release(level->set);
    xfree(level->gone);
    *level = (struct ruleset_level){.set = NULL};
}

void ruleset_bus_release(struct ruleset_bus *bus)
{
    if (bus == NULL || atomic_fetch_sub_explicit(&bus->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        level_clear(&bus->levels[i]);
    }
    xfree(bus);
}

/* ---- levels -------------------------------------------------------------------------------- */

static size_t mark_words(const struct ruleset_set *set)
{
    return (set->count + 63) / 64;
}

static bool is_gone(const struct ruleset_level *level, size_t place)
{
    return level->gone != NULL && (level->gone[place / 64] >> place % 64 & 1) != 0;
}

static void mark_gone(struct ruleset_level *level, size_t place)
{
    if (level->gone == NULL) {
        level->gone = xcalloc(mark_words(level->set), sizeof(*level->gone));
    }
    level->gone[place / 64] |= (uint64_t)1 << place % 64;
    level->gone_count++;
}

static size_t live_count(const struct ruleset_level *level)
{
    return level->set != NULL ? level->set->count - level->gone_count : 0;
}

static struct ruleset_level level_copy(const struct ruleset_level *level)
{
    struct ruleset_level copy = {.set = ruleset_set_acquire(level->set),
                                 .gone_count = level->gone_count};

    if (level->gone != NULL) {
        copy.gone = xcalloc(mark_words(level->set), sizeof(*copy.gone));
        memcpy(copy.gone, level->gone, mark_words(level->set) * sizeof(*copy.gone));
    }
    return copy;
}

static struct ruleset_bus *bus_copy(const struct ruleset_bus *bus)
{
    struct ruleset_bus *copy = ruleset_bus_new(bus->key);

    copy->is_named = bus->is_named;
    copy->rule_count = bus->rule_count;
    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        copy->levels[i] = level_copy(&bus->levels[i]);
    }
    return copy;
}

struct ruleset_bus *ruleset_bus_with_name(const struct ruleset_bus *bus, bool is_named)
{
    struct ruleset_bus *copy = bus_copy(bus);

    copy->is_named = is_named;
    return copy;
}

/* The live rules of levels `from` to `to` by name; there is room.  How many. */
static size_t list_levels(const struct ruleset_level *levels, size_t from, size_t to,
                          struct rule **rules)
{
    size_t at[RULESET_LEVELS] = {0};
    size_t count = 0;

    for (;;) {
        size_t least = RULESET_LEVELS;

        for (size_t i = from; i <= to; i++) {
            const struct ruleset_set *set = levels[i].set;

            while (set != NULL && at[i] < set->count && is_gone(&levels[i], at[i])) {
                at[i]++;
            }
            if (set != NULL && at[i] < set->count &&
                (least == RULESET_LEVELS ||
                 slice_compare(set->rules[at[i]]->name, levels[least].set->rules[at[least]]->name) <
                     0)) {
                least = i;
            }
        }
        if (least == RULESET_LEVELS) {
            return count;
        }
        rules[count++] = levels[least].set->rules[at[least]++];
    }
}

/* ---- changing ------------------------------------------------------------------------------ */

static void let_go(struct ruleset_bus *bus, struct slice name)
{
    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        const size_t place = ruleset_set_find(bus->levels[i].set, name);

        if (place != SIZE_MAX && !is_gone(&bus->levels[i], place)) {
            mark_gone(&bus->levels[i], place);
            bus->rule_count--;
            return;
        }
    }
}

/* Merge two lists without common names. */
static size_t merge(struct rule *const *rules, size_t count, const struct ruleset_change *changes,
                    size_t change_count, struct rule **merged)
{
    size_t total = 0;
    size_t i = 0;

    for (size_t j = 0; j < change_count; j++) {
        if (changes[j].rule == NULL) {
            continue;
        }
        while (i < count && slice_compare(rules[i]->name, changes[j].name) < 0) {
            merged[total++] = rules[i++];
        }
        merged[total++] = changes[j].rule;
    }
    while (i < count) {
        merged[total++] = rules[i++];
    }
    return total;
}

/* Put what comes beside the live rules of levels `from` and up, all as level `from`. */
static void compile_from(struct ruleset_bus *bus, size_t from, const struct ruleset_change *changes,
                         size_t change_count, struct matcher_pool *pool)
{
    struct arena scratch = {0};
    struct rule **kept = ARENA_ARRAY(&scratch, struct rule *, bus->rule_count + 1);
    struct rule **merged;
    size_t count = list_levels(bus->levels, from, DELTA, kept);
    struct ruleset_set *set;

    merged = ARENA_ARRAY(&scratch, struct rule *, count + change_count + 1);
    bus->rule_count -= count;
    count = merge(kept, count, changes, change_count, merged);
    bus->rule_count += count;
    set = ruleset_set_new(merged, count, pool);
    for (size_t i = from; i < RULESET_LEVELS; i++) {
        level_clear(&bus->levels[i]);
    }
    bus->levels[from].set = set;
    arena_clean_up(&scratch);
}

struct ruleset_bus *ruleset_bus_edit(const struct ruleset_bus *bus,
                                     const struct ruleset_change *changes, size_t count,
                                     struct matcher_pool *pool)
{
    struct ruleset_bus *edited = bus_copy(bus);
    size_t coming = live_count(&bus->levels[DELTA]);

    for (size_t i = 0; i < count; i++) {
        CHECK(i == 0 || slice_compare(changes[i - 1].name, changes[i].name) < 0);
        let_go(edited, changes[i].name);
        coming += changes[i].rule != NULL;
    }
    if (edited->rule_count <= SMALL_MAX || coming >= edited->rule_count / BULK_SHARE) {
        compile_from(edited, BASE, changes, count, pool);
        return edited;
    }
    compile_from(edited, DELTA, changes, count, pool);
    if (live_count(&edited->levels[DELTA]) >= DELTA_MAX && edited->levels[MIDDLE].set == NULL) {
        edited->levels[MIDDLE] = edited->levels[DELTA];
        edited->levels[DELTA] = (struct ruleset_level){.set = NULL};
    }
    return edited;
}

/* ---- folding ------------------------------------------------------------------------------- */

bool ruleset_bus_wants_fold(const struct ruleset_bus *bus)
{
    const struct ruleset_level *base = &bus->levels[BASE];

    return bus->levels[MIDDLE].set != NULL || (base->set != NULL && base->gone_count > SMALL_MAX &&
                                               base->gone_count > base->set->count / GONE_SHARE);
}

struct ruleset_set *ruleset_bus_fold(const struct ruleset_bus *bus)
{
    struct arena scratch = {0};
    struct rule **rules = ARENA_ARRAY(&scratch, struct rule *, bus->rule_count + 1);
    struct ruleset_set *folded =
        ruleset_set_new(rules, list_levels(bus->levels, BASE, MIDDLE, rules), NULL);

    arena_clean_up(&scratch);
    return folded;
}

/* What went between then and now is gone from the fold too. */
static void mark_since(struct ruleset_level *folded, const struct ruleset_level *now,
                       const struct ruleset_level *then)
{
    const size_t words = now->gone_count > then->gone_count ? mark_words(now->set) : 0;

    for (size_t i = 0; i < words; i++) {
        uint64_t news = now->gone[i] & ~(then->gone != NULL ? then->gone[i] : 0);

        for (; news != 0; news &= news - 1) {
            const size_t place = i * 64 + (size_t)__builtin_ctzll(news);

            mark_gone(folded, ruleset_set_find(folded->set, now->set->rules[place]->name));
        }
    }
}

struct ruleset_bus *ruleset_bus_take_fold(const struct ruleset_bus *bus,
                                          const struct ruleset_bus *then,
                                          struct ruleset_set *folded)
{
    struct ruleset_level base = {.set = folded};
    struct ruleset_bus *taken;

    if (bus->levels[BASE].set != then->levels[BASE].set ||
        bus->levels[MIDDLE].set != then->levels[MIDDLE].set) {
        return NULL;
    }
    ruleset_set_acquire(folded);
    mark_since(&base, &bus->levels[BASE], &then->levels[BASE]);
    mark_since(&base, &bus->levels[MIDDLE], &then->levels[MIDDLE]);
    taken = bus_copy(bus);
    level_clear(&taken->levels[BASE]);
    level_clear(&taken->levels[MIDDLE]);
    taken->levels[BASE] = base;
    return taken;
}

/* ---- asking -------------------------------------------------------------------------------- */

struct rule *ruleset_bus_find(const struct ruleset_bus *bus, struct slice name)
{
    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        const size_t place = ruleset_set_find(bus->levels[i].set, name);

        if (place != SIZE_MAX && !is_gone(&bus->levels[i], place)) {
            return bus->levels[i].set->rules[place];
        }
    }
    return NULL;
}

void ruleset_bus_list(const struct ruleset_bus *bus, struct rule **rules)
{
    CHECK(list_levels(bus->levels, BASE, DELTA, rules) == bus->rule_count);
}

static int compare_names(const void *a, const void *b)
{
    return slice_compare((*(const struct rule *const *)a)->name,
                         (*(const struct rule *const *)b)->name);
}

size_t ruleset_bus_merge(const struct ruleset_bus *bus, const struct matcher_answer *answers,
                         const struct rule **rules)
{
    size_t count = 0;
    size_t before = 0; /* of the levels above */
    bool is_mixed = false;

    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        before = count;
        for (size_t j = 0; j < answers[i].match_count; j++) {
            const uint32_t place = answers[i].matches[j];

            if (!is_gone(&bus->levels[i], place)) {
                rules[count++] = bus->levels[i].set->rules[place];
            }
        }
        is_mixed = is_mixed || (before > 0 && count > before);
    }
    if (is_mixed) {
        qsort(rules, count, sizeof(*rules), compare_names);
    }
    return count;
}
