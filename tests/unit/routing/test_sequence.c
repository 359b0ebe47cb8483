/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sequence.c - states, documents and the choice of a step.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "routing/sequence.h"

static struct arena arena;

static void assert_slice(struct slice got, const char *wanted)
{
    if (!slice_eq(got, slice_of(wanted))) {
        fail_msg("%.*s instead of %s", SLICE_ARG(got), wanted);
    }
}

static void a_state_grows_and_a_repeat_takes_its_place(void **state)
{
    struct slice text = {NULL, 0};

    (void)state;
    assert_int_equal(sequence_put(text, SLICE("a"), SLICE("1"), &arena, &text), ERR_OK);
    assert_int_equal(sequence_put(text, SLICE("b"), SLICE("{\"c\":[]}"), &arena, &text), ERR_OK);
    assert_slice(text, "{\"a\":1,\"b\":{\"c\":[]}}");
    assert_int_equal(sequence_put(text, SLICE("a"), SLICE("2"), &arena, &text), ERR_OK);
    assert_slice(text, "{\"b\":{\"c\":[]},\"a\":2}");
    assert_slice(sequence_failure(SLICE("r"), SLICE("\"m"), &arena),
                 "{\"error\":{\"reason\":\"r\",\"message\":\"\\\"m\"}}");
}

static void a_state_has_a_maximum(void **state)
{
    char *large = xmalloc(SEQUENCE_STATE_BYTES_MAX);
    struct slice text = {NULL, 0};

    (void)state;
    memset(large, '1', SEQUENCE_STATE_BYTES_MAX);
    assert_int_equal(sequence_put(text, SLICE("a"),
                                  (struct slice){large, SEQUENCE_STATE_BYTES_MAX - 6}, &arena,
                                  &text),
                     ERR_OK);
    assert_int_equal(text.len, SEQUENCE_STATE_BYTES_MAX);
    assert_int_equal(sequence_put(text, SLICE("b"), SLICE("1"), &arena, &text), ERR_TOO_LARGE);
    xfree(large);
}

static void a_document_is_the_event_with_the_state_beside(void **state)
{
    (void)state;
    assert_slice(sequence_document(SLICE("{\"id\":\"x\"} \n"), SLICE(""), &arena),
                 "{\"id\":\"x\",\"steps\":{}}");
    assert_slice(sequence_document(SLICE("{\"steps\":9}"), SLICE("{\"a\":1}"), &arena),
                 "{\"steps\":9,\"steps\":{\"a\":1}}");
}

static void assert_kept(const struct rule_step *step, const char *result, const char *wanted)
{
    struct slice kept;

    assert_int_equal(sequence_keep(step, slice_of(result), &arena, &kept), ERR_OK);
    assert_slice(kept, wanted);
}

static void compile(const char *text, struct json_path *path)
{
    assert_int_equal(path_compile(slice_of(text), &arena, path, NULL), ERR_OK);
}

static void what_is_kept_is_what_the_paths_reach(void **state)
{
    struct rule_keep keeps[2] = {{.name = SLICE_INIT("x")}, {.name = SLICE_INIT("y")}};
    struct json_path paths[2];
    struct rule_step step = {.keep_paths = paths, .keep_count = 2, .keeps = keeps};

    (void)state;
    compile("$.a[0].b", &paths[0]);
    compile("$.none", &paths[1]);
    assert_kept(&step, "{\"a\":[{\"b\":\"v\"}]}", "{\"x\":\"v\"}");
    keeps[0].name = SLICE("");
    step.keep_count = 1;
    assert_kept(&step, "{\"a\":[{\"b\":\"v\"}]}", "\"v\"");
    assert_kept(&step, "\"text\"", "null");
    step.keep_count = 0;
    assert_kept(&step, "{}", "{}");
}

