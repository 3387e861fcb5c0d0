/* What both sides are asked: one line of standard input a job, answered by one line.
 *   pp N         a prompt of N tokens at once, logits of the last      seconds
 *   tg N         N tokens of one sequence, one after another           seconds
 *   many S N     S sequences, N tokens each, S a step                  seconds
 *   nll ID...    how ill the ids are foretold, each after those before it, the first but given: sum of -ln p */
#ifndef OPS_BENCH_DECODE_JOBS_H
#define OPS_BENCH_DECODE_JOBS_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEP_MAX = 512, SEQS_MAX = 32, CONTEXT = 1024, LINE_BYTES = 1 << 20 };

typedef struct one_job {
    char what[16];
    int n, v[STEP_MAX];
} one_job;

static inline int job_next(one_job *j)
{
    static char line[LINE_BYTES];
    if (fgets(line, sizeof line, stdin) == NULL || sscanf(line, "%15s", j->what) != 1)
        return 0;
    char *at = line + strlen(j->what), *end = NULL;
    for (j->n = 0; j->n < STEP_MAX; at = end) {
        const long v = strtol(at, &end, 10);
        if (end == at)
            break;
        j->v[j->n++] = (int)v;
    }
    return 1;
}

static inline int32_t made_id(int i, int seq, int vocab)
{
    return (int32_t)(((int64_t)i * 7919 + seq * 31 + 13) % vocab);
}

static inline double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -ln of the share of `id` in softmax(logits). */
static inline double ill_foretold(const float *logits, int vocab, int id)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < vocab; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum) - (double)logits[id];
}

static inline void say(double v)
{
    printf("%.9g\n", v);
    (void)fflush(stdout);
}

#endif
