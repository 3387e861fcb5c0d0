#include "coordinator/analysis/finding/book.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/mem/alloc.h"
#include "base/text/codec.h"
#include "base/text/hash.h"
#include "coordinator/analysis/window/record.h"

#define DAY_NS       (86400 * (int64_t)1000000000)
#define BORNE_OUT_NS (60 * (int64_t)1000000000)
#define SAME_MEANING 0.80
enum { RECORD_VERSION = 1, NAME_MAX = 256, WORDS_MAX = 1024 };
enum { VECTOR_KEY_BYTES = 5 };

typedef struct entry {
    ops_finding f; /* its slices point into the copies below */
    char *texts[OPS_FINDING_EVIDENCE_MAX], *evidence_services[OPS_FINDING_EVIDENCE_MAX];
    char *services[OPS_FINDING_SERVICES_MAX];
    char *words, *summary, *statistic;
    bool dirty, saved;
} entry;

typedef struct vector {
    uint64_t template_id;
    float *v; /* of length 1 */
    bool dirty;
} vector;

struct ops_finding_book {
    ops_finding_limits lim;
    char *tenant;
    OPS_VEC(entry *) open; /* eldest first */
    OPS_VEC(char *) gone;  /* ids of saved findings that closed */
    vector *vectors;       /* ring */
    size_t vectors_n, vectors_at, dim, vectors_dirty;
    ops_map64 *vector_of;
    int64_t day;
    uint32_t opened_today;
    bool meta_dirty;
    ops_finding_stats stats;
    ops_strbuf text;
};

ops_status ops_finding_book_new(const ops_finding_limits *limits, ops_finding_book **ret, ops_err *reterr)
{
    OPS_AUTO(ops_finding_book_free) ops_finding_book *b = ops_calloc(1, sizeof *b);
    if (b == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finding book");
    if (limits != NULL)
        b->lim = *limits;
    ops_finding_limits *l = &b->lim;
    l->open_max = l->open_max != 0 ? l->open_max : 64;
    l->vectors_max = l->vectors_max != 0 ? l->vectors_max : 4096;
    l->quiet_per_day = l->quiet_per_day != 0 ? l->quiet_per_day : 6;
    l->score_min = l->score_min > 0 ? l->score_min : 6;
    l->score_burst = l->score_burst > 0 ? l->score_burst : 12;
    l->group_gap_ns = l->group_gap_ns > 0 ? l->group_gap_ns : 120 * (int64_t)1000000000;
    l->close_after_ns = l->close_after_ns > 0 ? l->close_after_ns : 300 * (int64_t)1000000000;
    b->day = INT64_MIN;
    ops_strbuf_init(&b->text, 1 << 20);
    b->tenant = ops_strndup(l->tenant.n > 0 ? l->tenant.p : "", l->tenant.n);
    l->tenant.p = b->tenant;
    b->vectors = ops_calloc(l->vectors_max, sizeof *b->vectors);
    b->vector_of = ops_map64_new();
    if (b->tenant == NULL || b->vectors == NULL || b->vector_of == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "finding book");
    *ret = OPS_STEAL(b);
    return OPS_OK;
}

static void entry_free(entry *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < OPS_FINDING_EVIDENCE_MAX; i++) {
        ops_free(e->texts[i]);
        ops_free(e->evidence_services[i]);
    }
    for (size_t i = 0; i < OPS_FINDING_SERVICES_MAX; i++)
        ops_free(e->services[i]);
    ops_free(e->words);
    ops_free(e->summary);
    ops_free(e->statistic);
    ops_free(e);
}

void ops_finding_book_free(ops_finding_book *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->open.n; i++)
        entry_free(b->open.v[i]);
    for (size_t i = 0; i < b->gone.n; i++)
        ops_free(b->gone.v[i]);
    for (size_t i = 0; b->vectors != NULL && i < b->lim.vectors_max; i++)
        ops_free(b->vectors[i].v);
    ops_vec_done(&b->open);
    ops_vec_done(&b->gone);
    ops_free(b->vectors);
    ops_map64_free(b->vector_of);
    ops_strbuf_done(&b->text);
    ops_free(b->tenant);
    ops_free(b);
}

