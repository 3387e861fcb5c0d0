/* offline incident: whether, when and what in a recorded case. */
#include <errno.h>
#include <string.h>

#include "base/text/strbuf.h"
#include "base/time/rfc3339.h"
#include "coordinator/analysis/incident/incidents.h"
#include "opsctl/cmd/case.h"
#include "opsctl/cmd/incident_html.h"
#include "opsctl/verb.h"

enum { CAUSES_MAX = 10, EVIDENCE_CAUSES = 4 };

static const char *evidence_kind(size_t term)
{
    switch (term) {
    case OPS_RANK_OWN_TIME:
    case OPS_RANK_WIRE:
    case OPS_RANK_ERRORS:
    case OPS_RANK_CALLS:
        return "trace";
    case OPS_RANK_LOGS:
        return "template";
    default:
        return "metric";
    }
}

static void put_causes(ops_strbuf *b, const ops_rank *r)
{
    ops_strbuf_str(b, ",\"causes\":[");
    for (size_t i = 0; i < ops_rank_count(r) && i < CAUSES_MAX; i++) {
        const ops_rank_cause *c = ops_rank_at(r, i);
        ops_strbuf_str(b, i > 0 ? ",{\"component\":" : "{\"component\":");
        ops_strbuf_json(b, c->component);
        ops_strbuf_printf(b, ",\"score\":%.4f,\"reason\":", c->score);
        ops_strbuf_json(b, c->reason);
        ops_strbuf_char(b, '}');
    }
    ops_strbuf_char(b, ']');
}

static void put_evidence(ops_strbuf *b, const ops_incident *x)
{
    bool first = true;
    ops_strbuf_str(b, ",\"evidence\":[");
    for (size_t i = 0; i < ops_rank_count(x->causes) && i < EVIDENCE_CAUSES; i++) {
        const ops_rank_cause *c = ops_rank_at(x->causes, i);
        for (size_t k = 0; k < OPS_RANK_KINDS; k++) {
            const ops_rank_term *t = &c->terms[k];
            if (t->bits < 1)
                continue;
            ops_strbuf_printf(b, "%s{\"kind\":\"%s\",\"component\":", first ? "" : ",", evidence_kind(k));
            ops_strbuf_json(b, c->component);
            ops_strbuf_printf(b, ",\"at\":%.3f,\"text\":", t->since_s > 0 ? t->since_s : x->start_s);
            ops_strbuf_json(b, t->text);
            ops_strbuf_char(b, '}');
            first = false;
        }
    }
    ops_strbuf_char(b, ']');
}

static void put_json(ops_strbuf *b, const ops_incidents *l, const ops_incident *x)
{
    ops_strbuf_printf(b, "{\"start\":%.3f,\"end\":", x->start_s);
    if (x->end_s > 0)
        ops_strbuf_printf(b, "%.3f", x->end_s);
    else
        ops_strbuf_str(b, "null");
    ops_strbuf_printf(b, ",\"severity\":\"%s\",\"summary\":", x->severity);
    ops_strbuf_json(b, x->summary);
    ops_strbuf_str(b, ",\"components\":[");
    for (size_t i = 0; i < x->affected_count; i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        ops_strbuf_json(b, ops_incidents_component(l, x->affected[i]));
    }
    ops_strbuf_char(b, ']');
    put_causes(b, x->causes);
    put_evidence(b, x);
    ops_strbuf_str(b, "}\n");
}

static void put_clean(ops_strbuf *b, ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
        ops_strbuf_char(b, c < 0x20 || c == 0x7f || c1 ? ' ' : (char)c);
        i += c1;
    }
}

