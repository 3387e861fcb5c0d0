/* limitk and limit_ratio: some of the elements of each group.
 *
 * Which ones a ratio takes is decided by a hash of the labels, so that the same series stay. It is XXH64 over each name and value with
 * its length before it, as Prometheus' default build hashes its labels: both take the same series. */
#include <math.h>

#include "coordinator/analysis/rules/aggregate_internal.h"

#define P1 0x9E3779B185EBCA87ull
#define P2 0xC2B2AE3D27D4EB4Full
#define P3 0x165667B19E3779F9ull
#define P4 0x85EBCA77C2B2AE63ull
#define P5 0x27D4EB2F165667C5ull

static uint64_t turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t little(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static uint64_t lane(uint64_t acc, uint64_t x)
{
    return turn(acc + x * P2, 31) * P1;
}

/* XXH64 (Y. Collet, "xxHash fast digest algorithm", specification 0.1.1) with seed 0. */
static uint64_t xxh64(const uint8_t *p, size_t n)
{
    const uint8_t *end = p + n;
    uint64_t h = P5;
    if (n >= 32) {
        uint64_t v[4] = {P1 + P2, P2, 0, 0 - P1};
        for (; end - p >= 32; p += 32)
            for (size_t i = 0; i < 4; i++)
                v[i] = lane(v[i], little(p + 8 * i, 8));
        h = turn(v[0], 1) + turn(v[1], 7) + turn(v[2], 12) + turn(v[3], 18);
        for (size_t i = 0; i < 4; i++)
            h = (h ^ lane(0, v[i])) * P1 + P4;
    }
    h += n;
    for (; end - p >= 8; p += 8)
        h = turn(h ^ lane(0, little(p, 8)), 27) * P1 + P4;
    if (end - p >= 4) {
        h = turn(h ^ little(p, 4) * P1, 23) * P2 + P3;
        p += 4;
    }
    for (; p < end; p++)
        h = turn(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

static uint8_t *put(uint8_t *p, ops_slice s)
{
    if (s.n < 255) {
        *p++ = (uint8_t)s.n;
    } else {
        *p++ = 255;
        for (int i = 0; i < 3; i++)
            *p++ = (uint8_t)(s.n >> (8 * i));
    }
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

/* Where in [0, 1] the series stands; false: no memory. */
static bool place(rules_eval *e, const ops_rules_labels *l, double *ret)
{
    size_t most = 0;
    for (size_t i = 0; i < l->n; i++)
        most += l->v[i].name.n + l->v[i].value.n + 8;
    uint8_t *p = ops_arena_alloc(e->a, most + 1), *at = p;
    if (p == NULL)
        return false;
    for (size_t i = 0; i < l->n; i++)
        at = put(put(at, l->v[i].name), l->v[i].value);
    *ret = (double)xxh64(p, (size_t)(at - p)) / (double)UINT64_MAX;
    return true;
}

static ops_status ratio(rules_eval *e, const rules_node *n, const rules_value *v, double p, rules_value *ret)
{
    if (isnan(p))
        return RULES_FAIL(e, n, OPS_EINVAL, "limit_ratio of a ratio that is no number");
    for (size_t i = 0; i < v->n; i++) {
        double at = 0;
        if (!place(e, v->v[i].labels, &at))
            return rules_no_memory(e, n);
        /* A negative ratio takes what its complement leaves. */
        if (p >= 0 ? at < p || p >= 1 : at >= 1 + p)
            ret->v[ret->n++] = v->v[i];
    }
    return OPS_OK;
}

ops_status rules_agg_limit(rules_eval *e, const rules_node *n, const rules_value *v, const rules_group *g,
                           size_t groups, double p, rules_value *ret)
{
    ops_status st = rules_vector(e, n, v->n, ret);
    if (st == OPS_OK && n->agg == AGG_LIMIT_RATIO)
        return ratio(e, n, v, p, ret);
    if (st == OPS_OK)
        st = rules_agg_check_k(e, n, p);
    for (size_t i = 0; st == OPS_OK && i < groups; i++)
        for (size_t k = 0; k < g[i].n && (double)(k + 1) <= p; k++)
            ret->v[ret->n++] = v->v[g[i].from + k];
    return st;
}
