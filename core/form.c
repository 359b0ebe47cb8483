/* SPDX-License-Identifier: Apache-2.0
 *
 * form.c - the parameters of a query string or of a form's body.
 *
 * Whoever decides by a parameter asks for it by form_get(), which tells a repeated one: two readers
 * that pick a different one of two values have been the way around many a check.
 */
#include "core/form.h"

#include "core/digest.h"

static enum err decode(struct slice text, bool plus_is_space, struct arena *arena,
                       struct slice *decoded)
{
    char *out = arena_alloc(arena, MAX_OF(text.len, (size_t)1));
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];

        if (byte == '%') {
            if (!digest_from_hex(slice_first(slice_from(text, i + 1), 2), &byte, 1)) {
                return ERR_BAD_VALUE;
            }
            i += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        out[len++] = (char)byte;
    }
    *decoded = (struct slice){out, len};
    return ERR_OK;
}

enum err form_read(struct slice text, bool plus_is_space, struct arena *arena, struct form *form)
{
    form->count = 0;
    while (text.len > 0) {
        struct slice value = slice_cut(&text, '&');
        struct form_parameter *parameter = &form->parameters[form->count];
        struct slice name;

        if (value.len == 0) {
            continue;
        }
        if (form->count == FORM_PARAMETERS_MAX) {
            return ERR_TOO_LARGE;
        }
        name = slice_cut(&value, '=');
        TRY(decode(name, plus_is_space, arena, &parameter->name));
        TRY(decode(value, plus_is_space, arena, &parameter->value));
        form->count++;
    }
    return ERR_OK;
}

bool form_get(const struct form *form, struct slice name, struct slice *value)
{
    bool is_found = false;

    *value = (struct slice){NULL, 0};
    for (size_t i = 0; i < form->count; i++) {
        if (slice_eq(form->parameters[i].name, name)) {
            if (is_found) {
                return false;
            }
            is_found = true;
            *value = form->parameters[i].value;
        }
    }
    return true;
}
