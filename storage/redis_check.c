/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_check.c - what a Redis is set to do with what it is given.
 *
 * The happy path: INFO, CONFIG GET and TIME go out together; with their three answers the node is
 * judged and let through.  On a connection that is already in use a bad answer does not end it
 * (outcomes must still be written): `may_commit` turns false, and the engine takes no new events.
 *
 * Two questions are asked of INFO although CONFIG knows them too, because managed services forbid
 * CONFIG: version and eviction policy.  Whether the append-only file is flushed at every write only
 * CONFIG tells; where it is forbidden nothing is claimed, unless the operator has said that the
 * service has a log of its own ("managed-log").
 *
 * What is seen is kept per node and summed up: the worst guarantee, the fullest memory.
 */
#include "storage/redis_check.h"

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "storage/redis_node.h"
#include "storage/redis_reply.h"

enum {
    CHECK_MAGIC_NO = 0x72646368,
    ASK_MS = 2000,
    FORGET_MS = 300000, /* a node that was not asked for so long is none of ours any more */
    VERSION_MIN = 7,
    CLOCK_WARN_MS = 1000,
    NAME_CHARS_MAX = 262,
};

/* From best to worst; what is published are these constants. */
static const char *const guarantees[] = {
    "aof",
    "managed-log",
    "relaxed: as configured",
    "relaxed: settings cannot be verified",
    "relaxed: commits wait for no replica",
    "relaxed: min-replicas-to-write is 0",
    "relaxed: appendfsync everysec",
    "relaxed: appendfsync no",
    "relaxed: no append-only file",
};
enum guarantee {
    AOF,
    MANAGED_LOG,
    AS_CONFIGURED,
    NOT_VERIFIED,
    NO_WAIT,
    NO_MIN_REPLICAS,
    EVERYSEC,
    NO_FSYNC,
    NO_AOF,
    GUARANTEE_COUNT
};
_Static_assert(ARRAY_LEN(guarantees) == GUARANTEE_COUNT, "one text each");

/* What one node said last. */
struct seen {
    struct list node;
    char name[NAME_CHARS_MAX + 1];
    uint64_t checked_ms;
    enum err err;
    const char *reason;
    enum guarantee guarantee;
    uint64_t used_bytes;
    uint64_t max_bytes;
    unsigned used_percent;
    uint64_t replica_count;
    char replid[41];
    unsigned alarm_percent; /* told of */
    bool was_warned;
    bool is_clock_off;
};

struct redis_check {
    uint32_t magic;
    struct redis_check_options options;
    char durability[16];
    struct list seen;
    struct redis_verdict verdict;
};

/* ---- the three answers ---- */

enum { ASK_INFO, ASK_CONFIG, ASK_TIME, ASK_COUNT };

struct inquiry {
    struct redis_call calls[ASK_COUNT];
    struct redis_check *check;
    struct redis_node *node; /* exists as long as every answer was a reply */
    unsigned left;
    bool is_cut_off;
    uint64_t began_ms;
    int64_t clock_offset_ms;

    /* facts */
    enum err info_err;
    bool is_config_known;
    unsigned version;
    bool is_loading;
    bool is_replica;
    bool evicts;
    bool has_aof;
    bool fsyncs_always;
    bool fsyncs_everysec;
    bool skips_fsync_on_rewrite;
    bool loads_truncated;
    uint64_t min_replicas;
    uint64_t used_bytes;
    uint64_t max_bytes;
    uint64_t replica_count;
    char replid[41];
};

static struct slice info_text(struct slice info, struct slice name)
{
    struct slice value = {NULL, 0};

    return redis_info_field(info, name, &value) ? value : (struct slice){NULL, 0};
}

static uint64_t info_u64(struct slice info, struct slice name)
{
    uint64_t value = 0;

    return slice_to_u64(info_text(info, name), &value) ? value : 0;
}

