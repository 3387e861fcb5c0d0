/* Groups: the series of a service, and who may have a view of them. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"

void ops_monitor_group_free(group *g)
{
    if (g == NULL)
        return;
    ops_monitor_view_free(g->view);
    ops_free(g->name);
    ops_free(g);
}

void ops_monitor_groups_free(ops_monitor *m)
{
    for (size_t i = 0; i < m->groups.n; i++)
        ops_monitor_group_free(m->groups.v[i]);
    ops_vec_done(&m->groups);
    ops_vec_done(&m->gone_groups);
    for (size_t i = 0; i < m->waiting_views.n; i++)
        ops_component_free(m->waiting_views.v[i].seen);
    ops_vec_done(&m->waiting_views);
    ops_map_free(m->by_service);
    ops_map64_free(m->by_group);
}

group *ops_monitor_group(ops_monitor *m, ops_slice key, uint32_t tenant_n)
{
    group *g = ops_map_get(m->by_service, key);
    if (g != NULL)
        return g;
    g = ops_calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->tenant_n = tenant_n;
    g->service_n = (uint32_t)key.n - tenant_n - 1;
    g->alert_ns = INT64_MIN;
    g->name = ops_strndup(key.p, key.n);
    if (g->name == NULL || !ops_vec_push(&m->groups, g)) {
        ops_monitor_group_free(g);
        return NULL;
    }
    if (ops_map_put(m->by_service, key, g, NULL) == OPS_OK)
        return g;
    m->groups.n--;
    ops_monitor_group_free(g);
    return NULL;
}

/* Of a series' name: tenant, NUL, service. */
static ops_slice key_of(const series *s)
{
    return ops_slice_of(s->name, (size_t)s->tenant_n + 1 + s->service_n);
}

bool ops_monitor_group_join(ops_monitor *m, series *s)
{
    group *g = ops_monitor_group(m, key_of(s), s->tenant_n);
    if (g == NULL)
        return false;
    s->group = g;
    s->next = g->first;
    if (g->first != NULL)
        g->first->prev = s;
    g->first = s;
    g->series_n++;
    return true;
}

/* Without memory to note that its records must go it stays, empty. */
static void remove_group(ops_monitor *m, group *g)
{
    ops_monitor_view_drop(m, g);
    if (!ops_vec_push(&m->gone_groups, g->id))
        return;
    (void)ops_map_del(m->by_service, ops_slice_of(g->name, (size_t)g->tenant_n + 1 + g->service_n));
    for (size_t i = 0; i < m->groups.n; i++)
        if (m->groups.v[i] == g) {
            m->groups.v[i] = m->groups.v[--m->groups.n];
            break;
        }
    ops_monitor_group_free(g);
}

void ops_monitor_group_leave(ops_monitor *m, series *s)
{
    group *g = s->group;
    if (g == NULL)
        return;
    if (s->column > 0)
        g->view->columns[s->column - 1].of = NULL;
    if (s->next != NULL)
        s->next->prev = s->prev;
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        g->first = s->next;
    s->group = NULL;
    if (--g->series_n == 0)
        remove_group(m, g);
}

void ops_monitor_view_drop(ops_monitor *m, group *g)
{
    tenant_count *t = ops_monitor_tenant(m, group_tenant(g));
    if (g->view == NULL)
        return;
    if (t != NULL)
        t->views--;
    m->stats.views--;
    m->stats.view_bytes -= sizeof *g->view + ops_component_bytes(g->view->seen);
    ops_monitor_view_free(g->view);
    g->view = NULL;
    ops_monitor_group_touch(m, g);
}

void ops_monitor_view_counts(ops_monitor *m, group *g, tenant_count *t)
{
    t->views++;
    m->stats.views++;
    m->stats.view_bytes += sizeof *g->view + ops_component_bytes(g->view->seen);
}

/* What saving the group will take. */
void ops_monitor_group_touch(ops_monitor *m, group *g)
{
    enum { RECORD_BYTES = 96, VIEW_BYTES = VIEW_COLUMNS_MAX * 96, ROW_BYTES = 8 + 4 * VIEW_COLUMNS_MAX };
    view *v = g->view;
    if (g->id == 0)
        g->id = m->next_id++;
    if (!g->dirty)
        m->dirty_bytes += RECORD_BYTES + g->tenant_n + g->service_n +
                          (v != NULL ? VIEW_BYTES + (size_t)VIEW_TAIL * ROW_BYTES : 0);
    g->dirty = true;
    if (v != NULL && (v->tail_n == VIEW_TAIL || !v->written) && !v->whole) {
        v->whole = true;
        m->dirty_bytes += ops_component_bytes(v->seen);
    }
}
