/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern.c - the structure of an event pattern: paths, and the branches that `$or` makes of them.
 *
 * A pattern is read in one pass.  At any moment there is a set of branches, each a table from path
 * to match list; a match list just read is put into every branch (a path given twice: the later
 * one wins), and `$or` replaces the set by one copy of it per alternative:
 *
 *     {"a": [1], "$or": [{"b": [2]}, {"c": [3]}]}      {a: 1}  ->  {a: 1, b: 2}, {a: 1, c: 3}
 *
 * So several `$or` multiply, and what stands before and after an alternative overrides or is
 * overridden by it in the order of the text.  The set never shrinks, which lets the limit on
 * branches be checked before each copy.  Two spellings of a path are one: key names are joined by
 * dots, and a key may hold dots itself.
 *
 * weir is stricter than EventBridge's library in two points: text behind the pattern is refused,
 * and `$or` is never taken for an ordinary key.
 *
 * Memory: everything compiled lives in the pattern's arena, scratch in one that dies with the
 *         compilation.  Recursion is bounded by the length of the text.
 */
#include "routing/pattern_internal.h"

#include "core/utf8.h"

static const char *const reserved_in_or[] = {
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
};

/* A set of branches while they grow: for each known path the condition of the branch, or NULL. */
struct branch_set {
    struct pattern_condition ***branches;
    size_t count;
};

struct compiler {
    struct pattern_syntax syntax;
    struct arena *arena;   /* of the pattern */
    struct arena *scratch; /* of the compilation */
    struct slice *paths;   /* every path named so far */
    size_t path_count;
    size_t path_max; /* no text can name more: each needs a bracket */
    struct branch_set set;
    uint32_t condition_count;
};

static enum err read_object(struct compiler *compiler, struct slice path, bool is_root,
                            bool is_in_or);

/* ---- paths --------------------------------------------------------------------------------- */

static size_t path_index(struct compiler *compiler, struct slice path)
{
    size_t i = 0;

    while (i < compiler->path_count && !slice_eq(compiler->paths[i], path)) {
        i++;
    }
    if (i == compiler->path_count) {
        CHECK(i < compiler->path_max);
        compiler->paths[compiler->path_count++] = path;
    }
    return i;
}

static struct slice join_path(struct compiler *compiler, struct slice path, bool is_root,
                              struct slice key)
{
    char *joined;

    if (is_root) {
        return arena_copy(compiler->arena, key);
    }
    joined = arena_alloc(compiler->arena, path.len + 1 + key.len);
    if (path.len > 0) {
        memcpy(joined, path.data, path.len);
    }
    joined[path.len] = '.';
    if (key.len > 0) {
        memcpy(joined + path.len + 1, key.data, key.len);
    }
    return (struct slice){joined, path.len + 1 + key.len};
}

/* ---- branches ------------------------------------------------------------------------------ */

static struct pattern_condition **new_branch(struct compiler *compiler,
                                             struct pattern_condition **from)
{
    struct pattern_condition **branch =
        ARENA_ARRAY(compiler->scratch, struct pattern_condition *, compiler->path_max);

    if (from != NULL) {
        memcpy(branch, from, sizeof(struct pattern_condition *) * compiler->path_count);
    }
    return branch;
}

static void append_branch(struct compiler *compiler, struct branch_set *set,
                          struct pattern_condition **branch)
{
    if (set->branches == NULL) {
        set->branches =
            ARENA_ARRAY(compiler->scratch, struct pattern_condition **, PATTERN_BRANCHES_MAX);
    }
    CHECK(set->count < PATTERN_BRANCHES_MAX);
    set->branches[set->count++] = branch;
}

/* Copies of all branches of `from`; one empty branch if there are none. */
static struct branch_set copy_branches(struct compiler *compiler, const struct branch_set *from)
{
    struct branch_set copy = {.count = 0};

    for (size_t i = 0; i < from->count; i++) {
        append_branch(compiler, &copy, new_branch(compiler, from->branches[i]));
    }
    if (copy.count == 0) {
        append_branch(compiler, &copy, new_branch(compiler, NULL));
    }
    return copy;
}

static void put_condition(struct compiler *compiler, struct pattern_condition *condition)
{
    const size_t index = path_index(compiler, condition->path);
    struct branch_set *set = &compiler->set;

    if (set->count == 0) {
        append_branch(compiler, set, new_branch(compiler, NULL));
    }
    for (size_t i = 0; i < set->count; i++) {
        set->branches[i][index] = condition;
    }
}

/* ---- $or ----------------------------------------------------------------------------------- */

