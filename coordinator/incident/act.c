/* What people do to incidents. Each act is a turn of its own: what it changes and its entry in the audit are one batch. */
#include <stdio.h>
#include <string.h>

#include "coordinator/incident/correlator_internal.h"

#define ENTRY(name) OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_##name
#define STATE(name) OPS__V1__INCIDENT_STATE__INCIDENT_STATE_##name

typedef struct acting {
    incident_tenant *t;
    const ops_incident_act *act;
    int64_t now_ns;
    char *who, *comment;
    incident_draft *d; /* of act->id */
    const char *shown; /* id of the incident that is the answer */
    const char *what;  /* for the audit */
    ops_err *err;
} acting;

const char *ops_incident_act_name(ops_incident_act_kind kind)
{
    static const char *const names[OPS_INCIDENT_ACTS] = {"acknowledge", "resolve", "reopen",
                                                         "merge",       "split",   "feedback"};
    return kind < OPS_INCIDENT_ACTS ? names[kind] : "?";
}

static ops_status out_of_memory(const acting *x)
{
    return ops_fail(x->err, OPS_ENOMEM, "incident " OPS_SLICE_FMT, OPS_SLICE_ARG(x->act->id));
}

static const char *state_name(const Ops__V1__Incident *m)
{
    static const char *const names[] = {"in no state", "open", "acknowledged", "resolved", "merged"};
    return (unsigned)m->state < sizeof names / sizeof *names ? names[m->state] : "in no state";
}

static ops_status not_in(const acting *x, const Ops__V1__Incident *m, const char *wanted)
{
    if (m->state == STATE(MERGED))
        return ops_fail(x->err, OPS_ECONFLICT, "incident %s was merged into %s", m->id, m->merged_into);
    return ops_fail(x->err, OPS_ECONFLICT, "incident %s is %s, not %s", m->id, state_name(m), wanted);
}

static ops_status note(acting *x, incident_draft *d, int kind, const char *usual)
{
    if (!incident_note(x->t, d, x->now_ns, kind, x->who, NULL, x->comment[0] != '\0' ? x->comment : usual))
        return out_of_memory(x);
    return OPS_OK;
}

static ops_status acknowledge(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    if (!incident_is_live(m))
        return not_in(x, m, "open");
    if (m->state == STATE(ACKNOWLEDGED) && strcmp(m->acknowledged_by, x->who) == 0)
        return OPS_OK;
    m->state = STATE(ACKNOWLEDGED);
    m->acknowledged_by = x->who;
    return note(x, x->d, ENTRY(ACKNOWLEDGED), "acknowledged");
}

static ops_status resolve(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    if (m->state == STATE(RESOLVED))
        return OPS_OK;
    if (!incident_is_live(m))
        return not_in(x, m, "open or acknowledged");
    incident_resolve(x->t, x->d, x->now_ns, x->who);
    return note(x, x->d, ENTRY(RESOLVED), "resolved");
}

static ops_status reopen(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    if (m->state != STATE(RESOLVED))
        return not_in(x, m, "resolved");
    ops_status st = incident_make_room(x->t, m->last_time_unix_nano, x->err);
    if (st != OPS_OK)
        return st;
    m->state = STATE(OPEN);
    m->reopened++;
    m->reopened_by = x->who;
    m->resolved_time_unix_nano = 0;
    m->resolved_by = m->acknowledged_by = (char *)(uintptr_t) "";
    x->d->tell = true;
    x->t->c->turn.reopened++;
    return note(x, x->d, ENTRY(REOPENED), "opened again");
}

static const char *service_of(const Ops__V1__Incident *m)
{
    for (size_t i = 0; i < m->n_findings; i++)
        if (m->findings[i]->n_services > 0)
            return m->findings[i]->services[0];
    return "";
}

/* Of which incident something was said is what takes it back later, so lessons about pairs are of none. */
static bool learn(acting *x, Ops__V1__IncidentLessonKind kind, const char *first, const char *second,
                  const char *incident_id)
{
    Ops__V1__IncidentLesson l = OPS__V1__INCIDENT_LESSON__INIT;
    if (first[0] == '\0')
        return true;
    l.kind = kind;
    l.first = (char *)(uintptr_t)first;
    l.second = (char *)(uintptr_t)second;
    l.who = x->who;
    l.incident_id = (char *)(uintptr_t)incident_id;
    l.time_unix_nano = x->now_ns;
    return incident_learn(x->t, &l);
}

static int by_time(const Ops__V1__TimelineEntry *a, const Ops__V1__TimelineEntry *b)
{
    return a->time_unix_nano < b->time_unix_nano ? -1 : a->time_unix_nano > b->time_unix_nano;
}

