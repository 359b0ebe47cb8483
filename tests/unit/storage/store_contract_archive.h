/* SPDX-License-Identifier: Apache-2.0
 *
 * store_contract_archive.h - what every engine must do with archives.  Part of store_contract.h.
 */
#pragma once

#include "storage/store_archive.h"

enum { ARCHIVE = 7, OTHER_ARCHIVE = 8, ROOMY = 1 << 20 };

/* Commit the event into the archive, at that time of its own; is the archive full? */
static bool archive_one(struct desk *desk, const struct desk_event *event, uint64_t archive,
                        uint64_t time_ms, uint64_t bytes_max)
{
    struct store_archiving archiving = {.archive = archive, .bytes_max = bytes_max};
    struct desk_entry out;
    struct store_commit commit = {
        .now_ms = T0, .claim_until_ms = T0 + 1000, .entries = &out.entry, .entry_count = 1};

    out.entry = desk_entry(event, out.deliveries);
    out.entry.archivings = &archiving;
    out.entry.archiving_count = 1;
    out.entry.time_ms = time_ms;
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    return archiving.is_full;
}

static void archive_named(struct desk *desk, const char *account, const char *id, uint64_t time_ms)
{
    const struct desk_event event = {.account = account, .id = id, .body = "{\"n\":1}"};

    assert_false(archive_one(desk, &event, ARCHIVE, time_ms, ROOMY));
}

/* The ids of a page, joined; the read is left for its answers. */
static const char *read_page(struct desk *desk, struct store_archive_read *read)
{
    static char text[4096];
    size_t len = 0;

    text[0] = '\0';
    assert_int_equal(desk_run(desk, &read->op, STORE_ARCHIVE_READ), ERR_OK);
    LIST_FOREACH (node, &read->events) {
        const struct store_archived *event = CONTAINER_OF(node, struct store_archived, node);

        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%.*s ", SLICE_ARG(event->event_id));
        assert_true(len < sizeof(text));
    }
    store_archived_all_free(&read->events);
    return text;
}

static const char *read_all(struct desk *desk, uint64_t archive)
{
    struct store_archive_read read = {
        .archive = archive, .until_ms = UINT64_MAX, .count_max = STORE_ARCHIVE_PAGE_MAX};
    const char *text = read_page(desk, &read);

    assert_false(read.has_more);
    return text;
}

static struct store_archive_size size_of(struct desk *desk, uint64_t archive)
{
    struct store_archive_sizes sizes = {.rows = NULL};
    struct store_archive_size found = {.archive = 0};

    assert_int_equal(desk_run(desk, &sizes.op, STORE_ARCHIVE_SIZES), ERR_OK);
    for (size_t i = 0; i < sizes.row_count; i++) {
        if (sizes.rows[i].archive == archive) {
            assert_int_equal(found.archive, 0);
            found = sizes.rows[i];
        }
    }
    store_archive_sizes_clean_up(&sizes);
    return found;
}

static struct store_archive_trim trim_once(struct desk *desk, uint64_t archive, uint64_t before_ms,
                                           size_t count_max)
{
    struct store_archive_trim trim = {
        .archive = archive, .before_ms = before_ms, .count_max = count_max};

    assert_int_equal(desk_run(desk, &trim.op, STORE_ARCHIVE_TRIM), ERR_OK);
    return trim;
}

static void s11_an_archive_is_read_by_time_over_all_accounts(void **state)
{
    struct desk *desk = *state;
    struct store_archive_read read = {
        .archive = ARCHIVE, .after = {.time_ms = T0 + 1}, .until_ms = T0 + 3, .count_max = 2};

    archive_named(desk, ACCOUNT_A, "three", T0 + 3);
    archive_named(desk, ACCOUNT_B, "one", T0 + 1);
    archive_named(desk, ACCOUNT_A, "zero", T0);
    archive_named(desk, ACCOUNT_B, "four", T0 + 4);
    archive_named(desk, ACCOUNT_A, "two", T0 + 2);
    assert_string_equal(read_page(desk, &read), "one two ");
    assert_true(read.has_more);
    assert_int_equal(read.end.time_ms, T0 + 2);
    read.after = read.end;
    assert_string_equal(read_page(desk, &read), "three ");
    assert_false(read.has_more);
    read.after = read.end;
    assert_string_equal(read_page(desk, &read), "");
    assert_int_equal(read.end.time_ms, T0 + 3);
    assert_string_equal(read_all(desk, ARCHIVE), "zero one two three four ");
    assert_string_equal(read_all(desk, OTHER_ARCHIVE), "");
}

