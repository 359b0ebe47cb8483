/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_server.h - a real redis-server of the test's own: free port, folder, append-only file.
 */
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"

struct redis_server {
    pid_t pid;
    int port;
    char folder[64];
};

static inline int redis_server_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

/* Start it; who uses it waits for its answer, as weir does. */
static inline void redis_server_start(struct redis_server *server)
{
    char port[8];
    const char *const argv[] = {"redis-server",
                                "--port",
                                port,
                                "--bind",
                                "127.0.0.1",
                                "--dir",
                                server->folder,
                                "--appendonly",
                                "yes",
                                "--appendfsync",
                                "always",
                                "--save",
                                "",
                                "--logfile",
                                "redis.log",
                                NULL};
    extern char **environ;

    if (server->folder[0] == '\0') {
        (void)snprintf(server->folder, sizeof(server->folder), "/tmp/weir-redis-XXXXXX");
        CHECK(mkdtemp(server->folder) != NULL);
        server->port = redis_server_free_port();
    }
    (void)snprintf(port, sizeof(port), "%d", server->port);
    CHECK(posix_spawnp(&server->pid, "redis-server", NULL, NULL, (char *const *)(uintptr_t)argv,
                       environ) == 0);
}

static inline void redis_server_kill(struct redis_server *server)
{
    if (server->pid > 0) {
        (void)kill(server->pid, SIGKILL);
        (void)waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

static inline void redis_server_stop(struct redis_server *server)
{
    const char *const argv[] = {"rm", "-rf", server->folder, NULL};
    extern char **environ;
    pid_t pid;

    redis_server_kill(server);
    CHECK(posix_spawnp(&pid, "rm", NULL, NULL, (char *const *)(uintptr_t)argv, environ) == 0);
    (void)waitpid(pid, NULL, 0);
    server->folder[0] = '\0';
}
