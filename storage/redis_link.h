/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_link.h - commands to Redis from one loop: pipelined, in order, each answered exactly once
 * and in bounded time.
 *
 * A link speaks to one Redis, or to the nodes of one Redis Cluster; who calls does not notice
 * which. It keeps one connection per node, and commands to one node are executed in the order in
 * which they were called.  All of it belongs to the loop's thread; nothing here blocks.
 *
 * What the errors say about a call:
 *
 *   ERR_OK                  executed; `reply` is no error reply (an element of an array may be)
 *   ERR_TOO_LARGE           over a maximum below: nothing happened
 *   ERR_REMOTE_UNREACHABLE  never sent, no connection: nothing happened
 *   ERR_STORE_BUSY          never sent, the queue is full; or refused by Redis for now (LOADING,
 * BUSY, TRYAGAIN, CLUSTERDOWN, MASTERDOWN, MISCONF, NOREPLICAS, and READONLY or MOVED after the
 * link had tried elsewhere): nothing happened, unless a script was refused midway ERR_STORE_FULL
 * OOM: as before ERR_STORE_FAILED        refused for good (NOAUTH, NOPERM, WRONGTYPE, CROSSSLOT, a
 * script's error) ERR_REMOTE_TIMEOUT      sent, not answered in time: outcome unknown
 *   ERR_REMOTE_FAILED       sent, and the connection ended or brought garbage: outcome unknown
 */
#pragma once

#include <ev.h>

#include "core/err.h"
#include "core/list.h"
#include "core/slice.h"

struct redisReply;
struct redis_link;
struct redis_node;
struct tls_context;

enum {
    REDIS_ARG_BYTES_MAX = 16 << 20,     /* one argument */
    REDIS_COMMAND_BYTES_MAX = 32 << 20, /* one command with all its arguments */
    REDIS_COMMAND_ARGS_MAX = 65536,
    REDIS_REPLY_BYTES_MAX = 32 << 20, /* one reply; more: the connection is given up */
    REDIS_REPLY_ELEMENTS_MAX = 65536, /* of one array */
    REDIS_REPLY_DEPTH_MAX = 4,        /* arrays within each other */
    REDIS_SHA_CHARS = 40,
};

/* A script, known by the digest of its text.  Constant once initialised. */
struct redis_script {
    const char *name; /* for logs */
    struct slice text;
    char sha[REDIS_SHA_CHARS + 1];
};

/* `name` and `text` are borrowed for good. */
void redis_script_init(struct redis_script *script, const char *name, struct slice text);

/* What to execute.  Everything is copied by redis_link_call(). */
struct redis_command {
    /* The words of a command; with `script` the script's ARGV. */
    const struct slice *args;
    size_t arg_count;
    /* EVALSHA with these KEYS, all of one slot.  A Redis that does not know the script is taught it
     * and asked once more. */
    const struct redis_script *script;
    const struct slice *keys;
    size_t key_count;
    /* A cluster: the key whose slot decides the node.  Empty: the first of `keys`, or any node. */
    struct slice slot_key;
    unsigned timeout_ms; /* until on_reply, whatever happens; not 0 */
};

/* One call: the caller's memory, the link's from redis_link_call() to on_reply. */
struct redis_call {
    /* Exactly once, always later, on the loop; the call is the caller's again.  `reply` is gone
     * when this returns; with an error it is NULL or the error reply. */
    void (*on_reply)(struct redis_call *call, enum err err, const struct redisReply *reply);
    uint64_t connection; /* for on_reply: by which the reply came, of all that the link has had */

    /* private */
    struct list node;
    char *bytes; /* the command as it is sent */
    size_t len;
    uint64_t deadline_ms;
    const struct redis_script *script;
    uint16_t slot;
    uint8_t hop_count;
    bool has_slot;
    bool is_asking;
    bool was_taught;    /* NOSCRIPT was met before */
    bool was_elsewhere; /* READONLY was met before */
    bool is_own;        /* of the node itself, or of its gate: not held back by it */
    enum err err;       /* while it waits to be answered */
};

struct redis_link_options {
    struct ev_loop *loop;
    struct slice host; /* name or literal address */
    uint16_t port;
    unsigned db;
    struct slice user;          /* empty: the default user */
    struct slice password_file; /* absolute; empty: none */
    struct tls_context *tls;    /* of tls_client_context_new(); NULL: cleartext */
    /* Loaded into every new connection's Redis before calls are let through; may be NULL. */
    const struct redis_script *const *scripts;
    size_t script_count;
    unsigned connect_timeout_ms; /* name, TCP, TLS, and again for greeting and gate */
    unsigned probe_ms;           /* between attempts, with jitter, while there is no connection */
    unsigned refused_ms;         /* between attempts after Redis, or the gate, refused us */
    unsigned breaker_failures;   /* attempts that fail in a row before calls fail at once */
    size_t queue_calls_max;      /* calls of one node that are not answered yet */
    size_t queue_bytes_max;      /* bytes of these */
    /* A connection stands and is authenticated, but calls wait: ask with redis_node_call(), then
     * say redis_node_admit() or redis_node_refuse() (redis_node.h).  The same again every
     * `recheck_ms`, calls going on meanwhile.  NULL: admitted at once. */
    void (*on_greeted)(struct redis_node *node, void *context);
    unsigned recheck_ms;
    /* The answer of redis_link_trouble() may have changed.  May be NULL. */
    void (*on_change)(struct redis_link *link, void *context);
    void *context;
};

/* 127.0.0.1:6379, db 0, 2 s, 250 ms, 10 s, 3 failures, 8,192 calls, 128 MiB, 1 s. */
struct redis_link_options redis_link_defaults(struct ev_loop *loop);

/* Begins to connect and never stops trying.  Slices are copied, scripts are borrowed. */
struct redis_link *redis_link_new(const struct redis_link_options *options);
/* Answers what is open (ERR_REMOTE_UNREACHABLE or ERR_REMOTE_FAILED, inside this call) and frees.
 * Not from a callback of the link.  NULL is fine. */
void redis_link_destroy(struct redis_link *link);

/* Execute `command`; `call->on_reply` is set.  While there is no connection, calls wait for one
 * until `breaker_failures` attempts have failed; then they fail at once until one succeeds. */
void redis_link_call(struct redis_link *link, struct redis_call *call,
                     const struct redis_command *command);

/* The same by the connection that answered another call: for WAIT, which speaks of what its own
 * connection has written.  ERR_REMOTE_UNREACHABLE when that connection has ended; when it ends
 * later, the reply may be the next one's, so look at `call->connection`. */
void redis_link_call_at(struct redis_link *link, uint64_t connection, struct redis_call *call,
                        const struct redis_command *command);

/* Are there connections, admitted, to all nodes that are known?  ERR_OK; ERR_NOT_READY: never been
 * so far; ERR_REMOTE_UNREACHABLE; ERR_STORE_BUSY (LOADING); ERR_REMOTE_DENIED: user or password
 * refused; or what redis_node_refuse() said. */
enum err redis_link_trouble(const struct redis_link *link);
/* Connections that were admitted, since the beginning. */
uint64_t redis_link_connect_count(const struct redis_link *link);
