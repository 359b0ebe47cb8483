/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_secrets.c - one walk over all places of a connection where a secret stands.
 *
 * A place is named by the members that lead there, in a list of parameters by the parameter's own
 * key: so a list may be reordered, and what is stored stays with its name.  All secrets of one
 * connection are one JSON object, sealed together; sealing is random, so a connection whose secrets
 * did not change keeps the bytes it had, and applying a file again changes nothing.
 */
#include "gateway/catalog_secrets.h"

#include <openssl/crypto.h>

#include "core/base64.h"
#include "core/check.h"
#include "core/file.h"
#include "core/utf8.h"
#include "gateway/catalog.h"
#include "gateway/catalog_check_internal.h"

enum { PLACE_CHARS_MAX = 800, KEY_CHARS_MAX = 100, SECRETS_BYTES_MAX = 1 << 20, DEPTH_MAX = 8 };

struct place {
    char text[PLACE_CHARS_MAX];
};

/* `holder[key]` is a secret.  ERR_OK goes on. */
typedef enum err (*visit_fn)(void *context, json_t *holder, const char *key,
                             const struct place *place);

static bool is_secret(const json_t *holder, const char *key)
{
    return strcmp(key, "password") == 0 || strcmp(key, "api_key_value") == 0 ||
           strcmp(key, "client_secret") == 0 ||
           (strcmp(key, "value") == 0 && json_is_true(json_object_get(holder, "is_value_secret")));
}

static struct place place_below(const struct place *base, const char *key)
{
    struct place place;

    (void)snprintf(place.text, sizeof(place.text), "%.*s.%.*s", PLACE_CHARS_MAX - KEY_CHARS_MAX - 2,
                   base->text, KEY_CHARS_MAX, key);
    return place;
}

static struct place place_of_parameter(const struct place *base, const json_t *parameter)
{
    struct place place;

    (void)snprintf(place.text, sizeof(place.text), "%.*s[%.*s]", 256, base->text,
                   SLICE_ARG(slice_first(json_member_text(parameter, "key"), 512)));
    return place;
}

static enum err walk(json_t *tree, const struct place *place, unsigned depth, visit_fn visit,
                     void *context)
{
    const char *key;
    void *next;
    json_t *value;

    if (depth > DEPTH_MAX) {
        return ERR_OK;
    }
    for (size_t i = 0; i < json_array_size(tree); i++) {
        json_t *item = json_array_get(tree, i);
        const struct place below = place_of_parameter(place, item);

        TRY(walk(item, &below, depth + 1, visit, context));
    }
    json_object_foreach_safe(tree, next, key, value)
    {
        const struct place below = place_below(place, key);

        if (is_secret(tree, key)) {
            TRY(visit(context, tree, key, &below));
        } else {
            TRY(walk(value, &below, depth + 1, visit, context));
        }
    }
    return ERR_OK;
}

static enum err walk_connection(const json_t *connection, visit_fn visit, void *context)
{
    const struct place place = {.text = "auth_parameters"};

    return walk(json_object_get(connection, "auth_parameters"), &place, 0, visit, context);
}

bool catalog_secret_is_good(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return false;
        }
    }
    return text.len > 0 && text.len <= CATALOG_SECRET_CHARS_MAX;
}

/* ---- files -------------------------------------------------------------------------------- */

struct reading {
    struct slice folder;
    const struct catalog_path *path;
    json_t *mistakes;
};

static void replace_by_content(json_t *holder, const char *key, const char *path,
                               const struct catalog_place *where, const char *place)
{
    struct err_why why = {.text = ""};
    struct buf content;
    struct slice text;
    json_t *value;

    buf_init(&content, CATALOG_SECRET_CHARS_MAX + 2);
    if (file_read_secret(path, &content, &why) != ERR_OK) {
        catalog_inner_mistake((void *)(uintptr_t)where, place, why.text);
        buf_wipe(&content);
        return;
    }
    text = buf_slice(&content);
    text.len -= slice_has_suffix(text, SLICE("\n")) ? 1 : 0;
    text.len -= slice_has_suffix(text, SLICE("\r")) ? 1 : 0;
    value = catalog_secret_is_good(text) ? json_stringn(text.data, text.len) : NULL;
    if (value == NULL) {
        catalog_inner_mistake((void *)(uintptr_t)where, place,
                              "the file must hold 1 to 512 characters on one line");
    } else {
        json_object_set_new(holder, key, value);
    }
    buf_wipe(&content);
}

static enum err read_one(void *context, json_t *holder, const char *key, const struct place *place)
{
    const struct reading *reading = context;
    const struct slice path = json_member_text(json_object_get(holder, key), "file");
    const struct catalog_place where = {.mistakes = reading->mistakes, .path = reading->path};
    struct arena arena = {0};
    struct place below;

    if (path.len > 0) {
        (void)snprintf(below.text, sizeof(below.text), ".%.*s", PLACE_CHARS_MAX - 2, place->text);
        replace_by_content(
            holder, key,
            path.data[0] == '/'
                ? path.data
                : arena_printf(&arena, "%.*s/%.*s", SLICE_ARG(reading->folder), SLICE_ARG(path))
                      .data,
            &where, below.text);
    }
    arena_clean_up(&arena);
    return ERR_OK;
}

