/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mailbox.c - order per sender, no loss, one wake for a burst; meant for ThreadSanitizer too.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/check.h"
#include "core/mailbox.h"

enum { SENDERS = 8, MAILS_PER_SENDER = 5000 };

struct parcel {
    struct mail mail;
    unsigned sender;
    unsigned number;
};

static struct {
    struct mailbox box;
    struct ev_loop *loop;
    unsigned next_number[SENDERS];
    size_t arrived;
    bool in_order;
} office;

static void on_parcel(struct mail *mail)
{
    struct parcel *parcel = CONTAINER_OF(mail, struct parcel, mail);

    office.in_order = office.in_order && office.next_number[parcel->sender] == parcel->number;
    office.next_number[parcel->sender] = parcel->number + 1;
    office.arrived++;
    xfree(parcel);
    if (office.loop != NULL && office.arrived == (size_t)SENDERS * MAILS_PER_SENDER) {
        ev_break(office.loop, EVBREAK_ALL);
    }
}

static void post(unsigned sender, unsigned number)
{
    struct parcel *parcel = xcalloc(1, sizeof(*parcel));

    *parcel = (struct parcel){
        .mail.on_arrival = on_parcel,
        .sender = sender,
        .number = number,
    };
    mailbox_send(&office.box, &parcel->mail);
}

static void *send_all(void *argument)
{
    const unsigned sender = *(const unsigned *)argument;

    for (unsigned i = 0; i < MAILS_PER_SENDER; i++) {
        post(sender, i);
    }
    return NULL;
}

static void open_office(struct ev_loop *loop)
{
    memset(&office, 0, sizeof(office));
    office.in_order = true;
    office.loop = loop;
    mailbox_init(&office.box, loop);
}

static void receive_on_loop(void)
{
    ev_run(office.loop, 0);
}

static void receive_by_waiting(void)
{
    while (office.arrived < (size_t)SENDERS * MAILS_PER_SENDER) {
        mailbox_wait(&office.box, -1);
        (void)mailbox_drain(&office.box);
    }
}

static void exchange_mail(struct ev_loop *loop, void (*receive)(void))
{
    pthread_t threads[SENDERS];
    unsigned numbers[SENDERS];

    open_office(loop);
    for (unsigned i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &numbers[i]), 0);
    }
    receive();
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(office.arrived, (size_t)SENDERS * MAILS_PER_SENDER);
    assert_true(office.in_order);
    mailbox_clean_up(&office.box);
}

/* Goal: eight threads lose nothing and each keeps its order, for both kinds of receiver. */
static void test_many_senders_keep_their_order(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

    (void)state;
    exchange_mail(loop, receive_on_loop);
    exchange_mail(NULL, receive_by_waiting);
    ev_loop_destroy(loop);
}

/* Goal:   a burst wakes the receiver once.
 * Method: the eventfd counts what was written to it. */
static void test_a_burst_is_one_wake(void **state)
{
    uint64_t wakes = 0;

    (void)state;
    open_office(NULL);
    for (unsigned i = 0; i < 100; i++) {
        post(0, i);
    }
    assert_int_equal(read(office.box.wake_fd, &wakes, sizeof(wakes)), sizeof(wakes));
    assert_int_equal(wakes, 1);
    assert_int_equal(mailbox_drain(&office.box), 100);
    assert_int_equal(mailbox_drain(&office.box), 0);
    post(0, 100);
    assert_int_equal(read(office.box.wake_fd, &wakes, sizeof(wakes)), sizeof(wakes));
    assert_int_equal(wakes, 1);
    mailbox_clean_up(&office.box);
    assert_int_equal(office.arrived, 101);
    assert_true(office.in_order);
}

/* Goal: take hands over the list oldest first and runs nothing. */
static void test_take_runs_nothing(void **state)
{
    struct mail *mail;

    (void)state;
    open_office(NULL);
    assert_null(mailbox_take(&office.box));
    for (unsigned i = 0; i < 3; i++) {
        post(0, i);
    }
    mail = mailbox_take(&office.box);
    assert_int_equal(office.arrived, 0);
    for (unsigned i = 0; i < 3; i++) {
        struct parcel *parcel = CONTAINER_OF(mail, struct parcel, mail);

        assert_int_equal(parcel->number, i);
        mail = mail->next;
        xfree(parcel);
    }
    assert_null(mail);
    mailbox_clean_up(&office.box);
}

static void on_return(struct mail *mail)
{
    struct parcel *parcel = CONTAINER_OF(mail, struct parcel, mail);

    mail->on_arrival = on_parcel;
    parcel->number = 0;
    mailbox_send(&office.box, mail);
}

/* Goal: mail sent from on_arrival arrives too, even while the box closes. */
static void test_mail_may_send_itself_on(void **state)
{
    struct parcel *parcel = xcalloc(1, sizeof(*parcel));

    (void)state;
    open_office(NULL);
    parcel->mail.on_arrival = on_return;
    mailbox_send(&office.box, &parcel->mail);
    mailbox_clean_up(&office.box);
    assert_int_equal(office.arrived, 1);
}

/* Goal: waiting ends by itself, and at once when something is there. */
static void test_wait_ends(void **state)
{
    (void)state;
    open_office(NULL);
    mailbox_wait(&office.box, 1);
    post(0, 0);
    mailbox_wait(&office.box, -1);
    assert_int_equal(mailbox_drain(&office.box), 1);
    mailbox_clean_up(&office.box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_senders_keep_their_order),
        cmocka_unit_test(test_a_burst_is_one_wake),
        cmocka_unit_test(test_take_runs_nothing),
        cmocka_unit_test(test_mail_may_send_itself_on),
        cmocka_unit_test(test_wait_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
