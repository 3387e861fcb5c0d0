#include "opsctl/cmd/incident_show.h"

#include <inttypes.h>
#include <string.h>

#include "base/time/rfc3339.h"

enum { LABEL_COLUMNS = 13, LINE_COLUMNS = 160, TEXT_BYTES = 1024 };

char *ops_incident_id(char *word)
{
    return strncmp(word, "incident/", 9) == 0 ? word + 9 : word;
}

const char *ops_incident_state(const ops_remote *r, const Ops__V1__Incident *m)
{
    static const char *const en[] = {"?", "open", "acknowledged", "resolved", "merged"}, *const zh[] = {
                                                                                             "?", "未处理",
                                                                                             "已确认",
                                                                                             "已解决",
                                                                                             "已合并"};
    const unsigned at =
        (unsigned)m->state <= OPS__V1__INCIDENT_STATE__INCIDENT_STATE_MERGED ? (unsigned)m->state : 0;
    if (m->state == OPS__V1__INCIDENT_STATE__INCIDENT_STATE_OPEN && m->reopened > 0)
        return r->zh ? "重新打开" : "reopened";
    return r->zh ? zh[at] : en[at];
}

static bool print_other(ops_remote *r, const Ops__V1__Incident *m)
{
    ops_strbuf b;
    if (r->mode <= OPS_PRINT_WIDE)
        return false;
    ops_strbuf_init(&b, 64 << 20);
    if (r->mode == OPS_PRINT_JSON)
        ops_print_json(&m->base, &b);
    else if (r->mode == OPS_PRINT_YAML)
        ops_print_yaml(&m->base, &b);
    else
        ops_strbuf_printf(&b, "incident/%s\n", m->id);
    (void)fwrite(b.p != NULL ? b.p : "", 1, b.n, r->ctx->out);
    ops_strbuf_done(&b);
    return true;
}

static void line(ops_remote *r, const char *en, const char *zh, const char *text)
{
    const char *name = r->zh ? zh : en;
    (void)fprintf(r->ctx->out, "%s", name);
    for (size_t w = ops_text_width(name); w < LABEL_COLUMNS; w++)
        (void)fputc(' ', r->ctx->out);
    ops_print_safe(r->ctx->out, text, false);
    (void)fputc('\n', r->ctx->out);
}

static void head(ops_remote *r, const Ops__V1__Incident *m)
{
    char buf[64], start[OPS_RFC3339_BYTES], last[OPS_RFC3339_BYTES], text[TEXT_BYTES];
    line(r, "incident", "事件", m->id);
    line(r, "what", "内容", m->summary);
    line(r, "severity", "级别",
         ops_text_enum(&ops__v1__level__descriptor, (int)m->severity, "LEVEL_", buf, sizeof buf));
    const char *who = m->resolved_by[0] != '\0'       ? m->resolved_by
                      : m->acknowledged_by[0] != '\0' ? m->acknowledged_by
                                                      : "";
    (void)snprintf(text, sizeof text, "%s%s%s%s%s", ops_incident_state(r, m), who[0] != '\0' ? " · " : "",
                   who, m->merged_into[0] != '\0' ? " → " : "", m->merged_into);
    line(r, "state", "状态", text);
    if (m->split_from[0] != '\0')
        line(r, "split from", "拆分自", m->split_from);
    (void)snprintf(text, sizeof text, "%s … %s", ops_rfc3339_format(m->start_time_unix_nano, 3, start),
                   ops_rfc3339_format(m->last_time_unix_nano, 3, last));
    line(r, "when", "时间", text);
    for (size_t i = 0; i < m->n_services; i++)
        line(r, i == 0 ? "where" : "", i == 0 ? "位置" : "", m->services[i]);
}

static void causes(ops_remote *r, const Ops__V1__Incident *m)
{
    if (m->n_causes > 0)
        (void)fputs(r->zh ? "原因(分数以比特计)\n" : "causes (scores in bits)\n", r->ctx->out);
    for (size_t i = 0; i < m->n_causes; i++) {
        const Ops__V1__IncidentCause *c = m->causes[i];
        (void)fprintf(r->ctx->out, "  %zu. ", i + 1);
        ops_print_safe(r->ctx->out, c->component, false);
        (void)fprintf(r->ctx->out, "  %.1f\n", c->score);
        for (size_t k = 0; k < c->n_terms; k++) {
            (void)fprintf(r->ctx->out, "     %+6.1f %-10s ", c->terms[k]->bits, c->terms[k]->name);
            ops_print_safe(r->ctx->out, c->terms[k]->text, false);
            (void)fputc('\n', r->ctx->out);
        }
    }
}

