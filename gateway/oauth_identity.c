/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_identity.c - a proof goes to STS, and what STS says decides.
 *
 * The request waits here while the call is under way.  What the proof lacks in form is told;
 * whether STS refused it, or the account is not ours, suspended, or has let in nobody of that name,
 * is one answer after the same call.  An STS that is down, slow or speaks nonsense refuses nobody:
 * the caller is told to come again.
 *
 * The call is signed by the caller and counts against the caller's account at AWS.  Strangers can
 * still make us call, so calls are bounded: in a second over all workers, and open ones per worker.
 *
 * Memory: a trip lies in the request's arena, which lives until the request is answered.
 */
#include "gateway/oauth_identity.h"

#include "accounts/caller_identity.h"
#include "accounts/limiter.h"
#include "core/check.h"
#include "core/http.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/config.h"
#include "gateway/oauth_internal.h"

enum {
    CALL_TIMEOUT_MS = 3000,
    RESPONSE_BYTES_MAX = 16384,
    OPEN_MAX = 32,
    FAILURE_LOG_MS = 60000,
    DESCRIPTION_CHARS_MAX = 300,
};

struct identity_desk {
    struct http_client *http;
    const struct config *config;
    struct limiter bucket;
    size_t open_count;
    uint64_t logged_ms; /* steady; 0: never */
};

struct trip {
    struct identity_desk *desk;
    struct ingest *ingest;
    struct request *request;
    struct header headers[2];
    struct http_call call;
};

/* ---- what STS said ------------------------------------------------------------------------ */

static void refuse(struct trip *trip)
{
    oauth_respond_error(trip->ingest, trip->request, ERR_BAD_CREDENTIAL, 400, "invalid_grant",
                        "the proof was not accepted");
}

static void put_off(struct trip *trip, enum err err, const char *why)
{
    struct identity_desk *desk = trip->desk;
    const uint64_t now_ms = moment_steady_ms();

    if (desk->logged_ms == 0 || now_ms - desk->logged_ms > FAILURE_LOG_MS) {
        desk->logged_ms = now_ms;
        log_warn("identity.sts_failed", LOG_ERR(err), LOG_TEXT("why", why));
    }
    oauth_respond_error(trip->ingest, trip->request, err, 503, "temporarily_unavailable",
                        "AWS cannot be asked now");
}

static void judge_caller(struct trip *trip, const struct sts_caller *caller)
{
    const struct directory *directory = ingest_snapshot(trip->ingest)->directory;
    struct principal principal;

    if (caller_identity_verify(directory, caller, moment_now_ms(), &principal) != ERR_OK) {
        refuse(trip);
        return;
    }
    log_info("identity.proven", LOG_SLICE("account", principal.account->id),
             LOG_SLICE("credential", principal.credential->id), LOG_TEXT("arn", caller->arn),
             LOG_TEXT("user_id", caller->user_id), LOG_SLICE("from", trip->request->peer));
    oauth_respond_token(trip->ingest, trip->request, &principal,
                        trip->desk->config->identity_token_ms);
}

static void judge_error(struct trip *trip, const struct http_call *call)
{
    struct sts_error error;

    sts_read_error(buf_slice(&call->response), &error);
    switch (sts_judge(call->status, slice_of(error.code))) {
    case STS_DENIED:
    case STS_STALE:
    case STS_SKEWED:
        refuse(trip);
        return;
    case STS_THROTTLED:
        put_off(trip, ERR_REMOTE_THROTTLED, error.code);
        return;
    case STS_FAILED:
    default:
        put_off(trip, ERR_REMOTE_FAILED, error.code);
    }
}

