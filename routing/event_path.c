/* SPDX-License-Identifier: Apache-2.0
 *
 * event_path.c - find the value at a path of an event, without a tree.
 *
 * Each step reads its container once and skips what it does not want; the next step reads only what
 * was found.  So a path costs at most one pass over `detail`, and nothing is built.
 *
 * Memory: only names with escapes, in the caller's arena.
 */
#include "routing/event_path.h"

#include "core/check.h"

/* ---- the path itself ----------------------------------------------------------------------- */

struct step {
    struct slice name;
    uint64_t index; /* when there is no name */
    bool is_index;
};

/* Cut the next step off a path.  False: it is none. */
static bool cut_step(struct slice *path, struct step *step)
{
    size_t len = 0;

    *step = (struct step){.is_index = path->len > 0 && path->data[0] == '['};
    if (step->is_index) {
        const size_t end = slice_find(*path, ']');
        const struct slice digits = slice_first(slice_from(*path, 1), end - 1);

        if (end == path->len || digits.len > 6 || !slice_to_u64(digits, &step->index)) {
            return false;
        }
        *path = slice_from(*path, end + 1);
    } else {
        while (len < path->len && strchr(".[]", path->data[len]) == NULL) {
            len++;
        }
        step->name = slice_first(*path, len);
        *path = slice_from(*path, len);
        if (len == 0) {
            return false;
        }
    }
    if (path->len > 0 && path->data[0] == '.') {
        *path = slice_from(*path, 1);
        return path->len > 0 && path->data[0] != '[';
    }
    return path->len == 0 || path->data[0] == '[';
}

static struct slice without_root(struct slice path)
{
    return slice_has_prefix(path, SLICE("$.")) ? slice_from(path, 2) : path;
}

static bool is_container(struct slice name)
{
    return slice_eq(name, SLICE("detail")) || slice_eq(name, SLICE("resources"));
}

static bool is_member(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("version"), SLICE_INIT("id"),   SLICE_INIT("detail-type"), SLICE_INIT("source"),
        SLICE_INIT("account"), SLICE_INIT("time"), SLICE_INIT("region"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i])) {
            return true;
        }
    }
    return is_container(name);
}

enum err event_path_check(struct slice path, struct err_why *why)
{
    struct slice rest = without_root(path);
    struct step step;
    size_t count = 0;

    if (path.len == 0 || path.len > EVENT_PATH_BYTES_MAX || slice_find(path, '\0') < path.len) {
        return err_because(ERR_BAD_VALUE, why, "a path has 1 to %d bytes", EVENT_PATH_BYTES_MAX);
    }
    do {
        if (!cut_step(&rest, &step)) {
            return err_because(ERR_BAD_VALUE, why,
                               "a path is names joined by dots, with an index in brackets, such as "
                               "detail.findings[0].Id");
        }
        if (count == 0 && (step.is_index || !is_member(step.name))) {
            return err_because(ERR_BAD_VALUE, why,
                               "a path begins at a member of the envelope, such as detail, source "
                               "or resources");
        }
        if (count == 0 && rest.len > 0 && !is_container(step.name)) {
            return err_because(ERR_BAD_VALUE, why, "%.*s is a string: it has no members",
                               SLICE_ARG(step.name));
        }
        count++;
    } while (rest.len > 0);
    if (count > EVENT_PATH_STEPS_MAX) {
        return err_because(ERR_BAD_VALUE, why, "a path has at most %d steps", EVENT_PATH_STEPS_MAX);
    }
    return ERR_OK;
}

/* ---- the value ----------------------------------------------------------------------------- */

/* One step into a JSON text.  False: it is not there. */
static bool descend(struct slice json, const struct step *step, struct arena *arena,
                    struct slice *value)
{
    const enum json_type wanted = step->is_index ? JSON_TYPE_ARRAY_BEGIN : JSON_TYPE_OBJECT_BEGIN;
    struct json_reader reader;
    struct json_token token;
    struct slice element;
    bool is_found = false;

    json_reader_init(&reader, json, JSON_DEPTH_MAX);
    if (json_next(&reader, &token) != wanted) {
        return false;
    }
    for (uint64_t i = 0;; i++) {
        bool is_it = step->is_index && i == step->index;

        (void)json_next(&reader, &token);
        if (token.type == JSON_TYPE_OBJECT_END || token.type == JSON_TYPE_ARRAY_END) {
            return is_found;
        }
        if (token.type == JSON_TYPE_KEY) {
            is_it = slice_eq(json_token_text(&token, arena), step->name);
            (void)json_next(&reader, &token);
        }
        CHECK(json_read_value(&reader, &token, &element) == ERR_OK);
        if (is_it) {
            *value = element;
            is_found = true;
        }
    }
}

static struct slice member_of(const struct event_draft *draft, struct slice name)
{
    const struct {
        struct slice name;
        struct slice value;
    } members[] = {
        {SLICE("version"), draft->version}, {SLICE("id"), draft->id},
        {SLICE("source"), draft->source},   {SLICE("detail-type"), draft->detail_type},
        {SLICE("account"), draft->account}, {SLICE("time"), draft->time},
        {SLICE("region"), draft->region},   {SLICE("resources"), draft->resources},
        {SLICE("detail"), draft->detail},
    };

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        if (slice_eq(members[i].name, name)) {
            return members[i].value;
        }
    }
    return (struct slice){NULL, 0};
}

bool event_path_find(const struct event_draft *draft, struct slice path, struct arena *arena,
                     struct event_value *value)
{
    struct slice rest = without_root(path);
    struct step step;

    CHECK(cut_step(&rest, &step));
    value->text = member_of(draft, step.name);
    value->is_json = is_container(step.name);
    while (rest.len > 0) {
        CHECK(cut_step(&rest, &step));
        if (value->text.data == NULL || !descend(value->text, &step, arena, &value->text)) {
            return false;
        }
    }
    return value->text.len > 0 && !(value->is_json && (slice_eq(value->text, SLICE("null")) ||
                                                       slice_eq(value->text, SLICE("\"\""))));
}
