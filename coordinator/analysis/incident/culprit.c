#include "coordinator/analysis/incident/culprit.h"
#include "base/time/event.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/incident/edges.h"
#include "coordinator/analysis/incident/names.h"

/* As `rank` has it: callees never explain all. */
static const double explained_share = 0.75;
/* Who complains of nobody, but calls somebody in trouble: as likely as not that is why. */
static const double quiet_share = 0.5;
static const double prior_callee = 1, prior_caller = 0.5; /* as `edges` has them */
/* Signs are no finer than the windows they come from. */
static const double onset_s = 60, grain_s = 10, change_bits = 1.5, change_s = 900;
/* What is said of this very incident outweighs what was measured; of others, each time counts little. */
static const double said_here_bits = 8, said_before_bits = 1, said_before_max = 3;
enum { TEXT_BYTES_MAX = 400, QUOTE_BYTES = 120, CALLERS_MAX = 4, CHAIN_MAX = 4 };

typedef struct bench {
    const ops_culprit_case *c;
    ops_arena *text;
    ops_culprit *all;                       /* one a component of the topology */
    double (*strongest)[OPS_CULPRIT_KINDS]; /* of the part whose text a term keeps */
    double *own, *moving;                   /* bits of its own signs */
    int64_t *first_ns;                      /* INT64_MAX: none */
    size_t n;
    ops_edges edges;
} bench;

const char *ops_culprit_kind_name(ops_culprit_kind kind)
{
    static const char *const names[OPS_CULPRIT_KINDS] = {[OPS_CULPRIT_SIGNS] = "signs",
                                                         [OPS_CULPRIT_NAMED] = "named",
                                                         [OPS_CULPRIT_ONSET] = "onset",
                                                         [OPS_CULPRIT_CHANGE] = "change",
                                                         [OPS_CULPRIT_EXPLAINED] = "explained",
                                                         [OPS_CULPRIT_ANSWERS] = "answers",
                                                         [OPS_CULPRIT_SAID] = "said"};
    return kind < OPS_CULPRIT_KINDS ? names[kind] : "?";
}

static ops_status say(bench *b, uint32_t component, ops_culprit_kind kind, double bits, int64_t since_ns,
                      const char *fmt, ...) __attribute__((format(printf, 6, 7)));
static ops_status say(bench *b, uint32_t component, ops_culprit_kind kind, double bits, int64_t since_ns,
                      const char *fmt, ...)
{
    ops_culprit_term *t = &b->all[component].terms[kind];
    if (bits == 0)
        return OPS_OK;
    t->bits += bits;
    if (fabs(bits) <= b->strongest[component][kind])
        return OPS_OK;
    b->strongest[component][kind] = fabs(bits);
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    t->text = ops_arena_dup(b->text, ops_slice_str(text));
    t->since_ns = since_ns;
    return t->text.p != NULL ? OPS_OK : OPS_ENOMEM;
}

static ops_slice name_of(const bench *b, uint32_t id)
{
    return ops_topology_name(b->c->topology, id);
}

static uint32_t service_of(const bench *b, const ops_sign *s, size_t i)
{
    return i < s->service_count ? ops_topology_find(b->c->topology, s->services[i]) : OPS_TOPOLOGY_NONE;
}

typedef struct part {
    double bits;
    const ops_sign *sign;
} part;

static int by_bits(const void *pa, const void *pb)
{
    const part *a = pa, *b = pb;
    if (a->bits != b->bits)
        return a->bits > b->bits ? -1 : 1;
    return ops_slice_cmp(a->sign->id, b->sign->id);
}

/* Its own signs; those that began elsewhere and reached it count half. */
static ops_status judge_signs(bench *b, uint32_t component, part *scratch)
{
    size_t n = 0;
    for (size_t i = 0; i < b->c->sign_count; i++)
        for (size_t k = 0; k < b->c->signs[i].service_count; k++)
            if (service_of(b, &b->c->signs[i], k) == component &&
                b->c->signs[i].kind != OPS_CANDIDATE_CHANGE) {
                scratch[n++] = (part){ops_sign_bits(&b->c->signs[i]) * (k == 0 ? 1 : 0.5), &b->c->signs[i]};
                break;
            }
    qsort(scratch, n, sizeof *scratch, by_bits);
    double weight = 1;
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < n; i++, weight /= 2) {
        const ops_sign *s = scratch[i].sign;
        b->own[component] += weight * scratch[i].bits;
        if (s->start_ns < b->first_ns[component])
            b->first_ns[component] = s->start_ns;
        st = say(b, component, OPS_CULPRIT_SIGNS, weight * scratch[i].bits, s->start_ns, OPS_SLICE_FMT,
                 OPS_SLICE_ARG(s->summary));
    }
    return st;
}

