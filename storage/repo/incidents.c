/* Incidents, and how far their owner has read the findings. */
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "storage/repo/repo_internal.h"

static const ops_repo_revised incidents = {FAMILY_INCIDENTS, 'i', "incident"};

void ops_repo_incident_topic(ops_slice tenant, ops_strbuf *out)
{
    /* A topic is as long as a name at most: the head gives way. */
    const size_t room = OPS_REPO_NAME_BYTES_MAX - sizeof "incidents/" + 1;
    ops_strbuf_str(out, "incidents/");
    ops_strbuf_slice(out, tenant.n > room ? ops_slice_sub(tenant, tenant.n - room, room) : tenant);
}

static ops_status put_audit(ops_repo *r, ops_kv_batch *b, ops_repo_scratch *s, const ops_incident_commit *c,
                            ops_err *reterr)
{
    uint64_t number;
    if (c->audit == NULL)
        return OPS_OK;
    ops_strbuf_clear(&s->key);
    ops_repo_incident_topic(c->tenant, &s->key);
    if (s->key.failed)
        return ops_fail(reterr, OPS_ENOMEM, "repository: audit of incidents");
    return ops_repo_put_audit(r, b, ops_strbuf_get(&s->key), *c->audit, &number, reterr);
}

static ops_status fill(ops_repo *r, ops_kv_batch *b, ops_repo_scratch *s, const ops_incident_commit *c,
                       uint64_t revision, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < c->incident_count; i++)
        st = ops_repo_revised_put(r, &incidents, b, s, c->tenant, &c->incidents[i], revision + 1 + i, reterr);
    if (st == OPS_OK && c->memory.p != NULL) {
        ops_repo_tenant_key(&s->key, 'm', c->tenant, (ops_slice){0});
        ops_kv_batch_put(b, FAMILY_INCIDENTS, ops_strbuf_get(&s->key), c->memory);
        if (s->key.failed)
            st = ops_fail(reterr, OPS_ENOMEM, "repository: memory of incidents");
    }
    return st == OPS_OK ? put_audit(r, b, s, c, reterr) : st;
}

static ops_status fill_all(ops_repo *r, ops_kv_batch *b, ops_repo_scratch *s, const ops_incident_commit *v,
                           size_t count, size_t *ret_rows, size_t *ret_notices, ops_err *reterr)
{
    ops_status st = OPS_OK;
    const uint64_t notice = r->notice;
    *ret_rows = *ret_notices = 0;
    for (size_t i = 0; st == OPS_OK && i < count; i++) {
        st = fill(r, b, s, &v[i], r->incident_revision + *ret_rows, reterr);
        r->notice = notice + *ret_notices; /* the numbers of this batch follow each other */
        if (st == OPS_OK)
            ops_repo_put_notices(r, b, v[i].notices, v[i].notice_count, v[i].notice_ns, &s->val);
        if (st == OPS_OK && s->val.failed)
            st = ops_fail(reterr, OPS_ENOMEM, "repository: %zu notices", v[i].notice_count);
        *ret_rows += v[i].incident_count;
        *ret_notices += v[i].notice_count;
    }
    r->notice = notice;
    return st;
}

static void put_word(ops_kv_batch *b, unsigned family, ops_slice key, uint64_t v)
{
    uint8_t word[8];
    ops_put_be64(word, v);
    ops_kv_batch_put(b, family, key, ops_slice_of(word, sizeof word));
}

