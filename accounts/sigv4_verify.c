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
    char name[KEY_NAME_MAX]; /* "id date region service " */
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

/* ---- the headers that matter here, sorted out in one pass ---- */

enum kind {
    KIND_HOST,
    KIND_DATE,
    KIND_AMZ_DATE,
    KIND_CONTENT_LENGTH,
    KIND_CONTENT_TYPE,
    KIND_TARGET,
    KIND_TOKEN,
    KIND_BODY_HASH,
    KINDS_ONCE, /* those before: two of one would mean two things to two readers */
    KIND_AUTHORIZATION = KINDS_ONCE,
    KIND_INVOCATION,
    KIND_COUNT
};

static const struct slice kind_names[KIND_COUNT] = {
    [KIND_HOST] = SLICE_INIT("host"),
    [KIND_DATE] = SLICE_INIT("date"),
    [KIND_AMZ_DATE] = SLICE_INIT("x-amz-date"),
    [KIND_CONTENT_LENGTH] = SLICE_INIT("content-length"),
    [KIND_CONTENT_TYPE] = SLICE_INIT("content-type"),
    [KIND_TARGET] = SLICE_INIT("x-amz-target"),
    [KIND_TOKEN] = SLICE_INIT("x-amz-security-token"),
    [KIND_BODY_HASH] = SLICE_INIT("x-amz-content-sha256"),
    [KIND_AUTHORIZATION] = SLICE_INIT("authorization"),
    [KIND_INVOCATION] = SLICE_INIT("amz-sdk-invocation-id"),
};

struct head {
    const struct header *first[KIND_COUNT]; /* NULL: none */
    size_t count[KIND_COUNT];
};

static void sort_headers(const struct sigv4_request *request, struct head *head)
{
    *head = (struct head){0};
    for (size_t i = 0; i < request->header_count; i++) {
        const struct header *header = &request->headers[i];

        for (size_t kind = 0; kind < KIND_COUNT; kind++) {
            if (header->name.len == kind_names[kind].len &&
                slice_eq_ignore_case(header->name, kind_names[kind])) {
                if (head->count[kind]++ == 0) {
                    head->first[kind] = header;
                }
                break;
            }
        }
    }
}

static struct slice value_of(const struct head *head, enum kind kind)
{
    return head->first[kind] != NULL ? slice_trim(head->first[kind]->value)
                                     : (struct slice){NULL, 0};
}

static bool has_forbidden_repeats(const struct head *head)
{
    for (size_t kind = 0; kind < KINDS_ONCE; kind++) {
        if (head->count[kind] > 1) {
            return true;
        }
    }
    return false;
}

/* ---- the Authorization header ---- */

