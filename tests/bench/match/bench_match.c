/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_match.c - events per second of compiled sets, beside jansson parsing the same bytes.
 *
 *     bench_match [WORKLOAD [RULES]]      all workloads without arguments
 *
 * Events and rules come from deterministic generators: parcels are GeoJSON features of some 930
 * bytes with arrays of coordinates, findings are envelopes of six security sources of some 2.5 KB.
 * Everything runs on one thread and validates the whole text.  Each workload is measured in
 * alternating rounds with json_loadb() over the same lines, in CPU time of the thread, and of each
 * small batch of events the best round counts, so that other work on the machine weighs little.
 *
 * Columns: workload, rules, events/s, MB/s, times jansson, matches per event, bytes per rule, and
 * microseconds to compile one rule from its text.
 */
#include <jansson.h>

#include "core/buf.h"
#include "core/check.h"
#include "routing/matcher.h"
#include "routing/pattern.h"
#include "routing/ruleset.h"

enum { PARCELS = 4000, FINDINGS = 2000, ROUNDS = 12, BATCHES_MAX = 40 };

static uint64_t random_state;

/* SplitMix64 */
static unsigned below(unsigned bound)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % bound);
}

#define PICK(array) ((array)[below(ARRAY_LEN(array))])
#define PUT(...)    CHECK(buf_printf(__VA_ARGS__) == ERR_OK)

/* ---- events -------------------------------------------------------------------------------- */

struct events {
    struct buf text;
    struct slice *items;
    size_t count;
};

static void put_coordinate(struct buf *out)
{
    PUT(out, "{ \"x\": -122.4%014u, \"y\": 37.7%014u, \"z\": 0.0 }", below(999999999),
        below(999999999));
}

static void put_parcel(struct buf *out, unsigned number)
{
    static const char *const streets[] = {"UNKNOWN", "MARKET", "MISSION",  "16TH", "CRANLEIGH",
                                          "FOLSOM",  "POLK",   "VALENCIA", "UTAH", "LEAVENWORTH"};
    static const char *const types[] = {"\"ST\"", "\"AVE\"", "\"DR\"", "null"};
    const unsigned corners = 4 + below(9);

    PUT(out,
        "{ \"type\": \"Feature\", \"properties\": { \"MAPBLKLOT\": \"%07u\", \"BLKLOT\": \"%07u\", "
        "\"BLOCK_NUM\": \"%04u\", \"LOT_NUM\": \"%03u\", \"FROM_ST\": \"%u\", \"TO_ST\": \"%u\", "
        "\"STREET\": \"%s\", \"ST_TYPE\": %s, \"ODD_EVEN\": \"%s\" }, \"geometry\": { \"type\": "
        "\"Polygon\", \"firstCoordinates\": ",
        number, number, number / 1000, number % 1000, below(2000), below(2000), PICK(streets),
        PICK(types), below(2) == 0 ? "E" : "O");
    put_coordinate(out);
    PUT(out, ", \"coordinates\": [ ");
    for (unsigned i = 0; i < corners; i++) {
        PUT(out, "%s", i > 0 ? ", " : "");
        put_coordinate(out);
    }
    PUT(out, " ] } }");
}

static const char *const severities[] = {"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"};
static const char *const regions[] = {"us-east-1",    "us-west-2",      "eu-west-1",
                                      "eu-central-1", "ap-southeast-2", "ap-northeast-1",
                                      "sa-east-1",    "ca-central-1"};
static const char *const sources[][2] = {
    {"aws.guardduty", "GuardDuty Finding"},
    {"aws.securityhub", "Security Hub Findings - Imported"},
    {"aws.cloudtrail", "AWS API Call via CloudTrail"},
    {"aws.config", "Config Rules Compliance Change"},
    {"aws.access-analyzer", "Access Analyzer Finding"},
    {"aws.macie", "Macie Finding"},
};
static const char *const finding_types[] = {
    "UnauthorizedAccess:EC2/SSHBruteForce",
    "Recon:EC2/PortProbeUnprotectedPort",
    "CryptoCurrency:EC2/BitcoinTool.B!DNS",
    "Policy:IAMUser/RootCredentialUsage",
    "Exfiltration:S3/ObjectRead.Unusual",
    "Persistence:IAMUser/UserPermissions",
    "Trojan:EC2/DropPoint",
    "SensitiveData:S3Object/Personal",
};

