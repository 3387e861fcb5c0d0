/* Stamps at the head of a line. All readers are anchored, bounded and take no locale. */
#include "base/time/rfc3339.h"
#include "coordinator/ingest/line_internal.h"

#define SEC INT64_C(1000000000)

typedef struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second;
    int64_t nanos;
} civil;

static bool digits(ops_slice s, size_t at, size_t n, unsigned *ret)
{
    unsigned v = 0;

    if (at + n > s.n)
        return false;
    for (size_t i = at; i < at + n; i++) {
        if (!line_digit(s.p[i]))
            return false;
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    *ret = v;
    return true;
}

static bool at_char(ops_slice s, size_t at, char ch)
{
    return at < s.n && s.p[at] == ch;
}

static unsigned month_days(int64_t year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool civil_ns(const civil *c, int64_t zone_s, int64_t *ret)
{
    if (c->year < 1970 || c->year > 2200 || c->month < 1 || c->month > 12 || c->day < 1 ||
        c->day > month_days(c->year, c->month) || c->hour > 23 || c->minute > 59 || c->second > 60)
        return false;
    const int64_t s = ops_days_from_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600 +
                      c->minute * 60 + (c->second == 60 ? 59 : c->second);
    *ret = (s - zone_s) * SEC + c->nanos;
    return true;
}

/* HH:MM:SS and an optional fraction after '.' or ','. */
static bool clock_at(ops_slice s, size_t *at, civil *c)
{
    const size_t i = *at;

    if (!digits(s, i, 2, &c->hour) || !at_char(s, i + 2, ':') || !digits(s, i + 3, 2, &c->minute) ||
        !at_char(s, i + 5, ':') || !digits(s, i + 6, 2, &c->second))
        return false;
    size_t end = i + 8;
    c->nanos = 0;
    if (end + 1 < s.n && (s.p[end] == '.' || s.p[end] == ',') && line_digit(s.p[end + 1])) {
        int64_t unit = SEC;
        for (end++; end < s.n && line_digit(s.p[end]); end++) {
            unit /= 10;
            c->nanos += unit * (s.p[end] - '0');
        }
    }
    *at = end;
    return true;
}

/* Z, +hh:mm, +hhmm, +hh, or one of these or UTC/GMT after a blank; else the configured zone. */
static int64_t zone_at(const ops_line_ctx *ctx, ops_slice s, size_t *at)
{
    size_t i = *at;
    unsigned hours, minutes = 0;

    if (at_char(s, i, 'Z') || at_char(s, i, 'z')) {
        *at = i + 1;
        return 0;
    }
    if (at_char(s, i, ' '))
        i++;
    const ops_slice word = ops_slice_sub(s, i, 3);
    if (i > *at && (ops_slice_eq(word, OPS_SLICE("UTC")) || ops_slice_eq(word, OPS_SLICE("GMT")))) {
        *at = i + 3;
        return 0;
    }
    if (!(at_char(s, i, '+') || at_char(s, i, '-')) || !digits(s, i + 1, 2, &hours) || hours > 14)
        return ctx->zone_offset_s;
    const size_t colon = at_char(s, i + 3, ':') ? 1 : 0;
    size_t end = i + 3;
    if (digits(s, i + 3 + colon, 2, &minutes) && minutes < 60)
        end = i + 5 + colon;
    else if (i > *at || colon > 0) /* " -12 ..." is text, not a zone */
        return ctx->zone_offset_s;
    const int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *at = end;
    return s.p[i] == '-' ? -offset : offset;
}

bool line_stamp_iso(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    unsigned year;

    if (s->n < 19 || !digits(*s, 0, 4, &year) || (s->p[4] != '-' && s->p[4] != '/') ||
        !digits(*s, 5, 2, &c.month) || s->p[7] != s->p[4] || !digits(*s, 8, 2, &c.day) ||
        (s->p[10] != 'T' && s->p[10] != ' ' && s->p[10] != 't'))
        return false;
    size_t at = 11;
    c.year = year;
    if (!clock_at(*s, &at, &c))
        return false;
    const int64_t zone = zone_at(ctx, *s, &at);
    if (!civil_ns(&c, zone, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

bool line_stamp_short(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    unsigned year;
    size_t at = 9;

    if (s->n < 17 || !digits(*s, 0, 2, &year) || s->p[2] != '/' || !digits(*s, 3, 2, &c.month) ||
        s->p[5] != '/' || !digits(*s, 6, 2, &c.day) || s->p[8] != ' ' || !clock_at(*s, &at, &c))
        return false;
    c.year = 2000 + (int64_t)year;
    if (!civil_ns(&c, ctx->zone_offset_s, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

static bool month_name(ops_slice s, size_t at, unsigned *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    if (at + 3 > s.n)
        return false;
    for (unsigned m = 0; m < 12; m++) {
        if (memcmp(names + m * 3, s.p + at, 3) == 0) {
            *ret = m + 1;
            return true;
        }
    }
    return false;
}

/* The year around receive time that brings the stamp closest to it; a 29 February takes the nearest leap year. */
static bool infer_year(const ops_line_ctx *ctx, civil *c, int64_t *ret_ns)
{
    int64_t year, best = -1;
    unsigned month, day;

    ops_civil_from_days((ctx->recv_ns / SEC + ctx->zone_offset_s) / 86400, &year, &month, &day);
    for (int64_t y = year - 4; y <= year + 1; y++) {
        int64_t ns;
        c->year = y;
        if (!civil_ns(c, ctx->zone_offset_s, &ns))
            continue;
        const int64_t away = ns > ctx->recv_ns ? ns - ctx->recv_ns : ctx->recv_ns - ns;
        if (best < 0 || away < best) {
            best = away;
            *ret_ns = ns;
        }
    }
    return best >= 0;
}

bool line_stamp_bsd(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    size_t at = 7;

    if (s->n < 15 || !month_name(*s, 0, &c.month) || s->p[3] != ' ' || s->p[6] != ' ')
        return false;
    if (s->p[4] == ' ' ? !digits(*s, 5, 1, &c.day) : !digits(*s, 4, 2, &c.day))
        return false;
    if (!clock_at(*s, &at, &c) || !infer_year(ctx, &c, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

bool line_stamp_klog(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    size_t at = 5;

    if (s->n < 13 || !digits(*s, 0, 2, &c.month) || !digits(*s, 2, 2, &c.day) || s->p[4] != ' ' ||
        !clock_at(*s, &at, &c) || !infer_year(ctx, &c, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

bool line_stamp_clf(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    unsigned year;
    size_t at = 12;

    if (s->n < 20 || !digits(*s, 0, 2, &c.day) || s->p[2] != '/' || !month_name(*s, 3, &c.month) ||
        s->p[6] != '/' || !digits(*s, 7, 4, &year) || s->p[11] != ':' || !clock_at(*s, &at, &c))
        return false;
    c.year = year;
    const int64_t zone = zone_at(ctx, *s, &at);
    if (!civil_ns(&c, zone, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

bool line_stamp_redis(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    civil c;
    unsigned year;
    size_t at = 12;

    if (s->n < 20 || !digits(*s, 0, 2, &c.day) || s->p[2] != ' ' || !month_name(*s, 3, &c.month) ||
        s->p[6] != ' ' || !digits(*s, 7, 4, &year) || s->p[11] != ' ' || !clock_at(*s, &at, &c))
        return false;
    c.year = year;
    if (!civil_ns(&c, ctx->zone_offset_s, ret_ns))
        return false;
    line_skip(s, at);
    return true;
}

bool line_stamp_ctime(const ops_line_ctx *ctx, ops_slice *s, int64_t *ret_ns)
{
    static const char days[] = "MonTueWedThuFriSatSun";
    civil c;
    unsigned year;
    size_t at = 11;
    bool day = false;

    if (s->n < 24 || s->p[3] != ' ' || !month_name(*s, 4, &c.month) || s->p[7] != ' ' || s->p[10] != ' ')
        return false;
    for (unsigned d = 0; d < 7; d++)
        day |= memcmp(days + d * 3, s->p, 3) == 0;
    if (!day || (s->p[8] == ' ' ? !digits(*s, 9, 1, &c.day) : !digits(*s, 8, 2, &c.day)) ||
        !clock_at(*s, &at, &c) || !at_char(*s, at, ' ') || !digits(*s, at + 1, 4, &year))
        return false;
    c.year = year;
    if (!civil_ns(&c, ctx->zone_offset_s, ret_ns))
        return false;
    line_skip(s, at + 5);
    return true;
}

bool line_epoch(double v, int64_t *ret_ns)
{
    /* Seconds until 2200 stay below 1e10, milliseconds below 1e13, microseconds below 1e16. */
    const int64_t unit = v < 1e10 ? SEC : v < 1e13 ? 1000000 : v < 1e16 ? 1000 : 1;

    if (!(v >= 1e8) || v * (double)unit >= 9.2e18)
        return false;
    const int64_t whole = (int64_t)v;
    *ret_ns = whole * unit + (int64_t)((v - (double)whole) * (double)unit + 0.5);
    return true;
}
