/* An expression from any bytes: refused, or evaluated over a few series within small limits, at once and over a range. */
#include <stdlib.h>

#include "coordinator/analysis/rules/query.h"
#include "coordinator/analysis/rules/series.h"
#include "coordinator/ruleset/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* h: of two resolutions, with zero buckets that differ, and of bounds of its own. */
static void histograms(ops_rules_store *s)
{
    static const char *const texts[] = {
        "{{schema:2 count:9 sum:5 z_bucket:1 z_bucket_w:0.01 buckets:[1 2 0 1] n_buckets:[2 2]}}",
        "{{schema:-1 count:12 sum:50 z_bucket:2 z_bucket_w:0.3 buckets:[4 4 2] offset:-1}}",
        "{{schema:-53 count:4 sum:10 custom_values:[1 5] buckets:[1 2 1]}}"};
    for (int64_t t = 0; t < 30; t++)
        for (size_t i = 0; i < 3; i++) {
            ops_rules_label l[] = {{OPS_RULES_NAME, OPS_SLICE("h")},
                                   {OPS_SLICE("le"), i == 0 ? OPS_SLICE("1") : OPS_SLICE("2")}};
            const ops_rules_hist *h;
            size_t used;
            ops_arena a;
            ops_arena_init(&a, 1 << 16);
            if (ops_rules_hist_parse(ops_slice_str(texts[(size_t)t % 3]), &a, &h, &used, NULL) != OPS_OK ||
                (i < 2 && ops_rules_store_append_hist(s, l, 2, t * 60000, h) != OPS_OK))
                abort();
            ops_arena_done(&a);
        }
}

static ops_rules_store *samples(void)
{
    static ops_rules_store *s;
    static const char *const names[] = {"up", "m_bucket", "m_total"};
    if (s != NULL || ops_rules_store_new(NULL, &s) != OPS_OK)
        return s;
    for (int64_t t = 0; t < 30; t++)
        for (size_t i = 0; i < 6; i++) {
            ops_rules_label l[] = {{OPS_RULES_NAME, ops_slice_str(names[i / 2])},
                                   {OPS_SLICE("le"), i % 2 ? OPS_SLICE("+Inf") : OPS_SLICE("1")}};
            if (ops_rules_store_append(s, l, 2, t * 60000, (double)(t * (int64_t)i % 17)) != OPS_OK)
                abort();
        }
    histograms(s);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ops_rules_limits small = {
        .samples_max = 10000, .evals_max = 10000, .steps_max = 100, .series_max = 1000, .bytes_max = 4 << 20};
    OPS_AUTO(ops_rules_query_free) ops_rules_query *q = NULL;
    OPS_AUTO(ops_rules_result_free) ops_rules_result *r = NULL;
    OPS_AUTO(ops_rules_result_free) ops_rules_result *range = NULL;
    ops_rules_source source;
    ops_err err;
    ops_rules_store_source(samples(), &ops_ruleset_regex, &source);
    if (ops_rules_query_parse(ops_slice_of(data, size), &ops_ruleset_regex, &q, &err) != OPS_OK)
        return 0;
    (void)!ops_rules_query_instant(q, &source, &small, 1500000, &r, &err);
    (void)!ops_rules_query_range(q, &source, &small, 0, 1500000, 300000, &range, &err);
    return 0;
}
