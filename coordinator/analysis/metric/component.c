#include "coordinator/analysis/metric/component.h"

#include <math.h>
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/component_state.h"

#define FIRST_FIT 256
/* A fit is renewed when the rows have doubled, and at the latest after so many. */
#define FIT_ROWS_MAX 65536.0
/* What is short and what lasts. */
#define BRIEF   (1.0 / 5)
#define LASTING (1.0 / 120)
/* A distance is told from an ordinary one at three times the mean. */
#define ORDINARY      3.0
#define TEACHES_BELOW 3.0F
/* What a column is asked against the others. */
#define ALONE_QUESTIONS 2.0F
/* From this score on a row belongs to an unusual stretch; so many usual ones end it. */
#define ODD       2.0F
#define CALM      3
#define VALUE_MAX 1e30
/* Expected range in words: three standard deviations. */
#define RANGE 3.0

static void lay_out(ops_component *c, double *at)
{
    double **const columns[] = {&c->origin, &c->sum, &c->off_mean, &c->off_day, &c->sd, &c->row, &c->solved};
    size_t m = c->columns;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++, at += m)
        *columns[i] = at;
    c->bin_sum = at;
    c->profile = c->bin_sum + c->bins * m;
    c->cross = c->profile + c->bins * m;
    c->factor = c->cross + m * m;
}

