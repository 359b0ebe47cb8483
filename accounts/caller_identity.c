/* SPDX-License-Identifier: Apache-2.0
 *
 * caller_identity.c - proofs of an AWS identity: read, made anew, and who they let in.
 *
 * A presigned URL comes from a stranger, who would like us to call something else.  So nothing of
 * it is passed on but six values, each of a narrow alphabet: the key's public id, a region of our
 * list, date, life, session token and signature.  Host, path, action, method, body and headers are
 * ours.  A parameter more, less, twice or with another value is refused: then the signature would
 * be over something else anyway, and the caller is told what.
 *
 *      GET /?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-...
 *      host: sts.REGION.amazonaws.com
 *      x-weir-server-id: the name of this gateway
 *
 * STS checks the signature over exactly these two headers.  The second is never the caller's: what
 * was presigned for another server has another signature, so it is no use here, and a proof given
 * to us is no use elsewhere.
 *
 * STS names a session of a role as arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION, without the
 * role's path; names of roles are unique in an account, so the path of a role is passed over.
 *
 * Pure: bytes and the time in, values out.
 */
#include "accounts/caller_identity.h"

#include "core/arn.h"
#include "core/check.h"
#include "core/form.h"
#include "core/moment.h"
#include "core/percent.h"

enum {
    KEY_ID_CHARS_MIN = 16,
    KEY_ID_CHARS_MAX = 128,
    TOKEN_CHARS_MAX = 8192,
    CANDIDATES_MAX = 3,
    URL_FIXED_CHARS = 512,
};

#define ALGORITHM      "AWS4-HMAC-SHA256"
#define SIGNED_HEADERS "host;" CALLER_PROOF_SERVER_HEADER

/* ---- reading a proof ---------------------------------------------------------------------- */

enum parameter {
    ACTION,
    VERSION,
    SIGNING,
    CREDENTIAL,
    DATE,
    EXPIRES,
    HEADERS,
    SIGNATURE,
    TOKEN,
    PARAMETER_COUNT,
};

static const struct {
    struct slice name;
    struct slice wanted; /* the only value; empty: it is looked at further on */
} parameters[PARAMETER_COUNT] = {
    [ACTION] = {SLICE_INIT("Action"), SLICE_INIT("GetCallerIdentity")},
    [VERSION] = {SLICE_INIT("Version"), SLICE_INIT("2011-06-15")},
    [SIGNING] = {SLICE_INIT("X-Amz-Algorithm"), SLICE_INIT(ALGORITHM)},
    [CREDENTIAL] = {SLICE_INIT("X-Amz-Credential"), {NULL, 0}},
    [DATE] = {SLICE_INIT("X-Amz-Date"), {NULL, 0}},
    [EXPIRES] = {SLICE_INIT("X-Amz-Expires"), {NULL, 0}},
    [HEADERS] = {SLICE_INIT("X-Amz-SignedHeaders"), SLICE_INIT(SIGNED_HEADERS)},
    [SIGNATURE] = {SLICE_INIT("X-Amz-Signature"), {NULL, 0}},
    [TOKEN] = {SLICE_INIT("X-Amz-Security-Token"), {NULL, 0}},
};

static bool consists_of(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Each parameter once and no other; the session token alone may be missing. */
static enum err read_query(struct slice query, struct arena *arena,
                           struct slice values[static PARAMETER_COUNT], struct err_why *why)
{
    struct form *form = ARENA_NEW(arena, struct form);
    size_t found = 0;

    if (form_read(query, false, arena, form) != ERR_OK) {
        return err_because(ERR_BAD_VALUE, why, "its query cannot be read");
    }
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        const struct slice name = parameters[i].name;

        if (!form_get(form, name, &values[i])) {
            return err_because(ERR_BAD_VALUE, why, "%.*s stands in it twice", SLICE_ARG(name));
        }
        if (values[i].len == 0 && i != TOKEN) {
            return err_because(ERR_BAD_VALUE, why, "%.*s is missing in it", SLICE_ARG(name));
        }
        if (parameters[i].wanted.len > 0 && !slice_eq(values[i], parameters[i].wanted)) {
            return err_because(ERR_BAD_VALUE, why, "%.*s must be %.*s", SLICE_ARG(name),
                               SLICE_ARG(parameters[i].wanted));
        }
        found += values[i].len > 0 ? 1 : 0;
    }
    if (found != form->count) {
        return err_because(ERR_BAD_VALUE, why, "it has a parameter that GetCallerIdentity has not");
    }
    return ERR_OK;
}

/* "https://sts.REGION.amazonaws.com/?" of a region of the list; `query` is what follows. */
static enum err read_address(struct slice url, const struct caller_proof_terms *terms,
                             struct arena *arena, struct caller_proof *proof, struct slice *query,
                             struct err_why *why)
{
    for (size_t i = 0; i < terms->region_count; i++) {
        const struct slice host = caller_proof_host(terms->regions[i], arena);
        const struct slice begin = arena_printf(arena, "https://%.*s/?", SLICE_ARG(host));

        if (slice_has_prefix(url, begin)) {
            proof->region = terms->regions[i];
            *query = slice_from(url, begin.len);
            return ERR_OK;
        }
    }
    return err_because(ERR_BAD_VALUE, why,
                       "it must begin with https://sts.REGION.amazonaws.com/?, of a region that "
                       "this gateway takes");
}

