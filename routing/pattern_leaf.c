/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_leaf.c - match lists: literals and operators, and the sentence for each way to get one
 * wrong.
 *
 * The order of reading is part of the result: which token has been taken when a fault is seen
 * decides the column of the refusal, and which of two faults is reported.  So every function here
 * reads first and judges in the order in which EventBridge does, even where another order would be
 * shorter.
 *
 * Memory: predicates live in the pattern's arena.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
#include "routing/pattern_internal.h"

#include <math.h>

#include "routing/number.h"
#include "routing/partner_list.h"

static const char one_key_only[] = "Only one key allowed in match expression";
static const char too_many_elements[] = "Too many elements in numeric expression";

typedef enum err (*read_operator_fn)(struct pattern_syntax *syntax, struct arena *arena,
                                     struct predicate *predicate);

static bool is_token(const struct pattern_syntax *syntax, enum pattern_token token)
{
    return syntax->token == token;
}

/* The next token must close the object. */
enum err pattern_expect_object_end(struct pattern_syntax *syntax, const char *otherwise)
{
    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_OBJECT_END)) {
        return pattern_refuse(syntax, "%s", otherwise);
    }
    return ERR_OK;
}

struct predicate *predicate_append(struct predicate_list *list, struct arena *arena)
{
    struct predicate *predicate = ARENA_NEW(arena, struct predicate);

    *list->tail = predicate;
    list->tail = &predicate->next;
    return predicate;
}

/* ---- literals ------------------------------------------------------------------------------ */

static void set_string(struct predicate *predicate, struct slice text)
{
    predicate->kind = PREDICATE_TEXT;
    if (ip_parse(text, &predicate->address) == IP_OK) {
        predicate->kind = PREDICATE_ADDRESS;
    }
    predicate->text = text;
}

void predicate_set_number(struct predicate *predicate, struct slice text)
{
    predicate->kind = PREDICATE_NUMBER;
    predicate->text = text;
    predicate->is_comparable = number_read(text, &predicate->low);
    predicate->high = predicate->low;
}

/* ---- operators with one string ------------------------------------------------------------- */

static enum err read_string_operand(struct pattern_syntax *syntax, const char *otherwise,
                                    struct predicate *predicate, enum predicate_kind kind)
{
    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "%s", otherwise);
    }
    predicate->kind = kind;
    return pattern_syntax_text(syntax, &predicate->text);
}

static enum err read_exactly(struct pattern_syntax *syntax, struct arena *arena,
                             struct predicate *predicate)
{
    (void)arena;
    TRY(read_string_operand(syntax, "exact match pattern must be a string", predicate,
                            PREDICATE_TEXT));
    return pattern_expect_object_end(syntax, one_key_only);
}

static enum err read_ignore_case(struct pattern_syntax *syntax, struct arena *arena,
                                 struct predicate *predicate)
{
    (void)arena;
    TRY(read_string_operand(syntax, "equals-ignore-case match pattern must be a string", predicate,
                            PREDICATE_IGNORE_CASE));
    return pattern_expect_object_end(syntax, one_key_only);
}

/* What tells prefix and suffix apart. */
struct affix {
    const char *name; /* of the operator */
    const char *capitalised;
    enum predicate_kind kind;
    enum predicate_kind ignoring_case;
};

/* {"prefix": {"equals-ignore-case": "x"}}, from behind the inner brace. */
static enum err read_affix_ignore_case(struct pattern_syntax *syntax, const struct affix *affix,
                                       struct predicate *predicate)
{
    struct slice inner;

    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_KEY)) {
        return pattern_refuse(syntax, "%s expression name not found", affix->capitalised);
    }
    TRY(pattern_syntax_text(syntax, &inner));
    if (!slice_eq(inner, SLICE("equals-ignore-case"))) {
        return pattern_refuse(syntax, "Unsupported %s pattern: %.*s", affix->name,
                              SLICE_ARG(inner));
    }
    TRY(read_string_operand(syntax, "equals-ignore-case match pattern must be a string", predicate,
                            affix->ignoring_case));
    TRY(pattern_expect_object_end(syntax, one_key_only));
    return pattern_expect_object_end(syntax, one_key_only);
}

static enum err read_affix(struct pattern_syntax *syntax, const struct affix *affix,
                           struct predicate *predicate)
{
    TRY(pattern_syntax_next(syntax));
    if (is_token(syntax, PATTERN_TOKEN_OBJECT_BEGIN)) {
        return read_affix_ignore_case(syntax, affix, predicate);
    }
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "%s match pattern must be a string", affix->name);
    }
    predicate->kind = affix->kind;
    TRY(pattern_syntax_text(syntax, &predicate->text));
    return pattern_expect_object_end(syntax, one_key_only);
}

