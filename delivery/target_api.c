/* SPDX-License-Identifier: Apache-2.0
 *
 * target_api.c - API destinations: any HTTPS endpoint, by a connection's credentials.
 *
 * A connection with OAuth needs a token before anything is sent; that is what this kind looks up.
 * The token is kept until shortly before its end, and dropped when the endpoint says 401 or 407 to
 * a call that carried this very one: of several such answers the first makes a new one be fetched,
 * and no other call starts meanwhile.  A token endpoint that refuses is left alone for a while that
 * doubles, and so are the deliveries.
 *
 * Replies are judged by their status, as EventBridge does: 2xx is taken, also with a body that is
 * too long to be read; 401, 407, 409, 429 and 5xx are tried again, no sooner than Retry-After says
 * within its bounds; a negative Retry-After, every other 4xx, 3xx and 1xx end it.
 *
 * What an endpoint says goes into dead letters and logs, so it is shown only if it does not say
 * one of our secrets back.
 *
 * Memory: a counted reference to the destination; the token, wiped when it is dropped.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
 */
#include <openssl/crypto.h>

#include "accounts/oauth.h"
#include "core/check.h"
#include "delivery/api_request.h"
#include "delivery/retry.h"
#include "delivery/target_wire.h"

enum {
    API_BODY_BYTES_MAX = 2 << 20,
    API_EARLY_MS = 60 * 1000, /* a token is renewed this early, or at half its life */
    API_QUIET_FIRST_MS = 1000,
    API_QUIET_MOST_MS = 60 * 1000, /* a token endpoint that refuses */
    API_NAME_CHARS_MAX = 64,
    API_UUID_CHARS = 36,
};

struct api_target {
    struct target target;
    struct api_destination *destination; /* NULL: opened for a look at its ARN */
    struct arena token_arena;
    struct slice authorization; /* with the token; empty: there is none */
    uint64_t renew_ms;          /* when it wants to be renewed */
    uint64_t serial;            /* of the token: marks requests that carry it */
    unsigned refusal_count;     /* of the token endpoint, in a row */
};

static struct api_target *api_of(struct target *target)
{
    CHECK(target->ops == &target_api);
    return (struct api_target *)(void *)target;
}

static const struct api_target *api_of_const(const struct target *target)
{
    CHECK(target->ops == &target_api);
    return (const struct api_target *)(const void *)target;
}

static enum err open_api(const struct target_options *options, struct slice arn,
                         struct target **target, struct err_why *why)
{
    struct api_target *api;
    struct arn parts;
    struct slice rest;
    struct slice name;

    if (!arn_split(arn, &parts) || !target_arn_is(&parts, SLICE("events"))) {
        parts.resource = (struct slice){NULL, 0};
    }
    rest = parts.resource;
    (void)slice_cut(&rest, '/');
    name = slice_cut(&rest, '/');
    if (!slice_has_prefix(parts.resource, SLICE("api-destination/")) ||
        !target_name_is(name, API_NAME_CHARS_MAX, ".") ||
        (rest.data != NULL && (rest.len != API_UUID_CHARS || !target_name_is(rest, 36, "")))) {
        return err_because(ERR_BAD_VALUE, why,
                           "an API destination's ARN is "
                           "arn:aws:events:REGION:ACCOUNT:api-destination/NAME or .../NAME/UUID");
    }
    api = xcalloc(1, sizeof(*api));
    api->target.ops = &target_api;
    if (options->api_destination != NULL) {
        api->destination = api_destination_acquire(options->api_destination);
    }
    *target = &api->target;
    return ERR_OK;
}

static void drop_token(struct api_target *api)
{
    api->authorization = (struct slice){NULL, 0};
    arena_wipe(&api->token_arena);
}

static void close_api(struct target *target)
{
    struct api_target *api;

    if (target == NULL) {
        return;
    }
    api = api_of(target);
    drop_token(api);
    api_destination_release(api->destination);
    xfree(api);
}

