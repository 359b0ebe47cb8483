/* SPDX-License-Identifier: Apache-2.0
 *
 * compiler.c - takes folds out of its box, runs or frees them, sends them home.
 *
 * A hundred thousand rules take most of a second to compile, and some milliseconds to free; neither
 * those who match nor whoever changes a rule has to wait for it.  The thread is nicer than the
 * others, so that on a machine without a core to spare it is the one that waits.
 */
#include "gateway/compiler.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/check.h"

enum { NICENESS = 10 };

struct compiler {
    struct mailbox mailbox;
    struct mailbox *home;
    pthread_t thread;
    struct mail stop;
    bool is_stopping; /* the thread's own */
};

static void on_home(struct mail *mail)
{
    struct compiler_job *job = CONTAINER_OF(mail, struct compiler_job, mail);

    job->on_done(job);
}

static void on_job(struct mail *mail)
{
    struct compiler_job *job = CONTAINER_OF(mail, struct compiler_job, mail);

    job->work(job->fold);
    job->mail.on_arrival = on_home;
    mailbox_send(job->compiler->home, &job->mail);
}

static void on_stop(struct mail *mail)
{
    CONTAINER_OF(mail, struct compiler, stop)->is_stopping = true;
}

static void *run(void *argument)
{
    struct compiler *compiler = argument;

    (void)setpriority(PRIO_PROCESS, 0, NICENESS); /* of this thread, on Linux */
    while (!compiler->is_stopping) {
        mailbox_wait(&compiler->mailbox, -1);
        (void)mailbox_drain(&compiler->mailbox);
    }
    return NULL;
}

struct compiler *compiler_new(struct mailbox *home)
{
    struct compiler *compiler = xcalloc(1, sizeof(*compiler));
    sigset_t all;
    sigset_t before;

    compiler->home = home;
    mailbox_init(&compiler->mailbox, NULL);
    (void)sigfillset(&all); /* signals are control's */
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    CHECK(pthread_create(&compiler->thread, NULL, run, compiler) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return compiler;
}

void compiler_destroy(struct compiler *compiler)
{
    if (compiler == NULL) {
        return;
    }
    compiler->stop.on_arrival = on_stop;
    mailbox_send(&compiler->mailbox, &compiler->stop);
    CHECK(pthread_join(compiler->thread, NULL) == 0);
    mailbox_clean_up(&compiler->mailbox);
    xfree(compiler);
}

void compiler_submit(struct compiler *compiler, struct compiler_job *job)
{
    job->compiler = compiler;
    job->mail.on_arrival = on_job;
    mailbox_send(&compiler->mailbox, &job->mail);
}