static void take_info(struct inquiry *inquiry, const struct redisReply *reply)
{
    const struct slice info = redis_reply_text(reply);
    struct slice version = info_text(info, SLICE("redis_version"));
    const struct slice replid = info_text(info, SLICE("master_replid"));
    uint64_t major = 0;

    (void)slice_to_u64(slice_cut(&version, '.'), &major);
    inquiry->version = (unsigned)MIN_OF(major, (uint64_t)UINT16_MAX);
    inquiry->is_loading = info_u64(info, SLICE("loading")) != 0;
    inquiry->is_replica = slice_eq(info_text(info, SLICE("role")), SLICE("slave"));
    inquiry->evicts = !slice_eq(info_text(info, SLICE("maxmemory_policy")), SLICE("noeviction"));
    inquiry->has_aof = info_u64(info, SLICE("aof_enabled")) != 0;
    inquiry->used_bytes = info_u64(info, SLICE("used_memory"));
    inquiry->max_bytes = info_u64(info, SLICE("maxmemory"));
    inquiry->replica_count = info_u64(info, SLICE("connected_slaves"));
    (void)snprintf(inquiry->replid, sizeof(inquiry->replid), "%.*s", SLICE_ARG(replid));
}

/* [name, value, name, value, …] */
static struct slice config_value(const struct redisReply *reply, struct slice name)
{
    for (size_t i = 0; i + 1 < redis_reply_count(reply); i += 2) {
        if (slice_eq(redis_reply_text(redis_reply_at(reply, i)), name)) {
            return redis_reply_text(redis_reply_at(reply, i + 1));
        }
    }
    return (struct slice){NULL, 0};
}

static void take_config(struct inquiry *inquiry, const struct redisReply *reply)
{
    const struct slice fsync = config_value(reply, SLICE("appendfsync"));

    inquiry->is_config_known = fsync.len > 0;
    inquiry->fsyncs_always = slice_eq(fsync, SLICE("always"));
    inquiry->fsyncs_everysec = slice_eq(fsync, SLICE("everysec"));
    inquiry->skips_fsync_on_rewrite =
        slice_eq(config_value(reply, SLICE("no-appendfsync-on-rewrite")), SLICE("yes"));
    inquiry->loads_truncated =
        slice_eq(config_value(reply, SLICE("aof-load-truncated")), SLICE("yes"));
    (void)slice_to_u64(config_value(reply, SLICE("min-replicas-to-write")), &inquiry->min_replicas);
}

/* Their clock against the middle of question and answer. */
static void take_time(struct inquiry *inquiry, const struct redisReply *reply)
{
    const uint64_t now_ms = moment_now_ms();
    uint64_t seconds;
    uint64_t micros;

    if (redis_reply_u64(redis_reply_at(reply, 0), &seconds) &&
        redis_reply_u64(redis_reply_at(reply, 1), &micros)) {
        inquiry->clock_offset_ms = (int64_t)(seconds * 1000 + micros / 1000) -
                                   (int64_t)(inquiry->began_ms / 2 + now_ms / 2);
    }
}

/* ---- judging ---- */

static enum err refusal(const struct inquiry *inquiry, const char **reason)
{
    static const struct {
        enum err err;
        const char *reason;
    } rows[] = {
        {ERR_BAD_CONFIG, "INFO is forbidden to this user"},
        {ERR_STORE_BUSY, "it is loading its data"},
        {ERR_BAD_CONFIG, "it is older than Redis 7.0"},
        {ERR_BAD_CONFIG, "maxmemory-policy is not noeviction: it would drop what was promised"},
        {ERR_BAD_CONFIG, "no-appendfsync-on-rewrite is yes: commits would not be flushed"},
        {ERR_STORE_BUSY, "it is a replica"},
    };
    const bool holds[ARRAY_LEN(rows)] = {
        inquiry->info_err != ERR_OK,     inquiry->is_loading,
        inquiry->version < VERSION_MIN,  inquiry->evicts,
        inquiry->skips_fsync_on_rewrite, inquiry->is_replica,
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (holds[i]) {
            *reason = rows[i].reason;
            return rows[i].err;
        }
    }
    *reason = "";
    return ERR_OK;
}

static enum guarantee guarantee_of(const struct redis_check *check, const struct inquiry *inquiry)
{
    const struct slice durability = slice_of(check->durability);

