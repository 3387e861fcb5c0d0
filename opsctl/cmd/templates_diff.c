/* offline templates --diff OLD NEW: what is new, gone, up or down.
 *
 * Two logs go through one miner, so that both sides have the same templates. A saved list meets the other side by id, by
 * the ids that were folded, and at last by text: a template of one side that another's stands for is part of it. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/coll/map.h"
#include "base/coll/vec.h"
#include "coordinator/analysis/template/compare.h"
#include "opsctl/cmd/templates.h"
#include "opsctl/print/print.h"

enum { COVER_MAX = 2000 };

typedef struct drow {
    uint64_t id, old_count, new_count;
    ops_slice text;
    ops_share_change change;
    double ratio, p;
} drow;

typedef struct side {
    ops_miner *m;
    tpl_saved *saved;
    uint64_t lines;
} side;

typedef struct diff {
    const tpl_options *o;
    side old, new;
    OPS_VEC(drow) rows;
    ops_map64 *places; /* id -> place in rows + 1 */
    size_t told;
} diff;

static ops_status no_memory(ops_err *reterr)
{
    return ops_fail(reterr, OPS_ENOMEM, "comparing templates");
}

static ops_status new_miner(const tpl_options *o, ops_miner **ret, ops_err *reterr)
{
    const ops_miner_limits limits = {.templates_max = TPL_TEMPLATES_MAX};
    ops_status st = ops_miner_new(&limits, ret, reterr);
    return st == OPS_OK ? ops_miner_pins_set(*ret, &o->pins, reterr) : st;
}

static bool place(diff *d, uint64_t id, size_t at)
{
    return ops_map64_put(d->places, id, (void *)(uintptr_t)(at + 1), NULL) == OPS_OK;
}

static drow *row_of(diff *d, uint64_t id)
{
    size_t at = (size_t)(uintptr_t)ops_map64_get(d->places, id);
    return at > 0 ? &d->rows.v[at - 1] : NULL;
}

/* ---- two logs ---- */

static ops_status both_logs(diff *d, ops_err *reterr)
{
    tpl_input in;
    ops_template_info t;
    OPS_VEC(drow) before = {0};
    ops_status st = new_miner(d->o, &d->new.m, reterr);
    if (st == OPS_OK && (st = tpl_read(d->o->paths[0], d->new.m, &in, reterr)) == OPS_OK)
        d->old.lines = in.lines;
    for (size_t iter = 0; st == OPS_OK && ops_miner_next(d->new.m, &iter, &t);) {
        const drow r = {.id = t.id, .old_count = t.count};
        if (!ops_vec_push(&before, r))
            st = no_memory(reterr);
    }
    if (st == OPS_OK && (st = tpl_read(d->o->paths[1], d->new.m, &in, reterr)) == OPS_OK)
        d->new.lines = in.lines;
    for (size_t iter = 0; st == OPS_OK && ops_miner_next(d->new.m, &iter, &t);) {
        const drow r = {.id = t.id, .new_count = t.count, .text = t.text};
        if (!ops_vec_push(&d->rows, r) || !place(d, t.id, d->rows.n - 1))
            st = no_memory(reterr);
    }
    for (size_t i = 0; st == OPS_OK && i < before.n; i++) {
        drow *r = row_of(d, ops_miner_resolve(d->new.m, before.v[i].id));
        if (r == NULL)
            continue; /* its lineage was forgotten: what is left of it counts as new */
        r->old_count += before.v[i].old_count;
        r->new_count -= before.v[i].old_count < r->new_count ? before.v[i].old_count : r->new_count;
    }
    ops_vec_done(&before);
    return st;
}

/* ---- saved lists ---- */

static ops_status open_side(const tpl_options *o, const char *path, side *ret, ops_err *reterr)
{
    bool saved;
    tpl_input in = {0};
    ops_status st = tpl_is_saved(path, &saved, reterr);
    if (st == OPS_OK && saved) {
        if ((st = tpl_saved_read(path, &ret->saved, reterr)) == OPS_OK)
            ret->lines = tpl_saved_lines(ret->saved);
        return st;
    }
    if (st == OPS_OK)
        st = new_miner(o, &ret->m, reterr);
    if (st == OPS_OK && (st = tpl_read(path, ret->m, &in, reterr)) == OPS_OK)
        ret->lines = in.lines;
    return st;
}

