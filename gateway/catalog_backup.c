/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog_backup.c - the catalog as a file that only this deployment can have written.
 *
 *      {"weir_catalog":1,"rev":812,"at_ms":1800000000000,"documents":3}
 *      {"name":"account/111122223333","value":{...}}
 *      ...
 *      {"mac":"..."}
 *
 * Beside what `weir export` shows it holds what opens the gateway and what it remembers of itself:
 * credentials as keyed hashes, secrets sealed under the seal key, uids that were given, the audit
 * log.  None of it is a secret in the clear, and none of it is of use without the seal key.
 *
 * Who can write the file must not own the routes, so the last line is an HMAC, under a key derived
 * from the seal key, over every byte before it; it is looked at before anything else is.
 */
#include "gateway/catalog_backup.h"

#include "core/check.h"
#include "core/digest.h"
#include "gateway/catalog_document.h"

#define MAC_HEAD "{\"mac\":\""
#define MAC_TAIL "\"}\n"

enum {
    FORMAT = 1,
    MAC_LINE_BYTES = sizeof(MAC_HEAD) - 1 + DIGEST_HEX_CHARS + sizeof(MAC_TAIL) - 1,
};

static void mac_of(const uint8_t seal_key[static SEAL_KEY_BYTES], struct slice text,
                   char hex[static DIGEST_HEX_CHARS])
{
    struct digest key;
    struct digest mac;

    digest_hmac_sha256((struct slice){(const char *)seal_key, SEAL_KEY_BYTES},
                       SLICE("weir catalog backup"), &key);
    digest_hmac_sha256(digest_slice(&key), text, &mac);
    digest_hex(&mac, hex);
}

/* ---- write -------------------------------------------------------------------------------- */

/* One line, whose reference is taken. */
static enum err write_line(struct buf *out, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    enum err err;

    CHECK(text != NULL);
    err = buf_append(out, slice_of(text));
    xfree(text);
    json_decref(line);
    return err == ERR_OK ? buf_append_byte(out, '\n') : err;
}

enum err catalog_backup_write(const struct catalog *catalog,
                              const uint8_t seal_key[static SEAL_KEY_BYTES], uint64_t now_ms,
                              struct buf *out)
{
    const size_t start = out->len;
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_with_prefix(catalog, SLICE(""), &arena, &count);
    enum err err =
        write_line(out, json_pack("{s:i, s:I, s:I, s:I}", "weir_catalog", FORMAT, "rev",
                                  (json_int_t)MAX_OF(catalog->rev, catalog->own_rev), "at_ms",
                                  (json_int_t)now_ms, "documents", (json_int_t)count));
    char hex[DIGEST_HEX_CHARS];

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = write_line(
            out, json_pack("{s:s, s:O}", "name", documents[i]->name, "value", documents[i]->value));
    }
    arena_clean_up(&arena);
    TRY(err);
    mac_of(seal_key, slice_from(buf_slice(out), start), hex);
    return buf_printf(out, MAC_HEAD "%.*s" MAC_TAIL, DIGEST_HEX_CHARS, hex);
}

/* ---- read --------------------------------------------------------------------------------- */

/* The lines without the last one, if that is what it must be. */
static enum err check_mac(struct slice *text, const uint8_t seal_key[static SEAL_KEY_BYTES],
                          struct err_why *why)
{
    struct slice body;
    struct slice line;
    char hex[DIGEST_HEX_CHARS];

    if (text->len < MAC_LINE_BYTES) {
        return err_because(ERR_BAD_CATALOG, why, "it is no backup of a catalog, or cut off");
    }
    body = slice_first(*text, text->len - MAC_LINE_BYTES);
    line = slice_from(*text, body.len);
    if (!slice_has_prefix(line, SLICE(MAC_HEAD))) {
        return err_because(ERR_BAD_CATALOG, why, "it is no backup of a catalog, or cut off");
    }
    mac_of(seal_key, body, hex);
    if (!digest_equal((struct slice){hex, sizeof(hex)},
                      slice_first(slice_from(line, sizeof(MAC_HEAD) - 1), sizeof(hex)))) {
        return err_because(ERR_BAD_CATALOG, why,
                           "it was changed, or written under another seal key");
    }
    *text = body;
    return ERR_OK;
}

static enum err read_head(struct slice line, struct catalog_backup *backup, size_t *count,
                          struct err_why *why)
{
    json_t *head = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t format = 0;
    json_int_t rev = 0;
    json_int_t at_ms = 0;
    json_int_t documents = 0;
    const bool is_head = json_unpack(head, "{s:I, s:I, s:I, s:I}", "weir_catalog", &format, "rev",
                                     &rev, "at_ms", &at_ms, "documents", &documents) == 0;

    json_decref(head);
    if (!is_head || format != FORMAT || rev < 0 || documents < 0) {
        return err_because(ERR_BAD_CATALOG, why, "it was written by another version");
    }
    backup->rev = (uint64_t)rev;
    backup->at_ms = (uint64_t)at_ms;
    *count = (size_t)documents;
    return ERR_OK;
}

/* Must be what this version could have stored. */
static enum err read_document(struct slice line, struct arena *arena,
                              struct store_document *document, struct err_why *why)
{
    json_t *tree = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    const struct slice name = json_member_text(tree, "name");
    const json_t *value = json_object_get(tree, "value");
    char *text = json_is_object(value) ? json_dumps(value, JSON_COMPACT) : NULL;
    enum err err = ERR_BAD_CATALOG;

    if (text != NULL && name.len > 0) {
        *document = (struct store_document){.name = arena_copy(arena, name),
                                            .value = arena_copy(arena, slice_of(text))};
        err = catalog_document_check(name, value, why);
    }
    xfree(text);
    json_decref(tree);
    return err;
}

enum err catalog_backup_read(struct slice text, const uint8_t seal_key[static SEAL_KEY_BYTES],
                             struct arena *arena, struct catalog_backup *backup,
                             struct err_why *why)
{
    size_t count;

    *backup = (struct catalog_backup){.rev = 0};
    TRY(check_mac(&text, seal_key, why));
    TRY(read_head(slice_cut(&text, '\n'), backup, &count, why));
    if (count > text.len) {
        return err_because(ERR_BAD_CATALOG, why, "it lacks documents");
    }
    backup->documents = ARENA_ARRAY(arena, struct store_document, count);
    while (text.len > 0 && backup->document_count < count) {
        TRY(read_document(slice_cut(&text, '\n'), arena, &backup->documents[backup->document_count],
                          why));
        backup->document_count++;
    }
    return ERR_OK;
}

/* ---- a store that is given one ------------------------------------------------------------ */

enum catalog_restore_state catalog_restore_state(const struct store_document *documents,
                                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(documents[i].name, SLICE(CATALOG_RESTORING))) {
            return documents[i].value.len > 0 ? CATALOG_RESTORE_UNDER_WAY : CATALOG_RESTORE_OVER;
        }
    }
    return CATALOG_RESTORE_NONE;
}
