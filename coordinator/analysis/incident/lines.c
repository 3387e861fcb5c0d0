/* What is written that was not written before, or far more often; and who stopped writing. */
#include <math.h>
#include <stdlib.h>

#include "coordinator/analysis/incident/board.h"
#include "coordinator/analysis/incident/names.h"
#include "coordinator/analysis/template/miner.h"

/* A line that names another component speaks of it as much as of its writer. */
static const double named_share = 0.5;
/* Fewer lines are what victims write (less work); none at all is another thing. */
static const double fall_weight = 0.5;
/* A past this many times shorter than what follows tells no rates. */
static const double ratio_max = 4;
enum { LINES_MIN = 20, TEMPLATES_MAX = 4096 };

typedef struct kind { /* one template of one component */
    uint32_t component;
    uint64_t template;
    uint32_t n[2], named; /* the component that it names */
    double since_s, bits;
} kind;

typedef struct hit { /* one line */
    uint32_t component;
    uint64_t template;
    double time_s;
} hit;

typedef struct work {
    ops_board *d;
    ops_miner *miner;
    OPS_VEC(hit) hits;
    OPS_VEC(kind) kinds;
    double ratio;  /* covered time after over covered time before */
    double *top;   /* by component: its largest burst */
    double *names; /* n x n: the largest burst of the one that names the other */
} work;

static ops_status mine(work *w)
{
    const ops_bundle *b = w->d->b;
    const ops_miner_limits lim = {.templates_max = TEMPLATES_MAX};
    ops_status st = ops_miner_new(&lim, &w->miner, NULL);
    for (size_t i = 0; st == OPS_OK && i < b->lines.n; i++) {
        ops_template_hit h = {0};
        st = ops_miner_add(w->miner, b->lines.v[i].message, 0, &h);
        if (st == OPS_OK &&
            !ops_vec_push(&w->hits, ((hit){b->lines.v[i].component, h.id, b->lines.v[i].time_s})))
            st = OPS_ENOMEM;
    }
    for (size_t i = 0; i < w->hits.n; i++)
        w->hits.v[i].template = ops_miner_resolve(w->miner, w->hits.v[i].template);
    return st;
}

static int by_kind(const void *pa, const void *pb)
{
    const hit *a = pa, *b = pb;
    if (a->component != b->component)
        return a->component < b->component ? -1 : 1;
    if (a->template != b->template)
        return a->template <b->template ? -1 : 1;
    return (a->time_s > b->time_s) - (a->time_s < b->time_s);
}

/* How much more often than its past has it: doublings of the expected count. */
static double burst(const work *w, const kind *k)
{
    double expected = k->n[0] * w->ratio;
    return fmax(log2((k->n[1] + 1) / (expected + 1)), 0);
}

