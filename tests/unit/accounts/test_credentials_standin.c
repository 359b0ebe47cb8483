/* SPDX-License-Identifier: Apache-2.0
 *
 * test_credentials_standin.c - the provider on a real loop, over real HTTP, against the stand-in
 * for AWS, which checks signature and external id with botocore and keeps a log of what it granted.
 */
#include "accounts/credentials.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/moment.h"

#define ROLE_A "arn:aws:iam::111111111111:role/weir-dispatch"
#define ROLE_B "arn:aws:iam::222222222222:role/weir-dispatch"

enum { ASKERS = 100, PATIENCE_S = 60 };

struct world {
    struct ev_loop *loop;
    struct mailbox mailbox;
    struct http_client *http;
    struct credentials_provider *provider;
    pid_t standin;
    char url[128];
    unsigned waiting;
    ev_timer patience;
};

struct asker {
    struct credentials_ask ask;
    struct world *world;
};

/* Start the stand-in on a free port; its first line tells the URL. */
static void start_standin(struct world *world)
{
    static const char script[] = WEIR_SOURCE_DIR "/tests/lib/aws_standin.py";
    static const char prefix[] = "listening on ";
    char line[160] = "";
    int pipe_fds[2];
    FILE *out;

    assert_int_equal(pipe(pipe_fds), 0);
    world->standin = fork();
    assert_true(world->standin >= 0);
    if (world->standin == 0) {
        (void)dup2(pipe_fds[1], STDOUT_FILENO);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        (void)execl("/usr/bin/python3", "python3", script, "--caller", "AKIDOWN:own-secret",
                    "--role", ROLE_A "=x-a", "--role", ROLE_B "=x-b", (char *)NULL);
        _exit(127);
    }
    (void)close(pipe_fds[1]);
    out = fdopen(pipe_fds[0], "r");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof(line), out));
    assert_int_equal(fclose(out), 0);
    assert_memory_equal(line, prefix, strlen(prefix));
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(world->url, sizeof(world->url), "%s", line + strlen(prefix));
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    digest_init();
    log_set_level(LOG_ERROR);
    assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "AKIDOWN", 1), 0);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "own-secret", 1), 0);
    assert_int_equal(unsetenv("AWS_SESSION_TOKEN"), 0);
    start_standin(world);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    mailbox_init(&world->mailbox, world->loop);
    world->http = http_client_new(&(struct http_client_options){
        .loop = world->loop, .connections_max = 8, .host_connections_max = 8});
    world->provider = credentials_provider_new(&(struct credentials_provider_options){
        .loop = world->loop,
        .http = world->http,
        .mailbox = &world->mailbox,
        .region = SLICE("eu-west-1"),
        .sts_endpoint = slice_of(world->url),
        .session_name = SLICE("weir-dispatch"),
    });
    ev_timer_init(&world->patience, on_patience, PATIENCE_S, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    int status;

    http_client_destroy(world->http);
    credentials_provider_destroy(world->provider);
    mailbox_clean_up(&world->mailbox);
    ev_loop_destroy(world->loop);
    assert_int_equal(kill(world->standin, SIGTERM), 0);
    assert_int_equal(waitpid(world->standin, &status, 0), world->standin);
    xfree(world);
    return 0;
}

static void count_answer(struct world *world)
{
    CHECK(world->waiting > 0);
    if (--world->waiting == 0) {
        ev_break(world->loop, EVBREAK_ALL);
    }
}

static void on_answer(struct credentials_ask *ask)
{
    count_answer(CONTAINER_OF(ask, struct asker, ask)->world);
}

static void ask(struct world *world, struct asker *asker, const char *role, const char *external_id)
{
    *asker = (struct asker){.world = world,
                            .ask = {.role_arn = slice_of(role),
                                    .external_id = slice_of(external_id),
                                    .account = SLICE("111111111111"),
                                    .home = &world->mailbox,
                                    .on_answer = on_answer}};
    world->waiting++;
    credentials_request(world->provider, &asker->ask);
}

/* Run until everybody was answered. */
static void run(struct world *world)
{
    ev_timer_start(world->loop, &world->patience);
    ev_run(world->loop, 0);
    ev_timer_stop(world->loop, &world->patience);
    assert_int_equal(world->waiting, 0);
}

struct log_reader {
    struct http_call call;
    struct world *world;
};

static void on_log(struct http_call *call)
{
    count_answer(CONTAINER_OF(call, struct log_reader, call)->world);
}