/* Replaces *at, and the slice over it, by a copy; without memory the old one stays. */
static bool set_text(char **at, ops_slice *view, ops_slice s, size_t max)
{
    s = ops_slice_sub(s, 0, max);
    char *copy = ops_strndup(s.n > 0 ? s.p : "", s.n);
    if (copy == NULL)
        return false;
    ops_free(*at);
    *at = copy;
    *view = ops_slice_of(copy, s.n);
    return true;
}

static void notify(ops_finding_book *b, entry *e, ops_finding_change change)
{
    e->f.revision++;
    e->dirty = true;
    if (b->lim.on_change != NULL)
        b->lim.on_change(b->lim.u, change, &e->f);
}

static void summarise(ops_finding_book *b, entry *e)
{
    char when[32];
    time_t t = (time_t)(e->f.start_ns / 1000000000);
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        when[0] = '\0';
    ops_strbuf_clear(&b->text);
    ops_strbuf_slice(&b->text, e->f.words);
    ops_strbuf_printf(&b->text, "; since %s", when);
    if (e->f.service_count > 1) {
        ops_strbuf_str(&b->text, "; also in ");
        for (size_t i = 1; i < e->f.service_count; i++)
            ops_strbuf_printf(&b->text, "%s" OPS_SLICE_FMT, i > 1 ? ", " : "",
                              OPS_SLICE_ARG(e->f.services[i]));
    }
    if (!b->text.failed)
        (void)set_text(&e->summary, &e->f.summary, ops_strbuf_get(&b->text), 2 * WORDS_MAX);
}

static bool has_service(const entry *e, ops_slice service)
{
    for (size_t i = 0; i < e->f.service_count; i++)
        if (ops_slice_eq(e->f.services[i], ops_slice_sub(service, 0, NAME_MAX)))
            return true;
    return false;
}

static double cosine(const ops_finding_book *b, uint64_t x, uint64_t y)
{
    const vector *p = ops_map64_get(b->vector_of, x), *q = ops_map64_get(b->vector_of, y);
    double sum = 0;
    for (size_t i = 0; p != NULL && q != NULL && i < b->dim; i++)
        sum += (double)p->v[i] * (double)q->v[i];
    return sum;
}

static bool mean_the_same(const ops_finding_book *b, const uint64_t *x, size_t xn, const uint64_t *y,
                          size_t yn)
{
    for (size_t i = 0; i < xn; i++)
        for (size_t k = 0; k < yn; k++)
            if (x[i] == y[k] || cosine(b, x[i], y[k]) >= SAME_MEANING)
                return true;
    return false;
}

/* What a candidate too weak to stand alone bears out. */
static entry *borne_out(const ops_finding_book *b, const ops_candidate *c)
{
    entry *best = NULL;
    for (size_t i = 0; i < b->open.n; i++) {
        entry *e = b->open.v[i];
        int64_t apart = c->start_ns - e->f.start_ns;
        if (apart <= BORNE_OUT_NS && apart >= -BORNE_OUT_NS && e->f.severity >= OPS_LEVEL_ERROR &&
            c->severity >= OPS_LEVEL_ERROR)
            best = e;
    }
    return best;
}

static entry *group_of(const ops_finding_book *b, const ops_candidate *c)
{
    for (size_t i = 0; i < b->open.n; i++) {
        entry *e = b->open.v[i];
        if (c->start_ns - e->f.last_ns > b->lim.group_gap_ns &&
            c->end_ns - e->f.last_ns > b->lim.group_gap_ns)
            continue;
        if ((e->f.kind == OPS_CANDIDATE_RUNOUT) != (c->kind == OPS_CANDIDATE_RUNOUT))
            continue; /* what is to come is told beside what is odd now, never under it */
        if (has_service(e, c->service) ||
            mean_the_same(b, e->f.template_ids, e->f.template_count, c->template_ids, c->template_count))
            return e;
    }
    return c->score < b->lim.score_min ? borne_out(b, c) : NULL;
}

