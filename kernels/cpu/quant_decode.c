/* Reading of the file formats' blocks: one function that takes a group of 32 apart serves decoding and packing. */
#include <string.h>

#include "kernels/cpu/quant_group_internal.h"
#include "kernels/ref/ref.h"

static const struct {
    int type;
    uint16_t elems, bytes;
    const char *name;
} formats[] = {{OPS_KERN_QUANT_F32, 1, 4, "F32"},       {OPS_KERN_QUANT_F16, 1, 2, "F16"},
               {OPS_KERN_QUANT_BF16, 1, 2, "BF16"},     {OPS_KERN_QUANT_Q4_0, 32, 18, "Q4_0"},
               {OPS_KERN_QUANT_Q4_1, 32, 20, "Q4_1"},   {OPS_KERN_QUANT_Q5_0, 32, 22, "Q5_0"},
               {OPS_KERN_QUANT_Q5_1, 32, 24, "Q5_1"},   {OPS_KERN_QUANT_Q8_0, 32, 34, "Q8_0"},
               {OPS_KERN_QUANT_Q4_K, 256, 144, "Q4_K"}, {OPS_KERN_QUANT_Q5_K, 256, 176, "Q5_K"},
               {OPS_KERN_QUANT_Q6_K, 256, 210, "Q6_K"}};

static int find(int type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].type == type)
            return (int)i;
    return -1;
}

size_t ops_kern_quant_block(int type)
{
    int i = find(type);
    return i < 0 ? 0 : formats[i].elems;
}

size_t ops_kern_quant_bytes(int type, size_t count)
{
    int i = find(type);
    if (i < 0 || count % formats[i].elems != 0)
        return 0;
    size_t blocks = count / formats[i].elems;
    return blocks > SIZE_MAX / formats[i].bytes ? 0 : blocks * formats[i].bytes;
}

const char *ops_kern_quant_name(int type)
{
    int i = find(type);
    return i < 0 ? NULL : formats[i].name;
}

static uint16_t half_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void nibbles(const uint8_t *p, uint8_t q[32])
{
    for (int i = 0; i < 16; i++) {
        q[i] = p[i] & 15;
        q[16 + i] = p[i] >> 4;
    }
}

static void fifth_bits(const uint8_t *p, uint8_t q[32])
{
    for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)(q[i] | (p[i / 8] >> i % 8 & 1) << 4);
}

/* 64 elements share 32 bytes of nibbles: the low ones are the even group, the high ones the odd group. */
static void wide_nibbles(const uint8_t *p, int odd, uint8_t q[32])
{
    for (int i = 0; i < 32; i++)
        q[i] = odd ? p[i] >> 4 : p[i] & 15;
}

/* Eight pairs of 6-bit numbers in 12 bytes: bytes 0-3 and 4-7 hold the first four s and t, their top two bits those of
 * the last four, whose low nibbles are in bytes 8-11. */
static void six_bits(const uint8_t *p, int g, uint8_t *s, uint8_t *t)
{
    if (g < 4) {
        *s = p[g] & 63;
        *t = p[g + 4] & 63;
    } else {
        *s = (uint8_t)((p[g + 4] & 15) | p[g - 4] >> 6 << 4);
        *t = (uint8_t)(p[g + 4] >> 4 | p[g] >> 6 << 4);
    }
}

/* Halves of 128 elements: 64 bytes of nibbles and 32 of bit pairs; group h of four takes nibble h/2 of bytes 32(h%2).. */
static void six_k(const uint8_t *b, int g, quant_group *ret)
{
    const uint8_t *nib = b + g / 4 * 64 + g % 2 * 32, *hi = b + 128 + g / 4 * 32, *sc = b + 192;
    int h = g % 4;
    for (int i = 0; i < 32; i++)
        ret->q[i] = (uint8_t)((h >= 2 ? nib[i] >> 4 : nib[i] & 15) | (hi[i] >> 2 * h & 3) << 4);
    ret->s = sc[2 * g];
    ret->t = sc[2 * g + 1];
    ret->d = half_at(b + 208);
}

