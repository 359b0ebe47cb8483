/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern_but.c - the operator anything-but: a leaf that none of its operands accepts.
 *
 * The operand is a string, a number, a list of one of the two, or an object with one of five inner
 * operators over a string or a list of strings.  Strings are compared as text here: the address
 * rule of literals does not apply.
 *
 * A refusal inside a list names its place twice, because EventBridge wraps one exception in
 * another there.
 *
 * Memory: operands live in the pattern's arena.
 */
#include "routing/pattern_internal.h"

static const char too_many_elements[] = "Too many elements in numeric expression";

static bool is_token(const struct pattern_syntax *syntax, enum pattern_token token)
{
    return syntax->token == token;
}

/* A plain operand: string or number, textual for strings. */
static enum err read_plain_operand(struct pattern_syntax *syntax, struct predicate_list *list,
                                   struct arena *arena)
{
    struct predicate *operand = predicate_append(list, arena);
    struct slice text;

    TRY(pattern_syntax_text(syntax, &text));
    if (is_token(syntax, PATTERN_TOKEN_STRING)) {
        *operand = (struct predicate){.kind = PREDICATE_TEXT, .text = text};
        return ERR_OK;
    }
    predicate_set_number(operand, text);
    if (operand->is_comparable) {
        return ERR_OK;
    }
    /* EventBridge names a place only for a member of a list, and there once */
    if (syntax->is_in_but_list) {
        syntax->is_in_but_list = false;
        return pattern_refuse(syntax, "Cannot compare number : %.*s", SLICE_ARG(text));
    }
    return pattern_refuse_bare(syntax, "Cannot compare number : %.*s", SLICE_ARG(text));
}

static enum err read_plain_list(struct pattern_syntax *syntax, struct predicate_list *list,
                                struct arena *arena)
{
    bool has_string = false;
    bool has_number = false;

    syntax->is_in_but_list = true;
    for (;;) {
        TRY(pattern_syntax_next(syntax));
        if (is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
            break;
        }
        has_string |= is_token(syntax, PATTERN_TOKEN_STRING);
        has_number |= is_token(syntax, PATTERN_TOKEN_NUMBER);
        if (!is_token(syntax, PATTERN_TOKEN_STRING) && !is_token(syntax, PATTERN_TOKEN_NUMBER)) {
            return pattern_refuse(syntax,
                                  "Inside anything but list, start|null|boolean is not supported.");
        }
        TRY(read_plain_operand(syntax, list, arena));
    }
    syntax->is_in_but_list = false;
    if (has_string == has_number) {
        return pattern_refuse(syntax, "Inside anything but list, either all values are number or "
                                      "string, mixed type is not supported");
    }
    return ERR_OK;
}

static const char *but_operand_fault(enum predicate_kind kind)
{
    if (kind == PREDICATE_IGNORE_CASE) {
        return "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not "
               "supported.";
    }
    if (kind == PREDICATE_WILDCARD) {
        return "wildcard match pattern must be a string";
    }
    return "prefix/suffix match pattern must be a string";
}

/* An operand of {"anything-but": {OPERATOR: …}}; the current token should be its string. */
static enum err read_inner_operand(struct pattern_syntax *syntax, enum predicate_kind kind,
                                   struct predicate_list *list, struct arena *arena)
{
    struct predicate *operand = predicate_append(list, arena);

    if (kind == PREDICATE_IN_LIST) {
        return predicate_read_list(syntax, operand);
    }
    operand->kind = kind;
    if (!is_token(syntax, PATTERN_TOKEN_STRING)) {
        return pattern_refuse(syntax, "%s", but_operand_fault(kind));
    }
    TRY(pattern_syntax_text(syntax, &operand->text));
    if (operand->text.len == 0 && (kind == PREDICATE_PREFIX || kind == PREDICATE_SUFFIX)) {
        return pattern_refuse(syntax, "Null prefix/suffix not allowed");
    }
    return ERR_OK;
}

