/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - the configuration file, read through the table of config.def.
 *
 * The file's tree is walked once: every leaf must be a row of the table, every row that the file
 * does not mention takes its default, and a default is parsed by the same code as a value from the
 * file, so the table cannot hold a default that the file could not.
 *
 * Memory: everything lives in the config's arena.  Start-up only, one thread.
 */
#include "gateway/config.h"

#include <jansson.h>

#include "core/check.h"
#include "core/file.h"
#include "core/moment.h"
#include "storage/redis_url.h"

enum { CONFIG_FILE_BYTES_MAX = 1024 * 1024, CONFIG_PATH_CHARS_MAX = 128 };

enum setting_type {
    TYPE_STRING,
    TYPE_ACCOUNT,
    TYPE_STORE,
    TYPE_PATH,
    TYPE_URL,
    TYPE_LEVEL,
    TYPE_NUMBER,
    TYPE_SIZE,
    TYPE_SPAN,
    TYPE_BOOL,
    TYPE_STRINGS,
    TYPE_PORTS,
    TYPE_DURABILITY,
    TYPE_RESERVED,
};

struct setting {
    const char *path;
    const char *fallback;
    uint64_t min;
    uint64_t max;
    size_t offset;
    enum setting_type type;
};

static const struct setting settings[] = {
#define SETTING(member, path, type, fallback, min, max, unit, sentence)                            \
    {path, fallback, min, max, offsetof(struct config, member), TYPE_##type},
#include "gateway/config.def"
#undef SETTING
};

static void *place_of(struct config *config, const struct setting *setting)
{
    return (char *)config + setting->offset;
}

static enum err bad_value(const struct setting *setting, struct err_why *why, const char *wanted)
{
    return err_because(ERR_BAD_CONFIG, why, "%s: must be %s", setting->path, wanted);
}

/* ---- one value from text ------------------------------------------------------------------ */

static enum err check_range(const struct setting *setting, uint64_t value, struct err_why *why)
{
    if (value < setting->min || value > setting->max) {
        return err_because(ERR_BAD_CONFIG, why, "%s: %" PRIu64 " is not in %" PRIu64 "..%" PRIu64,
                           setting->path, value, setting->min, setting->max);
    }
    return ERR_OK;
}

static bool size_from_text(struct slice text, uint64_t *bytes)
{
    static const struct {
        struct slice suffix;
        unsigned shift;
    } units[] = {
        {SLICE_INIT("KiB"), 10}, {SLICE_INIT("MiB"), 20}, {SLICE_INIT("GiB"), 30},
        {SLICE_INIT("TiB"), 40}, {SLICE_INIT(""), 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (slice_has_suffix(text, units[i].suffix)) {
            return slice_to_u64(slice_first(text, text.len - units[i].suffix.len), bytes) &&
                   !__builtin_mul_overflow(*bytes, UINT64_C(1) << units[i].shift, bytes);
        }
    }
    return false;
}

static enum err level_from_text(const struct setting *setting, struct slice text,
                                enum log_level *level, struct err_why *why)
{
    static const struct slice names[] = {
        [LOG_DEBUG] = SLICE_INIT("debug"),
        [LOG_INFO] = SLICE_INIT("info"),
        [LOG_WARN] = SLICE_INIT("warn"),
        [LOG_ERROR] = SLICE_INIT("error"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(text, names[i])) {
            *level = (enum log_level)i;
            return ERR_OK;
        }
    }
    return bad_value(setting, why, "debug, info, warn or error");
}

static bool is_account(struct slice text)
{
    uint64_t number;

    return text.len == 12 && slice_to_u64(text, &number);
}

static struct slice absolute(struct config *config, struct slice path)
{
    if (path.len == 0 || path.data[0] == '/') {
        return arena_copy(&config->arena, path);
    }
    return arena_printf(&config->arena, "%.*s/%.*s", SLICE_ARG(config->folder), SLICE_ARG(path));
}

static bool is_redis(struct slice store)
{
    return slice_has_prefix(store, SLICE("redis://")) ||
           slice_has_prefix(store, SLICE("rediss://"));
}

static enum err durability_from_text(struct config *config, const struct setting *setting,
                                     struct slice text, struct err_why *why)
{
    static const struct slice names[] = {SLICE_INIT("aof"), SLICE_INIT("managed-log"),
                                         SLICE_INIT("relaxed")};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq(text, names[i])) {
            *(struct slice *)place_of(config, setting) = names[i];
            return ERR_OK;
        }
    }
    return bad_value(setting, why, "aof, managed-log or relaxed");
}

