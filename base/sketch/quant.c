/* Quantiles: see quant.h.
 *
 * A positive v is in bin i when gamma^(i-1) < v <= gamma^i. The bin of a collapsed sketch follows from the finest bin
 * alone, ceil(i / 2^level), so that sketches of different levels meet exactly. Keys put all numbers in one order:
 * i + KEY_ZERO above zero, its negative below, 0 for zero. */
#include "base/sketch/quant.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum {
    KEY_ZERO = 1 << 17,
    INDEX_MAX = 40000, /* above any |i| of a double: ln(2^1074) / LN_GAMMA = 37,225 */
    LEVEL_MAX = 14,    /* all doubles in at most 13 bins */
    SCALE_MAX = 40     /* 2^32 a bin, 64 bins, 2^64 in all */
};
/* ln((1 + a) / (1 - a)) for a = 0.01 */
#define LN_GAMMA 0.020000666706669543

static int32_t *keys_of(const ops_quant *q)
{
    return q->mem;
}

static uint32_t *counts_of(const ops_quant *q)
{
    return q->mem == NULL ? NULL : (uint32_t *)(keys_of(q) + q->cap);
}

void ops_quant_init(ops_quant *q)
{
    *q = (ops_quant){0};
}

void ops_quant_done(ops_quant *q)
{
    ops_free(q->mem);
    *q = (ops_quant){0};
}

/* `by` levels coarser; arithmetic shift, so that it rounds up on either side of 1. */
static int32_t coarser(int32_t key, unsigned by)
{
    if (key == 0 || by == 0)
        return key;
    int32_t i = (key > 0 ? key : -key) - KEY_ZERO;
    i = (i + (1 << by) - 1) >> by;
    return key > 0 ? i + KEY_ZERO : -(i + KEY_ZERO);
}

static int32_t key_of(double v)
{
    if (v == 0)
        return 0;
    double x = log(fabs(v)) * (1 / LN_GAMMA);
    int32_t i = (int32_t)x; /* towards zero */
    i += x > i ? 1 : 0;
    return v > 0 ? i + KEY_ZERO : -(i + KEY_ZERO);
}

static double value_of(int32_t key, unsigned level)
{
    if (key == 0)
        return 0;
    double ln = ldexp(LN_GAMMA, (int)level);
    int32_t i = (key > 0 ? key : -key) - KEY_ZERO;
    double v = exp((i - 1) * ln) * (1 + tanh(ln / 2));
    return key > 0 ? v : -v;
}

double ops_quant_error(const ops_quant *q)
{
    return tanh(ldexp(LN_GAMMA, q->level) / 2);
}

/* First place whose key is not below `key`. Most sketches have no gaps above their first bins, so that the place follows
 * from the last key. */
