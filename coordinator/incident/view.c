/* Messages as the analysis reads them, and its answers as messages. */
#include <stdio.h>
#include <string.h>

#include "coordinator/incident/correlator_internal.h"

_Static_assert((int)OPS__V1__INCIDENT_LESSON_KIND__INCIDENT_LESSON_KIND_APART == (int)OPS_LESSON_APART &&
                   (int)OPS__V1__LEVEL__LEVEL_CRITICAL == (int)OPS_LEVEL_CRITICAL &&
                   (int)OPS__V1__FINDING_KIND__FINDING_KIND_CHANGE == (int)OPS_CANDIDATE_CHANGE,
               "the API's numbers are the analysis' own");

static char **texts(ops_arena *a, char *const *from, size_t n)
{
    char **to = ops_arena_alloc(a, (n + 1) * sizeof *to);
    for (size_t i = 0; to != NULL && i < n; i++)
        if ((to[i] = incident_text(a, ops_slice_str(from[i]), OPS_TOPOLOGY_NAME_MAX)) == NULL)
            return NULL;
    return to;
}

/* A log line says something; a sample of a series has labels, which are its own and no complaint. */
bool incident_says(const Ops__V1__Evidence *e)
{
    return strspn(e->template_id, "0") < strlen(e->template_id);
}

static void add_text(ops_strbuf *b, const char *text)
{
    if (text[0] == '\0' || b->n >= INCIDENT_TEXT_MAX)
        return;
    if (b->n > 0)
        ops_strbuf_str(b, " | ");
    ops_strbuf_slice(b, ops_slice_sub(ops_slice_str(text), 0, INCIDENT_TEXT_MAX / 2));
}

/* What its evidence says, that of the service it began with: what the others say is not its complaint. Without any, what it says of
 * itself. */
static char *evidence_text(ops_arena *a, const Ops__V1__Finding *f)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    for (size_t i = 0; i < f->n_evidence; i++)
        if (incident_says(f->evidence[i]) &&
            (f->n_services == 0 || strcmp(f->evidence[i]->service, f->services[0]) == 0))
            add_text(&b, f->evidence[i]->text);
    if (b.n == 0) {
        add_text(&b, f->words[0] != '\0' ? f->words : f->summary);
        for (size_t i = 0; i < f->n_annotations; i++)
            if (strcmp(f->annotations[i]->value, f->summary) != 0)
                add_text(&b, f->annotations[i]->value);
    }
    ops_strbuf_str(&b, "");
    char *text = b.failed ? NULL : incident_text(a, ops_strbuf_get(&b), INCIDENT_TEXT_MAX);
    ops_strbuf_done(&b);
    return text;
}

Ops__V1__IncidentMember *incident_member_of(ops_arena *a, const Ops__V1__Finding *f)
{
    Ops__V1__IncidentMember *m = ops_arena_alloc(a, sizeof *m);
    if (m == NULL)
        return NULL;
    ops__v1__incident_member__init(m);
    m->finding_id = incident_text(a, ops_slice_str(f->id), OPS_REPO_NAME_BYTES_MAX);
    m->kind = f->kind;
    m->severity = f->severity;
    m->state = f->state;
    m->services = texts(a, f->services, f->n_services);
    m->n_services = f->n_services;
    m->summary = incident_text(a, ops_slice_str(f->summary), INCIDENT_SUMMARY_MAX);
    m->start_time_unix_nano = f->start_time_unix_nano;
    m->last_time_unix_nano = f->last_time_unix_nano;
    m->score = f->statistic != NULL ? f->statistic->score : 0;
    m->template_ids = texts(a, f->template_ids, f->n_template_ids);
    m->n_template_ids = f->n_template_ids;
    m->text = evidence_text(a, f);
    return m->finding_id != NULL && m->services != NULL && m->summary != NULL && m->template_ids != NULL &&
                   m->text != NULL
               ? m
               : NULL;
}

static ops_slice *slices(ops_arena *a, char *const *from, size_t n)
{
    ops_slice *to = ops_arena_alloc(a, (n + 1) * sizeof *to);
    for (size_t i = 0; to != NULL && i < n; i++)
        to[i] = ops_slice_str(from[i]);
    return to;
}

bool incident_sign(ops_arena *a, const Ops__V1__IncidentMember *m, ops_sign *ret)
{
    *ret = (ops_sign){.id = ops_slice_str(m->finding_id),
                      .kind = (int)m->kind,
                      .level = (int)m->severity,
                      .services = slices(a, m->services, m->n_services),
                      .service_count = m->n_services,
                      .templates = slices(a, m->template_ids, m->n_template_ids),
                      .template_count = m->n_template_ids,
                      .start_ns = m->start_time_unix_nano,
                      .last_ns = m->last_time_unix_nano,
                      .score = m->score,
                      .summary = ops_slice_str(m->summary),
                      .text = ops_slice_str(m->text)};
    return ret->services != NULL && ret->templates != NULL;
}

ops_sign *incident_signs(ops_arena *a, const Ops__V1__Incident *m)
{
    ops_sign *v = ops_arena_alloc(a, (m->n_findings + 1) * sizeof *v);
    for (size_t i = 0; v != NULL && i < m->n_findings; i++)
        if (!incident_sign(a, m->findings[i], &v[i]))
            return NULL;
    return v;
}

