/* SPDX-License-Identifier: Apache-2.0
 *
 * put_events.c - reads the request as EventBridge does, and answers with its words.
 *
 * The body is read once by the strict reader: members unknown to the API are skipped, a member of a
 * wrong type fails the request (SerializationException), an entry that lacks something fails alone
 * (InvalidArgument, MalformedDetail) with the messages that EventBridge is known to give.  Sizes
 * are counted as its documentation says: 14 bytes for a Time, and the UTF-8 bytes of Source,
 * DetailType, Detail and each resource.
 */
#include "gateway/put_events.h"

#include "core/check.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "gateway/api.h"
#include "gateway/bus_name.h"
#include "gateway/config.h"

enum { ENTRIES_MAX = 10, TIME_BYTES = 14, RESOURCE_BYTES_MAX = 2048, DEPTH_MAX = 64 };

/* One entry as it stood in the body; a NULL pointer where a member was absent or null. */
struct raw_entry {
    struct slice source;
    struct slice detail_type;
    struct slice detail;
    struct slice resources; /* JSON text */
    struct slice bus;
    struct slice time_number;
    size_t bytes; /* of its resources */
};

struct reading {
    struct request *request;
    struct json_reader reader;
    struct raw_entry entries[ENTRIES_MAX];
    size_t entry_count; /* all of them, also beyond ENTRIES_MAX */
    bool has_entries;
    struct buf listing; /* the entries as the "too many" message lists them */
    struct err_why why;
};

/* ---- reading ------------------------------------------------------------------------------ */

static enum err wrong_type(struct reading *reading, const char *member, const char *wanted)
{
    return err_because(ERR_BAD_JSON, &reading->why, "%s must be %s", member, wanted);
}

static enum err broken(struct reading *reading)
{
    return json_fault(&reading->reader, &reading->why);
}

static enum err skip_value(struct reading *reading, const struct json_token *token)
{
    struct slice value;

    return json_read_value(&reading->reader, token, &value) == ERR_OK ? ERR_OK : broken(reading);
}

/* A string member, or null for absent. */
static enum err read_text(struct reading *reading, const char *member, struct slice *text)
{
    struct json_token token;
    const enum json_type type = json_next(&reading->reader, &token);

    if (type == JSON_TYPE_STRING) {
        *text = json_token_text(&token, &reading->request->arena);
        return ERR_OK;
    }
    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    return type == JSON_TYPE_NULL ? ERR_OK : wrong_type(reading, member, "a string");
}

static enum err read_time(struct reading *reading, struct slice *number)
{
    struct json_token token;
    const enum json_type type = json_next(&reading->reader, &token);

    if (type == JSON_TYPE_NUMBER) {
        *number = token.raw;
        return ERR_OK;
    }
    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    return type == JSON_TYPE_NULL ? ERR_OK : wrong_type(reading, "Time", "a number of seconds");
}

static enum err read_resources(struct reading *reading, struct raw_entry *entry)
{
    struct json_token token;
    enum json_type type = json_next(&reading->reader, &token);
    const char *start = token.raw.data;

    if (type == JSON_TYPE_NULL) {
        return ERR_OK;
    }
    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    if (type != JSON_TYPE_ARRAY_BEGIN) {
        return wrong_type(reading, "Resources", "a list of strings");
    }
    while ((type = json_next(&reading->reader, &token)) == JSON_TYPE_STRING) {
        const size_t len = json_token_text(&token, &reading->request->arena).len;

        if (len > RESOURCE_BYTES_MAX) {
            return wrong_type(reading, "each of Resources", "at most 2048 bytes");
        }
        entry->bytes += len;
    }
    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    if (type != JSON_TYPE_ARRAY_END) {
        return wrong_type(reading, "Resources", "a list of strings");
    }
    entry->resources = (struct slice){start, (size_t)(token.raw.data + token.raw.len - start)};
    return ERR_OK;
}

static enum err read_member(struct reading *reading, struct slice name, struct raw_entry *entry)
{
    struct json_token token;

