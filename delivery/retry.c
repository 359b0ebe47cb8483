/* SPDX-License-Identifier: Apache-2.0
 *
 * retry.c - exponential backoff with full jitter under two budgets, attempts and age.
 *
 * Whichever budget ends first ends the delivery.  A target's Retry-After is obeyed as a lower bound
 * within limits: a hostile one may neither make us hammer nor make us wait for days.
 *
 * Pure: no clock, no randomness but the seed, no memory.
 */
#include "delivery/retry.h"

#include "core/check.h"

uint64_t retry_seed_next(uint64_t *state)
{
    uint64_t mixed;

    *state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

uint64_t retry_ceiling_ms(uint32_t failure_count)
{
    uint64_t ceiling_ms = RETRY_DELAY_FIRST_MS;

    CHECK(failure_count >= 1);
    for (uint32_t i = 1; i < failure_count && ceiling_ms < RETRY_DELAY_MAX_MS; i++) {
        ceiling_ms *= 2;
    }
    return MIN_OF(ceiling_ms, (uint64_t)RETRY_DELAY_MAX_MS);
}

uint64_t retry_delay_ms(uint32_t failure_count, uint64_t seed)
{
    const uint64_t ceiling_ms = retry_ceiling_ms(failure_count);
    uint64_t state = seed;

    return RETRY_DELAY_MIN_MS + retry_seed_next(&state) % (ceiling_ms - RETRY_DELAY_MIN_MS + 1);
}

uint64_t retry_after_clamp(uint64_t retry_after_ms)
{
    if (retry_after_ms == 0) {
        return 0;
    }
    return MAX_OF(MIN_OF(retry_after_ms, (uint64_t)RETRY_DELAY_MAX_MS),
                  (uint64_t)RETRY_DELAY_MIN_MS);
}

enum retry_answer retry_decide(const struct retry_question *question, uint64_t *due_ms)
{
    const uint64_t end_ms = question->accepted_ms + question->age_max_ms;
    uint64_t wait_ms;

    CHECK(question->failure_count >= 1);
    if (question->failure_count > question->attempts_max) {
        return RETRY_NO_ATTEMPTS;
    }
    if (question->now_ms >= end_ms) {
        return RETRY_NO_TIME;
    }
    wait_ms = retry_delay_ms(question->failure_count, question->seed);
    wait_ms = MAX_OF(wait_ms, retry_after_clamp(question->retry_after_ms));
    *due_ms = MIN_OF(question->now_ms + wait_ms, end_ms);
    return RETRY_AGAIN;
}
