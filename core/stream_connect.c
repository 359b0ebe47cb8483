/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_connect.c - from a name to a connection, without ever blocking the loop.
 *
 * The happy path: a literal address is taken as it is; a name is looked up by getaddrinfo() on a
 * thread that lives for this one question.  Then a non-blocking connect() to each address in turn,
 * each with an equal share of the handshake timeout, until one stands.  What follows (TLS, on_open)
 * is as for a connection that was accepted.
 *
 * Why a thread: getaddrinfo() is the only resolver that honours what the host is configured with
 * (hosts file, search domains, service discovery of a container), and it knows no other way.  It
 * may take half a minute when a name server is dead.  The stream does not wait for it: it ends at
 * its timeout, and the thread finds nobody interested.  So that a dead name server cannot gather
 * threads, at most LOOKUPS_MAX are out at once; a question beyond is answered with "unreachable".
 *
 * Memory:  a lookup has two owners, its thread and its stream; who lets go last frees it.
 * Threads: what the thread found is read after `is_done`.  The thread has one end of a pipe, the
 *          loop the other, and each closes its own: a descriptor that a loop has watched must not
 *          be closed by somebody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"
#include "core/stream_internal.h"
#include "core/tls.h"

enum {
    HOST_CHARS_MAX = 255,
    ADDRESSES_MAX = 8,
    LOOKUPS_MAX = 16,
    LOOKUP_STACK_BYTES = 512 * 1024,
};

struct lookup {
    /* set before the thread starts */
    char host[HOST_CHARS_MAX + 1];
    char service[8];
    int wake_fd; /* the loop's: it ends when the thread is done */
    int done_fd; /* the thread's */
    /* both */
    atomic_uint owners;
    atomic_bool is_done;
    /* the thread's until is_done */
    struct addrinfo *found;
};

struct stream_dial {
    char host[HOST_CHARS_MAX + 1];
    struct lookup *lookup; /* NULL: the addresses are known */
    struct {
        struct sockaddr_storage bytes;
        socklen_t len;
    } addresses[ADDRESSES_MAX];
    size_t address_count;
    size_t next; /* to be tried */
    int fd;      /* being connected; -1: none */
    ev_io watcher;
    ev_timer patience; /* with one address */
    struct stream *stream;
};

static atomic_uint lookup_count;

/* ---- the question to the system's resolver ---- */

static int resolve(const char *host, const char *service, int flags, struct addrinfo **found)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | flags,
    };

    *found = NULL;
    return getaddrinfo(host, service, &hints, found);
}

static void lookup_release(struct lookup *lookup)
{
    if (atomic_fetch_sub_explicit(&lookup->owners, 1, memory_order_acq_rel) == 1) {
        if (lookup->found != NULL) {
            freeaddrinfo(lookup->found);
        }
        free(lookup);
        (void)atomic_fetch_sub(&lookup_count, 1);
    }
}

/* The stream's side lets go; nothing watches the pipe any more. */
static void lookup_leave(struct lookup *lookup)
{
    (void)close(lookup->wake_fd);
    lookup_release(lookup);
}

static void *run_lookup(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo *found;

    if (resolve(lookup->host, lookup->service, 0, &found) == 0) {
        lookup->found = found;
    }
    atomic_store_explicit(&lookup->is_done, true, memory_order_release);
    (void)close(lookup->done_fd);
    lookup_release(lookup);
    return NULL;
}

/* A detached thread that takes no signals; NULL when there are too many, of them or of
 * descriptors. */
static struct lookup *lookup_start(const char *host, const char *service)
{
    struct lookup *lookup;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int ends[2];
    int failure;

    if (atomic_fetch_add(&lookup_count, 1) >= LOOKUPS_MAX ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)atomic_fetch_sub(&lookup_count, 1);
        return NULL;
    }
    lookup = xcalloc(1, sizeof(*lookup));
    atomic_init(&lookup->owners, 2);
    (void)snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    (void)snprintf(lookup->service, sizeof(lookup->service), "%s", service);
    lookup->wake_fd = ends[0];
    lookup->done_fd = ends[1];

    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, LOOKUP_STACK_BYTES) == 0);
    (void)sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    failure = pthread_create(&thread, &attributes, run_lookup, lookup);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    (void)pthread_attr_destroy(&attributes);
    if (failure != 0) {
        (void)close(lookup->done_fd);
        atomic_store(&lookup->owners, 1);
        lookup_leave(lookup);
        return NULL;
    }
    return lookup;
}

/* ---- one address after the other ---- */

static void take_addresses(struct stream_dial *dial, const struct addrinfo *found)
{
    for (; found != NULL && dial->address_count < ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_addrlen <= sizeof(struct sockaddr_storage)) {
            memcpy(&dial->addresses[dial->address_count].bytes, found->ai_addr, found->ai_addrlen);
            dial->addresses[dial->address_count++].len = found->ai_addrlen;
        }
    }
}