    if (slice_eq(name, SLICE("Source"))) {
        return read_text(reading, "Source", &entry->source);
    }
    if (slice_eq(name, SLICE("DetailType"))) {
        return read_text(reading, "DetailType", &entry->detail_type);
    }
    if (slice_eq(name, SLICE("Detail"))) {
        return read_text(reading, "Detail", &entry->detail);
    }
    if (slice_eq(name, SLICE("EventBusName"))) {
        return read_text(reading, "EventBusName", &entry->bus);
    }
    if (slice_eq(name, SLICE("Time"))) {
        return read_time(reading, &entry->time_number);
    }
    if (slice_eq(name, SLICE("Resources"))) {
        return read_resources(reading, entry);
    }
    (void)json_next(&reading->reader, &token);
    return skip_value(reading, &token);
}

static enum err read_entry(struct reading *reading, struct raw_entry *entry)
{
    struct json_token token;
    enum json_type type;

    while ((type = json_next(&reading->reader, &token)) == JSON_TYPE_KEY) {
        TRY(read_member(reading, json_token_text(&token, &reading->request->arena), entry));
    }
    return type == JSON_TYPE_OBJECT_END ? ERR_OK : broken(reading);
}

/* "PutEventsRequestEntry(time=null, source=S, …)", as EventBridge lists an entry in a message. */
static enum err list_entry(struct buf *out, const struct raw_entry *entry)
{
    const struct {
        const char *name;
        struct slice value;
    } members[] = {
        {"time", entry->time_number},    {"source", entry->source},
        {"resources", entry->resources}, {"detailType", entry->detail_type},
        {"detail", entry->detail},       {"eventBusName", entry->bus},
        {"traceHeader", {NULL, 0}},      {"kmsKeyIdentifier", {NULL, 0}},
        {"internalMetadata", {NULL, 0}},
    };

    TRY(buf_append(out, out->len > 1 ? SLICE(", PutEventsRequestEntry(")
                                     : SLICE("PutEventsRequestEntry(")));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const struct slice value = members[i].value.data != NULL ? members[i].value : SLICE("null");

        TRY(buf_printf(out, "%s%s=", i > 0 ? ", " : "", members[i].name));
        TRY(buf_append(out, value));
    }
    return buf_append_byte(out, ')');
}

/* Keep the first ten.  With the eleventh the request is lost, and its message lists them all, as
 * far as the listing holds. */
static void note_entry(struct reading *reading, const struct raw_entry *entry)
{
    if (reading->entry_count < ENTRIES_MAX) {
        reading->entries[reading->entry_count++] = *entry;
        return;
    }
    for (size_t i = 0; reading->entry_count == ENTRIES_MAX && i < ENTRIES_MAX; i++) {
        (void)list_entry(&reading->listing, &reading->entries[i]);
    }
    (void)list_entry(&reading->listing, entry);
    reading->entry_count++;
}

static enum err read_entries(struct reading *reading)
{
    struct json_token token;
    enum json_type type = json_next(&reading->reader, &token);

    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    if (type != JSON_TYPE_ARRAY_BEGIN) {
        return wrong_type(reading, "Entries", "a list");
    }
    reading->has_entries = true;
    while ((type = json_next(&reading->reader, &token)) == JSON_TYPE_OBJECT_BEGIN) {
        struct raw_entry entry = {0};

        TRY(read_entry(reading, &entry));
        note_entry(reading, &entry);
    }
    if (type == JSON_TYPE_ERROR) {
        return broken(reading);
    }
    return type == JSON_TYPE_ARRAY_END ? ERR_OK
                                       : wrong_type(reading, "each of Entries", "an object");
}

static enum err read_body(struct reading *reading)
{
    struct json_token token;
    enum json_type type;

