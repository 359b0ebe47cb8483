/* SPDX-License-Identifier: Apache-2.0
 *
 * random.c - getrandom(2), a kilobyte at a time.
 *
 * A request id costs a copy instead of a system call.  The kernel's generator needs no seeding, no
 * lock and no clean-up, and what is handed out is wiped from the pool, so a later leak of memory
 * shows nothing that was given before.
 *
 * Threads: one pool per thread.  A forked child forgets the pool of the thread that forked, or both
 *          processes would draw the same bytes.
 */
#include "core/random.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "core/check.h"

enum { POOL_BYTES = 1024 };

static _Thread_local struct {
    uint8_t bytes[POOL_BYTES];
    size_t left; /* not yet handed out: the last `left` bytes */
} pool;

static pthread_once_t fork_guard_once = PTHREAD_ONCE_INIT;

static void forget_pool(void)
{
    explicit_bzero(pool.bytes, sizeof(pool.bytes));
    pool.left = 0;
}

static void guard_fork(void)
{
    CHECK(pthread_atfork(NULL, NULL, forget_pool) == 0);
}

static void ask_kernel(uint8_t *out, size_t len)
{
    while (len > 0) {
        const ssize_t got = getrandom(out, len, 0);

        CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            out += got;
            len -= (size_t)got;
        }
    }
}

void random_bytes(void *out, size_t len)
{
    uint8_t *from;

    if (len > POOL_BYTES / 4) {
        ask_kernel(out, len);
        return;
    }
    if (len > pool.left) {
        (void)pthread_once(&fork_guard_once, guard_fork);
        ask_kernel(pool.bytes, sizeof(pool.bytes));
        pool.left = sizeof(pool.bytes);
    }
    from = pool.bytes + sizeof(pool.bytes) - pool.left;
    if (len > 0) {
        memcpy(out, from, len);
        explicit_bzero(from, len);
    }
    pool.left -= len;
}

uint64_t random_u64(void)
{
    uint64_t word;

    random_bytes(&word, sizeof(word));
    return word;
}

void random_uuid(char out[static 36])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    size_t at = 0;

    random_bytes(bytes, sizeof(bytes));
    bytes[6] = (uint8_t)((bytes[6] & 0x0F) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80); /* the RFC 4122 variant */
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
}
