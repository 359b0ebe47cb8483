/* SPDX-License-Identifier: Apache-2.0
 *
 * bearer.c - short-lived tokens.
 *
 *      wt_wa_k3v7c2qpx4.111122223333.1764003600000.Jx0f…
 *         credential    account      until (ms)    base64url(HMAC(pepper, "bearer" LF what stands
 *                                                  before the last dot))
 *
 * Before the MAC has been checked not one field is read.  What it says was true when the token was
 * given; what counts is the directory of now, so the credential must still be there, be of a kind
 * that asks for tokens, belong to that account and be live.
 */
#include "accounts/bearer.h"

#include "accounts/secret.h"
#include "core/check.h"

#define PREFIX "wt_"

enum { MAC_ROOM = 64 };

static enum err append_mac(const uint8_t pepper[static SEAL_KEY_BYTES], struct slice text,
                           struct buf *out)
{
    char bytes[BEARER_CHARS_MAX + 8];
    const int len = snprintf(bytes, sizeof(bytes), "bearer\n%.*s", SLICE_ARG(text));
    struct digest mac;

    CHECK(len > 0 && (size_t)len < sizeof(bytes));
    digest_hmac_sha256((struct slice){(const char *)pepper, SEAL_KEY_BYTES},
                       (struct slice){bytes, (size_t)len}, &mac);
    return secret_base64url(digest_slice(&mac), out);
}

enum err bearer_write(const uint8_t pepper[static SEAL_KEY_BYTES], const struct bearer_claim *claim,
                      struct buf *token)
{
    const size_t start = token->len;
    struct buf mac;
    enum err err;

    if (claim->credential_id.len + claim->account_id.len > BEARER_CHARS_MAX - MAC_ROOM - 32) {
        return ERR_TOO_LARGE;
    }
    TRY(buf_printf(token, PREFIX "%.*s.%.*s.%" PRIu64, SLICE_ARG(claim->credential_id),
                   SLICE_ARG(claim->account_id), claim->expires_ms));
    buf_init(&mac, MAC_ROOM);
    err = append_mac(pepper, slice_from(buf_slice(token), start), &mac);
    err = err == ERR_OK ? buf_append_byte(token, '.') : err;
    err = err == ERR_OK ? buf_append(token, buf_slice(&mac)) : err;
    buf_clean_up(&mac);
    return err;
}

/* Did we write this?  Then `text` is what stands before the MAC. */
static bool is_genuine(const struct directory *directory, struct slice token, struct slice *text)
{
    struct buf mac;
    bool is_equal;

    if (token.len > BEARER_CHARS_MAX || token.len < SECRET_TEXT_CHARS + 1 ||
        token.data[token.len - SECRET_TEXT_CHARS - 1] != '.') {
        return false;
    }
    *text = slice_first(token, token.len - SECRET_TEXT_CHARS - 1);
    buf_init(&mac, MAC_ROOM);
    CHECK(append_mac(directory->pepper, *text, &mac) == ERR_OK);
    is_equal = digest_equal(buf_slice(&mac), slice_from(token, text->len + 1));
    buf_clean_up(&mac);
    return is_equal;
}

static bool asks_for_tokens(const struct credential *credential)
{
    return credential->kind == CREDENTIAL_OAUTH || credential->kind == CREDENTIAL_AWS_IDENTITY;
}

enum err bearer_verify(const struct directory *directory, struct slice token, uint64_t now_ms,
                       struct principal *principal)
{
    const struct credential *credential;
    const struct account *account;
    struct slice text;
    struct slice id;
    struct slice account_id;
    uint64_t expires_ms;

    if (!is_genuine(directory, token, &text) || !slice_has_prefix(text, SLICE(PREFIX))) {
        return ERR_NO_TOKEN;
    }
    text = slice_from(text, strlen(PREFIX));
    id = slice_cut(&text, '.');
    account_id = slice_cut(&text, '.');
    if (!slice_to_u64(text, &expires_ms)) {
        return ERR_NO_TOKEN;
    }
    credential = directory_credential(directory, id);
    if (credential == NULL || !asks_for_tokens(credential) ||
        !slice_eq(credential->account_id, account_id)) {
        return ERR_NO_TOKEN;
    }
    account = directory_account(directory, account_id);
    if (!directory_is_live(credential, account, now_ms)) {
        return ERR_NO_TOKEN;
    }
    if (now_ms >= expires_ms) {
        return ERR_EXPIRED_TOKEN;
    }
    *principal = (struct principal){
        .account = account,
        .credential = credential,
        .relays = credential->kind == CREDENTIAL_OAUTH || credential->is_forwarder,
    };
    return ERR_OK;
}
