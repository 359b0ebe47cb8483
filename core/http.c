/* SPDX-License-Identifier: Apache-2.0
 *
 * http.c - libcurl's multi_socket interface turned by a libev loop.
 *
 * The happy path: http_start() dresses a pooled easy handle and adds it; curl asks for a timer of
 * 0 ms, so the first step is taken by the loop.  curl names the sockets it waits for (on_socket)
 * and the time it wants back (on_timer); each event is handed in, and then finished transfers are
 * collected and reported.  on_done is called by report_done(), on_tick() and on_refusal_time(), all
 * from the loop: a callback is always later.
 *
 * What a target may do to us is bounded: body and headers are capped where they arrive, the whole
 * call has one time limit, redirects, proxies, cookies, netrc and credentials in the URL are off,
 * and the address actually dialled is shown to `may_connect` before the socket exists.
 *
 * Name resolution runs in libcurl's own threads.  CURLOPT_QUICK_EXIT lets a call that timed out
 * leave such a thread behind, where libcurl would otherwise join it and stop the loop for as long
 * as a name server is silent.
 *
 * Memory: a call that was started is on `running`, `overdue` or `refused` and borrows the caller's
 * struct.
 */
#include "core/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <curl/curl.h>
#include <openssl/crypto.h>

#include "core/check.h"

enum {
    HTTP_CLIENT_MAGIC = 0x68747470,
    IDLE_HANDLES_MAX = 64,
    HEADER_LINE_MAX = 32768,
    TICK_MS = 100
};

struct http_client {
    uint32_t magic;
    struct http_client_options options;
    char *ca_path;
    CURLM *multi;
    ev_timer timer;         /* when curl wants to be called */
    ev_timer refusal_timer; /* 0 s: tells of calls that could not be sent */
    ev_timer tick_timer;    /* while something runs */
    uint64_t tick;
    struct list running;
    struct list overdue; /* only inside on_tick() */
    struct list refused;
    CURL *idle[IDLE_HANDLES_MAX];
    unsigned idle_count;
    bool is_stopping;
};

struct http_socket {
    ev_io watcher;
    struct http_client *client;
};

/* An option that curl refuses is a mistake of ours, so it is a CHECK. */
#define CHECK_SET(handle, option, value) CHECK(curl_easy_setopt(handle, option, value) == CURLE_OK)
#define CHECK_SET_MULTI(multi, option, value)                                                      \
    CHECK(curl_multi_setopt(multi, option, value) == CURLM_OK)
#define CHECK_GET(handle, info, variable)                                                          \
    CHECK(curl_easy_getinfo(handle, info, variable) == CURLE_OK)

static void init_library(void)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

/* ---- what arrives ---- */

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is curl's */
static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    const struct slice bytes = {data, size * count};

    call->has_body_begun = true;
    if (buf_append(&call->response, bytes) != ERR_OK) {
        call->is_too_large = true;
        return 0;
    }
    return bytes.len;
}

static enum err keep_header(struct buf *out, struct slice name, struct slice value)
{
    char *room;

    TRY(buf_reserve(out, name.len + value.len + 3, &room));
    for (size_t i = 0; i < name.len; i++) {
        room[i] = name.data[i];
        if (room[i] >= 'A' && room[i] <= 'Z') {
            room[i] |= 0x20;
        }
    }
    out->len += name.len;
    TRY(buf_append(out, SLICE(": ")));
    TRY(buf_append(out, value));
    return buf_append_byte(out, '\n');
}

/* One header line.  A status line begins a new reply (after 100 Continue); trailers are dropped. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is curl's */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct http_call *call = context;
    struct slice value = {data, size * count};
    const size_t len = value.len;
    struct slice name;

    call->header_bytes += len;
    if (call->header_bytes > HTTP_HEADERS_TOTAL_MAX) {
        call->is_too_large = true;
        return 0;
    }
    if (call->has_body_begun) {
        return len;
    }
    if (slice_has_prefix(value, SLICE("HTTP/"))) {
        buf_clear(&call->response_headers);
        return len;
    }
    while (value.len > 0 &&
           (value.data[value.len - 1] == '\n' || value.data[value.len - 1] == '\r')) {
        value.len--;
    }
    name = slice_cut(&value, ':');
    if (name.len == 0 || value.data == NULL) {
        return len;
    }
    if (keep_header(&call->response_headers, slice_trim(name), slice_trim(value)) != ERR_OK) {
        call->is_too_large = true;
        return 0;
    }
    return len;
}

