/* SPDX-License-Identifier: Apache-2.0
 *
 * aws_write.c - the input of any AWS call in the form that its protocol wants.
 *
 *   JSON        the object as it stands
 *   query, EC2  a form: A=x, List.member.1=y, Map.entry.1.key=k; EC2 has List.1=y
 *   REST        members in path, query and headers; the others in a JSON body, or none
 *
 * The input is checked as JSON first and then walked by the shapes of the table, so a member that
 * the call does not have is an error with its name, not something that a service ignores.
 *
 * Pure: memory is the caller's arena; depth is bounded by the check.
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/percent.h"
#include "delivery/aws_call.h"

enum {
    INPUT_DEPTH_MAX = 32,
    PART_BYTES_MAX = 8192, /* of a path or a query */
};

struct writing {
    struct arena *arena;
    struct err_why *why;
    const struct aws_operation *operation;
    struct aws_written *out;
};

/* ---- reading the input -------------------------------------------------------------------- */

/* Walks through an object or a list that was found to be valid JSON. */
struct walk {
    struct json_reader reader;
    struct arena *arena;
};

static bool walk_begin(struct walk *walk, struct slice value, enum json_type type,
                       struct arena *arena)
{
    struct json_token token;

    walk->arena = arena;
    json_reader_init(&walk->reader, value, INPUT_DEPTH_MAX);
    return json_next(&walk->reader, &token) == type;
}

/* The next member; null counts as absent. */
static bool walk_member(struct walk *walk, struct slice *key, struct slice *value)
{
    struct json_token token;

    while (json_next(&walk->reader, &token) == JSON_TYPE_KEY) {
        bool is_null;

        *key = json_token_text(&token, walk->arena);
        is_null = json_next(&walk->reader, &token) == JSON_TYPE_NULL;
        if (json_read_value(&walk->reader, &token, value) != ERR_OK) {
            return false;
        }
        if (!is_null) {
            return true;
        }
    }
    return false;
}

static bool walk_item(struct walk *walk, struct slice *value)
{
    struct json_token token;

    return json_next(&walk->reader, &token) != JSON_TYPE_ARRAY_END &&
           json_read_value(&walk->reader, &token, value) == ERR_OK;
}

static bool find_member(struct slice object, struct slice name, struct arena *arena,
                        struct slice *value)
{
    struct walk walk;
    struct slice key;

    if (!walk_begin(&walk, object, JSON_TYPE_OBJECT_BEGIN, arena)) {
        return false;
    }
    while (walk_member(&walk, &key, value)) {
        if (slice_eq(key, name)) {
            return true;
        }
    }
    return false;
}

static enum err wrong_type(const struct writing *writing, struct slice name, const char *wanted)
{
    return err_because(ERR_BAD_VALUE, writing->why, "%.*s must be %s",
                       SLICE_ARG(slice_first(name, 64)), wanted);
}

/* The characters of a string, or a number, true or false as written. */
static enum err scalar_text(const struct writing *writing, struct slice name, struct slice value,
                            struct slice *text)
{
    struct json_reader reader;
    struct json_token token;
    enum json_type type;

    json_reader_init(&reader, value, INPUT_DEPTH_MAX);
    type = json_next(&reader, &token);
    if (type == JSON_TYPE_STRING) {
        *text = json_token_text(&token, writing->arena);
        return ERR_OK;
    }
    if (type != JSON_TYPE_NUMBER && type != JSON_TYPE_TRUE && type != JSON_TYPE_FALSE) {
        return wrong_type(writing, name, "a string, a number, true or false");
    }
    *text = token.raw;
    return ERR_OK;
}

static const struct aws_member *member_named(const struct aws_shape *shape, struct slice name)
{
    for (int i = 0; i < shape->count; i++) {
        const struct aws_member *member = aws_member_at(shape->first + i);

        if (slice_eq(name, slice_of(member->name))) {
            return member;
        }
    }
    return NULL;
}

static enum err no_member(const struct writing *writing, struct slice name)
{
    return err_because(ERR_BAD_VALUE, writing->why, "%s has no member %.*s here",
                       writing->operation->call->action, SLICE_ARG(slice_first(name, 64)));
}

/* ---- forms -------------------------------------------------------------------------------- */

static enum err write_form(struct writing *writing, const struct aws_shape *shape,
                           struct slice prefix, struct slice value);

static enum err write_form_members(struct writing *writing, const struct aws_shape *shape,
                                   struct slice prefix, struct slice value)
{
    struct slice key;
    struct slice part;
    struct walk walk;

