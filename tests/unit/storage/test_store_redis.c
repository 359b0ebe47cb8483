/* SPDX-License-Identifier: Apache-2.0
 *
 * test_store_redis.c - the Redis engine under the contract suite, on a real redis-server.
 *
 * Each test begins with an empty Redis, whose user may do what deploy/reference/REDIS.md says; the
 * tests of a full store are not among them, since a Redis is full by its maxmemory (tests/integ).
 */
#define ENGINE_COUNTS_BYTES false /* memory of the whole Redis */
#include "tests/unit/storage/store_contract.h"

#include "core/seal.h"
#include "core/tls.h"
#include "tests/lib/redis_daemon.h"

static struct redis_daemon server;
static const char *const flushed[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

/* The user that deploy/reference/REDIS.md describes, in the place of the default one. */
static const char *const *documented_user(void)
{
    enum { RULES_MAX = 64, RULE_CHARS_MAX = 32, PAGE_BYTES_MAX = 16384 };
    static char rules[RULES_MAX][RULE_CHARS_MAX];
    static const char *options[RULES_MAX + 16];
    char page[PAGE_BYTES_MAX];
    FILE *file = fopen(WEIR_SOURCE_DIR "/deploy/reference/REDIS.md", "re");
    size_t count = 0;
    size_t rule_count = 0;
    size_t len;

    assert_non_null(file);
    len = fread(page, 1, sizeof(page) - 1, file);
    assert_true(len < sizeof(page) - 1);
    page[len] = '\0';
    assert_int_equal(fclose(file), 0);
    for (size_t i = 0; flushed[i] != NULL; i++) {
        options[count++] = flushed[i];
    }
    for (const char *const *word = (const char *const[]){"--user", "default", "on", "nopass",
                                                         "resetchannels", "-@all", "~*", NULL};
         *word != NULL; word++) {
        options[count++] = *word;
    }
    for (const char *at = strchr(page, '+'); at != NULL; at = strchr(at + 1, '+')) {
        char *rule = rules[rule_count];
        size_t rule_len = 0;

        assert_true(rule_count < RULES_MAX);
        for (const char *next = at; strchr("` ", *next) == NULL; next++) {
            assert_true(rule_len < RULE_CHARS_MAX - 1);
            if (*next != '\\') { /* which the table wants before a bar */
                rule[rule_len++] = *next;
            }
        }
        options[count++] = rule;
        rule_count++;
    }
    assert_true(rule_count >= 10);
    return options;
}

static struct store *redis_open_waiting(uint64_t wait_replicas)
{
    static const uint8_t seal_key[SEAL_KEY_BYTES] = {7};
    char url[64];
    struct store *store;
    struct err_why why;

    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%u/0", (unsigned)server.port);
    if (store_redis_open(&(struct store_redis_options){.url = slice_of(url),
                                                       .durability = SLICE("aof"),
                                                       .wait_replicas = wait_replicas,
                                                       .seal_key = seal_key},
                         &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

static struct store *redis_open(void)
{
    return redis_open_waiting(0);
}

static struct store *engine_open(uint64_t bytes_max)
{
    assert_int_equal(bytes_max, 0);
    redis_daemon_start(&server, documented_user());
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
    redis_daemon_run(&server, documented_user());
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

/* Goal: what another process has in flight is not sent twice because this one parks the lane. */
static void a_park_ends_the_claims_of_its_own_process(void **state)
{
    struct desk *desk = *state;
    struct desk other;
    struct desk_entry ours;
    struct desk_entry theirs;
    struct desk_event event = plain;
    struct store_ref ref;

    event.claim = true;
    desk_open(&other, redis_open());
    assert_int_equal(desk_commit(desk, T0, &event, &ours), ERR_OK);
    assert_int_equal(desk_commit(&other, T0, &event, &theirs), ERR_OK);
    assert_true(theirs.deliveries[0].claim);
    assert_int_equal(desk_park(desk, LANE_A, 0), ERR_OK);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 1);
    assert_int_equal(ref.seq, ours.entry.seq);
    assert_int_equal(desk_claim(desk, LANE_A, T0, 1, &ref), 0);
    ref = desk_ref(theirs.entry.seq, 0, LANE_A, theirs.deliveries[0].claim_no);
    assert_int_equal(desk_bury(&other, ref, T0 + 1, "given-up"), ERR_OK);
    desk_close(&other);
}

/* Goal:   two live processes never have one claimer, though the numbers come round again: what the
 *         one has in flight stays when the other parks the lane.
 * Method: Redis is told that so many have started that the next number is the first one's. */
static void a_claimer_that_is_alive_is_passed_over(void **state)
{
    enum { CLAIMERS = 1024, NUMBERS = CLAIMERS - 1 }; /* 0 is nobody's */
    struct desk *desk = *state;
    struct desk other;
    struct desk_entry ours;
    struct desk_entry theirs;
    struct desk_event event = plain;
    char command[64];
    char answer[64];
    uint64_t claimer;

    event.claim = true;
    assert_int_equal(desk_commit(desk, T0, &event, &ours), ERR_OK);
    claimer = ours.deliveries[0].claim_no % CLAIMERS;
    assert_in_range(claimer, 1, NUMBERS);
    (void)snprintf(command, sizeof(command), "HSET g:meta processes %" PRIu64 "\r\n",
                   NUMBERS + claimer - 2); /* one less than what gives this claimer */
    redis_daemon_ask(&server, command, answer, sizeof(answer));
    assert_string_equal(answer, ":0\r\n");
    desk_open(&other, redis_open());
    assert_int_equal(desk_commit(&other, T0, &event, &theirs), ERR_OK);
    assert_int_equal(theirs.deliveries[0].claim_no % CLAIMERS, claimer % NUMBERS + 1);
    assert_int_equal(desk_park(&other, LANE_A, 0), ERR_OK);
    assert_int_equal(desk_bury(desk,
                               desk_ref(ours.entry.seq, 0, LANE_A, ours.deliveries[0].claim_no),
                               T0 + 1, "given-up"),
                     ERR_OK);
    desk_close(&other);
}

/* How often Redis has run a command. */
static uint64_t calls_of(const char *command)
{
    char name[64];
    char answer[16384];
    const char *at;

    (void)snprintf(name, sizeof(name), "cmdstat_%s:calls=", command);
    redis_daemon_ask(&server, "INFO commandstats\r\n", answer, sizeof(answer));
    at = strstr(answer, name);
    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* Goal:   a request whose events match many targets is not one long script that holds up everybody:
 *         no call has more than 100 deliveries, unless one event has.
 * Method: Redis counts the scripts; the two a second that every store runs, by what only one of
 * them does, do not count. */
static void many_deliveries_are_committed_in_several_calls(void **state)
{
    struct desk *desk = *state;
    struct store_delivery deliveries[WIDE_ENTRIES][WIDE_DELIVERIES];
    char lanes[WIDE_ENTRIES][WIDE_DELIVERIES][STORE_LANE_CHARS_MAX + 1];
    char ids[WIDE_ENTRIES][24];
    struct store_entry entries[WIDE_ENTRIES];
    struct store_commit commit = {
        .now_ms = T0, .claim_until_ms = T0 + 1000, .entries = entries, .entry_count = WIDE_ENTRIES};
    uint64_t before;
    uint64_t beats_before;

    for (size_t i = 0; i < WIDE_ENTRIES; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "e%zu", i);
        entries[i] = wide_entry(ids[i], ids[i], WIDE_DELIVERIES, deliveries[i], lanes[i]);
    }
    beats_before = calls_of("zremrangebyscore");
    before = calls_of("evalsha");
    assert_int_equal(desk_run(desk, &commit.op, STORE_COMMIT), ERR_OK);
    before = calls_of("evalsha") - before;
    beats_before = 2 * (calls_of("zremrangebyscore") - beats_before);
    assert_in_range(before - MIN_OF(before, beats_before), WIDE_ENTRIES / 2,
                    4 * (size_t)WIDE_ENTRIES);
}

/* Has the only replica said that it has everything?  It says so once a second, unasked. */
static bool is_replica_level(void)
{
    char info[4096];
    const char *replica;
    const char *master;

    redis_daemon_ask(&server, "INFO replication\r\n", info, sizeof(info));
    replica = strstr(info, ",offset=");
    master = strstr(info, "master_repl_offset:");
    return replica != NULL && master != NULL &&
           strtoull(replica + strlen(",offset="), NULL, 10) ==
               strtoull(master + strlen("master_repl_offset:"), NULL, 10);
}

/* Goal:   a commit that the link had to repeat is not answered before a replica has it.
 * Method: the scripts are forgotten while the only replica stands still: the WAIT that was sent
 *         behind the first attempt is true of what came before, and says nothing of this commit. */
static void a_repeated_commit_is_waited_for_again(void **state)
{
    struct redis_daemon replica;
    char port[8];
    const char *const options[] = {"--replicaof", "127.0.0.1", port, NULL};
    char answer[256];
    struct desk desk;
    enum err err;

    (void)state;
    redis_daemon_start(&server, flushed);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)server.port);
    redis_daemon_start(&replica, options);
    do { /* each asks the replica anew, and Redis waits for it for 100 ms */
        redis_daemon_ask(&server, "WAIT 1 100\r\n", answer, sizeof(answer));
    } while (strcmp(answer, ":1\r\n") != 0);
    desk_open(&desk, redis_open_waiting(1));
    do { /* a busy machine may take longer than a commit waits */
        err = desk_commit(&desk, T0, &plain, NULL);
        assert_true(err == ERR_OK || err == ERR_STORE_BUSY);
    } while (err != ERR_OK);
    while (!is_replica_level()) {
        /* asking is what takes the time */
    }
    assert_int_equal(kill(replica.pid, SIGSTOP), 0);
    redis_daemon_ask(&server, "SCRIPT FLUSH\r\n", answer, sizeof(answer));
    assert_string_equal(answer, "+OK\r\n");
    assert_int_equal(desk_commit(&desk, T0, &marked, NULL), ERR_STORE_BUSY);
    assert_int_equal(kill(replica.pid, SIGCONT), 0);
    desk_close(&desk);
    redis_daemon_stop(&replica);
    redis_daemon_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TESTS,
        CONTRACT_TEST(what_was_answered_survives_a_kill_of_redis),
        CONTRACT_TEST(replicas_share_marks_deliveries_and_documents),
        CONTRACT_TEST(a_park_ends_the_claims_of_its_own_process),
        CONTRACT_TEST(a_claimer_that_is_alive_is_passed_over),
        CONTRACT_TEST(many_deliveries_are_committed_in_several_calls),
        cmocka_unit_test(a_repeated_commit_is_waited_for_again),
    };

    digest_init();
    return cmocka_run_group_tests_name("store_redis", tests, NULL, NULL);
}
