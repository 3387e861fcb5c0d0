/* Syslog over TCP (RFC 6587: octet counting, or lines) and UDP (RFC 5426). Frames only; what a line means is ingest's.
 * A connection's first bytes settle its framing for good: "123 <" counts octets, anything else is lines. */
#include "coordinator/source/internal.h"

#include "base/mem/alloc.h"
#include "coordinator/listen/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_BYTES 65536
#define UDP_BUF_BYTES  (512u << 10)
#define FRAME_HEAD_MAX 9  /* digits of a length and the blank */
#define ROUND_READS    16 /* per socket and round */
#define WAIT_MS        500
#define RETRY_MS       20 /* while the sink is full */

enum framing { UNKNOWN, COUNTED, LINES };

struct conn {
    int fd;
    char peer[64];
    enum framing framing;
    char *buf;
    size_t have;
    size_t skip_bytes; /* of a counted frame whose head was handed over */
    bool skipping;     /* to the next line end */
    bool blocked, ended, broken;
    int64_t last_ms;
};

struct ops_syslog {
    const ops_source_conf *conf;
    const ops_source_sink *sink;
    ops_source_tally *tally;
    int tcp, udp;
    uint16_t tcp_port, udp_port;
    size_t buf_bytes;
    struct conn **conns;
    size_t n;
    struct pollfd *polls;
    ops_source_line lines[OPS_SOURCE_BATCH_LINES_MAX];
    /* datagrams of one peer that wait for the sink, and one more of another peer */
    char *dgrams, *held;
    size_t dgram_bytes, dgram_count, held_bytes;
    ops_source_line dgram_lines[OPS_SOURCE_BATCH_LINES_MAX];
    char dgram_peer[64], held_peer[64];
    bool udp_blocked;
};

