/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_shape.c - does an object of the catalog file have the shape that its table says?
 *
 * A table lists members: name, type, required or not.  One walker checks any object against its
 * table and names each mistake by its path (`rules[3].targets[0].arn`), so a new member is one row.
 * Beside it stand the few checks of meaning that several kinds of object share.
 */
#include <stdarg.h>

#include "core/arn.h"
#include "core/check.h"
#include "core/moment.h"
#include "core/utf8.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check.h"
#include "gateway/catalog_check_internal.h"
#include "gateway/dedup_config.h"
#include "routing/pattern.h"

/* ---- mistakes ----------------------------------------------------------------------------- */

void catalog_mistake(json_t *mistakes, const struct catalog_path *path, const char *format, ...)
{
    struct catalog_path place = *path;
    struct err_why why;
    va_list arguments;

    if (json_array_size(mistakes) >= CATALOG_MISTAKES_MAX) {
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(why.text, sizeof(why.text), format, arguments);
    va_end(arguments);
    utf8_mend(why.text);
    utf8_mend(place.text);
    CHECK(json_array_append_new(
              mistakes, json_pack("{s:s, s:s}", "path", place.text, "message", why.text)) == 0);
}

struct catalog_path catalog_path_member(const struct catalog_path *base, const char *key)
{
    struct catalog_path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s%s%.*s", 150, base->text,
                   base->text[0] != '\0' ? "." : "", 64, key);
    return path;
}

struct catalog_path catalog_path_item(const struct catalog_path *base, size_t index)
{
    struct catalog_path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s[%zu]", 200, base->text, index);
    return path;
}

/* ---- the shape ---------------------------------------------------------------------------- */

bool catalog_is_account(struct slice text)
{
    uint64_t number;

    return text.len == 12 && slice_to_u64(text, &number);
}

struct slice catalog_text_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void check_texts(json_t *mistakes, const struct catalog_path *path, const json_t *value,
                        const struct catalog_member *member)
{
    if (!json_is_array(value) || json_array_size(value) > member->max) {
        catalog_mistake(mistakes, path, "must be a list of at most %" PRIu64 " strings",
                        member->max);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const struct catalog_path place = catalog_path_item(path, i);

        if (!json_is_string(item) || json_string_length(item) == 0 ||
            json_string_length(item) > 256) {
            catalog_mistake(mistakes, &place, "must be a string of 1 to 256 characters");
        } else if (member->type == CATALOG_ACCOUNTS && !catalog_is_account(catalog_text_of(item)) &&
                   strcmp(json_string_value(item), "*") != 0) {
            catalog_mistake(mistakes, &place, "must be a 12-digit account id or \"*\"");
        }
    }
}

static void check_text_map(json_t *mistakes, const struct catalog_path *path, json_t *value,
                           uint64_t max, size_t chars_max)
{
    const char *key;
    json_t *item;

    if (!json_is_object(value) || json_object_size(value) > max) {
        catalog_mistake(mistakes, path, "must be an object of at most %" PRIu64 " strings", max);
        return;
    }
    json_object_foreach(value, key, item)
    {
        if (!json_is_string(item) || json_string_length(item) > chars_max) {
            const struct catalog_path place = catalog_path_member(path, key);

            catalog_mistake(mistakes, &place, "must be a string of at most %zu characters",
                            chars_max);
        }
    }
}

static void check_objects(json_t *mistakes, const struct catalog_path *path, json_t *value,
                          const struct catalog_member *member)
{
    if (!json_is_array(value) || json_array_size(value) > member->max) {
        catalog_mistake(mistakes, path, "must be a list of at most %" PRIu64 " objects",
                        member->max);
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const struct catalog_path place = catalog_path_item(path, i);

        catalog_check_object(mistakes, &place, json_array_get(value, i), member->members);
    }
}

