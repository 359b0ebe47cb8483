/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_check_api.c - what connections and API destinations may hold, and what it means.
 *
 * The members are those of the EventBridge API.  A connection without auth_parameters authorizes
 * nothing: that is what is left of one that was deauthorized.
 */
#include "accounts/api_destination.h"
#include "core/arn.h"
#include "core/check.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check_internal.h"

enum { NAME_CHARS_MAX = 64, UUID_CHARS = 36, RATE_MAX = 1000000 };

static const struct catalog_member parameter_members[] = {
    {"key", CATALOG_TEXT, true, API_PARAMETER_CHARS_MAX, NULL},
    {"value", CATALOG_VALUE, true, API_PARAMETER_CHARS_MAX, NULL},
    {"is_value_secret", CATALOG_BOOL, false, 0, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member http_members[] = {
    {"header_parameters", CATALOG_OBJECTS, false, API_PARAMETERS_MAX, parameter_members},
    {"query_string_parameters", CATALOG_OBJECTS, false, API_PARAMETERS_MAX, parameter_members},
    {"body_parameters", CATALOG_OBJECTS, false, API_PARAMETERS_MAX, parameter_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member basic_members[] = {
    {"username", CATALOG_TEXT, true, API_PARAMETER_CHARS_MAX, NULL},
    {"password", CATALOG_SECRET, true, 0, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member api_key_members[] = {
    {"api_key_name", CATALOG_TEXT, true, API_PARAMETER_CHARS_MAX, NULL},
    {"api_key_value", CATALOG_SECRET, true, 0, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member client_members[] = {
    {"client_id", CATALOG_TEXT, true, API_PARAMETER_CHARS_MAX, NULL},
    {"client_secret", CATALOG_SECRET, true, 0, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member oauth_members[] = {
    {"client_parameters", CATALOG_OBJECT, true, 0, client_members},
    {"authorization_endpoint", CATALOG_TEXT, true, API_ENDPOINT_CHARS_MAX, NULL},
    {"http_method", CATALOG_TEXT, true, 8, NULL},
    {"oauth_http_parameters", CATALOG_OBJECT, false, 0, http_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
static const struct catalog_member auth_members[] = {
    {"basic_auth_parameters", CATALOG_OBJECT, false, 0, basic_members},
    {"api_key_auth_parameters", CATALOG_OBJECT, false, 0, api_key_members},
    {"oauth_parameters", CATALOG_OBJECT, false, 0, oauth_members},
    {"invocation_http_parameters", CATALOG_OBJECT, false, 0, http_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
const struct catalog_member catalog_connection_members[] = {
    {"account", CATALOG_ACCOUNT, true, 12, NULL},
    {"name", CATALOG_TEXT, true, NAME_CHARS_MAX, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"authorization_type", CATALOG_TEXT, true, 32, NULL},
    {"auth_parameters", CATALOG_OBJECT, false, 0, auth_members},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};
const struct catalog_member catalog_api_destination_members[] = {
    {"account", CATALOG_ACCOUNT, true, 12, NULL},
    {"name", CATALOG_TEXT, true, NAME_CHARS_MAX, NULL},
    {"description", CATALOG_TEXT, false, 512, NULL},
    {"connection_arn", CATALOG_TEXT, true, 1600, NULL},
    {"invocation_endpoint", CATALOG_TEXT, true, API_ENDPOINT_CHARS_MAX, NULL},
    {"http_method", CATALOG_TEXT, true, 8, NULL},
    {"invocation_rate_limit_per_second", CATALOG_COUNT, false, RATE_MAX, NULL},
    {NULL, CATALOG_TEXT, false, 0, NULL},
};

static void check_named(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                        const json_t *object, const char *kind)
{
    char name[256];

    catalog_check_name(mistakes, path, "name", object);
    (void)snprintf(name, sizeof(name), "%s %.*s/%.*s", kind,
                   SLICE_ARG(json_member_text(object, "account")),
                   SLICE_ARG(json_member_text(object, "name")));
    catalog_check_unique(mistakes, seen, path, name);
}

static void check_endpoint(json_t *mistakes, const struct catalog_path *base, const char *key,
                           const json_t *object)
{
    const struct catalog_path path = catalog_path_member(base, key);
    const char *fault = api_endpoint_fault(json_member_text(object, key));

    if (fault != NULL) {
        catalog_mistake(mistakes, &path, "%s", fault);
    }
}

/* ---- parameters --------------------------------------------------------------------------- */

static bool has_key_before(const json_t *list, size_t end, struct slice key, bool is_header)
{
    for (size_t i = 0; i < end; i++) {
        const struct slice other = json_member_text(json_array_get(list, i), "key");

        if (is_header ? slice_eq_ignore_case(other, key) : slice_eq(other, key)) {
            return true;
        }
    }
    return false;
}

static void check_list(json_t *mistakes, const struct catalog_path *path, const json_t *list,
                       bool is_header)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *parameter = json_array_get(list, i);
        const struct catalog_path place = catalog_path_item(path, i);
        const struct slice key = json_member_text(parameter, "key");
        const struct catalog_path value_place = catalog_path_member(&place, "value");
        const bool is_secret = json_is_true(json_object_get(parameter, "is_value_secret"));

        if (has_key_before(list, i, key, is_header)) {
            catalog_mistake(mistakes, &place, "this key stands here a second time");
        }
        if (is_header && !api_header_name_is_good(key)) {
            catalog_mistake(mistakes, &place, "the key is not the name of a header");
        }
        if (is_secret != json_is_object(json_object_get(parameter, "value"))) {
            catalog_mistake(mistakes, &value_place,
                            is_secret ? "is a secret: {\"file\": PATH}"
                                      : "is no secret: a string, or is_value_secret is true");
        } else if (!is_secret && !api_header_value_is_good(json_member_text(parameter, "value"))) {
            catalog_mistake(mistakes, &value_place, "must not hold control characters");
        }
    }
}

static void check_http(json_t *mistakes, const struct catalog_path *base, const char *key,
                       const json_t *object)
{
    static const char *const lists[] = {"header_parameters", "query_string_parameters",
                                        "body_parameters"};
    const struct catalog_path path = catalog_path_member(base, key);
    const json_t *http = json_object_get(object, key);

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct catalog_path place = catalog_path_member(&path, lists[i]);

        check_list(mistakes, &place, json_object_get(http, lists[i]), i == 0);
    }
}

/* ---- connections -------------------------------------------------------------------------- */

static void check_api_key(json_t *mistakes, const struct catalog_path *base, const json_t *block)
{
    const struct catalog_path path = catalog_path_member(base, "api_key_name");
    const struct slice name = json_member_text(block, "api_key_name");

    if (block != NULL && (!api_header_name_is_good(name) || api_header_is_reserved(name))) {
        catalog_mistake(mistakes, &path, "is not the name of a header that can be set");
    }
}

static void check_oauth(json_t *mistakes, const struct catalog_path *base, const json_t *block)
{
    const struct catalog_path path = catalog_path_member(base, "http_method");
    const struct slice method = json_member_text(block, "http_method");

    if (block == NULL) {
        return;
    }
    check_endpoint(mistakes, base, "authorization_endpoint", block);
    if (!slice_eq(method, SLICE("GET")) && !slice_eq(method, SLICE("POST")) &&
        !slice_eq(method, SLICE("PUT"))) {
        catalog_mistake(mistakes, &path, "must be GET, POST or PUT");
    }
    check_http(mistakes, base, "oauth_http_parameters", block);
}

void catalog_check_connection(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                              const json_t *connection)
{
    static const char *const kinds[][2] = {
        {"BASIC", "basic_auth_parameters"},
        {"API_KEY", "api_key_auth_parameters"},
        {"OAUTH_CLIENT_CREDENTIALS", "oauth_parameters"},
    };
    const struct catalog_path auth_path = catalog_path_member(path, "auth_parameters");
    const json_t *auth = json_object_get(connection, "auth_parameters");
    const struct slice type = json_member_text(connection, "authorization_type");
    struct catalog_path place;
    bool is_known = false;

    check_named(mistakes, seen, path, connection, "connection");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const bool is_this = slice_eq(type, slice_of(kinds[i][0]));
        const json_t *block = json_object_get(auth, kinds[i][1]);

        is_known = is_known || is_this;
        place = catalog_path_member(&auth_path, kinds[i][1]);
        if (auth != NULL && is_this && block == NULL) {
            catalog_mistake(mistakes, &place, "is required for %s", kinds[i][0]);
        } else if (!is_this && block != NULL) {
            catalog_mistake(mistakes, &place, "is for authorization_type %s", kinds[i][0]);
        }
    }
    if (!is_known) {
        place = catalog_path_member(path, "authorization_type");
        catalog_mistake(mistakes, &place, "must be BASIC, OAUTH_CLIENT_CREDENTIALS or API_KEY");
    }
    place = catalog_path_member(&auth_path, kinds[1][1]);
    check_api_key(mistakes, &place, json_object_get(auth, kinds[1][1]));
    place = catalog_path_member(&auth_path, kinds[2][1]);
    check_oauth(mistakes, &place, json_object_get(auth, kinds[2][1]));
    check_http(mistakes, &auth_path, "invocation_http_parameters", auth);
}

/* ---- API destinations --------------------------------------------------------------------- */

static bool is_connection_arn(struct slice text, struct slice account)
{
    struct slice rest;
    struct arn arn;

    if (!arn_split(text, &arn) || !slice_has_prefix(arn.partition, SLICE("aws")) ||
        !slice_eq(arn.service, SLICE("events")) || arn.region.len == 0 ||
        !slice_eq(arn.account, account)) {
        return false;
    }
    rest = arn.resource;
    if (!slice_eq(slice_cut(&rest, '/'), SLICE("connection")) ||
        !catalog_is_name(slice_cut(&rest, '/'))) {
        return false;
    }
    return rest.data == NULL || (rest.len == UUID_CHARS && catalog_is_name(rest));
}

void catalog_check_api_destination(json_t *mistakes, json_t *seen, const struct catalog_path *path,
                                   const json_t *destination)
{
    const json_t *rate = json_object_get(destination, "invocation_rate_limit_per_second");
    struct catalog_path place = catalog_path_member(path, "connection_arn");

    check_named(mistakes, seen, path, destination, "api_destination");
    if (!is_connection_arn(json_member_text(destination, "connection_arn"),
                           json_member_text(destination, "account"))) {
        catalog_mistake(mistakes, &place,
                        "must be arn:aws:events:REGION:ACCOUNT:connection/NAME or .../NAME/UUID, "
                        "of the same account");
    }
    check_endpoint(mistakes, path, "invocation_endpoint", destination);
    if (api_method(json_member_text(destination, "http_method")) == NULL) {
        place = catalog_path_member(path, "http_method");
        catalog_mistake(mistakes, &place, "must be POST, GET, HEAD, OPTIONS, PUT, PATCH or DELETE");
    }
    if (json_is_integer(rate) && json_integer_value(rate) < 1) {
        place = catalog_path_member(path, "invocation_rate_limit_per_second");
        catalog_mistake(mistakes, &place, "must be at least 1");
    }
}
