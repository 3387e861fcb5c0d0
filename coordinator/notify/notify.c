#include "coordinator/notify/notify.h"

#include <pthread.h>
#include <time.h>

#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "base/sched/thread.h"

enum { TRIM_MIN = 64 };

typedef struct runner {
    struct ops_notify *n;
    ops_notify_lane *lane;
    ops_notify_curl *curl;
    ops_thread *thread;
} runner;

struct ops_notify {
    ops_notify_conf conf;
    ops_notify_receiver *receivers;
    char *link;
    ops_metrics *metrics;
    runner runners[OPS_NOTIFY_RECEIVERS_MAX];
    atomic_bool stopping;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    uint64_t news, trimmed;
};

static void defaults(ops_notify_conf *c)
{
    if (c->clock == NULL)
        c->clock = ops_clock_system();
    if (c->resend_ms == 0)
        c->resend_ms = 60000;
    if (c->age_max_ms == 0)
        c->age_max_ms = (int64_t)24 * 3600 * 1000;
    if (c->timeout_ms == 0)
        c->timeout_ms = 10000;
    if (c->queue_max == 0)
        c->queue_max = 10000;
}

static ops_status open_runner(ops_notify *n, size_t i, ops_err *reterr)
{
    runner *r = &n->runners[i];
    r->n = n;
    ops_status st = OPS_OK;
    if (n->conf.ports == NULL)
        st = ops_notify_curl_new(&n->stopping, &r->curl, reterr);
    if (st != OPS_OK)
        return st;
    const ops_notify_lane_conf lc = {.repo = n->conf.repo,
                                     .clock = n->conf.clock,
                                     .receiver = &n->receivers[i],
                                     .metrics = n->metrics,
                                     .port = n->conf.ports != NULL ? n->conf.ports[i]
                                                                   : ops_notify_curl_port(r->curl),
                                     .link = n->link,
                                     .resend_ms = n->conf.resend_ms,
                                     .age_max_ms = n->conf.age_max_ms,
                                     .timeout_ms = n->conf.timeout_ms,
                                     .rules_grouped = n->conf.rules_grouped,
                                     .firing = n->conf.firing,
                                     .silenced = n->conf.silenced,
                                     .u = n->conf.u};
    return ops_notify_lane_new(&lc, &r->lane, reterr);
}

static ops_status check_names(const ops_notify_conf *c, ops_err *reterr)
{
    if (c->receiver_count > OPS_NOTIFY_RECEIVERS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu receivers, at most %d", c->receiver_count,
                        OPS_NOTIFY_RECEIVERS_MAX);
    for (size_t i = 0; i < c->receiver_count; i++)
        for (size_t k = i + 1; k < c->receiver_count; k++)
            if (strcmp(c->receivers[i].name, c->receivers[k].name) == 0)
                return ops_fail(reterr, OPS_EINVAL, "two receivers are called %s", c->receivers[i].name);
    return OPS_OK;
}

static void init_lock(ops_notify *n)
{
    pthread_condattr_t mono;
    (void)pthread_condattr_init(&mono);
    (void)pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&n->lock, NULL);
    (void)pthread_cond_init(&n->changed, &mono);
    (void)pthread_condattr_destroy(&mono);
}

