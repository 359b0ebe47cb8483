/* SPDX-License-Identifier: Apache-2.0
 *
 * put_events.h - the action PutEvents: up to ten entries in, one result each, in order, out.
 *
 *= https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
 */
#pragma once

#include "gateway/ingest.h"

void put_events_handle(struct ingest *ingest, struct request *request,
                       const struct principal *principal);