    if (slice_eq(durability, SLICE("relaxed"))) {
        return AS_CONFIGURED;
    }
    if (!inquiry->is_config_known) {
        return slice_eq(durability, SLICE("managed-log")) ? MANAGED_LOG : NOT_VERIFIED;
    }
    if (!inquiry->has_aof) {
        return NO_AOF;
    }
    if (!inquiry->fsyncs_always) {
        return inquiry->fsyncs_everysec ? EVERYSEC : NO_FSYNC;
    }
    if (inquiry->replica_count > 0 && check->options.wait_replicas == 0) {
        return NO_WAIT;
    }
    if (inquiry->replica_count > 0 && inquiry->min_replicas < 1) {
        return NO_MIN_REPLICAS;
    }
    return AOF;
}

static struct seen *find_or_make(struct redis_check *check, struct slice name)
{
    struct seen *seen;

    LIST_FOREACH (place, &check->seen) {
        seen = CONTAINER_OF(place, struct seen, node);
        if (slice_eq(slice_of(seen->name), name)) {
            return seen;
        }
    }
    seen = xcalloc(1, sizeof(*seen));
    (void)snprintf(seen->name, sizeof(seen->name), "%.*s", SLICE_ARG(name));
    list_append(&check->seen, &seen->node);
    return seen;
}

/* ---- what a person should know ---- */

static void warn_once(struct seen *seen, const struct inquiry *inquiry)
{
    const struct slice name = slice_of(seen->name);

    if (seen->was_warned) {
        return;
    }
    seen->was_warned = true;
    if (inquiry->max_bytes == 0) {
        log_warn("redis.maxmemory_unset", LOG_SLICE("node", name));
    }
    if (inquiry->is_config_known && inquiry->has_aof && !inquiry->loads_truncated) {
        log_warn("redis.aof_load_truncated_no", LOG_SLICE("node", name));
    }
}

/* When it is weaker than it should be, and when it is so no more. */
static void tell_guarantee(const struct seen *seen, enum guarantee before)
{
    if (seen->guarantee == before) {
        return;
    }
    if (seen->guarantee == AOF) {
        log_info("redis.guarantee", LOG_TEXT("node", seen->name),
                 LOG_TEXT("guarantee", guarantees[seen->guarantee]));
    } else {
        log_warn("redis.guarantee", LOG_TEXT("node", seen->name),
                 LOG_TEXT("guarantee", guarantees[seen->guarantee]));
    }
}

/* Each level is told once, when it is reached. */
static void alarm_memory(struct seen *seen)
{
    static const unsigned levels[] = {95, 85, 70};
    unsigned level = 0;

    for (size_t i = 0; i < ARRAY_LEN(levels) && level == 0; i++) {
        level = seen->used_percent >= levels[i] ? levels[i] : 0;
    }
    if (level > seen->alarm_percent) {
        log_error("redis.memory", LOG_TEXT("node", seen->name), LOG_U64("above_percent", level),
                  LOG_U64("used_bytes", seen->used_bytes), LOG_U64("max_bytes", seen->max_bytes));
    }
    seen->alarm_percent = level;
}

/* Fewer replicas than a commit waits for, where there are or were any: while there are some, every
 * commit is refused; with none it waits for none, unless Redis insists (min-replicas-to-write). */
static void alarm_replicas(const struct redis_check *check, const struct seen *seen,
                           uint64_t before)
{
    const uint64_t wanted = check->options.wait_replicas;

    if (seen->replica_count != before && seen->replica_count < wanted) {
        log_error("redis.replicas_short", LOG_TEXT("node", seen->name),
                  LOG_U64("connected", seen->replica_count), LOG_U64("wait_replicas", wanted));
    }
}

static void alarm_replid(struct redis_check *check, const struct seen *seen, const char *replid)
{
    if (seen->replid[0] != '\0' && strcmp(seen->replid, replid) != 0) {
        check->verdict.replid_changes++;
        log_error("redis.replid_changed", LOG_TEXT("node", seen->name), LOG_TEXT("replid", replid),
                  LOG_U64("changes", check->verdict.replid_changes));
    }
}

/* Told when it goes off, not at each check. */
static void warn_of_clock(struct seen *seen, int64_t offset_ms)
{
    const bool is_off = offset_ms > CLOCK_WARN_MS || offset_ms < -CLOCK_WARN_MS;

    if (is_off && !seen->is_clock_off) {
        log_warn("redis.clock", LOG_TEXT("node", seen->name), LOG_I64("offset_ms", offset_ms));
    }
    seen->is_clock_off = is_off;
}

