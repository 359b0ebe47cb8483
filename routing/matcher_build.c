/* SPDX-License-Identifier: Apache-2.0
 *
 * matcher_build.c - from patterns to numbers: paths, predicates, conditions, branches.
 *
 * Everything is interned: what two rules have in common exists once, is evaluated once per value,
 * and is answered once per event.  Memory is linear in the text of the patterns; nothing is
 * multiplied out but `$or`, which the pattern's compiler has bounded.
 *
 * An operand is first brought to its simplest form, so that equal questions meet: a wildcard with
 * one star at its end is a prefix, a range of one point is a number, an ASCII operand without case
 * is kept in lower case.
 *
 * Memory: arrays grow by half while patterns are added; they belong to the set.
 */
#include "routing/number.h"
#include "routing/matcher_internal.h"

/* What is only needed while a set is built. */
struct matcher_builder {
    struct matcher *matcher;
    struct matcher_table conditions; /* by content */
    size_t node_max, path_max, predicate_max, condition_max, member_max, branch_max,
        branch_condition_max;
    uint32_t *known; /* conditions of the current pattern, by their id there */
    size_t known_max;
    uint32_t *draft; /* the members of a condition */
    size_t draft_count, draft_max;
    char *bytes; /* room for operands, in the arena */
    size_t bytes_left;
};

enum { BYTES_AT_ONCE = 32768 };

/* Room for one more item of an array. */
static void *grow(void *items, size_t size, size_t count, size_t *max)
{
    if (count < *max) {
        return items;
    }
    *max = *max + *max / 2 + 16;
    return xrealloc(items, size * *max);
}

#define GROW(array, count, max) ((array) = grow((array), sizeof(*(array)), (count), (max)))

/* A copy without the arena's alignment. */
static struct slice copy_bytes(struct matcher_builder *builder, struct slice bytes)
{
    char *at;

    if (bytes.len == 0) {
        return (struct slice){NULL, 0};
    }
    if (bytes.len > BYTES_AT_ONCE / 8) {
        return arena_copy(&builder->matcher->arena, bytes);
    }
    if (bytes.len > builder->bytes_left) {
        builder->bytes = arena_alloc(&builder->matcher->arena, BYTES_AT_ONCE);
        builder->bytes_left = BYTES_AT_ONCE;
    }
    at = builder->bytes;
    memcpy(at, bytes.data, bytes.len);
    builder->bytes += bytes.len;
    builder->bytes_left -= bytes.len;
    return (struct slice){at, bytes.len};
}

/* ---- paths --------------------------------------------------------------------------------- */

/* A key is this name, or begins with it and a dot; behind an empty one stands anything. */
static void note_first_bytes(struct matcher_node *above, struct slice name)
{
    const uint64_t ends = matcher_first_byte_bit(SLICE("\"")) | matcher_first_byte_bit(SLICE("."));

    if (name.len == 0) {
        above->first_bytes |= ends;
        above->second_bytes = ~(uint64_t)0;
        return;
    }
    above->first_bytes |= matcher_first_byte_bit(name);
    above->second_bytes |= name.len == 1 ? ends : matcher_first_byte_bit(slice_from(name, 1));
}

static uint32_t add_node(struct matcher_builder *builder, uint32_t parent, struct slice name,
                         uint64_t hash)
{
    struct matcher *matcher = builder->matcher;
    const uint32_t number = (uint32_t)matcher->node_count;

    GROW(matcher->nodes, matcher->node_count, &builder->node_max);
    matcher->nodes[matcher->node_count++] = (struct matcher_node){
        .name = copy_bytes(builder, name), .parent = parent, .path = MATCHER_NONE};
    if (parent != MATCHER_NONE) {
        struct matcher_node *above = &matcher->nodes[parent];

        above->has_children = true;
        note_first_bytes(above, name);
        matcher_table_put(&matcher->edges, hash, number);
    }
    return number;
}

static uint32_t path_number(struct matcher_builder *builder, struct slice text)
{
    struct matcher *matcher = builder->matcher;
    uint32_t node = 0;

    do {
        const struct slice name = slice_cut(&text, '.');
        const uint64_t hash = matcher_hash_edge(node, name);
        const uint32_t child = matcher_find_child(matcher, node, name, hash);

        node = child != MATCHER_NONE ? child : add_node(builder, node, name, hash);
    } while (text.data != NULL);
    if (matcher->nodes[node].path == MATCHER_NONE) {
        GROW(matcher->paths, matcher->path_count, &builder->path_max);
        matcher->paths[matcher->path_count] = (struct matcher_path){
            .is_present = MATCHER_NONE,
            .is_true = MATCHER_NONE,
            .is_false = MATCHER_NONE,
            .is_null = MATCHER_NONE,
            .any_string = MATCHER_NONE,
        };
        matcher->nodes[node].path = (uint32_t)matcher->path_count++;
    }
    return matcher->nodes[node].path;
}

