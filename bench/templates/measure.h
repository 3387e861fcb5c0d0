/* What the measurements of the template miner share. */
#ifndef OPS_BENCH_TEMPLATES_MEASURE_H
#define OPS_BENCH_TEMPLATES_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/analysis/template/miner.h"

/* A mix in memory: line i is [ends[i - 1], ends[i]) of text, a letter for its stream first and the newline last. */
typedef struct mix {
    char *text;
    uint32_t *ends;
    size_t n, bytes;
} mix;

/* Exits with a message when the file cannot be had: a measurement has nobody to hand an error to. */
void mix_read(const char *path, mix *ret);
void mix_done(mix *m);
ops_slice mix_line(const mix *m, size_t i);
/* The same lines in another order, line (i * step) mod n at place i, so that any stretch has the mix of the whole.
 * The lines move, so that they are still read one after the other. */
void mix_spread(mix *m);
/* Adds one to every digit but the first of each run of three or more, 9 to 0; ten turns are none. */
void mix_turn(mix *m);

double measure_cpu_s(void);                 /* of this thread */
double measure_wall_s(void);                /* since some point */
double measure_median(double *v, size_t n); /* sorts v; 0 for none */
_Noreturn void measure_die(const char *what);

/* Adds the lines [from, to); returns the CPU seconds. */
double measure_add(ops_miner *m, const mix *lines, size_t from, size_t to);
ops_miner *measure_miner(size_t templates_max);

int lines_main(const mix *m, size_t most); /* cost over the number of lines seen */
int show_main(const mix *m, size_t turns); /* the lines as lines_main reads them after so many turns */
int shapes_main(size_t shapes);            /* cost and memory with so many live templates */

#endif
