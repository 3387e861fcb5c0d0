/* Numbers and durations. */
#include "coordinator/analysis/template/value_internal.h"

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Reads digits[.digits] or .digits off the front; *ret_n is what it took. Up to 15 digits the division is exact (both
 * numbers are doubles, and one rounding follows); beyond, the last places do not matter to a statistic. */
static bool plain(ops_slice v, double *ret, size_t *ret_n)
{
    double m = 0;
    size_t i = 0, digits = 0, after = 0;
    for (; i < v.n && ops_value_digit(v.p[i]); i++, digits++)
        m = m * 10 + (v.p[i] - '0');
    if (i + 1 < v.n && v.p[i] == '.' && ops_value_digit(v.p[i + 1])) {
        for (i++; i < v.n && ops_value_digit(v.p[i]); i++) {
            digits++;
            if (after + 1 < sizeof powers / sizeof *powers) {
                m = m * 10 + (v.p[i] - '0');
                after++;
            }
        }
    }
    *ret = m / powers[after];
    *ret_n = i;
    return digits > 0;
}

/* 1,234,567 with anything after it that `plain` takes as a fraction. */
static bool grouped(ops_slice v, double *ret)
{
    double m = 0;
    size_t run = 0, i = 0, groups = 0;
    for (; i < v.n && (ops_value_digit(v.p[i]) || v.p[i] == ','); i++) {
        if (v.p[i] == ',') {
            if (run == 0 || run > 3 || (groups > 0 && run != 3))
                return false;
            groups++;
            run = 0;
            continue;
        }
        m = m * 10 + (v.p[i] - '0');
        run++;
    }
    if (groups == 0 || run != 3)
        return false;
    double part = 0;
    size_t n = 0;
    if (i < v.n && (v.p[i] != '.' || !plain(ops_slice_sub(v, i, v.n - i), &part, &n) || i + n != v.n))
        return false;
    *ret = m + part;
    return true;
}

/* e[+-]digits, at most 3 of them, up to the end. */
static bool exponent(ops_slice v, int *ret)
{
    size_t i = 1;
    int e = 0, sign = 1;
    if (v.n < 2 || (v.p[0] != 'e' && v.p[0] != 'E'))
        return false;
    if (v.p[1] == '-' || v.p[1] == '+') {
        sign = v.p[1] == '-' ? -1 : 1;
        i++;
    }
    if (i == v.n || v.n - i > 3)
        return false;
    for (; i < v.n; i++) {
        if (!ops_value_digit(v.p[i]))
            return false;
        e = e * 10 + (v.p[i] - '0');
    }
    *ret = sign * e;
    return true;
}

static double scaled(double m, int e)
{
    for (; e >= 22; e -= 22)
        m *= 1e22;
    for (; e <= -22; e += 22)
        m /= 1e22;
    return e >= 0 ? m * powers[e] : m / powers[-e];
}

bool ops_value_number(ops_slice v, double *ret)
{
    double sign = 1, m;
    size_t n;
    int e = 0;
    if (v.n > 64)
        return false;
    if (v.p[0] == '-' || v.p[0] == '+') {
        sign = v.p[0] == '-' ? -1 : 1;
        v = ops_slice_sub(v, 1, v.n - 1);
    }
    if (v.n > 1 && v.p[v.n - 1] == '%')
        v.n--;
    if (!plain(v, &m, &n))
        return false;
    if (n < v.n && v.p[n] == ',') {
        if (!grouped(v, &m))
            return false;
    } else if (n < v.n) {
        if (!exponent(ops_slice_sub(v, n, v.n - n), &e))
            return false;
        m = scaled(m, e);
        if (m - m != 0)
            return false; /* past what a double holds */
    }
    *ret = sign * m;
    return true;
}

typedef struct unit {
    ops_slice name;
    double seconds;
} unit;

/* Longest first among those with a common head is not needed: a unit must end where its letters end. */
static const unit units[] = {
    {{"ms", 2}, 1e-3},     {{"s", 1}, 1},          {{"us", 2}, 1e-6},        {{"ns", 2}, 1e-9},
    {{"m", 1}, 60},        {{"h", 1}, 3600},       {{"sec", 3}, 1},          {{"secs", 4}, 1},
    {{"second", 6}, 1},    {{"seconds", 7}, 1},    {{"min", 3}, 60},         {{"mins", 4}, 60},
    {{"minute", 6}, 60},   {{"minutes", 7}, 60},   {{"hour", 4}, 3600},      {{"hours", 5}, 3600},
    {{"hr", 2}, 3600},     {{"hrs", 3}, 3600},     {{"d", 1}, 86400},        {{"day", 3}, 86400},
    {{"days", 4}, 86400},  {{"msec", 4}, 1e-3},    {{"msecs", 5}, 1e-3},     {{"usec", 4}, 1e-6},
    {{"nsec", 4}, 1e-9},   {{"millis", 6}, 1e-3},  {{"\xC2\xB5s", 3}, 1e-6}, {{"\xCE\xBCs", 3}, 1e-6},
    {{"week", 4}, 604800}, {{"weeks", 5}, 604800},
};

static double unit_seconds(ops_slice name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ops_slice_eq(name, units[i].name))
            return units[i].seconds;
    return 0;
}

/* P[nY][nM][nW][nD][T[nH][nM][nS]]; a year is 365 days and a month 30. */
static bool iso_duration(ops_slice v, double *ret)
{
    static const char date_units[] = "YMWD", time_units[] = "HMS";
    static const double date_s[] = {31536000, 2592000, 604800, 86400}, time_s[] = {3600, 60, 1};
    double sum = 0;
    size_t next = 0, parts = 0;
    bool in_time = false;
    for (size_t i = 1; i < v.n;) {
        if (v.p[i] == 'T' && !in_time) {
            in_time = true;
            next = parts = 0;
            i++;
            continue;
        }
        double m;
        size_t n;
        if (!plain(ops_slice_sub(v, i, v.n - i), &m, &n) || i + n >= v.n)
            return false;
        const char *set = in_time ? time_units : date_units;
        const char *at = strchr(set + next, v.p[i + n]);
        if (at == NULL || *at == '\0')
            return false;
        next = (size_t)(at - set) + 1;
        sum += m * (in_time ? time_s[at - set] : date_s[at - set]);
        i += n + 1;
        parts++;
    }
    *ret = sum;
    return parts > 0;
}

bool ops_value_duration(ops_slice v, double *ret_seconds)
{
    double sign = 1, sum = 0;
    if (v.n < 2 || v.n > 64)
        return false;
    if (v.p[0] == '-' || v.p[0] == '+') {
        sign = v.p[0] == '-' ? -1 : 1;
        v = ops_slice_sub(v, 1, v.n - 1);
    }
    if (v.p[0] == 'P') {
        if (!iso_duration(v, &sum))
            return false;
        *ret_seconds = sign * sum;
        return true;
    }
    for (size_t i = 0; i < v.n;) {
        double m;
        size_t n;
        if (!plain(ops_slice_sub(v, i, v.n - i), &m, &n))
            return false;
        i += n;
        i += i < v.n && v.p[i] == ' ' ? 1u : 0u;
        size_t from = i;
        while (i < v.n && !ops_value_digit(v.p[i]) && v.p[i] != '.' && v.p[i] != ' ')
            i++;
        double s = unit_seconds(ops_slice_sub(v, from, i - from));
        if (s <= 0)
            return false;
        sum += m * s;
        i += i + 1 < v.n && v.p[i] == ' ' ? 1u : 0u;
    }
    *ret_seconds = sign * sum;
    return true;
}