enum { ACCOUNTS = 2000 };

static unsigned long account_number(unsigned index)
{
    return 100000000000ul + index * 7919ul;
}

static void put_resource(struct buf *out, unsigned long account, const char *region)
{
    PUT(out,
        "{\"Type\":\"AwsEc2Instance\",\"Id\":\"arn:aws:ec2:%s:%lu:instance/i-%08x%08x\","
        "\"Partition\":\"aws\",\"Region\":\"%s\",\"Tags\":{\"team\":\"t%u\",\"stage\":\"%s\"},"
        "\"Details\":{\"InstanceType\":\"m5.%uxlarge\",\"IpV4Addresses\":[\"10.%u.%u.%u\"],"
        "\"LaunchedAt\":\"2026-05-0%uT10:00:00.000Z\",\"VpcId\":\"vpc-%08x\"}}",
        region, account, below(1u << 31), below(1u << 31), region, below(200),
        below(3) == 0 ? "live" : "dev", 1 + below(8), below(256), below(256), below(256),
        1 + below(9), below(1u << 31));
}

static void put_finding(struct buf *out, unsigned number)
{
    const size_t source = below(ARRAY_LEN(sources));
    const unsigned long account = account_number(below(ACCOUNTS));
    const char *region = PICK(regions);
    const unsigned resources = 1 + below(3);

    PUT(out,
        "{\"version\":\"0\",\"id\":\"%08x-0000-4000-8000-%012u\",\"detail-type\":\"%s\","
        "\"source\":\"%s\",\"account\":\"%lu\",\"time\":\"2026-05-04T12:%02u:%02uZ\","
        "\"region\":\"%s\",\"resources\":[\"arn:aws:securityhub:%s:%lu:product/x\"],\"detail\":{"
        "\"findings\":[{\"SchemaVersion\":\"2018-10-08\",\"Id\":\"arn:aws:x:%s:%lu:finding/%u\","
        "\"ProductName\":\"%s\",\"AwsAccountId\":\"%lu\",\"Types\":[\"%s\"],"
        "\"FirstObservedAt\":\"2026-05-04T11:00:00.000Z\",\"CreatedAt\":\"2026-05-04T11:00:00Z\","
        "\"Severity\":{\"Label\":\"%s\",\"Original\":\"%u.0\",\"Normalized\":%u},"
        "\"Title\":\"%s was seen on instance %u\",\"Description\":\"A remote host has been trying "
        "to do what it should not, from addresses that are known for it. See the runbook of your "
        "team for what to do next, and who to tell.\",\"Remediation\":{\"Recommendation\":{"
        "\"Text\":\"Rotate the keys\",\"Url\":\"https://docs.example.com/r/%u\"}},"
        "\"ProductFields\":{\"aws/x/CompanyName\":\"AWS\",\"aws/x/annotation\":\"none\","
        "\"detector\":\"%08x\",\"count\":\"%u\"},\"Resources\":[",
        number, number, sources[source][1], sources[source][0], account, below(60), below(60),
        region, region, account, region, account, number, sources[source][0] + 4, account,
        PICK(finding_types), PICK(severities), below(10), below(100), PICK(finding_types),
        below(100000), below(1000), below(1u << 31), below(50));
    for (unsigned i = 0; i < resources; i++) {
        PUT(out, "%s", i > 0 ? "," : "");
        put_resource(out, account, region);
    }
    PUT(out,
        "],\"Compliance\":{\"Status\":\"%s\"},\"WorkflowState\":\"NEW\",\"Workflow\":{\"Status\":"
        "\"NEW\"},\"RecordState\":\"ACTIVE\",\"Network\":{\"SourceIpV4\":\"%u.%u.%u.%u\","
        "\"SourcePort\":%u}}],\"severity\":%u.%u,\"type\":\"%s\",\"service\":{\"action\":"
        "{\"actionType\":\"AWS_API_CALL\",\"awsApiCallAction\":{\"api\":\"%s\",\"serviceName\":"
        "\"iam.amazonaws.com\"}},\"archived\":false,\"count\":%u},\"userIdentity\":{\"type\":"
        "\"AssumedRole\",\"arn\":\"arn:aws:sts::%lu:assumed-role/role%u/session\"}}}",
        below(2) == 0 ? "PASSED" : "FAILED", 1 + below(222), below(256), below(256), below(256),
        below(65536), below(9), below(10), PICK(finding_types),
        below(2) == 0 ? "DeleteTrail" : "PutBucketPolicy", below(30), account, below(500));
}