/* The ids that stand for the rows of the new side: their own and those folded into them. */
static bool new_rows(diff *d)
{
    size_t n;
    if (d->new.saved != NULL) {
        const tpl_saved_row *v = tpl_saved_rows(d->new.saved, &n);
        for (size_t i = 0; i < n; i++) {
            const drow r = {.id = v[i].id, .new_count = v[i].count, .text = v[i].text};
            if (!ops_vec_push(&d->rows, r) || !place(d, r.id, d->rows.n - 1))
                return false;
            for (size_t k = 0; k < v[i].was_n; k++)
                if (!place(d, v[i].was[k], d->rows.n - 1))
                    return false;
        }
        return true;
    }
    ops_template_info t;
    uint64_t from, to;
    for (size_t iter = 0; ops_miner_next(d->new.m, &iter, &t);) {
        const drow r = {.id = t.id, .new_count = t.count, .text = t.text};
        if (!ops_vec_push(&d->rows, r) || !place(d, r.id, d->rows.n - 1))
            return false;
    }
    for (size_t iter = 0; ops_miner_next_fold(d->new.m, &iter, &from, &to);) {
        size_t at = (size_t)(uintptr_t)ops_map64_get(d->places, ops_miner_resolve(d->new.m, from));
        if (at > 0 && !place(d, from, at - 1))
            return false;
    }
    return true;
}

/* A row of the old side: joins its own, or takes those that were folded into it here, or stands alone. */
static bool old_row(diff *d, uint64_t id, uint64_t count, ops_slice text, const uint64_t *was, size_t was_n)
{
    drow *r = row_of(d, id);
    if (r != NULL) {
        r->old_count += count;
        return true;
    }
    drow own = {.id = id, .old_count = count, .text = text};
    for (size_t k = 0; k < was_n; k++) {
        drow *part = row_of(d, was[k]);
        if (part == NULL)
            continue;
        own.new_count += part->new_count;
        own.old_count += part->old_count;
        part->new_count = part->old_count = 0;
    }
    return ops_vec_push(&d->rows, own) && place(d, id, d->rows.n - 1);
}

typedef struct heir {
    uint64_t id, was;
} heir;

static int by_heir(const void *pa, const void *pb)
{
    const heir *a = pa, *b = pb;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->was < b->was ? -1 : a->was > b->was;
}

/* The old side's templates, each with the ids that were folded into it. */
static bool old_templates(diff *d)
{
    OPS_VEC(heir) heirs = {0};
    OPS_VEC(uint64_t) was = {0};
    uint64_t from, to;
    ops_template_info t;
    bool ok = true;
    for (size_t k = 0; ok && ops_miner_next_fold(d->old.m, &k, &from, &to);) {
        const heir h = {ops_miner_resolve(d->old.m, from), from};
        ok = ops_vec_push(&heirs, h);
    }
    if (ok && heirs.n > 0)
        qsort(heirs.v, heirs.n, sizeof *heirs.v, by_heir);
    for (size_t iter = 0; ok && ops_miner_next(d->old.m, &iter, &t);) {
        size_t at = 0, end = heirs.n;
        while (at < end) {
            size_t mid = (at + end) / 2;
            if (heirs.v[mid].id < t.id)
                at = mid + 1;
            else
                end = mid;
        }
        was.n = 0;
        for (; ok && at < heirs.n && heirs.v[at].id == t.id; at++)
            ok = ops_vec_push(&was, heirs.v[at].was);
        ok = ok && old_row(d, t.id, t.count, t.text, was.v, was.n);
    }
    ops_vec_done(&heirs);
    ops_vec_done(&was);
    return ok;
}

static bool old_rows(diff *d)
{
    size_t n;
    if (d->old.saved == NULL)
        return old_templates(d);
    const tpl_saved_row *v = tpl_saved_rows(d->old.saved, &n);
    for (size_t i = 0; i < n; i++)
        if (!old_row(d, v[i].id, v[i].count, v[i].text, v[i].was, v[i].was_n))
            return false;
    return true;
}

