/* SPDX-License-Identifier: Apache-2.0
 *
 * test_own_credentials.c - the chain of sources: which wins, what is wrong with it, when it is read
 * again.  Files are real, the environment and the container endpoint are the test's.
 */
#include "accounts/own_credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/sts.h"
#include "core/file.h"
#include "core/log.h"
#include "core/moment.h"

enum { VARIABLES_MAX = 8, SECOND_MS = 1000, MINUTE_MS = 60000 };

struct variable {
    const char *name;
    const char *value;
};

struct world {
    struct own_credentials *own;
    struct mailbox mailbox;
    struct credentials_io io;
    uint64_t now_ms;
    const struct variable *variables; /* ends with a NULL name */
    struct http_call *call;           /* under way */
    unsigned calls_made;
    char folder[64];
    char file[96];
    unsigned answer_count;
    enum err err;
    char message[1024];
};

static void fake_start(void *context, struct http_call *call)
{
    struct world *world = context;

    assert_null(world->call);
    world->call = call;
    world->calls_made++;
}

static uint64_t fake_now_ms(void *context)
{
    return ((struct world *)context)->now_ms;
}

static const char *fake_environment(void *context, const char *name)
{
    const struct world *world = context;

    for (const struct variable *variable = world->variables; variable->name != NULL; variable++) {
        if (strcmp(variable->name, name) == 0) {
            return variable->value;
        }
    }
    return NULL;
}

static const struct variable nothing[] = {{"AWS_EC2_METADATA_DISABLED", "TRUE"}, {NULL, NULL}};

static struct own_credentials *make_own(struct world *world)
{
    return own_credentials_new(
        &(struct own_credentials_options){.io = &world->io,
                                          .mailbox = &world->mailbox,
                                          .sts_endpoint = SLICE("https://sts.example.net")});
}

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));

    log_set_level(LOG_ERROR);
    mailbox_init(&world->mailbox, NULL);
    world->io = (struct credentials_io){.context = world,
                                        .start_call = fake_start,
                                        .now_ms = fake_now_ms,
                                        .environment = fake_environment};
    world->variables = nothing;
    assert_int_equal(moment_from_iso(SLICE("2026-01-01T00:00:00Z"), &world->now_ms), ERR_OK);
    world->own = make_own(world);
    (void)snprintf(world->folder, sizeof(world->folder), "own_credentials.XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(world->file, sizeof(world->file), "%s/credentials", world->folder);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    assert_null(world->call);
    own_credentials_destroy(world->own);
    mailbox_clean_up(&world->mailbox);
    (void)unlink(world->file);
    assert_int_equal(rmdir(world->folder), 0);
    xfree(world);
    return 0;
}

static void on_done(void *context, enum err err, const char *message)
{
    struct world *world = context;

    world->answer_count++;
    world->err = err;
    (void)snprintf(world->message, sizeof(world->message), "%s", message);
}

static void begin(struct world *world, const struct variable *variables)
{
    world->variables = variables;
    world->answer_count = 0;
    own_credentials_load(world->own, on_done, world);
    assert_int_equal(world->answer_count, 0); /* always later */
    (void)mailbox_drain(&world->mailbox);
}

static void load(struct world *world, const struct variable *variables)
{
    begin(world, variables);
    assert_int_equal(world->answer_count, 1);
    assert_false(own_credentials_is_loading(world->own));
}

static void expect_key(struct world *world, const char *key_id, const char *secret,
                       const char *token)
{
    const struct credentials *held = own_credentials_held(world->own, world->now_ms);

    if (world->err != ERR_OK || held == NULL) {
        fail_msg("%s: %s", err_name(world->err), world->message);
    }
    assert_true(slice_eq(held->access_key_id, slice_of(key_id)));
    assert_true(slice_eq(held->secret_access_key, slice_of(secret)));
    assert_true(slice_eq(held->session_token, slice_of(token)));
    assert_int_equal(held->role_arn.len, 0);
}

static void expect_error(struct world *world, enum err err, const char *message)
{
    if (world->err != err || strstr(world->message, message) == NULL) {
        fail_msg("%s: %s, wanted %s", err_name(world->err), world->message, message);
    }
    assert_null(own_credentials_held(world->own, world->now_ms));
}

