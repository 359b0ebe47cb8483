/* SPDX-License-Identifier: Apache-2.0
 *
 * report.c - writes what was counted.
 *
 * Entries are counted by the workers since the process started; deliveries are counted by the
 * store, in the same step as the delivery itself, since the store was made.  Each ledger balances
 * within its own source:
 *
 *   entries     received = refused + throttled + failed + duplicate + unmatched + committed
 *   deliveries  created  = delivered + dropped + expired + live + dead
 */
#include "gateway/report.h"

#include "accounts/role_watch.h"
#include "core/check.h"
#include "core/json_write.h"
#include "gateway/control.h"

/* One account's deliveries, or the sum over all. */
static struct store_tally_row sum_tally(const struct store_tally *tally)
{
    struct store_tally_row sum = {.account = ""};

    for (size_t i = 0; i < tally->row_count; i++) {
        const struct store_tally_row *row = &tally->rows[i];

        sum.created += row->created;
        sum.delivered += row->delivered;
        sum.dropped += row->dropped;
        sum.expired += row->expired;
        sum.redriven += row->redriven;
        sum.live += row->live;
        sum.dead += row->dead;
        if (row->oldest_due_ms != 0 &&
            (sum.oldest_due_ms == 0 || row->oldest_due_ms < sum.oldest_due_ms)) {
            sum.oldest_due_ms = row->oldest_due_ms;
        }
    }
    return sum;
}

static const struct store_tally_row *tally_of(const struct store_tally *tally, struct slice account)
{
    for (size_t i = 0; i < tally->row_count; i++) {
        if (slice_eq(slice_of(tally->rows[i].account), account)) {
            return &tally->rows[i];
        }
    }
    return NULL;
}

/* ---- one sample of Prometheus ---------------------------------------------------------------- */

static enum err write_sample(struct buf *out, const char *name, const char *kind, const char *text,
                             uint64_t value)
{
    return buf_printf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\nweir_%s %" PRIu64 "\n", name,
                      text, name, kind, name, value);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void write_counter(struct json_writer *writer, const uint64_t *counters,
                          enum stats_counter counter)
{
    json_write_key_u64(writer, slice_of(stats_counter_name(counter)), counters[counter]);
}

static const enum stats_counter entry_counters[] = {
    STATS_RECEIVED,  STATS_REFUSED,   STATS_THROTTLED, STATS_FAILED,
    STATS_DUPLICATE, STATS_UNMATCHED, STATS_COMMITTED,
};

static void write_entries(struct json_writer *writer, const uint64_t *counters)
{
    for (size_t i = 0; i < ARRAY_LEN(entry_counters); i++) {
        write_counter(writer, counters, entry_counters[i]);
    }
}

static void write_deliveries(struct json_writer *writer, const struct store_tally_row *row)
{
    json_write_key_u64(writer, SLICE("created"), row->created);
    json_write_key_u64(writer, SLICE("delivered"), row->delivered);
    json_write_key_u64(writer, SLICE("dropped"), row->dropped);
    json_write_key_u64(writer, SLICE("expired"), row->expired);
    json_write_key_u64(writer, SLICE("live"), row->live);
    json_write_key_u64(writer, SLICE("dead"), row->dead);
}

static void write_queue(struct json_writer *writer, const struct store_tally_row *row,
                        uint64_t now_ms)
{
    const bool is_waiting = row->oldest_due_ms != 0 && now_ms > row->oldest_due_ms;

    json_write_key_u64(writer, SLICE("redriven"), row->redriven);
    json_write_key_u64(writer, SLICE("queue_depth"), row->live);
    json_write_key_u64(writer, SLICE("oldest_age_ms"),
                       is_waiting ? now_ms - row->oldest_due_ms : 0);
}

/* Every counter that is neither of the entry ledger nor of the store's. */
static void write_others(struct json_writer *writer, const uint64_t *counters)
{
    for (size_t i = 0; i < STATS_COUNTER_COUNT; i++) {
        bool is_elsewhere =
            i == STATS_CREATED || i == STATS_DELIVERED || i == STATS_DEAD || i == STATS_MATCHED;

        for (size_t k = 0; k < ARRAY_LEN(entry_counters); k++) {
            is_elsewhere = is_elsewhere || i == (size_t)entry_counters[k];
        }
        if (!is_elsewhere) {
            write_counter(writer, counters, (enum stats_counter)i);
        }
    }
}

static void write_reasons(struct json_writer *writer, const struct stats *sum)
{
    const struct stats_part *part;
    size_t cursor = 0;
    char name[128];

    while ((part = map_next(&sum->parts[STATS_REASON], &cursor)) != NULL) {
        (void)snprintf(name, sizeof(name), "refused_by.%.100s", part->key);
        json_write_key_u64(writer, slice_of(name), part->counters[STATS_REFUSED]);
    }
}

