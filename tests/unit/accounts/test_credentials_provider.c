/* SPDX-License-Identifier: Apache-2.0
 *
 * test_credentials_provider.c - who gets which credentials, how often STS is asked, and what a
 * refusal costs, in virtual time and against a fake STS.
 *
 * The fake answers a call when the test says so.  Its access key ids tell role, external id and
 * account of the ask, and a serial number, so an answer that went to the wrong asker is seen.
 */
#include "accounts/credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/arena.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/moment.h"

#define ROLE_A "arn:aws:iam::111111111111:role/weir-dispatch"
#define ROLE_B "arn:aws:iam::222222222222:role/weir-dispatch"

enum { CALLS_KEPT = 512, MINUTE_MS = 60000, HOUR_MS = 3600000 };

struct asker {
    struct credentials_ask ask;
    unsigned answer_count;
    struct asker *older;
};

struct world {
    struct credentials_provider *provider;
    struct mailbox mailbox; /* the provider's */
    struct mailbox home;    /* the askers' */
    struct arena arena;
    struct asker *newest; /* so that no answer is left unreleased */
    uint64_t start_ms;
    uint64_t now_ms;
    struct http_call *calls[CALLS_KEPT]; /* under way, oldest first */
    size_t call_count;
    size_t calls_made;
    unsigned outcome_count;
    enum err outcome; /* the last */
    unsigned serial;
    uint64_t life_ms;
    int64_t aws_ahead_ms;  /* the clock of AWS minus ours */
    const char *key_id;    /* AWS_ACCESS_KEY_ID, or NULL */
    const char *container; /* AWS_CONTAINER_CREDENTIALS_FULL_URI, or NULL */
};

/* ---- the fake world ---- */

static void fake_start(void *context, struct http_call *call)
{
    struct world *world = context;

    assert_true(world->call_count < CALLS_KEPT);
    world->calls[world->call_count++] = call;
    world->calls_made++;
}

static uint64_t fake_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static uint64_t fake_steady_us(void *context)
{
    const struct world *world = context;

    return (world->now_ms - world->start_ms) * 1000;
}

static const char *fake_environment(void *context, const char *name)
{
    const struct world *world = context;

    if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0) {
        return world->key_id;
    }
    if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0) {
        return world->key_id != NULL ? "own-secret" : NULL;
    }
    if (strcmp(name, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == 0) {
        return world->container;
    }
    if (strcmp(name, "AWS_EC2_METADATA_DISABLED") == 0) {
        return "true";
    }
    return NULL;
}

static const struct credentials_io fake_io = {.start_call = fake_start,
                                              .now_ms = fake_now_ms,
                                              .steady_us = fake_steady_us,
                                              .environment = fake_environment};

static void on_outcome(void *context, const struct credentials_outcome *outcome)
{
    struct world *world = context;

    world->outcome_count++;
    world->outcome = outcome->err;
}

static void make_provider(struct world *world, unsigned calls_per_second, unsigned roles_max)
{
    struct credentials_io io = fake_io;

    io.context = world;
    world->provider = credentials_provider_new(&(struct credentials_provider_options){
        .mailbox = &world->mailbox,
        .region = SLICE("eu-west-1"),
        .sts_endpoint = SLICE("https://sts.eu-west-1.amazonaws.com/"),
        .session_name = SLICE("weir-dispatch"),
        .calls_per_second = calls_per_second,
        .roles_max = roles_max,
        .on_outcome = on_outcome,
        .context = world,
        .io = &io,
    });
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    digest_init();
    log_set_level(LOG_ERROR);
    mailbox_init(&world->mailbox, NULL);
    mailbox_init(&world->home, NULL);
    assert_int_equal(moment_from_iso(SLICE("2026-01-01T00:00:00Z"), &world->start_ms), ERR_OK);
    world->now_ms = world->start_ms;
    world->life_ms = HOUR_MS;
    world->key_id = "AKIDOWN";
    make_provider(world, 500, 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->call_count, 0);
    for (struct asker *asker = world->newest; asker != NULL; asker = asker->older) {
        credentials_release(asker->ask.credentials);
    }
    credentials_provider_destroy(world->provider);
    mailbox_clean_up(&world->mailbox);
    mailbox_clean_up(&world->home);
    arena_clean_up(&world->arena);
    xfree(world);
    return 0;
}

