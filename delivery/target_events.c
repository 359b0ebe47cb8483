/* SPDX-License-Identifier: Apache-2.0
 *
 * target_events.c - another EventBridge bus, in any account and Region: PutEvents.
 *
 * The event is sent on as it is: source, detail-type, time, resources and detail.  Its id and its
 * account become those of the call; there is no way to set them.  A source that begins with "aws."
 * is refused by PutEvents, so such an event goes on as source "weir." + SOURCE, and its detail
 * becomes {"original": ENVELOPE}, where nothing of it is lost.
 *
 * Loops: a bus may forward back to us what we sent it, under a new id, so that deduplication sees a
 * new event.  Therefore each event sent on carries who sent it among its resources, as
 * "weir:sent-on:RULE/TARGET".  A target that finds its own mark in an event has sent it before and
 * does not send it again, and neither does any target once SENT_ON_MAX marks stand there.  Both are
 * dead letters with the reason "loop": a loop is somebody's mistake, and should be seen.
 *
 * Up to ten entries go in one call, whose answer is 200 even when entries failed, so each is judged
 * by itself, by its position.  PutEvents has no token that makes a repeat harmless.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "delivery/target_wire.h"
#include "routing/event.h"

enum {
    EVENTS_TOTAL_BYTES_MAX = 262144,    /* the entries of one call stay under this */
    EVENTS_BATCH_BYTES_MAX = 200 << 10, /* of envelopes, which leaves room for what we add */
    EVENTS_TIME_BYTES = 14,             /* what a Time counts */
    EVENTS_BUS_CHARS_MAX = 256,
    SENT_ON_MAX = 5,
};

#define SENT_ON "weir:sent-on:"

struct bus {
    struct target target;
    struct arena arena;
    struct slice arn;
    struct target_place place;
};

static const struct bus *bus_of(const struct target *target)
{
    CHECK(target->ops == &target_events);
    return (const struct bus *)(const void *)target;
}

static enum err open_bus(const struct target_options *options, struct slice arn,
                         struct target **target, struct err_why *why)
{
    struct arn parts;
    struct slice name;
    struct bus *bus;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, target_events.service)) {
        parts.resource = (struct slice){NULL, 0};
    }
    name = parts.resource;
    if (!slice_eq(slice_cut(&name, '/'), SLICE("event-bus")) ||
        !target_name_is(name, EVENTS_BUS_CHARS_MAX, "./")) {
        return err_because(ERR_BAD_VALUE, why,
                           "an ARN of a bus is arn:aws:events:REGION:ACCOUNT:event-bus/NAME");
    }
    bus = xcalloc(1, sizeof(*bus));
    bus->target.ops = &target_events;
    bus->arn = arena_copy(&bus->arena, arn);
    (void)arn_split(bus->arn, &parts);
    target_place_open(&bus->place, options, &parts, &bus->arena);
    *target = &bus->target;
    return ERR_OK;
}

static void close_bus(struct target *target)
{
    struct bus *bus = (struct bus *)(void *)target;

    if (target == NULL) {
        return;
    }
    CHECK(target->ops == &target_events);
    arena_clean_up(&bus->arena);
    xfree(bus);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return EVENTS_BATCH_BYTES_MAX;
}

/* ---- entries ------------------------------------------------------------------------------ */

/* One event as PutEvents takes it. */
struct entry {
    bool has_time;
    uint64_t time_s;
    struct slice source;
    struct slice detail_type;
    struct slice detail;    /* JSON text of an object */
    struct slice resources; /* JSON text of an array, or empty */
    struct slice mark;      /* what we add to them */
};

/* Calls `visit` with each text in the array. */
static void each_resource(struct slice resources, struct arena *arena,
                          void (*visit)(void *context, struct slice text), void *context)
{
    struct json_reader reader;
    struct json_token token;

    json_reader_init(&reader, resources, 2);
    if (resources.len == 0 || json_next(&reader, &token) != JSON_TYPE_ARRAY_BEGIN) {
        return;
    }
    while (json_next(&reader, &token) == JSON_TYPE_STRING) {
        visit(context, json_token_text(&token, arena));
    }
}

