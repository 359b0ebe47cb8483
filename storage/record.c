/* SPDX-License-Identifier: Apache-2.0
 *
 * record.c - events as bytes.  All numbers are little-endian:
 *
 *      0  crc32c of uuid, sequence and everything from 4 on
 *      4  format, now 1                  8  accepted_ms (8)
 *     16  delivery count (4)            20  body length (4)
 *     24  account, event id             each a length (2) and bytes
 *         lane, bus, rule, target id    for each delivery, in the order of ordinals
 *         body                          to the end
 *
 * SQLite does not checksum its pages, so a flipped bit in a file would otherwise travel to a target
 * as if a sender had written it.  What decodes is exactly what was encoded: lengths must come out
 * even, and nothing may follow the body.
 */
#include "storage/record.h"

#include "core/check.h"
#include "core/digest.h"
#include "storage/store.h"

enum { FORMAT = 1, HEAD_BYTES = 24, CRC_BYTES = 4 };

static void put_number(char *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (char)(value >> (8 * i) & 0xff);
    }
}

static uint64_t get_number(const char *in, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t)(uint8_t)in[i] << (8 * i);
    }
    return value;
}

static uint32_t place_crc(const struct store_uuid *uuid, uint64_t seq)
{
    char place[STORE_UUID_BYTES + 8];

    memcpy(place, uuid->bytes, STORE_UUID_BYTES);
    put_number(place + STORE_UUID_BYTES, seq, 8);
    return digest_crc32c(0, (struct slice){place, sizeof(place)});
}

/* ---- writing ------------------------------------------------------------------------------- */

static size_t text_len(struct slice text)
{
    return 2 + text.len;
}

size_t record_len(const struct store_entry *entry)
{
    size_t len = HEAD_BYTES + text_len(entry->account) + text_len(entry->event_id);

    for (size_t i = 0; i < entry->delivery_count; i++) {
        const struct store_delivery *delivery = &entry->deliveries[i];

        len += text_len(delivery->lane) + text_len(delivery->bus) + text_len(delivery->rule) +
               text_len(delivery->target_id);
    }
    return len + entry->body.len;
}

static char *put_bytes(char *out, struct slice bytes)
{
    if (bytes.len > 0) {
        memcpy(out, bytes.data, bytes.len);
    }
    return out + bytes.len;
}

static char *put_text(char *out, struct slice text)
{
    CHECK(text.len <= UINT16_MAX);
    put_number(out, text.len, 2);
    return put_bytes(out + 2, text);
}

void record_encode(const struct store_uuid *uuid, uint64_t seq, uint64_t accepted_ms,
                   const struct store_entry *entry, char *out)
{
    const size_t len = record_len(entry);
    char *end;

    CHECK(entry->body.len <= UINT32_MAX);
    put_number(out + 4, FORMAT, 4);
    put_number(out + 8, accepted_ms, 8);
    put_number(out + 16, entry->delivery_count, 4);
    put_number(out + 20, entry->body.len, 4);
    end = put_text(out + HEAD_BYTES, entry->account);
    end = put_text(end, entry->event_id);
    for (size_t i = 0; i < entry->delivery_count; i++) {
        const struct store_delivery *delivery = &entry->deliveries[i];

        end = put_text(end, delivery->lane);
        end = put_text(end, delivery->bus);
        end = put_text(end, delivery->rule);
        end = put_text(end, delivery->target_id);
    }
    end = put_bytes(end, entry->body);
    CHECK((size_t)(end - out) == len);
    put_number(
        out, digest_crc32c(place_crc(uuid, seq), (struct slice){out + CRC_BYTES, len - CRC_BYTES}),
        CRC_BYTES);
}

/* ---- reading ------------------------------------------------------------------------------- */

static enum err take_text(struct slice *rest, struct slice *text)
{
    size_t len;

    if (rest->len < 2) {
        return ERR_STORE_CORRUPT;
    }
    len = (size_t)get_number(rest->data, 2);
    *rest = slice_from(*rest, 2);
    if (rest->len < len) {
        return ERR_STORE_CORRUPT;
    }
    *text = slice_first(*rest, len);
    *rest = slice_from(*rest, len);
    return ERR_OK;
}

static enum err take_delivery(struct slice *rest, struct record_delivery *delivery)
{
    TRY(take_text(rest, &delivery->lane));
    TRY(take_text(rest, &delivery->bus));
    TRY(take_text(rest, &delivery->rule));
    return take_text(rest, &delivery->target_id);
}

enum err record_decode(const struct store_uuid *uuid, uint64_t seq, struct slice bytes,
                       struct record *record)
{
    struct slice rest;
    size_t body_len;

    if (bytes.len < HEAD_BYTES || get_number(bytes.data + 4, 4) != FORMAT) {
        return ERR_STORE_CORRUPT;
    }
    if (get_number(bytes.data, CRC_BYTES) !=
        digest_crc32c(place_crc(uuid, seq), slice_from(bytes, CRC_BYTES))) {
        return ERR_STORE_CORRUPT;
    }
    *record = (struct record){
        .accepted_ms = get_number(bytes.data + 8, 8),
        .delivery_count = (size_t)get_number(bytes.data + 16, 4),
    };
    body_len = (size_t)get_number(bytes.data + 20, 4);
    rest = slice_from(bytes, HEAD_BYTES);
    TRY(take_text(&rest, &record->account));
    TRY(take_text(&rest, &record->event_id));
    record->deliveries = rest;
    for (size_t i = 0; i < record->delivery_count; i++) {
        struct record_delivery delivery;

        TRY(take_delivery(&rest, &delivery));
    }
    if (rest.len != body_len) {
        return ERR_STORE_CORRUPT;
    }
    record->deliveries.len -= body_len;
    record->body = rest;
    return ERR_OK;
}

enum err record_delivery(const struct record *record, uint32_t ordinal,
                         struct record_delivery *delivery)
{
    struct slice rest = record->deliveries;

    if (ordinal >= record->delivery_count) {
        return ERR_STORE_CORRUPT;
    }
    for (uint32_t i = 0; i <= ordinal; i++) {
        TRY(take_delivery(&rest, delivery));
    }
    return ERR_OK;
}

uint32_t record_row_crc(const struct store_uuid *uuid, const char *kind, uint64_t key,
                        const struct slice *columns, size_t column_count)
{
    uint32_t crc = digest_crc32c(place_crc(uuid, key), slice_of(kind));

    for (size_t i = 0; i < column_count; i++) {
        char len[8];

        put_number(len, columns[i].len, sizeof(len));
        crc = digest_crc32c(crc, (struct slice){len, sizeof(len)});
        crc = digest_crc32c(crc, columns[i]);
    }
    return crc;
}
