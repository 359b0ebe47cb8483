/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot_rules.c - from documents to rules on buses, and to the schedules among them.
 *
 * Only what changed since the snapshot before is made anew: the names of the documents that changed
 * say which rules come and go, and which buses.  The first snapshot takes all documents for
 * changed.
 *
 * A schedule of its own is a rule on a bus that no event is sent to; an archive is a rule without
 * targets on its bus.
 */
#include "gateway/snapshot_rules.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/target_config.h"

static const struct slice rule_prefix = SLICE_INIT("rule/");
static const struct slice schedule_prefix = SLICE_INIT("schedule/");
static const struct slice archive_prefix = SLICE_INIT("archive/");
static const struct slice bus_prefix = SLICE_INIT("bus/");
static const struct slice schedule_bus = SLICE_INIT("schedule"); /* no key of a bus of events */

/* ---- one rule ------------------------------------------------------------------------------ */

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

/* ---- what changed -------------------------------------------------------------------------- */

struct rules_maker {
    const struct catalog *catalog;
    const struct snapshot_options *options;
    const struct ruleset *before;
    struct arena arena;
    struct ruleset_edit edit;
    struct slice *named, *unnamed;
    struct rule **schedules; /* made now */
    size_t schedule_count;
    bool has_schedules; /* that come, go or change */
};

/* The document of that name if it is in force, or NULL. */
static const struct catalog_document *document_in_force(const struct rules_maker *maker,
                                                        struct slice name)
{
    const struct catalog_document *document = catalog_get(maker->catalog, name);

    return document != NULL && !document->is_absent ? document : NULL;
}

/* Where a rule is. */
struct place {
    struct slice bus, name;
};

/* Of "rule/BUS/NAME", where NAME has no slash; "schedule/NAME"; "archive/OWNER/NAME", of which the
 * document says the bus. */
static struct place find_place(struct rules_maker *maker, struct slice document, struct slice bus)
{
    const bool is_rule = slice_has_prefix(document, rule_prefix);
    const struct slice label = slice_from(document, is_rule ? rule_prefix.len : 0);
    size_t slash = label.len;

    while (slash > 0 && label.data[slash - 1] != '/') {
        slash--;
    }
    if (is_rule) {
        return (struct place){slice_first(label, slash > 0 ? slash - 1 : 0),
                              slice_from(label, slash)};
    }
    if (slice_has_prefix(document, schedule_prefix)) {
        return (struct place){schedule_bus, slice_from(document, schedule_prefix.len)};
    }
    return (struct place){
        bus, arena_printf(&maker->arena, "archive:%.*s", SLICE_ARG(slice_from(label, slash)))};
}

/* The key of the bus that a rule is on. */
static struct slice bus_of(const struct rule *rule, struct arena *arena)
{
    if (rule->is_central) {
        return SLICE("central");
    }
    return slice_has_prefix(rule->label, schedule_prefix)
               ? schedule_bus
               : arena_printf(arena, "%.*s/%.*s", SLICE_ARG(rule->bus_account),
                              SLICE_ARG(rule->bus_name));
}

static enum err make_rule(struct rules_maker *maker, const struct catalog_document *document,
                          const struct place *place, struct rule **rule, struct err_why *why)
{
    const struct slice name = slice_of(document->name);

    TRY(slice_has_prefix(name, archive_prefix)
            ? archive_from_document(document, maker->options, rule, why)
            : rule_from_document(document, maker->options, rule, why));
    if (!slice_eq((*rule)->name, place->name) ||
        !slice_eq(bus_of(*rule, &maker->arena), place->bus)) {
        rule_release(*rule);
        return err_because(ERR_STORE_CORRUPT, why, "%s: is of another bus or name", document->name);
    }
    return ERR_OK;
}

static void add_change(struct rules_maker *maker, const struct place *place, struct rule *rule)
{
    const struct rule *old = ruleset_rule(maker->before, place->bus, place->name);

    maker->edit.changes[maker->edit.change_count++] =
        (struct ruleset_change){.bus = place->bus, .name = place->name, .rule = rule};
    if (rule != NULL && rule->schedule != NULL) {
        maker->schedules[maker->schedule_count++] = rule;
    }
    maker->has_schedules =
        maker->has_schedules || maker->schedule_count > 0 || (old != NULL && old->schedule != NULL);
}

/* A rule, a schedule or an archive comes, goes, changes or moves to another bus. */
static enum err change_rule(struct rules_maker *maker, const struct catalog_change *change,
                            struct err_why *why)
{
    const struct catalog_document *document = document_in_force(maker, change->name);
    const struct place was = find_place(maker, change->name, change->bus);
    struct place is = was;
    struct rule *rule = NULL;

