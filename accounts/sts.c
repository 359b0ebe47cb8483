/* SPDX-License-Identifier: Apache-2.0
 *
 * sts.c - AssumeRole, its sister for web identities, and what GetCallerIdentity answers, in the
 * query protocol: a form goes out, XML comes back.
 *
 * Services report throttling with status 400, so an error is judged by its code first and by its
 * status last.  A wrong external id looks like any other AccessDenied; STS does not tell them
 * apart, and neither can we.
 *
 * Pure: bytes in, bytes out.  Texts that hold secrets are bufs, wiped by the caller.
 */
#include "accounts/sts.h"

#include "accounts/aws_xml.h"
#include "accounts/sigv4.h"
#include "core/arn.h"
#include "core/check.h"
#include "core/moment.h"
#include "core/percent.h"

enum { TEXT_BYTES_MAX = 8192, KEY_ID_BYTES_MAX = 128 };

static enum err append_field(struct buf *out, struct slice name, struct slice value)
{
    TRY(buf_append_byte(out, '&'));
    TRY(buf_append(out, name));
    TRY(buf_append_byte(out, '='));
    return percent_encode(value, out);
}

enum err sts_write_assume_role(const struct sts_assume_role *ask, struct buf *body)
{
    TRY(buf_append(body, SLICE("Action=AssumeRole&Version=2011-06-15")));
    TRY(append_field(body, SLICE("RoleArn"), ask->role_arn));
    TRY(append_field(body, SLICE("RoleSessionName"), ask->session_name));
    if (ask->external_id.len > 0) {
        TRY(append_field(body, SLICE("ExternalId"), ask->external_id));
    }
    TRY(buf_printf(body, "&DurationSeconds=%d", STS_DURATION_S));
    if (ask->account.len > 0) {
        TRY(append_field(body, SLICE("Tags.member.1.Key"), SLICE("weir-account")));
        TRY(append_field(body, SLICE("Tags.member.1.Value"), ask->account));
    }
    return ERR_OK;
}

enum err sts_write_web_identity(const struct sts_web_identity *ask, struct buf *body)
{
    TRY(buf_append(body, SLICE("Action=AssumeRoleWithWebIdentity&Version=2011-06-15")));
    TRY(append_field(body, SLICE("RoleArn"), ask->role_arn));
    TRY(append_field(body, SLICE("RoleSessionName"), ask->session_name));
    return append_field(body, SLICE("WebIdentityToken"), ask->token);
}

/* Take the whole room at once: a buf that grows would leave copies of the secret behind. */
static void init_secret(struct buf *buf, size_t max)
{
    char *room;

    buf_init(buf, max);
    CHECK(buf_reserve(buf, max, &room) == ERR_OK);
}

enum err sts_read_assume_role(struct slice xml, struct sts_session *session)
{
    struct buf expiration;
    struct aws_xml_want wants[] = {
        {"Credentials", "AccessKeyId", &session->access_key_id, false},
        {"Credentials", "SecretAccessKey", &session->secret_access_key, false},
        {"Credentials", "SessionToken", &session->session_token, false},
        {"Credentials", "Expiration", &expiration, false},
        {"AssumedRoleUser", "Arn", &session->assumed_role_arn, false},
    };
    enum err err;

    *session = (struct sts_session){0};
    buf_init(&session->access_key_id, KEY_ID_BYTES_MAX);
    init_secret(&session->secret_access_key, SIGV4_SECRET_CHARS_MAX);
    init_secret(&session->session_token, TEXT_BYTES_MAX);
    buf_init(&session->assumed_role_arn, TEXT_BYTES_MAX);
    buf_init(&expiration, 64);
    err = aws_xml_read(xml, wants, ARRAY_LEN(wants));
    if (err == ERR_OK && (session->access_key_id.len == 0 || session->secret_access_key.len == 0 ||
                          session->session_token.len == 0)) {
        err = ERR_BAD_VALUE;
    }
    if (err == ERR_OK) {
        err = moment_from_iso(buf_slice(&expiration), &session->expires_ms);
    }
    buf_clean_up(&expiration);
    return err;
}

bool sts_session_is_of(const struct sts_session *session, struct slice role_arn)
{
    struct arn assumed;
    struct arn role;

    if (session->assumed_role_arn.len == 0) {
        return true;
    }
    return arn_split(buf_slice(&session->assumed_role_arn), &assumed) &&
           arn_split(role_arn, &role) && slice_eq(assumed.account, role.account);
}

void sts_session_clean_up(struct sts_session *session)
{
    buf_wipe(&session->access_key_id);
    buf_wipe(&session->secret_access_key);
    buf_wipe(&session->session_token);
    buf_clean_up(&session->assumed_role_arn);
}

static void copy_text(char *out, size_t size, const struct buf *text)
{
    (void)snprintf(out, size, "%.*s", SLICE_ARG(buf_slice(text)));
}

