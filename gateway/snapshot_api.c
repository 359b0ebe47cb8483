/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_api.c - from the documents of an API destination and its connection to one value.
 *
 * Each is made once and then shared by all snapshots until one of its two documents changes:
 * secrets are opened when they change, not at every change of the catalog.
 */
#include "gateway/snapshot_api.h"

#include "core/base64.h"
#include "core/check.h"
#include "gateway/catalog_api.h"
#include "gateway/catalog_secrets.h"

enum { PLACE_CHARS_MAX = 800, BASIC_CHARS_MAX = 4096 };

static struct slice copy_text(struct arena *arena, const json_t *object, const char *key)
{
    return arena_copy(arena, json_member_text(object, key));
}

/* ---- parameters --------------------------------------------------------------------------- */

static struct api_parameter_list read_list(const json_t *http, const char *key, const char *place,
                                           const json_t *secrets, struct arena *arena)
{
    const json_t *list = json_object_get(http, key);
    struct api_parameter *items = ARENA_ARRAY(arena, struct api_parameter, json_array_size(list));

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *parameter = json_array_get(list, i);
        char name[PLACE_CHARS_MAX];

        items[i].name = copy_text(arena, parameter, "key");
        items[i].is_secret = json_is_true(json_object_get(parameter, "is_value_secret"));
        (void)snprintf(name, sizeof(name), "%s.%s[%.*s].value", place, key,
                       SLICE_ARG(items[i].name));
        items[i].value = items[i].is_secret ? copy_text(arena, secrets, name)
                                            : copy_text(arena, parameter, "value");
    }
    return (struct api_parameter_list){items, json_array_size(list)};
}

static void read_parameters(const json_t *http, const char *place, const json_t *secrets,
                            struct arena *arena, struct api_parameters *parameters)
{
    parameters->headers = read_list(http, "header_parameters", place, secrets, arena);
    parameters->queries = read_list(http, "query_string_parameters", place, secrets, arena);
    parameters->bodies = read_list(http, "body_parameters", place, secrets, arena);
}

/* ---- connections -------------------------------------------------------------------------- */

void api_oauth_read(const json_t *connection, const json_t *secrets, struct arena *arena,
                    struct api_oauth *oauth)
{
    const json_t *block =
        json_object_get(json_object_get(connection, "auth_parameters"), "oauth_parameters");
    const json_t *client = json_object_get(block, "client_parameters");

    oauth->endpoint = copy_text(arena, block, "authorization_endpoint");
    oauth->method = api_method(json_member_text(block, "http_method"));
    oauth->client_id = copy_text(arena, client, "client_id");
    oauth->client_secret = copy_text(
        arena, secrets, "auth_parameters.oauth_parameters.client_parameters.client_secret");
    read_parameters(json_object_get(block, "oauth_http_parameters"),
                    "auth_parameters.oauth_parameters.oauth_http_parameters", secrets, arena,
                    &oauth->more);
}

/* "Basic BASE64(USER:PASSWORD)" */
static struct slice basic_value(const json_t *block, const json_t *secrets, struct arena *arena)
{
    const struct slice password =
        json_member_text(secrets, "auth_parameters.basic_auth_parameters.password");
    struct slice value;
    struct buf plain;
    struct buf text;

    buf_init(&plain, BASIC_CHARS_MAX);
    buf_init(&text, BASIC_CHARS_MAX);
    CHECK(buf_printf(&plain, "%.*s:%.*s", SLICE_ARG(json_member_text(block, "username")),
                     SLICE_ARG(password)) == ERR_OK);
    CHECK(base64_encode(buf_slice(&plain), &text) == ERR_OK);
    value = arena_printf(arena, "Basic %.*s", SLICE_ARG(buf_slice(&text)));
    buf_wipe(&plain);
    buf_wipe(&text);
    return value;
}

static void read_authorization(const json_t *connection, const json_t *secrets,
                               struct api_destination *destination)
{
    const json_t *auth = json_object_get(connection, "auth_parameters");
    const json_t *basic = json_object_get(auth, "basic_auth_parameters");
    const json_t *key = json_object_get(auth, "api_key_auth_parameters");
    struct arena *arena = &destination->arena;

    destination->authorization = API_HEADER;
    if (json_is_object(basic)) {
        destination->header = (struct api_parameter){SLICE("Authorization"),
                                                     basic_value(basic, secrets, arena), true};
    } else if (json_is_object(key)) {
        destination->header = (struct api_parameter){
            copy_text(arena, key, "api_key_name"),
            copy_text(arena, secrets, "auth_parameters.api_key_auth_parameters.api_key_value"),
            true};
    } else {
        destination->authorization = API_OAUTH;
        api_oauth_read(connection, secrets, arena, &destination->oauth);
    }
    read_parameters(json_object_get(auth, "invocation_http_parameters"),
                    "auth_parameters.invocation_http_parameters", secrets, arena,
                    &destination->invocation);
}

static enum err read_connection(const struct catalog_document *connection,
                                const struct snapshot_options *options,
                                struct api_destination *destination, struct err_why *why)
{
    json_t *secrets;

    if (connection == NULL || json_object_get(connection->value, "auth_parameters") == NULL ||
        slice_eq(json_member_text(connection->value, "auth_state"), SLICE("DEAUTHORIZED"))) {
        destination->authorization = API_UNAUTHORIZED;
        return ERR_OK;
    }
    if (catalog_secrets_open(options->seal_key, connection->value, &secrets) != ERR_OK) {
        return err_because(ERR_STORE_CORRUPT, why,
                           "%s cannot be opened: is this the seal key it was made with?",
                           connection->name);
    }
    read_authorization(connection->value, secrets, destination);
    catalog_secrets_wipe(secrets);
    return ERR_OK;
}