/* ---- predicates ---------------------------------------------------------------------------- */

enum { KEY_BYTES_MAX = PATTERN_BYTES_MAX };

/* The simplest form of a predicate. */
struct form {
    enum matcher_kind kind;
    struct slice key;
    char bytes[KEY_BYTES_MAX]; /* where a key is put together */
};

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static void set_folded(struct form *form, struct slice text, enum matcher_kind kind,
                       enum matcher_kind other)
{
    if (!is_ascii(text)) {
        form->kind = other;
        form->key = text;
        return;
    }
    CHECK(text.len <= sizeof(form->bytes));
    for (size_t i = 0; i < text.len; i++) {
        const char byte = text.data[i];

        form->bytes[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    form->kind = kind;
    form->key = (struct slice){form->bytes, text.len};
}

static void set_number(struct form *form, double value)
{
    value += 0.0; /* -0 is 0 */
    form->kind = MATCHER_NUMBER;
    memcpy(form->bytes, &value, sizeof(value));
    form->key = (struct slice){form->bytes, sizeof(value)};
}

static void set_range(struct form *form, const struct predicate *predicate)
{
    const double bounds[2] = {predicate->low + 0.0, predicate->high + 0.0};

    if (predicate->low == predicate->high) {
        set_number(form, predicate->low); /* open bounds of one point are refused */
        return;
    }
    form->kind = MATCHER_RANGE;
    memcpy(form->bytes, bounds, sizeof(bounds));
    form->bytes[sizeof(bounds)] = (char)predicate->is_low_open;
    form->bytes[sizeof(bounds) + 1] = (char)predicate->is_high_open;
    form->key = (struct slice){form->bytes, sizeof(bounds) + 2};
}

static void set_address(struct form *form, const struct ip_address *address, enum matcher_kind kind)
{
    form->kind = kind;
    memcpy(form->bytes, address->bytes, address->len);
    form->key = (struct slice){form->bytes, address->len};
}

static void set_block(struct form *form, const struct predicate *predicate)
{
    form->kind = MATCHER_BLOCK;
    form->key.len = ip_block_key(&predicate->address, predicate->bits, form->bytes);
    form->key.data = form->bytes;
}

static void set_affix(struct form *form, struct slice text, enum matcher_kind kind)
{
    form->kind = text.len > 0 ? kind : MATCHER_ANY_STRING;
    form->key = text;
}

static void set_wildcard(struct form *form, const struct predicate *predicate)
{
    const struct wildcard *wildcard = &predicate->wildcard;

    form->kind = MATCHER_WILDCARD;
    form->key = predicate->text;
    if (wildcard->part_count == 1) {
        form->kind = MATCHER_TEXT;
        form->key = wildcard->parts[0];
    } else if (wildcard->part_count == 2 && wildcard->parts[1].len == 0) {
        set_affix(form, wildcard->parts[0], MATCHER_PREFIX);
    } else if (wildcard->part_count == 2 && wildcard->parts[0].len == 0) {
        set_affix(form, wildcard->parts[1], MATCHER_SUFFIX);
    }
}

static void set_form(struct form *form, const struct predicate *predicate)
{
    form->key = (struct slice){NULL, 0};
    switch (predicate->kind) {
    case PREDICATE_TEXT:
        form->kind = MATCHER_TEXT;
        form->key = predicate->text;
        return;
    case PREDICATE_ADDRESS:
        set_address(form, &predicate->address, MATCHER_ADDRESS);
        return;
    case PREDICATE_NUMBER:
        if (predicate->is_comparable) {
            set_number(form, predicate->low);
        } else {
            form->kind = MATCHER_SPELLING;
            form->key = predicate->text;
        }
        return;
    case PREDICATE_TRUE:
        form->kind = MATCHER_TRUE;
        return;
    case PREDICATE_FALSE:
        form->kind = MATCHER_FALSE;
        return;
    case PREDICATE_NULL:
        form->kind = MATCHER_NULL;
        return;
    case PREDICATE_PRESENT:
        form->kind = MATCHER_PRESENT;
        return;
    case PREDICATE_PREFIX:
        set_affix(form, predicate->text, MATCHER_PREFIX);
        return;
    case PREDICATE_SUFFIX:
        set_affix(form, predicate->text, MATCHER_SUFFIX);
        return;
    case PREDICATE_IGNORE_CASE:
        set_folded(form, predicate->text, MATCHER_FOLDED, MATCHER_FOLDED_OTHER);
        return;
    case PREDICATE_PREFIX_IGNORE_CASE:
        set_folded(form, predicate->text, MATCHER_FOLDED_PREFIX, MATCHER_FOLDED_PREFIX_OTHER);
        set_affix(form, form->key, form->kind);
        return;
    case PREDICATE_SUFFIX_IGNORE_CASE:
        set_folded(form, predicate->text, MATCHER_FOLDED_SUFFIX, MATCHER_FOLDED_SUFFIX_OTHER);
        set_affix(form, form->key, form->kind);
        return;
    case PREDICATE_WILDCARD:
        set_wildcard(form, predicate);
        return;
    case PREDICATE_RANGE:
        set_range(form, predicate);
        return;
    case PREDICATE_BLOCK:
        set_block(form, predicate);
        return;
    case PREDICATE_IN_LIST:
        form->kind = MATCHER_IN_LIST;
        form->key = predicate->text;
        return;
    case PREDICATE_ABSENT:
    case PREDICATE_NOT:
        break;
    }
    CHECK(predicate->kind != PREDICATE_ABSENT); /* of a condition, not of a leaf */
    CHECK(predicate->kind != PREDICATE_NOT);
}

static struct wildcard copy_wildcard(struct matcher_builder *builder,
                                     const struct wildcard *wildcard)
{
    struct wildcard copy = {.part_count = wildcard->part_count};

    copy.parts = ARENA_ARRAY(&builder->matcher->arena, struct slice, wildcard->part_count);
    for (size_t i = 0; i < wildcard->part_count; i++) {
        copy.parts[i] = copy_bytes(builder, wildcard->parts[i]);
    }
    return copy;
}

static void add_single(struct matcher_builder *builder, const struct predicate *predicate,
                       uint32_t number)
{
    struct matcher *matcher = builder->matcher;
    struct matcher_path *path = &matcher->paths[matcher->predicates[number].path];
    struct predicate *copy = ARENA_NEW(&matcher->arena, struct predicate);

    *copy = *predicate;
    copy->operands = NULL;
    copy->next = NULL;
    copy->text = copy_bytes(builder, predicate->text);
    if (predicate->kind == PREDICATE_WILDCARD) {
        copy->wildcard = copy_wildcard(builder, &predicate->wildcard);
    }
    if ((path->single_count & (path->single_count - 1)) == 0) { /* full at each power of two */
        path->singles =
            xrealloc(path->singles, sizeof(*path->singles) * MAX_OF(2 * path->single_count, 1));
    }
    path->singles[path->single_count++] = (struct matcher_single){copy, number};
}

/* Tell the path of a predicate how its leaves find it. */
static void enter_predicate(struct matcher_builder *builder, const struct predicate *predicate,
                            uint32_t number)
{
    struct matcher *matcher = builder->matcher;
    const enum matcher_kind kind = matcher->predicates[number].kind;
    struct matcher_path *path = &matcher->paths[matcher->predicates[number].path];

    path->kinds |= (uint32_t)1 << kind;
    if (kind == MATCHER_PRESENT) {
        path->is_present = number;
    } else if (kind == MATCHER_TRUE) {
        path->is_true = number;
    } else if (kind == MATCHER_FALSE) {
        path->is_false = number;
    } else if (kind == MATCHER_NULL) {
        path->is_null = number;
    } else if (kind == MATCHER_ANY_STRING) {
        path->any_string = number;
    } else if (kind > MATCHER_ANY_STRING) {
        add_single(builder, predicate, number);
    }
}

static uint32_t predicate_number(struct matcher_builder *builder, uint32_t path,
                                 const struct predicate *predicate)
{
    struct matcher *matcher = builder->matcher;
    struct form form __attribute__((uninitialized)); /* its bytes are many and seldom used */
    uint64_t hash;
    uint32_t number;

    set_form(&form, predicate);
    hash = matcher_hash_key(path, form.kind, form.key);
    number = matcher_find_hashed(matcher, path, form.kind, form.key, hash);
    if (number != MATCHER_NONE) {
        return number;
    }
    number = (uint32_t)matcher->predicate_count;
    GROW(matcher->predicates, matcher->predicate_count, &builder->predicate_max);
    matcher->predicates[matcher->predicate_count++] = (struct matcher_predicate){
        .key = copy_bytes(builder, form.key), .path = path, .kind = (uint8_t)form.kind};
    matcher_table_put(&matcher->exact, hash, number);
    enter_predicate(builder, predicate, number);
    return number;
}

/* ---- conditions ---------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static void draft_append(struct matcher_builder *builder, uint32_t number)
{
    GROW(builder->draft, builder->draft_count, &builder->draft_max);
    builder->draft[builder->draft_count++] = number;
}

/* Sort what was drafted from `start` on, and drop what is there twice. */
static void draft_settle(struct matcher_builder *builder, size_t start)
{
    uint32_t *numbers = builder->draft + start;
    const size_t count = builder->draft_count - start;
    size_t kept = 0;

    if (count > 1) {
        qsort(numbers, count, sizeof(*numbers), compare_numbers);
    }
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || numbers[i] != numbers[kept - 1]) {
            numbers[kept++] = numbers[i];
        }
    }
    builder->draft_count = start + kept;
}

