/* SPDX-License-Identifier: Apache-2.0
 *
 * own_files.c - the keys of a profile in the files that the AWS command line keeps.
 *
 * The happy path: look for the section of the profile (AWS_PROFILE, else "default") in the
 * credentials file, then in the config file, and take its keys.
 *
 *      AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials      [NAME]
 *      AWS_CONFIG_FILE,             else ~/.aws/config           [default] or [profile NAME]
 *
 * A profile may name other ways to credentials, which the SDKs would go and weir does not: a role
 * to assume from another profile, single sign-on, a command to run.  It is refused by name rather
 * than passed over, for the next source would be another identity.
 *
 *= https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#include "accounts/own_credentials_internal.h"

#include <unistd.h>

#include "core/file.h"

enum { FILE_BYTES_MAX = 256 * 1024 };

/* A profile as it was found. */
struct profile {
    struct slice name;
    bool is_chosen; /* by AWS_PROFILE */
    bool is_found;
    const char *other_way; /* a key that leads elsewhere, or NULL */
    struct own_findings findings;
};

/* Ways to credentials that outrank keys in the same profile, and the one that does not. */
static const char *const other_ways[] = {"role_arn", "sso_session", "sso_start_url",
                                         "login_session", "credential_process"};

static struct buf *key_place(struct own_findings *findings, struct slice name)
{
    if (slice_eq_ignore_case(name, SLICE("aws_access_key_id"))) {
        return &findings->access_key_id;
    }
    if (slice_eq_ignore_case(name, SLICE("aws_secret_access_key"))) {
        return &findings->secret_access_key;
    }
    if (slice_eq_ignore_case(name, SLICE("aws_session_token"))) {
        return &findings->session_token;
    }
    return NULL;
}

static enum err read_line(struct profile *profile, struct slice line)
{
    const struct slice name = slice_trim(slice_cut(&line, '='));
    struct buf *place = key_place(&profile->findings, name);

    if (line.data == NULL || slice_has_prefix(name, SLICE("#")) ||
        slice_has_prefix(name, SLICE(";"))) {
        return ERR_OK;
    }
    if (place != NULL) {
        buf_clear(place);
        return buf_append(place, slice_trim(line));
    }
    for (size_t i = 0; i < ARRAY_LEN(other_ways) && profile->other_way == NULL; i++) {
        if (slice_eq_ignore_case(name, slice_of(other_ways[i]))) {
            profile->other_way = other_ways[i];
        }
    }
    return ERR_OK;
}

/* Is "[header]" the section of the profile?  In the config file all but "default" say "profile". */
static bool is_section_of(const struct profile *profile, struct slice header, bool is_config)
{
    const bool says_profile =
        slice_has_prefix(header, SLICE("profile ")) || slice_has_prefix(header, SLICE("profile\t"));

    if (is_config && says_profile) {
        header = slice_trim(slice_from(header, strlen("profile ")));
    } else if (is_config && !slice_eq(header, SLICE("default"))) {
        return false;
    }
    return slice_eq(header, profile->name);
}

static enum err read_sections(struct slice text, bool is_config, struct profile *profile)
{
    bool is_inside = false;

    while (text.data != NULL) {
        struct slice line = slice_cut(&text, '\n');

        line.len -= slice_has_suffix(line, SLICE("\r")) ? 1 : 0;
        line = slice_trim(line);
        if (slice_has_prefix(line, SLICE("[")) && slice_has_suffix(line, SLICE("]"))) {
            line = slice_trim((struct slice){line.data + 1, line.len - 2});
            is_inside = is_section_of(profile, line, is_config);
            profile->is_found |= is_inside;
        } else if (is_inside) {
            TRY(read_line(profile, line));
        }
    }
    return ERR_OK;
}

static enum own_answer judge_profile(struct own_credentials *own, const struct profile *profile)
{
    const struct own_findings *findings = &profile->findings;
    const bool has_keys = findings->access_key_id.len > 0 || findings->secret_access_key.len > 0;

    if (profile->other_way != NULL &&
        (!has_keys || strcmp(profile->other_way, "credential_process") != 0)) {
        own->err = err_because(ERR_NO_CREDENTIALS, &own->why,
                               "%s: profile %.*s asks for %s, which weir does not follow",
                               own->source, SLICE_ARG(profile->name), profile->other_way);
        return OWN_ANSWER_FAILED;
    }
    return has_keys ? own_hold(own, findings) : OWN_ANSWER_ABSENT;
}

static enum own_answer read_file(struct own_credentials *own, const char *path, bool is_config,
                                 struct profile *profile)
{
    enum own_answer answer;
    struct buf text;

    if (path == NULL || access(path, F_OK) != 0) {
        return OWN_ANSWER_ABSENT;
    }
    own_text_init(&text, FILE_BYTES_MAX);
    if (file_read(path, &text, &own->why) != ERR_OK) {
        own->err = ERR_NO_CREDENTIALS;
        answer = OWN_ANSWER_FAILED;
    } else if (read_sections(buf_slice(&text), is_config, profile) != ERR_OK) {
        answer = own_fail(own, ERR_NO_CREDENTIALS, "a key is too long in profile", profile->name);
    } else {
        answer = judge_profile(own, profile);
    }
    buf_wipe(&text);
    return answer;
}

/* The file that a variable names, else the one at home; NULL if there is no home. */
static const char *path_of(struct own_credentials *own, const char *variable, const char *name)
{
    const struct slice path = own_variable(own, variable);
    const struct slice home = own_variable(own, "HOME");

    if (path.len > 0) {
        return arena_cstr(&own->call_arena, path);
    }
    return home.len > 0 ? arena_printf(&own->call_arena, "%.*s/.aws/%s", SLICE_ARG(home), name).data
                        : NULL;
}

enum own_answer own_files_load(struct own_credentials *own)
{
    const struct slice chosen = own_variable(own, "AWS_PROFILE");
    struct profile profile = {.name = chosen.len > 0 ? chosen : SLICE("default"),
                              .is_chosen = chosen.len > 0};
    enum own_answer answer;

    own_findings_init(&profile.findings);
    own->source = "shared credentials file";
    answer =
        read_file(own, path_of(own, "AWS_SHARED_CREDENTIALS_FILE", "credentials"), false, &profile);
    if (answer == OWN_ANSWER_ABSENT) {
        own->source = "config file";
        answer = read_file(own, path_of(own, "AWS_CONFIG_FILE", "config"), true, &profile);
    }
    if (answer == OWN_ANSWER_ABSENT && profile.is_chosen && !profile.is_found) {
        own->source = "shared files";
        answer = own_fail(own, ERR_NO_CREDENTIALS, "there is no profile", profile.name);
    }
    own_findings_clean_up(&profile.findings);
    return answer;
}
