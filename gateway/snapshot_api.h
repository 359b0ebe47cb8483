/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_api.h - the documents of API destinations and connections, as those who call them need
 * them.
 */
#pragma once

#include "gateway/snapshot.h"

/* Make every API destination of the catalog, or use the previous snapshot's again where neither it
 * nor its connection has changed.  ERR_STORE_CORRUPT for secrets that cannot be opened. */
MUST_USE enum err snapshot_add_api_destinations(const struct catalog *catalog,
                                                const struct snapshot_options *options,
                                                struct directory *directory, struct err_why *why);

/* `http_parameters` of a target (NULL: it has none), compiled into the arena; NULL if there are
 * none.  Its values were checked. */
MUST_USE enum err http_config_read(json_t *http, struct arena *arena,
                                   const struct rule_http **result, struct err_why *why);
/* What a connection's document says of OAuth, with its secrets; in the arena. */
void api_oauth_read(const json_t *connection, const json_t *secrets, struct arena *arena,
                    struct api_oauth *oauth);
