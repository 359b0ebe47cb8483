/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_asker.h - a Redis link as a test wants it: ask, run the loop, look at the answer.
 */
#pragma once

#include <stdarg.h>

#include "core/check.h"
#include "core/moment.h"
#include "storage/redis_link.h"
#include "storage/redis_reply.h"

enum { ASK_WORDS_MAX = 16, ASK_MS = 120000 };

struct asked {
    struct redis_call call;
    bool is_done;
    enum err err;
    char text[256]; /* of a string, status or error */
    uint64_t number;
    size_t count;
    uint64_t order; /* of its answer */
};

static uint64_t asker_answers;

static inline void asker_on_reply(struct redis_call *call, enum err err,
                                  const struct redisReply *reply)
{
    struct asked *asked = CONTAINER_OF(call, struct asked, call);
    const struct slice text = redis_reply_text(reply);

    CHECK(!asked->is_done); /* exactly once */
    asked->is_done = true;
    asked->err = err;
    asked->order = ++asker_answers;
    (void)snprintf(asked->text, sizeof(asked->text), "%.*s", SLICE_ARG(text));
    (void)redis_reply_u64(reply, &asked->number);
    asked->count = redis_reply_count(reply);
}

static inline void asker_submit(struct redis_link *link, struct asked *asked,
                                const struct redis_command *command)
{
    *asked = (struct asked){.call = {.on_reply = asker_on_reply}};
    redis_link_call(link, &asked->call, command);
    CHECK(!asked->is_done); /* never inside the call */
}

/* Words end with NULL; the second is the key. */
static inline void asker_send(struct redis_link *link, struct asked *asked, const char *first, ...)
    __attribute__((sentinel));
static inline void asker_send(struct redis_link *link, struct asked *asked, const char *first, ...)
{
    struct slice words[ASK_WORDS_MAX];
    size_t count = 0;
    va_list rest;

    va_start(rest, first);
    for (const char *word = first; word != NULL; word = va_arg(rest, const char *)) {
        CHECK(count < ASK_WORDS_MAX);
        words[count++] = slice_of(word);
    }
    va_end(rest);
    asker_submit(link, asked,
                 &(struct redis_command){.args = words,
                                         .arg_count = count,
                                         .slot_key = count > 1 ? words[1] : SLICE(""),
                                         .timeout_ms = ASK_MS});
}

static inline void asker_await(struct ev_loop *loop, const struct asked *asked)
{
    while (!asked->is_done) {
        (void)ev_run(loop, EVRUN_ONCE);
    }
}
