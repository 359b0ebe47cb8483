/* SPDX-License-Identifier: Apache-2.0
 *
 * retry.h - when to try again, and when to give up: pure functions of count, time and a seed.
 */
#pragma once

#include "core/base.h"

enum {
    RETRY_DELAY_FIRST_MS = 1000,
    RETRY_DELAY_MAX_MS = 15 * 60 * 1000,
    RETRY_DELAY_MIN_MS = 100,
    RETRY_ATTEMPTS_DEFAULT = 185,
    RETRY_AGE_DEFAULT_MS = 24 * 60 * 60 * 1000,
};

/* The longest wait after so many failures (>= 1): 1 s, doubling up to 15 min. */
uint64_t retry_ceiling_ms(uint32_t failure_count);

/* Full jitter: anything up to the ceiling is equally likely, so that what failed together does not
 * come back together.  Never under RETRY_DELAY_MIN_MS. */
uint64_t retry_delay_ms(uint32_t failure_count, uint64_t seed);

enum retry_answer {
    RETRY_AGAIN,
    RETRY_NO_ATTEMPTS, /* the first try and attempts_max retries have failed */
    RETRY_NO_TIME,     /* the event is older than age_max_ms */
};

struct retry_question {
    uint32_t attempts_max; /* retries after the first try */
    uint64_t age_max_ms;   /* since accepted_ms */
    uint64_t accepted_ms;
    uint32_t failure_count;  /* failed tries so far, this one included; >= 1 */
    uint64_t retry_after_ms; /* what the target asked for, 0: nothing */
    uint64_t now_ms;
    uint64_t seed;
};

/* Decide; on RETRY_AGAIN *due_ms says when.  A wait that would outlive the event ends with it, so
 * that there is one last try. */
enum retry_answer retry_decide(const struct retry_question *question, uint64_t *due_ms);

/* The next number of a seeded sequence (splitmix64). */
uint64_t retry_seed_next(uint64_t *state);

/* What a target may ask for: 0.1 s to 15 min; 0 stays 0. */
uint64_t retry_after_clamp(uint64_t retry_after_ms);
