/* SPDX-License-Identifier: Apache-2.0
 *
 * json_internal.h - what the parts of JSON share.
 */
#pragma once

#include "core/base.h"

/* Skip the bytes that stand in a JSON string as they are and are ASCII: stops at a quote, a
 * backslash, a control byte, a byte of 0x80 and up, or `end`. */
const char *json_skip_plain(const char *at, const char *end);
/* The value of a hex digit of any case, or -1. */
int json_hex_digit(char byte);
