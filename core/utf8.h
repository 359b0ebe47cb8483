/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.h - one character of UTF-8 at a time.
 */
#pragma once

#include "core/base.h"

enum { UTF8_MAX_BYTES = 4 };

/* How many bytes the well-formed character at `at` has: 1..4, or 0 if the bytes before `end` begin
 * no well-formed one (Unicode table 3-7: no overlong form, no surrogate, nothing past U+10FFFF). */
size_t utf8_len(const char *at, const char *end);
/* Write the bytes of `point` and return how many.  A surrogate gets its three-byte (WTF-8) form,
 * which is not UTF-8 but equals itself only. */
size_t utf8_encode(uint32_t point, char out[static UTF8_MAX_BYTES]);
/* Make a NUL-terminated text UTF-8, in its own room: a byte that begins no well-formed character,
 * as after a cut inside of one, becomes '?'. */
void utf8_mend(char *text);