static void join(drow *into, drow *from)
{
    into->old_count += from->old_count;
    into->new_count += from->new_count;
    from->old_count = from->new_count = 0;
}

/* What is left over on either side and stands for the same lines. */
static void join_covered(diff *d)
{
    size_t olds = 0;
    for (size_t i = 0; i < d->rows.n && olds < COVER_MAX; i++) {
        drow *a = &d->rows.v[i];
        if (a->old_count == 0 || a->new_count != 0)
            continue;
        olds++;
        for (size_t k = 0, news = 0; k < d->rows.n && news < COVER_MAX && a->old_count > 0; k++) {
            drow *b = &d->rows.v[k];
            if (b->new_count == 0 || b->old_count != 0)
                continue;
            news++;
            if (ops_template_covers(a->text, b->text))
                join(a, b);
            else if (ops_template_covers(b->text, a->text))
                join(b, a);
        }
    }
}

static ops_status with_saved(diff *d, ops_err *reterr)
{
    ops_status st = open_side(d->o, d->o->paths[0], &d->old, reterr);
    if (st == OPS_OK)
        st = open_side(d->o, d->o->paths[1], &d->new, reterr);
    if (st != OPS_OK)
        return st;
    if (!new_rows(d) || !old_rows(d))
        return no_memory(reterr);
    join_covered(d);
    return OPS_OK;
}

/* ---- judging and telling ---- */

static int by_change(const void *pa, const void *pb)
{
    const drow *a = pa, *b = pb;
    uint64_t na = a->old_count > a->new_count ? a->old_count : a->new_count;
    uint64_t nb = b->old_count > b->new_count ? b->old_count : b->new_count;
    if (a->change != b->change)
        return a->change < b->change ? -1 : 1;
    if (na != nb)
        return na > nb ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void judge(diff *d)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < d->rows.n; i++)
        n += d->rows.v[i].old_count + d->rows.v[i].new_count > 0;
    for (size_t i = 0; i < d->rows.n; i++) {
        drow r = d->rows.v[i];
        const ops_share s = {r.old_count, d->old.lines, r.new_count, d->new.lines};
        r.change = ops_share_compare(&s, n, &r.ratio, &r.p);
        if (r.change != OPS_SHARE_SAME && (r.old_count >= d->o->min_count || r.new_count >= d->o->min_count))
            d->rows.v[kept++] = r;
    }
    d->rows.n = d->told = kept;
    if (kept > 0)
        qsort(d->rows.v, kept, sizeof *d->rows.v, by_change);
    if (d->o->limit > 0 && kept > d->o->limit)
        d->rows.n = d->o->limit;
}

static const char *const names[] = {"same", "new", "gone", "up", "down"};
static const char *const names_zh[] = {"不变", "新增", "消失", "上升", "下降"};

static double share(uint64_t count, uint64_t lines)
{
    return lines > 0 ? (double)count / (double)lines : 0;
}

static ops_status print_json(const diff *d, ops_err *reterr)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 1 << 26);
    ops_strbuf_printf(&b,
                      "{\"kind\":\"opsd.templates.diff\",\"version\":1,\"old_lines\":%" PRIu64
                      ",\"new_lines\":%" PRIu64 ",\"changes\":%zu,\"shown\":%zu}\n",
                      d->old.lines, d->new.lines, d->told, d->rows.n);
    for (size_t i = 0; i < d->rows.n; i++) {
        const drow *r = &d->rows.v[i];
        ops_strbuf_printf(&b,
                          "{\"change\":\"%s\",\"id\":\"%016" PRIx64 "\",\"old_count\":%" PRIu64
                          ",\"new_count\":%" PRIu64
                          ",\"old_share\":%.9g,\"new_share\":%.9g,\"p_value\":%.3g,\"ratio\":",
                          names[r->change], r->id, r->old_count, r->new_count,
                          share(r->old_count, d->old.lines), share(r->new_count, d->new.lines), r->p);
        if (isfinite(r->ratio))
            ops_strbuf_printf(&b, "%.6g", r->ratio);
        else
            ops_strbuf_str(&b, "null");
        ops_strbuf_str(&b, ",\"text\":");
        ops_strbuf_json(&b, r->text);
        ops_strbuf_str(&b, "}\n");
    }
    bool ok = !b.failed && fwrite(b.p, 1, b.n, d->o->ctx->out) == b.n;
    ops_strbuf_done(&b);
    return ok ? OPS_OK : ops_fail(reterr, OPS_EIO, "standard output");
}

