/* get templates, describe template: what a daemon knows of them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "base/time/clock.h"
#include "base/time/rfc3339.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"

enum { OWN_LIMIT = REMOTE_OPTIONS, OWN_FILTER, OWN_SORT, OWN_MIN_COUNT };
enum { PAGE = 500, TEXT_COLUMNS = 90, EXAMPLE_COLUMNS = 160, VALUES_SHOWN = 5 };

static const ops_conf_row own[] = {
    {"limit", OPS_CONF_UINT, "1000", .help = "At most so many rows; 0: all.",
     .help_zh = "最多显示的行数，0 为全部。"},
    {"filter", OPS_CONF_STR, "", .help = "Text that the template holds.", .help_zh = "模板须包含的文字。"},
    {"sort", OPS_CONF_CHOICE, "count", .choices = "count|first|last|id", .help = "Greatest or newest first.",
     .help_zh = "排序方式，大的或新的在前。"},
    {"min_count", OPS_CONF_UINT, "0", .help = "Only those with so many lines.",
     .help_zh = "只显示达到此次数的模板。"},
};
static const char *const orders[] = {"count", "first", "last", "id"};

/* The message as JSON, YAML or its name; false when a table is wanted. */
static bool print_other(const ops_remote *r, const ProtobufCMessage *m, const char *id)
{
    ops_strbuf b;
    if (r->mode <= OPS_PRINT_WIDE)
        return false;
    ops_strbuf_init(&b, 64 << 20);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(m, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(m, &b);
    else
        ops_strbuf_printf(&b, "template/%s\n", id);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
    return true;
}

static void row(const ops_remote *r, ops_table *table, const Ops__V1__Template *t, int64_t now_ns)
{
    char count[24], share[16], first[16], last[16], text[512];
    if (print_other(r, &t->base, t->id))
        return;
    (void)snprintf(count, sizeof count, "%" PRIu64, t->count);
    (void)snprintf(share, sizeof share, "%.2f%%", 100 * t->share);
    const char *cells[] = {t->id,
                           count,
                           share,
                           ops_text_age(t->first_time_unix_nano, now_ns, first, sizeof first),
                           ops_text_age(t->last_time_unix_nano, now_ns, last, sizeof last),
                           r->mode == OPS_PRINT_WIDE
                               ? t->typed_text
                               : ops_text_fit(t->typed_text, TEXT_COLUMNS, text, sizeof text)};
    ops_table_row(table, cells);
}

static ops_status list(ops_remote *r, ops_err *reterr)
{
    static const char *const en[] = {"ID", "COUNT", "SHARE", "FIRST", "LAST", "TEMPLATE"};
    static const char *const zh[] = {"编号", "次数", "占比", "首次", "最近", "模板"};
    char token[32] = "", contains[1024], order[16];
    uint64_t shown = 0, limit = ops_conf_uint(r->conf, OWN_LIMIT);
    int64_t now_ns = ops_clock_wall_ns(ops_clock_system());
    ops_table table;
    ops_status st = OPS_OK;
    (void)snprintf(contains, sizeof contains, "%s", ops_conf_str(r->conf, OWN_FILTER));
    (void)snprintf(order, sizeof order, "%s", orders[ops_conf_uint(r->conf, OWN_SORT)]);
    ops_table_begin(&table, r->ctx->out, r->zh ? zh : en, 6);
    do {
        Ops__V1__ListTemplatesRequest q = OPS__V1__LIST_TEMPLATES_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        q.contains = contains;
        q.order_by = order;
        q.count_min = ops_conf_uint(r->conf, OWN_MIN_COUNT);
        st = ops_remote_call(r, "/ops.v1.ClusterService/ListTemplates", &q.base,
                             &ops__v1__list_templates_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListTemplatesResponse *a = (const Ops__V1__ListTemplatesResponse *)m;
        for (size_t i = 0; i < a->n_templates && (limit == 0 || shown < limit); i++, shown++)
            row(r, &table, a->templates[i], now_ns);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0' && (limit == 0 || shown < limit));
    table.headed |= r->mode > OPS_PRINT_WIDE || (st != OPS_OK && table.cell_count == 0);
    ops_table_end(&table);
    return st;
}

ops_status ops_cmd_get_templates(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, own, sizeof own / sizeof *own, &r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&r, reterr);
    ops_remote_close(&r);
    return st;
}

static void line(const ops_remote *r, const char *en, const char *zh, const char *text)
{
    const char *name = r->zh ? zh : en;
    (void)fprintf(r->ctx->out, "%s", name);
    for (size_t w = ops_text_width(name); w < 13; w++)
        (void)fputc(' ', r->ctx->out);
    ops_print_safe(r->ctx->out, text, false);
    (void)fputc('\n', r->ctx->out);
}

static void describe_slot(const ops_remote *r, size_t number, const Ops__V1__TemplateSlot *s)
{
    FILE *out = r->ctx->out;
    (void)fprintf(out,
                  r->zh ? "变量 %zu   <%s>  出现 %" PRIu64 "，不同值约 %" PRIu64 "\n"
                        : "slot %zu     <%s>  seen %" PRIu64 ", about %" PRIu64 " distinct\n",
                  number, s->type, s->seen, s->distinct);
    if (s->numeric)
        (void)fprintf(out,
                      r->zh ? "             最小 %.6g  p50 %.6g  p90 %.6g  p99 %.6g  最大 %.6g%s（±%.2g%%）\n"
                            : "             min %.6g  p50 %.6g  p90 %.6g  p99 %.6g  max %.6g%s (±%.2g%%)\n",
                      s->min, s->p50, s->p90, s->p99, s->max, strcmp(s->type, "duration") == 0 ? " s" : "",
                      100 * s->quantile_error);
    for (size_t i = 0; i < s->n_top && i < VALUES_SHOWN; i++) {
        if (2 * s->top[i]->error > s->top[i]->count)
            continue; /* no commoner than its neighbours: the count is mostly what is not known */
        (void)fprintf(out, "             %12" PRIu64 "%s  ", s->top[i]->count,
                      s->top[i]->error > 0 ? "~" : " ");
        ops_print_safe(out, s->top[i]->value, false);
        (void)fputc('\n', out);
    }
}

static void describe_folds(const ops_remote *r, const Ops__V1__TemplateDetail *d)
{
    char when[OPS_RFC3339_BYTES], fit[1024];
    for (size_t i = 0; i < d->n_folds; i++) {
        const Ops__V1__TemplateFold *f = d->folds[i];
        (void)fprintf(r->ctx->out,
                      r->zh ? "%s%s  %s 并入 %s（%s，%" PRIu64 " 行）  "
                            : "%s%s  %s was folded into %s (%s, %" PRIu64 " lines)  ",
                      i == 0 ? (r->zh ? "合并历史\n  " : "lineage\n  ") : "  ",
                      ops_rfc3339_format(f->time_unix_nano, 3, when), f->old_id, f->new_id, f->why,
                      f->old_count);
        ops_print_safe(r->ctx->out, ops_text_fit(f->old_text, TEXT_COLUMNS, fit, sizeof fit), false);
        (void)fputc('\n', r->ctx->out);
    }
}

static void describe(const ops_remote *r, const Ops__V1__TemplateDetail *d)
{
    const Ops__V1__Template *t = d->template_;
    char first[OPS_RFC3339_BYTES], last[OPS_RFC3339_BYTES], text[256], fit[1024];
    if (d->asked_id[0] != '\0') {
        (void)snprintf(text, sizeof text, r->zh ? "%s 已并入 %s" : "%s was folded into %s", d->asked_id,
                       t->id);
        line(r, "note", "注意", text);
    }
    line(r, "template", "模板", t->id);
    line(r, "text", "内容", t->typed_text);
    (void)snprintf(text, sizeof text, "%" PRIu64 " (%.2f%%)", t->count, 100 * t->share);
    line(r, "count", "次数", text);
    (void)snprintf(text, sizeof text, "%s … %s", ops_rfc3339_format(t->first_time_unix_nano, 3, first),
                   ops_rfc3339_format(t->last_time_unix_nano, 3, last));
    line(r, "seen", "时间", text);
    for (size_t i = 0; i < d->n_streams; i++) {
        (void)snprintf(text, sizeof text,
                       r->zh ? "%.128s  %" PRIu64 "（错误 %" PRIu64 "）"
                             : "%.128s  %" PRIu64 " (%" PRIu64 " errors)",
                       d->streams[i]->service, d->streams[i]->records, d->streams[i]->errors);
        line(r, i == 0 ? "streams" : "", i == 0 ? "来源" : "", text);
    }
    for (size_t i = 0; i < t->n_slots; i++)
        describe_slot(r, i + 1, t->slots[i]);
    for (size_t i = 0; i < t->n_examples; i++)
        line(r, i == 0 ? "examples" : "", i == 0 ? "示例" : "",
             ops_text_fit(t->examples[i], EXAMPLE_COLUMNS, fit, sizeof fit));
    describe_folds(r, d);
    if (d->more)
        line(r, "", "", r->zh ? "（更多内容未列出）" : "(there are more)");
}

ops_status ops_cmd_describe_template(ops_verb_ctx *ctx, ops_err *reterr)
{
    ops_remote r;
    ops_status st = ops_remote_open(ctx, NULL, 0, &r, reterr);
    if (st != OPS_OK)
        return st;
    if (ctx->argc == 0)
        st = ops_fail(reterr, OPS_EINVAL, "which template? 'opsctl get templates' lists them");
    for (int i = 0; i < ctx->argc && st == OPS_OK; i++) {
        Ops__V1__GetTemplateRequest q = OPS__V1__GET_TEMPLATE_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.id = strncmp(ctx->argv[i], "template/", 9) == 0 ? ctx->argv[i] + 9 : ctx->argv[i];
        st = ops_remote_call(&r, "/ops.v1.ClusterService/GetTemplate", &q.base,
                             &ops__v1__template_detail__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__TemplateDetail *d = (const Ops__V1__TemplateDetail *)m;
        if (d->template_ == NULL)
            st = ops_fail(reterr, OPS_ECORRUPT, "the daemon's answer holds no template");
        else if (!print_other(&r, m, d->template_->id))
            describe(&r, d);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    ops_remote_close(&r);
    return st;
}
