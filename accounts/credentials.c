/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.c - one set of AWS credentials: immutable, counted, wiped at the end.
 *
 * One allocation holds the struct and its texts, so that wiping reaches every byte that ever held
 * the secret.  Any thread may hold and release a reference.
 */
#include "accounts/credentials.h"

#include <openssl/crypto.h>

#include "accounts/sigv4.h"
#include "core/check.h"

static struct slice put(char **room, struct slice text)
{
    const struct slice copy = {*room, text.len};

    if (text.len > 0) {
        memcpy(*room, text.data, text.len);
    }
    *room += text.len;
    return copy;
}

static size_t text_bytes(const struct credentials *credentials)
{
    return credentials->access_key_id.len + credentials->secret_access_key.len +
           credentials->session_token.len + credentials->role_arn.len;
}

struct credentials *credentials_new(struct slice access_key_id, struct slice secret_access_key,
                                    struct slice session_token, uint64_t expires_ms,
                                    struct slice role_arn)
{
    struct credentials *credentials;
    char *room;

    CHECK(access_key_id.len > 0);
    CHECK(secret_access_key.len > 0);
    CHECK(secret_access_key.len <= SIGV4_SECRET_CHARS_MAX);
    credentials = xmalloc(sizeof(*credentials) + access_key_id.len + secret_access_key.len +
                          session_token.len + role_arn.len);
    room = (char *)(credentials + 1);
    *credentials = (struct credentials){.expires_ms = expires_ms};
    atomic_store(&credentials->references, 1);
    credentials->access_key_id = put(&room, access_key_id);
    credentials->secret_access_key = put(&room, secret_access_key);
    credentials->session_token = put(&room, session_token);
    credentials->role_arn = put(&room, role_arn);
    return credentials;
}

struct credentials *credentials_acquire(struct credentials *credentials)
{
    const uint32_t before =
        atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);

    CHECK(before > 0);
    return credentials;
}

void credentials_release(struct credentials *credentials)
{
    if (credentials == NULL) {
        return;
    }
    if (atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) == 1) {
        OPENSSL_cleanse(credentials, sizeof(*credentials) + text_bytes(credentials));
        xfree(credentials);
    }
}
