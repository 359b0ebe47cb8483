/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.h - may this principal send this event, and whose event is it?
 */
#pragma once

#include "accounts/principal.h"
#include "core/err.h"

/* Bind the account of the event.  `claimed` is the envelope's account, empty if absent: then the
 * account of record.  Another account is bound only if the account of record may forward for it
 * and the directory knows it.  ERR_ACCOUNT_DENIED otherwise, also when that account is suspended.
 */
MUST_USE enum err policy_bind_account(const struct directory *directory,
                                      const struct principal *principal, struct slice claimed,
                                      const struct account **account);
/* May a rule of that account send to `arn`?  To what is in its own account (or names none), and to
 * what `shared` allows it: ARNs, or prefixes that end in `*`. */
bool policy_may_target(struct slice account, const struct slice *shared, size_t shared_count,
                       struct slice arn);
/* May the principal send events of `source`?  `aws.*` only from credentials that relay, and from
 * accounts whose sources allow it.  ERR_SOURCE_DENIED otherwise. */
MUST_USE enum err policy_check_source(const struct principal *principal,
                                      const struct account *account, struct slice source);