static ops_status position(ops_repo *r, uint64_t *ret, ops_err *reterr)
{
    OPS_AUTO(ops_free_str) char *val = NULL;
    size_t n = 0;
    ops_status st = ops_kv_get(r->kv, FAMILY_INCIDENTS, OPS_SLICE("p"), &val, &n, reterr);
    *ret = st == OPS_OK && n == 8 ? ops_get_be64(val) : 0;
    if (st == OPS_OK && n != 8)
        return ops_fail(reterr, OPS_ECORRUPT, "repository: a position of incidents of %zu bytes", n);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

static ops_status check_all(const ops_incident_commit *v, size_t count, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < count; i++) {
        st = ops_repo_revised_check(&incidents, v[i].tenant, v[i].incidents, v[i].incident_count, reterr);
        for (size_t k = 0; st == OPS_OK && k < i; k++)
            if (ops_slice_eq(v[i].tenant, v[k].tenant))
                st = ops_fail(reterr, OPS_EINVAL, "repository: a tenant twice in one commit of incidents");
    }
    return st;
}

ops_status ops_repo_commit_incidents(ops_repo *r, const ops_incident_commit *commits, size_t count,
                                     uint64_t to, uint64_t *ret_revision, ops_err *reterr)
{
    OPS_AUTO(ops_kv_batch_free) ops_kv_batch *b = ops_kv_batch_new();
    size_t rows = 0, notices = 0;
    uint64_t at = 0;
    ops_repo_scratch s;
    ops_status st = check_all(commits, count, reterr);
    if (st != OPS_OK || b == NULL)
        return st != OPS_OK ? st : ops_fail(reterr, OPS_ENOMEM, "repository: a commit of incidents");
    ops_repo_scratch_init(&s);
    (void)pthread_mutex_lock(&r->lock);
    st = position(r, &at, reterr);
    if (st == OPS_OK)
        st = fill_all(r, b, &s, commits, count, &rows, &notices, reterr);
    if (st == OPS_OK) {
        put_word(b, FAMILY_META, OPS_SLICE("incident_revision"), r->incident_revision + rows);
        if (to > at)
            put_word(b, FAMILY_INCIDENTS, OPS_SLICE("p"), to);
        st = ops_kv_write(r->kv, b, true, reterr);
    }
    if (st == OPS_OK) {
        r->incident_revision += rows;
        r->notice += notices;
        ops_repo_note_durable(r);
        if (ret_revision != NULL)
            *ret_revision = r->incident_revision;
    }
    (void)pthread_mutex_unlock(&r->lock);
    ops_repo_scratch_done(&s);
    return st;
}

ops_status ops_repo_incidents_position(ops_repo *r, uint64_t *ret, ops_err *reterr)
{
    return position(r, ret, reterr);
}

ops_status ops_repo_incident_memory(ops_repo *r, ops_slice tenant, ops_strbuf *out, ops_err *reterr)
{
    OPS_AUTO(ops_free_str) char *val = NULL;
    size_t n = 0;
    ops_strbuf key;
    ops_strbuf_init(&key, 1 << 16);
    ops_repo_tenant_key(&key, 'm', tenant, (ops_slice){0});
    ops_status st = key.failed ? ops_fail(reterr, OPS_ENOMEM, "repository: memory of incidents")
                               : ops_kv_get(r->kv, FAMILY_INCIDENTS, ops_strbuf_get(&key), &val, &n, reterr);
    ops_strbuf_done(&key);
    if (st == OPS_OK)
        ops_strbuf_put(out, val, n);
    return st == OPS_ENOTFOUND ? OPS_OK : st;
}

ops_status ops_repo_incidents_since(ops_repo *r, uint64_t after, ops_repo_finding_fn fn, void *u,
                                    ops_err *reterr)
{
    return ops_repo_revised_since(r, &incidents, after, fn, u, reterr);
}

ops_status ops_repo_incident_get(ops_repo *r, ops_slice tenant, ops_slice id, ops_repo_finding_fn fn, void *u,
                                 ops_err *reterr)
{
    return ops_repo_revised_get(r, &incidents, tenant, id, fn, u, reterr);
}

uint64_t ops_repo_incident_revision(ops_repo *r)
{
    (void)pthread_mutex_lock(&r->lock);
    uint64_t revision = r->incident_revision;
    (void)pthread_mutex_unlock(&r->lock);
    return revision;
}
