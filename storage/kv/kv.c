/* The port's doors and the batch. Argument checks live here, once for every implementation. */
#include "storage/kv/kv.h"

#include "base/mem/alloc.h"
#include "storage/kv/kv_internal.h"

ops_kv_batch *ops_kv_batch_new(void)
{
    ops_kv_batch *b = ops_calloc(1, sizeof *b);
    if (b != NULL)
        ops_strbuf_init(&b->ops, OPS_KV_BATCH_BYTES_MAX);
    return b;
}

void ops_kv_batch_free(ops_kv_batch *b)
{
    if (b == NULL)
        return;
    ops_strbuf_done(&b->ops);
    ops_free(b);
}

void ops_kv_batch_clear(ops_kv_batch *b)
{
    ops_strbuf_clear(&b->ops);
}

size_t ops_kv_batch_bytes(const ops_kv_batch *b)
{
    return b->ops.n;
}

struct op_head {
    uint32_t a_bytes, b_bytes;
    uint8_t op, family;
    uint8_t pad[2];
};

static void add(ops_kv_batch *b, enum ops_kv_op op, unsigned family, ops_slice x, ops_slice y)
{
    if (x.n > UINT32_MAX || y.n > UINT32_MAX || family >= OPS_KV_FAMILIES_MAX) {
        b->ops.failed = true;
        return;
    }
    struct op_head head = {(uint32_t)x.n, (uint32_t)y.n, (uint8_t)op, (uint8_t)family, {0}};
    char *at = ops_strbuf_room(&b->ops, sizeof head + x.n + y.n);
    if (at == NULL)
        return;
    memcpy(at, &head, sizeof head);
    if (x.n > 0)
        memcpy(at + sizeof head, x.p, x.n);
    if (y.n > 0)
        memcpy(at + sizeof head + x.n, y.p, y.n);
    b->ops.n += sizeof head + x.n + y.n;
}

void ops_kv_batch_put(ops_kv_batch *b, unsigned family, ops_slice key, ops_slice val)
{
    add(b, OPS_KV_PUT, family, key, val);
}

void ops_kv_batch_del(ops_kv_batch *b, unsigned family, ops_slice key)
{
    add(b, OPS_KV_DEL, family, key, (ops_slice){NULL, 0});
}

void ops_kv_batch_del_range(ops_kv_batch *b, unsigned family, ops_slice from, ops_slice to)
{
    add(b, OPS_KV_DEL_RANGE, family, from, to);
}

void ops_kv_batch_each(const ops_kv_batch *b, ops_kv_batch_visit visit, void *u)
{
    for (size_t at = 0; at < b->ops.n;) {
        struct op_head head;
        memcpy(&head, b->ops.p + at, sizeof head);
        const char *p = b->ops.p + at + sizeof head;
        visit(u, (enum ops_kv_op)head.op, head.family, ops_slice_of(p, head.a_bytes),
              ops_slice_of(p + head.a_bytes, head.b_bytes));
        at += sizeof head + head.a_bytes + head.b_bytes;
    }
}

static ops_status check_family(const ops_kv *kv, unsigned family, ops_err *reterr)
{
    if (family < kv->family_count)
        return OPS_OK;
    return ops_fail(reterr, OPS_EINVAL, "store: family %u of %u", family, kv->family_count);
}

void ops_kv_close(ops_kv *kv)
{
    if (kv != NULL)
        kv->close(kv);
}

ops_status ops_kv_get(ops_kv *kv, unsigned family, ops_slice key, char **ret, size_t *ret_bytes,
                      ops_err *reterr)
{
    ops_status st = check_family(kv, family, reterr);
    return st != OPS_OK ? st : kv->get(kv, family, key, ret, ret_bytes, reterr);
}

ops_status ops_kv_scan(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                       ops_err *reterr)
{
    ops_status st = check_family(kv, family, reterr);
    if (st == OPS_OK)
        st = kv->scan(kv, family, from, to, fn, u, reterr);
    return st == OPS_ECANCELLED ? OPS_OK : st;
}

ops_status ops_kv_last(ops_kv *kv, unsigned family, ops_slice from, ops_slice to, ops_kv_fn fn, void *u,
                       ops_err *reterr)
{
    ops_status st = check_family(kv, family, reterr);
    if (st == OPS_OK)
        st = kv->last(kv, family, from, to, fn, u, reterr);
    return st == OPS_ECANCELLED ? OPS_OK : st;
}

struct family_check {
    unsigned family_count;
    bool bad;
};

static void check_op(void *u, enum ops_kv_op op, unsigned family, ops_slice a, ops_slice b)
{
    struct family_check *c = u;
    (void)op;
    (void)a;
    (void)b;
    c->bad = c->bad || family >= c->family_count;
}

ops_status ops_kv_write(ops_kv *kv, const ops_kv_batch *b, bool sync, ops_err *reterr)
{
    if (b->ops.failed)
        return ops_fail(reterr, OPS_ENOMEM, "store: the batch could not be built (%zu bytes so far)",
                        b->ops.n);
    struct family_check check = {kv->family_count, false};
    ops_kv_batch_each(b, check_op, &check);
    if (check.bad)
        return ops_fail(reterr, OPS_EINVAL, "store: the batch names a family past %u", kv->family_count);
    return kv->write(kv, b, sync, reterr);
}

ops_status ops_kv_sync(ops_kv *kv, ops_err *reterr)
{
    return kv->sync(kv, reterr);
}