    if (!walk_begin(&walk, value, JSON_TYPE_OBJECT_BEGIN, writing->arena)) {
        return wrong_type(writing, prefix, "an object");
    }
    while (walk_member(&walk, &key, &part)) {
        const struct aws_member *member = member_named(shape, key);

        if (member == NULL) {
            return no_member(writing, key);
        }
        TRY(write_form(writing, aws_shape_at(member->shape),
                       arena_printf(writing->arena, "%.*s%s%s", SLICE_ARG(prefix),
                                    prefix.len > 0 ? "." : "", member->wire),
                       part));
    }
    return ERR_OK;
}

/* "PREFIX.item.N", or "PREFIX.N" where items have no name. */
static struct slice item_prefix(const struct writing *writing, const struct aws_shape *shape,
                                struct slice prefix, unsigned number)
{
    return arena_printf(writing->arena, "%.*s%s%s.%u", SLICE_ARG(prefix),
                        shape->item[0] != '\0' ? "." : "", shape->item, number);
}

static enum err write_form_list(struct writing *writing, const struct aws_shape *shape,
                                struct slice prefix, struct slice value)
{
    struct slice item;
    struct walk walk;
    unsigned number = 0;

    if (!walk_begin(&walk, value, JSON_TYPE_ARRAY_BEGIN, writing->arena)) {
        return wrong_type(writing, prefix, "a list");
    }
    while (walk_item(&walk, &item)) {
        number++;
        TRY(write_form(writing, aws_shape_at(shape->first),
                       item_prefix(writing, shape, prefix, number), item));
    }
    return ERR_OK;
}

static enum err write_pair(struct writing *writing, struct slice name, struct slice text)
{
    struct buf *form = writing->out->body;

    TRY(buf_append_byte(form, '&'));
    TRY(buf_append(form, name));
    TRY(buf_append_byte(form, '='));
    return percent_encode(text, form);
}

static enum err write_form_map(struct writing *writing, const struct aws_shape *shape,
                               struct slice prefix, struct slice value)
{
    struct slice key;
    struct slice item;
    struct walk walk;
    unsigned number = 0;

    if (!walk_begin(&walk, value, JSON_TYPE_OBJECT_BEGIN, writing->arena)) {
        return wrong_type(writing, prefix, "an object");
    }
    while (walk_member(&walk, &key, &item)) {
        struct slice entry;

        number++;
        entry = item_prefix(writing, shape, prefix, number);
        TRY(write_pair(writing,
                       arena_printf(writing->arena, "%.*s.%s", SLICE_ARG(entry), shape->key), key));
        TRY(write_form(writing, aws_shape_at(shape->first),
                       arena_printf(writing->arena, "%.*s.%s", SLICE_ARG(entry), shape->value),
                       item));
    }
    return ERR_OK;
}

static enum err write_form(struct writing *writing, const struct aws_shape *shape,
                           struct slice prefix, struct slice value)
{
    struct slice text;

    switch (shape->kind) {
    case AWS_STRUCTURE:
        return write_form_members(writing, shape, prefix, value);
    case AWS_LIST:
        return write_form_list(writing, shape, prefix, value);
    case AWS_MAP:
        return write_form_map(writing, shape, prefix, value);
    case AWS_SCALAR:
    case AWS_BLOB: /* in base64 already, as JSON has it */
    case AWS_RAW:
    default:
        TRY(scalar_text(writing, prefix, value, &text));
        return write_pair(writing, prefix, text);
    }
}

static enum err write_query(struct writing *writing, struct slice input)
{
    const struct aws_operation *operation = writing->operation;

    TRY(buf_printf(writing->out->body, "Action=%.*s&Version=%s", SLICE_ARG(operation->action),
                   operation->service->version));
    if (operation->call->input < 0) {
        return ERR_OK;
    }
    return write_form(writing, aws_shape_at(operation->call->input), SLICE(""), input);
}

/* ---- REST --------------------------------------------------------------------------------- */

static enum err write_value(struct writing *writing, const struct aws_shape *shape,
                            struct slice name, struct slice value, struct json_writer *json);

static enum err write_object(struct writing *writing, const struct aws_shape *shape,
                             struct slice name, struct slice value, struct json_writer *json)
{
    const bool is_map = shape->kind == AWS_MAP;
    struct slice key;
    struct slice part;
    struct walk walk;

    if (!walk_begin(&walk, value, JSON_TYPE_OBJECT_BEGIN, writing->arena)) {
        return wrong_type(writing, name, "an object");
    }
    json_write_object_begin(json);
    while (walk_member(&walk, &key, &part)) {
        const struct aws_member *member = is_map ? NULL : member_named(shape, key);

        if (!is_map && member == NULL) {
            return no_member(writing, key);
        }
        if (is_map || member->place == AWS_IN_BODY) {
            json_write_key(json, is_map ? key : slice_of(member->wire));
            TRY(write_value(writing, aws_shape_at(is_map ? shape->first : member->shape), key, part,
                            json));
        }
    }
    json_write_object_end(json);
    return ERR_OK;
}

