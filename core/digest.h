/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.h - SHA-256, HMAC, MD5, CRC32C, hex, and comparison in constant time.
 *
 * Over OpenSSL 3, whose implicit algorithm lookup costs a locked search per call: algorithms are
 * fetched once (digest_init) and contexts are kept per thread.
 */
#pragma once

#include "core/slice.h"

enum { DIGEST_BYTES = 32, DIGEST_HEX_CHARS = 64 };

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

/* SHA-256 of fields, each behind its length, so that no two lists give the same bytes. */
void digest_fields(const struct slice *fields, size_t count, struct digest *digest);
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
