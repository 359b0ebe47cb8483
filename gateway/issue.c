/* SPDX-License-Identifier: Apache-2.0
 *
 * issue.c - making credentials of every kind.
 *
 * A SigV4 secret must be known in the clear to check a signature, so it is stored sealed under the
 * seal key and bound to its account and id.  All other secrets are only ever compared, so a keyed
 * hash is enough.
 */
#include "gateway/issue.h"

#include <openssl/crypto.h>

#include "accounts/api_key.h"
#include "accounts/caller_identity.h"
#include "accounts/http_caller.h"
#include "accounts/secret.h"
#include "core/base64.h"
#include "core/check.h"
#include "core/json_write.h"
#include "core/moment.h"
#include "core/random.h"
#include "gateway/admin_access.h"

enum { ACCESS_KEY_ID_CHARS = 20, SECRET_KEY_BYTES = 30, SECRET_KEY_CHARS = 40 };

/* "WEIR" and 16 characters of base32: the form that SDKs expect of an access key id. */
static void make_access_key_id(char id[static ACCESS_KEY_ID_CHARS + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t bytes[ACCESS_KEY_ID_CHARS - 4];

    random_bytes(bytes, sizeof(bytes));
    memcpy(id, "WEIR", 4);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        id[4 + i] = alphabet[bytes[i] & 31];
    }
    id[ACCESS_KEY_ID_CHARS] = '\0';
}

static json_t *common_document(const struct issue_options *options, const char *id)
{
    json_t *document = json_pack(
        "{s:s, s:s%, s:s%, s:I, s:I, s:b, s:s%}", "id", id, "account", options->account.data,
        options->account.len, "kind", options->kind.data, options->kind.len, "created_ms",
        (json_int_t)options->now_ms, "expires_ms", (json_int_t)options->expires_ms, "forwarder",
        options->is_forwarder ? 1 : 0, "manager", options->manager.data, options->manager.len);

    CHECK(document != NULL);
    if (options->is_operator) {
        json_object_set_new(document, "operator", json_true());
    }
    return document;
}

static void show_common(struct json_writer *writer, const struct issue_options *options,
                        const char *id)
{
    char expires[MOMENT_ISO_CHARS];

    json_write_key_string(writer, SLICE("credential"), slice_of(id));
    json_write_key_string(writer, SLICE("account"), options->account);
    json_write_key_string(writer, SLICE("kind"), options->kind);
    json_write_key(writer, SLICE("expires"));
    if (options->expires_ms == 0) {
        json_write_null(writer);
    } else {
        moment_to_iso(options->expires_ms, expires);
        json_write_string(writer, (struct slice){expires, sizeof(expires)});
    }
}

static enum err seal_secret(const struct issue_options *options, const char *id,
                            struct slice secret, json_t *document)
{
    struct buf context;
    struct buf sealed;
    struct buf text;
    enum err err;

    buf_init(&context, 256);
    buf_init(&sealed, 256);
    buf_init(&text, 512);
    err = buf_printf(&context, "%.*s/%s", SLICE_ARG(options->account), id);
    if (err == ERR_OK) {
        err = seal_close(options->seal_key, buf_slice(&context), secret, &sealed);
    }
    if (err == ERR_OK) {
        err = base64_encode(buf_slice(&sealed), &text);
    }
    if (err == ERR_OK) {
        json_object_set_new(document, "sealed", json_stringn(text.data, text.len));
    }
    buf_clean_up(&context);
    buf_clean_up(&sealed);
    buf_clean_up(&text);
    return err;
}

static enum err issue_sigv4(const struct issue_options *options, json_t **document,
                            struct buf *shown)
{
    char id[ACCESS_KEY_ID_CHARS + 1];
    uint8_t bytes[SECRET_KEY_BYTES];
    struct json_writer writer;
    struct buf secret;
    enum err err;

    make_access_key_id(id);
    random_bytes(bytes, sizeof(bytes));
    buf_init(&secret, SECRET_KEY_CHARS);
    err = base64_encode((struct slice){(const char *)bytes, sizeof(bytes)}, &secret);
    *document = common_document(options, id);
    if (err == ERR_OK) {
        err = seal_secret(options, id, buf_slice(&secret), *document);
    }
    if (err == ERR_OK) {
        json_write_begin(&writer, shown);
        json_write_object_begin(&writer);
        show_common(&writer, options, id);
        json_write_key_string(&writer, SLICE("access_key_id"), slice_of(id));
        json_write_key_string(&writer, SLICE("secret_access_key"), buf_slice(&secret));
        json_write_object_end(&writer);
        err = json_write_end(&writer);
    }
    buf_wipe(&secret);
    return err;
}