/* Let all mail arrive. */
static void settle(struct world *world)
{
    while (mailbox_drain(&world->mailbox) + mailbox_drain(&world->home) > 0) {
    }
}

/* ---- askers ---- */

static void on_answer(struct credentials_ask *ask)
{
    CONTAINER_OF(ask, struct asker, ask)->answer_count++;
}

static struct asker *ask_for(struct world *world, const char *role, const char *external_id,
                             const char *account, bool renew)
{
    struct asker *asker = ARENA_NEW(&world->arena, struct asker);

    asker->ask = (struct credentials_ask){.role_arn = slice_of(role),
                                          .external_id = slice_of(external_id),
                                          .account = slice_of(account),
                                          .renew = renew,
                                          .home = &world->home,
                                          .on_answer = on_answer};
    asker->older = world->newest;
    world->newest = asker;
    credentials_request(world->provider, &asker->ask);
    assert_int_equal(asker->answer_count, 0); /* always later */
    settle(world);
    return asker;
}

static struct asker *check(struct world *world, const char *role)
{
    struct asker *asker = ARENA_NEW(&world->arena, struct asker);

    asker->ask = (struct credentials_ask){.role_arn = slice_of(role),
                                          .external_id = SLICE("x-1"),
                                          .account = SLICE("111111111111"),
                                          .is_check = true,
                                          .home = &world->home,
                                          .on_answer = on_answer};
    asker->older = world->newest;
    world->newest = asker;
    credentials_request(world->provider, &asker->ask);
    settle(world);
    return asker;
}

static struct asker *ask(struct world *world, const char *role)
{
    return ask_for(world, role, "x-1", "111111111111", false);
}

static void expect_error(struct asker *asker, enum err err, const char *message)
{
    assert_int_equal(asker->answer_count, 1);
    if (asker->ask.err != err || strstr(asker->ask.message, message) == NULL) {
        fail_msg("%s: %s", err_name(asker->ask.err), asker->ask.message);
    }
    assert_null(asker->ask.credentials);
}

/* The answer came, with this key id; its reference is given back. */
static void expect_key(struct asker *asker, const char *key_id)
{
    assert_int_equal(asker->answer_count, 1);
    if (asker->ask.err != ERR_OK) {
        fail_msg("%s: %s", err_name(asker->ask.err), asker->ask.message);
    }
    if (!slice_eq(asker->ask.credentials->access_key_id, slice_of(key_id))) {
        fail_msg("%.*s, wanted %s", SLICE_ARG(asker->ask.credentials->access_key_id), key_id);
    }
    credentials_release(asker->ask.credentials);
    asker->ask.credentials = NULL;
}

/* ---- the fake STS ---- */

/* A member of the form, as sent. */
static struct slice form_value(const struct http_call *call, const char *name)
{
    struct slice body = call->body;

    while (body.data != NULL) {
        struct slice pair = slice_cut(&body, '&');

        if (slice_eq(slice_cut(&pair, '='), slice_of(name))) {
            return pair;
        }
    }
    return SLICE("");
}

/* Finish the oldest call with that status and body; `date_ms` 0: no Date header. */
static void reply(struct world *world, enum err err, unsigned status, struct slice body)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct http_call *call = world->calls[0];
    char iso[MOMENT_ISO_CHARS];
    unsigned month;

    assert_true(world->call_count > 0);
    world->call_count--;
    memmove(world->calls, world->calls + 1, world->call_count * sizeof(struct http_call *));
    call->err = err;
    call->status = status;
    buf_init(&call->response, 65536);
    buf_init(&call->response_headers, 4096);
    assert_int_equal(buf_append(&call->response, body), ERR_OK);
    moment_to_iso((uint64_t)((int64_t)world->now_ms + world->aws_ahead_ms), iso);
    month = (unsigned)(iso[5] - '0') * 10 + (unsigned)(iso[6] - '0');
    assert_int_equal(buf_printf(&call->response_headers, "date: Thu, %.2s %s %.4s %.8s GMT\n",
                                iso + 8, months[month - 1], iso, iso + 11),
                     ERR_OK);
    call->on_done(call);
    settle(world);
}

