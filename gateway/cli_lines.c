/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_lines.c - lines in, lines out.
 *
 * A line that cannot be answered gets {"error": …} in its place, so that answers stay in step with
 * questions.
 */
#include "gateway/cli_lines.h"

#include "core/check.h"
#include "core/json_write.h"
#include "gateway/cli.h"

enum cli_line cli_read_line(FILE *file, struct buf *line)
{
    bool is_too_long = false;
    bool is_empty = true;
    int c;

    buf_clear(line);
    while ((c = getc(file)) != EOF && c != '\n') {
        is_empty = false;
        is_too_long = is_too_long || buf_append_byte(line, (char)c) != ERR_OK;
    }
    if (c == EOF && is_empty) {
        return CLI_LINE_END;
    }
    return is_too_long ? CLI_LINE_TOO_LONG : CLI_LINE_READ;
}

void cli_print_line(struct buf *line)
{
    (void)fwrite(line->data, 1, line->len, stdout);
    (void)putchar('\n');
    buf_clear(line);
}

void cli_put_error(const char *text, struct buf *out)
{
    struct json_writer writer;

    json_write_begin(&writer, out);
    json_write_object_begin(&writer);
    json_write_key_string(&writer, SLICE("error"), slice_of(text));
    json_write_object_end(&writer);
    CHECK(json_write_end(&writer) == ERR_OK);
}

int cli_finish(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "weir: cannot write to standard output\n");
        return CLI_FAILED;
    }
    return code;
}

enum err cli_read_text(struct json_reader *reader, const struct json_token *token,
                       struct arena *arena, struct slice *text)
{
    if (token->type == JSON_TYPE_STRING) {
        *text = json_token_text(token, arena);
        return ERR_OK;
    }
    return json_read_value(reader, token, text);
}
