/* SPDX-License-Identifier: Apache-2.0
 *
 * record.h - one event as it lies in the store: checksummed bytes that know where they belong.
 *
 * The checksum covers the store's uuid and the event's sequence as well as the content (account,
 * id, deliveries, body), so a record that is intact but lies in the wrong place does not validate.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

struct store_entry;

enum { STORE_UUID_BYTES = 16 };

struct store_uuid {
    uint8_t bytes[STORE_UUID_BYTES];
};

/* A record taken apart; all slices borrow the record's bytes. */
struct record {
    uint64_t accepted_ms;
    struct slice account;
    struct slice event_id;
    struct slice body;
    size_t delivery_count;
    struct slice deliveries; /* encoded; read with record_delivery() */
};

struct record_delivery {
    struct slice lane;
    struct slice bus;
    struct slice rule;
    struct slice target_id;
};

/* The exact length of the entry's record. */
size_t record_len(const struct store_entry *entry);
/* Write record_len() bytes to `out`.  The entry has passed the limits of the store. */
void record_encode(const struct store_uuid *uuid, uint64_t seq, uint64_t accepted_ms,
                   const struct store_entry *entry, char *out);
/* Take apart and verify.  ERR_STORE_CORRUPT for anything that record_encode() did not write under
 * this uuid and sequence. */
MUST_USE enum err record_decode(const struct store_uuid *uuid, uint64_t seq, struct slice bytes,
                                struct record *record);
/* The delivery of that ordinal; ERR_STORE_CORRUPT if there is none. Linear in the ordinal. */
MUST_USE enum err record_delivery(const struct record *record, uint32_t ordinal,
                                  struct record_delivery *delivery);

/* Checksum of a row that is not a record: of the store's uuid, the kind of row, its key and its
 * columns, with their lengths. */
uint32_t record_row_crc(const struct store_uuid *uuid, const char *kind, uint64_t key,
                        const struct slice *columns, size_t column_count);