static void reply_error(struct world *world, unsigned status, const char *code)
{
    struct slice body =
        arena_printf(&world->arena,
                     "<ErrorResponse><Error><Code>%s</Code><Message>because</Message></Error>"
                     "</ErrorResponse>",
                     code);

    reply(world, ERR_OK, status, body);
}

/* Grant the oldest call; its key id is "SERIAL.ROLE.EXTERNAL.ACCOUNT" as they were asked. */
static void grant(struct world *world)
{
    const struct http_call *call = world->calls[0];
    const struct slice role = form_value(call, "RoleArn");
    char iso[MOMENT_ISO_CHARS];
    struct slice account = role;

    assert_true(world->call_count > 0);
    moment_to_iso((uint64_t)((int64_t)(world->now_ms + world->life_ms) + world->aws_ahead_ms), iso);
    account = slice_from(account, strlen("arn%3Aaws%3Aiam%3A%3A"));
    reply(world, ERR_OK, 200,
          arena_printf(&world->arena,
                       "<R><AssumedRoleUser><Arn>arn:aws:sts::%.12s:assumed-role/r/s</Arn>"
                       "</AssumedRoleUser><Credentials><AccessKeyId>%u.%.12s.%.*s.%.*s"
                       "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t"
                       "</SessionToken><Expiration>%.20s</Expiration></Credentials></R>",
                       account.data, ++world->serial, account.data,
                       SLICE_ARG(form_value(call, "ExternalId")),
                       SLICE_ARG(form_value(call, "Tags.member.1.Value")), iso));
}

/* ---- the tests ---- */

static void test_call_is_as_documented(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, ROLE_A);
    const struct http_call *call = world->calls[0];

    assert_int_equal(world->call_count, 1);
    assert_string_equal(call->url, "https://sts.eu-west-1.amazonaws.com/");
    assert_string_equal(call->method, "POST");
    assert_true(slice_eq(
        call->body, SLICE("Action=AssumeRole&Version=2011-06-15"
                          "&RoleArn=arn%3Aaws%3Aiam%3A%3A111111111111%3Arole%2Fweir-dispatch"
                          "&RoleSessionName=weir-dispatch&ExternalId=x-1&DurationSeconds=3600"
                          "&Tags.member.1.Key=weir-account&Tags.member.1.Value=111111111111")));
    assert_true(slice_eq(header_value(call->headers, call->header_count, SLICE("host")),
                         SLICE("sts.eu-west-1.amazonaws.com")));
    assert_true(slice_has_prefix(
        header_value(call->headers, call->header_count, SLICE("authorization")),
        SLICE("AWS4-HMAC-SHA256 Credential=AKIDOWN/20260101/eu-west-1/sts/aws4_request, "
              "SignedHeaders=content-type;host;x-amz-date, Signature=")));
    grant(world);
    assert_true(slice_eq(asker->ask.credentials->role_arn, SLICE(ROLE_A)));
    assert_int_equal(asker->ask.credentials->expires_ms, world->now_ms + HOUR_MS);
    expect_key(asker, "1.111111111111.x-1.111111111111");
}

/* Goal:   a hundred asks for one role make one call and get one answer each. */
static void test_single_flight(void **state)
{
    struct world *world = *state;
    struct asker *askers[100];

    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        askers[i] = ask(world, ROLE_A);
    }
    assert_int_equal(world->calls_made, 1);
    grant(world);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        expect_key(askers[i], "1.111111111111.x-1.111111111111");
    }
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    assert_int_equal(world->calls_made, 1);
}

