/* The store in memory: one sorted array per family. Insertion costs O(n); it serves tests and small offline runs. */
#include <pthread.h>

#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "storage/kv/kv_internal.h"

struct pair {
    char *key, *val;
    size_t key_bytes, val_bytes;
};
typedef OPS_VEC(struct pair) pairs;

struct memory {
    ops_kv base;
    pthread_mutex_t lock;
    pairs families[OPS_KV_FAMILIES_MAX];
};

static ops_slice key_of(const struct pair *p)
{
    return (ops_slice){p->key, p->key_bytes};
}

static size_t lower_bound(const pairs *f, ops_slice key)
{
    size_t lo = 0, hi = f->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ops_slice_cmp(key_of(&f->v[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void pair_done(struct pair *p)
{
    ops_free(p->key);
    ops_free(p->val);
}

static void memory_close(ops_kv *kv)
{
    struct memory *m = (struct memory *)kv;
    for (unsigned f = 0; f < OPS_KV_FAMILIES_MAX; f++) {
        for (size_t i = 0; i < m->families[f].n; i++)
            pair_done(&m->families[f].v[i]);
        ops_vec_done(&m->families[f]);
    }
    (void)pthread_mutex_destroy(&m->lock);
    ops_free(m);
}

static ops_status memory_get(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                             ops_err *reterr)
{
    struct memory *m = (struct memory *)kv;
    ops_status st = OPS_ENOTFOUND;
    (void)pthread_mutex_lock(&m->lock);
    const pairs *f = &m->families[family];
    size_t i = lower_bound(f, key);
    if (i < f->n && ops_slice_eq(key_of(&f->v[i]), key)) {
        char *copy = ops_memdup(f->v[i].val, f->v[i].val_bytes);
        st = copy != NULL ? OPS_OK
                          : ops_fail(reterr, OPS_ENOMEM, "store: reading %zu bytes", f->v[i].val_bytes);
        if (st == OPS_OK) {
            *ret = copy;
            *ret_bytes = f->v[i].val_bytes;
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
    return st == OPS_ENOTFOUND ? ops_fail(reterr, st, "store: no such key") : st;
}

/* A copy of [lo, hi) of a family, so that `fn` may write to the store. */
static ops_status copy_range(struct memory *m, unsigned family, ops_slice from, ops_slice to, bool last_only,
                             pairs *ret)
{
    ops_status st = OPS_OK;
    (void)pthread_mutex_lock(&m->lock);
    const pairs *f = &m->families[family];
    size_t lo = lower_bound(f, from), hi = to.n > 0 ? lower_bound(f, to) : f->n;
    if (last_only && hi > lo)
        lo = hi - 1;
    for (size_t i = lo; st == OPS_OK && i < hi; i++) {
        struct pair p = {ops_memdup(f->v[i].key, f->v[i].key_bytes),
                         ops_memdup(f->v[i].val, f->v[i].val_bytes), f->v[i].key_bytes, f->v[i].val_bytes};
        if (p.key == NULL || p.val == NULL || !ops_vec_push(ret, p)) {
            pair_done(&p);
            st = OPS_ENOMEM;
        }
    }
    (void)pthread_mutex_unlock(&m->lock);
    return st;
}

static ops_status walk(struct memory *m, unsigned family, ops_slice from, ops_slice to, bool last_only,
                       ops_kv_fn fn, void *u, ops_err *reterr)
{
    pairs copy = {0};
    ops_status st = copy_range(m, family, from, to, last_only, &copy);
    if (st != OPS_OK)
        (void)ops_fail(reterr, st, "store: copying a range");
    else if (last_only && copy.n == 0)
        st = ops_fail(reterr, OPS_ENOTFOUND, "store: the range is empty");
    for (size_t i = 0; st == OPS_OK && i < copy.n; i++)
        st = fn(u, key_of(&copy.v[i]), ops_slice_of(copy.v[i].val, copy.v[i].val_bytes), reterr);
    for (size_t i = 0; i < copy.n; i++)
        pair_done(&copy.v[i]);
    ops_vec_done(&copy);
    return st;
}

static ops_status memory_scan(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn,
                              void *u, ops_err *reterr)
{
    return walk((struct memory *)kv, family, from, to, false, fn, u, reterr);
}

static ops_status memory_last(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn,
                              void *u, ops_err *reterr)
{
    return walk((struct memory *)kv, family, from, to, true, fn, u, reterr);
}

static void remove_range(pairs *f, size_t lo, size_t hi)
{
    if (hi <= lo)
        return;
    for (size_t i = lo; i < hi; i++)
        pair_done(&f->v[i]);
    memmove(&f->v[lo], &f->v[hi], (f->n - hi) * sizeof f->v[0]);
    f->n -= hi - lo;
}

static ops_status put(pairs *f, ops_slice key, ops_slice val)
{
    struct pair p = {ops_memdup(key.p, key.n), ops_memdup(val.p, val.n), key.n, val.n};
    size_t i = lower_bound(f, key);
    bool there = i < f->n && ops_slice_eq(key_of(&f->v[i]), key);
    if (p.key == NULL || p.val == NULL || (!there && !ops_vec_push(f, p))) {
        pair_done(&p);
        return OPS_ENOMEM;
    }
    if (there)
        pair_done(&f->v[i]);
    else
        memmove(&f->v[i + 1], &f->v[i], (f->n - 1 - i) * sizeof f->v[0]);
    f->v[i] = p;
    return OPS_OK;
}

struct apply {
    struct memory *m;
    ops_status st;
};

static void apply_op(void *u, enum ops_kv_op op, unsigned family, ops_slice a, ops_slice b)
{
    struct apply *x = u;
    pairs *f = &x->m->families[family];
    if (x->st != OPS_OK)
        return;
    if (op == OPS_KV_PUT)
        x->st = put(f, a, b);
    else if (op == OPS_KV_DEL_RANGE)
        remove_range(f, lower_bound(f, a), lower_bound(f, b));
    else if (lower_bound(f, a) < f->n && ops_slice_eq(key_of(&f->v[lower_bound(f, a)]), a))
        remove_range(f, lower_bound(f, a), lower_bound(f, a) + 1);
}

static ops_status memory_write(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr)
{
    struct apply x = {(struct memory *)kv, OPS_OK};
    (void)sync;
    (void)pthread_mutex_lock(&x.m->lock);
    ops_kv_batch_each(b, apply_op, &x);
    (void)pthread_mutex_unlock(&x.m->lock);
    /* Half a batch may be in: with the heap out there is no store left to keep in order, and nothing here outlives it. */
    return x.st == OPS_OK ? OPS_OK : ops_fail(reterr, x.st, "store: applying a batch");
}

static ops_status memory_sync(ops_kv *kv, ops_err *reterr)
{
    (void)kv;
    (void)reterr;
    return OPS_OK;
}

ops_status ops_kv_open_memory(unsigned family_count, ops_kv **ret, ops_err *reterr)
{
    if (family_count == 0 || family_count > OPS_KV_FAMILIES_MAX)
        return ops_fail(reterr, OPS_EINVAL, "store: %u families, 1 to %d can be had", family_count,
                        OPS_KV_FAMILIES_MAX);
    struct memory *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "store: opening in memory");
    m->base =
        (ops_kv){family_count, memory_close, memory_get, memory_scan, memory_last, memory_write, memory_sync};
    (void)pthread_mutex_init(&m->lock, NULL);
    *ret = &m->base;
    return OPS_OK;
}
