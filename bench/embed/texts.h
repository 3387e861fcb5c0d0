/* The texts of a job, the same for us and for the rival: ids made from numbers, [CLS] and [SEP] around them. A job is one
 * line of standard input: the tokens of a batch at most, then the length of each text. The answer is one line: seconds,
 * then the vector of the first text. */
#ifndef OPS_BENCH_EMBED_TEXTS_H
#define OPS_BENCH_EMBED_TEXTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXTS_MAX = 8192, TEXT_TOKENS_MAX = 512, LINE_MAX_BYTES = 65536 };

typedef struct job {
    int batch_tokens, texts;
    int len[TEXTS_MAX];
} job;

static inline int32_t text_id(int text, int at, int len)
{
    return at == 0 ? 101 : at == len - 1 ? 102 : 1000 + (text * 131 + at * 17) % 20000;
}

static inline int job_read(job *j)
{
    static char line[LINE_MAX_BYTES];
    if (fgets(line, sizeof line, stdin) == NULL)
        return 0;
    char *rest = NULL;
    j->texts = 0;
    j->batch_tokens = (int)strtol(line, &rest, 10);
    for (;;) {
        char *end = NULL;
        const long len = strtol(rest, &end, 10);
        if (end == rest || j->texts == TEXTS_MAX || len < 2 || len > TEXT_TOKENS_MAX)
            return j->texts > 0;
        j->len[j->texts++] = (int)len;
        rest = end;
    }
}

static inline double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void answer(double seconds, const float *v, int n)
{
    printf("%.9f", seconds);
    for (int i = 0; i < n; i++)
        printf(" %.7g", (double)v[i]);
    printf("\n");
    (void)fflush(stdout);
}

#endif