void ops_quant_group_read(ops_kern_quant_type type, const uint8_t *b, int g, quant_group *ret)
{
    ret->d = half_at(b);
    ret->m = half_at(b + 2);
    ret->s = ret->t = 0;
    switch (type) {
    case OPS_KERN_QUANT_Q4_0:
        nibbles(b + 2, ret->q);
        return;
    case OPS_KERN_QUANT_Q4_1:
        nibbles(b + 4, ret->q);
        return;
    case OPS_KERN_QUANT_Q5_0:
        nibbles(b + 6, ret->q);
        fifth_bits(b + 2, ret->q);
        return;
    case OPS_KERN_QUANT_Q5_1:
        nibbles(b + 8, ret->q);
        fifth_bits(b + 4, ret->q);
        return;
    case OPS_KERN_QUANT_Q8_0:
        for (int i = 0; i < 32; i++)
            ret->q[i] = b[2 + i] ^ 128;
        return;
    case OPS_KERN_QUANT_Q4_K:
        six_bits(b + 4, g, &ret->s, &ret->t);
        wide_nibbles(b + 16 + g / 2 * 32, g % 2, ret->q);
        return;
    case OPS_KERN_QUANT_Q5_K:
        six_bits(b + 4, g, &ret->s, &ret->t);
        wide_nibbles(b + 48 + g / 2 * 32, g % 2, ret->q);
        for (int i = 0; i < 32; i++)
            ret->q[i] = (uint8_t)(ret->q[i] | (b[16 + i] >> g & 1) << 4);
        return;
    case OPS_KERN_QUANT_Q6_K:
        six_k(b, g, ret);
        return;
    case OPS_KERN_QUANT_F32:
    case OPS_KERN_QUANT_F16:
    case OPS_KERN_QUANT_BF16:
        memset(ret->q, 0, sizeof ret->q); /* they have no groups */
        return;
    }
}

void ops_quant_group_value(ops_kern_quant_type type, const quant_group *v, float ret[32])
{
    quant_format f = quant_format_of(type);
    float d = ops_kern_quant_from_half(v->d), m = ops_kern_quant_from_half(v->m);
    float scale[2] = {d, d}, shift = f.scale == SCALE_DM ? m : 0;
    if (f.scale == SCALE_K) {
        scale[0] = scale[1] = d * v->s;
        shift = -(m * v->t);
    } else if (f.scale == SCALE_K6) {
        scale[0] = d * (float)(int8_t)v->s;
        scale[1] = d * (float)(int8_t)v->t;
    }
    for (int i = 0; i < 32; i++) /* the product is exact: at most 11, 7 and 8 bits */
        ret[i] = scale[i / 16] * (float)(v->q[i] - f.offset) + shift;
}

static void decode_floats(ops_kern_quant_type type, const uint8_t *from, size_t count, float *ret)
{
    if (type == OPS_KERN_QUANT_F32) {
        memcpy(ret, from, count * sizeof *ret);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t h = half_at(from + 2 * i);
        ret[i] = type == OPS_KERN_QUANT_F16 ? ops_kern_quant_from_half(h) : ops_ref_of_bf16(h);
    }
}

void ops_kern_quant_decode(ops_kern_quant_type type, const void *from, size_t count, float *ret)
{
    const uint8_t *p = from;
    size_t elems = ops_kern_quant_block(type), bytes = ops_kern_quant_bytes(type, elems);
    if (elems <= 1) {
        decode_floats(type, p, count, ret);
        return;
    }
    for (size_t at = 0; at < count; at += 32) {
        quant_group g;
        ops_quant_group_read(type, p + at / elems * bytes, (int)(at % elems / 32), &g);
        ops_quant_group_value(type, &g, ret + at);
    }
}
