/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.c - the audit log: a ring of documents, chained by keyed hashes.
 *
 *      meta/audit  {"seq":42,"hash":H42,"slots":10000}
 *      audit/00041 {"seq":41, …, "prev":H40,"hash":H41}
 *      audit/00042 {"seq":42, …, "prev":H41,"hash":H42}
 *
 * The log lies in the catalog because a change and its record must be one step: no change without
 * its record, no record of a change that was not made, on every engine and with any number of
 * replicas.  Whoever appends replaces the head at the revision he read, so the store lets one of
 * two at the same place through; the other plans again behind it.
 *
 * A record's hash is an HMAC, under a key derived from the seal key, over its text and the hash
 * before it.  Who can write to the store but lacks the key can neither change a record nor make
 * one, and what is taken out or moved leaves a gap or a wrong link.  What this cannot show is the
 * loss of the newest records together with the head, as in a store that was put back to an earlier
 * state: this process knows what it last saw, and each new end of the chain is a line of its log.
 *
 * Retention: record N stands in slot N modulo `slots`, so a new record takes the place of the
 * oldest and nothing grows.  Each record tells the oldest that is kept with it.  When the
 * configured number changes, the next record lays the ring anew.
 *
 * No secret gets in: a record holds names, and digests of documents, which hold none in the clear.
 */
#include "gateway/audit.h"

#include "core/check.h"
#include "core/digest.h"
#include "core/log.h"
#include "core/moment.h"

#define HEAD "meta/audit"

enum { CHANGES_MAX = 32, SHORT_HASH_CHARS = 16 };

struct head {
    uint64_t seq; /* 0: no record yet */
    uint64_t slots;
    struct slice hash;
};

static uint64_t number_of(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : 0;
}

static struct head read_head(const json_t *value)
{
    return (struct head){.seq = number_of(value, "seq"),
                         .slots = number_of(value, "slots"),
                         .hash = json_member_text(value, "hash")};
}

static struct head head_of(const struct catalog *catalog)
{
    const struct catalog_document *document = catalog_get(catalog, SLICE(HEAD));

    return read_head(document != NULL ? document->value : NULL);
}

static struct slice slot_name(struct arena *arena, uint64_t slot)
{
    return arena_printf(arena, "audit/%06" PRIu64, slot);
}

bool audit_owns(struct slice name)
{
    return slice_eq(name, SLICE(HEAD)) || slice_has_prefix(name, SLICE("audit/"));
}

void audit_fill(char *member, size_t size, struct slice text)
{
    const size_t len = MIN_OF(text.len, size - 1);

    for (size_t i = 0; i < len; i++) {
        member[i] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    }
    member[len] = '\0';
}

/* ---- the hash ----------------------------------------------------------------------------- */

static void hash_record(const uint8_t seal_key[static SEAL_KEY_BYTES], json_t *record,
                        char hex[static DIGEST_HEX_CHARS])
{
    json_t *whole = json_copy(record);
    struct digest key;
    struct digest hash;
    char *text;

    json_object_del(whole, "hash");
    text = json_dumps(whole, JSON_COMPACT | JSON_SORT_KEYS);
    CHECK(text != NULL);
    digest_hmac_sha256((struct slice){(const char *)seal_key, SEAL_KEY_BYTES},
                       SLICE("weir audit chain"), &key);
    digest_hmac_sha256(digest_slice(&key), slice_of(text), &hash);
    digest_hex(&hash, hex);
    xfree(text);
    json_decref(whole);
}

/* Enough to tell two versions of a document apart; of none, null. */
static json_t *short_hash(struct slice text)
{
    struct digest digest;
    char hex[DIGEST_HEX_CHARS];

    if (text.len == 0) {
        return json_null();
    }
    digest_sha256(text, &digest);
    digest_hex(&digest, hex);
    return json_stringn(hex, SHORT_HASH_CHARS);
}

/* ---- append ------------------------------------------------------------------------------- */

