/* SPDX-License-Identifier: Apache-2.0
 *
 * test_record.c - a record gives back what was put in, and nothing else ever.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "storage/record.h"
#include "tests/lib/store_desk.h"

enum { SEQ = 77, ACCEPTED_MS = 123456789 };

static const struct store_uuid uuid = {.bytes = "0123456789abcdef"};

/* The record of an event with two deliveries, at the start of `out`; its length. */
static size_t encode(char out[static 1024])
{
    static const struct desk_event event = {.account = "111122223333",
                                            .id = "e-1",
                                            .body = "{\"n\":1}",
                                            .lanes = {"111122223333/a", "111122223333/b"}};
    struct store_delivery deliveries[DESK_LANES_MAX];
    struct store_entry entry = desk_entry(&event, deliveries);

    deliveries[1].bus = SLICE("");
    deliveries[1].rule = SLICE("other");
    assert_true(record_len(&entry) < 1024);
    record_encode(&uuid, SEQ, ACCEPTED_MS, &entry, out);
    return record_len(&entry);
}

static void a_record_gives_back_what_was_put_in(void **state)
{
    char bytes[1024];
    const struct slice encoded = {bytes, encode(bytes)};
    struct record record;
    struct record_delivery delivery;

    (void)state;
    assert_int_equal(record_decode(&uuid, SEQ, encoded, &record), ERR_OK);
    assert_int_equal(record.accepted_ms, ACCEPTED_MS);
    assert_true(slice_eq(record.account, SLICE("111122223333")));
    assert_true(slice_eq(record.event_id, SLICE("e-1")));
    assert_true(slice_eq(record.body, SLICE("{\"n\":1}")));
    assert_int_equal(record.delivery_count, 2);
    assert_int_equal(record_delivery(&record, 0, &delivery), ERR_OK);
    assert_true(slice_eq(delivery.lane, SLICE("111122223333/a")));
    assert_true(slice_eq(delivery.bus, SLICE("central")));
    assert_int_equal(record_delivery(&record, 1, &delivery), ERR_OK);
    assert_true(slice_eq(delivery.lane, SLICE("111122223333/b")));
    assert_int_equal(delivery.bus.len, 0);
    assert_true(slice_eq(delivery.rule, SLICE("other")));
    assert_true(slice_eq(delivery.target_id, SLICE("target")));
    assert_int_equal(record_delivery(&record, 2, &delivery), ERR_STORE_CORRUPT);
}

static void every_flipped_bit_is_seen(void **state)
{
    char bytes[1024];
    const struct slice encoded = {bytes, encode(bytes)};
    struct record record;

    (void)state;
    for (size_t bit = 0; bit < encoded.len * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(record_decode(&uuid, SEQ, encoded, &record), ERR_STORE_CORRUPT);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(record_decode(&uuid, SEQ, encoded, &record), ERR_OK);
}

static void a_record_elsewhere_or_cut_or_extended_is_seen(void **state)
{
    static const struct store_uuid other = {.bytes = "0123456789abcdeg"};
    char bytes[1024 + 1] = {0};
    struct slice encoded = {bytes, encode(bytes)};
    struct record record;

    (void)state;
    assert_int_equal(record_decode(&uuid, SEQ + 1, encoded, &record), ERR_STORE_CORRUPT);
    assert_int_equal(record_decode(&other, SEQ, encoded, &record), ERR_STORE_CORRUPT);
    encoded.len++;
    assert_int_equal(record_decode(&uuid, SEQ, encoded, &record), ERR_STORE_CORRUPT);
    for (encoded.len--; encoded.len > 0; encoded.len--) {
        const struct slice cut = slice_first(encoded, encoded.len - 1);

        assert_int_equal(record_decode(&uuid, SEQ, cut, &record), ERR_STORE_CORRUPT);
    }
}

/* The same columns cut at other places, another kind, key or store: another checksum. */
static void a_row_checksum_covers_its_place_and_its_cuts(void **state)
{
    static const struct store_uuid other = {.bytes = "0123456789abcdeg"};
    static const struct slice columns[] = {SLICE_INIT("ab"), SLICE_INIT("c")};
    static const struct slice recut[] = {SLICE_INIT("a"), SLICE_INIT("bc")};
    const uint32_t crc = record_row_crc(&uuid, "dead", 1, columns, 2);

    (void)state;
    assert_int_equal(record_row_crc(&uuid, "dead", 1, columns, 2), crc);
    assert_int_not_equal(record_row_crc(&uuid, "dead", 1, recut, 2), crc);
    assert_int_not_equal(record_row_crc(&uuid, "dead", 1, columns, 1), crc);
    assert_int_not_equal(record_row_crc(&uuid, "mark", 1, columns, 2), crc);
    assert_int_not_equal(record_row_crc(&uuid, "dead", 2, columns, 2), crc);
    assert_int_not_equal(record_row_crc(&other, "dead", 1, columns, 2), crc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_gives_back_what_was_put_in),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(a_record_elsewhere_or_cut_or_extended_is_seen),
        cmocka_unit_test(a_row_checksum_covers_its_place_and_its_cuts),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