static enum err store_from_text(struct config *config, const struct setting *setting,
                                struct slice text, struct err_why *why)
{
    struct slice *place = place_of(config, setting);
    const struct slice embedded = SLICE("embedded:");

    if (slice_eq(text, SLICE("memory:"))) {
        *place = text;
        return ERR_OK;
    }
    if (is_redis(text)) {
        struct redis_url url;
        struct err_why detail = {.text = ""};

        *place = arena_copy(&config->arena, text);
        return redis_url_parse(text, &url, &detail) == ERR_OK
                   ? ERR_OK
                   : bad_value(setting, why, detail.text);
    }
    if (!slice_has_prefix(text, embedded) || text.len == embedded.len) {
        return bad_value(setting, why, "embedded:DIR, redis://HOST:PORT/DB, rediss://… or memory:");
    }
    *place = arena_printf(&config->arena, "embedded:%s",
                          absolute(config, slice_from(text, embedded.len)).data);
    return ERR_OK;
}

static enum err text_value(struct config *config, const struct setting *setting, struct slice text,
                           struct err_why *why)
{
    struct slice *place = place_of(config, setting);

    if (text.len < setting->min || (setting->max > 0 && text.len > setting->max)) {
        return err_because(ERR_BAD_CONFIG, why, "%s: has %zu characters, not %" PRIu64 "..%" PRIu64,
                           setting->path, text.len, setting->min, setting->max);
    }
    if (setting->type == TYPE_ACCOUNT && !is_account(text)) {
        return bad_value(setting, why, "a 12-digit account id");
    }
    if (setting->type == TYPE_URL && text.len > 0 && !slice_has_prefix(text, SLICE("http://")) &&
        !slice_has_prefix(text, SLICE("https://"))) {
        return bad_value(setting, why, "an http:// or https:// URL");
    }
    *place = setting->type == TYPE_PATH ? absolute(config, text) : arena_copy(&config->arena, text);
    return ERR_OK;
}

/* Set from text: a JSON string of the file, or a default of the table. */
static enum err set_text(struct config *config, const struct setting *setting, struct slice text,
                         struct err_why *why)
{
    void *place = place_of(config, setting);
    uint64_t number = 0;

    switch (setting->type) {
    case TYPE_STORE:
        return store_from_text(config, setting, text, why);
    case TYPE_STRING:
    case TYPE_ACCOUNT:
    case TYPE_PATH:
    case TYPE_URL:
        return text_value(config, setting, text, why);
    case TYPE_LEVEL:
        return level_from_text(setting, text, place, why);
    case TYPE_DURABILITY:
        return durability_from_text(config, setting, text, why);
    case TYPE_SIZE:
        if (!size_from_text(text, &number)) {
            return bad_value(setting, why,
                             "a number of bytes such as 1048576, \"64KiB\" or \"4GiB\"");
        }
        *(uint64_t *)place = number;
        return check_range(setting, number, why);
    case TYPE_SPAN:
        if (moment_parse_span(text, &number) != ERR_OK) {
            return bad_value(setting, why,
                             "a span of time such as \"250ms\", \"90s\", \"5m\" or \"24h\"");
        }
        *(uint64_t *)place = number;
        return check_range(setting, number, why);
    case TYPE_NUMBER:
        return bad_value(setting, why, "a number");
    case TYPE_BOOL:
        return bad_value(setting, why, "true or false");
    case TYPE_RESERVED:
        *(struct slice *)place = text;
        return ERR_OK;
    case TYPE_PORTS:
        return bad_value(setting, why, "a list of ports");
    case TYPE_STRINGS:
    default:
        return bad_value(setting, why, "a list of strings");
    }
}

/* ---- one value from the file -------------------------------------------------------------- */

static enum err set_strings(struct config *config, const struct setting *setting,
                            const json_t *value, struct err_why *why)
{
    struct strings *strings = place_of(config, setting);
    const size_t count = json_array_size(value);

    if (!json_is_array(value) || count > setting->max) {
        return bad_value(setting, why, "a list of strings, within its maximum");
    }
    strings->items = ARENA_ARRAY(&config->arena, struct slice, count);
    strings->count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);

        if (!json_is_string(item)) {
            return bad_value(setting, why, "a list of strings");
        }
        strings->items[i] = arena_copy(&config->arena, slice_of(json_string_value(item)));
    }
    return ERR_OK;
}

