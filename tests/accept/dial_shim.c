/* SPDX-License-Identifier: Apache-2.0
 *
 * dial_shim.c - a name service that lies, loaded before the process: names that end in
 * .amazonaws.com lead where the file $DIAL_NAMES says ("NAME ADDRESS" a line, read anew at each
 * question); each address that connect() is asked for is written to $DIAL_LOG, a line each.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends_in(const char *name, const char *end)
{
    const size_t len = strlen(name);

    return len >= strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    char known[256];
    char address[128];
    FILE *file;

    if (name == NULL || !ends_in(name, ".amazonaws.com")) {
        return real(name, service, hints, result);
    }
    file = fopen(getenv("DIAL_NAMES"), "r");
    if (file == NULL) {
        return EAI_FAIL;
    }
    while (fscanf(file, "%255s %127s", known, address) == 2) {
        if (strcmp(known, name) == 0) {
            (void)fclose(file);
            return real(address, service, &numeric, result);
        }
    }
    (void)fclose(file);
    return EAI_NONAME;
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int (*real)(int, const struct sockaddr *, socklen_t) =
        (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    const void *bytes = address->sa_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    char text[INET6_ADDRSTRLEN + 1];
    int log;

    if ((address->sa_family == AF_INET || address->sa_family == AF_INET6) &&
        inet_ntop(address->sa_family, bytes, text, INET6_ADDRSTRLEN) != NULL) {
        (void)strcat(text, "\n");
        log = open(getenv("DIAL_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0 || write(log, text, strlen(text)) < 0) {
            abort(); /* what is not written down proves nothing */
        }
        (void)close(log);
    }
    return real(fd, address, len);
}
