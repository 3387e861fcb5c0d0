/* The API's question for series, answered from the partitions. */
#include <string.h>

#include "coordinator/analysis/monitor/monitor.h"
#include "opsd/daemon.h"

enum { NAME_BYTES = 512, SERIES_BYTES = 8193 };

struct asking {
    const ops_api_series_query *q;
    uint32_t part;
    bool more;
    bool (*fn)(void *fu, const Ops__V1__Series *m);
    void *fu;
};

static char *cstr(char *buf, size_t max, ops_slice s)
{
    size_t n = s.n < max ? s.n : max - 1;
    if (n > 0)
        memcpy(buf, s.p, n);
    buf[n] = '\0';
    return buf;
}

static bool wanted(const ops_api_series_query *q, const ops_monitor_info *s)
{
    return ops_slice_eq(s->tenant, q->tenant) &&
           (q->service.n == 0 || ops_slice_eq(s->service, q->service)) &&
           (q->contains.n == 0 || ops_slice_find(s->series, q->contains) >= 0) &&
           (q->buckets || s->kind != OPS_MONITOR_BUCKET);
}

static bool on_series(void *u, const ops_monitor_info *s)
{
    struct asking *x = u;
    Ops__V1__Series m = OPS__V1__SERIES__INIT;
    char tenant[NAME_BYTES], service[NAME_BYTES], series[SERIES_BYTES], kind[16];
    if (!wanted(x->q, s))
        return true;
    m.tenant = cstr(tenant, sizeof tenant, s->tenant);
    m.service = cstr(service, sizeof service, s->service);
    m.series = cstr(series, sizeof series, s->series);
    m.kind = cstr(kind, sizeof kind, ops_slice_str(ops_monitor_kind_name(s->kind)));
    m.samples = s->samples;
    m.late = s->late;
    m.repeated = s->repeated;
    m.resets = s->resets;
    m.alerts = s->alerts;
    m.stale = s->stale;
    m.learning = s->learning;
    m.last_value = s->last;
    m.first_time_unix_nano = s->first_ns;
    m.last_time_unix_nano = s->last_ns;
    m.interval_nano = s->interval_ns;
    m.judged_value = s->judged;
    m.expected_low = s->low;
    m.expected_high = s->high;
    m.score = s->score;
    m.partition = x->part;
    x->more = x->fn(x->fu, &m);
    return x->more;
}

ops_status opsd_port_series(void *u, const ops_api_series_query *q,
                            bool (*fn)(void *fu, const Ops__V1__Series *m), void *fu, ops_err *reterr)
{
    opsd_daemon *d = u;
    struct asking x = {.q = q, .more = true, .fn = fn, .fu = fu};
    const uint32_t partitions = (uint32_t)ops_conf_uint(d->conf, KEY_STORAGE_PARTITIONS);
    (void)reterr;
    for (; x.more && x.part < partitions; x.part++)
        ops_owners_series(d->owners, x.part, on_series, &x);
    return OPS_OK;
}
