#include "coordinator/silence/window.h"

#include <ctype.h>
#include <stdio.h>

#include "base/mem/alloc.h"

enum { DAY_S = 86400 };

static const char *const day_names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static int day_of(ops_slice s)
{
    for (int i = 0; i < 7; i++)
        if (ops_slice_eq_nocase(s, ops_slice_str(day_names[i])))
            return i;
    return -1;
}

static bool parse_days(ops_slice s, unsigned *ret)
{
    ops_slice one, last;
    *ret = 0;
    if (ops_slice_eq_nocase(s, OPS_SLICE("daily"))) {
        *ret = 0x7F;
        return true;
    }
    while (ops_slice_split(&s, ',', &one)) {
        (void)ops_slice_split(&one, '-', &last);
        const int from = day_of(last), to = one.p != NULL ? day_of(one) : from;
        if (from < 0 || to < 0)
            return false;
        for (int d = from;; d = (d + 1) % 7) {
            *ret |= 1u << d;
            if (d == to)
                break;
        }
    }
    return *ret != 0;
}

/* "HH:MM", up to 24:00. */
static bool parse_clock(ops_slice s, int32_t *ret)
{
    uint64_t h, m;
    if (s.n != 5 || s.p[2] != ':' || !ops_slice_to_u64(ops_slice_sub(s, 0, 2), &h) ||
        !ops_slice_to_u64(ops_slice_sub(s, 3, 2), &m) || m > 59 || h * 60 + m > 24 * 60)
        return false;
    *ret = (int32_t)(h * 3600 + m * 60);
    return true;
}

static bool parse_span(ops_slice s, int32_t *ret_from, int32_t *ret_to)
{
    ops_slice first;
    (void)ops_slice_split(&s, '-', &first);
    if (s.p == NULL || !parse_clock(first, ret_from) || !parse_clock(s, ret_to) || *ret_from >= DAY_S)
        return false;
    if (*ret_to <= *ret_from)
        *ret_to += DAY_S;
    return true;
}

static bool next_part(ops_slice *rest, ops_slice *ret)
{
    *rest = ops_slice_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    *ret = ops_slice_sub(*rest, 0, n);
    *rest = ops_slice_sub(*rest, n, rest->n);
    return n > 0;
}

static ops_status bad(const ops_window *w, const char *what, ops_slice part, ops_err *reterr)
{
    return ops_fail(reterr, OPS_EINVAL, "window %s: %s expected, not '" OPS_SLICE_FMT "'", w->name, what,
                    OPS_SLICE_ARG(part));
}

static ops_status take_name(ops_window *w, ops_slice part, ops_err *reterr)
{
    bool ok = part.n > 0 && part.n < sizeof w->name;
    for (size_t i = 0; ok && i < part.n; i++)
        ok = isalnum((unsigned char)part.p[i]) || (part.p[i] != '\0' && strchr("._-", part.p[i]) != NULL);
    if (!ok)
        return ops_fail(reterr, OPS_EINVAL,
                        "a window begins with its name of 1 to %d letters, digits, '.', '_' or '-'",
                        OPS_WINDOW_NAME_MAX - 1);
    memcpy(w->name, part.p, part.n);
    return OPS_OK;
}

static ops_status take_matchers(ops_window *w, ops_slice rest, ops_err *reterr)
{
    ops_slice part, all[OPS_MATCHERS_MAX];
    while (next_part(&rest, &part)) {
        if (w->text_count == OPS_MATCHERS_MAX)
            return ops_fail(reterr, OPS_EINVAL, "more than %d matchers", OPS_MATCHERS_MAX);
        all[w->text_count] = part;
        if ((w->texts[w->text_count] = ops_strndup(part.p, part.n)) == NULL)
            return ops_fail(reterr, OPS_ENOMEM, "matchers");
        w->text_count++;
    }
    return ops_matchers_new(all, w->text_count, &w->matchers, reterr);
}

static ops_status parse(ops_slice rest, int64_t now_s, ops_window *w, ops_err *reterr)
{
    ops_slice part;
    (void)next_part(&rest, &part);
    ops_status st = take_name(w, part, reterr);
    if (st == OPS_OK && (!next_part(&rest, &part) || !parse_days(part, &w->days)))
        st = bad(w, "days as sat,sun or mon-fri or daily", part, reterr);
    if (st == OPS_OK && (!next_part(&rest, &part) || !parse_span(part, &w->from_s, &w->to_s)))
        st = bad(w, "a time as 02:00-04:30", part, reterr);
    if (st != OPS_OK)
        return st;
    (void)next_part(&rest, &part);
    st = ops_zone_new(part, now_s, &w->zone, reterr);
    if (st == OPS_OK)
        st = take_matchers(w, rest, reterr);
    if (st != OPS_OK)
        ops_err_prefix(reterr, "window %s", w->name);
    return st;
}

ops_status ops_window_parse(ops_slice line, int64_t now_s, ops_window *ret, ops_err *reterr)
{
    ops_window w = {.days = 0};
    if (line.n >= sizeof w.line)
        return ops_fail(reterr, OPS_EINVAL, "a window of %zu bytes, at most %zu", line.n, sizeof w.line - 1);
    if (line.n > 0)
        memcpy(w.line, line.p, line.n);
    ops_status st = parse(line, now_s, &w, reterr);
    if (st == OPS_OK)
        *ret = w;
    else
        ops_window_done(&w);
    return st;
}

void ops_window_done(ops_window *w)
{
    ops_zone_free(w->zone);
    ops_matchers_free(w->matchers);
    for (size_t i = 0; i < w->text_count; i++)
        ops_free(w->texts[i]);
    *w = (ops_window){.days = 0};
}

static int64_t floor_day(int64_t s)
{
    return s >= 0 ? s / DAY_S : -((-s + DAY_S - 1) / DAY_S);
}

void ops_window_next(const ops_window *w, int64_t now_s, int64_t *ret_from_s, int64_t *ret_to_s)
{
    const int64_t today = floor_day(now_s + ops_zone_offset(w->zone, now_s));
    *ret_from_s = *ret_to_s = INT64_MAX;
    /* One that began yesterday may last until today; a week and a day from now each day of the week has come. */
    for (int64_t day = today - 1; day <= today + 8; day++) {
        const unsigned weekday = (unsigned)(((day + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
        if ((w->days & (1u << weekday)) == 0)
            continue;
        const int64_t from = ops_zone_unix(w->zone, day, w->from_s);
        const int64_t to = ops_zone_unix(w->zone, day + w->to_s / DAY_S, w->to_s % DAY_S);
        if (to > now_s && to > from) {
            *ret_from_s = from;
            *ret_to_s = to;
            return;
        }
    }
}
