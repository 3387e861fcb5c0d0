/* Faults in sessions of random workflows: what share is found, by the model and by other ways to combine its detectors, all
 * at one share of false alarms. A row a line for run.py: learnt sessions, way, share of normal sessions flagged, share
 * found of each fault. Everything but the model's own flag takes its threshold from fresh normal sessions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/coll/map.h"
#include "base/mem/alloc.h"
#include "base/text/hash.h"
#include "coordinator/analysis/sequence/sequence.h"
#include "tests/support/flows.h"

enum { NORMAL = 2000, BROKEN = 200, LEARN_MAX = 1000 };

typedef enum way {
    OURS,
    COUNTS_ALONE,
    ORDER_ALONE,
    RULES_ALONE,
    RARE_ALONE,
    GREATEST,
    NORM_1,
    NORM_1_5,
    NORM_2,
    COUNT_VECTOR, /* a count vector that was never learnt */
    NEW_EVENT,    /* an event that was never learnt */
    WAYS
} way;

static const char *const names[WAYS] = {"ours",       "counts alone",   "order alone", "rules alone",
                                        "rare alone", "greatest level", "norm 1",      "norm 1.5",
                                        "norm 2",     "count vector",   "new event"};

typedef struct sample {
    double value[WAYS];
} sample;

static uint64_t bag_of(const flow_session *s)
{
    uint64_t h = 0; /* a sum: order does not matter */
    for (size_t i = 0; i < s->n; i++)
        h += ops_hash_mix(s->ev[i] * 0x9e3779b97f4a7c15ull + 1);
    return h;
}

static double norm(const double *x, double p)
{
    double sum = 0;
    for (size_t i = 0; i < OPS_SEQUENCE_PARTS; i++)
        sum += pow(x[i], p);
    return pow(sum, 1 / p);
}

static sample look(ops_sequence *m, const ops_map64 *bags, const flow_session *s)
{
    ops_sequence_verdict v;
    if (ops_sequence_judge(m, s->ev, s->n, &v, NULL) != OPS_OK)
        exit(1);
    sample r = {.value = {[OURS] = v.anomalous,
                          [COUNTS_ALONE] = v.level[OPS_SEQUENCE_COUNTS],
                          [ORDER_ALONE] = v.level[OPS_SEQUENCE_ORDER],
                          [RULES_ALONE] = v.level[OPS_SEQUENCE_RULES],
                          [RARE_ALONE] = v.level[OPS_SEQUENCE_RARE],
                          [NORM_1] = norm(v.level, 1),
                          [NORM_1_5] = norm(v.level, 1.5),
                          [NORM_2] = norm(v.level, 2),
                          [COUNT_VECTOR] = !ops_map64_has(bags, bag_of(s)),
                          [NEW_EVENT] = v.new_kinds > 0}};
    for (size_t i = 0; i < OPS_SEQUENCE_PARTS; i++)
        r.value[GREATEST] = fmax(r.value[GREATEST], v.level[i]);
    return r;
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* Thresholds by which at most one fresh normal session in 500 is flagged. */
static void thresholds(ops_sequence *m, const ops_map64 *bags, flow *f, double ret[WAYS])
{
    static double x[WAYS][NORMAL];
    static flow_session s;
    for (size_t i = 0; i < NORMAL; i++) {
        flow_play(f, &s);
        sample r = look(m, bags, &s);
        for (int w = 0; w < WAYS; w++)
            x[w][i] = r.value[w];
    }
    for (int w = 0; w < WAYS; w++) {
        qsort(x[w], NORMAL, sizeof x[w][0], descending);
        ret[w] =
            w == OURS || w >= COUNT_VECTOR ? 0.5 : x[w][(size_t)(NORMAL * OPS_SEQUENCE_FALSE_ALARMS) - 1];
    }
}

static void one_flow(uint64_t seed, size_t train, double hit[WAYS][FLOW_FAULTS + 1])
{
    static flow f;
    static flow_session s;
    ops_sequence *m = NULL;
    ops_map64 *bags = ops_map64_new();
    flow_init(&f, seed);
    if (bags == NULL || ops_sequence_new(0, &m, NULL) != OPS_OK)
        exit(1);
    for (size_t i = 0; i < train; i++) {
        flow_play(&f, &s);
        if (ops_sequence_learn(m, s.ev, s.n, NULL) != OPS_OK ||
            ops_map64_put(bags, bag_of(&s), NULL, NULL) != OPS_OK)
            exit(1);
    }
    if (ops_sequence_fit(m, NULL) != OPS_OK)
        exit(1);
    double limit[WAYS];
    thresholds(m, bags, &f, limit);
    for (int fault = 0; fault <= FLOW_FAULTS; fault++) {
        size_t n = fault == FLOW_FAULTS ? NORMAL : BROKEN;
        for (size_t i = 0; i < n; i++) {
            flow_play(&f, &s);
            if (fault < FLOW_FAULTS)
                flow_break(&f, &s, (flow_fault)fault);
            sample r = look(m, bags, &s);
            for (int w = 0; w < WAYS; w++)
                hit[w][fault] += (r.value[w] > limit[w]) / (double)n;
        }
    }
    ops_sequence_free(m);
    ops_map64_free(bags);
}

int main(int argc, char **argv)
{
    size_t flows = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
    printf("learnt\tway\tnormal");
    for (int fault = 0; fault < FLOW_FAULTS; fault++)
        printf("\t%s", flow_fault_name[fault]);
    printf("\n");
    for (size_t train = 100; train <= LEARN_MAX; train *= 10) {
        double hit[WAYS][FLOW_FAULTS + 1] = {0};
        for (uint64_t seed = 1; seed <= flows; seed++)
            one_flow(seed * 104729, train, hit);
        for (int w = 0; w < WAYS; w++) {
            printf("%zu\t%s\t%.4f", train, names[w], hit[w][FLOW_FAULTS] / (double)flows);
            for (int fault = 0; fault < FLOW_FAULTS; fault++)
                printf("\t%.3f", hit[w][fault] / (double)flows);
            printf("\n");
        }
    }
    return 0;
}
