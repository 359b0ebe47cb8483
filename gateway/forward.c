/* SPDX-License-Identifier: Apache-2.0
 *
 * forward.c - envelopes posted whole.
 *
 * The bytes of an envelope are what targets will receive, so they are sliced out of the body and
 * never rewritten.  An envelope that is broken fails alone where the format allows it to be told
 * from its neighbours (a line, an element of an array); a body that cannot be cut into envelopes
 * fails as a whole, with the byte where it broke.
 *
 * API destinations give up after five seconds and take 401 for a sign to fetch a new token, so a
 * transient fault is 429 or 503 with Retry-After, never 401 or 403.
 */
#include "gateway/forward.h"

#include "core/check.h"
#include "core/json_write.h"

enum { ENVELOPE_DEPTH_MAX = JSON_DEPTH_MAX, ENVELOPES_FIRST = 8 };

static const size_t result_bytes = 96; /* of a usual one ... */
static const size_t result_bytes_max = 128 + 6 * sizeof(((struct ingest_entry *)0)->message);

/* The envelopes of one body, as slices of it. */
struct cut {
    struct arena *arena;
    struct slice *envelopes;
    size_t count;
    size_t cap;
    size_t max;
};

/* ---- before the body ---------------------------------------------------------------------- */

static struct slice media_type(const struct request *request)
{
    struct slice type = request_header(request, SLICE("content-type"));

    return slice_trim(slice_cut(&type, ';'));
}

static bool is_ndjson(const struct request *request)
{
    return slice_eq_ignore_case(media_type(request), SLICE("application/x-ndjson"));
}

static bool is_json(const struct request *request)
{
    const struct slice type = media_type(request);

    return type.len == 0 || slice_eq_ignore_case(type, SLICE("application/json"));
}

/* The value of `bus` in the query; `default` without one.  False: malformed. */
static bool bus_of(const struct request *request, struct slice *bus)
{
    static const char allowed[] =
        "/.-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    struct slice query = request->query;

    *bus = SLICE("default");
    while (query.len > 0) {
        struct slice pair = slice_cut(&query, '&');
        const struct slice name = slice_cut(&pair, '=');

        if (slice_eq(name, SLICE("bus"))) {
            *bus = pair;
        }
    }
    for (size_t i = 0; i < bus->len; i++) {
        if (bus->data[i] == '\0' || strchr(allowed, bus->data[i]) == NULL) {
            return false;
        }
    }
    return bus->len > 0 && bus->len <= 256;
}

static void fill_error(struct request *request, enum err err, const char *message)
{
    request->response.status = err_status(err);
    request->response.content_type = SLICE("application/json");
    request->response.body = request_error_body(&request->arena, err_code(err),
                                                message != NULL ? message : err_text(err));
    if (err == ERR_NO_TOKEN || err == ERR_EXPIRED_TOKEN) {
        /* RFC 6750 section 3: EventBridge fetches a new token on 401, never on 403. */
        request->response.headers[0] = (struct header){
            SLICE("www-authenticate"), SLICE("Bearer realm=\"weir\", error=\"invalid_token\"")};
        request->response.header_count = 1;
    }
}

/* Missing, unknown and wrong look alike; a Bearer token has its own status. */
static enum err refusal(enum err err)
{
    return err == ERR_NO_TOKEN || err == ERR_EXPIRED_TOKEN ? err : ERR_BAD_CREDENTIAL;
}

static enum err check_head(struct ingest *ingest, struct request *request, const char **message)
{
    struct slice bus;
    enum err err;

    if (!slice_eq(request->method, SLICE("POST"))) {
        *message = "/events takes POST requests";
        return ERR_BAD_METHOD;
    }
    if (!is_json(request) && !is_ndjson(request)) {
        *message = "/events takes application/json or application/x-ndjson";
        return ERR_BAD_MEDIA_TYPE;
    }
    if (!bus_of(request, &bus)) {
        *message = "the query parameter bus must be the name of an event bus";
        return ERR_BAD_REQUEST;
    }
    err = ingest_check_caller(ingest, request);
    return err == ERR_OK ? ERR_OK : refusal(err);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is request_handler's */
enum err forward_check_head(struct ingest *ingest, struct request *request, size_t *body_max)
{
    const char *message = NULL;
    const enum err err = check_head(ingest, request, &message);

