/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.c - who may ask, and the table of what can be asked.
 *
 * Over TCP the listener stands on loopback only, and every path but the two of health wants the
 * operator's token, a Host that is this listener (a page in a browser that resolves its own name to
 * 127.0.0.1 sends another), and from browsers an Origin that is it too.  A unix socket is guarded
 * by its mode.
 */
#include "gateway/admin.h"

#include <errno.h>
#include <unistd.h>

#include "core/base64.h"
#include "core/check.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"
#include "core/stream.h"
#include "gateway/listener.h"

enum { TOKEN_BYTES = 32, TOKEN_CHARS_MAX = 64, ADMIN_CONNECTIONS_MAX = 64 };

struct admin {
    struct control *control;
    struct stream_loop *streams;
    struct listener *listener;
    struct buf token;
    bool is_unix;
    uint64_t started_ms;
};

struct route {
    struct slice method;
    struct slice path; /* may hold one `*`, which stands for at least one character */
    void (*handle)(struct admin_call *call);
};

static void show_health(struct admin_call *call);
static void show_readiness(struct admin_call *call);

static const struct route open_routes[] = {
    {SLICE_INIT("GET"), SLICE_INIT("/healthz"), show_health},
    {SLICE_INIT("GET"), SLICE_INIT("/readyz"), show_readiness},
};

static const struct route routes[] = {
    {SLICE_INIT("GET"), SLICE_INIT("/metrics"), admin_stats_metrics},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/stats"), admin_stats_all},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/stats/*"), admin_stats_part},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/trace/*"), admin_trace},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/catalog"), admin_catalog_export},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/catalog"), admin_catalog_apply},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/accounts"), admin_account_list},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/accounts/*"), admin_account_show},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/accounts/*/suspend"), admin_account_suspend},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/accounts/*/resume"), admin_account_resume},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/accounts/*/credentials"), admin_credential_issue},
    {SLICE_INIT("DELETE"), SLICE_INIT("/v1/credentials/*"), admin_credential_revoke},
    {SLICE_INIT("GET"), SLICE_INIT("/v1/dead"), admin_dead_list},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/dead/redrive"), admin_dead_redrive},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/dead/drop"), admin_dead_drop},
    {SLICE_INIT("POST"), SLICE_INIT("/v1/backup"), admin_backup},
};

/* ---- finding the route -------------------------------------------------------------------- */

static bool path_fits(struct slice pattern, struct slice path, struct slice *rest)
{
    const size_t star = slice_find(pattern, '*');
    const struct slice head = slice_first(pattern, star);
    const struct slice tail = slice_from(pattern, star + 1);

    if (star == pattern.len) {
        return slice_eq(pattern, path);
    }
    if (path.len <= head.len + tail.len || !slice_has_prefix(path, head) ||
        !slice_has_suffix(path, tail)) {
        return false;
    }
    *rest = slice_first(slice_from(path, head.len), path.len - head.len - tail.len);
    return true;
}

/* The last route that fits: a longer one stands below a shorter one. */
static const struct route *find_route(const struct route *table, size_t count,
                                      const struct request *request, struct slice *rest,
                                      bool *is_known_path)
{
    const struct route *found = NULL;

    for (size_t i = 0; i < count; i++) {
        struct slice part = {NULL, 0};

        if (!path_fits(table[i].path, request->path, &part)) {
            continue;
        }
        *is_known_path = true;
        if (slice_eq(table[i].method, request->method)) {
            found = &table[i];
            *rest = part;
        }
    }
    return found;
}

static const struct route *open_route(const struct request *request)
{
    struct slice rest;
    bool is_known_path;

    return find_route(open_routes, ARRAY_LEN(open_routes), request, &rest, &is_known_path);
}

/* ---- who may ask -------------------------------------------------------------------------- */

/* A name of loopback, or the host that the configuration names, with the port of this listener. */
static bool is_own_name(const struct admin *admin, struct slice name)
{
    const struct slice address = listener_address(admin->listener);
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

static bool has_fitting_origin(const struct admin *admin, const struct request *request)
{
    const struct slice origin = request_header(request, SLICE("origin"));
    const struct slice scheme = SLICE("http://");

    return origin.len == 0 ||
           (slice_has_prefix(origin, scheme) && is_own_name(admin, slice_from(origin, scheme.len)));
}

static bool has_token(const struct admin *admin, const struct request *request)
{
    const struct slice value = request_header(request, SLICE("authorization"));
    const struct slice scheme = SLICE("Bearer ");

    return slice_has_prefix(value, scheme) &&
           digest_equal(slice_from(value, scheme.len), buf_slice(&admin->token));
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is request_handler's */
static enum err on_head(void *context, struct request *request, size_t *body_max)
{
    const struct admin *admin = context;
    struct slice rest;
    bool is_known_path = false;

    (void)body_max;
    if (open_route(request) != NULL) {
        return ERR_OK;
    }
    if (!admin->is_unix &&
        (!is_own_name(admin, request->authority) || !has_fitting_origin(admin, request))) {
        return ERR_ACCESS_DENIED;
    }
    if (!admin->is_unix && !has_token(admin, request)) {
        return ERR_NO_TOKEN;
    }
    if (find_route(routes, ARRAY_LEN(routes), request, &rest, &is_known_path) == NULL) {
        return is_known_path ? ERR_BAD_METHOD : ERR_NOT_FOUND;
    }
    return ERR_OK;
}

static void on_request(void *context, struct request *request)
{
    struct admin *admin = context;
    const struct route *route = open_route(request);
    struct admin_call call = {
        .control = admin->control, .request = request, .started_ms = admin->started_ms};
    bool is_known_path;

    if (route == NULL) {
        route = find_route(routes, ARRAY_LEN(routes), request, &call.rest, &is_known_path);
    }
    CHECK(route != NULL);
    route->handle(&call);
}

/* ---- answers ------------------------------------------------------------------------------ */

void admin_respond_json(struct request *request, struct slice json)
{
    request->response.status = 200;
    request->response.content_type = SLICE("application/json");
    request->response.body = arena_copy(&request->arena, json);
    request_respond(request);
}

void admin_respond_error(struct request *request, enum err err, const struct err_why *why)
{
    request_respond_error(request, err, why != NULL && why->text[0] != '\0' ? why->text : NULL);
}

static int hex_digit(char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = byte != '\0' ? strchr(digits, (unsigned char)byte | 0x20) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

static struct slice percent_decode(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '%' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 &&
            hex_digit(text.data[i + 2]) >= 0) {
            out[len++] = (char)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]));
            i += 2;
        } else {
            out[len++] = text.data[i] == '+' ? ' ' : text.data[i];
        }
    }
    return (struct slice){out, len};
}

