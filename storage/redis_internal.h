/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_internal.h - what the files of a Redis link share: redis_link.c (policy: what an answer
 * leads to), redis_cluster.c (which node), redis_node.c (the life of a connection),
 * redis_greeting.c (its first words), redis_pipe.c (the calls of a connection), redis_command.c
 * (bytes of a call).
 */
#pragma once

#include "core/buf.h"
#include "core/sm.h"
#include "core/stream.h"
#include "storage/redis_link.h"
#include "storage/redis_node.h"
#include "storage/redis_reader.h"

enum {
    REDIS_LINK_MAGIC = 0x72646c6b,
    REDIS_NODE_MAGIC = 0x72646e6f,
    REDIS_SLOT_COUNT = 16384,
    REDIS_NODES_MAX = 128,
    REDIS_HOPS_MAX = 3,
    REDIS_HOST_CHARS_MAX = 253,
    REDIS_NAME_CHARS_MAX = REDIS_HOST_CHARS_MAX + 8,
};

/* ---- redis_pipe.c: the calls of one node, whichever connection ------------------------------ */

struct redis_pipe {
    struct list own;     /* unsent, of the node itself or its gate: they go first */
    struct list waiting; /* unsent, of callers */
    struct list sent;    /* awaiting replies, in order; the last may be half written */
    struct list again;   /* answered by "not here": unsent, before all that waits */
    struct redis_call *writing;
    size_t asking_left; /* of the ASKING in front of it */
    size_t written;     /* of its bytes */
    size_t call_count;  /* on all lists */
    size_t byte_count;
    struct redis_reader *reader; /* of the present connection; NULL: none */
};

void redis_pipe_init(struct redis_pipe *pipe);
/* Every list is empty by now. */
void redis_pipe_clean_up(struct redis_pipe *pipe);
/* A new connection: nothing is half written or half read. */
void redis_pipe_restart(struct redis_pipe *pipe);
void redis_pipe_add(struct redis_pipe *pipe, struct redis_call *call);
/* Behind those that were put back before, in front of those that never left. */
void redis_pipe_put_back(struct redis_pipe *pipe, struct redis_call *call);
/* Take a call off, from whichever list it is on. */
void redis_pipe_remove(struct redis_pipe *pipe, struct redis_call *call);
/* Is there something to send?  `with_callers`: theirs too. */
bool redis_pipe_has_unsent(const struct redis_pipe *pipe, bool with_callers);
/* Put up to `room_len` bytes of what is unsent into `room`. */
size_t redis_pipe_fill(struct redis_pipe *pipe, bool with_callers, char *room, size_t room_len);
/* The call that the next reply belongs to, or NULL: nothing was asked.  With `is_asking` still set
 * it is the answer to that only. */
struct redis_call *redis_pipe_answered(const struct redis_pipe *pipe);

/* ---- redis_command.c: calls as bytes -------------------------------------------------------- */

/* Fill the private fields of `call`, its deadline excepted.  ERR_TOO_LARGE: over a maximum. */
MUST_USE enum err redis_command_format(const struct redis_command *command,
                                       struct redis_call *call);
/* Overwrite and free the bytes. */
void redis_command_forget(struct redis_call *call);

/* ---- redis_node.c: the life of a connection ------------------------------------------------- */

enum redis_node_state {
    NODE_DOWN,       /* the timer runs until the next attempt */
    NODE_CONNECTING, /* name, TCP, TLS */
    NODE_GREETING,   /* AUTH, SELECT, scripts */
    NODE_GATED,      /* on_greeted was called */
    NODE_UP,
    NODE_DRAINING, /* "not here" was heard: what was sent is awaited, then a new connection */
};

struct redis_node {
    uint32_t magic;
    struct sm state;
    struct redis_link *link;
    struct list link_node;
    char host[REDIS_HOST_CHARS_MAX + 1];
    uint16_t port;
    char name[REDIS_NAME_CHARS_MAX + 1];
    struct stream *stream; /* NULL: NODE_DOWN */
    struct redis_pipe pipe;
    ev_timer timer;         /* the next attempt; or the end of patience with greeting and gate */
    ev_timer recheck;       /* on_greeted again */
    uint64_t connection;    /* the present one, or the last: its number in the link */
    unsigned greeting_left; /* answers still to come */
    enum err greeting_err;
    unsigned failure_count; /* attempts in a row */
    enum err trouble;
    bool is_used; /* has slots, or is the only one */
};

