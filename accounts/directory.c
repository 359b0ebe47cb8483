/* SPDX-License-Identifier: Apache-2.0
 *
 * directory.c - the accounts and credentials of one moment.
 *
 * Filled by one thread, then published and never changed again, so readers take no lock.  A new
 * catalog makes a new directory; the old one goes when its last snapshot does.
 *
 * Invariant: the header list names each api key header once, in lower case.
 * Memory:    accounts and credentials are in the arena (theirs or the caller's, which must live as
 *            long); SigV4 secrets are copied into it here and wiped before it is freed.
 */
#include "accounts/directory.h"

#include <openssl/crypto.h>

#include "core/check.h"

void directory_derive_pepper(const uint8_t seal_key[static SEAL_KEY_BYTES],
                             uint8_t pepper[static SEAL_KEY_BYTES])
{
    struct digest derived;

    digest_hmac_sha256((struct slice){(const char *)seal_key, SEAL_KEY_BYTES},
                       SLICE("weir api key pepper"), &derived);
    _Static_assert((int)DIGEST_BYTES == (int)SEAL_KEY_BYTES, "a pepper is one digest");
    memcpy(pepper, derived.bytes, SEAL_KEY_BYTES);
}

struct directory *directory_new(void)
{
    struct directory *directory = xcalloc(1, sizeof(*directory));

    atomic_store(&directory->references, 1);
    arena_init(&directory->arena);
    map_init(&directory->accounts);
    map_init(&directory->credentials);
    map_init(&directory->api_destinations);
    return directory;
}

struct directory *directory_acquire(struct directory *directory)
{
    const uint32_t before =
        atomic_fetch_add_explicit(&directory->references, 1, memory_order_relaxed);

    CHECK(before > 0);
    return directory;
}

/* A secret in our own arena is writable, whatever its slice says. */
static void wipe(struct slice secret)
{
    if (secret.len > 0) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the way to take const off without -Wcast-qual
         */
        OPENSSL_cleanse((void *)(uintptr_t)secret.data, secret.len);
    }
}

static void destroy(struct directory *directory)
{
    const struct credential *credential;
    struct api_destination *destination;
    size_t cursor = 0;

    while ((credential = map_next(&directory->credentials, &cursor)) != NULL) {
        wipe(credential->secret);
    }
    cursor = 0;
    while ((destination = map_next(&directory->api_destinations, &cursor)) != NULL) {
        api_destination_release(destination);
    }
    map_clean_up(&directory->api_destinations);
    OPENSSL_cleanse(directory->pepper, sizeof(directory->pepper));
    map_clean_up(&directory->credentials);
    map_clean_up(&directory->accounts);
    arena_clean_up(&directory->arena);
    xfree(directory);
}

void directory_release(struct directory *directory)
{
    if (directory == NULL) {
        return;
    }
    if (atomic_fetch_sub_explicit(&directory->references, 1, memory_order_acq_rel) == 1) {
        destroy(directory);
    }
}

void directory_add_account(struct directory *directory, struct account *account)
{
    CHECK(account->limiter != NULL);
    CHECK(account->id.len == ACCOUNT_ID_CHARS);
    CHECK(account->source_count == 0 || account->has_sources);
    CHECK(map_put(&directory->accounts, account->id, account) == NULL);
}

/* Few names exist (one, as a rule), and lists of that length are searched faster than a map. */
static void add_header_name(struct directory *directory, struct slice name)
{
    const size_t count = directory->api_key_header_count;
    struct slice *names;

    CHECK(name.len > 0);
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(directory->api_key_headers[i], name)) {
            return;
        }
    }
    names = ARENA_ARRAY(&directory->arena, struct slice, count + 1);
    if (count > 0) {
        memcpy(names, directory->api_key_headers, count * sizeof(*names));
    }
    names[count] = name;
    directory->api_key_headers = names;
    directory->api_key_header_count = count + 1;
}

void directory_add_credential(struct directory *directory, struct credential *credential)
{
    CHECK(credential->id.len > 0);
    if (credential->kind == CREDENTIAL_API_KEY) {
        add_header_name(directory, credential->header);
    } else if (credential->kind == CREDENTIAL_SIGV4) {
        CHECK(credential->secret.len > 0);
        credential->secret = arena_copy(&directory->arena, credential->secret);
    }
    CHECK(map_put(&directory->credentials, credential->id, credential) == NULL);
}

void directory_add_api_destination(struct directory *directory, struct api_destination *destination)
{
    CHECK(map_put(&directory->api_destinations, destination->name_arn, destination) == NULL);
}

struct api_destination *directory_api_destination(const struct directory *directory,
                                                  struct slice arn)
{
    struct api_destination *found = map_get(&directory->api_destinations, arn);
    struct slice name = arn;

    if (found != NULL) {
        return found;
    }
    while (name.len > 0 && name.data[name.len - 1] != '/') {
        name.len--;
    }
    found = name.len > 0 ? map_get(&directory->api_destinations, slice_first(name, name.len - 1))
                         : NULL;
    return found != NULL && slice_eq(found->arn, arn) ? found : NULL;
}

const struct account *directory_account(const struct directory *directory, struct slice id)
{
    return map_get(&directory->accounts, id);
}

const struct credential *directory_credential(const struct directory *directory, struct slice id)
{
    return map_get(&directory->credentials, id);
}

bool directory_is_live(const struct credential *credential, const struct account *account,
                       uint64_t now_ms)
{
    return account != NULL && !account->is_suspended &&
           (credential->expires_ms == 0 || now_ms < credential->expires_ms);
}