static void write_file(struct world *world, const char *text)
{
    assert_int_equal(file_write_private(world->file, slice_of(text), NULL), ERR_OK);
}

static void test_environment_comes_first(void **state)
{
    struct world *world = *state;
    const struct variable plain[] = {{"AWS_ACCESS_KEY_ID", "AKID"},
                                     {"AWS_SECRET_ACCESS_KEY", "secret"},
                                     {"AWS_SHARED_CREDENTIALS_FILE", world->file},
                                     {NULL, NULL}};
    const struct variable with_token[] = {{"AWS_ACCESS_KEY_ID", "ASIA"},
                                          {"AWS_SECRET_ACCESS_KEY", "secret"},
                                          {"AWS_SESSION_TOKEN", "token"},
                                          {NULL, NULL}};

    write_file(world, "[default]\naws_access_key_id = FILE\naws_secret_access_key = f\n");
    load(world, plain);
    expect_key(world, "AKID", "secret", "");
    load(world, with_token);
    expect_key(world, "ASIA", "secret", "token");
}

static void test_half_an_environment_is_an_error(void **state)
{
    static const struct variable rows[][3] = {
        {{"AWS_ACCESS_KEY_ID", "AKID"}, {NULL, NULL}, {NULL, NULL}},
        {{"AWS_SECRET_ACCESS_KEY", "secret"}, {NULL, NULL}, {NULL, NULL}},
    };
    static const struct variable broken[] = {
        {"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "se\ncret"}, {NULL, NULL}};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        load(world, rows[i]);
        expect_error(world, ERR_NO_CREDENTIALS, "environment: the access key or the secret");
    }
    load(world, broken);
    expect_error(world, ERR_NO_CREDENTIALS, "control characters");
}

static void test_nothing_anywhere(void **state)
{
    struct world *world = *state;

    load(world, nothing);
    expect_error(world, ERR_NO_CREDENTIALS, "no AWS credentials in the environment");
    assert_false(own_credentials_is_due(world->own, world->now_ms + 4999));
    assert_true(own_credentials_is_due(world->own, world->now_ms + 5000));
}

/* Goal:   profiles, comments, spaces, other keys, CRLF, keys of other sections. */
static void test_shared_file_profiles(void **state)
{
    static const char text[] = "# comment\n"
                               "aws_access_key_id = OUTSIDE\n"
                               "[other]\n"
                               "aws_access_key_id=OTHER\n"
                               "aws_secret_access_key=o\n"
                               "[ default ]\r\n"
                               "region = eu-west-1\r\n"
                               "  AWS_Access_Key_Id  =  DEFAULT \r\n"
                               "; aws_secret_access_key = comment\n"
                               "aws_secret_access_key = a=b/c+d\r\n"
                               "aws_session_token=token\n"
                               "[keyless]\n"
                               "region = x\n"
                               "[half]\n"
                               "aws_access_key_id = HALF\n"
                               "[last]\n"
                               "aws_access_key_id = LAST\n"
                               "aws_secret_access_key = l";
    struct world *world = *state;
    struct variable variables[] = {{"AWS_SHARED_CREDENTIALS_FILE", world->file},
                                   {"AWS_PROFILE", NULL},
                                   {"AWS_EC2_METADATA_DISABLED", "true"},
                                   {NULL, NULL}};

    write_file(world, text);
    load(world, variables);
    expect_key(world, "DEFAULT", "a=b/c+d", "token");
    variables[1].value = "other";
    load(world, variables);
    expect_key(world, "OTHER", "o", "");
    variables[1].value = "last";
    load(world, variables);
    expect_key(world, "LAST", "l", "");

    own_credentials_drop(world->own);
    variables[1].value = "absent";
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "shared files: there is no profile absent");
    variables[1].value = "half";
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "the secret key is missing");
    variables[1].value = "keyless";
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "no AWS credentials");
}

