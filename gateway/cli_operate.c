/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_operate.c - `weir serve`, `weir stats`, `weir dead`: what the person at 3 a.m. types.
 */
#include <jansson.h>

#include "core/check.h"
#include "core/log.h"
#include "core/moment.h"
#include "gateway/cli.h"
#include "gateway/config.h"
#include "gateway/control.h"

enum { PATH_BYTES_MAX = 8192 };

/* ---- serve -------------------------------------------------------------------------------- */

static const char serve_usage[] =
    "usage: weir serve --config FILE [--check]\n"
    "\n"
    "Run the gateway until SIGTERM.  --check reads the configuration, "
    "says whether it is valid, and exits.\n";

int cli_serve(int argc, char **argv)
{
    struct cli_common common = {0};
    bool is_check = false;
    const struct cli_option options[] = {{"--check", NULL, &is_check}, {NULL, NULL, NULL}};
    struct err_why why = {.text = ""};
    struct config config;
    size_t operand_count;
    enum err err;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, serve_usage, &code)) {
        return code;
    }
    if (common.config == NULL) {
        (void)fprintf(stderr, "weir: --config FILE is needed\n%s", serve_usage);
        return CLI_USAGE;
    }
    err = config_load(&config, common.config, &why);
    if (err == ERR_OK && is_check) {
        (void)printf("%s is valid\n", common.config);
    } else if (err == ERR_OK) {
        log_set_level(config.log_level);
        err = control_run(&config, &why);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text[0] != '\0' ? why.text : err_text(err));
    }
    config_clean_up(&config);
    return err == ERR_OK ? CLI_DONE : CLI_FAILED;
}

/* ---- stats -------------------------------------------------------------------------------- */

static const char stats_usage[] =
    "usage: weir stats [--json] [--admin URL] [--config FILE]\n"
    "\n"
    "What came in, what matched, what was delivered, what is stuck.  --json prints the whole\n"
    "document of GET /v1/stats.\n";

