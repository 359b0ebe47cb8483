/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.c - read, write and end a socket, TLS or not, one system call at a time.
 *
 * OpenSSL sits directly on the descriptor and reads ahead: one read() fetches up to 64 KiB of
 * records, and wire_read() empties what was fetched before it asks the socket again.  The error
 * queue of the thread is emptied before every TLS call, because SSL_get_error() believes whatever
 * lies in it, another connection's error included.
 *
 * Bytes and the end of the stream may come together.  Then the bytes are handed out first and the
 * end is held for the next call, so wire_has_more() is the caller's only question.
 */
#include "core/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/check.h"

void wire_init(struct wire *wire, int fd, SSL *ssl)
{
    const int on = 1;
    const int flags = fcntl(fd, F_GETFL);

    CHECK(flags >= 0);
    CHECK((flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a unix socket */
    *wire = (struct wire){.fd = fd, .ssl = ssl, .held_end = WIRE_OK};
    if (ssl != NULL) {
        CHECK(SSL_set_fd(ssl, fd) == 1);
    }
}

void wire_clean_up(struct wire *wire)
{
    if (wire->fd < 0) {
        return;
    }
    SSL_free(wire->ssl);
    (void)close(wire->fd);
    *wire = (struct wire){.fd = -1};
}

static enum wire_outcome tls_outcome(const struct wire *wire, int result)
{
    switch (SSL_get_error(wire->ssl, result)) {
    case SSL_ERROR_NONE:
        return WIRE_OK;
    case SSL_ERROR_WANT_READ:
        return WIRE_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return WIRE_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return WIRE_END;
    case SSL_ERROR_SYSCALL:
        return WIRE_GONE;
    default:
        return WIRE_BROKEN;
    }
}

static enum wire_outcome socket_outcome(enum wire_outcome when_full)
{
    return errno == EAGAIN || errno == EINTR ? when_full : WIRE_GONE;
}

enum wire_outcome wire_handshake(struct wire *wire)
{
    ERR_clear_error();
    return tls_outcome(wire, SSL_do_handshake(wire->ssl));
}

static enum wire_outcome read_socket(const struct wire *wire, char *room, size_t room_len,
                                     size_t *len)
{
    const ssize_t count = recv(wire->fd, room, room_len, 0);

    if (count < 0) {
        return socket_outcome(WIRE_WANT_READ);
    }
    *len = (size_t)count;
    return count > 0 ? WIRE_OK : WIRE_END;
}

/* SSL_read gives a record at a time; go on while there are records and room for a whole one. */
static enum wire_outcome read_tls(struct wire *wire, char *room, size_t room_len, size_t *len)
{
    enum wire_outcome outcome;

    wire->is_dry = false;
    do {
        size_t count = 0;

        ERR_clear_error();
        outcome = tls_outcome(
            wire, SSL_read_ex(wire->ssl, room + *len, room_len - *len, &count) == 1 ? 1 : 0);
        *len += count;
    } while (outcome == WIRE_OK && room_len - *len >= SSL3_RT_MAX_PLAIN_LENGTH &&
             SSL_has_pending(wire->ssl) == 1);

    wire->is_dry = outcome == WIRE_WANT_READ;
    if (*len == 0 || outcome == WIRE_OK) {
        return outcome;
    }
    if (outcome != WIRE_WANT_READ) {
        wire->held_end = outcome;
    }
    return WIRE_OK;
}

enum wire_outcome wire_read(struct wire *wire, char *room, size_t room_len, size_t *len)
{
    const enum wire_outcome held = wire->held_end;

    *len = 0;
    if (held != WIRE_OK) {
        wire->held_end = WIRE_OK;
        return held;
    }
    if (wire->ssl == NULL) {
        return read_socket(wire, room, room_len, len);
    }
    return read_tls(wire, room, room_len, len);
}

bool wire_has_more(const struct wire *wire)
{
    if (wire->held_end != WIRE_OK) {
        return true;
    }
    return wire->ssl != NULL && !wire->is_dry && SSL_has_pending(wire->ssl) == 1;
}

enum wire_outcome wire_write(struct wire *wire, struct slice bytes, size_t *len)
{
    ssize_t count;

    *len = 0;
    if (wire->ssl != NULL) {
        ERR_clear_error();
        return tls_outcome(wire, SSL_write_ex(wire->ssl, bytes.data, bytes.len, len) == 1 ? 1 : 0);
    }
    count = send(wire->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (count < 0) {
        return socket_outcome(WIRE_WANT_WRITE);
    }
    *len = (size_t)count;
    return WIRE_OK;
}

enum wire_outcome wire_drop(struct wire *wire, char *room, size_t room_len, size_t *len)
{
    *len = 0;
    return read_socket(wire, room, room_len, len);
}

void wire_say_end(struct wire *wire)
{
    if (wire->ssl != NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(wire->ssl); /* if it does not fit, the FIN below has to do */
        ERR_clear_error();
    }
    (void)shutdown(wire->fd, SHUT_WR);
}

void wire_rest(struct wire *wire)
{
    if (wire->ssl != NULL) {
        ERR_clear_error();
        (void)SSL_free_buffers(wire->ssl); /* refuses while a record is half read or written */
    }
}
