/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials_call.c - one AssumeRole on the wire, and what its answer means.
 *
 * The happy path: write the form, sign it with weir's own credentials, POST it, read the session
 * from the reply and hand it to the role.
 *
 * What goes wrong is told to the role as one error with a text, except for two things that are put
 * right first, each once per call: stale credentials of our own are loaded again, and a clock that
 * is off by more than we knew is corrected from the Date header of the refusal.  Expiry is kept on
 * our clock, so nobody else has to know.
 *
 * A session of another account than the role's is refused, whoever answered.
 *
 * Memory: form and headers live until the reply was judged; what held secrets is wiped.
 */
#include "accounts/credentials_internal.h"

#include "accounts/sigv4_sign.h"
#include "accounts/sts.h"
#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"

enum { CALL_TIMEOUT_MS = 10000, RESPONSE_BYTES_MAX = 65536, SKEW_SEEN_MS = 30 * 1000 };

/* ---- the answer ---- */

static void accept_session(struct role *role, const struct sts_session *session)
{
    const int64_t expires_ms = (int64_t)session->expires_ms - role->provider->clock_offset_ms;

    if (!sts_session_is_of(session, role->arn)) {
        credentials_role_fail(role, ERR_REMOTE_FAILED,
                              "STS answered with a session of another account");
        return;
    }
    if (expires_ms <= (int64_t)credentials_now_ms(role->provider)) {
        credentials_role_fail(role, ERR_REMOTE_FAILED, "STS answered with an expired session");
        return;
    }
    credentials_role_succeed(role, credentials_new(buf_slice(&session->access_key_id),
                                                   buf_slice(&session->secret_access_key),
                                                   buf_slice(&session->session_token),
                                                   (uint64_t)expires_ms, role->arn));
}

/* Does the reply's Date say that our clock is off by more than we knew?  Then correct it. */
static bool correct_clock(struct credentials_provider *provider, const struct http_call *call)
{
    char amz[MOMENT_AMZ_CHARS];
    int64_t offset_ms;
    uint64_t date_ms;

    if (sigv4_date_from_http(http_response_header(call, SLICE("date")), amz) != ERR_OK ||
        moment_from_amz((struct slice){amz, sizeof(amz)}, &date_ms) != ERR_OK) {
        return false;
    }
    offset_ms = (int64_t)date_ms - (int64_t)credentials_now_ms(provider);
    if (llabs(offset_ms - provider->clock_offset_ms) < SKEW_SEEN_MS) {
        return false;
    }
    log_warn("credentials.clock_corrected", LOG_I64("offset_ms", offset_ms));
    provider->clock_offset_ms = offset_ms;
    return true;
}

static void judge_error(struct role *role, const struct http_call *call)
{
    struct credentials_provider *provider = role->provider;
    struct sts_error error;
    char message[sizeof(error.code) + sizeof(error.message) + 4];
    enum err err = ERR_REMOTE_FAILED;

    sts_read_error(buf_slice(&call->response), &error);
    (void)snprintf(message, sizeof(message), "%s: %s",
                   error.code[0] != '\0' ? error.code : "no error code from STS", error.message);
    switch (sts_judge(call->status, slice_of(error.code))) {
    case STS_DENIED:
        err = ERR_REMOTE_DENIED;
        break;
    case STS_THROTTLED:
        err = ERR_REMOTE_THROTTLED;
        break;
    case STS_STALE:
        if (!role->has_reloaded) {
            role->has_reloaded = true;
            if (own_credentials_held(provider->own, credentials_now_ms(provider)) == role->signer) {
                own_credentials_drop(provider->own);
            }
            credentials_role_repeat(role);
            return;
        }
        err = ERR_REMOTE_EXPIRED;
        break;
    case STS_SKEWED:
        if (!role->has_corrected && correct_clock(provider, call)) {
            role->has_corrected = true;
            credentials_role_repeat(role);
            return;
        }
        break;
    case STS_FAILED:
        break;
    }
    credentials_role_fail(role, err, message);
}

