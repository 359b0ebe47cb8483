/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_access.c - Host, Origin, token, role.
 *
 * Over TCP every request must name this listener in its Host (a page in a browser that resolves its
 * own name to 127.0.0.1 sends another), a browser's Origin must be it too, and a bearer token says
 * who speaks.  One token is the first operator's and lies in a file; the others were issued for a
 * role, and the catalog holds a keyed hash of each.  A unix socket is guarded by its mode and is
 * the operator's.
 *
 * Denied is the default: rights are only ever added, from the one table of roles, and a role that
 * this version does not know has none.  Unknown, wrong, expired and revoked are one answer, and the
 * same work: one hash, one comparison.
 *
 * Time: the caller's.  Memory: borrows; the catalog is the control thread's, as this is.
 */
#include "gateway/admin_access.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <unistd.h>

#include "accounts/api_key.h"
#include "core/file.h"
#include "core/random.h"

enum { TOKEN_BYTES = 32, TOKEN_CHARS_MIN = 32, TOKEN_CHARS_MAX = 128 };

/* ---- rights ------------------------------------------------------------------------------- */

static const struct {
    struct slice role;
    unsigned rights;
} roles[] = {
    {SLICE_INIT("viewer"), ADMIN_RIGHT_READ},
    {SLICE_INIT("payload-viewer"), ADMIN_RIGHT_READ | ADMIN_RIGHT_PAYLOAD},
    {SLICE_INIT("account-admin"), ADMIN_RIGHT_READ | ADMIN_RIGHT_ACCOUNTS},
    {SLICE_INIT("operator"),
     ADMIN_RIGHT_READ | ADMIN_RIGHT_PAYLOAD | ADMIN_RIGHT_ACCOUNTS | ADMIN_RIGHT_OPERATE},
};

unsigned admin_role_rights(struct slice role)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (slice_eq(role, roles[i].role)) {
            return roles[i].rights;
        }
    }
    return 0;
}

bool admin_may(const struct admin_caller *caller, enum admin_right right)
{
    return (caller->rights & (unsigned)right) == (unsigned)right;
}

static void become(struct admin_caller *caller, struct slice name, struct slice role)
{
    caller->rights = admin_role_rights(role);
    (void)snprintf(caller->name, sizeof(caller->name), "%.*s", SLICE_ARG(name));
}

/* ---- Host and Origin ---------------------------------------------------------------------- */

/* A name of loopback, or the host that the configuration names, with the port of this listener. */
static bool is_own_name(const struct admin_access *access, struct slice name)
{
    const struct slice address = access->address;
    size_t colon = address.len;

    while (colon > 0 && address.data[colon - 1] != ':') {
        colon--;
    }
    const struct slice hosts[] = {SLICE("localhost"), SLICE("127.0.0.1"), SLICE("[::1]"),
                                  slice_first(address, colon > 0 ? colon - 1 : 0)};

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct slice port = slice_from(name, hosts[i].len);

        if (slice_has_prefix(name, hosts[i]) && port.len > 0 && port.data[0] == ':' &&
            slice_eq(slice_from(port, 1), slice_from(address, colon))) {
            return true;
        }
    }
    return false;
}

static bool has_fitting_origin(const struct admin_access *access, const struct request *request)
{
    const struct slice origin = request_header(request, SLICE("origin"));
    const struct slice scheme = SLICE("http://");

    return origin.len == 0 || (slice_has_prefix(origin, scheme) &&
                               is_own_name(access, slice_from(origin, scheme.len)));
}

/* ---- tokens ------------------------------------------------------------------------------- */

static bool is_live(const struct catalog *catalog, const struct config *config,
                    const json_t *credential, uint64_t now_ms)
{
    const uint64_t expires_ms =
        (uint64_t)json_integer_value(json_object_get(credential, "expires_ms"));
    const struct slice id = json_member_text(credential, "account");
    const struct catalog_document *account;
    char name[64];

    (void)snprintf(name, sizeof(name), "account/%.*s", SLICE_ARG(slice_first(id, 12)));
    account = catalog_get(catalog, slice_of(name));
    if (expires_ms != 0 && now_ms >= expires_ms) {
        return false;
    }
    /* the central account need not be in the catalog */
    return account != NULL ? !json_is_true(json_object_get(account->value, "is_suspended"))
                           : slice_eq(id, config->central_account);
}

