/* SPDX-License-Identifier: Apache-2.0
 *
 * api_destinations.c - CreateApiDestination and what belongs to it.
 *
 * Two things are judged: the destination that Name names and the connection that ConnectionArn
 * names, for whoever calls by a connection calls with its secrets.  Both must be of one account.
 *
 * A destination is ACTIVE while its connection is authorized.  weir sends to an INACTIVE one too,
 * as far as it can: an OAuth connection may be authorized by the very event that waits for it.
 */
#include "gateway/api_destinations.h"

#include "core/moment.h"
#include "gateway/api_owned.h"
#include "gateway/catalog_api.h"

/* clang-format off */
#define INPUT_MEMBERS(name, needed)                                                                \
    static const struct api_member name[] = {                                                      \
        {"Name", API_TEXT, true, 1, 64, API_NAME_OR_ARN, NULL},                                    \
        {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},                             \
        {"ConnectionArn", API_TEXT, needed, 1, 1600, API_CONNECTION_ARN, NULL},                    \
        {"InvocationEndpoint", API_TEXT, needed, 1, 2048, API_URL_CHARS, NULL},                    \
        {"HttpMethod", API_TEXT, needed, 0, 512, API_HTTP_METHOD, NULL},                           \
        {"InvocationRateLimitPerSecond", API_NUMBER, false, 1, INT32_MAX, API_ANY_CHARS, NULL},    \
        API_MEMBERS_END,                                                                           \
    }
/* clang-format on */
INPUT_MEMBERS(create_input, true);
INPUT_MEMBERS(update_input, false);

static const struct api_member name_input[] = {
    {"Name", API_TEXT, true, 1, 64, API_NAME_OR_ARN, NULL},
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"NamePrefix", API_TEXT, false, 1, 64, API_NAME_CHARS, NULL},
    {"ConnectionArn", API_TEXT, false, 1, 1600, API_CONNECTION_ARN, NULL},
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

static const char *state_of(struct api_call *call, const struct catalog *catalog,
                            const json_t *document)
{
    const struct catalog_document *connection =
        catalog_connection_of(catalog, document, &call->arena);

    return connection != NULL &&
                   slice_eq(json_member_text(connection->value, "auth_state"), SLICE("AUTHORIZED"))
               ? "ACTIVE"
               : "INACTIVE";
}

static json_t *answer_of(struct api_call *call, const struct catalog *catalog,
                         const json_t *document)
{
    json_t *answer = json_object();

    api_put_text(answer, "ApiDestinationArn", api_owned_arn(call, &api_destination_kind, document));
    api_put_text(answer, "ApiDestinationState", slice_of(state_of(call, catalog, document)));
    api_owned_put_time(answer, "CreationTime", document, "created_ms");
    api_owned_put_time(answer, "LastModifiedTime", document, "modified_ms");
    return answer;
}

/* The connection that the input names, if it names one: whoever chooses the endpoint gets what the
 * connection sends, so it must be the caller's to change. */
static enum err check_connection(struct api_call *call, const struct catalog *catalog,
                                 const struct api_owned *destination)
{
    const struct slice text = api_text(call, "ConnectionArn");
    struct api_owned connection;
    struct slice manager;

    if (text.len == 0) {
        return ERR_OK;
    }
    TRY(api_owned_find(call, catalog, &api_connection_kind, "ConnectionArn", text, &connection));
    if (!slice_eq(connection.account, destination->account)) {
        return api_fail(call, "ValidationException",
                        "Parameter ConnectionArn is not valid. Reason: it must be of account "
                        "%.*s.",
                        SLICE_ARG(destination->account));
    }
    manager = json_member_text(connection.document->value, "manager");
    return call->caller.is_operator || slice_eq(manager, slice_of(call->caller.manager))
               ? ERR_OK
               : api_fail(call, "AccessDeniedException", "Connection '%.*s' is managed by %.*s.",
                          SLICE_ARG(connection.name), SLICE_ARG(manager));
}

/* The input's members over the document's; complete it, put it, answer. */
static enum err put(struct api_call *call, const struct catalog *catalog,
                    const struct api_owned *owned, json_t *document, struct catalog_edit *edit)
{
    const json_t *rate = json_object_get(call->input, "InvocationRateLimitPerSecond");
    enum err err;

    api_change_text(call, "Description", document, "description");
    api_put_text(document, "connection_arn", api_text(call, "ConnectionArn"));
    api_put_text(document, "invocation_endpoint", api_text(call, "InvocationEndpoint"));
    api_put_text(document, "http_method", api_text(call, "HttpMethod"));
    if (json_is_integer(rate)) {
        json_object_set_new(document, "invocation_rate_limit_per_second",
                            json_integer(json_integer_value(rate)));
    }
    catalog_api_destination_complete(
        document, owned->document != NULL ? owned->document->value : NULL, moment_now_ms());
    err = api_owned_put(call, catalog, owned, document, edit);
    call->output = answer_of(call, catalog, document);
    json_decref(document);
    return err;
}

