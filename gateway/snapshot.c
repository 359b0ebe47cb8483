/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - from documents to what an event meets: accounts, credentials, policies, rules.
 *
 * A snapshot shares with the one before what has not changed since: the directory as a whole, buses
 * and policies one by one.
 *
 * Everything in a snapshot is constant from the moment it is published, except an account's
 * limiter, a few atomic words that belong to the limiter book, so that a change of the catalog
 * refills nobody's bucket.
 */
#include "gateway/snapshot.h"

#include "core/base64.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/dedup_config.h"
#include "gateway/lease.h"
#include "gateway/snapshot_api.h"
#include "gateway/snapshot_rules.h"

enum { SECRET_BYTES_MAX = 256, DEDUP_WINDOW_MS = 300000 };

void limiter_book_clean_up(struct limiter_book *book)
{
    size_t cursor = 0;
    struct lease_page *page;

    while ((page = map_next(&book->limiters, &cursor)) != NULL) {
        xfree(page);
    }
    map_clean_up(&book->limiters);
}

static struct limiter *limiter_of(struct limiter_book *book, struct slice account)
{
    struct lease_page *page = map_get(&book->limiters, account);

    if (page == NULL) {
        page = lease_page_new(book->desk, account);
        (void)map_put(&book->limiters, slice_of(page->account), page);
    }
    return &page->limiter;
}

/* ---- accounts ----------------------------------------------------------------------------- */

static const struct slice *copy_texts(struct arena *arena, const json_t *list, size_t *count)
{
    struct slice *texts = ARENA_ARRAY(arena, struct slice, json_array_size(list));

    *count = json_array_size(list);
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, i);

        texts[i] =
            arena_copy(arena, (struct slice){json_string_value(item), json_string_length(item)});
    }
    return texts;
}

static void configure_limiter(struct limiter *limiter, const json_t *limits)
{
    const json_int_t rate = json_integer_value(json_object_get(limits, "events_per_second"));
    const json_t *burst = json_object_get(limits, "burst");

    limiter_configure(limiter, (uint64_t)rate,
                      burst != NULL ? (uint64_t)json_integer_value(burst) : (uint64_t)rate,
                      moment_steady_us());
}

static void add_account(struct directory *directory, const json_t *document,
                        const struct snapshot_options *options)
{
    struct arena *arena = &directory->arena;
    struct account *account = ARENA_NEW(arena, struct account);
    const json_t *role = json_object_get(document, "dispatch_role");
    const json_t *dedup = json_object_get(document, "dedup");

    account->id = arena_copy(arena, json_member_text(document, "id"));
    account->name = arena_copy(arena, json_member_text(document, "name"));
    account->is_suspended = json_is_true(json_object_get(document, "is_suspended"));
    account->limiter = limiter_of(options->limiters, account->id);
    configure_limiter(account->limiter, json_object_get(document, "limits"));
    account->has_sources = json_object_get(document, "sources") != NULL;
    account->sources =
        copy_texts(arena, json_object_get(document, "sources"), &account->source_count);
    account->may_forward_for = copy_texts(arena, json_object_get(document, "may_forward_for"),
                                          &account->may_forward_for_count);
    account->org_path = arena_copy(arena, json_member_text(document, "org_path"));
    account->shared_targets = copy_texts(arena, json_object_get(document, "shared_targets"),
                                         &account->shared_target_count);
    account->dedup_window_ms = DEDUP_WINDOW_MS;
    if (json_object_get(dedup, "window") != NULL) {
        CHECK(moment_parse_span(json_member_text(dedup, "window"), &account->dedup_window_ms) ==
              ERR_OK);
    }
    account->dedup = dedup_config_read(json_object_get(dedup, "by"), arena, &account->dedup_count);
    account->dispatch_role_arn = arena_copy(arena, json_member_text(role, "arn"));
    account->external_id = arena_copy(arena, json_member_text(role, "external_id"));
    directory_add_account(directory, account);
}

/* ---- credentials -------------------------------------------------------------------------- */

static enum err open_secret(struct directory *directory, const json_t *document,
                            const struct snapshot_options *options, struct credential *credential)
{
    struct buf sealed;
    struct buf secret;
    struct slice context;
    enum err err;

    buf_init(&sealed, SECRET_BYTES_MAX + SEAL_OVERHEAD_BYTES);
    buf_init(&secret, SECRET_BYTES_MAX);
    context = arena_printf(&directory->arena, "%.*s/%.*s", SLICE_ARG(credential->account_id),
                           SLICE_ARG(credential->id));
    err = base64_decode(json_member_text(document, "sealed"), &sealed);
    if (err == ERR_OK) {
        err = seal_open(options->seal_key, context, buf_slice(&sealed), &secret);
    }
    if (err == ERR_OK) {
        credential->secret = arena_copy(&directory->arena, buf_slice(&secret));
    }
    buf_wipe(&secret);
    buf_clean_up(&sealed);
    return err;
}

