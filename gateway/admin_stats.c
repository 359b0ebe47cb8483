/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_stats.c - questions for figures: collect from the workers, then ask the store, then answer.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/report.h"

enum { REPORT_BYTES_MAX = 64 * 1024 * 1024 };

enum format { FORMAT_JSON, FORMAT_PART, FORMAT_METRICS };

/* One question on its way. */
struct inquiry {
    struct admin_call call;
    enum format format;
    struct stats *sum;
    struct store_tally tally;
};

static enum err write_answer(const struct inquiry *inquiry, struct buf *out)
{
    struct slice key = inquiry->call.rest;
    const struct slice section = slice_cut(&key, '/');
    struct control_description process;
    const struct report_source source = {
        .sum = inquiry->sum,
        .tally = &inquiry->tally,
        .store = control_store(inquiry->call.control),
        .now_ms = moment_now_ms(),
        .process = &process,
        .started_ms = inquiry->call.started_ms,
    };

    control_describe(inquiry->call.control, &process);

    switch (inquiry->format) {
    case FORMAT_PART:
        return report_write_part(&source, section, key, out);
    case FORMAT_METRICS:
        return report_write_metrics(&source, out);
    case FORMAT_JSON:
    default:
        return report_write_json(&source, out);
    }
}

static void on_tally(struct store_op *op)
{
    struct inquiry *inquiry = CONTAINER_OF(op, struct inquiry, tally.op);
    struct request *request = inquiry->call.request;
    struct buf out;
    enum err err = control_store(inquiry->call.control) != NULL ? op->err : ERR_STOPPING;

    buf_init(&out, REPORT_BYTES_MAX);
    if (err == ERR_OK) {
        err = write_answer(inquiry, &out);
    }
    if (err != ERR_OK) {
        admin_respond_error(request, err, NULL);
    } else if (inquiry->format == FORMAT_METRICS) {
        request->response.status = 200;
        request->response.content_type = SLICE("text/plain; version=0.0.4; charset=utf-8");
        request->response.body = arena_copy(&request->arena, buf_slice(&out));
        request_respond(request);
    } else {
        admin_respond_json(request, buf_slice(&out));
    }
    buf_clean_up(&out);
    store_tally_clean_up(&inquiry->tally);
    stats_destroy(inquiry->sum);
    xfree(inquiry);
}

static void on_collected(void *context, const struct stats *sum)
{
    struct inquiry *inquiry = context;

    inquiry->sum = stats_new();
    stats_add(inquiry->sum, sum);
    stats_count(inquiry->sum, STATS_REPLID_CHANGES,
                store_replid_changes(control_store(inquiry->call.control)));
    inquiry->tally.op = (struct store_op){
        .kind = STORE_TALLY,
        .home = control_mailbox(inquiry->call.control),
        .on_done = on_tally,
    };
    store_submit(control_store(inquiry->call.control), &inquiry->tally.op);
}

static void inquire(const struct admin_call *call, enum format format)
{
    struct inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

    inquiry->call = *call;
    inquiry->format = format;
    control_collect(call->control, on_collected, inquiry);
}

void admin_stats_all(struct admin_call *call)
{
    inquire(call, FORMAT_JSON);
}

void admin_stats_part(struct admin_call *call)
{
    inquire(call, FORMAT_PART);
}

void admin_stats_metrics(struct admin_call *call)
{
    inquire(call, FORMAT_METRICS);
}
