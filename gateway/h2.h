/* SPDX-License-Identifier: Apache-2.0
 *
 * h2.h - HTTP/2 on one connection.
 */
#pragma once

#include "gateway/connection.h"

/* What the HTTP/2 connections of one listener share: nghttp2's callbacks, options and memory. */
struct h2_shared *h2_shared_new(const struct http_limits *limits);
/* After the last connection. NULL is fine. */
void h2_shared_destroy(struct h2_shared *shared);
/* Bytes that nghttp2 holds for all of them. */
size_t h2_shared_bytes(const struct h2_shared *shared);

/* Speak HTTP/2 on this connection from now on. */
void h2_open(struct connection *connection);
/* Bytes that were read before h2_open(). */
void h2_read(struct connection *connection, struct slice bytes);
