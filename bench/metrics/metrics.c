/* Samples per CPU-second through univariate baselines, and what they hold: `bench_metrics SERIES SAMPLES` gives SAMPLES
 * samples of a minute to each of SERIES series, scrape by scrape as a collector sends them. Then the same samples through
 * the least that could be called a baseline (running mean and deviation, one comparison), for the rival's figure. Prints
 * one JSON object. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem/alloc.h"
#include "base/text/strbuf.h"
#include "coordinator/analysis/metric/baseline.h"

/* So many series are warmed sample by sample; the others are loaded from what they saved. */
enum { PATTERN = 1440, WARM = 400, OWN = 1000, SAVED_MAX = 65536 };

#define MINUTE_NS INT64_C(60000000000)

static double pattern[PATTERN];

/* A day with noise, and a spike in a thousand; each series begins at a phase of its own. */
static void make_pattern(void)
{
    unsigned x = 1;
    for (int i = 0; i < PATTERN; i++) {
        double noise = 0;
        for (int k = 0; k < 4; k++) {
            x = x * 1664525u + 1013904223u;
            noise += (double)(x >> 8) / (1 << 24) - 0.5;
        }
        pattern[i] = 200 + 80 * sin(i * 6.283185307 / PATTERN) + 10 * noise + (x % 1000 == 0 ? 300 : 0);
    }
}

static double value(size_t series, size_t i)
{
    return pattern[(series % OWN * 37 + i) % PATTERN] + (double)(series % 100);
}

static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static double ours(ops_baseline **all, size_t n, size_t from, size_t to, unsigned long *ret_alerts)
{
    double start = seconds();
    for (size_t i = from; i < to; i++)
        for (size_t k = 0; k < n; k++) {
            ops_baseline_verdict v;
            ops_baseline_prefetch(all[k + 4 < n ? k + 4 : k], false);
            ops_baseline_prefetch(all[k + 2 < n ? k + 2 : k], true);
            if (ops_baseline_add(all[k], (int64_t)i * MINUTE_NS, value(k, i), &v) != OPS_OK)
                exit(1);
            *ret_alerts += v.alert;
        }
    return seconds() - start;
}

typedef struct plain {
    double mean, sq, n;
} plain;

static double theirs(plain *all, size_t n, size_t from, size_t to, unsigned long *ret_alerts)
{
    double start = seconds();
    for (size_t i = from; i < to; i++)
        for (size_t k = 0; k < n; k++) {
            plain *p = &all[k];
            double d = value(k, i) - p->mean;
            *ret_alerts += p->n > 150 && d * d > 16 * p->sq / p->n;
            p->n++;
            p->mean += d / p->n;
            p->sq += d * (value(k, i) - p->mean);
        }
    return seconds() - start;
}

static bool make_series(ops_baseline **all, size_t n)
{
    unsigned long alerts = 0;
    size_t own = n < OWN ? n : OWN;
    ops_strbuf saved;
    bool good = true;
    for (size_t k = 0; k < own && good; k++)
        good = ops_baseline_new(NULL, &all[k], NULL) == OPS_OK;
    if (good)
        (void)ours(all, own, 0, WARM, &alerts);
    ops_strbuf_init(&saved, SAVED_MAX);
    for (size_t k = own; k < n && good; k++) {
        ops_strbuf_clear(&saved);
        ops_baseline_save(all[k % OWN], &saved);
        good = !saved.failed && ops_baseline_load(ops_strbuf_get(&saved), &all[k], NULL) == OPS_OK;
    }
    ops_strbuf_done(&saved);
    return good;
}

int main(int argc, char **argv)
{
    size_t n = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, samples = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (n == 0 || samples == 0) {
        fprintf(stderr, "usage: bench_metrics SERIES SAMPLES\n");
        return 2;
    }
    make_pattern();
    ops_baseline **all = ops_calloc(n, sizeof(ops_baseline *));
    plain *rivals = ops_calloc(n, sizeof *rivals);
    unsigned long alerts = 0, rival_alerts = 0;
    if (all == NULL || rivals == NULL)
        return 1;
    if (!make_series(all, n))
        return 1;
    double cpu_s = ours(all, n, WARM, WARM + samples, &alerts);
    double rival_s = theirs(rivals, n, WARM, WARM + samples, &rival_alerts);
    size_t bytes = 0;
    for (size_t k = 0; k < n; k++) {
        bytes += ops_baseline_bytes(all[k]);
        ops_baseline_free(all[k]);
    }
    printf("{\"series\": %zu, \"samples\": %zu, \"cpu_s\": %.4f, \"samples_per_s\": %.0f, "
           "\"bytes_per_series\": %.0f, "
           "\"rival_samples_per_s\": %.0f, \"alerts\": %lu}\n",
           n, n * samples, cpu_s, (double)(n * samples) / cpu_s, (double)bytes / (double)n,
           (double)(n * samples) / rival_s, alerts);
    ops_free(all);
    ops_free(rivals);
    return 0;
}