/* How many lines of the stand-in's log hold `text`. */
static unsigned count_in_log(struct world *world, const char *text)
{
    struct log_reader reader = {.world = world};
    char url[160];
    struct slice rest;
    unsigned count = 0;

    (void)snprintf(url, sizeof(url), "%s/_log", world->url);
    reader.call = (struct http_call){.method = "GET",
                                     .url = url,
                                     .timeout_ms = 10000,
                                     .response_max = 1 << 20,
                                     .on_done = on_log};
    world->waiting++;
    http_start(world->http, &reader.call);
    run(world);
    assert_int_equal(reader.call.err, ERR_OK);
    rest = buf_slice(&reader.call.response);
    while (rest.len > 0) {
        const struct slice line = slice_cut(&rest, '\n');

        count += memmem(line.data, line.len, text, strlen(text)) != NULL;
    }
    http_call_clean_up(&reader.call);
    return count;
}

/* Goal:   a hundred asks for one role are one AssumeRole, with the documented session, and the
 *         credentials are those of that role's account. */
static void test_one_call_for_everybody(void **state)
{
    static struct asker askers[ASKERS];
    struct world *world = *state;
    const uint64_t start_ms = moment_now_ms();

    for (size_t i = 0; i < ASKERS; i++) {
        ask(world, &askers[i], ROLE_A, "x-a");
    }
    run(world);
    for (size_t i = 0; i < ASKERS; i++) {
        assert_int_equal(askers[i].ask.err, ERR_OK);
        assert_ptr_equal(askers[i].ask.credentials, askers[0].ask.credentials);
    }
    assert_true(slice_has_prefix(askers[0].ask.credentials->access_key_id, SLICE("ASIA")));
    assert_true(askers[0].ask.credentials->session_token.len > 0);
    assert_in_range(askers[0].ask.credentials->expires_ms, start_ms + 3590000, start_ms + 3660000);
    for (size_t i = 0; i < ASKERS; i++) {
        credentials_release(askers[i].ask.credentials);
    }
    assert_int_equal(count_in_log(world, "\"kind\": \"assume_role\""), 1);
    assert_int_equal(count_in_log(world,
                                  "\"session\": \"weir-dispatch\", \"external_id\": \"x-a\", "
                                  "\"tags\": {\"weir-account\": \"111111111111\"}"),
                     1);
}

/* Goal:   each role with its own external id only; a refusal carries the words of STS. */
static void test_wrong_external_id_is_denied(void **state)
{
    struct world *world = *state;
    struct asker right;
    struct asker other;
    struct asker wrong;
    struct asker none;

    ask(world, &right, ROLE_A, "x-a");
    ask(world, &other, ROLE_B, "x-b");
    ask(world, &wrong, ROLE_B, "x-a");
    ask(world, &none, ROLE_A, "");
    run(world);
    assert_int_equal(right.ask.err, ERR_OK);
    assert_int_equal(other.ask.err, ERR_OK);
    assert_ptr_not_equal(right.ask.credentials, other.ask.credentials);
    assert_int_equal(wrong.ask.err, ERR_REMOTE_DENIED);
    assert_non_null(strstr(wrong.ask.message, "AccessDenied: User: "));
    assert_int_equal(none.ask.err, ERR_REMOTE_DENIED);
    credentials_release(right.ask.credentials);
    credentials_release(other.ask.credentials);
}

/* Goal:   nobody at the endpoint: told as a failure worth a retry. */
static void test_nobody_there(void **state)
{
    struct world *world = *state;
    struct asker asker;

    credentials_provider_destroy(world->provider);
    world->provider = credentials_provider_new(&(struct credentials_provider_options){
        .loop = world->loop,
        .http = world->http,
        .mailbox = &world->mailbox,
        .region = SLICE("eu-west-1"),
        .sts_endpoint = SLICE("http://127.0.0.1:1"),
        .session_name = SLICE("weir-dispatch"),
    });
    ask(world, &asker, ROLE_A, "x-a");
    run(world);
    assert_int_equal(err_class(asker.ask.err), ERR_CLASS_REMOTE);
    assert_true(asker.ask.err != ERR_REMOTE_DENIED && asker.ask.err != ERR_NO_CREDENTIALS);
    assert_true(asker.ask.message[0] != '\0');
}

/* Goal:   the end comes with a call under way: client first, provider second, and the asker hears.
 */
static void test_end_with_a_call_under_way(void **state)
{
    struct world *world = *state;
    struct asker asker;

    ask(world, &asker, ROLE_A, "x-a");
    while (mailbox_drain(&world->mailbox) > 0) {
    }
    http_client_destroy(world->http);
    credentials_provider_destroy(world->provider);
    world->http = NULL;
    world->provider = NULL;
    (void)mailbox_drain(&world->mailbox);
    assert_int_equal(world->waiting, 0);
    assert_int_equal(asker.ask.err, ERR_STOPPING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_call_for_everybody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_external_id_is_denied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_with_a_call_under_way, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
