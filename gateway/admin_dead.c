/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_dead.c - operators look at dead letters, send them again, or let them go.
 */
#include "gateway/admin.h"
#include "gateway/admin_query.h"

#include "core/check.h"
#include "core/moment.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 1000, PAGE_BYTES_MAX = 32 * 1024 * 1024 };

/* What one dead letter takes on a page beside its event, at most: names, reason and message, each
 * byte of them escaped. */
enum { RECORD_BYTES_MAX = 32 * 1024 };

static enum err read_filter(const struct admin_call *call, struct store_dead_filter *filter,
                            struct err_why *why)
{
    *filter = (struct store_dead_filter){0};
    TRY(admin_query_text(call, SLICE("account"), &filter->account, why));
    TRY(admin_query_text(call, SLICE("bus"), &filter->bus, why));
    TRY(admin_query_text(call, SLICE("rule"), &filter->rule, why));
    TRY(admin_query_text(call, SLICE("target"), &filter->target_id, why));
    TRY(admin_query_text(call, SLICE("reason"), &filter->reason, why));
    TRY(admin_query_number(call, SLICE("id"), &filter->id, why));
    TRY(admin_query_number(call, SLICE("since_ms"), &filter->since_ms, why));
    return admin_query_number(call, SLICE("until_ms"), &filter->until_ms, why);
}

static bool is_everything(const struct store_dead_filter *filter)
{
    return filter->account.len == 0 && filter->bus.len == 0 && filter->rule.len == 0 &&
           filter->target_id.len == 0 && filter->reason.len == 0 && filter->id == 0 &&
           filter->since_ms == 0 && filter->until_ms == 0;
}

static enum err check_names(const struct admin_call *call, const struct slice *own,
                            size_t own_count, struct err_why *why)
{
    static const struct slice filters[] = {
        SLICE_INIT("account"), SLICE_INIT("bus"), SLICE_INIT("rule"),     SLICE_INIT("target"),
        SLICE_INIT("reason"),  SLICE_INIT("id"),  SLICE_INIT("since_ms"), SLICE_INIT("until_ms")};

    return admin_query_check(call, filters, ARRAY_LEN(filters), own, own_count, why);
}

/* ---- listing ------------------------------------------------------------------------------ */

struct listing {
    struct store_dead_list list;
    struct request *request;
    bool with_payload;
};

/* Of a sequence: which step it died at, and where a redrive goes on. */
static void write_step(struct json_writer *writer, struct slice lane)
{
    (void)slice_cut(&lane, STORE_LANE_STEP);
    if (lane.len > 0) {
        json_write_key_string(writer, SLICE("step"), lane);
    }
}

static void write_dead(struct json_writer *writer, const struct store_dead *dead, bool with_payload)
{
    char buried[MOMENT_ISO_CHARS];

    moment_to_iso(dead->buried_ms, buried);
    json_write_object_begin(writer);
    json_write_key_u64(writer, SLICE("id"), dead->id);
    json_write_key_string(writer, SLICE("buried"), (struct slice){buried, sizeof(buried)});
    json_write_key_string(writer, SLICE("account"), dead->record->account);
    json_write_key_string(writer, SLICE("bus"), dead->record->bus);
    json_write_key_string(writer, SLICE("rule"), dead->record->rule);
    json_write_key_string(writer, SLICE("target"), dead->record->target_id);
    json_write_key_string(writer, SLICE("event_id"), dead->record->event_id);
    write_step(writer, slice_of(dead->record->ref.lane));
    json_write_key_u64(writer, SLICE("attempts"), dead->attempt_count);
    json_write_key_string(writer, SLICE("reason"), dead->reason);
    json_write_key_string(writer, SLICE("message"), dead->message);
    if (with_payload) {
        json_write_key(writer, SLICE("event"));
        if (dead->record->body.len > 0) {
            json_write_raw(writer, dead->record->body);
        } else {
            json_write_null(writer); /* its bytes were damaged in the store */
        }
    }
    json_write_object_end(writer);
}

/* May this one still go on the page?  The first always may: an event is far smaller. */
static bool has_room(const struct listing *listing, const struct store_dead *dead,
                     const struct buf *out)
{
    const size_t body = listing->with_payload ? dead->record->body.len : 0;

    return out->len + body + RECORD_BYTES_MAX <= PAGE_BYTES_MAX;
}

/* Write what fits, free everything; returns where the next page begins, 0 after the last. */
static uint64_t write_page(struct listing *listing, struct json_writer *writer)
{
    bool is_cut = false;
    uint64_t last_id = 0;

    LIST_FOREACH (node, &listing->list.dead) {
        struct store_dead *dead = CONTAINER_OF(node, struct store_dead, node);

        is_cut = is_cut || !has_room(listing, dead, writer->out);
        if (!is_cut) {
            write_dead(writer, dead, listing->with_payload);
            last_id = dead->id;
        }
        list_remove(&dead->node);
        store_dead_free(dead);
    }
    return is_cut || listing->list.has_more ? last_id : 0;
}

