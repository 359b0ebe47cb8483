/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset.c - buses and their rules as one immutable value; matching by compiled sets.
 *
 * An event is held against the rules of the bus it was sent to and against those of the central
 * bus, in one scan.  The patterns of a bus are one compiled set.  Accounts that were set up from
 * one template have equal patterns, so sets are interned: buses with the same patterns in the same
 * order share one.
 *
 * The rules of one event share a budget of search steps, so that no account can make an event
 * expensive by writing many rules that search long; the central bus comes first.
 *
 * Rules of a bus are sorted by name, so hits come in one order whatever the catalog's.
 *
 * Invariant: nothing changes after ruleset_new(); any thread may match with its own scratch.
 * Memory:    the set lives in its own arena, except for its tables and compiled sets; it holds a
 *            reference to each rule.
 */
#include "routing/ruleset.h"

#include "core/check.h"
#include "routing/ruleset_bus.h"

struct ruleset {
    _Atomic uint32_t references;
    struct arena arena;
    struct rule **rules; /* by bus, then by name */
    size_t rule_count;
    struct map buses; /* key -> struct ruleset_bus */
    struct ruleset_bus *first_bus;
    struct map targets; /* uid, 8 bytes -> struct ruleset_hit */
};

static const struct slice central_key = SLICE_INIT("central");

/* ---- building ------------------------------------------------------------------------------ */

static struct slice bus_key(struct arena *arena, struct slice account, struct slice name)
{
    char *key = arena_alloc(arena, account.len + 1 + name.len);

    memcpy(key, account.data, account.len);
    key[account.len] = '/';
    memcpy(key + account.len + 1, name.data, name.len);
    return (struct slice){key, account.len + 1 + name.len};
}

static struct ruleset_bus *add_bus(struct ruleset *ruleset, struct slice key)
{
    struct ruleset_bus *bus = map_get(&ruleset->buses, key);

    if (bus == NULL) {
        bus = ARENA_NEW(&ruleset->arena, struct ruleset_bus);
        bus->key = arena_copy(&ruleset->arena, key);
        bus->next = ruleset->first_bus;
        ruleset->first_bus = bus;
        (void)map_put(&ruleset->buses, bus->key, bus);
    }
    return bus;
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *left = *(const struct rule *const *)a;
    const struct rule *right = *(const struct rule *const *)b;
    int order = (int)right->is_central - (int)left->is_central;

    order = order != 0 ? order : slice_compare(left->bus_account, right->bus_account);
    order = order != 0 ? order : slice_compare(left->bus_name, right->bus_name);
    return order != 0 ? order : slice_compare(left->name, right->name);
}

static void add_targets(struct ruleset *ruleset, const struct rule *rule)
{
    for (size_t i = 0; i < rule->target_count; i++) {
        const struct rule_target *target = &rule->targets[i];
        struct ruleset_hit *hit = ARENA_NEW(&ruleset->arena, struct ruleset_hit);

        *hit = (struct ruleset_hit){.rule = rule, .target = target};
        (void)map_put(&ruleset->targets,
                      (struct slice){(const char *)&target->uid, sizeof(target->uid)}, hit);
    }
}

static void add_rule(struct ruleset *ruleset, struct rule **place)
{
    const struct rule *rule = *place;
    struct ruleset_bus *bus = add_bus(
        ruleset, rule->is_central ? central_key
                                  : bus_key(&ruleset->arena, rule->bus_account, rule->bus_name));

    if (bus->rule_count == 0) {
        bus->rules = place;
    }
    CHECK(bus->rules + bus->rule_count == place); /* sorted: a bus is one run */
    bus->rule_count++;
    add_targets(ruleset, rule);
}

