/* SPDX-License-Identifier: Apache-2.0
 *
 * store_redis.c - the store that any number of replicas share: one thread, one loop, one link.
 *
 * As the embedded engine has one thread that writes, this one has one thread that speaks to Redis:
 * operations come by mail from all workers, those of one turn travel as one call per partition
 * (redis_batch.c), and answers go home by mail.  So batches span all workers, the order of one
 * thread is kept for free, and settings, reconnection and deadlines exist once.
 *
 * Nothing that Redis does is final: while it is away, commits and all else are refused with
 * ERR_STORE_BUSY, and go on when it is back.  What it promises is checked on each connection and
 * every 30 s or as configured (redis_check.c) and published as the guarantee.
 *
 * A process is known by its claimer, a number of 10 bits that Redis hands out at the start, and by
 * a heartbeat, by which replicas are counted.  Numbers come round again after 1,023 starts, so the
 * first beat says whether another one alive has this one, and the store asks for the next then: two
 * with one number would end each other's claims.
 */
#include "storage/redis_store.h"

#include "core/check.h"
#include "core/log.h"
#include "core/random.h"
#include "core/seal.h"
#include "core/tls.h"
#include "storage/redis_url.h"

enum {
    MAGIC = 0x72656469,
    OPEN_WAIT_MS = 10000,
    OPEN_STEP_MS = 100,
    TIMEOUT_MS = 2000,
    FULL_PERCENT = 95,
};

static const double beat_seconds = 1.0;
static const double retell_seconds = 0.25;

/* What store_redis_open() waits for: the mail comes when Redis is fit for use, or never will be. */
struct redis_opening {
    struct mail mail;
    struct mailbox box;
    bool is_asking;
    bool has_arrived;
    enum err told; /* in the log */
    enum err err;
    char reason[sizeof(((struct redis_verdict *)0)->reason)];
};

static struct redis_store *redis_of(struct store *base)
{
    struct redis_store *store = CONTAINER_OF(base, struct redis_store, store);

    CHECK_MAGIC(store, MAGIC);
    return store;
}

/* ---- operations ---------------------------------------------------------------------------- */

static void begin(struct redis_store *store, struct store_op *op)
{
    switch (op->kind) {
    case STORE_COMMIT:
        redis_commit_begin(store, (struct store_commit *)op);
        break;
    case STORE_CLAIM:
        redis_claim_begin(store, (struct store_claim *)op);
        break;
    case STORE_LANES:
        redis_lanes_begin(store, (struct store_lanes *)op);
        break;
    case STORE_SETTLE:
        redis_settle_begin(store, (struct store_settle *)op);
        break;
    case STORE_RETRY:
        redis_retry_begin(store, (struct store_retry *)op);
        break;
    case STORE_ADVANCE:
        redis_advance_begin(store, (struct store_advance *)op);
        break;
    case STORE_BURY:
        redis_bury_begin(store, (struct store_bury *)op);
        break;
    case STORE_PARK:
        redis_park_begin(store, (struct store_park *)op);
        break;
    case STORE_DEAD_LIST:
        redis_dead_list_begin(store, (struct store_dead_list *)op);
        break;
    case STORE_DEAD_EDIT:
        redis_dead_edit_begin(store, (struct store_dead_edit *)op);
        break;
    case STORE_CATALOG_PUT:
        redis_catalog_put_begin(store, (struct store_catalog_put *)op);
        break;
    case STORE_CATALOG_READ:
        redis_catalog_read_begin(store, (struct store_catalog_read *)op);
        break;
    case STORE_TALLY:
        redis_tally_begin(store, (struct store_tally *)op);
        break;
    case STORE_LEASE:
        redis_lease_begin(store, (struct store_lease *)op);
        break;
    case STORE_ONCE:
        redis_once_begin(store, (struct store_once *)op);
        break;
    case STORE_ARCHIVE_READ:
        redis_archive_read_begin(store, (struct store_archive_read *)op);
        break;
    case STORE_ARCHIVE_TRIM:
        redis_archive_trim_begin(store, (struct store_archive_trim *)op);
        break;
    case STORE_ARCHIVE_SIZES:
        redis_archive_sizes_begin(store, (struct store_archive_sizes *)op);
        break;
    case STORE_BACKUP:
        store_answer(op, ERR_UNSUPPORTED);
        break;
    }
}