static size_t batch_bytes_max(const struct target *target)
{
    (void)target;
    return API_BODY_BYTES_MAX;
}

/* ---- tokens ------------------------------------------------------------------------------- */

static bool needs_lookup(const struct target *target, uint64_t now_ms)
{
    const struct api_target *api = api_of_const(target);

    return api->destination->authorization == API_OAUTH &&
           (api->authorization.len == 0 || now_ms >= api->renew_ms);
}

static enum err build_lookup(const struct target *target, struct arena *arena,
                             struct target_request *request)
{
    const struct api_target *api = api_of_const(target);
    struct oauth_request asked;

    TRY(oauth_write_request(&api->destination->oauth, arena, request->body, &asked));
    request->method = asked.method;
    request->url = asked.url;
    request->plain = asked.headers;
    request->plain_count = asked.header_count;
    return ERR_OK;
}

/* Whatever the reason, time may heal it: a secret is put right, an endpoint comes back. */
static bool refuse_token(struct api_target *api, const struct target_reply *reply, const char *text,
                         struct target_verdict *verdict)
{
    const bool is_denied = reply->err == ERR_OK && reply->status >= 400 && reply->status <= 499 &&
                           reply->status != 429 && reply->status != 408;
    const unsigned shift = MIN_OF(api->refusal_count, 16U);
    char code[40];

    (void)snprintf(code, sizeof(code), "token endpoint, HTTP %u", reply->status);
    target_verdict_set(verdict, TARGET_RETRY,
                       reply->err == ERR_REMOTE_TIMEOUT ? ERR_REMOTE_TIMEOUT
                       : is_denied                      ? ERR_REMOTE_DENIED
                                                        : ERR_REMOTE_FAILED,
                       NULL, reply->err == ERR_OK ? slice_of(code) : SLICE("token endpoint"),
                       slice_of(text));
    api->refusal_count++;
    verdict->retry_after_ms =
        MAX_OF(MIN_OF((uint64_t)API_QUIET_FIRST_MS << shift, (uint64_t)API_QUIET_MOST_MS),
               target_retry_after_ms(reply));
    return false;
}

static bool read_lookup(struct target *target, const struct target_reply *reply,
                        struct arena *arena, struct target_verdict *verdict)
{
    struct api_target *api = api_of(target);
    struct err_why why = {.text = ""};
    struct oauth_token token;

    (void)arena;
    drop_token(api);
    if (reply->err != ERR_OK) {
        return refuse_token(api, reply,
                            reply->err_text.len > 0 ? reply->err_text.data : err_text(reply->err),
                            verdict);
    }
    if (!target_reply_is_good(reply)) {
        return refuse_token(api, reply, "refused", verdict);
    }
    if (oauth_read_token(reply->body, &api->token_arena, &token, &why) != ERR_OK) {
        drop_token(api);
        return refuse_token(api, reply, why.text, verdict);
    }
    api->authorization = token.authorization;
    api->renew_ms =
        reply->now_ms + token.lifetime_ms - MIN_OF((uint64_t)API_EARLY_MS, token.lifetime_ms / 2);
    api->serial++;
    api->refusal_count = 0;
    return true;
}

/* ---- requests ----------------------------------------------------------------------------- */

/* Written to be thrown away: what cannot be sent is known before anything else is asked for. */
static bool check_item(const struct target *target, const struct target_item *item,
                       struct target_verdict *verdict)
{
    const struct api_target *api = api_of_const(target);
    struct target_request request = {0};
    struct err_why why = {.text = ""};
    struct arena arena = {0};
    struct buf body;
    enum err err;

    buf_init(&body, API_BODY_BYTES_MAX);
    request.body = &body;
    err = api_request_write(api->destination, api->authorization, item, &arena, &request, &why);
    buf_wipe(&body);
    arena_wipe(&arena);
    if (err == ERR_OK) {
        return true;
    }
    return target_refuse(verdict, err == ERR_TOO_LARGE ? ERR_TOO_LARGE : ERR_REMOTE_REJECTED,
                         err == ERR_TOO_LARGE ? "message-too-large" : "invalid-input",
                         SLICE("HttpParameters"),
                         slice_of(why.text[0] != '\0' ? why.text : err_text(err)));
}

