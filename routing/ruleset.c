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
#include "core/map.h"
#include "routing/matcher.h"

/* One bus: a run of the sorted rules. */
struct bus {
    struct slice key; /* "ACCOUNT/NAME", of the central bus "central" */
    struct rule **rules;
    size_t rule_count;
    struct matcher *matcher;     /* of these rules, in this order; NULL: none can match */
    struct bus *next;            /* of all */
    const struct bus *same_hash; /* the next that owns a matcher for patterns of this hash */
};

struct ruleset {
    _Atomic uint32_t references;
    struct arena arena;
    struct rule **rules; /* by bus, then by name */
    size_t rule_count;
    struct map buses; /* key -> struct bus */
    struct bus *first_bus;
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

static struct bus *add_bus(struct ruleset *ruleset, struct slice key)
{
    struct bus *bus = map_get(&ruleset->buses, key);

    if (bus == NULL) {
        bus = ARENA_NEW(&ruleset->arena, struct bus);
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
    struct bus *bus = add_bus(
        ruleset, rule->is_central ? central_key
                                  : bus_key(&ruleset->arena, rule->bus_account, rule->bus_name));

    if (bus->rule_count == 0) {
        bus->rules = place;
    }
    CHECK(bus->rules + bus->rule_count == place); /* sorted: a bus is one run */
    bus->rule_count++;
    add_targets(ruleset, rule);
}

/* What an event can match of a rule, or NULL. */
static const struct pattern *live_pattern(const struct rule *rule)
{
    return rule->is_enabled ? rule->pattern : NULL;
}

static struct slice live_text(const struct rule *rule)
{
    return live_pattern(rule) != NULL ? pattern_text(live_pattern(rule)) : (struct slice){NULL, 0};
}

static bool have_same_patterns(const struct bus *a, const struct bus *b)
{
    if (a->rule_count != b->rule_count) {
        return false;
    }
    for (size_t i = 0; i < a->rule_count; i++) {
        if (!slice_eq(live_text(a->rules[i]), live_text(b->rules[i]))) {
            return false;
        }
    }
    return true;
}

static uint64_t hash_patterns(const struct bus *bus)
{
    uint64_t hash = bus->rule_count;

    for (size_t i = 0; i < bus->rule_count; i++) {
        hash = (hash ^ map_hash(live_text(bus->rules[i]))) * 0x9e3779b97f4a7c15u;
    }
    return hash;
}

static struct matcher *compile_bus(const struct bus *bus, size_t pattern_count)
{
    const struct pattern **patterns = xmalloc(sizeof(struct pattern *) * bus->rule_count);
    struct matcher *matcher = NULL;

    for (size_t i = 0; i < bus->rule_count; i++) {
        patterns[i] = live_pattern(bus->rules[i]);
    }
    if (pattern_count > 0) {
        matcher = matcher_new(patterns, bus->rule_count);
    }
    xfree(patterns);
    return matcher;
}

/* Give the bus its compiled set, of its own or of a bus with the same patterns. */
static void give_matcher(struct ruleset *ruleset, struct map *owners, struct bus *bus)
{
    size_t pattern_count = 0;
    uint64_t *hash = ARENA_NEW(&ruleset->arena, uint64_t);
    const struct slice key = {(const char *)hash, sizeof(*hash)};

    for (size_t i = 0; i < bus->rule_count; i++) {
        pattern_count += live_pattern(bus->rules[i]) != NULL ? 1 : 0;
    }
    if (pattern_count == 0) {
        return;
    }
    *hash = hash_patterns(bus);
    bus->same_hash = map_get(owners, key);
    for (const struct bus *owner = bus->same_hash; owner != NULL; owner = owner->same_hash) {
        if (have_same_patterns(owner, bus)) {
            bus->matcher = matcher_acquire(owner->matcher);
            return;
        }
    }
    bus->matcher = compile_bus(bus, pattern_count);
    (void)map_put(owners, key, bus);
}

static void give_matchers(struct ruleset *ruleset)
{
    struct map owners = {.count = 0}; /* hash of the patterns, 8 bytes -> struct bus */

    for (struct bus *bus = ruleset->first_bus; bus != NULL; bus = bus->next) {
        give_matcher(ruleset, &owners, bus);
    }
    map_clean_up(&owners);
}

struct ruleset *ruleset_new(struct rule *const *rules, size_t rule_count, const struct slice *buses,
                            size_t bus_count)
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
    if (rule_count > 0) {
        qsort(ruleset->rules, rule_count, sizeof(struct rule *), compare_rules);
    }
    for (size_t i = 0; i < rule_count; i++) {
        add_rule(ruleset, &ruleset->rules[i]);
    }
    give_matchers(ruleset);
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
    for (const struct bus *bus = ruleset->first_bus; bus != NULL; bus = bus->next) {
        matcher_release(bus->matcher);
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

static const struct bus *find_bus(const struct ruleset *ruleset, struct slice account,
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

static enum err add_hits(struct ruleset_scratch *scratch, const struct rule *rule)
{
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

enum err ruleset_match(const struct ruleset *ruleset, struct slice account, struct slice bus_name,
                       const struct event *event, struct ruleset_scratch *scratch)
{
    const struct bus *buses[2];
    const struct matcher *sets[ARRAY_LEN(buses)] = {NULL, NULL};
    struct matcher_answer answers[ARRAY_LEN(buses)];
    size_t steps_left = RULESET_STEPS_MAX;

    arena_reset(&scratch->arena);
    scratch->hit_count = 0;
    scratch->rule_count = 0;
    scratch->exhausted_count = 0;
    if (scratch->matcher == NULL) {
        scratch->matcher = matcher_scratch_new();
    }
    buses[0] = map_get(&ruleset->buses, central_key);
    buses[1] = find_bus(ruleset, account, bus_name, &scratch->arena);
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        sets[i] = buses[i] != NULL ? buses[i]->matcher : NULL;
    }
    if (sets[0] == NULL && sets[1] == NULL) {
        return ERR_OK;
    }
    TRY(matcher_match(sets, ARRAY_LEN(sets), event->bytes, &steps_left, scratch->matcher, answers));
    for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
        scratch->exhausted_count += answers[i].exhausted_count;
        for (size_t j = 0; j < answers[i].match_count; j++) {
            TRY(add_hits(scratch, buses[i]->rules[answers[i].matches[j]]));
        }
    }
    return ERR_OK;
}
