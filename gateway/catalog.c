/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog.c - versioned documents by name, and an edit that the store takes in one step.
 *
 * Only the control thread touches a catalog.  Values are jansson trees because they are read,
 * compared and shown far from the path of an event; what the workers use is compiled from them
 * (snapshot.c).
 */
#include "gateway/catalog.h"

#include "core/check.h"
#include "gateway/audit.h"
#include "gateway/catalog_document.h"
#include "gateway/replay.h"

enum { INDEX_CHANGES_MAX = 64 }; /* more at once make the index anew */

void catalog_init(struct catalog *catalog)
{
    *catalog = (struct catalog){0};
    map_init(&catalog->documents);
}

static void document_free(struct catalog_document *document)
{
    if (document != NULL) {
        json_decref(document->value);
        xfree(document->name);
        xfree(document);
    }
}

void catalog_changes_clear(struct catalog *catalog)
{
    size_t cursor = 0;
    struct catalog_change *change;

    while ((change = map_next(&catalog->changed, &cursor)) != NULL) {
        xfree(change);
    }
    map_clean_up(&catalog->changed);
}

/* Of several changes of a document the first knows what is in force.  Nothing that is compiled
 * follows from the audit log or a replay. */
static void note_changed(struct catalog *catalog, struct slice name,
                         const struct catalog_document *old)
{
    const struct slice bus =
        old != NULL ? json_member_text(old->value, "bus") : (struct slice){NULL, 0};
    struct catalog_change *change;

    if (catalog_is_aside(name) || map_get(&catalog->changed, name) != NULL) {
        return;
    }
    change = xcalloc(1, sizeof(*change) + name.len + bus.len);
    memcpy(change->bytes, name.data, name.len);
    change->name = (struct slice){change->bytes, name.len};
    change->bus = (struct slice){change->bytes + name.len, bus.len};
    if (bus.len > 0) {
        memcpy(change->bytes + name.len, bus.data, bus.len);
    }
    (void)map_put(&catalog->changed, change->name, change);
}

void catalog_clean_up(struct catalog *catalog)
{
    size_t cursor = 0;
    struct catalog_document *document;

    while ((document = map_next(&catalog->documents, &cursor)) != NULL) {
        document_free(document);
    }
    catalog_changes_clear(catalog);
    catalog_index_clean_up(&catalog->index);
    map_clean_up(&catalog->documents);
    *catalog = (struct catalog){0};
}

static void begin_many(struct catalog *catalog, size_t count)
{
    catalog->is_index_behind = count > INDEX_CHANGES_MAX;
}

static void end_many(struct catalog *catalog)
{
    if (catalog->is_index_behind) {
        catalog_index_rebuild(&catalog->index, &catalog->documents);
        catalog->is_index_behind = false;
    }
}

/* Forget the document of that name. */
static void drop(struct catalog *catalog, struct slice name)
{
    struct catalog_document *document = map_remove(&catalog->documents, name);

    note_changed(catalog, name, document);
    if (document != NULL && !catalog->is_index_behind) {
        catalog_index_remove(&catalog->index, name);
    }
    if (document != NULL && document->is_refused) {
        CHECK(catalog->refused_count > 0);
        catalog->refused_count--;
    }
    document_free(document);
}

/* Replace or make the document; `value` becomes the catalog's. */
static struct catalog_document *set(struct catalog *catalog, const struct store_document *stored,
                                    json_t *value)
{
    struct catalog_document *document = xcalloc(1, sizeof(*document));

    drop(catalog, stored->name);
    document->name = xstrndup(stored->name.data, stored->name.len);
    document->value = value;
    document->rev = stored->rev;
    document->edition = ++catalog->edition;
    (void)map_put(&catalog->documents, slice_of(document->name), document);
    if (!catalog->is_index_behind) {
        catalog_index_put(&catalog->index, document);
    }
    return document;
}

static enum err absorb_one(struct catalog *catalog, const struct store_document *stored,
                           struct err_why *why)
{
    json_t *value;

    if (stored->value.len == 0) {
        drop(catalog, stored->name);
        return ERR_OK;
    }
    value = json_loadb(stored->value.data, stored->value.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(value)) {
        json_decref(value);
        return err_because(ERR_STORE_CORRUPT, why, "catalog document %.*s is not a JSON object",
                           SLICE_ARG(stored->name));
    }
    (void)set(catalog, stored, value);
    return ERR_OK;
}

