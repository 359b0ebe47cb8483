/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.c - from a lane's name to a destination.
 *
 * A stored delivery names an account and a target's uid, nothing else; where that leads is decided
 * each time the snapshot changes.  The destination's key holds all that decides about credentials:
 * ARN, role, external id, and for an assumed role the account, because the session is tagged with
 * it.  Two lanes with one key may share a call.
 *
 * Pure: borrows from the snapshot, allocates in the caller's arena.
 */
#include "delivery/resolve.h"

#include "accounts/policy.h"
#include "core/check.h"
#include "delivery/target.h"
#include "routing/sequence.h"
#include "storage/store.h"

static bool split_name(struct slice lane, struct slice *account, uint64_t *uid, struct slice *step,
                       bool *is_dlq)
{
    struct slice rest = lane;

    *is_dlq = slice_has_suffix(lane, SLICE(RESOLVE_DLQ_SUFFIX));
    rest.len -= *is_dlq ? strlen(RESOLVE_DLQ_SUFFIX) : 0;
    *account = slice_cut(&rest, '/');
    *step = rest;
    rest = slice_cut(step, STORE_LANE_STEP);
    return account->len == ACCOUNT_ID_CHARS && slice_to_u64(rest, uid);
}

/* As whom. False if nobody may. */
static bool choose_credentials(const struct directory *directory, struct arena *arena,
                               struct resolution *resolution)
{
    const struct account *account = resolution->account;
    struct arn parts;

    if (resolution->target->role_arn.len > 0) {
        resolution->role_arn = rule_fill_account(resolution->target->role_arn, account->id, arena);
        resolution->external_id = account->external_id;
        return true;
    }
    if (account->dispatch_role_arn.len > 0) {
        resolution->role_arn = account->dispatch_role_arn;
        resolution->external_id = account->external_id;
        return true;
    }
    return resolution->rule->is_operator_owned && arn_split(resolution->arn, &parts) &&
           slice_eq(parts.account, directory->central_account);
}

/* A member's rule sends to its own account and to what is shared with it, whatever was right when
 * it was put.  Its dead-letter queue is looked at where its credentials are. */
static bool may_send(const struct resolution *resolution)
{
    return resolution->is_dlq || !resolution->rule->is_member_owned ||
           policy_may_target(resolution->account->id, resolution->account->shared_targets,
                             resolution->account->shared_target_count, resolution->arn);
}

/* As whom to a dead-letter queue. False if nobody may. */
static bool choose_queue_credentials(const struct directory *directory,
                                     struct resolution *resolution)
{
    const struct rule *rule = resolution->rule;
    const struct account *owner;
    struct arn parts;

    if (!arn_split(resolution->arn, &parts) ||
        (!rule->is_operator_owned && !slice_eq(parts.account, rule->owner_account))) {
        return false;
    }
    if (rule->is_operator_owned && slice_eq(parts.account, directory->central_account)) {
        return true;
    }
    owner = directory_account(directory, parts.account);
    if (owner == NULL || owner->dispatch_role_arn.len == 0) {
        return false;
    }
    resolution->role_arn = owner->dispatch_role_arn;
    resolution->external_id = owner->external_id;
    return true;
}

/* Where to and as whom, for an API destination: NULL, or why not. */
static const char *find_api_destination(const struct directory *directory,
                                        struct resolution *resolution)
{
    const struct rule *rule = resolution->rule;
    struct arn parts;

    resolution->api_destination = directory_api_destination(directory, resolution->arn);
    if (!rule->is_operator_owned && !rule->is_member_owned && /* may_send() has seen to those */
        (!arn_split(resolution->arn, &parts) || !slice_eq(parts.account, rule->bus_account))) {
        return "NO_PERMISSIONS";
    }
    if (resolution->api_destination == NULL) {
        return "NO_RESOURCE";
    }
    return resolution->api_destination->authorization == API_UNAUTHORIZED ? "NO_PERMISSIONS" : NULL;
}

