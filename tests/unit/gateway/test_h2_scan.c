/* SPDX-License-Identifier: Apache-2.0
 *
 * test_h2_scan.c - the frame scanner and its budgets, on a clock of the test's own; and the memory
 * that nghttp2 is given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/h2_mem.h"
#include "gateway/h2_scan.h"
#include "tests/unit/gateway/frames.h"

static void test_a_bucket_refills_at_its_rate(void **state)
{
    struct h2_bucket bucket = {0};
    unsigned taken = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        taken += h2_bucket_take(&bucket, 10, 10, 5000) ? 1 : 0;
    }
    assert_int_equal(taken, 10);
    assert_int_equal(h2_bucket_left(&bucket, 10), 0);
    assert_false(h2_bucket_take(&bucket, 10, 10, 5099));
    assert_true(h2_bucket_take(&bucket, 10, 10, 5100));
    assert_false(h2_bucket_take(&bucket, 10, 10, 5100));
    for (uint64_t ms = 6000; ms < 16000; ms++) { /* ten seconds of asking each millisecond */
        taken += h2_bucket_take(&bucket, 10, 10, ms) ? 1 : 0;
    }
    assert_in_range(taken, 10 + 100, 10 + 110);
    assert_true(h2_bucket_take(&bucket, 10, 10, 10000000)); /* full again, and no fuller */
    assert_int_equal(h2_bucket_left(&bucket, 10), 9);
}

static void test_resets_are_judged_per_window(void **state)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct h2_resets resets = {0};
    unsigned allowed = 0;

    (void)state;
    while (h2_resets_note_reset(&resets, &limits, 1000)) {
        allowed++;
    }
    assert_int_equal(allowed, limits.reset_min);
    assert_false(h2_resets_note_reset(&resets, &limits, 9999));
    assert_true(h2_resets_note_reset(&resets, &limits, 1000000)); /* another window */
    for (unsigned i = 0; i < 1000; i++) {
        h2_resets_note_opened(&resets, &limits, 1000001);
    }
    allowed = 1;
    while (h2_resets_note_reset(&resets, &limits, 1000001)) {
        allowed++;
    }
    assert_int_equal(allowed, 1000 * limits.reset_percent / 100);
}

/* Scan everything; the verdict that ended it, and in *fed how much was to be fed. */
static enum h2_verdict scan(struct h2_scan *scanner, struct slice bytes, uint64_t now_ms,
                            size_t *fed)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;

    *fed = 0;
    while (bytes.len > 0) {
        struct slice piece;
        const enum h2_verdict verdict = h2_scan_next(scanner, &limits, now_ms, &bytes, &piece);

        if (verdict != H2_FINE) {
            return verdict;
        }
        *fed += piece.len;
    }
    return H2_FINE;
}

static void test_what_is_incomplete_is_known_since_when(void **state)
{
    static const struct {
        struct slice bytes;
        bool waits;
    } rows[] = {
        {SLICE_INIT(""), false},
        {SLICE_INIT("\0\0\x08\x06"), true},           /* a header */
        {SLICE_INIT("\0\0\x08\x06\0\0\0\0\0"), true}, /* a frame */
        {SLICE_INIT("\0\0\x08\x06\0\0\0\0\0"
                    "12345678"),
         false},                                             /* nothing */
        {SLICE_INIT("\0\0\x08\0\0\0\0\0\1half"), false},     /* a body, judged elsewhere */
        {SLICE_INIT("\0\0\x01\x01\0\0\0\0\1\x82"), true},    /* a block */
        {SLICE_INIT("\0\0\x01\x01\x04\0\0\0\1\x82"), false}, /* a block and its end */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h2_scan scanner;
        size_t fed;

        h2_scan_init(&scanner);
        assert_int_equal(scan(&scanner, SLICE(PREFACE), 500, &fed), H2_FINE);
        assert_int_equal(fed, 24);
        assert_int_equal(scan(&scanner, rows[i].bytes, 700, &fed), H2_FINE);
        assert_int_equal(h2_scan_waits_since_ms(&scanner), rows[i].waits ? 700 : 0);
    }
}

static void test_a_piece_never_crosses_a_frame(void **state)
{
    const struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct h2_scan scanner;
    struct slice rest;
    struct slice piece;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    add_greeting(&out);
    add_get(&out, 1);
    add_frame(&out, PING, 0, 0, SLICE("12345678"));
    h2_scan_init(&scanner);
    rest = buf_slice(&out);
    for (size_t i = 0; i < 4; i++) {
        static const size_t lens[] = {24, 9, 9 + 9, 9 + 8};

        assert_int_equal(h2_scan_next(&scanner, &limits, 1, &rest, &piece), H2_FINE);
        assert_int_equal(piece.len, lens[i]);
    }
    assert_int_equal(rest.len, 0);
    buf_clean_up(&out);
}

static void test_settings_of_many_entries_are_refused(void **state)
{
    static const char zeros[33 * 6];

    (void)state;
    for (size_t count = 32; count <= 33; count++) {
        struct h2_scan scanner;
        struct buf out;
        size_t fed;

        buf_init(&out, 4096);
        add_bytes(&out, SLICE(PREFACE));
        add_frame(&out, SETTINGS, 0, 0, (struct slice){zeros, count * 6});
        h2_scan_init(&scanner);
        assert_int_equal(scan(&scanner, buf_slice(&out), 1, &fed),
                         count == 32 ? H2_FINE : H2_FLOOD);
        buf_clean_up(&out);
    }
}

static void test_memory_is_counted_and_reused(void **state)
{
    struct h2_mem mem;
    void *small;
    char *grown;
    char *large;

    (void)state;
    h2_mem_init(&mem);
    small = mem.mem.malloc(100, mem.mem.mem_user_data);
    assert_int_equal(mem.used_bytes, 128);
    mem.mem.free(small, mem.mem.mem_user_data);
    assert_int_equal(mem.used_bytes, 0);
    assert_ptr_equal(mem.mem.calloc(1, 65, mem.mem.mem_user_data), small);
    memset(small, 'x', 128);
    grown = mem.mem.realloc(small, 128, mem.mem.mem_user_data);
    assert_ptr_equal(grown, small); /* it had the room */
    grown = mem.mem.realloc(grown, 129, mem.mem.mem_user_data);
    assert_int_equal(mem.used_bytes, 256);
    assert_int_equal(grown[127], 'x');
    large = mem.mem.realloc(NULL, 100000, mem.mem.mem_user_data);
    assert_int_equal(mem.used_bytes, 256 + 100000);
    mem.mem.free(large, mem.mem.mem_user_data);
    mem.mem.free(grown, mem.mem.mem_user_data);
    mem.mem.free(NULL, mem.mem.mem_user_data);
    assert_int_equal(mem.used_bytes, 0);
    small = mem.mem.calloc(16, 4, mem.mem.mem_user_data);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(((char *)small)[i], 0);
    }
    mem.mem.free(small, mem.mem.mem_user_data);
    h2_mem_clean_up(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket_refills_at_its_rate),
        cmocka_unit_test(test_resets_are_judged_per_window),
        cmocka_unit_test(test_what_is_incomplete_is_known_since_when),
        cmocka_unit_test(test_a_piece_never_crosses_a_frame),
        cmocka_unit_test(test_settings_of_many_entries_are_refused),
        cmocka_unit_test(test_memory_is_counted_and_reused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