static void findings(ops_remote *r, const Ops__V1__Incident *m)
{
    char when[OPS_RFC3339_BYTES], text[TEXT_BYTES];
    if (m->n_findings > 0)
        (void)fputs(r->zh ? "发现\n" : "findings\n", r->ctx->out);
    for (size_t i = 0; i < m->n_findings; i++) {
        const Ops__V1__IncidentMember *f = m->findings[i];
        (void)fprintf(r->ctx->out, "  %s  %s  ", ops_rfc3339_format(f->start_time_unix_nano, 0, when),
                      f->finding_id);
        ops_print_safe(r->ctx->out, ops_text_fit(f->summary, LINE_COLUMNS, text, sizeof text), false);
        (void)fputc('\n', r->ctx->out);
        for (size_t k = 0; k < f->n_joined && r->mode == OPS_PRINT_WIDE; k++) {
            (void)fprintf(r->ctx->out, "     %+6.1f %-10s ", f->joined[k]->bits, f->joined[k]->name);
            ops_print_safe(r->ctx->out, f->joined[k]->text, false);
            (void)fputc('\n', r->ctx->out);
        }
    }
    if (m->findings_left_out > 0)
        (void)fprintf(r->ctx->out, r->zh ? "  另有 %u 个\n" : "  and %u more\n", m->findings_left_out);
}

static void timeline(ops_remote *r, const Ops__V1__Incident *m)
{
    char when[OPS_RFC3339_BYTES], kind[32], text[TEXT_BYTES];
    if (m->n_timeline > 0)
        (void)fputs(r->zh ? "时间线\n" : "timeline\n", r->ctx->out);
    for (size_t i = 0; i < m->n_timeline; i++) {
        const Ops__V1__TimelineEntry *e = m->timeline[i];
        (void)fprintf(r->ctx->out, "  %s  %-14s ", ops_rfc3339_format(e->time_unix_nano, 0, when),
                      ops_text_enum(&ops__v1__incident_entry_kind__descriptor, (int)e->kind,
                                    "INCIDENT_ENTRY_KIND_", kind, sizeof kind));
        if (e->who[0] != '\0') {
            ops_print_safe(r->ctx->out, e->who, false);
            (void)fputs(": ", r->ctx->out);
        }
        ops_print_safe(r->ctx->out, ops_text_fit(e->text, LINE_COLUMNS, text, sizeof text), false);
        (void)fputc('\n', r->ctx->out);
    }
    if (m->timeline_left_out > 0)
        (void)fprintf(r->ctx->out, r->zh ? "  另有 %u 条\n" : "  %u entries are not kept\n",
                      m->timeline_left_out);
}

static void said(ops_remote *r, const Ops__V1__Incident *m)
{
    char buf[32], text[TEXT_BYTES];
    for (size_t i = 0; i < m->n_feedback; i++) {
        const Ops__V1__IncidentFeedback *f = m->feedback[i];
        (void)snprintf(text, sizeof text, "%s: %s %s %s", f->author,
                       ops_text_enum(&ops__v1__incident_verdict__descriptor, (int)f->verdict,
                                     "INCIDENT_VERDICT_", buf, sizeof buf),
                       f->component, f->comment);
        line(r, "feedback", "反馈", text);
    }
}

void ops_incident_show(ops_remote *r, const Ops__V1__Incident *m)
{
    if (print_other(r, m))
        return;
    head(r, m);
    causes(r, m);
    findings(r, m);
    timeline(r, m);
    said(r, m);
}

void ops_incident_show_line(ops_remote *r, const Ops__V1__Incident *m)
{
    char when[OPS_RFC3339_BYTES], severity[16], text[TEXT_BYTES];
    const bool fresh = m->version == 1;
    if (print_other(r, m))
        return;
    (void)fprintf(
        r->ctx->out, "%s%s  %s  %s  %s%s  ", r->colour && fresh ? "\033[1m" : "",
        ops_rfc3339_format(m->last_time_unix_nano, 0, when), m->id, ops_incident_state(r, m),
        ops_text_enum(&ops__v1__level__descriptor, (int)m->severity, "LEVEL_", severity, sizeof severity),
        r->colour && fresh ? "\033[0m" : "");
    ops_print_safe(r->ctx->out, ops_text_fit(m->summary, LINE_COLUMNS, text, sizeof text), false);
    (void)fputc('\n', r->ctx->out);
}