static ops_status make(size_t columns, size_t bins, ops_component **ret, ops_err *reterr)
{
    if (columns == 0 || columns > OPS_COMPONENT_COLUMNS_MAX)
        return ops_fail(reterr, OPS_EINVAL, "a component of %zu columns, 1 to %d are taken", columns,
                        OPS_COMPONENT_COLUMNS_MAX);
    OPS_AUTO(ops_component_free) ops_component *c = ops_calloc(1, sizeof *c);
    double *block = c != NULL ? ops_calloc(ops_component_doubles(columns, bins), sizeof *block) : NULL;
    if (block == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a component of %zu columns", columns);
    c->columns = columns;
    c->bins = bins;
    lay_out(c, block);
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

ops_status ops_component_new(size_t columns, uint64_t train, ops_component **ret, ops_err *reterr)
{
    OPS_AUTO(ops_component_free) ops_component *c = NULL;
    ops_status st = make(columns, DAY_BINS, &c, reterr);
    if (st != OPS_OK)
        return st;
    c->train = train;
    c->column = ops_calloc(columns, sizeof *c->column);
    if (c->column == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a component of %zu columns", columns);
    for (size_t j = 0; j < columns && st == OPS_OK; j++)
        st = ops_baseline_new(NULL, &c->column[j], reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(c);
    return st;
}

ops_status ops_component_new_rows(size_t columns, const ops_component_rows *conf, ops_component **ret,
                                  ops_err *reterr)
{
    OPS_AUTO(ops_component_free) ops_component *c = NULL;
    ops_status st = make(columns, 1, &c, reterr);
    if (st != OPS_OK)
        return st;
    c->conf = *conf;
    c->typical = 1;
    c->alone = ops_calloc(columns, sizeof *c->alone);
    c->inverse = ops_calloc(columns * columns, sizeof *c->inverse);
    if (c->alone == NULL || c->inverse == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "a component of %zu columns", columns);
    *ret = OPS_STEAL(c);
    return OPS_OK;
}

void ops_component_free(ops_component *c)
{
    if (c == NULL)
        return;
    for (size_t j = 0; c->column != NULL && j < c->columns; j++)
        ops_baseline_free(c->column[j]);
    ops_free(c->column);
    ops_free(c->alone);
    ops_free(c->inverse);
    ops_free(c->origin);
    ops_free(c);
}

static bool in_time(ops_component *c, int64_t time_ns)
{
    if (c->rows > 0 && time_ns <= c->last_ns && ++c->late_run <= OPS_BASELINE_LATE_MAX)
        return false;
    if (c->rows == 0 || time_ns <= c->last_ns)
        c->first_ns = c->odd_since_ns = time_ns;
    c->late_run = 0;
    c->last_ns = time_ns;
    return true;
}

/* The highest answer of a column's own baseline. */
static float ask_columns(ops_component *c, int64_t time_ns, const double *values, ops_component_verdict *v)
{
    float best = 0;
    for (size_t j = 0; j < c->columns; j++) {
        ops_baseline_verdict own;
        if (ops_baseline_add(c->column[j], time_ns, values[j], &own) != OPS_OK || own.score <= best)
            continue; /* it can not fail: prepared */
        best = own.score;
        v->column = j;
        v->value = own.value;
        v->low = own.low;
        v->high = own.high;
    }
    return best;
}

/* The row relative to origin, without what is no number. */
static void clean_row(ops_component *c, int64_t time_ns, const double *values)
{
    const double *expected = c->profile + (size_t)ops_component_bin(c, time_ns) * c->columns;
    for (size_t j = 0; j < c->columns; j++) {
        double x = fmax(-VALUE_MAX, fmin(VALUE_MAX, values[j]));
        if (c->rows == 0)
            c->origin[j] = isfinite(values[j]) ? x : 0;
        double mean = c->taught > 0 ? c->sum[j] / c->taught : 0;
        c->row[j] = isfinite(values[j]) ? x - c->origin[j] : c->fitted ? expected[j] : mean;
    }
}

static void name_column(const ops_component *c, int64_t time_ns, size_t j, ops_component_verdict *v)
{
    double at = c->origin[j] + c->profile[(size_t)ops_component_bin(c, time_ns) * c->columns + j];
    v->column = j;
    v->value = c->origin[j] + c->row[j];
    v->low = at - RANGE * c->sd[j];
    v->high = at + RANGE * c->sd[j];
}

/* Joins the smoothed distances and asks for the chance of the result. */
static float ask_together(ops_component *c, int64_t time_ns, size_t *ret_column)
{
    double d = ops_component_distance(c, time_ns, c->row, ret_column);
    c->brief += BRIEF * (d - c->brief);
    c->lasting += LASTING * (d - c->lasting);
    c->score = log1p(c->brief / (ORDINARY * c->typical)) + log1p(c->lasting / (ORDINARY * c->typical));
    float place = ops_tail_place((float)c->score);
    float unusual = ops_tail_score(&c->tail, place, 0, OPS_TAIL_WARM);
    ops_tail_add(&c->tail, place);
    return unusual;
}

static void learn(ops_component *c, int64_t time_ns, float unusual)
{
    if (c->rows <= c->train || unusual < TEACHES_BELOW)
        ops_component_teach(c, time_ns, c->row);
    /* A view that lives for months is fitted more often than one of a file. */
    const double renewed = c->column == NULL ? fmax(c->fit_rows / 4, FIRST_FIT) : c->fit_rows;
    bool due = c->fitted ? c->since_fit >= fmin(renewed, FIT_ROWS_MAX) : c->taught >= FIRST_FIT;
    if (due || (c->rows == c->train && c->taught > 1))
        ops_component_fit(c);
}

/* How unusual an alert must be. */
static float need_of(const ops_component *c)
{
    ops_baseline_stats s;
    if (c->column == NULL)
        return ops_budget_score(c->conf.samples_per_false_alert, OPS_BUDGET_NS, c->conf.step_ns);
    ops_baseline_stats_get(c->column[0], &s);
    return ops_budget_score(OPS_BUDGET_SAMPLES, OPS_BUDGET_NS, s.interval_ns);
}

static void tell(ops_component *c, int64_t time_ns, ops_component_verdict *v)
{
    c->calm_run = v->unusual < ODD ? c->calm_run + (c->calm_run < UINT32_MAX) : 0;
    if (c->calm_run > CALM)
        c->odd_since_ns = time_ns;
    v->since_ns = v->unusual < ODD ? time_ns : c->odd_since_ns;
    const bool told = c->column == NULL && c->episode.alerts > 0 && v->since_ns <= c->episode.alert_ns;
    v->alert = ops_since(time_ns, c->first_ns) >= c->conf.quiet_ns &&
               ops_episode_tell(&c->episode, time_ns, v->unusual, told, need_of(c));
}

static ops_status prepare(ops_component *c)
{
    ops_status st = OPS_OK;
    for (size_t j = 0; c->column != NULL && j < c->columns && st == OPS_OK; j++)
        st = ops_baseline_prepare(c->column[j]);
    return st;
}

ops_status ops_component_add(ops_component *c, int64_t time_ns, const double *values,
                             ops_component_verdict *ret)
{
    ops_component_verdict v = {.fitted = c->fitted, .score = c->score, .since_ns = time_ns};
    ops_status st = prepare(c);
    if (st != OPS_OK)
        return st;
    float own = c->column != NULL ? ask_columns(c, time_ns, values, &v) : 0;
    if (!in_time(c, time_ns)) {
        *ret = v;
        return OPS_OK;
    }
    float paid = own - log10f((float)c->columns), together = 0;
    clean_row(c, time_ns, values);
    c->rows++;
    if (c->fitted && c->column == NULL) {
        size_t j = 0;
        paid = ops_component_ask_alone(c, time_ns, &j) - log10f(ALONE_QUESTIONS * (float)c->columns);
        c->score = paid > 0 ? paid : 0;
        name_column(c, time_ns, j, &v);
    } else if (c->fitted) {
        size_t j = 0;
        together = ask_together(c, time_ns, &j);
        if (together >= paid)
            name_column(c, time_ns, j, &v);
    } else {
        c->score = own;
    }
    v.score = c->score;
    v.unusual = together > paid ? together : paid > 0 ? paid : 0;
    tell(c, time_ns, &v);
    learn(c, time_ns, c->column == NULL ? v.unusual : together);
    *ret = v;
    return OPS_OK;
}

size_t ops_component_columns(const ops_component *c)
{
    return c->columns;
}

size_t ops_component_bytes(const ops_component *c)
{
    size_t n = sizeof *c + ops_component_doubles(c->columns, c->bins) * sizeof(double);
    if (c->column == NULL)
        n += c->columns * (sizeof *c->alone + c->columns * sizeof *c->inverse);
    for (size_t j = 0; c->column != NULL && j < c->columns; j++)
        n += sizeof *c->column + ops_baseline_bytes(c->column[j]);
    return n;
}
