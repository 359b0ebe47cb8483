/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.c - what operators can ask, and how they are answered.
 *
 * The routes are a table (admin_routes.def): method, path, the right it needs, its handler.  A
 * request is admitted by its route's right before its body is read (admin_access.c says who
 * speaks), and what is not in the table is refused.  Over TCP the listener stands on loopback only.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/moment.h"
#include "core/stream.h"
#include "gateway/admin_access.h"
#include "gateway/listener.h"

enum { ADMIN_CONNECTIONS_MAX = 64, DENIAL_RECORD_US = 1000000 };

struct admin {
    struct control *control;
    struct stream_loop *streams;
    struct listener *listener;
    struct admin_access access;
    uint64_t started_ms;
    uint64_t denial_us;          /* when one was last recorded */
    uint64_t unrecorded_denials; /* since then */
};

static const struct route {
    struct slice method;
    struct slice path; /* may hold one `*`, which stands for at least one character */
    enum admin_right right;
    void (*handle)(struct admin_call *call);
} routes[] = {
#define ROUTE(method, path, right, handler, sentence)                                              \
    {SLICE_INIT(#method), SLICE_INIT(path), ADMIN_RIGHT_##right, handler},
#include "gateway/admin_routes.def"
#undef ROUTE
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
static const struct route *find_route(const struct request *request, struct slice *rest,
                                      bool *is_known_path)
{
    const struct route *found = NULL;

    *is_known_path = false;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        struct slice part = {NULL, 0};

        if (!path_fits(routes[i].path, request->path, &part)) {
            continue;
        }
        *is_known_path = true;
        if (slice_eq(routes[i].method, request->method)) {
            found = &routes[i];
            *rest = part;
        }
    }
    return found;
}

/* Which route, and may this caller take it?  Who is not proven learns neither what exists here nor
 * what is forbidden. */
static enum err admit(const struct admin *admin, const struct request *request,
                      struct admin_call *call, const struct route **route)
{
    bool is_known_path;

    *route = find_route(request, &call->rest, &is_known_path);
    if (*route != NULL && (*route)->right == ADMIN_RIGHT_NOTHING) {
        return ERR_OK;
    }
    TRY(admin_access_prove(&admin->access, request, moment_now_ms(), &call->caller));
    if (*route == NULL) {
        return is_known_path ? ERR_BAD_METHOD : ERR_NOT_FOUND;
    }
    return admin_may(&call->caller, (*route)->right) ? ERR_OK : ERR_ACCESS_DENIED;
}

/* ---- acts --------------------------------------------------------------------------------- */

struct admin_act *admin_act_of(const struct request *request)
{
    return request->handler_data;
}

void admin_act_lend(const struct request *request, struct control_change *change)
{
    const struct admin_act *act = admin_act_of(request);

    if (act != NULL) {
        change->note = act->note;
    }
}

void admin_act_take_back(const struct request *request, const struct control_change *change)
{
    struct admin_act *act = admin_act_of(request);

    if (act != NULL) {
        act->is_recorded = change->is_recorded;
    }
}

/* What could not be recorded was done all the same: the log of the process has it (audit.lost). */
static void on_act_recorded(void *context, enum err err)
{
    struct admin_act *act = context;

    (void)err;
    act->request->ops = act->ops;
    request_respond(act->request);
}

static void respond_to_act(struct request *request)
{
    struct admin_act *act = admin_act_of(request);
    const unsigned status = request->response.status;
    const char *message = NULL;

    if (act->is_recorded) {
        on_act_recorded(act, ERR_OK);
        return;
    }
    if (status != 200) {
        message = arena_printf(&request->arena, "answered %u%c", status, '\0').data;
    }
    control_record(act->control, &act->note, act->result, message, on_act_recorded, act);
}

static void fill_note(struct audit_note *note, const struct admin_call *call,
                      const struct route *route)
{
    audit_fill(note->actor, sizeof(note->actor), slice_of(call->caller.name));
    audit_fill(note->from, sizeof(note->from), call->request->peer);
    (void)snprintf(note->action, sizeof(note->action), "%.*s %.*s", SLICE_ARG(route->method),
                   SLICE_ARG(route->path));
    audit_fill(note->object, sizeof(note->object),
               call->rest.len > 0 ? call->rest : call->request->query);
}

/* Whatever does not merely read is recorded before it is answered. */
static void begin_act(struct admin_call *call, const struct route *route)
{
    static const struct request_ops ops = {.respond = respond_to_act};
    struct admin_act *act;

    call->request->handler_data = NULL;
    if (slice_eq(route->method, SLICE("GET"))) {
        return;
    }
    act = ARENA_NEW(&call->request->arena, struct admin_act);
    *act = (struct admin_act){
        .control = call->control, .request = call->request, .ops = call->request->ops};
    fill_note(&act->note, call, route);
    call->request->handler_data = act;
    call->request->ops = &ops;
}

/* A caller who is known tried what is not his to do.  One such record a second, which says how many
 * came before it: nobody may push others' records out of the log by asking for what he may not. */
static void record_denial(struct admin *admin, const struct admin_call *call,
                          const struct route *route)
{
    struct audit_note note = {.actor = ""};
    const uint64_t now_us = moment_steady_us();
    char message[AUDIT_MESSAGE_CHARS_MAX + 1] = "";

    if (route == NULL || call->caller.name[0] == '\0' || slice_eq(route->method, SLICE("GET"))) {
        return;
    }
    if (admin->denial_us != 0 && now_us - admin->denial_us < DENIAL_RECORD_US) {
        admin->unrecorded_denials++;
        return;
    }
    if (admin->unrecorded_denials > 0) {
        (void)snprintf(message, sizeof(message), "after %" PRIu64 " that are not recorded",
                       admin->unrecorded_denials);
    }
    admin->denial_us = now_us;
    admin->unrecorded_denials = 0;
    fill_note(&note, call, route);
    control_record(admin->control, &note, ERR_ACCESS_DENIED, message, NULL, NULL);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is request_handler's */
static enum err on_head(void *context, struct request *request, size_t *body_max)
{
    struct admin_call call = {.request = request};
    const struct route *route;
    const enum err err = admit(context, request, &call, &route);

    (void)body_max;
    if (err == ERR_ACCESS_DENIED) {
        record_denial(context, &call, route);
    }
    return err;
}

/* Asked again, for a token may have been revoked while the body arrived. */
static void on_request(void *context, struct request *request)
{
    struct admin *admin = context;
    struct admin_call call = {
        .control = admin->control, .request = request, .started_ms = admin->started_ms};
    const struct route *route;
    const enum err err = admit(admin, request, &call, &route);

    if (err != ERR_OK) {
        admin_respond_error(request, err, NULL);
        return;
    }
    begin_act(&call, route);
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

void admin_respond_tree(struct request *request, unsigned status, json_t *tree)
{
    char *text = json_dumps(tree, JSON_COMPACT);

    CHECK(text != NULL);
    request->response.status = status;
    request->response.content_type = SLICE("application/json");
    request->response.body = arena_copy(&request->arena, slice_of(text));
    xfree(text);
    json_decref(tree);
    request_respond(request);
}

void admin_respond_error(struct request *request, enum err err, const struct err_why *why)
{
    struct admin_act *act = admin_act_of(request);

    if (act != NULL) {
        act->result = err;
    }
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

bool admin_is_on(struct slice value)
{
    return slice_eq(value, SLICE("true")) || slice_eq(value, SLICE("1"));
}

void admin_health(struct admin_call *call)
{
    admin_respond_json(call->request, SLICE("{\"healthy\":true}"));
}

void admin_readiness(struct admin_call *call)
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
    admin->access.control = control;
    admin->access.is_unix = slice_has_prefix(config->admin_address, SLICE("unix:"));
    if (err == ERR_OK) {
        err = admin_access_open(&admin->access, why);
    }
    if (err == ERR_OK) {
        admin->streams = stream_loop_new(&stream_options);
        options.streams = admin->streams;
        err = listener_open(&options, &admin->listener, why);
    }
    if (err == ERR_OK) {
        admin->access.address = listener_address(admin->listener);
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
    admin_access_close(&admin->access);
    xfree(admin);
}
