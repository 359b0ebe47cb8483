/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.c - the token endpoint: the client credentials grant, and one for principals of AWS.
 *
 * The client says who it is in the form or by Basic, not by both.  Parameters that we do not know
 * are passed over, as the standard wants and as connections of EventBridge need, which send what
 * their owner configured.  `grant_type` may be missing for the same reason.
 *
 * Every refusal of a client is the same 401, whether the id is unknown, the secret wrong, the
 * client revoked, expired or of a suspended account.
 *
 * The other grant (oauth_identity.c) brings an assertion, which proves the caller by itself; what
 * would prove a client too is refused beside it.
 *
 *= https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 *= https://www.rfc-editor.org/rfc/rfc7521#section-4.1
 *= https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 */
#include "gateway/oauth.h"

#include "accounts/bearer.h"
#include "accounts/http_caller.h"
#include "accounts/secret.h"
#include "core/check.h"
#include "core/form.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "gateway/config.h"
#include "gateway/oauth_identity.h"
#include "gateway/oauth_internal.h"

enum { BODY_BYTES_MAX = 16384, ANSWER_BYTES_MAX = 1024 };

/* ---- answers ------------------------------------------------------------------------------ */

static void add_header(struct response *response, struct slice name, struct slice value)
{
    CHECK(response->header_count < ARRAY_LEN(response->headers));
    response->headers[response->header_count++] = (struct header){name, value};
}

static void fill(struct request *request, unsigned status, struct buf *body)
{
    struct response *response = &request->response;

    response->status = status;
    response->content_type = SLICE("application/json");
    response->body = arena_copy(&request->arena, buf_slice(body));
    add_header(response, SLICE("cache-control"), SLICE("no-store"));
    if (status == 401) {
        add_header(response, SLICE("www-authenticate"), SLICE("Basic realm=\"weir\""));
    }
}

/* {"error","error_description"}, as RFC 6749 section 5.2 has it. */
static void fill_error(struct request *request, unsigned status, const char *error,
                       const char *description)
{
    struct json_writer writer;
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("error"), slice_of(error));
    json_write_key_string(&writer, SLICE("error_description"), slice_of(description));
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    fill(request, status, &body);
    buf_clean_up(&body);
}

void oauth_respond_error(struct ingest *ingest, struct request *request, enum err err,
                         unsigned status, const char *error, const char *description)
{
    ingest_count_refused(ingest, err);
    fill_error(request, status != 0 ? status : err_status(err), error, description);
    if (request->response.status == 503 || request->response.status == 429) {
        add_header(&request->response, SLICE("retry-after"), SLICE("1"));
    }
    request_respond(request);
}

static void respond_fault(struct ingest *ingest, struct request *request, const char *error,
                          const char *description)
{
    oauth_respond_error(ingest, request, ERR_BAD_REQUEST, 400, error, description);
}

void oauth_respond_token(struct ingest *ingest, struct request *request,
                         const struct principal *principal, uint64_t life_ms)
{
    const uint64_t now_ms = moment_now_ms();
    const uint64_t ends_ms = principal->credential->expires_ms;
    struct bearer_claim claim = {
        .credential_id = principal->credential->id,
        .account_id = principal->account->id,
        .expires_ms = now_ms + life_ms,
    };
    struct json_writer writer;
    struct buf token;
    struct buf body;

    if (ends_ms != 0) {
        claim.expires_ms = MIN_OF(claim.expires_ms, ends_ms);
    }
    buf_init(&token, BEARER_CHARS_MAX);
    buf_init(&body, ANSWER_BYTES_MAX);
    CHECK(bearer_write(ingest_snapshot(ingest)->directory->pepper, &claim, &token) == ERR_OK);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("access_token"), buf_slice(&token));
    json_write_key_string(&writer, SLICE("token_type"), SLICE("Bearer"));
    json_write_key_u64(&writer, SLICE("expires_in"), (claim.expires_ms - now_ms) / 1000);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    fill(request, 200, &body);
    buf_wipe(&token);
    buf_wipe(&body);
    request_respond(request);
}

/* ---- before the body ---------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is request_handler's */
enum err oauth_check_head(struct ingest *ingest, struct request *request, size_t *body_max)
{
    struct slice type = request_header(request, SLICE("content-type"));
    enum err err = ERR_OK;

