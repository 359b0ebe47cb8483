/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.c - how a command finds the gateway and speaks to it.
 *
 * Where: --admin, else WEIR_ADMIN, else the configuration (--config, WEIR_CONFIG,
 * /etc/weir/weir.json), else http://127.0.0.1:9443.  The token: WEIR_TOKEN, else the file that
 * WEIR_TOKEN_FILE names, else admin.token where the configuration keeps its state.
 */
#include "gateway/cli.h"

#include <curl/curl.h>
#include <jansson.h>
#include <unistd.h>

#include "core/check.h"
#include "core/file.h"
#include "gateway/config.h"

#define DEFAULT_CONFIG "/etc/weir/weir.json"
#define DEFAULT_ADMIN  "http://127.0.0.1:9443"

enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024, CALL_TIMEOUT_S = 60 };

/* Where the gateway is and how to prove oneself. */
struct place {
    unsigned timeout_s;
    char url[4096];       /* "http://127.0.0.1:9443" */
    char unix_path[4096]; /* or empty */
    struct buf token;     /* or empty */
};

/* ---- options ------------------------------------------------------------------------------ */

static const struct cli_option *find_option(const struct cli_option *options, const char *name)
{
    for (; options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0) {
            return options;
        }
    }
    return NULL;
}

static bool misuse(const char *usage, const char *what, const char *which, int *code)
{
    (void)fprintf(stderr, "weir: %s: %s\n%s", which, what, usage);
    *code = CLI_USAGE;
    return false;
}

bool cli_parse(int argc, char **argv, const struct cli_option *options, struct cli_common *common,
               const char **operands, size_t operand_max, size_t *operand_count, const char *usage,
               int *code)
{
    const struct cli_option shared[] = {
        {"--admin", &common->admin, NULL}, {"--config", &common->config, NULL}, {NULL, NULL, NULL}};

    *operand_count = 0;
    for (int i = 0; i < argc; i++) {
        const struct cli_option *option = find_option(options, argv[i]);

        option = option != NULL ? option : find_option(shared, argv[i]);
        if (strcmp(argv[i], "--help") == 0) {
            (void)printf("%s", usage);
            *code = CLI_DONE;
            return false;
        }
        if (option != NULL && option->flag != NULL) {
            *option->flag = true;
        } else if (option != NULL && i + 1 == argc) {
            return misuse(usage, "needs a value", argv[i], code);
        } else if (option != NULL) {
            *option->value = argv[++i];
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            return misuse(usage, "unknown option", argv[i], code);
        } else if (*operand_count == operand_max) {
            return misuse(usage, "one argument too many", argv[i], code);
        } else {
            operands[(*operand_count)++] = argv[i];
        }
    }
    return true;
}

/* ---- finding the gateway ------------------------------------------------------------------ */

static void set_address(struct place *place, struct slice address)
{
    const struct slice unix_prefix = SLICE("unix:");

    if (slice_has_prefix(address, unix_prefix)) {
        const struct slice path = slice_from(address, unix_prefix.len);

        (void)snprintf(place->unix_path, sizeof(place->unix_path), "%.*s", SLICE_ARG(path));
        (void)snprintf(place->url, sizeof(place->url), "http://localhost");
    } else if (slice_has_prefix(address, SLICE("http"))) {
        (void)snprintf(place->url, sizeof(place->url), "%.*s", SLICE_ARG(address));
    } else {
        (void)snprintf(place->url, sizeof(place->url), "http://%.*s", SLICE_ARG(address));
    }
}

static void trim_token(struct buf *token)
{
    while (token->len > 0 && token->data[token->len - 1] == '\n') {
        token->len--;
    }
}

