/* SPDX-License-Identifier: Apache-2.0
 *
 * destination.h - endpoint + credential: how many calls at once, and whose turn it is.
 *
 * The gate: concurrency between 1 and 64 grows by one per round of successes and halves when the
 * destination pushes back (AIMD), under a ceiling that doubles every 10 seconds after a start or an
 * outage; a breaker; a pause that the destination asked for; a rate, where one is set.  The turns:
 * deficit round robin by bytes among the lanes that have something to send.
 */
#pragma once

#include "core/arena.h"
#include "core/heap.h"
#include "core/list.h"
#include "core/slice.h"
#include "delivery/breaker.h"
#include "delivery/lane.h"

struct credentials;
struct target;

enum {
    DESTINATION_CALLS_MAX = 64,
    DESTINATION_CALLS_FIRST = 4,
    DESTINATION_RAMP_MS = 10 * 1000,  /* the ceiling doubles this often */
    DESTINATION_QUANTUM_BYTES = 8192, /* what a lane may send per turn */
    DESTINATION_COST_BYTES = 1024,    /* of a delivery beside its bytes */
};

struct destination {
    uint32_t magic;
    struct arena arena; /* holds key, ARN and role */
    struct slice key;
    struct slice arn;
    struct slice role_arn; /* empty: weir's own credentials */
    struct slice external_id;
    struct slice account;
    struct target *target;
    size_t references; /* lanes and calls */

    /* the gate */
    size_t call_count; /* under way, in whichever stage */
    bool is_preparing; /* the first call asks for credentials or looks something up */
    double limit;      /* calls at once */
    uint64_t ramp_ms;  /* when the ramp began */
    uint64_t cut_ms;   /* when the limit was cut last: once per round is enough */
    uint64_t pause_until_ms;
    struct breaker breaker;
    double calls_per_second; /* at most; 0: as many as it bears */
    double call_tokens;      /* that the rate has left, as of */
    uint64_t tokens_ms;

    /* the turns */
    struct list ready;  /* lanes, by their `turn` */
    struct list hungry; /* lanes, by their `hunger` */
    size_t claim_count; /* claims under way for them */

    /* owned by the coordinator */
    struct credentials *credentials; /* or NULL: ask */
    bool must_renew;
    struct list active;    /* among the destinations that may have something to do */
    struct heap_node wake; /* in the engine's heap, while the gate is shut */
};

struct destination *destination_new(struct slice key, uint64_t now_ms);
/* No lane and no call may refer to it. */
void destination_destroy(struct destination *destination);

/* May one more call start? */
bool destination_may_start(struct destination *destination, uint64_t now_ms);
/* At most so many calls a second from now on: in any time of T seconds rate x T, and a tenth of a
 * second's worth more (one at least). */
void destination_set_rate(struct destination *destination, double calls_per_second,
                          uint64_t now_ms);
/* Until when the gate is shut whatever else happens; 0 if it is not. */
uint64_t destination_shut_until_ms(const struct destination *destination, uint64_t now_ms);
/* Is the next call a probe, which should risk one delivery only? */
bool destination_is_probing(const struct destination *destination);
/* May lanes claim for it?  While it is probing, only when nothing is at hand. */
bool destination_may_claim(struct destination *destination, uint64_t now_ms);

enum destination_verdict {
    DESTINATION_WELL,      /* it answered */
    DESTINATION_THROTTLED, /* it asks for fewer calls */
    DESTINATION_FAILED,    /* no answer, or a fault of its own */
    DESTINATION_UNTOUCHED, /* the call says nothing about it */
};

/* A call begins; true if it is the probe of a half-open breaker. */
bool destination_start(struct destination *destination);
/* It ended. */
void destination_finish(struct destination *destination, enum destination_verdict verdict,
                        bool is_probe, uint64_t started_ms, uint64_t now_ms, uint64_t seed);
/* The clock was put back by `step_ms` and now says `now_ms`. */
void destination_rewind(struct destination *destination, uint64_t now_ms, uint64_t step_ms);
/* Forget what it was left alone for: a pause, or a breaker that has opened, which now probes. */
void destination_unshut(struct destination *destination);
/* No call before then. */
void destination_pause(struct destination *destination, uint64_t until_ms);

/* Let the lane stand in line, or not, as lane_may_send() says. */
void destination_enlist(struct destination *destination, struct lane *lane);
/* Take the deliveries of the next call off their lanes, in turn: at most `count_max` of together
 * at most `bytes_max`, but at least one; they become READY and are appended to `batch`. */
size_t destination_pick(struct destination *destination, size_t count_max, size_t bytes_max,
                        struct list *batch);
