#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

float ops_kern_quant_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) { /* zero and subnormals: fraction * 2^-24, exact in f32 */
        float v = (float)fraction * 0x1p-24f;
        return sign ? -v : v;
    }
    uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

uint16_t ops_kern_quant_to_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    if (bits >= 0x477ff000) /* 65520: from here on the nearest is infinity */
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* below 2^-14: units of 2^-24; adding 2^23 units rounds to them */
        float units = fabsf(value) * 0x1p24f + 0x1p23f;
        memcpy(&bits, &units, sizeof bits);
        return (uint16_t)(sign | (bits & 0x7ff));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits >> 13) - (112 << 10)));
}

uint16_t ops_ref_to_bf16(float v)
{
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    if ((b & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)(b >> 16 | 0x40U);
    return (uint16_t)((b + 0x7fffU + (b >> 16 & 1U)) >> 16);
}

float ops_ref_of_bf16(uint16_t v)
{
    const uint32_t b = (uint32_t)v << 16;
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}
