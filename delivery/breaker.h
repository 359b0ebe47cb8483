/* SPDX-License-Identifier: Apache-2.0
 *
 * breaker.h - stop calling a destination that answers nothing but failures; ask it now and then.
 *
 * Opens when at least half of 20 or more calls of the last 10 seconds failed.  After a wait with
 * jitter, longer each time, it lets one call through: that one closes it or opens it again.
 */
#pragma once

#include "core/base.h"

enum {
    BREAKER_SPAN_SECONDS = 10,
    BREAKER_CALLS_MIN = 20,
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

/* A zeroed struct is a closed breaker. */
struct breaker {
    enum breaker_state state;
    bool has_probe;    /* half open: the one call is under way */
    uint32_t openings; /* in a row, since it last closed */
    uint64_t until_ms; /* open: when to become half open */
    uint64_t second;   /* of the newest slot */
    struct {
        uint32_t succeeded;
        uint32_t failed;
    } slots[BREAKER_SPAN_SECONDS];
};

/* May a call start? Moves an open breaker to half open when its time has come. */
bool breaker_allows(struct breaker *breaker, uint64_t now_ms);
/* A call that was allowed starts. */
void breaker_start(struct breaker *breaker);
/* A call ended. Calls that began before the breaker opened change nothing any more. */
void breaker_note(struct breaker *breaker, bool has_failed, bool is_probe, uint64_t now_ms,
                  uint64_t seed);
/* The probe ended without a verdict on the destination: another may start. */
void breaker_cancel(struct breaker *breaker);
/* The clock was put back by `step_ms` and now says `now_ms`. */
void breaker_rewind(struct breaker *breaker, uint64_t now_ms, uint64_t step_ms);
