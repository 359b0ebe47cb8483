/* SPDX-License-Identifier: Apache-2.0
 *
 * mailbox.h - how weir's threads talk: a message is handed over whole and returns home to be freed.
 *
 * Many senders, one receiver, no lock: sending is one compare-and-exchange, and the receiver is
 * woken only when its box was empty.  Order is kept per sender.
 */
#pragma once

#include <stdatomic.h>
#include <ev.h>

#include "core/base.h"

struct mail;
/* Runs on the receiving thread, which then owns the mail. */
typedef void (*mail_fn)(struct mail *mail);

struct mail {
    struct mail *next;
    mail_fn on_arrival;
};

struct mailbox {
    /* any thread */
    _Atomic(struct mail *) newest;
    /* set before the receiver starts */
    int wake_fd; /* eventfd */
    struct ev_loop *loop;
    /* the receiver only */
    ev_io watcher;
};

/* A box whose receiver runs `loop`; with NULL the receiver calls mailbox_wait() itself. */
void mailbox_init(struct mailbox *mailbox, struct ev_loop *loop);
/* Deliver what is left, then close. The loop must still exist. */
void mailbox_clean_up(struct mailbox *mailbox);
/* Hand `mail` over. Any thread; never blocks; `mail->on_arrival` must be set. */
void mailbox_send(struct mailbox *mailbox, struct mail *mail);
/* Receiver: run on_arrival of everything that has arrived, oldest first; returns how many. */
size_t mailbox_drain(struct mailbox *mailbox);
/* Receiver: take everything that has arrived, oldest first, without running it. NULL if empty. */
struct mail *mailbox_take(struct mailbox *mailbox);
/* Receiver without a loop: sleep until something arrives or `timeout_ms` passes (<0: for ever). */
void mailbox_wait(struct mailbox *mailbox, int timeout_ms);
