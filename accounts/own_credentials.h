/* SPDX-License-Identifier: Apache-2.0
 *
 * own_credentials.h - the credentials that weir itself was given, found as the AWS SDKs find them.
 *
 * On the thread of the credentials provider only.
 */
#pragma once

#include "accounts/credentials.h"

struct own_credentials;

/* `message` says in words what went wrong; "" with ERR_OK. */
typedef void (*own_credentials_fn)(void *context, enum err err, const char *message);

struct own_credentials_options {
    const struct credentials_io *io;
    struct mailbox *mailbox;   /* through which loads report */
    struct slice sts_endpoint; /* without a slash at its end; asked for web identities */
};

/* Borrows all of the options. */
struct own_credentials *own_credentials_new(const struct own_credentials_options *options);
/* When no HTTP call is under way.  NULL is fine. */
void own_credentials_destroy(struct own_credentials *own);
/* Those held and still good (borrowed), or NULL. */
struct credentials *own_credentials_held(const struct own_credentials *own, uint64_t now_ms);
/* Should they be loaded (again)?  False while a load runs and shortly after one failed. */
bool own_credentials_is_due(const struct own_credentials *own, uint64_t now_ms);
bool own_credentials_is_loading(const struct own_credentials *own);
/* When own_credentials_is_due() becomes true by itself; UINT64_MAX while loading. */
uint64_t own_credentials_due_ms(const struct own_credentials *own);
/* Walk the chain; `on_done` runs later, on this thread.  Not while loading.
 * ERR_NO_CREDENTIALS: no source has any, or one is set up wrongly.  ERR_REMOTE_FAILED and
 * ERR_REMOTE_TIMEOUT: the source could not be asked.  Credentials held before stay. */
void own_credentials_load(struct own_credentials *own, own_credentials_fn on_done, void *context);
/* Which source gave those held: "environment", "instance metadata", ...; "" if none ever did. */
const char *own_credentials_source(const struct own_credentials *own);
/* What the last load said. */
enum err own_credentials_error(const struct own_credentials *own, const char **message);
/* AWS says that these are not good any more: forget them and load again. */
void own_credentials_drop(struct own_credentials *own);
