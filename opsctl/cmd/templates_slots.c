/* Statistics of slots as JSON. */
#include <math.h>

#include "opsctl/cmd/templates.h"

static void put_slot(ops_strbuf *b, const ops_slot_info *s)
{
    ops_strbuf_printf(b, "{\"type\":\"%s\",\"seen\":%llu,\"distinct\":%llu,\"top\":[",
                      ops_slot_type_name(s->type), (unsigned long long)s->seen,
                      (unsigned long long)s->distinct);
    for (size_t i = 0; i < s->top_n; i++) {
        ops_strbuf_str(b, i > 0 ? ",{\"value\":" : "{\"value\":");
        ops_strbuf_json(b, s->top[i].value);
        ops_strbuf_printf(b, ",\"count\":%llu,\"error\":%llu}", (unsigned long long)s->top[i].count,
                          (unsigned long long)s->top[i].error);
    }
    ops_strbuf_char(b, ']');
    if (s->numeric)
        ops_strbuf_printf(b,
                          ",\"min\":%.9g,\"p50\":%.9g,\"p90\":%.9g,\"p99\":%.9g,\"max\":%.9g,"
                          "\"quantile_error\":%.4g",
                          s->min, s->p50, s->p90, s->p99, s->max, s->error);
    ops_strbuf_char(b, '}');
}

void tpl_put_slots(ops_strbuf *b, const ops_slots *s)
{
    ops_slot_info info;
    ops_strbuf_str(b, ",\"slots\":[");
    for (size_t i = 0; ops_slots_info(s, i, &info); i++) {
        ops_strbuf_str(b, i > 0 ? "," : "");
        put_slot(b, &info);
    }
    ops_strbuf_char(b, ']');
    if (ops_slots_further(s) > 0)
        ops_strbuf_printf(b, ",\"further_slot_values\":%llu", (unsigned long long)ops_slots_further(s));
}