static void test_shared_file_places(void **state)
{
    struct world *world = *state;
    char folder[128];
    char path[160];
    const struct variable home[] = {{"HOME", world->folder}, {NULL, NULL}};
    const struct variable profile[] = {{"HOME", world->folder}, {"AWS_PROFILE", "p"}, {NULL, NULL}};
    const struct variable odd[] = {{"AWS_SHARED_CREDENTIALS_FILE", world->folder}, {NULL, NULL}};

    load(world, profile);
    expect_error(world, ERR_NO_CREDENTIALS, "there is no profile p");
    load(world, odd);
    expect_error(world, ERR_NO_CREDENTIALS, world->folder);

    (void)snprintf(folder, sizeof(folder), "%s/.aws", world->folder);
    (void)snprintf(path, sizeof(path), "%s/credentials", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(file_write_private(path,
                                        SLICE("[default]\naws_access_key_id = HOME\n"
                                              "aws_secret_access_key = h\n"),
                                        NULL),
                     ERR_OK);
    load(world, home);
    expect_key(world, "HOME", "h", "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* Goal:   the config file comes second, and calls a profile "profile NAME". */
static void test_config_file(void **state)
{
    static const char text[] = "[p]\naws_access_key_id = NOT\naws_secret_access_key = n\n"
                               "[default]\naws_access_key_id = DEFAULT\n"
                               "aws_secret_access_key = d\n"
                               "[profile  p ]\nregion = x\naws_access_key_id = P\n"
                               "aws_secret_access_key = s\n";
    struct world *world = *state;
    char other[128];
    struct variable variables[] = {{"AWS_CONFIG_FILE", world->file},
                                   {"AWS_SHARED_CREDENTIALS_FILE", other},
                                   {"AWS_PROFILE", NULL},
                                   {NULL, NULL}};

    (void)snprintf(other, sizeof(other), "%s/other", world->folder);
    write_file(world, text);
    load(world, variables);
    expect_key(world, "DEFAULT", "d", "");
    assert_string_equal(own_credentials_source(world->own), "config file");
    variables[2].value = "p";
    load(world, variables);
    expect_key(world, "P", "s", "");
    assert_int_equal(file_write_private(other,
                                        SLICE("[p]\naws_access_key_id = FIRST\n"
                                              "aws_secret_access_key = f\n"),
                                        NULL),
                     ERR_OK);
    load(world, variables);
    expect_key(world, "FIRST", "f", "");
    assert_string_equal(own_credentials_source(world->own), "shared credentials file");
    assert_int_equal(unlink(other), 0);
}

/* Goal:   what weir does not follow is refused by name, not passed over for another identity. */
static void test_other_ways_are_refused(void **state)
{
    static const struct {
        const char *lines;
        const char *refused; /* or NULL */
    } rows[] = {
        {"role_arn = arn:aws:iam::111122223333:role/r\nsource_profile = q\n", "role_arn"},
        {"aws_access_key_id = A\naws_secret_access_key = s\nrole_arn = r\n", "role_arn"},
        {"sso_session = s\n", "sso_session"},
        {"SSO_Start_Url = https://example.net\n", "sso_start_url"},
        {"login_session = l\n", "login_session"},
        {"credential_process = /bin/keys\n", "credential_process"},
        {"credential_process = x\naws_access_key_id = A\naws_secret_access_key = s\n", NULL},
        {"# role_arn = r\naws_access_key_id = A\naws_secret_access_key = s\n", NULL},
    };
    struct world *world = *state;
    const struct variable variables[] = {
        {"AWS_SHARED_CREDENTIALS_FILE", world->file}, {"AWS_PROFILE", "p"}, {NULL, NULL}};
    char text[512];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(text, sizeof(text), "[other]\nrole_arn = r\n[p]\n%s", rows[i].lines);
        write_file(world, text);
        own_credentials_drop(world->own);
        load(world, variables);
        if (rows[i].refused != NULL) {
            expect_error(world, ERR_NO_CREDENTIALS, "profile p asks for");
            expect_error(world, ERR_NO_CREDENTIALS, rows[i].refused);
        } else {
            expect_key(world, "A", "s", "");
        }
    }
}

static void test_overlong_keys_are_refused(void **state)
{
    struct world *world = *state;
    const struct variable file[] = {{"AWS_SHARED_CREDENTIALS_FILE", world->file}, {NULL, NULL}};
    char text[1024];
    char secret[300];
    const struct variable environment[] = {
        {"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", secret}, {NULL, NULL}};

    memset(secret, 's', sizeof(secret) - 1);
    secret[sizeof(secret) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "[default]\naws_access_key_id=A\naws_secret_access_key=%s\n",
                   secret);
    write_file(world, text);
    load(world, file);
    expect_error(world, ERR_NO_CREDENTIALS, "too long in profile default");
    load(world, environment);
    expect_error(world, ERR_NO_CREDENTIALS, "environment: a variable is too long");
}

/* Goal:   what never expires is read again after five minutes; a failure keeps the old ones. */
static void test_files_are_read_again(void **state)
{
    struct world *world = *state;
    const struct variable variables[] = {{"AWS_SHARED_CREDENTIALS_FILE", world->file},
                                         {NULL, NULL}};

    assert_true(own_credentials_is_due(world->own, world->now_ms));
    write_file(world, "[default]\naws_access_key_id = ONE\naws_secret_access_key = s\n");
    load(world, variables);
    expect_key(world, "ONE", "s", "");
    assert_false(own_credentials_is_due(world->own, world->now_ms + 5 * MINUTE_MS - 1));
    assert_true(own_credentials_is_due(world->own, world->now_ms + 5 * MINUTE_MS));
    write_file(world, "[default]\naws_access_key_id = TWO\n");
    load(world, variables);
    assert_int_equal(world->err, ERR_NO_CREDENTIALS);
    world->err = ERR_OK;
    expect_key(world, "ONE", "s", "");
    write_file(world, "[default]\naws_access_key_id = TWO\naws_secret_access_key = t\n");
    load(world, variables);
    expect_key(world, "TWO", "t", "");
}

/* ---- container endpoint ---- */

static void reply(struct world *world, enum err err, unsigned status, const char *body)
{
    struct http_call *call = world->call;

    assert_non_null(call);
    world->call = NULL;
    call->err = err;
    call->status = status;
    buf_init(&call->response, 65536);
    assert_int_equal(buf_append(&call->response, slice_of(body)), ERR_OK);
    (void)snprintf(call->error_text, sizeof(call->error_text), "%s", err != ERR_OK ? "gone" : "");
    call->on_done(call);
    (void)mailbox_drain(&world->mailbox);
}

#define CONTAINER_REPLY(expiration)                                                                \
    "{\"RoleArn\":\"r\",\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s\\/t\",\"Token\":\"t\","   \
    "\"Expiration\":\"" expiration "\",\"Nested\":{\"AccessKeyId\":\"no\"},\"N\":[1,null]}"

static void test_container_on_ecs(void **state)
{
    static const struct variable variables[] = {
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/uuid"}, {NULL, NULL}};
    struct world *world = *state;

    begin(world, variables);
    assert_string_equal(world->call->url, "http://169.254.170.2/v2/credentials/uuid");
    assert_string_equal(world->call->method, "GET");
    assert_int_equal(world->call->header_count, 0);
    assert_int_equal(world->call->timeout_ms, 2000);
    reply(world, ERR_OK, 200, CONTAINER_REPLY("2026-01-01T06:00:00Z"));
    expect_key(world, "ASIA", "s/t", "t");
    assert_false(own_credentials_is_due(world->own, world->now_ms + 345 * MINUTE_MS - 1));
    assert_true(own_credentials_is_due(world->own, world->now_ms + 345 * MINUTE_MS));
    assert_non_null(own_credentials_held(world->own, world->now_ms + 359 * MINUTE_MS - 1));
    assert_null(own_credentials_held(world->own, world->now_ms + 359 * MINUTE_MS));
}

/* Goal:   the token of EKS comes from its file anew each time, and is sent as it is. */
static void test_container_on_eks(void **state)
{
    struct world *world = *state;
    const struct variable variables[] = {
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
        {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", world->file},
        {NULL, NULL}};
    static const char *const tokens[] = {"first token", "second\n"};
    static const char *const sent[] = {"first token", "second"};

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        write_file(world, tokens[i]);
        begin(world, variables);
        assert_string_equal(world->call->url, "http://169.254.170.23/v1/credentials");
        assert_true(slice_eq(
            header_value(world->call->headers, world->call->header_count, SLICE("authorization")),
            slice_of(sent[i])));
        reply(world, ERR_OK, 200, CONTAINER_REPLY("2026-01-01T00:10:00Z"));
        expect_key(world, "ASIA", "s/t", "t");
    }
    /* too short a life for a quarter of an hour's notice: half of it */
    assert_true(own_credentials_is_due(world->own, world->now_ms + 5 * MINUTE_MS));

    own_credentials_drop(world->own);
    write_file(world, "to\nken");
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "control bytes");
    assert_int_equal(unlink(world->file), 0);
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, world->file);
}

static void test_container_urls(void **state)
{
    static const struct {
        const char *url;
        bool is_allowed;
    } rows[] = {
        {"http://169.254.170.2/x", true},
        {"http://169.254.170.23", true},
        {"http://[fd00:ec2::23]:80/v1", true},
        {"http://localhost:8080/x", true},
        {"http://127.0.0.1:1/", true},
        {"http://[::1]/", true},
        {"https://credentials.example.net/x", true},
        {"http://credentials.example.net/x", false},
        {"http://169.254.170.24/", false},
        {"http://169.254.170.2.example.net/", false},
        {"http://localhost.example.net/", false},
        {"http://localhost:x@example.net/", false},
        {"http://localhost@example.net/", false},
        {"http://169.254.169.254/", false},
        {"ftp://localhost/", false},
        {"https://a b/", false},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct variable variables[] = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", rows[i].url},
                                             {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "token"},
                                             {NULL, NULL}};

        own_credentials_drop(world->own);
        begin(world, variables);
        if ((world->call != NULL) != rows[i].is_allowed) {
            fail_msg("%s", rows[i].url);
        }
        if (rows[i].is_allowed) {
            reply(world, ERR_OK, 200, CONTAINER_REPLY("2026-01-01T06:00:00Z"));
        } else {
            expect_error(world, ERR_NO_CREDENTIALS, "plain http is allowed only");
        }
    }
}

