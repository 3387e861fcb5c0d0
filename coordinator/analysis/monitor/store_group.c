/* Groups as records. Keys: "mG" + id: a group, its view's columns, what fell into the open steps and the rows judged since the
 * other was written; "mC" + id: what the view knows. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/monitor/together.h"
#include "coordinator/analysis/window/record.h"

enum { GROUP_VERSION = 1 };

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float get_f32(ops_record_reader *r)
{
    const uint64_t u = ops_record_get_u(r);
    const uint32_t bits = (uint32_t)u;
    float f;
    r->bad |= u > UINT32_MAX;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void put_column(ops_strbuf *b, const column *c)
{
    ops_record_u(b, c->id);
    ops_record_f(b, c->unit);
    ops_record_i(b, c->at);
    ops_record_u(b, bits_of(c->last));
    for (int i = 0; i < 2; i++) {
        ops_record_i(b, c->cells[i].step);
        ops_record_f(b, c->cells[i].sum);
        ops_record_u(b, c->cells[i].n);
    }
}

static void get_column(column *c, ops_record_reader *r)
{
    c->id = ops_record_get_u(r);
    c->unit = ops_record_get_f(r);
    r->bad |= !(c->unit > 0);
    c->at = ops_record_get_i(r);
    c->last = get_f32(r);
    for (int i = 0; i < 2; i++) {
        c->cells[i].step = ops_record_get_i(r);
        c->cells[i].sum = ops_record_get_f(r);
        const uint64_t n = ops_record_get_u(r);
        c->cells[i].n = (uint32_t)n;
        r->bad |= n > UINT32_MAX;
    }
}

static void put_view(ops_strbuf *b, const view *v)
{
    ops_record_u(b, v->n);
    ops_record_i(b, v->step_ns);
    ops_record_i(b, v->step);
    ops_record_i(b, v->made_ns);
    for (size_t j = 0; j < v->n; j++)
        put_column(b, &v->columns[j]);
    ops_record_u(b, v->tail_n);
    for (uint32_t i = 0; i < v->tail_n; i++) {
        ops_record_i(b, v->tail[i].step);
        for (size_t j = 0; j < v->n; j++)
            ops_record_u(b, bits_of(v->tail[i].off[j]));
    }
}

/* NULL: damaged, or the heap is out (`*ret_st`). */
static view *get_view(ops_record_reader *r, ops_status *ret_st)
{
    const uint64_t n = ops_record_get_u(r);
    const int64_t step_ns = ops_record_get_i(r);
    *ret_st = OPS_ECORRUPT;
    if (r->bad || n < VIEW_COLUMNS_MIN || n > VIEW_COLUMNS_MAX || step_ns <= 0)
        return NULL;
    view *v = ops_monitor_view_new(n, step_ns, true);
    if (v == NULL) {
        *ret_st = OPS_ENOMEM;
        return NULL;
    }
    v->step = ops_record_get_i(r);
    v->made_ns = ops_record_get_i(r);
    for (size_t j = 0; j < n; j++)
        get_column(&v->columns[j], r);
    const uint64_t tail_n = ops_record_get_u(r);
    r->bad |= tail_n > VIEW_TAIL;
    for (uint64_t i = 0; !r->bad && i < tail_n; i++) {
        v->tail[i].step = ops_record_get_i(r);
        for (size_t j = 0; j < n; j++)
            v->tail[i].off[j] = get_f32(r);
    }
    v->tail_n = r->bad ? 0 : (uint32_t)tail_n;
    return v;
}

static void put_group(ops_strbuf *b, const group *g)
{
    ops_strbuf_clear(b);
    ops_record_u(b, GROUP_VERSION);
    ops_record_s(b, group_tenant(g));
    ops_record_s(b, group_service(g));
    ops_record_u(b, g->judged);
    ops_record_i(b, g->alert_ns);
    ops_record_u(b, g->view != NULL);
    if (g->view != NULL)
        put_view(b, g->view);
}

static ops_status save_known(ops_monitor *m, group *g, ops_monitor_emit emit, void *u)
{
    char key[ID_KEY_BYTES];
    ops_strbuf_clear(&m->text);
    if (g->view != NULL)
        ops_component_save(g->view->seen, &m->text);
    return m->text.failed ? OPS_ENOMEM : emit(u, ops_monitor_key(key, 'C', g->id), ops_strbuf_get(&m->text));
}

static ops_status save_group(ops_monitor *m, group *g, ops_monitor_emit emit, void *u)
{
    char key[ID_KEY_BYTES];
    const bool whole = g->view != NULL && g->view->whole, gone = g->view == NULL && g->stored;
    const uint32_t tail_n = g->view != NULL ? g->view->tail_n : 0;
    ops_status st = whole || gone ? save_known(m, g, emit, u) : OPS_OK;
    if (st != OPS_OK)
        return st;
    /* The tail starts anew only when both records are out. */
    if (whole)
        g->view->tail_n = 0;
    put_group(&m->text, g);
    st = m->text.failed ? OPS_ENOMEM : emit(u, ops_monitor_key(key, 'G', g->id), ops_strbuf_get(&m->text));
    if (st != OPS_OK) {
        if (whole)
            g->view->tail_n = tail_n;
        return st;
    }
    if (whole) {
        g->view->whole = false;
        g->view->written = true;
    }
    g->stored = g->view != NULL;
    g->dirty = false;
    return OPS_OK;
}

