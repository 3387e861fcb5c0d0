#include "coordinator/analysis/sequence/nearest.h"

#include <math.h>

#include "base/text/hash.h"

static const double EACH = 0.1; /* keeps many small differences behind one of the same logarithm */
static const double TIE = 1e-6; /* of vectors at one price the closer one is told */

bool seq_nearest_init(seq_nearest *nn)
{
    nn->by_hash = ops_map64_new();
    return nn->by_hash != NULL;
}

void seq_nearest_done(seq_nearest *nn)
{
    ops_vec_done(&nn->vectors);
    ops_vec_done(&nn->pool);
    ops_vec_done(&nn->edit_pool);
    ops_map64_free(nn->by_hash);
    ops_free(nn->seen);
    ops_free(nn->price);
}

static uint64_t hash_of(const seq_session *s)
{
    uint64_t h = s->items.n;
    for (size_t i = 0; i < s->items.n; i++)
        h = ops_hash_mix(h ^ ((uint64_t)s->items.v[i].id << 32 | s->items.v[i].count)) +
            0x9e3779b97f4a7c15ull;
    return h;
}

static const seq_item *items_of(const seq_nearest *nn, const seq_vector *vec)
{
    return vec->items > 0 ? nn->pool.v + vec->at : NULL;
}

static bool same(const seq_nearest *nn, const seq_vector *vec, const seq_session *s)
{
    if (vec->items != s->items.n)
        return false;
    const seq_item *a = items_of(nn, vec);
    for (size_t i = 0; i < s->items.n; i++)
        if (a[i].id != s->items.v[i].id || a[i].count != s->items.v[i].count)
            return false;
    return true;
}

bool seq_nearest_add(seq_nearest *nn, const seq_session *s, uint32_t *ret)
{
    uint64_t h = hash_of(s);
    uintptr_t known = (uintptr_t)ops_map64_get(nn->by_hash, h);
    nn->sessions++;
    *ret = SEQ_NO_VECTOR;
    if (known != 0) {
        if (!same(nn, &nn->vectors.v[known - 1], s))
            return true; /* two vectors of one hash: the later only teaches prices */
        nn->vectors.v[known - 1].sessions++;
        *ret = (uint32_t)known - 1;
        return true;
    }
    if (nn->vectors.n == SEQ_NEAREST_MAX)
        return true;
    seq_vector vec = {.at = nn->pool.n, .items = (uint32_t)s->items.n, .sessions = 1};
    for (size_t i = 0; i < s->items.n; i++)
        if (!ops_vec_push(&nn->pool, s->items.v[i]))
            return false;
    if (!ops_vec_push(&nn->vectors, vec))
        return false;
    *ret = (uint32_t)nn->vectors.n - 1;
    return ops_map64_put(nn->by_hash, h, (void *)(uintptr_t)nn->vectors.n, NULL) == OPS_OK;
}

static uint32_t cell_of(uint32_t id, uint32_t seen, uint32_t near)
{
    uint32_t delta = seen > near ? seen - near : near - seen, step = 0;
    while (delta > 1 && step < SEQ_STEPS - 1) {
        delta /= 2;
        step++;
    }
    return (id * 2 + (seen > near)) * SEQ_STEPS + step;
}

static float price_at(const seq_nearest *nn, uint32_t cell)
{
    return (float)log((nn->sessions + 1) / (nn->seen[cell] + 0.5));
}

typedef double (*price_fn)(const seq_nearest *nn, uint32_t id, uint32_t seen, uint32_t near);

static double plain(const seq_nearest *nn, uint32_t id, uint32_t seen, uint32_t near)
{
    (void)nn;
    (void)id;
    uint32_t hi = seen > near ? seen : near, lo = seen > near ? near : seen;
    return log((1.0 + hi) / (1.0 + lo)) + EACH;
}

static double priced(const seq_nearest *nn, uint32_t id, uint32_t seen, uint32_t near)
{
    double delta = seen > near ? seen - near : near - seen;
    return nn->price[cell_of(id, seen, near)] + delta * TIE;
}

