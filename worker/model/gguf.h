/* Reader of the GGUF container, versions 2 and 3, little-endian: header, typed metadata, tensor infos, then the tensors'
 * bytes, each aligned. Everything is checked before anything is used: counts against the bytes that are left before
 * memory is taken for them, lengths, depth of nested arrays, names twice, shapes, block sizes, offsets, overlap.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Type numbers and block sizes: ggml-common.h there.
 * @thread immutable once parsed */
#ifndef OPS_WORKER_GGUF_H
#define OPS_WORKER_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

enum {
    OPS_GGUF_KEYS_MAX = 65536,
    OPS_GGUF_TENSORS_MAX = 65536,
    OPS_GGUF_RANK_MAX = 4,
    OPS_GGUF_NAME_MAX = 255,    /* bytes of the name of a key or a tensor */
    OPS_GGUF_DEPTH_MAX = 4,     /* arrays in arrays */
    OPS_GGUF_ALIGN_MAX = 65536, /* general.alignment, a power of two */
    OPS_GGUF_ALIGN_DEFAULT = 32
};

typedef enum ops_gguf_kind { /* the numbers are the file's */
                             OPS_GGUF_U8 = 0,
                             OPS_GGUF_I8 = 1,
                             OPS_GGUF_U16 = 2,
                             OPS_GGUF_I16 = 3,
                             OPS_GGUF_U32 = 4,
                             OPS_GGUF_I32 = 5,
                             OPS_GGUF_F32 = 6,
                             OPS_GGUF_BOOL = 7,
                             OPS_GGUF_TEXT = 8,
                             OPS_GGUF_ARRAY = 9,
                             OPS_GGUF_U64 = 10,
                             OPS_GGUF_I64 = 11,
                             OPS_GGUF_F64 = 12,
                             OPS_GGUF_KIND_COUNT
} ops_gguf_kind;

typedef struct ops_gguf_array {
    ops_gguf_kind of;
    uint64_t n;
    ops_slice rest; /* the elements as they lie in the file, checked */
} ops_gguf_array;

/* One value; `kind` says which field holds it. Texts are bytes of the file, not always UTF-8. */
typedef struct ops_gguf_value {
    ops_gguf_kind kind;
    uint64_t u; /* unsigned kinds, and OPS_GGUF_BOOL as 0 or 1 */
    int64_t i;  /* signed kinds */
    double f;   /* F32, F64 */
    ops_slice text;
    ops_gguf_array array;
} ops_gguf_value;

typedef struct ops_gguf_key {
    ops_slice name;
    size_t offset; /* of the key in the file, for messages */
    ops_gguf_value value;
} ops_gguf_key;

typedef enum ops_gguf_type { /* of tensors; the numbers are the file's */
                             OPS_GGUF_TENSOR_F32 = 0,
                             OPS_GGUF_TENSOR_F16 = 1,
                             OPS_GGUF_TENSOR_Q4_0 = 2,
                             OPS_GGUF_TENSOR_Q4_1 = 3,
                             OPS_GGUF_TENSOR_Q5_0 = 6,
                             OPS_GGUF_TENSOR_Q5_1 = 7,
                             OPS_GGUF_TENSOR_Q8_0 = 8,
                             OPS_GGUF_TENSOR_Q4_K = 12,
                             OPS_GGUF_TENSOR_Q5_K = 13,
                             OPS_GGUF_TENSOR_Q6_K = 14,
                             OPS_GGUF_TENSOR_BF16 = 30,
} ops_gguf_type;

typedef struct ops_gguf_tensor {
    ops_slice name;
    ops_gguf_type type;
    int rank;                        /* 1..OPS_GGUF_RANK_MAX */
    uint64_t dim[OPS_GGUF_RANK_MAX]; /* innermost (contiguous) first; 1 past the rank */
    uint64_t count;                  /* elements */
    size_t offset;                   /* of the first byte in the file */
    ops_slice bytes;                 /* there; rows of dim[0] elements, whole blocks */
} ops_gguf_tensor;

typedef struct ops_gguf ops_gguf;

/* `bytes` (a whole file) must outlive *ret. OPS_ECORRUPT names the offset and the reason; OPS_EUNIMPL a version, a split
 * file, or a tensor whose element type is not built; OPS_ETOOBIG a bound; OPS_ENOMEM. */
OPS_MUST_USE ops_status ops_gguf_parse(ops_slice bytes, ops_gguf **ret, ops_err *reterr);
void ops_gguf_free(ops_gguf *g);
OPS_AUTO_DEFINE(ops_gguf, ops_gguf_free)

uint32_t ops_gguf_version(const ops_gguf *g);
size_t ops_gguf_keys(const ops_gguf *g);
const ops_gguf_key *ops_gguf_key_at(const ops_gguf *g, size_t i); /* in the file's order; NULL past the end */
size_t ops_gguf_tensors(const ops_gguf *g);
const ops_gguf_tensor *ops_gguf_tensor_at(const ops_gguf *g, size_t i);
const ops_gguf_tensor *ops_gguf_tensor_find(const ops_gguf *g, const char *name); /* NULL when absent */

const ops_gguf_value *ops_gguf_find(const ops_gguf *g, const char *key); /* NULL when absent */
/* The value of a key of the right kind: *ret is set and true returned; false (and *ret untouched) when the key is absent
 * or of another kind. u64: any integer kind that is not negative; f64: both float kinds. */
bool ops_gguf_u64(const ops_gguf *g, const char *key, uint64_t *ret);
bool ops_gguf_f64(const ops_gguf *g, const char *key, double *ret);
bool ops_gguf_bool(const ops_gguf *g, const char *key, bool *ret);
bool ops_gguf_text(const ops_gguf *g, const char *key, ops_slice *ret);
bool ops_gguf_list(const ops_gguf *g, const char *key, ops_gguf_kind of, ops_gguf_array *ret);
/* Takes the first element off *a; false when there is none left. */
bool ops_gguf_next(ops_gguf_array *a, ops_gguf_value *ret);

const char *ops_gguf_kind_name(ops_gguf_kind kind); /* "u32" */
const char *ops_gguf_type_name(uint32_t type);      /* "Q4_K"; "unknown" for a number never given out */
size_t ops_gguf_type_block(ops_gguf_type type,
                           size_t *ret_elements); /* bytes of one block and its elements */

#endif
