/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pattern_refusals.c - every way to get a pattern wrong, with EventBridge's sentence and
 * place.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/check.h"
#include "routing/pattern.h"

#define REASON "Event pattern is not valid. Reason: "

/* Rows use 'single quotes' where JSON has double ones. */
struct refusal {
    const char *pattern;
    const char *sentence;
    unsigned column; /* 0: no place is named */
    unsigned line;   /* 0 stands for 1 */
};

static char *double_quotes(const char *text, struct arena *arena)
{
    char *copy = arena_cstr(arena, slice_of(text));

    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return copy;
}

/* The whole message that a row promises. */
static struct slice expected_message(const struct refusal *row, const char *pattern,
                                     unsigned place_count, struct arena *arena)
{
    struct slice message = arena_printf(arena, REASON "%s", row->sentence);

    for (unsigned i = 0; i < place_count && row->column > 0; i++) {
        message =
            arena_printf(arena, "%.*s\n at [Source: (String)\"%s\"; line: %u, column: %u]",
                         SLICE_ARG(message), pattern, row->line > 0 ? row->line : 1, row->column);
    }
    return message;
}

static void check_refusals(const struct refusal *rows, size_t count, unsigned place_count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena arena = {0};
        const char *pattern = double_quotes(rows[i].pattern, &arena);
        const struct slice expected = expected_message(&rows[i], pattern, place_count, &arena);
        struct pattern *compiled = NULL;
        struct err_why why = {.text = ""};

        if (pattern_compile_plain(slice_of(pattern), &compiled, &why) != ERR_BAD_PATTERN) {
            fail_msg("%s: accepted, expected \"%s\"", pattern, rows[i].sentence);
        }
        assert_null(compiled);
        if (!slice_eq(slice_of(why.text), expected)) {
            fail_msg("%s\ngot      %s\nexpected %.*s", pattern, why.text, SLICE_ARG(expected));
        }
        arena_clean_up(&arena);
    }
}

/* Goal:   the messages are the service's, letter by letter.
 * Method: rows recorded from TestEventPattern. */
