/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_url.h - redis://HOST[:PORT][/DB] and rediss://, without user and password: secrets live in
 * files.
 */
#pragma once

#include "core/err.h"
#include "core/slice.h"

struct redis_url {
    struct slice host; /* borrowed; an IPv6 address without its brackets */
    uint16_t port;     /* 6379 unless named */
    unsigned db;       /* 0 unless named */
    bool is_tls;
};

/* ERR_BAD_CONFIG with a reason. */
MUST_USE enum err redis_url_parse(struct slice text, struct redis_url *url, struct err_why *why);
