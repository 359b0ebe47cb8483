/* SPDX-License-Identifier: Apache-2.0
 *
 * api_names.c - from what a caller writes to what the catalog holds.
 *
 * Whose bus it is, is decided before whether it exists: a stranger learns nothing of another
 * account's buses.  The action names the rule that it is about when it asks for the bus, and then
 * reads it from there: what the policy judged is what is changed, whatever else the input holds.
 *
 * A page's token is the key of its last item behind a mark, in base64: it stays
 * good while the list changes, and weir keeps nothing for it.
 */
#include "gateway/api_names.h"

#include "core/base64.h"
#include "core/check.h"
#include "gateway/api_permissions.h"
#include "gateway/bus_name.h"
#include "gateway/config.h"

#define TOKEN_MARK "after:"

enum { LIMIT_DEFAULT = 100, TOKEN_BYTES_MAX = 2048 };

/* ---- buses -------------------------------------------------------------------------------- */

/* Whose rule is it?  Empty when there is none, or when no member made it. */
static struct slice creator_of(struct api_call *call, const struct catalog *catalog,
                               const struct api_bus *bus)
{
    const struct catalog_document *rule =
        bus->rule.len > 0 ? catalog_get(catalog, api_rule_document(call, bus, bus->rule)) : NULL;
    const struct slice manager =
        rule != NULL ? json_member_text(rule->value, "manager") : (struct slice){NULL, 0};

    if (rule == NULL) {
        return (struct slice){NULL, 0};
    }
    return manager.len == strlen("api:") + ACCOUNT_ID_CHARS ? slice_from(manager, strlen("api:"))
                                                            : bus->account;
}

static enum err check_access(struct api_call *call, const struct catalog *catalog,
                             const struct api_bus *bus)
{
    const bool is_own = slice_eq(bus->account, slice_of(call->caller.account)) && !bus->is_central;

    return is_own || call->caller.is_operator ||
                   (!bus->is_central &&
                    api_permits_foreign(call, catalog, bus, creator_of(call, catalog, bus)))
               ? ERR_OK
               : api_fail(call, "AccessDeniedException",
                          "The caller is not authorized to manage the resource %.*s",
                          SLICE_ARG(api_bus_arn(call, bus)));
}

enum err api_bus_look(struct api_call *call, const struct catalog *catalog, struct slice text,
                      struct slice rule, struct api_bus *bus, bool *exists)
{
    struct bus_name name;

    if (!bus_name_read(text, &name)) {
        return api_fail(call, "ValidationException",
                        "Parameter EventBusName is not valid. Reason: Provided Arn is not in "
                        "correct format.");
    }
    bus->account = name.account.len > 0 ? name.account : slice_of(call->caller.account);
    bus->name = name.name;
    bus->rule = rule;
    bus->is_central = slice_eq(bus->account, call->config->central_account) &&
                      slice_eq(bus->name, SLICE("central"));
    bus->key = bus->is_central ? SLICE("central")
                               : arena_printf(&call->arena, "%.*s/%.*s", SLICE_ARG(bus->account),
                                              SLICE_ARG(bus->name));
    bus->document =
        catalog_get(catalog, arena_printf(&call->arena, "bus/%.*s/%.*s", SLICE_ARG(bus->account),
                                          SLICE_ARG(bus->name)));
    TRY(check_access(call, catalog, bus));
    *exists = bus->is_central || bus->document != NULL ||
              (slice_eq(bus->name, SLICE("default")) &&
               catalog_get(catalog, arena_printf(&call->arena, "account/%.*s",
                                                 SLICE_ARG(bus->account))) != NULL);
    return ERR_OK;
}

enum err api_bus_find(struct api_call *call, const struct catalog *catalog, struct slice text,
                      struct slice rule, struct api_bus *bus)
{
    bool exists;

    TRY(api_bus_look(call, catalog, text, rule, bus, &exists));
    return exists ? ERR_OK
                  : api_fail(call, "ResourceNotFoundException", "Event bus %.*s does not exist.",
                             SLICE_ARG(bus->name));
}

struct slice api_bus_arn(struct api_call *call, const struct api_bus *bus)
{
    return arena_printf(&call->arena, "arn:aws:events:%.*s:%.*s:event-bus/%.*s",
                        SLICE_ARG(call->config->region), SLICE_ARG(bus->account),
                        SLICE_ARG(bus->name));
}

