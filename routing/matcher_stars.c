/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_stars.c - which of many wildcards could match a text?
 *
 * Every wildcard has a literal part, and a text that it matches contains that part.  Of its parts
 * each wildcard contributes the one that the fewest others have, the longer of two; all of a path
 * are looked for in one walk over the text, with the automaton of Aho and Corasick.  What is found
 * is a candidate and is matched on its own: no automaton of the wildcards themselves is built,
 *which is where their number explodes.
 *
 *     star ":alpha/" star         "arn:" star ":beta/" star       parts ":alpha/", ":beta/"
 *
 * A node's edges lie in one hash table for the whole automaton; the root, where most bytes lead
 * nowhere, has a row of its own.  At most PART_BYTES_MAX bytes of a part are entered, the last
 *ones.
 *
 * Memory: some 30 bytes for each byte of a part that no other part begins with.
 *
 *= A. Aho, M. Corasick, "Efficient string matching: an aid to bibliographic search", 1975
 */
#include "routing/matcher_internal.h"

enum { PART_BYTES_MAX = 24 };

struct node {
    uint32_t fail;    /* the longest proper suffix that is a node, too */
    uint32_t shorter; /* the nearest of these where a part ends, or NONE */
    uint32_t part;    /* that ends here, or NONE */
};

struct matcher_stars {
    uint32_t root[256]; /* 0: stay */
    struct node *nodes;
    uint32_t node_count;
    struct matcher_table edges; /* of other nodes, by node and byte; the node led to */
    uint32_t *parents;          /* node and byte of each node: how an edge is recognised */
    uint8_t *bytes;
    uint32_t *starts; /* by part, and one more: in `candidates` */
    struct matcher_single *candidates;
    uint32_t part_count;
    uint32_t first_mark; /* parts of the set's paths share one numbering */
};

/* ---- parts --------------------------------------------------------------------------------- */

static struct slice end_of(struct slice part)
{
    return part.len > PART_BYTES_MAX ? slice_from(part, part.len - PART_BYTES_MAX) : part;
}

/* How many wildcards have each part. */
struct part_count {
    struct slice part;
    uint32_t count;
    uint32_t number; /* when it is chosen */
};

struct parts {
    struct matcher_table table;
    struct part_count *list;
    size_t count, max;
};

static struct part_count *find_part(struct parts *parts, struct slice part)
{
    const uint64_t hash = matcher_hash(1, part);
    size_t i = (uint32_t)hash & (parts->table.slot_count - 1);

    for (; parts->table.slots[i].number != MATCHER_NONE;
         i = (i + 1) & (parts->table.slot_count - 1)) {
        if (slice_eq(parts->list[parts->table.slots[i].number].part, part)) {
            return &parts->list[parts->table.slots[i].number];
        }
    }
    if (parts->count == parts->max) {
        parts->max = 2 * parts->max + 16;
        parts->list = xrealloc(parts->list, sizeof(*parts->list) * parts->max);
    }
    parts->list[parts->count] = (struct part_count){.part = part, .number = MATCHER_NONE};
    matcher_table_put(&parts->table, hash, (uint32_t)parts->count);
    return &parts->list[parts->count++];
}

static void count_parts(struct parts *parts, const struct matcher_single *wildcards, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct wildcard *wildcard = &wildcards[i].predicate->wildcard;

        for (size_t j = 0; j < wildcard->part_count; j++) {
            if (wildcard->parts[j].len > 0) {
                find_part(parts, end_of(wildcard->parts[j]))->count++;
            }
        }
    }
}

static struct part_count *choose_part(struct parts *parts, const struct wildcard *wildcard)
{
    struct part_count *best = NULL;

    for (size_t i = 0; i < wildcard->part_count; i++) {
        struct part_count *part;

        if (wildcard->parts[i].len == 0) {
            continue;
        }
        part = find_part(parts, end_of(wildcard->parts[i]));
        if (best == NULL || part->count < best->count ||
            (part->count == best->count && part->part.len > best->part.len)) {
            best = part;
        }
    }
    CHECK(best != NULL); /* "*" alone is no wildcard any more */
    return best;
}

/* ---- the automaton ------------------------------------------------------------------------- */

/* The node behind an edge, or 0. */
static inline uint32_t step(const struct matcher_stars *stars, uint32_t node, uint8_t byte)
{
    const struct matcher_table *edges = &stars->edges;
    const uint32_t hash = (uint32_t)matcher_hash_step(node, byte);

    if (node == 0) {
        return stars->root[byte];
    }
    for (size_t i = hash & (edges->slot_count - 1); edges->slots[i].number != MATCHER_NONE;
         i = (i + 1) & (edges->slot_count - 1)) {
        const uint32_t to = edges->slots[i].number;

        if (edges->slots[i].hash == hash && stars->parents[to] == node &&
            stars->bytes[to] == byte) {
            return to;
        }
    }
    return 0;
}

static uint32_t add_node(struct matcher_stars *stars, uint32_t parent, uint8_t byte)
{
    const uint32_t number = stars->node_count++;

    if ((number & (number - 1)) == 0) { /* full at each power of two */
        const size_t max = MAX_OF(2 * (size_t)number, (size_t)1);

        stars->nodes = xrealloc(stars->nodes, sizeof(*stars->nodes) * max);
        stars->parents = xrealloc(stars->parents, sizeof(*stars->parents) * max);
        stars->bytes = xrealloc(stars->bytes, sizeof(*stars->bytes) * max);
    }
    stars->nodes[number] = (struct node){.shorter = MATCHER_NONE, .part = MATCHER_NONE};
    stars->parents[number] = parent;
    stars->bytes[number] = byte;
    if (number > 0 && parent == 0) {
        stars->root[byte] = number;
    } else if (number > 0) {
        matcher_table_put(&stars->edges, matcher_hash_step(parent, byte), number);
    }
    return number;
}

