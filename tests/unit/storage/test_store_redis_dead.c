/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_redis_dead.c - many dead letters of large events on a shared Redis: looking through
 * them and ending them takes bounded steps, so that the one connection goes on for all others.
 *
 * Redis helps to see that: it ends a connection to which it owes more than 4 MiB, and counts the
 * bytes that it has sent.
 */
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/log.h"
#include "core/seal.h"
#include "tests/lib/redis_daemon.h"
#include "tests/lib/store_desk.h"

enum {
    T0 = 1000000,
    ACCOUNTS = 12, /* each in a partition of its own, or nearly */
    EACH = 25,
    LETTERS = ACCOUNTS * EACH,
    BODY_BYTES = 128 << 10,
    LETTER_BYTES = 512, /* of an answer that has no record in it, at most */
    MIB = 1 << 20,
};

struct stage {
    struct redis_daemon redis;
    struct desk desk;
};

static void account_name(char name[13], size_t i)
{
    (void)snprintf(name, 13, "1111222200%02zu", i);
}

/* One letter of every account at each millisecond from T0 on. */
static void bury_many(struct desk *desk)
{
    char *body = xmalloc(BODY_BYTES + 1);

    memset(body, '1', BODY_BYTES); /* JSON all the same */
    body[BODY_BYTES] = '\0';
    for (size_t i = 0; i < LETTERS; i++) {
        struct desk_entry out;
        char account[13];
        char lane[32];

        account_name(account, i % ACCOUNTS);
        (void)snprintf(lane, sizeof(lane), "%s/t1", account);
        assert_int_equal(desk_commit(desk, T0,
                                     &(struct desk_event){.account = account,
                                                          .id = "e-large",
                                                          .body = body,
                                                          .lanes = {lane},
                                                          .claim = true},
                                     &out),
                         ERR_OK);
        assert_true(out.deliveries[0].claim);
        assert_int_equal(desk_bury(desk,
                                   desk_ref(out.entry.seq, 0, lane, out.deliveries[0].claim_no),
                                   T0 + i / ACCOUNTS, "given-up"),
                         ERR_OK);
    }
    xfree(body);
}

static int setup(void **state)
{
    static const char *const options[] = {"--appendonly", "no", "--client-output-buffer-limit",
                                          "normal 4mb 0 0", NULL};
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    struct stage *stage = xcalloc(1, sizeof(*stage));
    struct store *store;
    struct err_why why;
    char url[64];

    log_set_level(LOG_ERROR);
    redis_daemon_start(&stage->redis, options);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)stage->redis.port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("relaxed"),
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    desk_open(&stage->desk, store);
    bury_many(&stage->desk);
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;

    desk_close(&stage->desk);
    redis_daemon_stop(&stage->redis);
    xfree(stage);
    return 0;
}

