/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_access.h - who is speaking on the admin listener, and what that one may do.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "gateway/control.h"
#include "gateway/request.h"

/* What a route asks for.  A role is a set of rights; what is in no role's set, nobody may. */
enum admin_right {
    ADMIN_RIGHT_NOTHING = 0,       /* anybody */
    ADMIN_RIGHT_READ = 1 << 0,     /* what is configured and counted: no content of events */
    ADMIN_RIGHT_PAYLOAD = 1 << 1,  /* the content of stored events */
    ADMIN_RIGHT_ACCOUNTS = 1 << 2, /* accounts, and the credentials of their senders */
    ADMIN_RIGHT_OPERATE = 1 << 3,  /* everything else */
};

enum { ADMIN_NAME_CHARS_MAX = 32, ADMIN_ROLE_CHARS_MAX = 16 };

/* One who was proven. */
struct admin_caller {
    unsigned rights;                     /* of enum admin_right */
    char name[ADMIN_NAME_CHARS_MAX + 1]; /* "operator", or the id of a credential */
};

/* The rights of a role's name ("viewer", "payload-viewer", "account-admin", "operator"); 0 for any
 * other. */
unsigned admin_role_rights(struct slice role);
/* May this caller do what needs `right`? */
bool admin_may(const struct admin_caller *caller, enum admin_right right);

/* How a listener lets people in. */
struct admin_access {
    struct control *control;
    struct slice address; /* "127.0.0.1:9443", as the listener was opened */
    bool is_unix;         /* its mode is the key */
    struct buf token;     /* of the first operator: STATE/admin.token */
};

/* Read STATE/admin.token, or make it (0600) at first start. */
MUST_USE enum err admin_access_open(struct admin_access *access, struct err_why *why);
void admin_access_close(struct admin_access *access);
/* Host and Origin must be this listener's: ERR_ACCESS_DENIED.  Then the bearer's token must be the
 * first operator's, or one that was issued, has not expired or been revoked, and whose account is
 * not suspended: ERR_NO_TOKEN otherwise, whatever is wrong with it.  ERR_NOT_READY: the catalog is
 * too old to know about issued tokens. */
MUST_USE enum err admin_access_prove(const struct admin_access *access,
                                     const struct request *request, uint64_t now_ms,
                                     struct admin_caller *caller);
