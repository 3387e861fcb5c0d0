/* Hashes that are stable across versions and machines. Not for secrets. */
#ifndef OPS_BASE_HASH_H
#define OPS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 64-bit hash of bytes: 8 bytes a step, multiply and fold of the 128-bit product; little-endian reads on any machine. */
uint64_t ops_hash64(const void *p, size_t n, uint64_t seed);
/* Mixes one integer (a bijection with full avalanche). */
static inline uint64_t ops_hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    return x;
}
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4); start with crc = 0, chain by passing the last result. */
uint32_t ops_crc32c(const void *p, size_t n, uint32_t crc);

#endif