static void check_text(json_t *mistakes, const struct catalog_path *path, const json_t *value,
                       const struct catalog_member *member)
{
    uint64_t span_ms;

    if (!json_is_string(value)) {
        catalog_mistake(mistakes, path, "must be a string");
    } else if (json_string_length(value) == 0 ||
               (member->type != CATALOG_SPAN && json_string_length(value) > member->max)) {
        catalog_mistake(mistakes, path, "must have 1 to %" PRIu64 " characters", member->max);
    } else if (member->type == CATALOG_ACCOUNT && !catalog_is_account(catalog_text_of(value))) {
        catalog_mistake(mistakes, path, "must be a 12-digit account id");
    } else if (member->type == CATALOG_SPAN &&
               moment_parse_span(catalog_text_of(value), &span_ms) != ERR_OK) {
        catalog_mistake(mistakes, path,
                        "must be a span of time such as \"90s\", \"5m\" or \"24h\"");
    } else if (member->type == CATALOG_SPAN && span_ms > member->max) {
        catalog_mistake(mistakes, path, "must be at most %" PRIu64 "s", member->max / 1000);
    }
}

/* One member, and no text: a secret never stands in a catalog file. */
static void check_secret(json_t *mistakes, const struct catalog_path *path, const json_t *value)
{
    const struct slice file = json_member_text(value, "file");

    if (!json_is_object(value) || json_object_size(value) != 1 ||
        !(json_is_true(json_object_get(value, "stored")) || file.len > 0)) {
        catalog_mistake(
            mistakes, path,
            "must be {\"file\": PATH}, or {\"stored\": true} as `weir export` writes it");
    } else if (file.len > 4096 || (file.len > 0 && strlen(file.data) != file.len)) {
        catalog_mistake(mistakes, path, "must name a file in at most 4096 characters");
    }
}

/* catalog_file_read() turned the pattern into the string of its text. */
static void check_pattern(json_t *mistakes, const struct catalog_path *path, const json_t *value)
{
    struct err_why why = {.text = ""};
    struct pattern *pattern = NULL;

    if (!json_is_string(value)) {
        catalog_mistake(mistakes, path, "must be an event pattern");
    } else if (pattern_compile(catalog_text_of(value), &pattern, &why) != ERR_OK) {
        catalog_mistake(mistakes, path, "%s", why.text);
    }
    pattern_release(pattern);
}

void catalog_inner_mistake(void *context, const char *where, const char *what)
{
    const struct catalog_place *place = context;
    struct catalog_path path;

    (void)snprintf(path.text, sizeof(path.text), "%.*s%.*s", 120, place->path->text, 130, where);
    catalog_mistake(place->mistakes, &path, "%s", what);
}

static void check_layers(json_t *mistakes, const struct catalog_path *path, const json_t *value)
{
    struct catalog_place place = {.mistakes = mistakes, .path = path};

    dedup_config_check(value, catalog_inner_mistake, &place);
}

static void check_member(json_t *mistakes, const struct catalog_path *path, json_t *value,
                         const struct catalog_member *member)
{
    switch (member->type) {
    case CATALOG_TEXT:
    case CATALOG_ACCOUNT:
    case CATALOG_SPAN:
        check_text(mistakes, path, value, member);
        break;
    case CATALOG_ACCOUNTS:
    case CATALOG_TEXTS:
        check_texts(mistakes, path, value, member);
        break;
    case CATALOG_ENTRIES:
        if (!json_is_array(value) || json_array_size(value) > member->max) {
            catalog_mistake(mistakes, path, "must be a list of at most %" PRIu64 " entries",
                            member->max);
        }
        break;
    case CATALOG_TEXT_MAP:
        check_text_map(mistakes, path, value, member->max, 256);
        break;
    case CATALOG_LONG_TEXT_MAP:
        check_text_map(mistakes, path, value, member->max, 512);
        break;
    case CATALOG_SECRET:
        check_secret(mistakes, path, value);
        break;
    case CATALOG_VALUE:
        if (json_is_object(value)) {
            check_secret(mistakes, path, value);
        } else {
            check_text(mistakes, path, value, member);
        }
        break;
    case CATALOG_BOOL:
        if (!json_is_boolean(value)) {
            catalog_mistake(mistakes, path, "must be true or false");
        }
        break;
    case CATALOG_COUNT:
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) > member->max) {
            catalog_mistake(mistakes, path, "must be a whole number from 0 to %" PRIu64,
                            member->max);
        }
        break;
    case CATALOG_OBJECT:
        catalog_check_object(mistakes, path, value, member->members);
        break;
    case CATALOG_OBJECTS:
        check_objects(mistakes, path, value, member);
        break;
    case CATALOG_PATTERN:
        check_pattern(mistakes, path, value);
        break;
    case CATALOG_ANY:
        break;
    case CATALOG_DEDUP_LAYERS:
        check_layers(mistakes, path, value);
        break;
    default:
        CHECK(false);
    }
}

