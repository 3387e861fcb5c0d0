/* The threads of a device: the caller's and n - 1 that wait. */
#ifndef OPS_KERNELS_CPU_THREADS_H
#define OPS_KERNELS_CPU_THREADS_H

#include <stddef.h>

typedef struct ops_cpu_threads ops_cpu_threads;

ops_cpu_threads *ops_cpu_threads_new(int n); /* NULL: out of memory or of threads */
void ops_cpu_threads_free(ops_cpu_threads *t);
int ops_cpu_threads_count(const ops_cpu_threads *t);
int ops_cpu_threads_default(void); /* processors this process may use, at most OPS_KERN_THREADS_MAX */

/* fn for every task in [0, tasks), each once, on any thread in any order; `thread` in [0, count) tells whose memory may
 * be used. Neighbours are done by one thread in a row, but for what it leaves to others at the end. Returns when all are
 * done. `cost` of a task in vector operations, roughly: what is done sooner than a second thread wakes is done by the
 * caller alone. */
typedef void ops_cpu_task_fn(void *ctx, size_t task, int thread);
void ops_cpu_each(ops_cpu_threads *t, size_t tasks, size_t cost, ops_cpu_task_fn *fn, void *ctx);

#endif
