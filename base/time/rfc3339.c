/* Calendar arithmetic on eras of 400 years (146,097 days), with March as first month so that leap days come last. */
#include "base/time/rfc3339.h"

#include <stdio.h>

int64_t ops_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (int64_t)day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

void ops_civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *ret_day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = yoe + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

/* Reads exactly n digits at s[*at]. */
static bool digits(ops_slice s, size_t *at, size_t n, unsigned *ret)
{
    if (*at + n > s.n)
        return false;
    unsigned v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[*at + i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (unsigned)(c - '0');
    }
    *at += n;
    *ret = v;
    return true;
}

static bool literal(ops_slice s, size_t *at, char c)
{
    if (*at >= s.n || s.p[*at] != c)
        return false;
    (*at)++;
    return true;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool fraction(ops_slice s, size_t *at, int64_t *ret_ns)
{
    int64_t ns = 0, scale = 100000000;
    size_t from = *at;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++, scale /= 10)
        ns += (s.p[*at] - '0') * scale;
    *ret_ns = ns;
    return *at > from;
}

static bool offset(ops_slice s, size_t *at, int64_t *ret_s)
{
    if (*at < s.n && (s.p[*at] == 'Z' || s.p[*at] == 'z')) {
        (*at)++;
        *ret_s = 0;
        return true;
    }
    unsigned h, m;
    bool minus = *at < s.n && s.p[*at] == '-';
    if (!minus && !(*at < s.n && s.p[*at] == '+'))
        return false;
    (*at)++;
    if (!digits(s, at, 2, &h) || !literal(s, at, ':') || !digits(s, at, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_s = (int64_t)(h * 3600 + m * 60) * (minus ? -1 : 1);
    return true;
}

bool ops_rfc3339_parse(ops_slice s, int64_t *ret_ns)
{
    size_t at = 0;
    unsigned year, month, day, h, m, sec;
    int64_t frac = 0, off;
    if (!digits(s, &at, 4, &year) || !literal(s, &at, '-') || !digits(s, &at, 2, &month) ||
        !literal(s, &at, '-') || !digits(s, &at, 2, &day))
        return false;
    if (at >= s.n || (s.p[at] != 'T' && s.p[at] != 't' && s.p[at] != ' '))
        return false;
    at++;
    if (!digits(s, &at, 2, &h) || !literal(s, &at, ':') || !digits(s, &at, 2, &m) || !literal(s, &at, ':') ||
        !digits(s, &at, 2, &sec))
        return false;
    if (year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
        h > 23 || m > 59 || sec > 60)
        return false;
    if (literal(s, &at, '.') && !fraction(s, &at, &frac))
        return false;
    if (!offset(s, &at, &off) || at != s.n)
        return false;
    int64_t t =
        ops_days_from_civil(year, month, day) * 86400 + h * 3600 + m * 60 + (sec == 60 ? 59 : sec) - off;
    *ret_ns = t * 1000000000 + frac;
    return true;
}

char *ops_rfc3339_format(int64_t ns, int fraction_digits, char *buf)
{
    int64_t s = ns / 1000000000, frac = ns % 1000000000;
    if (frac < 0) {
        frac += 1000000000;
        s--;
    }
    int64_t days = s / 86400, rest = s % 86400, year;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    unsigned month, day;
    ops_civil_from_days(days, &year, &month, &day);
    int n = snprintf(buf, OPS_RFC3339_BYTES, "%04d-%02u-%02uT%02d:%02d:%02d", (int)year, month, day,
                     (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    size_t at = (size_t)n;
    if (fraction_digits == 3)
        at += (size_t)snprintf(buf + at, OPS_RFC3339_BYTES - at, ".%03d", (int)(frac / 1000000));
    else if (fraction_digits == 6)
        at += (size_t)snprintf(buf + at, OPS_RFC3339_BYTES - at, ".%06d", (int)(frac / 1000));
    else if (fraction_digits == 9)
        at += (size_t)snprintf(buf + at, OPS_RFC3339_BYTES - at, ".%09d", (int)frac);
    (void)snprintf(buf + at, OPS_RFC3339_BYTES - at, "Z");
    return buf;
}
