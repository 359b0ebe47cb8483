/* SPDX-License-Identifier: Apache-2.0
 *
 * death.h - does a call end the process, and with which words?
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run `deed` in a child; fail unless it aborts and its standard error contains `words`. */
static inline void assert_dies(void (*deed)(void), const char *words)
{
    char text[4096] = "";
    size_t len = 0;
    ssize_t got;
    int ends[2];
    int status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)dup2(ends[1], STDERR_FILENO);
        deed();
        _exit(0);
    }
    close(ends[1]);
    while (len < sizeof(text) - 1 &&
           (got = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, words) == NULL) {
        fail_msg("expected an abort with \"%s\"; status %x, said \"%s\"", words, (unsigned)status,
                 text);
    }
}
