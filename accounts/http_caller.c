/* SPDX-License-Identifier: Apache-2.0
 *
 * http_caller.c - which of the ways to say who one is did this request take, and is it true?
 *
 * One request, one credential.  Where a request brings two of ours, two readers could each believe
 * another one, so it is refused even if both are good.  A header that some account chose for its
 * keys may carry anything in the requests of others; only what looks like a key counts there.
 */
#include "accounts/http_caller.h"

#include "accounts/api_key.h"
#include "accounts/bearer.h"
#include "accounts/secret.h"
#include "core/base64.h"

/* What follows "Basic " or "Bearer "; schemes ignore case. */
static bool has_scheme(struct slice value, struct slice scheme, struct slice *rest)
{
    *rest = slice_trim(value);
    return slice_eq_ignore_case(slice_cut(rest, ' '), scheme) && rest->len > 0;
}

enum err http_caller_read_basic(struct slice authorization, struct buf *text, struct slice *user,
                                struct slice *password)
{
    struct slice rest;

    if (!has_scheme(authorization, SLICE("Basic"), &rest) ||
        base64_decode(slice_trim(rest), text) != ERR_OK) {
        return ERR_BAD_VALUE;
    }
    rest = buf_slice(text);
    *user = slice_cut(&rest, ':');
    *password = rest;
    return rest.data != NULL ? ERR_OK : ERR_BAD_VALUE;
}

static enum err verify_basic(const struct directory *directory, struct slice authorization,
                             uint64_t now_ms, struct principal *principal)
{
    struct buf text;
    struct slice user = {NULL, 0};
    struct slice password = {NULL, 0};
    enum err err;

    buf_init(&text, HTTP_CALLER_BASIC_BYTES_MAX);
    /* What cannot be read is a wrong password of nobody: the same work, the same answer. */
    if (http_caller_read_basic(authorization, &text, &user, &password) != ERR_OK) {
        user = (struct slice){NULL, 0};
        password = (struct slice){NULL, 0};
    }
    err = secret_verify(directory, CREDENTIAL_BASIC, user, password, now_ms, principal);
    buf_wipe(&text);
    return err;
}

void http_caller_pin_id(const struct digest *pin, char id[static HTTP_CALLER_PIN_ID_CHARS + 1])
{
    memcpy(id, "wc_", 3);
    digest_hex(pin, id + 3);
    id[HTTP_CALLER_PIN_ID_CHARS] = '\0';
}

/* The handshake proved that the caller has the key, and an authority of ours vouched for it. */
static enum err verify_certificate(const struct directory *directory,
                                   const struct tls_caller *certificate, uint64_t now_ms,
                                   struct principal *principal)
{
    char id[HTTP_CALLER_PIN_ID_CHARS + 1];
    const struct credential *credential;
    const struct account *account;

    http_caller_pin_id(&certificate->pin, id);
    credential = directory_credential(directory, slice_of(id));
    if (credential == NULL || credential->kind != CREDENTIAL_CERTIFICATE ||
        now_ms >= certificate->until_ms) {
        return ERR_BAD_CREDENTIAL;
    }
    account = directory_account(directory, credential->account_id);
    if (!directory_is_live(credential, account, now_ms)) {
        return ERR_BAD_CREDENTIAL;
    }
    *principal = (struct principal){.account = account, .credential = credential, .relays = true};
    return ERR_OK;
}

enum err http_caller_verify(const struct directory *directory,
                            const struct http_caller_request *request, struct principal *principal)
{
    const struct header *authorization = NULL;
    struct slice rest;

    for (size_t i = 0; i < request->header_count; i++) {
        if (slice_eq_ignore_case(request->headers[i].name, SLICE("authorization"))) {
            if (authorization != NULL) {
                return ERR_BAD_CREDENTIAL;
            }
            authorization = &request->headers[i];
        }
    }
    if (authorization == NULL && request->certificate != NULL &&
        !api_key_is_present(directory, request->headers, request->header_count)) {
        return verify_certificate(directory, request->certificate, request->now_ms, principal);
    }
    if (authorization == NULL) {
        return api_key_verify(directory, request->headers, request->header_count, request->now_ms,
                              principal);
    }
    if (api_key_is_present(directory, request->headers, request->header_count)) {
        return ERR_BAD_CREDENTIAL;
    }
    if (has_scheme(authorization->value, SLICE("Bearer"), &rest)) {
        return bearer_verify(directory, slice_trim(rest), request->now_ms, principal);
    }
    return verify_basic(directory, authorization->value, request->now_ms, principal);
}
