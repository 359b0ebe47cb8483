/* SPDX-License-Identifier: Apache-2.0
 *
 * dedup_config.h - `dedup.by` of an account, as people write it.
 *
 *     ["explicit", "id", "finding", {"paths": ["detail.id", "detail.version"]}]    layers, in order
 *     ["detail.id", "detail.version"]                  short for one layer: [{"paths": [...]}]
 *
 * A string with a dot is a path, one without is the name of a layer.  A list is of layers or of
 * paths, never of both.
 */
#pragma once

#include <jansson.h>

#include "accounts/directory.h"

/* Call `on_mistake` for each mistake of `by`: where in it ("[2]", "[0].paths[1]", "" for itself)
 * and what. */
void dedup_config_check(const json_t *by,
                        void (*on_mistake)(void *context, const char *where, const char *what),
                        void *context);
/* The layers of a `by` without mistakes, in their order; NULL stands for the default: explicit, id,
 * invocation, signature. */
const struct account_dedup *dedup_config_read(const json_t *by, struct arena *arena, size_t *count);
