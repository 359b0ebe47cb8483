/* SPDX-License-Identifier: Apache-2.0
 *
 * api_owned.c - from the name or the ARN of a connection or an API destination to its document.
 *
 * Whose it is follows from the very text that the action then reads, and is judged before anything
 * is looked up: a stranger does not learn what another account has.  What `weir apply` manages is
 * changed by `weir apply`; an operator's key changes what members made.
 */
#include "gateway/api_owned.h"

#include "accounts/directory.h"
#include "core/arn.h"
#include "core/check.h"
#include "gateway/api_names.h"
#include "gateway/catalog_api.h"
#include "gateway/catalog_document.h"
#include "gateway/config.h"

#define MANAGER_OF_MEMBERS "api:"

const struct api_owned_kind api_connection_kind = {
    .arn_kind = "connection",
    .document_kind = "connection",
    .section = "connections",
    .list = "Connections",
    .plural = "connection(s)",
    .one = "Connection",
};
const struct api_owned_kind api_destination_kind = {
    .arn_kind = "api-destination",
    .document_kind = "api_destination",
    .section = "api_destinations",
    .list = "ApiDestinations",
    .plural = "api-destination(s)",
    .one = "An api-destination",
};

/* ---- one ---------------------------------------------------------------------------------- */

/* "NAME", or "arn:aws:events:REGION:ACCOUNT:KIND/NAME[/UUID]". */
static bool read_name(const struct api_call *call, const struct api_owned_kind *kind,
                      struct slice text, struct api_owned *owned, struct slice *uuid)
{
    struct slice rest;
    struct arn arn;

    owned->kind = kind;
    owned->account = slice_of(call->caller.account);
    owned->name = text;
    *uuid = (struct slice){NULL, 0};
    if (!slice_has_prefix(text, SLICE("arn:"))) {
        return true;
    }
    if (!arn_split(text, &arn) || !slice_eq(arn.service, SLICE("events")) ||
        arn.account.len != ACCOUNT_ID_CHARS) {
        return false;
    }
    rest = arn.resource;
    if (!slice_eq(slice_cut(&rest, '/'), slice_of(kind->arn_kind))) {
        return false;
    }
    owned->account = arn.account;
    owned->name = slice_cut(&rest, '/');
    *uuid = rest;
    return owned->name.len > 0;
}

enum err api_owned_look(struct api_call *call, const struct catalog *catalog,
                        const struct api_owned_kind *kind, const char *parameter, struct slice text,
                        struct api_owned *owned)
{
    struct slice uuid;

    if (!read_name(call, kind, text, owned, &uuid)) {
        return api_fail(call, "ValidationException",
                        "Parameter %s is not valid. Reason: Provided Arn is not in correct format.",
                        parameter);
    }
    if (!call->caller.is_operator && !slice_eq(owned->account, slice_of(call->caller.account))) {
        return api_fail(call, "AccessDeniedException",
                        "The caller is not authorized to manage the resource %.*s",
                        SLICE_ARG(text));
    }
    owned->document_name = arena_printf(&call->arena, "%s/%.*s/%.*s", kind->document_kind,
                                        SLICE_ARG(owned->account), SLICE_ARG(owned->name));
    owned->document = catalog_get(catalog, owned->document_name);
    if (owned->document != NULL &&
        (owned->document->is_absent ||
         (uuid.len > 0 && !slice_eq(uuid, json_member_text(owned->document->value, "uuid"))))) {
        owned->document = NULL;
    }
    return ERR_OK;
}

enum err api_owned_find(struct api_call *call, const struct catalog *catalog,
                        const struct api_owned_kind *kind, const char *parameter, struct slice text,
                        struct api_owned *owned)
{
    TRY(api_owned_look(call, catalog, kind, parameter, text, owned));
    return owned->document != NULL
               ? ERR_OK
               : api_fail(call, "ResourceNotFoundException",
                          "Failed to describe the %s. %s '%.*s' does not exist.", kind->plural,
                          kind->one, SLICE_ARG(owned->name));
}

/* ---- changing ----------------------------------------------------------------------------- */

static enum err check_room(struct api_call *call, const struct catalog *catalog,
                           const struct api_owned *owned)
{
    const struct slice prefix = arena_printf(&call->arena, "%s/%.*s/", owned->kind->document_kind,
                                             SLICE_ARG(owned->account));
    size_t count;

    (void)catalog_with_prefix(catalog, prefix, &call->arena, &count);
    return count < call->config->account_api_destinations_max
               ? ERR_OK
               : api_fail(call, "LimitExceededException",
                          "The requested resource exceeds the maximum number allowed.");
}

