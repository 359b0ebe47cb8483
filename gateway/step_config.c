/* SPDX-License-Identifier: Apache-2.0
 *
 * step_config.c - what steps may say, and what they are compiled to.
 *
 * A step's target is checked and read as any target is; here is what a sequence adds.  A name
 * stands in lanes, paths and patterns, so it is short and has no dot.  A path to an earlier step
 * that there is not would quietly find nothing for ever, so it is refused when it is put.
 */
#include "gateway/step_config.h"

#include "core/check.h"
#include "delivery/target.h"
#include "gateway/catalog.h"
#include "gateway/target_config.h"
#include "routing/sequence.h"

/* ---- checking ------------------------------------------------------------------------------ */

static bool is_step_name(struct slice name)
{
    return catalog_is_name(name) && slice_find(name, '.') == name.len &&
           name.len <= SEQUENCE_NAME_CHARS_MAX;
}

static void check_name(json_t *mistakes, const struct catalog_path *path, const json_t *step,
                       json_t *seen)
{
    const struct slice name = json_member_text(step, "name");
    const struct catalog_path place = catalog_path_member(path, "name");
    char text[64];

    if (!is_step_name(name)) {
        catalog_mistake(mistakes, &place, "must consist of 1 to %d of A-Z a-z 0-9 - _",
                        SEQUENCE_NAME_CHARS_MAX);
        return;
    }
    (void)snprintf(text, sizeof(text), "step %.*s", SLICE_ARG(name));
    catalog_check_unique(mistakes, seen, path, text);
}

static void check_keep_path(json_t *mistakes, const struct catalog_path *path, const json_t *value)
{
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    struct json_path compiled;

    if (!json_is_string(value)) {
        catalog_mistake(mistakes, path, "must be a path, or an object of paths");
    } else if (path_compile(catalog_text_of(value), &arena, &compiled, &why) != ERR_OK) {
        catalog_mistake(mistakes, path, "%s", why.text);
    }
    arena_clean_up(&arena);
}

/* {"path": PATH, "where": PATTERN, "take": PATH, "as": "text"} */
static void check_keep_more(json_t *mistakes, const struct catalog_path *path, json_t *keep)
{
    struct pattern *pattern = NULL;
    struct err_why why;
    const char *name;
    json_t *value;

    json_object_foreach(keep, name, value)
    {
        const struct catalog_path place = catalog_path_member(path, name);

        if (strcmp(name, "path") == 0 || strcmp(name, "take") == 0) {
            check_keep_path(mistakes, &place, value);
        } else if (strcmp(name, "as") == 0) {
            if (!slice_eq(json_member_text(keep, "as"), SLICE("text"))) {
                catalog_mistake(mistakes, &place, "must be text");
            }
        } else if (strcmp(name, "where") != 0) {
            catalog_mistake(mistakes, &place, "is not known");
        } else if (!json_is_string(value)) {
            catalog_mistake(mistakes, &place, "must be an event pattern");
        } else if (pattern_compile(catalog_text_of(value), &pattern, &why) != ERR_OK) {
            catalog_mistake(mistakes, &place, "%s", why.text);
        } else {
            pattern_release(pattern);
        }
    }
    if (json_object_get(keep, "path") == NULL) {
        catalog_mistake(mistakes, path, "path is required");
    }
}

static void check_keep(json_t *mistakes, const struct catalog_path *base, json_t *keep)
{
    const struct catalog_path path = catalog_path_member(base, "keep");
    const char *name;
    json_t *value;

    if (keep == NULL || json_is_null(keep)) {
        return;
    }
    if (!json_is_object(keep)) {
        check_keep_path(mistakes, &path, keep);
        return;
    }
    if (json_object_size(keep) == 0 || json_object_size(keep) > SEQUENCE_KEEP_MAX) {
        catalog_mistake(mistakes, &path, "must have 1 to %d paths", SEQUENCE_KEEP_MAX);
    }
    json_object_foreach(keep, name, value)
    {
        const struct catalog_path place = catalog_path_member(&path, name);

        if (!is_step_name(slice_of(name))) {
            catalog_mistake(mistakes, &place, "its name must consist of 1 to %d of A-Z a-z 0-9 - _",
                            SEQUENCE_NAME_CHARS_MAX);
        }
        if (json_is_object(value)) {
            check_keep_more(mistakes, &place, value);
        } else {
            check_keep_path(mistakes, &place, value);
        }
    }
}

