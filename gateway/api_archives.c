/* SPDX-License-Identifier: Apache-2.0
 *
 * api_archives.c - CreateArchive and what belongs to it.
 *
 * An archive belongs to the owner of its bus, and its document's name says whose it is: what a
 * caller may see is decided by the folder of documents that a name is looked up in, before it is
 * known whether it is there.  Those of the central bus are in a folder of their own, which only
 * operators look into.
 *
 * What an archive holds is the store's to say, so what describes it asks there first.
 */
#include "gateway/api_archives.h"

#include "core/arn.h"
#include "core/check.h"
#include "core/moment.h"
#include "gateway/api_rules.h"
#include "gateway/bus_name.h"
#include "gateway/catalog_document.h"
#include "gateway/catalog_uid.h"
#include "gateway/config.h"

#define NAME_MEMBER                                                                                \
    {                                                                                              \
        "ArchiveName", API_TEXT, true, 1, 1600, API_NAME_OR_ARN, NULL                              \
    }

static const struct api_member create_input[] = {
    {"ArchiveName", API_TEXT, true, 1, API_ARCHIVE_NAME_CHARS_MAX, API_NAME_CHARS, NULL},
    {"EventSourceArn", API_TEXT, true, 1, 1600, API_ANY_CHARS, NULL},
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"EventPattern", API_TEXT, false, 0, 4096, API_ANY_CHARS, NULL},
    {"RetentionDays", API_NUMBER, false, 0, CATALOG_RETENTION_DAYS_MAX, API_ANY_CHARS, NULL},
    {"KmsKeyIdentifier", API_TEXT, false, 0, 2048, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member update_input[] = {
    NAME_MEMBER,
    {"Description", API_TEXT, false, 0, 512, API_ANY_CHARS, NULL},
    {"EventPattern", API_TEXT, false, 0, 4096, API_ANY_CHARS, NULL},
    {"RetentionDays", API_NUMBER, false, 0, CATALOG_RETENTION_DAYS_MAX, API_ANY_CHARS, NULL},
    {"KmsKeyIdentifier", API_TEXT, false, 0, 2048, API_ANY_CHARS, NULL},
    API_MEMBERS_END,
};
static const struct api_member name_input[] = {NAME_MEMBER, API_MEMBERS_END};
static const struct api_member list_input[] = {
    {"NamePrefix", API_TEXT, false, 1, API_ARCHIVE_NAME_CHARS_MAX, API_NAME_CHARS, NULL},
    {"EventSourceArn", API_TEXT, false, 1, 1600, API_ANY_CHARS, NULL},
    {"State", API_TEXT, false, 0, 64, API_ARCHIVE_STATE, NULL},
    API_PAGE_MEMBERS,
    API_MEMBERS_END,
};

/* ---- names -------------------------------------------------------------------------------- */

struct slice api_owner_account(const struct api_call *call, struct slice owner)
{
    return slice_eq(owner, SLICE("central")) ? call->config->central_account : owner;
}

struct slice api_kept_arn(struct api_call *call, const char *kind, struct slice account,
                          struct slice name)
{
    return arena_printf(&call->arena, "arn:aws:events:%.*s:%.*s:%s/%.*s",
                        SLICE_ARG(call->config->region), SLICE_ARG(account), kind, SLICE_ARG(name));
}

struct slice api_key_arn(struct api_call *call, struct slice bus)
{
    struct slice rest = bus;
    const struct slice owner = slice_cut(&rest, '/');

    return arena_printf(&call->arena, "arn:aws:events:%.*s:%.*s:event-bus/%.*s",
                        SLICE_ARG(call->config->region), SLICE_ARG(api_owner_account(call, owner)),
                        SLICE_ARG(slice_eq(owner, SLICE("central")) ? owner : rest));
}

/* Account and name of "NAME" or "arn:...:ACCOUNT:KIND/NAME". */
static enum err read_name(struct api_call *call, const char *kind, const char *member,
                          struct slice text, struct api_kept *kept)
{
    const size_t chars_max = strcmp(kind, "archive") == 0 ? API_ARCHIVE_NAME_CHARS_MAX : 64;
    struct slice resource;
    struct arn arn;

    kept->account = slice_of(call->caller.account);
    kept->name = text;
    if (slice_has_prefix(text, SLICE("arn:"))) {
        if (!arn_split(text, &arn) || !slice_eq(arn.service, SLICE("events")) ||
            arn.account.len != ACCOUNT_ID_CHARS) {
            kept->name = SLICE(":");
        } else {
            resource = arn.resource;
            kept->account = arn.account;
            kept->name =
                slice_eq(slice_cut(&resource, '/'), slice_of(kind)) ? resource : SLICE(":");
        }
    }
    if (slice_find(kept->name, ':') < kept->name.len ||
        slice_find(kept->name, '/') < kept->name.len || kept->name.len == 0) {
        return api_fail(call, "ValidationException",
                        "Parameter %s is not valid. Reason: Must be a name, or an ARN of :%s/NAME.",
                        member, kind);
    }
    if (kept->name.len > chars_max) {
        return api_fail(call, "ValidationException",
                        "1 validation error detected: Value '%.*s' at '%s' failed to satisfy "
                        "constraint: Member must have length less than or equal to %zu",
                        SLICE_ARG(kept->name), member, chars_max);
    }
    return ERR_OK;
}

static const struct catalog_document *find(struct api_call *call, const struct catalog *catalog,
                                           const char *kind, struct slice owner, struct slice name)
{
    return catalog_get(catalog, arena_printf(&call->arena, "%s/%.*s/%.*s", kind, SLICE_ARG(owner),
                                             SLICE_ARG(name)));
}

enum err api_kept_look(struct api_call *call, const struct catalog *catalog, const char *kind,
                       const char *member, struct slice text, struct api_kept *kept)
{
    *kept = (struct api_kept){.document = NULL};
    TRY(read_name(call, kind, member, text, kept));
    if (!call->caller.is_operator && !slice_eq(kept->account, slice_of(call->caller.account))) {
        return api_fail(call, "AccessDeniedException",
                        "The caller is not authorized to manage the resource %.*s",
                        SLICE_ARG(api_kept_arn(call, kind, kept->account, kept->name)));
    }
    if (call->caller.is_operator && slice_eq(kept->account, call->config->central_account)) {
        kept->document = find(call, catalog, kind, SLICE("central"), kept->name);
    }
    if (kept->document == NULL) {
        kept->document = find(call, catalog, kind, kept->account, kept->name);
    }
    return ERR_OK;
}

const struct catalog_document **api_kept_all(struct api_call *call, const struct catalog *catalog,
                                             const char *kind, size_t *count)
{
    const struct slice own = arena_printf(&call->arena, "%s/%s/", kind, call->caller.account);
    const struct slice central = arena_printf(&call->arena, "%s/central/", kind);
    const bool sees_central = call->caller.is_operator && slice_eq(slice_of(call->caller.account),
                                                                   call->config->central_account);
    size_t own_count;
    size_t central_count = 0;
    const struct catalog_document **owns =
        catalog_with_prefix(catalog, own, &call->arena, &own_count);
    const struct catalog_document **centrals =
        sees_central ? catalog_with_prefix(catalog, central, &call->arena, &central_count) : NULL;
    const struct catalog_document **all =
        ARENA_ARRAY(&call->arena, const struct catalog_document *, own_count + central_count + 1);

    for (size_t i = 0; i < own_count; i++) {
        all[i] = owns[i];
    }
    for (size_t i = 0; i < central_count; i++) {
        all[own_count + i] = centrals[i];
    }
    *count = own_count + central_count;
    return all;
}

enum err api_check_filters(struct api_call *call)
{
    const unsigned count = (api_text(call, "NamePrefix").len > 0 ? 1U : 0U) +
                           (api_text(call, "EventSourceArn").len > 0 ? 1U : 0U) +
                           (api_text(call, "State").len > 0 ? 1U : 0U);

    return count <= 1 ? ERR_OK
                      : api_fail(call, "ValidationException",
                                 "At most one filter is allowed for %.*s. Use either : State, "
                                 "EventSourceArn, or NamePrefix.",
                                 SLICE_ARG(call->action));
}

/* ---- what is shown ------------------------------------------------------------------------ */

static struct store_archive_size size_of(const struct api_call *call, const json_t *archive)
{
    const uint64_t uid = (uint64_t)json_integer_value(json_object_get(archive, "uid"));

    for (size_t i = 0; call->sizes != NULL && i < call->sizes->row_count; i++) {
        if (call->sizes->rows[i].archive == uid) {
            return call->sizes->rows[i];
        }
    }
    return (struct store_archive_size){.archive = uid};
}

static uint64_t created_ms(const json_t *archive)
{
    return (uint64_t)json_integer_value(json_object_get(archive, "since_ms"));
}

static void put_number(json_t *shown, const char *member, uint64_t number)
{
    CHECK(json_object_set_new(shown, member, json_integer((json_int_t)number)) == 0);
}

/* What ListArchives tells of each. */
static json_t *show(struct api_call *call, const json_t *archive)
{
    const struct store_archive_size size = size_of(call, archive);
    json_t *shown = json_object();

    api_put_text(shown, "ArchiveName", json_member_text(archive, "name"));
    api_put_text(shown, "EventSourceArn", api_key_arn(call, json_member_text(archive, "bus")));
    api_put_text(shown, "State", SLICE("ENABLED"));
    if (size.left_out_count > 0) {
        api_put_text(shown, "StateReason",
                     arena_printf(&call->arena,
                                  "%" PRIu64 " events were left out because the archive was full.",
                                  size.left_out_count));
    }
    put_number(shown, "RetentionDays",
               (uint64_t)json_integer_value(json_object_get(archive, "retention_days")));
    put_number(shown, "SizeBytes", size.bytes);
    put_number(shown, "EventCount", size.event_count);
    api_put_moment(shown, "CreationTime", created_ms(archive));
    return shown;
}

/* What CreateArchive and UpdateArchive answer. */
static void answer_change(struct api_call *call, struct slice account, const json_t *archive)
{
    call->output = json_object();
    api_put_text(call->output, "ArchiveArn",
                 api_kept_arn(call, "archive", account, json_member_text(archive, "name")));
    api_put_text(call->output, "State", SLICE("ENABLED"));
    api_put_moment(call->output, "CreationTime", created_ms(archive));
}

/* ---- changing ----------------------------------------------------------------------------- */

static bool has(const struct api_call *call, const char *member)
{
    const json_t *value = json_object_get(call->input, member);

    return value != NULL && !json_is_null(value);
}

static enum err refuse_key(struct api_call *call)
{
    return !has(call, "KmsKeyIdentifier")
               ? ERR_OK
               : api_fail(call, "ValidationException",
                          "Parameter KmsKeyIdentifier is not valid. Reason: this gateway does not "
                          "offer it.");
}

/* Members of the input that are there replace those of the document. */
static void take_input(const struct api_call *call, json_t *archive)
{
    if (has(call, "Description")) {
        json_object_del(archive, "description");
        api_put_text(archive, "description", api_text(call, "Description"));
    }
    if (has(call, "EventPattern")) {
        json_object_del(archive, "pattern");
        api_put_text(archive, "pattern", api_text(call, "EventPattern"));
    }
    if (has(call, "RetentionDays")) {
        put_number(archive, "retention_days", api_number(call, "RetentionDays", 0));
    }
}

static enum err put_archive(struct api_call *call, const struct catalog *catalog,
                            struct slice owner, json_t *archive, struct catalog_edit *edit)
{
    json_t *mistakes = catalog_document_mistakes("archives", archive);
    const json_t *first = json_array_get(mistakes, 0);
    enum err err = ERR_OK;

    if (first != NULL) {
        err = api_fail(call, "ValidationException", "Parameter %.*s is not valid. Reason: %.*s",
                       SLICE_ARG(json_member_text(first, "path")),
                       SLICE_ARG(json_member_text(first, "message")));
    } else {
        catalog_edit_put(edit, catalog,
                         arena_printf(&call->arena, "archive/%.*s/%.*s", SLICE_ARG(owner),
                                      SLICE_ARG(json_member_text(archive, "name"))),
                         archive);
    }
    json_decref(mistakes);
    return err;
}

static enum err find_bus(struct api_call *call, const struct catalog *catalog, struct api_bus *bus)
{
    const struct slice text = api_text(call, "EventSourceArn");
    struct bus_name name;

    if (!bus_name_read(text, &name) || name.account.len == 0) {
        return api_fail(call, "ValidationException",
                        "Parameter EventSourceArn is not valid. Reason: Must contain an event bus "
                        "ARN.");
    }
    return api_bus_find(call, catalog, text, API_NO_RULE, bus);
}

/* In both folders: an ARN means one archive. */
static enum err check_room(struct api_call *call, const struct catalog *catalog,
                           const struct api_bus *bus, struct slice name)
{
    size_t count;

    if (find(call, catalog, "archive", bus->account, name) != NULL ||
        (slice_eq(bus->account, call->config->central_account) &&
         find(call, catalog, "archive", SLICE("central"), name) != NULL)) {
        return api_fail(call, "ResourceAlreadyExistsException", "Archive %.*s already exists.",
                        SLICE_ARG(name));
    }
    (void)catalog_with_prefix(
        catalog,
        arena_printf(&call->arena, "archive/%.*s/",
                     SLICE_ARG(bus->is_central ? SLICE("central") : bus->account)),
        &call->arena, &count);
    return count < call->config->account_archives_max
               ? ERR_OK
               : api_fail(call, "LimitExceededException",
                          "The requested resource exceeds the maximum number allowed.");
}

static enum err create_archive(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    const struct slice name = api_text(call, "ArchiveName");
    struct catalog_uid uid = {.catalog = catalog};
    struct api_bus bus;
    json_t *archive;
    enum err err;

    TRY(refuse_key(call));
    TRY(find_bus(call, catalog, &bus));
    TRY(check_room(call, catalog, &bus, name));
    TRY(api_check_pattern(call, catalog));
    archive = json_object();
    api_put_text(archive, "name", name);
    api_put_text(archive, "bus", bus.key);
    take_input(call, archive);
    json_object_set_new(archive, "manager", json_string(call->caller.manager));
    catalog_uid_give_archive(&uid, archive, NULL, moment_now_ms());
    err = put_archive(call, catalog, catalog_archive_owner(archive), archive, edit);
    if (err == ERR_OK) {
        catalog_uid_put(&uid, edit);
        answer_change(call, bus.account, archive);
    }
    json_decref(archive);
    return err;
}

/* The archive that the input names. */
static enum err find_archive(struct api_call *call, const struct catalog *catalog,
                             struct api_kept *kept)
{
    TRY(api_kept_look(call, catalog, "archive", "archiveName", api_text(call, "ArchiveName"),
                      kept));
    return kept->document != NULL ? ERR_OK
                                  : api_fail(call, "ResourceNotFoundException",
                                             "Archive %.*s does not exist.", SLICE_ARG(kept->name));
}

static enum err check_manager(struct api_call *call, const struct api_kept *kept)
{
    const struct slice manager = json_member_text(kept->document->value, "manager");

    return slice_eq(manager, slice_of(call->caller.manager))
               ? ERR_OK
               : api_fail(call, "ManagedRuleException", "Archive %.*s is managed by %.*s.",
                          SLICE_ARG(kept->name), SLICE_ARG(manager));
}

static enum err update_archive(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    struct api_kept kept;
    json_t *archive;
    enum err err;

    TRY(refuse_key(call));
    TRY(find_archive(call, catalog, &kept));
    TRY(check_manager(call, &kept));
    if (!has(call, "Description") && !has(call, "EventPattern") && !has(call, "RetentionDays")) {
        return api_fail(
            call, "ValidationException",
            "At least one of EventPattern, RetentionDays or Description must be provided.");
    }
    TRY(api_check_pattern(call, catalog));
    archive = json_deep_copy(kept.document->value);
    take_input(call, archive);
    err = json_equal(archive, kept.document->value)
              ? ERR_OK
              : put_archive(call, catalog, catalog_archive_owner(archive), archive, edit);
    if (err == ERR_OK) {
        answer_change(call, kept.account, archive);
    }
    json_decref(archive);
    return err;
}

static enum err delete_archive(struct api_call *call, const struct catalog *catalog,
                               struct catalog_edit *edit)
{
    struct api_kept kept;

    TRY(find_archive(call, catalog, &kept));
    TRY(check_manager(call, &kept));
    catalog_edit_put(edit, catalog, slice_of(kept.document->name), NULL);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum err describe_archive(struct api_call *call, const struct catalog *catalog,
                                 struct catalog_edit *edit)
{
    struct api_kept kept;

    (void)edit;
    TRY(find_archive(call, catalog, &kept));
    call->output = show(call, kept.document->value);
    api_put_text(call->output, "ArchiveArn",
                 api_kept_arn(call, "archive", kept.account, kept.name));
    api_put_text(call->output, "Description",
                 json_member_text(kept.document->value, "description"));
    api_put_text(call->output, "EventPattern", json_member_text(kept.document->value, "pattern"));
    return ERR_OK;
}

static const struct catalog_document **archives_to_list(struct api_call *call,
                                                        const struct catalog *catalog,
                                                        const struct api_bus *bus, size_t *count)
{
    if (bus == NULL) {
        return api_kept_all(call, catalog, "archive", count);
    }
    return catalog_with_prefix(
        catalog,
        arena_printf(&call->arena, "archive/%.*s/",
                     SLICE_ARG(bus->is_central ? SLICE("central") : bus->account)),
        &call->arena, count);
}

static bool is_wanted(const struct api_call *call, const struct api_bus *bus, const json_t *archive)
{
    const struct slice state = api_text(call, "State");

    return slice_has_prefix(json_member_text(archive, "name"), api_text(call, "NamePrefix")) &&
           (bus == NULL || slice_eq(bus->key, json_member_text(archive, "bus"))) &&
           (state.len == 0 || slice_eq(state, SLICE("ENABLED")));
}

static int compare_names(const void *a, const void *b) /* of struct catalog_document * */
{
    const struct catalog_document *const *left = a;
    const struct catalog_document *const *right = b;
    const int order = slice_compare(json_member_text((*left)->value, "name"),
                                    json_member_text((*right)->value, "name"));

    return order != 0 ? order : strcmp((*left)->name, (*right)->name);
}

void api_kept_sort(const struct catalog_document **documents, size_t count)
{
    if (count > 1) {
        qsort(documents, count, sizeof(const struct catalog_document *), compare_names);
    }
}

static enum err list_archives(struct api_call *call, const struct catalog *catalog,
                              struct catalog_edit *edit)
{
    const bool has_bus = api_text(call, "EventSourceArn").len > 0;
    json_t *list = json_array();
    struct slice last = {NULL, 0};
    const struct catalog_document **archives;
    struct api_page page;
    struct api_bus bus;
    size_t count;

    (void)edit;
    call->output = json_pack("{s:o}", "Archives", list);
    TRY(api_check_filters(call));
    if (has_bus) {
        TRY(find_bus(call, catalog, &bus));
    }
    TRY(api_page_read(call, &page));
    archives = archives_to_list(call, catalog, has_bus ? &bus : NULL, &count);
    api_kept_sort(archives, count);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = json_member_text(archives[i]->value, "name");

        if (!is_wanted(call, has_bus ? &bus : NULL, archives[i]->value) ||
            !api_page_begins(&page, name)) {
            continue;
        }
        if (json_array_size(list) == page.limit) {
            api_page_end(call, last);
            break;
        }
        json_array_append_new(list, show(call, archives[i]->value));
        last = name;
    }
    return ERR_OK;
}

const struct api_action api_create_archive = {SLICE_INIT("CreateArchive"), create_input,
                                              create_archive, API_CHANGES};
const struct api_action api_describe_archive = {SLICE_INIT("DescribeArchive"), name_input,
                                                describe_archive, API_READS_SIZES};
const struct api_action api_update_archive = {SLICE_INIT("UpdateArchive"), update_input,
                                              update_archive, API_CHANGES};
const struct api_action api_delete_archive = {SLICE_INIT("DeleteArchive"), name_input,
                                              delete_archive, API_CHANGES};
const struct api_action api_list_archives = {SLICE_INIT("ListArchives"), list_input, list_archives,
                                             API_READS_SIZES};
