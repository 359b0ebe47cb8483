/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dedup.c - which entries get which mark and which guard, and whose are equal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/check.h"
#include "gateway/dedup.h"

enum {
    WINDOW_MS = 300000,
    ALL = ACCOUNT_DEDUP_EXPLICIT | ACCOUNT_DEDUP_ID | ACCOUNT_DEDUP_INVOCATION |
          ACCOUNT_DEDUP_SIGNATURE,
};

/* An entry as a test writes it down. */
struct entry {
    unsigned by;
    uint64_t window_ms;
    char signature; /* all of its characters; 0: an api key */
    const char *invocation;
    const char *explicit_id;
    const char *envelope_id; /* NULL: a PutEvents entry */
    const char *detail;
    const char *account;
    const char *credential;
    const char *bus;
    size_t index;
};

/* A boto3 call. */
static const struct entry usual = {.by = ALL,
                                   .window_ms = WINDOW_MS,
                                   .signature = 'a',
                                   .invocation = "i-1",
                                   .detail = "{}",
                                   .account = "111122223333",
                                   .credential = "AKIA1",
                                   .bus = "default"};

static struct slice text_of(const char *text)
{
    return text != NULL ? slice_of(text) : SLICE("");
}

static struct store_entry plan(const struct entry *entry)
{
    const struct credential credential = {.id = slice_of(entry->credential)};
    const struct account account = {
        .id = slice_of(entry->account), .dedup_window_ms = entry->window_ms, .dedup_by = entry->by};
    const struct event_draft draft = {
        .bytes = entry->envelope_id != NULL ? slice_of(entry->detail) : (struct slice){NULL, 0},
        .id = text_of(entry->envelope_id),
        .source = SLICE("com.example"),
        .detail = slice_of(entry->detail),
    };
    struct principal principal = {.credential = &credential,
                                  .has_signature = entry->signature != 0,
                                  .invocation_id = text_of(entry->invocation)};
    struct store_entry stored = {.event_id = SLICE("e")};

    memset(principal.signature, entry->signature, sizeof(principal.signature));
    dedup_plan(&(struct dedup_facts){.principal = &principal,
                                     .account = &account,
                                     .draft = &draft,
                                     .bus_name = slice_of(entry->bus),
                                     .explicit_id = text_of(entry->explicit_id),
                                     .index = entry->index},
               &stored);
    return stored;
}

static bool same(const struct digest *a, const struct digest *b)
{
    return slice_eq(digest_slice(a), digest_slice(b));
}

/* ---- the mark ------------------------------------------------------------------------------ */

static void test_layers_in_their_order(void **state)
{
    struct entry entry = usual;
    struct store_entry keys[4];
    static const unsigned layers[] = {ACCOUNT_DEDUP_EXPLICIT, ACCOUNT_DEDUP_ID,
                                      ACCOUNT_DEDUP_INVOCATION, ACCOUNT_DEDUP_SIGNATURE};

    (void)state;
    entry.explicit_id = "x-1";
    entry.envelope_id = "id-1";
    for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
        struct store_entry with_later;

        entry.by = layers[i];
        keys[i] = plan(&entry);
        assert_true(keys[i].has_mark);
        entry.by = ALL & ~(layers[i] - 1); /* this one and those behind it: this one counts */
        with_later = plan(&entry);
        assert_true(same(&keys[i].key, &with_later.key));
        for (size_t k = 0; k < i; k++) {
            assert_false(same(&keys[i].key, &keys[k].key));
        }
    }
    assert_int_equal(keys[0].mark_ttl_ms, WINDOW_MS);
    assert_int_equal(keys[1].mark_ttl_ms, WINDOW_MS);
    assert_int_equal(keys[2].mark_ttl_ms, 360000);
    assert_int_equal(keys[3].mark_ttl_ms, 360000);
}

