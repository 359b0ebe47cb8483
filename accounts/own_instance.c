/* SPDX-License-Identifier: Apache-2.0
 *
 * own_instance.c - credentials from the metadata service of an EC2 instance, version 2 of it only.
 *
 * The happy path, three exchanges: PUT for a session token, GET the name of the role that the
 * instance has, GET the credentials of that role.  The token is asked for anew with each load, as
 * loads are hours apart.
 *
 * Version 1, which answers anybody who can make a process fetch a URL, is never spoken: an instance
 * that does not give a token gives no credentials.
 *
 * This source is the last and needs no setting, so on any other machine nobody answers: that is
 * "no credentials anywhere", told after three seconds at most.  The answer to the PUT travels as
 * many hops as the instance allows, by default one, which does not reach into a container.
 *
 *      AWS_EC2_METADATA_DISABLED               "true": do not ask
 *      AWS_EC2_METADATA_SERVICE_ENDPOINT       another URL
 *      AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE  "IPv6": the address of that kind
 *
 *= https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 *= https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
 */
#include "accounts/own_credentials_internal.h"

#include "core/check.h"

enum { TIMEOUT_MS = 1000, ATTEMPTS_MAX = 3, TOKEN_CHARS_MAX = 1024, ROLE_CHARS_MAX = 64 };

#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

static enum own_answer ask(struct own_credentials *own, const char *method, struct slice path,
                           struct header header, own_reply_fn on_reply);

static bool is_disabled(const struct own_credentials *own)
{
    return slice_eq_ignore_case(own_variable(own, "AWS_EC2_METADATA_DISABLED"), SLICE("true"));
}

static struct slice base_url(const struct own_credentials *own)
{
    struct slice url = own_variable(own, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const struct slice mode = own_variable(own, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

    while (slice_has_suffix(url, SLICE("/"))) {
        url.len--;
    }
    if (url.len > 0) {
        return url;
    }
    return slice_eq_ignore_case(mode, SLICE("ipv6")) ? SLICE("http://[fd00:ec2::254]")
                                                     : SLICE("http://169.254.169.254");
}

static struct header token_header(const struct own_credentials *own)
{
    return (struct header){SLICE("x-aws-ec2-metadata-token"), buf_slice(&own->secret)};
}

/* ---- the third answer: credentials ---- */

static enum own_answer on_credentials(struct own_credentials *own, const struct http_call *call)
{
    if (call->status != 200) {
        return own_fail(own, ERR_REMOTE_FAILED, "the answer for the role is not 200", SLICE(""));
    }
    return own_exchange_hold_json(own, buf_slice(&call->response));
}

/* ---- the second: a role ---- */

/* What IAM allows in the name of a role; so it needs no encoding in a URL either. */
static bool is_role_name(struct slice name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+=,.@-_";

    for (size_t i = 0; i < name.len; i++) {
        if (memchr(allowed, name.data[i], sizeof(allowed) - 1) == NULL) {
            return false;
        }
    }
    return name.len > 0 && name.len <= ROLE_CHARS_MAX;
}

static enum own_answer on_roles(struct own_credentials *own, const struct http_call *call)
{
    struct slice list = buf_slice(&call->response);
    const struct slice role = own_trim_end(slice_cut(&list, '\n'));

    if (call->status == 404 || (call->status == 200 && role.len == 0)) {
        return own_fail(own, ERR_NO_CREDENTIALS, "no role is attached to this instance", SLICE(""));
    }
    if (call->status != 200) {
        return own_fail(own, ERR_REMOTE_FAILED, "the answer for the list of roles is not 200",
                        SLICE(""));
    }
    if (!is_role_name(role)) {
        return own_fail(own, ERR_REMOTE_FAILED, "the list of roles names no role", SLICE(""));
    }
    return ask(own, "GET", arena_printf(&own->call_arena, "%s%.*s", ROLES_PATH, SLICE_ARG(role)),
               token_header(own), on_credentials);
}

/* ---- the first: a session token ---- */

static enum own_answer on_token(struct own_credentials *own, const struct http_call *call)
{
    const struct slice token = own_trim_end(buf_slice(&call->response));

    if (call->status == 403) {
        return own_fail(own, ERR_NO_CREDENTIALS, "it is turned off for this instance", SLICE(""));
    }
    if (call->status != 200) {
        return own_fail(own, ERR_REMOTE_FAILED, "the answer for a session token is not 200",
                        SLICE(""));
    }
    if (token.len == 0 || !own_text_is_plain(token) || buf_append(&own->secret, token) != ERR_OK) {
        return own_fail(own, ERR_REMOTE_FAILED, "the session token is not one", SLICE(""));
    }
    return ask(own, "GET", SLICE(ROLES_PATH), token_header(own), on_roles);
}

static enum own_answer on_silence(struct own_credentials *own, const struct http_call *call)
{
    return own_fail(own, ERR_NO_CREDENTIALS,
                    "no other source is set up, and nobody answers here (in a container, the"
                    " instance must allow two hops):",
                    slice_of(call->error_text));
}

static enum own_answer ask(struct own_credentials *own, const char *method, struct slice path,
                           struct header header, own_reply_fn on_reply)
{
    const struct slice base = base_url(own);
    const struct own_exchange exchange = {
        .method = method,
        .url = arena_printf(&own->call_arena, "%.*s%.*s", SLICE_ARG(base), SLICE_ARG(path)).data,
        .header = header,
        .timeout_ms = TIMEOUT_MS,
        .attempts_max = ATTEMPTS_MAX,
        .on_reply = on_reply,
        .on_silence = on_reply == on_token ? on_silence : NULL,
    };

    return own_exchange_begin(own, &exchange);
}

enum own_answer own_instance_load(struct own_credentials *own)
{
    const struct slice base = base_url(own);

    if (is_disabled(own)) {
        return OWN_ANSWER_ABSENT;
    }
    if (!own_text_is_plain(base) ||
        (!slice_has_prefix(base, SLICE("http://")) && !slice_has_prefix(base, SLICE("https://")))) {
        return own_fail(own, ERR_NO_CREDENTIALS,
                        "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL:", base);
    }
    buf_wipe(&own->secret);
    own_text_init(&own->secret, TOKEN_CHARS_MAX);
    return ask(own, "PUT", SLICE("/latest/api/token"),
               (struct header){SLICE("x-aws-ec2-metadata-token-ttl-seconds"), SLICE("21600")},
               on_token);
}
