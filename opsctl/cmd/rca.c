/* offline rca: which component is the cause of a recorded fault, best first. */
#include <string.h>

#include "base/text/strbuf.h"
#include "coordinator/analysis/incident/rank.h"
#include "opsctl/cmd/case.h"
#include "opsctl/verb.h"

/* A name stays as it is but for what would break the row; words of logs come from outside and are made harmless. */
static void put_clean(ops_strbuf *b, ops_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;
        ops_strbuf_char(b, c < 0x20 || c == 0x7f || c1 ? ' ' : (char)c);
        i += c1;
    }
}

static void put_cause(ops_strbuf *b, const ops_rank_cause *c, bool terms)
{
    put_clean(b, c->component);
    ops_strbuf_printf(b, "\t%.4f\t", c->score);
    put_clean(b, c->reason);
    ops_strbuf_char(b, '\n');
    for (size_t k = 0; terms && k < OPS_RANK_KINDS; k++)
        if (c->terms[k].bits > 0) {
            ops_strbuf_printf(b, "  %6.2f  %-8s  ", c->terms[k].bits, ops_rank_kind_name((ops_rank_kind)k));
            put_clean(b, c->terms[k].text);
            ops_strbuf_char(b, '\n');
        }
}

static ops_status flags(ops_verb_ctx *ctx, const char **ret_dir, bool *ret_terms, ops_err *reterr)
{
    for (int i = 0; i < ctx->argc; i++) {
        const char *a = ctx->argv[i];
        if (strcmp(a, "--explain") == 0) {
            *ret_terms = true;
        } else if (strcmp(a, "--dir") == 0) {
            if (i + 1 == ctx->argc)
                return ops_fail(reterr, OPS_EINVAL, "--dir needs a value");
            *ret_dir = ctx->argv[++i];
        } else {
            return ops_fail(reterr, OPS_EINVAL, "unknown argument '%s' (known: --dir, --explain)", a);
        }
    }
    return *ret_dir != NULL ? OPS_OK : ops_fail(reterr, OPS_EINVAL, "name the case's folder with --dir");
}

ops_status ops_cmd_offline_rca(ops_verb_ctx *ctx, ops_err *reterr)
{
    OPS_AUTO(ops_bundle_free) ops_bundle *b = NULL;
    OPS_AUTO(ops_rank_free) ops_rank *r = NULL;
    const char *dir = NULL;
    bool terms = false;
    double at = 0;
    ops_status st = flags(ctx, &dir, &terms, reterr);
    if (st == OPS_OK)
        st = ops_case_at(dir, &at, reterr);
    if (st == OPS_OK)
        st = ops_case_read(dir, ctx->err, &b, reterr);
    if (st == OPS_OK)
        st = ops_rank_new(b, at, &r, reterr);
    if (st != OPS_OK)
        return st;
    ops_strbuf out;
    ops_strbuf_init(&out, (size_t)64 << 20);
    for (size_t i = 0; i < ops_rank_count(r); i++)
        put_cause(&out, ops_rank_at(r, i), terms);
    if (out.failed)
        st = ops_fail(reterr, OPS_ENOMEM, "printing the causes");
    else if (fwrite(out.p, 1, out.n, ctx->out) != out.n)
        st = ops_fail(reterr, OPS_EIO, "standard output");
    ops_strbuf_done(&out);
    return st;
}
