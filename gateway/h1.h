/* SPDX-License-Identifier: Apache-2.0
 *
 * h1.h - HTTP/1.1 on one connection.
 */
#pragma once

#include "gateway/connection.h"

/* Speak HTTP/1.1 on this connection from now on. */
void h1_open(struct connection *connection);
/* Bytes that were read before h1_open(). */
void h1_read(struct connection *connection, struct slice bytes);
