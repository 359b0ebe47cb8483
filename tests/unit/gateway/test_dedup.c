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
#include "gateway/dedup_config.h"

enum { WINDOW_MS = 300000 };

/* `dedup.by` as the catalog has it. */
static const char all[] = "[\"explicit\",\"id\",\"invocation\",\"signature\"]";

/* An entry as a test writes it down. */
struct entry {
    const char *by; /* NULL: the default */
    uint64_t window_ms;
    char signature; /* all of its characters; 0: an api key */
    const char *invocation;
    const char *explicit_id;
    const char *envelope_id; /* NULL: a PutEvents entry */
    const char *detail;
    const char *source;
    const char *detail_type;
    const char *account;
    const char *credential;
    const char *bus;
    size_t index;
};

/* A boto3 call. */
static const struct entry usual = {.by = all,
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
    json_t *by = entry->by != NULL ? json_loads(entry->by, 0, NULL) : NULL;
    struct arena arena = {0};
    struct account account = {.id = slice_of(entry->account), .dedup_window_ms = entry->window_ms};
    const struct event_draft draft = {
        .bytes = entry->envelope_id != NULL ? slice_of(entry->detail) : (struct slice){NULL, 0},
        .id = text_of(entry->envelope_id),
        .source = entry->source != NULL ? slice_of(entry->source) : SLICE("com.example"),
        .detail_type =
            entry->detail_type != NULL ? slice_of(entry->detail_type) : SLICE("Something"),
        .detail = slice_of(entry->detail),
    };
    struct principal principal = {.credential = &credential,
                                  .has_signature = entry->signature != 0,
                                  .invocation_id = text_of(entry->invocation)};
    struct store_entry stored = {.event_id = SLICE("e")};

    account.dedup = dedup_config_read(by, &arena, &account.dedup_count);
    memset(principal.signature, entry->signature, sizeof(principal.signature));
    dedup_plan(&(struct dedup_facts){.principal = &principal,
                                     .account = &account,
                                     .draft = &draft,
                                     .bus_name = slice_of(entry->bus),
                                     .explicit_id = text_of(entry->explicit_id),
                                     .index = entry->index,
                                     .arena = &arena},
               &stored);
    arena_clean_up(&arena);
    json_decref(by);
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
    static const char *const alone[] = {"[\"explicit\"]", "[\"id\"]", "[\"invocation\"]",
                                        "[\"signature\"]"};
    static const char *const with_later[] = {
        NULL, "[\"id\",\"invocation\",\"signature\",\"explicit\"]",
        "[\"invocation\",\"signature\",\"id\"]", "[\"signature\",\"explicit\"]"};

    (void)state;
    entry.explicit_id = "x-1";
    entry.envelope_id = "id-1";
    for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
        struct store_entry first;

        entry.by = alone[i];
        keys[i] = plan(&entry);
        assert_true(keys[i].has_mark);
        entry.by = with_later[i]; /* this one and those behind it: this one counts */
        first = plan(&entry);
        assert_true(same(&keys[i].key, &first.key));
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
    entry.by = "[]";
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.window_ms = 0;
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.by = "[\"id\"]"; /* a PutEvents entry has none */
    assert_false(plan(&entry).has_mark);
    entry = usual;
    entry.signature = 0;
    entry.invocation = NULL;
    assert_false(plan(&entry).has_mark);
}

/* ---- what the event says --------------------------------------------------------------------- */

static const char guardduty[] = "{\"id\":\"f-1\",\"updatedAt\":\"t-1\",\"severity\":5}";

static struct store_entry say(const char *by, const char *source, const char *detail_type,
                              const char *detail)
{
    struct entry entry = usual;

    entry.by = by;
    entry.source = source;
    entry.detail_type = detail_type;
    entry.detail = detail;
    return plan(&entry);
}

static void test_content_is_an_identity(void **state)
{
    const char by[] = "[\"content\"]";
    const struct store_entry first = say(by, "a", "t", "{\"n\": 1, \"m\": \"x y\"}");
    const struct store_entry spaced = say(by, "a", "t", "{\"n\":1,\r\n\t\"m\":\"x y\"}");
    const struct store_entry others[] = {
        say(by, "a", "t", "{\"n\":1,\"m\":\"xy\"}"),
        say(by, "a", "t", "{\"m\":\"x y\",\"n\":1}"),
        say(by, "a", "t", "{\"n\":1.0,\"m\":\"x y\"}"),
        say(by, "b", "t", "{\"n\":1,\"m\":\"x y\"}"),
        say(by, "a", "u", "{\"n\":1,\"m\":\"x y\"}"),
    };

    (void)state;
    assert_true(first.has_mark);
    assert_int_equal(first.mark_ttl_ms, WINDOW_MS);
    assert_true(same(&first.key, &spaced.key));
    assert_true(same(&first.content, &spaced.content));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(same(&first.key, &others[i].key));
    }
}

