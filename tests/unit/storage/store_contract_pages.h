/* SPDX-License-Identifier: Apache-2.0
 *
 * store_contract_pages.h - part of the contract: one call is bounded, however much is asked of it.
 */
#pragma once

/* ---- dead letters -------------------------------------------------------------------------- */

enum { PAGE_LETTERS = 11, PAGE_BODY_BYTES = 1 << 20 };

/* How many dead letters behind `*after_id` come on one page of at most a thousand; it moves on. */
static size_t list_dead_page(struct desk *desk, uint64_t *after_id, bool *has_more)
{
    struct store_dead_list list = {.after_id = *after_id, .count_max = 1000};
    size_t count = 0;
    size_t bytes = 0;

    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    LIST_FOREACH (node, &list.dead) {
        struct store_dead *dead = CONTAINER_OF(node, struct store_dead, node);

        assert_true(dead->id > *after_id);
        *after_id = dead->id;
        bytes += dead->record->body.len;
        count++;
        list_remove(node);
        store_dead_free(dead);
    }
    assert_in_range(bytes, 0, STORE_DEAD_PAGE_BYTES_MAX);
    *has_more = list.has_more;
    return count;
}

/* Goal:   a page of large dead letters ends where it would hold too much, says that there is more,
 *         and the pages together have them all. */
static void a_page_of_dead_letters_is_bounded_by_bytes(void **state)
{
    struct desk *desk = *state;
    char *body = xmalloc(PAGE_BODY_BYTES + 1);
    uint64_t after_id = 0;
    size_t count = 0;
    size_t pages = 0;
    bool has_more = true;

    memset(body, '1', PAGE_BODY_BYTES);
    body[PAGE_BODY_BYTES] = '\0';
    for (size_t i = 0; i < PAGE_LETTERS; i++) {
        const struct desk_event event = {
            .account = ACCOUNT_A, .id = "e-large", .body = body, .lanes = {LANE_A}, .claim = true};
        struct desk_entry out;

        assert_int_equal(desk_commit(desk, T0 + i, &event, &out), ERR_OK);
        assert_int_equal(desk_bury(desk,
                                   desk_ref(out.entry.seq, 0, LANE_A, out.deliveries[0].claim_no),
                                   T0 + i, "given-up"),
                         ERR_OK);
    }
    while (has_more) {
        const size_t found = list_dead_page(desk, &after_id, &has_more);

        assert_in_range(found, 1, STORE_DEAD_PAGE_BYTES_MAX / PAGE_BODY_BYTES);
        count += found;
        pages++;
    }
    assert_int_equal(count, PAGE_LETTERS);
    assert_int_equal(pages, 3);
    xfree(body);
}

/* ---- commit -------------------------------------------------------------------------------- */

enum { WIDE_ENTRIES = 10, WIDE_DELIVERIES = 60 };

/* An event that many targets match; each target its lane. */
static struct store_entry wide_entry(const char *id, const char *key, size_t delivery_count,
                                     struct store_delivery *deliveries,
                                     char (*lanes)[STORE_LANE_CHARS_MAX + 1])
{
    for (size_t i = 0; i < delivery_count; i++) {
        (void)snprintf(lanes[i], sizeof(lanes[i]), ACCOUNT_A "/w%zu", i);
        deliveries[i] = (struct store_delivery){.lane = slice_of(lanes[i]),
                                                .bus = SLICE("central"),
                                                .rule = SLICE("rule"),
                                                .target_id = SLICE("target"),
                                                .claim = true};
    }
    return (struct store_entry){.account = SLICE(ACCOUNT_A),
                                .event_id = slice_of(id),
                                .body = SLICE("{}"),
                                .has_mark = true,
                                .key = desk_digest(key),
                                .content = desk_digest("c"),
                                .mark_ttl_ms = 300000,
                                .deliveries = deliveries,
                                .delivery_count = delivery_count};
}

/* Commit so many such events in one call; asserts that each is whole. */
static void commit_wide(struct desk *desk, size_t entry_count, size_t delivery_count)
{
    const size_t count = entry_count * delivery_count;
    struct store_entry *entries = xcalloc(entry_count, sizeof(*entries));
    struct store_delivery *deliveries = xcalloc(count, sizeof(*deliveries));
    char(*lanes)[STORE_LANE_CHARS_MAX + 1] = xcalloc(count, sizeof(*lanes));
    struct store_commit commit = {
        .now_ms = T0, .claim_until_ms = T0 + 1000, .entries = entries, .entry_count = entry_count};
    char keys[WIDE_ENTRIES][24];

    assert_in_range(entry_count, 1, WIDE_ENTRIES);
    for (size_t i = 0; i < entry_count; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        entries[i] = wide_entry(keys[i], keys[i], delivery_count, &deliveries[i * delivery_count],
                                &lanes[i * delivery_count]);
    }
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(deliveries[i].claim_no != 0);
    }
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, count);
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    for (size_t i = 0; i < entry_count; i++) {
        assert_int_equal(entries[i].verdict, STORE_DUPLICATE);
        assert_string_equal(entries[i].duplicate_of, keys[i]);
    }
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, count);
    xfree(lanes);
    xfree(deliveries);
    xfree(entries);
}

/* Goal: however many targets the events of a request match, each event is committed whole. */
static void s2_a_batch_of_many_deliveries_is_committed_whole(void **state)
{
    commit_wide(*state, WIDE_ENTRIES, WIDE_DELIVERIES);
}

static void s2_the_widest_event_is_committed_whole(void **state)
{
    commit_wide(*state, 1, STORE_ENTRY_DELIVERIES_MAX);
}

/* ---- catalog ------------------------------------------------------------------------------- */

/* Goal: a catalog that is put back goes on above the revisions that were known, and from there. */
static void catalog_revisions_may_be_told_where_to_go_on(void **state)
{
    struct desk *desk = *state;
    struct store_document document = {SLICE("list/x"), SLICE("[1]"), 0};
    struct store_catalog_put first = {.documents = &document, .document_count = 1, .rev_min = 1000};
    struct store_catalog_put second = {.documents = &document, .document_count = 1, .rev_min = 7};
    struct store_catalog_read read = {.since = 999};

    assert_int_equal(desk_run(desk, &first.op, STORE_CATALOG_PUT), ERR_OK);
    assert_int_equal(first.rev, 1000);
    document.rev = first.rev;
    assert_int_equal(desk_run(desk, &second.op, STORE_CATALOG_PUT), ERR_OK);
    assert_int_equal(second.rev, 1001);
    assert_int_equal(desk_run(desk, &read.op, STORE_CATALOG_READ), ERR_OK);
    assert_int_equal(read.rev, 1001);
    assert_int_equal(read.document_count, 1);
    assert_int_equal(read.documents[0].rev, 1001);
    store_catalog_read_clean_up(&read);
}

#define CONTRACT_TESTS_PAGES                                                                       \
    CONTRACT_TEST(a_page_of_dead_letters_is_bounded_by_bytes),                                     \
        CONTRACT_TEST(s2_a_batch_of_many_deliveries_is_committed_whole),                           \
        CONTRACT_TEST(s2_the_widest_event_is_committed_whole),                                     \
        CONTRACT_TEST(catalog_revisions_may_be_told_where_to_go_on)
