/* SPDX-License-Identifier: Apache-2.0
 *
 * digest_crc32c.c - CRC32C (Castagnoli, reflected polynomial 82F63B78), the sum over stored
 * records.
 *
 * x86-64 has an instruction for it since SSE4.2; whether this processor knows it is asked at run
 * time, so one binary serves all.  Elsewhere a table of 256 words takes one byte a step.
 *
 * Threads: the table is made once, under pthread_once().
 */
#include "core/digest.h"

#include <pthread.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "core/check.h"
#include "core/digest_internal.h"

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t byte = 0; byte < ARRAY_LEN(table); byte++) {
        uint32_t crc = byte;

        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        }
        table[byte] = crc;
    }
}

uint32_t digest_crc32c_by_table(uint32_t crc, struct slice bytes)
{
    CHECK(pthread_once(&table_once, make_table) == 0);
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++) {
        crc = crc >> 8 ^ table[(crc ^ (uint8_t)bytes.data[i]) & 0xFF];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, struct slice bytes)
{
    const char *at = bytes.data;
    size_t left = bytes.len;
    uint64_t sum = ~crc;

    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;

        memcpy(&word, at, 8);
        sum = _mm_crc32_u64(sum, word);
    }
    for (; left > 0; at++, left--) {
        sum = _mm_crc32_u8((uint32_t)sum, (uint8_t)*at);
    }
    return ~(uint32_t)sum;
}
#endif

uint32_t digest_crc32c(uint32_t crc, struct slice bytes)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return by_instruction(crc, bytes);
    }
#endif
    return digest_crc32c_by_table(crc, bytes);
}
