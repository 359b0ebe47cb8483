/* SPDX-License-Identifier: Apache-2.0
 *
 * event.c - the envelope around every event: read strictly, completed once, then never changed.
 *
 * Two ways lead here.  `POST /events` brings whole envelopes: their bytes are what targets get, so
 * they are copied as they are, and only members that are missing are written, right behind the
 * opening brace.  PutEvents brings the parts: the envelope is written from them in the order in
 * which EventBridge writes it, with the white space between the tokens of `detail` removed and
 * every other byte of it kept (a number stays 1.0, an escape stays an escape).
 *
 * Invariant: the bytes of an event are one JSON object, and each slice says what it says.
 * Memory:    an event lives in one allocation of its own; the last release frees it.
 * Time:      only `now_ms` of the defaults.
 */
#include "routing/event.h"

#include "core/check.h"
#include "core/json_write.h"
#include "core/moment.h"

enum {
    ENVELOPE_VERSION_BYTES_MAX = 16,
    ENVELOPE_TIME_BYTES_MAX = 64,
    ENVELOPE_REGION_BYTES_MAX = 64,
    ACCOUNT_CHARS = 12,
    /* braces, keys, quotes and commas of a whole envelope, with room to spare */
    ENVELOPE_FRAME_BYTES = 512,
    ESCAPE_GROWTH = 6, /* a control byte becomes \u00XX */
};

/* ---- reading ------------------------------------------------------------------------------- */

enum envelope_kind { KIND_TEXT, KIND_TEXT_ARRAY, KIND_OBJECT };

struct envelope_member {
    struct slice key;
    enum envelope_kind kind;
    size_t bytes_max;
    size_t offset; /* of the slice in struct event_draft */
};

#define MEMBER(key, kind, bytes_max, field)                                                        \
    {                                                                                              \
        SLICE_INIT(key), kind, bytes_max, offsetof(struct event_draft, field)                      \
    }

static const struct envelope_member members[] = {
    MEMBER("version", KIND_TEXT, ENVELOPE_VERSION_BYTES_MAX, version),
    MEMBER("id", KIND_TEXT, EVENT_ID_CHARS_MAX, id),
    MEMBER("detail-type", KIND_TEXT, EVENT_DETAIL_TYPE_BYTES_MAX, detail_type),
    MEMBER("source", KIND_TEXT, EVENT_SOURCE_BYTES_MAX, source),
    MEMBER("account", KIND_TEXT, ACCOUNT_CHARS, account),
    MEMBER("time", KIND_TEXT, ENVELOPE_TIME_BYTES_MAX, time),
    MEMBER("region", KIND_TEXT, ENVELOPE_REGION_BYTES_MAX, region),
    MEMBER("resources", KIND_TEXT_ARRAY, 0, resources),
    MEMBER("detail", KIND_OBJECT, 0, detail),
};

static struct slice *draft_field(struct event_draft *draft, const struct envelope_member *member)
{
    return (struct slice *)(void *)((char *)draft + member->offset);
}

static const struct envelope_member *find_member(struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (slice_eq(members[i].key, key)) {
            return &members[i];
        }
    }
    return NULL;
}

static bool has_nul(struct slice text)
{
    return slice_find(text, '\0') < text.len;
}

static enum err refuse(const struct envelope_member *member, size_t position, const char *what,
                       struct err_why *why)
{
    return err_because(ERR_BAD_VALUE, why, "event: `%.*s` %s, before byte %zu",
                       SLICE_ARG(member->key), what, position);
}

static enum err read_text(struct json_reader *reader, const struct json_token *token,
                          const struct envelope_member *member, struct arena *arena,
                          struct slice *value, struct err_why *why)
{
    if (token->type != JSON_TYPE_STRING) {
        return refuse(member, reader->position, "must be a string", why);
    }
    *value = json_token_text(token, arena);
    if (value->len == 0) {
        return refuse(member, reader->position, "must not be empty", why);
    }
    if (value->len > member->bytes_max) {
        return err_because(ERR_BAD_VALUE, why,
                           "event: `%.*s` has %zu bytes, more than %zu, before byte %zu",
                           SLICE_ARG(member->key), value->len, member->bytes_max, reader->position);
    }
    if (has_nul(*value)) {
        return refuse(member, reader->position, "must not hold a NUL character", why);
    }
    return ERR_OK;
}

/* The text of an array of strings; `token` is its first token. */
static enum err read_text_array(struct json_reader *reader, struct json_token *token,
                                const struct envelope_member *member, struct arena *arena,
                                struct slice *value, struct err_why *why)
{
    const size_t start = reader->position - 1;

    if (token->type != JSON_TYPE_ARRAY_BEGIN) {
        return refuse(member, reader->position, "must be an array of strings", why);
    }
    while (json_next(reader, token) == JSON_TYPE_STRING) {
        if (has_nul(json_token_text(token, arena))) {
            return refuse(member, reader->position, "must not hold a NUL character", why);
        }
    }
    if (token->type == JSON_TYPE_ERROR) {
        return json_fault(reader, why);
    }
    if (token->type != JSON_TYPE_ARRAY_END) {
        return refuse(member, reader->position, "must be an array of strings", why);
    }
    *value = (struct slice){reader->text.data + start, reader->position - start};
    return ERR_OK;
}

