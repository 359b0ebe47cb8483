/* SPDX-License-Identifier: Apache-2.0
 *
 * test_caller_identity.c - proofs of an AWS identity: what is one, what is sent for it, whom it
 * lets in.
 *
 * Shapes of the answer after AWS's API reference of GetCallerIdentity.
 */
#include "accounts/caller_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/moment.h"

#define MEMBER    "111122223333"
#define ROLE      "arn:aws:iam::" MEMBER ":role/audit/forwarder"
#define SESSION   "arn:aws:sts::" MEMBER ":assumed-role/forwarder/i-0123"
#define DATE      "20260101T000000Z"
#define SIGNATURE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HOST      "https://sts.eu-west-1.amazonaws.com/?"
#define FIXED     "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256"
#define SCOPE     "&X-Amz-Credential=AKIAEXAMPLEKEY000001%2F20260101%2Feu-west-1%2Fsts%2Faws4_request"
#define REST      "&X-Amz-Date=" DATE "&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-weir-server-id"
#define SIGNED    "&X-Amz-Signature=" SIGNATURE
#define GOOD      HOST FIXED SCOPE REST SIGNED

static uint64_t date_ms(void)
{
    uint64_t ms;

    assert_int_equal(moment_from_amz(SLICE(DATE), &ms), ERR_OK);
    return ms;
}

static enum err read_at(const char *url, uint64_t now_ms, uint64_t age_ms_max, struct err_why *why)
{
    static const struct slice regions[] = {SLICE_INIT("us-east-1"), SLICE_INIT("eu-west-1")};
    const struct caller_proof_terms terms = {
        .regions = regions, .region_count = 2, .age_ms_max = age_ms_max, .now_ms = now_ms};
    struct caller_proof proof;
    struct arena arena;
    enum err err;

    arena_init(&arena);
    err = caller_proof_read(slice_of(url), &terms, &arena, &proof, why);
    arena_clean_up(&arena);
    return err;
}

