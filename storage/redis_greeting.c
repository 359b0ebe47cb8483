/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_greeting.c - the first words on a connection to Redis: AUTH, CLIENT SETNAME, SELECT,
 * CLUSTER SLOTS and every script, pipelined.
 *
 * The happy path: redis_node_greet() asks, on_greeting() counts the answers, and with the last one
 * redis_node_greeted() lets the connection go on to the gate.  A refused password ends it at once;
 * any other trouble is told when all answers are here.
 *
 * The password is read from its file at every attempt, and a copy lives as long as AUTH is unsent.
 */
#include "storage/redis_internal.h"

#include "core/file.h"
#include "core/log.h"
#include "storage/redis_reply.h"

enum { PASSWORD_BYTES_MAX = 4096 };

enum greeting_step { STEP_AUTH, STEP_NAME, STEP_SELECT, STEP_SLOTS, STEP_SCRIPT };

/* What an error in the greeting means for the connection. */
static enum err judge_greeting(enum greeting_step step, const struct redisReply *reply)
{
    const enum err err = redis_reply_err(reply);
    const struct slice text = redis_reply_text(reply);

    if (err != ERR_STORE_FAILED) {
        return err; /* fine, or a matter of time */
    }
    if (step == STEP_AUTH || slice_has_prefix(text, SLICE("NOAUTH")) ||
        slice_has_prefix(text, SLICE("WRONGPASS"))) {
        return ERR_REMOTE_DENIED;
    }
    if (step == STEP_NAME || step == STEP_SLOTS) {
        return ERR_OK; /* a comfort; and "this instance has cluster support disabled" */
    }
    return slice_has_prefix(text, SLICE("NOPERM")) ? ERR_REMOTE_DENIED : ERR_STORE_FAILED;
}

static void on_greeting(struct redis_node *node, unsigned step, enum err err,
                        const struct redisReply *reply)
{
    (void)err;
    if (node->state.state != (unsigned)NODE_GREETING || reply == NULL) {
        return; /* the connection has ended, or is about to */
    }
    err = judge_greeting((enum greeting_step)step, reply);
    if (err != ERR_OK && node->greeting_err == ERR_OK) {
        log_warn("redis.greeting", LOG_SLICE("node", redis_node_name(node)),
                 LOG_SLICE("answer", redis_reply_text(reply)), LOG_ERR(err));
        node->greeting_err = err;
    }
    if (step == STEP_SLOTS) {
        redis_cluster_learn(node, reply);
    }
    if (--node->greeting_left == 0 || node->greeting_err == ERR_REMOTE_DENIED) {
        redis_node_greeted(node, node->greeting_err);
    }
}

static void greet_with(struct redis_node *node, enum greeting_step step, const struct slice *words,
                       size_t word_count)
{
    node->greeting_left++;
    redis_node_ask_words(node, step, words, word_count, on_greeting);
}

static enum err authenticate(struct redis_node *node)
{
    const struct redis_link_options *options = &node->link->options;
    struct slice words[3] = {SLICE("AUTH")};
    size_t count = 1;
    struct buf password;
    struct err_why why;
    enum err err;

    if (options->password_file.len == 0) {
        return ERR_OK;
    }
    buf_init(&password, PASSWORD_BYTES_MAX);
    err = file_read_secret(options->password_file.data, &password, &why);
    if (err == ERR_OK) {
        struct slice text = buf_slice(&password);

        if (options->user.len > 0) {
            words[count++] = options->user;
        }
        words[count++] = slice_first(text, slice_find(text, '\n'));
        greet_with(node, STEP_AUTH, words, count);
    } else if (node->trouble != ERR_REMOTE_DENIED) {
        log_error("redis.password", LOG_TEXT("why", why.text), LOG_ERR(err));
    }
    buf_wipe(&password);
    return err == ERR_OK ? ERR_OK : ERR_REMOTE_DENIED;
}

void redis_node_greet(struct redis_node *node)
{
    const struct redis_link_options *options = &node->link->options;
    char db[16];

    node->greeting_left = 0;
    node->greeting_err = ERR_OK;
    if (authenticate(node) != ERR_OK) {
        redis_node_greeted(node, ERR_REMOTE_DENIED);
        return;
    }
    greet_with(node, STEP_NAME,
               (const struct slice[]){SLICE("CLIENT"), SLICE("SETNAME"), SLICE("weir")}, 3);
    if (options->db != 0) {
        (void)snprintf(db, sizeof(db), "%u", options->db);
        greet_with(node, STEP_SELECT, (const struct slice[]){SLICE("SELECT"), slice_of(db)}, 2);
    }
    greet_with(node, STEP_SLOTS, (const struct slice[]){SLICE("CLUSTER"), SLICE("SLOTS")}, 2);
    for (size_t i = 0; i < options->script_count; i++) {
        greet_with(
            node, STEP_SCRIPT,
            (const struct slice[]){SLICE("SCRIPT"), SLICE("LOAD"), options->scripts[i]->text}, 3);
    }
}