static enum err build_call(const struct target *target, const struct target_item *items,
                           size_t count, struct arena *arena, struct target_request *request)
{
    const struct api_target *api = api_of_const(target);

    CHECK(count == 1);
    request->mark = api->serial;
    return api_request_write(api->destination, api->authorization, &items[0], arena, request, NULL);
}

/* ---- replies ------------------------------------------------------------------------------ */

static bool is_retried(unsigned status)
{
    return status == 401 || status == 407 || status == 409 || status == 429 || status >= 500;
}

static enum err error_of(unsigned status)
{
    return status == 429 ? ERR_REMOTE_THROTTLED : ERR_REMOTE_FAILED;
}

static bool asks_for_no_more(const struct target_reply *reply)
{
    const struct slice after = target_reply_header(reply, SLICE("retry-after"));
    uint64_t seconds;

    return slice_has_prefix(after, SLICE("-")) && slice_to_u64(slice_from(after, 1), &seconds) &&
           seconds > 0;
}

static void judge_status(const struct api_target *api, const struct target_reply *reply,
                         struct target_verdict *verdict)
{
    const bool tells = api_request_tells(api->destination, api->authorization, reply->body);
    const struct slice text = tells ? SLICE("(its reply held a secret)") : reply->body;
    char code[24];

    (void)snprintf(code, sizeof(code), "HTTP %u", reply->status);
    if (!is_retried(reply->status)) {
        target_verdict_set(verdict, TARGET_BURY, ERR_REMOTE_REJECTED, "SDK_CLIENT_ERROR",
                           slice_of(code), text);
    } else if (asks_for_no_more(reply)) {
        target_verdict_set(verdict, TARGET_BURY, error_of(reply->status), "retry-declined",
                           slice_of(code), text);
    } else {
        target_verdict_set(verdict, TARGET_RETRY, error_of(reply->status), NULL, slice_of(code),
                           text);
        verdict->retry_after_ms = target_retry_after_ms(reply);
    }
}

/* The endpoint does not know the token: another one, and the event once more. */
static void renew(struct api_target *api, const struct target_reply *reply,
                  struct target_verdict *verdict)
{
    if (reply->mark == api->serial) {
        drop_token(api);
    }
    verdict->action = TARGET_RENEW;
    verdict->err = ERR_REMOTE_EXPIRED;
}

static void classify(struct target *target, const struct target_item *items, size_t count,
                     const struct target_reply *reply, struct arena *arena,
                     struct target_verdict *verdicts)
{
    struct api_target *api = api_of(target);
    const struct target_fault none = {{NULL, 0}, {NULL, 0}};
    const bool is_good = reply->status >= 200 && reply->status <= 299;

    (void)items;
    (void)arena;
    CHECK(count == 1);
    if (is_good && (reply->err == ERR_OK || reply->err == ERR_TOO_LARGE)) {
        target_settle(&verdicts[0]);
        return;
    }
    if (reply->err != ERR_OK) {
        target_fault_judge(reply, &none, NULL, 0, &verdicts[0]);
        return;
    }
    judge_status(api, reply, &verdicts[0]);
    if ((reply->status == 401 || reply->status == 407) &&
        api->destination->authorization == API_OAUTH && verdicts[0].action == TARGET_RETRY) {
        renew(api, reply, &verdicts[0]);
    }
}

const struct target_ops target_api = {
    .service = SLICE_INIT("events"),
    .resource_prefix = SLICE_INIT("api-destination/"),
    .batch_count_max = 1,
    .is_plain = true,
    .open = open_api,
    .close = close_api,
    .batch_bytes_max = batch_bytes_max,
    .check = check_item,
    .needs_lookup = needs_lookup,
    .build_lookup = build_lookup,
    .read_lookup = read_lookup,
    .build = build_call,
    .classify = classify,
};