static bool calls(const bench *b, uint32_t caller, uint32_t callee)
{
    if (ops_topology_calls(b->c->topology, caller, callee))
        return true;
    for (size_t i = 0; i < b->c->sign_count; i++)
        if (service_of(b, &b->c->signs[i], 0) == caller &&
            ops_sign_calls(&b->c->signs[i], name_of(b, callee)))
            return true;
    return false;
}

/* Two that name each other: a server's log names its clients too. Where a failed call says who called, the other way is no
 * complaint. */
static void settle_mutual(bench *b)
{
    for (size_t i = 0; i < b->edges.n; i++) {
        const ops_edge *e = &b->edges.v[i];
        if (e->bits <= 0 || !calls(b, e->caller, e->callee) || calls(b, e->callee, e->caller))
            continue;
        for (size_t k = 0; k < b->edges.n; k++)
            if (b->edges.v[k].caller == e->callee && b->edges.v[k].callee == e->caller)
                b->edges.v[k].bits = 0;
    }
}

/* Who names whom in trouble, as strongly as the sign that does. A call known from before that nobody complains of is fine, and
 * clears its ends where they are in trouble elsewhere. */
static ops_status list_edges(bench *b)
{
    const ops_topology *t = b->c->topology;
    for (size_t i = 0; i < b->c->sign_count; i++) {
        const ops_sign *s = &b->c->signs[i];
        const uint32_t caller = service_of(b, s, 0);
        if (s->kind == OPS_CANDIDATE_METRIC) /* its labels are its own */
            continue;
        for (uint32_t k = 0; caller != OPS_TOPOLOGY_NONE && k < b->n; k++) {
            if (k == caller || !ops_name_in(s->text, name_of(b, k)))
                continue;
            ops_edge *e = ops_edges_of(&b->edges, caller, k);
            if (e == NULL)
                return OPS_ENOMEM;
            if (ops_sign_bits(s) > e->bits) {
                e->bits = ops_sign_bits(s);
                e->since_s = (double)s->start_ns / 1e9;
            }
        }
    }
    settle_mutual(b);
    for (size_t i = 0; i < ops_topology_call_count(t); i++) {
        const ops_topology_call *c = ops_topology_call_at(t, i);
        if (ops_edges_of(&b->edges, c->caller, c->callee) == NULL)
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

static ops_slice quote(const bench *b, const ops_edge *e)
{
    for (size_t i = 0; i < b->c->sign_count; i++)
        if (service_of(b, &b->c->signs[i], 0) == e->caller &&
            ops_name_in(b->c->signs[i].text, name_of(b, e->callee)))
            return ops_slice_sub(b->c->signs[i].text, 0, QUOTE_BYTES);
    return (ops_slice){0};
}

/* The callee's share of the blame for a bad call, 0 to 1: who is named by many has more of it, who names many, or is fine in
 * other calls of the same part, less. Unlike `edges` this looks at one part of each end only: here the middle of a chain is
 * not yet cleared of what its own callees did, judge_explained does that. */
static double callee_share(const bench *b, const ops_edge *e)
{
    double callee = prior_callee, caller = prior_caller, callees = 1, callers = 1;
    for (size_t i = 0; i < b->edges.n; i++) {
        const ops_edge *o = &b->edges.v[i];
        if (o == e)
            continue;
        callee += o->callee == e->callee ? o->bits : 0;
        callees += o->callee == e->callee;
        caller += o->caller == e->caller ? o->bits : 0;
        callers += o->caller == e->caller;
    }
    return callee / callees / (callee / callees + caller / callers);
}

/* The strongest edges that end at it, strongest first. */
static size_t callers_of(const bench *b, uint32_t component, const ops_edge *ret[CALLERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < b->edges.n; i++) {
        const ops_edge *e = &b->edges.v[i];
        if (e->callee != component || e->bits <= 0)
            continue;
        size_t at = n < CALLERS_MAX ? n++ : CALLERS_MAX;
        for (; at > 0 && ret[at - 1]->bits < e->bits; at--)
            if (at < CALLERS_MAX)
                ret[at] = ret[at - 1];
        if (at < CALLERS_MAX)
            ret[at] = e;
    }
    return n;
}

/* Several that name it are several views of one thing: each next one counts half. */
static ops_status judge_named(bench *b, uint32_t component)
{
    const ops_edge *callers[CALLERS_MAX];
    const size_t n = callers_of(b, component, callers);
    ops_status st = OPS_OK;
    double weight = 1;
    for (size_t i = 0; st == OPS_OK && i < n; i++, weight /= 2) {
        const ops_edge *e = callers[i];
        const ops_slice said = quote(b, e);
        st = say(b, component, OPS_CULPRIT_NAMED, weight * e->bits * callee_share(b, e),
                 (int64_t)(e->since_s * 1e9), OPS_SLICE_FMT " names it: " OPS_SLICE_FMT,
                 OPS_SLICE_ARG(name_of(b, e->caller)), OPS_SLICE_ARG(said));
    }
    return st;
}

/* Of whom it complains most; NULL: of nobody. */
static const ops_edge *complaint_of(const bench *b, uint32_t component, double *ret_share)
{
    const ops_edge *most = NULL;
    *ret_share = 0;
    for (size_t i = 0; i < b->edges.n; i++) {
        const ops_edge *e = &b->edges.v[i];
        const double share = e->caller == component && e->bits > 0 ? callee_share(b, e) : 0;
        if (share > *ret_share) {
            *ret_share = share;
            most = e;
        }
    }
    return most;
}

/* A sign began with it: it speaks for itself. One that a sign only reached keeps what is put on it. */
static bool speaks(const bench *b, uint32_t component)
{
    for (size_t i = 0; i < b->c->sign_count; i++)
        if (service_of(b, &b->c->signs[i], 0) == component)
            return true;
    return false;
}

/* Known by spans to be called by it, and in trouble itself: the most of them. OPS_TOPOLOGY_NONE: none. */
static uint32_t quiet_callee_of(const bench *b, uint32_t component)
{
    uint32_t most = OPS_TOPOLOGY_NONE;
    double bits = 0;
    for (size_t i = 0; i < ops_topology_call_count(b->c->topology); i++) {
        const ops_topology_call *c = ops_topology_call_at(b->c->topology, i);
        const double of = b->own[c->callee] + b->all[c->callee].terms[OPS_CULPRIT_NAMED].bits;
        if (c->sure && c->caller == component && of > bits) {
            bits = of;
            most = c->callee;
        }
    }
    return most;
}

static ops_status pass_on_quietly(bench *b, uint32_t from, double bits, double *next)
{
    const uint32_t to = speaks(b, from) ? quiet_callee_of(b, from) : OPS_TOPOLOGY_NONE;
    const double moved = explained_share * quiet_share * bits;
    if (to == OPS_TOPOLOGY_NONE || moved <= 0)
        return OPS_OK;
    next[to] += moved;
    ops_status st = say(b, from, OPS_CULPRIT_EXPLAINED, -moved, 0,
                        "it calls " OPS_SLICE_FMT ", which is in trouble itself and may answer for it",
                        OPS_SLICE_ARG(name_of(b, to)));
    if (st == OPS_OK)
        st = say(b, to, OPS_CULPRIT_ANSWERS, moved, 0,
                 OPS_SLICE_FMT " calls it, is in trouble and names nobody else",
                 OPS_SLICE_ARG(name_of(b, from)));
    return st;
}

static ops_status pass_on(bench *b, uint32_t from, double bits, double *next)
{
    double share = 0;
    const ops_edge *e = complaint_of(b, from, &share);
    const double moved = explained_share * share * bits;
    if (e == NULL)
        return pass_on_quietly(b, from, bits, next);
    if (moved <= 0)
        return OPS_OK;
    const ops_slice to = name_of(b, e->callee), by = name_of(b, from);
    const int64_t since_ns = (int64_t)(e->since_s * 1e9);
    next[e->callee] += moved;
    ops_status st = say(b, from, OPS_CULPRIT_EXPLAINED, -moved, since_ns,
                        "it complains of " OPS_SLICE_FMT ", which answers for %.0f %% of it",
                        OPS_SLICE_ARG(to), 100 * explained_share * share);
    if (st == OPS_OK)
        st = say(b, e->callee, OPS_CULPRIT_ANSWERS, moved, since_ns,
                 "it answers for %.0f %% of what " OPS_SLICE_FMT " shows", 100 * explained_share * share,
                 OPS_SLICE_ARG(by));
    return st;
}

/* Who complains of another is not the end of the chain: most of what speaks against it speaks against the other, and so on. What is
 * taken off here is put on there. */
static ops_status judge_explained(bench *b, double *moving, double *next)
{
    ops_status st = OPS_OK;
    for (uint32_t i = 0; i < b->n; i++)
        moving[i] = b->own[i] + b->all[i].terms[OPS_CULPRIT_NAMED].bits;
    for (int round = 0; st == OPS_OK && round < CHAIN_MAX; round++) {
        memset(next, 0, b->n * sizeof *next);
        for (uint32_t i = 0; st == OPS_OK && i < b->n; i++)
            st = pass_on(b, i, moving[i], next);
        memcpy(moving, next, b->n * sizeof *next);
    }
    return st;
}

static ops_status judge_onset(bench *b)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    size_t with = 0;
    for (uint32_t i = 0; i < b->n; i++)
        if (b->first_ns[i] != INT64_MAX) {
            first = b->first_ns[i] < first ? b->first_ns[i] : first;
            last = b->first_ns[i] > last ? b->first_ns[i] : last;
            with++;
        }
    ops_status st = OPS_OK;
    for (uint32_t i = 0;
         st == OPS_OK && with > 1 && ops_time_after(last, first) >= (int64_t)(grain_s * 1e9) && i < b->n;
         i++) {
        if (b->first_ns[i] == INT64_MAX)
            continue;
        const double behind_s = (double)ops_time_after(b->first_ns[i], first) / 1e9,
                     span_s = fmin(onset_s, (double)ops_time_after(last, first) / 1e9);
        const double bits = behind_s < grain_s ? 1 : fmax(0, 1 - behind_s / span_s);
        st = behind_s < grain_s ? say(b, i, OPS_CULPRIT_ONSET, bits, b->first_ns[i],
                                      "it was among the first, %.0f s before the last",
                                      (double)ops_time_after(last, first) / 1e9)
                                : say(b, i, OPS_CULPRIT_ONSET, bits, b->first_ns[i],
                                      "it began %.0f s after the first", behind_s);
    }
    return st;
}

static ops_status judge_change(bench *b)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < b->n; i++)
        first = b->first_ns[i] < first ? b->first_ns[i] : first;
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < b->c->sign_count; i++) {
        const ops_sign *s = &b->c->signs[i];
        const uint32_t at = service_of(b, s, 0);
        const double before_s = (double)ops_time_after(first, s->start_ns) / 1e9;
        if (s->kind != OPS_CANDIDATE_CHANGE || at == OPS_TOPOLOGY_NONE || first == INT64_MAX ||
            before_s < -onset_s || before_s > change_s || b->all[at].terms[OPS_CULPRIT_CHANGE].bits > 0)
            continue;
        st = say(b, at, OPS_CULPRIT_CHANGE, change_bits, s->start_ns,
                 "it changed %.0f s %s the first sign: " OPS_SLICE_FMT, fabs(before_s),
                 before_s < 0 ? "after" : "before", OPS_SLICE_ARG(s->summary));
    }
    return st;
}

