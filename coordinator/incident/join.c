/* A finding comes in: news of one that is known, a sign of an incident there is, or the beginning of one. */
#include <string.h>

#include "base/log/log.h"
#include "coordinator/incident/correlator_internal.h"

static size_t places(const incident_tenant *t)
{
    size_t n = t->live.n;
    for (size_t i = 0; i < t->drafts.n; i++)
        n += t->drafts.v[i]->before == NULL;
    return n;
}

static bool member_at(const Ops__V1__Incident *m, const char *finding, size_t *ret)
{
    for (size_t i = 0; i < m->n_findings; i++)
        if (strcmp(m->findings[i]->finding_id, finding) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

/* Merged ones keep a list of what they had; their findings are elsewhere. */
static bool find_member(const incident_tenant *t, const char *finding, size_t *ret_place, size_t *ret_member)
{
    const size_t n = places(t);
    for (size_t i = 0; i < n; i++) {
        const Ops__V1__Incident *m = incident_now(t, i);
        if (m->state != OPS__V1__INCIDENT_STATE__INCIDENT_STATE_MERGED && member_at(m, finding, ret_member)) {
            *ret_place = i;
            return true;
        }
    }
    return false;
}

static bool is_open(const Ops__V1__IncidentMember *m)
{
    return m->state == OPS__V1__FINDING_STATE__FINDING_STATE_OPEN;
}

static bool reopen(incident_tenant *t, incident_draft *d, const Ops__V1__IncidentMember *m)
{
    d->m.state = OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN;
    d->m.resolved_time_unix_nano = 0;
    d->m.resolved_by = (char *)(uintptr_t) "";
    d->m.reopened++;
    d->tell = true;
    t->c->turn.reopened++;
    return incident_note(t, d, m->start_time_unix_nano,
                         OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_REOPENED, "", m->finding_id,
                         incident_printf(&t->arena, "opened again: %.400s", m->summary));
}

/* What was resolved by a person stays so while its old findings go on; by opsd, it comes back with them. */
static ops_status known(incident_tenant *t, size_t place, size_t at, const Ops__V1__Finding *f,
                        ops_err *reterr)
{
    const Ops__V1__IncidentMember *old = incident_now(t, place)->findings[at];
    Ops__V1__IncidentMember *fresh = incident_member_of(&t->arena, f);
    if (fresh == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id);
    const bool closed = is_open(old) && !is_open(fresh), back = !is_open(old) && is_open(fresh);
    if (old->state == fresh->state && old->severity == fresh->severity &&
        old->last_time_unix_nano == fresh->last_time_unix_nano && strcmp(old->summary, fresh->summary) == 0)
        return OPS_OK; /* feedback on the finding, and the like */
    incident_draft *d = incident_draft_of(t, place);
    bool ok = d != NULL;
    if (ok) {
        fresh->joined = d->m.findings[at]->joined;
        fresh->n_joined = d->m.findings[at]->n_joined;
        d->m.findings[at] = fresh;
        d->rank = true;
    }
    if (ok && closed)
        ok = incident_note(t, d, fresh->last_time_unix_nano,
                           OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_FINDING_CLOSED, "",
                           fresh->finding_id, incident_printf(&t->arena, "over: %.400s", fresh->summary));
    if (ok && back && d->m.state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_RESOLVED &&
        d->m.resolved_by[0] == '\0')
        ok = reopen(t, d, fresh);
    return ok ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "incident of finding %s", f->id);
}

/* May a finding that begins now belong to it? */
static bool may_take(const incident_tenant *t, const Ops__V1__Incident *m, int64_t start_ns)
{
    if (incident_is_live(m))
        return true;
    return m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_RESOLVED &&
           ops_time_after(start_ns, m->last_time_unix_nano) <=
               t->c->conf.resolve_after_ns + t->c->conf.reopen_within_ns;
}

/* The incident it belongs to most; false: none. */
static ops_status best_of(incident_tenant *t, const ops_sign *s, bool *ret_any, size_t *ret_place,
                          ops_relate_term ret_terms[OPS_RELATE_KINDS])
{
    const size_t n = places(t);
    double best = OPS_RELATE_JOINS_BITS;
    *ret_any = false;
    for (size_t i = 0; i < n; i++) {
        const Ops__V1__Incident *m = incident_now(t, i);
        ops_relate_term terms[OPS_RELATE_KINDS];
        double bits = 0;
        if (!may_take(t, m, s->start_ns))
            continue;
        ops_status st = incident_relate(t, m, s, terms, &bits);
        if (st != OPS_OK)
            return st;
        if (bits >= best) {
            best = bits;
            *ret_any = true;
            *ret_place = i;
            memcpy(ret_terms, terms, sizeof terms);
        }
    }
    return OPS_OK;
}

static ops_status join(incident_tenant *t, size_t place, Ops__V1__IncidentMember *m,
                       const ops_relate_term terms[OPS_RELATE_KINDS], ops_err *reterr)
{
    incident_draft *d = incident_draft_of(t, place);
    bool ok = d != NULL && incident_put_joined(&t->arena, m, terms) && incident_add_member(t, d, m) &&
              incident_note(t, d, m->start_time_unix_nano,
                            OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_FINDING, "", m->finding_id,
                            m->summary);
    if (ok && d->m.state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_RESOLVED)
        ok = reopen(t, d, m);
    t->c->turn.joined++;
    return ok ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "incident of finding %s", m->finding_id);
}