/* Carries an operation to the thread, with the store: an operation does not know its own. */
struct errand {
    struct mail mail;
    struct redis_store *store;
    struct store_op *op; /* NULL: stop */
};

static void on_errand(struct mail *mail)
{
    struct errand *errand = CONTAINER_OF(mail, struct errand, mail);
    struct redis_store *store = errand->store;
    struct store_op *op = errand->op;

    xfree(errand);
    if (op != NULL) {
        begin(store, op);
        return;
    }
    store->is_stopping = true;
    redis_batches_send(store);
    redis_batches_retell(store, true);
    if (store->job_count == 0) {
        ev_break(store->loop, EVBREAK_ALL);
    }
}

static void send_errand(struct redis_store *store, struct store_op *op)
{
    struct errand *errand = xcalloc(1, sizeof(*errand));

    *errand = (struct errand){.mail.on_arrival = on_errand, .store = store, .op = op};
    mailbox_send(&store->box, &errand->mail);
}

static void redis_submit(struct store *base, struct store_op *op)
{
    send_errand(redis_of(base), op);
}

/* ---- the state of Redis -------------------------------------------------------------------- */

static void hint_trouble(struct redis_store *store)
{
    const struct redis_verdict *verdict = redis_check_verdict(store->check);
    enum err err = redis_link_trouble(store->link) == ERR_OK ? ERR_OK : ERR_STORE_BUSY;

    if (err == ERR_OK && (!verdict->may_commit || store->is_another)) {
        err = ERR_STORE_BUSY;
    } else if (err == ERR_OK && verdict->used_percent >= FULL_PERCENT) {
        err = ERR_STORE_FULL;
    }
    atomic_store_explicit(&store->store.trouble, err, memory_order_relaxed);
    atomic_store_explicit(&store->store.replid_changes, verdict->replid_changes,
                          memory_order_relaxed);
    if (verdict->guarantee != NULL) {
        atomic_store_explicit(&store->store.guarantee, verdict->guarantee, memory_order_release);
    }
}

/* ---- the heartbeat ------------------------------------------------------------------------- */

static void on_beat_reply(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_store *store = CONTAINER_OF(call, struct redis_store, beat_call);
    uint64_t count;

    store->is_beating = false;
    if (err == ERR_OK && redis_reply_u64(reply, &count)) {
        store->replicas = count;
    }
}

static void call_beat(struct redis_store *store, struct redis_call *call, bool begins)
{
    static const struct slice key = {"g:replicas", 10};
    char member[REDIS_NAME_CHARS + 16];
    const struct slice args[] = {
        {member, (size_t)snprintf(member, sizeof(member), "%u:%s", store->claimer, store->name)},
        SLICE("5000"), /* ms that a beat counts */
        begins ? SLICE("1") : SLICE("0"),
    };

    redis_link_call(store->link, call,
                    &(struct redis_command){.args = args,
                                            .arg_count = ARRAY_LEN(args),
                                            .script = redis_script_of(REDIS_BEAT),
                                            .keys = &key,
                                            .key_count = 1,
                                            .timeout_ms = TIMEOUT_MS});
}

static void call_open(struct redis_store *store, struct redis_call *call, bool begins)
{
    static const struct slice key = {"g:meta", 6};
    const struct slice args[] = {{(const char *)store->uuid.bytes, STORE_UUID_BYTES},
                                 SLICE("64"),
                                 begins ? SLICE("1") : SLICE("0")};

    _Static_assert(REDIS_PARTITIONS == 64, "the partitions are told to open.lua");
    redis_link_call(store->link, call,
                    &(struct redis_command){.args = args,
                                            .arg_count = ARRAY_LEN(args),
                                            .script = redis_script_of(REDIS_OPEN),
                                            .keys = &key,
                                            .key_count = 1,
                                            .timeout_ms = TIMEOUT_MS});
}

