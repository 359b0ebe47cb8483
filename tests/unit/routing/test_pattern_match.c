/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pattern_match.c - the pattern language, one row per fact.
 *
 * The facts are those of Amazon EventBridge: its user guide, results of its TestEventPattern call,
 * and the behaviour of its open-source library where neither says more.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/buf.h"
#include "core/check.h"
#include "routing/matcher.h"
#include "routing/pattern.h"

/* Rows use 'single quotes' where JSON has double ones. */
struct row {
    const char *pattern;
    const char *event;
    bool matches;
};

static struct slice double_quotes(const char *text, struct arena *arena)
{
    char *copy = arena_cstr(arena, slice_of(text));

    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return slice_of(copy);
}

/* The answer of a set of this pattern alone. */
static enum pattern_verdict ask_matcher(const struct pattern *pattern, struct slice event)
{
    struct matcher_scratch *scratch = matcher_scratch_new();
    struct matcher *matcher = matcher_new(&pattern, 1);
    const struct matcher *const sets[] = {matcher};
    size_t steps_left = PATTERN_STEPS_MAX;
    struct matcher_answer answer;
    enum pattern_verdict verdict;

    assert_int_equal(matcher_match(sets, 1, event, &steps_left, scratch, &answer), ERR_OK);
    verdict = answer.exhausted_count > 0 ? PATTERN_EXHAUSTED
              : answer.match_count > 0   ? PATTERN_MATCH
                                         : PATTERN_NO_MATCH;
    matcher_release(matcher);
    matcher_scratch_destroy(scratch);
    return verdict;
}

static bool matches(const struct row *row)
{
    struct arena arena = {0};
    struct pattern *pattern = NULL;
    struct event_tree *tree;
    struct err_why why = {.text = ""};
    bool result;

    if (pattern_compile(double_quotes(row->pattern, &arena), &pattern, &why) != ERR_OK) {
        fail_msg("%s: %s", row->pattern, why.text);
    }
    if (event_tree_read(double_quotes(row->event, &arena), &arena, &tree, &why) != ERR_OK) {
        fail_msg("%s: %s", row->event, why.text);
    }
    result = pattern_matches(pattern, tree);
    if ((ask_matcher(pattern, double_quotes(row->event, &arena)) == PATTERN_MATCH) != result) {
        fail_msg("%s on %s: a compiled set says otherwise", row->pattern, row->event);
    }
    pattern_release(pattern);
    arena_clean_up(&arena);
    return result;
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (matches(&rows[i]) != rows[i].matches) {
            fail_msg("%s on %s: expected %s", rows[i].pattern, rows[i].event,
                     rows[i].matches ? "a match" : "no match");
        }
    }
}

