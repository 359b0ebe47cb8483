/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sigv4_verify.c - which requests count as signed with a key that weir issued.
 *
 * Requests are signed here with the stages of sigv4.h, which test_sigv4 and the vectors prove by
 * themselves, so that each row can differ from a good request in one thing only.
 */
#include "accounts/sigv4_verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/moment.h"

#define KEY_ID "AKIDWEIREXAMPLE"
#define SECRET "weir-example-secret-0001"
#define BODY   "{\"Entries\":[]}"
#define DATE   "20260101T000000Z"

enum { NOW_MS_AT_DATE = 0, MINUTE_MS = 60000, HEADERS_MAX = 24 };

static struct limiter limiter;

struct world {
    struct directory *directory;
    struct account *account;
    struct credential *credential;
    struct sigv4_key_cache *keys;
    uint64_t date_ms;
    struct err_why why;
};

/* One request: how it is signed, and what then arrives. */
struct shot {
    const char *what;
    const char *key_id;
    const char *secret;
    const char *region;
    const char *service;
    const char *scope_date;
    const char *list;      /* SignedHeaders */
    const char *body;      /* that arrives */
    const char *sent_auth; /* instead of the header made, or NULL */
    struct slice authority;
    bool is_http2;
    int64_t now_offset_ms;
    struct header headers[HEADERS_MAX]; /* signed over and sent, without authorization */
    size_t header_count;
    struct header changed; /* replaces the header of its name after signing; or is added */
    enum err err;
};

static const struct shot good = {
    .what = "good",
    .key_id = KEY_ID,
    .secret = SECRET,
    .region = "eu-west-1",
    .service = "events",
    .scope_date = "20260101",
    .list = "content-type;host;x-amz-date;x-amz-target",
    .body = BODY,
    .headers =
        {
            {SLICE_INIT("Host"), SLICE_INIT("weir.example.net")},
            {SLICE_INIT("X-Amz-Date"), SLICE_INIT(DATE)},
            {SLICE_INIT("Content-Type"), SLICE_INIT("application/x-amz-json-1.1")},
            {SLICE_INIT("X-Amz-Target"), SLICE_INIT("AWSEvents.PutEvents")},
            {SLICE_INIT("Content-Length"), SLICE_INIT("14")},
            {SLICE_INIT("X-Amzn-Trace-Id"), SLICE_INIT("Root=1")},
        },
    .header_count = 6,
};

