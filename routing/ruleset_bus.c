/* SPDX-License-Identifier: Apache-2.0
 *
 * ruleset_bus.c - the compiled sets of a bus, used again from one ruleset to the next.
 *
 * A ruleset never changes; a change of the catalog makes another.  Most rules of a bus are in both,
 * so a bus has two sets.  The base is shared with the ruleset before, for as long as it is most of
 * the bus: a list says where each of its patterns is now, or that it is gone.  The delta holds what
 * the base does not, is small, and is compiled anew with each change.
 *
 *     base    patterns of  a b c d        places  0 - 1 3      b was removed
 *     delta   patterns of  e              places  2
 *
 * When too much of the base is gone, or the delta has grown, all is compiled into a new base.  The
 * threads that match go on with the ruleset they have until they are given the new one; what only
 * the old one used is freed with it.
 *
 * Memory: places live in the ruleset's arena; sets are counted.
 */
#include "routing/ruleset_bus.h"

#include "core/check.h"

enum { DELTA_MIN = 64, DELTA_SHARE = 16 };

/* What an event can match of a rule, or NULL. */
static const struct pattern *live_pattern(const struct rule *rule)
{
    return rule->is_enabled ? rule->pattern : NULL;
}

static struct slice live_text(const struct rule *rule)
{
    return live_pattern(rule) != NULL ? pattern_text(live_pattern(rule)) : (struct slice){NULL, 0};
}

static bool have_same_text(const struct rule *a, const struct rule *b)
{
    return live_pattern(a) == live_pattern(b) || slice_eq(live_text(a), live_text(b));
}

static size_t count_live(const struct ruleset_bus *bus)
{
    size_t count = 0;

    for (size_t i = 0; i < bus->rule_count; i++) {
        count += live_pattern(bus->rules[i]) != NULL ? 1 : 0;
    }
    return count;
}

static struct matcher *compile(const struct ruleset_bus *bus, const uint32_t *places, size_t count)
{
    struct matcher_builder *builder = matcher_begin();

    for (size_t i = 0; i < count; i++) {
        matcher_add(builder, live_pattern(bus->rules[places != NULL ? places[i] : i]));
    }
    return matcher_finish(builder);
}

/* ---- all anew ------------------------------------------------------------------------------ */