/* A user with a password, or a client with a secret. */
static enum err issue_secret(const struct issue_options *options, enum credential_kind kind,
                             json_t **document, struct buf *shown)
{
    const bool is_basic = kind == CREDENTIAL_BASIC;
    char hex[DIGEST_HEX_CHARS];
    uint8_t pepper[SEAL_KEY_BYTES];
    struct digest hash;
    struct json_writer writer;
    struct buf secret;
    char id[SECRET_ID_ROOM];
    enum err err;

    directory_derive_pepper(options->seal_key, pepper);
    buf_init(&secret, 128);
    err = secret_issue(pepper, kind, id, &secret, &hash);
    if (err == ERR_OK) {
        *document = common_document(options, id);
        digest_hex(&hash, hex);
        json_object_set_new(*document, "hash", json_stringn(hex, sizeof(hex)));
        json_write_begin(&writer, shown);
        json_write_object_begin(&writer);
        show_common(&writer, options, id);
        json_write_key_string(&writer, is_basic ? SLICE("user") : SLICE("client_id"), slice_of(id));
        json_write_key_string(&writer, is_basic ? SLICE("password") : SLICE("client_secret"),
                              buf_slice(&secret));
        json_write_object_end(&writer);
        err = json_write_end(&writer);
    }
    buf_wipe(&secret);
    OPENSSL_cleanse(pepper, sizeof(pepper));
    return err;
}

/* What else is kept and shown of a key: where it is to be sent, or what a token is good for. */
static void describe_key(const struct issue_options *options, json_t *document,
                         struct json_writer *writer, bool is_token)
{
    const struct slice header = options->header.len > 0 ? options->header : SLICE("x-api-key");
    const struct slice name = is_token ? SLICE("role") : SLICE("header");
    const struct slice value = is_token ? options->role : header;

    json_object_setn_new(document, name.data, name.len, json_stringn(value.data, value.len));
    json_write_key_string(writer, name, value);
}

static enum err issue_key(const struct issue_options *options, bool is_token, json_t **document,
                          struct buf *shown)
{
    char hex[DIGEST_HEX_CHARS];
    uint8_t pepper[SEAL_KEY_BYTES];
    struct digest hash;
    struct json_writer writer;
    struct buf key;
    char id[24];
    enum err err;

    directory_derive_pepper(options->seal_key, pepper);
    buf_init(&key, 128);
    err = api_key_issue(pepper, is_token ? API_KEY_TOKEN_PREFIX : API_KEY_PREFIX, id, &key, &hash);
    if (err == ERR_OK) {
        *document = common_document(options, id);
        digest_hex(&hash, hex);
        json_object_set_new(*document, "hash", json_stringn(hex, sizeof(hex)));
        json_write_begin(&writer, shown);
        json_write_object_begin(&writer);
        show_common(&writer, options, id);
        describe_key(options, *document, &writer, is_token);
        json_write_key_string(&writer, is_token ? SLICE("token") : SLICE("key"), buf_slice(&key));
        json_write_object_end(&writer);
        err = json_write_end(&writer);
    }
    buf_wipe(&key);
    OPENSSL_cleanse(pepper, sizeof(pepper));
    return err;
}

/* The credential is named by the key it is bound to, so one key is bound once. */
static enum err issue_certificate(const struct issue_options *options, json_t **document,
                                  struct buf *shown)
{
    char id[HTTP_CALLER_PIN_ID_CHARS + 1];
    struct json_writer writer;
    struct digest pin;

    CHECK(digest_from_hex(options->pin, pin.bytes, DIGEST_BYTES));
    http_caller_pin_id(&pin, id);
    *document = common_document(options, id);
    json_write_begin(&writer, shown);
    json_write_object_begin(&writer);
    show_common(&writer, options, id);
    json_write_key_string(&writer, SLICE("pin"), slice_from(slice_of(id), 3));
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

/* Named by the principal, so one principal is let in once. */
static enum err issue_identity(const struct issue_options *options, json_t **document,
                               struct buf *shown, struct err_why *why)
{
    char id[CALLER_IDENTITY_ID_CHARS + 1];
    struct json_writer writer;