/* Another value when anything changes that a call is made of; the state that weir notes in the
 * document is no such thing.  0: there is no connection. */
static uint64_t edition_of(const struct catalog_document *connection, struct arena *arena)
{
    const json_t *value = connection != NULL ? connection->value : NULL;
    const json_t *modified = json_object_get(value, "modified_ms");

    return value == NULL ? 0
                         : map_hash(arena_printf(arena, "%.*s %" JSON_INTEGER_FORMAT " %.*s",
                                                 SLICE_ARG(json_member_text(value, "uuid")),
                                                 json_integer_value(modified),
                                                 SLICE_ARG(json_member_text(value, "sealed")))) |
                               1;
}

/* ---- destinations ------------------------------------------------------------------------- */

static struct api_destination *find_previous(const struct snapshot_options *options,
                                             struct slice name_arn, uint64_t edition,
                                             uint64_t connection_edition)
{
    struct api_destination *found =
        options->previous != NULL
            ? directory_api_destination(options->previous->directory, name_arn)
            : NULL;

    return found != NULL && found->edition == edition &&
                   found->connection_edition == connection_edition
               ? found
               : NULL;
}

static struct slice without_uuid(struct slice arn)
{
    while (arn.len > 0 && arn.data[arn.len - 1] != '/') {
        arn.len--;
    }
    return slice_first(arn, arn.len - MIN_OF(arn.len, (size_t)1));
}

static enum err make_destination(const struct catalog_document *document,
                                 const struct catalog_document *connection,
                                 const struct snapshot_options *options,
                                 struct api_destination **result, struct err_why *why)
{
    struct api_destination *destination = api_destination_new();
    const json_t *value = document->value;
    const json_t *rate = json_object_get(value, "invocation_rate_limit_per_second");
    enum err err;

    destination->arn =
        catalog_api_arn(options->region, "api-destination", value, &destination->arena);
    destination->name_arn = without_uuid(destination->arn);
    destination->endpoint = copy_text(&destination->arena, value, "invocation_endpoint");
    destination->method = api_method(json_member_text(value, "http_method"));
    destination->calls_per_second =
        rate != NULL ? (uint64_t)json_integer_value(rate) : API_DESTINATION_RATE_DEFAULT;
    destination->edition = document->edition;
    destination->connection_edition = edition_of(connection, &destination->arena);
    err = read_connection(connection, options, destination, why);
    if (err != ERR_OK) {
        api_destination_release(destination);
        return err;
    }
    *result = destination;
    return ERR_OK;
}

enum err snapshot_add_api_destinations(const struct catalog *catalog,
                                       const struct snapshot_options *options,
                                       struct directory *directory, struct err_why *why)
{
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("api_destination"), &arena, &count);
    enum err err = ERR_OK;

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        const struct catalog_document *connection =
            catalog_connection_of(catalog, documents[i]->value, &arena);
        const struct slice arn =
            catalog_api_arn(options->region, "api-destination", documents[i]->value, &arena);
        struct api_destination *destination = find_previous(
            options, without_uuid(arn), documents[i]->edition, edition_of(connection, &arena));

        if (destination != NULL) {
            destination = api_destination_acquire(destination);
        } else {
            err = make_destination(documents[i], connection, options, &destination, why);
        }
        if (err == ERR_OK) {
            directory_add_api_destination(directory, destination);
        }
    }
    arena_clean_up(&arena);
    return err;
}

/* ---- a target's own ----------------------------------------------------------------------- */

static enum err read_map(json_t *map, struct arena *arena, const struct rule_parameter **result,
                         size_t *count, struct err_why *why)
{
    struct rule_parameter *items = ARENA_ARRAY(arena, struct rule_parameter, json_object_size(map));
    const char *key;
    json_t *value;

    *result = items;
    *count = 0;
    json_object_foreach(map, key, value)
    {
        const struct slice text = {json_string_value(value), json_string_length(value)};

        items->name = arena_copy(arena, slice_of(key));
        TRY(path_parameter_compile(arena_copy(arena, text), arena, &items->value, why));
        items++;
        (*count)++;
    }
    return ERR_OK;
}

enum err http_config_read(json_t *http, struct arena *arena, const struct rule_http **result,
                          struct err_why *why)
{
    const json_t *values = json_object_get(http, "path_parameter_values");
    struct path_parameter *path_values =
        ARENA_ARRAY(arena, struct path_parameter, json_array_size(values));
    struct rule_http *rule = ARENA_NEW(arena, struct rule_http);

    *result = NULL;
    if (!json_is_object(http)) {
        return ERR_OK;
    }
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        const struct slice text = {json_string_value(value), json_string_length(value)};

        TRY(path_parameter_compile(arena_copy(arena, text), arena, &path_values[i], why));
    }
    rule->path_values = path_values;
    rule->path_value_count = json_array_size(values);
    TRY(read_map(json_object_get(http, "header_parameters"), arena, &rule->headers,
                 &rule->header_count, why));
    TRY(read_map(json_object_get(http, "query_string_parameters"), arena, &rule->queries,
                 &rule->query_count, why));
    *result = rule;
    return ERR_OK;
}
