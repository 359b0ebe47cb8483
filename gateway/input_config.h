/* SPDX-License-Identifier: Apache-2.0
 *
 * input_config.h - what a target gets instead of the event, as people write it in the catalog.
 *
 *     "input": "{\"fixed\": true}"                      a string that holds JSON
 *     "input_path": "$.detail"
 *     "input_transformer": {"input_paths_map": {"who": "$.account"}, "input_template": "…"}
 *
 * At most one of them; without any the target gets the event.
 */
#pragma once

#include <jansson.h>

#include "core/arena.h"
#include "core/err.h"
#include "routing/transform.h"

/* What is said where two of them are given. */
#define INPUT_CONFIG_ONLY_ONE "only one of input, input_path and input_transformer may be given"

/* Call `on_mistake` for each mistake: where in the target (".input_transformer.input_template", ""
 * for itself) and what.  The members have their types already. */
void input_config_check(const json_t *target,
                        void (*on_mistake)(void *context, const char *where, const char *what),
                        void *context);
/* The compiled input of a target, in the arena; NULL: the event itself.  ERR_BAD_VALUE only for
 * what input_config_check() finds, too. */
MUST_USE enum err input_config_read(const json_t *target, struct arena *arena,
                                    const struct transform **transform, struct err_why *why);