static void put_text(ops_strbuf *b, const ops_incident *x)
{
    char from[OPS_RFC3339_BYTES], to[OPS_RFC3339_BYTES];
    ops_strbuf_printf(b, "%s  %s to %s\n  ", x->severity,
                      ops_rfc3339_format((int64_t)(x->start_s * 1e9), 0, from),
                      x->end_s > 0 ? ops_rfc3339_format((int64_t)(x->end_s * 1e9), 0, to) : "now");
    put_clean(b, x->summary);
    ops_strbuf_char(b, '\n');
    for (size_t i = 0; i < ops_rank_count(x->causes) && i < 3; i++) {
        const ops_rank_cause *c = ops_rank_at(x->causes, i);
        ops_strbuf_printf(b, "  %zu. ", i + 1);
        put_clean(b, c->component);
        ops_strbuf_printf(b, "  %.2f bits\n", c->score);
        for (size_t k = 0; k < OPS_RANK_KINDS; k++)
            if (c->terms[k].bits >= 0.5) {
                ops_strbuf_printf(b, "     %6.2f  %-8s  ", c->terms[k].bits,
                                  ops_rank_kind_name((ops_rank_kind)k));
                put_clean(b, c->terms[k].text);
                ops_strbuf_char(b, '\n');
            }
    }
}

typedef struct options {
    const char *dir, *html;
    bool text;
} options;

static ops_status flags(const ops_verb_ctx *ctx, options *o, ops_err *reterr)
{
    for (int i = 0; i < ctx->argc; i += 2) {
        const char *a = ctx->argv[i], *v = i + 1 < ctx->argc ? ctx->argv[i + 1] : NULL;
        bool known = strcmp(a, "--dir") == 0 || strcmp(a, "--html") == 0 || strcmp(a, "-o") == 0;
        if (!known)
            return ops_fail(reterr, OPS_EINVAL, "unknown argument '%s' (known: --dir, --html, -o)", a);
        if (v == NULL)
            return ops_fail(reterr, OPS_EINVAL, "%s needs a value", a);
        if (strcmp(a, "--dir") == 0)
            o->dir = v;
        else if (strcmp(a, "--html") == 0)
            o->html = v;
        else if (!(o->text = strcmp(v, "text") == 0) && strcmp(v, "json") != 0)
            return ops_fail(reterr, OPS_EINVAL, "-o '%s': text and json are known", v);
    }
    return o->dir != NULL ? OPS_OK : ops_fail(reterr, OPS_EINVAL, "name the case's folder with --dir");
}

static ops_status write_html(const char *path, const ops_bundle *b, const ops_incidents *l, ops_err *reterr)
{
    ops_strbuf page;
    ops_strbuf_init(&page, (size_t)64 << 20);
    ops_incident_html(&page, b, l);
    ops_status st = page.failed ? ops_fail(reterr, OPS_ENOMEM, "the page of the report") : OPS_OK;
    FILE *f = st == OPS_OK ? fopen(path, "we") : NULL;
    if (st == OPS_OK && f == NULL)
        st = ops_fail(reterr, OPS_EIO, "cannot write '%s': %s", path, strerror(errno));
    if (f != NULL) {
        bool wrote = fwrite(page.p, 1, page.n, f) == page.n;
        if (fclose(f) != 0 || !wrote)
            st = ops_fail(reterr, OPS_EIO, "writing '%s': %s", path, strerror(errno));
    }
    ops_strbuf_done(&page);
    return st;
}

ops_status ops_cmd_offline_incident(ops_verb_ctx *ctx, ops_err *reterr)
{
    OPS_AUTO(ops_bundle_free) ops_bundle *b = NULL;
    OPS_AUTO(ops_incidents_free) ops_incidents *l = NULL;
    options o = {0};
    ops_status st = flags(ctx, &o, reterr);
    if (st == OPS_OK)
        st = ops_case_read(o.dir, ctx->err, &b, reterr);
    if (st == OPS_OK)
        st = ops_incidents_new(b, &l, reterr);
    if (st == OPS_OK && o.html != NULL)
        st = write_html(o.html, b, l, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf out;
    ops_strbuf_init(&out, (size_t)64 << 20);
    for (size_t i = 0; i < ops_incidents_count(l); i++) {
        if (o.text)
            put_text(&out, ops_incidents_at(l, i));
        else
            put_json(&out, l, ops_incidents_at(l, i));
    }
    if (out.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "printing the incidents");
    else if (out.n > 0 && fwrite(out.p, 1, out.n, ctx->out) != out.n)
        st = ops_fail(reterr, OPS_EIO, "standard output");
    ops_strbuf_done(&out);
    return st;
}