static json_int_t figure(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void print_totals(const json_t *totals)
{
    static const char *const lines[][8] = {
        {"entries", "received", "committed", "unmatched", "duplicate", "throttled", "refused",
         "failed"},
        {"deliveries", "created", "delivered", "live", "dead", "retried", "dropped", NULL},
        {"dlq", "dlq_sent", "dlq_refused", "dlq_failed", NULL, NULL, NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        (void)printf("%-12s", lines[i][0]);
        for (size_t k = 1; k < ARRAY_LEN(lines[i]) && lines[i][k] != NULL; k++) {
            (void)printf(" %s %lld", lines[i][k], (long long)figure(totals, lines[i][k]));
        }
        (void)printf("\n");
    }
    (void)printf("%-12s depth %lld oldest %lld ms\n", "queue",
                 (long long)figure(totals, "queue_depth"),
                 (long long)figure(totals, "oldest_age_ms"));
}

static void print_parts(json_t *stats, const char *section, const char *const *columns)
{
    const char *key;
    json_t *part;

    json_object_foreach(json_object_get(stats, section), key, part)
    {
        (void)printf("%-12s %s", section, key);
        for (size_t i = 0; columns[i] != NULL; i++) {
            (void)printf("  %s %lld", columns[i], (long long)figure(part, columns[i]));
        }
        (void)printf("\n");
    }
}

static void print_latency(const json_t *stats)
{
    static const char *const stages[] = {"commit", "queue", "credentials", "call", "end_to_end"};

    for (size_t i = 0; i < ARRAY_LEN(stages); i++) {
        const json_t *stage = json_object_get(json_object_get(stats, "latency"), stages[i]);

        (void)printf("%-12s %-12s p50 %lld us  p99 %lld us  n %lld\n", "latency", stages[i],
                     (long long)figure(stage, "p50_us"), (long long)figure(stage, "p99_us"),
                     (long long)figure(stage, "count"));
    }
}

static void print_stats(struct slice answer)
{
    static const char *const account_columns[] = {
        "received", "committed", "unmatched", "throttled", "delivered", "live", "dead", NULL};
    static const char *const rule_columns[] = {"created", "delivered", "retried", "dead", NULL};
    static const char *const target_columns[] = {"delivered", "retried", "dead", NULL};
    json_t *stats = json_loadb(answer.data, answer.len, 0, NULL);
    const json_t *ledger = json_object_get(stats, "ledger");
    const json_t *store = json_object_get(stats, "store");
    const json_t *replica = json_object_get(stats, "replica");

    print_totals(json_object_get(stats, "totals"));
    print_parts(stats, "accounts", account_columns);
    print_parts(stats, "rules", rule_columns);
    print_parts(stats, "targets", target_columns);
    print_latency(stats);
    (void)printf("%-12s %s, guarantee %s, replicas %lld\n", "store",
                 json_string_value(json_object_get(store, "kind")),
                 json_string_value(json_object_get(store, "guarantee")),
                 (long long)figure(store, "replicas"));
    (void)printf("%-12s %s, catalog %lld%s\n", "replica",
                 json_string_value(json_object_get(replica, "id")),
                 (long long)figure(replica, "catalog_rev"),
                 json_is_true(json_object_get(replica, "catalog_compiles")) &&
                         figure(replica, "catalog_refused") == 0
                     ? ""
                     : ", REFUSING A CHANGE");
    (void)printf("%-12s %s\n", "ledger",
                 json_is_true(json_object_get(ledger, "balanced")) ? "balanced" : "NOT BALANCED");
    json_decref(stats);
}

int cli_stats(int argc, char **argv)
{
    struct cli_common common = {0};
    bool is_json = false;
    const struct cli_option options[] = {{"--json", NULL, &is_json}, {NULL, NULL, NULL}};
    struct buf answer = {0};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, NULL, 0, &operand_count, stats_usage, &code)) {
        return code;
    }
    code = cli_ask(&common, "GET", "/v1/stats", (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE && is_json) {
        cli_print_json(buf_slice(&answer));
    } else if (code == CLI_DONE) {
        print_stats(buf_slice(&answer));
    }
    buf_clean_up(&answer);
    return code;
}

/* ---- dead --------------------------------------------------------------------------------- */

static const char dead_usage[] =
    "usage: weir dead list [FILTER] [--limit N] [--next ID]\n"
    "       weir dead show ID\n"
    "       weir dead redrive|drop ID|FILTER|--all [--dry-run]\n"
    "       each with [--admin URL] [--config FILE]\n"
    "FILTER: --account A --bus B --rule R --target T --reason REASON\n"
    "        --since SPAN          given up within the last SPAN, such as 90m or 7d\n"
    "        --until SPAN          given up longer ago than SPAN\n"
    "\n"
    "A page of the list ends with \"next\" where there is more: the --next of the next page.\n"
    "redrive sends again, with a new retry budget, and drop lets go; both print how many.  While\n"
    "they work, `weir stats` shows how far they are (dead, redriven, dropped).\n"
    "\n"
    "Dead letters keep payload and reason until they are redriven or dropped.\n";

struct dead_options {
    const char *account;
    const char *bus;
    const char *rule;
    const char *target;
    const char *reason;
    const char *since;
    const char *until;
    const char *limit;
    const char *next;
    bool is_dry_run;
    bool is_all;
};

static void add_parameter(struct buf *path, const char *name, const char *value)
{
    if (value != NULL) {
        CHECK(buf_printf(path, "&%s=", name) == ERR_OK);
        CHECK(cli_encode(slice_first(slice_of(value), 512), path) == ERR_OK);
    }
}

/* A span before now, as the moment that the gateway filters by. False: not a span. */
static bool add_moment(struct buf *path, const char *name, const char *span)
{
    uint64_t span_ms;
    char text[24];

    if (span == NULL) {
        return true;
    }
    if (moment_parse_span(slice_of(span), &span_ms) != ERR_OK) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%" PRIu64,
                   moment_now_ms() - MIN_OF(span_ms, moment_now_ms() - 1));
    add_parameter(path, name, text);
    return true;
}

/* What is wrong with the options for this verb, or NULL.  Nothing is redriven or dropped that was
 * not named. */
