#include "coordinator/analysis/metric/offline.h"

#include "base/text/strbuf.h"
#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/component.h"
#include "coordinator/analysis/metric/csv.h"

enum { OUT_BYTES = 1 << 16, OUT_MAX = 1 << 18 };

typedef struct offline {
    ops_baseline *one;
    ops_component *many;
    double last; /* score of the row before */
    double values[OPS_METRIC_COLUMNS_MAX];
    ops_strbuf out;
    ops_metric_write write;
    void *write_u;
} offline;

static ops_status flush(offline *o, size_t at_least, ops_err *reterr)
{
    if (o->out.failed)
        return ops_fail(reterr, OPS_ENOMEM, "metrics: output");
    if (o->out.n < at_least || o->out.n == 0)
        return OPS_OK;
    ops_status st = o->write(o->write_u, ops_strbuf_get(&o->out), reterr);
    ops_strbuf_clear(&o->out);
    return st;
}

static ops_status judge(offline *o, int64_t time_ns, ops_err *reterr)
{
    bool alert = false;
    ops_status st;
    if (o->one != NULL) {
        ops_baseline_verdict v;
        st = ops_baseline_add(o->one, time_ns, o->values[0], &v);
        if (st == OPS_OK && v.taken == OPS_BASELINE_TAKEN)
            o->last = v.score;
        alert = st == OPS_OK && v.alert;
    } else {
        ops_component_verdict v;
        st = ops_component_add(o->many, time_ns, o->values, &v);
        if (st == OPS_OK)
            o->last = v.score;
        alert = st == OPS_OK && v.alert;
    }
    if (st != OPS_OK)
        return ops_fail(reterr, st, "metrics: out of memory");
    ops_strbuf_printf(&o->out, "%.6g,%d\n", o->last, alert);
    return flush(o, OUT_BYTES, reterr);
}

static ops_status start(offline *o, size_t columns, uint64_t train, ops_err *reterr)
{
    return columns == 1 ? ops_baseline_new(NULL, &o->one, reterr)
                        : ops_component_new(columns, train, &o->many, reterr);
}

static ops_status run(offline *o, ops_metric_read read, void *read_u, uint64_t train, ops_err *reterr)
{
    ops_slice line;
    size_t columns = 0, number = 1;
    ops_status st = read(read_u, &line, reterr);
    if (st == OPS_ENOTFOUND)
        return ops_fail(reterr, OPS_EINVAL, "line 1: no header, the input is empty");
    if (st == OPS_OK)
        st = ops_metric_csv_header(line, &columns, reterr);
    if (st == OPS_OK)
        st = start(o, columns, train, reterr);
    while (st == OPS_OK && (st = read(read_u, &line, reterr)) == OPS_OK) {
        int64_t time_ns = 0;
        number++;
        st = ops_metric_csv_row(line, number, columns, &time_ns, o->values, reterr);
        if (st == OPS_OK)
            st = judge(o, time_ns, reterr);
    }
    return st == OPS_ENOTFOUND ? flush(o, 1, reterr) : st;
}

ops_status ops_metric_offline(ops_metric_read read, void *read_u, ops_metric_write write, void *write_u,
                              uint64_t train, ops_err *reterr)
{
    offline o = {.write = write, .write_u = write_u};
    ops_strbuf_init(&o.out, OUT_MAX);
    ops_status st = run(&o, read, read_u, train, reterr);
    ops_strbuf_done(&o.out);
    ops_baseline_free(o.one);
    ops_component_free(o.many);
    return st;
}