/* "KEY/20261124/REGION/sts/aws4_request" */
static enum err read_scope(struct slice credential, struct caller_proof *proof, struct err_why *why)
{
    struct slice rest = credential;
    struct slice date;
    struct slice region;

    proof->access_key_id = slice_cut(&rest, '/');
    date = slice_cut(&rest, '/');
    region = slice_cut(&rest, '/');
    if (proof->access_key_id.len < KEY_ID_CHARS_MIN ||
        proof->access_key_id.len > KEY_ID_CHARS_MAX ||
        !consists_of(proof->access_key_id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ||
        !slice_eq(date, slice_first(proof->amz_date, 8)) || !slice_eq(region, proof->region) ||
        !slice_eq(rest, SLICE("sts/aws4_request"))) {
        return err_because(ERR_BAD_VALUE, why,
                           "X-Amz-Credential must be KEY/DAY/REGION/sts/aws4_request, of the day "
                           "of X-Amz-Date and the region of the host");
    }
    return ERR_OK;
}

static enum err check_life(const struct caller_proof *proof, const struct caller_proof_terms *terms,
                           struct err_why *why)
{
    uint64_t begin_ms;
    uint64_t life_s;

    if (moment_from_amz(proof->amz_date, &begin_ms) != ERR_OK) {
        return err_because(ERR_BAD_VALUE, why, "X-Amz-Date must be as 20261124T204500Z");
    }
    if (proof->expires.len > 3 || !slice_to_u64(proof->expires, &life_s) || life_s == 0 ||
        life_s > CALLER_PROOF_EXPIRES_S_MAX) {
        return err_because(ERR_BAD_VALUE, why, "X-Amz-Expires must be 1 to %d seconds",
                           CALLER_PROOF_EXPIRES_S_MAX);
    }
    if (begin_ms > terms->now_ms + CALLER_PROOF_AHEAD_MS) {
        return err_because(ERR_BAD_VALUE, why, "it is not valid yet");
    }
    if (terms->now_ms >= begin_ms + MIN_OF(life_s * 1000, terms->age_ms_max)) {
        return err_because(ERR_BAD_VALUE, why, "it has expired");
    }
    return ERR_OK;
}

enum err caller_proof_read(struct slice url, const struct caller_proof_terms *terms,
                           struct arena *arena, struct caller_proof *proof, struct err_why *why)
{
    struct slice values[PARAMETER_COUNT];
    struct slice query;

    *proof = (struct caller_proof){.region = {NULL, 0}};
    if (url.len > CALLER_PROOF_CHARS_MAX) {
        return err_because(ERR_TOO_LARGE, why, "it is over %d characters", CALLER_PROOF_CHARS_MAX);
    }
    TRY(read_address(url, terms, arena, proof, &query, why));
    TRY(read_query(query, arena, values, why));
    proof->amz_date = values[DATE];
    proof->expires = values[EXPIRES];
    proof->session_token = values[TOKEN];
    proof->signature = values[SIGNATURE];
    TRY(read_scope(values[CREDENTIAL], proof, why));
    if (proof->signature.len != DIGEST_HEX_CHARS ||
        !consists_of(proof->signature, "0123456789abcdef")) {
        return err_because(ERR_BAD_VALUE, why, "X-Amz-Signature must be 64 hex digits");
    }
    if (proof->session_token.len > TOKEN_CHARS_MAX ||
        !consists_of(proof->session_token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                           "0123456789+/=-_")) {
        return err_because(ERR_BAD_VALUE, why, "X-Amz-Security-Token is none of AWS");
    }
    return check_life(proof, terms, why);
}

/* ---- the request, made anew --------------------------------------------------------------- */

struct slice caller_proof_host(struct slice region, struct arena *arena)
{
    const char *end = slice_has_prefix(region, SLICE("cn-")) ? ".cn" : "";

    return arena_printf(arena, "sts.%.*s.amazonaws.com%s", SLICE_ARG(region), end);
}

struct slice caller_proof_url(const struct caller_proof *proof, struct slice endpoint,
                              struct arena *arena)
{
    struct slice url;
    struct buf text;