/* Where a message of a template not shown yet may stand when all places are taken: that of the latest which repeats
 * the template of another. SIZE_MAX: nowhere. */
static size_t second_of_its_kind(const entry *e, uint64_t template_id)
{
    const ops_evidence *v = e->f.evidence;
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < e->f.evidence_count; i++) {
        if (v[i].template_id == template_id)
            return SIZE_MAX;
        for (size_t k = 0; k < i; k++)
            if (v[k].template_id == v[i].template_id)
                found = i;
    }
    return found;
}

static void add_evidence(entry *e, const ops_evidence *v)
{
    for (size_t i = 0; i < e->f.evidence_count; i++)
        if (e->f.evidence[i].time_ns == v->time_ns && ops_slice_eq(e->f.evidence[i].text, v->text))
            return;
    size_t at = e->f.evidence_count;
    if (at == OPS_FINDING_EVIDENCE_MAX && (at = second_of_its_kind(e, v->template_id)) == SIZE_MAX)
        return;
    ops_slice text = ops_slice_sub(v->text, 0, OPS_EVIDENCE_BYTES_MAX),
              service = ops_slice_sub(v->service, 0, NAME_MAX);
    char *t = ops_strndup(text.n > 0 ? text.p : "", text.n);
    char *n = ops_strndup(service.n > 0 ? service.p : "", service.n);
    if (t == NULL || n == NULL) { /* both or none: a line of evidence less */
        ops_free(t);
        ops_free(n);
        return;
    }
    ops_free(e->texts[at]);
    ops_free(e->evidence_services[at]);
    e->texts[at] = t;
    e->evidence_services[at] = n;
    e->f.evidence[at] = *v;
    e->f.evidence[at].text = ops_slice_of(t, text.n);
    e->f.evidence[at].service = ops_slice_of(n, service.n);
    e->f.evidence_count += at == e->f.evidence_count;
}

static void absorb(ops_finding_book *b, entry *e, const ops_candidate *c)
{
    ops_finding *f = &e->f;
    size_t services = f->service_count;
    if (!has_service(e, c->service) && services < OPS_FINDING_SERVICES_MAX &&
        set_text(&e->services[services], &f->services[services], c->service, NAME_MAX))
        f->service_count++;
    for (size_t i = 0; i < c->template_count; i++) {
        bool known = f->template_count == OPS_FINDING_TEMPLATES_MAX;
        for (size_t k = 0; k < f->template_count; k++)
            known |= f->template_ids[k] == c->template_ids[i];
        if (!known)
            f->template_ids[f->template_count++] = c->template_ids[i];
    }
    for (size_t i = 0; i < c->evidence_count; i++)
        add_evidence(e, &c->evidence[i]);
    f->last_ns = c->end_ns > f->last_ns ? c->end_ns : f->last_ns;
    f->severity = c->severity > f->severity ? c->severity : f->severity;
    f->candidates++;
    if (c->score >= f->score && set_text(&e->words, &f->words, c->words, WORDS_MAX) &&
        set_text(&e->statistic, &f->statistic, ops_slice_str(c->statistic), NAME_MAX)) {
        f->kind = c->kind;
        f->value = c->value;
        f->expected_low = c->expected_low;
        f->expected_high = c->expected_high;
        f->p_value = c->p_value;
        f->score = c->score;
    }
    summarise(b, e);
}

