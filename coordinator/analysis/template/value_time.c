/* Dates and times of day. */
#include "coordinator/analysis/template/value_internal.h"

typedef struct cursor {
    const char *p, *end;
} cursor;

/* `least` to `most` digits, no more behind them; -1 when there are none such. */
static int digits(cursor *c, size_t least, size_t most)
{
    int v = 0;
    size_t n = 0;
    const char *p = c->p;
    for (; p < c->end && ops_value_digit(*p) && n < most; p++, n++)
        v = v * 10 + (*p - '0');
    if (n < least || (p < c->end && ops_value_digit(*p)))
        return -1;
    c->p = p;
    return v;
}

static bool literal(cursor *c, char x)
{
    if (c->p == c->end || *c->p != x)
        return false;
    c->p++;
    return true;
}

static bool month_name(cursor *c)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (c->end - c->p < 3)
        return false;
    for (size_t i = 0; i < sizeof names - 1; i += 3) {
        if (memcmp(c->p, names + i, 3) == 0) {
            c->p += 3;
            return true;
        }
    }
    return false;
}

static bool within(int v, int least, int most)
{
    return v >= least && v <= most;
}

/* 2024-05-06, 2024/05/06 */
static bool date_year_first(cursor *c)
{
    cursor t = *c;
    if (!within(digits(&t, 4, 4), 1000, 9999) || t.p == t.end || (*t.p != '-' && *t.p != '/'))
        return false;
    char sep = *t.p++;
    if (!within(digits(&t, 2, 2), 1, 12) || !literal(&t, sep) || !within(digits(&t, 2, 2), 1, 31))
        return false;
    *c = t;
    return true;
}

/* 06/05/2024 (either order), 06/May/2024, 6-May-2024 */
static bool date_year_last(cursor *c)
{
    cursor t = *c;
    int a = digits(&t, 1, 2);
    if (!within(a, 1, 31) || t.p == t.end || (*t.p != '/' && *t.p != '-'))
        return false;
    char sep = *t.p++;
    if (!month_name(&t)) {
        int b = digits(&t, 1, 2);
        if (sep != '/' || !within(b, 1, 31) || (a > 12 && b > 12))
            return false;
    }
    if (!literal(&t, sep) || !within(digits(&t, 4, 4), 1000, 9999))
        return false;
    *c = t;
    return true;
}

/* Jun 14 15:16:01: the date; the time must follow. */
static bool date_syslog(cursor *c)
{
    cursor t = *c;
    if (!month_name(&t) || !literal(&t, ' '))
        return false;
    (void)literal(&t, ' ');
    if (!within(digits(&t, 1, 2), 1, 31))
        return false;
    *c = t;
    return true;
}

/* hh:mm[:ss[.fraction]]; one digit of hours only with seconds. */
static bool time_of_day(cursor *c)
{
    cursor t = *c;
    const char *from = t.p;
    int h = digits(&t, 1, 2);
    size_t hours = (size_t)(t.p - from);
    if (!within(h, 0, 24) || !literal(&t, ':') || !within(digits(&t, 2, 2), 0, 59))
        return false;
    bool seconds = literal(&t, ':');
    if (seconds && !within(digits(&t, 2, 2), 0, 60))
        return false;
    if (!seconds && hours != 2)
        return false;
    if (seconds && t.p < t.end && (*t.p == '.' || *t.p == ',')) {
        t.p++;
        if (digits(&t, 1, 9) < 0)
            return false;
    }
    *c = t;
    return true;
}

/* Z, +01:00, -0700, UTC, GMT, after one blank or none. */
static bool zone(cursor *c)
{
    cursor t = *c;
    (void)literal(&t, ' ');
    if (t.end - t.p == 3 && (memcmp(t.p, "UTC", 3) == 0 || memcmp(t.p, "GMT", 3) == 0)) {
        t.p += 3;
    } else if (!literal(&t, 'Z')) {
        if (!literal(&t, '+') && !literal(&t, '-'))
            return false;
        int v = digits(&t, 2, 4);
        if (v < 0 || (literal(&t, ':') && !within(digits(&t, 2, 2), 0, 59)))
            return false;
    }
    *c = t;
    return true;
}

bool ops_value_time(ops_slice v, bool *ret_date_only)
{
    cursor c = {v.p, v.p + v.n};
    if (v.n < 5 || v.n > 40)
        return false;
    bool syslog = false, date = date_year_first(&c) || date_year_last(&c) || (syslog = date_syslog(&c));
    if (date && c.p == c.end && !syslog) {
        *ret_date_only = true;
        return true;
    }
    if (date && !literal(&c, 'T') && !literal(&c, ' ') && !literal(&c, ':') && !literal(&c, '_'))
        return false;
    if (!time_of_day(&c))
        return false;
    (void)zone(&c);
    if (c.p != c.end)
        return false;
    *ret_date_only = false;
    return true;
}
