/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_verify.c - deciding whether a request was signed with a key that weir issued.
 *
 * First the head: one Authorization header that can be read, none of the headers twice that must
 * not be, the scope ours, the date near, and everything signed that gives the request its meaning.
 * Then the signature: the canonical request as we see it, under the key of the claimed id.
 *
 * What must be signed: the host, the date, content-type, and every arriving header that begins
 * with "x-amz-" (so x-amz-target and x-amz-security-token).  Whatever is left unsigned, a man in
 * the middle may change; servers that trusted such a header have been robbed that way.  The hyphen
 * counts: x-amzn-trace-id is added by load balancers and never signed.
 *
 * Two answers only, once a header could be read: accepted, or ERR_BAD_SIGNATURE.  An id that we do
 * not know is run through the same work under a secret that nobody has, out of a cache of the same
 * shape, so neither the text nor the time says whether an id exists.
 *
 * Threads: the key cache belongs to one thread; everything else is read only.
 * Memory:  the canonical request lives in the cache's scratch buffer, reused from call to call.
 */
#include "accounts/sigv4_verify.h"

#include <openssl/crypto.h>

#include "core/check.h"
#include "core/moment.h"
#include "core/random.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* ---- derived keys ---- */

enum {
    KEYS_KNOWN = 1024, /* slots for ids of the directory */
    KEYS_UNKNOWN = 64, /* slots for ids made up by callers: they evict only each other */
    KEY_NAME_MAX = 192,
    ACCESS_KEY_CHARS_MAX = 128,
    DUMMY_SECRET_CHARS = 40,
};

struct derived_key {
    char name[KEY_NAME_MAX]; /* "id/date/region/service" */
    size_t name_len;         /* 0: empty slot */
    uint64_t generation;     /* of the directory whose secret it came from */
    struct digest key;
};

struct sigv4_key_cache {
    struct buf scratch;
    char dummy_secret[DUMMY_SECRET_CHARS];
    struct derived_key known[KEYS_KNOWN];
    struct derived_key unknown[KEYS_UNKNOWN];
};

struct sigv4_key_cache *sigv4_key_cache_new(void)
{
    struct sigv4_key_cache *cache = xcalloc(1, sizeof(*cache));

    buf_init(&cache->scratch, SIGV4_CANONICAL_BYTES_MAX);
    random_bytes(cache->dummy_secret, sizeof(cache->dummy_secret));
    return cache;
}

void sigv4_key_cache_destroy(struct sigv4_key_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    buf_clean_up(&cache->scratch);
    OPENSSL_cleanse(cache, sizeof(*cache));
    xfree(cache);
}

/* ---- the Authorization header ---- */

struct authorization {
    struct slice access_key_id;
    struct sigv4_scope scope;
    struct slice signed_headers;
    struct slice signature;
    char amz_date[MOMENT_AMZ_CHARS];
};

static enum err unreadable(const struct sigv4_verify_options *options, const char *text)
{
    return err_because(ERR_INCOMPLETE_SIGNATURE, options->why, "%s", text);
}

/* "id/date/region/service/aws4_request"; the id holds no slash. */
static bool read_credential(struct slice text, struct authorization *out)
{
    struct slice parts[5];
    size_t count = 0;

    while (text.data != NULL && count < ARRAY_LEN(parts)) {
        parts[count++] = slice_cut(&text, '/');
    }
    if (count != ARRAY_LEN(parts) || text.data != NULL || parts[0].len == 0 ||
        parts[0].len > ACCESS_KEY_CHARS_MAX || !slice_eq(parts[4], SLICE("aws4_request"))) {
        return false;
    }
    out->access_key_id = parts[0];
    out->scope = (struct sigv4_scope){.date = parts[1], .region = parts[2], .service = parts[3]};
    return true;
}

/* Take one "Name=value" into its place; each may come once. */
static bool read_member(struct slice member, struct authorization *out)
{
    const struct slice name = slice_cut(&member, '=');

    if (member.len == 0) {
        return false;
    }
    if (slice_eq(name, SLICE("Credential"))) {
        return out->access_key_id.data == NULL && read_credential(member, out);
    }
    if (slice_eq(name, SLICE("SignedHeaders"))) {
        return out->signed_headers.data == NULL && (out->signed_headers = member, true);
    }
    if (slice_eq(name, SLICE("Signature"))) {
        return out->signature.data == NULL && (out->signature = member, true);
    }
    return false;
}