    if (document != NULL) {
        is = find_place(maker, change->name, json_member_text(document->value, "bus"));
        TRY(make_rule(maker, document, &is, &rule, why));
    }
    if (was.bus.len > 0 && !slice_eq(was.bus, is.bus)) {
        add_change(maker, &was, NULL);
    }
    if (is.bus.len > 0) {
        add_change(maker, &is, rule);
    }
    return ERR_OK;
}

static void change_bus(struct rules_maker *maker, struct slice name)
{
    const struct slice key = slice_from(name, bus_prefix.len);

    if (document_in_force(maker, name) != NULL) {
        maker->named[maker->edit.named_count++] = key;
    } else {
        maker->unnamed[maker->edit.unnamed_count++] = key;
    }
}

/* ---- schedules ----------------------------------------------------------------------------- */

struct schedule_list *schedule_list_acquire(struct schedule_list *list)
{
    CHECK(atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed) > 0);
    return list;
}

void schedule_list_release(struct schedule_list *list)
{
    if (list == NULL || atomic_fetch_sub_explicit(&list->references, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        rule_release(list->rules[i]);
    }
    xfree(list);
}

static int compare_labels(const void *a, const void *b)
{
    return slice_compare((*(const struct rule *const *)a)->label,
                         (*(const struct rule *const *)b)->label);
}

/* Those before that are still in force, and those made now. */
static struct schedule_list *list_schedules(struct rules_maker *maker,
                                            const struct schedule_list *before,
                                            const struct ruleset *ruleset)
{
    const size_t before_count = before != NULL ? before->count : 0;
    struct schedule_list *list =
        xcalloc(1, sizeof(*list) + (before_count + maker->schedule_count) * sizeof(struct rule *));

    atomic_init(&list->references, 1);
    for (size_t i = 0; i < before_count; i++) {
        struct rule *rule = before->rules[i];
        if (ruleset_rule(ruleset, bus_of(rule, &maker->arena), rule->name) == rule) {
            list->rules[list->count++] = rule_acquire(rule);
        }
    }
    for (size_t i = 0; i < maker->schedule_count; i++) {
        list->rules[list->count++] = rule_acquire(maker->schedules[i]);
    }
    if (list->count > 1) {
        qsort(list->rules, list->count, sizeof(struct rule *), compare_labels);
    }
    return list;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static enum err collect(struct rules_maker *maker, const struct catalog_change *const *changes,
                        size_t count, struct err_why *why)
{
    for (size_t i = 0; i < count; i++) {
        const struct slice name = changes[i]->name;

        if (slice_has_prefix(name, rule_prefix) || slice_has_prefix(name, schedule_prefix) ||
            slice_has_prefix(name, archive_prefix)) {
            TRY(change_rule(maker, changes[i], why));
        } else if (slice_has_prefix(name, bus_prefix)) {
            change_bus(maker, name);
        }
    }
    return ERR_OK;
}

static void make(struct rules_maker *maker, struct snapshot *snapshot)
{
    const struct snapshot *previous = maker->options->previous;

    snapshot->ruleset = ruleset_change(maker->before, &maker->edit);
    snapshot->schedules = previous != NULL && !maker->has_schedules
                              ? schedule_list_acquire(previous->schedules)
                              : list_schedules(maker, previous != NULL ? previous->schedules : NULL,
                                               snapshot->ruleset);
}

enum err snapshot_add_rules(const struct catalog *catalog, const struct snapshot_options *options,
                            const struct catalog_change *const *changes, size_t count,
                            struct snapshot *snapshot, struct err_why *why)
{
    struct ruleset *empty = options->previous == NULL ? ruleset_new() : NULL;
    struct rules_maker maker = {
        .catalog = catalog,
        .options = options,
        .before = options->previous != NULL ? options->previous->ruleset : empty,
    };
    enum err err;

    maker.edit.changes = ARENA_ARRAY(&maker.arena, struct ruleset_change, 2 * count + 1);
    maker.schedules = ARENA_ARRAY(&maker.arena, struct rule *, count + 1);
    maker.named = ARENA_ARRAY(&maker.arena, struct slice, count + 1);
    maker.unnamed = ARENA_ARRAY(&maker.arena, struct slice, count + 1);
    maker.edit.named = maker.named;
    maker.edit.unnamed = maker.unnamed;
    if (empty != NULL) { /* the central bus as its own account names it */
        maker.named[maker.edit.named_count++] =
            arena_printf(&maker.arena, "%.*s/central", SLICE_ARG(options->central_account));
    }
    err = collect(&maker, changes, count, why);
    if (err == ERR_OK) {
        make(&maker, snapshot);
    }
    for (size_t i = 0; i < maker.edit.change_count; i++) {
        rule_release(maker.edit.changes[i].rule);
    }
    arena_clean_up(&maker.arena);
    ruleset_release(empty);
    return err;
}