static void peer_name(const struct sockaddr_storage *sa, socklen_t n, char out[64])
{
    if (getnameinfo((const struct sockaddr *)sa, n, out, 64, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(out, 64, "unknown");
}

static ops_slice line_of(char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r' || p[n - 1] == '\0'))
        n--;
    return ops_slice_of(p, n);
}

static void settle(struct conn *c)
{
    size_t i = 0;
    while (i < c->have && i < FRAME_HEAD_MAX - 1 && c->buf[i] >= '0' && c->buf[i] <= '9')
        i++;
    if (i + 1 >= c->have && i > 0 && i < FRAME_HEAD_MAX - 1 && !c->ended)
        return; /* could be either yet */
    bool counted = i > 0 && c->buf[0] != '0' && i + 1 < c->have && c->buf[i] == ' ' && c->buf[i + 1] == '<';
    c->framing = counted ? COUNTED : LINES;
}

/* One frame from the front of `p`. Returns bytes used, 0 when more are needed. */
static size_t cut_counted(const ops_syslog *y, struct conn *c, char *p, size_t have, ops_source_line *ret)
{
    size_t length = 0, i = 0;
    while (i < have && i < FRAME_HEAD_MAX - 1 && p[i] >= '0' && p[i] <= '9')
        length = length * 10 + (size_t)(p[i++] - '0');
    if (i == have && i < FRAME_HEAD_MAX - 1)
        return 0;
    if (i == 0 || length == 0 || i >= have || p[i] != ' ') {
        c->broken = true;
        return 0;
    }
    size_t start = i + 1, max = y->conf->line_bytes_max;
    if (have - start < (length < max ? length : max))
        return 0;
    if (length <= max) {
        ret->text = line_of(p + start, length);
        return start + length;
    }
    *ret = (ops_source_line){.text = ops_slice_of(p + start, max), .truncated = true};
    c->skip_bytes = length - max;
    return start + max;
}

static size_t cut_line(const ops_syslog *y, struct conn *c, char *p, size_t have, ops_source_line *ret)
{
    char *nl = memchr(p, '\n', have);
    size_t length = nl != NULL ? (size_t)(nl - p) : have, max = y->conf->line_bytes_max;
    bool whole = nl != NULL || c->ended;
    if (c->skipping) {
        c->skipping = !whole;
        return length + (nl != NULL);
    }
    if (!whole && length <= max)
        return 0;
    *ret = (ops_source_line){.text = length > max ? ops_slice_of(p, max) : line_of(p, length),
                             .truncated = length > max};
    c->skipping = !whole;
    return length + (nl != NULL);
}

/* Hands over what the buffer holds. True: it took something. On a full sink nothing of the connection changes. */
static bool conn_hand_over(ops_syslog *y, struct conn *c)
{
    const struct conn before = *c;
    size_t used = 0, n = 0;
    while (used < c->have && n < OPS_SOURCE_BATCH_LINES_MAX && !c->broken) {
        char *p = c->buf + used;
        size_t have = c->have - used, step = 0;
        ops_source_line line = {0};
        if (c->skip_bytes > 0) {
            step = c->skip_bytes < have ? c->skip_bytes : have;
            c->skip_bytes -= step;
        } else {
            step = c->framing == COUNTED ? cut_counted(y, c, p, have, &line) : cut_line(y, c, p, have, &line);
        }
        if (step == 0)
            break;
        used += step;
        if (line.text.n > 0)
            y->lines[n++] = line;
    }
    if (n > 0) {
        const ops_source_batch batch = {.kind = OPS_SOURCE_SYSLOG_TCP,
                                        .source = ops_slice_str(c->peer),
                                        .lines = y->lines,
                                        .line_count = n};
        if (ops_tally_deliver(y->tally, y->sink, &batch) == OPS_EAGAIN) {
            *c = before;
            c->blocked = true;
            return false;
        }
    }
    c->blocked = false;
    c->have -= used;
    memmove(c->buf, c->buf + used, c->have);
    return used > 0;
}

/* False: the connection is over. */
static bool conn_step(ops_syslog *y, struct conn *c, bool readable, int64_t now_ms)
{
    for (int i = 0; i < ROUND_READS; i++) {
        if (!c->blocked && !c->ended && readable && c->have < y->buf_bytes) {
            ssize_t n = recv(c->fd, c->buf + c->have, y->buf_bytes - c->have, 0);
            if (n > 0) {
                c->have += (size_t)n;
                c->last_ms = now_ms;
            } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                c->ended = true;
            } else {
                readable = false;
            }
        }
        if (c->framing == UNKNOWN && c->have > 0)
            settle(c);
        if (c->framing == UNKNOWN && !c->ended)
            return now_ms - c->last_ms <= (int64_t)y->conf->idle_timeout_s * 1000;
        bool took = conn_hand_over(y, c);
        if (c->blocked)
            return true;
        if (!took && (c->ended || c->broken || !readable))
            break;
    }
    if (c->broken || (c->ended && c->framing == COUNTED && c->have > 0)) {
        OPS_TALLY(y->tally, framing_errors, 1);
        ops_tally_error(y->tally, "syslog from %s: %s", c->peer,
                        c->broken ? "no length before a frame" : "ended inside a frame");
    }
    if (c->ended || c->broken)
        return c->ended && !c->broken && c->have > 0 && c->framing == LINES;
    return now_ms - c->last_ms <= (int64_t)y->conf->idle_timeout_s * 1000;
}

static void conn_free(struct conn *c)
{
    if (c == NULL)
        return;
    close(c->fd);
    ops_free(c->buf);
    ops_free(c);
}

static void accept_all(ops_syslog *y, int64_t now_ms)
{
    for (int i = 0; i < ROUND_READS; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = accept4(y->tcp, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct conn *c = y->n < y->conf->connections_max ? ops_calloc(1, sizeof *c) : NULL;
        if (c != NULL)
            c->buf = ops_malloc(y->buf_bytes);
        if (c == NULL || c->buf == NULL) {
            OPS_TALLY(y->tally, connections_refused, 1);
            ops_free(c);
            close(fd);
            continue;
        }
        c->fd = fd;
        c->last_ms = now_ms;
        peer_name(&sa, n, c->peer);
        y->conns[y->n++] = c;
        pthread_mutex_lock(&y->tally->lock);
        y->tally->s.connections_accepted++;
        y->tally->s.connections_open++;
        pthread_mutex_unlock(&y->tally->lock);
    }
}

/* True: nothing waits any more. */
static bool udp_flush(ops_syslog *y)
{
    if (y->dgram_count > 0) {
        const ops_source_batch batch = {.kind = OPS_SOURCE_SYSLOG_UDP,
                                        .source = ops_slice_str(y->dgram_peer),
                                        .lines = y->dgram_lines,
                                        .line_count = y->dgram_count};
        y->udp_blocked = ops_tally_deliver(y->tally, y->sink, &batch) == OPS_EAGAIN;
        if (y->udp_blocked)
            return false;
    }
    y->dgram_count = y->dgram_bytes = 0;
    return true;
}

/* Moves the datagram held into the waiting batch; false: it does not fit yet (the sink is full). */
static bool udp_take_held(ops_syslog *y)
{
    if (y->held_bytes == 0)
        return true;
    bool fits = y->dgram_count < OPS_SOURCE_BATCH_LINES_MAX &&
                y->dgram_bytes + y->held_bytes <= UDP_BUF_BYTES &&
                (y->dgram_count == 0 || strcmp(y->dgram_peer, y->held_peer) == 0);
    if (!fits && !udp_flush(y))
        return false;
    size_t max = y->conf->line_bytes_max;
    char *to = y->dgrams + y->dgram_bytes;
    memcpy(to, y->held, y->held_bytes);
    memcpy(y->dgram_peer, y->held_peer, sizeof y->dgram_peer);
    ops_slice text = line_of(to, y->held_bytes);
    y->dgram_bytes += y->held_bytes;
    y->held_bytes = 0;
    if (text.n > 0)
        y->dgram_lines[y->dgram_count++] =
            (ops_source_line){.text = ops_slice_sub(text, 0, max), .truncated = text.n > max};
    return true;
}

static void udp_step(ops_syslog *y)
{
    if (y->udp_blocked && !udp_flush(y))
        return;
    for (int i = 0; i < ROUND_READS * 32; i++) {
        if (!udp_take_held(y))
            return;
        struct sockaddr_storage sa;
        socklen_t sn = sizeof sa;
        ssize_t n = recvfrom(y->udp, y->held, DATAGRAM_BYTES, 0, (struct sockaddr *)&sa, &sn);
        if (n < 0)
            break;
        OPS_TALLY(y->tally, datagrams, 1);
        if (n == 0)
            continue;
        y->held_bytes = (size_t)n;
        peer_name(&sa, sn, y->held_peer);
    }
    if (udp_take_held(y))
        (void)udp_flush(y);
}

void ops_syslog_step(ops_syslog *y, int wake_fd, int64_t now_ms)
{
    bool full = y->udp_blocked;
    size_t k = 0;
    y->polls[k++] = (struct pollfd){.fd = wake_fd, .events = POLLIN};
    y->polls[k++] = (struct pollfd){.fd = y->tcp, .events = POLLIN};
    y->polls[k++] = (struct pollfd){.fd = y->udp_blocked ? -1 : y->udp, .events = POLLIN};
    for (size_t i = 0; i < y->n; i++) {
        full |= y->conns[i]->blocked;
        y->polls[k++] = (struct pollfd){.fd = y->conns[i]->blocked ? -1 : y->conns[i]->fd, .events = POLLIN};
    }
    if (poll(y->polls, k, full ? RETRY_MS : WAIT_MS) < 0)
        return;
    if (y->polls[0].revents != 0)
        return;
    size_t count = y->n;
    for (size_t i = count; i-- > 0;) {
        bool readable = y->polls[3 + i].revents != 0;
        if (conn_step(y, y->conns[i], readable, now_ms))
            continue;
        conn_free(y->conns[i]);
        y->conns[i] = y->conns[--y->n];
        OPS_TALLY(y->tally, connections_open, -1);
    }
    if (y->polls[2].revents != 0 || y->udp_blocked)
        udp_step(y);
    if (y->polls[1].revents != 0)
        accept_all(y, now_ms);
}

ops_status ops_syslog_new(const ops_source_conf *conf, const ops_source_sink *sink, ops_source_tally *tally,
                          ops_syslog **ret, ops_err *reterr)
{
    ops_syslog *y = ops_calloc(1, sizeof *y);
    if (y == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "syslog listener");
    y->conf = conf;
    y->sink = sink;
    y->tally = tally;
    y->tcp = y->udp = -1;
    y->buf_bytes = conf->line_bytes_max + DATAGRAM_BYTES;
    y->conns = ops_calloc(conf->connections_max, sizeof(struct conn *));
    y->polls = ops_calloc(conf->connections_max + 3u, sizeof(struct pollfd));
    y->dgrams = ops_malloc(UDP_BUF_BYTES);
    y->held = ops_malloc(DATAGRAM_BYTES);
    ops_status st = OPS_OK;
    if (y->conns == NULL || y->polls == NULL || y->dgrams == NULL || y->held == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "syslog listener");
    if (st == OPS_OK && conf->syslog_tcp != NULL)
        st = ops_listen_open(conf->syslog_tcp, SOCK_STREAM, &y->tcp, &y->tcp_port, reterr);
    if (st == OPS_OK && conf->syslog_udp != NULL)
        st = ops_listen_open(conf->syslog_udp, SOCK_DGRAM, &y->udp, &y->udp_port, reterr);
    if (st != OPS_OK) {
        ops_err_prefix(reterr, "syslog");
        ops_syslog_free(y);
        return st;
    }
    *ret = y;
    return OPS_OK;
}

uint16_t ops_syslog_port(const ops_syslog *y, bool tcp)
{
    return tcp ? y->tcp_port : y->udp_port;
}

void ops_syslog_free(ops_syslog *y)
{
    if (y == NULL)
        return;
    for (size_t i = 0; y->conns != NULL && i < y->n; i++)
        conn_free(y->conns[i]);
    if (y->tcp >= 0)
        close(y->tcp);
    if (y->udp >= 0)
        close(y->udp);
    ops_free(y->conns);
    ops_free(y->polls);
    ops_free(y->dgrams);
    ops_free(y->held);
    ops_free(y);
}
