/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.c - hashing over OpenSSL 3, without its costs per call.
 *
 * Naming an algorithm makes OpenSSL search its providers under a lock; making a context makes it
 * allocate.  So algorithms are fetched once per process, and one context is made per thread and
 * kept until the thread ends.
 *
 * Threads: everything a call touches belongs to its thread, except the fetched algorithms, which
 *          nobody changes.  A pthread key frees the context of a thread that ends; that of the main
 *          thread lives as long as the process.
 * Errors:  none.  With the parameters used here OpenSSL fails only without memory or without its
 *          own algorithms, and then weir cannot run.
 */
#include "core/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "core/check.h"

enum { MD5_BYTES = 16, BLOCK_BYTES = 64 /* of SHA-256 */ };

static const char hex_digits[] = "0123456789abcdef";

/* --- fetched once --- */

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;
static EVP_MD *md5;
static pthread_key_t thread_key;

/* What one thread keeps. */
static _Thread_local EVP_MD_CTX *thread_context;

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
    thread_context = NULL;
}

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(sha256 != NULL);
    md5 = EVP_MD_fetch(NULL, "MD5", NULL); /* absent under a FIPS provider: checked when asked */
    CHECK(pthread_key_create(&thread_key, free_context) == 0);
}

void digest_init(void)
{
    CHECK(pthread_once(&fetch_once, fetch) == 0);
}

static EVP_MD_CTX *context_of_thread(void)
{
    if (thread_context == NULL) {
        digest_init();
        thread_context = EVP_MD_CTX_new();
        CHECK(thread_context != NULL);
        CHECK(pthread_setspecific(thread_key, thread_context) == 0);
    }
    return thread_context;
}

/* --- SHA-256, HMAC, MD5 --- */

/* The sum of two pieces, one after the other. */
static void hash(const EVP_MD *algorithm, struct slice first, struct slice second, uint8_t *out,
                 size_t out_len)
{
    EVP_MD_CTX *context = context_of_thread();
    unsigned len = 0;

    CHECK(EVP_DigestInit_ex2(context, algorithm, NULL) == 1);
    CHECK(EVP_DigestUpdate(context, first.data, first.len) == 1);
    CHECK(EVP_DigestUpdate(context, second.data, second.len) == 1);
    CHECK(EVP_DigestFinal_ex(context, out, &len) == 1);
    CHECK(len == out_len);
}

void digest_sha256(struct slice bytes, struct digest *digest)
{
    digest_init();
    hash(sha256, bytes, SLICE(""), digest->bytes, DIGEST_BYTES);
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

/* RFC 2104 in full: OpenSSL's own copies two contexts through the allocator for each sum, and takes
 * twice the time of the hashing. */
void digest_hmac_sha256(struct slice key, struct slice bytes, struct digest *digest)
{
    uint8_t block[BLOCK_BYTES] = {0};
    const struct slice pad = {(const char *)block, BLOCK_BYTES};
    struct digest inner;

    digest_init();
    if (key.len > BLOCK_BYTES) {
        hash(sha256, key, SLICE(""), block, DIGEST_BYTES);
    } else if (key.len > 0) {
        memcpy(block, key.data, key.len);
    }
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] ^= 0x36;
    }
    hash(sha256, pad, bytes, inner.bytes, DIGEST_BYTES);
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] ^= 0x36 ^ 0x5C;
    }
    hash(sha256, pad, digest_slice(&inner), digest->bytes, DIGEST_BYTES);
    OPENSSL_cleanse(block, sizeof(block));
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
    hash(md5, bytes, SLICE(""), sum, MD5_BYTES);
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

void digest_fields(const struct slice *fields, size_t count, struct digest *digest)
{
    struct digest_stream stream = {0};

    digest_stream_begin(&stream);
    for (size_t i = 0; i < count; i++) {
        const uint64_t len = fields[i].len;

        digest_stream_add(&stream, (struct slice){(const char *)&len, sizeof(len)});
        digest_stream_add(&stream, fields[i]);
    }
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
}