static int set_up(void **state)
{
    struct world *world = xcalloc(1, sizeof(*world));
    struct arena *arena;

    digest_init();
    world->directory = directory_new();
    arena = &world->directory->arena;
    world->account = ARENA_NEW(arena, struct account);
    *world->account = (struct account){.id = SLICE("111111111111"), .limiter = &limiter};
    directory_add_account(world->directory, world->account);
    world->credential = ARENA_NEW(arena, struct credential);
    *world->credential = (struct credential){.id = SLICE(KEY_ID),
                                             .kind = CREDENTIAL_SIGV4,
                                             .account_id = SLICE("111111111111"),
                                             .secret = SLICE(SECRET)};
    directory_add_credential(world->directory, world->credential);
    world->keys = sigv4_key_cache_new();
    assert_int_equal(moment_from_amz(SLICE(DATE), &world->date_ms), ERR_OK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    sigv4_key_cache_destroy(world->keys);
    directory_release(world->directory);
    xfree(world);
    return 0;
}

/* The Authorization header that a client with these settings sends. */
static struct slice sign(const struct shot *shot, const struct sigv4_request *request,
                         struct arena *arena)
{
    const struct sigv4_scope scope = {slice_of(shot->scope_date), slice_of(shot->region),
                                      slice_of(shot->service)};
    char signature[DIGEST_HEX_CHARS];
    struct digest key;
    struct buf canonical;
    struct buf text;

    buf_init(&canonical, 65536);
    buf_init(&text, 65536);
    /* A list that cannot be signed gets some signature: it must be refused for the list. */
    (void)!sigv4_canonical_request(request, slice_of(shot->list), true, &canonical);
    assert_int_equal(sigv4_string_to_sign(buf_slice(&canonical), SLICE(DATE), &scope, &text),
                     ERR_OK);
    sigv4_signing_key(slice_of(shot->secret), &scope, &key);
    sigv4_signature(&key, buf_slice(&text), signature);
    buf_clean_up(&canonical);
    buf_clean_up(&text);
    return arena_printf(arena,
                        "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, "
                        "SignedHeaders=%s, Signature=%.*s",
                        shot->key_id, shot->scope_date, shot->region, shot->service, shot->list,
                        (int)sizeof(signature), signature);
}

static void apply_change(struct header *headers, size_t *count, struct header changed)
{
    for (size_t i = 0; i < *count; i++) {
        if (slice_eq(headers[i].name, changed.name)) {
            headers[i].value = changed.value;
            return;
        }
    }
    headers[(*count)++] = changed;
}

/* Sign, change, send: what do head check and verification say? */
static enum err fire(struct world *world, const struct shot *shot, struct principal *principal,
                     enum err *head_err)
{
    struct arena arena = {0};
    struct header headers[HEADERS_MAX + 2];
    struct sigv4_request request = {.method = SLICE("POST"),
                                    .path = SLICE("/"),
                                    .authority = shot->authority,
                                    .is_http2 = shot->is_http2,
                                    .headers = headers,
                                    .header_count = shot->header_count};
    const struct sigv4_verify_options options = {
        .directory = world->directory,
        .keys = world->keys,
        .region = SLICE("eu-west-1"),
        .service = SLICE("events"),
        .now_ms = world->date_ms + (uint64_t)shot->now_offset_ms,
        .skew_max_ms = 5 * MINUTE_MS,
        .why = &world->why,
    };
    enum err err;

    memcpy(headers, shot->headers, shot->header_count * sizeof(*headers));
    digest_sha256(SLICE(BODY), &request.body_digest);
    headers[request.header_count] = (struct header){
        SLICE("Authorization"),
        shot->sent_auth != NULL ? slice_of(shot->sent_auth) : sign(shot, &request, &arena)};
    request.header_count++;
    if (shot->changed.name.data != NULL) {
        apply_change(headers, &request.header_count, shot->changed);
    }
    digest_sha256(slice_of(shot->body), &request.body_digest);
    world->why.text[0] = '\0';
    *principal = (struct principal){0};
    *head_err = sigv4_check_head(&options, &request);
    err = sigv4_verify(&options, &request, principal);
    /* borrowed texts go with the arena, and nobody may look at them later */
    principal->invocation_id = (struct slice){NULL, principal->invocation_id.len};
    arena_clean_up(&arena);
    return err;
}

static void expect(struct world *world, const struct shot *shot)
{
    struct principal principal;
    enum err head_err;
    const enum err err = fire(world, shot, &principal, &head_err);

    if (err != shot->err || (err == ERR_OK && head_err != ERR_OK) ||
        (err != ERR_OK && principal.account != NULL)) {
        fail_msg("%s: %s (head %s)", shot->what, err_name(err), err_name(head_err));
    }
}

static void add_header(struct shot *shot, struct slice name, struct slice value)
{
    assert_true(shot->header_count < HEADERS_MAX);
    shot->headers[shot->header_count++] = (struct header){name, value};
}

static void test_good_request_gives_its_principal(void **state)
{
    struct world *world = *state;
    struct principal principal;
    enum err head_err;

    assert_int_equal(fire(world, &good, &principal, &head_err), ERR_OK);
    assert_int_equal(head_err, ERR_OK);
    assert_ptr_equal(principal.account, world->account);
    assert_ptr_equal(principal.credential, world->credential);
    assert_true(principal.has_signature);
    assert_false(principal.relays);
    assert_int_equal(principal.invocation_id.len, 0);

    world->credential->is_forwarder = true;
    assert_int_equal(fire(world, &good, &principal, &head_err), ERR_OK);
    assert_true(principal.relays);
}

/* Goal:   one changed thing, one refusal: the parts of the scope, the key, time and body. */
static void test_wrong_scope_key_time_or_body(void **state)
{
    struct shot rows[] = {good, good, good, good, good, good, good, good, good, good, good};
    size_t n = 0;

    rows[n].what = "unknown key";
    rows[n++].key_id = "AKIDUNKNOWN";
    rows[n].what = "wrong secret";
    rows[n++].secret = "weir-example-secret-0002";
    rows[n].what = "another region";
    rows[n++].region = "us-east-1";
    rows[n].what = "another service";
    rows[n++].service = "sqs";
    rows[n].what = "scope of another day";
    rows[n++].scope_date = "20251231";
    rows[n].what = "body changed";
    rows[n++].body = "{\"Entries\":[ ]}";
    rows[n].what = "too late";
    rows[n++].now_offset_ms = 5 * MINUTE_MS + 1;
    rows[n].what = "too early";
    rows[n++].now_offset_ms = -5 * MINUTE_MS - 1;
    for (size_t i = 0; i < n; i++) {
        rows[i].err = ERR_BAD_SIGNATURE;
        expect(*state, &rows[i]);
    }
    rows[n].what = "just in time";
    rows[n].now_offset_ms = 5 * MINUTE_MS;
    expect(*state, &rows[n++]);
    rows[n].what = "just not too early";
    rows[n].now_offset_ms = -5 * MINUTE_MS;
    expect(*state, &rows[n]);
}

/* Goal:   what gives a request its meaning must be signed, and must arrive as it was signed. */
static void test_unsigned_or_changed_headers(void **state)
{
    static const struct {
        const char *what;
        const char *list;
        struct header changed;
        enum err err;
    } rows[] = {
        {"host unsigned", "content-type;x-amz-date;x-amz-target", {{0}, {0}}, ERR_BAD_SIGNATURE},
        {"date unsigned", "content-type;host;x-amz-target", {{0}, {0}}, ERR_BAD_SIGNATURE},
        {"target unsigned", "content-type;host;x-amz-date", {{0}, {0}}, ERR_BAD_SIGNATURE},
        {"type unsigned", "host;x-amz-date;x-amz-target", {{0}, {0}}, ERR_BAD_SIGNATURE},
        {"length signed too",
         "content-length;content-type;host;x-amz-date;x-amz-target",
         {{0}, {0}},
         ERR_OK},
        {"absent header listed",
         "content-type;host;x-absent;x-amz-date;x-amz-target",
         {{0}, {0}},
         ERR_BAD_SIGNATURE},
        {"unsorted", "host;content-type;x-amz-date;x-amz-target", {{0}, {0}}, ERR_BAD_SIGNATURE},
        {"x-amz- header added",
         NULL,
         {SLICE_INIT("x-amz-meta"), SLICE_INIT("1")},
         ERR_BAD_SIGNATURE},
        {"X-Amz- header added",
         NULL,
         {SLICE_INIT("X-Amz-Acl"), SLICE_INIT("1")},
         ERR_BAD_SIGNATURE},
        {"token added",
         NULL,
         {SLICE_INIT("x-amz-security-token"), SLICE_INIT("t")},
         ERR_BAD_SIGNATURE},
        {"trace header changed", NULL, {SLICE_INIT("X-Amzn-Trace-Id"), SLICE_INIT("2")}, ERR_OK},
        {"unsigned invocation added",
         NULL,
         {SLICE_INIT("amz-sdk-invocation-id"), SLICE_INIT("i")},
         ERR_OK},
        {"host changed",
         NULL,
         {SLICE_INIT("Host"), SLICE_INIT("other.example.net")},
         ERR_BAD_SIGNATURE},
        {"target changed",
         NULL,
         {SLICE_INIT("X-Amz-Target"), SLICE_INIT("AWSEvents.PutRule")},
         ERR_BAD_SIGNATURE},
        {"date changed",
         NULL,
         {SLICE_INIT("X-Amz-Date"), SLICE_INIT("20260101T000001Z")},
         ERR_BAD_SIGNATURE},
        {"date is no date",
         NULL,
         {SLICE_INIT("X-Amz-Date"), SLICE_INIT("2026-01-01")},
         ERR_BAD_SIGNATURE},
        {"type changed",
         NULL,
         {SLICE_INIT("Content-Type"), SLICE_INIT("text/plain")},
         ERR_BAD_SIGNATURE},
        {"second host",
         NULL,
         {SLICE_INIT("host"), SLICE_INIT("weir.example.net")},
         ERR_BAD_SIGNATURE},
        {"second date", NULL, {SLICE_INIT("x-amz-date"), SLICE_INIT(DATE)}, ERR_BAD_SIGNATURE},
        {"second length",
         NULL,
         {SLICE_INIT("content-length"), SLICE_INIT("14")},
         ERR_BAD_SIGNATURE},
        {"second target",
         NULL,
         {SLICE_INIT("x-amz-target"), SLICE_INIT("AWSEvents.PutEvents")},
         ERR_BAD_SIGNATURE},
        {"hash of another body",
         NULL,
         {SLICE_INIT("x-amz-content-sha256"),
          SLICE_INIT("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")},
         ERR_BAD_SIGNATURE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shot shot = good;

        shot.what = rows[i].what;
        shot.list = rows[i].list != NULL ? rows[i].list : good.list;
        shot.changed = rows[i].changed;
        shot.err = rows[i].err;
        expect(*state, &shot);
    }
}

/* Goal:   a declared payload hash must be that of the body, even where the signature covers it. */
static void test_declared_body_hashes(void **state)
{
    static const struct {
        struct slice value;
        enum err err;
    } rows[] = {
        {SLICE_INIT("ad96a82def9b85b53cffc07aa03d80c43b6ddb5eb90022a60f43e1ea0e02df38"),
         ERR_BAD_SIGNATURE},
        {SLICE_INIT("UNSIGNED-PAYLOAD"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ERR_BAD_SIGNATURE},
        {SLICE_INIT("STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ERR_BAD_SIGNATURE},
        {SLICE_INIT(""), ERR_BAD_SIGNATURE},
    };
    char hex[DIGEST_HEX_CHARS];
    struct digest digest;
    struct shot shot;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        shot = good;
        shot.what = rows[i].value.data;
        shot.list = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target";
        add_header(&shot, SLICE("x-amz-content-sha256"), rows[i].value);
        shot.err = rows[i].err;
        expect(*state, &shot);
    }
    shot = good;
    digest_sha256(SLICE(BODY), &digest);
    digest_hex(&digest, hex);
    shot.list = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target";
    add_header(&shot, SLICE("x-amz-content-sha256"), (struct slice){hex, sizeof(hex)});
    expect(*state, &shot);
    add_header(&shot, SLICE("X-Amz-Content-Sha256"), (struct slice){hex, sizeof(hex)});
    shot.what = "declared twice";
    shot.err = ERR_BAD_SIGNATURE;
    expect(*state, &shot);
}

/* Goal:   HTTP/2 as the SDKs and proxies send it: :authority signed, host signed but not sent,
 *         host sent without :authority. */
static void test_http2_names_of_the_host(void **state)
{
    static const struct {
        const char *what;
        bool is_http2;
        struct slice authority;
        bool has_host;
        const char *list;
        enum err err;
    } rows[] = {
        {":authority signed", true, SLICE_INIT("weir.example.net"), false,
         ":authority;content-type;x-amz-date;x-amz-target", ERR_OK},
        {"host signed, :authority sent", true, SLICE_INIT("weir.example.net"), false,
         "content-type;host;x-amz-date;x-amz-target", ERR_OK},
        {"host sent, no :authority", true, SLICE_INIT(""), true,
         "content-type;host;x-amz-date;x-amz-target", ERR_OK},
        {"both, alike", true, SLICE_INIT("weir.example.net"), true,
         ":authority;content-type;x-amz-date;x-amz-target", ERR_OK},
        {"both, unlike", true, SLICE_INIT("evil.example.net"), true,
         "content-type;host;x-amz-date;x-amz-target", ERR_BAD_SIGNATURE},
        {"both, unlike, authority signed", true, SLICE_INIT("evil.example.net"), true,
         ":authority;content-type;x-amz-date;x-amz-target", ERR_BAD_SIGNATURE},
        {"neither", true, SLICE_INIT(""), false, "content-type;host;x-amz-date;x-amz-target",
         ERR_BAD_SIGNATURE},
        {"neither signed", true, SLICE_INIT("weir.example.net"), false,
         "content-type;x-amz-date;x-amz-target", ERR_BAD_SIGNATURE},
        {":authority in HTTP/1.1", false, SLICE_INIT("weir.example.net"), true,
         ":authority;content-type;x-amz-date;x-amz-target", ERR_BAD_SIGNATURE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shot shot = good;

        shot.what = rows[i].what;
        shot.is_http2 = rows[i].is_http2;
        shot.authority = rows[i].authority;
        shot.list = rows[i].list;
        shot.err = rows[i].err;
        if (!rows[i].has_host) {
            memmove(shot.headers, shot.headers + 1,
                    (shot.header_count - 1) * sizeof(shot.headers[0]));
            shot.header_count--;
        }
        expect(*state, &shot);
    }
}

/* Goal:   the date header serves where x-amz-date is missing, in both of its forms. */
static void test_date_header(void **state)
{
    static const struct {
        const char *list;
        struct slice value;
        enum err err;
    } rows[] = {
        {"content-type;date;host;x-amz-target", SLICE_INIT("Thu, 01 Jan 2026 00:00:00 GMT"),
         ERR_OK},
        {"content-type;date;host;x-amz-target", SLICE_INIT(DATE), ERR_OK},
        {"content-type;host;x-amz-target", SLICE_INIT(DATE), ERR_BAD_SIGNATURE},
        {"content-type;date;host;x-amz-target", SLICE_INIT("yesterday"), ERR_BAD_SIGNATURE},
        {"content-type;date;host;x-amz-target", SLICE_INIT("Thu, 01 Jan 2026 00:10:00 GMT"),
         ERR_BAD_SIGNATURE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shot shot = good;

        shot.what = rows[i].value.data;
        shot.headers[1] = (struct header){SLICE("Date"), rows[i].value};
        shot.list = rows[i].list;
        shot.err = rows[i].err;
        expect(*state, &shot);
    }
}

/* Goal:   what cannot be read is told apart, with a reason; nothing else is. */
static void test_unreadable_authorization(void **state)
{
#define SCOPE     "20260101/eu-west-1/events/aws4_request"
#define SIGNATURE "Signature=48f2c22057009cb7b6ce3878ca6991bb6f96150bb9cdf4dc5da9c0efeb75f525"
    static const struct {
        const char *auth;
        enum err err;
        const char *why;
    } rows[] = {
        {"Bearer token", ERR_INCOMPLETE_SIGNATURE, "AWS4-HMAC-SHA256"},
        {"", ERR_INCOMPLETE_SIGNATURE, "AWS4-HMAC-SHA256"},
        {"AWS4-HMAC-SHA256", ERR_INCOMPLETE_SIGNATURE, "lacks"},
        {"AWS4-HMAC-SHA256 ", ERR_INCOMPLETE_SIGNATURE, "lacks"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=host", ERR_INCOMPLETE_SIGNATURE,
         "lacks"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ", " SIGNATURE, ERR_INCOMPLETE_SIGNATURE, "lacks"},
        {"AWS4-HMAC-SHA256 SignedHeaders=host, " SIGNATURE, ERR_INCOMPLETE_SIGNATURE, "lacks"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=host, " SIGNATURE ", X=1",
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=host, " SIGNATURE ", " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ",, SignedHeaders=host, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/20260101/events/aws4_request, "
         "SignedHeaders=host, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/B/" SCOPE ", SignedHeaders=host, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/events/aws5_request, "
         "SignedHeaders=host, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-HMAC-SHA256 Credential=/" SCOPE ", SignedHeaders=host, " SIGNATURE,
         ERR_INCOMPLETE_SIGNATURE, "each once"},
        {"AWS4-ECDSA-P256-SHA256 Credential=A/20260101/events/aws4_request, SignedHeaders=host, "
         "Signature=3045",
         ERR_INCOMPLETE_SIGNATURE, "AWS4-ECDSA-P256-SHA256"},
        {"AWS4-HMAC-SHA256 Credential=" KEY_ID "/" SCOPE
         ",SignedHeaders=content-type;host;x-amz-date;x-amz-target,Signature=00",
         ERR_BAD_SIGNATURE, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world *world = *state;
        struct shot shot = good;

        shot.what = rows[i].auth;
        shot.sent_auth = rows[i].auth;
        shot.err = rows[i].err;
        expect(world, &shot);
        if (strstr(world->why.text, rows[i].why) == NULL ||
            (rows[i].err == ERR_BAD_SIGNATURE && world->why.text[0] != '\0')) {
            fail_msg("%s: why is \"%s\"", rows[i].auth, world->why.text);
        }
    }
}

/* Goal:   no credential, two of them, and one in the query. */
static void test_where_the_credential_stands(void **state)
{
    struct world *world = *state;
    const struct header twice[] = {
        {SLICE("authorization"), SLICE("AWS4-HMAC-SHA256 a")},
        {SLICE("Authorization"), SLICE("AWS4-HMAC-SHA256 a")},
    };
    struct sigv4_verify_options options = {.directory = world->directory,
                                           .keys = world->keys,
                                           .region = SLICE("eu-west-1"),
                                           .service = SLICE("events"),
                                           .now_ms = world->date_ms};
    struct sigv4_request request = {.method = SLICE("POST"), .path = SLICE("/")};
    struct principal principal;

    assert_int_equal(sigv4_verify(&options, &request, &principal), ERR_MISSING_TOKEN);
    request.headers = twice;
    request.header_count = 2;
    assert_int_equal(sigv4_verify(&options, &request, &principal), ERR_INCOMPLETE_SIGNATURE);
    request.header_count = 0;
    request.query = SLICE("a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00");
    options.why = &world->why;
    assert_int_equal(sigv4_check_head(&options, &request), ERR_INCOMPLETE_SIGNATURE);
    assert_non_null(strstr(world->why.text, "presigned"));
}

/* Goal:   the invocation id is reported with whether it was signed; odd ones are not reported. */
static void test_invocation_ids(void **state)
{
    static const struct {
        const char *list;
        struct slice first;
        struct slice second;
        size_t len;
        bool is_signed;
    } rows[] = {
        {NULL, SLICE_INIT("0d2c"), {NULL, 0}, 4, false},
        {"amz-sdk-invocation-id;content-type;host;x-amz-date;x-amz-target",
         SLICE_INIT("0d2c"),
         {NULL, 0},
         4,
         true},
        {NULL, SLICE_INIT("1"), SLICE_INIT("2"), 0, false},
        {NULL,
         SLICE_INIT("0123456789012345678901234567890123456789012345678901234567890123456789"),
         {NULL, 0},
         0,
         false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shot shot = good;
        struct principal principal;
        enum err head_err;

        shot.list = rows[i].list != NULL ? rows[i].list : good.list;
        add_header(&shot, SLICE("Amz-Sdk-Invocation-Id"), rows[i].first);
        if (rows[i].second.data != NULL) {
            add_header(&shot, SLICE("amz-sdk-invocation-id"), rows[i].second);
        }
        assert_int_equal(fire(*state, &shot, &principal, &head_err), ERR_OK);
        assert_int_equal(principal.invocation_id.len, rows[i].len);
        assert_int_equal(principal.invocation_is_signed, rows[i].is_signed);
    }
}

/* Goal:   expiry, suspension, revocation and the wrong kind of credential look like a wrong
 *         signature, also when the key is in the cache. */
static void test_end_of_life(void **state)
{
    struct world *world = *state;
    struct shot refused = good;

    refused.err = ERR_BAD_SIGNATURE;
    expect(world, &good);
    world->credential->expires_ms = world->date_ms + 1;
    expect(world, &good);
    world->credential->expires_ms = world->date_ms;
    expect(world, &refused);
    world->credential->expires_ms = 0;
    world->account->is_suspended = true;
    expect(world, &refused);
    world->account->is_suspended = false;
    world->credential->kind = CREDENTIAL_API_KEY;
    expect(world, &refused);
    world->credential->kind = CREDENTIAL_SIGV4;
    expect(world, &good);
    assert_ptr_equal(map_remove(&world->directory->credentials, SLICE(KEY_ID)), world->credential);
    expect(world, &refused);
    directory_add_credential(world->directory, world->credential);
}

/* Goal:   a new generation of the directory makes cached keys stale. */
static void test_new_generation_forgets_keys(void **state)
{
    struct world *world = *state;
    struct shot other = good;

    expect(world, &good);
    world->credential->secret = SLICE("another-secret");
    world->directory->generation++;
    other.secret = "another-secret";
    expect(world, &other);
    other.secret = SECRET;
    other.err = ERR_BAD_SIGNATURE;
    expect(world, &other);
    world->credential->secret = arena_copy(&world->directory->arena, SLICE(SECRET));
}

/* Goal:   many callers, known and unknown, never change each other's verdict through the cache. */
static void test_cache_never_mixes_keys(void **state)
{
    struct world *world = *state;
    struct arena *arena = &world->directory->arena;

    for (unsigned i = 0; i < 3000; i++) {
        struct credential *credential = ARENA_NEW(arena, struct credential);

        *credential = *world->credential;
        credential->id = arena_printf(arena, "AKID%u", i);
        credential->secret = arena_printf(arena, "secret-%u", i);
        directory_add_credential(world->directory, credential);
    }
    for (unsigned i = 0; i < 6000; i += 7) {
        struct shot shot = good;

        shot.key_id = arena_printf(arena, "AKID%u", i).data;
        shot.secret = arena_printf(arena, "secret-%u", i).data;
        shot.what = shot.key_id;
        shot.err = i < 3000 ? ERR_OK : ERR_BAD_SIGNATURE;
        expect(world, &shot);
        shot.secret = arena_printf(arena, "secret-%u", i + 1).data;
        shot.err = ERR_BAD_SIGNATURE;
        expect(world, &shot);
    }
}

/* Goal:   absurd lengths are refused, not worked through. */
static void test_absurd_lengths(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    char *text = arena_alloc(&arena, 20001);
    struct shot shot = good;

    memset(text, ';', 20000);
    text[20000] = '\0';
    shot.what = "a list of 20,000 names";
    shot.sent_auth = arena_printf(&arena,
                                  "AWS4-HMAC-SHA256 Credential=" KEY_ID "/" SCOPE
                                  ", SignedHeaders=%s, " SIGNATURE,
                                  text)
                         .data;
    shot.err = ERR_BAD_SIGNATURE;
    expect(world, &shot);
    memset(text, 'A', 20000);
    text[129] = '\0';
    shot.what = "an id of 129 characters";
    shot.sent_auth =
        arena_printf(&arena,
                     "AWS4-HMAC-SHA256 Credential=%s/" SCOPE ", SignedHeaders=host, " SIGNATURE,
                     text)
            .data;
    shot.err = ERR_INCOMPLETE_SIGNATURE;
    expect(world, &shot);
    arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_request_gives_its_principal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_scope_key_time_or_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unsigned_or_changed_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_declared_body_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_http2_names_of_the_host, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_date_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unreadable_authorization, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_where_the_credential_stands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_invocation_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_of_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_new_generation_forgets_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_never_mixes_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absurd_lengths, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
