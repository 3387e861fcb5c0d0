/* Faults found in sessions of random workflows as a daemon would find them: few hundred sessions learnt, cut at 64 lines, the
 * model trained by worker/train/seqfit, what normal sessions reach taken from 499 fresh ones, and the promise of one in 500.
 *   bench_seq_live FLOWS LEARN
 * A row: way, share of normal sessions flagged, share found of each fault, their mean. The last row: of sessions with a step
 * left out that the detectors find, those for which the model names the step at its place among the two it expected. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/seq/table.h"
#include "coordinator/analysis/sequence/sequence.h"
#include "tests/support/flows.h"
#include "worker/train/seqfit.h"

enum { LEARN_MAX = 512, HELD = 499, NORMAL = 4000, BROKEN = 200, LINES = OPS_SEQFIT_EVENTS_MAX };

typedef enum way { OWN, DETECTORS, MODEL, JOINED, EITHER, WAYS } way;
static const char *const names[WAYS] = {"detectors as live", "detectors, held out", "model",
                                        "joined, norm 1.5", "detectors or joined"};

typedef struct side {
    flow f;
    ops_sequence *detectors;
    ops_seqfit *fit;
    double threshold, tail, limit[WAYS];
    double named, missing;
} side;

typedef struct looks {
    double value[WAYS];
    bool odd[WAYS];
    ops_seqfit_score score;
} looks;

static void must(ops_status st, const ops_err *err)
{
    if (st != OPS_OK) {
        (void)fprintf(stderr, "bench_seq_live: %s\n", err->msg);
        exit(1);
    }
}

static void play(side *d, flow_session *s)
{
    flow_play(&d->f, s);
    s->n = s->n < LINES ? s->n : LINES;
}

static uint32_t put(const side *d, const flow_session *s, uint32_t *ids)
{
    for (size_t i = 0; i < s->n; i++)
        ids[i] = s->ev[i] >= 1 && s->ev[i] <= d->f.events ? (uint32_t)s->ev[i] - 1 : d->f.events;
    return (uint32_t)s->n;
}

static void learn(side *d, size_t n)
{
    static uint32_t ids[LEARN_MAX * LINES], lengths[LEARN_MAX];
    static flow_session s;
    ops_err err;
    size_t at = 0;
    must(ops_sequence_new(0, &d->detectors, &err), &err);
    for (size_t i = 0; i < n; i++) {
        play(d, &s);
        must(ops_sequence_learn(d->detectors, s.ev, s.n, &err), &err);
        lengths[i] = put(d, &s, ids + at);
        at += lengths[i];
    }
    must(ops_sequence_fit(d->detectors, &err), &err);
    const ops_seqfit_sessions all = {ids, at, lengths, n, d->f.events};
    must(ops_seqfit_new(&all, 1, 0, &d->fit, &err), &err);
    for (bool done = false; !done;)
        must(ops_seqfit_step(d->fit, &done, &err), &err);
    const double *tail;
    ops_sequence_info info;
    (void)ops_seqfit_tail(d->fit, &tail);
    ops_sequence_get_info(d->detectors, &info);
    d->tail = fmax(tail[0], 1);
    d->threshold = fmax(info.threshold, 1e-3);
}

static looks look(side *d, const flow_session *s)
{
    uint32_t ids[LINES], length = put(d, s, ids);
    const ops_seqfit_sessions one = {ids, length, &length, 1, d->f.events};
    ops_err err;
    ops_sequence_verdict v;
    looks r = {0};
    must(ops_sequence_judge(d->detectors, s->ev, s->n, &v, &err), &err);
    must(ops_seqfit_score_all(ops_seqfit_model(d->fit), &one, ops_seqfit_allowance(d->fit), &r.score, &err),
         &err);
    r.value[OWN] = v.anomalous;
    r.value[DETECTORS] = v.score;
    r.value[MODEL] = r.score.surprise;
    r.value[JOINED] = pow(pow(v.score / d->threshold, 1.5) + pow(r.score.surprise / d->tail, 1.5), 1 / 1.5);
    for (int w = 0; w < EITHER; w++)
        r.odd[w] = w == OWN ? v.anomalous : r.value[w] > d->limit[w];
    r.odd[JOINED] |= v.anomalous && v.new_kinds > 0;
    r.odd[EITHER] = r.odd[OWN] || r.odd[JOINED];
    return r;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void hold_out(side *d)
{
    static double x[WAYS][HELD];
    static flow_session s;
    for (int i = 0; i < HELD; i++) {
        play(d, &s);
        looks r = look(d, &s);
        for (int w = 0; w < WAYS; w++)
            x[w][i] = r.value[w];
    }
    for (int w = 0; w < WAYS; w++) {
        qsort(x[w], HELD, sizeof x[w][0], ascending);
        d->limit[w] = x[w][HELD - 1]; /* a next one exceeds it with a chance of 1 in 500 */
    }
}

static void name_missing(side *d, const flow_session *whole, const flow_session *s, const looks *r)
{
    size_t at = 0;
    while (at < s->n && at < whole->n && s->ev[at] == whole->ev[at])
        at++;
    if (!r->odd[OWN] || at >= whole->n)
        return;
    d->missing++;
    for (uint32_t i = 0; i < r->score.expected_n; i++)
        if (r->score.place == at && r->score.expected[i] + 1 == whole->ev[at]) {
            d->named++;
            return;
        }
}

static void one_flow(uint64_t seed, size_t n, double hit[WAYS][FLOW_FAULTS + 1], double named[2])
{
    static side d;
    static flow_session whole, s;
    d = (side){0};
    flow_init(&d.f, seed);
    learn(&d, n);
    hold_out(&d);
    for (int fault = 0; fault <= FLOW_FAULTS; fault++) {
        const int runs = fault == FLOW_FAULTS ? NORMAL : BROKEN;
        for (int i = 0; i < runs; i++) {
            play(&d, &s);
            whole = s;
            if (fault < FLOW_FAULTS)
                flow_break(&d.f, &s, (flow_fault)fault);
            s.n = s.n < LINES ? s.n : LINES;
            const looks r = look(&d, &s);
            if (fault == FLOW_MISSING)
                name_missing(&d, &whole, &s, &r);
            for (int w = 0; w < WAYS; w++)
                hit[w][fault] += (double)r.odd[w] / runs;
        }
    }
    named[0] += d.named;
    named[1] += d.missing;
    ops_sequence_free(d.detectors);
    ops_seqfit_free(d.fit);
}

int main(int argc, char **argv)
{
    const uint64_t flows = argc > 1 ? strtoul(argv[1], NULL, 10) : 12;
    const size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : LEARN_MAX;
    double hit[WAYS][FLOW_FAULTS + 1] = {0}, named[2] = {0};
    if (n < OPS_SEQFIT_SESSIONS_MIN || n > LEARN_MAX)
        return 2;
    for (uint64_t seed = 1; seed <= flows; seed++)
        one_flow(seed * 104729, n, hit, named);
    table_print(flows, WAYS, names, hit);
    printf("named\t%.3f\n", named[0] / fmax(named[1], 1));
    return 0;
}