static void print_address(const struct sockaddr *address, char *out, socklen_t out_len)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    const void *bytes =
        address->sa_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;

    if (inet_ntop(address->sa_family, bytes, out, out_len) == NULL) {
        (void)snprintf(out, out_len, "of family %d", (int)address->sa_family);
    }
}

/* Once an address of the host was refused, so are all others. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_call *call = context;
    const struct http_client_options *options = &call->client->options;

    if (purpose != CURLSOCKTYPE_IPCXN || call->denied_address[0] != '\0') {
        return CURL_SOCKET_BAD;
    }
    if (options->may_connect != NULL &&
        !options->may_connect(options->context, call->url, &address->addr)) {
        print_address(&address->addr, call->denied_address, sizeof(call->denied_address));
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the end of a call ---- */

static enum err error_of(const struct http_call *call, CURLcode result, bool is_sent)
{
    switch ((int)result) { /* of a hundred codes these are told apart */
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_REMOTE_TIMEOUT;
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_TOO_LARGE;
    case CURLE_WRITE_ERROR:
        return call->is_too_large ? ERR_TOO_LARGE : ERR_REMOTE_FAILED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return call->denied_address[0] != '\0' ? ERR_ACCESS_DENIED : ERR_REMOTE_UNREACHABLE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or a reply that is not HTTP/1 */
        return is_sent ? ERR_REMOTE_FAILED : ERR_BAD_VALUE;
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED: /* credentials in the URL */
        return ERR_BAD_VALUE;
    default:
        return ERR_REMOTE_FAILED;
    }
}

static void recycle(struct http_client *client, CURL *handle)
{
    CHECK_SET(handle, CURLOPT_ERRORBUFFER, NULL);
    CHECK_SET(handle, CURLOPT_HTTPHEADER, NULL);
    if (client->idle_count < IDLE_HANDLES_MAX && !client->is_stopping) {
        client->idle[client->idle_count++] = handle;
    } else {
        curl_easy_cleanup(handle);
    }
}

/* Authorization and session tokens stood in these lines. */
static void wipe_header_list(struct curl_slist *lines)
{
    for (struct curl_slist *line = lines; line != NULL; line = line->next) {
        OPENSSL_cleanse(line->data, strlen(line->data));
    }
    curl_slist_free_all(lines);
}

static void take_off(struct http_call *call)
{
    struct http_client *client = call->client;

    list_remove(&call->node);
    if (call->handle != NULL) {
        CHECK(curl_multi_remove_handle(client->multi, call->handle) == CURLM_OK);
        recycle(client, call->handle);
        call->handle = NULL;
    }
    wipe_header_list(call->header_list);
    call->header_list = NULL;
    call->client = NULL;
}

static void explain(struct http_call *call, CURLcode result)
{
    char *text = call->error_text;

    if (call->err == ERR_ACCESS_DENIED) {
        (void)snprintf(text, sizeof(call->error_text), "the address %s may not be dialled",
                       call->denied_address);
    } else if (call->err == ERR_OK) {
        text[0] = '\0';
    } else if (text[0] == '\0') {
        (void)snprintf(text, sizeof(call->error_text), "%s", curl_easy_strerror(result));
    }
}

static void finish(struct http_call *call, CURLcode result)
{
    curl_off_t elapsed_us = 0;
    long status = 0;
    long sent_bytes = 0;

    CHECK_GET(call->handle, CURLINFO_TOTAL_TIME_T, &elapsed_us);
    CHECK_GET(call->handle, CURLINFO_RESPONSE_CODE, &status);
    CHECK_GET(call->handle, CURLINFO_REQUEST_SIZE, &sent_bytes);
    call->elapsed_us = elapsed_us > 0 ? (uint64_t)elapsed_us : 0;
    call->status = status > 0 ? (unsigned)status : 0;
    call->err = error_of(call, result, sent_bytes > 0);
    explain(call, result);
    take_off(call);
    call->on_done(call);
}

static void report_done(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        const CURLcode result = message->data.result; /* the message dies with the handle */
        struct http_call *call = NULL;

        CHECK(message->msg == CURLMSG_DONE);
        CHECK_GET(message->easy_handle, CURLINFO_PRIVATE, &call);
        CHECK(call != NULL);
        finish(call, result);
    }
}

