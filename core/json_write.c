/* SPDX-License-Identifier: Apache-2.0
 *
 * json_write.c - JSON text, written piece by piece into a buf.
 *
 * The writer knows one thing about where it stands: whether a comma is due before the next piece.
 * Its caller knows the shape, and the text is proved by whoever reads it.
 *
 * Invariant: after the first error nothing more is written.
 * Memory:    none of its own; the buf is the caller's.
 */
#include "core/json_write.h"

#include "core/json_internal.h"
#include "core/utf8.h"

void json_write_begin(struct json_writer *writer, struct buf *out)
{
    *writer = (struct json_writer){.out = out};
}

enum err json_write_end(struct json_writer *writer)
{
    return writer->err;
}

static void put(struct json_writer *writer, struct slice bytes)
{
    if (writer->err == ERR_OK) {
        writer->err = buf_append(writer->out, bytes);
    }
}

/* One whole value or one opening bracket. */
static void put_value(struct json_writer *writer, struct slice bytes)
{
    if (writer->needs_comma) {
        put(writer, SLICE(","));
    }
    put(writer, bytes);
    writer->needs_comma = true;
}

static void open_container(struct json_writer *writer, struct slice bracket)
{
    put_value(writer, bracket);
    writer->needs_comma = false;
}

static void close_container(struct json_writer *writer, struct slice bracket)
{
    put(writer, bracket);
    writer->needs_comma = true;
}

void json_write_object_begin(struct json_writer *writer)
{
    open_container(writer, SLICE("{"));
}

void json_write_object_end(struct json_writer *writer)
{
    close_container(writer, SLICE("}"));
}

void json_write_array_begin(struct json_writer *writer)
{
    open_container(writer, SLICE("["));
}

void json_write_array_end(struct json_writer *writer)
{
    close_container(writer, SLICE("]"));
}

/* --- strings --- */

static void put_unit_escape(struct json_writer *writer, unsigned unit)
{
    static const char digits[] = "0123456789abcdef";
    const char escape[] = {'\\',
                           'u',
                           digits[unit >> 12 & 15],
                           digits[unit >> 8 & 15],
                           digits[unit >> 4 & 15],
                           digits[unit & 15]};

    put(writer, (struct slice){escape, sizeof(escape)});
}

/* A quote, a backslash or a control byte. */
static void put_escape(struct json_writer *writer, char byte)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *found = memchr(from, byte, sizeof(from) - 1);

    if (found == NULL) {
        put_unit_escape(writer, (uint8_t)byte);
    } else {
        const char escape[] = {'\\', to[found - from]};

        put(writer, (struct slice){escape, sizeof(escape)});
    }
}

/* Is a lone surrogate in its three-byte form at `at`? */
static bool is_surrogate(const char *at, const char *end)
{
    const uint8_t *bytes = (const uint8_t *)at;

    return end - at >= 3 && bytes[0] == 0xED && bytes[1] >= 0xA0 && bytes[1] <= 0xBF &&
           (bytes[2] & 0xC0) == 0x80;
}

/* One character past ASCII, or one broken byte; returns how many bytes it had. */
static size_t put_wide(struct json_writer *writer, const char *at, const char *end)
{
    const size_t len = utf8_len(at, end);

    if (len > 0) {
        put(writer, (struct slice){at, len});
        return len;
    }
    if (is_surrogate(at, end)) {
        put_unit_escape(writer, 0xD000u | ((uint8_t)at[1] & 0x3Fu) << 6 | ((uint8_t)at[2] & 0x3Fu));
        return 3;
    }
    put(writer, SLICE("\xEF\xBF\xBD")); /* U+FFFD */
    return 1;
}

static void put_string(struct json_writer *writer, struct slice text)
{
    const char *at = text.data;
    const char *end = slice_end(text);

    put(writer, SLICE("\""));
    while (at < end && writer->err == ERR_OK) {
        const char *run = at;

        at = json_skip_plain(at, end);
        put(writer, (struct slice){run, (size_t)(at - run)});
        if (at < end && (uint8_t)*at >= 0x80) {
            at += put_wide(writer, at, end);
        } else if (at < end) {
            put_escape(writer, *at);
            at++;
        }
    }
    put(writer, SLICE("\""));
}

void json_write_string(struct json_writer *writer, struct slice text)
{
    put_value(writer, SLICE("")); /* the comma */
    put_string(writer, text);
}

void json_write_key(struct json_writer *writer, struct slice key)
{
    json_write_string(writer, key);
    put(writer, SLICE(":"));
    writer->needs_comma = false;
}

/* --- the other scalars --- */

void json_write_u64(struct json_writer *writer, uint64_t value)
{
    char text[24];
    const int len = snprintf(text, sizeof(text), "%" PRIu64, value);

    put_value(writer, (struct slice){text, (size_t)len});
}

void json_write_i64(struct json_writer *writer, int64_t value)
{
    char text[24];
    const int len = snprintf(text, sizeof(text), "%" PRId64, value);

    put_value(writer, (struct slice){text, (size_t)len});
}

void json_write_bool(struct json_writer *writer, bool value)
{
    put_value(writer, value ? SLICE("true") : SLICE("false"));
}

void json_write_null(struct json_writer *writer)
{
    put_value(writer, SLICE("null"));
}

void json_write_raw(struct json_writer *writer, struct slice json)
{
    put_value(writer, json);
}

void json_write_key_string(struct json_writer *writer, struct slice key, struct slice text)
{
    json_write_key(writer, key);
    json_write_string(writer, text);
}

void json_write_key_u64(struct json_writer *writer, struct slice key, uint64_t value)
{
    json_write_key(writer, key);
    json_write_u64(writer, value);
}

void json_write_key_bool(struct json_writer *writer, struct slice key, bool value)
{
    json_write_key(writer, key);
    json_write_bool(writer, value);
}
