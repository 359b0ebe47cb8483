/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: sts_read_assume_role, sts_read_error, aws_xml_read
 *
 * Any bytes give a complete session or an error, within the bounds; a document with a DOCTYPE never
 * gives a session.
 */
#include "accounts/sts.h"

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice xml = {(const char *)data, size};
    struct sts_session session;
    struct sts_error error;
    const enum err err = sts_read_assume_role(xml, &session);

    CHECK(err == ERR_OK || err == ERR_BAD_VALUE || err == ERR_TOO_LARGE);
    if (err == ERR_OK) {
        CHECK(session.access_key_id.len > 0);
        CHECK(session.secret_access_key.len > 0);
        CHECK(session.session_token.len > 0);
        CHECK(session.expires_ms > 0);
        CHECK(!slice_has_prefix(xml, SLICE("<!DOCTYPE")));
    }
    sts_session_clean_up(&session);
    sts_read_error(xml, &error);
    CHECK(memchr(error.code, '\0', sizeof(error.code)) != NULL);
    CHECK(memchr(error.message, '\0', sizeof(error.message)) != NULL);
    return 0;
}
