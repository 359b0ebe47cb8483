/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials_provider.c - one set of credentials per (role, external id, account), asked for once.
 *
 * The happy path: an ask arrives by mail, its role is found in the map, and what is held is sent
 * back.  When nothing is held, the ask joins the role's waiters and the role the queue; the bucket
 * lets the first of the queue call STS, signed with weir's own credentials; the session that comes
 * back answers all waiters, and is renewed in the background once 60 to 80 % of its life are over,
 * as long as somebody asked during the last hour.
 *
 * A check (role_watch.h) always calls, and lets the session lie for whoever asks first.  It is not
 * use: its session is not renewed, and is let go of first when there are too many roles; and its
 * failure is not remembered against later asks, as the role may have been made meanwhile.
 *
 * What goes wrong: a refusal or failure answers all waiters and is remembered, so that one broken
 * account costs little and STS is not hammered; stale keys of our own are loaded again and a wrong
 * clock is corrected from the Date header, each once per call; without credentials of our own the
 * whole queue is told so.
 *
 * Account A never gets what was asked for B: all three texts form the key (with their lengths, so
 * that no two triples read alike), and a session of another account than the role's is refused.
 *
 * Invariant: a role is calling, or in the queue, or in the heap, and only one of them.
 * Threads:   everything runs on the thread of the mailbox; asks and answers travel by mail.
 * Memory:    roles are counted and capped; an idle one goes after an hour.
 */
#include "accounts/credentials_internal.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "core/random.h"

enum {
    CALLS_PER_SECOND = 50,
    BURST_SHARE = 10, /* of the calls of a second, one in so many at once */
    ROLES_MAX = 20000,
    CALLS_MAX = 32, /* under way at once */
    SERVE_BEFORE_MS = 60 * 1000,
    ROLE_IDLE_MS = 60 * 60 * 1000,
    RENEW_INTERVAL_MS = 10 * 1000,
    DENIED_MS = 30 * 1000,
    DENIED_MAX_MS = 5 * 60 * 1000,
    FAILED_MS = 1000,
    FAILED_MAX_MS = 30 * 1000,
    WAKE_MAX_MS = 30 * 1000, /* the wall clock may be set meanwhile */
};

uint64_t credentials_now_ms(const struct credentials_provider *provider)
{
    return provider->io.now_ms(provider->io.context);
}

/* ---- answering ---- */

static void on_home(struct mail *mail)
{
    struct credentials_ask *ask = CONTAINER_OF(mail, struct credentials_ask, mail);

    ask->on_answer(ask);
}

static void answer(struct credentials_ask *ask, enum err err, const char *message,
                   struct credentials *credentials)
{
    CHECK((err == ERR_OK) == (credentials != NULL));
    ask->err = err;
    (void)snprintf(ask->message, sizeof(ask->message), "%s", message);
    ask->credentials = credentials != NULL ? credentials_acquire(credentials) : NULL;
    ask->mail.on_arrival = on_home;
    mailbox_send(ask->home, &ask->mail);
}

static void answer_all(struct list *waiters, enum err err, const char *message,
                       struct credentials *credentials)
{
    struct list *node;

    while ((node = list_take_first(waiters)) != NULL) {
        answer(CONTAINER_OF(node, struct credentials_ask, node), err, message, credentials);
    }
}

/* ---- roles ---- */

static struct slice role_key(const struct credentials_ask *ask, struct arena *arena)
{
    return arena_printf(arena, "%zu %zu %.*s %.*s %.*s", ask->role_arn.len, ask->external_id.len,
                        SLICE_ARG(ask->role_arn), SLICE_ARG(ask->external_id),
                        SLICE_ARG(ask->account));
}

static void free_role(struct role *role)
{
    CHECK(!role->is_calling);
    CHECK(list_is_empty(&role->waiters));
    heap_remove(&role->provider->due, &role->due);
    list_remove(&role->queue_node);
    list_remove(&role->unasked);
    CHECK(map_remove(&role->provider->roles, role->key) == role);
    credentials_release(role->held);
    arena_clean_up(&role->arena);
    xfree(role);
}