/* Goal:   a proof lives from five minutes before its date to the earlier of its two ends. */
static void test_life(void **state)
{
    static const struct {
        int64_t offset_ms;
        uint64_t age_ms_max;
        enum err err;
    } rows[] = {
        {0, 300000, ERR_OK},
        {59999, 300000, ERR_OK},
        {60000, 300000, ERR_BAD_VALUE},
        {29999, 30000, ERR_OK},
        {30000, 30000, ERR_BAD_VALUE},
        {-300000, 300000, ERR_OK},
        {-300001, 300000, ERR_BAD_VALUE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err_why why = {.text = ""};
        const uint64_t now_ms = (uint64_t)((int64_t)date_ms() + rows[i].offset_ms);

        assert_int_equal(read_at(GOOD, now_ms, rows[i].age_ms_max, &why), rows[i].err);
    }
}

/* Goal:   any change of form is told from a good proof, and what is wrong is named. */
static void test_form(void **state)
{
    static const struct {
        const char *url;
        const char *word;
    } rows[] = {
        {"", "must begin"},
        {"https://sts.eu-west-2.amazonaws.com/?" FIXED SCOPE REST SIGNED, "must begin"},
        {"https://sts.us-east-1.amazonaws.com/?" FIXED SCOPE REST SIGNED, "X-Amz-Credential"},
        {HOST FIXED SCOPE REST, "X-Amz-Signature is missing"},
        {HOST FIXED SCOPE REST "&X-Amz-Signature=" SIGNATURE "0", "64 hex"},
        {HOST FIXED SCOPE REST "&X-Amz-Signature=G123456789abcdef0123456789abcdef0123456789abcdef"
                               "0123456789abcdef",
         "64 hex"},
        {GOOD "&X-Amz-Security-Token=a%20b", "X-Amz-Security-Token"},
        {GOOD "&X-Amz-Security-Token=a&X-Amz-Security-Token=a", "twice"},
        {GOOD "&x=", "a parameter"},
        {GOOD "%", "cannot be read"},
        {HOST FIXED
         "&X-Amz-Credential=short%2F20260101%2Feu-west-1%2Fsts%2Faws4_request" REST SIGNED,
         "X-Amz-Credential"},
        {HOST FIXED "&X-Amz-Credential=AKIAEXAMPLEKEY000001%2F20260102%2Feu-west-1%2Fsts%2F"
                    "aws4_request" REST SIGNED,
         "X-Amz-Credential"},
        {HOST FIXED SCOPE "&X-Amz-Date=20260101&X-Amz-Expires=60"
                          "&X-Amz-SignedHeaders=host%3Bx-weir-server-id" SIGNED,
         "X-Amz-Date"},
        {HOST FIXED SCOPE "&X-Amz-Date=" DATE "&X-Amz-Expires=901"
                          "&X-Amz-SignedHeaders=host%3Bx-weir-server-id" SIGNED,
         "X-Amz-Expires"},
        {HOST FIXED SCOPE "&X-Amz-Date=" DATE "&X-Amz-Expires=60&X-Amz-SignedHeaders=host" SIGNED,
         "X-Amz-SignedHeaders"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err_why why = {.text = ""};

        assert_int_equal(read_at(rows[i].url, date_ms(), 300000, &why), ERR_BAD_VALUE);
        if (strstr(why.text, rows[i].word) == NULL) {
            fail_msg("%s: %s", rows[i].url, why.text);
        }
    }
}

/* Goal:   what is sent is the same for a proof in any order and spelling of its parameters. */
static void test_the_request_is_made_anew(void **state)
{
    static const char *const urls[] = {
        GOOD "&X-Amz-Security-Token=a%2Bb%2F%3D",
        HOST "X-Amz-Security-Token=a+b/=" SIGNED REST SCOPE "&" FIXED "&&",
    };
    static const struct slice region = SLICE_INIT("eu-west-1");
    const struct caller_proof_terms terms = {
        .regions = &region, .region_count = 1, .age_ms_max = 60000, .now_ms = date_ms()};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct err_why why = {.text = ""};
        struct caller_proof proof;
        struct arena arena;

        arena_init(&arena);
        assert_int_equal(caller_proof_read(slice_of(urls[i]), &terms, &arena, &proof, &why),
                         ERR_OK);
        assert_string_equal(caller_proof_host(proof.region, &arena).data,
                            "sts.eu-west-1.amazonaws.com");
        assert_string_equal(caller_proof_url(&proof, SLICE("http://x:1"), &arena).data,
                            "http://x:1/?" FIXED SCOPE REST SIGNED
                            "&X-Amz-Security-Token=a%2Bb%2F%3D");
        arena_clean_up(&arena);
    }
}

/* ---- whom it lets in ---------------------------------------------------------------------- */

struct world {
    struct directory *directory;
    struct limiter limiter;
    struct account account;
    struct credential credentials[8];
    char ids[8][CALLER_IDENTITY_ID_CHARS + 1];
    size_t count;
};

static void open_world(struct world *world)
{
    *world = (struct world){.directory = directory_new()};
    world->account = (struct account){.id = SLICE(MEMBER), .limiter = &world->limiter};
    directory_add_account(world->directory, &world->account);
}

static struct credential *let_in(struct world *world, const char *principal)
{
    struct credential *credential = &world->credentials[world->count];
    char *id = world->ids[world->count++];

    assert_true(caller_identity_id(slice_of(principal), SLICE(MEMBER), id));
    *credential = (struct credential){
        .id = slice_of(id), .kind = CREDENTIAL_AWS_IDENTITY, .account_id = SLICE(MEMBER)};
    directory_add_credential(world->directory, credential);
    return credential;
}

static const struct credential *who(struct world *world, const char *arn)
{
    struct sts_caller caller = {.account = MEMBER};
    struct principal principal;

    (void)snprintf(caller.arn, sizeof(caller.arn), "%s", arn);
    return caller_identity_verify(world->directory, &caller, 1000, &principal) == ERR_OK
               ? principal.credential
               : NULL;
}

/* Goal:   the narrowest that is live lets a session in; a look-alike is let in by none. */
static void test_who_is_let_in(void **state)
{
    struct world world;
    struct credential *role;
    struct credential *session;
    struct credential *user;
    struct credential *all;

    (void)state;
    open_world(&world);
    role = let_in(&world, ROLE);
    assert_ptr_equal(who(&world, SESSION), role);
    assert_null(who(&world, "arn:aws:sts::" MEMBER ":assumed-role/forwarder2/i-0123"));
    assert_null(who(&world, "arn:aws-cn:sts::" MEMBER ":assumed-role/forwarder/i-0123"));
    assert_null(who(&world, "arn:aws:sts::444455556666:assumed-role/forwarder/i-0123"));
    assert_null(who(&world, "arn:aws:iam::" MEMBER ":user/forwarder"));
    assert_null(who(&world, "arn:aws:sts::" MEMBER ":federated-user/forwarder"));
    user = let_in(&world, "arn:aws:iam::" MEMBER ":user/people/alice");
    assert_ptr_equal(who(&world, "arn:aws:iam::" MEMBER ":user/people/alice"), user);
    assert_null(who(&world, "arn:aws:iam::" MEMBER ":user/alice"));
    session = let_in(&world, SESSION);
    assert_ptr_equal(who(&world, SESSION), session);
    session->expires_ms = 1000;
    assert_ptr_equal(who(&world, SESSION), role);
    role->kind = CREDENTIAL_OAUTH; /* an id of another kind is no identity */
    assert_null(who(&world, SESSION));
    all = let_in(&world, "arn:aws:iam::" MEMBER ":root");
    assert_ptr_equal(who(&world, SESSION), all);
    assert_ptr_equal(who(&world, "arn:aws:iam::" MEMBER ":root"), all);
    assert_ptr_equal(who(&world, "arn:aws:sts::" MEMBER ":federated-user/x"), all);
    world.account.is_suspended = true;
    assert_null(who(&world, SESSION));
    directory_release(world.directory);
}

/* ---- the answer of STS -------------------------------------------------------------------- */

#define ANSWER(inside)                                                                             \
    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"              \
    "<GetCallerIdentityResult>" inside "</GetCallerIdentityResult>"                                \
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
#define ARN     "<Arn>" SESSION "</Arn>"
#define USER_ID "<UserId>AROAEXAMPLE:i-0123</UserId>"
#define OWNER   "<Account>" MEMBER "</Account>"

static void test_answer(void **state)
{
    static const char *const bad[] = {
        "",
        "<x/>",
        ANSWER(""),
        ANSWER(ARN USER_ID),
        ANSWER(OWNER USER_ID),
        ANSWER(ARN USER_ID "<Account>444455556666</Account>"),
        ANSWER(ARN USER_ID "<Account>1111222233334</Account>"),
        ANSWER(ARN USER_ID "<Account>11112222333x</Account>"),
        ANSWER("<x>" ARN USER_ID OWNER "</x>"),
        ANSWER("<Arn>" MEMBER "</Arn>" USER_ID OWNER),
    };
    struct sts_caller caller;

    (void)state;
    assert_int_equal(sts_read_caller(SLICE(ANSWER(ARN USER_ID OWNER)), &caller), ERR_OK);
    assert_string_equal(caller.account, MEMBER);
    assert_string_equal(caller.arn, SESSION);
    assert_string_equal(caller.user_id, "AROAEXAMPLE:i-0123");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_not_equal(sts_read_caller(slice_of(bad[i]), &caller), ERR_OK);
    }
}

static int set_up(void **state)
{
    (void)state;
    digest_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_the_request_is_made_anew),
        cmocka_unit_test(test_who_is_let_in),
        cmocka_unit_test(test_answer),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