/* A command has one thread. */
static const char *environment(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static const char *config_path(const struct cli_common *common, bool *is_named)
{
    const char *path = common->config != NULL ? common->config : environment("WEIR_CONFIG");

    *is_named = path != NULL;
    return path != NULL ? path : DEFAULT_CONFIG;
}

bool cli_config(const struct cli_common *common, struct config *config)
{
    bool is_named;
    const char *path = config_path(common, &is_named);
    struct err_why why = {.text = ""};

    if (!is_named && access(path, R_OK) != 0) {
        return false;
    }
    if (config_load(config, path, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    return true;
}

/* From the configuration: where it listens, and the token beside its state. */
static bool consult_config(const struct cli_common *common, struct place *place, bool wants_address,
                           bool wants_token)
{
    bool is_named;
    const char *path = config_path(common, &is_named);
    struct config config;
    struct err_why why = {.text = ""};
    char token_path[4096];

    if (!is_named && access(path, R_OK) != 0) {
        return true;
    }
    if (config_load(&config, path, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    if (wants_address) {
        set_address(place, config.admin_address);
    }
    (void)snprintf(token_path, sizeof(token_path), "%.*s/admin.token",
                   SLICE_ARG(config_state_folder(&config)));
    if (wants_token && access(token_path, F_OK) == 0 &&
        file_read_secret(token_path, &place->token, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        config_clean_up(&config);
        return false;
    }
    config_clean_up(&config);
    return true;
}

static bool find_place(const struct cli_common *common, struct place *place)
{
    const char *admin = common->admin != NULL ? common->admin : environment("WEIR_ADMIN");
    const char *token = environment("WEIR_TOKEN");
    const char *token_file = environment("WEIR_TOKEN_FILE");
    struct err_why why = {.text = ""};

    set_address(place, slice_of(admin != NULL ? admin : DEFAULT_ADMIN));
    if (token != NULL) {
        CHECK(buf_append(&place->token, slice_first(slice_of(token), 128)) == ERR_OK);
    } else if (token_file != NULL && file_read_secret(token_file, &place->token, &why) != ERR_OK) {
        (void)fprintf(stderr, "weir: %s\n", why.text);
        return false;
    }
    if (!consult_config(common, place, admin == NULL, token == NULL && token_file == NULL)) {
        return false;
    }
    trim_token(&place->token);
    return true;
}

/* ---- one call ----------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is libcurl's */
static size_t on_answer(char *data, size_t size, size_t count, void *context)
{
    return buf_append(context, (struct slice){data, size * count}) == ERR_OK ? size * count : 0;
}

static struct curl_slist *make_headers(const struct place *place)
{
    struct curl_slist *headers = curl_slist_append(NULL, "content-type: application/json");
    struct buf line;

    buf_init(&line, 512);
    if (place->token.len > 0) {
        CHECK(buf_printf(&line, "authorization: Bearer %.*s%c", SLICE_ARG(buf_slice(&place->token)),
                         '\0') == ERR_OK);
        headers = curl_slist_append(headers, line.data);
    }
    buf_wipe(&line);
    return curl_slist_append(headers, "expect:");
}

static bool perform(const struct place *place, const char *method, const char *path,
                    struct slice body, unsigned *status, struct buf *answer)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(place);
    char url[16384];
    char reason[CURL_ERROR_SIZE] = "";
    long code = 0;
    CURLcode result;

    CHECK(curl != NULL);
    (void)snprintf(url, sizeof(url), "%s%s", place->url, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)place->timeout_s);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (place->unix_path[0] != '\0') {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, place->unix_path);
    }
    if (body.len > 0 || strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.len > 0 ? body.data : "");
    }
    result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    if (result != CURLE_OK) {
        (void)fprintf(stderr, "weir: no answer from %s: %s\n",
                      place->unix_path[0] != '\0' ? place->unix_path : place->url,
                      reason[0] != '\0' ? reason : curl_easy_strerror(result));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    *status = (unsigned)code;
    return result == CURLE_OK;
}

bool cli_call(const struct cli_common *common, const char *method, const char *path,
              struct slice body, unsigned *status, struct buf *answer)
{
    struct place *place = xcalloc(1, sizeof(*place));
    bool is_answered;

    place->timeout_s = common->timeout_s != 0 ? common->timeout_s : CALL_TIMEOUT_S;
    buf_init(&place->token, 256);
    is_answered = find_place(common, place) && perform(place, method, path, body, status, answer);
    buf_wipe(&place->token);
    xfree(place);
    return is_answered;
}

void cli_print_error(unsigned status, struct slice answer)
{
    json_t *tree = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
    const json_t *mistakes = json_object_get(tree, "mistakes");
    const char *message =
        json_string_value(json_object_get(json_object_get(tree, "error"), "message"));

    for (size_t i = 0; i < json_array_size(mistakes); i++) {
        const json_t *mistake = json_array_get(mistakes, i);
        const char *path = json_string_value(json_object_get(mistake, "path"));
        const char *text = json_string_value(json_object_get(mistake, "message"));

        (void)fprintf(stderr, "weir: %s: %s\n", path != NULL && path[0] != '\0' ? path : "the file",
                      text != NULL ? text : "");
    }
    if (json_array_size(mistakes) == 0) {
        (void)fprintf(stderr, "weir: %s (%u)\n", message != NULL ? message : "refused", status);
    }
    json_decref(tree);
}

int cli_ask(const struct cli_common *common, const char *method, const char *path,
            struct slice body, struct buf *answer)
{
    unsigned status = 0;

    buf_init(answer, ANSWER_BYTES_MAX);
    if (!cli_call(common, method, path, body, &status, answer)) {
        return CLI_FAILED;
    }
    if (status != 200) {
        cli_print_error(status, buf_slice(answer));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

enum err cli_encode(struct slice text, struct buf *out)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '\0' && strchr(plain, text.data[i]) != NULL) {
            TRY(buf_append_byte(out, text.data[i]));
        } else {
            TRY(buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.data[i]));
        }
    }
    return ERR_OK;
}

void cli_print_json(struct slice json)
{
    json_t *tree = json_loadb(json.data, json.len, 0, NULL);
    char *text = tree != NULL ? json_dumps(tree, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) : NULL;

    if (text != NULL) {
        (void)printf("%s\n", text);
    } else {
        (void)printf("%.*s\n", SLICE_ARG(json));
    }
    xfree(text);
    json_decref(tree);
}
