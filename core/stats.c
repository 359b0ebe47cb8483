/* SPDX-License-Identifier: Apache-2.0
 *
 * stats.c - adding up.
 *
 * Latencies go into log-linear buckets: 16 for each power of two microseconds, so every percentile
 * is known within 1/16 without keeping a single sample.  Buckets 0..15 hold 0..15 µs exactly.
 */
#include "core/stats.h"

#include "core/check.h"

static const char *const counter_names[] = {
#define COUNTER(constant, name, unit, sentence) name,
#define STAGE(constant, name, sentence)
#define FIGURE(constant, name, unit, sentence)
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
};

static const char *const counter_texts[] = {
#define COUNTER(constant, name, unit, sentence) sentence,
#define STAGE(constant, name, sentence)
#define FIGURE(constant, name, unit, sentence)
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
};

static const char *const stage_names[] = {
#define COUNTER(constant, name, unit, sentence)
#define STAGE(constant, name, sentence) name,
#define FIGURE(constant, name, unit, sentence)
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
};

static const struct {
    const char *name;
    const char *text;
} figures[] = {
#define COUNTER(constant, name, unit, sentence)
#define STAGE(constant, name, sentence)
#define FIGURE(constant, name, unit, sentence) {name, sentence},
#include "core/stats.def"
#undef COUNTER
#undef STAGE
#undef FIGURE
};

struct stats *stats_new(void)
{
    return xcalloc(1, sizeof(struct stats));
}

void stats_destroy(struct stats *stats)
{
    if (stats == NULL) {
        return;
    }
    for (size_t kind = 0; kind < STATS_KIND_COUNT; kind++) {
        struct stats_part *part;
        size_t cursor = 0;

        while ((part = map_next(&stats->parts[kind], &cursor)) != NULL) {
            xfree(part->key);
            xfree(part);
        }
        map_clean_up(&stats->parts[kind]);
    }
    xfree(stats);
}

void stats_count(struct stats *stats, enum stats_counter counter, uint64_t n)
{
    stats->totals[counter] += n;
}

static struct stats_part *part_of(struct stats *stats, enum stats_kind kind, struct slice key)
{
    struct map *parts = &stats->parts[kind];
    struct stats_part *part = map_get(parts, key);

    if (part == NULL && parts->count >= STATS_PARTS_MAX) {
        key = SLICE("other");
        part = map_get(parts, key);
    }
    if (part == NULL) {
        part = xcalloc(1, sizeof(*part));
        part->key = xstrndup(key.data, key.len);
        (void)map_put(parts, (struct slice){part->key, key.len}, part);
    }
    return part;
}

void stats_count_part(struct stats *stats, enum stats_kind kind, struct slice key,
                      enum stats_counter counter, uint64_t n)
{
    CHECK(kind < STATS_KIND_COUNT);
    CHECK(counter < STATS_COUNTER_COUNT);
    part_of(stats, kind, key)->counters[counter] += n;
}

void stats_count_account(struct stats *stats, struct slice account, enum stats_counter counter,
                         uint64_t n)
{
    stats_count(stats, counter, n);
    stats_count_part(stats, STATS_ACCOUNT, account, counter, n);
}

/* ---- latencies ----------------------------------------------------------------------------------
 */

static size_t bucket_of(uint64_t us)
{
    unsigned power;

    if (us < STATS_SUB_BUCKETS) {
        return (size_t)us;
    }
    power = 63U - (unsigned)__builtin_clzll(us); /* >= 4 */
    return MIN_OF((size_t)(power - 3) * STATS_SUB_BUCKETS +
                      (size_t)((us >> (power - 4)) & (STATS_SUB_BUCKETS - 1)),
                  (size_t)STATS_BUCKET_COUNT - 1);
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_top_us(size_t bucket)
{
    const unsigned power = (unsigned)(bucket / STATS_SUB_BUCKETS) + 3;
    const uint64_t place = bucket % STATS_SUB_BUCKETS;

    if (bucket < STATS_SUB_BUCKETS) {
        return bucket;
    }
    return ((STATS_SUB_BUCKETS + place + 1) << (power - 4)) - 1;
}

void stats_time(struct stats *stats, enum stats_stage stage, uint64_t elapsed_us)
{
    struct stats_histogram *histogram = &stats->stages[stage];

    histogram->count++;
    histogram->max_us = MAX_OF(histogram->max_us, elapsed_us);
    histogram->buckets[bucket_of(elapsed_us)]++;
}

uint64_t stats_percentile_us(const struct stats_histogram *histogram, unsigned percent)
{
    const uint64_t wanted = (histogram->count * percent + 99) / 100;
    uint64_t seen = 0;

    if (histogram->count == 0) {
        return 0;
    }
    for (size_t i = 0; i < STATS_BUCKET_COUNT; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            return MIN_OF(bucket_top_us(i), histogram->max_us);
        }
    }
    return histogram->max_us;
}

/* ---- sums
 * ----------------------------------------------------------------------------------------- */

static void add_parts(struct stats *into, const struct stats *from, enum stats_kind kind)
{
    const struct stats_part *part;
    size_t cursor = 0;

    while ((part = map_next(&from->parts[kind], &cursor)) != NULL) {
        struct stats_part *sum = part_of(into, kind, slice_of(part->key));

        for (size_t i = 0; i < STATS_COUNTER_COUNT; i++) {
            sum->counters[i] += part->counters[i];
        }
    }
}

void stats_add(struct stats *into, const struct stats *from)
{
    for (size_t i = 0; i < STATS_COUNTER_COUNT; i++) {
        into->totals[i] += from->totals[i];
    }
    for (size_t kind = 0; kind < STATS_KIND_COUNT; kind++) {
        add_parts(into, from, (enum stats_kind)kind);
    }
    for (size_t i = 0; i < STATS_STAGE_COUNT; i++) {
        struct stats_histogram *sum = &into->stages[i];
        const struct stats_histogram *part = &from->stages[i];

        sum->count += part->count;
        sum->max_us = MAX_OF(sum->max_us, part->max_us);
        for (size_t k = 0; k < STATS_BUCKET_COUNT; k++) {
            sum->buckets[k] += part->buckets[k];
        }
    }
}

const char *stats_counter_name(enum stats_counter counter)
{
    CHECK(counter < STATS_COUNTER_COUNT);
    return counter_names[counter];
}

const char *stats_counter_text(enum stats_counter counter)
{
    CHECK(counter < STATS_COUNTER_COUNT);
    return counter_texts[counter];
}

const char *stats_figure_name(enum stats_figure figure)
{
    CHECK(figure < STATS_FIGURE_COUNT);
    return figures[figure].name;
}

const char *stats_figure_text(enum stats_figure figure)
{
    CHECK(figure < STATS_FIGURE_COUNT);
    return figures[figure].text;
}

const char *stats_stage_name(enum stats_stage stage)
{
    CHECK(stage < STATS_STAGE_COUNT);
    return stage_names[stage];
}
