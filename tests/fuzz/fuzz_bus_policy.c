/* SPDX-License-Identifier: Apache-2.0
 *
 * Target functions: bus_policy_compile, bus_policy_judge
 *
 * The first line is a call (account, organization path, action, resource, source, detail type,
 * creator, separated by tabs), the rest a policy.  Whatever it is, it is compiled or refused with
 * words; and a policy to which a statement was added that denies everything denies.
 */
#include "accounts/bus_policy.h"

#include "core/buf.h"
#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_call(struct slice line, struct bus_policy_call *call)
{
    *call = (struct bus_policy_call){
        .account = slice_cut(&line, '\t'),
        .org_path = slice_cut(&line, '\t'),
        .action = slice_cut(&line, '\t'),
        .resource = slice_cut(&line, '\t'),
        .source = slice_cut(&line, '\t'),
        .detail_type = slice_cut(&line, '\t'),
        .creator_account = slice_cut(&line, '\t'),
    };
}

/* Every policy that begins as most do, with one statement more in front. */
static void check_deny(struct slice text, const struct bus_policy_call *call, struct arena *arena)
{
    static const struct slice start = SLICE_INIT("{\"Version\":\"2012-10-17\",\"Statement\":[");
    const struct bus_policy *policy;
    struct err_why why = {.text = ""};
    struct buf longer;

    if (!slice_has_prefix(text, start)) {
        return;
    }
    buf_init(&longer, (size_t)2 * BUS_POLICY_CHARS_MAX);
    if (buf_printf(&longer,
                   "%.*s{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\","
                   "\"Resource\":\"*\"},",
                   SLICE_ARG(start)) == ERR_OK &&
        buf_append(&longer, slice_from(text, start.len)) == ERR_OK &&
        bus_policy_compile(buf_slice(&longer), arena, &policy, &why) == ERR_OK) {
        CHECK(bus_policy_judge(policy, call) == BUS_POLICY_DENIES);
    }
    buf_clean_up(&longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    const struct bus_policy *policy;
    struct bus_policy_call call;
    struct err_why why = {.text = ""};
    struct arena arena = {0};

    read_call(slice_cut(&text, '\n'), &call);
    if (bus_policy_compile(text, &arena, &policy, &why) == ERR_OK) {
        (void)bus_policy_judge(policy, &call);
        check_deny(text, &call, &arena);
    } else {
        CHECK(why.text[0] != '\0');
    }
    arena_clean_up(&arena);
    return 0;
}