struct redis_node *redis_node_new(struct redis_link *link, struct slice host, uint16_t port);
/* Its calls are put on the link's list of those to be answered. */
void redis_node_destroy(struct redis_node *node);
/* Queue or fail; the call is formatted. */
void redis_node_submit(struct redis_node *node, struct redis_call *call);
/* End the connection; those sent get `sent_err`. */
void redis_node_drop(struct redis_node *node, enum err trouble, enum err sent_err);
/* This call met a Redis that may not write: look the host up again and repeat it there. */
void redis_node_send_elsewhere(struct redis_node *node, struct redis_call *call);
/* Teach the script of `call`, then repeat it. */
void redis_node_teach(struct redis_node *node, struct redis_call *call);
/* Expire what is past its deadline; returns the earliest of the others, or UINT64_MAX. */
uint64_t redis_node_expire(struct redis_node *node, uint64_t now_ms);
/* Ask with memory of our own: `on_answer` gets the reply, or NULL when there was none. */
typedef void (*redis_answer_fn)(struct redis_node *node, unsigned step, enum err err,
                                const struct redisReply *reply);
void redis_node_ask(struct redis_node *node, unsigned step, const struct redis_command *command,
                    redis_answer_fn on_answer);

void redis_node_ask_words(struct redis_node *node, unsigned step, const struct slice *words,
                          size_t word_count, redis_answer_fn on_answer);
/* The greeting is over. */
void redis_node_greeted(struct redis_node *node, enum err err);

/* ---- redis_greeting.c: the first words on a connection --------------------------------------- */

/* In NODE_GREETING, once. */
void redis_node_greet(struct redis_node *node);

/* ---- redis_cluster.c: which node ------------------------------------------------------------ */

struct redis_cluster {
    struct redis_node **slots; /* REDIS_SLOT_COUNT; NULL: no cluster, or not known to be one */
    uint64_t asked_ms;
};

uint16_t redis_cluster_slot(struct slice key);
void redis_cluster_clean_up(struct redis_cluster *cluster);
/* Where a call goes. */
struct redis_node *redis_cluster_node(struct redis_link *link, const struct redis_call *call);
/* Part of every greeting: learn from the answer to CLUSTER SLOTS, an error from a Redis that is
 * none. */
void redis_cluster_learn(struct redis_node *node, const struct redisReply *reply);
/* Ask any node again, unless that was done a moment ago. */
void redis_cluster_refresh(struct redis_link *link);
/* The node that "MOVED 3999 127.0.0.1:6381" or "ASK …" names, made if it is new; NULL: nonsense, or
 * too many. */
struct redis_node *redis_cluster_redirect(struct redis_node *from, struct slice text);

/* ---- redis_link.c: policy ------------------------------------------------------------------- */

struct redis_link {
    uint32_t magic;
    struct redis_link_options options; /* user, password_file: of these */
    char *user;
    char *password_file;
    struct stream_loop *streams;
    struct list nodes; /* struct redis_node; the first is the seed */
    struct redis_node *seed;
    struct redis_cluster cluster;
    struct list finished; /* calls to be answered with their err, without a reply */
    ev_timer answering;
    ev_timer deadline;
    uint64_t deadline_ms; /* it is armed for; UINT64_MAX: not */
    uint64_t connect_count;
    uint64_t last_connection;
    enum err told; /* on_change was told of */
};

/* Answer later, without a reply. */
void redis_link_finish(struct redis_link *link, struct redis_call *call, enum err err);
/* A reply came to a call of a caller. */
void redis_link_on_reply(struct redis_node *node, struct redis_call *call,
                         const struct redisReply *reply);
/* A node came up, went down, or is trouble in another way. */
void redis_link_on_node_change(struct redis_node *node);
/* Look at deadlines no later than `deadline_ms`. */
void redis_link_watch_deadline(struct redis_link *link, uint64_t deadline_ms);
