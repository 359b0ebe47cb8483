/* SPDX-License-Identifier: Apache-2.0
 *
 * own_credentials.c - the chain of places where a process finds its AWS credentials.
 *
 * The happy path: own_credentials_load() asks the sources in the order of the SDKs; the first that
 * is set up answers, at once or after an HTTP call, and what it says is final: a source that is set
 * up wrongly ends the walk, as falling through to another identity would surprise more than an
 * error.
 *
 *      environment          AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *      web identity         AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN
 *      shared files         the profile AWS_PROFILE in ~/.aws/credentials or ~/.aws/config
 *      container endpoint   AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 *      instance metadata    of EC2, unless AWS_EC2_METADATA_DISABLED
 *
 * Which source gave them is told in the log whenever it is another one than before, and at each
 * renewal of what expires; never a key.
 *
 * Credentials that expire are loaded again 15 minutes before and given out until a minute before;
 * others are read again every five minutes, so that a rotated file is noticed.  A failed renewal
 * keeps the old ones.
 *
 * Memory: texts on their way are in bufs that take their room at once and are wiped.
 * Time:   the clock of `io`.  A load reports by mail, so never inside the call that began it.
 */
#include "accounts/own_credentials_internal.h"

#include "accounts/sigv4.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"

enum {
    REREAD_MS = 5 * 60 * 1000,
    RENEW_BEFORE_MS = 15 * 60 * 1000,
    SERVE_BEFORE_MS = 60 * 1000,
    RETRY_MS = 5000,
};

/* ---- texts ---- */

void own_text_init(struct buf *buf, size_t max)
{
    char *room;

    buf_init(buf, max);
    CHECK(buf_reserve(buf, max, &room) == ERR_OK);
}

void own_findings_init(struct own_findings *findings)
{
    own_text_init(&findings->access_key_id, OWN_KEY_ID_CHARS_MAX);
    own_text_init(&findings->secret_access_key, SIGV4_SECRET_CHARS_MAX);
    own_text_init(&findings->session_token, OWN_TOKEN_CHARS_MAX);
    own_text_init(&findings->expiration, 64);
}

void own_findings_clean_up(struct own_findings *findings)
{
    buf_wipe(&findings->access_key_id);
    buf_wipe(&findings->secret_access_key);
    buf_wipe(&findings->session_token);
    buf_wipe(&findings->expiration);
}

/* Text that may stand in a header. */
bool own_text_is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] == 127) {
            return false;
        }
    }
    return true;
}

bool own_text_has_controls(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < ' ' || text.data[i] == 127) {
            return true;
        }
    }
    return false;
}

