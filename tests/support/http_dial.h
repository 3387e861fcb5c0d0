/* A POST whose answer nobody has to wait for: the socket is the test's, to read from or to close in the middle. */
#ifndef OPS_TESTS_HTTP_DIAL_H
#define OPS_TESTS_HTTP_DIAL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* -1: it could not be sent. */
static inline int http_dial(uint16_t port, const char *path, const char *body)
{
    char text[2048];
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int n = snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                           path, strlen(body), body);
    if (fd < 0 || n >= (int)sizeof text)
        return -1;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 && write(fd, text, (size_t)n) == n)
        return fd;
    close(fd);
    return -1;
}

#endif
