/* Numbers for people: what Prometheus' template reference says of humanize and its kin; printf. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "coordinator/analysis/rules/humanize_internal.h"
#include "coordinator/analysis/rules/query.h"

static ops_status keep(ops_strbuf *b, ops_arena *a, rules_text *ret, ops_err *reterr)
{
    ops_slice s = ops_arena_dup(a, ops_strbuf_get(b));
    bool bad = b->failed || s.p == NULL;
    ops_strbuf_done(b);
    if (bad)
        return ops_fail(reterr, OPS_ETOOBIG, "template: its text is too long");
    *ret = (rules_text){.s = s};
    return OPS_OK;
}

static ops_status number(const rules_text *v, size_t n, const char *fn, bool dry, double *ret,
                         ops_err *reterr)
{
    if (n != 1)
        return ops_fail(reterr, OPS_EINVAL, "template: %s takes one value", fn);
    *ret = v->num;
    if (v->is_num || ops_slice_to_f64(v->s, ret) || dry)
        return OPS_OK;
    return ops_fail(reterr, OPS_EINVAL, "template: %s of '" OPS_SLICE_FMT "', which is no number", fn,
                    OPS_SLICE_ARG(ops_slice_sub(v->s, 0, 64)));
}

/* %.4g as Go has it: the exponent has at least two digits, as C's. */
static void four(double v, const char *prefix, ops_strbuf *b)
{
    if (isnan(v) || isinf(v))
        ops_rules_number(v, true, b);
    else
        ops_strbuf_printf(b, "%.4g", v);
    ops_strbuf_str(b, prefix);
}

static ops_status humanize(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                           ops_err *reterr)
{
    static const char *const big[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    static const char *const small[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    double x = 0;
    const char *prefix = "";
    ops_status st = number(v, n, "humanize", dry, &x, reterr);
    ops_strbuf b;
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 256);
    if (x != 0 && isfinite(x) && fabs(x) >= 1)
        for (size_t i = 0; i < 8 && fabs(x) >= 1000; i++) {
            prefix = big[i];
            x /= 1000;
        }
    else if (x != 0 && isfinite(x))
        for (size_t i = 0; i < 8 && fabs(x) < 1; i++) {
            prefix = small[i];
            x *= 1000;
        }
    four(x, prefix, &b);
    return keep(&b, a, ret, reterr);
}

static ops_status humanize1024(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                               ops_err *reterr)
{
    static const char *const big[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};
    double x = 0;
    const char *prefix = "";
    ops_status st = number(v, n, "humanize1024", dry, &x, reterr);
    ops_strbuf b;
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 256);
    for (size_t i = 0; i < 8 && isfinite(x) && fabs(x) >= 1024; i++) {
        prefix = big[i];
        x /= 1024;
    }
    four(x, prefix, &b);
    return keep(&b, a, ret, reterr);
}

static void duration(double x, ops_strbuf *b)
{
    if (isnan(x) || isinf(x) || x == 0) {
        four(x, x == 0 ? "s" : "", b);
        return;
    }
    if (fabs(x) >= 1 && fabs(x) < 9e15) {
        int64_t s = (int64_t)fabs(x), d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;
        const char *sign = x < 0 ? "-" : "";
        if (d != 0)
            ops_strbuf_printf(b, "%s%lldd %lldh %lldm %llds", sign, (long long)d, (long long)h, (long long)m,
                              (long long)(s % 60));
        else if (h != 0)
            ops_strbuf_printf(b, "%s%lldh %lldm %llds", sign, (long long)h, (long long)m,
                              (long long)(s % 60));
        else if (m != 0)
            ops_strbuf_printf(b, "%s%lldm %llds", sign, (long long)m, (long long)(s % 60));
        else
            four(x, "s", b);
        return;
    }
    const char *prefix = "";
    static const char *const small[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    for (size_t i = 0; i < 8 && fabs(x) < 1; i++) {
        prefix = small[i];
        x *= 1000;
    }
    four(x, prefix, b);
    ops_strbuf_char(b, 's');
}

static ops_status humanize_duration(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                                    ops_err *reterr)
{
    double x = 0;
    ops_status st = number(v, n, "humanizeDuration", dry, &x, reterr);
    ops_strbuf b;
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 256);
    duration(x, &b);
    return keep(&b, a, ret, reterr);
}

static ops_status humanize_percentage(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                                      ops_err *reterr)
{
    double x = 0;
    ops_status st = number(v, n, "humanizePercentage", dry, &x, reterr);
    ops_strbuf b;
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 256);
    four(x * 100, "%", &b);
    return keep(&b, a, ret, reterr);
}

static ops_status humanize_timestamp(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                                     ops_err *reterr)
{
    double x = 0;
    struct tm tm;
    char text[64];
    ops_status st = number(v, n, "humanizeTimestamp", dry, &x, reterr);
    ops_strbuf b;
    if (st != OPS_OK)
        return st;
    ops_strbuf_init(&b, 256);
    if (!(fabs(x) < 1e12)) {
        four(x, "", &b);
        return keep(&b, a, ret, reterr);
    }
    int64_t ms = llround(x * 1000), s = ms / 1000 - (ms % 1000 < 0);
    time_t t = (time_t)s;
    if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        text[0] = '\0';
    ops_strbuf_str(&b, text);
    if (ms != s * 1000) { /* Go prints the fraction without trailing zeros */
        char frac[8];
        int len = snprintf(frac, sizeof frac, ".%03d", (int)((ms - s * 1000) % 1000));
        while (len > 0 && frac[len - 1] == '0')
            frac[--len] = '\0';
        ops_strbuf_str(&b, frac);
    }
    ops_strbuf_str(&b, " +0000 UTC");
    return keep(&b, a, ret, reterr);
}

