/* Tenant state and findings. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo.h"
#include "storage/repo/repo_internal.h"

enum { OUTBOX_KEY_BYTES = 14 };

static const ops_repo_revised findings = {FAMILY_FINDINGS, 'f', "finding"};

void ops_repo_tenant_key(ops_strbuf *b, char prefix, ops_slice tenant, ops_slice rest)
{
    ops_strbuf_clear(b);
    if (prefix != '\0')
        ops_strbuf_char(b, prefix);
    ops_strbuf_slice(b, tenant);
    ops_strbuf_char(b, '\0');
    ops_strbuf_put(b, rest.p != NULL ? rest.p : "", rest.n);
}

void ops_repo_after_prefix(ops_strbuf *b)
{
    while (b->n > 0 && (unsigned char)b->p[b->n - 1] == 0xFF)
        b->n--;
    if (b->n > 0)
        b->p[b->n - 1]++;
}

static void put_state(ops_kv_batch *b, ops_repo_scratch *s, const ops_tenant_commit *c)
{
    for (size_t i = 0; i < c->write_count; i++) {
        ops_repo_tenant_key(&s->key, '\0', c->tenant, c->writes[i].key);
        if (c->writes[i].val.n > 0)
            ops_kv_batch_put(b, FAMILY_TENANT, ops_strbuf_get(&s->key), c->writes[i].val);
        else
            ops_kv_batch_del(b, FAMILY_TENANT, ops_strbuf_get(&s->key));
    }
    for (size_t i = 0; i < c->taken_count; i++) {
        uint8_t key[OUTBOX_KEY_BYTES];
        ops_put_be32(key, c->taken[i].part);
        ops_put_be64(key + 4, c->taken[i].seq);
        ops_put_be16(key + 12, c->taken[i].ordinal);
        ops_kv_batch_del(b, FAMILY_OUTBOX, ops_slice_of(key, sizeof key));
    }
}

static ops_status fill(ops_repo *r, ops_kv_batch *b, ops_repo_scratch *s, const ops_tenant_commit *c,
                       uint64_t revision, ops_err *reterr)
{
    ops_status st = OPS_OK;
    put_state(b, s, c);
    if (s->key.failed)
        return ops_fail(reterr, OPS_ENOMEM, "repository: state of tenant '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(c->tenant));
    for (size_t i = 0; st == OPS_OK && i < c->finding_count; i++)
        st = ops_repo_revised_put(r, &findings, b, s, c->tenant, &c->findings[i], revision + 1 + i, reterr);
    if (st == OPS_OK)
        ops_repo_put_notices(r, b, c->notices, c->notice_count, c->notice_ns, &s->val);
    if (st == OPS_OK && s->val.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "repository: %zu notices", c->notice_count);
    uint8_t rev[8];
    ops_put_be64(rev, revision + c->finding_count);
    ops_kv_batch_put(b, FAMILY_META, OPS_SLICE("revision"), ops_slice_of(rev, sizeof rev));
    return st;
}

ops_status ops_repo_commit_tenant(ops_repo *r, const ops_tenant_commit *c, uint64_t *ret_revision,
                                  ops_err *reterr)
{
    ops_status st = ops_repo_revised_check(&findings, c->tenant, c->findings, c->finding_count, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: a tenant's commit");
    ops_repo_scratch s;
    ops_repo_scratch_init(&s);
    (void)pthread_mutex_lock(&r->lock);
    st = fill(r, b, &s, c, r->revision, reterr);
    if (st == OPS_OK)
        st = ops_kv_write(r->kv, b, true, reterr);
    if (st == OPS_OK) {
        r->revision += c->finding_count;
        r->notice += c->notice_count;
        ops_repo_note_durable(r);
        if (ret_revision != NULL)
            *ret_revision = r->revision;
    }
    (void)pthread_mutex_unlock(&r->lock);
    ops_repo_scratch_done(&s);
    return st;
}

struct strip {
    size_t head_bytes;
    ops_kv_fn fn;
    void *u;
};

static ops_status strip_head(void *u, ops_slice key, ops_slice val, ops_err *reterr)
{
    const struct strip *x = u;
    return x->fn(x->u, ops_slice_sub(key, x->head_bytes, key.n), val, reterr);
}

ops_status ops_repo_tenant_scan(ops_repo *r, ops_slice tenant, ops_kv_fn fn, void *u, ops_err *reterr)
{
    ops_strbuf from, to;
    ops_strbuf_init(&from, 1 << 16);
    ops_strbuf_init(&to, 1 << 16);
    ops_repo_tenant_key(&from, '\0', tenant, OPS_SLICE(""));
    ops_strbuf_slice(&to, ops_strbuf_get(&from));
    ops_repo_after_prefix(&to);
    struct strip x = {from.n, fn, u};
    ops_status st = from.failed || to.failed ? ops_fail(reterr, OPS_ENOMEM, "repository: a tenant's state")
                                             : ops_kv_scan(r->kv, FAMILY_TENANT, ops_strbuf_get(&from),
                                                           ops_strbuf_get(&to), strip_head, &x, reterr);
    ops_strbuf_done(&from);
    ops_strbuf_done(&to);
    return st;
}

ops_status ops_repo_findings_since(ops_repo *r, uint64_t after, ops_repo_finding_fn fn, void *u,
                                   ops_err *reterr)
{
    return ops_repo_revised_since(r, &findings, after, fn, u, reterr);
}

ops_status ops_repo_finding_get(ops_repo *r, ops_slice tenant, ops_slice id, ops_repo_finding_fn fn, void *u,
                                ops_err *reterr)
{
    return ops_repo_revised_get(r, &findings, tenant, id, fn, u, reterr);
}

uint64_t ops_repo_revision(ops_repo *r)
{
    (void)pthread_mutex_lock(&r->lock);
    uint64_t revision = r->revision;
    (void)pthread_mutex_unlock(&r->lock);
    return revision;
}
