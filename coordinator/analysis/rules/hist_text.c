/* Histograms as tests write them and as people read them. */
#include <math.h>

#include "base/coll/vec.h"
#include "coordinator/analysis/rules/ast.h"
#include "coordinator/analysis/rules/hist_internal.h"

typedef OPS_VEC(double) numbers;

typedef struct reading {
    ops_slice s;
    size_t at;
    ops_arena *a;
    ops_err *err;
    ops_rules_hist h;
    numbers lists[3]; /* positive buckets, negative ones, bounds */
    int32_t offsets[2];
} reading;

static ops_status wrong(reading *r, const char *what)
{
    return ops_fail(r->err, OPS_EINVAL, "a histogram: %s at byte %zu", what, r->at);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',';
}

static void skip(reading *r)
{
    while (r->at < r->s.n && blank(r->s.p[r->at]))
        r->at++;
}

static ops_slice word(reading *r)
{
    const size_t from = r->at;
    while (r->at < r->s.n && !blank(r->s.p[r->at]) && strchr(":[]{}", r->s.p[r->at]) == NULL)
        r->at++;
    return ops_slice_sub(r->s, from, r->at - from);
}

static ops_status number(reading *r, double *ret)
{
    ops_slice w = word(r);
    const bool minus = w.n > 0 && w.p[0] == '-';
    if (!rules_number(ops_slice_sub(w, minus || (w.n > 0 && w.p[0] == '+'), w.n), ret))
        return wrong(r, "a number is expected");
    *ret = minus ? -*ret : *ret;
    return OPS_OK;
}

static ops_status list(reading *r, numbers *ret)
{
    if (r->at >= r->s.n || r->s.p[r->at] != '[')
        return wrong(r, "'[' is expected");
    r->at++;
    ret->n = 0;
    for (skip(r); r->at < r->s.n && r->s.p[r->at] != ']'; skip(r)) {
        double v = 0;
        ops_status st = number(r, &v);
        if (st != OPS_OK)
            return st;
        if (ret->n == OPS_RULES_HIST_BUCKETS_MAX || !ops_vec_push(ret, v))
            return wrong(r, "too many numbers in a list, or no memory for them");
    }
    if (r->at >= r->s.n)
        return wrong(r, "']' is expected");
    r->at++;
    return OPS_OK;
}

static ops_status hint(reading *r)
{
    static const char *const words[] = {"unknown", "reset", "not_reset", "gauge"};
    const ops_slice w = word(r);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ops_slice_eq(w, ops_slice_str(words[i]))) {
            r->h.hint = (ops_rules_hint)i;
            return OPS_OK;
        }
    return wrong(r, "unknown, reset, not_reset or gauge is expected");
}

static ops_status whole(reading *r, int32_t *ret)
{
    double v = 0;
    ops_status st = number(r, &v);
    if (st != OPS_OK)
        return st;
    if (v != floor(v) || fabs(v) > 100000)
        return wrong(r, "a small whole number is expected");
    *ret = (int32_t)v;
    return OPS_OK;
}

static ops_status value(reading *r, ops_slice key)
{
    const struct {
        const char *key;
        double *number;
        numbers *list;
        int32_t *whole;
    } keys[] = {{"sum", &r->h.sum, NULL, NULL},
                {"count", &r->h.count, NULL, NULL},
                {"z_bucket", &r->h.zero_count, NULL, NULL},
                {"z_bucket_w", &r->h.zero_threshold, NULL, NULL},
                {"buckets", NULL, &r->lists[0], NULL},
                {"n_buckets", NULL, &r->lists[1], NULL},
                {"custom_values", NULL, &r->lists[2], NULL},
                {"schema", NULL, NULL, &r->h.schema},
                {"offset", NULL, NULL, &r->offsets[0]},
                {"n_offset", NULL, NULL, &r->offsets[1]}};
    if (ops_slice_eq(key, OPS_SLICE("counter_reset_hint")))
        return hint(r);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (ops_slice_eq(key, ops_slice_str(keys[i].key)))
            return keys[i].number != NULL ? number(r, keys[i].number)
                   : keys[i].list != NULL ? list(r, keys[i].list)
                                          : whole(r, keys[i].whole);
    return wrong(r, "an unknown key");
}

