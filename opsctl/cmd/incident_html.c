#include "opsctl/cmd/incident_html.h"

#include <math.h>
#include <string.h>

#include "base/text/utf8.h"
#include "base/time/rfc3339.h"

enum { CAUSES_MAX = 5, PLOTS_MAX = 3, WIDTH = 640, HEIGHT = 120, POINTS_MAX = 640 };

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Incidents</title>"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25em .6em;"
    "border-bottom:1px solid "
    "#ddd}.n{text-align:right;font-variant-numeric:tabular-nums}.critical{color:#b00020}"
    ".error{color:#b35900}.warning{color:#806600}svg{background:#fafafa;border:1px solid "
    "#ddd;width:100%;height:auto}"
    "</style></head><body><h1>Incidents</h1>\n";

/* Text as text: whatever it holds, it opens no tag and leaves no attribute. */
static void put_text(ops_strbuf *b, ops_slice s)
{
    ops_strbuf clean;
    ops_strbuf_init(&clean, (size_t)1 << 20);
    ops_utf8_clean(&clean, s);
    b->failed = b->failed || clean.failed;
    for (size_t i = 0; i < clean.n; i++) {
        unsigned char c = (unsigned char)clean.p[i];
        switch (c) {
        case '<':
            ops_strbuf_str(b, "&lt;");
            break;
        case '>':
            ops_strbuf_str(b, "&gt;");
            break;
        case '&':
            ops_strbuf_str(b, "&amp;");
            break;
        case '"':
            ops_strbuf_str(b, "&quot;");
            break;
        case '\'':
            ops_strbuf_str(b, "&#39;");
            break;
        default:
            ops_strbuf_char(b, c < 0x20 || c == 0x7f ? ' ' : (char)c);
        }
    }
    ops_strbuf_done(&clean);
}

static void put_time(ops_strbuf *b, double time_s)
{
    char buf[OPS_RFC3339_BYTES];
    ops_strbuf_str(b, ops_rfc3339_format((int64_t)(time_s * 1e9), 0, buf));
}

typedef struct view { /* what of a series is drawn */
    double from_s, to_s, low, high;
} view;

