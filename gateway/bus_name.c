/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_name.c - the two spellings of a bus, read in one place for events and for configuration.
 */
#include "gateway/bus_name.h"

#include "accounts/directory.h"
#include "core/arn.h"

bool bus_name_read(struct slice text, struct bus_name *name)
{
    const struct slice kind = SLICE("event-bus/");
    struct arn arn;

    *name = (struct bus_name){.name = text.len > 0 ? text : SLICE("default")};
    if (!slice_has_prefix(text, SLICE("arn:"))) {
        return true;
    }
    if (!arn_split(text, &arn) || !slice_eq(arn.service, SLICE("events")) ||
        arn.account.len != ACCOUNT_ID_CHARS || !slice_has_prefix(arn.resource, kind) ||
        arn.resource.len == kind.len) {
        return false;
    }
    name->account = arn.account;
    name->name = slice_from(arn.resource, kind.len);
    return true;
}