/* Both timelines as one in order of time; beyond the bound the middle goes. */
static bool weave(acting *x, Ops__V1__Incident *to, const Ops__V1__Incident *from)
{
    const size_t n = to->n_timeline + from->n_timeline;
    Ops__V1__TimelineEntry **v = ops_arena_alloc(&x->t->arena, (n + 1) * sizeof *v);
    size_t i = 0, k = 0, at = 0;
    if (v == NULL)
        return false;
    while (at < n)
        if (k == from->n_timeline || (i < to->n_timeline && by_time(to->timeline[i], from->timeline[k]) <= 0))
            v[at++] = to->timeline[i++];
        else
            v[at++] = from->timeline[k++];
    const size_t over = n > OPS_INCIDENT_TIMELINE_MAX ? n - OPS_INCIDENT_TIMELINE_MAX : 0;
    const size_t head = OPS_INCIDENT_TIMELINE_HEAD;
    if (over > 0)
        memmove(&v[head], &v[head + over], (n - head - over) * sizeof *v);
    memcpy(to->timeline, v, (n - over) * sizeof *v);
    to->n_timeline = n - over;
    to->timeline_left_out += (uint32_t)over + from->timeline_left_out;
    return true;
}

static ops_status other_of(acting *x, incident_draft **ret)
{
    size_t place = 0;
    const Ops__V1__Incident *m = &x->d->m;
    if (!incident_is_live(m))
        return not_in(x, m, "open or acknowledged");
    if (ops_slice_eq(x->act->other, x->act->id))
        return ops_fail(x->err, OPS_EINVAL, "other: an incident can not be merged into itself");
    ops_status st = incident_tenant_fetch(x->t, x->act->other, &place, x->err);
    if (st != OPS_OK)
        return st;
    if ((*ret = incident_draft_of(x->t, place)) == NULL)
        return out_of_memory(x);
    const Ops__V1__Incident *o = &(*ret)->m;
    return o->state == STATE(MERGED) && strcmp(o->merged_into, m->id) != 0 ? not_in(x, o, "to be merged")
                                                                           : OPS_OK;
}

static ops_status merge(acting *x)
{
    incident_draft *o = NULL;
    Ops__V1__Incident *m = &x->d->m;
    ops_status st = other_of(x, &o);
    if (st != OPS_OK)
        return st;
    if (o->m.state == STATE(MERGED)) { /* it is there already */
        return OPS_OK;
    }
    bool ok = learn(x, OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_TOGETHER, service_of(m),
                    service_of(&o->m), "");
    for (size_t i = 0; ok && i < o->m.n_findings; i++)
        ok = incident_add_member(x->t, x->d, o->m.findings[i]);
    ok = ok && weave(x, m, &o->m);
    m->findings_left_out += o->m.findings_left_out;
    const bool told = incident_is_live(&o->m);
    o->m.state = STATE(MERGED);
    o->m.merged_into = m->id;
    o->m.resolved_time_unix_nano = x->now_ns;
    o->tell = told;
    x->what = incident_printf(&x->t->arena, "%s into %s", o->m.id, m->id);
    ok = ok && x->what != NULL && incident_note(x->t, o, x->now_ns, ENTRY(MERGED), x->who, NULL, x->what);
    return ok ? note(x, x->d, ENTRY(MERGED), x->what) : out_of_memory(x);
}

static bool is_named(const acting *x, const char *finding)
{
    for (size_t i = 0; i < x->act->finding_count; i++)
        if (ops_slice_eq(x->act->findings[i], ops_slice_str(finding)))
            return true;
    return false;
}

static ops_status check_split(const acting *x, const Ops__V1__Incident *m)
{
    size_t leave = 0;
    if (m->state == STATE(MERGED))
        return not_in(x, m, "to be split");
    if (x->act->finding_count == 0)
        return ops_fail(x->err, OPS_EINVAL, "finding_ids: which findings are to leave?");
    for (size_t i = 0; i < x->act->finding_count; i++) {
        bool there = false;
        for (size_t k = 0; !there && k < m->n_findings; k++)
            there = ops_slice_eq(x->act->findings[i], ops_slice_str(m->findings[k]->finding_id));
        if (!there)
            return ops_fail(x->err, OPS_EINVAL, "finding_ids: '" OPS_SLICE_FMT "' is not of incident %s",
                            OPS_SLICE_ARG(ops_slice_sub(x->act->findings[i], 0, 64)), m->id);
    }
    for (size_t k = 0; k < m->n_findings; k++)
        leave += is_named(x, m->findings[k]->finding_id);
    if (leave == m->n_findings)
        return ops_fail(x->err, OPS_EINVAL, "finding_ids: all would leave; some must stay");
    return OPS_OK;
}

/* Severity and the leading cause are judged anew: a half may be less than the whole. */
static void begin_anew(incident_draft *d)
{
    d->rank = true;
    d->m.severity = OPS__V1__LEVEL__LEVEL_UNSPECIFIED;
}

