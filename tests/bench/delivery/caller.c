/* SPDX-License-Identifier: Apache-2.0
 *
 * caller.c - libcurl and nothing else: sends events to weir, or to the far end what weir sends it.
 *
 *     caller events URL CA HEADER ACCOUNTS DEPTH COUNT RATE LOG
 *         POSTs COUNT events of 1 KiB, RATE a second (0: as many as go), over HTTP/2, DEPTH at a
 * time, of ACCOUNTS accounts in turn (100000000000 and on); each that was answered with 200 is a
 *         line "ID MICROSECONDS" of LOG, by the steady clock
 *     caller bare URL CA SAMPLE DEPTH COUNT
 *         POSTs what the file SAMPLE holds (lines "name: value", an empty line, the body) COUNT
 * times over HTTP/1.1 with kept connections, DEPTH at a time: what the calls of a delivery cost
 *         somebody who neither remembers, nor signs, nor judges
 *
 * It prints seconds and the CPU seconds of this process.  Any answer but 2xx ends it with 1.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 512, EVENT_BYTES = 1024, SAMPLE_MAX_BYTES = 2 * 1024 * 1024 };

struct slot {
    CURL *handle;
    char id[40];
    char body[EVENT_BYTES + 1];
    bool is_busy;
};

static struct {
    const char *url;
    const char *ca;
    struct curl_slist *headers;
    struct slot slots[DEPTH_MAX];
    unsigned depth;
    uint64_t count;
    uint64_t rate;
    uint64_t begun;
    uint64_t ended;
    uint64_t start_us;
    unsigned accounts; /* 0: `sample` instead of events */
    char *sample;
    size_t sample_bytes;
    FILE *log;
    CURLM *multi;
} load;

static void die(const char *what)
{
    (void)fprintf(stderr, "caller: %s\n", what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t swallow(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

/* An envelope of exactly EVENT_BYTES with an id of its own. */
static void write_event(struct slot *slot)
{
    static const char end[] = "\"}}";
    int len;

    (void)snprintf(slot->id, sizeof(slot->id), "%08x-0000-4000-8000-%012" PRIx64,
                   (unsigned)getpid(), load.begun);
    len = snprintf(slot->body, sizeof(slot->body),
                   "{\"version\":\"0\",\"id\":\"%s\",\"detail-type\":\"GuardDuty Finding\","
                   "\"source\":\"com.example.bench\",\"account\":\"%012" PRIu64 "\","
                   "\"time\":\"2026-01-01T00:00:00Z\",\"region\":\"us-east-1\",\"resources\":[],"
                   "\"detail\":{\"severity\":8,\"type\":\"Recon:EC2/Portscan\",\"pad\":\"",
                   slot->id, UINT64_C(100000000000) + load.begun % load.accounts);
    memset(slot->body + len, 'x', EVENT_BYTES - (size_t)len);
    memcpy(slot->body + EVENT_BYTES - (sizeof(end) - 1), end, sizeof(end));
}

static void begin(struct slot *slot)
{
    if (load.accounts > 0) {
        write_event(slot);
        curl_easy_setopt(slot->handle, CURLOPT_POSTFIELDS, slot->body);
    }
    slot->is_busy = true;
    load.begun++;
    curl_multi_add_handle(load.multi, slot->handle);
}

/* Begin what is due and has a slot; milliseconds until the next is due. */
static int begin_due(void)
{
    const uint64_t passed_us = now_us() - load.start_us;
    const uint64_t due = load.rate > 0 ? passed_us * load.rate / 1000000 + 1 : load.count;

    for (unsigned i = 0; i < load.depth && load.begun < due && load.begun < load.count; i++) {
        if (!load.slots[i].is_busy) {
            begin(&load.slots[i]);
        }
    }
    return load.rate > 0 ? 1 : 1000;
}

static void take_answers(void)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(load.multi, &left)) != NULL) {
        CURL *handle = message->easy_handle;
        const CURLcode result = message->data.result;
        struct slot *slot;
        long status;

        curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(handle, CURLINFO_PRIVATE, &slot);
        if (result != CURLE_OK || status < 200 || status > 299) {
            (void)fprintf(stderr, "caller: %s, status %ld\n", curl_easy_strerror(result), status);
            exit(1);
        }
        if (load.log != NULL) {
            (void)fprintf(load.log, "%s %" PRIu64 "\n", slot->id, now_us());
        }
        curl_multi_remove_handle(load.multi, handle);
        slot->is_busy = false;
        load.ended++;
    }
}