static void draft_negation(struct matcher_builder *builder, uint32_t path,
                           const struct predicate *but)
{
    const size_t start = builder->draft_count;

    draft_append(builder, 0);
    for (const struct predicate *operand = but->operands; operand != NULL;
         operand = operand->next) {
        draft_append(builder, predicate_number(builder, path, operand));
    }
    draft_settle(builder, start + 1);
    builder->draft[start] = (uint32_t)(builder->draft_count - start - 1);
}

static uint32_t intern_condition(struct matcher_builder *builder,
                                 const struct matcher_condition *draft)
{
    struct matcher *matcher = builder->matcher;
    const struct slice members = {(const char *)builder->draft,
                                  builder->draft_count * sizeof(*builder->draft)};
    const uint64_t hash = matcher_hash((uint64_t)draft->path << 32 ^ draft->positive_count << 1 ^
                                           (draft->may_be_absent ? 1 : 0),
                                       members);
    const struct matcher_table *table = &builder->conditions;
    struct matcher_condition *condition;

    for (size_t i = (uint32_t)hash & (table->slot_count - 1);
         table->slots[i].number != MATCHER_NONE; i = (i + 1) & (table->slot_count - 1)) {
        condition = &matcher->conditions[table->slots[i].number];
        if (table->slots[i].hash == (uint32_t)hash && condition->path == draft->path &&
            condition->positive_count == draft->positive_count &&
            condition->negation_count == draft->negation_count &&
            condition->may_be_absent == draft->may_be_absent &&
            matcher->member_count - condition->start >= builder->draft_count &&
            slice_eq(members, (struct slice){(const char *)(matcher->members + condition->start),
                                             members.len})) {
            return table->slots[i].number;
        }
    }
    GROW(matcher->conditions, matcher->condition_count, &builder->condition_max);
    condition = &matcher->conditions[matcher->condition_count];
    *condition = *draft;
    condition->start = (uint32_t)matcher->member_count;
    for (size_t i = 0; i < builder->draft_count; i++) {
        GROW(matcher->members, matcher->member_count, &builder->member_max);
        matcher->members[matcher->member_count++] = builder->draft[i];
    }
    matcher_table_put(&builder->conditions, hash, (uint32_t)matcher->condition_count);
    return (uint32_t)matcher->condition_count++;
}

