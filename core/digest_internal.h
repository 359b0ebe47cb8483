/* SPDX-License-Identifier: Apache-2.0
 *
 * digest_internal.h - the CRC32C that needs no help from the processor, for the test that compares.
 */
#pragma once

#include "core/slice.h"

uint32_t digest_crc32c_by_table(uint32_t crc, struct slice bytes);
