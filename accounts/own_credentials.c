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
 *      shared file          AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, AWS_PROFILE
 *      container endpoint   AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 *
 * Credentials that expire are loaded again 15 minutes before and given out until a minute before;
 * others are read again every five minutes, so that a rotated file is noticed.  A failed renewal
 * keeps the old ones.
 *
 * Memory: texts on their way are in bufs that take their room at once and are wiped.
 * Time:   the clock of `io`.  A load reports by mail, so never inside the call that began it.
 */
#include "accounts/own_credentials_internal.h"

#include <unistd.h>

#include "accounts/sigv4.h"
#include "core/check.h"
#include "core/file.h"
#include "core/log.h"
#include "core/moment.h"

enum {
    REREAD_MS = 5 * 60 * 1000,
    RENEW_BEFORE_MS = 15 * 60 * 1000,
    SERVE_BEFORE_MS = 60 * 1000,
    RETRY_MS = 5000,
    FILE_BYTES_MAX = 256 * 1024,
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
    mailbox_send(own->mailbox, &own->mail);
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

/* ---- shared credentials file ---- */

static struct slice trim_line(struct slice line)
{
    if (slice_has_suffix(line, SLICE("\r"))) {
        line.len--;
    }
    return slice_trim(line);
}

static struct buf *file_place(struct own_findings *findings, struct slice name)
{
    if (slice_eq_ignore_case(name, SLICE("aws_access_key_id"))) {
        return &findings->access_key_id;
    }
    if (slice_eq_ignore_case(name, SLICE("aws_secret_access_key"))) {
        return &findings->secret_access_key;
    }
    if (slice_eq_ignore_case(name, SLICE("aws_session_token"))) {
        return &findings->session_token;
    }
    return NULL;
}

/* The keys under "[profile]".  `is_found` tells whether there is such a section. */
static enum err read_profile(struct slice text, struct slice profile, struct own_findings *findings,
                             bool *is_found)
{
    bool is_inside = false;

    *is_found = false;
    while (text.data != NULL) {
        struct slice line = trim_line(slice_cut(&text, '\n'));

        if (slice_has_prefix(line, SLICE("[")) && slice_has_suffix(line, SLICE("]"))) {
            line = slice_trim((struct slice){line.data + 1, line.len - 2});
            is_inside = slice_eq(line, profile);
            *is_found |= is_inside;
        } else if (is_inside && !slice_has_prefix(line, SLICE("#")) &&
                   !slice_has_prefix(line, SLICE(";"))) {
            const struct slice name = slice_trim(slice_cut(&line, '='));
            struct buf *place = file_place(findings, name);

            if (place != NULL && line.data != NULL) {
                buf_clear(place);
                TRY(buf_append(place, slice_trim(line)));
            }
        }
    }
    return ERR_OK;
}

static enum own_answer read_shared_file(struct own_credentials *own, const char *path,
                                        struct own_findings *findings)
{
    const struct slice wanted = own_variable(own, "AWS_PROFILE");
    const struct slice profile = wanted.len > 0 ? wanted : SLICE("default");
    struct buf text;
    bool is_found = false;
    enum own_answer answer;
    enum err err;

    if (access(path, F_OK) != 0) {
        return wanted.len == 0
                   ? OWN_ANSWER_ABSENT
                   : own_fail(own, ERR_NO_CREDENTIALS, "there is no file", slice_of(path));
    }
    own_text_init(&text, FILE_BYTES_MAX);
    err = file_read(path, &text, &own->why);
    if (err != ERR_OK) {
        own->err = ERR_NO_CREDENTIALS;
        answer = OWN_ANSWER_FAILED;
    } else if (read_profile(buf_slice(&text), profile, findings, &is_found) != ERR_OK) {
        answer = own_fail(own, ERR_NO_CREDENTIALS, "a key is too long in profile", profile);
    } else if (wanted.len > 0 && !is_found) {
        answer = own_fail(own, ERR_NO_CREDENTIALS, "there is no profile", profile);
    } else if (findings->access_key_id.len == 0) {
        answer = OWN_ANSWER_ABSENT;
    } else {
        answer = own_hold(own, findings);
    }
    buf_wipe(&text);
    return answer;
}

static enum own_answer load_shared_file(struct own_credentials *own)
{
    const struct slice path = own_variable(own, "AWS_SHARED_CREDENTIALS_FILE");
    const struct slice home = own_variable(own, "HOME");
    struct own_findings findings;
    struct arena arena = {0};
    enum own_answer answer;

    if (path.len == 0 && home.len == 0) {
        return OWN_ANSWER_ABSENT;
    }
    own_findings_init(&findings);
    answer = read_shared_file(
        own,
        path.len > 0 ? arena_cstr(&arena, path)
                     : arena_printf(&arena, "%.*s/.aws/credentials", SLICE_ARG(home)).data,
        &findings);
    own_findings_clean_up(&findings);
    arena_clean_up(&arena);
    return answer;
}

/* ---- the chain ---- */

/* In the order of the SDKs.  Web identity belongs before the file, instance metadata at the end. */
static const struct {
    const char *name;
    enum own_answer (*load)(struct own_credentials *own);
} sources[] = {
    {"environment", load_environment},
    {"shared credentials file", load_shared_file},
    {"container endpoint", own_container_load},
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
    for (size_t i = 0; i < ARRAY_LEN(sources) && answer == OWN_ANSWER_ABSENT; i++) {
        own->source = sources[i].name;
        answer = sources[i].load(own);
    }
    if (answer == OWN_ANSWER_ABSENT) {
        own->err = err_because(ERR_NO_CREDENTIALS, &own->why,
                               "no AWS credentials in the environment, the shared credentials file "
                               "or a container endpoint");
    }
    if (answer != OWN_ANSWER_PENDING) {
        own_finish(own);
    }
}

struct own_credentials *own_credentials_new(const struct credentials_io *io,
                                            struct mailbox *mailbox)
{
    struct own_credentials *own = xcalloc(1, sizeof(*own));

    own->magic = OWN_CREDENTIALS_MAGIC;
    own->io = io;
    own->mailbox = mailbox;
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
