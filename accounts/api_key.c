/* SPDX-License-Identifier: Apache-2.0
 *
 * api_key.c - making and recognising keys that arrive in a header.
 *
 *      wk_k3v7c2qpx4 _ 0Yq5v…
 *      |-- id, 13 --|  |-- 43 characters of base64url: 256 random bits --|
 *
 * The id finds the credential; the keyed hash of the whole text decides.  A stolen store holds
 * neither keys nor what could be tried offline, as the pepper comes from the seal key.  256 random
 * bits need no slow hash.
 *
 * Time does not tell an unknown id from a wrong secret: both are hashed once and compared once.
 * Memory: borrows everything; the key's text is the caller's to wipe.
 */
#include "accounts/api_key.h"

#include "accounts/secret.h"
#include "core/check.h"

enum { KEY_CHARS = SECRET_ID_CHARS + 1 + SECRET_TEXT_CHARS };

void api_key_hash(const uint8_t pepper[static SEAL_KEY_BYTES], struct slice key,
                  struct digest *hash)
{
    digest_hmac_sha256((struct slice){(const char *)pepper, SEAL_KEY_BYTES}, key, hash);
}

enum err api_key_issue(const uint8_t pepper[static SEAL_KEY_BYTES], const char *prefix,
                       char id[static 24], struct buf *key, struct digest *hash)
{
    const size_t start = key->len;

    secret_make_id(prefix, id);
    TRY(buf_append(key, slice_of(id)));
    TRY(buf_append_byte(key, '_'));
    TRY(secret_append(key));
    CHECK(key->len == start + KEY_CHARS);
    api_key_hash(pepper, slice_from(buf_slice(key), start), hash);
    return ERR_OK;
}

static bool has_form(struct slice value, struct slice prefix)
{
    return value.len == KEY_CHARS && slice_has_prefix(value, prefix) &&
           value.data[SECRET_ID_CHARS] == '_';
}

static bool looks_like_key(struct slice value)
{
    return has_form(value, SLICE(API_KEY_PREFIX));
}

struct slice api_key_id(struct slice token)
{
    return slice_first(token, has_form(token, SLICE(API_KEY_TOKEN_PREFIX)) ? SECRET_ID_CHARS : 0);
}

static bool is_key_header(const struct directory *directory, struct slice name)
{
    for (size_t i = 0; i < directory->api_key_header_count; i++) {
        if (slice_eq_ignore_case(directory->api_key_headers[i], name)) {
            return true;
        }
    }
    return false;
}

bool api_key_is_present(const struct directory *directory, const struct header *headers,
                        size_t header_count)
{
    for (size_t i = 0; i < header_count; i++) {
        if (is_key_header(directory, headers[i].name) &&
            looks_like_key(slice_trim(headers[i].value))) {
            return true;
        }
    }
    return false;
}

/* The one key among the headers.  A header that some account chose for its keys may carry anything
 * else in other requests ("authorization"), so only what looks like a key counts as a second one.
 */
static enum err find_key(const struct directory *directory, const struct header *headers,
                         size_t header_count, const struct header **found)
{
    bool has_header = false;

    *found = NULL;
    for (size_t i = 0; i < header_count; i++) {
        if (!is_key_header(directory, headers[i].name)) {
            continue;
        }
        has_header = true;
        if (!looks_like_key(slice_trim(headers[i].value))) {
            continue;
        }
        if (*found != NULL &&
            !digest_equal(slice_trim((*found)->value), slice_trim(headers[i].value))) {
            return ERR_BAD_CREDENTIAL;
        }
        *found = &headers[i];
    }
    if (*found == NULL) {
        return has_header ? ERR_BAD_CREDENTIAL : ERR_MISSING_TOKEN;
    }
    return ERR_OK;
}

enum err api_key_verify(const struct directory *directory, const struct header *headers,
                        size_t header_count, uint64_t now_ms, struct principal *principal)
{
    static const struct credential nobody = {.kind = CREDENTIAL_API_KEY};
    const struct credential *credential;
    const struct account *account;
    const struct header *header;
    struct digest hash;
    bool is_equal;

    TRY(find_key(directory, headers, header_count, &header));
    credential =
        directory_credential(directory, slice_first(slice_trim(header->value), SECRET_ID_CHARS));
    if (credential == NULL || credential->kind != CREDENTIAL_API_KEY) {
        credential = &nobody;
    }
    api_key_hash(directory->pepper, slice_trim(header->value), &hash);
    is_equal = digest_equal(digest_slice(&hash), digest_slice(&credential->key_hash));
    account = directory_account(directory, credential->account_id);
    if (!is_equal || credential == &nobody || !directory_is_live(credential, account, now_ms) ||
        !slice_eq_ignore_case(header->name, credential->header)) {
        return ERR_BAD_CREDENTIAL;
    }
    *principal = (struct principal){.account = account, .credential = credential, .relays = true};
    return ERR_OK;
}
