/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_identity.h - tokens for principals of AWS: the grant whose proof STS judges.
 */
#pragma once

#include "gateway/ingest.h"

#define OAUTH_GRANT_AWS_IDENTITY "urn:weir:grant-type:aws-identity"

struct http_client;
struct identity_desk;

/* One per worker; `http` outlives its calls, and worker_count workers share the calls that the
 * configuration allows. */
struct identity_desk *identity_desk_new(struct http_client *http, const struct config *config,
                                        unsigned worker_count);
/* No call may be open. NULL is fine. */
void identity_desk_destroy(struct identity_desk *desk);
bool identity_desk_is_idle(const struct identity_desk *desk);
/* Look at the proof, a presigned URL, ask STS, and answer the request. */
void identity_desk_take(struct identity_desk *desk, struct ingest *ingest, struct request *request,
                        struct slice proof);
