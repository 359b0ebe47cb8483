/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.c - a stack that many push to and one empties, reversed on the way out.
 *
 *     send:  newest -> C -> B -> A      a push is one compare-and-exchange
 *     take:  A -> B -> C                one exchange takes all, then the list is turned round
 *
 * Only the push that finds the box empty writes to the eventfd, so a burst costs one system call.
 * Nobody pops single messages, hence no ABA: a push succeeds on any box whose top is what it saw,
 * even if that message left and came back meanwhile, because only the top was looked at.
 *
 * Invariant: mail in the box implies that the eventfd is readable or that the receiver, having read
 *            it, is about to take.  The receiver therefore reads the eventfd first and takes
 * second. Memory:    the box owns what lies in it only until the receiver takes it; it frees
 * nothing.
 */
#include "core/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"

static void clear_wake(struct mailbox *mailbox)
{
    uint64_t count;
    const ssize_t len = read(mailbox->wake_fd, &count, sizeof(count));

    CHECK(len == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void on_wake(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    (void)mailbox_drain(CONTAINER_OF(watcher, struct mailbox, watcher));
}

void mailbox_init(struct mailbox *mailbox, struct ev_loop *loop)
{
    *mailbox = (struct mailbox){.loop = loop};
    atomic_init(&mailbox->newest, NULL);
    mailbox->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(mailbox->wake_fd >= 0);
    ev_io_init(&mailbox->watcher, on_wake, mailbox->wake_fd, EV_READ);
    if (loop != NULL) {
        ev_io_start(loop, &mailbox->watcher);
    }
}

void mailbox_clean_up(struct mailbox *mailbox)
{
    while (mailbox_drain(mailbox) > 0) {
        /* what arrives may send to its own box once more */
    }
    if (mailbox->loop != NULL) {
        ev_io_stop(mailbox->loop, &mailbox->watcher);
    }
    (void)close(mailbox->wake_fd);
    mailbox->wake_fd = -1;
}

void mailbox_send(struct mailbox *mailbox, struct mail *mail)
{
    const uint64_t one = 1;
    struct mail *top = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);

    CHECK(mail->on_arrival != NULL);
    do {
        mail->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &top, mail,
                                                    memory_order_release, memory_order_relaxed));
    /* From here on `mail` belongs to the receiver. */
    if (top == NULL) {
        ssize_t len;

        do {
            len = write(mailbox->wake_fd, &one, sizeof(one));
        } while (len < 0 && errno == EINTR);
        CHECK(len == (ssize_t)sizeof(one) || errno == EAGAIN); /* EAGAIN: 2^64 - 2 wakes wait */
    }
}

struct mail *mailbox_take(struct mailbox *mailbox)
{
    struct mail *mail = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    struct mail *oldest = NULL;

    if (mail != NULL) {
        mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    }
    while (mail != NULL) {
        struct mail *older = mail->next;

        mail->next = oldest;
        oldest = mail;
        mail = older;
    }
    return oldest;
}

size_t mailbox_drain(struct mailbox *mailbox)
{
    struct mail *mail;
    size_t count = 0;

    clear_wake(mailbox);
    mail = mailbox_take(mailbox);
    while (mail != NULL) {
        struct mail *next = mail->next; /* on_arrival may free it or send it on */

        mail->on_arrival(mail);
        mail = next;
        count++;
    }
    return count;
}

void mailbox_wait(struct mailbox *mailbox, int timeout_ms)
{
    struct pollfd waited = {.fd = mailbox->wake_fd, .events = POLLIN};

    if (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) != NULL) {
        return;
    }
    if (poll(&waited, 1, timeout_ms) > 0) {
        clear_wake(mailbox);
    }
}
