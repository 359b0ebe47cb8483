/* SPDX-License-Identifier: Apache-2.0
 *
 * dedup.c - the identities of an event.
 *
 * The mark says "the same event again".  Its identity is the first of these layers that applies and
 * that the account has on (`dedup.by`):
 *   explicit    the id in the request's header x-weir-deduplication-id
 *   id          the id of a whole envelope
 *   invocation  the SDK's name for a call, the same in all its retries, of that credential
 *   signature   of a SigV4 request without such a name
 * The account of the event and the bus that was named belong to every key.  With other content the
 * same key is another event.
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

enum {
    SIGNATURE_MARK_MIN_MS = 6 * 60 * 1000, /* what is usually left of a signature, and a minute */
    SIGNATURE_MARK_MAX_MS = 11 * 60 * 1000,
};

/* A digest of fields, each with its length, so that no two lists of fields look alike. */
static void digest_fields(const struct slice *fields, size_t count, struct digest *digest)
{
    struct digest_stream stream = {0};

    digest_stream_begin(&stream);
    for (size_t i = 0; i < count; i++) {
        const uint64_t len = fields[i].len;

        digest_stream_add(&stream, (struct slice){(const char *)&len, sizeof(len)});
        digest_stream_add(&stream, fields[i]);
    }
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
}

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
};

/* The first layer that applies and that the account has on. False: none. */
static bool find_identity(const struct dedup_facts *facts, struct identity *identity)
{
    const struct principal *principal = facts->principal;
    const struct account *account = facts->account;
    const uint64_t window_ms = account->dedup_window_ms;
    const uint64_t signed_ms =
        MIN_OF(MAX_OF(window_ms, (uint64_t)SIGNATURE_MARK_MIN_MS), (uint64_t)SIGNATURE_MARK_MAX_MS);

    *identity = (struct identity){.position = facts->index, .ttl_ms = window_ms};
    if (window_ms == 0) {
        return false;
    }
    if ((account->dedup_by & ACCOUNT_DEDUP_EXPLICIT) != 0 && facts->explicit_id.len > 0) {
        identity->layer = SLICE("explicit");
        identity->value = facts->explicit_id;
        return true;
    }
    if ((account->dedup_by & ACCOUNT_DEDUP_ID) != 0 && facts->draft->bytes.data != NULL &&
        facts->draft->id.len > 0) {
        identity->layer = SLICE("id");
        identity->value = facts->draft->id;
        identity->position = 0; /* an id names its event wherever it stands in a request */
        return true;
    }
    identity->ttl_ms = signed_ms;
    if ((account->dedup_by & ACCOUNT_DEDUP_INVOCATION) != 0 && principal->invocation_id.len > 0) {
        identity->layer = SLICE("invocation");
        identity->caller = principal->credential->id; /* made up by that caller's SDK */
        identity->value = principal->invocation_id;
        return true;
    }
    if ((account->dedup_by & ACCOUNT_DEDUP_SIGNATURE) != 0 && principal->has_signature) {
        identity->layer = SLICE("signature");
        identity->value = signature_of(principal);
        return true;
    }
    return false;
}

static void plan_mark(const struct dedup_facts *facts, struct store_entry *stored)
{
    const struct event_draft *draft = facts->draft;
    const struct slice content[] = {draft->bytes, draft->source,    draft->detail_type,
                                    draft->time,  draft->resources, draft->detail};
    const bool is_whole = draft->bytes.data != NULL;
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
                               {(const char *)&identity.position, sizeof(identity.position)}},
        6, &stored->key);
    digest_fields(content, is_whole ? 1 : ARRAY_LEN(content), &stored->content);
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