static void write_totals(struct json_writer *writer, const struct report_source *source)
{
    const struct store_tally_row row = sum_tally(source->tally);

    json_write_object_begin(writer);
    write_entries(writer, source->sum->totals);
    write_deliveries(writer, &row);
    write_queue(writer, &row, source->now_ms);
    write_others(writer, source->sum->totals);
    write_reasons(writer, source->sum);
    json_write_object_end(writer);
}

static bool is_balanced(const uint64_t *counters, const struct store_tally_row *row)
{
    uint64_t outcomes = 0;

    for (size_t i = 1; i < ARRAY_LEN(entry_counters); i++) {
        outcomes += counters[entry_counters[i]];
    }
    return outcomes == counters[STATS_RECEIVED] &&
           row->created == row->delivered + row->dropped + row->expired + row->live + row->dead;
}

static void write_ledger(struct json_writer *writer, const struct report_source *source)
{
    const struct store_tally_row row = sum_tally(source->tally);

    json_write_object_begin(writer);
    json_write_key(writer, SLICE("entries"));
    json_write_object_begin(writer);
    write_entries(writer, source->sum->totals);
    json_write_object_end(writer);
    json_write_key(writer, SLICE("deliveries"));
    json_write_object_begin(writer);
    write_deliveries(writer, &row);
    json_write_object_end(writer);
    json_write_key_bool(writer, SLICE("balanced"), is_balanced(source->sum->totals, &row));
    json_write_object_end(writer);
}

/* Only for an account that has a dispatch role. */
static void write_role_of(struct json_writer *writer, const struct report_source *source,
                          struct slice account)
{
    struct role_health health;

    if (role_watch_read(source->process->roles, account, &health)) {
        json_write_key_u64(writer, SLICE("role_healthy"), health.state == ROLE_HEALTHY ? 1 : 0);
        json_write_key_u64(writer, SLICE("role_broken"), health.state == ROLE_BROKEN ? 1 : 0);
        json_write_key_u64(writer, SLICE("role_checked_ms"), health.checked_ms);
    }
}

static void write_account(struct json_writer *writer, const struct report_source *source,
                          struct slice account)
{
    static const struct stats_part empty_part = {0};
    static const struct store_tally_row empty_row = {.account = ""};
    const struct stats_part *part = map_get(&source->sum->parts[STATS_ACCOUNT], account);
    const struct store_tally_row *row = tally_of(source->tally, account);

    part = part != NULL ? part : &empty_part;
    row = row != NULL ? row : &empty_row;
    json_write_object_begin(writer);
    write_entries(writer, part->counters);
    write_counter(writer, part->counters, STATS_DEDUP_CONFLICT);
    write_deliveries(writer, row);
    write_queue(writer, row, source->now_ms);
    write_counter(writer, part->counters, STATS_RETRIED);
    write_role_of(writer, source, account);
    json_write_object_end(writer);
}

static void write_accounts(struct json_writer *writer, const struct report_source *source)
{
    const struct stats_part *part;
    size_t cursor = 0;

    json_write_object_begin(writer);
    while ((part = map_next(&source->sum->parts[STATS_ACCOUNT], &cursor)) != NULL) {
        json_write_key(writer, slice_of(part->key));
        write_account(writer, source, slice_of(part->key));
    }
    for (size_t i = 0; i < source->tally->row_count; i++) {
        const struct slice account = slice_of(source->tally->rows[i].account);

        if (map_get(&source->sum->parts[STATS_ACCOUNT], account) == NULL) {
            json_write_key(writer, account);
            write_account(writer, source, account);
        }
    }
    json_write_object_end(writer);
}

static const struct {
    struct slice section;
    enum stats_kind kind;
    enum stats_counter counters[12];
    size_t counter_count;
} sections[] = {
    {SLICE_INIT("rules"),
     STATS_RULE,
     {STATS_MATCHED, STATS_SCHEDULED, STATS_CREATED, STATS_DELIVERED, STATS_RETRIED, STATS_DEAD,
      STATS_DLQ_SENT, STATS_DLQ_REFUSED, STATS_DLQ_FAILED, STATS_STEPS_DONE, STATS_STEPS_FAILED,
      STATS_STEPS_PASSED},
     12},
    {SLICE_INIT("targets"),
     STATS_TARGET,
     {STATS_DELIVERED, STATS_RETRIED, STATS_DEAD, STATS_DLQ_SENT, STATS_DLQ_REFUSED,
      STATS_DLQ_FAILED, STATS_STEPS_DONE, STATS_STEPS_FAILED, STATS_STEPS_PASSED},
     9},
};