    (void)body_max;
    request->skips_body_digest = true;
    if (err != ERR_OK) {
        ingest_count_refused(ingest, err);
        fill_error(request, err, message);
    }
    return err;
}

/* ---- cutting the body into envelopes ------------------------------------------------------ */

static enum err add_envelope(struct cut *cut, struct slice envelope, struct err_why *why)
{
    if (cut->count == cut->max) {
        return err_because(ERR_TOO_LARGE, why, "more than %zu events in one request", cut->max);
    }
    if (cut->count == cut->cap) {
        struct slice *more =
            ARENA_ARRAY(cut->arena, struct slice, MAX_OF(cut->cap * 2, (size_t)ENVELOPES_FIRST));

        if (cut->count > 0) {
            memcpy(more, cut->envelopes, cut->count * sizeof(*more));
        }
        cut->envelopes = more;
        cut->cap = MAX_OF(cut->cap * 2, (size_t)ENVELOPES_FIRST);
    }
    cut->envelopes[cut->count++] = envelope;
    return ERR_OK;
}

static bool is_blank(struct slice line)
{
    return slice_trim(line).len == 0;
}

static enum err cut_lines(struct cut *cut, struct slice body, struct err_why *why)
{
    while (body.len > 0) {
        struct slice line = slice_cut(&body, '\n');

        if (line.len > 0 && line.data[line.len - 1] == '\r') {
            line.len--;
        }
        if (!is_blank(line)) {
            TRY(add_envelope(cut, line, why));
        }
    }
    return ERR_OK;
}

static enum err cut_array(struct cut *cut, struct json_reader *reader, struct err_why *why)
{
    struct json_token token;
    enum json_type type;

    while ((type = json_next(reader, &token)) != JSON_TYPE_ARRAY_END) {
        struct slice value;

        if (type == JSON_TYPE_ERROR || json_read_value(reader, &token, &value) != ERR_OK) {
            return json_fault(reader, why);
        }
        TRY(add_envelope(cut, value, why));
    }
    return json_next(reader, &token) == JSON_TYPE_END ? ERR_OK : json_fault(reader, why);
}

static enum err cut_body(struct cut *cut, const struct request *request, struct err_why *why)
{
    const struct slice body = buf_slice(&request->body);
    struct json_reader reader;
    struct json_token token;

    if (is_ndjson(request)) {
        return cut_lines(cut, body, why);
    }
    json_reader_init(&reader, body, ENVELOPE_DEPTH_MAX);
    switch (json_next(&reader, &token)) {
    case JSON_TYPE_ARRAY_BEGIN:
        return cut_array(cut, &reader, why);
    case JSON_TYPE_OBJECT_BEGIN:
        return add_envelope(cut, body, why);
    case JSON_TYPE_ERROR:
        return json_fault(&reader, why);
    case JSON_TYPE_END:
    case JSON_TYPE_OBJECT_END:
    case JSON_TYPE_ARRAY_END:
    case JSON_TYPE_KEY:
    case JSON_TYPE_STRING:
    case JSON_TYPE_NUMBER:
    case JSON_TYPE_TRUE:
    case JSON_TYPE_FALSE:
    case JSON_TYPE_NULL:
    default:
        return err_because(ERR_BAD_JSON, why, "the body must be an event or a list of events");
    }
}

/* ---- the answer --------------------------------------------------------------------------- */

static unsigned rank_of_status(unsigned status)
{
    return status == 429 || status == 503 ? 2 : 1;
}

/* 200 if any entry succeeded, else the weightiest error. */
static unsigned status_of(const struct ingest_batch *batch, uint64_t *retry_after_ms)
{
    unsigned status = 0;

    for (size_t i = 0; i < batch->entry_count; i++) {
        const struct ingest_entry *entry = &batch->entries[i];
        const unsigned own = err_status(entry->err);

        if (entry->err == ERR_OK) {
            return 200;
        }
        if (status == 0 || rank_of_status(own) > rank_of_status(status)) {
            status = own;
        }
        *retry_after_ms = MAX_OF(*retry_after_ms, entry->retry_after_ms);
    }
    return status != 0 ? status : 200;
}

static void write_result(struct json_writer *writer, const struct ingest_entry *entry)
{
    json_write_object_begin(writer);
    if (entry->err == ERR_OK) {
        json_write_key_string(writer, SLICE("event_id"), slice_of(entry->event_id));
        json_write_key_bool(writer, SLICE("duplicate"), entry->is_duplicate);
    } else {
        json_write_key(writer, SLICE("error"));
        json_write_object_begin(writer);
        json_write_key_string(writer, SLICE("code"), slice_of(err_code(entry->err)));
        json_write_key_string(
            writer, SLICE("message"),
            slice_of(entry->message[0] != '\0' ? entry->message : err_text(entry->err)));
        json_write_object_end(writer);
    }
    json_write_object_end(writer);
}

static struct slice write_results(struct ingest_batch *batch)
{
    struct json_writer writer;
    struct slice copy;
    struct buf body;
    char *room;
    uint64_t failed = 0;

