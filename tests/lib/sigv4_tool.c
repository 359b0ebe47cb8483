/* SPDX-License-Identifier: Apache-2.0
 *
 * sigv4_tool.c - weir's verifier and signer as a line-driven program, for judges in other
 * languages.
 *
 * One JSON object per line of standard input, one per line of output, in order:
 *   {"op": "verify", "method", "path", "query", "http2", "authority", "headers": [[name, value]…],
 *    "body", "now"}                      -> {"err": "OK" | "BAD_SIGNATURE" | …, "head": …}
 *   {"op": "sign", …, "key_id", "secret", "token", "region", "service"}
 *                                        -> {"headers": [[name, value]…]}, those to add
 * The directory knows one account and the key that the arguments give: KEY_ID SECRET REGION.
 * A line that is no such object ends the program with status 2: the judge is broken, not weir.
 */
#include <jansson.h>

#include "accounts/sigv4_sign.h"
#include "accounts/sigv4_verify.h"
#include "core/moment.h"

enum { HEADERS_MAX = 64, SKEW_MS = 5 * 60 * 1000 };

struct tool {
    struct directory *directory;
    struct sigv4_key_cache *keys;
    struct slice region;
};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "sigv4_tool: %s\n", what);
    exit(2);
}

static struct slice member(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);

    if (value == NULL || json_is_null(value)) {
        return SLICE("");
    }
    if (!json_is_string(value)) {
        die(name);
    }
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static size_t read_headers(const json_t *line, struct header *headers)
{
    const json_t *list = json_object_get(line, "headers");
    const size_t count = json_array_size(list);

    if (count > HEADERS_MAX) {
        die("too many headers");
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        const json_t *name = json_array_get(pair, 0);
        const json_t *value = json_array_get(pair, 1);

        headers[i] = (struct header){
            {json_string_value(name), json_string_length(name)},
            {json_string_value(value), json_string_length(value)},
        };
    }
    return count;
}

static struct sigv4_request read_request(const json_t *line, struct header *headers)
{
    struct sigv4_request request = {
        .method = member(line, "method"),
        .path = member(line, "path"),
        .query = member(line, "query"),
        .authority = member(line, "authority"),
        .is_http2 = json_is_true(json_object_get(line, "http2")),
        .headers = headers,
        .header_count = read_headers(line, headers),
    };

    digest_sha256(member(line, "body"), &request.body_digest);
    return request;
}

static uint64_t read_now(const json_t *line)
{
    uint64_t now_ms;

    if (moment_from_amz(member(line, "now"), &now_ms) != ERR_OK) {
        die("now");
    }
    return now_ms;
}

static json_t *verify(const struct tool *tool, const json_t *line)
{
    struct header headers[HEADERS_MAX];
    const struct sigv4_request request = read_request(line, headers);
    const struct sigv4_verify_options options = {
        .directory = tool->directory,
        .keys = tool->keys,
        .region = tool->region,
        .service = SLICE("events"),
        .now_ms = read_now(line),
        .skew_max_ms = SKEW_MS,
    };
    struct principal principal;
    const enum err head = sigv4_check_head(&options, &request);
    const enum err err = sigv4_verify(&options, &request, &principal);

    return json_pack("{ssss}", "err", err_name(err), "head", err_name(head));
}

static json_t *sign(const json_t *line)
{
    struct header headers[HEADERS_MAX];
    const struct sigv4_request request = read_request(line, headers);
    struct credentials *credentials = credentials_new(
        member(line, "key_id"), member(line, "secret"), member(line, "token"), 0, SLICE(""));
    struct arena arena = {0};
    struct sigv4_signed added;
    json_t *list = json_array();

    if (sigv4_sign(&request, credentials, member(line, "region"), member(line, "service"),
                   read_now(line), &arena, &added) != ERR_OK) {
        die("sigv4_sign() refused");
    }
    for (size_t i = 0; i < added.header_count; i++) {
        const struct header *header = &added.headers[i];

        json_array_append_new(list, json_pack("[s%s%]", header->name.data, header->name.len,
                                              header->value.data, header->value.len));
    }
    credentials_release(credentials);
    arena_clean_up(&arena);
    return json_pack("{so}", "headers", list);
}

static void answer(const struct tool *tool, const char *text, size_t len)
{
    json_error_t error;
    json_t *line = json_loadb(text, len, 0, &error);
    json_t *reply;
    char *dump;

    if (line == NULL) {
        die(error.text);
    }
    reply = slice_eq(member(line, "op"), SLICE("sign")) ? sign(line) : verify(tool, line);
    dump = json_dumps(reply, JSON_COMPACT);
    if (dump == NULL || puts(dump) < 0 || fflush(stdout) != 0) {
        die("cannot answer");
    }
    free(dump);
    json_decref(reply);
    json_decref(line);
}

int main(int argc, char **argv)
{
    static struct limiter limiter;
    struct account account = {.id = SLICE("111122223333"), .limiter = &limiter};
    struct tool tool;
    char *text = NULL;
    size_t cap = 0;
    ssize_t len;

    if (argc != 4) {
        die("usage: sigv4_tool KEY_ID SECRET REGION");
    }
    struct credential credential = {.id = slice_of(argv[1]),
                                    .kind = CREDENTIAL_SIGV4,
                                    .account_id = account.id,
                                    .secret = slice_of(argv[2])};

    digest_init();
    tool = (struct tool){directory_new(), sigv4_key_cache_new(), slice_of(argv[3])};
    directory_add_account(tool.directory, &account);
    directory_add_credential(tool.directory, &credential);
    while ((len = getline(&text, &cap, stdin)) > 0) {
        answer(&tool, text, (size_t)len);
    }
    free(text);
    sigv4_key_cache_destroy(tool.keys);
    directory_release(tool.directory);
    return 0;
}