static void on_listed(struct store_op *op)
{
    struct listing *listing = CONTAINER_OF(op, struct listing, list.op);
    struct json_writer writer;
    struct buf out;
    uint64_t next;
    enum err err = op->err;

    buf_init(&out, PAGE_BYTES_MAX);
    json_write_begin(&writer, &out);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("dead"));
    json_write_array_begin(&writer);
    next = write_page(listing, &writer);
    json_write_array_end(&writer);
    if (next != 0) {
        json_write_key_u64(&writer, SLICE("next"), next);
    }
    json_write_object_end(&writer);
    if (err == ERR_OK) {
        err = json_write_end(&writer);
    }
    if (err == ERR_OK) {
        admin_respond_json(listing->request, buf_slice(&out));
    } else {
        admin_respond_error(listing->request, err, NULL);
    }
    buf_clean_up(&out);
    xfree(listing);
}

static enum err read_listing(const struct admin_call *call, struct store_dead_filter *filter,
                             uint64_t *limit, uint64_t *after, bool *with_payload,
                             struct err_why *why)
{
    static const struct slice own[] = {SLICE_INIT("limit"), SLICE_INIT("next"),
                                       SLICE_INIT("payload")};

    TRY(check_names(call, own, ARRAY_LEN(own), why));
    TRY(read_filter(call, filter, why));
    TRY(admin_query_number(call, SLICE("limit"), limit, why));
    TRY(admin_query_number(call, SLICE("next"), after, why));
    return admin_query_flag(call, SLICE("payload"), with_payload, why);
}

void admin_dead_list(struct admin_call *call)
{
    struct listing *listing;
    struct store_dead_filter filter;
    struct err_why why = {.text = ""};
    uint64_t limit = PAGE_DEFAULT;
    uint64_t after = 0;
    bool with_payload = false;
    const enum err err = read_listing(call, &filter, &limit, &after, &with_payload, &why);

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
        return;
    }
    listing = xcalloc(1, sizeof(*listing));
    listing->request = call->request;
    listing->with_payload = with_payload;
    listing->list = (struct store_dead_list){
        .op = {.kind = STORE_DEAD_LIST,
               .home = control_mailbox(call->control),
               .on_done = on_listed},
        .filter = filter,
        .after_id = after,
        .count_max = (size_t)MIN_OF(limit, (uint64_t)PAGE_MAX),
    };
    list_init(&listing->list.dead);
    store_submit(control_store(call->control), &listing->list.op);
}

/* ---- redrive and drop --------------------------------------------------------------------- */

struct edit_of_dead {
    struct store_dead_edit edit;
    struct request *request;
    struct control *control;
};

static void on_edited(struct store_op *op)
{
    struct edit_of_dead *job = CONTAINER_OF(op, struct edit_of_dead, edit.op);
    char text[96];

    if (op->err == ERR_OK) {
        (void)snprintf(text, sizeof(text), "{\"count\":%" PRIu64 ",\"dry_run\":%s}",
                       job->edit.count, job->edit.dry_run ? "true" : "false");
        admin_respond_json(job->request, slice_of(text));
        control_look_for_backlog(job->control);
    } else {
        admin_respond_error(job->request, op->err, NULL);
    }
    xfree(job);
}

static enum err read_edit(const struct admin_call *call, struct store_dead_filter *filter,
                          bool *dry_run, struct err_why *why)
{
    static const struct slice own[] = {SLICE_INIT("all"), SLICE_INIT("dry_run")};
    bool is_all = false;

    TRY(check_names(call, own, ARRAY_LEN(own), why));
    TRY(read_filter(call, filter, why));
    TRY(admin_query_flag(call, SLICE("all"), &is_all, why));
    TRY(admin_query_flag(call, SLICE("dry_run"), dry_run, why));
    if (is_all != is_everything(filter)) {
        return err_because(ERR_BAD_REQUEST, why, "%s",
                           is_all ? "all=true and a filter: only one of them can be meant"
                                  : "name an id or a filter, or all=true for every dead letter");
    }
    return ERR_OK;
}

static void edit_dead(struct admin_call *call, enum store_dead_edit_kind kind)
{
    struct edit_of_dead *job;
    struct store_dead_filter filter;
    struct err_why why = {.text = ""};
    bool dry_run = false;
    const enum err err = read_edit(call, &filter, &dry_run, &why);

    if (err != ERR_OK) {
        admin_respond_error(call->request, err, &why);
        return;
    }
    job = xcalloc(1, sizeof(*job));
    job->request = call->request;
    job->control = call->control;
    job->edit = (struct store_dead_edit){
        .op = {.kind = STORE_DEAD_EDIT,
               .home = control_mailbox(call->control),
               .on_done = on_edited},
        .edit = kind,
        .filter = filter,
        .now_ms = moment_now_ms(),
        .dry_run = dry_run,
    };
    store_submit(control_store(call->control), &job->edit.op);
}

void admin_dead_redrive(struct admin_call *call)
{
    edit_dead(call, STORE_DEAD_REDRIVE);
}

void admin_dead_drop(struct admin_call *call)
{
    edit_dead(call, STORE_DEAD_DROP);
}
