/* What is remembered of a tenant beside its incidents: components and calls, what people taught, findings that open nothing. */
#include <math.h>
#include <string.h>

#include "coordinator/incident/correlator_internal.h"

static const double day_s = 86400;

const Ops__V1__IncidentMemory *incident_memory(const incident_tenant *t)
{
    return t->new_memory != NULL ? t->new_memory : t->memory;
}

static void *with_room(ops_arena *a, const void *from, size_t n, size_t max)
{
    void **to = ops_arena_alloc(a, (max > n ? max : n) * sizeof *to + sizeof *to);
    if (to != NULL && n > 0)
        memcpy(to, from, n * sizeof *to);
    return to;
}

Ops__V1__IncidentMemory *incident_memory_draft(incident_tenant *t)
{
    if (t->new_memory != NULL)
        return t->new_memory;
    Ops__V1__IncidentMemory *m = ops_arena_alloc(&t->arena, sizeof *m);
    if (m == NULL)
        return NULL;
    *m = *t->memory;
    m->lessons = with_room(&t->arena, m->lessons, m->n_lessons, INCIDENT_LESSONS_MAX);
    m->loose = with_room(&t->arena, m->loose, m->n_loose, INCIDENT_LOOSE_MAX);
    if (m->lessons == NULL || m->loose == NULL)
        return NULL;
    t->new_memory = m;
    return m;
}

/* The oldest gives way. */
bool incident_learn(incident_tenant *t, const Ops__V1__IncidentLesson *lesson)
{
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    Ops__V1__IncidentLesson *mine = ops_arena_alloc(&t->arena, sizeof *mine);
    if (m == NULL || mine == NULL)
        return false;
    *mine = *lesson;
    if (m->n_lessons == INCIDENT_LESSONS_MAX)
        memmove(m->lessons, m->lessons + 1, --m->n_lessons * sizeof *m->lessons);
    m->lessons[m->n_lessons++] = mine;
    return true;
}

bool incident_unlearn(incident_tenant *t, ops_slice who, ops_slice incident_id)
{
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    size_t kept = 0;
    if (m == NULL)
        return false;
    for (size_t i = 0; i < m->n_lessons; i++) {
        const Ops__V1__IncidentLesson *l = m->lessons[i];
        const bool fed = l->kind == OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_RIGHT_CAUSE ||
                         l->kind == OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_WRONG_CAUSE ||
                         l->kind == OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_NOISE;
        if (!fed || !ops_slice_eq(ops_slice_str(l->who), who) ||
            !ops_slice_eq(ops_slice_str(l->incident_id), incident_id))
            m->lessons[kept++] = m->lessons[i];
    }
    m->n_lessons = kept;
    return true;
}

bool incident_loose_put(incident_tenant *t, Ops__V1__IncidentMember *mine)
{
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    if (m == NULL)
        return false;
    for (size_t i = 0; i < m->n_loose; i++)
        if (strcmp(m->loose[i]->finding_id, mine->finding_id) == 0) {
            m->loose[i] = mine;
            return true;
        }
    if (m->n_loose == INCIDENT_LOOSE_MAX)
        memmove(m->loose, m->loose + 1, --m->n_loose * sizeof *m->loose);
    m->loose[m->n_loose++] = mine;
    return true;
}

bool incident_loose_del(incident_tenant *t, size_t i)
{
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    if (m == NULL)
        return false;
    memmove(&m->loose[i], &m->loose[i + 1], (--m->n_loose - i) * sizeof *m->loose);
    return true;
}

/* Each counts half after a day; so the sum times ln 2 is what a day brings. */
static double decayed(const Ops__V1__IncidentMemory *m, int64_t now_ns)
{
    const double days = (double)ops_time_after(now_ns, m->opened_time_unix_nano) / 1e9 / day_s;
    return days > 0 ? m->opened * exp2(-days) : m->opened;
}

bool incident_count_opened(incident_tenant *t, int64_t now_ns)
{
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    if (m == NULL)
        return false;
    m->opened = decayed(m, now_ns) + 1;
    m->opened_time_unix_nano = now_ns > m->opened_time_unix_nano ? now_ns : m->opened_time_unix_nano;
    t->c->turn.opened++;
    return true;
}

