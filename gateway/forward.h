/* SPDX-License-Identifier: Apache-2.0
 *
 * forward.h - `POST /events`: envelopes as API destinations and forwarders send them.
 */
#pragma once

#include "gateway/ingest.h"

/* Before the body: method, content type, bus name, credential. */
MUST_USE enum err forward_check_head(struct ingest *ingest, struct request *request,
                                     size_t *body_max);
/* The whole request: one envelope, a JSON array of them, or one per line (application/x-ndjson).
 * Answers {"entries":[{"event_id","duplicate"} | {"error":{"code","message"}}],"failed":n}: 200
 * when at least one entry succeeded, else the status of the first error, 429 and 503 before 400. */
void forward_handle(struct ingest *ingest, struct request *request);
