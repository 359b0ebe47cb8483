/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check.c - what only the whole configuration can tell: settings that need or exclude each
 * other, lists whose items have a form, limits that must fit together.
 *
 * Start-up only, one thread.
 */
#include "gateway/config.h"

#include "gateway/trace.h"
#include "storage/store.h"

/* A setting that its store would silently ignore is a mistake, above all one that is to protect. */
static enum err check_redis(const struct config *config, struct err_why *why)
{
    const bool is_tls = slice_has_prefix(config->store, SLICE("rediss://"));

    if (!config_has_redis(config)) {
        return ERR_OK;
    }
    if (!is_tls && (config->redis_ca.len > 0 || config->redis_certificate.len > 0 ||
                    config->redis_key.len > 0)) {
        return err_because(ERR_BAD_CONFIG, why,
                           "redis.ca, redis.certificate and redis.key are for rediss:// stores; "
                           "%.*s is not encrypted",
                           SLICE_ARG(config->store));
    }
    if ((config->redis_certificate.len > 0) != (config->redis_key.len > 0)) {
        return err_because(ERR_BAD_CONFIG, why,
                           "redis.certificate: is required together with redis.key");
    }
    if (config->redis_user.len > 0 && config->redis_password_file.len == 0) {
        return err_because(ERR_BAD_CONFIG, why, "redis.user: needs redis.password_file beside it");
    }
    return ERR_OK;
}

static enum err check_egress(const struct config *config, struct err_why *why)
{
    struct egress_range range;

    for (size_t i = 0; i < config->egress_allow.count; i++) {
        if (egress_range_parse(config->egress_allow.items[i], &range) != ERR_OK) {
            return err_because(ERR_BAD_CONFIG, why,
                               "egress.allow[%zu]: must be a range of addresses such as "
                               "10.1.0.0/16 or fd12:3456::/32, with no bits behind its prefix",
                               i);
        }
    }
    return ERR_OK;
}

static bool consists_of(struct slice text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static enum err check_identity(const struct config *config, struct err_why *why)
{
    if (!consists_of(config->identity_server_id,
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_")) {
        return err_because(ERR_BAD_CONFIG, why,
                           "aws_identity.server_id: must consist of A-Z a-z 0-9 . : - _");
    }
    for (size_t i = 0; i < config->identity_regions.count; i++) {
        const struct slice region = config->identity_regions.items[i];

        if (region.len == 0 || region.len > 32 ||
            !consists_of(region, "abcdefghijklmnopqrstuvwxyz0123456789-")) {
            return err_because(ERR_BAD_CONFIG, why, "aws_identity.regions[%zu]: must be a Region",
                               i);
        }
    }
    return ERR_OK;
}

enum err config_check(const struct config *config, struct err_why *why)
{
    const bool is_embedded = slice_has_prefix(config->store, SLICE("embedded:"));
    const uint64_t sum = config->inflight_bytes_max + config->delivery_bytes_max +
                         config->trace_event_count * TRACE_EVENT_BYTES +
                         (is_embedded ? STORE_EMBEDDED_CACHE_BYTES : 0);

    if (config->central_account.len == 0) {
        return err_because(ERR_BAD_CONFIG, why, "central_account: is required");
    }
    if (!config->data_cleartext &&
        (config->data_certificate.len == 0 || config->data_key.len == 0)) {
        return err_because(ERR_BAD_CONFIG, why,
                           "listen.data.certificate: is required with its key, unless "
                           "listen.data.cleartext is true");
    }
    if (config->entries_total_max > config->body_max) {
        return err_because(ERR_BAD_CONFIG, why, "limits.entries_total: is more than limits.body");
    }
    if (sum > config->memory_limit) {
        return err_because(ERR_BAD_CONFIG, why,
                           "memory_limit: limits.inflight, limits.delivery_window, "
                           "limits.trace_events and the store's cache add up to %" PRIu64
                           " bytes, which is more",
                           sum);
    }
    TRY(check_egress(config, why));
    TRY(check_identity(config, why));
    return check_redis(config, why);
}