static enum err read_prefix(struct pattern_syntax *syntax, struct arena *arena,
                            struct predicate *predicate)
{
    static const struct affix prefix = {"prefix", "Prefix", PREDICATE_PREFIX,
                                        PREDICATE_PREFIX_IGNORE_CASE};

    (void)arena;
    return read_affix(syntax, &prefix, predicate);
}

static enum err read_suffix(struct pattern_syntax *syntax, struct arena *arena,
                            struct predicate *predicate)
{
    static const struct affix suffix = {"suffix", "Suffix", PREDICATE_SUFFIX,
                                        PREDICATE_SUFFIX_IGNORE_CASE};

    (void)arena;
    return read_affix(syntax, &suffix, predicate);
}

/* Positions count the opening quote that EventBridge holds around the string. */
enum err predicate_parse_wildcard(struct pattern_syntax *syntax, struct arena *arena,
                                  struct predicate *predicate)
{
    size_t position = 0;

    predicate->kind = PREDICATE_WILDCARD;
    switch (wildcard_parse(predicate->text, arena, &predicate->wildcard, &position)) {
    case WILDCARD_DOUBLE_STAR:
        return pattern_refuse(syntax, "Consecutive wildcard characters at pos %zu", position + 1);
    case WILDCARD_BAD_ESCAPE:
        return pattern_refuse(syntax, "Invalid escape character at pos %zu", position + 1);
    case WILDCARD_OK:
        break;
    }
    return ERR_OK;
}

static enum err read_wildcard(struct pattern_syntax *syntax, struct arena *arena,
                              struct predicate *predicate)
{
    TRY(read_string_operand(syntax, "wildcard match pattern must be a string", predicate,
                            PREDICATE_WILDCARD));
    TRY(predicate_parse_wildcard(syntax, arena, predicate));
    return pattern_expect_object_end(syntax, one_key_only);
}

/* ---- exists -------------------------------------------------------------------------------- */

static enum err read_exists(struct pattern_syntax *syntax, struct arena *arena,
                            struct predicate *predicate)
{
    (void)arena;
    TRY(pattern_syntax_next(syntax));
    if (is_token(syntax, PATTERN_TOKEN_TRUE)) {
        predicate->kind = PREDICATE_PRESENT;
    } else if (is_token(syntax, PATTERN_TOKEN_FALSE)) {
        predicate->kind = PREDICATE_ABSENT;
    } else {
        return pattern_refuse(syntax, "exists match pattern must be either true or false.");
    }
    return pattern_expect_object_end(syntax, one_key_only);
}

/* ---- cidr ---------------------------------------------------------------------------------- */

/* Cut at each slash as Java's split does: empty pieces at the end do not count. */
static bool split_block(struct slice text, struct slice *address, struct slice *bits)
{
    while (text.len > 0 && text.data[text.len - 1] == '/') {
        text.len--;
    }
    if (slice_find(text, '/') == text.len) {
        return false;
    }
    *address = slice_cut(&text, '/');
    *bits = text;
    return slice_find(text, '/') == text.len;
}

/* Integer.parseInt: an optional sign and digits, within 32 bits. */
static bool read_java_int(struct slice text, bool *is_negative, uint64_t *value)
{
    *is_negative = text.len > 0 && text.data[0] == '-';
    if (text.len > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        text = slice_from(text, 1);
    }
    return slice_to_u64(text, value) && *value <= (uint64_t)INT32_MAX + (*is_negative ? 1 : 0);
}

static enum err parse_block(struct pattern_syntax *syntax, struct predicate *predicate)
{
    struct slice address;
    struct slice bits;
    bool is_negative;
    uint64_t value;

    if (!split_block(predicate->text, &address, &bits)) {
        return pattern_refuse_bare(syntax, "Malformed CIDR, one '/' required");
    }
    if (!read_java_int(bits, &is_negative, &value)) {
        return pattern_refuse_bare(syntax, "Malformed CIDR, mask bits must be an integer");
    }
    if (is_negative && value > 0) {
        return pattern_refuse_bare(syntax, "Malformed CIDR, mask bits must not be negative");
    }
    switch (ip_parse(address, &predicate->address)) {
    case IP_NOT_OF_FORM:
        return pattern_refuse_bare(syntax, "Nonstandard IP address: %.*s", SLICE_ARG(address));
    case IP_INVALID:
        return pattern_refuse_bare(syntax, "Invalid IP address: %.*s", SLICE_ARG(address));
    case IP_OK:
        break;
    }
    if (predicate->address.len == 4 && value >= 32) {
        return pattern_refuse_bare(syntax, "IPv4 mask bits must be < 32");
    }
    if (predicate->address.len == 16 && value >= 128) {
        return pattern_refuse_bare(syntax, "IPv6 mask bits must be < 128");
    }
    predicate->bits = (unsigned)value;
    return ERR_OK;
}

