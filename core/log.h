/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - one JSON line per fact on standard error: a constant name and typed fields.
 *
 * Secrets have no field type.  Text from outside is escaped to ASCII and cut at 256 bytes, so no
 * tenant can forge a line.  Lines are written whole, from any thread.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_field_type { LOG_FIELD_SLICE, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_ERR };

struct log_field {
    const char *name;
    enum log_field_type type;
    struct slice text;
    uint64_t number;
    enum err err;
};

#define LOG_SLICE(field, value)                                                                    \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = (field), .type = LOG_FIELD_SLICE, .text = (value)                                  \
    }
#define LOG_TEXT(field, value) LOG_SLICE(field, slice_of(value))
#define LOG_U64(field, value)                                                                      \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = (field), .type = LOG_FIELD_U64, .number = (uint64_t)(value)                        \
    }
#define LOG_I64(field, value)                                                                      \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = (field), .type = LOG_FIELD_I64, .number = (uint64_t)(int64_t)(value)               \
    }
#define LOG_ERR(value)                                                                             \
    (struct log_field)                                                                             \
    {                                                                                              \
        .name = "err", .type = LOG_FIELD_ERR, .err = (value)                                       \
    }

/* Lines below `level` are not written. The default is LOG_INFO. */
void log_set_level(enum log_level level);
void log_write(enum log_level level, const char *name, const struct log_field *fields,
               size_t count);

/* log_info("listener.open", LOG_SLICE("address", address)); at least one field. */
#define LOG_FIELDS(...)                                                                            \
    (const struct log_field[]){__VA_ARGS__},                                                       \
        sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)
#define log_debug(name, ...) log_write(LOG_DEBUG, name, LOG_FIELDS(__VA_ARGS__))
#define log_info(name, ...)  log_write(LOG_INFO, name, LOG_FIELDS(__VA_ARGS__))
#define log_warn(name, ...)  log_write(LOG_WARN, name, LOG_FIELDS(__VA_ARGS__))
#define log_error(name, ...) log_write(LOG_ERROR, name, LOG_FIELDS(__VA_ARGS__))