/* Goal:   role, external id and account all separate; nobody gets another's credentials.
 * Method: many roles asked at once, granted in another order, asked again from the cache. */
static void test_nobody_gets_anothers_credentials(void **state)
{
    static const struct {
        const char *role;
        const char *external_id;
        const char *account;
        const char *key; /* without the serial */
    } rows[] = {
        {ROLE_A, "x-1", "111111111111", "111111111111.x-1.111111111111"},
        {ROLE_A, "x-2", "111111111111", "111111111111.x-2.111111111111"},
        {ROLE_A, "x-1", "222222222222", "111111111111.x-1.222222222222"},
        {ROLE_A, "", "111111111111", "111111111111..111111111111"},
        {ROLE_A, "x-1", "", "111111111111.x-1."},
        {ROLE_B, "x-1", "111111111111", "222222222222.x-1.111111111111"},
        {ROLE_B, "x-1", "222222222222", "222222222222.x-1.222222222222"},
        {ROLE_B, "x-11", "22222222222", "222222222222.x-11.22222222222"},
    };
    struct world *world = *state;
    struct asker *askers[3 * ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        const size_t n = i * 5 % ARRAY_LEN(rows);

        if (i == 2 * ARRAY_LEN(rows)) {
            while (world->call_count > 0) {
                grant(world);
            }
        }
        askers[i] = ask_for(world, rows[n].role, rows[n].external_id, rows[n].account, false);
    }
    assert_int_equal(world->calls_made, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        const size_t n = i * 5 % ARRAY_LEN(rows);
        struct slice key;

        assert_non_null(askers[i]->ask.credentials);
        key = askers[i]->ask.credentials->access_key_id;
        (void)slice_cut(&key, '.');
        if (!slice_eq(key, slice_of(rows[n].key))) {
            fail_msg("%.*s instead of %s", SLICE_ARG(key), rows[n].key);
        }
    }
}

static void test_session_of_another_account_is_refused(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, ROLE_A);

    reply(world, ERR_OK, 200,
          SLICE("<R><AssumedRoleUser><Arn>arn:aws:sts::222222222222:assumed-role/r/s</Arn>"
                "</AssumedRoleUser><Credentials><AccessKeyId>k</AccessKeyId><SecretAccessKey>s"
                "</SecretAccessKey><SessionToken>t</SessionToken>"
                "<Expiration>2026-01-01T01:00:00Z</Expiration></Credentials></R>"));
    expect_error(asker, ERR_REMOTE_FAILED, "another account");
}

/* Goal:   held until a minute before the end, renewed in the background from 60 % of the life. */
static void test_renewal_and_expiry(void **state)
{
    struct world *world = *state;
    const uint64_t start_ms = world->now_ms;
    struct asker *asker = ask(world, ROLE_A);

    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    world->now_ms = start_ms + 35 * MINUTE_MS;
    credentials_provider_run(world->provider);
    assert_int_equal(world->call_count, 0);
    world->now_ms = start_ms + 49 * MINUTE_MS;
    credentials_provider_run(world->provider);
    settle(world);
    assert_int_equal(world->call_count, 1);
    /* while the renewal runs, and after it failed, the old ones serve */
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    reply_error(world, 500, "InternalFailure");
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    world->now_ms += 2000;
    credentials_provider_run(world->provider);
    settle(world);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(ask(world, ROLE_A), "2.111111111111.x-1.111111111111");
}

static void test_expired_credentials_are_never_given(void **state)
{
    struct world *world = *state;
    const uint64_t start_ms = world->now_ms;
    struct asker *asker = ask(world, ROLE_A);

    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    world->now_ms = start_ms + 59 * MINUTE_MS - 1;
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    world->now_ms = start_ms + 59 * MINUTE_MS;
    asker = ask(world, ROLE_A);
    assert_int_equal(asker->answer_count, 0);
    grant(world);
    expect_key(asker, "2.111111111111.x-1.111111111111");
}

