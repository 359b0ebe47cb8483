/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_trace.c - what happened to one event: GET /v1/trace/EVENT_ID.
 *
 * Each worker adds what it knows, then the lines are put in order of time.  Only this replica is
 * asked: where an event came in by one and was delivered by another, each tells its own part.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/trace.h"

enum { ANSWER_BYTES_MAX = 8 << 20 };

/* "2026-01-31T12:00:00.250Z" */
static void write_time(struct json_writer *writer, struct slice key, uint64_t ms)
{
    char iso[MOMENT_ISO_CHARS];
    char text[MOMENT_ISO_CHARS + 8];

    moment_to_iso(ms, iso);
    (void)snprintf(text, sizeof(text), "%.*s.%03uZ", MOMENT_ISO_CHARS - 1, iso,
                   (unsigned)(ms % 1000));
    json_write_key_string(writer, key, slice_of(text));
}

static void write_text(struct json_writer *writer, struct slice key, struct slice text)
{
    if (text.len > 0) {
        json_write_key_string(writer, key, text);
    }
}

static void write_line(struct json_writer *writer, const struct trace_note *line)
{
    const char *number = trace_kind_number(line->kind);

    json_write_object_begin(writer);
    write_time(writer, SLICE("time"), line->at_ms);
    json_write_key_u64(writer, SLICE("at_ms"), line->at_ms);
    json_write_key_string(writer, SLICE("account"), line->account);
    json_write_key_string(writer, SLICE("step"), slice_of(trace_kind_name(line->kind)));
    if (number != NULL && (line->number > 0 || line->kind != TRACE_DUPLICATE)) {
        json_write_key_u64(writer, slice_of(number), line->number);
    }
    write_text(writer, SLICE("rule"), line->rule);
    write_text(writer, SLICE("target"), line->target);
    write_text(writer, SLICE("sequence_step"), line->sequence_step);
    write_text(writer, SLICE("reason"), line->reason);
    if (line->err != ERR_OK) {
        json_write_key_string(writer, SLICE("error"), slice_of(err_name(line->err)));
    }
    if (line->until_ms > 0) {
        write_time(writer, SLICE("until"), line->until_ms);
    }
    json_write_object_end(writer);
}

/* How many entries it has answered for: what the store counted, and no less than what was seen
 * here.
 */
static uint64_t stands_for(const struct trace_answer *answer)
{
    uint64_t counted = 0;
    uint64_t seen = 0;
    uint64_t repeats = 0;

    for (size_t i = 0; i < answer->line_count; i++) {
        const struct trace_note *line = &answer->lines[i];

        if (line->kind == TRACE_DUPLICATE) {
            counted = MAX_OF(counted, line->number);
            repeats++;
        } else if (line->kind == TRACE_COMMITTED || line->kind == TRACE_UNMATCHED) {
            seen = 1;
        }
    }
    return MAX_OF(counted, seen + repeats);
}

static enum err write_answer(const struct trace_answer *answer, struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("event_id"), answer->event_id);
    json_write_key_u64(&writer, SLICE("stands_for"), stands_for(answer));
    json_write_key_u64(&writer, SLICE("omitted"), answer->omitted);
    json_write_key(&writer, SLICE("steps"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < answer->line_count; i++) {
        write_line(&writer, &answer->lines[i]);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

static void on_traced(void *context, struct trace_answer *answer)
{
    struct request *request = context;
    struct err_why why;
    struct buf out;
    enum err err;

    if (answer->line_count == 0) {
        err = err_because(ERR_NOT_FOUND, &why,
                          "this replica has no trace of that event: it never saw it, or later "
                          "events took its place");
        admin_respond_error(request, err, &why);
        return;
    }
    trace_answer_sort(answer);
    buf_init(&out, ANSWER_BYTES_MAX);
    err = write_answer(answer, &out);
    if (err == ERR_OK) {
        admin_respond_json(request, buf_slice(&out));
    } else {
        admin_respond_error(request, err, NULL);
    }
    buf_clean_up(&out);
}

void admin_trace(struct admin_call *call)
{
    control_trace(call->control, admin_decode(call, call->rest), on_traced, call->request);
}
