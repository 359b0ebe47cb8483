/* SPDX-License-Identifier: Apache-2.0
 *
 * model_explain.c - an explanation is true, and obeying it makes the event match.
 *
 * Two questions to random patterns.  Of random events, with arrays and repeated keys: a match is
 * said where the compiled matcher finds one, and otherwise the condition that is named is asked of
 * the event alone.  Of flat events: what is named is made good, value by value, until the event
 * matches; each step leaves one failure less.
 *
 * WEIR_SEED replays a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/json.h"
#include "core/moment.h"
#include "routing/event_tree.h"
#include "routing/explain.h"
#include "routing/matcher.h"
#include "tests/lib/pattern_maker.h"

enum { ROUNDS = 4000, TEXT_BYTES_MAX = 1 << 16, MEMBERS_MAX = 64, TRIES = 400 };

static bool compile(struct slice text, struct pattern **pattern)
{
    struct err_why why;

    return pattern_compile(text, pattern, &why) == ERR_OK;
}

/* Explain, and check that what is written is JSON. */
static void ask(const struct pattern *pattern, struct slice event, struct arena *arena,
                struct explanation *explanation)
{
    size_t steps_left = PATTERN_STEPS_MAX;
    struct json_writer writer;
    struct event_tree *tree;
    struct buf out;

    assert_int_equal(event_tree_read(event, arena, &tree, NULL), ERR_OK);
    explain(pattern, tree, &steps_left, explanation);
    buf_init(&out, SIZE_MAX / 2);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    explain_write(explanation, &writer);
    json_write_object_end(&writer);
    assert_int_equal(json_write_end(&writer), ERR_OK);
    assert_int_equal(json_check(buf_slice(&out), JSON_DEPTH_MAX, NULL), ERR_OK);
    buf_clean_up(&out);
}

static struct matcher_scratch *scratch;

static bool matches(const struct pattern *pattern, struct slice event)
{
    struct matcher *matcher = matcher_new(&pattern, 1);
    size_t steps_left = PATTERN_STEPS_MAX;
    struct matcher_answer answer;

    assert_int_equal(matcher_match((const struct matcher *const *)&matcher, 1, event, &steps_left,
                                   scratch, &answer),
                     ERR_OK);
    assert_int_equal(answer.exhausted_count, 0);
    matcher_release(matcher);
    return answer.match_count == 1;
}

/* Does an event match the one condition {PATH: WANTED}? */
static bool holds_alone(struct slice path, struct slice wanted, struct slice event)
{
    struct pattern *pattern = NULL;
    struct json_writer writer;
    struct buf text;
    bool holds;

    buf_init(&text, TEXT_BYTES_MAX);
    json_write_begin(&writer, &text);
    json_write_object_begin(&writer);
    json_write_key(&writer, path);
    json_write_raw(&writer, wanted);
    json_write_object_end(&writer);
    assert_int_equal(json_write_end(&writer), ERR_OK);
    assert_true(compile(buf_slice(&text), &pattern));
    holds = matches(pattern, event);
    pattern_release(pattern);
    buf_clean_up(&text);
    return holds;
}

/* ---- is it true? --------------------------------------------------------------------------- */

static void check_truth(const struct pattern *pattern, struct slice event, unsigned counts[])
{
    struct arena arena = {0};
    struct explanation explanation;

    ask(pattern, event, &arena, &explanation);
    assert_int_equal(explanation.reason == EXPLAIN_MATCH, matches(pattern, event));
    counts[explanation.reason]++;
    switch (explanation.reason) {
    case EXPLAIN_MISSING:
    case EXPLAIN_DIFFERS:
        assert_true((explanation.seen == NULL) == (explanation.reason == EXPLAIN_MISSING));
        assert_true(explanation.failed_count > 0);
        assert_false(holds_alone(explanation.path, explanation.wanted, event));
        break;
    case EXPLAIN_ELEMENTS: /* {"exists": false} may hold beside others only */
        assert_non_null(explanation.seen);
        assert_true(holds_alone(explanation.path, explanation.wanted, event) ||
                    holds_alone(explanation.path, explanation.wanted, SLICE("{}")));
        break;
    case EXPLAIN_MATCH:
        assert_int_equal(explanation.failed_count, 0);
        break;
    case EXPLAIN_EXHAUSTED:
        fail_msg("small events need no budget");
    }
    arena_clean_up(&arena);
}