enum err catalog_absorb(struct catalog *catalog, const struct store_document *documents,
                        size_t count, uint64_t rev, struct err_why *why)
{
    enum err err = ERR_OK;

    begin_many(catalog, count);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = absorb_one(catalog, &documents[i], why);
    }
    end_many(catalog);
    catalog->rev = err == ERR_OK ? rev : catalog->rev;
    return err;
}

enum err catalog_absorb_own(struct catalog *catalog, struct catalog_edit *edit, uint64_t rev,
                            struct err_why *why)
{
    const bool is_next = rev == catalog->rev + 1;

    catalog->own_rev = MAX_OF(catalog->own_rev, rev);
    for (size_t i = 0; i < edit->count; i++) {
        edit->documents[i].rev = rev;
    }
    return catalog_absorb(catalog, edit->documents, edit->count, is_next ? rev : catalog->rev, why);
}

/* ---- what others wrote -------------------------------------------------------------------- */

bool catalog_is_aside(struct slice name)
{
    return audit_owns(name) || replay_owns(name);
}

/* What is different now; nothing that is in force follows from what stands aside. */
static void note_change(struct catalog_follow *follow, struct slice name)
{
    if (!catalog_is_aside(name)) {
        follow->changed_count++;
    }
}

/* A new value is not good: keep the last good one, under the new revision.  Not that of a
 * credential: who changed it may have wanted to end it. */
static void refuse(struct catalog *catalog, const struct store_document *stored,
                   const struct catalog_document *old)
{
    const bool is_absent =
        old == NULL || old->is_absent || slice_has_prefix(stored->name, SLICE("credential/"));
    json_t *value = is_absent ? json_object() : json_incref(old->value);
    struct catalog_document *document = set(catalog, stored, value);

    document->is_refused = true;
    document->is_absent = is_absent;
    catalog->refused_count++;
}

/* `value` becomes the catalog's. */
static void take(struct catalog *catalog, const struct store_document *stored, json_t *value,
                 struct catalog_follow *follow)
{
    const struct catalog_document *old = catalog_get(catalog, stored->name);
    struct err_why why = {.text = ""};
    bool was_in_force;

    if (catalog_document_check(stored->name, value, &why) != ERR_OK) {
        json_decref(value);
        was_in_force = old != NULL && !old->is_absent;
        refuse(catalog, stored, old);
        follow->refused_count++;
        if (was_in_force && catalog_get(catalog, stored->name)->is_absent) {
            note_change(follow, stored->name);
        }
        if (follow->why.text[0] == '\0') {
            follow->why = why;
        }
        return;
    }
    (void)set(catalog, stored, value);
    note_change(follow, stored->name);
}

static json_t *parse(const struct store_document *stored)
{
    return json_loadb(stored->value.data, stored->value.len, JSON_REJECT_DUPLICATES, NULL);
}

static void follow_one(struct catalog *catalog, const struct store_document *stored,
                       struct catalog_follow *follow)
{
    const struct catalog_document *old = catalog_get(catalog, stored->name);

    if (old == NULL ? stored->value.len == 0 : stored->rev <= old->rev) {
        return;
    }
    if (stored->value.len == 0) {
        drop(catalog, stored->name);
        note_change(follow, stored->name);
        return;
    }
    take(catalog, stored, parse(stored), follow);
}

void catalog_follow(struct catalog *catalog, const struct store_document *documents, size_t count,
                    uint64_t rev, struct catalog_follow *follow)
{
    *follow = (struct catalog_follow){0};
    begin_many(catalog, count);
    for (size_t i = 0; i < count; i++) {
        follow_one(catalog, &documents[i], follow);
    }
    end_many(catalog);
    catalog->rev = MAX_OF(catalog->rev, rev);
}

static void resync_one(struct catalog *catalog, const struct store_document *stored,
                       struct catalog_follow *follow)
{
    const struct catalog_document *old = catalog_get(catalog, stored->name);
    json_t *value = parse(stored);

    if (old != NULL && old->rev == stored->rev && !old->is_refused &&
        json_equal(old->value, value)) {
        json_decref(value);
        return;
    }
    take(catalog, stored, value, follow);
}

/* Forget what the store has no more. */
static void drop_others(struct catalog *catalog, const struct map *present,
                        struct catalog_follow *follow)
{
    struct arena arena = {0};
    struct slice *gone = ARENA_ARRAY(&arena, struct slice, catalog->documents.count);
    const struct catalog_document *document;
    size_t cursor = 0;
    size_t count = 0;