/* A path into the steps names one that comes before. */
static void check_reference(json_t *mistakes, const struct catalog_path *path, const json_t *value,
                            const json_t *seen)
{
    struct slice rest = catalog_text_of(value);
    struct slice name;
    char text[SEQUENCE_NAME_CHARS_MAX + 8];

    if (!slice_has_prefix(rest, SLICE("$.steps."))) {
        return;
    }
    rest = slice_from(rest, strlen("$.steps."));
    name = slice_first(rest, MIN_OF(slice_find(rest, '.'), slice_find(rest, '[')));
    (void)snprintf(text, sizeof(text), "step %.*s",
                   SLICE_ARG(slice_first(name, SEQUENCE_NAME_CHARS_MAX)));
    if (json_object_get(seen, text) == NULL) {
        catalog_mistake(mistakes, path, "there is no step %.*s before this one",
                        SLICE_ARG(slice_first(name, 64)));
    }
}

static void check_references(json_t *mistakes, const struct catalog_path *path,
                             const json_t *target, const json_t *seen)
{
    json_t *map = json_object_get(json_object_get(target, "input_transformer"), "input_paths_map");
    const struct catalog_path base = catalog_path_member(path, "input_transformer.input_paths_map");
    struct catalog_path place = catalog_path_member(path, "input_path");
    const char *name;
    json_t *value;

    check_reference(mistakes, &place, json_object_get(target, "input_path"), seen);
    json_object_foreach(map, name, value)
    {
        place = catalog_path_member(&base, name);
        check_reference(mistakes, &place, value, seen);
    }
}

static void check_step(json_t *mistakes, const struct catalog_path *path, const json_t *step,
                       json_t *seen, bool is_central)
{
    const struct slice on_failure = json_member_text(step, "on_failure");
    const json_t *target = json_object_get(step, "target");
    struct catalog_path place = catalog_path_member(path, "target");

    catalog_check_call(mistakes, &place, target, is_central);
    check_references(mistakes, &place, target, seen);
    check_keep(mistakes, path, json_object_get(step, "keep"));
    if (on_failure.len > 0 && !slice_eq(on_failure, SLICE("stop")) &&
        !slice_eq(on_failure, SLICE("continue"))) {
        place = catalog_path_member(path, "on_failure");
        catalog_mistake(mistakes, &place, "must be stop or continue");
    }
    place = catalog_path_member(path, "retry.maximum_event_age_in_seconds");
    if (json_object_get(json_object_get(step, "retry"), "maximum_event_age_in_seconds") != NULL &&
        json_integer_value(
            json_object_get(json_object_get(step, "retry"), "maximum_event_age_in_seconds")) < 1) {
        catalog_mistake(mistakes, &place, "must be at least 1");
    }
    check_name(mistakes, path, step, seen);
}