/* Goal:   a role that nobody asks for is not renewed, and forgotten in the end. */
static void test_idle_roles_cost_nothing(void **state)
{
    struct world *world = *state;
    struct asker *asker;

    credentials_provider_destroy(world->provider);
    make_provider(world, 0, 1);
    asker = ask(world, ROLE_A);
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    expect_error(ask(world, ROLE_B), ERR_REMOTE_FAILED, "more roles");
    world->now_ms += 2 * HOUR_MS;
    credentials_provider_run(world->provider);
    assert_int_equal(world->call_count, 0);
    asker = ask(world, ROLE_B);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(asker, "2.222222222222.x-1.111111111111");
}

/* ---- checks ---- */

/* Goal:   a check calls whatever is held, and what it brings waits for who asks first. */
static void test_a_check_always_calls(void **state)
{
    struct world *world = *state;
    struct asker *asker;

    asker = check(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    asker = ask(world, ROLE_A);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    asker = check(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    reply_error(world, 403, "AccessDenied"); /* what is held still serves */
    expect_key(asker, "1.111111111111.x-1.111111111111");
    assert_int_equal(world->outcome_count, 2);
    assert_int_equal(world->outcome, ERR_REMOTE_DENIED);
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    assert_int_equal(credentials_provider_call_count(world->provider), 2);
}

/* Goal:   the role may have been made since a check was refused: who needs it asks anew. */
static void test_a_refused_check_is_not_remembered(void **state)
{
    struct world *world = *state;
    struct asker *asker = check(world, ROLE_A);

    reply_error(world, 403, "AccessDenied");
    expect_error(asker, ERR_REMOTE_DENIED, "AccessDenied: because");
    asker = ask(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
}

/* Goal:   a session that only a check wanted is not renewed, and ends by itself. */
static void test_a_check_is_not_use(void **state)
{
    struct world *world = *state;
    struct asker *asker = check(world, ROLE_A);

    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    for (int i = 0; i < 120; i++) {
        world->now_ms += MINUTE_MS;
        credentials_provider_run(world->provider);
        assert_int_equal(world->call_count, 0);
    }
}

/* Goal:   checks never keep a delivery from its role. */
static void test_checked_roles_make_room(void **state)
{
    struct world *world = *state;
    struct asker *asker;

    credentials_provider_destroy(world->provider);
    make_provider(world, 0, 1);
    asker = check(world, ROLE_A);
    expect_error(ask(world, ROLE_B), ERR_REMOTE_FAILED, "more roles"); /* it is being asked for */
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    asker = ask(world, ROLE_B);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(asker, "2.222222222222.x-1.111111111111");
    expect_error(check(world, ROLE_A), ERR_REMOTE_FAILED, "more roles");
}

/* Goal:   a refusal is told at once for 30 s, then asked again, the wait growing to 5 minutes. */
static void test_refusals_are_remembered(void **state)
{
    static const uint64_t waits_ms[] = {30000, 60000, 120000, 240000, 300000, 300000};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
        struct asker *asker = ask(world, ROLE_A);

        assert_int_equal(world->call_count, 1);
        reply_error(world, 403, "AccessDenied");
        expect_error(asker, ERR_REMOTE_DENIED, "AccessDenied: because");
        world->now_ms += waits_ms[i] - 1;
        expect_error(ask(world, ROLE_A), ERR_REMOTE_DENIED, "AccessDenied: because");
        assert_int_equal(world->call_count, 0);
        world->now_ms += 1;
    }
    /* another role is not concerned */
    ask(world, ROLE_B);
    assert_int_equal(world->call_count, 1);
    reply_error(world, 403, "AccessDenied");
    /* and success forgives */
    ask(world, ROLE_A);
    grant(world);
    world->now_ms += HOUR_MS;
    ask(world, ROLE_A);
    reply_error(world, 403, "AccessDenied");
    world->now_ms += 30000;
    ask(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    reply_error(world, 403, "AccessDenied");
}

static void test_failures_are_told_apart(void **state)
{
    static const struct {
        enum err call_err;
        unsigned status;
        const char *code;
        enum err err;
    } rows[] = {
        {ERR_REMOTE_TIMEOUT, 0, "", ERR_REMOTE_TIMEOUT},
        {ERR_REMOTE_FAILED, 0, "", ERR_REMOTE_FAILED},
        {ERR_TOO_LARGE, 0, "", ERR_REMOTE_FAILED},
        {ERR_BAD_VALUE, 0, "", ERR_REMOTE_FAILED},
        {ERR_OK, 400, "Throttling", ERR_REMOTE_THROTTLED},
        {ERR_OK, 503, "ServiceUnavailable", ERR_REMOTE_FAILED},
        {ERR_OK, 502, "", ERR_REMOTE_FAILED},
        {ERR_OK, 400, "ValidationError", ERR_REMOTE_DENIED},
        {ERR_OK, 200, "", ERR_REMOTE_FAILED},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct asker *asker = ask(world, ROLE_A);

        if (rows[i].call_err != ERR_OK) {
            reply(world, rows[i].call_err, 0, SLICE(""));
        } else {
            reply_error(world, rows[i].status, rows[i].code);
        }
        expect_error(asker, rows[i].err, "");
        world->now_ms += 5 * MINUTE_MS;
    }
}

/* Goal:   a transient failure is asked again after a second, then 2, 4, … 30. */
static void test_failures_back_off(void **state)
{
    static const uint64_t waits_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
        ask(world, ROLE_A);
        assert_int_equal(world->call_count, 1);
        reply_error(world, 500, "InternalFailure");
        world->now_ms += waits_ms[i] - 1;
        ask(world, ROLE_A);
        assert_int_equal(world->call_count, 0);
        world->now_ms += 1;
    }
}

/* Goal:   `renew` fetches new ones, but a hundred of them only once. */
static void test_renew_fetches_once(void **state)
{
    struct world *world = *state;
    struct asker *askers[100];
    struct asker *asker = ask(world, ROLE_A);

    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    world->now_ms += MINUTE_MS;
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        askers[i] = ask_for(world, ROLE_A, "x-1", "111111111111", true);
    }
    assert_int_equal(world->calls_made, 2);
    grant(world);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        expect_key(askers[i], "2.111111111111.x-1.111111111111");
    }
    expect_key(ask_for(world, ROLE_A, "x-1", "111111111111", true),
               "2.111111111111.x-1.111111111111");
    assert_int_equal(world->calls_made, 2);
}

