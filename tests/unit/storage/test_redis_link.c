/* SPDX-License-Identifier: Apache-2.0
 *
 * test_redis_link.c - a link against real Redis servers: what is answered, in which order, and what
 * happens when Redis refuses, sleeps, dies, forgets or becomes a replica.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/tls.h"
#include "storage/redis_node.h"
#include "tests/lib/certificate.h"
#include "tests/lib/redis_asker.h"
#include "tests/lib/redis_daemon.h"

static struct ev_loop *loop;
static struct redis_daemon server;

static struct redis_link_options options_for(const struct redis_daemon *of)
{
    struct redis_link_options options = redis_link_defaults(loop);

    options.port = of->port;
    options.probe_ms = 20;
    options.refused_ms = 50;
    return options;
}

static struct redis_link *open_link(void)
{
    const struct redis_link_options options = options_for(&server);

    return redis_link_new(&options);
}

static void await_trouble(const struct redis_link *link, enum err trouble)
{
    while (redis_link_trouble(link) != trouble) {
        (void)ev_run(loop, EVRUN_ONCE);
    }
}

/* Ask and wait; the answer's text is in `asked`. */
#define ASK(link, asked, ...)                                                                      \
    do {                                                                                           \
        asker_send(link, asked, __VA_ARGS__, NULL);                                                \
        asker_await(loop, asked);                                                                  \
    } while (0)

#define ASSERT_TEXT(asked, expected)                                                               \
    do {                                                                                           \
        if (strcmp((asked).text, expected) != 0) {                                                 \
            fail_msg("expected \"%s\", got %s \"%s\"", expected, err_name((asked).err),            \
                     (asked).text);                                                                \
        }                                                                                          \
    } while (0)

static int start_server(void **state)
{
    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    redis_daemon_start(&server, NULL);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    redis_daemon_stop(&server);
    ev_loop_destroy(loop);
    return 0;
}

/* ---- the happy path ---- */

/* Goal: calls that are made before there is a connection wait for it, and are answered in order. */
static void test_calls_are_answered_in_order(void **state)
{
    enum { COUNT = 2000 };
    struct redis_link *link = open_link();
    struct asked *asked = xcalloc(COUNT, sizeof(*asked));

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        asker_send(link, &asked[i], "INCR", "order", NULL);
    }
    asker_await(loop, &asked[COUNT - 1]);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(asked[i].err, ERR_OK);
        assert_int_equal(asked[i].number, i + 1);
        assert_true(i == 0 || asked[i].order == asked[i - 1].order + 1);
    }
    assert_int_equal(redis_link_connect_count(link), 1);
    assert_int_equal(redis_link_trouble(link), ERR_OK);
    redis_link_destroy(link);
    xfree(asked);
}

static void test_a_large_value_goes_and_comes(void **state)
{
    const size_t len = REDIS_ARG_BYTES_MAX;
    struct redis_link *link = open_link();
    char *value = xmalloc(len + 1);
    struct slice words[3] = {SLICE("SET"), SLICE("large"), {value, len}};
    struct redis_command command = {.args = words, .arg_count = 3, .timeout_ms = 20000};
    struct asked asked;

    (void)state;
    memset(value, 'v', len + 1);
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_OK);
    ASK(link, &asked, "STRLEN", "large");
    assert_int_equal(asked.number, len);
    ASK(link, &asked, "GET", "large");
    assert_int_equal(asked.err, ERR_OK);
    assert_int_equal(asked.text[sizeof(asked.text) - 2], 'v');

    words[2].len++; /* one byte over the maximum of an argument */
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_TOO_LARGE);
    redis_link_destroy(link);
    xfree(value);
}

static void test_error_words_become_errors(void **state)
{
    static const struct {
        const char *script;
        enum err err;
    } rows[] = {
        {"OOM command not allowed", ERR_STORE_FULL},
        {"BUSY Redis is busy", ERR_STORE_BUSY},
        {"LOADING wait", ERR_STORE_BUSY},
        {"TRYAGAIN later", ERR_STORE_BUSY},
        {"CLUSTERDOWN it is", ERR_STORE_BUSY},
        {"MASTERDOWN it is", ERR_STORE_BUSY},
        {"MISCONF disk", ERR_STORE_BUSY},
        {"NOREPLICAS not enough", ERR_STORE_BUSY},
        {"READONLY replica", ERR_STORE_BUSY},
        {"NOPERM no", ERR_STORE_FAILED},
        {"WRONGTYPE no", ERR_STORE_FAILED},
        {"CROSSSLOT no", ERR_STORE_FAILED},
        {"NOAUTH no", ERR_STORE_FAILED},
        {"OOMX no such word", ERR_STORE_FAILED},
    };
    struct redis_link *link = open_link();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct asked asked;

        ASK(link, &asked, "EVAL", "return redis.error_reply(ARGV[1])", "0", rows[i].script);
        if (asked.err != rows[i].err) {
            fail_msg("%s: %s", rows[i].script, err_name(asked.err));
        }
        ASSERT_TEXT(asked, rows[i].script);
    }
    redis_link_destroy(link);
}