    buf_init(&body, result_bytes_max * (batch->entry_count + 1));
    CHECK(buf_reserve(&body, result_bytes * (batch->entry_count + 1), &room) == ERR_OK);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("entries"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < batch->entry_count; i++) {
        write_result(&writer, &batch->entries[i]);
        failed += batch->entries[i].err != ERR_OK ? 1 : 0;
    }
    json_write_array_end(&writer);
    json_write_key_u64(&writer, SLICE("failed"), failed);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    copy = arena_copy(&batch->request->arena, buf_slice(&body));
    buf_clean_up(&body);
    return copy;
}

static void on_done(struct ingest_batch *batch)
{
    struct request *request = batch->request;
    uint64_t retry_after_ms = 0;
    struct response *response = &request->response;

    response->status = status_of(batch, &retry_after_ms);
    response->content_type = SLICE("application/json");
    response->body = write_results(batch);
    if (response->status == 429 || response->status == 503) {
        response->headers[0] = (struct header){
            SLICE("retry-after"),
            arena_printf(&request->arena, "%" PRIu64, MAX_OF((retry_after_ms + 999) / 1000, 1)),
        };
        response->header_count = 1;
    }
    request_respond(request);
}

static void read_envelope(struct ingest *ingest, struct request *request, struct slice text,
                          struct slice bus, struct ingest_entry *entry)
{
    struct err_why why = {.text = ""};

    entry->bus_name = bus;
    if (text.len > ingest_entries_total_max(ingest)) {
        entry->err = ERR_TOO_LARGE;
        (void)snprintf(entry->message, sizeof(entry->message), "the event is over %zu bytes",
                       ingest_entries_total_max(ingest));
        return;
    }
    entry->err = event_read_envelope(text, &request->arena, &entry->draft, &why);
    (void)snprintf(entry->message, sizeof(entry->message), "%.255s", why.text);
}

void forward_handle(struct ingest *ingest, struct request *request)
{
    struct principal principal;
    struct ingest_batch *batch;
    struct err_why why = {.text = ""};
    struct cut cut = {.arena = &request->arena, .max = ingest_entry_count_max(ingest)};
    struct slice bus;
    enum err err = ingest_prove_caller(ingest, request, &principal);

    if (err != ERR_OK) {
        err = refusal(err);
    } else {
        CHECK(bus_of(request, &bus));
        err = cut_body(&cut, request, &why);
        if (err == ERR_OK && cut.count == 0) {
            err = err_because(ERR_BAD_REQUEST, &why, "the body holds no event");
        }
    }
    if (err != ERR_OK) {
        ingest_count_refused(ingest, err);
        fill_error(request, err, why.text[0] != '\0' ? why.text : NULL);
        request_respond(request);
        return;
    }
    batch = ingest_batch_new(ingest, request, &principal, cut.count);
    for (size_t i = 0; i < cut.count; i++) {
        read_envelope(ingest, request, cut.envelopes[i], bus, &batch->entries[i]);
    }
    batch->on_done = on_done;
    ingest_submit(batch);
}