static void tell_refusal(const struct seen *seen, const char *reason)
{
    if (reason[0] != '\0' && seen->reason != reason) {
        log_error("redis.refused", LOG_TEXT("node", seen->name), LOG_TEXT("reason", reason));
    }
}

/* ---- the sum ---- */

static void forget_old(struct redis_check *check, uint64_t now_ms)
{
    LIST_FOREACH (place, &check->seen) {
        struct seen *seen = CONTAINER_OF(place, struct seen, node);

        if (seen->checked_ms + FORGET_MS < now_ms) {
            list_remove(place);
            xfree(seen);
        }
    }
}

/* A replica is no node of ours, unless there is nothing else. */
static bool counts(const struct redis_check *check, const struct seen *seen)
{
    if (seen->err != ERR_STORE_BUSY) {
        return true;
    }
    LIST_FOREACH (place, &check->seen) {
        if (CONTAINER_OF(place, struct seen, node)->err == ERR_OK) {
            return false;
        }
    }
    return true;
}

static void sum_up(struct redis_check *check)
{
    struct redis_verdict *verdict = &check->verdict;
    enum guarantee worst = AOF;

    verdict->err = ERR_OK;
    verdict->reason = "";
    verdict->used_percent = 0;
    verdict->used_bytes = 0;
    verdict->max_bytes = 0;
    verdict->replica_count = UINT64_MAX;
    LIST_FOREACH (place, &check->seen) {
        const struct seen *seen = CONTAINER_OF(place, struct seen, node);

        if (!counts(check, seen)) {
            continue;
        }
        if (seen->err != ERR_OK && verdict->err != ERR_BAD_CONFIG) {
            verdict->err = seen->err;
            verdict->reason = seen->reason;
        }
        worst = MAX_OF(worst, seen->guarantee);
        if (seen->used_percent > verdict->used_percent || verdict->used_bytes == 0) {
            verdict->used_percent = seen->used_percent;
            verdict->used_bytes = seen->used_bytes;
            verdict->max_bytes = seen->max_bytes;
        }
        verdict->replica_count = MIN_OF(verdict->replica_count, seen->replica_count);
    }
    verdict->guarantee = guarantees[worst];
    verdict->may_commit = verdict->err == ERR_OK;
}

static void judge(struct inquiry *inquiry)
{
    struct redis_check *check = inquiry->check;
    struct redis_node *node = inquiry->node;
    struct seen *seen = find_or_make(check, redis_node_name(node));
    const char *reason;
    const enum err err = refusal(inquiry, &reason);
    const enum guarantee before = seen->guarantee; /* AOF at first, so that is not told */
    const uint64_t replicas_before = seen->replica_count;

    alarm_replid(check, seen, inquiry->replid);
    tell_refusal(seen, reason);
    seen->checked_ms = moment_steady_ms();
    seen->err = err;
    seen->reason = reason;
    seen->guarantee = guarantee_of(check, inquiry);
    seen->used_bytes = inquiry->used_bytes;
    seen->max_bytes = inquiry->max_bytes;
    seen->used_percent =
        inquiry->max_bytes > 0 ? (unsigned)(inquiry->used_bytes * 100 / inquiry->max_bytes) : 0;
    seen->replica_count = inquiry->replica_count;
    (void)snprintf(seen->replid, sizeof(seen->replid), "%s", inquiry->replid);
    if (inquiry->info_err == ERR_OK) {
        warn_once(seen, inquiry);
        tell_guarantee(seen, before);
        alarm_replicas(check, seen, replicas_before);
    }
    alarm_memory(seen);
    warn_of_clock(seen, inquiry->clock_offset_ms);

    forget_old(check, seen->checked_ms);
    sum_up(check);
    check->verdict.clock_offset_ms = inquiry->clock_offset_ms;
    (void)snprintf(check->verdict.replid, sizeof(check->verdict.replid), "%s", seen->replid);
    check->verdict.check_count++;
    if (err == ERR_OK) {
        redis_node_admit(node);
    } else if (!redis_node_is_up(node) || err == ERR_STORE_BUSY) {
        redis_node_refuse(node, err);
    }
    if (check->options.on_verdict != NULL) {
        check->options.on_verdict(check, check->options.context);
    }
}

/* ---- asking ---- */