/* ---- scripts ---- */

/* Goal: a script that Redis does not know, or has forgotten, is taught without the caller noticing;
 * one that was named at the start is known from the first call on. */
static void test_scripts_are_taught(void **state)
{
    struct redis_link_options options = options_for(&server);
    struct redis_script script;
    struct redis_script second;
    const struct redis_script *const scripts[] = {&script};
    const struct slice keys[] = {SLICE("{7}:a")};
    const struct slice args[] = {SLICE("x"), SLICE("")};
    struct redis_command command = {.script = &second,
                                    .keys = keys,
                                    .key_count = 1,
                                    .args = args,
                                    .arg_count = 2,
                                    .timeout_ms = ASK_MS};
    struct redis_link *link;
    struct asked asked;

    (void)state;
    redis_script_init(&script, "first", SLICE("return KEYS[1] .. ARGV[1] .. #ARGV"));
    redis_script_init(&second, "second", SLICE("#!lua flags=allow-oom\nreturn 'two' .. ARGV[1]"));
    options.scripts = scripts;
    options.script_count = 1;
    link = redis_link_new(&options);

    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    ASSERT_TEXT(asked, "twox");
    ASK(link, &asked, "SCRIPT", "EXISTS", script.sha);
    assert_int_equal(asked.count, 1);

    ASK(link, &asked, "SCRIPT", "FLUSH");
    command.script = &script;
    asker_submit(link, &asked, &command);
    asker_await(loop, &asked);
    ASSERT_TEXT(asked, "{7}:ax2");
    redis_link_destroy(link);
}

/* Goal: a call for the connection of another one is never executed by the next connection. */
static void test_a_call_may_want_the_connection_of_another(void **state)
{
    const struct slice words[] = {SLICE_INIT("WAIT"), SLICE_INIT("0"), SLICE_INIT("1")};
    const struct redis_command wait = {
        .args = words, .arg_count = ARRAY_LEN(words), .timeout_ms = ASK_MS};
    const struct redis_link_options options = options_for(&server);
    struct redis_link *link = redis_link_new(&options);
    struct asked first;
    struct asked second = {.call = {.on_reply = asker_on_reply}};

    (void)state;
    ASK(link, &first, "SET", "k", "v");
    assert_int_equal(first.err, ERR_OK);
    redis_link_call_at(link, first.call.connection, &second.call, &wait);
    assert_false(second.is_done);
    asker_await(loop, &second);
    assert_int_equal(second.err, ERR_OK);
    assert_int_equal(second.call.connection, first.call.connection);
    redis_daemon_kill(&server, SIGKILL);
    redis_daemon_run(&server, NULL);
    second = (struct asked){.call = {.on_reply = asker_on_reply}};
    redis_link_call_at(link, first.call.connection, &second.call, &wait);
    asker_await(loop, &second);
    if (second.err == ERR_OK) {
        fail_msg("a connection that has ended answered");
    }
    do {
        ASK(link, &first, "PING", "k");
    } while (first.err != ERR_OK);
    second = (struct asked){.call = {.on_reply = asker_on_reply}};
    redis_link_call_at(link, first.call.connection - 1, &second.call, &wait);
    asker_await(loop, &second);
    assert_int_equal(second.err, ERR_REMOTE_UNREACHABLE);
    redis_link_destroy(link);
}

/* ---- time ---- */

/* Goal: a call that Redis does not answer is answered by us, in time; so are those behind it, and
 * the link comes back. */