static void prepare(void)
{
    load.multi = curl_multi_init();
    curl_multi_setopt(load.multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      load.accounts > 0 ? 4L : (long)load.depth);
    curl_multi_setopt(load.multi, CURLMOPT_MAXCONNECTS, (long)load.depth);
    for (unsigned i = 0; i < load.depth; i++) {
        CURL *handle = curl_easy_init();

        load.slots[i].handle = handle;
        curl_easy_setopt(handle, CURLOPT_URL, load.url);
        curl_easy_setopt(handle, CURLOPT_CAINFO, load.ca);
        curl_easy_setopt(handle, CURLOPT_HTTPHEADER, load.headers);
        curl_easy_setopt(handle, CURLOPT_PRIVATE, &load.slots[i]);
        curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, swallow);
        curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, 60000L);
        curl_easy_setopt(handle, CURLOPT_PIPEWAIT, load.accounts > 0 ? 1L : 0L);
        curl_easy_setopt(handle, CURLOPT_HTTP_VERSION,
                         load.accounts > 0 ? (long)CURL_HTTP_VERSION_2TLS
                                           : (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE,
                         load.accounts > 0 ? (long)EVENT_BYTES : (long)load.sample_bytes);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, load.sample);
    }
}

static void run(void)
{
    struct rusage usage;
    int running;

    prepare();
    load.start_us = now_us();
    while (load.ended < load.count) {
        const int wait_ms = begin_due();

        curl_multi_perform(load.multi, &running);
        take_answers();
        if (running > 0 || load.rate > 0) {
            curl_multi_poll(load.multi, NULL, 0, wait_ms, NULL);
        }
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%.6f %.6f\n", (double)(now_us() - load.start_us) / 1e6,
                 (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

static void add_header(const char *line)
{
    load.headers = curl_slist_append(load.headers, line);
}

static void read_sample(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[8192];

    if (file == NULL) {
        die("there is no sample");
    }
    while (fgets(line, sizeof(line), file) != NULL && line[0] != '\n') {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "host:", 5) != 0 && strncmp(line, "content-length:", 15) != 0) {
            add_header(line);
        }
    }
    load.sample = malloc(SAMPLE_MAX_BYTES);
    load.sample_bytes = load.sample != NULL ? fread(load.sample, 1, SAMPLE_MAX_BYTES, file) : 0;
    (void)fclose(file);
    if (load.sample_bytes == 0) {
        die("the sample is empty");
    }
    add_header("Expect:");
}

static uint64_t number_of(const char *text)
{
    return strtoull(text, NULL, 10);
}

int main(int argc, char **argv)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (argc == 10 && strcmp(argv[1], "events") == 0) {
        add_header(argv[4]);
        add_header("Content-Type: application/json");
        add_header("Expect:");
        load.accounts = (unsigned)number_of(argv[5]);
        load.rate = number_of(argv[8]);
        load.log = fopen(argv[9], "w");
    } else if (argc == 7 && strcmp(argv[1], "bare") == 0) {
        read_sample(argv[4]);
    } else {
        die("see the top of caller.c for how it is called");
    }
    load.url = argv[2];
    load.ca = argv[3];
    load.depth = (unsigned)number_of(argv[load.accounts > 0 ? 6 : 5]);
    load.count = number_of(argv[load.accounts > 0 ? 7 : 6]);
    if (load.depth == 0 || load.depth > DEPTH_MAX || (load.accounts > 0 && load.log == NULL)) {
        die("a depth of 1 to 512 and a log that can be written, please");
    }
    run();
    if (load.log != NULL) {
        (void)fclose(load.log);
    }
    return 0;
}