static void take_answer(struct inquiry *inquiry, size_t which, enum err err,
                        const struct redisReply *reply)
{
    inquiry->is_cut_off = inquiry->is_cut_off || reply == NULL;
    if (which == ASK_INFO) {
        inquiry->info_err = err;
    }
    if (err == ERR_OK && which == ASK_INFO) {
        take_info(inquiry, reply);
    } else if (err == ERR_OK && which == ASK_CONFIG) {
        take_config(inquiry, reply);
    } else if (err == ERR_OK) {
        take_time(inquiry, reply);
    }
    if (--inquiry->left > 0) {
        return;
    }
    if (!inquiry->is_cut_off) {
        judge(inquiry);
    }
    xfree(inquiry);
}

static void on_info(struct redis_call *call, enum err err, const struct redisReply *reply)
{
    take_answer(CONTAINER_OF(call, struct inquiry, calls[ASK_INFO]), ASK_INFO, err, reply);
}

static void on_config(struct redis_call *call, enum err err, const struct redisReply *reply)
{
    take_answer(CONTAINER_OF(call, struct inquiry, calls[ASK_CONFIG]), ASK_CONFIG, err, reply);
}

static void on_time(struct redis_call *call, enum err err, const struct redisReply *reply)
{
    take_answer(CONTAINER_OF(call, struct inquiry, calls[ASK_TIME]), ASK_TIME, err, reply);
}

void redis_check_on_greeted(struct redis_node *node, void *check)
{
    static const struct slice info[] = {SLICE_INIT("INFO")};
    static const struct slice config[] = {
        SLICE_INIT("CONFIG"),
        SLICE_INIT("GET"),
        SLICE_INIT("appendfsync"),
        SLICE_INIT("no-appendfsync-on-rewrite"),
        SLICE_INIT("aof-load-truncated"),
        SLICE_INIT("min-replicas-to-write"),
    };
    static const struct slice time_of[] = {SLICE_INIT("TIME")};
    static const struct {
        const struct slice *words;
        size_t count;
        void (*on_reply)(struct redis_call *call, enum err err, const struct redisReply *reply);
    } asks[ASK_COUNT] = {
        [ASK_INFO] = {info, ARRAY_LEN(info), on_info},
        [ASK_CONFIG] = {config, ARRAY_LEN(config), on_config},
        [ASK_TIME] = {time_of, ARRAY_LEN(time_of), on_time},
    };
    struct inquiry *inquiry = xcalloc(1, sizeof(*inquiry));

    CHECK_MAGIC((struct redis_check *)check, CHECK_MAGIC_NO);
    inquiry->check = check;
    inquiry->node = node;
    inquiry->left = ASK_COUNT;
    inquiry->began_ms = moment_now_ms();
    for (size_t i = 0; i < ASK_COUNT; i++) {
        inquiry->calls[i].on_reply = asks[i].on_reply;
        redis_node_call(node, &inquiry->calls[i],
                        &(struct redis_command){.args = asks[i].words,
                                                .arg_count = asks[i].count,
                                                .timeout_ms = ASK_MS});
    }
}

/* ---- beginning and end ---- */

struct redis_check *redis_check_new(const struct redis_check_options *options)
{
    struct redis_check *check = xcalloc(1, sizeof(*check));

    CHECK(options->durability.len < sizeof(check->durability));
    check->magic = CHECK_MAGIC_NO;
    check->options = *options;
    (void)snprintf(check->durability, sizeof(check->durability), "%.*s",
                   SLICE_ARG(options->durability));
    list_init(&check->seen);
    check->verdict = (struct redis_verdict){
        .err = ERR_NOT_READY, .reason = "", .guarantee = guarantees[NOT_VERIFIED]};
    return check;
}

void redis_check_destroy(struct redis_check *check)
{
    if (check == NULL) {
        return;
    }
    CHECK_MAGIC(check, CHECK_MAGIC_NO);
    LIST_FOREACH (place, &check->seen) {
        list_remove(place);
        xfree(CONTAINER_OF(place, struct seen, node));
    }
    check->magic = 0;
    xfree(check);
}

const struct redis_verdict *redis_check_verdict(const struct redis_check *check)
{
    CHECK_MAGIC(check, CHECK_MAGIC_NO);
    return &check->verdict;
}