static uint64_t bytes_sent(const struct redis_daemon *redis)
{
    static const char name[] = "total_net_output_bytes:";
    char answer[16384];
    const char *at;

    redis_daemon_ask(redis, "INFO stats\r\n", answer, sizeof(answer));
    at = strstr(answer, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

/* How many come on one page behind `*after_id`, which moves on; each with its event. */
static size_t list_page(struct desk *desk, size_t count_max, uint64_t *after_id, bool *has_more)
{
    struct store_dead_list list = {.after_id = *after_id, .count_max = count_max};
    size_t count = 0;

    assert_int_equal(desk_run(desk, &list.op, STORE_DEAD_LIST), ERR_OK);
    LIST_FOREACH (node, &list.dead) {
        struct store_dead *dead = CONTAINER_OF(node, struct store_dead, node);

        assert_true(dead->id > *after_id);
        assert_int_equal(dead->record->body.len, BODY_BYTES);
        *after_id = dead->id;
        count++;
        list_remove(node);
        store_dead_free(dead);
    }
    *has_more = list.has_more;
    return count;
}

/* Goal: a page brings its own records and hardly more, and all pages together bring each letter. */
static void a_page_reads_no_more_than_it_shows(void **state)
{
    enum { PAGE = 10 };
    struct stage *stage = *state;
    const uint64_t before = bytes_sent(&stage->redis);
    uint64_t after_id = 0;
    bool has_more;
    size_t count = list_page(&stage->desk, PAGE, &after_id, &has_more);

    assert_int_equal(count, PAGE);
    assert_true(has_more);
    assert_in_range(bytes_sent(&stage->redis) - before, PAGE * BODY_BYTES,
                    (PAGE + 1) * BODY_BYTES + LETTERS * LETTER_BYTES + MIB / 2);
    while (has_more) {
        count += list_page(&stage->desk, LETTERS, &after_id, &has_more);
    }
    assert_int_equal(count, LETTERS);
}

static uint64_t edit(struct desk *desk, enum store_dead_edit_kind kind, bool dry_run,
                     const struct store_dead_filter *filter)
{
    struct store_dead_edit edit = {
        .edit = kind, .filter = *filter, .now_ms = T0 + 1000, .dry_run = dry_run};

    assert_int_equal(desk_run(desk, &edit.op, STORE_DEAD_EDIT), ERR_OK);
    return edit.count;
}

/* Goal: what only records say is read of all of them, a bounded part at a time. */
static void records_that_are_needed_come_in_parts(void **state)
{
    struct desk *desk = &((struct stage *)*state)->desk;
    const struct store_dead_filter ours = {.rule = SLICE("rule")};
    const struct store_dead_filter others = {.target_id = SLICE("another")};
    const struct store_dead_filter some = {.account = SLICE("111122220000"),
                                           .bus = SLICE("central")};

    assert_int_equal(edit(desk, STORE_DEAD_DROP, true, &ours), LETTERS);
    assert_int_equal(edit(desk, STORE_DEAD_DROP, false, &others), 0);
    assert_int_equal(edit(desk, STORE_DEAD_REDRIVE, false, &some), EACH);
    assert_int_equal(desk_tally(desk, "111122220000", NULL).live, EACH);
}

/* Goal: where the letter says enough its event is not read: the retention's sweep, all, one
 * account. */
static void what_letters_say_themselves_is_not_read_from_records(void **state)
{
    struct stage *stage = *state;
    struct desk *desk = &stage->desk;
    const uint64_t before = bytes_sent(&stage->redis);
    const struct store_dead_filter old = {.until_ms = T0 + 10};
    const struct store_dead_filter one_account = {.account = SLICE("111122220003")};
    const struct store_dead_filter all = {.account = SLICE("")};

    assert_int_equal(edit(desk, STORE_DEAD_DROP, true, &all), LETTERS - EACH);
    assert_int_equal(edit(desk, STORE_DEAD_EXPIRE, false, &old), (ACCOUNTS - 1) * 10);
    assert_int_equal(edit(desk, STORE_DEAD_REDRIVE, false, &one_account), EACH - 10);
    assert_int_equal(edit(desk, STORE_DEAD_DROP, false, &all), (ACCOUNTS - 2) * (EACH - 10));
    assert_int_equal(edit(desk, STORE_DEAD_DROP, false, &all), 0);
    assert_in_range(bytes_sent(&stage->redis) - before, 1, 3 * LETTERS * LETTER_BYTES + MIB / 2);
    assert_int_equal(desk_tally(desk, "111122220003", NULL).live, EACH - 10);
    assert_int_equal(desk_tally(desk, "111122220004", NULL).expired, 10);
    assert_int_equal(desk_tally(desk, "111122220004", NULL).dropped, EACH - 10);
}

/* In this order: the first leaves all letters, the second those of all accounts but one. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_reads_no_more_than_it_shows),
        cmocka_unit_test(records_that_are_needed_come_in_parts),
        cmocka_unit_test(what_letters_say_themselves_is_not_read_from_records),
    };

    digest_init();
    return cmocka_run_group_tests_name("store_redis_dead", tests, setup, teardown);
}