    buf_init(&text,
             endpoint.len + URL_FIXED_CHARS + KEY_ID_CHARS_MAX + 3 * (size_t)TOKEN_CHARS_MAX);
    CHECK(buf_printf(&text,
                     "%.*s/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=" ALGORITHM
                     "&X-Amz-Credential=%.*s%%2F%.*s%%2F%.*s%%2Fsts%%2Faws4_request&X-Amz-Date=%.*s"
                     "&X-Amz-Expires=%.*s&X-Amz-SignedHeaders=host%%3B" CALLER_PROOF_SERVER_HEADER
                     "&X-Amz-Signature=%.*s",
                     SLICE_ARG(endpoint), SLICE_ARG(proof->access_key_id),
                     SLICE_ARG(slice_first(proof->amz_date, 8)), SLICE_ARG(proof->region),
                     SLICE_ARG(proof->amz_date), SLICE_ARG(proof->expires),
                     SLICE_ARG(proof->signature)) == ERR_OK);
    if (proof->session_token.len > 0) {
        CHECK(buf_append(&text, SLICE("&X-Amz-Security-Token=")) == ERR_OK);
        CHECK(percent_encode(proof->session_token, &text) == ERR_OK);
    }
    url = arena_printf(arena, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_clean_up(&text);
    return url;
}

/* ---- whom it lets in ---------------------------------------------------------------------- */

static void write_id(struct slice partition, struct slice account, struct slice kind,
                     struct slice name, char id[static CALLER_IDENTITY_ID_CHARS + 1])
{
    char text[512];
    struct digest digest;
    const int len = snprintf(text, sizeof(text), "%.*s\n%.*s\n%.*s\n%.*s", SLICE_ARG(partition),
                             SLICE_ARG(account), SLICE_ARG(kind), SLICE_ARG(name));

    CHECK(len > 0 && (size_t)len < sizeof(text));
    digest_sha256((struct slice){text, (size_t)len}, &digest);
    memcpy(id, "wi_", 3);
    digest_hex(&digest, id + 3);
    id[CALLER_IDENTITY_ID_CHARS] = '\0';
}

static struct slice behind_last_slash(struct slice text)
{
    while (text.len > 0 && memchr(text.data, '/', text.len) != NULL) {
        (void)slice_cut(&text, '/');
    }
    return text;
}

/* An ARN of AWS's identities in `account`, none of whose parts is so long or odd that it could not
 * be one; `kind` is what stands before the first slash of the resource. */
static bool read_principal(struct slice text, struct slice account, struct arn *arn,
                           struct slice *kind, struct slice *name)
{
    uint64_t number;

    if (text.len > STS_ARN_CHARS_MAX || !arn_split(text, arn) || arn->region.len > 0 ||
        !slice_has_prefix(arn->partition, SLICE("aws")) || account.len != ACCOUNT_ID_CHARS ||
        !slice_eq(arn->account, account) || !slice_to_u64(account, &number) ||
        !consists_of(arn->resource, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789+=,.@_/-:")) {
        return false;
    }
    *name = arn->resource;
    *kind = slice_cut(name, '/');
    return true;
}

bool caller_identity_id(struct slice principal, struct slice account,
                        char id[static CALLER_IDENTITY_ID_CHARS + 1])
{
    struct slice kind;
    struct slice name;
    struct arn arn;

    if (!read_principal(principal, account, &arn, &kind, &name)) {
        return false;
    }
    if (slice_eq(arn.service, SLICE("iam")) && slice_eq(kind, SLICE("role"))) {
        name = behind_last_slash(name);
    } else if (slice_eq(arn.service, SLICE("iam")) && slice_eq(arn.resource, SLICE("root"))) {
        write_id(arn.partition, account, kind, SLICE(""), id);
        return true;
    } else if (slice_eq(arn.service, SLICE("sts")) && slice_eq(kind, SLICE("assumed-role"))) {
        struct slice session = name;

        if (slice_cut(&session, '/').len == 0 || session.len == 0) {
            return false;
        }
    } else if (!slice_eq(arn.service, SLICE("iam")) || !slice_eq(kind, SLICE("user"))) {
        return false;
    }
    write_id(arn.partition, account, kind, name, id);
    return name.len > 0;
}

enum err caller_identity_verify(const struct directory *directory, const struct sts_caller *caller,
                                uint64_t now_ms, struct principal *principal)
{
    const struct slice account_id = slice_of(caller->account);
    const struct account *account = directory_account(directory, account_id);
    char ids[CANDIDATES_MAX][CALLER_IDENTITY_ID_CHARS + 1];
    struct slice kind;
    struct slice name;
    struct arn arn;

    if (!read_principal(slice_of(caller->arn), account_id, &arn, &kind, &name)) {
        return ERR_BAD_CREDENTIAL;
    }
    write_id(arn.partition, account_id, kind, name, ids[0]);
    write_id(arn.partition, account_id, SLICE("role"), slice_cut(&name, '/'), ids[1]);
    write_id(arn.partition, account_id, SLICE("root"), SLICE(""), ids[2]);
    for (size_t i = 0; i < CANDIDATES_MAX; i++) {
        const struct credential *credential = directory_credential(directory, slice_of(ids[i]));

        if ((i != 1 || slice_eq(kind, SLICE("assumed-role"))) && credential != NULL &&
            credential->kind == CREDENTIAL_AWS_IDENTITY &&
            slice_eq(credential->account_id, account_id) &&
            directory_is_live(credential, account, now_ms)) {
            *principal = (struct principal){
                .account = account, .credential = credential, .relays = credential->is_forwarder};
            return ERR_OK;
        }
    }
    return ERR_BAD_CREDENTIAL;
}