static enum err write_value(struct writing *writing, const struct aws_shape *shape,
                            struct slice name, struct slice value, struct json_writer *json)
{
    struct slice item;
    struct walk walk;

    if (shape->kind == AWS_STRUCTURE || shape->kind == AWS_MAP) {
        return write_object(writing, shape, name, value, json);
    }
    if (shape->kind != AWS_LIST) {
        json_write_raw(json, value);
        return ERR_OK;
    }
    if (!walk_begin(&walk, value, JSON_TYPE_ARRAY_BEGIN, writing->arena)) {
        return wrong_type(writing, name, "a list");
    }
    json_write_array_begin(json);
    while (walk_item(&walk, &item)) {
        TRY(write_value(writing, aws_shape_at(shape->first), name, item, json));
    }
    json_write_array_end(json);
    return ERR_OK;
}

/* Of a service whose whole input may travel as it stands, members were not listed. */
static bool has_body(const struct aws_shape *shape)
{
    for (int i = 0; shape->kind == AWS_STRUCTURE && i < shape->count; i++) {
        if (aws_member_at(shape->first + i)->place == AWS_IN_BODY) {
            return true;
        }
    }
    return shape->kind == AWS_RAW;
}

/* The member that is the whole body: the characters of a string, or any other JSON as it is. */
static enum err write_payload(struct writing *writing, struct slice input)
{
    struct slice value;

    if (!find_member(input, slice_of(writing->operation->call->payload), writing->arena, &value)) {
        return ERR_OK;
    }
    if (slice_has_prefix(value, SLICE("\""))) {
        TRY(scalar_text(writing, SLICE(""), value, &value));
    }
    return buf_append(writing->out->body, value);
}

static enum err write_body(struct writing *writing, const struct aws_shape *shape,
                           struct slice input)
{
    struct json_writer json;

    if (writing->operation->call->payload != NULL) {
        return write_payload(writing, input);
    }
    if (!has_body(shape)) {
        return ERR_OK;
    }
    json_write_begin(&json, writing->out->body);
    TRY(write_value(writing, shape, SLICE("the input"), input, &json));
    return json_write_end(&json);
}

/* Dots alone would lead out of where the call goes. */
static enum err write_segment(const struct writing *writing, struct slice segment, struct buf *path)
{
    if (slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE(".."))) {
        return err_because(ERR_BAD_VALUE, writing->why, "a part of the path is only dots");
    }
    return percent_encode(segment, path);
}

/* "{Name}", or "{Name+}" in which slashes stay, by the member of that wire name. */
static enum err write_label(struct writing *writing, const struct aws_shape *shape,
                            struct slice label, struct slice input, struct buf *path)
{
    const bool is_greedy = slice_has_suffix(label, SLICE("+"));
    struct slice rest = {NULL, 0};
    struct slice value;

    label.len -= is_greedy ? 1 : 0;
    for (int i = 0; shape->kind == AWS_STRUCTURE && i < shape->count; i++) {
        const struct aws_member *member = aws_member_at(shape->first + i);

        if (member->place == AWS_IN_PATH && slice_eq(label, slice_of(member->wire)) &&
            find_member(input, slice_of(member->name), writing->arena, &value)) {
            TRY(scalar_text(writing, label, value, &rest));
        }
    }
    if (rest.len == 0) {
        return err_because(ERR_BAD_VALUE, writing->why, "%.*s is required", SLICE_ARG(label));
    }
    while (is_greedy && slice_find(rest, '/') < rest.len) {
        TRY(write_segment(writing, slice_cut(&rest, '/'), path));
        TRY(buf_append_byte(path, '/'));
    }
    return write_segment(writing, rest, path);
}

static enum err write_path(struct writing *writing, const struct aws_shape *shape,
                           struct slice template, struct slice input, struct buf *path)
{
    while (template.len > 0) {
        const struct slice plain = slice_cut(&template, '{');

        TRY(buf_append(path, plain));
        if (template.len > 0) {
            TRY(write_label(writing, shape, slice_cut(&template, '}'), input, path));
        }
    }
    return ERR_OK;
}

static enum err write_query_member(struct writing *writing, const struct aws_member *member,
                                   struct slice value, struct buf *query)
{
    struct slice item = value;
    struct slice text;
    struct walk walk;
    const bool is_list = walk_begin(&walk, value, JSON_TYPE_ARRAY_BEGIN, writing->arena);

    while (!is_list || walk_item(&walk, &item)) {
        TRY(scalar_text(writing, slice_of(member->name), item, &text));
        TRY(buf_printf(query, "%s%s=", query->len > 0 ? "&" : "", member->wire));
        TRY(percent_encode(text, query));
        if (!is_list) {
            break;
        }
    }
    return ERR_OK;
}