/* ---- events that are meant to hurt ---------------------------------------------------------- */

enum { HURT_BYTES = 256 * 1024, HURTS = 8 };

static void put_keys(struct buf *out, unsigned number)
{
    const size_t start = out->len;

    PUT(out, "{\"source\":\"s\",\"detail\":{\"k\":1");
    for (unsigned i = 0; i < 10000; i++) {
        PUT(out, ",\"key%u\":\"v%u\"", i, number);
    }
    PUT(out, ",\"rest\":\"");
    while (out->len - start < HURT_BYTES) {
        PUT(out, "0123456789abcdef");
    }
    PUT(out, "\"}}");
}

static void put_objects(struct buf *out, unsigned number)
{
    const size_t start = out->len;

    PUT(out, "{\"source\":\"s\",\"detail\":{\"a\":[{\"x\":1,\"y\":2,\"z\":3}");
    for (unsigned i = 0; out->len - start < HURT_BYTES; i++) {
        PUT(out, ",{\"x\":%u,\"y\":%u,\"z\":%u}", i % 100, (i + 1 + number % 2) % 100,
            (i + 3) % 100);
    }
    PUT(out, "]}}");
}

static void put_nested(struct buf *out, unsigned number)
{
    const size_t start = out->len;

    PUT(out, "{\"source\":\"s\",\"detail\":{\"a\":[{\"b\":[]}");
    for (unsigned i = 0; out->len - start < HURT_BYTES; i++) {
        PUT(out, ",{\"x\":%u,\"b\":[{\"y\":%u,\"z\":%u},{\"y\":%u},{\"z\":%u}]}", i % 100,
            (i + 1) % 100, (i + 2 + number) % 100, i % 7, i % 11);
    }
    PUT(out, "]}}");
}

static void put_long_text(struct buf *out, unsigned number)
{
    const size_t start = out->len;

    PUT(out, "{\"source\":\"s\",\"detail\":{\"t\":\"%u", number);
    while (out->len - start < HURT_BYTES) {
        PUT(out, "abababababababac");
    }
    PUT(out, "\"}}");
}

static struct events make_texts(uint64_t seed, size_t count,
                                void (*put)(struct buf *out, unsigned number))
{
    struct events events = {.count = count};
    size_t *ends = xmalloc(sizeof(*ends) * count);

    random_state = seed;
    buf_init(&events.text, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        put(&events.text, (unsigned)i);
        ends[i] = events.text.len;
    }
    events.items = xmalloc(sizeof(*events.items) * count);
    for (size_t i = 0; i < count; i++) {
        const size_t start = i > 0 ? ends[i - 1] : 0;

        events.items[i] = (struct slice){events.text.data + start, ends[i] - start};
    }
    xfree(ends);
    return events;
}

static void clean_up_texts(const struct events *events)
{
    struct buf text = events->text;

    xfree(events->items);
    buf_clean_up(&text);
}