    if (!caller_identity_id(options->principal, options->account, id)) {
        return err_because(ERR_BAD_REQUEST, why,
                           "principal: must be arn:aws:iam::%.*s:role/NAME, :user/NAME or :root, "
                           "or arn:aws:sts::%.*s:assumed-role/NAME/SESSION",
                           SLICE_ARG(options->account), SLICE_ARG(options->account));
    }
    *document = common_document(options, id);
    json_object_set_new(*document, "principal",
                        json_stringn(options->principal.data, options->principal.len));
    json_write_begin(&writer, shown);
    json_write_object_begin(&writer);
    show_common(&writer, options, id);
    json_write_key_string(&writer, SLICE("principal"), options->principal);
    json_write_object_end(&writer);
    return json_write_end(&writer);
}

static bool is_pin(struct slice text)
{
    struct digest pin;

    return digest_from_hex(text, pin.bytes, DIGEST_BYTES);
}

/* A header that nothing else of HTTP or of the SigV4 path uses. */
static bool is_free_header(struct slice name)
{
    static const struct slice taken[] = {
        SLICE_INIT("host"),          SLICE_INIT("content-length"), SLICE_INIT("content-type"),
        SLICE_INIT("authorization"), SLICE_INIT("connection"),     SLICE_INIT("transfer-encoding"),
        SLICE_INIT("user-agent"),    SLICE_INIT("cookie"),
    };
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        if (slice_eq(name, taken[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] == '\0' || strchr(allowed, name.data[i]) == NULL) {
            return false;
        }
    }
    return name.len <= 64;
}

/* Nothing was asked for that is another kind's. */
static enum err check_options(const struct issue_options *options, struct err_why *why)
{
    const bool is_token = slice_eq(options->kind, SLICE("operator"));

    if (is_token ? admin_role_rights(options->role) == 0 : options->role.len > 0) {
        return err_because(ERR_BAD_REQUEST, why,
                           is_token ? "role: must be viewer, payload-viewer, account-admin or "
                                      "operator"
                                    : "role: is for credentials of kind operator");
    }
    if (is_token && options->is_forwarder) {
        return err_because(ERR_BAD_REQUEST, why, "forwarder: a token sends no events");
    }
    if (options->is_operator && !slice_eq(options->kind, SLICE("sigv4"))) {
        return err_because(ERR_BAD_REQUEST, why, "operator: is for credentials of kind sigv4");
    }
    if (options->principal.len > 0 && !slice_eq(options->kind, SLICE("aws-identity"))) {
        return err_because(ERR_BAD_REQUEST, why,
                           "principal: is for credentials of kind aws-identity");
    }
    if (options->header.len > 0 && !slice_eq(options->kind, SLICE("api-key"))) {
        return err_because(ERR_BAD_REQUEST, why, "header: is for credentials of kind api-key");
    }
    if (!is_free_header(options->header)) {
        return err_because(ERR_BAD_REQUEST, why,
                           "header: must be a lower-case header name that HTTP does not use");
    }
    return ERR_OK;
}

enum err issue_credential(const struct issue_options *options, json_t **document, struct buf *shown,
                          struct err_why *why)
{
    enum err err;

    *document = NULL;
    TRY(check_options(options, why));
    if (slice_eq(options->kind, SLICE("sigv4"))) {
        err = issue_sigv4(options, document, shown);
    } else if (slice_eq(options->kind, SLICE("api-key"))) {
        err = issue_key(options, false, document, shown);
    } else if (slice_eq(options->kind, SLICE("operator"))) {
        err = issue_key(options, true, document, shown);
    } else if (slice_eq(options->kind, SLICE("basic"))) {
        err = issue_secret(options, CREDENTIAL_BASIC, document, shown);
    } else if (slice_eq(options->kind, SLICE("oauth"))) {
        err = issue_secret(options, CREDENTIAL_OAUTH, document, shown);
    } else if (slice_eq(options->kind, SLICE("aws-identity"))) {
        err = issue_identity(options, document, shown, why);
    } else if (!slice_eq(options->kind, SLICE("certificate"))) {
        return err_because(ERR_BAD_REQUEST, why,
                           "kind: must be sigv4, api-key, basic, oauth, certificate, aws-identity "
                           "or operator");
    } else if (!is_pin(options->pin)) {
        return err_because(ERR_BAD_REQUEST, why,
                           "pin: must be the SHA-256 of the certificate's public key, in hex");
    } else {
        err = issue_certificate(options, document, shown);
    }
    if (err != ERR_OK) {
        json_decref(*document);
        *document = NULL;
    }
    return err;
}