static void close_at(ops_finding_book *b, size_t i)
{
    entry *e = b->open.v[i];
    e->f.state = OPS_FINDING_CLOSED;
    b->stats.closed++;
    notify(b, e, OPS_FINDING_WAS_CLOSED);
    if (e->saved) {
        char *id = ops_strdup(e->f.id);
        if (id != NULL && !ops_vec_push(&b->gone, id))
            ops_free(id);
    }
    memmove(b->open.v + i, b->open.v + i + 1, (b->open.n - i - 1) * sizeof b->open.v[0]);
    b->open.n--;
    entry_free(e);
}

static bool admitted(ops_finding_book *b, const ops_candidate *c, int64_t now_ns)
{
    int64_t day = now_ns / DAY_NS;
    if (day > b->day) {
        b->day = day;
        b->opened_today = 0;
        b->meta_dirty = true;
    }
    if (c->score < b->lim.score_min && c->severity < OPS_LEVEL_CRITICAL && c->kind != OPS_CANDIDATE_CHANGE) {
        b->stats.refused_weak++;
        return false;
    }
    if (b->opened_today >= b->lim.quiet_per_day && c->score < b->lim.score_burst) {
        b->stats.refused_budget++;
        return false;
    }
    return true;
}

static void make_id(const ops_finding_book *b, const ops_candidate *c, char id[static OPS_FINDING_ID_LEN + 1])
{
    uint64_t h = ops_hash64(b->lim.tenant.p, b->lim.tenant.n, 11);
    h = ops_hash64(c->service.p, c->service.n, h);
    h = ops_hash_mix(h + (uint64_t)c->kind) + (uint64_t)c->start_ns;
    h = ops_hash_mix(h) + (c->template_count > 0 ? c->template_ids[0] : 0);
    snprintf(id, OPS_FINDING_ID_LEN + 1, "f-%016llx", (unsigned long long)ops_hash_mix(h));
}

ops_status ops_finding_book_add(ops_finding_book *b, const ops_candidate *c, int64_t now_ns, ops_err *reterr)
{
    b->stats.candidates++;
    b->meta_dirty = true;
    entry *e = group_of(b, c);
    if (e != NULL) {
        absorb(b, e, c);
        b->stats.joined++;
        notify(b, e, OPS_FINDING_UPDATED);
        return OPS_OK;
    }
    if (!admitted(b, c, now_ns))
        return OPS_OK;
    if (b->open.n >= b->lim.open_max) {
        size_t old = 0;
        for (size_t i = 1; i < b->open.n; i++)
            if (b->open.v[i]->f.last_ns < b->open.v[old]->f.last_ns)
                old = i;
        close_at(b, old);
    }
    e = ops_calloc(1, sizeof *e);
    if (e == NULL || !ops_vec_push(&b->open, e)) {
        ops_free(e);
        return ops_fail(reterr, OPS_ENOMEM, "a finding of service '" OPS_SLICE_FMT "'",
                        OPS_SLICE_ARG(c->service));
    }
    make_id(b, c, e->f.id);
    e->f.tenant = b->lim.tenant;
    e->f.state = OPS_FINDING_OPEN;
    e->f.start_ns = c->start_ns;
    e->f.last_ns = c->end_ns;
    e->f.kind = c->kind;
    absorb(b, e, c);
    b->opened_today++;
    b->stats.opened++;
    notify(b, e, OPS_FINDING_OPENED);
    return OPS_OK;
}

ops_status ops_finding_book_tick(ops_finding_book *b, int64_t now_ns, ops_err *reterr)
{
    (void)reterr;
    for (size_t i = b->open.n; i-- > 0;)
        if (now_ns - b->open.v[i]->f.last_ns > b->lim.close_after_ns)
            close_at(b, i);
    return OPS_OK;
}

