/* SPDX-License-Identifier: Apache-2.0
 *
 * bus_name.c - the two spellings of a bus, read in one place for events and for configuration.
 */
#include "gateway/bus_name.h"

#include "accounts/directory.h"

enum { ARN_PARTS = 5 }; /* before the resource */

bool bus_name_read(struct slice text, struct bus_name *name)
{
    struct slice rest = text;
    struct slice parts[ARN_PARTS];
    const struct slice kind = SLICE("event-bus/");

    *name = (struct bus_name){.name = text.len > 0 ? text : SLICE("default")};
    if (!slice_has_prefix(text, SLICE("arn:"))) {
        return true;
    }
    for (size_t i = 0; i < ARN_PARTS; i++) {
        parts[i] = slice_cut(&rest, ':');
    }
    if (!slice_eq(parts[2], SLICE("events")) || parts[4].len != ACCOUNT_ID_CHARS ||
        !slice_has_prefix(rest, kind) || rest.len == kind.len) {
        return false;
    }
    name->account = parts[4];
    name->name = slice_from(rest, kind.len);
    return true;
}
