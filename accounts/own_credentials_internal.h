/* SPDX-License-Identifier: Apache-2.0
 *
 * own_credentials_internal.h - what the sources of weir's own credentials share.
 *
 * A source looks whether it is set up, puts what it finds into findings, and hands them to
 * own_hold(); or it says with own_fail() what is wrong.
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
};

struct own_credentials {
    uint32_t magic;
    const struct credentials_io *io;
    struct mailbox *mailbox;

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

    /* the call to a container endpoint */
    struct http_call call;
    struct arena call_arena;
    unsigned attempts;
};

enum own_answer {
    OWN_ANSWER_ABSENT,  /* not set up: ask the next source */
    OWN_ANSWER_DONE,    /* findings are complete */
    OWN_ANSWER_FAILED,  /* set up, but wrong: own->err and own->why say how */
    OWN_ANSWER_PENDING, /* own_finish() will be called */
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
/* The load is over, with own->err as its outcome. Reports by mail. */
void own_finish(struct own_credentials *own);

/* own_container.c */
enum own_answer own_container_load(struct own_credentials *own);