    request->skips_body_digest = true;
    *body_max = MIN_OF(*body_max, (size_t)BODY_BYTES_MAX);
    if (!slice_eq(request->method, SLICE("POST"))) {
        err = ERR_BAD_METHOD;
    } else if (!slice_eq_ignore_case(slice_trim(slice_cut(&type, ';')),
                                     SLICE("application/x-www-form-urlencoded"))) {
        err = ERR_BAD_MEDIA_TYPE;
    }
    if (err != ERR_OK) {
        ingest_count_refused(ingest, err);
        fill_error(request, err_status(err), "invalid_request",
                   "tokens are asked for by POST with a form");
    }
    return err;
}

/* ---- the request -------------------------------------------------------------------------- */

struct client {
    struct slice id;
    struct slice secret;
    struct buf basic; /* what the two may point into */
};

static const struct header *authorization_of(const struct request *request)
{
    return header_find(request->headers, request->header_count, SLICE("authorization"));
}

/* NULL, or what is wrong with the form. */
static const char *read_client(const struct request *request, const struct form *form,
                               struct client *client)
{
    const struct header *authorization = authorization_of(request);

    if (!form_get(form, SLICE("client_id"), &client->id) ||
        !form_get(form, SLICE("client_secret"), &client->secret)) {
        return "a parameter came twice";
    }
    if (authorization == NULL) {
        return NULL;
    }
    if (client->secret.len > 0) {
        return "the client authenticated in two ways";
    }
    if (http_caller_read_basic(authorization->value, &client->basic, &client->id,
                               &client->secret) != ERR_OK) {
        client->id = (struct slice){NULL, 0};
        client->secret = (struct slice){NULL, 0};
    }
    return NULL;
}

static void answer_client(struct ingest *ingest, struct request *request,
                          const struct client *client)
{
    struct principal principal;

    if (secret_verify(ingest_snapshot(ingest)->directory, CREDENTIAL_OAUTH, client->id,
                      client->secret, moment_now_ms(), &principal) != ERR_OK) {
        oauth_respond_error(ingest, request, ERR_BAD_CREDENTIAL, 401, "invalid_client",
                            "the client was not accepted");
        return;
    }
    oauth_respond_token(ingest, request, &principal, ingest_token_ms(ingest));
}

static void answer_assertion(struct ingest *ingest, struct request *request,
                             const struct form *form, const struct client *client)
{
    struct slice assertion;

    if (!form_get(form, SLICE("assertion"), &assertion) || assertion.len == 0) {
        respond_fault(ingest, request, "invalid_request", "assertion must stand in the form, once");
    } else if (client->secret.len > 0 || authorization_of(request) != NULL) {
        respond_fault(ingest, request, "invalid_request", "the caller authenticated in two ways");
    } else {
        identity_desk_take(ingest_identity_desk(ingest), ingest, request, assertion);
    }
}

void oauth_handle(struct ingest *ingest, struct request *request)
{
    struct form *form = ARENA_NEW(&request->arena, struct form);
    struct client client = {{NULL, 0}, {NULL, 0}, {0}};
    const char *fault = NULL;
    struct slice grant;

    buf_init(&client.basic, HTTP_CALLER_BASIC_BYTES_MAX);
    if (form_read(buf_slice(&request->body), true, &request->arena, form) != ERR_OK ||
        !form_get(form, SLICE("grant_type"), &grant)) {
        fault = "the form cannot be read";
    } else {
        fault = read_client(request, form, &client);
    }
    if (fault != NULL) {
        respond_fault(ingest, request, "invalid_request", fault);
    } else if (grant.len == 0 || slice_eq(grant, SLICE("client_credentials"))) {
        answer_client(ingest, request, &client);
    } else if (slice_eq(grant, SLICE(OAUTH_GRANT_AWS_IDENTITY))) {
        answer_assertion(ingest, request, form, &client);
    } else {
        respond_fault(ingest, request, "unsupported_grant_type",
                      "grant_type must be client_credentials or " OAUTH_GRANT_AWS_IDENTITY);
    }
    buf_wipe(&client.basic);
}
