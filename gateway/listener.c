/* SPDX-License-Identifier: Apache-2.0
 *
 * listener.c - the socket that accepts, and how a listener ends.
 *
 * Accepting is bounded per loop turn, so that a storm of connections cannot starve those that are
 * open.  Over the cap, the connection that has been idle longest makes room; when none is idle the
 * newcomer is closed.  Out of descriptors, a spare one is given up for a moment to accept and
 * close, because a listening socket that stays readable would spin the loop.
 *
 * A drain ends in two ways: the last connection goes, or time is up and the rest is cut.
 *
 * Memory: connections belong to their streams; the pool of exchanges outlives the listener until
 *         the last request that a handler holds is answered.
 */
#include "gateway/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "gateway/h2.h"

enum {
    LISTENER_MAGIC = 0x4c49534e,
    ACCEPT_PER_TURN_MAX = 64,
    BACKLOG = 4096,
    ADDRESS_MAX_CHARS = 128,
    ACCEPT_PAUSE_MS = 100,
};

/* Room for any address that is accepted on. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct listener {
    uint32_t magic;
    struct connection_host host;
    struct stream_loop *streams;
    struct tls_context *tls;
    int fd;
    int spare_fd; /* given up to accept and close when descriptors run out */
    ev_io watcher;
    ev_timer pause;
    char address[ADDRESS_MAX_CHARS];
    char *unlink_path; /* of a unix socket */

    bool is_drained;
    ev_timer drain_end;
    void (*on_drained)(void *context);
    void *drain_context;
};

/* ---- addresses ---- */

static enum err bad_address(struct slice text, struct err_why *why)
{
    return err_because(ERR_BAD_CONFIG, why,
                       "listen address \"%.*s\": want IPV4:PORT, [IPV6]:PORT or unix:PATH",
                       SLICE_ARG(text));
}

static enum err parse_unix(struct slice path, union address *address, socklen_t *len)
{
    if (path.len == 0 || path.len >= sizeof(address->local.sun_path)) {
        return ERR_BAD_CONFIG;
    }
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, path.data, path.len);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return ERR_OK;
}

static enum err parse_address(struct slice text, union address *address, socklen_t *len)
{
    char host[INET6_ADDRSTRLEN];
    struct slice name;
    uint64_t port;
    size_t colon = text.len;

    memset(address, 0, sizeof(*address));
    if (slice_has_prefix(text, SLICE("unix:"))) {
        return parse_unix(slice_from(text, 5), address, len);
    }
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 || !slice_to_u64(slice_from(text, colon), &port) || port > UINT16_MAX) {
        return ERR_BAD_CONFIG;
    }
    name = slice_first(text, colon - 1);
    if (slice_has_prefix(name, SLICE("[")) && slice_has_suffix(name, SLICE("]"))) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        *len = sizeof(address->v6);
        name = (struct slice){name.data + 1, name.len - 2};
    } else {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        *len = sizeof(address->v4);
    }
    if (name.len >= sizeof(host)) {
        return ERR_BAD_CONFIG;
    }
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    return inet_pton(address->any.sa_family, host,
                     address->any.sa_family == AF_INET6 ? (void *)&address->v6.sin6_addr
                                                        : (void *)&address->v4.sin_addr) == 1
               ? ERR_OK
               : ERR_BAD_CONFIG;
}

/* The host alone: what logs and limits call the peer. */
static void print_host(const union address *address, char *out, size_t out_size)
{
    out[0] = '\0';
    if (address->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, out, (socklen_t)out_size);
    } else if (address->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, out, (socklen_t)out_size);
    } else {
        (void)snprintf(out, out_size, "local");
    }
}

static void print_bound(struct listener *listener, struct slice wanted)
{
    union address bound = {0};
    socklen_t len = sizeof(bound);
    char host[INET6_ADDRSTRLEN];

    if (getsockname(listener->fd, &bound.any, &len) != 0 || bound.any.sa_family == AF_UNIX) {
        (void)snprintf(listener->address, sizeof(listener->address), "%.*s", SLICE_ARG(wanted));
        return;
    }
    print_host(&bound, host, sizeof(host));
    (void)snprintf(
        listener->address, sizeof(listener->address),
        bound.any.sa_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
        (unsigned)ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port));
}

/* ---- accepting ---- */

/* Make room for one more. False: there is none. */
static bool make_room(struct listener *listener)
{
    struct connection_host *host = &listener->host;
    struct list *oldest;

    if (host->count < host->limits.connection_max) {
        return true;
    }
    oldest = list_take_first(&host->idle);
    if (oldest == NULL) {
        return false;
    }
    host->counts.evicted++;
    CONTAINER_OF(oldest, struct connection, idle)
        ->ops->evict(CONTAINER_OF(oldest, struct connection, idle));
    return true;
}

