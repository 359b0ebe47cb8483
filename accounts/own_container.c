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
 *= https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 */
#include "accounts/own_credentials_internal.h"

#include "core/check.h"
#include "core/file.h"

enum { AUTHORIZATION_CHARS_MAX = 8192, TIMEOUT_MS = 2000, ATTEMPTS_MAX = 3 };

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

static enum own_answer on_reply(struct own_credentials *own, const struct http_call *call)
{
    if (call->status != 200) {
        return own_fail(own, ERR_REMOTE_FAILED, "the answer is not 200", SLICE(""));
    }
    return own_exchange_hold_json(own, buf_slice(&call->response));
}

/* The value of the Authorization header goes into own->secret, from the variable or (read anew each
 * time) the file. */
static enum own_answer read_authorization(struct own_credentials *own, struct slice *value)
{
    const struct slice path = own_variable(own, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    enum err err;

    buf_wipe(&own->secret);
    own_text_init(&own->secret, AUTHORIZATION_CHARS_MAX);
    if (path.len > 0) {
        err = file_read(arena_cstr(&own->call_arena, path), &own->secret, &own->why);
    } else {
        err = buf_append(&own->secret, own_variable(own, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    }
    if (err != ERR_OK && path.len > 0) {
        own->err = ERR_NO_CREDENTIALS;
        return OWN_ANSWER_FAILED;
    }
    *value = own_trim_end(buf_slice(&own->secret));
    /* "Bearer x" has a blank, but nothing that could end a header. */
    if (err != ERR_OK || own_text_has_controls(*value)) {
        return own_fail(own, ERR_NO_CREDENTIALS,
                        "the authorization token is too long or holds control bytes", SLICE(""));
    }
    return OWN_ANSWER_DONE;
}

enum own_answer own_container_load(struct own_credentials *own)
{
    const struct slice relative = own_variable(own, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const struct slice full = own_variable(own, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct own_exchange exchange = {.method = "GET",
                                    .timeout_ms = TIMEOUT_MS,
                                    .attempts_max = ATTEMPTS_MAX,
                                    .on_reply = on_reply};
    struct slice authorization;
    struct slice url;

    if (relative.len == 0 && full.len == 0) {
        return OWN_ANSWER_ABSENT;
    }
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
    exchange.url = url.data;
    if (authorization.len > 0) {
        exchange.header = (struct header){SLICE("authorization"), authorization};
    }
    return own_exchange_begin(own, &exchange);
}
