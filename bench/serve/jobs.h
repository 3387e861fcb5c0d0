/* What both sides of bench/serve are asked, and what they answer.
 *   serve ROUND  every conversation at once, nothing known from other rounds; answered by one line:
 *     seconds, then as many tokens of prompts as were computed, then for each conversation its first token's time, then one
 *     behind the other all times between tokens; every list with its count before it
 * The rival reads the conversations from a file that our side wrote: see run.py. */
#ifndef OPS_BENCH_SERVE_JOBS_H
#define OPS_BENCH_SERVE_JOBS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TALKS_MAX = 64, ANSWER_MAX = 512, PROMPT_MAX = 4096 };

static inline double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct times {
    int n;
    double at[ANSWER_MAX]; /* of each token, since the round began */
} times;

static inline void say_times(double whole, long computed, const times *t, int talks)
{
    int gaps = 0;
    printf("%.6f %ld %d", whole, computed, talks);
    for (int i = 0; i < talks; i++) {
        printf(" %.6f", t[i].n > 0 ? t[i].at[0] : whole);
        gaps += t[i].n > 1 ? t[i].n - 1 : 0;
    }
    printf(" %d", gaps);
    for (int i = 0; i < talks; i++)
        for (int k = 1; k < t[i].n; k++)
            printf(" %.6f", t[i].at[k] - t[i].at[k - 1]);
    printf("\n");
    (void)fflush(stdout);
}

#endif