/* Walks two sorted item lists until the sum reaches `enough`. */
static double distance(const seq_nearest *nn, const seq_item *a, size_t an, const seq_vector *vec,
                       const seq_vocab *v, price_fn price, double enough)
{
    const seq_item *b = items_of(nn, vec);
    size_t i = 0, j = 0, bn = vec->items;
    double sum = 0;
    while ((i < an || j < bn) && sum < enough) {
        uint32_t id, seen = 0, near = 0;
        if (j == bn || (i < an && a[i].id <= b[j].id))
            id = a[i].id;
        else
            id = b[j].id;
        if (i < an && a[i].id == id)
            seen = a[i++].count;
        if (j < bn && b[j].id == id)
            near = b[j++].count;
        /* kinds that nobody has are priced once, together */
        if (seen != near && (near > 0 || v->sessions.v[id] > 0))
            sum += price(nn, id, seen, near);
    }
    return sum;
}

static uint32_t nearest_of(const seq_nearest *nn, const seq_item *a, size_t an, const seq_vocab *v,
                           uint32_t but, price_fn price, double *ret_distance)
{
    uint32_t best = SEQ_NO_VECTOR;
    double least = INFINITY;
    for (size_t k = 0; k < nn->vectors.n && least > 0; k++) {
        if (k == but)
            continue;
        double d = distance(nn, a, an, &nn->vectors.v[k], v, price, least);
        if (d < least) {
            least = d;
            best = (uint32_t)k;
        }
    }
    *ret_distance = best == SEQ_NO_VECTOR ? 0 : least;
    return best;
}

/* All differences to vector `to` (none: to nothing at all), as cells. */
static bool collect(seq_nearest *nn, const seq_item *a, size_t an, uint32_t to, const seq_vocab *v,
                    size_t *ret_new)
{
    static const seq_vector nothing;
    const seq_vector *vec = to == SEQ_NO_VECTOR ? &nothing : &nn->vectors.v[to];
    const seq_item *b = items_of(nn, vec);
    size_t i = 0, j = 0, fresh = 0;
    while (i < an || j < vec->items) {
        bool from_a = j == vec->items || (i < an && a[i].id <= b[j].id);
        uint32_t id = from_a ? a[i].id : b[j].id;
        uint32_t seen = i < an && a[i].id == id ? a[i++].count : 0;
        uint32_t near = j < vec->items && b[j].id == id ? b[j++].count : 0;
        if (seen == near)
            continue;
        if (near == 0 && v->sessions.v[id] <= 1)
            fresh++; /* the session at hand is the only one with it */
        else if (!ops_vec_push(&nn->edit_pool, cell_of(id, seen, near)))
            return false;
    }
    *ret_new = fresh;
    return true;
}

/* A difference of 2^step is also one of every smaller step. */
static void count_edits(seq_nearest *nn, const seq_vector *vec, uint32_t by)
{
    for (size_t i = 0; i < vec->edits; i++) {
        uint32_t cell = nn->edit_pool.v[vec->edit_at + i];
        for (uint32_t c = cell - cell % SEQ_STEPS; c <= cell; c++)
            nn->seen[c] += by;
    }
}

static bool settle_one(seq_nearest *nn, uint32_t k, const seq_vocab *v)
{
    double d;
    size_t fresh;
    const seq_vector *self = &nn->vectors.v[k];
    const seq_item *a = items_of(nn, self);
    uint32_t to = nearest_of(nn, a, self->items, v, k, plain, &d);
    size_t at = nn->edit_pool.n;
    if (!collect(nn, a, self->items, to, v, &fresh))
        return false;
    if (fresh > 0 && !ops_vec_push(&nn->edit_pool, cell_of(SEQ_NONE, (uint32_t)fresh, 0)))
        return false;
    nn->vectors.v[k].edit_at = at;
    nn->vectors.v[k].edits = (uint32_t)(nn->edit_pool.n - at);
    count_edits(nn, &nn->vectors.v[k], 1);
    return true;
}

