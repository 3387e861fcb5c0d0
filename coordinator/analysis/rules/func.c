/* The table of functions, and the names of those that are not taken. */
#include <math.h>

#include "coordinator/analysis/rules/eval.h"

static double fn_sgn(double v)
{
    return v > 0 ? 1 : v < 0 ? -1 : v;
}
static double fn_deg(double v)
{
    return v * 180 / M_PI;
}
static double fn_rad(double v)
{
    return v * M_PI / 180;
}

#define MATH(word, fn)                                                                                       \
    {                                                                                                        \
        .name = word, .args = "v", .ret = OPS_RULES_VECTOR, .kind = FN_MATH, .math = fn                      \
    }
#define OVER(word, fn)                                                                                       \
    {                                                                                                        \
        .name = word, .args = "m", .ret = OPS_RULES_VECTOR, .kind = FN_OVER, .over = fn                      \
    }
#define OVER_ANY(word, fn)                                                                                   \
    {                                                                                                        \
        .name = word, .args = "m", .ret = OPS_RULES_VECTOR, .kind = FN_OVER, .over = fn, .any = true         \
    }
#define OVER_HIST(word, fn, hist)                                                                            \
    {                                                                                                        \
        .name = word, .args = "m", .ret = OPS_RULES_VECTOR, .kind = FN_OVER, .over = fn, .over_hist = hist   \
    }
#define DATE(word, fn)                                                                                       \
    {                                                                                                        \
        .name = word, .args = "v", .optional = 1, .ret = OPS_RULES_VECTOR, .kind = FN_DATE, .date = fn       \
    }
#define SPECIAL(word, in, few, out, fn)                                                                      \
    {                                                                                                        \
        .name = word, .args = in, .optional = few, .ret = out, .kind = FN_SPECIAL, .special = fn             \
    }
