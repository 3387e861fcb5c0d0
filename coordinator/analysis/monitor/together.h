/* The series of one service seen together. Private to the room.
 *
 * A group is every series of a tenant's service. Once it has columns, a view: each judged sample of a column adds how far it
 * lies from its own series' level, in that series' mean distances, to the step of time it falls into; a step is closed, and
 * becomes a row, when one of the columns is past the step after it. */
#ifndef OPS_ANALYSIS_MONITOR_TOGETHER_H
#define OPS_ANALYSIS_MONITOR_TOGETHER_H

#include "coordinator/analysis/metric/component.h"
#include "coordinator/analysis/monitor/state.h"

enum {
    VIEW_COLUMNS_MIN = 2,
    VIEW_COLUMNS_MAX = 32,
    VIEW_TAIL = 32, /* rows kept beside a view that was written whole */
    VIEW_CARRY = 4  /* steps for which a column that has no sample stands still */
};

/* What fell into one step. */
typedef struct cell {
    int64_t step;
    double sum;
    uint32_t n;
} cell;

typedef struct column {
    uint64_t id;   /* of the series */
    series *of;    /* NULL: gone */
    cell cells[2]; /* of even steps and of odd ones */
    double unit;   /* what a row counts it in: its mean distance when it was chosen */
    int64_t at;    /* step of `last`; INT64_MIN: none */
    float last;
} column;

typedef struct view_row {
    int64_t step;
    float off[VIEW_COLUMNS_MAX]; /* no number: nothing known */
} view_row;

typedef struct view {
    size_t n;
    int64_t step_ns;
    int64_t step;    /* the one that is closed next; INT64_MIN: none yet */
    int64_t made_ns; /* event time */
    column columns[VIEW_COLUMNS_MAX];
    ops_component *seen;
    bool whole;   /* must be written whole */
    bool written; /* it was, once */
    uint32_t tail_n;
    view_row tail[VIEW_TAIL];
} view;

struct group {
    uint64_t id;
    char *name; /* tenant and service, a NUL after each */
    uint32_t tenant_n, service_n;
    size_t series_n;
    series *first;
    uint64_t judged;  /* samples since the columns were last thought of */
    int64_t alert_ns; /* event time of the newest alert of a single series; INT64_MIN: none */
    view *view;       /* NULL: too little is known, or no room */
    bool dirty;
    bool stored; /* there is a record of what its view knows */
};

/* group.c */
void ops_monitor_group_free(group *g);
/* All of them, and what was read and not linked. */
void ops_monitor_groups_free(ops_monitor *m);
/* Finds or makes; `key`: tenant, NUL, service. NULL: the heap is out. */
group *ops_monitor_group(ops_monitor *m, ops_slice key, uint32_t tenant_n);
/* Puts a series into the group of its service, making that. False: the heap is out. */
bool ops_monitor_group_join(ops_monitor *m, series *s);
/* The series goes. */
void ops_monitor_group_leave(ops_monitor *m, series *s);
void ops_monitor_group_touch(ops_monitor *m, group *g);
void ops_monitor_view_drop(ops_monitor *m, group *g);
/* The group came to have a view. */
void ops_monitor_view_counts(ops_monitor *m, group *g, tenant_count *t);

/* choose.c: looks for columns when it is time to; the view changes rarely. */
void ops_monitor_choose(ops_monitor *m, group *g, int64_t now_ns);

/* together.c */
view *ops_monitor_view_new(size_t n, int64_t step_ns, bool load);
void ops_monitor_view_free(view *v);
/* A judged sample of a series, and what its baseline said. */
void ops_monitor_lead(ops_monitor *m, series *s, const ops_monitor_sample *x,
                      const ops_baseline_verdict *own);
/* Judges rows again after a load. */
ops_status ops_monitor_view_again(view *v, ops_err *reterr);

/* store_group.c */
ops_status ops_monitor_groups_save(ops_monitor *m, ops_monitor_emit emit, void *u);
ops_status ops_monitor_group_load(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr);
ops_status ops_monitor_view_load(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr);
/* All series are there. */
ops_status ops_monitor_groups_done(ops_monitor *m, ops_err *reterr);

static inline ops_slice group_tenant(const group *g)
{
    return ops_slice_of(g->name, g->tenant_n);
}
static inline ops_slice group_service(const group *g)
{
    return ops_slice_of(g->name + g->tenant_n + 1, g->service_n);
}

#endif