static size_t place(const ops_quant *q, int32_t key)
{
    const int32_t *keys = keys_of(q);
    size_t lo = 0, hi = q->bins;
    if (hi == 0)
        return 0;
    int64_t guess = (int64_t)hi - 1 - ((int64_t)keys[hi - 1] - key);
    if (guess >= 0 && guess < (int64_t)hi && keys[guess] == key)
        return (size_t)guess;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (keys[mid] < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void rescale(ops_quant *q)
{
    uint32_t *counts = counts_of(q);
    for (size_t i = 0; i < q->bins; i++)
        counts[i] -= counts[i] / 2; /* rounds up: a bin never vanishes */
    q->scale++;
}

static void collapse(ops_quant *q)
{
    int32_t *keys = keys_of(q);
    uint32_t *counts = counts_of(q);
    size_t n = 0;
    for (size_t i = 0; i < q->bins; i++)
        while (counts[i] > UINT32_MAX / 2)
            rescale(q); /* so that two fit in one */
    for (size_t i = 0; i < q->bins; i++) {
        int32_t key = coarser(keys[i], 1);
        if (n > 0 && keys[n - 1] == key) {
            counts[n - 1] += counts[i];
        } else {
            keys[n] = key;
            counts[n++] = counts[i];
        }
    }
    q->bins = (uint8_t)n;
    q->level++;
}

static ops_status grow(ops_quant *q)
{
    uint8_t cap = q->cap == 0 ? 4 : (uint8_t)(2 * q->cap);
    int32_t *mem = ops_malloc((size_t)cap * (sizeof(int32_t) + sizeof(uint32_t)));
    if (mem == NULL)
        return OPS_ENOMEM;
    if (q->bins > 0) {
        memcpy(mem, keys_of(q), q->bins * sizeof *mem);
        memcpy(mem + cap, counts_of(q), q->bins * sizeof *mem);
    }
    ops_free(q->mem);
    q->mem = mem;
    q->cap = cap;
    return OPS_OK;
}

/* Adds to the bin of a key of level `level`. */
static ops_status add_key(ops_quant *q, int32_t key, unsigned level, uint64_t weight)
{
    int32_t k;
    size_t at;
    for (;;) {
        k = coarser(key, q->level - level);
        at = place(q, k);
        if (at < q->bins && keys_of(q)[at] == k)
            break;
        if (q->bins < q->cap || q->cap < OPS_QUANT_BINS_MAX)
            break;
        collapse(q);
    }
    bool known = at < q->bins && keys_of(q)[at] == k;
    if (!known && q->bins == q->cap && grow(q) != OPS_OK)
        return OPS_ENOMEM;
    int32_t *keys = keys_of(q);
    uint32_t *counts = counts_of(q);
    uint64_t sum = q->carry > UINT64_MAX - weight ? UINT64_MAX : q->carry + weight, units;
    while ((units = sum >> q->scale) > UINT32_MAX - (known ? counts[at] : 0))
        rescale(q);
    if (!known && units == 0)
        units = 1; /* a value seen has a bin; the weight of one unit is below what halving rounds away */
    if (!known) {
        memmove(keys + at + 1, keys + at, (q->bins - at) * sizeof *keys);
        memmove(counts + at + 1, counts + at, (q->bins - at) * sizeof *counts);
        keys[at] = k;
        counts[at] = 0;
        q->bins++;
    }
    counts[at] += (uint32_t)units;
    q->carry = sum & ((UINT64_C(1) << q->scale) - 1);
    return OPS_OK;
}

static void widen(ops_quant *q, double min, double max, uint64_t weight)
{
    if (q->total == 0 || min < q->min)
        q->min = min;
    if (q->total == 0 || max > q->max)
        q->max = max;
    q->total = q->total > UINT64_MAX - weight ? UINT64_MAX : q->total + weight;
}

ops_status ops_quant_add(ops_quant *q, double v, uint64_t weight)
{
    if (!isfinite(v) || weight == 0)
        return OPS_EINVAL;
    ops_status st = add_key(q, key_of(v), 0, weight);
    if (st == OPS_OK)
        widen(q, v, v, weight);
    return st;
}

ops_status ops_quant_merge(ops_quant *q, const ops_quant *from)
{
    while (q->level < from->level)
        collapse(q);
    for (size_t i = 0; i < from->bins; i++) {
        uint64_t count = counts_of(from)[i];
        count = count > UINT64_MAX >> from->scale ? UINT64_MAX : count << from->scale;
        if (add_key(q, keys_of(from)[i], from->level, count) != OPS_OK)
            return OPS_ENOMEM;
    }
    if (from->total > 0)
        widen(q, from->min, from->max, from->total);
    return OPS_OK;
}

double ops_quant_at(const ops_quant *q, double p)
{
    if (q->bins == 0)
        return NAN;
    if (p <= 0)
        return q->min;
    if (p >= 1)
        return q->max;
    const uint32_t *counts = counts_of(q);
    uint64_t sum = 0, below = 0;
    for (size_t i = 0; i < q->bins; i++)
        sum += counts[i];
    uint64_t rank = (uint64_t)floor(p * (double)(sum - 1));
    size_t i = 0;
    while (i + 1 < q->bins && (below += counts[i]) <= rank)
        i++;
    double v = value_of(keys_of(q)[i], q->level);
    return v < q->min ? q->min : v > q->max ? q->max : v;
}

size_t ops_quant_bytes(const ops_quant *q)
{
    return (size_t)q->cap * (sizeof(int32_t) + sizeof(uint32_t));
}

static void put_double(ops_strbuf *out, double v)
{
    uint64_t bits;
    uint8_t be[8];
    memcpy(&bits, &v, sizeof bits);
    ops_put_be64(be, bits);
    ops_strbuf_put(out, be, sizeof be);
}

static double get_double(const uint8_t *p)
{
    uint64_t bits = ops_get_be64(p);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void put_varint(ops_strbuf *out, uint64_t v)
{
    uint8_t b[OPS_VARINT_BYTES_MAX];
    ops_strbuf_put(out, b, ops_varint_put(b, v));
}

void ops_quant_save(const ops_quant *q, ops_strbuf *out)
{
    ops_strbuf_char(out, (char)q->bins);
    if (q->bins == 0)
        return;
    ops_strbuf_char(out, (char)q->level);
    ops_strbuf_char(out, (char)q->scale);
    put_varint(out, q->total);
    put_varint(out, q->carry);
    put_double(out, q->min);
    put_double(out, q->max);
    int64_t last = 0;
    for (size_t i = 0; i < q->bins; i++) {
        put_varint(out, ops_zigzag(keys_of(q)[i] - last));
        put_varint(out, counts_of(q)[i]);
        last = keys_of(q)[i];
    }
}

static bool key_fits(int64_t key, unsigned level)
{
    int64_t i = (key < 0 ? -key : key) - KEY_ZERO, most = (INDEX_MAX >> level) + 1;
    return key == 0 || (i >= -most && i <= most);
}

static ops_status load_bins(ops_quant *q, size_t bins, const uint8_t **p, const uint8_t *end)
{
    int64_t key = 0;
    for (size_t i = 0; i < bins; i++) {
        uint64_t step, count;
        if (!ops_varint_get(p, end, &step) || !ops_varint_get(p, end, &count) || count == 0 ||
            count > UINT32_MAX || step > UINT32_MAX)
            return OPS_ECORRUPT;
        key += ops_unzigzag(step);
        if (!key_fits(key, q->level) || (i > 0 && key <= keys_of(q)[i - 1]))
            return OPS_ECORRUPT;
        if (q->bins == q->cap && grow(q) != OPS_OK)
            return OPS_ENOMEM;
        keys_of(q)[i] = (int32_t)key;
        counts_of(q)[i] = (uint32_t)count;
        q->bins++;
    }
    return OPS_OK;
}

static ops_status load_head(ops_quant *q, const uint8_t **p, const uint8_t *end)
{
    if (end - *p < 2 || (*p)[0] > LEVEL_MAX || (*p)[1] > SCALE_MAX)
        return OPS_ECORRUPT;
    q->level = (*p)[0];
    q->scale = (*p)[1];
    *p += 2;
    if (!ops_varint_get(p, end, &q->total) || q->total == 0 || !ops_varint_get(p, end, &q->carry) ||
        q->carry >> q->scale != 0 || end - *p < 16)
        return OPS_ECORRUPT;
    q->min = get_double(*p);
    q->max = get_double(*p + 8);
    *p += 16;
    return isfinite(q->min) && isfinite(q->max) && q->min <= q->max ? OPS_OK : OPS_ECORRUPT;
}

ops_status ops_quant_load(ops_quant *q, ops_slice *rest)
{
    if (rest->n < 1 || (uint8_t)rest->p[0] > OPS_QUANT_BINS_MAX)
        return OPS_ECORRUPT;
    size_t bins = (uint8_t)rest->p[0];
    const uint8_t *p = (const uint8_t *)rest->p + 1, *end = (const uint8_t *)rest->p + rest->n;
    ops_quant got = {0};
    ops_status st = bins == 0 ? OPS_OK : load_head(&got, &p, end);
    if (st == OPS_OK)
        st = load_bins(&got, bins, &p, end);
    if (st != OPS_OK) {
        ops_quant_done(&got);
        return st;
    }
    *q = got;
    *rest = ops_slice_of(p, (size_t)(end - p));
    return OPS_OK;
}