/* Let go of the oldest role that no delivery has asked for.  False: there is none. */
static bool make_room(struct credentials_provider *provider)
{
    LIST_FOREACH (node, &provider->unasked) {
        struct role *role = CONTAINER_OF(node, struct role, unasked);

        if (!role->is_calling && !list_is_linked(&role->queue_node)) {
            free_role(role);
            return true;
        }
    }
    return false;
}

/* The role of an ask, made if it is new; NULL when there are too many. */
static struct role *find_role(struct credentials_provider *provider,
                              const struct credentials_ask *ask)
{
    struct arena arena = {0};
    const struct slice key = role_key(ask, &arena);
    struct role *role = map_get(&provider->roles, key);

    if (role != NULL ||
        (provider->roles.count >= provider->options.roles_max && !make_room(provider))) {
        arena_clean_up(&arena);
        return role;
    }
    role = xcalloc(1, sizeof(*role));
    role->provider = provider;
    role->arena = arena;
    role->key = key;
    role->arn = arena_copy(&role->arena, ask->role_arn);
    role->external_id = arena_copy(&role->arena, ask->external_id);
    role->account = arena_copy(&role->arena, ask->account);
    list_init(&role->waiters);
    list_init(&role->queue_node);
    list_init(&role->unasked);
    list_append(&provider->unasked, &role->unasked);
    CHECK(map_put(&provider->roles, role->key, role) == NULL);
    return role;
}

static bool is_usable(const struct role *role, uint64_t now_ms)
{
    return role->held != NULL && now_ms < role->serve_until_ms;
}

static void drop_held(struct role *role)
{
    credentials_release(role->held);
    role->held = NULL;
}

/* Put a resting role where its next moment finds it. */
static void schedule(struct role *role, uint64_t now_ms)
{
    uint64_t due_ms = role->asked_ms + ROLE_IDLE_MS;

    if (role->is_calling || list_is_linked(&role->queue_node)) {
        return;
    }
    if (is_usable(role, now_ms)) {
        due_ms = MAX_OF(role->renew_ms, role->told_until_ms);
    }
    heap_remove(&role->provider->due, &role->due);
    heap_push(&role->provider->due, &role->due, MAX_OF(due_ms, now_ms + 1));
}

static void enqueue(struct role *role)
{
    if (role->is_calling || list_is_linked(&role->queue_node)) {
        return;
    }
    heap_remove(&role->provider->due, &role->due);
    role->has_reloaded = false;
    role->has_corrected = false;
    list_append(&role->provider->queue, &role->queue_node);
}

/* ---- outcomes of a call ---- */

static uint64_t growing_ms(enum err err, unsigned failure_count)
{
    const uint64_t first_ms = err == ERR_REMOTE_DENIED ? DENIED_MS : FAILED_MS;
    const uint64_t most_ms = err == ERR_REMOTE_DENIED ? DENIED_MAX_MS : FAILED_MAX_MS;

    return MIN_OF(first_ms << MIN_OF(failure_count, 10), most_ms);
}

static void tell_outcome(const struct role *role, enum err err, const char *message)
{
    const struct credentials_provider_options *options = &role->provider->options;
    const struct credentials_outcome outcome = {.role_arn = role->arn,
                                                .external_id = role->external_id,
                                                .account = role->account,
                                                .err = err,
                                                .message = message};

    if (options->on_outcome != NULL && err != ERR_STOPPING) {
        options->on_outcome(options->context, &outcome);
    }
}

/* Was the call made for checks alone?  One without waiters renews what is in use. */
static bool was_check(const struct role *role)
{
    LIST_FOREACH (node, &role->waiters) {
        if (!CONTAINER_OF(node, struct credentials_ask, node)->is_check) {
            return false;
        }
    }
    return !list_is_empty(&role->waiters);
}

void credentials_role_fail(struct role *role, enum err err, const char *message)
{
    const uint64_t now_ms = credentials_now_ms(role->provider);

    role->err = err;
    (void)snprintf(role->message, sizeof(role->message), "%s", message);
    if (!was_check(role)) {
        role->told_until_ms = now_ms + growing_ms(err, role->failure_count);
        role->failure_count++;
    }
    tell_outcome(role, err, message);
    log_warn("credentials.failed", LOG_SLICE("role", role->arn),
             LOG_SLICE("account", role->account), LOG_ERR(err), LOG_TEXT("why", message));
    if (is_usable(role, now_ms)) {
        answer_all(&role->waiters, ERR_OK, "", role->held);
    } else {
        drop_held(role);
        answer_all(&role->waiters, err, role->message, NULL);
    }
    schedule(role, now_ms);
}

