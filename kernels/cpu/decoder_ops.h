#ifndef OPS_KERNELS_CPU_DECODER_OPS_H
#define OPS_KERNELS_CPU_DECODER_OPS_H
/* What the rows of the decoder group share: a job's parts on the device's threads, and the level that does them. */
#include "kernels/cpu/cpu_internal.h"
#include "kernels/cpu/decoder.h"

typedef void ops_decoder_part(const void *job, int part, int parts);

/* fn for every part on the device's threads, one part a thread; returns when all are done. `cost` of all of it in vector
 * operations. */
void ops_decoder_each(ops_kern_dev *d, ops_decoder_part *fn, const void *job, size_t cost);
/* In so many parts, at least one a thread: where they are many, a thread that loses its processor holds up one of them. */
void ops_decoder_each_of(ops_kern_dev *d, ops_decoder_part *fn, const void *job, size_t cost, size_t parts);

static inline int ops_decoder_extents(int a, int b, int c)
{
    return ops_cpu_extent_ok(a) && ops_cpu_extent_ok(b) && ops_cpu_extent_ok(c);
}

static inline const ops_decoder_level *ops_decoder_level_of(const ops_kern_dev *d, const ops_kern_shape *s)
{
    return s->decoder.exact ? &ops_decoder_exact : ops_decoder_at(d->level->quant);
}
#endif
