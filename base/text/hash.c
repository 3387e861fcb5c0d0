/* Hashing; CRC-32C uses the SSE4.2 instruction where the machine has it. */
#include "base/text/hash.h"

#include <string.h>

static inline uint64_t load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t fold128(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 r = (u128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t ops_hash64(const void *data, size_t n, uint64_t seed)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15ull);
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8)
        h = fold128(h ^ load64(p) ^ 0xa0761d6478bd642full, 0xe7037ed1a0b428dbull);
    uint64_t tail = 0;
    for (size_t i = 0; i < left; i++)
        tail |= (uint64_t)p[i] << (8 * i);
    h = fold128(h ^ tail ^ 0x8ebc6af09c88c6e3ull, 0x589965cc75374cc3ull);
    return ops_hash_mix(h);
}

static uint32_t crc_bit(uint32_t crc, unsigned char byte)
{
    crc ^= byte;
    for (int k = 0; k < 8; k++)
        crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
    return crc;
}

static uint32_t crc_plain(const unsigned char *p, size_t n, uint32_t crc)
{
    for (size_t i = 0; i < n; i++)
        crc = crc_bit(crc, p[i]);
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(const unsigned char *p, size_t n, uint32_t crc)
{
    uint64_t c = crc;
    for (; n >= 8; n -= 8, p += 8)
        c = __builtin_ia32_crc32di(c, load64(p));
    uint32_t c32 = (uint32_t)c;
    for (; n > 0; n--, p++)
        c32 = __builtin_ia32_crc32qi(c32, *p);
    return c32;
}
#endif

uint32_t ops_crc32c(const void *p, size_t n, uint32_t crc)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse42(p, n, crc);
#endif
    return ~crc_plain(p, n, crc);
}
