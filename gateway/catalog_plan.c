/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_plan.c - what `weir apply` changes.
 *
 * For each object of the file: make the document it should be (its members, its manager, and for a
 * rule the uid of each target, for a connection its sealed secrets), compare it with the document
 * that is, and put it only if they differ.  Then walk the documents of this manager in the same
 * section and delete those that the file does not have.  An account takes its credentials with it,
 * whoever issued them: keys must not come back to life when an account of that id is made again.
 */
#include "gateway/catalog_plan.h"

#include "core/arn.h"
#include "core/check.h"
#include "gateway/catalog_api.h"
#include "gateway/catalog_lists.h"
#include "gateway/catalog_since.h"
#include "gateway/catalog_uid.h"

struct planner {
    const struct catalog *catalog;
    const struct catalog_plan_options *options;
    struct catalog_edit *edit;
    json_t *changes;
    struct map wanted;  /* names that the file has */
    struct map dropped; /* names that it does not have any more */
    struct map gone;    /* ids of the accounts that are deleted */
    struct arena arena;
    struct catalog_uid uid;
    struct err_why *why;
};

static void note_change(struct planner *planner, const char *op, struct slice name)
{
    json_array_append_new(planner->changes,
                          json_pack("{s:s, s:s%}", "op", op, "name", name.data, name.len));
}

static bool is_ours(const struct planner *planner, const json_t *document)
{
    return slice_eq(json_member_text(document, "manager"), planner->options->manager);
}

/* ---- names --------------------------------------------------------------------------------- */

static struct slice name_of(struct planner *planner, const char *kind, const json_t *object)
{
    if (strcmp(kind, "account") == 0) {
        return arena_printf(&planner->arena, "account/%.*s",
                            SLICE_ARG(json_member_text(object, "id")));
    }
    if (strcmp(kind, "list") == 0 || strcmp(kind, "schedule") == 0) {
        return arena_printf(&planner->arena, "%s/%.*s", kind,
                            SLICE_ARG(json_member_text(object, "name")));
    }
    if (strcmp(kind, "archive") == 0) {
        return arena_printf(&planner->arena, "archive/%.*s/%.*s",
                            SLICE_ARG(catalog_archive_owner(object)),
                            SLICE_ARG(json_member_text(object, "name")));
    }
    if (strcmp(kind, "rule") != 0) {
        return arena_printf(&planner->arena, "%s/%.*s/%.*s", kind,
                            SLICE_ARG(json_member_text(object, "account")),
                            SLICE_ARG(json_member_text(object, "name")));
    }
    return arena_printf(&planner->arena, "rule/%.*s/%.*s",
                        SLICE_ARG(json_member_text(object, "bus")),
                        SLICE_ARG(json_member_text(object, "name")));
}

/* ---- one object --------------------------------------------------------------------------- */

/* Is its connection there, or about to be? */
static enum err check_connection(struct planner *planner, struct slice name, const json_t *document)
{
    struct slice rest;
    struct slice connection;
    struct slice of;
    struct arn arn;

    CHECK(arn_split(json_member_text(document, "connection_arn"), &arn));
    rest = arn.resource;
    (void)slice_cut(&rest, '/');
    of = slice_cut(&rest, '/');
    connection = arena_printf(&planner->arena, "connection/%.*s/%.*s", SLICE_ARG(arn.account),
                              SLICE_ARG(of));
    if (map_get(&planner->wanted, connection) == NULL &&
        (map_get(&planner->dropped, connection) != NULL ||
         catalog_connection_of(planner->catalog, document, &planner->arena) == NULL)) {
        return err_because(ERR_BAD_CATALOG, planner->why,
                           "%.*s: connection_arn: %.*s does not exist", SLICE_ARG(name),
                           SLICE_ARG(connection));
    }
    return ERR_OK;
}

/* What weir keeps beside its owner's members. */
static enum err complete(struct planner *planner, const char *kind, struct slice name,
                         json_t *document, const json_t *old)
{
    const struct catalog_plan_options *options = planner->options;
    struct err_why detail = {.text = ""};
    enum err err;

    if (strcmp(kind, "rule") == 0 || strcmp(kind, "schedule") == 0) {
        catalog_since_give(document, old, options->now_ms);
        catalog_uid_give(&planner->uid, document, old);
    } else if (strcmp(kind, "archive") == 0) {
        catalog_uid_give_archive(&planner->uid, document, old, options->now_ms);
    } else if (strcmp(kind, "api_destination") == 0) {
        catalog_api_destination_complete(document, old, options->now_ms);
        return check_connection(planner, name, document);
    } else if (strcmp(kind, "connection") == 0) {
        err =
            catalog_connection_complete(options->seal_key, document, old, options->now_ms, &detail);
        return err == ERR_OK
                   ? ERR_OK
                   : err_because(err, planner->why, "%.*s: %s", SLICE_ARG(name), detail.text);
    }
    return ERR_OK;
}