static enum err create_destination(struct api_call *call, const struct catalog *catalog,
                                   struct catalog_edit *edit)
{
    struct api_owned owned;
    json_t *document;

    TRY(api_owned_begin(call, catalog, &api_destination_kind, &owned));
    TRY(check_connection(call, catalog, &owned));
    document = json_object();
    api_put_text(document, "account", owned.account);
    api_put_text(document, "name", owned.name);
    return put(call, catalog, &owned, document, edit);
}

static enum err update_destination(struct api_call *call, const struct catalog *catalog,
                                   struct catalog_edit *edit)
{
    struct api_owned owned;

    TRY(api_owned_change(call, catalog, &api_destination_kind, &owned));
    TRY(check_connection(call, catalog, &owned));
    return put(call, catalog, &owned, json_deep_copy(owned.document->value), edit);
}

static enum err delete_destination(struct api_call *call, const struct catalog *catalog,
                                   struct catalog_edit *edit)
{
    struct api_owned owned;

    TRY(api_owned_change(call, catalog, &api_destination_kind, &owned));
    catalog_edit_put(edit, catalog, owned.document_name, NULL);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static json_t *summary_of(struct api_call *call, const struct catalog *catalog,
                          const json_t *document)
{
    const json_t *rate = json_object_get(document, "invocation_rate_limit_per_second");
    const struct catalog_document *connection =
        catalog_connection_of(catalog, document, &call->arena);
    json_t *answer = answer_of(call, catalog, document);

    api_put_text(answer, "Name", json_member_text(document, "name"));
    api_put_text(answer, "ConnectionArn",
                 connection != NULL ? api_owned_arn(call, &api_connection_kind, connection->value)
                                    : json_member_text(document, "connection_arn"));
    api_put_text(answer, "InvocationEndpoint", json_member_text(document, "invocation_endpoint"));
    api_put_text(answer, "HttpMethod", json_member_text(document, "http_method"));
    json_object_set_new(
        answer, "InvocationRateLimitPerSecond",
        json_integer(rate != NULL ? json_integer_value(rate) : API_DESTINATION_RATE_DEFAULT));
    return answer;
}

static enum err describe_destination(struct api_call *call, const struct catalog *catalog,
                                     struct catalog_edit *edit)
{
    struct api_owned owned;

    (void)edit;
    TRY(api_owned_find(call, catalog, &api_destination_kind, "Name", api_text(call, "Name"),
                       &owned));
    call->output = summary_of(call, catalog, owned.document->value);
    api_put_text(call->output, "Description",
                 json_member_text(owned.document->value, "description"));
    return ERR_OK;
}

static json_t *show(struct api_call *call, const struct catalog *catalog, const json_t *document)
{
    const struct slice wanted = api_text(call, "ConnectionArn");
    const struct catalog_document *connection =
        catalog_connection_of(catalog, document, &call->arena);

    if (wanted.len > 0 &&
        (connection == NULL ||
         !slice_eq(wanted, api_owned_arn(call, &api_connection_kind, connection->value)))) {
        return NULL;
    }
    return summary_of(call, catalog, document);
}

static enum err list_destinations(struct api_call *call, const struct catalog *catalog,
                                  struct catalog_edit *edit)
{
    (void)edit;
    return api_owned_list(call, catalog, &api_destination_kind, show);
}

const struct api_action api_create_destination = {SLICE_INIT("CreateApiDestination"), create_input,
                                                  create_destination, API_CHANGES};
const struct api_action api_update_destination = {SLICE_INIT("UpdateApiDestination"), update_input,
                                                  update_destination, API_CHANGES};
const struct api_action api_describe_destination = {SLICE_INIT("DescribeApiDestination"),
                                                    name_input, describe_destination, API_READS};
const struct api_action api_delete_destination = {SLICE_INIT("DeleteApiDestination"), name_input,
                                                  delete_destination, API_CHANGES};
const struct api_action api_list_destinations = {SLICE_INIT("ListApiDestinations"), list_input,
                                                 list_destinations, API_READS};