/* What opened nothing by itself may be part of what opens now. */
static ops_status gather_loose(incident_tenant *t, incident_draft *d, ops_err *reterr)
{
    for (size_t i = 0; i < incident_memory(t)->n_loose;) {
        Ops__V1__IncidentMember *m = incident_memory(t)->loose[i];
        ops_relate_term terms[OPS_RELATE_KINDS];
        double bits = 0;
        ops_sign s;
        if (!incident_sign(&t->arena, m, &s) || incident_relate(t, &d->m, &s, terms, &bits) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
        if (bits < OPS_RELATE_JOINS_BITS ||
            ops_time_after(d->m.start_time_unix_nano, m->last_time_unix_nano) > t->c->conf.reopen_within_ns) {
            i++;
            continue;
        }
        Ops__V1__IncidentMember *mine = ops_arena_alloc(&t->arena, sizeof *mine);
        if (mine == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
        *mine = *m;
        if (!incident_loose_del(t, i))
            return ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
        ops_status st = join(t, d->place, mine, terms, reterr);
        if (st != OPS_OK)
            return st;
    }
    return OPS_OK;
}

static ops_status begin(incident_tenant *t, Ops__V1__IncidentMember *m, ops_err *reterr)
{
    ops_status st = incident_make_room(t, m->start_time_unix_nano, reterr);
    if (st != OPS_OK)
        return st;
    incident_draft *d = incident_draft_new(t, ops_slice_str(m->finding_id), m->start_time_unix_nano);
    const bool ok =
        d != NULL && incident_add_member(t, d, m) && incident_count_opened(t, m->start_time_unix_nano) &&
        incident_note(t, d, m->start_time_unix_nano, OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_OPENED,
                      "", m->finding_id, m->summary);
    return ok ? gather_loose(t, d, reterr)
              : ops_fail(reterr, OPS_ENOMEM, "incident of finding %s", m->finding_id);
}

static bool loose_at(const incident_tenant *t, const char *finding, size_t *ret)
{
    const Ops__V1__IncidentMemory *m = incident_memory(t);
    for (size_t i = 0; i < m->n_loose; i++)
        if (strcmp(m->loose[i]->finding_id, finding) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

/* Too little to get up for: of low level, a change without errors, or what somebody called noise. */
static ops_status opens_nothing(incident_tenant *t, const ops_sign *s, bool *ret)
{
    size_t n = 0;
    const ops_lesson *lessons = incident_lessons(t, &n);
    if (lessons == NULL)
        return OPS_ENOMEM;
    *ret = s->level < t->c->conf.level_min || s->kind == OPS_CANDIDATE_CHANGE ||
           ops_lesson_of_noise(lessons, n, s) != NULL;
    return OPS_OK;
}

/* Is it, with what waits and belongs to it, more than what quiet systems show? */
static ops_status is_clear(incident_tenant *t, const ops_sign *s, bool *ret, ops_err *reterr)
{
    const Ops__V1__IncidentMemory *m = incident_memory(t);
    ops_culprit found[OPS_CULPRITS_MAX];
    ops_sign *signs = ops_arena_alloc(&t->arena, (m->n_loose + 1) * sizeof *signs);
    ops_culprit_case c = {.topology = t->topology, .signs = signs, .sign_count = 1};
    ops_relate_case near = {.topology = t->topology,
                            .members = s,
                            .member_count = 1,
                            .incidents_per_day = incident_per_day(t, s->start_ns)};
    size_t n = 0;
    *ret = s->score == 0 || s->level >= OPS_LEVEL_ERROR;
    if (*ret || signs == NULL)
        return signs != NULL ? OPS_OK : OPS_ENOMEM;
    signs[0] = *s;
    for (size_t i = 0; i < m->n_loose; i++) {
        ops_relate_term terms[OPS_RELATE_KINDS];
        double bits = 0;
        if (!incident_sign(&t->arena, m->loose[i], &signs[c.sign_count]) ||
            ops_relate(&near, &signs[c.sign_count], &t->arena, terms, &bits) != OPS_OK)
            return OPS_ENOMEM;
        c.sign_count +=
            bits >= OPS_RELATE_JOINS_BITS && !ops_slice_eq(signs[c.sign_count].id, s->id) &&
            ops_time_after(s->start_ns, signs[c.sign_count].last_ns) <= t->c->conf.reopen_within_ns;
    }
    ops_status st = ops_culprits_rank(&c, &t->arena, found, &n, reterr);
    /* Who was first and what others may owe it say who it is, and not that there is something. */
    for (size_t i = 0; st == OPS_OK && !*ret && i < n; i++)
        *ret = found[i].terms[OPS_CULPRIT_SIGNS].bits + found[i].terms[OPS_CULPRIT_NAMED].bits >=
               OPS_CULPRIT_CLEAR_BITS;
    return st;
}

static ops_status place_new(incident_tenant *t, const Ops__V1__Finding *f, ops_err *reterr)
{
    Ops__V1__IncidentMember *m = incident_member_of(&t->arena, f);
    ops_relate_term terms[OPS_RELATE_KINDS];
    size_t place = 0, at;
    bool any = false, nothing = false;
    ops_sign s;
    ops_status st = m != NULL && incident_sign(&t->arena, m, &s) ? OPS_OK : OPS_ENOMEM;
    if (st == OPS_OK)
        st = best_of(t, &s, &any, &place, terms);
    if (st == OPS_OK)
        st = opens_nothing(t, &s, &nothing);
    if (st == OPS_OK && !any && !nothing) {
        bool clear = false;
        st = is_clear(t, &s, &clear, reterr);
        nothing = !clear;
    }
    if (st != OPS_OK)
        return ops_fail(reterr, st, "finding %s", f->id);
    const bool was_loose = loose_at(t, f->id, &at);
    if (!any && nothing)
        return incident_loose_put(t, m) ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id);
    if (was_loose && !incident_loose_del(t, at))
        return ops_fail(reterr, OPS_ENOMEM, "finding %s", f->id);
    return any ? join(t, place, m, terms, reterr) : begin(t, m, reterr);
}

ops_status incident_take(incident_tenant *t, const Ops__V1__Finding *f, ops_err *reterr)
{
    size_t place, at;
    if (f->last_time_unix_nano > t->c->newest_ns)
        t->c->newest_ns = f->last_time_unix_nano;
    ops_status st = incident_hear(t, f, reterr);
    if (st != OPS_OK)
        return st;
    if (find_member(t, f->id, &place, &at))
        return known(t, place, at, f, reterr);
    if (f->state == OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED &&
        (t->c->catching_up || loose_at(t, f->id, &at)))
        return OPS_OK;
    return place_new(t, f, reterr);
}
