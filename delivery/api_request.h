/* SPDX-License-Identifier: Apache-2.0
 *
 * api_request.h - one event as the HTTP request that an API destination gets.
 */
#pragma once

#include "accounts/api_destination.h"
#include "delivery/target.h"

enum { API_REQUEST_URL_BYTES_MAX = 16384 };

/* Write URL, headers and body.  `authorization` is the value of the Authorization header, or empty
 * where the connection has a header of its own.  In the arena; the body in request->body.
 * ERR_BAD_VALUE or ERR_TOO_LARGE, with the reason in `why`, for what can never be sent: another
 * number of path values than stars, a path value that is empty or leads elsewhere, a header value
 * that breaks the line, a body that cannot take the connection's parameters. */
MUST_USE enum err api_request_write(const struct api_destination *destination,
                                    struct slice authorization, const struct target_item *item,
                                    struct arena *arena, struct target_request *request,
                                    struct err_why *why);

/* Does this text hold one of the connection's secrets, or `authorization`? */
bool api_request_tells(const struct api_destination *destination, struct slice authorization,
                       struct slice text);
