/* SPDX-License-Identifier: Apache-2.0
 *
 * model_transform.c - what a template gives, against a twin that never reads a template.
 *
 * The twin invents a template as a tree, with placeholders as leaves or among the characters of a
 * string, and an event as a tree of values chosen to hurt: quotes, backslashes, braces, names in
 * angle brackets, lone surrogates, escapes of every spelling.  It prints both for weir, puts the
 * values into its own tree where the placeholders are, and reads back what weir rendered with a
 * parser of its own.  Both trees must be equal, node by node and character by character: a value
 * that broke out of its place, changed, or was read again would show.
 *
 * It shares no code with the transform or the JSON reader.  WEIR_SEED replays a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/moment.h"
#include "routing/transform.h"

enum {
    ROUNDS = 40000,
    VALUES_MIN = 100000, /* inserted, all rounds together */
    KIDS_MAX = 6,
    UNITS_MAX = 4096,
    KEYS = 4,
    VARIABLES = 8,
    OUTPUT_MAX = 1 << 20,
};

enum kind { STRING, BARE, OBJECT, ARRAY, PLACE };

/* A value, or a node of a template. */
struct node {
    enum kind kind;
    uint16_t *units; /* STRING: UTF-16 */
    size_t unit_count;
    const char *text; /* BARE: a number, true, false, null */
    struct node *keys[KIDS_MAX];
    struct node *kids[KIDS_MAX];
    size_t kid_count;
    unsigned variable; /* PLACE; in a string the kids are pieces: STRING or PLACE */
    bool has_pieces;
};

static uint64_t random_state;
static struct arena arena;
static size_t inserted;

static unsigned below(unsigned bound)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

static struct node *new_node(enum kind kind)
{
    struct node *node = ARENA_NEW(&arena, struct node);

    node->kind = kind;
    return node;
}

static void add_kid(struct node *node, struct node *key, struct node *kid)
{
    CHECK(node->kid_count < KIDS_MAX);
    node->keys[node->kid_count] = key;
    node->kids[node->kid_count++] = kid;
}

/* ---- inventing ----------------------------------------------------------------------------- */

static struct node *plain_string(const char *ascii)
{
    struct node *node = new_node(STRING);

    node->unit_count = strlen(ascii);
    node->units = ARENA_ARRAY(&arena, uint16_t, node->unit_count + 1);
    for (size_t i = 0; i < node->unit_count; i++) {
        node->units[i] = (uint8_t)ascii[i];
    }
    return node;
}

static struct node *random_string(void)
{
    static const char *const fixed[] = {
        "",    "\"",   "\\",       "\\\"",       "\",\"x\":\"",
        "\"}", "<v0>", "<v1>",     "</v2>",      "\n\r\t",
        "{[",  "]}",   "\\u0022",  "a \"b\\\" ", "<aws.events.event>",
        "<",   ">",    "\x01\x1f", "//",         "null"};
    static const uint16_t units[] = {'a',  '"',    '\\',   '/',    '\n',   0,      0x7f,
                                     0xe9, 0x2028, 0xd83d, 0xde00, 0xd800, 0xdfff, 0xffff,
                                     '<',  '>',    '{',    '}',    ' ',    'v',    '0'};
    struct node *node;

    if (below(2) == 0) {
        return plain_string(fixed[below(ARRAY_LEN(fixed))]);
    }
    node = new_node(STRING);
    node->unit_count = below(8);
    node->units = ARENA_ARRAY(&arena, uint16_t, 8);
    for (size_t i = 0; i < node->unit_count; i++) {
        node->units[i] = units[below(ARRAY_LEN(units))];
    }
    return node;
}

static struct node *random_key(void)
{
    char name[] = "k0";

    name[1] = (char)('0' + below(KEYS));
    return plain_string(name);
}