/* First those that have been compiled before, so that new ones can share with them. */
static void compile_buses(struct ruleset *ruleset, const struct ruleset *previous)
{
    struct map owners = {.count = 0}; /* hash of patterns, 8 bytes -> struct ruleset_bus */

    for (struct ruleset_bus *bus = ruleset->first_bus; bus != NULL; bus = bus->next) {
        const struct ruleset_bus *before =
            previous != NULL ? map_get(&previous->buses, bus->key) : NULL;

        bus->is_compiled =
            before != NULL && ruleset_bus_renew(bus, before, &owners, &ruleset->arena);
    }
    for (struct ruleset_bus *bus = ruleset->first_bus; bus != NULL; bus = bus->next) {
        if (!bus->is_compiled) {
            ruleset_bus_compile(bus, &owners);
        }
    }
    map_clean_up(&owners);
}

static bool are_sorted(struct rule *const *rules, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (compare_rules(&rules[i - 1], &rules[i]) > 0) {
            return false;
        }
    }
    return true;
}

struct ruleset *ruleset_new(struct rule *const *rules, size_t rule_count, const struct slice *buses,
                            size_t bus_count)
{
    return ruleset_renew(NULL, rules, rule_count, buses, bus_count);
}

struct ruleset *ruleset_renew(const struct ruleset *previous, struct rule *const *rules,
                              size_t rule_count, const struct slice *buses, size_t bus_count)
{
    struct arena arena = {0};
    struct ruleset *ruleset = ARENA_NEW(&arena, struct ruleset);

    ruleset->references = 1;
    ruleset->arena = arena;
    (void)add_bus(ruleset, central_key);
    for (size_t i = 0; i < bus_count; i++) {
        (void)add_bus(ruleset, buses[i]);
    }
    ruleset->rules = ARENA_ARRAY(&ruleset->arena, struct rule *, rule_count);
    ruleset->rule_count = rule_count;
    for (size_t i = 0; i < rule_count; i++) {
        ruleset->rules[i] = rule_acquire(rules[i]);
    }
    if (!are_sorted(ruleset->rules, rule_count)) {
        qsort(ruleset->rules, rule_count, sizeof(struct rule *), compare_rules);
    }
    for (size_t i = 0; i < rule_count; i++) {
        add_rule(ruleset, &ruleset->rules[i]);
    }
    compile_buses(ruleset, previous);
    return ruleset;
}

struct ruleset *ruleset_acquire(struct ruleset *ruleset)
{
    CHECK(ruleset != NULL);
    CHECK(atomic_fetch_add_explicit(&ruleset->references, 1, memory_order_relaxed) > 0);
    return ruleset;
}

