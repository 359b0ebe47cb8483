/* SPDX-License-Identifier: Apache-2.0
 *
 * base.c - the allocators that abort, and the report of a failed CHECK.
 *
 * Why abort: the branches that handle a failed malloc are never tested and rarely right.  weir
 * bounds every size instead, and what it promised is in the store, so a restart loses nothing.
 */
#include "core/base.h"

#include <unistd.h>

#include "core/check.h"

static _Noreturn void die_out_of_memory(size_t size)
{
    char line[96];
    const int len =
        snprintf(line, sizeof(line), "weir: out of memory asking for %zu bytes\n", size);

    (void)!write(STDERR_FILENO, line, (size_t)len);
    abort();
}

void *xmalloc(size_t size)
{
    void *pointer = malloc(size > 0 ? size : 1);

    if (pointer == NULL) {
        die_out_of_memory(size);
    }
    return pointer;
}

void *xcalloc(size_t count, size_t size)
{
    void *pointer = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (pointer == NULL) {
        die_out_of_memory(size);
    }
    return pointer;
}

void *xrealloc(void *pointer, size_t size)
{
    void *grown = realloc(pointer, size > 0 ? size : 1);

    if (grown == NULL) {
        die_out_of_memory(size);
    }
    return grown;
}

char *xstrndup(const char *text, size_t size)
{
    char *copy = xmalloc(size + 1);

    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

void xfree(void *pointer)
{
    free(pointer);
}

void check_failed(const char *fact, const char *file, int line)
{
    char text[512];
    const int len =
        snprintf(text, sizeof(text), "weir: CHECK failed: %s at %s:%d\n", fact, file, line);

    (void)!write(STDERR_FILENO, text, MIN_OF((size_t)len, sizeof(text) - 1));
    abort();
}
