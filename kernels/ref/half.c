#include <string.h>

#include "kernels/ref/ref.h"

static uint32_t bits(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static float of_bits(uint32_t b)
{
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

/* b >> by, to the nearest, ties to even. */
static uint32_t shift_even(uint32_t b, int by)
{
    const uint32_t half = (1U << (by - 1)) - 1 + ((b >> by) & 1U);
    return (b + half) >> by;
}

uint16_t ops_ref_to_f16(float v)
{
    const uint32_t b = bits(v), sign = (b >> 16) & 0x8000U, mag = b & 0x7fffffffU;
    if (mag > 0x7f800000U)
        return (uint16_t)(sign | 0x7e00U); /* not a number */
    if (mag >= 0x477ff000U)
        return (uint16_t)(sign | 0x7c00U); /* 65520 and more round to infinity */
    if (mag < 0x33000000U)
        return (uint16_t)sign; /* below half of the least */
    if (mag >= 0x38800000U)
        return (uint16_t)(sign | shift_even(mag - 0x38000000U, 13));
    const int exponent = (int)(mag >> 23); /* subnormal: the leading one is written out and shifted down */
    return (uint16_t)(sign | shift_even((mag & 0x7fffffU) | 0x800000U, 126 - exponent));
}

float ops_ref_of_f16(uint16_t v)
{
    const uint32_t sign = (uint32_t)(v & 0x8000U) << 16, mag = v & 0x7fffU;
    if (mag >= 0x7c00U)
        return of_bits(sign | 0x7f800000U | (mag & 0x3ffU) << 13);
    if (mag >= 0x400U)
        return of_bits(sign | ((mag << 13) + 0x38000000U));
    const float small = (float)mag * 0x1p-24f;
    return sign != 0 ? -small : small;
}

uint16_t ops_ref_to_bf16(float v)
{
    const uint32_t b = bits(v);
    if ((b & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)(b >> 16 | 0x40U);
    return (uint16_t)shift_even(b, 16);
}

float ops_ref_of_bf16(uint16_t v)
{
    return of_bits((uint32_t)v << 16);
}