static enum err read_authorization(const struct sigv4_verify_options *options, struct slice value,
                                   struct authorization *out)
{
    struct slice rest = slice_trim(value);
    const struct slice algorithm = slice_cut(&rest, ' ');

    *out = (struct authorization){0};
    if (slice_eq(algorithm, SLICE("AWS4-ECDSA-P256-SHA256"))) {
        return unreadable(options, "AWS4-ECDSA-P256-SHA256 (SigV4a, used with an endpoint id) is "
                                   "not supported: sign with " ALGORITHM);
    }
    if (!slice_eq(algorithm, SLICE(ALGORITHM))) {
        return unreadable(options, "the Authorization header does not begin with " ALGORITHM);
    }
    while (rest.data != NULL) {
        if (!read_member(slice_trim(slice_cut(&rest, ',')), out)) {
            return unreadable(options, "the Authorization header must hold Credential="
                                       "ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders and "
                                       "Signature, each once");
        }
    }
    if (out->access_key_id.len == 0 || out->signed_headers.len == 0 || out->signature.len == 0) {
        return unreadable(options, "the Authorization header lacks Credential, SignedHeaders or "
                                   "Signature");
    }
    return ERR_OK;
}

/* The one Authorization header, or what to say without it. */
static enum err find_authorization(const struct sigv4_verify_options *options,
                                   const struct sigv4_request *request, struct slice *value)
{
    const struct header *found = NULL;
    struct slice query = request->query;

    while (query.data != NULL && query.len > 0) {
        struct slice pair = slice_cut(&query, '&');

        if (slice_eq_ignore_case(slice_cut(&pair, '='), SLICE("X-Amz-Algorithm"))) {
            return unreadable(options, "presigned requests are not accepted: sign with an "
                                       "Authorization header");
        }
    }
    for (size_t i = 0; i < request->header_count; i++) {
        if (!slice_eq_ignore_case(request->headers[i].name, SLICE("authorization"))) {
            continue;
        }
        if (found != NULL) {
            return unreadable(options, "there is more than one Authorization header");
        }
        found = &request->headers[i];
    }
    if (found == NULL) {
        return ERR_MISSING_TOKEN;
    }
    *value = found->value;
    return ERR_OK;
}

/* ---- what the head must hold ---- */

static size_t count_headers(const struct sigv4_request *request, struct slice name)
{
    size_t count = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        count += slice_eq_ignore_case(request->headers[i].name, name);
    }
    return count;
}