enum err sts_read_caller(struct slice xml, struct sts_caller *caller)
{
    static const char parent[] = "GetCallerIdentityResult";
    struct buf account;
    struct buf arn;
    struct buf user_id;
    struct aws_xml_want wants[] = {
        {parent, "Account", &account, false},
        {parent, "Arn", &arn, false},
        {parent, "UserId", &user_id, false},
    };
    struct arn parts;
    uint64_t number;
    enum err err;

    *caller = (struct sts_caller){.account = ""};
    buf_init(&account, sizeof(caller->account) - 1);
    buf_init(&arn, sizeof(caller->arn) - 1);
    buf_init(&user_id, sizeof(caller->user_id) - 1);
    err = aws_xml_read(xml, wants, ARRAY_LEN(wants));
    if (err == ERR_OK &&
        (account.len != 12 || !slice_to_u64(buf_slice(&account), &number) ||
         !arn_split(buf_slice(&arn), &parts) || !slice_eq(parts.account, buf_slice(&account)))) {
        err = ERR_BAD_VALUE;
    }
    if (err == ERR_OK) {
        copy_text(caller->account, sizeof(caller->account), &account);
        copy_text(caller->arn, sizeof(caller->arn), &arn);
        copy_text(caller->user_id, sizeof(caller->user_id), &user_id);
    }
    buf_clean_up(&account);
    buf_clean_up(&arn);
    buf_clean_up(&user_id);
    return err;
}

void sts_read_error(struct slice xml, struct sts_error *error)
{
    struct buf code;
    struct buf message;
    struct aws_xml_want wants[] = {
        {"Error", "Code", &code, false},
        {"Error", "Message", &message, false},
    };

    *error = (struct sts_error){0};
    buf_init(&code, sizeof(error->code));
    buf_init(&message, TEXT_BYTES_MAX);
    if (aws_xml_read(xml, wants, ARRAY_LEN(wants)) == ERR_OK && code.len > 0) {
        copy_text(error->code, sizeof(error->code), &code);
        if (message.len > 0) {
            copy_text(error->message, sizeof(error->message), &message);
        }
    }
    buf_clean_up(&code);
    buf_clean_up(&message);
}

/* The codes that are not what their status says. */
static const struct {
    struct slice code;
    enum sts_verdict verdict;
} verdicts[] = {
    {SLICE_INIT("Throttling"), STS_THROTTLED},
    {SLICE_INIT("ThrottlingException"), STS_THROTTLED},
    {SLICE_INIT("ThrottledException"), STS_THROTTLED},
    {SLICE_INIT("RequestThrottled"), STS_THROTTLED},
    {SLICE_INIT("RequestThrottledException"), STS_THROTTLED},
    {SLICE_INIT("TooManyRequestsException"), STS_THROTTLED},
    {SLICE_INIT("RequestLimitExceeded"), STS_THROTTLED},
    {SLICE_INIT("BandwidthLimitExceeded"), STS_THROTTLED},
    {SLICE_INIT("LimitExceededException"), STS_THROTTLED},
    {SLICE_INIT("SlowDown"), STS_THROTTLED},
    {SLICE_INIT("IDPCommunicationError"), STS_FAILED},
    {SLICE_INIT("RequestTimeout"), STS_FAILED},
    {SLICE_INIT("RequestTimeoutException"), STS_FAILED},
    {SLICE_INIT("PriorRequestNotComplete"), STS_FAILED},
    {SLICE_INIT("InternalFailure"), STS_FAILED},
    {SLICE_INIT("InternalError"), STS_FAILED},
    {SLICE_INIT("ServiceUnavailable"), STS_FAILED},
    {SLICE_INIT("ExpiredToken"), STS_STALE},
    {SLICE_INIT("ExpiredTokenException"), STS_STALE},
    {SLICE_INIT("RequestExpired"), STS_SKEWED},
    {SLICE_INIT("InvalidClientTokenId"), STS_STALE},
    {SLICE_INIT("UnrecognizedClientException"), STS_STALE},
    {SLICE_INIT("RequestTimeTooSkewed"), STS_SKEWED},
    {SLICE_INIT("SignatureDoesNotMatch"), STS_SKEWED},
    {SLICE_INIT("InvalidSignatureException"), STS_SKEWED},
};

enum sts_verdict sts_judge(unsigned status, struct slice code)
{
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (slice_eq(code, verdicts[i].code)) {
            return verdicts[i].verdict;
        }
    }
    if (status == 429) {
        return STS_THROTTLED;
    }
    /* Something else than STS may stand at the endpoint: only STS itself can refuse for good. */
    if (status >= 400 && status < 500 && code.len > 0) {
        return STS_DENIED;
    }
    return STS_FAILED;
}
