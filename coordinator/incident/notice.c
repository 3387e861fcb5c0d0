/* Word of an incident to the outside, in the shape of a finding: receivers, silences and formats know one kind of thing. Its
 * kind says what it is; its words are the reasons of the likeliest causes, its evidence what the strongest findings say. */
#include <string.h>

#include "coordinator/incident/correlator_internal.h"

enum { CAUSES_TOLD = 3, EVIDENCE_TOLD = 5 };

static char *words_of(ops_arena *a, const Ops__V1__Incident *m)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 16);
    ops_strbuf_str(&b, "");
    for (size_t i = 0; i < m->n_causes && i < CAUSES_TOLD; i++)
        ops_strbuf_printf(&b, "%s%zu. %s (%.1f bits): %s", i > 0 ? "\n" : "", i + 1, m->causes[i]->component,
                          m->causes[i]->score, m->causes[i]->reason);
    char *p = b.failed ? NULL : incident_text(a, ops_strbuf_get(&b), 1 << 13);
    ops_strbuf_done(&b);
    return p;
}

static bool put_evidence(ops_arena *a, const Ops__V1__Incident *m, Ops__V1__Finding *f)
{
    f->evidence = ops_arena_alloc(a, EVIDENCE_TOLD * sizeof(Ops__V1__Evidence *));
    for (size_t i = 0; f->evidence != NULL && i < m->n_findings && i < EVIDENCE_TOLD; i++) {
        const Ops__V1__IncidentMember *from = m->findings[i];
        Ops__V1__Evidence *e = ops_arena_alloc(a, sizeof *e);
        if (e == NULL)
            return false;
        ops__v1__evidence__init(e);
        e->service = from->n_services > 0 ? from->services[0] : e->service;
        e->text = from->text;
        e->time_unix_nano = from->start_time_unix_nano;
        f->evidence[f->n_evidence++] = e;
    }
    return f->evidence != NULL;
}

/* All of it is alerts, of another system or of operators' own rules: an Alertmanager has those one by one. */
static const char *origin_of(const Ops__V1__Incident *m)
{
    for (size_t i = 0; i < m->n_findings; i++)
        if (m->findings[i]->kind != OPS__V1__FINDING_KIND__FINDING_KIND_ALERT &&
            m->findings[i]->kind != OPS__V1__FINDING_KIND__FINDING_KIND_RULE)
            return "opsd";
    return "alerts";
}

static bool put_labels(ops_arena *a, const Ops__V1__Incident *m, Ops__V1__Finding *f)
{
    const struct {
        const char *name, *value;
    } rows[] = {{"cause", m->n_causes > 0 ? m->causes[0]->component : ""}, {"origin", origin_of(m)}};
    f->labels = ops_arena_alloc(a, sizeof rows / sizeof *rows * sizeof(Ops__V1__Label *));
    for (size_t i = 0; f->labels != NULL && i < sizeof rows / sizeof *rows; i++) {
        Ops__V1__Label *l = ops_arena_alloc(a, sizeof *l);
        if (l == NULL)
            return false;
        ops__v1__label__init(l);
        l->name = (char *)(uintptr_t)rows[i].name;
        l->value = (char *)(uintptr_t)rows[i].value;
        f->labels[f->n_labels++] = l;
    }
    return f->labels != NULL;
}

ops_status incident_notice(const Ops__V1__Incident *m, ops_strbuf *out, ops_err *reterr)
{
    Ops__V1__Finding f = OPS__V1__FINDING__INIT;
    ops_arena a;
    ops_arena_init(&a, 1 << 20);
    f.id = m->id;
    f.tenant = m->tenant;
    f.kind = OPS__V1__FINDING_KIND__FINDING_KIND_INCIDENT;
    f.severity = m->severity;
    f.state = incident_is_live(m) ? OPS__V1__FINDING_STATE__FINDING_STATE_OPEN
                                  : OPS__V1__FINDING_STATE__FINDING_STATE_CLOSED;
    f.version = m->version;
    f.candidates = (uint32_t)m->n_findings;
    f.services = m->services;
    f.n_services = m->n_services;
    f.summary = m->summary;
    f.words = words_of(&a, m);
    f.start_time_unix_nano = m->start_time_unix_nano;
    f.last_time_unix_nano = m->last_time_unix_nano;
    const bool ok = f.words != NULL && put_evidence(&a, m, &f) && put_labels(&a, m, &f);
    const size_t n = ok ? ops__v1__finding__get_packed_size(&f) : 0;
    char *to = ok ? ops_strbuf_room(out, n) : NULL;
    if (to != NULL) {
        out->n += ops__v1__finding__pack(&f, (uint8_t *)to);
        out->p[out->n] = '\0';
    }
    ops_arena_done(&a);
    return to != NULL ? OPS_OK : ops_fail(reterr, OPS_ENOMEM, "notice of incident %s", m->id);
}

ops_status ops_incident_as_notice(ops_slice body, ops_strbuf *out, ops_err *reterr)
{
    Ops__V1__Incident *m = ops__v1__incident__unpack(NULL, body.n, (const uint8_t *)body.p);
    if (m == NULL)
        return ops_fail(reterr, OPS_ECORRUPT, "a stored incident of %zu bytes does not read", body.n);
    ops_status st = incident_notice(m, out, reterr);
    ops__v1__incident__free_unpacked(m, NULL);
    return st;
}