/* ---- curl's sockets and timer ---- */

static void on_socket_ready(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct http_client *client = CONTAINER_OF(watcher, struct http_socket, watcher)->client;
    const int mask = ((events & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
                     ((events & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
    int running;

    (void)loop;
    /* The watcher may be freed in here. */
    CHECK(curl_multi_socket_action(client->multi, watcher->fd, mask, &running) == CURLM_OK);
    report_done(client);
}

static int on_socket(CURL *handle, curl_socket_t fd, int what, void *context, void *attached)
{
    struct http_client *client = context;
    struct http_socket *waited = attached;
    const int events =
        ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) | ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0);

    (void)handle;
    if (what == CURL_POLL_REMOVE) {
        if (waited != NULL) {
            ev_io_stop(client->options.loop, &waited->watcher);
            free(waited);
        }
        return 0;
    }
    if (waited == NULL) {
        waited = xcalloc(1, sizeof(*waited));
        waited->client = client;
        ev_io_init(&waited->watcher, on_socket_ready, fd, events);
        CHECK(curl_multi_assign(client->multi, fd, waited) == CURLM_OK);
    } else {
        ev_io_stop(client->options.loop, &waited->watcher);
        ev_io_set(&waited->watcher, fd, events);
    }
    ev_io_start(client->options.loop, &waited->watcher);
    return 0;
}

static void on_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct http_client *client = CONTAINER_OF(timer, struct http_client, timer);
    int running;

    (void)loop;
    (void)events;
    CHECK(curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running) == CURLM_OK);
    report_done(client);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct http_client *client = context;

    (void)multi;
    ev_timer_stop(client->options.loop, &client->timer);
    if (timeout_ms >= 0) {
        ev_timer_set(&client->timer, (double)timeout_ms / 1000.0, 0);
        ev_timer_start(client->options.loop, &client->timer);
    }
    return 0;
}

/* libcurl does not time a call that waits for one of a full set of connections; we do. */
static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct http_client *client = CONTAINER_OF(timer, struct http_client, tick_timer);

    (void)events;
    client->tick++;
    LIST_FOREACH (node, &client->running) {
        struct http_call *call = CONTAINER_OF(node, struct http_call, node);

        if (client->tick >= call->deadline_tick) {
            list_remove(&call->node);
            list_append(&client->overdue, &call->node);
        }
    }
    while (!list_is_empty(&client->overdue)) {
        finish(CONTAINER_OF(client->overdue.next, struct http_call, node),
               CURLE_OPERATION_TIMEDOUT);
    }
    if (list_is_empty(&client->running)) {
        ev_timer_stop(loop, timer);
    }
}

static void watch_time(struct http_client *client, struct http_call *call)
{
    /* Two more than needed: curl, which knows the reason better, comes first if it can. */
    call->deadline_tick = client->tick + call->timeout_ms / TICK_MS + 2;
    if (!ev_is_active(&client->tick_timer)) {
        ev_timer_again(client->options.loop, &client->tick_timer);
    }
}

/* ---- sending ---- */

