/* SPDX-License-Identifier: Apache-2.0
 *
 * principal.h - who is speaking, as proven by a credential.
 */
#pragma once

#include "accounts/directory.h"

enum { PRINCIPAL_SIGNATURE_CHARS = 64, PRINCIPAL_INVOCATION_CHARS_MAX = 64 };

struct principal {
    const struct account *account; /* the account of record */
    const struct credential *credential;
    bool relays; /* may send sources beginning aws. */
    /* SigV4 only, else empty: for deduplication and against replay */
    char signature[PRINCIPAL_SIGNATURE_CHARS];
    bool has_signature;
    bool invocation_is_signed;
    struct slice invocation_id; /* amz-sdk-invocation-id as received; borrows from the request */
};
