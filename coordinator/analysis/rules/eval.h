/* Values and the evaluator's state. Private to the room. */
#ifndef OPS_RULES_EVAL_H
#define OPS_RULES_EVAL_H

#include "coordinator/analysis/rules/ast.h"

typedef struct rules_elem {
    const ops_rules_labels *labels;
    double v;
    int64_t t_ms;            /* of the sample, for timestamp() */
    bool drop;               /* late names: the metric's name goes at the end */
    const ops_rules_hist *h; /* as in a sample */
} rules_elem;

/* Samples of one series within a range. */
typedef struct rules_window {
    const ops_rules_labels *labels;
    const ops_rules_sample *v;
    size_t n;
    int64_t from_ms, to_ms; /* (from, to] */
    bool drop;
    size_t hists; /* of the samples */
} rules_window;

typedef struct rules_value {
    ops_rules_type type;
    double num;
    ops_slice str;
    rules_elem *v;   /* vectors */
    rules_window *w; /* matrices */
    size_t n;
} rules_value;

typedef struct rules_slot {
    ops_rules_series *v;
    size_t n;
    bool filled;
} rules_slot;

typedef struct rules_eval {
    ops_rules_query *q;
    const ops_rules_source *source;
    ops_rules_limits lim;
    int64_t start_ms, end_ms;
    uint64_t samples, evals;
    rules_slot *slots;
    ops_arena *keep; /* series read, the result */
    ops_arena *a;    /* one step */
    ops_err *err;
} rules_eval;

