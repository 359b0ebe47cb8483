/* SPDX-License-Identifier: Apache-2.0
 *
 * role_watch.c - asks about each dispatch role now and then, and tells when one breaks or heals.
 *
 * The happy path: a role of the catalog stands in a heap by the time it is to be asked about.  When
 * that comes, and the pace allows, a question goes to the credentials provider marked as a check;
 * the provider calls STS, tells the watch what came of it, and keeps the session, so that the first
 * event of the account finds it.  Whatever STS says on behalf of a delivery counts the same and
 * puts the next check off: a busy account costs no check at all, an idle one a call per interval.
 *
 * Verdicts are STS's yes and its no.  Anything else (throttled, no network, no credentials of our
 * own) says nothing about the role: its state stays and the last error stands beside it.  A role
 * that breaks is an error in the log and one that heals a line too; while it stays broken it is
 * asked about twelve times as often, so that healing is seen soon.
 *
 * The bound: CHECKS_MAX questions under way, one at a time at `checks_per_second` divided by the
 * number of replicas.  So thousands of new accounts never stand before a delivery in the provider's
 * queue.  Every replica checks for itself, as what it finds out (its own credentials, its own way
 * to STS, its own cache of sessions) is its own; asking a role is harmless to repeat.
 *
 * Memory: some hundred bytes for a role; one message each, cut.
 */
#include "accounts/role_watch.h"

#include <ev.h>

#include "core/arena.h"
#include "core/check.h"
#include "core/heap.h"
#include "core/list.h"
#include "core/log.h"
#include "core/map.h"
#include "core/moment.h"
#include "core/random.h"

enum {
    ROLE_WATCH_MAGIC = 0x77617463,
    CHECKS_MAX = 4, /* under way at once */
    SOONER = 12,    /* a role that is not well is asked about that many times as often */
    SOONEST_MS = 1000,
    MESSAGE_CHARS = 160,
    WAKE_MAX_MS = 30 * 1000, /* the wall clock may be set meanwhile */
};

struct watched {
    struct arena arena; /* the texts */
    struct slice account;
    struct slice arn;
    struct slice external_id;
    struct heap_node due; /* in no heap while a check is under way */
    uint64_t generation;  /* of the last directory that had it */
    bool is_checking;
    enum role_state state;
    uint64_t checked_ms;
    uint64_t since_ms;
    uint64_t asked_count;
    enum err err;
    char message[MESSAGE_CHARS];
};

/* A question under way: with texts of its own, as the account may go meanwhile. */
struct check {
    struct credentials_ask ask;
    struct role_watch *watch; /* NULL: it was destroyed */
    struct arena arena;
    struct list node;
    uint64_t asked_count; /* of the role when it was asked */
};

struct role_watch {
    uint32_t magic;
    struct role_watch_options options;
    struct map roles; /* account -> struct watched */
    struct heap due;
    struct list checks;
    size_t check_count;
    uint64_t next_ms; /* the pace: no check before */
    uint64_t replica_count;
    uint64_t generation;
    struct role_counts counts;
    ev_timer timer;
};

static uint64_t now_of(const struct role_watch *watch)
{
    return watch->options.now_ms(watch->options.context);
}

const char *role_state_name(enum role_state state)
{
    switch (state) {
    case ROLE_HEALTHY:
        return "healthy";
    case ROLE_BROKEN:
        return "broken";
    case ROLE_UNCHECKED:
    default:
        return "unchecked";
    }
}

static uint64_t *count_of(struct role_watch *watch, enum role_state state)
{
    switch (state) {
    case ROLE_HEALTHY:
        return &watch->counts.healthy;
    case ROLE_BROKEN:
        return &watch->counts.broken;
    case ROLE_UNCHECKED:
    default:
        return &watch->counts.unchecked;
    }
}

/* ---- when to ask next ---- */

static void wake(struct role_watch *watch)
{
    uint64_t at_ms;
    uint64_t now_ms;

    if (watch->options.loop == NULL) {
        return;
    }
    at_ms = role_watch_run(watch);
    now_ms = now_of(watch);
    ev_timer_stop(watch->options.loop, &watch->timer);
    if (at_ms != UINT64_MAX) {
        ev_timer_set(&watch->timer,
                     (double)MIN_OF(at_ms > now_ms ? at_ms - now_ms : 1, (uint64_t)WAKE_MAX_MS) /
                         1000.0,
                     0.0);
        ev_timer_start(watch->options.loop, &watch->timer);
    }
}

