/* Tenant state and findings. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo.h"
#include "storage/repo/repo_internal.h"

enum { OUTBOX_KEY_BYTES = 14, REVISION_KEY_BYTES = 9 };

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

static void revision_key(uint8_t key[REVISION_KEY_BYTES], uint64_t revision)
{
    key[0] = 'r';
    ops_put_be64(key + 1, revision);
}

static bool good_name(ops_slice s)
{
    return s.n > 0 && s.n <= OPS_REPO_NAME_BYTES_MAX && ops_slice_find_char(s, '\0') < 0;
}

/* Its newest revision so far; 0 when the finding is new. */
static ops_status old_revision(ops_repo *r, ops_slice key, uint64_t *ret, ops_err *reterr)
{
    char *val = NULL;
    size_t n = 0;
    ops_status st = ops_kv_get(r->kv, FAMILY_FINDINGS, key, &val, &n, reterr);
    *ret = st == OPS_OK && n >= 8 ? ops_get_be64(val) : 0;
    if (st == OPS_OK && n < 8)
        st = ops_fail(reterr, OPS_ECORRUPT, "repository: a finding of %zu bytes", n);
    ops_free(val);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

struct scratch {
    ops_strbuf key, val;
};

static ops_status put_finding(ops_repo *r, ops_kv_batch *b, struct scratch *s, ops_slice tenant,
                              const ops_repo_finding *f, uint64_t revision, ops_err *reterr)
{
    if (!good_name(f->id))
        return ops_fail(reterr, OPS_EINVAL, "repository: a finding id of %zu bytes", f->id.n);
    uint64_t old;
    uint8_t index[REVISION_KEY_BYTES], rev[8];
    ops_repo_tenant_key(&s->key, 'f', tenant, f->id);
    ops_status st = old_revision(r, ops_strbuf_get(&s->key), &old, reterr);
    if (st != OPS_OK)
        return st;
    if (old != 0) {
        revision_key(index, old);
        ops_kv_batch_del(b, FAMILY_FINDINGS, ops_slice_of(index, sizeof index));
    }
    ops_put_be64(rev, revision);
    ops_strbuf_clear(&s->val);
    ops_strbuf_put(&s->val, rev, sizeof rev);
    ops_strbuf_slice(&s->val, f->body);
    ops_kv_batch_put(b, FAMILY_FINDINGS, ops_strbuf_get(&s->key), ops_strbuf_get(&s->val));
    revision_key(index, revision);
    ops_kv_batch_put(b, FAMILY_FINDINGS, ops_slice_of(index, sizeof index),
                     ops_slice_sub(ops_strbuf_get(&s->key), 1, s->key.n));
    return s->key.failed || s->val.failed
               ? ops_fail(reterr, OPS_ENOMEM, "repository: a finding of %zu bytes", f->body.n)
               : OPS_OK;
}

static void put_state(ops_kv_batch *b, struct scratch *s, const ops_tenant_commit *c)
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

static ops_status fill(ops_repo *r, ops_kv_batch *b, struct scratch *s, const ops_tenant_commit *c,
                       uint64_t revision, ops_err *reterr)
{
    ops_status st = OPS_OK;
    put_state(b, s, c);
    if (s->key.failed)
        return ops_fail(reterr, OPS_ENOMEM, "repository: state of tenant '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(c->tenant));
    for (size_t i = 0; st == OPS_OK && i < c->finding_count; i++)
        st = put_finding(r, b, s, c->tenant, &c->findings[i], revision + 1 + i, reterr);
    if (st == OPS_OK)
        ops_repo_put_notices(r, b, c, &s->val);
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
    if (!good_name(c->tenant))
        return ops_fail(reterr, OPS_EINVAL, "repository: a tenant name of %zu bytes", c->tenant.n);
    for (size_t i = 0; i < c->finding_count; i++)
        for (size_t k = i + 1; k < c->finding_count; k++)
            if (ops_slice_eq(c->findings[i].id, c->findings[k].id))
                return ops_fail(reterr, OPS_EINVAL,
                                "repository: finding '" OPS_SLICE_FMT "' twice in one commit",
                                OPS_SLICE_ARG(c->findings[i].id));
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "repository: a tenant's commit");
    struct scratch s;
    ops_strbuf_init(&s.key, 1 << 16);
    ops_strbuf_init(&s.val, (size_t)16 << 20);
    (void)pthread_mutex_lock(&r->lock);
    ops_status st = fill(r, b, &s, c, r->revision, reterr);
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
    ops_strbuf_done(&s.key);
    ops_strbuf_done(&s.val);
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

struct since {
    ops_repo *r;
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
    ops_repo_tenant_key(&key, 'f', tenant, id);
    ops_status st = key.failed
                        ? ops_fail(reterr, OPS_ENOMEM, "repository: a finding")
                        : ops_kv_get(x->r->kv, FAMILY_FINDINGS, ops_strbuf_get(&key), &val, &n, reterr);
    ops_strbuf_done(&key);
    if (st == OPS_OK && n < 8)
        st = ops_fail(reterr, OPS_ECORRUPT, "repository: a finding of %zu bytes", n);
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
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a damaged index of findings");
    x->revision = ops_get_be64(key.p + 1);
    return hand_out(x, ops_slice_sub(val, 0, (size_t)cut), ops_slice_sub(val, (size_t)cut + 1, val.n),
                    reterr);
}

ops_status ops_repo_findings_since(ops_repo *r, uint64_t after, ops_repo_finding_fn fn, void *u,
                                   ops_err *reterr)
{
    uint8_t from[REVISION_KEY_BYTES];
    struct since x = {r, 0, fn, u};
    if (after == UINT64_MAX)
        return OPS_OK;
    revision_key(from, after + 1);
    return ops_kv_scan(r->kv, FAMILY_FINDINGS, ops_slice_of(from, sizeof from), OPS_SLICE("s"), one_since, &x,
                       reterr);
}

ops_status ops_repo_finding_get(ops_repo *r, ops_slice tenant, ops_slice id, ops_repo_finding_fn fn, void *u,
                                ops_err *reterr)
{
    struct since x = {r, 0, fn, u};
    ops_status st = hand_out(&x, tenant, id, reterr);
    if (st == OPS_ENOTFOUND)
        return ops_fail(reterr, st, "no finding '" OPS_SLICE_FMT "'", OPS_SLICE_ARG(id));
    return st;
}

uint64_t ops_repo_revision(ops_repo *r)
{
    (void)pthread_mutex_lock(&r->lock);
    uint64_t revision = r->revision;
    (void)pthread_mutex_unlock(&r->lock);
    return revision;
}