struct authorization {
    struct head head;
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

/* Is the one credential an Authorization header? */
static enum err check_credential_place(const struct sigv4_verify_options *options,
                                       const struct sigv4_request *request, const struct head *head)
{
    struct slice query = request->query;

    while (query.data != NULL && query.len > 0) {
        struct slice pair = slice_cut(&query, '&');

        if (slice_eq_ignore_case(slice_cut(&pair, '='), SLICE("X-Amz-Algorithm"))) {
            return unreadable(options, "presigned requests are not accepted: sign with an "
                                       "Authorization header");
        }
    }
    if (head->count[KIND_AUTHORIZATION] > 1) {
        return unreadable(options, "there is more than one Authorization header");
    }
    return head->count[KIND_AUTHORIZATION] == 1 ? ERR_OK : ERR_MISSING_TOKEN;
}

/* ---- what the head must hold ---- */

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

static bool is_amz_header(struct slice name)
{
    return (slice_has_prefix(name, SLICE("x")) || slice_has_prefix(name, SLICE("X"))) &&
           slice_eq_ignore_case(slice_first(name, 6), SLICE("x-amz-"));
}

/* The host under one of its names (names_one_host() holds them together), the content type, and
 * all of x-amz-*; the date is looked at where it is read. */
static bool signs_enough(const struct sigv4_request *request, const struct authorization *auth)
{
    const struct slice list = auth->signed_headers;

    if (!is_signed(list, SLICE("host")) &&
        !(request->is_http2 && is_signed(list, SLICE(":authority")))) {
        return false;
    }
    if (auth->head.count[KIND_CONTENT_TYPE] > 0 &&
        !is_signed(list, kind_names[KIND_CONTENT_TYPE])) {
        return false;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const struct slice name = request->headers[i].name;

        if (is_amz_header(name) && !is_signed(list, name)) {
            return false;
        }
    }
    return true;
}

/* A host header beside another :authority would leave one of the two unsigned. */
static bool names_one_host(const struct sigv4_request *request, const struct head *head)
{
    if (head->count[KIND_HOST] == 0) {
        return request->authority.len > 0;
    }
    return request->authority.len == 0 ||
           slice_eq_ignore_case(value_of(head, KIND_HOST), request->authority);
}

/* The signed date: x-amz-date, or the date header where that is missing. */
static bool read_date(struct authorization *auth, uint64_t *date_ms)
{
    const enum kind kind = auth->head.count[KIND_AMZ_DATE] > 0 ? KIND_AMZ_DATE : KIND_DATE;
    const struct slice value = value_of(&auth->head, kind);

    if (!is_signed(auth->signed_headers, kind_names[kind])) {
        return false;
    }
    if (value.len == MOMENT_AMZ_CHARS) {
        memcpy(auth->amz_date, value.data, MOMENT_AMZ_CHARS);
    } else if (kind == KIND_AMZ_DATE || sigv4_date_from_http(value, auth->amz_date) != ERR_OK) {
        return false;
    }
    return moment_from_amz((struct slice){auth->amz_date, MOMENT_AMZ_CHARS}, date_ms) == ERR_OK;
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

/* UNSIGNED-PAYLOAD and STREAMING-... are no digests. */
static bool declares_a_digest(const struct head *head)
{
    uint8_t digest[DIGEST_BYTES];

    return head->count[KIND_BODY_HASH] == 0 ||
           digest_from_hex(value_of(head, KIND_BODY_HASH), digest, sizeof(digest));
}

static enum err check_head(const struct sigv4_verify_options *options,
                           const struct sigv4_request *request, struct authorization *auth)
{
    uint64_t date_ms;

    *auth = (struct authorization){0};
    sort_headers(request, &auth->head);
    TRY(check_credential_place(options, request, &auth->head));
    TRY(read_authorization(options, value_of(&auth->head, KIND_AUTHORIZATION), auth));
    if (!is_short_list(auth->signed_headers) || has_forbidden_repeats(&auth->head) ||
        !names_one_host(request, &auth->head) || !signs_enough(request, auth) ||
        !read_date(auth, &date_ms) || !is_in_scope(options, auth) ||
        !is_in_time(options, date_ms) || !declares_a_digest(&auth->head)) {
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

/* "id date region service ", or 0 when it is too long. */
static size_t write_key_name(const struct authorization *auth, char name[static KEY_NAME_MAX])
{
    const struct slice parts[] = {auth->access_key_id, auth->scope.date, auth->scope.region,
                                  auth->scope.service};
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i].len >= KEY_NAME_MAX - len) {
            return 0;
        }
        memcpy(name + len, parts[i].data, parts[i].len);
        len += parts[i].len;
        name[len++] = ' ';
    }
    return len;
}

/* The signing key of `credential`, or for NULL one that nobody can have used. */
static enum err signing_key(const struct sigv4_verify_options *options,
                            const struct authorization *auth, const struct credential *credential,
                            struct digest *key)
{
    struct sigv4_key_cache *cache = options->keys;
    char text[KEY_NAME_MAX];
    const struct slice name = {text, write_key_name(auth, text)};
    const struct slice dummy = {cache->dummy_secret, sizeof(cache->dummy_secret)};
    struct derived_key *slot;

    if (name.len == 0) {
        return ERR_BAD_SIGNATURE;
    }
    slot = credential != NULL ? &cache->known[map_hash(name) % KEYS_KNOWN]
                              : &cache->unknown[map_hash(name) % KEYS_UNKNOWN];
    if (slot->generation != options->directory->generation ||
        !slice_eq((struct slice){slot->name, slot->name_len}, name)) {
        sigv4_signing_key(credential != NULL ? credential->secret : dummy, &auth->scope,
                          &slot->key);
        memcpy(slot->name, name.data, name.len);
        slot->name_len = name.len;
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

static bool body_is_declared(const struct sigv4_request *request, const struct head *head)
{
    char hex[DIGEST_HEX_CHARS];

    if (head->count[KIND_BODY_HASH] == 0) {
        return true;
    }
    digest_hex(&request->body_digest, hex);
    return slice_eq(value_of(head, KIND_BODY_HASH), (struct slice){hex, sizeof(hex)});
}

static void fill_principal(const struct authorization *auth, struct principal *principal)
{
    const struct slice id = value_of(&auth->head, KIND_INVOCATION);

    memcpy(principal->signature, auth->signature.data, PRINCIPAL_SIGNATURE_CHARS);
    principal->has_signature = true;
    if (id.len <= PRINCIPAL_INVOCATION_CHARS_MAX && auth->head.count[KIND_INVOCATION] == 1) {
        principal->invocation_id = id;
        principal->invocation_is_signed =
            is_signed(auth->signed_headers, kind_names[KIND_INVOCATION]);
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
    if (!is_fitting || credential == NULL || !body_is_declared(request, &auth.head)) {
        return ERR_BAD_SIGNATURE;
    }
    account = directory_account(options->directory, credential->account_id);
    /* weir gives out no session tokens, so one that came along was made for somebody else. */
    if (!directory_is_live(credential, account, options->now_ms) ||
        auth.head.count[KIND_TOKEN] > 0) {
        return ERR_BAD_SIGNATURE;
    }
    *principal = (struct principal){
        .account = account, .credential = credential, .relays = credential->is_forwarder};
    fill_principal(&auth, principal);
    return ERR_OK;
}
