/* SPDX-License-Identifier: Apache-2.0
 *
 * store_archive.h - archives in the contract of the store: events that are kept although nobody is
 * owed them any more, to be read again by their time.
 *
 * A commit puts them there (`store_entry.archivings`).  They are in the order of their times, of
 * one time in the order in which they came.  Nothing but STORE_ARCHIVE_TRIM takes them out.  What
 * an archive holds counts towards the `bytes_max` of the store.
 */
#pragma once

#include "storage/store.h"

enum {
    STORE_ARCHIVE_PAGE_MAX = 256,       /* events of one read, or of one step of a trim */
    STORE_ARCHIVE_PAGE_BYTES = 1 << 20, /* of their bodies; one event is always given */
    STORE_ARCHIVED_COST = 160,          /* bytes that an event takes beside its record, roughly */
};

/* The place of an event in its archive.  {t, 0, 0} stands before all events of the time t. */
struct store_place {
    uint64_t time_ms;
    uint64_t seq;  /* as its commit was answered */
    uint32_t part; /* of an engine that spreads accounts out; else 0 */
};

/* An archived event.  Allocated by the engine; the receiver frees it with store_archived_free(). */
struct store_archived {
    struct list node;
    struct store_place place;
    uint64_t accepted_ms;
    struct slice account; /* of the event */
    struct slice event_id;
    struct slice body;
};

void store_archived_free(struct store_archived *archived);
void store_archived_all_free(struct list *events);

/* The events behind `after`, of a time of at most `until_ms`, in order: a page of them.  One whose
 * checksum is wrong is logged and left out. */
struct store_archive_read {
    struct store_op op;
    uint64_t archive;
    struct store_place after;
    uint64_t until_ms;
    size_t count_max; /* at most STORE_ARCHIVE_PAGE_MAX */
    /* out */
    struct list events;     /* struct store_archived */
    struct store_place end; /* the last that was looked at: where the next page begins */
    bool has_more;
};

/* Take out events of a time below `before_ms`, the oldest first: up to `count_max` of them, or, of
 * an engine that spreads accounts out, that many of each part.  UINT64_MAX takes them all, and with
 * the last one what is known of the archive. */
struct store_archive_trim {
    struct store_op op;
    uint64_t archive;
    uint64_t before_ms;
    size_t count_max; /* at most STORE_ARCHIVE_PAGE_MAX */
    /* out */
    uint64_t count;
    bool has_more;
};

struct store_archive_size {
    uint64_t archive;
    uint64_t event_count;
    uint64_t bytes;
    uint64_t left_out_count; /* events that found it full */
};

/* Of every archive that has held an event, by its number. */
struct store_archive_sizes {
    struct store_op op;
    /* out; free with store_archive_sizes_clean_up() */
    struct store_archive_size *rows;
    size_t row_count;
};

void store_archive_sizes_clean_up(struct store_archive_sizes *sizes);
