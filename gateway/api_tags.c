/* SPDX-License-Identifier: Apache-2.0
 *
 * api_tags.c - a resource is named by its ARN; its tags are a member of its document.
 *
 * A bus that has no document of its own (every account's default) gets one with its first tag.
 */
#include "gateway/api_tags.h"

#include "core/arn.h"
#include "core/check.h"
#include "gateway/api_buses.h"
#include "gateway/api_names.h"
#include "gateway/api_rules.h"
#include "gateway/config.h"

const struct api_member api_tag_members[] = {
    {"Key", API_TEXT, true, 1, 128, API_ANY_CHARS, NULL},
    {"Value", API_TEXT, true, 0, 256, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member tag_input[] = {
    {"ResourceARN", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"Tags", API_OBJECTS, true, 0, 200, API_ANY_CHARS, api_tag_members},
    API_MEMBERS_END,
};
static const struct api_member untag_input[] = {
    {"ResourceARN", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"TagKeys", API_TEXTS, true, 1, 128, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member list_input[] = {
    {"ResourceARN", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};

json_t *api_tags_put(json_t *tags, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *tag = json_array_get(list, i);

        json_object_set(tags, json_string_value(json_object_get(tag, "Key")),
                        json_object_get(tag, "Value"));
    }
    return tags;
}

/* ---- what an ARN names -------------------------------------------------------------------- */

struct resource {
    struct api_bus bus;  /* with the rule, if it is one */
    const json_t *value; /* NULL: a bus without a document */
};

static enum err bad_arn(struct api_call *call)
{
    return api_fail(call, "ValidationException",
                    "Parameter ResourceARN is not valid. Reason: Provided Arn is not in correct "
                    "format.");
}

/* "rule/NAME" on the default bus, or "rule/BUS/NAME". */
static enum err find_rule(struct api_call *call, const struct catalog *catalog,
                          struct slice account, struct slice path, struct resource *resource)
{
    struct slice name = path;
    const struct slice first = slice_cut(&name, '/');
    const bool is_on_default = name.data == NULL || name.len == 0;
    const struct catalog_document *document;
    const struct slice bus = is_on_default ? SLICE("default") : first;

    TRY(api_bus_find(call, catalog,
                     arena_printf(&call->arena, "arn:aws:events:%.*s:%.*s:event-bus/%.*s",
                                  SLICE_ARG(call->config->region), SLICE_ARG(account),
                                  SLICE_ARG(bus)),
                     is_on_default ? first : name, &resource->bus));
    TRY(api_rule_find(call, catalog, &resource->bus, &document));
    resource->value = document->value;
    return ERR_OK;
}

static enum err find_resource(struct api_call *call, const struct catalog *catalog,
                              struct resource *resource)
{
    const struct slice text = api_text(call, "ResourceARN");
    struct arn arn;

    *resource = (struct resource){.value = NULL};
    if (!arn_split(text, &arn) || !slice_eq(arn.service, SLICE("events")) ||
        arn.account.len != ACCOUNT_ID_CHARS) {
        return bad_arn(call);
    }
    if (slice_has_prefix(arn.resource, SLICE("event-bus/"))) {
        TRY(api_bus_find(call, catalog, text, API_NO_RULE, &resource->bus));
        resource->value = resource->bus.document != NULL ? resource->bus.document->value : NULL;
        return ERR_OK;
    }
    if (!slice_has_prefix(arn.resource, SLICE("rule/"))) {
        return bad_arn(call);
    }
    return find_rule(call, catalog, arn.account, slice_from(arn.resource, strlen("rule/")),
                     resource);
}

/* ---- actions ------------------------------------------------------------------------------ */

/* Store the resource with these tags; takes the reference. */
static enum err put_tags(struct api_call *call, const struct catalog *catalog,
                         const struct resource *resource, json_t *tags, struct catalog_edit *edit)
{
    json_t *document;
    enum err err;

    if (json_object_size(tags) > API_TAGS_MAX) {
        json_decref(tags);
        return api_fail(call, "LimitExceededException",
                        "The requested resource exceeds the maximum number allowed.");
    }
    document = resource->value != NULL ? json_deep_copy(resource->value)
                                       : api_bus_document(&resource->bus);
    if (json_object_size(tags) > 0) {
        json_object_set(document, "tags", tags);
    } else {
        json_object_del(document, "tags");
    }
    json_decref(tags);
    err = resource->bus.rule.len > 0 ? api_rule_put(call, catalog, &resource->bus, document, edit)
                                     : api_bus_put(call, catalog, &resource->bus, document, edit);
    json_decref(document);
    return err;
}

static json_t *tags_of(const struct resource *resource)
{
    json_t *tags = json_object_get(resource->value, "tags");

    return tags != NULL ? json_deep_copy(tags) : json_object();
}

static enum err check_manager(struct api_call *call, const struct resource *resource)
{
    if (resource->value == NULL) {
        return ERR_OK;
    }
    return api_rule_check_manager(
        call, resource->value, resource->bus.rule.len > 0 ? resource->bus.rule : resource->bus.name,
        false);
}

static enum err tag_resource(struct api_call *call, const struct catalog *catalog,
                             struct catalog_edit *edit)
{
    struct resource resource;

    TRY(find_resource(call, catalog, &resource));
    TRY(check_manager(call, &resource));
    return put_tags(call, catalog, &resource,
                    api_tags_put(tags_of(&resource), json_object_get(call->input, "Tags")), edit);
}

static enum err untag_resource(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    const json_t *keys = json_object_get(call->input, "TagKeys");
    struct resource resource;
    json_t *tags;

    TRY(find_resource(call, catalog, &resource));
    TRY(check_manager(call, &resource));
    tags = tags_of(&resource);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_object_del(tags, json_string_value(json_array_get(keys, i)));
    }
    return put_tags(call, catalog, &resource, tags, edit);
}

static enum err list_tags(struct api_call *call, const struct catalog *catalog,
                          struct catalog_edit *edit)
{
    struct resource resource;
    json_t *list;
    const char *key;
    json_t *value;

    (void)edit;
    TRY(find_resource(call, catalog, &resource));
    list = json_array();
    call->output = json_pack("{s:o}", "Tags", list);
    json_object_foreach(json_object_get(resource.value, "tags"), key, value)
    {
        json_array_append_new(list, json_pack("{s:s, s:O}", "Key", key, "Value", value));
    }
    return ERR_OK;
}

const struct api_action api_tag_resource = {SLICE_INIT("TagResource"), tag_input, tag_resource,
                                            API_CHANGES};
const struct api_action api_untag_resource = {SLICE_INIT("UntagResource"), untag_input,
                                              untag_resource, API_CHANGES};
const struct api_action api_list_tags = {SLICE_INIT("ListTagsForResource"), list_input, list_tags,
                                         API_READS};
