/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: sigv4_check_head, sigv4_verify
 *
 * Whatever stands in the Authorization header and in x-amz-date, the answer is one of the four, the
 * head is never refused where the whole is accepted, and nobody is let in without the secret.
 */
#include "accounts/sigv4_verify.h"

#include "core/check.h"

#define KEY_ID "AKIDWEIREXAMPLE"

static struct directory *make_directory(void)
{
    static struct limiter limiter;
    static struct account account = {.id = SLICE_INIT("111122223333"), .limiter = &limiter};
    static struct credential credential = {.id = SLICE_INIT(KEY_ID),
                                           .kind = CREDENTIAL_SIGV4,
                                           .account_id = SLICE_INIT("111122223333"),
                                           .secret = SLICE_INIT("no input was signed with it")};
    struct directory *directory = directory_new();

    digest_init();
    directory_add_account(directory, &account);
    directory_add_credential(directory, &credential);
    return directory;
}

static bool is_answer(enum err err)
{
    return err == ERR_OK || err == ERR_MISSING_TOKEN || err == ERR_INCOMPLETE_SIGNATURE ||
           err == ERR_BAD_SIGNATURE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct directory *directory;
    static struct sigv4_key_cache *keys;
    struct slice rest = {(const char *)data, size};
    const struct slice date = slice_cut(&rest, '\n');
    const struct header headers[] = {
        {SLICE("host"), SLICE("weir.example.net")},
        {SLICE("x-amz-date"), date},
        {SLICE("x-amz-target"), SLICE("AWSEvents.PutEvents")},
        {SLICE("authorization"), rest},
    };
    const struct sigv4_request request = {.method = SLICE("POST"),
                                          .path = SLICE("/"),
                                          .headers = headers,
                                          .header_count = ARRAY_LEN(headers)};
    struct err_why why = {{0}};
    struct principal principal;
    enum err head;
    enum err whole;

    if (directory == NULL) {
        directory = make_directory();
        keys = sigv4_key_cache_new();
    }
    const struct sigv4_verify_options options = {.directory = directory,
                                                 .keys = keys,
                                                 .region = SLICE("eu-west-1"),
                                                 .service = SLICE("events"),
                                                 .now_ms = 1767225600000, /* 2026-01-01 */
                                                 .skew_max_ms = 300000,
                                                 .why = &why};

    head = sigv4_check_head(&options, &request);
    whole = sigv4_verify(&options, &request, &principal);
    CHECK(is_answer(head));
    CHECK(is_answer(whole));
    CHECK(whole != ERR_OK);
    CHECK(head == ERR_OK || head == whole);
    CHECK((why.text[0] != '\0') == (whole == ERR_INCOMPLETE_SIGNATURE));
    return 0;
}
