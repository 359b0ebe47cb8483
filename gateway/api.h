/* SPDX-License-Identifier: Apache-2.0
 *
 * api.h - `POST /` of the data listener: the EventBridge API, one action per X-Amz-Target.
 */
#pragma once

#include "gateway/ingest.h"

/* Before the body: content type, known action, readable Authorization header.  On an error the
 * response is filled in as EventBridge's JSON protocol spells errors. */
MUST_USE enum err api_check_head(struct ingest *ingest, struct request *request, size_t *body_max);
/* The whole request: answers it, now or later. */
void api_handle(struct ingest *ingest, struct request *request);

/* Answer `{"__type":CODE,"message":MESSAGE}` with `status`. */
void api_respond_error(struct request *request, unsigned status, const char *code,
                       const char *message);
/* Answer 200 with this JSON. */
void api_respond(struct request *request, struct slice json);
