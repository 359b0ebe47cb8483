/* SPDX-License-Identifier: Apache-2.0
 *
 * stats.h - counters and latencies, one set per thread, summed by a visitor.
 *
 * A thread counts into its own `struct stats` with plain additions: no lock, no atomic.  Who wants
 * the sum sends a report from thread to thread by mail, and each adds its set between two events of
 * its own.  So what a report takes from one thread is of one moment, and whatever that thread
 * counts together (an entry and its outcome) is seen together.
 */
#pragma once

#include "core/base.h"
#include "core/map.h"
#include "core/slice.h"

enum stats_counter {
#define COUNTER(constant, name, unit, sentence) STATS_##constant,
#define STAGE(constant, name, sentence)
#define FIGURE(constant, name, unit, sentence)
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
    STATS_COUNTER_COUNT
};

enum stats_stage {
#define COUNTER(constant, name, unit, sentence)
#define STAGE(constant, name, sentence) STATS_STAGE_##constant,
#define FIGURE(constant, name, unit, sentence)
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
    STATS_STAGE_COUNT
};

/* Of the store, which keeps them itself. */
enum stats_figure {
#define COUNTER(constant, name, unit, sentence)
#define STAGE(constant, name, sentence)
#define FIGURE(constant, name, unit, sentence) STATS_FIGURE_##constant,
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
    STATS_FIGURE_COUNT
};

/* What a part describes. */
enum stats_kind {
    STATS_ACCOUNT, /* 12 digits */
    STATS_RULE,    /* "central/NAME" or "ACCOUNT/BUS/NAME" */
    STATS_TARGET,  /* resolved ARN */
    STATS_REASON,  /* of a refusal, such as "BAD_SIGNATURE": its count is STATS_REFUSED */
    STATS_KIND_COUNT
};

enum {
    STATS_PARTS_MAX = 65536, /* per kind and thread; what comes later is counted under "other" */
    STATS_SUB_BUCKETS = 16,  /* per power of two: a figure is at most 1/16 too high */
    STATS_BUCKET_COUNT = 40 * STATS_SUB_BUCKETS,
};

struct stats_part {
    char *key;
    uint64_t counters[STATS_COUNTER_COUNT];
};

struct stats_histogram {
    uint64_t count;
    uint64_t max_us;
    uint64_t buckets[STATS_BUCKET_COUNT];
};

/* The sum of a report has the same shape as the set of a thread. */
struct stats {
    uint64_t totals[STATS_COUNTER_COUNT];
    struct map parts[STATS_KIND_COUNT]; /* key -> struct stats_part */
    struct stats_histogram stages[STATS_STAGE_COUNT];
};

struct stats *stats_new(void);
/* NULL is fine. */
void stats_destroy(struct stats *stats);

void stats_count(struct stats *stats, enum stats_counter counter, uint64_t n);
/* Count for one part. Totals are counted apart, because an event has one account and many rules. */
void stats_count_part(struct stats *stats, enum stats_kind kind, struct slice key,
                      enum stats_counter counter, uint64_t n);
/* For the account, and in the totals. */
void stats_count_account(struct stats *stats, struct slice account, enum stats_counter counter,
                         uint64_t n);
void stats_time(struct stats *stats, enum stats_stage stage, uint64_t elapsed_us);

/* Add all of `from` to `into`.  On the thread that owns `from`. */
void stats_add(struct stats *into, const struct stats *from);

/* The value at or below which `percent` of what was timed lies, in µs; 0 if nothing was. */
uint64_t stats_percentile_us(const struct stats_histogram *histogram, unsigned percent);

const char *stats_counter_name(enum stats_counter counter);
const char *stats_counter_text(enum stats_counter counter);
const char *stats_figure_name(enum stats_figure figure);
const char *stats_figure_text(enum stats_figure figure);
const char *stats_stage_name(enum stats_stage stage);