static uint32_t condition_number(struct matcher_builder *builder,
                                 const struct pattern_condition *from)
{
    struct matcher_condition draft = {.may_be_absent = from->may_be_absent};

    draft.path = path_number(builder, from->path);
    builder->draft_count = 0;
    for (const struct predicate *entry = from->predicates; entry != NULL; entry = entry->next) {
        if (entry->kind != PREDICATE_ABSENT && entry->kind != PREDICATE_NOT) {
            draft_append(builder, predicate_number(builder, draft.path, entry));
        }
    }
    draft_settle(builder, 0);
    draft.positive_count = (uint32_t)builder->draft_count;
    for (const struct predicate *entry = from->predicates; entry != NULL; entry = entry->next) {
        if (entry->kind == PREDICATE_NOT) {
            draft_negation(builder, draft.path, entry);
            draft.negation_count++;
        }
    }
    return intern_condition(builder, &draft);
}

/* ---- patterns ------------------------------------------------------------------------------ */

static void add_branch(struct matcher_builder *builder, const struct pattern_branch *from,
                       uint32_t pattern)
{
    struct matcher *matcher = builder->matcher;

    GROW(matcher->branches, matcher->branch_count, &builder->branch_max);
    matcher->branches[matcher->branch_count++] = (struct matcher_branch){
        .pattern = pattern,
        .start = (uint32_t)matcher->branch_condition_count,
        .condition_count = (uint32_t)from->condition_count,
    };
    for (size_t i = 0; i < from->condition_count; i++) {
        uint32_t *known = &builder->known[from->conditions[i]->id];

        if (*known == MATCHER_NONE) {
            *known = condition_number(builder, from->conditions[i]);
        }
        GROW(matcher->branch_conditions, matcher->branch_condition_count,
             &builder->branch_condition_max);
        matcher->branch_conditions[matcher->branch_condition_count++] = *known;
    }
}