/* ---- rules -------------------------------------------------------------------------------- */

struct slice api_rule_document(struct api_call *call, const struct api_bus *bus, struct slice name)
{
    return arena_printf(&call->arena, "rule/%.*s/%.*s", SLICE_ARG(bus->key), SLICE_ARG(name));
}

struct slice api_rule_arn(struct api_call *call, const struct api_bus *bus, struct slice name)
{
    struct slice folder = {"", 0};

    if (!slice_eq(bus->name, SLICE("default"))) {
        folder = arena_printf(&call->arena, "%.*s/", SLICE_ARG(bus->name));
    }
    return arena_printf(&call->arena, "arn:aws:events:%.*s:%.*s:rule/%.*s%.*s",
                        SLICE_ARG(call->config->region), SLICE_ARG(bus->account), SLICE_ARG(folder),
                        SLICE_ARG(name));
}

enum err api_rule_find(struct api_call *call, const struct catalog *catalog,
                       const struct api_bus *bus, const struct catalog_document **rule)
{
    *rule = catalog_get(catalog, api_rule_document(call, bus, bus->rule));
    return *rule != NULL ? ERR_OK
                         : api_fail(call, "ResourceNotFoundException",
                                    "Rule %.*s does not exist on EventBus %.*s.",
                                    SLICE_ARG(bus->rule), SLICE_ARG(bus->name));
}

/* The owner of a bus may stop and end what others made there by its policy, but not redirect it: it
 * sends with their roles. */
static bool may_undo(const struct api_call *call, const json_t *rule, struct slice manager)
{
    struct slice bus = json_member_text(rule, "bus");

    return manager.len == strlen("api:") + ACCOUNT_ID_CHARS &&
           slice_eq(slice_cut(&bus, '/'), slice_of(call->caller.account)) &&
           (slice_eq(call->action, SLICE("DeleteRule")) ||
            slice_eq(call->action, SLICE("RemoveTargets")) ||
            slice_eq(call->action, SLICE("DisableRule")));
}

enum err api_rule_check_manager(struct api_call *call, const json_t *rule, struct slice name,
                                bool force)
{
    const struct slice manager = json_member_text(rule, "manager");

    if (may_undo(call, rule, manager)) {
        return ERR_OK;
    }
    if (slice_eq(manager, slice_of(call->caller.manager)) || (force && call->caller.is_operator)) {
        return ERR_OK;
    }
    return api_fail(call, "ManagedRuleException", "Rule %.*s is managed by %.*s.", SLICE_ARG(name),
                    SLICE_ARG(manager));
}

/* ---- pages -------------------------------------------------------------------------------- */

enum err api_page_read(struct api_call *call, struct api_page *page)
{
    const struct slice token = api_text(call, "NextToken");
    struct buf text;
    struct slice after = {NULL, 0};

    *page = (struct api_page){.limit = (size_t)api_number(call, "Limit", LIMIT_DEFAULT)};
    if (token.len == 0) {
        return ERR_OK;
    }
    buf_init(&text, TOKEN_BYTES_MAX);
    if (base64_decode(token, &text) == ERR_OK &&
        slice_has_prefix(buf_slice(&text), SLICE(TOKEN_MARK))) {
        after = arena_copy(&call->arena, slice_from(buf_slice(&text), strlen(TOKEN_MARK)));
    }
    buf_clean_up(&text);
    if (after.len == 0) {
        return api_fail(call, "InvalidToken", "The token is not valid.");
    }
    page->after = after;
    return ERR_OK;
}

bool api_page_begins(const struct api_page *page, struct slice key)
{
    return page->after.len == 0 || slice_compare(key, page->after) > 0;
}

void api_page_end(struct api_call *call, struct slice last)
{
    struct buf token;

    buf_init(&token, (size_t)2 * TOKEN_BYTES_MAX);
    CHECK(base64_encode(arena_printf(&call->arena, TOKEN_MARK "%.*s", SLICE_ARG(last)), &token) ==
          ERR_OK);
    api_put_text(call->output, "NextToken", buf_slice(&token));
    buf_clean_up(&token);
}