static ops_status split(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    ops_status st = check_split(x, m);
    if (st == OPS_OK && incident_is_live(m))
        st = incident_make_room(x->t, m->last_time_unix_nano, x->err);
    if (st != OPS_OK)
        return st;
    const ops_slice seed = x->act->request_id.n > 0 ? x->act->request_id : x->act->findings[0];
    incident_draft *half = incident_draft_new(x->t, seed, m->start_time_unix_nano);
    if (half == NULL)
        return out_of_memory(x);
    size_t kept = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < m->n_findings; i++)
        if (is_named(x, m->findings[i]->finding_id))
            ok = incident_add_member(x->t, half, m->findings[i]);
        else
            m->findings[kept++] = m->findings[i];
    m->n_findings = kept;
    half->m.state = m->state;
    half->m.acknowledged_by = m->acknowledged_by;
    half->m.resolved_by = m->resolved_by;
    half->m.resolved_time_unix_nano = m->resolved_time_unix_nano;
    half->m.split_from = m->id;
    half->tell = incident_is_live(m);
    begin_anew(x->d);
    begin_anew(half);
    x->what =
        incident_printf(&x->t->arena, "%zu findings left %s for %s", half->m.n_findings, m->id, half->m.id);
    x->shown = half->m.id;
    ok = ok && x->what != NULL &&
         learn(x, OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_APART, service_of(&half->m),
               service_of(m), "") &&
         incident_note(x->t, half, x->now_ns, ENTRY(SPLIT), x->who, NULL, x->what);
    return ok ? note(x, x->d, ENTRY(SPLIT), x->what) : out_of_memory(x);
}

/* Replaces what the same person said before. */
static ops_status keep_feedback(acting *x, const char *component)
{
    Ops__V1__Incident *m = &x->d->m;
    Ops__V1__IncidentFeedback *f = ops_arena_alloc(&x->t->arena, sizeof *f);
    size_t kept = 0;
    if (f == NULL)
        return out_of_memory(x);
    for (size_t i = 0; i < m->n_feedback; i++)
        if (strcmp(m->feedback[i]->author, x->who) != 0)
            m->feedback[kept++] = m->feedback[i];
    m->n_feedback = kept;
    if (kept == OPS_INCIDENT_FEEDBACK_MAX)
        return ops_fail(x->err, OPS_ERANGE, "incident %s has feedback of %d people already", m->id,
                        OPS_INCIDENT_FEEDBACK_MAX);
    ops__v1__incident_feedback__init(f);
    f->author = x->who;
    f->verdict = (Ops__V1__IncidentVerdict)x->act->verdict;
    f->component = (char *)(uintptr_t)component;
    f->comment = x->comment;
    f->time_unix_nano = x->now_ns;
    m->feedback[m->n_feedback++] = f;
    return OPS_OK;
}

/* The like of its findings, as grave at most, opens no incident any more. */
static bool learn_noise(acting *x, const Ops__V1__Incident *m)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->n_findings; i++) {
        Ops__V1__IncidentLesson l = OPS__V1__INCIDENT_LESSON__INIT;
        if (m->findings[i]->n_services == 0)
            continue;
        l.kind = OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_NOISE;
        l.first = m->findings[i]->services[0];
        l.finding_kind = m->findings[i]->kind;
        l.severity = m->findings[i]->severity;
        l.who = x->who;
        l.incident_id = m->id;
        l.time_unix_nano = x->now_ns;
        ok = incident_learn(x->t, &l);
    }
    return ok;
}

/* Which component is meant; "" for noise. NULL: the arena is out. */
static const char *meant(acting *x, bool noise)
{
    const Ops__V1__Incident *m = &x->d->m;
    if (noise)
        return "";
    if (x->act->component.n > 0)
        return incident_text(&x->t->arena, x->act->component, OPS_TOPOLOGY_NAME_MAX);
    return m->n_causes > 0 ? m->causes[0]->component : "";
}

static ops_status say(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    const bool noise = x->act->verdict == OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_NOISE,
               right = x->act->verdict == OPS__V1__INCIDENT_VERDICT__INCIDENT_VERDICT_RIGHT_CAUSE;
    const char *component = meant(x, noise);
    if (m->state == STATE(MERGED))
        return not_in(x, m, "to be judged");
    if (component == NULL)
        return out_of_memory(x);
    if (!noise && component[0] == '\0')
        return ops_fail(x->err, OPS_EINVAL, "component: the incident has no cause; name one");
    /* A cause that no finding ever named: from now on it is known. */
    ops_status st = noise ? OPS_OK : ops_topology_add(x->t->topology, ops_slice_str(component), NULL, x->err);
    x->t->topology_changed = x->t->topology_changed || !noise;
    if (st == OPS_OK)
        st = keep_feedback(x, component);
    if (st != OPS_OK)
        return st;
    bool ok = incident_unlearn(x->t, ops_slice_str(x->who), ops_slice_str(m->id));
    if (ok && noise)
        ok = learn_noise(x, m);
    else if (ok)
        ok = learn(x,
                   right ? OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_RIGHT_CAUSE
                         : OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_WRONG_CAUSE,
                   component, service_of(m), m->id);
    if (ok && noise && incident_is_live(m))
        incident_resolve(x->t, x->d, x->now_ns, x->who);
    x->d->rank = true;
    x->what =
        noise ? "noise" : incident_printf(&x->t->arena, "%s cause: %s", right ? "right" : "wrong", component);
    return ok && x->what != NULL ? note(x, x->d, ENTRY(FEEDBACK), x->what) : out_of_memory(x);
}