static ops_status check(reading *r)
{
    const bool custom = ops_rules_hist_custom(&r->h);
    if (!(r->h.zero_threshold >= 0 && isfinite(r->h.zero_threshold)))
        return wrong(r, "z_bucket_w is a number not below 0");
    if (!custom && (r->h.schema < OPS_RULES_HIST_SCHEMA_MIN || r->h.schema > OPS_RULES_HIST_SCHEMA_MAX))
        return wrong(r, "a schema is -4 to 8, or -53");
    if (!custom)
        return r->lists[2].n == 0 ? OPS_OK : wrong(r, "custom_values go with schema -53");
    if (r->lists[1].n > 0 || r->h.zero_count != 0 || r->h.zero_threshold != 0)
        return wrong(r, "with custom bounds there are neither negative buckets nor a zero bucket");
    for (size_t i = 1; i < r->lists[2].n; i++)
        if (!(r->lists[2].v[i] > r->lists[2].v[i - 1]))
            return wrong(r, "bounds do not rise");
    if (r->offsets[0] < 0 || (size_t)r->offsets[0] + r->lists[0].n > r->lists[2].n + 1)
        return wrong(r, "more buckets than bounds");
    return OPS_OK;
}

static bool side(reading *r, int i, const ops_rules_bucket **ret, size_t *ret_n)
{
    const size_t n = r->lists[i].n;
    ops_rules_bucket *v = ops_arena_alloc(r->a, (n + 1) * sizeof *v);
    for (size_t k = 0; v != NULL && k < n; k++)
        v[k] = (ops_rules_bucket){r->offsets[i] + (int32_t)k, r->lists[i].v[k]};
    *ret = v;
    *ret_n = n;
    return v != NULL;
}

static ops_status finish(reading *r, const ops_rules_hist **ret)
{
    double *bounds = ops_arena_alloc(r->a, (r->lists[2].n + 1) * sizeof *bounds);
    ops_rules_hist *h = ops_arena_alloc(r->a, sizeof *h);
    ops_status st = check(r);
    if (st != OPS_OK)
        return st;
    if (bounds == NULL || h == NULL || !side(r, 0, &r->h.pos, &r->h.pos_n) ||
        !side(r, 1, &r->h.neg, &r->h.neg_n))
        return ops_fail(r->err, OPS_ENOMEM, "out of memory");
    if (r->lists[2].n > 0)
        memcpy(bounds, r->lists[2].v, r->lists[2].n * sizeof *bounds);
    r->h.bounds = bounds;
    r->h.bound_n = r->lists[2].n;
    *h = r->h;
    *ret = h;
    return OPS_OK;
}

static ops_status body(reading *r)
{
    ops_status st = OPS_OK;
    r->at = 2;
    for (skip(r); st == OPS_OK && r->at < r->s.n && r->s.p[r->at] != '}'; skip(r)) {
        const ops_slice key = word(r);
        if (r->at >= r->s.n || r->s.p[r->at] != ':')
            return wrong(r, "a key and ':' are expected");
        r->at++;
        st = value(r, key);
    }
    if (st != OPS_OK)
        return st;
    if (r->at + 2 > r->s.n || r->s.p[r->at + 1] != '}')
        return wrong(r, "'}}' is expected");
    r->at += 2;
    return OPS_OK;
}

ops_status ops_rules_hist_parse(ops_slice text, ops_arena *a, const ops_rules_hist **ret, size_t *ret_used,
                                ops_err *reterr)
{
    reading r = {.s = text, .a = a, .err = reterr};
    if (!ops_slice_starts(text, OPS_SLICE("{{")))
        return ops_fail(reterr, OPS_EINVAL, "a histogram begins with '{{'");
    ops_status st = body(&r);
    if (st == OPS_OK)
        st = finish(&r, ret);
    for (size_t i = 0; i < 3; i++)
        ops_vec_done(&r.lists[i]);
    if (st == OPS_OK)
        *ret_used = r.at;
    return st;
}

static void bucket(ops_strbuf *out, const char *brackets, double lower, double upper, double count)
{
    ops_strbuf_printf(out, ", %c", brackets[0]);
    ops_rules_number(lower, false, out);
    ops_strbuf_char(out, ',');
    ops_rules_number(upper, false, out);
    ops_strbuf_printf(out, "%c:", brackets[1]);
    ops_rules_number(count, false, out);
}

void ops_rules_hist_print(const ops_rules_hist *h, ops_strbuf *out)
{
    ops_strbuf_str(out, "{count:");
    ops_rules_number(h->count, false, out);
    ops_strbuf_str(out, ", sum:");
    ops_rules_number(h->sum, false, out);
    for (size_t i = h->neg_n; i > 0; i--)
        if (h->neg[i - 1].count != 0)
            bucket(out, "[)", -rules_hist_bound(h, h->neg[i - 1].index),
                   -rules_hist_bound(h, h->neg[i - 1].index - 1), h->neg[i - 1].count);
    if (h->zero_count != 0)
        bucket(out, "[]", -h->zero_threshold, h->zero_threshold, h->zero_count);
    for (size_t i = 0; i < h->pos_n; i++)
        if (h->pos[i].count != 0)
            bucket(out, "(]", rules_hist_bound(h, h->pos[i].index - 1), rules_hist_bound(h, h->pos[i].index),
                   h->pos[i].count);
    ops_strbuf_char(out, '}');
}