ops_lesson *incident_lessons(incident_tenant *t, size_t *ret_count)
{
    const Ops__V1__IncidentMemory *m = incident_memory(t);
    ops_lesson *v = ops_arena_alloc(&t->arena, (m->n_lessons + 1) * sizeof *v);
    for (size_t i = 0; v != NULL && i < m->n_lessons; i++) {
        const Ops__V1__IncidentLesson *l = m->lessons[i];
        v[i] = (ops_lesson){.kind = (ops_lesson_kind)l->kind,
                            .first = ops_slice_str(l->first),
                            .second = ops_slice_str(l->second),
                            .sign_kind = (int)l->finding_kind,
                            .level = (int)l->severity,
                            .who = ops_slice_str(l->who),
                            .incident_id = ops_slice_str(l->incident_id)};
    }
    *ret_count = m->n_lessons;
    return v;
}

ops_status incident_relate(incident_tenant *t, const Ops__V1__Incident *m, const ops_sign *s,
                           ops_relate_term terms[OPS_RELATE_KINDS], double *ret_bits)
{
    ops_relate_case c = {.topology = t->topology,
                         .members = incident_signs(&t->arena, m),
                         .member_count = m->n_findings,
                         .incidents_per_day = incident_per_day(t, s->start_ns)};
    c.lessons = incident_lessons(t, &c.lesson_count);
    if (c.members == NULL || c.lessons == NULL)
        return OPS_ENOMEM;
    return ops_relate(&c, s, &t->arena, terms, ret_bits);
}

static Ops__V1__ScoreTerm *term(ops_arena *a, const char *name, double bits, ops_slice text, int64_t since_ns)
{
    Ops__V1__ScoreTerm *m = ops_arena_alloc(a, sizeof *m);
    if (m == NULL)
        return NULL;
    ops__v1__score_term__init(m);
    m->name = (char *)(uintptr_t)name;
    m->bits = bits;
    m->text = incident_text(a, text, INCIDENT_SUMMARY_MAX);
    m->since_time_unix_nano = since_ns;
    return m->text != NULL ? m : NULL;
}

bool incident_put_joined(ops_arena *a, Ops__V1__IncidentMember *m,
                         const ops_relate_term terms[OPS_RELATE_KINDS])
{
    m->n_joined = 0;
    m->joined = ops_arena_alloc(a, OPS_RELATE_KINDS * sizeof(Ops__V1__ScoreTerm *));
    if (m->joined == NULL)
        return false;
    for (size_t k = 0; k < OPS_RELATE_KINDS; k++) {
        if (terms[k].bits == 0)
            continue;
        Ops__V1__ScoreTerm *x =
            term(a, ops_relate_kind_name((ops_relate_kind)k), terms[k].bits, terms[k].text, 0);
        if (x == NULL)
            return false;
        m->joined[m->n_joined++] = x;
    }
    return true;
}

static Ops__V1__IncidentCause *cause(ops_arena *a, const ops_culprit *from)
{
    Ops__V1__IncidentCause *m = ops_arena_alloc(a, sizeof *m);
    if (m == NULL)
        return NULL;
    ops__v1__incident_cause__init(m);
    m->component = incident_text(a, from->component, OPS_TOPOLOGY_NAME_MAX);
    m->score = from->score;
    m->reason = incident_text(a, from->reason, INCIDENT_TEXT_MAX);
    m->terms = ops_arena_alloc(a, OPS_CULPRIT_KINDS * sizeof(Ops__V1__ScoreTerm *));
    if (m->component == NULL || m->reason == NULL || m->terms == NULL)
        return NULL;
    for (size_t k = 0; k < OPS_CULPRIT_KINDS; k++) {
        if (from->terms[k].bits == 0)
            continue;
        Ops__V1__ScoreTerm *x = term(a, ops_culprit_kind_name((ops_culprit_kind)k), from->terms[k].bits,
                                     from->terms[k].text, from->terms[k].since_ns);
        if (x == NULL)
            return NULL;
        m->terms[m->n_terms++] = x;
    }
    return m;
}

ops_status incident_rank(incident_tenant *t, incident_draft *d, ops_err *reterr)
{
    ops_culprit found[OPS_CULPRITS_MAX];
    size_t n = 0;
    ops_culprit_case c = {.topology = t->topology,
                          .signs = incident_signs(&t->arena, &d->m),
                          .sign_count = d->m.n_findings,
                          .incident_id = ops_slice_str(d->m.id)};
    c.lessons = incident_lessons(t, &c.lesson_count);
    if (c.signs == NULL || c.lessons == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
    ops_status st = ops_culprits_rank(&c, &t->arena, found, &n, reterr);
    if (st != OPS_OK)
        return st;
    d->m.causes = ops_arena_alloc(&t->arena, (n + 1) * sizeof(Ops__V1__IncidentCause *));
    d->m.n_causes = 0;
    for (size_t i = 0; d->m.causes != NULL && i < n; i++)
        if ((d->m.causes[d->m.n_causes++] = cause(&t->arena, &found[i])) == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
    return d->m.causes != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id);
}