/* A token that was issued: its id finds the credential, its keyed hash decides. */
static enum err prove_issued(const struct admin_access *access, struct slice token, uint64_t now_ms,
                             struct admin_caller *caller)
{
    const struct catalog *catalog = control_catalog(access->control);
    const struct slice id = api_key_id(token);
    const struct catalog_document *document;
    uint8_t pepper[SEAL_KEY_BYTES];
    struct digest kept = {.bytes = {0}};
    struct digest hash;
    char name[64];
    bool is_ours;

    if (id.len == 0) {
        return ERR_NO_TOKEN;
    }
    if (control_is_catalog_stale(access->control)) {
        return ERR_NOT_READY;
    }
    (void)snprintf(name, sizeof(name), "credential/%.*s", SLICE_ARG(id));
    document = catalog_get(catalog, slice_of(name));
    is_ours = document != NULL &&
              slice_eq(json_member_text(document->value, "kind"), SLICE("operator")) &&
              digest_from_hex(json_member_text(document->value, "hash"), kept.bytes, DIGEST_BYTES);
    directory_derive_pepper(control_seal_key(access->control), pepper);
    api_key_hash(pepper, token, &hash);
    OPENSSL_cleanse(pepper, sizeof(pepper));
    if (!digest_equal(digest_slice(&hash), digest_slice(&kept)) || !is_ours ||
        !is_live(catalog, control_config(access->control), document->value, now_ms)) {
        return ERR_NO_TOKEN;
    }
    become(caller, id, json_member_text(document->value, "role"));
    return ERR_OK;
}

enum err admin_access_prove(const struct admin_access *access, const struct request *request,
                            uint64_t now_ms, struct admin_caller *caller)
{
    const struct slice value = request_header(request, SLICE("authorization"));
    const struct slice scheme = SLICE("Bearer ");
    const struct slice token = slice_from(value, scheme.len);

    *caller = (struct admin_caller){.rights = 0};
    if (access->is_unix) {
        become(caller, SLICE("operator"), SLICE("operator"));
        return ERR_OK;
    }
    if (!is_own_name(access, request->authority) || !has_fitting_origin(access, request)) {
        return ERR_ACCESS_DENIED;
    }
    if (!slice_has_prefix(value, scheme)) {
        return ERR_NO_TOKEN;
    }
    if (digest_equal(token, buf_slice(&access->token))) {
        become(caller, SLICE("operator"), SLICE("operator"));
        return ERR_OK;
    }
    return prove_issued(access, token, now_ms, caller);
}

/* ---- the first operator's token ----------------------------------------------------------- */

static enum err make_token(const char *path, struct buf *token, struct err_why *why)
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        TRY(buf_printf(token, "%02x", bytes[i]));
    }
    return file_write_private(path, buf_slice(token), why);
}

enum err admin_access_open(struct admin_access *door, struct err_why *why)
{
    const struct slice folder = config_state_folder(control_config(door->control));
    char path[4096];
    struct slice text;

    (void)snprintf(path, sizeof(path), "%.*s/admin.token", SLICE_ARG(folder));
    buf_init(&door->token, TOKEN_CHARS_MAX);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return make_token(path, &door->token, why);
    }
    TRY(file_read_secret(path, &door->token, why));
    text = buf_slice(&door->token);
    while (text.len > 0 && text.data[text.len - 1] == '\n') {
        text.len--;
    }
    door->token.len = text.len;
    if (text.len < TOKEN_CHARS_MIN) {
        return err_because(ERR_BAD_CONFIG, why, "%s: a token has at least 32 characters", path);
    }
    return ERR_OK;
}

void admin_access_close(struct admin_access *access)
{
    buf_wipe(&access->token);
}
