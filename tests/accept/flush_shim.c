/* SPDX-License-Identifier: Apache-2.0
 *
 * flush_shim.c - a disk that is as slow as one likes, and that keeps a diary.
 *
 * Loaded into weir with LD_PRELOAD.  Each fdatasync and fsync is done for real and then takes
 * FLUSH_DELAY_MS longer; one line "BEGIN END" (nanoseconds of CLOCK_MONOTONIC) is appended to
 * FLUSH_LOG before it returns, so whoever was answered because of it was answered later than END.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void note(long long begin_ns, long long end_ns)
{
    const char *path = getenv("FLUSH_LOG");
    char line[64];
    const int len = snprintf(line, sizeof(line), "%lld %lld\n", begin_ns, end_ns);
    const int log = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (log >= 0) {
        if (write(log, line, (size_t)len) != len) {
            abort();
        }
        close(log);
    }
}

static int slowly(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *delay = getenv("FLUSH_DELAY_MS");
    const long delay_ms = delay != NULL ? atol(delay) : 0;
    const struct timespec pause = {delay_ms / 1000, delay_ms % 1000 * 1000000};
    const long long begin_ns = now_ns();
    const int result = real(fd);

    nanosleep(&pause, NULL);
    note(begin_ns, now_ns());
    return result;
}

int fdatasync(int fd)
{
    return slowly("fdatasync", fd);
}

int fsync(int fd)
{
    return slowly("fsync", fd);
}
