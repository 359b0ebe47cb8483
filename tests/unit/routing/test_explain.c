/* SPDX-License-Identifier: Apache-2.0
 *
 * test_explain.c - what is said of an event that does not match, operator by operator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "core/json.h"
#include "routing/explain.h"

/* The whole answer, from path to reason; the counts behind it. */
struct row {
    const char *pattern;
    const char *event;
    const char *answer;
};

#define SAYS(path, operator, wanted, seen, reason, failed, conditions)                             \
    "{\"match\":false,\"path\":\"" path "\",\"operator\":\""                                       \
    operator"\",\"wanted\":" wanted ",\"seen\":" seen ",\"reason\":\"" reason                      \
            "\",\"failed\":" #failed ",\"conditions\":" #conditions "}"
#define MATCHES(conditions)                                                                        \
    "{\"match\":true,\"path\":null,\"operator\":null,\"wanted\":null,\"seen\":null,"               \
    "\"reason\":\"match\",\"failed\":0,\"conditions\":" #conditions "}"

static const struct row operators[] = {
    {"{\"a\":[\"x\"]}", "{\"a\":\"x\"}", MATCHES(1)},
    {"{\"a\":[\"x\"]}", "{\"a\":\"y\"}", SAYS("a", "equals", "[\"x\"]", "\"y\"", "differs", 1, 1)},
    {"{\"a\":[ 1.0 ]}", "{\"a\":2e0}", SAYS("a", "equals", "[ 1.0 ]", "2e0", "differs", 1, 1)},
    {"{\"a\":[true]}", "{\"a\":false}", SAYS("a", "equals", "[true]", "false", "differs", 1, 1)},
    {"{\"a\":[null]}", "{\"a\":\"null\"}",
     SAYS("a", "equals", "[null]", "\"null\"", "differs", 1, 1)},
    {"{\"a\":[\"null\"]}", "{\"a\":null}",
     SAYS("a", "equals", "[\"null\"]", "null", "differs", 1, 1)},
    {"{\"a\":[\"10.0.0.1\"]}", "{\"a\":\"10.0.0.2\"}",
     SAYS("a", "equals", "[\"10.0.0.1\"]", "\"10.0.0.2\"", "differs", 1, 1)},
    {"{\"a\":[{\"prefix\":\"x\"}]}", "{\"a\":\"yx\"}",
     SAYS("a", "prefix", "[{\"prefix\":\"x\"}]", "\"yx\"", "differs", 1, 1)},
    {"{\"a\":[{\"suffix\":\"x\"}]}", "{\"a\":\"xy\"}",
     SAYS("a", "suffix", "[{\"suffix\":\"x\"}]", "\"xy\"", "differs", 1, 1)},
    {"{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"x\"}}]}", "{\"a\":\"y\"}",
     SAYS("a", "prefix", "[{\"prefix\":{\"equals-ignore-case\":\"x\"}}]", "\"y\"", "differs", 1,
          1)},
    {"{\"a\":[{\"equals-ignore-case\":\"X\"}]}", "{\"a\":\"xx\"}",
     SAYS("a", "equals-ignore-case", "[{\"equals-ignore-case\":\"X\"}]", "\"xx\"", "differs", 1,
          1)},
    {"{\"a\":[{\"wildcard\":\"*x*\"}]}", "{\"a\":\"y\"}",
     SAYS("a", "wildcard", "[{\"wildcard\":\"*x*\"}]", "\"y\"", "differs", 1, 1)},
    {"{\"a\":[{\"exactly\":\"x\"}]}", "{\"a\":\"y\"}",
     SAYS("a", "exactly", "[{\"exactly\":\"x\"}]", "\"y\"", "differs", 1, 1)},
    {"{\"a\":[{\"numeric\":[\">=\",7]}]}", "{\"a\":6.9}",
     SAYS("a", "numeric", "[{\"numeric\":[\">=\",7]}]", "6.9", "differs", 1, 1)},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"11.0.0.1\"}",
     SAYS("a", "cidr", "[{\"cidr\":\"10.0.0.0/8\"}]", "\"11.0.0.1\"", "differs", 1, 1)},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":{}}",
     SAYS("a", "exists", "[{\"exists\":true}]", "null", "missing", 1, 1)},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":null}",
     SAYS("a", "exists", "[{\"exists\":false}]", "null", "differs", 1, 1)},
    {"{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"y\"}",
     SAYS("a", "exists|equals", "[{\"exists\":false},\"x\"]", "\"y\"", "differs", 1, 1)},
    {"{\"a\":[{\"anything-but\":[\"x\",\"y\"]}]}", "{\"a\":\"y\"}",
     SAYS("a", "anything-but", "[{\"anything-but\":[\"x\",\"y\"]}]", "\"y\"", "differs", 1, 1)},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"x\"}}]}", "{\"b\":1}",
     SAYS("a", "anything-but", "[{\"anything-but\":{\"prefix\":\"x\"}}]", "null", "missing", 1, 1)},
    {"{\"a\":[\"x\",{\"prefix\":\"y\"},\"z\"]}", "{\"a\":1}",
     SAYS("a", "equals|prefix", "[\"x\",{\"prefix\":\"y\"},\"z\"]", "1", "differs", 1, 1)},
};