static void test_a_silent_redis_ends_in_time(void **state)
{
    struct redis_link *link = open_link();
    struct asked late;
    struct asked behind;
    struct asked asked;
    struct slice words[] = {SLICE("GET"), SLICE("x")};
    uint64_t begin_ms;

    (void)state;
    ASK(link, &asked, "PING");
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    begin_ms = moment_steady_ms();
    asker_submit(link, &late,
                 &(struct redis_command){.args = words, .arg_count = 2, .timeout_ms = 200});
    asker_send(link, &behind, "GET", "y", NULL);
    asker_await(loop, &late);
    asker_await(loop, &behind);
    assert_in_range(moment_steady_ms() - begin_ms, 190, 1500);
    assert_int_equal(late.err, ERR_REMOTE_TIMEOUT);
    assert_int_equal(behind.err, ERR_REMOTE_FAILED);
    assert_int_equal(redis_link_trouble(link), ERR_REMOTE_UNREACHABLE);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
    await_trouble(link, ERR_OK);
    ASK(link, &asked, "PING");
    ASSERT_TEXT(asked, "PONG");
    redis_link_destroy(link);
}

/* Goal: without a Redis, calls wait at first, then fail at once, and work again as soon as there is
 * one. */
static void test_the_breaker_opens_and_closes(void **state)
{
    struct redis_link *link;
    struct asked waits;
    struct asked asked;

    (void)state;
    redis_daemon_kill(&server, SIGKILL);
    link = open_link();
    assert_int_equal(redis_link_trouble(link), ERR_NOT_READY);
    asker_send(link, &waits, "PING", NULL);
    asker_await(loop, &waits);
    assert_int_equal(waits.err, ERR_REMOTE_UNREACHABLE);

    for (unsigned i = 0; i < 1000; i++) { /* each is answered in the next turn */
        asker_send(link, &asked, "PING", NULL);
        (void)ev_run(loop, EVRUN_NOWAIT);
        (void)ev_run(loop, EVRUN_NOWAIT);
        assert_true(asked.is_done);
        assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    }
    redis_daemon_run(&server, NULL);
    await_trouble(link, ERR_OK);
    ASK(link, &asked, "PING");
    ASSERT_TEXT(asked, "PONG");
    redis_link_destroy(link);
}

/* Goal: when Redis dies, what was sent has an unknown outcome, and the link finds the next one. */
static void test_a_killed_redis_leaves_nothing_open(void **state)
{
    struct redis_link *link = open_link();
    struct asked sent;
    struct asked asked;

    (void)state;
    ASK(link, &asked, "PING");
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    asker_send(link, &sent, "SET", "sent", "1", NULL);
    (void)ev_run(loop, EVRUN_NOWAIT);
    (void)ev_run(loop, EVRUN_NOWAIT);
    redis_daemon_kill(&server, SIGKILL);
    asker_await(loop, &sent);
    assert_int_equal(sent.err, ERR_REMOTE_FAILED);
    redis_daemon_run(&server, NULL);
    await_trouble(link, ERR_OK);
    assert_int_equal(redis_link_connect_count(link), 2);
    redis_link_destroy(link);
}

/* ---- limits ---- */

static void test_the_queue_has_an_end(void **state)
{
    struct redis_link_options options = options_for(&server);
    struct redis_link *link;
    struct asked asked[4];

    (void)state;
    options.queue_calls_max = 3;
    link = redis_link_new(&options);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asker_send(link, &asked[i], "PING", NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        asker_await(loop, &asked[i]);
        assert_int_equal(asked[i].err, i < 3 ? ERR_OK : ERR_STORE_BUSY);
    }
    redis_link_destroy(link);
}

/* Goal: an answer that is too large, too long or too deep ends the connection, not the process. */
static void test_an_answer_over_its_limits_ends_the_connection(void **state)
{
    static const char *const scripts[] = {
        "return string.rep('x', 33 * 1024 * 1024)",
        "local t = {} for i = 1, 65537 do t[i] = 1 end return t",
        "return {{{{{1}}}}}",
        "local t = {} for i = 1, 9 do t[i] = {} for k = 1, 60000 do t[i][k] = 1 end end return t",
    };
    struct redis_link *link = open_link();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct asked asked;

        ASK(link, &asked, "EVAL", scripts[i], "0");
        if (asked.err != ERR_REMOTE_FAILED) {
            fail_msg("%s: %s", scripts[i], err_name(asked.err));
        }
        await_trouble(link, ERR_OK);
        assert_int_equal(redis_link_connect_count(link), i + 2);
    }
    redis_link_destroy(link);
}