static bool kind_of(struct slice name, enum credential_kind *kind)
{
    static const struct slice names[] = {
        [CREDENTIAL_SIGV4] = SLICE_INIT("sigv4"),
        [CREDENTIAL_API_KEY] = SLICE_INIT("api-key"),
        [CREDENTIAL_BASIC] = SLICE_INIT("basic"),
        [CREDENTIAL_CERTIFICATE] = SLICE_INIT("certificate"),
        [CREDENTIAL_OAUTH] = SLICE_INIT("oauth"),
        [CREDENTIAL_AWS_IDENTITY] = SLICE_INIT("aws-identity"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(name, names[i])) {
            *kind = (enum credential_kind)i;
            return true;
        }
    }
    return false;
}

static enum err add_credential(struct directory *directory, const struct catalog_document *document,
                               const struct snapshot_options *options, struct err_why *why)
{
    struct arena *arena = &directory->arena;
    const json_t *value = document->value;
    struct credential *credential;
    enum err err = ERR_OK;

    if (slice_eq(json_member_text(value, "kind"), SLICE("operator"))) {
        return ERR_OK; /* opens the admin listener, nothing that a worker guards */
    }
    credential = ARENA_NEW(arena, struct credential);
    credential->id = arena_copy(arena, slice_from(slice_of(document->name), strlen("credential/")));
    credential->account_id = arena_copy(arena, json_member_text(value, "account"));
    credential->expires_ms = (uint64_t)json_integer_value(json_object_get(value, "expires_ms"));
    credential->is_operator = json_is_true(json_object_get(value, "operator"));
    credential->is_forwarder = json_is_true(json_object_get(value, "forwarder"));
    if (!kind_of(json_member_text(value, "kind"), &credential->kind)) {
        err = ERR_BAD_VALUE;
    } else if (credential->kind == CREDENTIAL_SIGV4) {
        err = open_secret(directory, value, options, credential);
    } else if (credential->kind != CREDENTIAL_CERTIFICATE &&
               credential->kind != CREDENTIAL_AWS_IDENTITY) {
        credential->header = arena_copy(arena, json_member_text(value, "header"));
        if (!digest_from_hex(json_member_text(value, "hash"), credential->key_hash.bytes,
                             DIGEST_BYTES)) {
            err = ERR_BAD_VALUE;
        }
    }
    if (err != ERR_OK) {
        return err_because(ERR_STORE_CORRUPT, why,
                           "%s cannot be opened: is this the seal key it was made with?",
                           document->name);
    }
    directory_add_credential(directory, credential);
    return ERR_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static enum err build_directory(const struct catalog *catalog,
                                const struct snapshot_options *options, struct directory *directory,
                                struct err_why *why)
{
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("account"), &arena, &count);
    enum err err = ERR_OK;

    directory->central_account = arena_copy(&directory->arena, options->central_account);
    directory->generation = /* not the revision: after a loss it is given twice */
        options->previous != NULL ? options->previous->directory->generation + 1 : 1;
    directory_derive_pepper(options->seal_key, directory->pepper);
    for (size_t i = 0; i < count; i++) {
        add_account(directory, documents[i]->value, options);
    }
    documents = catalog_of_kind(catalog, SLICE("credential"), &arena, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = add_credential(directory, documents[i], options, why);
    }
    if (err == ERR_OK) {
        err = snapshot_add_api_destinations(catalog, options, directory, why);
    }
    arena_clean_up(&arena);
    return err;
}

/* What changed since the previous snapshot; without one, all documents. */
static const struct catalog_change **list_changes(const struct catalog *catalog,
                                                  const struct snapshot *previous,
                                                  struct arena *arena, size_t *count)
{
    const struct map *from = previous != NULL ? &catalog->changed : &catalog->documents;
    const struct catalog_change **changes =
        ARENA_ARRAY(arena, const struct catalog_change *, from->count + 1);
    size_t cursor = 0;
    const void *value;

    *count = 0;
    while ((value = map_next(from, &cursor)) != NULL) {
        if (previous == NULL) {
            const struct catalog_document *document = value;
            struct catalog_change *change = ARENA_NEW(arena, struct catalog_change);

            change->name = slice_of(document->name);
            value = change;
        }
        changes[(*count)++] = value;
    }
    return changes;
}

