/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json.c - the JSON reader against the whole grammar of RFC 8259, row by row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "core/json.h"

#define BUF_MAX 65536

/* Goal:   every form that the grammar allows is accepted.
 * Method: one row per form; each is also accepted between blanks and inside an array. */
static void test_each_form_of_the_grammar_is_accepted(void **state)
{
    static const char *const rows[] = {
        "{}",
        "[]",
        "\"\"",
        "0",
        "-0",
        "true",
        "false",
        "null",
        "[[]]",
        "[{}]",
        "{\"\":0}",
        "{\"a\":1,\"b\":[1,2,{\"c\":null}],\"d\":{}}",
        "{\"a\":1,\"a\":2}",
        "[0,true,\"x\",null]",
        /* numbers */
        "1",
        "-1",
        "10",
        "1234567890",
        "0.0",
        "0.5",
        "-0.5",
        "1e5",
        "1E5",
        "1e+5",
        "1e-5",
        "0e0",
        "0.0e-0",
        "1.25E+07",
        "1e999999",
        "-1e-999999",
        "123456789012345678901234567890",
        "0.1234567890123456789012345678901",
        /* strings */
        "\"a\"",
        "\" \"",
        "\"/\"",
        "\"\x7f\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0000\"",
        "\"\\u00e9\\uABCD\\uabcd\"",
        "\"\\uD834\\uDD1E\"",
        "\"\\uD834\"",
        "\"\\uDD1E\"",
        "\"\\uDD1E\\uD834\"",
        "\"\\uD834\\u0041\"",
        "\"sixteen plain bytes and a few more\"",
        "\"fifteen bytes \\n then an escape\"",
        /* UTF-8 of every length and at the edges of each */
        "\"\xC2\x80\"",
        "\"\xDF\xBF\"",
        "\"\xE0\xA0\x80\"",
        "\"\xEC\xBF\xBF\"",
        "\"\xED\x9F\xBF\"",
        "\"\xEE\x80\x80\"",
        "\"\xEF\xBF\xBF\"",
        "\"\xEF\xBB\xBF\"",
        "\"\xF0\x90\x80\x80\"",
        "\"\xF4\x8F\xBF\xBF\"",
        "{\"\xE2\x82\xAC\":\"\xE2\x82\xAC\"}",
        /* blanks wherever they may stand */
        " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const char *const frames[] = {"%s", " \t\r\n%s\n\r\t ", "[%s]", "{\"k\":%s}"};

        for (size_t k = 0; k < ARRAY_LEN(frames); k++) {
            struct err_why why = {""};
            char text[256];

            /* a frame is a constant of this function */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(text, sizeof(text), frames[k], rows[i]);
#pragma GCC diagnostic pop
            if (json_check(slice_of(text), JSON_DEPTH_MAX, &why) != ERR_OK) {
                fail_msg("%s was refused: %s", text, why.text);
            }
        }
    }
}

struct refused_row {
    struct slice text;
    size_t position;
    const char *says; /* a part of the reason */
};