    json_reader_init(&reading->reader, buf_slice(&reading->request->body), DEPTH_MAX);
    type = json_next(&reading->reader, &token);
    if (type != JSON_TYPE_OBJECT_BEGIN) {
        return type == JSON_TYPE_ERROR ? broken(reading)
                                       : wrong_type(reading, "the body", "a JSON object");
    }
    while ((type = json_next(&reading->reader, &token)) == JSON_TYPE_KEY) {
        if (slice_eq(json_token_text(&token, &reading->request->arena), SLICE("Entries"))) {
            TRY(read_entries(reading));
        } else {
            (void)json_next(&reading->reader, &token);
            TRY(skip_value(reading, &token));
        }
    }
    if (type != JSON_TYPE_OBJECT_END || json_next(&reading->reader, &token) != JSON_TYPE_END) {
        return broken(reading);
    }
    return ERR_OK;
}

/* ---- the limits of a whole request -------------------------------------------------------- */

static size_t total_bytes(const struct reading *reading)
{
    size_t total = 0;

    for (size_t i = 0; i < reading->entry_count; i++) {
        const struct raw_entry *entry = &reading->entries[i];

        total += entry->source.len + entry->detail_type.len + entry->detail.len + entry->bytes +
                 (entry->time_number.data != NULL ? TIME_BYTES : 0);
    }
    return total;
}

static enum err check_request(struct reading *reading, size_t total_max)
{
    if (!reading->has_entries) {
        return err_because(ERR_BAD_REQUEST, &reading->why,
                           "1 validation error detected: Value null at 'entries' failed to "
                           "satisfy constraint: Member must not be null");
    }
    if (reading->entry_count == 0) {
        return err_because(ERR_BAD_REQUEST, &reading->why,
                           "1 validation error detected: Value '[]' at 'entries' failed to satisfy "
                           "constraint: Member must have length greater than or equal to 1");
    }
    if (reading->entry_count > ENTRIES_MAX) {
        return err_because(ERR_BAD_REQUEST, &reading->why,
                           "1 validation error detected: Value '[%.*s]' at 'entries' failed to "
                           "satisfy constraint: Member must have length less than or equal to 10",
                           (int)MIN_OF(reading->listing.len, (size_t)800), reading->listing.data);
    }
    if (total_bytes(reading) >= total_max) {
        return err_because(ERR_BAD_REQUEST, &reading->why,
                           "Total size of the entries in the request is over the limit.");
    }
    return ERR_OK;
}

/* ---- one entry ---------------------------------------------------------------------------- */

static enum err missing(struct ingest_entry *entry, const char *member)
{
    (void)snprintf(entry->message, sizeof(entry->message),
                   "Parameter %s is not valid. Reason: %s is a required argument.", member, member);
    return ERR_BAD_ARGUMENT;
}

static enum err invalid(struct ingest_entry *entry, const char *member, const char *reason)
{
    (void)snprintf(entry->message, sizeof(entry->message), "Parameter %s is not valid. Reason: %s",
                   member, reason);
    return ERR_BAD_ARGUMENT;
}

static enum err read_bus(struct ingest_entry *entry, struct slice text)
{
    struct bus_name bus;

    if (!bus_name_read(text, &bus)) {
        return invalid(entry, "EventBusName", "Provided Arn is not in correct format.");
    }
    entry->bus_account = bus.account;
    entry->bus_name = bus.name;
    return ERR_OK;
}

static enum err read_entry_time(struct request *request, struct ingest_entry *entry,
                                struct slice number)
{
    char *iso;
    double seconds;

    if (number.data == NULL) {
        return ERR_OK;
    }
    seconds = strtod(arena_cstr(&request->arena, number), NULL);
    if (!(seconds >= 0 && seconds < 253402300800.0)) { /* the year 10000 */
        return invalid(entry, "Time", "It must lie between the years 1970 and 9999.");
    }
    iso = arena_alloc(&request->arena, MOMENT_ISO_CHARS);
    moment_to_iso((uint64_t)(seconds * 1000), iso);
    entry->draft.time = (struct slice){iso, MOMENT_ISO_CHARS};
    return ERR_OK;
}