/* A value that could end the header and begin another would be the input's, not ours. */
static enum err write_header(struct writing *writing, const struct aws_member *member,
                             struct slice value)
{
    struct aws_written *out = writing->out;
    struct slice text;

    TRY(scalar_text(writing, slice_of(member->name), value, &text));
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F) {
            return wrong_type(writing, slice_of(member->name), "free of control characters");
        }
    }
    if (out->header_count == AWS_WRITTEN_HEADERS_MAX) {
        return err_because(ERR_BAD_VALUE, writing->why, "too many members travel as headers");
    }
    out->headers[out->header_count++] = (struct header){slice_of(member->wire), text};
    return ERR_OK;
}

/* Members that go elsewhere than into path and body; one that does not exist is an error. */
static enum err write_others(struct writing *writing, const struct aws_shape *shape,
                             struct slice input, struct buf *query)
{
    struct slice key;
    struct slice value;
    struct walk walk;

    if (shape->kind != AWS_STRUCTURE) {
        return ERR_OK;
    }
    (void)walk_begin(&walk, input, JSON_TYPE_OBJECT_BEGIN, writing->arena);
    while (walk_member(&walk, &key, &value)) {
        const struct aws_member *member = member_named(shape, key);

        if (member == NULL || member->place == AWS_IN_HEADERS) {
            return no_member(writing, key);
        }
        if (member->place == AWS_IN_QUERY) {
            TRY(write_query_member(writing, member, value, query));
        } else if (member->place == AWS_IN_HEADER) {
            TRY(write_header(writing, member, value));
        }
    }
    return ERR_OK;
}

static enum err write_rest_parts(struct writing *writing, struct slice input, struct buf *path,
                                 struct buf *query)
{
    static const struct aws_shape nothing = {.kind = AWS_STRUCTURE};
    const struct aws_call *call = writing->operation->call;
    const struct aws_shape *shape = call->input < 0 ? &nothing : aws_shape_at(call->input);
    struct slice fixed = slice_of(call->uri);
    const struct slice template = slice_cut(&fixed, '?');

    TRY(write_path(writing, shape, slice_from(template, 1), input, path));
    TRY(buf_append(query, fixed));
    TRY(write_others(writing, shape, input, query));
    return write_body(writing, shape, input);
}

static enum err write_rest(struct writing *writing, struct slice input)
{
    struct buf path;
    struct buf query;
    enum err err;

    buf_init(&path, PART_BYTES_MAX);
    buf_init(&query, PART_BYTES_MAX);
    err = write_rest_parts(writing, input, &path, &query);
    writing->out->path = arena_copy(writing->arena, buf_slice(&path));
    writing->out->query = arena_copy(writing->arena, buf_slice(&query));
    buf_clean_up(&path);
    buf_clean_up(&query);
    return err;
}

/* ---- all ---------------------------------------------------------------------------------- */

/* The input with the token in it, unless it has one or the call knows none. */
static struct slice with_token(const struct writing *writing, struct slice input,
                               struct slice token)
{
    const struct slice name = writing->operation->token;
    struct slice rest = input;
    struct slice found;

    if (name.len == 0 || find_member(input, name, writing->arena, &found)) {
        return input;
    }
    (void)slice_cut(&rest, '{');
    found = slice_trim(rest);
    while (found.len > 0 && (found.data[0] == '\n' || found.data[0] == '\r')) {
        found = slice_trim(slice_from(found, 1));
    }
    return arena_printf(writing->arena, "{\"%.*s\":\"%.*s\"%s%.*s", SLICE_ARG(name),
                        SLICE_ARG(token), slice_has_prefix(found, SLICE("}")) ? "" : ",",
                        SLICE_ARG(rest));
}

enum err aws_operation_write(const struct aws_operation *operation, struct slice input,
                             struct slice token, struct arena *arena, struct aws_written *written,
                             struct err_why *why)
{
    struct writing writing = {.arena = arena, .why = why, .operation = operation, .out = written};
    struct walk walk;

    written->method = operation->call != NULL ? operation->call->method : "POST";
    written->path = SLICE("");
    written->query = SLICE("");
    written->header_count = 0;
    TRY(json_check(input, INPUT_DEPTH_MAX, why));
    if (!walk_begin(&walk, input, JSON_TYPE_OBJECT_BEGIN, arena)) {
        return wrong_type(&writing, SLICE("the input"), "an object");
    }
    input = with_token(&writing, input, token);
    switch (operation->service->protocol) {
    case AWS_JSON:
        return buf_append(written->body, input);
    case AWS_QUERY:
    case AWS_EC2:
        return write_query(&writing, input);
    case AWS_REST_JSON:
    case AWS_REST_XML:
    default:
        return write_rest(&writing, input);
    }
}
