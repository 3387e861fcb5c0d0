/* offline templates -o table|json: one row a template, commonest first. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "base/time/rfc3339.h"
#include "opsctl/cmd/templates.h"
#include "opsctl/print/print.h"

enum { WAS_MAX = 100, TEXT_BYTES_MAX = 1 << 22 };

typedef struct was_list {
    OPS_VEC(uint64_t) ids;
} was_list;

typedef struct listing {
    const tpl_options *o;
    const ops_miner *m;
    const tpl_input *in;
    OPS_VEC(ops_template_info) rows;
    ops_map64 *was; /* live id -> was_list */
    ops_strbuf text, out;
    size_t all;
} listing;

static int by_count(const void *pa, const void *pb)
{
    const ops_template_info *a = pa, *b = pb;
    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static ops_status collect(listing *l)
{
    ops_template_info t;
    for (size_t iter = 0; ops_miner_next(l->m, &iter, &t);) {
        l->all += t.count > 0;
        if (t.count > 0 && t.count >= l->o->min_count && !ops_vec_push(&l->rows, t))
            return OPS_ENOMEM;
    }
    if (l->rows.n > 0)
        qsort(l->rows.v, l->rows.n, sizeof *l->rows.v, by_count);
    if (l->o->limit > 0 && l->rows.n > l->o->limit)
        l->rows.n = l->o->limit;
    return OPS_OK;
}

/* Which ids were folded into which: so that a list saved before a fold still meets one saved after it. */
static ops_status collect_was(listing *l)
{
    uint64_t from, to;
    if ((l->was = ops_map64_new()) == NULL)
        return OPS_ENOMEM;
    for (size_t iter = 0; ops_miner_next_fold(l->m, &iter, &from, &to);) {
        uint64_t live = ops_miner_resolve(l->m, from);
        was_list *w = ops_map64_get(l->was, live);
        if (w == NULL) {
            w = ops_calloc(1, sizeof *w);
            if (w == NULL || ops_map64_put(l->was, live, w, NULL) != OPS_OK) {
                ops_free(w);
                return OPS_ENOMEM;
            }
        }
        if (w->ids.n < WAS_MAX && !ops_vec_push(&w->ids, from))
            return OPS_ENOMEM;
    }
    return OPS_OK;
}

static void put_when(const listing *l, ops_strbuf *b, int64_t when)
{
    char buf[OPS_RFC3339_BYTES];
    if (l->in->timed)
        ops_strbuf_printf(b, "\"%s\"", ops_rfc3339_format(when, 3, buf));
    else
        ops_strbuf_printf(b, "%" PRId64, when);
}

static void put_json(listing *l, const ops_template_info *t)
{
    ops_strbuf *b = &l->out;
    ops_strbuf_clear(b);
    ops_strbuf_printf(b, "{\"id\":\"%016" PRIx64 "\",\"count\":%" PRIu64 ",\"share\":%.9g,\"first\":", t->id,
                      t->count, (double)t->count / (double)l->in->lines);
    put_when(l, b, t->first_ns);
    ops_strbuf_str(b, ",\"last\":");
    put_when(l, b, t->last_ns);
    ops_strbuf_str(b, ",\"text\":");
    ops_strbuf_json(b, t->text);
    ops_strbuf_str(b, ",\"typed\":");
    ops_strbuf_json(b, ops_strbuf_get(&l->text));
    ops_strbuf_str(b, ",\"examples\":[");
    for (size_t i = 0; i < t->example_count; i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        ops_strbuf_json(b, t->examples[i]);
    }
    ops_strbuf_str(b, "],\"was\":[");
    const was_list *w = ops_map64_get(l->was, t->id);
    for (size_t i = 0; w != NULL && i < w->ids.n; i++)
        ops_strbuf_printf(b, "%s\"%016" PRIx64 "\"", i > 0 ? "," : "", w->ids.v[i]);
    ops_strbuf_char(b, ']');
    tpl_put_slots(b, ops_miner_slots(l->m, t->id));
    ops_strbuf_str(b, "}\n");
}

static void when_text(const listing *l, int64_t when, char *buf, size_t max)
{
    char stamp[OPS_RFC3339_BYTES];
    if (l->in->timed)
        (void)snprintf(buf, max, "%s", ops_rfc3339_format(when, 0, stamp));
    else
        (void)snprintf(buf, max, l->o->zh ? "第 %" PRId64 " 行" : "line %" PRId64, when);
}

static void row(const listing *l, ops_table *table, const ops_template_info *t)
{
    char id[17], count[24], share[16], first[40], last[40], text[4 * TPL_TEXT_COLUMNS + 8];
    (void)snprintf(id, sizeof id, "%016" PRIx64, t->id);
    (void)snprintf(count, sizeof count, "%" PRIu64, t->count);
    (void)snprintf(share, sizeof share, "%.2f%%", 100 * (double)t->count / (double)l->in->lines);
    when_text(l, t->first_ns, first, sizeof first);
    when_text(l, t->last_ns, last, sizeof last);
    const char *cells[] = {
        id,    count, share,
        first, last,  ops_text_fit(l->text.p != NULL ? l->text.p : "", TPL_TEXT_COLUMNS, text, sizeof text)};
    ops_table_row(table, cells);
}

static ops_status print(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"ID", "COUNT", "SHARE", "FIRST", "LAST", "TEMPLATE"};
    static const char *const zh[] = {"编号", "次数", "占比", "首次", "最近", "模板"};
    FILE *out = l->o->ctx->out;
    ops_table table;
    if (l->o->json)
        (void)fprintf(out,
                      "{\"kind\":\"opsd.templates\",\"version\":1,\"lines\":%" PRIu64
                      ",\"templates\":%zu,\"shown\":%zu,\"times\":%s}\n",
                      l->in->lines, l->all, l->rows.n, l->in->timed ? "true" : "false");
    else
        ops_table_begin(&table, out, l->o->zh ? zh : en, 6);
    bool failed = false;
    for (size_t i = 0; i < l->rows.n; i++) {
        ops_strbuf_clear(&l->text);
        (void)ops_miner_shown(l->m, l->rows.v[i].id, true, &l->text);
        if (l->o->json) {
            put_json(l, &l->rows.v[i]);
            failed |= l->out.failed || fwrite(l->out.p, 1, l->out.n, out) != l->out.n;
        } else {
            row(l, &table, &l->rows.v[i]);
        }
        failed |= l->text.failed;
    }
    if (!l->o->json) {
        ops_table_end(&table);
        (void)fprintf(l->o->ctx->err,
                      l->o->zh ? "%" PRIu64 " 行，%zu 个模板\n" : "%" PRIu64 " lines, %zu templates\n",
                      l->in->lines, l->all);
    }
    return failed || ferror(out) ? ops_fail(reterr, OPS_EIO, "standard output") : OPS_OK;
}

ops_status tpl_list(const tpl_options *o, const ops_miner *m, const tpl_input *in, ops_err *reterr)
{
    listing l = {.o = o, .m = m, .in = in};
    ops_strbuf_init(&l.text, TEXT_BYTES_MAX);
    ops_strbuf_init(&l.out, TEXT_BYTES_MAX);
    ops_status st = collect(&l);
    if (st == OPS_OK)
        st = collect_was(&l);
    st = st == OPS_OK ? print(&l, reterr) : ops_fail(reterr, st, "listing templates");
    void *w;
    uint64_t id;
    for (size_t iter = 0; ops_map64_next(l.was, &iter, &id, &w);) {
        ops_vec_done(&((was_list *)w)->ids);
        ops_free(w);
    }
    ops_map64_free(l.was);
    ops_vec_done(&l.rows);
    ops_strbuf_done(&l.text);
    ops_strbuf_done(&l.out);
    return st;
}
