/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.h - a thread for the one long work that changes make: folding the rules of a large bus.
 */
#pragma once

#include "core/mailbox.h"
#include "routing/ruleset.h"

struct compiler;

/* A fold on its way to the compiler and back. */
struct compiler_job {
    struct mail mail;
    struct compiler *compiler;
    struct ruleset_fold *fold;
    void (*work)(struct ruleset_fold *fold);   /* ruleset_fold_run or ruleset_fold_free */
    void (*on_done)(struct compiler_job *job); /* on the thread of `home` */
    void *context;
};

/* Start the thread; jobs come back to `home`. */
struct compiler *compiler_new(struct mailbox *home);
/* Ends the thread when it has done what it was given: all jobs are in the box then.  NULL is fine.
 */
void compiler_destroy(struct compiler *compiler);
void compiler_submit(struct compiler *compiler, struct compiler_job *job);
