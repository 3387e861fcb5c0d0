/* An incident under change: a shallow copy in the turn's arena, whose lists have room up to their bounds. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text/hash.h"
#include "coordinator/incident/correlator_internal.h"

/* At most `max` bytes, never through a character, without a NUL inside. */
char *incident_text(ops_arena *a, ops_slice s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    ops_slice copy = ops_arena_dup(a, ops_slice_of(s.p != NULL ? s.p : "", n));
    char *p = (char *)(uintptr_t)copy.p;
    for (size_t i = 0; p != NULL && i < n; i++)
        if (p[i] == '\0')
            p[i] = ' ';
    return p;
}

char *incident_printf(ops_arena *a, const char *fmt, ...)
{
    char text[OPS_INCIDENT_COMMENT_MAX + 512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return incident_text(a, ops_slice_str(text), sizeof text);
}

static void *list(ops_arena *a, const void *from, size_t n, size_t room)
{
    void **to = ops_arena_alloc(a, (room > n ? room : n) * sizeof *to + sizeof *to);
    if (to != NULL && n > 0)
        memcpy(to, from, n * sizeof *to);
    return to;
}

/* Lists of pointers; what they point to stays, but members, which change in place. */
static bool own_lists(ops_arena *a, Ops__V1__Incident *m)
{
    m->services = list(a, m->services, m->n_services, OPS_INCIDENT_SERVICES_MAX);
    m->findings = list(a, m->findings, m->n_findings, OPS_INCIDENT_FINDINGS_MAX);
    m->timeline = list(a, m->timeline, m->n_timeline, OPS_INCIDENT_TIMELINE_MAX);
    m->feedback = list(a, m->feedback, m->n_feedback, OPS_INCIDENT_FEEDBACK_MAX);
    m->request_ids = list(a, m->request_ids, m->n_request_ids, INCIDENT_REQUESTS_MAX);
    if (m->services == NULL || m->findings == NULL || m->timeline == NULL || m->feedback == NULL ||
        m->request_ids == NULL)
        return false;
    for (size_t i = 0; i < m->n_findings; i++) {
        Ops__V1__IncidentMember *mine = ops_arena_alloc(a, sizeof *mine);
        if (mine == NULL)
            return false;
        *mine = *m->findings[i];
        m->findings[i] = mine;
    }
    return true;
}

incident_draft *incident_draft_of(incident_tenant *t, size_t place)
{
    for (size_t i = 0; i < t->drafts.n; i++)
        if (t->drafts.v[i]->place == place)
            return t->drafts.v[i];
    incident_draft *d = ops_arena_alloc(&t->arena, sizeof *d);
    if (d == NULL)
        return NULL;
    *d = (incident_draft){.m = *t->live.v[place], .before = t->live.v[place], .place = place};
    return own_lists(&t->arena, &d->m) && ops_vec_push(&t->drafts, d) ? d : NULL;
}

static ops_status seen(void *u, ops_slice tenant, uint64_t revision, const ops_repo_finding *f,
                       ops_err *reterr)
{
    (void)u;
    (void)tenant;
    (void)revision;
    (void)f;
    (void)reterr;
    return OPS_OK;
}

static bool is_taken(incident_tenant *t, const char *id)
{
    for (size_t i = 0; i < t->drafts.n; i++)
        if (strcmp(t->drafts.v[i]->m.id, id) == 0)
            return true;
    return ops_repo_incident_get(t->c->conf.repo, ops_slice_str(t->name), ops_slice_str(id), seen, NULL,
                                 NULL) != OPS_ENOTFOUND;
}

/* Its place is after those that are live: drafts that are new stand behind them, in their order. */
incident_draft *incident_draft_new(incident_tenant *t, ops_slice seed, int64_t start_ns)
{
    incident_draft *d = ops_arena_alloc(&t->arena, sizeof *d);
    char *id = ops_arena_alloc(&t->arena, 24);
    size_t born = 0;
    if (d == NULL || id == NULL)
        return NULL;
    uint64_t h = ops_hash64(t->name, strlen(t->name), 0x696e636964656e74);
    h = ops_hash64(seed.p, seed.n, h);
    do
        (void)snprintf(id, 24, "i-%016" PRIx64, h = ops_hash_mix(h + 1));
    while (is_taken(t, id));
    for (size_t i = 0; i < t->drafts.n; i++)
        born += t->drafts.v[i]->before == NULL;
    *d = (incident_draft){.place = t->live.n + born, .rank = true, .tell = true};
    ops__v1__incident__init(&d->m);
    d->m.id = id;
    d->m.tenant = t->name;
    d->m.state = OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN;
    d->m.start_time_unix_nano = d->m.last_time_unix_nano = start_ns;
    return own_lists(&t->arena, &d->m) && ops_vec_push(&t->drafts, d) ? d : NULL;
}

const Ops__V1__Incident *incident_now(const incident_tenant *t, size_t place)
{
    for (size_t i = 0; i < t->drafts.n; i++)
        if (t->drafts.v[i]->place == place)
            return &t->drafts.v[i]->m;
    return t->live.v[place];
}

bool incident_note(incident_tenant *t, incident_draft *d, int64_t time_ns, int kind, const char *who,
                   const char *finding, const char *text)
{
    Ops__V1__TimelineEntry *e = ops_arena_alloc(&t->arena, sizeof *e);
    if (e == NULL || text == NULL)
        return false;
    ops__v1__timeline_entry__init(e);
    e->time_unix_nano = time_ns;
    e->kind = (Ops__V1__IncidentEntryKind)kind;
    e->who = incident_text(&t->arena, ops_slice_str(who), OPS_REPO_NAME_BYTES_MAX);
    e->finding_id = (char *)(uintptr_t)(finding != NULL ? finding : "");
    e->text = (char *)(uintptr_t)text;
    if (d->m.n_timeline == OPS_INCIDENT_TIMELINE_MAX) {
        const size_t head = OPS_INCIDENT_TIMELINE_HEAD;
        memmove(&d->m.timeline[head], &d->m.timeline[head + 1],
                (OPS_INCIDENT_TIMELINE_MAX - head - 1) * sizeof *d->m.timeline);
        d->m.n_timeline--;
        d->m.timeline_left_out++;
    }
    d->m.timeline[d->m.n_timeline++] = e;
    return e->who != NULL;
}

bool incident_add_member(incident_tenant *t, incident_draft *d, Ops__V1__IncidentMember *member)
{
    d->rank = true;
    if (d->m.n_findings == OPS_INCIDENT_FINDINGS_MAX) {
        d->m.findings_left_out++;
        t->c->turn.left_out++;
        return true;
    }
    d->m.findings[d->m.n_findings++] = member;
    return true;
}

void incident_resolve(incident_tenant *t, incident_draft *d, int64_t time_ns, const char *who)
{
    d->m.state = OPS__V1__INCIDENT_STATE__INCIDENT_STATE_RESOLVED;
    d->m.resolved_time_unix_nano = time_ns;
    d->m.resolved_by = (char *)(uintptr_t)who;
    d->m.reopened_by = (char *)(uintptr_t) "";
    d->tell = true;
    t->c->turn.resolved++;
}

/* First signs first. */
static void list_services(incident_draft *d)
{
    d->m.n_services = 0;
    for (size_t i = 0; i < d->m.n_findings; i++)
        for (size_t k = 0; k < d->m.findings[i]->n_services; k++) {
            bool known = d->m.n_services == OPS_INCIDENT_SERVICES_MAX;
            for (size_t s = 0; !known && s < d->m.n_services; s++)
                known = strcmp(d->m.services[s], d->m.findings[i]->services[k]) == 0;
            if (!known)
                d->m.services[d->m.n_services++] = d->m.findings[i]->services[k];
        }
}

static void sum_up(incident_draft *d)
{
    int64_t start = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < d->m.n_findings; i++) {
        const Ops__V1__IncidentMember *m = d->m.findings[i];
        /* A change long before is a cause, not the beginning. */
        if (m->kind != OPS__V1__FINDING_KIND__FINDING_KIND_CHANGE && m->start_time_unix_nano < start)
            start = m->start_time_unix_nano;
        last = m->last_time_unix_nano > last ? m->last_time_unix_nano : last;
        if (m->severity > d->m.severity)
            d->m.severity = m->severity;
    }
    if (start != INT64_MAX)
        d->m.start_time_unix_nano = start;
    if (last != INT64_MIN)
        d->m.last_time_unix_nano = last;
    list_services(d);
}

