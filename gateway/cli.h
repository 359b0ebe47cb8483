/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.h - what the commands share: options, finding the running gateway, one call to it.
 */
#pragma once

#include "core/buf.h"
#include "core/err.h"
#include "core/slice.h"

/* Exit codes of every command. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* One option of a command; ends with a NULL name. */
struct cli_option {
    const char *name;   /* "--account"; or "-f" */
    const char **value; /* takes a value; or NULL and */
    bool *flag;         /* is a flag */
};

/* Options that every command understands that talks to a running gateway. */
struct cli_common {
    const char *admin;
    const char *config;
    unsigned timeout_s; /* for an answer; 0: a minute */
};

/* Sort `argv` (after the command's name) into options and at most `operand_max` operands.  Prints
 * `usage` to standard output for --help, or the mistake and `usage` to standard error; then returns
 * false with the exit code in `code`. */
bool cli_parse(int argc, char **argv, const struct cli_option *options, struct cli_common *common,
               const char **operands, size_t operand_max, size_t *operand_count, const char *usage,
               int *code);

/* One request to the admin listener.  `body` may be empty.  Prints the reason to standard error and
 * returns false if no answer came; an answer of any status is true. */
bool cli_call(const struct cli_common *common, const char *method, const char *path,
              struct slice body, unsigned *status, struct buf *answer);
/* "weir: message" on standard error for each reason that an error answer gives. */
void cli_print_error(unsigned status, struct slice answer);
/* The same as cli_call(), where anything but 200 is printed as an error: CLI_DONE with the answer,
 * or CLI_FAILED. */
int cli_ask(const struct cli_common *common, const char *method, const char *path,
            struct slice body, struct buf *answer);
/* The configuration that the command would find the gateway by.  False: there is none, or the
 * reason why it cannot be read was printed. */
struct config;
bool cli_config(const struct cli_common *common, struct config *config);
/* Append `text` percent-encoded. */
MUST_USE enum err cli_encode(struct slice text, struct buf *out);
/* JSON to standard output, indented. */
void cli_print_json(struct slice json);

/* The commands. */
int cli_serve(int argc, char **argv);
int cli_apply(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_account(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_onboard(int argc, char **argv);
int cli_stats(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_dead(int argc, char **argv);
int cli_parks(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_transform(int argc, char **argv);