static bool same_units(const struct node *a, const struct node *b)
{
    return a->unit_count == b->unit_count &&
           memcmp(a->units, b->units, a->unit_count * sizeof(a->units[0])) == 0;
}

static bool has_key(const struct node *object, const struct node *key)
{
    for (size_t i = 0; i < object->kid_count; i++) {
        if (same_units(object->keys[i], key)) {
            return true;
        }
    }
    return false;
}

/* A value; `object_chance` in ten that it is a container, while depth lasts. */
static struct node *random_value(unsigned depth, unsigned object_chance)
{
    static const char *const bare[] = {
        "0", "-0", "1.50", "1e5", "-12E-3", "123456789012345678901", "true", "false", "null"};
    struct node *node;
    const bool is_object = below(2) == 0;

    if (depth == 0 || below(10) >= object_chance) {
        if (below(3) == 0) {
            node = new_node(BARE);
            node->text = bare[below(ARRAY_LEN(bare))];
            return node;
        }
        return random_string();
    }
    node = new_node(is_object ? OBJECT : ARRAY);
    for (unsigned count = below(KIDS_MAX); count > 0; count--) {
        struct node *key = is_object ? (below(5) == 0 ? random_string() : random_key()) : NULL;

        if (key == NULL || !has_key(node, key)) {
            add_kid(node, key, random_value(depth - 1, object_chance));
        }
    }
    return node;
}

static struct node *random_piece(void)
{
    struct node *piece = new_node(PLACE);

    piece->variable = below(VARIABLES);
    return piece;
}

/* A string of a template: characters and placeholders. */
static struct node *random_pieces(void)
{
    struct node *node = new_node(STRING);

    node->has_pieces = true;
    for (unsigned count = below(KIDS_MAX); count > 0; count--) {
        add_kid(node, NULL, below(2) == 0 ? random_piece() : plain_string("x\\ \"y"));
    }
    return node;
}

static struct node *random_template(unsigned depth)
{
    struct node *node;
    const bool is_object = below(2) == 0;

    if (depth == 0 || below(4) == 0) {
        return below(3) == 0 ? random_pieces() : random_piece();
    }
    node = new_node(is_object ? OBJECT : ARRAY);
    for (unsigned count = below(KIDS_MAX); count > 0; count--) {
        struct node *key = is_object ? random_key() : NULL;

        if (key == NULL || !has_key(node, key)) {
            add_kid(node, key, random_template(depth - 1));
        }
    }
    return node;
}

/* ---- printing ------------------------------------------------------------------------------ */

static void put(struct buf *out, const char *text)
{
    CHECK(buf_append(out, slice_of(text)) == ERR_OK);
}

static void put_blank(struct buf *out)
{
    static const char *const blanks[] = {"", "", "", "", " ", "\n", "\t", " \r\n "};

    put(out, blanks[below(ARRAY_LEN(blanks))]);
}

static bool is_pair(const uint16_t *units, size_t left)
{
    return left >= 2 && units[0] >= 0xd800 && units[0] < 0xdc00 && units[1] >= 0xdc00 &&
           units[1] < 0xe000;
}

static void put_utf8(struct buf *out, uint32_t point)
{
    char bytes[4];
    size_t len = 0;

    if (point < 0x80) {
        bytes[len++] = (char)point;
    } else if (point < 0x800) {
        bytes[len++] = (char)(0xC0 | point >> 6);
    } else if (point < 0x10000) {
        bytes[len++] = (char)(0xE0 | point >> 12);
        bytes[len++] = (char)(0x80 | (point >> 6 & 0x3F));
    } else {
        bytes[len++] = (char)(0xF0 | point >> 18);
        bytes[len++] = (char)(0x80 | (point >> 12 & 0x3F));
        bytes[len++] = (char)(0x80 | (point >> 6 & 0x3F));
    }
    if (point >= 0x80) {
        bytes[len++] = (char)(0x80 | (point & 0x3F));
    }
    CHECK(buf_append(out, (struct slice){bytes, len}) == ERR_OK);
}