static ops_status form_kinds(work *w)
{
    if (w->hits.n > 0)
        qsort(w->hits.v, w->hits.n, sizeof *w->hits.v, by_kind);
    for (size_t i = 0; i < w->hits.n;) {
        kind k = {.component = w->hits.v[i].component, .template = w->hits.v[i].template};
        for (; i < w->hits.n && w->hits.v[i].component == k.component && w->hits.v[i].template == k.template;
             i++) {
            bool after = w->hits.v[i].time_s >= w->d->at_s;
            if (after && k.since_s == 0)
                k.since_s = w->hits.v[i].time_s;
            k.n[after]++;
        }
        k.bits = burst(w, &k);
        if (!ops_vec_push(&w->kinds, k))
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

static int by_bits(const void *pa, const void *pb)
{
    const kind *a = pa, *b = pb;
    if (a->component != b->component)
        return a->component < b->component ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits > b->bits ? -1 : 1;
    return a->template <b->template ? -1 : a->template > b->template;
}

static ops_status tell(work *w, const kind *k, double bits)
{
    ops_template_info info = {0};
    (void)ops_miner_info(w->miner, k->template, &info);
    ops_slice text = ops_slice_sub(info.text, 0, 160);
    uint32_t named = k->named;
    double own = named != OPS_NAMED_NONE ? 1 - named_share : 1;
    ops_status st = ops_board_say(w->d, k->component, OPS_RANK_LOGS, own * bits, k->since_s,
                                  "it writes \"" OPS_SLICE_FMT "\" %u times, expected %.3g",
                                  OPS_SLICE_ARG(text), k->n[1], k->n[0] * w->ratio);
    if (st == OPS_OK && named != OPS_NAMED_NONE) {
        ops_slice who = ops_bundle_component(w->d->b, k->component);
        st = ops_board_say(w->d, named, OPS_RANK_LOGS, named_share * bits, k->since_s,
                           OPS_SLICE_FMT " writes of it \"" OPS_SLICE_FMT "\" %u times, expected %.3g",
                           OPS_SLICE_ARG(who), OPS_SLICE_ARG(text), k->n[1], k->n[0] * w->ratio);
    }
    return st;
}

/* Who is named by whom. Only bursts are asked: most templates did not change. */
static void find_names(work *w)
{
    size_t n = w->d->n;
    for (size_t i = 0; i < w->kinds.n; i++) {
        kind *k = &w->kinds.v[i];
        ops_template_info info = {0};
        k->named = OPS_NAMED_NONE;
        if (n > OPS_NAMED_COMPONENTS_MAX || !(k->bits > 0) || !ops_miner_info(w->miner, k->template, &info))
            continue;
        k->named = ops_name_find(w->d->b, info.text, k->component);
        w->top[k->component] = fmax(w->top[k->component], k->bits);
        if (k->named != OPS_NAMED_NONE)
            w->names[k->component * n + k->named] = fmax(w->names[k->component * n + k->named], k->bits);
    }
}

/* How far what a component writes is about another, that does not write as much about it: the share of its largest burst. */
static double about_others(const work *w, uint32_t c)
{
    double most = 0;
    if (w->d->n > OPS_NAMED_COMPONENTS_MAX)
        return 0;
    for (size_t k = 0; k < w->d->n; k++)
        most = fmax(most, w->names[c * w->d->n + k] - w->names[k * w->d->n + c]);
    return w->top[c] > 0 ? most / w->top[c] : 0;
}

/* Each next template of a component counts half of the one before. */
static ops_status blame(work *w)
{
    if (w->kinds.n > 0)
        qsort(w->kinds.v, w->kinds.n, sizeof *w->kinds.v, by_bits);
    for (size_t i = 0; i < w->kinds.n;) {
        uint32_t component = w->kinds.v[i].component;
        double n[2] = {0, 0},
               weight = 0.5 * ops_board_unexplained(w->d, component, about_others(w, component));
        for (; i < w->kinds.n && w->kinds.v[i].component == component; i++, weight *= 0.5) {
            n[0] += w->kinds.v[i].n[0] * w->ratio;
            n[1] += w->kinds.v[i].n[1];
            if (w->kinds.v[i].bits > 0 && weight > 1e-6) {
                ops_status st = tell(w, &w->kinds.v[i], weight * w->kinds.v[i].bits);
                if (st != OPS_OK)
                    return st;
            }
        }
        double bits = (n[1] > 0 ? fall_weight : 1) * log2((n[0] + 1) / (n[1] + 1));
        if (bits > 1) {
            ops_status st = ops_board_say(w->d, component, OPS_RANK_SILENCE, bits, w->d->at_s,
                                          "it wrote %.3g log lines, expected %.3g", n[1], n[0]);
            if (st != OPS_OK)
                return st;
        }
    }
    return OPS_OK;
}

/* Nothing can be said of what is new where there is too little of what is old. */
static bool has_past(work *w)
{
    const ops_bundle *b = w->d->b;
    size_t before = 0;
    while (before < b->lines.n && b->lines.v[before].time_s < w->d->at_s)
        before++;
    if (before < LINES_MIN || before == b->lines.n)
        return false;
    double past = w->d->at_s - b->lines.v[0].time_s, since = b->lines.v[b->lines.n - 1].time_s - w->d->at_s;
    w->ratio = past > 0 ? fmax(since, 1) / past : 0;
    return w->ratio > 0 && w->ratio <= ratio_max;
}

ops_status ops_judge_lines(ops_board *d)
{
    work w = {.d = d};
    if (!has_past(&w))
        return OPS_OK;
    size_t pairs = d->n <= OPS_NAMED_COMPONENTS_MAX ? d->n * d->n : 0;
    w.top = ops_calloc(d->n + pairs + 1, sizeof *w.top);
    ops_status st = w.top != NULL ? mine(&w) : OPS_ENOMEM;
    if (st == OPS_OK)
        st = form_kinds(&w);
    if (st == OPS_OK) {
        w.names = w.top + d->n;
        find_names(&w);
        st = blame(&w);
    }
    ops_free(w.top);
    ops_miner_free(w.miner);
    ops_vec_done(&w.hits);
    ops_vec_done(&w.kinds);
    return st;
}