static enum err fill_entry(struct request *request, struct ingest_entry *entry,
                           const struct raw_entry *raw)
{
    if (raw->source.len == 0) {
        return missing(entry, "Source");
    }
    if (raw->detail_type.len == 0) {
        return missing(entry, "DetailType");
    }
    if (raw->detail.data == NULL) {
        return missing(entry, "Detail");
    }
    if (raw->source.len > EVENT_SOURCE_BYTES_MAX) {
        return invalid(entry, "Source", "It is longer than 256 bytes.");
    }
    if (raw->detail_type.len > EVENT_DETAIL_TYPE_BYTES_MAX) {
        return invalid(entry, "DetailType", "It is longer than 128 bytes.");
    }
    if (event_check_detail(raw->detail) != ERR_OK) {
        (void)snprintf(entry->message, sizeof(entry->message), "Detail is malformed.");
        return ERR_MALFORMED_DETAIL;
    }
    TRY(read_bus(entry, raw->bus));
    TRY(read_entry_time(request, entry, raw->time_number));
    entry->draft.source = raw->source;
    entry->draft.detail_type = raw->detail_type;
    entry->draft.detail = raw->detail;
    entry->draft.resources = raw->resources;
    return ERR_OK;
}

/* ---- the answer --------------------------------------------------------------------------- */

static void write_result(struct json_writer *writer, const struct ingest_entry *entry)
{
    /* EventBridge's two retryable codes are InternalFailure and ThrottlingException */
    const bool is_our_fault = err_class(entry->err) == ERR_CLASS_LOCAL ||
                              (err_class(entry->err) == ERR_CLASS_BUSY &&
                               entry->err != ERR_THROTTLED && entry->err != ERR_STORE_FULL);

    json_write_object_begin(writer);
    if (entry->err == ERR_OK) {
        json_write_key_string(writer, SLICE("EventId"), slice_of(entry->event_id));
        if (entry->is_duplicate) {
            json_write_key_bool(writer, SLICE("Duplicate"), true);
        }
    } else {
        json_write_key_string(writer, SLICE("ErrorCode"),
                              is_our_fault ? SLICE("InternalFailure")
                                           : slice_of(err_code(entry->err)));
        json_write_key_string(
            writer, SLICE("ErrorMessage"),
            slice_of(entry->message[0] != '\0' ? entry->message : err_text(entry->err)));
    }
    json_write_object_end(writer);
}

static void on_done(struct ingest_batch *batch)
{
    struct request *request = batch->request;
    struct json_writer writer;
    struct buf body;
    uint64_t failed = 0;

    buf_init(&body, 65536);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < batch->entry_count; i++) {
        failed += batch->entries[i].err != ERR_OK ? 1 : 0;
    }
    json_write_key_u64(&writer, SLICE("FailedEntryCount"), failed);
    json_write_key(&writer, SLICE("Entries"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < batch->entry_count; i++) {
        write_result(&writer, &batch->entries[i]);
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    api_respond(request, arena_copy(&request->arena, buf_slice(&body)));
    buf_clean_up(&body);
}

void put_events_handle(struct ingest *ingest, struct request *request,
                       const struct principal *principal)
{
    struct reading *reading = ARENA_NEW(&request->arena, struct reading);
    struct ingest_batch *batch;
    enum err err;

    reading->request = request;
    buf_init(&reading->listing, 4096);
    err = read_body(reading);
    if (err == ERR_OK) {
        err = check_request(reading, ingest_entries_total_max(ingest));
    }
    buf_clean_up(&reading->listing);
    if (err != ERR_OK) {
        ingest_count_refused(ingest, err);
        api_respond_error(request, 400, err_code(err), reading->why.text);
        return;
    }
    batch = ingest_batch_new(ingest, request, principal, reading->entry_count);
    for (size_t i = 0; i < reading->entry_count; i++) {
        batch->entries[i].err = fill_entry(request, &batch->entries[i], &reading->entries[i]);
    }
    batch->on_done = on_done;
    ingest_submit(batch);
}
