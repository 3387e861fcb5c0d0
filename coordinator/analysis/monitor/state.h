/* The state of a monitor. Private to the room. */
#ifndef OPS_ANALYSIS_MONITOR_STATE_H
#define OPS_ANALYSIS_MONITOR_STATE_H

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/metric/baseline.h"
#include "coordinator/analysis/metric/runout.h"
#include "coordinator/analysis/monitor/monitor.h"

enum {
    NAME_BYTES_MAX = 256,
    SERIES_BYTES_MAX = 8192,
    KEY_BYTES_MAX = SERIES_BYTES_MAX + 2 * NAME_BYTES_MAX + 2
};

/* What a baseline was given. */
typedef struct point {
    int64_t time_ns;
    double value;
} point;

/* A gauge that may run into a limit. */
typedef struct filling {
    ops_runout line, late; /* `late` remembers a quarter of what `line` does: does it still go on? */
    double far,
        block_far; /* nearest to the limit, before the block of samples at hand and in it; greater is nearer */
    uint32_t block_n, sure_n, quiet_n;
    double told_s; /* time left when it was last told; 0: not told */
} filling;

typedef struct group group;         /* together.h */
typedef struct histogram histogram; /* quantile.c */

typedef struct series {
    uint64_t id;                /* of its records */
    group *group;               /* of its service */
    struct series *prev, *next; /* in the group */
    uint8_t column;             /* of the group's view, from 1; 0: none */
    histogram *histogram;       /* of a bucket; NULL: none */
    double le;                  /* its bound; `judged` is what it grew by, at `judged_ns`, */
    int64_t from_ns;            /* since then; INT64_MIN: not known */
    int64_t kept_ns, told_ns;   /* of a bucket's newest sample; time of which it had its histogram tell */
    char *name;                 /* tenant, service and series, a NUL after each */
    uint32_t tenant_n, service_n, series_n;
    uint8_t kind;
    bool stale;    /* ended by a marker */
    bool has_last; /* `last` may be taken a rate against */
    bool dirty;
    bool whole; /* the baseline must be written whole: more was judged than the tail holds */
    bool known; /* while loading: it has a baseline */
    uint64_t samples, late, repeated, resets;
    int64_t first_ns, last_ns, recv_ns;
    int64_t judged_ns; /* of the newest judged sample; INT64_MIN: none */
    double last;
    double judged, low, high, score; /* of the newest judged sample */
    ops_baseline *baseline;          /* NULL: nothing was judged yet */
    size_t bytes;                    /* of the baseline, as the sum has it */
    bool asked;                      /* whether its name tells of a limit */
    filling *fill;                   /* NULL: nothing it could run into */
    uint32_t tail_n;                 /* judged since the baseline was written */
    point *tail;                     /* OPS_MONITOR_TAIL of them; made with the baseline */
} series;

typedef struct tenant_count {
    size_t n;
    int64_t swept_ns; /* receive time of the last search for room */
    size_t views;
    int64_t views_swept_ns; /* event time of the last search for room for a view */
} tenant_count;

/* A baseline that was read before its series. */
typedef struct waiting {
    uint64_t id;
    ops_baseline *baseline;
} waiting;
/* And what a view knows, before its group. */
typedef struct waiting_view {
    uint64_t id;
    struct ops_component *seen;
} waiting_view;

struct ops_monitor {
    ops_monitor_limits lim;
    OPS_VEC(series *) all;
    ops_map *by_name; /* -> series */
    ops_map *tenants; /* -> tenant_count */
    ops_map64 *by_id; /* while loading */
    OPS_VEC(waiting) waiting;
    OPS_VEC(waiting_view) waiting_views;
    OPS_VEC(uint64_t) gone; /* ids whose records must go */
    OPS_VEC(group *) groups;
    ops_map *by_service; /* -> group */
    ops_map64 *by_group; /* while loading: id -> group */
    OPS_VEC(uint64_t) gone_groups;
    ops_map *histograms; /* by service and X_p99; with their buckets, or what is left of the name */
    uint64_t next_id;
    int64_t event_ns;
    size_t dirty_bytes;
    ops_monitor_stats stats;
    ops_strbuf text, words;
};