static uint64_t first_seed(void)
{
    const char *given = getenv("WEIR_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : moment_now_ms();

    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    return seed;
}

/* An array of small objects, and a pattern about them: often they disagree about elements only. */
static void invent_elements(struct buf *pattern, struct buf *event)
{
    static const char *const names[] = {"a", "b", "c"};
    static const char *const numbers[] = {"0", "1"};
    const unsigned count = 2 + maker_below(3);

    maker_put(pattern, "{\"x\":{");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        maker_put(pattern, i > 0 ? "," : "");
        maker_put_string(pattern, names[i]);
        maker_put(pattern, ":[");
        maker_put(pattern, maker_below(5) == 0 ? "{\"exists\":false}" : MAKER_PICK(numbers));
        maker_put(pattern, "]");
    }
    maker_put(pattern, "}}");
    maker_put(event, "{\"x\":[");
    for (unsigned i = 0; i < count; i++) {
        maker_put(event, i > 0 ? ",{\"\":0" : "{\"\":0");
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            if (maker_below(4) != 0) {
                maker_put(event, ",");
                maker_put_string(event, names[j]);
                maker_put(event, ":");
                maker_put(event, MAKER_PICK(numbers));
            }
        }
        maker_put(event, "}");
    }
    maker_put(event, "]}");
}

/* Goal:   what is said of a pair is so.
 * Method: random pairs; the compiled matcher knows whether they match, and whether the condition
 *         that is named does alone. */
static void test_explanations_are_true(void **state)
{
    const uint64_t seed = first_seed();
    unsigned counts[EXPLAIN_EXHAUSTED + 1] = {0};
    struct buf pattern_text;
    struct buf event;

    (void)state;
    buf_init(&pattern_text, TEXT_BYTES_MAX);
    buf_init(&event, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pattern *pattern = NULL;

        maker_state = seed + i;
        buf_clear(&pattern_text);
        buf_clear(&event);
        if (i % 4 == 0) {
            invent_elements(&pattern_text, &event);
        } else {
            maker_put_pattern(&pattern_text);
            maker_put_event(&event);
        }
        if (compile(buf_slice(&pattern_text), &pattern)) {
            check_truth(pattern, buf_slice(&event), counts);
        }
        pattern_release(pattern);
    }
    buf_clean_up(&pattern_text);
    buf_clean_up(&event);
    print_message("%u match, %u missing, %u differ, %u elements\n", counts[EXPLAIN_MATCH],
                  counts[EXPLAIN_MISSING], counts[EXPLAIN_DIFFERS], counts[EXPLAIN_ELEMENTS]);
    assert_true(counts[EXPLAIN_MATCH] > 0 && counts[EXPLAIN_MISSING] > 0 &&
                counts[EXPLAIN_DIFFERS] > 0 && counts[EXPLAIN_ELEMENTS] > ROUNDS / 100);
}

/* ---- does it help? ------------------------------------------------------------------------- */

/* An event without nesting: dots in its keys stand for it. */
struct flat_event {
    struct arena arena;
    struct slice paths[MEMBERS_MAX];
    struct slice values[MEMBERS_MAX]; /* JSON */
    size_t count;
};

static void put_flat(const struct flat_event *event, struct buf *text)
{
    struct json_writer writer;

    buf_clear(text);
    json_write_begin(&writer, text);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < event->count; i++) {
        json_write_key(&writer, event->paths[i]);
        json_write_raw(&writer, event->values[i]);
    }
    json_write_object_end(&writer);
    assert_int_equal(json_write_end(&writer), ERR_OK);
}

/* The member of that path becomes `value`, or goes (NULL data). */
static void set_member(struct flat_event *event, struct slice path, struct slice value)
{
    size_t at = 0;

    while (at < event->count && !slice_eq(event->paths[at], path)) {
        at++;
    }
    if (value.data == NULL) {
        assert_true(at < event->count);
        event->count--;
        event->paths[at] = event->paths[event->count];
        event->values[at] = event->values[event->count];
        return;
    }
    assert_true(at < MEMBERS_MAX);
    event->paths[at] = arena_copy(&event->arena, path);
    event->values[at] = arena_copy(&event->arena, value);
    event->count = MAX_OF(event->count, at + 1);
}