/* Has this very request been done? */
static bool was_done(const Ops__V1__Incident *m, ops_slice request)
{
    for (size_t i = 0; request.n > 0 && i < m->n_request_ids; i++)
        if (ops_slice_eq(ops_slice_str(m->request_ids[i]), request))
            return true;
    return false;
}

static bool remember_request(acting *x)
{
    Ops__V1__Incident *m = &x->d->m;
    if (x->act->request_id.n == 0)
        return true;
    if (m->n_request_ids == INCIDENT_REQUESTS_MAX)
        memmove(m->request_ids, m->request_ids + 1, --m->n_request_ids * sizeof *m->request_ids);
    m->request_ids[m->n_request_ids] =
        incident_text(&x->t->arena, x->act->request_id, OPS_REPO_NAME_BYTES_MAX);
    return m->request_ids[m->n_request_ids++] != NULL;
}

static bool put_audit(acting *x)
{
    Ops__V1__IncidentAct *a = ops_arena_alloc(&x->t->arena, sizeof *a);
    if (a == NULL)
        return false;
    ops__v1__incident_act__init(a);
    a->time_unix_nano = x->now_ns;
    a->who = x->who;
    a->act = (char *)(uintptr_t)ops_incident_act_name(x->act->kind);
    a->incident_id = x->d->m.id;
    a->text = x->comment[0] == '\0' ? incident_printf(&x->t->arena, "%s", x->what)
                                    : incident_printf(&x->t->arena, "%s%s%s", x->what,
                                                      x->what[0] != '\0' ? ": " : "", x->comment);
    x->t->audit = a;
    return a->text != NULL;
}

/* Of a split that was done the new half is the answer. */
static const char *done_before(const acting *x)
{
    for (size_t i = 0; x->act->kind == OPS_INCIDENT_SPLIT && i < x->t->live.n; i++)
        if (strcmp(x->t->live.v[i]->split_from, x->d->m.id) == 0 &&
            was_done(x->t->live.v[i], x->act->request_id))
            return x->t->live.v[i]->id;
    return x->d->m.id;
}

static ops_status do_it(acting *x)
{
    static ops_status (*const acts[OPS_INCIDENT_ACTS])(acting * x) = {acknowledge, resolve, reopen,
                                                                      merge,       split,   say};
    const size_t drafts = x->t->drafts.n;
    ops_status st = acts[x->act->kind](x);
    if (st != OPS_OK)
        return st;
    /* The new half knows the request too, by which it is found again. */
    for (size_t i = drafts; x->act->kind == OPS_INCIDENT_SPLIT && i < x->t->drafts.n; i++) {
        acting half = *x;
        half.d = x->t->drafts.v[i];
        if (half.d->before == NULL && !remember_request(&half))
            return out_of_memory(x);
    }
    return remember_request(x) && put_audit(x) ? OPS_OK : out_of_memory(x);
}

ops_status incident_act(incident_tenant *t, const ops_incident_act *act, int64_t now_ns, ops_strbuf *ret_id,
                        ops_err *reterr)
{
    size_t place = 0;
    acting x = {.t = t, .act = act, .now_ns = now_ns, .what = "", .err = reterr};
    ops_status st = incident_tenant_fetch(t, act->id, &place, reterr);
    if (st != OPS_OK)
        return st;
    x.who = incident_text(&t->arena, act->who, OPS_REPO_NAME_BYTES_MAX);
    x.comment = incident_text(&t->arena, act->comment, OPS_INCIDENT_COMMENT_MAX);
    x.d = incident_draft_of(t, place);
    if (x.who == NULL || x.comment == NULL || x.d == NULL)
        return out_of_memory(&x);
    x.shown = x.d->m.id;
    if (was_done(&x.d->m, act->request_id)) {
        x.shown = done_before(&x);
        t->drafts.n = 0;
    } else {
        st = do_it(&x);
    }
    if (st == OPS_OK)
        ops_strbuf_str(ret_id, x.shown);
    return st;
}
