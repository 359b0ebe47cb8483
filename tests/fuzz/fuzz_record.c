/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: record_decode, record_delivery, record_encode
 *
 * Bytes behind a right checksum are refused, or they are a record: taken apart and written again
 * they are the same bytes.  So there is one encoding of an event, and no damage that keeps the
 * checksum (as only our own mistake could) reads outside.
 */
#include "core/check.h"
#include "core/digest.h"
#include "storage/record.h"
#include "storage/store.h"

enum { SEQ = 1, DELIVERIES_MAX = 64, CRC_BYTES = 4, PLACE_BYTES = STORE_UUID_BYTES + 8 };

static const struct store_uuid uuid;

static void put_crc(char *bytes, size_t len)
{
    const char place[PLACE_BYTES] = {[STORE_UUID_BYTES] = SEQ};
    uint32_t crc = digest_crc32c(0, (struct slice){place, sizeof(place)});

    crc = digest_crc32c(crc, (struct slice){bytes + CRC_BYTES, len - CRC_BYTES});
    for (size_t i = 0; i < CRC_BYTES; i++) {
        bytes[i] = (char)(crc >> (8 * i) & 0xff);
    }
}

static void check_again(const struct record *record, struct slice bytes)
{
    struct store_delivery deliveries[DELIVERIES_MAX];
    const struct store_entry entry = {.account = record->account,
                                      .event_id = record->event_id,
                                      .body = record->body,
                                      .deliveries = deliveries,
                                      .delivery_count = record->delivery_count};
    char *again = xmalloc(bytes.len);

    for (uint32_t i = 0; i < record->delivery_count; i++) {
        struct record_delivery delivery;

        CHECK(record_delivery(record, i, &delivery) == ERR_OK);
        deliveries[i] = (struct store_delivery){.lane = delivery.lane,
                                                .bus = delivery.bus,
                                                .rule = delivery.rule,
                                                .target_id = delivery.target_id};
    }
    CHECK(record_len(&entry) == bytes.len);
    record_encode(&uuid, SEQ, record->accepted_ms, &entry, again);
    CHECK(slice_eq((struct slice){again, bytes.len}, bytes));
    xfree(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t len = CRC_BYTES + size;
    char *bytes = xmalloc(len);
    struct record record;

    if (size > 0) {
        memcpy(bytes + CRC_BYTES, data, size);
    }
    put_crc(bytes, len);
    if (record_decode(&uuid, SEQ, (struct slice){bytes, len}, &record) == ERR_OK &&
        record.delivery_count <= DELIVERIES_MAX) {
        check_again(&record, (struct slice){bytes, len});
    }
    xfree(bytes);
    return 0;
}