static void enter_part(struct matcher_stars *stars, struct slice part, uint32_t number)
{
    uint32_t node = 0;

    for (size_t i = 0; i < part.len; i++) {
        const uint8_t byte = (uint8_t)part.data[i];
        const uint32_t next = step(stars, node, byte);

        node = next != 0 ? next : add_node(stars, node, byte);
    }
    stars->nodes[node].part = number;
}

static uint32_t follow(const struct matcher_stars *stars, uint32_t node, uint8_t byte)
{
    uint32_t next = step(stars, node, byte);

    while (next == 0 && node != 0) {
        node = stars->nodes[node].fail;
        next = step(stars, node, byte);
    }
    return next;
}

static uint32_t depth_of(const struct matcher_stars *stars, uint32_t node)
{
    uint32_t depth = 0;

    for (; node != 0; node = stars->parents[node]) {
        depth++;
    }
    return depth;
}

/* Failure links, nodes of lesser depth first. */
static void link_nodes(struct matcher_stars *stars)
{
    uint32_t *order = xmalloc(sizeof(*order) * stars->node_count);
    uint32_t ends[PART_BYTES_MAX + 2] = {0};

    for (uint32_t i = 0; i < stars->node_count; i++) {
        ends[depth_of(stars, i) + 1]++;
    }
    for (size_t depth = 1; depth < ARRAY_LEN(ends); depth++) {
        ends[depth] += ends[depth - 1];
    }
    for (uint32_t i = 0; i < stars->node_count; i++) {
        order[ends[depth_of(stars, i)]++] = i;
    }
    for (uint32_t i = 1; i < stars->node_count; i++) {
        struct node *node = &stars->nodes[order[i]];
        const uint32_t parent = stars->parents[order[i]];

        node->fail =
            parent == 0 ? 0 : follow(stars, stars->nodes[parent].fail, stars->bytes[order[i]]);
        node->shorter = stars->nodes[node->fail].part != MATCHER_NONE
                            ? node->fail
                            : stars->nodes[node->fail].shorter;
    }
    xfree(order);
}

/* ---- building ------------------------------------------------------------------------------ */

/* Sort the candidates by their part. */
static void list_candidates(struct matcher_stars *stars, const struct matcher_single *wildcards,
                            const uint32_t *chosen, size_t count)
{
    stars->starts = xcalloc(stars->part_count + 2, sizeof(*stars->starts));
    stars->candidates = xmalloc(sizeof(*stars->candidates) * count);
    for (size_t i = 0; i < count; i++) {
        stars->starts[chosen[i] + 2]++;
    }
    for (uint32_t i = 2; i < stars->part_count + 2; i++) {
        stars->starts[i] += stars->starts[i - 1];
    }
    for (size_t i = 0; i < count; i++) {
        stars->candidates[stars->starts[chosen[i] + 1]++] = wildcards[i];
    }
}

struct matcher_stars *matcher_stars_new(struct matcher *matcher,
                                        const struct matcher_single *wildcards, size_t count)
{
    struct matcher_stars *stars = xcalloc(1, sizeof(*stars));
    struct parts parts = {.count = 0};
    uint32_t *chosen = xmalloc(sizeof(*chosen) * count);

    matcher_table_init(&stars->edges);
    matcher_table_init(&parts.table);
    (void)add_node(stars, 0, 0);
    count_parts(&parts, wildcards, count);
    for (size_t i = 0; i < count; i++) {
        struct part_count *part = choose_part(&parts, &wildcards[i].predicate->wildcard);

        if (part->number == MATCHER_NONE) {
            part->number = stars->part_count++;
            enter_part(stars, part->part, part->number);
        }
        chosen[i] = part->number;
    }
    link_nodes(stars);
    list_candidates(stars, wildcards, chosen, count);
    stars->first_mark = matcher->mark_count;
    matcher->mark_count += stars->part_count;
    xfree(chosen);
    xfree(parts.table.slots);
    xfree(parts.list);
    return stars;
}

void matcher_stars_destroy(struct matcher_stars *stars)
{
    if (stars == NULL) {
        return;
    }
    xfree(stars->nodes);
    xfree(stars->parents);
    xfree(stars->bytes);
    xfree(stars->edges.slots);
    xfree(stars->starts);
    xfree(stars->candidates);
    xfree(stars);
}

size_t matcher_stars_memory_bytes(const struct matcher_stars *stars)
{
    return sizeof(*stars) + stars->edges.slot_count * sizeof(*stars->edges.slots) +
           stars->node_count * (sizeof(*stars->nodes) + sizeof(*stars->parents) + 1) +
           stars->part_count * (sizeof(*stars->starts) + sizeof(*stars->candidates));
}

/* ---- asking -------------------------------------------------------------------------------- */

void matcher_stars_find(const struct matcher_stars *stars, struct slice text, uint64_t *marks,
                        uint64_t mark, struct matcher_numbers *found)
{
    uint32_t node = 0;

    marks += stars->first_mark;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t end;

        node = follow(stars, node, (uint8_t)text.data[i]);
        end = stars->nodes[node].part != MATCHER_NONE ? node : stars->nodes[node].shorter;
        for (; end != MATCHER_NONE && marks[stars->nodes[end].part] != mark;
             end = stars->nodes[end].shorter) {
            const uint32_t part = stars->nodes[end].part;

            marks[part] = mark; /* those that end in it are marked, too: the loop goes on */
            for (uint32_t j = stars->starts[part]; j < stars->starts[part + 1]; j++) {
                if (wildcard_matches(&stars->candidates[j].predicate->wildcard, text)) {
                    matcher_numbers_append(found, stars->candidates[j].number);
                }
            }
        }
    }
}
