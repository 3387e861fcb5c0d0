/* X_sum over X_count: the mean of what a histogram or summary saw since the samples before. */
#include "coordinator/analysis/monitor/state.h"

/* Cuts `tail` off the name in `text`: what is before it, and the labels after it. */
static bool name_ends(ops_slice text, ops_slice tail, ops_slice *ret_head, ops_slice *ret_labels)
{
    const ptrdiff_t brace = ops_slice_find_char(text, '{');
    const ops_slice name = ops_slice_sub(text, 0, brace >= 0 ? (size_t)brace : text.n);
    if (name.n <= tail.n || !ops_slice_ends(name, tail))
        return false;
    *ret_head = ops_slice_sub(name, 0, name.n - tail.n);
    *ret_labels = ops_slice_sub(text, name.n, text.n);
    return true;
}

static ops_slice with(ops_strbuf *b, ops_slice head, const char *tail, ops_slice labels)
{
    ops_strbuf_clear(b);
    ops_strbuf_slice(b, head);
    ops_strbuf_str(b, tail);
    ops_strbuf_slice(b, labels);
    return ops_strbuf_get(b);
}

/* The series X_mean beside it; NULL: none. */
static series *mean_of(ops_monitor *m, const series *s, ops_strbuf *ret_text)
{
    ops_slice head, labels;
    if (!name_ends(series_text(s), OPS_SLICE("_sum"), &head, &labels) &&
        !name_ends(series_text(s), OPS_SLICE("_count"), &head, &labels))
        return NULL;
    const ops_slice text = with(ret_text, head, "_mean", labels);
    return ret_text->failed ? NULL : ops_monitor_series_find(m, series_tenant(s), series_service(s), text);
}

/* What X_mean is when X_sum and X_count were both judged at this time; `ret_text` takes its name. False: there is none. */
static bool mean(ops_monitor *m, const series *s, ops_strbuf *ret_text, double *ret)
{
    ops_slice head, labels;
    const bool sum = name_ends(series_text(s), OPS_SLICE("_sum"), &head, &labels);
    if (!sum && !name_ends(series_text(s), OPS_SLICE("_count"), &head, &labels))
        return false;
    const ops_slice other_text = with(ret_text, head, sum ? "_count" : "_sum", labels);
    const series *other =
        ret_text->failed ? NULL : ops_monitor_series_find(m, series_tenant(s), series_service(s), other_text);
    if (other == NULL || other->kind != s->kind || other->judged_ns != s->judged_ns)
        return false;
    const double sums = sum ? s->judged : other->judged, counts = sum ? other->judged : s->judged;
    (void)with(ret_text, head, "_mean", labels);
    if (!(counts > 0) || ret_text->failed)
        return false; /* nothing was seen */
    *ret = sums / counts;
    return true;
}

/* The mean of a histogram or summary, as a series beside its sum and count that ends with them. Without room, or memory,
 * there is none. */
void ops_monitor_mean(ops_monitor *m, const ops_monitor_sample *x, const series *s)
{
    ops_monitor_sample x_mean = *x;
    ops_monitor_fate fate;
    series *of;
    ops_strbuf text;
    ops_strbuf_init(&text, SERIES_BYTES_MAX + 8);
    x_mean.kind = OPS_MONITOR_GAUGE;
    const bool told =
        x->stale ? (of = mean_of(m, s, &text)) != NULL && !of->stale : mean(m, s, &text, &x_mean.value);
    x_mean.series = ops_strbuf_get(&text);
    if (told)
        m->stats.means +=
            ops_monitor_add_one(m, &x_mean, &fate, &of, NULL) == OPS_OK && fate == OPS_MONITOR_JUDGED;
    ops_strbuf_done(&text);
}