static const struct refused_row refused_rows[] = {
    {SLICE_INIT(""), 0, "ends too early"},
    {SLICE_INIT("  \n"), 3, "ends too early"},
    {SLICE_INIT("x"), 0, "expected a value"},
    {SLICE_INIT("'a'"), 0, "expected a value"},
    {SLICE_INIT("// c\n1"), 0, "expected a value"},
    {SLICE_INIT("\xEF\xBB\xBF{}"), 0, "byte order mark"},
    {SLICE_INIT("[\xEF\xBB\xBF]"), 1, "expected a value"},
    {SLICE_INIT("\xFE\xFF"), 0, "expected a value"},
    {SLICE_INIT("\0"), 0, "expected a value"},
    {SLICE_INIT("1\0"), 1, "nothing after"},
    {SLICE_INIT("\v1"), 0, "expected a value"},
    {SLICE_INIT("\xC2\xA0"
                "1"),
     0, "expected a value"},
    /* after the value */
    {SLICE_INIT("1 2"), 2, "nothing after"},
    {SLICE_INIT("{}{}"), 2, "nothing after"},
    {SLICE_INIT("{},"), 2, "nothing after"},
    {SLICE_INIT("[]]"), 2, "nothing after"},
    {SLICE_INIT("\"a\"b"), 3, "nothing after"},
    {SLICE_INIT("truer"), 4, "nothing after"},
    /* containers */
    {SLICE_INIT("["), 1, "ends too early"},
    {SLICE_INIT("{"), 1, "ends too early"},
    {SLICE_INIT("]"), 0, "expected a value"},
    {SLICE_INIT("}"), 0, "expected a value"},
    {SLICE_INIT("[1"), 2, "ends too early"},
    {SLICE_INIT("[1,"), 3, "ends too early"},
    {SLICE_INIT("[1,]"), 3, "expected a value"},
    {SLICE_INIT("[,1]"), 1, "expected a value"},
    {SLICE_INIT("[1,,2]"), 3, "expected a value"},
    {SLICE_INIT("[1 2]"), 3, "',' or ']'"},
    {SLICE_INIT("[1}"), 2, "',' or ']'"},
    {SLICE_INIT("[1:2]"), 2, "',' or ']'"},
    {SLICE_INIT("{1:2}"), 1, "a key in quotes"},
    {SLICE_INIT("{a:2}"), 1, "a key in quotes"},
    {SLICE_INIT("{,}"), 1, "a key in quotes"},
    {SLICE_INIT("{]"), 1, "a key in quotes"},
    {SLICE_INIT("[}"), 1, "expected a value"},
    {SLICE_INIT("{\"a\"}"), 4, "':' after a key"},
    {SLICE_INIT("{\"a\",1}"), 4, "':' after a key"},
    {SLICE_INIT("{\"a\" 1}"), 5, "':' after a key"},
    {SLICE_INIT("{\"a\":}"), 5, "expected a value"},
    {SLICE_INIT("{\"a\"::1}"), 5, "expected a value"},
    {SLICE_INIT("{\"a\":1,}"), 7, "a key in quotes"},
    {SLICE_INIT("{\"a\":1,2}"), 7, "a key in quotes"},
    {SLICE_INIT("{\"a\":1 \"b\":2}"), 7, "',' or '}'"},
    {SLICE_INIT("{\"a\":1]"), 6, "',' or '}'"},
    {SLICE_INIT("[{}"), 3, "ends too early"},
    /* literals */
    {SLICE_INIT("t"), 1, "ends too early"},
    {SLICE_INIT("tru"), 3, "ends too early"},
    {SLICE_INIT("[tru]"), 4, "true, false or null"},
    {SLICE_INIT("nul "), 3, "true, false or null"},
    {SLICE_INIT("fAlse"), 1, "true, false or null"},
    {SLICE_INIT("True"), 0, "expected a value"},
    {SLICE_INIT("NaN"), 0, "expected a value"},
    {SLICE_INIT("Infinity"), 0, "expected a value"},
    /* numbers */
    {SLICE_INIT("-"), 1, "ends too early"},
    {SLICE_INIT("-x"), 1, "digit after '-'"},
    {SLICE_INIT("--1"), 1, "digit after '-'"},
    {SLICE_INIT("-Infinity"), 1, "digit after '-'"},
    {SLICE_INIT("+1"), 0, "expected a value"},
    {SLICE_INIT(".5"), 0, "expected a value"},
    {SLICE_INIT("01"), 1, "begin with 0"},
    {SLICE_INIT("-01"), 2, "begin with 0"},
    {SLICE_INIT("00"), 1, "begin with 0"},
    {SLICE_INIT("1."), 2, "ends too early"},
    {SLICE_INIT("[1.]"), 3, "digit after '.'"},
    {SLICE_INIT("1.e5"), 2, "digit after '.'"},
    {SLICE_INIT("1e"), 2, "ends too early"},
    {SLICE_INIT("[1e]"), 3, "in the exponent"},
    {SLICE_INIT("[1e+]"), 4, "in the exponent"},
    {SLICE_INIT("1e+-1"), 3, "in the exponent"},
    {SLICE_INIT("1e5.5"), 3, "nothing after"},
    {SLICE_INIT("1.2.3"), 3, "nothing after"},
    {SLICE_INIT("0x1F"), 1, "nothing after"},
    {SLICE_INIT("1_000"), 1, "nothing after"},
    /* strings */
    {SLICE_INIT("\""), 1, "ends too early"},
    {SLICE_INIT("\"abc"), 4, "ends too early"},
    {SLICE_INIT("\"abc\\"), 5, "ends too early"},
    {SLICE_INIT("\"abc\\\""), 6, "ends too early"},
    {SLICE_INIT("\"\\x\""), 2, "unknown escape"},
    {SLICE_INIT("\"\\\0\""), 2, "unknown escape"},
    {SLICE_INIT("\"\\'\""), 2, "unknown escape"},
    {SLICE_INIT("\"\\U0041\""), 2, "unknown escape"},
    {SLICE_INIT("\"\\u\""), 3, "unknown escape"},
    {SLICE_INIT("\"\\u12\""), 5, "unknown escape"},
    {SLICE_INIT("\"\\u12G4\""), 5, "unknown escape"},
    {SLICE_INIT("\"\\u123"), 6, "ends too early"},
    {SLICE_INIT("\"a\nb\""), 2, "control byte"},
    {SLICE_INIT("\"a\tb\""), 2, "control byte"},
    {SLICE_INIT("\"a\0b\""), 2, "control byte"},
    {SLICE_INIT("\"twenty-five plain bytes..\x1f\""), 26, "control byte"},
    {SLICE_INIT("{\"a\x01\":1}"), 3, "control byte"},
    /* UTF-8 */
    {SLICE_INIT("\"\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xBF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xC0\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xC1\xBF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xC2\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xC2\x41\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xE0\x9F\xBF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xE2\x82\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xE2\x28\xA1\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xED\xA0\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xED\xBF\xBF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xF0\x8F\xBF\xBF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xF0\x90\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xF0\x90\x28\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xF4\x90\x80\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xF5\x80\x80\x80\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xFF\""), 1, "UTF-8"},
    {SLICE_INIT("\"\xE2\x82"), 1, "UTF-8"},
    {SLICE_INIT("{\"\xFF\":1}"), 2, "UTF-8"},
};

