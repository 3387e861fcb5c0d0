/* One piece of work at a time. The caller opens a gate; every thread that comes while it is open enters, does the tasks of
 * its own share one after the other, then what is left of the others' shares; the caller closes the gate and leaves when
 * all who entered have left. Who comes late finds it closed, so a thread that gets no processor holds nobody up. Neighbouring
 * tasks stay on one thread because they read neighbouring memory, which the processor fetches ahead only in a row. Waiting
 * spins for some microseconds, since the next piece usually follows at once, and then sleeps: processors are shared with
 * others. */
#include "kernels/cpu/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "kernels/include/kern.h"

enum { SPINS = 4000, ALONE_COST = 20000, LINE = 64 };
#define OPEN 0x80000000U

typedef struct worker {
    ops_cpu_threads *all;
    int index;
    pthread_t id;
} worker;

typedef struct share { /* of the tasks: the next one nobody has taken, and where it ends */
    _Alignas(LINE) atomic_size_t next;
    size_t end;
} share;

struct ops_cpu_threads {
    int n;
    worker *workers; /* n - 1 */
    share *shares;   /* n */
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    ops_cpu_task_fn *fn;
    void *ctx;
    atomic_ulong round; /* changes when there is work */
    atomic_uint gate;   /* OPEN, and how many workers are inside */
    atomic_int stop;
    int sleeping, caller_sleeps; /* under lock */
};

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void work(ops_cpu_threads *t, int index)
{
    for (int i = 0; i < t->n; i++) {
        share *s = &t->shares[(index + i) % t->n];
        for (size_t task; (task = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end;)
            t->fn(t->ctx, task, index);
    }
}

static void deal(ops_cpu_threads *t, size_t tasks)
{
    const size_t n = (size_t)t->n;
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&t->shares[i].next, tasks * i / n, memory_order_relaxed);
        t->shares[i].end = tasks * (i + 1) / n;
    }
}

/* The number of the next round, once there is one. */
static unsigned long await_round(ops_cpu_threads *t, unsigned long seen)
{
    for (int i = 0; i < SPINS; i++) {
        const unsigned long now = atomic_load_explicit(&t->round, memory_order_acquire);
        if (now != seen)
            return now;
        relax();
    }
    pthread_mutex_lock(&t->lock);
    t->sleeping++;
    while (atomic_load(&t->round) == seen)
        pthread_cond_wait(&t->begun, &t->lock);
    t->sleeping--;
    pthread_mutex_unlock(&t->lock);
    return atomic_load_explicit(&t->round, memory_order_acquire);
}

static int enter(ops_cpu_threads *t)
{
    unsigned gate = atomic_load(&t->gate);
    while (gate & OPEN)
        if (atomic_compare_exchange_weak(&t->gate, &gate, gate + 1))
            return 1;
    return 0;
}

/* The last one out of a closed gate wakes the caller. */
static void leave(ops_cpu_threads *t)
{
    if (atomic_fetch_sub(&t->gate, 1) != 1)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->caller_sleeps)
        pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(&t->lock);
}

static void *run_worker(void *arg)
{
    worker *w = arg;
    ops_cpu_threads *t = w->all;
    for (unsigned long seen = 0;;) {
        seen = await_round(t, seen);
        if (atomic_load(&t->stop))
            return NULL;
        if (enter(t)) {
            work(t, w->index);
            leave(t);
        }
    }
}

static void begin(ops_cpu_threads *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->round, 1);
    if (t->sleeping > 0)
        pthread_cond_broadcast(&t->begun);
    pthread_mutex_unlock(&t->lock);
}

static void end(ops_cpu_threads *t)
{
    if (atomic_fetch_and(&t->gate, ~OPEN) == OPEN)
        return;
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&t->gate, memory_order_acquire) == 0)
            return;
        relax();
    }
    pthread_mutex_lock(&t->lock);
    t->caller_sleeps = 1;
    while (atomic_load(&t->gate) != 0)
        pthread_cond_wait(&t->ended, &t->lock);
    t->caller_sleeps = 0;
    pthread_mutex_unlock(&t->lock);
}

void ops_cpu_each(ops_cpu_threads *t, size_t tasks, size_t cost, ops_cpu_task_fn *fn, void *ctx)
{
    if (t->n == 1 || tasks <= 1 || tasks * cost < ALONE_COST) {
        for (size_t i = 0; i < tasks; i++)
            fn(ctx, i, 0);
        return;
    }
    t->fn = fn;
    t->ctx = ctx;
    deal(t, tasks);
    atomic_store(&t->gate, OPEN);
    begin(t);
    work(t, 0);
    end(t);
}

int ops_cpu_threads_count(const ops_cpu_threads *t)
{
    return t->n;
}

int ops_cpu_threads_default(void)
{
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > OPS_KERN_THREADS_MAX ? OPS_KERN_THREADS_MAX : n;
}

static void end_workers(ops_cpu_threads *t, int started)
{
    atomic_store(&t->stop, 1);
    begin(t);
    for (int i = 0; i < started; i++)
        pthread_join(t->workers[i].id, NULL);
}

ops_cpu_threads *ops_cpu_threads_new(int n)
{
    ops_cpu_threads *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->workers = calloc((size_t)n, sizeof *t->workers);
    t->shares = aligned_alloc(LINE, (size_t)n * sizeof *t->shares);
    if (t->workers == NULL || t->shares == NULL) {
        free(t->shares);
        free(t->workers);
        free(t);
        return NULL;
    }
    t->n = n;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->begun, NULL);
    pthread_cond_init(&t->ended, NULL);
    for (int i = 0; i < n - 1; i++) {
        t->workers[i] = (worker){.all = t, .index = i + 1};
        if (pthread_create(&t->workers[i].id, NULL, run_worker, &t->workers[i]) != 0) {
            t->n = i + 1;
            ops_cpu_threads_free(t);
            return NULL;
        }
    }
    return t;
}

void ops_cpu_threads_free(ops_cpu_threads *t)
{
    if (t == NULL)
        return;
    end_workers(t, t->n - 1);
    pthread_cond_destroy(&t->ended);
    pthread_cond_destroy(&t->begun);
    pthread_mutex_destroy(&t->lock);
    free(t->shares);
    free(t->workers);
    free(t);
}
