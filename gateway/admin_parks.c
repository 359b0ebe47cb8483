/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_parks.c - what this replica has parked, and the hand that lifts it: GET /v1/parks, POST
 * /v1/parks/lift.
 *
 * Each worker tells of its own lanes in its turn, so the rows are written on their threads, one
 * after the other, into an answer that belongs to the request.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/admin_query.h"
#include "gateway/park_answer.h"

enum { ROWS_MAX = 1000, ANSWER_BYTES_MAX = 8 << 20 };

struct parks {
    struct park_answer answer; /* first */
    struct request *request;
    struct json_writer writer;
    struct buf out;
    uint64_t count;
};

static void on_park(void *context, const struct delivery_park *park)
{
    struct parks *parks = CONTAINER_OF((struct park_answer *)context, struct parks, answer);
    struct json_writer *writer = &parks->writer;
    char until[MOMENT_ISO_CHARS];

    if (++parks->count > ROWS_MAX) {
        return;
    }
    moment_to_iso(park->until_ms, until);
    json_write_object_begin(writer);
    json_write_key_string(writer, SLICE("account"), park->account);
    json_write_key_string(writer, SLICE("rule"), park->rule);
    json_write_key_string(writer, SLICE("target"), park->target);
    if (park->step.len > 0) {
        json_write_key_string(writer, SLICE("step"), park->step);
    }
    json_write_key_u64(writer, SLICE("failures"), park->failure_count);
    json_write_key_string(writer, SLICE("until"), (struct slice){until, sizeof(until)});
    json_write_object_end(writer);
}

static void on_asked(void *context)
{
    struct parks *parks = context;
    enum err err;

    json_write_array_end(&parks->writer);
    json_write_key_u64(&parks->writer, SLICE("count"), parks->count);
    json_write_object_end(&parks->writer);
    err = json_write_end(&parks->writer);
    if (err == ERR_OK) {
        admin_respond_json(parks->request, buf_slice(&parks->out));
    } else {
        admin_respond_error(parks->request, err, NULL);
    }
    buf_clean_up(&parks->out);
    xfree(parks);
}

static enum err read_query(const struct admin_call *call, bool lifts,
                           struct delivery_park_filter *filter, struct err_why *why)
{
    static const struct slice filters[] = {SLICE_INIT("account"), SLICE_INIT("rule"),
                                           SLICE_INIT("target")};
    static const struct slice own[] = {SLICE_INIT("all")};
    bool is_all = false;

    TRY(admin_query_check(call, filters, ARRAY_LEN(filters), own, lifts ? 1 : 0, why));
    TRY(admin_query_text(call, SLICE("account"), &filter->account, why));
    TRY(admin_query_text(call, SLICE("rule"), &filter->rule, why));
    TRY(admin_query_text(call, SLICE("target"), &filter->target, why));
    TRY(admin_query_flag(call, SLICE("all"), &is_all, why));
    if (lifts &&
        is_all != (filter->account.len == 0 && filter->rule.len == 0 && filter->target.len == 0)) {
        return err_because(ERR_BAD_REQUEST, why, "%s",
                           is_all ? "all=true and a filter: only one of them can be meant"
                                  : "name a filter, or all=true for every park");
    }
    return ERR_OK;
}

static void ask(struct admin_call *call, bool lifts)
{
    struct delivery_park_filter filter = {.account = {NULL, 0}};
    struct err_why why = {.text = ""};
    const enum err err = read_query(call, lifts, &filter, &why);
    struct parks *parks;

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
        return;
    }
    parks = xcalloc(1, sizeof(*parks));
    parks->request = call->request;
    parks->answer = (struct park_answer){.filter = filter, .lifts = lifts, .on_park = on_park};
    buf_init(&parks->out, ANSWER_BYTES_MAX);
    json_write_begin(&parks->writer, &parks->out);
    json_write_object_begin(&parks->writer);
    json_write_key(&parks->writer, lifts ? SLICE("lifted") : SLICE("parks"));
    json_write_array_begin(&parks->writer);
    control_parks(call->control, &parks->answer, on_asked, parks);
}

void admin_parks_list(struct admin_call *call)
{
    ask(call, false);
}

void admin_parks_lift(struct admin_call *call)
{
    ask(call, true);
}