struct slice own_trim_end(struct slice text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

struct slice own_variable(const struct own_credentials *own, const char *name)
{
    return slice_of(own->io->environment(own->io->context, name));
}

/* ---- the outcome ---- */

enum own_answer own_fail(struct own_credentials *own, enum err err, const char *text,
                         struct slice what)
{
    own->err = err_because(err, &own->why, "%s: %s%s%.*s", own->source, text,
                           what.len > 0 ? " " : "", SLICE_ARG(what));
    return OWN_ANSWER_FAILED;
}

static uint64_t renewal_ms(uint64_t now_ms, uint64_t expires_ms)
{
    if (expires_ms == 0) {
        return now_ms + REREAD_MS;
    }
    if (expires_ms > now_ms + 2 * (uint64_t)RENEW_BEFORE_MS) {
        return expires_ms - RENEW_BEFORE_MS;
    }
    return now_ms + MAX_OF((expires_ms - now_ms) / 2, 1000);
}

static void tell_source(struct own_credentials *own, uint64_t expires_ms)
{
    if (own->held_source != own->source || expires_ms != 0) {
        log_info("own_credentials.loaded", LOG_TEXT("source", own->source),
                 LOG_U64("expires_ms", expires_ms));
    }
    own->held_source = own->source;
}

/* Turn findings into the credentials held. */
enum own_answer own_hold(struct own_credentials *own, const struct own_findings *findings)
{
    const uint64_t now_ms = own->io->now_ms(own->io->context);
    uint64_t expires_ms = 0;

    if (findings->access_key_id.len == 0 || findings->secret_access_key.len == 0) {
        return own_fail(own, ERR_NO_CREDENTIALS, "the access key or the secret key is missing",
                        SLICE(""));
    }
    if (!own_text_is_plain(buf_slice(&findings->access_key_id)) ||
        !own_text_is_plain(buf_slice(&findings->secret_access_key)) ||
        !own_text_is_plain(buf_slice(&findings->session_token))) {
        return own_fail(own, ERR_NO_CREDENTIALS, "a key holds blanks or control characters",
                        SLICE(""));
    }
    if (findings->expiration.len > 0 &&
        (moment_from_iso(buf_slice(&findings->expiration), &expires_ms) != ERR_OK ||
         expires_ms <= now_ms + SERVE_BEFORE_MS)) {
        return own_fail(own, ERR_REMOTE_FAILED,
                        "the credentials expire within a minute, or say no proper time", SLICE(""));
    }
    credentials_release(own->held);
    own->held = credentials_new(buf_slice(&findings->access_key_id),
                                buf_slice(&findings->secret_access_key),
                                buf_slice(&findings->session_token), expires_ms, SLICE(""));
    own->due_ms = renewal_ms(now_ms, expires_ms);
    own->err = ERR_OK;
    tell_source(own, expires_ms);
    return OWN_ANSWER_DONE;
}

static void on_mail(struct mail *mail)
{
    struct own_credentials *own = CONTAINER_OF(mail, struct own_credentials, mail);

    if (own->is_orphan) {
        xfree(own);
        return;
    }
    CHECK_MAGIC(own, OWN_CREDENTIALS_MAGIC);
    own->is_loading = false;
    own->on_done(own->context, own->err, own->why.text);
}

/* A load ends: own->err is set. */
void own_finish(struct own_credentials *own)
{
    CHECK(own->is_loading);
    if (own->err != ERR_OK) {
        own->due_ms = own->io->now_ms(own->io->context) + RETRY_MS;
        log_warn("own_credentials.failed", LOG_ERR(own->err), LOG_TEXT("why", own->why.text));
    }
    own->mail.on_arrival = on_mail;
    mailbox_send(own->options.mailbox, &own->mail);
}

/* ---- environment ---- */

static enum err copy_variables(const struct own_credentials *own, struct own_findings *findings)
{
    TRY(buf_append(&findings->access_key_id, own_variable(own, "AWS_ACCESS_KEY_ID")));
    TRY(buf_append(&findings->secret_access_key, own_variable(own, "AWS_SECRET_ACCESS_KEY")));
    return buf_append(&findings->session_token, own_variable(own, "AWS_SESSION_TOKEN"));
}

static enum own_answer load_environment(struct own_credentials *own)
{
    struct own_findings findings;
    enum own_answer answer;

    if (own_variable(own, "AWS_ACCESS_KEY_ID").len == 0 &&
        own_variable(own, "AWS_SECRET_ACCESS_KEY").len == 0) {
        return OWN_ANSWER_ABSENT;
    }
    own_findings_init(&findings);
    answer = copy_variables(own, &findings) == ERR_OK
                 ? own_hold(own, &findings)
                 : own_fail(own, ERR_NO_CREDENTIALS, "a variable is too long", SLICE(""));
    own_findings_clean_up(&findings);
    return answer;
}

/* ---- the chain ---- */

/* In the order of the SDKs. */
static const struct {
    const char *name;
    enum own_answer (*load)(struct own_credentials *own);
} sources[] = {
    {"environment", load_environment},        {"web identity", own_web_identity_load},
    {"shared files", own_files_load},         {"container endpoint", own_container_load},
    {"instance metadata", own_instance_load},
};

void own_credentials_load(struct own_credentials *own, own_credentials_fn on_done, void *context)
{
    enum own_answer answer = OWN_ANSWER_ABSENT;

    CHECK_MAGIC(own, OWN_CREDENTIALS_MAGIC);
    CHECK(!own->is_loading);
    own->is_loading = true;
    own->on_done = on_done;
    own->context = context;
    own->why.text[0] = '\0';
    own->call = (struct http_call){0};
    arena_clean_up(&own->call_arena);
    for (size_t i = 0; i < ARRAY_LEN(sources) && answer == OWN_ANSWER_ABSENT; i++) {
        own->source = sources[i].name;
        answer = sources[i].load(own);
    }
    if (answer == OWN_ANSWER_ABSENT) {
        own->err = err_because(ERR_NO_CREDENTIALS, &own->why,
                               "no AWS credentials in the environment, a web identity, the shared "
                               "files or a container endpoint, and instance metadata is disabled");
    }
    if (answer != OWN_ANSWER_PENDING) {
        own_finish(own);
    }
}

struct own_credentials *own_credentials_new(const struct own_credentials_options *options)
{
    struct own_credentials *own = xcalloc(1, sizeof(*own));

    own->magic = OWN_CREDENTIALS_MAGIC;
    own->options = *options;
    own->io = options->io;
    return own;
}

void own_credentials_destroy(struct own_credentials *own)
{
    if (own == NULL) {
        return;
    }
    CHECK_MAGIC(own, OWN_CREDENTIALS_MAGIC);
    credentials_release(own->held);
    own->held = NULL;
    arena_clean_up(&own->call_arena);
    buf_wipe(&own->secret);
    own->magic = 0;
    if (own->is_loading) {
        own->is_orphan = true; /* on_mail() frees it */
    } else {
        xfree(own);
    }
}

struct credentials *own_credentials_held(const struct own_credentials *own, uint64_t now_ms)
{
    if (own->held == NULL ||
        (own->held->expires_ms != 0 && now_ms + SERVE_BEFORE_MS >= own->held->expires_ms)) {
        return NULL;
    }
    return own->held;
}

bool own_credentials_is_loading(const struct own_credentials *own)
{
    return own->is_loading;
}

uint64_t own_credentials_due_ms(const struct own_credentials *own)
{
    return own->is_loading ? UINT64_MAX : own->due_ms;
}

bool own_credentials_is_due(const struct own_credentials *own, uint64_t now_ms)
{
    return now_ms >= own_credentials_due_ms(own);
}

const char *own_credentials_source(const struct own_credentials *own)
{
    return own->held_source != NULL ? own->held_source : "";
}

enum err own_credentials_error(const struct own_credentials *own, const char **message)
{
    *message = own->why.text;
    return own->err;
}

void own_credentials_drop(struct own_credentials *own)
{
    credentials_release(own->held);
    own->held = NULL;
    own->due_ms = 0;
}