static void test_destroy_answers_everything(void **state)
{
    struct redis_link *link = open_link();
    struct asked sent;
    struct asked unsent;

    (void)state;
    ASK(link, &sent, "PING");
    assert_int_equal(kill(server.pid, SIGSTOP), 0);
    asker_send(link, &sent, "PING", NULL);
    (void)ev_run(loop, EVRUN_NOWAIT);
    (void)ev_run(loop, EVRUN_NOWAIT);
    asker_send(link, &unsent, "PING", NULL);
    redis_link_destroy(link);
    assert_int_equal(sent.err, ERR_REMOTE_FAILED);
    assert_int_equal(unsent.err, ERR_REMOTE_UNREACHABLE);
    assert_int_equal(kill(server.pid, SIGCONT), 0);
}

/* ---- who we are ---- */

static void write_password(const char *path, const char *password)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(fprintf(file, "%s\n", password) > 0);
    assert_int_equal(fclose(file), 0);
}

/* Goal: the password comes from its file, which is read again while Redis refuses it; the database
 * and the name of the connection are ours. */
static void test_the_password_is_read_again_while_refused(void **state)
{
    static const char *const secured[] = {"--requirepass", "right", "--user", "weir",  "on",
                                          ">other",        "~*",    "&*",     "+@all", NULL};
    struct redis_daemon own;
    struct redis_link_options options;
    struct redis_link *link;
    struct asked asked;
    char path[96];

    (void)state;
    redis_daemon_start(&own, secured);
    (void)snprintf(path, sizeof(path), "%s/password", own.folder);
    options = options_for(&own);
    options.db = 3;
    link = redis_link_new(&options);
    await_trouble(link, ERR_REMOTE_DENIED); /* no password at all */
    redis_link_destroy(link);

    options.password_file = slice_of(path);
    link = redis_link_new(&options);
    await_trouble(link, ERR_REMOTE_DENIED); /* no such file */
    write_password(path, "wrong");
    asker_send(link, &asked, "PING", NULL);
    asker_await(loop, &asked);
    assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    write_password(path, "right");
    await_trouble(link, ERR_OK);
    ASK(link, &asked, "CLIENT", "GETNAME");
    ASSERT_TEXT(asked, "weir");
    ASK(link, &asked, "CLIENT", "INFO");
    assert_non_null(strstr(asked.text, " db=3 "));
    redis_link_destroy(link);

    options.user = SLICE("weir");
    link = redis_link_new(&options);
    await_trouble(link, ERR_REMOTE_DENIED); /* the default user's password */
    write_password(path, "other");
    await_trouble(link, ERR_OK);
    ASK(link, &asked, "ACL", "WHOAMI");
    ASSERT_TEXT(asked, "weir");
    redis_link_destroy(link);
    redis_daemon_stop(&own);
}

/* Goal: over TLS, with a certificate of our own, all is the same; a server that our authority does
 * not know is not spoken to. */
static void test_tls(void **state)
{
    const uint16_t port = redis_daemon_free_port();
    struct redis_link_options options = redis_link_defaults(loop);
    struct tls_client_options ours;
    struct certificate own;
    struct certificate stranger;
    struct redis_daemon secured;
    struct redis_link *link;
    struct asked asked;
    char text[8];

    (void)state;
    certificate_make(&own);
    certificate_make(&stranger);
    (void)snprintf(text, sizeof(text), "%u", (unsigned)port);
    redis_daemon_start(&secured,
                       (const char *const[]){"--tls-port", text, "--tls-cert-file",
                                             own.certificate_path, "--tls-key-file", own.key_path,
                                             "--tls-ca-cert-file", own.certificate_path, NULL});
    options.host = SLICE("localhost");
    options.port = port;
    options.probe_ms = 20;
    ours = (struct tls_client_options){.ca_path = own.certificate_path,
                                       .certificate_path = own.certificate_path,
                                       .key_path = own.key_path};
    assert_int_equal(tls_client_context_new(&ours, &options.tls, NULL), ERR_OK);
    link = redis_link_new(&options);
    tls_context_release(options.tls);
    ASK(link, &asked, "SET", "tls", "1");
    assert_int_equal(asked.err, ERR_OK);
    for (unsigned i = 0; i < 500; i++) {
        ASK(link, &asked, "INCR", "tls");
    }
    assert_int_equal(asked.number, 501);
    redis_link_destroy(link);

    ours.ca_path = stranger.certificate_path;
    assert_int_equal(tls_client_context_new(&ours, &options.tls, NULL), ERR_OK);
    link = redis_link_new(&options);
    tls_context_release(options.tls);
    ASK(link, &asked, "SET", "tls", "stolen");
    assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    redis_link_destroy(link);
    redis_daemon_stop(&secured);
    certificate_remove(&own);
    certificate_remove(&stranger);
}

/* ---- the gate ---- */