/* ---- rules --------------------------------------------------------------------------------- */

typedef void (*put_rule_fn)(struct buf *out, unsigned number);

static void put_exact(struct buf *out, unsigned number)
{
    PUT(out, "{\"properties\":{\"MAPBLKLOT\":[\"%07u\"]}}", number * 701 % PARCELS);
}

static void put_prefix(struct buf *out, unsigned number)
{
    static const char *const streets[] = {"AC", "BL", "DR", "FU", "RH"};

    PUT(out, "{\"properties\":{\"STREET\":[{\"prefix\":\"%s\"}]}}", streets[number % 5]);
}

static void put_wildcard(struct buf *out, unsigned number)
{
    static const char *const streets[] = {"*E*H", "MAR*", "*MISSION*", "L*N*W*", "1*T*"};

    PUT(out, "{\"properties\":{\"STREET\":[{\"wildcard\":\"%s\"}]}}", streets[number % 5]);
}

static void put_but(struct buf *out, unsigned number)
{
    static const char *const lists[] = {"\"FULTON\"", "\"MASON\"", "\"ST\",\"POLK\"", "\"X\"",
                                        "\"UNKNOWN\""};

    PUT(out, "{\"properties\":{\"STREET\":[{\"anything-but\":[%s]}],\"ODD_EVEN\":[\"%s\"]}}",
        lists[number % 5], number % 2 == 0 ? "E" : "O");
}

static void put_numeric(struct buf *out, unsigned number)
{
    static const char *const tests[] = {"\"=\",-122.42916360922355", "\"<\",-122.43",
                                        "\">\",-122.405", "\">\",-122.42,\"<\",-122.41",
                                        "\"=\",-122.4"};

    PUT(out,
        "{\"geometry\":{\"type\":[\"Polygon\"],\"firstCoordinates\":{\"x\":[{\"numeric\":[%s]}]}}}",
        tests[number % 5]);
}

static void put_arrays(struct buf *out, unsigned number)
{
    PUT(out,
        "{\"geometry\":{\"type\":[\"Polygon\"],\"coordinates\":{\"x\":[{\"numeric\":[\"<\","
        "-122.4%u]}],\"y\":[{\"numeric\":[\">\",37.7%u]}],\"z\":[{\"numeric\":[\"=\",%u]}]}}}",
        number % 5 * 2, number % 5, number % 2);
}

static void put_combined(struct buf *out, unsigned number)
{
    static const put_rule_fn kinds[] = {put_exact,  put_prefix, put_wildcard, put_but, put_numeric,
                                        put_arrays, put_exact,  put_wildcard, put_but};

    kinds[number % ARRAY_LEN(kinds)](out, number / (unsigned)ARRAY_LEN(kinds));
}