void credentials_role_succeed(struct role *role, struct credentials *credentials)
{
    const uint64_t now_ms = credentials_now_ms(role->provider);
    const uint64_t life_ms = credentials->expires_ms - now_ms;

    drop_held(role);
    role->held = credentials;
    role->fetched_ms = now_ms;
    role->serve_until_ms = credentials->expires_ms - MIN_OF(SERVE_BEFORE_MS, life_ms / 5);
    role->renew_ms = now_ms + life_ms / 100 * (60 + random_u64() % 21);
    role->told_until_ms = 0;
    role->failure_count = 0;
    tell_outcome(role, ERR_OK, "");
    answer_all(&role->waiters, ERR_OK, "", credentials);
    schedule(role, now_ms);
}

void credentials_role_repeat(struct role *role)
{
    list_prepend(&role->provider->queue, &role->queue_node);
}

static void fail_queue(struct credentials_provider *provider, enum err err, const char *message)
{
    struct list *node;

    while ((node = list_take_first(&provider->queue)) != NULL) {
        credentials_role_fail(CONTAINER_OF(node, struct role, queue_node), err, message);
    }
}

/* Why there are no credentials of our own. */
static enum err own_error(const struct credentials_provider *provider, const char **message)
{
    const enum err err = own_credentials_error(provider->own, message);

    if (provider->is_stopping) {
        *message = err_text(ERR_STOPPING);
        return ERR_STOPPING;
    }
    if (err == ERR_OK) {
        *message = "weir's own credentials have expired";
        return ERR_REMOTE_EXPIRED;
    }
    return err;
}

static void on_own_loaded(void *context, enum err err, const char *message)
{
    struct credentials_provider *provider = context;
    struct credentials *held = own_credentials_held(provider->own, credentials_now_ms(provider));

    if (held != NULL) {
        answer_all(&provider->own_waiters, ERR_OK, "", held);
    } else {
        err = own_error(provider, &message);
        answer_all(&provider->own_waiters, err, message, NULL);
        fail_queue(provider, err, message);
    }
    credentials_pump(provider);
}

static void load_own_if_due(struct credentials_provider *provider, uint64_t now_ms)
{
    if (!provider->is_stopping && own_credentials_is_due(provider->own, now_ms)) {
        own_credentials_load(provider->own, on_own_loaded, provider);
    }
}

/* May a role call now?  False: it waits, or was told that it cannot. */
static bool has_signer(struct credentials_provider *provider, uint64_t now_ms)
{
    const char *message;
    enum err err;

    load_own_if_due(provider, now_ms);
    if (!provider->is_stopping && own_credentials_held(provider->own, now_ms) != NULL) {
        return true;
    }
    if (!own_credentials_is_loading(provider->own)) {
        err = own_error(provider, &message);
        fail_queue(provider, err, message);
    }
    return false;
}

static void wake_after(struct credentials_provider *provider, uint64_t wait_ms)
{
    if (provider->options.loop == NULL) {
        return;
    }
    ev_timer_stop(provider->options.loop, &provider->timer);
    ev_timer_set(&provider->timer, (double)MIN_OF(wait_ms, WAKE_MAX_MS) / 1000.0, 0.0);
    ev_timer_start(provider->options.loop, &provider->timer);
}

/* Start what may be started, and wake up for what comes next. */
void credentials_pump(struct credentials_provider *provider)
{
    const uint64_t now_ms = credentials_now_ms(provider);
    uint64_t wait_ms = WAKE_MAX_MS;
    const struct heap_node *next;

    while (!list_is_empty(&provider->queue) && provider->call_count < CALLS_MAX &&
           has_signer(provider, now_ms)) {
        const uint64_t now_us = provider->io.steady_us(provider->io.context);

        if (limiter_take(&provider->bucket, 1, now_us, &wait_ms) == 0) {
            break;
        }
        wait_ms = WAKE_MAX_MS;
        credentials_call_start(
            CONTAINER_OF(list_take_first(&provider->queue), struct role, queue_node));
    }
    next = heap_peek(&provider->due);
    if (next != NULL) {
        wait_ms = MIN_OF(wait_ms, next->key > now_ms ? next->key - now_ms : 1);
    }
    wake_after(provider, wait_ms);
}

