/* One way to bind, so that each door says the same about a port in use. */
#include "coordinator/listen/listen.h"

#include "coordinator/listen/holder.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static ops_status split(const char *address, char host[256], char port[8], ops_err *reterr)
{
    const char *colon = address != NULL ? strrchr(address, ':') : NULL;
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;
    if (colon == NULL || n == 0 || n > 255 || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return ops_fail(reterr, OPS_EINVAL, "address '%.64s': expected HOST:PORT",
                        address != NULL ? address : "");
    if (address[0] == '[' && colon[-1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n) != NULL) {
        return ops_fail(reterr, OPS_EINVAL, "address '%.64s': an IPv6 host goes in brackets", address);
    }
    memcpy(host, address, n);
    host[n] = '\0';
    snprintf(port, 8, "%s", colon + 1);
    return OPS_OK;
}

static ops_status bind_one(const struct addrinfo *ai, const char *address, int *ret_fd, uint16_t *ret_port,
                           ops_err *reterr)
{
    int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return ops_fail(reterr, OPS_EIO, "%s: socket: %m", address);
    if (ai->ai_socktype == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    struct sockaddr_storage bound = {0};
    socklen_t n = sizeof bound;
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
        (ai->ai_socktype == SOCK_STREAM && listen(fd, 512) != 0) ||
        getsockname(fd, (struct sockaddr *)&bound, &n) != 0) {
        int error = errno;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)ai->ai_addr;
        uint16_t port = ntohs(v4->sin_port); /* same place in sockaddr_in6 */
        close(fd);
        if (error == EADDRINUSE)
            return ops_port_in_use(address, port, reterr);
        errno = error;
        return ops_fail(reterr, error == EACCES ? OPS_EPERM : OPS_EIO, "%s: %m", address);
    }
    struct sockaddr_in v4;
    memcpy(&v4, &bound, sizeof v4);
    *ret_port = ntohs(v4.sin_port);
    *ret_fd = fd;
    return OPS_OK;
}

ops_status ops_listen_open(const char *address, int type, int *ret_fd, uint16_t *ret_port, ops_err *reterr)
{
    char host[256], port[8];
    ops_status st = split(address, host, port, reterr);
    if (st != OPS_OK)
        return st;
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
    int e = getaddrinfo(host, port, &hints, &list);
    if (e != 0 || list == NULL)
        return ops_fail(reterr, OPS_EINVAL, "address '%s': %s", address, gai_strerror(e));
    /* IPv4 first: "localhost" then means 127.0.0.1 wherever it exists. */
    const struct addrinfo *pick = list;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
        if (ai->ai_family == AF_INET) {
            pick = ai;
            break;
        }
    st = bind_one(pick, address, ret_fd, ret_port, reterr);
    freeaddrinfo(list);
    return st;
}
