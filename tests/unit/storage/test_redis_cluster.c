/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_cluster.c - a cluster of three real nodes looks like one Redis: slots, redirections,
 * scripts, a slot on its way from one node to another, and a node that dies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "storage/redis_internal.h"
#include "tests/lib/redis_asker.h"
#include "tests/lib/redis_daemon.h"

enum { NODES = 3, KEYS = 64 };

static struct ev_loop *loop;
static struct redis_daemon servers[NODES];
static struct redis_link *admins[NODES]; /* to one node each */
static char ids[NODES][64];

static struct redis_link *open_link(uint16_t port)
{
    struct redis_link_options options = redis_link_defaults(loop);

    options.port = port;
    options.probe_ms = 20;
    return redis_link_new(&options);
}

#define ASK(link, asked, ...)                                                                      \
    do {                                                                                           \
        asker_send(link, asked, __VA_ARGS__, NULL);                                                \
        asker_await(loop, asked);                                                                  \
    } while (0)

/* Words for one node itself: without a key, so that no map can send them elsewhere. */
static void tell(size_t node, struct asked *asked, const struct slice *words, size_t count)
{
    asker_submit(admins[node], asked,
                 &(struct redis_command){.args = words, .arg_count = count, .timeout_ms = ASK_MS});
    asker_await(loop, asked);
    if (asked->err != ERR_OK) {
        fail_msg("%.*s: %s", SLICE_ARG(words[1]), asked->text);
    }
}
#define TELL(node, asked, ...)                                                                     \
    tell(node, asked, (const struct slice[]){__VA_ARGS__},                                         \
         sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

static void await_state_ok(size_t node)
{
    struct asked asked;

    do {
        TELL(node, &asked, SLICE("CLUSTER"), SLICE("INFO"));
    } while (strstr(asked.text, "cluster_state:ok") == NULL ||
             strstr(asked.text, "cluster_slots_assigned:16384") == NULL ||
             strstr(asked.text, "cluster_known_nodes:3") == NULL);
}

static int start_cluster(void **state)
{
    static const struct slice ranges[NODES][2] = {{SLICE_INIT("0"), SLICE_INIT("5460")},
                                                  {SLICE_INIT("5461"), SLICE_INIT("10922")},
                                                  {SLICE_INIT("10923"), SLICE_INIT("16383")}};
    struct asked asked;
    char port[8];
    char bus[8];

    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    for (size_t i = 0; i < NODES; i++) {
        const uint16_t bus_port = redis_daemon_free_port();

        (void)snprintf(bus, sizeof(bus), "%u", (unsigned)bus_port);
        redis_daemon_start(&servers[i],
                           (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus,
                                                 "--cluster-require-full-coverage", "no",
                                                 "--cluster-node-timeout", "2000", NULL});
        admins[i] = open_link(servers[i].port);
        TELL(i, &asked, SLICE("CLUSTER"), SLICE("ADDSLOTSRANGE"), ranges[i][0], ranges[i][1]);
        TELL(i, &asked, SLICE("CLUSTER"), SLICE("MYID"));
        (void)snprintf(ids[i], sizeof(ids[i]), "%.40s", asked.text);
        if (i > 0) {
            (void)snprintf(port, sizeof(port), "%u", (unsigned)servers[i].port);
            TELL(0, &asked, SLICE("CLUSTER"), SLICE("MEET"), SLICE("127.0.0.1"), slice_of(port),
                 slice_of(bus));
        }
    }
    for (size_t i = 0; i < NODES; i++) {
        await_state_ok(i);
    }
    return 0;
}

static int stop_cluster(void **state)
{
    (void)state;
    for (size_t i = 0; i < NODES; i++) {
        redis_link_destroy(admins[i]);
        redis_daemon_stop(&servers[i]);
    }
    ev_loop_destroy(loop);
    return 0;
}

/* Redis's own examples, and its rules about braces:
 *= https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
static void test_slots_of_keys(void **state)
{
    static const struct {
        struct slice key;
        uint16_t slot;
    } rows[] = {
        {SLICE_INIT("123456789"), 0x31C3 % REDIS_SLOT_COUNT},
        {SLICE_INIT("foo"), 12182},
        {SLICE_INIT("{foo}bar"), 12182},
        {SLICE_INIT("a{foo}{bar}"), 12182},
    };
    struct asked asked;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(redis_cluster_slot(rows[i].key), rows[i].slot);
    }
    static const char *const odd[] = {"{}x", "{", "}{", "a{b", "a{}{b}", "a}b{c}d", ""};

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        TELL(0, &asked, SLICE("CLUSTER"), SLICE("KEYSLOT"), slice_of(odd[i]));
        assert_int_equal(redis_cluster_slot(slice_of(odd[i])), asked.number);
    }
}

/* Goal: keys of all nodes are written and read through one link, whichever node was named first. */
static void test_all_nodes_through_one_link(void **state)
{
    (void)state;
    for (size_t seed = 0; seed < NODES; seed++) {
        struct redis_link *link = open_link(servers[seed].port);
        struct asked asked[KEYS];
        char key[32];

        for (size_t i = 0; i < KEYS; i++) {
            (void)snprintf(key, sizeof(key), "m:{%zu}:k", i);
            asker_send(link, &asked[i], "SET", key, key, NULL);
        }
        for (size_t i = 0; i < KEYS; i++) {
            asker_await(loop, &asked[i]);
            assert_int_equal(asked[i].err, ERR_OK);
        }
        for (size_t i = 0; i < KEYS; i++) {
            (void)snprintf(key, sizeof(key), "m:{%zu}:k", i);
            ASK(link, &asked[i], "GET", key);
            assert_string_equal(asked[i].text, key);
        }
        assert_int_equal(redis_link_connect_count(link), NODES);
        assert_int_equal(redis_link_trouble(link), ERR_OK);
        redis_link_destroy(link);
    }
}

/* Goal: a script goes to the node of its keys, and is taught there. */
static void test_scripts_follow_their_keys(void **state)
{
    struct redis_link *link = open_link(servers[0].port);
    struct redis_script script;

    (void)state;
    redis_script_init(&script, "echo", SLICE("return redis.call('GET', KEYS[1])"));
    for (size_t i = 0; i < KEYS; i++) {
        struct asked asked;
        char key[32];
        struct slice keys[1];

        (void)snprintf(key, sizeof(key), "m:{%zu}:k", i);
        keys[0] = slice_of(key);
        asker_submit(link, &asked,
                     &(struct redis_command){
                         .script = &script, .keys = keys, .key_count = 1, .timeout_ms = ASK_MS});
        asker_await(loop, &asked);
        assert_int_equal(asked.err, ERR_OK);
        assert_string_equal(asked.text, key);
    }
    redis_link_destroy(link);
}

/* Goal: a slot that is on its way (ASK), and one that has gone (MOVED), are followed; afterwards
 * the map is right. */
static void test_a_slot_that_moves(void **state)
{
    struct redis_link *link = open_link(servers[1].port);
    struct asked asked;
    char slot[8];

    (void)state;
    (void)snprintf(slot, sizeof(slot), "%u", (unsigned)redis_cluster_slot(SLICE("foo")));
    ASK(link, &asked, "SET", "foo", "at home");
    assert_int_equal(asked.err, ERR_OK);
    TELL(0, &asked, SLICE("CLUSTER"), SLICE("SETSLOT"), slice_of(slot), SLICE("IMPORTING"),
         slice_of(ids[2]));
    TELL(2, &asked, SLICE("CLUSTER"), SLICE("SETSLOT"), slice_of(slot), SLICE("MIGRATING"),
         slice_of(ids[0]));
    ASK(link, &asked, "GET", "foo");
    assert_string_equal(asked.text, "at home");
    ASK(link, &asked, "SET", "{foo}new", "on the way"); /* ASK */
    assert_int_equal(asked.err, ERR_OK);
    ASK(link, &asked, "GET", "{foo}new");
    assert_string_equal(asked.text, "on the way");
    ASK(link, &asked, "DEL", "foo");
    assert_int_equal(asked.err, ERR_OK);
    TELL(0, &asked, SLICE("CLUSTER"), SLICE("SETSLOT"), slice_of(slot), SLICE("NODE"),
         slice_of(ids[0]));
    TELL(2, &asked, SLICE("CLUSTER"), SLICE("SETSLOT"), slice_of(slot), SLICE("NODE"),
         slice_of(ids[0]));
    ASK(link, &asked, "GET", "{foo}new"); /* MOVED */
    assert_string_equal(asked.text, "on the way");
    while (link->cluster.slots[redis_cluster_slot(SLICE("foo"))]->port != servers[0].port) {
        ASK(link, &asked, "GET", "{foo}new");
        assert_string_equal(asked.text, "on the way");
    }
    redis_link_destroy(link);
}

/* Goal: a redirection without end is followed three times, then answered; one to nowhere fails. */
static void test_hops_are_counted(void **state)
{
    struct redis_link *link = open_link(servers[0].port);
    struct slice words[] = {SLICE("EVAL"),
                            SLICE("redis.call('INCR', KEYS[1]) "
                                  "return redis.error_reply('MOVED 1 127.0.0.1:' .. ARGV[1])"),
                            SLICE("1"), SLICE("{b}hops"), SLICE("1")};
    struct redis_command command = {
        .args = words, .arg_count = 5, .slot_key = words[3], .timeout_ms = ASK_MS};
    char port[8];
    struct asked asked;

    (void)state;
    (void)snprintf(port, sizeof(port), "%u", (unsigned)servers[0].port);
    words[4] = slice_of(port);
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_STORE_BUSY);
    ASK(link, &asked, "GET", "{b}hops");
    assert_string_equal(asked.text, "4");

    words[4] = SLICE("1"); /* a port where nobody is */
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    words[4] = SLICE("no number");
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_STORE_BUSY);
    redis_link_destroy(link);
}