static void test_what_belongs_to_a_mark(void **state)
{
    const struct {
        const char *what;
        struct entry a;
        struct entry b;
        bool is_same_key;
    } rows[] = {
        {"a retry, signed anew", usual, {.signature = 'b'}, true},
        {"another call", usual, {.invocation = "i-2"}, false},
        {"another entry of the call", usual, {.index = 1}, false},
        {"another bus", usual, {.bus = "other"}, false},
        {"another account", usual, {.account = "444455556666"}, false},
        {"another caller's call", usual, {.credential = "AKIA2"}, false},
        {"other content", usual, {.detail = "{\"n\":1}"}, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct entry b = usual;
        struct store_entry plans[2];

        b.signature = rows[i].b.signature != 0 ? rows[i].b.signature : b.signature;
        b.invocation = rows[i].b.invocation != NULL ? rows[i].b.invocation : b.invocation;
        b.index = rows[i].b.index;
        b.bus = rows[i].b.bus != NULL ? rows[i].b.bus : b.bus;
        b.account = rows[i].b.account != NULL ? rows[i].b.account : b.account;
        b.credential = rows[i].b.credential != NULL ? rows[i].b.credential : b.credential;
        b.detail = rows[i].b.detail != NULL ? rows[i].b.detail : b.detail;
        plans[0] = plan(&rows[i].a);
        plans[1] = plan(&b);
        if (same(&plans[0].key, &plans[1].key) != rows[i].is_same_key) {
            fail_msg("%s", rows[i].what);
        }
        assert_true(same(&plans[0].content, &plans[1].content) == (rows[i].b.detail == NULL));
    }
}

static void test_an_id_names_its_event_by_any_way(void **state)
{
    struct entry a = usual;
    struct entry b = usual;
    struct store_entry plans[2];

    (void)state;
    a.envelope_id = b.envelope_id = "id-1";
    b.index = 3;
    b.signature = 0;
    b.credential = "key-2";
    b.invocation = NULL;
    plans[0] = plan(&a);
    plans[1] = plan(&b);
    assert_true(same(&plans[0].key, &plans[1].key));
    assert_true(same(&plans[0].content, &plans[1].content));
    assert_false(plans[1].has_guard); /* an api key signs nothing */
}

static void test_no_mark(void **state)
{
    struct entry entry = usual;

    (void)state;
    entry.by = 0;
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.window_ms = 0;
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.by = ACCOUNT_DEDUP_ID; /* a PutEvents entry has none */
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.signature = 0;
    entry.invocation = NULL;
    assert_false(plan(&entry).has_mark);
}

/* ---- the guard ----------------------------------------------------------------------------- */

/* Nothing that can be changed without the secret, and nothing that an account can set, matters. */
static void test_a_guard_follows_the_signature_alone(void **state)
{
    const struct store_entry first = plan(&usual);
    struct entry replays[7];

    (void)state;
    assert_true(first.has_guard);
    assert_int_equal(first.guard_ttl_ms, DEDUP_GUARD_MS);
    assert_int_equal(first.guard_grace_ms, 2000);
    assert_false(same(&first.guard_key, &first.key));
    for (size_t i = 0; i < ARRAY_LEN(replays); i++) {
        replays[i] = usual;
    }
    replays[0].invocation = "i-2";
    replays[1].invocation = NULL;
    replays[2].explicit_id = "x-1";
    replays[3].by = 0;
    replays[4].by = ACCOUNT_DEDUP_ID;
    replays[5].window_ms = 0;
    replays[6].by = ACCOUNT_DEDUP_SIGNATURE;
    for (size_t i = 0; i < ARRAY_LEN(replays); i++) {
        const struct store_entry replay = plan(&replays[i]);

        assert_true(replay.has_guard);
        assert_true(same(&first.guard_key, &replay.guard_key));
        assert_int_equal(replay.guard_ttl_ms, first.guard_ttl_ms);
    }
}

static void test_what_a_guard_tells_apart(void **state)
{
    const struct store_entry first = plan(&usual);
    struct entry others[4] = {usual, usual, usual, usual};

    (void)state;
    others[0].signature = 'b';
    others[1].index = 1;
    others[2].account = "444455556666";
    others[3].credential = "AKIA2";
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct store_entry other = plan(&others[i]);

        assert_false(same(&first.guard_key, &other.guard_key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_in_their_order),
        cmocka_unit_test(test_what_belongs_to_a_mark),
        cmocka_unit_test(test_an_id_names_its_event_by_any_way),
        cmocka_unit_test(test_no_mark),
        cmocka_unit_test(test_a_guard_follows_the_signature_alone),
        cmocka_unit_test(test_what_a_guard_tells_apart),
    };

    digest_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
