/* Borrowed bytes: pointer and length, never NUL-terminated by promise, never owned. A NULL slice reads as empty. */
#ifndef OPS_BASE_SLICE_H
#define OPS_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct ops_slice {
    const char *p;
    size_t n;
} ops_slice;

#define OPS_SLICE(lit) ((ops_slice){(lit), sizeof(lit) - 1})
/* printf("%" OPS_SLICE_FMT, OPS_SLICE_ARG(s)) is spelled with the % inside: printf(OPS_SLICE_FMT, ...) */
#define OPS_SLICE_FMT    "%.*s"
#define OPS_SLICE_ARG(s) ((s).n > INT32_MAX ? INT32_MAX : (int)(s).n), ((s).p != NULL ? (s).p : "")

static inline ops_slice ops_slice_of(const void *p, size_t n)
{
    return (ops_slice){(const char *)p, n};
}
static inline ops_slice ops_slice_str(const char *s)
{
    return (ops_slice){s, s != NULL ? strlen(s) : 0};
}
static inline bool ops_slice_eq(ops_slice a, ops_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool ops_slice_eq_nocase(ops_slice a, ops_slice b); /* ASCII case */
int ops_slice_cmp(ops_slice a, ops_slice b);        /* bytewise, shorter first */
static inline bool ops_slice_starts(ops_slice s, ops_slice head)
{
    return s.n >= head.n && (head.n == 0 || memcmp(s.p, head.p, head.n) == 0);
}
static inline bool ops_slice_ends(ops_slice s, ops_slice tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
}
ptrdiff_t ops_slice_find(ops_slice s, ops_slice needle); /* first position, -1 when absent */
ptrdiff_t ops_slice_find_char(ops_slice s, char c);
ops_slice ops_slice_trim(ops_slice s);                       /* ASCII blanks off both ends */
ops_slice ops_slice_sub(ops_slice s, size_t from, size_t n); /* clipped to what is there */
/* Cuts the next part off *rest at `c`; false when *rest was used up (rest->p == NULL). "a,,b" gives "a", "", "b". */
bool ops_slice_split(ops_slice *rest, char c, ops_slice *ret_part);
/* Whole slice must be the number; false on overflow, blanks or anything left over. */
bool ops_slice_to_u64(ops_slice s, uint64_t *ret);
bool ops_slice_to_i64(ops_slice s, int64_t *ret);
bool ops_slice_to_f64(ops_slice s, double *ret); /* decimal or exponent, C locale; at most 63 bytes */

#endif