/* ---- asking ---- */

static void ask_own(struct credentials_provider *provider, struct credentials_ask *ask,
                    uint64_t now_ms)
{
    struct credentials *held;
    const char *message;
    enum err err;

    if (ask->renew && now_ms >= provider->own_renewed_ms + RENEW_INTERVAL_MS &&
        !own_credentials_is_loading(provider->own)) {
        provider->own_renewed_ms = now_ms;
        own_credentials_drop(provider->own);
    }
    load_own_if_due(provider, now_ms);
    held = own_credentials_held(provider->own, now_ms);
    if (held != NULL) {
        answer(ask, ERR_OK, "", held);
    } else if (own_credentials_is_loading(provider->own)) {
        list_append(&provider->own_waiters, &ask->node);
    } else {
        err = own_error(provider, &message);
        answer(ask, err, message, NULL);
    }
}

static void check_role(struct role *role, struct credentials_ask *ask)
{
    list_append(&role->waiters, &ask->node);
    enqueue(role);
}

static void ask_role(struct credentials_provider *provider, struct credentials_ask *ask,
                     uint64_t now_ms)
{
    struct role *role = find_role(provider, ask);

    if (role == NULL) {
        answer(ask, ERR_REMOTE_FAILED, "more roles are in use than are kept at once", NULL);
        return;
    }
    if (ask->is_check) {
        check_role(role, ask);
        return;
    }
    role->asked_ms = now_ms;
    list_remove(&role->unasked);
    if (ask->renew && role->held != NULL && now_ms >= role->fetched_ms + RENEW_INTERVAL_MS) {
        drop_held(role);
    }
    if (is_usable(role, now_ms)) {
        answer(ask, ERR_OK, "", role->held);
    } else if (now_ms < role->told_until_ms) {
        answer(ask, role->err, role->message, NULL);
    } else {
        list_append(&role->waiters, &ask->node);
        enqueue(role);
        return;
    }
    if (!heap_is_linked(&role->due)) {
        schedule(role, now_ms);
    }
}

static void on_ask(struct mail *mail)
{
    struct credentials_ask *ask = CONTAINER_OF(mail, struct credentials_ask, mail);
    struct credentials_provider *provider = ask->provider;
    const uint64_t now_ms = credentials_now_ms(provider);

    CHECK_MAGIC(provider, CREDENTIALS_PROVIDER_MAGIC);
    if (ask->role_arn.len == 0) {
        ask_own(provider, ask, now_ms);
    } else {
        ask_role(provider, ask, now_ms);
    }
    credentials_pump(provider);
}

void credentials_request(struct credentials_provider *provider, struct credentials_ask *ask)
{
    CHECK_MAGIC(provider, CREDENTIALS_PROVIDER_MAGIC);
    CHECK(ask->on_answer != NULL);
    CHECK(ask->home != NULL);
    ask->provider = provider;
    ask->err = ERR_OK;
    ask->message[0] = '\0';
    ask->credentials = NULL;
    list_init(&ask->node);
    ask->mail.on_arrival = on_ask;
    mailbox_send(provider->options.mailbox, &ask->mail);
}

uint64_t credentials_provider_call_count(const struct credentials_provider *provider)
{
    return provider->calls_made;
}

const char *credentials_provider_source(const struct credentials_provider *provider)
{
    return own_credentials_source(provider->own);
}

/* ---- time passing ---- */

/* A role's moment came: renew what is in use, let go of what is not. */
static void on_due(struct role *role, uint64_t now_ms)
{
    const bool is_in_use = now_ms < role->asked_ms + ROLE_IDLE_MS;

    if (is_usable(role, now_ms)) {
        if (is_in_use) {
            enqueue(role);
        } else {
            heap_push(&role->provider->due, &role->due, role->serve_until_ms);
        }
        return;
    }
    drop_held(role);
    if (is_in_use) {
        schedule(role, now_ms);
    } else {
        free_role(role);
    }
}

