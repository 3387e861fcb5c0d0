/* Silences, kept as the caller encoded them. */
#include "base/mem/alloc.h"
#include "storage/repo/repo_internal.h"

enum { KEY_MAX = 2 * OPS_REPO_NAME_BYTES_MAX + 8 };

static ops_status key_of(ops_slice tenant, ops_slice id, ops_strbuf *b, ops_err *reterr)
{
    ops_strbuf_init(b, KEY_MAX);
    if (tenant.n == 0 || tenant.n > OPS_REPO_NAME_BYTES_MAX || ops_slice_find_char(tenant, '\0') >= 0 ||
        id.n == 0 || id.n > OPS_REPO_NAME_BYTES_MAX)
        return ops_fail(reterr, OPS_EINVAL,
                        "repository: a silence of a tenant of %zu bytes with an id of %zu", tenant.n, id.n);
    ops_repo_tenant_key(b, 's', tenant, id);
    return b->failed ? ops_fail(reterr, OPS_ENOMEM, "repository: a silence") : OPS_OK;
}

ops_status ops_repo_silence_put(ops_repo *r, ops_slice tenant, ops_slice id, ops_slice body, ops_err *reterr)
{
    ops_strbuf key;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    ops_status st = key_of(tenant, id, &key, reterr);
    if (st == OPS_OK && b == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "repository: a silence");
    if (st == OPS_OK && body.n > 0)
        ops_kv_batch_put(b, FAMILY_NOTIFY, ops_strbuf_get(&key), body);
    else if (st == OPS_OK)
        ops_kv_batch_del(b, FAMILY_NOTIFY, ops_strbuf_get(&key));
    ops_strbuf_done(&key);
    if (st != OPS_OK)
        return st;
    (void)pthread_mutex_lock(&r->lock);
    st = ops_kv_write(r->kv, b, true, reterr);
    if (st == OPS_OK)
        ops_repo_note_durable(r);
    (void)pthread_mutex_unlock(&r->lock);
    return st;
}

struct walk {
    ops_repo_silence_fn fn;
    void *u;
};

static ops_status one(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct walk *w = u;
    const ptrdiff_t cut = ops_slice_find_char(key, '\0');
    if (cut < 1)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a silence's key of %zu bytes", key.n);
    return w->fn(w->u, ops_slice_sub(key, 1, (size_t)cut - 1), ops_slice_sub(key, (size_t)cut + 1, key.n),
                 val, reterr);
}

ops_status ops_repo_silences_scan(ops_repo *r, ops_repo_silence_fn fn, void *u, ops_err *reterr)
{
    struct walk w = {fn, u};
    return ops_kv_scan(r->kv, FAMILY_NOTIFY, OPS_SLICE("s"), OPS_SLICE("t"), one, &w, reterr);
}