double incident_per_day(const incident_tenant *t, int64_t now_ns)
{
    return decayed(incident_memory(t), now_ns) * 0.6931471805599453;
}

/* A full topology keeps what it has: groups and ranks go on over what is known. */
static ops_status add(incident_tenant *t, ops_slice name, bool *ret_new, ops_err *reterr)
{
    ops_status st = ops_topology_add(t->topology, name, ret_new, reterr);
    return st == OPS_EAGAIN || st == OPS_EINVAL ? OPS_OK : st;
}

static ops_status hear(incident_tenant *t, ops_slice component, const char *text, ops_err *reterr)
{
    bool fresh = false;
    ops_status st = ops_topology_hear(t->topology, component, ops_slice_str(text), &fresh, reterr);
    t->topology_changed = t->topology_changed || fresh;
    return st;
}

ops_status incident_call(incident_tenant *t, ops_slice caller, ops_slice callee, ops_err *reterr)
{
    bool fresh = false;
    ops_status st = add(t, caller, NULL, reterr);
    if (st == OPS_OK)
        st = add(t, callee, NULL, reterr);
    const uint32_t a = ops_topology_find(t->topology, caller), b = ops_topology_find(t->topology, callee);
    if (st == OPS_OK && a != OPS_TOPOLOGY_NONE && b != OPS_TOPOLOGY_NONE && a != b)
        st = ops_topology_add_sure(t->topology, a, b, &fresh, reterr);
    t->topology_changed = t->topology_changed || fresh;
    return st;
}

/* What was said before its name was known. */
static ops_status hear_again(incident_tenant *t, ops_err *reterr)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; i < t->live.n; i++) {
        const Ops__V1__Incident *m = incident_now(t, i);
        for (size_t k = 0; st == OPS_OK && k < m->n_findings; k++)
            if (m->findings[k]->n_services > 0 &&
                m->findings[k]->kind != OPS__V1__FINDING_KIND__FINDING_KIND_METRIC)
                st = hear(t, ops_slice_str(m->findings[k]->services[0]), m->findings[k]->text, reterr);
    }
    return st;
}

typedef struct naming {
    incident_tenant *t;
    bool any;
    ops_status st;
} naming;

static void on_name(void *u, ops_slice name)
{
    naming *n = u;
    bool fresh = false;
    if (n->st == OPS_OK)
        n->st = add(n->t, name, &fresh, NULL);
    n->any = n->any || fresh;
}

/* Once a turn: who there is, whether or not it ever had a finding. Those without logs or findings are not known. */
static ops_status ask_names(incident_tenant *t, bool *ret_any, ops_err *reterr)
{
    naming n = {.t = t};
    if (t->names_known || t->c->conf.components == NULL)
        return OPS_OK;
    t->names_known = true;
    t->c->conf.components(t->c->conf.u, ops_slice_str(t->name), on_name, &n);
    *ret_any = *ret_any || n.any;
    return n.st == OPS_OK ? OPS_OK : ops_fail(reterr, n.st, "tenant %s: names of components", t->name);
}

ops_status incident_hear(incident_tenant *t, const Ops__V1__Finding *f, ops_err *reterr)
{
    bool any = false;
    ops_status st = ask_names(t, &any, reterr);
    for (size_t i = 0; st == OPS_OK && i < f->n_services; i++) {
        bool fresh = false;
        st = add(t, ops_slice_str(f->services[i]), &fresh, reterr);
        any = any || fresh;
    }
    for (size_t i = 0; st == OPS_OK && i < f->n_evidence; i++)
        if (incident_says(f->evidence[i]))
            st = hear(t, ops_slice_str(f->evidence[i]->service), f->evidence[i]->text, reterr);
    for (size_t i = 0; st == OPS_OK && f->n_services > 0 && i < f->n_labels; i++)
        st = hear(t, ops_slice_str(f->services[0]), f->labels[i]->value, reterr);
    t->topology_changed = t->topology_changed || any;
    return st == OPS_OK && any ? hear_again(t, reterr) : st;
}

