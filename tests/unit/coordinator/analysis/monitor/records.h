/* The records of a monitor, kept in memory as a store would keep them: one a key, an empty value takes it away. */
#ifndef OPS_TESTS_MONITOR_RECORDS_H
#define OPS_TESTS_MONITOR_RECORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/monitor.h"

typedef struct kept_record {
    char key[16], *val;
    size_t key_n, val_n;
} kept_record;

typedef struct kept_records {
    OPS_VEC(kept_record) all;
} kept_records;

/* OPS_ENOMEM: the key's record is gone. */
static inline ops_status records_put(kept_records *r, ops_slice key, ops_slice val)
{
    size_t i = 0;
    assert_true(key.n > 1 && key.n <= sizeof r->all.v->key && key.p[0] == 'm');
    while (i < r->all.n && !ops_slice_eq(ops_slice_of(r->all.v[i].key, r->all.v[i].key_n), key))
        i++;
    if (i < r->all.n) {
        ops_free(r->all.v[i].val);
        r->all.v[i] = r->all.v[--r->all.n];
    }
    if (val.n == 0)
        return OPS_OK;
    kept_record fresh = {.key_n = key.n, .val = ops_memdup(val.p, val.n), .val_n = val.n};
    memcpy(fresh.key, key.p, key.n);
    if (fresh.val != NULL && ops_vec_push(&r->all, fresh))
        return OPS_OK;
    ops_free(fresh.val);
    return OPS_ENOMEM;
}

/* Into a new monitor, to the end. */
static inline ops_status records_load(const kept_records *r, ops_monitor *m, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < r->all.n; i++)
        st = ops_monitor_load(m, ops_slice_of(r->all.v[i].key, r->all.v[i].key_n),
                              ops_slice_of(r->all.v[i].val, r->all.v[i].val_n), reterr);
    return st == OPS_OK ? ops_monitor_load_done(m, reterr) : st;
}

static inline void records_done(kept_records *r)
{
    for (size_t i = 0; i < r->all.n; i++)
        ops_free(r->all.v[i].val);
    ops_vec_done(&r->all);
}

#endif
