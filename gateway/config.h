/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - what one process needs to start, read from a JSON file by one table (config.def).
 */
#pragma once

#include "core/arena.h"
#include "core/egress.h"
#include "core/err.h"
#include "core/log.h"
#include "core/slice.h"

struct strings {
    struct slice *items;
    size_t count;
};

struct ports {
    uint16_t items[EGRESS_PORTS_MAX];
    size_t count;
};

/* The C type behind each type of config.def. */
#define CONFIG_TYPE_STRING     struct slice
#define CONFIG_TYPE_ACCOUNT    struct slice
#define CONFIG_TYPE_STORE      struct slice
#define CONFIG_TYPE_PATH       struct slice
#define CONFIG_TYPE_URL        struct slice
#define CONFIG_TYPE_LEVEL      enum log_level
#define CONFIG_TYPE_NUMBER     uint64_t
#define CONFIG_TYPE_SIZE       uint64_t
#define CONFIG_TYPE_SPAN       uint64_t
#define CONFIG_TYPE_BOOL       bool
#define CONFIG_TYPE_STRINGS    struct strings
#define CONFIG_TYPE_PORTS      struct ports
#define CONFIG_TYPE_DURABILITY struct slice
#define CONFIG_TYPE_RESERVED   struct slice /* the JSON text of its only value */

struct config {
    struct arena arena;  /* holds every slice below */
    struct slice folder; /* of the file: relative paths start here */
#define SETTING(member, path, type, fallback, min, max, unit, sentence) CONFIG_TYPE_##type member;
#include "gateway/config.def"
#undef SETTING
};

/* Read `path`.  Unknown and duplicate keys, wrong types and values out of range are ERR_BAD_CONFIG
 * with the key in `why`; a file that cannot be read is ERR_SYSTEM.  On failure nothing is held. */
MUST_USE enum err config_load(struct config *config, const char *path, struct err_why *why);
/* The same from text; relative paths start at `folder`. */
MUST_USE enum err config_parse(struct config *config, struct slice text, struct slice folder,
                               struct err_why *why);
void config_clean_up(struct config *config);
/* Where the state lies: DIR of `embedded:DIR`, else the configuration's folder. */
struct slice config_state_folder(const struct config *config);
/* Do its settings, each good by itself, go together?  ERR_BAD_CONFIG with the key in `why`. */
MUST_USE enum err config_check(const struct config *config, struct err_why *why);
/* Fill in what calls to targets may dial; it borrows from the configuration. */
void config_fill_egress(const struct config *config, struct egress *egress);
/* Is the store a Redis? */
bool config_has_redis(const struct config *config);