static ops_status letters(const rules_text *v, size_t n, ops_arena *a, int how, const char *fn,
                          rules_text *ret, ops_err *reterr)
{
    ops_strbuf b;
    bool start = true;
    if (n != 1 || v->is_num)
        return ops_fail(reterr, OPS_EINVAL, "template: %s takes one text", fn);
    ops_strbuf_init(&b, OPS_RULES_TEMPLATE_BYTES_MAX);
    for (size_t i = 0; i < v->s.n; i++) {
        char c = v->s.p[i];
        bool up = how > 0 || (how == 0 && start), down = how < 0;
        start = c == ' ' || c == '\t' || c == '\n';
        if (up && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (down && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        ops_strbuf_char(&b, c);
    }
    return keep(&b, a, ret, reterr);
}
static ops_status to_upper(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                           ops_err *reterr)
{
    (void)dry;
    return letters(v, n, a, 1, "toUpper", ret, reterr);
}
static ops_status to_lower(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                           ops_err *reterr)
{
    (void)dry;
    return letters(v, n, a, -1, "toLower", ret, reterr);
}
static ops_status title(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                        ops_err *reterr)
{
    (void)dry;
    return letters(v, n, a, 0, "title", ret, reterr);
}

static ops_status verb(ops_strbuf *b, const char *spec, const rules_text *v, ops_err *reterr)
{
    char c = spec[strlen(spec) - 1];
    bool bare = spec[1] == c;
    if ((c == 's' || c == 'v' || c == 'q') && !bare)
        return ops_fail(reterr, OPS_EUNIMPL, "template: printf's %s is not taken", spec);
    if (c == 'v' || (c == 's' && !v->is_num)) {
        rules_text_print(v, b);
        return OPS_OK;
    }
    if (c == 'q' && !v->is_num) {
        ops_rules_quote(v->s, b);
        return OPS_OK;
    }
    bool real = c == 'f' || c == 'e' || (c == 'g' && !bare);
    if (!v->is_num || (!real && c != 'g'))
        return ops_fail(reterr, OPS_EUNIMPL, "template: printf's %s of a %s is not taken", spec,
                        v->is_num ? "number" : "text");
    if (c == 'g' && bare) {
        ops_rules_number(v->num, false, b);
        return OPS_OK;
    }
    if (isnan(v->num) || isinf(v->num)) {
        ops_rules_number(v->num, true, b);
        return OPS_OK;
    }
    char text[400];
    int width = 0, precision = 6;
    const char *p = spec + 1;
    while (*p >= '0' && *p <= '9' && width < 100)
        width = width * 10 + (*p++ - '0');
    if (*p == '.') {
        precision = 0;
        p++;
        while (*p >= '0' && *p <= '9' && precision < 40)
            precision = precision * 10 + (*p++ - '0');
    }
    if (p != spec + strlen(spec) - 1 || width > 99 || precision > 39 || spec[1] == '0')
        return ops_fail(reterr, OPS_EUNIMPL, "template: printf's %s is not taken", spec);
    if (c == 'f')
        (void)snprintf(text, sizeof text, "%*.*f", width, precision, v->num);
    else if (c == 'e')
        (void)snprintf(text, sizeof text, "%*.*e", width, precision, v->num);
    else
        (void)snprintf(text, sizeof text, "%*.*g", width, precision, v->num);
    ops_strbuf_str(b, text);
    return OPS_OK;
}

static ops_status print(const rules_text *v, size_t n, ops_arena *a, bool dry, rules_text *ret,
                        ops_err *reterr)
{
    ops_strbuf b;
    size_t used = 1;
    ops_status st = OPS_OK;
    (void)dry;
    if (n == 0 || v[0].is_num)
        return ops_fail(reterr, OPS_EINVAL, "template: printf takes a format");
    ops_strbuf_init(&b, OPS_RULES_TEMPLATE_BYTES_MAX);
    for (size_t i = 0; st == OPS_OK && i < v[0].s.n; i++) {
        char spec[16] = "%";
        size_t len = 1;
        if (v[0].s.p[i] != '%') {
            ops_strbuf_char(&b, v[0].s.p[i]);
            continue;
        }
        while (++i < v[0].s.n && len + 1 < sizeof spec) {
            spec[len++] = v[0].s.p[i];
            if (!(v[0].s.p[i] >= '0' && v[0].s.p[i] <= '9') && v[0].s.p[i] != '.')
                break;
        }
        spec[len] = '\0';
        if (len == 2 && spec[1] == '%')
            ops_strbuf_char(&b, '%');
        else if (len < 2 || used >= n)
            st = ops_fail(reterr, OPS_EINVAL, "template: printf has no value for %s", spec);
        else
            st = verb(&b, spec, &v[used++], reterr);
    }
    if (st == OPS_OK && used != n)
        st = ops_fail(reterr, OPS_EINVAL, "template: printf has values left over");
    if (st == OPS_OK)
        return keep(&b, a, ret, reterr);
    ops_strbuf_done(&b);
    return st;
}

rules_text_fn rules_humanize_find(ops_slice name)
{
    static const struct {
        const char *name;
        rules_text_fn fn;
    } all[] = {{"humanize", humanize},
               {"humanize1024", humanize1024},
               {"humanizeDuration", humanize_duration},
               {"humanizePercentage", humanize_percentage},
               {"humanizeTimestamp", humanize_timestamp},
               {"toUpper", to_upper},
               {"toLower", to_lower},
               {"title", title},
               {"printf", print}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (ops_slice_eq(name, ops_slice_str(all[i].name)))
            return all[i].fn;
    return NULL;
}

void rules_text_print(const rules_text *v, ops_strbuf *out)
{
    if (v->is_num)
        ops_rules_number(v->num, false, out);
    else
        ops_strbuf_slice(out, v->s);
}