    while ((document = map_next(&catalog->documents, &cursor)) != NULL) {
        if (map_get(present, slice_of(document->name)) == NULL) {
            gone[count++] = slice_of(document->name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        note_change(follow, gone[i]);
        drop(catalog, arena_copy(&arena, gone[i])); /* the name goes with the document */
    }
    arena_clean_up(&arena);
}

void catalog_resync(struct catalog *catalog, const struct store_document *documents, size_t count,
                    uint64_t rev, struct catalog_follow *follow)
{
    struct map present = {0};
    char mark[1] = {1};

    *follow = (struct catalog_follow){0};
    begin_many(catalog, count + catalog->documents.count);
    for (size_t i = 0; i < count; i++) {
        resync_one(catalog, &documents[i], follow);
        (void)map_put(&present, documents[i].name, mark);
    }
    drop_others(catalog, &present, follow);
    end_many(catalog);
    map_clean_up(&present);
    catalog->rev = rev;
    catalog->own_rev = 0;
}

const struct catalog_document *catalog_get(const struct catalog *catalog, struct slice name)
{
    return map_get(&catalog->documents, name);
}

const struct catalog_document **catalog_with_prefix(const struct catalog *catalog,
                                                    struct slice prefix, struct arena *arena,
                                                    size_t *count)
{
    size_t most;
    struct catalog_document *const *run = catalog_index_range(&catalog->index, prefix, &most);
    const struct catalog_document **found =
        ARENA_ARRAY(arena, const struct catalog_document *, most);

    *count = 0;
    for (size_t i = 0; i < most; i++) {
        if (!run[i]->is_absent) {
            found[(*count)++] = run[i];
        }
    }
    return found;
}

const struct catalog_document **catalog_of_kind(const struct catalog *catalog, struct slice kind,
                                                struct arena *arena, size_t *count)
{
    const struct slice prefix = arena_printf(arena, "%.*s/", SLICE_ARG(kind));

    return catalog_with_prefix(catalog, prefix, arena, count);
}

/* ---- edits -------------------------------------------------------------------------------- */

void catalog_edit_init(struct catalog_edit *edit)
{
    *edit = (struct catalog_edit){0};
}

void catalog_edit_clean_up(struct catalog_edit *edit)
{
    arena_clean_up(&edit->arena);
    *edit = (struct catalog_edit){0};
}

static struct store_document *new_slot(struct catalog_edit *edit)
{
    if (edit->count == edit->cap) {
        const size_t cap = MAX_OF(edit->cap * 2, 8);
        struct store_document *grown = ARENA_ARRAY(&edit->arena, struct store_document, cap);

        if (edit->count > 0) {
            memcpy(grown, edit->documents, edit->count * sizeof(*grown));
        }
        edit->documents = grown;
        edit->cap = cap;
    }
    return &edit->documents[edit->count++];
}

void catalog_edit_put(struct catalog_edit *edit, const struct catalog *catalog, struct slice name,
                      const json_t *value)
{
    const struct catalog_document *old = catalog_get(catalog, name);
    struct store_document *document = new_slot(edit);

    document->name = arena_copy(&edit->arena, name);
    document->rev = old != NULL ? old->rev : 0;
    document->value = (struct slice){0};
    if (value != NULL) {
        char *text = json_dumps(value, JSON_COMPACT);

        CHECK(text != NULL);
        document->value = arena_copy(&edit->arena, slice_of(text));
        xfree(text);
    }
}

struct slice json_member_text(const json_t *object, const char *key)
{
    const json_t *member = json_object_get(object, key);

    if (!json_is_string(member)) {
        return (struct slice){0};
    }
    return (struct slice){json_string_value(member), json_string_length(member)};
}

struct slice catalog_archive_owner(const json_t *archive)
{
    struct slice bus = json_member_text(archive, "bus");

    return slice_cut(&bus, '/');
}

enum err catalog_name_check(struct slice name, struct err_why *why)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    if (name.len == 0 || name.len > CATALOG_MANAGER_CHARS_MAX) {
        return err_because(ERR_BAD_REQUEST, why, "name: must have 1 to %d characters",
                           CATALOG_MANAGER_CHARS_MAX);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '\0' || strchr(allowed, name.data[i]) == NULL) {
            return err_because(ERR_BAD_REQUEST, why,
                               "name: must be of letters, digits, '.', '_' and '-'");
        }
    }
    return ERR_OK;
}