/* Another edition is another destination: what it was told, and how it failed, is of the past. */
static struct slice write_api_key(const struct resolution *resolution, struct arena *arena)
{
    const struct api_destination *destination = resolution->api_destination;

    return arena_printf(arena, "%.*s\n%" PRIu64 "\n%" PRIu64, SLICE_ARG(destination->arn),
                        destination->edition, destination->connection_edition);
}

static struct slice write_key(const struct resolution *resolution, struct arena *arena)
{
    if (resolution->role_arn.len == 0) {
        return resolution->arn;
    }
    return arena_printf(arena, "%.*s\n%.*s\n%.*s\n%.*s", SLICE_ARG(resolution->arn),
                        SLICE_ARG(resolution->role_arn), SLICE_ARG(resolution->external_id),
                        SLICE_ARG(resolution->account->id));
}

/* Which step is meant, and hence what is called.  False if the target has no such step. */
static bool choose_step(struct resolution *resolution, struct slice name)
{
    const struct rule_target *whole = resolution->whole;

    resolution->target = whole;
    if (resolution->is_dlq || (whole->step_count == 0 && name.len == 0)) {
        return true;
    }
    resolution->step = name.len > 0            ? sequence_step(whole, name)
                       : whole->step_count > 0 ? &whole->steps[0]
                                               : NULL;
    resolution->target = resolution->step != NULL ? &resolution->step->target : NULL;
    return resolution->step != NULL;
}

void resolve_lane(const struct directory *directory, const struct ruleset *ruleset,
                  struct slice lane, struct arena *arena, struct resolution *resolution)
{
    struct slice account_id;
    struct slice step;
    uint64_t uid;

    *resolution = (struct resolution){0};
    if (directory == NULL || ruleset == NULL) {
        resolution->unknown = "target-removed";
        return;
    }
    if (!split_name(lane, &account_id, &uid, &step, &resolution->is_dlq)) {
        resolution->refused = "target-removed";
        return;
    }
    resolution->account = directory_account(directory, account_id);
    resolution->whole = ruleset_target(ruleset, uid, &resolution->rule);
    if (resolution->whole == NULL) {
        resolution->unknown = "target-removed";
        return;
    }
    if (!choose_step(resolution, step)) {
        resolution->unknown = "step-removed";
        return;
    }
    if (resolution->account == NULL) {
        resolution->unknown = "account-removed";
        return;
    }
    if (!resolution->rule->is_central) {
        /* A bus may take events of others by its policy; its rules send with its roles. */
        resolution->account = directory_account(directory, resolution->rule->owner_account);
        if (resolution->account == NULL) {
            resolution->unknown = "account-removed";
            return;
        }
    }
    if (resolution->is_dlq && resolution->target->dlq_arn.len == 0) {
        resolution->unknown = "target-removed";
        resolution->target = NULL;
        return;
    }
    resolution->arn = rule_fill_account(resolution->is_dlq ? resolution->target->dlq_arn
                                                           : resolution->target->arn,
                                        account_id, arena);
    if (target_find(resolution->arn) == NULL) {
        resolution->refused = "unsupported-target";
    } else if (!may_send(resolution)) {
        resolution->refused = "NO_PERMISSIONS";
    } else if (target_find(resolution->arn) == &target_api) {
        resolution->refused = find_api_destination(directory, resolution);
        if (resolution->refused == NULL) {
            resolution->key = write_api_key(resolution, arena);
        }
    } else if (!(resolution->is_dlq ? choose_queue_credentials(directory, resolution)
                                    : choose_credentials(directory, arena, resolution))) {
        resolution->refused = "NO_PERMISSIONS";
    } else {
        resolution->key = write_key(resolution, arena);
    }
}

unsigned resolve_owner(const struct resolution *resolution, struct slice lane,
                       unsigned worker_count)
{
    const struct slice key = resolution->key.len > 0 ? resolution->key : lane;

    CHECK(worker_count > 0);
    return digest_crc32c(0, key) % worker_count;
}
