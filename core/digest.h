/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.h - SHA-256, HMAC, sealing, random bytes and comparison in constant time.
 *
 * Over OpenSSL 3, whose implicit algorithm lookup costs a locked search per call: algorithms are
 * fetched once (digest_init) and contexts are kept per thread.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX_CHARS = 64, SEAL_KEY_BYTES = 32 };

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

/* Fetch the algorithms.  Once, before any thread starts; calling again is harmless. */
void digest_init(void);

void digest_sha256(struct slice bytes, struct digest *digest);
/* SHA-256 in pieces. The context is the caller's; begin again to reuse; clean_up frees. */
struct digest_stream {
    void *context;
};
void digest_stream_begin(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, struct slice bytes);
void digest_stream_end(struct digest_stream *stream, struct digest *digest);
void digest_stream_clean_up(struct digest_stream *stream);

void digest_hmac_sha256(struct slice key, struct slice bytes, struct digest *digest);
void digest_md5_hex(struct slice bytes, char hex[static 32]);
/* CRC32C (Castagnoli) continuing from `crc`; start with 0. */
uint32_t digest_crc32c(uint32_t crc, struct slice bytes);

struct slice digest_slice(const struct digest *digest);
/* Lower-case hex, no NUL. */
void digest_hex(const struct digest *digest, char hex[static DIGEST_HEX_CHARS]);
/* Hex of any case to bytes; false unless exactly `out_len` bytes. */
bool digest_from_hex(struct slice hex, uint8_t *out, size_t out_len);
/* Equal? Time depends on the lengths only. */
bool digest_equal(struct slice a, struct slice b);

/* Unpredictable bytes from the kernel-seeded generator, pooled per thread. */
void random_bytes(void *out, size_t len);
/* A version 4 UUID: 36 characters, no NUL. */
void random_uuid(char out[static 36]);
uint64_t random_u64(void);

/* AES-256-GCM: `out` gets nonce (12) + ciphertext + tag (16).  `context` is bound but not stored:
 * opening under another context fails.  Append to `out`. */
MUST_USE enum err seal_close(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                             struct slice plain, struct buf *out);
/* ERR_BAD_CREDENTIAL when key, context or bytes are not those that were sealed. */
MUST_USE enum err seal_open(const uint8_t key[static SEAL_KEY_BYTES], struct slice context,
                            struct slice sealed, struct buf *out);

/* base64 (standard, padded). Decoding is strict; ERR_BAD_VALUE on anything else. */
MUST_USE enum err base64_encode(struct slice bytes, struct buf *out);
MUST_USE enum err base64_decode(struct slice text, struct buf *out);
