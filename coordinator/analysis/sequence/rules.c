#include "coordinator/analysis/sequence/rules.h"

#include <math.h>
#include <stdlib.h>

typedef struct kind {
    uint32_t id, sessions;
} kind;

static int most_sessions(const void *a, const void *b)
{
    const kind *x = a, *y = b;
    if (x->sessions != y->sessions)
        return x->sessions > y->sessions ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

bool seq_rules_init(seq_rules *r, const seq_vocab *v)
{
    size_t n = v->events.n - SEQ_FIRST;
    OPS_AUTO(ops_free) void *block = ops_malloc((n + 1) * sizeof(kind));
    kind *all = block;
    r->rank = ops_calloc(v->events.n, sizeof *r->rank);
    if (all == NULL || r->rank == NULL)
        return false;
    r->ids = v->events.n;
    for (size_t i = 0; i < n; i++)
        all[i] = (kind){(uint32_t)(i + SEQ_FIRST), v->sessions.v[i + SEQ_FIRST]};
    qsort(all, n, sizeof *all, most_sessions);
    r->kinds = n < SEQ_RULE_KINDS ? n : SEQ_RULE_KINDS;
    for (size_t i = 0; i < r->kinds; i++) {
        r->id_of[i] = all[i].id;
        r->rank[all[i].id] = (uint32_t)i + 1;
    }
    r->cell = ops_calloc(r->kinds * r->kinds + 1, sizeof *r->cell);
    return r->cell != NULL;
}

void seq_rules_done(seq_rules *r)
{
    ops_free(r->rank);
    ops_free(r->cell);
}

static bool breaks(const seq_item *a, const seq_item *b, seq_rule rule)
{
    switch (rule) {
    case SEQ_RULE_SAME_COUNT:
        return a->count != b->count;
    case SEQ_RULE_FIRST:
        return a->first > b->first;
    case SEQ_RULE_LAST:
        return a->last > b->last;
    case SEQ_RULE_AT_MOST:
        return a->count > b->count;
    default:
        return a->last > b->first;
    }
}

void seq_rules_add(seq_rules *r, const seq_session *s, bool out)
{
    uint32_t by = out ? UINT32_MAX : 1; /* minus one, modulo 2^32 */
    for (size_t i = 0; i < s->items.n; i++) {
        const seq_item *a = &s->items.v[i];
        if (r->rank[a->id] == 0)
            continue;
        size_t ra = r->rank[a->id] - 1;
        r->sessions[ra] += by;
        for (size_t j = 0; j < s->items.n; j++) {
            const seq_item *b = &s->items.v[j];
            if (i == j || r->rank[b->id] == 0)
                continue;
            seq_cell *c = &r->cell[ra * r->kinds + r->rank[b->id] - 1];
            c->both += by;
            for (int rule = 0; rule < SEQ_RULE_COUNT; rule++)
                if (breaks(a, b, (seq_rule)rule))
                    c->broken[rule] += by;
        }
    }
}

static void keep(seq_broken out[SEQ_BROKEN_MAX], size_t *n, seq_broken x)
{
    size_t at = *n;
    while (at > 0 && out[at - 1].ratio < x.ratio)
        at--;
    if (at == SEQ_BROKEN_MAX)
        return;
    if (*n < SEQ_BROKEN_MAX)
        (*n)++;
    for (size_t i = *n - 1; i > at; i--)
        out[i] = out[i - 1];
    out[at] = x;
}

/* Rules of a with each b that the session holds. */
static void judge_present(const seq_rules *r, const seq_session *s, const seq_item *a,
                          seq_broken out[SEQ_BROKEN_MAX], size_t *n)
{
    size_t ra = r->rank[a->id] - 1;
    for (size_t j = 0; j < s->items.n; j++) {
        const seq_item *b = &s->items.v[j];
        if (b == a || r->rank[b->id] == 0)
            continue;
        const seq_cell *c = &r->cell[ra * r->kinds + r->rank[b->id] - 1];
        if (c->both == 0)
            continue;
        for (int rule = 0; rule < SEQ_RULE_COUNT; rule++)
            if (breaks(a, b, (seq_rule)rule))
                keep(out, n,
                     (seq_broken){(seq_rule)rule, a->id, b->id, c->both,
                                  (c->both + 1.0) / (c->broken[rule] + 0.5)});
    }
}

double seq_rules_judge(const seq_rules *r, const seq_session *s, seq_broken ret[SEQ_BROKEN_MAX],
                       size_t *ret_n)
{
    bool here[SEQ_RULE_KINDS] = {0};
    *ret_n = 0;
    for (size_t i = 0; i < s->items.n; i++)
        if (r->rank[s->items.v[i].id] > 0)
            here[r->rank[s->items.v[i].id] - 1] = true;
    for (size_t i = 0; i < s->items.n; i++) {
        const seq_item *a = &s->items.v[i];
        if (r->rank[a->id] == 0 || r->sessions[r->rank[a->id] - 1] == 0)
            continue;
        size_t ra = r->rank[a->id] - 1;
        judge_present(r, s, a, ret, ret_n);
        uint32_t n = r->sessions[ra];
        for (size_t b = 0; b < r->kinds; b++)
            if (!here[b])
                keep(ret, ret_n,
                     (seq_broken){SEQ_RULE_WITH, a->id, r->id_of[b], n,
                                  (n + 1.0) / (n - r->cell[ra * r->kinds + b].both + 0.5)});
    }
    double sum = 0;
    for (size_t i = 0; i < *ret_n; i++)
        sum += log(ret[i].ratio);
    return sum;
}
