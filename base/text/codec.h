/* Integers as bytes: big-endian for keys (their order is the numbers' order), LEB128 varints for values, hex for people. */
#ifndef OPS_BASE_CODEC_H
#define OPS_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void ops_put_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}
static inline void ops_put_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
static inline void ops_put_be64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}
static inline uint16_t ops_get_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t ops_get_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t ops_get_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the codecs assume a little-endian machine");

enum { OPS_VARINT_BYTES_MAX = 10 };
/* Writes v (at most 10 bytes), returns how many. */
static inline size_t ops_varint_put(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}
/* Reads at *p, never past `end`; false when cut short or longer than 64 bits (then *p is untouched). */
static inline bool ops_varint_get(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    const uint8_t *q = *p;
    for (unsigned shift = 0; shift < 64 && q < end; shift += 7) {
        uint8_t b = *q++;
        if (shift == 63 && b > 1)
            return false;
        v |= (uint64_t)(b & 0x7F) << shift;
        if ((b & 0x80) == 0) {
            *p = q;
            *ret = v;
            return true;
        }
    }
    return false;
}
static inline uint64_t ops_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t ops_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
/* Lower-case hex; `out` takes 2 * n + 1 bytes, NUL included. */
void ops_hex_put(char *out, const void *p, size_t n);
/* Exactly 2 * n hex digits from `s`; false on any other character or length. */
bool ops_hex_get(const char *s, size_t s_len, void *out, size_t n);

#endif
