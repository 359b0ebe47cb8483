/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sts.c - the form of AssumeRole, its XML, and what its errors mean.
 *
 * Shapes after AWS's API reference of AssumeRole.
 */
#include "accounts/sts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "accounts/aws_xml.h"
#include "core/moment.h"

#define REPLY(credentials)                                                                         \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\n" \
    " <AssumedRoleUser><AssumedRoleId>AROAEXAMPLEID:weir-dispatch</AssumedRoleId>\n"               \
    "  <Arn>arn:aws:sts::111122223333:assumed-role/WeirDispatch/weir-dispatch</Arn>"               \
    "</AssumedRoleUser>\n <Credentials>" credentials "</Credentials>\n"                            \
    " <PackedPolicySize>6</PackedPolicySize></AssumeRoleResult>"                                   \
    "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"
#define KEY_ID     "<AccessKeyId>ASIAEXAMPLEKEY00001</AccessKeyId>"
#define SECRET     "<SecretAccessKey>s/+e&amp;cret=</SecretAccessKey>"
#define TOKEN      "<SessionToken>\n tok+/en== </SessionToken>"
#define EXPIRATION "<Expiration>2026-01-01T01:00:00Z</Expiration>"

static void assert_text(const struct buf *got, const char *wanted)
{
    if (!slice_eq(buf_slice(got), slice_of(wanted))) {
        fail_msg("%.*s, wanted %s", SLICE_ARG(buf_slice(got)), wanted);
    }
}

static void test_form_is_encoded(void **state)
{
    const struct sts_assume_role full = {
        .role_arn = SLICE("arn:aws:iam::111122223333:role/path/Weir Dispatch"),
        .session_name = SLICE("weir-dispatch"),
        .external_id = SLICE("x=7f&3a"),
        .account = SLICE("111122223333"),
    };
    const struct sts_assume_role bare = {.role_arn = SLICE("r\xc3\xa9"),
                                         .session_name = SLICE("s~_.")};
    struct buf body;

    (void)state;
    buf_init(&body, 4096);
    assert_int_equal(sts_write_assume_role(&full, &body), ERR_OK);
    assert_text(&body, "Action=AssumeRole&Version=2011-06-15"
                       "&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fpath%2FWeir%20Dispatch"
                       "&RoleSessionName=weir-dispatch&ExternalId=x%3D7f%263a&DurationSeconds=3600"
                       "&Tags.member.1.Key=weir-account&Tags.member.1.Value=111122223333");
    buf_clear(&body);
    assert_int_equal(sts_write_assume_role(&bare, &body), ERR_OK);
    assert_text(&body, "Action=AssumeRole&Version=2011-06-15&RoleArn=r%C3%A9"
                       "&RoleSessionName=s~_.&DurationSeconds=3600");
    buf_clean_up(&body);
    for (size_t max = 0; max < 100; max++) {
        buf_init(&body, max);
        assert_int_equal(sts_write_assume_role(&full, &body), ERR_TOO_LARGE);
        buf_clean_up(&body);
    }
}

static void test_reply_is_read(void **state)
{
    struct sts_session session;
    uint64_t expires_ms;

    (void)state;
    assert_int_equal(moment_from_iso(SLICE("2026-01-01T01:00:00Z"), &expires_ms), ERR_OK);
    assert_int_equal(sts_read_assume_role(SLICE(REPLY(KEY_ID SECRET TOKEN EXPIRATION)), &session),
                     ERR_OK);
    assert_text(&session.access_key_id, "ASIAEXAMPLEKEY00001");
    assert_text(&session.secret_access_key, "s/+e&cret=");
    assert_text(&session.session_token, "tok+/en==");
    assert_text(&session.assumed_role_arn,
                "arn:aws:sts::111122223333:assumed-role/WeirDispatch/weir-dispatch");
    assert_int_equal(session.expires_ms, expires_ms);
    sts_session_clean_up(&session);
    sts_session_clean_up(&session);
}

