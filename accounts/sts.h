/* SPDX-License-Identifier: Apache-2.0
 *
 * sts.h - the bodies of AssumeRole and its sister: the query that asks, the XML that answers; and
 * the XML of GetCallerIdentity.
 *
 *= https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

enum { STS_BODY_BYTES_MAX = 16384, STS_DURATION_S = 3600, STS_ARN_CHARS_MAX = 256 };

struct sts_assume_role {
    struct slice role_arn;
    struct slice session_name;
    struct slice external_id; /* empty: none is sent */
    struct slice account;     /* value of the session tag weir-account; empty: no tag is sent */
};

/* Append the form that asks for a session of STS_DURATION_S.  ERR_TOO_LARGE past the maximum. */
MUST_USE enum err sts_write_assume_role(const struct sts_assume_role *ask, struct buf *body);

struct sts_web_identity {
    struct slice role_arn;
    struct slice session_name;
    struct slice token;
};

/* Append the form of AssumeRoleWithWebIdentity, for a session as long as the role says.
 * ERR_TOO_LARGE past the maximum.
 *
 *= https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 */
MUST_USE enum err sts_write_web_identity(const struct sts_web_identity *ask, struct buf *body);

struct sts_session {
    struct buf access_key_id;
    struct buf secret_access_key;
    struct buf session_token;
    struct buf assumed_role_arn; /* empty if the reply does not say */
    uint64_t expires_ms;         /* on the clock of AWS */
};

/* Read a reply of status 200 to either.  ERR_BAD_VALUE or ERR_TOO_LARGE when it does not hold
 * complete credentials.  `session` needs no initialisation, and sts_session_clean_up() in any case.
 */
MUST_USE enum err sts_read_assume_role(struct slice xml, struct sts_session *session);
/* Is it of the account that the role belongs to, as far as the reply says? */
bool sts_session_is_of(const struct sts_session *session, struct slice role_arn);
/* Wipes. Safe twice. */
void sts_session_clean_up(struct sts_session *session);

/* Whom GetCallerIdentity names. */
struct sts_caller {
    char account[12 + 1];
    char arn[STS_ARN_CHARS_MAX + 1]; /* of that account */
    char user_id[160 + 1];           /* "AROAEXAMPLE:session": never given twice, as names may be */
};

/* Read a reply of status 200 to GetCallerIdentity.  ERR_BAD_VALUE or ERR_TOO_LARGE when it does
 * not name an account and a principal of that account.
 *
 *= https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
 */
MUST_USE enum err sts_read_caller(struct slice xml, struct sts_caller *caller);

struct sts_error {
    char code[64];     /* "AccessDenied"; empty if the reply cannot be read */
    char message[256]; /* cut to fit */
};

/* Read a reply of another status; what it does not say stays empty. */
void sts_read_error(struct slice xml, struct sts_error *error);

/* What to do about an error. */
enum sts_verdict {
    STS_DENIED,    /* permanent: this role is not for us */
    STS_THROTTLED, /* later */
    STS_FAILED,    /* later */
    STS_STALE,     /* our own credentials are not good any more: load them again, once */
    STS_SKEWED,    /* perhaps our clock: compare it with the Date header, once */
};
enum sts_verdict sts_judge(unsigned status, struct slice code);