/* Is it still the store that was opened?  One that was emptied becomes it again by the question;
 * one that another process began anew meanwhile is no place for what is checked by our uuid. */
static void on_same(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_store *store = CONTAINER_OF(call, struct redis_store, same_call);
    const struct slice uuid = redis_reply_text(redis_reply_at(reply, 0));
    const struct slice own = {(const char *)store->uuid.bytes, STORE_UUID_BYTES};
    const bool is_another = err == ERR_OK && !slice_eq(uuid, own);

    store->is_asking_same = false;
    if (err != ERR_OK) {
        return;
    }
    if (is_another && !store->is_another) {
        log_error("store.replaced",
                  LOG_TEXT("mend", "this Redis was begun anew by another process: start again"));
    }
    store->is_another = is_another;
    hint_trouble(store);
}

static void beat(struct redis_store *store)
{
    if (!store->is_asking_same) {
        store->is_asking_same = true;
        store->same_call.on_reply = on_same;
        call_open(store, &store->same_call, false);
    }
    if (!store->is_beating) {
        store->is_beating = true;
        store->beat_call.on_reply = on_beat_reply;
        call_beat(store, &store->beat_call, false);
    }
}

/* ---- opening ------------------------------------------------------------------------------- */

static void opening_done(struct redis_store *store, enum err err, const char *reason)
{
    struct redis_opening *opening = store->opening;

    store->opening = NULL;
    opening->err = err;
    (void)snprintf(opening->reason, sizeof(opening->reason), "%s", reason);
    mailbox_send(&opening->box, &opening->mail);
}

static void go_on_opening(struct redis_store *store);

static void opening_warn(struct redis_store *store, enum err err, const redisReply *reply)
{
    if (err != store->opening->told) {
        log_warn("store.not_open", LOG_SLICE("answer", redis_reply_text(reply)), LOG_ERR(err));
    }
    store->opening->told = err;
}

/* The first beat: is the number free? */
static void on_begun(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_store *store = CONTAINER_OF(call, struct redis_store, open_call);
    uint64_t count;

    if (store->opening == NULL) {
        return;
    }
    store->opening->is_asking = false;
    if (err == ERR_OK && !redis_reply_u64(reply, &count)) {
        opening_done(store, ERR_BAD_CONFIG, "the key g:replicas is not weir's");
    } else if (err != ERR_OK) { /* from the start, by the tick */
        opening_warn(store, err, reply);
    } else if (count == 0) {
        log_info("store.claimer_taken", LOG_U64("claimer", store->claimer));
        go_on_opening(store); /* the next number */
    } else {
        store->replicas = count;
        opening_done(store, ERR_OK, "");
    }
}

static void on_identity(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_store *store = CONTAINER_OF(call, struct redis_store, open_call);
    const struct slice uuid = redis_reply_text(redis_reply_at(reply, 0));
    uint64_t partitions;
    uint64_t process;

    if (store->opening == NULL) {
        return;
    }
    store->opening->is_asking = false;
    if (err != ERR_OK) { /* asked again by the tick */
        opening_warn(store, err, reply);
        return;
    }
    if (uuid.len != STORE_UUID_BYTES || !redis_reply_u64(redis_reply_at(reply, 1), &partitions) ||
        !redis_reply_u64(redis_reply_at(reply, 2), &process)) {
        opening_done(store, ERR_BAD_CONFIG, "the key g:meta is not weir's");
    } else if (partitions != REDIS_PARTITIONS) {
        opening_done(store, ERR_BAD_CONFIG, "the store was made with another number of partitions");
    } else {
        memcpy(store->uuid.bytes, uuid.data, STORE_UUID_BYTES);
        store->claimer = (uint32_t)(process % (REDIS_CLAIMERS - 1)) + 1;
        store->opening->is_asking = true;
        store->open_call.on_reply = on_begun;
        call_beat(store, &store->open_call, true);
    }
}