static bool is_reserved(struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(reserved_in_or); i++) {
        if (slice_eq(key, slice_of(reserved_in_or[i]))) {
            return true;
        }
    }
    return false;
}

/* One alternative, from behind its brace, on a copy of `before`; the result joins `after`. */
static enum err read_alternative(struct compiler *compiler, struct slice path, bool is_root,
                                 const struct branch_set *before, struct branch_set *after)
{
    if (after->count + MAX_OF(before->count, 1) > PATTERN_BRANCHES_MAX) {
        return pattern_refuse(&compiler->syntax, "$or makes more than %d combinations",
                              PATTERN_BRANCHES_MAX);
    }
    compiler->set = copy_branches(compiler, before);
    TRY(read_object(compiler, path, is_root, true));
    if (after->count + compiler->set.count > PATTERN_BRANCHES_MAX) {
        return pattern_refuse(&compiler->syntax, "$or makes more than %d combinations",
                              PATTERN_BRANCHES_MAX);
    }
    for (size_t i = 0; i < compiler->set.count; i++) {
        append_branch(compiler, after, compiler->set.branches[i]);
    }
    return ERR_OK;
}

/* The value of a `$or` key. */
static enum err read_or(struct compiler *compiler, struct slice path, bool is_root)
{
    struct pattern_syntax *syntax = &compiler->syntax;
    const struct branch_set before = compiler->set;
    struct branch_set after = {.count = 0};
    size_t alternative_count = 0;

    TRY(pattern_syntax_next(syntax));
    if (syntax->token != PATTERN_TOKEN_ARRAY_BEGIN) {
        return pattern_refuse(syntax, "It must be an Array followed with $or.");
    }
    for (;;) {
        TRY(pattern_syntax_next(syntax));
        if (syntax->token == PATTERN_TOKEN_ARRAY_END) {
            break;
        }
        if (syntax->token != PATTERN_TOKEN_OBJECT_BEGIN) {
            return pattern_refuse(syntax,
                                  "Only JSON object is allowed in array of $or relationship.");
        }
        alternative_count++;
        TRY(read_alternative(compiler, path, is_root, &before, &after));
    }
    if (alternative_count < 2) {
        return pattern_refuse(syntax, "There must have at least 2 Objects in $or relationship.");
    }
    compiler->set = after;
    return ERR_OK;
}

/* ---- objects ------------------------------------------------------------------------------- */

/* The value of the current key. */
static enum err read_member(struct compiler *compiler, struct slice path, bool is_root,
                            bool is_in_or)
{
    struct pattern_syntax *syntax = &compiler->syntax;
    const struct slice key = syntax->key;
    struct pattern_condition *condition;
    struct slice inner;

    if (slice_eq(key, SLICE("$or"))) {
        return read_or(compiler, path, is_root);
    }
    if (is_in_or && is_reserved(key)) {
        return pattern_refuse(syntax,
                              "%.*s is Ruler reserved fieldName which cannot be used inside $or.",
                              SLICE_ARG(key));
    }
    inner = join_path(compiler, path, is_root, key);
    TRY(pattern_syntax_next(syntax));
    if (syntax->token == PATTERN_TOKEN_OBJECT_BEGIN) {
        return read_object(compiler, inner, false, is_in_or);
    }
    if (syntax->token != PATTERN_TOKEN_ARRAY_BEGIN) {
        return pattern_refuse(syntax, "\"%.*s\" must be an object or an array", SLICE_ARG(key));
    }
    condition = ARENA_NEW(compiler->arena, struct pattern_condition);
    condition->path = inner;
    condition->id = compiler->condition_count++;
    TRY(pattern_read_list(syntax, compiler->arena, condition));
    put_condition(compiler, condition);
    return ERR_OK;
}

/* From behind the opening brace to the closing one. */
static enum err read_object(struct compiler *compiler, struct slice path, bool is_root,
                            bool is_in_or)
{
    struct pattern_syntax *syntax = &compiler->syntax;
    bool is_empty = true;

    for (;;) {
        TRY(pattern_syntax_next(syntax));
        if (syntax->token == PATTERN_TOKEN_OBJECT_END) {
            break;
        }
        CHECK(syntax->token == PATTERN_TOKEN_KEY);
        is_empty = false;
        TRY(read_member(compiler, path, is_root, is_in_or));
    }
    if (is_empty) {
        return pattern_refuse(syntax, "Empty objects are not allowed");
    }
    return ERR_OK;
}

/* ---- finishing ----------------------------------------------------------------------------- */

/* The UTF-16 units of a text, one by one; a lone surrogate is one unit. */
struct units {
    struct slice rest;
    uint32_t pending; /* second half of a pair, or 0 */
};