static void add_pattern(struct matcher_builder *builder, const struct pattern *pattern,
                        uint32_t number)
{
    if (builder->known_max < pattern->condition_count) {
        builder->known_max = 2 * pattern->condition_count;
        builder->known = xrealloc(builder->known, sizeof(*builder->known) * builder->known_max);
    }
    for (size_t i = 0; i < pattern->condition_count; i++) {
        builder->known[i] = MATCHER_NONE;
    }
    for (size_t i = 0; i < pattern->branch_count; i++) {
        add_branch(builder, &pattern->branches[i], number);
    }
}

uint32_t matcher_add_presence(struct matcher *matcher, uint32_t path)
{
    const struct slice nothing = {NULL, 0};
    const uint32_t number = (uint32_t)matcher->predicate_count;

    if (matcher->paths[path].is_present != MATCHER_NONE) {
        return matcher->paths[path].is_present;
    }
    matcher->predicates = xrealloc(matcher->predicates,
                                   sizeof(*matcher->predicates) * (matcher->predicate_count + 1));
    matcher->predicates[matcher->predicate_count++] =
        (struct matcher_predicate){.path = path, .kind = MATCHER_PRESENT};
    matcher_table_put(&matcher->exact, matcher_hash_key(path, MATCHER_PRESENT, nothing), number);
    matcher->paths[path].kinds |= (uint32_t)1 << MATCHER_PRESENT;
    matcher->paths[path].is_present = number;
    return number;
}

#define TRIM(array, count)                                                                         \
    ((array) = (count) > 0 ? xrealloc((array), sizeof(*(array)) * (count)) : (array))

static void trim(struct matcher *matcher)
{
    TRIM(matcher->nodes, matcher->node_count);
    TRIM(matcher->paths, matcher->path_count);
    TRIM(matcher->predicates, matcher->predicate_count);
    TRIM(matcher->conditions, matcher->condition_count);
    TRIM(matcher->members, matcher->member_count);
    TRIM(matcher->branches, matcher->branch_count);
    TRIM(matcher->branch_conditions, matcher->branch_condition_count);
}

struct matcher_builder *matcher_begin(void)
{
    struct matcher_builder *builder = xcalloc(1, sizeof(*builder));

    builder->matcher = xcalloc(1, sizeof(*builder->matcher));
    builder->matcher->references = 1;
    matcher_table_init(&builder->matcher->edges);
    matcher_table_init(&builder->matcher->exact);
    matcher_table_init(&builder->conditions);
    /* a condition may have no member: their arrays exist all the same */
    GROW(builder->matcher->members, 0, &builder->member_max);
    GROW(builder->draft, 0, &builder->draft_max);
    (void)add_node(builder, MATCHER_NONE, (struct slice){NULL, 0}, 0);
    return builder;
}

void matcher_add(struct matcher_builder *builder, const struct pattern *pattern)
{
    const size_t number = builder->matcher->pattern_count++;

    CHECK(number < MATCHER_NONE);
    if (pattern != NULL) {
        add_pattern(builder, pattern, (uint32_t)number);
    }
}

struct matcher *matcher_finish(struct matcher_builder *builder)
{
    struct matcher *matcher = builder->matcher;

    trim(matcher);
    matcher_index_fields(matcher);
    matcher_post_branches(matcher);
    xfree(builder->conditions.slots);
    xfree(builder->known);
    xfree(builder->draft);
    xfree(builder);
    return matcher;
}

struct matcher *matcher_new(const struct pattern *const *patterns, size_t count)
{
    struct matcher_builder *builder = matcher_begin();

    for (size_t i = 0; i < count; i++) {
        matcher_add(builder, patterns[i]);
    }
    return matcher_finish(builder);
}
