/* SPDX-License-Identifier: Apache-2.0
 *
 * model_store_redis.c - the Redis engine, on a real redis-server, and its oracle, compared over
 * random operations.
 *
 * Redis is sometimes killed between bursts and run again on its append-only file: claims and parks
 * lie in it, so the oracle forgets nothing.  Time moves with every operation, since a claim is
 * known by its end.  What Redis ends by its own clock is not compared: moments, and what marks
 * weigh.
 */
#include "tests/model/store_compare.h"

#include "core/seal.h"
#include "tests/lib/redis_daemon.h"

enum { SEEDS = 4, BURSTS = 200 };

static struct redis_daemon server;
static const char *const flushed[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

static struct store *open_redis(struct model *model)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    char url[64];
    struct store *store;
    struct err_why why;

    (void)model;
    redis_daemon_start(&server, flushed);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)server.port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("aof"),
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static void restart_redis(struct model *model)
{
    enum err err;

    redis_daemon_kill(&server, SIGKILL);
    redis_daemon_run(&server, flushed);
    do {
        struct store_tally tally = {.bytes_used = 0};

        err = desk_run(&model->desks[1], &tally.op, STORE_TALLY);
        store_tally_clean_up(&tally);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
    } while (err != ERR_OK);
}

static void close_redis(struct model *model)
{
    (void)model;
    redis_daemon_stop(&server);
}

/* Goal:   the Redis engine answers as the oracle does, through kills of Redis.
 * Method: the same random bursts for both; every answer compared. */
static void the_redis_store_agrees_with_the_oracle(void **state)
{
    static const struct model_engine redis = {.name = "redis",
                                              .archive_bytes_max = UINT64_C(1) << 40,
                                              .restart_one_in = 60,
                                              .ms_apart_min = 1,
                                              .keeps_counts = true,
                                              .has_steps = true,
                                              .open = open_redis,
                                              .restart = restart_redis,
                                              .close = close_redis};

    (void)state;
    run_seeds(&redis, SEEDS, BURSTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_redis_store_agrees_with_the_oracle),
    };

    digest_init();
    return cmocka_run_group_tests_name("model_store_redis", tests, NULL, NULL);
}
