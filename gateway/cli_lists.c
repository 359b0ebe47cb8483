/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_lists.c - `--lists FILE` of the commands that work offline.
 *
 * What `weir export` writes will do as the file, and so will the catalog that is to be applied.
 */
#include "gateway/cli_lists.h"

#include <stdio.h>

#include "core/buf.h"
#include "core/file.h"
#include "gateway/catalog.h"
#include "gateway/list_config.h"

bool cli_lists_read(const char *path, struct partner_lists **lists)
{
    struct err_why why = {.text = ""};
    struct buf text;
    enum err err;

    *lists = NULL;
    if (path == NULL) {
        return true;
    }
    buf_init(&text, CATALOG_FILE_BYTES_MAX);
    err = file_read(path, &text, &why);
    if (err == ERR_OK) {
        err = list_config_read_file(buf_slice(&text), lists, &why);
    }
    if (err != ERR_OK) {
        (void)fprintf(stderr, "weir: the lists: %s\n", why.text);
    }
    buf_clean_up(&text);
    return err == ERR_OK;
}

enum err cli_lists_check(const struct partner_lists *lists, const struct pattern *pattern,
                         struct err_why *why)
{
    size_t count;
    const struct slice *names = pattern_lists(pattern, &count);

    for (size_t i = 0; i < count; i++) {
        if (partner_lists_get(lists, names[i]) == NULL) {
            return err_because(ERR_BAD_PATTERN, why,
                               "Event pattern is not valid. Reason: There is no list %.*s",
                               SLICE_ARG(names[i]));
        }
    }
    return ERR_OK;
}