/* How far the series went in the incident, in standard deviations of the rest of it; and the values it took. */
static double departure(const ops_bundle *bundle, const ops_bundle_series *s, const ops_incident *x,
                        view *ret)
{
    double n[2] = {0}, sum[2] = {0}, squares = 0;
    *ret = (view){HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
    for (size_t i = 0; i < s->count; i++) {
        double t, v;
        ops_bundle_sample_at(bundle, s->first + i, &t, &v);
        int in = t >= x->start_s && (x->end_s <= 0 || t < x->end_s);
        n[in]++;
        sum[in] += v;
        squares += in ? 0 : v * v;
        *ret = (view){fmin(ret->from_s, t), fmax(ret->to_s, t), fmin(ret->low, v), fmax(ret->high, v)};
    }
    if (n[0] < 2 || n[1] < 1)
        return 0;
    double mean = sum[0] / n[0], variance = fmax(squares / n[0] - mean * mean, 0);
    return fabs(sum[1] / n[1] - mean) / (sqrt(variance) + 0.05 * fabs(mean) + 1e-9);
}

static void plot(ops_strbuf *b, const ops_bundle *bundle, const ops_bundle_series *s, const ops_incident *x,
                 const view *v)
{
    double wide = v->to_s > v->from_s ? WIDTH / (v->to_s - v->from_s) : 0;
    double tall = v->high > v->low ? (HEIGHT - 10) / (v->high - v->low) : 0;
    double from = (x->start_s - v->from_s) * wide, to = x->end_s > 0 ? (x->end_s - v->from_s) * wide : WIDTH;
    ops_strbuf_str(b, "<p>");
    put_text(b, s->component);
    ops_strbuf_str(b, " ");
    put_text(b, s->metric);
    ops_strbuf_printf(b, ", %.4g to %.4g</p><svg viewBox=\"0 0 %d %d\" role=\"img\">", v->low, v->high, WIDTH,
                      HEIGHT);
    ops_strbuf_printf(b, "<rect x=\"%.1f\" y=\"0\" width=\"%.1f\" height=\"%d\" fill=\"#fde0dc\"/>",
                      fmax(from, 0), fmax(fmin(to, WIDTH) - fmax(from, 0), 1), HEIGHT);
    ops_strbuf_str(b, "<polyline fill=\"none\" stroke=\"#1a56a0\" points=\"");
    size_t step = s->count / POINTS_MAX + 1;
    for (size_t i = 0; i < s->count; i += step) {
        double t, value;
        ops_bundle_sample_at(bundle, s->first + i, &t, &value);
        ops_strbuf_printf(b, "%.1f,%.1f ", (t - v->from_s) * wide, HEIGHT - 5 - (value - v->low) * tall);
    }
    ops_strbuf_str(b, "\"/></svg>\n");
}

/* The series of the likeliest cause that went farthest. */
static void put_plots(ops_strbuf *b, const ops_bundle *bundle, const ops_incident *x)
{
    ops_bundle_series best[PLOTS_MAX], s;
    double far[PLOTS_MAX] = {0};
    view views[PLOTS_MAX], v;
    memset(best, 0, sizeof best);
    memset(views, 0, sizeof views);
    for (size_t iter = 0; ops_bundle_next_series(bundle, &iter, &s);) {
        if (!ops_slice_eq(s.component, ops_rank_at(x->causes, 0)->component))
            continue;
        double d = departure(bundle, &s, x, &v);
        for (size_t i = 0; i < PLOTS_MAX; i++) {
            if (d <= far[i])
                continue;
            for (size_t k = PLOTS_MAX - 1; k > i; k--) {
                far[k] = far[k - 1];
                best[k] = best[k - 1];
                views[k] = views[k - 1];
            }
            far[i] = d;
            best[i] = s;
            views[i] = v;
            break;
        }
    }
    for (size_t i = 0; i < PLOTS_MAX && far[i] > 0; i++)
        plot(b, bundle, &best[i], x, &views[i]);
}

static void put_causes(ops_strbuf *b, const ops_incident *x)
{
    ops_strbuf_str(b, "<table><tr><th>cause</th><th class=\"n\">bits</th><th>why</th></tr>\n");
    for (size_t i = 0; i < ops_rank_count(x->causes) && i < CAUSES_MAX; i++) {
        const ops_rank_cause *c = ops_rank_at(x->causes, i);
        ops_strbuf_str(b, "<tr><td>");
        put_text(b, c->component);
        ops_strbuf_printf(b, "</td><td class=\"n\">%.2f</td><td>", c->score);
        for (size_t k = 0; k < OPS_RANK_KINDS; k++)
            if (c->terms[k].bits >= 0.5) {
                ops_strbuf_printf(b, "%.2f %s: ", c->terms[k].bits, ops_rank_kind_name((ops_rank_kind)k));
                put_text(b, c->terms[k].text);
                ops_strbuf_str(b, "<br>");
            }
        ops_strbuf_str(b, "</td></tr>\n");
    }
    ops_strbuf_str(b, "</table>\n");
}

/* What was seen when, oldest first. */
static void put_timeline(ops_strbuf *b, const ops_incident *x)
{
    double last = 0;
    ops_strbuf_str(b, "<h3>Timeline</h3><table>\n");
    for (;;) {
        const ops_rank_term *next = NULL;
        const ops_rank_cause *of = NULL;
        for (size_t i = 0; i < ops_rank_count(x->causes) && i < CAUSES_MAX; i++)
            for (size_t k = 0; k < OPS_RANK_KINDS; k++) {
                const ops_rank_term *t = &ops_rank_at(x->causes, i)->terms[k];
                if (t->bits >= 1 && t->since_s > last && (next == NULL || t->since_s < next->since_s)) {
                    next = t;
                    of = ops_rank_at(x->causes, i);
                }
            }
        if (next == NULL)
            break;
        last = next->since_s;
        ops_strbuf_str(b, "<tr><td>");
        put_time(b, last);
        ops_strbuf_str(b, "</td><td>");
        put_text(b, of->component);
        ops_strbuf_str(b, "</td><td>");
        put_text(b, next->text);
        ops_strbuf_str(b, "</td></tr>\n");
    }
    ops_strbuf_str(b, "</table>\n");
}

void ops_incident_html(ops_strbuf *b, const ops_bundle *bundle, const ops_incidents *l)
{
    ops_strbuf_str(b, head);
    if (ops_incidents_count(l) == 0)
        ops_strbuf_str(b, "<p>All is well: no incident was found.</p>\n");
    for (size_t i = 0; i < ops_incidents_count(l); i++) {
        const ops_incident *x = ops_incidents_at(l, i);
        ops_strbuf_printf(b, "<h2><span class=\"%s\">%s</span> ", x->severity, x->severity);
        put_time(b, x->start_s);
        ops_strbuf_str(b, " to ");
        if (x->end_s > 0)
            put_time(b, x->end_s);
        else
            ops_strbuf_str(b, "the end of the recording");
        ops_strbuf_str(b, "</h2><p>");
        put_text(b, x->summary);
        ops_strbuf_str(b, "</p>\n");
        put_causes(b, x);
        put_timeline(b, x);
        put_plots(b, bundle, x);
    }
    ops_strbuf_str(b, "</body></html>\n");
}
