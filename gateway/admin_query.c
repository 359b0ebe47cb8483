/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_query.c - parameters of queries, each checked before anything is done.
 */
#include "gateway/admin_query.h"

enum { NAME_SHOWN_MAX = 64 };

enum err admin_query_text(const struct admin_call *call, struct slice name, struct slice *text,
                          struct err_why *why)
{
    *text = admin_parameter(call, name);
    if (text->data != NULL && text->len == 0) {
        return err_because(ERR_BAD_REQUEST, why, "%.*s: is empty", SLICE_ARG(name));
    }
    return ERR_OK;
}

enum err admin_query_number(const struct admin_call *call, struct slice name, uint64_t *number,
                            struct err_why *why)
{
    const struct slice text = admin_parameter(call, name);

    if (text.data != NULL && (!slice_to_u64(text, number) || *number == 0)) {
        return err_because(ERR_BAD_REQUEST, why, "%.*s: must be a number of at least 1",
                           SLICE_ARG(name));
    }
    return ERR_OK;
}

enum err admin_query_flag(const struct admin_call *call, struct slice name, bool *is_on,
                          struct err_why *why)
{
    const struct slice text = admin_parameter(call, name);

    *is_on = slice_eq(text, SLICE("true"));
    if (text.data != NULL && !*is_on && !slice_eq(text, SLICE("false"))) {
        return err_because(ERR_BAD_REQUEST, why, "%.*s: must be true or false", SLICE_ARG(name));
    }
    return ERR_OK;
}

static bool is_among(struct slice name, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(name, names[i])) {
            return true;
        }
    }
    return false;
}

enum err admin_query_check(const struct admin_call *call, const struct slice *filters,
                           size_t filter_count, const struct slice *own, size_t own_count,
                           struct err_why *why)
{
    struct slice query = call->request->query;

    while (query.len > 0) {
        struct slice pair = slice_cut(&query, '&');
        const struct slice name = slice_cut(&pair, '=');

        if (name.len > 0 && !is_among(name, filters, filter_count) &&
            !is_among(name, own, own_count)) {
            return err_because(ERR_BAD_REQUEST, why, "%.*s: unknown parameter",
                               SLICE_ARG(slice_first(name, NAME_SHOWN_MAX)));
        }
    }
    return ERR_OK;
}