static void stop_trying(struct stream_dial *dial)
{
    struct ev_loop *ev = dial->stream->loop->options.loop;

    ev_io_stop(ev, &dial->watcher);
    ev_timer_stop(ev, &dial->patience);
    if (dial->fd >= 0) {
        (void)close(dial->fd);
        dial->fd = -1;
    }
}

static void on_connected(struct ev_loop *ev, ev_io *io, int events);
static void on_impatient(struct ev_loop *ev, ev_timer *timer, int events);

/* Is a connection to this address under way? */
static bool try_address(struct stream_dial *dial, size_t index)
{
    const struct sockaddr *address = (const struct sockaddr *)&dial->addresses[index].bytes;
    const struct stream_loop *loop = dial->stream->loop;
    const double share_s =
        loop->options.handshake_timeout_ms / 1000.0 / (double)dial->address_count;

    dial->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0) {
        return false;
    }
    if (connect(dial->fd, address, dial->addresses[index].len) != 0 && errno != EINPROGRESS) {
        stop_trying(dial);
        return false;
    }
    ev_io_init(&dial->watcher, on_connected, dial->fd, EV_WRITE);
    ev_io_start(loop->options.loop, &dial->watcher);
    ev_timer_init(&dial->patience, on_impatient, share_s, 0);
    ev_timer_start(loop->options.loop, &dial->patience);
    return true;
}

static void try_next(struct stream_dial *dial)
{
    stop_trying(dial);
    while (dial->next < dial->address_count) {
        if (try_address(dial, dial->next++)) {
            return;
        }
    }
    stream_end(dial->stream, STREAM_UNREACHABLE);
}

static void on_impatient(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    try_next(CONTAINER_OF(timer, struct stream_dial, patience));
}

/* It stands: from here on the stream is like any other.  A client speaks first. */
static void begin_stream(struct stream_dial *dial)
{
    struct stream *stream = dial->stream;
    const int fd = dial->fd;
    SSL *ssl = stream->tls != NULL ? tls_client_session_new(stream->tls, dial->host) : NULL;

    dial->fd = -1;
    stream_dial_end(stream);
    stream_begin(stream, fd, ssl);
    if (ssl != NULL) {
        stream_shake_hands(stream);
    }
}

static void on_connected(struct ev_loop *ev, ev_io *io, int events)
{
    struct stream_dial *dial = CONTAINER_OF(io, struct stream_dial, watcher);
    int failure = 0;
    socklen_t len = sizeof(failure);

    (void)ev;
    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 && failure == 0) {
        begin_stream(dial);
    } else {
        try_next(dial);
    }
}

/* ---- from the name on ---- */

static void on_found(struct ev_loop *ev, ev_io *io, int events)
{
    struct stream_dial *dial = CONTAINER_OF(io, struct stream_dial, watcher);
    struct lookup *lookup = dial->lookup;

    (void)events;
    if (!atomic_load_explicit(&lookup->is_done, memory_order_acquire)) {
        return;
    }
    ev_io_stop(ev, io);
    dial->lookup = NULL;
    take_addresses(dial, lookup->found);
    lookup_leave(lookup);
    try_next(dial);
}

static void look_up(struct stream_dial *dial, const char *service)
{
    dial->lookup = lookup_start(dial->host, service);
    if (dial->lookup == NULL) {
        stream_end(dial->stream, STREAM_UNREACHABLE);
        return;
    }
    ev_io_init(&dial->watcher, on_found, dial->lookup->wake_fd, EV_READ);
    ev_io_start(dial->stream->loop->options.loop, &dial->watcher);
}

void stream_dial_end(struct stream *stream)
{
    struct stream_dial *dial = stream->dial;

    if (dial == NULL) {
        return;
    }
    stop_trying(dial);
    if (dial->lookup != NULL) {
        lookup_leave(dial->lookup);
    }
    stream->dial = NULL;
    free(dial);
}

struct stream *stream_connect(struct stream_loop *loop, const struct stream_target *target,
                              const struct stream_handlers *handlers, void *context)
{
    struct stream *stream = stream_new(loop, CONNECTING, target->tls, handlers, context);
    struct stream_dial *dial = xcalloc(1, sizeof(*dial));
    struct addrinfo *found;
    char service[8];

    dial->stream = stream;
    dial->fd = -1;
    stream->dial = dial;
    ev_init(&dial->watcher, on_connected);
    ev_init(&dial->patience, on_impatient);
    if (target->host.len == 0 || target->host.len > HOST_CHARS_MAX ||
        slice_find(target->host, '\0') != target->host.len) {
        stream_end(stream, STREAM_UNREACHABLE);
        return stream;
    }
    memcpy(dial->host, target->host.data, target->host.len);
    (void)snprintf(service, sizeof(service), "%u", (unsigned)target->port);
    if (resolve(dial->host, service, AI_NUMERICHOST, &found) == 0) {
        take_addresses(dial, found);
        freeaddrinfo(found);
        try_next(dial);
    } else {
        look_up(dial, service);
    }
    return stream;
}
