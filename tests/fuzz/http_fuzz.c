/* Bytes over a connection to the server, which then closes its sending side: whatever they are, the server answers or hangs
 * up, holds its bounds, and has no request left. Routes answer at once, in pieces, and never. */
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coordinator/http/server.h"

enum { BODY_MAX = 256, WAIT_MS = 5000 };

static ops_http *server;

static void echo(ops_http_req *req, void *user)
{
    (void)user;
    if (ops_http_body(req).n > BODY_MAX)
        __builtin_trap();
    (void)ops_http_query(req, "q");
    ops_http_reply(req, 200, "text/plain", ops_http_body(req));
}

static void pieces(ops_http_req *req, void *user)
{
    (void)user;
    const ops_slice body = ops_http_body(req);
    if (ops_http_stream_begin(req, 200, "text/plain", BODY_MAX / 2) != OPS_OK) {
        ops_http_reply_error(req, OPS_ENOMEM, "no stream");
        return;
    }
    (void)!ops_http_stream_write(req, body); /* half of what is taken does not fit */
    (void)!ops_http_stream_write(req, OPS_SLICE("."));
    ops_http_stream_end(req);
}

static void on_gone(void *ctx)
{
    *(bool *)ctx = true;
}

/* The far end closes its side: so whoever asks for this is gone, sooner or later; the answer comes at once all the same. */
static void watched(ops_http_req *req, void *user)
{
    static bool gone;
    (void)user;
    ops_http_on_gone(req, on_gone, &gone);
    ops_http_reply_error(req, OPS_EAGAIN, "later");
}

static ops_status doubled(void *user, ops_slice encoding, ops_slice body, ops_strbuf *ret_body,
                          ops_err *reterr)
{
    (void)user;
    if (!ops_slice_eq(encoding, OPS_SLICE("x2")))
        return ops_fail(reterr, OPS_EUNIMPL, "no such encoding");
    ops_strbuf_slice(ret_body, body);
    ops_strbuf_slice(ret_body, body);
    return OPS_OK;
}

static void serve(void)
{
    const ops_http_conf conf = {.address = "127.0.0.1:0", .inflate = doubled, .inflight_bytes_max = 1 << 20};
    const ops_http_route routes[] = {
        {.method = "GET", .path = "/echo", .handler = echo},
        {.method = "POST", .path = "/echo", .body_max = BODY_MAX, .handler = echo},
        {.method = "POST", .path = "/v/*", .body_max = BODY_MAX, .role = OPS_ROLE_VIEWER, .handler = pieces},
        {.method = "POST", .path = "/watched", .body_max = BODY_MAX, .handler = watched}};
    if (ops_http_new(&conf, &server, NULL) != OPS_OK)
        abort();
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (ops_http_route_add(server, &routes[i], NULL) != OPS_OK)
            abort();
    if (ops_http_start(server, NULL) != OPS_OK)
        abort();
}

static void hear_the_end(int fd)
{
    char b[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    do {
        if (poll(&p, 1, WAIT_MS) != 1) /* it neither answers nor hangs up */
            __builtin_trap();
    } while (read(fd, b, sizeof b) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct linger at_once = {.l_onoff = 1}; /* leaves no port in TIME_WAIT */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (server == NULL)
        serve();
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_port = htons(ops_http_port(server));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof at) != 0)
        abort();
    if (send(fd, data, size, MSG_NOSIGNAL) >= 0 && shutdown(fd, SHUT_WR) == 0)
        hear_the_end(fd);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    ops_http_stats s;
    for (int i = 0; i < WAIT_MS; i++) {
        ops_http_stats_get(server, &s);
        if (s.inflight_requests == 0 && s.inflight_bytes == 0)
            return 0;
        usleep(1000);
    }
    __builtin_trap(); /* a request that never ends */
}
