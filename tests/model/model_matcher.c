/* SPDX-License-Identifier: Apache-2.0
 *
 * model_matcher.c - compiled sets against the plain evaluator.
 *
 * Each round invents some patterns and events, compiles the patterns into sets of random sizes,
 * and asks for every event both ways.  Two sets are asked at once, as a bus and the central bus
 * are.  A disagreement is shrunk to the pattern and the event it is about, and those to the least
 * text that still shows it.
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
#include "routing/matcher.h"
#include "routing/pattern.h"
#include "tests/lib/pattern_maker.h"

enum {
    PAIRS_MIN = 200000,
    PATTERNS_MAX = 40,
    EVENTS = 12,
    TEXT_BYTES_MAX = 1 << 16,
};

/* ---- one pattern, one event ---------------------------------------------------------------- */

static bool compile(struct slice text, struct pattern **pattern)
{
    struct err_why why;

    return pattern_compile(text, pattern, &why) == ERR_OK;
}

static struct partner_lists *lists; /* of the run */

/* The plain answer; false if the text is no event. */
static bool ask_plainly(const struct pattern *pattern, struct slice event,
                        enum pattern_verdict *verdict)
{
    struct arena arena = {0};
    struct event_tree *tree;
    size_t steps_left = PATTERN_STEPS_MAX;
    const bool is_event = event_tree_read(event, &arena, &tree, NULL) == ERR_OK;

    if (is_event) {
        event_tree_use_lists(tree, lists);
        *verdict = pattern_evaluate(pattern, tree, &steps_left);
    }
    arena_clean_up(&arena);
    return is_event;
}

static bool disagree(struct slice pattern_text, struct slice event)
{
    struct matcher_scratch *scratch = matcher_scratch_new();
    struct pattern *pattern = NULL;
    size_t steps_left = PATTERN_STEPS_MAX;
    enum pattern_verdict verdict = PATTERN_NO_MATCH;
    struct matcher_answer answer;
    bool is_wrong = false;

    if (compile(pattern_text, &pattern) && ask_plainly(pattern, event, &verdict)) {
        struct matcher *matcher = matcher_new((const struct pattern *const *)&pattern, 1);

        matcher_use_lists(scratch, lists);
        is_wrong = matcher_match((const struct matcher *const *)&matcher, 1, event, &steps_left,
                                 scratch, &answer) != ERR_OK ||
                   (answer.match_count == 1) != (verdict == PATTERN_MATCH);
        matcher_release(matcher);
    }
    pattern_release(pattern);
    matcher_scratch_destroy(scratch);
    return is_wrong;
}

/* ---- shrinking ----------------------------------------------------------------------------- */

/* Take runs of bytes out of `text` as long as the two disagree. */
static void shrink(struct buf *text, const struct buf *pattern, const struct buf *event)
{
    for (size_t len = text->len / 2; len > 0;) {
        bool is_shorter = false;

        for (size_t at = 0; at + len <= text->len;) {
            struct buf saved;

            buf_init(&saved, TEXT_BYTES_MAX);
            CHECK(buf_append(&saved, buf_slice(text)) == ERR_OK);
            memmove(text->data + at, text->data + at + len, text->len - at - len);
            text->len -= len;
            if (disagree(buf_slice(pattern), buf_slice(event))) {
                is_shorter = true;
            } else {
                buf_clear(text);
                CHECK(buf_append(text, buf_slice(&saved)) == ERR_OK);
                at++;
            }
            buf_clean_up(&saved);
        }
        len = is_shorter ? MIN_OF(len, text->len) : len / 2;
    }
}

static void report(uint64_t seed, struct slice pattern_text, struct slice event_text,
                   enum pattern_verdict expected)
{
    struct buf pattern;
    struct buf event;

    buf_init(&pattern, TEXT_BYTES_MAX);
    buf_init(&event, TEXT_BYTES_MAX);
    CHECK(buf_append(&pattern, pattern_text) == ERR_OK);
    CHECK(buf_append(&event, event_text) == ERR_OK);
    if (disagree(pattern_text, event_text)) {
        shrink(&event, &pattern, &event);
        shrink(&pattern, &pattern, &event);
        shrink(&event, &pattern, &event);
    } else {
        print_message("only in company:\n");
    }
    fail_msg("WEIR_SEED=%" PRIu64 ": %.*s on %.*s: expected verdict %d", seed,
             SLICE_ARG(buf_slice(&pattern)), SLICE_ARG(buf_slice(&event)), (int)expected);
}