/* Goal: when a node dies its keys fail, in time; those of the others go on; and it is found again.
 */
static void test_a_node_that_dies(void **state)
{
    struct redis_link *link = open_link(servers[0].port);
    struct asked asked;
    uint64_t begin_ms;

    (void)state;
    ASK(link, &asked, "SET", "{b}dies", "1"); /* slot 3300: node 0 */
    ASK(link, &asked, "SET", "{a}dies", "1"); /* slot 15495: node 2 */
    assert_int_equal(asked.err, ERR_OK);
    redis_daemon_kill(&servers[2], SIGKILL);
    begin_ms = moment_steady_ms();
    do {
        ASK(link, &asked, "GET", "{a}dies");
        assert_int_not_equal(asked.err, ERR_OK);
    } while (asked.err != ERR_REMOTE_UNREACHABLE);
    assert_in_range(moment_steady_ms() - begin_ms, 0, 5000);
    assert_int_equal(redis_link_trouble(link), ERR_REMOTE_UNREACHABLE);
    ASK(link, &asked, "GET", "{b}dies");
    assert_string_equal(asked.text, "1");
    redis_link_destroy(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_of_keys),
        cmocka_unit_test(test_all_nodes_through_one_link),
        cmocka_unit_test(test_scripts_follow_their_keys),
        cmocka_unit_test(test_a_slot_that_moves),
        cmocka_unit_test(test_hops_are_counted),
        cmocka_unit_test(test_a_node_that_dies),
    };

    return cmocka_run_group_tests(tests, start_cluster, stop_cluster);
}