/* Which condition is named, and of which branch. */
static const struct row places[] = {
    /* the first in the order of paths; how many fail is counted */
    {"{\"z\":[1],\"b\":{\"c\":[2]},\"a\":[3]}", "{\"a\":3,\"b\":{\"c\":3},\"z\":0}",
     SAYS("b.c", "equals", "[2]", "3", "differs", 2, 3)},
    {"{\"a.b\":[1]}", "{\"a\":{\"b\":2}}", SAYS("a.b", "equals", "[1]", "2", "differs", 1, 1)},
    /* several values */
    {"{\"a\":[1]}", "{\"a\":[2,\"x\",[null]]}",
     SAYS("a", "equals", "[1]", "[2,\"x\",null]", "differs", 1, 1)},
    {"{\"a\":[1]}", "{\"a\":[]}", SAYS("a", "equals", "[1]", "null", "missing", 1, 1)},
    {"{\"a\":[1]}", "{\"a\":[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,8]}",
     SAYS("a", "equals", "[1]", "[9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9]", "differs", 1, 1)},
    /* each holds, but in different elements */
    {"{\"a\":{\"k\":[1],\"v\":[2]}}", "{\"a\":[{\"k\":1,\"v\":3},{\"k\":0,\"v\":2}]}",
     SAYS("a.v", "equals", "[2]", "[3,2]", "elements", 0, 2)},
    {"{\"a\":{\"k\":[1],\"v\":[2]}}", "{\"a\":[{\"k\":1,\"v\":2},{\"k\":0,\"v\":3}]}", MATCHES(2)},
    /* the third cannot join what the first two agreed on */
    {"{\"a\":{\"k\":[1],\"l\":[1],\"m\":[1]}}", "{\"a\":[{\"k\":1,\"l\":1},{\"m\":1}]}",
     SAYS("a.m", "equals", "[1]", "1", "elements", 0, 3)},
    /* absent where the first looks, as paths are taken in order */
    {"{\"a\":{\"x\":[1],\"y\":[{\"exists\":false}]}}", "{\"a\":[{\"x\":1},{\"x\":2,\"y\":3}]}",
     MATCHES(2)},
    {"{\"a\":{\"x\":[{\"exists\":false}],\"y\":[1]}}", "{\"a\":[{\"y\":1},{\"y\":2,\"x\":3}]}",
     SAYS("a.x", "exists", "[{\"exists\":false}]", "3", "elements", 0, 2)},
    /* the branch that fails least */
    {"{\"$or\":[{\"a\":[1],\"b\":[1]},{\"c\":[1],\"d\":[1]}]}", "{\"a\":2,\"b\":2,\"c\":2,\"d\":1}",
     SAYS("c", "equals", "[1]", "2", "differs", 1, 2)},
    {"{\"$or\":[{\"a\":[1]},{\"b\":[1]}]}", "{\"b\":1}", MATCHES(1)},
    /* one path twice: the later list is the one that is wanted */
    {"{\"a\":[1],\"a\":[2]}", "{\"a\":1}", SAYS("a", "equals", "[2]", "1", "differs", 1, 1)},
    /* escapes, in the pattern and the event */
    {"{\"\\u0061\":[ \"\\u0078\" , {\"\\u0070refix\":\"q\"} ]}", "{\"a\":\"\\ud800\\u0001\"}",
     SAYS("a", "equals|prefix", "[ \"\\u0078\" , {\"\\u0070refix\":\"q\"} ]", "\"\\ud800\\u0001\"",
          "differs", 1, 1)},
};