/* Rules of a security team: all operators, about one source or account each. */
static void put_security(struct buf *out, unsigned number)
{
    const size_t source = below(ARRAY_LEN(sources));
    const unsigned long account = account_number(below(ACCOUNTS));

    PUT(out, "{\"source\":[\"%s\"],", sources[source][0]);
    switch (number % 10) {
    case 0:
        PUT(out, "\"account\":[\"%lu\"],\"detail\":{\"severity\":[{\"numeric\":[\">=\",%u]}]}",
            account, below(9));
        break;
    case 1:
        PUT(out, "\"account\":[\"%lu\"],\"detail\":{\"type\":[{\"prefix\":\"%.*s\"}]}", account, 8,
            PICK(finding_types));
        break;
    case 2:
        PUT(out,
            "\"detail-type\":[\"%s\"],\"detail\":{\"findings\":{\"AwsAccountId\":[\"%lu\"],"
            "\"Severity\":{\"Label\":[\"HIGH\",\"CRITICAL\"]}}}",
            sources[source][1], account);
        break;
    case 3:
        PUT(out,
            "\"detail\":{\"findings\":{\"Resources\":{\"Tags\":{\"team\":[\"t%u\"],\"stage\":"
            "[\"live\"]},\"Region\":[\"%s\"]}},\"severity\":[{\"numeric\":[\">\",%u]}]}",
            below(200), PICK(regions), below(9));
        break;
    case 4:
        PUT(out,
            "\"account\":[\"%lu\"],\"detail\":{\"userIdentity\":{\"arn\":[{\"wildcard\":"
            "\"*:assumed-role/role%u/*\"}]}}",
            account, below(500));
        break;
    case 5:
        PUT(out, "\"account\":[\"%lu\"],\"region\":[{\"anything-but\":[\"%s\"]}]", account,
            PICK(regions));
        break;
    case 6:
        PUT(out,
            "\"account\":[\"%lu\"],\"detail\":{\"findings\":{\"Network\":{\"SourceIpV4\":[{"
            "\"cidr\":"
            "\"%u.%u.0.0/16\"}]}}}",
            account, 1 + below(222), below(256));
        break;
    case 7:
        PUT(out,
            "\"account\":[\"%lu\",\"%lu\"],\"detail\":{\"findings\":{\"Compliance\":{\"Status\":"
            "[\"FAILED\"]},\"Title\":[{\"suffix\":\"%u\"}]}}",
            account, account_number(below(ACCOUNTS)), below(1000));
        break;
    case 8:
        PUT(out,
            "\"account\":[\"%lu\"],\"detail\":{\"findings\":{\"ProductName\":"
            "[{\"equals-ignore-case\":\"%s\"}],\"Archived\":[{\"exists\":false}]}}",
            account, sources[source][0] + 4);
        break;
    default:
        PUT(out,
            "\"account\":[\"%lu\"],\"$or\":[{\"detail\":{\"severity\":[{\"numeric\":[\">\",7]}]}},"
            "{\"detail\":{\"findings\":{\"Severity\":{\"Label\":[\"CRITICAL\"]}}}}]",
            account);
        break;
    }
    PUT(out, "}");
}

/* What most rules are: a source and a value that few others name. */
static void put_simple(struct buf *out, unsigned number)
{
    PUT(out,
        "{\"source\":[\"%s\"],\"detail\":{\"findings\":{\"ProductFields\":{\"detector\":[\"%08x\"]}"
        "}}}",
        sources[number % ARRAY_LEN(sources)][0], number * 2654435761u);
}

static void put_star(struct buf *out, unsigned number)
{
    PUT(out,
        "{\"detail\":{\"userIdentity\":{\"arn\":[{\"wildcard\":\"*:assumed-role/role%u/*\"}]}}}",
        number);
}

static void put_buts(struct buf *out, unsigned number)
{
    PUT(out, "{\"account\":[{\"anything-but\":[\"%lu\"]}]}", account_number(number));
}

/* What the thread has used of its CPU. */
static uint64_t cpu_us(void)
{
    struct timespec time;

    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

/* Rules for the events that are meant to hurt. */
static void put_key_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"detail\":{\"key%u\":[\"v%u\"]}}", number, number % 10);
}

static void put_array_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"detail\":{\"a\":{\"x\":[%u],\"y\":[%u],\"z\":[%u]}}}", number % 100,
        number / 100 % 100, number * 7 % 100);
}

static void put_nested_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"detail\":{\"a\":{\"x\":[%u],\"b\":{\"y\":[%u],\"z\":[%u]}}}}", number % 100,
        number / 100 % 100, number * 7 % 100);
}

static void put_shared_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"source\":[\"s\"],\"detail\":{\"k\":[{\"numeric\":[\">\",%u]}]}}", 1 + number);
}

static void put_star_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"detail\":{\"t\":[{\"wildcard\":\"*ab*c%u*\"}]}}", number);
}

static void put_or_rule(struct buf *out, unsigned number)
{
    PUT(out, "{\"$or\":[");
    for (unsigned i = 0; i < 30; i++) {
        PUT(out, "%s{\"detail\":{\"key%u\":[\"x%u\"],\"k\":[1]}}", i > 0 ? "," : "",
            (number * 30 + i) % 10000, number);
    }
    PUT(out, "]}");
}