/* Goal:   calls to STS keep their rate however many roles are asked for, and none is lost. */
static void test_bucket_bounds_the_calls(void **state)
{
    struct world *world = *state;
    struct asker *askers[100];
    size_t second = 0;

    credentials_provider_destroy(world->provider);
    make_provider(world, 10, 0);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        const char *external_id = arena_printf(&world->arena, "x-%zu", i).data;

        askers[i] = ask_for(world, ROLE_A, external_id, "111111111111", false);
    }
    while (world->calls_made < ARRAY_LEN(askers)) {
        assert_true(world->calls_made <= 10 + 10 * second);
        while (world->call_count > 0) {
            grant(world);
        }
        for (unsigned i = 0; i < 10; i++) {
            world->now_ms += 100;
            credentials_provider_run(world->provider);
        }
        second++;
        assert_true(second <= 10);
    }
    while (world->call_count > 0) {
        grant(world);
    }
    assert_in_range(second, 9, 10);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
        assert_int_equal(askers[i]->ask.err, ERR_OK);
        assert_int_equal(askers[i]->answer_count, 1);
    }
}

static struct slice signed_date(const struct http_call *call)
{
    return header_value(call->headers, call->header_count, SLICE("x-amz-date"));
}

/* Goal:   a wrong clock is corrected once from the Date header; expiry stays on our clock. */
static void test_clock_is_corrected_once(void **state)
{
    struct world *world = *state;
    struct asker *asker;

    world->aws_ahead_ms = 10 * MINUTE_MS;
    asker = ask(world, ROLE_A);
    assert_true(slice_eq(signed_date(world->calls[0]), SLICE("20260101T000000Z")));
    reply_error(world, 403, "SignatureDoesNotMatch");
    assert_int_equal(world->call_count, 1);
    assert_true(slice_eq(signed_date(world->calls[0]), SLICE("20260101T001000Z")));
    grant(world);
    assert_int_equal(asker->ask.credentials->expires_ms, world->now_ms + HOUR_MS);
    /* the clock is right now, so the next such answer is what it says */
    asker = ask(world, ROLE_B);
    reply_error(world, 403, "SignatureDoesNotMatch");
    expect_error(asker, ERR_REMOTE_FAILED, "SignatureDoesNotMatch");
}

