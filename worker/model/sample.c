#include "worker/model/sample.h"

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"

struct ops_sampler {
    ops_sample_params p;
    int vocab;
    uint64_t random;
    float *logits;   /* after penalties */
    uint32_t *count; /* of each id among `seen` */
    int32_t *seen;   /* a ring of the last p.window tokens */
    size_t n_seen, at;
    ops_greatest *heap; /* [OPS_SAMPLE_TOP_MAX] */
    ops_greatest *row;  /* [OPS_SAMPLE_TOP_MAX + 1], of logits that come without one */
};

ops_sample_params ops_sample_defaults(void)
{
    return (ops_sample_params){.top_p = 1, .repeat = 1, .window = 64};
}

static ops_status check(const ops_sample_params *p, int vocab, ops_err *reterr)
{
    const struct {
        const char *name;
        double v, min, max;
    } rows[] = {{"temperature", (double)p->temperature, 0, 100},
                {"top_k", p->top_k, 0, OPS_SAMPLE_TOP_MAX},
                {"top_p", (double)p->top_p, 1e-6, 1},
                {"min_p", (double)p->min_p, 0, 1},
                {"repeat penalty", (double)p->repeat, 1e-6, 100},
                {"presence penalty", (double)p->presence, -100, 100},
                {"frequency penalty", (double)p->frequency, -100, 100},
                {"window of penalties", p->window, 0, OPS_SAMPLE_WINDOW_MAX},
                {"vocabulary", vocab, 1, OPS_SAMPLE_VOCAB_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(rows[i].v >= rows[i].min && rows[i].v <= rows[i].max))
            return ops_fail(reterr, OPS_EINVAL, "%s %g is not between %g and %g", rows[i].name, rows[i].v,
                            rows[i].min, rows[i].max);
    return OPS_OK;
}

ops_status ops_sampler_new(const ops_sample_params *p, int vocab, ops_sampler **ret, ops_err *reterr)
{
    const ops_status st = check(p, vocab, reterr);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_sampler_free) ops_sampler *s = ops_calloc(1, sizeof *s);
    if (s == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a sampler");
    s->p = *p;
    s->vocab = vocab;
    s->random = p->seed;
    s->logits = ops_calloc((size_t)vocab, sizeof *s->logits);
    s->count = ops_calloc((size_t)vocab, sizeof *s->count);
    s->seen = ops_calloc((size_t)p->window + 1, sizeof *s->seen);
    s->heap = ops_calloc(OPS_SAMPLE_TOP_MAX, sizeof *s->heap);
    s->row = ops_calloc(OPS_SAMPLE_TOP_MAX + 1, sizeof *s->row);
    if (s->logits == NULL || s->count == NULL || s->seen == NULL || s->heap == NULL || s->row == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a sampler for %d tokens", vocab);
    *ret = OPS_STEAL(s);
    return OPS_OK;
}

void ops_sampler_free(ops_sampler *s)
{
    if (s == NULL)
        return;
    ops_free(s->logits);
    ops_free(s->count);
    ops_free(s->seen);
    ops_free(s->heap);
    ops_free(s->row);
    ops_free(s);
}

void ops_sampler_saw(ops_sampler *s, int32_t id)
{
    if (id < 0 || id >= s->vocab || s->p.window == 0)
        return;
    if (s->n_seen == (size_t)s->p.window)
        s->count[s->seen[s->at]]--;
    else
        s->n_seen++;
    s->seen[s->at] = id;
    s->count[id]++;
    s->at = (s->at + 1) % (size_t)s->p.window;
}

/* SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195); a number in [0, 1). */
static double draw(ops_sampler *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Does a come before b, the better first? */
static int before(ops_greatest a, ops_greatest b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/* A heap whose root is the worst of the picks. */
static void sink(ops_greatest *h, int n, int at)
{
    for (;;) {
        int worst = at;
        for (int c = 2 * at + 1; c <= 2 * at + 2 && c < n; c++)
            if (before(h[worst], h[c]))
                worst = c;
        if (worst == at)
            return;
        const ops_greatest t = h[at];
        h[at] = h[worst];
        h[worst] = t;
        at = worst;
    }
}

/* The greatest `most` of the values, best first, into h; how many there are. */
static int greatest(const float *v, int vocab, int most, ops_greatest *h)
{
    int n = 0;
    for (int32_t i = 0; i < vocab; i++) {
        const ops_greatest p = {i, v[i]};
        if (!(v[i] > -INFINITY))
            continue;
        if (n < most) {
            h[n++] = p;
            for (int k = n / 2 - 1; n == most && k >= 0; k--)
                sink(h, n, k);
        } else if (before(p, h[0])) {
            h[0] = p;
            sink(h, n, 0);
        }
    }
    for (int k = n / 2 - 1; k >= 0; k--)
        sink(h, n, k);
    for (int left = n - 1; left > 0; left--) { /* the worst to the end */
        const ops_greatest t = h[0];
        h[0] = h[left];
        h[left] = t;
        sink(h, left, 0);
    }
    return n;
}

/* What greatest.h says of all logits of a row. */
static ops_greatest all_of(const float *v, int n)
{
    float most = -INFINITY;
    for (int i = 0; i < n; i++)
        if (v[i] > most)
            most = v[i];
    double sum = 0;
    int32_t numbers = 0;
    for (int i = 0; i < n; i++)
        if (v[i] > -INFINITY) {
            sum += (double)expf(v[i] - most);
            numbers++;
        }
    return (ops_greatest){numbers, numbers > 0 ? (float)((double)most + log(sum)) : -INFINITY};
}

static void penalise(ops_sampler *s, const float *logits)
{
    memcpy(s->logits, logits, (size_t)s->vocab * sizeof *logits);
    for (size_t i = 0; i < s->n_seen; i++) {
        const int32_t id = s->seen[i];
        const float l = logits[id]; /* of an id seen twice the second time gives the same */
        const float by_ratio = l > 0 ? l / s->p.repeat : l * s->p.repeat;
        s->logits[id] = by_ratio - (float)s->count[id] * s->p.frequency - s->p.presence;
    }
}

/* One of n, best first, by temperature, min-p and top-p; its place. */
static int draw_one(ops_sampler *s, const ops_greatest *h, int n)
{
    const double t = (double)s->p.temperature;
    double all = 0, kept = 0, weight[OPS_SAMPLE_TOP_MAX];
    for (int i = 0; i < n; i++)
        all += weight[i] = exp(((double)h[i].logit - (double)h[0].logit) / t);
    int keep = 0;
    while (keep < n && (keep == 0 || (weight[keep] >= (double)s->p.min_p && /* the greatest weight is 1 */
                                      kept < (double)s->p.top_p * all)))
        kept += weight[keep++];
    double mark = draw(s) * kept;
    for (int i = 0; i < keep - 1; i++)
        if ((mark -= weight[i]) < 0)
            return i;
    return keep - 1;
}

static bool greedy(const ops_sampler *s)
{
    return s->p.temperature <= 0;
}

/* How many of the greatest a token is drawn from. */
static int looked_at(const ops_sampler *s)
{
    return greedy(s) ? 1 : s->p.top_k > 0 ? s->p.top_k : OPS_SAMPLE_TOP_MAX;
}

static ops_status check_top(int n_top, ops_err *reterr)
{
    return n_top >= 0 && n_top <= OPS_SAMPLE_TOP_MAX
               ? OPS_OK
               : ops_fail(reterr, OPS_EINVAL, "the %d likeliest tokens, at most %d", n_top,
                          OPS_SAMPLE_TOP_MAX);
}

static ops_sample_choice choice(int32_t id, float logit, double whole)
{
    return (ops_sample_choice){id, (float)((double)logit - whole)};
}

bool ops_sampler_needs_all(const ops_sampler *s)
{
    return s->p.window > 0 && (s->p.repeat != 1 || s->p.presence != 0 || s->p.frequency != 0);
}

int ops_sampler_needs(const ops_sampler *s, int n_top)
{
    const int needs = ops_sampler_needs_all(s) ? 1 : looked_at(s);
    return needs > n_top ? needs : n_top;
}

/* What a token is drawn from: the row itself, or the greatest after penalties; how many. */
static const ops_greatest *candidates(ops_sampler *s, const ops_greatest *row, const float *logits,
                                      int *ret_n)
{
    int n = 0;
    if (ops_sampler_needs_all(s)) {
        penalise(s, logits);
        *ret_n = greatest(s->logits, s->vocab, looked_at(s), s->heap);
        return s->heap;
    }
    while (n < looked_at(s) && row[n].id >= 0)
        n++;
    *ret_n = n;
    return row;
}

ops_status ops_sampler_choose_greatest(ops_sampler *s, const ops_greatest *row, int top, const float *logits,
                                       ops_sample_choice *ret, ops_sample_choice *ret_top, int n_top,
                                       ops_err *reterr)
{
    const ops_status st = check_top(n_top, reterr);
    const bool all = ops_sampler_needs_all(s);
    if (st != OPS_OK)
        return st;
    if (top < ops_sampler_needs(s, n_top) || (all && logits == NULL))
        return ops_fail(reterr, OPS_EINVAL, "the %d greatest logits do not decide the next token", top);
    const double whole = (double)row[top].logit;
    int n = 0;
    const ops_greatest *from = candidates(s, row, logits, &n);
    if (!isfinite(whole) || n == 0)
        return ops_fail(reterr, OPS_ECORRUPT, "no token of %d has a finite logit, or one is infinite",
                        s->vocab);
    const ops_greatest one = from[greedy(s) ? 0 : draw_one(s, from, n)];
    for (int i = 0; ret_top != NULL && i < n_top; i++)
        ret_top[i] =
            row[i].id >= 0 ? choice(row[i].id, row[i].logit, whole) : (ops_sample_choice){-1, -INFINITY};
    *ret = choice(one.id, all ? logits[one.id] : one.logit, whole);
    return OPS_OK;
}

ops_status ops_sampler_choose(ops_sampler *s, const float *logits, ops_sample_choice *ret,
                              ops_sample_choice *ret_top, int n_top, ops_err *reterr)
{
    const ops_status st = check_top(n_top, reterr);
    if (st != OPS_OK)
        return st;
    const int top = ops_sampler_needs(s, n_top);
    for (int i = greatest(logits, s->vocab, top, s->row); i < top; i++)
        s->row[i] = (ops_greatest){-1, -INFINITY};
    s->row[top] = all_of(logits, s->vocab);
    return ops_sampler_choose_greatest(s, s->row, top, logits, ret, ret_top, n_top, reterr);
}
