/* SPDX-License-Identifier: Apache-2.0
 *
 * random.h - unpredictable bytes from the kernel-seeded generator, pooled per thread.
 */
#pragma once

#include "core/base.h"

/* Fill `out`.  Never fails: a process without randomness aborts. */
void random_bytes(void *out, size_t len);
/* A version 4 UUID: 36 characters, no NUL. */
void random_uuid(char out[static 36]);
uint64_t random_u64(void);