static void go_on_opening(struct redis_store *store)
{
    const struct redis_verdict *verdict = redis_check_verdict(store->check);
    if (store->opening == NULL || store->opening->is_asking) {
        return;
    }
    if (verdict->err == ERR_BAD_CONFIG) {
        opening_done(store, ERR_BAD_CONFIG, verdict->reason);
    } else if (redis_link_trouble(store->link) == ERR_OK) {
        store->opening->is_asking = true;
        store->open_call.on_reply = on_identity;
        call_open(store, &store->open_call, true);
    }
}

/* ---- the thread ---------------------------------------------------------------------------- */

static void on_greeted(struct redis_node *node, void *context)
{
    redis_check_on_greeted(node, ((struct redis_store *)context)->check);
}

static void on_link_change(struct redis_link *link, void *context)
{
    struct redis_store *store = context;

    if (store->link == link) { /* not while it is being made */
        hint_trouble(store);
        go_on_opening(store);
    }
}

static void on_verdict(struct redis_check *check, void *context)
{
    struct redis_store *store = context;

    (void)check;
    if (store->link != NULL) {
        hint_trouble(store);
        go_on_opening(store);
    }
}

static void on_turn(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    redis_batches_send(watcher->data);
    redis_waits_send(watcher->data);
}

static void on_beat(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct redis_store *store = watcher->data;

    (void)loop;
    (void)events;
    if (store->opening == NULL) {
        beat(store);
    }
    hint_trouble(store);
}

static void on_retell(struct ev_loop *loop, ev_timer *watcher, int events)
{
    struct redis_store *store = watcher->data;

    (void)loop;
    (void)events;
    go_on_opening(store);
    if (redis_link_trouble(store->link) == ERR_OK || store->is_stopping) {
        redis_batches_retell(store, store->is_stopping);
    }
}

static void *thread_main(void *argument)
{
    struct redis_store *store = argument;

    ev_run(store->loop, 0);
    return NULL;
}

static void redis_destroy(struct store *base)
{
    struct redis_store *store = redis_of(base);

    send_errand(store, NULL);
    CHECK(pthread_join(store->thread, NULL) == 0);
    mailbox_clean_up(&store->box);
    ev_prepare_stop(store->loop, &store->turn);
    ev_timer_stop(store->loop, &store->beat);
    ev_timer_stop(store->loop, &store->retell);
    redis_link_destroy(store->link);
    redis_check_destroy(store->check);
    redis_moments_clean_up(store);
    tls_context_release(store->tls);
    ev_loop_destroy(store->loop);
    store->magic = 0;
    xfree(store);
}

/* ---- making one ---------------------------------------------------------------------------- */

static enum err open_tls(const struct store_redis_options *options, struct tls_context **out,
                         struct err_why *why)
{
    struct arena arena = {0};
    const struct tls_client_options tls = {
        .ca_path = options->ca.len > 0 ? arena_cstr(&arena, options->ca) : NULL,
        .certificate_path =
            options->certificate.len > 0 ? arena_cstr(&arena, options->certificate) : NULL,
        .key_path = options->key.len > 0 ? arena_cstr(&arena, options->key) : NULL,
    };
    const enum err err = tls_client_context_new(&tls, out, why);

    arena_clean_up(&arena);
    return err;
}

static void make_link(struct redis_store *store, const struct redis_url *url,
                      const struct store_redis_options *options)
{
    struct redis_link_options link = redis_link_defaults(store->loop);

    store->check = redis_check_new(&(struct redis_check_options){
        .durability = options->durability,
        .wait_replicas = options->wait_replicas,
        .on_verdict = on_verdict,
        .context = store,
    });
    link.host = url->host;
    link.port = url->port;
    link.db = url->db;
    link.user = options->user;
    link.password_file = options->password_file;
    link.tls = store->tls;
    link.scripts = redis_scripts();
    link.script_count = REDIS_SCRIPTS;
    link.on_greeted = on_greeted;
    link.on_change = on_link_change;
    link.context = store;
    if (options->check_ms > 0) {
        link.recheck_ms = (unsigned)options->check_ms;
    }
    store->link = redis_link_new(&link);
}

