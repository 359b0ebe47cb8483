/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sm.c - a declared machine takes its arrows and no others.
 */
#include "tests/lib/death.h"

#include "core/sm.h"

enum { IDLE, BUSY, DONE };

struct job {
    struct sm sm;
    int workers;
};

static bool is_idle(const void *object)
{
    return ((const struct job *)object)->workers == 0;
}

static bool is_busy(const void *object)
{
    return ((const struct job *)object)->workers == 1;
}

static const struct sm_state states[] = {
    [IDLE] = {"idle", SM_TO(BUSY), is_idle},
    [BUSY] = {"busy", SM_TO(IDLE) | SM_TO(DONE), is_busy},
    [DONE] = {"done", 0, NULL},
};
static const struct sm_machine machine = {"job", states, ARRAY_LEN(states)};

static void test_declared_arrows_are_taken(void **state)
{
    struct job job = {.workers = 0};

    (void)state;
    sm_start(&job.sm, &machine, IDLE, &job);
    assert_string_equal(sm_name(&job.sm), "idle");
    for (unsigned i = 0; i < 2; i++) {
        job.workers = 1;
        sm_move(&job.sm, BUSY, &job);
        job.workers = 0;
        sm_move(&job.sm, IDLE, &job);
    }
    job.workers = 1;
    sm_move(&job.sm, BUSY, &job);
    job.workers = 7; /* nothing in particular holds at the end */
    sm_move(&job.sm, DONE, &job);
    assert_string_equal(sm_name(&job.sm), "done");
    assert_int_equal(job.sm.state, DONE);
    sm_check(&job.sm, &job);
}

static void skip_a_state(void)
{
    struct job job = {.workers = 0};

    sm_start(&job.sm, &machine, IDLE, &job);
    sm_move(&job.sm, DONE, &job);
}

static void leave_the_end(void)
{
    struct job job = {.workers = 0};

    sm_start(&job.sm, &machine, DONE, &job);
    sm_move(&job.sm, IDLE, &job);
}

static void arrive_broken(void)
{
    struct job job = {.workers = 0};

    sm_start(&job.sm, &machine, IDLE, &job);
    sm_move(&job.sm, BUSY, &job); /* without a worker */
}

static void start_broken(void)
{
    struct job job = {.workers = 1};

    sm_start(&job.sm, &machine, IDLE, &job);
}

static void move_nowhere(void)
{
    struct job job = {.workers = 0};

    sm_start(&job.sm, &machine, IDLE, &job);
    sm_move(&job.sm, 3, &job);
}

static void test_everything_else_ends_the_process(void **state)
{
    (void)state;
    assert_dies(skip_a_state, "job: an arrow from idle to done");
    assert_dies(leave_the_end, "job: an arrow from done to idle");
    assert_dies(arrive_broken, "job: what must hold in state busy");
    assert_dies(start_broken, "job: what must hold in state idle");
    assert_dies(move_nowhere, "state_count");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declared_arrows_are_taken),
        cmocka_unit_test(test_everything_else_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