static void judge_call(struct role *role, const struct http_call *call)
{
    struct sts_session session;

    if (call->err != ERR_OK) {
        const bool is_telling =
            call->err == ERR_STOPPING || err_class(call->err) == ERR_CLASS_REMOTE;

        role->provider->is_stopping |= call->err == ERR_STOPPING;
        credentials_role_fail(role, is_telling ? call->err : ERR_REMOTE_FAILED,
                              call->error_text[0] != '\0' ? call->error_text : err_text(call->err));
        return;
    }
    if (call->status != 200) {
        judge_error(role, call);
        return;
    }
    if (sts_read_assume_role(buf_slice(&call->response), &session) == ERR_OK) {
        accept_session(role, &session);
    } else {
        credentials_role_fail(role, ERR_REMOTE_FAILED, "the answer of STS cannot be read");
    }
    sts_session_clean_up(&session);
}

static void on_call_done(struct http_call *call)
{
    struct role *role = CONTAINER_OF(call, struct role, call);
    struct credentials_provider *provider = role->provider;

    CHECK(role->is_calling);
    role->is_calling = false;
    provider->call_count--;
    judge_call(role, call);
    buf_wipe(&call->response);
    http_call_clean_up(call);
    buf_clean_up(&role->body);
    arena_clean_up(&role->call_arena);
    credentials_release(role->signer);
    role->signer = NULL;
    credentials_pump(provider);
}

/* ---- asking ---- */

/* "https://host:port/…" without scheme and path. */
static struct slice authority_of(struct slice url)
{
    const char *mark = url.len >= 3 ? memmem(url.data, url.len, "://", 3) : NULL;

    if (mark != NULL) {
        url = slice_from(url, (size_t)(mark - url.data) + 3);
    }
    return slice_cut(&url, '/');
}

static enum err write_call(struct role *role)
{
    const struct credentials_provider *provider = role->provider;
    const struct credentials_provider_options *options = &provider->options;
    const struct sts_assume_role wish = {.role_arn = role->arn,
                                         .session_name = options->session_name,
                                         .external_id = role->external_id,
                                         .account = role->account};
    struct arena *arena = &role->call_arena;
    struct header *headers = ARENA_ARRAY(arena, struct header, 2 + SIGV4_ADDED_HEADERS_MAX);
    struct sigv4_request request = {
        .method = SLICE("POST"), .path = SLICE("/"), .headers = headers, .header_count = 2};
    struct sigv4_signed added;

    buf_init(&role->body, STS_BODY_BYTES_MAX);
    TRY(sts_write_assume_role(&wish, &role->body));
    headers[0] = (struct header){SLICE("host"), authority_of(options->sts_endpoint)};
    headers[1] = (struct header){SLICE("content-type"),
                                 SLICE("application/x-www-form-urlencoded; charset=utf-8")};
    digest_sha256(buf_slice(&role->body), &request.body_digest);
    TRY(sigv4_sign(&request, role->signer, options->region, SLICE("sts"),
                   (uint64_t)((int64_t)credentials_now_ms(provider) + provider->clock_offset_ms),
                   arena, &added));
    memcpy(headers + 2, added.headers, added.header_count * sizeof(*headers));
    role->call = (struct http_call){
        .method = "POST",
        .url = arena_printf(arena, "%.*s/", SLICE_ARG(options->sts_endpoint)).data,
        .headers = headers,
        .header_count = 2 + added.header_count,
        .body = buf_slice(&role->body),
        .timeout_ms = CALL_TIMEOUT_MS,
        .response_max = RESPONSE_BYTES_MAX,
        .on_done = on_call_done,
    };
    return ERR_OK;
}

void credentials_call_start(struct role *role)
{
    struct credentials_provider *provider = role->provider;

    role->signer =
        credentials_acquire(own_credentials_held(provider->own, credentials_now_ms(provider)));
    if (write_call(role) != ERR_OK) {
        buf_clean_up(&role->body);
        arena_clean_up(&role->call_arena);
        credentials_release(role->signer);
        role->signer = NULL;
        credentials_role_fail(role, ERR_REMOTE_DENIED,
                              "the role ARN or the external id is too long");
        return;
    }
    role->is_calling = true;
    provider->call_count++;
    provider->calls_made++;
    provider->io.start_call(provider->io.context, &role->call);
}
