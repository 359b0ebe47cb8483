/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_check.c - which settings of a real Redis are refused, and what is published about the
 * others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "storage/redis_check.h"
#include "tests/lib/redis_asker.h"
#include "tests/lib/redis_daemon.h"

static struct ev_loop *loop;
static struct redis_daemon server;
static struct redis_link *admin; /* past any check */

static int start_server(void **state)
{
    struct redis_link_options options;

    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    redis_daemon_start(&server, (const char *const[]){"--appendonly", "yes", "--appendfsync",
                                                      "always", "--maxmemory", "100mb", NULL});
    options = redis_link_defaults(loop);
    options.port = server.port;
    admin = redis_link_new(&options);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    redis_link_destroy(admin);
    redis_daemon_stop(&server);
    ev_loop_destroy(loop);
    return 0;
}

static void set(const char *name, const char *value)
{
    struct asked asked;

    asker_send(admin, &asked, "CONFIG", "SET", name, value, NULL);
    asker_await(loop, &asked);
    if (asked.err != ERR_OK) {
        fail_msg("CONFIG SET %s %s: %s", name, value, asked.text);
    }
}

/* A link behind a check. */
struct checked {
    struct redis_check *check;
    struct redis_link *link;
};

static struct checked open_checked(const char *durability, uint64_t wait_replicas, uint16_t port,
                                   struct slice user, struct slice password_file)
{
    const struct redis_check_options check_options = {.durability = slice_of(durability),
                                                      .wait_replicas = wait_replicas};
    struct redis_link_options options = redis_link_defaults(loop);
    struct checked checked = {.check = redis_check_new(&check_options)};

    options.port = port;
    options.user = user;
    options.password_file = password_file;
    options.probe_ms = 20;
    options.refused_ms = 20;
    options.recheck_ms = 20;
    options.on_greeted = redis_check_on_greeted;
    options.context = checked.check;
    checked.link = redis_link_new(&options);
    return checked;
}

static void close_checked(struct checked *checked)
{
    redis_link_destroy(checked->link);
    redis_check_destroy(checked->check);
}

/* Until everything was asked after this moment. */
static const struct redis_verdict *await_check(const struct checked *checked)
{
    const struct redis_verdict *verdict = redis_check_verdict(checked->check);
    const uint64_t before = verdict->check_count;

    while (verdict->check_count < before + 2) { /* the next may be under way already */
        (void)ev_run(loop, EVRUN_ONCE);
    }
    return verdict;
}

/* Goal: each setting gives exactly the guarantee that it deserves, also when it changes later. */
static void test_guarantees(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *durability;
        const char *guarantee;
    } rows[] = {
        {"appendfsync", "always", "aof", "aof"},
        {"appendfsync", "always", "managed-log", "aof"},
        {"appendfsync", "always", "relaxed", "relaxed: as configured"},
        {"appendfsync", "everysec", "aof", "relaxed: appendfsync everysec"},
        {"appendfsync", "no", "aof", "relaxed: appendfsync no"},
        {"appendonly", "no", "aof", "relaxed: no append-only file"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checked checked =
            open_checked(rows[i].durability, 1, server.port, SLICE(""), SLICE(""));
        const struct redis_verdict *verdict = await_check(&checked);

        set(rows[i].name, rows[i].value);
        verdict = await_check(&checked);
        assert_int_equal(verdict->err, ERR_OK);
        assert_true(verdict->may_commit);
        assert_string_equal(verdict->guarantee, rows[i].guarantee);
        assert_int_equal(redis_link_trouble(checked.link), ERR_OK);
        assert_int_equal(strlen(verdict->replid), 40);
        assert_in_range(verdict->clock_offset_ms + 1000, 0, 2000);
        assert_int_equal(verdict->max_bytes, 100 << 20);
        assert_int_equal(verdict->used_percent, verdict->used_bytes * 100 / verdict->max_bytes);
        close_checked(&checked);
        set("appendonly", "yes");
        set("appendfsync", "always");
    }
}

/* Goal: a Redis that evicts, or does not flush while it rewrites, is never let through; when it
 * becomes so later, commits stop and everything else goes on, until it is set right. */
static void test_refused_settings(void **state)
{
    static const struct {
        const char *name;
        const char *bad;
        const char *good;
        const char *word;
    } rows[] = {
        {"maxmemory-policy", "allkeys-lru", "noeviction", "maxmemory-policy"},
        {"maxmemory-policy", "volatile-ttl", "noeviction", "maxmemory-policy"},
        {"no-appendfsync-on-rewrite", "yes", "no", "no-appendfsync-on-rewrite"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checked checked;
        const struct redis_verdict *verdict;
        struct asked asked;

        set(rows[i].name, rows[i].bad);
        checked = open_checked("aof", 1, server.port, SLICE(""), SLICE(""));
        verdict = await_check(&checked);
        assert_int_equal(verdict->err, ERR_BAD_CONFIG);
        assert_non_null(strstr(verdict->reason, rows[i].word));
        assert_int_equal(redis_link_trouble(checked.link), ERR_BAD_CONFIG);
        assert_int_equal(redis_link_connect_count(checked.link), 0);
        asker_send(checked.link, &asked, "PING", NULL);
        asker_await(loop, &asked);
        assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);

        set(rows[i].name, rows[i].good);
        verdict = await_check(&checked);
        assert_int_equal(verdict->err, ERR_OK);
        assert_int_equal(redis_link_connect_count(checked.link), 1);

        set(rows[i].name, rows[i].bad);
        verdict = await_check(&checked);
        assert_false(verdict->may_commit);
        assert_int_equal(verdict->err, ERR_BAD_CONFIG);
        asker_send(checked.link, &asked, "PING", NULL);
        asker_await(loop, &asked);
        assert_int_equal(asked.err, ERR_OK);
        assert_int_equal(redis_link_connect_count(checked.link), 1);
        set(rows[i].name, rows[i].good);
        assert_true(await_check(&checked)->may_commit);
        close_checked(&checked);
    }
}