/* What the act changes, document by document: the first few, and how many in all. */
static json_t *describe_changes(const struct catalog_edit *edit, const struct catalog *catalog)
{
    json_t *changes = json_array();

    for (size_t i = 0; i < edit->count && i < CHANGES_MAX; i++) {
        const struct store_document *document = &edit->documents[i];
        const struct catalog_document *old = catalog_get(catalog, document->name);
        char *before = old != NULL ? json_dumps(old->value, JSON_COMPACT) : NULL;

        json_array_append_new(changes, json_pack("{s:s%, s:o, s:o}", "name", document->name.data,
                                                 document->name.len, "before",
                                                 short_hash(slice_of(before != NULL ? before : "")),
                                                 "after", short_hash(document->value)));
        xfree(before);
    }
    return changes;
}

/* The oldest record that was kept with the last one. */
static uint64_t oldest_of(const struct catalog *catalog, const struct head *head)
{
    const struct catalog_document *last = NULL;
    struct arena arena = {0};
    uint64_t oldest = 1;

    if (head->slots > 0) {
        last = catalog_get(catalog, slot_name(&arena, head->seq % head->slots));
    }
    if (last != NULL) {
        oldest = MAX_OF(1, number_of(last->value, "oldest"));
    }
    arena_clean_up(&arena);
    return oldest;
}

static json_t *make_record(const struct catalog_edit *edit, const struct catalog *catalog,
                           const struct head *head, const struct audit_options *options,
                           const struct audit_note *note, enum err result)
{
    const uint64_t seq = head->seq + 1;
    const uint64_t oldest = MAX_OF(oldest_of(catalog, head),
                                   seq > options->records_max ? seq - options->records_max + 1 : 1);
    char iso[MOMENT_ISO_CHARS];
    json_t *record;

    moment_to_iso(options->now_ms, iso);
    record = json_pack(
        "{s:I, s:s%, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:s%, s:I}", "seq", (json_int_t)seq,
        "at", iso, (size_t)MOMENT_ISO_CHARS, "at_ms", (json_int_t)options->now_ms, "actor",
        note->actor, "from", note->from, "action", note->action, "object", note->object, "result",
        result == ERR_OK ? "ok" : err_name(result), "changes", describe_changes(edit, catalog),
        "change_count", (json_int_t)edit->count, "prev", head->hash.len > 0 ? head->hash.data : "",
        head->hash.len, "oldest", (json_int_t)oldest);
    CHECK(record != NULL);
    return record;
}

/* The ring gets another number of slots: every record that stays moves to its new one. */
static void lay_anew(struct catalog_edit *edit, const struct catalog *catalog,
                     const struct head *head, uint64_t slots)
{
    const uint64_t taken = (head->seq + 1) % slots;
    struct arena arena = {0};

    for (uint64_t slot = 0; slot < MAX_OF(slots, head->slots); slot++) {
        const struct catalog_document *there = catalog_get(catalog, slot_name(&arena, slot));
        const uint64_t behind = slot < slots ? (head->seq + slots - slot) % slots : 0;
        const uint64_t seq = slot < slots && behind < head->seq ? head->seq - behind : 0;
        const struct catalog_document *wanted =
            seq > 0 && behind < head->slots
                ? catalog_get(catalog, slot_name(&arena, seq % head->slots))
                : NULL;

        if (slot == taken || (wanted == NULL && there == NULL) || wanted == there) {
            continue;
        }
        catalog_edit_put(edit, catalog, slot_name(&arena, slot),
                         wanted != NULL ? wanted->value : NULL);
    }
    arena_clean_up(&arena);
}

uint64_t audit_add(struct catalog_edit *edit, const struct catalog *catalog,
                   const struct audit_options *options, const struct audit_note *note,
                   enum err result, const char *message)
{
    const struct head head = head_of(catalog);
    json_t *record = make_record(edit, catalog, &head, options, note, result);
    char text[AUDIT_MESSAGE_CHARS_MAX + 1];
    char hex[DIGEST_HEX_CHARS];
    struct arena arena = {0};
    json_t *new_head;

