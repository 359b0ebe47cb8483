/* SPDX-License-Identifier: Apache-2.0
 *
 * event_identity.c - digests of what an event is known by.
 *
 * Canonical form.  White space between tokens is left out, as it is when PutEvents makes an
 * envelope; nothing is reordered or respelled.  Two texts that a parser would call equal may thus
 * differ here.  That is the safe side: a difference too much costs a second delivery, an equality
 * too much would lose an event, and JSON with a member twice has no order that could be mended.
 *
 * Findings.  A service publishes a finding again whenever it changes, under the same id: the id
 * alone would suppress the update.  So a row names the id and what tells one state from the next.
 * A value marked `?` may be absent, and its absence is part of the identity.  The source is always
 * part of it: who may not send `aws.*` cannot be taken for a service.  Security Hub's
 * BatchUpdateFindings leaves UpdatedAt alone, so workflow and record state belong to the identity;
 * an event with more than one finding has no single one and is none here, nor is a custom action,
 * which is a person's press of a button.
 *
 * Each field goes in with its length or, being JSON, ends by itself, so no two lists look alike.
 */
#include "routing/event_identity.h"

#include "core/check.h"
#include "routing/event_path.h"

enum { RUN_BYTES = 256, FINDING_VALUES_MAX = 6 };

/* ---- canonical form ------------------------------------------------------------------------ */

static void add_text(struct digest_stream *stream, struct slice text)
{
    const uint64_t len = text.len;

    digest_stream_add(stream, (struct slice){(const char *)&len, sizeof(len)});
    digest_stream_add(stream, text);
}