ops_status ops_monitor_groups_save(ops_monitor *m, ops_monitor_emit emit, void *u)
{
    char key[ID_KEY_BYTES];
    ops_status st = OPS_OK;
    for (; st == OPS_OK && m->gone_groups.n > 0; m->gone_groups.n -= st == OPS_OK) {
        const uint64_t id = m->gone_groups.v[m->gone_groups.n - 1];
        st = emit(u, ops_monitor_key(key, 'C', id), (ops_slice){0});
        if (st == OPS_OK)
            st = emit(u, ops_monitor_key(key, 'G', id), (ops_slice){0});
    }
    for (size_t i = 0; st == OPS_OK && i < m->groups.n; i++)
        if (m->groups.v[i]->dirty)
            st = save_group(m, m->groups.v[i], emit, u);
    return st;
}

ops_status ops_monitor_group_load(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_record_reader r = ops_record_read(val);
    ops_status st = OPS_OK;
    const uint64_t version = ops_record_get_u(&r);
    const ops_slice tenant = ops_record_get_s(&r, NAME_BYTES_MAX),
                    service = ops_record_get_s(&r, NAME_BYTES_MAX);
    const uint64_t judged = ops_record_get_u(&r);
    const int64_t alert_ns = ops_record_get_i(&r);
    const uint64_t has_view = ops_record_get_u(&r);
    if (r.bad || version != GROUP_VERSION || has_view > 1 || id == 0 || ops_map64_has(m->by_group, id))
        return ops_monitor_corrupt(key, reterr);
    char name[2 * NAME_BYTES_MAX + 1];
    ops_slice parts = ops_monitor_service_key(name, tenant, service);
    group *g = ops_monitor_group(m, parts, (uint32_t)tenant.n);
    if (g == NULL || ops_map64_put(m->by_group, id, g, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "a component");
    if (g->id != 0)
        return ops_monitor_corrupt(key, reterr);
    g->id = id;
    g->judged = judged;
    g->alert_ns = alert_ns;
    if (has_view == 1)
        g->view = get_view(&r, &st);
    if (st == OPS_ENOMEM && g->view == NULL)
        return ops_fail(reterr, st, "a component's view");
    return has_view == (g->view != NULL) && ops_record_whole(&r) ? OPS_OK : ops_monitor_corrupt(key, reterr);
}

ops_status ops_monitor_view_load(ops_monitor *m, uint64_t id, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_component *c = NULL;
    if (!ops_vec_push(&m->waiting_views, ((waiting_view){id, NULL})))
        return ops_fail(reterr, OPS_ENOMEM, "a component");
    ops_status st = ops_component_load(val, &c, reterr);
    if (st == OPS_ECORRUPT)
        return ops_monitor_corrupt(key, reterr);
    m->waiting_views.v[m->waiting_views.n - 1].seen = c;
    return st;
}

/* Columns find their series; one whose series is gone stays empty. */
static bool link_columns(ops_monitor *m, group *g)
{
    for (size_t j = 0; j < g->view->n; j++) {
        series *s = ops_map64_get(m->by_id, g->view->columns[j].id);
        if (s != NULL && (s->group != g || s->column != 0 || s->baseline == NULL))
            return false;
        g->view->columns[j].of = s;
        if (s != NULL)
            s->column = (uint8_t)(j + 1);
    }
    return true;
}

static ops_status link_view(ops_monitor *m, group *g, ops_err *reterr)
{
    tenant_count *t = ops_monitor_tenant(m, group_tenant(g));
    if (t == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a component's tenant");
    if (g->view->seen == NULL || ops_component_columns(g->view->seen) != g->view->n || !link_columns(m, g))
        return ops_fail(reterr, OPS_ECORRUPT, "metrics: a component's columns are not what was saved");
    ops_monitor_view_counts(m, g, t);
    g->stored = g->view->written = true;
    return ops_monitor_view_again(g->view, reterr);
}

ops_status ops_monitor_groups_done(ops_monitor *m, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < m->waiting_views.n; i++) {
        group *g = ops_map64_get(m->by_group, m->waiting_views.v[i].id);
        if (g == NULL || g->view == NULL || g->view->seen != NULL)
            return ops_fail(reterr, OPS_ECORRUPT, "metrics: a view without its component");
        g->view->seen = OPS_STEAL(m->waiting_views.v[i].seen);
    }
    ops_vec_done(&m->waiting_views);
    for (size_t i = 0; st == OPS_OK && i < m->groups.n; i++) {
        group *g = m->groups.v[i];
        if (g->id >= m->next_id)
            return ops_fail(reterr, OPS_ECORRUPT, "metrics: a component of a time to come");
        st = g->view != NULL ? link_view(m, g, reterr) : OPS_OK;
    }
    ops_map64_free(m->by_group);
    m->by_group = NULL;
    return st;
}