static const char *object_to(bool is_read, const char *id, const struct dead_options *options)
{
    const bool has_filter = id != NULL || options->account != NULL || options->bus != NULL ||
                            options->rule != NULL || options->target != NULL ||
                            options->reason != NULL || options->since != NULL ||
                            options->until != NULL;

    if (is_read) {
        return options->is_all || options->is_dry_run
                   ? "--all and --dry-run are for redrive and drop"
                   : NULL;
    }
    if (options->limit != NULL || options->next != NULL) {
        return "--limit and --next are for list";
    }
    if (has_filter == options->is_all) {
        return has_filter ? "--all stands alone, without ID or FILTER"
                          : "name an ID or a FILTER, or --all for every dead letter";
    }
    return NULL;
}

static bool is_empty_page(struct slice answer)
{
    json_t *page = json_loadb(answer.data, answer.len, 0, NULL);
    const bool is_empty = json_array_size(json_object_get(page, "dead")) == 0;

    json_decref(page);
    return is_empty;
}

static int ask_dead(const struct cli_common *common, const char *verb, const char *id,
                    const struct dead_options *options)
{
    const bool is_read = strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0;
    const char *objection = object_to(is_read, id, options);
    struct buf path;
    struct buf answer = {0};
    int code;

    if (objection != NULL) {
        (void)fprintf(stderr, "weir: dead %s: %s\n", verb, objection);
        return CLI_USAGE;
    }
    buf_init(&path, PATH_BYTES_MAX);
    if (is_read) {
        CHECK(buf_printf(&path, "/v1/dead?payload=%s",
                         strcmp(verb, "show") == 0 ? "true" : "false") == ERR_OK);
    } else {
        CHECK(buf_printf(&path, "/v1/dead/%s?dry_run=%s&all=%s", verb,
                         options->is_dry_run ? "true" : "false",
                         options->is_all ? "true" : "false") == ERR_OK);
    }
    add_parameter(&path, "id", id);
    add_parameter(&path, "account", options->account);
    add_parameter(&path, "bus", options->bus);
    add_parameter(&path, "rule", options->rule);
    add_parameter(&path, "target", options->target);
    add_parameter(&path, "reason", options->reason);
    add_parameter(&path, "limit", options->limit);
    add_parameter(&path, "next", options->next);
    if (!add_moment(&path, "since_ms", options->since) ||
        !add_moment(&path, "until_ms", options->until)) {
        (void)fprintf(stderr,
                      "weir: --since and --until: must be a span of time such as 90m or 7d\n");
        buf_clean_up(&path);
        return CLI_USAGE;
    }
    CHECK(buf_append_byte(&path, '\0') == ERR_OK);
    code = cli_ask(common, is_read ? "GET" : "POST", path.data, (struct slice){NULL, 0}, &answer);
    if (code == CLI_DONE && strcmp(verb, "show") == 0 && is_empty_page(buf_slice(&answer))) {
        (void)fprintf(stderr, "weir: dead show: there is no dead letter %s\n", id);
        code = CLI_FAILED;
    } else if (code == CLI_DONE) {
        cli_print_json(buf_slice(&answer));
    }
    buf_clean_up(&answer);
    buf_clean_up(&path);
    return code;
}

int cli_dead(int argc, char **argv)
{
    struct cli_common common = {0};
    struct dead_options dead = {0};
    const struct cli_option options[] = {
        {"--account", &dead.account, NULL}, {"--bus", &dead.bus, NULL},
        {"--rule", &dead.rule, NULL},       {"--target", &dead.target, NULL},
        {"--reason", &dead.reason, NULL},   {"--limit", &dead.limit, NULL},
        {"--since", &dead.since, NULL},     {"--until", &dead.until, NULL},
        {"--next", &dead.next, NULL},       {"--dry-run", NULL, &dead.is_dry_run},
        {"--all", NULL, &dead.is_all},      {NULL, NULL, NULL},
    };
    static const char *const verbs[] = {"list", "show", "redrive", "drop"};
    const char *operands[2] = {NULL, NULL};
    size_t operand_count;
    int code;

    if (!cli_parse(argc, argv, options, &common, operands, 2, &operand_count, dead_usage, &code)) {
        return code;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs) && operand_count > 0; i++) {
        const bool is_show = strcmp(verbs[i], "show") == 0;

        if (strcmp(verbs[i], operands[0]) == 0 && (!is_show || operand_count == 2)) {
            return ask_dead(&common, verbs[i], operands[1], &dead);
        }
    }
    (void)fprintf(stderr, "%s", dead_usage);
    return CLI_USAGE;
}