ops_status ops_notify_new(const ops_notify_conf *conf, ops_notify **ret, ops_err *reterr)
{
    ops_status st = check_names(conf, reterr);
    if (st != OPS_OK)
        return st;
    ops_notify *n = ops_calloc(1, sizeof *n);
    if (n == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "notify");
    init_lock(n);
    OPS_AUTO(ops_notify_free) ops_notify *owned = n;
    n->conf = *conf;
    defaults(&n->conf);
    n->link = ops_strdup(conf->link != NULL ? conf->link : "");
    n->receivers = ops_calloc(conf->receiver_count + 1, sizeof *n->receivers);
    if (n->link == NULL || n->receivers == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "notify");
    if (conf->receiver_count > 0)
        memcpy(n->receivers, conf->receivers, conf->receiver_count * sizeof *n->receivers);
    st = ops_metrics_new(ops_notify_rows, OPS_NOTIFY_ROWS, &n->metrics, reterr);
    for (size_t i = 0; st == OPS_OK && i < conf->receiver_count; i++)
        st = open_runner(n, i, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(owned);
    return st;
}

ops_status ops_notify_trim(ops_notify *n, ops_err *reterr)
{
    const uint64_t last = ops_repo_notice_last(n->conf.repo);
    uint64_t upto = last;
    for (size_t i = 0; i < n->conf.receiver_count; i++) {
        const uint64_t at = ops_notify_lane_cursor(n->runners[i].lane);
        upto = at < upto ? at : upto;
    }
    const bool full = last - upto > n->conf.queue_max;
    if (full)
        upto = last - n->conf.queue_max;
    (void)pthread_mutex_lock(&n->lock);
    /* Some at a time: each removal costs the store a mark that reads must pass. */
    const bool due = upto > n->trimmed && (full || upto - n->trimmed >= TRIM_MIN);
    (void)pthread_mutex_unlock(&n->lock);
    if (due && full)
        OPS_LOG(OPS_LOG_WARN, "notify_queue_full", OPS_KV_U64("queue_max", n->conf.queue_max),
                OPS_KV_U64("dropped_up_to", upto));
    ops_status st = due ? ops_repo_notices_trim(n->conf.repo, upto, reterr) : OPS_OK;
    (void)pthread_mutex_lock(&n->lock);
    if (st == OPS_OK && upto > n->trimmed)
        n->trimmed = upto;
    (void)pthread_mutex_unlock(&n->lock);
    return st;
}

static void wait_ms(ops_notify *n, uint64_t seen, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int rc = 0;
    (void)pthread_mutex_lock(&n->lock);
    while (rc == 0 && n->news == seen && !atomic_load(&n->stopping))
        rc = pthread_cond_timedwait(&n->changed, &n->lock, &until);
    (void)pthread_mutex_unlock(&n->lock);
}

static void run(void *u)
{
    const runner *r = u;
    ops_notify *n = r->n;
    while (!atomic_load(&n->stopping)) {
        ops_err err = {0};
        (void)pthread_mutex_lock(&n->lock);
        const uint64_t seen = n->news;
        (void)pthread_mutex_unlock(&n->lock);
        const int64_t ms = ops_notify_lane_turn(r->lane);
        if (ops_notify_trim(n, &err) != OPS_OK)
            OPS_LOG(OPS_LOG_ERROR, "notices_not_trimmed", OPS_KV_STR("why", err.msg));
        if (ms > 0)
            wait_ms(n, seen, ms < 1000 ? ms : 1000);
    }
}

ops_status ops_notify_start(ops_notify *n, ops_err *reterr)
{
    ops_status st = ops_notify_trim(n, reterr); /* what was left for receivers that are no more */
    for (size_t i = 0; st == OPS_OK && i < n->conf.receiver_count; i++)
        st = ops_thread_start(run, &n->runners[i], "notify", &n->runners[i].thread, reterr);
    return st;
}

void ops_notify_wake(ops_notify *n)
{
    (void)pthread_mutex_lock(&n->lock);
    n->news++;
    (void)pthread_cond_broadcast(&n->changed);
    (void)pthread_mutex_unlock(&n->lock);
}

void ops_notify_stop(ops_notify *n)
{
    atomic_store(&n->stopping, true);
    ops_notify_wake(n);
    for (size_t i = 0; i < n->conf.receiver_count; i++)
        ops_thread_join(OPS_STEAL(n->runners[i].thread));
}

void ops_notify_free(ops_notify *n)
{
    if (n == NULL)
        return;
    ops_notify_stop(n);
    for (size_t i = 0; i < n->conf.receiver_count; i++) {
        ops_notify_lane_free(n->runners[i].lane);
        ops_notify_curl_free(n->runners[i].curl);
    }
    if (n->receivers != NULL)
        explicit_bzero(n->receivers, n->conf.receiver_count * sizeof *n->receivers);
    ops_free(n->receivers);
    ops_free(n->link);
    ops_metrics_free(n->metrics);
    (void)pthread_cond_destroy(&n->changed);
    (void)pthread_mutex_destroy(&n->lock);
    ops_free(n);
}

void ops_notify_text(ops_notify *n, ops_strbuf *out)
{
    const uint64_t last = ops_repo_notice_last(n->conf.repo);
    for (size_t i = 0; i < n->conf.receiver_count; i++)
        ops_metric_set(ops_metric_at(n->metrics, OPS_NOTIFY_ROW_WAITING, n->receivers[i].name),
                       (double)(last - ops_notify_lane_cursor(n->runners[i].lane)));
    ops_metrics_text(n->metrics, out);
}