/* Joins the younger of two open findings into the elder. */
static void merge(ops_finding_book *b, size_t elder, size_t younger)
{
    entry *e = b->open.v[elder];
    const ops_finding *y = &b->open.v[younger]->f;
    for (size_t s = 0; s < y->service_count || s == 0; s++) {
        ops_candidate c = {.kind = y->kind,
                           .severity = y->severity,
                           .tenant = y->tenant,
                           .statistic = b->open.v[younger]->statistic,
                           .value = y->value,
                           .expected_low = y->expected_low,
                           .expected_high = y->expected_high,
                           .p_value = y->p_value,
                           .score = y->score,
                           .words = y->words,
                           .start_ns = y->start_ns,
                           .end_ns = y->last_ns,
                           .template_count = y->template_count};
        memcpy(c.template_ids, y->template_ids, sizeof c.template_ids);
        c.service = s < y->service_count ? y->services[s] : (ops_slice){"", 0};
        absorb(b, e, &c);
    }
    for (size_t i = 0; i < y->evidence_count; i++)
        add_evidence(e, &y->evidence[i]);
    notify(b, e, OPS_FINDING_UPDATED);
    close_at(b, younger);
}

static void regroup(ops_finding_book *b)
{
    for (size_t i = 0; i < b->open.n; i++)
        for (size_t k = b->open.n; k-- > i + 1;) {
            const ops_finding *x = &b->open.v[i]->f, *y = &b->open.v[k]->f;
            if (y->start_ns - x->last_ns <= b->lim.group_gap_ns &&
                mean_the_same(b, x->template_ids, x->template_count, y->template_ids, y->template_count))
                merge(b, i, k);
        }
}

ops_status ops_finding_book_vector(ops_finding_book *b, uint64_t template_id, const float *v, size_t dim,
                                   ops_err *reterr)
{
    double square = 0;
    if (dim == 0 || dim > OPS_FINDING_DIM_MAX || (b->dim != 0 && dim != b->dim))
        return ops_fail(reterr, OPS_EINVAL, "vector of template %016llx: %zu dimensions",
                        (unsigned long long)template_id, dim);
    for (size_t i = 0; i < dim; i++)
        square += (double)v[i] * (double)v[i];
    if (!isfinite(square) || square <= 0)
        return ops_fail(reterr, OPS_EINVAL, "vector of template %016llx: not finite or zero",
                        (unsigned long long)template_id);
    vector *at = ops_map64_get(b->vector_of, template_id);
    if (at == NULL) {
        at = &b->vectors[b->vectors_at];
        const bool fresh = at->v == NULL;
        if (at->v == NULL && (at->v = ops_malloc(dim * sizeof *at->v)) == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "vector of template %016llx",
                            (unsigned long long)template_id);
        if (ops_map64_put(b->vector_of, template_id, at, NULL) != OPS_OK)
            return ops_fail(reterr, OPS_ENOMEM, "vector of template %016llx",
                            (unsigned long long)template_id);
        if (!fresh)
            (void)ops_map64_del(b->vector_of, at->template_id);
        b->vectors_n += fresh;
        b->vectors_at = (b->vectors_at + 1) % b->lim.vectors_max;
        at->template_id = template_id;
    }
    b->dim = dim;
    for (size_t i = 0; i < dim; i++)
        at->v[i] = (float)((double)v[i] / sqrt(square));
    b->vectors_dirty += !at->dirty;
    at->dirty = true;
    regroup(b);
    return OPS_OK;
}

bool ops_finding_book_has_vector(const ops_finding_book *b, uint64_t template_id)
{
    return ops_map64_has(b->vector_of, template_id);
}

bool ops_finding_book_next(const ops_finding_book *b, size_t *iter, ops_finding *ret)
{
    if (*iter >= b->open.n)
        return false;
    *ret = b->open.v[(*iter)++]->f;
    return true;
}

void ops_finding_book_stats_get(const ops_finding_book *b, ops_finding_stats *ret)
{
    *ret = b->stats;
    ret->open = b->open.n;
}

