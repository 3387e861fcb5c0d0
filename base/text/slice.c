/* Slices: comparison, search, numbers. */
#include "base/text/slice.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

bool ops_slice_eq_nocase(ops_slice a, ops_slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

int ops_slice_cmp(ops_slice a, ops_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

ptrdiff_t ops_slice_find(ops_slice s, ops_slice needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at != NULL ? at - s.p : -1;
}

ptrdiff_t ops_slice_find_char(ops_slice s, char c)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return at != NULL ? at - s.p : -1;
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

ops_slice ops_slice_trim(ops_slice s)
{
    while (s.n > 0 && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

ops_slice ops_slice_sub(ops_slice s, size_t from, size_t n)
{
    if (from >= s.n)
        return (ops_slice){s.p != NULL ? s.p + s.n : NULL, 0};
    size_t left = s.n - from;
    return (ops_slice){s.p + from, n < left ? n : left};
}

bool ops_slice_split(ops_slice *rest, char c, ops_slice *ret_part)
{
    if (rest->p == NULL)
        return false;
    ptrdiff_t at = ops_slice_find_char(*rest, c);
    if (at < 0) {
        *ret_part = *rest;
        *rest = (ops_slice){NULL, 0};
        return true;
    }
    *ret_part = (ops_slice){rest->p, (size_t)at};
    rest->p += at + 1;
    rest->n -= (size_t)at + 1;
    return true;
}

bool ops_slice_to_u64(ops_slice s, uint64_t *ret)
{
    if (s.n == 0)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t d = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *ret = v;
    return true;
}

bool ops_slice_to_i64(ops_slice s, int64_t *ret)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (!ops_slice_to_u64(negative ? ops_slice_sub(s, 1, s.n) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool ops_slice_to_f64(ops_slice s, double *ret)
{
    char buf[64];
    if (s.n == 0 || s.n >= sizeof buf || blank(s.p[0]))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (strchr("0123456789+-.eE", s.p[i]) == NULL || s.p[i] == '\0')
            return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    char *end;
    errno = 0;
    double v = strtod(buf, &end);
    if (end != buf + s.n)
        return false;
    *ret = v;
    return true;
}
