/* Measures the template miner alone, one thread. Each use prints one JSON object.
 *   bench_templates mine FILE          all lines of a mix through a miner of their own
 *   bench_templates lines FILE MOST    cost per line after 10 k lines, 100 k, ... up to MOST
 *   bench_templates show FILE TURNS    the mix as `lines` reads it the first time, or after so many turns
 *   bench_templates shapes N           cost per line and memory with N live templates */
#include "bench/templates/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem/alloc.h"

_Noreturn void measure_die(const char *what)
{
    fprintf(stderr, "bench_templates: %s\n", what);
    exit(1);
}

static double seconds_of(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0)
        measure_die("no clock");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double measure_cpu_s(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

double measure_wall_s(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_median(double *v, size_t n)
{
    if (n == 0)
        return 0;
    qsort(v, n, sizeof *v, by_size);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static void index_lines(mix *m)
{
    size_t cap = 0;
    for (const char *p = m->text, *end = p + m->bytes; p < end; m->n++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL || stop == p)
            measure_die("a mix has a letter before each line and a newline after it");
        if (m->n == cap) {
            cap = cap > 0 ? 2 * cap : 1 << 16;
            m->ends = ops_realloc(m->ends, cap * sizeof *m->ends);
            if (m->ends == NULL)
                measure_die("no memory");
        }
        p = stop + 1;
        m->ends[m->n] = (uint32_t)(p - m->text);
    }
}

void mix_read(const char *path, mix *ret)
{
    *ret = (mix){0};
    FILE *f = fopen(path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        measure_die(path);
    const long bytes = ftell(f);
    if (bytes <= 0 || bytes >= (long)UINT32_MAX)
        measure_die("a mix has 1 byte to 4 GiB");
    rewind(f);
    ret->bytes = (size_t)bytes;
    ret->text = ops_malloc(ret->bytes);
    if (ret->text == NULL || fread(ret->text, 1, ret->bytes, f) != ret->bytes)
        measure_die(path);
    (void)fclose(f);
    index_lines(ret);
}

void mix_done(mix *m)
{
    ops_free(m->text);
    ops_free(m->ends);
}

ops_slice mix_line(const mix *m, size_t i)
{
    const size_t begin = (i > 0 ? m->ends[i - 1] : 0) + 1u;
    return ops_slice_of(m->text + begin, m->ends[i] - begin - 1);
}

ops_miner *measure_miner(size_t templates_max)
{
    ops_miner_limits limits = {.templates_max = templates_max};
    ops_miner *m = NULL;
    ops_err err;
    if (ops_miner_new(&limits, &m, &err) != OPS_OK)
        measure_die(err.msg);
    return m;
}

double measure_add(ops_miner *m, const mix *lines, size_t from, size_t to)
{
    static int64_t now_ns; /* a millisecond a line */
    ops_template_hit hit;
    const double begun = measure_cpu_s();
    for (size_t i = from; i < to; i++)
        if (ops_miner_add(m, mix_line(lines, i), now_ns += 1000000, &hit) != OPS_OK)
            measure_die("a line was not taken");
    return measure_cpu_s() - begun;
}

static int mine_main(const mix *lines)
{
    ops_miner *m = measure_miner(0);
    const double begun = measure_wall_s();
    const double cpu_s = measure_add(m, lines, 0, lines->n);
    const double wall_s = measure_wall_s() - begun;
    ops_miner_stats st;
    ops_miner_stats_get(m, &st);
    if (st.lines != lines->n)
        measure_die("the miner did not count every line");
    printf("{\"lines\": %" PRIu64 ", \"bytes\": %zu, \"cpu_s\": %.6f, \"wall_s\": %.6f, \"templates\": %zu, "
           "\"folds\": %" PRIu64 ", \"evicted\": %" PRIu64 "}\n",
           st.lines, lines->bytes, cpu_s, wall_s, st.templates, st.folds, st.evicted);
    ops_miner_free(m);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int argc;
    } uses[] = {{"mine", 3}, {"lines", 4}, {"show", 4}, {"shapes", 3}};
    enum { MINE, LINES, SHOW, SHAPES, USES };
    size_t use = 0;
    while (use < USES && (argc != uses[use].argc || strcmp(argv[1], uses[use].name) != 0))
        use++;
    if (use == USES) {
        fprintf(stderr, "usage: bench_templates mine FILE | lines FILE MOST | show FILE TURNS | shapes N\n");
        return 2;
    }
    if (use == SHAPES)
        return shapes_main(strtoull(argv[2], NULL, 10));
    mix lines;
    mix_read(argv[2], &lines);
    const size_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    const int code = use == MINE    ? mine_main(&lines)
                     : use == LINES ? lines_main(&lines, number)
                                    : show_main(&lines, number);
    mix_done(&lines);
    return code;
}