static uint32_t next_unit(struct units *units)
{
    const uint8_t *at = (const uint8_t *)units->rest.data;
    uint32_t point;
    size_t len = 1;

    if (units->pending != 0) {
        point = units->pending;
        units->pending = 0;
        return point;
    }
    point = at[0];
    if (at[0] >= 0xf0) {
        len = 4;
        point = (uint32_t)(at[0] & 0x07) << 18 | (uint32_t)(at[1] & 0x3f) << 12 |
                (uint32_t)(at[2] & 0x3f) << 6 | (at[3] & 0x3f);
        units->pending = 0xdc00 | (point & 0x3ff);
        point = 0xd800 + ((point - 0x10000) >> 10);
    } else if (at[0] >= 0xe0) {
        len = 3;
        point = (uint32_t)(at[0] & 0x0f) << 12 | (uint32_t)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
    } else if (at[0] >= 0xc0) {
        len = 2;
        point = (uint32_t)(at[0] & 0x1f) << 6 | (at[1] & 0x3f);
    }
    units->rest = slice_from(units->rest, len);
    return point;
}

int pattern_compare_paths(struct slice a, struct slice b)
{
    struct units left = {.rest = a};
    struct units right = {.rest = b};

    for (;;) {
        const bool is_left_over = left.rest.len == 0 && left.pending == 0;
        const bool is_right_over = right.rest.len == 0 && right.pending == 0;
        uint32_t from_left;
        uint32_t from_right;

        if (is_left_over || is_right_over) {
            return (is_left_over ? 0 : 1) - (is_right_over ? 0 : 1);
        }
        from_left = next_unit(&left);
        from_right = next_unit(&right);
        if (from_left != from_right) {
            return from_left < from_right ? -1 : 1;
        }
    }
}

static int compare_conditions(const void *a, const void *b)
{
    const struct pattern_condition *const *left = a;
    const struct pattern_condition *const *right = b;

    return pattern_compare_paths((*left)->path, (*right)->path);
}

static enum err finish_branch(struct compiler *compiler, struct pattern_condition **from,
                              struct pattern_branch *branch)
{
    size_t count = 0;

    for (size_t i = 0; i < compiler->path_count; i++) {
        count += from[i] != NULL ? 1 : 0;
    }
    if (count > PATTERN_PATHS_MAX) {
        return pattern_refuse_bare(&compiler->syntax, "The rule names %zu fields, more than %d",
                                   count, PATTERN_PATHS_MAX);
    }
    branch->conditions = ARENA_ARRAY(compiler->arena, struct pattern_condition *, count);
    for (size_t i = 0; i < compiler->path_count; i++) {
        if (from[i] != NULL) {
            branch->conditions[branch->condition_count++] = from[i];
        }
    }
    qsort(branch->conditions, count, sizeof(struct pattern_condition *), compare_conditions);
    return ERR_OK;
}

static void note_list(struct compiler *compiler, struct pattern *pattern, struct slice name)
{
    for (size_t i = 0; i < pattern->list_count; i++) {
        if (slice_eq(pattern->lists[i], name)) {
            return;
        }
    }
    if ((pattern->list_count & (pattern->list_count - 1)) == 0) { /* full at each power of two */
        const struct slice *old = pattern->lists;

        pattern->lists =
            ARENA_ARRAY(compiler->arena, struct slice, MAX_OF(2 * pattern->list_count, (size_t)1));
        for (size_t i = 0; i < pattern->list_count; i++) {
            pattern->lists[i] = old[i];
        }
    }
    pattern->lists[pattern->list_count++] = name;
}

static void note_lists(struct compiler *compiler, struct pattern *pattern,
                       const struct pattern_condition *condition)
{
    for (const struct predicate *entry = condition->predicates; entry != NULL;
         entry = entry->next) {
        if (entry->kind == PREDICATE_IN_LIST) {
            note_list(compiler, pattern, entry->text);
        }
        for (const struct predicate *operand = entry->operands; operand != NULL;
             operand = operand->next) {
            if (operand->kind == PREDICATE_IN_LIST) {
                note_list(compiler, pattern, operand->text);
            }
        }
    }
}

