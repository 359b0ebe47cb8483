/* SPDX-License-Identifier: Apache-2.0
 *
 * moment.h - the only place that reads a clock, and the texts of time.
 *
 * Leaves take `now_ms` as an argument; those who drive them ask here.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

/* Wall clock, milliseconds since 1970. */
uint64_t moment_now_ms(void);
/* Monotonic clock, for intervals. */
uint64_t moment_steady_ms(void);
uint64_t moment_steady_us(void);

enum { MOMENT_ISO_CHARS = 20, MOMENT_AMZ_CHARS = 16 };

/* "2026-01-01T00:00:00Z", no NUL; for years 1970..9999. */
void moment_to_iso(uint64_t now_ms, char out[static MOMENT_ISO_CHARS]);
/* "20260101T000000Z", no NUL. */
void moment_to_amz(uint64_t now_ms, char out[static MOMENT_AMZ_CHARS]);
/* RFC 3339 with Z or offset, optional fraction, 1970..9999; ERR_BAD_VALUE otherwise. */
MUST_USE enum err moment_from_iso(struct slice text, uint64_t *ms);
/* Exactly "YYYYMMDDTHHMMSSZ". */
MUST_USE enum err moment_from_amz(struct slice text, uint64_t *ms);
/* "5m", "90s", "24h", "14d", "250ms" to milliseconds; ERR_BAD_VALUE otherwise. */
MUST_USE enum err moment_parse_span(struct slice text, uint64_t *ms);