static void write_part(struct json_writer *writer, const struct stats_part *part, size_t section)
{
    json_write_object_begin(writer);
    for (size_t i = 0; i < sections[section].counter_count; i++) {
        write_counter(writer, part->counters, sections[section].counters[i]);
    }
    json_write_object_end(writer);
}

static void write_section(struct json_writer *writer, const struct report_source *source,
                          size_t section)
{
    const struct stats_part *part;
    size_t cursor = 0;

    json_write_key(writer, sections[section].section);
    json_write_object_begin(writer);
    while ((part = map_next(&source->sum->parts[sections[section].kind], &cursor)) != NULL) {
        json_write_key(writer, slice_of(part->key));
        write_part(writer, part, section);
    }
    json_write_object_end(writer);
}

static void write_latency(struct json_writer *writer, const struct stats *sum)
{
    json_write_object_begin(writer);
    for (size_t i = 0; i < STATS_STAGE_COUNT; i++) {
        const struct stats_histogram *histogram = &sum->stages[i];

        json_write_key(writer, slice_of(stats_stage_name((enum stats_stage)i)));
        json_write_object_begin(writer);
        json_write_key_u64(writer, SLICE("count"), histogram->count);
        json_write_key_u64(writer, SLICE("p50_us"), stats_percentile_us(histogram, 50));
        json_write_key_u64(writer, SLICE("p90_us"), stats_percentile_us(histogram, 90));
        json_write_key_u64(writer, SLICE("p99_us"), stats_percentile_us(histogram, 99));
        json_write_key_u64(writer, SLICE("max_us"), histogram->max_us);
        json_write_object_end(writer);
    }
    json_write_object_end(writer);
}

static void read_figures(const struct report_source *source, uint64_t figures[STATS_FIGURE_COUNT])
{
    const struct store_recovery *recovery = &source->store->recovery;

    figures[STATS_FIGURE_REPLICAS] = source->process->replica_count;
    figures[STATS_FIGURE_BYTES] = source->tally->bytes_used;
    figures[STATS_FIGURE_FLUSHES] = source->tally->commits;
    figures[STATS_FIGURE_FLUSHED_ENTRIES] = source->tally->commit_entries;
    figures[STATS_FIGURE_RECOVERY_MS] = recovery->took_ms;
    figures[STATS_FIGURE_RECOVERED_EVENTS] = recovery->event_count;
    figures[STATS_FIGURE_RECOVERED_DELIVERIES] = recovery->delivery_count;
}

static void write_store(struct json_writer *writer, const struct report_source *source)
{
    uint64_t figures[STATS_FIGURE_COUNT];

    read_figures(source, figures);
    json_write_object_begin(writer);
    json_write_key_string(writer, SLICE("kind"), slice_of(source->store->kind));
    json_write_key_string(writer, SLICE("guarantee"), slice_of(store_guarantee(source->store)));
    for (size_t i = 0; i < STATS_FIGURE_COUNT; i++) {
        json_write_key_u64(writer, slice_of(stats_figure_name((enum stats_figure)i)), figures[i]);
    }
    json_write_object_end(writer);
}

static void write_replica(struct json_writer *writer, const struct report_source *source)
{
    const struct control_description *process = source->process;

    json_write_object_begin(writer);
    json_write_key_string(writer, SLICE("id"), process->replica);
    json_write_key_u64(writer, SLICE("uptime_ms"), source->now_ms - source->started_ms);
    json_write_key_u64(writer, SLICE("catalog_rev"), process->catalog_rev);
    json_write_key_u64(writer, SLICE("catalog_refused"), process->refused_documents);
    json_write_key_bool(writer, SLICE("catalog_compiles"), !process->is_refusing);
    json_write_key_string(writer, SLICE("credentials"), slice_of(process->credentials_source));
    json_write_object_end(writer);
}

/* ---- dispatch roles -------------------------------------------------------------------------- */

enum { ROLE_FIGURE_COUNT = 4 };

/* Name and sentence of each, in the order of read_roles(). */
static const struct {
    const char *name;
    const char *kind;
    const char *text;
} role_figures[ROLE_FIGURE_COUNT] = {
    {"healthy", "gauge", "Dispatch roles that STS gave when it was asked last."},
    {"broken", "gauge", "Dispatch roles that STS refused when it was asked last."},
    {"unchecked", "gauge", "Dispatch roles of which STS has said nothing since the start."},
    {"sts_calls", "counter", "Calls to STS for a role, deliveries' and checks' together."},
};

static void read_roles(const struct report_source *source, uint64_t figures[ROLE_FIGURE_COUNT])
{
    struct role_counts counts;

    role_watch_count(source->process->roles, &counts);
    figures[0] = counts.healthy;
    figures[1] = counts.broken;
    figures[2] = counts.unchecked;
    figures[3] = source->process->sts_calls;
}