static void s11_events_of_one_time_come_one_after_the_other(void **state)
{
    struct desk *desk = *state;
    struct store_archive_read read = {.archive = ARCHIVE, .until_ms = UINT64_MAX, .count_max = 1};
    unsigned seen = 0;
    size_t pages = 0;

    for (int i = 0; i < 9; i++) {
        const char id[] = {(char)('0' + i), '\0'};

        archive_named(desk, i % 2 == 0 ? ACCOUNT_A : ACCOUNT_B, id, T0);
    }
    do {
        const char *text = read_page(desk, &read);

        seen |= 1U << (text[0] - '0');
        read.after = read.end;
        pages++;
    } while (read.has_more);
    assert_int_equal(pages, 9);
    assert_int_equal(seen, 0x1ff);
}

static void s11_an_archived_event_comes_back_whole_and_outlives_its_deliveries(void **state)
{
    struct desk *desk = *state;
    struct store_archive_read read = {.archive = ARCHIVE, .until_ms = T0, .count_max = 8};
    struct store_archived *event;
    struct store_ref ref;

    assert_false(archive_one(desk, &plain, ARCHIVE, T0 - 5, ROOMY));
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(desk_settle(desk, &ref, 1), ERR_OK);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 0);
    assert_int_equal(desk_run(desk, &read.op, STORE_ARCHIVE_READ), ERR_OK);
    assert_false(list_is_empty(&read.events));
    event = CONTAINER_OF(list_take_first(&read.events), struct store_archived, node);
    assert_int_equal(event->place.time_ms, T0 - 5);
    assert_int_equal(event->accepted_ms, T0);
    assert_true(slice_eq(event->account, SLICE(ACCOUNT_A)));
    assert_true(slice_eq(event->event_id, SLICE("e-plain")));
    assert_true(slice_eq(event->body, SLICE("{\"n\":1}")));
    store_archived_free(event);
}

static void s11_a_duplicate_is_not_archived_again(void **state)
{
    struct desk *desk = *state;

    assert_false(archive_one(desk, &marked, ARCHIVE, T0, ROOMY));
    assert_false(archive_one(desk, &marked, ARCHIVE, T0, ROOMY));
    assert_string_equal(read_all(desk, ARCHIVE), "e-marked ");
    assert_int_equal(size_of(desk, ARCHIVE).event_count, 1);
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).created, 1);
}

static void s11_a_full_archive_takes_nothing_and_says_so(void **state)
{
    struct desk *desk = *state;
    struct store_archive_size size;
    struct store_ref ref;
    uint64_t max;

    assert_false(archive_one(desk, &plain, ARCHIVE, T0, ROOMY));
    max = size_of(desk, ARCHIVE).bytes;
    assert_true(max > STORE_ARCHIVED_COST);
    assert_true(archive_one(desk, &plain, ARCHIVE, T0 + 1, 2 * max - 1));
    size = size_of(desk, ARCHIVE);
    assert_int_equal(size.event_count, 1);
    assert_int_equal(size.left_out_count, 1);
    assert_int_equal(size.bytes, max);
    /* The delivery was committed all the same. */
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 2);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_false(archive_one(desk, &plain, ARCHIVE, T0 + 2, 2 * max));
    assert_int_equal(size_of(desk, ARCHIVE).bytes, 2 * max);
    assert_true(archive_one(desk, &plain, OTHER_ARCHIVE, T0, 0));
    assert_int_equal(size_of(desk, OTHER_ARCHIVE).left_out_count, 1);
}

