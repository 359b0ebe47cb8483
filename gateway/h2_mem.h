/* SPDX-License-Identifier: Apache-2.0
 *
 * h2_mem.h - memory for nghttp2: small sizes from free lists, everything counted, never NULL.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "core/base.h"

enum { H2_MEM_CLASS_COUNT = 8 }; /* 64 bytes to 8 KiB */

struct h2_mem_block;

struct h2_mem {
    nghttp2_mem mem; /* give this to nghttp2 */
    size_t used_bytes;
    size_t spare_bytes;
    struct h2_mem_block *spare[H2_MEM_CLASS_COUNT];
};

/* `mem` must not move afterwards. */
void h2_mem_init(struct h2_mem *mem);
/* Everything must have been given back. */
void h2_mem_clean_up(struct h2_mem *mem);
