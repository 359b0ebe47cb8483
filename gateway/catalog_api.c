/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_api.c - the members of connections and API destinations that only weir sets.
 *
 * `weir apply` and the EventBridge API both make a document of what its owner wrote and have it
 * completed here, so both give the same identity, times and state for the same change.
 */
#include "gateway/catalog_api.h"

#include "core/arn.h"
#include "core/check.h"
#include "core/random.h"
#include "gateway/catalog_document.h"
#include "gateway/catalog_secrets.h"

enum { UUID_CHARS = 36 };

static void carry(json_t *document, const json_t *old, const char *key)
{
    json_t *value = json_object_get(old, key);

    if (value != NULL) {
        json_object_set(document, key, value);
    }
}

static bool is_same(const json_t *document, const json_t *old, const char *key)
{
    const json_t *new_value = json_object_get(document, key);
    const json_t *old_value = json_object_get(old, key);

    return new_value == old_value ||
           (new_value != NULL && old_value != NULL && json_equal(new_value, old_value));
}

/* Is every member that its owner may write as it was? */
static bool is_unchanged(const json_t *document, const json_t *old)
{
    json_t *mine = catalog_document_public(document);
    json_t *theirs = catalog_document_public(old);
    const bool is_equal = json_equal(mine, theirs) != 0;

    json_decref(mine);
    json_decref(theirs);
    return is_equal;
}

static void set_identity(json_t *document, const json_t *old, uint64_t now_ms, bool has_changed)
{
    char uuid[UUID_CHARS + 1] = "";

    if (old != NULL) {
        carry(document, old, "uuid");
        carry(document, old, "created_ms");
    } else {
        random_uuid(uuid);
        json_object_set_new(document, "uuid", json_string(uuid));
        json_object_set_new(document, "created_ms", json_integer((json_int_t)now_ms));
    }
    if (has_changed) { /* later than ever before: one value, one state of the document */
        const json_int_t last = json_integer_value(json_object_get(old, "modified_ms"));

        json_object_set_new(document, "modified_ms",
                            json_integer(MAX_OF((json_int_t)now_ms, last + 1)));
    } else {
        carry(document, old, "modified_ms");
    }
}

static void authorize(json_t *document, uint64_t now_ms)
{
    const struct slice type = json_member_text(document, "authorization_type");
    const char *state = "AUTHORIZED";

    if (json_object_get(document, "auth_parameters") == NULL) {
        state = "DEAUTHORIZED";
    } else if (slice_eq(type, SLICE("OAUTH_CLIENT_CREDENTIALS"))) {
        state = "AUTHORIZING";
    } else {
        json_object_set_new(document, "authorized_ms", json_integer((json_int_t)now_ms));
    }
    json_object_set_new(document, "auth_state", json_string(state));
}

enum err catalog_connection_complete(const uint8_t seal_key[static SEAL_KEY_BYTES],
                                     json_t *document, const json_t *old, uint64_t now_ms,
                                     struct err_why *why)
{
    bool is_as_authorized;

    TRY(catalog_secrets_seal(seal_key, document, old, why));
    is_as_authorized = old != NULL && is_same(document, old, "authorization_type") &&
                       is_same(document, old, "auth_parameters") &&
                       is_same(document, old, "sealed");
    set_identity(document, old, now_ms, !is_as_authorized || !is_unchanged(document, old));
    if (is_as_authorized) {
        carry(document, old, "auth_state");
        carry(document, old, "auth_reason");
        carry(document, old, "authorized_ms");
    } else {
        carry(document, old, "authorized_ms"); /* the last time, until there is another */
        authorize(document, now_ms);
    }
    return ERR_OK;
}

void catalog_api_destination_complete(json_t *document, const json_t *old, uint64_t now_ms)
{
    set_identity(document, old, now_ms, old == NULL || !is_unchanged(document, old));
}

struct slice catalog_api_arn(struct slice region, const char *kind, const json_t *document,
                             struct arena *arena)
{
    return arena_printf(arena, "arn:aws:events:%.*s:%.*s:%s/%.*s/%.*s", SLICE_ARG(region),
                        SLICE_ARG(json_member_text(document, "account")), kind,
                        SLICE_ARG(json_member_text(document, "name")),
                        SLICE_ARG(json_member_text(document, "uuid")));
}

const struct catalog_document *catalog_connection_of(const struct catalog *catalog,
                                                     const json_t *destination, struct arena *arena)
{
    const struct catalog_document *connection;
    struct slice name;
    struct slice rest;
    struct arn arn;

    if (!arn_split(json_member_text(destination, "connection_arn"), &arn)) {
        return NULL;
    }
    rest = arn.resource;
    (void)slice_cut(&rest, '/');
    name = slice_cut(&rest, '/');
    connection = catalog_get(catalog, arena_printf(arena, "connection/%.*s/%.*s",
                                                   SLICE_ARG(arn.account), SLICE_ARG(name)));
    if (connection == NULL || connection->is_absent ||
        (rest.len > 0 && !slice_eq(rest, json_member_text(connection->value, "uuid")))) {
        return NULL;
    }
    return connection;
}
