/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot.c - from documents to what an event meets: accounts, credentials, rules.
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
#include "gateway/target_config.h"

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
    } else if (credential->kind != CREDENTIAL_CERTIFICATE) {
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

/* ---- rules -------------------------------------------------------------------------------- */

static void name_rule(struct rule *rule, struct slice bus, struct slice name,
                      const struct snapshot_options *options)
{
    struct arena *arena = &rule->arena;
    struct slice rest = bus;

    rule->is_central = slice_eq(bus, SLICE("central"));
    rule->name = arena_copy(arena, name);
    rule->label = arena_printf(arena, "%.*s/%.*s", SLICE_ARG(bus), SLICE_ARG(name));
    rule->bus_account =
        arena_copy(arena, rule->is_central ? options->central_account : slice_cut(&rest, '/'));
    rule->bus_name = arena_copy(arena, rest);
    if (slice_eq(rule->bus_name, SLICE("default"))) {
        rule->arn =
            arena_printf(arena, "arn:aws:events:%.*s:%.*s:rule/%.*s", SLICE_ARG(options->region),
                         SLICE_ARG(rule->bus_account), SLICE_ARG(name));
    } else {
        rule->arn = arena_printf(arena, "arn:aws:events:%.*s:%.*s:rule/%.*s/%.*s",
                                 SLICE_ARG(options->region), SLICE_ARG(rule->bus_account),
                                 SLICE_ARG(rule->bus_name), SLICE_ARG(name));
    }
}

/* "api:ACCOUNT" is a member; files and operators speak for the owner of the bus. */
static void name_owner(struct rule *rule, struct slice manager)
{
    const struct slice member = slice_from(manager, strlen("api:"));

    rule->is_member_owned =
        slice_has_prefix(manager, SLICE("api:")) && member.len == ACCOUNT_ID_CHARS;
    rule->owner_account =
        rule->is_member_owned ? arena_copy(&rule->arena, member) : rule->bus_account;
}

/* When it comes due, and what that makes.  Without an expression nothing is set. */
static enum err fill_schedule(struct rule *rule, const json_t *value, struct slice source,
                              struct err_why *why)
{
    const struct slice expression = json_member_text(value, "schedule_expression");
    const struct slice zone = json_member_text(value, "schedule_expression_timezone");
    struct schedule *schedule;

    if (expression.len == 0) {
        return ERR_OK;
    }
    schedule = ARENA_NEW(&rule->arena, struct schedule);
    TRY(schedule_parse(expression, schedule, why));
    if (zone.len > 0) {
        TRY(zone_load(zone, &rule->frame.zone, why));
    }
    rule->schedule = schedule;
    rule->event_source = source;
    rule->frame.since_ms = (uint64_t)json_integer_value(json_object_get(value, "since_ms"));
    if (json_object_get(value, "start_date") != NULL) {
        TRY(moment_from_iso(json_member_text(value, "start_date"), &rule->frame.start_ms));
    }
    if (json_object_get(value, "end_date") != NULL) {
        TRY(moment_from_iso(json_member_text(value, "end_date"), &rule->frame.end_ms));
    }
    return ERR_OK;
}

static enum err fill_pattern(struct rule *rule, const json_t *value, struct err_why *why)
{
    const struct slice pattern = json_member_text(value, "pattern");

    return pattern.len > 0 ? pattern_compile(pattern, &rule->pattern, why) : ERR_OK;
}

/* A schedule of its own is a rule that no event matches. */
static void name_schedule(struct rule *rule, const json_t *value,
                          const struct snapshot_options *options)
{
    struct arena *arena = &rule->arena;
    const struct slice account = json_member_text(value, "account");

    rule->name = arena_copy(arena, json_member_text(value, "name"));
    rule->label = arena_printf(arena, "schedule/%.*s", SLICE_ARG(rule->name));
    rule->bus_account = arena_copy(arena, account.len > 0 ? account : options->central_account);
    rule->bus_name = SLICE("schedule");
    rule->arn = arena_printf(arena, "arn:aws:scheduler:%.*s:%.*s:schedule/default/%.*s",
                             SLICE_ARG(options->region), SLICE_ARG(rule->bus_account),
                             SLICE_ARG(rule->name));
}

static enum err rule_from_document(const struct catalog_document *document,
                                   const struct snapshot_options *options, struct rule **result,
                                   struct err_why *why)
{
    struct rule *rule = rule_new();
    const json_t *value = document->value;
    const json_t *targets = json_object_get(value, "targets");
    struct err_why detail = {.text = ""};
    enum err err = ERR_OK;

    if (json_object_get(value, "bus") != NULL) {
        name_rule(rule, json_member_text(value, "bus"), json_member_text(value, "name"), options);
        err = fill_schedule(rule, value, SLICE("aws.events"), &detail);
    } else {
        name_schedule(rule, value, options);
        err = fill_schedule(rule, value, SLICE("aws.scheduler"), &detail);
    }
    rule->edition = document->edition;
    rule->is_enabled = !slice_eq(json_member_text(value, "state"), SLICE("DISABLED"));
    name_owner(rule, json_member_text(value, "manager"));
    rule->is_operator_owned = slice_has_prefix(json_member_text(value, "manager"), SLICE("apply:"));
    rule->target_count = MIN_OF(json_array_size(targets), (size_t)RULE_TARGETS_MAX);
    for (size_t i = 0; i < rule->target_count && err == ERR_OK; i++) {
        err = target_config_read(json_array_get(targets, i), &rule->arena, &rule->targets[i],
                                 &detail);
    }
    if (err != ERR_OK || fill_pattern(rule, value, &detail) != ERR_OK) {
        rule_release(rule);
        return err_because(ERR_STORE_CORRUPT, why, "%s: %s", document->name, detail.text);
    }
    *result = rule;
    return ERR_OK;
}

/* What an archive keeps of its bus: like a rule without targets, under a name that no rule can
 * have. */
static enum err archive_from_document(const struct catalog_document *document,
                                      const struct snapshot_options *options, struct rule **result,
                                      struct err_why *why)
{
    static const struct slice everything = SLICE_INIT("{\"source\":[{\"prefix\":\"\"}]}");
    struct rule *rule = rule_new();
    const json_t *value = document->value;
    const struct slice name = json_member_text(value, "name");
    const struct slice pattern = json_member_text(value, "pattern");
    struct err_why detail = {.text = ""};

    name_rule(rule, json_member_text(value, "bus"),
              arena_printf(&rule->arena, "archive:%.*s", SLICE_ARG(name)), options);
    rule->label = arena_printf(&rule->arena, "~%s", document->name);
    rule->edition = document->edition;
    rule->is_enabled = true;
    rule->archive = (uint64_t)json_integer_value(json_object_get(value, "uid"));
    if (pattern_compile(pattern.len > 0 ? pattern : everything, &rule->pattern, &detail) !=
            ERR_OK ||
        rule->archive == 0) {
        rule_release(rule);
        return err_because(ERR_STORE_CORRUPT, why, "%s: %s", document->name, detail.text);
    }
    *result = rule;
    return ERR_OK;
}

/* How is the label of what was made of this document to be compared? */
static int compare_label(const struct rule *rule, const struct catalog_document *document)
{
    const struct slice name = slice_of(document->name);

    if (slice_has_prefix(name, SLICE("rule/"))) {
        return slice_compare(rule->label, slice_from(name, strlen("rule/")));
    }
    if (slice_has_prefix(name, SLICE("archive/"))) { /* behind all others, by a '~' */
        return rule->archive == 0 ? -1 : slice_compare(slice_from(rule->label, 1), name);
    }
    return slice_compare(rule->label, name);
}

/* The rule that was made of this very document before, or NULL.  Both lists are in the order of the
 * documents' names; *at is where the search goes on. */
static struct rule *find_previous(const struct snapshot *previous,
                                  const struct catalog_document *document, size_t *at)
{
    int order = -1;

    while (previous != NULL && *at < previous->rule_count && order < 0) {
        struct rule *rule = previous->rules[*at];

        order = compare_label(rule, document);
        *at += order <= 0 ? 1 : 0;
        if (order == 0 && rule->edition == document->edition) {
            return rule;
        }
    }
    return NULL;
}

/* Labels of rules begin with an account or "central", so those of schedules come behind them, and
 * those of archives, which begin with '~', last. */
static enum err build_rules(const struct catalog_document **documents, size_t count, size_t *at,
                            const struct snapshot_options *options, struct snapshot *snapshot,
                            struct err_why *why)
{
    for (size_t i = 0; i < count; i++) {
        struct rule *rule = find_previous(options->previous, documents[i], at);

        if (rule != NULL) {
            rule = rule_acquire(rule);
        } else if (slice_has_prefix(slice_of(documents[i]->name), SLICE("archive/"))) {
            TRY(archive_from_document(documents[i], options, &rule, why));
        } else {
            TRY(rule_from_document(documents[i], options, &rule, why));
        }
        snapshot->rules[snapshot->rule_count++] = rule;
    }
    return ERR_OK;
}

static enum err build_ruleset(const struct catalog *catalog, const struct snapshot_options *options,
                              struct snapshot *snapshot, struct err_why *why)
{
    struct arena arena = {0};
    size_t document_count;
    size_t schedule_count;
    size_t archive_count;
    size_t bus_count;
    size_t at = 0;
    const struct catalog_document **documents =
        catalog_of_kind(catalog, SLICE("rule"), &arena, &document_count);
    const struct catalog_document **schedules =
        catalog_of_kind(catalog, SLICE("schedule"), &arena, &schedule_count);
    const struct catalog_document **archives =
        catalog_of_kind(catalog, SLICE("archive"), &arena, &archive_count);
    const struct catalog_document **bus_documents =
        catalog_of_kind(catalog, SLICE("bus"), &arena, &bus_count);
    struct slice *buses = ARENA_ARRAY(&arena, struct slice, bus_count + 1);
    enum err err;

    for (size_t i = 0; i < bus_count; i++) {
        buses[i] = slice_from(slice_of(bus_documents[i]->name), strlen("bus/"));
    }
    /* The central bus as its own account names it; its rules see every event anyway. */
    buses[bus_count] = arena_printf(&arena, "%.*s/central", SLICE_ARG(options->central_account));
    snapshot->rules = xcalloc(MAX_OF(document_count + schedule_count + archive_count, (size_t)1),
                              sizeof(struct rule *));
    err = build_rules(documents, document_count, &at, options, snapshot, why);
    if (err == ERR_OK) {
        err = build_rules(schedules, schedule_count, &at, options, snapshot, why);
    }
    if (err == ERR_OK) {
        err = build_rules(archives, archive_count, &at, options, snapshot, why);
    }
    if (err == ERR_OK) {
        snapshot->ruleset =
            ruleset_renew(options->previous != NULL ? options->previous->ruleset : NULL,
                          snapshot->rules, snapshot->rule_count, buses, bus_count + 1);
    }
    arena_clean_up(&arena);
    return err;
}

/* ---- policies of buses -------------------------------------------------------------------- */

static enum err add_policy(struct snapshot *snapshot, const struct catalog_document *bus,
                           struct err_why *why)
{
    struct arena *arena = &snapshot->directory->arena;
    const struct slice text = json_member_text(bus->value, "policy");
    const struct bus_policy *policy;
    struct err_why detail = {.text = ""};

    if (text.len == 0) {
        return ERR_OK;
    }
    if (bus_policy_compile(text, arena, &policy, &detail) != ERR_OK) {
        return err_because(ERR_STORE_CORRUPT, why, "%s: %s", bus->name, detail.text);
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): a map's values are not const */
    (void)map_put(&snapshot->policies,
                  arena_copy(arena, slice_from(slice_of(bus->name), strlen("bus/"))),
                  (void *)(uintptr_t)policy);
    return ERR_OK;
}

static enum err build_policies(const struct catalog *catalog, struct snapshot *snapshot,
                               struct err_why *why)
{
    struct arena arena = {0};
    size_t count;
    const struct catalog_document **buses = catalog_of_kind(catalog, SLICE("bus"), &arena, &count);
    enum err err = ERR_OK;

    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = add_policy(snapshot, buses[i], why);
    }
    arena_clean_up(&arena);
    return err;
}

