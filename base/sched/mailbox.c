/* A ring of (pointer, size) under one mutex, two conditions on the monotonic clock. */
#include "base/sched/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/mem/alloc.h"

typedef struct slot {
    void *msg;
    size_t bytes;
} slot;

struct ops_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t came, left;
    slot *slots;
    size_t cap, head, count, bytes, bytes_max;
    bool closed;
};

ops_status ops_mailbox_new(size_t count_max, size_t bytes_max, ops_mailbox **ret, ops_err *reterr)
{
    if (count_max == 0)
        return ops_fail(reterr, OPS_EINVAL, "mailbox: room for no message");
    ops_mailbox *m = ops_calloc(1, sizeof *m);
    slot *slots = m != NULL ? ops_calloc(count_max, sizeof *slots) : NULL;
    if (slots == NULL) {
        ops_free(m);
        return ops_fail(reterr, OPS_ENOMEM, "mailbox of %zu: out of memory", count_max);
    }
    m->slots = slots;
    m->cap = count_max;
    m->bytes_max = bytes_max;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_cond_init(&m->came, &attr);
    (void)pthread_cond_init(&m->left, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret = m;
    return OPS_OK;
}

void ops_mailbox_free(ops_mailbox *m)
{
    if (m == NULL)
        return;
    (void)pthread_cond_destroy(&m->came);
    (void)pthread_cond_destroy(&m->left);
    (void)pthread_mutex_destroy(&m->lock);
    ops_free(m->slots);
    ops_free(m);
}

static bool has_room(const ops_mailbox *m, size_t bytes)
{
    if (m->count == m->cap)
        return false;
    if (m->bytes_max == 0 || m->count == 0)
        return true;
    return m->bytes < m->bytes_max && bytes <= m->bytes_max - m->bytes;
}

static void put(ops_mailbox *m, void *msg, size_t bytes)
{
    m->slots[(m->head + m->count) % m->cap] = (slot){msg, bytes};
    m->count++;
    m->bytes += bytes;
    (void)pthread_cond_signal(&m->came);
}

static struct timespec deadline_in(int64_t timeout_ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(timeout_ms / 1000);
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* False when the deadline has passed; timeout_ms < 0 has none. */
static bool wait_on(pthread_cond_t *c, ops_mailbox *m, int64_t timeout_ms, const struct timespec *deadline)
{
    if (timeout_ms < 0)
        return pthread_cond_wait(c, &m->lock) == 0;
    return timeout_ms > 0 && pthread_cond_timedwait(c, &m->lock, deadline) != ETIMEDOUT;
}

ops_status ops_mailbox_post_wait(ops_mailbox *m, void *msg, size_t bytes, int64_t timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms > 0 ? timeout_ms : 0);
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&m->lock);
    while (!m->closed && !has_room(m, bytes) && st == OPS_OK) {
        if (!wait_on(&m->left, m, timeout_ms, &deadline) && !has_room(m, bytes))
            st = OPS_ETIMEOUT;
    }
    if (m->closed)
        st = OPS_ECANCELLED;
    if (st == OPS_OK)
        put(m, msg, bytes);
    (void)pthread_mutex_unlock(&m->lock);
    return st;
}

ops_status ops_mailbox_post(ops_mailbox *m, void *msg, size_t bytes)
{
    ops_status st = ops_mailbox_post_wait(m, msg, bytes, 0);
    return st == OPS_ETIMEOUT ? OPS_EAGAIN : st;
}

ops_status ops_mailbox_take(ops_mailbox *m, int64_t timeout_ms, void **ret)
{
    struct timespec deadline = deadline_in(timeout_ms > 0 ? timeout_ms : 0);
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&m->lock);
    while (m->count == 0 && st == OPS_OK) {
        if (m->closed)
            st = OPS_ECANCELLED;
        else if (!wait_on(&m->came, m, timeout_ms, &deadline) && m->count == 0)
            st = m->closed ? OPS_ECANCELLED : OPS_ETIMEOUT;
    }
    if (st == OPS_OK) {
        slot s = m->slots[m->head];
        m->head = (m->head + 1) % m->cap;
        m->count--;
        m->bytes -= s.bytes;
        *ret = s.msg;
        /* All of them: the first waiter may need more bytes than the second. */
        (void)pthread_cond_broadcast(&m->left);
    }
    (void)pthread_mutex_unlock(&m->lock);
    return st;
}

void ops_mailbox_close(ops_mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    m->closed = true;
    (void)pthread_cond_broadcast(&m->came);
    (void)pthread_cond_broadcast(&m->left);
    (void)pthread_mutex_unlock(&m->lock);
}

size_t ops_mailbox_count(ops_mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    size_t n = m->count;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}

size_t ops_mailbox_bytes(ops_mailbox *m)
{
    (void)pthread_mutex_lock(&m->lock);
    size_t n = m->bytes;
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}
