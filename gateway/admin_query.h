/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_query.h - what a query of the admin listener says, strictly: these queries decide what is
 * sent again or let go.  Each error is ERR_BAD_REQUEST with the parameter's name.
 */
#pragma once

#include "gateway/admin.h"

/* A text of a filter; empty if the query does not name it.  One that is named and empty is a
 * mistake (a variable that a script did not set), and must not widen the filter to everything. */
MUST_USE enum err admin_query_text(const struct admin_call *call, struct slice name,
                                   struct slice *text, struct err_why *why);
/* A number of at least 1; `*number` stays as it is when the query does not name it. */
MUST_USE enum err admin_query_number(const struct admin_call *call, struct slice name,
                                     uint64_t *number, struct err_why *why);
/* `*is_on` stays false when the query does not name it. */
MUST_USE enum err admin_query_flag(const struct admin_call *call, struct slice name, bool *is_on,
                                   struct err_why *why);
/* Only what `filters` and `own` name may be asked: a name that is misspelt would otherwise widen
 * the filter in silence. */
MUST_USE enum err admin_query_check(const struct admin_call *call, const struct slice *filters,
                                    size_t filter_count, const struct slice *own, size_t own_count,
                                    struct err_why *why);