/* Goal:   everything else is refused, with what and where.
 * Method: one row per mistake: the offending byte and words of the reason. */
static void test_each_mistake_is_refused_with_what_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused_rows); i++) {
        const struct refused_row *row = &refused_rows[i];
        struct err_why why = {""};
        char where[32];

        (void)snprintf(where, sizeof(where), " at byte %zu ", row->position);
        if (json_check(row->text, JSON_DEPTH_MAX, &why) != ERR_BAD_JSON) {
            fail_msg("row %zu was accepted: %.*s", i, SLICE_ARG(row->text));
        }
        if (strstr(why.text, row->says) == NULL || strstr(why.text, where) == NULL) {
            fail_msg("row %zu, %.*s: expected \"%s\"%s, got \"%s\"", i, SLICE_ARG(row->text),
                     row->says, where, why.text);
        }
        assert_int_equal(json_check(row->text, JSON_DEPTH_MAX, NULL), ERR_BAD_JSON);
    }
}

static void test_a_fault_names_line_and_column(void **state)
{
    struct err_why why;

    (void)state;
    assert_int_equal(json_check(SLICE("{\n \"a\": 1,\n  x\n}"), 9, &why), ERR_BAD_JSON);
    assert_string_equal(why.text, "expected a key in quotes, at byte 13 (line 3, column 3)");
}

/* Goal:   a text cut anywhere is refused, and a token read before the cut is a token of the whole.
 * Method: every prefix of a text with every kind of token, in a copy of exactly its size so that
 *         reading past the end is seen. */
static void test_a_text_cut_at_any_byte_is_refused(void **state)
{
    static const char text[] = "{\"key \\u00e9\\n\":[-12.5e+10,true,false,null,\"\xE2\x82\xAC and "
                               "\xF0\x9F\x94\x92 text\"],"
                               "\"n\":{\"longer than sixteen bytes\":{}}}";

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        char *copy = xmalloc(len);

        memcpy(copy, text, len);
        if (json_check((struct slice){copy, len}, 9, NULL) != ERR_BAD_JSON) {
            fail_msg("the first %zu bytes were accepted", len);
        }
        xfree(copy);
    }
    assert_int_equal(json_check(slice_of(text), 9, NULL), ERR_OK);
}

