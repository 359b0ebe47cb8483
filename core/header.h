/* SPDX-License-Identifier: Apache-2.0
 *
 * header.h - one HTTP header field, and finding one in an array of them.
 */
#pragma once

#include "core/slice.h"

struct header {
    struct slice name; /* as received; HTTP/2 names are lower case, HTTP/1.1 names any */
    struct slice value;
};

/* The first field of that name (ASCII case ignored), or NULL. */
static inline const struct header *header_find(const struct header *headers, size_t count,
                                               struct slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq_ignore_case(headers[i].name, name)) {
            return &headers[i];
        }
    }
    return NULL;
}

/* Its value, or the empty slice. */
static inline struct slice header_value(const struct header *headers, size_t count,
                                        struct slice name)
{
    const struct header *found = header_find(headers, count, name);

    return found != NULL ? found->value : (struct slice){NULL, 0};
}
