/* SPDX-License-Identifier: Apache-2.0
 *
 * dedup.c - the identities of an event.
 *
 * The mark says "the same event again".  Its identity is the first layer of the account's
 * `dedup.by` that applies:
 *
 *   - explicit: the id in the request's header x-weir-deduplication-id
 *   - id: the id of a whole envelope
 *   - invocation: the SDK's name for a call, the same in all its retries, of that credential
 *   - signature: of a SigV4 request without such a name
 *   - content: all that the event says (routing/event_identity.c)
 *   - finding: what the source calls the finding, in the state reported
 *   - paths: the values at the paths that the account chose
 *
 * The account of the event and the bus that was sent to, its owner included, belong to every key.
 *
 * The first four are names that a sender gives: under the same name with other content comes
 * another event, counted as a conflict, so nobody hides an event by sending its name first.  Of the
 * last three the identity is all that must be equal: a finding that comes a second time with
 * another title or envelope is what the layer is for, and content has nothing beside it.  So with
 * `finding` or paths on, whoever may send for an account may suppress that account's next event of
 * the same identity, and nobody else's; and since the source is part of it, only a credential that
 * may relay aws.* can do so to a finding.
 *
 * The guard says "the same signed request again".  Headers that a client leaves unsigned, as boto3
 * leaves the invocation id, can be changed by whoever captured a request: each change would be a
 * new mark, and the copy a new event.  So every SigV4 entry, whatever layers are on, and with a
 * window of 0 too, has its signature for a guard.  Whether the invocation id is signed makes no
 * difference: the explicit id need not be, and an account may have turned the layer off.
 *
 * The grace exists because two calls with one body, signed by one key within one second, have one
 * signature, and are two events to a client that names its calls or to an account without the
 * signature layer.  So within the grace marks alone decide, and a replay that is quicker than that
 * is delivered; past it a second call that was held up on its way is taken for a replay, and
 * answered with success and the first EventId.
 *
 * The guard's key does not hold the bus: the signature covers it.
 */
#include "gateway/dedup.h"

#include "core/check.h"
#include "routing/event_identity.h"

enum {
    SIGNATURE_MARK_MIN_MS = 6 * 60 * 1000, /* what is usually left of a signature, and a minute */
    SIGNATURE_MARK_MAX_MS = 11 * 60 * 1000,
};

static struct slice signature_of(const struct principal *principal)
{
    return (struct slice){principal->signature, PRINCIPAL_SIGNATURE_CHARS};
}

/* ---- the mark ------------------------------------------------------------------------------ */

struct identity {
    struct slice layer;
    struct slice caller; /* whose name space the value is of; empty: the account's */
    struct slice value;
    uint64_t position;
    uint64_t ttl_ms;
    bool is_content; /* the value is all that must be equal */
    struct digest digest;
};

bool dedup_is_explicit_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        if (id.data[i] <= ' ' || id.data[i] > '~') {
            return false;
        }
    }
    return id.len > 0 && id.len <= DEDUP_EXPLICIT_CHARS_MAX;
}

/* What the sender calls it. */
static bool find_name(const struct dedup_facts *facts, enum account_dedup_kind kind,
                      struct identity *identity)
{
    const struct principal *principal = facts->principal;

    switch (kind) {
    case ACCOUNT_DEDUP_EXPLICIT:
        identity->layer = SLICE("explicit");
        identity->value = facts->explicit_id;
        return facts->explicit_id.len > 0;
    case ACCOUNT_DEDUP_ID:
        identity->layer = SLICE("id");
        identity->value = facts->draft->id;
        identity->position = 0; /* an id names its event wherever it stands in a request */
        return facts->draft->bytes.data != NULL && facts->draft->id.len > 0;
    case ACCOUNT_DEDUP_INVOCATION:
        identity->layer = SLICE("invocation");
        identity->caller = principal->credential->id; /* made up by that caller's SDK */
        identity->value = principal->invocation_id;
        break;
    case ACCOUNT_DEDUP_SIGNATURE:
        identity->layer = SLICE("signature");
        identity->value =
            principal->has_signature ? signature_of(principal) : (struct slice){NULL, 0};
        break;
    case ACCOUNT_DEDUP_CONTENT:
    case ACCOUNT_DEDUP_FINDING:
    case ACCOUNT_DEDUP_PATHS:
    default:
        CHECK(false);
    }
    identity->ttl_ms = MIN_OF(MAX_OF(identity->ttl_ms, (uint64_t)SIGNATURE_MARK_MIN_MS),
                              (uint64_t)SIGNATURE_MARK_MAX_MS);
    return identity->value.len > 0;
}