/* Is it of a kind that no account, credential or destination is made of? */
static bool is_routing(struct slice name)
{
    static const struct slice prefixes[] = {
        SLICE_INIT("rule/"), SLICE_INIT("schedule/"), SLICE_INIT("archive/"), SLICE_INIT("bus/"),
        SLICE_INIT("meta/"), SLICE_INIT("list/"),     SLICE_INIT("replay/")};

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (slice_has_prefix(name, prefixes[i])) {
            return true;
        }
    }
    return false;
}

static enum err take_directory(const struct catalog *catalog,
                               const struct snapshot_options *options,
                               const struct catalog_change *const *changes, size_t count,
                               struct snapshot *snapshot, struct err_why *why)
{
    bool is_same = options->previous != NULL;

    for (size_t i = 0; i < count && is_same; i++) {
        is_same = is_routing(changes[i]->name);
    }
    if (is_same) {
        snapshot->directory = directory_acquire(options->previous->directory);
        return ERR_OK;
    }
    snapshot->directory = directory_new();
    return build_directory(catalog, options, snapshot->directory, why);
}

static enum err take_policies(const struct catalog *catalog, const struct snapshot_options *options,
                              const struct catalog_change *const *changes, size_t count,
                              struct snapshot *snapshot, struct err_why *why)
{
    if (options->previous != NULL) {
        snapshot->policies = trie_copy(&options->previous->policies);
    }
    for (size_t i = 0; i < count; i++) {
        if (slice_has_prefix(changes[i]->name, SLICE("bus/"))) {
            TRY(bus_policies_update(&snapshot->policies, catalog, changes[i]->name, why));
        }
    }
    return ERR_OK;
}

/* Those of before, unless some list has changed. */
static enum err take_lists(const struct catalog *catalog, const struct snapshot_options *options,
                           const struct catalog_change *const *changes, size_t count,
                           struct snapshot *snapshot, struct err_why *why)
{
    const struct snapshot *previous = options->previous;
    bool is_same = previous != NULL;

    for (size_t i = 0; i < count && is_same; i++) {
        is_same = !slice_has_prefix(changes[i]->name, SLICE("list/"));
    }
    if (is_same) {
        snapshot->lists = list_book_acquire(previous->lists);
        return ERR_OK;
    }
    return list_book_new(catalog, previous != NULL ? previous->lists : NULL, &snapshot->lists, why);
}

static struct snapshot *snapshot_empty(uint64_t rev)
{
    struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

    atomic_init(&snapshot->references, 1);
    snapshot->rev = rev;
    bus_policies_init(&snapshot->policies);
    return snapshot;
}

enum err snapshot_new(const struct catalog *catalog, const struct snapshot_options *options,
                      struct snapshot **result, struct err_why *why)
{
    struct snapshot *snapshot = snapshot_empty(catalog->rev);
    struct arena arena = {0};
    size_t count;
    const struct catalog_change *const *changes =
        list_changes(catalog, options->previous, &arena, &count);
    enum err err = take_directory(catalog, options, changes, count, snapshot, why);

    if (err == ERR_OK) {
        err = take_policies(catalog, options, changes, count, snapshot, why);
    }
    if (err == ERR_OK) {
        err = take_lists(catalog, options, changes, count, snapshot, why);
    }
    if (err == ERR_OK) {
        err = snapshot_add_rules(catalog, options, changes, count, snapshot, why);
    }
    if (err == ERR_OK) {
        ruleset_use_lists(snapshot->ruleset, list_book_lists(snapshot->lists));
    }
    arena_clean_up(&arena);
    if (err != ERR_OK) {
        snapshot_release(snapshot);
        return err;
    }
    *result = snapshot;
    return ERR_OK;
}

struct snapshot *snapshot_with_ruleset(const struct snapshot *snapshot, struct ruleset *ruleset)
{
    struct snapshot *other = snapshot_empty(snapshot->rev);

    other->directory = directory_acquire(snapshot->directory);
    other->policies = trie_copy(&snapshot->policies);
    other->schedules = schedule_list_acquire(snapshot->schedules);
    other->lists = list_book_acquire(snapshot->lists);
    other->ruleset = ruleset;
    return other;
}

struct snapshot *snapshot_acquire(struct snapshot *snapshot)
{
    CHECK(atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed) > 0);
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot)
{
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    trie_clean_up(&snapshot->policies);
    directory_release(snapshot->directory);
    ruleset_release(snapshot->ruleset);
    list_book_release(snapshot->lists);
    schedule_list_release(snapshot->schedules);
    xfree(snapshot);
}
