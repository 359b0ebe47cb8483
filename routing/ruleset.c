/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset.c - buses and their rules as one immutable value; matching by compiled sets.
 *
 * An event is held against the rules of the bus it was sent to and against those of the central
 * bus, in one scan.  The rules of one event share a budget of search steps, so that no account can
 * make an event expensive by writing many rules that search long; the central bus comes first.
 *
 * A ruleset never changes; a change of the catalog makes another, which shares with the one before
 * all buses that did not change, by tables whose copies share what they have in common.  So it
 * costs what changes, whether there are ten rules or a million; what a bus costs of which something
 * changes is told in ruleset_bus.c.  The threads that match go on with the ruleset they have until
 * they are given the new one; what only the old one used is freed with it.
 *
 * Hits come in the order of the rules' names, whatever the catalog's.
 *
 * Memory: buses, and through them rules and compiled sets, are counted.
 */
#include "routing/ruleset.h"

#include "core/check.h"
#include "routing/partner_list.h"
#include "core/trie.h"

struct ruleset {
    _Atomic uint32_t references;
    struct trie buses;    /* key -> struct ruleset_bus */
    struct trie targets;  /* uid, 8 bytes -> struct rule */
    struct trie unfolded; /* key -> struct ruleset_bus, of those that want it */
    struct matcher_pool *pool;
    struct partner_lists *lists; /* a reference; NULL: none */
};

static const struct slice central_key = SLICE_INIT("central");

/* ---- what the tables hold ------------------------------------------------------------------ */

static void acquire_bus(void *bus)
{
    (void)ruleset_bus_acquire(bus);
}

static void release_bus(void *bus)
{
    ruleset_bus_release(bus);
}

static void acquire_rule(void *rule)
{
    (void)rule_acquire(rule);
}

static void release_rule(void *rule)
{
    rule_release(rule);
}

static const struct trie_values buses = {.acquire = acquire_bus, .release = release_bus};
static const struct trie_values rules = {.acquire = acquire_rule, .release = release_rule};

/* ---- life ---------------------------------------------------------------------------------- */

struct ruleset *ruleset_new(void)
{
    struct ruleset *ruleset = xcalloc(1, sizeof(*ruleset));

    atomic_init(&ruleset->references, 1);
    trie_init(&ruleset->buses, &buses);
    trie_init(&ruleset->targets, &rules);
    trie_init(&ruleset->unfolded, &buses);
    ruleset->pool = matcher_pool_new();
    return ruleset;
}

static struct ruleset *copy(const struct ruleset *before)
{
    struct ruleset *ruleset = xcalloc(1, sizeof(*ruleset));