bool seq_nearest_settle(seq_nearest *nn, const seq_vocab *v)
{
    nn->cells = v->events.n * 2 * SEQ_STEPS;
    nn->seen = ops_calloc(nn->cells, sizeof *nn->seen);
    nn->price = ops_calloc(nn->cells, sizeof *nn->price);
    if (nn->seen == NULL || nn->price == NULL)
        return false;
    for (size_t k = 0; k < nn->vectors.n; k++)
        if (nn->vectors.v[k].sessions == 1 && !settle_one(nn, (uint32_t)k, v))
            return false;
    for (size_t c = 0; c < nn->cells; c++)
        nn->price[c] = price_at(nn, (uint32_t)c);
    return true;
}

static void keep_dearest(seq_edit *out, size_t max, size_t *n, seq_edit e)
{
    size_t at = *n;
    while (at > 0 && out[at - 1].price < e.price)
        at--;
    if (at == max)
        return;
    if (*n < max)
        (*n)++;
    for (size_t i = *n - 1; i > at; i--)
        out[i] = out[i - 1];
    out[at] = e;
}

static void list_edits(const seq_nearest *nn, const seq_vocab *v, const seq_session *s, uint32_t to,
                       seq_edit *out, size_t max, size_t *n)
{
    const seq_vector *vec = &nn->vectors.v[to];
    const seq_item *a = s->items.v, *b = items_of(nn, vec);
    for (size_t i = 0, j = 0; i < s->items.n || j < vec->items;) {
        bool from_a = j == vec->items || (i < s->items.n && a[i].id <= b[j].id);
        seq_edit e = {.id = from_a ? a[i].id : b[j].id};
        if (i < s->items.n && a[i].id == e.id)
            e.seen = a[i++].count;
        if (j < vec->items && b[j].id == e.id)
            e.near = b[j++].count;
        if (e.seen == e.near || (e.near == 0 && v->sessions.v[e.id] == 0))
            continue;
        e.price = priced(nn, e.id, e.seen, e.near);
        keep_dearest(out, max, n, e);
    }
}

double seq_nearest_price(const seq_nearest *nn, const seq_vocab *v, const seq_session *s, size_t new_kinds,
                         uint32_t but_vector, seq_edit *out, size_t out_max, size_t *ret_out)
{
    double sum;
    uint32_t to = nearest_of(nn, s->items.v, s->items.n, v, but_vector, priced, &sum);
    if (new_kinds > 0)
        sum += priced(nn, SEQ_NONE, (uint32_t)new_kinds, 0);
    if (out != NULL) {
        *ret_out = 0;
        if (to != SEQ_NO_VECTOR)
            list_edits(nn, v, s, to, out, out_max, ret_out);
    }
    return sum;
}

static void reprice(seq_nearest *nn, const seq_vector *vec)
{
    for (size_t i = 0; i < vec->edits; i++) {
        uint32_t cell = nn->edit_pool.v[vec->edit_at + i];
        for (uint32_t c = cell - cell % SEQ_STEPS; c <= cell; c++)
            nn->price[c] = price_at(nn, c);
    }
}

double seq_nearest_held_out(seq_nearest *nn, const seq_vocab *v, const seq_session *s, size_t new_kinds,
                            uint32_t own)
{
    if (own == SEQ_NO_VECTOR)
        return seq_nearest_price(nn, v, s, new_kinds, own, NULL, 0, NULL);
    const seq_vector *vec = &nn->vectors.v[own];
    if (vec->sessions > 1)
        return 0;
    count_edits(nn, vec, UINT32_MAX); /* minus one */
    reprice(nn, vec);
    double sum = seq_nearest_price(nn, v, s, new_kinds, own, NULL, 0, NULL);
    count_edits(nn, vec, 1);
    reprice(nn, vec);
    return sum;
}