static enum err read_value(struct json_reader *reader, struct json_token *token,
                           const struct envelope_member *member, struct arena *arena,
                           struct slice *value, struct err_why *why)
{
    if (member->kind == KIND_TEXT) {
        return read_text(reader, token, member, arena, value, why);
    }
    if (member->kind == KIND_TEXT_ARRAY) {
        return read_text_array(reader, token, member, arena, value, why);
    }
    if (token->type != JSON_TYPE_OBJECT_BEGIN) {
        return refuse(member, reader->position, "must be an object", why);
    }
    if (json_read_value(reader, token, value) != ERR_OK) {
        return json_fault(reader, why);
    }
    return ERR_OK;
}

/* One member of the envelope; `token` is its key. */
static enum err read_member(struct json_reader *reader, struct json_token *token,
                            struct arena *arena, struct event_draft *draft, struct err_why *why)
{
    const struct envelope_member *member = find_member(json_token_text(token, arena));
    struct slice unread;
    struct slice *field;

    if (json_next(reader, token) == JSON_TYPE_ERROR) {
        return json_fault(reader, why);
    }
    if (member == NULL) {
        return json_read_value(reader, token, &unread) == ERR_OK ? ERR_OK : json_fault(reader, why);
    }
    field = draft_field(draft, member);
    if (field->data != NULL) {
        return refuse(member, reader->position, "is given twice", why);
    }
    return read_value(reader, token, member, arena, field, why);
}

static bool is_account(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.len == ACCOUNT_CHARS;
}

static enum err check_draft(const struct event_draft *draft, struct err_why *why)
{
    uint64_t ms;

    if (draft->source.data == NULL) {
        return err_because(ERR_BAD_VALUE, why, "event: `source` is missing");
    }
    if (draft->detail_type.data == NULL) {
        return err_because(ERR_BAD_VALUE, why, "event: `detail-type` is missing");
    }
    if (draft->detail.data == NULL) {
        return err_because(ERR_BAD_VALUE, why, "event: `detail` is missing");
    }
    if (draft->account.data != NULL && !is_account(draft->account)) {
        return err_because(ERR_BAD_VALUE, why, "event: `account` must be 12 digits");
    }
    if (draft->time.data != NULL && moment_from_iso(draft->time, &ms) != ERR_OK) {
        return err_because(ERR_BAD_VALUE, why,
                           "event: `time` must be a time such as 2026-01-31T12:00:00Z");
    }
    return ERR_OK;
}

enum err event_read_envelope(struct slice text, struct arena *arena, struct event_draft *draft,
                             struct err_why *why)
{
    struct json_reader reader;
    struct json_token token;

    *draft = (struct event_draft){.bytes = text};
    json_reader_init(&reader, text, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) == JSON_TYPE_ERROR) {
        return json_fault(&reader, why);
    }
    if (token.type != JSON_TYPE_OBJECT_BEGIN) {
        return err_because(ERR_BAD_VALUE, why, "event: must be a JSON object");
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        TRY(read_member(&reader, &token, arena, draft, why));
    }
    if (token.type != JSON_TYPE_OBJECT_END || json_next(&reader, &token) != JSON_TYPE_END) {
        return json_fault(&reader, why);
    }
    return check_draft(draft, why);
}

enum err event_check_detail(struct slice text)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    /* the envelope around it is one level more */
    json_reader_init(&reader, text, JSON_DEPTH_MAX - 1);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN ||
        json_read_value(&reader, &token, &value) != ERR_OK ||
        json_next(&reader, &token) != JSON_TYPE_END) {
        return ERR_MALFORMED_DETAIL;
    }
    return ERR_OK;
}

/* ---- completing ---------------------------------------------------------------------------- */

/* Every value of the finished envelope. */
static struct event_draft fill_gaps(const struct event_draft *draft,
                                    const struct event_defaults *defaults, struct slice time)
{
    struct event_draft full = *draft;

    full.version = draft->version.data != NULL ? draft->version : SLICE("0");
    full.id = draft->id.data != NULL ? draft->id : defaults->id;
    full.account = defaults->account;
    full.time = draft->time.data != NULL ? draft->time : time;
    full.region = draft->region.data != NULL ? draft->region : defaults->region;
    full.resources = draft->resources.data != NULL ? draft->resources : SLICE("[]");
    return full;
}

static size_t bytes_at_most(const struct event_draft *full)
{
    const size_t texts = full->version.len + full->id.len + full->account.len + full->source.len +
                         full->detail_type.len + full->time.len + full->region.len;

    return ENVELOPE_FRAME_BYTES + ESCAPE_GROWTH * texts + full->resources.len + full->detail.len +
           full->bytes.len;
}

