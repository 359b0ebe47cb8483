/* SPDX-License-Identifier: Apache-2.0
 *
 * own_exchange.c - one question over HTTP that a source of weir's own credentials asks.
 *
 * The happy path: own_exchange_begin() sends it, the reply goes to the source's on_reply, and that
 * has the credentials, or the next question.  A question that nobody answers, or whose answer says
 * that it may go better later, is asked again, at once and a fixed number of times; what is set up
 * wrongly (ERR_NO_CREDENTIALS) is final.  So a load is bounded by attempts times time-out.
 *
 * Memory: URL and header live in own->call_arena until the load is over; replies, and what was sent
 * in own->secret, are wiped.
 */
#include "accounts/own_credentials_internal.h"

#include "core/check.h"
#include "core/json.h"

static void start(struct own_credentials *own);

static void end(struct own_credentials *own)
{
    arena_clean_up(&own->call_arena);
    buf_wipe(&own->secret);
    own_finish(own);
}

static enum own_answer judge(struct own_credentials *own, const struct http_call *call)
{
    own->err = ERR_OK;
    own->why.text[0] = '\0';
    if (call->err == ERR_OK) {
        return own->exchange.on_reply(own, call);
    }
    if (own->exchange.on_silence != NULL && call->err != ERR_STOPPING &&
        own->attempts + 1 >= own->exchange.attempts_max) {
        return own->exchange.on_silence(own, call);
    }
    return own_fail(own, err_class(call->err) == ERR_CLASS_REMOTE ? call->err : ERR_REMOTE_FAILED,
                    "no answer", slice_of(call->error_text));
}

static void on_done(struct http_call *call)
{
    struct own_credentials *own = CONTAINER_OF(call, struct own_credentials, call);
    const bool is_stopping = call->err == ERR_STOPPING;
    const enum own_answer answer = judge(own, call);

    buf_wipe(&call->response);
    http_call_clean_up(call);
    if (is_stopping) {
        end(own);
    } else if (answer == OWN_ANSWER_PENDING) {
        start(own);
    } else if (answer == OWN_ANSWER_FAILED && own->err != ERR_NO_CREDENTIALS &&
               ++own->attempts < own->exchange.attempts_max) {
        start(own);
    } else {
        end(own);
    }
}

static void start(struct own_credentials *own)
{
    const struct own_exchange *exchange = &own->exchange;

    own->call = (struct http_call){.method = exchange->method,
                                   .url = exchange->url,
                                   .headers = &exchange->header,
                                   .header_count = exchange->header.name.len > 0 ? 1 : 0,
                                   .body = exchange->body,
                                   .timeout_ms = exchange->timeout_ms,
                                   .response_max = OWN_REPLY_BYTES_MAX,
                                   .on_done = on_done};
    own->io->start_call(own->io->context, &own->call);
}

enum own_answer own_exchange_begin(struct own_credentials *own, const struct own_exchange *exchange)
{
    const bool is_next = own->call.on_done != NULL;

    CHECK(exchange->attempts_max > 0);
    own->exchange = *exchange;
    own->attempts = 0;
    if (!is_next) {
        start(own);
    } /* else on_done() does, when the reply is gone */
    return OWN_ANSWER_PENDING;
}

/* ---- the JSON of container endpoints and instance metadata ---- */

static struct buf *reply_place(struct own_findings *findings, struct slice name)
{
    if (slice_eq(name, SLICE("AccessKeyId"))) {
        return &findings->access_key_id;
    }
    if (slice_eq(name, SLICE("SecretAccessKey"))) {
        return &findings->secret_access_key;
    }
    if (slice_eq(name, SLICE("Token"))) {
        return &findings->session_token;
    }
    return slice_eq(name, SLICE("Expiration")) ? &findings->expiration : NULL;
}

static enum err read_reply(struct slice text, struct own_findings *findings, struct buf *code)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    json_reader_init(&reader, text, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_JSON;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        struct buf *place =
            slice_eq(token.raw, SLICE("Code")) ? code : reply_place(findings, token.raw);

        if (json_next(&reader, &token) == JSON_TYPE_STRING && place != NULL) {
            buf_clear(place);
            TRY(json_unescape(token.raw, place));
        } else {
            TRY(json_read_value(&reader, &token, &value));
        }
    }
    return json_next(&reader, &token) == JSON_TYPE_END ? ERR_OK : ERR_BAD_JSON;
}

/* Instance metadata says "Code":"Success", or with status 200 what is wrong. */
static bool is_success(struct slice code)
{
    return code.len == 0 || slice_eq_ignore_case(code, SLICE("Success"));
}

enum own_answer own_exchange_hold_json(struct own_credentials *own, struct slice text)
{
    struct own_findings findings;
    struct buf code;
    enum own_answer answer;

    own_findings_init(&findings);
    buf_init(&code, 128);
    if (read_reply(text, &findings, &code) != ERR_OK) {
        answer = own_fail(own, ERR_REMOTE_FAILED, "the answer is not the expected JSON", SLICE(""));
    } else if (!is_success(buf_slice(&code))) {
        answer = own_fail(own, ERR_REMOTE_FAILED, "the answer is", buf_slice(&code));
    } else {
        answer = own_hold(own, &findings);
    }
    buf_clean_up(&code);
    own_findings_clean_up(&findings);
    return answer;
}