static enum err read_entry(const struct target_item *item, struct arena *arena, struct entry *entry)
{
    struct event_draft draft;
    uint64_t time_ms;

    TRY(event_read_envelope(item->event, arena, &draft, NULL));
    *entry = (struct entry){.source = draft.source,
                            .detail_type = draft.detail_type,
                            .detail = draft.detail,
                            .resources = draft.resources};
    if (draft.time.data != NULL && moment_from_iso(draft.time, &time_ms) == ERR_OK) {
        entry->has_time = true;
        entry->time_s = time_ms / 1000;
    }
    if (slice_has_prefix(entry->source, SLICE("aws."))) {
        entry->source = arena_printf(arena, "weir.%.*s", SLICE_ARG(draft.source));
        entry->detail = arena_printf(arena, "{\"original\":%.*s}", SLICE_ARG(item->event));
    }
    entry->mark =
        arena_printf(arena, SENT_ON "%.*s/%.*s", SLICE_ARG(item->rule), SLICE_ARG(item->target_id));
    return ERR_OK;
}

/* What an entry's resources tell. */
struct trail {
    struct slice own_mark;
    bool has_own_mark;
    size_t mark_count;
    size_t bytes;
};

static void note_resource(void *context, struct slice text)
{
    struct trail *trail = context;

    trail->bytes += text.len;
    trail->mark_count += slice_has_prefix(text, SLICE(SENT_ON)) ? 1 : 0;
    trail->has_own_mark = trail->has_own_mark || slice_eq(text, trail->own_mark);
}

static bool check_entry(const struct target_item *item, struct arena *arena,
                        struct target_verdict *verdict)
{
    struct trail trail = {0};
    struct entry entry;
    size_t bytes;

    if (read_entry(item, arena, &entry) != ERR_OK) {
        return target_refuse(verdict, ERR_REMOTE_REJECTED, "invalid-message",
                             SLICE("MalformedDetail"), SLICE("this is no event's envelope"));
    }
    trail.own_mark = entry.mark;
    each_resource(entry.resources, arena, note_resource, &trail);
    if (trail.has_own_mark || trail.mark_count >= SENT_ON_MAX) {
        return target_refuse(
            verdict, ERR_REMOTE_REJECTED, "loop", SLICE("SentOnBefore"),
            trail.has_own_mark ? SLICE("this target has sent the event on before, and it came back")
                               : SLICE("the event was sent on five times already"));
    }
    bytes = EVENTS_TIME_BYTES + entry.source.len + entry.detail_type.len + entry.detail.len +
            trail.bytes + entry.mark.len;
    if (bytes >= EVENTS_TOTAL_BYTES_MAX) {
        return target_refuse(verdict, ERR_TOO_LARGE, "message-too-large",
                             SLICE("ValidationException"),
                             SLICE("the event is over the 256 KiB of PutEvents"));
    }
    return true;
}

static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    struct arena arena = {0};
    bool may;

    (void)bus_of(target);
    may = check_entry(item, &arena, verdict);
    arena_clean_up(&arena);
    return may;
}

static void write_resource(void *context, struct slice text)
{
    json_write_string(context, text);
}

static void write_entry(const struct bus *bus, const struct entry *entry, struct arena *arena,
                        struct json_writer *writer)
{
    json_write_object_begin(writer);
    if (entry->has_time) {
        json_write_key_u64(writer, SLICE("Time"), entry->time_s);
    }
    json_write_key_string(writer, SLICE("Source"), entry->source);
    json_write_key_string(writer, SLICE("DetailType"), entry->detail_type);
    json_write_key_string(writer, SLICE("Detail"), entry->detail);
    json_write_key(writer, SLICE("Resources"));
    json_write_array_begin(writer);
    each_resource(entry->resources, arena, write_resource, writer);
    json_write_string(writer, entry->mark);
    json_write_array_end(writer);
    json_write_key_string(writer, SLICE("EventBusName"), bus->arn);
    json_write_object_end(writer);
}

