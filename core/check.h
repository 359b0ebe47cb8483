/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h - facts that must hold, checked in every build.
 *
 * A CHECK is for our own mistakes; bytes from outside give an `enum err`.  One fact per CHECK, so
 * that the report names the fact.
 */
#pragma once

_Noreturn void check_failed(const char *fact, const char *file, int line);

#define CHECK(fact)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(fact), 0)) {                                                        \
            check_failed(#fact, __FILE__, __LINE__);                                               \
        }                                                                                          \
    } while (0)

/* Long-lived structs begin with `uint32_t magic`: a stale or foreign pointer is seen at entry. */
#define CHECK_MAGIC(object, expected)                                                              \
    do {                                                                                           \
        CHECK((object) != NULL);                                                                   \
        CHECK((object)->magic == (expected));                                                      \
    } while (0)
