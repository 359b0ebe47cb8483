/* SPDX-License-Identifier: Apache-2.0
 *
 * log.c - one JSON object per line, handed to the kernel whole.
 *
 *     {"time":"2026-01-01T00:00:00.000Z","level":"warn","name":"delivery.retry","target":"arn:…"}
 *
 * A line is built on the stack and written with one write(2), so lines of several threads never
 * mix and a line that was logged before a crash is in the file.  Text from outside is cut at 256
 * bytes and written in ASCII only: no tenant can forge a line or move a terminal's cursor.
 *
 * Invariant: whatever is given, the line is valid JSON; fields that do not fit are left out and the
 *            line says "cut":true.
 * Threads:   any; the level is the only shared state.
 */
#include "core/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/check.h"
#include "core/moment.h"
#include "core/utf8.h"

enum { LINE_MAX_BYTES = 8192, TEXT_MAX_BYTES = 256 };

/* Room that is always left for the end of the line. */
static const char cut_end[] = ",\"cut\":true}\n";

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
    bool is_full; /* something did not fit */
};

static atomic_uint level_min = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_min, (unsigned)level, memory_order_relaxed);
}

/* --- a line, piece by piece --- */

static void put(struct line *line, struct slice bytes)
{
    if (bytes.len > LINE_MAX_BYTES - sizeof(cut_end) - line->len) {
        line->is_full = true;
    }
    if (!line->is_full) {
        memcpy(line->bytes + line->len, bytes.data, bytes.len);
        line->len += bytes.len;
    }
}

static void put_number(struct line *line, bool is_signed, uint64_t number)
{
    char text[24];
    const int len = is_signed ? snprintf(text, sizeof(text), "%" PRId64, (int64_t)number)
                              : snprintf(text, sizeof(text), "%" PRIu64, number);

    put(line, (struct slice){text, (size_t)len});
}

static void put_unit(struct line *line, unsigned unit)
{
    char text[8];
    const int len = snprintf(text, sizeof(text), "\\u%04x", unit);

    put(line, (struct slice){text, (size_t)len});
}

static uint32_t point_of(const char *at, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)at;
    uint32_t point = len == 1 ? bytes[0] : bytes[0] & (0x7Fu >> len);

    for (size_t i = 1; i < len; i++) {
        point = point << 6 | (bytes[i] & 0x3Fu);
    }
    return point;
}

/* One character of a string: printable ASCII as it is, all else as escapes. */
static void put_point(struct line *line, uint32_t point)
{
    const char byte = (char)point;

    if (point == '"' || point == '\\') {
        put(line, SLICE("\\"));
        put(line, (struct slice){&byte, 1});
    } else if (point >= 0x20 && point < 0x7F) {
        put(line, (struct slice){&byte, 1});
    } else if (point < 0x10000) {
        put_unit(line, point);
    } else {
        put_unit(line, 0xD800 + ((point - 0x10000) >> 10));
        put_unit(line, 0xDC00 + ((point - 0x10000) & 0x3FF));
    }
}

static void put_string(struct line *line, struct slice text)
{
    const char *at = text.data;
    const char *end = slice_end(slice_first(text, TEXT_MAX_BYTES));

    put(line, SLICE("\""));
    while (at < end) {
        const size_t len = utf8_len(at, end);

        put_point(line, len > 0 ? point_of(at, len) : 0xFFFD);
        at += MAX_OF(len, 1);
    }
    put(line, SLICE("\""));
}

static void put_value(struct line *line, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_SLICE:
        put_string(line, field->text);
        break;
    case LOG_FIELD_U64:
        put_number(line, false, field->number);
        break;
    case LOG_FIELD_I64:
        put_number(line, true, field->number);
        break;
    case LOG_FIELD_ERR:
        put_string(line, slice_of(err_name(field->err)));
        break;
    }
}

/* A whole field or nothing of it. */
static void put_field(struct line *line, const struct log_field *field)
{
    const size_t len_before = line->len;

    put(line, SLICE(","));
    put_string(line, slice_of(field->name));
    put(line, SLICE(":"));
    put_value(line, field);
    if (line->is_full) {
        line->len = len_before;
    }
}

/* --- the whole line --- */

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    CHECK((unsigned)level < ARRAY_LEN(names));
    return names[level];
}

static void begin_line(struct line *line, enum log_level level, const char *name)
{
    const uint64_t now_ms = moment_now_ms();
    char time[MOMENT_ISO_CHARS];
    char head[96];
    int len;

    moment_to_iso(now_ms, time);
    len = snprintf(head, sizeof(head), "{\"time\":\"%.19s.%03uZ\",\"level\":\"%s\",\"name\":", time,
                   (unsigned)(now_ms % 1000), level_name(level));
    CHECK(len > 0 && (size_t)len < sizeof(head));
    line->len = 0;
    line->is_full = false;
    put(line, (struct slice){head, (size_t)len});
    put_string(line, slice_of(name));
}

static void end_line(struct line *line)
{
    const char *end = line->is_full ? cut_end : "}\n";

    memcpy(line->bytes + line->len, end, strlen(end));
    line->len += strlen(end);
}

void log_write(enum log_level level, const char *name, const struct log_field *fields, size_t count)
{
    struct line line;
    ssize_t written;

    if ((unsigned)level < atomic_load_explicit(&level_min, memory_order_relaxed)) {
        return;
    }
    begin_line(&line, level, name);
    for (size_t i = 0; i < count && !line.is_full; i++) {
        put_field(&line, &fields[i]);
    }
    end_line(&line);
    do {
        written = write(STDERR_FILENO, line.bytes, line.len);
    } while (written < 0 && errno == EINTR);
    /* a log that cannot be written has nobody to tell */
}