static const rules_func funcs[] = {
    MATH("abs", fabs),
    MATH("acos", acos),
    MATH("acosh", acosh),
    MATH("asin", asin),
    MATH("asinh", asinh),
    MATH("atan", atan),
    MATH("atanh", atanh),
    MATH("ceil", ceil),
    MATH("cos", cos),
    MATH("cosh", cosh),
    MATH("deg", fn_deg),
    MATH("exp", exp),
    MATH("floor", floor),
    MATH("ln", log),
    MATH("log10", log10),
    MATH("log2", log2),
    MATH("rad", fn_rad),
    MATH("sgn", fn_sgn),
    MATH("sin", sin),
    MATH("sinh", sinh),
    MATH("sqrt", sqrt),
    MATH("tan", tan),
    MATH("tanh", tanh),
    OVER_HIST("rate", rules_over_rate, rules_hist_over_rate),
    OVER_HIST("increase", rules_over_increase, rules_hist_over_rate),
    OVER_HIST("delta", rules_over_delta, rules_hist_over_rate),
    OVER_HIST("irate", rules_over_irate, rules_hist_over_irate),
    OVER_HIST("idelta", rules_over_idelta, rules_hist_over_irate),
    OVER("deriv", rules_over_deriv),
    OVER_HIST("sum_over_time", rules_over_sum, rules_hist_over_sum),
    OVER_HIST("avg_over_time", rules_over_avg, rules_hist_over_sum),
    OVER("min_over_time", rules_over_min),
    OVER("max_over_time", rules_over_max),
    OVER_ANY("count_over_time", rules_over_count),
    OVER_ANY("present_over_time", rules_over_present),
    OVER_ANY("ts_of_last_over_time", rules_over_ts_of_last),
    OVER("ts_of_min_over_time", rules_over_ts_of_min),
    OVER("ts_of_max_over_time", rules_over_ts_of_max),
    OVER_HIST("last_over_time", rules_over_last, rules_hist_over_last),
    OVER("stddev_over_time", rules_over_stddev),
    OVER("stdvar_over_time", rules_over_stdvar),
    OVER_HIST("changes", rules_over_changes, rules_hist_over_changes),
    OVER_HIST("resets", rules_over_resets, rules_hist_over_changes),
    DATE("minute", rules_date_minute),
    DATE("hour", rules_date_hour),
    DATE("day_of_week", rules_date_weekday),
    DATE("day_of_month", rules_date_day),
    DATE("day_of_year", rules_date_yearday),
    DATE("days_in_month", rules_date_month_days),
    DATE("month", rules_date_month),
    DATE("year", rules_date_year),
    SPECIAL("histogram_quantile", "sv", 0, OPS_RULES_VECTOR, rules_fn_histogram_quantile),
    SPECIAL("histogram_fraction", "ssv", 0, OPS_RULES_VECTOR, rules_fn_histogram_fraction),
    SPECIAL("histogram_count", "v", 0, OPS_RULES_VECTOR, rules_fn_histogram_stat),
    SPECIAL("histogram_sum", "v", 0, OPS_RULES_VECTOR, rules_fn_histogram_stat),
    SPECIAL("histogram_avg", "v", 0, OPS_RULES_VECTOR, rules_fn_histogram_stat),
    SPECIAL("histogram_stddev", "v", 0, OPS_RULES_VECTOR, rules_fn_histogram_stat),
    SPECIAL("histogram_stdvar", "v", 0, OPS_RULES_VECTOR, rules_fn_histogram_stat),
    SPECIAL("double_exponential_smoothing", "mss", 0, OPS_RULES_VECTOR, rules_fn_smooth),
    SPECIAL("mad_over_time", "m", 0, OPS_RULES_VECTOR, rules_fn_mad_over_time),
    {.name = "sort_by_label",
     .args = "vt",
     .repeats = true,
     .ret = OPS_RULES_VECTOR,
     .kind = FN_SPECIAL,
     .special = rules_fn_sort_by_label},
    {.name = "sort_by_label_desc",
     .args = "vt",
     .repeats = true,
     .ret = OPS_RULES_VECTOR,
     .kind = FN_SPECIAL,
     .special = rules_fn_sort_by_label},
    SPECIAL("label_replace", "vtttt", 0, OPS_RULES_VECTOR, rules_fn_label_replace),
    {.name = "label_join",
     .args = "vttt",
     .repeats = true,
     .ret = OPS_RULES_VECTOR,
     .kind = FN_SPECIAL,
     .special = rules_fn_label_join},
    SPECIAL("absent", "v", 0, OPS_RULES_VECTOR, rules_fn_absent),
    SPECIAL("absent_over_time", "m", 0, OPS_RULES_VECTOR, rules_fn_absent),
    SPECIAL("sort", "v", 0, OPS_RULES_VECTOR, rules_fn_sort),
    SPECIAL("sort_desc", "v", 0, OPS_RULES_VECTOR, rules_fn_sort),
    SPECIAL("time", "", 0, OPS_RULES_SCALAR, rules_fn_time),
    SPECIAL("pi", "", 0, OPS_RULES_SCALAR, rules_fn_pi),
    SPECIAL("scalar", "v", 0, OPS_RULES_SCALAR, rules_fn_scalar),
    SPECIAL("vector", "s", 0, OPS_RULES_VECTOR, rules_fn_vector),
    SPECIAL("clamp", "vss", 0, OPS_RULES_VECTOR, rules_fn_clamp),
    SPECIAL("clamp_min", "vs", 0, OPS_RULES_VECTOR, rules_fn_clamp),
    SPECIAL("clamp_max", "vs", 0, OPS_RULES_VECTOR, rules_fn_clamp),
    SPECIAL("round", "vs", 1, OPS_RULES_VECTOR, rules_fn_round),
    SPECIAL("timestamp", "v", 0, OPS_RULES_VECTOR, rules_fn_timestamp),
    SPECIAL("quantile_over_time", "sm", 0, OPS_RULES_VECTOR, rules_fn_quantile_over_time),
    SPECIAL("predict_linear", "ms", 0, OPS_RULES_VECTOR, rules_fn_predict_linear),
};

const rules_func *rules_func_find(ops_slice name)
{
    for (size_t i = 0; i < sizeof funcs / sizeof *funcs; i++)
        if (ops_slice_eq(name, ops_slice_str(funcs[i].name)))
            return &funcs[i];
    return NULL;
}

/* Name, NUL, reason. */
const char *rules_func_refused(ops_slice name)
{
    static const char *const words[] = {
        "holt_winters\0removed in Prometheus 3",
        "first_over_time\0experimental",
        "ts_of_first_over_time\0experimental",
        "info\0experimental",
        "histogram_quantiles\0experimental",
        "max_of\0experimental",
        "min_of\0experimental",
        "start\0experimental",
        "end\0experimental",
        "range\0experimental",
        "step\0experimental",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ops_slice_eq(name, ops_slice_str(words[i])))
            return words[i];
    return NULL;
}
