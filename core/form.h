/* SPDX-License-Identifier: Apache-2.0
 *
 * form.h - the parameters of a query string or of a form's body.
 */
#pragma once

#include "core/arena.h"
#include "core/err.h"
#include "core/slice.h"

enum { FORM_PARAMETERS_MAX = 64 };

struct form_parameter {
    struct slice name; /* decoded */
    struct slice value;
};

struct form {
    struct form_parameter parameters[FORM_PARAMETERS_MAX];
    size_t count;
};

/* Read "a=1&b=x%20y": in the order they came, decoded into `arena`; empty pairs are passed over.
 * `plus_is_space` as forms have it; in a query that was signed a plus is a plus.
 * ERR_BAD_VALUE for a '%' without two hex digits, ERR_TOO_LARGE past FORM_PARAMETERS_MAX.
 *
 *= https://url.spec.whatwg.org/#application/x-www-form-urlencoded
 */
MUST_USE enum err form_read(struct slice text, bool plus_is_space, struct arena *arena,
                            struct form *form);
/* The value of the one parameter of that name.  False: it came more than once.  A missing one is
 * the empty slice. */
MUST_USE bool form_get(const struct form *form, struct slice name, struct slice *value);
