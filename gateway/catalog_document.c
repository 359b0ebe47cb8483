/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_document.c - one stored document, looked at before anything is compiled from it.
 *
 * A document of our own was checked before it was put.  One that another replica wrote was checked
 * by that one, which may be of another version.  So it is put back into the form of a catalog file
 * (what weir keeps beside the owner's members taken off) and must pass the same check as a file;
 * and its name must be the one that its members make, because what is compiled counts on that.
 */
#include "gateway/catalog_document.h"

#include "core/arena.h"
#include "core/check.h"
#include "core/digest.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check.h"
#include "gateway/replay.h"

static bool is_account(struct slice text)
{
    uint64_t number;

    return text.len == 12 && slice_to_u64(text, &number);
}

bool catalog_document_is_private(const char *key)
{
    static const char *const keys[] = {"manager",       "is_suspended", "uuid",       "created_ms",
                                       "modified_ms",   "sealed",       "auth_state", "auth_reason",
                                       "authorized_ms", "since_ms",     "uid"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

json_t *catalog_document_public(const json_t *value)
{
    json_t *form = json_deep_copy(value);
    const json_t *targets = json_object_get(form, "targets");
    const char *key;
    void *next;
    json_t *member;

    CHECK(form != NULL);
    json_object_foreach_safe(form, next, key, member)
    {
        if (catalog_document_is_private(key)) {
            json_object_del(form, key);
        }
    }
    for (size_t i = 0; i < json_array_size(targets); i++) {
        json_object_del(json_array_get(targets, i), "uid");
    }
    return form;
}

json_t *catalog_document_mistakes(const char *section, const json_t *value)
{
    json_t *file = json_pack("{s:[o]}", section, catalog_document_public(value));
    json_t *mistakes = catalog_check(file);
    const size_t prefix = strlen(section) + strlen("[0].");

    for (size_t i = 0; i < json_array_size(mistakes); i++) {
        json_t *mistake = json_array_get(mistakes, i);
        const struct slice path = json_member_text(mistake, "path");
        const struct slice rest = slice_from(path, MIN_OF(prefix, path.len));

        json_object_set_new(mistake, "path", json_stringn_nocheck(rest.data, rest.len));
    }
    json_decref(file);
    return mistakes;
}

static enum err check_as_file(struct slice name, const char *section, const json_t *value,
                              struct err_why *why)
{
    json_t *mistakes = catalog_document_mistakes(section, value);
    const json_t *first = json_array_get(mistakes, 0);
    enum err err = ERR_OK;

    if (first != NULL) {
        const struct slice path = json_member_text(first, "path");
        const struct slice message = json_member_text(first, "message");

        err = err_because(ERR_BAD_CATALOG, why, "%.*s: %.*s: %.*s", SLICE_ARG(name),
                          SLICE_ARG(path), SLICE_ARG(message));
    }
    json_decref(mistakes);
    return err;
}

static enum err check_name(struct slice name, struct slice wanted, struct err_why *why)
{
    return slice_eq(name, wanted) ? ERR_OK
                                  : err_because(ERR_BAD_CATALOG, why, "%.*s: holds %.*s",
                                                SLICE_ARG(name), SLICE_ARG(wanted));
}

/* "KIND/ACCOUNT/NAME": what an account owns under a name. */
static enum err check_owned(struct slice name, const char *section, struct slice rest,
                            const json_t *value, struct arena *arena, struct err_why *why)
{
    TRY(check_name(rest,
                   arena_printf(arena, "%.*s/%.*s", SLICE_ARG(json_member_text(value, "account")),
                                SLICE_ARG(json_member_text(value, "name"))),
                   why));
    return check_as_file(name, section, value, why);
}

/* One of a kind that this version lacks would keep the whole snapshot from being compiled. */
static enum err check_credential(struct slice name, const json_t *value, struct err_why *why)
{
    const struct slice kind = json_member_text(value, "kind");
    struct digest hash;
    const bool has_hash =
        digest_from_hex(json_member_text(value, "hash"), hash.bytes, DIGEST_BYTES);
    const bool is_good = slice_eq(kind, SLICE("sigv4")) || slice_eq(kind, SLICE("certificate")) ||
                         (slice_eq(kind, SLICE("api-key")) && has_hash &&
                          json_member_text(value, "header").len > 0) ||
                         ((slice_eq(kind, SLICE("basic")) || slice_eq(kind, SLICE("oauth")) ||
                           slice_eq(kind, SLICE("operator"))) &&
                          has_hash);

    if (!is_account(json_member_text(value, "account"))) {
        return err_because(ERR_BAD_CATALOG, why, "%.*s: account: must be a 12-digit account id",
                           SLICE_ARG(name));
    }
    if (!is_good) {
        return err_because(ERR_BAD_CATALOG, why,
                           "%.*s: kind: is none that this version knows, or lacks its hash or "
                           "header",
                           SLICE_ARG(name));
    }
    return ERR_OK;
}

enum err catalog_document_check(struct slice name, const json_t *value, struct err_why *why)
{
    struct arena arena = {0};
    struct slice rest = name;
    const struct slice kind = slice_cut(&rest, '/');
    enum err err = ERR_OK;

    if (!json_is_object(value)) {
        return err_because(ERR_BAD_CATALOG, why, "%.*s: is not a JSON object", SLICE_ARG(name));
    }
    if (slice_eq(kind, SLICE("account"))) {
        err = check_name(rest, json_member_text(value, "id"), why);
        err = err == ERR_OK ? check_as_file(name, "accounts", value, why) : err;
    } else if (slice_eq(kind, SLICE("bus"))) {
        err = check_owned(name, "buses", rest, value, &arena, why);
    } else if (slice_eq(kind, SLICE("rule"))) {
        err =
            check_name(rest,
                       arena_printf(&arena, "%.*s/%.*s", SLICE_ARG(json_member_text(value, "bus")),
                                    SLICE_ARG(json_member_text(value, "name"))),
                       why);
        err = err == ERR_OK ? check_as_file(name, "rules", value, why) : err;
    } else if (slice_eq(kind, SLICE("list"))) {
        err = check_name(rest, json_member_text(value, "name"), why);
        err = err == ERR_OK ? check_as_file(name, "lists", value, why) : err;
    } else if (slice_eq(kind, SLICE("schedule"))) {
        err = check_name(rest, json_member_text(value, "name"), why);
        err = err == ERR_OK ? check_as_file(name, "schedules", value, why) : err;
    } else if (slice_eq(kind, SLICE("connection"))) {
        err = check_owned(name, "connections", rest, value, &arena, why);
    } else if (slice_eq(kind, SLICE("api_destination"))) {
        err = check_owned(name, "api_destinations", rest, value, &arena, why);
    } else if (slice_eq(kind, SLICE("archive"))) {
        err = check_name(rest,
                         arena_printf(&arena, "%.*s/%.*s", SLICE_ARG(catalog_archive_owner(value)),
                                      SLICE_ARG(json_member_text(value, "name"))),
                         why);
        err = err == ERR_OK ? check_as_file(name, "archives", value, why) : err;
    } else if (slice_eq(kind, SLICE("replay"))) {
        err = replay_check(name, value, why);
    } else if (slice_eq(kind, SLICE("credential"))) {
        err = check_credential(name, value, why);
    }
    arena_clean_up(&arena);
    return err;
}