static void test_recorded_places(void **state)
{
    static const struct refusal rows[] = {
        {"{'int': 42}", "\"int\" must be an object or an array", 11, 0},
        {"{'string': 'my-value'}", "\"string\" must be an object or an array", 13, 0},
        {"{'resources': []}", "Empty arrays are not allowed", 17, 0},
        {"{'my_key': [{'EXISTS': true}]}", "Unrecognized match type EXISTS", 28, 0},
        {"{'time': [{'prefix': ['2022-07-13']}]}", "prefix match pattern must be a string", 23, 0},
        {"{'detail': {'c-count': [{'numeric': ['>', 0, '>', 0]}]}}",
         "Bad numeric range operator: >", 49, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_structure(void **state)
{
    static const struct refusal rows[] = {
        {"[]", "Filter is not an object", 2, 0},
        {"'x'", "Filter is not an object", 2, 0},
        {"12", "Filter is not an object", 3, 0},
        {"null", "Filter is not an object", 5, 0},
        {"", "Filter is not an object", 1, 0},
        {"  ", "Filter is not an object", 3, 0},
        {"{}", "Empty objects are not allowed", 3, 0},
        {"{'a':{}}", "Empty objects are not allowed", 8, 0},
        {"{'a':[]}", "Empty arrays are not allowed", 8, 0},
        {"{'a':null}", "\"a\" must be an object or an array", 10, 0},
        {"{'a':true}", "\"a\" must be an object or an array", 10, 0},
        {"{'a':1.5 }", "\"a\" must be an object or an array", 9, 0},
        {"{'a':[[1]]}", "Match value must be String, number, true, false, or null", 8, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_text_behind_the_pattern_is_refused(void **state)
{
    static const char *const rows[] = {"{\"a\":[1]} x", "{\"a\":[1]}{\"b\":[2]}", "{\"a\":[1]},",
                                       "{\"a\":[1]}]", "{\"a\":[1]} 1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pattern *pattern;

        assert_int_equal(pattern_compile(slice_of(rows[i]), &pattern, NULL), ERR_BAD_PATTERN);
    }
}

static void test_operators(void **state)
{
    static const struct refusal rows[] = {
        {"{'a':[{}]}", "Match expression name not found", 9, 0},
        {"{'a':[{'nope':1}]}", "Unrecognized match type nope", 16, 0},
        {"{'a':[{'Prefix':'x'}]}", "Unrecognized match type Prefix", 18, 0},
        {"{'a':[{'NUMERIC': ['=',1]}]}", "Unrecognized match type NUMERIC", 20, 0},
        {"{'a':[{'in-list':'partners'}]}", "Unrecognized match type in-list", 19, 0},
        {"{'a':[{'anything-but':{'in-list':'partners'}}]}",
         "Unsupported anything-but pattern: in-list", 35, 0},
        {"{'a':[{'prefix':1}]}", "prefix match pattern must be a string", 18, 0},
        {"{'a':[{'suffix':null}]}", "suffix match pattern must be a string", 21, 0},
        {"{'a':[{'suffix':['x']}]}", "suffix match pattern must be a string", 18, 0},
        {"{'a':[{'wildcard':1}]}", "wildcard match pattern must be a string", 20, 0},
        {"{'a':[{'wildcard':['x']}]}", "wildcard match pattern must be a string", 20, 0},
        {"{'a':[{'equals-ignore-case':['x']}]}",
         "equals-ignore-case match pattern must be a string", 30, 0},
        {"{'a':[{'exactly':1}]}", "exact match pattern must be a string", 19, 0},
        {"{'a':[{'cidr':1}]}", "prefix match pattern must be a string", 16, 0},
        {"{'a':[{'exists':'true'}]}", "exists match pattern must be either true or false.", 18, 0},
        {"{'a':[{'exists':null}]}", "exists match pattern must be either true or false.", 21, 0},
        /* a second key: the reader has taken its value's first token */
        {"{'a':[{'prefix':'x','suffix':'y'}]}", "Only one key allowed in match expression", 31, 0},
        {"{'a':[{'suffix':'x','b':1}]}", "Only one key allowed in match expression", 26, 0},
        {"{'a':[{'exactly':'x','b':[]}]}", "Only one key allowed in match expression", 27, 0},
        {"{'a':[{'exists':true,'b':1}]}", "Only one key allowed in match expression", 27, 0},
        {"{'a':[{'cidr':'10.0.0.0/8','b':1}]}", "Only one key allowed in match expression", 33, 0},
        {"{'a':[{'wildcard':'x','b':1}]}", "Only one key allowed in match expression", 28, 0},
        {"{'a':[{'equals-ignore-case':'x','b':1}]}", "Only one key allowed in match expression", 38,
         0},
        {"{'a':[{'prefix':{}}]}", "Prefix expression name not found", 19, 0},
        {"{'a':[{'suffix':{}}]}", "Suffix expression name not found", 19, 0},
        {"{'a':[{'prefix':{'suffix':'x'}}]}", "Unsupported prefix pattern: suffix", 28, 0},
        {"{'a':[{'suffix':{'wildcard':'x'}}]}", "Unsupported suffix pattern: wildcard", 30, 0},
        {"{'a':[{'prefix':{'equals-ignore-case':1}}]}",
         "equals-ignore-case match pattern must be a string", 40, 0},
        {"{'a':[{'prefix':{'equals-ignore-case':'x','b':1}}]}",
         "Only one key allowed in match expression", 48, 0},
        {"{'a':[{'prefix':{'equals-ignore-case':'x'},'b':1}]}",
         "Only one key allowed in match expression", 49, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_wildcards(void **state)
{
    static const struct refusal rows[] = {
        {"{'a':[{'wildcard':'**'}]}", "Consecutive wildcard characters at pos 1", 23, 0},
        {"{'a':[{'wildcard':'a**'}]}", "Consecutive wildcard characters at pos 2", 24, 0},
        {"{'a':[{'wildcard':'\\\\a'}]}", "Invalid escape character at pos 1", 24, 0},
        {"{'a':[{'wildcard':'a\\\\'}]}", "Invalid escape character at pos 2", 24, 0},
        {"{'a':[{'anything-but':{'wildcard':'**'}}]}", "Consecutive wildcard characters at pos 1",
         39, 0},
        {"{'a':[{'anything-but':{'wildcard':['**']}}]}", "Consecutive wildcard characters at pos 1",
         41, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_numeric(void **state)
{
    static const struct refusal rows[] = {
        {"{'a':[{'numeric':5}]}", "Value of numeric must be an array.", 19, 0},
        {"{'a':[{'numeric':'>'}]}", "Value of numeric must be an array.", 19, 0},
        {"{'a':[{'numeric':[]}]}", "Invalid member in numeric match: ]", 20, 0},
        {"{'a':[{'numeric':[5]}]}", "Invalid member in numeric match: 5", 20, 0},
        {"{'a':[{'numeric':[null]}]}", "Invalid member in numeric match: null", 23, 0},
        {"{'a':[{'numeric':[{}]}]}", "Invalid member in numeric match: {", 20, 0},
        {"{'a':[{'numeric':[[]]}]}", "Invalid member in numeric match: [", 20, 0},
        {"{'a':[{'numeric':[true]}]}", "Invalid member in numeric match: true", 23, 0},
        {"{'a':[{'numeric':[false]}]}", "Invalid member in numeric match: false", 24, 0},
        {"{'a':[{'numeric':['>',0,{}]}]}", "Bad value in numeric range: {", 26, 0},
        /* the operator is judged after the token behind it was taken */
        {"{'a':[{'numeric':['!=',5]}]}", "Unrecognized numeric range operator: !=", 25, 0},
        {"{'a':[{'numeric':['!=']}]}", "Unrecognized numeric range operator: !=", 24, 0},
        {"{'a':[{'numeric':['=','5']}]}", "Value of equals must be numeric", 24, 0},
        {"{'a':[{'numeric':['>=',null]}]}", "Value of >= must be numeric", 28, 0},
        {"{'a':[{'numeric':['>','5']}]}", "Value of > must be numeric", 24, 0},
        {"{'a':[{'numeric':['<=']}]}", "Value of <= must be numeric", 24, 0},
        {"{'a':[{'numeric':['<',true]}]}", "Value of < must be numeric", 27, 0},
        {"{'a':[{'numeric':['>',0,5]}]}", "Bad value in numeric range: 5", 26, 0},
        {"{'a':[{'numeric':['>',0,null]}]}", "Bad value in numeric range: null", 29, 0},
        {"{'a':[{'numeric':['>',0,'=',5]}]}", "Bad numeric range operator: =", 28, 0},
        {"{'a':[{'numeric':['>',0,'<','5']}]}", "Value of < must be numeric", 30, 0},
        {"{'a':[{'numeric':['>',0,'<=']}]}", "Value of <= must be numeric", 30, 0},
        {"{'a':[{'numeric':['>',0,'<',5,6]}]}", "Too many terms in numeric range expression", 32,
         0},
        {"{'a':[{'numeric':['=',0,1]}]}", "Too many elements in numeric expression", 26, 0},
        {"{'a':[{'numeric':['<',5,'>',0]}]}", "Too many elements in numeric expression", 26, 0},
        {"{'a':[{'numeric':['<=',5,'>',0]}]}", "Too many elements in numeric expression", 27, 0},
        {"{'a':[{'numeric':['=',0],'b':1}]}", "Too many elements in numeric expression", 31, 0},
        {"{'a':[{'numeric':['>',5,'<',5]}]}", "Bottom must be less than top", 31, 0},
        {"{'a':[{'numeric':['>=',5,'<=',5]}]}", "Bottom must be less than top", 33, 0},
        {"{'a':[{'numeric':['>',6,'<',5]}]}", "Bottom must be less than top", 31, 0},
        {"{'a':[{'numeric':['=',9007199254740993]}]}", "Cannot compare number : 9007199254740993",
         40, 0},
        {"{'a':[{'numeric':['>',1e400]}]}", "Cannot compare number : 1e400", 29, 0},
        {"{'a':[{'numeric':['>',0,'<',1e400]}]}", "Cannot compare number : 1e400", 35, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_cidr_names_no_place(void **state)
{
    static const struct refusal rows[] = {
        {"{'a':[{'cidr':'10.0.0.0'}]}", "Malformed CIDR, one '/' required", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/'}]}", "Malformed CIDR, one '/' required", 0, 0},
        {"{'a':[{'cidr':''}]}", "Malformed CIDR, one '/' required", 0, 0},
        {"{'a':[{'cidr':'/'}]}", "Malformed CIDR, one '/' required", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/8/9'}]}", "Malformed CIDR, one '/' required", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/x'}]}", "Malformed CIDR, mask bits must be an integer", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/ 8'}]}", "Malformed CIDR, mask bits must be an integer", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/2147483648'}]}", "Malformed CIDR, mask bits must be an integer",
         0, 0},
        {"{'a':[{'cidr':'10.0.0.0/-1'}]}", "Malformed CIDR, mask bits must not be negative", 0, 0},
        {"{'a':[{'cidr':'10.0.0.0/32'}]}", "IPv4 mask bits must be < 32", 0, 0},
        {"{'a':[{'cidr':'2001:db8::/128'}]}", "IPv6 mask bits must be < 128", 0, 0},
        {"{'a':[{'cidr':'xx.11.xx/8'}]}", "Nonstandard IP address: xx.11.xx", 0, 0},
        {"{'a':[{'cidr':'/8'}]}", "Nonstandard IP address: ", 0, 0},
        {"{'a':[{'cidr':'300.0.0.1/8'}]}", "Invalid IP address: 300.0.0.1", 0, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

static void test_anything_but(void **state)
{
    static const char value[] =
        "Value of anything-but must be an array or single string/number value.";
    static const struct refusal rows[] = {
        {"{'a':[{'anything-but':null}]}", value, 27, 0},
        {"{'a':[{'anything-but':true}]}", value, 27, 0},
        {"{'a':[{'anything-but':{'prefix':{}}}]}", value, 34, 0},
        {"{'a':[{'anything-but':{'prefix':null}}]}", value, 37, 0},
        {"{'a':[{'anything-but':{}}]}", "Anything-But expression name not found", 25, 0},
        {"{'a':[{'anything-but':{'numeric':['=',1]}}]}",
         "Unsupported anything-but pattern: numeric", 35, 0},
        {"{'a':[{'anything-but':{'cidr':'10.0.0.0/8'}}]}", "Unsupported anything-but pattern: cidr",
         32, 0},
        {"{'a':[{'anything-but':{'exists':true}}]}", "Unsupported anything-but pattern: exists", 37,
         0},
        {"{'a':[{'anything-but':[]}]}",
         "Inside anything but list, either all values are number or string, mixed type is not "
         "supported",
         25, 0},
        {"{'a':[{'anything-but':['x',1]}]}",
         "Inside anything but list, either all values are number or string, mixed type is not "
         "supported",
         30, 0},
        {"{'a':[{'anything-but':[9007199254740993]}]}", "Cannot compare number : 9007199254740993",
         40, 0},
        {"{'a':[{'anything-but':{'prefix':''}}]}", "Null prefix/suffix not allowed", 35, 0},
        {"{'a':[{'anything-but':{'suffix':''}}]}", "Null prefix/suffix not allowed", 35, 0},
        {"{'a':[{'anything-but':{'prefix':1}}]}", "prefix/suffix match pattern must be a string",
         34, 0},
        {"{'a':[{'anything-but':{'wildcard':1}}]}", "wildcard match pattern must be a string", 36,
         0},
        {"{'a':[{'anything-but':{'equals-ignore-case':1}}]}",
         "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
         46, 0},
        {"{'a':[{'anything-but':'x','b':1}]}", "Too many elements in numeric expression", 32, 0},
        {"{'a':[{'anything-but':{'prefix':'x','b':1}}]}", "Too many elements in numeric expression",
         42, 0},
        {"{'a':[{'anything-but':{'prefix':'x'},'b':1}]}", "Too many elements in numeric expression",
         43, 0},
        /* accepted by EventBridge's check, and fatal to it afterwards */
        {"{'a':[{'anything-but':{'prefix':[]}}]}", "Empty arrays are not allowed", 35, 0},
        {"{'a':[{'anything-but':{'wildcard':[]}}]}", "Empty arrays are not allowed", 37, 0},
    };
    static const struct refusal bare[] = {
        {"{'a':[{'anything-but':9007199254740993}]}", "Cannot compare number : 9007199254740993", 0,
         0},
    };
    static const struct refusal twice[] = {
        {"{'a':[{'anything-but':[null]}]}",
         "Inside anything but list, start|null|boolean is not supported.", 28, 0},
        {"{'a':[{'anything-but':['x',true]}]}",
         "Inside anything but list, start|null|boolean is not supported.", 32, 0},
        {"{'a':[{'anything-but':[['x']]}]}",
         "Inside anything but list, start|null|boolean is not supported.", 25, 0},
        {"{'a':[{'anything-but':{'prefix':['x',1]}}]}",
         "prefix/suffix match pattern must be a string", 39, 0},
        {"{'a':[{'anything-but':{'suffix':['']}}]}", "Null prefix/suffix not allowed", 36, 0},
        {"{'a':[{'anything-but':{'wildcard':[null]}}]}", "wildcard match pattern must be a string",
         40, 0},
        {"{'a':[{'anything-but':{'equals-ignore-case':[1]}}]}",
         "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
         47, 0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
    check_refusals(bare, ARRAY_LEN(bare), 1);
    check_refusals(twice, ARRAY_LEN(twice), 2);
}

static void test_or(void **state)
{
    static const struct refusal rows[] = {
        {"{'$or':{'a':[1]}}", "It must be an Array followed with $or.", 9, 0},
        {"{'$or':'x'}", "It must be an Array followed with $or.", 9, 0},
        {"{'$or':['x']}", "Only JSON object is allowed in array of $or relationship.", 10, 0},
        {"{'$or':[[1]]}", "Only JSON object is allowed in array of $or relationship.", 10, 0},
        {"{'$or':[]}", "There must have at least 2 Objects in $or relationship.", 10, 0},
        {"{'$or':[{'a':[1]}]}", "There must have at least 2 Objects in $or relationship.", 19, 0},
        {"{'$or':[{},{'a':[1]}]}", "Empty objects are not allowed", 11, 0},
        {"{'$or':[{'prefix':'x'},{'a':[1]}]}",
         "prefix is Ruler reserved fieldName which cannot be used inside $or.", 20, 0},
        {"{'$or':[{'b':{'numeric':['=',1]}},{'a':[1]}]}",
         "numeric is Ruler reserved fieldName which cannot be used inside $or.", 26, 0},
        {"{'$or':[{'<':[1]},{'a':[1]}]}",
         "< is Ruler reserved fieldName which cannot be used inside $or.", 15, 0},
        {"{'$or':[{'ip-address-not-in-range':[1]},{'a':[1]}]}",
         "ip-address-not-in-range is Ruler reserved fieldName which cannot be used inside $or.", 37,
         0},
        {"{'$or':[{'not-equals-ignore-case':true},{'a':[1]}]}",
         "not-equals-ignore-case is Ruler reserved fieldName which cannot be used inside $or.", 39,
         0},
    };

    (void)state;
    check_refusals(rows, ARRAY_LEN(rows), 1);
}

/* Sentences of the Jackson parser. */
static void test_syntax(void **state)
{
    static const char wanted[] =
        "Unrecognized token 'this': was expecting (JSON String, Number, Array, Object or token "
        "'null', 'true' or 'false')";
    struct arena arena = {0};
    const struct {
        const char *pattern;
        const char *sentence;
        unsigned column;
        unsigned line;
    } rows[] = {
        {"this is not json", wanted, 5, 0},
        {"{\"a\": this}", wanted, 11, 0},
        {"{'a': 1}",
         "Unexpected character (''' (code 39)): was expecting double-quote to start field name", 3,
         0},
        {"{a: 1}",
         "Unexpected character ('a' (code 97)): was expecting double-quote to start field name", 3,
         0},
        {"{\"a\":[1],}",
         "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
         11, 0},
        {"{\"a\" [1]}",
         "Unexpected character ('[' (code 91)): was expecting a colon to separate field name and "
         "value",
         7, 0},
        {"{\"a\":[1 2]}",
         "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 10,
         0},
        {"{\"a\":[1]\n \"b\":[2]}",
         "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 3,
         2},
        {"{\"a\":[1,]}",
         "Unexpected character (']' (code 93)): expected a valid value (JSON String, Number, "
         "Array, "
         "Object or token 'null', 'true' or 'false')",
         10, 0},
        {"{\"a\":[01]}", "Invalid numeric value: Leading zeroes not allowed", 8, 0},
        {"{\"a\":[1.]}",
         "Unexpected character (']' (code 93)) in numeric value: Decimal point not followed by a "
         "digit",
         10, 0},
        {"{\"a\":[1e]}",
         "Unexpected character (']' (code 93)) in numeric value: Exponent indicator not followed "
         "by "
         "a digit",
         10, 0},
        {"{\"a\":[-]}",
         "Unexpected character (']' (code 93)) in numeric value: expected digit (0-9) to follow "
         "minus sign, for valid numeric value",
         9, 0},
        {"{\"a\":[tru]}",
         "Unrecognized token 'tru': was expecting (JSON String, Number, Array, Object or token "
         "'null', 'true' or 'false')",
         10, 0},
        {"{\"a\":[nulls]}",
         "Unrecognized token 'nulls': was expecting (JSON String, Number, Array, Object or token "
         "'null', 'true' or 'false')",
         12, 0},
        {"{\"a\":[\"x", "Unexpected end-of-input: was expecting closing quote for a string value",
         9, 0},
        {"{\"a", "Unexpected end-of-input in field name", 4, 0},
        {"{\"a\":", "Unexpected end-of-input within/between Object entries", 6, 0},
        {"{\"a\"", "Unexpected end-of-input within/between Object entries", 5, 0},
        {"{\"a\":[\"\\", "Unexpected end-of-input in character escape sequence", 9, 0},
        {"{\"a\":[\"\\u00", "Unexpected end-of-input in character escape sequence", 12, 0},
        {"{\"a\":[1.", "Unexpected end-of-input in number", 9, 0},
        {"{\"a\":[1e+]}",
         "Unexpected character (']' (code 93)) in numeric value: Exponent indicator not followed "
         "by "
         "a digit",
         11, 0},
        {"{\"a\":[1]\xe2\x82\xac}",
         "Unexpected character ('\xe2\x82\xac' (code 8364 / 0x20ac)): was expecting comma to "
         "separate "
         "Object entries",
         10, 0},
        {"{\"a\":[1]\xc3\xa9}",
         "Unexpected character ('\xc3\xa9' (code 233)): was expecting comma to separate Object "
         "entries",
         10, 0},
        {"{\"a\":[1]\xf0\x9f\x98\x80}",
         "Unexpected character ('\xf0\x9f\x98\x80' (code 55357 / 0xd83d)): was expecting comma to "
         "separate Object entries",
         11, 0},
        {"{\"a\":[;]}",
         "Unexpected character (';' (code 59)): expected a valid value (JSON String, Number, "
         "Array, "
         "Object or token 'null', 'true' or 'false')",
         8, 0},
        {"{\"a\":[1,", "Unexpected end-of-input within/between Array entries", 9, 0},
        {"{\"a\":[\"\\q\"]}", "Unrecognized character escape 'q' (code 113)", 10, 0},
        {"{\"a\":[\"\\u00g0\"]}",
         "Unexpected character ('g' (code 103)): expected a hex-digit for character escape "
         "sequence",
         13, 0},
        {"{\"a\":[\"\t\"]}",
         "Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash to "
         "be "
         "included in string value",
         9, 0},
        {"{\"\t\":[1]}",
         "Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash to "
         "be "
         "included in name",
         4, 0},
        {"{/**/\"a\":[1]}",
         "Unexpected character ('/' (code 47)): maybe a (non-standard) comment? (not recognized as "
         "one since Feature 'ALLOW_COMMENTS' not enabled for parser)",
         3, 0},
        {"{\"a\":[\xe2\x82\xac]}",
         "Unrecognized token '\xe2\x82\xac': was expecting (JSON String, Number, Array, Object or "
         "token 'null', 'true' or 'false')",
         8, 0},
        /* columns count UTF-16 units: the face is two */
        {"{\"\xf0\x9f\x98\x80\": 1}", "\"\xf0\x9f\x98\x80\" must be an object or an array", 9, 0},
        {"{\r\n \"b\":\n 1}", "\"b\" must be an object or an array", 3, 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pattern *pattern;
        struct err_why why = {.text = ""};
        char quoted[128];
        size_t len = 0;
        struct slice expected;

        /* control characters are escaped where the pattern is quoted, line ends are not */
        for (const char *at = rows[i].pattern; *at != '\0'; at++) {
            len += (size_t)snprintf(quoted + len, sizeof(quoted) - len,
                                    *at == '\t' ? "\\u%04X" : "%c", *at);
        }
        expected = arena_printf(
            &arena, REASON "%s\n at [Source: (String)\"%s\"; line: %u, column: %u]",
            rows[i].sentence, quoted, rows[i].line > 0 ? rows[i].line : 1, rows[i].column);
        assert_int_equal(pattern_compile(slice_of(rows[i].pattern), &pattern, &why),
                         ERR_BAD_PATTERN);
        if (!slice_eq(slice_of(why.text), expected)) {
            fail_msg("%s\ngot      %s\nexpected %.*s", rows[i].pattern, why.text,
                     SLICE_ARG(expected));
        }
    }
    arena_clean_up(&arena);
}

static void test_control_characters_are_escaped_where_they_are_quoted(void **state)
{
    struct pattern *pattern;
    struct err_why why;

    (void)state;
    assert_int_equal(pattern_compile(SLICE("{\"a\":[1]\x7f}"), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(
        why.text,
        REASON "Unexpected character ((CTRL-CHAR, code 127)): was expecting comma to "
               "separate Object entries\n at [Source: (String)\"{\"a\":[1]\\u007F}\"; line: "
               "1, column: 10]");
    assert_int_equal(pattern_compile(SLICE("{\x01}"), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON
                        "Illegal character ((CTRL-CHAR, code 1)): only regular white space (\\r, "
                        "\\n, \\t) is allowed between tokens\n at [Source: "
                        "(String)\"{\\u0001}\"; line: 1, column: 3]");
}

static void test_open_brackets_name_where_they_opened(void **state)
{
    struct pattern *pattern;
    struct err_why why;

    (void)state;
    assert_int_equal(pattern_compile(SLICE("{\"a\": [1"), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON
                        "Unexpected end-of-input: expected close marker for Array (start marker at "
                        "[Source: (String)\"{\"a\": [1\"; line: 1, column: 7])\n at [Source: "
                        "(String)\"{\"a\": [1\"; line: 1, column: 9]");
    assert_int_equal(pattern_compile(SLICE("{\"a\": [1}"), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON
                        "Unexpected close marker '}': expected ']' (for Array starting at "
                        "[Source: (String)\"{\"a\": [1}\"; line: 1, column: 7])\n at [Source: "
                        "(String)\"{\"a\": [1}\"; line: 1, column: 10]");
}

static void test_long_patterns_are_quoted_in_part(void **state)
{
    struct buf text;
    struct pattern *pattern;
    struct err_why why;

    (void)state;
    buf_init(&text, PATTERN_BYTES_MAX);
    assert_int_equal(buf_printf(&text, "{\"%0600d\":1}", 0), ERR_OK);
    assert_int_equal(pattern_compile(buf_slice(&text), &pattern, &why), ERR_BAD_PATTERN);
    assert_non_null(strstr(why.text, "000\"[truncated 106 chars]; line: 1, column: 606]"));
    buf_clean_up(&text);
}

static void test_limits(void **state)
{
    static const struct refusal complexity[] = {
        {"{'a':[{'wildcard':'*:*:*:*:*:event-bus/*'}]}",
         "Rule is too complex - try using fewer wildcard characters or fewer repeating character "
         "sequences after a wildcard character",
         0, 0},
        {"{'a':[{'wildcard':'*a*'},{'wildcard':'*b*'},{'wildcard':'*c*'},{'anything-but':"
         "{'wildcard':['*d*','*e*']}}]}",
         "Rule is too complex - try using fewer wildcard characters or fewer repeating character "
         "sequences after a wildcard character",
         0, 0},
        /* alternatives of one path are tried on one value together */
        {"{'$or':[{'a':[{'wildcard':'*x*y*z'},{'wildcard':'x*y'}]},{'a':[{'wildcard':'*x*y*w'},"
         "{'wildcard':'*y*v'}]}]}",
         "Rule is too complex - try using fewer wildcard characters or fewer repeating character "
         "sequences after a wildcard character",
         0, 0},
    };
    struct buf text;
    struct pattern *pattern;
    struct err_why why;

    (void)state;
    check_refusals(complexity, ARRAY_LEN(complexity), 1);
    buf_init(&text, 2 * PATTERN_BYTES_MAX);
    /* 257 paths */
    assert_int_equal(buf_append_byte(&text, '{'), ERR_OK);
    for (unsigned i = 0; i < 257; i++) {
        assert_int_equal(buf_printf(&text, "%s\"%x\":[1]", i > 0 ? "," : "", i), ERR_OK);
    }
    assert_int_equal(buf_append_byte(&text, '}'), ERR_OK);
    assert_int_equal(pattern_compile(buf_slice(&text), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON "The rule names 257 fields, more than 256");
    /* 1,024 combinations */
    buf_clear(&text);
    assert_int_equal(buf_append_byte(&text, '{'), ERR_OK);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(
            buf_printf(&text, "%s\"$or\":[{\"a%u\":[1]},{\"b%u\":[1]}]", i > 0 ? "," : "", i, i),
            ERR_OK);
    }
    assert_int_equal(buf_append_byte(&text, '}'), ERR_OK);
    assert_int_equal(pattern_compile(buf_slice(&text), &pattern, &why), ERR_BAD_PATTERN);
    assert_non_null(strstr(why.text, "$or makes more than 1000 combinations"));
    /* two alternatives of 512 combinations each */
    buf_clear(&text);
    assert_int_equal(buf_printf(&text, "{\"$or\":["), ERR_OK);
    for (unsigned alternative = 0; alternative < 2; alternative++) {
        assert_int_equal(
            buf_printf(&text, "%s{\"x\":[%u]", alternative > 0 ? "," : "", alternative), ERR_OK);
        for (unsigned i = 0; i < 9; i++) {
            assert_int_equal(buf_printf(&text, ",\"$or\":[{\"a%u\":[1]},{\"b%u\":[1]}]", i, i),
                             ERR_OK);
        }
        assert_int_equal(buf_append_byte(&text, '}'), ERR_OK);
    }
    assert_int_equal(buf_printf(&text, "]}"), ERR_OK);
    assert_int_equal(pattern_compile(buf_slice(&text), &pattern, &why), ERR_BAD_PATTERN);
    assert_non_null(strstr(why.text, "$or makes more than 1000 combinations"));
    /* too long; not UTF-8 */
    buf_clear(&text);
    for (unsigned i = 0; i <= PATTERN_BYTES_MAX; i++) {
        assert_int_equal(buf_append_byte(&text, ' '), ERR_OK);
    }
    assert_int_equal(pattern_compile(buf_slice(&text), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON "The pattern has 4097 bytes, more than 4096");
    assert_int_equal(pattern_compile(SLICE("{\"a\":[\"\xff\"]}"), &pattern, &why), ERR_BAD_PATTERN);
    assert_string_equal(why.text, REASON "Invalid UTF-8 at byte 7");
    buf_clean_up(&text);
}

/* Goal:   patterns at the limits are taken.
 * Method: what the service or its users reported as accepted, and the largest counts. */
static void test_patterns_at_the_limits_are_taken(void **state)
{
    static const char *const rows[] = {
        "{\"a\":[{\"wildcard\":\"/Users/*/dir/dir/dir/dir/dir/doc.txt\"}]}",
        ("{\"a\":[{\"wildcard\":\"*:stack/network/*\"},{\"wildcard\":\"*:stack/database/*\"},"
         "{\"wildcard\":\"*:stack/frontend/*\"}]}"),
        /* two paths are two values */
        "{\"a\":[{\"wildcard\":\"*a*b*c*d*e*\"}],\"b\":[{\"wildcard\":\"*a*b*c*d*e*\"}]}",
    };
    struct buf text;
    struct pattern *pattern;
    struct err_why why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (pattern_compile(slice_of(rows[i]), &pattern, &why) != ERR_OK) {
            fail_msg("%s: %s", rows[i], why.text);
        }
        assert_true(slice_eq(pattern_text(pattern), slice_of(rows[i])));
        assert_true(pattern_memory_bytes(pattern) > 0);
        assert_ptr_equal(pattern_acquire(pattern), pattern);
        pattern_release(pattern);
        pattern_release(pattern);
    }
    buf_init(&text, PATTERN_BYTES_MAX);
    assert_int_equal(buf_append_byte(&text, '{'), ERR_OK);
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(
            buf_printf(&text, "%s\"$or\":[{\"a%u\":[1]},{\"b%u\":[1]}]", i > 0 ? "," : "", i, i),
            ERR_OK);
    }
    for (unsigned i = 0; i < 256 - 9; i++) {
        assert_int_equal(buf_printf(&text, ",\"%x\":[1]", i), ERR_OK);
    }
    assert_int_equal(buf_append_byte(&text, '}'), ERR_OK);
    if (pattern_compile(buf_slice(&text), &pattern, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    pattern_release(pattern);
    pattern_release(NULL);
    buf_clean_up(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_places),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_text_behind_the_pattern_is_refused),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_numeric),
        cmocka_unit_test(test_cidr_names_no_place),
        cmocka_unit_test(test_anything_but),
        cmocka_unit_test(test_or),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_control_characters_are_escaped_where_they_are_quoted),
        cmocka_unit_test(test_open_brackets_name_where_they_opened),
        cmocka_unit_test(test_long_patterns_are_quoted_in_part),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_patterns_at_the_limits_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
