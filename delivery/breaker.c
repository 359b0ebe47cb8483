/* SPDX-License-Identifier: Apache-2.0
 *
 * breaker.c - a window of ten one-second slots and three states.
 *
 * Pure: only `now_ms` and a seed for the jitter.  Invariant: has_probe only while half open.
 */
#include "delivery/breaker.h"

#include "core/check.h"
#include "delivery/retry.h"

static void advance(struct breaker *breaker, uint64_t now_ms)
{
    const uint64_t second = now_ms / 1000;

    if (second <= breaker->second) {
        return; /* the same slot, or a clock that stepped back */
    }
    if (second - breaker->second >= BREAKER_SPAN_SECONDS) {
        memset(breaker->slots, 0, sizeof(breaker->slots));
    } else {
        for (uint64_t s = breaker->second + 1; s <= second; s++) {
            memset(&breaker->slots[s % BREAKER_SPAN_SECONDS], 0, sizeof(breaker->slots[0]));
        }
    }
    breaker->second = second;
}

static bool is_tripped(const struct breaker *breaker)
{
    uint64_t failed = 0;
    uint64_t total = 0;

    for (size_t i = 0; i < BREAKER_SPAN_SECONDS; i++) {
        failed += breaker->slots[i].failed;
        total += breaker->slots[i].failed + breaker->slots[i].succeeded;
    }
    return total >= BREAKER_CALLS_MIN && failed * 2 >= total;
}

static void open_until(struct breaker *breaker, uint64_t now_ms, uint64_t seed)
{
    breaker->openings++;
    breaker->state = BREAKER_OPEN;
    breaker->has_probe = false;
    breaker->until_ms = now_ms + retry_delay_ms(breaker->openings, seed);
}

bool breaker_allows(struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == BREAKER_OPEN && now_ms >= breaker->until_ms) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->has_probe = false;
    }
    switch (breaker->state) {
    case BREAKER_CLOSED:
        return true;
    case BREAKER_HALF_OPEN:
        return !breaker->has_probe;
    case BREAKER_OPEN:
    default:
        return false;
    }
}

void breaker_start(struct breaker *breaker)
{
    CHECK(breaker->state != BREAKER_OPEN);
    CHECK(!breaker->has_probe);
    breaker->has_probe = breaker->state == BREAKER_HALF_OPEN;
}

void breaker_cancel(struct breaker *breaker)
{
    CHECK(breaker->has_probe);
    breaker->has_probe = false;
}

void breaker_note(struct breaker *breaker, bool has_failed, bool is_probe, uint64_t now_ms,
                  uint64_t seed)
{
    if (is_probe) {
        CHECK(breaker->state == BREAKER_HALF_OPEN);
        CHECK(breaker->has_probe);
        if (has_failed) {
            open_until(breaker, now_ms, seed);
        } else {
            *breaker = (struct breaker){.second = now_ms / 1000};
        }
        return;
    }
    if (breaker->state != BREAKER_CLOSED) {
        return;
    }
    advance(breaker, now_ms);
    if (has_failed) {
        breaker->slots[breaker->second % BREAKER_SPAN_SECONDS].failed++;
        if (is_tripped(breaker)) {
            open_until(breaker, now_ms, seed);
        }
    } else {
        breaker->slots[breaker->second % BREAKER_SPAN_SECONDS].succeeded++;
    }
}

void breaker_rewind(struct breaker *breaker, uint64_t now_ms, uint64_t step_ms)
{
    breaker->until_ms -= MIN_OF(breaker->until_ms, step_ms);
    if (breaker->second > now_ms / 1000) {
        memset(breaker->slots, 0, sizeof(breaker->slots));
        breaker->second = now_ms / 1000;
    }
}
