/* What a verdict says to people. */
#include <math.h>

#include "base/time/rfc3339.h"
#include "coordinator/analysis/metric/baseline.h"

static const char *const names[OPS_BASELINE_KINDS] = {
    [OPS_BASELINE_SPIKE] = "spike",         [OPS_BASELINE_SHIFT] = "shift",
    [OPS_BASELINE_DRIFT] = "drift",         [OPS_BASELINE_SPREAD] = "noise",
    [OPS_BASELINE_STUCK] = "stuck",         [OPS_BASELINE_DAY] = "daily pattern",
    [OPS_BASELINE_WEEK] = "weekly pattern", [OPS_BASELINE_PERIOD] = "periodic pattern",
};

/* What is compared, and what the usual range is a range of. */
static const char *const subject[OPS_BASELINE_KINDS] = {
    [OPS_BASELINE_SPIKE] = "is",
    [OPS_BASELINE_SHIFT] = "has a mean over the last few samples of",
    [OPS_BASELINE_DRIFT] = "has a mean over the last fifty samples of",
    [OPS_BASELINE_SPREAD] = "varies by",
    [OPS_BASELINE_STUCK] = "has not changed for",
    [OPS_BASELINE_DAY] = "is",
    [OPS_BASELINE_WEEK] = "is",
    [OPS_BASELINE_PERIOD] = "is",
};
static const char *const when[OPS_BASELINE_KINDS] = {
    [OPS_BASELINE_DAY] = " at this time of day",
    [OPS_BASELINE_WEEK] = " at this time of the week",
    [OPS_BASELINE_PERIOD] = " at this point of its cycle",
};

const char *ops_baseline_kind_name(ops_baseline_kind kind)
{
    return kind < OPS_BASELINE_KINDS ? names[kind] : "?";
}

/* 10^score as people say it: two digits, and words for what is large. */
static void put_rarity(ops_strbuf *b, float score)
{
    if (score >= 9)
        ops_strbuf_str(b, "once in more than a thousand million samples");
    else if (score >= 6)
        ops_strbuf_printf(b, "once in %.2g million samples", pow(10, (double)score - 6));
    else
        ops_strbuf_printf(b, "once in %.0f samples",
                          pow(10, floor(score)) * round(pow(10, (double)score - floor(score))));
}

void ops_baseline_words(const ops_baseline_verdict *v, ops_slice name, ops_strbuf *ret)
{
    char at[OPS_RFC3339_BYTES];
    ops_baseline_kind kind = v->kind < OPS_BASELINE_KINDS ? v->kind : OPS_BASELINE_SPIKE;
    ops_strbuf_slice(ret, name);
    ops_strbuf_printf(ret, " %s %.4g", subject[kind], v->value);
    if (kind == OPS_BASELINE_STUCK)
        ops_strbuf_printf(ret, " samples, where at most %.0f is usual", ceil(v->high));
    else
        ops_strbuf_printf(ret, ", where %.4g to %.4g is usual%s", v->low, v->high,
                          when[kind] != NULL ? when[kind] : "");
    ops_strbuf_printf(ret, ", since %s; this far out ", ops_rfc3339_format(v->since_ns, 0, at));
    put_rarity(ret, v->score);
}