static void what_is_kept_as_text_is_a_string(void **state)
{
    struct rule_keep keeps[1] = {{.name = SLICE_INIT("x"), .as_text = true}};
    struct json_path paths[1];
    const struct rule_step step = {.keep_paths = paths, .keep_count = 1, .keeps = keeps};

    (void)state;
    compile("$.a", paths);
    assert_kept(&step, "{\"a\":[{\"b\":\"v\"}]}", "{\"x\":\"[{\\\"b\\\":\\\"v\\\"}]\"}");
    assert_kept(&step, "{\"a\":\"t\"}", "{\"x\":\"t\"}");
    assert_kept(&step, "{\"a\":7}", "{\"x\":\"7\"}");
    assert_kept(&step, "{}", "{}");
}

/* Goal: of a list, the first object that matches, or a value in it. */
static void what_is_kept_of_a_list_is_the_first_that_matches(void **state)
{
    struct rule_keep keeps[1] = {{.name = SLICE_INIT("x")}};
    struct json_path paths[1];
    const struct rule_step step = {.keep_paths = paths, .keep_count = 1, .keeps = keeps};

    (void)state;
    compile("$.tags", paths);
    assert_int_equal(pattern_compile(SLICE("{\"k\":[\"b\"]}"), &keeps[0].where, NULL), ERR_OK);
    assert_kept(&step, "{\"tags\":[{\"k\":\"a\"},[],3,{\"k\":\"b\",\"v\":1},{\"k\":\"b\"}]}",
                "{\"x\":{\"k\":\"b\",\"v\":1}}");
    compile("$.v", &keeps[0].take);
    assert_kept(&step, "{\"tags\":[{\"k\":\"a\",\"v\":0},{\"k\":\"b\",\"v\":1}]}", "{\"x\":1}");
    assert_kept(&step, "{\"tags\":[{\"k\":\"b\"}]}", "{}");
    assert_kept(&step, "{\"tags\":[{\"k\":\"c\"}]}", "{}");
    assert_kept(&step, "{\"tags\":[]}", "{}");
    assert_kept(&step, "{\"tags\":{\"k\":\"b\"}}", "{}");
    assert_kept(&step, "{}", "{}");
    pattern_release(keeps[0].where);
}

static void the_next_step_is_the_first_whose_when_holds(void **state)
{
    struct rule_step steps[3] = {
        {.name = SLICE("one")}, {.name = SLICE("two")}, {.name = SLICE("three")}};
    const struct rule_target target = {.steps = steps, .step_count = 3};
    const struct slice event = SLICE("{\"detail\":{\"n\":1}}");
    size_t next;

    (void)state;
    assert_int_equal(
        pattern_compile(SLICE("{\"event\":{\"detail\":{\"n\":[2]}}}"), &steps[0].when, NULL),
        ERR_OK);
    assert_int_equal(
        pattern_compile(SLICE("{\"steps\":{\"one\":{\"k\":[\"v\"]}}}"), &steps[1].when, NULL),
        ERR_OK);
    assert_int_equal(sequence_next(&target, 0, event, SLICE(""), NULL, &arena, &next), ERR_OK);
    assert_int_equal(next, 2);
    assert_int_equal(
        sequence_next(&target, 1, event, SLICE("{\"one\":{\"k\":\"v\"}}"), NULL, &arena, &next),
        ERR_OK);
    assert_int_equal(next, 1);
    assert_int_equal(sequence_next(&target, 3, event, SLICE(""), NULL, &arena, &next), ERR_OK);
    assert_int_equal(next, 3);
    assert_ptr_equal(sequence_step(&target, SLICE("two")), &steps[1]);
    assert_null(sequence_step(&target, SLICE("four")));
    pattern_release(steps[0].when);
    pattern_release(steps[1].when);
}

static int teardown(void **state)
{
    (void)state;
    arena_clean_up(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_grows_and_a_repeat_takes_its_place),
        cmocka_unit_test(a_state_has_a_maximum),
        cmocka_unit_test(a_document_is_the_event_with_the_state_beside),
        cmocka_unit_test(what_is_kept_is_what_the_paths_reach),
        cmocka_unit_test(what_is_kept_as_text_is_a_string),
        cmocka_unit_test(what_is_kept_of_a_list_is_the_first_that_matches),
        cmocka_unit_test(the_next_step_is_the_first_whose_when_holds),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