    atomic_init(&ruleset->references, 1);
    ruleset->buses = trie_copy(&before->buses);
    ruleset->targets = trie_copy(&before->targets);
    ruleset->unfolded = trie_copy(&before->unfolded);
    ruleset->pool = matcher_pool_acquire(before->pool);
    ruleset->lists = before->lists != NULL ? partner_lists_acquire(before->lists) : NULL;
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
    if (ruleset == NULL ||
        atomic_fetch_sub_explicit(&ruleset->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    trie_clean_up(&ruleset->unfolded);
    trie_clean_up(&ruleset->targets);
    trie_clean_up(&ruleset->buses);
    matcher_pool_release(ruleset->pool);
    partner_lists_release(ruleset->lists);
    xfree(ruleset);
}

void ruleset_use_lists(struct ruleset *ruleset, struct partner_lists *lists)
{
    CHECK(atomic_load_explicit(&ruleset->references, memory_order_relaxed) == 1);
    (void)partner_lists_acquire(lists);
    partner_lists_release(ruleset->lists);
    ruleset->lists = lists;
}

const struct partner_lists *ruleset_lists(const struct ruleset *ruleset)
{
    return ruleset->lists;
}

/* ---- changing ------------------------------------------------------------------------------ */

/* Takes over the reference. */
static void put_bus(struct ruleset *ruleset, struct ruleset_bus *bus)
{
    if (bus->rule_count > 0 || bus->is_named) {
        trie_put(&ruleset->buses, bus->key, bus);
    } else {
        (void)trie_remove(&ruleset->buses, bus->key);
    }
    if (ruleset_bus_wants_fold(bus)) {
        trie_put(&ruleset->unfolded, bus->key, bus);
    } else {
        (void)trie_remove(&ruleset->unfolded, bus->key);
    }
    ruleset_bus_release(bus);
}

/* The bus of that key, or a new one without rules; the caller's reference. */
static struct ruleset_bus *take_bus(const struct ruleset *ruleset, struct slice key)
{
    struct ruleset_bus *bus = trie_get(&ruleset->buses, key);

    return bus != NULL ? ruleset_bus_acquire(bus) : ruleset_bus_new(key);
}

static void name_bus(struct ruleset *ruleset, struct slice key, bool is_named)
{
    struct ruleset_bus *bus = take_bus(ruleset, key);

    if (bus->is_named != is_named) {
        put_bus(ruleset, ruleset_bus_with_name(bus, is_named));
    }
    ruleset_bus_release(bus);
}

static struct slice uid_key(const struct rule_target *target)
{
    return (struct slice){(const char *)&target->uid, sizeof(target->uid)};
}

static void forget_targets(struct ruleset *ruleset, const struct rule *rule)
{
    for (size_t i = 0; i < rule->target_count; i++) {
        if (trie_get(&ruleset->targets, uid_key(&rule->targets[i])) == rule) {
            (void)trie_remove(&ruleset->targets, uid_key(&rule->targets[i]));
        }
    }
}

/* Changes of one bus. */
static void change_bus(struct ruleset *ruleset, const struct ruleset_change *changes, size_t count)
{
    struct ruleset_bus *bus = take_bus(ruleset, changes[0].bus);

    for (size_t i = 0; i < count; i++) {
        const struct rule *old = ruleset_bus_find(bus, changes[i].name);

        if (old != NULL) {
            forget_targets(ruleset, old);
        }
    }
    put_bus(ruleset, ruleset_bus_edit(bus, changes, count, ruleset->pool));
    ruleset_bus_release(bus);
}

/* After all have been forgotten: a target may move from rule to rule. */
static void learn_targets(struct ruleset *ruleset, const struct ruleset_edit *edit)
{
    for (size_t i = 0; i < edit->change_count; i++) {
        struct rule *rule = edit->changes[i].rule;

        for (size_t j = 0; rule != NULL && j < rule->target_count; j++) {
            trie_put(&ruleset->targets, uid_key(&rule->targets[j]), rule);
        }
    }
}

static int compare_changes(const void *a, const void *b)
{
    const struct ruleset_change *left = a;
    const struct ruleset_change *right = b;
    const int order = slice_compare(left->bus, right->bus);

    return order != 0 ? order : slice_compare(left->name, right->name);
}

struct ruleset *ruleset_change(const struct ruleset *before, const struct ruleset_edit *edit)
{
    struct ruleset *ruleset = copy(before);
    size_t first = 0;

    for (size_t i = 0; i < edit->named_count; i++) {
        name_bus(ruleset, edit->named[i], true);
    }
    if (edit->change_count > 0) {
        qsort(edit->changes, edit->change_count, sizeof(*edit->changes), compare_changes);
    }
    for (size_t i = 1; i <= edit->change_count; i++) {
        if (i == edit->change_count || !slice_eq(edit->changes[i].bus, edit->changes[first].bus)) {
            change_bus(ruleset, &edit->changes[first], i - first);
            first = i;
        }
    }
    learn_targets(ruleset, edit);
    for (size_t i = 0; i < edit->unnamed_count; i++) {
        name_bus(ruleset, edit->unnamed[i], false);
    }
    return ruleset;
}

/* ---- folding ------------------------------------------------------------------------------- */

struct ruleset_fold {
    struct ruleset_bus *bus;
    struct ruleset_set *set;
};

struct ruleset_fold *ruleset_fold_begin(const struct ruleset *ruleset)
{
    struct ruleset_bus *bus = trie_any(&ruleset->unfolded);
    struct ruleset_fold *fold;

    if (bus == NULL) {
        return NULL;
    }
    fold = xcalloc(1, sizeof(*fold));
    fold->bus = ruleset_bus_acquire(bus);
    return fold;
}

void ruleset_fold_run(struct ruleset_fold *fold)
{
    fold->set = ruleset_bus_fold(fold->bus);
}

struct ruleset *ruleset_fold_end(struct ruleset *ruleset, const struct ruleset_fold *fold)
{
    const struct ruleset_bus *bus = trie_get(&ruleset->buses, fold->bus->key);
    struct ruleset_bus *folded =
        bus != NULL ? ruleset_bus_take_fold(bus, fold->bus, fold->set) : NULL;
    struct ruleset *result = folded != NULL ? copy(ruleset) : ruleset_acquire(ruleset);

    if (folded != NULL) {
        put_bus(result, folded);
    }
    return result;
}

void ruleset_fold_free(struct ruleset_fold *fold)
{
    ruleset_set_release(fold->set);
    ruleset_bus_release(fold->bus);
    xfree(fold);
}

/* ---- asking -------------------------------------------------------------------------------- */

static const struct ruleset_bus *find_bus(const struct ruleset *ruleset, struct slice account,
                                          struct slice name, struct arena *arena)
{
    char *key = arena_alloc(arena, account.len + 1 + name.len);

    memcpy(key, account.data, account.len);
    key[account.len] = '/';
    memcpy(key + account.len + 1, name.data, name.len);
    return trie_get(&ruleset->buses, (struct slice){key, account.len + 1 + name.len});
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

size_t ruleset_rules(const struct ruleset *ruleset, struct slice bus, struct arena *arena,
                     struct rule ***list)
{
    const struct ruleset_bus *found = trie_get(&ruleset->buses, bus);

    *list = ARENA_ARRAY(arena, struct rule *, found != NULL ? found->rule_count + 1 : 1);
    if (found == NULL) {
        return 0;
    }
    ruleset_bus_list(found, *list);
    return found->rule_count;
}

struct rule *ruleset_rule(const struct ruleset *ruleset, struct slice bus, struct slice name)
{
    const struct ruleset_bus *found = trie_get(&ruleset->buses, bus);

    return found != NULL ? ruleset_bus_find(found, name) : NULL;
}

const struct rule_target *ruleset_target(const struct ruleset *ruleset, uint64_t uid,
                                         const struct rule **rule)
{
    const struct rule *found =
        trie_get(&ruleset->targets, (struct slice){(const char *)&uid, sizeof(uid)});

    for (size_t i = 0; found != NULL && i < found->target_count; i++) {
        if (found->targets[i].uid == uid) {
            *rule = found;
            return &found->targets[i];
        }
    }
    return NULL;
}

void ruleset_scratch_clean_up(struct ruleset_scratch *scratch)
{
    arena_clean_up(&scratch->arena);
    matcher_scratch_destroy(scratch->matcher);
    scratch->matcher = NULL;
}

/* ---- matching ------------------------------------------------------------------------------ */

/* An archive too many is left out, where a rule too many refuses the event: nobody is owed what an
 * archive keeps, and a member that makes many must not silence the central bus.  That one comes
 * first. */
static void add_archive(struct ruleset_scratch *scratch, const struct rule *rule)
{
    if (scratch->archive_count == RULESET_ARCHIVES_MAX) {
        scratch->archives_left_out++;
        return;
    }
    scratch->archives[scratch->archive_count++] = rule;
}

static enum err add_hits(struct ruleset_scratch *scratch, const struct rule *rule)
{
    if (rule->archive != 0) {
        add_archive(scratch, rule);
        return ERR_OK;
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

/* The rules of a bus that the answers, one per level, name, and their targets. */
static enum err add_matches(struct ruleset_scratch *scratch, const struct ruleset_bus *bus,
                            const struct matcher_answer answers[static RULESET_LEVELS])
{
    const struct rule **matched;
    size_t most = 0;
    size_t count;

    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        most += answers[i].match_count;
        scratch->exhausted_count += answers[i].exhausted_count;
    }
    matched = ARENA_ARRAY(&scratch->arena, const struct rule *, most + 1);
    count = ruleset_bus_merge(bus, answers, matched);
    for (size_t i = 0; i < count; i++) {
        TRY(add_hits(scratch, matched[i]));
    }
    return ERR_OK;
}

/* Fill `sets` with those of a bus, which may be NULL.  Is there any? */
static bool choose_sets(const struct ruleset_bus *bus, const struct matcher **sets)
{
    bool is_any = false;

    for (size_t i = 0; i < RULESET_LEVELS; i++) {
        sets[i] = bus != NULL && bus->levels[i].set != NULL ? bus->levels[i].set->matcher : NULL;
        is_any = is_any || sets[i] != NULL;
    }
    return is_any;
}

enum err ruleset_match(const struct ruleset *ruleset, struct slice account, struct slice bus_name,
                       const struct event *event, struct ruleset_scratch *scratch)
{
    const struct ruleset_bus *asked[2];
    const struct matcher *sets[RULESET_LEVELS * ARRAY_LEN(asked)];
    struct matcher_answer answers[ARRAY_LEN(sets)];
    size_t steps_left = RULESET_STEPS_MAX;
    bool is_any = false;

    _Static_assert(ARRAY_LEN(sets) <= MATCHER_SETS_MAX, "one scan serves all");
    arena_reset(&scratch->arena);
    scratch->hit_count = 0;
    scratch->archive_count = 0;
    scratch->archives_left_out = 0;
    scratch->rule_count = 0;
    scratch->exhausted_count = 0;
    if (scratch->matcher == NULL) {
        scratch->matcher = matcher_scratch_new();
    }
    matcher_use_lists(scratch->matcher, ruleset->lists);
    asked[0] = trie_get(&ruleset->buses, central_key);
    asked[1] = find_bus(ruleset, account, bus_name, &scratch->arena);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        is_any = choose_sets(asked[i], &sets[RULESET_LEVELS * i]) || is_any;
    }
    if (!is_any) {
        return ERR_OK;
    }
    TRY(matcher_match(sets, ARRAY_LEN(sets), event->bytes, &steps_left, scratch->matcher, answers));
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        if (asked[i] != NULL) {
            TRY(add_matches(scratch, asked[i], &answers[RULESET_LEVELS * i]));
        }
    }
    return ERR_OK;
}
