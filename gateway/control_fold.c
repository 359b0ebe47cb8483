/* SPDX-License-Identifier: Apache-2.0
 *
 * control_fold.c - what many changes of a large bus leave behind is compiled anew, one bus at a
 * time:
 *
 *   begin     take what the ruleset wants folded; nothing is held up meanwhile
 *   run       on the compiler's thread
 *   publish   a ruleset that uses what was compiled, and says what the one in force says
 *   free      what it took the place of, on the compiler's thread again, when the workers have left
 *             it: they should not have to
 */
#include "gateway/control_internal.h"

static void submit(struct control *control, void (*work)(struct ruleset_fold *fold),
                   void (*on_done)(struct compiler_job *job))
{
    control->folding.work = work;
    control->folding.on_done = on_done;
    control->folding.context = control;
    compiler_submit(control->compiler, &control->folding);
}

static void on_freed(struct compiler_job *job)
{
    struct control *control = job->context;

    job->fold = NULL;
    control_fold(control);
}

static void on_folded(struct compiler_job *job)
{
    struct control *control = job->context;
    struct ruleset *ruleset;

    if (!control->is_stopping) {
        ruleset = ruleset_fold_end(control->snapshot->ruleset, job->fold);
        control_publish(control, snapshot_with_ruleset(control->snapshot, ruleset));
        control->is_fold_published = true;
    }
}

void control_fold(struct control *control)
{
    if (control->compiler == NULL || control->is_stopping || control->folding.fold != NULL) {
        return;
    }
    control->folding.fold = ruleset_fold_begin(control->snapshot->ruleset);
    if (control->folding.fold != NULL) {
        submit(control, ruleset_fold_run, on_folded);
    }
}

void control_fold_settle(struct control *control)
{
    if (control->is_fold_published && !control->is_stopping) {
        control->is_fold_published = false;
        submit(control, ruleset_fold_free, on_freed);
    }
}

void control_fold_shut(struct control *control)
{
    if (control->folding.fold != NULL) {
        ruleset_fold_free(control->folding.fold);
    }
}
