/* SPDX-License-Identifier: Apache-2.0
 *
 * map_internal.h - the hash without its secret, for the test of its vectors.
 */
#pragma once

#include "core/slice.h"

/* SipHash-1-3 of `bytes` under the key (k0, k1). */
uint64_t map_siphash(uint64_t k0, uint64_t k1, struct slice bytes);
