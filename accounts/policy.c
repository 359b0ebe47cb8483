/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.c - whose event is it, and may this caller send it?
 *
 * The account in an envelope is a claim, written by whoever wrote the payload; only the credential
 * proves one.  A claim counts when the proven account may forward for the claimed one.  Sources
 * that begin with "aws." are claims too: they are believed from credentials made for relaying, and
 * only where the account's list of sources has them.
 *
 * Pure: reads the directory, keeps nothing.
 */
#include "accounts/policy.h"

#include "core/arn.h"

static bool may_forward(const struct account *account, struct slice claimed)
{
    for (size_t i = 0; i < account->may_forward_for_count; i++) {
        const struct slice allowed = account->may_forward_for[i];

        if (slice_eq(allowed, claimed) || slice_eq(allowed, SLICE("*"))) {
            return true;
        }
    }
    return false;
}

enum err policy_bind_account(const struct directory *directory, const struct principal *principal,
                             struct slice claimed, const struct account **account)
{
    const struct account *found = principal->account;

    if (found->is_suspended) {
        return ERR_ACCOUNT_DENIED;
    }
    if (claimed.len > 0 && !slice_eq(claimed, found->id)) {
        if (!may_forward(found, claimed)) {
            return ERR_ACCOUNT_DENIED;
        }
        found = directory_account(directory, claimed);
        if (found == NULL || found->is_suspended) {
            return ERR_ACCOUNT_DENIED;
        }
    }
    *account = found;
    return ERR_OK;
}

/* Case is ignored, so that "AWS.guardduty" cannot pass where a rule ignores case. */
static bool is_reserved(struct slice source)
{
    return slice_eq_ignore_case(slice_first(source, 4), SLICE("aws."));
}

static bool is_matched_by(struct slice allowed, struct slice source)
{
    if (slice_has_suffix(allowed, SLICE("*"))) {
        return slice_has_prefix(source, slice_first(allowed, allowed.len - 1));
    }
    return slice_eq(allowed, source);
}

bool policy_may_target(struct slice account, const struct slice *shared, size_t shared_count,
                       struct slice arn)
{
    struct arn parts;

    if (!arn_split(arn, &parts)) {
        return false;
    }
    if (parts.account.len == 0 || slice_eq(parts.account, account)) {
        return true;
    }
    for (size_t i = 0; i < shared_count; i++) {
        if (is_matched_by(shared[i], arn)) {
            return true;
        }
    }
    return false;
}

enum err policy_check_source(const struct principal *principal, const struct account *account,
                             struct slice source)
{
    if (is_reserved(source) && !(principal->relays && account->has_sources)) {
        return ERR_SOURCE_DENIED;
    }
    if (!account->has_sources) {
        return ERR_OK;
    }
    for (size_t i = 0; i < account->source_count; i++) {
        if (is_matched_by(account->sources[i], source)) {
            return ERR_OK;
        }
    }
    return ERR_SOURCE_DENIED;
}