/* The user "weir" may do everything, but for `rules`. */
static void set_user(const char *rules)
{
    struct slice words[32] = {SLICE("ACL"), SLICE("SETUSER"), SLICE("weir"), SLICE("reset"),
                              SLICE("on"),  SLICE(">secret"), SLICE("~*"),   SLICE("+@all")};
    struct slice rest = slice_of(rules);
    size_t count = 8;
    struct asked asked;

    while (rest.len > 0) {
        assert_true(count < ARRAY_LEN(words));
        words[count++] = slice_cut(&rest, ' ');
    }
    asker_submit(admin, &asked,
                 &(struct redis_command){.args = words, .arg_count = count, .timeout_ms = ASK_MS});
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_OK);
}

/* Goal: where CONFIG is forbidden, nothing is claimed that was not seen, unless the operator says
 * that the service keeps a log; where INFO is forbidden too, it is not used. */
static void test_forbidden_questions(void **state)
{
    static const struct {
        const char *rule;
        const char *durability;
        enum err err;
        const char *guarantee;
    } rows[] = {
        {"-config", "aof", ERR_OK, "relaxed: settings cannot be verified"},
        {"-config", "managed-log", ERR_OK, "managed-log"},
        {"-info", "aof", ERR_BAD_CONFIG, NULL},
        /* what deploy/reference/REDIS.md says is needed, is enough */
        {"-@all +client|setname +select +cluster|slots +asking +script|load +evalsha +info +time "
         "+config|get",
         "aof", ERR_OK, "aof"},
    };
    char path[96];
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/password", server.folder);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fchmod(fileno(file), 0600), 0);
    assert_true(fputs("secret", file) >= 0);
    assert_int_equal(fclose(file), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checked checked;
        const struct redis_verdict *verdict;

        set_user(rows[i].rule);
        checked = open_checked(rows[i].durability, 1, server.port, SLICE("weir"), slice_of(path));
        verdict = await_check(&checked);
        assert_int_equal(verdict->err, rows[i].err);
        if (rows[i].guarantee != NULL) {
            assert_string_equal(verdict->guarantee, rows[i].guarantee);
        }
        close_checked(&checked);
    }
}

/* Goal: with a replica, "aof" is only said when commits wait for it and Redis insists on it; and a
 * replica itself is not used, until it is promoted, which is noticed. */
static void test_replicas(void **state)
{
    struct redis_daemon replica;
    struct checked checked;
    struct checked on_replica;
    const struct redis_verdict *verdict;
    char port[8];
    struct asked asked;
    struct redis_link_options options = redis_link_defaults(loop);
    struct redis_link *replica_admin;

    (void)state;
    (void)snprintf(port, sizeof(port), "%u", (unsigned)server.port);
    redis_daemon_start(&replica, (const char *const[]){"--replicaof", "127.0.0.1", port, NULL});
    checked = open_checked("aof", 1, server.port, SLICE(""), SLICE(""));
    do {
        verdict = await_check(&checked);
    } while (verdict->replica_count == 0);
    assert_string_equal(verdict->guarantee, "relaxed: min-replicas-to-write is 0");
    set("min-replicas-to-write", "1");
    assert_string_equal(await_check(&checked)->guarantee, "aof");
    close_checked(&checked);
    checked = open_checked("aof", 0, server.port, SLICE(""), SLICE(""));
    assert_string_equal(await_check(&checked)->guarantee, "relaxed: commits wait for no replica");
    close_checked(&checked);
    set("min-replicas-to-write", "0");

    on_replica = open_checked("relaxed", 1, replica.port, SLICE(""), SLICE(""));
    verdict = await_check(&on_replica);
    assert_int_equal(verdict->err, ERR_STORE_BUSY);
    assert_int_equal(redis_link_connect_count(on_replica.link), 0);
    options.port = replica.port;
    replica_admin = redis_link_new(&options);
    asker_send(replica_admin, &asked, "REPLICAOF", "NO", "ONE", NULL);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_OK);
    verdict = await_check(&on_replica);
    assert_int_equal(verdict->err, ERR_OK);
    assert_int_equal(verdict->replid_changes, 1);
    redis_link_destroy(replica_admin);
    close_checked(&on_replica);
    redis_daemon_stop(&replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guarantees),
        cmocka_unit_test(test_refused_settings),
        cmocka_unit_test(test_forbidden_questions),
        cmocka_unit_test(test_replicas),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