static enum err build_put(const struct target *target, const struct target_item *items,
                          size_t count, struct arena *arena, struct target_request *request)
{
    const struct bus *bus = bus_of(target);
    struct json_writer writer;
    struct entry entry;

    CHECK(count >= 1);
    CHECK(count <= TARGET_BATCH_MAX);
    target_begin_json(&bus->place, "1.1", SLICE("AWSEvents.PutEvents"), request);
    json_write_begin(&writer, request->body);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("Entries"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < count; i++) {
        TRY(read_entry(&items[i], arena, &entry));
        write_entry(bus, &entry, arena, &writer);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* ---- replies ------------------------------------------------------------------------------ */

static const struct target_error own_errors[] = {
    TARGET_RETRIED("InternalException", ERR_REMOTE_FAILED),
    TARGET_BURIED("NotAuthorizedForSourceException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("NotAuthorizedForDetailTypeException", ERR_REMOTE_DENIED, "NO_PERMISSIONS"),
    TARGET_BURIED("ResourceNotFoundException", ERR_REMOTE_MISSING, "NO_RESOURCE"),
    TARGET_BURIED("InvalidAccountIdException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("InvalidArgument", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("MalformedDetail", ERR_REMOTE_REJECTED, "invalid-message"),
    TARGET_BURIED("RedactionFailure", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
    TARGET_BURIED("ValidationException", ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR"),
};

/* The members of one result, whose opening brace was just read. */
static enum err judge_result(struct json_reader *reader, struct arena *arena,
                             struct target_verdict *verdict)
{
    struct target_fault fault = {0};
    struct json_token token;
    struct slice skipped;
    bool is_taken = false;

    while (json_next(reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;

        if (json_next(reader, &token) != JSON_TYPE_STRING) {
            TRY(json_read_value(reader, &token, &skipped));
        } else if (slice_eq(key, SLICE("EventId"))) {
            is_taken = token.raw.len > 0;
        } else if (slice_eq(key, SLICE("ErrorCode"))) {
            fault.code = json_token_text(&token, arena);
        } else if (slice_eq(key, SLICE("ErrorMessage"))) {
            fault.message = json_token_text(&token, arena);
        }
    }
    if (token.type != JSON_TYPE_OBJECT_END) {
        return ERR_BAD_JSON;
    }
    if (fault.code.len > 0) {
        target_code_judge(&fault, false, own_errors, ARRAY_LEN(own_errors), verdict);
    } else if (is_taken) {
        target_settle(verdict);
    }
    return ERR_OK;
}

static enum err judge_results(struct json_reader *reader, size_t count, struct arena *arena,
                              struct target_verdict *verdicts)
{
    struct json_token token;
    struct target_verdict surplus;
    size_t at = 0;

    while (json_next(reader, &token) == JSON_TYPE_OBJECT_BEGIN) {
        TRY(judge_result(reader, arena, at < count ? &verdicts[at] : &surplus));
        at++;
    }
    return token.type == JSON_TYPE_ARRAY_END ? ERR_OK : ERR_BAD_JSON;
}

/* An entry that the reply does not mention counts as failed, for its fate is unknown. */
static void judge_entries(struct slice body, size_t count, struct arena *arena,
                          struct target_verdict *verdicts)
{
    struct json_reader reader;
    struct json_token token;
    struct slice skipped;

    for (size_t i = 0; i < count; i++) {
        target_bad_reply(&verdicts[i], SLICE("the reply does not mention the event"));
    }
    json_reader_init(&reader, body, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const bool is_list = slice_eq(token.raw, SLICE("Entries"));
        enum err err;

        if (json_next(&reader, &token) == JSON_TYPE_ARRAY_BEGIN && is_list) {
            err = judge_results(&reader, count, arena, verdicts);
        } else {
            err = json_read_value(&reader, &token, &skipped);
        }
        if (err != ERR_OK) {
            return;
        }
    }
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    (void)bus_of(target);
    (void)items;
    if (target_reply_is_good(reply)) {
        judge_entries(reply->body, count, arena, verdicts);
    } else {
        target_judge_whole(reply, own_errors, ARRAY_LEN(own_errors), count, arena, verdicts);
    }
}

const struct target_ops target_events = {
    .service = SLICE_INIT("events"),
    .batch_count_max = 10,
    .open = open_bus,
    .close = close_bus,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .build = build_put,
    .classify = classify,
};
