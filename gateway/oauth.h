/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.h - `POST /oauth/token`: short-lived tokens for clients that know their secret.
 */
#pragma once

#include "gateway/ingest.h"

/* Before the body: method and content type. */
MUST_USE enum err oauth_check_head(struct ingest *ingest, struct request *request,
                                   size_t *body_max);
/* The whole request: answers it. */
void oauth_handle(struct ingest *ingest, struct request *request);