static enum err set_ports(struct config *config, const struct setting *setting, const json_t *value,
                          struct err_why *why)
{
    struct ports *ports = place_of(config, setting);

    if (!json_is_array(value) || json_array_size(value) < setting->min ||
        json_array_size(value) > setting->max) {
        return bad_value(setting, why, "a list of 1 to 16 ports");
    }
    ports->count = json_array_size(value);
    for (size_t i = 0; i < ports->count; i++) {
        const json_int_t port = json_integer_value(json_array_get(value, i));

        if (port < 1 || port > UINT16_MAX) {
            return bad_value(setting, why, "a list of ports, each a number from 1 to 65535");
        }
        ports->items[i] = (uint16_t)port;
    }
    return ERR_OK;
}

static enum err set_default_ports(struct config *config, const struct setting *setting)
{
    json_t *fallback = json_loads(setting->fallback, 0, NULL);
    struct err_why why;
    const enum err err = set_ports(config, setting, fallback, &why);

    json_decref(fallback);
    return err;
}

static enum err set_default(struct config *config, const struct setting *setting)
{
    const struct slice text = slice_of(setting->fallback);
    struct err_why why;

    switch (setting->type) {
    case TYPE_NUMBER:
        return slice_to_u64(text, place_of(config, setting)) ? ERR_OK : ERR_INTERNAL;
    case TYPE_BOOL:
        *(bool *)place_of(config, setting) = slice_eq(text, SLICE("true"));
        return ERR_OK;
    case TYPE_STRINGS:
        *(struct strings *)place_of(config, setting) = (struct strings){0};
        return ERR_OK;
    case TYPE_PORTS:
        return set_default_ports(config, setting);
    case TYPE_ACCOUNT: /* required: it has no default, and is asked for at the end */
        *(struct slice *)place_of(config, setting) = (struct slice){0};
        return ERR_OK;
    case TYPE_STRING:
    case TYPE_STORE:
    case TYPE_PATH:
    case TYPE_URL:
    case TYPE_LEVEL:
    case TYPE_SIZE:
    case TYPE_SPAN:
    case TYPE_DURABILITY:
    case TYPE_RESERVED:
    default:
        return set_text(config, setting, text, &why);
    }
}

/* A name kept for a later version: its default, or a part of it, and a clear word otherwise. */
static enum err check_reserved(const struct setting *setting, const json_t *value,
                               struct err_why *why)
{
    json_t *fallback = json_loads(setting->fallback, JSON_DECODE_ANY, NULL);
    bool is_fine = json_equal(value, fallback);
    const char *key;
    json_t *member;

    if (json_is_object(value) && json_is_object(fallback)) {
        json_t *rest = json_deep_copy(value);

        json_object_foreach(fallback, key, member)
        {
            if (json_equal(json_object_get(rest, key), member)) {
                json_object_del(rest, key);
            }
        }
        is_fine = json_object_size(rest) == 0;
        json_decref(rest);
    }
    json_decref(fallback);
    return is_fine ? ERR_OK
                   : err_because(ERR_BAD_CONFIG, why, "%s: this version takes %s only",
                                 setting->path, setting->fallback);
}

static enum err set_value(struct config *config, const struct setting *setting, const json_t *value,
                          struct err_why *why)
{
    if (json_is_null(value)) {
        return set_default(config, setting);
    }
    if (setting->type == TYPE_RESERVED) {
        return check_reserved(setting, value, why);
    }
    if (setting->type == TYPE_PORTS) {
        return set_ports(config, setting, value, why);
    }
    if (setting->type == TYPE_STRINGS) {
        return set_strings(config, setting, value, why);
    }
    if (setting->type == TYPE_BOOL && json_is_boolean(value)) {
        *(bool *)place_of(config, setting) = json_is_true(value);
        return ERR_OK;
    }
    if ((setting->type == TYPE_NUMBER || setting->type == TYPE_SIZE) && json_is_integer(value) &&
        json_integer_value(value) >= 0) {
        *(uint64_t *)place_of(config, setting) = (uint64_t)json_integer_value(value);
        return check_range(setting, (uint64_t)json_integer_value(value), why);
    }
    if (json_is_string(value)) {
        const struct slice text = {json_string_value(value), json_string_length(value)};

        return set_text(config, setting, text, why);
    }
    return set_text(config, setting, SLICE("?"), why) == ERR_OK
               ? bad_value(setting, why, "a string")
               : ERR_BAD_CONFIG;
}