static enum err check_nested(char open, char close, size_t depth, unsigned depth_max)
{
    char *text = xmalloc(depth * 2);
    enum err err;

    memset(text, open, depth);
    memset(text + depth, close, depth);
    err = json_check((struct slice){text, depth * 2}, depth_max, NULL);
    xfree(text);
    return err;
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(check_nested('[', ']', 1000, 1000), ERR_OK);
    assert_int_equal(check_nested('[', ']', 1001, 1000), ERR_BAD_JSON);
    assert_int_equal(check_nested('[', ']', 1000000, 1000), ERR_BAD_JSON);
    assert_int_equal(check_nested('[', ']', 3, 3), ERR_OK);
    assert_int_equal(check_nested('[', ']', 4, 3), ERR_BAD_JSON);
    assert_int_equal(check_nested('[', ']', 1, 0), ERR_BAD_JSON);
    assert_int_equal(json_check(SLICE("1"), 0, NULL), ERR_OK);
    /* siblings are not deeper */
    assert_int_equal(json_check(SLICE("[[],[],{\"a\":[]},[[]]]"), 3, NULL), ERR_OK);
}

/* Goal:   brackets close what they opened, at every depth.
 * Method: objects and arrays in turns, so that each bit of the stack is set and cleared. */
static void test_mixed_nesting_keeps_its_kinds(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, BUF_MAX);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(buf_append(&text, SLICE("{\"k\":[")), ERR_OK);
    }
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(buf_append(&text, SLICE("]}")), ERR_OK);
    }
    assert_int_equal(json_check(buf_slice(&text), 1000, NULL), ERR_OK);
    for (size_t i = 500 * 6; i < text.len; i++) {
        const char right = text.data[i];

        text.data[i] = right == ']' ? '}' : ']';
        assert_int_equal(json_check(buf_slice(&text), 1000, NULL), ERR_BAD_JSON);
        text.data[i] = right;
    }
    buf_clean_up(&text);
}

static void test_tokens_come_in_order_with_their_bytes(void **state)
{
    static const struct {
        enum json_type type;
        const char *raw;
        bool has_escapes;
    } rows[] = {
        {JSON_TYPE_OBJECT_BEGIN, "{", false}, {JSON_TYPE_KEY, "a\\n", true},
        {JSON_TYPE_ARRAY_BEGIN, "[", false},  {JSON_TYPE_NUMBER, "-1.50e2", false},
        {JSON_TYPE_STRING, "", false},        {JSON_TYPE_STRING, "\\u0041", true},
        {JSON_TYPE_TRUE, "true", false},      {JSON_TYPE_FALSE, "false", false},
        {JSON_TYPE_NULL, "null", false},      {JSON_TYPE_ARRAY_END, "]", false},
        {JSON_TYPE_KEY, "b", false},          {JSON_TYPE_OBJECT_BEGIN, "{", false},
        {JSON_TYPE_OBJECT_END, "}", false},   {JSON_TYPE_OBJECT_END, "}", false},
        {JSON_TYPE_END, "", false},           {JSON_TYPE_END, "", false},
    };
    struct json_reader reader;
    struct json_token token;

    (void)state;
    json_reader_init(
        &reader, SLICE("{ \"a\\n\":[-1.50e2, \"\",\"\\u0041\",true ,false,null],\"b\" :{}} "), 5);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (json_next(&reader, &token) != rows[i].type || token.type != rows[i].type ||
            !slice_eq(token.raw, slice_of(rows[i].raw)) ||
            token.has_escapes != rows[i].has_escapes) {
            fail_msg("token %zu is %d %.*s", i, (int)token.type, SLICE_ARG(token.raw));
        }
    }
}

