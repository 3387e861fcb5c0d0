#include "worker/train/seqfit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/text/hash.h"

/* Ids of the model: before a session, behind it, a kind without a number; then the kinds. */
enum { ID_BEGIN = 0, ID_END = 1, ID_NONE = 2, ID_FIRST = 3 };
enum {
    DIM = 32,
    HEADS = 4,
    LAYERS = 2,
    CONTEXT = OPS_SEQFIT_EVENTS_MAX + 1,
    BATCH = 16, /* sessions of a step */
    ROUNDS = 40,
    FIT_TOKENS = BATCH * CONTEXT
};
static const float rate = 3e-3f, decay = 0.05f, norm_max = 1;
/* Surprise of what has a chance of 1 in 20: below it nobody asks what else was expected, which takes as long as the score. */
static const double asked_from = 2.995732273553991;

typedef struct packed {
    int32_t ids[FIT_TOKENS], target[FIT_TOKENS], starts[BATCH + 1];
    int seqs;
} packed;

struct ops_seqfit {
    ops_seqlm *model;
    uint32_t *ids, *lengths, *at; /* at[i]: where session i begins */
    size_t n, learnt_n, held_n;   /* order: those to learn, then those held out */
    uint32_t *order;
    uint32_t kinds, step, steps, next;
    uint64_t rng, tokens;
    size_t measured;  /* of the held-out ones */
    double *surprise; /* of the events of the one after the other held-out session */
    uint32_t *surprise_end;
    double allowance;
    double tail[OPS_SEQFIT_TAIL_MAX];
    size_t tail_n;
    bool done;
    packed batch;
};