static bool concerns(const bench *b, ops_slice service)
{
    for (size_t i = 0; i < b->c->sign_count; i++)
        for (size_t k = 0; k < b->c->signs[i].service_count; k++)
            if (ops_slice_eq(b->c->signs[i].services[k], service))
                return true;
    return false;
}

static ops_status judge_said(bench *b)
{
    ops_status st = OPS_OK;
    for (size_t i = 0; st == OPS_OK && i < b->c->lesson_count; i++) {
        const ops_lesson *l = &b->c->lessons[i];
        const uint32_t at = ops_topology_find(b->c->topology, l->first);
        const bool right = l->kind == OPS_LESSON_RIGHT_CAUSE;
        if ((!right && l->kind != OPS_LESSON_WRONG_CAUSE) || at == OPS_TOPOLOGY_NONE)
            continue;
        const bool here = ops_slice_eq(l->incident_id, b->c->incident_id);
        if (!here && (!concerns(b, l->second) ||
                      (!concerns(b, l->first) && b->all[at].terms[OPS_CULPRIT_NAMED].bits == 0)))
            continue;
        const double said = b->all[at].terms[OPS_CULPRIT_SAID].bits;
        double bits = here ? said_here_bits : fmax(0, fmin(said_before_bits, said_before_max - fabs(said)));
        st = say(b, at, OPS_CULPRIT_SAID, right ? bits : -bits, 0,
                 OPS_SLICE_FMT " said that it %s the cause of " OPS_SLICE_FMT, OPS_SLICE_ARG(l->who),
                 right ? "was" : "was not", OPS_SLICE_ARG(here ? OPS_SLICE("this") : l->incident_id));
    }
    return st;
}