static enum err read_inner_list(struct pattern_syntax *syntax, enum predicate_kind kind,
                                struct predicate_list *list, struct arena *arena)
{
    syntax->is_in_but_list = true;
    for (;;) {
        TRY(pattern_syntax_next(syntax));
        if (is_token(syntax, PATTERN_TOKEN_ARRAY_END)) {
            break;
        }
        TRY(read_inner_operand(syntax, kind, list, arena));
    }
    syntax->is_in_but_list = false;
    if (list->first == NULL) {
        return pattern_refuse(syntax, "Empty arrays are not allowed");
    }
    return ERR_OK;
}

/* The inner operator's key is the current token. */
static enum err read_inner_kind(struct pattern_syntax *syntax, enum predicate_kind *kind)
{
    static const struct {
        const char *name;
        enum predicate_kind kind;
    } inner_operators[] = {
        {"prefix", PREDICATE_PREFIX},
        {"suffix", PREDICATE_SUFFIX},
        {"equals-ignore-case", PREDICATE_IGNORE_CASE},
        {"wildcard", PREDICATE_WILDCARD},
        {"in-list", PREDICATE_IN_LIST}, /* last: the others are EventBridge's own */
    };
    const size_t count = ARRAY_LEN(inner_operators) - (syntax->is_plain ? 1 : 0);
    struct slice name;

    TRY(pattern_syntax_next(syntax));
    if (!is_token(syntax, PATTERN_TOKEN_KEY)) {
        return pattern_refuse(syntax, "Anything-But expression name not found");
    }
    TRY(pattern_syntax_text(syntax, &name));
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name, slice_of(inner_operators[i].name))) {
            *kind = inner_operators[i].kind;
            return ERR_OK;
        }
    }
    return pattern_refuse(syntax, "Unsupported anything-but pattern: %.*s", SLICE_ARG(name));
}

static bool is_but_operand(const struct pattern_syntax *syntax)
{
    return is_token(syntax, PATTERN_TOKEN_ARRAY_BEGIN) || is_token(syntax, PATTERN_TOKEN_STRING) ||
           is_token(syntax, PATTERN_TOKEN_NUMBER);
}

/* The operand, whose first token is current.  `kind` is PREDICATE_TEXT for the plain form. */
static enum err read_but_operands(struct pattern_syntax *syntax, enum predicate_kind kind,
                                  struct predicate_list *list, struct arena *arena)
{
    const bool is_list = is_token(syntax, PATTERN_TOKEN_ARRAY_BEGIN);

    if (kind == PREDICATE_TEXT) {
        return is_list ? read_plain_list(syntax, list, arena)
                       : read_plain_operand(syntax, list, arena);
    }
    if (is_list) {
        TRY(read_inner_list(syntax, kind, list, arena));
    } else {
        TRY(read_inner_operand(syntax, kind, list, arena));
    }
    for (struct predicate *operand = list->first; operand != NULL && kind == PREDICATE_WILDCARD;
         operand = operand->next) {
        TRY(predicate_parse_wildcard(syntax, arena, operand));
    }
    return ERR_OK;
}

enum err pattern_read_anything_but(struct pattern_syntax *syntax, struct arena *arena,
                                   struct predicate *predicate)
{
    struct predicate_list list = {.first = NULL, .tail = &list.first};
    enum predicate_kind kind = PREDICATE_TEXT;

    TRY(pattern_syntax_next(syntax));
    if (is_token(syntax, PATTERN_TOKEN_OBJECT_BEGIN)) {
        TRY(read_inner_kind(syntax, &kind));
        TRY(pattern_syntax_next(syntax));
    }
    if (!is_but_operand(syntax)) {
        return pattern_refuse(
            syntax, "Value of anything-but must be an array or single string/number value.");
    }
    TRY(read_but_operands(syntax, kind, &list, arena));
    predicate->kind = PREDICATE_NOT;
    predicate->operands = list.first;
    TRY(pattern_expect_object_end(syntax, too_many_elements));
    return kind == PREDICATE_TEXT ? ERR_OK : pattern_expect_object_end(syntax, too_many_elements);
}