void catalog_secrets_read(json_t *file, struct slice folder, json_t *mistakes)
{
    const json_t *connections = json_object_get(file, "connections");
    const struct catalog_path root = {.text = "connections"};

    for (size_t i = 0; i < json_array_size(connections); i++) {
        const struct catalog_path path = catalog_path_item(&root, i);
        struct reading reading = {.folder = folder, .path = &path, .mistakes = mistakes};

        (void)walk_connection(json_array_get(connections, i), read_one, &reading);
    }
}

/* ---- sealing ------------------------------------------------------------------------------ */

static struct slice context_of(const json_t *connection, struct arena *arena)
{
    return arena_printf(arena, "connection/%.*s/%.*s",
                        SLICE_ARG(json_member_text(connection, "account")),
                        SLICE_ARG(json_member_text(connection, "name")));
}

void catalog_secrets_wipe(json_t *secrets)
{
    const char *key;
    json_t *value;

    json_object_foreach(secrets, key, value)
    {
        if (json_is_string(value)) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): takes const off the library's own copy */
            OPENSSL_cleanse((void *)(uintptr_t)json_string_value(value), json_string_length(value));
        }
    }
    json_decref(secrets);
}

enum err catalog_secrets_open(const uint8_t seal_key[static SEAL_KEY_BYTES],
                              const json_t *connection, json_t **secrets)
{
    const struct slice text = json_member_text(connection, "sealed");
    struct arena arena = {0};
    struct buf sealed;
    struct buf plain;
    enum err err;

    *secrets = NULL;
    if (text.len == 0) {
        *secrets = json_object();
        return ERR_OK;
    }
    buf_init(&sealed, SECRETS_BYTES_MAX + SEAL_OVERHEAD_BYTES);
    buf_init(&plain, SECRETS_BYTES_MAX);
    err = base64_decode(text, &sealed);
    if (err == ERR_OK) {
        err = seal_open(seal_key, context_of(connection, &arena), buf_slice(&sealed), &plain);
    }
    if (err == ERR_OK) {
        *secrets = json_loadb(plain.data, plain.len, JSON_REJECT_DUPLICATES, NULL);
        err = json_is_object(*secrets) ? ERR_OK : ERR_STORE_CORRUPT;
    }
    buf_clean_up(&sealed);
    buf_wipe(&plain);
    arena_clean_up(&arena);
    return err == ERR_OK ? ERR_OK : ERR_STORE_CORRUPT;
}

static enum err close_all(const uint8_t seal_key[static SEAL_KEY_BYTES], json_t *connection,
                          const json_t *secrets)
{
    char *text = json_dumps(secrets, JSON_COMPACT);
    struct arena arena = {0};
    struct buf sealed;
    struct buf encoded;
    enum err err;

    CHECK(text != NULL);
    buf_init(&sealed, SECRETS_BYTES_MAX + SEAL_OVERHEAD_BYTES);
    buf_init(&encoded, (size_t)2 * SECRETS_BYTES_MAX);
    err = seal_close(seal_key, context_of(connection, &arena), slice_of(text), &sealed);
    if (err == ERR_OK) {
        err = base64_encode(buf_slice(&sealed), &encoded);
    }
    if (err == ERR_OK) {
        json_object_set_new(connection, "sealed", json_stringn(encoded.data, encoded.len));
    }
    OPENSSL_cleanse(text, strlen(text));
    xfree(text);
    buf_clean_up(&sealed);
    buf_clean_up(&encoded);
    arena_clean_up(&arena);
    return err;
}

struct collection {
    json_t *found;     /* of the new document */
    const json_t *old; /* of the stored one */
    struct err_why *why;
};

static enum err collect_one(void *context, json_t *holder, const char *key,
                            const struct place *place)
{
    struct collection *collection = context;
    json_t *value = json_object_get(holder, key);

    if (!json_is_string(value)) {
        value = json_object_get(collection->old, place->text);
    }
    if (!json_is_string(value)) {
        return err_because(ERR_BAD_CATALOG, collection->why, "%s: no secret is stored for it yet",
                           place->text);
    }
    json_object_set(collection->found, place->text, value);
    json_object_set_new(holder, key, json_pack("{s:b}", "stored", 1));
    return ERR_OK;
}

enum err catalog_secrets_seal(const uint8_t seal_key[static SEAL_KEY_BYTES], json_t *connection,
                              const json_t *old, struct err_why *why)
{
    struct collection collection = {.found = json_object(), .why = why};
    json_t *stored = NULL;
    enum err err = catalog_secrets_open(seal_key, old, &stored);

    if (err != ERR_OK) {
        err = err_because(err, why, "the stored secrets cannot be opened: is this the seal key?");
    }
    collection.old = stored;
    if (err == ERR_OK) {
        err = walk_connection(connection, collect_one, &collection);
    }
    if (err == ERR_OK && json_object_size(collection.found) == 0) {
        json_object_del(connection, "sealed");
    } else if (err == ERR_OK && json_equal(collection.found, stored)) {
        json_object_set(connection, "sealed", json_object_get(old, "sealed"));
    } else if (err == ERR_OK) {
        err = close_all(seal_key, connection, collection.found);
    }
    catalog_secrets_wipe(collection.found);
    catalog_secrets_wipe(stored);
    return err;
}

void catalog_secrets_hide(json_t *tree)
{
    const char *key;
    void *next;
    json_t *value;

    for (size_t i = 0; i < json_array_size(tree); i++) {
        catalog_secrets_hide(json_array_get(tree, i));
    }
    json_object_foreach_safe(tree, next, key, value)
    {
        if (json_object_get(value, "stored") != NULL) {
            json_object_del(tree, key);
        } else {
            catalog_secrets_hide(value);
        }
    }
}
