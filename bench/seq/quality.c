/* Faults found by the trained model, by the statistical detectors and by both joined, at one share of false alarms, in
 * sessions of random workflows. A row: way, share of normal sessions flagged, share found of each fault, their mean.
 * All thresholds come from the same fresh normal sessions; half of those normalise what is joined. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "bench/seq/sessions.h"
#include "bench/seq/table.h"
#include "coordinator/analysis/sequence/sequence.h"

enum { LEARN = 1000, NORMAL = 2000, BROKEN = 200, EPOCHS = 12, TRAIN_BATCH = 32 };

typedef enum way { STATISTICAL, STATISTICAL_ORDER, MODEL_SUM, MODEL_GREATEST, MODEL_MEAN, JOINED, WAYS } way;
static const char *const names[WAYS] = {"statistical",       "statistical, order only", "trained model",
                                        "trained, greatest", "trained, mean",           "joined"};

typedef struct side {
    flow *f;
    ops_sequence *statistical;
    ops_seqlm *model;
    double allowance;   /* of the model's sum */
    double scale[WAYS]; /* of normal sessions: what one in 500 exceeds */
} side;

static void must(ops_status st, const ops_err *err)
{
    if (st != OPS_OK) {
        (void)fprintf(stderr, "bench_seq_quality: %s\n", err->msg);
        exit(1);
    }
}

static void learn(side *d, flow_session *s)
{
    ops_err err;
    must(ops_sequence_new(0, &d->statistical, &err), &err);
    for (int i = 0; i < LEARN; i++) {
        flow_play(d->f, &s[i]);
        must(ops_sequence_learn(d->statistical, s[i].ev, s[i].n, &err), &err);
    }
    must(ops_sequence_fit(d->statistical, &err), &err);
    const ops_seqlm_config c = model_for(d->f);
    must(ops_seqlm_new(&c, 1, &d->model, &err), &err);
}

static void train(side *d, const flow_session *s)
{
    static batch b;
    static int order[LEARN];
    ops_err err;
    const int steps = EPOCHS * (LEARN / TRAIN_BATCH);
    int step = 0;
    for (int i = 0; i < LEARN; i++)
        order[i] = i;
    for (int e = 0; e < EPOCHS; e++) {
        for (int i = LEARN - 1; i > 0; i--) {
            int k = (int)flow_random(d->f, (uint32_t)i + 1), t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        for (int at = 0; at + TRAIN_BATCH <= LEARN; at += TRAIN_BATCH, step++) {
            double mean, left = 1 - (double)step / steps;
            const ops_seqlm_step how = {.rate = (float)(3e-3 * left), .decay = 0.05f, .norm_max = 1};
            b.seqs = 0;
            for (int i = 0; i < TRAIN_BATCH; i++)
                batch_add(&b, d->f, &s[order[at + i]]);
            const ops_seqlm_batch view = batch_view(&b);
            must(ops_seqlm_train(d->model, &view, &how, &mean, &err), &err);
        }
    }
}

typedef struct looks {
    double value[WAYS];
} looks;

static looks look(side *d, const flow_session *s)
{
    static batch b;
    float surprise[CONTEXT];
    ops_err err;
    ops_sequence_verdict v;
    looks r = {0};
    must(ops_sequence_judge(d->statistical, s->ev, s->n, &v, &err), &err);
    b.seqs = 0;
    batch_add(&b, d->f, s);
    const ops_seqlm_batch view = batch_view(&b);
    must(ops_seqlm_score(d->model, &view, surprise, &err), &err);
    double sum = 0;
    for (int i = 0; i < b.starts[1]; i++) {
        double x = (double)surprise[i];
        sum = fmax(0, sum + x - d->allowance);
        r.value[MODEL_SUM] = fmax(r.value[MODEL_SUM], sum);
        r.value[MODEL_GREATEST] = fmax(r.value[MODEL_GREATEST], x);
        r.value[MODEL_MEAN] += x / b.starts[1];
    }
    r.value[STATISTICAL] = v.score;
    r.value[STATISTICAL_ORDER] = v.level[OPS_SEQUENCE_ORDER];
    if (d->scale[MODEL_SUM] > 0)
        r.value[JOINED] = pow(pow(r.value[STATISTICAL] / d->scale[STATISTICAL], 1.5) +
                                  pow(r.value[MODEL_SUM] / d->scale[MODEL_SUM], 1.5),
                              1 / 1.5);
    return r;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static void thresholds(side *d, double ret[WAYS])
{
    static double x[WAYS][NORMAL];
    static flow_session s;
    for (int i = 0; i < NORMAL; i++) {
        flow_play(d->f, &s);
        looks r = look(d, &s);
        for (int w = 0; w < WAYS; w++)
            x[w][i] = r.value[w];
    }
    for (int w = 0; w < WAYS; w++) {
        qsort(x[w], NORMAL, sizeof x[w][0], descending);
        ret[w] = x[w][(int)(NORMAL * OPS_SEQUENCE_FALSE_ALARMS) - 1];
    }
}

/* Half way between the surprise of an event in order and of one drawn blindly, as the statistical detector has it. */
static void set_allowance(side *d)
{
    static flow_session s;
    double sum = 0, events = 0, times[4096] = {0}, blind = 0;
    for (int i = 0; i < 200; i++) {
        flow_play(d->f, &s);
        looks r = look(d, &s);
        sum += r.value[MODEL_MEAN] * (double)(s.n + 1);
        events += (double)(s.n + 1);
        for (size_t k = 0; k < s.n; k++)
            times[id_of(d->f, s.ev[k]) % 4096]++;
        times[1]++;
    }
    for (int i = 0; i < 4096; i++)
        blind -= times[i] > 0 ? times[i] / events * log(times[i] / events) : 0;
    d->allowance = (sum / events + fmax(blind, sum / events)) / 2;
}

static void one_flow(uint64_t seed, double hit[WAYS][FLOW_FAULTS + 1])
{
    static flow f;
    static flow_session learnt[LEARN], s;
    side d = {.f = &f};
    double limit[WAYS];
    flow_init(&f, seed);
    learn(&d, learnt);
    train(&d, learnt);
    set_allowance(&d);
    thresholds(&d, d.scale);
    thresholds(&d, limit);
    for (int fault = 0; fault <= FLOW_FAULTS; fault++) {
        int n = fault == FLOW_FAULTS ? NORMAL : BROKEN;
        for (int i = 0; i < n; i++) {
            flow_play(&f, &s);
            if (fault < FLOW_FAULTS)
                flow_break(&f, &s, (flow_fault)fault);
            looks r = look(&d, &s);
            for (int w = 0; w < WAYS; w++)
                hit[w][fault] += (r.value[w] > limit[w]) / (double)n;
        }
    }
    ops_sequence_free(d.statistical);
    ops_seqlm_free(d.model);
}

int main(int argc, char **argv)
{
    uint64_t flows = argc > 1 ? strtoul(argv[1], NULL, 10) : 6;
    double hit[WAYS][FLOW_FAULTS + 1] = {0};
    for (uint64_t seed = 1; seed <= flows; seed++)
        one_flow(seed * 104729, hit);
    table_print(flows, WAYS, names, hit);
    return 0;
}