struct gate {
    struct redis_node *node;
    struct asked asked;
    unsigned greeted_count;
};

static void on_greeted(struct redis_node *node, void *context)
{
    static const struct slice words[] = {SLICE_INIT("GET"), SLICE_INIT("gate")};
    struct gate *gate = context;

    gate->node = node;
    gate->greeted_count++;
    gate->asked = (struct asked){.call = {.on_reply = asker_on_reply}};
    redis_node_call(node, &gate->asked.call,
                    &(struct redis_command){.args = words, .arg_count = 2, .timeout_ms = 500});
}

/* Goal: calls wait while the gate's owner asks; they pass when it admits, and fail when it refuses;
 * it is asked again on every connection and while it stands. */
static void test_the_gate_holds_calls_back(void **state)
{
    struct redis_link_options options = options_for(&server);
    struct gate gate = {.node = NULL};
    struct redis_link *link;
    struct asked asked;

    (void)state;
    options.on_greeted = on_greeted;
    options.context = &gate;
    options.recheck_ms = 30;
    link = redis_link_new(&options);
    asker_send(link, &asked, "SET", "gate", "open", NULL);
    while (gate.greeted_count == 0) {
        (void)ev_run(loop, EVRUN_ONCE);
    }
    asker_await(loop, &gate.asked);
    assert_int_equal(gate.asked.err, ERR_OK);
    ASSERT_TEXT(gate.asked, ""); /* asked first, before the call that was made first */
    assert_false(asked.is_done);
    redis_node_admit(gate.node);
    asker_await(loop, &asked);
    ASSERT_TEXT(asked, "OK");
    while (gate.greeted_count < 3) {
        (void)ev_run(loop, EVRUN_ONCE);
    }
    asker_await(loop, &gate.asked);
    ASSERT_TEXT(gate.asked, "open");

    redis_node_refuse(gate.node, ERR_BAD_CONFIG);
    assert_int_equal(redis_link_trouble(link), ERR_BAD_CONFIG);
    ASK(link, &asked, "PING");
    assert_int_equal(asked.err, ERR_REMOTE_UNREACHABLE);
    redis_link_destroy(link);
}

/* ---- a master that became a replica ---- */

/* Goal: a write that meets a replica is repeated once on a new connection, then given up; when the
 * server has become a master meanwhile, nobody notices. */
static void test_readonly_is_tried_elsewhere_once(void **state)
{
    struct redis_link *link = open_link();
    struct redis_link *other = open_link();
    struct asked asked;
    struct asked read_back;

    (void)state;
    ASK(link, &asked, "PING");
    ASK(other, &asked, "REPLICAOF", "127.0.0.1", "1");
    ASK(link, &asked, "SET", "readonly", "1");
    assert_int_equal(asked.err, ERR_STORE_BUSY);
    assert_int_equal(redis_link_connect_count(link), 2);

    asker_send(link, &asked, "SET", "readonly", "2", NULL);
    while (redis_link_trouble(link) == ERR_OK) {
        (void)ev_run(loop, EVRUN_ONCE);
    }
    ASK(other, &read_back, "REPLICAOF", "NO", "ONE");
    asker_await(loop, &asked);
    if (asked.err != ERR_OK) { /* the new connection was quicker than the promotion */
        assert_int_equal(asked.err, ERR_STORE_BUSY);
        ASK(link, &asked, "SET", "readonly", "2");
        assert_int_equal(asked.err, ERR_OK);
    }
    ASK(other, &read_back, "GET", "readonly");
    ASSERT_TEXT(read_back, "2");
    redis_link_destroy(link);
    redis_link_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_are_answered_in_order),
        cmocka_unit_test(test_a_large_value_goes_and_comes),
        cmocka_unit_test(test_error_words_become_errors),
        cmocka_unit_test(test_scripts_are_taught),
        cmocka_unit_test(test_a_call_may_want_the_connection_of_another),
        cmocka_unit_test(test_a_silent_redis_ends_in_time),
        cmocka_unit_test(test_the_breaker_opens_and_closes),
        cmocka_unit_test(test_a_killed_redis_leaves_nothing_open),
        cmocka_unit_test(test_the_queue_has_an_end),
        cmocka_unit_test(test_an_answer_over_its_limits_ends_the_connection),
        cmocka_unit_test(test_destroy_answers_everything),
        cmocka_unit_test(test_the_password_is_read_again_while_refused),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_the_gate_holds_calls_back),
        cmocka_unit_test(test_readonly_is_tried_elsewhere_once),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