static void test_an_error_stays(void **state)
{
    struct json_reader reader;
    struct json_token token;
    struct err_why why;

    (void)state;
    json_reader_init(&reader, SLICE("[1 x]"), 5);
    assert_int_equal(json_next(&reader, &token), JSON_TYPE_ARRAY_BEGIN);
    assert_int_equal(json_next(&reader, &token), JSON_TYPE_NUMBER);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(json_next(&reader, &token), JSON_TYPE_ERROR);
        assert_int_equal(reader.position, 3);
    }
    assert_int_equal(json_fault(&reader, &why), ERR_BAD_JSON);
    assert_string_equal(why.text, "expected ',' or ']', at byte 3 (line 1, column 4)");
}

/* Goal:   the text of one value, of any type, is cut out whole and reading goes on behind it. */
static void test_a_value_is_cut_out_whole(void **state)
{
    static const char *const rows[] = {
        "1",    "-2.5e3", "\"\"", "\"a\\\"b\"",       "true",
        "null", "{}",     "[]",   "[[1],{\"a\":[]}]", "{ \"a\" : \"}\" , \"b\":[1, 2] }",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_reader reader;
        struct json_token token;
        struct slice value;
        char text[128];

        (void)snprintf(text, sizeof(text), "{\"v\": %s ,\"next\":7}", rows[i]);
        json_reader_init(&reader, slice_of(text), 9);
        assert_int_equal(json_next(&reader, &token), JSON_TYPE_OBJECT_BEGIN);
        assert_int_equal(json_next(&reader, &token), JSON_TYPE_KEY);
        (void)json_next(&reader, &token);
        assert_int_equal(json_read_value(&reader, &token, &value), ERR_OK);
        if (!slice_eq(value, slice_of(rows[i]))) {
            fail_msg("%s was cut as %.*s", rows[i], SLICE_ARG(value));
        }
        assert_int_equal(json_next(&reader, &token), JSON_TYPE_KEY);
        assert_true(slice_eq(token.raw, SLICE("next")));
    }
}

static void test_a_value_that_breaks_is_an_error(void **state)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    (void)state;
    json_reader_init(&reader, SLICE("[1,{\"a\":x}]"), 9);
    assert_int_equal(json_next(&reader, &token), JSON_TYPE_ARRAY_BEGIN);
    assert_int_equal(json_read_value(&reader, &token, &value), ERR_BAD_JSON);
    assert_int_equal(reader.position, 8);
    assert_int_equal(json_next(&reader, &token), JSON_TYPE_ERROR);
    assert_int_equal(json_read_value(&reader, &token, &value), ERR_BAD_JSON);
}

static const struct {
    const char *raw;
    struct slice text;
} unescape_rows[] = {
    {"", SLICE_INIT("")},
    {"plain", SLICE_INIT("plain")},
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", SLICE_INIT("\"\\/\b\f\n\r\t")},
    {"a\\u0041z", SLICE_INIT("aAz")},
    {"\\u0000", SLICE_INIT("\0")},
    {"\\u00e9\\u20AC", SLICE_INIT("\xC3\xA9\xE2\x82\xAC")},
    {"\\uD83D\\uDD12!", SLICE_INIT("\xF0\x9F\x94\x92!")},
    {"\\udbff\\udfff", SLICE_INIT("\xF4\x8F\xBF\xBF")},
    {"\\ud800", SLICE_INIT("\xED\xA0\x80")},
    {"\\udfff", SLICE_INIT("\xED\xBF\xBF")},
    {"\\ud800x", SLICE_INIT("\xED\xA0\x80x")},
    {"\\ud800\\n", SLICE_INIT("\xED\xA0\x80\n")},
    {"\\ud800\\u0041", SLICE_INIT("\xED\xA0\x80"
                                  "A")},
    {"\\ud800\\ud800\\udc00", SLICE_INIT("\xED\xA0\x80\xF0\x90\x80\x80")},
    {"\\udc00\\ud800", SLICE_INIT("\xED\xB0\x80\xED\xA0\x80")},
    {"\\\\u0041", SLICE_INIT("\\u0041")},
    {"\xE2\x82\xAC\\t\xE2\x82\xAC", SLICE_INIT("\xE2\x82\xAC\t\xE2\x82\xAC")},
};

