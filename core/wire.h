/* SPDX-License-Identifier: Apache-2.0
 *
 * wire.h - a non-blocking socket with or without TLS on it: move bytes now, or say what to wait
 * for.
 */
#pragma once

#include <openssl/types.h>

#include "core/slice.h"

enum wire_outcome {
    WIRE_OK,
    WIRE_WANT_READ,
    WIRE_WANT_WRITE,
    WIRE_END,    /* the peer will send no more */
    WIRE_GONE,   /* the connection was reset */
    WIRE_BROKEN, /* what came is not TLS as agreed */
};

struct wire {
    int fd;
    SSL *ssl;                   /* NULL: cleartext */
    bool is_dry;                /* TLS: the last read found an empty socket */
    enum wire_outcome held_end; /* follows the bytes already handed out; WIRE_OK: none */
};

/* Take over `fd` and `ssl`; the descriptor becomes non-blocking, without Nagle's delay. */
void wire_init(struct wire *wire, int fd, SSL *ssl);
/* Close at once, without a goodbye. */
void wire_clean_up(struct wire *wire);

/* One step of the TLS handshake; WIRE_OK when done. */
MUST_USE enum wire_outcome wire_handshake(struct wire *wire);
/* Fill `room` as far as one system call and what TLS holds allow. WIRE_OK: *len > 0 bytes. */
MUST_USE enum wire_outcome wire_read(struct wire *wire, char *room, size_t room_len, size_t *len);
/* May another wire_read() give something before the socket becomes readable? */
bool wire_has_more(const struct wire *wire);
/* Write what the socket takes; WIRE_OK: *len > 0 bytes.  After WIRE_WANT_WRITE the next call must
 * begin with the same bytes. At most one TLS record and one system call for up to 16 KiB. */
MUST_USE enum wire_outcome wire_write(struct wire *wire, struct slice bytes, size_t *len);
/* Read from the socket past TLS and forget: for the time after our last word. */
MUST_USE enum wire_outcome wire_drop(struct wire *wire, char *room, size_t room_len, size_t *len);
/* close_notify and the end of our direction. */
void wire_say_end(struct wire *wire);
/* Give TLS's buffers back while nothing moves; they come again by themselves. */
void wire_rest(struct wire *wire);