const struct bus_policy *snapshot_policy(const struct snapshot *snapshot, struct slice account,
                                         struct slice bus)
{
    char key[512];
    int len;

    if (snapshot->policies.count == 0) {
        return NULL;
    }
    len = snprintf(key, sizeof(key), "%.*s/%.*s", SLICE_ARG(account), SLICE_ARG(bus));
    return len > 0 && (size_t)len < sizeof(key)
               ? map_get(&snapshot->policies, (struct slice){key, (size_t)len})
               : NULL;
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

enum err snapshot_new(const struct catalog *catalog, const struct snapshot_options *options,
                      struct snapshot **result, struct err_why *why)
{
    struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));
    enum err err;

    atomic_init(&snapshot->references, 1);
    snapshot->rev = catalog->rev;
    snapshot->directory = directory_new();
    err = build_directory(catalog, options, snapshot->directory, why);
    if (err == ERR_OK) {
        err = build_policies(catalog, snapshot, why);
    }
    if (err == ERR_OK) {
        err = build_ruleset(catalog, options, snapshot, why);
    }
    if (err != ERR_OK) {
        snapshot_release(snapshot);
        return err;
    }
    *result = snapshot;
    return ERR_OK;
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
    map_clean_up(&snapshot->policies);
    directory_release(snapshot->directory);
    ruleset_release(snapshot->ruleset);
    for (size_t i = 0; i < snapshot->rule_count; i++) {
        rule_release(snapshot->rules[i]);
    }
    xfree(snapshot->rules);
    xfree(snapshot);
}