enum err api_owned_begin(struct api_call *call, const struct catalog *catalog,
                         const struct api_owned_kind *kind, struct api_owned *owned)
{
    TRY(api_owned_look(call, catalog, kind, "Name", api_text(call, "Name"), owned));
    if (catalog_get(catalog, arena_printf(&call->arena, "account/%.*s",
                                          SLICE_ARG(owned->account))) == NULL) {
        return api_fail(call, "ResourceNotFoundException", "Account %.*s does not exist.",
                        SLICE_ARG(owned->account));
    }
    if (owned->document != NULL) {
        return api_fail(call, "ResourceAlreadyExistsException", "%s '%.*s' already exists.",
                        kind->one, SLICE_ARG(owned->name));
    }
    return check_room(call, catalog, owned);
}

enum err api_owned_change(struct api_call *call, const struct catalog *catalog,
                          const struct api_owned_kind *kind, struct api_owned *owned)
{
    struct slice manager;

    TRY(api_owned_find(call, catalog, kind, "Name", api_text(call, "Name"), owned));
    manager = json_member_text(owned->document->value, "manager");
    if (slice_eq(manager, slice_of(call->caller.manager)) ||
        (call->caller.is_operator && slice_has_prefix(manager, SLICE(MANAGER_OF_MEMBERS)))) {
        return ERR_OK;
    }
    return api_fail(call, "AccessDeniedException", "%s '%.*s' is managed by %.*s.", kind->one,
                    SLICE_ARG(owned->name), SLICE_ARG(manager));
}

enum err api_owned_put(struct api_call *call, const struct catalog *catalog,
                       const struct api_owned *owned, json_t *document, struct catalog_edit *edit)
{
    const json_t *first;
    json_t *mistakes;
    enum err err = ERR_OK;

    if (owned->document == NULL) { /* whose it is, it stays, whoever may change it */
        json_object_set_new(document, "manager", json_string(call->caller.manager));
    }
    mistakes = catalog_document_mistakes(owned->kind->section, document);
    first = json_array_get(mistakes, 0);
    if (first != NULL) {
        err = api_fail(call, "ValidationException", "Parameter %.*s is not valid. Reason: %.*s",
                       SLICE_ARG(json_member_text(first, "path")),
                       SLICE_ARG(json_member_text(first, "message")));
    } else if (owned->document == NULL || !json_equal(owned->document->value, document)) {
        catalog_edit_put(edit, catalog, owned->document_name, document);
    }
    json_decref(mistakes);
    return err;
}

/* ---- answers ------------------------------------------------------------------------------ */

struct slice api_owned_arn(struct api_call *call, const struct api_owned_kind *kind,
                           const json_t *document)
{
    return catalog_api_arn(call->config->region, kind->arn_kind, document, &call->arena);
}

void api_owned_put_time(json_t *answer, const char *member, const json_t *document, const char *key)
{
    api_put_moment(answer, member, (uint64_t)json_integer_value(json_object_get(document, key)));
}

enum err api_owned_list(struct api_call *call, const struct catalog *catalog,
                        const struct api_owned_kind *kind, api_owned_show_fn show)
{
    const struct slice prefix =
        arena_printf(&call->arena, "%s/%s/", kind->document_kind, call->caller.account);
    const struct slice wanted = api_text(call, "NamePrefix");
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    struct api_page page;
    size_t count;
    const struct catalog_document **documents =
        catalog_with_prefix(catalog, prefix, &call->arena, &count);

    call->output = json_pack("{s:o}", kind->list, list);
    TRY(api_page_read(call, &page));
    for (size_t i = 0; i < count; i++) {
        const struct slice name = slice_from(slice_of(documents[i]->name), prefix.len);
        json_t *shown;

        if (!slice_has_prefix(name, wanted) || !api_page_begins(&page, name)) {
            continue;
        }
        shown = show(call, catalog, documents[i]->value);
        if (shown != NULL && json_array_size(list) == page.limit) {
            json_decref(shown);
            api_page_end(call, last);
            break;
        }
        if (shown != NULL) {
            json_array_append_new(list, shown);
            last = name;
        }
    }
    return ERR_OK;
}