/* The characters as JSON writes them inside quotes, each in a spelling of its own. */
static void put_units(struct buf *out, const struct node *string)
{
    for (size_t i = 0; i < string->unit_count; i++) {
        const uint16_t unit = string->units[i];
        const bool must_escape =
            unit < 0x20 || unit == '"' || unit == '\\' || (unit >= 0xd800 && unit < 0xe000);

        if (is_pair(string->units + i, string->unit_count - i) && below(2) == 0) {
            put_utf8(out, 0x10000 + ((uint32_t)(unit - 0xd800) << 10) +
                              (string->units[i + 1] - 0xdc00u));
            i++;
        } else if ((unit == '"' || unit == '\\' || unit == '/') && below(2) == 0) {
            CHECK(buf_printf(out, "\\%c", unit) == ERR_OK);
        } else if (unit == '\n' && below(2) == 0) {
            put(out, "\\n");
        } else if (must_escape || below(6) == 0) {
            CHECK(buf_printf(out, below(2) == 0 ? "\\u%04x" : "\\u%04X", unit) == ERR_OK);
        } else {
            put_utf8(out, unit);
        }
    }
}

/* The pieces or characters of a string, inside its quotes.  Here placeholders get their brackets,
 * and characters of the template are printed so that no bracket of theirs makes a name. */
static void put_inside(struct buf *out, const struct node *node)
{
    if (!node->has_pieces) {
        put_units(out, node);
        return;
    }
    for (size_t i = 0; i < node->kid_count; i++) {
        if (node->kids[i]->kind == PLACE) {
            CHECK(buf_printf(out, "<v%u>", node->kids[i]->variable) == ERR_OK);
        } else {
            put_units(out, node->kids[i]);
        }
    }
}

static void put_node(struct buf *out, const struct node *node)
{
    put_blank(out);
    switch (node->kind) {
    case STRING:
        put(out, "\"");
        put_inside(out, node);
        put(out, "\"");
        break;
    case BARE:
        put(out, node->text);
        break;
    case PLACE:
        CHECK(buf_printf(out, "<v%u>", node->variable) == ERR_OK);
        break;
    case OBJECT:
    case ARRAY:
    default:
        put(out, node->kind == OBJECT ? "{" : "[");
        for (size_t i = 0; i < node->kid_count; i++) {
            put(out, i > 0 ? "," : "");
            if (node->kind == OBJECT) {
                put_node(out, node->keys[i]);
                put(out, ":");
            }
            put_node(out, node->kids[i]);
        }
        put_blank(out);
        put(out, node->kind == OBJECT ? "}" : "]");
        break;
    }
    put_blank(out);
}

/* ---- what is expected ---------------------------------------------------------------------- */

/* The variables: what their paths mean, said by hand. */
static const char *const variable_paths[VARIABLES] = {
    "$.detail.k0", "$.detail.k1",       "$.detail.k2.k0",      "$.detail.k3[1]",
    "$.detail",    "$.detail.k3[*].k1", "$.detail.k2.missing", "$.detail.k1.*",
};

static struct node *member(struct node *node, const char *name)
{
    struct node *key = plain_string(name);

    for (size_t i = 0; node != NULL && node->kind == OBJECT && i < node->kid_count; i++) {
        if (same_units(node->keys[i], key)) {
            return node->kids[i];
        }
    }
    return NULL;
}

static struct node *element(struct node *node, size_t index)
{
    return node != NULL && node->kind == ARRAY && index < node->kid_count ? node->kids[index]
                                                                          : NULL;
}

/* An array of the kids of `node`, or of each kid's member `name`. */
static struct node *all_of(struct node *node, const char *name)
{
    struct node *array = new_node(ARRAY);