static bool have_same_patterns(const struct ruleset_bus *a, const struct ruleset_bus *b)
{
    if (a->rule_count != b->rule_count) {
        return false;
    }
    for (size_t i = 0; i < a->rule_count; i++) {
        if (!have_same_text(a->rules[i], b->rules[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t hash_patterns(const struct ruleset_bus *bus)
{
    uint64_t hash = bus->rule_count;

    for (size_t i = 0; i < bus->rule_count; i++) {
        hash = (hash ^ map_hash(live_text(bus->rules[i]))) * 0x9e3779b97f4a7c15u;
    }
    return hash;
}

/* Others with the same patterns may share the base of this bus. */
static void join_owners(struct ruleset_bus *bus, struct map *owners)
{
    const struct slice key = {(const char *)&bus->hash, sizeof(bus->hash)};

    bus->same_hash = map_put(owners, key, bus);
}

void ruleset_bus_compile(struct ruleset_bus *bus, struct map *owners)
{
    const struct ruleset_bus *owner;

    if (count_live(bus) == 0) {
        return;
    }
    bus->hash = hash_patterns(bus);
    bus->base.place_count = bus->rule_count;
    owner = map_get(owners, (struct slice){(const char *)&bus->hash, sizeof(bus->hash)});
    while (owner != NULL && !have_same_patterns(owner, bus)) {
        owner = owner->same_hash;
    }
    if (owner != NULL) {
        bus->base.matcher = matcher_acquire(owner->base.matcher);
        return;
    }
    bus->base.matcher = compile(bus, NULL, bus->rule_count);
    join_owners(bus, owners);
}

/* ---- what is new --------------------------------------------------------------------------- */

/* What becomes of the base of the ruleset before. */
struct renewal {
    struct ruleset_part base;
    uint32_t *delta_places;
    size_t delta_count, dead_count;
};

static uint32_t place_of(const struct ruleset_part *part, size_t number)
{
    return part->places != NULL ? part->places[number] : (uint32_t)number;
}

/* For each rule of the bus before its number in the base, or UINT32_MAX. */
static uint32_t *number_rules(const struct ruleset_bus *previous, struct arena *scratch)
{
    uint32_t *numbers = arena_alloc(scratch, sizeof(*numbers) * previous->rule_count);

    memset(numbers, 0xff, sizeof(*numbers) * previous->rule_count);
    for (size_t i = 0; i < previous->base.place_count; i++) {
        const uint32_t place = place_of(&previous->base, i);

        if (place != UINT32_MAX) {
            numbers[place] = (uint32_t)i;
        }
    }
    return numbers;
}

static void plan(struct renewal *renewal, const struct ruleset_bus *bus,
                 const struct ruleset_bus *previous, struct arena *scratch)
{
    const uint32_t *numbers = number_rules(previous, scratch);
    size_t j = 0;

    renewal->base.place_count = previous->base.place_count;
    renewal->base.places =
        arena_alloc(scratch, sizeof(*renewal->base.places) * previous->base.place_count);
    memset(renewal->base.places, 0xff, sizeof(*renewal->base.places) * previous->base.place_count);
    renewal->delta_places = arena_alloc(scratch, sizeof(uint32_t) * MAX_OF(bus->rule_count, 1));
    renewal->dead_count = previous->base.place_count;
    for (size_t i = 0; i < bus->rule_count; i++) {
        const struct rule *rule = bus->rules[i];

        while (j < previous->rule_count &&
               slice_compare(previous->rules[j]->name, rule->name) < 0) {
            j++;
        }
        if (j < previous->rule_count && numbers[j] != UINT32_MAX &&
            slice_eq(previous->rules[j]->name, rule->name) &&
            have_same_text(previous->rules[j], rule)) {
            renewal->base.places[numbers[j++]] = (uint32_t)i;
            renewal->dead_count--;
        } else if (live_pattern(rule) != NULL) {
            renewal->delta_places[renewal->delta_count++] = (uint32_t)i;
        }
    }
}

static uint32_t *copy_places(const uint32_t *places, size_t count, struct arena *arena)
{
    uint32_t *copy = arena_alloc(arena, sizeof(*copy) * MAX_OF(count, (size_t)1));

    memcpy(copy, places, sizeof(*copy) * count);
    return copy;
}

/* Has every rule the number of its place? */
static bool is_in_place(const struct ruleset_bus *bus, const struct renewal *renewal)
{
    if (renewal->dead_count > 0 || renewal->delta_count > 0 ||
        renewal->base.place_count != bus->rule_count) {
        return false;
    }
    for (size_t i = 0; i < bus->rule_count; i++) {
        if (renewal->base.places[i] != i) {
            return false;
        }
    }
    return true;
}

static void use_again(struct ruleset_bus *bus, const struct ruleset_bus *previous,
                      const struct renewal *renewal, struct arena *arena)
{
    bus->base.matcher = matcher_acquire(previous->base.matcher);
    bus->base.place_count = renewal->base.place_count;
    bus->base.places = copy_places(renewal->base.places, renewal->base.place_count, arena);
    if (renewal->delta_count > 0) {
        bus->delta.matcher = compile(bus, renewal->delta_places, renewal->delta_count);
        bus->delta.place_count = renewal->delta_count;
        bus->delta.places = copy_places(renewal->delta_places, renewal->delta_count, arena);
    }
}

bool ruleset_bus_renew(struct ruleset_bus *bus, const struct ruleset_bus *previous,
                       struct map *owners, struct arena *arena)
{
    struct arena scratch = {0};
    struct renewal renewal = {.delta_count = 0};
    const size_t most = MAX_OF(previous->base.place_count / DELTA_SHARE, (size_t)DELTA_MIN);
    bool is_useful;

    if (previous->base.matcher == NULL) {
        return false;
    }
    plan(&renewal, bus, previous, &scratch);
    is_useful = renewal.delta_count <= most && renewal.dead_count <= most &&
                renewal.dead_count < previous->base.place_count;
    if (is_useful && is_in_place(bus, &renewal) && previous->hash != 0) {
        bus->base = (struct ruleset_part){.matcher = matcher_acquire(previous->base.matcher),
                                          .place_count = bus->rule_count};
        bus->hash = previous->hash;
        join_owners(bus, owners);
    } else if (is_useful) {
        use_again(bus, previous, &renewal, arena);
    }
    arena_clean_up(&scratch);
    return is_useful;
}

void ruleset_bus_clean_up(struct ruleset_bus *bus)
{
    matcher_release(bus->base.matcher);
    matcher_release(bus->delta.matcher);
}

static int compare_places(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

size_t ruleset_bus_merge(const struct ruleset_bus *bus, const struct matcher_answer answers[2],
                         uint32_t *places)
{
    const struct ruleset_part *parts[2] = {&bus->base, &bus->delta};
    size_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (size_t j = 0; j < answers[i].match_count; j++) {
            const uint32_t place = place_of(parts[i], answers[i].matches[j]);

            if (place != UINT32_MAX) {
                places[count++] = place;
            }
        }
    }
    CHECK(count <= bus->rule_count);
    if (count > 1 && bus->base.places != NULL) {
        qsort(places, count, sizeof(*places), compare_places);
    }
    return count;
}
