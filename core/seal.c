/* SPDX-License-Identifier: Apache-2.0
 *
 * seal.c - AES-256-GCM with a random nonce.
 *
 *     sealed   [ nonce 12 | ciphertext, as long as the plain text | tag 16 ]
 *
 * The context (which account, which credential) goes in as additional data: a sealed secret copied
 * to another row does not open there.  Sealing happens when a secret is stored or loaded, not per
 * event, so each call makes its own context, and freeing it wipes the key schedule.
 *
 * Always EVP_*Update and EVP_*Final: EVP_Cipher() would skip the tag.
 */
#include "core/seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "core/check.h"
#include "core/random.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16 };
_Static_assert(SEAL_OVERHEAD_BYTES == NONCE_BYTES + TAG_BYTES, "the header tells the layout");

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes_256_gcm;

static void fetch(void)
{
    aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    CHECK(aes_256_gcm != NULL);
}

static EVP_CIPHER_CTX *context_new(const uint8_t *key, const uint8_t *nonce, bool is_sealing)
{
    EVP_CIPHER_CTX *context;

    CHECK(pthread_once(&fetch_once, fetch) == 0);
    context = EVP_CIPHER_CTX_new();
    CHECK(context != NULL);
    CHECK(EVP_CipherInit_ex2(context, aes_256_gcm, key, nonce, is_sealing, NULL) == 1);
    CHECK(EVP_CIPHER_CTX_get_iv_length(context) == NONCE_BYTES);
    return context;
}

/* Run `bytes` through; with `out` NULL they are the additional data. */
static void update(EVP_CIPHER_CTX *context, struct slice bytes, uint8_t *out)
{
    int len = 0;

    CHECK(bytes.len <= INT_MAX);
    if (bytes.len > 0) {
        CHECK(EVP_CipherUpdate(context, out, &len, (const uint8_t *)bytes.data, (int)bytes.len) ==
              1);
        CHECK((size_t)len == bytes.len);
    }
}

enum err seal_close(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                    struct slice plain, struct buf *out)
{
    uint8_t rest[EVP_MAX_BLOCK_LENGTH]; /* GCM leaves nothing for the end */
    EVP_CIPHER_CTX *cipher;
    uint8_t *nonce;
    uint8_t *text;
    char *room;
    int len = 0;

    CHECK(plain.len <= INT_MAX);
    TRY(buf_reserve(out, plain.len + SEAL_OVERHEAD_BYTES, &room));
    nonce = (uint8_t *)room;
    text = nonce + NONCE_BYTES;
    random_bytes(nonce, NONCE_BYTES);
    cipher = context_new(key, nonce, true);
    update(cipher, context, NULL);
    update(cipher, plain, text);
    CHECK(EVP_CipherFinal_ex(cipher, rest, &len) == 1);
    CHECK(len == 0);
    CHECK(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + plain.len) == 1);
    EVP_CIPHER_CTX_free(cipher);
    out->len += plain.len + SEAL_OVERHEAD_BYTES;
    return ERR_OK;
}

enum err seal_open(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                   struct slice sealed, struct buf *out)
{
    const size_t text_len =
        sealed.len >= SEAL_OVERHEAD_BYTES ? sealed.len - SEAL_OVERHEAD_BYTES : 0;
    const struct slice text = slice_first(slice_from(sealed, NONCE_BYTES), text_len);
    uint8_t tag[TAG_BYTES];
    uint8_t rest[EVP_MAX_BLOCK_LENGTH]; /* GCM leaves nothing for the end */
    EVP_CIPHER_CTX *cipher;
    bool is_ours;
    char *room;
    int len = 0;

    if (sealed.len < SEAL_OVERHEAD_BYTES || text_len > INT_MAX) {
        return ERR_BAD_CREDENTIAL;
    }
    TRY(buf_reserve(out, text_len, &room));
    memcpy(tag, text.data + text_len, TAG_BYTES);
    cipher = context_new(key, (const uint8_t *)sealed.data, false);
    update(cipher, context, NULL);
    update(cipher, text, (uint8_t *)room);
    CHECK(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1);
    is_ours = EVP_CipherFinal_ex(cipher, rest, &len) == 1;
    EVP_CIPHER_CTX_free(cipher);
    CHECK(len == 0);
    if (!is_ours) {
        OPENSSL_cleanse(room, text_len);
        return ERR_BAD_CREDENTIAL;
    }
    out->len += text_len;
    return ERR_OK;
}