static struct redis_store *store_new(const struct store_redis_options *options)
{
    static const struct store_ops ops = {.submit = redis_submit, .destroy = redis_destroy};
    struct redis_store *store = xcalloc(1, sizeof(*store));
    uint8_t name[REDIS_NAME_CHARS / 2];

    store->store = (struct store){
        .ops = &ops, .kind = "redis", .is_shared = true, .guarantee = "relaxed: not known yet"};
    store->magic = MAGIC;
    store->wait_replicas = options->wait_replicas;
    digest_hmac_sha256((struct slice){(const char *)options->seal_key, SEAL_KEY_BYTES},
                       SLICE("weir catalog in redis"), &store->mac_key);
    random_bytes(store->uuid.bytes, sizeof(store->uuid.bytes));
    random_bytes(name, sizeof(name));
    for (size_t i = 0; i < sizeof(name); i++) {
        (void)snprintf(store->name + 2 * i, 3, "%02x", name[i]);
    }
    store->replicas = 1;
    list_init(&store->again);
    list_init(&store->waits);
    list_init(&store->moments);
    store->loop = ev_loop_new(EVFLAG_AUTO);
    CHECK(store->loop != NULL);
    mailbox_init(&store->box, store->loop);
    ev_prepare_init(&store->turn, on_turn);
    ev_timer_init(&store->beat, on_beat, beat_seconds, beat_seconds);
    ev_timer_init(&store->retell, on_retell, retell_seconds, retell_seconds);
    store->turn.data = store;
    store->beat.data = store;
    store->retell.data = store;
    ev_prepare_start(store->loop, &store->turn);
    ev_timer_start(store->loop, &store->beat);
    ev_timer_start(store->loop, &store->retell);
    return store;
}

static void on_opened(struct mail *mail)
{
    CONTAINER_OF(mail, struct redis_opening, mail)->has_arrived = true;
}

/* The thread says when Redis is fit; time is up when it has not said so after 10 s. */
static enum err await_opening(struct redis_opening *opening, struct err_why *why, struct slice url)
{
    for (int waited_ms = 0; !opening->has_arrived && waited_ms < OPEN_WAIT_MS;
         waited_ms += OPEN_STEP_MS) {
        mailbox_wait(&opening->box, OPEN_STEP_MS);
        (void)mailbox_drain(&opening->box);
    }
    if (!opening->has_arrived) {
        return err_because(ERR_REMOTE_UNREACHABLE, why, "store %.*s: no answer that is fit for use",
                           (int)url.len, url.data);
    }
    return opening->err == ERR_OK ? ERR_OK
                                  : err_because(opening->err, why, "store %.*s: %s", (int)url.len,
                                                url.data, opening->reason);
}

enum err store_redis_open(const struct store_redis_options *options, struct store **out,
                          struct err_why *why)
{
    struct redis_opening opening = {.mail.on_arrival = on_opened};
    struct redis_url url;
    struct tls_context *tls = NULL;
    struct redis_store *store;
    enum err err;

    *out = NULL;
    TRY(redis_url_parse(options->url, &url, why));
    if (url.is_tls) {
        TRY(open_tls(options, &tls, why));
    }
    redis_scripts_init();
    store = store_new(options);
    store->tls = tls;
    mailbox_init(&opening.box, NULL);
    store->opening = &opening;
    make_link(store, &url, options);
    CHECK(store_thread_start(&store->thread, thread_main, store) == 0);
    err = await_opening(&opening, why, options->url);
    if (err != ERR_OK) {
        redis_destroy(&store->store); /* joins the thread, so the opening is ours again */
    }
    mailbox_clean_up(&opening.box);
    if (err == ERR_OK) {
        *out = &store->store;
    }
    return err;
}
