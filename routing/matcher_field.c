/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_field.c - the predicates that one leaf satisfies.
 *
 * Each path knows which kinds of predicates it has, and a leaf asks for those only.  Equality is a
 * probe of one table for the whole set.
 *
 * In a large set each step of a probe would wait for memory: so leaves are hashed while the walk
 * goes on, and the slots and predicates of all of them are sent for before the first is probed.
 *
 * Invariant: a predicate is noted at most once per leaf.
 */
#include "routing/matcher_internal.h"
#include "routing/number.h"

static const uint32_t folded_kinds = (uint32_t)1 << MATCHER_FOLDED |
                                     (uint32_t)1 << MATCHER_FOLDED_PREFIX |
                                     (uint32_t)1 << MATCHER_FOLDED_SUFFIX;
static const uint32_t address_kinds = (uint32_t)1 << MATCHER_ADDRESS | (uint32_t)1 << MATCHER_BLOCK;
static const uint32_t number_kinds = (uint32_t)1 << MATCHER_NUMBER | (uint32_t)1 << MATCHER_RANGE;

static bool has_kind(const struct matcher_path *path, enum matcher_kind kind)
{
    return (path->kinds >> kind & 1) != 0;
}

/* The leaf satisfies this predicate. */
static void hit(struct matcher_side *side, uint32_t predicate)
{
    if (predicate == MATCHER_NONE) {
        return;
    }
    matcher_numbers_append(&side->hits, predicate);
    if (!matcher_is_hit(side, predicate)) {
        side->predicate_bits[predicate / 64] |= (uint64_t)1 << (predicate % 64);
        if (side->matcher->posting_starts[predicate] <
            side->matcher->posting_starts[predicate + 1]) {
            matcher_numbers_append(&side->fired, predicate);
            __builtin_prefetch(side->matcher->postings + side->matcher->posting_starts[predicate]);
        }
    }
}

/* The same for what was appended to the hits from `start` on. */
static void hit_found(struct matcher_side *side, size_t start)
{
    const size_t count = side->hits.count;

    side->hits.count = start;
    for (size_t i = start; i < count; i++) { /* each is put back where it was */
        hit(side, side->hits.items[i]);
    }
}

static void probe_affixes(struct matcher_side *side, const struct matcher_affixes *affixes,
                          struct slice text)
{
    const size_t start = side->hits.count;

    if (affixes != NULL) {
        matcher_affixes_find(side->matcher, affixes, text, &side->hits);
        hit_found(side, start);
    }
}