void credentials_provider_run(struct credentials_provider *provider)
{
    const uint64_t now_ms = credentials_now_ms(provider);
    struct heap_node *next;

    CHECK_MAGIC(provider, CREDENTIALS_PROVIDER_MAGIC);
    while ((next = heap_peek(&provider->due)) != NULL && next->key <= now_ms) {
        heap_remove(&provider->due, next);
        on_due(CONTAINER_OF(next, struct role, due), now_ms);
    }
    /* Only what is in use is renewed ahead of time; the first ask loads. */
    if (own_credentials_held(provider->own, now_ms) != NULL) {
        load_own_if_due(provider, now_ms);
    }
    credentials_pump(provider);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    credentials_provider_run(timer->data);
}

/* ---- the real world ---- */

static void start_real_call(void *context, struct http_call *call)
{
    http_start(context, call);
}

static uint64_t real_now_ms(void *context)
{
    (void)context;
    return moment_now_ms();
}

static uint64_t real_steady_us(void *context)
{
    (void)context;
    return moment_steady_us();
}

static const char *real_environment(void *context, const char *name)
{
    (void)context;
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody changes the environment */
}

struct credentials_provider *
credentials_provider_new(const struct credentials_provider_options *options)
{
    struct credentials_provider *provider = xcalloc(1, sizeof(*provider));
    const uint64_t rate =
        options->calls_per_second > 0 ? options->calls_per_second : CALLS_PER_SECOND;

    CHECK(options->mailbox != NULL);
    CHECK(options->io != NULL || options->http != NULL);
    provider->magic = CREDENTIALS_PROVIDER_MAGIC;
    provider->options = *options;
    provider->options.roles_max = options->roles_max > 0 ? options->roles_max : ROLES_MAX;
    provider->options.region = arena_copy(&provider->arena, options->region);
    provider->options.sts_endpoint = arena_copy(&provider->arena, options->sts_endpoint);
    provider->options.session_name = arena_copy(&provider->arena, options->session_name);
    while (slice_has_suffix(provider->options.sts_endpoint, SLICE("/"))) {
        provider->options.sts_endpoint.len--;
    }
    provider->io = options->io != NULL ? *options->io
                                       : (struct credentials_io){.context = options->http,
                                                                 .start_call = start_real_call,
                                                                 .now_ms = real_now_ms,
                                                                 .steady_us = real_steady_us,
                                                                 .environment = real_environment};
    provider->own = own_credentials_new(
        &(struct own_credentials_options){.io = &provider->io,
                                          .mailbox = options->mailbox,
                                          .sts_endpoint = provider->options.sts_endpoint});
    list_init(&provider->own_waiters);
    list_init(&provider->queue);
    list_init(&provider->unasked);
    heap_init(&provider->due);
    limiter_configure(&provider->bucket, rate, MAX_OF(rate / BURST_SHARE, 1),
                      provider->io.steady_us(provider->io.context));
    ev_timer_init(&provider->timer, on_timer, WAKE_MAX_MS / 1000.0, 0.0);
    provider->timer.data = provider;
    wake_after(provider, WAKE_MAX_MS);
    return provider;
}

void credentials_provider_destroy(struct credentials_provider *provider)
{
    struct role *role;
    size_t cursor = 0;

    if (provider == NULL) {
        return;
    }
    CHECK_MAGIC(provider, CREDENTIALS_PROVIDER_MAGIC);
    CHECK(provider->call_count == 0);
    if (provider->options.loop != NULL) {
        ev_timer_stop(provider->options.loop, &provider->timer);
    }
    answer_all(&provider->own_waiters, ERR_STOPPING, err_text(ERR_STOPPING), NULL);
    while ((role = map_next(&provider->roles, &cursor)) != NULL) {
        answer_all(&role->waiters, ERR_STOPPING, err_text(ERR_STOPPING), NULL);
        free_role(role);
    }
    own_credentials_destroy(provider->own);
    map_clean_up(&provider->roles);
    heap_clean_up(&provider->due);
    arena_clean_up(&provider->arena);
    provider->magic = 0;
    xfree(provider);
}
