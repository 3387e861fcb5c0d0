/* The parts of a job of the decoder group. */
#include "kernels/cpu/decoder_ops.h"

typedef struct parted {
    ops_decoder_part *fn;
    const void *job;
    int parts;
} parted;

static void part_task(void *ctx, size_t task, int thread)
{
    const parted *t = ctx;
    (void)thread;
    t->fn(t->job, (int)task, t->parts);
}

void ops_decoder_each_of(ops_kern_dev *d, ops_decoder_part *fn, const void *job, size_t cost, size_t parts)
{
    const size_t threads = (size_t)ops_cpu_threads_count(d->threads);
    const parted t = {fn, job, (int)(parts > threads ? parts : threads)};
    ops_cpu_each(d->threads, (size_t)t.parts, cost / (size_t)t.parts, part_task, (void *)(uintptr_t)&t);
}

void ops_decoder_each(ops_kern_dev *d, ops_decoder_part *fn, const void *job, size_t cost)
{
    ops_decoder_each_of(d, fn, job, cost, 1);
}