static ops_status unpack(incident_tenant *t, ops_slice bytes, ops_err *reterr)
{
    Ops__V1__IncidentMemory *m = ops__v1__incident_memory__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    if (m == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "tenant %s: what is remembered of incidents does not read",
                        t->name);
    if (t->memory != NULL)
        ops__v1__incident_memory__free_unpacked(t->memory, NULL);
    t->memory = m;
    return OPS_OK;
}

static ops_status load_topology(incident_tenant *t, ops_err *reterr)
{
    const Ops__V1__IncidentMemory *m = t->memory;
    ops_status st = ops_topology_new(&t->topology, reterr);
    for (size_t i = 0; st == OPS_OK && i < m->n_components; i++)
        st = ops_topology_add(t->topology, ops_slice_str(m->components[i]), NULL, reterr);
    for (size_t i = 0; st == OPS_OK && i < m->n_calls; i++) {
        const uint32_t caller = ops_topology_find(t->topology, ops_slice_str(m->calls[i]->caller)),
                       callee = ops_topology_find(t->topology, ops_slice_str(m->calls[i]->callee));
        if (caller == OPS_TOPOLOGY_NONE || callee == OPS_TOPOLOGY_NONE || caller == callee)
            continue;
        st = ops_topology_add_call(t->topology, caller, callee, m->calls[i]->seen, reterr);
        if (st == OPS_OK && m->calls[i]->sure)
            st = ops_topology_add_sure(t->topology, caller, callee, NULL, reterr);
    }
    return st;
}

ops_status incident_memory_load(incident_tenant *t, ops_err *reterr)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 16 << 20);
    ops_status st = ops_repo_incident_memory(t->c->conf.repo, ops_slice_str(t->name), &b, reterr);
    if (st == OPS_OK && b.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "tenant %s: incidents", t->name);
    if (st == OPS_OK)
        st = unpack(t, ops_strbuf_get(&b), reterr);
    ops_strbuf_done(&b);
    return st == OPS_OK ? load_topology(t, reterr) : st;
}

static bool put_topology(incident_tenant *t, Ops__V1__IncidentMemory *m)
{
    const size_t n = ops_topology_count(t->topology), calls = ops_topology_call_count(t->topology);
    m->components = ops_arena_alloc(&t->arena, (n + 1) * sizeof *m->components);
    m->calls = ops_arena_alloc(&t->arena, (calls + 1) * sizeof(Ops__V1__IncidentCall *));
    if (m->components == NULL || m->calls == NULL)
        return false;
    m->n_components = n;
    for (size_t i = 0; i < n; i++)
        m->components[i] = (char *)(uintptr_t)ops_topology_name(t->topology, (uint32_t)i).p;
    m->n_calls = calls;
    for (size_t i = 0; i < calls; i++) {
        const ops_topology_call *from = ops_topology_call_at(t->topology, i);
        Ops__V1__IncidentCall *to = ops_arena_alloc(&t->arena, sizeof *to);
        if (to == NULL)
            return false;
        ops__v1__incident_call__init(to);
        to->caller = m->components[from->caller];
        to->callee = m->components[from->callee];
        to->seen = from->seen;
        to->sure = from->sure;
        m->calls[i] = to;
    }
    return true;
}

ops_status incident_memory_pack(incident_tenant *t, ops_err *reterr)
{
    if (!t->topology_changed && t->new_memory == NULL)
        return OPS_OK;
    Ops__V1__IncidentMemory *m = incident_memory_draft(t);
    bool ok = m != NULL && (!t->topology_changed || put_topology(t, m));
    const size_t n = ok ? ops__v1__incident_memory__get_packed_size(m) : 0;
    uint8_t *to = ok ? ops_arena_alloc(&t->arena, n + 1) : NULL;
    if (to == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "tenant %s: incidents", t->name);
    t->packed_memory = ops_slice_of(to, ops__v1__incident_memory__pack(m, to));
    return OPS_OK;
}
