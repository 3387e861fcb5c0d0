#include "coordinator/analysis/rules/chunk_internal.h"

#include "base/mem/alloc.h"

static void put_bits(rules_chunk *c, uint64_t v, unsigned n)
{
    while (n > 0) {
        unsigned room = 8 - (c->n_bits & 7), take = n < room ? n : room;
        if (take > 8)
            return; /* never: room is at most 8 */
        uint8_t part = (uint8_t)((v >> (n - take)) & (0xFFu >> (8 - take)));
        c->bits[c->n_bits / 8] |= (uint8_t)(part << (room - take));
        c->n_bits += take;
        n -= take;
    }
}

static uint64_t get_bits(const rules_chunk *c, uint32_t *at, unsigned n)
{
    uint64_t v = 0;
    while (n > 0) {
        unsigned room = 8 - (*at & 7), take = n < room ? n : room;
        v = v << take | ((c->bits[*at / 8] >> (room - take)) & (0xFFu >> (8 - take)));
        *at += take;
        n -= take;
    }
    return v;
}

static const struct {
    unsigned bits, head, head_bits;
} spans[] = {{14, 2, 2}, {17, 6, 3}, {20, 14, 4}};

static void put_time(rules_chunk *c, int64_t dod)
{
    if (dod == 0) {
        put_bits(c, 0, 1);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        int64_t half = (int64_t)1 << (spans[i].bits - 1);
        if (dod >= -half && dod < half) {
            put_bits(c, spans[i].head, spans[i].head_bits);
            put_bits(c, (uint64_t)(dod + half), spans[i].bits);
            return;
        }
    }
    put_bits(c, 15, 4);
    put_bits(c, (uint64_t)dod, 64);
}

static int64_t get_time(const rules_chunk *c, uint32_t *at)
{
    unsigned ones = 0;
    while (ones < 4 && get_bits(c, at, 1) == 1)
        ones++;
    if (ones == 0)
        return 0;
    if (ones > 3)
        return (int64_t)get_bits(c, at, 64);
    return (int64_t)get_bits(c, at, spans[ones - 1].bits) - ((int64_t)1 << spans[ones - 1].bits) / 2;
}

static void put_value(rules_chunk *c, uint64_t v)
{
    uint64_t x = v ^ c->last;
    c->last = v;
    put_bits(c, x != 0, 1);
    if (x == 0)
        return;
    unsigned leading = (unsigned)__builtin_clzll(x), trailing = (unsigned)__builtin_ctzll(x);
    leading = leading > 31 ? 31 : leading;
    bool fits = c->leading != 255 && leading >= c->leading && trailing >= c->trailing;
    put_bits(c, !fits, 1);
    if (!fits) {
        c->leading = (uint8_t)leading;
        c->trailing = (uint8_t)trailing;
        put_bits(c, leading, 5);
        put_bits(c, (64 - leading - trailing) & 63, 6); /* 64 is written as 0 */
    }
    put_bits(c, x >> c->trailing, 64u - c->leading - c->trailing);
}

bool rules_chunk_put(rules_chunk *c, int64_t t_ms, double v)
{
    enum { SAMPLE_BYTES_MAX = 20 };
    uint32_t need = c->n_bits / 8 + SAMPLE_BYTES_MAX;
    if (need > c->cap) {
        uint32_t cap = c->cap > 0 ? c->cap * 2 : 32;
        uint8_t *p = ops_realloc(c->bits, cap);
        if (p == NULL)
            return false;
        memset(p + c->cap, 0, cap - c->cap);
        c->bits = p;
        c->cap = cap;
    }
    if (c->n == 0) {
        c->first_ms = t_ms;
        c->leading = 255;
        c->last = 0;
        c->delta_ms = 0;
    } else {
        /* Unsigned: any two times may be far apart, and the sum comes back the same. */
        uint64_t delta = (uint64_t)t_ms - (uint64_t)c->last_ms;
        put_time(c, (int64_t)(delta - (uint64_t)c->delta_ms));
        c->delta_ms = (int64_t)delta;
    }
    put_value(c, ops_rules_bits(v));
    c->last_ms = t_ms;
    c->n++;
    return true;
}

void rules_chunk_get(const rules_chunk *c, ops_rules_sample *ret)
{
    uint32_t at = 0;
    uint64_t t = (uint64_t)c->first_ms, delta = 0, v = 0;
    unsigned leading = 0, trailing = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (i > 0) {
            delta += (uint64_t)get_time(c, &at);
            t += delta;
        }
        if (get_bits(c, &at, 1) == 1) {
            if (get_bits(c, &at, 1) == 1) {
                leading = (unsigned)get_bits(c, &at, 5);
                unsigned len = (unsigned)get_bits(c, &at, 6);
                trailing = 64 - leading - (len > 0 ? len : 64);
            }
            v ^= get_bits(c, &at, 64 - leading - trailing) << trailing;
        }
        ret[i] = (ops_rules_sample){.t_ms = (int64_t)t, .v = ops_rules_of_bits(v)};
    }
}

void rules_chunk_done(rules_chunk *c)
{
    ops_free(c->bits);
    *c = (rules_chunk){0};
}
