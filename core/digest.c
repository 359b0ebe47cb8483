/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.c - hashing over OpenSSL 3, without its costs per call.
 *
 * Naming an algorithm makes OpenSSL search its providers under a lock; making a context makes it
 * allocate.  So algorithms are fetched once per process, and contexts are made once per thread and
 * kept until the thread ends.
 *
 * Threads: everything a call touches belongs to its thread, except the fetched algorithms, which
 *          nobody changes.  A pthread key frees the contexts of a thread that ends; those of the
 *          main thread live as long as the process.
 * Errors:  none.  With the parameters used here OpenSSL fails only without memory or without its
 *          own algorithms, and then weir cannot run.
 */
#include "core/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "core/check.h"

enum { MD5_BYTES = 16 };

static const char hex_digits[] = "0123456789abcdef";

/* --- fetched once --- */

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MD *md5;
static EVP_MAC *hmac;
static pthread_key_t thread_key;

/* What one thread keeps. */
struct contexts {
    EVP_MD_CTX *hash;
    EVP_MAC_CTX *hmac_sha256;
};

static _Thread_local struct contexts *thread_contexts;

static void free_contexts(void *pointer)
{
    struct contexts *contexts = pointer;

    EVP_MD_CTX_free(contexts->hash);
    EVP_MAC_CTX_free(contexts->hmac_sha256);
    free(contexts);
    thread_contexts = NULL;
}

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(sha256 != NULL);
    md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* absent under a FIPS provider: checked when asked */
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    CHECK(hmac != NULL);
    CHECK(pthread_key_create(&thread_key, free_contexts) == 0);
}

void digest_init(void)
{
    CHECK(pthread_once(&fetch_once, fetch) == 0);
}

static struct contexts *contexts_new(void)
{
    struct contexts *contexts = xcalloc(1, sizeof(*contexts));
    char name[] = "SHA256"; /* OpenSSL's parameter takes no constant */
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };

    digest_init();
    contexts->hash = EVP_MD_CTX_new();
    CHECK(contexts->hash != NULL);
    contexts->hmac_sha256 = EVP_MAC_CTX_new(hmac);
    CHECK(contexts->hmac_sha256 != NULL);
    CHECK(EVP_MAC_CTX_set_params(contexts->hmac_sha256, parameters) == 1);
    CHECK(pthread_setspecific(thread_key, contexts) == 0);
    return contexts;
}

static struct contexts *contexts_of_thread(void)
{
    if (thread_contexts == NULL) {
        thread_contexts = contexts_new();
    }
    return thread_contexts;
}

/* --- SHA-256, HMAC, MD5 --- */

static void hash(const EVP_MD *algorithm, struct slice bytes, uint8_t *out, size_t out_len)
{
    EVP_MD_CTX *context = contexts_of_thread()->hash;
    unsigned len = 0;

    CHECK(EVP_DigestInit_ex2(context, algorithm, NULL) == 1);
    CHECK(EVP_DigestUpdate(context, bytes.data, bytes.len) == 1);
    CHECK(EVP_DigestFinal_ex(context, out, &len) == 1);
    CHECK(len == out_len);
}

void digest_sha256(struct slice bytes, struct digest *digest)
{
    digest_init();
    hash(sha256, bytes, digest->bytes, DIGEST_BYTES);
}

void digest_stream_begin(struct digest_stream *stream)
{
    digest_init();
    if (stream->context == NULL) {
        stream->context = EVP_MD_CTX_new();
        CHECK(stream->context != NULL);
    }
    CHECK(EVP_DigestInit_ex2(stream->context, sha256, NULL) == 1);
}

void digest_stream_add(struct digest_stream *stream, struct slice bytes)
{
    CHECK(stream->context != NULL);
    CHECK(EVP_DigestUpdate(stream->context, bytes.data, bytes.len) == 1);
}

void digest_stream_end(struct digest_stream *stream, struct digest *digest)
{
    unsigned len = 0;

    CHECK(stream->context != NULL);
    CHECK(EVP_DigestFinal_ex(stream->context, digest->bytes, &len) == 1);
    CHECK(len == DIGEST_BYTES);
}

void digest_stream_clean_up(struct digest_stream *stream)
{
    EVP_MD_CTX_free(stream->context);
    stream->context = NULL;
}

void digest_hmac_sha256(struct slice key, struct slice bytes, struct digest *digest)
{
    EVP_MAC_CTX *context = contexts_of_thread()->hmac_sha256;
    /* a NULL key would mean the key of the last call */
    const char *key_data = key.len > 0 ? key.data : "";
    size_t len = 0;

    CHECK(EVP_MAC_init(context, (const uint8_t *)key_data, key.len, NULL) == 1);
    CHECK(EVP_MAC_update(context, (const uint8_t *)bytes.data, bytes.len) == 1);
    CHECK(EVP_MAC_final(context, digest->bytes, &len, DIGEST_BYTES) == 1);
    CHECK(len == DIGEST_BYTES);
}

static void to_hex(const uint8_t *bytes, size_t len, char *hex)
{
    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = hex_digits[bytes[i] >> 4];
        hex[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
}

void digest_md5_hex(struct slice bytes, char hex[static 32])
{
    uint8_t sum[MD5_BYTES];

    digest_init();
    CHECK(md5 != NULL);
    hash(md5, bytes, sum, MD5_BYTES);
    to_hex(sum, MD5_BYTES, hex);
}

/* --- views and comparison --- */

struct slice digest_slice(const struct digest *digest)
{
    return (struct slice){(const char *)digest->bytes, DIGEST_BYTES};
}

void digest_hex(const struct digest *digest, char hex[static DIGEST_HEX_CHARS])
{
    to_hex(digest->bytes, DIGEST_BYTES, hex);
}

static int hex_value(char digit)
{
    const char lower = (char)(digit | 0x20);

    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool digest_from_hex(struct slice hex, uint8_t *out, size_t out_len)
{
    if (hex.len != out_len * 2) {
        return false;
    }
    for (size_t i = 0; i < out_len; i++) {
        const int high = hex_value(hex.data[2 * i]);
        const int low = hex_value(hex.data[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool digest_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}
