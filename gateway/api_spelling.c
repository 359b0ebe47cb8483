/* SPDX-License-Identifier: Apache-2.0
 *
 * api_spelling.c - SqsParameters is sqs_parameters.
 *
 * One recursive walk renames the keys of objects, down to those maps whose keys belong to the
 * caller.  The depth is that of the deepest shape: what is nested deeper is dropped to nothing by
 * the limit here, and refused by the catalog's check.
 */
#include "gateway/api_spelling.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/base.h"

enum { KEY_CHARS_MAX = 128, DEPTH_MAX = 8 };

typedef void (*rename_fn)(const char *key, char renamed[static KEY_CHARS_MAX]);

/* What no rule spells. */
static const struct {
    const char *snake;
    const char *pascal;
} words[] = {
    {"client_id", "ClientID"},
    {"oauth_parameters", "OAuthParameters"},
    {"oauth_http_parameters", "OAuthHttpParameters"},
};

static void copy_key(const char *key, char renamed[static KEY_CHARS_MAX])
{
    (void)snprintf(renamed, KEY_CHARS_MAX, "%s", key);
}

/* "MaximumEventAgeInSeconds" to "maximum_event_age_in_seconds". */
static void to_snake(const char *key, char renamed[static KEY_CHARS_MAX])
{
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(key, words[i].pascal) == 0) {
            copy_key(words[i].snake, renamed);
            return;
        }
    }
    for (size_t i = 0; key[i] != '\0' && len + 2 < KEY_CHARS_MAX; i++) {
        const unsigned char c = (unsigned char)key[i];

        if (isupper(c) && i > 0) {
            renamed[len++] = '_';
        }
        renamed[len++] = (char)tolower(c);
    }
    renamed[len] = '\0';
}

static void to_pascal(const char *key, char renamed[static KEY_CHARS_MAX])
{
    size_t len = 0;
    bool begins_word = true;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(key, words[i].snake) == 0) {
            copy_key(words[i].pascal, renamed);
            return;
        }
    }
    for (size_t i = 0; key[i] != '\0' && len + 1 < KEY_CHARS_MAX; i++) {
        if (key[i] == '_') {
            begins_word = true;
        } else {
            renamed[len++] = begins_word ? (char)toupper((unsigned char)key[i]) : key[i];
            begins_word = false;
        }
    }
    renamed[len] = '\0';
}

/* Are the keys of this member's object the caller's own?  (A connection's parameters are lists.) */
static bool is_map(const char *snake, const json_t *value)
{
    static const char *const maps[] = {"input_paths_map", "header_parameters",
                                       "query_string_parameters"};

    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        if (json_is_object(value) && strcmp(snake, maps[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Is it spelled as the API spells its members?  What is not is no member of it, and is passed over
 * as such: two keys never become one. */
static bool is_pascal(const char *key)
{
    bool is_good = isupper((unsigned char)key[0]) != 0;

    for (size_t i = 0; key[i] != '\0'; i++) {
        is_good = is_good && isalnum((unsigned char)key[i]) && i < KEY_CHARS_MAX / 2 - 1;
    }
    return is_good;
}

static json_t *convert(json_t *value, rename_fn rename, unsigned depth);

static json_t *convert_object(json_t *object, rename_fn rename, unsigned depth)
{
    json_t *result = json_object();
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char renamed[KEY_CHARS_MAX];

        if (json_is_null(value) || (rename == to_snake && !is_pascal(key))) {
            continue;
        }
        rename(key, renamed);
        json_object_set_new(result, renamed,
                            is_map(rename == to_snake ? renamed : key, value)
                                ? json_deep_copy(value)
                                : convert(value, rename, depth + 1));
    }
    return result;
}

static json_t *convert(json_t *value, rename_fn rename, unsigned depth)
{
    json_t *result;

    if (depth > DEPTH_MAX) {
        return json_object();
    }
    if (json_is_object(value)) {
        return convert_object(value, rename, depth);
    }
    if (!json_is_array(value)) {
        return json_deep_copy(value);
    }
    result = json_array();
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_array_append_new(result, convert(json_array_get(value, i), rename, depth + 1));
    }
    return result;
}

json_t *api_to_catalog(json_t *value)
{
    return convert(value, to_snake, 0);
}

json_t *api_from_catalog(json_t *value)
{
    return convert(value, to_pascal, 0);
}