/* What is the same for every call. */
static CURL *new_handle(const struct http_client *client)
{
    CURL *handle = curl_easy_init();

    CHECK(handle != NULL);
    CHECK_SET(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    CHECK_SET(handle, CURLOPT_FOLLOWLOCATION, 0L);
    CHECK_SET(handle, CURLOPT_PROXY, "");
    CHECK_SET(handle, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    CHECK_SET(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    CHECK_SET(handle, CURLOPT_NOSIGNAL, 1L);
    CHECK_SET(handle, CURLOPT_QUICK_EXIT, 1L);
    CHECK_SET(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    CHECK_SET(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    CHECK_SET(handle, CURLOPT_PATH_AS_IS, 1L); /* what was signed is what is sent */
    CHECK_SET(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    CHECK_SET(handle, CURLOPT_WRITEFUNCTION, on_body);
    CHECK_SET(handle, CURLOPT_HEADERFUNCTION, on_header);
    if (client->ca_path != NULL) {
        CHECK_SET(handle, CURLOPT_CAINFO, client->ca_path);
        CHECK_SET(handle, CURLOPT_CAPATH, NULL);
    }
    return handle;
}

static void set_method(CURL *handle, const struct http_call *call)
{
    const struct slice method = slice_of(call->method);
    const bool is_get = slice_eq(method, SLICE("GET"));
    const bool is_head = slice_eq(method, SLICE("HEAD"));
    const bool is_post = slice_eq(method, SLICE("POST"));

    CHECK_SET(handle, CURLOPT_HTTPGET, 1L); /* also undoes what the handle did before */
    CHECK_SET(handle, CURLOPT_CUSTOMREQUEST, is_get || is_head || is_post ? NULL : call->method);
    if (is_head) {
        CHECK_SET(handle, CURLOPT_NOBODY, 1L);
    } else if (is_post || call->body.len > 0) {
        CHECK_SET(handle, CURLOPT_POST, 1L);
        CHECK_SET(handle, CURLOPT_POSTFIELDS, call->body.len > 0 ? call->body.data : "");
        CHECK_SET(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    }
}

static bool is_sendable(const struct header *header)
{
    static const char separators[] = "()<>@,;:\\\"/[]?={} \t";

    for (size_t i = 0; i < header->name.len; i++) {
        const unsigned char c = (unsigned char)header->name.data[i];

        if (c <= 0x20 || c >= 0x7f || memchr(separators, c, sizeof(separators) - 1) != NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < header->value.len; i++) {
        const unsigned char c = (unsigned char)header->value.data[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return header->name.len > 0;
}

static void add_line(struct http_call *call, const char *line)
{
    struct curl_slist *longer = curl_slist_append(call->header_list, line);

    CHECK(longer != NULL);
    call->header_list = longer;
}

/* The caller's headers, and nothing that curl would add by itself. */
static enum err make_header_list(struct http_call *call)
{
    static const struct slice uninvited[] = {SLICE_INIT("Accept"), SLICE_INIT("Content-Type"),
                                             SLICE_INIT("Expect")};
    struct buf line;
    enum err err = ERR_OK;

    buf_init(&line, HEADER_LINE_MAX);
    for (size_t i = 0; i < call->header_count && err == ERR_OK; i++) {
        const struct header *header = &call->headers[i];

        buf_clear(&line);
        /* curl reads "name:" as "leave it out" and "name;" as "send it empty" */
        err = !is_sendable(header) ? ERR_BAD_VALUE
              : slice_trim(header->value).len == 0
                  ? buf_printf(&line, "%.*s;", SLICE_ARG(header->name))
                  : buf_printf(&line, "%.*s: %.*s", SLICE_ARG(header->name),
                               SLICE_ARG(header->value));
        if (err == ERR_OK && (err = buf_append_byte(&line, '\0')) == ERR_OK) {
            add_line(call, line.data);
        }
    }
    buf_wipe(&line);
    for (size_t i = 0; i < ARRAY_LEN(uninvited); i++) {
        char removal[32];

        if (header_find(call->headers, call->header_count, uninvited[i]) == NULL) {
            (void)snprintf(removal, sizeof(removal), "%.*s:", SLICE_ARG(uninvited[i]));
            add_line(call, removal);
        }
    }
    return err;
}

static void dress(CURL *handle, struct http_call *call)
{
    set_method(handle, call);
    CHECK_SET(handle, CURLOPT_URL, call->url);
    CHECK_SET(handle, CURLOPT_HTTPHEADER, (struct curl_slist *)call->header_list);
    CHECK_SET(handle, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    CHECK_SET(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms);
    CHECK_SET(handle, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->response_max);
    CHECK_SET(handle, CURLOPT_FRESH_CONNECT, call->fresh_connection ? 1L : 0L);
    CHECK_SET(handle, CURLOPT_PRIVATE, call);
    CHECK_SET(handle, CURLOPT_WRITEDATA, call);
    CHECK_SET(handle, CURLOPT_HEADERDATA, call);
    CHECK_SET(handle, CURLOPT_OPENSOCKETDATA, call);
    CHECK_SET(handle, CURLOPT_ERRORBUFFER, call->error_text);
}

static void refuse(struct http_client *client, struct http_call *call, enum err err)
{
    call->err = err;
    (void)snprintf(call->error_text, sizeof(call->error_text), "a header cannot be sent");
    list_append(&client->refused, &call->node);
    ev_timer_start(client->options.loop, &client->refusal_timer);
}

static void on_refusal_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct http_client *client = CONTAINER_OF(timer, struct http_client, refusal_timer);
    struct list refused;

    (void)loop;
    (void)events;
    list_init(&refused);
    list_splice(&refused, &client->refused); /* on_done may start another that is refused too */
    while (!list_is_empty(&refused)) {
        struct http_call *call = CONTAINER_OF(refused.next, struct http_call, node);

        take_off(call);
        call->on_done(call);
    }
}

void http_start(struct http_client *client, struct http_call *call)
{
    enum err err;

    CHECK_MAGIC(client, HTTP_CLIENT_MAGIC);
    CHECK(!client->is_stopping);
    CHECK(call->client == NULL);
    CHECK(call->on_done != NULL);
    CHECK(call->timeout_ms > 0);

    call->client = client;
    call->err = ERR_OK;
    call->status = 0;
    call->elapsed_us = 0;
    call->error_text[0] = '\0';
    call->denied_address[0] = '\0';
    call->header_bytes = 0;
    call->is_too_large = false;
    call->has_body_begun = false;
    buf_init(&call->response, call->response_max);
    buf_init(&call->response_headers, HTTP_HEADERS_MAX);

    err = make_header_list(call);
    if (err != ERR_OK) {
        refuse(client, call, err);
        return;
    }
    call->handle = client->idle_count > 0 ? client->idle[--client->idle_count] : new_handle(client);
    dress(call->handle, call);
    list_append(&client->running, &call->node);
    watch_time(client, call);
    CHECK(curl_multi_add_handle(client->multi, call->handle) == CURLM_OK);
}

void http_call_clean_up(struct http_call *call)
{
    CHECK(call->client == NULL);
    buf_clean_up(&call->response);
    buf_clean_up(&call->response_headers);
}

struct slice http_response_header(const struct http_call *call, struct slice name)
{
    struct slice lines = buf_slice(&call->response_headers);

    while (lines.len > 0) {
        struct slice value = slice_cut(&lines, '\n');

        if (slice_eq(slice_cut(&value, ':'), name)) {
            return slice_trim(value);
        }
    }
    return (struct slice){NULL, 0};
}

/* ---- the client ---- */

struct http_client *http_client_new(const struct http_client_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http_client *client = xcalloc(1, sizeof(*client));

    CHECK(options->loop != NULL);
    CHECK(pthread_once(&once, init_library) == 0);

    client->magic = HTTP_CLIENT_MAGIC;
    client->options = *options;
    if (options->ca_path.len > 0) {
        client->ca_path = xstrndup(options->ca_path.data, options->ca_path.len);
    }
    list_init(&client->running);
    list_init(&client->overdue);
    list_init(&client->refused);
    ev_timer_init(&client->timer, on_time, 0, 0);
    ev_timer_init(&client->refusal_timer, on_refusal_time, 0, 0);
    ev_timer_init(&client->tick_timer, on_tick, 0, TICK_MS / 1000.0);

    client->multi = curl_multi_init();
    CHECK(client->multi != NULL);
    CHECK_SET_MULTI(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    CHECK_SET_MULTI(client->multi, CURLMOPT_SOCKETDATA, client);
    CHECK_SET_MULTI(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    CHECK_SET_MULTI(client->multi, CURLMOPT_TIMERDATA, client);
    CHECK_SET_MULTI(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->connections_max);
    CHECK_SET_MULTI(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                    (long)options->host_connections_max);
    CHECK_SET_MULTI(client->multi, CURLMOPT_MAXCONNECTS, (long)options->connections_max);
    return client;
}

static void cancel_all(struct list *calls)
{
    while (!list_is_empty(calls)) {
        struct http_call *call = CONTAINER_OF(calls->next, struct http_call, node);

        take_off(call);
        call->err = ERR_STOPPING;
        (void)snprintf(call->error_text, sizeof(call->error_text), "%s", err_text(ERR_STOPPING));
        call->on_done(call);
    }
}

void http_client_destroy(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    CHECK_MAGIC(client, HTTP_CLIENT_MAGIC);
    client->is_stopping = true;
    cancel_all(&client->running);
    cancel_all(&client->refused);
    while (client->idle_count > 0) {
        curl_easy_cleanup(client->idle[--client->idle_count]);
    }
    CHECK(curl_multi_cleanup(client->multi) == CURLM_OK);
    ev_timer_stop(client->options.loop, &client->timer);
    ev_timer_stop(client->options.loop, &client->refusal_timer);
    ev_timer_stop(client->options.loop, &client->tick_timer);
    client->magic = 0;
    free(client->ca_path);
    free(client);
}
