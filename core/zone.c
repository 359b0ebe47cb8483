/* SPDX-License-Identifier: Apache-2.0
 *
 * zone.c - a compiled zone file as a list of offsets, each with the moment it begins.
 *
 * The C library knows one zone per process, and another only by changing the environment under all
 * threads; so the file is read here.  It holds the same thing twice, of which the second, with
 * 64-bit moments, counts:
 *
 *     header, block of 32-bit moments | header, block of 64-bit moments | "\n" rule "\n"
 *     block:  moments, the type of each, types (offset, is it summer time, name), names, leap
 *             seconds, two lists of flags
 *
 * Before the first moment type 0 holds, after the last one the rule.  Leap seconds are passed over:
 * system clocks do not show them.
 *
 *= https://www.rfc-editor.org/rfc/rfc8536#section-3
 */
#include "core/zone.h"

#include <stdatomic.h>

#include "core/buf.h"
#include "core/check.h"
#include "core/file.h"
#include "core/zone_internal.h"

#define ZONE_FOLDER "/usr/share/zoneinfo/"

enum {
    HEADER_BYTES = 44,
    TYPE_BYTES = 6,
    TYPES_MAX = 256,
    FARTHEST_S = 27 * 3600, /* no clock is farther from UTC: RFC 8536 says 25 h 59 min 59 s */
};

struct change {
    int64_t at_s;
    int32_t offset_s;
};

struct zone {
    _Atomic uint32_t references;
    int32_t first_s; /* before the first change */
    size_t change_count;
    struct zone_rule rule;
    struct change changes[];
};

/* ---- reading ------------------------------------------------------------------------------ */

struct counts {
    uint32_t utc, standard, leap, time, type, chars;
};

static uint64_t read_number(struct slice bytes, size_t at, size_t width)
{
    uint64_t number = 0;

    CHECK(at + width <= bytes.len);
    for (size_t i = 0; i < width; i++) {
        number = number << 8 | (uint8_t)bytes.data[at + i];
    }
    return number;
}

static bool read_header(struct slice bytes, struct counts *counts)
{
    if (bytes.len < HEADER_BYTES || !slice_has_prefix(bytes, SLICE("TZif")) ||
        bytes.data[4] < '2') {
        return false;
    }
    *counts = (struct counts){
        .utc = (uint32_t)read_number(bytes, 20, 4),
        .standard = (uint32_t)read_number(bytes, 24, 4),
        .leap = (uint32_t)read_number(bytes, 28, 4),
        .time = (uint32_t)read_number(bytes, 32, 4),
        .type = (uint32_t)read_number(bytes, 36, 4),
        .chars = (uint32_t)read_number(bytes, 40, 4),
    };
    return counts->time <= ZONE_FILE_BYTES_MAX && counts->leap <= ZONE_FILE_BYTES_MAX &&
           counts->chars <= ZONE_FILE_BYTES_MAX && counts->type >= 1 && counts->type <= TYPES_MAX &&
           counts->utc <= TYPES_MAX && counts->standard <= TYPES_MAX;
}

static size_t block_bytes(const struct counts *counts, size_t width)
{
    return counts->time * (width + 1) + (size_t)counts->type * TYPE_BYTES + counts->chars +
           counts->leap * (width + 4) + counts->standard + counts->utc;
}

/* The changes of a block of 64-bit moments. */
static bool read_changes(struct slice block, const struct counts *counts, struct zone *zone)
{
    const size_t types_at = counts->time * 9;

    for (size_t i = 0; i < counts->time; i++) {
        const size_t type = (uint8_t)block.data[counts->time * 8 + i];
        struct change *change = &zone->changes[i];

        if (type >= counts->type) {
            return false;
        }
        change->at_s = (int64_t)read_number(block, i * 8, 8);
        change->offset_s = (int32_t)read_number(block, types_at + type * TYPE_BYTES, 4);
        if ((i > 0 && change->at_s <= zone->changes[i - 1].at_s) ||
            change->offset_s <= -FARTHEST_S || change->offset_s >= FARTHEST_S) {
            return false;
        }
    }
    zone->first_s = (int32_t)read_number(block, types_at, 4);
    zone->change_count = counts->time;
    return zone->first_s > -FARTHEST_S && zone->first_s < FARTHEST_S;
}

static enum err refuse(struct err_why *why)
{
    return err_because(ERR_BAD_VALUE, why, "is no zone file that this version reads");
}

