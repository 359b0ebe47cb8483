/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset.c - buses and their rules as one immutable value; matching by plain scan.
 *
 * An event is held against the rules of the bus it was sent to and against those of the central
 * bus.  Most rules name a source or detail-type as literals, and those strings are known before the
 * event is read: a rule that they rule out costs a few comparisons, and an event that they rule out
 * altogether is never flattened.
 *
 * The rules of one event share a budget of search steps, so that no account can make an event
 * expensive by writing many rules that search long; the central bus comes first.
 *
 * Rules of a bus are sorted by name, so hits come in one order whatever the catalog's.
 *
 * Invariant: nothing changes after ruleset_new(); any thread may match with its own scratch.
 * Memory:    the set lives in its own arena, except for its tables; it holds a reference to each
 *            rule.
 */
#include "routing/ruleset.h"

#include "core/check.h"
#include "core/map.h"

/* One bus: a run of the sorted rules. */
struct bus {
    struct slice key; /* "ACCOUNT/NAME", of the central bus "central" */
    struct rule **rules;
    size_t rule_count;
};

struct ruleset {
    _Atomic uint32_t references;
    struct arena arena;
    struct rule **rules; /* by bus, then by name */
    size_t rule_count;
    struct map buses;   /* key -> struct bus */
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
}

/* ---- matching ------------------------------------------------------------------------------ */

/* An event while it is matched; flattened when the first rule asks for it. */
struct matching {
    const struct event *event;
    struct pattern_envelope envelope;
    struct event_tree *tree;
    size_t steps_left; /* of the searches of all rules */
    struct ruleset_scratch *scratch;
};

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

static enum err match_rule(struct matching *matching, const struct rule *rule)
{
    if (!rule->is_enabled || rule->pattern == NULL ||
        !pattern_may_match(rule->pattern, &matching->envelope)) {
        return ERR_OK;
    }
    if (matching->tree == NULL) {
        TRY(event_tree_read(matching->event->bytes, &matching->scratch->arena, &matching->tree,
                            NULL));
    }
    switch (pattern_evaluate(rule->pattern, matching->tree, &matching->steps_left)) {
    case PATTERN_MATCH:
        return add_hits(matching->scratch, rule);
    case PATTERN_EXHAUSTED:
        matching->scratch->exhausted_count++;
        break;
    case PATTERN_NO_MATCH:
        break;
    }
    return ERR_OK;
}

static enum err match_bus(struct matching *matching, const struct bus *bus)
{
    for (size_t i = 0; bus != NULL && i < bus->rule_count; i++) {
        TRY(match_rule(matching, bus->rules[i]));
    }
    return ERR_OK;
}

enum err ruleset_match(const struct ruleset *ruleset, struct slice account, struct slice bus_name,
                       const struct event *event, struct ruleset_scratch *scratch)
{
    struct matching matching = {
        .event = event,
        .envelope = {.source = event->source,
                     .detail_type = event->detail_type,
                     .account = event->account,
                     .region = event->region},
        .steps_left = RULESET_STEPS_MAX,
        .scratch = scratch,
    };

    arena_reset(&scratch->arena);
    scratch->hit_count = 0;
    scratch->rule_count = 0;
    scratch->exhausted_count = 0;
    TRY(match_bus(&matching, map_get(&ruleset->buses, central_key)));
    return match_bus(&matching, find_bus(ruleset, account, bus_name, &scratch->arena));
}