static char *summary_of(incident_tenant *t, const Ops__V1__Incident *m)
{
    char where[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < m->n_services && i < 4 && n < sizeof where; i++)
        n += (size_t)snprintf(where + n, sizeof where - n, "%s%.60s", i > 0 ? ", " : "", m->services[i]);
    if (m->n_services > 4 && n < sizeof where)
        (void)snprintf(where + n, sizeof where - n, " and %zu more", m->n_services - 4);
    const size_t all = m->n_findings + m->findings_left_out;
    char text[INCIDENT_SUMMARY_MAX + 64];
    if (m->n_causes > 0)
        (void)snprintf(text, sizeof text, "%zu finding%s in %s, most likely because of %.100s: %s", all,
                       all == 1 ? "" : "s", where, m->causes[0]->component, m->causes[0]->reason);
    else
        (void)snprintf(text, sizeof text, "%zu finding%s%s%s: %s", all, all == 1 ? "" : "s",
                       where[0] != '\0' ? " in " : "", where,
                       m->n_findings > 0 ? m->findings[0]->summary : "none left");
    return incident_text(&t->arena, ops_slice_str(text), INCIDENT_SUMMARY_MAX);
}

static const char *lead(const Ops__V1__Incident *m)
{
    return m != NULL && m->n_causes > 0 ? m->causes[0]->component : "";
}

/* Is another one in front, and by more than a hair? */
static bool note_lead(incident_tenant *t, incident_draft *d)
{
    if (d->before == NULL || strcmp(lead(d->before), lead(&d->m)) == 0 || d->m.n_causes == 0)
        return true;
    return incident_note(t, d, d->m.last_time_unix_nano,
                         OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_CAUSE, "", NULL,
                         incident_printf(&t->arena, "%.100s is the likeliest cause now: %.300s", lead(&d->m),
                                         d->m.causes[0]->reason));
}

ops_status incident_draft_finish(incident_tenant *t, incident_draft *d, ops_err *reterr)
{
    ops_status st = OPS_OK;
    bool ok = true;
    if (d->rank) {
        sum_up(d);
        st = incident_rank(t, d, reterr);
        ok = st == OPS_OK && note_lead(t, d) && (d->m.summary = summary_of(t, &d->m)) != NULL;
    }
    if (st == OPS_OK && d->before != NULL && d->m.severity > d->before->severity) {
        d->tell = d->tell || incident_is_live(&d->m);
        ok = ok && incident_note(t, d, d->m.last_time_unix_nano,
                                 OPS__V1__INCIDENT_ENTRY_KIND__INCIDENT_ENTRY_KIND_SEVERITY, "", NULL,
                                 d->m.severity >= OPS__V1__LEVEL__LEVEL_CRITICAL ? "it is critical now"
                                                                                 : "it is worse than before");
    }
    d->m.version++;
    return st == OPS_OK && !ok ? ops_fail(reterr, OPS_ENOMEM, "incident %s", d->m.id) : st;
}
