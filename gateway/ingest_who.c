/* SPDX-License-Identifier: Apache-2.0
 *
 * ingest_who.c - whose request is it?
 *
 * What can be said without the body is said with the head, so that a stranger's bytes are never
 * read.  The directory is that of the snapshot in force; what the head proved is proven again when
 * the catalog changed while the body came.
 */
#include "accounts/http_caller.h"
#include "accounts/sigv4_verify.h"
#include "core/moment.h"
#include "gateway/config.h"
#include "gateway/dedup.h"
#include "gateway/ingest_internal.h"

static struct sigv4_request signed_view(const struct request *request)
{
    return (struct sigv4_request){
        .method = request->method,
        .path = request->path,
        .query = request->query,
        .authority = request->authority,
        .is_http2 = request->is_http2,
        .headers = request->headers,
        .header_count = request->header_count,
        .body_digest = request->body_digest,
    };
}

static struct sigv4_verify_options verify_options(const struct ingest *ingest, struct err_why *why)
{
    return (struct sigv4_verify_options){
        .directory = ingest->snapshot->directory,
        .keys = ingest->keys,
        .region = ingest->options.config->region,
        .service = SLICE("events"),
        .now_ms = moment_now_ms(),
        .skew_max_ms = DEDUP_SIGNATURE_SKEW_MS,
        .why = why,
    };
}

/* A principal proven with the head, and the directory it points into, by its generation: a revision
 * of the catalog may be in force twice, after a loss or beside another replica's change. */
struct head_proof {
    struct principal principal;
    uint64_t generation;
};

static enum err verify_caller(const struct ingest *ingest, const struct request *request,
                              struct principal *principal)
{
    const struct http_caller_request view = {
        .headers = request->headers,
        .header_count = request->header_count,
        .certificate = request->caller,
        .now_ms = moment_now_ms(),
    };

    return http_caller_verify(ingest->snapshot->directory, &view, principal);
}

enum err ingest_check_caller(struct ingest *ingest, struct request *request)
{
    struct head_proof *proof = ARENA_NEW(&request->arena, struct head_proof);

    TRY(verify_caller(ingest, request, &proof->principal));
    proof->generation = ingest->snapshot->directory->generation;
    request->handler_data = proof;
    return ERR_OK;
}

/* None of these needs the body, so what the head proved still holds, unless an account or a
 * credential changed meanwhile: then a revoked key must not pass. */
enum err ingest_prove_caller(struct ingest *ingest, struct request *request,
                             struct principal *principal)
{
    const struct head_proof *proof = request->handler_data;

    if (proof != NULL && proof->generation == ingest->snapshot->directory->generation) {
        *principal = proof->principal;
        return ERR_OK;
    }
    return verify_caller(ingest, request, principal);
}

/* ---- the EventBridge API ------------------------------------------------------------------ */

static bool has_token(const struct request *request)
{
    struct slice value = slice_trim(request_header(request, SLICE("authorization")));

    return slice_eq_ignore_case(slice_cut(&value, ' '), SLICE("Bearer"));
}

/* Clients of OAuth only bring events: what was issued to a connection manages no rules. */
static enum err refuse_clients(const struct principal *principal)
{
    return principal->credential->kind == CREDENTIAL_AWS_IDENTITY ? ERR_OK : ERR_NO_TOKEN;
}

enum err ingest_check_api(struct ingest *ingest, struct request *request, struct err_why *why)
{
    const struct sigv4_verify_options options = verify_options(ingest, why);
    const struct sigv4_request view = signed_view(request);
    const struct head_proof *proof;

    if (!has_token(request)) {
        return sigv4_check_head(&options, &view);
    }
    request->skips_body_digest = true;
    TRY(ingest_check_caller(ingest, request));
    proof = request->handler_data;
    return refuse_clients(&proof->principal);
}

enum err ingest_prove_api(struct ingest *ingest, struct request *request,
                          struct principal *principal, struct err_why *why)
{
    const struct sigv4_verify_options options = verify_options(ingest, why);
    const struct sigv4_request view = signed_view(request);
    struct slice invocation;

    if (!has_token(request)) {
        return sigv4_verify(&options, &view, principal);
    }
    TRY(ingest_prove_caller(ingest, request, principal));
    TRY(refuse_clients(principal));
    invocation = request_header(request, SLICE("amz-sdk-invocation-id"));
    if (invocation.len <= PRINCIPAL_INVOCATION_CHARS_MAX) {
        principal->invocation_id = invocation;
    }
    return ERR_OK;
}
