/* Distinct counts: see hll.h. */
#include "base/sketch/hll.h"

#include <math.h>

#include "base/mem/alloc.h"
#include "base/text/codec.h"

enum { INDEX_BITS = 8, VALUE_BITS = 64 - INDEX_BITS, RANK_MAX = VALUE_BITS + 1, DENSE_MARK = 255 };
enum { PACKED_BYTES = OPS_HLL_REGISTERS * 6 / 8 };

void ops_hll_init(ops_hll *h)
{
    *h = (ops_hll){0};
}

void ops_hll_done(ops_hll *h)
{
    ops_free(h->mem);
    *h = (ops_hll){0};
}

/* The register is the top byte; the rank is the place of the first one among the rest. */
static void put_register(uint8_t *regs, uint64_t hash)
{
    uint64_t rest = hash << INDEX_BITS;
    uint8_t rank = rest == 0 ? RANK_MAX : (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *r = &regs[hash >> VALUE_BITS];
    if (rank > *r)
        *r = rank;
}

static ops_status make_dense(ops_hll *h)
{
    uint8_t *regs = ops_calloc(1, OPS_HLL_REGISTERS);
    if (regs == NULL)
        return OPS_ENOMEM;
    const uint64_t *list = h->mem;
    for (size_t i = 0; i < h->n; i++)
        put_register(regs, list[i]);
    ops_free(h->mem);
    *h = (ops_hll){.mem = regs, .dense = true};
    return OPS_OK;
}

static ops_status list_add(ops_hll *h, uint64_t hash)
{
    uint64_t *list = h->mem;
    for (size_t i = 0; i < h->n; i++)
        if (list[i] == hash)
            return OPS_OK;
    if (h->n == h->cap) {
        if (h->cap == OPS_HLL_LIST_MAX) {
            if (make_dense(h) != OPS_OK)
                return OPS_ENOMEM;
            put_register(h->mem, hash);
            return OPS_OK;
        }
        uint8_t cap = h->cap == 0 ? 4 : (uint8_t)(2 * h->cap);
        list = ops_realloc(h->mem, cap * sizeof *list);
        if (list == NULL)
            return OPS_ENOMEM;
        h->mem = list;
        h->cap = cap;
    }
    list[h->n++] = hash;
    return OPS_OK;
}

ops_status ops_hll_add(ops_hll *h, uint64_t hash)
{
    if (!h->dense)
        return list_add(h, hash);
    put_register(h->mem, hash);
    return OPS_OK;
}

ops_status ops_hll_merge(ops_hll *h, const ops_hll *from)
{
    if (!from->dense) {
        const uint64_t *list = from->mem;
        for (size_t i = 0; i < from->n; i++)
            if (ops_hll_add(h, list[i]) != OPS_OK)
                return OPS_ENOMEM;
        return OPS_OK;
    }
    if (!h->dense && make_dense(h) != OPS_OK)
        return OPS_ENOMEM;
    uint8_t *a = h->mem;
    const uint8_t *b = from->mem;
    for (size_t i = 0; i < OPS_HLL_REGISTERS; i++)
        if (b[i] > a[i])
            a[i] = b[i];
    return OPS_OK;
}

/* Ertl 2017, algorithm 6: sigma for the empty registers, tau for the saturated ones. Both series settle in a few dozen
 * steps; the bound is for the compiler's peace. */
static double sigma(double x)
{
    double y = 1, z = x;
    if (x >= 1)
        return INFINITY;
    for (int i = 0; i < 200; i++) {
        x *= x;
        double next = z + x * y;
        if (next <= z)
            break;
        z = next;
        y += y;
    }
    return z;
}

static double tau(double x)
{
    double y = 1, z = 1 - x;
    if (x <= 0 || x >= 1)
        return 0;
    for (int i = 0; i < 200; i++) {
        x = sqrt(x);
        y *= 0.5;
        double next = z - (1 - x) * (1 - x) * y;
        if (next >= z)
            break;
        z = next;
    }
    return z / 3;
}

uint64_t ops_hll_count(const ops_hll *h)
{
    if (!h->dense)
        return h->n;
    double m = OPS_HLL_REGISTERS;
    unsigned histogram[RANK_MAX + 1] = {0};
    const uint8_t *regs = h->mem;
    for (size_t i = 0; i < OPS_HLL_REGISTERS; i++)
        histogram[regs[i]]++;
    double z = m * tau(1 - histogram[RANK_MAX] / m);
    for (int k = VALUE_BITS; k >= 1; k--)
        z = 0.5 * (z + histogram[k]);
    z += m * sigma(histogram[0] / m);
    double estimate = m * m / (2 * log(2) * z);
    return estimate >= 0x1p63 ? UINT64_MAX / 2 : (uint64_t)llround(estimate);
}

size_t ops_hll_bytes(const ops_hll *h)
{
    return h->dense ? OPS_HLL_REGISTERS : h->cap * sizeof(uint64_t);
}

void ops_hll_save(const ops_hll *h, ops_strbuf *out)
{
    if (!h->dense) {
        ops_strbuf_char(out, (char)h->n);
        for (size_t i = 0; i < h->n; i++) {
            uint8_t be[8];
            ops_put_be64(be, ((const uint64_t *)h->mem)[i]);
            ops_strbuf_put(out, be, sizeof be);
        }
        return;
    }
    ops_strbuf_char(out, (char)DENSE_MARK);
    const uint8_t *r = h->mem;
    for (size_t i = 0; i < OPS_HLL_REGISTERS; i += 4, r += 4) {
        uint32_t v = (uint32_t)r[0] << 18 | (uint32_t)r[1] << 12 | (uint32_t)r[2] << 6 | r[3];
        uint8_t three[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        ops_strbuf_put(out, three, sizeof three);
    }
}

static ops_status load_dense(ops_hll *h, const uint8_t *p)
{
    uint8_t regs[OPS_HLL_REGISTERS];
    for (size_t i = 0; i < OPS_HLL_REGISTERS; i += 4, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        for (size_t k = 0; k < 4; k++)
            regs[i + k] = v >> (18 - 6 * k) & 63;
    }
    for (size_t i = 0; i < OPS_HLL_REGISTERS; i++)
        if (regs[i] > RANK_MAX)
            return OPS_ECORRUPT;
    void *mem = ops_memdup(regs, sizeof regs);
    if (mem == NULL)
        return OPS_ENOMEM;
    *h = (ops_hll){.mem = mem, .dense = true};
    return OPS_OK;
}

ops_status ops_hll_load(ops_hll *h, ops_slice *rest)
{
    if (rest->n < 1)
        return OPS_ECORRUPT;
    uint8_t n = (uint8_t)rest->p[0];
    size_t bytes = 1 + (n == DENSE_MARK ? (size_t)PACKED_BYTES : n * sizeof(uint64_t));
    if ((n > OPS_HLL_LIST_MAX && n != DENSE_MARK) || rest->n < bytes)
        return OPS_ECORRUPT;
    ops_hll got = {0};
    ops_status st = n == DENSE_MARK ? load_dense(&got, (const uint8_t *)rest->p + 1) : OPS_OK;
    for (size_t i = 0; n != DENSE_MARK && i < n && st == OPS_OK; i++)
        st = list_add(&got, ops_get_be64(rest->p + 1 + 8 * i));
    if (st == OPS_OK && !got.dense && got.n != n)
        st = OPS_ECORRUPT; /* a hash twice */
    if (st != OPS_OK) {
        ops_hll_done(&got);
        return st;
    }
    *h = got;
    *rest = ops_slice_sub(*rest, bytes, rest->n - bytes);
    return OPS_OK;
}
