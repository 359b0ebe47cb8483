/* SPDX-License-Identifier: Apache-2.0
 *
 * api_connections.c - CreateConnection and what belongs to it.
 *
 * A connection that a call makes is the document that `weir apply` would make: its secrets are
 * sealed into it at once (catalog_secrets.h) and shown by no answer.  There is no copy of them in
 * Secrets Manager, so no SecretArn either.
 *
 * An update changes what it names: secrets that it does not give stay as they are, and what it
 * gives makes the connection be authorized anew.  BASIC and API_KEY are authorized by being there;
 * an OAuth connection when its token endpoint has given a token (control_authorize.c).
 */
#include "gateway/api_connections.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/api_owned.h"
#include "gateway/api_spelling.h"
#include "gateway/catalog_api.h"
#include "gateway/catalog_secrets.h"

enum { LIST_MAX = 100, TEXT_MAX = 512, URL_MAX = 2048 };

/* ---- inputs: the same members twice, for an update needs none of them --------------------- */

static const struct api_member header_members[] = {
    {"Key", API_TEXT, false, 0, TEXT_MAX, API_HEADER_NAME, NULL},
    {"Value", API_SECRET, false, 0, TEXT_MAX, API_HEADER_VALUE, NULL},
    {"IsValueSecret", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member query_members[] = {
    {"Key", API_TEXT, false, 0, TEXT_MAX, API_PLAIN_CHARS, NULL},
    {"Value", API_SECRET, false, 0, TEXT_MAX, API_PLAIN_CHARS, NULL},
    {"IsValueSecret", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member body_members[] = {
    {"Key", API_TEXT, false, 0, TEXT_MAX, API_ANY_CHARS, NULL},
    {"Value", API_SECRET, false, 0, TEXT_MAX, API_ANY_CHARS, NULL},
    {"IsValueSecret", API_BOOL, false, 0, 0, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member http_members[] = {
    {"HeaderParameters", API_OBJECTS, false, 0, LIST_MAX, API_ANY_CHARS, header_members},
    {"QueryStringParameters", API_OBJECTS, false, 0, LIST_MAX, API_ANY_CHARS, query_members},
    {"BodyParameters", API_OBJECTS, false, 0, LIST_MAX, API_ANY_CHARS, body_members},
    API_MEMBERS_END,
};

/* clang-format off */
#define BASIC_MEMBERS(name, needed)                                                                \
    static const struct api_member name[] = {                                                      \
        {"Username", API_TEXT, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                         \
        {"Password", API_SECRET, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                       \
        API_MEMBERS_END,                                                                           \
    }
#define API_KEY_MEMBERS(name, needed)                                                              \
    static const struct api_member name[] = {                                                      \
        {"ApiKeyName", API_TEXT, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                       \
        {"ApiKeyValue", API_SECRET, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                    \
        API_MEMBERS_END,                                                                           \
    }
#define CLIENT_MEMBERS(name, needed)                                                               \
    static const struct api_member name[] = {                                                      \
        {"ClientID", API_TEXT, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                         \
        {"ClientSecret", API_SECRET, needed, 1, TEXT_MAX, API_AUTH_CHARS, NULL},                   \
        API_MEMBERS_END,                                                                           \
    }
#define OAUTH_MEMBERS(name, needed, client)                                                        \
    static const struct api_member name[] = {                                                      \
        {"ClientParameters", API_OBJECT, needed, 0, 0, API_ANY_CHARS, client},                     \
        {"AuthorizationEndpoint", API_TEXT, needed, 1, URL_MAX, API_URL_CHARS, NULL},              \
        {"HttpMethod", API_TEXT, needed, 0, TEXT_MAX, API_OAUTH_METHOD, NULL},                     \
        {"OAuthHttpParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, http_members},             \
        API_MEMBERS_END,                                                                           \
    }
#define AUTH_MEMBERS(name, basic, key, oauth)                                                      \
    static const struct api_member name[] = {                                                      \
        {"BasicAuthParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, basic},                    \
        {"ApiKeyAuthParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, key},                     \
        {"OAuthParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, oauth},                        \
        {"InvocationHttpParameters", API_OBJECT, false, 0, 0, API_ANY_CHARS, http_members},        \
        API_MEMBERS_END,                                                                           \
    }
#define INPUT_MEMBERS(name, needed, auth)                                                          \
    static const struct api_member name[] = {                                                      \
        {"Name", API_TEXT, true, 1, 64, API_NAME_OR_ARN, NULL},                                    \
        {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},                             \
        {"AuthorizationType", API_TEXT, needed, 0, TEXT_MAX, API_AUTHORIZATION_TYPE, NULL},        \
        {"AuthParameters", API_OBJECT, needed, 0, 0, API_ANY_CHARS, auth},                         \
        API_MEMBERS_END,                                                                           \
    }
/* clang-format on */

BASIC_MEMBERS(create_basic, true);
BASIC_MEMBERS(update_basic, false);
API_KEY_MEMBERS(create_key, true);
API_KEY_MEMBERS(update_key, false);
CLIENT_MEMBERS(create_client, true);
CLIENT_MEMBERS(update_client, false);
OAUTH_MEMBERS(create_oauth, true, create_client);
OAUTH_MEMBERS(update_oauth, false, update_client);
AUTH_MEMBERS(create_auth, create_basic, create_key, create_oauth);
AUTH_MEMBERS(update_auth, update_basic, update_key, update_oauth);
INPUT_MEMBERS(create_input, true, create_auth);
INPUT_MEMBERS(update_input, false, update_auth);

static const struct api_member name_input[] = {
    {"Name", API_TEXT, true, 1, 64, API_NAME_OR_ARN, NULL},
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"NamePrefix", API_TEXT, false, 1, 64, API_NAME_CHARS, NULL},
    {"ConnectionState", API_TEXT, false, 0, TEXT_MAX, API_CONNECTION_STATE, NULL},
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- parameters --------------------------------------------------------------------------- */

static enum err refuse_unsupported(struct api_call *call)
{
    static const char *const members[] = {"KmsKeyIdentifier", "InvocationConnectivityParameters"};

    return api_refuse_members(call, members, ARRAY_LEN(members));
}

/* Lay `changes` over `base`: objects member by member, all else in its place. */
static void lay_over(json_t *base, json_t *changes)
{
    const char *key;
    json_t *value;

    json_object_foreach(changes, key, value)
    {
        json_t *old = json_object_get(base, key);

        if (json_is_object(old) && json_is_object(value) && json_object_size(value) > 0) {
            lay_over(old, value);
        } else {
            json_object_set(base, key, value);
        }
    }
}

/* A secret parameter without a value means the one that is stored, as Describe shows it. */
static void mean_stored(json_t *tree)
{
    const char *key;
    json_t *value;

    if (json_is_true(json_object_get(tree, "is_value_secret")) &&
        json_object_get(tree, "value") == NULL) {
        json_object_set_new(tree, "value", json_pack("{s:b}", "stored", 1));
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        mean_stored(json_array_get(tree, i));
    }
    json_object_foreach(tree, key, value)
    {
        mean_stored(value);
    }
}

/* What was for another type goes when the type changes; nothing of it is sent. */
static void drop_other_types(json_t *auth, struct slice type)
{
    static const char *const blocks[][2] = {
        {"BASIC", "basic_auth_parameters"},
        {"API_KEY", "api_key_auth_parameters"},
        {"OAUTH_CLIENT_CREDENTIALS", "oauth_parameters"},
    };

    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        if (!slice_eq(type, slice_of(blocks[i][0]))) {
            json_object_del(auth, blocks[i][1]);
        }
    }
}

static void set_parameters(const struct api_call *call, json_t *document)
{
    json_t *changes = api_to_catalog(json_object_get(call->input, "AuthParameters"));
    const struct slice type = api_text(call, "AuthorizationType");
    json_t *auth = json_object_get(document, "auth_parameters");
    const bool is_other_type =
        type.len > 0 && !slice_eq(type, json_member_text(document, "authorization_type"));

    api_put_text(document, "authorization_type", type);
    if (is_other_type) {
        drop_other_types(auth, type);
    }
    if (auth == NULL && json_is_object(changes)) {
        auth = json_object();
        json_object_set_new(document, "auth_parameters", auth);
    }
    lay_over(auth, changes);
    mean_stored(auth);
    json_decref(changes);
}

/* ---- answers ------------------------------------------------------------------------------ */

static json_t *answer_of(struct api_call *call, const json_t *document, const char *state)
{
    json_t *answer = json_object();

    api_put_text(answer, "ConnectionArn", api_owned_arn(call, &api_connection_kind, document));
    api_put_text(answer, "ConnectionState",
                 state != NULL ? slice_of(state) : json_member_text(document, "auth_state"));
    api_owned_put_time(answer, "CreationTime", document, "created_ms");
    api_owned_put_time(answer, "LastModifiedTime", document, "modified_ms");
    return answer;
}

static json_t *answer_with_authorization(struct api_call *call, const json_t *document,
                                         const char *state)
{
    json_t *answer = answer_of(call, document, state);

    api_owned_put_time(answer, "LastAuthorizedTime", document, "authorized_ms");
    return answer;
}

static json_t *summary_of(struct api_call *call, const json_t *document)
{
    json_t *answer = answer_with_authorization(call, document, NULL);

    api_put_text(answer, "Name", json_member_text(document, "name"));
    api_put_text(answer, "StateReason", json_member_text(document, "auth_reason"));
    api_put_text(answer, "AuthorizationType", json_member_text(document, "authorization_type"));
    return answer;
}

/* ---- changing ----------------------------------------------------------------------------- */

/* Complete the document, seal its secrets, and put it. */
static enum err put(struct api_call *call, const struct catalog *catalog,
                    const struct api_owned *owned, json_t *document, struct catalog_edit *edit)
{
    struct err_why why = {.text = ""};
    const enum err err = catalog_connection_complete(
        call->seal_key, document, owned->document != NULL ? owned->document->value : NULL,
        moment_now_ms(), &why);

    if (err == ERR_BAD_CATALOG) {
        return api_fail(call, "ValidationException",
                        "Parameter AuthParameters is not valid. Reason: %s", why.text);
    }
    TRY(err);
    return api_owned_put(call, catalog, owned, document, edit);
}

static enum err create_connection(struct api_call *call, const struct catalog *catalog,
                                  struct catalog_edit *edit)
{
    struct api_owned owned;
    json_t *document;
    enum err err;

    TRY(refuse_unsupported(call));
    TRY(api_owned_begin(call, catalog, &api_connection_kind, &owned));
    document = json_object();
    api_put_text(document, "account", owned.account);
    api_put_text(document, "name", owned.name);
    api_put_text(document, "description", api_text(call, "Description"));
    set_parameters(call, document);
    err = put(call, catalog, &owned, document, edit);
    call->output = answer_of(call, document, NULL);
    json_decref(document);
    return err;
}

static enum err update_connection(struct api_call *call, const struct catalog *catalog,
                                  struct catalog_edit *edit)
{
    struct api_owned owned;
    json_t *document;
    enum err err;

    TRY(refuse_unsupported(call));
    TRY(api_owned_change(call, catalog, &api_connection_kind, &owned));
    document = json_deep_copy(owned.document->value);
    api_change_text(call, "Description", document, "description");
    set_parameters(call, document);
    err = put(call, catalog, &owned, document, edit);
    call->output = answer_with_authorization(call, document, NULL);
    json_decref(document);
    return err;
}

static enum err deauthorize_connection(struct api_call *call, const struct catalog *catalog,
                                       struct catalog_edit *edit)
{
    struct api_owned owned;
    json_t *document;
    enum err err;

    TRY(api_owned_change(call, catalog, &api_connection_kind, &owned));
    document = json_deep_copy(owned.document->value);
    json_object_del(document, "auth_parameters");
    err = put(call, catalog, &owned, document, edit);
    call->output = answer_with_authorization(call, document, NULL);
    json_decref(document);
    return err;
}

static enum err delete_connection(struct api_call *call, const struct catalog *catalog,
                                  struct catalog_edit *edit)
{
    struct api_owned owned;

    TRY(api_owned_change(call, catalog, &api_connection_kind, &owned));
    call->output = answer_with_authorization(call, owned.document->value, "DELETING");
    catalog_edit_put(edit, catalog, owned.document_name, NULL);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum err describe_connection(struct api_call *call, const struct catalog *catalog,
                                    struct catalog_edit *edit)
{
    struct api_owned owned;
    json_t *auth;

    (void)edit;
    TRY(api_owned_find(call, catalog, &api_connection_kind, "Name", api_text(call, "Name"),
                       &owned));
    call->output = summary_of(call, owned.document->value);
    api_put_text(call->output, "Description",
                 json_member_text(owned.document->value, "description"));
    auth = json_deep_copy(json_object_get(owned.document->value, "auth_parameters"));
    if (auth != NULL) {
        catalog_secrets_hide(auth);
        json_object_set_new(call->output, "AuthParameters", api_from_catalog(auth));
        json_decref(auth);
    }
    return ERR_OK;
}

static json_t *show(struct api_call *call, const struct catalog *catalog, const json_t *document)
{
    const struct slice state = api_text(call, "ConnectionState");

    (void)catalog;
    return state.len == 0 || slice_eq(state, json_member_text(document, "auth_state"))
               ? summary_of(call, document)
               : NULL;
}

static enum err list_connections(struct api_call *call, const struct catalog *catalog,
                                 struct catalog_edit *edit)
{
    (void)edit;
    return api_owned_list(call, catalog, &api_connection_kind, show);
}

const struct api_action api_create_connection = {SLICE_INIT("CreateConnection"), create_input,
                                                 create_connection, API_CHANGES};
const struct api_action api_update_connection = {SLICE_INIT("UpdateConnection"), update_input,
                                                 update_connection, API_CHANGES};
const struct api_action api_describe_connection = {SLICE_INIT("DescribeConnection"), name_input,
                                                   describe_connection, API_READS};
const struct api_action api_delete_connection = {SLICE_INIT("DeleteConnection"), name_input,
                                                 delete_connection, API_CHANGES};
const struct api_action api_deauthorize_connection = {
    SLICE_INIT("DeauthorizeConnection"), name_input, deauthorize_connection, API_CHANGES};
const struct api_action api_list_connections = {SLICE_INIT("ListConnections"), list_input,
                                                list_connections, API_READS};