static void put_finding(ops_strbuf *b, const ops_finding *f)
{
    const uint64_t n[] = {RECORD_VERSION, f->kind,          f->severity,       f->revision,
                          f->candidates,  f->service_count, f->template_count, f->evidence_count};
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        ops_record_u(b, n[i]);
    ops_record_i(b, f->start_ns);
    ops_record_i(b, f->last_ns);
    const double d[] = {f->value, f->expected_low, f->expected_high, f->p_value, f->score};
    for (size_t i = 0; i < 5; i++)
        ops_record_f(b, d[i]);
    ops_record_s(b, f->summary);
    ops_record_s(b, f->words);
    ops_record_s(b, f->statistic);
    for (size_t i = 0; i < f->service_count; i++)
        ops_record_s(b, f->services[i]);
    for (size_t i = 0; i < f->template_count; i++)
        ops_record_u(b, f->template_ids[i]);
    for (size_t i = 0; i < f->evidence_count; i++) {
        const ops_evidence *e = &f->evidence[i];
        ops_record_s(b, e->service);
        ops_record_s(b, e->text);
        ops_record_i(b, e->time_ns);
        ops_record_u(b, e->template_id);
        ops_record_u(b, e->log_offset);
        ops_record_u(b, e->index);
    }
}

static bool get_finding(entry *e, ops_record_reader *r)
{
    ops_finding *f = &e->f;
    uint64_t n[8];
    for (size_t i = 0; i < 8; i++)
        n[i] = ops_record_get_u(r);
    if (r->bad || n[0] != RECORD_VERSION || n[1] >= OPS_CANDIDATE_KIND_COUNT || n[2] >= OPS_LEVEL_COUNT ||
        n[5] > OPS_FINDING_SERVICES_MAX || n[6] > OPS_FINDING_TEMPLATES_MAX ||
        n[7] > OPS_FINDING_EVIDENCE_MAX) {
        r->bad = true;
        return false;
    }
    f->kind = (ops_candidate_kind)n[1];
    f->severity = (ops_level)n[2];
    f->revision = (uint32_t)n[3];
    f->candidates = (uint32_t)n[4];
    f->start_ns = ops_record_get_i(r);
    f->last_ns = ops_record_get_i(r);
    double *d[] = {&f->value, &f->expected_low, &f->expected_high, &f->p_value, &f->score};
    for (size_t i = 0; i < 5; i++)
        *d[i] = ops_record_get_f(r);
    bool ok = set_text(&e->summary, &f->summary, ops_record_get_s(r, 2 * WORDS_MAX), 2 * WORDS_MAX) &&
              set_text(&e->words, &f->words, ops_record_get_s(r, WORDS_MAX), WORDS_MAX) &&
              set_text(&e->statistic, &f->statistic, ops_record_get_s(r, NAME_MAX), NAME_MAX);
    for (; ok && f->service_count < n[5]; f->service_count += ok)
        ok = set_text(&e->services[f->service_count], &f->services[f->service_count],
                      ops_record_get_s(r, NAME_MAX), NAME_MAX);
    for (; ok && f->template_count < n[6]; f->template_count++)
        f->template_ids[f->template_count] = ops_record_get_u(r);
    for (; ok && f->evidence_count < n[7]; f->evidence_count += ok) {
        ops_evidence *v = &f->evidence[f->evidence_count];
        ok = set_text(&e->evidence_services[f->evidence_count], &v->service, ops_record_get_s(r, NAME_MAX),
                      NAME_MAX) &&
             set_text(&e->texts[f->evidence_count], &v->text, ops_record_get_s(r, OPS_EVIDENCE_BYTES_MAX),
                      OPS_EVIDENCE_BYTES_MAX);
        v->time_ns = ops_record_get_i(r);
        v->template_id = ops_record_get_u(r);
        v->log_offset = ops_record_get_u(r);
        v->index = (uint32_t)ops_record_get_u(r);
    }
    if (ok && !ops_record_whole(r))
        r->bad = true;
    return ok && !r->bad;
}

