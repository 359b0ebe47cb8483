/* SPDX-License-Identifier: Apache-2.0
 *
 * own_container.c - credentials from the endpoint that ECS and EKS give to a container.
 *
 * The happy path: build the URL, read the authorization token (from its file anew each time, as it
 * rotates), GET, read four members of a JSON object.  Three attempts of two seconds each.
 *
 * The URL comes from the environment, so whoever sets it decides who learns the token and whose
 * credentials we use; plain http is therefore refused except to loopback and to the link-local
 * addresses that the platforms reserve for this.
 *
 * Memory: URL and header live in own->call_arena until the call is over; the reply is wiped.
 */
#include "accounts/own_credentials_internal.h"

#include "core/check.h"
#include "core/file.h"
#include "core/json.h"

enum {
    REPLY_BYTES_MAX = 64 * 1024,
    AUTHORIZATION_CHARS_MAX = 8192,
    TIMEOUT_MS = 2000,
    ATTEMPTS_MAX = 3,
};

/* Plain http goes only where nobody can listen: to ourselves and to the fixed addresses of ECS and
 * EKS. */
static bool is_allowed_url(struct slice url)
{
    static const struct slice hosts[] = {
        SLICE_INIT("169.254.170.2"), SLICE_INIT("169.254.170.23"), SLICE_INIT("[fd00:ec2::23]"),
        SLICE_INIT("localhost"),     SLICE_INIT("127.0.0.1"),      SLICE_INIT("[::1]"),
    };
    struct slice rest;

    if (slice_has_prefix(url, SLICE("https://"))) {
        return own_text_is_plain(url);
    }
    if (!slice_has_prefix(url, SLICE("http://")) || !own_text_is_plain(url)) {
        return false;
    }
    rest = slice_from(url, strlen("http://"));
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        const struct slice after = slice_from(rest, hosts[i].len);

        if (slice_has_prefix(rest, hosts[i]) &&
            (after.len == 0 || after.data[0] == '/' || after.data[0] == ':' ||
             after.data[0] == '?') &&
            slice_find(rest, '@') == rest.len) {
            return true;
        }
    }
    return false;
}

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

static enum err read_reply(struct slice text, struct own_findings *findings)
{
    struct json_reader reader;
    struct json_token token;
    struct slice value;

    json_reader_init(&reader, text, 16);
    if (json_next(&reader, &token) != JSON_TYPE_OBJECT_BEGIN) {
        return ERR_BAD_JSON;
    }
    while (json_next(&reader, &token) == JSON_TYPE_KEY) {
        struct buf *place = reply_place(findings, token.raw);

        if (json_next(&reader, &token) == JSON_TYPE_STRING && place != NULL) {
            buf_clear(place);
            TRY(json_unescape(token.raw, place));
        } else {
            TRY(json_read_value(&reader, &token, &value));
        }
    }
    return json_next(&reader, &token) == JSON_TYPE_END ? ERR_OK : ERR_BAD_JSON;
}

static void start_container_call(struct own_credentials *own);

static void read_container_call(struct own_credentials *own, struct http_call *call)
{
    struct own_findings findings;

    if (call->err != ERR_OK) {
        (void)own_fail(own,
                       err_class(call->err) == ERR_CLASS_REMOTE ? call->err : ERR_REMOTE_FAILED,
                       "no answer", slice_of(call->error_text));
    } else if (call->status != 200) {
        (void)own_fail(own, ERR_REMOTE_FAILED, "the answer is not 200", SLICE(""));
    } else {
        own_findings_init(&findings);
        if (read_reply(buf_slice(&call->response), &findings) != ERR_OK) {
            (void)own_fail(own, ERR_REMOTE_FAILED, "the answer is not the expected JSON",
                           SLICE(""));
        } else {
            (void)own_hold(own, &findings);
        }
        own_findings_clean_up(&findings);
    }
}

static void on_container_done(struct http_call *call)
{
    struct own_credentials *own = CONTAINER_OF(call, struct own_credentials, call);
    const bool is_stopping = call->err == ERR_STOPPING;

    read_container_call(own, call);
    buf_wipe(&call->response);
    http_call_clean_up(call);
    if (own->err != ERR_OK && !is_stopping && ++own->attempts < ATTEMPTS_MAX) {
        start_container_call(own);
        return;
    }
    arena_clean_up(&own->call_arena);
    own_finish(own);
}

static void start_container_call(struct own_credentials *own)
{
    own->call = (struct http_call){.method = own->call.method,
                                   .url = own->call.url,
                                   .headers = own->call.headers,
                                   .header_count = own->call.header_count,
                                   .timeout_ms = TIMEOUT_MS,
                                   .response_max = REPLY_BYTES_MAX,
                                   .on_done = on_container_done};
    own->io->start_call(own->io->context, &own->call);
}

/* The value of the Authorization header, from the variable or (read anew each time) the file. */
static enum own_answer read_authorization(struct own_credentials *own, struct slice *value)
{
    const struct slice path = own_variable(own, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct buf text;
    struct slice token = own_variable(own, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    enum own_answer answer = OWN_ANSWER_DONE;

    own_text_init(&text, AUTHORIZATION_CHARS_MAX);
    if (path.len > 0) {
        if (file_read(arena_cstr(&own->call_arena, path), &text, &own->why) != ERR_OK) {
            own->err = ERR_NO_CREDENTIALS;
            buf_wipe(&text);
            return OWN_ANSWER_FAILED;
        }
        token = buf_slice(&text);
        while (token.len > 0 && strchr(" \t\r\n", token.data[token.len - 1]) != NULL) {
            token.len--;
        }
    }
    /* "Bearer x" has a blank, but nothing that could end a header. */
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < ' ' || token.data[i] == 127) {
            answer = own_fail(own, ERR_NO_CREDENTIALS,
                              "the authorization token holds control bytes", SLICE(""));
            token.len = 0;
        }
    }
    *value = arena_copy(&own->call_arena, token);
    buf_wipe(&text);
    return answer;
}

enum own_answer own_container_load(struct own_credentials *own)
{
    const struct slice relative = own_variable(own, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const struct slice full = own_variable(own, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct slice authorization;
    struct header *header;
    struct slice url;

    if (relative.len == 0 && full.len == 0) {
        return OWN_ANSWER_ABSENT;
    }
    arena_clean_up(&own->call_arena);
    url = relative.len > 0
              ? arena_printf(&own->call_arena, "http://169.254.170.2%.*s", SLICE_ARG(relative))
              : arena_copy(&own->call_arena, full);
    if (!is_allowed_url(url)) {
        return own_fail(
            own, ERR_NO_CREDENTIALS,
            "plain http is allowed only to loopback and to the addresses of ECS and EKS,"
            " not to",
            url);
    }
    if (read_authorization(own, &authorization) != OWN_ANSWER_DONE) {
        return OWN_ANSWER_FAILED;
    }
    header = ARENA_NEW(&own->call_arena, struct header);
    *header = (struct header){SLICE("authorization"), authorization};
    own->call = (struct http_call){.method = "GET",
                                   .url = url.data,
                                   .headers = header,
                                   .header_count = authorization.len > 0 ? 1 : 0};
    own->attempts = 0;
    start_container_call(own);
    return OWN_ANSWER_PENDING;
}