static void test_escapes_stand_for_their_characters(void **state)
{
    struct arena arena = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(unescape_rows); i++) {
        const struct slice raw = slice_of(unescape_rows[i].raw);
        const struct json_token token = {JSON_TYPE_STRING, raw, slice_find(raw, '\\') < raw.len};
        struct buf out;

        buf_init(&out, unescape_rows[i].text.len); /* exactly as much as is needed */
        assert_int_equal(json_unescape(raw, &out), ERR_OK);
        if (!slice_eq(buf_slice(&out), unescape_rows[i].text) ||
            !slice_eq(json_token_text(&token, &arena), unescape_rows[i].text)) {
            fail_msg("%s became %.*s", unescape_rows[i].raw, (int)out.len, out.data);
        }
        buf_clean_up(&out);
    }
    arena_clean_up(&arena);
}

static void test_unescaping_past_the_maximum_changes_nothing(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_int_equal(buf_append(&out, SLICE("ab")), ERR_OK);
    assert_int_equal(json_unescape(SLICE("\\u20ac"), &out), ERR_TOO_LARGE);
    assert_true(slice_eq(buf_slice(&out), SLICE("ab")));
    buf_clean_up(&out);
}

static void test_a_token_without_escapes_is_not_copied(void **state)
{
    struct arena arena = {0};
    const struct json_token token = {JSON_TYPE_KEY, SLICE("plain"), false};

    (void)state;
    assert_ptr_equal(json_token_text(&token, &arena).data, token.raw.data);
    assert_int_equal(arena.used_bytes, 0);
}

static void test_compacting_drops_blanks_between_tokens_only(void **state)
{
    static const struct {
        const char *text;
        const char *compact;
    } rows[] = {
        {"1", "1"},
        {" \t\r\n1 ", "1"},
        {"\" a  b \"", "\" a  b \""},
        {"{ \"a b\" : [ 1 , 2.50 , \"x \\\" y\" ] ,\n\t\"\\\\\" : { } }",
         "{\"a b\":[1,2.50,\"x \\\" y\"],\"\\\\\":{}}"},
        {"[\"\\\\\" , \"\\\\\\\"\" , \"\"]", "[\"\\\\\",\"\\\\\\\"\",\"\"]"},
        {"[ \"sixteen bytes and more \\\" and on\" ]", "[\"sixteen bytes and more \\\" and on\"]"},
        {"[ \"\xE2\x82\xAC \xE2\x82\xAC\" , true ]", "[\"\xE2\x82\xAC \xE2\x82\xAC\",true]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;

        buf_init(&out, strlen(rows[i].compact) + 1);
        assert_int_equal(buf_append(&out, SLICE(">")), ERR_OK);
        assert_int_equal(json_compact(slice_of(rows[i].text), &out), ERR_OK);
        if (!slice_eq(slice_from(buf_slice(&out), 1), slice_of(rows[i].compact))) {
            fail_msg("%s became %.*s", rows[i].text, (int)out.len, out.data);
        }
        buf_clean_up(&out);
    }
}

static void test_compacting_past_the_maximum_changes_nothing(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 6);
    assert_int_equal(buf_append(&out, SLICE("ab")), ERR_OK);
    assert_int_equal(json_compact(SLICE("[1, 22]"), &out), ERR_TOO_LARGE);
    assert_true(slice_eq(buf_slice(&out), SLICE("ab")));
    buf_clean_up(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_form_of_the_grammar_is_accepted),
        cmocka_unit_test(test_each_mistake_is_refused_with_what_and_where),
        cmocka_unit_test(test_a_fault_names_line_and_column),
        cmocka_unit_test(test_a_text_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_mixed_nesting_keeps_its_kinds),
        cmocka_unit_test(test_tokens_come_in_order_with_their_bytes),
        cmocka_unit_test(test_an_error_stays),
        cmocka_unit_test(test_a_value_is_cut_out_whole),
        cmocka_unit_test(test_a_value_that_breaks_is_an_error),
        cmocka_unit_test(test_escapes_stand_for_their_characters),
        cmocka_unit_test(test_unescaping_past_the_maximum_changes_nothing),
        cmocka_unit_test(test_a_token_without_escapes_is_not_copied),
        cmocka_unit_test(test_compacting_drops_blanks_between_tokens_only),
        cmocka_unit_test(test_compacting_past_the_maximum_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