    if (node == NULL) {
        return NULL;
    }
    for (size_t i = 0; (node->kind == OBJECT || node->kind == ARRAY) && i < node->kid_count; i++) {
        struct node *kid = name != NULL ? member(node->kids[i], name) : node->kids[i];

        if (kid != NULL) {
            add_kid(array, NULL, kid);
        }
    }
    return array;
}

static struct node *value_of(struct node *detail, unsigned variable)
{
    switch (variable) {
    case 0:
        return member(detail, "k0");
    case 1:
        return member(detail, "k1");
    case 2:
        return member(member(detail, "k2"), "k0");
    case 3:
        return element(member(detail, "k3"), 1);
    case 4:
        return detail;
    case 5:
        return all_of(member(detail, "k3"), "k1");
    case 6:
        return member(member(detail, "k2"), "missing");
    default:
        return all_of(member(detail, "k1"), NULL);
    }
}

struct units {
    uint16_t units[UNITS_MAX];
    size_t count;
};

static void add_unit(struct units *units, uint16_t unit)
{
    CHECK(units->count < UNITS_MAX);
    units->units[units->count++] = unit;
}

static void add_text(struct units *units, const char *text)
{
    for (; *text != '\0'; text++) {
        add_unit(units, (uint8_t)*text);
    }
}

/* A value as it stands inside quotes, containers without quotes of their own. */
static void add_bare(struct units *units, const struct node *node)
{
    if (node->kind == BARE) {
        add_text(units, node->text);
    } else if (node->kind == STRING) {
        for (size_t i = 0; i < node->unit_count; i++) {
            add_unit(units, node->units[i]);
        }
    } else {
        add_text(units, node->kind == OBJECT ? "{" : "[");
        for (size_t i = 0; i < node->kid_count; i++) {
            add_text(units, i > 0 ? "," : "");
            if (node->kind == OBJECT) {
                add_bare(units, node->keys[i]);
                add_text(units, ":");
            }
            add_bare(units, node->kids[i]);
        }
        add_text(units, node->kind == OBJECT ? "}" : "]");
    }
}

/* The string that pieces make; NULL where JSON does not allow it. */
static struct node *join_pieces(const struct node *node, struct node *detail, bool is_text)
{
    struct node *string = new_node(STRING);
    struct units *units = ARENA_NEW(&arena, struct units);

    for (size_t i = 0; i < node->kid_count; i++) {
        const bool is_place = node->kids[i]->kind == PLACE;
        const struct node *piece =
            is_place ? value_of(detail, node->kids[i]->variable) : node->kids[i];

        inserted += is_place ? 1 : 0;
        if (piece != NULL && !is_text && (piece->kind == OBJECT || piece->kind == ARRAY)) {
            return NULL;
        }
        if (piece != NULL) {
            add_bare(units, piece);
        }
    }
    string->units = units->units;
    string->unit_count = units->count;
    return string;
}

/* The template with values in it; NULL where it cannot be. */
static struct node *fill(const struct node *node, struct node *detail)
{
    struct node *filled;

    if (node->kind == PLACE) {
        filled = value_of(detail, node->variable);
        inserted++;
        return filled != NULL ? filled : plain_string("");
    }
    if (node->kind == STRING) {
        return join_pieces(node, detail, false);
    }
    filled = new_node(node->kind);
    for (size_t i = 0; i < node->kid_count; i++) {
        struct node *kid = fill(node->kids[i], detail);

        if (kid == NULL) {
            return NULL;
        }
        add_kid(filled, node->keys[i], kid);
    }
    return filled;
}

/* ---- reading back -------------------------------------------------------------------------- */

struct reader {
    const char *at;
    const char *end;
};

static bool skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && memchr(" \t\r\n", *reader->at, 4) != NULL) {
        reader->at++;
    }
    return reader->at < reader->end;
}

static bool take(struct reader *reader, char byte)
{
    if (!skip_blanks(reader) || *reader->at != byte) {
        return false;
    }
    reader->at++;
    return true;
}