enum err zone_parse(struct slice bytes, struct zone **result, struct err_why *why)
{
    struct counts counts;
    struct zone *zone;
    struct slice rest;
    struct slice footer;

    if (!read_header(bytes, &counts)) {
        return refuse(why);
    }
    rest = slice_from(bytes, HEADER_BYTES + block_bytes(&counts, 4));
    if (!read_header(rest, &counts) || rest.len < HEADER_BYTES + block_bytes(&counts, 8)) {
        return refuse(why);
    }
    zone = xcalloc(1, sizeof(*zone) + counts.time * sizeof(struct change));
    atomic_init(&zone->references, 1);
    footer = slice_from(rest, HEADER_BYTES + block_bytes(&counts, 8));
    if (!read_changes(slice_from(rest, HEADER_BYTES), &counts, zone) || footer.len < 2 ||
        footer.data[0] != '\n' || footer.data[footer.len - 1] != '\n' ||
        zone_rule_parse(slice_first(slice_from(footer, 1), footer.len - 2), &zone->rule) !=
            ERR_OK) {
        zone_release(zone);
        return refuse(why);
    }
    *result = zone;
    return ERR_OK;
}

/* Letters, digits, "+", "-", "_" and "/" between them: nothing that leaves the folder. */
static bool is_name(struct slice name)
{
    static const char allowed[] =
        "/+-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '\0' || strchr(allowed, name.data[i]) == NULL ||
            (name.data[i] == '/' && (i == 0 || i + 1 == name.len || name.data[i - 1] == '/'))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= ZONE_NAME_CHARS_MAX;
}

enum err zone_load(struct slice name, struct zone **zone, struct err_why *why)
{
    char path[sizeof(ZONE_FOLDER) + ZONE_NAME_CHARS_MAX];
    struct err_why detail;
    struct buf bytes;
    enum err err;

    if (!is_name(name)) {
        return err_because(ERR_BAD_VALUE, why, "is no name of a time zone");
    }
    (void)snprintf(path, sizeof(path), ZONE_FOLDER "%.*s", SLICE_ARG(name));
    buf_init(&bytes, ZONE_FILE_BYTES_MAX);
    err = file_read(path, &bytes, &detail);
    err = err == ERR_OK ? zone_parse(buf_slice(&bytes), zone, &detail) : err;
    buf_clean_up(&bytes);
    return err == ERR_OK ? ERR_OK
                         : err_because(ERR_BAD_VALUE, why,
                                       "is no time zone of this system's database (tzdata)");
}

struct zone *zone_acquire(struct zone *zone)
{
    CHECK(zone != NULL);
    CHECK(atomic_fetch_add_explicit(&zone->references, 1, memory_order_relaxed) > 0);
    return zone;
}

void zone_release(struct zone *zone)
{
    if (zone != NULL &&
        atomic_fetch_sub_explicit(&zone->references, 1, memory_order_acq_rel) == 1) {
        xfree(zone);
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

/* How many changes have happened by then. */
static size_t count_until(const struct zone *zone, int64_t utc_s)
{
    size_t low = 0;
    size_t high = zone->change_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].at_s <= utc_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int32_t zone_offset_at(const struct zone *zone, int64_t utc_s)
{
    size_t count;

    if (zone == NULL) {
        return 0;
    }
    count = count_until(zone, utc_s);
    if (count == zone->change_count) {
        return zone_rule_offset_at(&zone->rule, utc_s);
    }
    return count == 0 ? zone->first_s : zone->changes[count - 1].offset_s;
}

static int64_t next_change(const struct zone *zone, int64_t utc_s)
{
    const size_t count = count_until(zone, utc_s);

    return count < zone->change_count ? zone->changes[count].at_s
                                      : zone_rule_next_change(&zone->rule, utc_s);
}

/* Walk the stretches of equal offset around `local_s` and take the first that shows it. */
bool zone_to_utc(const struct zone *zone, int64_t local_s, int64_t *utc_s)
{
    int64_t from = local_s - FARTHEST_S;

    if (zone == NULL) {
        *utc_s = local_s;
        return true;
    }
    while (from <= local_s + FARTHEST_S) {
        const int64_t candidate = local_s - zone_offset_at(zone, from);
        const int64_t until = next_change(zone, from);

        if (candidate >= from && candidate < until) {
            *utc_s = candidate;
            return true;
        }
        from = until;
    }
    return false;
}
