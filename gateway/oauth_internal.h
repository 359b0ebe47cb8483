/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_internal.h - how the token endpoint answers, whoever asks.
 */
#pragma once

#include "gateway/ingest.h"

/* A token that speaks for this credential for `life_ms`, or until the credential ends. */
void oauth_respond_token(struct ingest *ingest, struct request *request,
                         const struct principal *principal, uint64_t life_ms);
/* {"error","error_description"}; counted as refused for `err`, whose status it has where `status`
 * is 0.  A busy one says when to come again. */
void oauth_respond_error(struct ingest *ingest, struct request *request, enum err err,
                         unsigned status, const char *error, const char *description);