/* Goal:   stale keys of our own are loaded again once, then told. */
static void test_stale_own_keys_are_loaded_again(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, ROLE_A);

    world->key_id = "AKIDNEW";
    reply_error(world, 403, "InvalidClientTokenId");
    assert_int_equal(world->call_count, 1);
    assert_non_null(memmem(world->calls[0]->headers[3].value.data,
                           world->calls[0]->headers[3].value.len, "AKIDNEW", 7));
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    asker = ask(world, ROLE_B);
    reply_error(world, 403, "ExpiredToken");
    reply_error(world, 403, "ExpiredToken");
    expect_error(asker, ERR_REMOTE_EXPIRED, "ExpiredToken");
}

static void test_without_own_credentials_everybody_is_told(void **state)
{
    struct world *world = *state;

    world->key_id = NULL;
    expect_error(ask(world, ROLE_A), ERR_NO_CREDENTIALS, "no AWS credentials");
    expect_error(ask(world, ""), ERR_NO_CREDENTIALS, "no AWS credentials");
    assert_int_equal(world->calls_made, 0);
    /* and it heals by itself */
    world->key_id = "AKIDOWN";
    world->now_ms += 5000;
    ask(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    grant(world);
}

#define OWN_REPLY                                                                                  \
    "{\"AccessKeyId\":\"ASIAOWN\",\"SecretAccessKey\":\"s\",\"Token\":\"own-token\","              \
    "\"Expiration\":\"2026-01-01T02:00:00Z\"}"

/* Goal:   everybody waits for one load from the container endpoint, then roles are assumed with
 *         what it gave; renewed before its end; after its end told as expired. */
static void test_own_credentials_from_a_container(void **state)
{
    struct world *world = *state;
    struct asker *own;
    struct asker *role;

    world->key_id = NULL;
    world->container = "http://localhost/creds";
    own = ask(world, "");
    role = ask(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    assert_string_equal(world->calls[0]->url, "http://localhost/creds");
    reply(world, ERR_OK, 200, SLICE(OWN_REPLY));
    expect_key(own, "ASIAOWN");
    assert_int_equal(world->call_count, 1);
    assert_true(slice_eq(header_value(world->calls[0]->headers, world->calls[0]->header_count,
                                      SLICE("x-amz-security-token")),
                         SLICE("own-token")));
    grant(world);
    expect_key(role, "1.111111111111.x-1.111111111111");

    /* the renewal fails, the old ones serve until a minute before their end */
    world->now_ms = world->start_ms + 106 * MINUTE_MS;
    credentials_provider_run(world->provider);
    assert_int_equal(world->call_count, 1); /* not for the role, whose session has ended */
    while (world->call_count > 0) {
        reply(world, ERR_REMOTE_TIMEOUT, 0, SLICE(""));
    }
    expect_key(ask(world, ""), "ASIAOWN");
    world->now_ms = world->start_ms + 119 * MINUTE_MS;
    own = ask(world, "");
    role = ask(world, ROLE_B);
    while (world->call_count > 0) {
        reply(world, ERR_REMOTE_TIMEOUT, 0, SLICE(""));
    }
    expect_error(own, ERR_REMOTE_TIMEOUT, "container endpoint");
    expect_error(role, ERR_REMOTE_TIMEOUT, "container endpoint");
}

static void test_expired_session_is_refused(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, ROLE_A);

    world->life_ms = 0;
    grant(world);
    expect_error(asker, ERR_REMOTE_FAILED, "expired session");
}

/* Goal:   sessions that STS cuts short are still given for most of their life. */
static void test_short_sessions(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, ROLE_A);

    world->life_ms = 10000;
    grant(world);
    expect_key(asker, "1.111111111111.x-1.111111111111");
    world->now_ms += 7900;
    expect_key(ask(world, ROLE_A), "1.111111111111.x-1.111111111111");
    world->now_ms += 200;
    asker = ask(world, ROLE_A);
    assert_int_equal(world->call_count, 1);
    grant(world);
    expect_key(asker, "2.111111111111.x-1.111111111111");
}