/* The document as its owner wants it; the caller's reference. */
static json_t *document_for(struct planner *planner, const json_t *object,
                            const struct catalog_document *old)
{
    json_t *document = json_deep_copy(object);
    const char *key;
    void *next;
    json_t *member;

    CHECK(document != NULL);
    json_object_foreach_safe(document, next, key, member)
    {
        if (json_is_null(member)) {
            json_object_del(document, key);
        }
    }
    json_object_set_new(
        document, "manager",
        json_stringn(planner->options->manager.data, planner->options->manager.len));
    if (old != NULL && json_object_get(old->value, "is_suspended") != NULL) {
        json_object_set(document, "is_suspended", json_object_get(old->value, "is_suspended"));
    }
    return document;
}

static enum err plan_object(struct planner *planner, const char *kind, const json_t *object)
{
    const struct slice name = name_of(planner, kind, object);
    const struct catalog_document *old = catalog_get(planner->catalog, name);
    json_t *document;
    enum err err;

    if (old != NULL && !is_ours(planner, old->value) && !planner->options->take_over) {
        return err_because(ERR_CONFLICT, planner->why,
                           "%.*s is managed by %.*s; --take-over makes it yours", SLICE_ARG(name),
                           SLICE_ARG(json_member_text(old->value, "manager")));
    }
    (void)map_put(&planner->wanted, name, planner);
    document = document_for(planner, object, old);
    err = complete(planner, kind, name, document, old != NULL ? old->value : NULL);
    if (err != ERR_OK) {
        json_decref(document);
        return err;
    }
    if (old == NULL || !json_equal(old->value, document)) {
        note_change(planner, old == NULL ? "create" : "update", name);
        catalog_edit_put(planner->edit, planner->catalog, name, document);
    }
    json_decref(document);
    return ERR_OK;
}

static enum err plan_section(struct planner *planner, const json_t *file, const char *section,
                             const char *kind)
{
    const json_t *objects = json_object_get(file, section);
    const struct catalog_document **documents;
    size_t count;

    if (!json_is_array(objects)) {
        return ERR_OK;
    }
    for (size_t i = 0; i < json_array_size(objects); i++) {
        TRY(plan_object(planner, kind, json_array_get(objects, i)));
    }
    documents = catalog_of_kind(planner->catalog, slice_of(kind), &planner->arena, &count);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = slice_of(documents[i]->name);

        if (is_ours(planner, documents[i]->value) && map_get(&planner->wanted, name) == NULL) {
            note_change(planner, "delete", name);
            (void)map_put(&planner->dropped, name, planner);
            catalog_edit_put(planner->edit, planner->catalog, name, NULL);
            if (strcmp(kind, "account") == 0) {
                (void)map_put(&planner->gone, json_member_text(documents[i]->value, "id"), planner);
            }
        }
    }
    return ERR_OK;
}

static void delete_credentials(struct planner *planner)
{
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(planner->catalog, SLICE("credential"), &planner->arena, &count);

    for (size_t i = 0; i < count; i++) {
        const struct slice account = json_member_text(documents[i]->value, "account");

        if (map_get(&planner->gone, account) != NULL) {
            note_change(planner, "delete", slice_of(documents[i]->name));
            catalog_edit_put(planner->edit, planner->catalog, slice_of(documents[i]->name), NULL);
        }
    }
}

enum err catalog_plan(const struct catalog *catalog, const json_t *file,
                      const struct catalog_plan_options *options, struct catalog_edit *edit,
                      json_t **changes, struct err_why *why)
{
    static const char *const sections[][2] = {
        {"accounts", "account"},
        {"buses", "bus"},
        {"connections", "connection"},
        {"api_destinations", "api_destination"},
        {"lists", "list"},
        {"rules", "rule"},
        {"schedules", "schedule"},
        {"archives", "archive"},
    };
    struct planner planner = {
        .catalog = catalog,
        .options = options,
        .edit = edit,
        .changes = json_array(),
        .uid = {.catalog = catalog},
        .why = why,
    };
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(sections) && err == ERR_OK; i++) {
        err = plan_section(&planner, file, sections[i][0], sections[i][1]);
    }
    if (err == ERR_OK && planner.gone.count > 0) {
        delete_credentials(&planner);
    }
    if (err == ERR_OK) {
        catalog_uid_put(&planner.uid, edit);
        err = catalog_lists_check(catalog, file, edit, why);
    }
    map_clean_up(&planner.wanted);
    map_clean_up(&planner.dropped);
    map_clean_up(&planner.gone);
    arena_clean_up(&planner.arena);
    *changes = planner.changes;
    return err;
}