struct slice admin_decode(const struct admin_call *call, struct slice text)
{
    return percent_decode(&call->request->arena, text);
}

struct slice admin_parameter(const struct admin_call *call, struct slice name)
{
    struct slice query = call->request->query;

    while (query.len > 0) {
        struct slice pair = slice_cut(&query, '&');

        if (slice_eq(slice_cut(&pair, '='), name)) {
            return percent_decode(&call->request->arena, pair);
        }
    }
    return (struct slice){NULL, 0};
}

static void show_health(struct admin_call *call)
{
    admin_respond_json(call->request, SLICE("{\"healthy\":true}"));
}

static void show_readiness(struct admin_call *call)
{
    const char *reasons[CONTROL_REASONS_MAX];
    const size_t count = control_unready_reasons(call->control, reasons);
    struct json_writer writer;
    struct buf body;

    buf_init(&body, 1024);
    json_write_begin(&writer, &body);
    json_write_object_begin(&writer);
    json_write_key_bool(&writer, SLICE("ready"), count == 0);
    json_write_key(&writer, SLICE("reasons"));
    json_write_array_begin(&writer);
    for (size_t i = 0; i < count; i++) {
        json_write_string(&writer, slice_of(reasons[i]));
    }
    json_write_array_end(&writer);
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
    call->request->response.status = count == 0 ? 200 : 503;
    call->request->response.content_type = SLICE("application/json");
    call->request->response.body = arena_copy(&call->request->arena, buf_slice(&body));
    buf_clean_up(&body);
    request_respond(call->request);
}

/* ---- opening ------------------------------------------------------------------------------ */

static enum err make_token(const char *path, struct buf *token, struct err_why *why)
{
    uint8_t bytes[TOKEN_BYTES];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        TRY(buf_printf(token, "%02x", bytes[i]));
    }
    return file_write_private(path, buf_slice(token), why);
}

static enum err load_token(struct admin *admin, const struct config *config, struct err_why *why)
{
    const struct slice folder = config_state_folder(config);
    char path[4096];
    struct slice text;

    (void)snprintf(path, sizeof(path), "%.*s/admin.token", SLICE_ARG(folder));
    buf_init(&admin->token, (size_t)2 * TOKEN_CHARS_MAX);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return make_token(path, &admin->token, why);
    }
    TRY(file_read_secret(path, &admin->token, why));
    text = buf_slice(&admin->token);
    while (text.len > 0 && text.data[text.len - 1] == '\n') {
        text.len--;
    }
    admin->token.len = text.len;
    if (text.len < 32) {
        return err_because(ERR_BAD_CONFIG, why, "%s: a token has at least 32 characters", path);
    }
    return ERR_OK;
}

static enum err check_address(struct slice address, struct err_why *why)
{
    if (!slice_has_prefix(address, SLICE("unix:")) && !slice_has_prefix(address, SLICE("127.")) &&
        !slice_has_prefix(address, SLICE("[::1]:"))) {
        return err_because(ERR_BAD_CONFIG, why,
                           "listen.admin.address: %.*s is not loopback; use 127.0.0.1, [::1] or "
                           "unix:PATH",
                           SLICE_ARG(address));
    }
    return ERR_OK;
}

enum err admin_open(struct control *control, struct ev_loop *loop, struct admin **result,
                    struct err_why *why)
{
    const struct config *config = control_config(control);
    const struct stream_loop_options stream_options = stream_loop_defaults(loop);
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct admin *admin = xcalloc(1, sizeof(*admin));
    struct listener_options options = {
        .loop = loop,
        .address = config->admin_address,
        .limits = &limits,
        .handler = {.on_head = on_head, .on_request = on_request, .context = admin},
    };
    enum err err = check_address(config->admin_address, why);

    limits.body_max_bytes = CATALOG_FILE_BYTES_MAX;
    limits.connection_max = ADMIN_CONNECTIONS_MAX;
    limits.in_flight_max_bytes = (size_t)4 * CATALOG_FILE_BYTES_MAX;
    admin->control = control;
    admin->started_ms = moment_now_ms();
    admin->is_unix = slice_has_prefix(config->admin_address, SLICE("unix:"));
    if (err == ERR_OK) {
        err = load_token(admin, config, why);
    }
    if (err == ERR_OK) {
        admin->streams = stream_loop_new(&stream_options);
        options.streams = admin->streams;
        err = listener_open(&options, &admin->listener, why);
    }
    if (err != ERR_OK) {
        admin_close(admin);
        return err;
    }
    *result = admin;
    return ERR_OK;
}

void admin_close(struct admin *admin)
{
    if (admin == NULL) {
        return;
    }
    stream_loop_destroy(admin->streams);
    listener_destroy(admin->listener);
    buf_wipe(&admin->token);
    xfree(admin);
}