static void s11_a_trim_takes_the_oldest_in_steps(void **state)
{
    struct desk *desk = *state;
    struct store_archive_trim trim;
    uint64_t bytes_used = 0;

    for (int i = 0; i < 6; i++) {
        const char id[] = {(char)('a' + i), '\0'};

        archive_named(desk, ACCOUNT_A, id, T0 + (uint64_t)i);
    }
    trim = trim_once(desk, ARCHIVE, T0 + 4, 3);
    assert_int_equal(trim.count, 3);
    assert_true(trim.has_more);
    assert_string_equal(read_all(desk, ARCHIVE), "d e f ");
    trim = trim_once(desk, ARCHIVE, T0 + 4, 3);
    assert_int_equal(trim.count, 1);
    assert_false(trim.has_more);
    assert_string_equal(read_all(desk, ARCHIVE), "e f ");
    assert_int_equal(size_of(desk, ARCHIVE).event_count, 2);
    trim = trim_once(desk, ARCHIVE, UINT64_MAX, 8);
    assert_int_equal(trim.count, 2);
    assert_false(trim.has_more);
    assert_int_equal(size_of(desk, ARCHIVE).archive, 0); /* nobody knows it any more */
    (void)desk_tally(desk, ACCOUNT_A, &bytes_used);
    assert_true(!ENGINE_COUNTS_BYTES || bytes_used == 0);
    trim = trim_once(desk, ARCHIVE, UINT64_MAX, 8);
    assert_int_equal(trim.count, 0);
}

static void s11_a_page_ends_at_so_many_bytes(void **state)
{
    struct desk *desk = *state;
    char *large = xcalloc(1, 700001);
    const struct desk_event event = {.account = ACCOUNT_A, .id = "large", .body = large};
    struct store_archive_read read = {.archive = ARCHIVE, .until_ms = UINT64_MAX, .count_max = 8};

    memset(large, 'x', 700000);
    for (uint64_t i = 0; i < 3; i++) {
        assert_false(archive_one(desk, &event, ARCHIVE, T0 + i, UINT64_C(1) << 30));
    }
    for (uint64_t i = 0; i < 3; i++) {
        assert_string_equal(read_page(desk, &read), "large ");
        assert_int_equal(read.has_more, i < 2);
        read.after = read.end;
    }
    xfree(large);
}

/* Of an engine with a maximum of its own. */
static void s11_archives_count_towards_the_size_of_the_store(void **state)
{
    struct desk *desk = *state; /* small */
    struct store_archiving archiving = {.archive = ARCHIVE, .bytes_max = ROOMY};
    char large[3000];
    const struct desk_event event = {.account = ACCOUNT_A, .id = "e", .body = large};
    struct desk_entry out;
    struct store_commit commit = {.now_ms = T0, .entries = &out.entry, .entry_count = 1};
    struct store_archive_trim trim;

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    out.entry = desk_entry(&event, out.deliveries);
    out.entry.archivings = &archiving;
    out.entry.archiving_count = 1;
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_STORE_FULL);
    assert_int_equal(size_of(desk, ARCHIVE).event_count, 1);
    trim = trim_once(desk, ARCHIVE, UINT64_MAX, 1);
    assert_int_equal(trim.count, 1);
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
}

#define CONTRACT_TESTS_ARCHIVE                                                                     \
    CONTRACT_TEST(s11_an_archive_is_read_by_time_over_all_accounts),                               \
        CONTRACT_TEST(s11_events_of_one_time_come_one_after_the_other),                            \
        CONTRACT_TEST(s11_an_archived_event_comes_back_whole_and_outlives_its_deliveries),         \
        CONTRACT_TEST(s11_a_duplicate_is_not_archived_again),                                      \
        CONTRACT_TEST(s11_a_full_archive_takes_nothing_and_says_so),                               \
        CONTRACT_TEST(s11_a_trim_takes_the_oldest_in_steps),                                       \
        CONTRACT_TEST(s11_a_page_ends_at_so_many_bytes)