static void on_call_done(struct http_call *call)
{
    struct trip *trip = CONTAINER_OF(call, struct trip, call);
    struct http_call done = *call;
    struct sts_caller caller;

    CHECK(trip->desk->open_count > 0);
    trip->desk->open_count--;
    if (done.err != ERR_OK) {
        put_off(trip, done.err == ERR_STOPPING ? ERR_STOPPING : ERR_REMOTE_FAILED, done.error_text);
    } else if (done.status != 200) {
        judge_error(trip, &done);
    } else if (sts_read_caller(buf_slice(&done.response), &caller) != ERR_OK) {
        put_off(trip, ERR_REMOTE_FAILED, "the answer of STS cannot be read");
    } else {
        judge_caller(trip, &caller);
    }
    http_call_clean_up(&done); /* the trip went with its request */
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The name that callers sign: the configured one, or host and port of the public URL. */
static struct slice server_id(const struct config *config)
{
    struct slice url = config->public_url;

    if (config->identity_server_id.len > 0) {
        return config->identity_server_id;
    }
    if (slice_has_prefix(url, SLICE("https://"))) {
        url = slice_from(url, strlen("https://"));
        return slice_cut(&url, '/');
    }
    return (struct slice){NULL, 0};
}

static struct slice endpoint_of(const struct config *config, struct slice host, struct arena *arena)
{
    if (config->aws_endpoint_sts.len > 0) {
        return config->aws_endpoint_sts;
    }
    if (config->aws_endpoint.len > 0) {
        return config->aws_endpoint;
    }
    return arena_printf(arena, "https://%.*s", SLICE_ARG(host));
}

static void call_sts(struct identity_desk *desk, struct ingest *ingest, struct request *request,
                     const struct caller_proof *proof)
{
    struct arena *arena = &request->arena;
    const struct slice host = caller_proof_host(proof->region, arena);
    struct trip *trip = ARENA_NEW(arena, struct trip);

    *trip = (struct trip){
        .desk = desk,
        .ingest = ingest,
        .request = request,
        .headers = {{SLICE("host"), host},
                    {SLICE(CALLER_PROOF_SERVER_HEADER), server_id(desk->config)}},
        .call =
            {
                .method = "GET",
                .url = caller_proof_url(proof, endpoint_of(desk->config, host, arena), arena).data,
                .header_count = 2,
                .timeout_ms = CALL_TIMEOUT_MS,
                .response_max = RESPONSE_BYTES_MAX,
                .on_done = on_call_done,
            },
    };
    trip->call.headers = trip->headers;
    desk->open_count++;
    http_start(desk->http, &trip->call);
}

void identity_desk_take(struct identity_desk *desk, struct ingest *ingest, struct request *request,
                        struct slice proof)
{
    const struct config *config = desk->config;
    const struct caller_proof_terms terms = {
        .regions =
            config->identity_regions.count > 0 ? config->identity_regions.items : &config->region,
        .region_count = MAX_OF(config->identity_regions.count, (size_t)1),
        .age_ms_max = config->identity_proof_ms,
        .now_ms = moment_now_ms(),
    };
    char description[DESCRIPTION_CHARS_MAX];
    struct err_why why = {.text = ""};
    struct caller_proof read;

    if (server_id(config).len == 0) {
        oauth_respond_error(ingest, request, ERR_BAD_REQUEST, 400, "unsupported_grant_type",
                            "this gateway has neither aws_identity.server_id nor public_url");
    } else if (caller_proof_read(proof, &terms, &request->arena, &read, &why) != ERR_OK) {
        (void)snprintf(description, sizeof(description), "the proof is not valid: %.*s",
                       DESCRIPTION_CHARS_MAX - 32, why.text);
        oauth_respond_error(ingest, request, ERR_BAD_CREDENTIAL, 400, "invalid_grant", description);
    } else if (desk->open_count >= OPEN_MAX ||
               limiter_take(&desk->bucket, 1, moment_steady_us(), NULL) == 0) {
        oauth_respond_error(ingest, request, ERR_THROTTLED, 503, "temporarily_unavailable",
                            "too many proofs are looked at now");
    } else {
        call_sts(desk, ingest, request, &read);
    }
}

/* ---- the desk ----------------------------------------------------------------------------- */

struct identity_desk *identity_desk_new(struct http_client *http, const struct config *config,
                                        unsigned worker_count)
{
    struct identity_desk *desk = xcalloc(1, sizeof(*desk));
    const uint64_t rate = MAX_OF(config->identity_calls_per_second / worker_count, (uint64_t)1);

    desk->http = http;
    desk->config = config;
    limiter_configure(&desk->bucket, rate, rate, moment_steady_us());
    return desk;
}

bool identity_desk_is_idle(const struct identity_desk *desk)
{
    return desk->open_count == 0;
}

void identity_desk_destroy(struct identity_desk *desk)
{
    if (desk != NULL) {
        CHECK(desk->open_count == 0);
        xfree(desk);
    }
}