/* Valid JSON without the white space between its tokens. */
static void add_json(struct digest_stream *stream, struct slice json)
{
    char run[RUN_BYTES];
    size_t len = 0;
    bool is_string = false;

    for (size_t i = 0; i < json.len; i++) {
        const char byte = json.data[i];

        if (!is_string && (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t')) {
            continue;
        }
        if (len + 2 > sizeof(run)) {
            digest_stream_add(stream, (struct slice){run, len});
            len = 0;
        }
        run[len++] = byte;
        if (is_string && byte == '\\') {
            run[len++] = json.data[++i]; /* a backslash is never the last byte of valid JSON */
        } else if (byte == '"') {
            is_string = !is_string;
        }
    }
    digest_stream_add(stream, (struct slice){run, len});
}

static void add_value(struct digest_stream *stream, const struct event_value *value)
{
    digest_stream_add(stream, value->is_json ? SLICE("j") : SLICE("t"));
    if (value->is_json) {
        add_json(stream, value->text);
    } else {
        add_text(stream, value->text);
    }
}

void event_identity_content(const struct event_draft *draft, struct digest *digest)
{
    struct digest_stream stream = {0};

    digest_stream_begin(&stream);
    add_text(&stream, draft->source);
    add_text(&stream, draft->detail_type);
    add_json(&stream, draft->resources.data != NULL ? draft->resources : SLICE("[]"));
    add_json(&stream, draft->detail);
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
}

/* ---- findings ------------------------------------------------------------------------------ */

struct finding {
    struct slice source; /* ending in `.`: every source that begins so */
    struct slice detail_type;
    struct slice one_of; /* an array that must hold one element, or empty */
    struct slice values[FINDING_VALUES_MAX];
};

#define SECURITY_HUB "detail.findings[0]."
#define CONFIG_ITEM  "detail.configurationItem."

static const struct finding findings[] = {
    {SLICE_INIT("aws.guardduty"),
     SLICE_INIT("GuardDuty Finding"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.id"), SLICE_INIT("detail.updatedAt")}},
    {SLICE_INIT("aws.securityhub"),
     SLICE_INIT("Security Hub Findings - Imported"),
     SLICE_INIT("detail.findings"),
     {SLICE_INIT(SECURITY_HUB "Id"), SLICE_INIT(SECURITY_HUB "UpdatedAt"),
      SLICE_INIT("?" SECURITY_HUB "ProductArn"), SLICE_INIT("?" SECURITY_HUB "Workflow.Status"),
      SLICE_INIT("?" SECURITY_HUB "RecordState")}},
    {SLICE_INIT("aws.macie"),
     SLICE_INIT("Macie Finding"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.id"), SLICE_INIT("detail.updatedAt")}},
    {SLICE_INIT("aws.access-analyzer"),
     SLICE_INIT("Access Analyzer Finding"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.id"), SLICE_INIT("detail.updatedAt"), SLICE_INIT("?detail.status"),
      SLICE_INIT("?detail.isDeleted")}},
    {SLICE_INIT("aws.inspector2"),
     SLICE_INIT("Inspector2 Finding"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.findingArn"), SLICE_INIT("detail.updatedAt"),
      SLICE_INIT("?detail.status")}},
    {SLICE_INIT("aws.config"),
     SLICE_INIT("Config Rules Compliance Change"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.configRuleARN"), SLICE_INIT("detail.resourceType"),
      SLICE_INIT("detail.resourceId"), SLICE_INIT("detail.newEvaluationResult.resultRecordedTime"),
      SLICE_INIT("?detail.newEvaluationResult.complianceType")}},
    {SLICE_INIT("aws.config"),
     SLICE_INIT("Config Configuration Item Change"),
     SLICE_INIT(""),
     {SLICE_INIT(CONFIG_ITEM "resourceType"), SLICE_INIT(CONFIG_ITEM "resourceId"),
      SLICE_INIT(CONFIG_ITEM "configurationItemCaptureTime"),
      SLICE_INIT("?" CONFIG_ITEM "configurationStateId"), SLICE_INIT("?" CONFIG_ITEM "awsRegion"),
      SLICE_INIT("?" CONFIG_ITEM "awsAccountId")}},
    {SLICE_INIT("aws."),
     SLICE_INIT("AWS API Call via CloudTrail"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.eventID")}},
    {SLICE_INIT("aws."),
     SLICE_INIT("AWS Console Sign In via CloudTrail"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.eventID")}},
    {SLICE_INIT("aws."),
     SLICE_INIT("AWS Service Event via CloudTrail"),
     SLICE_INIT(""),
     {SLICE_INIT("detail.eventID")}},
};

static bool is_of(const struct finding *finding, const struct event_draft *draft)
{
    const bool is_prefix = slice_has_suffix(finding->source, SLICE("."));

    return slice_eq(finding->detail_type, draft->detail_type) &&
           (is_prefix ? slice_has_prefix(draft->source, finding->source)
                      : slice_eq(draft->source, finding->source));
}

static const struct finding *find_finding(const struct event_draft *draft)
{
    for (size_t i = 0; i < ARRAY_LEN(findings); i++) {
        if (is_of(&findings[i], draft)) {
            return &findings[i];
        }
    }
    return NULL;
}

/* Has the array at `path` a second element? */
static bool has_second(const struct event_draft *draft, struct slice path, struct arena *arena)
{
    struct event_value value;

    return event_path_find(draft, arena_printf(arena, "%.*s[1]", SLICE_ARG(path)), arena, &value);
}

bool event_identity_finding(const struct event_draft *draft, struct arena *arena,
                            struct digest *digest)
{
    const struct finding *finding = find_finding(draft);
    struct digest_stream stream = {0};
    bool is_whole = true;

    if (finding == NULL || (finding->one_of.len > 0 && has_second(draft, finding->one_of, arena))) {
        return false;
    }
    digest_stream_begin(&stream);
    add_text(&stream, draft->source);
    add_text(&stream, draft->detail_type);
    for (size_t i = 0; i < FINDING_VALUES_MAX && finding->values[i].len > 0; i++) {
        const bool is_optional = finding->values[i].data[0] == '?';
        struct event_value value;

        if (event_path_find(draft, slice_from(finding->values[i], is_optional ? 1 : 0), arena,
                            &value)) {
            add_value(&stream, &value);
        } else {
            digest_stream_add(&stream, SLICE("-"));
            is_whole = is_whole && is_optional;
        }
    }
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
    return is_whole;
}

/* ---- paths --------------------------------------------------------------------------------- */

bool event_identity_paths(const struct event_draft *draft, const struct slice *paths, size_t count,
                          struct arena *arena, struct digest *digest)
{
    struct digest_stream stream = {0};
    bool is_whole = true;

    digest_stream_begin(&stream);
    add_text(&stream, draft->source);
    for (size_t i = 0; i < count && is_whole; i++) {
        struct event_value value;

        is_whole = event_path_find(draft, paths[i], arena, &value);
        if (is_whole) {
            add_text(&stream, paths[i]);
            add_value(&stream, &value);
        }
    }
    digest_stream_end(&stream, digest);
    digest_stream_clean_up(&stream);
    return is_whole;
}
