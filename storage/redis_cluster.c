/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_cluster.c - which node a call goes to.
 *
 * A cluster spreads 16,384 slots over its masters; a key's slot is the CRC16 of what stands between
 * its first braces.  CLUSTER SLOTS gives the map.  It is asked for in every greeting (a Redis
 * without a cluster answers with an error, and then there is one node for everything), again after
 * every MOVED and every lost connection, and with each recheck.  The map may be old at any time:
 * then a node answers MOVED or ASK, and the call follows.
 *
 * Nodes are made when they are first named, and go when the map no longer names them and nothing
 * waits for them.  The seed stays: it may be a name that always leads to some node of the cluster.
 *
 * What a node says about other nodes is believed (it could answer anything itself), within
 * REDIS_NODES_MAX, and TLS verifies each of them like the seed.
 */
#include "storage/redis_internal.h"

#include "core/check.h"
#include "core/moment.h"
#include "storage/redis_reply.h"

enum { REFRESH_MS = 200, CRC16_POLYNOMIAL = 0x1021, PORT_MAX = 65535 };

/* ---- keys and slots ---- */

static uint16_t crc16(struct slice bytes)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((uint8_t)bytes.data[i] << 8));
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ CRC16_POLYNOMIAL : crc << 1);
        }
    }
    return crc;
}

uint16_t redis_cluster_slot(struct slice key)
{
    const size_t open = slice_find(key, '{');
    const struct slice inside = slice_from(key, open + 1);
    const size_t len = slice_find(inside, '}');

    if (open < key.len && len > 0 && len < inside.len) {
        key = slice_first(inside, len);
    }
    return crc16(key) % REDIS_SLOT_COUNT;
}

/* ---- nodes ---- */

static struct redis_node *find_or_make(struct redis_link *link, struct slice host, uint64_t port)
{
    size_t count = 0;

    if (host.len == 0 || host.len > REDIS_HOST_CHARS_MAX || port == 0 || port > PORT_MAX ||
        slice_find(host, '\0') != host.len) {
        return NULL;
    }
    LIST_FOREACH (place, &link->nodes) {
        struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (node->port == port && slice_eq(slice_of(node->host), host)) {
            return node;
        }
        count++;
    }
    return count < REDIS_NODES_MAX ? redis_node_new(link, host, (uint16_t)port) : NULL;
}

struct redis_node *redis_cluster_redirect(struct redis_node *from, struct slice text)
{
    struct slice host;
    struct slice port = {NULL, 0};
    uint64_t number;

    (void)slice_cut(&text, ' '); /* MOVED */
    (void)slice_cut(&text, ' '); /* the slot */
    host = text;
    for (size_t i = text.len; i > 0; i--) {
        if (text.data[i - 1] == ':') {
            host = slice_first(text, i - 1);
            port = slice_from(text, i);
            break;
        }
    }
    if (!slice_to_u64(port, &number)) {
        return NULL;
    }
    return find_or_make(from->link, host.len > 0 ? host : slice_of(from->host), number);
}

static struct redis_node *any_node(struct redis_link *link)
{
    if (link->seed->trouble == ERR_OK) {
        return link->seed;
    }
    LIST_FOREACH (place, &link->nodes) {
        struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (node->trouble == ERR_OK) {
            return node;
        }
    }
    return link->seed;
}

struct redis_node *redis_cluster_node(struct redis_link *link, const struct redis_call *call)
{
    if (link->cluster.slots == NULL) {
        return link->seed;
    }
    if (call->has_slot && link->cluster.slots[call->slot] != NULL) {
        return link->cluster.slots[call->slot];
    }
    return any_node(link);
}

/* ---- the map ---- */

/* [first, last, [host, port, …], replicas …] */
static void learn_range(struct redis_node *from, const struct redisReply *range)
{
    const struct redisReply *master = redis_reply_at(range, 2);
    struct slice host = redis_reply_text(redis_reply_at(master, 0));
    struct redis_node *node;
    uint64_t first;
    uint64_t last;
    uint64_t port;

    if (!redis_reply_u64(redis_reply_at(range, 0), &first) ||
        !redis_reply_u64(redis_reply_at(range, 1), &last) ||
        !redis_reply_u64(redis_reply_at(master, 1), &port) || last >= REDIS_SLOT_COUNT) {
        return;
    }
    if (host.len == 0 || slice_eq(host, SLICE("?"))) { /* it does not know its own address */
        host = slice_of(from->host);
    }
    node = find_or_make(from->link, host, port);
    if (node == NULL) {
        return;
    }
    node->is_used = true;
    for (uint64_t slot = first; slot <= last; slot++) {
        from->link->cluster.slots[slot] = node;
    }
}

static void retire_unused(struct redis_node *but)
{
    struct redis_link *link = but->link;

    LIST_FOREACH (place, &link->nodes) {
        struct redis_node *node = CONTAINER_OF(place, struct redis_node, link_node);

        if (!node->is_used && node != but && node != link->seed && node->pipe.call_count == 0) {
            redis_node_destroy(node);
        }
    }
}

void redis_cluster_learn(struct redis_node *node, const struct redisReply *reply)
{
    struct redis_link *link = node->link;

    if (redis_reply_count(reply) == 0) {
        return; /* no cluster, or one that cannot tell just now */
    }
    if (link->cluster.slots == NULL) {
        link->cluster.slots = xcalloc(REDIS_SLOT_COUNT, sizeof(struct redis_node *));
    }
    memset(link->cluster.slots, 0, REDIS_SLOT_COUNT * sizeof(struct redis_node *));
    LIST_FOREACH (place, &link->nodes) {
        CONTAINER_OF(place, struct redis_node, link_node)->is_used = false;
    }
    for (size_t i = 0; i < redis_reply_count(reply); i++) {
        learn_range(node, redis_reply_at(reply, i));
    }
    retire_unused(node);
    redis_link_on_node_change(node);
}

static void on_slots(struct redis_node *node, unsigned step, enum err err,
                     const struct redisReply *reply)
{
    (void)step;
    if (err == ERR_OK) {
        redis_cluster_learn(node, reply);
    }
}

void redis_cluster_refresh(struct redis_link *link)
{
    static const struct slice words[] = {SLICE_INIT("CLUSTER"), SLICE_INIT("SLOTS")};
    const uint64_t now_ms = moment_steady_ms();
    struct redis_node *node;

    if (link->cluster.slots == NULL || link->seed == NULL ||
        now_ms < link->cluster.asked_ms + REFRESH_MS) {
        return;
    }
    node = any_node(link);
    if (node->trouble != ERR_OK) {
        return; /* the next greeting asks */
    }
    link->cluster.asked_ms = now_ms;
    redis_node_ask(node, 0,
                   &(struct redis_command){.args = words,
                                           .arg_count = ARRAY_LEN(words),
                                           .timeout_ms = link->options.connect_timeout_ms},
                   on_slots);
}

void redis_cluster_clean_up(struct redis_cluster *cluster)
{
    xfree(cluster->slots);
    cluster->slots = NULL;
}