static uint32_t draw(uint64_t *rng, uint32_t below)
{
    *rng += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = *rng;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

static ops_status check(const ops_seqfit_sessions *s, ops_err *reterr)
{
    size_t sum = 0;
    if (s->n < 1 || s->n > OPS_SEQFIT_SESSIONS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%zu sessions: 1 to %d", s->n, OPS_SEQFIT_SESSIONS_MAX);
    if (s->kinds < 1 || s->kinds > OPS_SEQFIT_KINDS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "%u kinds of line: 1 to %d", s->kinds, OPS_SEQFIT_KINDS_MAX);
    for (size_t i = 0; i < s->n; i++) {
        if (s->lengths[i] < 1 || s->lengths[i] > OPS_SEQFIT_EVENTS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "session %zu has %u lines: 1 to %d", i, s->lengths[i],
                            OPS_SEQFIT_EVENTS_MAX);
        sum += s->lengths[i];
    }
    if (sum != s->id_n)
        return ops_fail(reterr, OPS_EINVAL, "%zu numbers where the sessions have %zu lines", s->id_n, sum);
    for (size_t i = 0; i < s->id_n; i++)
        if (s->ids[i] > s->kinds)
            return ops_fail(reterr, OPS_EINVAL, "line %zu is of kind %u, there are %u", i, s->ids[i],
                            s->kinds);
    return OPS_OK;
}

static int32_t id_of(uint32_t kind, uint32_t kinds)
{
    return kind < kinds ? (int32_t)kind + ID_FIRST : ID_NONE;
}

static void pack(packed *b, const uint32_t *ids, uint32_t n, uint32_t kinds)
{
    const int32_t at = b->seqs == 0 ? 0 : b->starts[b->seqs];
    b->starts[0] = 0;
    for (uint32_t i = 0; i <= n; i++) {
        b->ids[at + (int32_t)i] = i == 0 ? ID_BEGIN : id_of(ids[i - 1], kinds);
        b->target[at + (int32_t)i] = i == n ? ID_END : id_of(ids[i], kinds);
    }
    b->starts[++b->seqs] = at + (int32_t)n + 1;
}

static ops_seqlm_batch view_of(const packed *b)
{
    return (ops_seqlm_batch){b->ids, b->target, b->starts, b->seqs};
}

/* Every eighth session, spread over the time in which they came, goes behind the others. */
static void split(ops_seqfit *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (i % OPS_SEQFIT_HELD_ONE_IN != OPS_SEQFIT_HELD_ONE_IN - 1)
            f->order[f->learnt_n++] = i;
    for (uint32_t i = OPS_SEQFIT_HELD_ONE_IN - 1; i < f->n; i += OPS_SEQFIT_HELD_ONE_IN)
        f->order[f->learnt_n + f->held_n++] = i;
}

static bool copy(ops_seqfit *f, const ops_seqfit_sessions *s)
{
    f->n = s->n;
    f->kinds = s->kinds;
    f->ids = ops_memdup(s->ids, s->id_n * sizeof *f->ids);
    f->lengths = ops_memdup(s->lengths, s->n * sizeof *f->lengths);
    f->at = ops_calloc(s->n, sizeof *f->at);
    f->order = ops_calloc(s->n, sizeof *f->order);
    f->surprise = ops_calloc(s->id_n + s->n, sizeof *f->surprise);
    f->surprise_end = ops_calloc(s->n, sizeof *f->surprise_end);
    if (f->ids == NULL || f->lengths == NULL || f->at == NULL || f->order == NULL || f->surprise == NULL ||
        f->surprise_end == NULL)
        return false;
    for (size_t i = 1; i < s->n; i++)
        f->at[i] = f->at[i - 1] + f->lengths[i - 1];
    split(f);
    return true;
}

ops_status ops_seqfit_new(const ops_seqfit_sessions *s, uint64_t seed, uint32_t steps, ops_seqfit **ret,
                          ops_err *reterr)
{
    ops_status st = check(s, reterr);
    if (st == OPS_OK && (s->n < OPS_SEQFIT_SESSIONS_MIN || steps > OPS_SEQFIT_STEPS_MAX))
        st = ops_fail(reterr, OPS_EINVAL, "%zu sessions to learn in %u steps: at least %d, in at most %d",
                      s->n, steps, OPS_SEQFIT_SESSIONS_MIN, OPS_SEQFIT_STEPS_MAX);
    if (st != OPS_OK)
        return st;
    OPS_AUTO(ops_seqfit_free) ops_seqfit *f = ops_calloc(1, sizeof *f);
    if (f == NULL || !copy(f, s))
        return ops_fail(reterr, OPS_ENOMEM, "learning %zu sessions", s->n);
    f->rng = seed;
    f->steps = steps > 0 ? steps : (uint32_t)(ROUNDS * ((f->learnt_n + BATCH - 1) / BATCH));
    f->next = (uint32_t)f->learnt_n; /* the first step shuffles */
    const ops_seqlm_config c = {
        .kinds = (int)s->kinds + ID_FIRST, .dim = DIM, .heads = HEADS, .layers = LAYERS, .context = CONTEXT};
    st = ops_seqlm_new(&c, seed, &f->model, reterr);
    if (st != OPS_OK)
        return st;
    *ret = OPS_STEAL(f);
    return OPS_OK;
}

void ops_seqfit_free(ops_seqfit *f)
{
    if (f == NULL)
        return;
    ops_seqlm_free(f->model);
    ops_free(f->ids);
    ops_free(f->lengths);
    ops_free(f->at);
    ops_free(f->order);
    ops_free(f->surprise);
    ops_free(f->surprise_end);
    ops_free(f);
}

static void shuffle(ops_seqfit *f)
{
    for (size_t i = f->learnt_n - 1; i > 0; i--) {
        const uint32_t k = draw(&f->rng, (uint32_t)i + 1), t = f->order[i];
        f->order[i] = f->order[k];
        f->order[k] = t;
    }
    f->next = 0;
}

static void put(ops_seqfit *f, size_t nth)
{
    const uint32_t i = f->order[nth];
    pack(&f->batch, f->ids + f->at[i], f->lengths[i], f->kinds);
}

static ops_status train(ops_seqfit *f, ops_err *reterr)
{
    double mean;
    const float left = 1 - (float)f->step / (float)f->steps;
    const ops_seqlm_step how = {.rate = rate * left, .decay = decay, .norm_max = norm_max};
    f->batch.seqs = 0;
    while (f->batch.seqs < BATCH && f->batch.seqs < (int)f->learnt_n) {
        if (f->next == f->learnt_n)
            shuffle(f);
        put(f, f->next++);
    }
    const ops_seqlm_batch b = view_of(&f->batch);
    f->step++;
    f->tokens += (uint64_t)b.starts[b.seqs];
    return ops_seqlm_train(f->model, &b, &how, &mean, reterr);
}

static ops_status measure(ops_seqfit *f, ops_err *reterr)
{
    float surprise[FIT_TOKENS];
    const size_t first = f->measured;
    uint32_t end = first == 0 ? 0 : f->surprise_end[first - 1];
    f->batch.seqs = 0;
    while (f->batch.seqs < BATCH && f->measured < f->held_n)
        put(f, f->learnt_n + f->measured++);
    const ops_seqlm_batch b = view_of(&f->batch);
    const ops_status st = ops_seqlm_score(f->model, &b, surprise, reterr);
    f->tokens += (uint64_t)b.starts[b.seqs];
    for (int s = 0; st == OPS_OK && s < b.seqs; s++) {
        for (int32_t i = b.starts[s]; i < b.starts[s + 1]; i++)
            f->surprise[end++] = (double)surprise[i];
        f->surprise_end[first + (size_t)s] = end;
    }
    return st;
}

/* Of an event drawn blindly, by how often each kind was seen: the entropy of that. */
static double blind(const ops_seqfit *f)
{
    double times[OPS_SEQFIT_KINDS_MAX + 2] = {0}, sum = 0, all = 0;
    for (size_t i = 0; i < f->n; i++) {
        for (uint32_t k = 0; k < f->lengths[i]; k++)
            times[f->ids[f->at[i] + k]]++;
        times[f->kinds + 1]++; /* its end */
        all += f->lengths[i] + 1;
    }
    for (size_t i = 0; i < f->kinds + 2; i++)
        sum -= times[i] > 0 ? times[i] / all * log(times[i] / all) : 0;
    return sum;
}

static double summed(const double *x, size_t n, double allowance)
{
    double sum = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        sum = fmax(0, sum + x[i] - allowance);
        most = fmax(most, sum);
    }
    return most;
}

/* Keeps the greatest, in order. */
static void keep(ops_seqfit *f, double x)
{
    size_t at = f->tail_n;
    if (at == OPS_SEQFIT_TAIL_MAX && x <= f->tail[at - 1])
        return;
    if (at < OPS_SEQFIT_TAIL_MAX)
        f->tail_n++;
    else
        at--;
    for (; at > 0 && f->tail[at - 1] < x; at--)
        f->tail[at] = f->tail[at - 1];
    f->tail[at] = x;
}

static void finish(ops_seqfit *f)
{
    const uint32_t all = f->surprise_end[f->held_n - 1];
    double sum = 0;
    for (uint32_t i = 0; i < all; i++)
        sum += f->surprise[i];
    const double mean = sum / all, at_random = blind(f);
    f->allowance = (mean + fmax(at_random, mean)) / 2;
    for (size_t i = 0; i < f->held_n; i++) {
        const uint32_t from = i == 0 ? 0 : f->surprise_end[i - 1];
        keep(f, summed(f->surprise + from, f->surprise_end[i] - from, f->allowance));
    }
    f->done = true;
}

ops_status ops_seqfit_step(ops_seqfit *f, bool *ret_done, ops_err *reterr)
{
    ops_status st = OPS_OK;
    if (f->step < f->steps)
        st = train(f, reterr);
    else if (f->measured < f->held_n)
        st = measure(f, reterr);
    else if (!f->done)
        finish(f);
    if (st == OPS_OK)
        *ret_done = f->done;
    return st;
}

uint64_t ops_seqfit_tokens(const ops_seqfit *f)
{
    return f->tokens;
}

double ops_seqfit_allowance(const ops_seqfit *f)
{
    return f->allowance;
}

size_t ops_seqfit_tail(const ops_seqfit *f, const double **ret)
{
    *ret = f->tail;
    return f->tail_n;
}

ops_seqlm *ops_seqfit_model(ops_seqfit *f)
{
    return f->model;
}

ops_status ops_seqfit_save(const ops_seqfit *f, ops_strbuf *out, ops_err *reterr)
{
    return ops_seqlm_save(f->model, out, reterr);
}

ops_status ops_seqfit_load(ops_slice file, ops_seqlm **ret, ops_err *reterr)
{
    OPS_AUTO(ops_seqlm_free) ops_seqlm *m = NULL;
    if (file.n > OPS_SEQFIT_MODEL_MAX)
        return ops_fail(reterr, OPS_ETOOBIG, "a sequence model of %zu bytes, at most %d", file.n,
                        OPS_SEQFIT_MODEL_MAX);
    const ops_status st = ops_seqlm_load(file, HEADS, &m, reterr);
    if (st != OPS_OK)
        return st;
    const ops_seqlm_config c = ops_seqlm_get_config(m);
    if (c.dim != DIM || c.layers != LAYERS || c.context != CONTEXT || c.kinds <= ID_FIRST ||
        c.kinds > OPS_SEQFIT_KINDS_MAX + ID_FIRST)
        return ops_fail(reterr, OPS_EINVAL,
                        "a sequence model of %d kinds, dim %d, %d layers, context %d: not one of these",
                        c.kinds, c.dim, c.layers, c.context);
    *ret = OPS_STEAL(m);
    return OPS_OK;
}

uint32_t ops_seqfit_kinds(const ops_seqlm *m)
{
    return (uint32_t)ops_seqlm_get_config(m).kinds - ID_FIRST;
}

void ops_seqfit_hash(ops_slice file, char ret[OPS_SEQFIT_HASH_MAX])
{
    (void)snprintf(ret, OPS_SEQFIT_HASH_MAX, "%016llx%016llx",
                   (unsigned long long)ops_hash64(file.p, file.n, 1),
                   (unsigned long long)ops_hash64(file.p, file.n, 2));
}

/* Sums of floats are not quite 1. */
static float share(double chance)
{
    return (float)fmin(1, fmax(0, chance));
}

/* What was likeliest after `at` ids of the session, and how likely what came was. */
static ops_status expect(ops_seqlm *m, const ops_seqlm_batch *b, int at, uint32_t kinds, ops_seqfit_score *r,
                         ops_err *reterr)
{
    float chance[OPS_SEQFIT_KINDS_MAX + ID_FIRST];
    const ops_status st = ops_seqlm_expect(m, b, at, chance, reterr);
    if (st != OPS_OK)
        return st;
    r->seen = share((double)chance[b->target[at]]);
    for (; r->expected_n < OPS_SEQFIT_EXPECTED_MAX; r->expected_n++) {
        uint32_t best = 0;
        for (uint32_t i = ID_END; i < kinds + ID_FIRST; i++)
            if (i != ID_NONE && (best == 0 || chance[i] > chance[best]))
                best = i;
        r->expected[r->expected_n] = best == ID_END ? kinds + 1 : best - ID_FIRST;
        r->chance[r->expected_n] = share((double)chance[best]);
        chance[best] = -1;
    }
    return OPS_OK;
}

static ops_status score_one(ops_seqlm *m, const ops_seqlm_batch *b, int s, const float *surprise,
                            uint32_t kinds, double allowance, ops_seqfit_score *r, ops_err *reterr)
{
    const int32_t from = b->starts[s], n = b->starts[s + 1] - from;
    double x[CONTEXT];
    *r = (ops_seqfit_score){0};
    for (int32_t i = 0; i < n; i++) {
        x[i] = (double)surprise[from + i];
        if (x[i] > x[r->place])
            r->place = (uint32_t)i;
    }
    r->surprise = summed(x, (size_t)n, allowance);
    if (x[r->place] <= asked_from) {
        r->seen = share(exp(-x[r->place]));
        return OPS_OK;
    }
    return expect(m, b, from + (int32_t)r->place, kinds, r, reterr);
}

ops_status ops_seqfit_score_all(ops_seqlm *m, const ops_seqfit_sessions *s, double allowance,
                                ops_seqfit_score *ret, ops_err *reterr)
{
    float surprise[FIT_TOKENS];
    ops_status st = check(s, reterr);
    if (st == OPS_OK && (s->kinds != ops_seqfit_kinds(m) || !isfinite(allowance)))
        st = ops_fail(reterr, OPS_EINVAL, "%u kinds where the model has %u, allowance %g", s->kinds,
                      ops_seqfit_kinds(m), allowance);
    OPS_AUTO(ops_free) void *block = st == OPS_OK ? ops_malloc(sizeof(packed)) : NULL;
    packed *p = block;
    if (st == OPS_OK && p == NULL)
        st = ops_fail(reterr, OPS_ENOMEM, "scoring %zu sessions", s->n);
    size_t at = 0;
    for (size_t i = 0; st == OPS_OK && i < s->n;) {
        const size_t first = i;
        for (p->seqs = 0; p->seqs < BATCH && i < s->n; at += s->lengths[i++])
            pack(p, s->ids + at, s->lengths[i], s->kinds);
        const ops_seqlm_batch b = view_of(p);
        st = ops_seqlm_score(m, &b, surprise, reterr);
        for (int k = 0; st == OPS_OK && k < b.seqs; k++)
            st = score_one(m, &b, k, surprise, s->kinds, allowance, &ret[first + (size_t)k], reterr);
    }
    return st;
}
