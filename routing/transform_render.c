/* SPDX-License-Identifier: Apache-2.0
 *
 * transform_render.c - one event through a compiled transform.
 *
 * All values are found in one pass over the event, as JSON text; then the parts are written one
 * after the other.  A string inside quotes is pasted with the escapes that its sender wrote, so
 * nothing is decoded on the way, and nothing in it can end the quotes.  An object inside the quotes
 * of a text loses its own quotes and the white space between its tokens, and keeps the rest.
 *
 * Memory: values are slices of the event or lie in the arena; the output is bounded by `out`.
 */
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "routing/transform_internal.h"

struct rendering {
    const struct transform *transform;
    const struct transform_source *source;
    struct arena *arena;
    struct buf *out;
    struct err_why *why;
    struct slice values[JSON_PATH_SET_MAX];
};

/* A text of our own as a JSON string. */
static struct slice quote(struct arena *arena, struct slice text)
{
    struct json_writer writer;
    struct slice quoted;
    struct buf buf;

    buf_init(&buf, text.len * 6 + 2);
    json_write_begin(&writer, &buf);
    json_write_string(&writer, text);
    CHECK(json_write_end(&writer) == ERR_OK);
    quoted = arena_copy(arena, buf_slice(&buf));
    buf_clean_up(&buf);
    return quoted;
}

static enum err write_envelope(const struct rendering *rendering)
{
    const struct transform *transform = rendering->transform;
    const struct slice *members =
        rendering->values + transform->path_count - TRANSFORM_ENVELOPE_MEMBERS;
    struct json_writer writer;

    json_write_begin(&writer, rendering->out);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < TRANSFORM_ENVELOPE_MEMBERS; i++) {
        if (members[i].data != NULL) {
            json_write_key(&writer, transform_envelope[i].key);
            json_write_raw(&writer, members[i]);
        }
    }
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* The value of a part as JSON text; NULL data if there is none. Not for TRANSFORM_EVENT. */
static struct slice value_of(const struct rendering *rendering, const struct transform_part *part)
{
    char iso[MOMENT_ISO_CHARS];

    switch (part->origin) {
    case TRANSFORM_PATH:
        return rendering->values[part->path];
    case TRANSFORM_RULE_ARN:
        return quote(rendering->arena, rendering->source->rule_arn);
    case TRANSFORM_RULE_NAME:
        return quote(rendering->arena, rendering->source->rule_name);
    case TRANSFORM_INGESTION_TIME:
        moment_to_iso(rendering->source->accepted_ms, iso);
        return quote(rendering->arena, (struct slice){iso, sizeof(iso)});
    case TRANSFORM_EVENT_JSON:
        return rendering->source->event;
    case TRANSFORM_EVENT:
    default:
        CHECK(false);
    }
    return (struct slice){NULL, 0};
}

static enum err write_value(const struct rendering *rendering, const struct transform_part *part)
{
    struct slice value;

    if (part->origin == TRANSFORM_EVENT) {
        return write_envelope(rendering);
    }
    value = value_of(rendering, part);
    return buf_append(rendering->out, value.data != NULL ? value : SLICE("\"\""));
}

/* The JSON of a container without its quotes and without blanks between tokens.  What its strings
 * hold keeps its escapes. */
static enum err write_bare(struct slice json, struct buf *out)
{
    bool is_string = false;

    for (size_t i = 0; i < json.len; i++) {
        const char byte = json.data[i];

        if (byte == '"') {
            is_string = !is_string;
        } else if (is_string && byte == '\\') {
            TRY(buf_append(out, slice_first(slice_from(json, i), 2)));
            i++;
        } else if (is_string || strchr(" \t\r\n", byte) == NULL) {
            TRY(buf_append_byte(out, byte));
        }
    }
    return ERR_OK;
}

static enum err write_inside(const struct rendering *rendering, const struct transform_part *part)
{
    const struct slice value = value_of(rendering, part);

    if (value.data == NULL) {
        return ERR_OK;
    }
    if (value.data[0] == '"') {
        return buf_append(rendering->out, slice_from(slice_first(value, value.len - 1), 1));
    }
    if (value.data[0] != '{' && value.data[0] != '[') {
        return buf_append(rendering->out, value);
    }
    if (!rendering->transform->is_text) {
        return err_because(
            ERR_BAD_VALUE, rendering->why, "%.*s stands inside quotes, where no %s may be inserted",
            SLICE_ARG(slice_first(part->text, 200)), value.data[0] == '{' ? "object" : "array");
    }
    return write_bare(value, rendering->out);
}

static enum err write_parts(const struct rendering *rendering)
{
    for (size_t i = 0; i < rendering->transform->part_count; i++) {
        const struct transform_part *part = &rendering->transform->parts[i];

        switch (part->kind) {
        case TRANSFORM_TEXT:
            TRY(buf_append(rendering->out, part->text));
            break;
        case TRANSFORM_VALUE:
            TRY(write_value(rendering, part));
            break;
        case TRANSFORM_INSIDE:
            TRY(write_inside(rendering, part));
            break;
        default:
            CHECK(false);
        }
    }
    return ERR_OK;
}

enum err transform_render(const struct transform *transform, const struct transform_source *source,
                          struct arena *arena, struct buf *out, struct err_why *why)
{
    const size_t len_before = out->len;
    struct rendering rendering = {
        .transform = transform, .source = source, .arena = arena, .out = out, .why = why};
    enum err err = ERR_OK;

    if (transform->path_count > 0) {
        err = path_find(transform->paths, transform->path_count,
                        source->document.len > 0 ? source->document : source->event,
                        out->max - out->len, arena, rendering.values);
    }
    if (err == ERR_OK) {
        err = write_parts(&rendering);
    }
    if (err == ERR_TOO_LARGE) {
        (void)err_because(err, why, "the input would have more than %zu bytes", out->max);
    } else if (err == ERR_BAD_JSON) {
        (void)err_because(err, why, "the event is not JSON");
    }
    if (err != ERR_OK) {
        out->len = len_before;
    }
    return err;
}