    if (message != NULL && message[0] != '\0') {
        audit_fill(text, sizeof(text), slice_of(message));
        json_object_set_new(record, "message", json_string(text));
    }
    hash_record(options->seal_key, record, hex);
    json_object_set_new(record, "hash", json_stringn(hex, sizeof(hex)));
    if (head.slots > 0 && head.slots != options->records_max) {
        lay_anew(edit, catalog, &head, options->records_max);
    }
    catalog_edit_put(edit, catalog, slot_name(&arena, (head.seq + 1) % options->records_max),
                     record);
    new_head = json_pack("{s:I, s:s%, s:I}", "seq", (json_int_t)(head.seq + 1), "hash", hex,
                         sizeof(hex), "slots", (json_int_t)options->records_max);
    CHECK(new_head != NULL);
    catalog_edit_put(edit, catalog, SLICE(HEAD), new_head);
    json_decref(new_head);
    json_decref(record);
    arena_clean_up(&arena);
    return head.seq + 1;
}

void audit_log_end(const struct catalog_edit *edit)
{
    const struct store_document *last = edit->count > 0 ? &edit->documents[edit->count - 1] : NULL;

    if (last != NULL && slice_eq(last->name, SLICE(HEAD))) {
        log_info("audit.recorded", LOG_SLICE("head", last->value));
    }
}

/* ---- list --------------------------------------------------------------------------------- */

json_t *audit_list(const struct catalog *catalog, uint64_t before, size_t count_max)
{
    const struct head head = head_of(catalog);
    json_t *records = json_array();
    json_t *answer = json_pack("{s:o}", "records", records);
    struct arena arena = {0};
    uint64_t seq = before > 0 && before <= head.seq ? before - 1 : head.seq;

    while (seq > 0 && head.slots > 0 && json_array_size(records) < count_max) {
        const struct catalog_document *document =
            catalog_get(catalog, slot_name(&arena, seq % head.slots));

        if (document == NULL || number_of(document->value, "seq") != seq) {
            seq = 0;
            break;
        }
        json_array_append(records, document->value);
        seq--;
    }
    if (seq > 0 && head.seq - seq < head.slots) {
        json_object_set_new(answer, "next", json_integer((json_int_t)seq + 1));
    }
    arena_clean_up(&arena);
    return answer;
}

/* ---- verify ------------------------------------------------------------------------------- */

struct found {
    uint64_t seq;
    uint64_t slot;
    json_t *value;
    bool is_sound;
};

struct inquest {
    struct found *found; /* by place */
    size_t count;
    json_t *head_value;
    json_t *mistakes;
};

static void blame(struct inquest *inquest, uint64_t seq, const char *problem)
{
    if (json_array_size(inquest->mistakes) < AUDIT_MISTAKES_MAX) {
        json_array_append_new(inquest->mistakes, json_pack("{s:I, s:s}", "record", (json_int_t)seq,
                                                           "problem", problem));
    }
}

static int compare_found(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;

    return left->seq != right->seq ? (left->seq < right->seq ? -1 : 1) : 0;
}

static void collect(struct inquest *inquest, const struct store_document *documents, size_t count,
                    const uint8_t seal_key[static SEAL_KEY_BYTES])
{
    inquest->found = xcalloc(count + 1, sizeof(inquest->found[0]));
    for (size_t i = 0; i < count; i++) {
        const struct slice name = documents[i].name;
        struct found *found = &inquest->found[inquest->count];
        char hex[DIGEST_HEX_CHARS];
        json_t *value;

        if (!audit_owns(name) || documents[i].value.len == 0) {
            continue;
        }
        value = json_loadb(documents[i].value.data, documents[i].value.len, 0, NULL);
        if (slice_eq(name, SLICE(HEAD))) {
            inquest->head_value = value;
            continue;
        }
        *found = (struct found){.seq = number_of(value, "seq"), .value = value};
        (void)slice_to_u64(slice_from(name, strlen("audit/")), &found->slot);
        if (json_is_object(value)) {
            hash_record(seal_key, value, hex);
            found->is_sound =
                digest_equal((struct slice){hex, sizeof(hex)}, json_member_text(value, "hash"));
        }
        if (!found->is_sound) {
            blame(inquest, found->seq, "was changed");
        }
        inquest->count++;
    }
    qsort(inquest->found, inquest->count, sizeof(inquest->found[0]), compare_found);
}