static void probe_folded(struct matcher_scratch *scratch, struct matcher_side *side,
                         const struct matcher_path *path, const struct matcher_leaf *leaf)
{
    struct buf *folded = &scratch->folded;
    char *room;

    buf_clear(folded);
    CHECK(buf_reserve(folded, leaf->text.len, &room) == ERR_OK);
    for (size_t i = 0; i < leaf->text.len; i++) {
        const char byte = leaf->text.data[i];

        room[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    if (has_kind(path, MATCHER_FOLDED)) {
        hit(side, matcher_find_predicate(side->matcher, leaf->path, MATCHER_FOLDED,
                                         (struct slice){room, leaf->text.len}));
    }
    if (path->fields != NULL) {
        const struct slice text = {room, leaf->text.len};

        probe_affixes(side, path->fields->folded_prefixes, text);
        probe_affixes(side, path->fields->folded_suffixes, text);
    }
}

static void probe_blocks(struct matcher_side *side, const struct matcher_path *path,
                         const struct matcher_leaf *leaf, const struct ip_address *address)
{
    const size_t first = address->len == 4 ? 0 : 1;
    const size_t last = address->len == 4 ? 0 : 2;

    for (size_t word = first; word <= last; word++) {
        for (uint64_t rest = path->fields->block_bits[word]; rest != 0; rest &= rest - 1) {
            const unsigned bits = (unsigned)__builtin_ctzll(rest) + (word == 2 ? 64 : 0);
            char key[IP_BLOCK_BYTES_MAX];
            const size_t len = ip_block_key(address, bits, key);

            hit(side, matcher_find_predicate(side->matcher, leaf->path, MATCHER_BLOCK,
                                             (struct slice){key, len}));
        }
    }
}

static void probe_address(struct matcher_side *side, const struct matcher_path *path,
                          const struct matcher_leaf *leaf)
{
    struct ip_address address;

    if (ip_parse(leaf->text, &address) != IP_OK) {
        return;
    }
    if (has_kind(path, MATCHER_ADDRESS)) {
        hit(side, matcher_find_predicate(side->matcher, leaf->path, MATCHER_ADDRESS,
                                         (struct slice){(const char *)address.bytes, address.len}));
    }
    if (path->fields != NULL) {
        probe_blocks(side, path, leaf, &address);
    }
}

static void probe_string(struct matcher_scratch *scratch, struct matcher_side *side,
                         const struct matcher_path *path, const struct matcher_leaf *leaf)
{
    if (has_kind(path, MATCHER_TEXT)) {
        hit(side,
            matcher_find_hashed(side->matcher, leaf->path, MATCHER_TEXT, leaf->text, leaf->hash));
    }
    hit(side, path->any_string);
    if ((path->kinds & folded_kinds) != 0) {
        probe_folded(scratch, side, path, leaf);
    }
    if ((path->kinds & address_kinds) != 0) {
        probe_address(side, path, leaf);
    }
    if (path->fields != NULL) {
        probe_affixes(side, path->fields->prefixes, leaf->text);
        probe_affixes(side, path->fields->suffixes, leaf->text);
        if (path->fields->stars != NULL) {
            const size_t start = side->hits.count;

            matcher_stars_find(path->fields->stars, leaf->text, side->marks,
                               (uint64_t)scratch->epoch << 32 | leaf->order, &side->hits);
            hit_found(side, start);
        }
    }
}

/* Append the predicates that hold of a comparable number. */
static void find_number(struct matcher_side *side, const struct matcher_path *path,
                        const struct matcher_leaf *leaf, double value)
{
    if (has_kind(path, MATCHER_NUMBER)) {
        const uint32_t predicate =
            matcher_find_predicate(side->matcher, leaf->path, MATCHER_NUMBER,
                                   (struct slice){(const char *)&value, sizeof(value)});

        if (predicate != MATCHER_NONE) {
            matcher_numbers_append(&side->hits, predicate);
        }
    }
    if (path->fields != NULL && path->fields->ranges != NULL) {
        matcher_ranges_find(path->fields->ranges, value, &side->hits);
    }
}

static void probe_number(struct matcher_side *side, const struct matcher_path *path,
                         const struct matcher_leaf *leaf)
{
    double value;

    if (has_kind(path, MATCHER_SPELLING)) {
        hit(side, matcher_find_predicate(side->matcher, leaf->path, MATCHER_SPELLING, leaf->text));
    }
    if ((path->kinds & number_kinds) != 0) {
        const size_t start = side->hits.count;
        const enum number_nearness nearness = number_nearest(leaf->text, &value);

        if (nearness == NUMBER_NEVER) {
            return;
        }
        find_number(side, path, leaf, value + 0.0); /* -0 is 0 */
        if (nearness == NUMBER_EQUAL || side->hits.count == start ||
            number_read(leaf->text, &value)) {
            hit_found(side, start);
        } else {
            side->hits.count = start; /* not comparable after all */
        }
    }
}

static void probe_singles(struct matcher_side *side, const struct matcher_path *path,
                          const struct matcher_leaf *leaf, const struct partner_lists *lists)
{
    const struct event_leaf plain = {.type = (enum leaf_type)leaf->type, .text = leaf->text};

    for (uint32_t i = 0; i < path->single_count; i++) {
        if (predicate_accepts(path->singles[i].predicate, &plain, lists)) {
            hit(side, path->singles[i].number);
        }
    }
}

static void probe(struct matcher_scratch *scratch, struct matcher_side *side,
                  struct matcher_leaf *leaf)
{
    const struct matcher_path *path = &side->matcher->paths[leaf->path];

    leaf->hit_start = (uint32_t)side->hits.count;
    hit(side, path->is_present);
    switch ((enum leaf_type)leaf->type) {
    case LEAF_STRING:
        probe_string(scratch, side, path, leaf);
        break;
    case LEAF_NUMBER:
        probe_number(side, path, leaf);
        break;
    case LEAF_TRUE:
        hit(side, path->is_true);
        break;
    case LEAF_FALSE:
        hit(side, path->is_false);
        break;
    case LEAF_NULL:
        hit(side, path->is_null);
        break;
    }
    if (path->single_count > 0) {
        probe_singles(side, path, leaf, scratch->lists);
    }
    leaf->hit_end = (uint32_t)side->hits.count;
}

/* Does it ask for a string equal to this one? */
static bool asks_for_text(const struct matcher_side *side, const struct matcher_leaf *leaf)
{
    return leaf->type == LEAF_STRING && has_kind(&side->matcher->paths[leaf->path], MATCHER_TEXT);
}

void matcher_foresee(const struct matcher_side *side, struct matcher_leaf *leaf)
{
    if (asks_for_text(side, leaf)) {
        leaf->hash = matcher_hash_key(leaf->path, MATCHER_TEXT, leaf->text);
        matcher_foresee_slot(side->matcher, leaf->hash);
    }
}

/* A leaf of an array may satisfy every range of a bus, and an event has a hundred thousand leaves:
 * the product is bounded, for its sake and for the memory's. */
enum { PROBES_MAX = 1 << 22 };

/* The budget is spent: no pattern of this set has an answer. */
static void give_up(struct matcher_side *side, size_t first)
{
    side->is_spent = true;
    for (size_t i = first; i < side->leaf_count; i++) {
        side->leaves[i].hit_start = side->leaves[i].hit_end = (uint32_t)side->hits.count;
    }
}

void matcher_probe_all(struct matcher_scratch *scratch, struct matcher_side *side)
{
    size_t asked = 0; /* of what is asked one by one */

    for (size_t i = 0; i < side->leaf_count; i++) {
        if (asks_for_text(side, &side->leaves[i])) {
            matcher_foresee_predicate(side->matcher, side->leaves[i].hash);
        }
    }
    for (size_t i = 0; i < side->leaf_count; i++) {
        asked += side->matcher->paths[side->leaves[i].path].single_count;
        probe(scratch, side, &side->leaves[i]);
        if (asked + side->hits.count > PROBES_MAX) {
            give_up(side, i + 1);
            return;
        }
    }
}

/* ---- building ------------------------------------------------------------------------------ */

/* Below this, wildcards of a path are matched one by one. */
enum { STARS_MIN = 4 };

/* The single predicates of one path, sorted by kind. */
struct sorting {
    struct matcher *matcher;
    struct matcher_path *path;
    struct matcher_numbers kinds[MATCHER_KIND_COUNT];
};

static struct matcher_affixes *index_affixes(struct sorting *sorting, enum matcher_kind kind)
{
    const struct matcher_numbers *numbers = &sorting->kinds[kind];

    if (numbers->count == 0) {
        return NULL;
    }
    return matcher_affixes_new(sorting->matcher, numbers->items, numbers->count,
                               kind == MATCHER_SUFFIX || kind == MATCHER_FOLDED_SUFFIX);
}

static void note_block(struct matcher_fields *fields, const struct predicate *predicate)
{
    const bool is_v4 = predicate->address.len == 4;

    fields->block_bits[is_v4 ? 0 : 1 + predicate->bits / 64] |= (uint64_t)1
                                                                << (predicate->bits % 64);
}

static bool stays_single(enum matcher_kind kind)
{
    return kind == MATCHER_FOLDED_OTHER || kind == MATCHER_FOLDED_PREFIX_OTHER ||
           kind == MATCHER_FOLDED_SUFFIX_OTHER || kind == MATCHER_IN_LIST;
}

/* Wildcards to the front of the singles, what must stay single behind them; the rest is gone. */
static uint32_t gather_singles(struct sorting *sorting)
{
    struct matcher_path *path = sorting->path;
    uint32_t wildcard_count = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < path->single_count; i++) {
        const struct matcher_single single = path->singles[i];
        const enum matcher_kind kind = sorting->matcher->predicates[single.number].kind;

        if (kind == MATCHER_WILDCARD) {
            path->singles[kept++] = path->singles[wildcard_count];
            path->singles[wildcard_count++] = single;
        } else if (stays_single(kind)) {
            path->singles[kept++] = single;
        } else {
            matcher_numbers_append(&sorting->kinds[kind], single.number);
        }
        if (kind == MATCHER_BLOCK) {
            note_block(path->fields, single.predicate);
        }
    }
    path->single_count = kept;
    return wildcard_count;
}

static void index_path(struct sorting *sorting)
{
    struct matcher_path *path = sorting->path;
    struct matcher_fields *fields = ARENA_NEW(&sorting->matcher->arena, struct matcher_fields);
    uint32_t wildcard_count;

    path->fields = fields;
    wildcard_count = gather_singles(sorting);
    fields->prefixes = index_affixes(sorting, MATCHER_PREFIX);
    fields->suffixes = index_affixes(sorting, MATCHER_SUFFIX);
    fields->folded_prefixes = index_affixes(sorting, MATCHER_FOLDED_PREFIX);
    fields->folded_suffixes = index_affixes(sorting, MATCHER_FOLDED_SUFFIX);
    if (sorting->kinds[MATCHER_RANGE].count > 0) {
        fields->ranges = matcher_ranges_new(sorting->matcher, sorting->kinds[MATCHER_RANGE].items,
                                            sorting->kinds[MATCHER_RANGE].count);
    }
    if (wildcard_count >= STARS_MIN) {
        fields->stars = matcher_stars_new(sorting->matcher, path->singles, wildcard_count);
        path->single_count -= wildcard_count;
        memmove(path->singles, path->singles + wildcard_count,
                sizeof(*path->singles) * path->single_count);
    }
    for (size_t i = 0; i < MATCHER_KIND_COUNT; i++) {
        sorting->kinds[i].count = 0;
    }
}

void matcher_index_fields(struct matcher *matcher)
{
    struct sorting sorting = {.matcher = matcher};

    for (size_t i = 0; i < matcher->path_count; i++) {
        sorting.path = &matcher->paths[i];
        if (sorting.path->single_count > 0) {
            index_path(&sorting);
        }
    }
    for (size_t i = 0; i < MATCHER_KIND_COUNT; i++) {
        xfree(sorting.kinds[i].items);
    }
}