/* series.c */
/* Tenant, NUL, service: at most 2 * NAME_BYTES_MAX + 1 bytes into buf. */
ops_slice ops_monitor_service_key(char *buf, ops_slice tenant, ops_slice service);
tenant_count *ops_monitor_tenant(ops_monitor *m, ops_slice tenant);
void ops_monitor_series_free(series *s);
/* Finds or makes; *ret NULL: no room. */
ops_status ops_monitor_series(ops_monitor *m, const ops_monitor_sample *x, series **ret, ops_err *reterr);
/* A series with the names in place; known to the maps. NULL: the heap is out. */
series *ops_monitor_series_put(ops_monitor *m, ops_slice tenant, ops_slice service, ops_slice text);
ops_status ops_monitor_baseline(series *s, ops_err *reterr);
/* The sum of baselines' bytes follows. */
void ops_monitor_weigh(ops_monitor *m, series *s);
void ops_monitor_touch(ops_monitor *m, series *s);
/* The series of that name, or NULL. */
series *ops_monitor_series_find(ops_monitor *m, ops_slice tenant, ops_slice service, ops_slice text);

/* quantile.c */
void ops_monitor_histogram_free(histogram *h);
void ops_monitor_histograms_free(ops_monitor *m);
/* A sample of a bucket, kept or an end, before its series takes it. */
void ops_monitor_bucket(ops_monitor *m, series *s, const ops_monitor_sample *x, ops_monitor_fate fate);
void ops_monitor_bucket_leave(ops_monitor *m, series *s);
ops_status ops_monitor_histograms_done(ops_monitor *m, ops_err *reterr);
static inline bool ops_monitor_is_bucket(uint8_t kind)
{
    return kind == OPS_MONITOR_BUCKET || kind == OPS_MONITOR_BUCKET_DELTA;
}

/* monitor.c: a sample of a series, without what comes of it in others. */
ops_status ops_monitor_add_one(ops_monitor *m, const ops_monitor_sample *x, ops_monitor_fate *ret,
                               series **ret_series, ops_err *reterr);

/* store.c */
enum { ID_KEY_BYTES = 10 };
ops_slice ops_monitor_key(char buf[static ID_KEY_BYTES], char what, uint64_t id);
ops_status ops_monitor_corrupt(ops_slice key, ops_err *reterr);

/* limit.c */
typedef struct ops_monitor_bound {
    double limit;
    bool falling; /* runs down to it */
} ops_monitor_bound;
/* By its name a series of that text could run into something. */
bool ops_monitor_may_fill(ops_slice text);
/* What the series runs into now, after its newest judged value; false: nothing known, or it is beyond. Uses m->text. */
bool ops_monitor_limit(ops_monitor *m, const series *s, ops_monitor_bound *ret);

/* fill.c */
void ops_monitor_fill_init(filling *f);
/* Gives the series a forecast, if its name tells of a limit. */
ops_status ops_monitor_fill_new(series *s, ops_err *reterr);
/* A judged sample of a series that has s->fill. */
void ops_monitor_fill(ops_monitor *m, series *s, const ops_monitor_sample *x);

/* mean.c: X_sum or X_count was judged, or ended. */
void ops_monitor_mean(ops_monitor *m, const ops_monitor_sample *x, const series *s);

static inline ops_slice series_tenant(const series *s)
{
    return ops_slice_of(s->name, s->tenant_n);
}
static inline ops_slice series_service(const series *s)
{
    return ops_slice_of(s->name + s->tenant_n + 1, s->service_n);
}
static inline ops_slice series_text(const series *s)
{
    return ops_slice_of(s->name + s->tenant_n + s->service_n + 2, s->series_n);
}

#endif
