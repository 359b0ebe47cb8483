/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - counters as people and machines read them: one JSON document, and Prometheus text.
 */
#pragma once

#include "core/buf.h"
#include "core/stats.h"
#include "storage/store.h"

struct control_description;

struct report_source {
    const struct stats *sum;         /* all workers */
    const struct store_tally *tally; /* deliveries, from the store */
    struct store *store;
    const struct control_description *process;
    uint64_t now_ms;
    uint64_t started_ms;
};

/* Append the document of GET /v1/stats. ERR_TOO_LARGE past the maximum of `out`. */
MUST_USE enum err report_write_json(const struct report_source *source, struct buf *out);
/* Append one part: `section` is "accounts", "rules" or "targets".  ERR_NOT_FOUND without it. */
MUST_USE enum err report_write_part(const struct report_source *source, struct slice section,
                                    struct slice key, struct buf *out);
/* Append the text exposition format 0.0.4 of Prometheus. */
MUST_USE enum err report_write_metrics(const struct report_source *source, struct buf *out);
