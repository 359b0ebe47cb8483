/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_catalog.c - operators change and read the whole catalog: apply, export.
 *
 * Each change is a control_change: planned against the catalog as it is when its turn comes, and
 * answered when every worker uses the outcome.
 */
#include "gateway/admin.h"

#include "core/check.h"
#include "core/moment.h"
#include "gateway/catalog_check.h"
#include "gateway/catalog_file.h"
#include "gateway/catalog_plan.h"
#include "gateway/catalog_secrets.h"
#include "gateway/config.h"

/* ---- apply and export --------------------------------------------------------------------- */

struct application {
    struct control_change change;
    struct control *control;
    struct request *request;
    json_t *file;
    json_t *changes;
    char manager[CATALOG_MANAGER_CHARS_MAX + 8];
    bool is_dry_run;
    bool take_over;
};

static enum err plan_application(struct control_change *change, const struct catalog *catalog,
                                 struct catalog_edit *edit)
{
    struct application *application = change->context;
    const struct catalog_plan_options options = {
        .manager = slice_of(application->manager),
        .take_over = application->take_over,
        .seal_key = control_seal_key(application->control),
        .now_ms = moment_now_ms(),
    };
    enum err err;

    json_decref(application->changes); /* of a plan that another replica's change has overtaken */
    application->changes = NULL;
    err = catalog_plan(catalog, application->file, &options, edit, &application->changes,
                       &change->why);
    if (err == ERR_OK && application->is_dry_run) {
        catalog_edit_clean_up(edit);
        catalog_edit_init(edit);
    }
    return err;
}

static void on_applied(struct control_change *change, enum err err)
{
    struct application *application = change->context;

    admin_act_take_back(application->request, change);
    if (err != ERR_OK) {
        admin_respond_error(application->request, err, &change->why);
    } else {
        admin_respond_tree(application->request, 200,
                           json_pack("{s:O, s:b, s:I}", "changes", application->changes, "applied",
                                     application->is_dry_run ? 0 : 1, "rev",
                                     (json_int_t)change->rev));
    }
    json_decref(application->changes);
    json_decref(application->file);
    xfree(application);
}

static void respond_mistakes(struct request *request, json_t *mistakes)
{
    admin_act_of(request)->result = ERR_BAD_CATALOG;
    admin_respond_tree(request, 400,
                       json_pack("{s:{s:s, s:s}, s:o}", "error", "code", err_code(ERR_BAD_CATALOG),
                                 "message", err_text(ERR_BAD_CATALOG), "mistakes", mistakes));
}

void admin_catalog_apply(struct admin_call *call)
{
    struct request *request = call->request;
    struct slice name = admin_parameter(call, SLICE("name"));
    struct application *application;
    struct err_why why = {.text = ""};
    json_t *file = NULL;
    json_t *mistakes;
    enum err err;

    name = name.data != NULL ? name : SLICE("default");
    err = catalog_name_check(name, &why);
    if (err == ERR_OK) {
        err = catalog_file_read(buf_slice(&request->body), &file, &why);
    }
    if (err != ERR_OK) {
        admin_respond_error(request, err, &why);
        return;
    }
    mistakes = catalog_check(file);
    if (json_array_size(mistakes) == 0) {
        catalog_secrets_read(file, control_config(call->control)->folder, mistakes);
    }
    if (json_array_size(mistakes) > 0) {
        json_decref(file);
        respond_mistakes(request, mistakes);
        return;
    }
    json_decref(mistakes);
    application = xcalloc(1, sizeof(*application));
    application->control = call->control;
    application->request = request;
    application->file = file;
    application->is_dry_run = admin_is_on(admin_parameter(call, SLICE("dry_run")));
    application->take_over = admin_is_on(admin_parameter(call, SLICE("take_over")));
    (void)snprintf(application->manager, sizeof(application->manager), "apply:%.*s",
                   SLICE_ARG(name));
    application->change = (struct control_change){
        .plan = plan_application, .on_done = on_applied, .context = application};
    admin_act_lend(request, &application->change);
    control_submit(call->control, &application->change);
}

void admin_catalog_export(struct admin_call *call)
{
    struct buf out;
    enum err err;

    buf_init(&out, CATALOG_FILE_BYTES_MAX);
    err = catalog_file_write(control_catalog(call->control), &out);
    if (err == ERR_OK) {
        admin_respond_json(call->request, buf_slice(&out));
    } else {
        admin_respond_error(call->request, err, NULL);
    }
    buf_clean_up(&out);
}
