/* Clients that hang up while their answer is being worked at. microhttpd does not look at a suspended connection, so a
 * thread of this room's own waits for the far end of the sockets to close. It never reads from them. */
#include "coordinator/http/internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 32 };

/* A share of the live request with this id; NULL: it is over. */
static ops_http_req *find(ops_http *h, uint64_t id)
{
    pthread_mutex_lock(&h->lock);
    ops_http_req *req = h->live;
    while (req != NULL && req->watch_id != id)
        req = req->next;
    if (req != NULL)
        atomic_fetch_add(&req->refs, 1);
    pthread_mutex_unlock(&h->lock);
    return req;
}

static void on_hang_up(ops_http *h, uint64_t id)
{
    ops_http_req *req = find(h, id);
    if (req == NULL)
        return;
    pthread_mutex_lock(&req->lock);
    if (req->conn != NULL) {
        ops_http_req_tell_gone(req);
        if (req->out_max > 0 && !req->ended)
            ops_http_stream_cut(req);
    }
    pthread_mutex_unlock(&req->lock);
    ops_http_req_unref(req);
}

static void watch(void *user)
{
    ops_http *h = user;
    struct epoll_event events[EVENTS];
    for (;;) {
        const int n = epoll_wait(h->watch_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            return; /* hang-ups are then noticed when something is written */
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == 0)
                return;
            on_hang_up(h, events[i].data.u64);
        }
    }
}

ops_status ops_http_watch_start(ops_http *h, ops_err *reterr)
{
    struct epoll_event stop = {.events = EPOLLIN, .data.u64 = 0};
    h->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    h->watch_stop_fd = eventfd(0, EFD_CLOEXEC);
    if (h->watch_fd < 0 || h->watch_stop_fd < 0 ||
        epoll_ctl(h->watch_fd, EPOLL_CTL_ADD, h->watch_stop_fd, &stop) != 0)
        return ops_fail(reterr, OPS_EAGAIN, "http port %u: no descriptor to watch clients with", h->port);
    return ops_thread_start(watch, h, "http-watch", &h->watcher, reterr);
}

void ops_http_watch_stop(ops_http *h)
{
    const uint64_t one = 1;
    if (h->watcher != NULL)
        while (write(h->watch_stop_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    ops_thread_join(h->watcher);
    h->watcher = NULL;
    if (h->watch_fd >= 0)
        close(h->watch_fd);
    if (h->watch_stop_fd >= 0)
        close(h->watch_stop_fd);
    h->watch_fd = h->watch_stop_fd = -1;
}

void ops_http_on_gone(ops_http_req *req, void (*gone)(void *ctx), void *ctx)
{
    ops_http *h = req->h;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    const uint64_t id = atomic_fetch_add(&h->watch_ids, 1) + 1;
    pthread_mutex_lock(&h->lock); /* the watcher looks for the id under it */
    req->watch_id = id;
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_lock(&req->lock);
    req->gone = gone;
    req->gone_ctx = ctx;
    req->watched_fd = info != NULL ? info->connect_fd : -1;
    struct epoll_event far_end = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = id};
    if (req->watched_fd >= 0) /* without it a hang-up is noticed when something is written */
        (void)epoll_ctl(h->watch_fd, EPOLL_CTL_ADD, req->watched_fd, &far_end);
    pthread_mutex_unlock(&req->lock);
}

void ops_http_unwatch(ops_http_req *req)
{
    if (req->watched_fd >= 0)
        (void)epoll_ctl(req->h->watch_fd, EPOLL_CTL_DEL, req->watched_fd, NULL);
}