static void print_row(const diff *d, ops_table *table, const drow *r)
{
    char id[17], was[24], is[24], ratio[32] = "-", p[32], fit[4 * TPL_TEXT_COLUMNS + 8];
    OPS_AUTO(ops_free_str) char *text = ops_strndup(r->text.p, r->text.n);
    (void)snprintf(id, sizeof id, "%016" PRIx64, r->id);
    (void)snprintf(was, sizeof was, "%" PRIu64, r->old_count);
    (void)snprintf(is, sizeof is, "%" PRIu64, r->new_count);
    if (r->change == OPS_SHARE_UP || r->change == OPS_SHARE_DOWN)
        (void)snprintf(ratio, sizeof ratio, "x%.3g", r->ratio);
    (void)snprintf(p, sizeof p, "%.1g", r->p);
    const char *cells[] = {d->o->zh ? names_zh[r->change] : names[r->change],
                           id,
                           was,
                           is,
                           ratio,
                           p,
                           text != NULL ? ops_text_fit(text, TPL_TEXT_COLUMNS, fit, sizeof fit) : NULL};
    ops_table_row(table, cells);
}

static ops_status print_table(const diff *d, ops_err *reterr)
{
    static const char *const en[] = {"CHANGE", "ID", "OLD", "NEW", "SHARE", "P", "TEMPLATE"};
    static const char *const zh[] = {"变化", "编号", "旧", "新", "占比", "P", "模板"};
    ops_table table;
    ops_table_begin(&table, d->o->ctx->out, d->o->zh ? zh : en, 7);
    for (size_t i = 0; i < d->rows.n; i++)
        print_row(d, &table, &d->rows.v[i]);
    ops_table_end(&table);
    (void)fprintf(d->o->ctx->err,
                  d->o->zh ? "旧 %" PRIu64 " 行，新 %" PRIu64 " 行，%zu 处变化\n"
                           : "%" PRIu64 " lines old, %" PRIu64 " new, %zu changes\n",
                  d->old.lines, d->new.lines, d->told);
    return ferror(d->o->ctx->out) ? ops_fail(reterr, OPS_EIO, "standard output") : OPS_OK;
}

ops_status tpl_diff(const tpl_options *o, ops_err *reterr)
{
    diff d = {.o = o};
    bool saved[2] = {false, false};
    ops_status st = OPS_OK;
    if (strcmp(o->paths[0], "-") == 0 && strcmp(o->paths[1], "-") == 0)
        return ops_fail(reterr, OPS_EINVAL, "standard input can be one side only");
    for (size_t i = 0; st == OPS_OK && i < 2; i++)
        st = tpl_is_saved(o->paths[i], &saved[i], reterr);
    if (st == OPS_OK && (d.places = ops_map64_new()) == NULL)
        st = no_memory(reterr);
    if (st == OPS_OK)
        st = saved[0] || saved[1] ? with_saved(&d, reterr) : both_logs(&d, reterr);
    if (st == OPS_OK) {
        judge(&d);
        st = o->json ? print_json(&d, reterr) : print_table(&d, reterr);
    }
    if (st == OPS_OK && o->fail && d.told > 0)
        o->ctx->exit_code = TPL_EXIT_CHANGES;
    ops_vec_done(&d.rows);
    ops_map64_free(d.places);
    ops_miner_free(d.old.m);
    ops_miner_free(d.new.m);
    tpl_saved_free(d.old.saved);
    tpl_saved_free(d.new.saved);
    return st;
}