static const struct catalog_member *find_member(const struct catalog_member *members,
                                                const char *key)
{
    for (; members->key != NULL; members++) {
        if (strcmp(members->key, key) == 0) {
            return members;
        }
    }
    return NULL;
}

/* Members of the format that this version does not act on: told apart from typing errors. */
static bool is_for_later(const char *key)
{
    static const char *const keys[] = {
        "run_command_parameters",
        "kinesis_parameters",
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

void catalog_check_object(json_t *mistakes, const struct catalog_path *path, json_t *object,
                          const struct catalog_member *members)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        catalog_mistake(mistakes, path, "must be an object");
        return;
    }
    json_object_foreach(object, key, value)
    {
        const struct catalog_member *member = find_member(members, key);
        const struct catalog_path place = catalog_path_member(path, key);

        if (member == NULL && is_for_later(key)) {
            catalog_mistake(mistakes, &place, "is not supported by this version");
        } else if (member == NULL) {
            catalog_mistake(mistakes, &place, "unknown member");
        } else if (!json_is_null(value) || member->is_required) {
            check_member(mistakes, &place, value, member);
        }
    }
    for (; members->key != NULL; members++) {
        if (members->is_required && json_object_get(object, members->key) == NULL) {
            const struct catalog_path place = catalog_path_member(path, members->key);

            catalog_mistake(mistakes, &place, "is required");
        }
    }
}

/* ---- meaning that is shared --------------------------------------------------------------- */

void catalog_check_unique(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                          const char *name)
{
    if (json_object_get(seen, name) != NULL) {
        catalog_mistake(mistakes, path, "%s stands here a second time", name);
    }
    json_object_set_new(seen, name, json_true());
}

bool catalog_is_name(struct slice text)
{
    static const char allowed[] =
        ".-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return text.len > 0;
}

void catalog_check_name(json_t *mistakes, const struct catalog_path *base, const char *key,
                        const json_t *object)
{
    const struct catalog_path path = catalog_path_member(base, key);

    if (json_is_string(json_object_get(object, key)) &&
        !catalog_is_name(json_member_text(object, key))) {
        catalog_mistake(mistakes, &path, "must consist of A-Z a-z 0-9 . - _");
    }
}

/* "arn:aws:iam::ACCOUNT:role/NAME", where ACCOUNT may be {account} in a target. */
void catalog_check_role_arn(json_t *mistakes, const struct catalog_path *path, struct slice arn,
                            bool is_template_allowed)
{
    struct arn parts;

    if (!arn_split(arn, &parts) || !slice_has_prefix(parts.partition, SLICE("aws")) ||
        !slice_eq(parts.service, SLICE("iam")) || parts.region.len > 0 ||
        !(catalog_is_account(parts.account) ||
          (is_template_allowed && slice_eq(parts.account, SLICE("{account}")))) ||
        !slice_has_prefix(parts.resource, SLICE("role/"))) {
        catalog_mistake(mistakes, path,
                        "must be the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME");
    }
}