static ops_status save_vectors(ops_finding_book *b, ops_miner_emit emit, void *u)
{
    ops_status st = OPS_OK;
    char key[VECTOR_KEY_BYTES] = {'v'};
    if (b->vectors_dirty == 0)
        return OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < b->lim.vectors_max; i++) {
        vector *at = &b->vectors[i];
        if (!at->dirty)
            continue;
        ops_put_be32(key + 1, (uint32_t)i);
        ops_strbuf_clear(&b->text);
        ops_record_u(&b->text, at->template_id);
        ops_record_s(&b->text, ops_slice_of(at->v, b->dim * sizeof *at->v));
        st = b->text.failed ? OPS_ENOMEM : emit(u, ops_slice_of(key, sizeof key), ops_strbuf_get(&b->text));
        at->dirty = st != OPS_OK;
        b->vectors_dirty -= st == OPS_OK;
    }
    ops_strbuf_clear(&b->text);
    ops_record_u(&b->text, b->vectors_at);
    if (st == OPS_OK)
        st = b->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("r"), ops_strbuf_get(&b->text));
    return st;
}

/* A slot above the limit, which was higher once, is as good as dropped. */
static ops_status load_vector(ops_finding_book *b, ops_slice key, ops_record_reader *r, ops_err *reterr)
{
    const uint32_t slot = ops_get_be32(key.p + 1);
    const uint64_t id = ops_record_get_u(r);
    const ops_slice bytes = ops_record_get_s(r, OPS_FINDING_DIM_MAX * sizeof(float));
    const size_t dim = bytes.n / sizeof(float);
    double square = 0;
    if (!ops_record_whole(r) || dim == 0 || bytes.n % sizeof(float) != 0 || (b->dim != 0 && dim != b->dim))
        return ops_fail(reterr, OPS_ECORRUPT, "vector %u of %zu bytes", slot, bytes.n);
    if (slot >= b->lim.vectors_max || ops_map64_has(b->vector_of, id))
        return OPS_OK;
    vector *at = &b->vectors[slot];
    at->v = ops_memdup(bytes.p, bytes.n);
    if (at->v == NULL || ops_map64_put(b->vector_of, id, at, NULL) != OPS_OK)
        return ops_fail(reterr, OPS_ENOMEM, "vector %u", slot);
    at->template_id = id;
    b->dim = dim;
    b->vectors_n++;
    for (size_t i = 0; i < dim; i++)
        square += (double)at->v[i] * (double)at->v[i];
    return fabs(square - 1) < 1e-3 ? OPS_OK
                                   : ops_fail(reterr, OPS_ECORRUPT, "vector %u: its length is not 1", slot);
}

/* Where the next one goes; the oldest is there when the ring is full. */
static ops_status load_ring(ops_finding_book *b, ops_record_reader *r, ops_err *reterr)
{
    b->vectors_at = (size_t)ops_record_get_u(r);
    return ops_record_whole(r) ? OPS_OK : ops_fail(reterr, OPS_ECORRUPT, "place in the ring of vectors");
}

/* Keys: "m" the counters; "o" + id an open finding; "v" + slot (4 bytes) a vector; "r" where the next one goes. */
ops_status ops_finding_book_save_dirty(ops_finding_book *b, ops_miner_emit emit, void *u, ops_err *reterr)
{
    ops_status st = OPS_OK;
    char key[OPS_FINDING_ID_LEN + 1] = {'o'};
    while (st == OPS_OK && b->gone.n > 0) {
        memcpy(key + 1, b->gone.v[b->gone.n - 1], OPS_FINDING_ID_LEN);
        st = emit(u, ops_slice_of(key, sizeof key), (ops_slice){"", 0});
        if (st == OPS_OK)
            ops_free(b->gone.v[--b->gone.n]);
    }
    for (size_t i = 0; st == OPS_OK && i < b->open.n; i++) {
        entry *e = b->open.v[i];
        if (!e->dirty)
            continue;
        ops_strbuf_clear(&b->text);
        put_finding(&b->text, &e->f);
        memcpy(key + 1, e->f.id, OPS_FINDING_ID_LEN);
        st = b->text.failed ? OPS_ENOMEM : emit(u, ops_slice_of(key, sizeof key), ops_strbuf_get(&b->text));
        e->dirty = st != OPS_OK;
        e->saved |= st == OPS_OK;
    }
    if (st == OPS_OK && b->meta_dirty) {
        const uint64_t n[] = {RECORD_VERSION,          b->opened_today,      b->stats.candidates,
                              b->stats.joined,         b->stats.opened,      b->stats.closed,
                              b->stats.refused_budget, b->stats.refused_weak};
        ops_strbuf_clear(&b->text);
        ops_record_i(&b->text, b->day);
        for (size_t i = 0; i < 8; i++)
            ops_record_u(&b->text, n[i]);
        st = b->text.failed ? OPS_ENOMEM : emit(u, OPS_SLICE("m"), ops_strbuf_get(&b->text));
        b->meta_dirty = st != OPS_OK;
    }
    if (st == OPS_OK)
        st = save_vectors(b, emit, u);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "saving findings");
}