/* A value that is wanted, of those the maker knows.  False: it knows none. */
static bool invent_wanted(struct slice wanted, struct buf *value)
{
    struct buf event;
    bool is_found = false;

    buf_init(&event, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < TRIES && !is_found; i++) {
        buf_clear(value);
        buf_clear(&event);
        maker_put_scalar(value);
        assert_int_equal(buf_append(&event, SLICE("{\"x\":")), ERR_OK);
        assert_int_equal(buf_append(&event, buf_slice(value)), ERR_OK);
        assert_int_equal(buf_append(&event, SLICE("}")), ERR_OK);
        is_found = holds_alone(SLICE("x"), wanted, buf_slice(&event));
    }
    buf_clean_up(&event);
    return is_found;
}

/* Obey once. False: nobody knows how. */
static bool obey(const struct explanation *explanation, struct flat_event *event)
{
    struct buf value;
    bool is_done;

    buf_init(&value, TEXT_BYTES_MAX);
    is_done = invent_wanted(explanation->wanted, &value);
    if (is_done) {
        set_member(event, explanation->path, buf_slice(&value));
    } else if (explanation->seen != NULL &&
               holds_alone(explanation->path, explanation->wanted, SLICE("{}"))) {
        set_member(event, explanation->path, (struct slice){NULL, 0});
        is_done = true;
    }
    buf_clean_up(&value);
    return is_done;
}

/* True when the event matches in the end. */
static bool mend(const struct pattern *pattern, struct flat_event *event, struct buf *text)
{
    size_t failed_before = SIZE_MAX;

    for (;;) {
        struct arena arena = {0};
        struct explanation explanation;
        bool is_done;

        put_flat(event, text);
        ask(pattern, buf_slice(text), &arena, &explanation);
        if (explanation.reason == EXPLAIN_MATCH) {
            assert_true(matches(pattern, buf_slice(text)));
            arena_clean_up(&arena);
            return true;
        }
        assert_true(explanation.failed_count < failed_before);
        failed_before = explanation.failed_count;
        is_done = obey(&explanation, event);
        arena_clean_up(&arena);
        if (!is_done) {
            return false;
        }
    }
}

static void invent_flat(struct flat_event *event)
{
    static const char *const paths[] = {"a", "b", "a.b", "b.a", "c", "a.a", "b.b", "a.b.a"};
    struct buf value;

    buf_init(&value, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < 4; i++) {
        buf_clear(&value);
        maker_put_scalar(&value);
        set_member(event, slice_of(MAKER_PICK(paths)), buf_slice(&value));
    }
    buf_clean_up(&value);
}

/* Goal:   to change what was seen into what was wanted takes that failure away.
 * Method: do so until the event matches. */
static void test_obeying_makes_a_match(void **state)
{
    const uint64_t seed = first_seed();
    unsigned mended = 0;
    unsigned given_up = 0;
    struct buf text;

    (void)state;
    buf_init(&text, TEXT_BYTES_MAX);
    for (unsigned i = 0; i < ROUNDS / 5; i++) {
        struct flat_event event = {.count = 0};
        struct pattern *pattern = NULL;

        maker_state = seed + i;
        buf_clear(&text);
        maker_put_pattern(&text);
        if (compile(buf_slice(&text), &pattern)) {
            invent_flat(&event);
            *(mend(pattern, &event, &text) ? &mended : &given_up) += 1;
        }
        pattern_release(pattern);
        arena_clean_up(&event.arena);
    }
    buf_clean_up(&text);
    print_message("%u mended, %u given up\n", mended, given_up);
    assert_true(mended > 2 * given_up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explanations_are_true),
        cmocka_unit_test(test_obeying_makes_a_match),
    };

    int failed_count;

    scratch = matcher_scratch_new();
    failed_count = cmocka_run_group_tests(tests, NULL, NULL);
    matcher_scratch_destroy(scratch);
    return failed_count;
}
