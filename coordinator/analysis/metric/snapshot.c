/* Baselines and components as bytes. Whatever is read is either refused or a state that can go on. */
#include <string.h>

#include "base/mem/alloc.h"
#include "coordinator/analysis/metric/component_state.h"
#include "coordinator/analysis/metric/state_io.h"

enum { BASELINE_VERSION = 1, COMPONENT_VERSION = 2 };

static void io_tail(ops_state_io *io, ops_tail *t)
{
    uint32_t n = 0;
    OPS_IO(io, t->bin);
    OPS_IO(io, t->n);
    ops_io_f32(io, &t->from);
    ops_io_f32(io, &t->base);
    ops_io_f32(io, &t->per_bin);
    OPS_IO(io, t->unseen);
    for (int i = 0; i < OPS_TAIL_BINS; i++)
        n += t->bin[i];
    ops_io_expect(io, n == t->n && n < OPS_TAIL_FULL * OPS_TAIL_UNIT && t->from >= 0 &&
                          t->from <= OPS_TAIL_BINS && t->base >= 0 && t->base <= OPS_TAIL_SCORE_MAX &&
                          t->per_bin >= 0);
}

static void io_level(ops_state_io *io, ops_level *l)
{
    ops_io_f64(io, &l->at);
    ops_io_f64(io, &l->scale);
    ops_io_expect(io, l->scale >= 0);
}

static void io_settling(ops_state_io *io, ops_settling *s)
{
    uint8_t rare = s->rare;
    OPS_IO(io, s->run);
    OPS_IO(io, s->since);
    OPS_IO(io, s->side);
    OPS_IO(io, rare);
    ops_io_expect(io, rare <= 1 && s->run < OPS_LEVEL_SETTLE);
    s->rare = rare == 1;
}

static void io_episode(ops_state_io *io, ops_episode *e)
{
    OPS_IO(io, e->alerts);
    OPS_IO(io, e->alert_ns);
    OPS_IO(io, e->since);
    ops_io_f32(io, &e->score);
}

static void io_season(ops_state_io *io, ops_season *s)
{
    OPS_IO(io, s->period_ns);
    ops_io_f64(io, &s->origin);
    ops_io_f64(io, &s->offset);
    ops_io_f64(io, &s->scale);
    ops_io_f64(io, &s->sum);
    OPS_IO(io, s->visit);
    OPS_IO(io, s->scored);
    OPS_IO(io, s->warm);
    OPS_IO(io, s->bins);
    OPS_IO(io, s->at);
    io_settling(io, &s->settling);
    for (int i = 0; i < OPS_SEASON_BINS; i++)
        ops_io_f32(io, &s->mean[i]);
    OPS_IO(io, s->cycles);
    io_tail(io, &s->tail);
    ops_io_expect(io, s->period_ns > 0 && s->bins > 0 && s->bins <= OPS_SEASON_BINS && s->at >= -1 &&
                          s->at < s->bins && s->scale >= 0 && s->warm <= OPS_TAIL_FULL / 2);
}

static void io_period(ops_state_io *io, ops_period *p)
{
    ops_io_f64(io, &p->origin);
    OPS_IO(io, p->n);
    OPS_IO(io, p->stride);
    OPS_IO(io, p->skipped);
    for (int i = 0; i < OPS_PERIOD_SAMPLES; i++)
        ops_io_f32(io, &p->v[i]);
    ops_io_expect(io, p->n < OPS_PERIOD_SAMPLES && p->stride >= 1 && p->stride <= OPS_PERIOD_STRIDE_MAX &&
                          p->skipped < p->stride);
}

/* Whether a part that may be absent is there. */
static bool io_there(ops_state_io *io, bool have)
{
    uint8_t there = have;
    OPS_IO(io, there);
    ops_io_expect(io, there <= 1);
    return there == 1 && !io->bad;
}

