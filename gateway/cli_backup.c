/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_backup.c - `weir backup`: a copy of the embedded store, or of the catalog of any store, while
 * the gateway works; `weir restore`: the catalog into a store that lost it.
 *
 * The running gateway writes the file, so a name is made absolute here, against the folder in which
 * the person stands, and not against the gateway's.
 */
#include <jansson.h>
#include <unistd.h>

#include "core/check.h"
#include "core/moment.h"
#include "gateway/cli.h"

enum { BACKUP_TIMEOUT_S = 24 * 60 * 60, PATH_CHARS_MAX = 4096 };

static const char backup_usage[] =
    "usage: weir backup FILE [--admin URL] [--config FILE]\n"
    "       weir backup --catalog FILE [--admin URL] [--config FILE]\n"
    "\n"
    "Copy the embedded store to FILE, which must be new, while the gateway works.  To restore, "
    "put\n"
    "the copy as `weir.db` alone into an empty folder (mode 700) and start a gateway on it.\n"
    "With --catalog, of any store: the catalog, credentials and the audit log, sealed under the\n"
    "seal key, for `weir restore`.  Events are not in it.\n";

static const char restore_usage[] =
    "usage: weir restore [FILE] [--older] [--admin URL] [--config FILE]\n"
    "\n"
    "Give a store that lost it the catalog back: accounts, rules, credentials, what was revoked "
    "or\n"
    "suspended, the audit log.  Without FILE it is what this gateway remembers, which survives "
    "the\n"
    "loss of a Redis and is the newest; ask a gateway that was not restarted.  FILE is one of\n"
    "`weir backup --catalog`: what was revoked after it was written is good again.  If the "
    "gateway\n"
    "remembers a newer catalog than FILE that is refused without --older.  A store that has a\n"
    "catalog is never written over.  One that was broken off is run again.\n";

/* The body of the request, `flag` set in it where `is_on`; or NULL after saying what is wrong. */
static char *make_body(const char *file, const char *flag, bool is_on)
{
    char folder[PATH_CHARS_MAX] = "";
    char path[PATH_CHARS_MAX];
    json_t *body;
    char *text;

    if (file[0] != '/' && getcwd(folder, sizeof(folder)) == NULL) {
        (void)fprintf(stderr, "weir: this folder has no path\n");
        return NULL;
    }
    if (snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != '\0' ? "/" : "", file) >=
        (int)sizeof(path)) {
        (void)fprintf(stderr, "weir: the path is too long\n");
        return NULL;
    }
    body = json_pack("{s:s}", "path", path);
    if (is_on) {
        json_object_set_new(body, flag, json_true());
    }
    text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text == NULL) {
        (void)fprintf(stderr, "weir: the path must be UTF-8\n");
    }
    return text;
}

static void print_answer(const char *file, struct slice answer)
{
    json_t *figures = json_loadb(answer.data, answer.len, 0, NULL);

    (void)printf("%s: %lld bytes in %lld ms\n", file,
                 (long long)json_integer_value(json_object_get(figures, "bytes")),
                 (long long)json_integer_value(json_object_get(figures, "took_ms")));
    json_decref(figures);
}

int cli_backup(int argc, char **argv)
{
    struct cli_common common = {.timeout_s = BACKUP_TIMEOUT_S};
    bool is_catalog = false;
    const struct cli_option options[] = {{"--catalog", NULL, &is_catalog}, {NULL, NULL, NULL}};
    const char *file = NULL;
    struct buf answer = {0};
    size_t operand_count;
    char *body;
    int code;

    if (!cli_parse(argc, argv, options, &common, &file, 1, &operand_count, backup_usage, &code)) {
        return code;
    }
    if (file == NULL) {
        (void)fprintf(stderr, "%s", backup_usage);
        return CLI_USAGE;
    }
    body = make_body(file, "catalog", is_catalog);
    if (body == NULL) {
        return CLI_FAILED;
    }
    code = cli_ask(&common, "POST", "/v1/backup", slice_of(body), &answer);
    if (code == CLI_DONE) {
        print_answer(file, buf_slice(&answer));
    }
    buf_clean_up(&answer);
    xfree(body);
    return code;
}

static void print_restored(struct slice answer)
{
    json_t *figures = json_loadb(answer.data, answer.len, 0, NULL);
    const json_int_t at_ms = json_integer_value(json_object_get(figures, "at_ms"));
    char at[MOMENT_ISO_CHARS];

    moment_to_iso((uint64_t)at_ms, at);
    (void)printf("%lld documents in force, revision %lld, as of %.*s\n",
                 (long long)json_integer_value(json_object_get(figures, "documents")),
                 (long long)json_integer_value(json_object_get(figures, "rev")), (int)sizeof(at),
                 at);
    if (strcmp(json_string_value(json_object_get(figures, "from")), "file") == 0) {
        (void)printf("what was issued since is gone, and what was revoked since is good again\n");
    }
    json_decref(figures);
}

int cli_restore(int argc, char **argv)
{
    struct cli_common common = {.timeout_s = BACKUP_TIMEOUT_S};
    bool may_be_older = false;
    const struct cli_option options[] = {{"--older", NULL, &may_be_older}, {NULL, NULL, NULL}};
    const char *file = NULL;
    struct buf answer = {0};
    size_t operand_count;
    char *body = NULL;
    int code;

    if (!cli_parse(argc, argv, options, &common, &file, 1, &operand_count, restore_usage, &code)) {
        return code;
    }
    if (file == NULL && may_be_older) {
        (void)fprintf(stderr, "weir: --older says something of a FILE\n%s", restore_usage);
        return CLI_USAGE;
    }
    if (file != NULL && (body = make_body(file, "older", may_be_older)) == NULL) {
        return CLI_FAILED;
    }
    code = cli_ask(&common, "POST", "/v1/restore", slice_of(body != NULL ? body : "{}"), &answer);
    if (code == CLI_DONE) {
        print_restored(buf_slice(&answer));
    }
    buf_clean_up(&answer);
    xfree(body);
    return code;
}