/* What the event itself says. */
static bool find_saying(const struct dedup_facts *facts, const struct account_dedup *layer,
                        struct identity *identity)
{
    const struct event_draft *draft = facts->draft;
    bool is_found = true;

    if (layer->kind == ACCOUNT_DEDUP_CONTENT) {
        identity->layer = SLICE("content");
        event_identity_content(draft, &identity->digest);
    } else if (layer->kind == ACCOUNT_DEDUP_FINDING) {
        identity->layer = SLICE("finding");
        is_found = event_identity_finding(draft, facts->arena, &identity->digest);
    } else {
        identity->layer = SLICE("paths");
        is_found = event_identity_paths(draft, layer->paths, layer->path_count, facts->arena,
                                        &identity->digest);
    }
    identity->value = digest_slice(&identity->digest);
    identity->position = 0;
    identity->is_content = true;
    return is_found;
}

/* The first layer of the account that applies. False: none. */
static bool find_identity(const struct dedup_facts *facts, struct identity *identity)
{
    const struct account *account = facts->account;

    for (size_t i = 0; i < account->dedup_count && account->dedup_window_ms > 0; i++) {
        const struct account_dedup *layer = &account->dedup[i];

        *identity = (struct identity){.position = facts->index, .ttl_ms = account->dedup_window_ms};
        if (layer->kind >= ACCOUNT_DEDUP_CONTENT ? find_saying(facts, layer, identity)
                                                 : find_name(facts, layer->kind, identity)) {
            return true;
        }
    }
    return false;
}

static void plan_mark(const struct dedup_facts *facts, struct store_entry *stored)
{
    const struct event_draft *draft = facts->draft;
    const struct slice content[] = {draft->bytes, draft->source,    draft->detail_type,
                                    draft->time,  draft->resources, draft->detail};
    const bool is_whole = draft->bytes.data != NULL;
    const bool is_foreign =
        facts->bus_account.len > 0 && !slice_eq(facts->bus_account, facts->account->id);
    struct identity identity;

    if (!find_identity(facts, &identity)) {
        return;
    }
    /* The bus belongs to it: what was sent to one bus was not matched by the rules of another. */
    digest_fields(
        (const struct slice[]){facts->account->id,
                               facts->bus_name,
                               identity.layer,
                               identity.caller,
                               identity.value,
                               {(const char *)&identity.position, sizeof(identity.position)},
                               facts->bus_account},
        is_foreign ? 7 : 6, &stored->key);
    if (identity.is_content) {
        stored->content = identity.digest;
    } else {
        digest_fields(content, is_whole ? 1 : ARRAY_LEN(content), &stored->content);
    }
    stored->mark_ttl_ms = identity.ttl_ms;
    stored->has_mark = true;
}

/* ---- the guard ----------------------------------------------------------------------------- */

static void plan_guard(const struct dedup_facts *facts, struct store_entry *stored)
{
    const uint64_t position = facts->index;

    if (!facts->principal->has_signature) {
        return;
    }
    digest_fields((const struct slice[]){facts->account->id,
                                         SLICE("guard"),
                                         facts->principal->credential->id,
                                         signature_of(facts->principal),
                                         {(const char *)&position, sizeof(position)}},
                  5, &stored->guard_key);
    stored->guard_ttl_ms = DEDUP_GUARD_MS;
    stored->guard_grace_ms = DEDUP_GUARD_GRACE_MS;
    stored->has_guard = true;
}

void dedup_plan(const struct dedup_facts *facts, struct store_entry *stored)
{
    plan_mark(facts, stored);
    plan_guard(facts, stored);
}