static void write_roles(struct json_writer *writer, const struct report_source *source)
{
    uint64_t figures[ROLE_FIGURE_COUNT];

    read_roles(source, figures);
    json_write_object_begin(writer);
    for (size_t i = 0; i < ROLE_FIGURE_COUNT; i++) {
        json_write_key_u64(writer, slice_of(role_figures[i].name), figures[i]);
    }
    json_write_object_end(writer);
}

static enum err write_role_samples(const struct report_source *source, struct buf *out)
{
    uint64_t figures[ROLE_FIGURE_COUNT];
    char name[64];

    read_roles(source, figures);
    for (size_t i = 0; i < ROLE_FIGURE_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "roles_%s", role_figures[i].name);
        TRY(write_sample(out, name, role_figures[i].kind, role_figures[i].text, figures[i]));
    }
    return ERR_OK;
}

enum err report_write_json(const struct report_source *source, struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("totals"));
    write_totals(&writer, source);
    json_write_key(&writer, SLICE("ledger"));
    write_ledger(&writer, source);
    json_write_key(&writer, SLICE("accounts"));
    write_accounts(&writer, source);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        write_section(&writer, source, i);
    }
    json_write_key(&writer, SLICE("latency"));
    write_latency(&writer, source->sum);
    json_write_key(&writer, SLICE("store"));
    write_store(&writer, source);
    json_write_key(&writer, SLICE("roles"));
    write_roles(&writer, source);
    json_write_key(&writer, SLICE("replica"));
    write_replica(&writer, source);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

enum err report_write_part(const struct report_source *source, struct slice section,
                           struct slice key, struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    if (slice_eq(section, SLICE("accounts"))) {
        write_account(&writer, source, key);
        return json_write_end(&writer);
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct stats_part *part = map_get(&source->sum->parts[sections[i].kind], key);

        if (slice_eq(section, sections[i].section) && part != NULL) {
            write_part(&writer, part, i);
            return json_write_end(&writer);
        }
    }
    return ERR_NOT_FOUND;
}

/* ---- Prometheus --------------------------------------------------------------------------- */

static enum err write_process_counters(const struct stats *sum, struct buf *out)
{
    char name[64];

    for (size_t i = 0; i < STATS_COUNTER_COUNT; i++) {
        if (i != STATS_MATCHED) {
            (void)snprintf(name, sizeof(name), "%s_total",
                           stats_counter_name((enum stats_counter)i));
            TRY(write_sample(out, name, "counter", stats_counter_text((enum stats_counter)i),
                             sum->totals[i]));
        }
    }
    return ERR_OK;
}

static enum err write_latency_summaries(const struct stats *sum, struct buf *out)
{
    static const unsigned percents[] = {50, 90, 99};

    TRY(buf_append(out, SLICE("# HELP weir_latency_seconds Latency of each stage.\n"
                              "# TYPE weir_latency_seconds summary\n")));
    for (size_t i = 0; i < STATS_STAGE_COUNT; i++) {
        const struct stats_histogram *histogram = &sum->stages[i];
        const char *stage = stats_stage_name((enum stats_stage)i);

        for (size_t k = 0; k < ARRAY_LEN(percents); k++) {
            TRY(buf_printf(out, "weir_latency_seconds{stage=\"%s\",quantile=\"0.%u\"} %.6f\n",
                           stage, percents[k],
                           (double)stats_percentile_us(histogram, percents[k]) / 1e6));
        }
        TRY(buf_printf(out, "weir_latency_seconds_count{stage=\"%s\"} %" PRIu64 "\n", stage,
                       histogram->count));
    }
    return ERR_OK;
}

static enum err write_store_samples(const struct report_source *source, struct buf *out)
{
    uint64_t figures[STATS_FIGURE_COUNT];
    char name[64];

    read_figures(source, figures);
    for (size_t i = 0; i < STATS_FIGURE_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "store_%s", stats_figure_name((enum stats_figure)i));
        TRY(write_sample(out, name, "gauge", stats_figure_text((enum stats_figure)i), figures[i]));
    }
    return ERR_OK;
}

enum err report_write_metrics(const struct report_source *source, struct buf *out)
{
    const struct store_tally_row row = sum_tally(source->tally);

    TRY(write_process_counters(source->sum, out));
    TRY(write_sample(out, "deliveries_live", "gauge", "Deliveries not yet ended.", row.live));
    TRY(write_sample(out, "deliveries_dead", "gauge", "Dead letters in the store.", row.dead));
    TRY(write_store_samples(source, out));
    TRY(write_role_samples(source, out));
    TRY(write_sample(out, "ledger_balanced", "gauge", "1 while both ledgers balance.",
                     is_balanced(source->sum->totals, &row) ? 1 : 0));
    return write_latency_summaries(source->sum, out);
}
