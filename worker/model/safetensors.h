/* Reader of the safetensors container: 8 bytes length (little-endian), a JSON header, then the tensors' bytes without
 * gaps. Everything is checked before anything is used: sizes, overflow, the end of the file, overlap, gaps, names.
 * Format: https://github.com/huggingface/safetensors (README, "Format"). @thread immutable once parsed */
#ifndef OPS_WORKER_SAFETENSORS_H
#define OPS_WORKER_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum {
    OPS_SAFETENSORS_HEADER_MAX = 16 << 20,
    OPS_SAFETENSORS_TENSORS_MAX = 65536,
    OPS_SAFETENSORS_RANK_MAX = 8,
};

typedef enum ops_safetensors_type {
    OPS_SAFETENSORS_F64,
    OPS_SAFETENSORS_F32,
    OPS_SAFETENSORS_F16,
    OPS_SAFETENSORS_BF16,
    OPS_SAFETENSORS_I64,
    OPS_SAFETENSORS_I32,
    OPS_SAFETENSORS_I16,
    OPS_SAFETENSORS_I8,
    OPS_SAFETENSORS_U8,
    OPS_SAFETENSORS_BOOL,
    OPS_SAFETENSORS_TYPE_COUNT
} ops_safetensors_type;

typedef struct ops_safetensor {
    const char *name;
    ops_safetensors_type type;
    int rank; /* 0: a scalar */
    uint64_t dim[OPS_SAFETENSORS_RANK_MAX];
    uint64_t count;  /* product of the extents */
    ops_slice bytes; /* inside the parsed bytes; little-endian and not aligned */
} ops_safetensor;

typedef struct ops_safetensors ops_safetensors;

/* `bytes` (a whole file) must outlive *ret. OPS_ECORRUPT names the offset or the tensor; OPS_ETOOBIG a bound;
 * OPS_EUNIMPL an element type that is not known; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_safetensors_parse(ops_slice bytes, ops_safetensors **ret, ops_err *reterr);
void ops_safetensors_free(ops_safetensors *s);
OPS_AUTO_DEFINE(ops_safetensors, ops_safetensors_free)

size_t ops_safetensors_count(const ops_safetensors *s);
const ops_safetensor *ops_safetensors_at(const ops_safetensors *s, size_t i);
const ops_safetensor *ops_safetensors_find(const ops_safetensors *s, const char *name); /* NULL when absent */
const char *ops_safetensors_type_name(ops_safetensors_type type);                       /* "F32" */

/* Element values as f32: F32, F16 and BF16 only (others OPS_EUNIMPL, named); `ret` has room for t->count. */
OPS_MUST_USE ops_status ops_safetensors_f32(const ops_safetensor *t, float *ret, ops_err *reterr);

#endif
