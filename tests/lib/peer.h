/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.h - the other end of a connection under test: a blocking TCP client, with TLS or without.
 *
 * Every step that a script expects to succeed is a CHECK, so a script reads as a story.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/check.h"
#include "core/slice.h"

struct peer {
    int fd;
    SSL *ssl;   /* NULL: cleartext */
    bool stays; /* leave it open when the script ends */
};

/* A connected pair over loopback TCP: the server's end is returned, the client's is *client. */
static inline int peer_pair(int *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int server;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    *client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(*client, (struct sockaddr *)&address, sizeof(address)) == 0);
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(server >= 0);
    CHECK(close(listener) == 0);
    return server;
}

static inline bool peer_shake_hands(struct peer *peer)
{
    ERR_clear_error();
    return peer->ssl == NULL || SSL_connect(peer->ssl) == 1;
}

static inline bool peer_send(struct peer *peer, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t sent = 0;

        if (peer->ssl != NULL) {
            ERR_clear_error();
            if (SSL_write_ex(peer->ssl, bytes.data, bytes.len, &sent) != 1) {
                return false;
            }
        } else {
            const ssize_t count = send(peer->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

            if (count < 0) {
                return false;
            }
            sent = (size_t)count;
        }
        bytes = slice_from(bytes, sent);
    }
    return true;
}

/* Up to `room_len` bytes; 0: a clean end; -1: anything else. */
static inline ssize_t peer_receive(struct peer *peer, char *room, size_t room_len)
{
    size_t len = 0;

    if (peer->ssl == NULL) {
        return recv(peer->fd, room, room_len, 0);
    }
    ERR_clear_error();
    if (SSL_read_ex(peer->ssl, room, room_len, &len) == 1) {
        return (ssize_t)len;
    }
    return SSL_get_error(peer->ssl, 0) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* Read until the end; the number of bytes, or -1 when the end was not clean. */
static inline ssize_t peer_receive_all(struct peer *peer)
{
    static _Thread_local char room[65536];
    ssize_t total = 0;
    ssize_t count;

    while ((count = peer_receive(peer, room, sizeof(room))) > 0) {
        total += count;
    }
    return count == 0 ? total : -1;
}

/* No more from this side; the other may go on. */
static inline void peer_end(struct peer *peer)
{
    if (peer->ssl != NULL) {
        (void)SSL_shutdown(peer->ssl);
    }
    (void)shutdown(peer->fd, SHUT_WR);
}

/* A reset instead of an end. */
static inline void peer_reset(struct peer *peer)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    CHECK(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
    CHECK(close(peer->fd) == 0);
    peer->fd = -1;
}

static inline void peer_close(struct peer *peer)
{
    SSL_free(peer->ssl);
    if (peer->fd >= 0) {
        (void)close(peer->fd);
    }
    *peer = (struct peer){.fd = -1};
}