static void take(struct listener *listener, int fd, struct slice peer)
{
    if (!make_room(listener)) {
        listener->host.counts.refused++;
        (void)close(fd);
        return;
    }
    connection_new(&listener->host, listener->streams, fd, listener->tls, peer);
}

static void pause_accepting(struct listener *listener)
{
    ev_io_stop(listener->host.loop, &listener->watcher);
    ev_timer_set(&listener->pause, ACCEPT_PAUSE_MS / 1000.0, 0.0);
    ev_timer_start(listener->host.loop, &listener->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, pause);

    (void)events;
    if (!listener->host.is_draining) {
        ev_io_start(loop, &listener->watcher);
    }
}

/* Out of descriptors: refuse one caller with the spare, then rest. */
static void refuse_one(struct listener *listener)
{
    int fd;

    listener->host.counts.refused++;
    log_warn("listener.no_descriptors", LOG_TEXT("address", listener->address),
             LOG_U64("connections", listener->host.count));
    if (listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
        fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pause_accepting(listener);
}

/* False: no more for now. */
static bool accept_one(struct listener *listener)
{
    union address peer = {0};
    socklen_t len = sizeof(peer);
    char host[CONNECTION_PEER_CHARS];
    const int one = 1;
    const int fd = accept4(listener->fd, &peer.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        switch (errno) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            refuse_one(listener);
            return false;
        case EAGAIN:
            return false;
        default:
            return true; /* the fault of that one connection */
        }
    }
    if (peer.any.sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    print_host(&peer, host, sizeof(host));
    take(listener, fd, slice_of(host));
    return true;
}

static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct listener *listener = CONTAINER_OF(watcher, struct listener, watcher);

    (void)loop;
    (void)events;
    CHECK(listener->magic == LISTENER_MAGIC);
    for (unsigned i = 0; i < ACCEPT_PER_TURN_MAX && accept_one(listener); i++) {
    }
}

void listener_adopt(struct listener *listener, int fd, struct slice peer)
{
    CHECK_MAGIC(listener, LISTENER_MAGIC);
    take(listener, fd, peer);
}

/* ---- opening ---- */

/* A socket file that nobody listens on any more is left over from a killed process. */
static void remove_dead_socket(const union address *address, socklen_t len)
{
    struct stat status;
    int fd;

    if (lstat(address->local.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, &address->any, len) != 0 && errno == ECONNREFUSED) {
        (void)unlink(address->local.sun_path);
    }
    (void)close(fd);
}