/* ---- rounds -------------------------------------------------------------------------------- */

struct round {
    struct pattern *patterns[PATTERNS_MAX];
    size_t pattern_count;
    struct matcher *sets[2];
    size_t set_starts[3]; /* patterns of each set, and the end */
    struct buf text;
};

static void invent_patterns(struct round *round)
{
    const unsigned sizes[] = {1, 2, 5, PATTERNS_MAX};
    const size_t wanted = sizes[maker_below(ARRAY_LEN(sizes))];
    const struct pattern *const *patterns = (const struct pattern *const *)round->patterns;

    round->pattern_count = 0;
    for (size_t tries = 0; tries < 3 * wanted && round->pattern_count < wanted; tries++) {
        buf_clear(&round->text);
        maker_put_pattern(&round->text);
        if (compile(buf_slice(&round->text), &round->patterns[round->pattern_count])) {
            round->pattern_count++;
        }
    }
    round->set_starts[0] = 0;
    round->set_starts[1] = maker_below((unsigned)round->pattern_count + 1);
    round->set_starts[2] = round->pattern_count;
    for (size_t i = 0; i < 2; i++) {
        round->sets[i] = matcher_new(patterns + round->set_starts[i],
                                     round->set_starts[i + 1] - round->set_starts[i]);
    }
}

static void release_patterns(struct round *round)
{
    for (size_t i = 0; i < round->pattern_count; i++) {
        pattern_release(round->patterns[i]);
    }
    matcher_release(round->sets[0]);
    matcher_release(round->sets[1]);
}

static bool is_listed(const struct matcher_answer *answer, size_t number)
{
    for (size_t i = 0; i < answer->match_count; i++) {
        if (answer->matches[i] == number) {
            return true;
        }
    }
    return false;
}

/* One event against all patterns; how many match. */
static size_t check_event(struct round *round, struct matcher_scratch *scratch, uint64_t seed)
{
    const struct slice event = buf_slice(&round->text);
    size_t steps_left = SIZE_MAX / 2;
    struct matcher_answer answers[2];
    size_t match_count = 0;

    assert_int_equal(matcher_match((const struct matcher *const *)round->sets, 2, event,
                                   &steps_left, scratch, answers),
                     ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 1; j < answers[i].match_count; j++) {
            assert_true(answers[i].matches[j - 1] < answers[i].matches[j]);
        }
        for (size_t j = round->set_starts[i]; j < round->set_starts[i + 1]; j++) {
            enum pattern_verdict verdict = PATTERN_NO_MATCH;

            assert_true(ask_plainly(round->patterns[j], event, &verdict));
            match_count += verdict == PATTERN_MATCH ? 1 : 0;
            if (is_listed(&answers[i], j - round->set_starts[i]) != (verdict == PATTERN_MATCH)) {
                report(seed, pattern_text(round->patterns[j]), event, verdict);
            }
        }
    }
    return match_count;
}

/* Goal:   a compiled set gives the plain evaluator's answers, whatever it holds.
 * Method: each round has its own seed; one scratch serves all, as a worker's does. */
static void test_sets_agree_with_the_evaluator(void **state)
{
    const char *given = getenv("WEIR_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : moment_now_ms();
    struct matcher_scratch *scratch = matcher_scratch_new();
    size_t pair_count = 0;
    size_t match_count = 0;
    struct round round = {.pattern_count = 0};

    (void)state;
    print_message("WEIR_SEED=%" PRIu64 "\n", seed);
    lists = maker_lists();
    maker_asks_lists = true;
    matcher_use_lists(scratch, lists);
    buf_init(&round.text, TEXT_BYTES_MAX);
    for (; pair_count < PAIRS_MIN; seed++) {
        maker_state = seed;
        invent_patterns(&round);
        for (size_t i = 0; i < EVENTS; i++) {
            buf_clear(&round.text);
            maker_put_event(&round.text);
            match_count += check_event(&round, scratch, seed);
            pair_count += round.pattern_count;
        }
        release_patterns(&round);
    }
    buf_clean_up(&round.text);
    matcher_scratch_destroy(scratch);
    partner_lists_release(lists);
    print_message("%zu pairs, %zu matches\n", pair_count, match_count);
    /* a run that never or always matches proves nothing */
    assert_in_range(match_count, PAIRS_MIN / 50, PAIRS_MIN - PAIRS_MIN / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_agree_with_the_evaluator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