/* The interval, a fifth more or less; sooner while something is wrong. */
static void schedule(struct role_watch *watch, struct watched *role, uint64_t now_ms)
{
    const bool is_well = role->state == ROLE_HEALTHY && role->err == ERR_OK;
    uint64_t wait_ms = watch->options.every_ms;

    heap_remove(&watch->due, &role->due);
    if (watch->options.every_ms == 0 || role->is_checking) {
        return;
    }
    if (!is_well) {
        wait_ms = MIN_OF(wait_ms, MAX_OF(wait_ms / SOONER, (uint64_t)SOONEST_MS));
    }
    wait_ms = wait_ms * (80 + random_u64() % 41) / 100;
    heap_push(&watch->due, &role->due, now_ms + MAX_OF(wait_ms, 1U));
}

/* ---- what STS said ---- */

static void move(struct role_watch *watch, struct watched *role, enum role_state state,
                 uint64_t now_ms)
{
    const enum role_state before = role->state;

    role->checked_ms = now_ms;
    if (state == before) {
        return;
    }
    if (state == ROLE_BROKEN) {
        log_error("role.broken", LOG_SLICE("account", role->account), LOG_SLICE("role", role->arn),
                  LOG_ERR(role->err), LOG_TEXT("why", role->message));
    } else if (before == ROLE_BROKEN) {
        log_warn("role.healed", LOG_SLICE("account", role->account), LOG_SLICE("role", role->arn),
                 LOG_U64("broken_ms", now_ms - MIN_OF(role->since_ms, now_ms)));
    }
    (*count_of(watch, before))--;
    (*count_of(watch, state))++;
    role->state = state;
    role->since_ms = now_ms;
}

/* What STS says is shown to people and cut to fit: plain characters only. */
static void copy_message(struct watched *role, const char *message)
{
    (void)snprintf(role->message, sizeof(role->message), "%s", message);
    for (char *byte = role->message; *byte != '\0'; byte++) {
        *byte = *byte >= ' ' && *byte <= '~' ? *byte : '?';
    }
}

static void note(struct role_watch *watch, struct watched *role, enum err err, const char *message)
{
    const uint64_t now_ms = now_of(watch);

    if (err == ERR_STOPPING) {
        return;
    }
    role->asked_count++;
    role->err = err;
    copy_message(role, err == ERR_OK ? "" : message);
    if (err == ERR_OK || err == ERR_REMOTE_DENIED) {
        move(watch, role, err == ERR_OK ? ROLE_HEALTHY : ROLE_BROKEN, now_ms);
    }
    schedule(watch, role, now_ms);
}

void role_watch_note(struct role_watch *watch, const struct credentials_outcome *outcome)
{
    struct watched *role;

    CHECK_MAGIC(watch, ROLE_WATCH_MAGIC);
    role = map_get(&watch->roles, outcome->account);
    if (role != NULL && slice_eq(role->arn, outcome->role_arn) &&
        slice_eq(role->external_id, outcome->external_id)) {
        note(watch, role, outcome->err, outcome->message);
    }
}

/* ---- asking ---- */

static void free_check(struct check *check)
{
    list_remove(&check->node);
    credentials_release(check->ask.credentials);
    arena_clean_up(&check->arena);
    xfree(check);
}

static void on_answer(struct credentials_ask *ask)
{
    struct check *check = CONTAINER_OF(ask, struct check, ask);
    struct role_watch *watch = check->watch;
    struct watched *role;

    if (watch == NULL) {
        free_check(check);
        return;
    }
    CHECK_MAGIC(watch, ROLE_WATCH_MAGIC);
    watch->check_count--;
    role = map_get(&watch->roles, ask->account);
    if (role != NULL && role->is_checking && slice_eq(role->arn, ask->role_arn) &&
        slice_eq(role->external_id, ask->external_id)) {
        role->is_checking = false;
        if (role->asked_count == check->asked_count) { /* it never came as far as STS */
            note(watch, role, ask->err, ask->message);
        } else {
            schedule(watch, role, now_of(watch));
        }
    }
    free_check(check);
    wake(watch);
}

static void start_check(struct role_watch *watch, struct watched *role)
{
    struct check *check = xcalloc(1, sizeof(*check));

    check->watch = watch;
    check->asked_count = role->asked_count;
    check->ask = (struct credentials_ask){
        .role_arn = arena_copy(&check->arena, role->arn),
        .external_id = arena_copy(&check->arena, role->external_id),
        .account = arena_copy(&check->arena, role->account),
        .is_check = true,
        .home = watch->options.mailbox,
        .on_answer = on_answer,
    };
    list_append(&watch->checks, &check->node);
    watch->check_count++;
    role->is_checking = true;
    watch->options.ask(watch->options.context, &check->ask);
}