static void test_shape(void **state)
{
    static const struct row rows[] = {
        /* between paths AND, inside a list OR, inside an event array any element */
        {"{'a':[1],'b':[2]}", "{'a':1,'b':2}", true},
        {"{'a':[1],'b':[2]}", "{'a':1,'b':3}", false},
        {"{'a':[1],'b':[2]}", "{'a':1}", false},
        {"{'a':[1,'x',true]}", "{'a':'x'}", true},
        {"{'a':[1,'x',true]}", "{'a':'y'}", false},
        {"{'a':['x']}", "{'a':['y','x']}", true},
        {"{'a':['x','z']}", "{'a':['y','w']}", false},
        {"{'a':['x']}", "{'a':[['y'],['x']]}", true},
        /* nesting, and dots that mean the same */
        {"{'a':{'b':{'c':[1]}}}", "{'a':{'b':{'c':1}}}", true},
        {"{'a':{'b':[1]}}", "{'b':1}", false},
        {"{'a.b':[1]}", "{'a':{'b':1}}", true},
        {"{'a':{'b':[1]}}", "{'a.b':1}", true},
        {"{'a.b':[1]}", "{'a.b':1}", true},
        {"{'a.b':{'c':[1]}}", "{'a':{'b.c':1}}", true},
        {"{'a.b':[1]}", "{'a':{'b.c':1}}", false},
        {"{'':[1]}", "{'':1}", true},
        {"{'':{'a':[1]}}", "{'.a':1}", true},
        {"{'a':{'':[1]}}", "{'a.':1}", true},
        {"{'a':[1]}", "{'a':{'':1}}", false},
        /* one path twice: the last wins; duplicate objects are merged */
        {"{'a':[1],'a':[2]}", "{'a':1}", false},
        {"{'a':[1],'a':[2]}", "{'a':2}", true},
        {"{'a':{'b':[1]},'a.b':[2]}", "{'a':{'b':2}}", true},
        {"{'a':{'b':[1]},'a.b':[2]}", "{'a':{'b':1}}", false},
        {"{'a':{'b':[1]},'a':{'c':[2]}}", "{'a':{'b':1,'c':2}}", true},
        {"{'a':{'b':[1]},'a':{'c':[2]}}", "{'a':{'c':2}}", false},
        /* keys: case-sensitive, compared unescaped, not normalised */
        {"{'A':[1]}", "{'a':1}", false},
        {"{'\\u0061':[1]}", "{'a':1}", true},
        {"{'a':[1]}", "{'\\u0061':1}", true},
        {"{'\xc3\xa9':[1]}", "{'e\xcc\x81':1}", false},
        /* white space means nothing */
        {" {\r\n\t'a' : [ 1 ] } ", "{ 'a' :\n1 }", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_events(void **state)
{
    static const struct row rows[] = {
        /* only leaves count */
        {"{'a':[{'exists':true}]}", "{'a':{}}", false},
        {"{'a':[null]}", "{'a':[]}", false},
        {"{'a':[{'anything-but':'x'}]}", "{'a':{'b':1}}", false},
        /* a repeated key offers both values */
        {"{'a':[1]}", "{'a':1,'a':2}", true},
        {"{'a':[2]}", "{'a':1,'a':2}", true},
        {"{'a':{'b':[1],'c':[2]}}", "{'a':{'b':1},'a':{'c':2}}", true},
        /* strings are compared unescaped */
        {"{'a':['A']}", "{'a':'\\u0041'}", true},
        {"{'a':['x\\/y']}", "{'a':'x/y'}", true},
        {"{'a':['\\ud83d\\ude00']}", "{'a':'\xf0\x9f\x98\x80'}", true},
        {"{'a':['\\ud83d']}", "{'a':'\\ud83d'}", true},
        {"{'a':['\\ud83d']}", "{'a':'\\ud83e'}", false},
        {"{'a':['x\\u0000y']}", "{'a':'x\\u0000y'}", true},
        {"{'a':['x\\u0000y']}", "{'a':'x'}", false},
        {"{'a':['\xc3\xa9']}", "{'a':'e\xcc\x81'}", false},
        /* what no pattern names is ignored */
        {"{'a':[1]}", "{'a':1,'b':[{'c':[null]}],'d':{}}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_literals(void **state)
{
    static const struct row rows[] = {
        {"{'a':['x']}", "{'a':'x'}", true},
        {"{'a':['1']}", "{'a':1}", false},
        {"{'a':['true']}", "{'a':true}", false},
        {"{'a':['']}", "{'a':''}", true},
        {"{'a':['']}", "{'a':null}", false},
        {"{'a':['']}", "{}", false},
        {"{'a':[null]}", "{'a':null}", true},
        {"{'a':[null]}", "{'a':'null'}", false},
        {"{'a':[null]}", "{}", false},
        {"{'a':[true]}", "{'a':true}", true},
        {"{'a':[true]}", "{'a':'true'}", false},
        {"{'a':[true]}", "{'a':false}", false},
        {"{'a':[false]}", "{'a':false}", true},
        {"{'a':[false]}", "{'a':null}", false},
        {"{'a':[{'exactly':'x'}]}", "{'a':'x'}", true},
        {"{'a':[{'exactly':'x'}]}", "{'a':'X'}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_numbers(void **state)
{
    static const struct row rows[] = {
        {"{'a':[300]}", "{'a':300.0}", true},
        {"{'a':[300]}", "{'a':3e2}", true},
        {"{'a':[3.0e2]}", "{'a':300}", true},
        {"{'a':[300]}", "{'a':'300'}", false},
        {"{'a':[300]}", "{'a':301}", false},
        {"{'a':[0]}", "{'a':-0}", true},
        {"{'a':[-0.0]}", "{'a':0}", true},
        {"{'a':[1.7976931348623157e308]}", "{'a':179769313486231570e291}", true},
        /* what a double cannot hold compares by its spelling */
        {"{'a':[9007199254740993]}", "{'a':9007199254740993}", true},
        {"{'a':[9007199254740993]}", "{'a':9007199254740993.0}", false},
        {"{'a':[9007199254740993]}", "{'a':9007199254740992}", false},
        {"{'a':[9007199254740992]}", "{'a':9007199254740993}", false},
        {"{'a':[1e400]}", "{'a':1e400}", true},
        {"{'a':[1e400]}", "{'a':10e399}", false},
        {"{'a':[0.1000000000000000055]}", "{'a':0.1}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_addresses_as_literals(void **state)
{
    static const struct row rows[] = {
        {"{'a':['10.0.0.1']}", "{'a':'10.0.0.1'}", true},
        {"{'a':['10.0.0.1']}", "{'a':'10.0.0.01'}", true},
        {"{'a':['10.0.0.01']}", "{'a':'10.0.0.1'}", true},
        {"{'a':['10.0.0.1']}", "{'a':'10.0.0.2'}", false},
        {"{'a':['2001:db8::1']}", "{'a':'2001:0DB8:0:0:0:0:0:1'}", true},
        {"{'a':['a::b']}", "{'a':'000a::000b'}", true},
        {"{'a':['::ffff:a00:1']}", "{'a':'10.0.0.1'}", true},
        {"{'a':['999.1.1.1']}", "{'a':'999.1.1.1'}", true},
        {"{'a':['999.1.1.1']}", "{'a':'999.1.1.01'}", false},
        {"{'a':[{'exactly':'10.0.0.1'}]}", "{'a':'10.0.0.01'}", false},
        {"{'a':[{'exactly':'10.0.0.1'}]}", "{'a':'10.0.0.1'}", true},
        {"{'a':[{'prefix':'10.0.0.1'}]}", "{'a':'10.0.0.01'}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_prefix_and_suffix(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'prefix':'us-'}]}", "{'a':'us-east-1'}", true},
        {"{'a':[{'prefix':'us-'}]}", "{'a':'eu-us-'}", false},
        {"{'a':[{'prefix':''}]}", "{'a':'anything'}", true},
        {"{'a':[{'prefix':''}]}", "{'a':''}", true},
        {"{'a':[{'prefix':''}]}", "{'a':1}", false},
        {"{'a':[{'prefix':''}]}", "{'a':null}", false},
        {"{'a':[{'prefix':'1'}]}", "{'a':12}", false},
        {"{'a':[{'prefix':'t'}]}", "{'a':true}", false},
        {"{'a':[{'suffix':'.png'}]}", "{'a':'x.png'}", true},
        {"{'a':[{'suffix':'.png'}]}", "{'a':'x.png.gz'}", false},
        {"{'a':[{'suffix':''}]}", "{'a':'x'}", true},
        {"{'a':[{'suffix':''}]}", "{'a':2}", false},
        {"{'a':[{'prefix':{'equals-ignore-case':'US-'}}]}", "{'a':'us-east-1'}", true},
        {"{'a':[{'prefix':{'equals-ignore-case':'US-'}}]}", "{'a':'eu-us-'}", false},
        {"{'a':[{'suffix':{'equals-ignore-case':'.PNG'}}]}", "{'a':'x.pNg'}", true},
        {"{'a':[{'suffix':{'equals-ignore-case':'.PNG'}}]}", "{'a':'x.jpg'}", false},
        /* the quotes that EventBridge's library holds strings in are no part of them */
        {"{'a':[{'prefix':'x\\u0022'}]}", "{'a':'x'}", false},
        {"{'a':[{'suffix':'\\u0022x'}]}", "{'a':'x'}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_ignoring_case(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'equals-ignore-case':'AbC'}]}", "{'a':'aBc'}", true},
        {"{'a':[{'equals-ignore-case':'AbC'}]}", "{'a':'abcd'}", false},
        {"{'a':[{'equals-ignore-case':'1'}]}", "{'a':1}", false},
        {"{'a':[{'equals-ignore-case':'stra\xc3\x9f"
         "e'}]}",
         "{'a':'STRASSE'}", true},
        {"{'a':[{'equals-ignore-case':'STRASSE'}]}",
         "{'a':'stra\xc3\x9f"
         "e'}",
         false},
        {"{'a':[{'equals-ignore-case':'\\u212a'}]}", "{'a':'k'}", true},
        {"{'a':[{'equals-ignore-case':'k'}]}", "{'a':'\\u212a'}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_wildcards(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'wildcard':'*'}]}", "{'a':''}", true},
        {"{'a':[{'wildcard':'*'}]}", "{'a':1}", false},
        {"{'a':[{'wildcard':'*'}]}", "{'a':null}", false},
        {"{'a':[{'wildcard':''}]}", "{'a':''}", true},
        {"{'a':[{'wildcard':''}]}", "{'a':'x'}", false},
        {"{'a':[{'wildcard':'a/*/b'}]}", "{'a':'a/x/y\\n/b'}", true},
        {"{'a':[{'wildcard':'a*b'}]}", "{'a':'ab'}", true},
        {"{'a':[{'wildcard':'*aba*aba'}]}", "{'a':'ababa'}", false},
        {"{'a':[{'wildcard':'\\\\**'}]}", "{'a':'*x'}", true},
        {"{'a':[{'wildcard':'\\\\**'}]}", "{'a':'x'}", false},
        {"{'a':[{'wildcard':'\\\\\\\\*'}]}", "{'a':'\\\\x'}", true},
        {"{'a':[{'wildcard':'*\\\\**'}]}", "{'a':'a*b'}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_numeric_ranges(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'numeric':['=',5]}]}", "{'a':5.0}", true},
        {"{'a':[{'numeric':['=',5]}]}", "{'a':5.1}", false},
        {"{'a':[{'numeric':['<',5]}]}", "{'a':4.9}", true},
        {"{'a':[{'numeric':['<',5]}]}", "{'a':5}", false},
        {"{'a':[{'numeric':['<=',5]}]}", "{'a':5}", true},
        {"{'a':[{'numeric':['<=',5]}]}", "{'a':5.000001}", false},
        {"{'a':[{'numeric':['>',5]}]}", "{'a':5}", false},
        {"{'a':[{'numeric':['>',5]}]}", "{'a':1e300}", true},
        {"{'a':[{'numeric':['>=',7]}]}", "{'a':7}", true},
        {"{'a':[{'numeric':['>=',7]}]}", "{'a':8.5}", true},
        {"{'a':[{'numeric':['>=',7]}]}", "{'a':6.9}", false},
        {"{'a':[{'numeric':['>',0,'<=',5]}]}", "{'a':0}", false},
        {"{'a':[{'numeric':['>',0,'<=',5]}]}", "{'a':5}", true},
        {"{'a':[{'numeric':['>=',0,'<',5]}]}", "{'a':-0}", true},
        {"{'a':[{'numeric':['>=',0,'<',5]}]}", "{'a':5}", false},
        {"{'a':[{'numeric':['>',-2,'<',-1]}]}", "{'a':-1.5}", true},
        {"{'a':[{'numeric':['>',0]}]}", "{'a':'5'}", false},
        {"{'a':[{'numeric':['>',0]}]}", "{'a':true}", false},
        {"{'a':[{'numeric':['>',0]}]}", "{'a':9007199254740993}", false},
        {"{'a':[{'numeric':['>',0]}]}", "{'a':1e400}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_cidr_blocks(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'cidr':'10.0.0.0/24'}]}", "{'a':'10.0.0.200'}", true},
        {"{'a':[{'cidr':'10.0.0.77/24'}]}", "{'a':'10.0.0.1'}", true},
        {"{'a':[{'cidr':'10.0.0.0/24'}]}", "{'a':'10.0.1.0'}", false},
        {"{'a':[{'cidr':'10.0.0.0/24'}]}", "{'a':'10.0.0.001'}", true},
        {"{'a':[{'cidr':'10.0.0.0/24'}]}", "{'a':'host'}", false},
        {"{'a':[{'cidr':'10.0.0.0/24'}]}", "{'a':10}", false},
        {"{'a':[{'cidr':'10.0.0.0/+8'}]}", "{'a':'10.1.2.3'}", true},
        {"{'a':[{'cidr':'10.0.0.0/8/'}]}", "{'a':'10.1.2.3'}", true},
        {"{'a':[{'cidr':'0.0.0.0/0'}]}", "{'a':'1.2.3.4'}", true},
        {"{'a':[{'cidr':'0.0.0.0/0'}]}", "{'a':'::1'}", false},
        {"{'a':[{'cidr':'2001:db8::/32'}]}", "{'a':'2001:db8:1::9'}", true},
        {"{'a':[{'cidr':'2001:db8::/32'}]}", "{'a':'2001:db9::'}", false},
        {"{'a':[{'cidr':'10.0.0.0/8'}]}", "{'a':'::ffff:a00:1'}", true},
        {"{'a':[{'cidr':'10.0.0.0/8'}]}", "{'a':'::ffff:10.0.0.1'}", false},
        {"{'a':[{'cidr':'32.1.0.0/16'}]}", "{'a':'2001:db8::1'}", false},
        {"{'a':[{'cidr':'a00::/16'}]}", "{'a':'10.0.0.1'}", false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_existence(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'exists':true}]}", "{'a':1}", true},
        {"{'a':[{'exists':true}]}", "{'a':null}", true},
        {"{'a':[{'exists':true}]}", "{'a':[[1]]}", true},
        {"{'a':[{'exists':true}]}", "{'a':{'b':1}}", false},
        {"{'a':[{'exists':true}]}", "{'a':[{'b':1}]}", false},
        {"{'a':[{'exists':true}]}", "{'a':[]}", false},
        {"{'a':[{'exists':true}]}", "{'a':[[],[]]}", false},
        {"{'a':[{'exists':true}]}", "{}", false},
        {"{'a':[{'exists':false}]}", "{'a':1}", false},
        {"{'a':[{'exists':false}]}", "{'a':null}", false},
        {"{'a':[{'exists':false}]}", "{'a':{'b':1}}", true},
        {"{'a':[{'exists':false}]}", "{'a':[]}", true},
        {"{'a':[{'exists':false}]}", "{}", true},
        {"{'a':{'b':[{'exists':false}]}}", "{}", true},
        {"{'a':{'b':[{'exists':false}]}}", "{'a':1}", true},
        {"{'a':{'b':[{'exists':false}]}}", "{'a':{'b':2}}", false},
        {"{'a':[{'exists':false},'x']}", "{}", true},
        {"{'a':[{'exists':false},'x']}", "{'a':'x'}", true},
        {"{'a':[{'exists':false},'x']}", "{'a':'y'}", false},
        {"{'a':['x',{'exists':true}]}", "{'a':'y'}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_anything_but(void **state)
{
    static const struct row rows[] = {
        {"{'a':[{'anything-but':'x'}]}", "{'a':'y'}", true},
        {"{'a':[{'anything-but':'x'}]}", "{'a':'x'}", false},
        {"{'a':[{'anything-but':'x'}]}", "{'a':5}", true},
        {"{'a':[{'anything-but':'x'}]}", "{'a':true}", true},
        {"{'a':[{'anything-but':'x'}]}", "{'a':null}", true},
        {"{'a':[{'anything-but':'x'}]}", "{}", false},
        {"{'a':[{'anything-but':'x'}]}", "{'a':[]}", false},
        {"{'a':[{'anything-but':'x'}]}", "{'a':['x','y']}", true},
        {"{'a':[{'anything-but':'x'}]}", "{'a':['x','x']}", false},
        {"{'a':[{'anything-but':''}]}", "{'a':''}", false},
        {"{'a':[{'anything-but':5}]}", "{'a':'5'}", true},
        {"{'a':[{'anything-but':5}]}", "{'a':5.0}", false},
        {"{'a':[{'anything-but':5}]}", "{'a':9007199254740993}", true},
        {"{'a':[{'anything-but':['x','y']}]}", "{'a':'y'}", false},
        {"{'a':[{'anything-but':['x','y']}]}", "{'a':'z'}", true},
        {"{'a':[{'anything-but':[1,2]}]}", "{'a':2e0}", false},
        {"{'a':[{'anything-but':[1,2]}]}", "{'a':3}", true},
        {"{'a':[{'anything-but':'10.0.0.1'}]}", "{'a':'10.0.0.01'}", true},
        {"{'a':[{'anything-but':{'prefix':'x'}}]}", "{'a':'xy'}", false},
        {"{'a':[{'anything-but':{'prefix':'x'}}]}", "{'a':'yx'}", true},
        {"{'a':[{'anything-but':{'prefix':'x'}}]}", "{'a':12}", true},
        {"{'a':[{'anything-but':{'prefix':['x','y']}}]}", "{'a':'yx'}", false},
        {"{'a':[{'anything-but':{'suffix':'x'}}]}", "{'a':'yx'}", false},
        {"{'a':[{'anything-but':{'suffix':['x','z']}}]}", "{'a':'xy'}", true},
        {"{'a':[{'anything-but':{'equals-ignore-case':'X'}}]}", "{'a':'x'}", false},
        {"{'a':[{'anything-but':{'equals-ignore-case':['X','']}}]}", "{'a':''}", false},
        {"{'a':[{'anything-but':{'equals-ignore-case':['X','']}}]}", "{'a':'y'}", true},
        {"{'a':[{'anything-but':{'wildcard':'*/x/*'}}]}", "{'a':'a/x/b'}", false},
        {"{'a':[{'anything-but':{'wildcard':['*/x/*','y*']}}]}", "{'a':'z'}", true},
        {"{'a':[{'anything-but':{'wildcard':''}}]}", "{'a':''}", false},
        {"{'a':[{'anything-but':{'wildcard':''}}]}", "{'a':'x'}", true},
        {"{'a':[{'anything-but':{'wildcard':'*'}}]}", "{'a':'x'}", false},
        {"{'a':[{'anything-but':{'wildcard':'*'}}]}", "{'a':1}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_array_consistency(void **state)
{
    static const struct row rows[] = {
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':[{'k':'1','v':'2'}]}", true},
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':[{'k':'1'},{'v':'2'}]}", false},
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':[[{'k':'1'}],[{'v':'2'}]]}", false},
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':[{'k':'1','v':'3'},{'k':'1','v':'2'}]}", true},
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':{'k':'1','v':'2'}}", true},
        /* sibling arrays inside one element are free of each other */
        {"{'a':{'b':{'x':[1]},'c':{'y':[2]}}}", "{'a':[{'b':[{'x':0},{'x':1}],'c':[{'y':2}]}]}",
         true},
        {"{'a':{'b':{'x':[1]},'c':{'y':[2]}}}", "{'a':[{'b':[{'x':1}]},{'c':[{'y':2}]}]}", false},
        /* arrays apart do not constrain each other */
        {"{'a':{'x':[1]},'b':{'y':[2]}}", "{'a':[{'x':0},{'x':1}],'b':[{'y':2},{'y':3}]}", true},
        /* scalars lie in no element */
        {"{'a':['x'],'a.k':['1']}", "{'a':['x',{'k':'1'}]}", true},
        {"{'a':['x'],'b':['y']}", "{'a':['z','x'],'b':['y','z']}", true},
        /* any depth */
        {"{'a':{'b':{'c':[1],'d':[2]}}}",
         "{'a':[{'b':[{'c':1,'d':3}]},{'b':[{'c':2},{'c':1,'d':2}]}]}", true},
        {"{'a':{'b':{'c':[1],'d':[2]}}}", "{'a':[{'b':[{'c':1}]},{'b':[{'c':2},{'d':2}]}]}", false},
        {"{'a':{'b':{'c':[1]},'e':[9]}}", "{'a':[{'e':9},{'b':[{'c':1}]}]}", false},
        {"{'a':{'b':{'c':[1]},'e':[9]}}", "{'a':[{'e':9,'b':[{'c':0},{'c':1}]}]}", true},
        /* a repeated key makes two arrays; one element of each may be picked */
        {"{'a':{'k':['1'],'v':['2']}}", "{'a':[{'k':'1'},{}],'a':[{'v':'2'},{}]}", true},
        {"{'a':{'k':['1'],'l':['1'],'v':['2']}}",
         "{'a':[{'k':'1'},{'l':'1'}],'a':[{'v':'2'},{'x':1}]}", false},
        /* a finding that failed and is new */
        {"{'detail':{'findings':{'Compliance':{'Status':['FAILED']},'Workflow':{'Status':['NEW']}}}"
         "}",
         "{'detail':{'findings':[{'Compliance':{'Status':'FAILED'},'Workflow':{'Status':'DONE'}},"
         "{'Compliance':{'Status':'FAILED'},'Workflow':{'Status':'NEW'}}]}}",
         true},
        {"{'detail':{'findings':{'Compliance':{'Status':['FAILED']},'Workflow':{'Status':['NEW']}}}"
         "}",
         "{'detail':{'findings':[{'Compliance':{'Status':'FAILED'},'Workflow':{'Status':'DONE'}},"
         "{'Compliance':{'Status':'PASSED'},'Workflow':{'Status':'NEW'}}]}}",
         false},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

/* exists:false looks at the elements that the paths before it have fixed. */
static void test_absence_inside_arrays_depends_on_the_order_of_paths(void **state)
{
    static const struct row rows[] = {
        {"{'a':{'x':[1],'y':[{'exists':false}]}}", "{'a':[{'x':1},{'x':2,'y':3}]}", true},
        {"{'a':{'x':[{'exists':false}],'y':[1]}}", "{'a':[{'y':1},{'y':2,'x':3}]}", false},
        {"{'a':{'x':[1],'y':[{'exists':false}]}}", "{'a':[{'x':1,'y':3},{'x':2}]}", false},
        {"{'a':{'x':[1],'y':[{'exists':false}]}}", "{'a':[{'x':1,'y':3},{'x':1}]}", true},
        {"{'a':{'x':[1],'y':[{'exists':false},9]}}", "{'a':[{'x':1,'y':3},{'x':2}]}", false},
        {"{'a':{'x':[1],'y':[{'exists':false},9]}}", "{'a':[{'x':1,'y':9},{'x':2}]}", true},
        /* the order is Java's: UTF-16 units.  U+10000 sorts before U+FFFF, unlike in UTF-8. */
        {"{'a':{'\\ud800\\udc00':[1],'\\uffff':[{'exists':false}]}}",
         "{'a':[{'\\ud800\\udc00':1},{'\\uffff':3}]}", true},
        {"{'a':{'\\uffff':[1],'\\ud800\\udc00':[{'exists':false}]}}",
         "{'a':[{'\\uffff':1},{'\\ud800\\udc00':3}]}", false},
        {"{'a':{'z':[1],'\\u00e9':[{'exists':false}]}}", "{'a':[{'z':1},{'\\u00e9':3}]}", true},
        {"{'a':{'\\u00e9':[1],'z':[{'exists':false}]}}", "{'a':[{'\\u00e9':1},{'z':3}]}", false},
        {"{'a':{'\\ud83d\\ude00':[1],'\\ud83d\\ude01':[{'exists':false}]}}",
         "{'a':[{'\\ud83d\\ude00':1},{'\\ud83d\\ude01':3}]}", true},
        {"{'a':{'\\ud83d\\ude01':[1],'\\ud83d\\ude00':[{'exists':false}]}}",
         "{'a':[{'\\ud83d\\ude01':1},{'\\ud83d\\ude00':3}]}", false},
        /* dots sort as a character: a-b before a.x */
        {"{'a.x':[1],'a-b':[{'exists':false}]}", "{'a':[{'x':1},{'x':2}],'a-b':1}", false},
        /* a scalar beside the objects is always there */
        {"{'a':[{'exists':false}],'a.k':['1']}", "{'a':['x',{'k':'1'}]}", false},
        {"{'a':[{'exists':false}],'a.k':['1']}", "{'a':[{'k':'1'}]}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_or(void **state)
{
    static const struct row rows[] = {
        {"{'$or':[{'a':[1]},{'b':[2]}]}", "{'a':1}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}]}", "{'b':2}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}]}", "{'a':2,'b':1}", false},
        {"{'c':[3],'$or':[{'a':[1]},{'b':[2]}]}", "{'a':1}", false},
        {"{'c':[3],'$or':[{'a':[1]},{'b':[2]}]}", "{'a':1,'c':3}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}],'c':[3]}", "{'b':2,'c':3}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}],'c':[3]}", "{'b':2,'c':4}", false},
        /* below a key */
        {"{'d':{'$or':[{'a':[1]},{'b':[2]}]}}", "{'d':{'b':2}}", true},
        {"{'d':{'$or':[{'a':[1]},{'b':[2]}]}}", "{'b':2}", false},
        /* nested, and several in one object: they multiply */
        {"{'$or':[{'a':[1],'$or':[{'b':[2]},{'c':[3]}]},{'d':[4]}]}", "{'a':1,'c':3}", true},
        {"{'$or':[{'a':[1],'$or':[{'b':[2]},{'c':[3]}]},{'d':[4]}]}", "{'a':1}", false},
        {"{'$or':[{'a':[1],'$or':[{'b':[2]},{'c':[3]}]},{'d':[4]}]}", "{'d':4}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}],'$or':[{'c':[3]},{'d':[4]}]}", "{'a':1,'d':4}", true},
        {"{'$or':[{'a':[1]},{'b':[2]}],'$or':[{'c':[3]},{'d':[4]}]}", "{'a':1,'b':2}", false},
        /* the later of two mentions of one path wins, branch by branch */
        {"{'a':[1],'$or':[{'a':[2]},{'b':[3]}]}", "{'a':2}", true},
        {"{'a':[1],'$or':[{'a':[2]},{'b':[3]}]}", "{'a':1,'b':3}", true},
        {"{'a':[1],'$or':[{'a':[2]},{'b':[3]}]}", "{'a':1}", false},
        {"{'$or':[{'a':[2]},{'b':[3]}],'a':[1]}", "{'a':2}", false},
        {"{'$or':[{'a':[2]},{'b':[3]}],'a':[1]}", "{'a':1}", true},
        /* consistency holds within a branch */
        {"{'a':{'k':[1],'$or':[{'v':[2]},{'w':[3]}]}}", "{'a':[{'k':1},{'v':2},{'w':3}]}", false},
        {"{'a':{'k':[1],'$or':[{'v':[2]},{'w':[3]}]}}", "{'a':[{'v':2},{'k':1,'w':3}]}", true},
        /* $or is only a keyword in patterns; reserved names are only reserved inside it */
        {"{'prefix':[1]}", "{'prefix':1}", true},
        {"{'a':[1]}", "{'$or':[1],'a':1}", true},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

/* ---- bounds -------------------------------------------------------------------------------- */

static enum pattern_verdict evaluate(struct slice pattern_text, struct slice event_text)
{
    struct arena arena = {0};
    struct pattern *pattern;
    struct event_tree *tree;
    struct err_why why = {.text = ""};
    enum pattern_verdict verdict;
    size_t steps_left = 2 * (size_t)PATTERN_STEPS_MAX;

    if (pattern_compile(pattern_text, &pattern, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(event_tree_read(event_text, &arena, &tree, &why), ERR_OK);
    verdict = pattern_evaluate(pattern, tree, &steps_left);
    assert_int_equal(ask_matcher(pattern, event_text), verdict);
    assert_true(steps_left >= PATTERN_STEPS_MAX); /* one pattern takes its share, no more */
    pattern_release(pattern);
    arena_clean_up(&arena);
    return verdict;
}

/* Goal:   many elements are searched in a time that grows with their number, not its square.
 * Method: three paths in 20,000 objects that never agree; the budget would end a square. */
static void test_many_elements_are_searched_within_the_budget(void **state)
{
    enum { ELEMENTS = 20000 };
    struct buf event;

    (void)state;
    buf_init(&event, 64 * ELEMENTS);
    assert_int_equal(buf_printf(&event, "{\"a\":["), ERR_OK);
    for (unsigned i = 0; i < ELEMENTS; i++) {
        assert_int_equal(
            buf_printf(&event, "%s{\"x\":1,\"y\":%u,\"z\":%u}", i > 0 ? "," : "", i % 2, i % 2),
            ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "]}"), ERR_OK);
    assert_int_equal(evaluate(SLICE("{\"a\":{\"x\":[1],\"y\":[0],\"z\":[1]}}"), buf_slice(&event)),
                     PATTERN_NO_MATCH);
    assert_int_equal(evaluate(SLICE("{\"a\":{\"x\":[1],\"y\":[1],\"z\":[1]}}"), buf_slice(&event)),
                     PATTERN_MATCH);
    buf_clean_up(&event);
}

/* Goal:   arrays apart do not multiply.
 * Method: six arrays of 50 elements that all match, and a seventh pair that never agrees. */
static void test_independent_arrays_do_not_multiply(void **state)
{
    struct buf event;
    struct buf pattern;

    (void)state;
    buf_init(&event, 1 << 20);
    buf_init(&pattern, PATTERN_BYTES_MAX);
    assert_int_equal(buf_printf(&event, "{"), ERR_OK);
    assert_int_equal(buf_printf(&pattern, "{"), ERR_OK);
    for (char array = 'a'; array <= 'f'; array++) {
        assert_int_equal(buf_printf(&event, "\"%c\":[{\"x\":1}", array), ERR_OK);
        for (unsigned i = 1; i < 50; i++) {
            assert_int_equal(buf_printf(&event, ",{\"x\":1}"), ERR_OK);
        }
        assert_int_equal(buf_printf(&event, "],"), ERR_OK);
        assert_int_equal(buf_printf(&pattern, "\"%c\":{\"x\":[1]},", array), ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "\"z\":[{\"p\":1},{\"q\":1}]}"), ERR_OK);
    assert_int_equal(buf_printf(&pattern, "\"z\":{\"p\":[1],\"q\":[1]}}"), ERR_OK);
    assert_int_equal(evaluate(buf_slice(&pattern), buf_slice(&event)), PATTERN_NO_MATCH);
    buf_clean_up(&event);
    buf_clean_up(&pattern);
}

/* Goal:   a search that cannot be short ends, and says that it did not finish.
 * Method: repeated keys make each copy of the array a free choice of one element; covering all
 *         paths is then as hard as satisfiability.  Twelve pigeons, eleven holes. */
static void test_a_hard_search_ends_without_a_match(void **state)
{
    enum { HOLES = 11, PIGEONS = HOLES + 1 };
    struct buf event;
    struct buf pattern;

    (void)state;
    buf_init(&event, 1 << 20);
    buf_init(&pattern, PATTERN_BYTES_MAX);
    assert_int_equal(buf_printf(&event, "{"), ERR_OK);
    assert_int_equal(buf_printf(&pattern, "{\"a\":{"), ERR_OK);
    for (unsigned hole = 0; hole < HOLES; hole++) {
        assert_int_equal(buf_printf(&event, "%s\"a\":[", hole > 0 ? "," : ""), ERR_OK);
        for (unsigned pigeon = 0; pigeon < PIGEONS; pigeon++) {
            assert_int_equal(buf_printf(&event, "%s{\"p%u\":1}", pigeon > 0 ? "," : "", pigeon),
                             ERR_OK);
        }
        assert_int_equal(buf_printf(&event, "]"), ERR_OK);
    }
    for (unsigned pigeon = 0; pigeon < PIGEONS; pigeon++) {
        assert_int_equal(buf_printf(&pattern, "%s\"p%u\":[1]", pigeon > 0 ? "," : "", pigeon),
                         ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "}"), ERR_OK);
    assert_int_equal(buf_printf(&pattern, "}}"), ERR_OK);
    assert_int_equal(evaluate(buf_slice(&pattern), buf_slice(&event)), PATTERN_EXHAUSTED);
    buf_clean_up(&event);
    buf_clean_up(&pattern);
}

/* Goal:   a long key costs its length once, and deep nesting no stack.
 * Method: the deepest nesting, of arrays with two elements each; a key of 100 KB over 10,000
 * leaves. */
static void test_deep_and_long_events_are_read(void **state)
{
    struct buf event;

    (void)state;
    buf_init(&event, 1 << 20);
    assert_int_equal(buf_printf(&event, "{\"a\":"), ERR_OK);
    for (unsigned i = 0; i < 998; i++) {
        assert_int_equal(buf_printf(&event, "[{},"), ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "1"), ERR_OK);
    for (unsigned i = 0; i < 998; i++) {
        assert_int_equal(buf_printf(&event, "]"), ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "}"), ERR_OK);
    assert_int_equal(evaluate(SLICE("{\"a\":[1]}"), buf_slice(&event)), PATTERN_MATCH);
    buf_clear(&event);
    assert_int_equal(buf_printf(&event, "{\""), ERR_OK);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(buf_append_byte(&event, i % 10 == 9 ? '.' : 'k'), ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "\":{\"x\":0"), ERR_OK);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(buf_printf(&event, ",\"x%u\":%u", i, i), ERR_OK);
    }
    assert_int_equal(buf_printf(&event, "},\"a\":1}"), ERR_OK);
    assert_int_equal(evaluate(SLICE("{\"a\":[1]}"), buf_slice(&event)), PATTERN_MATCH);
    buf_clean_up(&event);
}

static void test_broken_events_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "1",
        "[]",
        "null",
        "{\"a\":1} x",
        "{\"a\":1,}",
        "{\"a\":tru}",
        "{\"a\":\"\n\"}",
        "\xef\xbb\xbf{}",
        "{'a':1}",
        "{\"a\":1/**/}",
        "{\"a\":\"\xff\"}",
        "{\"a\":01}",
        "{\"a\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena arena = {0};
        struct event_tree *tree;
        struct err_why why = {.text = ""};

        if (event_tree_read(slice_of(texts[i]), &arena, &tree, &why) != ERR_BAD_JSON ||
            why.text[0] == '\0') {
            fail_msg("%s: %s", texts[i], why.text);
        }
        arena_clean_up(&arena);
    }
}

/* The envelope alone can rule a pattern out, and never in. */
static void test_the_envelope_rules_out(void **state)
{
    static const struct {
        const char *pattern;
        bool may_match;
    } rows[] = {
        {"{\"source\":[\"aws.s3\"]}", true},
        {"{\"source\":[\"aws.ec2\"]}", false},
        {"{\"source\":[{\"prefix\":\"aws.\"}],\"detail-type\":[\"x\"]}", false},
        {"{\"source\":[{\"exists\":false}]}", false},
        {"{\"account\":[\"111122223333\"],\"region\":[\"us-east-1\"]}", true},
        {"{\"account\":[\"999999999999\"]}", false},
        {"{\"detail\":{\"source\":[\"aws.ec2\"]}}", true},
        {"{\"id\":[\"x\"]}", true},
        {"{\"$or\":[{\"source\":[\"aws.ec2\"]},{\"detail-type\":[\"Object Created\"]}]}", true},
        {"{\"$or\":[{\"source\":[\"aws.ec2\"]},{\"region\":[\"eu-west-1\"]}]}", false},
    };
    const struct pattern_envelope envelope = {
        .source = SLICE("aws.s3"),
        .detail_type = SLICE("Object Created"),
        .account = SLICE("111122223333"),
        .region = SLICE("us-east-1"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pattern *pattern;

        assert_int_equal(pattern_compile(slice_of(rows[i].pattern), &pattern, NULL), ERR_OK);
        if (pattern_may_match(pattern, &envelope) != rows[i].may_match) {
            fail_msg("%s", rows[i].pattern);
        }
        pattern_release(pattern);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_addresses_as_literals),
        cmocka_unit_test(test_prefix_and_suffix),
        cmocka_unit_test(test_ignoring_case),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_numeric_ranges),
        cmocka_unit_test(test_cidr_blocks),
        cmocka_unit_test(test_existence),
        cmocka_unit_test(test_anything_but),
        cmocka_unit_test(test_array_consistency),
        cmocka_unit_test(test_absence_inside_arrays_depends_on_the_order_of_paths),
        cmocka_unit_test(test_or),
        cmocka_unit_test(test_many_elements_are_searched_within_the_budget),
        cmocka_unit_test(test_independent_arrays_do_not_multiply),
        cmocka_unit_test(test_a_hard_search_ends_without_a_match),
        cmocka_unit_test(test_deep_and_long_events_are_read),
        cmocka_unit_test(test_broken_events_are_refused),
        cmocka_unit_test(test_the_envelope_rules_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