/* Goal:   what is not complete, not XML, or made to hurt, gives an error and no session. */
static void test_other_replies_are_refused(void **state)
{
    static const struct {
        const char *what;
        struct slice xml;
    } rows[] = {
        {"empty", SLICE_INIT("")},
        {"not XML", SLICE_INIT("{\"a\":1}")},
        {"cut", SLICE_INIT("<AssumeRoleResponse><AssumeRoleResult><Credentials>" KEY_ID SECRET)},
        {"no key id", SLICE_INIT(REPLY(SECRET TOKEN EXPIRATION))},
        {"no secret", SLICE_INIT(REPLY(KEY_ID TOKEN EXPIRATION))},
        {"no token", SLICE_INIT(REPLY(KEY_ID SECRET EXPIRATION))},
        {"no expiration", SLICE_INIT(REPLY(KEY_ID SECRET TOKEN))},
        {"empty secret", SLICE_INIT(REPLY(KEY_ID "<SecretAccessKey/>" TOKEN EXPIRATION))},
        {"expires some day",
         SLICE_INIT(REPLY(KEY_ID SECRET TOKEN "<Expiration>tomorrow</Expiration>"))},
        {"outside its parent", SLICE_INIT("<R>" KEY_ID SECRET TOKEN EXPIRATION "</R>")},
        {"doctype", SLICE_INIT("<!DOCTYPE R SYSTEM \"x\">" REPLY(KEY_ID SECRET TOKEN EXPIRATION))},
        {"entities", SLICE_INIT("<!DOCTYPE R [<!ENTITY a \"aa\">]>" REPLY(
                         KEY_ID SECRET "<SessionToken>&a;</SessionToken>" EXPIRATION))},
        {"unknown entity",
         SLICE_INIT(REPLY(KEY_ID SECRET "<SessionToken>&a;</SessionToken>" EXPIRATION))},
        {"bad UTF-8", SLICE_INIT("<R>\xff</R>")},
        {"another encoding", SLICE_INIT("\xff\xfe<\0R\0/\0>\0")},
        {"two documents", SLICE_INIT("<R/><R/>")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sts_session session;

        if (sts_read_assume_role(rows[i].xml, &session) != ERR_BAD_VALUE) {
            fail_msg("%s was read", rows[i].what);
        }
        sts_session_clean_up(&session);
    }
}

/* Goal:   depth 16 is read, 17 is not; 65,536 bytes are, one more is not; nor is a long secret. */
static void test_sizes_are_bounded(void **state)
{
    struct sts_session session;
    struct buf xml;

    (void)state;
    for (unsigned depth = 1; depth <= 20; depth++) {
        struct aws_xml_want none[1] = {{0}};

        buf_init(&xml, AWS_XML_BYTES_MAX + 1);
        for (unsigned i = 0; i < depth; i++) {
            assert_int_equal(buf_append(&xml, SLICE("<a>")), ERR_OK);
        }
        for (unsigned i = 0; i < depth; i++) {
            assert_int_equal(buf_append(&xml, SLICE("</a>")), ERR_OK);
        }
        assert_int_equal(aws_xml_read(buf_slice(&xml), none, 0),
                         depth <= AWS_XML_DEPTH_MAX ? ERR_OK : ERR_BAD_VALUE);
        buf_clean_up(&xml);
    }

    buf_init(&xml, AWS_XML_BYTES_MAX + 1);
    assert_int_equal(buf_append(&xml, SLICE(REPLY(KEY_ID SECRET TOKEN EXPIRATION))), ERR_OK);
    while (xml.len < AWS_XML_BYTES_MAX) {
        assert_int_equal(buf_append_byte(&xml, '\n'), ERR_OK);
    }
    assert_int_equal(sts_read_assume_role(buf_slice(&xml), &session), ERR_OK);
    sts_session_clean_up(&session);
    assert_int_equal(buf_append_byte(&xml, '\n'), ERR_OK);
    assert_int_equal(sts_read_assume_role(buf_slice(&xml), &session), ERR_TOO_LARGE);
    sts_session_clean_up(&session);

    buf_clear(&xml);
    assert_int_equal(buf_append(&xml, SLICE("<R><Credentials><SecretAccessKey>")), ERR_OK);
    for (unsigned i = 0; i < 300; i++) {
        assert_int_equal(buf_append_byte(&xml, 'x'), ERR_OK);
    }
    assert_int_equal(buf_append(&xml, SLICE("</SecretAccessKey></Credentials></R>")), ERR_OK);
    assert_int_equal(sts_read_assume_role(buf_slice(&xml), &session), ERR_TOO_LARGE);
    sts_session_clean_up(&session);
    buf_clean_up(&xml);
}

/* Goal:   only the first of its name counts, text inside children does not, long names neither. */
static void test_texts_are_picked_exactly(void **state)
{
    struct buf text;
    struct aws_xml_want want = {"P", "N", &text, false};

    (void)state;
    buf_init(&text, 64);
    assert_int_equal(
        aws_xml_read(SLICE("<P><X><N>no</N></X><N> a<Q>b</Q>c<!-- d --><![CDATA[<e>]]> </N>"
                           "<N>second</N></P>"),
                     &want, 1),
        ERR_OK);
    assert_true(want.is_found);
    assert_text(&text, "ac<e>");
    buf_clear(&text);
    assert_int_equal(
        aws_xml_read(SLICE("<P><Naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaa/></P>"),
                     &want, 1),
        ERR_OK);
    assert_false(want.is_found);
    buf_clean_up(&text);
}

static void test_errors_are_read(void **state)
{
    struct sts_error error;
    char xml[1024];
    char long_text[600];

    (void)state;
    sts_read_error(SLICE("<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type>"
                         "<Code>AccessDenied</Code><Message>User: arn is not authorized</Message>"
                         "</Error><RequestId>r</RequestId></ErrorResponse>"),
                   &error);
    assert_string_equal(error.code, "AccessDenied");
    assert_string_equal(error.message, "User: arn is not authorized");
    sts_read_error(SLICE("<html>502</html>"), &error);
    assert_string_equal(error.code, "");
    assert_string_equal(error.message, "");
    sts_read_error(SLICE("<E><Error><Code>X</Code></Error></E>"), &error);
    assert_string_equal(error.code, "X");
    memset(long_text, 'm', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    (void)snprintf(xml, sizeof(xml), "<E><Error><Code>X</Code><Message>%s</Message></Error></E>",
                   long_text);
    sts_read_error(slice_of(xml), &error);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

static void test_errors_are_judged(void **state)
{
    static const struct {
        unsigned status;
        struct slice code;
        enum sts_verdict verdict;
    } rows[] = {
        {403, SLICE_INIT("AccessDenied"), STS_DENIED},
        {400, SLICE_INIT("ValidationError"), STS_DENIED},
        {403, SLICE_INIT("RegionDisabledException"), STS_DENIED},
        {400, SLICE_INIT("Throttling"), STS_THROTTLED},
        {429, SLICE_INIT(""), STS_THROTTLED},
        {400, SLICE_INIT("RequestTimeout"), STS_FAILED},
        {500, SLICE_INIT("Whatever"), STS_FAILED},
        {503, SLICE_INIT(""), STS_FAILED},
        {404, SLICE_INIT(""), STS_FAILED},
        {302, SLICE_INIT("x"), STS_FAILED},
        {403, SLICE_INIT("ExpiredToken"), STS_STALE},
        {403, SLICE_INIT("InvalidClientTokenId"), STS_STALE},
        {403, SLICE_INIT("SignatureDoesNotMatch"), STS_SKEWED},
        {400, SLICE_INIT("RequestExpired"), STS_SKEWED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (sts_judge(rows[i].status, rows[i].code) != rows[i].verdict) {
            fail_msg("%u %.*s", rows[i].status, SLICE_ARG(rows[i].code));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form_is_encoded),           cmocka_unit_test(test_reply_is_read),
        cmocka_unit_test(test_other_replies_are_refused), cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_texts_are_picked_exactly),  cmocka_unit_test(test_errors_are_read),
        cmocka_unit_test(test_errors_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