uint64_t role_watch_run(struct role_watch *watch)
{
    const uint64_t now_ms = now_of(watch);
    struct heap_node *next;

    CHECK_MAGIC(watch, ROLE_WATCH_MAGIC);
    if (watch->next_ms > now_ms + WAKE_MAX_MS) { /* the clock was put back */
        watch->next_ms = now_ms;
    }
    while ((next = heap_peek(&watch->due)) != NULL && next->key <= now_ms &&
           watch->next_ms <= now_ms && watch->check_count < CHECKS_MAX) {
        heap_remove(&watch->due, next);
        watch->next_ms = now_ms + watch->replica_count * 1000 / watch->options.checks_per_second;
        start_check(watch, CONTAINER_OF(next, struct watched, due));
    }
    if (next == NULL || watch->check_count >= CHECKS_MAX) {
        return UINT64_MAX; /* an answer, or a new directory, wakes */
    }
    return MAX_OF(next->key, watch->next_ms);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    wake(timer->data);
}

/* ---- the accounts of the catalog ---- */

static void forget(struct role_watch *watch, struct watched *role)
{
    heap_remove(&watch->due, &role->due);
    (*count_of(watch, role->state))--;
    CHECK(map_remove(&watch->roles, role->account) == role);
    arena_clean_up(&role->arena);
    xfree(role);
}

static void follow(struct role_watch *watch, const struct account *account, uint64_t now_ms)
{
    struct watched *role = map_get(&watch->roles, account->id);

    if (role != NULL && (!slice_eq(role->arn, account->dispatch_role_arn) ||
                         !slice_eq(role->external_id, account->external_id))) {
        forget(watch, role);
        role = NULL;
    }
    if (role == NULL && account->dispatch_role_arn.len > 0) {
        role = xcalloc(1, sizeof(*role));
        role->account = arena_copy(&role->arena, account->id);
        role->arn = arena_copy(&role->arena, account->dispatch_role_arn);
        role->external_id = arena_copy(&role->arena, account->external_id);
        role->since_ms = now_ms;
        CHECK(map_put(&watch->roles, role->account, role) == NULL);
        watch->counts.unchecked++;
        if (watch->options.every_ms > 0) {
            heap_push(&watch->due, &role->due, now_ms);
        }
    }
    if (role != NULL) {
        role->generation = watch->generation;
    }
}

static void forget_the_rest(struct role_watch *watch)
{
    struct watched *role;
    size_t cursor = 0;

    while ((role = map_next(&watch->roles, &cursor)) != NULL) {
        if (role->generation != watch->generation) {
            forget(watch, role);
        }
    }
}

void role_watch_use(struct role_watch *watch, const struct directory *directory)
{
    const uint64_t now_ms = now_of(watch);
    const struct account *account;
    size_t cursor = 0;

    CHECK_MAGIC(watch, ROLE_WATCH_MAGIC);
    watch->generation++;
    while ((account = map_next(&directory->accounts, &cursor)) != NULL) {
        follow(watch, account, now_ms);
    }
    forget_the_rest(watch);
    wake(watch);
}

void role_watch_share(struct role_watch *watch, uint64_t replica_count)
{
    watch->replica_count = MAX_OF(replica_count, 1U);
}

bool role_watch_read(const struct role_watch *watch, struct slice account,
                     struct role_health *health)
{
    const struct watched *role = map_get(&watch->roles, account);

    if (role == NULL) {
        return false;
    }
    *health = (struct role_health){.state = role->state,
                                   .checked_ms = role->checked_ms,
                                   .since_ms = role->since_ms,
                                   .err = role->err,
                                   .message = role->message,
                                   .asked_count = role->asked_count};
    return true;
}

void role_watch_count(const struct role_watch *watch, struct role_counts *counts)
{
    *counts = watch->counts;
}

/* ---- the whole ---- */

struct role_watch *role_watch_new(const struct role_watch_options *options)
{
    struct role_watch *watch = xcalloc(1, sizeof(*watch));

    CHECK(options->checks_per_second > 0);
    watch->magic = ROLE_WATCH_MAGIC;
    watch->options = *options;
    watch->replica_count = 1;
    heap_init(&watch->due);
    list_init(&watch->checks);
    ev_timer_init(&watch->timer, on_timer, 0.0, 0.0);
    watch->timer.data = watch;
    return watch;
}

void role_watch_destroy(struct role_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    CHECK_MAGIC(watch, ROLE_WATCH_MAGIC);
    if (watch->options.loop != NULL) {
        ev_timer_stop(watch->options.loop, &watch->timer);
    }
    LIST_FOREACH (node, &watch->checks) {
        CONTAINER_OF(node, struct check, node)->watch = NULL;
    }
    list_remove(&watch->checks);
    watch->generation++;
    forget_the_rest(watch);
    map_clean_up(&watch->roles);
    heap_clean_up(&watch->due);
    watch->magic = 0;
    xfree(watch);
}