/* The strongest terms in words, two at most. */
static ops_status write_reason(bench *b, ops_culprit *c)
{
    const ops_culprit_term *first = NULL, *second = NULL;
    char text[2 * TEXT_BYTES_MAX + 8];
    for (size_t k = 0; k < OPS_CULPRIT_KINDS; k++) {
        const ops_culprit_term *t = &c->terms[k];
        if (t->bits > 0 && (first == NULL || t->bits > first->bits)) {
            second = first;
            first = t;
        } else if (t->bits > 0 && (second == NULL || t->bits > second->bits)) {
            second = t;
        }
    }
    if (first == NULL)
        return OPS_OK;
    (void)snprintf(
        text, sizeof text, OPS_SLICE_FMT "%s" OPS_SLICE_FMT, OPS_SLICE_ARG(first->text),
        second != NULL && second->bits >= 0.5 * first->bits ? "; " : "",
        OPS_SLICE_ARG(second != NULL && second->bits >= 0.5 * first->bits ? second->text : (ops_slice){0}));
    c->reason = ops_arena_dup(b->text, ops_slice_str(text));
    return c->reason.p != NULL ? OPS_OK : OPS_ENOMEM;
}

static int by_score(const void *pa, const void *pb)
{
    const ops_culprit *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return ops_slice_cmp(a->component, b->component);
}