/* Headers of which two would mean two things to two readers. */
static bool has_forbidden_repeats(const struct sigv4_request *request)
{
    static const struct slice names[] = {
        SLICE_INIT("host"),
        SLICE_INIT("date"),
        SLICE_INIT("x-amz-date"),
        SLICE_INIT("content-length"),
        SLICE_INIT("content-type"),
        SLICE_INIT("x-amz-target"),
        SLICE_INIT("x-amz-security-token"),
        SLICE_INIT("x-amz-content-sha256"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (count_headers(request, names[i]) > 1) {
            return true;
        }
    }
    return false;
}

static bool is_signed(struct slice signed_headers, struct slice name)
{
    while (signed_headers.data != NULL) {
        if (slice_eq_ignore_case(slice_cut(&signed_headers, ';'), name)) {
            return true;
        }
    }
    return false;
}

/* A list of sane length: everything below searches it for each header. */
static bool is_short_list(struct slice signed_headers)
{
    size_t count = 1;

    for (size_t i = 0; i < signed_headers.len; i++) {
        count += signed_headers.data[i] == ';';
    }
    return count <= SIGV4_SIGNED_HEADERS_MAX;
}

static bool must_be_signed(struct slice name)
{
    return slice_eq_ignore_case(slice_first(name, 6), SLICE("x-amz-")) ||
           slice_eq_ignore_case(name, SLICE("content-type")) ||
           slice_eq_ignore_case(name, SLICE("host"));
}

static bool signs_enough(const struct sigv4_request *request, struct slice signed_headers)
{
    const bool signs_host = is_signed(signed_headers, SLICE("host"));
    const bool signs_authority = is_signed(signed_headers, SLICE(":authority"));

    if (!signs_host && !(signs_authority && request->is_http2)) {
        return false;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const struct slice name = request->headers[i].name;

        if (must_be_signed(name) && !is_signed(signed_headers, name) &&
            !(signs_authority && slice_eq_ignore_case(name, SLICE("host")))) {
            return false;
        }
    }
    return true;
}

/* A host header beside another :authority would leave one of the two unsigned. */
static bool names_one_host(const struct sigv4_request *request)
{
    const struct header *host = header_find(request->headers, request->header_count, SLICE("host"));

    if (host == NULL) {
        return request->authority.len > 0;
    }
    return request->authority.len == 0 ||
           slice_eq_ignore_case(slice_trim(host->value), request->authority);
}

/* The signed date: x-amz-date, or the date header where that is missing. */
static bool read_date(const struct sigv4_request *request, struct authorization *out,
                      uint64_t *date_ms)
{
    struct slice name = SLICE("x-amz-date");
    const struct header *found = header_find(request->headers, request->header_count, name);
    struct slice value;

    if (found == NULL) {
        name = SLICE("date");
        found = header_find(request->headers, request->header_count, name);
    }
    if (found == NULL || !is_signed(out->signed_headers, name)) {
        return false;
    }
    value = slice_trim(found->value);
    if (value.len == MOMENT_AMZ_CHARS) {
        memcpy(out->amz_date, value.data, MOMENT_AMZ_CHARS);
    } else if (slice_eq(name, SLICE("x-amz-date")) ||
               sigv4_date_from_http(value, out->amz_date) != ERR_OK) {
        return false;
    }
    return moment_from_amz((struct slice){out->amz_date, MOMENT_AMZ_CHARS}, date_ms) == ERR_OK;
}

static bool is_in_scope(const struct sigv4_verify_options *options,
                        const struct authorization *auth)
{
    return slice_eq(auth->scope.region, options->region) &&
           slice_eq(auth->scope.service, options->service) &&
           slice_eq(auth->scope.date, (struct slice){auth->amz_date, 8});
}

static bool is_in_time(const struct sigv4_verify_options *options, uint64_t date_ms)
{
    const uint64_t off =
        date_ms > options->now_ms ? date_ms - options->now_ms : options->now_ms - date_ms;

    return off <= options->skew_max_ms;
}

static enum err check_head(const struct sigv4_verify_options *options,
                           const struct sigv4_request *request, struct authorization *auth)
{
    const struct header *declared =
        header_find(request->headers, request->header_count, SLICE("x-amz-content-sha256"));
    struct slice value = {NULL, 0};
    uint8_t digest[DIGEST_BYTES];
    uint64_t date_ms;

    TRY(find_authorization(options, request, &value));
    TRY(read_authorization(options, value, auth));
    /* UNSIGNED-PAYLOAD and STREAMING-... are no digests either. */
    if (!is_short_list(auth->signed_headers) || has_forbidden_repeats(request) ||
        !names_one_host(request) || !signs_enough(request, auth->signed_headers) ||
        !read_date(request, auth, &date_ms) || !is_in_scope(options, auth) ||
        !is_in_time(options, date_ms) ||
        (declared != NULL &&
         !digest_from_hex(slice_trim(declared->value), digest, sizeof(digest)))) {
        return ERR_BAD_SIGNATURE;
    }
    return ERR_OK;
}

enum err sigv4_check_head(const struct sigv4_verify_options *options,
                          const struct sigv4_request *request)
{
    struct authorization auth;

    return check_head(options, request, &auth);
}

/* ---- the signature ---- */

/* The signing key of `credential`, or for NULL one that nobody can have used. */
static enum err signing_key(const struct sigv4_verify_options *options,
                            const struct authorization *auth, const struct credential *credential,
                            struct digest *key)
{
    struct sigv4_key_cache *cache = options->keys;
    char name[KEY_NAME_MAX];
    const int len = snprintf(name, sizeof(name), "%.*s/%.*s/%.*s/%.*s",
                             SLICE_ARG(auth->access_key_id), SLICE_ARG(auth->scope.date),
                             SLICE_ARG(auth->scope.region), SLICE_ARG(auth->scope.service));
    const struct slice text = {name, (size_t)len};
    const struct slice dummy = {cache->dummy_secret, sizeof(cache->dummy_secret)};
    struct derived_key *slot;

    if (len < 0 || (size_t)len >= sizeof(name)) {
        return ERR_BAD_SIGNATURE;
    }
    slot = credential != NULL ? &cache->known[map_hash(text) % KEYS_KNOWN]
                              : &cache->unknown[map_hash(text) % KEYS_UNKNOWN];
    if (slot->generation != options->directory->generation ||
        !slice_eq((struct slice){slot->name, slot->name_len}, text)) {
        sigv4_signing_key(credential != NULL ? credential->secret : dummy, &auth->scope,
                          &slot->key);
        memcpy(slot->name, name, text.len);
        slot->name_len = text.len;
        slot->generation = options->directory->generation;
    }
    *key = slot->key;
    return ERR_OK;
}

/* Does the signature fit the request, if it was made under `credential`? */
static bool fits(const struct sigv4_verify_options *options, const struct sigv4_request *request,
                 const struct authorization *auth, const struct credential *credential)
{
    struct buf *scratch = &options->keys->scratch;
    char expected[DIGEST_HEX_CHARS];
    struct digest key;
    size_t canonical_len;

    buf_clear(scratch);
    if (signing_key(options, auth, credential, &key) != ERR_OK ||
        sigv4_canonical_request(request, auth->signed_headers, true, scratch) != ERR_OK) {
        return false;
    }
    canonical_len = scratch->len;
    /* Safe on one buffer: the first text is hashed before the second is written behind it. */
    if (sigv4_string_to_sign(slice_first(buf_slice(scratch), canonical_len),
                             (struct slice){auth->amz_date, MOMENT_AMZ_CHARS}, &auth->scope,
                             scratch) != ERR_OK) {
        return false;
    }
    sigv4_signature(&key, slice_from(buf_slice(scratch), canonical_len), expected);
    OPENSSL_cleanse(&key, sizeof(key));
    return digest_equal(auth->signature, (struct slice){expected, sizeof(expected)});
}

static bool body_is_declared(const struct sigv4_request *request)
{
    const struct header *declared =
        header_find(request->headers, request->header_count, SLICE("x-amz-content-sha256"));
    char hex[DIGEST_HEX_CHARS];

    if (declared == NULL) {
        return true;
    }
    digest_hex(&request->body_digest, hex);
    return slice_eq(slice_trim(declared->value), (struct slice){hex, sizeof(hex)});
}

static bool is_live(const struct credential *credential, const struct account *account,
                    uint64_t now_ms)
{
    return account != NULL && !account->is_suspended &&
           (credential->expires_ms == 0 || now_ms < credential->expires_ms);
}

static void fill_principal(const struct sigv4_request *request, const struct authorization *auth,
                           struct principal *principal)
{
    const struct slice name = SLICE("amz-sdk-invocation-id");
    const struct slice id = slice_trim(header_value(request->headers, request->header_count, name));

    memcpy(principal->signature, auth->signature.data, PRINCIPAL_SIGNATURE_CHARS);
    principal->has_signature = true;
    if (id.len <= PRINCIPAL_INVOCATION_CHARS_MAX && count_headers(request, name) == 1) {
        principal->invocation_id = id;
        principal->invocation_is_signed = is_signed(auth->signed_headers, name);
    }
}

enum err sigv4_verify(const struct sigv4_verify_options *options,
                      const struct sigv4_request *request, struct principal *principal)
{
    const struct credential *credential;
    const struct account *account;
    struct authorization auth;
    bool is_fitting;

    TRY(check_head(options, request, &auth));
    credential = directory_credential(options->directory, auth.access_key_id);
    if (credential != NULL && credential->kind != CREDENTIAL_SIGV4) {
        credential = NULL;
    }
    is_fitting = fits(options, request, &auth, credential);
    if (!is_fitting || credential == NULL || !body_is_declared(request)) {
        return ERR_BAD_SIGNATURE;
    }
    account = directory_account(options->directory, credential->account_id);
    /* weir gives out no session tokens, so one that came along was made for somebody else. */
    if (!is_live(credential, account, options->now_ms) ||
        count_headers(request, SLICE("x-amz-security-token")) > 0) {
        return ERR_BAD_SIGNATURE;
    }
    *principal = (struct principal){
        .account = account, .credential = credential, .relays = credential->is_forwarder};
    fill_principal(request, &auth, principal);
    return ERR_OK;
}
