/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_redis.c - the Redis engine under the contract suite, on a real redis-server.
 *
 * Each test begins with an empty Redis; the tests of a full store are not among them, since a Redis
 * is full by its maxmemory (tests/integ).
 */
#define ENGINE_COUNTS_BYTES false /* memory of the whole Redis */
#include "tests/unit/storage/store_contract.h"

#include "core/seal.h"
#include "core/tls.h"
#include "tests/lib/redis_daemon.h"

static struct redis_daemon server;
static const char *const flushed[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

static struct store *redis_open(void)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    char url[64];
    struct store *store;
    struct err_why why;

    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)server.port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("aof"),
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static struct store *engine_open(uint64_t bytes_max)
{
    assert_int_equal(bytes_max, 0);
    redis_daemon_start(&server, flushed);
    return redis_open();
}

static void engine_close(void)
{
    redis_daemon_stop(&server);
}

/* Goal: what was committed and its marks outlive kill -9 of Redis, as the guarantee says. */
static void what_was_answered_survives_a_kill_of_redis(void **state)
{
    struct desk *desk = *state;
    struct desk_entry out;
    enum err err;

    assert_string_equal(store_guarantee(desk->store), "aof");
    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    redis_daemon_kill(&server, SIGKILL);
    redis_daemon_run(&server, flushed);
    do {
        err = desk_commit(desk, T0, &marked, &out);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
    } while (err != ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_string_equal(out.entry.duplicate_of, "e-marked");
    assert_int_equal(desk_tally(desk, ACCOUNT_A, NULL).live, 1);
}

/* Goal: two processes on one Redis are one store. */
static void replicas_share_marks_deliveries_and_documents(void **state)
{
    struct desk *desk = *state;
    struct desk other;
    struct desk_event again = marked;
    struct desk_entry out;

    desk_open(&other, redis_open());
    assert_int_equal(desk_commit(desk, T0, &marked, &out), ERR_OK);
    again.id = "e-again";
    assert_int_equal(desk_commit(&other, T0, &again, &out), ERR_OK);
    assert_int_equal(out.entry.verdict, STORE_DUPLICATE);
    assert_string_equal(out.entry.duplicate_of, "e-marked");
    assert_int_equal(desk_tally(&other, ACCOUNT_A, NULL).live, 1);
    assert_true(once_at(desk, "schedule/nightly", T0, T0));
    assert_false(once_at(&other, "schedule/nightly", T0, T0));
    desk_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TESTS,
        CONTRACT_TEST(what_was_answered_survives_a_kill_of_redis),
        CONTRACT_TEST(replicas_share_marks_deliveries_and_documents),
    };

    digest_init();
    return cmocka_run_group_tests_name("store_redis", tests, NULL, NULL);
}