static enum err read_cidr(struct pattern_syntax *syntax, struct arena *arena,
                          struct predicate *predicate)
{
    (void)arena;
    TRY(read_string_operand(syntax, "prefix match pattern must be a string", predicate,
                            PREDICATE_BLOCK));
    TRY(parse_block(syntax, predicate));
    return pattern_expect_object_end(syntax, one_key_only);
}

/* ---- in-list, which is weir's own ---------------------------------------------------------- */

enum err predicate_read_list(struct pattern_syntax *syntax, struct predicate *predicate)
{
    predicate->kind = PREDICATE_IN_LIST;
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "in-list match pattern must be a string");
    }
    TRY(pattern_syntax_text(syntax, &predicate->text));
    if (!partner_list_is_name(predicate->text)) {
        return pattern_refuse(syntax,
                              "in-list must be the name of a list, 1 to %d characters of "
                              "A-Z a-z 0-9 . - _",
                              PARTNER_LIST_NAME_CHARS_MAX);
    }
    return ERR_OK;
}

static enum err read_in_list(struct pattern_syntax *syntax, struct arena *arena,
                             struct predicate *predicate)
{
    (void)arena;
    TRY(pattern_syntax_next(syntax));
    TRY(predicate_read_list(syntax, predicate));
    return pattern_expect_object_end(syntax, one_key_only);
}

/* ---- numeric ------------------------------------------------------------------------------- */

static enum err parse_bound(struct pattern_syntax *syntax, struct slice text, double *bound)
{
    if (!number_read(text, bound)) {
        return pattern_refuse(syntax, "Cannot compare number : %.*s", SLICE_ARG(text));
    }
    return ERR_OK;
}

/* The number of a bound into *text; the current token must be it. */
static enum err take_bound(struct pattern_syntax *syntax, struct slice operator_name,
                           struct slice *text)
{
    if (!is_token(syntax, PATTERN_TOKEN_NUMBER)) {
        return pattern_refuse(syntax, "Value of %.*s must be numeric", SLICE_ARG(operator_name));
    }
    return pattern_syntax_text(syntax, text);
}

/* The upper half of a range whose lower half is `low`; its operator is the current token. */
static enum err read_upper_half(struct pattern_syntax *syntax, struct slice low,
                                struct predicate *predicate)
{
    struct slice operator_name = {NULL, 0};
    struct slice high = {NULL, 0};

    TRY(pattern_syntax_text(syntax, &operator_name));
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "Bad value in numeric range: %.*s", SLICE_ARG(operator_name));
    }
    if (!slice_eq(operator_name, SLICE("<")) && !slice_eq(operator_name, SLICE("<="))) {
        return pattern_refuse(syntax, "Bad numeric range operator: %.*s", SLICE_ARG(operator_name));
    }
    predicate->is_high_open = operator_name.len == 1;
    TRY(pattern_syntax_next(syntax));
    TRY(take_bound(syntax, operator_name, &high));
    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
        return pattern_refuse(syntax, "Too many terms in numeric range expression");
    }
    TRY(parse_bound(syntax, low, &predicate->low));
    TRY(parse_bound(syntax, high, &predicate->high));
    if (predicate->low >= predicate->high) {
        return pattern_refuse(syntax, "Bottom must be less than top");
    }
    return ERR_OK;
}

/* From the number on; the current token should be it. */
static enum err read_lower_first(struct pattern_syntax *syntax, struct slice operator_name,
                                 struct predicate *predicate)
{
    struct slice low = {NULL, 0};

    TRY(take_bound(syntax, operator_name, &low));
    predicate->is_low_open = operator_name.len == 1;
    TRY(pattern_syntax_next(syntax));
    if (is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
        return parse_bound(syntax, low, &predicate->low);
    }
    return read_upper_half(syntax, low, predicate);
}

static enum err read_single_bound(struct pattern_syntax *syntax, struct slice operator_name,
                                  struct predicate *predicate)
{
    const bool is_equals = slice_eq(operator_name, SLICE("="));
    struct slice bound = {NULL, 0};

    TRY(take_bound(syntax, is_equals ? SLICE("equals") : operator_name, &bound));
    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
        return pattern_refuse(syntax, "%s", too_many_elements);
    }
    TRY(parse_bound(syntax, bound, &predicate->high));
    if (is_equals) {
        predicate->low = predicate->high;
    } else {
        predicate->is_high_open = operator_name.len == 1;
    }
    return ERR_OK;
}

static bool is_one_of(struct slice text, const char *a, const char *b, const char *c)
{
    return slice_eq(text, slice_of(a)) || slice_eq(text, slice_of(b)) ||
           (c != NULL && slice_eq(text, slice_of(c)));
}

static enum err read_numeric(struct pattern_syntax *syntax, struct arena *arena,
                             struct predicate *predicate)
{
    struct slice operator_name = {NULL, 0};