void step_config_check(json_t *mistakes, const struct catalog_path *path, const json_t *target,
                       bool is_central)
{
    static const char *const not_beside[] = {"arn",
                                             "role_arn",
                                             "input",
                                             "input_path",
                                             "input_transformer",
                                             "sqs_parameters",
                                             "sns_parameters",
                                             "retry_policy"};
    const json_t *steps = json_object_get(target, "steps");
    const struct catalog_path base = catalog_path_member(path, "steps");
    json_t *seen = json_object();

    for (size_t i = 0; i < ARRAY_LEN(not_beside); i++) {
        if (json_object_get(target, not_beside[i]) != NULL) {
            const struct catalog_path place = catalog_path_member(path, not_beside[i]);

            catalog_mistake(mistakes, &place, "belongs to a step, not beside steps");
        }
    }
    if (json_array_size(steps) == 0) {
        catalog_mistake(mistakes, &base, "must have 1 to %d steps", SEQUENCE_STEPS_MAX);
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const struct catalog_path place = catalog_path_item(&base, i);

        check_step(mistakes, &place, json_array_get(steps, i), seen, is_central);
    }
    json_decref(seen);
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum err read_kept(json_t *document, struct arena *arena, struct rule_keep *keep,
                          struct json_path *path, struct err_why *why)
{
    const json_t *take = json_object_get(document, "take");
    const json_t *where = json_object_get(document, "where");
    const json_t *text = json_is_object(document) ? json_object_get(document, "path") : document;

    keep->as_text = json_object_get(document, "as") != NULL;
    TRY(path_compile(arena_copy(arena, catalog_text_of(text)), arena, path, why));
    if (take != NULL) {
        TRY(path_compile(arena_copy(arena, catalog_text_of(take)), arena, &keep->take, why));
    }
    return where != NULL ? pattern_compile(catalog_text_of(where), &keep->where, why) : ERR_OK;
}

static enum err read_keep(json_t *keep, struct arena *arena, struct rule_step *step,
                          struct err_why *why)
{
    struct json_path *paths;
    struct rule_keep *keeps;
    const char *name;
    json_t *value;

    if (!json_is_object(keep) && !json_is_string(keep)) {
        return ERR_OK;
    }
    paths = ARENA_ARRAY(arena, struct json_path, SEQUENCE_KEEP_MAX);
    keeps = ARENA_ARRAY(arena, struct rule_keep, SEQUENCE_KEEP_MAX);
    memset(keeps, 0, SEQUENCE_KEEP_MAX * sizeof(keeps[0]));
    step->keep_paths = paths;
    step->keeps = keeps;
    if (json_is_string(keep)) {
        return read_kept(keep, arena, &keeps[0], &paths[step->keep_count++], why);
    }
    json_object_foreach(keep, name, value)
    {
        const size_t i = step->keep_count++;

        CHECK(i < SEQUENCE_KEEP_MAX);
        keeps[i].name = arena_copy(arena, slice_of(name));
        TRY(read_kept(value, arena, &keeps[i], &paths[i], why));
    }
    return ERR_OK;
}

static enum err read_step(const json_t *document, struct arena *arena,
                          const struct rule_target *whole, struct rule_step *step,
                          struct err_why *why)
{
    const struct slice when = json_member_text(document, "when");

    step->name = arena_copy(arena, json_member_text(document, "name"));
    step->goes_on = slice_eq(json_member_text(document, "on_failure"), SLICE("continue"));
    TRY(target_config_read_call(json_object_get(document, "target"), arena, &step->target, why));
    target_config_read_retry(json_object_get(document, "retry"), &step->target);
    step->target.uid = whole->uid;
    step->target.id = whole->id;
    step->target.dlq_arn = whole->dlq_arn;
    TRY(read_keep(json_object_get(document, "keep"), arena, step, why));
    return when.len > 0 ? pattern_compile(when, &step->when, why) : ERR_OK;
}

enum err step_config_read(const json_t *document, struct arena *arena, struct rule_target *target,
                          struct err_why *why)
{
    const json_t *list = json_object_get(document, "steps");
    struct rule_step *steps;

    if (json_array_size(list) == 0) {
        return ERR_OK;
    }
    steps = ARENA_ARRAY(arena, struct rule_step, json_array_size(list));
    memset(steps, 0, json_array_size(list) * sizeof(steps[0]));
    target->steps = steps;
    target->step_count = json_array_size(list);
    for (size_t i = 0; i < target->step_count; i++) {
        TRY(read_step(json_array_get(list, i), arena, target, &steps[i], why));
    }
    return ERR_OK;
}
