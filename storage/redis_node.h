/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_node.h - one connection to one Redis: greeting, pipeline, deadlines, reconnection.
 *
 * redis_link.h is what others use; this is for who builds on single nodes: the link, the cluster,
 * and the check that lets a connection through.
 */
#pragma once

#include "storage/redis_link.h"

/* Ask this very node, past the gate: for on_greeted and for what is asked again later.  Nothing is
 * retried or redirected. */
void redis_node_call(struct redis_node *node, struct redis_call *call,
                     const struct redis_command *command);
/* Let calls through.  Harmless when the connection has ended meanwhile. */
void redis_node_admit(struct redis_node *node);
/* Do not use this Redis: the connection is ended and tried again after `refused_ms`; until then
 * redis_link_trouble() gives `err`. */
void redis_node_refuse(struct redis_node *node, enum err err);
/* Are calls let through just now? */
bool redis_node_is_up(const struct redis_node *node);
/* "host:port", for logs; valid as long as the node. */
struct slice redis_node_name(const struct redis_node *node);