/* A value that is JSON already, without white space between its tokens. */
static void write_compact(struct json_writer *writer, struct slice key, struct slice json)
{
    struct buf compact;

    buf_init(&compact, json.len);
    CHECK(json_compact(json, &compact) == ERR_OK);
    json_write_key(writer, key);
    json_write_raw(writer, buf_slice(&compact));
    buf_clean_up(&compact);
}

static void write_whole(const struct event_draft *full, struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("version"), full->version);
    json_write_key_string(&writer, SLICE("id"), full->id);
    json_write_key_string(&writer, SLICE("detail-type"), full->detail_type);
    json_write_key_string(&writer, SLICE("source"), full->source);
    json_write_key_string(&writer, SLICE("account"), full->account);
    json_write_key_string(&writer, SLICE("time"), full->time);
    json_write_key_string(&writer, SLICE("region"), full->region);
    write_compact(&writer, SLICE("resources"), full->resources);
    write_compact(&writer, SLICE("detail"), full->detail);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
}

/* The members that `draft` lacks, without braces. */
static void write_gaps(const struct event_draft *draft, const struct event_draft *full,
                       struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    if (draft->version.data == NULL) {
        json_write_key_string(&writer, SLICE("version"), full->version);
    }
    if (draft->id.data == NULL) {
        json_write_key_string(&writer, SLICE("id"), full->id);
    }
    if (draft->account.data == NULL) {
        json_write_key_string(&writer, SLICE("account"), full->account);
    }
    if (draft->time.data == NULL) {
        json_write_key_string(&writer, SLICE("time"), full->time);
    }
    if (draft->region.data == NULL) {
        json_write_key_string(&writer, SLICE("region"), full->region);
    }
    if (draft->resources.data == NULL) {
        json_write_key(&writer, SLICE("resources"));
        json_write_raw(&writer, full->resources);
    }
    CHECK(json_write_end(&writer) == ERR_OK);
}

/* The received bytes, with the gaps filled right behind the opening brace.  At least three members
 * follow it, so the comma is always due. */
static void write_received(const struct event_draft *draft, const struct event_draft *full,
                           struct buf *out)
{
    const size_t head_len = slice_find(draft->bytes, '{') + 1;

    CHECK(head_len < draft->bytes.len);
    CHECK(buf_append(out, slice_first(draft->bytes, head_len)) == ERR_OK);
    write_gaps(draft, full, out);
    if (out->len > head_len) {
        CHECK(buf_append_byte(out, ',') == ERR_OK);
    }
    CHECK(buf_append(out, slice_from(draft->bytes, head_len)) == ERR_OK);
}

/* Copy `text` to *next and move *next behind it. */
static struct slice place(char **next, struct slice text)
{
    const struct slice placed = {*next, text.len};

    if (text.len > 0) {
        memcpy(*next, text.data, text.len);
    }
    *next += text.len;
    return placed;
}

/* One allocation holds the struct and all it points to. */
static struct event *new_event(const struct event_draft *full, struct slice bytes,
                               uint64_t accepted_ms)
{
    struct arena arena = {0};
    struct event *event = arena_alloc(
        &arena, sizeof(*event) + bytes.len + full->id.len + full->account.len + full->source.len +
                    full->detail_type.len + full->region.len + full->time.len);
    char *next = (char *)(event + 1);

    *event = (struct event){
        .references = 1,
        .bytes = place(&next, bytes),
        .id = place(&next, full->id),
        .account = place(&next, full->account),
        .source = place(&next, full->source),
        .detail_type = place(&next, full->detail_type),
        .region = place(&next, full->region),
        .time = place(&next, full->time),
        .accepted_ms = accepted_ms,
        .arena = arena,
    };
    return event;
}

struct event *event_complete(const struct event_draft *draft, const struct event_defaults *defaults)
{
    char time[MOMENT_ISO_CHARS];
    struct event_draft full;
    struct buf bytes;
    struct event *event;

    CHECK(draft->source.data != NULL);
    CHECK(draft->detail_type.data != NULL);
    CHECK(draft->detail.data != NULL);
    CHECK(draft->account.data == NULL || slice_eq(draft->account, defaults->account));
    moment_to_iso(defaults->now_ms, time);
    full = fill_gaps(draft, defaults, (struct slice){time, sizeof(time)});
    buf_init(&bytes, bytes_at_most(&full));
    if (draft->bytes.data != NULL) {
        write_received(draft, &full, &bytes);
    } else {
        write_whole(&full, &bytes);
    }
    event = new_event(&full, buf_slice(&bytes), defaults->now_ms);
    buf_clean_up(&bytes);
    return event;
}

struct event *event_acquire(struct event *event)
{
    CHECK(event != NULL);
    CHECK(atomic_fetch_add_explicit(&event->references, 1, memory_order_relaxed) > 0);
    return event;
}

void event_release(struct event *event)
{
    struct arena arena;

    if (event == NULL ||
        atomic_fetch_sub_explicit(&event->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    arena = event->arena; /* the event lives in it */
    arena_clean_up(&arena);
}
