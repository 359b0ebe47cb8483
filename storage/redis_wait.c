/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_wait.c - what was executed waits for replicas, many at a time.
 *
 * WAIT speaks of what its own connection has written before, and holds up all that comes behind it
 * until the replicas have answered or 50 ms are over.  So each connection has one WAIT under way,
 * for all commits that it had answered by then; those that are answered meanwhile share the next
 * one. With a replica that does not answer a commit takes some 100 ms, however many there are.
 *
 *     commit executed ──> next ──turn ends, no WAIT under way──> asked ──its answer──> all of them
 *
 * A new connection has written nothing, and WAIT there is true of nothing: an answer that came by
 * another connection than the commit's is none.
 *
 * A change of the catalog waits in the same way; only its owner asks again while they are too few
 * (redis_catalog.c).
 *
 * Invariant: a wait exists while one of its lists has a waiter.
 */
#include "storage/redis_store.h"

#include "core/check.h"

enum { REPLICAS_MS = 50, TIMEOUT_MS = 1000 };

struct redis_wait {
    struct list node; /* on the store's `waits` */
    struct redis_store *store;
    uint64_t connection;
    struct redis_call call;
    struct list asked; /* struct redis_waiter */
    struct list next;
    bool is_out;
};

bool redis_waits_for_replicas(const struct redis_store *store)
{
    return store->wait_replicas > 0 && redis_check_verdict(store->check)->replica_count > 0;
}

static void on_wait_reply(struct redis_call *call, enum err err, const redisReply *reply)
{
    struct redis_wait *wait = CONTAINER_OF(call, struct redis_wait, call);
    uint64_t count = 0;

    if (err == ERR_OK &&
        (call->connection != wait->connection || !redis_reply_u64(reply, &count))) {
        err = ERR_REMOTE_FAILED;
    } else if (err == ERR_OK && count < wait->store->wait_replicas) {
        err = ERR_STORE_BUSY;
    }
    wait->is_out = false;
    LIST_FOREACH (node, &wait->asked) {
        struct redis_waiter *waiter = CONTAINER_OF(node, struct redis_waiter, node);

        list_remove(node);
        waiter->on_waited(waiter, err);
    }
    if (list_is_empty(&wait->next)) {
        list_remove(&wait->node);
        xfree(wait);
    }
}

static void wait_send(struct redis_wait *wait)
{
    char count[24];
    char replicas_ms[24];
    struct slice words[3] = {SLICE("WAIT")};
    const struct redis_command command = {
        .args = words, .arg_count = ARRAY_LEN(words), .timeout_ms = TIMEOUT_MS};

    (void)snprintf(count, sizeof(count), "%" PRIu64, wait->store->wait_replicas);
    (void)snprintf(replicas_ms, sizeof(replicas_ms), "%d", (int)REPLICAS_MS);
    words[1] = slice_of(count);
    words[2] = slice_of(replicas_ms);
    list_splice(&wait->asked, &wait->next);
    wait->is_out = true;
    wait->call.on_reply = on_wait_reply;
    redis_link_call_at(wait->store->link, wait->connection, &wait->call, &command);
}

void redis_waits_send(struct redis_store *store)
{
    LIST_FOREACH (node, &store->waits) {
        struct redis_wait *wait = CONTAINER_OF(node, struct redis_wait, node);

        if (!wait->is_out) {
            CHECK(!list_is_empty(&wait->next));
            wait_send(wait);
        }
    }
}

static struct redis_wait *wait_at(struct redis_store *store, uint64_t connection)
{
    struct redis_wait *wait;

    LIST_FOREACH (node, &store->waits) {
        wait = CONTAINER_OF(node, struct redis_wait, node);
        if (wait->connection == connection) {
            return wait;
        }
    }
    wait = xcalloc(1, sizeof(*wait));
    wait->store = store;
    wait->connection = connection;
    list_init(&wait->asked);
    list_init(&wait->next);
    list_append(&store->waits, &wait->node);
    return wait;
}

void redis_wait_add(struct redis_store *store, uint64_t connection, struct redis_waiter *waiter)
{
    list_append(&wait_at(store, connection)->next, &waiter->node);
}
