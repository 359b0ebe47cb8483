/* SPDX-License-Identifier: Apache-2.0
 *
 * test_trace.c - what a ring of decisions keeps, forgets and answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "gateway/trace.h"

static void note(struct trace *trace, const char *account, const char *event_id,
                 enum trace_kind kind, uint64_t at_ms)
{
    trace_note(trace, &(struct trace_note){.kind = kind,
                                           .account = slice_of(account),
                                           .event_id = slice_of(event_id),
                                           .at_ms = at_ms,
                                           .number = at_ms});
}

static struct trace_answer ask(const struct trace *const *traces, size_t count,
                               const char *event_id)
{
    struct trace_answer answer;

    trace_answer_init(&answer, slice_of(event_id));
    for (size_t i = 0; i < count; i++) {
        trace_find(traces[i], &answer);
    }
    trace_answer_sort(&answer);
    return answer;
}

static void test_a_decision_comes_back_whole(void **state)
{
    struct trace *trace = trace_new(4);
    struct trace_answer answer;

    (void)state;
    trace_note(trace, &(struct trace_note){.kind = TRACE_DEAD,
                                           .account = SLICE("111122223333"),
                                           .event_id = SLICE("e-1"),
                                           .at_ms = 10,
                                           .until_ms = 20,
                                           .number = 3,
                                           .err = ERR_REMOTE_FAILED,
                                           .rule = SLICE("central/r"),
                                           .target = SLICE("arn:q"),
                                           .reason = SLICE("target-removed")});
    answer = ask((const struct trace *const[]){trace}, 1, "e-1");
    assert_int_equal(answer.line_count, 1);
    assert_int_equal(answer.omitted, 0);
    assert_int_equal(answer.lines[0].kind, TRACE_DEAD);
    assert_int_equal(answer.lines[0].at_ms, 10);
    assert_int_equal(answer.lines[0].until_ms, 20);
    assert_int_equal(answer.lines[0].number, 3);
    assert_int_equal(answer.lines[0].err, ERR_REMOTE_FAILED);
    assert_true(slice_eq(answer.lines[0].account, SLICE("111122223333")));
    assert_true(slice_eq(answer.lines[0].rule, SLICE("central/r")));
    assert_true(slice_eq(answer.lines[0].target, SLICE("arn:q")));
    assert_true(slice_eq(answer.lines[0].reason, SLICE("target-removed")));
    trace_answer_clean_up(&answer);
    answer = ask((const struct trace *const[]){trace}, 1, "e-2");
    assert_int_equal(answer.line_count, 0);
    trace_answer_clean_up(&answer);
    trace_destroy(trace);
}

static void test_the_oldest_event_makes_room(void **state)
{
    struct trace *trace = trace_new(3);

    (void)state;
    for (uint64_t i = 0; i < 10; i++) {
        char id[8];

        (void)snprintf(id, sizeof(id), "e-%d", (int)i);
        note(trace, "111122223333", id, TRACE_RECEIVED, i);
    }
    for (int i = 0; i < 10; i++) {
        struct trace_answer answer;
        char id[8];

        (void)snprintf(id, sizeof(id), "e-%d", i);
        answer = ask((const struct trace *const[]){trace}, 1, id);
        assert_int_equal(answer.line_count, i >= 7 ? 1 : 0);
        trace_answer_clean_up(&answer);
    }
    trace_destroy(trace);
}

/* How it came in and where it is now; what lies between is counted. */
static void test_a_long_history_keeps_both_ends(void **state)
{
    struct trace *trace = trace_new(2);
    struct trace_answer answer;

    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        note(trace, "111122223333", "e", TRACE_RETRIED, i);
    }
    answer = ask((const struct trace *const[]){trace}, 1, "e");
    assert_int_equal(answer.line_count, 16);
    assert_int_equal(answer.omitted, 84);
    for (uint64_t i = 0; i < 16; i++) {
        assert_int_equal(answer.lines[i].number, i < 4 ? i : 84 + i);
    }
    trace_answer_clean_up(&answer);
    trace_destroy(trace);
}

/* One id of two accounts is two events, and two workers tell one story. */
static void test_an_answer_joins_workers_and_accounts(void **state)
{
    struct trace *front = trace_new(4);
    struct trace *back = trace_new(4);
    struct trace_answer answer;
    static const enum trace_kind kinds[] = {TRACE_RECEIVED, TRACE_COMMITTED, TRACE_CLAIMED,
                                            TRACE_UNMATCHED, TRACE_DELIVERED};

    (void)state;
    note(back, "111122223333", "e", TRACE_CLAIMED, 2);
    note(back, "111122223333", "e", TRACE_DELIVERED, 9);
    note(front, "111122223333", "e", TRACE_RECEIVED, 1);
    note(front, "111122223333", "e", TRACE_COMMITTED, 2);
    note(front, "444455556666", "e", TRACE_UNMATCHED, 5);
    answer = ask((const struct trace *const[]){back, front}, 2, "e");
    assert_int_equal(answer.line_count, ARRAY_LEN(kinds));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        assert_int_equal(answer.lines[i].kind, kinds[i]);
    }
    assert_true(slice_eq(answer.lines[3].account, SLICE("444455556666")));
    trace_answer_clean_up(&answer);
    trace_destroy(front);
    trace_destroy(back);
}

static void test_no_room_keeps_nothing(void **state)
{
    struct trace *trace = trace_new(0);
    struct trace_answer answer;

    (void)state;
    note(trace, "111122223333", "e", TRACE_RECEIVED, 1);
    answer = ask((const struct trace *const[]){trace}, 1, "e");
    assert_int_equal(answer.line_count, 0);
    trace_answer_clean_up(&answer);
    trace_destroy(trace);
    trace = trace_new(1);
    note(trace, "111122223333", "", TRACE_REFUSED, 1); /* a PutEvents entry that was refused */
    answer = ask((const struct trace *const[]){trace}, 1, "");
    assert_int_equal(answer.line_count, 0);
    trace_answer_clean_up(&answer);
    trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_decision_comes_back_whole),
        cmocka_unit_test(test_the_oldest_event_makes_room),
        cmocka_unit_test(test_a_long_history_keeps_both_ends),
        cmocka_unit_test(test_an_answer_joins_workers_and_accounts),
        cmocka_unit_test(test_no_room_keeps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
