/* Series: find, make, make room. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"

static const int64_t idle_ns = 2 * 3600 * INT64_C(1000000000), sweep_ns = 60 * INT64_C(1000000000);

void ops_monitor_series_free(series *s)
{
    if (s == NULL)
        return;
    ops_baseline_free(s->baseline);
    ops_free(s->tail);
    ops_free(s->fill);
    ops_free(s->name);
    ops_free(s);
}

static ops_slice cut(ops_slice s, size_t max)
{
    if (s.n <= max)
        return s;
    while (max > 0 && ((uint8_t)s.p[max] & 0xc0) == 0x80)
        max--; /* not inside a character */
    return ops_slice_of(s.p, max);
}

static ops_slice key_of(char buf[static KEY_BYTES_MAX], ops_slice tenant, ops_slice service, ops_slice text)
{
    const ops_slice head = ops_monitor_service_key(buf, tenant, service);
    size_t n = head.n;
    buf[n++] = '\0';
    if (text.n > 0)
        memcpy(buf + n, text.p, text.n);
    return ops_slice_of(buf, n + text.n);
}

ops_slice ops_monitor_service_key(char *buf, ops_slice tenant, ops_slice service)
{
    if (tenant.n > 0)
        memcpy(buf, tenant.p, tenant.n);
    buf[tenant.n] = '\0';
    if (service.n > 0)
        memcpy(buf + tenant.n + 1, service.p, service.n);
    return ops_slice_of(buf, tenant.n + 1 + service.n);
}

tenant_count *ops_monitor_tenant(ops_monitor *m, ops_slice tenant)
{
    tenant_count *t = ops_map_get(m->tenants, tenant);
    if (t != NULL)
        return t;
    t = ops_calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->swept_ns = t->views_swept_ns = INT64_MIN;
    if (ops_map_put(m->tenants, tenant, t, NULL) == OPS_OK)
        return t;
    ops_free(t);
    return NULL;
}

series *ops_monitor_series_put(ops_monitor *m, ops_slice tenant, ops_slice service, ops_slice text)
{
    char buf[KEY_BYTES_MAX];
    const ops_slice key = key_of(buf, tenant, service, text);
    tenant_count *count = ops_monitor_tenant(m, tenant);
    series *s = count != NULL ? ops_calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return NULL;
    s->tenant_n = (uint32_t)tenant.n;
    s->service_n = (uint32_t)service.n;
    s->series_n = (uint32_t)text.n;
    s->name = ops_strndup(key.p, key.n);
    if (s->name == NULL || !ops_vec_push(&m->all, s)) {
        ops_monitor_series_free(s);
        return NULL;
    }
    if (ops_map_put(m->by_name, key, s, NULL) != OPS_OK || !ops_monitor_group_join(m, s)) {
        (void)ops_map_del(m->by_name, key);
        m->all.n--;
        ops_monitor_series_free(s);
        return NULL;
    }
    count->n++;
    return s;
}

static ops_slice name_of(const series *s)
{
    return ops_slice_of(s->name, (size_t)s->tenant_n + s->service_n + s->series_n + 2);
}

/* Series of the tenant without a sample for two hours go. Looked for once a minute at most. */
static ops_status sweep(ops_monitor *m, tenant_count *t, ops_slice tenant, int64_t recv_ns, ops_err *reterr)
{
    size_t kept = 0;
    if (t->swept_ns != INT64_MIN && recv_ns - t->swept_ns < sweep_ns)
        return OPS_OK;
    t->swept_ns = recv_ns;
    for (size_t i = 0; i < m->all.n; i++) {
        series *s = m->all.v[i];
        const bool old = ops_slice_eq(series_tenant(s), tenant) && recv_ns - s->recv_ns > idle_ns;
        if (!old || !ops_vec_push(&m->gone, s->id)) {
            m->all.v[kept++] = s;
            continue;
        }
        (void)ops_map_del(m->by_name, name_of(s));
        ops_monitor_group_leave(m, s);
        ops_monitor_bucket_leave(m, s);
        t->n--;
        m->stats.dropped++;
        m->stats.baseline_bytes -= s->bytes;
        ops_monitor_series_free(s);
    }
    m->all.n = kept;
    (void)reterr;
    return OPS_OK;
}

series *ops_monitor_series_find(ops_monitor *m, ops_slice tenant, ops_slice service, ops_slice text)
{
    char buf[KEY_BYTES_MAX];
    return text.n > SERIES_BYTES_MAX ? NULL : ops_map_get(m->by_name, key_of(buf, tenant, service, text));
}

ops_status ops_monitor_series(ops_monitor *m, const ops_monitor_sample *x, series **ret, ops_err *reterr)
{
    char buf[KEY_BYTES_MAX];
    const ops_slice tenant = cut(x->tenant, NAME_BYTES_MAX), service = cut(x->service, NAME_BYTES_MAX),
                    text = cut(x->series, SERIES_BYTES_MAX);
    *ret = ops_map_get(m->by_name, key_of(buf, tenant, service, text));
    if (*ret != NULL)
        return OPS_OK;
    tenant_count *count = ops_monitor_tenant(m, tenant);
    if (count == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "one more tenant's series");
    if (count->n >= m->lim.series_max) {
        ops_status st = sweep(m, count, tenant, x->recv_ns, reterr);
        if (st != OPS_OK || count->n >= m->lim.series_max)
            return st;
    }
    series *s = ops_monitor_series_put(m, tenant, service, text);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "one more series");
    s->id = m->next_id++;
    s->kind = (uint8_t)x->kind;
    s->first_ns = x->time_ns;
    s->last_ns = s->judged_ns = s->from_ns = s->kept_ns = s->told_ns = INT64_MIN;
    *ret = s;
    return OPS_OK;
}

ops_status ops_monitor_baseline(series *s, ops_err *reterr)
{
    const ops_baseline_budget budget = {.samples_per_false_alert = OPS_MONITOR_SAMPLES_PER_FALSE_ALERT};
    if (s->tail == NULL)
        s->tail = ops_calloc(OPS_MONITOR_TAIL, sizeof *s->tail);
    if (s->tail == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a series' samples");
    return s->baseline != NULL ? OPS_OK : ops_baseline_new(&budget, &s->baseline, reterr);
}

void ops_monitor_weigh(ops_monitor *m, series *s)
{
    const size_t bytes = s->baseline != NULL ? ops_baseline_bytes(s->baseline) : 0;
    m->stats.baseline_bytes += bytes - s->bytes;
    s->bytes = bytes;
}

/* What saving the series will take: its record, and the baseline's when that is due. */
void ops_monitor_touch(ops_monitor *m, series *s)
{
    enum { RECORD_BYTES = 256 + OPS_MONITOR_TAIL * 18, FILL_BYTES = 300, WHOLE_BYTES = 8192 };
    if (!s->dirty)
        m->dirty_bytes += RECORD_BYTES + (s->fill != NULL ? FILL_BYTES : 0) + name_of(s).n;
    s->dirty = true;
    if (s->tail_n == OPS_MONITOR_TAIL && !s->whole) {
        s->whole = true;
        m->dirty_bytes += WHOLE_BYTES;
    }
}