/* ---- measuring ----------------------------------------------------------------------------- */

enum kind {
    EVENTS_PARCELS,
    EVENTS_FINDINGS,
    EVENTS_KEYS,
    EVENTS_OBJECTS,
    EVENTS_NESTED,
    EVENTS_TEXT
};

struct workload {
    const char *name;
    enum kind events;
    put_rule_fn put_rule;
    size_t rule_counts[5];
};

static const struct workload workloads[] = {
    {"parcels-exact", EVENTS_PARCELS, put_exact, {5}},
    {"parcels-prefix", EVENTS_PARCELS, put_prefix, {5}},
    {"parcels-wildcard", EVENTS_PARCELS, put_wildcard, {5}},
    {"parcels-anything-but", EVENTS_PARCELS, put_but, {5}},
    {"parcels-numeric", EVENTS_PARCELS, put_numeric, {5}},
    {"parcels-arrays", EVENTS_PARCELS, put_arrays, {5}},
    {"parcels-combined", EVENTS_PARCELS, put_combined, {45}},
    {"security", EVENTS_FINDINGS, put_security, {10, 1000, 10000, 100000}},
    {"simple", EVENTS_FINDINGS, put_simple, {1, 1000, 10000, 100000, 1000000}},
    {"stars", EVENTS_FINDINGS, put_star, {1000}},
    {"anything-but", EVENTS_FINDINGS, put_buts, {1000}},
    {"hurt-keys", EVENTS_KEYS, put_key_rule, {10000}},
    {"hurt-or", EVENTS_KEYS, put_or_rule, {1000}},
    {"hurt-shared", EVENTS_KEYS, put_shared_rule, {100000}},
    {"hurt-arrays", EVENTS_OBJECTS, put_array_rule, {1, 10000}},
    {"hurt-nested", EVENTS_NESTED, put_nested_rule, {1, 1000}},
    {"hurt-stars", EVENTS_TEXT, put_star_rule, {1000}},
};

static struct matcher *build(const struct workload *workload, size_t count, double *seconds)
{
    const struct events rules = make_texts(2, count, workload->put_rule);
    const uint64_t start_us = cpu_us();
    struct matcher_builder *builder = matcher_begin();
    struct matcher *matcher;

    for (size_t i = 0; i < count; i++) {
        struct pattern *pattern;
        struct err_why why;

        if (pattern_compile(rules.items[i], &pattern, &why) != ERR_OK) {
            (void)fprintf(stderr, "%.*s: %s\n", SLICE_ARG(rules.items[i]), why.text);
            exit(1);
        }
        matcher_add(builder, pattern);
        pattern_release(pattern);
    }
    matcher = matcher_finish(builder);
    *seconds = (double)(cpu_us() - start_us) / 1e6;
    clean_up_texts(&rules);
    return matcher;
}

/* The best times of each batch of events; what they add up to is what a pass takes that nothing
 * has disturbed. */
struct timing {
    uint64_t best_us[BATCHES_MAX];
    size_t batch_count, match_count;
};

/* Call `pass` for each batch, and keep what is better than before. */
static void time_pass(struct timing *timing, const struct events *events,
                      size_t (*pass)(const struct events *events, size_t from, size_t end,
                                     void *context),
                      void *context)
{
    const size_t size = events->count / BATCHES_MAX + 1;

    timing->batch_count = 0;
    timing->match_count = 0;
    for (size_t from = 0; from < events->count; from += size) {
        uint64_t *best_us = &timing->best_us[timing->batch_count++];
        const uint64_t start_us = cpu_us();
        uint64_t spent_us;

        timing->match_count += pass(events, from, MIN_OF(from + size, events->count), context);
        spent_us = cpu_us() - start_us;
        *best_us = *best_us == 0 ? spent_us : MIN_OF(*best_us, spent_us);
    }
}

