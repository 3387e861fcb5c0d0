#include "coordinator/analysis/incident/rank.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/incident/board.h"

enum { TEXT_BYTES_MAX = 400 };
#define ARENA_BYTES_MAX ((size_t)64 << 20)

/* Callees never explain all: a cause may lie in both. */
static const double explained_discount = 0.75;

struct ops_rank {
    ops_arena text;
    size_t n;
    ops_rank_cause *causes;
};

const char *ops_rank_kind_name(ops_rank_kind kind)
{
    static const char *const names[OPS_RANK_KINDS] = {
        [OPS_RANK_METRICS] = "metrics", [OPS_RANK_OWN_TIME] = "own time", [OPS_RANK_WIRE] = "wire",
        [OPS_RANK_ERRORS] = "errors",   [OPS_RANK_CALLS] = "calls",       [OPS_RANK_LOGS] = "logs",
        [OPS_RANK_SILENCE] = "silence", [OPS_RANK_ONSET] = "onset"};
    return kind < OPS_RANK_KINDS ? names[kind] : "?";
}

double ops_bits(double x)
{
    return x > 0 ? log2(1 + x) : 0;
}

double ops_board_unexplained(const ops_board *d, uint32_t component, double also)
{
    return 1 - explained_discount * fmax(d->explained[component], also);
}

ops_status ops_board_say(ops_board *d, uint32_t component, ops_rank_kind kind, double bits, double since_s,
                         const char *fmt, ...)
{
    ops_rank_term *t = &d->causes[component].terms[kind];
    if (!(bits > 0))
        return OPS_OK;
    t->bits += bits;
    if (bits <= d->strongest[component][kind])
        return OPS_OK;
    d->strongest[component][kind] = bits;
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    ops_slice kept = ops_arena_dup(d->text, ops_slice_of(text, bytes));
    if (kept.p == NULL)
        return OPS_ENOMEM;
    t->text = kept;
    t->since_s = since_s;
    return OPS_OK;
}

/* The strongest terms in words, two at most: the second where it says at least half as much. */
static ops_status write_reason(ops_board *d, ops_rank_cause *c)
{
    const ops_rank_term *first = NULL, *second = NULL;
    for (size_t k = 0; k < OPS_RANK_KINDS; k++) {
        const ops_rank_term *t = &c->terms[k];
        if (t->bits > 0 && (first == NULL || t->bits > first->bits)) {
            second = first;
            first = t;
        } else if (t->bits > 0 && (second == NULL || t->bits > second->bits)) {
            second = t;
        }
    }
    char text[2 * TEXT_BYTES_MAX + 8];
    if (first == NULL)
        (void)snprintf(text, sizeof text, "nothing of it changed");
    else if (second == NULL || second->bits < 0.5 * first->bits)
        (void)snprintf(text, sizeof text, OPS_SLICE_FMT, OPS_SLICE_ARG(first->text));
    else
        (void)snprintf(text, sizeof text, OPS_SLICE_FMT "; " OPS_SLICE_FMT, OPS_SLICE_ARG(first->text),
                       OPS_SLICE_ARG(second->text));
    c->reason = ops_arena_dup(d->text, ops_slice_str(text));
    return c->reason.p != NULL ? OPS_OK : OPS_ENOMEM;
}

static int by_score(const void *pa, const void *pb)
{
    const ops_rank_cause *a = pa, *b = pb;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return ops_slice_cmp(a->component, b->component);
}

static ops_status judge(ops_board *d)
{
    ops_status st = ops_judge_spans(d);
    if (st == OPS_OK)
        st = ops_judge_metrics(d);
    if (st == OPS_OK)
        st = ops_judge_lines(d);
    for (size_t i = 0; st == OPS_OK && i < d->n; i++) {
        for (size_t k = 0; k < OPS_RANK_KINDS; k++)
            d->causes[i].score += d->causes[i].terms[k].bits;
        st = write_reason(d, &d->causes[i]);
    }
    return st;
}

ops_status ops_rank_new(const ops_bundle *b, double at_s, ops_rank **ret, ops_err *reterr)
{
    if (!b->sealed || !isfinite(at_s))
        return ops_fail(reterr, OPS_EINVAL, "ranking: the bundle is not sealed, or the time is none");
    OPS_AUTO(ops_rank_free) ops_rank *r = ops_calloc(1, sizeof *r);
    if (r == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "ranking");
    ops_arena_init(&r->text, ARENA_BYTES_MAX);
    r->n = b->components.list.n;
    r->causes = ops_calloc(r->n + 1, sizeof *r->causes);
    ops_board d = {.b = b, .at_s = at_s, .n = r->n, .causes = r->causes, .text = &r->text};
    d.explained = ops_calloc(r->n + 1, sizeof *d.explained);
    d.strongest = ops_calloc(r->n + 1, sizeof *d.strongest);
    ops_status st = r->causes != NULL && d.explained != NULL && d.strongest != NULL ? OPS_OK : OPS_ENOMEM;
    for (size_t i = 0; st == OPS_OK && i < r->n; i++)
        r->causes[i].component = ops_bundle_component(b, (uint32_t)i);
    if (st == OPS_OK)
        st = judge(&d);
    ops_free(d.explained);
    ops_free(d.strongest);
    if (st != OPS_OK)
        return ops_fail(reterr, st, "ranking %zu components", r->n);
    qsort(r->causes, r->n, sizeof *r->causes, by_score);
    *ret = OPS_STEAL(r);
    return OPS_OK;
}

void ops_rank_free(ops_rank *r)
{
    if (r == NULL)
        return;
    ops_arena_done(&r->text);
    ops_free(r->causes);
    ops_free(r);
}

size_t ops_rank_count(const ops_rank *r)
{
    return r->n;
}

const ops_rank_cause *ops_rank_at(const ops_rank *r, size_t i)
{
    return &r->causes[i];
}