static void test_own_credentials_are_given_without_a_role(void **state)
{
    struct world *world = *state;
    struct asker *asker = ask(world, "");

    assert_int_equal(asker->ask.credentials->role_arn.len, 0);
    assert_int_equal(asker->ask.credentials->expires_ms, 0);
    expect_key(asker, "AKIDOWN");
    world->key_id = "AKIDNEW";
    expect_key(ask(world, ""), "AKIDOWN");
    world->now_ms += MINUTE_MS;
    expect_key(ask_for(world, "", "", "", true), "AKIDNEW");
    world->key_id = "AKIDNEWER";
    world->now_ms += 5 * MINUTE_MS;
    credentials_provider_run(world->provider);
    settle(world);
    expect_key(ask(world, ""), "AKIDNEWER");
    assert_int_equal(world->calls_made, 0);
}

/* Goal:   whoever waits when the provider ends is answered; nothing new is called. */
static void test_end_answers_who_waits(void **state)
{
    struct world *world = *state;
    struct asker *calling;
    struct asker *queued;

    credentials_provider_destroy(world->provider);
    make_provider(world, 1, 0);
    calling = ask(world, ROLE_A);
    queued = ask(world, ROLE_B);
    assert_int_equal(world->call_count, 1);
    reply(world, ERR_STOPPING, 0, SLICE(""));
    expect_error(calling, ERR_STOPPING, "");
    expect_error(queued, ERR_STOPPING, "");
    assert_int_equal(world->call_count, 0);

    credentials_provider_destroy(world->provider);
    make_provider(world, 1, 0);
    ask(world, ROLE_A);
    grant(world);
    queued = ask(world, ROLE_B);
    assert_int_equal(world->call_count, 0);
    credentials_provider_destroy(world->provider);
    settle(world);
    expect_error(queued, ERR_STOPPING, "");
    make_provider(world, 0, 0);
}

static void test_overlong_asks_are_refused(void **state)
{
    struct world *world = *state;
    char *arn = arena_alloc(&world->arena, 20001);

    memset(arn, 'a', 20000);
    arn[20000] = '\0';
    expect_error(ask(world, arn), ERR_REMOTE_DENIED, "too long");
    assert_int_equal(world->calls_made, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_call_is_as_documented),
        TEST(test_single_flight),
        TEST(test_nobody_gets_anothers_credentials),
        TEST(test_session_of_another_account_is_refused),
        TEST(test_renewal_and_expiry),
        TEST(test_expired_credentials_are_never_given),
        TEST(test_idle_roles_cost_nothing),
        TEST(test_a_check_always_calls),
        TEST(test_a_refused_check_is_not_remembered),
        TEST(test_a_check_is_not_use),
        TEST(test_checked_roles_make_room),
        TEST(test_refusals_are_remembered),
        TEST(test_failures_are_told_apart),
        TEST(test_failures_back_off),
        TEST(test_renew_fetches_once),
        TEST(test_bucket_bounds_the_calls),
        TEST(test_clock_is_corrected_once),
        TEST(test_stale_own_keys_are_loaded_again),
        TEST(test_without_own_credentials_everybody_is_told),
        TEST(test_own_credentials_are_given_without_a_role),
        TEST(test_own_credentials_from_a_container),
        TEST(test_expired_session_is_refused),
        TEST(test_short_sessions),
        TEST(test_end_answers_who_waits),
        TEST(test_overlong_asks_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
