/* Where the weights of a model lie: one port over a GGUF file and over the safetensors files of a folder, so that
 * checking and loading are written once. @thread immutable */
#ifndef OPS_WORKER_LM_SOURCE_H
#define OPS_WORKER_LM_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text/slice.h"
#include "worker/model/gguf.h"
#include "worker/model/shards.h"

typedef struct ops_lm_tensor {
    ops_slice name;
    int type;              /* of kernels/include/kern_quant.h; -1: none that is built */
    const char *type_name; /* "BF16", for people */
    int rank;              /* 1 or 2; 0: another, for which n and k say nothing */
    uint64_t n, k;         /* n rows of k elements; a vector is one row */
    uint64_t count;        /* elements, of any rank */
    ops_slice bytes;
} ops_lm_tensor;

typedef struct ops_lm_source {
    const void *from; /* must outlive the source */
    size_t count;
    /* The tensor of this name, or at this place below `count`; false when there is none. */
    bool (*find)(const void *from, const char *name, ops_lm_tensor *ret);
    bool (*at)(const void *from, size_t i, ops_lm_tensor *ret);
} ops_lm_source;

ops_lm_source ops_lm_source_gguf(const ops_gguf *g);
ops_lm_source ops_lm_source_shards(const ops_shards *s);
ops_lm_source ops_lm_source_safetensors(const ops_safetensors *s); /* one file */

#endif
