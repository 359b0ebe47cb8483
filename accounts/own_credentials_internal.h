/* SPDX-License-Identifier: Apache-2.0
 *
 * own_credentials_internal.h - what the sources of weir's own credentials share.
 *
 * A source looks whether it is set up, puts what it finds into findings, and hands them to
 * own_hold(); or it says with own_fail() what is wrong.  One that has to ask somebody begins an
 * exchange, whose reply is judged the same way.
 */
#pragma once

#include "accounts/own_credentials.h"
#include "core/arena.h"

/* What a source found, as text. */
struct own_findings {
    struct buf access_key_id;
    struct buf secret_access_key;
    struct buf session_token;
    struct buf expiration; /* ISO 8601, or empty */
};

enum {
    OWN_CREDENTIALS_MAGIC = 0x6f776e63,
    OWN_KEY_ID_CHARS_MAX = 128,
    OWN_TOKEN_CHARS_MAX = 8192,
    OWN_REPLY_BYTES_MAX = 64 * 1024,
};

enum own_answer {
    OWN_ANSWER_ABSENT,  /* not set up: ask the next source */
    OWN_ANSWER_DONE,    /* findings are complete */
    OWN_ANSWER_FAILED,  /* set up, but wrong: own->err and own->why say how */
    OWN_ANSWER_PENDING, /* an exchange is under way */
};

/* Judge a reply. PENDING: own_exchange_begin() has the next question. */
typedef enum own_answer (*own_reply_fn)(struct own_credentials *own, const struct http_call *call);

/* One question over HTTP.  What it points to lives in own->call_arena or own->secret. */
struct own_exchange {
    const char *method;
    const char *url;
    struct header header; /* without a name: none */
    struct slice body;
    unsigned timeout_ms;
    unsigned attempts_max;   /* all may fail but the last: no answer, or on_reply said REMOTE_... */
    own_reply_fn on_reply;   /* a complete reply of any status */
    own_reply_fn on_silence; /* nobody answered; NULL: an error of this source */
};

struct own_credentials {
    uint32_t magic;
    struct own_credentials_options options;
    const struct credentials_io *io;

    struct credentials *held;
    uint64_t due_ms;

    bool is_loading;
    bool is_orphan; /* destroyed while its mail was under way */
    own_credentials_fn on_done;
    void *context;
    struct mail mail;
    enum err err;
    struct err_why why;
    const char *source;
    const char *held_source; /* of what is held, as it was told in the log */

    /* the exchange of a source */
    struct http_call call;
    struct own_exchange exchange;
    struct arena call_arena;
    struct buf secret; /* what it sends that nobody else may see; wiped at its end */
    unsigned attempts;
};

/* Take all the room at once: a buf that grows would leave copies of a secret behind. */
void own_text_init(struct buf *buf, size_t max);
void own_findings_init(struct own_findings *findings);
/* Wipes. */
void own_findings_clean_up(struct own_findings *findings);
/* Neither blanks nor control bytes: may stand in a header or a URL. */
bool own_text_is_plain(struct slice text);
/* A variable of the environment; empty if it is not set. */
struct slice own_variable(const struct own_credentials *own, const char *name);
/* Set err and "SOURCE: text what" as the outcome; always OWN_ANSWER_FAILED. */
enum own_answer own_fail(struct own_credentials *own, enum err err, const char *text,
                         struct slice what);
/* Check the findings and make them the credentials held. */
enum own_answer own_hold(struct own_credentials *own, const struct own_findings *findings);
/* Refuse `text` unless it may stand in a header or a form as one word. Blanks are allowed. */
bool own_text_has_controls(struct slice text);
/* Without white space, line ends included, behind it. */
struct slice own_trim_end(struct slice text);
/* The load is over, with own->err as its outcome. Reports by mail. */
void own_finish(struct own_credentials *own);

/* own_exchange.c */

/* Ask, and ask again; own_finish() will be called.  From a source or from on_reply, whose answer
 * must then be PENDING.  Returns PENDING. */
enum own_answer own_exchange_begin(struct own_credentials *own,
                                   const struct own_exchange *exchange);
/* Hold the credentials in the JSON object that container endpoints and instance metadata answer. */
enum own_answer own_exchange_hold_json(struct own_credentials *own, struct slice text);

/* The sources that have a file of their own. */
enum own_answer own_container_load(struct own_credentials *own);
enum own_answer own_files_load(struct own_credentials *own);
enum own_answer own_instance_load(struct own_credentials *own);
enum own_answer own_web_identity_load(struct own_credentials *own);
