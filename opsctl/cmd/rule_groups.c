/* get rules: rules in force, how their last evaluation went, and what they fire. */
#include <inttypes.h>
#include <string.h>

#include "base/time/clock.h"
#include "opsctl/remote/remote.h"
#include "proto/ops/v1/cluster.pb-c.h"

enum { PAGE = 500, NAME_COLUMNS = 40, ERROR_COLUMNS = 60, COLUMNS = 9 };

typedef struct listing {
    ops_remote r;
    ops_table table;
    int64_t now_ns;
} listing;

static bool print_other(listing *l, const Ops__V1__RuleGroup *g)
{
    ops_strbuf b;
    ops_strbuf_init(&b, 64 << 20);
    if (l->r.mode == OPS_PRINT_JSON)
        ops_print_json(&g->base, &b);
    else if (l->r.mode == OPS_PRINT_YAML)
        ops_print_yaml(&g->base, &b);
    for (size_t i = 0; l->r.mode == OPS_PRINT_NAME && i < g->n_rules; i++)
        ops_strbuf_printf(&b, "rule/%s/%s\n", g->name, g->rules[i]->name);
    const bool other = b.n > 0 || l->r.mode == OPS_PRINT_NAME;
    if (b.n > 0)
        (void)fwrite(b.p, 1, b.n, l->r.ctx->out);
    ops_strbuf_done(&b);
    return other;
}

static const char *health_of(const Ops__V1__Rule *r, bool zh)
{
    static const char *const words[][2] = {{"ok", "正常"}, {"failed", "失败"}, {"unknown", "未求值"}};
    for (size_t i = 0; zh && i < sizeof words / sizeof *words; i++)
        if (strcmp(r->health, words[i][0]) == 0)
            return words[i][1];
    return r->health;
}

static void row(listing *l, const Ops__V1__RuleGroup *g, const Ops__V1__Rule *r)
{
    char fit[512], error[512], alerts[48], took[32], age[16];
    const bool wide = l->r.mode == OPS_PRINT_WIDE, alerting = strcmp(r->type, "alerting") == 0;
    (void)snprintf(alerts, sizeof alerts, "%" PRIu64 "/%" PRIu64, r->pending, r->firing);
    (void)snprintf(took, sizeof took, "%.1f ms", (double)g->duration_nano / 1e6);
    const char *cells[COLUMNS] = {
        g->name,
        wide ? r->name : ops_text_fit(r->name, NAME_COLUMNS, fit, sizeof fit),
        l->r.zh ? (alerting ? "告警" : "记录") : r->type,
        health_of(r, l->r.zh),
        alerting ? alerts : "-",
        g->last_time_unix_nano != 0 ? ops_text_age(g->last_time_unix_nano, l->now_ns, age, sizeof age) : "-",
        g->last_time_unix_nano != 0 ? took : "-",
        wide ? r->last_error : ops_text_fit(r->last_error, ERROR_COLUMNS, error, sizeof error),
        g->file};
    ops_table_row(&l->table, cells);
}

static void show(listing *l, const Ops__V1__RuleGroup *g)
{
    if (print_other(l, g))
        return;
    for (size_t i = 0; i < g->n_rules; i++)
        row(l, g, g->rules[i]);
}

static ops_status list(listing *l, ops_err *reterr)
{
    static const char *const en[] = {"GROUP", "RULE", "TYPE",  "HEALTH", "PENDING/FIRING",
                                     "LAST",  "TOOK", "ERROR", "FILE"};
    static const char *const zh[] = {"组",   "规则", "类型", "状态", "待定/触发",
                                     "最近", "耗时", "错误", "文件"};
    char token[32] = "";
    ops_status st = OPS_OK;
    ops_table_begin(&l->table, l->r.ctx->out, l->r.zh ? zh : en, COLUMNS);
    do {
        Ops__V1__ListRuleGroupsRequest q = OPS__V1__LIST_RULE_GROUPS_REQUEST__INIT;
        ProtobufCMessage *m = NULL;
        q.page_size = PAGE;
        q.page_token = token;
        st = ops_remote_call(&l->r, "/ops.v1.ClusterService/ListRuleGroups", &q.base,
                             &ops__v1__list_rule_groups_response__descriptor, &m, reterr);
        if (st != OPS_OK)
            break;
        const Ops__V1__ListRuleGroupsResponse *a = (const Ops__V1__ListRuleGroupsResponse *)m;
        for (size_t i = 0; i < a->n_groups; i++)
            show(l, a->groups[i]);
        (void)snprintf(token, sizeof token, "%s", a->next_page_token);
        protobuf_c_message_free_unpacked(m, NULL);
    } while (token[0] != '\0');
    if (l->r.mode > OPS_PRINT_WIDE || (st != OPS_OK && l->table.cell_count == 0))
        l->table.headed = true; /* no heads over nothing */
    ops_table_end(&l->table);
    return st;
}

ops_status ops_cmd_get_rules(ops_verb_ctx *ctx, ops_err *reterr)
{
    listing l = {.now_ns = ops_clock_wall_ns(ops_clock_system())};
    ops_status st = ops_remote_open(ctx, NULL, 0, &l.r, reterr);
    if (st != OPS_OK)
        return st;
    st = ctx->argc > 0 ? ops_fail(reterr, OPS_EINVAL, "'%s' is one word too many", ctx->argv[0])
                       : list(&l, reterr);
    ops_remote_close(&l.r);
    return st;
}