/* Each record follows the one before it, and all from `first` to the head's are there. */
static void follow(struct inquest *inquest, const struct head *head, uint64_t first)
{
    uint64_t due = first;

    for (size_t i = 0; i < inquest->count; i++) {
        const struct found *found = &inquest->found[i];
        const struct found *before = i > 0 ? found - 1 : NULL;

        if (found->seq < first) {
            continue; /* older than what is kept */
        }
        if (before != NULL && before->seq == found->seq) {
            blame(inquest, found->seq, "is there twice");
            continue;
        }
        for (; due < found->seq && json_array_size(inquest->mistakes) < AUDIT_MISTAKES_MAX; due++) {
            blame(inquest, due, "is missing");
        }
        due = found->seq + 1;
        if (found->is_sound && head->slots > 0 && found->slot != found->seq % head->slots) {
            blame(inquest, found->seq, "was moved");
        }
        if (before != NULL && before->seq + 1 == found->seq && before->is_sound &&
            found->is_sound &&
            !slice_eq(json_member_text(found->value, "prev"),
                      json_member_text(before->value, "hash"))) {
            blame(inquest, found->seq, "does not follow the one before it");
        }
    }
    for (; due <= head->seq && json_array_size(inquest->mistakes) < AUDIT_MISTAKES_MAX; due++) {
        blame(inquest, due, "is missing");
    }
}

/* The head is the last record's, and not behind what this process has seen. */
static void check_head(struct inquest *inquest, const struct head *head, const struct head *known)
{
    const struct found *last = inquest->count > 0 ? &inquest->found[inquest->count - 1] : NULL;

    if (head->seq == 0 && inquest->count > 0) {
        blame(inquest, last->seq, "is there, but the head of the log is not");
    }
    if (last != NULL && last->is_sound && last->seq == head->seq &&
        !slice_eq(head->hash, json_member_text(last->value, "hash"))) {
        blame(inquest, head->seq, "is not the one that the head names");
    }
    if (last != NULL && head->seq > 0 && last->seq > head->seq) {
        blame(inquest, last->seq, "is beyond the head of the log");
    }
    if (known->seq > head->seq) {
        blame(inquest, known->seq, "was written and is gone, with all behind the log's end");
    }
}

json_t *audit_verify(const struct store_document *documents, size_t count,
                     const struct catalog *known, const uint8_t seal_key[static SEAL_KEY_BYTES])
{
    struct inquest inquest = {.mistakes = json_array()};
    const struct head known_head = head_of(known);
    const struct found *last;
    struct head head;
    uint64_t first = 1;
    json_t *answer;

    collect(&inquest, documents, count, seal_key);
    head = read_head(inquest.head_value);
    last = inquest.count > 0 ? &inquest.found[inquest.count - 1] : NULL;
    if (last != NULL && last->is_sound) {
        first = MAX_OF(1, number_of(last->value, "oldest"));
    } else if (head.seq > head.slots) {
        first = head.seq - head.slots + 1;
    }
    follow(&inquest, &head, first);
    check_head(&inquest, &head, &known_head);
    answer = json_pack("{s:b, s:I, s:I, s:I, s:o}", "verified",
                       json_array_size(inquest.mistakes) == 0 ? 1 : 0, "records",
                       (json_int_t)inquest.count, "first", (json_int_t)(head.seq > 0 ? first : 0),
                       "last", (json_int_t)head.seq, "mistakes", inquest.mistakes);
    CHECK(answer != NULL);
    for (size_t i = 0; i < inquest.count; i++) {
        json_decref(inquest.found[i].value);
    }
    json_decref(inquest.head_value);
    xfree(inquest.found);
    return answer;
}
