/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_lists.h - the lists that patterns ask, where a command judges them without a gateway.
 */
#pragma once

#include "routing/partner_list.h"
#include "routing/pattern.h"

#define CLI_LISTS_HELP                                                                             \
    "--lists FILE holds the lists that patterns ask by in-list, as a catalog has them:\n"          \
    "{\"lists\": [{\"name\": NAME, \"accounts\": […]}]}.\n"

/* Read --lists; NULL is no file and gives NULL: no list.  False, with the reason printed, if it is
 * not good.  The caller's reference. */
MUST_USE bool cli_lists_read(const char *path, struct partner_lists **lists);
/* ERR_BAD_PATTERN, with its name in `why`, for a list that the pattern asks and that is not there.
 */
MUST_USE enum err cli_lists_check(const struct partner_lists *lists, const struct pattern *pattern,
                                  struct err_why *why);