    (void)arena;
    predicate->kind = PREDICATE_RANGE;
    predicate->low = -INFINITY;
    predicate->high = INFINITY;
    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_ARRAY_BEGIN)) {
        return pattern_refuse(syntax, "Value of numeric must be an array.");
    }
    TRY(pattern_syntax_next(syntax));
    TRY(pattern_syntax_text(syntax, &operator_name));
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "Invalid member in numeric match: %.*s",
                              SLICE_ARG(operator_name));
    }
    TRY(pattern_syntax_next(syntax));
    if (is_one_of(operator_name, ">", ">=", NULL)) {
        TRY(read_lower_first(syntax, operator_name, predicate));
    } else if (is_one_of(operator_name, "=", "<", "<=")) {
        TRY(read_single_bound(syntax, operator_name, predicate));
    } else {
        return pattern_refuse(syntax, "Unrecognized numeric range operator: %.*s",
                              SLICE_ARG(operator_name));
    }
    return pattern_expect_object_end(syntax, too_many_elements);
}

/* ---- lists --------------------------------------------------------------------------------- */

/* An operator object, from behind its brace to its end. */
static enum err read_operator(struct pattern_syntax *syntax, struct arena *arena,
                              struct predicate *predicate)
{
    static const struct {
        const char *name;
        read_operator_fn read;
    } operators[] = {
        {"exactly", read_exactly},
        {"prefix", read_prefix},
        {"suffix", read_suffix},
        {"numeric", read_numeric},
        {"anything-but", pattern_read_anything_but},
        {"exists", read_exists},
        {"cidr", read_cidr},
        {"equals-ignore-case", read_ignore_case},
        {"wildcard", read_wildcard},
        {"in-list", read_in_list}, /* last: the others are EventBridge's own */
    };
    const size_t count = ARRAY_LEN(operators) - (syntax->is_plain ? 1 : 0);
    struct slice name;

    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_KEY)) {
        return pattern_refuse(syntax, "Match expression name not found");
    }
    TRY(pattern_syntax_text(syntax, &name));
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name, slice_of(operators[i].name))) {
            return operators[i].read(syntax, arena, predicate);
        }
    }
    return pattern_refuse(syntax, "Unrecognized match type %.*s", SLICE_ARG(name));
}

/* One entry of a match list, whose first token is current. */
static enum err read_entry(struct pattern_syntax *syntax, struct arena *arena,
                           struct predicate *predicate)
{
    struct slice text;

    switch (syntax->token) {
    case PATTERN_TOKEN_OBJECT_BEGIN:
        return read_operator(syntax, arena, predicate);
    case PATTERN_TOKEN_STRING:
        TRY(pattern_syntax_text(syntax, &text));
        set_string(predicate, text);
        return ERR_OK;
    case PATTERN_TOKEN_NUMBER:
        TRY(pattern_syntax_text(syntax, &text));
        predicate_set_number(predicate, text);
        return ERR_OK;
    case PATTERN_TOKEN_TRUE:
        predicate->kind = PREDICATE_TRUE;
        return ERR_OK;
    case PATTERN_TOKEN_FALSE:
        predicate->kind = PREDICATE_FALSE;
        return ERR_OK;
    case PATTERN_TOKEN_NULL:
        predicate->kind = PREDICATE_NULL;
        return ERR_OK;
    case PATTERN_TOKEN_END:
    case PATTERN_TOKEN_OBJECT_END:
    case PATTERN_TOKEN_ARRAY_BEGIN:
    case PATTERN_TOKEN_ARRAY_END:
    case PATTERN_TOKEN_KEY:
        break;
    }
    return pattern_refuse(syntax, "Match value must be String, number, true, false, or null");
}

enum err pattern_read_list(struct pattern_syntax *syntax, struct arena *arena,
                           struct pattern_condition *condition)
{
    struct predicate_list list = {.first = NULL, .tail = &list.first};

    condition->list_start = (uint32_t)(syntax->position - 1);
    for (;;) {
        struct predicate *predicate;

        TRY(pattern_syntax_next(syntax));
        if (is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
            break;
        }
        predicate = predicate_append(&list, arena);
        TRY(read_entry(syntax, arena, predicate));
        condition->may_be_absent |= predicate->kind == PREDICATE_ABSENT;
        condition->asks_lists |=
            predicate->kind == PREDICATE_IN_LIST ||
            (predicate->kind == PREDICATE_NOT && predicate->operands->kind == PREDICATE_IN_LIST);
    }
    if (list.first == NULL) {
        return pattern_refuse(syntax, "Empty arrays are not allowed");
    }
    condition->predicates = list.first;
    condition->list_len = (uint32_t)syntax->position - condition->list_start;
    return ERR_OK;
}