ops_status ops_finding_book_load(ops_finding_book *b, ops_slice key, ops_slice val, ops_err *reterr)
{
    ops_record_reader r = ops_record_read(val);
    if (key.n == 1 && key.p[0] == 'm') {
        uint64_t n[8];
        b->day = ops_record_get_i(&r);
        for (size_t i = 0; i < 8; i++)
            n[i] = ops_record_get_u(&r);
        if (!ops_record_whole(&r) || n[0] != RECORD_VERSION)
            return ops_fail(reterr, OPS_ECORRUPT, "finding counters");
        b->opened_today = (uint32_t)n[1];
        b->stats = (ops_finding_stats){.candidates = n[2],
                                       .joined = n[3],
                                       .opened = n[4],
                                       .closed = n[5],
                                       .refused_budget = n[6],
                                       .refused_weak = n[7]};
        return OPS_OK;
    }
    if (key.n == VECTOR_KEY_BYTES && key.p[0] == 'v')
        return load_vector(b, key, &r, reterr);
    if (key.n == 1 && key.p[0] == 'r')
        return load_ring(b, &r, reterr);
    if (key.n != OPS_FINDING_ID_LEN + 1 || key.p[0] != 'o')
        return ops_fail(reterr, OPS_ECORRUPT, "finding record with a key of %zu bytes", key.n);
    entry *e = ops_calloc(1, sizeof *e);
    if (e == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "loading a finding");
    memcpy(e->f.id, key.p + 1, OPS_FINDING_ID_LEN);
    e->f.tenant = b->lim.tenant;
    e->f.state = OPS_FINDING_OPEN;
    e->saved = true;
    if (!get_finding(e, &r) || b->open.n >= b->lim.open_max || !ops_vec_push(&b->open, e)) {
        ops_status st = ops_fail(reterr, r.bad || b->open.n >= b->lim.open_max ? OPS_ECORRUPT : OPS_ENOMEM,
                                 "finding record of %zu bytes", val.n);
        entry_free(e);
        return st;
    }
    return OPS_OK;
}

static int elder_first(const void *pa, const void *pb)
{
    const ops_finding *a = &(*(entry *const *)pa)->f, *b = &(*(entry *const *)pb)->f;
    return a->start_ns != b->start_ns ? (a->start_ns < b->start_ns ? -1 : 1) : strcmp(a->id, b->id);
}

ops_status ops_finding_book_load_done(ops_finding_book *b, ops_err *reterr)
{
    (void)reterr;
    /* With another limit than at the time the ring's order is lost, not its content. */
    if (b->vectors_at >= b->lim.vectors_max)
        b->vectors_at = 0;
    while (b->vectors_n < b->lim.vectors_max && b->vectors[b->vectors_at].v != NULL)
        b->vectors_at = (b->vectors_at + 1) % b->lim.vectors_max;
    if (b->open.n > 0)
        qsort(b->open.v, b->open.n, sizeof b->open.v[0], elder_first);
    return OPS_OK;
}
