/* SPDX-License-Identifier: Apache-2.0
 *
 * err.c - the table of err.def, read five ways.
 */
#include "core/err.h"

#include <stdarg.h>

#include "core/check.h"
#include "core/utf8.h"

struct err_row {
    const char *name;
    const char *code;
    const char *text;
    enum err_class class;
    unsigned status;
};

static const struct err_row rows[ERR_COUNT] = {
    [ERR_OK] = {"OK", "", "no error", ERR_CLASS_NONE, 200},
#define ERR(name, class, status, code, text)                                                       \
    [ERR_##name] = {#name, code, text, ERR_CLASS_##class, status},
#include "core/err.def"
#undef ERR
};

static const struct err_row *row_of(enum err err)
{
    CHECK((unsigned)err < ERR_COUNT);
    return &rows[err];
}

const char *err_name(enum err err)
{
    return row_of(err)->name;
}

enum err_class err_class(enum err err)
{
    return row_of(err)->class;
}

unsigned err_status(enum err err)
{
    return row_of(err)->status;
}

const char *err_code(enum err err)
{
    return row_of(err)->code;
}

const char *err_text(enum err err)
{
    return row_of(err)->text;
}

enum err err_because(enum err err, struct err_why *why, const char *format, ...)
{
    va_list arguments;

    if (why != NULL) {
        va_start(arguments, format);
        (void)vsnprintf(why->text, sizeof(why->text), format, arguments);
        va_end(arguments);
        utf8_mend(why->text);
    }
    return err;
}