/* Goal:   three attempts, then what the last one said; what is set up wrongly is final. */
static void test_container_failures(void **state)
{
    static const struct variable variables[] = {
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/x"}, {NULL, NULL}};
    static const struct {
        enum err call_err;
        unsigned status;
        const char *body;
        enum err err;
        const char *message;
    } rows[] = {
        {ERR_REMOTE_TIMEOUT, 0, "", ERR_REMOTE_TIMEOUT, "no answer gone"},
        {ERR_TOO_LARGE, 0, "", ERR_REMOTE_FAILED, "no answer"},
        {ERR_OK, 403, "{}", ERR_REMOTE_FAILED, "not 200"},
        {ERR_OK, 200, "", ERR_REMOTE_FAILED, "JSON"},
        {ERR_OK, 200, "[]", ERR_REMOTE_FAILED, "JSON"},
        {ERR_OK, 200, "{\"AccessKeyId\":\"A\"", ERR_REMOTE_FAILED, "JSON"},
        {ERR_OK, 200, "{\"AccessKeyId\":}", ERR_REMOTE_FAILED, "JSON"},
        {ERR_OK, 200, "{} x", ERR_REMOTE_FAILED, "JSON"},
        {ERR_OK, 200, "{\"AccessKeyId\":\"A\"}", ERR_NO_CREDENTIALS, "is missing"},
        {ERR_OK, 200, CONTAINER_REPLY("2026-01-01T00:00:59Z"), ERR_REMOTE_FAILED, "expire"},
        {ERR_OK, 200, CONTAINER_REPLY("soon"), ERR_REMOTE_FAILED, "expire"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        world->calls_made = 0;
        begin(world, variables);
        while (world->call != NULL) {
            reply(world, rows[i].call_err, rows[i].status, rows[i].body);
        }
        assert_int_equal(world->calls_made, rows[i].err == ERR_NO_CREDENTIALS ? 1 : 3);
        assert_int_equal(world->answer_count, 1);
        expect_error(world, rows[i].err, rows[i].message);
    }
    begin(world, variables);
    reply(world, ERR_REMOTE_FAILED, 0, "");
    reply(world, ERR_OK, 200, CONTAINER_REPLY("2026-01-01T06:00:00Z"));
    expect_key(world, "ASIA", "s/t", "t");
    begin(world, variables);
    reply(world, ERR_STOPPING, 0, "");
    assert_int_equal(world->answer_count, 1);
}

/* ---- instance metadata ---- */

static void expect_question(struct world *world, const char *method, const char *url,
                            const char *name, const char *value)
{
    const struct http_call *call = world->call;

    assert_non_null(call);
    assert_string_equal(call->method, method);
    assert_string_equal(call->url, url);
    assert_int_equal(call->header_count, 1);
    assert_true(slice_eq(header_value(call->headers, 1, slice_of(name)), slice_of(value)));
}

#define TTL      "x-aws-ec2-metadata-token-ttl-seconds"
#define TOKEN    "x-aws-ec2-metadata-token"
#define ROLES    "/latest/meta-data/iam/security-credentials/"
#define INSTANCE "http://169.254.169.254"
#define ROLE_REPLY                                                                                 \
    "{\"Code\":\"Success\",\"LastUpdated\":\"x\",\"Type\":\"AWS-HMAC\","                           \
    "\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","                          \
    "\"Expiration\":\"2026-01-01T06:00:00Z\"}"

static const struct variable unset[] = {{NULL, NULL}};

static void test_instance_metadata(void **state)
{
    struct world *world = *state;

    begin(world, unset);
    expect_question(world, "PUT", INSTANCE "/latest/api/token", TTL, "21600");
    assert_int_equal(world->call->timeout_ms, 1000);
    reply(world, ERR_OK, 200, "tok==\n");
    expect_question(world, "GET", INSTANCE ROLES, TOKEN, "tok==");
    reply(world, ERR_OK, 200, "weir-central@prod\nsecond\n");
    expect_question(world, "GET", INSTANCE ROLES "weir-central@prod", TOKEN, "tok==");
    assert_int_equal(world->answer_count, 0);
    reply(world, ERR_OK, 200, ROLE_REPLY);
    assert_int_equal(world->answer_count, 1);
    expect_key(world, "ASIA", "s", "t");
    assert_string_equal(own_credentials_source(world->own), "instance metadata");
    assert_true(own_credentials_is_due(world->own, world->now_ms + 345 * MINUTE_MS));
}

static void test_instance_metadata_places(void **state)
{
    static const struct {
        struct variable variable;
        const char *url; /* NULL: nobody is asked */
    } rows[] = {
        {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338//"},
         "http://127.0.0.1:1338/latest/api/token"},
        {{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6"},
         "http://[fd00:ec2::254]/latest/api/token"},
        {{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ipv4"}, INSTANCE "/latest/api/token"},
        {{"AWS_EC2_METADATA_DISABLED", "false"}, INSTANCE "/latest/api/token"},
        {{"AWS_EC2_METADATA_DISABLED", "true"}, NULL},
        {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "file:///etc"}, NULL},
        {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://a b"}, NULL},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct variable variables[] = {rows[i].variable, {NULL, NULL}};

        begin(world, variables);
        if (rows[i].url == NULL) {
            assert_null(world->call);
            assert_int_equal(world->err, ERR_NO_CREDENTIALS);
            continue;
        }
        assert_string_equal(world->call->url, rows[i].url);
        reply(world, ERR_OK, 403, "");
        expect_error(world, ERR_NO_CREDENTIALS, "turned off");
    }
}

/* Goal:   each of the three answers may be wrong; what cannot get better is asked once. */
static void test_instance_metadata_failures(void **state)
{
    static const struct {
        unsigned step; /* answers before were good */
        enum err call_err;
        unsigned status;
        const char *body;
        enum err err;
        const char *message;
        unsigned attempts;
    } rows[] = {
        {0, ERR_REMOTE_TIMEOUT, 0, "", ERR_NO_CREDENTIALS, "nobody answers here", 3},
        {0, ERR_REMOTE_UNREACHABLE, 0, "", ERR_NO_CREDENTIALS, "two hops): gone", 3},
        {0, ERR_OK, 500, "", ERR_REMOTE_FAILED, "not 200", 3},
        {0, ERR_OK, 200, "", ERR_REMOTE_FAILED, "not one", 3},
        {0, ERR_OK, 200, "to ken", ERR_REMOTE_FAILED, "not one", 3},
        {1, ERR_OK, 404, "", ERR_NO_CREDENTIALS, "no role is attached", 1},
        {1, ERR_OK, 200, "\n", ERR_NO_CREDENTIALS, "no role is attached", 1},
        {1, ERR_OK, 401, "", ERR_REMOTE_FAILED, "list of roles is not 200", 3},
        {1, ERR_OK, 200, "../../../user-data", ERR_REMOTE_FAILED, "names no role", 3},
        {1, ERR_REMOTE_TIMEOUT, 0, "", ERR_REMOTE_TIMEOUT, "no answer", 3},
        {2, ERR_OK, 500, "", ERR_REMOTE_FAILED, "not 200", 3},
        {2, ERR_OK, 200, "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"m\"}",
         ERR_REMOTE_FAILED, "AssumeRoleUnauthorizedAccess", 3},
        {2, ERR_OK, 200, "not found", ERR_REMOTE_FAILED, "JSON", 3},
    };
    static const char *const good[] = {"token", "role"};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(world, unset);
        for (unsigned k = 0; k < rows[i].step; k++) {
            reply(world, ERR_OK, 200, good[k]);
        }
        world->calls_made = 1;
        while (world->call != NULL) {
            reply(world, rows[i].call_err, rows[i].status, rows[i].body);
        }
        if (world->calls_made != rows[i].attempts) {
            fail_msg("row %zu: %u attempts", i, world->calls_made);
        }
        expect_error(world, rows[i].err, rows[i].message);
    }
    begin(world, unset);
    reply(world, ERR_STOPPING, 0, "");
    assert_int_equal(world->answer_count, 1);
}

/* ---- web identity ---- */

#define WEB_ROLE "arn:aws:iam::111122223333:role/weir"
#define WEB_REPLY(account)                                                                         \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"      \
    "<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>x</"                            \
    "SubjectFromWebIdentityToken>"                                                                 \
    "<AssumedRoleUser><Arn>arn:aws:sts::" account                                                  \
    ":assumed-role/weir/weir</Arn></AssumedRoleUser>"                                              \
    "<Credentials><SessionToken>t+/=</SessionToken><SecretAccessKey>s</SecretAccessKey>"           \
    "<Expiration>2026-01-01T01:00:00Z</Expiration><AccessKeyId>ASIA</AccessKeyId></Credentials>"   \
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define STS_ERROR(code)                                                                            \
    "<ErrorResponse><Error><Code>" code "</Code><Message>m</Message></Error></ErrorResponse>"

/* Goal:   an unsigned form with the token, whose file is read anew each time. */
static void test_web_identity(void **state)
{
    struct world *world = *state;
    const struct variable variables[] = {{"AWS_WEB_IDENTITY_TOKEN_FILE", world->file},
                                         {"AWS_ROLE_ARN", WEB_ROLE},
                                         {"AWS_ROLE_SESSION_NAME", "pod-1"},
                                         {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost"},
                                         {NULL, NULL}};
    static const char *const tokens[] = {"one.two-three_4", "five\n"};
    static const char *const sent[] = {"&WebIdentityToken=one.two-three_4",
                                       "&WebIdentityToken=five"};

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        write_file(world, tokens[i]);
        begin(world, variables);
        expect_question(world, "POST", "https://sts.example.net/", "content-type",
                        "application/x-www-form-urlencoded; charset=utf-8");
        assert_true(slice_has_prefix(
            world->call->body,
            SLICE("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A"
                  "%3A111122223333%3Arole%2Fweir&RoleSessionName=pod-1&")));
        assert_true(slice_has_suffix(world->call->body, slice_of(sent[i])));
        reply(world, ERR_OK, 200, WEB_REPLY("111122223333"));
        expect_key(world, "ASIA", "s", "t+/=");
    }
    assert_string_equal(own_credentials_source(world->own), "web identity");
    assert_true(own_credentials_is_due(world->own, world->now_ms + 45 * MINUTE_MS));
    assert_null(own_credentials_held(world->own, world->now_ms + 59 * MINUTE_MS));
}

static void test_web_identity_set_up_wrongly(void **state)
{
    struct world *world = *state;
    struct variable variables[] = {{"AWS_WEB_IDENTITY_TOKEN_FILE", world->file},
                                   {"AWS_ROLE_ARN", WEB_ROLE},
                                   {"AWS_ROLE_SESSION_NAME", ""},
                                   {NULL, NULL}};
    char long_name[STS_BODY_BYTES_MAX + 1];

    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, world->file);
    write_file(world, " \n");
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "the token is empty");
    write_file(world, "a\nb");
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "blanks or control");
    write_file(world, "token");
    variables[1].value = NULL;
    load(world, variables);
    expect_error(world, ERR_NO_CREDENTIALS, "AWS_ROLE_ARN is not set");
    variables[1].value = WEB_ROLE;
    memset(long_name, '=', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    variables[2].value = long_name;
    begin(world, variables);
    if (world->call != NULL) { /* long, but it fits: STS will judge it */
        reply(world, ERR_OK, 400, STS_ERROR("ValidationError"));
    }
    assert_int_equal(world->err, ERR_NO_CREDENTIALS);
}

static void test_web_identity_failures(void **state)
{
    static const struct {
        enum err call_err;
        unsigned status;
        const char *body;
        enum err err;
        const char *message;
        unsigned attempts;
    } rows[] = {
        {ERR_REMOTE_TIMEOUT, 0, "", ERR_REMOTE_TIMEOUT, "no answer", 3},
        {ERR_OK, 400, STS_ERROR("InvalidIdentityToken"), ERR_NO_CREDENTIALS,
         "web identity: InvalidIdentityToken: m", 1},
        {ERR_OK, 403, STS_ERROR("AccessDenied"), ERR_NO_CREDENTIALS, "AccessDenied", 1},
        {ERR_OK, 400, STS_ERROR("ExpiredTokenException"), ERR_NO_CREDENTIALS, "ExpiredToken", 1},
        {ERR_OK, 400, STS_ERROR("IDPCommunicationError"), ERR_REMOTE_FAILED, "IDPComm", 3},
        {ERR_OK, 400, STS_ERROR("Throttling"), ERR_REMOTE_FAILED, "Throttling", 3},
        {ERR_OK, 500, "", ERR_REMOTE_FAILED, "no error code from STS", 3},
        {ERR_OK, 200, "<a/>", ERR_REMOTE_FAILED, "cannot be read", 3},
        {ERR_OK, 200, WEB_REPLY("444455556666"), ERR_REMOTE_FAILED, "another account", 3},
    };
    struct world *world = *state;
    const struct variable variables[] = {
        {"AWS_WEB_IDENTITY_TOKEN_FILE", world->file}, {"AWS_ROLE_ARN", WEB_ROLE}, {NULL, NULL}};

    write_file(world, "token");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        world->calls_made = 0;
        begin(world, variables);
        while (world->call != NULL) {
            reply(world, rows[i].call_err, rows[i].status, rows[i].body);
        }
        if (world->calls_made != rows[i].attempts) {
            fail_msg("row %zu: %u attempts", i, world->calls_made);
        }
        expect_error(world, rows[i].err, rows[i].message);
    }
}

/* Goal:   destroyed while its mail is under way: freed by the mail, nobody is called. */
static void test_end_with_mail_under_way(void **state)
{
    struct world *world = *state;

    own_credentials_load(world->own, on_done, world);
    own_credentials_destroy(world->own);
    (void)mailbox_drain(&world->mailbox);
    assert_int_equal(world->answer_count, 0);
    world->own = make_own(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_environment_comes_first),
        TEST(test_half_an_environment_is_an_error),
        TEST(test_nothing_anywhere),
        TEST(test_shared_file_profiles),
        TEST(test_shared_file_places),
        TEST(test_config_file),
        TEST(test_other_ways_are_refused),
        TEST(test_overlong_keys_are_refused),
        TEST(test_files_are_read_again),
        TEST(test_container_on_ecs),
        TEST(test_container_on_eks),
        TEST(test_container_urls),
        TEST(test_container_failures),
        TEST(test_instance_metadata),
        TEST(test_instance_metadata_places),
        TEST(test_instance_metadata_failures),
        TEST(test_web_identity),
        TEST(test_web_identity_set_up_wrongly),
        TEST(test_web_identity_failures),
        TEST(test_end_with_mail_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
