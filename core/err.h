/* SPDX-License-Identifier: Apache-2.0
 *
 * err.h - operating errors are values, and their class says what to do.
 *
 * Each error is one line of err.def: name, class, HTTP status, AWS code, text for a person.
 * Callers switch on the class; only the front door cares about status and code.
 */
#pragma once

#include "core/base.h"

enum err {
    ERR_OK = 0,
#define ERR(name, class, status, code, text) ERR_##name,
#include "core/err.def"
#undef ERR
    ERR_COUNT
};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_CALLER, /* the client's fault: answer 4xx, do not retry */
    ERR_CLASS_BUSY,   /* nobody's fault: say "slow down", try later */
    ERR_CLASS_REMOTE, /* the target's fault: retry with backoff */
    ERR_CLASS_LOCAL,  /* ours: answer 5xx, count, log */
};

/* Leave the function with the error of `expression`, if it has one. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        const enum err try_err = (expression);                                                     \
        if (try_err != ERR_OK) {                                                                   \
            return try_err;                                                                        \
        }                                                                                          \
    } while (0)

/* A constant string such as "TOO_LARGE"; "OK" for ERR_OK. */
const char *err_name(enum err err);
enum err_class err_class(enum err err);
/* The HTTP status that a caller sees; 200 for ERR_OK. */
unsigned err_status(enum err err);
/* The error code in EventBridge's spelling, such as "ValidationException"; "" for ERR_OK. */
const char *err_code(enum err err);
/* One sentence for a person, without a full stop. */
const char *err_text(enum err err);

/* Where a person will read the reason (configuration, patterns, catalog): a bounded text. */
struct err_why {
    char text[4096];
};

/* Set `why` (may be NULL) from a format; cut to fit, never overflows, always UTF-8.  Returns `err`,
 * so that `return err_because(ERR_BAD_CONFIG, why, "…", …)` reads as one step. */
enum err err_because(enum err err, struct err_why *why, const char *format, ...) PRINTF_LIKE(3, 4);