static void read_escape(struct reader *reader, struct units *units)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char *found;

    assert_true(reader->end - reader->at >= 2);
    reader->at++;
    if (*reader->at == 'u') {
        char digits[5] = "";

        assert_true(reader->end - reader->at >= 5);
        memcpy(digits, reader->at + 1, 4);
        add_unit(units, (uint16_t)strtoul(digits, NULL, 16));
        reader->at += 5;
        return;
    }
    found = memchr(from, *reader->at, sizeof(from) - 1);
    assert_non_null(found);
    add_unit(units, (uint8_t)to[found - from]);
    reader->at++;
}

static void read_utf8(struct reader *reader, struct units *units)
{
    const uint8_t *bytes = (const uint8_t *)reader->at;
    const size_t len = bytes[0] < 0x80 ? 1 : bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
    uint32_t point = len == 1 ? bytes[0] : bytes[0] & (0x7Fu >> len);

    assert_true((size_t)(reader->end - reader->at) >= len);
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | (bytes[i] & 0x3Fu);
    }
    if (point >= 0x10000) {
        add_unit(units, (uint16_t)(0xd800 + ((point - 0x10000) >> 10)));
        point = 0xdc00 + ((point - 0x10000) & 0x3FF);
    }
    add_unit(units, (uint16_t)point);
    reader->at += len;
}

static struct node *read_string(struct reader *reader)
{
    struct node *node = new_node(STRING);
    struct units *units = ARENA_NEW(&arena, struct units);

    assert_true(take(reader, '"'));
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at == '\\') {
            read_escape(reader, units);
        } else {
            assert_true((uint8_t)*reader->at >= 0x20);
            read_utf8(reader, units);
        }
    }
    assert_true(take(reader, '"'));
    node->units = units->units;
    node->unit_count = units->count;
    return node;
}

static struct node *read_value(struct reader *reader)
{
    struct node *node;
    const char *begin;
    char close;

    assert_true(skip_blanks(reader));
    if (*reader->at == '"') {
        return read_string(reader);
    }
    if (*reader->at != '{' && *reader->at != '[') {
        begin = reader->at;
        while (reader->at < reader->end && memchr(",:]} \t\r\n", *reader->at, 8) == NULL) {
            reader->at++;
        }
        node = new_node(BARE);
        node->text = arena_cstr(&arena, (struct slice){begin, (size_t)(reader->at - begin)});
        return node;
    }
    node = new_node(*reader->at == '{' ? OBJECT : ARRAY);
    close = *reader->at == '{' ? '}' : ']';
    reader->at++;
    while (!take(reader, close)) {
        struct node *key = NULL;

        assert_true(node->kid_count == 0 || take(reader, ','));
        if (node->kind == OBJECT) {
            key = read_string(reader);
            assert_true(take(reader, ':'));
        }
        add_kid(node, key, read_value(reader));
    }
    return node;
}

static bool same(const struct node *a, const struct node *b)
{
    if (a->kind != b->kind || a->kid_count != b->kid_count) {
        return false;
    }
    if (a->kind == BARE) {
        return strcmp(a->text, b->text) == 0;
    }
    if (a->kind == STRING) {
        return same_units(a, b);
    }
    for (size_t i = 0; i < a->kid_count; i++) {
        if ((a->kind == OBJECT && !same_units(a->keys[i], b->keys[i])) ||
            !same(a->kids[i], b->kids[i])) {
            return false;
        }
    }
    return true;
}

/* ---- the rounds ---------------------------------------------------------------------------- */

struct round {
    uint64_t seed;
    struct buf template;
    struct buf event;
    struct buf out;
    struct node *detail;
};

static void complain(const struct round *round, const char *what)
{
    fail_msg("WEIR_SEED=%lu: %s\ntemplate %.*s\nevent %.*s\nrendered %.*s",
             (unsigned long)round->seed, what, SLICE_ARG(buf_slice(&round->template)),
             SLICE_ARG(buf_slice(&round->event)), SLICE_ARG(buf_slice(&round->out)));
}