void ruleset_release(struct ruleset *ruleset)
{
    struct arena arena;

    if (ruleset == NULL ||
        atomic_fetch_sub_explicit(&ruleset->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (struct ruleset_bus *bus = ruleset->first_bus; bus != NULL; bus = bus->next) {
        ruleset_bus_clean_up(bus);
    }
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        rule_release(ruleset->rules[i]);
    }
    map_clean_up(&ruleset->buses);
    map_clean_up(&ruleset->targets);
    arena = ruleset->arena; /* the set lives in it */
    arena_clean_up(&arena);
}

/* ---- asking -------------------------------------------------------------------------------- */

static const struct ruleset_bus *find_bus(const struct ruleset *ruleset, struct slice account,
                                          struct slice name, struct arena *arena)
{
    return map_get(&ruleset->buses, bus_key(arena, account, name));
}

bool ruleset_has_bus(const struct ruleset *ruleset, struct slice account, struct slice name)
{
    struct arena arena = {0};
    bool is_known = slice_eq(name, SLICE("default"));

    if (!is_known) {
        is_known = find_bus(ruleset, account, name, &arena) != NULL;
        arena_clean_up(&arena);
    }
    return is_known;
}

size_t ruleset_rules(const struct ruleset *ruleset, struct slice bus, struct rule *const **rules)
{
    const struct ruleset_bus *found = map_get(&ruleset->buses, bus);

    *rules = found != NULL ? found->rules : NULL;
    return found != NULL ? found->rule_count : 0;
}

const struct rule_target *ruleset_target(const struct ruleset *ruleset, uint64_t uid,
                                         const struct rule **rule)
{
    const struct ruleset_hit *hit =
        map_get(&ruleset->targets, (struct slice){(const char *)&uid, sizeof(uid)});

    if (hit == NULL) {
        return NULL;
    }
    *rule = hit->rule;
    return hit->target;
}

void ruleset_scratch_clean_up(struct ruleset_scratch *scratch)
{
    arena_clean_up(&scratch->arena);
    matcher_scratch_destroy(scratch->matcher);
    scratch->matcher = NULL;
}

/* ---- matching ------------------------------------------------------------------------------ */

static enum err add_archive(struct ruleset_scratch *scratch, const struct rule *rule)
{
    if (scratch->archive_count == RULESET_ARCHIVES_MAX) {
        return ERR_TOO_LARGE;
    }
    scratch->archives[scratch->archive_count++] = rule;
    return ERR_OK;
}

static enum err add_hits(struct ruleset_scratch *scratch, const struct rule *rule)
{
    if (rule->archive != 0) {
        return add_archive(scratch, rule);
    }
    if (rule->target_count > RULESET_HITS_MAX - scratch->hit_count) {
        return ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < rule->target_count; i++) {
        scratch->hits[scratch->hit_count++] =
            (struct ruleset_hit){.rule = rule, .target = &rule->targets[i]};
    }
    scratch->rule_count++;
    return ERR_OK;
}

/* The rules of a bus that two answers name, and their targets. */
static enum err add_matches(struct ruleset_scratch *scratch, const struct ruleset_bus *bus,
                            const struct matcher_answer answers[2])
{
    const size_t most = answers[0].match_count + answers[1].match_count;
    uint32_t *places = arena_alloc(&scratch->arena, sizeof(*places) * MAX_OF(most, (size_t)1));
    const size_t count = ruleset_bus_merge(bus, answers, places);

    scratch->exhausted_count += answers[0].exhausted_count + answers[1].exhausted_count;
    for (size_t i = 0; i < count; i++) {
        TRY(add_hits(scratch, bus->rules[places[i]]));
    }
    return ERR_OK;
}

enum err ruleset_match(const struct ruleset *ruleset, struct slice account, struct slice bus_name,
                       const struct event *event, struct ruleset_scratch *scratch)
{
    const struct ruleset_bus *buses[2];
    const struct matcher *sets[2 * ARRAY_LEN(buses)] = {NULL};
    struct matcher_answer answers[ARRAY_LEN(sets)];
    size_t steps_left = RULESET_STEPS_MAX;
    bool is_empty = true;

    _Static_assert(ARRAY_LEN(sets) <= MATCHER_SETS_MAX, "one scan serves all");
    arena_reset(&scratch->arena);
    scratch->hit_count = 0;
    scratch->archive_count = 0;
    scratch->rule_count = 0;
    scratch->exhausted_count = 0;
    if (scratch->matcher == NULL) {
        scratch->matcher = matcher_scratch_new();
    }
    buses[0] = map_get(&ruleset->buses, central_key);
    buses[1] = find_bus(ruleset, account, bus_name, &scratch->arena);
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        if (buses[i] != NULL) {
            sets[2 * i] = buses[i]->base.matcher;
            sets[2 * i + 1] = buses[i]->delta.matcher;
            is_empty = is_empty && sets[2 * i] == NULL;
        }
    }
    if (is_empty) {
        return ERR_OK;
    }
    TRY(matcher_match(sets, ARRAY_LEN(sets), event->bytes, &steps_left, scratch->matcher, answers));
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        if (buses[i] != NULL) {
            TRY(add_matches(scratch, buses[i], &answers[2 * i]));
        }
    }
    return ERR_OK;
}