static const struct setting *setting_at(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strcmp(settings[i].path, path) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

static bool is_section(const char *path)
{
    const size_t len = strlen(path);

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (strncmp(settings[i].path, path, len) == 0 && settings[i].path[len] == '.') {
            return true;
        }
    }
    return false;
}

static enum err walk(struct config *config, json_t *object, const char *prefix, struct err_why *why)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        char path[CONFIG_PATH_CHARS_MAX];
        const struct setting *setting;

        (void)snprintf(path, sizeof(path), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        setting = setting_at(path);
        if (setting != NULL) {
            TRY(set_value(config, setting, value, why));
        } else if (!is_section(path)) {
            return err_because(ERR_BAD_CONFIG, why, "%s: unknown key", path);
        } else if (json_is_object(value)) {
            TRY(walk(config, value, path, why));
        } else if (!json_is_null(value)) {
            return err_because(ERR_BAD_CONFIG, why, "%s: must be an object", path);
        }
    }
    return ERR_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

enum err config_parse(struct config *config, struct slice text, struct slice folder,
                      struct err_why *why)
{
    json_error_t fault;
    json_t *root;
    enum err err = ERR_OK;

    *config = (struct config){0};
    config->folder = arena_copy(&config->arena, folder);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        CHECK(set_default(config, &settings[i]) == ERR_OK);
    }
    root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &fault);
    if (root == NULL) {
        err = err_because(ERR_BAD_CONFIG, why, "line %d, column %d: %s", fault.line, fault.column,
                          fault.text);
        goto fail;
    }
    if (!json_is_object(root)) {
        err = err_because(ERR_BAD_CONFIG, why, "the configuration must be a JSON object");
        goto fail;
    }
    err = walk(config, root, "", why);
    if (err == ERR_OK) {
        err = config_check(config, why);
    }
fail:
    json_decref(root);
    if (err != ERR_OK) {
        config_clean_up(config);
    }
    return err;
}

enum err config_load(struct config *config, const char *path, struct err_why *why)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    struct buf text;
    struct err_why detail = {.text = ""};
    enum err err;

    *config = (struct config){0};
    (void)snprintf(folder, sizeof(folder), "%.*s", slash != NULL ? (int)(slash - path) : 1,
                   slash != NULL ? path : ".");
    buf_init(&text, CONFIG_FILE_BYTES_MAX);
    err = file_read(path, &text, why);
    if (err == ERR_OK) {
        err = config_parse(config, buf_slice(&text), slice_of(folder), &detail);
        if (err != ERR_OK) {
            err = err_because(err, why, "%s: %s", path, detail.text);
        }
    }
    buf_clean_up(&text);
    return err;
}

void config_clean_up(struct config *config)
{
    arena_clean_up(&config->arena);
    *config = (struct config){0};
}

struct slice config_state_folder(const struct config *config)
{
    const struct slice embedded = SLICE("embedded:");

    return slice_has_prefix(config->store, embedded) ? slice_from(config->store, embedded.len)
                                                     : config->folder;
}

bool config_has_redis(const struct config *config)
{
    return is_redis(config->store);
}

void config_fill_egress(const struct config *config, struct egress *egress)
{
    *egress = (struct egress){.allow_count = config->egress_allow.count,
                              .port_count = config->egress_ports.count};
    _Static_assert(sizeof(egress->ports) == sizeof(config->egress_ports.items), "the same ports");
    memcpy(egress->ports, config->egress_ports.items, sizeof(egress->ports));
    for (size_t i = 0; i < egress->allow_count; i++) {
        CHECK(egress_range_parse(config->egress_allow.items[i], &egress->allow[i]) == ERR_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct slice *url = (const void *)((const char *)config + settings[i].offset);

        if (settings[i].type == TYPE_URL && url->len > 0 &&
            slice_has_prefix(slice_of(settings[i].path), SLICE("aws."))) {
            CHECK(egress->endpoint_count < EGRESS_ENDPOINTS_MAX);
            egress->endpoints[egress->endpoint_count++] = *url;
        }
    }
}