static enum err render(struct round *round)
{
    static const char *const names[VARIABLES] = {"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"};
    struct transform_variable variables[VARIABLES];
    const struct transform *transform = NULL;
    struct err_why why = {.text = ""};
    struct transform_source source;

    for (size_t i = 0; i < VARIABLES; i++) {
        variables[i] = (struct transform_variable){slice_of(names[i]), slice_of(variable_paths[i])};
    }
    if (transform_compile_template(buf_slice(&round->template), variables, VARIABLES, &arena,
                                   &transform, &why) != ERR_OK) {
        complain(round, why.text);
    }
    source = (struct transform_source){
        .event = buf_slice(&round->event), .rule_arn = SLICE("arn"), .rule_name = SLICE("name")};
    return transform_render(transform, &source, &arena, &round->out, &why);
}

static void json_round(struct round *round)
{
    const struct node *template = random_template(3);
    const struct node *expected;
    struct reader reader;
    enum err err;

    while (template->kind == STRING) { /* that would be a text */
        template = random_template(3);
    }
    put_node(&round->template, template);
    expected = fill(template, round->detail);
    err = render(round);
    if ((expected == NULL) != (err == ERR_BAD_VALUE) || (err != ERR_OK && err != ERR_BAD_VALUE)) {
        complain(round, err_name(err));
    }
    if (err == ERR_OK) {
        reader = (struct reader){round->out.data, round->out.data + round->out.len};
        if (!same(read_value(&reader), expected) || skip_blanks(&reader)) {
            complain(round, "another tree");
        }
    }
}

static void text_round(struct round *round)
{
    struct node *lines[KIDS_MAX];
    const unsigned count = 1 + below(KIDS_MAX - 1);
    struct reader reader;

    for (unsigned i = 0; i < count; i++) {
        lines[i] = random_pieces();
        put(&round->template, i > 0 ? "\n" : "");
        put_node(&round->template, lines[i]);
    }
    if (render(round) != ERR_OK) {
        complain(round, "not rendered");
    }
    reader = (struct reader){round->out.data, round->out.data + round->out.len};
    for (unsigned i = 0; i < count; i++) {
        if (!same(read_value(&reader), join_pieces(lines[i], round->detail, true))) {
            complain(round, "another line");
        }
    }
    if (skip_blanks(&reader)) {
        complain(round, "another line at the end");
    }
}

static void test_values_stay_in_their_places(void **state)
{
    const char *seed = getenv("WEIR_SEED");
    struct round round;

    (void)state;
    round.seed = seed != NULL ? strtoull(seed, NULL, 10) : moment_now_ms();
    buf_init(&round.template, TRANSFORM_TEMPLATE_BYTES_MAX);
    buf_init(&round.event, OUTPUT_MAX);
    buf_init(&round.out, OUTPUT_MAX);
    print_message("WEIR_SEED=%lu\n", (unsigned long)round.seed);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct node *event = new_node(OBJECT);

        random_state = round.seed;
        do {
            round.detail = random_value(3, 6);
        } while (round.detail->kind != OBJECT);
        add_kid(event, plain_string("k0"), random_string());
        add_kid(event, plain_string("detail"), round.detail);
        put_node(&round.event, event);
        if (below(3) == 0) {
            text_round(&round);
        } else {
            json_round(&round);
        }
        buf_clear(&round.template);
        buf_clear(&round.event);
        buf_clear(&round.out);
        arena_reset(&arena);
        round.seed++;
    }
    assert_true(seed != NULL || inserted >= VALUES_MIN);
    print_message("%zu values inserted\n", inserted);
    buf_clean_up(&round.template);
    buf_clean_up(&round.event);
    buf_clean_up(&round.out);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_stay_in_their_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
