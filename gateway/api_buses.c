/* SPDX-License-Identifier: Apache-2.0
 *
 * api_buses.c - CreateEventBus and what belongs to it.
 *
 * Every account has its bus `default` without a document; the central account's `central` is shown
 * to operators only.  Keys of a customer, log settings and dead-letter queues of a bus are refused
 * rather than forgotten.
 */
#include "gateway/api_buses.h"

#include "core/check.h"
#include "gateway/api_rules.h"
#include "gateway/api_tags.h"
#include "gateway/catalog_document.h"
#include "gateway/config.h"

static const struct api_member create_input[] = {
    {"Name", API_TEXT, true, 1, 256, API_BUS_CHARS, NULL},
    {"EventSourceName", API_TEXT, false, 1, 256, API_ANY_CHARS, NULL},
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"KmsKeyIdentifier", API_TEXT, false, 0, 2048, API_ANY_CHARS, NULL},
    {"Tags", API_OBJECTS, false, 0, API_TAGS_MAX, API_ANY_CHARS, api_tag_members},
    API_MEMBERS_END,
};
static const struct api_member update_input[] = {
    {"Name", API_TEXT, false, 1, 256, API_BUS_OR_ARN, NULL},
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"KmsKeyIdentifier", API_TEXT, false, 0, 2048, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member delete_input[] = {
    {"Name", API_TEXT, true, 1, 256, API_BUS_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member describe_input[] = {
    {"Name", API_TEXT, false, 1, 1600, API_BUS_OR_ARN, NULL},
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"NamePrefix", API_TEXT, false, 1, 256, API_BUS_CHARS, NULL},
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- documents ---------------------------------------------------------------------------- */

json_t *api_bus_document(const struct api_bus *bus)
{
    json_t *document = json_object();

    api_put_text(document, "account", bus->account);
    api_put_text(document, "name", bus->name);
    return document;
}

enum err api_bus_put(struct api_call *call, const struct catalog *catalog,
                     const struct api_bus *bus, json_t *document, struct catalog_edit *edit)
{
    const json_t *first;
    json_t *mistakes;
    enum err err = ERR_OK;

    if (bus->document == NULL) {
        json_object_set_new(document, "manager", json_string(call->caller.manager));
    }
    mistakes = catalog_document_mistakes("buses", document);
    first = json_array_get(mistakes, 0);
    if (first != NULL) {
        err = api_fail(call, "ValidationException", "Parameter %.*s is not valid. Reason: %.*s",
                       SLICE_ARG(json_member_text(first, "path")),
                       SLICE_ARG(json_member_text(first, "message")));
    } else if (bus->document == NULL || !json_equal(bus->document->value, document)) {
        catalog_edit_put(edit, catalog,
                         arena_printf(&call->arena, "bus/%.*s/%.*s", SLICE_ARG(bus->account),
                                      SLICE_ARG(bus->name)),
                         document);
    }
    json_decref(mistakes);
    return err;
}

static enum err refuse_unsupported(struct api_call *call)
{
    static const char *const members[] = {"KmsKeyIdentifier", "DeadLetterConfig", "LogConfig",
                                          "EventSourceName"};

    return api_refuse_members(call, members, ARRAY_LEN(members));
}

/* ---- changing ----------------------------------------------------------------------------- */

static enum err check_room(struct api_call *call, const struct catalog *catalog)
{
    const struct slice prefix = arena_printf(&call->arena, "bus/%s/", call->caller.account);
    size_t count;

    (void)catalog_with_prefix(catalog, prefix, &call->arena, &count);
    return count < call->config->account_buses_max
               ? ERR_OK
               : api_fail(call, "LimitExceededException",
                          "The requested resource exceeds the maximum number allowed.");
}

static enum err create_bus(struct api_call *call, const struct catalog *catalog,
                           struct catalog_edit *edit)
{
    const struct slice name = api_text(call, "Name");
    json_t *document;
    json_t *tags;
    struct api_bus bus;
    bool exists;
    enum err err;

    TRY(refuse_unsupported(call));
    TRY(api_bus_look(call, catalog, name, API_NO_RULE, &bus, &exists));
    if (exists || slice_eq(name, SLICE("default"))) {
        return api_fail(call, "ResourceAlreadyExistsException", "Event bus %.*s already exists.",
                        SLICE_ARG(name));
    }
    TRY(check_room(call, catalog));
    document = api_bus_document(&bus);
    api_put_text(document, "description", api_text(call, "Description"));
    tags = api_tags_put(json_object(), json_object_get(call->input, "Tags"));
    if (json_object_size(tags) > 0) {
        json_object_set(document, "tags", tags);
    }
    json_decref(tags);
    err = api_bus_put(call, catalog, &bus, document, edit);
    json_decref(document);
    call->output = json_object();
    api_put_text(call->output, "EventBusArn", api_bus_arn(call, &bus));
    api_put_text(call->output, "Description", api_text(call, "Description"));
    return err;
}

static enum err update_bus(struct api_call *call, const struct catalog *catalog,
                           struct catalog_edit *edit)
{
    const struct slice description = api_text(call, "Description");
    struct api_bus bus;
    json_t *document;
    enum err err;

    TRY(refuse_unsupported(call));
    TRY(api_bus_find(call, catalog, api_text(call, "Name"), API_NO_RULE, &bus));
    if (bus.document != NULL) {
        TRY(api_rule_check_manager(call, bus.document->value, bus.name, false));
    }
    document = bus.document != NULL ? json_deep_copy(bus.document->value) : api_bus_document(&bus);
    json_object_del(document, "description");
    api_put_text(document, "description", description);
    err = api_bus_put(call, catalog, &bus, document, edit);
    json_decref(document);
    call->output = json_object();
    api_put_text(call->output, "Arn", api_bus_arn(call, &bus));
    api_put_text(call->output, "Name", bus.name);
    api_put_text(call->output, "Description", description);
    return err;
}

static enum err delete_bus(struct api_call *call, const struct catalog *catalog,
                           struct catalog_edit *edit)
{
    const struct slice name = api_text(call, "Name");
    struct api_bus bus;
    bool exists;
    size_t rules;

    if (slice_eq(name, SLICE("default"))) {
        return api_fail(call, "ValidationException", "Cannot delete event bus default.");
    }
    TRY(api_bus_look(call, catalog, name, API_NO_RULE, &bus, &exists));
    if (bus.is_central) {
        return api_fail(call, "ValidationException", "Cannot delete event bus central.");
    }
    if (bus.document == NULL) {
        return ERR_OK;
    }
    TRY(api_rule_check_manager(call, bus.document->value, bus.name, false));
    (void)api_rules_of(call, catalog, &bus, &rules);
    if (rules > 0) {
        return api_fail(call, "ValidationException",
                        "Event bus %.*s can't be deleted since it has rules.", SLICE_ARG(name));
    }
    catalog_edit_put(edit, catalog, slice_of(bus.document->name), NULL);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static json_t *describe(struct api_call *call, const struct api_bus *bus)
{
    const json_t *value = bus->document != NULL ? bus->document->value : NULL;
    json_t *shown = json_object();

    api_put_text(shown, "Name", bus->name);
    api_put_text(shown, "Arn", api_bus_arn(call, bus));
    api_put_text(shown, "Description", json_member_text(value, "description"));
    api_put_text(shown, "Policy", json_member_text(value, "policy"));
    return shown;
}

static enum err describe_bus(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    struct api_bus bus;

    (void)edit;
    TRY(api_bus_find(call, catalog, api_text(call, "Name"), API_NO_RULE, &bus));
    call->output = describe(call, &bus);
    return ERR_OK;
}

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* A caller's buses, sorted: those with a document, `default`, and an operator's `central`. */
static struct slice *bus_names(struct api_call *call, const struct catalog *catalog, size_t *count)
{
    const struct slice prefix = arena_printf(&call->arena, "bus/%s/", call->caller.account);
    size_t all;
    const struct catalog_document **documents =
        catalog_with_prefix(catalog, prefix, &call->arena, &all);
    struct slice *names = ARENA_ARRAY(&call->arena, struct slice, all + 2);

    *count = 0;
    names[(*count)++] = SLICE("default");
    if (call->caller.is_operator &&
        slice_eq(slice_of(call->caller.account), call->config->central_account)) {
        names[(*count)++] = SLICE("central");
    }
    for (size_t i = 0; i < all; i++) {
        const struct slice bus = slice_from(slice_of(documents[i]->name), prefix.len);

        if (!slice_eq(bus, SLICE("default")) && !slice_eq(bus, SLICE("central"))) {
            names[(*count)++] = bus;
        }
    }
    qsort(names, *count, sizeof(*names), compare_slices);
    return names;
}

static enum err list_buses(struct api_call *call, const struct catalog *catalog,
                           struct catalog_edit *edit)
{
    const struct slice prefix = api_text(call, "NamePrefix");
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    struct api_page page;
    struct slice *names;
    size_t count;

    (void)edit;
    call->output = json_pack("{s:o}", "EventBuses", list);
    TRY(api_page_read(call, &page));
    names = bus_names(call, catalog, &count);
    for (size_t i = 0; i < count; i++) {
        struct api_bus bus;

        if (!slice_has_prefix(names[i], prefix) || !api_page_begins(&page, names[i])) {
            continue;
        }
        if (json_array_size(list) == page.limit) {
            api_page_end(call, last);
            break;
        }
        TRY(api_bus_find(call, catalog, names[i], API_NO_RULE, &bus));
        json_array_append_new(list, describe(call, &bus));
        last = names[i];
    }
    return ERR_OK;
}

const struct api_action api_create_bus = {SLICE_INIT("CreateEventBus"), create_input, create_bus,
                                          API_CHANGES};
const struct api_action api_update_bus = {SLICE_INIT("UpdateEventBus"), update_input, update_bus,
                                          API_CHANGES};
const struct api_action api_delete_bus = {SLICE_INIT("DeleteEventBus"), delete_input, delete_bus,
                                          API_CHANGES};
const struct api_action api_describe_bus = {SLICE_INIT("DescribeEventBus"), describe_input,
                                            describe_bus, API_READS};
const struct api_action api_list_buses = {SLICE_INIT("ListEventBuses"), list_input, list_buses,
                                          API_READS};
