/* SPDX-License-Identifier: Apache-2.0
 *
 * base.h - what every file of weir includes first: the C library's headers, a handful of macros,
 * the allocators that abort, and a ban on the functions that have hurt everyone once.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))

#define PRINTF_LIKE(format_index, first_argument)                                                  \
    __attribute__((format(printf, format_index, first_argument)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of type `type` whose member `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* Allocate or abort.  Allocation failure is never an error value in weir: every size has a
 * configured maximum, their sum fits the configured memory, and a process that is out of memory
 * anyway restarts from its durable store.  Outside core/ prefer an arena or a buf. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *pointer, size_t size) __attribute__((returns_nonnull));
char *xstrndup(const char *text, size_t size) __attribute__((malloc, returns_nonnull));
/* free(), by a name that the lint allows outside core/. NULL is fine. */
void xfree(void *pointer);

#undef sprintf /* glibc makes these macros under clang with FORTIFY, and a poisoned macro warns */
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf
#pragma GCC poison strtok atoi atol atoll atof
#pragma GCC poison gmtime localtime ctime asctime