typedef enum rules_fn_kind { FN_MATH, FN_OVER, FN_DATE, FN_SPECIAL } rules_fn_kind;
typedef struct rules_func {
    const char *name;
    const char *args;  /* v vector, m matrix, s scalar, t text */
    unsigned optional; /* of them, the last so many may be left out */
    bool repeats;      /* the last may come any number of times, or not at all */
    ops_rules_type ret;
    rules_fn_kind kind;
    double (*math)(double);
    bool (*over)(const rules_window *w,
                 double *ret); /* over numbers; over samples of both kinds with `any` */
    bool any;
    /* Over a window with histograms; false in *ret_some: no result. NULL: histograms are left out. */
    ops_status (*over_hist)(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                            bool *ret_some);
    double (*date)(int64_t s);
    ops_status (*special)(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
} rules_func;

const rules_func *rules_func_find(ops_slice name);
/* A function of Prometheus that is not taken, and why; NULL: none such. */
const char *rules_func_refused(ops_slice name);

ops_status rules_eval_node(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_eval_binary(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_eval_aggregate(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_eval_call(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_plan(rules_eval *e, const rules_node *n, int64_t lo, int64_t hi);
ops_status rules_select(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_windows(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);

#define RULES_FAIL(e, n, code, ...) rules_fail_at((e)->q, (n)->at, code, (e)->err, __VA_ARGS__)
ops_status rules_no_memory(rules_eval *e, const rules_node *n);
/* Room for n elements in the arena of the step; OPS_ETOOBIG past series_max. */
ops_status rules_vector(rules_eval *e, const rules_node *n, size_t count, rules_value *ret);
/* The metric's name goes: now, or at the end. */
ops_status rules_drop_name(rules_eval *e, const rules_node *n, rules_elem *x);
ops_status rules_unique(rules_eval *e, const rules_node *n, const rules_value *v);
ops_status rules_scalar_arg(rules_eval *e, const rules_node *n, size_t i, int64_t t, double *ret);

/* Elements that are numbers; histograms go. */
void rules_only_numbers(rules_value *v);
/* The window without its histograms. */
ops_status rules_numbers_of(rules_eval *e, const rules_node *n, const rules_window *w, rules_window *ret);

static inline ops_rules_meta rules_meta(const rules_eval *e)
{
    return e->lim.type_and_unit ? OPS_RULES_META_TYPE_AND_UNIT : OPS_RULES_META_NAME;
}

/* Labels -> number, in an arena. */
typedef struct rules_table {
    const ops_rules_labels **keys;
    size_t *values;
    size_t cap, n;
} rules_table;
bool rules_table_init(rules_table *t, ops_arena *a, size_t count_max);
/* The number of `l`, adding it as `value` when it is new (*ret_new). The table must have room. */
size_t rules_table_put(rules_table *t, const ops_rules_labels *l, size_t value, bool *ret_new);
bool rules_table_get(const rules_table *t, const ops_rules_labels *l, size_t *ret);

/* Sum with the error of each addition carried along (Neumaier 1974). */
typedef struct rules_sum {
    double s, c;
} rules_sum;
void rules_sum_add(rules_sum *x, double v);
double rules_sum_get(const rules_sum *x);
double rules_quantile(double q, double *v, size_t n); /* sorts v */
double rules_mean(const double *v, size_t n);
int rules_double_cmp(const void *a, const void *b); /* NaN first */
double rules_binary(rules_bin op, double a, double b, bool *ret_keep);

/* By what a growth within the window is extrapolated to its edges; to_zero_s: how long ago it would have been zero. */
double rules_rate_factor(const rules_window *w, double to_zero_s, bool rate);
bool rules_linear(const rules_window *w, int64_t at_ms, double *ret_slope, double *ret_intercept);
bool rules_extrapolated(const rules_window *w, bool counter, bool rate, double *ret);

ops_status rules_fn_histogram_stat(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_histogram_fraction(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_sort_by_label(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_smooth(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_mad_over_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_histogram_quantile(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_label_replace(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_label_join(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_absent(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_sort(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_pi(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_scalar(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_vector(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_clamp(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_round(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_timestamp(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_quantile_over_time(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);
ops_status rules_fn_predict_linear(rules_eval *e, const rules_node *n, int64_t t, rules_value *ret);

/* over.c: false where there are too few samples. */
bool rules_over_rate(const rules_window *w, double *ret);
bool rules_over_increase(const rules_window *w, double *ret);
bool rules_over_delta(const rules_window *w, double *ret);
bool rules_over_irate(const rules_window *w, double *ret);
bool rules_over_idelta(const rules_window *w, double *ret);
bool rules_over_deriv(const rules_window *w, double *ret);
bool rules_over_sum(const rules_window *w, double *ret);
bool rules_over_avg(const rules_window *w, double *ret);
bool rules_over_min(const rules_window *w, double *ret);
bool rules_over_max(const rules_window *w, double *ret);
bool rules_over_count(const rules_window *w, double *ret);
bool rules_over_present(const rules_window *w, double *ret);
bool rules_over_last(const rules_window *w, double *ret);
bool rules_over_stdvar(const rules_window *w, double *ret);
bool rules_over_stddev(const rules_window *w, double *ret);
bool rules_over_changes(const rules_window *w, double *ret);
bool rules_over_resets(const rules_window *w, double *ret);

bool rules_over_ts_of_last(const rules_window *w, double *ret);
bool rules_over_ts_of_min(const rules_window *w, double *ret);
bool rules_over_ts_of_max(const rules_window *w, double *ret);

/* over_hist.c */
ops_status rules_hist_over_rate(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                bool *ret_some);
ops_status rules_hist_over_irate(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                 bool *ret_some);
ops_status rules_hist_over_sum(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                               bool *ret_some);
ops_status rules_hist_over_last(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                bool *ret_some);
ops_status rules_hist_over_changes(rules_eval *e, const rules_node *n, const rules_window *w, rules_elem *x,
                                   bool *ret_some);
/* The sum, or the mean, of n histograms; *ret NULL: their bounds do not fit each other. */
ops_status rules_hist_sum(rules_eval *e, const rules_node *n, const ops_rules_hist *const *v, size_t count,
                          bool mean, const ops_rules_hist **ret);

double rules_date_minute(int64_t s);
double rules_date_hour(int64_t s);
double rules_date_weekday(int64_t s);
double rules_date_day(int64_t s);
double rules_date_yearday(int64_t s);
double rules_date_month(int64_t s);
double rules_date_month_days(int64_t s);
double rules_date_year(int64_t s);

#endif
