#include "coordinator/analysis/sequence/order.h"

#include <math.h>

#include "base/text/hash.h"

enum { TABLE_LEAST = 1 << 10 };
static const uint64_t ROOT_KEY = 0x5bd1e995a5a5a5a5ull;

/* The events before place i, read as if the session began with SEQ_BEGIN and ended with SEQ_END. */
static uint32_t event_at(const uint32_t *ev, size_t n, ptrdiff_t i)
{
    return i < 0 ? SEQ_BEGIN : (size_t)i == n ? SEQ_END : ev[i];
}

static uint64_t key_with(uint64_t context, uint32_t event)
{
    uint64_t k = ops_hash_mix(context ^ (event + 1ull) * 0x9e3779b97f4a7c15ull);
    return k == 0 ? 1 : k;
}

/* Keys of the contexts of place i, shortest first; their number. The one of length d holds the d events before i. */
static size_t contexts(const uint32_t *ev, size_t n, size_t i, uint64_t key[SEQ_CONTEXT + 1])
{
    size_t most = i + 1 < SEQ_CONTEXT ? i + 1 : SEQ_CONTEXT;
    for (size_t d = 0; d <= most; d++) {
        key[d] = ROOT_KEY;
        for (size_t back = d; back > 0; back--)
            key[d] = key_with(key[d], event_at(ev, n, (ptrdiff_t)i - (ptrdiff_t)back));
    }
    return most + 1;
}

static seq_gram *place(seq_gram *table, size_t cap, uint64_t key)
{
    size_t at = key & (cap - 1);
    while (table[at].key != 0 && table[at].key != key)
        at = (at + 1) & (cap - 1);
    return &table[at];
}

static seq_gram *find(const seq_order *o, uint64_t key)
{
    seq_gram *g = place(o->table, o->cap, key);
    return g->key == 0 ? NULL : g;
}

static bool grow(seq_order *o)
{
    size_t cap = o->cap * 2;
    seq_gram *table = ops_calloc(cap, sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < o->cap; i++)
        if (o->table[i].key != 0)
            *place(table, cap, o->table[i].key) = o->table[i];
    ops_free(o->table);
    o->table = table;
    o->cap = cap;
    return true;
}

/* Room for one more session's worth, or the bound reached. */
static bool reserve(seq_order *o, size_t more)
{
    while (o->cap / 2 < o->used + more && o->cap / 2 < SEQ_GRAMS_MAX)
        if (!grow(o))
            return false;
    return true;
}

static seq_gram *find_or_add(seq_order *o, uint64_t key)
{
    seq_gram *g = place(o->table, o->cap, key);
    if (g->key == 0) {
        if (o->used == SEQ_GRAMS_MAX)
            return NULL;
        g->key = key;
        o->used++;
    }
    return g;
}

bool seq_order_init(seq_order *o)
{
    o->cap = TABLE_LEAST;
    o->table = ops_calloc(o->cap, sizeof *o->table);
    return o->table != NULL;
}

void seq_order_done(seq_order *o)
{
    ops_free(o->table);
}

bool seq_order_add(seq_order *o, const uint32_t *ev, size_t n)
{
    if (!reserve(o, (n + 1) * (SEQ_CONTEXT + 2)))
        return false;
    for (size_t i = 0; i <= n; i++) {
        uint64_t key[SEQ_CONTEXT + 1];
        size_t most = contexts(ev, n, i, key);
        for (size_t d = 0; d < most; d++) {
            seq_gram *context = find_or_add(o, key[d]);
            if (context == NULL)
                continue;
            seq_gram *g = find_or_add(o, key_with(key[d], event_at(ev, n, (ptrdiff_t)i)));
            context->after++;
            context->kinds += g == NULL || g->n == 0;
            if (g != NULL)
                g->n++;
        }
    }
    return true;
}

void seq_order_drop(seq_order *o, const uint32_t *ev, size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        uint64_t key[SEQ_CONTEXT + 1];
        size_t most = contexts(ev, n, i, key);
        for (size_t d = 0; d < most; d++) {
            seq_gram *context = find(o, key[d]);
            if (context == NULL)
                continue;
            seq_gram *g = find(o, key_with(key[d], event_at(ev, n, (ptrdiff_t)i)));
            context->after--;
            if (g != NULL)
                g->n--;
            context->kinds -= g == NULL || g->n == 0;
        }
    }
}

static double surprise(const seq_order *o, const uint32_t *ev, size_t n, size_t i, double *ret_free)
{
    uint64_t key[SEQ_CONTEXT + 1];
    size_t most = contexts(ev, n, i, key);
    double p = 1;
    for (size_t d = 0; d < most; d++) {
        const seq_gram *context = find(o, key[d]);
        const seq_gram *g = find(o, key_with(key[d], event_at(ev, n, (ptrdiff_t)i)));
        double seen = g != NULL ? g->n : 0;
        if (d == 0) {
            /* add-half over the kinds and one kind unseen */
            double after = context != NULL ? context->after : 0, kinds = context != NULL ? context->kinds : 0;
            p = (seen + 0.5) / (after + 0.5 * (kinds + 1));
            *ret_free = -log(p);
        } else if (context != NULL && context->after > 0) {
            p = (seen + context->kinds * p) / ((double)context->after + context->kinds);
        }
    }
    return -log(p);
}

void seq_order_measure(seq_order *o, const uint32_t *ev, size_t n)
{
    for (size_t i = 0; i <= n; i++) {
        double alone;
        o->sum += surprise(o, ev, n, i, &alone);
        o->sum_free += alone;
        o->events++;
    }
}

void seq_order_settle(seq_order *o)
{
    double mean = o->events > 0 ? o->sum / o->events : 0;
    double no_order = o->events > 0 ? o->sum_free / o->events : 0;
    o->allowance = (mean + (no_order > mean ? no_order : mean)) / 2;
}

seq_peak seq_order_judge(const seq_order *o, const uint32_t *ev, size_t n)
{
    seq_peak best = {0}, now = {0};
    for (size_t i = 0; i <= n; i++) {
        double alone, s = surprise(o, ev, n, i, &alone);
        if (now.sum + s <= o->allowance) {
            now = (seq_peak){0};
            continue;
        }
        now.sum += s - o->allowance;
        if (s > now.surprise) {
            now.surprise = s;
            now.worst = i;
        }
        if (now.sum > best.sum)
            best = now;
    }
    return best;
}

size_t seq_order_expected(const seq_order *o, const uint32_t *ev, size_t i, uint32_t kinds,
                          uint32_t ret[SEQ_EXPECTED_MAX])
{
    uint64_t key[SEQ_CONTEXT + 1];
    size_t d = contexts(ev, i + 1, i, key);
    const seq_gram *context = NULL;
    while (d > 0 && ((context = find(o, key[d - 1])) == NULL || context->after == 0))
        d--;
    if (d == 0)
        return 0;
    uint32_t times[SEQ_EXPECTED_MAX] = {0};
    size_t got = 0;
    for (uint32_t e = SEQ_END; e < kinds; e++) {
        const seq_gram *g = e == SEQ_NONE ? NULL : find(o, key_with(key[d - 1], e));
        if (g == NULL || g->n * 10ull < context->after)
            continue;
        size_t at = got;
        while (at > 0 && times[at - 1] < g->n)
            at--;
        if (at == SEQ_EXPECTED_MAX)
            continue;
        if (got < SEQ_EXPECTED_MAX)
            got++;
        for (size_t k = got - 1; k > at; k--) {
            ret[k] = ret[k - 1];
            times[k] = times[k - 1];
        }
        ret[at] = e;
        times[at] = g->n;
    }
    return got;
}
