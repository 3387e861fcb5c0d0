#ifndef OPS_BENCH_KERNELS_H
#define OPS_BENCH_KERNELS_H
#include <stddef.h>
#include <stdint.h>

/* Threads that wait for work without sleeping: the bench owns the machine while it runs. */
typedef void part_fn(void *job, int part, int parts);
int team_start(int threads);
void team_run(part_fn *fn, void *job);
int team_size(void);
void team_stop(void);

double now_s(void);
void *wide_pages(
    size_t bytes); /* written, on huge pages where the system has them; free with free; NULL: none left */
double read_gbs(const void *from, size_t bytes); /* one pass of plain reading by the team */
double peak_gops(void); /* 8-bit dot products in registers by the team; 0: no such instruction is built in */
double peak_gflops(void); /* f32 fused multiply-adds likewise */

/* A product y[m,n] = x[m,k] w[n,k]^T `count` times over with different weights, by someone else's library. `raw` holds the
 * file blocks of all of them in a row. NULL: the library is not there or does not know the type. */
typedef struct rival rival;
rival *rival_ggml(const char *folder, int threads, int type, int m, int n, int k, int count, const void *raw,
                  size_t bytes);
rival *rival_dnnl(int eight_bits, int m, int n, int k);
double rival_run(rival *r); /* seconds */
void rival_free(rival *r);
#endif