static void io_numbers(ops_state_io *io, ops_baseline *b)
{
    ops_io_f64(io, &b->samples_per_false_alert);
    OPS_IO(io, b->time_per_false_alert_ns);
    OPS_IO(io, b->samples);
    OPS_IO(io, b->late);
    OPS_IO(io, b->repeated);
    OPS_IO(io, b->no_number);
    OPS_IO(io, b->first_ns);
    OPS_IO(io, b->last_ns);
    OPS_IO(io, b->interval_ns);
    OPS_IO(io, b->late_run);
    OPS_IO(io, b->same_run);
    OPS_IO(io, b->calm_run);
    io_settling(io, &b->settling);
    ops_io_f64(io, &b->last);
    ops_io_f64(io, &b->quantum);
    io_level(io, &b->slow);
    io_level(io, &b->slower);
    ops_io_f64(io, &b->fast);
    ops_io_f64(io, &b->shift);
    ops_io_f64(io, &b->drift);
    ops_io_f64(io, &b->noise);
    OPS_IO(io, b->odd_since_ns);
    OPS_IO(io, b->same_since_ns);
    io_episode(io, &b->episode);
    OPS_IO(io, b->period_ns);
    ops_io_expect(io, b->samples_per_false_alert > 0 && b->time_per_false_alert_ns > 0 &&
                          b->interval_ns >= 0 && b->period_ns >= 0 && b->quantum >= 0 &&
                          (b->samples < 2 || b->interval_ns > 0) && (b->samples == 0 || b->same_run > 0));
}

static ops_status io_baseline(ops_state_io *io, ops_baseline *b)
{
    uint8_t version = BASELINE_VERSION;
    OPS_IO(io, version);
    ops_io_expect(io, version == BASELINE_VERSION);
    io_numbers(io, b);
    for (int i = 0; i < TAILS && !io->bad; i++)
        io_tail(io, &b->tail[i]);
    for (int i = 0; i < SEASONS; i++) {
        if (!io_there(io, b->season[i] != NULL))
            continue;
        if (b->season[i] == NULL && (b->season[i] = ops_calloc(1, sizeof *b->season[i])) == NULL)
            return OPS_ENOMEM;
        io_season(io, b->season[i]);
    }
    if (io_there(io, b->search != NULL)) {
        if (b->search == NULL && (b->search = ops_calloc(1, sizeof *b->search)) == NULL)
            return OPS_ENOMEM;
        io_period(io, b->search);
    }
    return OPS_OK;
}

void ops_baseline_save(ops_baseline *b, ops_strbuf *ret)
{
    ops_state_io io = {.out = ret};
    (void)io_baseline(&io, b); /* writing makes nothing, so it can not fail */
}

static ops_status finish(const ops_state_io *io, ops_status st, const char *what, size_t bytes,
                         ops_err *reterr)
{
    if (st != OPS_OK)
        return ops_fail(reterr, st, "loading a %s", what);
    if (io->bad || io->p != io->end)
        return ops_fail(reterr, OPS_ECORRUPT, "a saved %s of %zu bytes is cut or spoilt", what, bytes);
    return OPS_OK;
}