static double total_seconds(const struct timing *timing)
{
    uint64_t total_us = 0;

    for (size_t i = 0; i < timing->batch_count; i++) {
        total_us += timing->best_us[i];
    }
    return (double)total_us / 1e6;
}

struct ours {
    const struct matcher *matcher;
    struct matcher_scratch *scratch;
};

static size_t match_batch(const struct events *events, size_t from, size_t end, void *context)
{
    const struct ours *ours = context;
    size_t count = 0;

    for (size_t i = from; i < end; i++) {
        size_t steps_left = RULESET_STEPS_MAX;
        struct matcher_answer answer;

        CHECK(matcher_match(&ours->matcher, 1, events->items[i], &steps_left, ours->scratch,
                            &answer) == ERR_OK);
        count += answer.match_count;
    }
    return count;
}

static size_t parse_batch(const struct events *events, size_t from, size_t end, void *context)
{
    (void)context;
    for (size_t i = from; i < end; i++) {
        json_t *value = json_loadb(events->items[i].data, events->items[i].len, 0, NULL);

        CHECK(value != NULL);
        json_decref(value);
    }
    return 0;
}

static void measure(const struct workload *workload, const struct events *events, size_t rule_count)
{
    double build_seconds;
    struct ours ours = {.matcher = NULL, .scratch = matcher_scratch_new()};
    struct matcher *matcher = build(workload, rule_count, &build_seconds);
    struct timing our_timing = {.batch_count = 0};
    struct timing their_timing = {.batch_count = 0};
    const double count = (double)events->count;
    double seconds;

    ours.matcher = matcher;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned again = 0; again < 3; again++) {
            time_pass(&our_timing, events, match_batch, &ours);
        }
        time_pass(&their_timing, events, parse_batch, NULL);
    }
    seconds = total_seconds(&our_timing);
    (void)printf("%-22s %8zu %10.0f %8.0f %8.1f %9.2f %8.0f %8.2f\n", workload->name, rule_count,
                 count / seconds, (double)events->text.len / seconds / 1e6,
                 total_seconds(&their_timing) / seconds, (double)our_timing.match_count / count,
                 (double)matcher_memory_bytes(matcher) / (double)rule_count,
                 build_seconds / (double)rule_count * 1e6);
    (void)fflush(stdout);
    matcher_release(matcher);
    matcher_scratch_destroy(ours.scratch);
}

int main(int argc, char **argv)
{
    struct events events[] = {
        [EVENTS_PARCELS] = make_texts(1, PARCELS, put_parcel),
        [EVENTS_FINDINGS] = make_texts(1, FINDINGS, put_finding),
        [EVENTS_KEYS] = make_texts(1, HURTS, put_keys),
        [EVENTS_OBJECTS] = make_texts(1, HURTS, put_objects),
        [EVENTS_NESTED] = make_texts(1, HURTS, put_nested),
        [EVENTS_TEXT] = make_texts(1, HURTS, put_long_text),
    };

    (void)printf("parcels: %zu bytes each, findings: %zu, those that hurt: %d\n",
                 events[EVENTS_PARCELS].text.len / PARCELS,
                 events[EVENTS_FINDINGS].text.len / FINDINGS, HURT_BYTES);
    (void)printf("%-22s %8s %10s %8s %8s %9s %8s %8s\n", "workload", "rules", "events/s", "MB/s",
                 "jansson", "matches", "B/rule", "us/rule");
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        if (argc > 1 && strcmp(argv[1], workloads[i].name) != 0) {
            continue;
        }
        for (size_t j = 0; j < ARRAY_LEN(workloads[i].rule_counts); j++) {
            const size_t count = workloads[i].rule_counts[j];

            if (count > 0 && (argc < 3 || strtoull(argv[2], NULL, 10) == count)) {
                measure(&workloads[i], &events[workloads[i].events], count);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        clean_up_texts(&events[i]);
    }
    return 0;
}
