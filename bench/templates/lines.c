/* Cost per line over the number of lines a miner has seen. For each N fresh miners take N lines; the second half is
 * timed as a whole, so that work done now and then is in it, and the median of the rounds is the cost after N lines.
 * The sizes take turns, so that what disturbs the machine disturbs them all. The lines are spread so that each stretch
 * has the mix of the whole, and their longer numbers turn when the mix has been used up. */
#include "bench/templates/measure.h"

#include <stdio.h>
#include <string.h>

#include "base/mem/alloc.h"

enum { CYCLES = 3, ROUNDS_MAX = 10, CYCLE_LINES = 1000000, SIZES_MAX = 4, LEAST = 10000 };

static size_t gcd(size_t a, size_t b)
{
    while (b != 0) {
        const size_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

void mix_spread(mix *m)
{
    size_t step = (size_t)((double)m->n * 0.618) | 1u;
    while (step > 1 && gcd(step, m->n) != 1)
        step += 2;
    char *text = ops_malloc(m->bytes);
    uint32_t *ends = ops_malloc(m->n * sizeof *ends);
    if (text == NULL || ends == NULL)
        measure_die("no memory");
    size_t to = 0;
    for (size_t i = 0, from = 0; i < m->n; i++, from = (from + step) % m->n) {
        const size_t begin = from > 0 ? m->ends[from - 1] : 0, bytes = m->ends[from] - begin;
        memcpy(text + to, m->text + begin, bytes);
        to += bytes;
        ends[i] = (uint32_t)to;
    }
    mix_done(m);
    m->text = text;
    m->ends = ends;
}

void mix_turn(mix *m)
{
    size_t run = 0;
    for (size_t i = 0; i < m->bytes; i++) {
        const char ch = m->text[i];
        if (ch >= '0' && ch <= '9') {
            run++;
            continue;
        }
        for (size_t k = run >= 3 ? i - run + 1 : i; k < i; k++)
            m->text[k] = m->text[k] == '9' ? '0' : (char)(m->text[k] + 1);
        run = 0;
    }
}

typedef struct tape {
    mix *lines;
    size_t at;
} tape;

/* Feeds n lines from the tape; the CPU seconds do not hold the turning. */
static double feed(ops_miner *m, tape *t, size_t n)
{
    double spent = 0;
    while (n > 0) {
        if (t->at == t->lines->n) {
            mix_turn(t->lines);
            t->at = 0;
        }
        const size_t left = t->lines->n - t->at, part = left < n ? left : n;
        spent += measure_add(m, t->lines, t->at, t->at + part);
        t->at += part;
        n -= part;
    }
    return spent;
}

typedef struct size_cost {
    size_t n, rounds, templates;
    double first_s, per_line_s[ROUNDS_MAX * CYCLES];
} size_cost;

static void measure_size(tape *t, size_cost *c)
{
    const size_t half = c->n / 2, fit = CYCLE_LINES / c->n;
    const size_t rounds = fit < 1 ? 1 : fit > ROUNDS_MAX ? ROUNDS_MAX : fit;
    for (size_t r = 0; r < rounds; r++) {
        ops_miner *m = measure_miner(0);
        c->first_s += feed(m, t, half);
        c->per_line_s[c->rounds++] = feed(m, t, half) / (double)half;
        ops_miner_stats st;
        ops_miner_stats_get(m, &st);
        c->templates = st.templates;
        ops_miner_free(m);
    }
}

static void print_size(size_cost *c)
{
    const size_t half = c->n / 2;
    const double first_lines = (double)c->rounds * (double)half;
    printf("{\"lines\": %zu, \"rounds\": %zu, \"first_half_ns\": %.1f, \"ns\": %.1f, \"templates\": %zu}",
           c->n, c->rounds, c->first_s / first_lines * 1e9, measure_median(c->per_line_s, c->rounds) * 1e9,
           c->templates);
}

static mix spread_copy(const mix *m)
{
    mix own = *m;
    own.text = ops_memdup(m->text, m->bytes);
    own.ends = ops_memdup(m->ends, m->n * sizeof *m->ends);
    if (own.text == NULL || own.ends == NULL)
        measure_die("no memory");
    mix_spread(&own);
    return own;
}

int lines_main(const mix *m, size_t most)
{
    mix own = spread_copy(m);
    tape t = {.lines = &own};
    static size_cost cost[SIZES_MAX];
    size_t sizes = 0;
    for (size_t n = LEAST; n <= most && sizes < SIZES_MAX; n *= 10)
        cost[sizes++].n = n;
    for (int cycle = 0; cycle < CYCLES; cycle++)
        for (size_t i = 0; i < sizes; i++)
            measure_size(&t, &cost[i]);
    printf("{\"sizes\": [");
    for (size_t i = 0; i < sizes; i++) {
        printf("%s", i > 0 ? ", " : "");
        print_size(&cost[i]);
    }
    printf("]}\n");
    mix_done(&own);
    return 0;
}

int show_main(const mix *m, size_t turns)
{
    mix own = spread_copy(m);
    for (size_t i = 0; i < turns; i++)
        mix_turn(&own);
    const bool written = fwrite(own.text, 1, own.bytes, stdout) == own.bytes;
    mix_done(&own);
    return written ? 0 : 1;
}
