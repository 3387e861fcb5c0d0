/* What an implementation of the port provides, and the shape of a batch. Private to storage/kv. */
#ifndef OPS_STORAGE_KV_INTERNAL_H
#define OPS_STORAGE_KV_INTERNAL_H

#include "base/text/strbuf.h"
#include "storage/kv/kv.h"

enum ops_kv_op { OPS_KV_PUT = 1, OPS_KV_DEL, OPS_KV_DEL_RANGE };

struct ops_kv_batch {
    ops_strbuf ops; /* per operation: u8 op, u8 family, u32 a_bytes, u32 b_bytes, a, b (native order) */
};

typedef void (*ops_kv_batch_visit)(void *u, enum ops_kv_op op, unsigned family, ops_slice a, ops_slice b);
void ops_kv_batch_each(const ops_kv_batch *b, ops_kv_batch_visit visit, void *u);

struct ops_kv {
    unsigned family_count;
    void (*close)(ops_kv *kv);
    ops_status (*get)(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                      ops_err *reterr);
    ops_status (*scan)(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                       ops_err *reterr);
    ops_status (*last)(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                       ops_err *reterr);
    ops_status (*write)(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr);
    ops_status (*sync)(ops_kv *kv, ops_err *reterr);
};

#endif