/* With another title it is the same finding: no conflict. */
static void test_a_finding_is_known_by_its_identity_alone(void **state)
{
    const char by[] = "[\"finding\"]";
    const struct store_entry first = say(by, "aws.guardduty", "GuardDuty Finding", guardduty);
    const struct store_entry again =
        say(by, "aws.guardduty", "GuardDuty Finding",
            "{\"updatedAt\":\"t-1\",\"title\":\"other\",\"id\":\"f-1\"}");
    const struct store_entry update = say(by, "aws.guardduty", "GuardDuty Finding",
                                          "{\"id\":\"f-1\",\"updatedAt\":\"t-2\",\"severity\":5}");

    (void)state;
    assert_true(first.has_mark);
    assert_true(same(&first.key, &again.key));
    assert_true(same(&first.content, &again.content));
    assert_false(same(&first.key, &update.key));
}

/* The order of the list is the order of application, and what does not apply is passed over. */
static void test_the_first_layer_that_applies(void **state)
{
    const char finding[] = "[\"finding\"]";
    const char content[] = "[\"content\"]";
    const char invocation[] = "[\"invocation\"]";
    const char id[] = "[\"detail.id\"]";
    const struct {
        const char *by;
        const char *alone;
        const char *source;
        const char *detail;
    } rows[] = {
        {"[\"finding\",\"invocation\"]", finding, "aws.guardduty", guardduty},
        {"[\"invocation\",\"finding\"]", invocation, "aws.guardduty", guardduty},
        {"[\"finding\",\"invocation\"]", invocation, "com.example", guardduty},
        {"[\"finding\",\"content\"]", content, "aws.guardduty", "{\"id\":\"f-1\"}"},
        {"[\"content\",\"finding\"]", content, "aws.guardduty", guardduty},
        {"[{\"paths\":[\"detail.id\"]},\"finding\"]", id, "aws.guardduty", guardduty},
        {"[{\"paths\":[\"detail.none\"]},\"finding\"]", finding, "aws.guardduty", guardduty},
        {"[{\"paths\":[\"detail.none\"]},{\"paths\":[\"detail.id\"]}]", id, "x", guardduty},
        {"[\"explicit\",\"id\",\"content\"]", content, "x", guardduty},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct store_entry both =
            say(rows[i].by, rows[i].source, "GuardDuty Finding", rows[i].detail);
        const struct store_entry one =
            say(rows[i].alone, rows[i].source, "GuardDuty Finding", rows[i].detail);

        if (!both.has_mark || !one.has_mark || !same(&both.key, &one.key)) {
            fail_msg("%s", rows[i].by);
        }
    }
    assert_false(say("[\"detail.none\"]", "x", "t", guardduty).has_mark);
    assert_false(say("[\"detail.id\",\"detail.none\"]", "x", "t", guardduty).has_mark);
}

/* Who may suppress whom: nobody another account's event, and by paths or finding no other source's.
 */
static void test_what_bounds_a_saying(void **state)
{
    static const char *const layers[] = {"[\"content\"]", "[\"finding\"]", "[\"detail.id\"]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
        struct entry entry = usual;
        struct store_entry first;
        struct store_entry other;

        entry.by = layers[i];
        entry.source = "aws.guardduty";
        entry.detail_type = "GuardDuty Finding";
        entry.detail = guardduty;
        first = plan(&entry);
        entry.credential = "AKIA2";
        entry.index = 4;
        other = plan(&entry);
        assert_true(same(&first.key, &other.key));
        entry.account = "444455556666";
        other = plan(&entry);
        assert_false(same(&first.key, &other.key));
        entry.account = usual.account;
        entry.bus = "other";
        other = plan(&entry);
        assert_false(same(&first.key, &other.key));
        entry.bus = usual.bus;
        entry.source = "com.example";
        other = plan(&entry);
        assert_false(other.has_mark && same(&first.key, &other.key));
    }
}

static void test_explicit_ids(void **state)
{
    char longest[DEDUP_EXPLICIT_CHARS_MAX + 1];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_true(dedup_is_explicit_id((struct slice){longest, DEDUP_EXPLICIT_CHARS_MAX}));
    assert_false(dedup_is_explicit_id((struct slice){longest, DEDUP_EXPLICIT_CHARS_MAX + 1}));
    assert_true(dedup_is_explicit_id(SLICE("a/b:c=~!\"{}")));
    assert_false(dedup_is_explicit_id(SLICE("")));
    assert_false(dedup_is_explicit_id(SLICE("a b")));
    assert_false(dedup_is_explicit_id(SLICE("a\tb")));
    assert_false(dedup_is_explicit_id(SLICE("\xc3\xa9")));
    assert_false(dedup_is_explicit_id(SLICE("\x7f")));
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
    replays[3].by = "[]";
    replays[4].by = "[\"id\"]";
    replays[5].window_ms = 0;
    replays[6].by = "[\"signature\"]";
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
        cmocka_unit_test(test_content_is_an_identity),
        cmocka_unit_test(test_a_finding_is_known_by_its_identity_alone),
        cmocka_unit_test(test_the_first_layer_that_applies),
        cmocka_unit_test(test_what_bounds_a_saying),
        cmocka_unit_test(test_explicit_ids),
        cmocka_unit_test(test_a_guard_follows_the_signature_alone),
        cmocka_unit_test(test_what_a_guard_tells_apart),
    };

    digest_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