/* What is said of `event` under `pattern`, as one JSON object behind what `out` holds. */
static void explain_to(struct slice pattern_text, struct slice event, struct buf *out)
{
    size_t steps_left = PATTERN_STEPS_MAX;
    struct pattern *pattern = NULL;
    struct event_tree *tree = NULL;
    struct explanation explanation;
    struct json_writer writer;
    struct arena arena = {0};
    struct err_why why;

    assert_int_equal(pattern_compile(pattern_text, &pattern, &why), ERR_OK);
    assert_int_equal(event_tree_read(event, &arena, &tree, &why), ERR_OK);
    explain(pattern, tree, &steps_left, &explanation);
    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    explain_write(&explanation, &writer);
    json_write_object_end(&writer);
    assert_int_equal(json_write_end(&writer), ERR_OK);
    arena_clean_up(&arena);
    pattern_release(pattern);
}

static void check_row(const struct row *row)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    explain_to(slice_of(row->pattern), slice_of(row->event), &out);
    assert_int_equal(buf_append_byte(&out, '\0'), ERR_OK);
    assert_string_equal(out.data, row->answer);
    buf_clean_up(&out);
}

static void test_operators(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        check_row(&operators[i]);
    }
}

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        check_row(&places[i]);
    }
}

/* Goal:   what is shown of a long value is bounded, and ends with a whole character.
 * Method: a value of more than EXPLAIN_TEXT_MAX bytes, of which the last would be cut in two. */
static void test_long_values_are_cut(void **state)
{
    struct err_why why;
    struct buf event;
    struct buf out;

    (void)state;
    buf_init(&event, 1 << 16);
    buf_init(&out, 1 << 16);
    assert_int_equal(buf_append(&event, SLICE("{\"a\":\"x")), ERR_OK);
    for (size_t i = 0; i < EXPLAIN_TEXT_MAX; i++) {
        assert_int_equal(buf_append(&event, SLICE("\xc3\xa9")), ERR_OK);
    }
    assert_int_equal(buf_append(&event, SLICE("\"}")), ERR_OK);
    explain_to(SLICE("{\"a\":[1]}"), buf_slice(&event), &out);
    assert_in_range(out.len, EXPLAIN_TEXT_MAX - 1, EXPLAIN_TEXT_MAX + 200);
    assert_int_equal(json_check(buf_slice(&out), JSON_DEPTH_MAX, &why), ERR_OK);
    buf_clean_up(&event);
    buf_clean_up(&out);
}

/* Goal:   a search that was given up is said to be one.
 * Method: no steps to begin with, and a pattern that needs them. */
static void test_a_spent_budget_is_named(void **state)
{
    size_t steps_left = 0;
    struct pattern *pattern = NULL;
    struct event_tree *tree = NULL;
    struct explanation explanation;
    struct arena arena = {0};
    struct err_why why;

    (void)state;
    assert_int_equal(pattern_compile(SLICE("{\"a\":{\"k\":[1],\"v\":[2]}}"), &pattern, &why),
                     ERR_OK);
    assert_int_equal(event_tree_read(SLICE("{\"a\":[{\"k\":1,\"v\":2},{\"k\":1,\"v\":2}]}"), &arena,
                                     &tree, &why),
                     ERR_OK);
    explain(pattern, tree, &steps_left, &explanation);
    assert_int_equal(explanation.reason, EXPLAIN_EXHAUSTED);
    arena_clean_up(&arena);
    pattern_release(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_a_spent_budget_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
