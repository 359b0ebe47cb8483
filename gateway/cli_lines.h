/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_lines.h - for commands that answer line by line.
 */
#pragma once

#include <stdio.h>

#include "core/buf.h"
#include "core/json.h"

enum { CLI_LINE_BYTES_MAX = 64 << 20 }; /* of rules, patterns and events */

enum cli_line { CLI_LINE_READ, CLI_LINE_TOO_LONG, CLI_LINE_END };

/* The next line without its end, into `line`.  One that is too long for it is read to its end all
 * the same. */
enum cli_line cli_read_line(FILE *file, struct buf *line);
/* Print what `line` holds and empty it. */
void cli_print_line(struct buf *line);
/* {"error": TEXT} at the end of `out`, in the place of an answer. */
void cli_put_error(const char *text, struct buf *out);
/* Did everything that was printed arrive?  Then `code`, else CLI_FAILED with a message. */
int cli_finish(int code);
/* The text that a JSON value stands for; the value's first token was just read.  A string stands
 * for the text it holds, any other value for itself as it is written. */
MUST_USE enum err cli_read_text(struct json_reader *reader, const struct json_token *token,
                                struct arena *arena, struct slice *text);