static enum err finish(struct compiler *compiler, struct pattern *pattern)
{
    pattern->condition_count = compiler->condition_count;
    pattern->branch_count = compiler->set.count;
    pattern->branches = ARENA_ARRAY(compiler->arena, struct pattern_branch, pattern->branch_count);
    for (size_t i = 0; i < pattern->branch_count; i++) {
        TRY(finish_branch(compiler, compiler->set.branches[i], &pattern->branches[i]));
        for (size_t k = 0; k < pattern->branches[i].condition_count; k++) {
            if (pattern->branches[i].conditions[k]->asks_lists) {
                note_lists(compiler, pattern, pattern->branches[i].conditions[k]);
            }
        }
    }
    if (pattern_complexity(pattern, PATTERN_WILDCARD_COMPLEXITY_MAX) >
        PATTERN_WILDCARD_COMPLEXITY_MAX) {
        return pattern_refuse_bare(
            &compiler->syntax,
            "Rule is too complex - try using fewer wildcard characters or fewer repeating "
            "character sequences after a wildcard character");
    }
    return ERR_OK;
}

static enum err check_text(struct pattern_syntax *syntax)
{
    const struct slice text = syntax->text;
    size_t len;

    for (size_t at = 0; at < text.len; at += len) {
        len = utf8_len(text.data + at, text.data + text.len);
        if (len == 0) {
            return pattern_refuse_bare(syntax, "Invalid UTF-8 at byte %zu", at);
        }
    }
    return ERR_OK;
}

static enum err compile(struct compiler *compiler, struct pattern *pattern)
{
    struct pattern_syntax *syntax = &compiler->syntax;

    TRY(check_text(syntax));
    TRY(pattern_syntax_next(syntax));
    if (syntax->token != PATTERN_TOKEN_OBJECT_BEGIN) {
        return pattern_refuse(syntax, "Filter is not an object");
    }
    TRY(read_object(compiler, (struct slice){NULL, 0}, true, false));
    TRY(pattern_syntax_next(syntax));
    if (syntax->token != PATTERN_TOKEN_END) {
        return pattern_refuse(syntax, "Text after the end of the pattern");
    }
    return finish(compiler, pattern);
}

static size_t count_brackets(struct slice text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += text.data[i] == '[' ? 1 : 0;
    }
    return count;
}

static enum err compile_in(struct pattern *pattern, bool is_plain, struct arena *scratch,
                           struct err_why *why)
{
    struct compiler *compiler = ARENA_NEW(scratch, struct compiler);

    compiler->arena = &pattern->arena;
    compiler->scratch = scratch;
    compiler->path_max = count_brackets(pattern->text) + 1;
    compiler->paths = ARENA_ARRAY(scratch, struct slice, compiler->path_max);
    pattern_syntax_init(&compiler->syntax, pattern->text, &pattern->arena, why);
    compiler->syntax.is_plain = is_plain;
    return compile(compiler, pattern);
}

static enum err compile_text(struct slice text, bool is_plain, struct pattern **pattern,
                             struct err_why *why)
{
    struct arena arena = {0};
    struct arena scratch = {0};
    struct pattern *compiled;
    enum err err;

    *pattern = NULL;
    if (text.len > PATTERN_BYTES_MAX) {
        return err_because(ERR_BAD_PATTERN, why,
                           "Event pattern is not valid. Reason: The pattern has %zu bytes, more "
                           "than %d",
                           text.len, PATTERN_BYTES_MAX);
    }
    compiled = ARENA_NEW(&arena, struct pattern);
    compiled->references = 1;
    compiled->arena = arena;
    compiled->text = arena_copy(&compiled->arena, text);
    err = compile_in(compiled, is_plain, &scratch, why);
    arena_clean_up(&scratch);
    if (err != ERR_OK) {
        pattern_release(compiled);
        return err;
    }
    *pattern = compiled;
    return ERR_OK;
}

enum err pattern_compile(struct slice text, struct pattern **pattern, struct err_why *why)
{
    return compile_text(text, false, pattern, why);
}

enum err pattern_compile_plain(struct slice text, struct pattern **pattern, struct err_why *why)
{
    return compile_text(text, true, pattern, why);
}

struct pattern *pattern_acquire(struct pattern *pattern)
{
    CHECK(pattern != NULL);
    CHECK(atomic_fetch_add_explicit(&pattern->references, 1, memory_order_relaxed) > 0);
    return pattern;
}

void pattern_release(struct pattern *pattern)
{
    struct arena arena;

    if (pattern == NULL ||
        atomic_fetch_sub_explicit(&pattern->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    arena = pattern->arena; /* the pattern lives in it */
    arena_clean_up(&arena);
}

struct slice pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

size_t pattern_memory_bytes(const struct pattern *pattern)
{
    return pattern->arena.used_bytes;
}

const struct slice *pattern_lists(const struct pattern *pattern, size_t *count)
{
    *count = pattern->list_count;
    return pattern->lists;
}