static bool set_options(int fd, const union address *address, bool is_shared)
{
    const int one = 1;

    if (address->any.sa_family == AF_UNIX) {
        return true;
    }
    if (address->any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0) {
        return false;
    }
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
           (!is_shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
}

/* The descriptor, or -1 with errno. */
static int open_socket(const union address *address, socklen_t len, bool is_shared)
{
    const bool is_local = address->any.sa_family == AF_UNIX;
    const int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    if (is_local) {
        remove_dead_socket(address, len);
    }
    /* The mode is set before listen(), so there is no moment in which others could connect. */
    if (!set_options(fd, address, is_shared) || bind(fd, &address->any, len) != 0 ||
        (is_local && chmod(address->local.sun_path, S_IRUSR | S_IWUSR) != 0) ||
        listen(fd, BACKLOG) != 0) {
        const int reason = errno;

        (void)close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static enum err open_address(struct listener *listener, const struct listener_options *options,
                             struct err_why *why)
{
    union address address;
    socklen_t len = 0;

    if (parse_address(options->address, &address, &len) != ERR_OK) {
        return bad_address(options->address, why);
    }
    listener->fd = open_socket(&address, len, options->is_shared);
    if (listener->fd < 0) {
        return err_because(ERR_SYSTEM, why, "listen address \"%.*s\": %s",
                           SLICE_ARG(options->address), strerrordesc_np(errno));
    }
    if (address.any.sa_family == AF_UNIX) {
        listener->unlink_path = xstrndup(address.local.sun_path, strlen(address.local.sun_path));
    }
    print_bound(listener, options->address);
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ev_io_init(&listener->watcher, on_acceptable, listener->fd, EV_READ);
    ev_io_start(options->loop, &listener->watcher);
    return ERR_OK;
}

static void stop_accepting(struct listener *listener)
{
    if (listener->fd >= 0) {
        ev_io_stop(listener->host.loop, &listener->watcher);
        (void)close(listener->fd);
        listener->fd = -1;
    }
    ev_timer_stop(listener->host.loop, &listener->pause);
    if (listener->unlink_path != NULL) {
        (void)unlink(listener->unlink_path);
        xfree(listener->unlink_path);
        listener->unlink_path = NULL;
    }
    if (listener->spare_fd >= 0) {
        (void)close(listener->spare_fd);
        listener->spare_fd = -1;
    }
}

static void on_gone(struct connection_host *host);
static void on_drain_end(struct ev_loop *loop, ev_timer *timer, int events);

enum err listener_open(const struct listener_options *options, struct listener **out,
                       struct err_why *why)
{
    struct listener *listener = xcalloc(1, sizeof(*listener));
    struct connection_host *host = &listener->host;
    enum err err = ERR_OK;

    CHECK(options->handler.on_request != NULL);
    listener->magic = LISTENER_MAGIC;
    listener->fd = -1;
    listener->spare_fd = -1;
    listener->streams = options->streams;
    listener->tls = options->tls != NULL ? tls_context_acquire(options->tls) : NULL;
    host->loop = options->loop;
    host->limits = options->limits != NULL ? *options->limits : HTTP_LIMITS_DEFAULT;
    host->handler = options->handler;
    host->pool = exchange_pool_new(&host->limits);
    host->h2 = h2_shared_new(&host->limits);
    host->on_gone = on_gone;
    list_init(&host->all);
    list_init(&host->idle);
    ev_timer_init(&listener->pause, on_pause_over, 0.0, 0.0);
    ev_timer_init(&listener->drain_end, on_drain_end, 0.0, 0.0);
    if (options->address.len > 0) {
        err = open_address(listener, options, why);
    }
    if (err != ERR_OK) {
        listener_destroy(listener);
        listener = NULL;
    }
    *out = listener;
    return err;
}

void listener_destroy(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    CHECK_MAGIC(listener, LISTENER_MAGIC);
    CHECK(listener->host.count == 0);
    stop_accepting(listener);
    ev_timer_stop(listener->host.loop, &listener->drain_end);
    exchange_pool_release(listener->host.pool);
    h2_shared_destroy(listener->host.h2);
    if (listener->tls != NULL) {
        tls_context_release(listener->tls);
    }
    listener->magic = 0;
    xfree(listener);
}

/* ---- the end ---- */

/* Have on_drain_end() come `delay_ms` from now instead of when it was to come. */
static void set_drain_end(struct listener *listener, unsigned delay_ms)
{
    ev_timer_stop(listener->host.loop, &listener->drain_end);
    ev_timer_set(&listener->drain_end, delay_ms / 1000.0, 0.0);
    ev_timer_start(listener->host.loop, &listener->drain_end);
}

static void on_gone(struct connection_host *host)
{
    struct listener *listener = CONTAINER_OF(host, struct listener, host);

    if (host->is_draining && host->count == 0 && !listener->is_drained) {
        set_drain_end(listener, 0); /* later, not from inside a stream */
    }
}

static void on_drain_end(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, drain_end);

    (void)loop;
    (void)events;
    if (listener->host.count > 0) { /* time is up: on_gone() comes back here */
        log_warn("listener.cut", LOG_TEXT("address", listener->address),
                 LOG_U64("connections", listener->host.count));
        LIST_FOREACH (node, &listener->host.all) {
            stream_abort(CONTAINER_OF(node, struct connection, all)->stream);
        }
        return;
    }
    listener->is_drained = true;
    listener->on_drained(listener->drain_context);
}

void listener_drain(struct listener *listener, void (*on_drained)(void *context), void *context)
{
    CHECK_MAGIC(listener, LISTENER_MAGIC);
    CHECK(!listener->host.is_draining);
    /* What the kernel has accepted already would be reset by the close: take it in first. */
    for (unsigned i = 0; i < BACKLOG && listener->fd >= 0 && accept_one(listener); i++) {
    }
    stop_accepting(listener);
    listener->host.is_draining = true;
    listener->on_drained = on_drained;
    listener->drain_context = context;
    LIST_FOREACH (node, &listener->host.all) {
        struct connection *connection = CONTAINER_OF(node, struct connection, all);

        if (connection->ops != NULL) { /* else as soon as its protocol is known */
            connection->ops->drain(connection);
        }
    }
    set_drain_end(listener, listener->host.count > 0 ? listener->host.limits.drain_timeout_ms : 0);
}

/* ---- what others see ---- */

struct slice listener_address(const struct listener *listener)
{
    return slice_of(listener->address);
}

void listener_set_tls(struct listener *listener, struct tls_context *tls)
{
    CHECK_MAGIC(listener, LISTENER_MAGIC);
    CHECK(listener->tls != NULL);
    CHECK(tls != NULL);
    tls_context_release(listener->tls);
    listener->tls = tls_context_acquire(tls);
}

const struct connection_counts *listener_counts(const struct listener *listener)
{
    return &listener->host.counts;
}

size_t listener_connection_count(const struct listener *listener)
{
    return listener->host.count;
}

size_t listener_in_flight_bytes(const struct listener *listener)
{
    return exchange_pool_bytes(listener->host.pool);
}