ops_status ops_baseline_load(ops_slice saved, ops_baseline **ret, ops_err *reterr)
{
    ops_state_io io = {.p = saved.p, .end = saved.p + saved.n};
    OPS_AUTO(ops_baseline_free) ops_baseline *b = NULL;
    ops_status st = ops_baseline_new(NULL, &b, reterr);
    if (st != OPS_OK)
        return st;
    st = finish(&io, io_baseline(&io, b), "baseline", saved.n, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(b);
    return st;
}

static void io_alone(ops_state_io *io, ops_alone *a)
{
    OPS_IO(io, a->asked);
    OPS_IO(io, a->rows);
    io_level(io, &a->level);
    io_settling(io, &a->settling);
    double *const numbers[] = {&a->late, &a->up, &a->down, &a->noise};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ops_io_f64(io, numbers[i]);
    io_tail(io, &a->moved);
    io_tail(io, &a->noisier);
    for (int i = 1; i < 4; i++)
        ops_io_expect(io, *numbers[i] >= 0 && *numbers[i] < OPS_TAIL_BINS - 1);
}

static void io_fit(ops_state_io *io, ops_component *c)
{
    OPS_IO(io, c->rows);
    OPS_IO(io, c->first_ns);
    OPS_IO(io, c->last_ns);
    OPS_IO(io, c->late_run);
    uint8_t fitted = c->fitted;
    OPS_IO(io, fitted);
    ops_io_expect(io, fitted <= 1);
    c->fitted = fitted == 1;
    double *const numbers[] = {&c->taught, &c->fit_rows, &c->since_fit, &c->typical,
                               &c->brief,  &c->lasting,  &c->score};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ops_io_f64(io, numbers[i]);
    io_tail(io, &c->tail);
    io_episode(io, &c->episode);
    OPS_IO(io, c->odd_since_ns);
    OPS_IO(io, c->calm_run);
    for (size_t b = 0; b < DAY_BINS; b++)
        ops_io_f64(io, &c->bin_rows[b]);
    size_t n = ops_component_doubles(c->columns, c->bins);
    for (size_t i = 0; i < n && !io->bad; i++)
        ops_io_f64(io, &c->origin[i]);
    for (size_t j = 0; j < c->columns; j++)
        ops_io_expect(io, !c->fitted || (c->sd[j] > 0 && c->factor[j * c->columns + j] > 0));
    ops_io_expect(io, c->taught >= 0 && (!c->fitted || c->typical > 0) && c->brief >= 0 && c->lasting >= 0);
}

/* Columns against each other, where others judge them. */
static void io_rows(ops_state_io *io, ops_component *c)
{
    for (size_t j = 0; j < c->columns && !io->bad; j++)
        io_alone(io, &c->alone[j]);
    for (size_t i = 0; i < c->columns * c->columns && !io->bad; i++)
        ops_io_f64(io, &c->inverse[i]);
}

/* What it was made with. */
typedef struct made {
    uint32_t columns;
    uint8_t judged; /* it has baselines of its columns */
    uint64_t train;
    ops_component_rows conf;
} made;

static void io_made(ops_state_io *io, made *m)
{
    uint8_t version = COMPONENT_VERSION;
    OPS_IO(io, version);
    OPS_IO(io, m->columns);
    OPS_IO(io, m->judged);
    OPS_IO(io, m->train);
    ops_io_f64(io, &m->conf.samples_per_false_alert);
    OPS_IO(io, m->conf.quiet_ns);
    OPS_IO(io, m->conf.step_ns);
    ops_io_expect(io, version == COMPONENT_VERSION && m->judged <= 1 && m->columns > 0 &&
                          m->columns <= OPS_COMPONENT_COLUMNS_MAX && m->conf.step_ns >= 0 &&
                          m->conf.samples_per_false_alert >= 0);
}

void ops_component_save(ops_component *c, ops_strbuf *ret)
{
    ops_state_io io = {.out = ret};
    made m = {(uint32_t)c->columns, c->column != NULL, c->train, c->conf};
    io_made(&io, &m);
    io_fit(&io, c);
    for (size_t j = 0; c->column != NULL && j < c->columns; j++)
        (void)io_baseline(&io, c->column[j]);
    if (c->column == NULL)
        io_rows(&io, c);
}

ops_status ops_component_load(ops_slice saved, ops_component **ret, ops_err *reterr)
{
    ops_state_io io = {.p = saved.p, .end = saved.p + saved.n};
    made m = {0};
    io_made(&io, &m);
    if (io.bad)
        return ops_fail(reterr, OPS_ECORRUPT, "a saved component of %zu bytes is cut or spoilt", saved.n);
    OPS_AUTO(ops_component_free) ops_component *c = NULL;
    ops_status st = m.judged == 1 ? ops_component_new(m.columns, m.train, &c, reterr)
                                  : ops_component_new_rows(m.columns, &m.conf, &c, reterr);
    if (st != OPS_OK)
        return st;
    io_fit(&io, c);
    if (m.judged == 0)
        io_rows(&io, c);
    for (size_t j = 0; m.judged == 1 && j < m.columns && st == OPS_OK && !io.bad; j++)
        st = io_baseline(&io, c->column[j]);
    st = finish(&io, st, "component", saved.n, reterr);
    if (st == OPS_OK)
        *ret = OPS_STEAL(c);
    return st;
}
