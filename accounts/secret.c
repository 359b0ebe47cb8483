/* SPDX-License-Identifier: Apache-2.0
 *
 * secret.c - secrets that weir makes and only ever compares.
 *
 *      wb_k3v7c2qpx4    user of HTTP Basic        wa_k3v7c2qpx4    client of OAuth
 *      0Yq5v…           43 characters of base64url: 256 random bits
 *
 * The id finds the credential, the keyed hash decides.  The hash covers kind and id, so what was
 * stored of one credential says nothing of another, whatever is swapped in the store.
 *
 * Time does not tell an unknown id from a wrong secret: both are hashed once and compared once.
 */
#include "accounts/secret.h"

#include <openssl/crypto.h>

#include "core/base64.h"
#include "core/check.h"
#include "core/random.h"

enum { SECRET_BYTES = 32, HASHED_BYTES_MAX = 1024 };

static const struct kind {
    const char *prefix;
    const char *name;
} kinds[] = {
    [CREDENTIAL_BASIC] = {"wb_", "basic"},
    [CREDENTIAL_OAUTH] = {"wa_", "oauth"},
};

void secret_make_id(const char prefix[static 3], char id[static SECRET_ID_ROOM])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t bytes[SECRET_ID_CHARS - 3];

    _Static_assert(sizeof(alphabet) == 32 + 1, "five bits a character");
    random_bytes(bytes, sizeof(bytes));
    memcpy(id, prefix, 3);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        id[3 + i] = alphabet[bytes[i] & 31];
    }
    id[SECRET_ID_CHARS] = '\0';
}

enum err secret_base64url(struct slice bytes, struct buf *text)
{
    const size_t start = text->len;

    TRY(base64_encode(bytes, text));
    while (text->len > start && text->data[text->len - 1] == '=') {
        text->len--;
    }
    for (size_t i = start; i < text->len; i++) {
        if (text->data[i] == '+') {
            text->data[i] = '-';
        } else if (text->data[i] == '/') {
            text->data[i] = '_';
        }
    }
    return ERR_OK;
}

enum err secret_append(struct buf *text)
{
    uint8_t bytes[SECRET_BYTES];
    const size_t start = text->len;
    enum err err;

    random_bytes(bytes, sizeof(bytes));
    err = secret_base64url((struct slice){(const char *)bytes, sizeof(bytes)}, text);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    TRY(err);
    CHECK(text->len == start + SECRET_TEXT_CHARS);
    return ERR_OK;
}

/* HMAC(pepper, kind LF id LF secret).  False: longer than any that was issued. */
static bool hash_secret(const uint8_t pepper[static SEAL_KEY_BYTES], enum credential_kind kind,
                        struct slice id, struct slice secret, struct digest *hash)
{
    char text[HASHED_BYTES_MAX];
    int len;

    if (id.len > SECRET_ID_CHARS || secret.len > SECRET_TEXT_CHARS) {
        id = (struct slice){NULL, 0};
        secret = (struct slice){NULL, 0};
    }
    len = snprintf(text, sizeof(text), "%s\n%.*s\n%.*s", kinds[kind].name, SLICE_ARG(id),
                   SLICE_ARG(secret));
    CHECK(len > 0 && (size_t)len < sizeof(text));
    digest_hmac_sha256((struct slice){(const char *)pepper, SEAL_KEY_BYTES},
                       (struct slice){text, (size_t)len}, hash);
    OPENSSL_cleanse(text, sizeof(text));
    return id.data != NULL && secret.data != NULL;
}

enum err secret_issue(const uint8_t pepper[static SEAL_KEY_BYTES], enum credential_kind kind,
                      char id[static SECRET_ID_ROOM], struct buf *secret, struct digest *hash)
{
    const size_t start = secret->len;

    CHECK(kind == CREDENTIAL_BASIC || kind == CREDENTIAL_OAUTH);
    secret_make_id(kinds[kind].prefix, id);
    TRY(secret_append(secret));
    CHECK(hash_secret(pepper, kind, slice_of(id), slice_from(buf_slice(secret), start), hash));
    return ERR_OK;
}

enum err secret_verify(const struct directory *directory, enum credential_kind kind,
                       struct slice id, struct slice secret, uint64_t now_ms,
                       struct principal *principal)
{
    static const struct credential nobody = {.kind = CREDENTIAL_BASIC};
    const struct credential *credential = directory_credential(directory, id);
    const struct account *account;
    struct digest hash;
    bool is_equal;

    if (credential == NULL || credential->kind != kind) {
        credential = &nobody;
    }
    is_equal = hash_secret(directory->pepper, kind, id, secret, &hash);
    is_equal &= digest_equal(digest_slice(&hash), digest_slice(&credential->key_hash));
    account = directory_account(directory, credential->account_id);
    if (!is_equal || credential == &nobody || !directory_is_live(credential, account, now_ms)) {
        return ERR_BAD_CREDENTIAL;
    }
    *principal = (struct principal){.account = account, .credential = credential, .relays = true};
    return ERR_OK;
}