static ops_status judge(bench *b, part *scratch)
{
    ops_status st = list_edges(b);
    for (uint32_t i = 0; st == OPS_OK && i < b->n; i++)
        st = judge_signs(b, i, scratch);
    for (uint32_t i = 0; st == OPS_OK && i < b->n; i++)
        st = judge_named(b, i);
    if (st == OPS_OK)
        st = judge_explained(b, b->moving, b->moving + b->n);
    if (st == OPS_OK)
        st = judge_onset(b);
    if (st == OPS_OK)
        st = judge_change(b);
    if (st == OPS_OK)
        st = judge_said(b);
    for (size_t i = 0; st == OPS_OK && i < b->n; i++) {
        for (size_t k = 0; k < OPS_CULPRIT_KINDS; k++)
            b->all[i].score += b->all[i].terms[k].bits;
        st = write_reason(b, &b->all[i]);
    }
    return st;
}

ops_status ops_culprits_rank(const ops_culprit_case *c, ops_arena *text, ops_culprit ret[OPS_CULPRITS_MAX],
                             size_t *ret_count, ops_err *reterr)
{
    bench b = {.c = c, .text = text, .n = ops_topology_count(c->topology)};
    b.all = ops_calloc(b.n + 1, sizeof *b.all);
    b.strongest = ops_calloc(b.n + 1, sizeof *b.strongest);
    b.own = ops_calloc(b.n + 1, sizeof *b.own);
    b.first_ns = ops_calloc(b.n + 1, sizeof *b.first_ns);
    b.moving = ops_calloc(2 * b.n + 1, sizeof *b.moving);
    part *scratch = ops_calloc(c->sign_count + 1, sizeof *scratch);
    ops_status st = b.all != NULL && b.strongest != NULL && b.own != NULL && b.moving != NULL &&
                            b.first_ns != NULL && scratch != NULL
                        ? OPS_OK
                        : OPS_ENOMEM;
    for (uint32_t i = 0; st == OPS_OK && i < b.n; i++) {
        b.all[i].component = name_of(&b, i);
        b.first_ns[i] = INT64_MAX;
    }
    if (st == OPS_OK)
        st = judge(&b, scratch);
    if (st == OPS_OK) {
        qsort(b.all, b.n, sizeof *b.all, by_score);
        for (*ret_count = 0; *ret_count < b.n && *ret_count < OPS_CULPRITS_MAX && b.all[*ret_count].score > 0;
             ++*ret_count)
            ret[*ret_count] = b.all[*ret_count];
    }
    ops_free(b.all);
    ops_free(b.strongest);
    ops_free(b.own);
    ops_free(b.moving);
    ops_free(b.first_ns);
    ops_free(scratch);
    ops_vec_done(&b.edges);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "ranking causes of %zu signs", c->sign_count);
}
