/* SPDX-License-Identifier: Apache-2.0
 *
 * sequence.c - text in, text out: states, the documents made of them, and the choice of a step.
 *
 * A state stays JSON text all the time, as the store keeps it and as paths read it, so that nothing
 * is built and taken apart between two steps.
 *
 * Pure; memory is the caller's arena.
 */
#include "routing/sequence.h"

#include "core/buf.h"
#include "core/check.h"
#include "core/json.h"
#include "core/json_write.h"

const struct rule_step *sequence_step(const struct rule_target *target, struct slice name)
{
    for (size_t i = 0; i < target->step_count; i++) {
        if (slice_eq(target->steps[i].name, name)) {
            return &target->steps[i];
        }
    }
    return NULL;
}

static struct slice object_of(struct slice state)
{
    return state.len > 0 ? state : SLICE("{}");
}

enum err sequence_next(const struct rule_target *target, size_t from, struct slice event,
                       struct slice state, const struct partner_lists *lists, struct arena *arena,
                       size_t *next)
{
    struct event_tree *tree = NULL;

    for (*next = from; *next < target->step_count; (*next)++) {
        const struct pattern *when = target->steps[*next].when;

        if (when == NULL) {
            return ERR_OK;
        }
        if (tree == NULL) {
            const struct slice whole = arena_printf(arena, "{\"event\":%.*s,\"steps\":%.*s}",
                                                    SLICE_ARG(event), SLICE_ARG(object_of(state)));

            TRY(event_tree_read(whole, arena, &tree, NULL));
            event_tree_use_lists(tree, lists);
        }
        if (pattern_matches(when, tree)) {
            return ERR_OK;
        }
    }
    return ERR_OK;
}

struct slice sequence_document(struct slice event, struct slice state, struct arena *arena)
{
    struct slice object = event;

    while (object.len > 0 && object.data[object.len - 1] != '}') {
        object.len--; /* white space */
    }
    CHECK(object.len > 0); /* ingest lets nothing in but objects */
    return arena_printf(arena, "%.*s,\"steps\":%.*s}",
                        SLICE_ARG(slice_first(object, object.len - 1)),
                        SLICE_ARG(object_of(state)));
}

/* Writing is over: give the text, or say that it was too much. */
static enum err take(struct json_writer *writer, struct buf *buf, struct arena *arena,
                     struct slice *text)
{
    const enum err err = json_write_end(writer);

    if (err == ERR_OK) {
        *text = arena_copy(arena, buf_slice(buf));
    }
    buf_clean_up(buf);
    return err;
}

/* The first object of the list that matches; NULL data: none does, or it is no list. */
static enum err find_where(const struct pattern *where, struct slice list, struct arena *arena,
                           struct slice *found)
{
    struct json_reader reader;
    struct json_token token;
    struct event_tree *tree;
    struct slice value;
    enum json_type type;

    *found = (struct slice){NULL, 0};
    json_reader_init(&reader, list, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != JSON_TYPE_ARRAY_BEGIN) {
        return ERR_OK;
    }
    while ((type = json_next(&reader, &token)) != JSON_TYPE_ARRAY_END) {
        TRY(json_read_value(&reader, &token, &value));
        if (type != JSON_TYPE_OBJECT_BEGIN) {
            continue;
        }
        TRY(event_tree_read(value, arena, &tree, NULL));
        if (pattern_matches(where, tree)) {
            *found = value;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* What is kept of the value at a path. */
static enum err refine(const struct rule_keep *keep, struct arena *arena, struct slice *value)
{
    if (keep->where != NULL && value->data != NULL) {
        TRY(find_where(keep->where, *value, arena, value));
    }
    if (keep->take.step_count > 0 && value->data != NULL) {
        TRY(path_find(&keep->take, 1, *value, SEQUENCE_STATE_BYTES_MAX, arena, value));
    }
    return ERR_OK;
}

enum err sequence_keep(const struct rule_step *step, struct slice result, struct arena *arena,
                       struct slice *kept)
{
    struct slice values[SEQUENCE_KEEP_MAX];
    struct json_writer writer;
    struct buf buf;

    *kept = SLICE("{}");
    if (step->keep_count == 0) {
        return ERR_OK;
    }
    TRY(path_find(step->keep_paths, step->keep_count, result, SEQUENCE_STATE_BYTES_MAX, arena,
                  values));
    for (size_t i = 0; i < step->keep_count; i++) {
        TRY(refine(&step->keeps[i], arena, &values[i]));
    }
    if (step->keeps[0].name.len == 0) {
        *kept = values[0].data != NULL ? values[0] : SLICE("null");
        return kept->len <= SEQUENCE_STATE_BYTES_MAX ? ERR_OK : ERR_TOO_LARGE;
    }
    buf_init(&buf, SEQUENCE_STATE_BYTES_MAX);
    json_write_begin(&writer, &buf);
    json_write_object_begin(&writer);
    for (size_t i = 0; i < step->keep_count; i++) {
        if (values[i].data != NULL) {
            json_write_key(&writer, step->keeps[i].name);
            if (step->keeps[i].as_text && values[i].data[0] != '"') {
                json_write_string(&writer, values[i]);
            } else {
                json_write_raw(&writer, values[i]);
            }
        }
    }
    json_write_object_end(&writer);
    return take(&writer, &buf, arena, kept);
}

struct slice sequence_failure(struct slice reason, struct slice message, struct arena *arena)
{
    struct json_writer writer;
    struct slice text;
    struct buf buf;

    buf_init(&buf, SEQUENCE_STATE_BYTES_MAX);
    json_write_begin(&writer, &buf);
    json_write_object_begin(&writer);
    json_write_key(&writer, SLICE("error"));
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("reason"), reason);
    json_write_key_string(&writer, SLICE("message"), slice_first(message, 1024));
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    CHECK(take(&writer, &buf, arena, &text) == ERR_OK);
    return text;
}

/* All members of the state but `name`; a state is our own text. */
static void write_others(struct json_writer *writer, struct slice state, struct slice name)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    json_reader_init(&reader, state, JSON_DEPTH_MAX);
    CHECK(json_next(&reader, &token) == JSON_TYPE_OBJECT_BEGIN);
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        const struct slice key = token.raw;

        (void)json_next(&reader, &token);
        CHECK(json_read_value(&reader, &token, &value) == ERR_OK);
        if (!slice_eq(key, name)) {
            json_write_key(writer, key);
            json_write_raw(writer, value);
        }
    }
}

enum err sequence_put(struct slice state, struct slice name, struct slice value,
                      struct arena *arena, struct slice *result)
{
    struct json_writer writer;
    struct buf buf;

    buf_init(&buf, SEQUENCE_STATE_BYTES_MAX);
    json_write_begin(&writer, &buf);
    json_write_object_begin(&writer);
    write_others(&writer, object_of(state), name);
    json_write_key(&writer, name);
    json_write_raw(&writer, value);
    json_write_object_end(&writer);
    return take(&writer, &buf, arena, result);
}
