/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_thief.h - a way to Redis on which an answer is lost.
 *
 * A thread passes bytes on between clients and a Redis.  When a client says the words that the
 * thief waits for, Redis gets them, and then the end of the connection; so it executes what was
 * asked, and its answer goes nowhere.  The thief then lets nobody through until it is opened again.
 */
#pragma once

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/lib/redis_daemon.h"

enum { THIEF_PAIRS = 8, THIEF_LOOK_MS = 10, THIEF_WORDS_MAX = 64 };

struct redis_thief {
    uint16_t port;
    uint16_t redis_port;
    int listener;
    int clients[THIEF_PAIRS]; /* -1: free */
    int servers[THIEF_PAIRS];
    bool is_stealing[THIEF_PAIRS];
    pthread_t thread;
    pthread_mutex_t lock;
    char words[THIEF_WORDS_MAX]; /* under the lock; empty: nothing to steal */
    atomic_bool is_closed;
    atomic_bool is_stopping;
};

static inline int thief_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static inline void thief_end_pair(struct redis_thief *thief, size_t i)
{
    CHECK(close(thief->clients[i]) == 0);
    CHECK(close(thief->servers[i]) == 0);
    thief->clients[i] = -1;
}

static inline void thief_accept(struct redis_thief *thief)
{
    const int client = accept(thief->listener, NULL, NULL);
    size_t i = 0;

    if (client < 0 || atomic_load(&thief->is_closed)) {
        (void)close(client);
        return;
    }
    while (thief->clients[i] >= 0) {
        CHECK(++i < THIEF_PAIRS);
    }
    thief->clients[i] = client;
    thief->servers[i] = thief_connect(thief->redis_port);
    thief->is_stealing[i] = false;
}

static inline bool thief_hears(struct redis_thief *thief, const char *bytes, size_t len)
{
    bool hears;

    CHECK(pthread_mutex_lock(&thief->lock) == 0);
    hears =
        thief->words[0] != '\0' && memmem(bytes, len, thief->words, strlen(thief->words)) != NULL;
    if (hears) {
        thief->words[0] = '\0';
    }
    CHECK(pthread_mutex_unlock(&thief->lock) == 0);
    return hears;
}

static inline bool thief_send(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

static inline void thief_pass(struct redis_thief *thief, size_t i, bool is_from_client)
{
    char bytes[65536];
    const ssize_t len =
        recv(is_from_client ? thief->clients[i] : thief->servers[i], bytes, sizeof(bytes), 0);
    bool is_over = len <= 0;

    if (!is_over && is_from_client && !thief->is_stealing[i]) {
        const bool hears = thief_hears(thief, bytes, (size_t)len);

        is_over = !thief_send(thief->servers[i], bytes, (size_t)len);
        if (hears) {
            atomic_store(&thief->is_closed, true);
            thief->is_stealing[i] = true;
            CHECK(shutdown(thief->servers[i], SHUT_WR) == 0);
        }
    } else if (!is_over && !is_from_client && !thief->is_stealing[i]) {
        is_over = !thief_send(thief->clients[i], bytes, (size_t)len);
    }
    if (is_over) {
        thief_end_pair(thief, i);
    }
}

static inline void *thief_main(void *context)
{
    struct redis_thief *thief = context;

    while (!atomic_load(&thief->is_stopping)) {
        struct pollfd fds[2 * THIEF_PAIRS + 1];

        fds[0] = (struct pollfd){.fd = thief->listener, .events = POLLIN};
        for (size_t i = 0; i < THIEF_PAIRS; i++) {
            const bool is_used = thief->clients[i] >= 0;

            fds[1 + 2 * i] =
                (struct pollfd){.fd = is_used ? thief->clients[i] : -1, .events = POLLIN};
            fds[2 + 2 * i] =
                (struct pollfd){.fd = is_used ? thief->servers[i] : -1, .events = POLLIN};
        }
        (void)poll(fds, 2 * THIEF_PAIRS + 1, THIEF_LOOK_MS);
        for (size_t i = 0; i < 2 * (size_t)THIEF_PAIRS; i++) {
            if (fds[1 + i].revents != 0 && thief->clients[i / 2] >= 0) {
                thief_pass(thief, i / 2, i % 2 == 0);
            }
        }
        if (fds[0].revents != 0) {
            thief_accept(thief);
        }
    }
    return NULL;
}

static inline void redis_thief_start(struct redis_thief *thief, uint16_t redis_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    *thief = (struct redis_thief){.redis_port = redis_port};
    for (size_t i = 0; i < THIEF_PAIRS; i++) {
        thief->clients[i] = -1;
    }
    thief->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(thief->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(thief->listener, 16) == 0);
    CHECK(getsockname(thief->listener, (struct sockaddr *)&address, &len) == 0);
    thief->port = ntohs(address.sin_port);
    CHECK(pthread_mutex_init(&thief->lock, NULL) == 0);
    CHECK(pthread_create(&thief->thread, NULL, thief_main, thief) == 0);
}

/* The answer to the next call that holds these words is lost. */
static inline void redis_thief_wait_for(struct redis_thief *thief, const char *words)
{
    CHECK(strlen(words) < THIEF_WORDS_MAX);
    CHECK(pthread_mutex_lock(&thief->lock) == 0);
    memcpy(thief->words, words, strlen(words) + 1);
    CHECK(pthread_mutex_unlock(&thief->lock) == 0);
}

static inline void redis_thief_open(struct redis_thief *thief)
{
    atomic_store(&thief->is_closed, false);
}

static inline void redis_thief_stop(struct redis_thief *thief)
{
    atomic_store(&thief->is_stopping, true);
    CHECK(pthread_join(thief->thread, NULL) == 0);
    for (size_t i = 0; i < THIEF_PAIRS; i++) {
        if (thief->clients[i] >= 0) {
            thief_end_pair(thief, i);
        }
    }
    CHECK(close(thief->listener) == 0);
    CHECK(pthread_mutex_destroy(&thief->lock) == 0);
}
