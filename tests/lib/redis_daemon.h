/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_daemon.h - a real redis-server with any options, which can be killed and run again on its
 * port; its folder lies under /tmp and goes with it.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/slice.h"

enum { REDIS_DAEMON_OPTIONS_MAX = 80 };

struct redis_daemon {
    char folder[64];
    uint16_t port;
    pid_t pid; /* 0: not running */
    int output;
};

static inline uint16_t redis_daemon_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    CHECK(close(fd) == 0);
    return ntohs(address.sin_port);
}

/* Sleep until the server's log says that it is ready. */
static inline void redis_daemon_await_ready(struct redis_daemon *server)
{
    static const char ready[] = "Ready to accept connections";
    char text[65536];
    size_t len = 0;

    while (len < sizeof(text) - 1) {
        const ssize_t count = read(server->output, text + len, sizeof(text) - 1 - len);

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            text[len] = '\0';
            check_failed(text, __FILE__, __LINE__); /* it ended: its log says why */
        }
        len += (size_t)count;
        text[len] = '\0';
        if (strstr(text, ready) != NULL) {
            return;
        }
    }
    check_failed("redis-server says too much", __FILE__, __LINE__);
}

/* Start on the port it had, or a new one; `options` ("--maxmemory", "1mb", …) ends with NULL. */
static inline void redis_daemon_run(struct redis_daemon *server, const char *const *options)
{
    const char *arguments[REDIS_DAEMON_OPTIONS_MAX + 16] = {
        "redis-server", "--dir", server->folder, "--bind", "127.0.0.1", "--save", ""};
    size_t count = 7;
    char port[8];
    int ends[2];

    (void)snprintf(port, sizeof(port), "%u", (unsigned)server->port);
    arguments[count++] = "--port";
    arguments[count++] = port;
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        CHECK(i < REDIS_DAEMON_OPTIONS_MAX);
        arguments[count++] = options[i];
    }
    CHECK(pipe(ends) == 0);
    server->pid = fork();
    CHECK(server->pid >= 0);
    if (server->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    CHECK(close(ends[1]) == 0);
    server->output = ends[0];
    redis_daemon_await_ready(server);
}

static inline void redis_daemon_start(struct redis_daemon *server, const char *const *options)
{
    *server = (struct redis_daemon){.port = redis_daemon_free_port()};
    (void)snprintf(server->folder, sizeof(server->folder), "/tmp/weir-redis-XXXXXX");
    CHECK(mkdtemp(server->folder) != NULL);
    redis_daemon_run(server, options);
}

/* End the process with `signal_no`; its folder and port stay for redis_daemon_run(). */
static inline void redis_daemon_kill(struct redis_daemon *server, int signal_no)
{
    if (server->pid > 0) {
        CHECK(kill(server->pid, signal_no) == 0);
        (void)kill(server->pid, SIGCONT);
        CHECK(waitpid(server->pid, NULL, 0) == server->pid);
        CHECK(close(server->output) == 0);
        server->pid = 0;
    }
}

static inline void redis_daemon_stop(struct redis_daemon *server)
{
    char command[128];

    redis_daemon_kill(server, SIGKILL);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", server->folder);
    CHECK(system(command) == 0);
}

/* What Redis answers to one inline command ("INFO memory\r\n"), its first bytes. */
static inline void redis_daemon_ask(const struct redis_daemon *server, const char *command,
                                    char *answer, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server->port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t len;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(send(fd, command, strlen(command), 0) == (ssize_t)strlen(command));
    len = recv(fd, answer, size - 1, 0);
    CHECK(len > 0);
    answer[len] = '\0';
    CHECK(close(fd) == 0);
}
