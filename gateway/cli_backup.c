/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_backup.c - `weir backup`: a copy of the embedded store while the gateway works.
 *
 * The running gateway writes the file, so a name is made absolute here, against the folder in which
 * the person stands, and not against the gateway's.
 */
#include <jansson.h>
#include <unistd.h>

#include "core/check.h"
#include "gateway/cli.h"

enum { BACKUP_TIMEOUT_S = 24 * 60 * 60, PATH_CHARS_MAX = 4096 };

static const char backup_usage[] =
    "usage: weir backup FILE [--admin URL] [--config FILE]\n"
    "\n"
    "Copy the embedded store to FILE, which must be new, while the gateway works.  To restore, "
    "put\n"
    "the copy as `weir.db` alone into an empty folder (mode 700) and start a gateway on it.\n";

/* The body of the request, or NULL after saying what is wrong. */
static char *make_body(const char *file)
{
    char folder[PATH_CHARS_MAX] = "";
    char path[PATH_CHARS_MAX];
    json_t *body;
    char *text;

    if (file[0] != '/' && getcwd(folder, sizeof(folder)) == NULL) {
        (void)fprintf(stderr, "weir: backup: this folder has no path\n");
        return NULL;
    }
    if (snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != '\0' ? "/" : "", file) >=
        (int)sizeof(path)) {
        (void)fprintf(stderr, "weir: backup: the path is too long\n");
        return NULL;
    }
    body = json_pack("{s:s}", "path", path);
    text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text == NULL) {
        (void)fprintf(stderr, "weir: backup: the path must be UTF-8\n");
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
    const struct cli_option options[] = {{NULL, NULL, NULL}};
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
    body = make_body(file);
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
