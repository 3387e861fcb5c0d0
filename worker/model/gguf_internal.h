#ifndef OPS_WORKER_GGUF_INTERNAL_H
#define OPS_WORKER_GGUF_INTERNAL_H

#include "base/coll/map.h"
#include "worker/model/gguf.h"

struct ops_gguf {
    uint32_t version;
    size_t keys, tensors;
    ops_gguf_key *key;
    ops_gguf_tensor *tensor;
    ops_map *key_by_name, *tensor_by_name;
};

/* Where the reader stands. Reads fail with the offset; after a failure the cursor is not used any more. */
typedef struct ops_gguf_cursor {
    ops_slice all;
    size_t at;
} ops_gguf_cursor;

static inline size_t ops_gguf_left(const ops_gguf_cursor *c)
{
    return c->all.n - c->at;
}
ops_status ops_gguf_get_u32(ops_gguf_cursor *c, const char *what, uint32_t *ret, ops_err *reterr);
ops_status ops_gguf_get_u64(ops_gguf_cursor *c, const char *what, uint64_t *ret, ops_err *reterr);
ops_status ops_gguf_get_text(ops_gguf_cursor *c, const char *what, ops_slice *ret, ops_err *reterr);
/* A text that is a name: not empty, at most OPS_GGUF_NAME_MAX bytes of UTF-8 without control characters. */
ops_status ops_gguf_get_name(ops_gguf_cursor *c, const char *what, ops_slice *ret, ops_err *reterr);
/* Kind and value of the key `name`. */
ops_status ops_gguf_get_value(ops_gguf_cursor *c, ops_slice name, ops_gguf_value *ret, ops_err *reterr);

#endif
