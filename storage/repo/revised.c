/* Rows with revisions: each row's newest body, and an index over the newest revision of each. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo_internal.h"

enum { REVISION_KEY_BYTES = 9 };

void ops_repo_scratch_init(ops_repo_scratch *s)
{
    ops_strbuf_init(&s->key, 1 << 16);
    ops_strbuf_init(&s->val, (size_t)16 << 20);
}

void ops_repo_scratch_done(ops_repo_scratch *s)
{
    ops_strbuf_done(&s->key);
    ops_strbuf_done(&s->val);
}

static void revision_key(uint8_t key[REVISION_KEY_BYTES], uint64_t revision)
{
    key[0] = 'r';
    ops_put_be64(key + 1, revision);
}

bool ops_repo_good_name(ops_slice s)
{
    return s.n > 0 && s.n <= OPS_REPO_NAME_BYTES_MAX && ops_slice_find_char(s, '\0') < 0;
}

ops_status ops_repo_revised_check(const ops_repo_revised *t, ops_slice tenant, const ops_repo_finding *rows,
                                  size_t count, ops_err *reterr)
{
    if (!ops_repo_good_name(tenant))
        return ops_fail(reterr, OPS_EINVAL, "repository: a tenant name of %zu bytes", tenant.n);
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (ops_slice_eq(rows[i].id, rows[k].id))
                return ops_fail(reterr, OPS_EINVAL, "repository: %s '" OPS_SLICE_FMT "' twice in one commit",
                                t->noun, OPS_SLICE_ARG(rows[i].id));
    return OPS_OK;
}

/* Its newest revision so far; 0 when the row is new. */
static ops_status old_revision(ops_repo *r, const ops_repo_revised *t, ops_slice key, uint64_t *ret,
                               ops_err *reterr)
{
    char *val = NULL;
    size_t n = 0;
    ops_status st = ops_kv_get(r->kv, t->family, key, &val, &n, reterr);
    *ret = st == OPS_OK && n >= 8 ? ops_get_be64(val) : 0;
    if (st == OPS_OK && n < 8)
        st = ops_fail(reterr, OPS_ECORRUPT, "repository: a %s of %zu bytes", t->noun, n);
    ops_free(val);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

ops_status ops_repo_revised_put(ops_repo *r, const ops_repo_revised *t, ops_kv_batch *b, ops_repo_scratch *s,
                                ops_slice tenant, const ops_repo_finding *row, uint64_t revision,
                                ops_err *reterr)
{
    if (!ops_repo_good_name(row->id))
        return ops_fail(reterr, OPS_EINVAL, "repository: a %s id of %zu bytes", t->noun, row->id.n);
    uint64_t old;
    uint8_t index[REVISION_KEY_BYTES], rev[8];
    ops_repo_tenant_key(&s->key, t->kind, tenant, row->id);
    ops_status st = old_revision(r, t, ops_strbuf_get(&s->key), &old, reterr);
    if (st != OPS_OK)
        return st;
    if (old != 0) {
        revision_key(index, old);
        ops_kv_batch_del(b, t->family, ops_slice_of(index, sizeof index));
    }
    ops_put_be64(rev, revision);
    ops_strbuf_clear(&s->val);
    ops_strbuf_put(&s->val, rev, sizeof rev);
    ops_strbuf_slice(&s->val, row->body);
    ops_kv_batch_put(b, t->family, ops_strbuf_get(&s->key), ops_strbuf_get(&s->val));
    revision_key(index, revision);
    ops_kv_batch_put(b, t->family, ops_slice_of(index, sizeof index),
                     ops_slice_sub(ops_strbuf_get(&s->key), 1, s->key.n));
    return s->key.failed || s->val.failed
               ? ops_fail(reterr, OPS_ENOMEM, "repository: a %s of %zu bytes", t->noun, row->body.n)
               : OPS_OK;
}

struct since {
    ops_repo *r;
    const ops_repo_revised *t;
    uint64_t revision;
    ops_repo_finding_fn fn;
    void *u;
};

static ops_status hand_out(struct since *x, ops_slice tenant, ops_slice id, ops_err *reterr)
{
    ops_strbuf key;
    char *val = NULL;
    size_t n = 0;
    ops_strbuf_init(&key, 1 << 16);
    ops_repo_tenant_key(&key, x->t->kind, tenant, id);
    ops_status st = key.failed ? ops_fail(reterr, OPS_ENOMEM, "repository: a %s", x->t->noun)
                               : ops_kv_get(x->r->kv, x->t->family, ops_strbuf_get(&key), &val, &n, reterr);
    ops_strbuf_done(&key);
    if (st == OPS_OK && n < 8)
        st = ops_fail(reterr, OPS_ECORRUPT, "repository: a %s of %zu bytes", x->t->noun, n);
    /* Changed again since the index was read: it comes with its newer revision. */
    bool current = st == OPS_OK && (x->revision == 0 || ops_get_be64(val) == x->revision);
    if (current) {
        ops_repo_finding f = {id, ops_slice_of(val + 8, n - 8)};
        st = x->fn(x->u, tenant, ops_get_be64(val), &f, reterr);
    }
    ops_free(val);
    return st;
}

static ops_status one_since(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    struct since *x = u;
    ptrdiff_t cut = ops_slice_find_char(val, '\0');
    if (key.n != REVISION_KEY_BYTES || cut < 0)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a damaged index of %ss", x->t->noun);
    x->revision = ops_get_be64(key.p + 1);
    return hand_out(x, ops_slice_sub(val, 0, (size_t)cut), ops_slice_sub(val, (size_t)cut + 1, val.n),
                    reterr);
}

ops_status ops_repo_revised_since(ops_repo *r, const ops_repo_revised *t, uint64_t after,
                                  ops_repo_finding_fn fn, void *u, ops_err *reterr)
{
    uint8_t from[REVISION_KEY_BYTES];
    struct since x = {r, t, 0, fn, u};
    if (after == UINT64_MAX)
        return OPS_OK;
    revision_key(from, after + 1);
    return ops_kv_scan(r->kv, t->family, ops_slice_of(from, sizeof from), OPS_SLICE("s"), one_since, &x,
                       reterr);
}

ops_status ops_repo_revised_get(ops_repo *r, const ops_repo_revised *t, ops_slice tenant, ops_slice id,
                                ops_repo_finding_fn fn, void *u, ops_err *reterr)
{
    struct since x = {r, t, 0, fn, u};
    ops_status st = hand_out(&x, tenant, id, reterr);
    if (st == OPS_ENOTFOUND)
        return ops_fail(reterr, st, "no %s '" OPS_SLICE_FMT "'", t->noun, OPS_SLICE_ARG(id));
    return st;
}
