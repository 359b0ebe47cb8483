/* SPDX-License-Identifier: Apache-2.0
 *
 * own_web_identity.c - credentials for a token that somebody else vouches for: Kubernetes (EKS), a
 * CI system.
 *
 * The happy path: read the token from its file (anew each time, as it rotates), POST it to STS as
 * AssumeRoleWithWebIdentity, and hold the session that comes back.  The request is not signed: the
 * token is the proof.  It counts for nothing in the bucket of the credentials provider, as there is
 * one in an hour.
 *
 *      AWS_WEB_IDENTITY_TOKEN_FILE   where the token lies; not set: this source is not set up
 *      AWS_ROLE_ARN                  the role
 *      AWS_ROLE_SESSION_NAME         of the session; "weir" if not set
 *
 * A session of another account than the role's is refused, whoever answered.
 *
 *= https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 *= https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
 */
#include "accounts/own_credentials_internal.h"

#include "accounts/sts.h"
#include "core/file.h"
#include "core/moment.h"

enum { TOKEN_CHARS_MAX = 20000, TIMEOUT_MS = 5000, ATTEMPTS_MAX = 3 };

static struct slice role_arn(const struct own_credentials *own)
{
    return own_variable(own, "AWS_ROLE_ARN");
}

static enum own_answer hold_session(struct own_credentials *own, const struct sts_session *session)
{
    char iso[MOMENT_ISO_CHARS];
    struct own_findings findings;
    enum own_answer answer;

    if (!sts_session_is_of(session, role_arn(own))) {
        return own_fail(own, ERR_REMOTE_FAILED, "STS answered with a session of another account",
                        SLICE(""));
    }
    own_findings_init(&findings);
    moment_to_iso(session->expires_ms, iso);
    if (buf_append(&findings.access_key_id, buf_slice(&session->access_key_id)) != ERR_OK ||
        buf_append(&findings.secret_access_key, buf_slice(&session->secret_access_key)) != ERR_OK ||
        buf_append(&findings.session_token, buf_slice(&session->session_token)) != ERR_OK ||
        buf_append(&findings.expiration, (struct slice){iso, sizeof(iso)}) != ERR_OK) {
        answer = own_fail(own, ERR_REMOTE_FAILED, "a key is too long", SLICE(""));
    } else {
        answer = own_hold(own, &findings);
    }
    own_findings_clean_up(&findings);
    return answer;
}

/* What STS refuses for good is set up wrongly; all else may go better later. */
static enum own_answer judge_error(struct own_credentials *own, const struct http_call *call)
{
    struct sts_error error;
    enum sts_verdict verdict;

    sts_read_error(buf_slice(&call->response), &error);
    verdict = sts_judge(call->status, slice_of(error.code));
    own->err = err_because(
        verdict == STS_DENIED || verdict == STS_STALE ? ERR_NO_CREDENTIALS : ERR_REMOTE_FAILED,
        &own->why, "%s: %s: %s", own->source,
        error.code[0] != '\0' ? error.code : "no error code from STS", error.message);
    return OWN_ANSWER_FAILED;
}

static enum own_answer on_reply(struct own_credentials *own, const struct http_call *call)
{
    struct sts_session session;
    enum own_answer answer;

    if (call->status != 200) {
        return judge_error(own, call);
    }
    if (sts_read_assume_role(buf_slice(&call->response), &session) == ERR_OK) {
        answer = hold_session(own, &session);
    } else {
        answer = own_fail(own, ERR_REMOTE_FAILED, "the answer of STS cannot be read", SLICE(""));
    }
    sts_session_clean_up(&session);
    return answer;
}

/* The form, in own->secret: it holds the token. */
static enum own_answer write_form(struct own_credentials *own, struct slice token)
{
    const struct slice name = own_variable(own, "AWS_ROLE_SESSION_NAME");
    const struct sts_web_identity wish = {.role_arn = role_arn(own),
                                          .session_name = name.len > 0 ? name : SLICE("weir"),
                                          .token = own_trim_end(token)};

    if (wish.role_arn.len == 0) {
        return own_fail(own, ERR_NO_CREDENTIALS, "AWS_ROLE_ARN is not set", SLICE(""));
    }
    if (wish.token.len == 0 || !own_text_is_plain(wish.token)) {
        return own_fail(own, ERR_NO_CREDENTIALS,
                        "the token is empty or holds blanks or control bytes", SLICE(""));
    }
    buf_wipe(&own->secret);
    own_text_init(&own->secret, 3 * TOKEN_CHARS_MAX + STS_BODY_BYTES_MAX);
    if (sts_write_web_identity(&wish, &own->secret) != ERR_OK) {
        return own_fail(own, ERR_NO_CREDENTIALS, "the role or the session name is too long",
                        SLICE(""));
    }
    return OWN_ANSWER_DONE;
}

enum own_answer own_web_identity_load(struct own_credentials *own)
{
    const struct slice path = own_variable(own, "AWS_WEB_IDENTITY_TOKEN_FILE");
    struct own_exchange exchange = {
        .method = "POST",
        .header = {SLICE("content-type"),
                   SLICE("application/x-www-form-urlencoded; charset=utf-8")},
        .timeout_ms = TIMEOUT_MS,
        .attempts_max = ATTEMPTS_MAX,
        .on_reply = on_reply,
    };
    struct buf token;
    enum own_answer answer;

    if (path.len == 0) {
        return OWN_ANSWER_ABSENT;
    }
    own_text_init(&token, TOKEN_CHARS_MAX);
    if (file_read(arena_cstr(&own->call_arena, path), &token, &own->why) != ERR_OK) {
        own->err = ERR_NO_CREDENTIALS;
        answer = OWN_ANSWER_FAILED;
    } else {
        answer = write_form(own, buf_slice(&token));
    }
    buf_wipe(&token);
    if (answer != OWN_ANSWER_DONE) {
        return answer;
    }
    exchange.url =
        arena_printf(&own->call_arena, "%.*s/", SLICE_ARG(own->options.sts_endpoint)).data;
    exchange.body = buf_slice(&own->secret);
    return own_exchange_begin(own, &exchange);
}
